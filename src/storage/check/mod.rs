//! Looks at every file of a data directory: is each as it was written? Asks sled nothing and changes nothing, so it may
//! look at the directory itself and needs no copy. Whether the events in the log make sense is not asked here: `verify`
//! folds them.
//!
//! Each kind of file has a checksum of some sort, so that one flipped byte anywhere is found. Nobody looks at these,
//! because what is in them does not matter:
//!
//! ```text
//!   LOCK                         only its lock counts
//!   ballast                      only its length counts, and it is taken again
//!   log/<sealed>/conf, snap.…    sled does not open a sealed segment again
//!   groups/…                     a record proves itself against the process table, or is dropped
//!   scratch/…, files/.incoming/… cleared at each start
//!   log.damaged-…                the damaged log that an operator had put aside
//! ```

mod base;
mod files;
mod joblogs;
mod log;
mod sled_files;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::id::JobId;
use crate::domain::job::FileInfo;
use crate::log::snapshot::DamagedSnapshot;
use crate::storage::open::OpenError;
use crate::storage::reset;
use crate::storage::salvage;
use crate::storage::{disk, imported, keyframes};

pub use crate::storage::salvage::WholePart;

/// How many damaged places and how many leftovers are listed; more are counted.
pub const LISTED_MAX: usize = 1000;

/// What to do about a damaged log.
pub const RESTORE: &str = "bring back a backup with `daybook restore`, or start with --accept-data-loss, which keeps \
    the damaged log aside and goes on with what is left";
/// What to do about a damaged base: it cannot be made anew from what is left.
const RESTORE_BASE: &str = "bring back a backup with `daybook restore`: nothing else has what was dropped";
const REBUILD: &str = "it is disposable: stop the server, remove it, and start it again; nothing but time is lost";
const MADE_AGAIN: &str = "it is disposable: remove it, and it is made again; until then past states take longer";
const REWRITTEN: &str = "nothing is lost: the other slot serves, and the next start writes both anew";

/// A place that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Below the data directory.
    pub file: PathBuf,
    /// Where in it; none for all of it.
    pub place: Option<String>,
    pub detail: String,
    /// What the operator does now.
    pub next_step: &'static str,
}

/// What a crash or a stranger left there: it does no harm, and nobody needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Below the data directory.
    pub file: PathBuf,
    pub detail: String,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub segments: u64,
    pub payload_files: u64,
    pub snapshots: u64,
    pub keyframes: u64,
    pub job_logs: u64,
    pub files: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// At most [`LISTED_MAX`].
    pub damaged: Vec<Damage>,
    /// At most [`LISTED_MAX`].
    pub leftovers: Vec<Leftover>,
    /// How many more of both there are.
    pub unlisted: u64,
    pub counts: Counts,
    /// How much of a damaged log is whole.
    pub whole: Option<WholePart>,
    /// How many jobs ended behind what is whole, as far as the stored views tell.
    pub ended_later: Option<u64>,
}

/// What the log says of the jobs: what must be there beside it.
pub trait Books {
    /// Whether a job is known, and if so, whether it has ended.
    fn has_ended(&self, job: JobId) -> Option<bool>;

    /// The files that jobs stored, by job.
    fn files(&self) -> &std::collections::BTreeMap<JobId, Vec<FileInfo>>;
}

/// Looks at the log, the snapshots' names, the stored views, and whatever else lies in a data directory.
pub fn check_stores(data: &Path) -> Findings {
    let mut look = Look::at(data);
    let is_closed = log::check(&mut look);
    look.each("snapshots", |look, name, path| match name {
        _ if is_number(name) => look.findings.counts.snapshots += 1,
        _ => look.stray(&path, name),
    });
    look.each("keyframes", check_keyframe);
    sled_files::check_views(&mut look, is_closed);
    look.each("", |look, name, path| top_level(look, name, &path));
    look.findings
}

/// Looks at the jobs' log lines and files, and holds them against the books; none if the log could not be read.
pub fn check_jobs(data: &Path, books: Option<&dyn Books>) -> Findings {
    let mut look = Look::at(data);
    joblogs::check(&mut look, books);
    files::check(&mut look, books);
    look.findings
}

impl Findings {
    /// Adds a damaged place.
    pub fn damage(&mut self, damage: Damage) {
        if self.damaged.len() < LISTED_MAX { self.damaged.push(damage) } else { self.unlisted += 1 }
    }

    /// Whatever is wrong in a directory into which something is being imported, only that import mends it.
    pub fn leave_to_import(&mut self) {
        self.damaged.iter_mut().for_each(|damage| damage.next_step = imported::NEXT_STEP);
    }

    /// Whether something is damaged without which no server starts unless it is told to go on with what is left.
    pub fn keeps_from_starting(&self) -> bool {
        self.damaged.iter().any(|damage| damage.next_step == RESTORE)
    }

    /// Finds out how much of the log could be gone on with, if something of it is damaged and that can be told.
    pub fn measure(&mut self, data: &Path) {
        if self.damaged.iter().any(|damage| damage.file.starts_with("log")) {
            self.whole = salvage::whole_part(&data.join("log")).ok().flatten();
        }
    }

    /// Adds what another look found.
    pub fn extend(&mut self, other: Findings) {
        other.damaged.into_iter().for_each(|damage| self.damage(damage));
        other.leftovers.into_iter().for_each(|leftover| self.leftover(leftover));
        self.unlisted += other.unlisted;
        let (all, more) = (&mut self.counts, other.counts);
        all.segments += more.segments;
        all.payload_files += more.payload_files;
        all.snapshots += more.snapshots;
        all.keyframes += more.keyframes;
        all.job_logs += more.job_logs;
        all.files += more.files;
    }

