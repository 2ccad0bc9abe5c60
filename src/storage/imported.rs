//! The notes that an import leaves in a data directory: `IMPORTING` while it is under way, which keeps servers out, and
//! `IMPORTED` for good. An exported log has no log lines and no output files: for the jobs up to this note they are left
//! out, and not missing. A restore notes the same file by file, in `LEFT_OUT`: what was gone when the backup was taken.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::domain::id::{JobId, Ordinal};
use crate::storage::disk;

/// The note of an import that has not come to its end.
pub const UNDER_WAY: &str = "IMPORTING";
/// What to do about it.
pub const NEXT_STEP: &str = "the same `daybook import` again goes on, or remove the directory";
/// The note of one that has.
pub const DONE: &str = "IMPORTED";
/// The note of a restore, if something was left out.
pub const LEFT_OUT: &str = "LEFT_OUT";

/// A data directory that has only a part of what was to be imported: what is in it is not to be taken for a log.
#[derive(Debug, thiserror::Error)]
#[error("{}: an import into it has not come to its end; {NEXT_STEP}", .0.display())]
pub struct HalfDone(pub PathBuf);

/// Refuses a data directory into which something is being imported; also if the note cannot be read.
pub fn refuse_half_done(data: &Path) -> Result<(), HalfDone> {
    match under_way(data) {
        Ok(None) => Ok(()),
        Ok(Some(_)) | Err(_) => Err(HalfDone(data.to_path_buf())),
    }
}

/// Notes that the log of this lineage is being imported.
pub fn begin(data: &Path, source: Uuid) -> io::Result<()> {
    disk::write_bytes(&data.join(UNDER_WAY), source.to_string().as_bytes())
}

/// The lineage of the log that is being imported, if one is; nil if the note cannot be read.
pub fn under_way(data: &Path) -> io::Result<Option<Uuid>> {
    Ok(note(&data.join(UNDER_WAY))?.map(|text| text.trim().parse().unwrap_or_default()))
}

/// Notes that all is there, up to the job with this ordinal.
pub fn finish(data: &Path, last: Ordinal) -> io::Result<()> {
    disk::write_bytes(&data.join(DONE), last.0.to_string().as_bytes())?;
    disk::remove_file(&data.join(UNDER_WAY))?;
    disk::sync_dir(data)
}

/// The last job that came with an import; zero if there was none.
pub fn last_imported(data: &Path) -> Ordinal {
    let noted = note(&data.join(DONE)).ok().flatten();
    Ordinal(noted.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
}

/// Notes which output files of which jobs did not come with a restore.
pub fn note_left_out(data: &Path, files: &[(JobId, String)]) -> io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    disk::write_bytes(&data.join(LEFT_OUT), &serde_json::to_vec(files).map_err(io::Error::other)?)
}

/// The output files that did not come with a restore; none if the note cannot be read, and then they are missing.
pub fn left_out(data: &Path) -> BTreeSet<(JobId, String)> {
    let noted = note(&data.join(LEFT_OUT)).ok().flatten();
    noted.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn note(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(Some),
    }
}
