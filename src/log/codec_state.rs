//! The bytes of a state snapshot: the globals, then every job and stub, each in a frame of its own.
//!
//! ```text
//!  "daybook-state" version:u16   { tag:u8  ordinal:u64  length:u32  body }*   tag E: the number of frames before
//! ```
//!
//! A frame can be copied without decoding it, so that a snapshot is merged with what happened since. Frames of jobs come
//! in no order. The store around it checks the bytes; this codec checks the shape. Never write a job twice.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::domain::id::{FinishOrdinal, JobId, KindName, Ordinal, QueueName, Seq, SessionId, TokenHash};
use crate::domain::job::{Reason, Relations, RunEnd, StateName};
use crate::domain::queue::{Pause, Queue};
use crate::domain::state::{After, EpochSpan, Globals, Slot, Stub, Worker};
use crate::domain::time::Timestamp;
use crate::log::codec_job::{decode_job, encode_job};

const MAGIC: &[u8; 13] = b"daybook-state";
/// The version that is written; older ones are read. Since 2 the globals hold drains, rates and schedules, since 3 a stub
/// knows whether its job was purged.
const VERSION: u16 = 3;
/// No frame is larger: a job with 100,000 items of long keys stays below it.
const FRAME_BYTES_MAX: u32 = 64 << 20;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    Globals,
    Job,
    Stub,
    End,
}

/// One frame, not yet decoded.
#[derive(Debug, Clone)]
pub struct Frame {
    pub tag: Tag,
    /// Of a job or stub.
    pub ordinal: Ordinal,
    pub body: Vec<u8>,
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
}

impl<W: Write> FrameWriter<W> {
    /// Begins a snapshot.
    pub fn new(mut out: W) -> io::Result<FrameWriter<W>> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        Ok(FrameWriter { out, frames: 0 })
    }

    /// Writes frames alone, without the head and the end of a snapshot: what a state is, whatever stores it.
    pub fn bare(out: W) -> FrameWriter<W> {
        FrameWriter { out, frames: 0 }
    }

    /// Writes the parts that are not jobs; they come first.
    pub fn globals(&mut self, globals: &Globals) -> io::Result<()> {
        self.frame(Tag::Globals, Ordinal(0), &encode(globals)?)
    }

    /// Writes a job or a stub.
    pub fn slot(&mut self, slot: &Slot) -> io::Result<()> {
        match slot {
            Slot::Active(job) => self.frame(Tag::Job, job.id.ordinal(), &encode_job(job)),
            Slot::Finished(stub) => self.frame(Tag::Stub, stub.id.ordinal(), &encode(&StubV3::of(stub))?),
        }
    }

    /// Copies a frame as it is.
    pub fn copy(&mut self, frame: &Frame) -> io::Result<()> {
        self.frame(frame.tag, frame.ordinal, &frame.body)
    }

    /// Ends the snapshot.
    pub fn finish(mut self) -> io::Result<W> {
        let frames = self.frames;
        self.frame(Tag::End, Ordinal(frames), &[])?;
        Ok(self.out)
    }

    fn frame(&mut self, tag: Tag, ordinal: Ordinal, body: &[u8]) -> io::Result<()> {
        let tag = match tag {
            Tag::Globals => b'G',
            Tag::Job => b'J',
            Tag::Stub => b'S',
            Tag::End => b'E',
        };
        let length = u32::try_from(body.len()).ok().filter(|&length| length <= FRAME_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("a frame is larger than 64 MiB"))?;
        self.frames += 1;
        self.out.write_all(&[tag])?;
        self.out.write_all(&ordinal.0.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(body)
    }
}

