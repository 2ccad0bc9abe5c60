//! The lines of an exported log: CloudEvents 1.0 in JSON, one a line, from which the very same records can be read again.
//!
//! ```text
//!   daybook.export.begun    which log this is, and which events follow
//!   daybook.base.part       what stands for the events before, if they were dropped: a piece of it
//!   daybook.job.submitted   an event: what is published of it, and under `kept` what the published form leaves out
//!   …
//!   daybook.export.ended    the last one, and the fold of all: without this line the file is not complete
//! ```
//!
//! What a line says of an event must be all that the log says of it; lines of another form are refused, never guessed at.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read as _};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::event::{Actor, ActorKind, Event, FirstState, Record, Revived};
use crate::domain::id::{Epoch, JobId, Seq, TokenHash};
use crate::domain::job::Relations;
use crate::domain::retry::Policy;
use crate::domain::time::Timestamp;
use crate::feed::published::Data;

/// How much of a part of a base is in a line.
const PIECE_BYTES: usize = 48 * 1024;

/// The format of the lines; a reader refuses a later one.
pub const FORMAT: u32 = 1;

const BEGUN: &str = "daybook.export.begun";
const ENDED: &str = "daybook.export.ended";
const BASE_PART: &str = "daybook.base.part";
const PREFIX: &str = "daybook.";
/// What stands around the hash of a line.
const HASH_BEGIN: &str = ",\"daybookhash\":\"";
const HASH_END: &str = "\"}";

/// One line, as it is written.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CloudEvent")]
pub struct CloudEvent {
    /// The version of CloudEvents.
    #[schemars(extend("const" = "1.0"))]
    specversion: &'static str,
    /// The log's own UUID and the event's number: no two events have the same.
    #[schemars(extend("minLength" = 1))]
    id: String,
    /// The log.
    #[schemars(extend("pattern" = "^urn:uuid:[0-9a-f-]{36}$"))]
    source: String,
    /// `daybook.` and the type of the event, which `schemas/events` describes; `daybook.export.begun` on the first line
    /// and `daybook.export.ended` on the last; `daybook.base.part` on those that stand for dropped events.
    #[serde(rename = "type")]
    #[schemars(extend("pattern" = "^daybook\\.[a-z]+(\\.[a-z_]+)+$"))]
    event_type: Cow<'static, str>,
    /// The job that the event is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "JobId")]
    subject: Option<JobId>,
    /// When it happened.
    time: Timestamp,
    /// What `data` is.
    #[schemars(extend("const" = "application/json"))]
    datacontenttype: &'static str,
    /// The event's number in the log, in twenty digits, so that texts sort as numbers do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("pattern" = "^[0-9]{20}$"))]
    sequence: Option<String>,
    /// What sort of actor caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ActorKind")]
    daybookactor: Option<ActorKind>,
    /// Who among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    daybookactorid: Option<String>,
    /// The number of the job's event before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("pattern" = "^[1-9][0-9]*$"))]
    daybookprevious: Option<String>,
    /// Whether the next event belongs to the same step: they happened together or not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    daybookcontinues: Option<bool>,
    /// Whether it is an event from before the earliest, which is kept for what its job carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    daybookcarried: Option<bool>,
    /// What belongs to the type: the `data` of the published event, and under `kept` what only an import needs.
    #[schemars(with = "serde_json::Map<String, Value>")]
    data: LineData,
    /// The hash of the line without this: half of its BLAKE3, in hexadecimal digits. It is the last of all, and shows whether
    /// anything was changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("pattern" = "^[0-9a-f]{32}$"))]
    daybookhash: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum LineData {
    Begun(Begun),
    BasePart(BasePart),
    Event(Box<EventData>),
    Ended(Ended),
}

#[derive(Debug, Serialize)]
struct EventData {
    #[serde(flatten)]
    published: Data,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<Kept>,
}

/// What the published form of an event leaves out or says otherwise, in the form in which the log keeps it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Kept {
    Submitted { policy: Policy, state: FirstState, relations: Option<Relations> },
    Started { token: TokenHash },
    Retried { state: FirstState, revived: Box<Revived> },
}

