//! Workers as child processes, seen from outside: what became of them, and what late ones may still do.

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::worker::{self, Hold};

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn a_program_that_cannot_be_started_is_told_to_who_asks_why_nothing_runs() {
    let server = TestServer::with_config(
        "[kinds.lost.run]\nmode = \"session\"\ncommand = [\"no-such-program-at-all\"]\nprocesses = 2\n",
    );
    let restarting = loop {
        let workers = server.get("/api/workers").ok(200);
        match workers["restarting"].as_array().expect("a list") {
            restarting if restarting.len() == 2 => break restarting.clone(),
            _ => std::thread::yield_now(),
        }
    };
    let detail = restarting[0]["detail"].as_str().expect("a text");
    assert_eq!(restarting[0]["name"], "lost/1");
    assert!(detail.starts_with("was not started: the program \"no-such-program-at-all\" was not found"), "{detail}");
    let id = server.submit(&json!({"kind": "lost", "args": {}}));
    let why = server.get(&format!("/api/jobs/{id}/why")).ok(200);
    let sentence = why["sentence"].as_str().expect("a text");
    assert!(sentence.starts_with("No worker runs the kind lost now: lost/1 was not started"), "{sentence}");
    assert_eq!(why["facts"]["restarting"].as_array().expect("a list").len(), 2);
}

#[test]
fn what_a_worker_says_after_its_run_is_refused_and_kept_in_the_timeline() {
    let server = worker::server();
    let hold = Hold::new(&server, "late");
    let id = server.submit(&json!({"kind": "act", "args": {"hold": "late"}}));
    let token = hold.token();
    hold.let_go();
    assert_eq!(server.finished(&id)["state"], "completed");
    let lease = ("lease-token", token.as_str());
    let file = format!("/api/jobs/{id}/files/late.txt");
    server.ask("PUT", &file, &[lease, ("content-type", "text/plain")], b"late").refused(409, "lease_lost");
    let child = br#"{"kind": "act", "args": {}}"#;
    server.ask("POST", "/api/jobs", &[lease, JSON], child).refused(409, "lease_lost");
    let events = server.get(&format!("/api/jobs/{id}/events")).ok(200);
    let events = events["events"].as_array().expect("a list").clone();
    let late: Vec<&Value> = events.iter().filter(|event| event["type"] == "job.late_result").collect();
    assert_eq!(late.len(), 1, "a file names its job, a submit only its token: {events:#?}");
    assert_eq!(late[0]["data"]["call"], "file");
    assert_eq!(server.get("/api/jobs").ok(200)["jobs"].as_array().expect("a list").len(), 1);
}

#[test]
fn the_log_of_a_cancelled_job_says_so_and_never_has_its_token() {
    let own = tempfile::tempdir().expect("a directory");
    let script = r#"
import json, os, sys
print(json.dumps({"type": "hello"})); print(json.dumps({"type": "ready", "slots": 1}), flush=True)
for line in sys.stdin:
    frame = json.loads(line)
    if frame["type"] == "job":
        os.write(2, line.encode())
    if frame["type"] == "cancel":
        os._exit(0)
"#;
    let config = "[kinds.slow.run]\nmode = \"session\"\ncommand = [\"python3\", \"slow.py\"]\n";
    std::fs::write(own.path().join("slow.py"), script).expect("writes");
    std::fs::write(own.path().join("daybook.toml"), config).expect("writes");
    let server = TestServer::owning(own);
    let id = server.submit(&json!({"kind": "slow", "args": {}}));
    let lines = || {
        let logs = server.get(&format!("/api/jobs/{id}/logs")).ok(200);
        let lines = logs["lines"].as_array().expect("a list").iter();
        lines.map(|line| line["text"].as_str().expect("a text").to_owned()).collect::<Vec<String>>()
    };
    while lines().is_empty() {
        std::thread::yield_now();
    }
    assert!(lines()[0].contains(r#""token":"[lease token]""#), "{:?}", lines());
    server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);
    assert_eq!(server.finished(&id)["state"], "cancelled");
    let lines = lines().join("\n");
    assert!(lines.contains("told to stop (requested)") && !lines.contains("is lost"), "{lines}");
    assert!(lines.contains("it was told to stop, and is cancelled"), "{lines}");
}

#[test]
fn a_child_that_is_told_to_go_and_stays_is_ended_and_started_again() {
    let own = tempfile::tempdir().expect("a directory");
    let script = r#"
import json, sys
print(json.dumps({"type": "hello"})); print(json.dumps({"type": "ready", "slots": 1}), flush=True)
for line in sys.stdin:
    pass
"#;
    let config = "[kinds.stays.run]\nmode = \"session\"\ncommand = [\"python3\", \"stays.py\"]\ngrace_s = 0.1\n";
    std::fs::write(own.path().join("stays.py"), script).expect("writes");
    std::fs::write(own.path().join("daybook.toml"), config).expect("writes");
    let server = TestServer::owning(own);
    let session_but = |gone: &Value| loop {
        let session = server.get("/api/workers").ok(200)["workers"][0]["session"].clone();
        if !session.is_null() && session != *gone {
            return session;
        }
        std::thread::yield_now();
    };
    let first = session_but(&Value::Null);
    let path = format!("/api/workers/{}/terminate", first.as_str().expect("an id"));
    assert_eq!(server.post(&path, &json!({})).ok(200)["state"], "terminate");
    session_but(&first);
}
