//! Writes finished jobs, and takes out those that are forgotten: items first, then pages, then how far the store has
//! come, in pieces of a bounded size. Counts the bytes that live.

use std::sync::Arc;

use crate::domain::id::FinishOrdinal;
use crate::domain::job::Job;
use crate::log::codec_job::{encode_head, encode_items};
use crate::storage::views::database::{META_KEY, Meta, StoreError};
use crate::storage::views::page::{PAGE_HEADS, Page, Place, VALUE_BYTES_MAX, locate};
use crate::storage::views::read_page;
use crate::views::finish_ordinal;

/// The most bytes that are given to sled in one piece.
const BATCH_BYTES_MAX: usize = 512 * 1024;

/// Gives changes to sled in bounded pieces, the meta entry with the last.
pub struct Writer<'a> {
    db: &'a sled::Db,
    batch: sled::Batch,
    batch_bytes: usize,
    pub live_bytes: u64,
}

impl Writer<'_> {
    /// Begins with a database in which so many bytes live.
    pub fn new(db: &sled::Db, live_bytes: u64) -> Writer<'_> {
        Writer { db, batch: sled::Batch::default(), batch_bytes: 0, live_bytes }
    }

    /// Empties places of one page, and puts jobs into it.
    pub fn put_page(&mut self, number: u64, jobs: &[&Arc<Job>], gone: &[FinishOrdinal]) -> Result<(), StoreError> {
        let before = read_page(self.db, number)?;
        let mut page = before.as_ref().map_or_else(|| Ok(Page::empty()), |bytes| Page::read(bytes))?;
        for &ordinal in gone {
            if page.clear(locate(ordinal).1) != Place::Empty {
                self.remove_pieces(b'h', ordinal)?;
                self.remove_pieces(b'i', ordinal)?;
            }
        }
        for job in jobs {
            let ordinal = finish_ordinal(job);
            if page.set(locate(ordinal).1, encode_head(job)) != Place::Empty {
                self.remove_pieces(b'h', ordinal)?;
                self.remove_pieces(b'i', ordinal)?;
            }
            for (piece, bytes) in encode_items(job, VALUE_BYTES_MAX).into_iter().enumerate() {
                self.insert(piece_key(b'i', ordinal, piece), bytes)?;
            }
        }
        for (place, head) in page.take_what_does_not_fit() {
            let ordinal = FinishOrdinal(number * PAGE_HEADS as u64 + place as u64);
            for (piece, bytes) in head.chunks(VALUE_BYTES_MAX).enumerate() {
                self.insert(piece_key(b'h', ordinal, piece), bytes.to_vec())?;
            }
        }
        let key = page_key(number);
        self.live_bytes -= before.as_ref().map_or(0, |bytes| (key.len() + bytes.len()) as u64);
        if !page.is_empty() {
            return self.insert(key, page.write());
        }
        if before.is_some() {
            self.batch.remove(key);
        }
        Ok(())
    }

    /// Puts one value.
    pub fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        debug_assert!(value.len() <= VALUE_BYTES_MAX + 1024, "no value may spill out of sled's segments");
        let bytes = key.len() + value.len();
        self.live_bytes += bytes as u64;
        self.batch_bytes += bytes;
        self.batch.insert(key, value);
        if self.batch_bytes >= BATCH_BYTES_MAX { self.apply() } else { Ok(()) }
    }

    fn remove_pieces(&mut self, sort: u8, ordinal: FinishOrdinal) -> Result<(), StoreError> {
        for entry in self.db.scan_prefix(pieces_of(sort, ordinal)) {
            let (key, value) = entry?;
            self.live_bytes -= (key.len() + value.len()) as u64;
            self.batch.remove(key);
        }
        Ok(())
    }

    fn apply(&mut self) -> Result<(), StoreError> {
        self.batch_bytes = 0;
        Ok(self.db.apply_batch(std::mem::take(&mut self.batch))?)
    }

    /// Writes the last piece together with the meta entry, and makes all of it durable.
    pub fn finish(mut self, meta: &Meta) -> Result<(), StoreError> {
        self.batch.insert(META_KEY, meta.encode());
        self.apply()?;
        self.db.flush()?;
        Ok(())
    }
}

/// What the keys of all pages begin with.
pub const PAGES: &[u8] = b"p";

/// The key of a page.
pub fn page_key(number: u64) -> Vec<u8> {
    [PAGES, &number.to_be_bytes()].concat()
}

/// The number of a page, by its key.
pub fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.strip_prefix(PAGES)?.try_into().ok()?))
}

/// What the keys of all pieces of a job begin with: `h` of its head, `i` of its items.
pub fn pieces_of(sort: u8, ordinal: FinishOrdinal) -> Vec<u8> {
    [&[sort][..], &ordinal.0.to_be_bytes()].concat()
}

fn piece_key(sort: u8, ordinal: FinishOrdinal, piece: usize) -> Vec<u8> {
    let piece = u32::try_from(piece).expect("a job has far fewer than 2^32 pieces");
    [pieces_of(sort, ordinal), piece.to_be_bytes().to_vec()].concat()
}
