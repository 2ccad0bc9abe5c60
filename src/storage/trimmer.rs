//! Drops the oldest segments of a log that goes on: first what stands for them becomes durable, then HEAD names it,
//! which is the commit point, and only then they go.
//!
//! ```text
//!   1 carried files   2 base/<E>.tmp → base/<E>   3 HEAD.earliest = E   4 readers   5 segments < E, the base before
//! ```
//!
//! What is carried can become less in between, at the same `earliest`: new files, then a new manifest in the place of the
//! old one, then the old files go.
//!
//! A crash before 3 leaves the log as it was, one after it leaves the log as it shall be; what is left over is removed
//! at the next start. An error before 3 changes nothing but a warning. The writer's thread alone writes HEAD (L1).

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use parking_lot::Mutex;
use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::LogReader;
use crate::log::base::{Extent, LogTrimmer, NewBase, TrimError};
use crate::storage::base::{self, BaseError, BaseFiles, carried_of};
use crate::storage::carried::{CarriedError, CarriedFile, CarriedName, NewCarried};
use crate::storage::disk;
use crate::storage::reader::Shared;
use crate::storage::writer::Task;

/// A carried file that has so many bytes is not joined with its neighbours.
const JOINED_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// A carried file of which less than one in so many bytes is wanted is written anew.
const DEAD_MAX: u64 = 2;
/// Newer files are joined with an older one of up to so many times their size: each byte is copied a few times only.
const JOINED_WITH_MAX: u64 = 2;

/// The way to the writer, for as long as the log is open.
pub type Way = Arc<Mutex<Option<SyncSender<Task>>>>;

/// The hand that drops segments.
pub struct Trimmer {
    pub shared: Arc<Shared>,
    pub log_dir: PathBuf,
    pub lineage: Uuid,
    pub way: Way,
    /// One at a time.
    pub at_work: Mutex<()>,
}

impl LogTrimmer for Trimmer {
    fn extent(&self) -> io::Result<Extent> {
        let (full, open, bytes) = self.shared.segments.extent()?;
        Ok(Extent { full, open, bytes, base_bytes: self.shared.base_files().map_or(0, |base| base.bytes()) })
    }

    fn scratch(&self) -> io::Result<File> {
        let bases = base::bases_of(&self.log_dir);
        disk::create_dir(&bases)?;
        tempfile::tempfile_in(bases)
    }

    fn trim(&self, new: NewBase<'_>) -> Result<(), TrimError> {
        let _one = self.at_work.lock();
        let start = self.shared.segments.start_of(new.earliest);
        let start = start.expect("the log begins anew at the end of a segment that takes no more events");
        let carried = self.write_carried(&new).inspect_err(|_| self.clear())?;
        BaseFiles::write(&self.log_dir, start, carried, [new.state, new.jobs])
            .map_err(TrimError::io("write the base"))
            .inspect_err(|_| self.clear())?;
        let base = Arc::new(self.open(new.earliest)?);
        self.commit(new.earliest)?;
        self.shared.trim(new.earliest, base);
        self.clear();
        Ok(())
    }

    fn drop_carried(&self, unwanted: &RoaringTreemap) -> Result<(), TrimError> {
        let _one = self.at_work.lock();
        let Some(base) = self.shared.base_files() else { return Ok(()) };
        let is_hit = |file: &CarriedFile| file.seqs().any(|seq| unwanted.contains(seq.0));
        if !base.carried_files().iter().any(is_hit) {
            return Ok(());
        }
        let mut names = Vec::new();
        for file in base.carried_files() {
            let name = if is_hit(file) { self.without(file, unwanted) } else { Ok(Some(file.name)) };
            names.extend(name.inspect_err(|_| self.clear())?);
        }
        // The manifest is the commit point: what it no longer names is removed, now or at the next start.
        base.carry(&self.log_dir, names)
            .map_err(TrimError::io("write what the base carries"))
            .inspect_err(|_| self.clear())?;
        let earliest = base.manifest().start.next;
        self.shared.trim(earliest, Arc::new(self.open(earliest)?));
        self.clear();
        Ok(())
    }
}

impl Trimmer {
    fn open(&self, earliest: Seq) -> Result<BaseFiles, TrimError> {
        BaseFiles::open(&self.log_dir, self.lineage, earliest).map_err(|error| match error {
            BaseError::Io(error) => TrimError::io("open the base")(error),
            BaseError::Damaged(detail) => TrimError::io("open the base")(io::Error::other(detail)),
        })
    }

