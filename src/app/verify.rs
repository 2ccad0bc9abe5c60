//! Checks a stopped server's data: opens a copy, because opening a damaged log would change it, folds the log and
//! holds the stored views and snapshots against the fold (E3).

use std::io;
use std::path::{Path, PathBuf};

use crate::app::data::newest;
use crate::domain::id::Seq;
use crate::domain::state::State;
use crate::engine::verify::{Verdict, VerifyError, verify};
use crate::log::snapshot::{DamagedSnapshot, SnapshotError, SnapshotStore};
use crate::storage::views::{OpenViewsError, SledFinished};
use crate::storage::{self, DirectoryLock, OpenError, Options, SnapshotFiles, disk};

/// What is copied and checked.
const CHECKED: [&str; 3] = ["log", "snapshots", "views"];

/// What a check found.
#[derive(Debug)]
pub struct Report {
    pub verdict: Verdict,
    pub damaged_snapshots: Vec<DamagedSnapshot>,
}

/// Why nothing could be checked, or what is damaged.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("there is no log in {}", .0.display())]
    NoLog(PathBuf),
    #[error("could not copy {} to check the copy", path.display())]
    Copy { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    #[error(transparent)]
    Views(#[from] OpenViewsError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

/// Checks the data directory of a server that is not running. Needs as much free disk beside it as it takes.
pub fn check(data: &Path) -> Result<Report, CheckError> {
    if !data.join("log").is_dir() {
        return Err(CheckError::NoLog(data.to_path_buf()));
    }
    let _lock = DirectoryLock::take(data)?;
    let copy = copy_of(data)?;
    let opened = storage::open(copy.path(), &Options { ballast_bytes: 0, ..Options::default() })?;
    let log = opened.log.reader();
    let store = SledFinished::open(&copy.path().join("views"), opened.lineage)?;
    let files = SnapshotFiles::open(copy.path(), opened.lineage)?;
    let damaged_snapshots = files.newest(log.last())?.damaged;
    let verdict = verify(&*log, Some(&store), snapshots(&files, log.last()))?;
    Ok(Report { verdict, damaged_snapshots })
}

/// All snapshots that can be read, the newest first.
fn snapshots(files: &SnapshotFiles, last: Seq) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    let mut at_most = last;
    while let Some(state) = newest(files, at_most) {
        let seq = state.seq();
        states.push(state);
        if seq <= Seq(1) {
            break;
        }
        at_most = Seq(seq.0 - 1);
    }
    states
}

fn copy_of(data: &Path) -> Result<tempfile::TempDir, CheckError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| CheckError::Copy { path, source }
    };
    let data = data.canonicalize().map_err(failed(data))?;
    let beside = data.parent().unwrap_or(&data);
    let copy = tempfile::Builder::new().prefix(".daybook-verify-").tempdir_in(beside).map_err(failed(&data))?;
    for name in CHECKED.into_iter().filter(|name| data.join(name).exists()) {
        disk::copy_dir(&data.join(name), &copy.path().join(name)).map_err(failed(&data.join(name)))?;
    }
    Ok(copy)
}
