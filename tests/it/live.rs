//! Live pages over WebSocket: snapshots, changes, resumes over restarts, resets, closes. What a page is sent when is tested
//! without sockets beside the sources; here it is what a page sees.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::live::{Mirror, Page};
use crate::support::remote::Socket;

fn submit(server: &TestServer, kind: &str) -> String {
    server.submit(&json!({"kind": kind, "args": {}}))
}

fn ids(rows: &Value) -> Vec<&str> {
    rows.as_array().expect("rows").iter().map(|row| row["id"].as_str().expect("an id")).collect()
}

fn since(page: &Page, frame: &Value) -> Value {
    json!({"epoch": page.epoch(), "seq": frame["seq"]})
}

/// A page that follows jobs of a kind and has heard the snapshot.
fn following(server: &TestServer, kind: &str) -> (Page, Value) {
    let mut page = Page::connect(server);
    page.subscribe("a", "jobs", json!({"kind": kind}), Value::Null);
    page.hear("subscribed");
    let snapshot = page.hear("snapshot");
    (page, snapshot)
}

/// Takes frames in until the mirror is live and stands at or after the seq of what was just answered.
fn until_at(page: &mut Page, mirror: &mut Mirror, holds: impl Fn(&Mirror) -> bool) {
    while !(mirror.is_live && holds(mirror)) {
        let (epoch, frame) = (page.epoch().clone(), page.next());
        mirror.take(&epoch, &frame);
    }
}

#[test]
fn a_page_sees_what_there_is_and_then_every_change() {
    let server = TestServer::start();
    let first = submit(&server, "far");
    let mut page = Page::connect(&server);
    assert_eq!(page.status["epoch"], server.get("/health").ok(200)["epoch"]);
    page.subscribe("a", "jobs", json!({"kind": "far"}), Value::Null);
    let mut mirror = Mirror::default();
    until_at(&mut page, &mut mirror, |mirror| mirror.rows.contains_key(&first));
    let second = submit(&server, "far");
    submit(&server, "other");
    until_at(&mut page, &mut mirror, |mirror| mirror.rows.contains_key(&second));
    server.post(&format!("/api/jobs/{first}/cancel"), &json!({})).ok(200);
    until_at(&mut page, &mut mirror, |mirror| mirror.rows[&first]["state"] == "cancelled");
    let listed = server.get("/api/jobs?kind=far").ok(200);
    let listed: Vec<&Value> = listed["jobs"].as_array().expect("a list").iter().collect();
    assert_eq!(mirror.rows.values().rev().collect::<Vec<&Value>>(), listed);
}

#[test]
fn a_job_that_fits_no_more_has_left() {
    let server = TestServer::start();
    let id = submit(&server, "far");
    let mut page = Page::connect(&server);
    page.subscribe("a", "jobs", json!({"state": ["queued"], "id": id}), Value::Null);
    page.hear("subscribed");
    assert_eq!(ids(&page.hear("snapshot")["jobs"]), [id.as_str()]);
    server.post(&format!("/api/jobs/{id}/cancel"), &json!({})).ok(200);
    let left = page.await_frame("changes");
    assert_eq!((&left["jobs"], &left["left"]), (&json!([]), &json!([id])));
}

#[test]
fn a_page_that_comes_back_gets_exactly_what_it_missed_also_over_restarts_and_kills() {
    let mut server = TestServer::start();
    let mut page = Page::connect(&server);
    page.subscribe("a", "events", json!({}), Value::Null);
    let mut position = since(&page, &page.status.clone());
    page.hear("subscribed");
    drop(page);
    let mut seen: Vec<u64> = Vec::new();
    for round in 0..3 {
        submit(&server, "far");
        submit(&server, "far");
        server = match round {
            0 => server,
            1 => server.kill_and_restart(),
            _ => server.stop_and_restart(),
        };
        let mut page = Page::connect(&server);
        page.subscribe("a", "events", json!({}), position.clone());
        let subscribed = page.hear("subscribed");
        assert_eq!((&subscribed["mode"], &subscribed["recovered"]), (&json!("resume"), &json!(true)));
        let mut frame = page.next();
        while frame["type"] == "events" {
            let events = frame["events"].as_array().expect("a list");
            seen.extend(events.iter().map(|event| event["seq"].as_u64().expect("a number")));
            frame = page.next();
        }
        assert_eq!(frame["type"], "caught_up");
        position = since(&page, &frame);
        // A mirror that was left where the events were.
        page.subscribe("b", "jobs", json!({}), position.clone());
        assert_eq!(page.hear("subscribed")["recovered"], true);
        page.hear("caught_up");
    }
    let all: Vec<u64> = (seen[0]..seen[0] + seen.len() as u64).collect();
    assert_eq!(seen, all, "every event once");
    let submitted = server.get("/api/stats").ok(200);
    assert_eq!(submitted["jobs"]["queued"], 6);
}

