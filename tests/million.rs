//! A million queued jobs in the real server: its memory, its lists, its restarts.
//!
//! Goal: with 1,000,000 queued jobs of 200 bytes of args the server stays under 500 MB, a page of any list comes within
//! 20 ms, and a restart, ordered or by SIGKILL, answers its first submit within 5 s. Method: the built server as a
//! process, filled over HTTP in bulks; every figure is printed. The small form looks only at what is there, since a
//! debug build has no speed to speak of.

#[allow(dead_code, reason = "each test program uses a part of what they share")]
#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::server::{Server, Start};

const BULK: usize = 1000;
const FILLERS: usize = 4;
/// Every so-manieth job has the rare kind, queue and tag.
const RARE: usize = 10_000;
/// How often each query is asked; its median counts.
const ASKED: usize = 9;

/// What has to hold.
struct Bounds {
    memory_bytes: u64,
    page: Duration,
    restart: Duration,
}

#[test]
fn many_queued_jobs_are_listed_each_once_and_are_there_after_a_kill() {
    run(3_000, None);
}

#[test]
#[ignore = "a soak of a minute: cargo test --release --test million -- --ignored --nocapture"]
fn a_million_queued_jobs_fit_into_memory_and_are_listed_and_recovered_fast() {
    let bounds = Bounds { memory_bytes: 500_000_000, page: Duration::from_millis(20), restart: Duration::from_secs(5) };
    run(1_000_000, Some(bounds));
}

fn run(jobs: usize, bounds: Option<Bounds>) {
    let directory = tempfile::tempdir().unwrap();
    let mut report = Report { bounds, broken: Vec::new() };
    let server = start(directory.path());
    let begun = Instant::now();
    fill(&server, jobs);
    println!("fill: {jobs} jobs, {:.0}/s", jobs as f64 / begun.elapsed().as_secs_f64());
    report.memory("after the fill", &server);
    ask_all(&server, jobs, &mut report);
    report.memory("after the lists", &server);
    server.kill();

    let (server, after_kill) = restart(directory.path(), "SIGKILL", &mut report);
    ask_all(&server, jobs, &mut report);
    report.memory("after SIGKILL and the lists", &server);
    assert!(server.stop().success(), "SIGTERM ends in order");
    let (server, after_stop) = restart(directory.path(), "SIGTERM", &mut report);
    report.memory("after SIGTERM", &server);
    let found = walk(&server, &mut report);
    assert!(found.contains(&after_kill) && found.contains(&after_stop));
    assert_eq!(found.len(), jobs + 2, "each job is there, once");
    server.kill();
    assert!(report.broken.is_empty(), "{:#?}", report.broken);
}

/// What was measured, held against the bounds.
struct Report {
    bounds: Option<Bounds>,
    broken: Vec<String>,
}

impl Report {
    fn memory(&mut self, when: &str, server: &Server) {
        let (now, peak) = (server.memory("VmRSS"), server.memory("VmHWM"));
        let line = format!("memory {when}: {} MB, at most {} MB", now / 1_000_000, peak / 1_000_000);
        self.note(line, |bounds| peak < bounds.memory_bytes);
    }

    fn page(&mut self, what: &str, mut times: Vec<Duration>) {
        times.sort();
        let (median, p99, most) = (times[times.len() / 2], times[times.len() * 99 / 100], times[times.len() - 1]);
        self.note(format!("page {what}: {median:?}, p99 {p99:?}, at most {most:?}"), |bounds| median < bounds.page);
    }

    fn restart(&mut self, after: &str, took: Duration) {
        self.note(format!("restart after {after} to the first answered submit: {took:?}"), |it| took < it.restart);
    }

    fn note(&mut self, line: String, holds: impl Fn(&Bounds) -> bool) {
        println!("{line}");
        if !self.bounds.as_ref().is_none_or(holds) {
            self.broken.push(line);
        }
    }
}

fn fill(server: &Server, jobs: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..FILLERS {
            scope.spawn(|| {
                let agent = ureq::Agent::new_with_defaults();
                loop {
                    let first = next.fetch_add(BULK, Ordering::Relaxed);
                    if first >= jobs {
                        return;
                    }
                    let entries: Vec<Value> = (first..jobs.min(first + BULK)).map(job).collect();
                    let answer = agent.post(server.at("/api/jobs/bulk")).send_json(json!({ "jobs": entries })).unwrap();
                    assert_eq!(answer.status(), 201);
                }
            });
        }
    });
}

