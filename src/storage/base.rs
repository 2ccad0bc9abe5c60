//! The base of a log whose oldest events were dropped, as files: `log/base/<earliest>/`, and beside it what it carries.
//!
//! ```text
//!   state, jobs     what they are is not known here
//!   MANIFEST        "DBBASE\x01\x00" │ lineage 16 │ earliest u64 │ hash of the page before it 32 │
//!                   { length u64 │ blake3 32 } of state and of jobs │ count u32 │
//!                   { first u64 │ last u64 │ blake3 32 }* of the carried files │ crc32
//! ```
//!
//! HEAD says which base counts: the one at its `earliest`. It is there in full before HEAD names it, and what it stands
//! for goes only after that; so what else lies there is left over from a crash, whatever it is.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::ReadError;
use crate::log::base::{Base, Fill};
use crate::log::chain::{ChainEnd, PageHash};
use crate::storage::carried::{CarriedError, CarriedFile, CarriedName};
use crate::storage::disk;
use crate::storage::open::{NEXT_STEP, explain};
use crate::storage::recovery::segments_in;
use crate::storage::segment::{first_of, name_of};

const MANIFEST: &str = "MANIFEST";
const MAGIC: [u8; 8] = *b"DBBASE\x01\x00";
const FIXED_BYTES: usize = 148;
const CARRIED_BYTES: usize = 48;
const BUFFER_BYTES: usize = 256 * 1024;

/// The parts of a base, by their names.
pub const PARTS: [&str; 2] = ["state", "jobs"];

/// What a base consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Where the chain stands behind what it stands for: the first kept page continues it.
    pub start: ChainEnd,
    /// Of [`PARTS`], in their order.
    pub parts: [Part; 2],
    /// In the order of the events.
    pub carried: Vec<CarriedName>,
}

/// What a file has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub bytes: u64,
    pub hash: [u8; 32],
}

/// A base that is open: it can be read as long as somebody holds it, also when another has taken its place.
#[derive(Debug)]
pub struct BaseFiles {
    manifest: Manifest,
    parts: [File; 2],
    carried: Vec<CarriedFile>,
}

/// Why a base cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    #[error("{0}")]
    Damaged(String),
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

/// Where the bases of a log are.
pub fn bases_of(log_dir: &Path) -> PathBuf {
    log_dir.join("base")
}

/// The base at which a log begins with `earliest`.
pub fn dir_of(log_dir: &Path, earliest: Seq) -> PathBuf {
    bases_of(log_dir).join(name_of(earliest))
}

/// Where the carried events of a log are.
pub fn carried_of(log_dir: &Path) -> PathBuf {
    log_dir.join("carried")
}

