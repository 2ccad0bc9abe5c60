//! What pages met who looked closer: filters of events are exact whatever happens to the job later, a burst makes nobody
//! slow, what is no event is told too, and who speaks no WebSocket hears why it is over.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::live::Page;
use crate::support::remote::Socket;

fn tagged(server: &TestServer, tag: &str) -> String {
    server.submit(&json!({"kind": "far", "args": {}, "tags": [tag]}))
}

fn amend(server: &TestServer, id: &str, body: &Value) {
    let headers = [("content-type", "application/json")];
    server.raw("PATCH", &format!("/api/jobs/{id}"), &headers, body.to_string().as_bytes()).ok(200);
}

/// The types of the events that a subscription of events is told, until it has caught up.
fn told(page: &mut Page) -> Vec<String> {
    let mut types = Vec::new();
    loop {
        let frame = page.next();
        match frame["type"].as_str().expect("a type") {
            "events" => {
                let events = frame["events"].as_array().expect("events").iter();
                types.extend(events.map(|event| event["type"].as_str().expect("a type").to_owned()));
            }
            "caught_up" => return types,
            "subscribed" => {}
            _ => panic!("{frame}"),
        }
    }
}

#[test]
fn whether_an_event_matches_depends_on_nothing_that_happened_later() {
    let server = TestServer::start();
    let mut live = Page::connect(&server);
    let before = json!({"epoch": live.epoch(), "seq": live.status["seq"]});
    live.subscribe("a", "events", json!({"tag": "a"}), Value::Null);
    live.subscribe("b", "events", json!({"queue": "q"}), Value::Null);
    live.hear("subscribed");
    live.hear("subscribed");
    let id = tagged(&server, "a");
    amend(&server, &id, &json!({"tags": ["b"]}));
    amend(&server, &id, &json!({"queue": "q"}));
    amend(&server, &id, &json!({"priority": 3}));
    amend(&server, &id, &json!({"queue": "default", "tags": ["a"]}));
    server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);
    let mut heard = Vec::new();
    while heard.last() != Some(&("a".to_owned(), "job.cancelled".to_owned())) {
        let frame = live.await_frame("events");
        let name = frame["id"].as_str().expect("an id").to_owned();
        let events = frame["events"].as_array().expect("events").iter();
        heard.extend(events.map(|event| (name.clone(), event["type"].as_str().expect("a type").to_owned())));
    }
    let of = |name: &str| heard.iter().filter(|(of, _)| of == name).map(|(_, event)| event.clone()).collect::<Vec<_>>();
    let (tag, queue) = (["job.submitted", "job.amended", "job.cancelled"], ["job.amended", "job.amended"]);
    assert_eq!((of("a"), of("b")), (tag.map(str::to_owned).to_vec(), queue.map(str::to_owned).to_vec()));
    // And the same for who comes late.
    for (filter, expected) in [(json!({"tag": "a"}), &tag[..]), (json!({"queue": "q"}), &queue[..])] {
        let mut page = Page::connect(&server);
        page.subscribe("a", "events", filter, before.clone());
        assert_eq!(told(&mut page), expected);
    }
}

#[test]
fn a_burst_and_a_large_event_make_nobody_slow_who_reads() {
    let server = TestServer::start();
    let mut page = Page::connect(&server);
    page.subscribe("e", "events", json!({}), Value::Null);
    page.subscribe("j", "jobs", json!({}), Value::Null);
    page.hear("subscribed");
    page.hear("subscribed");
    page.hear("snapshot");
    server.submit(&json!({"kind": "far", "args": {"text": "x".repeat(3 * 1024 * 1024)}}));
    page.hear("events");
    page.hear("changes");
    let tags: Vec<String> = (0..16).map(|number| format!("{number}{}", "t".repeat(100))).collect();
    let jobs = vec![json!({"kind": "far", "args": {}, "tags": tags}); 400];
    server.post("/api/jobs/bulk", &json!({"jobs": jobs})).ok(201);
    let (mut events, mut rows) = (0, 0);
    while events < 400 || rows < 400 {
        let frame = page.next();
        match frame["type"].as_str().expect("a type") {
            "events" => events += frame["events"].as_array().expect("events").len(),
            "changes" => rows += frame["jobs"].as_array().expect("rows").len(),
            _ => panic!("it is told with everybody: {}", frame["type"]),
        }
    }
}

#[test]
fn what_changes_without_an_event_is_told_too() {
    let server = TestServer::start();
    let worker = Socket::ready(&server, "far", 1);
    let mut page = Page::connect(&server);
    page.subscribe("w", "workers", json!({}), Value::Null);
    page.hear("subscribed");
    assert_eq!(page.hear("snapshot")["workers"][0]["state"], "run");
    server.post(&format!("/api/workers/{}/quiet", worker.session), &json!({})).ok(200);
    assert_eq!(page.hear("changes")["workers"][0]["state"], "quiet");
}

#[test]
fn without_a_number_the_lines_from_now_on_come_and_after_zero_all() {
    let server = TestServer::start();
    let id = server.submit(&json!({"kind": "far", "args": {}}));
    let mut worker = Socket::ready(&server, "far", 1);
    let lease = worker.job();
    let mut all = Page::connect(&server);
    all.subscribe("a", "logs", json!({"id": id, "after": 0}), Value::Null);
    all.hear("subscribed");
    worker.say(lease.frame("log", json!({"lines": [{"text": "one"}, {"text": "two"}]})));
    let mut heard = 0;
    while heard < 2 {
        heard += all.await_frame("logs")["lines"].as_array().expect("lines").len();
    }
    let mut late = Page::connect(&server);
    late.subscribe("a", "logs", json!({"id": id}), Value::Null);
    late.hear("subscribed");
    worker.say(lease.frame("log", json!({"lines": [{"text": "three"}]})));
    assert_eq!(late.hear("logs")["lines"][0]["n"], 3);
}

/// The code with which the server closes after these bytes.
fn close_code_after(server: &TestServer, bytes: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    let head = format!(
        "GET /api/live HTTP/1.1\r\nhost: {}\r\nupgrade: websocket\r\nconnection: keep-alive, Upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    stream.write_all(bytes).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it closes");
    let close = answer.windows(4).rposition(|window| window[0] == 0x88).expect("a close frame");
    u16::from_be_bytes([answer[close + 2], answer[close + 3]])
}

#[test]
fn who_speaks_no_web_socket_hears_why_it_is_over() {
    let server = TestServer::start();
    for (what, bytes, code) in [
        ("not masked", &b"\x81\x02{}"[..], 1002),
        ("a reserved bit", &b"\xf1\x82\0\0\0\0{}"[..], 1002),
        ("an unknown opcode", &b"\x83\x82\0\0\0\0{}"[..], 1002),
        ("no UTF-8", &b"\x81\x82\0\0\0\0\xff\xfe"[..], 4500),
    ] {
        assert_eq!(close_code_after(&server, bytes), code, "{what}");
    }
}

#[test]
fn what_asks_for_no_web_socket_is_told_what_it_takes() {
    let server = TestServer::start();
    let whole = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (name, wrong) in
        [("upgrade", "h2c"), ("connection", "close"), ("sec-websocket-version", "12"), ("sec-websocket-key", "x")]
    {
        let headers = whole.map(|(header, value)| (header, if header == name { wrong } else { value }));
        let answer = server.raw("GET", "/api/live", &headers, b"");
        assert_eq!((answer.status, &answer.json()["code"]), (426, &json!("upgrade_required")), "{name}: {wrong}");
    }
}
