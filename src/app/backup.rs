//! Copies a running server into a directory of backups: parts of the log, events and files that are there already are not
//! copied again. A backup is there when its manifest is, which is written last; nothing that an earlier one names is changed.
//!
//! ```text
//!   DIR/log/<first>-<hash>/         parts of the log, each as it was sealed
//!   DIR/objects/7f/<hash>           the base, the events behind the last part as an export has them, log lines and output
//!                                   files of jobs: by what is in them
//!   DIR/backups/<name>.json         what belongs to a backup; its name is the time at which it was taken
//!   DIR/LOCK                        held by whoever writes here, or reads what must stay
//! ```

pub mod manifest;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::lines::LineSource;
use crate::app::source::SourceError;
use crate::domain::event::Record;
use crate::domain::id::{Epoch, Seq};
use crate::domain::time::Timestamp;
use crate::feed::cloudevents::{Begun, CloudEvent, Ended, FORMAT};
use crate::sessions::reading::{DataFile, SealedPart};
use crate::storage::backup::is_of_jobs_log;
use crate::storage::restored::{Part, PartError};
use crate::storage::{DirectoryLock, OpenError, disk};
use manifest::{FileEntry, Manifest, ManifestError, PartEntry, TailEntry, Taken, object_in};

/// How often a server is asked what there is, when it drops what it has offered.
const ATTEMPTS_MAX: u32 = 8;
/// How many pieces the events behind the last part may come in; then they are copied anew, in one.
const TAILS_MAX: usize = 64;

/// What a server offers to a backup.
#[derive(Debug, Deserialize)]
pub struct Offer {
    pub lineage: Uuid,
    pub epoch: Epoch,
    pub at: Timestamp,
    pub earliest: Seq,
    pub seq: Seq,
    pub base: Vec<DataFile>,
    pub parts: Vec<SealedPart>,
    pub files: Vec<DataFile>,
}

/// A server that is backed up.
pub trait BackupServer {
    /// Why it could not be asked.
    type Error;

    /// What there is.
    fn offer(&self) -> Result<Offer, Self::Error>;

    /// A file of the offer; none if it is gone.
    fn file(&self, path: &str) -> Result<Option<Box<dyn Read>>, Self::Error>;

    /// The events behind one, up to another; none if they are gone.
    fn events(&self, after: Seq, until: Seq) -> Result<Option<LineSource>, Self::Error>;

    /// Nothing more is copied: it may drop what is due. If it does not hear that, it finds out by itself after a while.
    fn release(&self);
}

