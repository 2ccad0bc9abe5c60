//! The state at a past moment: made of the nearest stored state before it and a bounded fold, and never changed again.
//!
//! It answers what was known of a job, and no more: no decision is made on it, and it has no indexes. The jobs of the stored
//! state stay frames: one is decoded when an event names it, or somebody asks.

mod ended;
mod frames;
mod origins;
pub mod rows;
mod states;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use crate::domain::event::{Event, Record};
use crate::domain::evolve::evolve;
use crate::domain::id::{JobId, Ordinal, Seq};
use crate::domain::state::{Globals, Slot, State};
use crate::domain::time::Timestamp;
use crate::engine::past::frames::{Found, Frames};
use crate::log::codec_state::{FrameWriter, SnapshotError};
use crate::log::{LogReader, ReadError};

pub use crate::log::codec_state::Label;
pub use frames::FrameFile;
pub use origins::{Origins, Unusable, read};
pub use states::PastStates;

/// Why a past state could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The state as of one event.
#[derive(Clone)]
pub struct Past {
    /// The jobs that events have named since the stored state, and all that is no job.
    touched: State,
    /// The jobs that were forgotten since.
    gone: BTreeSet<Ordinal>,
    /// The stored state.
    frames: Arc<Frames>,
}

/// What is known of a job, in one of two forms.
enum Known<'a> {
    Slot(&'a Slot),
    Frame(Found<'a>),
}

impl Known<'_> {
    fn ordinal(&self) -> Ordinal {
        match self {
            Known::Slot(slot) => slot.id().ordinal(),
            Known::Frame(frame) => frame.ordinal(),
        }
    }
}

impl Past {
    /// A stored state as it is.
    fn of(frames: Arc<Frames>) -> Past {
        let touched = State::from_parts_without_indexes(frames.globals().clone(), []);
        Past { touched, gone: BTreeSet::new(), frames }
    }

    /// The event after which it was so.
    pub fn seq(&self) -> Seq {
        self.touched.seq()
    }

    /// The moment of that event.
    pub fn at(&self) -> Timestamp {
        self.touched.at()
    }

    /// The parts that are not jobs.
    pub fn globals(&self) -> Globals {
        self.touched.globals()
    }

    /// What was known of a job.
    pub fn slot(&self, id: JobId) -> Result<Option<Slot>, PastError> {
        Ok(self.slot_at(id.ordinal())?.filter(|slot| slot.id() == id))
    }

    /// What was known of the job with this ordinal.
    pub fn slot_at(&self, ordinal: Ordinal) -> Result<Option<Slot>, PastError> {
        if let Some(slot) = self.touched.slot_at(ordinal) {
            return Ok(Some(slot.clone()));
        }
        if self.gone.contains(&ordinal) {
            return Ok(None);
        }
        Ok(self.frames.get(ordinal).map(Found::decode).transpose()?)
    }

