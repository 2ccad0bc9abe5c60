//! What is forgotten, and what stays: by number, by age, for the sake of others, over restarts and in the middle of them.
//! A job that ends after all others and is gone says that a round has looked at all of them.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::live::Page;
use crate::support::remote::Caller;

const KEEP_NONE: &str = "[retention]\nfinished_count = 0\nevery_s = 0.2\n";
const KEEP_THREE: &str = "[retention]\nfinished_count = 3\nevery_s = 0.2\n";

fn cancelled(server: &TestServer) -> String {
    let id = server.submit(&json!({"kind": "k", "args": {}}));
    server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);
    id
}

/// All ids that were forgotten so far, in order.
fn forgotten(server: &TestServer) -> Vec<String> {
    let mut ids = Vec::new();
    let mut after = 0;
    loop {
        let page = server.get(&format!("/api/events?after={after}")).ok(200);
        let events = page["events"].as_array().expect("events");
        let Some(last) = events.last() else { return ids };
        after = last["seq"].as_u64().expect("a number");
        for event in events.iter().filter(|event| event["type"] == "jobs.forgotten") {
            let jobs = event["data"]["jobs"].as_array().expect("ids");
            ids.extend(jobs.iter().map(|id| id.as_str().expect("an id").to_owned()));
        }
    }
}

/// Waits until a job is forgotten.
fn until_forgotten(server: &TestServer, id: &str) {
    let mut after = 0;
    loop {
        let page = server.get(&format!("/api/events?after={after}&wait=30")).ok(200);
        for event in page["events"].as_array().expect("events") {
            after = event["seq"].as_u64().expect("a number");
            let is_it = |jobs: &Value| jobs.as_array().is_some_and(|jobs| jobs.iter().any(|job| job == id));
            if event["type"] == "jobs.forgotten" && is_it(&event["data"]["jobs"]) {
                return;
            }
        }
    }
}

/// Waits until a round has looked at everything that has ended by now.
fn a_round_has_passed(server: &TestServer) {
    let last = cancelled(server);
    until_forgotten(server, &last);
}

fn is_known(server: &TestServer, id: &str) -> bool {
    match server.get(&format!("/api/jobs/{id}")) {
        found if found.status == 200 => true,
        other => {
            other.refused(404, "job_not_found");
            false
        }
    }
}

fn list(server: &TestServer) -> Vec<String> {
    let jobs = server.get("/api/jobs?limit=500").ok(200);
    let rows = jobs["jobs"].as_array().expect("rows").iter();
    rows.map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

fn remove_views(directory: &std::path::Path) {
    for name in ["views", "snapshots"] {
        std::fs::remove_dir_all(directory.join("data").join(name)).expect("it is disposable");
    }
}

#[test]
fn more_than_are_kept_are_forgotten_the_oldest_first_in_every_answer_and_for_good() {
    let server = TestServer::with_config(KEEP_THREE);
    let mut page = Page::connect(&server);
    page.subscribe("a", "jobs", json!({"state": "cancelled"}), Value::Null);
    let ids: Vec<String> = (0..8).map(|_| cancelled(&server)).collect();
    until_forgotten(&server, &ids[4]);
    let kept: Vec<String> = ids[5..].iter().rev().cloned().collect();
    assert_eq!(list(&server), kept);
    assert_eq!(forgotten(&server), ids[..5]);
    assert!(ids[..5].iter().all(|id| !is_known(&server, id)));
    let stats = server.get("/api/stats").ok(200);
    assert_eq!(stats["jobs"]["cancelled"], 3, "{stats}");
    let metrics = String::from_utf8(server.raw("GET", "/metrics", &[], b"").bytes).expect("text");
    assert!(metrics.contains("daybook_forgotten_jobs_total 5"), "{metrics}");
    let mut left = BTreeSet::new();
    while left.len() < 5 {
        let frame = page.await_frame("changes");
        left.extend(frame["left"].as_array().expect("ids").iter().map(|id| id.as_str().expect("an id").to_owned()));
    }
    assert_eq!(left, ids[..5].iter().cloned().collect());

    let server = server.stop_and_restart();
    assert_eq!(list(&server), kept);
    let server = server.kill_and_restart();
    assert_eq!(list(&server), kept);
}

#[test]
fn views_that_are_built_again_show_none_of_the_forgotten() {
    let own = tempfile::tempdir().expect("a directory");
    std::fs::write(own.path().join("daybook.toml"), KEEP_THREE).expect("writes");
    let server = TestServer::in_directory(own.path());
    let ids: Vec<String> = (0..9).map(|_| cancelled(&server)).collect();
    until_forgotten(&server, &ids[5]);
    let kept = list(&server);
    drop(server);
    remove_views(own.path());
    let server = TestServer::in_directory(own.path());
    assert_eq!(list(&server), kept);
    let again = cancelled(&server);
    until_forgotten(&server, &ids[6]);
    assert_eq!(list(&server), [vec![again], kept[..2].to_vec()].concat());
}

#[test]
fn what_is_too_old_is_forgotten_and_a_state_and_a_kind_may_be_kept_for_longer() {
    let toml = "[retention]\nfinished_age_s = 0.2\nevery_s = 0.2\n[retention.failed]\nfinished_age_s = 600\n\
                [retention.kinds.rare]\nfinished_count = 1\nfinished_age_s = 600\n";
    let server = TestServer::with_config(toml);
    let failed = server.submit(&json!({"kind": "work", "args": {}, "max_attempts": 1}));
    let caller = Caller::register(&server, "work", 1);
    caller.job().call(&server, "fail", &json!({"error": {"code": "broken", "message": "it broke"}})).ok(200);
    let rare: Vec<String> = (0..2)
        .map(|_| {
            let id = server.submit(&json!({"kind": "rare", "args": {}}));
            server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);
            id
        })
        .collect();
    let plain = cancelled(&server);
    until_forgotten(&server, &plain);
    a_round_has_passed(&server);
    assert!(is_known(&server, &failed));
    assert_eq!(rare.iter().map(|id| is_known(&server, id)).collect::<Vec<_>>(), [false, true]);
    caller.close();
}

