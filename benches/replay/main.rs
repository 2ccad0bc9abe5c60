//! How fast a log on disk is folded into a state, against a bare decode of the same pages in the same run.
//!
//! Writes whole lives of jobs (submitted, started, completed; 200 bytes of args) through the real log, opens it again
//! and replays it: `decode` takes pages that are in memory apart and does nothing else, `read` lets the log do that
//! from its files, `fold` applies the records too, `recover` is what a start does, views included. Run it with
//! `cargo bench --bench replay`, or `-- fold EVENTS` for another number than 900,000. Trust the ratios: the absolute numbers are the machine's.
//!
//! `cargo bench --bench replay -- past` measures past moments instead (see `past.rs`); `past EVENTS BETWEEN` takes another
//! number of events than 5,000,000, and, if it is said, another distance between keyframes.

mod past;

use std::collections::{BTreeSet, VecDeque};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use daybook::domain::command::{Answer, Claim, Command, Grant, JoinWorker, LeaseProof, NewJob, Submit};
use daybook::domain::decide::{Chance, Context, decide};
use daybook::domain::event::{Actor, Event, Record};
use daybook::domain::evolve::evolve;
use daybook::domain::id::{Seq, SessionId, TokenHash};
use daybook::domain::job::WorkerPlace;
use daybook::domain::json::Json;
use daybook::domain::queue::Limits;
use daybook::domain::state::{Slot, State};
use daybook::domain::time::Timestamp;
use daybook::engine::recovery::recover;
use daybook::log::LogReader;
use daybook::log::chain::{ChainEnd, Page};
use daybook::log::codec::NoPayloads;
use daybook::log::commit::commits_of;
use daybook::maintenance::keyframer::EVENTS_BETWEEN;
use daybook::storage::{Options, open};
use daybook::views::MemoryFinished;
use uuid::Uuid;

const EVENTS: usize = 900_000;
/// Events a submission, as a busy server makes them.
const BATCH: usize = 256;
const ROUNDS: usize = 3;
/// The least share of the bare decode that is acceptable for the fold.
const TARGET: f64 = 0.35;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => measure_fold(EVENTS),
        ["fold", events] => measure_fold(events.parse().expect("a number of events")),
        ["past"] => past::measure(past::EVENTS, EVENTS_BETWEEN),
        ["past", events] => past::measure(events.parse().expect("a number of events"), EVENTS_BETWEEN),
        ["past", events, between] => {
            let between = between.parse().expect("a number of events between keyframes");
            past::measure(events.parse().expect("a number of events"), between);
        }
        _ => panic!("fold EVENTS, past, past EVENTS, past EVENTS BETWEEN, or nothing"),
    }
}

fn measure_fold(events: usize) {
    let place = tempfile::Builder::new().prefix("daybook-bench-").tempdir_in(target_dir()).expect("a directory");
    let data = place.path().join("data");
    let pages = write_log(&data, events);
    let bytes: usize = pages.iter().map(Vec::len).sum();
    println!("{events} events in {} pages, {} bytes an event; {ROUNDS} rounds", pages.len(), bytes / events);
    let opened = open(&data, &Options::default()).expect("the log opens");
    let log: Arc<dyn LogReader> = opened.log.reader();
    type Work<'a> = Box<dyn Fn() -> u64 + 'a>;
    let works: [(&str, Work); 4] = [
        ("decode of pages in memory", Box::new(|| decode_pages(&pages))),
        ("read from the log", Box::new(|| read(&log, &mut |_| ()))),
        ("fold", Box::new(|| fold(&log))),
        ("recover, with views", Box::new(|| recovered(&log))),
    ];
    let mut base = 0.0;
    for (name, work) in works {
        let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate(&work)).collect();
        rates.sort_by(f64::total_cmp);
        let median = rates[ROUNDS / 2];
        base = if base == 0.0 { median } else { base };
        let (least, most) = (rates[0], rates[ROUNDS - 1]);
        println!("{name:<28} {median:>10.0} events/s [{least:.0}..{most:.0}]  {:.2} of the decode", median / base);
    }
    println!("target: the fold at least {TARGET} of the decode, and at least 1,000,000 events/s");
    drop(log);
    opened.log.close().expect("the log closes");
}

fn rate(work: &dyn Fn() -> u64) -> f64 {
    let begun = Instant::now();
    let events = black_box(work());
    events as f64 / begun.elapsed().as_secs_f64()
}

