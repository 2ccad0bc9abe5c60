//! Chapters: the trees of a segment's database, each with a few pages that follow each other.
//!
//! sled rewrites a leaf whole at every tenth change and both halves when it splits, so in one tree each page would be
//! written three to five times. A chapter ends before either happens, and its pages are written once. Its name is the
//! first seq of its first page. There is nothing but pages in the trees, and nothing at all in sled's default tree.

use std::collections::BTreeMap;

use parking_lot::{Mutex, RwLock};

use crate::domain::id::Seq;
use crate::log::commit::SealedPage;
use crate::storage::guard::{SegmentError, guarded};

/// sled rewrites a leaf when one more change comes to ten.
const CHAPTER_PAGES: usize = 9;

/// A chapter with fewer bytes goes on: to rewrite small leaves costs less than a tree for each of them.
const CHAPTER_BYTES_MIN: usize = 64 * 1024;

/// All chapters of an open segment.
pub struct Chapters {
    db: sled::Db,
    row: RwLock<BTreeMap<Seq, sled::Tree>>,
    current: Mutex<Option<Current>>,
}

/// The chapter that takes the next page.
struct Current {
    tree: sled::Tree,
    pages: usize,
    bytes: usize,
}

impl Chapters {
    /// The chapters of a database that was opened just now. The next page begins a new one.
    pub fn of(db: sled::Db) -> Result<Chapters, SegmentError> {
        let default = db.name();
        let mut row = BTreeMap::new();
        for name in db.tree_names() {
            if name == default {
                if !guarded(|| Ok(db.is_empty()))? {
                    return Err(foreign(&name));
                }
                continue;
            }
            let first = seq_of(&name).ok_or_else(|| foreign(&name))?;
            row.insert(first, guarded(|| db.open_tree(&name))?);
        }
        Ok(Chapters { db, row: RwLock::new(row), current: Mutex::new(None) })
    }

    /// Adds a page behind all others. It is durable with the next flush of the database, not before.
    pub fn insert(&self, page: &SealedPage) -> Result<(), SegmentError> {
        let mut current = self.current.lock();
        if current.as_ref().is_none_or(Current::is_full) {
            let tree = guarded(|| self.db.open_tree(key_of(page.first)))?;
            self.row.write().insert(page.first, tree.clone());
            *current = Some(Current { tree, pages: 0, bytes: 0 });
        }
        let chapter = current.as_mut().expect("one was begun if there was none");
        guarded(|| chapter.tree.insert(key_of(page.first), page.bytes.as_slice()))?;
        chapter.pages += 1;
        chapter.bytes += page.bytes.len();
        Ok(())
    }

    /// The page with the greatest first seq up to `seq`.
    pub fn page_with(&self, seq: Seq) -> Result<Option<(Seq, sled::IVec)>, SegmentError> {
        // A chapter may be empty: the server ended before its first page was durable, or that was torn.
        for tree in self.row.read().range(..=seq).rev().map(|(_, tree)| tree) {
            if let Some((key, value)) = guarded(|| tree.get_lt(key_of(seq.next())))? {
                return Ok(Some((first_of(&key), value)));
            }
        }
        Ok(None)
    }

    /// All pages in order, from the one whose first seq is at least `from`.
    pub fn pages_from(&self, from: Seq) -> impl Iterator<Item = Result<(Seq, sled::IVec), SegmentError>> {
        let row = self.row.read();
        let begin = row.range(..=from).next_back().map_or(from, |(first, _)| *first);
        let trees: Vec<sled::Tree> = row.range(begin..).map(|(_, tree)| tree.clone()).collect();
        trees.into_iter().flat_map(move |tree| {
            let mut range = tree.range(key_of(from)..);
            std::iter::from_fn(move || match guarded(|| range.next().transpose()) {
                Ok(item) => item.map(|(key, value)| Ok((first_of(&key), value))),
                Err(error) => Some(Err(error)),
            })
        })
    }

    /// Puts one page in the place of all from it on; without one, all from `from` on are removed. The last go first:
    /// what a crash leaves of the torn group is still torn.
    pub fn replace_tail(&self, from: Seq, page: Option<&SealedPage>) -> Result<(), SegmentError> {
        let firsts = self.pages_from(from).map(|page| page.map(|(first, _)| first)).collect::<Result<Vec<_>, _>>()?;
        for first in firsts.into_iter().rev() {
            let tree = self.chapter_with(first);
            match page.filter(|page| page.first == first) {
                Some(page) => guarded(|| tree.insert(key_of(first), page.bytes.as_slice()))?,
                None => guarded(|| tree.remove(key_of(first)))?,
            };
        }
        *self.current.lock() = None;
        Ok(())
    }