#[test]
fn a_page_that_cannot_go_on_is_told_why() {
    let server = TestServer::start();
    submit(&server, "far");
    let mut page = Page::connect(&server);
    let epoch = page.epoch().clone();
    let unknown = json!({"epoch": "01990000-0000-7000-8000-0000000000ee", "seq": 1});
    for (topic, since, reason) in [
        ("jobs", unknown.clone(), "unknown_epoch"),
        ("events", unknown, "unknown_epoch"),
        ("jobs", json!({"epoch": epoch, "seq": 1_000_000}), "ahead"),
        ("events", json!({"epoch": epoch, "seq": 1_000_000}), "ahead"),
    ] {
        page.subscribe("a", topic, json!({}), since);
        let subscribed = page.hear("subscribed");
        assert_eq!((&subscribed["type"], &subscribed["recovered"]), (&json!("subscribed"), &json!(false)));
        assert_eq!(page.hear("reset")["reason"], reason);
        if topic == "jobs" {
            assert_eq!(page.hear("snapshot")["jobs"].as_array().map(Vec::len), Some(1));
        }
    }
}

#[test]
fn a_page_further_behind_than_the_setting_begins_anew_and_one_event_less_resumes() {
    let server = TestServer::with_config("[live]\njobs_behind_max = 3\nevents_behind_max = 5\n");
    (0..8).for_each(|_| drop(submit(&server, "far")));
    let head = server.get("/health").ok(200)["seq"].as_u64().expect("a number");
    let mut page = Page::connect(&server);
    for (topic, behind_max, mode) in [("jobs", 3, "snapshot"), ("events", 5, "live")] {
        let epoch = page.epoch().clone();
        page.subscribe("a", topic, json!({}), json!({"epoch": epoch, "seq": head - behind_max}));
        let subscribed = page.hear("subscribed");
        assert_eq!((&subscribed["mode"], &subscribed["recovered"]), (&json!("resume"), &json!(true)));
        assert_eq!(page.await_frame("caught_up")["seq"], head);
        let missed = page.next();
        assert_eq!((&missed["prev"], &missed["seq"]), (&json!(head - behind_max), &json!(head)));
        page.subscribe("a", topic, json!({}), json!({"epoch": epoch, "seq": head - behind_max - 1}));
        let subscribed = page.hear("subscribed");
        assert_eq!((&subscribed["mode"], &subscribed["recovered"]), (&json!(mode), &json!(false)));
        assert_eq!(page.hear("reset")["reason"], "too_far");
        if topic == "jobs" {
            assert_eq!(page.hear("snapshot")["jobs"].as_array().map(Vec::len), Some(8));
        }
    }
}

#[test]
fn after_a_reset_every_page_is_told_and_holds_no_job_of_before() {
    let own = tempfile::tempdir().expect("a directory");
    let server = TestServer::in_directory(own.path());
    submit(&server, "far");
    let (page, snapshot) = following(&server, "far");
    let position = since(&page, &snapshot);
    drop((page, server));
    std::fs::write(own.path().join("daybook.toml"), "reset_on_startup = true\n").expect("writes");
    let server = TestServer::owning(own);
    let mut page = Page::connect(&server);
    page.subscribe("a", "jobs", json!({}), position);
    page.hear("subscribed");
    assert_eq!(page.hear("reset")["reason"], "unknown_epoch");
    assert_eq!(page.hear("snapshot")["jobs"], json!([]));
}

