//! Records as bytes: the only place that knows how an event looks on disk. bincode stays inside.
//!
//! A record is a frame, so that one can be found in a page without decoding the others:
//!
//! ```text
//!   type u16 │ version u16 │ length u32 │ at i64 │ previous u64 │ flags u8 │ actor u8 │ [actor id] │ body
//!   └──────────── envelope ───────────┘ └───────────────────── `length` bytes ──────────────────────────┘
//! ```
//!
//! All numbers are little endian; the seq is not here, it follows from the page. The body is the event's own struct in
//! bincode's standard configuration (variable-length numbers: a fifth smaller than fixed ones at the same speed). A
//! body above [`BODY_INLINE_BYTES_MAX`] goes to a [`Pack`] and the frame keeps a [`PayloadRef`].
//!
//! A shipped version of a type is frozen: bincode misreads an appended field and an inserted variant without a word.
//! A change is a new version beside the old one and a total function from the old struct to the new. Golden files
//! guard the bytes. This module must never guess: every byte is consumed, or the record is damaged.

mod body;
#[cfg(test)]
mod golden;
mod payload;
#[cfg(test)]
pub mod samples;

pub use payload::{FetchPayload, NoPayloads, Pack, PayloadRef, SealedPack, pack_file_name};

use crate::domain::event::{Actor, ActorKind, Record};
use crate::domain::id::Seq;
use crate::domain::time::Timestamp;

/// The version of the frames, as pages state it.
pub const CODEC_VERSION: u16 = 1;

/// The largest body that stays in its frame, in bytes; a larger one overflows to a payload file.
pub const BODY_INLINE_BYTES_MAX: usize = 8 * 1024;

/// The largest body of all, in bytes. A request has at most 16 MiB, so nothing that was let in comes near.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The longest id of an actor, in bytes.
pub const ACTOR_ID_BYTES_MAX: usize = 1024;

const ENVELOPE_BYTES: usize = 8;
const FLAGS_AT: usize = 16;
const FLAG_CONTINUES: u8 = 1;
const FLAG_OVERFLOW: u8 = 2;
const FLAG_ACTOR_ID: u8 = 4;

/// Why a record could not be written as bytes: a limit that the layers above should have kept.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("an event of type {event} has {bytes} bytes; the log takes at most {BODY_BYTES_MAX}")]
    BodyTooLarge { event: &'static str, bytes: usize },
    #[error("the id of an actor has {bytes} bytes; the log takes at most {ACTOR_ID_BYTES_MAX}")]
    ActorIdTooLong { bytes: usize },
    #[error("an event of type {event} has no binary form")]
    Unsupported { event: &'static str, source: bincode::error::EncodeError },
}

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("a frame ends early")]
    Cut,
    #[error("no event has type {type_code} in version {version}; a newer daybook may have written it")]
    UnknownType { type_code: u16, version: u16 },
    #[error("a frame has an impossible {field}")]
    Impossible { field: &'static str },
    #[error("the body of an event of type {type_code} cannot be read")]
    Body { type_code: u16, source: bincode::error::DecodeError },
    #[error("the body of an event of type {type_code} has {extra} bytes too many")]
    Rest { type_code: u16, extra: usize },
    #[error("the payload {0} cannot be read")]
    Payload(PayloadRef, #[source] std::io::Error),
    #[error("the payload {0} is not what was written")]
    PayloadDamaged(PayloadRef),
}

/// Where in the buffer the name of the pack has to be filled in, once the pack is complete.
pub type PackNamePlace = usize;

/// Appends a record's frame to `out`. A big body goes to `pack`; then the place is given where its name belongs.
pub fn encode(record: &Record, out: &mut Vec<u8>, pack: &mut Pack) -> Result<Option<PackNamePlace>, EncodeError> {
    let start = begin_frame(record, out);
    let flags_at = encode_header(record, out)?;
    let body_at = encode_body(record, out)?;
    let place = (out.len() - body_at > BODY_INLINE_BYTES_MAX).then_some(body_at);
    if let Some(place) = place {
        out[flags_at] |= FLAG_OVERFLOW;
        let reference = pack.add(&out[place..]);
        out.truncate(place);
        reference.encode(out);
    }
    end_frame(start, out);
    Ok(place)
}

/// Appends a record's frame to `out` with the body in it, whatever its size: for what is kept outside of pages.
pub fn encode_whole(record: &Record, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = begin_frame(record, out);
    encode_header(record, out)?;
    encode_body(record, out)?;
    end_frame(start, out);
    Ok(())
}

fn begin_frame(record: &Record, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&body::code_of(&record.event).to_le_bytes());
    out.extend_from_slice(&body::VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    start
}

fn end_frame(start: usize, out: &mut [u8]) {
    let length = u32::try_from(out.len() - start - ENVELOPE_BYTES).expect("a frame is far smaller than 4 GiB");
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
}

fn encode_header(record: &Record, out: &mut Vec<u8>) -> Result<usize, EncodeError> {
    out.extend_from_slice(&record.at.as_ms().to_le_bytes());
    out.extend_from_slice(&record.previous.unwrap_or(Seq::ZERO).0.to_le_bytes());
    let flags_at = out.len();
    out.push(if record.continues { FLAG_CONTINUES } else { 0 });
    out.push(actor_code(record.actor.kind));
    if let Some(id) = &record.actor.id {
        if id.len() > ACTOR_ID_BYTES_MAX {
            return Err(EncodeError::ActorIdTooLong { bytes: id.len() });
        }
        out[flags_at] |= FLAG_ACTOR_ID;
        out.extend_from_slice(&(id.len() as u16).to_le_bytes());
        out.extend_from_slice(id.as_bytes());
    }
    Ok(flags_at)
}

/// Gives where the body begins.
fn encode_body(record: &Record, out: &mut Vec<u8>) -> Result<usize, EncodeError> {
    let event = record.event.type_name();
    let start = out.len();
    body::encode(&record.event, out).map_err(|source| EncodeError::Unsupported { event, source })?;
    let bytes = out.len() - start;
    if bytes > BODY_BYTES_MAX { Err(EncodeError::BodyTooLarge { event, bytes }) } else { Ok(start) }
}

/// One record's bytes, not yet decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub type_code: u16,
    pub version: u16,
    content: &'a [u8],
}

