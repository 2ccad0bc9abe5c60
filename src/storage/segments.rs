//! The row of segments: which one holds a seq, and which are open. The last one takes the pages and is sled's; the
//! sealed ones before it are read by their seals, at most two at a time.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{RwLock, RwLockWriteGuard};

use crate::domain::id::Seq;
use crate::log::ReadError;
use crate::log::base::SegmentInfo;
use crate::log::chain::ChainEnd;
use crate::storage::disk;
use crate::storage::guard::SegmentError;
use crate::storage::open::{NEXT_STEP, explain};
use crate::storage::payloads::Payloads;
use crate::storage::seal::{Seal, SealError, Sealable, SealedSegment};
use crate::storage::segment::{Segment, name_of};
use crate::storage::trial::CHECK_CACHE_BYTES;

/// How many sealed segments may be open at once.
pub const SEALED_OPEN_MAX: usize = 2;

/// All segments of a log.
#[derive(Default)]
pub struct Segments {
    row: RwLock<BTreeMap<Seq, Arc<Slot>>>,
    uses: AtomicU64,
    closed: AtomicBool,
}

/// The bytes of a page, if it is there, and where its payloads are.
pub type Found = (Option<Vec<u8>>, Payloads);

/// The place of one segment.
pub struct Slot {
    pub first: Seq,
    dir: PathBuf,
    seal: OnceLock<Seal>,
    open: RwLock<Open>,
    last_use: AtomicU64,
    /// What it takes on disk, once it does not grow any more.
    sealed_bytes: OnceLock<u64>,
}

enum Open {
    /// It takes pages, or waits for its seal.
    Sled(Segment),
    Sealed(SealedSegment),
    No,
}

impl Segments {
    /// Adds a segment at the end that is open.
    pub fn push_open(&self, first: Seq, dir: &Path, segment: Segment) -> Arc<Slot> {
        self.push(first, dir, OnceLock::new(), Open::Sled(segment))
    }

    /// Adds a segment at the end that is sealed.
    pub fn push_sealed(&self, first: Seq, dir: &Path, seal: Seal) -> Arc<Slot> {
        self.push(first, dir, seal.into(), Open::No)
    }

    /// The bytes of the page that should hold a seq, and where its payloads are; none if its segment was dropped.
    pub fn page_with(&self, seq: Seq) -> Result<Option<Found>, ReadError> {
        let slot = self.row.read().range(..=seq).next_back().map(|(_, slot)| slot.clone());
        let Some(slot) = slot else { return Ok(None) };
        slot.last_use.store(self.uses.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        let bytes = slot.page_with(seq, || self.make_room()).map_err(|error| slot.read_error(error))?;
        Ok(Some((bytes, Payloads::in_segment(&slot.dir))))
    }

    /// The first seq of the segment in which a seq lies.
    pub fn first_before(&self, seq: Seq) -> Option<Seq> {
        self.row.read().range(..=seq).next_back().map(|(first, _)| *first)
    }

    /// The sealed segments from the oldest on, with no other between them; the first event of the last one, and what all
    /// of them take on disk.
    pub fn extent(&self) -> io::Result<(Vec<SegmentInfo>, Seq, u64)> {
        let slots: Vec<Arc<Slot>> = self.row.read().values().cloned().collect();
        let (mut full, mut bytes) = (Vec::new(), 0);
        for (place, slot) in slots.iter().enumerate() {
            let sealed = slot.seal.get();
            let takes = slot.bytes()?;
            bytes += takes;
            if let Some(seal) = sealed.filter(|_| full.len() == place) {
                full.push(SegmentInfo { first: slot.first, last: seal.last(), bytes: takes });
            }
        }
        let open = slots.last().map_or(Seq(1), |slot| slot.first);
        Ok((full, open, bytes))
    }

    /// Where the chain stands before `first`, if a sealed segment ends there.
    pub fn start_of(&self, first: Seq) -> Option<ChainEnd> {
        let row = self.row.read();
        let (_, before) = row.range(..first).next_back()?;
        before.seal.get().map(|seal| seal.end).filter(|end| end.next == first)
    }

    /// Forgets the segments before `first`, with which one begins.
    pub fn drop_before(&self, first: Seq) {
        let mut row = self.row.write();
        let kept = row.split_off(&first);
        let dropped = std::mem::replace(&mut *row, kept);
        drop(row);
        for slot in dropped.values() {
            *slot.open.write() = Open::No;
        }
    }

    /// Closes all segments for good.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for slot in self.row.read().values() {
            *slot.open.write() = Open::No;
        }
    }

    fn push(&self, first: Seq, dir: &Path, seal: OnceLock<Seal>, open: Open) -> Arc<Slot> {
        let (dir, open, last_use) = (dir.to_path_buf(), RwLock::new(open), AtomicU64::new(0));
        let slot = Arc::new(Slot { first, dir, seal, open, last_use, sealed_bytes: OnceLock::new() });
        let before = self.row.write().insert(first, slot.clone());
        assert!(before.is_none(), "two segments cannot begin at the same event");
        slot
    }

    /// Closes the sealed segments that were not used for longest, so that one more may be opened; not after the end.
    fn make_room(&self) -> Result<(), SlotError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(SlotError::Closed);
        }
        let mut open: Vec<Arc<Slot>> = self.row.read().values().filter(|slot| slot.may_close()).cloned().collect();
        open.sort_by_key(|slot| slot.last_use.load(Ordering::Relaxed));
        let surplus = (open.len() + 1).saturating_sub(SEALED_OPEN_MAX);
        for slot in &open[..surplus] {
            *slot.open.write() = Open::No;
        }
        Ok(())
    }
}