#[test]
fn after_a_reset_on_startup_every_subscriber_of_a_log_that_is_gone_is_told_so() {
    let own = tempfile::tempdir().expect("a directory");
    let server = TestServer::in_directory(own.path());
    let id = submit(&server, "far");
    let page = Page::connect(&server);
    let position = since(&page, &page.status.clone());
    drop((page, server));
    std::fs::write(own.path().join("daybook.toml"), "reset_on_startup = \"archive\"\n").expect("writes");
    let server = TestServer::owning(own);
    let mut page = Page::connect(&server);
    for filter in [json!({}), json!({"id": id}), json!({"kind": "far"})] {
        for (topic, mode) in [("jobs", "snapshot"), ("events", "live")] {
            page.subscribe("a", topic, filter.clone(), position.clone());
            let subscribed = page.hear("subscribed");
            assert_eq!((&subscribed["mode"], &subscribed["recovered"]), (&json!(mode), &json!(false)), "{topic}");
            assert_eq!(page.hear("reset")["reason"], "unknown_epoch");
            if topic == "jobs" {
                assert_eq!(page.hear("snapshot")["jobs"], json!([]));
            }
        }
    }
    // Whoever asks for its lines all the same learns that it is no more.
    page.subscribe("a", "logs", json!({"id": id, "after": 3}), position);
    assert_eq!(page.hear("error")["code"], "job_not_found");
    submit(&server, "far");
    page.subscribe("a", "events", json!({}), since(&page, &page.status.clone()));
    assert_eq!(page.hear("subscribed")["recovered"], true);
    assert_eq!(page.await_frame("events")["events"][0]["type"], "job.submitted");
}

#[test]
fn progress_comes_as_it_is_and_lines_as_they_are_written() {
    let server = TestServer::start();
    let id = submit(&server, "far");
    let mut worker = Socket::ready(&server, "far", 1);
    let lease = worker.job();
    let (mut page, _) = following(&server, "far");
    page.subscribe("lines", "logs", json!({"id": id}), Value::Null);
    assert_eq!(page.await_frame("subscribed")["mode"], "live");
    for percent in [10, 20, 30] {
        worker.say(lease.frame("progress", json!({"percent": percent})));
    }
    worker.say(lease.frame("log", json!({"lines": [{"stream": "stdout", "text": "one"}, {"text": "two"}]})));
    let mut lines = Vec::new();
    while lines.len() < 2 {
        let frame = page.await_frame("logs");
        assert_eq!(frame["job_id"], id);
        lines.extend(frame["lines"].as_array().expect("lines").iter().map(|line| line["text"].clone()));
    }
    assert_eq!(lines, ["one", "two"]);
    let mut percent = Value::Null;
    while percent != 30.0 {
        let frame = page.next();
        let rows = frame["jobs"].as_array().cloned().unwrap_or_default();
        percent = rows.last().map_or(percent, |row| row["progress"]["percent"].clone());
    }
    worker.say(lease.frame("log", json!({"lines": [{"text": "three"}]})));
    worker.say(lease.frame("complete", json!({"result": null})));
    assert_eq!(page.await_frame("logs")["lines"][0]["text"], "three");
    while page.await_frame("changes")["jobs"][0]["state"] != "completed" {}
    let missing = json!({"type": "subscribe", "id": "none", "topic": "logs", "filter": {"id": page.epoch()}});
    page.say(missing);
    assert_eq!(page.await_frame("error")["code"], "job_not_found");
}

/// The next lines of a subscription, as numbers and texts, until there are so many.
fn lines(page: &mut Page, count: usize) -> Vec<(u64, String)> {
    let mut lines = Vec::new();
    while lines.len() < count {
        let frame = page.hear("logs");
        let came = frame["lines"].as_array().expect("lines").iter();
        lines.extend(
            came.map(|line| (line["n"].as_u64().expect("a number"), line["text"].as_str().expect("a text").to_owned())),
        );
    }
    lines
}

