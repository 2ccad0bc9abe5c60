//! HEAD: the witness of how far the log has come. sled opens a cut log without a word, so the log's end is noted in
//! a second place, and compared before sled may touch anything.
//!
//! One small file with two slots that are written in turn, so that a torn write spoils one of them at most. It is
//! written at the end of every submission, after the log itself is durable: HEAD never promises what may be missing.
//! It is synced every few seconds and at each roll, so after a power cut it may be a few seconds behind.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::chain::PageHash;
use crate::storage::disk;

/// What HEAD says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The log that it is about.
    pub lineage: Uuid,
    /// Whether the log was closed in order and not opened since.
    pub clean: bool,
    /// The first seq of the segment with the last page, or the only segment's as long as there is no page.
    pub segment: Seq,
    /// The last durable seq: always the end of a group.
    pub last: Seq,
    /// The first seq of the last page.
    pub last_page: Seq,
    /// The hash of the last page.
    pub hash: PageHash,
    /// The length of the segment's file, in bytes.
    pub file_bytes: u64,
    /// The first seq that is still kept.
    pub earliest: Seq,
}

impl Head {
    /// Whether there are pages in the segment that begins with `first`, up to the last one. A log that begins with a base
    /// may have a last event, and no page.
    pub fn promises_pages_in(&self, first: Seq) -> bool {
        self.segment == first && self.last_page > Seq::ZERO
    }

    /// Of a log without events.
    pub fn empty(lineage: Uuid) -> Head {
        Head {
            lineage,
            clean: false,
            segment: Seq(1),
            last: Seq::ZERO,
            last_page: Seq::ZERO,
            hash: PageHash::default(),
            file_bytes: 0,
            earliest: Seq(1),
        }
    }
}

/// Why HEAD could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    #[error("it is empty or damaged")]
    Damaged,
    #[error("a newer daybook wrote it, in format {format}")]
    Newer { format: u16 },
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

/// The open file.
#[derive(Debug)]
pub struct HeadFile {
    file: File,
    turn: u64,
    damaged_slot: Option<u64>,
}

/// What a look at the file found.
#[derive(Debug)]
pub struct Examined {
    pub newest: Option<Head>,
    pub flaws: Vec<Flaw>,
}

/// A part of the file that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    pub place: String,
    pub detail: &'static str,
}

/// What one of the two slots holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Said {
        turn: u64,
        head: Head,
    },
    /// It was not yet written.
    Blank,
    Damaged,
    Newer {
        format: u16,
    },
}

const MAGIC: [u8; 6] = *b"DBHEAD";
/// The format of the whole data directory: a change that an older daybook would misread raises it. In every format the
/// magic, this number and the checksum of a slot stay in their places.
const FORMAT: u16 = 1;
/// Of a log that begins with a base: who does not know bases would fold it from nothing.
const FORMAT_WITH_BASE: u16 = 2;
const SLOT_BYTES: usize = 128;
const SLOT_DISTANCE: u64 = 4096;
const CHECKSUM_AT: usize = SLOT_BYTES - 4;

impl HeadFile {
    /// Makes a new file, durably, in place of any other.
    pub fn create(path: &Path, head: &Head) -> io::Result<HeadFile> {
        disk::write_file(path, |file| {
            file.write_all_at(&encode(head, 1), slot_at(1))?;
            file.set_len(2 * SLOT_DISTANCE)
        })?;
        Ok(HeadFile { file: disk::open_file(path)?, turn: 1, damaged_slot: None })
    }

    /// Opens the file and reads it; none if there is no such file.
    pub fn open(path: &Path) -> Result<Option<(HeadFile, Head)>, HeadError> {
        if !path.exists() {
            return Ok(None);
        }
        let file = disk::open_file(path)?;
        let (slots, turn, head) = said_in(&file)?;
        let damaged_slot = (0..).zip(&slots).find(|(_, slot)| is_damaged(slot, turn)).map(|(number, _)| number);
        Ok(Some((HeadFile { file, turn, damaged_slot }, head)))
    }

    /// The number of the slot that could not be read while the other one could.
    pub fn damaged_slot(&self) -> Option<u64> {
        self.damaged_slot
    }

    /// Writes what is true now. It reaches the disk with the next [`HeadFile::sync`], or when the system likes.
    pub fn write(&mut self, head: &Head) -> io::Result<()> {
        self.turn += 1;
        self.file.write_all_at(&encode(head, self.turn), slot_at(self.turn))
    }

