//! The bytes of a state: the globals, then jobs and stubs, each in a frame of its own. Snapshots hold a whole state,
//! keyframes what of it has changed since another one.
//!
//! ```text
//!  "daybook-state" version:u16   frame*
//!  frame:  tag:u8  ordinal:u64  state:u8  kind:u32  queue:u32  queued_at:i64  length:u32  crc32:u32  body
//!  tag G: the globals, first   N: a name; it is called by its number, from 0 on   J, S: a job, a stub
//!      D: a job that is gone (deltas only)   E: the end, with the number of frames before it in the place of the ordinal
//! ```
//!
//! A frame can be copied without decoding it, so that a snapshot is merged with what happened since, and its head says
//! what a list asks of a job first. The checksum is that of head and body. Frames of jobs come in no order. Versions up to
//! 3 had heads of tag, ordinal and length alone. Never write a job twice.

mod mirrors;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::domain::id::{KindName, Ordinal, QueueName};
use crate::domain::job::StateName;
use crate::domain::state::{Globals, Slot};
use crate::domain::time::Timestamp;
use crate::log::codec_job::{decode_job, encode_job};
use crate::log::codec_state::mirrors::{StubV2, StubV3, decode, decode_globals, encode};

const MAGIC: &[u8; 13] = b"daybook-state";
/// The version that is written; older ones are read. Since 2 the globals hold drains, rates and schedules, since 3 a stub
/// knows whether its job was purged, since 4 a frame has a label and a checksum.
const VERSION: u16 = 4;
/// Since which version frames have labels.
const LABELS_SINCE: u16 = 4;
/// No frame is larger: a job with 100,000 items of long keys stays below it.
const FRAME_BYTES_MAX: u32 = 64 << 20;
const OLD_HEAD_BYTES: usize = 13;
const HEAD_BYTES: usize = 34;
/// What the checksum does not cover of a head: itself.
const CHECKED_BYTES: usize = HEAD_BYTES - 4;
/// In the place of the moment at which a job was queued, for one that was not.
const NEVER_QUEUED: i64 = i64::MIN;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    Globals,
    Job,
    Stub,
    /// A job that was forgotten since the state before.
    Gone,
    Name,
    End,
}

impl Tag {
    const ALL: [(Tag, u8); 6] = [
        (Tag::Globals, b'G'),
        (Tag::Job, b'J'),
        (Tag::Stub, b'S'),
        (Tag::Gone, b'D'),
        (Tag::Name, b'N'),
        (Tag::End, b'E'),
    ];

    fn byte(self) -> u8 {
        let known = Tag::ALL.into_iter().find(|(tag, _)| *tag == self);
        known.expect("every tag is in the row").1
    }

    fn of(byte: u8) -> Result<Tag, SnapshotError> {
        let known = Tag::ALL.into_iter().find(|(_, known)| *known == byte);
        known.map(|(tag, _)| tag).ok_or_else(|| SnapshotError::Form(format!("a frame with the tag {byte}")))
    }
}

/// What a list needs to know of a job before it looks at all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub state: StateName,
    pub kind: KindName,
    pub queue: QueueName,
    /// When an active job was queued last.
    pub queued_at: Option<Timestamp>,
}

impl Label {
    /// The label of a job or stub.
    pub fn of(slot: &Slot) -> Label {
        let (kind, queue, queued_at) = match slot {
            Slot::Active(job) => (&job.kind, &job.queue, job.queued_at),
            Slot::Finished(stub) => (&stub.kind, &stub.queue, None),
        };
        Label { state: slot.state_name(), kind: kind.clone(), queue: queue.clone(), queued_at }
    }
}

/// A label as a frame has it: its names by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawLabel {
    pub state: StateName,
    pub kind: u32,
    pub queue: u32,
    pub queued_at: Option<Timestamp>,
}

/// One frame, not yet decoded.
#[derive(Debug, Clone)]
pub struct Frame {
    pub tag: Tag,
    /// Of a job or stub.
    pub ordinal: Ordinal,
    /// Of a job or stub; none where there is none of it any more.
    pub label: Option<Label>,
    pub body: Vec<u8>,
}

