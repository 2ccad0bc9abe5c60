//! Makes the data of a server from a backup, as it was at the end of it or at any event or time before: the same log up to
//! there, whose later runs never were. Everything is checked on its way; the directory has its name only when all is there.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::app::backup::{FileEntry, Manifest, ManifestError, manifests, object_in};
use crate::app::lines::LineSource;
use crate::app::replay::{Moment, Summary};
use crate::app::source::SourceError;
use crate::domain::event::Record;
use crate::domain::evolve::evolve;
use crate::domain::id::{JobId, Seq};
use crate::domain::state::State;
use crate::engine::fold;
use crate::log::{AppendError, EventLog, ReadError};
use crate::storage::backup::{is_of_base, is_of_jobs};
use crate::storage::files::FileError;
use crate::storage::restored::{Part, PartError, begin};
use crate::storage::{self, JobFiles, JobLogs, OpenError, Options, disk};

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
    #[error("no backup goes up to event {wanted}; the newest goes up to {last}")]
    NotThatFar { wanted: Seq, last: Seq },
    #[error(
        "the backup begins with event {earliest}, and what came before was dropped by retention; name a later moment"
    )]
    TooEarly { earliest: Seq },
    #[error("{} is there already; name another directory with --data", .0.display())]
    IsThere(PathBuf),
    #[error("{} has not the content that its name says: it is damaged; take another backup with --backup", .0.display())]
    Object(PathBuf),
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
}

/// Restores a backup: the newest one that goes far enough, or the one that is named.
pub fn restore(from: &Path, data: &Path, until: Option<Moment>, name: Option<&str>) -> Result<Restored, RestoreError> {
    let (backup, manifest) = choose(from, until, name)?;
    if data.exists() && disk::names_in(data).is_ok_and(|names| !names.is_empty()) || data.is_file() {
        return Err(RestoreError::IsThere(data.to_path_buf()));
    }
    let new = new_name(data);
    disk::remove_dir(&new).and_then(|()| disk::create_dir(&new)).map_err(io_error("make", &new))?;
    let state = put_log(from, &manifest, until, &new)?;
    let files = put_files(from, &manifest, &state, &new)?;
    if data.exists() {
        std::fs::remove_dir(data).map_err(io_error("remove the empty", data))?;
    }
    std::fs::rename(&new, data).and_then(|()| disk::sync_parent(data)).map_err(io_error("name", data))?;
    Ok(Restored { backup, summary: Summary::of(&state), files })
}

/// The name that the directory has until all is there.
fn new_name(data: &Path) -> PathBuf {
    let name = data.file_name().unwrap_or_default().to_string_lossy();
    data.with_file_name(format!("{name}.restoring"))
}

fn choose(from: &Path, until: Option<Moment>, name: Option<&str>) -> Result<(String, Manifest), RestoreError> {
    let mut all = manifests(from)?;
    let Some(newest) = all.last().map(|(_, manifest)| manifest.last) else {
        return Err(RestoreError::NoBackup(from.to_path_buf()));
    };
    if let Some(name) = name {
        let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
        let unknown = || {
            let (name, dir, there) = (name.to_owned(), from.to_path_buf(), names.join(", "));
            RestoreError::UnknownBackup { name, dir, there }
        };
        all.retain(|(other, _)| other == name);
        if all.is_empty() {
            return Err(unknown());
        }
    }
    let Some(Moment::Event(wanted)) = until else {
        return Ok(all.pop().expect("there is at least one backup"));
    };
    let (enough, begins_at) = (|it: &Manifest| it.last >= wanted, |it: &Manifest| it.earliest <= wanted.next());
    let fitting = all.iter().rposition(|(_, manifest)| enough(manifest) && begins_at(manifest));
    match fitting {
        Some(place) => Ok(all.swap_remove(place)),
        None if newest < wanted => Err(RestoreError::NotThatFar { wanted, last: newest }),
        None => {
            let earliest = all.iter().map(|(_, manifest)| manifest.earliest).min().unwrap_or(Seq(1));
            Err(RestoreError::TooEarly { earliest })
        }
    }
}