    /// Makes what was written durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Reads what the file says; none if there is no such file. Nothing is written there: it may lie on a medium that cannot
/// be written.
pub fn read(path: &Path) -> Result<Option<Head>, HeadError> {
    match File::open(path) {
        Ok(file) => said_in(&file).map(|(_, _, head)| Some(head)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Both slots, and the newest of them with its turn.
fn said_in(file: &File) -> Result<([Slot; 2], u64, Head), HeadError> {
    let slots = [read_slot(file, 0), read_slot(file, 1)];
    if let Some(Slot::Newer { format }) = slots.iter().find(|slot| matches!(slot, Slot::Newer { .. })) {
        return Err(HeadError::Newer { format: *format });
    }
    let (turn, head) = newest(&slots).ok_or(HeadError::Damaged)?;
    Ok((slots, turn, head))
}

fn slot_at(turn: u64) -> u64 {
    turn % 2 * SLOT_DISTANCE
}

/// Looks at the whole file, and changes nothing.
pub fn examine(path: &Path) -> io::Result<Examined> {
    let file = File::open(path)?;
    let slots = [read_slot(&file, 0), read_slot(&file, 1)];
    let newest = newest(&slots);
    let turn = newest.map_or(0, |(turn, _)| turn);
    let mut flaws = Vec::new();
    for (number, _) in (0..).zip(&slots).filter(|(_, slot)| is_damaged(slot, turn)) {
        flaws.push(Flaw { place: format!("slot {number}"), detail: "it is empty, or its checksum is wrong" });
    }
    let bytes = std::fs::read(path)?;
    let is_blank = |between: &[u8]| between.iter().all(|byte| *byte == 0);
    let gaps = bytes.chunks(SLOT_DISTANCE as usize).all(|part| part.get(SLOT_BYTES..).is_some_and(is_blank));
    if bytes.len() as u64 != 2 * SLOT_DISTANCE || !gaps {
        flaws.push(Flaw {
            place: "outside of the slots".into(),
            detail: "something else stands there than was written",
        });
    }
    Ok(Examined { newest: newest.map(|(_, head)| head), flaws })
}

fn newest(slots: &[Slot; 2]) -> Option<(u64, Head)> {
    let said = slots.iter().filter_map(|slot| match slot {
        Slot::Said { turn, head } => Some((*turn, *head)),
        Slot::Blank | Slot::Damaged | Slot::Newer { .. } => None,
    });
    said.max_by_key(|(turn, _)| *turn)
}

/// Whether a slot should say something and does not. The second turn writes the slot that the first left blank.
fn is_damaged(slot: &Slot, newest_turn: u64) -> bool {
    match slot {
        Slot::Said { .. } | Slot::Newer { .. } => false,
        Slot::Blank => newest_turn != 1,
        Slot::Damaged => true,
    }
}

fn read_slot(file: &File, slot: u64) -> Slot {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, slot * SLOT_DISTANCE) {
        Ok(()) => decode(&bytes),
        Err(_) => Slot::Damaged,
    }
}

fn encode(head: &Head, turn: u64) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..6].copy_from_slice(&MAGIC);
    let format = if head.earliest > Seq(1) { FORMAT_WITH_BASE } else { FORMAT };
    slot[6..8].copy_from_slice(&format.to_le_bytes());
    slot[8..16].copy_from_slice(&turn.to_le_bytes());
    slot[16..32].copy_from_slice(head.lineage.as_bytes());
    slot[32] = u8::from(head.clean);
    slot[40..48].copy_from_slice(&head.segment.0.to_le_bytes());
    slot[48..56].copy_from_slice(&head.last.0.to_le_bytes());
    slot[56..64].copy_from_slice(&head.last_page.0.to_le_bytes());
    slot[64..96].copy_from_slice(&head.hash.0);
    slot[96..104].copy_from_slice(&head.file_bytes.to_le_bytes());
    slot[104..112].copy_from_slice(&head.earliest.0.to_le_bytes());
    let checksum = crc32fast::hash(&slot[..CHECKSUM_AT]);
    slot[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    slot
}

fn decode(slot: &[u8; SLOT_BYTES]) -> Slot {
    let number = |at: usize| u64::from_le_bytes(slot[at..at + 8].try_into().expect("eight bytes"));
    let checksum = u32::from_le_bytes(slot[CHECKSUM_AT..].try_into().expect("four bytes"));
    if *slot == [0; SLOT_BYTES] {
        return Slot::Blank;
    }
    if slot[..6] != MAGIC || crc32fast::hash(&slot[..CHECKSUM_AT]) != checksum {
        return Slot::Damaged;
    }
    let format = u16::from_le_bytes([slot[6], slot[7]]);
    if format != FORMAT && format != FORMAT_WITH_BASE {
        return Slot::Newer { format };
    }
    let head = Head {
        lineage: Uuid::from_slice(&slot[16..32]).expect("sixteen bytes"),
        clean: slot[32] != 0,
        segment: Seq(number(40)),
        last: Seq(number(48)),
        last_page: Seq(number(56)),
        hash: PageHash(slot[64..96].try_into().expect("thirty-two bytes")),
        file_bytes: number(96),
        earliest: Seq(number(104)),
    };
    Slot::Said { turn: number(8), head }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(last: u64) -> Head {
        Head { last: Seq(last), last_page: Seq(last), hash: PageHash([last as u8; 32]), ..Head::empty(Uuid::max()) }
    }

    #[test]
    fn the_newest_of_both_slots_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HEAD");
        assert!(HeadFile::open(&path).unwrap().is_none());
        let mut file = HeadFile::create(&path, &head(0)).unwrap();
        for last in 1..5 {
            file.write(&head(last)).unwrap();
            assert_eq!(HeadFile::open(&path).unwrap().unwrap().1, head(last));
        }
    }

    #[test]
    fn a_damaged_slot_leaves_the_one_before_and_two_damaged_slots_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HEAD");
        let mut file = HeadFile::create(&path, &head(1)).unwrap();
        file.write(&head(2)).unwrap();
        let damage = |slot: u64| {
            let file = disk::open_file(&path).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, slot * SLOT_DISTANCE + 50).unwrap();
            file.write_all_at(&[byte[0] ^ 1], slot * SLOT_DISTANCE + 50).unwrap();
        };
        assert_eq!(HeadFile::open(&path).unwrap().unwrap().0.damaged_slot(), None);
        damage(0);
        let (file, found) = HeadFile::open(&path).unwrap().unwrap();
        assert_eq!((file.damaged_slot(), found), (Some(0), head(1)));
        damage(1);
        assert!(matches!(HeadFile::open(&path), Err(HeadError::Damaged)));
        std::fs::write(&path, b"").unwrap();
        assert!(matches!(HeadFile::open(&path), Err(HeadError::Damaged)));
    }

    #[test]
    fn a_slot_that_was_never_written_is_not_damaged_and_one_that_was_cleared_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HEAD");
        let mut file = HeadFile::create(&path, &head(1)).unwrap();
        assert_eq!(HeadFile::open(&path).unwrap().unwrap().0.damaged_slot(), None);
        assert_eq!(examine(&path).unwrap().flaws, []);
        file.write(&head(2)).unwrap();
        file.write(&head(3)).unwrap();
        file.file.write_all_at(&[0; SLOT_BYTES], 0).unwrap();
        assert_eq!(HeadFile::open(&path).unwrap().unwrap().0.damaged_slot(), Some(0));
    }

    #[test]
    fn any_flipped_bit_of_the_file_is_found_by_a_look_at_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HEAD");
        let mut file = HeadFile::create(&path, &head(1)).unwrap();
        file.write(&head(2)).unwrap();
        assert_eq!(examine(&path).unwrap().flaws, []);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..SLOT_BYTES).chain([200, 4000]).flat_map(|at| [at, at + SLOT_DISTANCE as usize]) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(examine(&path).unwrap().flaws.len(), 1, "byte {at}");
        }
        std::fs::write(&path, &whole[..5000]).unwrap();
        assert!(!examine(&path).unwrap().flaws.is_empty());
    }

    #[test]
    fn a_log_that_begins_with_a_base_has_a_format_that_older_ones_refuse() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HEAD");
        let trimmed = Head { earliest: Seq(7), ..head(9) };
        let mut file = HeadFile::create(&path, &head(9)).unwrap();
        file.write(&trimmed).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((bytes[SLOT_DISTANCE as usize + 6], bytes[6]), (1, 2));
        assert_eq!(HeadFile::open(&path).unwrap().unwrap().1, trimmed);
    }

    #[test]
    fn a_file_of_a_newer_format_is_called_newer_and_not_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HEAD");
        let mut file = HeadFile::create(&path, &head(1)).unwrap();
        let mut slot = encode(&head(2), 2);
        slot[6] = 3;
        let checksum = crc32fast::hash(&slot[..CHECKSUM_AT]);
        slot[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        file.file.write_all_at(&slot, 0).unwrap();
        file.turn = 2;
        assert!(matches!(HeadFile::open(&path), Err(HeadError::Newer { format: 3 })));
    }
}
