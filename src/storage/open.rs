//! Opens the log of a data directory: looks first, lets sled open only what is sound, checks what it opened, and says
//! what to do if something is wrong. Must never let a damaged log be overwritten.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::EventLog;
use crate::storage::ballast::Ballast;
use crate::storage::base::{self, BaseError, BaseFiles};
use crate::storage::disk;
use crate::storage::head::{Head, HeadError, HeadFile};
use crate::storage::log::SledLog;
use crate::storage::reader::Shared;
use crate::storage::recovery::{Recovered, recover, segments_in};
use crate::storage::reset;
use crate::storage::salvage;
use crate::storage::sealer::Sealer;
use crate::storage::trial::remove_trials;
use crate::storage::writer::Writer;

/// What can be done about a damaged log. Errors end with it.
pub const NEXT_STEP: &str = "look at it with `daybook verify`, bring back a backup with `daybook restore`, \
    or start with --accept-data-loss, which keeps the damaged log aside";

/// How the log is kept. The defaults are what a server uses.
#[derive(Debug, Clone)]
pub struct Options {
    /// A segment whose file has reached this many bytes takes no more submissions.
    pub segment_bytes: u64,
    /// The cache of the segment that takes the pages, in bytes. sled may take several times as much.
    pub cache_bytes: u64,
    /// The room that is held for the restart after a full disk, in bytes; 0: none.
    pub ballast_bytes: u64,
    /// Whether to go on with what is left of a damaged log. It is kept aside.
    pub accept_data_loss: bool,
}

impl Default for Options {
    fn default() -> Options {
        const MEBI: u64 = 1024 * 1024;
        Options { segment_bytes: 64 * MEBI, cache_bytes: 16 * MEBI, ballast_bytes: 64 * MEBI, accept_data_loss: false }
    }
}

/// An open log, and what was found.
pub struct Opened {
    pub log: Box<dyn EventLog>,
    /// Whether the log was closed in order before; true for a new one.
    pub clean_shutdown: bool,
    /// The log's own UUID, made with its first segment.
    pub lineage: Uuid,
    /// How many events at the end were dropped, because the rest of their group was missing. Nobody was answered for
    /// them.
    pub torn_events: u64,
    /// Where the damaged log is kept, if the operator accepted a loss and one was rebuilt from it.
    pub damaged_log: Option<PathBuf>,
    /// The slot of HEAD that was damaged while the other one served. The first commit writes both anew.
    pub damaged_slot: Option<u64>,
    /// Keeps other servers out of the data directory; to be held as long as anything is written there.
    pub lock: DirectoryLock,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("last", &self.log.last()).field("lineage", &self.lineage).finish_non_exhaustive()
    }
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data directory {} is in use; stop the other daybook, or choose another directory with --data", .0.display())]
    Locked(PathBuf),
    #[error("{} holds backups; `daybook restore --from` it into a new directory, and name that one", .0.display())]
    Backups(PathBuf),
    #[error("could not {step} {}", path.display())]
    Io { step: &'static str, path: PathBuf, source: io::Error },
    #[error("could not {step} {}; check who owns it and how its disk is mounted, or choose another directory with --data", path.display())]
    NotWritable { step: &'static str, path: PathBuf, source: io::Error },
    #[error("the disk of {} is full; free some space and start again", path.display())]
    StorageFull { path: PathBuf, source: io::Error },
    #[error("on this system sled's flush does not sync its files, so nothing would be safe; use Linux with glibc")]
    NotSynced,
    #[error(
        "{} has format {format}, which a newer daybook wrote and this one cannot read; start the newer one, or choose \
         another directory with --data", path.display()
    )]
    Newer { path: PathBuf, format: u16 },
    #[error("{} cannot be trusted: {detail}; {NEXT_STEP}", path.display())]
    HeadDamaged { path: PathBuf, detail: String },
    #[error("segment {segment} is damaged: {detail}; {NEXT_STEP}")]
    SegmentDamaged { segment: String, detail: String },
    #[error("the base at event {earliest} in {} is damaged: {detail}; bring back a backup with `daybook restore`", log.display())]
    BaseDamaged { earliest: Seq, log: PathBuf, detail: String },
    #[error("segment {segment} is missing in {}; {NEXT_STEP}", log.display())]
    SegmentMissing { segment: String, log: PathBuf },
    #[error(
        "segment {segment} looks damaged ({detail}), and checking a copy needs {needed} bytes where {free} are free; \
         free some space and start again"
    )]
    NoRoomToCheck { segment: String, detail: String, needed: u64, free: u64 },
}