    fn chapter_with(&self, first: Seq) -> sled::Tree {
        let row = self.row.read();
        row.range(..=first).next_back().map(|(_, tree)| tree.clone()).expect("a page that was found is in a chapter")
    }
}

impl Current {
    fn is_full(&self) -> bool {
        self.pages >= CHAPTER_PAGES && self.bytes >= CHAPTER_BYTES_MIN
    }
}

fn key_of(first: Seq) -> [u8; 8] {
    first.0.to_be_bytes()
}

fn seq_of(name: &[u8]) -> Option<Seq> {
    name.try_into().ok().map(|bytes| Seq(u64::from_be_bytes(bytes)))
}

/// A key of another length cannot have been written by us; 0 is no seq, so the chain breaks there.
fn first_of(key: &[u8]) -> Seq {
    seq_of(key).unwrap_or(Seq::ZERO)
}

fn foreign(name: &[u8]) -> SegmentError {
    SegmentError::Foreign(String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::chain::PageHash;

    fn database(dir: &std::path::Path) -> sled::Db {
        sled::Config::new().path(dir).segment_size(2 << 20).flush_every_ms(None).open().unwrap()
    }

    fn page(first: u64, bytes: usize) -> SealedPage {
        SealedPage { first: Seq(first), bytes: vec![first as u8; bytes], hash: PageHash::default() }
    }

    fn firsts(chapters: &Chapters, from: u64) -> Vec<u64> {
        chapters.pages_from(Seq(from)).map(|page| page.unwrap().0.0).collect()
    }

    #[test]
    fn each_page_is_written_about_once() {
        let dir = tempfile::tempdir().unwrap();
        let chapters = Chapters::of(database(dir.path())).unwrap();
        let bytes = 20_000;
        (1..=1000).for_each(|first| chapters.insert(&page(first, bytes)).unwrap());
        chapters.db.flush().unwrap();
        let file_bytes = dir.path().join("db").metadata().unwrap().len();
        assert!(file_bytes < 1000 * bytes as u64 * 5 / 4, "{file_bytes}");
        assert_eq!(firsts(&chapters, 0), (1..=1000).collect::<Vec<_>>());
        assert_eq!(firsts(&chapters, 995), (995..=1000).collect::<Vec<_>>());
    }

    #[test]
    fn small_pages_share_a_chapter() {
        let dir = tempfile::tempdir().unwrap();
        let chapters = Chapters::of(database(dir.path())).unwrap();
        (1..=300).for_each(|first| chapters.insert(&page(first, 300)).unwrap());
        assert_eq!(chapters.row.read().len(), 2);
    }

    #[test]
    fn an_empty_chapter_hides_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(dir.path());
        Chapters::of(db.clone()).unwrap().insert(&page(1, 10)).unwrap();
        db.open_tree(key_of(Seq(5))).unwrap();
        let chapters = Chapters::of(db).unwrap();
        assert_eq!(chapters.page_with(Seq(9)).unwrap().unwrap().0, Seq(1));
        chapters.insert(&page(5, 10)).unwrap();
        assert_eq!(chapters.page_with(Seq(9)).unwrap().unwrap().0, Seq(5));
        assert_eq!(firsts(&chapters, 0), [1, 5]);
    }

    #[test]
    fn a_tail_is_replaced_across_chapters() {
        let dir = tempfile::tempdir().unwrap();
        let chapters = Chapters::of(database(dir.path())).unwrap();
        (1..=30).for_each(|first| chapters.insert(&page(first, 20_000)).unwrap());
        chapters.replace_tail(Seq(7), Some(&page(7, 10))).unwrap();
        assert_eq!(firsts(&chapters, 0), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(chapters.page_with(Seq(7)).unwrap().unwrap().1.len(), 10);
        chapters.replace_tail(Seq(7), None).unwrap();
        chapters.insert(&page(7, 20)).unwrap();
        assert_eq!(firsts(&chapters, 3), [3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_tree_that_is_not_ours_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(dir.path());
        db.open_tree("somebody else").unwrap();
        assert!(matches!(Chapters::of(db.clone()), Err(SegmentError::Foreign(name)) if name == "somebody else"));
        db.drop_tree("somebody else").unwrap();
        db.insert(b"k", b"v").unwrap();
        assert!(matches!(Chapters::of(db), Err(SegmentError::Foreign(_))));
    }
}
