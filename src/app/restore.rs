//! Makes the data of a server from a backup, as it was at the end of it or at any event or time before: the same log up to
//! there, whose later runs never were. Everything is checked on its way; the directory has its name only when all is there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::app::backup::manifest::{FileEntry, Manifest, ManifestError, names, object_in};
use crate::app::lines::LineSource;
use crate::app::replay::{Moment, Summary};
use crate::app::source::SourceError;
use crate::domain::event::Record;
use crate::domain::id::{JobId, Seq};
use crate::domain::job::FileInfo;
use crate::domain::time::Timestamp;
use crate::engine::fold;
use crate::engine::verify::{Verdict, verify};
use crate::log::{AppendError, EventLog, ReadError};
use crate::storage::backup::{is_of_base, is_of_jobs};
use crate::storage::files::FileError;
use crate::storage::restored::{Part, PartError, begin};
use crate::storage::{self, DirectoryLock, JobFiles, JobLogs, OpenError, Options, disk, imported};

/// A submission is handed over when it has so many events, or about so many bytes.
const SUBMIT_EVENTS: usize = 1024;
const SUBMIT_BYTES: usize = 4 * 1024 * 1024;

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("there is no backup in {}; name the directory that `daybook backup --to` filled", .0.display())]
    NoBackup(PathBuf),
    #[error("there is no backup {name} in {}; there are {there}", dir.display())]
    UnknownBackup { name: String, dir: PathBuf, there: String },
    #[error("no backup goes up to event {wanted}; {name} goes furthest, up to {last}")]
    NotThatFar { wanted: Seq, name: String, last: Seq },
    #[error("no backup was taken at {wanted} or later; the newest was taken at {at}, and goes up to event {last}")]
    NotThatLate { wanted: Timestamp, at: Timestamp, last: Seq },
    #[error(
        "the backup begins with event {earliest}, and what came before was dropped by retention; name a later moment"
    )]
    TooEarly { earliest: Seq },
    #[error(
        "the backup cannot go back to event {seq}: what jobs carried that were known then was dropped by retention or \
         purged since ({detail}); name a later moment"
    )]
    Incomplete { seq: Seq, detail: String },
    #[error("{} is there already and is not empty; name another directory with --data", .0.display())]
    IsThere(PathBuf),
    #[error("another restore into {} is under way; wait until it has ended, or name another directory with --data", .0.display())]
    UnderWay(PathBuf),
    #[error("another command uses the backups in {}; wait until it has ended", .0.display())]
    InUse(PathBuf),
    #[error("{} has not the content that its name says: it is damaged; take another backup with --backup", .0.display())]
    Object(PathBuf),
    #[error("{} of this backup cannot be read ({cause}); take another backup with --backup", path.display())]
    NoObject { path: PathBuf, cause: io::Error },
    #[error("{0}; take another backup with --backup, or an event before it with --until")]
    Part(#[from] PartError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the log could not be written")]
    Append(#[from] AppendError),
    #[error("could not {step} {}", path.display())]
    Io { step: &'static str, path: PathBuf, source: io::Error },
}

/// What was restored.
pub struct Restored {
    pub backup: String,
    pub summary: Summary,
    /// How many files of jobs there are, with their logs.
    pub files: u64,
    /// How many files the log names that the backup does not have: they were gone when it was taken.
    pub left_out: u64,
}

/// Restores a backup: the newest one that has the event, the oldest one that has the time, or the one that is named.
pub fn restore(from: &Path, data: &Path, until: Option<Moment>, name: Option<&str>) -> Result<Restored, RestoreError> {
    refuse_what_is_there(data)?;
    // It gets its name from its parent, also when it is named by a dot.
    let data = &std::path::absolute(data).map_err(io_error("find", data))?;
    // Nothing of it is removed meanwhile. It may lie on a medium that cannot be written.
    let _lock = DirectoryLock::take_to_read(from).map_err(|error| match error {
        OpenError::Locked(_) => RestoreError::InUse(from.to_path_buf()),
        other => RestoreError::Open(other),
    })?;
    let candidates = candidates(from, until, name)?;
    let new = new_name(data);
    let _ours = DirectoryLock::take_itself(&new).map_err(|error| match error {
        OpenError::Locked(_) => RestoreError::UnderWay(data.to_path_buf()),
        other => RestoreError::Open(other),
    })?;
    // Another restore may have come to its end while this one waited.
    let restored = refuse_what_is_there(data).and_then(|()| first_that_fits(from, data, &new, until, candidates));
    if restored.is_err() {
        disk::remove_dir(&new).map_err(io_error("clear", &new))?;
    }
    restored
}

fn refuse_what_is_there(data: &Path) -> Result<(), RestoreError> {
    let is_empty = disk::names_in(data).is_ok_and(|names| names.is_empty());
    if is_empty { Ok(()) } else { Err(RestoreError::IsThere(data.to_path_buf())) }
}

fn first_that_fits(
    from: &Path,
    data: &Path,
    new: &Path,
    until: Option<Moment>,
    candidates: Vec<(String, Manifest)>,
) -> Result<Restored, RestoreError> {
    let mut refused = None;
    for (backup, manifest) in candidates {
        disk::clear_dir(new).map_err(io_error("clear", new))?;
        let verdict = put_log(from, &manifest, until, new);
        match verdict.and_then(|verdict| finish(from, data, new, (backup, manifest), verdict)) {
            // An older one may go further back.
            Err(error @ (RestoreError::TooEarly { .. } | RestoreError::Incomplete { .. })) => {
                refused.get_or_insert(error);
            }
            other => return other,
        }
    }
    Err(refused.unwrap_or_else(|| RestoreError::NoBackup(from.to_path_buf())))
}

fn finish(
    from: &Path,
    data: &Path,
    new: &Path,
    (backup, manifest): (String, Manifest),
    verdict: Verdict,
) -> Result<Restored, RestoreError> {
    let (files, outputs) = put_files(from, &manifest, &verdict, new)?;
    let named = verdict.files.iter().flat_map(|(job, files)| files.iter().map(|file| (*job, file.name.to_string())));
    let left_out: Vec<(JobId, String)> = named.filter(|file| !outputs.contains(file)).collect();
    imported::note_left_out(new, &left_out).map_err(io_error("note what is left out in", new))?;
    if data.exists() {
        refuse_what_is_there(data)?;
        std::fs::remove_dir(data).map_err(io_error("remove the empty", data))?;
    }
    std::fs::rename(new, data).and_then(|()| disk::sync_parent(data)).map_err(io_error("name", data))?;
    Ok(Restored { backup, summary: Summary::of(&verdict.state), files, left_out: left_out.len() as u64 })
}

/// The name that the directory has until all is there.
fn new_name(data: &Path) -> PathBuf {
    let name = data.file_name().unwrap_or_default().to_string_lossy();
    data.with_file_name(format!("{name}.restoring"))
}

/// The backups that go up to a moment, the best first: of an event the newest, and of a time the oldest, which was taken
/// right after it and has what the server knew then. A newer one may be of a server that was restored in between, and
/// never knew it.
fn candidates(from: &Path, until: Option<Moment>, name: Option<&str>) -> Result<Vec<(String, Manifest)>, RestoreError> {
    let mut all = names(from)?;
    if all.is_empty() {
        return Err(RestoreError::NoBackup(from.to_path_buf()));
    }
    if let Some(name) = name {
        let there = all.join(", ");
        all.retain(|other| other == name);
        if all.is_empty() {
            let (name, dir) = (name.to_owned(), from.to_path_buf());
            return Err(RestoreError::UnknownBackup { name, dir, there });
        }
    }
    let read = |name: String| Ok((Manifest::read(from, &name)?, name));
    if until.is_none() {
        let (manifest, name) = read(all.pop().expect("there is at least one backup"))?;
        return Ok(vec![(name, manifest)]);
    }
    let all: Vec<(Manifest, String)> = all.into_iter().map(read).collect::<Result<_, ManifestError>>()?;
    let earliest = all.iter().map(|(manifest, _)| manifest.earliest).min().unwrap_or(Seq(1));
    let goes_up_to = |manifest: &Manifest| match until {
        Some(Moment::Event(seq)) => manifest.last >= seq,
        Some(Moment::Time(time)) => manifest.at >= time,
        None => true,
    };
    if !all.iter().any(|(manifest, _)| goes_up_to(manifest)) {
        return Err(not_reached(until, all));
    }
    let mut fitting: Vec<(String, Manifest)> =
        all.into_iter().map(|(manifest, name)| (name, manifest)).filter(|it| goes_up_to(&it.1)).collect();
    match until {
        Some(Moment::Event(wanted)) => {
            fitting.reverse();
            fitting.retain(|(_, manifest)| manifest.earliest <= wanted.next());
            if fitting.is_empty() { Err(RestoreError::TooEarly { earliest }) } else { Ok(fitting) }
        }
        _ => Ok(fitting),
    }
}

/// The moment lies behind all of them: says how far they go.
fn not_reached(until: Option<Moment>, all: Vec<(Manifest, String)>) -> RestoreError {
    let there = "there is at least one backup";
    match until {
        Some(Moment::Time(wanted)) => {
            let (newest, _) = all.into_iter().max_by_key(|(manifest, _)| manifest.at).expect(there);
            RestoreError::NotThatLate { wanted, at: newest.at, last: newest.last }
        }
        other => {
            let (furthest, name) = all.into_iter().max_by_key(|(manifest, _)| manifest.last).expect(there);
            let wanted = if let Some(Moment::Event(seq)) = other { seq } else { furthest.last };
            RestoreError::NotThatFar { wanted, name, last: furthest.last }
        }
    }
}

/// Makes the log up to the last whole group of the moment, and folds it.
fn put_log(from: &Path, manifest: &Manifest, until: Option<Moment>, new: &Path) -> Result<Verdict, RestoreError> {
    let until = until.unwrap_or(Moment::Event(manifest.last));
    let (mut parts, mut whole) = (Vec::new(), 0);
    for dir in manifest.part_dirs(from) {
        parts.push(Part::open(&dir)?);
    }
    for part in &parts {
        if !is_within(part, until)? {
            break;
        }
        part.check()?;
        whole += 1;
    }
    let rest = parts.split_off(whole);
    for entry in manifest.base.iter().filter(|entry| is_of_base(&entry.path)) {
        let object = whole_object(from, &entry.object)?;
        put(&object, &new.join(&entry.path)).map_err(io_error("copy", &object))?;
    }
    begin(new, manifest.lineage, manifest.earliest, &parts).map_err(io_error("make the log in", new))?;
    let mut log = storage::open(new, &Options { ballast_bytes: 0, ..Options::default() })?.log;
    let base = fold::begin(&*log.reader())?;
    if matches!(until, Moment::Time(time) if base.seq() > Seq::ZERO && base.at() > time) {
        return Err(RestoreError::TooEarly { earliest: manifest.earliest });
    }
    drop(base);
    append(from, manifest, &rest, Appender::to(&mut *log, until))?;
    let verdict = verify(&*log.reader(), None, Vec::new())?;
    log.close()?;
    // Events behind the parts are copied without what was purged by then. At the end of a backup that is as it was: the
    // purge came while it was copied, and nobody can go to a later moment of it.
    let hollow = verdict.hollow.filter(|_| verdict.seq < manifest.last);
    let hollow = hollow.map(|job| format!("job {job} was purged before the backup was taken"));
    match verdict.differences.first().map(ToString::to_string).or(hollow) {
        Some(detail) => Err(RestoreError::Incomplete { seq: verdict.seq, detail }),
        None => Ok(verdict),
    }
}

/// Appends what is behind the parts that are there as they were.
fn append(from: &Path, manifest: &Manifest, rest: &[Part], mut to: Appender<'_>) -> Result<(), RestoreError> {
    for part in rest {
        let mut read = Seq(part.first().0 - 1);
        loop {
            let records = part.page_after(read)?;
            let Some(last) = records.last().map(|record| record.seq) else { break };
            read = last;
            if !to.take_all(records)? {
                return Ok(to.finish()?);
            }
        }
    }
    for tail in &manifest.tails {
        let mut lines = LineSource::of_file(&whole_object(from, &tail.object)?)?;
        while let Some(record) = lines.next_record()? {
            if !to.take_all(vec![record])? {
                return Ok(to.finish()?);
            }
        }
    }
    Ok(to.finish()?)
}

/// Whether all of a part happened up to a moment. No group goes beyond a part.
fn is_within(part: &Part, until: Moment) -> Result<bool, PartError> {
    let last = Seq(part.last().0 - 1);
    Ok(part.page_after(last)?.iter().all(|record| until.includes(record)))
}

/// Appends whole groups.
struct Appender<'a> {
    log: &'a mut dyn EventLog,
    until: Moment,
    /// A group whose end has not come.
    group: Vec<Record>,
    waiting: Vec<Record>,
    bytes: usize,
}

impl Appender<'_> {
    fn to(log: &mut dyn EventLog, until: Moment) -> Appender<'_> {
        Appender { log, until, group: Vec::new(), waiting: Vec::new(), bytes: 0 }
    }

    /// Says whether more is wanted.
    fn take_all(&mut self, records: Vec<Record>) -> Result<bool, AppendError> {
        for record in records {
            if !self.until.includes(&record) {
                return Ok(false);
            }
            let ends = !record.continues;
            self.bytes += record.event.weight();
            self.group.push(record);
            if ends {
                self.waiting.append(&mut self.group);
                if self.waiting.len() >= SUBMIT_EVENTS || self.bytes >= SUBMIT_BYTES {
                    self.submit()?;
                }
            }
        }
        Ok(true)
    }

    fn submit(&mut self) -> Result<(), AppendError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.log.submit(std::mem::take(&mut self.waiting).into())?;
        self.bytes = 0;
        self.log.committed().map(drop)
    }

    /// What is left of a group that is cut in two never was.
    fn finish(mut self) -> Result<(), AppendError> {
        self.submit()
    }
}

