//! Writes and reads snapshots of the state.
//!
//! A snapshot is made by merging the one before with the records since, and never by stopping the writer: an event
//! changes only the jobs that it names (D3), so only the jobs that were touched are decoded and folded, and the frames
//! of all others are copied as they are.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::domain::evolve::evolve;
use crate::domain::id::{Ordinal, Seq};
use crate::domain::job::Job;
use crate::domain::state::{Globals, Slot, State};
use crate::log::codec_state::{Frame, FrameReader, FrameWriter, SnapshotError, decode_slot};
use crate::log::{LogReader, ReadError};

/// Why no snapshot was written.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error("the log could not be read")]
    Read(#[from] ReadError),
    #[error("the snapshot before could not be read")]
    Snapshot(#[from] SnapshotError),
    #[error("the snapshot could not be written")]
    Write(#[from] io::Error),
}

/// Reads a whole state, to be folded further: without its indexes.
pub fn read(input: impl Read) -> Result<State, SnapshotError> {
    let (mut frames, globals) = FrameReader::new(input)?;
    let mut slots = Vec::new();
    while let Some(frame) = frames.next_frame()? {
        slots.push(decode_slot(&frame)?);
    }
    Ok(State::from_parts_without_indexes(globals, slots))
}

/// Writes a whole state.
pub fn write(state: &State, out: impl Write) -> io::Result<()> {
    let mut frames = FrameWriter::new(out)?;
    frames.globals(&state.globals())?;
    state.slots().try_for_each(|slot| frames.slot(slot))?;
    frames.finish()?.flush()
}

/// What the hash of a state begins with: the version of what it covers.
pub const FOLD_VERSION: &[u8] = b"daybook-fold\x01";

/// The hash of a state (D7): equal folds, equal states. It covers the globals and then every job by ordinal, each as its
/// newest version is written, and nothing that follows from them or belongs to a file.
pub fn fold_hash(state: &State) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(FOLD_VERSION);
    let mut frames = FrameWriter::bare(&mut hasher);
    let written = frames.globals(&state.globals()).and_then(|()| state.slots().try_for_each(|slot| frames.slot(slot)));
    written.expect("a hasher takes every byte, and no job is larger than a frame");
    hasher.finalize().to_hex().to_string()
}

/// What happened since a snapshot, up to a seq: which jobs it touched, and the parts of them that the snapshot has.
pub struct Merge {
    target: Seq,
    touched: BTreeSet<Ordinal>,
}

impl Merge {
    /// Looks through the log which jobs were touched after `base`: at most about `events_max` events are taken, and none
    /// after `until`.
    pub fn plan(log: &dyn LogReader, base: Seq, events_max: u64, until: Seq) -> Result<Merge, ReadError> {
        let mut merge = Merge { target: base, touched: BTreeSet::new() };
        while merge.target < until && merge.target.0 < base.0 + events_max {
            let mut records = log.page_after(merge.target)?;
            records.retain(|record| record.seq <= until);
            let Some(last) = records.last() else { break };
            merge.target = last.seq;
            merge.touched.extend(records.iter().flat_map(|record| record.event.jobs()).map(|job| job.ordinal()));
        }
        Ok(merge)
    }

    /// The seq at which the new snapshot stands.
    pub fn target(&self) -> Seq {
        self.target
    }

    /// Writes the new snapshot. `base` opens the one before: it is read twice; none stands for the empty state.
    /// `ended` hears of each job that ended meanwhile, in full.
    pub fn write<R: Read>(
        &self,
        log: &dyn LogReader,
        base: impl Fn() -> io::Result<Option<R>>,
        out: impl Write,
        ended: &mut dyn FnMut(&Arc<Job>) -> io::Result<()>,
    ) -> Result<(), MergeError> {
        let mut state = self.load(base()?)?;
        while state.seq() < self.target {
            for record in log.page_after(state.seq())?.iter().filter(|record| record.seq <= self.target) {
                let changed = evolve(&mut state, record).filter(|job| job.is_terminal());
                changed.iter().try_for_each(&mut *ended)?;
            }
        }
        let mut frames = FrameWriter::new(out)?;
        frames.globals(&state.globals())?;
        if let Some(input) = base()? {
            each_frame(input, |frame| {
                let copied = !self.touched.contains(&frame.ordinal);
                if copied { frames.copy(frame).map_err(SnapshotError::Io) } else { Ok(()) }
            })?;
        }
        let touched = state.slots().filter(|slot| self.touched.contains(&slot.id().ordinal()));
        for slot in touched {
            frames.slot(slot)?;
        }
        frames.finish()?.flush()?;
        Ok(())
    }

    fn load<R: Read>(&self, input: Option<R>) -> Result<State, MergeError> {
        let Some(input) = input else { return Ok(State::default().without_indexes()) };
        let mut slots: Vec<Slot> = Vec::new();
        let globals = each_frame(input, |frame| {
            if self.touched.contains(&frame.ordinal) {
                slots.push(decode_slot(frame)?);
            }
            Ok(())
        })?;
        Ok(State::from_parts_without_indexes(globals, slots))
    }
}

/// Calls `visit` with each job and stub of a snapshot, and gives the parts that are not jobs.
pub fn each_frame(
    input: impl Read,
    mut visit: impl FnMut(&Frame) -> Result<(), SnapshotError>,
) -> Result<Globals, SnapshotError> {
    let (mut frames, globals) = FrameReader::new(input)?;
    while let Some(frame) = frames.next_frame()? {
        visit(&frame)?;
    }
    Ok(globals)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::job::{Job, JobState};
    use crate::domain::state::Stub;
    use crate::log::job_samples::{plain_job, rich_job};

    fn state() -> State {
        let waiting = Job { state: JobState::Queued, ..plain_job(1, 1) };
        let ended = Stub::of(&rich_job(2, 2, 3));
        let slots = [Slot::Active(Arc::new(waiting)), Slot::Finished(Arc::new(ended))];
        State::from_parts(State::default().globals(), slots)
    }

    #[test]
    fn a_state_has_the_same_fold_after_it_was_written_and_read_and_another_after_any_change() {
        let state = state();
        let mut bytes = Vec::new();
        write(&state, &mut bytes).unwrap();
        assert_eq!(fold_hash(&read(&bytes[..]).unwrap()), fold_hash(&state));
        assert_ne!(fold_hash(&State::default()), fold_hash(&state));
    }

    #[test]
    fn the_fold_of_nothing_is_what_it_always_was() {
        let golden = "3955f3881b760360571e097da523bffcea311677ce2a38937af7d8c238d439ee";
        assert_eq!(fold_hash(&State::default()), golden, "folds of before can no longer be compared with these");
    }
}
