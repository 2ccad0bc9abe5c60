//! Where HTTP ends: bodies that are too large, odd requests, headers, and connections that break.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::support::TestServer;

const MIB: usize = 1024 * 1024;

#[test]
fn a_body_of_17_mb_is_refused_and_its_sender_reads_the_answer() {
    let server = TestServer::start();
    let body = format!("{{\"kind\":\"x\",\"args\":{{\"a\":\"{}\"}}}}", "x".repeat(17 * MIB));
    let answer = server.ask("POST", "/api/jobs", &[("content-type", "application/json")], body.as_bytes());
    answer.refused(413, "body_too_large");
    server.get("/health").ok(200);
}

#[test]
fn a_chunked_body_of_17_mb_is_refused_while_it_comes() {
    let server = TestServer::start();
    let mut request = b"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        .to_vec();
    for _ in 0..17 {
        write!(request, "{MIB:x}\r\n").expect("memory takes it");
        request.extend(vec![b' '; MIB]);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    let answer = server.send_bytes(&request);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{}", &answer[..answer.len().min(200)]);
    assert!(answer.contains("body_too_large"));
}

#[test]
fn a_sender_that_asks_first_is_told_at_once() {
    let server = TestServer::start();
    let request = "POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
        Content-Length: 17825792\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    let answer = server.send_bytes(request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn args_have_a_limit_of_their_own() {
    let server = TestServer::start();
    let job = |length: usize| json!({"kind": "x", "args": {"a": "x".repeat(length)}});
    server.post("/api/jobs", &job(12 * MIB)).refused(413, "body_too_large");
    let id = server.submit(&job(12 * MIB - 100));
    assert_eq!(
        server.get(&format!("/api/jobs/{id}")).ok(200)["args"]["a"].as_str().map(str::len),
        Some(12 * MIB - 100)
    );
}

#[test]
fn head_answers_like_get_without_a_body() {
    let server = TestServer::start();
    server.submit(&json!({"kind": "x", "args": {}}));
    for path in ["/health", "/api/jobs", "/"] {
        let head = server.raw("HEAD", path, &[], b"");
        let get = server.raw("GET", path, &[], b"");
        assert_eq!((head.status, head.bytes.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), get.bytes.len().to_string(), "{path}");
    }
}

#[test]
fn a_broken_connection_ends_itself_and_nothing_else() {
    let server = TestServer::start();
    for garbage in
        ["", "GET", "NONSENSE / HTTP/9.9\r\n\r\n", "POST /api/jobs HTTP/1.1\r\nContent-Length: 50\r\n\r\n{\"ki"]
    {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        stream.write_all(garbage.as_bytes()).expect("it reads");
        stream.shutdown(std::net::Shutdown::Write).expect("is open");
        let mut rest = String::new();
        let _ = stream.read_to_string(&mut rest);
    }
    server.get("/health").ok(200);
    assert_eq!(server.get("/api/jobs").ok(200)["jobs"], json!([]));
}

#[test]
fn many_requests_share_a_connection() {
    let server = TestServer::start();
    let mut requests = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(99);
    requests.push_str("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    assert_eq!(server.send_bytes(requests.as_bytes()).matches("HTTP/1.1 200 OK").count(), 100);
}

#[test]
fn the_page_of_another_site_changes_nothing_and_our_own_does() {
    let server = TestServer::start();
    let own = format!("http://{}", server.address());
    let json = ("content-type", "application/json");
    let job = br#"{"kind": "x", "args": {}}"#;
    server.ask("POST", "/api/jobs", &[json, ("origin", own.as_str())], job).ok(201);
    server.ask("POST", "/api/jobs", &[json, ("origin", "http://localhost:1")], job).refused(403, "forbidden_origin");
    server.ask("POST", "/api/jobs", &[json, ("host", "rebound.example")], job).refused(403, "forbidden_origin");
    assert_eq!(server.get("/api/jobs").ok(200)["jobs"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_connect_is_answered_and_no_proxy_is_made_of_us() {
    let server = TestServer::start();
    let answer =
        server.send_bytes(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer:?}");
    let ours = format!("CONNECT example.org:443 HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address());
    let answer = server.send_bytes(ours.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.to_lowercase().contains("allow: get, head"), "{answer:?}");
}

#[test]
fn json_without_end_or_without_sense_is_refused_and_the_server_goes_on() {
    let server = TestServer::start();
    let json = ("content-type", "application/json");
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let args = |args: String| format!("{{\"kind\":\"x\",\"args\":{{\"a\":{args}}}}}");
    for body in [args(deep(10_000)), args("1e400".into()), args("\"\\ud800\"".into()), deep(10_000)] {
        server
            .ask("POST", "/api/jobs", &[json, ("idempotency-key", "k")], body.as_bytes())
            .refused(422, "invalid_request");
    }
    let endless = "[".repeat(8 * MIB);
    server.ask("POST", "/api/jobs", &[json], endless.as_bytes()).refused(400, "invalid_json");
    server.ask("POST", "/api/jobs", &[json], b" ").refused(400, "invalid_json");
    let body = args("\"a\\u0000b\"".into());
    let id = server.ask("POST", "/api/jobs", &[json], body.as_bytes()).ok(201)["id"].clone();
    let job = server.get(&format!("/api/jobs/{}", id.as_str().expect("an id"))).ok(200);
    assert_eq!(job["args"]["a"], "a\0b");
}

#[test]
fn a_body_that_nobody_wanted_leaves_the_connection_in_order() {
    let server = TestServer::start();
    server.submit(&json!({"kind": "x", "args": {}}));
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    // Head and body are sent apart, as many clients do it: the body comes when the answer is made already.
    for path in ["/api/queues/default/pause", "/api/jobs?x=1", "/api/nowhere", "/api/jobs/none/cancel", "/health"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        server.get("/health").ok(200);
        stream.write_all(b"{}").expect("it is open");
        let answer = one_answer(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 ") && !answer.to_lowercase().contains("connection: close"), "{answer}");
    }
    let large = format!("POST /api/nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", 2 * MIB);
    stream.write_all(large.as_bytes()).expect("it reads");
    stream.write_all(&vec![b' '; 2 * MIB]).expect("it reads to the end");
    assert!(one_answer(&mut stream).starts_with("HTTP/1.1 404 "));
    let held_back =
        "POST /api/nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(held_back.as_bytes()).expect("it reads");
    let answer = one_answer(&mut stream).to_lowercase();
    assert!(answer.starts_with("http/1.1 404 ") && answer.contains("connection: close"), "{answer}");
}

/// The head of the next answer; its body is read away.
fn one_answer(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("ASCII");
    let length = head.to_lowercase();
    let length = length.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).expect("a length")];
    stream.read_exact(&mut body).expect("a body");
    head
}