/// Reads frames.
pub struct FrameReader<R> {
    input: R,
    version: u16,
    frames: u64,
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
        let mut reader = FrameReader { input, version, frames: 0, ended: false };
        let first = reader.next_frame()?.filter(|frame| frame.tag == Tag::Globals);
        let first = first.ok_or_else(|| SnapshotError::Form("it does not begin with the globals".to_owned()))?;
        Ok((reader, decode_globals(version, &first.body)?))
    }

    /// The next job or stub, in the form in which it is written now; none at the end, which is checked.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, SnapshotError> {
        if self.ended {
            return Ok(None);
        }
        let mut head = [0; 13];
        self.input.read_exact(&mut head)?;
        let ordinal = u64::from_le_bytes(head[1..9].try_into().expect("eight bytes"));
        let length = u32::from_le_bytes(head[9..13].try_into().expect("four bytes"));
        let tag = match head[0] {
            b'G' => Tag::Globals,
            b'J' => Tag::Job,
            b'S' => Tag::Stub,
            b'E' => Tag::End,
            other => return Err(SnapshotError::Form(format!("a frame with the tag {other}"))),
        };
        if length > FRAME_BYTES_MAX {
            return Err(SnapshotError::Form(format!("a frame of {length} bytes")));
        }
        if tag == Tag::End {
            self.ended = true;
            let complete = ordinal == self.frames;
            return if complete { Ok(None) } else { Err(SnapshotError::Form("frames are missing".to_owned())) };
        }
        let mut body = vec![0; length as usize];
        self.input.read_exact(&mut body)?;
        self.frames += 1;
        if tag == Tag::Stub && self.version < 3 {
            body = encode(&StubV3::from(decode::<StubV2>(&body)?))?;
        }
        Ok(Some(Frame { tag, ordinal: Ordinal(ordinal), body }))
    }
}

/// Decodes the job or stub of a frame.
pub fn decode_slot(frame: &Frame) -> Result<Slot, SnapshotError> {
    match frame.tag {
        Tag::Job => decode_job(&frame.body)
            .map(|job| Slot::Active(Arc::new(job)))
            .map_err(|error| SnapshotError::Form(error.to_string())),
        Tag::Stub => decode::<StubV3>(&frame.body).map(|stub| Slot::Finished(Arc::new(stub.into()))),
        Tag::Globals | Tag::End => Err(SnapshotError::Form("a frame that is no job".to_owned())),
    }
}

/// The parts that are not jobs, in version 1: a queue was paused or not.
#[derive(serde::Serialize, serde::Deserialize)]
struct GlobalsV1 {
    seq: Seq,
    at: Timestamp,
    epochs: Vec<EpochSpan>,
    last_ordinal: Ordinal,
    last_finish: FinishOrdinal,
    queues: BTreeMap<QueueName, Option<Pause>>,
    workers: BTreeMap<SessionId, Worker>,
}

impl From<GlobalsV1> for Globals {
    fn from(old: GlobalsV1) -> Globals {
        let queues = old.queues.into_iter().map(|(name, pause)| (name, Queue { pause, ..Queue::default() }));
        Globals {
            seq: old.seq,
            at: old.at,
            epochs: old.epochs,
            last_ordinal: old.last_ordinal,
            last_finish: old.last_finish,
            queues: queues.collect(),
            workers: old.workers,
            schedules: Default::default(),
        }
    }
}

/// A stub up to version 2. Frozen.
#[derive(serde::Serialize, serde::Deserialize)]
struct StubV2 {
    id: JobId,
    seq: Seq,
    after: Option<(Seq, u8)>,
    state: StateName,
    reason: Option<Reason>,
    kind: KindName,
    queue: QueueName,
    tags: Option<Arc<Vec<crate::domain::id::Tag>>>,
    relations: Option<Arc<Relations>>,
    finished_at: Timestamp,
    finish_ordinal: FinishOrdinal,
    last_run: Option<(TokenHash, RunEnd)>,
    items_to_redo: bool,
}

/// A stub since version 3. Frozen.
#[derive(serde::Serialize, serde::Deserialize)]
struct StubV3 {
    before: StubV2,
    purged: Option<Timestamp>,
}

impl From<StubV2> for StubV3 {
    fn from(before: StubV2) -> StubV3 {
        StubV3 { before, purged: None }
    }
}

impl StubV3 {
    fn of(stub: &Stub) -> StubV3 {
        let before = StubV2 {
            id: stub.id,
            seq: stub.seq,
            after: stub.after.as_ref().map(|after| (after.seq, after.late)),
            state: stub.state,
            reason: stub.reason,
            kind: stub.kind.clone(),
            queue: stub.queue.clone(),
            tags: stub.tags.clone(),
            relations: stub.relations.clone(),
            finished_at: stub.finished_at,
            finish_ordinal: stub.finish_ordinal,
            last_run: stub.last_run,
            items_to_redo: stub.items_to_redo,
        };
        StubV3 { before, purged: stub.purged() }
    }
}

impl From<StubV3> for Stub {
    fn from(StubV3 { before, purged }: StubV3) -> Stub {
        Stub {
            id: before.id,
            seq: before.seq,
            after: before.after.map(|(seq, late)| Box::new(After { seq, late, purged })),
            state: before.state,
            reason: before.reason,
            kind: before.kind,
            queue: before.queue,
            tags: before.tags,
            relations: before.relations,
            finished_at: before.finished_at,
            finish_ordinal: before.finish_ordinal,
            last_run: before.last_run,
            items_to_redo: before.items_to_redo,
        }
    }
}