/// Puts back what the jobs left that are known at this moment. Gives how many files that are, and the output files.
fn put_files(
    from: &Path,
    manifest: &Manifest,
    verdict: &Verdict,
    new: &Path,
) -> Result<(u64, BTreeSet<(JobId, String)>), RestoreError> {
    let files = JobFiles::open(new)?;
    let logs = JobLogs::open(new).map_err(io_error("make the place for log lines in", new))?;
    let (mut count, mut outputs) = (0, BTreeSet::new());
    for entry in &manifest.files {
        let Some((job, output)) = job_of(entry).filter(|file| is_named(verdict, file, entry.bytes)) else { continue };
        let object = whole_object(from, &entry.object)?;
        let copied = match output {
            Some(name) => {
                let mut file = files.create(job, &name)?;
                let copied = File::open(&object).and_then(|mut input| io::copy(&mut input, &mut file));
                copied.and_then(|_| file.flush()).map_err(io_error("write", &object))?;
                file.finish()?;
                outputs.insert((job, name));
                Ok(())
            }
            // It was copied while it was written: to open it cuts off what is torn.
            None => put(&object, &new.join(&entry.path))
                .and_then(|()| logs.read(job, 0, 1).map(drop).map_err(io::Error::other)),
        };
        copied.map_err(io_error("copy", &object))?;
        count += 1;
    }
    Ok((count, outputs))
}

