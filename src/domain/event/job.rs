//! What happens to jobs. The structs are frozen, as [`crate::domain::event`] says.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::batch::{ItemReport, ItemState, NewItem};
use crate::domain::id::{JobId, KindName, QueueName, Seq, SessionId, Tag, TokenHash};
use crate::domain::job::{FileInfo, JobError, Progress, Reason, Relations, RunEnd, WorkerPlace};
use crate::domain::json::Json;
use crate::domain::limits::{PRIORITY_MAX, TAG_BYTES_MAX, TAGS_MAX};
use crate::domain::retry::Policy;
use crate::domain::time::Timestamp;

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
