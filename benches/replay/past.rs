//! What a past moment costs: `at=` in a running server, and `daybook replay --until` on the data of a stopped one.
//!
//! 5,000,000 events go through the real log: 50,000 jobs are always active, the oldest one runs next, and 100,000
//! finished ones are known (the oldest is forgotten when there are more). Then the keyframes are made, as after an import.
//! `at` makes the state after a random event, counts the jobs by state from their labels, and decodes a page of 50: `cold`
//! as the first question to a new process, `warm` one after the other in one process, `next` the event after the last
//! one asked for. `until` opens the data, makes the state, folds up to the event and hashes it.

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook::app::replay::{Moment, Player};
use daybook::app::source::DataSource;
use daybook::domain::event::{Event, JobsForgotten, Record};
use daybook::domain::id::{JobId, Ordinal, Seq};
use daybook::domain::state::Slot;
use daybook::engine::past::{Origins, PastStates};
use daybook::log::LogReader;
use daybook::log::keyframe::KeyframeStore;
use daybook::maintenance::keyframer::Keyframer;
use daybook::storage::{KeyframeFiles, Options, open};

use crate::{BATCH, Core, target_dir};

/// How many events the log has, unless it is said.
pub const EVENTS: usize = 5_000_000;
const ACTIVE: usize = 50_000;
const STUBS: usize = 100_000;
/// How many finished jobs one event forgets.
const FORGOTTEN: usize = 256;
const COLD: usize = 60;
const WARM: usize = 300;
const NEXT: u64 = 200;
const UNTIL: usize = 20;
const PAGE: usize = 50;

/// Measures both.
pub fn measure(events: usize, between: u64) {
    let place = tempfile::Builder::new().prefix("daybook-bench-").tempdir_in(target_dir()).expect("a directory");
    let data = place.path().join("data");
    print_machine();
    println!("settings: {events} events, {ACTIVE} active jobs, {STUBS} finished ones known, 200 bytes of args");
    println!("a keyframe every {between} events");
    write_log(&data, events);
    let opened = open(&data, &Options::default()).expect("the log opens");
    let log: Arc<dyn LogReader> = opened.log.reader();
    make_keyframes(&data, opened.lineage, &log, between);
    let mut random = Random(7);
    let moments = |count: usize, random: &mut Random| -> Vec<Seq> {
        (0..count).map(|_| Seq(random.below(ACTIVE as u64 * 4, log.last().0))).collect()
    };
    let cold = moments(COLD, &mut random).into_iter().map(|seq| {
        let files = Arc::new(KeyframeFiles::open_as_is(&data, opened.lineage));
        let states = PastStates::from(Origins::of(log.clone()).with_keyframes(files));
        timed(|| ask(&states, seq))
    });
    print("at, cold", cold.collect());
    let files = Arc::new(KeyframeFiles::open_as_is(&data, opened.lineage));
    let states = PastStates::from(Origins::of(log.clone()).with_keyframes(files));
    let warm = moments(WARM, &mut random);
    print("at, warm", warm.into_iter().map(|seq| timed(|| ask(&states, seq))).collect());
    let begin = log.last().0 / 2;
    print("at, next", (begin..begin + NEXT).map(|seq| timed(|| ask(&states, Seq(seq)))).collect());
    println!("target: p95 of at below 150 ms");
    let until = moments(UNTIL, &mut random);
    drop((log, states));
    opened.log.close().expect("the log closes");
    drop(opened.lock);
    print("until", until.into_iter().map(|seq| timed(|| replay_until(&data, seq))).collect());
    println!("target: until below 1 s");
}

fn ask(states: &PastStates, seq: Seq) {
    let past = states.at(seq).expect("a past state");
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut page: Vec<Ordinal> = Vec::new();
    for (ordinal, label) in past.labels_below(None) {
        *counts.entry(label.state.as_str()).or_default() += 1;
        if page.len() < PAGE {
            page.push(ordinal);
        }
    }
    assert!(counts.values().sum::<u64>() >= ACTIVE as u64);
    let page = page.into_iter().map(|ordinal| past.slot_at(ordinal).expect("it can be read"));
    black_box(page.collect::<Vec<Option<Slot>>>());
}

fn replay_until(data: &Path, seq: Seq) {
    let mut source = DataSource::open(data).expect("the log opens");
    let until = Moment::Event(seq);
    let mut player = Player::begin(&mut source, until, true).expect("it can be read");
    player.run(until).expect("it can be folded");
    assert_eq!(black_box(player.summary().expect("a summary")).seq, seq);
}

/// As the server does it, without the pauses.
fn make_keyframes(data: &Path, lineage: uuid::Uuid, log: &Arc<dyn LogReader>, between: u64) {
    let files = Arc::new(KeyframeFiles::open(data, lineage, log.last()).expect("a directory"));
    let keyframer = Keyframer::new(log.clone(), files.clone(), u64::MAX, Box::new(|| true)).every(between);
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    loop {
        let step = Instant::now();
        if !keyframer.step().expect("keyframes are written") {
            break;
        }
        longest = longest.max(step.elapsed());
    }
    let listed = files.list();
    let full = listed.iter().filter(|keyframe| keyframe.parent.is_none()).count();
    let bytes: u64 = listed.iter().map(|keyframe| keyframe.bytes).sum();
    println!(
        "keyframes: {} ({full} full), {} bytes an event, made in {:.1} s, the longest step {:.0} ms",
        listed.len(),
        bytes / log.last().0,
        begun.elapsed().as_secs_f64(),
        longest.as_secs_f64() * 1000.0,
    );
}

fn write_log(data: &Path, events: usize) {
    let mut log = open(data, &Options::default()).expect("the log opens").log;
    let (mut core, mut ended) = (Core::new(), VecDeque::<JobId>::new());
    let begun = Instant::now();
    (0..ACTIVE).for_each(|_| core.submit());
    while core.made < events {
        while core.waiting.len() < BATCH {
            let from = core.waiting.len();
            core.live();
            let completed = core.waiting.range(from..).filter(|record| matches!(record.event, Event::JobCompleted(_)));
            ended.extend(completed.filter_map(|record| record.event.job()));
            if ended.len() >= STUBS + FORGOTTEN {
                let jobs = ended.drain(..FORGOTTEN).collect();
                core.append(core.now(), JobsForgotten { jobs }.into());
            }
        }
        let records: Arc<[Record]> = core.waiting.drain(..BATCH).collect();
        log.submit(records).expect("the log takes records");
        log.committed().expect("the log is durable");
        core.made += BATCH;
    }
    log.close().expect("the log closes");
    println!("the log was written in {:.1} s", begun.elapsed().as_secs_f64());
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn print(name: &str, mut spans: Vec<Duration>) {
    spans.sort();
    let at = |share: f64| spans[((spans.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1000.0;
    let (p50, p95, max) = (at(0.5), at(0.95), at(1.0));
    println!("{name:<10} p50 {p50:>7.1} ms   p95 {p95:>7.1} ms   max {max:>7.1} ms   ({} times)", spans.len());
}

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, from: u64, to: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from + (self.0 >> 33) % (to - from)
    }
}

fn print_machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown processor");
    println!("machine: {cpus} × {model}, Linux {}", read("/proc/sys/kernel/osrelease").trim());
}
