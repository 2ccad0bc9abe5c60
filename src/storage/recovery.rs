//! Brings the row of segments back as it was: sealed ones by their seals, the last one page by page, and without the
//! group at the end that is not complete. What is not as it was written is an error, and then nothing was changed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::id::Seq;
use crate::log::chain::ChainEnd;
use crate::storage::disk;
use crate::storage::guard::SegmentError;
use crate::storage::head::Head;
use crate::storage::inspect::Promise;
use crate::storage::open::{OpenError, Options, explain};
use crate::storage::scan::find_pages;
use crate::storage::seal::{Seal, Sealable};
use crate::storage::segment::{Segment, file_of, first_of, name_of};
use crate::storage::segments::{Segments, Slot};
use crate::storage::trial::{CHECK_CACHE_BYTES, TrialError, may_open, start_of};
use crate::storage::verify::{Contents, VerifyError, drop_torn, verify, verify_payloads};
use crate::storage::writer::create;

/// The log as it was found, ready to go on.
pub struct Recovered {
    pub segments: Segments,
    pub active: Arc<Slot>,
    /// Where the chain stands before the active segment.
    pub active_start: ChainEnd,
    pub end: ChainEnd,
    /// What HEAD has to say now.
    pub head: Head,
    pub torn_events: u64,
    /// Segments that take no more pages and have no seal yet.
    pub unsealed: Vec<(Arc<Slot>, Sealable)>,
}

/// The first seqs of the segments in a log's directory, in order.
pub fn segments_in(log_dir: &Path) -> io::Result<Vec<Seq>> {
    Ok(disk::names_in(log_dir)?.iter().filter_map(|name| first_of(name)).collect())
}

/// Recovers a log whose HEAD could be read. `start` is where the chain stands behind its base, if it has one; `firsts` are
/// the segments from there on.
pub fn recover(
    log_dir: &Path,
    head: &Head,
    start: Option<ChainEnd>,
    firsts: &[Seq],
    options: &Options,
) -> Result<Recovered, OpenError> {
    let mut recovery = Recovery { end: start, ..Recovery::new(log_dir, head, options) };
    recovery.check_ends(firsts)?;
    let (last, before) = firsts.split_last().unwrap_or((&head.segment, &[]));
    for (first, next) in before.iter().zip(firsts.iter().skip(1)) {
        recovery.take_full(*first, *next)?;
    }
    recovery.take_active(*last)
}

struct Recovery<'a> {
    log_dir: &'a Path,
    head: &'a Head,
    options: &'a Options,
    segments: Segments,
    unsealed: Vec<(Arc<Slot>, Sealable)>,
    /// Where the chain ends so far; none before the first segment of a log without a base.
    end: Option<ChainEnd>,
    /// The last page so far, and its segment.
    last_page: (Seq, Seq),
}

