//! The jobs of a stored past state, not decoded: where the frame of each is, and what its head says.
//!
//! A state may be made of several files, a full one and what changed since: of each job the newest frame counts. Small
//! files are held in memory, of large ones only the places.

use std::io::{BufReader, Read, Write};
use std::sync::Arc;

use crate::domain::id::{KindName, Ordinal, QueueName, Seq};
use crate::domain::state::{Globals, Slot, State};
use crate::engine::past::Label;
use crate::log::ReadError;
use crate::log::codec_state::{FrameReader, FrameWriter, RawLabel, SnapshotError, Tag, decode_body};
use crate::log::keyframe::{Stored, StoredReader};

const BUFFER_BYTES: usize = 256 * 1024;

/// One stored state, or the changes since another one.
pub struct FrameFile {
    pub globals: Globals,
    kinds: Vec<KindName>,
    queues: Vec<QueueName>,
    /// By ordinal.
    entries: Vec<Entry>,
    bodies: Bodies,
}

/// Where bodies are read from.
enum Bodies {
    Memory(Vec<u8>),
    /// The checksum of each is looked at again when it is read.
    Stored(Arc<dyn Stored>),
}

struct Entry {
    ordinal: Ordinal,
    at: u64,
    length: u32,
    /// Of the body; only looked at where it is read again.
    crc: u32,
    tag: Tag,
    /// None for a job that is gone.
    label: Option<RawLabel>,
}

impl FrameFile {
    /// Takes all of a stored state into memory.
    pub fn in_memory(input: impl Read) -> Result<FrameFile, SnapshotError> {
        let mut bodies = Vec::new();
        let mut file = FrameFile::walk(input, |body| {
            let at = bodies.len() as u64;
            bodies.extend_from_slice(body);
            (at, 0)
        })?;
        bodies.shrink_to_fit();
        file.bodies = Bodies::Memory(bodies);
        Ok(file)
    }

    /// Takes a keyframe into memory if it has at most so many bytes, else only the places in it.
    pub fn of(stored: Arc<dyn Stored>, held_max: u64) -> Result<FrameFile, SnapshotError> {
        let input = BufReader::with_capacity(BUFFER_BYTES, StoredReader::new(&*stored));
        if stored.len() <= held_max {
            return FrameFile::in_memory(input);
        }
        let counted = std::cell::Cell::new(0);
        let input = Counting { inner: input, bytes: &counted };
        let mut file = FrameFile::walk(input, |body| (counted.get() - body.len() as u64, crc32fast::hash(body)))?;
        file.bodies = Bodies::Stored(stored);
        Ok(file)
    }

    /// Walks over the frames; `keep` says where each body is and what its checksum is.
    fn walk(input: impl Read, mut keep: impl FnMut(&[u8]) -> (u64, u32)) -> Result<FrameFile, SnapshotError> {
        let (mut frames, globals) = FrameReader::new(input)?;
        let (mut entries, mut body) = (Vec::new(), Vec::new());
        while let Some(head) = frames.next_into(&mut body)? {
            if !matches!(head.tag, Tag::Job | Tag::Stub | Tag::Gone) {
                return Err(SnapshotError::Form("a frame that is no job".to_owned()));
            }
            let (at, crc) = keep(&body);
            let length = body.len() as u32;
            entries.push(Entry { ordinal: head.ordinal, at, length, crc, tag: head.tag, label: head.label });
        }
        entries.sort_by_key(|entry| entry.ordinal);
        entries.shrink_to_fit();
        let names = frames.names();
        Ok(FrameFile {
            globals,
            kinds: names.iter().cloned().map(KindName::from_checked).collect(),
            queues: names.iter().cloned().map(QueueName::from_checked).collect(),
            entries,
            bodies: Bodies::Memory(Vec::new()),
        })
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let held = match &self.bodies {
            Bodies::Memory(bodies) => bodies.len(),
            Bodies::Stored(_) => 0,
        };
        held + self.entries.len() * size_of::<Entry>()
    }

    /// Writes what an older file and this one, which hangs on it, say together: as changes, or as all if the older one
    /// says all.
    pub fn write_merged(&self, older: &FrameFile, is_full: bool, out: &mut dyn Write) -> Result<(), SnapshotError> {
        let mut frames = FrameWriter::new(out)?;
        frames.globals(&self.globals)?;
        let is_new = |entry: &&Entry| self.entries.binary_search_by_key(&entry.ordinal, |known| known.ordinal).is_err();
        let kept = older.entries.iter().filter(is_new).map(|entry| (older, entry));
        for (file, entry) in kept.chain(self.entries.iter().map(|entry| (self, entry))) {
            if entry.tag == Tag::Gone && is_full {
                continue;
            }
            let label = entry.label.map(|raw| file.label(raw));
            let put = |tag, body: &[u8]| Ok(frames.put(tag, entry.ordinal, label.as_ref(), body)?);
            file.body(entry, put).map_err(|error| SnapshotError::Form(error.to_string()))?;
        }
        Ok(frames.finish()?.flush()?)
    }