#[test]
fn every_follower_of_a_job_gets_every_line_once_in_order_over_both_transports() {
    const LINES: u64 = 3_000;
    let server = TestServer::start();
    let id = submit(&server, "far");
    let mut worker = Socket::ready(&server, "far", 1);
    let lease = worker.job();
    let mut pages: Vec<Page> = (0..3).map(|_| Page::connect(&server)).collect();
    for page in &mut pages {
        page.subscribe("a", "logs", json!({"id": id}), Value::Null);
        page.hear("subscribed");
    }
    let expected: Vec<(u64, String)> = (1..=LINES).map(|n| (n, format!("line {n}"))).collect();
    let path = format!("/api/jobs/{id}/logs?follow");
    std::thread::scope(|scope| {
        let streams = [(); 2].map(|()| scope.spawn(|| server.ask("GET", &path, &[], b"")));
        for batch in (1..=LINES).collect::<Vec<u64>>().chunks(60) {
            let lines: Vec<Value> = batch.iter().map(|n| json!({"text": format!("line {n}")})).collect();
            worker.say(lease.frame("log", json!({"lines": lines})));
        }
        worker.say(lease.frame("complete", json!({"result": null})));
        pages.iter_mut().for_each(|page| assert!(lines(page, LINES as usize) == expected));
        for stream in streams {
            let text = String::from_utf8(stream.join().expect("an answer").bytes).expect("text");
            let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
            let data: Vec<Value> = data.map(|data| serde_json::from_str(data).expect("JSON")).collect();
            let numbers: Vec<Option<u64>> = data.iter().map(|line| line["n"].as_u64()).collect();
            // After the lines comes the end, which has no number.
            let wanted: Vec<Option<u64>> = (1..=LINES).map(Some).chain([None]).collect();
            assert!(numbers == wanted, "each once, and then the end");
        }
    });
}

#[test]
fn lines_go_on_after_the_last_one_over_restarts_and_come_anew_after_a_position_of_another_log() {
    let server = TestServer::start();
    let id = submit(&server, "far");
    let mut worker = Socket::ready(&server, "far", 1);
    let lease = worker.job();
    worker.say(lease.frame("log", json!({"lines": [{"text": "one"}, {"text": "two"}]})));
    worker.say(lease.frame("complete", json!({"result": null})));
    server.finished(&id);
    let mut page = Page::connect(&server);
    page.subscribe("a", "logs", json!({"id": id}), Value::Null);
    assert_eq!(page.hear("subscribed")["mode"], "live");
    assert_eq!(lines(&mut page, 2), [(1, "one".to_owned()), (2, "two".to_owned())]);
    let here = since(&page, &page.status.clone());
    let server = server.kill_and_restart();
    let mut page = Page::connect(&server);
    page.subscribe("a", "logs", json!({"id": id, "after": 1}), here.clone());
    let subscribed = page.hear("subscribed");
    assert_eq!((&subscribed["mode"], &subscribed["recovered"]), (&json!("resume"), &json!(true)));
    assert_eq!(lines(&mut page, 1), [(2, "two".to_owned())]);
    assert_eq!(page.hear("caught_up")["seq"], subscribed["seq"]);
    let ahead = json!({"epoch": here["epoch"], "seq": 1_000_000});
    let foreign = json!({"epoch": "01990000-0000-7000-8000-0000000000ee", "seq": 1});
    for (position, reason) in [(ahead, "ahead"), (foreign, "unknown_epoch")] {
        page.subscribe("a", "logs", json!({"id": id, "after": 1}), position);
        let subscribed = page.hear("subscribed");
        assert_eq!((&subscribed["mode"], &subscribed["recovered"]), (&json!("live"), &json!(false)));
        assert_eq!(page.hear("reset")["reason"], reason);
        assert_eq!(lines(&mut page, 2).len(), 2, "from the first, whatever the page holds");
    }
}

#[test]
fn queues_and_workers_are_followed_as_rows_that_differ() {
    let server = TestServer::start();
    let mut page = Page::connect(&server);
    page.subscribe("q", "queues", json!({}), Value::Null);
    page.hear("subscribed");
    assert_eq!(page.hear("snapshot")["queues"], json!([]));
    page.subscribe("w", "workers", json!({}), Value::Null);
    page.hear("subscribed");
    assert_eq!(page.hear("snapshot")["workers"], json!([]));
    submit(&server, "far");
    let changes = page.await_frame("changes");
    assert_eq!((&changes["id"], &changes["queues"][0]["depth"]["queued"]), (&json!("q"), &json!(1)));
    let worker = Socket::ready(&server, "elsewhere", 1);
    let changes = page.await_frame("changes");
    assert_eq!((&changes["id"], &changes["workers"][0]["session"]), (&json!("w"), &json!(worker.session)));
    let session = worker.session.clone();
    worker.close();
    assert_eq!(page.await_frame("changes")["left"], json!([session]));
}

