//! Queues, workers and numbers for the dashboard: small tables beside the jobs, read in bounded slices.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::RwLock;

use crate::domain::event::{Event, WorkerJoined};
use crate::domain::id::{JobId, QueueName, SessionId};
use crate::domain::queue::{Limits, Pause, Queue};
use crate::domain::time::Timestamp;
use crate::feed::Page;
use crate::views::Views;
use crate::views::index::{Index, QueueEntry, WorkerEntry};
use crate::views::row::{KindStats, PauseRow, QueueRow, QueueStats, StateCounts, Stats, WorkerRow, WorkerState};

/// The most entries of a table that are read under one lock.
const ENTRIES_A_SLICE: usize = 256;

/// What sessions know of a worker and the log does not.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    pub at: Timestamp,
    pub state: WorkerState,
}

impl Views {
    /// How many jobs are in each state.
    pub fn job_counts(&self) -> StateCounts {
        self.index.read().jobs
    }

    /// Every queue that is known or configured: its depth by state, the age of the oldest as of `now`, its limits, and
    /// what was done to it.
    pub fn queues(&self, now: Timestamp) -> Vec<QueueRow> {
        let limits = self.limits.read().clone();
        let mut rows =
            slices(&self.index, |index| &index.queues, |name, entry, _| queue_row(name, entry, &limits, now));
        for name in limits.queues.keys().chain(limits.rates.keys()) {
            if let Err(place) = rows.binary_search_by(|row: &QueueRow| row.name.cmp(name)) {
                rows.insert(place, queue_row(name, &QueueEntry::default(), &limits, now));
            }
        }
        rows
    }

    /// Every session that is live, and what it runs.
    pub fn workers(&self) -> Vec<WorkerRow> {
        slices(&self.index, |index| &index.workers, |session, entry, index| self.worker_row(*session, entry, index))
    }

    /// One session that is live, and what it runs.
    pub fn worker(&self, session: SessionId) -> Option<WorkerRow> {
        let index = self.index.read();
        index.workers.get(&session).map(|entry| self.worker_row(session, entry, &index))
    }

    /// Counts for the dashboard, and rates as of `now`: they fade while nothing happens.
    pub fn stats(&self, now: Timestamp) -> Stats {
        let kinds =
            slices(&self.index, |index| &index.kinds, |kind, jobs, _| KindStats { kind: kind.clone(), jobs: *jobs });
        let queues = slices(
            &self.index,
            |index| &index.queues,
            |queue, entry, _| QueueStats { queue: queue.clone(), jobs: entry.jobs },
        );
        let index = self.index.read();
        let rates = index.rates.table(now);
        Stats { jobs: index.jobs, kinds, queues, workers: index.workers.len() as u64, rates }
    }

    /// Replaces the limits that the queues show, as configuration says.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.write() = limits;
    }

    /// Notes what the log does not hold of a live session: when it was last heard of, and what it was told to do.
    pub fn note_beat(&self, session: SessionId, at: Timestamp, state: WorkerState) {
        // The index stays locked meanwhile, so that no beat outlives its session.
        let index = self.index.read();
        if index.workers.contains_key(&session) {
            self.beats.lock().insert(session, Beat { at, state });
        }
    }

    pub(super) fn forget_beats(&self, page: &Page) {
        for record in page.records.iter() {
            if let Event::WorkerLeft(data) = &record.event {
                self.beats.lock().remove(&data.session);
            }
        }
    }

    fn worker_row(&self, session: SessionId, entry: &WorkerEntry, index: &Index) -> WorkerRow {
        let beat = self.beats.lock().get(&session).copied();
        let beat = beat.unwrap_or(Beat { at: entry.joined_at, state: WorkerState::Run });
        let jobs = index.held.get(&session).map(|jobs| jobs.iter().copied().collect()).unwrap_or_default();
        let row = WorkerRow::on_record(&entry.joined, entry.joined_at, jobs);
        WorkerRow { state: beat.state, last_beat_at: beat.at, ..row }
    }
}

impl WorkerRow {
    /// A session as the log knows it: heard of when it joined.
    pub(crate) fn on_record(joined: &WorkerJoined, joined_at: Timestamp, jobs: Vec<JobId>) -> WorkerRow {
        WorkerRow {
            session: joined.session,
            name: joined.name.clone(),
            kinds: joined.kinds.clone(),
            queues: joined.queues.clone(),
            place: joined.place,
            state: WorkerState::Run,
            jobs,
            joined_at,
            last_beat_at: joined_at,
        }
    }
}

fn queue_row(name: &QueueName, entry: &QueueEntry, limits: &Limits, now: Timestamp) -> QueueRow {
    let oldest = entry.waiting.first().map(|(queued_at, _)| *queued_at);
    let rate = limits.rates.get(name).copied();
    QueueRow {
        concurrency: limits.queues.get(name).copied(),
        rate,
        next_start_at: rate.and_then(|rate| rate.next_start_at(entry.known.spent)).filter(|&at| at > now),
        ..QueueRow::on_record(name, &entry.known, entry.jobs, oldest, now)
    }
}

impl QueueRow {
    /// A queue as the log knows it: without limits, which are configured. `oldest` is since when the job that has waited
    /// longest is queued.
    pub(crate) fn on_record(
        name: &QueueName,
        known: &Queue,
        jobs: StateCounts,
        oldest: Option<Timestamp>,
        now: Timestamp,
    ) -> QueueRow {
        let shown = |pause: &Option<Pause>| pause.as_ref().map(|pause| PauseRow { at: pause.at, by: pause.by.clone() });
        QueueRow {
            name: name.clone(),
            depth: jobs.depth(),
            oldest_queued_at: oldest,
            oldest_age_s: oldest.map(|queued_at| now.since(queued_at).as_secs()),
            paused: shown(&known.pause),
            draining: shown(&known.drain),
            concurrency: None,
            rate: None,
            next_start_at: None,
        }
    }
}

/// Makes a row of every entry of a table, and gives the lock back now and then.
fn slices<K: Clone + Ord, V, R>(
    index: &RwLock<Index>,
    table: impl Fn(&Index) -> &BTreeMap<K, V>,
    mut row: impl FnMut(&K, &V, &Index) -> R,
) -> Vec<R> {
    let mut rows = Vec::new();
    let mut after: Option<K> = None;
    loop {
        let index = index.read();
        let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let before = rows.len();
        for (key, value) in table(&index).range((start, Bound::Unbounded)).take(ENTRIES_A_SLICE) {
            rows.push(row(key, value, &index));
            if rows.len() - before == ENTRIES_A_SLICE {
                after = Some(key.clone());
            }
        }
        if rows.len() - before < ENTRIES_A_SLICE {
            return rows;
        }
    }
}
