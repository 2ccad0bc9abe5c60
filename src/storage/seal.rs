//! Segments that take no more pages. They are read without sled, which destroys what it does not understand, writes
//! even when it only reads, and whose memory knows no bound: the seal keeps where each page stands in sled's file.
//!
//! The seal is a file `SEALED` beside the database: the segment's place in the chain, the length and the hash of the
//! database's file, and the places of its pages. Nothing changes a sealed segment any more.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::chain::{ChainEnd, PageHash};
use crate::storage::disk;
use crate::storage::scan::{Place, find_pages};
use crate::storage::segment::file_of;

/// The seal of a segment, without the places of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Where the chain stood before the segment.
    pub start: ChainEnd,
    /// Where it goes on behind it.
    pub end: ChainEnd,
    /// The first seq of the last page.
    pub last_page: Seq,
    /// The length of the database's file, in bytes.
    pub file_bytes: u64,
    /// The hash of the database's file.
    pub file_hash: [u8; 32],
    pages: u32,
    index_checksum: u32,
}

/// What has to be known to seal a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealable {
    pub start: ChainEnd,
    pub end: ChainEnd,
    pub last_page: Seq,
}

/// A sealed segment that is open for reading.
#[derive(Debug)]
pub struct SealedSegment {
    file: File,
    index: Vec<Entry>,
}

/// Where the page with this first seq stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    first: Seq,
    offset: u64,
    length: u32,
}

const MAGIC: [u8; 8] = *b"DBSEAL\x01\x00";
const HEADER_BYTES: usize = 192;
const CHECKSUM_AT: usize = HEADER_BYTES - 4;
const ENTRY_BYTES: usize = 20;

/// Why a segment could not be sealed, or a seal not read.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("its SEALED file is empty or damaged")]
    Damaged,
    #[error("the page at event {0} is not in its file")]
    PageMissing(Seq),
    #[error("its file or its SEALED file cannot be read or written")]
    Io(#[from] io::Error),
}

impl Seal {
    /// Seals a segment that sled has closed.
    pub fn make(dir: &Path, what: &Sealable) -> Result<Seal, SealError> {
        let mut hasher = blake3::Hasher::new();
        let file = File::open(file_of(dir))?;
        let found = find_pages(&file, &mut hasher)?;
        let (mut end, mut index) = (what.start, Vec::new());
        while end != what.end {
            let Place { offset, length, after, .. } = *found.next(&end).ok_or(SealError::PageMissing(end.next))?;
            Entry { first: end.next, offset, length }.encode(&mut index);
            end = after;
        }
        let Sealable { start, end, last_page } = *what;
        let seal = Seal {
            start,
            end,
            last_page,
            file_bytes: file.metadata()?.len(),
            file_hash: *hasher.finalize().as_bytes(),
            pages: (index.len() / ENTRY_BYTES) as u32,
            index_checksum: crc32fast::hash(&index),
        };
        disk::write_bytes(&dir.join("SEALED"), &[seal.encode().as_slice(), &index].concat())?;
        Ok(seal)
    }

