//! The jobs of a soak and their workers: each way of life that leaves something behind is led by some of them. What a
//! job does follows from its number, so that every run is the same.

use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::support::server::{PATIENCE, Server};

const BULK: usize = 1000;
/// The last ones of a bulk are submitted one by one: their answers are timed.
const SINGLE: usize = 10;
const WORKERS: usize = 2;
const SLOTS: usize = 500;
/// No more jobs than these are submitted and not yet worked off.
const AHEAD: usize = 3 * BULK;
/// How many jobs of a bulk fail.
pub const FAILED_A_BULK: u64 = 20;

/// What becomes of a job, by its number.
struct Fate(usize);

impl Fate {
    fn fails(&self) -> bool {
        self.0 % 50 == 7
    }

    fn fails_once(&self) -> bool {
        self.0 % 50 == 13
    }

    fn is_batch(&self) -> bool {
        self.0 % 100 == 21
    }

    fn has_child(&self) -> bool {
        self.0 % 100 == 31
    }

    fn says_lines(&self) -> bool {
        self.0 % 20 == 3
    }

    fn makes_file(&self) -> bool {
        self.0 % 500 == 9
    }

    fn has_large_result(&self) -> bool {
        self.0 % 200 == 11
    }

    fn has_large_args(&self) -> bool {
        self.0 % 200 == 12
    }

    /// Nobody runs it: it is cancelled and purged.
    fn is_purged(&self) -> bool {
        self.0 % 1000 == 0
    }

    fn text(&self, length: usize) -> String {
        format!("{:08} {}", self.0, "lorem ipsum dolor ".repeat(length / 18))
    }

    fn job(&self) -> Value {
        let number = self.0;
        let text = self.text(if self.has_large_args() { 10_000 } else { 250 });
        let mut job =
            json!({"kind": "work", "args": {"n": number, "text": text}, "tags": [format!("t{}", number % 20)]});
        if number % 10 == 4 {
            job["tags"] = json!([format!("only-{number}")]);
        }
        if number % 25 == 8 {
            job["unique_key"] = json!(format!("key-{number}"));
        }
        if self.fails() {
            job["max_attempts"] = json!(1);
        }
        if self.is_batch() {
            job["items"] = (0..5).map(|item| json!({"key": format!("i{item}"), "args": {"n": item}})).collect();
        }
        if self.is_purged() {
            job["kind"] = json!("nobodys");
        }
        match number % BULK {
            1 => job["ref"] = json!("first"),
            5 => job["depends_on"] = json!(["#first"]),
            _ => {}
        }
        job
    }
}

/// How far the workers have come.
#[derive(Default)]
struct Tally {
    ended: Mutex<usize>,
    more: Condvar,
    is_over: AtomicBool,
}

impl Tally {
    fn add(&self, ended: usize) {
        *self.ended.lock() += ended;
        self.more.notify_all();
    }

    fn until(&self, ended: usize) {
        let mut now = self.ended.lock();
        while *now < ended {
            let waited = self.more.wait_for(&mut now, PATIENCE);
            assert!(!waited.timed_out(), "{now} jobs were worked off, and none since long");
        }
    }
}

/// Submits the jobs, has them worked off, and gives how long each single submit took.
pub fn work_off(server: &Server, jobs: Range<usize>) -> Vec<Duration> {
    let (tally, mut submits) = (Tally::default(), Vec::new());
    let streams: Vec<TcpStream> =
        (0..WORKERS).map(|_| TcpStream::connect(server.address()).expect("it listens")).collect();
    std::thread::scope(|scope| {
        for stream in &streams {
            let (stream, tally) = (stream.try_clone().expect("a stream"), &tally);
            scope.spawn(move || work(server, stream, tally));
        }
        let (mut next, mut submitted) = (jobs.start, 0_usize);
        while next < jobs.end {
            let end = jobs.end.min(next + BULK);
            submitted += submit(server, next..end, &mut submits);
            next = end;
            tally.until(submitted.saturating_sub(AHEAD));
        }
        tally.until(submitted);
        until_idle(server);
        tally.is_over.store(true, Ordering::Relaxed);
        streams.iter().for_each(|stream| stream.shutdown(Shutdown::Both).expect("it is open"));
    });
    submits
}

