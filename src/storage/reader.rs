//! The reading half of the log on sled. It never looks past the durable end: sled would show what is not yet synced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::base::Base;
use crate::log::{LogReader, ReadError};
use crate::storage::base::BaseFiles;
use crate::storage::cache::{CachedPage, Outdated, Pages, Recent};
use crate::storage::open::{NEXT_STEP, explain};
use crate::storage::segment::name_of;
use crate::storage::segments::Segments;

/// When the payloads of a piece have this many bytes, the piece ends.
const PIECE_PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most records that are given in one piece.
const PIECE_RECORDS_MAX: usize = 1024;

/// What the writer and the readers share.
pub struct Shared {
    pub segments: Segments,
    base: RwLock<Option<Arc<BaseFiles>>>,
    earliest: AtomicU64,
    last: AtomicU64,
    recent: Mutex<Recent>,
    pages: Mutex<Pages>,
}

impl Shared {
    /// Of a log that was opened: nothing is cached yet.
    pub fn new(segments: Segments, base: Option<BaseFiles>, earliest: Seq, last: Seq) -> Shared {
        Shared {
            segments,
            base: RwLock::new(base.map(Arc::new)),
            earliest: AtomicU64::new(earliest.0),
            last: AtomicU64::new(last.0),
            recent: Mutex::default(),
            pages: Mutex::default(),
        }
    }

    /// Lets readers see what has become durable. Gives what is kept for them no longer.
    pub fn publish(&self, records: Arc<[Record]>, bytes: usize, last: Seq) -> Vec<Outdated> {
        let outdated = self.recent.lock().push(records, bytes);
        self.last.store(last.0, Ordering::Release);
        outdated
    }

    /// The base, as files.
    pub fn base_files(&self) -> Option<Arc<BaseFiles>> {
        self.base.read().clone()
    }

    /// From now on the log begins with `earliest`, and the base stands for what was before: it is durable, and HEAD
    /// names it. Who reads an older segment just now may go on until its file is closed.
    pub fn trim(&self, earliest: Seq, base: Arc<BaseFiles>) {
        // What is carried can be read before it is needed.
        *self.base.write() = Some(base);
        self.earliest.store(earliest.0, Ordering::Release);
        self.pages.lock().forget_before(earliest);
        self.segments.drop_before(earliest);
    }

    /// An error of a read that a trim overtook is none of the log.
    fn or_trimmed<T>(&self, seq: Seq, outcome: Result<T, ReadError>) -> Result<T, ReadError> {
        outcome.or_else(|error| self.check(seq).and(Err(error)))
    }

    fn check(&self, seq: Seq) -> Result<(), ReadError> {
        let (earliest, last) = (self.earliest(), self.last());
        if seq < earliest {
            return Err(ReadError::Trimmed { seq, earliest });
        }
        if seq > last {
            return Err(ReadError::PastHead { seq, last });
        }
        Ok(())
    }

    fn recent(&self, seq: Seq) -> Option<(Arc<[Record]>, usize)> {
        self.recent.lock().find(seq)
    }

    /// The page with a durable seq.
    fn page_with(&self, seq: Seq) -> Result<Arc<CachedPage>, ReadError> {
        let cached = self.pages.lock().find(seq);
        if let Some(page) = cached {
            return Ok(page);
        }
        let found = self.segments.page_with(seq);
        let Some((bytes, payloads)) = self.or_trimmed(seq, found)? else {
            return self.check(seq).and(Err(self.damaged(seq, "its segment is missing")));
        };
        let bytes = bytes.ok_or_else(|| self.damaged(seq, "its page is missing"))?;
        let page = CachedPage::new(bytes, payloads).map_err(|error| self.damaged(seq, &explain(&error)))?;
        if !page.holds(seq) {
            return Err(self.damaged(seq, "its page is missing"));
        }
        let page = Arc::new(page);
        self.pages.lock().push(page.clone());
        Ok(page)
    }

    fn damaged(&self, seq: Seq, detail: &str) -> ReadError {
        let segment = self.segments.first_before(seq).map(name_of).unwrap_or_default();
        ReadError::Damaged {
            place: format!("event {seq} in segment {segment}"),
            detail: format!("{detail}; {NEXT_STEP}"),
        }
    }
}

impl LogReader for Shared {
    fn earliest(&self) -> Seq {
        Seq(self.earliest.load(Ordering::Acquire))
    }

    fn last(&self) -> Seq {
        Seq(self.last.load(Ordering::Acquire))
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        self.check(seq)?;
        if let Some((records, place)) = self.recent(seq) {
            return Ok(records[place].clone());
        }
        let page = self.page_with(seq)?;
        let decoded = page.decode(seq).map_err(|error| self.damaged(seq, &explain(&error)));
        self.or_trimmed(seq, decoded)
    }

    fn carried(&self, seq: Seq) -> Result<Record, ReadError> {
        let trimmed = match self.record(seq) {
            Err(error @ ReadError::Trimmed { .. }) => error,
            outcome => return outcome,
        };
        self.base_files().map_or(Err(trimmed), |base| base.read(seq))
    }

    fn base(&self) -> Option<Arc<dyn Base>> {
        let base = self.base_files()?;
        Some(base)
    }

    fn is_at_hand(&self, seq: Seq) -> bool {
        seq <= self.last() && self.recent(seq).is_some()
    }

    fn page_after(&self, after: Seq) -> Result<Vec<Record>, ReadError> {
        let (from, last) = (after.next(), self.last());
        if from > last {
            return Ok(Vec::new());
        }
        self.check(from)?;
        if let Some((records, place)) = self.recent(from) {
            return Ok(records[place..].iter().take(PIECE_RECORDS_MAX).cloned().collect());
        }
        let page = self.page_with(from)?;
        let mut records = Vec::with_capacity(page.count_from(from));
        let mut payload_bytes = 0;
        for seq in page.seqs_from(from) {
            let decoded = page.decode_sized(seq).map_err(|error| self.damaged(seq, &explain(&error)));
            let (record, bytes) = self.or_trimmed(seq, decoded)?;
            records.push(record);
            payload_bytes += bytes;
            if payload_bytes > PIECE_PAYLOAD_BYTES_MAX {
                break;
            }
        }
        Ok(records)
    }
}