    /// Reads the seal of a segment; none if it has none yet.
    pub fn read(dir: &Path) -> Result<Option<Seal>, SealError> {
        let file = match File::open(dir.join("SEALED")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let length = file.metadata()?.len();
        if length < HEADER_BYTES as u64 {
            return Err(SealError::Damaged);
        }
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let seal = Seal::decode(&header).ok_or(SealError::Damaged)?;
        let expected = HEADER_BYTES + seal.pages as usize * ENTRY_BYTES;
        if length == expected as u64 { Ok(Some(seal)) } else { Err(SealError::Damaged) }
    }

    /// Whether the database's file is as it was sealed. Reads all of it.
    pub fn fits(&self, dir: &Path) -> io::Result<bool> {
        let mut hasher = blake3::Hasher::new();
        let bytes = io::copy(&mut File::open(file_of(dir))?, &mut hasher)?;
        Ok(bytes == self.file_bytes && *hasher.finalize().as_bytes() == self.file_hash)
    }

    /// Why a seal cannot be that of the segment in `dir`, which begins at `first` where the chain `before` it ends; none
    /// if it can. What is in the segment is not read.
    pub fn flaw(&self, dir: &Path, first: Seq, before: Option<ChainEnd>, lineage: Uuid) -> Option<String> {
        let length = file_of(dir).metadata().map_or(0, |metadata| metadata.len());
        if length != self.file_bytes {
            return Some(format!("its file has {length} bytes, and had {} when it was sealed", self.file_bytes));
        }
        if self.start.next != first || self.start.lineage != lineage {
            return Some("its seal belongs to another segment".into());
        }
        let follows = before.is_none_or(|end| end == self.start);
        (!follows).then(|| "it does not follow the segment before it".into())
    }

    /// The last seq of the segment.
    pub fn last(&self) -> Seq {
        Seq(self.end.next.0 - 1)
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(self.end.lineage.as_bytes());
        bytes[24..32].copy_from_slice(&self.start.next.0.to_le_bytes());
        bytes[32..64].copy_from_slice(&self.start.previous.0);
        bytes[64..72].copy_from_slice(&self.end.next.0.to_le_bytes());
        bytes[72..104].copy_from_slice(&self.end.previous.0);
        bytes[104..112].copy_from_slice(&self.last_page.0.to_le_bytes());
        bytes[112..120].copy_from_slice(&self.file_bytes.to_le_bytes());
        bytes[120..152].copy_from_slice(&self.file_hash);
        bytes[152..156].copy_from_slice(&self.pages.to_le_bytes());
        bytes[156..160].copy_from_slice(&self.index_checksum.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Seal> {
        let checksum = u32_at(bytes, CHECKSUM_AT);
        if bytes[..8] != MAGIC || crc32fast::hash(&bytes[..CHECKSUM_AT]) != checksum {
            return None;
        }
        let hash = |at: usize| -> [u8; 32] { bytes[at..at + 32].try_into().expect("thirty-two bytes") };
        let lineage = Uuid::from_slice(&bytes[8..24]).expect("sixteen bytes");
        let end_at = |next: usize, previous: usize| {
            let previous = PageHash(hash(previous));
            ChainEnd { lineage, next: Seq(u64_at(bytes, next)), previous }
        };
        Some(Seal {
            start: end_at(24, 32),
            end: end_at(64, 72),
            last_page: Seq(u64_at(bytes, 104)),
            file_bytes: u64_at(bytes, 112),
            file_hash: hash(120),
            pages: u32_at(bytes, 152),
            index_checksum: u32_at(bytes, 156),
        })
    }
}

impl SealedSegment {
    /// Opens a sealed segment for reading.
    pub fn open(dir: &Path, seal: &Seal) -> Result<SealedSegment, SealError> {
        let bytes = std::fs::read(dir.join("SEALED"))?;
        let index = bytes.get(HEADER_BYTES..).ok_or(SealError::Damaged)?;
        if crc32fast::hash(index) != seal.index_checksum {
            return Err(SealError::Damaged);
        }
        let index = index.chunks_exact(ENTRY_BYTES).map(Entry::decode).collect();
        Ok(SealedSegment { file: File::open(file_of(dir))?, index })
    }

    /// The page with the greatest first seq up to `seq`. Its checksum is not yet checked.
    pub fn page_with(&self, seq: Seq) -> io::Result<Option<Vec<u8>>> {
        let behind = self.index.partition_point(|entry| entry.first <= seq);
        let Some(entry) = behind.checked_sub(1).map(|place| self.index[place]) else { return Ok(None) };
        let mut bytes = vec![0; entry.length as usize];
        self.file.read_exact_at(&mut bytes, entry.offset)?;
        Ok(Some(bytes))
    }
}

impl Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first.0.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Entry {
        Entry { first: Seq(u64_at(bytes, 0)), offset: u64_at(bytes, 8), length: u32_at(bytes, 16) }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
