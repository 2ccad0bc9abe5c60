//! Opens the data directory: the log, the views, the logs and files of jobs, and the state that follows from them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::config::{Config, ResetOnStartup};
use crate::domain::id::Seq;
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::engine::past::{Origins, PastStates};
use crate::engine::recovery::{RecoverError, recover};
use crate::engine::snapshot;
use crate::engine::{fold, foreign};
use crate::log::base::LogTrimmer;
use crate::log::hold::Hold;
use crate::log::keyframe::{KeyframeError, KeyframeStore};
use crate::log::snapshot::{SnapshotError, SnapshotStore};
use crate::log::{EventLog, LogReader, ReadError};
use crate::sessions::traces::{JobTraces, Traces};
use crate::storage::files::FileError;
use crate::storage::imported;
use crate::storage::views::{OpenViewsError, SledFinished};
use crate::storage::{
    self, DirectoryLock, JobFiles, JobLogs, KeyframeFiles, OpenError, Opened, Options, SnapshotFiles,
};
use crate::views::{FinishedStore, Views};

/// What the data directory held.
pub struct Data {
    pub log: Box<dyn EventLog>,
    /// The log's own UUID.
    pub lineage: Uuid,
    pub state: State,
    pub views: Arc<Views>,
    /// Past states, for whoever asks.
    pub past: Arc<PastStates>,
    pub job_logs: Arc<JobLogs>,
    pub job_files: Arc<JobFiles>,
    pub clean_shutdown: bool,
    pub was_reset: bool,
    pub chores: ForChores,
}

/// What chores go on with.
pub struct ForChores {
    pub log: Arc<dyn LogReader>,
    pub trimmer: Arc<dyn LogTrimmer>,
    /// Of those who copy the log.
    pub hold: Arc<Hold>,
    pub snapshots: Arc<dyn SnapshotStore>,
    pub newest_snapshot: Seq,
    pub keyframes: Arc<dyn KeyframeStore>,
    pub job_logs: Arc<JobLogs>,
    /// What jobs leave on the disk, to remove it.
    pub traces: Arc<Traces>,
    pub lock: DirectoryLock,
}

