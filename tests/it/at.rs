//! `at`: what was answered once is answered again, whatever became of the jobs since, and after a restart.

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::remote::Caller;

const FORGETFUL: &str = "[retention]\nevery_s = 0.2\n[retention.kinds.gone]\nfinished_count = 0\n";

/// The head, as soon as nothing happens any more.
fn head(server: &TestServer) -> u64 {
    server.get("/health").ok(200)["seq"].as_u64().expect("a number")
}

/// An answer without what is not on record: the run of the server, beats, and the age as of the question.
fn on_record(mut answer: Value) -> Value {
    let body = answer.as_object_mut().expect("an object");
    body.remove("epoch");
    for (list, field) in [("queues", "oldest_age_s"), ("workers", "last_beat_at")] {
        let rows = body.get_mut(list).and_then(Value::as_array_mut);
        rows.into_iter().flatten().for_each(|row| drop(row.as_object_mut().map(|row| row.remove(field))));
    }
    answer
}

/// What was answered to all these questions at one moment.
struct Recorded {
    seq: u64,
    answers: Vec<(String, Value)>,
}

impl Recorded {
    /// Asks when nothing happens meanwhile.
    fn of(server: &TestServer, jobs: &[&String]) -> Recorded {
        let lists = ["", "?state=active", "?state=failed&state=completed", "?q=needle", "?tag=t", "?kind=gone&limit=1"];
        let lists = lists.map(|query| format!("/api/jobs{query}")).into_iter();
        let tables = ["/api/queues", "/api/workers"].map(str::to_owned);
        let parts = ["", "/items", "/items?state=pending", "/tree", "/events"];
        let of_jobs = jobs.iter().flat_map(|id| parts.map(|part| format!("/api/jobs/{id}{part}")));
        let paths: Vec<String> = lists.chain(tables).chain(of_jobs).collect();
        loop {
            let seq = head(server);
            let answers: Vec<_> =
                paths.iter().map(|path| (path.clone(), on_record(server.get(path).ok(200)))).collect();
            if head(server) == seq {
                return Recorded { seq, answers };
            }
        }
    }