impl Manifest {
    /// Reads the manifest of a base.
    pub fn read(dir: &Path) -> Result<Manifest, BaseError> {
        let bytes = match std::fs::read(dir.join(MANIFEST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BaseError::Damaged("its MANIFEST is missing".into()));
            }
            bytes => bytes?,
        };
        Manifest::decode(&bytes).ok_or_else(|| BaseError::Damaged("its MANIFEST is damaged".into()))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(self.start.lineage.as_bytes());
        out.extend_from_slice(&self.start.next.0.to_le_bytes());
        out.extend_from_slice(&self.start.previous.0);
        for part in &self.parts {
            out.extend_from_slice(&part.bytes.to_le_bytes());
            out.extend_from_slice(&part.hash);
        }
        let count = u32::try_from(self.carried.len()).expect("carried files are few");
        out.extend_from_slice(&count.to_le_bytes());
        for name in &self.carried {
            out.extend_from_slice(&name.first.0.to_le_bytes());
            out.extend_from_slice(&name.last.0.to_le_bytes());
            out.extend_from_slice(&name.hash);
        }
        let checksum = crc32fast::hash(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Manifest> {
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        if content.len() < FIXED_BYTES
            || content[..8] != MAGIC
            || crc32fast::hash(content) != u32::from_le_bytes(*checksum)
        {
            return None;
        }
        let number = |at: usize| u64::from_le_bytes(content[at..at + 8].try_into().expect("eight bytes"));
        let hash = |at: usize| -> [u8; 32] { content[at..at + 32].try_into().expect("thirty-two bytes") };
        let lineage = Uuid::from_slice(&content[8..24]).expect("sixteen bytes");
        let start = ChainEnd { lineage, next: Seq(number(24)), previous: PageHash(hash(32)) };
        let part = |at: usize| Part { bytes: number(at), hash: hash(at + 8) };
        let count = u32::from_le_bytes(content[144..FIXED_BYTES].try_into().expect("four bytes")) as usize;
        let names = &content[FIXED_BYTES..];
        let carried = (0..names.len() / CARRIED_BYTES).map(|place| FIXED_BYTES + place * CARRIED_BYTES);
        let carried =
            carried.map(|at| CarriedName { first: Seq(number(at)), last: Seq(number(at + 8)), hash: hash(at + 16) });
        let carried: Vec<CarriedName> = carried.collect();
        let fits = carried.len() == count && names.len().is_multiple_of(CARRIED_BYTES);
        fits.then(|| Manifest { start, parts: [part(64), part(104)], carried })
    }
}

impl BaseFiles {
    /// Opens the base at which the log of this lineage begins.
    pub fn open(log_dir: &Path, lineage: Uuid, earliest: Seq) -> Result<BaseFiles, BaseError> {
        let dir = dir_of(log_dir, earliest);
        let manifest = Manifest::read(&dir)?;
        if (manifest.start.lineage, manifest.start.next) != (lineage, earliest) {
            return Err(BaseError::Damaged("its MANIFEST belongs to another log".into()));
        }
        let open = |name: &str, part: &Part| match File::open(dir.join(name)) {
            Ok(file) if file.metadata()?.len() == part.bytes => Ok(file),
            Ok(_) => Err(BaseError::Damaged(format!("its file `{name}` has another length than it had"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BaseError::Damaged(format!("its file `{name}` is missing")))
            }
            Err(error) => Err(error.into()),
        };
        let parts = [open(PARTS[0], &manifest.parts[0])?, open(PARTS[1], &manifest.parts[1])?];
        let carried = manifest.carried.iter().map(|name| open_carried(log_dir, lineage, *name));
        let carried = carried.collect::<Result<Vec<_>, _>>()?;
        Ok(BaseFiles { manifest, parts, carried })
    }

    /// Writes a base beside the one that counts: durable, and in full or not at all.
    pub fn write(
        log_dir: &Path,
        start: ChainEnd,
        carried: Vec<CarriedName>,
        parts: [&mut Fill<'_>; 2],
    ) -> io::Result<()> {
        let bases = bases_of(log_dir);
        disk::create_dir(&bases)?;
        let target = dir_of(log_dir, start.next);
        let temporary = disk::temporary_of(&target);
        disk::remove_dir(&temporary)?;
        disk::remove_dir(&target)?;
        disk::create_dir(&temporary)?;
        let written = write_parts(&temporary, start, carried, parts)
            .and_then(|()| std::fs::rename(&temporary, &target))
            .and_then(|()| disk::sync_dir(&bases));
        if written.is_err() {
            // The disk may be full: what is left over would only take room.
            let _ = disk::remove_dir(&temporary);
        }
        written
    }

    /// Has it carry other files from now on, durably; the next who opens it finds these.
    pub fn carry(&self, log_dir: &Path, carried: Vec<CarriedName>) -> io::Result<()> {
        let manifest = Manifest { carried, ..self.manifest.clone() };
        disk::write_bytes(&dir_of(log_dir, manifest.start.next).join(MANIFEST), &manifest.encode())
    }

    /// What it consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The files with what it carries, in the order of the events.
    pub fn carried_files(&self) -> &[CarriedFile] {
        &self.carried
    }

    /// An event before the earliest, if it is carried.
    pub fn read(&self, seq: Seq) -> Result<Record, ReadError> {
        let behind = self.carried.partition_point(|file| file.name.first <= seq);
        let trimmed = ReadError::Trimmed { seq, earliest: self.manifest.start.next };
        let Some(file) = behind.checked_sub(1).map(|place| &self.carried[place]) else { return Err(trimmed) };
        let found = file.record(seq).map_err(|error| ReadError::Damaged {
            place: format!("event {seq} in the carried file {}", file.name.file_name()),
            detail: format!("{}; {NEXT_STEP}", explain(&error)),
        });
        found?.ok_or(trimmed)
    }

    /// What it takes on disk.
    pub fn bytes(&self) -> u64 {
        let parts: u64 = self.manifest.parts.iter().map(|part| part.bytes).sum();
        parts + self.carried.iter().map(|file| file.bytes).sum::<u64>()
    }

    fn part(&self, place: usize) -> io::Result<Box<dyn Read + Send>> {
        let Part { bytes, hash } = self.manifest.parts[place];
        let whole = || -> io::Result<ReadAt> { Ok(ReadAt { file: self.parts[place].try_clone()?, at: 0 }) };
        let mut hasher = blake3::Hasher::new();
        let length = io::copy(&mut whole()?, &mut hasher)?;
        if length != bytes || *hasher.finalize().as_bytes() != hash {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not as it was written: its hash differs"));
        }
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, whole()?)))
    }
}

