//! Builds a log from what can still be read of a damaged one, because the operator said `--accept-data-loss`. The
//! damaged log is kept, whole and as it was, beside the new one.
//!
//! Pages are found in the files without sled, by their mark, and stand only if they continue the chain. So what comes
//! back is a sound log that ends where the first page is missing.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::chain::{ChainEnd, Page, PageError};
use crate::log::codec::{FetchPayload, PayloadRef};
use crate::log::commit::SealedPage;
use crate::storage::base::{BaseFiles, Manifest, bases_of, carried_of, dir_of};
use crate::storage::carried::CarriedName;
use crate::storage::disk;
use crate::storage::guard::SegmentError;
use crate::storage::head::{self, Head, HeadFile};
use crate::storage::open::{OpenError, Options, base_of};
use crate::storage::payloads::Payloads;
use crate::storage::recovery::segments_in;
use crate::storage::scan::{FoundPages, find_pages, read_page};
use crate::storage::seal::Seal;
use crate::storage::segment::{Segment, file_of, name_of};
use crate::storage::writer::create;

/// How many pages are written to the new segment at once.
const PAGES_AT_ONCE: usize = 8;

const REBUILT: &str = "log.rebuilt";

/// Rebuilds the log beside the damaged one, and puts it in its place. Gives the path to which the damaged one went.
pub fn rebuild(data: &Path, options: &Options) -> Result<PathBuf, OpenError> {
    let (log_dir, rebuilt) = (data.join("log"), data.join(REBUILT));
    let kept = free_name(data);
    let head = HeadFile::open(&log_dir.join("HEAD")).ok().flatten().map(|(_, head)| head);
    // What a base stands for is nowhere else: without it there is nothing to go on with.
    let base = match &head {
        Some(head) => base_of(&log_dir, head)?,
        None => newest_base(&log_dir).map_err(OpenError::io("look for a base in", &log_dir))?,
    };
    let result = build(&log_dir, &rebuilt, head.map(|head| head.lineage), base.as_ref(), options)
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

/// The newest base that is whole, of a log whose HEAD cannot be read.
fn newest_base(log_dir: &Path) -> io::Result<Option<BaseFiles>> {
    let earliest = segments_in(&bases_of(log_dir))?.into_iter().rev();
    let open = |earliest| {
        let manifest = Manifest::read(&dir_of(log_dir, earliest)).ok()?;
        BaseFiles::open(log_dir, manifest.start.lineage, earliest).ok()
    };
    Ok(earliest.filter_map(open).next())
}

fn copy_base(from: &Path, to: &Path, base: &BaseFiles) -> io::Result<()> {
    let earliest = base.manifest().start.next;
    disk::copy_dir(&dir_of(from, earliest), &dir_of(to, earliest))?;
    let (source, target) = (carried_of(from), carried_of(to));
    disk::create_dir(&target)?;
    for name in base.manifest().carried.iter().map(CarriedName::file_name) {
        std::fs::copy(source.join(&name), target.join(&name))?;
        File::open(target.join(&name))?.sync_all()?;
    }
    disk::sync_dir(&target)
}

fn build(
    from: &Path,
    to: &Path,
    lineage: Option<Uuid>,
    base: Option<&BaseFiles>,
    options: &Options,
) -> Result<(), SegmentError> {
    disk::remove_dir(to)?;
    disk::create_dir(to)?;
    if let Some(base) = base {
        copy_base(from, to, base)?;
    }
    let mut end = base.map(|base| base.manifest().start);
    let earliest = end.map_or(Seq(1), |end| end.next);
    let mut kept = Vec::new();
    for first in segments_in(from)?.into_iter().filter(|first| *first >= earliest) {
        if end.map_or(earliest, |end| end.next) != first {
            break;
        }
        let (source, target) = (from.join(name_of(first)), to.join(name_of(first)));
        end = match take_sealed(&source, &target, first, end)? {
            Some(end) => Some(end),
            None => take_pages(&source, &target, first, end, lineage, options)?,
        };
        if target.exists() {
            kept.push(first);
        }
    }
    // The promise of this HEAD is empty: the next look at the log reads all of its last segment and notes what it finds.
    let lineage = end.map_or_else(Uuid::new_v4, |end| end.lineage);
    let segment = kept.last().copied().unwrap_or(earliest);
    HeadFile::create(&to.join("HEAD"), &Head { earliest, segment, ..Head::empty(lineage) })?;
    disk::sync_dir(to)?;
    Ok(())
}

/// Takes a sealed segment over as it is, if it is whole and in its place.
fn take_sealed(
    source: &Path,
    target: &Path,
    first: Seq,
    end: Option<ChainEnd>,
) -> Result<Option<ChainEnd>, SegmentError> {
    let Ok(Some(seal)) = Seal::read(source) else { return Ok(None) };
    if end.is_some_and(|end| end != seal.start) || !is_whole_segment(source, first, &seal)? {
        return Ok(None);
    }
    disk::copy_dir(source, target)?;
    Ok(Some(seal.end))
}

fn is_whole_segment(dir: &Path, first: Seq, seal: &Seal) -> io::Result<bool> {
    Ok(seal.fits(dir).unwrap_or(false) && reach(dir, first, Some(seal.start), None)? == Some(seal.end))
}

/// Whether every page and every payload of a log is there as it was written. Reads all of it, and asks sled nothing.
/// A log without a readable HEAD, or without its base, is not judged here.
pub fn is_whole(log_dir: &Path) -> io::Result<bool> {
    let Ok(Some((_, head))) = HeadFile::open(&log_dir.join("HEAD")) else { return Ok(true) };
    let mut end = None;
    if head.earliest > Seq(1) {
        let Ok(manifest) = Manifest::read(&dir_of(log_dir, head.earliest)) else { return Ok(true) };
        end = Some(manifest.start);
    }
    for first in segments_in(log_dir)?.into_iter().filter(|first| *first >= head.earliest) {
        let dir = log_dir.join(name_of(first));
        let reached = reach(&dir, first, end, Some(head.lineage))?;
        let sealed = Seal::read(&dir).ok().flatten();
        if sealed.is_some_and(|seal| reached != Some(seal.end) || !seal.fits(&dir).unwrap_or(false)) {
            return Ok(false);
        }
        end = reached;
    }
    Ok(head.last == Seq::ZERO || end.is_some_and(|end| end.next > head.last))
}

/// How much of a log is whole, from its beginning on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholePart {
    /// The log's own UUID.
    pub lineage: Uuid,
    pub earliest: Seq,
    /// The last event that is whole with all before it: with it a server goes on that accepts the loss.
    pub last: Seq,
    /// The last event that was written.
    pub of: Seq,
}

