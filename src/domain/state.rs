//! What decisions need to know: active jobs, stubs of finished ones, queues, workers, epochs, and the indexes over them.
//!
//! The indexes follow from the jobs alone; [`State::put`] keeps them true by comparing the job before and after. The
//! only writer is `evolve`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::event::WorkerJoined;
use crate::domain::id::{Epoch, FinishOrdinal, JobId, KindName, Ordinal, QueueName, Seq, SessionId, Tag, TokenHash};
use crate::domain::job::{Job, Reason, Relations, RunEnd, StateName};
use crate::domain::queue::Pause;
use crate::domain::time::Timestamp;

/// One run of the server, as the log tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochSpan {
    pub epoch: Epoch,
    /// The seq of its `epoch.started`.
    pub first: Seq,
    /// Its last durable seq; none for the present one.
    pub last: Option<Seq>,
    pub started_at: Timestamp,
}

/// What is kept in memory of a finished job: enough to find it, to refuse, and to repeat an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stub {
    pub id: JobId,
    pub seq: Seq,
    pub state: StateName,
    pub reason: Option<Reason>,
    pub kind: KindName,
    pub queue: QueueName,
    pub tags: Option<Arc<Vec<Tag>>>,
    pub relations: Option<Arc<Relations>>,
    pub finished_at: Timestamp,
    pub finish_ordinal: FinishOrdinal,
    /// The token of the last run and what ended it: proves a repeated call.
    pub last_run: Option<(TokenHash, RunEnd)>,
    /// Whether a batch has failed or skipped items, which a retry could do again.
    pub items_to_redo: bool,
}

/// What the state knows of a job.
#[derive(Debug, Clone)]
pub enum Slot {
    Active(Arc<Job>),
    Finished(Arc<Stub>),
}

/// The whole state.
pub struct State {}
