//! The port to the event log: what the engine may ask of it, and what it may rely on.
//!
//! The log is a dense row of records (L2): record n+1 follows n, `at` never goes back, and the records of one command
//! form a group (`continues`) that is there as a whole or not at all after a restart.
//!
//! ```text
//!   earliest            last (durable)      tail = last + 1
//!      ▼                     ▼                 ▼
//!   ┌──────┬──────┬───── … ──┬──────┐
//!   │  41  │  42  │          │ 9000 │ ← submit() hands records over, committed() says they are durable
//!   └──────┴──────┴───── … ──┴──────┘
//! ```
//!
//! The oldest events may be dropped: then a [`base`] stands for them, and `earliest` moves.
//!
//! There is one writer (L1). `submit` is not `committed`: several submissions may be in flight, they become durable in
//! order, and only what is durable can be read. After an error of either call the log takes nothing more (L3): what
//! became of the submission is known after the next start only. Every implementation passes [`conformance`].

pub mod base;
pub mod chain;
pub mod codec;
pub mod codec_job;
pub mod codec_state;
pub mod commit;
#[cfg(test)]
pub mod conformance;
pub mod hold;
#[cfg(test)]
pub mod job_samples;
pub mod memory;
pub mod redact;
pub mod snapshot;

use std::sync::Arc;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::base::{Base, LogTrimmer};

/// The writing half of the log. Whoever holds it is the only writer.
pub trait EventLog: Send {
    /// The last durable seq; [`Seq::ZERO`] for an empty log.
    fn last(&self) -> Seq;

    /// Hands records over. They begin at the tail (after all that was submitted before), are dense, and end at the
    /// end of a group. They may be split into several commits; readers see the group only when all of it is durable.
    fn submit(&mut self, records: Arc<[Record]>) -> Result<(), AppendError>;

    /// Waits until the oldest submission in flight is durable and gives its last seq. Without one in flight it
    /// answers at once with [`EventLog::last`].
    fn committed(&mut self) -> Result<Seq, AppendError>;

    /// How many submissions may be in flight at once, 1 and up.
    fn in_flight_max(&self) -> usize;

    /// A reader of what is durable; it may be cloned and shared, and never blocks the writer.
    fn reader(&self) -> Arc<dyn LogReader>;

    /// Ends the part of the log that takes events, so that it is never written again: it can be copied, or dropped. Gives
    /// the seq with which the next one begins; nothing happens while there is no event in it yet. Nothing may be in
    /// flight.
    fn roll(&mut self) -> Result<Seq, AppendError>;

    /// Drops the oldest events, beside the writer.
    fn trimmer(&self) -> Arc<dyn LogTrimmer>;

    /// Ends in order: everything is durable and marked as cleanly closed.
    fn close(self: Box<Self>) -> Result<(), AppendError>;
}

/// The reading half of the log: durable records only.
pub trait LogReader: Send + Sync {
    /// The first seq that can still be read; the one after [`LogReader::last`] when there is none.
    fn earliest(&self) -> Seq;

    /// The last durable seq.
    fn last(&self) -> Seq;

    /// One record.
    fn record(&self, seq: Seq) -> Result<Record, ReadError>;

    /// One record that a kept job points to, also when the log begins behind it. Whoever shows events asks for
    /// [`LogReader::record`]: what is older than the earliest is none of them.
    fn carried(&self, seq: Seq) -> Result<Record, ReadError> {
        self.record(seq)
    }

    /// What stands for the events before the earliest; none if the log begins with the first.
    fn base(&self) -> Option<Arc<dyn Base>> {
        None
    }

    /// Whether the record is durable and in memory, so that to read it takes no time. It may be gone a moment later.
    fn is_at_hand(&self, seq: Seq) -> bool;

    /// The durable records after `after`, as many as come cheaply in one piece (at least one, if there is one).
    /// Empty at the head. To read a range, call it again with the last seq it gave.
    fn page_after(&self, after: Seq) -> Result<Vec<Record>, ReadError>;
}

/// Why the log did not take records. All but `Fenced` halt the engine; none may be retried (L3).
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the disk is full")]
    StorageFull(#[source] std::io::Error),
    #[error("the log could not be written: {step}")]
    Failed { step: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("another writer has taken the log over")]
    Fenced,
    #[error("it is not known whether the records were written: {step}")]
    InDoubt { step: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the log is closed after an earlier error")]
    Halted,
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("event {seq} is no longer in the log; the earliest is {earliest}")]
    Trimmed { seq: Seq, earliest: Seq },
    #[error("event {seq} has not happened; the last is {last}")]
    PastHead { seq: Seq, last: Seq },
    #[error("the log is damaged at {place}: {detail}")]
    Damaged { place: String, detail: String },
    #[error("the log could not be read: {step}")]
    Failed { step: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}
