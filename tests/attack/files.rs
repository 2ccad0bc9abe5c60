//! Output files: a worker that is late, and readers that do not read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::worker::{Hold, server};

/// More readers than there are threads for blocking work.
const READERS: usize = 600;
/// More than the buffers of a connection take.
const FILE_BYTES: usize = 16 * 1024 * 1024;
/// How long an answer may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn an_upload_whose_lease_ended_on_the_way_replaces_nothing() {
    let server = server();
    let hold = Hold::new(&server, "late");
    let id = server.submit(&json!({"kind": "act", "args": {"hold": server.directory().join("late")}}));
    let token = hold.token();
    let path = format!("/api/jobs/{id}/files/a.txt");
    assert_eq!(server.ask("PUT", &path, &[("lease-token", &token)], b"first").status, 201);

    let mut late = TcpStream::connect(server.address()).expect("it listens");
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nLease-Token: {token}\r\nContent-Length: 5\r\n\
         Expect: 100-continue\r\nConnection: close\r\n\r\n"
    );
    late.write_all(head.as_bytes()).expect("it reads");
    // It is asked for the body only after its lease was checked.
    let mut asked = [0; 25];
    late.read_exact(&mut asked).expect("reads");
    assert!(asked.starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&asked));
    hold.let_go();
    server.finished(&id);
    late.write_all(b"stale").expect("it reads");
    let mut answer = String::new();
    late.read_to_string(&mut answer).expect("reads");
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert_eq!(server.get(&path).bytes, b"first");
}

#[test]
fn readers_that_do_not_read_hold_up_nobody() {
    let server = server();
    let hold = Hold::new(&server, "slow");
    let id = server.submit(&json!({"kind": "act", "args": {"hold": server.directory().join("slow")}}));
    let token = hold.token();
    let path = format!("/api/jobs/{id}/files/big");
    let stored = server.raw("PUT", &path, &[("lease-token", &token)], &vec![0; FILE_BYTES]);
    assert_eq!(stored.status, 201);
    let readers: Vec<TcpStream> = (0..READERS)
        .map(|_| {
            let mut reader = TcpStream::connect(server.address()).expect("it listens");
            reader.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            write!(reader, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("it reads");
            let mut first = [0];
            reader.read_exact(&mut first).expect("it answers");
            reader
        })
        .collect();
    hold.let_go();
    assert_eq!(server.finished(&id)["state"], "completed");
    server.get("/api/jobs?limit=1").ok(200);
    drop(readers);
}
