//! Workers elsewhere, over both transports: what they can say, and what becomes of their jobs when they, their connections
//! or the server go away. Spans are fractions of a second where something must end, and long where nothing may.

use std::io::Write;

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::remote::{Caller, Lease, Socket};

fn submit(server: &TestServer) -> String {
    server.submit(&json!({"kind": "far", "args": {"n": 1}}))
}

fn job(server: &TestServer, id: &str) -> Value {
    server.get(&format!("/api/jobs/{id}")).ok(200)
}

fn until(server: &TestServer, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
    loop {
        let job = job(server, id);
        if holds(&job) {
            return job;
        }
        std::thread::yield_now();
    }
}

fn events(server: &TestServer, id: &str) -> Vec<Value> {
    let events = server.get(&format!("/api/jobs/{id}/events")).ok(200);
    events["events"].as_array().expect("a list").clone()
}

fn types(server: &TestServer, id: &str) -> Vec<String> {
    events(server, id).iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
}

fn data_of(server: &TestServer, id: &str, event_type: &str) -> Vec<Value> {
    events(server, id).iter().filter(|event| event["type"] == event_type).map(|event| event["data"].clone()).collect()
}

fn status(server: &TestServer, session: &str) -> (u16, Value) {
    let answer = server.ask("GET", "/api/session/status", &[("x-session-id", session)], b"");
    (answer.status, answer.json())
}

/// A job that runs on a worker over WebSocket.
fn on_socket(server: &TestServer) -> (Socket, Lease) {
    submit(server);
    let mut socket = Socket::ready(server, "far", 1);
    let lease = socket.job();
    (socket, lease)
}

/// A job that runs on a worker over plain HTTP.
fn on_caller(server: &TestServer) -> (Caller<'_>, Lease) {
    submit(server);
    let caller = Caller::register(server, "far", 1);
    let lease = caller.job();
    (caller, lease)
}

/// Everything that a worker over plain HTTP can ask for, each once, well.
pub fn call_everything(server: &TestServer) {
    let items = json!([{"key": "a"}, {"key": "b"}]);
    let id = server.submit(&json!({"kind": "far", "args": {}, "items": items}));
    let caller = Caller::register(server, "far", 2);
    assert_eq!(status(server, &caller.session).0, 200);
    let nameless = server.get("/api/session/status");
    assert_eq!((nameless.status, &nameless.json()["reason"]), (401, &json!("NO_SESSION_ID")));
    let lease = caller.job();
    let row = || {
        let workers = server.get("/api/workers").ok(200)["workers"].clone();
        let row = workers.as_array().expect("a list").iter().find(|row| row["session"] == caller.session.as_str());
        row.expect("it is listed").clone()
    };
    assert_eq!((&row()["jobs"], &row()["state"]), (&json!([id]), &json!("run")));
    let before = row()["last_beat_at"].clone();
    while row()["last_beat_at"] == before {
        caller.beat(&[&lease]).ok(200);
    }
    assert_eq!(lease.frame["items"].as_array().expect("items").len(), 2);
    for (call, body) in [
        ("progress", json!({"percent": 40, "stage": "upscale", "done": 4, "total": 10})),
        ("logs", json!({"lines": [{"text": "hello"}, {"stream": "stderr", "text": "oh"}]})),
        ("items", json!({"items": [{"key": "a", "state": "completed", "result": 1}]})),
        ("items", json!({"add": [{"key": "c"}]})),
        ("checkpoint", json!({"data": {"page": 3}})),
    ] {
        let done = lease.call(server, call, &body);
        assert_eq!(done.status, 204, "{call}: {done:?}");
    }
    assert_eq!(caller.beat(&[&lease]).ok(200)["extended"], json!([id]));
    assert_eq!(lease.call(server, "release", &json!({})).ok(200)["state"], "queued");
    let again = caller.job();
    assert_eq!((&again.frame["checkpoint"], &again.frame["attempt"]), (&json!({"page": 3}), &json!(1)));
    let keys: Vec<&Value> = again.frame["items"].as_array().expect("items").iter().map(|item| &item["key"]).collect();
    assert_eq!(keys, ["b", "c"], "only those that are pending");
    let done = again.call(server, "complete", &json!({"result": {"n": 1}})).ok(200);
    assert_eq!((&done["state"], &done["result"]), (&json!("completed"), &json!({"n": 1})));
    let logs = server.get(&format!("/api/jobs/{id}/logs")).ok(200);
    assert_eq!(logs["lines"][1]["text"], "oh");
    let failing = submit(server);
    let error = json!({"error": {"code": "no_luck", "message": "it broke", "retryable": false}});
    assert_eq!(caller.job().call(server, "fail", &error).ok(200)["state"], "failed");
    assert_eq!(job(server, &failing)["error"]["code"], "no_luck");
    assert_eq!(caller.claim(1, 0.0).status, 204);
    let path = |what: &str| format!("/api/workers/{}/{what}", caller.session);
    assert_eq!(server.post(&path("quiet"), &json!({})).ok(200)["state"], "quiet");
    assert_eq!(caller.beat(&[]).ok(200)["worker"], "quiet");
    assert_eq!(server.post(&path("terminate"), &json!({})).ok(200)["state"], "terminate");
    assert_eq!(caller.beat(&[]).ok(200)["worker"], "terminate");
    caller.close();
    assert_eq!(status(server, &caller.session).1["reason"], "SESSION_NOT_FOUND");
    caller.beat(&[]).refused(404, "session_not_found");
    caller.claim(1, 0.0).refused(404, "session_not_found");
}