/// Why nothing was backed up.
#[derive(Debug, thiserror::Error)]
pub enum BackupError<E> {
    #[error("the server could not be asked")]
    Server(E),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{} has backups of another log; name another directory with --to", .0.display())]
    OtherLog(PathBuf),
    #[error("{} is not empty and has no backups; name another directory with --to, or one that is not there yet", .0.display())]
    NotBackups(PathBuf),
    #[error("another command uses the backups in {}; wait until it has ended", .0.display())]
    InUse(PathBuf),
    #[error("the server drops faster than it can be copied: {0} was gone; run the same command again")]
    Gone(String),
    #[error("what came from the server is not whole: {0}; run the same command again")]
    Part(#[from] PartError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Lock(OpenError),
    #[error("could not {step} {}", path.display())]
    Io { step: &'static str, path: PathBuf, source: io::Error },
}

/// What was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// The name of the backup.
    pub backup: String,
    pub seq: Seq,
    pub at: Timestamp,
    /// How many parts of the log were copied, and how many were there already.
    pub parts: (u64, u64),
    /// The same of the events behind them.
    pub events: (u64, u64),
    /// The same of files.
    pub files: (u64, u64),
    /// How many bytes were copied in all.
    pub bytes: u64,
    /// Files that were gone when they should be copied: their jobs were forgotten meanwhile.
    pub gone: u64,
    /// How many older backups were removed.
    pub removed: u64,
}

/// Backs a server up, and removes all but the newest `keep` backups then. `watch` hears how many files are done, and of how
/// many.
///
/// A server that drops meanwhile what it has offered is asked anew what there is; what was copied stays.
pub fn back_up<S: BackupServer>(
    server: &S,
    to: &Path,
    keep: Option<usize>,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<BackedUp, BackupError<S::Error>> {
    if !disk::names_in(to).map_err(io_error("look into", to))?.is_empty() && !to.join(manifest::BACKUPS).is_dir() {
        return Err(BackupError::NotBackups(to.to_path_buf()));
    }
    // This one first: by it the directory is known as one of backups.
    [manifest::BACKUPS, manifest::LOG, manifest::OBJECTS].iter().try_for_each(|dir| make(&to.join(dir)))?;
    let _lock = DirectoryLock::take(to).map_err(|error| match error {
        OpenError::Locked(_) => BackupError::InUse(to.to_path_buf()),
        other => BackupError::Lock(other),
    })?;
    let mut copy = Copying { server, to, done: Done::default() };
    let mut attempt = 1;
    let copied = loop {
        match copy.all(attempt == ATTEMPTS_MAX, watch) {
            Err(BackupError::Gone(_) | BackupError::Source(SourceError::BrokenOff { .. }))
                if attempt < ATTEMPTS_MAX =>
            {
                attempt += 1;
            }
            done => break done,
        }
    };
    server.release();
    let (name, manifest) = copied?;
    manifest.write(to, &name).map_err(io_error("write the manifest in", to))?;
    let removed = keep.map_or(Ok(0), |keep| manifest::prune(to, keep))?;
    let Done { parts, events, files, bytes, gone } = copy.done;
    Ok(BackedUp { backup: name, seq: manifest.last, at: manifest.at, parts, events, files, bytes, gone, removed })
}

fn make<E>(path: &Path) -> Result<(), BackupError<E>> {
    disk::create_dir(path).map_err(io_error("make", path))
}

/// A copy that is under way.
struct Copying<'a, S> {
    server: &'a S,
    to: &'a Path,
    done: Done,
}

/// What was copied, and what was there already.
#[derive(Debug, Default)]
struct Done {
    parts: (u64, u64),
    events: (u64, u64),
    files: (u64, u64),
    bytes: u64,
    gone: u64,
}

impl<S: BackupServer> Copying<'_, S> {
    /// Copies what there is now, and tells it. If files of jobs are gone, their jobs were forgotten behind the last event
    /// that is copied: only the last attempt puts up with that.
    fn all(
        &mut self,
        is_last: bool,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<(String, Manifest), BackupError<S::Error>> {
        let before = self.newest()?;
        let offer = self.server.offer().map_err(BackupError::Server)?;
        if before.as_ref().is_some_and(|before| before.lineage != offer.lineage) {
            return Err(BackupError::OtherLog(self.to.to_path_buf()));
        }
        // Bytes are counted over all attempts; what was copied by an earlier one is there by now.
        self.done = Done { bytes: self.done.bytes, ..Done::default() };
        let total = (offer.parts.len() + offer.base.len() + offer.files.len()) as u64;
        let mut done = 0;
        let mut next = |watch: &mut dyn FnMut(u64, u64)| {
            done += 1;
            watch(done, total);
        };
        let known = before.iter().flat_map(|before| before.base.iter().chain(&before.files));
        let known: BTreeMap<&str, &FileEntry> = known.map(|file| (file.path.as_str(), file)).collect();
        let known = |file: &DataFile| known.get(file.path.as_str()).copied();
        // What retention may drop comes first.
        let (mut base, mut parts, mut files) = (Vec::new(), Vec::new(), Vec::new());
        for file in &offer.base {
            let copied = self.file(file, known(file))?;
            base.push(copied.ok_or_else(|| BackupError::Gone(file.path.clone()))?);
            next(watch);
        }
        for part in &offer.parts {
            parts.push(PartEntry { first: part.first, last: part.last, name: self.part(part)? });
            next(watch);
        }
        let Offer { lineage, epoch, at, earliest, seq: last, .. } = offer;
        let tails = self.tails(before.as_ref(), parts.last().map_or(Seq(earliest.0 - 1), |part| part.last), last)?;
        for file in &offer.files {
            match self.file(file, known(file))? {
                Some(entry) => files.push(entry),
                None if is_last => self.done.gone += 1,
                None => return Err(BackupError::Gone(file.path.clone())),
            }
            next(watch);
        }
        let taken = Taken { lineage, epoch, at, earliest, last };
        Ok((at.to_string().replace([':', '-'], ""), Manifest::of(taken, base, parts, tails, files)))
    }

    /// The newest backup. One that is damaged is no reason to take none: then everything is copied that is not there.
    fn newest(&self) -> Result<Option<Manifest>, BackupError<S::Error>> {
        let names = manifest::names(self.to)?;
        Ok(names.iter().rev().find_map(|name| Manifest::read(self.to, name).ok()))
    }

    /// Copies a part of the log, if it is not there, and gives the name that it has here. Parts of two histories of one
    /// log may begin with the same event: the seal tells them apart.
    fn part(&mut self, part: &SealedPart) -> Result<String, BackupError<S::Error>> {
        let sealed = part.files.iter().find(|file| file.path.ends_with("/SEALED"));
        let sealed = sealed.ok_or_else(|| BackupError::Gone(format!("the part of event {}", part.first)))?;
        let mut seal = Vec::new();
        self.open(&sealed.path)?.read_to_end(&mut seal).map_err(io_error("read", &sealed.path))?;
        let hash = blake3::hash(&seal).to_hex();
        let name = format!("{:020}-{}", part.first.0, &hash[..8]);
        let target = self.to.join(manifest::LOG).join(&name);
        if target.is_dir() {
            self.done.parts.1 += 1;
            return Ok(name);
        }
        let temporary = disk::temporary_of(&target);
        disk::remove_dir(&temporary).map_err(io_error("clear", &temporary))?;
        for file in &part.files {
            // Below the part's own directory.
            let below: PathBuf = Path::new(&file.path).components().skip(2).collect();
            let path = temporary.join(below);
            make(path.parent().unwrap_or(&temporary))?;
            let mut input = self.open(&file.path)?;
            self.done.bytes += save(&mut *input, &path, u64::MAX).map_err(io_error("copy", &path))?.1;
        }
        Part::open(&temporary)?.check()?;
        std::fs::rename(&temporary, &target)
            .and_then(|()| disk::sync_parent(&target))
            .map_err(io_error("name", &target))?;
        self.done.parts.0 += 1;
        Ok(name)
    }

    /// Copies the events behind the parts, up to the last one; those that the backup before has are not asked for again.
    fn tails(
        &mut self,
        before: Option<&Manifest>,
        after: Seq,
        last: Seq,
    ) -> Result<Vec<TailEntry>, BackupError<S::Error>> {
        if after == last {
            return Ok(Vec::new());
        }
        let there = |before: &&Manifest| {
            let is_there = |tail: &TailEntry| object_in(self.to, &tail.object).exists();
            let fits = before.sealed() == after && (after.next()..=last).contains(&before.last);
            fits && before.tails.len() < TAILS_MAX && before.tails.iter().all(is_there)
        };
        if let Some(before) = before.filter(there) {
            let has = last_record(self.to, &before.tails);
            // The event before tells whether it is the same history: a server may have been restored meanwhile.
            let mut lines = self.events(Seq(before.last.0 - 1), last)?;
            if has.is_some() && lines.next_record()? == has {
                self.done.events.1 = before.last.0 - after.0;
                let mut tails = before.tails.clone();
                tails.extend(self.tail(lines, before.last, last)?);
                return Ok(tails);
            }
        }
        let lines = self.events(after, last)?;
        Ok(self.tail(lines, after, last)?.into_iter().collect())
    }

    /// Writes the events behind one; none if there are none.
    fn tail(
        &mut self,
        mut lines: LineSource,
        after: Seq,
        last: Seq,
    ) -> Result<Option<TailEntry>, BackupError<S::Error>> {
        if after == last {
            return Ok(None);
        }
        let Begun { lineage, epoch, .. } = lines.begun();
        let path = self.incoming();
        let failed = || io_error("write", &path);
        let mut out = BufWriter::new(File::create(&path).map_err(failed())?);
        let mut put = |line: CloudEvent| out.write_all(line.line().as_bytes()).map_err(failed());
        let at = Timestamp::from_ms(0);
        put(CloudEvent::begun(Begun { format: FORMAT, lineage, earliest: after.next(), last, epoch, base: None }, at))?;
        while let Some(record) = lines.next_record()? {
            put(CloudEvent::of(record, lineage))?;
        }
        put(CloudEvent::ended(Ended { last, fold: None }, lineage, at))?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(failed())?;
        let mut hasher = blake3::Hasher::new();
        self.done.bytes += File::open(&path).and_then(|mut file| io::copy(&mut file, &mut hasher)).map_err(failed())?;
        self.done.events.0 = last.0 - after.0;
        Ok(Some(TailEntry { last, object: self.name_incoming(hasher.finalize())? }))
    }

    /// Copies a file, if it is not there. None if it is gone.
    fn file(&mut self, file: &DataFile, known: Option<&FileEntry>) -> Result<Option<FileEntry>, BackupError<S::Error>> {
        let DataFile { path, bytes, modified_ms } = file.clone();
        let is_same = |known: &&FileEntry| known.bytes == bytes && known.modified_ms == modified_ms;
        let is_there =
            |known: &&FileEntry| object_in(self.to, &known.object).metadata().is_ok_and(|it| it.len() == bytes);
        if let Some(known) = known.filter(is_same).filter(is_there) {
            self.done.files.1 += 1;
            return Ok(Some(known.clone()));
        }
        let Some(mut input) = self.server.file(&path).map_err(BackupError::Server)? else { return Ok(None) };
        // Lines that came since are of a later backup; any other file is whole or nothing.
        let bytes_max = if is_of_jobs_log(&path) { bytes } else { u64::MAX };
        let (hash, bytes) = save(&mut *input, &self.incoming(), bytes_max).map_err(io_error("copy", &path))?;
        let object = self.name_incoming(hash)?;
        self.done.files.0 += 1;
        self.done.bytes += bytes;
        Ok(Some(FileEntry { path, bytes, modified_ms, object }))
    }

    fn incoming(&self) -> PathBuf {
        self.to.join(manifest::OBJECTS).join("incoming.tmp")
    }

    /// Gives what came the name that says what is in it.
    fn name_incoming(&self, hash: blake3::Hash) -> Result<String, BackupError<S::Error>> {
        let object = hash.to_hex().to_string();
        let target = object_in(self.to, &object);
        make(target.parent().unwrap_or(self.to))?;
        std::fs::rename(self.incoming(), &target)
            .and_then(|()| disk::sync_parent(&target))
            .map_err(io_error("name", &target))?;
        Ok(object)
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read>, BackupError<S::Error>> {
        let file = self.server.file(path).map_err(BackupError::Server)?;
        file.ok_or_else(|| BackupError::Gone(path.to_owned()))
    }

    fn events(&self, after: Seq, until: Seq) -> Result<LineSource, BackupError<S::Error>> {
        let lines = self.server.events(after, until).map_err(BackupError::Server)?;
        lines.ok_or_else(|| BackupError::Gone(format!("event {}", after.next())))
    }
}

/// The last event of these pieces; none if they are not what they were.
fn last_record(dir: &Path, tails: &[TailEntry]) -> Option<Record> {
    let mut lines = LineSource::of_file(&object_in(dir, &tails.last()?.object)).ok()?;
    let mut last = None;
    while let Some(record) = lines.next_record().ok()? {
        last = Some(record);
    }
    last
}

/// Writes what is read into a file, durably, and gives its hash and length.
fn save(input: &mut dyn Read, path: &Path, bytes_max: u64) -> io::Result<(blake3::Hash, u64)> {
    let mut file = File::create(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut input = input.take(bytes_max);
    let (mut piece, mut bytes) = (vec![0; 64 * 1024], 0);
    loop {
        let length = input.read(&mut piece)?;
        if length == 0 {
            file.sync_all()?;
            return Ok((hasher.finalize(), bytes));
        }
        hasher.update(&piece[..length]);
        file.write_all(&piece[..length])?;
        bytes += length as u64;
    }
}

fn io_error<E>(step: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> BackupError<E> {
    let path = path.as_ref().to_path_buf();
    move |source| BackupError::Io { step, path, source }
}
