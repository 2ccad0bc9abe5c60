//! Bulks, dependencies and batches with items.

use serde_json::json;

use crate::support::TestServer;
use crate::support::worker;

#[test]
fn a_chain_of_jobs_runs_in_order() {
    let server = worker::server();
    let jobs = json!({"jobs": [
        {"kind": "act", "args": {"result": 1}, "ref": "first"},
        {"kind": "act", "args": {"result": 2}, "depends_on": ["#first"]}
    ]});
    let made = server.post("/api/jobs/bulk", &jobs).ok(201);
    let ids: Vec<&str> =
        made["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].as_str().expect("an id")).collect();
    let second = server.finished(ids[1]);
    assert_eq!((second["state"].as_str(), &second["result"]), (Some("completed"), &json!(2)));
    let first = server.get(&format!("/api/jobs/{}", ids[0])).ok(200);
    assert!(first["finished_at"].as_str() <= second["started_at"].as_str());
}

#[test]
fn a_bulk_stands_or_falls_as_a_whole() {
    let server = worker::server();
    let mut jobs = vec![json!({"kind": "typed", "args": {"prompt": "x"}}); 20];
    jobs[17]["args"]["steps"] = json!("many");
    let problem = server.post("/api/jobs/bulk", &json!({"jobs": jobs})).refused(422, "invalid_args");
    assert_eq!(problem["errors"][0]["pointer"], "/jobs/17/args/steps");
    assert_eq!(server.get("/api/jobs").ok(200)["jobs"], json!([]));
    let many = vec![json!({"kind": "x", "args": {}}); 1001];
    let problem = server.post("/api/jobs/bulk", &json!({"jobs": many})).refused(422, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/jobs");
}

#[test]
fn a_thousand_jobs_are_submitted_at_once_and_listed_page_by_page() {
    let server = TestServer::start();
    let many = vec![json!({"kind": "x", "args": {}}); 1000];
    server.post("/api/jobs/bulk", &json!({"jobs": many})).ok(201);
    let (mut path, mut seen) = ("/api/jobs?limit=300".to_owned(), std::collections::BTreeSet::new());
    loop {
        let page = server.get(&path).ok(200);
        seen.extend(page["jobs"].as_array().expect("rows").iter().map(|row| row["id"].to_string()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/jobs?limit=300&cursor={cursor}");
    }
    assert_eq!(seen.len(), 1000);
}

#[test]
fn a_batch_shows_its_items() {
    let server = worker::server();
    let items: Vec<_> = (0..5).map(|n| json!({"key": format!("item {n}")})).collect();
    let id = server.submit(&json!({"kind": "act", "args": {}, "items": items}));
    let job = server.finished(&id);
    assert_eq!(job["items"], json!({"total": 5, "completed": 5, "failed": 0, "skipped": 0, "pending": 0}));
    let listed = server.get(&format!("/api/jobs/{id}/items?state=completed&limit=2")).ok(200);
    assert_eq!(listed["items"][1]["result"], json!({"seen": "item 1"}));
    assert!(listed["next_cursor"].is_string());
}
