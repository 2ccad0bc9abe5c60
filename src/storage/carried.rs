//! Files of events whose segments are gone while a kept job still points to them: `log/carried/<hash>`, named by the
//! hash of what is in it, as the base lists it. Written once and never changed.
//!
//! ```text
//!   "DBCARRY\x01" │ lineage 16 │ { frame │ crc32 }* │ { seq u64 │ offset u64 │ length u32 }* │
//!   first u64 │ last u64 │ count u32 │ crc32 of the places and of these three
//! ```
//!
//! Numbers are little endian. A frame is the codec's, with its body in it whatever the size. Which events are carried
//! is not decided here.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::codec::{DecodeError, EncodeError, Frame, NoPayloads, encode_whole, pack_file_name};
use crate::storage::disk;

const MAGIC: [u8; 8] = *b"DBCARRY\x01";
const HEADER_BYTES: u64 = 24;
const ENTRY_BYTES: u64 = 20;
const TRAILER_BYTES: u64 = 24;
const BUFFER_BYTES: usize = 256 * 1024;

/// What a base says of one of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarriedName {
    pub first: Seq,
    pub last: Seq,
    pub hash: [u8; 32],
}

impl CarriedName {
    /// The file's name.
    pub fn file_name(&self) -> String {
        pack_file_name(&self.hash)
    }
}

/// A file that is open for reading.
#[derive(Debug)]
pub struct CarriedFile {
    pub name: CarriedName,
    pub bytes: u64,
    file: File,
    places: Vec<Place>,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    seq: Seq,
    offset: u64,
    length: u32,
}