#[test]
fn a_worker_over_a_websocket_runs_a_job_and_says_all_there_is_to_say() {
    let server = TestServer::start();
    let id = server.submit(&json!({"kind": "far", "args": {"n": 1}, "items": [{"key": "a"}, {"key": "b"}]}));
    let mut socket = Socket::ready(&server, "far", 1);
    let lease = socket.job();
    assert_eq!((lease.job.as_str(), &lease.frame["job"]["args"]), (id.as_str(), &json!({"n": 1})));
    socket.say_all(&[
        lease.frame("progress", json!({"percent": 40, "stage": "draw"})),
        lease.frame("log", json!({"lines": [{"stream": "stdout", "text": "hello"}]})),
        lease.frame("item", json!({"key": "a", "state": "completed", "result": 7})),
        lease.frame("add_items", json!({"items": [{"key": "c"}]})),
        lease.frame("checkpoint", json!({"data": [1]})),
        lease.frame("submit", json!({"ref": "one", "job": {"kind": "other", "args": {}}})),
    ]);
    let submitted = socket.hear("submitted");
    assert_eq!(submitted["ref"], "one");
    assert_eq!(job(&server, submitted["id"].as_str().expect("an id"))["parent_id"], json!(id));
    socket.say(lease.frame("complete", json!({"result": "done"})));
    let job = server.finished(&id);
    assert_eq!((&job["state"], &job["result"], &job["attempt"]), (&json!("completed"), &json!("done"), &json!(1)));
    assert_eq!(job["items"], json!({"total": 3, "completed": 1, "failed": 0, "skipped": 2, "pending": 0}));
    assert_eq!(job["progress"]["stage"], "draw");
    let (code, valid) = status(&server, &socket.session);
    assert_eq!((code, &valid["valid"], &valid["kind"]), (200, &json!(true), &json!("worker")));
    socket.close();
}