/// The head of a frame whose body was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub tag: Tag,
    pub ordinal: Ordinal,
    pub label: Option<RawLabel>,
}

/// Why a snapshot could not be read. It is disposable: an older one or the log serves as well.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the snapshot could not be read")]
    Io(#[from] io::Error),
    #[error("the snapshot has another form: {0}")]
    Form(String),
}

/// Writes frames.
pub struct FrameWriter<W> {
    out: W,
    frames: u64,
    /// The names that were written, by their text; none where heads have no labels.
    names: Option<BTreeMap<Arc<str>, u32>>,
}

impl<W: Write> FrameWriter<W> {
    /// Begins a snapshot.
    pub fn new(mut out: W) -> io::Result<FrameWriter<W>> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        Ok(FrameWriter { out, frames: 0, names: Some(BTreeMap::new()) })
    }

    /// Writes frames alone, without labels, and without the head and the end of a snapshot: what a state is, whatever
    /// stores it.
    pub fn bare(out: W) -> FrameWriter<W> {
        FrameWriter { out, frames: 0, names: None }
    }

    /// Writes the parts that are not jobs; they come first.
    pub fn globals(&mut self, globals: &Globals) -> io::Result<()> {
        self.frame(Tag::Globals, Ordinal(0), None, &encode(globals)?)
    }

    /// Writes a job or a stub.
    pub fn slot(&mut self, slot: &Slot) -> io::Result<()> {
        let label = self.names.is_some().then(|| Label::of(slot));
        let (tag, body) = match slot {
            Slot::Active(job) => (Tag::Job, encode_job(job)),
            Slot::Finished(stub) => (Tag::Stub, encode(&StubV3::of(stub))?),
        };
        self.put(tag, slot.id().ordinal(), label.as_ref(), &body)
    }

    /// Writes that a job is gone.
    pub fn gone(&mut self, ordinal: Ordinal) -> io::Result<()> {
        self.frame(Tag::Gone, ordinal, None, &[])
    }

    /// Copies a frame as it is.
    pub fn copy(&mut self, frame: &Frame) -> io::Result<()> {
        self.put(frame.tag, frame.ordinal, frame.label.as_ref(), &frame.body)
    }

    /// Writes the frame of a job or stub whose body is known.
    pub fn put(&mut self, tag: Tag, ordinal: Ordinal, label: Option<&Label>, body: &[u8]) -> io::Result<()> {
        let raw = match label {
            Some(label) if self.names.is_some() => Some(RawLabel {
                state: label.state,
                kind: self.number_of(label.kind.shared())?,
                queue: self.number_of(label.queue.shared())?,
                queued_at: label.queued_at,
            }),
            _ => None,
        };
        self.frame(tag, ordinal, raw, body)
    }

    /// Ends the snapshot.
    pub fn finish(mut self) -> io::Result<W> {
        let frames = self.frames;
        self.frame(Tag::End, Ordinal(frames), None, &[])?;
        Ok(self.out)
    }

    /// The number of a name, which is written when it is new.
    fn number_of(&mut self, name: &Arc<str>) -> io::Result<u32> {
        let names = self.names.as_mut().expect("only where there are labels names are written");
        if let Some(number) = names.get(name) {
            return Ok(*number);
        }
        let number = u32::try_from(names.len()).map_err(io::Error::other)?;
        names.insert(name.clone(), number);
        self.frame(Tag::Name, Ordinal(u64::from(number)), None, name.as_bytes())?;
        Ok(number)
    }

    fn frame(&mut self, tag: Tag, ordinal: Ordinal, label: Option<RawLabel>, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len()).ok().filter(|&length| length <= FRAME_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("a frame is larger than 64 MiB"))?;
        self.frames += 1;
        let mut head = [0; HEAD_BYTES];
        head[0] = tag.byte();
        head[1..9].copy_from_slice(&ordinal.0.to_le_bytes());
        if self.names.is_none() {
            head[9..13].copy_from_slice(&length.to_le_bytes());
            self.out.write_all(&head[..OLD_HEAD_BYTES])?;
            return self.out.write_all(body);
        }
        let queued_at = label.and_then(|label| label.queued_at).map_or(NEVER_QUEUED, Timestamp::as_ms);
        if let Some(label) = label {
            head[9] = number_of_state(label.state);
            head[10..14].copy_from_slice(&label.kind.to_le_bytes());
            head[14..18].copy_from_slice(&label.queue.to_le_bytes());
        }
        head[18..26].copy_from_slice(&queued_at.to_le_bytes());
        head[26..30].copy_from_slice(&length.to_le_bytes());
        let crc = checksum(&head, body);
        head[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        self.out.write_all(&head)?;
        self.out.write_all(body)
    }
}