/// A job with 200 bytes of args.
fn job(number: usize) -> Value {
    let mut text = format!("{number:07} ");
    text.extend(std::iter::repeat_n('x', 189 - text.len()));
    let mut job = json!({ "kind": "common", "args": { "text": text } });
    if number % RARE == 1 {
        job["kind"] = "rare".into();
        job["queue"] = "slow".into();
        job["tags"] = json!(["needle"]);
    }
    job
}

fn ask_all(server: &Server, jobs: usize, report: &mut Report) {
    let agent = ureq::Agent::new_with_defaults();
    let middle = middle_cursor(server, &agent, jobs);
    let queries = [
        ("first", "limit=50".to_owned()),
        ("first, 500 rows", "limit=500".to_owned()),
        ("half way down", format!("limit=50&cursor={middle}")),
        ("of a state", "state=queued&limit=50".to_owned()),
        ("of a state that none is in", "state=failed&limit=50".to_owned()),
        ("of active jobs of a rare kind", "state=active&kind=rare&limit=50".to_owned()),
        ("of a rare queue", "queue=slow&limit=50".to_owned()),
        ("of a rare tag", "tag=needle&limit=50".to_owned()),
        ("of three filters", "state=queued&queue=slow&tag=needle&limit=50".to_owned()),
        ("of a text that many have", "q=xxxxx&limit=50".to_owned()),
        ("of a text that few have", "q=needle&limit=50".to_owned()),
        ("of a text that none has", "q=nowhere&limit=50".to_owned()),
    ];
    for (what, query) in queries {
        let path = format!("/api/jobs?{query}");
        let times = (0..ASKED).map(|_| timed(server, &agent, &path).1).collect();
        report.page(what, times);
    }
    let queues = timed(server, &agent, "/api/queues");
    report.page("of queues", vec![queues.1]);
    let depth: u64 =
        queues.0["queues"].as_array().unwrap().iter().map(|it| it["depth"]["queued"].as_u64().unwrap()).sum();
    assert!(depth >= jobs as u64, "{depth} jobs are queued");
}

/// A cursor that stands near the middle of the list: 40 pages below the first, or as deep as the list goes.
fn middle_cursor(server: &Server, agent: &ureq::Agent, jobs: usize) -> String {
    let mut cursor = String::new();
    for _ in 0..40.min(jobs / 500 / 2) {
        let path = format!("/api/jobs?limit=500{cursor}");
        let page = timed(server, agent, &path).0;
        cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap());
    }
    cursor.trim_start_matches("&cursor=").to_owned()
}

/// Walks down the whole list and gives all ids.
fn walk(server: &Server, report: &mut Report) -> BTreeSet<u128> {
    let agent = ureq::Agent::new_with_defaults();
    let (mut found, mut times, mut cursor) = (BTreeSet::new(), Vec::new(), String::new());
    loop {
        let (page, took) = timed(server, &agent, &format!("/api/jobs?limit=500{cursor}"));
        times.push(took);
        for job in page["jobs"].as_array().unwrap() {
            assert!(found.insert(id_of(job)), "no job is met twice");
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    report.page("of 500 rows, all the way down", times);
    found
}

/// Asks, and gives what was answered and after how long the last byte was there.
fn timed(server: &Server, agent: &ureq::Agent, path: &str) -> (Value, Duration) {
    let begun = Instant::now();
    let text = agent.get(server.at(path)).call().unwrap().body_mut().with_config().limit(1 << 26).read_to_string();
    let took = begun.elapsed();
    (serde_json::from_str(&text.unwrap()).unwrap(), took)
}

/// Starts the server on what is there and submits a job as soon as it is taken.
fn restart(directory: &Path, after: &str, report: &mut Report) -> (Server, u128) {
    let begun = Instant::now();
    let server = start(directory);
    let mut answer = ureq::post(server.at("/api/jobs")).send_json(job(0)).unwrap();
    report.restart(after, begun.elapsed());
    let job: Value = answer.body_mut().read_json().unwrap();
    (server, id_of(&job))
}

fn id_of(job: &Value) -> u128 {
    job["id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap().as_u128()
}

fn start(directory: &Path) -> Server {
    Start::in_directory(directory, Path::new("data")).ready()
}
