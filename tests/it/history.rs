//! How much was done and how long it took, as charts ask for it: the same over restarts.

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::worker::{self, Hold};

const SPANS: [(&str, u64, usize); 4] = [("5m", 5, 60), ("1h", 60, 60), ("24h", 600, 144), ("30d", 86_400, 30)];

fn history(server: &TestServer, span: &str) -> Value {
    server.get(&format!("/api/history?span={span}")).ok(200)
}

/// The buckets in which something happened, with all that happened before the start in them.
fn filled(server: &TestServer, span: &str) -> Vec<Value> {
    loop {
        let answer = history(server, span);
        if answer["complete"] != true {
            continue;
        }
        let buckets = answer["buckets"].as_array().expect("buckets").iter().cloned();
        let is_filled =
            |bucket: &Value| bucket.as_object().expect("an object").values().any(|value| value.as_u64() > Some(0));
        return buckets.filter(is_filled).collect();
    }
}

fn sum(buckets: &[Value], name: &str) -> u64 {
    buckets.iter().map(|bucket| bucket[name].as_u64().expect("a number")).sum()
}

/// Jobs that complete, fail at the second attempt, are cancelled before they run, and are gone without a trace.
fn live(server: &TestServer) {
    let act = |args: Value| server.submit(&json!({"kind": "act", "args": args, "max_attempts": 1}));
    let done = act(json!({"result": 1}));
    let failed = act(json!({"exit": 3}));
    let lost = act(json!({"die": 1}));
    for (id, state) in [(&done, "completed"), (&failed, "failed"), (&lost, "completed")] {
        assert_eq!(server.finished(id)["state"], state);
    }
    server.post(&format!("/api/jobs/{done}/purge"), &json!({})).ok(200);
    let waiting = server.submit(&json!({"kind": "remote", "args": {}}));
    server.post(&format!("/api/jobs/{waiting}/cancel"), &json!({})).ok(200);
}

#[test]
fn what_was_counted_live_is_told_alike_after_a_stop_and_after_a_kill() {
    let server = worker::server();
    assert_eq!(history(&server, "1h")["complete"], true, "nothing happened before the first start");
    live(&server);
    let hold = Hold::new(&server, "over");
    let held = server.submit(&json!({"kind": "act", "args": {"hold": "over"}}));
    hold.token();
    let before = SPANS.map(|(span, ..)| filled(&server, span));
    let days = &before[3];
    for (name, count) in
        [("submitted", 5), ("started", 5), ("completed", 2), ("failed", 1), ("cancelled", 1), ("lost", 1)]
    {
        assert_eq!(sum(days, name), count, "{name}");
    }
    assert_eq!(sum(days, "attempts_failed"), 1);
    assert!(days[0]["run_s"]["p50"].as_f64().is_some_and(|p50| p50 > 0.0) && days[0]["wait_s"].is_object());

    // What runs is lost by the kill, and counted after it; the rest is as it was.
    let server = server.kill_and_restart();
    let killed = filled(&server, "30d");
    assert_eq!((sum(&killed, "lost"), sum(&killed, "submitted")), (2, 5));
    server.post(&format!("/api/jobs/{held}/cancel"), &json!({})).ok(200);
    assert_eq!(server.finished(&held)["state"], "cancelled");
    let before = SPANS.map(|(span, ..)| filled(&server, span));
    let server = server.stop_and_restart();
    assert_eq!(SPANS.map(|(span, ..)| filled(&server, span)), before);
}

#[test]
fn a_span_has_its_buckets_also_where_nothing_happened_and_others_are_refused() {
    let server = TestServer::start();
    for (span, width_s, count) in SPANS {
        let answer = history(&server, span);
        let buckets = answer["buckets"].as_array().expect("buckets");
        assert_eq!((&answer["span"], &answer["width_s"], buckets.len()), (&json!(span), &json!(width_s), count));
        assert_eq!(buckets[0]["wait_s"], Value::Null);
    }
    assert_eq!(server.get("/api/history").ok(200)["span"], "1h");
    for wrong in ["?span=7d", "?span=", "?kind=act"] {
        let answer = server.ask("GET", &format!("/api/history{wrong}"), &[], b"");
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("invalid_query")), "{wrong}");
    }
}
