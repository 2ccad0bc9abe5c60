//! Who waits for a job while the server is told to stop.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::support::TestServer;

#[test]
fn who_waits_for_a_job_while_the_server_stops_gets_the_job_as_it_is() {
    let server = TestServer::start();
    let id = server.submit(&json!({"kind": "nobody", "args": {}}));
    let mut waiting = TcpStream::connect(server.address()).expect("it listens");
    let request = format!("GET /api/jobs/{id}?wait_s=50 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    waiting.write_all(request.as_bytes()).expect("it reads");
    // Connections are taken in order: when this one is answered, that of the waiting one was taken too.
    server.get("/health").ok(200);
    kill(Pid::from_raw(server.process() as i32), Signal::SIGTERM).expect("it runs");
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("reads");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    assert!(answer.contains("\"state\":\"queued\""), "{answer:?}");
}