/// What the first line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    pub format: u32,
    /// The log's own UUID.
    pub lineage: Uuid,
    /// The first event that follows.
    pub earliest: Seq,
    /// The last one.
    pub last: Seq,
    /// The run of the server that had the log last.
    pub epoch: Option<Epoch>,
    /// What stands for the events before the first that follows; none if it is the first of all, or if only a part of the
    /// log was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseSaid>,
}

/// What the first line says of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseSaid {
    /// How many carried events follow its parts.
    pub carried: u64,
}

/// A part of a base, in the order in which they follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartName {
    State,
    Jobs,
}

impl PartName {
    pub const ALL: [PartName; 2] = [PartName::State, PartName::Jobs];

    /// As the lines have it.
    pub fn as_str(self) -> &'static str {
        match self {
            PartName::State => "state",
            PartName::Jobs => "jobs",
        }
    }
}

/// What a line says that has a piece of a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasePart {
    pub part: PartName,
    /// From 1 on in each part.
    pub number: u64,
    /// The piece in base64.
    pub bytes: String,
    /// On the last piece: the BLAKE3 hash of the whole part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

impl BasePart {
    /// The piece; none if it is no base64.
    pub fn piece(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.bytes).ok()
    }
}

/// Cuts a part of a base into lines.
pub struct PartLines {
    name: PartName,
    input: Box<dyn io::Read + Send>,
    hasher: blake3::Hasher,
    number: u64,
    is_done: bool,
}

impl PartLines {
    /// Of the bytes of a part.
    pub fn new(name: PartName, input: Box<dyn io::Read + Send>) -> PartLines {
        PartLines { name, input, hasher: blake3::Hasher::new(), number: 0, is_done: false }
    }

    /// The next line; none behind the last one. A piece that is not full is the last.
    pub fn next_line(&mut self, lineage: Uuid, at: Timestamp) -> io::Result<Option<String>> {
        if self.is_done {
            return Ok(None);
        }
        let mut piece = Vec::new();
        self.input.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        self.hasher.update(&piece);
        self.number += 1;
        self.is_done = piece.len() < PIECE_BYTES;
        let hash = self.is_done.then(|| self.hasher.finalize().to_hex().to_string());
        let data = BasePart { part: self.name, number: self.number, bytes: STANDARD.encode(&piece), hash };
        Ok(Some(CloudEvent::base_part(data, lineage, at).line()))
    }
}

/// What the last line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub last: Seq,
    /// The fold of all events, if whoever wrote the line has folded them.
    pub fold: Option<String>,
}

/// A line that was read.
#[derive(Debug, PartialEq)]
pub enum Line {
    Begun(Begun),
    BasePart(BasePart),
    /// An event from before the earliest.
    Carried(Box<Record>),
    Event(Box<Record>),
    Ended(Ended),
}

/// Why a line was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error("it is no CloudEvent of a Daybook: {0}")]
    Form(serde_json::Error),
    #[error("it is of CloudEvents {0}, and only 1.0 is known")]
    Version(String),
    #[error("it has the format {format}, which a newer daybook wrote: import it with that one")]
    Newer { format: u32 },
    #[error("no event is of the type {0}: it was written by a newer daybook, or by none")]
    UnknownType(String),
    #[error("what belongs to an event of the type {event_type} cannot be read: {source}")]
    Data { event_type: String, source: serde_json::Error },
    #[error("{name} is not as Daybook writes it")]
    Attribute { name: &'static str },
    #[error("it was changed since it was written: its hash says so")]
    Changed,
}

impl CloudEvent {
    /// The first line.
    pub fn begun(begun: Begun, at: Timestamp) -> CloudEvent {
        CloudEvent::about(begun.lineage, BEGUN, at, LineData::Begun(begun))
    }

