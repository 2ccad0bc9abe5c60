//! Kills the real server at random moments under load, starts it again, and holds it to its promises.
//!
//! Goal: every acknowledged submit and every completion that was seen is there after each kill, each once; nothing is
//! stuck; the fold of the log equals the views (E3). Method: real processes, a real directory, a real worker, SIGKILL.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long the server may take to answer `ok` after a start, and to finish what is left at the end.
const PATIENCE: Duration = Duration::from_secs(60);
const SUBMITTERS: usize = 4;
/// Each submitter stops after so many jobs a round, so that the last check stays short.
const SUBMITS_MAX: usize = 250;

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_ten_times() {
    kill_and_check(10);
}

#[test]
#[ignore = "a soak of several minutes: cargo test --release --test crash -- --ignored"]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_a_hundred_times() {
    kill_and_check(100);
}

fn kill_and_check(rounds: usize) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::default());
    for round in 0..rounds {
        let server = Server::start(directory.path());
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..SUBMITTERS)
            .map(|_| spawn_client(&server, &ledger, &stop, submit_until_stopped))
            .chain([spawn_client(&server, &ledger, &stop, watch_until_stopped)])
            .collect();
        let _ = ledger.news.lock().unwrap().1.recv_timeout(Duration::from_secs(10));
        linger(Duration::from_millis(50 + 97 * (round as u64 % 7)));
        server.kill();
        stop.store(true, Ordering::SeqCst);
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
    let server = Server::start(directory.path());
    finish_what_is_left(&server);
    check(&server, &ledger);
    server.stop();
    let verdict = Command::new(env!("CARGO_BIN_EXE_daybook"))
        .arg("verify")
        .arg("--data")
        .arg(directory.path().join("data"))
        .output()
        .unwrap();
    assert!(verdict.status.success(), "the fold equals the views (E3): {verdict:?}");
}

/// What the clients were told.
struct Ledger {
    submitted: Mutex<BTreeSet<String>>,
    completed: Mutex<BTreeSet<String>>,
    news: Mutex<(std::sync::mpsc::Sender<()>, Receiver<()>)>,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger { submitted: Mutex::default(), completed: Mutex::default(), news: Mutex::new(channel()) }
    }
}

fn spawn_client(
    server: &Server,
    ledger: &Arc<Ledger>,
    stop: &Arc<AtomicBool>,
    work: fn(&str, &Ledger, &AtomicBool),
) -> std::thread::JoinHandle<()> {
    let (url, ledger, stop) = (server.url.clone(), ledger.clone(), stop.clone());
    std::thread::spawn(move || work(&url, &ledger, &stop))
}

fn submit_until_stopped(url: &str, ledger: &Ledger, stop: &AtomicBool) {
    let news = ledger.news.lock().unwrap().0.clone();
    for number in 0..SUBMITS_MAX {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let body = json!({ "kind": "echo", "args": { "number": number } });
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
        let page = get(&server.url, "/api/jobs?state=active&limit=1").unwrap();
        let Some(job) = page["jobs"].as_array().unwrap().first().cloned() else { return };
        assert!(begun.elapsed() < PATIENCE, "nothing is stuck, and yet there is {job}");
        get(&server.url, &format!("/api/jobs/{}?wait_s=5", job["id"].as_str().unwrap())).unwrap();
    }
}

fn check(server: &Server, ledger: &Ledger) {
    let submitted = ledger.submitted.lock().unwrap().clone();
    assert!(submitted.len() > 100, "the load was real: {} jobs", submitted.len());
    for id in submitted.union(&ledger.completed.lock().unwrap()) {
        let job = get(&server.url, &format!("/api/jobs/{id}")).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(job["state"], "completed", "{job}");
        assert_eq!(job["result"], job["args"], "{job}");
        assert_eq!(job["lost_count"], 0, "a kill of the server is recorded and not counted: {job}");
        let events = get(&server.url, &format!("/api/jobs/{id}/events")).unwrap();
        let ends = events["events"].as_array().unwrap().iter().filter(|event| event["type"] == "job.completed");
        assert_eq!(ends.count(), 1, "each completion is on record once: {events}");
    }
}

fn get(url: &str, path: &str) -> Result<Value, ureq::Error> {
    ureq::get(format!("{url}{path}")).call()?.body_mut().read_json()
}

/// Lets the load run on for a random-looking while; a load test has nothing else to wait for.
fn linger(span: Duration) {
    let (_keep, never) = channel::<()>();
    assert_eq!(never.recv_timeout(span), Err(RecvTimeoutError::Timeout));
}

/// The built server as a child process.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(directory: &Path) -> Server {
        let worker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/echo_worker.py");
        let config =
            format!("[kinds.echo.run]\nmode = \"session\"\ncommand = [\"python3\", {worker:?}]\nprocesses = 2\n");
        std::fs::write(directory.join("daybook.toml"), config).unwrap();
        let log = std::fs::File::options().create(true).append(true).open(directory.join("server.log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_daybook"))
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(directory.join("daybook.toml"))
            .arg("--data")
            .arg(directory.join("data"))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        let server = Server { child, url };
        let begun = Instant::now();
        while get(&server.url, "/health").is_err() {
            assert!(begun.elapsed() < PATIENCE, "the server becomes ready");
        }
        server
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn stop(mut self) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), nix::sys::signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "SIGTERM ends in order");
    }
}
