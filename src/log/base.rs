//! The port to what stands for the events before the earliest: the state that they came to, the finished jobs of it,
//! and the records that a kept job still points to. It belongs to the log, and is there before anything goes (B1).
//!
//! ```text
//!   1 … E-1: dropped          E … last: segments
//!   ┌──────────────────┐    ┌──────┬──────┬──────┐
//!   │ state, jobs, and │    │      │      │      │
//!   │ carried records  │    └──────┴──────┴──────┘
//!   └──────────────────┘
//! ```
//!
//! What the state and the jobs look like as bytes, only their writer knows. Nothing here decides what is dropped.

use std::fs::File;
use std::io::{self, Read, Write};

use roaring::RoaringTreemap;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::ReadError;

/// What stands for the events up to [`Base::seq`].
pub trait Base: Send + Sync {
    /// The last event that it stands for: the one before the earliest.
    fn seq(&self) -> Seq;

    /// The state as of that event, as it was written. Fails when it is not as it was written.
    fn state(&self) -> io::Result<Box<dyn Read + Send>>;

    /// The finished jobs of that state that are kept, in full.
    fn jobs(&self) -> io::Result<Box<dyn Read + Send>>;

    /// The numbers of the events up to it that can still be read.
    fn carried(&self) -> RoaringTreemap;

    /// One of them.
    fn record(&self, seq: Seq) -> Result<Record, ReadError>;
}

/// What fills one part of a base.
pub type Fill<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

/// A base that is to take the place of the one before and of the segments up to its seq.
pub struct NewBase<'a> {
    /// The first event that stays in the log: a segment begins with it.
    pub earliest: Seq,
    /// The events before it that have to stay readable.
    pub carried: &'a RoaringTreemap,
    pub state: &'a mut Fill<'a>,
    pub jobs: &'a mut Fill<'a>,
}

/// A part of the log that is dropped as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    pub first: Seq,
    pub last: Seq,
    /// What it takes on disk, with the payloads of its events.
    pub bytes: u64,
}

/// What the log takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The segments that can be dropped, from the oldest on, without a hole.
    pub full: Vec<SegmentInfo>,
    /// The first event of the segment that takes events, or the next one.
    pub open: Seq,
    /// All segments together, also those that cannot be dropped.
    pub bytes: u64,
    /// The base with what it carries.
    pub base_bytes: u64,
}

/// Why nothing was dropped. The log goes on as it was.
#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    #[error("the base could not be written: {step}")]
    Io { step: &'static str, source: io::Error },
    #[error("the log could not be read")]
    Read(#[from] ReadError),
    #[error("an event could not be written once more")]
    Encode(#[from] crate::log::codec::EncodeError),
    #[error("the log is closed")]
    Closed,
}

impl TrimError {
    /// An error of the step `step`.
    pub fn io(step: &'static str) -> impl FnOnce(io::Error) -> TrimError {
        move |source| TrimError::Io { step, source }
    }
}

/// Drops the oldest segments of a log that goes on meanwhile. One call at a time.
pub trait LogTrimmer: Send + Sync {
    /// What the log takes now.
    fn extent(&self) -> io::Result<Extent>;

    /// A file for what is worked out on the way; it is gone when it is closed.
    fn scratch(&self) -> io::Result<File>;

    /// Stores the base durably, and then drops what it stands for. When it returns, the earliest is the base's; after a
    /// crash meanwhile either the old base or the new one is there in full.
    fn trim(&self, base: NewBase<'_>) -> Result<(), TrimError>;

    /// Takes events out of what is carried: nobody can read them any more, and their bytes leave the disk. The base stays
    /// as it is otherwise. After a crash meanwhile all of them are carried, or none.
    fn drop_carried(&self, unwanted: &RoaringTreemap) -> Result<(), TrimError>;
}