#[test]
fn jobs_and_cancels_are_pushed_and_several_jobs_come_in_one_message() {
    let server = TestServer::start();
    let ids: Vec<String> = (0..5).map(|_| submit(&server)).collect();
    let mut socket = Socket::ready(&server, "far", 5);
    let leases: Vec<Lease> = ids.iter().map(|_| socket.job()).collect();
    assert!(socket.joined_max > 1, "jobs that wait together go together");
    server.post(&format!("/api/jobs/{}/cancel", ids[3]), &json!({})).ok(200);
    let cancel = socket.hear("cancel");
    assert_eq!((&cancel["job_id"], &cancel["reason"]), (&json!(ids[3]), &json!("requested")));
    let ends: Vec<Value> = leases.iter().map(|lease| lease.frame("complete", json!({"result": null}))).collect();
    socket.say_all(&[&ends[..3], &ends[4..]].concat());
    socket.say(leases[3].frame("release", json!({})));
    let states: Vec<Value> = ids.iter().map(|id| server.finished(id)["state"].clone()).collect();
    assert_eq!(states, ["completed", "completed", "completed", "cancelled", "completed"]);
}

#[test]
fn a_job_whose_time_is_over_fails_its_attempt_and_its_worker_is_told() {
    let server = TestServer::start();
    let id = server.submit(&json!({"kind": "far", "args": {}, "timeout_s": 0.2, "max_attempts": 1}));
    let mut socket = Socket::ready(&server, "far", 1);
    let lease = socket.job();
    let cancel = socket.hear("cancel");
    assert_eq!((&cancel["job_id"], &cancel["reason"]), (&json!(id), &json!("timeout")));
    socket.say(lease.frame("complete", json!({"result": 1})));
    assert_eq!(socket.hear("error")["code"], "lease_lost");
    let job = job(&server, &id);
    assert_eq!((&job["state"], &job["reason"]), (&json!("failed"), &json!("timeout")));
    assert_eq!(data_of(&server, &id, "job.late_result"), [json!({"call": "complete"})]);
}

#[test]
fn a_connection_that_drops_in_the_middle_of_a_job_costs_nothing_when_its_worker_comes_back() {
    let server = TestServer::start();
    let (socket, lease) = on_socket(&server);
    let session = socket.session.clone();
    socket.cut();
    let mut back = Socket::resume(&server, "far", &session, &[&lease]);
    assert_eq!(back.session, session);
    back.say(lease.frame("complete", json!({"result": 2})));
    let job = server.finished(&lease.job);
    assert_eq!((&job["attempt"], &job["lost_count"], &job["result"]), (&json!(1), &json!(0), &json!(2)));
    assert_eq!(types(&server, &lease.job), ["job.submitted", "job.started", "job.completed"]);
}

#[test]
fn a_connection_that_drops_for_good_loses_its_job_and_the_timeline_says_why() {
    let server = TestServer::with_config("reconnect_grace_s = 0.2\n");
    let (socket, lease) = on_socket(&server);
    let session = socket.session.clone();
    socket.cut();
    let lost = until(&server, &lease.job, |job| job["state"] == "queued");
    assert_eq!((&lost["lost_count"], &lost["started_at"]), (&json!(1), &Value::Null));
    let expected = json!({"attempt": 1, "cause": "connection_lost", "counted": true});
    assert_eq!(data_of(&server, &lease.job, "job.attempt_lost"), [expected]);
    assert_eq!(status(&server, &session).0, 401);
    let line = server.until_said("a worker was lost");
    assert!(line.contains("WARN") && line.contains("jobs=1") && line.contains("connection_lost"), "{line}");
    let mut back = Socket::resume(&server, "far", &session, &[&lease]);
    assert_ne!(back.session, session);
    assert_eq!(back.hear("lost")["job_id"], json!(lease.job));
}

#[test]
fn without_a_grace_a_dropped_connection_loses_its_job_at_once() {
    let server = TestServer::with_config("reconnect_grace_s = 0\n");
    let (socket, lease) = on_socket(&server);
    socket.cut();
    assert_eq!(until(&server, &lease.job, |job| job["state"] == "queued")["lost_count"], 1);
}