    fn leftover(&mut self, leftover: Leftover) {
        if self.leftovers.len() < LISTED_MAX { self.leftovers.push(leftover) } else { self.unlisted += 1 }
    }
}

impl Damage {
    /// A log that does not open; none if the error is another.
    pub fn of_open(error: &OpenError) -> Option<Damage> {
        let (name, detail) = match error {
            OpenError::HeadDamaged { detail, .. } => ("HEAD", detail.clone()),
            OpenError::SegmentDamaged { segment, detail } => (segment.as_str(), detail.clone()),
            OpenError::SegmentMissing { segment, .. } => (segment.as_str(), "it is missing".to_owned()),
            OpenError::BaseDamaged { detail, .. } => return Some(Damage::of_base(detail.clone())),
            OpenError::Locked(_) | OpenError::Io { .. } | OpenError::NotWritable { .. } => return None,
            OpenError::NotSynced | OpenError::StorageFull { .. } | OpenError::NoRoomToCheck { .. } => return None,
            OpenError::Newer { .. } | OpenError::Backups(_) => return None,
        };
        Some(Damage { file: Path::new("log").join(name), place: None, detail, next_step: RESTORE })
    }

    /// Events that cannot be read.
    pub fn of_events(place: String, detail: String) -> Damage {
        Damage { file: PathBuf::from("log"), place: Some(place), detail, next_step: RESTORE }
    }

    /// A base that lacks something.
    pub fn of_base(detail: String) -> Damage {
        Damage { file: Path::new("log").join("base"), place: None, detail, next_step: RESTORE_BASE }
    }

    /// Stored views that are not what the log says.
    pub fn of_views(detail: String) -> Damage {
        Damage { file: PathBuf::from("views"), place: None, detail, next_step: REBUILD }
    }

    /// A snapshot that cannot be used, or is not what the log says.
    pub fn of_snapshot(damaged: DamagedSnapshot) -> Damage {
        let name = damaged.path.file_name().unwrap_or_default();
        Damage { file: Path::new("snapshots").join(name), place: None, detail: damaged.detail, next_step: REBUILD }
    }
}

/// A look at a data directory.
struct Look<'a> {
    data: &'a Path,
    findings: Findings,
}

impl Look<'_> {
    fn at(data: &Path) -> Look<'_> {
        Look { data, findings: Findings::default() }
    }

    /// Calls `visit` with each name in a directory below the data directory, and its path there.
    fn each(&mut self, dir: impl AsRef<Path>, mut visit: impl FnMut(&mut Self, &str, PathBuf)) {
        let dir = dir.as_ref();
        match disk::names_in(&self.data.join(dir)) {
            Ok(names) => names.iter().for_each(|name| visit(self, name, dir.join(name))),
            Err(error) => self.unreadable(dir, &error, RESTORE),
        }
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.data.join(path).is_dir()
    }

    fn damaged(&mut self, file: &Path, place: Option<String>, detail: impl Into<String>, next_step: &'static str) {
        self.findings.damage(Damage { file: file.to_path_buf(), place, detail: detail.into(), next_step });
    }

    fn unreadable(&mut self, file: &Path, error: &io::Error, next_step: &'static str) {
        self.damaged(file, None, format!("it cannot be read: {error}"), next_step);
    }

    fn leftover(&mut self, file: &Path, detail: impl Into<String>) {
        self.findings.leftover(Leftover { file: file.to_path_buf(), detail: detail.into() });
    }

    /// A name that nobody here gave, or that a write did not get to give back.
    fn stray(&mut self, file: &Path, name: &str) {
        let is_half = name.ends_with(".tmp") || name.ends_with(".trial") || name.ends_with(".generating");
        self.leftover(file, if is_half { "a crash left it half written" } else { "it is none of Daybook's files" });
    }
}

/// A stored past state: nobody needs it, and it is whole or not.
fn check_keyframe(look: &mut Look<'_>, name: &str, path: PathBuf) {
    if !is_number(name) {
        return look.stray(&path, name);
    }
    look.findings.counts.keyframes += 1;
    match keyframes::flaw(&look.data.join(&path)) {
        Ok(None) => {}
        Ok(Some(flaw)) => look.damaged(&path, None, flaw, MADE_AGAIN),
        Err(error) => look.unreadable(&path, &error, MADE_AGAIN),
    }
}

/// What lies directly in the data directory.
fn top_level(look: &mut Look<'_>, name: &str, path: &Path) {
    match name {
        "LOCK" | "ballast" | "log" | "snapshots" | "keyframes" | "views" | "logs" | "files" | "groups" | "scratch" => {}
        imported::DONE | imported::LEFT_OUT => {}
        imported::UNDER_WAY => look.damaged(path, None, "an import has not come to its end", imported::NEXT_STEP),
        "RESET" => look.leftover(path, "a reset was begun here; the next start finishes it"),
        "log.rebuilt" => look.leftover(path, "a rebuilding of the log was begun here; the next start finishes it"),
        _ if name.starts_with(reset::ARCHIVE_INSIDE) => look.leftover(path, "what a reset moved aside"),
        _ if name.starts_with("log.damaged-") => look.leftover(path, "a damaged log that was put aside"),
        _ => look.stray(path, name),
    }
}

/// Whether a name is a seq, as segments and snapshots are named.
fn is_number(name: &str) -> bool {
    name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit())
}