    /// The labels of the jobs with an ordinal below `end`, or of all, the newest first. Nothing is decoded for it.
    pub fn labels_below(&self, end: Option<Ordinal>) -> impl Iterator<Item = (Ordinal, Label)> + '_ {
        let touched = self.touched.slots().rev();
        let touched = touched.skip_while(move |slot| end.is_some_and(|end| slot.id().ordinal() >= end));
        let mut touched = touched.peekable();
        let mut frames = self.frames.below(end).rev().filter(|frame| self.is_untouched(frame.ordinal())).peekable();
        std::iter::from_fn(move || {
            let slot = touched.peek().map(|slot| slot.id().ordinal());
            let frame = frames.peek().map(|frame| frame.ordinal());
            if slot > frame {
                touched.next().map(|slot| (slot.id().ordinal(), Label::of(slot)))
            } else {
                frames.next().map(|frame| (frame.ordinal(), frame.label()))
            }
        })
    }

    /// The hash of the state, the same as [`crate::engine::snapshot::fold_hash`] of one that was folded.
    pub fn hash(&self) -> Result<String, PastError> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(crate::engine::snapshot::FOLD_VERSION);
        let mut bare = FrameWriter::bare(&mut hasher);
        self.write_all(&mut bare).map_err(failed)?;
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// The whole state, without indexes: every job is decoded.
    pub fn to_state(&self) -> Result<State, PastError> {
        let slots: Result<Vec<Slot>, ReadError> = self
            .known()
            .map(|known| match known {
                Known::Slot(slot) => Ok(slot.clone()),
                Known::Frame(frame) => frame.decode(),
            })
            .collect();
        Ok(State::from_parts_without_indexes(self.globals(), slots?))
    }

    /// Goes on to a later event, which the log has.
    pub fn advance(&mut self, log: &dyn LogReader, until: Seq) -> Result<(), PastError> {
        while self.seq() < until {
            let records = log.page_after(self.seq())?;
            if records.is_empty() {
                return Err(ReadError::PastHead { seq: until, last: self.seq() }.into());
            }
            for record in records.iter().take_while(|record| record.seq <= until) {
                self.apply(record)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, record: &Record) -> Result<(), PastError> {
        if !matches!(record.event, Event::JobSubmitted(_)) {
            for ordinal in record.event.jobs().map(|id| id.ordinal()) {
                if self.touched.slot_at(ordinal).is_none()
                    && let Some(slot) = self.slot_at(ordinal)?
                {
                    self.touched.recall(slot);
                }
            }
        }
        evolve(&mut self.touched, record);
        if let Event::JobsForgotten(data) = &record.event {
            self.gone.extend(data.jobs.iter().map(|id| id.ordinal()));
        }
        Ok(())
    }

    /// Writes what has changed since the stored state that this one was made of.
    pub fn write_changes(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut frames = FrameWriter::new(out)?;
        frames.globals(&self.globals())?;
        self.touched.slots().try_for_each(|slot| frames.slot(slot))?;
        let known_before = self.gone.iter().filter(|ordinal| self.frames.get(**ordinal).is_some());
        known_before.copied().collect::<Vec<_>>().into_iter().try_for_each(|ordinal| frames.gone(ordinal))?;
        frames.finish()?.flush()
    }

    /// Writes all of it.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut frames = FrameWriter::new(out)?;
        self.write_all(&mut frames).map_err(io::Error::other)?;
        frames.finish()?.flush()
    }

    /// About how many bytes of memory it takes beside the stored state.
    fn own_bytes(&self) -> usize {
        const A_SLOT: usize = 700;
        self.touched.slots().count() * A_SLOT + self.gone.len() * 32
    }

    fn write_all<W: Write>(&self, out: &mut FrameWriter<W>) -> Result<(), SnapshotError> {
        out.globals(&self.globals())?;
        for known in self.known() {
            match known {
                Known::Slot(slot) => out.slot(slot)?,
                Known::Frame(frame) => {
                    let label = frame.label();
                    let put = |tag, body: &[u8]| Ok(out.put(tag, frame.ordinal(), Some(&label), body)?);
                    frame.with_body(put).map_err(|error| SnapshotError::Form(error.to_string()))?;
                }
            }
        }
        Ok(())
    }

    /// All jobs, by ordinal.
    fn known(&self) -> impl Iterator<Item = Known<'_>> {
        let mut touched = self.touched.slots().map(Known::Slot).peekable();
        let frames = self.frames.below(None).filter(|frame| self.is_untouched(frame.ordinal()));
        let mut frames = frames.map(Known::Frame).peekable();
        std::iter::from_fn(move || match (touched.peek(), frames.peek()) {
            (Some(slot), Some(frame)) if slot.ordinal() > frame.ordinal() => frames.next(),
            (Some(_), _) => touched.next(),
            (None, _) => frames.next(),
        })
    }

    fn is_untouched(&self, ordinal: Ordinal) -> bool {
        self.touched.slot_at(ordinal).is_none() && !self.gone.contains(&ordinal)
    }
}

fn failed(error: SnapshotError) -> ReadError {
    ReadError::Failed { step: "read a stored state", source: error.into() }
}