    /// The last line.
    pub fn ended(ended: Ended, lineage: Uuid, at: Timestamp) -> CloudEvent {
        CloudEvent::about(lineage, ENDED, at, LineData::Ended(ended))
    }

    /// A piece of what stands for dropped events.
    pub fn base_part(part: BasePart, lineage: Uuid, at: Timestamp) -> CloudEvent {
        let id = format!("{lineage}/base-{}-{}", part.part.as_str(), part.number);
        CloudEvent { id, ..CloudEvent::about(lineage, BASE_PART, at, LineData::BasePart(part)) }
    }

    /// An event from before the earliest.
    pub fn carried(record: Record, lineage: Uuid) -> CloudEvent {
        CloudEvent { daybookcarried: Some(true), ..CloudEvent::of(record, lineage) }
    }

    /// An event.
    pub fn of(record: Record, lineage: Uuid) -> CloudEvent {
        let Record { seq, at, previous, actor, continues, event } = record;
        let (event_type, subject, kept) = (format!("{PREFIX}{}", event.type_name()), event.job(), Kept::of(&event));
        let data = LineData::Event(Box::new(EventData { published: Data::of(event), kept }));
        CloudEvent {
            id: format!("{lineage}/{seq}"),
            event_type: event_type.into(),
            subject,
            sequence: Some(format!("{:020}", seq.0)),
            daybookactor: Some(actor.kind),
            daybookactorid: actor.id.map(|id| id.to_string()),
            daybookprevious: previous.map(|seq| seq.to_string()),
            daybookcontinues: continues.then_some(true),
            ..CloudEvent::about(lineage, "", at, data)
        }
    }

    fn about(lineage: Uuid, event_type: &'static str, time: Timestamp, data: LineData) -> CloudEvent {
        let name = event_type.rsplit('.').next().unwrap_or_default();
        CloudEvent {
            specversion: "1.0",
            id: format!("{lineage}/{name}"),
            source: format!("urn:uuid:{lineage}"),
            event_type: event_type.into(),
            subject: None,
            time,
            datacontenttype: "application/json",
            sequence: None,
            daybookactor: None,
            daybookactorid: None,
            daybookprevious: None,
            daybookcontinues: None,
            daybookcarried: None,
            data,
            daybookhash: None,
        }
    }

    /// The line, with its hash and its end.
    pub fn line(&self) -> String {
        let mut text = serde_json::to_string(self).expect("our own types can be written as JSON");
        let whole = text.pop();
        debug_assert_eq!(whole, Some('}'), "a line is an object");
        let hash = hash_of(&text);
        text.extend([HASH_BEGIN, &hash, HASH_END, "\n"]);
        text
    }
}

/// The hash of a line that was written so far, but for the brace that ends it.
fn hash_of(text: &str) -> String {
    let hash = blake3::Hasher::new().update(text.as_bytes()).update(b"}").finalize();
    hash.to_hex()[..32].to_owned()
}

/// Whether a line is to the last byte what was written.
fn is_as_written(text: &str) -> bool {
    let sealed = text.trim_end_matches('\n').strip_suffix(HASH_END).and_then(|text| text.rsplit_once(HASH_BEGIN));
    sealed.is_some_and(|(text, hash)| hash_of(text) == hash)
}

impl Kept {
    fn of(event: &Event) -> Option<Kept> {
        match event {
            Event::JobSubmitted(data) => {
                let (policy, relations) = (data.policy.clone(), data.relations.clone());
                Some(Kept::Submitted { policy, state: data.state, relations })
            }
            Event::JobStarted(data) => Some(Kept::Started { token: data.token }),
            Event::JobRetried(data) => Some(Kept::Retried { state: data.state, revived: data.revived.clone() }),
            _ => None,
        }
    }
}