/// Submits a bulk and gives how many of its jobs are for workers.
fn submit(server: &Server, numbers: Range<usize>, submits: &mut Vec<Duration>) -> usize {
    let (bulk, single) = (numbers.start..numbers.end - SINGLE, numbers.end - SINGLE..numbers.end);
    let key = format!("bulk-{}", numbers.start);
    let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
    let body = json!({"jobs": bulk.map(|number| Fate(number).job()).collect::<Vec<_>>()}).to_string();
    let made = server.ask("POST", "/api/jobs/bulk", &headers, body.as_bytes()).ok(201);
    for number in single {
        let begun = Instant::now();
        server.post("/api/jobs", &Fate(number).job()).ok(201);
        submits.push(begun.elapsed());
    }
    let made = made["jobs"].as_array().expect("jobs");
    let nobodys: Vec<&str> =
        made.iter().filter(|job| job["kind"] == "nobodys").map(|job| job["id"].as_str().expect("an id")).collect();
    for id in &nobodys {
        server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);
        // Where all is forgotten soon, it may be gone already.
        let purged = server.post(&format!("/api/jobs/{id}/purge"), &json!({})).status;
        assert!(purged == 200 || purged == 404, "{purged}");
    }
    let passer_by = json!({"name": "passer-by", "kinds": ["nothing"], "queues": null, "concurrency": 1});
    let registered = server.post("/api/workers", &passer_by).ok(201);
    let path = format!("/api/workers/{}", registered["session"].as_str().expect("an id"));
    assert_eq!(server.ask("DELETE", &path, &[], b"").status, 204);
    numbers.len() - nobodys.len()
}

/// Waits until nothing is left to do.
fn until_idle(server: &Server) {
    loop {
        let stats = server.read("/api/stats");
        let jobs = stats["jobs"].as_object().expect("counts").iter();
        let ended = ["completed", "failed", "cancelled"];
        let active: u64 = jobs.filter(|(name, _)| !ended.contains(&name.as_str())).filter_map(|it| it.1.as_u64()).sum();
        if active == 0 {
            return;
        }
        server.read(&format!("/api/events?after={}&wait=1&limit=1", stats["seq"]));
    }
}

/// A worker over WebSocket, until its connection is shut down. Its frames are not held against schemas: other tests do.
fn work(server: &Server, stream: TcpStream, tally: &Tally) {
    let mut request = format!("ws://{}/api/worker", server.address()).into_client_request().expect("a request");
    let protocol = HeaderValue::from_static("daybook.worker.v1");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut socket, _) = tungstenite::client(request, stream).expect("the server speaks WebSocket");
    let hello = json!({"type": "hello", "name": "soak", "kinds": ["work"], "queues": null});
    let hello = json!([hello, {"type": "ready", "slots": SLOTS}]);
    socket.send(Message::text(hello.to_string())).expect("the server reads");
    loop {
        let text = match socket.read() {
            Ok(Message::Text(text)) => text,
            Ok(_) => continue,
            Err(_) if tally.is_over.load(Ordering::Relaxed) => return,
            Err(error) => panic!("the server goes on: {error}"),
        };
        let frames = match serde_json::from_str(&text).expect("is JSON") {
            Value::Array(frames) => frames,
            frame => vec![frame],
        };
        let (mut answers, mut ended) = (Vec::new(), 0);
        for frame in &frames {
            match frame["type"].as_str() {
                Some("job") => ended += usize::from(run(server, frame, &mut answers)),
                Some("ping") => answers.push(json!({"type": "pong"})),
                Some("welcome" | "submitted") => {}
                _ => panic!("{frame}"),
            }
        }
        if !answers.is_empty() {
            socket.send(Message::text(Value::from(answers).to_string())).expect("the server reads");
        }
        tally.add(ended);
    }
}

/// Runs a job, and says whether one that was submitted by the test has ended so.
fn run(server: &Server, frame: &Value, answers: &mut Vec<Value>) -> bool {
    let (id, token) = (&frame["job"]["id"], &frame["lease"]["token"]);
    let mut say = |frame_type: &str, mut more: Value| {
        (more["type"], more["job_id"], more["token"]) = (json!(frame_type), id.clone(), token.clone());
        answers.push(more);
    };
    let Some(number) = frame["job"]["args"]["n"].as_u64() else {
        say("complete", json!({"result": {"of": "a child"}}));
        return false;
    };
    let fate = Fate(number as usize);
    if fate.says_lines() {
        say(
            "log",
            json!({"lines": [{"stream": "stdout", "text": fate.text(100)}, {"stream": "stderr", "text": "so"}]}),
        );
    }
    if fate.has_child() {
        say("submit", json!({"ref": "child", "job": {"kind": "work", "args": {"of": number}, "unique_key": "one"}}));
    }
    if fate.makes_file() {
        let headers = [("content-type", "text/plain"), ("lease-token", token.as_str().expect("a token"))];
        let path = format!("/api/jobs/{}/files/out.txt", id.as_str().expect("an id"));
        assert_eq!(server.ask("PUT", &path, &headers, fate.text(1_000).as_bytes()).status, 201);
    }
    for item in frame["items"].as_array().into_iter().flatten() {
        say("item", json!({"key": item["key"], "state": "completed", "result": {"seen": item["key"]}}));
    }
    if fate.fails() || (fate.fails_once() && frame["attempt"] == 1) {
        say("fail", json!({"error": {"code": "broken", "message": "it broke", "retryable": true}}));
        return fate.fails();
    }
    let result = fate.text(if fate.has_large_result() { 10_000 } else { 150 });
    say("complete", json!({"result": {"text": result}}));
    true
}