/// What a frame says before its body is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Header<'a> {
    pub at: Timestamp,
    pub previous: Option<Seq>,
    pub actor: Actor,
    pub continues: bool,
    pub body: Body<'a>,
}

/// Where a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    Inline(&'a [u8]),
    Overflow(PayloadRef),
}

impl<'a> Frame<'a> {
    /// Takes the first frame off `bytes` and gives the rest too.
    pub fn split(bytes: &'a [u8]) -> Result<(Frame<'a>, &'a [u8]), DecodeError> {
        let mut reader = Reader(bytes);
        let type_code = u16::from_le_bytes(reader.take()?);
        let version = u16::from_le_bytes(reader.take()?);
        let length = u32::from_le_bytes(reader.take()?) as usize;
        let content = reader.slice(length)?;
        Ok((Frame { type_code, version, content }, reader.0))
    }

    /// Whether the next record belongs to the same group.
    pub fn continues(&self) -> bool {
        self.content.get(FLAGS_AT).is_some_and(|flags| flags & FLAG_CONTINUES != 0)
    }

    /// Where the body is, if it is not in the frame.
    pub fn payload(&self) -> Result<Option<PayloadRef>, DecodeError> {
        if self.content.get(FLAGS_AT).is_none_or(|flags| flags & FLAG_OVERFLOW == 0) {
            return Ok(None);
        }
        match self.header()?.body {
            Body::Inline(_) => Ok(None),
            Body::Overflow(reference) => Ok(Some(reference)),
        }
    }

    /// The whole frame's length, in bytes.
    pub fn bytes(&self) -> usize {
        ENVELOPE_BYTES + self.content.len()
    }

    /// Reads everything but the body.
    pub fn header(&self) -> Result<Header<'a>, DecodeError> {
        let mut reader = Reader(self.content);
        let at_ms = i64::from_le_bytes(reader.take()?);
        let previous = u64::from_le_bytes(reader.take()?);
        let [flags] = reader.take()?;
        let [actor] = reader.take()?;
        if flags & !(FLAG_CONTINUES | FLAG_OVERFLOW | FLAG_ACTOR_ID) != 0 {
            return Err(DecodeError::Impossible { field: "flag" });
        }
        let id = if flags & FLAG_ACTOR_ID == 0 { None } else { Some(reader.text()?.into()) };
        let body = match flags & FLAG_OVERFLOW {
            0 => Body::Inline(reader.0),
            _ => Body::Overflow(PayloadRef::decode(reader.0).ok_or(DecodeError::Impossible { field: "payload" })?),
        };
        Ok(Header {
            at: checked_moment(at_ms)?,
            previous: (previous != 0).then_some(Seq(previous)),
            actor: Actor { kind: actor_kind(actor)?, id },
            continues: flags & FLAG_CONTINUES != 0,
            body,
        })
    }

    /// Decodes the record, which has the number `seq`.
    pub fn decode(&self, seq: Seq, payloads: &dyn FetchPayload) -> Result<Record, DecodeError> {
        let header = self.header()?;
        let event = match header.body {
            Body::Inline(bytes) => body::decode(self.type_code, self.version, bytes)?,
            Body::Overflow(reference) => {
                let bytes = payloads.fetch(&reference).map_err(|error| DecodeError::Payload(reference, error))?;
                if !reference.fits(&bytes) {
                    return Err(DecodeError::PayloadDamaged(reference));
                }
                body::decode(self.type_code, self.version, &bytes)?
            }
        };
        let Header { at, previous, actor, continues, .. } = header;
        Ok(Record { seq, at, previous, actor, continues, event })
    }
}

fn checked_moment(ms: i64) -> Result<Timestamp, DecodeError> {
    let at = Timestamp::from_ms(ms);
    if at.as_ms() == ms { Ok(at) } else { Err(DecodeError::Impossible { field: "moment" }) }
}