#[test]
fn a_filter_is_changed_and_a_subscription_ended() {
    let server = TestServer::start();
    let other = submit(&server, "other");
    let (mut page, snapshot) = following(&server, "far");
    assert_eq!(snapshot["jobs"], json!([]));
    page.say(json!({"type": "update", "id": "a", "filter": {"kind": "other"}}));
    assert_eq!(page.await_frame("subscribed")["mode"], "snapshot");
    assert_eq!(ids(&page.await_frame("snapshot")["jobs"]), [other.as_str()]);
    page.say(json!({"type": "unsubscribe", "id": "a"}));
    submit(&server, "other");
    page.say(json!({"type": "unsubscribe", "id": "a"}));
    assert_eq!(page.hear("error")["code"], "unknown_subscription");
}

#[test]
fn a_silent_position_is_moved_by_a_bookmark() {
    let server = TestServer::start();
    let mut page = Page::connect(&server);
    page.subscribe("a", "events", json!({"kind": "far"}), Value::Null);
    let subscribed = page.hear("subscribed");
    submit(&server, "other");
    let bookmark = page.hear("bookmark");
    assert_eq!(bookmark["prev"], subscribed["seq"]);
    assert!(bookmark["seq"].as_u64() > subscribed["seq"].as_u64());
}

#[test]
fn mistakes_are_told_and_what_is_no_object_closes() {
    let server = TestServer::start();
    let mut page = Page::connect(&server);
    for (text, code, pointer) in [
        ("{}", "invalid_frame", "/type"),
        (r#"{"type": "publish"}"#, "unknown_frame", ""),
        (
            r#"{"type": "subscribe", "id": "a", "topic": "jobs", "filter": {"kin": "x"}}"#,
            "invalid_frame",
            "/filter/kin",
        ),
        (r#"{"type": "update", "id": "a"}"#, "unknown_subscription", ""),
    ] {
        page.say_text(text);
        let error = page.hear("error");
        assert_eq!(error["code"], code, "{error}");
        assert_eq!(error["errors"][0]["pointer"].as_str().unwrap_or_default(), pointer, "{error}");
    }
    page.subscribe("a", "jobs", json!({}), Value::Null);
    page.hear("subscribed");
    for wrong in ["no json", "[]", "7"] {
        let mut page = Page::connect(&server);
        page.say_text(wrong);
        assert_eq!(page.close_code(), 4500, "{wrong}");
    }
    let mut large = Page::connect(&server);
    large.say_text(&format!("{{\"type\": \"pong\", \"x\": \"{}\"}}", "x".repeat(64 * 1024)));
    assert_eq!(large.close_code(), 1009);
}

#[test]
fn one_subscription_too_many_closes_and_harms_nobody() {
    let server = TestServer::start();
    let (mut other, _) = following(&server, "far");
    let mut page = Page::connect(&server);
    for number in 0..257 {
        page.subscribe(&number.to_string(), "events", json!({}), Value::Null);
    }
    assert_eq!(page.close_code(), 4505);
    let id = submit(&server, "far");
    assert_eq!(ids(&other.await_frame("changes")["jobs"]), [id.as_str()]);
}

#[test]
fn a_page_that_stops_reading_holds_up_nobody_and_misses_nothing() {
    let server = TestServer::start();
    let mut slow = Page::connect(&server);
    slow.subscribe("a", "events", json!({}), Value::Null);
    let subscribed = slow.hear("subscribed");
    let (mut other, _) = following(&server, "far");
    let text = "x".repeat(512 * 1024);
    let count = 48;
    for _ in 0..count {
        let id = server.submit(&json!({"kind": "far", "args": {"text": text}}));
        assert_eq!(ids(&other.await_frame("changes")["jobs"]), [id.as_str()]);
    }
    let mut mirror = Mirror::default();
    let epoch = slow.epoch().clone();
    mirror.take(&epoch, &subscribed);
    while mirror.seqs.len() < count || !(mirror.is_live || mirror.fell_behind == 0) {
        let frame = slow.next();
        mirror.take(&epoch, &frame);
    }
    assert!(mirror.fell_behind > 0, "more waited for it than a buffer holds");
    let first = mirror.seqs[0];
    assert_eq!(mirror.seqs, (first..first + count as u64).collect::<Vec<u64>>(), "every event once, in order");
}

#[test]
fn readers_that_stop_slow_nobody_and_cost_at_most_their_buffers() {
    const STALLED: u64 = 16;
    /// What waits for a reader (1 MiB), one large frame that is written, and one that was read for it.
    const READER_BYTES_MAX: u64 = 4 * 1024 * 1024;
    const EVENTS: usize = 48;
    let server = TestServer::start();
    let mut quick = Page::connect(&server);
    quick.subscribe("a", "events", json!({}), Value::Null);
    quick.hear("subscribed");
    let text = "x".repeat(512 * 1024);
    let change = |quick: &mut Page| {
        for _ in 0..EVENTS {
            let id = server.submit(&json!({"kind": "far", "args": {"text": text}}));
            let frame = quick.await_frame("events");
            assert_eq!(
                (&frame["events"][0]["job_id"], frame["events"].as_array().map(Vec::len)),
                (&json!(id), Some(1))
            );
        }
    };
    // What the changes cost without them.
    change(&mut quick);
    let before = server.memory("VmRSS");
    change(&mut quick);
    let alone = server.memory("VmRSS").saturating_sub(before);
    let mut stalled: Vec<Page> = (0..STALLED).map(|_| Page::connect(&server)).collect();
    for (number, page) in stalled.iter_mut().enumerate() {
        // Under names of their own, so that no two of them share a frame.
        page.subscribe(&format!("stalled-{number}"), "events", json!({}), Value::Null);
        page.hear("subscribed");
    }
    let before = server.memory("VmRSS");
    change(&mut quick);
    let grown = server.memory("VmRSS").saturating_sub(before);
    println!("{grown} bytes more with {STALLED} stalled readers, {alone} without them");
    assert!(grown <= alone + STALLED * READER_BYTES_MAX, "{grown} bytes more, {alone} without them");
    // They are fed when they read again, and miss nothing.
    let page = &mut stalled[0];
    let mut seen = 0;
    while seen < EVENTS {
        seen += page.await_frame("events")["events"].as_array().expect("events").len();
    }
}

#[test]
fn a_page_of_another_origin_is_let_in_to_learn_that_it_is_not_wanted() {
    let server = TestServer::start();
    let mut foreign = Page::try_connect(server.address(), &[("origin", "http://evil.example")]);
    assert_eq!(foreign.close_code(), 4503);
    let origin = format!("http://{}", server.address());
    let mut own = Page::try_connect(server.address(), &[("origin", &origin)]);
    own.hear("status");
    assert_eq!(server.raw("GET", "/api/live", &[], b"").problem(), "upgrade_required");
}

#[test]
fn a_page_that_answers_no_ping_is_closed() {
    let server = TestServer::with_config("lease_s = 1\n");
    let mut page = Page::connect(&server);
    assert!(page.status["ping_s"].as_f64() < Some(0.5));
    assert_eq!(page.silent_close_code(), 4012);
}

#[test]
fn a_server_that_stops_says_goodbye_and_when_to_come_back() {
    let server = TestServer::start();
    let (mut page, _) = following(&server, "far");
    server.terminate();
    let goodbye = page.await_frame("goodbye");
    assert_eq!(goodbye["reason"], "shutdown");
    assert!(goodbye["retry_after_ms"].as_u64().is_some_and(|ms| ms < 5_000), "{goodbye}");
    assert_eq!(page.close_code(), 4001);
}

#[test]
fn a_live_session_is_known_as_long_as_its_connection() {
    let server = TestServer::start();
    let status = |session: &str| {
        let answer = server.ask("GET", "/api/session/status", &[("x-session-id", session)], b"");
        (answer.status, answer.json())
    };
    let page = Page::connect(&server);
    let session = page.status["session"].as_str().expect("an id").to_owned();
    let (code, body) = status(&session);
    assert_eq!((code, &body["kind"]), (200, &json!("live")));
    drop(page);
    while status(&session).0 != 401 {
        std::thread::yield_now();
    }
}

#[test]
fn events_are_listed_waited_for_and_refused_when_the_position_is_lost() {
    let server = TestServer::start();
    submit(&server, "far");
    let all = server.get("/api/events").ok(200);
    let events = all["events"].as_array().expect("a list");
    assert_eq!((&events[0]["seq"], &events[0]["type"]), (&all["earliest"], &json!("epoch.started")));
    assert_eq!(events.last().expect("some")["seq"], all["seq"]);
    let one = server.get("/api/events?after=1&limit=1").ok(200);
    assert_eq!((one["events"].as_array().map(Vec::len), &one["events"][0]["seq"]), (Some(1), &json!(2)));
    let (seq, epoch) = (&all["seq"], all["epoch"].as_str().expect("an id"));
    assert_eq!(server.get(&format!("/api/events?after={seq}&epoch={epoch}")).ok(200)["events"], json!([]));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get(&format!("/api/events?after={seq}&wait=50")).ok(200));
        submit(&server, "far");
        assert_eq!(waiting.join().expect("an answer")["events"][0]["type"], "job.submitted");
    });
    for lost in ["after=999999", "after=1&epoch=01990000-0000-7000-8000-0000000000ee"] {
        server.get(&format!("/api/events?{lost}")).refused(410, "position_lost");
    }
    server.get("/api/events?epoch=none&after=1").refused(400, "invalid_query");
}

