//! What is published is what is sent: a job is led through every transition and each event held against its schema; a
//! worker records each frame that it hears and says.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::remote::Caller;
use crate::support::shapes::Shapes;
use crate::support::worker;
use crate::support::worker::Hold;

/// One grey pixel.
const PICTURE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";

/// A server with the worker of the other tests, and kinds whose attempts follow at once.
fn server(more: &str) -> TestServer {
    let own = tempfile::tempdir().expect("a directory");
    worker::prepare(own.path());
    std::fs::write(own.path().join("daybook.toml"), worker::config() + more).expect("writes");
    TestServer::owning(own)
}

/// The types of the events of a job, each held against its schema (as each answer is).
fn types(server: &TestServer, id: &str) -> Vec<String> {
    let events = server.get(&format!("/api/jobs/{id}/events")).ok(200);
    let events = events["events"].as_array().expect("a list");
    events.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
}

#[test]
fn every_event_of_a_job_is_as_it_is_described() {
    let again =
        "[kinds.again]\nmax_attempts = 2\nbackoff_s = 0.1\n[kinds.again.run]\ncommand = [\"python3\", \"act.py\"]\n";
    let server = server(again);
    let jobs =
        [ran_through(&server), stopped(&server), waited(&server), never_ran(&server), came_back(&server)].concat();
    let seen: BTreeSet<String> = jobs.iter().flat_map(|id| types(&server, id)).collect();
    let described = Shapes::of_events().names().filter_map(|name| name.strip_suffix(".json"));
    let of_jobs: BTreeSet<String> = described.filter(|name| name.starts_with("job.")).map(str::to_owned).collect();
    let unseen: Vec<&String> = of_jobs.difference(&seen).collect();
    assert!(unseen.is_empty(), "every event was seen, but not {unseen:?}");
}

/// Delayed, lost, failed, tried again, completed; with all that a run can leave.
fn ran_through(server: &TestServer) -> Vec<String> {
    let hold = Hold::new(server, "through");
    let args = json!({"die": 1, "fail": 1, "preview": PICTURE, "log": "hello", "checkpoint": {"page": 17},
        "add": "c", "hold": "through", "output": "made.txt", "result": {"n": 1}, "record": "through.jsonl",
        "submit": {"kind": "remote", "args": {}}});
    let items = json!([{"key": "a", "args": {"n": 1}}, {"key": "b"}]);
    let job = json!({"kind": "again", "args": args, "items": items, "delay_s": 0.1, "timeout_s": 60, "tags": ["t"]});
    let id = server.submit(&job);
    let token = hold.token();
    hold.let_go();
    let job = server.finished(&id);
    assert_eq!((job["state"].as_str(), &job["lost_count"], &job["attempt"]), (Some("completed"), &json!(1), &json!(2)));
    let seen = recorded(&server.directory().join("through.jsonl"));
    for said in ["progress", "item", "add_items", "submit", "checkpoint"] {
        assert!(seen.contains(&format!("command-to-server {said}")), "{said} was said: {seen:?}");
    }
    let late = [("lease-token", token.as_str()), ("content-type", "text/plain")];
    server.ask("PUT", &format!("/api/jobs/{id}/files/late.txt"), &late, b"late").refused(409, "lease_lost");
    vec![id]
}

/// Asked to stop while it runs; and one that failed, was changed, and run again by hand.
fn stopped(server: &TestServer) -> Vec<String> {
    let hold = Hold::new(server, "stopped");
    let held = server.submit(&json!({"kind": "act", "args": {"hold": "stopped"}}));
    hold.token();
    server.post(&format!("/api/jobs/{held}/cancel"), &json!({})).ok(200);
    assert_eq!(server.finished(&held)["state"], "cancelled");
    let failed = server.submit(&json!({"kind": "act", "args": {"exit": 3}}));
    assert_eq!(server.finished(&failed)["state"], "failed");
    server.post(&format!("/api/jobs/{failed}/retry"), &json!({})).ok(200);
    server.finished(&failed);
    vec![held, failed]
}

/// Waited for another job, and then for its time.
fn waited(server: &TestServer) -> Vec<String> {
    let jobs = json!({"jobs": [
        {"kind": "act", "args": {}, "ref": "first"},
        {"kind": "act", "args": {}, "depends_on": ["#first"], "unique_key": "one"},
        {"kind": "remote", "args": {}, "depends_on": ["#first"], "delay_s": 3600}
    ]});
    let made = server.post("/api/jobs/bulk", &jobs).ok(201);
    let ids: Vec<String> = made["jobs"].as_array().expect("jobs").iter().map(id_of).collect();
    assert_eq!(server.finished(&ids[1])["state"], "completed");
    // The same commit that settled the second settled the third, or one that follows at once.
    while server.get(&format!("/api/jobs/{}", ids[2])).ok(200)["state"] == "blocked" {
        std::thread::yield_now();
    }
    ids
}

