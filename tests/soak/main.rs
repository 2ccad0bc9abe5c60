//! A server that works for a long time and forgets: its disk and its memory level off.
//!
//! Goal: with 10,000 finished jobs kept and a bounded log, the room that is taken after 2,000,000 jobs is the room that
//! was taken after some hundred thousand. Method: the built server as a process; jobs go through real life, in all the
//! ways that leave something behind (payloads in packs, retries, items, children, log lines, files, keys, tags of their
//! own, sessions, purges); after each part everything is measured by part and held against bounds that follow from the
//! settings. The small form has small settings, so that the same happens with fewer jobs.

mod load;
mod sample;
#[allow(dead_code, reason = "each test program uses a part of what they share")]
#[path = "../support/mod.rs"]
mod support;

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::{FAILED_A_BULK, work_off};
use crate::sample::{Sample, Series};
use crate::support::server::{Server, Start, verify};

/// The parts after which is measured. In the middle and at the end the server is killed.
const STEPS: usize = 20;
const MIB: u64 = 1024 * 1024;
/// How long forgetting may lag behind, at most.
const LAG_MAX: Duration = Duration::from_secs(60);

/// What the server is told to keep.
pub struct Settings {
    pub jobs: usize,
    /// Jobs that did not fail, and failed ones: these are older than the log.
    pub finished: u64,
    pub failed: u64,
    pub segment_bytes: u64,
    pub log_bytes: u64,
    pub every_s: f64,
}

impl Settings {
    fn text(&self) -> String {
        let Settings { finished, failed, segment_bytes, log_bytes, every_s, .. } = self;
        format!(
            "segment_bytes = {segment_bytes}\nreconnect_grace_s = 0\n[kinds.work]\nbackoff_s = 0.1\n[retention]\n\
             finished_count = {finished}\nlog_bytes = {log_bytes}\nevery_s = {every_s}\n[retention.failed]\n\
             finished_count = {failed}\n"
        )
    }

    /// The most finished jobs that are known when forgetting has caught up: those that are kept, the first ones of
    /// requests of which another is kept, and the purged ones that the log still carries.
    pub fn known_max(&self) -> u64 {
        let bulks = self.failed / FAILED_A_BULK + self.finished / 900 + 4;
        self.finished + self.failed + bulks + self.log_bytes / 500_000
    }
}

#[test]
fn disk_and_memory_of_a_server_that_forgets_level_off() {
    soak(&Settings {
        jobs: asked(20_000),
        finished: 1_000,
        failed: 250,
        segment_bytes: 4 * MIB,
        log_bytes: 8 * MIB,
        every_s: 0.2,
    });
}

#[test]
#[ignore = "a soak of many minutes: cargo test --release --test soak -- --ignored --nocapture"]
fn disk_and_memory_level_off_over_two_million_jobs() {
    soak(&Settings {
        jobs: asked(2_000_000),
        finished: 10_000,
        failed: 5_000,
        segment_bytes: 64 * MIB,
        log_bytes: 256 * MIB,
        every_s: 1.0,
    });
}

/// How many jobs, unless somebody asks for another number.
fn asked(jobs: usize) -> usize {
    std::env::var("DAYBOOK_SOAK_JOBS").map_or(jobs, |text| text.parse().expect("a number of jobs"))
}

fn soak(settings: &Settings) {
    let own = tempfile::tempdir().expect("a directory");
    std::fs::write(own.path().join("daybook.toml"), settings.text()).expect("writes");
    println!("{}", settings.text());
    let mut server = start(own.path()).0;
    let mut series = Series::new();
    for step in 0..STEPS {
        let begun = Instant::now();
        let submits = work_off(&server, part(settings.jobs, step));
        until_forgotten(&server, settings);
        let done = part(settings.jobs, step).end;
        series.add(Sample::of(&server, &own.path().join("data"), done, begun.elapsed(), submits));
        if step + 1 == STEPS / 2 || step + 1 == STEPS {
            server = killed(server, own.path(), &mut series);
        }
    }
    server.kill();
    let (code, said) = verify(&own.path().join("data"));
    assert_eq!(code, Some(0), "{said}");
    series.check(settings);
}

/// The numbers of the jobs of a step.
fn part(jobs: usize, step: usize) -> Range<usize> {
    jobs * step / STEPS..jobs * (step + 1) / STEPS
}

fn start(directory: &Path) -> (Server, Duration) {
    let begun = Instant::now();
    let server = Start::in_directory(directory, Path::new("data")).ready();
    (server, begun.elapsed())
}

/// Waits until no more finished jobs are known than are kept.
fn until_forgotten(server: &Server, settings: &Settings) {
    let begun = Instant::now();
    loop {
        let stats = server.read("/api/stats");
        if known(&stats) <= settings.known_max() {
            return;
        }
        assert!(begun.elapsed() < LAG_MAX, "at most {} finished jobs are known: {stats}", settings.known_max());
        server.read(&format!("/api/events?after={}&wait=1&limit=1", stats["seq"]));
    }
}

/// How many finished jobs are known.
pub fn known(stats: &Value) -> u64 {
    ["completed", "failed", "cancelled"].iter().map(|state| stats["jobs"][state].as_u64().expect("a number")).sum()
}

/// Kills the server and starts it again: what it knew it knows, and how long that takes is noted.
fn killed(server: Server, directory: &Path, series: &mut Series) -> Server {
    let newest = |server: &Server| server.read("/api/jobs?limit=100")["jobs"].clone();
    let oldest_failed = |server: &Server| {
        let (mut cursor, mut oldest) = (String::new(), Value::Null);
        loop {
            let page = server.read(&format!("/api/jobs?state=failed&limit=500{cursor}"));
            oldest = page["jobs"].as_array().and_then(|jobs| jobs.last()).cloned().unwrap_or(oldest);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return server.read(&format!("/api/jobs/{}", oldest["id"].as_str().expect("an id"))),
            }
        }
    };
    let (rows, failed) = (newest(&server), oldest_failed(&server));
    assert!(failed["args"]["text"].is_string(), "what a kept job was given outlives the events: {failed}");
    let known_before = known(&server.read("/api/stats"));
    server.kill();
    let (server, took) = start(directory);
    // Of the machine's time others take their share; what the start costs is that of the processor.
    let cost = processor_time(&server);
    assert_eq!(newest(&server), rows, "after a kill");
    assert_eq!(server.read(&format!("/api/jobs/{}", failed["id"].as_str().expect("an id")))["args"], failed["args"]);
    let known_after = known(&server.read("/api/stats"));
    assert!(known_after <= known_before, "{known_after} finished jobs are known after a kill, {known_before} before");
    println!("start after SIGKILL: {took:.1?}, of the processor {cost:.1?}");
    series.starts.push(cost);
    server
}

/// The time of the processor that a server has taken.
fn processor_time(server: &Server) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.process())).expect("it runs");
    let numbers = stat.rsplit_once(')').expect("a name in parentheses").1;
    let ticks: u64 =
        numbers.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    // A hundred ticks a second, on every Linux.
    Duration::from_millis(ticks * 10)
}