#[test]
fn a_completed_job_stays_as_long_as_somebody_waits_for_it_together_with_another() {
    let server = TestServer::with_config(KEEP_NONE);
    let caller = Caller::register(&server, "work", 1);
    let first = server.submit(&json!({"kind": "work", "args": {}}));
    let second = server.submit(&json!({"kind": "work", "args": {}}));
    let waiting = server.submit(&json!({"kind": "work", "args": {}, "depends_on": [first, second]}));
    caller.job().call(&server, "complete", &json!({"result": 1})).ok(200);
    a_round_has_passed(&server);
    assert!(is_known(&server, &first));
    caller.job().call(&server, "complete", &json!({"result": 2})).ok(200);
    until_forgotten(&server, &second);
    assert!(!is_known(&server, &first));
    let lease = caller.job();
    assert_eq!(lease.job, waiting);
    lease.call(&server, "complete", &json!({"result": 3})).ok(200);
    until_forgotten(&server, &waiting);
    caller.close();
}

#[test]
fn a_child_with_a_key_and_the_first_job_of_a_request_stay_as_long_as_they_are_needed() {
    let server = TestServer::with_config(KEEP_NONE);
    let parents = Caller::register(&server, "parent", 1);
    server.submit(&json!({"kind": "parent", "args": {}}));
    let parent = parents.job();
    let child = json!({"kind": "child", "args": {}, "unique_key": "page-1"}).to_string();
    let headers = [("content-type", "application/json"), ("lease-token", parent.token.as_str())];
    let submit = || server.ask("POST", "/api/jobs", &headers, child.as_bytes());
    let id = submit().ok(201)["id"].as_str().expect("an id").to_owned();
    server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);

    let request = json!({"jobs": [{"kind": "k", "args": {}}, {"kind": "k", "args": {}}]}).to_string();
    let keyed = [("content-type", "application/json"), ("idempotency-key", "once")];
    let bulk = || server.ask("POST", "/api/jobs/bulk", &keyed, request.as_bytes());
    let made = bulk().ok(201);
    let made: Vec<String> = (0..2).map(|at| made["jobs"][at]["id"].as_str().expect("an id").to_owned()).collect();
    server.post(&format!("/api/jobs/{}/cancel", made[0]), &json!({})).ok(200);

    a_round_has_passed(&server);
    assert!(is_known(&server, &id) && is_known(&server, &made[0]));
    assert_eq!(submit().ok(200)["id"], id.as_str(), "a rerun of the parent submits no second child");
    assert_eq!(bulk().ok(200)["jobs"][0]["id"], made[0].as_str());

    parent.call(&server, "complete", &json!({"result": null})).ok(200);
    server.post(&format!("/api/jobs/{}/cancel", made[1]), &json!({})).ok(200);
    until_forgotten(&server, &id);
    until_forgotten(&server, &made[0]);
    assert_ne!(bulk().ok(201)["jobs"][0]["id"], made[0].as_str());
    parents.close();
}