impl OpenError {
    /// An error of the file system, with what was being done.
    pub fn io(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            _ if disk::is_full(&source) => OpenError::StorageFull { path, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                OpenError::NotWritable { step, path, source }
            }
            _ => OpenError::Io { step, path, source },
        }
    }

    /// Whether going on would mean to lose events.
    pub fn is_damage(&self) -> bool {
        match self {
            OpenError::HeadDamaged { .. } | OpenError::SegmentDamaged { .. } => true,
            OpenError::SegmentMissing { .. } | OpenError::BaseDamaged { .. } => true,
            OpenError::Locked(_) | OpenError::Io { .. } | OpenError::NotWritable { .. } => false,
            OpenError::NotSynced | OpenError::StorageFull { .. } | OpenError::NoRoomToCheck { .. } => false,
            OpenError::Newer { .. } | OpenError::Backups(_) => false,
        }
    }
}

/// How long a lock that somebody holds is waited for. A child that a killed server was just starting holds a copy of it
/// until it has become another program.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Keeps other servers out of a data directory, also when this one is killed.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: Flock<std::fs::File>,
}

impl DirectoryLock {
    /// Takes the lock of a data directory, and makes the directory if it is missing.
    pub fn take(data: &Path) -> Result<DirectoryLock, OpenError> {
        disk::create_dir(data).map_err(OpenError::io("make the data directory", data))?;
        let path = data.join("LOCK");
        let file = disk::open_file(&path).map_err(OpenError::io("write to the lock file", &path))?;
        DirectoryLock::of(file, data)
    }

    /// Takes the lock of a data directory that is only read: nothing is made there, and it may lie on a medium that
    /// cannot be written. None if there is no lock to take.
    pub fn take_to_read(data: &Path) -> Result<Option<DirectoryLock>, OpenError> {
        let path = data.join("LOCK");
        match std::fs::File::open(&path) {
            Ok(file) => DirectoryLock::of(file, data).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::io("open the lock file", &path)(error)),
        }
    }

    /// Takes the lock of a directory itself, and makes it if it is missing: nothing is left in it, and it is held also when
    /// it gets another name.
    pub fn take_itself(dir: &Path) -> Result<DirectoryLock, OpenError> {
        disk::create_dir(dir).map_err(OpenError::io("make", dir))?;
        let file = std::fs::File::open(dir).map_err(OpenError::io("open", dir))?;
        let opened = file.metadata().map_err(OpenError::io("look at", dir))?;
        let lock = DirectoryLock::of(file, dir)?;
        // Who had it before may have given it another name, or removed it.
        let is_same = dir.metadata().is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino()));
        if is_same { Ok(lock) } else { Err(OpenError::Locked(dir.to_path_buf())) }
    }

    fn of(mut file: std::fs::File, data: &Path) -> Result<DirectoryLock, OpenError> {
        let until = Instant::now() + LOCK_WAIT_MAX;
        loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => return Ok(DirectoryLock { _file: file }),
                Err((file, nix::errno::Errno::EWOULDBLOCK)) if Instant::now() < until => file,
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => return Err(OpenError::Locked(data.to_path_buf())),
                Err((_, error)) => return Err(OpenError::io("lock", data)(error.into())),
            };
            std::thread::sleep(LOCK_RETRY);
        }
    }
}

/// An error with its causes.
pub fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The directories in which backups lie, next to parts of a log. No data directory has them.
const OF_BACKUPS: [&str; 2] = ["backups", "objects"];

/// Refuses a directory of backups: a log that is begun or read in it is not what was backed up.
pub fn refuse_backups(data: &Path) -> Result<(), OpenError> {
    if OF_BACKUPS.iter().all(|name| data.join(name).is_dir()) {
        return Err(OpenError::Backups(data.to_path_buf()));
    }
    Ok(())
}

/// Opens the log in a data directory, and makes one if there is none.
pub fn open(data: &Path, options: &Options) -> Result<Opened, OpenError> {
    refuse_backups(data)?;
    let lock = DirectoryLock::take(data)?;
    reset::finish(data)?;
    salvage::finish(data)?;
    let ballast = Ballast::of(data, options.ballast_bytes);
    ballast.make_room().map_err(OpenError::io("make room in", data))?;
    let log_dir = data.join("log");
    disk::create_dir(&log_dir).map_err(OpenError::io("make", &log_dir))?;
    let (mut found, damaged_log) = match options.accept_data_loss {
        true => look_or_rebuild(data, &log_dir, options)?,
        false => (look(&log_dir, options)?, None),
    };
    // Only now: a log that is refused stays as it was found, and so does all around it.
    ballast.settle().map_err(OpenError::io("hold room in", data))?;
    found.clear(&log_dir).map_err(OpenError::io("remove dropped segments in", &log_dir))?;
    let (head, torn_events, damaged_slot) = (found.head, found.recovered.torn_events, found.head_file.damaged_slot());
    let log = start(&log_dir, found, ballast, options).map_err(OpenError::io("start the log in", &log_dir))?;
    let (clean_shutdown, lineage) = (head.clean && torn_events == 0, head.lineage);
    Ok(Opened { log: Box::new(log), clean_shutdown, lineage, torn_events, damaged_log, damaged_slot, lock })
}

