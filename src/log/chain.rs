//! Pages: what the log appends as one value. Each carries the hash of the page before, so that nothing can be lost,
//! moved or replaced in between without being noticed.
//!
//! ```text
//!   magic+format 8 │ codec u16 │ flags u16 │ count u32 │ lineage 16 │ first seq u64 │ previous page's hash 32 │
//!   frames' length u32 │ crc32 u32 │ frames …
//! ```
//!
//! All numbers are little endian; the checksum covers everything but itself. The lineage is the log's own UUID: pages
//! of another log are no part of the chain. A page knows nothing of the store that keeps it.

use uuid::Uuid;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::codec::{CODEC_VERSION, DecodeError, FetchPayload, Frame};

/// The largest page, in bytes. sled with segments of 2 MiB spills values above 28 KiB into files that it never syncs.
pub const PAGE_BYTES_MAX: usize = 28 * 1024;

/// How many bytes a page has before its frames.
pub const PAGE_HEADER_BYTES: usize = 80;

/// The first bytes of every page: the mark, and the format in the last two.
pub const PAGE_MAGIC: [u8; 8] = *b"\xdaYBOOK\x01\x00";

const CHECKSUM_AT: usize = 76;

/// The hash of a whole page; all zeros before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PageHash(pub [u8; 32]);

impl PageHash {
    /// The hash of a page's bytes.
    pub fn of(bytes: &[u8]) -> PageHash {
        PageHash(*blake3::hash(bytes).as_bytes())
    }
}

/// Where the chain ends, and the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainEnd {
    pub lineage: Uuid,
    /// The seq of the next record.
    pub next: Seq,
    /// The hash of the last page.
    pub previous: PageHash,
}

impl ChainEnd {
    /// The end of a chain that has no page yet and begins at seq 1.
    pub fn start(lineage: Uuid) -> ChainEnd {
        ChainEnd { lineage, next: Seq(1), previous: PageHash::default() }
    }

    /// Completes a page: `page` holds [`PAGE_HEADER_BYTES`] of room and then the frames of `count` records. The chain
    /// goes on behind it.
    pub fn seal(&mut self, page: &mut [u8], count: u32) {
        let frames = u32::try_from(page.len() - PAGE_HEADER_BYTES).expect("a page is far smaller than 4 GiB");
        page[..8].copy_from_slice(&PAGE_MAGIC);
        page[8..10].copy_from_slice(&CODEC_VERSION.to_le_bytes());
        page[10..12].copy_from_slice(&[0; 2]);
        page[12..16].copy_from_slice(&count.to_le_bytes());
        page[16..32].copy_from_slice(self.lineage.as_bytes());
        page[32..40].copy_from_slice(&self.next.0.to_le_bytes());
        page[40..72].copy_from_slice(&self.previous.0);
        page[72..76].copy_from_slice(&frames.to_le_bytes());
        let checksum = checksum(page);
        page[CHECKSUM_AT..PAGE_HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        self.next = Seq(self.next.0 + u64::from(count));
        self.previous = PageHash::of(page);
    }

    /// Goes on behind a page that was read, if it is the next one.
    pub fn follow(&mut self, page: &Page<'_>) -> Result<(), PageError> {
        if page.lineage != self.lineage {
            return Err(PageError::Lineage { first: page.first });
        }
        if page.first != self.next {
            return Err(PageError::Gap { expected: self.next, found: page.first });
        }
        if page.previous != self.previous {
            return Err(PageError::Chain { first: page.first });
        }
        self.next = page.end();
        self.previous = page.hash();
        Ok(())
    }
}

/// Why bytes are no page, or not the next one.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error("a page is cut off")]
    Cut,
    #[error("a page does not begin as pages do")]
    Magic,
    #[error("a page has format {format} and codec {codec}; a newer daybook may have written it")]
    Version { format: u16, codec: u16 },
    #[error("the checksum of the page at event {first} is wrong")]
    Checksum { first: Seq },
    #[error("the page at event {first} belongs to another log")]
    Lineage { first: Seq },
    #[error("the page at event {expected} is missing; the next is at {found}")]
    Gap { expected: Seq, found: Seq },
    #[error("the page at event {first} does not follow the page before it")]
    Chain { first: Seq },
    #[error("the page at event {first} has {count} events but other frames")]
    Count { first: Seq, count: u32 },
    #[error("event {seq} cannot be read")]
    Record { seq: Seq, source: DecodeError },
}

/// A page whose checksum was found right.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    bytes: &'a [u8],
    pub lineage: Uuid,
    pub first: Seq,
    pub count: u32,
    pub previous: PageHash,
}

