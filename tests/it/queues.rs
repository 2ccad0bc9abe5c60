//! Queues under load: rates, limits, priorities, pauses and drains, told from the log's own events.

use std::collections::BTreeMap;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::worker::Hold;
use crate::support::{TestServer, worker};

/// A session that holds many jobs at once, each for a moment; the waiting is the worker's, not the test's.
const SESSION: &str = r#"
import json, sys, threading

lock = threading.Lock()

def say(**frame):
    with lock:
        print(json.dumps(frame), flush=True)

say(type="hello")
say(type="ready", slots=8)
for line in sys.stdin:
    heard = json.loads(line)
    for frame in heard if isinstance(heard, list) else [heard]:
        if frame["type"] == "job":
            done = dict(type="complete", job_id=frame["job"]["id"], token=frame["lease"]["token"], result=None)
            threading.Timer(0.02, say, kwargs=done).start()
        elif frame["type"] == "ping":
            say(type="pong")
        elif frame["type"] == "terminate":
            sys.exit()
"#;

/// The kinds `a` and `b`, of which so many may run at once, and `quick`.
const KINDS: &str = r#"
[kinds.quick.run]
mode = "session"
command = ["python3", "session.py"]
[kinds.a]
concurrency = 2
[kinds.a.run]
mode = "session"
command = ["python3", "session.py"]
[kinds.b.run]
mode = "session"
command = ["python3", "session.py"]
"#;

fn server(queues: &str) -> TestServer {
    let own = tempfile::tempdir().expect("a directory");
    std::fs::write(own.path().join("session.py"), SESSION).expect("writes");
    std::fs::write(own.path().join("daybook.toml"), format!("{KINDS}{queues}")).expect("writes");
    TestServer::owning(own)
}

fn submit_all(server: &TestServer, jobs: &[Value]) -> Vec<String> {
    let answer = server.post("/api/jobs/bulk", &json!({"jobs": jobs})).ok(201);
    answer["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
}

/// The events of one type of jobs: seq, moment in milliseconds, and the place of the job.
fn events(server: &TestServer, ids: &[String], wanted: &str) -> Vec<(u64, i64, usize)> {
    let mut found = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        let events = server.get(&format!("/api/jobs/{id}/events")).ok(200)["events"].clone();
        for event in events.as_array().expect("events").iter().filter(|event| event["type"] == wanted) {
            let at: jiff::Timestamp = event["at"].as_str().expect("a time").parse().expect("RFC 3339");
            found.push((event["seq"].as_u64().expect("a seq"), at.as_millisecond(), place));
        }
    }
    found.sort_unstable();
    found
}

/// In any window so many start at once, and so many a minute.
fn check_rate(starts: &[(u64, i64, usize)], burst: i64, per_minute: i64) {
    for (place, first) in starts.iter().enumerate() {
        for (more, last) in starts[place..].iter().enumerate() {
            let most = burst * 60_000 + per_minute * (last.1 - first.1);
            assert!((more as i64 + 1) * 60_000 <= most, "{} starts in {} ms: {starts:?}", more + 1, last.1 - first.1);
        }
    }
}

fn queue(server: &TestServer, name: &str) -> Value {
    let queues = server.get("/api/queues").ok(200)["queues"].clone();
    let found = queues.as_array().expect("queues").iter().find(|queue| queue["name"] == name);
    found.unwrap_or_else(|| panic!("no queue {name} in {queues}")).clone()
}

#[test]
fn a_queue_with_a_rate_starts_no_more_than_a_burst_and_what_the_rate_brings() {
    let server = server("[queues.drip]\nrate = \"5/s\"");
    let jobs = vec![json!({"kind": "quick", "args": {}, "queue": "drip"}); 15];
    let ids = submit_all(&server, &jobs);
    ids.iter().for_each(|id| assert_eq!(server.finished(id)["state"], "completed"));
    let starts = events(&server, &ids, "job.started");
    assert_eq!(starts.len(), ids.len());
    check_rate(&starts, 5, 300);
    assert!(starts[14].1 - starts[0].1 >= 2000, "ten jobs after the first five take two seconds");
    assert_eq!(queue(&server, "drip")["rate"], "5/s");
}

#[test]
fn a_restart_keeps_what_a_rate_has_given_out() {
    let server = server("[queues.drip]\nrate = \"30/m\"");
    let jobs = vec![json!({"kind": "quick", "args": {}, "queue": "drip"}); 2];
    let ids = submit_all(&server, &jobs);
    assert_eq!(server.finished(&ids[0])["state"], "completed");
    let server = server.kill_and_restart();
    assert_eq!(server.finished(&ids[1])["state"], "completed");
    let starts = events(&server, &ids, "job.started");
    check_rate(&starts, 1, 30);
}

#[test]
fn a_job_says_that_it_waits_for_the_rate_and_a_reload_without_it_lets_it_go_at_once() {
    let server = server("[queues.drip]\nrate = \"1/h\"");
    let jobs = vec![json!({"kind": "quick", "args": {}, "queue": "drip"}); 2];
    let ids = submit_all(&server, &jobs);
    server.finished(&ids[0]);
    let why = server.get(&format!("/api/jobs/{}/why", ids[1])).ok(200);
    let next = why["facts"]["next_start_at"].as_str().expect("in an hour");
    let sentence =
        format!("The queue drip starts at most 1 job a hour: the next may start at {next}, and it is this one.");
    assert_eq!(why["sentence"], sentence);
    assert_eq!(queue(&server, "drip")["next_start_at"], next);
    std::fs::write(server.directory().join("daybook.toml"), KINDS).expect("writes");
    kill(Pid::from_raw(server.process() as i32), Signal::SIGHUP).expect("it runs");
    assert_eq!(server.finished(&ids[1])["state"], "completed");
    assert_eq!(queue(&server, "drip")["rate"], Value::Null);
}

