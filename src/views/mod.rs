//! Answers questions about what is durable: one job, lists of jobs, trees, queues, workers, counts.
//!
//! Active jobs are read from memory; finished ones from a [`FinishedStore`], to which they go about once, when they
//! end, in batches behind the log. A reader never blocks the writer for longer than one bounded slice of work. Views
//! are disposable (V1): what is lost is built again from the log. Only `apply` writes here, with pages that are durable.

pub mod query;
pub mod row;

use std::sync::Arc;

use crate::domain::id::{FinishOrdinal, JobId, Seq};
use crate::domain::job::{Job, Progress};
use crate::domain::state::State;
use crate::feed::Page;
use crate::log::LogReader;
use crate::views::query::{JobPage, JobQuery};
use crate::views::row::{JobRow, QueueRow, Stats, WorkerRow};

/// The port to the stored finished jobs.
pub trait FinishedStore: Send + Sync {
    /// Every job that ended at or before this seq is stored.
    fn position(&self) -> Seq;

    /// Stores finished jobs together with the position that they reach.
    fn put(&self, jobs: &[Arc<Job>], position: Seq) -> Result<(), ViewError>;

    /// Forgets everything: the position is [`Seq::ZERO`] again.
    fn clear(&self) -> Result<(), ViewError>;

    /// One finished job.
    fn get(&self, place: FinishOrdinal) -> Result<Option<Arc<Job>>, ViewError>;
}

/// Why a view could not answer. Views are disposable: a restart builds them again.
#[derive(Debug, thiserror::Error)]
#[error("the stored views could not be read: {step}")]
pub struct ViewError {
    pub step: &'static str,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// All views, and the seq at which they stand.
pub struct Views {}

impl Views {
    /// Builds the views of a recovered state. Finished jobs that the store lacks are given to [`Views::apply`] again
    /// by recovery, which folds the log from the store's position.
    pub fn new(_state: &State, _finished: Arc<dyn FinishedStore>, _log: Arc<dyn LogReader>) -> Views {
        unimplemented!()
    }

    /// Shows a durable page. The only writer is the engine, in order.
    pub fn apply(&self, _page: &Page) {
        unimplemented!()
    }

    /// The seq up to which the views show everything.
    pub fn position(&self) -> Seq {
        unimplemented!()
    }

    /// One job, as of its last durable event, without the live overlay.
    pub fn job(&self, _id: JobId) -> Result<Option<Arc<Job>>, ViewError> {
        unimplemented!()
    }

    /// One job as users see it, but for args and result, which are in the log.
    pub fn row(&self, _id: JobId) -> Result<Option<JobRow>, ViewError> {
        unimplemented!()
    }

    /// A page of the list of jobs, newest first.
    pub fn list(&self, _query: &JobQuery) -> Result<JobPage, ViewError> {
        unimplemented!()
    }

    /// All jobs of the tree to which a job belongs, in order of submission: at most `limit` after `after`.
    pub fn tree(&self, _id: JobId, _after: Option<JobId>, _limit: usize) -> Result<Option<Vec<JobRow>>, ViewError> {
        unimplemented!()
    }

    /// Every queue that is known: its depth by state, the age of the oldest, its pause.
    pub fn queues(&self) -> Vec<QueueRow> {
        unimplemented!()
    }

    /// Every session that is live, and what it runs.
    pub fn workers(&self) -> Vec<WorkerRow> {
        unimplemented!()
    }

    /// Counts and rates for the dashboard.
    pub fn stats(&self) -> Stats {
        unimplemented!()
    }

    /// Sets the live progress of a running job, finer than what is on record; the latest wins. It is dropped when
    /// the job changes its state.
    pub fn overlay(&self, _id: JobId, _progress: Arc<Progress>) {
        unimplemented!()
    }
}
