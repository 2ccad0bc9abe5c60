//! Holds the stored views and a recovered state against a fresh fold of the log (E3).
//!
//! Reads only. The log is folded twice, so that memory grows with what is kept and not with what happened.

use std::sync::Arc;

use crate::domain::evolve::evolve;
use crate::domain::id::{JobId, Seq};
use crate::domain::job::Job;
use crate::domain::state::{Slot, State};
use crate::engine::snapshot;
use crate::log::{LogReader, ReadError};
use crate::views::{FinishedStore, ViewError};

/// What the fold of a log comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub seq: Seq,
    /// A hash of the folded state: equal folds, equal states.
    pub fold: String,
    pub jobs: u64,
    pub finished: u64,
    /// What differs, the first of each sort; empty when all is well.
    pub differences: Vec<String>,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the log could not be read")]
    Read(#[from] ReadError),
    #[error("the stored views could not be read")]
    Views(#[from] ViewError),
}

/// Folds the whole log and compares: every finished job with the store (as far as the store goes), and `snapshots`,
/// each continued to the end of the log, with the fold.
pub fn verify(
    log: &dyn LogReader,
    store: Option<&dyn FinishedStore>,
    snapshots: Vec<State>,
) -> Result<Verdict, VerifyError> {
    let mut folded = State::default();
    fold(log, &mut folded, &mut |_| Ok(()))?;
    let fold_hash = hash(&folded);
    let mut differences = Vec::new();
    for mut state in snapshots {
        let at = state.seq();
        fold(log, &mut state, &mut |_| Ok(()))?;
        if hash(&state) != fold_hash {
            differences.push(format!("the snapshot at {at}: {}", first_difference(&folded, &state)));
        }
    }
    if let Some(store) = store {
        differences.extend(compare_store(log, &folded, store)?);
    }
    Ok(Verdict {
        seq: folded.seq(),
        fold: fold_hash,
        jobs: folded.slots().count() as u64,
        finished: folded.stubs().count() as u64,
        differences,
    })
}

/// The hash of a state: over its snapshot, jobs in order.
pub fn hash(state: &State) -> String {
    let mut hasher = blake3::Hasher::new();
    snapshot::write(state, &mut hasher).expect("a hasher takes every byte");
    hasher.finalize().to_hex().to_string()
}

fn fold(
    log: &dyn LogReader,
    state: &mut State,
    ended: &mut dyn FnMut(Arc<Job>) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    loop {
        let records = log.page_after(state.seq())?;
        if records.is_empty() {
            return Ok(());
        }
        for record in &records {
            if let Some(job) = evolve(state, record).filter(|job| job.is_terminal()) {
                ended(job)?;
            }
        }
    }
}

/// The first finished job that the store has otherwise than the fold, if there is one.
fn compare_store(
    log: &dyn LogReader,
    folded: &State,
    store: &dyn FinishedStore,
) -> Result<Option<String>, VerifyError> {
    let mut difference = None;
    let mut state = State::default();
    fold(log, &mut state, &mut |job| {
        let is_kept = matches!(folded.slot(job.id), Some(Slot::Finished(stub)) if stub.seq == job.seq);
        if difference.is_some() || !is_kept || job.seq > store.position() {
            return Ok(());
        }
        let place = job.ending().expect("an ended job has an ending").finish_ordinal;
        let stored = store.get(place)?;
        if stored.as_deref() != Some(&*job) {
            difference = Some(format!("the stored job {}: the fold has {job:?}, the views have {stored:?}", job.id));
        }
        Ok(())
    })?;
    Ok(difference)
}

fn first_difference(one: &State, other: &State) -> String {
    if one.globals() != other.globals() {
        return "epochs, queues, workers, schedules or counters differ".to_owned();
    }
    let id = |slot: &Slot| -> JobId { slot.id() };
    let mut pairs = one.slots().zip(other.slots());
    match pairs.find(|(one, other)| one != other) {
        Some((one, _)) => format!("job {} differs", id(one)),
        None => "one has jobs that the other has not".to_owned(),
    }
}
