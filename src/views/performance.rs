//! How much was done lately, and how long it took: jobs and runs counted, waits and running times sketched, in buckets over
//! four spans. Their number is the same whatever happens, and an event costs an addition in each span. Knows nothing of
//! jobs: how long something took, it is told.

use sketches_ddsketch::{Config, DDSketch};

use crate::domain::event::Event;
use crate::domain::id::Seq;
use crate::domain::time::{Millis, Timestamp};

/// How far a percentile may be from a time that was measured, as a part of that time; and half a millisecond.
pub const PERCENTILE_ERROR: f64 = 0.02;

/// The most bins of a sketch. Times of a millisecond up to the longest that there is need 830 with this error, so none are
/// ever joined, and the order in which times come makes no difference.
const BINS_MAX: u32 = 1024;
/// Times below it are zero, in milliseconds.
const LEAST_MS: f64 = 0.5;

/// The most buckets of an answer.
pub const BUCKETS_MAX: usize = 144;

/// How far back one looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[schemars(rename = "HistorySpan")]
pub enum Span {
    /// Five minutes in buckets of five seconds.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// An hour in minutes.
    #[serde(rename = "1h")]
    Hour,
    /// 24 hours in parts of ten minutes.
    #[serde(rename = "24h")]
    Day,
    /// 30 days, which begin at midnight UTC.
    #[serde(rename = "30d")]
    Month,
}

impl Span {
    /// All of them, the shortest first.
    pub const ALL: [Span; 4] = [Span::FiveMinutes, Span::Hour, Span::Day, Span::Month];
    /// Their names, in the same order.
    pub const NAMES: [&'static str; 4] = ["5m", "1h", "24h", "30d"];

    /// The length of a bucket. Buckets begin at its multiples since 1970 UTC.
    pub fn width_ms(self) -> i64 {
        match self {
            Span::FiveMinutes => 5_000,
            Span::Hour => 60_000,
            Span::Day => 600_000,
            Span::Month => 86_400_000,
        }
    }

    /// How many buckets it has.
    pub fn buckets(self) -> usize {
        match self {
            Span::FiveMinutes | Span::Hour => 60,
            Span::Day => BUCKETS_MAX,
            Span::Month => 30,
        }
    }
}

impl std::str::FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Span, &'static str> {
        let place = Span::NAMES.iter().position(|name| *name == text);
        place.map(|place| Span::ALL[place]).ok_or("is one of 5m, 1h, 24h, 30d")
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, schemars::JsonSchema)]
pub struct Counts {
    /// Jobs that were submitted.
    pub submitted: u64,
    /// Runs that began.
    pub started: u64,
    /// Jobs that completed. One that was retried by hand ends again, and is counted again.
    pub completed: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// Attempts that failed, also the last of a job that failed; but not that of a job that was asked to stop.
    pub attempts_failed: u64,
    /// Runs that ended because a worker or the server went away.
    pub lost: u64,
}

/// Of 100 times, how long 50, 95 and 99 took at most; within 2 % or half a millisecond.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct Percentiles {
    /// The median.
    #[schemars(range(min = 0))]
    pub p50: f64,
    /// Of 20 times, 19 were no longer.
    #[schemars(range(min = 0))]
    pub p95: f64,
    /// Of 100 times, 99 were no longer.
    #[schemars(range(min = 0))]
    pub p99: f64,
}

/// A part of a span.
#[derive(Debug, Clone, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct HistoryBucket {
    /// When it begins.
    pub from: Timestamp,
    #[serde(flatten)]
    pub counts: Counts,
    /// How long the runs that began here had waited in their queue, in seconds; `null` if none began.
    pub wait_s: Option<Percentiles>,
    /// How long the runs that ended here had taken, however they ended, in seconds; `null` if none ended.
    pub run_s: Option<Percentiles>,
}

/// How long an event's job had been what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Took {
    /// In the queue, if the event is the start of a run.
    pub wait: Option<Millis>,
    /// Running, if the event is the end of a run.
    pub run: Option<Millis>,
}

/// What happened in the four spans.
#[derive(Clone)]
pub struct Performance {
    rings: [Ring; 4],
    /// When the last event happened.
    newest: Option<Timestamp>,
}

/// The buckets of one span. Each has its place by its number, and takes that of the one that was there a span before.
#[derive(Clone)]
struct Ring {
    span: Span,
    cells: Box<[Option<Box<Cell>>]>,
}

#[derive(Clone)]
struct Cell {
    /// When it begins, in cells since 1970.
    number: i64,
    /// Its last event.
    last: Seq,
    counts: Counts,
    wait: DDSketch,
    run: DDSketch,
}

impl Default for Performance {
    fn default() -> Performance {
        Performance { rings: Span::ALL.map(Ring::new), newest: None }
    }
}

impl Performance {
    /// Takes an event in that moved a job. Events come in order.
    pub fn note(&mut self, seq: Seq, at: Timestamp, event: &Event, took: Took) {
        self.newest = Some(at);
        for ring in &mut self.rings {
            let cell = ring.cell(at);
            cell.last = seq;
            cell.counts.note(event);
            add(&mut cell.wait, took.wait);
            add(&mut cell.run, took.run);
        }
    }

    /// Puts what happened before in front: everything in `earlier` is older than all that is here.
    pub fn put_before(&mut self, earlier: Performance) {
        self.newest = self.newest.or(earlier.newest);
        for (ring, earlier) in self.rings.iter_mut().zip(earlier.rings) {
            earlier.cells.into_iter().flatten().for_each(|cell| ring.put_before(cell));
        }
    }

