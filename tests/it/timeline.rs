//! How much happened when, as a scrubber asks for it.

use serde_json::{Value, json};

use crate::support::TestServer;

fn timeline(server: &TestServer, query: &str) -> Value {
    server.raw("GET", &format!("/api/timeline{query}"), &[], b"").ok(200)
}

/// The timeline with what happened before the start in it.
fn complete(server: &TestServer) -> Value {
    loop {
        let answer = timeline(server, "");
        if answer["complete"] == true {
            return answer;
        }
    }
}

fn count(answer: &Value, event_type: &str) -> u64 {
    let buckets = answer["buckets"].as_array().expect("buckets").iter();
    buckets.map(|bucket| bucket["counts"][event_type].as_u64().unwrap_or(0)).sum()
}

#[test]
fn every_event_is_counted_once_also_after_a_kill() {
    let server = TestServer::start();
    assert_eq!(timeline(&server, "")["complete"], true, "nothing happened before the first start");
    (0..3).for_each(|_| drop(server.submit(&json!({"kind": "k", "args": {}}))));
    let server = server.kill_and_restart();
    server.submit(&json!({"kind": "k", "args": {}}));
    let answer = complete(&server);
    assert_eq!(count(&answer, "job.submitted"), 4);
    assert_eq!(count(&answer, "epoch.started"), 2);
    let buckets = answer["buckets"].as_array().expect("buckets");
    assert_eq!((&buckets[0]["first_seq"], &answer["earliest"]), (&json!(1), &json!(1)));
    assert_eq!(buckets[buckets.len() - 1]["last_seq"], answer["seq"]);
    assert!(answer["width_s"].as_u64().is_some_and(|width_s| width_s >= 1));
}

#[test]
fn there_are_at_most_as_many_buckets_as_were_asked_for() {
    let server = TestServer::start();
    server.submit(&json!({"kind": "k", "args": {}}));
    assert_eq!(timeline(&server, "?buckets=1")["buckets"].as_array().map(Vec::len), Some(1));
    for wrong in ["?buckets=0", "?buckets=1001", "?buckets=many"] {
        let answer = server.raw("GET", &format!("/api/timeline{wrong}"), &[], b"");
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("invalid_query")), "{wrong}");
    }
}
