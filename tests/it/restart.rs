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

#[test]
fn a_server_that_finds_its_log_damaged_never_says_that_it_listens() {
    let own = tempfile::tempdir().expect("a directory");
    std::fs::write(own.path().join("daybook.toml"), "").expect("writes");
    let server = TestServer::in_directory(own.path());
    server.submit(&json!({"kind": "x", "args": {}}));
    drop(server);
    std::fs::write(own.path().join("data/log/HEAD"), "").expect("writes");
    let mut again = std::process::Command::new(env!("CARGO_BIN_EXE_daybook"));
    let again = again.args(["serve", "--listen", "127.0.0.1:0", "--data", "data"]).current_dir(own.path());
    let refused = again.stdin(std::process::Stdio::null()).output().expect("the binary starts");
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{refused:?}");
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(words.contains("cannot be trusted") && words.contains("--accept-data-loss"), "{words}");
}
