//! What it costs to tell everybody: 100, 1,000 and 5,000 WebSocket subscribers who follow all jobs, as fast as the slowest
//! of them reads and at a slow pace, beside a bare warp broadcast of the very same frames in the same run, which writes the
//! frames that wait together.
//!
//! Starts the built server on a free loopback port with fresh data on the disk of the build, and then this program again
//! as the bare server; the subscribers are this program, on the same machine. Bounded: about four minutes.
//!
//! `cargo bench --bench fanout`, or with the numbers of subscribers: `cargo bench --bench fanout -- 1000`; `once` is one
//! round. Figures of different runs or machines are not comparable.

mod bare;
mod crowd;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crowd::{Crowd, SentAt, Told};
use support::{Client, Process, ROUNDS, Server, Spread, directory, job};
use tokio::time::{MissedTickBehavior, interval};

/// The crowds, and what each is told of.
const LOADS: [Load; 3] = [
    Load { subscribers: 100, jobs: 51_200, submitters: 8, bulk: 32, a_second: 50 },
    Load { subscribers: 1_000, jobs: 9_600, submitters: 64, bulk: 1, a_second: 20 },
    Load { subscribers: 5_000, jobs: 1_920, submitters: 64, bulk: 1, a_second: 4 },
];
const SLOW_SECONDS: usize = 5;
/// So much may be on its way to the slowest: half of what the server keeps for one before it sends him back to the log.
const ON_THEIR_WAY_BYTES: usize = 512 * 1024;
/// About what a job takes in a frame, with what a frame costs beside it.
const JOB_BYTES: usize = 640;
const PAUSE: Duration = Duration::from_micros(200);
/// Nobody is asked whether he is there while it runs: these subscribers do not answer.
const CONFIG: &str = "lease_s = 600\n[kinds.idle]\n";
const SUBSCRIBE: &str = r#"{"type":"subscribe","id":"a","topic":"jobs"}"#;
/// The end of the answer: a snapshot without jobs.
const SUBSCRIBED: &str = r#""more":false}"#;

/// A crowd, how many jobs it is told of, how many submit them, how many with one request, and how many a second are
/// submitted when it is slow.
#[derive(Clone, Copy)]
struct Load {
    subscribers: usize,
    jobs: usize,
    submitters: usize,
    bulk: usize,
    a_second: usize,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [word, directory] = words.as_slice()
        && word == "bare"
    {
        return bare::serve(Path::new(directory), ON_THEIR_WAY_BYTES);
    }
    let asked: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let is_asked = |load: &Load| asked.is_empty() || asked.contains(&load.subscribers);
    support::print_machine("everybody follows all jobs");
    let mut results: BTreeMap<usize, Results> = BTreeMap::new();
    for _ in 0..if words.iter().any(|word| word == "once") { 1 } else { ROUNDS } {
        for load in LOADS.into_iter().filter(is_asked) {
            results.entry(load.subscribers).or_default().add(load);
        }
    }
    results.values().for_each(Results::print);
}

/// The real server: jobs are submitted over HTTP and made durable, and each commit is told to everybody.
fn of_daybook(load: Load, directory: &Path) -> (Round, [Vec<Vec<u8>>; 2]) {
    let server = Server::start(directory, CONFIG);
    let mut side = Side::begin(&server.process, "/api/live", SUBSCRIBE, SUBSCRIBED, load);
    let runtime = support::runtime();
    let body = serde_json::json!({ "jobs": vec![job("idle"); load.bulk] }).to_string();
    let told = Told::default();
    let submitted = Told::default();
    for _ in 0..load.submitters {
        let (address, body, told, submitted) = (server.address.clone(), body.clone(), told.clone(), submitted.clone());
        runtime.spawn(async move {
            let mut client = Client::connect(&address).await;
            for _ in 0..load.jobs / load.submitters / load.bulk {
                while submitted.jobs().saturating_sub(told.jobs()) * JOB_BYTES > ON_THEIR_WAY_BYTES {
                    tokio::time::sleep(PAUSE).await;
                }
                let (status, text) = client.request("POST", "/api/jobs/bulk", "", &body).await;
                assert_eq!(status, 201, "{text}");
                submitted.add(load.bulk);
            }
        });
    }
    let fast = side.rush(load, &told);
    let one = job("idle").to_string();
    let slow = side.stroll(load, "/api/jobs", one);
    (side.round, [fast, slow])
}

fn of_bare(load: Load, directory: &Path, [fast, slow]: &[Vec<Vec<u8>>; 2]) -> Round {
    bare::record(directory, fast, slow);
    let me = std::env::current_exe().expect("this program has a path");
    let process = Process::start(Command::new(me).arg("bare").arg(directory));
    let mut side = Side::begin(&process, "/live", "hello", bare::READY, load);
    let runtime = support::runtime();
    let address = process.address.clone();
    runtime.spawn(async move { Client::connect(&address).await.request("POST", "/all", "", "").await });
    side.rush(load, &Told::default());
    side.stroll(load, "/one", String::new());
    side.round
}

