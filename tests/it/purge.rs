//! What a purged job carried is in no answer any more, and what it left is off the disk; what it was stays.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::live::Page;
use crate::support::remote::{Caller, Lease};

/// A word that is nowhere else.
const SECRET: &str = "Xylophonquartett";

/// A finished batch that carried the word wherever a job can.
fn finished(server: &TestServer) -> String {
    let caller = Caller::register(server, "work", 1);
    let big = format!("{SECRET} {}", "x".repeat(20_000));
    let items = json!([{"key": "one", "args": {"word": SECRET}}]);
    let id = server.submit(&json!({"kind": "work", "args": {"word": big}, "items": items, "tags": ["kept"]}));
    let lease = caller.job();
    assert_eq!(lease.call(server, "logs", &json!({"lines": [{"stream": "stdout", "text": SECRET}]})).status, 204);
    assert_eq!(lease.call(server, "checkpoint", &json!({"data": {"word": SECRET}})).status, 204);
    assert_eq!(lease.call(server, "items", &json!({"add": [{"key": "two", "args": {"word": SECRET}}]})).status, 204);
    let reports = json!([{"key": "one", "state": "completed", "result": {"word": SECRET}}]);
    assert_eq!(lease.call(server, "items", &json!({"items": reports})).status, 204);
    store(server, &lease);
    lease.call(server, "complete", &json!({"result": {"word": SECRET}})).ok(200);
    caller.close();
    id
}

fn store(server: &TestServer, lease: &Lease) {
    let headers = [("content-type", "text/plain"), ("lease-token", lease.token.as_str())];
    let path = format!("/api/jobs/{}/files/out.txt", lease.job);
    assert_eq!(server.ask("PUT", &path, &headers, SECRET.as_bytes()).status, 201);
}

fn answers_about(id: &str) -> Vec<String> {
    let job = |rest: &str| format!("/api/jobs/{id}{rest}");
    let parts = ["", "/events", "/items", "/tree", "/logs", "/why"].map(job);
    let rest = ["/api/jobs", "/api/events", "/api/jobs?q=Xylo"].map(str::to_owned);
    parts.into_iter().chain(rest).collect()
}