    fn body<T>(
        &self,
        entry: &Entry,
        take: impl FnOnce(Tag, &[u8]) -> Result<T, SnapshotError>,
    ) -> Result<T, ReadError> {
        let damaged = |error: SnapshotError| ReadError::Damaged {
            place: format!("the stored state at event {}", self.globals.seq),
            detail: error.to_string(),
        };
        match &self.bodies {
            Bodies::Memory(bodies) => {
                let at = entry.at as usize;
                take(entry.tag, &bodies[at..at + entry.length as usize]).map_err(damaged)
            }
            Bodies::Stored(stored) => {
                let mut body = vec![0; entry.length as usize];
                stored.read_at(&mut body, entry.at).map_err(|error| damaged(error.into()))?;
                if crc32fast::hash(&body) != entry.crc {
                    return Err(damaged(SnapshotError::Form("the checksum of a frame is wrong".to_owned())));
                }
                take(entry.tag, &body).map_err(damaged)
            }
        }
    }

    fn label(&self, raw: RawLabel) -> Label {
        Label {
            state: raw.state,
            kind: self.kinds[raw.kind as usize].clone(),
            queue: self.queues[raw.queue as usize].clone(),
            queued_at: raw.queued_at,
        }
    }
}

/// The jobs of a past state by their frames.
pub struct Frames {
    globals: Globals,
    /// The full one first.
    files: Vec<Arc<FrameFile>>,
    /// By ordinal; those that are gone are not in it.
    places: Vec<Place>,
}

#[derive(Clone, Copy)]
struct Place {
    ordinal: Ordinal,
    file: u32,
    entry: u32,
}

/// The frame of one job.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    file: &'a FrameFile,
    entry: &'a Entry,
}

impl Found<'_> {
    /// Whose it is.
    pub fn ordinal(self) -> Ordinal {
        self.entry.ordinal
    }

    /// What its head says.
    pub fn label(self) -> Label {
        self.file.label(self.entry.label.expect("a job that is not gone has a label"))
    }

    /// The job or stub.
    pub fn decode(self) -> Result<Slot, ReadError> {
        self.file.body(self.entry, decode_body)
    }

    /// Gives the body, as it is written in the newest version.
    pub fn with_body<T>(self, take: impl FnOnce(Tag, &[u8]) -> Result<T, SnapshotError>) -> Result<T, ReadError> {
        self.file.body(self.entry, take)
    }
}

impl Frames {
    /// The state of before the first event.
    pub fn none() -> Frames {
        Frames { globals: State::default().globals(), files: Vec::new(), places: Vec::new() }
    }

    /// The state that these files make, the full one first.
    pub fn of(files: Vec<Arc<FrameFile>>) -> Frames {
        let Some(newest) = files.last() else { return Frames::none() };
        let globals = newest.globals.clone();
        let count = files.iter().map(|file| file.entries.len()).sum();
        let mut places: Vec<Place> = Vec::with_capacity(count);
        // The newest file first: of the places of a job the first stays.
        for (number, file) in files.iter().enumerate().rev() {
            let of = |(entry, known): (usize, &Entry)| Place {
                ordinal: known.ordinal,
                file: number as u32,
                entry: entry as u32,
            };
            places.extend(file.entries.iter().enumerate().map(of));
        }
        // Each file is in order, so that this is a merge.
        places.sort_by_key(|place| place.ordinal);
        places.dedup_by_key(|place| place.ordinal);
        let mut frames = Frames { globals, files, places };
        let places = std::mem::take(&mut frames.places);
        frames.places = places.into_iter().filter(|place| frames.at(place).entry.tag != Tag::Gone).collect();
        frames
    }

    /// The state's parts that are not jobs.
    pub fn globals(&self) -> &Globals {
        &self.globals
    }

    /// The event after which it was so.
    pub fn seq(&self) -> Seq {
        self.globals.seq
    }

    /// The frame of a job.
    pub fn get(&self, ordinal: Ordinal) -> Option<Found<'_>> {
        let place = self.places.binary_search_by_key(&ordinal, |place| place.ordinal).ok()?;
        Some(self.at(&self.places[place]))
    }

    /// All frames of jobs below an ordinal, by ordinal.
    pub fn below(&self, end: Option<Ordinal>) -> impl DoubleEndedIterator<Item = Found<'_>> {
        let end = end.map_or(self.places.len(), |end| self.places.partition_point(|place| place.ordinal < end));
        self.places[..end].iter().map(|place| self.at(place))
    }

    /// The files that it is made of.
    pub fn files(&self) -> &[Arc<FrameFile>] {
        &self.files
    }

    /// About how many bytes of memory it takes beside its files.
    pub fn own_bytes(&self) -> usize {
        self.places.len() * size_of::<Place>()
    }

    fn at(&self, place: &Place) -> Found<'_> {
        let file = &self.files[place.file as usize];
        Found { file, entry: &file.entries[place.entry as usize] }
    }
}

/// Counts what is read through it.
struct Counting<'a, R> {
    inner: R,
    bytes: &'a std::cell::Cell<u64>,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.bytes.set(self.bytes.get() + count as u64);
        Ok(count)
    }
}
