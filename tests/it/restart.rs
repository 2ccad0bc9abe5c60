//! What a restart keeps: jobs, keys, positions; and what it changes: the epoch.

use serde_json::json;

use crate::support::TestServer;

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn after_a_kill_every_acknowledged_job_is_there_under_a_new_epoch() {
    let server = TestServer::start();
    let before = server.get("/health").ok(200);
    let ids: Vec<String> = (0..20).map(|n| server.submit(&json!({"kind": "x", "args": {"n": n}}))).collect();
    let server = server.kill_and_restart();
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(server.get(&format!("/api/jobs/{id}")).ok(200)["args"], json!({"n": n}));
    }
    let after = server.get("/health").ok(200);
    assert_ne!(before["epoch"], after["epoch"]);
    assert!(before["seq"].as_u64() < after["seq"].as_u64());
}

#[test]
fn an_idempotency_key_outlives_the_server() {
    let server = TestServer::start();
    let ask = |server: &TestServer| {
        server.ask("POST", "/api/jobs", &[JSON, ("idempotency-key", "once")], br#"{"kind": "x", "args": {}}"#)
    };
    let first = ask(&server).ok(201);
    let server = server.stop_and_restart();
    let again = ask(&server);
    assert_eq!(again.ok(200)["id"], first["id"]);
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[test]
fn a_cursor_outlives_the_server() {
    let server = TestServer::start();
    let ids: Vec<String> = (0..4).map(|_| server.submit(&json!({"kind": "x", "args": {}}))).collect();
    let cursor = server.get("/api/jobs?limit=2").ok(200)["next_cursor"].as_str().expect("a next page").to_owned();
    let server = server.kill_and_restart();
    let rest = server.get(&format!("/api/jobs?limit=2&cursor={cursor}")).ok(200);
    assert_eq!(rest["jobs"][0]["id"], json!(ids[1]));
}

#[test]
fn a_pause_outlives_the_server() {
    let server = TestServer::start();
    server.submit(&json!({"kind": "x", "args": {}}));
    server.post("/api/queues/default/pause", &json!({})).ok(200);
    let server = server.kill_and_restart();
    assert!(server.get("/api/queues").ok(200)["queues"][0]["paused"].is_object());
}
