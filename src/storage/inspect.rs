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

/// Looks for the promised page in a sled file.
pub fn inspect(path: &Path, promise: &Promise) -> io::Result<Verdict> {
    let file = File::open(path)?;
    let mut segments = Vec::new();
    for index in 0..file.metadata()?.len().div_ceil(SLED_SEGMENT_BYTES as u64) {
        let offset = index * SLED_SEGMENT_BYTES as u64;
        match read_segment_header(&file, offset)? {
            SegmentHeader::Used { lsn } => segments.push((lsn, offset)),
            SegmentHeader::Empty => {}
            SegmentHeader::Damaged => return Ok(doubt(format!("the block at byte {offset} has a damaged header"))),
        }
    }
    segments.sort_unstable();
    walk(&file, &segments, promise)
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
    /// Whether that is as far as they go.
    whole: bool,
}

impl Messages<'_> {
    fn walk(&self) -> Walked {
        let mut at = SEGMENT_HEADER_BYTES;
        while at + MESSAGE_HEADER_BYTES_MAX <= SLED_SEGMENT_BYTES {
            match self.message_at(at) {
                Some((KIND_CAP, _)) => return Walked { readable: at, whole: true },
                Some((_, length)) => at += length,
                None => return Walked { readable: at, whole: false },
            }
        }
        Walked { readable: at, whole: true }
    }

    /// The kind and the whole length of the message at this place, if it is one.
    fn message_at(&self, at: usize) -> Option<(u8, usize)> {
        let mut rest = self.segment.get(at..)?;
        let checksum = u32::from_le_bytes(*rest.split_off_first_chunk()?) ^ u32::MAX;
        let header_start = at + 4;
        let [kind] = *rest.split_off_first_chunk()?;
        let length = usize::try_from(take_number(&mut rest)?).ok()?;
        let number = take_number(&mut rest)?;
        let _page = take_number(&mut rest)?;
        let header_end = self.segment.len() - rest.len();
        let body = rest.get(..length)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(body);
        hasher.update(&self.segment[header_start..header_end]);
        let fits = hasher.finalize() == checksum && number == self.number && (1..=KIND_LAST).contains(&kind);
        fits.then_some((kind, header_end - at + length))
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
