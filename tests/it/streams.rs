//! What goes on after the answer has begun: logs that are followed, and waiting for an end.

use serde_json::json;

use crate::support::TestServer;
use crate::support::worker;
use crate::support::worker::Hold;

#[test]
fn a_followed_log_ends_with_its_job() {
    let server = worker::server();
    let hold = Hold::new(&server, "talk");
    let id = server.submit(&json!({"kind": "act", "args": {"hold": "talk", "log": "first words"}}));
    hold.token();
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| server.get(&format!("/api/jobs/{id}/logs?follow")));
        hold.let_go();
        let stream = follower.join().expect("it ends");
        let text = String::from_utf8(stream.bytes).expect("is text");
        assert_eq!(stream.headers["content-type"], "text/event-stream");
        assert!(text.contains("\"text\":\"first words\"") && text.contains("event:end"), "{text}");
    });
}

#[test]
fn a_server_that_stops_keeps_no_waiter() {
    let server = worker::server();
    let id = server.submit(&json!({"kind": "remote", "args": {}}));
    let (waiting, following) = (format!("/api/jobs/{id}?wait_s=50"), format!("/api/jobs/{id}/logs?follow"));
    let waiting = server.send(&waiting);
    let following = server.send(&following);
    // A connection is served as soon as it is accepted, and connections are accepted in order.
    server.get("/health").ok(200);
    server.terminate();
    let (waited, followed) = (TestServer::rest(waiting), TestServer::rest(following));
    assert!(waited.contains("\"state\":\"queued\""), "{waited}");
    assert!(!followed.contains("event:end"), "the job has not ended: {followed}");
}

#[test]
fn a_waiter_hears_of_the_end_at_once() {
    let server = worker::server();
    let hold = Hold::new(&server, "wait");
    let id = server.submit(&json!({"kind": "act", "args": {"hold": "wait"}}));
    hold.token();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| server.get(&format!("/api/jobs/{id}?wait_s=50")).ok(200));
        hold.let_go();
        assert_eq!(waiter.join().expect("it ends")["state"], "completed");
    });
}
