//! What a job costs that goes to a worker elsewhere, beside the disk's own speed in the same run: how long after its
//! submit it is with an idle WebSocket worker, and how many a second go the whole way, from the submit to the completion
//! on record, with 16 workers over WebSocket and over plain HTTP.
//!
//! Starts the built server on a free loopback port with fresh data on the disk of the build; submitters and workers are
//! this program, on the same machine. Bounded: about three minutes.
//!
//! `cargo bench --bench workers`, or `cargo bench --bench workers -- pickup` (`cycle`) for the half of it; `once` is one
//! round, to take turns with something else. Figures of different runs or machines are not comparable.

#[path = "support/rates.rs"]
mod rates;
mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use rates::{Table, cycle};
use serde::Deserialize;
use support::{Client, ROUNDS, Server, Spread, directory, job};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

const WORKERS: usize = 16;
const CYCLE_JOBS: usize = 20_000;
const PICKUPS_PER_SECOND: u64 = 50;
const PICKUP_SECONDS: usize = 20;
/// How long a job may be on its way to an idle worker before the benchmark gives up.
const PICKUP_MAX: Duration = Duration::from_secs(10);
const CONFIG: &str = "[kinds.echo]\n";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let says = |part: &str| words.iter().any(|word| word == part);
    let wanted = |part: &str| says(part) || !(says("pickup") || says("cycle"));
    support::print_machine("64 submits in flight, 16 workers");
    let (runtime, mut table, mut pickups) = (support::runtime(), Table::default(), Pickups::default());
    for _ in 0..if says("once") { 1 } else { ROUNDS } {
        if wanted("pickup") {
            runtime.block_on(pickup_round(&mut pickups));
        }
        if wanted("cycle") {
            runtime.block_on(cycle_rounds(&mut table));
        }
    }
    pickups.print();
    if wanted("cycle") {
        table.print();
    }
}

async fn cycle_rounds(table: &mut Table) {
    for (name, transport) in [
        ("full cycle, 16 WebSocket workers of 1 slot", Transport::WebSocket { slots: 1 }),
        ("full cycle, 16 WebSocket workers of 8 slots", Transport::WebSocket { slots: 8 }),
        ("full cycle, 16 HTTP workers", Transport::Http),
    ] {
        let directory = directory();
        let server = Server::start(directory.path(), CONFIG);
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            match transport {
                Transport::WebSocket { slots } => {
                    let mut worker = WebSocketWorker::connect(&server.address, slots).await;
                    workers.spawn(async move { worker.serve().await });
                }
                Transport::Http => {
                    let mut worker = HttpWorker::register(&server.address).await;
                    workers.spawn(async move { worker.serve().await });
                }
            }
        }
        let measured = server.measure(directory.path(), CYCLE_JOBS, cycle(&server, CYCLE_JOBS, "echo")).await;
        assert!(workers.try_join_next().is_none(), "no worker gives up");
        table.add(name, measured);
    }
}

enum Transport {
    WebSocket { slots: usize },
    Http,
}

/// A frame as its worker gets it: of a job, all that it takes to complete it.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    job: Option<JobId<'a>>,
    lease: Option<Lease<'a>>,
}

impl<'a> Frame<'a> {
    /// The job's id and its token, if it is a job.
    fn granted(&self) -> Option<(&'a str, &'a str)> {
        self.job.as_ref().zip(self.lease.as_ref()).map(|(job, lease)| (job.id, lease.token))
    }
}

#[derive(Deserialize)]
struct JobId<'a> {
    id: &'a str,
}

#[derive(Deserialize)]
struct Lease<'a> {
    token: &'a str,
}

/// A worker over WebSocket that completes whatever it is given.
struct WebSocketWorker {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl WebSocketWorker {
    async fn connect(address: &str, slots: usize) -> WebSocketWorker {
        let mut request = format!("ws://{address}/api/worker").into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "daybook.worker.v1".parse().expect("a header"));
        let (mut socket, _) = connect_async_with_config(request, None, true).await.expect("the server listens");
        let hello = r#"{"type":"hello","name":"bench","kinds":["echo"]}"#;
        let ready = format!(r#"[{hello},{{"type":"ready","slots":{slots}}}]"#);
        socket.send(Message::text(ready)).await.expect("the server reads");
        let welcome = socket.next().await.expect("an answer").expect("a message");
        assert!(welcome.to_text().expect("text").contains("welcome"), "{welcome}");
        WebSocketWorker { socket }
    }

