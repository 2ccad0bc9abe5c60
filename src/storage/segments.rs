//! The row of segments: which one holds a seq, and which are open. The last one takes the pages; a sealed one is
//! opened when somebody reads it, and at most two of them at a time, because sled's memory knows no bound.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{RwLock, RwLockWriteGuard};

use crate::domain::id::Seq;
use crate::log::ReadError;
use crate::storage::open::NEXT_STEP;
use crate::storage::seal::{Seal, Sealable};
use crate::storage::segment::{Segment, SegmentError, name_of};
use crate::storage::trial::{TrialError, may_open};

/// How many sealed segments may be open at once.
pub const SEALED_OPEN_MAX: usize = 2;

/// The cache of an open sealed segment, in bytes. sled may take several times as much.
pub const SEALED_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// All segments of a log.
#[derive(Default)]
pub struct Segments {
    row: RwLock<BTreeMap<Seq, Arc<Slot>>>,
    uses: AtomicU64,
    closed: AtomicBool,
}

/// The place of one segment.
pub struct Slot {
    pub first: Seq,
    dir: PathBuf,
    seal: OnceLock<Seal>,
    /// Whether the file was compared with its seal since the start.
    checked: AtomicBool,
    open: RwLock<Option<Segment>>,
    last_use: AtomicU64,
}

impl Segments {
    /// Adds a segment at the end: a sealed one that is closed, or one that is open.
    pub fn push(&self, first: Seq, dir: &Path, seal: Option<Seal>, open: Option<Segment>) -> Arc<Slot> {
        let slot = Arc::new(Slot {
            first,
            dir: dir.to_path_buf(),
            seal: seal.map(OnceLock::from).unwrap_or_default(),
            checked: AtomicBool::new(false),
            open: RwLock::new(open),
            last_use: AtomicU64::new(0),
        });
        let before = self.row.write().insert(first, slot.clone());
        assert!(before.is_none(), "two segments cannot begin at the same event");
        slot
    }

    /// Calls `read` with the open segment that holds a seq.
    pub fn with<T>(&self, seq: Seq, read: impl FnOnce(&Segment) -> Result<T, SegmentError>) -> Result<T, ReadError> {
        let slot = self.row.read().range(..=seq).next_back().map(|(_, slot)| slot.clone());
        let slot = slot.expect("a seq between the earliest and the last lies in a segment");
        slot.last_use.store(self.uses.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        let result = slot.with(read, || self.make_room());
        result.map_err(|error| slot.read_error(error))
    }

    /// Closes all segments for good.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for slot in self.row.read().values() {
            slot.open.write().take();
        }
    }

    /// Closes the sealed segments that were not used for longest, so that one more may be opened; not after the end.
    fn make_room(&self) -> Result<(), SlotError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(SlotError::Closed);
        }
        let mut open: Vec<Arc<Slot>> = self.row.read().values().filter(|slot| slot.may_close()).cloned().collect();
        open.sort_by_key(|slot| slot.last_use.load(Ordering::Relaxed));
        let surplus = (open.len() + 1).saturating_sub(SEALED_OPEN_MAX);
        for slot in &open[..surplus.min(open.len())] {
            slot.open.write().take();
        }
        Ok(())
    }
}

/// Why a slot could not be read.
enum SlotError {
    Segment(SegmentError),
    NotAsSealed(TrialError),
    Closed,
}

impl From<SegmentError> for SlotError {
    fn from(error: SegmentError) -> SlotError {
        SlotError::Segment(error)
    }
}

impl Slot {
    /// Closes the segment, seals it, and leaves it closed. Readers wait meanwhile.
    pub fn seal(&self, what: &Sealable) -> Result<(), SegmentError> {
        let mut open = self.open.write();
        drop(open.take());
        let seal = Seal::make(&self.dir, what, SEALED_CACHE_BYTES)?;
        self.checked.store(true, Ordering::Relaxed);
        // A segment is sealed once: by the one sealer, after its last page.
        let _ = self.seal.set(seal);
        Ok(())
    }

    /// Calls `write` with the segment, which is the last of the row and therefore open.
    pub fn active<T>(&self, write: impl FnOnce(&Segment) -> T) -> T {
        write(self.open.read().as_ref().expect("the segment that takes the pages is open"))
    }

    fn with<T>(
        &self,
        read: impl FnOnce(&Segment) -> Result<T, SegmentError>,
        make_room: impl FnOnce() -> Result<(), SlotError>,
    ) -> Result<T, SlotError> {
        if let Some(segment) = self.open.read().as_ref() {
            return Ok(read(segment)?);
        }
        make_room()?;
        let mut open = self.open.write();
        if open.is_none() {
            *open = Some(self.open_sealed()?);
        }
        let open = RwLockWriteGuard::downgrade(open);
        Ok(read(open.as_ref().expect("it was opened just now"))?)
    }

    fn open_sealed(&self) -> Result<Segment, SlotError> {
        if let Some(seal) = self.seal.get() {
            if !self.checked.load(Ordering::Relaxed) && !seal.fits(&self.dir).map_err(SegmentError::Io)? {
                // The hash proves it whole; without it sled must be kept from destroying what is left.
                may_open(&self.dir, self.first, Some(seal.start), &seal.promise()).map_err(SlotError::NotAsSealed)?;
            }
            self.checked.store(true, Ordering::Relaxed);
        }
        Ok(Segment::open(&self.dir, SEALED_CACHE_BYTES)?)
    }

    fn may_close(&self) -> bool {
        self.seal.get().is_some() && self.open.try_read().is_some_and(|open| open.is_some())
    }

    fn read_error(&self, error: SlotError) -> ReadError {
        let place = format!("segment {}", name_of(self.first));
        match error {
            SlotError::NotAsSealed(error) => {
                let detail = format!("its file is not as it was sealed: {error}; {NEXT_STEP}");
                ReadError::Damaged { place, detail }
            }
            SlotError::Closed => ReadError::Failed { step: "read a segment", source: "the log is closed".into() },
            SlotError::Segment(SegmentError::Io(error)) => {
                ReadError::Failed { step: "read a segment", source: error.into() }
            }
            SlotError::Segment(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                ReadError::Damaged { place, detail: format!("{error}{cause}; {NEXT_STEP}") }
            }
        }
    }
}
