//! Builds a log from what can still be read of a damaged one, because the operator said `--accept-data-loss`. The
//! damaged log is kept, whole and as it was, beside the new one.
//!
//! Pages are found in the files without sled, by their mark, and stand only if they continue the chain. So what comes
//! back is a sound log that ends where the first page is missing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memchr::memmem;
use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::chain::{ChainEnd, PAGE_MAGIC, Page, PageError, PageHash};
use crate::log::codec::{FetchPayload, PayloadRef};
use crate::log::commit::SealedPage;
use crate::storage::disk;
use crate::storage::head::{Head, HeadFile};
use crate::storage::open::{OpenError, Options};
use crate::storage::payloads::Payloads;
use crate::storage::recovery::segments_in;
use crate::storage::seal::Seal;
use crate::storage::segment::{SLED_SEGMENT_BYTES, Segment, SegmentError, file_of, name_of};
use crate::storage::writer::create;

/// How many pages are written to the new segment at once.
const PAGES_AT_ONCE: usize = 8;

const REBUILT: &str = "log.rebuilt";

/// Rebuilds the log beside the damaged one, and puts it in its place. Gives the path to which the damaged one went.
pub fn rebuild(data: &Path, options: &Options) -> Result<PathBuf, OpenError> {
    let (log_dir, rebuilt) = (data.join("log"), data.join(REBUILT));
    let kept = free_name(data);
    let result = build(&log_dir, &rebuilt, options)
        .and_then(|()| Ok(std::fs::rename(&log_dir, &kept)?))
        .and_then(|()| Ok(finish_in(data)?));
    match result {
        Ok(()) => Ok(kept),
        Err(SegmentError::Io(error)) => Err(OpenError::io("rebuild the log in", &rebuilt)(error)),
        Err(error) => Err(OpenError::io("rebuild the log in", &rebuilt)(io::Error::other(error))),
    }
}

/// Finishes what [`rebuild`] began, if the server ended meanwhile.
pub fn finish(data: &Path) -> Result<(), OpenError> {
    finish_in(data).map_err(OpenError::io("finish the rebuilding of the log in", data))
}

fn finish_in(data: &Path) -> io::Result<()> {
    let (log_dir, rebuilt) = (data.join("log"), data.join(REBUILT));
    if log_dir.exists() {
        return disk::remove_dir(&rebuilt);
    }
    // HEAD is written last: with it the new log is complete.
    if rebuilt.join("HEAD").exists() {
        std::fs::rename(&rebuilt, &log_dir)?;
        disk::sync_dir(data)?;
    }
    Ok(())
}

fn free_name(data: &Path) -> PathBuf {
    let names = (1..).map(|number| data.join(format!("log.damaged-{number}")));
    names.into_iter().find(|path| !path.exists()).expect("there are more numbers than directories")
}

fn build(from: &Path, to: &Path, options: &Options) -> Result<(), SegmentError> {
    disk::remove_dir(to)?;
    disk::create_dir(to)?;
    let witnessed = HeadFile::open(&from.join("HEAD")).ok().flatten().map(|(_, head)| head);
    let mut end: Option<ChainEnd> = None;
    let mut kept = Vec::new();
    for first in segments_in(from)? {
        if end.is_some_and(|end| end.next != first) {
            break;
        }
        let (source, target) = (from.join(name_of(first)), to.join(name_of(first)));
        end = match take_sealed(&source, &target, end)? {
            Some(end) => Some(end),
            None => take_pages(&source, &target, first, end, witnessed.map(|head| head.lineage), options)?,
        };
        if target.exists() {
            kept.push(first);
        }
    }
    // The promise of this HEAD is empty: the next look at the log reads all of its last segment and notes what it finds.
    let lineage = end.map_or_else(Uuid::new_v4, |end| end.lineage);
    let (earliest, segment) = (kept.first().copied().unwrap_or(Seq(1)), kept.last().copied().unwrap_or(Seq(1)));
    HeadFile::create(&to.join("HEAD"), &Head { earliest, segment, ..Head::empty(lineage) })?;
    disk::sync_dir(to)?;
    Ok(())
}

/// Takes a sealed segment over as it is, if it is whole and in its place.
fn take_sealed(source: &Path, target: &Path, end: Option<ChainEnd>) -> io::Result<Option<ChainEnd>> {
    let Ok(Some(seal)) = Seal::read(source) else { return Ok(None) };
    if end.is_some_and(|end| end != seal.start) || !seal.fits(source).unwrap_or(false) {
        return Ok(None);
    }
    disk::copy_dir(source, target)?;
    Ok(Some(seal.end))
}

