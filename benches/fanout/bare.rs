//! The least that tells everybody: a warp server that broadcasts frames which were recorded, as fast as the slowest
//! subscriber reads (`POST /all`) or one at a time (`POST /one`). Frames of one subscriber that wait together are written
//! together. It makes nothing durable, and forgets whoever is too slow.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::sync::broadcast::{self, Sender};
use warp::Filter;
use warp::ws::{Message, WebSocket};

/// What is said to a subscriber who will be told everything from now on.
pub const READY: &str = "ready";
/// The most frames on their way.
const RING: usize = 1024;
/// The most frames that are written together.
const TOGETHER: usize = 32;
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// What is broadcast, and to whom.
#[derive(Clone)]
struct Bare {
    ring: Sender<Arc<str>>,
    /// Those that go all at once, and those that go one at a time.
    fast: Arc<Vec<Arc<str>>>,
    slow: Arc<Vec<Arc<str>>>,
    next: Arc<AtomicUsize>,
    /// How many may be on their way.
    window: usize,
}

/// Writes frames down for [`serve`].
pub fn record(directory: &Path, fast: &[Vec<u8>], slow: &[Vec<u8>]) {
    for (name, frames) in [("fast", fast), ("slow", slow)] {
        std::fs::write(directory.join(name), frames.join(&b'\n')).expect("room");
    }
}

/// Serves what was recorded in a directory until the process is ended. Says on stdout where.
pub fn serve(directory: &Path, bytes_on_their_way: usize) {
    let read = |name| -> Arc<Vec<Arc<str>>> {
        let text = std::fs::read_to_string(directory.join(name)).expect("it was recorded");
        Arc::new(text.lines().map(Arc::from).collect())
    };
    let (fast, slow) = (read("fast"), read("slow"));
    let bytes: usize = fast.iter().map(|frame| frame.len()).sum();
    let window = (bytes_on_their_way * fast.len() / bytes.max(1)).clamp(1, RING / 2);
    let bare = Bare { ring: broadcast::channel(RING).0, fast, slow, next: Arc::default(), window };
    let on = |path: &'static str, bare: &Bare, act: fn(Bare)| {
        let bare = bare.clone();
        warp::path(path).and(warp::post()).map(move || {
            act(bare.clone());
            warp::http::StatusCode::CREATED
        })
    };
    let all = on("all", &bare, |bare| drop(tokio::spawn(bare.publish_all())));
    let one = on("one", &bare, |bare| bare.publish_one());
    let joining = bare.clone();
    let live = warp::path("live").and(warp::ws()).map(move |upgrade: warp::ws::Ws| {
        let bare = joining.clone();
        upgrade.on_upgrade(move |socket| bare.tell(socket))
    });
    let runtime = crate::support::runtime();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("listening on http://{}", listener.local_addr().expect("an address"));
        std::io::stdout().flush().expect("a pipe");
        warp::serve(all.or(one).or(live)).incoming(listener).run().await;
    });
}

impl Bare {
    async fn publish_all(self) {
        for frame in self.fast.iter() {
            while self.ring.len() >= self.window {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            // Nobody there is no failure.
            let _ = self.ring.send(frame.clone());
        }
    }

    fn publish_one(self) {
        let frame = &self.slow[self.next.fetch_add(1, Ordering::Relaxed)];
        let _ = self.ring.send(frame.clone());
    }

    async fn tell(self, socket: WebSocket) {
        let (mut sink, mut stream) = socket.split();
        let mut frames = self.ring.subscribe();
        if sink.send(Message::text(READY)).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                said = stream.next() => if !matches!(said, Some(Ok(_))) {
                    return;
                },
                frame = frames.recv() => {
                    let mut together = vec![frame.expect("nobody lags behind the ring")];
                    together.extend(std::iter::from_fn(|| frames.try_recv().ok()).take(TOGETHER - 1));
                    for frame in together {
                        // A warp message owns its text.
                        if sink.feed(Message::text(&*frame)).await.is_err() {
                            return;
                        }
                    }
                    if sink.flush().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