    fn is_answered_again(&self, server: &TestServer, when: &str) {
        for (path, then) in &self.answers {
            let joint = if path.contains('?') { '&' } else { '?' };
            let answer = server.get(&format!("{path}{joint}at={}", self.seq));
            assert_eq!(answer.header("daybook-seq"), self.seq.to_string(), "{path}");
            let (mut now, mut then) = (on_record(answer.ok(200)), then.clone());
            // A cursor leads on in its own moment, and an event list says how far the log of now goes back.
            for answer in [&mut now, &mut then] {
                let cursor = answer.get("next_cursor").map(Value::is_null);
                cursor.map(|is_last| answer["next_cursor"] = json!(is_last)).unwrap_or_default();
            }
            assert_eq!(now.to_string(), then.to_string(), "{when}: {path} at {}", self.seq);
        }
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(50);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "in vain: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_was_answered_is_answered_again_whatever_became_of_the_jobs() {
    let server = TestServer::with_config(FORGETFUL);
    let items = json!([{"key": "one", "args": {"n": 1}}, {"key": "two"}]);
    let again = server.submit(&json!({"kind": "again", "args": {"word": "needle"}, "tags": ["t"], "max_attempts": 1}));
    let batch = server.submit(&json!({"kind": "many", "args": {}, "items": items, "queue": "other"}));
    let gone = server.submit(&json!({"kind": "gone", "args": {"deep": {"word": "needle"}}, "priority": 7}));
    let mut recorded = vec![Recorded::of(&server, &[&again, &batch, &gone])];

    let caller = Caller::register(&server, "again", 1);
    let lease = caller.job();
    let child = [("lease-token", lease.token.as_str()), ("content-type", "application/json")];
    let child = server.ask("POST", "/api/jobs", &child, br#"{"kind": "child", "args": {"n": 1}}"#).ok(201);
    let child = child["id"].as_str().expect("an id").to_owned();
    recorded.push(Recorded::of(&server, &[&again, &batch, &gone, &child]));
    lease.call(&server, "fail", &json!({"error": {"code": "bad", "message": "no", "retryable": false}})).ok(200);
    recorded.push(Recorded::of(&server, &[&again, &child]));
    server.post(&format!("/api/jobs/{again}/retry"), &json!({})).ok(200);
    recorded.push(Recorded::of(&server, &[&again, &child]));
    caller.job().call(&server, "complete", &json!({"result": {"n": 2}})).ok(200);
    caller.close();

    let worker = Caller::register(&server, "many", 1);
    let lease = worker.job();
    let reports = json!([{"key": "one", "state": "completed", "result": {"n": 9}}]);
    assert_eq!(lease.call(&server, "items", &json!({ "items": reports })).status, 204);
    recorded.push(Recorded::of(&server, &[&again, &batch, &gone, &child]));
    lease.call(&server, "complete", &json!({"result": null})).ok(200);
    server.post("/api/queues/other/pause", &json!({})).ok(200);
    recorded.push(Recorded::of(&server, &[&again, &batch, &gone, &child]));
    worker.close();

    let ended = server.post(&format!("/api/jobs/{gone}/cancel"), &json!({})).ok(200)["seq"].clone();
    until("a job is forgotten", || server.get(&format!("/api/jobs/{gone}")).status == 404);
    recorded.push(Recorded::of(&server, &[&again, &batch, &child]));
    recorded.iter().for_each(|then| then.is_answered_again(&server, "later"));

    let path = format!("/api/jobs/{gone}");
    server.get(&path).refused(404, "job_not_found");
    server.get(&format!("{path}?at={}", head(&server))).refused(404, "job_not_found");
    let was = server.get(&format!("{path}?at={ended}")).ok(200);
    assert_eq!((&was["state"], &was["priority"]), (&json!("cancelled"), &json!(7)));
    assert_eq!(was["args"], json!({"deep": {"word": "needle"}}), "the log still has them");
    server.get(&format!("{path}?at={}", recorded[0].seq - 1)).refused(404, "job_not_found");

    let server = server.kill_and_restart();
    recorded.iter().for_each(|then| then.is_answered_again(&server, "after a restart"));
}

#[test]
fn what_was_purged_since_is_in_no_answer_about_the_past_either() {
    let server = TestServer::start();
    let items = json!([{"key": "one", "args": {"word": "Xylophon"}}]);
    let id = server.submit(&json!({"kind": "work", "args": {"word": "Xylophon"}, "items": items}));
    let lease = Caller::register(&server, "work", 1).job();
    let upload = [("lease-token", lease.token.as_str()), ("content-type", "text/plain")];
    let file = format!("/api/jobs/{id}/files/out.txt");
    assert_eq!(server.ask("PUT", &file, &upload, b"Xylophon").status, 201);
    let running = head(&server);
    lease.call(&server, "complete", &json!({"result": {"word": "Xylophon"}})).ok(200);
    let ended = head(&server);
    let whole = server.get(&format!("/api/jobs/{id}?at={ended}")).ok(200);
    assert_eq!((&whole["result"]["word"], &whole["files"][0]["name"]), (&json!("Xylophon"), &json!("out.txt")));
    server.post(&format!("/api/jobs/{id}/purge"), &json!({})).ok(200);
    let purged = head(&server);
    let check = |server: &TestServer| {
        for at in [1, 2, running, ended, purged] {
            let part = |part: &str| format!("/api/jobs/{id}{part}?at={at}");
            let asked = ["", "/items", "/tree", "/events"].map(part);
            for path in asked.into_iter().chain([format!("/api/jobs?at={at}"), format!("/api/jobs?q=Xylo&at={at}")]) {
                let text = String::from_utf8(server.get(&path).bytes).expect("a text");
                assert!(!text.contains("Xylo"), "{path}: {text}");
                assert!(path.contains("/events") || !text.contains("out.txt"), "{path}: {text}");
            }
        }
        let then = server.get(&format!("/api/jobs/{id}?at={ended}")).ok(200);
        assert_eq!((&then["state"], &then["args"], &then["files"]), (&json!("completed"), &Value::Null, &json!([])));
        assert_eq!(then["purged_at"], Value::Null, "by then it was not purged");
        assert!(server.get(&format!("/api/jobs/{id}?at={purged}")).ok(200)["purged_at"].is_string());
    };
    check(&server);
    check(&server.kill_and_restart());
}

#[test]
fn a_moment_that_is_none_is_refused_with_what_to_ask_for() {
    let server = TestServer::start();
    let id = server.submit(&json!({"kind": "k", "args": {}}));
    let late = head(&server) + 1;
    let parts = ["/items", "/tree", "/events", ""].map(|part| format!("/api/jobs/{id}{part}"));
    let lists = ["/api/jobs", "/api/queues", "/api/workers"].map(str::to_owned);
    for path in parts.iter().chain(&lists) {
        for wrong in [&late.to_string(), "-1", "", "x", "1.5", "99999999999999999999"] {
            server.get(&format!("{path}?at={wrong}")).refused(400, "invalid_query");
        }
    }
    let said = server.get(&format!("/api/jobs?at={late}")).refused(400, "invalid_query");
    assert!(said["detail"].as_str().is_some_and(|detail| detail.contains(&(late - 1).to_string())), "{said}");
    server.get(&format!("/api/jobs/{id}?at=1&wait_s=1")).refused(400, "invalid_query");
    for (path, list) in lists.iter().zip(["jobs", "queues", "workers"]) {
        let empty = server.get(&format!("{path}?at=0")).ok(200);
        assert_eq!((&empty[list], &empty["seq"]), (&json!([]), &json!(0)));
    }
    server.get(&format!("/api/jobs/{id}?at=0")).refused(404, "job_not_found");
}

#[test]
fn pages_of_the_past_go_on_while_jobs_arrive_and_their_cursors_are_of_that_moment() {
    let server = TestServer::start();
    let all: Vec<String> =
        (0..25).map(|n| server.submit(&json!({"kind": "k", "args": {"n": n}, "tags": ["t"]}))).collect();
    let at = head(&server);
    let expected: Vec<String> = all.into_iter().rev().collect();
    let read = |filter: &str| {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("/api/jobs?at={at}&limit=4{filter}{cursor}")).ok(200);
            assert_eq!(page["seq"], json!(at));
            seen.extend(
                page["jobs"].as_array().expect("a list").iter().map(|job| job["id"].as_str().unwrap().to_owned()),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return seen,
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for id in &expected {
                server.submit(&json!({"kind": "k", "args": {}, "tags": ["t"]}));
                server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);
            }
        });
        for filter in ["", "&tag=t", "&state=queued", "&q=k"] {
            let expected = &expected;
            scope.spawn(move || assert_eq!(read(filter), *expected, "{filter}"));
        }
    });
    let page = server.get(&format!("/api/jobs?at={at}&limit=4")).ok(200);
    let cursor = page["next_cursor"].as_str().expect("there is more");
    server.get(&format!("/api/jobs?limit=4&cursor={cursor}")).refused(400, "invalid_query");
    server.get(&format!("/api/jobs?at={}&limit=4&cursor={cursor}", at + 1)).refused(400, "invalid_query");
}

