//! Decides whether sled may open a segment. Looks at the file; and if that looks odd, lets sled open a copy and reads
//! all of it. The segment itself is not touched.

use std::io;
use std::path::Path;

use crate::domain::id::Seq;
use crate::log::chain::{ChainEnd, Page, PageError};
use crate::storage::disk;
use crate::storage::inspect::{Promise, Verdict, inspect};
use crate::storage::segment::{Segment, file_of};
use crate::storage::verify::{VerifyError, verify};

/// sled's cache while it opens a segment only to have it checked, in bytes.
pub const CHECK_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// The copy of segment `00…01` is `00…01.trial`.
const TRIAL: &str = "trial";

/// Why sled may not open a segment.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error("{0}")]
    Damaged(String),
    #[error("{detail}, and checking a copy needs {needed} bytes where {free} are free")]
    NoRoom { detail: String, needed: u64, free: u64 },
    #[error("it cannot be read or copied")]
    Io(#[from] io::Error),
}

/// Makes sure that sled keeps what was promised of the segment in `dir`, which begins at `first`. `before` is where the
/// chain stands before it, if that is known.
pub fn may_open(dir: &Path, first: Seq, before: Option<ChainEnd>, promise: &Promise) -> Result<(), TrialError> {
    match inspect(&file_of(dir), promise) {
        Ok(Verdict::Sound) => Ok(()),
        Ok(Verdict::Doubtful(detail)) => try_a_copy(dir, first, before, promise, detail),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(TrialError::Damaged("its file `db` is missing".into()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes the copies that were left when the server was killed while it checked one.
pub fn remove_trials(log_dir: &Path) -> io::Result<()> {
    let names = disk::names_in(log_dir)?;
    let trials = names.iter().map(|name| log_dir.join(name)).filter(|path| path.extension() == Some(TRIAL.as_ref()));
    trials.into_iter().try_for_each(|path| disk::remove_dir(&path))
}

/// Where the chain stands before a segment. What was before the oldest one is gone: its first page is believed.
pub fn start_of(
    segment: &Segment,
    first: Seq,
    before: Option<ChainEnd>,
    lineage: uuid::Uuid,
) -> Result<ChainEnd, VerifyError> {
    if let Some(end) = before {
        return Ok(end);
    }
    let mut start = ChainEnd { next: first, ..ChainEnd::start(lineage) };
    if first > Seq(1) {
        let (_, bytes) = segment.page_with(first)?.ok_or(PageError::Cut)?;
        start.previous = Page::parse(&bytes)?.previous;
    }
    Ok(start)
}

fn try_a_copy(
    dir: &Path,
    first: Seq,
    before: Option<ChainEnd>,
    promise: &Promise,
    detail: String,
) -> Result<(), TrialError> {
    let copy = dir.with_extension(TRIAL);
    disk::remove_dir(&copy)?;
    let (needed, free) = (disk::bytes_in_files(dir)?, disk::free(dir)?);
    if needed >= free {
        return Err(TrialError::NoRoom { detail, needed, free });
    }
    let copied = disk::copy_files(dir, &copy);
    let outcome = copied.map(|()| read_all(&copy, first, before, promise));
    disk::remove_dir(&copy)?;
    outcome?.map_err(|error| TrialError::Damaged(format!("{detail}; in a copy of it, {error}")))
}

fn read_all(copy: &Path, first: Seq, before: Option<ChainEnd>, promise: &Promise) -> Result<(), VerifyError> {
    let segment = Segment::open(copy, CHECK_CACHE_BYTES)?;
    let start = start_of(&segment, first, before, promise.lineage)?;
    verify(&segment, start, Some(promise)).map(|_| ())
}