#[test]
fn a_kill_in_the_middle_of_a_round_loses_nothing_and_forgets_nobody_twice() {
    let own = tempfile::tempdir().expect("a directory");
    let config = own.path().join("daybook.toml");
    std::fs::write(&config, "").expect("writes");
    let server = TestServer::in_directory(own.path());
    let jobs: Vec<Value> = (0..1000).map(|_| json!({"kind": "k", "args": {}})).collect();
    for _ in 0..3 {
        server.post("/api/jobs/bulk", &json!({"jobs": jobs})).ok(201);
    }
    server.post("/api/jobs/actions", &json!({"action": "cancel", "filter": {"kind": "k"}, "dry_run": false})).ok(200);
    drop(server);
    std::fs::write(&config, "[retention]\nfinished_count = 7\nevery_s = 0.2\n").expect("writes");
    let mut server = TestServer::in_directory(own.path());
    for _ in 0..3 {
        // Killed right after a piece was forgotten, or in the middle of the next.
        let before = forgotten(&server).len();
        while forgotten(&server).len() == before && before < 2993 {
            std::thread::yield_now();
        }
        server = server.kill_and_restart();
    }
    loop {
        let ids = list(&server);
        if ids.len() == 7 {
            break;
        }
        server.get(&format!("/api/events?after={}&wait=1", server.get("/health").ok(200)["seq"])).ok(200);
    }
    let ids = forgotten(&server);
    let each_once: BTreeSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), each_once.len()), (2993, 2993));
    assert!(list(&server).iter().all(|id| !each_once.contains(id)));
    drop(server);
    let (code, said) = crate::support::server::verify(&own.path().join("data"));
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn files_and_log_lines_go_with_their_job_also_when_a_crash_came_in_between() {
    let server = TestServer::with_config(KEEP_NONE);
    let caller = Caller::register(&server, "work", 1);
    let id = server.submit(&json!({"kind": "work", "args": {}}));
    let lease = caller.job();
    assert_eq!(lease.call(&server, "logs", &json!({"lines": [{"stream": "stdout", "text": "a line"}]})).status, 204);
    let headers = [("content-type", "text/plain"), ("lease-token", lease.token.as_str())];
    let stored = server.ask("PUT", &format!("/api/jobs/{id}/files/out.txt"), &headers, b"made");
    assert!(stored.status < 300, "{}", stored.status);
    let data = server.directory().join("data");
    let log = data.join("logs").join(&id[id.len() - 2..]).join(&id);
    let files = data.join("files").join(&id);
    assert!(log.exists() && files.join("out.txt").exists());
    lease.call(&server, "complete", &json!({"result": 1})).ok(200);
    until_forgotten(&server, &id);
    while log.exists() || files.exists() {
        std::thread::yield_now();
    }
    // As a crash between the event and the removal leaves it.
    std::fs::create_dir_all(&files).expect("makes");
    std::fs::write(files.join("out.txt"), "made").expect("writes");
    std::fs::write(&log, "").expect("writes");
    let server = server.kill_and_restart();
    while log.exists() || files.exists() {
        std::thread::yield_now();
    }
    server.get("/health").ok(200);
}

#[test]
fn a_new_rule_is_in_effect_at_once_after_a_reload() {
    let server = TestServer::with_config("");
    let ids: Vec<String> = (0..4).map(|_| cancelled(&server)).collect();
    let toml = "[retention]\nfinished_count = 2\nevery_s = 0.2\n";
    std::fs::write(server.directory().join("daybook.toml"), toml).expect("writes");
    kill(Pid::from_raw(server.process() as i32), Signal::SIGHUP).expect("it runs");
    until_forgotten(&server, &ids[1]);
    assert_eq!(list(&server), [ids[3].clone(), ids[2].clone()]);
}
