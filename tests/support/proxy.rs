//! What lies between workers and their server, and breaks: it forwards bytes, and cuts connections after so many of them,
//! in the middle of whatever they are a part of.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::dice::Dice;

/// When connections are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Odds {
    /// One connection in so many is cut.
    pub one_in: u64,
    /// At the latest after so many bytes in one direction.
    pub within_bytes: u64,
}

/// How it is between the two sides.
#[derive(Debug, Clone, Copy)]
struct Weather {
    /// Counts how often everything was cut.
    storms: u64,
    is_down: bool,
    odds: Option<Odds>,
}

/// A forwarder to one address. It ends with this value.
pub struct Proxy {
    /// Where it listens.
    pub address: String,
    weather: watch::Sender<Weather>,
    cuts: Arc<AtomicU64>,
    _runtime: Runtime,
}

impl Proxy {
    /// Forwards to `target`; by itself it cuts nothing if there are no odds.
    pub fn to(target: &str, odds: Option<Odds>, mut dice: Dice) -> Proxy {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (weather, seen) = watch::channel(Weather { storms: 0, is_down: false, odds });
        let cuts: Arc<AtomicU64> = Arc::default();
        let (counted, target) = (cuts.clone(), target.to_owned());
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let line = Line { client, fate: Fate::throw(seen.borrow().odds, &mut dice), weather: seen.clone() };
                tokio::spawn(line.carry(target.clone(), counted.clone()));
            }
        });
        Proxy { address, weather, cuts, _runtime: runtime }
    }

    /// Cuts every connection there is.
    pub fn cut_all(&self) {
        self.weather.send_modify(|weather| weather.storms += 1);
    }

    /// Cuts every connection, and lets none through until told otherwise.
    pub fn set_down(&self, is_down: bool) {
        self.weather.send_modify(|weather| {
            weather.is_down = is_down;
            weather.storms += u64::from(is_down);
        });
    }

    /// Cuts no connection any more that comes from now on.
    pub fn calm_down(&self) {
        self.weather.send_modify(|weather| weather.odds = None);
        self.cut_all();
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }
}

/// What becomes of a connection.
struct Fate {
    /// How many bytes pass from the client, and from the server.
    bytes: [u64; 2],
    /// Whether it is reset, or closed as if it had come to its end.
    is_reset: bool,
}

impl Fate {
    fn throw(odds: Option<Odds>, dice: &mut Dice) -> Fate {
        let mut bytes = || match odds {
            Some(odds) if dice.one_in(odds.one_in) => dice.below(odds.within_bytes),
            Some(_) | None => u64::MAX,
        };
        Fate { bytes: [bytes(), bytes()], is_reset: dice.one_in(2) }
    }
}

struct Line {
    client: TcpStream,
    fate: Fate,
    weather: watch::Receiver<Weather>,
}

impl Line {
    async fn carry(mut self, target: String, cuts: Arc<AtomicU64>) {
        let storms = self.weather.borrow_and_update().storms;
        if self.weather.borrow().is_down {
            return;
        }
        // A server that is not there: the client finds its connection closed.
        let Ok(mut server) = TcpStream::connect(target).await else { return };
        // Neither is worth a word if it fails: frames only come later.
        let _ = (self.client.set_nodelay(true), server.set_nodelay(true));
        let ended = {
            let [up, down] = self.fate.bytes;
            let (mut from_client, mut to_client) = self.client.split();
            let (mut from_server, mut to_server) = server.split();
            let both = async {
                tokio::try_join!(
                    pass(&mut from_client, &mut to_server, up),
                    pass(&mut from_server, &mut to_client, down)
                )
            };
            tokio::select! {
                ended = both => ended.is_ok(),
                _ = self.weather.wait_for(|weather| weather.storms != storms) => false,
            }
        };
        if !ended {
            cuts.fetch_add(1, Ordering::Relaxed);
            if self.fate.is_reset {
                // Whoever has closed already cannot be reset.
                let _ = (self.client.set_zero_linger(), server.set_zero_linger());
            }
        }
    }
}

/// Passes bytes on to the end of what comes, or fails after so many.
async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut left: u64,
) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        let passed = left.min(count as u64) as usize;
        to.write_all(&buffer[..passed]).await?;
        left -= passed as u64;
        if passed < count {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
}