/// The files below a directory that have the word.
fn files_with_the_word(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with_the_word(&path));
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn of_the_errors_of_a_purged_job_the_code_and_the_message_stay_and_the_details_go() {
    let own = tempfile::tempdir().expect("a directory");
    std::fs::write(own.path().join("daybook.toml"), "").expect("writes");
    let server = TestServer::in_directory(own.path());
    let caller = Caller::register(&server, "work", 1);
    let job = json!({"kind": "work", "args": {}, "items": [{"key": "one"}], "max_attempts": 1});
    let id = server.submit(&job);
    let lease = caller.job();
    let error =
        json!({"code": "bad_page", "message": "a page is bad", "details": {"word": SECRET}, "retryable": false});
    let reports = json!([{"key": "one", "state": "failed", "error": error}]);
    assert_eq!(lease.call(&server, "items", &json!({"items": reports})).status, 204);
    lease.call(&server, "fail", &json!({"error": error})).ok(200);
    caller.close();
    let seq = server.get("/health").ok(200)["seq"].clone();
    let paths: Vec<String> =
        ["", "/events", "/items", "/tree", "/why"].map(|rest| format!("/api/jobs/{id}{rest}")).into();
    let rest = ["/api/jobs", "/api/events", "/api/export", "/api/jobs?q=Xylo"].map(str::to_owned);
    let then = [format!("/api/jobs/{id}?at={seq}"), format!("/api/jobs?at={seq}")];
    let paths: Vec<String> = paths.into_iter().chain(rest).chain(then).collect();
    let shows = |path: &&String| server.get(path).bytes.windows(4).any(|part| part == b"Xylo");
    assert!(paths.iter().filter(shows).count() >= 5, "before it is purged it is shown");
    let purged = server.post(&format!("/api/jobs/{id}/purge"), &json!({})).ok(200);
    let kept =
        json!({"code": "bad_page", "message": "a page is bad", "details": null, "retryable": false, "attempt": 1});
    assert_eq!(purged["error"], kept);
    assert_eq!(paths.iter().filter(shows).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_purged_job_shows_nothing_that_it_carried_and_leaves_nothing_beside_the_log() {
    let own = tempfile::tempdir().expect("a directory");
    std::fs::write(own.path().join("daybook.toml"), "").expect("writes");
    let server = TestServer::in_directory(own.path());
    let id = finished(&server);
    let before = server.get(&format!("/api/jobs/{id}")).ok(200);
    let shown =
        answers_about(&id).iter().filter(|path| server.get(path).bytes.windows(4).any(|part| part == b"Xylo")).count();
    assert!(shown >= 5, "before it is purged it is shown: in {shown} answers");
    let mut page = Page::connect(&server);
    page.subscribe("a", "jobs", json!({"tag": "kept"}), Value::Null);
    page.await_frame("snapshot");

    let purged = server.post(&format!("/api/jobs/{id}/purge"), &json!({})).ok(200);
    assert_eq!((&purged["args"], &purged["result"], &purged["files"]), (&Value::Null, &Value::Null, &json!([])));
    for kept in ["state", "tags", "kind", "finished_at", "items", "attempt"] {
        assert_eq!(purged[kept], before[kept], "{kept}");
    }
    assert!(purged["purged_at"].is_string());
    let change = page.await_frame("changes");
    assert_eq!((&change["jobs"][0]["id"], &change["jobs"][0]["purged_at"]), (&json!(id), &purged["purged_at"]));

    let data = own.path().join("data");
    for place in ["files", "logs", "scratch"] {
        assert_eq!(files_with_the_word(&data.join(place)), Vec::<String>::new());
    }
    nothing_is_shown(&server, &id);
    let mut late = Page::connect(&server);
    let since = json!({"epoch": late.epoch(), "seq": 0});
    late.subscribe("e", "events", json!({"id": id}), since);
    let events = late.await_frame("events");
    assert!(!events.to_string().contains(SECRET), "{events}");

    let server = server.kill_and_restart();
    nothing_is_shown(&server, &id);
    drop(server);
    for name in ["views", "snapshots"] {
        let _ = std::fs::remove_dir_all(data.join(name));
    }
    let server = TestServer::in_directory(own.path());
    nothing_is_shown(&server, &id);
    let again = server.get(&format!("/api/jobs/{id}")).ok(200);
    assert_eq!((&again["purged_at"], &again["seq"]), (&purged["purged_at"], &purged["seq"]));
    drop(server);
    let (code, said) = crate::support::server::verify(&data);
    assert_eq!(code, Some(0), "{said}");
}

fn nothing_is_shown(server: &TestServer, id: &str) {
    for path in answers_about(id) {
        let answer = server.get(&path);
        answer.ok(200);
        assert!(!String::from_utf8_lossy(&answer.bytes).contains(SECRET), "{path}");
    }
    server.get(&format!("/api/jobs/{id}/files/out.txt")).refused(404, "file_not_found");
    assert_eq!(server.get("/api/jobs?q=Xylo").ok(200)["jobs"], json!([]));
    let events = server.get(&format!("/api/jobs/{id}/events")).ok(200);
    let types: Vec<&str> =
        events["events"].as_array().expect("events").iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!((types.first(), types.last()), (Some(&"job.submitted"), Some(&"job.purged")), "nothing is missing");
}

#[test]
fn only_what_has_ended_is_purged_and_then_it_does_not_run_again() {
    let server = TestServer::start();
    let id = server.submit(&json!({"kind": "k", "args": {"word": SECRET}}));
    server.post(&format!("/api/jobs/{id}/purge"), &json!({})).refused(409, "job_is_active");
    server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);
    let purged = server.post(&format!("/api/jobs/{id}/purge"), &json!({})).ok(200);
    let again = server.post(&format!("/api/jobs/{id}/purge"), &json!({})).ok(200);
    assert_eq!(purged, again);
    let refused = server.post(&format!("/api/jobs/{id}/retry"), &json!({})).refused(409, "job_not_retryable");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("purged")), "{refused}");
    let unknown = "01997f5a-6e00-7000-8000-001523456789";
    server.post(&format!("/api/jobs/{unknown}/purge"), &json!({})).refused(404, "job_not_found");
}

#[test]
fn a_purged_job_is_kept_as_long_as_the_log_has_what_it_carried() {
    let server = TestServer::with_config("[retention]\nfinished_count = 0\nevery_s = 2\n");
    let cancelled = || {
        let id = server.submit(&json!({"kind": "k", "args": {"word": SECRET}}));
        server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);
        id
    };
    let purged = cancelled();
    server.post(&format!("/api/jobs/{purged}/purge"), &json!({})).ok(200);
    let plain = cancelled();
    while server.get(&format!("/api/jobs/{plain}")).status == 200 {
        std::thread::yield_now();
    }
    server.get(&format!("/api/jobs/{purged}")).ok(200);
    let events = server.get(&format!("/api/jobs/{purged}/events")).ok(200);
    assert!(!events.to_string().contains(SECRET), "{events}");
}