#[test]
fn where_the_oldest_events_are_gone_the_past_begins_with_the_one_before_the_earliest() {
    let config = "segment_bytes = 4194304\n[retention]\nlog_bytes = 1\nevery_s = 0.2\n";
    let server = TestServer::with_config(config);
    let id = server.submit(&json!({"kind": "old", "args": {"n": 1}}));
    let other = server.submit(&json!({"kind": "older", "args": {"n": 2}}));
    server.post(&format!("/api/jobs/{other}/cancel"), &json!({})).ok(200);
    let args = json!({ "text": "x".repeat(7_000) });
    let jobs: Vec<Value> = (0..100).map(|_| json!({"kind": "filler", "args": args})).collect();
    let earliest =
        |server: &TestServer| server.get("/api/events?limit=1").ok(200)["earliest"].as_u64().expect("a number");
    let old = head(&server);
    // The server keeps this state for a while: later ones must not begin with it when the events behind it are gone.
    server.get(&format!("/api/jobs?at={old}")).ok(200);
    until("the first segment is dropped", || {
        server.post("/api/jobs/bulk", &json!({ "jobs": jobs })).ok(201);
        earliest(&server) > old
    });
    server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);
    server.post(&format!("/api/jobs/{other}/retry"), &json!({})).ok(200);
    let check = |server: &TestServer| {
        let paths = |first: u64| {
            let before = format!("/api/jobs?at={}", first - 1);
            let jobs = [&id, &other].map(|id| format!("/api/jobs/{id}?at={first}"));
            [before].into_iter().chain(jobs).chain([format!("/api/jobs?at={first}&kind=old")])
        };
        // The log may be trimmed once more meanwhile.
        let (first, answers) = loop {
            let first = earliest(server) - 1;
            let answers: Vec<_> = paths(first).map(|path| server.get(&path)).collect();
            if earliest(server) - 1 == first {
                break (first, answers);
            }
        };
        let gone = answers[0].refused(410, "position_lost");
        assert!(gone["detail"].as_str().is_some_and(|detail| detail.contains(&format!("at={first}"))), "{gone}");
        let (was, other) = (answers[1].ok(200), answers[2].ok(200));
        assert_eq!((&was["args"], &other["args"]), (&json!({"n": 1}), &json!({"n": 2})), "what is carried is shown");
        assert_eq!(answers[3].ok(200)["jobs"][0]["id"], json!(id));
        server.get(&format!("/api/queues?at={}", head(server))).ok(200);
        // The second lives again: what it was stands in the base alone.
        (was["state"].clone(), other["state"].clone(), other["attempt"].clone())
    };
    let (was, other_was, attempt) = check(&server);
    assert_eq!((was, other_was, attempt), (json!("queued"), json!("cancelled"), json!(0)));
    check(&server.kill_and_restart());
}