/// Why the data directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    #[error(transparent)]
    Keyframes(#[from] KeyframeError),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error(transparent)]
    Views(#[from] OpenViewsError),
    #[error("the logs of jobs could not be opened")]
    JobLogs(#[source] std::io::Error),
    #[error(transparent)]
    Files(#[from] FileError),
    #[error(
        "an import into {} has not come to its end; run the same `daybook import` again, which goes on where it stopped, \
         or choose another directory with --data", .0.display()
    )]
    Importing(PathBuf),
    #[error("could not look for an unfinished import")]
    ImportNote(#[source] std::io::Error),
}

impl DataError {
    /// Whether the operator can cure it: the directory is in use, full or damaged.
    pub fn is_of_operator(&self) -> bool {
        match self {
            DataError::Open(_) | DataError::Importing(_) => true,
            DataError::Recover(RecoverError::Read(error)) => matches!(error, ReadError::Damaged { .. }),
            DataError::Recover(RecoverError::Views(_)) => false,
            DataError::Keyframes(_) => false,
            DataError::Snapshots(_) | DataError::Views(_) | DataError::JobLogs(_) | DataError::Files(_) => false,
            DataError::ImportNote(_) => false,
        }
    }
}

impl DataError {
    /// What can be done about it, where the error itself does not say it.
    pub fn next_step(&self) -> Option<&'static str> {
        match self {
            DataError::Open(OpenError::Io { .. }) => {
                Some("see that the directory is one, and that you may write into it, or choose another with --data")
            }
            _ => None,
        }
    }
}

/// A log that was looked at and found sound, not yet folded.
pub struct OpenLog {
    opened: Opened,
    was_reset: bool,
}

/// Opens the log. Whatever can be told without folding it is told here: that another server has the directory, that the
/// log is damaged or the disk full.
pub fn open_log(config: &Config, now: Timestamp) -> Result<OpenLog, DataError> {
    let was_reset = reset_if_asked(config, now)?;
    if imported::under_way(&config.data).map_err(DataError::ImportNote)?.is_some() {
        return Err(DataError::Importing(config.data.clone()));
    }
    let options = Options {
        accept_data_loss: config.accept_data_loss,
        segment_bytes: config.segment_bytes,
        ..Options::default()
    };
    let opened = storage::open(&config.data, &options)?;
    if opened.torn_events > 0 {
        tracing::info!(events = opened.torn_events, "dropped the beginning of a group whose end was never written");
    }
    if let Some(slot) = opened.damaged_slot {
        tracing::warn!(
            file = %config.data.join("log/HEAD").display(),
            "slot {slot} of two was damaged and is written anew; nothing is lost, but look after the disk"
        );
    }
    if let Some(damaged) = &opened.damaged_log {
        tracing::warn!(kept = %damaged.display(), "the log was damaged: this goes on with what could be saved of it");
    }
    Ok(OpenLog { opened, was_reset })
}

/// Opens everything else. `report` hears how much of the log was folded, 0 to 1.
pub fn open(config: &Config, log: OpenLog, report: &dyn Fn(f64)) -> Result<Data, DataError> {
    let OpenLog { opened, was_reset } = log;
    let log: Arc<dyn LogReader> = opened.log.reader();
    let snapshots = Arc::new(SnapshotFiles::open(&config.data, opened.lineage)?);
    snapshots.forget_after(log.last())?;
    let keyframes: Arc<dyn KeyframeStore> = Arc::new(KeyframeFiles::open(&config.data, opened.lineage, log.last())?);
    let origins = Origins::of(log.clone()).with_keyframes(keyframes.clone()).with_snapshots(snapshots.clone());
    let finished: Arc<dyn FinishedStore> = Arc::new(SledFinished::open(&config.data.join("views"), opened.lineage)?);
    let last = log.last().0.max(1);
    let mut newest_snapshot = Seq::ZERO;
    let snapshot = |at_most| {
        let found = newest(&*snapshots, at_most);
        newest_snapshot = found.as_ref().map_or(Seq::ZERO, State::seq);
        found
    };
    let recovered = recover(&log, snapshot, finished, &|seq| report(seq.0 as f64 / last as f64))?;
    tracing::info!(events = log.last().0, folded = recovered.folded, "the log is recovered");
    let trimmer = opened.log.trimmer();
    let job_logs = Arc::new(JobLogs::open(&config.data).map_err(DataError::JobLogs)?);
    let job_files = Arc::new(JobFiles::open(&config.data)?);
    let traces = Traces::new([job_logs.clone() as Arc<dyn JobTraces>, job_files.clone()]);
    let traces = Arc::new(traces);
    Ok(Data {
        log: opened.log,
        lineage: opened.lineage,
        state: recovered.state,
        views: recovered.views,
        past: Arc::new(PastStates::from(origins)),
        job_logs: job_logs.clone(),
        job_files,
        clean_shutdown: opened.clean_shutdown,
        was_reset,
        chores: ForChores {
            log,
            trimmer,
            hold: Arc::default(),
            snapshots,
            newest_snapshot,
            keyframes,
            job_logs,
            traces,
            lock: opened.lock,
        },
    })
}

/// The state of the newest snapshot that can be read. Damaged ones are said aloud and passed over (V1).
pub fn newest(snapshots: &dyn SnapshotStore, at_most: Seq) -> Option<State> {
    let found = match snapshots.newest(at_most) {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "snapshots could not be searched; the whole log is folded");
            return None;
        }
    };
    for damaged in &found.damaged {
        tracing::warn!(path = %damaged.path.display(), detail = damaged.detail, "a damaged snapshot is passed over");
    }
    match snapshot::read(found.snapshot?.content) {
        Ok(state) => Some(state),
        Err(error) => {
            tracing::warn!(%error, "the newest snapshot could not be read; the whole log is folded");
            None
        }
    }
}

fn reset_if_asked(config: &Config, now: Timestamp) -> Result<bool, DataError> {
    let archive = match config.reset_on_startup {
        ResetOnStartup::No => return Ok(false),
        ResetOnStartup::Delete => false,
        ResetOnStartup::Archive => true,
    };
    let jobs = count_jobs(&config.data);
    let moved = storage::reset(&config.data, archive, now)?;
    let jobs = jobs.map_or_else(|| "an unknown number of".to_owned(), |jobs| jobs.to_string());
    match moved {
        Some(archive) => tracing::info!("reset on startup: {jobs} jobs dropped, moved to {}", archive.display()),
        None => tracing::info!("reset on startup: {jobs} jobs dropped"),
    }
    Ok(true)
}

/// How many jobs a data directory holds; none if that cannot be told.
fn count_jobs(data: &Path) -> Option<usize> {
    if !data.join("log").exists() {
        return Some(0);
    }
    let opened = storage::open(data, &Options { ballast_bytes: 0, ..Options::default() }).ok()?;
    let snapshots = SnapshotFiles::open(data, opened.lineage).ok()?;
    let log = opened.log.reader();
    let newest = newest(&snapshots, log.last()).filter(|state| state.seq().next() >= log.earliest());
    let mut state = newest.map_or_else(|| fold::begin(&*log).ok(), Some)?;
    loop {
        let records = log.page_after(state.seq()).ok()?;
        if records.is_empty() {
            return Some(state.slots().count());
        }
        records.iter().try_for_each(|record| foreign::fold_own(&mut state, record).map(drop)).ok()?;
    }
}
