//! Finished jobs on their way to the store. Bounded: whoever adds to it looks at [`Pending::is_full`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::id::FinishOrdinal;
use crate::domain::job::Job;
use crate::views::finished::finish_ordinal;

/// The most finished jobs that wait to be stored. With as many the writer stores them itself before it goes on.
pub const PENDING_JOBS_MAX: usize = 8_192;
/// The most items that these jobs may have together: a batch of 100,000 items is as heavy as many small jobs.
pub const PENDING_ITEMS_MAX: usize = 1_000_000;
/// With as many jobs the flusher is woken before its time.
pub const PENDING_JOBS_DUE: usize = 1_024;

/// Finished jobs that are not stored yet, in the order in which they ended.
#[derive(Debug, Default)]
pub struct Pending {
    jobs: BTreeMap<FinishOrdinal, Arc<Job>>,
    /// Places that the store is to empty: their jobs are forgotten, or live again.
    gone: BTreeSet<FinishOrdinal>,
    items: usize,
}

impl Pending {
    /// Adds a job, or replaces it.
    pub fn insert(&mut self, job: Arc<Job>) {
        self.items += items_of(&job);
        if let Some(before) = self.jobs.insert(finish_ordinal(&job), job) {
            self.items -= items_of(&before);
        }
    }

    /// One job.
    pub fn get(&self, place: FinishOrdinal) -> Option<&Arc<Job>> {
        self.jobs.get(&place)
    }

    /// Notes that no job has a place any more: it is forgotten, or lives again. Perhaps it is stored already.
    pub fn leave(&mut self, place: FinishOrdinal) {
        self.drop_job(place);
        self.gone.insert(place);
    }

    fn drop_job(&mut self, place: FinishOrdinal) {
        if let Some(before) = self.jobs.remove(&place) {
            self.items -= items_of(&before);
        }
    }

    /// Drops a job that was stored, unless it was replaced since.
    pub fn forget_stored(&mut self, job: &Arc<Job>) {
        let place = finish_ordinal(job);
        if self.get(place).is_some_and(|here| Arc::ptr_eq(here, job)) {
            self.drop_job(place);
        }
    }

    /// The places that the store is to empty.
    pub fn gone(&self) -> Vec<FinishOrdinal> {
        self.gone.iter().copied().collect()
    }

    /// Drops places that the store has emptied.
    pub fn forget_emptied(&mut self, places: &[FinishOrdinal]) {
        for place in places {
            self.gone.remove(place);
        }
    }

    /// All of them, in the order in which they ended.
    pub fn all(&self) -> Vec<Arc<Job>> {
        self.jobs.values().cloned().collect()
    }

    /// How many changes the store lacks.
    pub fn len(&self) -> usize {
        self.jobs.len() + self.gone.len()
    }

    /// Whether they must be stored before more may come. Places to empty take next to nothing, and there are no more than
    /// stored jobs: they wait for the flusher, however many they are.
    pub fn is_full(&self) -> bool {
        self.jobs.len() >= PENDING_JOBS_MAX || self.items >= PENDING_ITEMS_MAX
    }

    /// Whether it is time to store them.
    pub fn is_due(&self) -> bool {
        self.len() >= PENDING_JOBS_DUE || self.items >= PENDING_ITEMS_MAX / 4
    }
}

fn items_of(job: &Job) -> usize {
    job.items().map_or(0, |items| items.list().len())
}
