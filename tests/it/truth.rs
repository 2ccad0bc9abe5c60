//! The description is true to the server: every operation is driven, and each answer is as it says.

use serde_json::json;

use crate::support::worker;
use crate::support::worker::Hold;

/// One grey pixel.
const PICTURE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";

#[test]
fn every_operation_answers_as_it_is_described() {
    let server = worker::server();
    let hold = Hold::new(&server, "truth");
    let args = json!({"hold": "truth", "preview": PICTURE, "log": "hello", "output": "made.txt", "result": {"n": 1}});
    let items = json!([{"key": "a", "args": {"n": 1}}, {"key": "b"}]);
    let id = server.submit(&json!({"kind": "act", "args": args, "items": items, "tags": ["t"]}));
    let token = hold.token();
    let path = |rest: &str| format!("/api/jobs/{id}{rest}");

    let upload = [("lease-token", token.as_str()), ("content-type", "text/plain")];
    server.ask("PUT", &path("/files/note.txt"), &upload, b"by hand").ok(201);
    assert_eq!(server.get(&path("/files/note.txt")).bytes, b"by hand");
    let child = [("lease-token", token.as_str()), ("content-type", "application/json")];
    server.ask("POST", "/api/jobs", &child, br#"{"kind": "remote", "args": {}}"#).ok(201);
    for rest in
        ["", "?wait_s=0", "/events", "/events?limit=1", "/items", "/items?state=pending", "/tree", "/logs", "/why"]
    {
        server.get(&path(rest)).ok(200);
    }
    let seq = server.get(&path("")).ok(200)["seq"].clone();
    for rest in ["", "/events", "/items", "/tree"] {
        server.get(&path(&format!("{rest}?at={seq}"))).ok(200);
    }
    for list in ["/api/jobs", "/api/queues", "/api/workers"] {
        assert_eq!(server.get(&format!("{list}?at={seq}")).ok(200)["seq"], seq);
    }
    assert_eq!(server.get(&path("/preview")).header("content-type"), "image/png");
    hold.let_go();
    let job = server.finished(&id);
    assert_eq!((job["state"].as_str(), job["result"].clone()), (Some("completed"), json!({"n": 1})));
    assert_eq!(server.get(&path("/files/made.txt")).bytes, b"made by a job");
    server.get(&path("/logs?follow"));

    let waiting = server.submit(&json!({"kind": "remote", "args": {}}));
    let change = br#"{"priority": 3}"#;
    server.ask("PATCH", &format!("/api/jobs/{waiting}"), &[("content-type", "application/json")], change).ok(200);
    server.post(&format!("/api/jobs/{waiting}/cancel"), &json!({})).ok(200);
    server.post(&format!("/api/jobs/{waiting}/retry"), &json!({})).ok(200);
    server.post("/api/jobs/bulk", &json!({"jobs": [{"kind": "remote", "args": {}}]})).ok(201);
    server.post("/api/jobs/actions", &json!({"action": "cancel", "filter": {"kind": "remote"}})).ok(200);
    server.get("/api/jobs?state=cancelled&state=active&limit=2").ok(200);
    server.post(&format!("/api/jobs/{waiting}/purge"), &json!({})).ok(200);

    server.post("/api/queues/default/pause", &json!({})).ok(200);
    server.get("/api/queues").ok(200);
    server.post("/api/queues/default/drain", &json!({})).ok(200);
    server.post("/api/queues/default/resume", &json!({})).ok(200);
    let schedule = json!({"cron": "0 0 1 1 *", "time_zone": "Europe/Berlin", "job": {"kind": "remote", "args": {}}});
    let mut named = schedule.clone();
    named["name"] = json!("yearly");
    server.post("/api/schedules", &named).ok(201);
    let typed = [("content-type", "application/json")];
    for status in [201, 200] {
        server.ask("PUT", "/api/schedules/other", &typed, schedule.to_string().as_bytes()).ok(status);
    }
    assert_eq!(server.get("/api/schedules/yearly").ok(200)["time_zone"], "Europe/Berlin");
    assert_eq!(server.get("/api/schedules?limit=1").ok(200)["schedules"][0]["name"], "other");
    assert_eq!(server.ask("DELETE", "/api/schedules/other", &[], b"").status, 204);
    let workers = server.get("/api/workers").ok(200);
    for worker in workers["workers"].as_array().expect("a list") {
        let session = worker["session"].as_str().expect("an id");
        server.ask("GET", "/api/session/status", &[("x-session-id", session)], b"").ok(200);
    }
    ask_about_the_server(&server);

    crate::remote::call_everything(&server);
    let unseen: Vec<String> =
        server.description().operations().difference(&server.description().seen()).cloned().collect();
    assert!(unseen.is_empty(), "every operation answered well at least once, but not {unseen:?}");
}

fn ask_about_the_server(server: &crate::support::TestServer) {
    for path in [
        "/health",
        "/api/kinds",
        "/api/kinds/typed",
        "/api/stats",
        "/api/timeline",
        "/api/history",
        "/api/history?span=30d",
        "/api/openapi.json",
        "/api/events",
        "/api/asyncapi.json",
    ] {
        server.get(path).ok(200);
    }
    assert_eq!(server.get("/metrics").status, 200);
    assert_eq!(server.get("/api/export").status, 200);
    let copied = server.get("/api/backup").ok(200)["files"][0]["path"].as_str().expect("a log or a file").to_owned();
    assert_eq!(server.get(&format!("/api/backup/file?path={copied}")).status, 200);
    server.get("/api/backup/file?path=log/HEAD").refused(404, "file_not_found");
    assert_eq!(server.ask("DELETE", "/api/backup", &[], b"").status, 204);
    server.ask("DELETE", "/api/backup", &[("origin", "http://evil.example")], b"").refused(403, "forbidden_origin");
}

#[test]
fn errors_are_as_they_are_described_too() {
    let server = worker::server();
    let job = |body: serde_json::Value| server.post("/api/jobs", &body);
    job(json!({"kind": "typed", "args": {"steps": 500}})).refused(422, "invalid_args");
    job(json!({"kind": "typed", "args": {}, "priority": "high"})).refused(422, "invalid_request");
    server.ask("POST", "/api/jobs", &[("content-type", "application/json")], b"{").refused(400, "invalid_json");
    server.ask("POST", "/api/jobs", &[("content-type", "text/plain")], b"{}").refused(415, "unsupported_media_type");
    server.get("/api/jobs?stat=queued").refused(400, "invalid_query");
    server.get("/api/jobs/none").refused(404, "job_not_found");
    server.get("/api/kinds/none").refused(404, "kind_not_found");
    server.ask("POST", "/api/jobs", &[("origin", "http://evil.example")], b"").refused(403, "forbidden_origin");
    let id = server.submit(&json!({"kind": "remote", "args": {}}));
    server.post(&format!("/api/jobs/{id}/purge"), &json!({})).refused(409, "job_is_active");
    server.get(&format!("/api/jobs/{id}/preview")).refused(404, "preview_not_found");
    server.get(&format!("/api/jobs/{id}/files/none")).refused(404, "file_not_found");
    server.ask("DELETE", &format!("/api/jobs/{id}"), &[], b"").refused(405, "method_not_allowed");
    server.get("/api/nothing").refused(404, "not_found");
    server.post("/api/schedules", &json!({"name": "n", "cron": "x"})).refused(422, "invalid_request");
    server.ask("DELETE", "/api/schedules/none", &[], b"").refused(404, "schedule_not_found");
}
