//! What happened when: counted as it is shown and, for what happened before the start, as the log is read again. Both ways
//! give the same numbers. How long a job waited or ran is told by the event that began it; nothing here reads a clock.

use std::collections::{BTreeMap, HashMap};

use crate::domain::event::{Event, FirstState, Record};
use crate::domain::id::{JobId, Ordinal, Seq};
use crate::domain::job::{Job, JobState};
use crate::domain::time::Timestamp;
use crate::views::performance::{HistoryBucket, Performance, Span, Took};
use crate::views::timeline::{Histogram, Timeline};

/// What happened when, as far as it is known.
pub struct History {
    told: Told,
    /// Where the jobs of a page stand by now that has only been noted in part. Empty between pages.
    moved: HashMap<Ordinal, Option<Since>>,
    /// What has still to be read from the log; none once that was done.
    missing: Option<Missing>,
}

/// What is not known, up to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// All that happened before the start.
    Start(Seq),
    /// What is left of a stretch of the timeline of which a part was dropped. How long things took is kept.
    Cut(Seq),
}

/// What happened before the start, while the log is read for it from its beginning.
#[derive(Default)]
pub struct Earlier {
    told: Told,
    /// The jobs that wait in a queue or run.
    jobs: Standings,
}

#[derive(Default)]
struct Told {
    timeline: Timeline,
    performance: Performance,
}

/// Since when a job has waited in its queue, or has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    Queued(Timestamp),
    Running(Timestamp),
}

impl History {
    /// Nothing yet; what there is up to `missing_until` has still to be read.
    pub fn new(missing_until: Option<Seq>) -> History {
        History { told: Told::default(), moved: HashMap::new(), missing: missing_until.map(Missing::Start) }
    }

    /// Takes a durable page in. `before` says where a job stood before the page.
    pub fn show(&mut self, records: &[Record], before: impl Fn(JobId) -> Option<Since>) {
        let History { told, moved, .. } = self;
        for record in records {
            let since = |job: JobId| moved.get(&job.ordinal()).copied().unwrap_or_else(|| before(job));
            if let Some((job, now)) = told.note(record, since) {
                moved.insert(job.ordinal(), now);
            }
        }
        moved.clear();
    }

    /// Up to where the log has still to be read.
    pub fn missing_until(&self) -> Option<Seq> {
        self.missing.map(Missing::until)
    }

    /// Whether all is known of how long things took.
    pub fn knows_how_long(&self) -> bool {
        !matches!(self.missing, Some(Missing::Start(_)))
    }

    /// Takes in what the log has up to `until`, if just that is what is missing.
    pub fn recall(&mut self, until: Seq, earlier: Earlier) {
        if self.missing_until() != Some(until) {
            return;
        }
        self.told.timeline.put_before(earlier.told.timeline);
        if let Some(Missing::Start(_)) = self.missing.take() {
            self.told.performance.put_before(earlier.told.performance);
        }
    }

    /// Forgets what is no longer in the log: events before `earliest`. They are not missing either; a stretch of the
    /// timeline that is cut through is, until it is counted again.
    pub fn forget_before(&mut self, earliest: Seq) {
        let cut = self.told.timeline.forget_before(earliest).map(Missing::Cut);
        self.missing = cut.or(self.missing).filter(|missing| missing.until() >= earliest);
        self.told.performance.forget_before(earliest);
    }

    /// The events of the whole log, in at most `count` equal parts.
    pub fn histogram(&self, count: usize) -> Histogram {
        self.told.timeline.histogram(count)
    }

    /// What was done in a span that ends now.
    pub fn buckets(&self, span: Span, now: Timestamp) -> Vec<HistoryBucket> {
        self.told.performance.buckets(span, now)
    }
}

impl Missing {
    fn until(self) -> Seq {
        match self {
            Missing::Start(until) | Missing::Cut(until) => until,
        }
    }
}

impl Earlier {
    /// Takes the next record in. How long a job waited or ran is known only if the event that began it is there too.
    pub fn tell(&mut self, record: &Record) {
        let Earlier { told, jobs } = self;
        if let Some((job, now)) = told.note(record, |job| jobs.get(job.ordinal())) {
            jobs.set(job.ordinal(), now);
        }
    }
}

