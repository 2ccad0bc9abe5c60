//! Kills the real server at random moments under load, starts it again, and holds it to its promises.
//!
//! Goal: every acknowledged submit and every completion that was seen is there after each kill, each once; nothing is
//! stuck; the fold of the log equals the views (E3). Method: real processes, a real directory, a real worker, SIGKILL.

#[allow(dead_code, reason = "each test program uses a part of what they share")]
#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::server::{PATIENCE, Server, Start, echo_kind, linger, verify};

const SUBMITTERS: usize = 4;
/// Each submitter stops after so many jobs a round, so that the last check stays short.
const SUBMITS_MAX: usize = 250;
/// Small segments, which go as soon as they are full.
const TRIMMED: &str = "segment_bytes = 4194304\n[retention]\nlog_bytes = 1\nevery_s = 0.1";

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_ten_times() {
    kill_and_check(10, &Load::default());
}

#[test]
fn nothing_that_is_known_is_lost_when_the_server_is_killed_while_it_drops_segments() {
    let load = Load { config: TRIMMED, bytes: 6_000 };
    assert!(kill_and_check(6, &load) > 1, "the first segment is gone");
}

#[test]
#[ignore = "a soak of several minutes: cargo test --release --test crash -- --ignored"]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_a_hundred_times() {
    kill_and_check(100, &Load::default());
}

/// What is different from run to run.
#[derive(Default)]
struct Load {
    config: &'static str,
    /// How much each job carries.
    bytes: usize,
}

/// Gives with which event the log begins in the end.
fn kill_and_check(rounds: usize, load: &Load) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger { text: "x".repeat(load.bytes), ..Ledger::default() });
    for round in 0..rounds {
        let server = start(directory.path(), load.config);
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..SUBMITTERS)
            .map(|_| spawn_client(&server, &ledger, &stop, submit_until_stopped))
            .chain([spawn_client(&server, &ledger, &stop, watch_until_stopped)])
            .collect();
        let _ = ledger.news.lock().unwrap().1.recv_timeout(Duration::from_secs(10));
        // A load test has nothing else to wait for.
        linger(a_while(round));
        server.kill();
        stop.store(true, Ordering::SeqCst);
        clients.into_iter().for_each(|client| client.join().unwrap());
        if round % 3 == 0 {
            check_files(directory.path(), "a kill damages nothing");
        }
    }
    let server = start(directory.path(), load.config);
    finish_what_is_left(&server);
    check(&server, &ledger);
    let earliest = server.read("/api/events?limit=1")["earliest"].as_u64().unwrap();
    assert!(server.stop().success(), "SIGTERM ends in order");
    check_files(directory.path(), "the fold equals the views (E3), and every file is as it was written");
    earliest
}

fn check_files(directory: &Path, what: &str) {
    let (code, said) = verify(&directory.join("data"));
    assert_eq!(code, Some(0), "{what}: {said}");
}

fn start(directory: &Path, config: &str) -> Server {
    std::fs::write(directory.join("daybook.toml"), format!("{config}\n{}", echo_kind(2))).unwrap();
    Start::in_directory(directory, Path::new("data")).ready()
}

/// What the clients were told.
struct Ledger {
    /// What each job carries.
    text: String,
    submitted: Mutex<BTreeSet<String>>,
    completed: Mutex<BTreeSet<String>>,
    news: Mutex<(std::sync::mpsc::Sender<()>, Receiver<()>)>,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger {
            text: String::new(),
            submitted: Mutex::default(),
            completed: Mutex::default(),
            news: Mutex::new(channel()),
        }
    }
}

fn spawn_client(
    server: &Server,
    ledger: &Arc<Ledger>,
    stop: &Arc<AtomicBool>,
    work: fn(&str, &Ledger, &AtomicBool),
) -> std::thread::JoinHandle<()> {
    let (url, ledger, stop) = (server.at(""), ledger.clone(), stop.clone());
    std::thread::spawn(move || work(&url, &ledger, &stop))
}

fn submit_until_stopped(url: &str, ledger: &Ledger, stop: &AtomicBool) {
    let news = ledger.news.lock().unwrap().0.clone();
    for number in 0..SUBMITS_MAX {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let body = json!({ "kind": "echo", "args": { "number": number, "text": ledger.text } });
        let Ok(mut answer) = ureq::post(format!("{url}/api/jobs")).send_json(&body) else { return };
        let Ok(job) = answer.body_mut().read_json::<Value>() else { return };
        ledger.submitted.lock().unwrap().insert(job["id"].as_str().unwrap().to_owned());
        let _ = news.send(());
    }
}

fn watch_until_stopped(url: &str, ledger: &Ledger, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        let Ok(page) = get(url, "/api/jobs?state=completed&limit=500") else { return };
        let ids = page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned());
        ledger.completed.lock().unwrap().extend(ids);
    }
}

fn finish_what_is_left(server: &Server) {
    let begun = Instant::now();
    loop {
        let page = server.read("/api/jobs?state=active&limit=1");
        let Some(job) = page["jobs"].as_array().unwrap().first().cloned() else { return };
        assert!(begun.elapsed() < PATIENCE, "nothing is stuck, and yet there is {job}");
        server.read(&format!("/api/jobs/{}?wait_s=5", job["id"].as_str().unwrap()));
    }
}

fn check(server: &Server, ledger: &Ledger) {
    let submitted = ledger.submitted.lock().unwrap().clone();
    assert!(submitted.len() > 100, "the load was real: {} jobs", submitted.len());
    for id in submitted.union(&ledger.completed.lock().unwrap()) {
        let job = server.read(&format!("/api/jobs/{id}"));
        assert_eq!(job["state"], "completed", "{job}");
        assert_eq!(job["result"], job["args"], "{job}");
        assert_eq!(job["lost_count"], 0, "a kill of the server is recorded and not counted: {job}");
        let events = server.read(&format!("/api/jobs/{id}/events"));
        let ends = events["events"].as_array().unwrap().iter().filter(|event| event["type"] == "job.completed");
        let is_listed = job["seq"].as_u64() >= events["earliest"].as_u64();
        assert_eq!(ends.count(), usize::from(is_listed), "each completion is on record once: {events}");
    }
}

fn get(url: &str, path: &str) -> Result<Value, ureq::Error> {
    ureq::get(format!("{url}{path}")).call()?.body_mut().read_json()
}

/// How long the load runs before a kill: by chance, so that in many runs no moment is spared.
fn a_while(round: usize) -> Duration {
    let span = Duration::from_micros(RandomState::new().hash_one(round) % 700_000);
    println!("round {round}: killed {span:?} after the first news");
    span
}