impl<'a> Recovery<'a> {
    fn new(log_dir: &'a Path, head: &'a Head, options: &'a Options) -> Recovery<'a> {
        let last_page = (head.last_page, head.segment);
        Recovery { log_dir, head, options, segments: Segments::default(), unsealed: Vec::new(), end: None, last_page }
    }

    /// The first and the last segment that HEAD knows of must be there. The one with the last page may be dropped.
    fn check_ends(&self, firsts: &[Seq]) -> Result<(), OpenError> {
        let is_new = self.head.last == Seq::ZERO && firsts.is_empty();
        let expected = [self.head.earliest, self.head.segment.max(self.head.earliest)];
        let missing = expected.into_iter().find(|first| !is_new && !firsts.contains(first));
        missing.map_or(Ok(()), |first| Err(self.missing(first)))
    }

    /// A segment must begin where the one before it ends.
    fn check_place(&self, first: Seq) -> Result<(), OpenError> {
        self.end.filter(|end| end.next != first).map_or(Ok(()), |end| Err(self.missing(end.next)))
    }

    /// A segment behind which there is another one, which begins at `next`.
    fn take_full(&mut self, first: Seq, next: Seq) -> Result<(), OpenError> {
        self.check_place(first)?;
        let dir = self.dir(first);
        let seal = Seal::read(&dir).map_err(|error| damaged(first, explain(&error)))?;
        let Some(seal) = seal else { return self.take_unsealed(first, next) };
        self.check_seal(first, &seal)?;
        self.segments.push_sealed(first, &dir, seal);
        self.go_on(first, seal.end, seal.last_page);
        Ok(())
    }

    fn check_seal(&self, first: Seq, seal: &Seal) -> Result<(), OpenError> {
        if let Some(flaw) = seal.flaw(&self.dir(first), first, self.end, self.head.lineage) {
            return Err(damaged(first, flaw));
        }
        if self.promise(first).is_some_and(|promise| promise.last > seal.last()) {
            return Err(damaged(first, format!("it ends with event {}, before HEAD", seal.last())));
        }
        Ok(())
    }

    /// The server ended between the roll and the seal.
    fn take_unsealed(&mut self, first: Seq, next: Seq) -> Result<(), OpenError> {
        let promise = self.promise_up_to(first, next)?;
        let (segment, start, contents) = self.open_checked(first, Some(promise), CHECK_CACHE_BYTES)?;
        let (Some(last_page), None) = (contents.last_page, contents.torn) else {
            return Err(damaged(first, "it has no proper end, but another segment follows".into()));
        };
        let slot = self.segments.push_open(first, &self.dir(first), segment);
        self.unsealed.push((slot, Sealable { start, end: contents.end, last_page }));
        self.go_on(first, contents.end, last_page);
        Ok(())
    }

    /// The last segment, which takes the pages from now on.
    fn take_active(mut self, first: Seq) -> Result<Recovered, OpenError> {
        self.check_place(first)?;
        let dir = self.dir(first);
        if self.promise(first).is_none() && is_unborn(&dir) {
            disk::remove_dir(&dir).map_err(OpenError::io("remove the unfinished segment", &dir))?;
            drop(create(&dir, self.options.cache_bytes).map_err(|error| segment_error(first, &dir, error))?);
        }
        let (segment, active_start, found) = self.open_checked(first, self.promise(first), self.options.cache_bytes)?;
        let (contents, torn_events) = self.without_torn(first, &segment, active_start, found)?;
        let payloads = segment.payloads();
        payloads.prepare().map_err(OpenError::io("make the place for payloads in", &dir))?;
        payloads.keep_only(&contents.packs).map_err(OpenError::io("clear the payloads in", &dir))?;
        let file_bytes = segment.file_bytes().map_err(OpenError::io("measure", &dir))?;
        if let Some(last_page) = contents.last_page {
            self.go_on(first, contents.end, last_page);
        }
        let active = self.segments.push_open(first, &dir, segment);
        Ok(self.recovered(active, active_start, contents.end, file_bytes, torn_events))
    }

    fn without_torn(
        &self,
        first: Seq,
        segment: &Segment,
        start: ChainEnd,
        found: Contents,
    ) -> Result<(Contents, u64), OpenError> {
        let Some(torn) = found.torn else { return Ok((found, 0)) };
        let dropped = drop_torn(segment, &torn).and_then(|()| verify(segment, start, self.promise(first).as_ref()));
        let contents = dropped.map_err(|error| verify_error(first, &self.dir(first), error))?;
        let torn_events = found.end.next.0 - contents.end.next.0;
        Ok((contents, torn_events))
    }

    fn recovered(
        self,
        active: Arc<Slot>,
        active_start: ChainEnd,
        end: ChainEnd,
        file_bytes: u64,
        torn_events: u64,
    ) -> Recovered {
        let (last_page, segment) = self.last_page;
        let last = Seq(end.next.0 - 1);
        let head = Head { clean: false, segment, last, last_page, hash: end.previous, file_bytes, ..*self.head };
        let (segments, unsealed) = (self.segments, self.unsealed);
        Recovered { segments, active, active_start, end, head, torn_events, unsealed }
    }

    /// Opens a segment if nothing speaks against it, and reads all of it.
    fn open_checked(
        &self,
        first: Seq,
        promise: Option<Promise>,
        cache_bytes: u64,
    ) -> Result<(Segment, ChainEnd, Contents), OpenError> {
        let dir = self.dir(first);
        if let Some(promise) = &promise {
            may_open(&dir, first, self.end, promise).map_err(|error| trial_error(first, &dir, error))?;
        }
        let segment = Segment::open(&dir, cache_bytes).map_err(|error| segment_error(first, &dir, error))?;
        let checked = start_of(&segment, first, self.end, self.head.lineage).and_then(|start| {
            let contents = verify(&segment, start, promise.as_ref())?;
            verify_payloads(&contents, segment.payloads())?;
            Ok((start, contents))
        });
        let (start, contents) = checked.map_err(|error| verify_error(first, &dir, error))?;
        Ok((segment, start, contents))
    }

    /// What HEAD promises of a segment.
    fn promise(&self, first: Seq) -> Option<Promise> {
        let Head { lineage, last_page: page, last, hash, .. } = *self.head;
        self.head.promises_pages_in(first).then_some(Promise { lineage, page, last, hash })
    }

    /// What the segment behind it promises of a segment: its pages go up to there.
    fn promise_up_to(&self, first: Seq, next: Seq) -> Result<Promise, OpenError> {
        let lineage = self.head.lineage;
        let path = file_of(&self.dir(first));
        let found = File::open(&path).and_then(|file| find_pages(&file, &mut blake3::Hasher::new()));
        let found = found.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => damaged(first, "its file `db` is missing".into()),
            _ => OpenError::io("read", &path)(error),
        })?;
        let start = self.end.or_else(|| found.before(first, Some(lineage)));
        let last = start.ok_or(first).and_then(|start| found.last_before(start, next));
        let (page, end) = last.map_err(|seq| damaged(first, format!("event {seq} is not in it")))?;
        Ok(Promise { lineage, page, last: Seq(next.0 - 1), hash: end.previous })
    }

    fn go_on(&mut self, first: Seq, end: ChainEnd, last_page: Seq) {
        self.end = Some(end);
        self.last_page = (last_page, first);
    }

    fn dir(&self, first: Seq) -> PathBuf {
        self.log_dir.join(name_of(first))
    }

    fn missing(&self, first: Seq) -> OpenError {
        OpenError::SegmentMissing { segment: name_of(first), log: self.log_dir.to_path_buf() }
    }
}