fn decode_globals(version: u16, body: &[u8]) -> Result<Globals, SnapshotError> {
    match version {
        1 => decode::<GlobalsV1>(body).map(Globals::from),
        2 | VERSION => decode(body),
        newer => Err(SnapshotError::Form(format!("the unknown version {newer}"))),
    }
}

fn encode<T: serde::Serialize>(value: &T) -> io::Result<Vec<u8>> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).map_err(io::Error::other)
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, SnapshotError> {
    let (value, consumed) = bincode::serde::decode_from_slice(bytes, bincode::config::standard())
        .map_err(|error| SnapshotError::Form(error.to_string()))?;
    if consumed == bytes.len() { Ok(value) } else { Err(SnapshotError::Form("bytes are left over".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Actor;

    #[test]
    fn a_snapshot_of_version_1_is_read_with_its_pauses() {
        let pause = Pause { at: Timestamp::from_ms(5), by: Actor::CLIENT };
        let queue = |name: &str| name.parse::<QueueName>().expect("a name");
        let old = GlobalsV1 {
            seq: Seq(7),
            at: Timestamp::from_ms(9),
            epochs: Vec::new(),
            last_ordinal: Ordinal(3),
            last_finish: FinishOrdinal(2),
            queues: [(queue("open"), None), (queue("shut"), Some(pause.clone()))].into(),
            workers: BTreeMap::new(),
        };
        let mut bytes = [MAGIC.as_slice(), &1_u16.to_le_bytes()].concat();
        let body = encode(&old).expect("writes");
        FrameWriter { out: &mut bytes, frames: 0 }.frame(Tag::Globals, Ordinal(0), &body).expect("writes");
        let (_, globals) = FrameReader::new(&bytes[..]).expect("reads");
        assert_eq!((globals.seq, globals.last_ordinal), (Seq(7), Ordinal(3)));
        assert_eq!(globals.queues[&queue("open")], Queue::default());
        assert_eq!(globals.queues[&queue("shut")], Queue { pause: Some(pause), ..Queue::default() });
    }

    #[test]
    fn a_stub_of_version_2_is_read_and_copied_as_one_that_was_not_purged() {
        let name = |text: &str| text.parse().expect("a name");
        let old = StubV2 {
            id: JobId::new(Timestamp::from_ms(1), Ordinal(7), 3),
            seq: Seq(20),
            after: Some((Seq(22), 2)),
            state: StateName::Failed,
            reason: Some(Reason::Timeout),
            kind: "resize".parse().expect("a name"),
            queue: name("default"),
            tags: None,
            relations: None,
            finished_at: Timestamp::from_ms(9),
            finish_ordinal: FinishOrdinal(4),
            last_run: None,
            items_to_redo: true,
        };
        let mut bytes = [MAGIC.as_slice(), &2_u16.to_le_bytes()].concat();
        let globals = encode(&crate::domain::state::State::default().globals()).expect("writes");
        let body = encode(&old).expect("writes");
        let mut frames = FrameWriter { out: &mut bytes, frames: 0 };
        frames.frame(Tag::Globals, Ordinal(0), &globals).expect("writes");
        frames.frame(Tag::Stub, Ordinal(7), &body).expect("writes");
        frames.finish().expect("writes");
        let (mut reader, _) = FrameReader::new(&bytes[..]).expect("reads");
        let frame = reader.next_frame().expect("reads").expect("a stub");
        let Slot::Finished(stub) = decode_slot(&frame).expect("reads") else { panic!("a stub") };
        assert_eq!((stub.seq, stub.last_seq(), stub.late(), stub.purged()), (Seq(20), Seq(22), 2, None));
        assert_eq!(frame.body, encode(&StubV3::of(&stub)).expect("writes"));
        assert!(reader.next_frame().expect("reads").is_none());
    }

    #[test]
    fn a_snapshot_of_a_newer_version_is_refused() {
        let mut bytes = FrameWriter::new(Vec::new()).expect("writes");
        let state = crate::domain::state::State::default();
        bytes.globals(&state.globals()).expect("writes");
        let mut bytes = bytes.finish().expect("writes");
        bytes[13] = 4;
        let Err(SnapshotError::Form(detail)) = FrameReader::new(&bytes[..]) else { panic!("it was read") };
        assert!(detail.contains("version 4"), "{detail}");
    }
}