    /// Forgets what is no longer in the log: the cells that have nothing from `earliest` on.
    pub fn forget_before(&mut self, earliest: Seq) {
        for cell in self.rings.iter_mut().flat_map(|ring| &mut ring.cells) {
            if cell.as_ref().is_some_and(|cell| cell.last < earliest) {
                *cell = None;
            }
        }
    }

    /// The span that ends with the bucket of `now`, in order and without a hole.
    pub fn buckets(&self, span: Span, now: Timestamp) -> Vec<HistoryBucket> {
        // The clock may have been set back since the last event.
        let last = number_of(self.newest.map_or(now, |newest| newest.max(now)), span);
        let ring = &self.rings[span as usize];
        let first = last + 1 - span.buckets() as i64;
        (first..=last).map(|number| ring.bucket(number)).collect()
    }
}

impl Ring {
    fn new(span: Span) -> Ring {
        Ring { span, cells: vec![None; span.buckets()].into_boxed_slice() }
    }

    fn place(&self, number: i64) -> usize {
        number.rem_euclid(self.cells.len() as i64) as usize
    }

    /// The cell of a moment. What was there before is a span older, or more.
    fn cell(&mut self, at: Timestamp) -> &mut Cell {
        let number = number_of(at, self.span);
        let place = &mut self.cells[self.place(number)];
        if place.as_ref().is_some_and(|cell| cell.number != number) {
            *place = None;
        }
        place.get_or_insert_with(|| Box::new(Cell::new(number)))
    }

    fn put_before(&mut self, earlier: Box<Cell>) {
        let place = &mut self.cells[self.place(earlier.number)];
        match place {
            Some(cell) if cell.number == earlier.number => cell.join(&earlier),
            Some(_) => {}
            None => *place = Some(earlier),
        }
    }

    fn bucket(&self, number: i64) -> HistoryBucket {
        let cell = self.cells[self.place(number)].as_ref().filter(|cell| cell.number == number);
        HistoryBucket {
            from: Timestamp::from_ms(number * self.span.width_ms()),
            counts: cell.map(|cell| cell.counts).unwrap_or_default(),
            wait_s: cell.and_then(|cell| percentiles(&cell.wait)),
            run_s: cell.and_then(|cell| percentiles(&cell.run)),
        }
    }
}

impl Cell {
    fn new(number: i64) -> Cell {
        let sketch = DDSketch::new(Config::new(PERCENTILE_ERROR, BINS_MAX, LEAST_MS));
        Cell { number, last: Seq::ZERO, counts: Counts::default(), wait: sketch.clone(), run: sketch }
    }

    fn join(&mut self, other: &Cell) {
        self.last = self.last.max(other.last);
        self.counts.join(&other.counts);
        for (sketch, other) in [(&mut self.wait, &other.wait), (&mut self.run, &other.run)] {
            sketch.merge(other).expect("all sketches have the same precision");
        }
    }
}

impl Counts {
    fn note(&mut self, event: &Event) {
        match event {
            Event::JobSubmitted(_) => self.submitted += 1,
            Event::JobStarted(_) => self.started += 1,
            Event::JobCompleted(_) => self.completed += 1,
            Event::JobFailed(data) => {
                self.failed += 1;
                // Without an error it was lost too often; that has an event of its own.
                self.attempts_failed += u64::from(data.error.is_some());
            }
            Event::JobCancelled(_) => self.cancelled += 1,
            Event::JobAttemptFailed(_) => self.attempts_failed += 1,
            Event::JobAttemptLost(_) => self.lost += 1,
            Event::EpochStarted(_)
            | Event::JobQueued(_)
            | Event::JobScheduled(_)
            | Event::JobProgressed(_)
            | Event::JobItemsAdded(_)
            | Event::JobItemsReported(_)
            | Event::JobCheckpointed(_)
            | Event::JobFileStored(_)
            | Event::JobCancelRequested(_)
            | Event::JobRetried(_)
            | Event::JobAmended(_)
            | Event::JobLateResult(_)
            | Event::JobAdopted(_)
            | Event::JobsForgotten(_)
            | Event::JobPurged(_)
            | Event::QueuePaused(_)
            | Event::QueueResumed(_)
            | Event::QueueDraining(_)
            | Event::QueueRateSpent(_)
            | Event::WorkerJoined(_)
            | Event::WorkerLeft(_)
            | Event::ScheduleChanged(_)
            | Event::ScheduleFired(_) => {}
        }
    }

    fn join(&mut self, other: &Counts) {
        let Counts { submitted, started, completed, failed, cancelled, attempts_failed, lost } = other;
        self.submitted += submitted;
        self.started += started;
        self.completed += completed;
        self.failed += failed;
        self.cancelled += cancelled;
        self.attempts_failed += attempts_failed;
        self.lost += lost;
    }
}

fn number_of(at: Timestamp, span: Span) -> i64 {
    at.as_ms().div_euclid(span.width_ms())
}

fn add(sketch: &mut DDSketch, took: Option<Millis>) {
    if let Some(took) = took {
        sketch.add(took.0 as f64);
    }
}

fn percentiles(sketch: &DDSketch) -> Option<Percentiles> {
    let seconds = |part| {
        let ms = sketch.quantile(part).expect("the part lies between 0 and 1")?;
        Some(ms.round() / 1000.0)
    };
    Some(Percentiles { p50: seconds(0.5)?, p95: seconds(0.95)?, p99: seconds(0.99)? })
}

#[cfg(test)]
mod tests;