/// Whether the server ended while it made the segment: there is nothing in it yet.
fn is_unborn(dir: &Path) -> bool {
    file_of(dir).metadata().map_or(true, |metadata| metadata.len() == 0)
}

fn damaged(first: Seq, detail: String) -> OpenError {
    OpenError::SegmentDamaged { segment: name_of(first), detail }
}

fn trial_error(first: Seq, dir: &Path, error: TrialError) -> OpenError {
    match error {
        TrialError::Damaged(detail) => damaged(first, detail),
        TrialError::NoRoom { detail, needed, free } => {
            OpenError::NoRoomToCheck { segment: name_of(first), detail, needed, free }
        }
        TrialError::Io(error) => OpenError::io("check the segment", dir)(error),
    }
}

fn segment_error(first: Seq, dir: &Path, error: SegmentError) -> OpenError {
    let full = error.is_full();
    match error {
        SegmentError::Io(source) => OpenError::io("open the segment", dir)(source),
        SegmentError::NotSynced => OpenError::NotSynced,
        error if full => OpenError::StorageFull { path: dir.to_path_buf(), source: io::Error::other(error) },
        error => damaged(first, explain(&error)),
    }
}

fn verify_error(first: Seq, dir: &Path, error: VerifyError) -> OpenError {
    match error {
        VerifyError::Segment(error) => segment_error(first, dir, error),
        error => damaged(first, explain(&error)),
    }
}