fn actor_code(kind: ActorKind) -> u8 {
    match kind {
        ActorKind::Client => 1,
        ActorKind::Worker => 2,
        ActorKind::Server => 3,
        ActorKind::Schedule => 4,
    }
}

fn actor_kind(code: u8) -> Result<ActorKind, DecodeError> {
    match code {
        1 => Ok(ActorKind::Client),
        2 => Ok(ActorKind::Worker),
        3 => Ok(ActorKind::Server),
        4 => Ok(ActorKind::Schedule),
        _ => Err(DecodeError::Impossible { field: "actor" }),
    }
}

/// Takes values off the front of a slice.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Cut)?;
        self.0 = rest;
        Ok(head)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.slice(N)?.try_into().expect("a slice of N bytes fits an array of N"))
    }

    fn text(&mut self) -> Result<&'a str, DecodeError> {
        let length = u16::from_le_bytes(self.take()?) as usize;
        std::str::from_utf8(self.slice(length)?).map_err(|_| DecodeError::Impossible { field: "actor id" })
    }
}

#[cfg(test)]
mod tests {
    use super::samples;
    use super::*;
    use crate::domain::event::{Event, JobCompleted};
    use crate::domain::json::Json;

    fn encoded(record: &Record) -> Vec<u8> {
        let mut out = Vec::new();
        encode(record, &mut out, &mut Pack::default()).unwrap();
        out
    }

    #[test]
    fn every_event_comes_back_as_it_went_in() {
        for record in samples::one_of_each() {
            let bytes = encoded(&record);
            let (frame, rest) = Frame::split(&bytes).unwrap();
            assert!(rest.is_empty());
            assert_eq!(frame.decode(record.seq, &NoPayloads).unwrap(), record);
        }
    }

    #[test]
    fn a_record_is_found_among_others_without_decoding_them() {
        let records = samples::one_of_each();
        let mut bytes = Vec::new();
        for record in &records {
            encode(record, &mut bytes, &mut Pack::default()).unwrap();
        }
        let mut rest = bytes.as_slice();
        for record in &records {
            let (frame, after) = Frame::split(rest).unwrap();
            assert_eq!(frame.header().unwrap().at, record.at);
            rest = after;
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_frame_that_was_cut_anywhere_is_an_error_and_never_another_record() {
        for record in samples::one_of_each() {
            let bytes = encoded(&record);
            for length in 0..bytes.len() {
                assert!(Frame::split(&bytes[..length]).is_err(), "{} cut to {length}", record.event.type_name());
            }
        }
    }

    #[test]
    fn a_body_with_a_byte_too_many_is_damaged() {
        for record in samples::one_of_each() {
            let mut bytes = encoded(&record);
            bytes.push(0);
            let length = (bytes.len() - ENVELOPE_BYTES) as u32;
            bytes[4..8].copy_from_slice(&length.to_le_bytes());
            let (frame, _) = Frame::split(&bytes).unwrap();
            let error = frame.decode(record.seq, &NoPayloads).unwrap_err();
            assert!(matches!(error, DecodeError::Rest { extra: 1, .. }), "{error}");
        }
    }

    #[test]
    fn a_type_from_the_future_is_named_and_not_guessed() {
        let mut bytes = encoded(&samples::one_of_each()[0]);
        bytes[2] = 9;
        let error = Frame::split(&bytes).unwrap().0.decode(Seq(1), &NoPayloads).unwrap_err();
        assert!(matches!(error, DecodeError::UnknownType { version: 9, .. }), "{error}");
    }

    #[test]
    fn a_body_above_the_limit_overflows_and_is_found_by_its_hash() {
        let mut record = samples::one_of_each().remove(0);
        let result = Some(Json::of(&serde_json::json!("x".repeat(BODY_INLINE_BYTES_MAX + 1))));
        record.event = Event::JobCompleted(JobCompleted { job: samples::job(1), result });
        let (mut out, mut pack) = (Vec::new(), Pack::default());
        let place = encode(&record, &mut out, &mut pack).unwrap().expect("the body is above the limit");
        let sealed = pack.seal().expect("something was added");
        out[place..place + sealed.name.len()].copy_from_slice(&sealed.name);
        assert!(out.len() < 200, "the frame keeps only a reference");

        let frame = Frame::split(&out).unwrap().0;
        assert_eq!(frame.decode(record.seq, &sealed).unwrap(), record);

        let mut whole = Vec::new();
        encode_whole(&record, &mut whole).unwrap();
        let (frame, rest) = Frame::split(&whole).unwrap();
        assert_eq!((frame.decode(record.seq, &NoPayloads).unwrap(), rest.len()), (record.clone(), 0));

        let frame = Frame::split(&out).unwrap().0;
        let mut damaged = sealed.clone();
        damaged.bytes[5] ^= 1;
        let error = frame.decode(record.seq, &damaged).unwrap_err();
        assert!(matches!(error, DecodeError::PayloadDamaged(_)), "{error}");
    }
}