/// Begins a stream of events, and gives what follows its head.
fn stream(server: &TestServer, headers: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    let head = format!("GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).expect("it reads");
    BufReader::new(stream)
}

fn next_event(stream: &mut BufReader<TcpStream>) -> (String, Value) {
    let (mut id, mut data) = (None, None);
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).expect("it speaks") > 0, "the stream ended");
        id = line.strip_prefix("id:").map(|text| text.trim().to_owned()).or(id);
        data = line.strip_prefix("data:").map(|text| serde_json::from_str(text).expect("JSON")).or(data);
        if let (Some(id), Some(data)) = (&id, &data) {
            return (id.clone(), Value::clone(data));
        }
    }
}

#[test]
fn a_stream_of_events_goes_on_where_a_browser_left_it_also_after_a_kill() {
    let server = TestServer::start();
    let id = submit(&server, "far");
    let mut first = stream(&server, "");
    let mut last = next_event(&mut first);
    while last.1["type"] != "job.submitted" {
        last = next_event(&mut first);
    }
    assert_eq!(last.1["job_id"], id);
    let next = submit(&server, "far");
    let server = server.kill_and_restart();
    let mut again = stream(&server, &format!("Last-Event-ID: {}\r\n", last.0));
    let missed = next_event(&mut again);
    assert_eq!(
        (&missed.1["job_id"], missed.1["seq"].as_u64()),
        (&json!(next), last.1["seq"].as_u64().map(|seq| seq + 1))
    );
    let foreign = "01990000-0000-7000-8000-0000000000ee:1";
    let headers = [("accept", "text/event-stream"), ("last-event-id", foreign)];
    server.ask("GET", "/api/events", &headers, b"").refused(410, "position_lost");
}

#[test]
fn a_browser_that_repeats_the_address_of_a_log_stream_goes_on_where_it_was() {
    let server = TestServer::start();
    let id = submit(&server, "far");
    let mut worker = Socket::ready(&server, "far", 1);
    let lease = worker.job();
    worker.say(lease.frame("log", json!({"lines": [{"text": "one"}, {"text": "two"}, {"text": "three"}]})));
    worker.say(lease.frame("complete", json!({"result": null})));
    let path = format!("/api/jobs/{id}/logs?follow&after=0");
    let streamed = server.ask("GET", &path, &[("last-event-id", "2")], b"");
    let text = String::from_utf8(streamed.bytes).expect("text");
    assert!(text.contains("three") && !text.contains("two") && text.contains("event:end"), "{text}");
}
