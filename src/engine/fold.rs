//! Where a fold of the log begins: with nothing, or with the base that stands for what the log has no more. The one
//! place that knows which.

use std::sync::Arc;

use crate::domain::id::Seq;
use crate::domain::job::Job;
use crate::domain::state::{Slot, State};
use crate::engine::snapshot;
use crate::log::codec_state::{SnapshotError, decode_slot};
use crate::log::{LogReader, ReadError};

/// What can be done about a damaged base: nothing makes it anew.
pub const NEXT_STEP: &str = "look at it with `daybook verify`, and bring back a backup with `daybook restore`";

/// The state with which a fold of the whole log begins.
pub fn begin(log: &dyn LogReader) -> Result<State, ReadError> {
    let Some(base) = log.base() else { return Ok(State::default()) };
    let state = base.state().map_err(SnapshotError::Io).and_then(snapshot::read);
    let state = state.map_err(|error| damaged(base.seq(), "state", &error))?;
    if state.seq() != base.seq() {
        let detail = format!("it is of event {}", state.seq());
        return Err(damaged(base.seq(), "state", &SnapshotError::Form(detail)));
    }
    Ok(state)
}

/// Calls `visit` with each finished job of the base, if there is one.
pub fn finished_before<E: From<ReadError>>(
    log: &dyn LogReader,
    mut visit: impl FnMut(Arc<Job>) -> Result<(), E>,
) -> Result<(), E> {
    let Some(base) = log.base() else { return Ok(()) };
    let mut outcome = Ok(());
    let read = base.jobs().map_err(SnapshotError::Io).and_then(|jobs| {
        snapshot::each_frame(jobs, |frame| {
            if let (Slot::Active(job), Ok(())) = (decode_slot(frame)?, &outcome) {
                outcome = visit(job);
            }
            Ok(())
        })
    });
    read.map_err(|error| damaged(base.seq(), "finished jobs", &error))?;
    outcome
}

/// The base up to this event cannot be used.
pub fn damaged(seq: Seq, part: &str, error: &SnapshotError) -> ReadError {
    ReadError::Damaged {
        place: format!("the {part} of the base at event {seq}"),
        detail: format!("{error}; {NEXT_STEP}"),
    }
}
