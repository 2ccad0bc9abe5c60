//! A log whose oldest segments were dropped: what is kept of the jobs is all there, also when everything disposable is
//! gone; and whoever asks for what was dropped is told so.

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::live::Page;
use crate::support::remote::Caller;
use crate::support::server::{daybook, verify};

/// Small segments, and as few of them as can be.
const CONFIG: &str = "segment_bytes = 4194304\n[retention]\nlog_bytes = 1\nevery_s = 0.2\n";

/// Submits until the log begins behind `seq`, and gives with what.
fn fill_until_trimmed(server: &TestServer, seq: u64) -> u64 {
    let args = json!({ "text": "x".repeat(7_000) });
    let jobs: Vec<Value> = (0..100).map(|_| json!({"kind": "filler", "args": args})).collect();
    loop {
        server.post("/api/jobs/bulk", &json!({ "jobs": jobs })).ok(201);
        let earliest = server.get("/api/events?limit=1").ok(200)["earliest"].as_u64().expect("a number");
        if earliest > seq {
            return earliest;
        }
    }
}

/// Everything of the job that is shown, but how it stands to others and when.
fn shown(server: &TestServer, id: &str) -> Value {
    let job = server.get(&format!("/api/jobs/{id}")).ok(200);
    json!({"args": job["args"], "result": job["result"], "state": job["state"], "kind": job["kind"], "error": job["error"]})
}

fn ended(server: &TestServer, kind: &str, args: &Value) -> String {
    let id = server.submit(&json!({ "kind": kind, "args": args }));
    let lease = Caller::register(server, kind, 1).job();
    lease.call(server, "complete", &json!({ "result": args })).ok(200);
    id
}

fn is_told(server: &TestServer, epoch: &Value, earliest: u64) {
    let old = format!("after={}&epoch={}", earliest - 2, epoch.as_str().expect("an id"));
    server.get(&format!("/api/events?{old}")).refused(410, "position_lost");
    let last_id = format!("{}:1", epoch.as_str().expect("an id"));
    let headers = [("accept", "text/event-stream"), ("last-event-id", last_id.as_str())];
    server.ask("GET", "/api/events", &headers, b"").refused(410, "position_lost");
    let mut page = Page::connect(server);
    // After a start one more segment may go at any moment.
    assert!(page.status["earliest"].as_u64() >= Some(earliest), "{}", page.status);
    page.subscribe("a", "jobs", json!({"kind": "far"}), json!({"epoch": epoch, "seq": 1}));
    assert_eq!(page.hear("subscribed")["recovered"], false);
    assert_eq!(page.hear("reset")["reason"], "trimmed");
    assert_eq!(page.hear("snapshot")["jobs"].as_array().map(Vec::len), Some(1));
    page.subscribe("b", "events", json!({}), json!({"epoch": epoch, "seq": 1}));
    assert_eq!(page.hear("subscribed")["recovered"], false);
    assert_eq!(page.hear("reset")["reason"], "trimmed");
}

#[test]
fn what_is_known_of_the_jobs_outlives_the_events_and_everything_disposable() {
    let server = TestServer::with_config(CONFIG);
    let args = json!({ "deep": { "n": 7 }, "large": "y".repeat(20_000) });
    let done = ended(&server, "near", &args);
    let far = server.submit(&json!({ "kind": "far", "args": args }));
    let batch =
        server.submit(&json!({"kind": "many", "args": {}, "items": [{"key": "a", "args": {"n": 1}}, {"key": "b"}]}));
    let before = server.get("/health").ok(200);
    let shown_before: Vec<Value> = [&done, &far, &batch].iter().map(|id| shown(&server, id)).collect();
    let earliest = fill_until_trimmed(&server, before["seq"].as_u64().expect("a number"));
    is_told(&server, &before["epoch"], earliest);
    let check = |server: &TestServer, when: &str| {
        let now: Vec<Value> = [&done, &far, &batch].iter().map(|id| shown(server, id)).collect();
        assert_eq!(now, shown_before, "{when}");
        let items = server.get(&format!("/api/jobs/{batch}/items")).ok(200);
        assert_eq!(items["items"][0]["args"], json!({"n": 1}), "{when}");
        let found = server.get("/api/jobs?kind=far&q=deep").ok(200);
        assert_eq!(found["jobs"][0]["id"], json!(far), "{when}: what is searched is carried");
        assert_eq!(server.get(&format!("/api/jobs/{far}/events")).ok(200)["events"], json!([]), "{when}");
    };
    check(&server, "when the events are gone");
    let server = server.kill_and_restart();
    check(&server, "after a kill");
    is_told(&server, &before["epoch"], server.get("/api/events").ok(200)["earliest"].as_u64().expect("a number"));
    let directory = server.directory().to_owned();
    let server = server.stopped(|| {
        for disposable in ["views", "snapshots"] {
            std::fs::remove_dir_all(directory.join("data").join(disposable)).expect("it was there");
        }
        let (code, said) = verify(&directory.join("data"));
        assert_eq!(code, Some(0), "{said}");
        let replayed = daybook().args(["replay", "--json", "--data"]).arg(directory.join("data")).output().unwrap();
        let replayed: Value = serde_json::from_slice(&replayed.stdout).unwrap_or_else(|_| panic!("{replayed:?}"));
        assert!(said.contains(replayed["fold"].as_str().expect("a fold")), "{said} {replayed}");
    });
    check(&server, "without views and snapshots");
    // A job whose submission is no event any more can still be run.
    assert_eq!(Caller::register(&server, "far", 1).job().frame["job"]["args"], args);
    fill_until_trimmed(&server, server.get("/health").ok(200)["seq"].as_u64().expect("a number"));
    let server = server.kill_and_restart();
    assert_eq!(shown(&server, &done), shown_before[0], "carried from one base to the next");
}

