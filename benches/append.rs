//! How much of the disk's own speed the event log keeps: durable appends, chain and HEAD included, against a raw
//! append and fdatasync of the same bytes in the same run. Run it with `cargo bench --bench append`; it takes half a
//! minute. Trust the ratios: the absolute numbers are the machine's.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook::domain::event::FirstState;
use daybook::domain::event::{Actor, JobSubmitted, Record};
use daybook::domain::id::{JobId, KindName, Ordinal, QueueName, Seq};
use daybook::domain::json::Json;
use daybook::domain::retry::Policy;
use daybook::domain::time::Timestamp;
use daybook::log::EventLog;
use daybook::log::chain::ChainEnd;
use daybook::log::commit::commits_of;
use daybook::storage::{Options, open};
use uuid::Uuid;

/// Events a commit, and the least share of the raw speed that is acceptable.
const CASES: [(usize, f64); 3] = [(1, 0.60), (64, 0.75), (256, 0.55)];

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(400);

/// The most events of one round.
const ROUND_EVENTS_MAX: usize = 160_000;

fn main() {
    let options = Options::default();
    print_machine(&options);
    let place = tempfile::Builder::new().prefix("daybook-bench-").tempdir_in(target_dir()).expect("a directory");
    let mut bench = Bench::new(place.path(), &options);
    println!("events  raw/s    p50 ms  log/s    p50 ms  p99 ms  ratio (least–most)  one by one  target");
    for (events, target) in CASES {
        bench.case(events, target);
    }
    bench.log.close().expect("the log closes");
}

struct Bench {
    log: Box<dyn EventLog>,
    raw: File,
}

/// One round: how many events a second, and the times of its commits in milliseconds.
struct Round {
    rate: f64,
    times_ms: Vec<f64>,
}

impl Bench {
    fn new(place: &Path, options: &Options) -> Bench {
        let log = open(&place.join("data"), options).expect("the log opens").log;
        Bench { log, raw: File::create(place.join("raw")).expect("a file") }
    }

    fn case(&mut self, events: usize, target: f64) {
        self.raw_round(events);
        self.log_round(events, 2);
        let (mut raws, mut logs, mut ratios, mut alone) = (vec![], vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            let raw = self.raw_round(events);
            let log = self.log_round(events, self.log.in_flight_max());
            ratios.push(log.rate / raw.rate);
            alone.push(self.log_round(events, 1).rate / raw.rate);
            raws.push(raw);
            logs.push(log);
        }
        let rate = |rounds: &[Round]| quantile(rounds.iter().map(|round| round.rate).collect(), 0.5);
        let time = |rounds: &[Round], part| {
            quantile(rounds.iter().flat_map(|round| round.times_ms.iter().copied()).collect(), part)
        };
        println!(
            "{events:>6}  {:>7.0}  {:>6.2}  {:>7.0}  {:>6.2}  {:>6.2}  {:.2} ({:.2}–{:.2})  {:.2}  {target:.2}",
            rate(&raws),
            time(&raws, 0.5),
            rate(&logs),
            time(&logs, 0.5),
            time(&logs, 0.99),
            quantile(ratios.clone(), 0.5),
            quantile(ratios.clone(), 0.0),
            quantile(ratios, 1.0),
            quantile(alone, 0.5),
        );
    }

    /// The bytes that the log would write, on a growing file.
    fn raw_round(&mut self, events: usize) -> Round {
        let records = records(Seq(1), events);
        let mut end = ChainEnd::start(Uuid::nil());
        let commits = commits_of(&records, &mut end).expect("the records have a binary form");
        let bytes: Vec<u8> =
            commits.iter().flat_map(|commit| &commit.pages).flat_map(|page| page.bytes.iter().copied()).collect();
        let begin = Instant::now();
        let mut times_ms = Vec::new();
        while begin.elapsed() < ROUND {
            let start = Instant::now();
            self.raw.write_all(&bytes).expect("the disk has room");
            self.raw.sync_data().expect("the disk syncs");
            times_ms.push(start.elapsed().as_secs_f64() * 1000.0);
        }
        Round { rate: (times_ms.len() * events) as f64 / begin.elapsed().as_secs_f64(), times_ms }
    }

    fn log_round(&mut self, events: usize, depth: usize) -> Round {
        // Making the events is the engine's work, so they are made before.
        let prepared = (ROUND_EVENTS_MAX / events).min(4000);
        let mut tail = self.log.last();
        let mut batches: Vec<Arc<[Record]>> = Vec::new();
        for _ in 0..prepared {
            batches.push(records(tail.next(), events));
            tail = Seq(tail.0 + events as u64);
        }
        let mut batches = batches.into_iter();
        let begin = Instant::now();
        let mut waiting = std::collections::VecDeque::new();
        let mut times_ms = Vec::new();
        for batch in batches.by_ref() {
            waiting.push_back(Instant::now());
            self.log.submit(batch).expect("the log takes records");
            if waiting.len() == depth {
                self.await_oldest(&mut waiting, &mut times_ms);
            }
            if begin.elapsed() >= ROUND {
                break;
            }
        }
        while !waiting.is_empty() {
            self.await_oldest(&mut waiting, &mut times_ms);
        }
        // Dropped later: the batches that were prepared for nothing are not the log's either.
        Round { rate: (times_ms.len() * events) as f64 / begin.elapsed().as_secs_f64(), times_ms }
    }

    fn await_oldest(&mut self, waiting: &mut std::collections::VecDeque<Instant>, times_ms: &mut Vec<f64>) {
        self.log.committed().expect("the log is durable");
        let start = waiting.pop_front().expect("something is in flight");
        times_ms.push(start.elapsed().as_secs_f64() * 1000.0);
    }
}

/// Submissions with 200 bytes of args, half of them noise: about 300 bytes an event.
fn records(first: Seq, count: usize) -> Arc<[Record]> {
    (first.0..first.0 + count as u64).map(record).collect()
}

fn record(seq: u64) -> Record {
    let at = Timestamp::from_ms(1_790_000_000_000 + seq as i64 / 100);
    let noise = blake3::hash(&seq.to_le_bytes()).to_hex();
    let args = format!(
        r#"{{"path":"/srv/pictures/2026/{seq}.png","width":640,"height":480,"digest":"{noise}","note":"{noise:.40}"}}"#
    );
    let data = JobSubmitted {
        job: JobId::new(at, Ordinal(seq), seq),
        kind: KindName::from_checked("resize".into()),
        queue: QueueName::from_checked("images".into()),
        priority: 0,
        args: Json::from_checked(args),
        tags: vec!["pictures".into()],
        policy: Policy::default(),
        state: FirstState::Queued,
        relations: None,
        items: Vec::new(),
    };
    Record { seq: Seq(seq), at, previous: None, actor: Actor::CLIENT, continues: false, event: data.into() }
}

fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

/// On the disk of the build, not on a /tmp in memory.
fn target_dir() -> std::path::PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    program.parent().expect("it lies in a directory").to_path_buf()
}

fn print_machine(options: &Options) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown processor");
    println!("machine: {cpus} × {model}, Linux {}", read("/proc/sys/kernel/osrelease").trim());
    let one = commits_of(&records(Seq(1), 64), &mut ChainEnd::start(Uuid::nil())).expect("it has a binary form");
    let bytes: usize = one.iter().flat_map(|commit| &commit.pages).map(|page| page.bytes.len()).sum();
    println!(
        "settings: segments of {} MiB, cache {} MiB, {} bytes an event",
        options.segment_bytes >> 20,
        options.cache_bytes >> 20,
        bytes / 64
    );
}