/// How much of a log is whole; none if HEAD or the base cannot be read. Reads all of it, and asks sled nothing.
pub fn whole_part(log_dir: &Path) -> io::Result<Option<WholePart>> {
    let Ok(Some(head)) = head::examine(&log_dir.join("HEAD")).map(|examined| examined.newest) else { return Ok(None) };
    let mut end = ChainEnd::start(head.lineage);
    if head.earliest > Seq(1) {
        let Ok(manifest) = Manifest::read(&dir_of(log_dir, head.earliest)) else { return Ok(None) };
        end = manifest.start;
    }
    for first in segments_in(log_dir)?.into_iter().filter(|first| *first >= head.earliest) {
        if first != end.next {
            break;
        }
        let Some(reached) = reach(&log_dir.join(name_of(first)), first, Some(end), None)? else { break };
        end = reached;
    }
    let last = Seq(end.next.0 - 1);
    Ok(Some(WholePart { lineage: head.lineage, earliest: head.earliest, last, of: head.last.max(last) }))
}

/// Where the chain comes to in a segment, with all payloads.
fn reach(dir: &Path, first: Seq, end: Option<ChainEnd>, lineage: Option<Uuid>) -> io::Result<Option<ChainEnd>> {
    let file = match File::open(file_of(dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let found = find_pages(&file, &mut blake3::Hasher::new())?;
    let Some(start) = end.or_else(|| found.before(first, lineage)) else { return Ok(None) };
    let payloads = Payloads::in_segment(dir);
    walk(&file, &found, start, &payloads, &mut |_| Ok(())).map(Some).map_err(|error| match error {
        SegmentError::Io(error) => error,
        error => io::Error::other(error),
    })
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
    let found = find_pages(&file, &mut blake3::Hasher::new())?;
    let Some(start) = end.or_else(|| found.before(first, lineage)) else { return Ok(None) };
    let segment = create(target, options.cache_bytes)?;
    let payloads = source.join("payloads");
    if payloads.is_dir() {
        disk::copy_dir(&payloads, &target.join("payloads"))?;
    }
    let mut waiting = Vec::new();
    let end = walk(&file, &found, start, segment.payloads(), &mut |page| {
        waiting.push(page);
        if waiting.len() == PAGES_AT_ONCE { segment.append(&std::mem::take(&mut waiting)) } else { Ok(()) }
    })?;
    flush(&segment, &waiting)?;
    Ok(Some(end))
}

/// Takes page after page, as long as they continue the chain and their payloads are there. Gives where that ends.
fn walk(
    file: &File,
    found: &FoundPages,
    start: ChainEnd,
    payloads: &Payloads,
    take: &mut dyn FnMut(SealedPage) -> Result<(), SegmentError>,
) -> Result<ChainEnd, SegmentError> {
    let mut end = start;
    while let Some(place) = found.next(&end) {
        let bytes = read_page(file, place)?;
        if !has_payloads(&bytes, payloads) {
            break;
        }
        take(SealedPage { first: end.next, bytes, hash: place.after.previous })?;
        end = place.after;
    }
    Ok(end)
}

fn flush(segment: &Segment, waiting: &[SealedPage]) -> Result<(), SegmentError> {
    if waiting.is_empty() { Ok(()) } else { segment.append(waiting) }
}

/// Whether the big bodies of a page are there.
fn has_payloads(page: &[u8], payloads: &Payloads) -> bool {
    let references = Page::parse(page).and_then(|page| {
        let wanted = page
            .frames()?
            .into_iter()
            .map(|(seq, frame)| frame.payload().map_err(|source| PageError::Record { seq, source }));
        wanted.collect::<Result<Vec<_>, _>>()
    });
    let is_there = |reference: &PayloadRef| payloads.fetch(reference).is_ok_and(|bytes| reference.fits(&bytes));
    references.is_ok_and(|references| references.iter().flatten().all(is_there))
}