/// Waits for a whole timeline, which must have each event of the log once; gives with which event it begins.
fn timeline_adds_up(server: &TestServer) -> u64 {
    loop {
        let answer = server.get("/api/timeline").ok(200);
        let buckets = answer["buckets"].as_array().expect("buckets").iter().filter(|it| it["first_seq"].is_number());
        let mut next = None;
        for bucket in buckets {
            let (first, last) = (bucket["first_seq"].as_u64().unwrap(), bucket["last_seq"].as_u64().unwrap());
            let sum: u64 = bucket["counts"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
            assert_eq!(sum, last - first + 1, "{answer}");
            assert!(next.is_none_or(|next| next == first), "{answer}");
            next = Some(last + 1);
        }
        if answer["complete"] == true {
            assert!(next > answer["seq"].as_u64(), "{answer}");
            let first = answer["buckets"][0]["first_seq"].as_u64().expect("a number");
            assert_eq!(answer["earliest"], first, "{answer}");
            let event = server.get("/api/events?limit=1").ok(200);
            if event["earliest"] == first {
                assert_eq!(event["events"][0]["at"], answer["buckets"][0]["first_at"], "{event}");
            }
            return first;
        }
    }
}

#[test]
fn the_timeline_counts_what_is_left_also_in_a_second_of_which_a_part_was_dropped() {
    let server = TestServer::with_config(CONFIG);
    let mut earliest = 1;
    for _ in 0..3 {
        fill_until_trimmed(&server, earliest);
        let first = timeline_adds_up(&server);
        assert!(first > earliest);
        earliest = first;
    }
    let server = server.kill_and_restart();
    assert!(timeline_adds_up(&server) >= earliest);
}

#[test]
fn a_log_with_few_events_is_dropped_by_age_too() {
    let server = TestServer::with_config("[retention]\nlog_age_s = 0.5\nevery_s = 0.1\n");
    let first = server.submit(&json!({"kind": "far", "args": {"n": 1}}));
    let seq = server.get(&format!("/api/jobs/{first}")).ok(200)["seq"].as_u64().expect("a number");
    // Somebody looks at it again and again, and nothing happens to it.
    while server.get("/api/events?limit=1").ok(200)["earliest"].as_u64() <= Some(seq) {
        std::thread::yield_now();
    }
    let server = server.kill_and_restart();
    assert_eq!(shown(&server, &first)["args"], json!({"n": 1}));
    let second = server.submit(&json!({"kind": "far", "args": {"n": 2}}));
    let events = server.get(&format!("/api/jobs/{first}/events")).ok(200);
    assert!(events["earliest"].as_u64() > Some(seq) && events["events"] == json!([]), "{events}");
    let directory = server.directory().to_owned();
    let server = server.stopped(|| {
        let (code, said) = verify(&directory.join("data"));
        assert_eq!(code, Some(0), "{said}");
    });
    assert_eq!(shown(&server, &second)["args"], json!({"n": 2}));
}

#[test]
fn stored_views_that_are_older_than_the_base_are_filled_from_it() {
    let server = TestServer::with_config(CONFIG);
    let args = json!({ "n": 7 });
    let done = ended(&server, "near", &args);
    let data = server.directory().join("data");
    let aside = server.directory().join("views-of-before");
    let server = server.stopped(|| copy_dir(&data.join("views"), &aside));
    let later = ended(&server, "near", &args);
    let shown_before: Vec<Value> = [&done, &later].iter().map(|id| shown(&server, id)).collect();
    fill_until_trimmed(&server, server.get("/health").ok(200)["seq"].as_u64().expect("a number"));
    let rows = server.get("/api/jobs?state=completed").ok(200)["jobs"].clone();
    let server = server.stopped(|| {
        for disposable in ["views", "snapshots"] {
            std::fs::remove_dir_all(data.join(disposable)).expect("it was there");
        }
        copy_dir(&aside, &data.join("views"));
    });
    let now: Vec<Value> = [&done, &later].iter().map(|id| shown(&server, id)).collect();
    assert_eq!(now, shown_before);
    assert_eq!(server.get("/api/jobs?state=completed").ok(200)["jobs"], rows);
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("makes");
    for entry in std::fs::read_dir(from).expect("reads").map(|entry| entry.expect("an entry")) {
        match entry.file_type().expect("a type").is_dir() {
            true => copy_dir(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copies")),
        }
    }
}
