//! How live connections end when the server cannot go on, or nobody reads: over a pipe in memory, so that what waits in
//! between has a size.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::api::tests::world::{LISTEN, World};
use crate::live::Settings;

/// How much is on its way between the two at most.
const PIPE_BYTES: usize = 16 * 1024;

/// A page over a pipe.
struct Page {
    socket: WebSocketStream<DuplexStream>,
    status: Value,
}

impl Page {
    async fn connect(world: &World) -> Page {
        let (here, there) = tokio::io::duplex(PIPE_BYTES);
        let answers = TowerToHyperService::new(warp::service(world.door.clone().filter()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(there), answers).with_upgrades());
        let (socket, _) = tokio_tungstenite::client_async(format!("ws://{LISTEN}/api/live"), here)
            .await
            .expect("it speaks WebSocket");
        let mut page = Page { socket, status: Value::Null };
        page.status = page.hear("status").await;
        page
    }

    async fn subscribe(&mut self, topic: &str, filter: Value, since: Value) {
        let frame = json!({"type": "subscribe", "id": "a", "topic": topic, "filter": filter, "since": since});
        self.socket.send(Message::text(frame.to_string())).await.expect("the server reads");
    }

    async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(close))) => return Err(close.map_or(1005, |close| close.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    async fn hear(&mut self, frame_type: &str) -> Value {
        let frame = self.next().await.expect("the connection is there");
        assert_eq!(frame["type"], frame_type, "{frame}");
        frame
    }

    /// The code with which the server closes. Whatever comes before is passed over.
    async fn close_code(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_takes_no_byte_is_closed_with_4008_and_resumes_where_it_was() {
    let world = World::start_with(Settings { stall_max: Duration::from_millis(100), ..Settings::default() }).await;
    let mut page = Page::connect(&world).await;
    let here = json!({"epoch": page.status["epoch"], "seq": page.status["seq"]});
    let text = "x".repeat(2 * PIPE_BYTES);
    let job = world.post("/api/jobs", json!({"kind": "any", "args": {"text": text}})).await.ok(201);
    page.subscribe("events", json!({}), here.clone()).await;
    let session = page.status["session"].as_str().expect("an id").parse().expect("an id");
    // Nothing is read until the server has given up.
    while world.live.knows(session) {
        tokio::task::yield_now().await;
    }
    assert_eq!(page.close_code().await, 4008);
    let mut again = Page::connect(&world).await;
    again.subscribe("events", json!({}), here).await;
    assert_eq!(again.hear("subscribed").await["recovered"], true);
    assert_eq!(again.hear("events").await["events"][0]["job_id"], job["id"]);
}

#[tokio::test]
async fn what_cannot_be_read_closes_with_4004_and_the_page_resumes_when_it_can() {
    let world = World::start().await;
    let job = world.submit().await;
    let mut page = Page::connect(&world).await;
    page.subscribe("logs", json!({"id": job}), Value::Null).await;
    let subscribed = page.hear("subscribed").await;
    world.lines.say(job, "one");
    assert_eq!(page.hear("logs").await["lines"][0]["text"], "one");
    world.lines.fails.store(true, Ordering::Relaxed);
    world.lines.say(job, "two");
    assert_eq!(page.close_code().await, 4004);
    world.lines.fails.store(false, Ordering::Relaxed);
    let here = json!({"epoch": page.status["epoch"], "seq": subscribed["seq"]});
    let mut again = Page::connect(&world).await;
    again.subscribe("logs", json!({"id": job, "after": 1}), here).await;
    assert_eq!(again.hear("subscribed").await["recovered"], true);
    assert_eq!(again.hear("logs").await["lines"][0]["text"], "two");
    again.hear("caught_up").await;
}