fn checksum(head: &[u8; HEAD_BYTES], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..CHECKED_BYTES]);
    hasher.update(body);
    hasher.finalize()
}

/// From 1 on, in the order in which a job may meet them.
fn number_of_state(state: StateName) -> u8 {
    let place = StateName::ALL.iter().position(|known| *known == state);
    place.expect("every state is in the row") as u8 + 1
}

/// Reads frames.
pub struct FrameReader<R> {
    input: R,
    version: u16,
    frames: u64,
    names: Vec<Arc<str>>,
    ended: bool,
}

impl<R: Read> FrameReader<R> {
    /// Begins to read a snapshot: gives the parts that are not jobs.
    pub fn new(mut input: R) -> Result<(FrameReader<R>, Globals), SnapshotError> {
        let mut head = [0; 15];
        input.read_exact(&mut head)?;
        if &head[..13] != MAGIC {
            return Err(SnapshotError::Form("another magic".to_owned()));
        }
        let version = u16::from_le_bytes([head[13], head[14]]);
        if !(1..=VERSION).contains(&version) {
            return Err(SnapshotError::Form(format!("the unknown version {version}")));
        }
        let mut reader = FrameReader { input, version, frames: 0, names: Vec::new(), ended: false };
        let mut body = Vec::new();
        let first = reader.next_into(&mut body)?.filter(|head| head.tag == Tag::Globals);
        first.ok_or_else(|| SnapshotError::Form("it does not begin with the globals".to_owned()))?;
        Ok((reader, decode_globals(version, &body)?))
    }