/// A line as it is read.
#[derive(Deserialize)]
struct Read<'a> {
    specversion: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    subject: Option<JobId>,
    time: Timestamp,
    sequence: Option<String>,
    daybookactor: Option<ActorKind>,
    daybookactorid: Option<String>,
    daybookprevious: Option<String>,
    daybookcontinues: Option<bool>,
    daybookcarried: Option<bool>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Line {
    /// Reads a line. Gives the log to which it belongs too.
    pub fn read(text: &str) -> Result<(Line, Uuid), LineError> {
        let read: Read<'_> = serde_json::from_str(text).map_err(LineError::Form)?;
        if read.specversion != "1.0" {
            return Err(LineError::Version(read.specversion));
        }
        let lineage = read.source.strip_prefix("urn:uuid:").and_then(|uuid| uuid.parse().ok());
        let lineage = lineage.ok_or(LineError::Attribute { name: "source" })?;
        let line = match read.event_type.as_str() {
            BEGUN => Line::Begun(begun_of(&read)?),
            ENDED => Line::Ended(data_of(&read)?),
            BASE_PART => Line::BasePart(data_of(&read)?),
            _ if read.daybookcarried == Some(true) => Line::Carried(Box::new(record_of(&read)?)),
            _ => Line::Event(Box::new(record_of(&read)?)),
        };
        // Last, because all other errors say more.
        if is_as_written(text) { Ok((line, lineage)) } else { Err(LineError::Changed) }
    }
}

fn data_of<'a, T: Deserialize<'a>>(read: &Read<'a>) -> Result<T, LineError> {
    let failed = |source| LineError::Data { event_type: read.event_type.clone(), source };
    serde_json::from_str(read.data.get()).map_err(failed)
}

fn begun_of(read: &Read<'_>) -> Result<Begun, LineError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    // A later format may have another form.
    let Format { format } = data_of(read)?;
    if format > FORMAT { Err(LineError::Newer { format }) } else { data_of(read) }
}

fn record_of(read: &Read<'_>) -> Result<Record, LineError> {
    let number = |text: &Option<String>, name: &'static str| -> Result<Option<Seq>, LineError> {
        let number = text.as_ref().map(|text| text.parse().map(Seq)).transpose();
        number.map_err(|_| LineError::Attribute { name })
    };
    let seq = number(&read.sequence, "sequence")?.ok_or(LineError::Attribute { name: "sequence" })?;
    let kind = read.daybookactor.ok_or(LineError::Attribute { name: "daybookactor" })?;
    Ok(Record {
        seq,
        at: read.time,
        previous: number(&read.daybookprevious, "daybookprevious")?,
        actor: Actor { kind, id: read.daybookactorid.as_deref().map(Into::into) },
        continues: read.daybookcontinues.unwrap_or(false),
        event: event_of(read)?,
    })
}

