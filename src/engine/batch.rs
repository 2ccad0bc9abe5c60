//! A batch: what becomes durable together. It is filled by the sequencer and told by the committer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::event::Record;
use crate::domain::id::{JobId, TokenHash};
use crate::domain::job::{Job, Progress};
use crate::domain::state::Stub;
use crate::feed::Before;

/// The records of one batch, and what they changed.
#[derive(Debug, Default)]
pub struct Batch {
    pub records: Vec<Record>,
    /// The jobs that were changed.
    pub jobs: BTreeMap<JobId, Change>,
    /// What was known of the jobs that are forgotten.
    pub forgotten: Vec<Arc<Stub>>,
    /// Live progress that is not on record.
    pub overlays: Vec<LiveProgress>,
    /// The size of what the records carry, roughly, in bytes.
    pub bytes: usize,
}

/// What became of a job in a batch.
#[derive(Debug)]
pub struct Change {
    /// What it was before the batch; none for a new job.
    pub before: Option<Before>,
    /// As it is now.
    pub job: Arc<Job>,
}

/// Progress of the run that this token proved. When it is shown another run may have begun, in the same batch.
pub type LiveProgress = (JobId, TokenHash, Arc<Progress>);
