//! What readers find without sled: the records that were written just now, and the pages that were read last.
//! Both are bounded in bytes. Only durable records ever come in here.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::chain::{PAGE_HEADER_BYTES, Page, PageError};
use crate::log::codec::{DecodeError, Frame};
use crate::storage::payloads::Payloads;

/// How many bytes of just written records are kept, as they are encoded. Decoded they take about three times as much.
pub const RECENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many pages that were read are kept: at most 1.8 MB.
pub const PAGES_MAX: usize = 64;

/// The records that were written last, in the pieces in which they came.
#[derive(Debug, Default)]
pub struct Recent {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

/// Records that were kept for readers, and are no more.
pub type Outdated = Arc<[Record]>;

#[derive(Debug)]
struct Piece {
    first: Seq,
    records: Arc<[Record]>,
    bytes: usize,
}

impl Recent {
    /// Adds a submission that is durable. What is too big to be kept empties the cache, so that it has no holes. Gives
    /// what is kept no longer.
    pub fn push(&mut self, records: Arc<[Record]>, bytes: usize) -> Vec<Outdated> {
        let Some(first) = records.first().map(|record| record.seq) else { return Vec::new() };
        self.pieces.push_back(Piece { first, records, bytes });
        self.bytes += bytes;
        let mut outdated = Vec::new();
        while self.bytes > RECENT_BYTES_MAX {
            let dropped = self.pieces.pop_front().expect("bytes are counted for pieces only");
            self.bytes -= dropped.bytes;
            outdated.push(dropped.records);
        }
        outdated
    }

    /// The piece with a seq, and the place in it.
    pub fn find(&self, seq: Seq) -> Option<(Arc<[Record]>, usize)> {
        let behind = self.pieces.partition_point(|piece| piece.first <= seq);
        let piece = &self.pieces[behind.checked_sub(1)?];
        let place = (seq.0 - piece.first.0) as usize;
        (place < piece.records.len()).then(|| (piece.records.clone(), place))
    }
}

/// A page that was read, with the places of its frames.
pub struct CachedPage {
    bytes: Vec<u8>,
    pub first: Seq,
    frames: Vec<u32>,
    payloads: Payloads,
}

impl CachedPage {
    /// Checks a page and finds its frames. `payloads` are those of its segment.
    pub fn new(bytes: Vec<u8>, payloads: Payloads) -> Result<CachedPage, PageError> {
        let page = Page::parse(&bytes)?;
        let mut at = PAGE_HEADER_BYTES as u32;
        let mut frames = Vec::with_capacity(page.count as usize);
        for (_, frame) in page.frames()? {
            frames.push(at);
            at += frame.bytes() as u32;
        }
        let first = page.first;
        Ok(CachedPage { bytes, first, frames, payloads })
    }

    /// Whether the record is in the page.
    pub fn holds(&self, seq: Seq) -> bool {
        seq >= self.first && seq.0 - self.first.0 < self.frames.len() as u64
    }

    /// The seqs from `from` to the end of the page.
    pub fn seqs_from(&self, from: Seq) -> impl Iterator<Item = Seq> {
        (from.0..self.first.0 + self.frames.len() as u64).map(Seq)
    }

    /// Decodes one record of the page.
    pub fn decode(&self, seq: Seq) -> Result<Record, DecodeError> {
        self.frame(seq)?.decode(seq, &self.payloads)
    }

    /// How many records there are from `from` to the end of the page.
    pub fn count_from(&self, from: Seq) -> usize {
        self.frames.len() - (from.0 - self.first.0) as usize
    }

    /// Decodes one record of the page, and says how many bytes it has outside of the page.
    pub fn decode_sized(&self, seq: Seq) -> Result<(Record, usize), DecodeError> {
        let frame = self.frame(seq)?;
        let bytes = frame.payload()?.map_or(0, |payload| payload.length as usize);
        Ok((frame.decode(seq, &self.payloads)?, bytes))
    }

    fn frame(&self, seq: Seq) -> Result<Frame<'_>, DecodeError> {
        let at = self.frames[(seq.0 - self.first.0) as usize] as usize;
        Ok(Frame::split(&self.bytes[at..])?.0)
    }
}

/// The pages that were read last.
#[derive(Default)]
pub struct Pages {
    latest_first: VecDeque<Arc<CachedPage>>,
}

impl Pages {
    /// The page with a seq, if it is here.
    pub fn find(&mut self, seq: Seq) -> Option<Arc<CachedPage>> {
        let place = self.latest_first.iter().position(|page| page.holds(seq))?;
        let page = self.latest_first.remove(place)?;
        self.latest_first.push_front(page.clone());
        Some(page)
    }

    /// Forgets the pages before a seq.
    pub fn forget_before(&mut self, seq: Seq) {
        self.latest_first.retain(|page| page.first >= seq);
    }

    /// Keeps a page.
    pub fn push(&mut self, page: Arc<CachedPage>) {
        self.latest_first.push_front(page);
        self.latest_first.truncate(PAGES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::codec::samples;

    #[test]
    fn what_was_written_last_is_found_and_the_oldest_goes_first() {
        let records: Arc<[Record]> = samples::one_of_each().into();
        let mut recent = Recent::default();
        recent.push(records[..10].into(), RECENT_BYTES_MAX / 2);
        recent.push(records[10..].into(), RECENT_BYTES_MAX / 2);
        let (piece, place) = recent.find(Seq(12)).unwrap();
        assert_eq!(piece[place], records[11]);
        assert!(recent.find(Seq(1)).is_some());
        assert!(recent.find(Seq(records.len() as u64 + 1)).is_none());
        assert!(recent.find(Seq::ZERO).is_none());

        recent.push(records[..1].into(), 1);
        assert!(recent.find(Seq(10)).is_none());
    }

    #[test]
    fn a_submission_that_is_bigger_than_the_cache_is_not_kept() {
        let mut recent = Recent::default();
        recent.push(samples::one_of_each().into(), RECENT_BYTES_MAX + 1);
        assert!(recent.find(Seq(1)).is_none());
        assert_eq!(recent.bytes, 0);
    }
}
