//! Works out what has to stand for the oldest events before they may go: the state that they came to, its finished
//! jobs, and the events that hold what kept jobs carry (B1).
//!
//! It goes on from the base before in steps, beside the writer: memory grows with what a step touches, not with the
//! log. What nobody wants any more is left out of the jobs and of what is carried, never of the state (E3).

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::domain::id::{JobId, Seq};
use crate::domain::job::Job;
use crate::domain::state::{Globals, Slot, State};
use crate::engine::snapshot::{Merge, MergeError, each_frame};
use crate::log::base::{Base, LogTrimmer, NewBase, TrimError};
use crate::log::codec_state::{FrameReader, FrameWriter, SnapshotError, decode_slot};
use crate::log::{LogReader, ReadError};

/// The most events that one step takes.
const EVENTS_A_STEP: u64 = 250_000;

/// What stands for the events up to a seq.
pub struct Folded {
    pub seq: Seq,
    state: File,
    jobs: File,
    /// The events up to `seq` that hold what its wanted jobs carry.
    carried: RoaringTreemap,
}

/// Why it could not be worked out.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error("the log could not be read")]
    Read(#[from] ReadError),
    #[error("the base before could not be read")]
    Base(#[from] SnapshotError),
    #[error("a file for what is worked out on the way could not be used")]
    Io(#[from] io::Error),
    #[error("the server stops")]
    Stopped,
}

impl Folded {
    /// Puts it in the place of the events.
    ///
    /// # Errors
    /// The log goes on as it was.
    pub fn replace_events(&self, trimmer: &dyn LogTrimmer) -> Result<(), TrimError> {
        let state = &mut |out: &mut dyn Write| copy(&self.state, out);
        let jobs = &mut |out: &mut dyn Write| copy(&self.jobs, out);
        trimmer.trim(NewBase { earliest: self.seq.next(), carried: &self.carried, state, jobs })
    }
}

/// Folds the log up to `until`, which is at least the earliest event. `kept_of` says what is still kept of a job,
/// `is_stopping` whether to give up.
pub fn fold(
    log: &dyn LogReader,
    trimmer: &dyn LogTrimmer,
    until: Seq,
    kept_of: &dyn Fn(JobId) -> Kept,
    is_stopping: &dyn Fn() -> bool,
) -> Result<Folded, FoldError> {
    let mut spool = FrameWriter::new(BufWriter::new(trimmer.scratch()?))?;
    let (mut seq, mut state) = (Seq(log.earliest().0 - 1), None::<File>);
    // Frames follow globals; whose they are does not matter here.
    spool.globals(&State::default().globals())?;
    while seq < until {
        if is_stopping() {
            return Err(FoldError::Stopped);
        }
        let merge = Merge::plan(log, seq, EVENTS_A_STEP, until)?;
        let before = || match &state {
            Some(file) => reader_of(file).map(Some),
            None => log.base().map(|base| base.state()).transpose(),
        };
        let next = trimmer.scratch()?;
        let mut ended = |job: &Arc<Job>| spool.slot(&Slot::Active(job.clone()));
        merge.write(log, before, BufWriter::new(&next), &mut ended)?;
        (seq, state) = (merge.target(), Some(next));
    }
    let spool = spool.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    let state = state.expect("there is something to fold");
    Choice::of(&state, seq, kept_of)?.jobs_from(log, &spool, trimmer.scratch()?, state)
}

/// What is kept of a finished job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was forgotten.
    Nothing,
    /// It was purged: what it carried goes.
    Job,
    Payloads,
}

/// Which finished jobs are kept, and what all jobs carry whose payloads are.
struct Choice {
    seq: Seq,
    globals: Globals,
    /// By finish ordinal: those that are kept, and those of them whose payloads are.
    finished: RoaringTreemap,
    carrying: RoaringTreemap,
    carried: RoaringTreemap,
}

impl Choice {
    fn of(state: &File, seq: Seq, kept_of: &dyn Fn(JobId) -> Kept) -> Result<Choice, FoldError> {
        let (mut finished, mut carrying) = (RoaringTreemap::new(), RoaringTreemap::new());
        let mut carried = RoaringTreemap::new();
        let globals = each_frame(reader_of(state)?, |frame| {
            match decode_slot(frame)? {
                Slot::Active(job) => {
                    if kept_of(job.id) == Kept::Payloads {
                        note(&mut carried, &job);
                    }
                }
                Slot::Finished(stub) => {
                    let kept = kept_of(stub.id);
                    if kept != Kept::Nothing {
                        finished.insert(stub.finish_ordinal.0);
                    }
                    if kept == Kept::Payloads {
                        carrying.insert(stub.finish_ordinal.0);
                    }
                }
            }
            Ok(())
        })?;
        Ok(Choice { seq, globals, finished, carrying, carried })
    }

    /// Takes the jobs out of the base before and out of those that ended since. Each ending has a number of its own, so
    /// one that a retry undid is in none of the two for the job as it is now.
    fn jobs_from(mut self, log: &dyn LogReader, spool: &File, jobs: File, state: File) -> Result<Folded, FoldError> {
        let mut kept = FrameWriter::new(BufWriter::new(&jobs))?;
        kept.globals(&self.globals)?;
        let before = log.base().map(|base| base.jobs()).transpose()?;
        let inputs = before.into_iter().chain([reader_of(spool)?]);
        for input in inputs {
            let (mut frames, _) = FrameReader::new(input)?;
            while let Some(frame) = frames.next_frame()? {
                let Slot::Active(job) = decode_slot(&frame)? else { continue };
                let ending = job.ending().map(|ending| ending.finish_ordinal.0);
                let Some(ending) = ending.filter(|ending| self.finished.contains(*ending)) else { continue };
                if self.carrying.contains(ending) {
                    note(&mut self.carried, &job);
                }
                kept.copy(&frame)?;
            }
        }
        kept.finish()?.flush()?;
        Ok(Folded { seq: self.seq, state, jobs, carried: self.carried })
    }
}

/// The carried events of jobs that are not to have them any more.
pub fn carried_of(base: &dyn Base, is_unwanted: &dyn Fn(JobId) -> bool) -> Result<RoaringTreemap, FoldError> {
    let mut unwanted = RoaringTreemap::new();
    for part in [base.state()?, base.jobs()?] {
        each_frame(part, |frame| {
            if let Slot::Active(job) = decode_slot(frame)?
                && is_unwanted(job.id)
            {
                note(&mut unwanted, &job);
            }
            Ok(())
        })?;
    }
    Ok(unwanted & base.carried())
}

fn note(carried: &mut RoaringTreemap, job: &Job) {
    carried.extend(job.payload_seqs().map(|seq| seq.0));
}

fn reader_of(file: &File) -> io::Result<Box<dyn Read + Send>> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Box::new(BufReader::with_capacity(256 * 1024, file)))
}

fn copy(file: &File, out: &mut dyn Write) -> io::Result<()> {
    io::copy(&mut reader_of(file)?, out).map(drop)
}
