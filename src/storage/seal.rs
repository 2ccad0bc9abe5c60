//! What is known of a segment that takes no more pages: its place in the chain and a hash of its whole file.
//!
//! It stands in a file `SEALED` beside the segment's own. sled rewrites the end of a file when it opens one, so the
//! hash is taken after it was opened and closed once more; from then on opening changes nothing.

use std::fs::File;
use std::io;
use std::path::Path;

use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::chain::{ChainEnd, PageHash};
use crate::storage::disk;
use crate::storage::inspect::Promise;
use crate::storage::segment::{Segment, SegmentError, file_of};

/// The seal of a segment.
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
}

/// What has to be known to seal a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealable {
    pub start: ChainEnd,
    pub end: ChainEnd,
    pub last_page: Seq,
}

const MAGIC: [u8; 8] = *b"DBSEAL\x01\x00";
const SEAL_BYTES: usize = 192;
const CHECKSUM_AT: usize = SEAL_BYTES - 4;

/// Why a seal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("its SEALED file is damaged")]
    Damaged,
    #[error("its SEALED file cannot be read")]
    Io(#[from] io::Error),
}

impl Seal {
    /// Seals a segment that is closed and takes no more pages.
    pub fn make(dir: &Path, what: &Sealable, cache_bytes: u64) -> Result<Seal, SegmentError> {
        let (file_bytes, file_hash) = settle(dir, what, cache_bytes)?;
        let Sealable { start, end, last_page } = *what;
        let seal = Seal { start, end, last_page, file_bytes, file_hash };
        disk::write_bytes(&dir.join("SEALED"), &seal.encode())?;
        Ok(seal)
    }

    /// Reads the seal of a segment; none if it has none yet.
    pub fn read(dir: &Path) -> Result<Option<Seal>, SealError> {
        let bytes = match std::fs::read(dir.join("SEALED")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        Seal::decode(&bytes).map(Some).ok_or(SealError::Damaged)
    }

    /// Whether the database's file is as it was sealed. Reads all of it.
    pub fn fits(&self, dir: &Path) -> io::Result<bool> {
        let length = file_of(dir).metadata()?.len();
        Ok(length == self.file_bytes && hash_of(dir)?.1 == self.file_hash)
    }

    /// What the segment promises.
    pub fn promise(&self) -> Promise {
        Promise {
            lineage: self.end.lineage,
            page: self.last_page,
            last: Seq(self.end.next.0 - 1),
            hash: self.end.previous,
        }
    }

    fn encode(&self) -> [u8; SEAL_BYTES] {
        let mut bytes = [0; SEAL_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(self.end.lineage.as_bytes());
        bytes[24..32].copy_from_slice(&self.start.next.0.to_le_bytes());
        bytes[32..64].copy_from_slice(&self.start.previous.0);
        bytes[64..72].copy_from_slice(&self.end.next.0.to_le_bytes());
        bytes[72..104].copy_from_slice(&self.end.previous.0);
        bytes[104..112].copy_from_slice(&self.last_page.0.to_le_bytes());
        bytes[112..120].copy_from_slice(&self.file_bytes.to_le_bytes());
        bytes[120..152].copy_from_slice(&self.file_hash);
        let checksum = crc32fast::hash(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Seal> {
        let bytes: &[u8; SEAL_BYTES] = bytes.try_into().ok()?;
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let hash = |at: usize| -> [u8; 32] { bytes[at..at + 32].try_into().expect("thirty-two bytes") };
        let checksum = u32::from_le_bytes(bytes[CHECKSUM_AT..].try_into().expect("four bytes"));
        if bytes[..8] != MAGIC || crc32fast::hash(&bytes[..CHECKSUM_AT]) != checksum {
            return None;
        }
        let lineage = Uuid::from_slice(&bytes[8..24]).expect("sixteen bytes");
        let end_at = |next: usize, previous: usize| ChainEnd {
            lineage,
            next: Seq(number(next)),
            previous: PageHash(hash(previous)),
        };
        Some(Seal {
            start: end_at(24, 32),
            end: end_at(64, 72),
            last_page: Seq(number(104)),
            file_bytes: number(112),
            file_hash: hash(120),
        })
    }
}

/// Opens, reads all of it and closes, until that changes nothing any more: sled finishes in readers what writers left
/// half done (a split of a node, a merge), and clears the end of the file when it opens it.
fn settle(dir: &Path, what: &Sealable, cache_bytes: u64) -> Result<(u64, [u8; 32]), SegmentError> {
    const ROUNDS_MAX: usize = 8;
    let mut before = None;
    for _ in 0..ROUNDS_MAX {
        let segment = Segment::open(dir, cache_bytes)?;
        segment.visit(what.start.next, what.end.next)?;
        drop(segment);
        let after = hash_of(dir)?;
        if before.replace(after) == Some(after) {
            return Ok(after);
        }
    }
    Err(io::Error::other("sled changes the file at every opening").into())
}

fn hash_of(dir: &Path) -> io::Result<(u64, [u8; 32])> {
    let mut file = File::open(file_of(dir))?;
    let mut hasher = blake3::Hasher::new();
    let bytes = io::copy(&mut file, &mut hasher)?;
    Ok((bytes, *hasher.finalize().as_bytes()))
}
