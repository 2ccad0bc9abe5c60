//! The log of a server that does not run, read as it lies there: without sled, which writes even when it only reads, and
//! without a copy. For replay, export and whoever else only looks; it must never change a byte of the directory.
//!
//! Sealed segments are read by their seals. In the others the pages are found by their mark; the last page that HEAD
//! promises names the page before it, and so on back to the first, so that what a crash left in between cannot be taken
//! for a part of the log. Pages behind HEAD count as far as the chain goes on and the group is whole, as at a start.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::base::Base;
use crate::log::chain::{ChainEnd, Page};
use crate::log::{LogReader, ReadError};
use crate::storage::base::BaseFiles;
use crate::storage::head::{self, Head, HeadError};
use crate::storage::open::{DirectoryLock, NEXT_STEP, OpenError, base_of, explain, refuse_backups};
use crate::storage::payloads::Payloads;
use crate::storage::recovery::segments_in;
use crate::storage::scan::{FoundPages, Place, find_pages, read_page};
use crate::storage::seal::{Seal, SealedSegment};
use crate::storage::segment::{file_of, name_of};

/// The log of a stopped server.
pub struct OfflineLog {
    segments: Vec<Segment>,
    base: Option<Arc<BaseFiles>>,
    lineage: Uuid,
    earliest: Seq,
    last: Seq,
    /// The sealed segment that was read last.
    open: Mutex<Option<(Seq, Arc<SealedSegment>)>>,
    /// Keeps servers out as long as it is read; none if there is no lock to take.
    _lock: Option<DirectoryLock>,
}

struct Segment {
    first: Seq,
    dir: PathBuf,
    pages: Pages,
}

/// How the pages of a segment are found.
enum Pages {
    Sealed(Seal),
    Found { file: File, row: Vec<Place> },
}

impl OfflineLog {
    /// Opens the log in a data directory that has one.
    pub fn open(data: &Path) -> Result<OfflineLog, OpenError> {
        let lock = DirectoryLock::take_to_read(data)?;
        Ok(OfflineLog { _lock: lock, ..OfflineLog::open_locked(data)? })
    }

    /// The same, for whoever holds the directory's lock, or found none to take.
    pub fn open_locked(data: &Path) -> Result<OfflineLog, OpenError> {
        refuse_backups(data)?;
        let log_dir = data.join("log");
        let head = head_of(&log_dir)?;
        let firsts = segments_in(&log_dir).map_err(OpenError::io("list the segments in", &log_dir))?;
        let base = base_of(&log_dir, &head)?;
        let start = base.as_ref().map(|base| base.manifest().start);
        let mut look = Look { log_dir: &log_dir, head, end: start, segments: Vec::new() };
        look.check_ends(&firsts)?;
        // What lies before the earliest was left by a crash while it was dropped.
        let kept = firsts.partition_point(|first| *first < head.earliest);
        for (place, first) in firsts.iter().enumerate().skip(kept) {
            look.take(*first, firsts.get(place + 1).copied())?;
        }
        let next = look.end.map_or(Seq(1), |end| end.next);
        let mut log = OfflineLog {
            segments: look.segments,
            base: base.map(Arc::new),
            lineage: head.lineage,
            earliest: head.earliest,
            last: Seq(next.0 - 1),
            open: Mutex::default(),
            _lock: None,
        };
        log.last = log.last_whole(head).map_err(|error| OpenError::HeadDamaged {
            path: log_dir.join("HEAD"),
            detail: format!("what follows its last event cannot be read: {error}"),
        })?;
        Ok(log)
    }

    /// The log's own UUID.
    pub fn lineage(&self) -> Uuid {
        self.lineage
    }

    /// The end of the last whole group: HEAD is always one.
    fn last_whole(&self, head: Head) -> Result<Seq, ReadError> {
        let (mut last, mut from) = (head.last, head.last.next());
        while from <= self.last {
            let (bytes, _) = self.page_with(from)?;
            let page = Page::parse(&bytes).map_err(|error| self.damaged(from, &explain(&error)))?;
            for (seq, frame) in page.frames().map_err(|error| self.damaged(from, &explain(&error)))? {
                if !frame.continues() && seq > last {
                    last = seq;
                }
            }
            from = page.end();
        }
        Ok(last)
    }

