//! Puts the log of a data directory together again from sealed segments that were copied. What came after them is appended
//! as a server appends it. Must never take a part that is not as it was sealed.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::chain::Page;
use crate::storage::disk;
use crate::storage::head::{Head, HeadFile};
use crate::storage::open::explain;
use crate::storage::payloads::{Payloads, hash_of_file, hash_of_name};
use crate::storage::seal::{Seal, SealedSegment};
use crate::storage::segment::name_of;

/// A sealed segment, wherever it lies.
pub struct Part {
    dir: PathBuf,
    seal: Seal,
    sealed: SealedSegment,
}

/// Why a part cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{} is damaged: {detail}", dir.display())]
pub struct PartError {
    dir: PathBuf,
    detail: String,
}

impl Part {
    /// Opens a part. What is in it is not yet looked at.
    pub fn open(dir: &Path) -> Result<Part, PartError> {
        let failed = |detail: String| PartError { dir: dir.to_path_buf(), detail };
        let seal = Seal::read(dir).map_err(|error| failed(explain(&error)))?;
        let seal = seal.ok_or_else(|| failed("its file SEALED is missing".into()))?;
        let sealed = SealedSegment::open(dir, &seal).map_err(|error| failed(explain(&error)))?;
        Ok(Part { dir: dir.to_path_buf(), seal, sealed })
    }

    /// Its first event.
    pub fn first(&self) -> Seq {
        self.seal.start.next
    }

    /// Its last event.
    pub fn last(&self) -> Seq {
        self.seal.last()
    }

    /// Looks whether every byte is as it was sealed. Reads all of it.
    pub fn check(&self) -> Result<(), PartError> {
        let looked = self.seal.fits(&self.dir).and_then(|fits| Ok((fits, self.odd_payload()?)));
        match looked {
            Ok((true, None)) => Ok(()),
            Ok((false, _)) => Err(self.damaged("its file db is not as it was sealed: its hash differs".into())),
            Ok((_, Some(name))) => Err(self.damaged(format!("the hash of payloads/{name} is not its name"))),
            Err(error) => Err(self.damaged(format!("it cannot be read: {error}"))),
        }
    }

    fn odd_payload(&self) -> io::Result<Option<String>> {
        let dir = self.dir.join("payloads");
        let names = if dir.is_dir() { disk::names_in(&dir)? } else { Vec::new() };
        for name in names {
            if hash_of_name(&name) != Some(hash_of_file(&dir.join(&name))?) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// The events behind one, as many as stand in one page; none at the end.
    pub fn page_after(&self, after: Seq) -> Result<Vec<Record>, PartError> {
        if after >= self.last() {
            return Ok(Vec::new());
        }
        let damaged = |detail: String| self.damaged(format!("event {}: {detail}", after.next()));
        let bytes = self.sealed.page_with(after.next()).map_err(|error| damaged(error.to_string()))?;
        let bytes = bytes.ok_or_else(|| damaged("its page is missing".into()))?;
        let page = Page::parse(&bytes).and_then(|page| page.records(&Payloads::in_segment(&self.dir)));
        let mut records = page.map_err(|error| damaged(explain(&error)))?;
        records.retain(|record| record.seq > after);
        if records.is_empty() { Err(damaged("its page is missing".into())) } else { Ok(records) }
    }

    fn damaged(&self, detail: String) -> PartError {
        PartError { dir: self.dir.clone(), detail }
    }
}

/// Makes a log of these parts, which follow each other from `earliest` on; the base that it may have is there already. It
/// is as if the server had ended in order just when it had begun a new segment behind them.
pub fn begin(data: &Path, lineage: Uuid, earliest: Seq, parts: &[Part]) -> io::Result<()> {
    let log_dir = data.join("log");
    disk::create_dir(&log_dir)?;
    for part in parts {
        disk::copy_dir(&part.dir, &log_dir.join(name_of(part.first())))?;
    }
    let empty = Head { clean: true, earliest, segment: earliest, ..Head::empty(lineage) };
    let (head, next) = match parts.last() {
        Some(last) => {
            let Seal { end, last_page, file_bytes, .. } = last.seal;
            let (segment, hash) = (last.first(), end.previous);
            (Head { segment, last: last.last(), last_page, hash, file_bytes, ..empty }, end.next)
        }
        None => (empty, earliest),
    };
    disk::create_dir(&log_dir.join(name_of(next)))?;
    HeadFile::create(&log_dir.join("HEAD"), &head)?;
    disk::sync_dir(&log_dir)
}
