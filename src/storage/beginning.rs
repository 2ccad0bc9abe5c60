//! Makes a log that begins with a base: of an import whose source has no earlier events any more. HEAD is written last;
//! without it nothing counts of what lies there, and the next beginning clears it away.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::chain::ChainEnd;
use crate::storage::base::{BaseFiles, Manifest, bases_of, carried_of, dir_of};
use crate::storage::carried::{CarriedName, NewCarried};
use crate::storage::disk;
use crate::storage::head::{Head, HeadFile};
use crate::storage::open::{DirectoryLock, OpenError};

/// A file of carried events that has so many bytes takes no more.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A log that has no HEAD yet.
pub struct Beginning {
    log_dir: PathBuf,
    lineage: Uuid,
    carried: Vec<CarriedName>,
    file: Option<NewCarried>,
    _lock: DirectoryLock,
}

impl Beginning {
    /// In a data directory without a log; none if there is one.
    pub fn of_empty(data: &Path) -> Result<Option<Beginning>, OpenError> {
        let _lock = DirectoryLock::take(data)?;
        let log_dir = data.join("log");
        if log_dir.join("HEAD").exists() {
            return Ok(None);
        }
        let (bases, carried) = (bases_of(&log_dir), carried_of(&log_dir));
        let cleared = disk::remove_dir(&bases).and_then(|()| disk::remove_dir(&carried));
        cleared.and_then(|()| disk::create_dir(&carried)).map_err(OpenError::io("begin a log in", &log_dir))?;
        Ok(Some(Beginning { log_dir, lineage: Uuid::new_v4(), carried: Vec::new(), file: None, _lock }))
    }

    /// Adds an event that a kept job points to, behind all others.
    pub fn carry(&mut self, record: &Record) -> Result<(), OpenError> {
        let dir = carried_of(&self.log_dir);
        if self.file.as_ref().is_some_and(|file| file.bytes() >= FILE_BYTES) {
            self.finish_file()?;
        }
        let failed = |error: io::Error| OpenError::io("carry an event to", &dir)(error);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(NewCarried::create(&dir, self.lineage).map_err(failed)?),
        };
        file.add(record).map_err(|error| failed(error.into_io()))
    }

    fn finish_file(&mut self) -> Result<(), OpenError> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let dir = carried_of(&self.log_dir);
        self.carried.extend(file.finish().map_err(OpenError::io("finish a file in", &dir))?);
        Ok(())
    }

    /// Writes the base at which the log begins, and then HEAD: from now on it is a log without events of its own.
    pub fn finish(mut self, earliest: Seq, state: &mut dyn Read, jobs: &mut dyn Read) -> Result<(), OpenError> {
        self.finish_file()?;
        let start = ChainEnd { next: earliest, ..ChainEnd::start(self.lineage) };
        let carried = std::mem::take(&mut self.carried);
        let mut copy_state = |out: &mut dyn io::Write| io::copy(state, out).map(drop);
        let mut copy_jobs = |out: &mut dyn io::Write| io::copy(jobs, out).map(drop);
        let written =
            BaseFiles::write(&self.log_dir, start, carried, [&mut copy_state, &mut copy_jobs]).and_then(|()| {
                let head = Head { earliest, segment: earliest, clean: true, ..Head::empty(self.lineage) };
                HeadFile::create(&self.log_dir.join("HEAD"), &head)?;
                disk::sync_dir(&self.log_dir)
            });
        written.map_err(OpenError::io("write the base of", &self.log_dir))
    }
}

/// The hashes of the state and of the jobs with which a log begins; none if it begins in another way.
pub fn hashes_of(data: &Path, earliest: Seq) -> Option<[[u8; 32]; 2]> {
    let manifest = Manifest::read(&dir_of(&data.join("log"), earliest)).ok()?;
    Some(manifest.parts.map(|part| part.hash))
}
