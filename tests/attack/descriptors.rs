//! A server that may open no more files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::TestServer;

/// One connection that stays: no new one can be accepted meanwhile.
struct Line(BufReader<TcpStream>);

impl Line {
    fn to(server: &TestServer) -> Line {
        Line(BufReader::new(TcpStream::connect(server.address()).expect("it listens")))
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json");
        write!(self.0.get_mut(), "{head}\r\nContent-Length: {length}\r\n\r\n{body}").expect("it reads");
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("it answers");
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().ok();
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).expect("the whole body comes");
        (status.expect("a status"), serde_json::from_slice(&bytes).expect("JSON"))
    }
}

fn limit_files(process: u32, files: Option<u64>) {
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both structs live as long as the calls, and the process is a child of ours.
    unsafe {
        assert_eq!(libc::prlimit(process as i32, libc::RLIMIT_NOFILE, std::ptr::null(), &mut before), 0);
        let limit = libc::rlimit { rlim_cur: files.unwrap_or(before.rlim_max), ..before };
        assert_eq!(libc::prlimit(process as i32, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()), 0);
    }
}

#[test]
fn a_server_that_may_open_no_more_files_goes_on_with_its_log() {
    let server = TestServer::start();
    let mut line = Line::to(&server);
    assert_eq!(line.ask("GET", "/health", "").0, 200);
    limit_files(server.process(), Some(3));
    let body = json!({"kind": "nobody", "args": {}}).to_string();
    let (status, job) = line.ask("POST", "/api/jobs", &body);
    assert_eq!(status, 201, "{job}");
    // Longer than HEAD stays unsynced: by then its segment was looked at.
    let id = job["id"].as_str().expect("an id");
    assert_eq!(line.ask("GET", &format!("/api/jobs/{id}?wait_s=3"), "").0, 200);
    let (status, health) = line.ask("GET", "/health", "");
    assert_eq!(status, 200, "{health}");
    assert_eq!(line.ask("POST", "/api/jobs", &body).0, 201);
    limit_files(server.process(), None);
    assert_eq!(server.get("/health").ok(200)["status"], "ok");
}