/// Why a slot could not be read.
enum SlotError {
    Sled(SegmentError),
    Sealed(SealError),
    Closed,
}

impl Slot {
    /// Has sled close the segment, and seals it. Readers wait meanwhile.
    pub fn seal(&self, what: &Sealable) -> Result<(), SealError> {
        let mut open = self.open.write();
        if let Open::No = *open {
            // The log was closed meanwhile.
            return Ok(());
        }
        *open = Open::No;
        match Seal::make(&self.dir, what) {
            Ok(seal) => {
                // A segment is sealed once: by the one sealer, after its last page.
                let _ = self.seal.set(seal);
                Ok(())
            }
            Err(error) => {
                // It can still be read as before.
                if let Ok(segment) = Segment::open(&self.dir, CHECK_CACHE_BYTES) {
                    *open = Open::Sled(segment);
                }
                Err(error)
            }
        }
    }

    /// Calls `write` with the segment, which is the last of the row and therefore open.
    pub fn active<T>(&self, write: impl FnOnce(&Segment) -> T) -> T {
        match &*self.open.read() {
            Open::Sled(segment) => write(segment),
            Open::Sealed(_) | Open::No => panic!("the segment that takes the pages is open until the log is closed"),
        }
    }

    fn page_with(
        &self,
        seq: Seq,
        make_room: impl FnOnce() -> Result<(), SlotError>,
    ) -> Result<Option<Vec<u8>>, SlotError> {
        if let Some(result) = self.open.read().page_with(seq) {
            return result;
        }
        make_room()?;
        let mut open = self.open.write();
        if let (Open::No, Some(seal)) = (&*open, self.seal.get()) {
            *open = Open::Sealed(SealedSegment::open(&self.dir, seal).map_err(SlotError::Sealed)?);
        }
        let open = RwLockWriteGuard::downgrade(open);
        open.page_with(seq).unwrap_or(Err(SlotError::Closed))
    }

    /// What it takes on disk, with its payloads.
    fn bytes(&self) -> io::Result<u64> {
        if let Some(bytes) = self.sealed_bytes.get() {
            return Ok(*bytes);
        }
        let is_sealed = self.seal.get().is_some();
        let measured = disk::bytes_in_files(&self.dir)
            .and_then(|bytes| Ok(bytes + disk::bytes_in_files(&self.dir.join("payloads"))?));
        let bytes = match measured {
            // A payload file that has just got its name was listed under another.
            Err(error) if !is_sealed && error.kind() == io::ErrorKind::NotFound => return Ok(0),
            measured => measured?,
        };
        Ok(if is_sealed { *self.sealed_bytes.get_or_init(|| bytes) } else { bytes })
    }

    fn may_close(&self) -> bool {
        self.open.try_read().is_some_and(|open| matches!(*open, Open::Sealed(_)))
    }

    fn read_error(&self, error: SlotError) -> ReadError {
        let step = "read a segment";
        let detail = match error {
            SlotError::Closed => return ReadError::Failed { step, source: "the log is closed".into() },
            SlotError::Sled(SegmentError::Io(error)) => return ReadError::Failed { step, source: error.into() },
            SlotError::Sled(error) => explain(&error),
            SlotError::Sealed(error) => explain(&error),
        };
        ReadError::Damaged {
            place: format!("segment {}", name_of(self.first)),
            detail: format!("{detail}; {NEXT_STEP}"),
        }
    }
}

impl Open {
    /// The bytes of the page; none if the segment is not open.
    fn page_with(&self, seq: Seq) -> Option<Result<Option<Vec<u8>>, SlotError>> {
        match self {
            Open::Sled(segment) => {
                let found = segment.page_with(seq).map_err(SlotError::Sled);
                Some(found.map(|found| found.map(|(_, bytes)| bytes.to_vec())))
            }
            Open::Sealed(segment) => Some(segment.page_with(seq).map_err(|error| SlotError::Sealed(error.into()))),
            Open::No => None,
        }
    }
}
