//! Workers that break: connections cut in the middle of a job, claims that are forgotten, sessions that are left without a
//! word, and a server that is killed under them. Every job completes once on record, no lease is held twice, and each
//! further start has its reason in the timeline.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};
use ureq::Agent;

use crate::support::TestServer;
use crate::support::dice::Dice;
use crate::support::life::Life;

const CONFIG: &str = "lease_s = 0.6\nreconnect_grace_s = 0.3\n[kinds.churn]\nmax_lost = 100000\n";

/// What workers share: where the server is now, and whether it is over.
#[derive(Default)]
struct Shared {
    address: Mutex<String>,
    /// The server has another address.
    moved: Condvar,
    is_over: AtomicBool,
    cuts: AtomicU64,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn address(&self) -> String {
        self.address.lock().unwrap().clone()
    }

    fn move_to(&self, server: &TestServer) {
        *self.address.lock().unwrap() = server.address().to_owned();
        self.moved.notify_all();
    }

    /// Waits for another server, for a moment.
    fn wait(&self) {
        drop(self.moved.wait_timeout(self.address.lock().unwrap(), Duration::from_millis(50)).unwrap());
    }

    fn cut(&self) {
        self.cuts.fetch_add(1, Ordering::Relaxed);
    }
}

type Held = Vec<(String, String)>;

fn held_of(frame: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (text(&frame["job"]["id"]), text(&frame["lease"]["token"]))
}

fn leases(held: &Held) -> Vec<Value> {
    held.iter().map(|(job, token)| json!({"job_id": job, "token": token})).collect()
}

/// A worker over WebSocket that loses its connection again and again, and comes back or does not.
fn over_socket(shared: &Shared, mut dice: Dice) {
    let (mut session, mut held) = (Value::Null, Held::new());
    while shared.goes_on() {
        // Whatever breaks here is what the test is about.
        let _ = one_connection(shared, &mut dice, &mut session, &mut held);
    }
}

fn one_connection(
    shared: &Shared,
    dice: &mut Dice,
    session: &mut Value,
    held: &mut Held,
) -> Result<(), Box<dyn std::error::Error>> {
    let address = shared.address();
    let Ok(stream) = TcpStream::connect(&address) else {
        shared.wait();
        return Ok(());
    };
    shared.cut();
    if dice.one_in(4) {
        (*session, *held) = (Value::Null, Held::new());
    }
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let (mut socket, _) =
        tungstenite::client(format!("ws://{address}/api/worker"), stream).map_err(|error| error.to_string())?;
    let resume = if session.is_null() { Value::Null } else { json!({"session": session, "leases": leases(held)}) };
    say(
        &mut socket,
        &json!([
            {"type": "hello", "name": "churn", "kinds": ["churn"], "resume": resume}, {"type": "ready", "slots": 3}
        ]),
    )?;
    while shared.goes_on() {
        // What was held before the connection broke is ended over the new one, now and then.
        if !held.is_empty() && dice.one_in(2) {
            end(&mut socket, held)?;
        }
        let Message::Text(text) = socket.read()? else { continue };
        let frames: Value = serde_json::from_str(&text)?;
        let frames = frames.as_array().cloned().unwrap_or(vec![frames]);
        for frame in &frames {
            match frame["type"].as_str().expect("a type") {
                "welcome" => *session = frame["session"].clone(),
                "job" => held.push(held_of(frame)),
                "lost" => held.retain(|(job, _)| *job != frame["job_id"]),
                "ping" => say(&mut socket, &json!({"type": "pong"}))?,
                _ => {}
            }
        }
        if dice.one_in(12) {
            return Ok(());
        }
        if !held.is_empty() && !dice.one_in(5) {
            end(&mut socket, held)?;
        }
    }
    Ok(())
}

fn end(socket: &mut WebSocket<TcpStream>, held: &mut Held) -> Result<(), tungstenite::Error> {
    let (job, token) = held.pop().expect("something is held");
    say(socket, &json!({"type": "complete", "job_id": job, "token": token, "result": {"by": "ws"}}))
}

fn say(socket: &mut WebSocket<TcpStream>, frames: &Value) -> Result<(), tungstenite::Error> {
    socket.send(Message::text(frames.to_string()))
}