/// Changed while it waited, and cancelled with what waited for it.
fn never_ran(server: &TestServer) -> Vec<String> {
    let first = server.submit(&json!({"kind": "remote", "args": {}}));
    let second = server.submit(&json!({"kind": "remote", "args": {}, "depends_on": [first], "parent_id": first}));
    let change = br#"{"priority": 3, "tags": ["later"], "scheduled_at": "2999-01-01T00:00:00+01:00"}"#;
    server.ask("PATCH", &format!("/api/jobs/{first}"), &[("content-type", "application/json")], change).ok(200);
    server.post(&format!("/api/jobs/{first}/cancel"), &json!({})).ok(200);
    assert_eq!(server.finished(&second)["reason"], "dependency_failed");
    let why = server.get(&format!("/api/jobs/{second}/why")).ok(200);
    assert_eq!(why["facts"]["waits_for"], json!([first]));
    assert!(why["sentence"].as_str().is_some_and(|text| text.contains(&first)), "{why}");
    vec![first, second]
}

/// Taken over by the next session of its worker, and purged in the end.
fn came_back(server: &TestServer) -> Vec<String> {
    let id = server.submit(&json!({"kind": "elsewhere", "args": {}}));
    let lease = Caller::register(server, "elsewhere", 1).job();
    Caller::register(server, "elsewhere", 1).beat(&[&lease]).ok(200);
    lease.call(server, "complete", &json!({})).ok(200);
    server.post(&format!("/api/jobs/{id}/purge"), &json!({})).ok(200);
    vec![id]
}

fn id_of(job: &Value) -> String {
    job["id"].as_str().expect("an id").to_owned()
}

/// Waits until a job has made progress.
fn until_it_says_something(server: &TestServer, id: &str) {
    while server.get(&format!("/api/jobs/{id}")).ok(200)["progress"].is_null() {
        std::thread::yield_now();
    }
}

/// The frames in a worker's record, by direction and type, each held against the schema of its direction.
fn recorded(path: &Path) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for line in std::io::BufReader::new(std::fs::File::open(path).expect("it was written")).lines() {
        let noted: Value = serde_json::from_str(&line.expect("reads")).expect("is JSON");
        let (direction, frame) = (noted["direction"].as_str().expect("a text"), &noted["frame"]);
        // What is said to be refused is in no schema.
        if frame["type"] != "nonsense" {
            Shapes::of_frames().check(&format!("{direction}.json"), frame);
            seen.insert(format!("{direction} {}", frame["type"].as_str().expect("a type")));
        }
    }
    seen
}

const RECORDER: &str = include_str!("../fixtures/recording_worker.py");

#[test]
fn every_frame_between_server_and_session_is_as_it_is_described() {
    let run = "[kinds.recorded]\nmax_attempts = 1\n[kinds.recorded.run]\nmode = \"session\"\n\
        command = [\"python3\", \"recorder.py\"]\ngrace_s = 5\n";
    let own = tempfile::tempdir().expect("a directory");
    std::fs::write(own.path().join("daybook.toml"), run).expect("writes");
    std::fs::write(own.path().join("recorder.py"), RECORDER).expect("writes");
    let record = own.path().join("frames.jsonl");
    mkfifo(&own.path().join("recorder.end"), Mode::S_IRWXU).expect("a pipe");
    let server = TestServer::in_directory(own.path());

    let submit = |args: Value, items: Value| server.submit(&json!({"kind": "recorded", "args": args, "items": items}));
    let whole = submit(json!({"end": "complete"}), json!([{"key": "a", "args": [1]}]));
    assert_eq!(server.finished(&whole)["state"], "completed");
    let failed = submit(json!({"end": "fail"}), json!([]));
    assert_eq!(server.finished(&failed)["error"]["code"], "no_luck");
    let returned = submit(json!({"end": "release"}), json!([]));
    assert_eq!(server.finished(&returned)["state"], "completed");
    let stopped = submit(json!({"end": "wait"}), json!([]));
    until_it_says_something(&server, &stopped);
    server.post(&format!("/api/jobs/{stopped}/cancel"), &json!({})).ok(200);
    assert_eq!(server.finished(&stopped)["state"], "cancelled");
    // A changed kind retires its workers: they are told to be quiet, and when they hold nothing more, to go.
    until_it_says_something(&server, &submit(json!({"end": "wait"}), json!([])));
    std::fs::write(own.path().join("daybook.toml"), run.replace("grace_s = 5", "grace_s = 6")).expect("writes");
    kill(Pid::from_raw(server.process() as i32), Signal::SIGHUP).expect("it runs");
    assert_eq!(std::fs::read_to_string(own.path().join("recorder.end")).expect("a pipe"), "terminate");

    let seen = recorded(&record);
    for said in [
        "hello",
        "ready",
        "progress",
        "log",
        "checkpoint",
        "item",
        "add_items",
        "submit",
        "complete",
        "fail",
        "release",
    ] {
        assert!(seen.contains(&format!("worker-to-server {said}")), "{said} was said: {seen:?}");
    }
    for heard in ["welcome", "job", "submitted", "error", "cancel", "quiet", "terminate"] {
        assert!(seen.contains(&format!("server-to-worker {heard}")), "{heard} was heard: {seen:?}");
    }
}