#[test]
fn a_worker_that_says_nothing_for_a_lease_loses_its_job() {
    let server = TestServer::with_config("lease_s = 0.3\n");
    let (caller, lease) = on_caller(&server);
    until(&server, &lease.job, |job| job["lost_count"] == 1);
    assert_eq!(data_of(&server, &lease.job, "job.attempt_lost")[0]["cause"], "lease_expired");
    let line = server.until_said("a worker was lost");
    assert!(line.contains("WARN") && line.contains("jobs=1") && line.contains("lease_expired"), "{line}");
    lease.call(&server, "complete", &json!({})).refused(409, "lease_lost");
    caller.beat(&[]).refused(404, "session_not_found");
    // Over a WebSocket as well, whose worker hangs and answers no ping.
    let (mut hanging, lease) = on_socket(&server);
    until(&server, &lease.job, |job| job["lost_count"].as_u64() >= Some(1));
    assert_eq!(hanging.close_code(), 4012);
}

#[test]
fn a_claim_whose_client_hangs_up_claims_nothing_any_more() {
    let server = TestServer::with_config("lease_s = 0.3\n");
    let caller = Caller::register(&server, "far", 1);
    let body = json!({"session": caller.session, "wait_s": 50}).to_string();
    let head = format!("POST /api/claim HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut stream = std::net::TcpStream::connect(server.address()).expect("it listens");
    stream.write_all((head + &body).as_bytes()).expect("it reads");
    drop(stream);
    // An open claim would keep its session alive.
    while status(&server, &caller.session).0 == 200 {
        std::thread::yield_now();
    }
    let id = submit(&server);
    assert_eq!(Caller::register(&server, "far", 1).job().job, id);
    assert_eq!(job(&server, &id)["lost_count"], 0);
}

/// Sends a request and hangs up, as a worker does that is killed or whose patience is over.
fn hang_up(server: &TestServer, method: &str, path: &str, token: Option<&str>, body: &Value) {
    let body = body.to_string();
    let token = token.map(|token| format!("Lease-Token: {token}\r\n")).unwrap_or_default();
    let kind = "Content-Type: application/json";
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{kind}\r\n{token}Content-Length: {length}\r\n\r\n");
    let mut stream = std::net::TcpStream::connect(server.address()).expect("it listens");
    stream.write_all((head + &body).as_bytes()).expect("it reads");
}

#[test]
fn a_worker_that_hangs_up_in_the_middle_of_a_call_leaves_nothing_half_done() {
    let server = TestServer::with_config("lease_s = 0.5\n");
    for _ in 0..8 {
        // In the middle of a completion: the job ends, or is lost with its lease, and the worker has room again.
        let (caller, lease) = on_caller(&server);
        lease.call(&server, "logs", &json!({"lines": [{"text": "not synced yet"}]}));
        hang_up(&server, "POST", &format!("/api/jobs/{}/complete", lease.job), Some(&lease.token), &json!({}));
        submit(&server);
        let next = caller.job();
        // In the middle of leaving, and of coming.
        next.call(&server, "logs", &json!({"lines": [{"text": "not synced yet"}]}));
        hang_up(&server, "DELETE", &format!("/api/workers/{}", caller.session), None, &Value::Null);
        hang_up(&server, "POST", "/api/workers", None, &json!({"name": "hasty"}));
        until(&server, &next.job, |job| job["state"] != "running");
        for id in [lease.job, next.job] {
            server.ask("POST", &format!("/api/jobs/{id}/cancel"), &[], b"");
        }
    }
    while server.get("/api/workers").ok(200)["workers"] != json!([]) {
        std::thread::yield_now();
    }
}

#[test]
fn a_broken_connection_costs_nothing_within_its_grace_also_when_a_lease_is_shorter() {
    let server = TestServer::with_config("lease_s = 0.3\nreconnect_grace_s = 600\n");
    let (socket, lease) = on_socket(&server);
    let session = socket.session.clone();
    socket.cut();
    // By the time that a worker which calls has lost its job for its silence.
    let (_, silent) = on_caller(&server);
    until(&server, &silent.job, |job| job["lost_count"] == 1);
    assert_eq!(status(&server, &session).0, 200, "a session is valid as long as its grace lasts");
    let mut back = Socket::resume(&server, "far", &session, &[&lease]);
    assert_eq!(back.session, session);
    back.say(lease.frame("complete", json!({"result": 2})));
    let job = server.finished(&lease.job);
    assert_eq!((&job["attempt"], &job["lost_count"], &job["result"]), (&json!(1), &json!(0), &json!(2)));
}

#[test]
fn a_claim_is_not_answered_with_more_bytes_than_a_worker_would_read() {
    let server = TestServer::start();
    let text = "x".repeat(7 << 20);
    let ids: Vec<String> =
        (0..3).map(|_| server.submit(&json!({"kind": "far", "args": {"text": text}, "max_attempts": 1}))).collect();
    let caller = Caller::register(&server, "far", 3);
    let mut claimed = Vec::new();
    while claimed.len() < ids.len() {
        let jobs = caller.claim(3, 50.0).ok(200)["jobs"].as_array().expect("a list").clone();
        assert!((1..=2).contains(&jobs.len()), "{} jobs of 7 MiB", jobs.len());
        for lease in jobs.iter().map(Lease::of) {
            let done = lease.call(&server, "complete", &json!({})).ok(200);
            assert_eq!((&done["attempt"], &done["lost_count"]), (&json!(1), &json!(0)));
            claimed.push(lease.job);
        }
    }
    claimed.sort();
    assert_eq!(claimed, ids);
}

#[test]
fn a_worker_that_leaves_in_order_gives_its_jobs_back_without_a_loss() {
    let server = TestServer::start();
    let (socket, lease) = on_socket(&server);
    socket.close();
    let back = until(&server, &lease.job, |job| job["state"] == "queued");
    assert_eq!((&back["lost_count"], &back["started_at"]), (&json!(0), &Value::Null));
    assert_eq!(data_of(&server, &lease.job, "job.queued"), [json!({"cause": "worker_left"})]);
    let caller = Caller::register(&server, "far", 1);
    let again = caller.job();
    assert_eq!((again.job.as_str(), &again.frame["attempt"]), (lease.job.as_str(), &json!(1)));
    caller.close();
    assert_eq!(job(&server, &lease.job)["state"], "queued");
}

#[test]
fn a_killed_server_costs_a_remote_worker_nothing() {
    let server = TestServer::start();
    let (socket, lease) = on_socket(&server);
    let (caller, called) = on_caller(&server);
    let (session, called_session) = (socket.session.clone(), caller.session.clone());
    let server = server.kill_and_restart();
    assert_eq!((status(&server, &session).0, status(&server, &called_session).0), (401, 401));
    let mut back = Socket::resume(&server, "far", &session, &[&lease]);
    assert_ne!(back.session, session);
    back.say(lease.frame("complete", json!({"result": 1})));
    let job = server.finished(&lease.job);
    assert_eq!(
        (&job["attempt"], &job["lost_count"], &job["worker"]["session"]),
        (&json!(1), &json!(0), &json!(back.session))
    );
    assert_eq!(types(&server, &lease.job), ["job.submitted", "job.started", "job.adopted", "job.completed"]);

    let gone = Caller { server: &server, session: called_session };
    gone.beat(&[&called]).refused(404, "session_not_found");
    let caller = Caller::register(&server, "far", 1);
    let beat = caller.beat(&[&called]).ok(200);
    assert_eq!((&beat["extended"], &beat["lost"]), (&json!([called.job]), &json!([])));
    let done = called.call(&server, "complete", &json!({"result": 2})).ok(200);
    assert_eq!((&done["attempt"], &done["lost_count"]), (&json!(1), &json!(0)));
}

#[test]
fn a_token_alone_is_enough_after_a_restart() {
    let server = TestServer::start();
    let (_, lease) = on_caller(&server);
    let server = server.kill_and_restart();
    assert_eq!(lease.call(&server, "progress", &json!({"percent": 50})).status, 204);
    assert_eq!(lease.call(&server, "complete", &json!({"result": 1})).ok(200)["state"], "completed");
}

#[test]
fn a_worker_that_does_not_come_back_after_a_restart_loses_its_job_uncounted() {
    let server = TestServer::with_config("lease_s = 0.5\n");
    let (_, lease) = on_caller(&server);
    let server = server.kill_and_restart();
    let lost = until(&server, &lease.job, |job| job["state"] == "queued");
    assert_eq!((&lost["lost_count"], &lost["started_at"]), (&json!(0), &Value::Null));
    let line = server.until_said("did not come back");
    assert!(line.contains("WARN") && line.contains("workers=1") && line.contains("jobs=1"), "{line}");
    let expected = json!({"attempt": 1, "cause": "server_restarted", "counted": false});
    assert_eq!(data_of(&server, &lease.job, "job.attempt_lost"), [expected]);
    assert_eq!(server.get("/api/workers").ok(200)["workers"], json!([]));
}

#[test]
fn a_server_that_stops_says_so_and_its_workers_go_on_afterwards() {
    let server = TestServer::start();
    let (mut socket, lease) = on_socket(&server);
    let session = socket.session.clone();
    server.terminate();
    assert_eq!(socket.close_code(), 4001);
    let server = server.stop_and_restart();
    let mut back = Socket::resume(&server, "far", &session, &[&lease]);
    back.say(lease.frame("complete", json!({"result": 1})));
    let job = server.finished(&lease.job);
    assert_eq!((&job["attempt"], &job["lost_count"]), (&json!(1), &json!(0)));
}

#[test]
fn the_call_that_ended_a_run_gets_its_answer_again_also_after_a_restart_and_any_other_is_evidence() {
    let server = TestServer::start();
    let (_, lease) = on_caller(&server);
    let first = lease.call(&server, "complete", &json!({"result": 1})).ok(200);
    assert_eq!(lease.call(&server, "complete", &json!({"result": 1})).ok(200), first);
    let server = server.kill_and_restart();
    assert_eq!(lease.call(&server, "complete", &json!({"result": 1})).ok(200), first);
    let error = json!({"error": {"message": "too late"}});
    lease.call(&server, "fail", &error).refused(409, "lease_lost");
    lease.call(&server, "progress", &json!({"percent": 1})).refused(409, "lease_lost");
    lease.call(&server, "logs", &json!({"lines": [{"text": "x"}]})).refused(409, "lease_lost");
    let calls: Vec<Value> =
        data_of(&server, &lease.job, "job.late_result").iter().map(|data| data["call"].clone()).collect();
    assert_eq!(calls, ["fail", "progress", "log"]);
    assert_eq!(job(&server, &lease.job)["result"], 1);
}

#[test]
fn children_are_not_doubled_by_a_rerun_over_whichever_transport() {
    let server = TestServer::start();
    let child = json!({"kind": "other", "args": {}, "unique_key": "page-1"});
    let (mut socket, lease) = on_socket(&server);
    socket.say(lease.frame("submit", json!({"ref": "a", "job": child})));
    let first = socket.hear("submitted")["id"].clone();
    socket.say(lease.frame("submit", json!({"ref": "b", "job": child})));
    assert_eq!(socket.hear("submitted")["id"], first);
    socket.close();
    let caller = Caller::register(&server, "far", 1);
    let rerun = caller.job();
    assert_eq!(rerun.job, lease.job);
    let headers = [("content-type", "application/json"), ("lease-token", rerun.token.as_str())];
    let again = server.ask("POST", "/api/jobs", &headers, child.to_string().as_bytes()).ok(200);
    assert_eq!(again["id"], first);
    let tree = server.get(&format!("/api/jobs/{}/tree", lease.job)).ok(200);
    assert_eq!(tree["jobs"].as_array().expect("a list").len(), 2);
}

#[test]
fn a_worker_is_told_to_be_quiet_and_to_go() {
    let server = TestServer::start();
    let mut socket = Socket::ready(&server, "far", 1);
    let path = |what: &str| format!("/api/workers/{}/{what}", socket.session);
    let (quiet, terminate) = (path("quiet"), path("terminate"));
    assert_eq!(server.post(&quiet, &json!({})).ok(200)["state"], "quiet");
    socket.hear("quiet");
    let id = submit(&server);
    assert_eq!(server.post(&terminate, &json!({})).ok(200)["state"], "terminate");
    socket.hear("terminate");
    assert_eq!(job(&server, &id)["state"], "queued", "a worker that is quiet gets nothing");
    let nobody = "/api/workers/01990000-0000-7000-8000-000000000001/quiet";
    server.post(nobody, &json!({})).refused(404, "session_not_found");
}

#[test]
fn a_second_connection_of_a_session_replaces_the_first() {
    let server = TestServer::start();
    let (mut half_open, lease) = on_socket(&server);
    let back = Socket::resume(&server, "far", &half_open.session, &[&lease]);
    assert_eq!(back.session, half_open.session);
    assert_eq!(half_open.close_code(), 4506);
    assert_eq!(job(&server, &lease.job)["state"], "running");
}

#[test]
fn a_connection_that_is_none_of_ours_is_refused_or_closed_with_its_code() {
    let server = TestServer::start();
    assert_eq!(Socket::try_connect(&server, &[("origin", "http://evil.example")]).err(), Some(403));
    assert_eq!(Socket::try_connect(&server, &[("sec-websocket-protocol", "chat")]).err(), Some(400));
    assert_eq!(server.raw("GET", "/api/worker", &[], b"").problem(), "upgrade_required");
    let mut talker = Socket::connect(&server);
    talker.say_text("{\"type\": \"ready\", \"slots\": 1}");
    let error = talker.hear("error");
    assert!(error["detail"].as_str().expect("a text").contains("hello"), "{error}");
    talker.say_text("hello");
    assert_eq!(talker.close_code(), 4500);
    let mut silent = Socket::connect(&server);
    assert_eq!(silent.close_code(), 4502);
}

#[test]
fn a_body_that_is_wrong_is_refused_with_pointers_and_changes_nothing() {
    let server = TestServer::start();
    let (caller, lease) = on_caller(&server);
    let wrong = lease.call(&server, "progress", &json!({"percent": 101})).refused(422, "invalid_request");
    assert_eq!(wrong["errors"][0]["pointer"], "/percent");
    let wrong = lease.call(&server, "complete", &json!({"colour": 1})).refused(422, "invalid_request");
    assert_eq!(wrong["errors"][0]["pointer"], "/colour");
    let wrong = lease.call(&server, "fail", &json!({"error": {"message": 7}})).refused(422, "invalid_request");
    assert_eq!(wrong["errors"][0]["pointer"], "/error/message");
    let headers = [("content-type", "application/json"), ("lease-token", lease.token.as_str())];
    let path = format!("/api/jobs/{}/complete", lease.job);
    let twice = server.ask("POST", &path, &headers, br#"{"result": 1, "result": 2}"#).refused(422, "invalid_request");
    assert_eq!(twice["errors"][0]["pointer"], "/result");
    lease.call(&server, "items", &json!({})).refused(422, "invalid_request");
    lease.call(&server, "items", &json!({"items": [{"key": "x", "state": "failed"}]})).refused(422, "invalid_request");
    let headers = [("content-type", "application/json")];
    let path = format!("/api/jobs/{}/complete", lease.job);
    server.ask("POST", &path, &headers, b"{}").refused(409, "lease_lost");
    server.post("/api/workers", &json!({"concurrency": 0})).refused(422, "invalid_request");
    server.post("/api/claim", &json!({"session": "x"})).refused(422, "invalid_request");
    assert_eq!(caller.beat(&[&lease]).ok(200)["extended"], json!([lease.job]));
}