/// Makes the log up to the last whole group of the moment, and folds it.
fn put_log(from: &Path, manifest: &Manifest, until: Option<Moment>, new: &Path) -> Result<State, RestoreError> {
    let until = until.unwrap_or(Moment::Event(manifest.last));
    let mut parts = Vec::new();
    for dir in manifest.parts(from) {
        parts.push(Part::open(&dir)?);
    }
    let mut whole = 0;
    for part in &parts {
        if !is_within(part, until)? {
            break;
        }
        part.check()?;
        whole += 1;
    }
    let rest = parts.split_off(whole);
    for entry in manifest.base.iter().filter(|entry| is_of_base(&entry.path)) {
        let object = whole_object(from, entry)?;
        put(&object, &new.join(&entry.path)).map_err(io_error("copy", &object))?;
    }
    begin(new, manifest.lineage, manifest.earliest, &parts).map_err(io_error("make the log in", new))?;
    let opened = storage::open(new, &Options { ballast_bytes: 0, ..Options::default() })?;
    let mut log = opened.log;
    let base = fold::begin(&*log.reader())?;
    if matches!(until, Moment::Time(time) if base.seq() > Seq::ZERO && base.at() > time) {
        return Err(RestoreError::TooEarly { earliest: manifest.earliest });
    }
    let is_cut = !rest.is_empty();
    let mut writer = Appender { log: &mut *log, until, group: Vec::new(), waiting: Vec::new(), bytes: 0 };
    for part in &rest {
        let mut read = Seq(part.first().0 - 1);
        loop {
            let records = part.page_after(read)?;
            let Some(last) = records.last().map(|record| record.seq) else { break };
            read = last;
            if !writer.take_all(records)? {
                break;
            }
        }
    }
    if !is_cut {
        let mut tail = LineSource::of_file(&manifest.tail(from))?;
        while let Some(record) = tail.next_record()? {
            if !writer.take_all(vec![record])? {
                break;
            }
        }
    }
    writer.finish()?;
    let state = fold_on(&*log, base)?;
    log.close()?;
    Ok(state)
}

/// Whether all of a part happened up to a moment.
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

fn fold_on(log: &dyn EventLog, mut state: State) -> Result<State, ReadError> {
    let reader = log.reader();
    loop {
        let records = reader.page_after(state.seq())?;
        if records.is_empty() {
            return Ok(state);
        }
        records.iter().for_each(|record| drop(evolve(&mut state, record)));
    }
}

/// Puts back what the jobs left that are known at this moment.
fn put_files(from: &Path, manifest: &Manifest, state: &State, new: &Path) -> Result<u64, RestoreError> {
    let files = JobFiles::open(new)?;
    let logs = JobLogs::open(new).map_err(io_error("make the place for log lines in", new))?;
    let mut count = 0;
    for entry in &manifest.files {
        let known = job_of(entry).filter(|(job, _)| state.slot(*job).is_some());
        let Some((job, output)) = known else { continue };
        let object = whole_object(from, entry)?;
        let copied = match output {
            Some(name) => {
                let mut file = files.create(job, &name)?;
                let copied = File::open(&object).and_then(|mut input| io::copy(&mut input, &mut file));
                copied.and_then(|_| file.flush()).map_err(io_error("write", &object))?;
                file.finish()?;
                Ok(())
            }
            // It was copied while it was written: to open it cuts off what is torn.
            None => put(&object, &new.join(&entry.path))
                .and_then(|()| logs.read(job, 0, 1).map(drop).map_err(io::Error::other)),
        };
        copied.map_err(io_error("copy", &object))?;
        count += 1;
    }
    Ok(count)
}

/// Where a file's content lies, if it is what its name says.
fn whole_object(from: &Path, entry: &FileEntry) -> Result<PathBuf, RestoreError> {
    let object = object_in(from, &entry.object);
    let mut hasher = blake3::Hasher::new();
    let read = File::open(&object).and_then(|mut file| io::copy(&mut file, &mut hasher));
    read.map_err(io_error("read", &object))?;
    if hasher.finalize().to_hex().as_str() == entry.object { Ok(object) } else { Err(RestoreError::Object(object)) }
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