    /// The bytes of the page with a seq, and its segment.
    fn page_with(&self, seq: Seq) -> Result<(Vec<u8>, &Segment), ReadError> {
        let behind = self.segments.partition_point(|segment| segment.first <= seq);
        let segment =
            &self.segments[behind.checked_sub(1).ok_or_else(|| self.damaged(seq, "its segment is missing"))?];
        let read = match &segment.pages {
            Pages::Sealed(seal) => self.sealed(segment, seal)?.page_with(seq),
            Pages::Found { file, row } => {
                let behind = row.partition_point(|place| place.before.next <= seq);
                behind.checked_sub(1).map(|place| read_page(file, &row[place])).transpose()
            }
        };
        let failed = |source: io::Error| ReadError::Failed { step: "read a segment", source: source.into() };
        let bytes = read.map_err(failed)?.ok_or_else(|| self.damaged(seq, "its page is missing"))?;
        let page = Page::parse(&bytes).map_err(|error| self.damaged(seq, &explain(&error)))?;
        if page.lineage != self.lineage || seq < page.first || seq >= page.end() {
            return Err(self.damaged(seq, "its page is missing"));
        }
        Ok((bytes, segment))
    }

    fn sealed(&self, segment: &Segment, seal: &Seal) -> Result<Arc<SealedSegment>, ReadError> {
        let mut open = self.open.lock();
        if let Some((_, sealed)) = open.as_ref().filter(|(first, _)| *first == segment.first) {
            return Ok(sealed.clone());
        }
        let sealed = SealedSegment::open(&segment.dir, seal).map_err(|error| ReadError::Damaged {
            place: format!("segment {}", name_of(segment.first)),
            detail: format!("{}; {NEXT_STEP}", explain(&error)),
        })?;
        Ok(open.insert((segment.first, Arc::new(sealed))).1.clone())
    }

    fn check(&self, seq: Seq) -> Result<(), ReadError> {
        if seq < self.earliest {
            return Err(ReadError::Trimmed { seq, earliest: self.earliest });
        }
        if seq > self.last {
            return Err(ReadError::PastHead { seq, last: self.last });
        }
        Ok(())
    }

    fn damaged(&self, seq: Seq, detail: &str) -> ReadError {
        let behind = self.segments.partition_point(|segment| segment.first <= seq);
        let segment = behind.checked_sub(1).map(|place| name_of(self.segments[place].first)).unwrap_or_default();
        ReadError::Damaged {
            place: format!("event {seq} in segment {segment}"),
            detail: format!("{detail}; {NEXT_STEP}"),
        }
    }
}

impl LogReader for OfflineLog {
    fn earliest(&self) -> Seq {
        self.earliest
    }

    fn last(&self) -> Seq {
        self.last
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        self.check(seq)?;
        let (bytes, segment) = self.page_with(seq)?;
        let decoded = Page::parse(&bytes).and_then(|page| Ok((page.frames()?, page.first)));
        let (frames, first) = decoded.map_err(|error| self.damaged(seq, &explain(&error)))?;
        let (_, frame) = frames[(seq.0 - first.0) as usize];
        let payloads = Payloads::in_segment(&segment.dir);
        frame.decode(seq, &payloads).map_err(|error| self.damaged(seq, &explain(&error)))
    }

    fn carried(&self, seq: Seq) -> Result<Record, ReadError> {
        match &self.base {
            Some(base) if seq < self.earliest => base.read(seq),
            _ => self.record(seq),
        }
    }

    fn base(&self) -> Option<Arc<dyn Base>> {
        let base = self.base.clone()?;
        Some(base)
    }

    fn is_at_hand(&self, _: Seq) -> bool {
        false
    }

    fn page_after(&self, after: Seq) -> Result<Vec<Record>, ReadError> {
        let from = after.next();
        if from > self.last {
            return Ok(Vec::new());
        }
        self.check(from)?;
        let (bytes, segment) = self.page_with(from)?;
        let payloads = Payloads::in_segment(&segment.dir);
        let records = Page::parse(&bytes).and_then(|page| page.records(&payloads));
        let mut records = records.map_err(|error| self.damaged(from, &explain(&error)))?;
        records.retain(|record| record.seq >= from && record.seq <= self.last);
        Ok(records)
    }
}

fn head_of(log_dir: &Path) -> Result<Head, OpenError> {
    let path = log_dir.join("HEAD");
    let damaged = |detail: &str| OpenError::HeadDamaged { path: path.clone(), detail: detail.into() };
    match head::read(&path) {
        Ok(Some(head)) => Ok(head),
        Ok(None) => Err(damaged("it is missing")),
        Err(HeadError::Damaged) => Err(damaged("it is empty or damaged")),
        Err(HeadError::Newer { format }) => {
            Err(OpenError::Newer { path: log_dir.parent().unwrap_or(log_dir).to_path_buf(), format })
        }
        Err(HeadError::Io(error)) => Err(OpenError::io("read", &path)(error)),
    }
}

