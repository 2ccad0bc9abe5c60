//! Checks a stopped server's data: looks at every file as it is, folds the log as it lies there, and holds the stored
//! views, the snapshots and the jobs' files against the fold (E3). Only the views are copied: opening them changes them.
//! Changes nothing in the data directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::id::{JobId, Seq};
use crate::domain::job::FileInfo;
use crate::domain::state::{Slot, State};
use crate::engine::snapshot;
use crate::engine::verify::{Difference, Verdict, verify};
use crate::log::snapshot::{DamagedSnapshot, SnapshotError, SnapshotStore};
use crate::log::{LogReader, ReadError};
pub use crate::storage::check::Findings;
use crate::storage::check::{self, Books, Damage};
use crate::storage::imported::{self, HalfDone};
use crate::storage::open::{NEXT_STEP, refuse_backups};
use crate::storage::views::SledFinished;
use crate::storage::{self, DirectoryLock, OfflineLog, OpenError, SnapshotFiles, disk};
use crate::views::FinishedStore;

pub use crate::engine::verify::Compared;
pub use crate::storage::check::WholePart;

/// What a check found.
#[derive(Debug)]
pub struct Report {
    /// What the fold of the log comes to; none if it cannot be folded.
    pub verdict: Option<Verdict>,
    pub findings: Findings,
}

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("there is no log in {}; name the data directory of a server with --data", .0.display())]
    NoLog(PathBuf),
    #[error("could not copy {} to check the copy; it needs as much free disk as they take", path.display())]
    Copy { path: PathBuf, source: io::Error },
    #[error(transparent)]
    HalfDone(#[from] HalfDone),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Checks the data directory of a server that is not running. Needs free disk for a copy of the stored views.
pub fn check(data: &Path) -> Result<Report, CheckError> {
    let is_half_done = imported::refuse_half_done(data).is_err();
    if !data.join("log").is_dir() {
        imported::refuse_half_done(data)?;
        return Err(CheckError::NoLog(data.to_path_buf()));
    }
    refuse_backups(data)?;
    let _lock = DirectoryLock::take_to_read(data)?;
    let copy = copy_of_views(data)?;
    let mut findings = check::check_stores(data);
    let verdict = match fold_if_whole(data, copy.path(), &mut findings) {
        // It is told of already, and a log that is half there need not open.
        Err(_) if is_half_done => None,
        verdict => verdict?,
    };
    findings.extend(check::check_jobs(data, verdict.as_ref().map(|verdict| verdict as &dyn Books)));
    if is_half_done {
        findings.leave_to_import();
        return Ok(Report { verdict, findings });
    }
    findings.measure(data);
    if let Some(WholePart { lineage, last, .. }) = findings.whole {
        let store = SledFinished::open_as_is(&copy.path().join("views"), lineage).ok().flatten();
        findings.ended_later = store.and_then(|store| store.ended_after(last).ok());
    }
    Ok(Report { verdict, findings })
}

impl Books for Verdict {
    fn has_ended(&self, job: JobId) -> Option<bool> {
        self.state.slot(job).map(|slot| matches!(slot, Slot::Finished(_)))
    }

    fn files(&self) -> &BTreeMap<JobId, Vec<FileInfo>> {
        &self.files
    }
}

/// Folds the log of a server that is not running as it lies there, and holds the stored views and the snapshots against
/// it. Needs free disk for a copy of the views; the files themselves are not looked at.
pub fn compare(data: &Path) -> Result<Report, CheckError> {
    imported::refuse_half_done(data)?;
    if !data.join("log").is_dir() {
        return Err(CheckError::NoLog(data.to_path_buf()));
    }
    let log = OfflineLog::open(data)?;
    let copy = copy_of_views(data)?;
    let mut findings = Findings::default();
    let verdict = fold_and_compare(data, copy.path(), &log, &mut findings)?;
    Ok(Report { verdict: Some(verdict), findings })
}

fn fold_if_whole(data: &Path, copy: &Path, findings: &mut Findings) -> Result<Option<Verdict>, CheckError> {
    let log = match OfflineLog::open_locked(data) {
        Ok(log) => log,
        Err(error) => {
            let damage = Damage::of_open(&error).ok_or(error)?;
            findings.damage(damage);
            return Ok(None);
        }
    };
    match fold_and_compare(data, copy, &log, findings) {
        Ok(verdict) => Ok(Some(verdict)),
        Err(CheckError::Read(ReadError::Damaged { place, detail })) => {
            // Here nobody needs to be told to run this very check.
            let detail = detail.trim_end_matches(NEXT_STEP).trim_end_matches("; ").to_owned();
            findings.damage(Damage::of_events(place, detail));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Folds a log, and compares it with the snapshots and with a copy of the views.
fn fold_and_compare(
    data: &Path,
    copy: &Path,
    log: &OfflineLog,
    findings: &mut Findings,
) -> Result<Verdict, CheckError> {
    let lineage = log.lineage();
    let store = match SledFinished::open_as_is(&copy.join("views"), lineage) {
        Ok(store) => store,
        Err(error) => {
            findings.damage(Damage::of_views(storage::open::explain(&error)));
            None
        }
    };
    let files = SnapshotFiles::open_as_is(data, lineage);
    let snapshots = snapshots(&files, log, findings)?;
    let verdict = verify(log, store.as_ref().map(|store| store as &dyn FinishedStore), snapshots)?;
    for difference in &verdict.differences {
        findings.damage(match difference {
            Difference::Views { detail } => Damage::of_views(detail.clone()),
            Difference::Base { detail } => Damage::of_base(detail.clone()),
            Difference::Snapshot { at, detail } => {
                Damage::of_snapshot(DamagedSnapshot { path: files.path(*at), detail: detail.clone() })
            }
        });
    }
    Ok(verdict)
}

/// All snapshots that can be read.
fn snapshots(files: &SnapshotFiles, log: &dyn LogReader, findings: &mut Findings) -> Result<Vec<State>, SnapshotError> {
    let (mut states, mut at_most) = (Vec::new(), Seq(u64::MAX));
    loop {
        let found = files.newest(at_most)?;
        found.damaged.into_iter().for_each(|damaged| findings.damage(Damage::of_snapshot(damaged)));
        let Some(found) = found.snapshot else { return Ok(states) };
        let seq = found.seq;
        let read = if seq > log.last() {
            Err("it is of events that the log does not have".to_owned())
        } else {
            snapshot::read(found.content).map_err(|error| error.to_string())
        };
        match read {
            Ok(state) => states.push(state),
            Err(detail) => findings.damage(Damage::of_snapshot(DamagedSnapshot { path: files.path(seq), detail })),
        }
        let Some(before) = seq.0.checked_sub(1) else { return Ok(states) };
        at_most = Seq(before);
    }
}

/// A copy beside the data, or where temporary files go if nothing can be written there.
fn copy_of_views(data: &Path) -> Result<tempfile::TempDir, CheckError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| CheckError::Copy { path, source }
    };
    let data = data.canonicalize().map_err(failed(data))?;
    let beside = data.parent().unwrap_or(&data);
    let mut builder = tempfile::Builder::new();
    let named = builder.prefix(".daybook-verify-");
    let copy = named.tempdir_in(beside).or_else(|_| named.tempdir()).map_err(failed(&data))?;
    let views = data.join("views");
    if views.exists() {
        disk::copy_dir(&views, &copy.path().join("views")).map_err(failed(&views))?;
    }
    Ok(copy)
}
