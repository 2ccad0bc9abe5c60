//! What happened: the persisted contract. One struct an event, in the past tense, with every value that policy, time
//! or chance produced (D1).
//!
//! A struct that was shipped is frozen (version 1 of its type): a change is a new struct and a total function from the
//! old one, in `log::codec`. Golden files guard the bytes. The order of fields is the byte order; no field may be
//! skipped or flattened.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::batch::{ItemReport, ItemState, NewItem};
use crate::domain::id::{Epoch, JobId, KindName, QueueName, Seq, SessionId, Tag, TokenHash};
use crate::domain::job::{FileInfo, JobError, Progress, Reason, Relations, RunEnd, WorkerPlace};
use crate::domain::json::Json;
use crate::domain::limits::{PRIORITY_MAX, TAG_BYTES_MAX, TAGS_MAX};
use crate::domain::retry::Policy;
use crate::domain::time::Timestamp;

/// One event in the log, with its number, its moment and who caused it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub seq: Seq,
    /// Never before the `at` of the record before (L2).
    pub at: Timestamp,
    /// The job's event before this one: the trail of a job leads backwards through the log. None for its first.
    pub previous: Option<Seq>,
    pub actor: Actor,
    /// Whether the next record belongs to the same command: a group stands or falls together (L2).
    pub continues: bool,
    pub event: Event,
}

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Actor {
    /// What sort of actor it is.
    #[serde(rename = "type")]
    pub kind: ActorKind,
    /// Who among them: a worker's session; `null` for a client without a name, and for the server.
    pub id: Option<Arc<str>>,
}

/// The sorts of actors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// Somebody over HTTP or the command line.
    Client,
    /// A worker; `id` is its session.
    Worker,
    /// The server itself: time passed, or it started or stopped.
    Server,
}

impl Actor {
    /// The server itself.
    pub const SERVER: Actor = Actor { kind: ActorKind::Server, id: None };
    /// A client without a name.
    pub const CLIENT: Actor = Actor { kind: ActorKind::Client, id: None };

    /// The worker behind a session.
    pub fn worker(session: SessionId) -> Actor {
        Actor { kind: ActorKind::Worker, id: Some(session.to_string().into()) }
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $type_name:literal,)*) => {
        /// Everything that can happen.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            $($(#[$doc])* $name($name),)*
        }

        impl Event {
            /// The name of the event's type, as users see it.
            pub fn type_name(&self) -> &'static str {
                match self {
                    $(Event::$name(_) => $type_name,)*
                }
            }

            /// The names of all types.
            pub const TYPE_NAMES: &'static [&'static str] = &[$($type_name,)*];
        }

        /// The event's data alone, without its type: its JSON form is the `data` of the published event.
        impl Serialize for Event {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Event::$name(data) => data.serialize(serializer),)*
                }
            }
        }

        $(impl From<$name> for Event {
            fn from(data: $name) -> Event {
                Event::$name(data)
            }
        })*
    };
}