/// Whether a job is known that has log lines, or just this output file: one of another size took its place later.
fn is_named(verdict: &Verdict, (job, output): &(JobId, Option<String>), bytes: u64) -> bool {
    let is_it = |file: &FileInfo, name: &str| *file.name == *name && file.size == bytes;
    match output {
        Some(name) => verdict.files.get(job).is_some_and(|files| files.iter().any(|file| is_it(file, name))),
        None => verdict.state.slot(*job).is_some(),
    }
}

/// Where some content lies, if it is what its name says.
fn whole_object(from: &Path, name: &str) -> Result<PathBuf, RestoreError> {
    let object = object_in(from, name);
    let mut hasher = blake3::Hasher::new();
    let read = File::open(&object).and_then(|mut file| io::copy(&mut file, &mut hasher));
    read.map_err(|cause| RestoreError::NoObject { path: object.clone(), cause })?;
    if hasher.finalize().to_hex().as_str() == name { Ok(object) } else { Err(RestoreError::Object(object)) }
}

fn put(object: &Path, target: &Path) -> io::Result<()> {
    disk::create_dir(target.parent().unwrap_or(target))?;
    std::fs::copy(object, target)?;
    File::open(target)?.sync_all()?;
    disk::sync_parent(target)
}

/// The job of a file, and the name of the file if it is an output file; none if it is neither.
fn job_of(entry: &FileEntry) -> Option<(JobId, Option<String>)> {
    if !is_of_jobs(&entry.path) {
        return None;
    }
    match entry.path.split('/').collect::<Vec<_>>()[..] {
        ["files", job, name] => Some((job.parse().ok()?, Some(name.to_owned()))),
        [_, _, job] => Some((job.parse().ok()?, None)),
        _ => None,
    }
}

fn io_error(step: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.as_ref().to_path_buf();
    move |source| RestoreError::Io { step, path, source }
}