impl Told {
    /// Takes a record in, and gives the job that it moved with where it stands now.
    fn note(&mut self, record: &Record, before: impl FnOnce(JobId) -> Option<Since>) -> Option<(JobId, Option<Since>)> {
        self.timeline.note(record.seq, record.at, &record.event);
        let now = moved_to(&record.event, record.at)?;
        let job = record.event.job().expect("an event that moves a job names it");
        let took = match (before(job), now) {
            (Some(Since::Queued(since)), Some(Since::Running(_))) => {
                Took { wait: Some(record.at.since(since)), run: None }
            }
            (Some(Since::Running(since)), _) => Took { wait: None, run: Some(record.at.since(since)) },
            (Some(Since::Queued(_)) | None, _) => Took::default(),
        };
        self.performance.note(record.seq, record.at, &record.event, took);
        Some((job, now))
    }
}

impl Since {
    /// Where a job stands; none if it neither waits in a queue nor runs.
    pub fn of(job: &Job) -> Option<Since> {
        match &job.state {
            JobState::Queued => job.queued_at.map(Since::Queued),
            JobState::Running(run) => Some(Since::Running(run.started_at)),
            JobState::Scheduled { .. }
            | JobState::Blocked { .. }
            | JobState::Retryable { .. }
            | JobState::Completed(_)
            | JobState::Failed(_)
            | JobState::Cancelled(_) => None,
        }
    }
}

/// Where an event puts its job: into a queue, into a run, or out of both. None if it leaves the job where it is.
fn moved_to(event: &Event, at: Timestamp) -> Option<Option<Since>> {
    match event {
        Event::JobSubmitted(data) => Some(first(data.state, at)),
        Event::JobRetried(data) => Some(first(data.state, at)),
        Event::JobQueued(_) | Event::JobAttemptLost(_) => Some(Some(Since::Queued(at))),
        Event::JobStarted(_) => Some(Some(Since::Running(at))),
        Event::JobAmended(data) => data.scheduled_at.map(|_| None),
        Event::JobScheduled(_)
        | Event::JobAttemptFailed(_)
        | Event::JobCompleted(_)
        | Event::JobFailed(_)
        | Event::JobCancelled(_) => Some(None),
        Event::EpochStarted(_)
        | Event::JobProgressed(_)
        | Event::JobItemsAdded(_)
        | Event::JobItemsReported(_)
        | Event::JobCheckpointed(_)
        | Event::JobFileStored(_)
        | Event::JobCancelRequested(_)
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
        | Event::ScheduleFired(_) => None,
    }
}

fn first(state: FirstState, at: Timestamp) -> Option<Since> {
    match state {
        FirstState::Queued => Some(Since::Queued(at)),
        FirstState::Scheduled { .. } | FirstState::Blocked { .. } => None,
    }
}

const PIECE: u64 = 64;

/// Where jobs stand, by ordinal, in pieces: a dense run costs 16 bytes a job, and there are as many as wait or run.
#[derive(Default)]
struct Standings {
    pieces: BTreeMap<u64, Piece>,
}

struct Piece {
    jobs: Box<[Option<Since>]>,
    filled: u32,
}

impl Standings {
    fn get(&self, job: Ordinal) -> Option<Since> {
        self.pieces.get(&(job.0 / PIECE))?.jobs[(job.0 % PIECE) as usize]
    }

    fn set(&mut self, job: Ordinal, now: Option<Since>) {
        let number = job.0 / PIECE;
        if now.is_none() && !self.pieces.contains_key(&number) {
            return;
        }
        let piece = self.pieces.entry(number).or_insert_with(Piece::empty);
        let place = &mut piece.jobs[(job.0 % PIECE) as usize];
        piece.filled += u32::from(now.is_some());
        piece.filled -= u32::from(place.is_some());
        *place = now;
        if piece.filled == 0 {
            self.pieces.remove(&number);
        }
    }
}

impl Piece {
    fn empty() -> Piece {
        Piece { jobs: vec![None; PIECE as usize].into_boxed_slice(), filled: 0 }
    }
}

#[cfg(test)]
mod tests;
