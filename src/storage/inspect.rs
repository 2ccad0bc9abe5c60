//! Looks at a sled file without sled, and changes nothing: may sled open it?
//!
//! sled's recovery takes the first message that it cannot read for the end, zeroes what follows, and opens. So what
//! HEAD promises is looked for here first: the last promised page must stand in the file before the first tear, in
//! the order of sled's own sequence numbers. Whatever looks odd is only *doubtful*: then a copy is opened, and decides.
//!
//! The layout is that of sled 0.34, which is pinned and gets no further releases.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use memchr::memmem;
use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::chain::{Page, PageHash};
use crate::storage::segment::SLED_SEGMENT_BYTES;

/// A page that must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    pub lineage: Uuid,
    /// The page's first seq.
    pub page: Seq,
    /// The last seq that must be readable: the page may hold more.
    pub last: Seq,
    pub hash: PageHash,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The promised page stands before the first tear: sled keeps it.
    Sound,
    /// It does not, or something is odd: sled might destroy what is left.
    Doubtful(String),
}

const SEGMENT_HEADER_BYTES: usize = 20;
const MESSAGE_HEADER_BYTES_MAX: usize = 32;
const LSN_MASK: i64 = i64::MAX;

const KIND_CAP: u8 = 2;
const KIND_LAST: u8 = 11;

/// A place at which a file is not as sled writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tear {
    /// In bytes from the start of the file.
    pub at: u64,
    pub detail: &'static str,
}

/// Looks for the promised page in a sled file.
pub fn inspect(path: &Path, promise: &Promise) -> io::Result<Verdict> {
    let file = File::open(path)?;
    match blocks_in_order(&file)? {
        Ok(segments) => walk(&file, &segments, promise),
        Err(offset) => Ok(doubt(format!("the block at byte {offset} has a damaged header"))),
    }
}

/// Looks at every byte of a sled file, also those that sled needs no more, and gives the first place that is not as sled
/// writes it. In a file that is not `closed` the last message may be half written: sled was killed, and nobody was
/// answered for it.
pub fn first_tear(path: &Path, closed: bool) -> io::Result<Option<Tear>> {
    let file = File::open(path)?;
    let segments = match blocks_in_order(&file)? {
        Ok(segments) => segments,
        Err(at) => return Ok(Some(Tear { at, detail: "a block has a damaged header" })),
    };
    let mut buffer = vec![0; SLED_SEGMENT_BYTES];
    for (lsn, offset) in &segments {
        let length = read_up_to(&file, &mut buffer, *offset)?;
        let messages = Messages { segment: &buffer[..length], number: (*lsn as u64) / SLED_SEGMENT_BYTES as u64 };
        let is_last = Some(&(*lsn, *offset)) == segments.last();
        if let Some((at, detail)) = messages.first_tear(is_last, closed) {
            return Ok(Some(Tear { at: offset + at as u64, detail }));
        }
    }
    Ok(None)
}

/// The blocks that hold something, with sled's sequence numbers and in their order; or the place of a damaged one.
fn blocks_in_order(file: &File) -> io::Result<Result<Vec<(i64, u64)>, u64>> {
    let mut segments = Vec::new();
    for index in 0..file.metadata()?.len().div_ceil(SLED_SEGMENT_BYTES as u64) {
        let offset = index * SLED_SEGMENT_BYTES as u64;
        match read_segment_header(file, offset)? {
            SegmentHeader::Used { lsn } => segments.push((lsn, offset)),
            SegmentHeader::Empty => {}
            SegmentHeader::Damaged => return Ok(Err(offset)),
        }
    }
    segments.sort_unstable();
    Ok(Ok(segments))
}

fn walk(file: &File, segments: &[(i64, u64)], promise: &Promise) -> io::Result<Verdict> {
    let mut buffer = vec![0; SLED_SEGMENT_BYTES];
    let needle = needle(promise);
    let finder = memmem::Finder::new(&needle);
    for (lsn, offset) in segments {
        let length = read_up_to(file, &mut buffer, *offset)?;
        let walked = Messages { segment: &buffer[..length], number: (*lsn as u64) / SLED_SEGMENT_BYTES as u64 }.walk();
        if finder.find_iter(&buffer[..walked.readable]).any(|at| is_promised(&buffer[..walked.readable], at, promise)) {
            return Ok(Verdict::Sound);
        }
        let is_last = Some(&(*lsn, *offset)) == segments.last();
        if !walked.whole && !is_last {
            let at = offset + walked.readable as u64;
            return Ok(doubt(format!("it cannot be read at byte {at}, before event {}", promise.last)));
        }
    }
    Ok(doubt(format!("event {} is not in it", promise.last)))
}

fn doubt(detail: String) -> Verdict {
    Verdict::Doubtful(detail)
}

/// The part of a page's header that no other page of the log has: lineage and first seq, which stand side by side.
fn needle(promise: &Promise) -> [u8; 24] {
    let mut needle = [0; 24];
    needle[..16].copy_from_slice(promise.lineage.as_bytes());
    needle[16..].copy_from_slice(&promise.page.0.to_le_bytes());
    needle
}

fn is_promised(bytes: &[u8], needle_at: usize, promise: &Promise) -> bool {
    let Some(start) = needle_at.checked_sub(16) else { return false };
    Page::at_start_of(&bytes[start..]).is_ok_and(|page| page.hash() == promise.hash)
}

enum SegmentHeader {
    Used { lsn: i64 },
    Empty,
    Damaged,
}