impl<'a> Page<'a> {
    /// Reads the page that `bytes` begin with; more may follow it.
    pub fn at_start_of(bytes: &'a [u8]) -> Result<Page<'a>, PageError> {
        let header: &[u8; PAGE_HEADER_BYTES] = bytes.first_chunk().ok_or(PageError::Cut)?;
        if header[..6] != PAGE_MAGIC[..6] {
            return Err(PageError::Magic);
        }
        let (format, codec) = (u16_at(header, 6), u16_at(header, 8));
        if format != u16_at(&PAGE_MAGIC, 6) || codec != CODEC_VERSION {
            return Err(PageError::Version { format, codec });
        }
        let frames = u32_at(header, 72) as usize;
        let bytes = bytes.get(..PAGE_HEADER_BYTES + frames).ok_or(PageError::Cut)?;
        let first = Seq(u64_at(header, 32));
        if checksum(bytes) != u32_at(header, CHECKSUM_AT) {
            return Err(PageError::Checksum { first });
        }
        Ok(Page {
            bytes,
            lineage: Uuid::from_bytes(array_at(header, 16)),
            first,
            count: u32_at(header, 12),
            previous: PageHash(array_at(header, 40)),
        })
    }

    /// Reads a page that is all of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Page<'a>, PageError> {
        let page = Page::at_start_of(bytes)?;
        if page.bytes.len() == bytes.len() { Ok(page) } else { Err(PageError::Cut) }
    }

    /// The hash of the whole page.
    pub fn hash(&self) -> PageHash {
        PageHash::of(self.bytes)
    }

    /// The checksum in its header.
    pub fn checksum(&self) -> u32 {
        u32_at(self.bytes, CHECKSUM_AT)
    }

    /// The seq of the first record behind the page.
    pub fn end(&self) -> Seq {
        Seq(self.first.0 + u64::from(self.count))
    }

    /// The whole page.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The frames, each with its seq. They fill the page exactly.
    pub fn frames(&self) -> Result<Vec<(Seq, Frame<'a>)>, PageError> {
        let mut rest = &self.bytes[PAGE_HEADER_BYTES..];
        let mut frames = Vec::with_capacity(self.count as usize);
        let mut seq = self.first;
        while !rest.is_empty() {
            let (frame, after) = Frame::split(rest).map_err(|source| PageError::Record { seq, source })?;
            frames.push((seq, frame));
            (rest, seq) = (after, seq.next());
        }
        if seq == self.end() { Ok(frames) } else { Err(PageError::Count { first: self.first, count: self.count }) }
    }

    /// All records of the page.
    pub fn records(&self, payloads: &dyn FetchPayload) -> Result<Vec<Record>, PageError> {
        let decode = |(seq, frame): (Seq, Frame)| {
            frame.decode(seq, payloads).map_err(|source| PageError::Record { seq, source })
        };
        self.frames()?.into_iter().map(decode).collect()
    }
}

fn checksum(page: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&page[..CHECKSUM_AT]);
    hasher.update(&page[PAGE_HEADER_BYTES..]);
    hasher.finalize()
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes fits an array of N")
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::codec::{NoPayloads, Pack, encode, samples};

    fn page(end: &mut ChainEnd, records: &[Record]) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_HEADER_BYTES];
        for record in records {
            encode(record, &mut bytes, &mut Pack::default()).unwrap();
        }
        end.seal(&mut bytes, records.len() as u32);
        bytes
    }

    #[test]
    fn a_page_gives_back_its_records_with_their_numbers() {
        let records = samples::one_of_each();
        let bytes = page(&mut ChainEnd::start(Uuid::nil()), &records);
        assert_eq!(Page::parse(&bytes).unwrap().records(&NoPayloads).unwrap(), records);
    }

    #[test]
    fn any_flipped_bit_of_a_page_is_noticed() {
        let bytes = page(&mut ChainEnd::start(Uuid::nil()), &samples::one_of_each()[..2]);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(Page::parse(&damaged).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_page_that_is_missing_swapped_or_of_another_log_breaks_the_chain() {
        let records = samples::one_of_each();
        let lineage = Uuid::from_u128(1);
        let mut end = ChainEnd::start(lineage);
        let first = page(&mut end, &records[..2]);
        let second = page(&mut end, &records[2..4]);
        let other_first = page(&mut ChainEnd::start(lineage), &records[4..6]);
        let foreign = page(&mut ChainEnd::start(Uuid::from_u128(2)), &records[..2]);

        let follow = |pages: &[&Vec<u8>]| {
            let mut end = ChainEnd::start(lineage);
            pages.iter().try_for_each(|bytes| end.follow(&Page::parse(bytes).unwrap()))
        };
        assert!(follow(&[&first, &second]).is_ok());
        assert!(matches!(follow(&[&second]), Err(PageError::Gap { expected: Seq(1), found: Seq(3) })));
        assert!(matches!(follow(&[&other_first, &second]), Err(PageError::Chain { first: Seq(3) })));
        assert!(matches!(follow(&[&foreign]), Err(PageError::Lineage { .. })));
    }
}
