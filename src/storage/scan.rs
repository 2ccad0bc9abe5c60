//! Finds pages in a sled file without sled. A page stands there whole, once or several times, because sled neither
//! compresses nor cuts a value; each copy has its own checksum, and the chain tells which copies belong together.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::memmem;
use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::chain::{ChainEnd, PAGE_MAGIC, Page, PageHash};
use crate::storage::segment::SLED_SEGMENT_BYTES;

/// The copies of pages with a right checksum, by their first seqs and in the order of the file.
#[derive(Debug, Default)]
pub struct FoundPages(BTreeMap<Seq, Vec<Place>>);

/// Where a page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub offset: u64,
    pub length: u32,
    pub checksum: u32,
    /// The page's own place in the chain.
    pub before: ChainEnd,
    pub after: ChainEnd,
}

/// Reads a whole file and finds all pages in it. `hasher` gets every byte.
pub fn find_pages(file: &File, hasher: &mut blake3::Hasher) -> io::Result<FoundPages> {
    let finder = memmem::Finder::new(&PAGE_MAGIC);
    let mut block = vec![0; SLED_SEGMENT_BYTES];
    let mut found = FoundPages::default();
    let length = file.metadata()?.len();
    let mut start = 0;
    // No value crosses the border of a block of sled's.
    while start < length {
        let size = block.len().min((length - start) as usize);
        file.read_exact_at(&mut block[..size], start)?;
        hasher.update(&block[..size]);
        for at in finder.find_iter(&block[..size]) {
            if let Ok(page) = Page::at_start_of(&block[at..size]) {
                found.add(start + at as u64, &page);
            }
        }
        start += size as u64;
    }
    Ok(found)
}

/// Reads a page that was found.
pub fn read_page(file: &File, place: &Place) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; place.length as usize];
    file.read_exact_at(&mut bytes, place.offset)?;
    Ok(bytes)
}

impl FoundPages {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the chain stands before the page that begins at `first`, as its last copy says.
    pub fn before(&self, first: Seq, lineage: Option<Uuid>) -> Option<ChainEnd> {
        let fits = |place: &&Place| lineage.is_none_or(|lineage| place.before.lineage == lineage);
        self.0.get(&first)?.iter().rev().find(fits).map(|place| place.before)
    }

    /// The page that continues the chain. Of two different ones (a torn group was dropped once) it is the one that is
    /// continued itself, else the one that was written last.
    pub fn next(&self, end: &ChainEnd) -> Option<&Place> {
        let mut latest = None;
        for place in self.0.get(&end.next)?.iter().rev().filter(|place| place.before == *end) {
            if self.is_continued(&place.after) {
                return Some(place);
            }
            latest.get_or_insert(place);
        }
        latest
    }

    /// The last page before `next`, by its first seq, and where the chain stands behind it; or the seq that is missing.
    pub fn last_before(&self, start: ChainEnd, next: Seq) -> Result<(Seq, ChainEnd), Seq> {
        let (mut page, mut end) = (start.next, start);
        while end.next < next {
            let place = self.next(&end).ok_or(end.next)?;
            (page, end) = (end.next, place.after);
        }
        if end.next == next && end != start { Ok((page, end)) } else { Err(next) }
    }

    /// The pages from `first` to the one with a hash, in order. Each page names the one before it, so that there is one
    /// such row at most, whatever else the file still holds of earlier times.
    pub fn row_to(&self, first: Seq, hash: PageHash) -> Option<Vec<Place>> {
        let by_hash: BTreeMap<PageHash, &Place> =
            self.0.values().flatten().map(|place| (place.after.previous, place)).collect();
        let mut row: Vec<Place> = Vec::new();
        let mut wanted = hash;
        loop {
            let place = **by_hash.get(&wanted)?;
            let next = row.last().map_or(place.after.next, |behind: &Place| behind.before.next);
            if place.after.next != next || place.before.next < first {
                return None;
            }
            row.push(place);
            if place.before.next == first {
                row.reverse();
                return Some(row);
            }
            wanted = place.before.previous;
        }
    }

    fn is_continued(&self, end: &ChainEnd) -> bool {
        self.0.get(&end.next).is_some_and(|places| places.iter().any(|place| place.before == *end))
    }

    fn add(&mut self, offset: u64, page: &Page<'_>) {
        let before = ChainEnd { lineage: page.lineage, next: page.first, previous: page.previous };
        let (length, checksum) = (page.bytes().len() as u32, page.checksum());
        let places = self.0.entry(page.first).or_default();
        // Most copies are of the same page, and to hash it again would take longest of all.
        let is_same = |place: &&Place| (place.before, place.length, place.checksum) == (before, length, checksum);
        let hash = places.iter().find(is_same).map_or_else(|| page.hash(), |place| place.after.previous);
        let after = ChainEnd { next: page.end(), previous: hash, ..before };
        places.push(Place { offset, length, checksum, before, after });
    }
}
