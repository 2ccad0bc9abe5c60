//! Jobs over HTTP, with a worker that runs them.

use serde_json::json;

use crate::support::TestServer;
use crate::support::worker;
use crate::support::worker::Hold;

#[test]
fn a_job_runs_and_its_result_is_there_as_it_was_written() {
    let server = worker::server();
    let big = "{\"kind\": \"act\", \"args\": {\"result\": {\"z\": 1, \"a\": [1.5, null]}}}";
    let id = server.ask("POST", "/api/jobs", &[("content-type", "application/json")], big.as_bytes()).ok(201);
    let job = server.finished(id["id"].as_str().expect("an id"));
    assert_eq!((job["state"].as_str(), job["result"].clone()), (Some("completed"), json!({"z": 1, "a": [1.5, null]})));
    assert_eq!(job["attempt"], 1);
    assert!(job["worker"]["session"].is_string());
}

#[test]
fn args_without_a_schema_keep_their_numbers_and_their_order() {
    let server = TestServer::start();
    let body = br#"{"kind": "x", "args": {"z": 18446744073709551617, "a": 1.50}}"#;
    let made = server.ask("POST", "/api/jobs", &[("content-type", "application/json")], body);
    let path = made.header("location").to_owned();
    let shown = String::from_utf8(server.get(&path).bytes).expect("is text");
    assert!(shown.contains(r#""args":{"z":18446744073709551617,"a":1.50}"#), "{shown}");
}

#[test]
fn a_running_job_can_be_cancelled() {
    let server = worker::server();
    let hold = Hold::new(&server, "long");
    let id = server.submit(&json!({"kind": "act", "args": {"hold": "long"}}));
    hold.token();
    let asked = server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);
    assert!(asked["cancel_requested_at"].is_string() || asked["state"] == "cancelled");
    let job = server.finished(&id);
    assert_eq!((job["state"].as_str(), job["reason"].as_str()), (Some("cancelled"), Some("cancelled_by_request")));
}

#[test]
fn a_failed_job_says_why_and_runs_again_by_hand() {
    let server = worker::server();
    let id = server.submit(&json!({"kind": "act", "args": {"exit": 3}}));
    let job = server.finished(&id);
    assert_eq!((job["state"].as_str(), job["error"]["code"].as_str()), (Some("failed"), Some("exit_status")));
    let why = server.get(&format!("/api/jobs/{id}/why")).ok(200);
    assert!(
        why["sentence"].as_str().expect("a sentence").starts_with("It failed in its only attempt (exit_status"),
        "{why}"
    );
    server.post(&format!("/api/jobs/{id}/retry"), &json!({})).ok(200);
    assert_eq!(server.finished(&id)["state"], "failed");
}

#[test]
fn a_delayed_job_waits_for_its_time() {
    let server = worker::server();
    let id = server.submit(&json!({"kind": "act", "args": {}, "delay_s": 0.3}));
    let why = server.get(&format!("/api/jobs/{id}/why")).ok(200);
    assert_eq!(why["facts"]["state"], "scheduled");
    assert_eq!(server.finished(&id)["state"], "completed");
}

#[test]
fn kinds_that_are_not_listed_are_refused_where_it_is_asked_for() {
    let server = TestServer::with_config("strict_kinds = true\n[kinds.resize]\n");
    let problem = server.post("/api/jobs", &json!({"kind": "resise", "args": {}})).refused(422, "unknown_kind");
    assert!(problem["errors"][0]["message"].as_str().expect("a text").contains("did you mean \"resize\""));
    server.submit(&json!({"kind": "resize", "args": {}}));
}
