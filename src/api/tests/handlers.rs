//! What each route does, seen from outside, over an engine in memory.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::tests::world::World;
use crate::domain::command::{Command, LeaseProof};
use crate::domain::event::Actor;
use crate::domain::job::JobError;

const JSON: (&str, &str) = ("content-type", "application/json");

fn ids(page: &Value) -> Vec<String> {
    let rows = page["jobs"].as_array().expect("rows");
    rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_submitted_job_is_answered_in_full_and_is_there() {
    let world = World::start().await;
    let answer = world.post("/api/jobs", json!({"kind": "i2v", "args": {}, "priority": 5, "tags": ["a"]})).await;
    let job = answer.ok(201);
    assert_eq!((job["state"].as_str(), job["args"].clone()), (Some("queued"), json!({"steps": 8})));
    assert_eq!(answer.header("location"), format!("/api/jobs/{}", job["id"].as_str().expect("an id")));
    let seq: u64 = answer.header("daybook-seq").parse().expect("a seq");
    assert!(seq >= job["seq"].as_u64().expect("a seq"));
    let again = world.get(answer.header("location")).await;
    assert_eq!(again.ok(200), job);
    world.post("/api/jobs", json!({"kind": "i2v", "args": {"steps": 500}})).await.refused(422, "invalid_args");
    world.ask("POST", "/api/jobs", &[JSON], "{".into()).await.refused(400, "invalid_json");
    world.get("/api/jobs/nonsense").await.refused(404, "job_not_found");
    world.get("/api/jobs/0197a000-0000-7000-8000-000000000000").await.refused(404, "job_not_found");
}

#[tokio::test]
async fn the_same_key_with_equal_json_submits_once() {
    let world = World::start().await;
    let headers = [JSON, ("idempotency-key", "k1")];
    let submit = |body: &'static str| world.ask("POST", "/api/jobs", &headers, Bytes::from_static(body.as_bytes()));
    let first = submit(r#"{"kind": "any", "args": {"a": 1, "b": 2}}"#).await.ok(201);
    let again = submit(r#"{"args": {"b": 2.0, "a": 1}, "kind": "any"}"#).await;
    assert_eq!(again.ok(200)["id"], first["id"]);
    assert_eq!(again.header("idempotency-replayed"), "true");
    submit(r#"{"kind": "any", "args": {"a": 2}}"#).await.refused(422, "idempotency_mismatch");
}

#[tokio::test]
async fn a_unique_key_names_its_holder() {
    let world = World::start().await;
    let body = json!({"kind": "any", "args": {}, "unique_key": "u"});
    let holder = world.post("/api/jobs", body.clone()).await.ok(201);
    let problem = world.post("/api/jobs", body).await.refused(409, "unique_conflict");
    assert_eq!(problem["job_id"], holder["id"]);
}

#[tokio::test]
async fn a_bulk_is_submitted_whole_or_not_at_all() {
    let world = World::start().await;
    let jobs = json!({"jobs": [
        {"kind": "any", "args": {}, "ref": "a"},
        {"kind": "any", "args": {}, "depends_on": ["#a"]}
    ]});
    let made = world.post("/api/jobs/bulk", jobs).await.ok(201);
    assert_eq!(made["jobs"][1]["state"], "blocked");
    assert_eq!(made["jobs"][1]["depends_on"][0], made["jobs"][0]["id"]);
    let cycle = json!({"jobs": [
        {"kind": "any", "args": {}, "ref": "a", "depends_on": ["#b"]},
        {"kind": "any", "args": {}, "ref": "b", "depends_on": ["#a"]}
    ]});
    let problem = world.post("/api/jobs/bulk", cycle).await.refused(422, "dependency_cycle");
    assert_eq!(problem["errors"][0]["pointer"], "/jobs/0/depends_on/0");
    let unknown = json!({"kind": "any", "args": {}, "depends_on": ["0197a000-0000-7000-8000-000000000000"]});
    let problem = world.post("/api/jobs", unknown).await.refused(422, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/depends_on/0");
    assert_eq!(ids(&world.get("/api/jobs").await.ok(200)).len(), 2);
}

#[tokio::test]
async fn pages_of_the_list_are_stable_while_jobs_arrive() {
    let world = World::start().await;
    let mut submitted = Vec::new();
    for _ in 0..5 {
        submitted.push(world.submit().await.to_string());
    }
    submitted.reverse();
    let page = world.get("/api/jobs?state=queued&limit=3").await.ok(200);
    assert_eq!(ids(&page), submitted[..3]);
    world.submit().await;
    let cursor = page["next_cursor"].as_str().expect("a next page");
    let rest = world.get(&format!("/api/jobs?state=queued&limit=3&cursor={cursor}")).await.ok(200);
    assert_eq!((ids(&rest), rest["next_cursor"].clone()), (submitted[3..].to_vec(), Value::Null));
    world.get(&format!("/api/jobs?cursor={cursor}")).await.refused(400, "invalid_query");
    world.get("/api/jobs?limit=0").await.refused(400, "invalid_query");
    assert!(page["jobs"][0].get("args").is_none());
}

#[tokio::test]
async fn a_waiter_is_answered_when_the_job_ends() {
    let world = World::start().await;
    let id = world.submit().await;
    let granted = world.take().await;
    let path = format!("/api/jobs/{id}?wait_s=50");
    let (answer, ()) = tokio::join!(world.get(&path), world.complete(&granted));
    let job = answer.ok(200);
    assert_eq!((job["state"].as_str(), job["result"].clone()), (Some("completed"), json!({"done": true})));
    // It is terminal, so that a wait of any length is over at once; one above the longest is cut and not refused.
    world.get(&format!("/api/jobs/{id}?wait_s=51")).await.ok(200);
    world.get(&format!("/api/jobs/{id}?wait_s=-1")).await.refused(400, "invalid_query");
    world.get(&format!("/api/jobs/{id}?wait_s=soon")).await.refused(400, "invalid_query");
}

#[tokio::test]
async fn a_wait_that_is_over_answers_with_the_job_as_it_is() {
    let world = World::start().await;
    let id = world.submit().await;
    let began = std::time::Instant::now();
    assert_eq!(world.get(&format!("/api/jobs/{id}?wait_s=0.1")).await.ok(200)["state"], "queued");
    assert!(began.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_waiting_job_can_be_changed_and_a_running_one_cannot() {
    let world = World::start().await;
    let path = format!("/api/jobs/{}", world.submit().await);
    let change = Bytes::from_static(br#"{"priority": 9, "queue": "late", "tags": ["x"]}"#);
    let job = world.ask("PATCH", &path, &[JSON], change.clone()).await.ok(200);
    assert_eq!((job["priority"].as_i64(), job["queue"].as_str()), (Some(9), Some("late")));
    world.ask("PATCH", &path, &[JSON], "{\"kind\": \"b\"}".into()).await.refused(422, "invalid_request");
    let granted = world.take().await;
    world.ask("PATCH", &path, &[JSON], change.clone()).await.refused(409, "job_is_running");
    world.complete(&granted).await;
    world.ask("PATCH", &path, &[JSON], change).await.refused(409, "job_is_terminal");
}

#[tokio::test]
async fn cancel_and_retry_answer_the_job() {
    let world = World::start().await;
    let path = format!("/api/jobs/{}", world.submit().await);
    let cancelled = world.ask("POST", &format!("{path}/cancel"), &[], Bytes::new()).await.ok(200);
    assert_eq!(
        (cancelled["state"].as_str(), cancelled["reason"].as_str()),
        (Some("cancelled"), Some("cancelled_by_request"))
    );
    world.post(&format!("{path}/cancel"), json!({})).await.refused(409, "job_is_terminal");
    assert_eq!(world.post(&format!("{path}/retry"), json!({})).await.ok(200)["state"], "queued");
    world.post(&format!("{path}/retry"), json!({"hard": true})).await.refused(422, "invalid_request");
}

#[tokio::test]
async fn one_action_changes_all_jobs_that_fit() {
    let world = World::start().await;
    for _ in 0..3 {
        world.submit().await;
    }
    let granted = world.take().await;
    world.complete(&granted).await;
    let action = |dry_run: bool| json!({"action": "cancel", "filter": {"kind": "any"}, "dry_run": dry_run});
    let tried = world.post("/api/jobs/actions", action(true)).await.ok(200);
    assert_eq!((tried["matched"].as_u64(), tried["changed"].as_array().map(Vec::len)), (Some(2), Some(2)));
    let done = world.post("/api/jobs/actions", action(false)).await.ok(200);
    assert_eq!(done["changed"], tried["changed"]);
    let all = json!({"action": "cancel", "filter": {"state": ["completed", "cancelled"]}});
    let skipped = world.post("/api/jobs/actions", all).await.ok(200);
    assert_eq!(skipped["skipped"].as_array().map(Vec::len), Some(3));
    assert_eq!(skipped["skipped"][0]["code"], "job_is_terminal");
    let wrong = world.post("/api/jobs/actions", json!({"action": "explode", "filter": {"stat": 1}})).await;
    let problem = wrong.refused(422, "invalid_request");
    let pointers: Vec<&str> =
        problem["errors"].as_array().expect("a list").iter().filter_map(|it| it["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/action", "/filter/stat"]);
}

#[tokio::test]
async fn an_action_on_named_jobs_is_for_these_alone() {
    let world = World::start().await;
    let (first, second, other) = (world.submit().await, world.submit().await, world.submit().await);
    let none = "0197a000-0000-7000-8000-000000000000";
    let action = |action: &str, dry_run: bool| json!({"action": action, "filter": {}, "ids": [second, first, none, first], "dry_run": dry_run});
    let tried = world.post("/api/jobs/actions", action("cancel", true)).await.ok(200);
    assert_eq!(tried["changed"], json!([second, first]));
    assert_eq!(tried["skipped"], json!([{"id": none, "code": "job_not_found"}]));
    let done = world.post("/api/jobs/actions", action("cancel", false)).await.ok(200);
    assert_eq!(
        (&done["changed"], &done["skipped"], &done["more"]),
        (&tried["changed"], &tried["skipped"], &json!(false))
    );
    assert_eq!(world.get(&format!("/api/jobs/{other}")).await.ok(200)["state"], "queued");
    let again = world.post("/api/jobs/actions", action("cancel", true)).await.ok(200);
    assert_eq!(again["skipped"].as_array().map(Vec::len), Some(3));
    let retried = world.post("/api/jobs/actions", action("retry", false)).await.ok(200);
    assert_eq!(retried["changed"], json!([first, second]), "the oldest first");

    let both = json!({"action": "cancel", "filter": {"kind": "any"}, "ids": ["7", first]});
    let problem = world.post("/api/jobs/actions", both).await.refused(422, "invalid_request");
    let pointers: Vec<&str> =
        problem["errors"].as_array().expect("a list").iter().filter_map(|it| it["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/ids/0", "/ids"]);
    let many = json!({"action": "cancel", "filter": {}, "ids": vec![none; 10_001]});
    world.post("/api/jobs/actions", many).await.refused(422, "invalid_request");
}

#[tokio::test]
async fn the_events_of_a_job_tell_its_life_from_the_beginning() {
    let world = World::start().await;
    let id = world.submit().await;
    let granted = world.take().await;
    world.complete(&granted).await;
    let page = world.get(&format!("/api/jobs/{id}/events")).await.ok(200);
    let types: Vec<&str> =
        page["events"].as_array().expect("a list").iter().filter_map(|it| it["type"].as_str()).collect();
    assert_eq!(types, ["job.submitted", "job.started", "job.completed"]);
    assert_eq!(page["events"][0]["data"]["args"], json!({"n": 1}));
    assert!(!page.to_string().contains("token"));
    let first = world.get(&format!("/api/jobs/{id}/events?limit=2")).await.ok(200);
    let cursor = first["next_cursor"].as_str().expect("a next page");
    let rest = world.get(&format!("/api/jobs/{id}/events?limit=2&cursor={cursor}")).await.ok(200);
    assert_eq!(rest["events"][0], page["events"][2]);
    assert_eq!(rest["next_cursor"], Value::Null);
}

#[tokio::test]
async fn items_show_what_the_log_holds_of_them() {
    let world = World::start().await;
    let body =
        json!({"kind": "any", "args": {}, "items": [{"key": "a", "args": {"n": 1}}, {"key": "b"}, {"key": "c"}]});
    let path =
        format!("/api/jobs/{}/items", world.post("/api/jobs", body).await.ok(201)["id"].as_str().expect("an id"));
    let granted = world.take().await;
    let proof = LeaseProof { job: granted.job, token: granted.token.hash() };
    let report = r#"[{"key": "a", "state": "completed", "result": 5, "error": null}]"#;
    let reports = serde_json::from_str(report).expect("a report");
    world.handle.submit(Command::ReportItems { proof, reports }, Actor::SERVER).await.expect("is noted");
    let done = world.get(&format!("{path}?state=completed")).await.ok(200);
    let expected = json!({"key": "a", "args": {"n": 1}, "state": "completed", "result": 5, "error": null});
    assert_eq!(done["items"], json!([expected]));
    let pending = world.get(&format!("{path}?state=pending&limit=1")).await.ok(200);
    assert_eq!(pending["items"][0]["key"], "b");
    let cursor = pending["next_cursor"].as_str().expect("a next page");
    let rest = world.get(&format!("{path}?state=pending&limit=1&cursor={cursor}")).await.ok(200);
    assert_eq!((rest["items"][0]["key"].as_str(), rest["next_cursor"].clone()), (Some("c"), Value::Null));
}

#[tokio::test]
async fn a_workers_token_makes_children_and_keeps_their_keys_for_good() {
    let world = World::start().await;
    let parent = world.submit().await;
    let granted = world.take().await;
    let headers = [JSON, ("lease-token", granted.token.reveal())];
    let body = Bytes::from_static(br#"{"kind": "any", "args": {}, "unique_key": "page 1"}"#);
    let child = world.ask("POST", "/api/jobs", &headers, body.clone()).await.ok(201);
    assert_eq!(child["parent_id"], parent.to_string());
    let again = world.ask("POST", "/api/jobs", &headers, body.clone()).await.ok(200);
    assert_eq!(again["id"], child["id"]);
    let tree = world.get(&format!("/api/jobs/{}/tree", child["id"].as_str().expect("an id"))).await.ok(200);
    assert_eq!((tree["root_id"].as_str(), ids(&tree).len()), (Some(parent.to_string().as_str()), 2));
    world.ask("POST", "/api/jobs", &[JSON, ("lease-token", "stale")], body).await.refused(409, "lease_lost");
}

#[tokio::test]
async fn files_are_written_by_the_holder_and_read_in_ranges() {
    let world = World::start().await;
    let id = world.submit().await;
    let granted = world.take().await;
    let path = format!("/api/jobs/{id}/files/a%20b.txt");
    let headers = [("content-type", "text/plain"), ("lease-token", granted.token.reveal())];
    world.ask("PUT", &path, &headers[..1], "0123456789".into()).await.refused(409, "lease_lost");
    let kept = world.ask("PUT", &path, &headers, "0123456789".into()).await.ok(201);
    assert_eq!(kept, json!({"name": "a b.txt", "type": "text/plain", "size": 10}));
    let huge = [headers[0], headers[1], ("content-length", "4294967297")];
    world.ask("PUT", &path, &huge, "more than 4 GiB".into()).await.refused(413, "body_too_large");
    let whole = world.get(&path).await;
    assert_eq!((whole.status, &whole.bytes[..]), (200, &b"0123456789"[..]));
    assert!(whole.header("content-security-policy").starts_with("sandbox"));
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    let part = world.ask("GET", &path, &[("range", "bytes=2-4")], Bytes::new()).await;
    assert_eq!((part.status, &part.bytes[..], part.header("content-range")), (206, &b"234"[..], "bytes 2-4/10"));
    let outside = world.ask("GET", &path, &[("range", "bytes=10-")], Bytes::new()).await;
    outside.refused(416, "range_not_satisfiable");
    assert_eq!(outside.header("content-range"), "bytes */10");
    let bad = format!("/api/jobs/{id}/files/..%2Fsecret");
    world.get(&bad).await.refused(404, "file_not_found");
    world.ask("PUT", &bad, &headers, "x".into()).await.refused(422, "invalid_request");
    for turned in ["a%E2%80%AEgpj.exe", "a%0Ab", "a%00b", "%C2%9B"] {
        let refused = world.ask("PUT", &format!("/api/jobs/{id}/files/{turned}"), &headers, "x".into()).await;
        let problem = refused.refused(422, "invalid_request");
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains("is no name for a file")), "{problem}");
    }
    for broken in ["%ff", "a%C3", "100%"] {
        let path = format!("/api/jobs/{id}/files/{broken}");
        let problem = world.ask("PUT", &path, &headers, "x".into()).await.refused(404, "not_found");
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains("%25")), "{problem}");
    }
}

#[tokio::test]
async fn an_action_that_retries_begins_with_what_the_others_wait_for() {
    let world = World::start().await;
    let jobs = json!({"jobs": [
        {"kind": "any", "args": {}, "ref": "a"},
        {"kind": "any", "args": {}, "depends_on": ["#a"]}
    ]});
    let made = world.post("/api/jobs/bulk", jobs).await.ok(201);
    let path = |place: usize| format!("/api/jobs/{}", made["jobs"][place]["id"].as_str().expect("an id"));
    world.post(&format!("{}/cancel", path(0)), json!({})).await.ok(200);
    assert_eq!(world.get(&path(1)).await.ok(200)["reason"], "dependency_failed");
    let problem = world.post(&format!("{}/retry", path(1)), json!({})).await.refused(409, "job_not_retryable");
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("retry that one first")), "{problem}");
    let retried = world.post("/api/jobs/actions", json!({"action": "retry", "filter": {}})).await.ok(200);
    assert_eq!(retried["changed"], json!([made["jobs"][0]["id"], made["jobs"][1]["id"]]), "{retried}");
    assert_eq!(world.get(&path(1)).await.ok(200)["state"], "blocked");
}

#[tokio::test]
async fn a_job_has_one_path() {
    let world = World::start().await;
    let id = world.submit().await.to_string();
    assert_eq!(world.get(&format!("/api/jobs/{}", id.to_uppercase())).await.ok(200)["id"], id.as_str());
    for other in [format!("{{{id}}}"), format!("%7B{id}%7D"), format!("urn:uuid:{id}"), id.replace('-', "")] {
        let Ok(path) = format!("/api/jobs/{other}").parse::<warp::http::Uri>() else { continue };
        world.get(&path.to_string()).await.refused(404, "job_not_found");
        let job = json!({"kind": "any", "args": {}, "depends_on": [other]});
        world.post("/api/jobs", job).await.refused(422, "invalid_request");
    }
}

#[tokio::test]
async fn the_same_key_with_a_number_that_only_looks_equal_is_another_request() {
    let world = World::start().await;
    let headers = [JSON, ("idempotency-key", "big")];
    let submit = |number: &str| {
        let body = format!(r#"{{"kind": "any", "args": {{"n": {number}}}}}"#);
        world.ask("POST", "/api/jobs", &headers, body.into())
    };
    submit("100000000000000000000000000001").await.ok(201);
    submit("100000000000000000000000000001.0").await.ok(200);
    submit("100000000000000000000000000002").await.refused(422, "idempotency_mismatch");
}

#[tokio::test]
async fn an_idempotency_key_is_one_short_visible_text() {
    let world = World::start().await;
    let (fits, long) = ("k".repeat(255), "k".repeat(256));
    for (keys, status) in [
        (&["k"][..], 201),
        (&[fits.as_str()], 201),
        (&[""], 422),
        (&[long.as_str()], 422),
        (&["k\u{fc}"], 422),
        (&["a", "b"], 422),
        (&["a", "a"], 422),
    ] {
        let headers: Vec<_> = keys.iter().map(|&key| ("idempotency-key", key)).chain([JSON]).collect();
        let answer = world.ask("POST", "/api/jobs", &headers, r#"{"kind": "any", "args": {}}"#.into()).await;
        assert_eq!(answer.status, status, "{keys:?}");
    }
}

#[tokio::test]
async fn a_body_of_another_sort_is_told_what_is_understood() {
    let world = World::start().await;
    let answer = world.ask("POST", "/api/jobs", &[("content-type", "text/plain")], "{}".into()).await;
    answer.refused(415, "unsupported_media_type");
    assert_eq!((answer.header("accept"), answer.header("accept-post")), ("application/json", "application/json"));
    let path = format!("/api/jobs/{}", world.submit().await);
    let patch = world.ask("PATCH", &path, &[("content-type", "text/plain")], "{}".into()).await;
    assert_eq!((patch.status, patch.header("accept-patch")), (415, "application/json"));
    let packed = [JSON, ("content-encoding", "gzip")];
    let problem = world.ask("POST", "/api/jobs", &packed, "{}".into()).await.refused(415, "unsupported_media_type");
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("Content-Encoding")), "{problem}");
}

#[tokio::test]
async fn a_field_that_is_given_twice_is_refused() {
    let world = World::start().await;
    let body = r#"{"kind": "a", "args": {}, "kind": "b"}"#;
    let problem = world.ask("POST", "/api/jobs", &[JSON], body.into()).await.refused(422, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/kind");
}

#[tokio::test]
async fn a_damaged_cursor_is_refused() {
    let world = World::start().await;
    for _ in 0..3 {
        world.submit().await;
    }
    let page = world.get("/api/jobs?limit=1").await.ok(200);
    let cursor = page["next_cursor"].as_str().expect("a next page").to_owned();
    world.get(&format!("/api/jobs?limit=1&cursor={cursor}")).await.ok(200);
    for at in 0..cursor.len() {
        let other = if cursor[at..].starts_with('A') { 'B' } else { 'A' };
        let damaged = format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]);
        world.get(&format!("/api/jobs?limit=1&cursor={damaged}")).await.refused(400, "invalid_query");
    }
}

#[tokio::test]
async fn log_lines_are_paged_and_followed_until_the_job_has_ended() {
    let world = World::start().await;
    let id = world.submit().await;
    let granted = world.take().await;
    world.lines.say(id, "one");
    world.lines.say(id, "two");
    let page = world.get(&format!("/api/jobs/{id}/logs?after=1")).await.ok(200);
    assert_eq!((page["lines"][0]["text"].as_str(), page["next_after"].as_u64()), (Some("two"), Some(2)));
    let path = format!("/api/jobs/{id}/logs?follow");
    let ending = async {
        world.lines.say(id, "three");
        world.complete(&granted).await;
    };
    let (stream, ()) = tokio::join!(world.get(&path), ending);
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let text = String::from_utf8(stream.bytes.to_vec()).expect("is text");
    for wanted in ["\"text\":\"one\"", "\"text\":\"two\"", "\"text\":\"three\"", "event:end"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}

#[tokio::test]
async fn why_says_what_stands_in_the_way() {
    let world = World::start().await;
    let id = world.submit().await;
    let why = world.get(&format!("/api/jobs/{id}/why")).await.ok(200);
    assert_eq!(why["sentence"], "No worker that takes the kind any from the queue default is there now.");
    world.post("/api/queues/default/pause", json!({})).await.ok(200);
    let why = world.get(&format!("/api/jobs/{id}/why")).await.ok(200);
    assert_eq!(why["facts"]["queue_is_paused"], true);
    let queues = world.get("/api/queues").await.ok(200);
    assert_eq!(
        (queues["queues"][0]["depth"]["queued"].as_u64(), &queues["queues"][0]["paused"]["by"]["type"]),
        (Some(1), &json!("client"))
    );
    assert_eq!(world.post("/api/queues/default/resume", json!({})).await.ok(200)["paused"], Value::Null);
    world.post("/api/queues/absent/resume", json!({})).await.refused(404, "queue_not_found");
    world.post("/api/queues/empty/pause", json!({})).await.ok(200);
    let resumed = world.post("/api/queues/empty/resume", json!({})).await.ok(200);
    assert_eq!((&resumed["name"], &resumed["paused"]), (&json!("empty"), &json!(null)));
    world.post("/api/queues/empty/resume", json!({})).await.refused(404, "queue_not_found");
}

#[tokio::test]
async fn a_failed_job_shows_its_error_and_why() {
    let world = World::start().await;
    let id = world.submit().await;
    let granted = world.take().await;
    let proof = LeaseProof { job: granted.job, token: granted.token.hash() };
    let error =
        JobError { code: "broken".into(), message: "no such file".into(), details: None, retryable: false, attempt: 1 };
    world.handle.submit(Command::Fail { proof, error }, Actor::SERVER).await.expect("fails");
    let why = world.get(&format!("/api/jobs/{id}/why")).await.ok(200);
    let expected = "It failed in attempt 1, and the worker said that another would fail too (broken: no such file).";
    assert_eq!(why["sentence"], expected);
    assert_eq!(world.get("/api/jobs?q=NO+SUCH").await.ok(200)["jobs"][0]["error"]["code"], "broken");
}

#[tokio::test]
async fn the_server_tells_about_itself() {
    let world = World::start().await;
    world.submit().await;
    let health = world.get("/health").await.ok(200);
    assert_eq!((health["status"].as_str(), health["version"].as_str()), (Some("ok"), Some("0.0.0")));
    assert_eq!(world.get("/api/stats").await.ok(200)["jobs"]["queued"], 1);
    let metrics = world.get("/metrics").await;
    assert!(String::from_utf8_lossy(&metrics.bytes).contains("daybook_jobs{state=\"queued\"} 1\n"));
    let kinds = world.get("/api/kinds").await.ok(200);
    assert_eq!(kinds["kinds"][0]["defaults"], json!({"steps": 8}));
    assert_eq!(world.get("/api/kinds/i2v").await.ok(200), kinds["kinds"][0]);
    world.get("/api/kinds/absent").await.refused(404, "kind_not_found");
    assert_eq!(world.get("/api/session/status").await.ok(401)["reason"], "NO_SESSION_ID");
    let header = ("x-session-id", "0197a000-0000-7000-8000-000000000000");
    let unknown = world.ask("GET", "/api/session/status", &[header], Bytes::new()).await;
    assert_eq!(unknown.ok(401)["reason"], "SESSION_NOT_FOUND");
}

#[tokio::test]
async fn a_halted_server_says_so_and_still_shows_what_it_has() {
    let world = World::start().await;
    let id = world.submit().await;
    world.store.break_writes();
    world.post("/api/jobs", json!({"kind": "any", "args": {}})).await.refused(507, "storage_failed");
    let health = world.get("/health").await;
    assert_eq!((health.status, health.json()["status"].as_str()), (503, Some("halted")));
    world.get(&format!("/api/jobs/{id}")).await.ok(200);
}

#[tokio::test]
async fn too_little_disk_refuses_new_work() {
    let world = World::start().await;
    let (keyed, job) = ([JSON, ("idempotency-key", "before")], json!({"kind": "any", "args": {}}).to_string());
    let made = world.ask("POST", "/api/jobs", &keyed, job.clone().into()).await.ok(201);
    world.handle.set_storage_low(Some((1_000, 2_000)));
    let again = world.ask("POST", "/api/jobs", &keyed, job.into()).await.ok(200);
    assert_eq!(again["id"], made["id"], "what is there takes no room");
    world.post("/api/jobs", json!({"kind": "any", "args": {}})).await.refused(507, "storage_low");
    assert_eq!(world.get("/health").await.ok(200)["status"], "ok");
}