/// Also what a start would find only later, in sealed segments and payload files, is looked at here: whoever accepts
/// a loss has been refused before.
fn look_or_rebuild(data: &Path, log_dir: &Path, options: &Options) -> Result<(Found, Option<PathBuf>), OpenError> {
    let is_whole = salvage::is_whole(log_dir).map_err(OpenError::io("read the log in", log_dir))?;
    if is_whole {
        match look(log_dir, options) {
            // What a base stands for is nowhere else: no log can be rebuilt without it.
            Err(error) if error.is_damage() && !matches!(error, OpenError::BaseDamaged { .. }) => {}
            found => return Ok((found?, None)),
        }
    }
    let kept = salvage::rebuild(data, options)?;
    Ok((look(log_dir, options)?, Some(kept)))
}

fn data_dir(log_dir: &Path) -> PathBuf {
    log_dir.parent().unwrap_or(log_dir).to_path_buf()
}

struct Found {
    head_file: HeadFile,
    /// What HEAD said.
    head: Head,
    base: Option<BaseFiles>,
    recovered: Recovered,
}

impl Found {
    /// Removes what a trim did not get to remove.
    fn clear(&mut self, log_dir: &Path) -> io::Result<()> {
        let leftovers = base::leftovers(log_dir, self.head.earliest, self.base.as_ref())?;
        if !leftovers.is_empty() {
            // The crash may have come before both slots named the base.
            self.head_file.write(&self.head)?;
            self.head_file.write(&self.head)?;
            self.head_file.sync()?;
        }
        base::remove(log_dir, &leftovers)
    }
}

/// The base of a log that does not begin with the first event.
pub fn base_of(log_dir: &Path, head: &Head) -> Result<Option<BaseFiles>, OpenError> {
    if head.earliest == Seq(1) {
        return Ok(None);
    }
    BaseFiles::open(log_dir, head.lineage, head.earliest).map(Some).map_err(|error| match error {
        BaseError::Damaged(detail) => {
            OpenError::BaseDamaged { earliest: head.earliest, log: log_dir.to_path_buf(), detail }
        }
        BaseError::Io(error) => OpenError::io("read the base in", log_dir)(error),
    })
}

fn look(log_dir: &Path, options: &Options) -> Result<Found, OpenError> {
    let path = log_dir.join("HEAD");
    remove_trials(log_dir).map_err(OpenError::io("clear", log_dir))?;
    let firsts = segments_in(log_dir).map_err(OpenError::io("list the segments in", log_dir))?;
    let damaged = |detail: &str| OpenError::HeadDamaged { path: path.clone(), detail: detail.into() };
    let (head_file, head) = match HeadFile::open(&path) {
        Ok(Some(found)) => found,
        Ok(None) if firsts.is_empty() => {
            let head = Head { clean: true, ..Head::empty(Uuid::new_v4()) };
            (HeadFile::create(&path, &head).map_err(OpenError::io("make", &path))?, head)
        }
        Ok(None) => return Err(damaged("it is missing")),
        Err(HeadError::Damaged) => return Err(damaged("it is empty or damaged")),
        Err(HeadError::Newer { format }) => return Err(OpenError::Newer { path: data_dir(log_dir), format }),
        Err(HeadError::Io(error)) => return Err(OpenError::io("read", &path)(error)),
    };
    let base = base_of(log_dir, &head)?;
    let start = base.as_ref().map(|base| base.manifest().start);
    let firsts: Vec<Seq> = firsts.into_iter().filter(|first| *first >= head.earliest).collect();
    let recovered = recover(log_dir, &head, start, &firsts, options)?;
    Ok(Found { head_file, head, base, recovered })
}

fn start(log_dir: &Path, found: Found, ballast: Ballast, options: &Options) -> io::Result<SledLog> {
    let Found { head_file, recovered, base, .. } = found;
    let sealer = Sealer::start()?;
    for (slot, sealable) in recovered.unsealed {
        sealer.seal(slot, sealable);
    }
    let last = Seq(recovered.end.next.0 - 1);
    let writer = Writer {
        shared: Arc::new(Shared::new(recovered.segments, base, recovered.head.earliest, last)),
        log_dir: log_dir.to_path_buf(),
        active: recovered.active,
        active_start: recovered.active_start,
        end: recovered.end,
        head: recovered.head,
        head_file,
        is_marked: false,
        ballast,
        sealer,
        cache_bytes: options.cache_bytes,
        unsynced_since: None,
    };
    SledLog::start(writer, options.segment_bytes)
}