#[test]
fn limits_of_kind_and_queue_hold_together_and_priorities_are_kept() {
    let server = server("[queues.narrow]\nconcurrency = 3");
    for name in ["narrow", "wide"] {
        server.post(&format!("/api/queues/{name}/pause"), &json!({})).ok(200);
    }
    let job = |n: usize| {
        let (kind, queue) = (["a", "b"][n % 2], ["narrow", "wide"][n / 2 % 2]);
        json!({"kind": kind, "args": {}, "queue": queue, "priority": n * 7 % 5})
    };
    let jobs: Vec<Value> = (0..40).map(job).collect();
    let ids = submit_all(&server, &jobs);
    for name in ["narrow", "wide"] {
        server.post(&format!("/api/queues/{name}/resume"), &json!({})).ok(200);
    }
    ids.iter().for_each(|id| assert_eq!(server.finished(id)["state"], "completed"));
    let starts = events(&server, &ids, "job.started");
    let mut steps: Vec<(u64, i64, usize)> = starts.iter().map(|&(seq, _, job)| (seq, 1, job)).collect();
    steps.extend(events(&server, &ids, "job.completed").iter().map(|&(seq, _, job)| (seq, -1, job)));
    steps.sort_unstable();
    let most = |what: &str, name: &str| {
        let (mut running, mut most) = (0, 0);
        for &(_, step, job) in steps.iter().filter(|(_, _, job)| jobs[*job][what] == name) {
            running += step;
            assert!(running >= 0, "job {job} ends after it started");
            most = most.max(running);
        }
        most
    };
    assert_eq!(most("kind", "a"), 2, "the limit of the kind, over both queues");
    assert_eq!(most("queue", "narrow"), 3, "the limit of the queue, over both kinds");
    let mut lines: BTreeMap<(String, String), Vec<(i64, usize)>> = BTreeMap::new();
    for &(_, _, job) in &starts {
        let key = (jobs[job]["kind"].to_string(), jobs[job]["queue"].to_string());
        lines.entry(key).or_default().push((-jobs[job]["priority"].as_i64().expect("a priority"), job));
    }
    for (line, started) in lines {
        assert!(started.is_sorted(), "{line:?}: higher priorities first, then the order of submission: {started:?}");
    }
}

#[test]
fn a_draining_queue_refuses_what_comes_from_outside_and_works_off_what_is_in_it() {
    let server = worker::server();
    let hold = Hold::new(&server, "drained");
    let parent = server.submit(&json!({"kind": "act", "args": {"hold": "drained"}, "queue": "side"}));
    let failed = server.submit(&json!({"kind": "act", "args": {"exit": 3}, "queue": "side"}));
    assert_eq!(server.finished(&failed)["state"], "failed");
    let elsewhere = server.submit(&json!({"kind": "remote", "args": {}}));
    let token = hold.token();
    let row = server.post("/api/queues/side/drain", &json!({})).ok(200);
    assert_eq!((&row["draining"]["by"]["type"], &row["paused"]), (&json!("client"), &Value::Null));

    let job = json!({"kind": "remote", "args": {}, "queue": "side"});
    let refused = server.post("/api/jobs", &job).refused(409, "queue_draining");
    assert_eq!(refused["errors"][0]["pointer"], "/queue");
    assert!(refused["hint"].as_str().expect("the next step").contains("/resume"), "{refused}");
    let bulk = server.post("/api/jobs/bulk", &json!({"jobs": [{"kind": "remote", "args": {}}, job]}));
    assert_eq!(bulk.refused(409, "queue_draining")["errors"][0]["pointer"], "/jobs/1/queue");
    let json_type = ("content-type", "application/json");
    let moved = server.ask("PATCH", &format!("/api/jobs/{elsewhere}"), &[json_type], br#"{"queue": "side"}"#);
    moved.refused(409, "queue_draining");
    server.post(&format!("/api/jobs/{failed}/retry"), &json!({})).refused(409, "queue_draining");
    let retry = json!({"action": "retry", "filter": {"queue": "side"}});
    let skipped = server.post("/api/jobs/actions", &retry).ok(200)["skipped"].clone();
    assert!(skipped.as_array().expect("a list").iter().any(|it| it["code"] == "queue_draining"), "{skipped}");

    let child = server.ask("POST", "/api/jobs", &[json_type, ("lease-token", &token)], job.to_string().as_bytes());
    assert_eq!(child.ok(201)["parent_id"], json!(parent));
    hold.let_go();
    assert_eq!(server.finished(&parent)["state"], "completed");

    let server = server.kill_and_restart();
    assert_eq!(queue(&server, "side")["draining"], row["draining"]);
    assert_eq!(queue(&server, "side")["depth"]["queued"], 1, "the child waits for its worker");
    assert_eq!(server.post("/api/queues/side/resume", &json!({})).ok(200)["draining"], Value::Null);
    server.post("/api/jobs", &job).ok(201);
}
