//! Copies a running server into a directory of backups: parts of the log and files that are there already are not copied
//! again. A backup is there when its manifest is, which is written last; nothing that an earlier one names is changed.
//!
//! ```text
//!   DIR/log/<first>-<hash>/         parts of the log, each as it was sealed
//!   DIR/tails/<name>.jsonl          the events behind the last part, as an export has them
//!   DIR/objects/7f/<hash>           the base, log lines and output files of jobs, by what is in them
//!   DIR/backups/<name>.json         what belongs to a backup; its name is the time at which it was taken
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::lines::LineSource;
use crate::app::source::SourceError;
use crate::domain::id::{Epoch, Seq};
use crate::domain::time::Timestamp;
use crate::feed::cloudevents::{CloudEvent, Ended};
use crate::sessions::reading::{DataFile, SealedPart};
use crate::storage::disk;
use crate::storage::restored::{Part, PartError};

/// The format of manifests; a later one is refused.
const FORMAT: u32 = 1;
/// How often a server is asked what there is, when it drops what it has offered.
const ATTEMPTS_MAX: u32 = 8;

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

    /// The events behind one, up to another.
    fn events(&self, after: Seq, until: Seq) -> Result<LineSource, Self::Error>;
}

/// What belongs to a backup.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    pub lineage: Uuid,
    pub epoch: Epoch,
    pub at: Timestamp,
    /// The first event that is in it.
    pub earliest: Seq,
    /// The last event that is in it.
    pub last: Seq,
    /// What stands for the events before the first.
    pub base: Vec<FileEntry>,
    parts: Vec<PartEntry>,
    tail: String,
    pub files: Vec<FileEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PartEntry {
    first: Seq,
    last: Seq,
    name: String,
}

/// A file of a job, or of the base.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileEntry {
    /// Below the data directory.
    pub path: String,
    pub bytes: u64,
    modified_ms: u64,
    /// The hash of what is in it.
    pub object: String,
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
    #[error("the server has dropped {0} meanwhile; run the same command again")]
    Gone(String),
    #[error("what came from the server is not whole; run the same command again")]
    Part(#[from] PartError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("could not {step} {}", path.display())]
    Io { step: &'static str, path: PathBuf, source: io::Error },
}

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{} cannot be read", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no manifest of a backup: {detail}; take another one with --backup", path.display())]
    Form { path: PathBuf, detail: String },
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
    /// The same of files.
    pub files: (u64, u64),
    /// Files that were gone when they should be copied: their jobs were forgotten meanwhile.
    pub gone: u64,
}