events! {
    /// The server started.
    EpochStarted = "epoch.started",
    /// A job was accepted.
    JobSubmitted = "job.submitted",
    /// A job waits for a worker again, or at last.
    JobQueued = "job.queued",
    /// A worker got a job's lease.
    JobStarted = "job.started",
    /// A job's progress, recorded now and then.
    JobProgressed = "job.progressed",
    /// A batch got more items.
    JobItemsAdded = "job.items_added",
    /// Items of a batch ended.
    JobItemsReported = "job.items_reported",
    /// A worker left a note for the next attempt.
    JobCheckpointed = "job.checkpointed",
    /// A job left a file.
    JobFileStored = "job.file_stored",
    /// An attempt failed and another will follow.
    JobAttemptFailed = "job.attempt_failed",
    /// A run ended because its worker or the server went away.
    JobAttemptLost = "job.attempt_lost",
    /// Somebody asked a running job to stop.
    JobCancelRequested = "job.cancel_requested",
    /// A job ended well.
    JobCompleted = "job.completed",
    /// A job ended badly.
    JobFailed = "job.failed",
    /// A job was stopped.
    JobCancelled = "job.cancelled",
    /// A finished job was queued again by hand.
    JobRetried = "job.retried",
    /// Somebody changed a waiting job.
    JobAmended = "job.amended",
    /// A call came with a token that no longer holds; it changed nothing.
    JobLateResult = "job.late_result",
    /// A queue hands out no more jobs.
    QueuePaused = "queue.paused",
    /// A queue hands out jobs again.
    QueueResumed = "queue.resumed",
    /// A worker's session began.
    WorkerJoined = "worker.joined",
    /// A worker's session ended.
    WorkerLeft = "worker.left",
    /// All that a job waited for is completed; now it waits for its time.
    JobScheduled = "job.scheduled",
    /// A worker came back with the token of a running job: another session holds its lease.
    JobAdopted = "job.adopted",
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EpochStarted {
    /// The run of the server that begins here.
    pub epoch: Epoch,
    /// The run before; `null` when this is the first that the log knows.
    pub previous_epoch: Option<Epoch>,
    /// Whether the log before was dropped.
    pub reset: bool,
    /// Whether the server before ended in order.
    pub clean_shutdown: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSubmitted {
    /// The job that the event is about.
    pub job: JobId,
    pub kind: KindName,
    pub queue: QueueName,
    pub priority: i8,
    pub args: Json,
    pub tags: Vec<Tag>,
    pub policy: Policy,
    pub state: FirstState,
    pub relations: Option<Relations>,
    pub items: Vec<NewItem>,
}

/// The state in which a job begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstState {
    Queued,
    Scheduled { scheduled_at: Timestamp },
    Blocked { scheduled_at: Option<Timestamp> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobQueued {
    /// The job that the event is about.
    pub job: JobId,
    /// Why it waits now.
    pub cause: QueuedCause,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobScheduled {
    /// The job that the event is about.
    pub job: JobId,
    /// When it will be queued.
    pub scheduled_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobAdopted {
    /// The job that the event is about.
    pub job: JobId,
    /// The session that holds the lease from now on; token, attempt and timeout stay as they were.
    pub session: SessionId,
    /// The name of its worker.
    pub worker: Arc<str>,
}

/// Why a job became `queued`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueuedCause {
    /// Its scheduled time has come.
    Due,
    /// The wait before the next attempt is over.
    RetryDue,
    /// All jobs that it waited for are completed.
    DependenciesCompleted,
    /// Its worker gave it back.
    Released,
    /// Its worker closed in order.
    WorkerLeft,
    /// The server stopped in order.
    Shutdown,
    /// Somebody moved its time to now.
    Amended,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobStarted {
    /// The job that the event is about.
    pub job: JobId,
    pub attempt: u32,
    pub session: SessionId,
    pub worker: Arc<str>,
    pub token: TokenHash,
    pub place: WorkerPlace,
    pub timeout_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobProgressed {
    /// The job that the event is about.
    pub job: JobId,
    /// All that is known of it; what the worker left out stayed as it was.
    pub progress: Progress,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobItemsAdded {
    /// The job that the event is about.
    pub job: JobId,
    /// The new ones; keys that were known already are not among them.
    pub items: Vec<NewItem>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobItemsReported {
    /// The job that the event is about.
    pub job: JobId,
    /// What became of each; the last report of a key wins.
    pub reports: Vec<ItemReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobCheckpointed {
    /// The job that the event is about.
    pub job: JobId,
    /// What the next attempt is handed as `checkpoint`: any JSON.
    pub data: Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobFileStored {
    /// The job that the event is about.
    pub job: JobId,
    /// The file; one of the same name was replaced.
    pub file: FileInfo,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobAttemptFailed {
    /// The job that the event is about.
    pub job: JobId,
    /// What went wrong, and in which attempt.
    pub error: JobError,
    /// When the next attempt may start.
    pub retry_at: Timestamp,
    /// Whether the running time was up, rather than the worker reporting a failure.
    pub timed_out: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobAttemptLost {
    /// The job that the event is about.
    pub job: JobId,
    /// The number of the run that was lost; the rerun has the same.
    pub attempt: u32,
    /// How it was lost.
    pub cause: LossCause,
    /// Whether it counts towards `max_lost`.
    pub counted: bool,
}

/// How a run was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossCause {
    /// The connection broke and was not resumed in time.
    ConnectionLost,
    /// Nothing was heard for the length of the lease.
    LeaseExpired,
    /// The child process died.
    ProcessDied,
    /// The server was killed and started again.
    ServerRestarted,
    /// The child process could not be started.
    SpawnFailed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobCancelRequested {
    /// The job that the event is about.
    pub job: JobId,
    /// The reason that the job will have if it lets itself be stopped.
    pub reason: Reason,
    /// When the lease ends if the worker has not let go.
    pub deadline: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobCompleted {
    /// The job that the event is about.
    pub job: JobId,
    /// What it gave: any JSON.
    pub result: Option<Json>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobFailed {
    /// The job that the event is about.
    pub job: JobId,
    /// Why it ended so.
    pub reason: Reason,
    /// What the last attempt met; `null` when the job was lost rather than failed.
    pub error: Option<JobError>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobCancelled {
    /// The job that the event is about.
    pub job: JobId,
    /// Why it ended so.
    pub reason: Reason,
    /// What the worker said when it stopped, if it said something.
    pub error: Option<JobError>,
    /// What ended the run, so that the same call may be repeated; `null` when nothing ran.
    pub run_ended: Option<RunEnd>,
}

/// The event carries the whole job, because the state keeps only a stub of a finished one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRetried {
    /// The job that the event is about.
    pub job: JobId,
    pub only_failed_items: bool,
    /// Where it goes: `queued`, or `blocked` when it waits for revived dependencies.
    pub state: FirstState,
    pub revived: Box<Revived>,
}

/// What a retried job keeps of its former life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revived {
    pub submitted: Seq,
    pub kind: KindName,
    pub queue: QueueName,
    pub priority: i8,
    pub tags: Vec<Tag>,
    pub policy: Policy,
    pub relations: Option<Relations>,
    pub created_at: Timestamp,
    pub items: Option<Vec<RevivedItem>>,
    pub checkpoint: Option<Seq>,
    pub files: Vec<FileInfo>,
}

/// An item of a retried batch, in the state that it now has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevivedItem {
    pub key: Arc<str>,
    pub state: ItemState,
    pub added: Seq,
    pub reported: Option<Seq>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobAmended {
    /// The job that the event is about.
    pub job: JobId,
    /// Its priority from now on; `null`: as it was.
    #[schemars(range(min = -PRIORITY_MAX, max = PRIORITY_MAX))]
    pub priority: Option<i8>,
    /// Its queue from now on; `null`: as it was.
    pub queue: Option<QueueName>,
    /// Its time from now on; `null`: as it was.
    pub scheduled_at: Option<Timestamp>,
    /// Its tags from now on; `null`: as they were.
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_BYTES_MAX)))]
    pub tags: Option<Vec<Tag>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobLateResult {
    /// The job that the event is about.
    pub job: JobId,
    /// The call that came too late.
    pub call: LateCall,
}

/// The calls of which a late one is kept as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LateCall {
    /// The job is done.
    Complete,
    /// The attempt failed.
    Fail,
    /// The job is given back.
    Release,
    /// How far it has come.
    Progress,
    /// Log lines.
    Log,
    /// Items that were added, or that ended.
    Items,
    /// A note for the next attempt.
    Checkpoint,
    /// An output file.
    File,
    Submit,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QueuePaused {
    /// The queue that hands out nothing.
    pub queue: QueueName,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QueueResumed {
    /// The queue that hands out jobs again.
    pub queue: QueueName,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkerJoined {
    /// The session that begins.
    pub session: SessionId,
    /// A label for people; it need not be unique.
    pub name: Arc<str>,
    /// What it runs; empty: every kind.
    pub kinds: Vec<KindName>,
    /// From where; `null`: every queue.
    pub queues: Option<Vec<QueueName>>,
    /// Where it lives.
    pub place: WorkerPlace,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkerLeft {
    /// The session that has ended.
    pub session: SessionId,
    /// Why it ended.
    pub cause: WorkerLeftCause,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerLeftCause {
    /// It closed in order.
    Closed,
    /// Its connection broke and was not resumed in time.
    ConnectionLost,
    /// Nothing was heard for the length of a lease.
    LeaseExpired,
    /// Its process ended.
    ProcessDied,
    /// The server stopped in order.
    Shutdown,
    /// The server was killed and started again.
    ServerRestarted,
}

impl Event {
    /// The job that the event is about. An event changes no other job (D3).
    pub fn job(&self) -> Option<JobId> {
        match self {
            Event::JobSubmitted(data) => Some(data.job),
            Event::JobQueued(data) => Some(data.job),
            Event::JobScheduled(data) => Some(data.job),
            Event::JobStarted(data) => Some(data.job),
            Event::JobProgressed(data) => Some(data.job),
            Event::JobItemsAdded(data) => Some(data.job),
            Event::JobItemsReported(data) => Some(data.job),
            Event::JobCheckpointed(data) => Some(data.job),
            Event::JobFileStored(data) => Some(data.job),
            Event::JobAttemptFailed(data) => Some(data.job),
            Event::JobAttemptLost(data) => Some(data.job),
            Event::JobCancelRequested(data) => Some(data.job),
            Event::JobCompleted(data) => Some(data.job),
            Event::JobFailed(data) => Some(data.job),
            Event::JobCancelled(data) => Some(data.job),
            Event::JobRetried(data) => Some(data.job),
            Event::JobAmended(data) => Some(data.job),
            Event::JobLateResult(data) => Some(data.job),
            Event::JobAdopted(data) => Some(data.job),
            Event::EpochStarted(_) | Event::QueuePaused(_) | Event::QueueResumed(_) => None,
            Event::WorkerJoined(_) | Event::WorkerLeft(_) => None,
        }
    }
}

impl Event {
    /// The actor that the event itself names: a job is started or adopted by the worker that takes it, whoever asked.
    pub fn own_actor(&self) -> Option<Actor> {
        match self {
            Event::JobStarted(data) => Some(Actor::worker(data.session)),
            Event::JobAdopted(data) => Some(Actor::worker(data.session)),
            _ => None,
        }
    }

    /// About how many bytes the event takes in the log: enough to bound a batch.
    pub fn weight(&self) -> usize {
        const BASE: usize = 200;
        let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.as_str().len());
        let items = |items: &[NewItem]| items.iter().map(|item| 32 + item.key.len() + json(&item.args)).sum::<usize>();
        BASE + match self {
            Event::JobSubmitted(data) => data.args.as_str().len() + items(&data.items),
            Event::JobItemsAdded(data) => items(&data.items),
            Event::JobItemsReported(data) => {
                data.reports.iter().map(|report| 32 + report.key.len() + json(&report.result)).sum()
            }
            Event::JobCheckpointed(data) => data.data.as_str().len(),
            Event::JobCompleted(data) => json(&data.result),
            Event::JobRetried(data) => data.revived.items.as_ref().map_or(0, |items| items.len() * 64),
            _ => 0,
        }
    }
}