impl Base for BaseFiles {
    fn seq(&self) -> Seq {
        Seq(self.manifest.start.next.0 - 1)
    }

    fn state(&self) -> io::Result<Box<dyn Read + Send>> {
        self.part(0)
    }

    fn jobs(&self) -> io::Result<Box<dyn Read + Send>> {
        self.part(1)
    }

    fn carried(&self) -> RoaringTreemap {
        self.carried.iter().flat_map(CarriedFile::seqs).map(|seq| seq.0).collect()
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        self.read(seq)
    }
}

fn open_carried(log_dir: &Path, lineage: Uuid, name: CarriedName) -> Result<CarriedFile, BaseError> {
    CarriedFile::open(&carried_of(log_dir), lineage, name).map_err(|error| match error {
        CarriedError::Io(error) if error.kind() != io::ErrorKind::NotFound => BaseError::Io(error),
        CarriedError::Io(_) => BaseError::Damaged(format!("the carried file {} is missing", name.file_name())),
        error => BaseError::Damaged(format!("the carried file {}: {}", name.file_name(), explain(&error))),
    })
}

fn write_parts(
    dir: &Path,
    start: ChainEnd,
    carried: Vec<CarriedName>,
    [state, jobs]: [&mut Fill<'_>; 2],
) -> io::Result<()> {
    let parts = [write_part(&dir.join(PARTS[0]), state)?, write_part(&dir.join(PARTS[1]), jobs)?];
    disk::write_bytes(&dir.join(MANIFEST), &Manifest { start, parts, carried }.encode())
}

fn write_part(path: &Path, fill: &mut Fill<'_>) -> io::Result<Part> {
    let mut file = File::options().read(true).write(true).create_new(true).open(path)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, &mut file);
    fill(&mut out)?;
    out.flush()?;
    drop(out);
    file.sync_all()?;
    let mut hasher = blake3::Hasher::new();
    let bytes = io::copy(&mut ReadAt { file, at: 0 }, &mut hasher)?;
    Ok(Part { bytes, hash: hasher.finalize().into() })
}

/// Reads a file from its start, whoever else reads it meanwhile.
struct ReadAt {
    file: File,
    at: u64,
}

impl Read for ReadAt {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// What lies in a log's directory beside the base that counts, and can go: older segments first, in order; then other
/// bases, carried files of theirs, and what was half written.
pub fn leftovers(log_dir: &Path, earliest: Seq, base: Option<&BaseFiles>) -> io::Result<Vec<PathBuf>> {
    let older = segments_in(log_dir)?.into_iter().filter(|first| *first < earliest);
    let mut paths: Vec<PathBuf> = older.map(|first| log_dir.join(name_of(first))).collect();
    let bases = bases_of(log_dir);
    let others = disk::names_in(&bases)?.into_iter().filter(|name| base.is_none() || first_of(name) != Some(earliest));
    paths.extend(others.map(|name| bases.join(name)));
    let half = disk::temporary_of(&dir_of(log_dir, earliest).join(MANIFEST));
    paths.extend(Some(half).filter(|path| path.exists()));
    let carried = carried_of(log_dir);
    let is_listed = |name: &String| {
        base.is_some_and(|base| base.manifest.carried.iter().any(|carried| carried.file_name() == *name))
    };
    let unlisted = disk::names_in(&carried)?.into_iter().filter(|name| !is_listed(name));
    paths.extend(unlisted.map(|name| carried.join(name)));
    Ok(paths)
}

/// Removes what [`leftovers`] found.
pub fn remove(log_dir: &Path, leftovers: &[PathBuf]) -> io::Result<()> {
    for path in leftovers {
        if path.is_dir() { disk::remove_dir(path)? } else { disk::remove_file(path)? }
    }
    if leftovers.is_empty() { Ok(()) } else { disk::sync_dir(log_dir) }
}
