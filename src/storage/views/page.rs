//! Pages of finished jobs: 64 heads by finish ordinal as one value, so that a job costs a 64th of a write, and so that one
//! head is found without decoding the others. Heads that do not fit stand apart.
//!
//! ```text
//!   version u8 │ checksum u32 │ 64 × length u16 │ heads, one after the other
//! ```
//!
//! Numbers are little endian; the checksum covers what follows it. A length of 0 is an empty place, 0xffff a head apart.

use crate::domain::id::FinishOrdinal;

/// The heads of a page.
pub const PAGE_HEADS: usize = 64;

/// The most bytes of a value. A 72nd part of sled's segment of 2 MiB is 28 KiB; more could spill into files that sled
/// never syncs.
pub const VALUE_BYTES_MAX: usize = 27 * 1024;

const VERSION: u8 = 1;
const LENGTHS_AT: usize = 5;
const HEADS_AT: usize = LENGTHS_AT + 2 * PAGE_HEADS;
const APART: u16 = u16::MAX;

/// Why bytes are no page.
#[derive(Debug, thiserror::Error)]
#[error("a page of finished jobs is damaged")]
pub struct PageError;

/// One place of a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Place<B> {
    #[default]
    Empty,
    /// The head's bytes.
    Inline(B),
    /// The head is stored under keys of its own.
    Apart,
}

/// A page to write into.
#[derive(Debug)]
pub struct Page {
    places: Vec<Place<Vec<u8>>>,
}

/// The page of a finished job, and the place in it.
pub fn locate(ordinal: FinishOrdinal) -> (u64, usize) {
    (ordinal.0 / PAGE_HEADS as u64, (ordinal.0 % PAGE_HEADS as u64) as usize)
}

/// The ordinals of the places of a page, in their order.
pub fn ordinals_of(page: u64) -> impl Iterator<Item = FinishOrdinal> {
    (0..PAGE_HEADS as u64).map(move |place| FinishOrdinal(page * PAGE_HEADS as u64 + place))
}

/// Checks a page as a whole. Without it [`read_place`] may give nonsense.
pub fn check(bytes: &[u8]) -> Result<(), PageError> {
    let is_sound = bytes.len() >= HEADS_AT
        && bytes[0] == VERSION
        && bytes[1..LENGTHS_AT] == crc32fast::hash(&bytes[LENGTHS_AT..]).to_le_bytes()
        && HEADS_AT + (0..PAGE_HEADS).map(|place| inline_length(bytes, place)).sum::<usize>() == bytes.len();
    if is_sound { Ok(()) } else { Err(PageError) }
}

/// One place of a page that was checked.
pub fn read_place(bytes: &[u8], place: usize) -> Place<&[u8]> {
    match length(bytes, place) {
        0 => Place::Empty,
        APART => Place::Apart,
        length => {
            let start = HEADS_AT + (0..place).map(|place| inline_length(bytes, place)).sum::<usize>();
            Place::Inline(&bytes[start..start + usize::from(length)])
        }
    }
}

impl Page {
    /// A page without jobs.
    pub fn empty() -> Page {
        Page { places: vec![Place::Empty; PAGE_HEADS] }
    }

    /// Reads a stored page.
    pub fn read(bytes: &[u8]) -> Result<Page, PageError> {
        check(bytes)?;
        let places = (0..PAGE_HEADS).map(|place| match read_place(bytes, place) {
            Place::Empty => Place::Empty,
            Place::Apart => Place::Apart,
            Place::Inline(head) => Place::Inline(head.to_vec()),
        });
        Ok(Page { places: places.collect() })
    }

    /// Puts a head in its place, and says what was there.
    pub fn set(&mut self, place: usize, head: Vec<u8>) -> Place<Vec<u8>> {
        std::mem::replace(&mut self.places[place], Place::Inline(head))
    }

    /// Empties a place, and says what was there.
    pub fn clear(&mut self, place: usize) -> Place<Vec<u8>> {
        std::mem::replace(&mut self.places[place], Place::Empty)
    }

    /// Whether no place has a job.
    pub fn is_empty(&self) -> bool {
        self.places.iter().all(|place| *place == Place::Empty)
    }

    /// Takes the largest heads out until the page fits into a value: they are to be stored apart.
    pub fn take_what_does_not_fit(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mut apart = Vec::new();
        let mut bytes = HEADS_AT + self.inline().map(|(_, head)| head.len()).sum::<usize>();
        while bytes > VALUE_BYTES_MAX {
            let largest = self.inline().max_by_key(|(_, head)| head.len()).map(|(place, _)| place);
            let place = largest.expect("a page without heads fits");
            if let Place::Inline(head) = std::mem::replace(&mut self.places[place], Place::Apart) {
                bytes -= head.len();
                apart.push((place, head));
            }
        }
        apart
    }

    /// The bytes of a page that fits.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, 0, 0, 0, 0];
        for place in &self.places {
            let length = match place {
                Place::Empty => 0,
                Place::Inline(head) => u16::try_from(head.len()).expect("a page that fits has short heads"),
                Place::Apart => APART,
            };
            bytes.extend_from_slice(&length.to_le_bytes());
        }
        self.inline().for_each(|(_, head)| bytes.extend_from_slice(head));
        let checksum = crc32fast::hash(&bytes[LENGTHS_AT..]);
        bytes[1..LENGTHS_AT].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn inline(&self) -> impl Iterator<Item = (usize, &Vec<u8>)> {
        self.places.iter().enumerate().filter_map(|(place, entry)| match entry {
            Place::Inline(head) => Some((place, head)),
            Place::Empty | Place::Apart => None,
        })
    }
}

fn length(bytes: &[u8], place: usize) -> u16 {
    let at = LENGTHS_AT + 2 * place;
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn inline_length(bytes: &[u8], place: usize) -> usize {
    match length(bytes, place) {
        APART => 0,
        length => usize::from(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(lengths: &[usize]) -> Page {
        let mut page = Page::empty();
        for (place, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            page.set(place, vec![place as u8; length]);
        }
        page
    }

    #[test]
    fn heads_are_found_where_they_were_put() {
        let bytes = page(&[3, 0, 5]).write();
        check(&bytes).unwrap();
        assert_eq!(read_place(&bytes, 0), Place::Inline(&[0; 3][..]));
        assert_eq!(read_place(&bytes, 1), Place::Empty);
        assert_eq!(read_place(&bytes, 2), Place::Inline(&[2; 5][..]));
        assert_eq!(Page::read(&bytes).unwrap().write(), bytes);
    }

    #[test]
    fn the_largest_heads_stand_apart_until_the_page_fits() {
        let mut full = page(&[400; PAGE_HEADS]);
        full.set(7, vec![1; 20_000]);
        full.set(9, vec![1; 70_000]);
        let apart: Vec<usize> = full.take_what_does_not_fit().iter().map(|(place, _)| *place).collect();
        assert_eq!(apart, [9, 7]);
        let bytes = full.write();
        assert!(bytes.len() <= VALUE_BYTES_MAX);
        assert_eq!(read_place(&bytes, 9), Place::Apart);
        assert_eq!(read_place(&bytes, 10), Place::Inline(&[10; 400][..]));
    }

    #[test]
    fn a_page_with_any_flipped_bit_is_damaged() {
        let bytes = page(&[3, 4]).write();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&flipped).is_err(), "bit {bit}");
        }
        assert!(check(&bytes[..HEADS_AT - 1]).is_err());
    }
}