fn decode_pages(pages: &[Vec<u8>]) -> u64 {
    let records = pages.iter().map(|bytes| {
        let page = Page::parse(bytes).expect("a page");
        black_box(page.records(&NoPayloads).expect("records")).len() as u64
    });
    records.sum()
}

fn read(log: &Arc<dyn LogReader>, each: &mut dyn FnMut(&Record)) -> u64 {
    let mut last = Seq::ZERO;
    loop {
        let records = log.page_after(last).expect("the log can be read");
        let Some(end) = records.last() else { return last.0 };
        last = end.seq;
        records.iter().for_each(&mut *each);
    }
}

fn fold(log: &Arc<dyn LogReader>) -> u64 {
    let mut state = State::default().without_indexes();
    read(log, &mut |record| _ = evolve(&mut state, record))
}

fn recovered(log: &Arc<dyn LogReader>) -> u64 {
    let found = recover(log, |_| None, Arc::new(MemoryFinished::default()), &|_| ()).expect("the log is sound");
    found.folded
}

/// Writes the events and gives the same pages as they would stand in memory.
fn write_log(data: &Path, events: usize) -> Vec<Vec<u8>> {
    let mut log = open(data, &Options::default()).expect("the log opens").log;
    let mut end = ChainEnd::start(Uuid::nil());
    let (mut core, mut pages) = (Core::new(), Vec::new());
    while core.made < events {
        while core.waiting.len() < BATCH {
            core.live();
        }
        let records: Arc<[Record]> = core.waiting.drain(..BATCH).collect();
        let commits = commits_of(&records, &mut end).expect("the records have a binary form");
        pages.extend(commits.into_iter().flat_map(|commit| commit.pages).map(|page| page.bytes));
        log.submit(records).expect("the log takes records");
        log.committed().expect("the log is durable");
        core.made += BATCH;
    }
    log.close().expect("the log closes");
    pages
}

/// Makes whole lives of jobs.
struct Core {
    state: State,
    tokens: u128,
    waiting: VecDeque<Record>,
    made: usize,
}

impl Core {
    fn new() -> Core {
        let mut core = Core { state: State::default(), tokens: 0, waiting: VecDeque::new(), made: 0 };
        core.take(Command::JoinWorker(JoinWorker {
            session: SESSION,
            name: "worker".into(),
            kinds: Vec::new(),
            queues: None,
            place: WorkerPlace::Remote,
        }));
        core
    }

    /// A job is submitted, and the oldest one that waits has its life.
    fn live(&mut self) {
        self.submit();
        self.tokens += 1;
        let token = TokenHash(self.tokens.to_be_bytes());
        let claims = vec![Claim { session: SESSION, tokens: vec![token] }];
        let Answer::Granted(grants) = self.take(Command::Deal { claims }) else { unreachable!("a deal grants") };
        let [Grant { job, .. }] = grants[0][..] else { unreachable!("one job waits") };
        self.take(Command::Complete { proof: LeaseProof { job, token }, result: Some(Json::from_checked("{}")) });
    }

    fn submit(&mut self) {
        self.take(Command::Submit(Submit { jobs: vec![job()], idempotency: None, parent: None }));
    }

    fn take(&mut self, command: Command) -> Answer {
        let (limits, held) = (Limits::default(), BTreeSet::new());
        let now = self.now();
        let mut ctx = Context { now, limits: &limits, held: &held, chance: Chance::new(self.tokens as u64) };
        let decision = decide(&self.state, &mut ctx, command);
        decision.events.into_iter().for_each(|event| self.append(now, event));
        decision.outcome.expect("what is measured is not refused")
    }
}

impl Core {
    fn append(&mut self, now: Timestamp, event: Event) {
        let previous = event.job().and_then(|id| self.state.slot(id)).map(Slot::last_seq);
        let seq = self.state.seq().next();
        let record = Record { seq, at: now, previous, actor: Actor::CLIENT, continues: false, event };
        evolve(&mut self.state, &record);
        self.waiting.push_back(record);
    }

    /// The moment of the next event.
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(1_790_000_000_000 + self.made as i64)
    }
}

const SESSION: SessionId = SessionId(Uuid::from_u128(7));

fn job() -> NewJob {
    NewJob::plain(
        "resize".parse().expect("a good name"),
        "default".parse().expect("a good name"),
        Json::from_checked(format!("{{\"text\":\"{}\"}}", "x".repeat(189))),
    )
}

/// On the disk of the build, not on a /tmp in memory.
fn target_dir() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