/// Why a carried event could not be read, or not be written.
#[derive(Debug, thiserror::Error)]
pub enum CarriedError {
    #[error("it is not as it was written: {0}")]
    Damaged(&'static str),
    #[error("event {seq} in it is not as it was written")]
    Record { seq: Seq, source: DecodeError },
    #[error("an event could not be written once more")]
    Encode(#[from] EncodeError),
    #[error("it cannot be read or written")]
    Io(#[from] io::Error),
}

impl CarriedError {
    /// As an error of the file system.
    pub fn into_io(self) -> io::Error {
        match self {
            CarriedError::Io(error) => error,
            error => io::Error::other(error),
        }
    }
}

impl CarriedFile {
    /// Opens a file and reads where its events stand. The events themselves are checked when they are read.
    pub fn open(dir: &Path, lineage: Uuid, name: CarriedName) -> Result<CarriedFile, CarriedError> {
        let file = File::open(dir.join(name.file_name()))?;
        let bytes = file.metadata()?.len();
        let cut = CarriedError::Damaged("it is cut off");
        let trailer_at = bytes.checked_sub(TRAILER_BYTES).filter(|at| *at >= HEADER_BYTES).ok_or(cut)?;
        let (mut header, mut trailer) = ([0; HEADER_BYTES as usize], [0; TRAILER_BYTES as usize]);
        file.read_exact_at(&mut header, 0)?;
        file.read_exact_at(&mut trailer, trailer_at)?;
        if header[..8] != MAGIC || header[8..] != *lineage.as_bytes() {
            return Err(CarriedError::Damaged("it belongs to another log, or is something else"));
        }
        let count = u64::from(u32_at(&trailer, 16));
        let cut = CarriedError::Damaged("it is cut off");
        let places_at = trailer_at.checked_sub(count * ENTRY_BYTES).filter(|at| *at >= HEADER_BYTES).ok_or(cut)?;
        let mut index = vec![0; (trailer_at - places_at) as usize];
        file.read_exact_at(&mut index, places_at)?;
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&index);
        checksum.update(&trailer[..20]);
        if checksum.finalize() != u32_at(&trailer, 20) {
            return Err(CarriedError::Damaged("the checksum of its places is wrong"));
        }
        let (first, last) = (Seq(u64_at(&trailer, 0)), Seq(u64_at(&trailer, 8)));
        if (first, last) != (name.first, name.last) {
            return Err(CarriedError::Damaged("it has other events than the base says"));
        }
        let places = index.chunks_exact(ENTRY_BYTES as usize).map(Place::decode).collect();
        Ok(CarriedFile { name, bytes, file, places })
    }

    /// The event, if it is here.
    pub fn record(&self, seq: Seq) -> Result<Option<Record>, CarriedError> {
        let Ok(found) = self.places.binary_search_by_key(&seq, |place| place.seq) else { return Ok(None) };
        let frame = self.frame(&self.places[found])?;
        let decoded = Frame::split(&frame).and_then(|(frame, _)| frame.decode(seq, &NoPayloads));
        decoded.map(Some).map_err(|source| CarriedError::Record { seq, source })
    }

    /// The events that are in it, in order.
    pub fn seqs(&self) -> impl Iterator<Item = Seq> {
        self.places.iter().map(|place| place.seq)
    }

    /// How many bytes the frames have of the events that `is_wanted` names.
    pub fn live_bytes(&self, is_wanted: impl Fn(Seq) -> bool) -> u64 {
        self.places.iter().filter(|place| is_wanted(place.seq)).map(|place| u64::from(place.length)).sum()
    }

    /// The frame without its checksum, which is compared.
    fn frame(&self, place: &Place) -> Result<Vec<u8>, CarriedError> {
        let mut bytes = vec![0; place.length as usize];
        self.file.read_exact_at(&mut bytes, place.offset)?;
        let checksum_at = bytes.len() - 4;
        if crc32fast::hash(&bytes[..checksum_at]) != u32_at(&bytes, checksum_at) {
            return Err(CarriedError::Damaged("the checksum of an event is wrong"));
        }
        bytes.truncate(checksum_at);
        Ok(bytes)
    }
}

/// A file that is being written. What is not finished leaves nothing.
pub struct NewCarried {
    dir: PathBuf,
    temporary: PathBuf,
    out: BufWriter<File>,
    at: u64,
    places: Vec<Place>,
    buffer: Vec<u8>,
}

impl NewCarried {
    /// Begins a file in a directory.
    pub fn create(dir: &Path, lineage: Uuid) -> io::Result<NewCarried> {
        let temporary = dir.join("carried.tmp");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&temporary)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        out.write_all(&MAGIC)?;
        out.write_all(lineage.as_bytes())?;
        let dir = dir.to_path_buf();
        Ok(NewCarried { dir, temporary, out, at: HEADER_BYTES, places: Vec::new(), buffer: Vec::new() })
    }

    /// Adds an event behind all others.
    pub fn add(&mut self, record: &Record) -> Result<(), CarriedError> {
        let mut frame = std::mem::take(&mut self.buffer);
        frame.clear();
        encode_whole(record, &mut frame)?;
        let added = self.add_frame(record.seq, &frame);
        self.buffer = frame;
        Ok(added?)
    }

    /// How many bytes were added so far.
    pub fn bytes(&self) -> u64 {
        self.at
    }

    /// Adds what is wanted of another file.
    pub fn add_from(&mut self, other: &CarriedFile, is_wanted: impl Fn(Seq) -> bool) -> Result<(), CarriedError> {
        for place in other.places.iter().filter(|place| is_wanted(place.seq)) {
            let frame = other.frame(place)?;
            self.add_frame(place.seq, &frame)?;
        }
        Ok(())
    }

    fn add_frame(&mut self, seq: Seq, frame: &[u8]) -> io::Result<()> {
        let in_order = self.places.last().is_none_or(|last| last.seq < seq);
        assert!(in_order, "events are carried in order, each once");
        self.out.write_all(frame)?;
        self.out.write_all(&crc32fast::hash(frame).to_le_bytes())?;
        let length = u32::try_from(frame.len() + 4).expect("a frame is far smaller than 4 GiB");
        self.places.push(Place { seq, offset: self.at, length });
        self.at += u64::from(length);
        Ok(())
    }

    /// Makes the file durable under its name; none if nothing is in it.
    pub fn finish(mut self) -> io::Result<Option<CarriedName>> {
        let (Some(first), Some(last)) = (self.places.first(), self.places.last()) else { return Ok(None) };
        let (first, last) = (first.seq, last.seq);
        let mut end = Vec::with_capacity(self.places.len() * ENTRY_BYTES as usize + TRAILER_BYTES as usize);
        self.places.iter().for_each(|place| place.encode(&mut end));
        end.extend_from_slice(&first.0.to_le_bytes());
        end.extend_from_slice(&last.0.to_le_bytes());
        let count = u32::try_from(self.places.len()).expect("a file carries far fewer than 2^32 events");
        end.extend_from_slice(&count.to_le_bytes());
        let checksum = crc32fast::hash(&end);
        end.extend_from_slice(&checksum.to_le_bytes());
        self.out.write_all(&end)?;
        self.out.flush()?;
        let file = self.out.get_mut();
        file.sync_all()?;
        file.seek(SeekFrom::Start(0))?;
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut file.take(u64::MAX), &mut hasher)?;
        let name = CarriedName { first, last, hash: hasher.finalize().into() };
        std::fs::rename(&self.temporary, self.dir.join(name.file_name()))?;
        disk::sync_dir(&self.dir)?;
        Ok(Some(name))
    }
}

