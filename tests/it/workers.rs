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

/// Each kind but `sound` does what no program should.
const UNRULY: &str = r#"
[kinds.sound.run]
command = ['sh', '-c', 'echo true']

[kinds.garbage.run]
command = ['sh', '-c', """head -c 2000000 /dev/zero | tr '\\0' x; echo; head -c 500 /dev/urandom; echo; echo '{no json'"""]

[kinds.quits.run]
command = ['sh', '-c', 'exit 3']

[kinds.forks.run]
command = ['sh', '-c', 'sleep 600 & echo 1']

[kinds.stubborn.run]
command = ['sh', '-c', '''trap "" TERM; echo up; while :; do sleep 1; done''']
grace_s = 0.1

[kinds.dies.run]
mode = 'session'
command = ['sh', '-c', 'exit 1']
"#;

#[test]
fn what_unruly_programs_do_is_told_and_nothing_else_suffers() {
    let server = TestServer::with_config(UNRULY);
    let submit = |kind: &str| server.submit(&json!({"kind": kind, "args": {}, "max_attempts": 1}));
    let [garbage, quits, forks, stubborn, dies] = ["garbage", "quits", "forks", "stubborn", "dies"].map(submit);
    let lines = |id: &str| server.get(&format!("/api/jobs/{id}/logs")).ok(200)["lines"].clone();
    for _ in 0..5 {
        assert_eq!(server.finished(&submit("sound"))["result"], true);
    }

    let ended = server.finished(&garbage);
    assert_eq!((ended["state"].as_str(), &ended["result"]), (Some("completed"), &Value::Null));
    let first = lines(&garbage)[0]["text"].as_str().expect("a text").to_owned();
    assert!(first.starts_with("xxx") && first.ends_with("[cut: the line had 2000000 bytes]"));
    let ended = server.finished(&quits);
    assert_eq!((ended["state"].as_str(), ended["error"]["code"].as_str()), (Some("failed"), Some("exit_status")));
    assert!(ended["error"]["message"].as_str().is_some_and(|text| text.contains("exit status 3")), "{ended}");
    assert_eq!(server.finished(&forks)["result"], 1, "its child is not waited for");
    while lines(&stubborn).as_array().is_none_or(Vec::is_empty) {
        std::thread::yield_now();
    }
    server.post(&format!("/api/jobs/{stubborn}/cancel"), &json!({})).ok(200);
    assert_eq!(server.finished(&stubborn)["state"], "cancelled");
    let why = || server.get(&format!("/api/jobs/{dies}/why")).ok(200)["sentence"].as_str().expect("a text").to_owned();
    while !why().starts_with("No worker runs the kind dies now: dies/1 ended before it said hello (exit status 1)") {
        std::thread::yield_now();
    }

    assert_eq!(server.finished(&submit("sound"))["result"], true);
    assert_eq!(server.get("/health").ok(200)["status"], "ok");
}

#[test]
fn a_program_that_lives_is_not_lost_however_long_it_says_nothing() {
    let own = tempfile::tempdir().expect("a directory");
    let session = r#"
import json, sys, time
print(json.dumps({"type": "hello"})); print(json.dumps({"type": "ready", "slots": 1}), flush=True)
for frame in map(json.loads, sys.stdin):
    if frame["type"] == "job":
        time.sleep(1)
        end = {"type": "complete", "job_id": frame["job"]["id"], "token": frame["lease"]["token"], "result": True}
        print(json.dumps(end), flush=True)
"#;
    let config = "lease_s = 0.1\n[kinds.command.run]\ncommand = [\"sh\", \"-c\", \"sleep 1; echo true\"]\n\
                  [kinds.session.run]\nmode = \"session\"\ncommand = [\"python3\", \"silent.py\"]\n";
    std::fs::write(own.path().join("silent.py"), session).expect("writes");
    std::fs::write(own.path().join("daybook.toml"), config).expect("writes");
    let server = TestServer::owning(own);
    for id in ["command", "session"].map(|kind| server.submit(&json!({"kind": kind, "args": {}}))) {
        let job = server.finished(&id);
        assert_eq!(
            (&job["result"], &job["attempt"], &job["lost_count"]),
            (&json!(true), &json!(1), &json!(0)),
            "{job}"
        );
    }
}
