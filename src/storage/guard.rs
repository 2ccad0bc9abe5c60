//! Calls into sled. It panics on damage, so every call is guarded; nothing of sled may be called around this.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::storage::disk;

/// Why a segment could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    #[error("a file operation failed")]
    Io(#[from] io::Error),
    #[error("sled failed")]
    Sled(#[source] sled::Error),
    #[error("sled panicked: {0}")]
    Panicked(String),
    #[error("sled made a file in {}, which is never synced", .0.display())]
    Blobs(PathBuf),
    #[error("there is a tree `{0}` in it that daybook did not make")]
    Foreign(String),
    #[error("sled's flush did not sync the file: this program cannot be trusted on this system")]
    NotSynced,
}

impl SegmentError {
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            SegmentError::Io(error) | SegmentError::Sled(sled::Error::Io(error)) => disk::is_full(error),
            SegmentError::Sled(_) | SegmentError::Panicked(_) | SegmentError::Foreign(_) => false,
            SegmentError::Blobs(_) | SegmentError::NotSynced => false,
        }
    }
}

/// Calls sled, and turns its panics into errors.
pub fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, SegmentError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(SegmentError::Sled),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(SegmentError::Panicked(text.unwrap_or("without a message").to_string()))
        }
    }
}