impl Drop for NewCarried {
    fn drop(&mut self) {
        // After `finish` it has its name; what is left is of no use, and the next start would remove it too.
        let _ = disk::remove_file(&self.temporary);
    }
}

impl Place {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.seq.0.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Place {
        Place { seq: Seq(u64_at(bytes, 0)), offset: u64_at(bytes, 8), length: u32_at(bytes, 16) }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::conformance::record;

    const LINEAGE: Uuid = Uuid::from_u128(7);

    fn written(dir: &Path, seqs: &[u64]) -> CarriedName {
        let mut file = NewCarried::create(dir, LINEAGE).unwrap();
        seqs.iter().for_each(|&seq| file.add(&record(seq, 40_000 / seq as usize, seq % 2 == 0)).unwrap());
        file.finish().unwrap().unwrap()
    }

    #[test]
    fn what_is_carried_is_read_as_it_was_and_what_is_not_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let name = written(dir.path(), &[1, 3, 40]);
        let file = CarriedFile::open(dir.path(), LINEAGE, name).unwrap();
        for seq in [1, 3, 40] {
            assert_eq!(file.record(Seq(seq)).unwrap(), Some(record(seq, 40_000 / seq as usize, seq % 2 == 0)));
        }
        assert_eq!([0, 2, 41].map(|seq| file.record(Seq(seq)).unwrap()), [None, None, None]);
        let mut less = NewCarried::create(dir.path(), LINEAGE).unwrap();
        less.add_from(&file, |seq| seq > Seq(1)).unwrap();
        assert_eq!(less.finish().unwrap(), Some(written(dir.path(), &[3, 40])), "the same events make the same file");
        assert_eq!(NewCarried::create(dir.path(), LINEAGE).unwrap().finish().unwrap(), None);
        assert!(file.live_bytes(|seq| seq == Seq(40)) < file.live_bytes(|_| true) / 20);
        let other = CarriedFile::open(dir.path(), Uuid::nil(), name);
        assert!(matches!(other, Err(CarriedError::Damaged(_))));
    }

    #[test]
    fn a_flipped_or_missing_byte_is_an_error_and_never_another_event() {
        let dir = tempfile::tempdir().unwrap();
        let name = written(dir.path(), &[100, 200]);
        let path = dir.path().join(name.file_name());
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            let read = |seq: u64| CarriedFile::open(dir.path(), LINEAGE, name)?.record(Seq(seq));
            let wrong = [100, 200].into_iter().filter(|&seq| read(seq).is_err()).count();
            assert!(wrong > 0, "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(CarriedFile::open(dir.path(), LINEAGE, name).is_err(), "cut to {at}");
        }
    }
}