/// A worker over plain HTTP that forgets claims, beats or sessions.
fn over_calls(shared: &Shared, mut dice: Dice) {
    let config = Agent::config_builder().timeout_global(Some(Duration::from_secs(10)));
    let agent = config.build().new_agent();
    let ask = |path: &str, token: &str, body: Value| -> Option<Value> {
        let url = format!("http://{}{path}", shared.address());
        let sent = agent.post(url).header("lease-token", token).send_json(body).ok()?;
        sent.into_body().read_json().ok().or(Some(Value::Null))
    };
    let (mut session, mut held) = (Value::Null, Held::new());
    while shared.goes_on() {
        if session.is_null() || dice.one_in(20) {
            let worker = json!({"name": "churn", "kinds": ["churn"], "concurrency": 2});
            session = ask("/api/workers", "", worker).map_or(Value::Null, |it| it["session"].clone());
            if session.is_null() {
                shared.wait();
                continue;
            }
        }
        match ask("/api/heartbeat", "", json!({"session": session, "leases": leases(&held)})) {
            Some(beat) => held.retain(|(job, _)| !beat["lost"].as_array().is_some_and(|it| it.contains(&json!(job)))),
            None => session = Value::Null,
        }
        let claimed = ask("/api/claim", "", json!({"session": session, "max": 2, "wait_s": 0.2}));
        let jobs = claimed.map_or(Value::Null, |it| it["jobs"].clone());
        held.extend(jobs.as_array().into_iter().flatten().map(held_of));
        if dice.one_in(8) {
            held.pop();
            shared.cut();
        }
        // The last is worked on for longer than this round.
        while held.len() > usize::from(dice.one_in(3)) {
            let (job, token) = held.pop().expect("something is held");
            // An answer that did not come may mean that it was done: the same call is made again.
            let path = format!("/api/jobs/{job}/complete");
            let done = ask(&path, &token, json!({"result": {"by": "http"}}));
            if done.is_none() && dice.one_in(2) {
                ask(&path, &token, json!({"result": {"by": "http"}}));
            }
        }
    }
}

#[test]
fn whatever_breaks_every_job_completes_once_and_each_start_has_its_reason() {
    churn(300, 20_261_122);
}

#[test]
#[ignore = "takes minutes: five seeds, and five thousand jobs each"]
fn whatever_breaks_for_long_every_job_completes_once() {
    (1..=5).for_each(|seed| churn(5_000, seed * 7919));
}

fn churn(jobs: usize, seed: u64) {
    let mut server = TestServer::with_config(CONFIG);
    let shared = Arc::new(Shared::default());
    shared.move_to(&server);
    let workers: Vec<_> = (1..=8)
        .map(|number| {
            let (shared, dice) = (shared.clone(), Dice::new(seed * number));
            std::thread::spawn(move || match number % 2 {
                0 => over_socket(&shared, dice),
                _ => over_calls(&shared, dice),
            })
        })
        .collect();
    let mut ids = Vec::new();
    for part in 0..3 {
        let batch: Vec<Value> = (0..jobs / 3).map(|n| json!({"kind": "churn", "args": {"n": n}})).collect();
        for bulk in batch.chunks(1000) {
            let made = server.post("/api/jobs/bulk", &json!({"jobs": bulk})).ok(201);
            let made = made["jobs"].as_array().expect("jobs").iter();
            ids.extend(made.map(|job| job["id"].as_str().expect("an id").to_owned()));
        }
        if part < 2 {
            server.finished(&ids[ids.len() - jobs / 6]);
            server = server.kill_and_restart();
            shared.move_to(&server);
        }
    }
    for id in &ids {
        let job = server.finished(id);
        assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(1)), "{job}");
    }
    shared.is_over.store(true, Ordering::Relaxed);
    workers.into_iter().for_each(|worker| worker.join().expect("a worker does not panic"));
    let lives: Vec<Life> =
        ids.iter().map(|id| Life::of_completed(&server.get(&format!("/api/jobs/{id}/events")).ok(200))).collect();
    let (again, adopted) = lives.iter().fold((0, 0), |sum, life| (sum.0 + life.again(), sum.1 + life.adopted));
    let cuts = shared.cuts.load(Ordering::Relaxed);
    println!("seed {seed}: {jobs} jobs, {cuts} breaks, {again} further runs, {adopted} adoptions");
    assert!(shared.cuts.load(Ordering::Relaxed) > 10, "something broke");
    assert_eq!(server.get("/api/jobs?state=active").ok(200)["jobs"], json!([]));
}