/// What a server does in one round.
struct Side<'a> {
    process: &'a Process,
    crowd: Crowd,
    round: Round,
}

/// What one server did in one round.
#[derive(Default)]
struct Round {
    jobs_per_second: f64,
    cpu_us: f64,
    delays_ms: [f64; 2],
    kib_idle: f64,
}

impl<'a> Side<'a> {
    fn begin(process: &'a Process, path: &str, says: &str, hears: &str, load: Load) -> Side<'a> {
        let kib_before = memory_kib(process);
        let crowd = Crowd::gather(&process.address, path, says, hears, load.subscribers);
        let kib_idle = (memory_kib(process) - kib_before) / load.subscribers as f64;
        Side { process, crowd, round: Round { kib_idle, ..Round::default() } }
    }

    /// Everybody is told of all jobs as fast as it goes. Gives the frames.
    fn rush(&mut self, load: Load, told: &Told) -> Vec<Vec<u8>> {
        let (cpu_us, begun) = (self.process.cpu_us(), Instant::now());
        let frames = self.crowd.read(told, |jobs, _| jobs >= load.jobs);
        let deliveries = (load.jobs * load.subscribers) as f64;
        self.round.jobs_per_second = deliveries / begun.elapsed().as_secs_f64();
        let cpu_us = self.process.cpu_us().zip(cpu_us).map(|(after, before)| after - before);
        self.round.cpu_us = cpu_us.unwrap_or(f64::NAN) / deliveries;
        frames
    }

    /// Everybody is told of one job at a time. Gives the frames.
    fn stroll(&mut self, load: Load, path: &'static str, body: String) -> Vec<Vec<u8>> {
        let (sent_at, address) = (SentAt::default(), self.process.address.clone());
        self.crowd.time(sent_at.clone());
        let (runtime, count) = (support::runtime(), load.a_second * SLOW_SECONDS);
        runtime.spawn(async move {
            let mut client = Client::connect(&address).await;
            let mut pace = interval(Duration::from_millis(1000 / load.a_second as u64));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for _ in 0..count {
                pace.tick().await;
                sent_at.lock().push(Instant::now());
                let (status, text) = client.request("POST", path, "", &body).await;
                assert_eq!(status, 201, "{text}");
            }
        });
        let frames = self.crowd.read(&Told::default(), |_, frames| frames >= count);
        let mut delays = self.crowd.delays();
        delays.sort();
        let at = |share: f64| delays[((delays.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1000.0;
        self.round.delays_ms = [at(0.5), at(0.99)];
        frames
    }
}

/// What a process holds in memory, in KiB; none where there is no such account.
fn memory_kib(process: &Process) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(f64::NAN)
}

/// What the rounds with one crowd found.
#[derive(Default)]
struct Results {
    subscribers: usize,
    /// Jobs and bytes of a frame.
    frames: Vec<(f64, f64)>,
    daybook: Vec<Round>,
    bare: Vec<Round>,
}

impl Results {
    fn add(&mut self, load: Load) {
        let directory = directory();
        let (daybook, frames) = of_daybook(load, directory.path());
        let count = frames[0].len() as f64;
        self.subscribers = load.subscribers;
        let bytes: usize = frames[0].iter().map(Vec::len).sum();
        self.frames.push((load.jobs as f64 / count, bytes as f64 / count));
        self.daybook.push(daybook);
        self.bare.push(of_bare(load, directory.path(), &frames));
    }

    fn print(&self) {
        let middle = |of: fn(&(f64, f64)) -> f64| Spread::of(self.frames.iter().map(of)).expect("a round").median;
        let (jobs, bytes) = (middle(|frame| frame.0), middle(|frame| frame.1));
        println!("\n{} subscribers; a frame has {jobs:.1} jobs and {bytes:.0} bytes", self.subscribers);
        for (name, rounds) in [("daybook", &self.daybook), ("bare warp broadcast", &self.bare)] {
            let of = |of: fn(&Round) -> f64| Spread::of(rounds.iter().map(of)).expect("a round");
            let (jobs, cpu_us) = (of(|round| round.jobs_per_second), of(|round| round.cpu_us));
            let (p50, p99) = (of(|round| round.delays_ms[0]), of(|round| round.delays_ms[1]));
            let idle = of(|round| round.kib_idle);
            println!("{name:<20} {jobs:>32.0} deliveries of a job a second, {cpu_us:.2} µs of CPU each");
            println!("{:<20} delay p50 {p50:.2} ms, p99 {p99:.2} ms", "");
            println!("{:<20} {idle:.1} KiB a connection when idle", "");
        }
        let ratios = self.daybook.iter().zip(&self.bare);
        let ratios = ratios.map(|(daybook, bare)| daybook.jobs_per_second / bare.jobs_per_second);
        println!("{:<20} {:>32.2} of the bare broadcast", "", Spread::of(ratios).expect("a round"));
    }
}