/// The event as the log keeps it: what was published, with the job in it, and what is kept beside it in its place.
fn event_of(read: &Read<'_>) -> Result<Event, LineError> {
    let unknown = || LineError::UnknownType(read.event_type.clone());
    let failed = |source| LineError::Data { event_type: read.event_type.clone(), source };
    let name = read.event_type.strip_prefix(PREFIX).ok_or_else(unknown)?;
    let mut members: BTreeMap<Cow<'_, str>, &RawValue> = data_of(read)?;
    if let Some(kept) = members.remove("kept") {
        let kept: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(kept.get()).map_err(failed)?;
        members.extend(kept);
    }
    let job = read.subject.map(|job| serde_json::value::to_raw_value(&job)).transpose().map_err(failed)?;
    members.extend(job.as_deref().map(|job| (Cow::Borrowed("job"), job)));
    let whole = serde_json::to_string(&members).map_err(failed)?;
    Event::from_json(name, &whole).ok_or_else(unknown)?.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::JobProgressed;
    use crate::domain::job::Progress;
    use crate::log::codec::samples;

    fn lineage() -> Uuid {
        Uuid::from_u128(7)
    }

    #[test]
    fn every_sort_of_event_is_read_as_the_log_keeps_it() {
        for record in samples::one_of_each() {
            let line = CloudEvent::of(record.clone(), lineage()).line();
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
            let (read, of) = Line::read(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!((read, of), (Line::Event(Box::new(record)), lineage()), "{line}");
        }
    }

    #[test]
    fn a_number_is_read_to_its_last_bit() {
        let record = samples::one_of_each().remove(4);
        for step in 1..2000_u32 {
            let percent = Some(f64::from(step).sqrt() * 1.7);
            let job = record.event.job().expect("it is about a job");
            let event = JobProgressed { job, progress: Progress { percent, ..Progress::default() } }.into();
            let record = Record { event, ..record.clone() };
            let (read, _) = Line::read(&CloudEvent::of(record.clone(), lineage()).line()).expect("reads");
            assert_eq!(read, Line::Event(Box::new(record)));
        }
    }

    #[test]
    fn the_first_and_the_last_line_are_read_again() {
        let base = Some(BaseSaid { carried: 3 });
        let begun = Begun { format: FORMAT, lineage: lineage(), earliest: Seq(4), last: Seq(9), epoch: None, base };
        let at = Timestamp::from_ms(5);
        assert_eq!(Line::read(&CloudEvent::begun(begun, at).line()).unwrap().0, Line::Begun(begun));
        let ended = Ended { last: Seq(9), fold: Some("f".into()) };
        assert_eq!(Line::read(&CloudEvent::ended(ended.clone(), lineage(), at).line()).unwrap().0, Line::Ended(ended));
        let newer = CloudEvent::begun(Begun { format: FORMAT + 1, ..begun }, at).line();
        assert!(matches!(Line::read(&newer), Err(LineError::Newer { .. })));
    }

    #[test]
    fn a_part_of_a_base_is_cut_into_lines_and_put_together_again() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES + 7] {
            let whole: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut lines = PartLines::new(PartName::Jobs, Box::new(io::Cursor::new(whole.clone())));
            let (mut read, mut hash) = (Vec::new(), None);
            for number in 1.. {
                let Some(line) = lines.next_line(lineage(), Timestamp::from_ms(5)).unwrap() else { break };
                let (Line::BasePart(part), _) = Line::read(&line).unwrap() else { panic!("{line}") };
                assert_eq!((part.part, part.number, &hash), (PartName::Jobs, number, &None));
                read.extend(part.piece().expect("base64"));
                hash = part.hash;
            }
            assert!(read == whole, "{length}");
            assert_eq!(hash, Some(blake3::hash(&whole).to_hex().to_string()));
        }
        let record = samples::one_of_each().remove(2);
        let line = CloudEvent::carried(record.clone(), lineage()).line();
        assert_eq!(Line::read(&line).unwrap().0, Line::Carried(Box::new(record)));
    }

    #[test]
    fn what_is_no_line_of_ours_is_refused_with_the_reason() {
        let line = CloudEvent::of(samples::one_of_each().remove(2), lineage()).line();
        for (from, to, reason) in [
            ("\"1.0\"", "\"2.0\"", "CloudEvents 2.0"),
            ("daybook.job.", "daybook.work.", "written by a newer daybook"),
            ("daybook.job.", "com.example.", "written by a newer daybook"),
            ("urn:uuid:", "urn:", "source"),
            ("\"sequence\"", "\"sequenze\"", "sequence"),
            ("\"daybookactor\"", "\"actor\"", "daybookactor"),
            ("\"data\":{", "\"data\":{\"job\":1,\"cause\":7,\"x\":{", "no CloudEvent"),
            ("2026", "2025", "changed"),
            ("daybookhash", "hash", "changed"),
            ("{", "{ ", "changed"),
        ] {
            let other = line.replacen(from, to, 1);
            assert_ne!(other, line, "{from}");
            let error = Line::read(&other).expect_err(&other).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