/// A walk along the segments.
struct Look<'a> {
    log_dir: &'a Path,
    head: Head,
    /// Where the chain ends so far; none before the first segment of a log without a base.
    end: Option<ChainEnd>,
    segments: Vec<Segment>,
}

impl Look<'_> {
    /// The first and the last segment that HEAD knows of must be there. The one with the last page may be dropped.
    fn check_ends(&self, firsts: &[Seq]) -> Result<(), OpenError> {
        let is_new = self.head.last == Seq::ZERO && firsts.is_empty();
        let expected = [self.head.earliest, self.head.segment.max(self.head.earliest)];
        let missing = expected.into_iter().find(|first| !is_new && !firsts.contains(first));
        missing.map_or(Ok(()), |first| Err(self.missing(first)))
    }

    /// Takes a segment, behind which another one begins at `next` if it is not the last.
    fn take(&mut self, first: Seq, next: Option<Seq>) -> Result<(), OpenError> {
        if let Some(end) = self.end.filter(|end| end.next != first) {
            return Err(self.missing(end.next));
        }
        let dir = self.log_dir.join(name_of(first));
        let sealed = Seal::read(&dir).map_err(|error| damaged(first, explain(&error)))?;
        let pages = match sealed {
            Some(seal) => {
                if let Some(flaw) = seal.flaw(&dir, first, self.end, self.head.lineage) {
                    return Err(damaged(first, flaw));
                }
                self.end = Some(seal.end);
                Some(Pages::Sealed(seal))
            }
            None => self.find(first, next, &dir)?,
        };
        if self.head.promises_pages_in(first) && self.end.is_none_or(|end| end.next <= self.head.last) {
            return Err(damaged(first, format!("event {} is not in it", self.head.last)));
        }
        self.segments.extend(pages.map(|pages| Segment { first, dir, pages }));
        Ok(())
    }

    /// Finds the pages of a segment that has no seal: the last one, or one of which a crash kept the sealer. None if the
    /// server ended before there was a page in it.
    fn find(&mut self, first: Seq, next: Option<Seq>, dir: &Path) -> Result<Option<Pages>, OpenError> {
        let path = file_of(dir);
        let is_promised = self.head.promises_pages_in(first);
        let may_be_empty = !is_promised && next.is_none();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_be_empty => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(first, "its file `db` is missing".into()));
            }
            Err(error) => return Err(OpenError::io("read", &path)(error)),
        };
        let found = find_pages(&file, &mut blake3::Hasher::new()).map_err(OpenError::io("read", &path))?;
        if found.is_empty() && may_be_empty {
            return Ok(None);
        }
        let start = self.end.or_else(|| found.before(first, Some(self.head.lineage)));
        let start = start.ok_or_else(|| damaged(first, format!("event {first} is not in it")))?;
        let mut row = match is_promised {
            true => found.row_to(first, self.head.hash).ok_or_else(|| self.gap(first, &found, start))?,
            false => Vec::new(),
        };
        if row.first().is_some_and(|place| place.before != start) {
            return Err(damaged(first, "it does not follow the segment before it".into()));
        }
        let mut end = row.last().map_or(start, |place| place.after);
        // A log that was closed in order ends where HEAD says.
        let goes_on = !(is_promised && self.head.clean);
        while let Some(place) = found.next(&end).filter(|_| goes_on && next.is_none_or(|next| end.next < next)) {
            row.push(*place);
            end = place.after;
        }
        if next.is_some_and(|next| end.next != next) {
            return Err(damaged(first, format!("event {} is not in it", end.next)));
        }
        self.end = Some(end);
        Ok(Some(Pages::Found { file, row }))
    }

    /// Where the pages up to the one that HEAD promises break off.
    fn gap(&self, first: Seq, found: &FoundPages, start: ChainEnd) -> OpenError {
        let mut end = start;
        while let Some(place) = found.next(&end) {
            end = place.after;
        }
        damaged(first, format!("the page at event {} is damaged or missing", end.next.min(self.head.last_page)))
    }

    fn missing(&self, first: Seq) -> OpenError {
        OpenError::SegmentMissing { segment: name_of(first), log: self.log_dir.to_path_buf() }
    }
}

fn damaged(first: Seq, detail: String) -> OpenError {
    OpenError::SegmentDamaged { segment: name_of(first), detail }
}