    /// The next job or stub, in the form in which it is written now; none at the end, which is checked.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, SnapshotError> {
        let mut body = Vec::new();
        let Some(head) = self.next_into(&mut body)? else { return Ok(None) };
        let label = head.label.map(|label| Label {
            state: label.state,
            kind: KindName::from_checked(self.names[label.kind as usize].clone()),
            queue: QueueName::from_checked(self.names[label.queue as usize].clone()),
            queued_at: label.queued_at,
        });
        Ok(Some(Frame { tag: head.tag, ordinal: head.ordinal, label, body }))
    }

    /// The same with the body in a place that is there already.
    pub fn next_into(&mut self, body: &mut Vec<u8>) -> Result<Option<Head>, SnapshotError> {
        while !self.ended {
            let (head, length) = if self.version < LABELS_SINCE { self.old_head()? } else { self.head(body)? };
            if self.version < LABELS_SINCE {
                self.body(length, body)?;
            }
            match head.tag {
                Tag::End => {
                    self.ended = true;
                    let is_complete = head.ordinal.0 == self.frames && length == 0;
                    return if is_complete { Ok(None) } else { Err(form("frames are missing")) };
                }
                Tag::Name => self.note_name(head.ordinal, body)?,
                _ => {
                    self.frames += 1;
                    return self.in_newest_form(head, body).map(Some);
                }
            }
            self.frames += 1;
        }
        Ok(None)
    }

    /// The names by their numbers, as far as they were met.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    fn old_head(&mut self) -> Result<(Head, u32), SnapshotError> {
        let mut bytes = [0; OLD_HEAD_BYTES];
        self.input.read_exact(&mut bytes)?;
        let head = Head { tag: Tag::of(bytes[0])?, ordinal: Ordinal(number_at(&bytes, 1)), label: None };
        Ok((head, u32::from_le_bytes(bytes[9..13].try_into().expect("four bytes"))))
    }

    fn head(&mut self, body: &mut Vec<u8>) -> Result<(Head, u32), SnapshotError> {
        let mut bytes = [0; HEAD_BYTES];
        self.input.read_exact(&mut bytes)?;
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let length = word(26);
        self.body(length, body)?;
        if checksum(&bytes, body) != word(CHECKED_BYTES) {
            return Err(form("the checksum of a frame is wrong"));
        }
        let tag = Tag::of(bytes[0])?;
        let mut label = None;
        if matches!(tag, Tag::Job | Tag::Stub) {
            let state = StateName::ALL.get(usize::from(bytes[9]).wrapping_sub(1));
            let state = *state.ok_or_else(|| form("a job in an unknown state"))?;
            let queued_at = Some(number_at(&bytes, 18) as i64).filter(|at| *at != NEVER_QUEUED);
            let queued_at = queued_at.map(Timestamp::from_ms);
            let raw = RawLabel { state, kind: word(10), queue: word(14), queued_at };
            if raw.kind.max(raw.queue) as usize >= self.names.len() {
                return Err(form("a name is missing"));
            }
            label = Some(raw);
        }
        Ok((Head { tag, ordinal: Ordinal(number_at(&bytes, 1)), label }, length))
    }

    fn body(&mut self, length: u32, body: &mut Vec<u8>) -> Result<(), SnapshotError> {
        if length > FRAME_BYTES_MAX {
            return Err(SnapshotError::Form(format!("a frame of {length} bytes")));
        }
        body.resize(length as usize, 0);
        Ok(self.input.read_exact(body)?)
    }

    fn note_name(&mut self, number: Ordinal, body: &[u8]) -> Result<(), SnapshotError> {
        if number.0 != self.names.len() as u64 {
            return Err(form("names are not in their order"));
        }
        let name = std::str::from_utf8(body).map_err(|error| SnapshotError::Form(error.to_string()))?;
        self.names.push(name.into());
        Ok(())
    }

    /// Gives frames of before the form that they have now.
    fn in_newest_form(&mut self, head: Head, body: &mut Vec<u8>) -> Result<Head, SnapshotError> {
        if head.tag == Tag::Stub && self.version < 3 {
            *body = encode(&StubV3::from(decode::<StubV2>(body)?))?;
        }
        if self.version >= LABELS_SINCE || !matches!(head.tag, Tag::Job | Tag::Stub) {
            return Ok(head);
        }
        let label = Label::of(&decode_body(head.tag, body)?);
        let (kind, queue) = (self.number_of(label.kind.shared()), self.number_of(label.queue.shared()));
        Ok(Head { label: Some(RawLabel { state: label.state, kind, queue, queued_at: label.queued_at }), ..head })
    }

    fn number_of(&mut self, name: &Arc<str>) -> u32 {
        let known = self.names.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            self.names.push(name.clone());
            self.names.len() - 1
        });
        number as u32
    }
}

fn number_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn form(detail: &str) -> SnapshotError {
    SnapshotError::Form(detail.to_owned())
}

/// Decodes the job or stub of a frame.
pub fn decode_slot(frame: &Frame) -> Result<Slot, SnapshotError> {
    decode_body(frame.tag, &frame.body)
}

/// Decodes the job or stub that is the body of a frame.
pub fn decode_body(tag: Tag, body: &[u8]) -> Result<Slot, SnapshotError> {
    match tag {
        Tag::Job => decode_job(body)
            .map(|job| Slot::Active(Arc::new(job)))
            .map_err(|error| SnapshotError::Form(error.to_string())),
        Tag::Stub => decode::<StubV3>(body).map(|stub| Slot::Finished(Arc::new(stub.into()))),
        Tag::Globals | Tag::Gone | Tag::Name | Tag::End => Err(form("a frame that is no job")),
    }
}
