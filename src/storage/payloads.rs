//! The payload files of a segment: one for each commit with bodies that are too big for a page, named by its hash.
//! They are written once, before the pages that refer to them, and never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::log::codec::{FetchPayload, PayloadRef, SealedPack, pack_file_name};
use crate::storage::disk;

/// The directory of a segment's payload files.
#[derive(Debug, Clone)]
pub struct Payloads {
    dir: PathBuf,
}

impl Payloads {
    /// Those of the segment in this directory.
    pub fn in_segment(segment: &Path) -> Payloads {
        Payloads { dir: segment.join("payloads") }
    }

    /// Makes the directory, durably.
    pub fn prepare(&self) -> io::Result<()> {
        disk::create_dir(&self.dir)
    }

    /// Makes a pack durable.
    pub fn store(&self, pack: &SealedPack) -> io::Result<()> {
        let path = self.dir.join(pack_file_name(&pack.name));
        disk::write_bytes(&path, &pack.bytes)
    }

    /// Removes what no page refers to: packs whose commit never came to be.
    pub fn keep_only(&self, wanted: &BTreeMap<[u8; 32], u64>) -> io::Result<()> {
        let wanted: BTreeSet<String> = wanted.keys().map(pack_file_name).collect();
        for name in disk::names_in(&self.dir)? {
            if !wanted.contains(&name) {
                disk::remove_file(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    /// The first of these packs that has no file of at least the length that is needed.
    pub fn first_missing(&self, wanted: &BTreeMap<[u8; 32], u64>) -> Option<PathBuf> {
        let missing = |path: &PathBuf, bytes: u64| path.metadata().map_or(true, |metadata| metadata.len() < bytes);
        let files = wanted.iter().map(|(name, bytes)| (self.dir.join(pack_file_name(name)), *bytes));
        files.filter(|(path, bytes)| missing(path, *bytes)).map(|(path, _)| path).next()
    }
}

impl FetchPayload for Payloads {
    fn fetch(&self, reference: &PayloadRef) -> io::Result<Vec<u8>> {
        let file = File::open(self.dir.join(pack_file_name(&reference.pack)))?;
        let mut bytes = vec![0; reference.length as usize];
        file.read_exact_at(&mut bytes, reference.offset)?;
        Ok(bytes)
    }
}

/// The hash that names a pack's file; none if the name is another.
pub fn hash_of_name(name: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(name).ok().map(Into::into)
}

/// The hash of what is in a file.
pub fn hash_of_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().into())
}