/// Backs a server up. `watch` hears how many files are done, and of how many.
///
/// A server that drops its oldest events meanwhile is asked anew what there is; what was copied stays.
pub fn back_up<S: BackupServer>(
    server: &S,
    to: &Path,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<BackedUp, BackupError<S::Error>> {
    let mut attempts = 1;
    loop {
        match back_up_once(server, to, watch) {
            Err(BackupError::Gone(_)) if attempts < ATTEMPTS_MAX => attempts += 1,
            done => return done,
        }
    }
}

fn back_up_once<S: BackupServer>(
    server: &S,
    to: &Path,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<BackedUp, BackupError<S::Error>> {
    let offer = server.offer().map_err(BackupError::Server)?;
    let before = manifests(to)?.pop();
    if before.as_ref().is_some_and(|(_, before)| before.lineage != offer.lineage) {
        return Err(BackupError::OtherLog(to.to_path_buf()));
    }
    for dir in ["log", "tails", "objects", "backups"] {
        make(&to.join(dir))?;
    }
    let name = offer.at.to_string().replace([':', '-'], "");
    let mut copy = Copying { server, to, parts: (0, 0), files: (0, 0), gone: 0 };
    let total = (offer.parts.len() + offer.files.len()) as u64;
    let mut parts = Vec::new();
    for part in &offer.parts {
        parts.push(PartEntry { first: part.first, last: part.last, name: copy.part(part)? });
        watch(parts.len() as u64, total);
    }
    let after = parts.last().map_or(Seq(offer.earliest.0 - 1), |part| part.last);
    // A part may have been finished since its end was asked for.
    let last = offer.seq.max(after);
    let tail = format!("{name}.jsonl");
    copy.tail(after, last, &to.join("tails").join(&tail))?;
    let known = before.map(|(_, before)| [before.base, before.files].concat()).unwrap_or_default();
    let known: BTreeMap<&str, &FileEntry> = known.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut base = Vec::new();
    for file in &offer.base {
        let copied = copy.file(file, known.get(file.path.as_str()).copied())?;
        base.push(copied.ok_or_else(|| BackupError::Gone(file.path.clone()))?);
    }
    let mut files = Vec::new();
    for (file, done) in offer.files.iter().zip(parts.len() as u64..) {
        files.extend(copy.file(file, known.get(file.path.as_str()).copied())?);
        watch(done + 1, total);
    }
    let Offer { lineage, epoch, at, earliest, .. } = offer;
    let manifest = Manifest { format: FORMAT, lineage, epoch, at, earliest, last, base, parts, tail, files };
    let path = path_of(to, &name);
    let text = serde_json::to_vec_pretty(&manifest).expect("our own types can be written as JSON");
    disk::write_bytes(&path, &text).map_err(|source| BackupError::Io { step: "write", path, source })?;
    let Copying { parts, files, gone, .. } = copy;
    Ok(BackedUp { backup: name, seq: last, at, parts, files, gone })
}

fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join("backups").join(format!("{name}.json"))
}

fn make<E>(path: &Path) -> Result<(), BackupError<E>> {
    disk::create_dir(path).map_err(|source| BackupError::Io { step: "make", path: path.to_path_buf(), source })
}

/// A copy that is under way.
struct Copying<'a, S> {
    server: &'a S,
    to: &'a Path,
    parts: (u64, u64),
    files: (u64, u64),
    gone: u64,
}

impl<S: BackupServer> Copying<'_, S> {
    /// Copies a part of the log, if it is not there, and gives the name that it has here. Parts of two histories of one
    /// log may begin with the same event: the seal tells them apart.
    fn part(&mut self, part: &SealedPart) -> Result<String, BackupError<S::Error>> {
        let sealed = part.files.iter().find(|file| file.path.ends_with("/SEALED"));
        let sealed = sealed.ok_or_else(|| BackupError::Gone(format!("the part of event {}", part.first)))?;
        let mut seal = Vec::new();
        self.open(&sealed.path)?.read_to_end(&mut seal).map_err(io_error("read", &sealed.path))?;
        let hash = blake3::hash(&seal).to_hex();
        let name = format!("{:020}-{}", part.first.0, &hash[..8]);
        let target = self.to.join("log").join(&name);
        if target.is_dir() {
            self.parts.1 += 1;
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
            save(&mut *input, &path, u64::MAX).map_err(io_error("copy", &path))?;
        }
        Part::open(&temporary)?.check()?;
        std::fs::rename(&temporary, &target)
            .and_then(|()| disk::sync_parent(&target))
            .map_err(io_error("name", &target))?;
        self.parts.0 += 1;
        Ok(name)
    }

    /// Writes the events behind the parts.
    fn tail(&self, after: Seq, last: Seq, path: &Path) -> Result<(), BackupError<S::Error>> {
        let mut lines = self.server.events(after, last).map_err(BackupError::Server)?;
        let begun = lines.begun();
        let failed = || io_error("write", path);
        let mut out = BufWriter::new(File::create(path).map_err(failed())?);
        let mut put = |line: CloudEvent| out.write_all(line.line().as_bytes()).map_err(failed());
        let at = Timestamp::from_ms(0);
        put(CloudEvent::begun(begun, at))?;
        while let Some(record) = lines.next_record()? {
            put(CloudEvent::of(record, begun.lineage))?;
        }
        put(CloudEvent::ended(Ended { last, fold: None }, begun.lineage, at))?;
        out.flush().and_then(|()| out.get_ref().sync_all()).and_then(|()| disk::sync_parent(path)).map_err(failed())
    }

    /// Copies a file of a job, if it is not there. None if it is gone.
    fn file(&mut self, file: &DataFile, known: Option<&FileEntry>) -> Result<Option<FileEntry>, BackupError<S::Error>> {
        let DataFile { path, bytes, modified_ms } = file.clone();
        let is_same = |known: &&FileEntry| known.bytes == bytes && known.modified_ms == modified_ms;
        if let Some(known) = known.filter(is_same).filter(|known| object_in(self.to, &known.object).exists()) {
            self.files.1 += 1;
            return Ok(Some(known.clone()));
        }
        let Some(mut input) = self.server.file(&path).map_err(BackupError::Server)? else {
            self.gone += 1;
            return Ok(None);
        };
        let temporary = self.to.join("objects").join("incoming.tmp");
        // Lines that came since are of a later backup.
        let hash = save(&mut *input, &temporary, bytes).map_err(io_error("copy", &path))?;
        let object = hash.to_hex().to_string();
        let target = object_in(self.to, &object);
        make(target.parent().unwrap_or(self.to))?;
        std::fs::rename(&temporary, &target)
            .and_then(|()| disk::sync_parent(&target))
            .map_err(io_error("name", &target))?;
        self.files.0 += 1;
        Ok(Some(FileEntry { path, bytes, modified_ms, object }))
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read>, BackupError<S::Error>> {
        let file = self.server.file(path).map_err(BackupError::Server)?;
        file.ok_or_else(|| BackupError::Gone(path.to_owned()))
    }
}

