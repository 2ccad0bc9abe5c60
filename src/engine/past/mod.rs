//! The state at a past moment: made of the nearest stored state before it and a bounded fold, and never changed again.
//!
//! It answers what was known of a job, and no more: no decision is made on it, and it has no indexes.

mod ended;
pub mod rows;
mod tables;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::domain::evolve::evolve;
use crate::domain::id::{JobId, KindName, Ordinal, QueueName, Seq};
use crate::domain::job::StateName;
use crate::domain::state::{Globals, Slot, State};
use crate::domain::time::Timestamp;
use crate::engine::fold;
use crate::engine::snapshot::fold_hash;
use crate::log::{LogReader, ReadError};

/// Why a past state could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What a list needs to know of a job before it looks at all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub state: StateName,
    pub kind: KindName,
    pub queue: QueueName,
}

impl Label {
    /// The label of a job or stub.
    pub fn of(slot: &Slot) -> Label {
        let (kind, queue) = match slot {
            Slot::Active(job) => (&job.kind, &job.queue),
            Slot::Finished(stub) => (&stub.kind, &stub.queue),
        };
        Label { state: slot.state_name(), kind: kind.clone(), queue: queue.clone() }
    }
}

/// The state as of one event.
pub struct Past {
    state: State,
}

impl Past {
    /// The event after which it was so.
    pub fn seq(&self) -> Seq {
        self.state.seq()
    }

    /// The moment of that event.
    pub fn at(&self) -> Timestamp {
        self.state.at()
    }

    /// The parts that are not jobs.
    pub fn globals(&self) -> Globals {
        self.state.globals()
    }

    /// What was known of a job.
    pub fn slot(&self, id: JobId) -> Result<Option<Slot>, PastError> {
        Ok(self.state.slot(id).cloned())
    }

    /// What was known of the job with this ordinal.
    pub fn slot_at(&self, ordinal: Ordinal) -> Result<Option<Slot>, PastError> {
        Ok(self.state.slots().find(|slot| slot.id().ordinal() == ordinal).cloned())
    }

    /// The labels of the jobs with an ordinal below `end`, or of all, the newest first. Nothing is decoded for it.
    pub fn labels_below(&self, end: Option<Ordinal>) -> impl Iterator<Item = (Ordinal, Label)> + '_ {
        let mut labels: Vec<_> = self.state.slots().map(|slot| (slot.id().ordinal(), Label::of(slot))).collect();
        labels.retain(|(ordinal, _)| end.is_none_or(|end| *ordinal < end));
        labels.into_iter().rev()
    }

    /// The hash of the state, the same as [`fold_hash`] of one that was folded.
    pub fn hash(&self) -> Result<String, PastError> {
        Ok(fold_hash(&self.state))
    }
}

/// Makes past states, and keeps the latest that were asked for.
pub struct PastStates {
    log: Arc<dyn LogReader>,
}

impl PastStates {
    /// Those of a log.
    pub fn new(log: Arc<dyn LogReader>) -> PastStates {
        PastStates { log }
    }

    /// The state after the event `seq`, which may be in the middle of a group. Fails with [`ReadError::PastHead`] for one
    /// that has not happened, and with [`ReadError::Trimmed`] for one before the log's base.
    pub fn at(&self, seq: Seq) -> Result<Arc<Past>, PastError> {
        let (earliest, last) = (self.log.earliest(), self.log.last());
        if seq > last {
            return Err(ReadError::PastHead { seq, last }.into());
        }
        if seq.next() < earliest {
            return Err(ReadError::Trimmed { seq, earliest }.into());
        }
        let mut state = fold::begin(&*self.log)?.without_indexes();
        while state.seq() < seq {
            for record in self.log.page_after(state.seq())?.iter().filter(|record| record.seq <= seq) {
                evolve(&mut state, record);
            }
        }
        Ok(Arc::new(Past { state }))
    }
}
