//! What a submitter gets back once its batch is durable.

use tokio::sync::oneshot;

use crate::domain::command::Answer;
use crate::domain::id::{JobId, LeaseToken, Seq};
use crate::domain::refusal::Refusal;

/// The core did what it was asked, and it is durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The last seq of the batch: a read at or after it sees the change.
    pub seq: Seq,
    pub answer: Answer,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The domain said no; also that rests on durable events only (E2).
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The queue of commands is full. Nothing was done.
    #[error("too many commands are waiting")]
    Overloaded,
    /// Too little disk is left for new work. Nothing was done.
    #[error("only {free} bytes are free on the data disk; {min} are needed to take new work")]
    StorageLow { free: u64, min: u64 },
    /// The log could not be written; what became of the command is known after the next start only (L3).
    #[error("the server is halted: {detail}")]
    Halted { detail: String },
    /// The stored views could not be read. Nothing was done.
    #[error("{detail}")]
    Unreadable { detail: String },
    /// The server is stopping. Nothing was done.
    #[error("the server is stopping")]
    Stopping,
}

/// The way back to a submitter.
pub(crate) type ReceiptReply = oneshot::Sender<Result<Receipt, SubmitError>>;

/// A job that a session may run now, with the token that proves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Granted {
    pub job: JobId,
    pub attempt: u32,
    pub token: LeaseToken,
}