/// Makes a new segment from the pages that are found in an old one.
fn take_pages(
    source: &Path,
    target: &Path,
    first: Seq,
    end: Option<ChainEnd>,
    lineage: Option<Uuid>,
    options: &Options,
) -> Result<Option<ChainEnd>, SegmentError> {
    let file = match File::open(file_of(source)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(end),
        file => file?,
    };
    let found = find_pages(&file)?;
    let Some(mut end) = end.or_else(|| start_of(first, lineage, &found)) else { return Ok(None) };
    let segment = create(target, options.cache_bytes)?;
    let payloads = source.join("payloads");
    if payloads.is_dir() {
        disk::copy_dir(&payloads, &target.join("payloads"))?;
    }
    let mut waiting = Vec::new();
    while let Some((page, next)) = next_page(&file, &found, end)? {
        if !has_payloads(&page, segment.payloads()) {
            break;
        }
        end = next;
        waiting.push(page);
        if waiting.len() == PAGES_AT_ONCE {
            segment.append(&std::mem::take(&mut waiting))?;
        }
    }
    flush(&segment, &waiting)?;
    Ok(Some(end))
}

fn flush(segment: &Segment, waiting: &[SealedPage]) -> Result<(), SegmentError> {
    if waiting.is_empty() { Ok(()) } else { segment.append(waiting) }
}

/// Where pages with a right checksum stand in a file, by their first seqs. sled writes each several times.
type FoundPages = BTreeMap<Seq, Vec<Place>>;

#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    length: usize,
    end: Seq,
    before: ChainEnd,
}

fn find_pages(file: &File) -> io::Result<FoundPages> {
    let finder = memmem::Finder::new(&PAGE_MAGIC);
    let mut block = vec![0; SLED_SEGMENT_BYTES];
    let mut found = FoundPages::new();
    let length = file.metadata()?.len();
    let mut start = 0;
    // No page crosses the border of a block.
    while start < length {
        let size = block.len().min((length - start) as usize);
        file.read_exact_at(&mut block[..size], start)?;
        for at in finder.find_iter(&block[..size]) {
            let Ok(page) = Page::at_start_of(&block[at..size]) else { continue };
            let before = ChainEnd { lineage: page.lineage, next: page.first, previous: page.previous };
            let (offset, length, end) = (start + at as u64, page.bytes().len(), page.end());
            found.entry(page.first).or_default().push(Place { offset, length, end, before });
        }
        start += size as u64;
    }
    Ok(found)
}

/// Where the chain stands before the oldest segment.
fn start_of(first: Seq, lineage: Option<Uuid>, found: &FoundPages) -> Option<ChainEnd> {
    let fits = |place: &&Place| lineage.is_none_or(|lineage| place.before.lineage == lineage);
    found.get(&first)?.iter().rev().find(fits).map(|place| place.before)
}

/// The page that continues the chain. Of two (a torn group was dropped once) the one that itself is continued, else
/// the one that was written last.
fn next_page(file: &File, found: &FoundPages, end: ChainEnd) -> io::Result<Option<(SealedPage, ChainEnd)>> {
    let Some(places) = found.get(&end.next) else { return Ok(None) };
    let mut chosen: Option<SealedPage> = None;
    for place in places.iter().rev().filter(|place| place.before == end) {
        let page = read_page(file, place)?;
        if is_continued(found, place.end, &page) {
            chosen = Some(page);
            break;
        }
        chosen.get_or_insert(page);
    }
    let Some(chosen) = chosen else { return Ok(None) };
    let mut next = end;
    let followed = Page::parse(&chosen.bytes).and_then(|page| next.follow(&page));
    Ok(followed.is_ok().then_some((chosen, next)))
}

/// Whether the big bodies of a page are there.
fn has_payloads(page: &SealedPage, payloads: &Payloads) -> bool {
    let references = Page::parse(&page.bytes).and_then(|page| {
        let wanted = page
            .frames()?
            .into_iter()
            .map(|(seq, frame)| frame.payload().map_err(|source| PageError::Record { seq, source }));
        wanted.collect::<Result<Vec<_>, _>>()
    });
    let is_there = |reference: &PayloadRef| payloads.fetch(reference).is_ok_and(|bytes| reference.fits(&bytes));
    references.is_ok_and(|references| references.iter().flatten().all(is_there))
}

fn read_page(file: &File, place: &Place) -> io::Result<SealedPage> {
    let mut bytes = vec![0; place.length];
    file.read_exact_at(&mut bytes, place.offset)?;
    let hash = PageHash::of(&bytes);
    Ok(SealedPage { first: place.before.next, bytes, hash })
}

fn is_continued(found: &FoundPages, end: Seq, page: &SealedPage) -> bool {
    found.get(&end).is_some_and(|places| places.iter().any(|place| place.before.previous == page.hash))
}