fn read_segment_header(file: &File, offset: u64) -> io::Result<SegmentHeader> {
    let mut header = [0; SEGMENT_HEADER_BYTES];
    let length = read_up_to(file, &mut header, offset)?;
    if length < SEGMENT_HEADER_BYTES || header == [0; SEGMENT_HEADER_BYTES] {
        return empty_if_nothing_follows(file, offset);
    }
    let checksum = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) ^ u32::MAX;
    if checksum != crc32fast::hash(&header[4..]) {
        return Ok(SegmentHeader::Damaged);
    }
    let lsn = i64::from_le_bytes(header[4..12].try_into().expect("eight bytes")) ^ LSN_MASK;
    Ok(SegmentHeader::Used { lsn })
}

/// sled fills free blocks with zeros. One that has something but no header was damaged, or was being written.
fn empty_if_nothing_follows(file: &File, offset: u64) -> io::Result<SegmentHeader> {
    let mut block = vec![0; SLED_SEGMENT_BYTES];
    let length = read_up_to(file, &mut block, offset)?;
    Ok(if block[..length].iter().all(|byte| *byte == 0) { SegmentHeader::Empty } else { SegmentHeader::Damaged })
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], offset + length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// The messages in one of sled's segments.
struct Messages<'a> {
    segment: &'a [u8],
    number: u64,
}

/// How far they can be read.
struct Walked {
    readable: usize,
    /// Behind the message that fills up the rest, if there is one.
    end: usize,
    /// Whether that is as far as they go.
    whole: bool,
}

impl Messages<'_> {
    fn walk(&self) -> Walked {
        let mut at = SEGMENT_HEADER_BYTES;
        while at + MESSAGE_HEADER_BYTES_MAX <= SLED_SEGMENT_BYTES {
            match self.message_at(at) {
                Some((KIND_CAP, length)) => return Walked { readable: at, end: at + length, whole: true },
                Some((_, length)) => at += length,
                None => return Walked { readable: at, end: at, whole: false },
            }
        }
        Walked { readable: at, end: at, whole: true }
    }

    /// The first place that is not as sled writes it. Only in the last block may messages end before the block does;
    /// behind them stand zeros, or what was there before sled took the block again.
    fn first_tear(&self, is_last: bool, closed: bool) -> Option<(usize, &'static str)> {
        let Walked { end, whole, .. } = self.walk();
        let rest = &self.segment[end..];
        if rest.iter().all(|byte| *byte == 0) {
            return (!whole && !is_last).then_some((end, "its messages break off"));
        }
        if whole || !is_last {
            return Some((end, "it cannot be read on from there"));
        }
        if (end + 1..self.segment.len()).any(|at| self.message_at(at).is_some()) {
            return Some((end, "it cannot be read there, and goes on behind it"));
        }
        let head = &rest[..rest.len().min(MESSAGE_HEADER_BYTES_MAX)];
        let begins = head.iter().any(|byte| *byte != 0);
        let is_stale = (0..rest.len()).any(|at| self.is_older_message(end + at));
        let is_torn = begins && !closed;
        (!is_stale && !is_torn).then_some((end, "something stands behind its last message that sled did not write"))
    }

    /// Whether a message of an earlier use of the block stands there.
    fn is_older_message(&self, at: usize) -> bool {
        self.any_message_at(at).is_some_and(|(_, _, number)| number < self.number)
    }

    /// The kind and the whole length of the message at this place, if it is one.
    fn message_at(&self, at: usize) -> Option<(u8, usize)> {
        self.any_message_at(at).filter(|(_, _, number)| *number == self.number).map(|(kind, length, _)| (kind, length))
    }

    /// The same of a message that may be older than the block's present use, with the number of that use.
    fn any_message_at(&self, at: usize) -> Option<(u8, usize, u64)> {
        let mut rest = self.segment.get(at..)?;
        let checksum = u32::from_le_bytes(*rest.split_off_first_chunk()?) ^ u32::MAX;
        let header_start = at + 4;
        let [kind] = *rest.split_off_first_chunk()?;
        if !(1..=KIND_LAST).contains(&kind) {
            return None;
        }
        let length = usize::try_from(take_number(&mut rest)?).ok()?;
        let number = take_number(&mut rest)?;
        let _page = take_number(&mut rest)?;
        let header_end = self.segment.len() - rest.len();
        let body = rest.get(..length).filter(|_| number <= self.number)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(body);
        hasher.update(&self.segment[header_start..header_end]);
        (hasher.finalize() == checksum).then_some((kind, header_end - at + length, number))
    }
}

trait SplitOffFirst<'a> {
    fn split_off_first_chunk<const N: usize>(&mut self) -> Option<&'a [u8; N]>;
}

impl<'a> SplitOffFirst<'a> for &'a [u8] {
    fn split_off_first_chunk<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, rest) = self.split_first_chunk()?;
        *self = rest;
        Some(head)
    }
}

/// sled's variable-length numbers.
fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let [first] = *bytes.split_off_first_chunk()?;
    match first {
        0..=240 => Some(first.into()),
        241..=248 => {
            let [second] = *bytes.split_off_first_chunk()?;
            Some(240 + 256 * (u64::from(first) - 241) + u64::from(second))
        }
        249 => {
            let [second, third] = *bytes.split_off_first_chunk()?;
            Some(2288 + 256 * u64::from(second) + u64::from(third))
        }
        _ => {
            let length = usize::from(first) - 247;
            let (head, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            let mut wide = [0; 8];
            wide[..length].copy_from_slice(head);
            Some(u64::from_le_bytes(wide))
        }
    }
}
