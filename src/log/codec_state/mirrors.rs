//! What older versions of the state's codec wrote, and how it becomes what is written now. Frozen: a change is a new
//! mirror and a total function from the old one.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::domain::id::{FinishOrdinal, JobId, KindName, Ordinal, QueueName, Seq, SessionId, Tag, TokenHash};
use crate::domain::job::{Reason, Relations, RunEnd, StateName};
use crate::domain::queue::{Pause, Queue};
use crate::domain::state::{After, EpochSpan, Globals, Stub, Worker};
use crate::domain::time::Timestamp;
use crate::log::codec_state::{SnapshotError, VERSION};

/// The parts that are not jobs, in version 1: a queue was paused or not.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct GlobalsV1 {
    pub(super) seq: Seq,
    pub(super) at: Timestamp,
    pub(super) epochs: Vec<EpochSpan>,
    pub(super) last_ordinal: Ordinal,
    pub(super) last_finish: FinishOrdinal,
    pub(super) queues: BTreeMap<QueueName, Option<Pause>>,
    pub(super) workers: BTreeMap<SessionId, Worker>,
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
pub(super) struct StubV2 {
    pub(super) id: JobId,
    pub(super) seq: Seq,
    pub(super) after: Option<(Seq, u8)>,
    pub(super) state: StateName,
    pub(super) reason: Option<Reason>,
    pub(super) kind: KindName,
    pub(super) queue: QueueName,
    pub(super) tags: Option<Arc<Vec<Tag>>>,
    pub(super) relations: Option<Arc<Relations>>,
    pub(super) finished_at: Timestamp,
    pub(super) finish_ordinal: FinishOrdinal,
    pub(super) last_run: Option<(TokenHash, RunEnd)>,
    pub(super) items_to_redo: bool,
}

/// A stub since version 3. Frozen.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct StubV3 {
    before: StubV2,
    purged: Option<Timestamp>,
}

impl From<StubV2> for StubV3 {
    fn from(before: StubV2) -> StubV3 {
        StubV3 { before, purged: None }
    }
}

impl StubV3 {
    pub(super) fn of(stub: &Stub) -> StubV3 {
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

pub(super) fn decode_globals(version: u16, body: &[u8]) -> Result<Globals, SnapshotError> {
    match version {
        1 => decode::<GlobalsV1>(body).map(Globals::from),
        2..=VERSION => decode(body),
        newer => Err(SnapshotError::Form(format!("the unknown version {newer}"))),
    }
}

pub(super) fn encode<T: serde::Serialize>(value: &T) -> io::Result<Vec<u8>> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).map_err(io::Error::other)
}

pub(super) fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, SnapshotError> {
    let (value, consumed) = bincode::serde::decode_from_slice(bytes, bincode::config::standard())
        .map_err(|error| SnapshotError::Form(error.to_string()))?;
    if consumed == bytes.len() { Ok(value) } else { Err(SnapshotError::Form("bytes are left over".to_owned())) }
}