/// Where a file's content lies.
pub fn object_in(dir: &Path, object: &str) -> PathBuf {
    dir.join("objects").join(object.get(..2).unwrap_or_default()).join(object)
}

/// Writes what is read into a file, durably, and gives its hash.
fn save(input: &mut dyn Read, path: &Path, bytes_max: u64) -> io::Result<blake3::Hash> {
    let mut file = File::create(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut input = input.take(bytes_max);
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = input.read(&mut piece)?;
        if length == 0 {
            file.sync_all()?;
            return Ok(hasher.finalize());
        }
        hasher.update(&piece[..length]);
        file.write_all(&piece[..length])?;
    }
}

fn io_error<E>(step: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> BackupError<E> {
    let path = path.as_ref().to_path_buf();
    move |source| BackupError::Io { step, path, source }
}

/// All backups in a directory, the oldest first, with their names.
pub fn manifests(dir: &Path) -> Result<Vec<(String, Manifest)>, ManifestError> {
    let backups = dir.join("backups");
    if !backups.is_dir() {
        return Ok(Vec::new());
    }
    let names = disk::names_in(&backups).map_err(|source| ManifestError::Io { path: backups.clone(), source })?;
    let names = names.iter().filter_map(|name| name.strip_suffix(".json"));
    names.map(|name| Ok((name.to_owned(), Manifest::read(&path_of(dir, name))?))).collect()
}

impl Manifest {
    fn read(path: &Path) -> Result<Manifest, ManifestError> {
        let text = std::fs::read(path).map_err(|source| ManifestError::Io { path: path.to_path_buf(), source })?;
        let failed = |detail: String| ManifestError::Form { path: path.to_path_buf(), detail };
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
        if manifest.format > FORMAT { Err(failed("a newer daybook wrote it".into())) } else { Ok(manifest) }
    }

    /// Where its parts of the log lie, in order.
    pub fn parts(&self, dir: &Path) -> Vec<PathBuf> {
        self.parts.iter().map(|part| dir.join("log").join(&part.name)).collect()
    }

    /// Where the events behind them lie.
    pub fn tail(&self, dir: &Path) -> PathBuf {
        dir.join("tails").join(&self.tail)
    }
}
