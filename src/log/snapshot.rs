//! The port to stored snapshots: the state as of a seq, as bytes that only its writer understands.
//!
//! A snapshot is there in full or not at all. It is disposable (V1): one that is damaged is passed over, and the fold
//! of the log makes it again; but the base, at the start of the oldest kept segment, belongs to the log.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use crate::domain::id::Seq;

/// How many snapshots are kept beside the base: the newest, and the one before, in case it turns out damaged.
pub const KEPT_MAX: usize = 2;

/// Where snapshots are stored.
pub trait SnapshotStore: Send + Sync {
    /// Stores what `write` writes as the state as of `seq`, durably. Then those that are no longer needed are removed.
    fn save(&self, seq: Seq, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<(), SnapshotError>;

    /// The newest snapshot that is whole and not newer than `at_most`, and what had to be passed over.
    fn newest(&self, at_most: Seq) -> Result<Found, SnapshotError>;
}

/// The outcome of a search.
#[derive(Default)]
pub struct Found {
    pub snapshot: Option<Snapshot>,
    /// Those that are newer but damaged. Whoever searches tells the operator.
    pub damaged: Vec<DamagedSnapshot>,
}

/// A snapshot whose checksum was found right.
pub struct Snapshot {
    pub seq: Seq,
    /// Exactly the bytes that were written.
    pub content: Box<dyn Read + Send>,
}

/// A snapshot that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedSnapshot {
    pub path: PathBuf,
    pub detail: String,
}

/// Why snapshots could not be stored or searched.
#[derive(Debug, thiserror::Error)]
#[error("could not {step} {}", path.display())]
pub struct SnapshotError {
    pub step: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}