    /// Has the writer say in HEAD where the log begins now.
    fn commit(&self, earliest: Seq) -> Result<(), TrimError> {
        let writer = self.way.lock().clone().ok_or(TrimError::Closed)?;
        let (done, committed) = sync_channel(1);
        writer.send(Task::Trim { earliest, done }).map_err(|_| TrimError::Closed)?;
        drop(writer);
        committed.recv().map_err(|_| TrimError::Closed)
    }

    /// Removes what does not count. What cannot be removed now is at the next start.
    fn clear(&self) {
        let base = self.shared.base_files();
        let found = base::leftovers(&self.log_dir, self.shared.earliest(), base.as_deref());
        if let Err(error) = found.and_then(|found| base::remove(&self.log_dir, &found)) {
            tracing::warn!(%error, "dropped segments could not be removed; the next start does it");
        }
    }

    /// Writes what has to be carried and is not in a file that stays. Gives all files in the order of their events.
    fn write_carried(&self, new: &NewBase<'_>) -> Result<Vec<CarriedName>, TrimError> {
        let dir = carried_of(&self.log_dir);
        disk::create_dir(&dir).map_err(TrimError::io("make the place for carried events"))?;
        let earliest = self.shared.earliest();
        let base = self.shared.base_files();
        let old = base.as_ref().map_or(&[][..], |base| base.carried_files());
        let wanted = new.carried;
        let newest = self.carry(wanted, earliest, new.earliest)?;
        let mut names: Vec<CarriedName> = Vec::new();
        let (stay, join) = old.split_at(joined_from(old, wanted, newest.as_ref().map_or(0, |file| file.bytes)));
        for file in stay {
            names.extend(self.keep(file, wanted)?);
        }
        if join.is_empty() {
            names.extend(newest.map(|file| file.name));
        } else {
            let mut joined = self.begin()?;
            for file in join.iter().chain(&newest) {
                joined.add_from(file, |seq| wanted.contains(seq.0)).map_err(carried_failed)?;
            }
            names.extend(finished(joined)?);
        }
        Ok(names)
    }

    /// A file that is not joined with others: as it is, without what is not wanted, or not at all.
    fn keep(&self, file: &CarriedFile, wanted: &RoaringTreemap) -> Result<Option<CarriedName>, TrimError> {
        let live = file.live_bytes(|seq| wanted.contains(seq.0));
        if live >= file.bytes / DEAD_MAX {
            return Ok(Some(file.name));
        }
        let mut less = self.begin()?;
        less.add_from(file, |seq| wanted.contains(seq.0)).map_err(carried_failed)?;
        finished(less)
    }

    /// A file without some of its events; none if nothing is left.
    fn without(&self, file: &CarriedFile, unwanted: &RoaringTreemap) -> Result<Option<CarriedName>, TrimError> {
        let mut less = self.begin()?;
        less.add_from(file, |seq| !unwanted.contains(seq.0)).map_err(carried_failed)?;
        finished(less)
    }

    /// A file of the wanted events in the segments that are to go, if there are any.
    fn carry(&self, wanted: &RoaringTreemap, from: Seq, to: Seq) -> Result<Option<CarriedFile>, TrimError> {
        let mut file = self.begin()?;
        let mut seqs = wanted.iter();
        seqs.advance_to(from.0);
        for seq in seqs.take_while(|seq| *seq < to.0) {
            file.add(&self.shared.record(Seq(seq))?).map_err(carried_failed)?;
        }
        let open = |name| CarriedFile::open(&carried_of(&self.log_dir), self.lineage, name);
        finished(file)?.map(open).transpose().map_err(carried_failed)
    }

    fn begin(&self) -> Result<NewCarried, TrimError> {
        NewCarried::create(&carried_of(&self.log_dir), self.lineage).map_err(TrimError::io("begin a carried file"))
    }
}

/// From which of the files on the older ones are joined with what is newly carried.
fn joined_from(old: &[CarriedFile], wanted: &RoaringTreemap, new_bytes: u64) -> usize {
    let mut bytes = new_bytes;
    for (place, file) in old.iter().enumerate().rev() {
        let live = file.live_bytes(|seq| wanted.contains(seq.0));
        if live >= JOINED_BYTES_MAX || live > bytes * JOINED_WITH_MAX {
            return place + 1;
        }
        bytes += live;
    }
    0
}

fn finished(file: NewCarried) -> Result<Option<CarriedName>, TrimError> {
    file.finish().map_err(TrimError::io("finish a carried file"))
}

fn carried_failed(error: CarriedError) -> TrimError {
    match error {
        CarriedError::Io(error) => TrimError::io("write a carried file")(error),
        CarriedError::Encode(error) => TrimError::Encode(error),
        error => TrimError::io("copy a carried event")(io::Error::other(error)),
    }
}