    /// The next message with jobs is answered with their completions. Gives the jobs and when they came.
    async fn serve_one(&mut self) -> (Vec<String>, Instant) {
        loop {
            let message = self.socket.next().await.expect("the server speaks").expect("a message");
            let came_at = Instant::now();
            let text = message.to_text().expect("text");
            let frames: Vec<Frame<'_>> = match text.starts_with('[') {
                true => serde_json::from_str(text).expect("frames"),
                false => vec![serde_json::from_str(text).expect("a frame")],
            };
            let (mut answers, mut jobs) = (Vec::new(), Vec::new());
            for frame in frames {
                let Some((id, token)) = frame.granted() else { continue };
                answers.push(format!(r#"{{"type":"complete","job_id":"{id}","token":"{token}","result":{{}}}}"#));
                jobs.push(id.to_owned());
            }
            let answer = match answers.len() {
                0 if !text.contains(r#""type":"ping""#) => continue,
                0 => r#"{"type":"pong"}"#.to_owned(),
                1 => answers.remove(0),
                _ => format!("[{}]", answers.join(",")),
            };
            self.socket.send(Message::text(answer)).await.expect("the server reads");
            if !jobs.is_empty() {
                return (jobs, came_at);
            }
        }
    }

    async fn serve(&mut self) {
        loop {
            self.serve_one().await;
        }
    }
}

/// A worker over plain HTTP that completes whatever it claims.
struct HttpWorker {
    client: Client,
    claim: String,
}

impl HttpWorker {
    async fn register(address: &str) -> HttpWorker {
        let mut client = Client::connect(address).await;
        let registration = r#"{"name":"bench","kinds":["echo"],"concurrency":1}"#;
        let (status, text) = client.request("POST", "/api/workers", "", registration).await;
        assert!(status < 300, "{text}");
        let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        HttpWorker { client, claim: serde_json::json!({ "session": answer["session"], "wait_s": 50 }).to_string() }
    }

    async fn serve(&mut self) {
        #[derive(Deserialize)]
        struct Claimed<'a> {
            #[serde(borrow)]
            jobs: Vec<Frame<'a>>,
        }
        loop {
            let (status, text) = self.client.request("POST", "/api/claim", "", &self.claim).await;
            assert!(status < 300, "{text}");
            if text.is_empty() {
                continue;
            }
            for frame in serde_json::from_str::<Claimed<'_>>(&text).expect("jobs").jobs {
                let Some((id, token)) = frame.granted() else { continue };
                let (path, token) = (format!("/api/jobs/{id}/complete"), format!("lease-token: {token}\r\n"));
                let (status, text) = self.client.request("POST", &path, &token, r#"{"result":{}}"#).await;
                assert!(status < 300, "{text}");
            }
        }
    }
}

/// Jobs at a steady pace for one idle worker.
async fn pickup_round(pickups: &mut Pickups) {
    let directory = directory();
    let server = Server::start(directory.path(), CONFIG);
    let mut worker = WebSocketWorker::connect(&server.address, 1).await;
    let (said, mut came) = mpsc::unbounded_channel();
    let mut workers = JoinSet::new();
    workers.spawn(async move {
        loop {
            let (jobs, at) = worker.serve_one().await;
            jobs.into_iter().for_each(|job| said.send((job, at)).expect("somebody listens"));
        }
    });
    let before = rates::yardstick(directory.path());
    let mut client = Client::connect(&server.address).await;
    let body = job("echo").to_string();
    let mut pace = interval(Duration::from_millis(1000 / PICKUPS_PER_SECOND));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut begun, mut answers, mut frames) = (HashMap::new(), Vec::new(), Vec::new());
    for _ in 0..PICKUPS_PER_SECOND as usize * PICKUP_SECONDS {
        pace.tick().await;
        let posted = Instant::now();
        let (status, text) = client.request("POST", "/api/jobs", "", &body).await;
        answers.push(posted.elapsed());
        assert_eq!(status, 201, "{text}");
        begun.insert(serde_json::from_str::<JobId<'_>>(&text).expect("a job").id.to_owned(), posted);
    }
    for _ in 0..begun.len() {
        let (job, at) = timeout(PICKUP_MAX, came.recv()).await.expect("jobs reach their worker").expect("a job");
        frames.push(at.duration_since(begun[&job]));
    }
    pickups.answers.push(Percentiles::of(answers));
    pickups.frames.push(Percentiles::of(frames));
    pickups.disk.extend([before, rates::yardstick(directory.path())]);
}

/// What the rounds of the pickup found.
#[derive(Default)]
struct Pickups {
    answers: Vec<Percentiles>,
    frames: Vec<Percentiles>,
    disk: Vec<f64>,
}

/// In milliseconds.
struct Percentiles {
    p50: f64,
    p99: f64,
    most: f64,
}

impl Percentiles {
    fn of(mut times: Vec<Duration>) -> Percentiles {
        times.sort();
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1000.0;
        Percentiles { p50: at(0.5), p99: at(0.99), most: at(1.0) }
    }
}

impl Pickups {
    fn print(&self) {
        let Some(disk) = Spread::of(self.disk.iter().copied()) else { return };
        println!("an idle WebSocket worker at {PICKUPS_PER_SECOND} jobs/s, in ms after the POST was begun:");
        for (name, rounds) in [("its job frame is there", &self.frames), ("the submit is answered", &self.answers)] {
            let spread = |of: fn(&Percentiles) -> f64| Spread::of(rounds.iter().map(of)).expect("a round");
            let (p50, p99, most) = (spread(|round| round.p50), spread(|round| round.p99), spread(|round| round.most));
            println!("{name:<28} p50 {p50:>18.2}  p99 {p99:>18.2}  most {most:>20.2}");
        }
        println!("beside {disk:.0} appends of 300 B with fdatasync a second, before and after");
    }
}
