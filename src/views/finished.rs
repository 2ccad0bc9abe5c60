//! The port to the stored finished jobs, and an implementation in memory for tests and for servers without a disk.
//!
//! What is stored can always be built again from the log (V1): a store never repairs, it starts empty. Every
//! implementation passes `views::conformance`.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::batch::ItemCounts;
use crate::domain::id::{FinishOrdinal, Seq};
use crate::domain::job::Job;

/// The port to the stored finished jobs.
pub trait FinishedStore: Send + Sync {
    /// Every job that ended at or before this seq is stored.
    fn position(&self) -> Seq;

    /// Stores finished jobs together with the position that they reach; durable when it returns. A job that is there
    /// already is replaced. The places in `gone` are emptied: no job of `jobs` has one of them. After a crash the position
    /// is never ahead of the jobs.
    fn put(&self, jobs: &[Arc<Job>], gone: &[FinishOrdinal], position: Seq) -> Result<(), ViewError>;

    /// Forgets everything: the position is [`Seq::ZERO`] again.
    fn clear(&self) -> Result<(), ViewError>;

    /// One finished job, in full.
    fn get(&self, place: FinishOrdinal) -> Result<Option<Arc<Job>>, ViewError>;

    /// Finished jobs without their items: the n-th answer belongs to the n-th place.
    fn heads(&self, places: &[FinishOrdinal]) -> Result<Vec<Option<Head>>, ViewError>;

    /// Gives room back, if much is taken in vain. It may take a while; readers are not held up.
    fn tidy(&self) -> Result<(), ViewError> {
        Ok(())
    }

    /// Something that must be there is missing or damaged: the store shall be empty at the next start.
    fn condemn(&self);
}

/// What a row needs of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The job; its items may be missing.
    pub job: Arc<Job>,
    /// How many items are in each state; none for a job that is no batch.
    pub items: Option<ItemCounts>,
}

impl Head {
    /// The head of a job that is here in full.
    pub fn of(job: Arc<Job>) -> Head {
        let items = job.items().map(|items| items.counts());
        Head { job, items }
    }
}

/// Why a view could not answer. Views are disposable: a restart builds them again.
#[derive(Debug, thiserror::Error)]
#[error("the stored views could not be {step}; a restart builds them again from the log")]
pub struct ViewError {
    pub step: &'static str,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl ViewError {
    /// An error of the step `step`: "read", "written", ….
    pub fn new(step: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ViewError {
        ViewError { step, source: source.into() }
    }
}

/// Finished jobs in memory.
#[derive(Debug, Default)]
pub struct MemoryFinished {
    inner: Mutex<(BTreeMap<FinishOrdinal, Arc<Job>>, Seq)>,
}

impl FinishedStore for MemoryFinished {
    fn position(&self) -> Seq {
        self.inner.lock().1
    }

    fn put(&self, jobs: &[Arc<Job>], gone: &[FinishOrdinal], position: Seq) -> Result<(), ViewError> {
        let mut inner = self.inner.lock();
        gone.iter().for_each(|place| drop(inner.0.remove(place)));
        inner.0.extend(jobs.iter().map(|job| (finish_ordinal(job), job.clone())));
        inner.1 = inner.1.max(position);
        Ok(())
    }

    fn clear(&self) -> Result<(), ViewError> {
        *self.inner.lock() = Default::default();
        Ok(())
    }

    fn get(&self, place: FinishOrdinal) -> Result<Option<Arc<Job>>, ViewError> {
        Ok(self.inner.lock().0.get(&place).cloned())
    }

    fn heads(&self, places: &[FinishOrdinal]) -> Result<Vec<Option<Head>>, ViewError> {
        let inner = self.inner.lock();
        Ok(places.iter().map(|place| inner.0.get(place).cloned().map(Head::of)).collect())
    }

    /// Memory is empty at the next start anyway.
    fn condemn(&self) {}
}

/// The place of a finished job.
pub fn finish_ordinal(job: &Job) -> FinishOrdinal {
    job.ending().expect("only finished jobs are stored").finish_ordinal
}
