//! A job, and the states it can be in. A state carries what exists only in it.
//!
//! Args, results, checkpoints and item payloads are not here: they stay in the log, and a job knows the seq of the
//! event that holds each. So memory grows with the number of jobs and not with what they carry.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::batch::Items;
use crate::domain::id::{FinishOrdinal, JobId, KindName, QueueName, Seq, SessionId, Tag, TokenHash};
use crate::domain::json::Json;
use crate::domain::limits::{
    ERROR_CODE_BYTES_MAX, ERROR_MESSAGE_BYTES_MAX, FILE_NAME_BYTES_MAX, MESSAGE_BYTES_MAX, STAGE_BYTES_MAX,
};
use crate::domain::retry::Policy;
use crate::domain::time::Timestamp;

/// Everything that decisions need of a job that is not yet forgotten.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub id: JobId,
    /// The seq of the job's last event.
    pub seq: Seq,
    /// The seq of its `job.submitted`, where its args are.
    pub submitted: Seq,
    pub kind: KindName,
    pub queue: QueueName,
    pub tags: Option<Arc<Vec<Tag>>>,
    pub policy: Arc<Policy>,
    pub relations: Option<Arc<Relations>>,
    pub state: JobState,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When it last became `queued`.
    pub queued_at: Option<Timestamp>,
    /// The number of the present or last run, 0 before the first.
    pub attempt: u32,
    /// Attempts that failed since the submission or the last retry by hand.
    pub failures: u32,
    /// Counted losses since then.
    pub lost_count: u32,
    pub priority: i8,
    /// What most jobs do not have while they wait.
    pub extras: Option<Arc<Extras>>,
}

/// How a job stands to other jobs, and the keys by which it is found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Relations {
    pub parent: Option<JobId>,
    /// The top of its tree; none if it is its own root.
    pub root: Option<JobId>,
    pub depends_on: Vec<JobId>,
    pub unique_key: Option<UniqueKey>,
    pub idempotency: Option<Idempotency>,
}

/// A key that no second job may have at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueKey {
    pub key: Arc<str>,
    pub scope: UniqueScope,
}

/// Among which jobs a unique key is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UniqueScope {
    /// Among the active jobs of the same kind.
    Kind,
    /// Among the children of its parent, for good.
    Parent,
}

/// The `Idempotency-Key` of a submission, kept with its first job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    pub key: Arc<str>,
    /// A hash of the request's JSON, to tell a repetition from another request.
    pub request_hash: [u8; 16],
    /// How many jobs the request made; their ordinals follow each other.
    pub jobs: u32,
}

/// What most jobs have only once they run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extras {
    pub last_run: Option<EndedRun>,
    /// The latest progress on record; the live one may be newer.
    pub progress: Option<Arc<Progress>>,
    pub progress_at: Option<Timestamp>,
    pub items: Option<Items>,
    pub error: Option<Arc<JobError>>,
    /// The `job.checkpointed` event with the latest checkpoint.
    pub checkpoint: Option<Seq>,
    /// The `job.completed` event with the result.
    pub result: Option<Seq>,
    pub files: Vec<FileInfo>,
    /// How many late results were noted.
    pub late: u8,
}

/// Where a job is in its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum JobState {
    /// Its time has not come. Next: `queued`, `cancelled`.
    Scheduled { scheduled_at: Timestamp },
    /// Waits for a worker. Next: `running`, `cancelled`, and `scheduled` when somebody moves its time.
    Queued,
    /// Waits for other jobs. Next: `queued`, `scheduled`, `cancelled`.
    Blocked { scheduled_at: Option<Timestamp> },
    /// A worker holds its lease. Next: any but `scheduled` and `blocked`.
    Running(Arc<Run>),
    /// An attempt failed. Next: `queued`, `cancelled`.
    Retryable { scheduled_at: Timestamp },
    /// Ended well.
    Completed(Ending),
    /// Ended badly.
    Failed(Ending),
    /// Was stopped.
    Cancelled(Ending),
}

/// The names of the states, as users see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// Its time has not come.
    Scheduled,
    /// It waits for a worker.
    Queued,
    /// It waits for other jobs.
    Blocked,
    /// A worker runs it.
    Running,
    /// An attempt failed; the next has a time.
    Retryable,
    /// It ended well.
    Completed,
    /// It ended badly.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl StateName {
    /// All of them, in the order in which a job may meet them.
    pub const ALL: [StateName; 8] = [
        StateName::Scheduled,
        StateName::Queued,
        StateName::Blocked,
        StateName::Running,
        StateName::Retryable,
        StateName::Completed,
        StateName::Failed,
        StateName::Cancelled,
    ];

    /// The name as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            StateName::Scheduled => "scheduled",
            StateName::Queued => "queued",
            StateName::Blocked => "blocked",
            StateName::Running => "running",
            StateName::Retryable => "retryable",
            StateName::Completed => "completed",
            StateName::Failed => "failed",
            StateName::Cancelled => "cancelled",
        }
    }

    /// Whether a job ends in this state.
    pub fn is_terminal(self) -> bool {
        matches!(self, StateName::Completed | StateName::Failed | StateName::Cancelled)
    }
}

/// One run of a job by a worker: the lease, and what was decided when it was granted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub lease: Lease,
    pub started_at: Timestamp,
    pub timeout_at: Option<Timestamp>,
    pub cancel: Option<CancelRequest>,
}

/// The right to run one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub session: SessionId,
    /// The worker's name: a label only.
    pub worker: Arc<str>,
    pub token: TokenHash,
    /// Where the worker is, which decides what a restart of the server means for it.
    pub place: WorkerPlace,
}

/// Where a worker lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerPlace {
    /// A child process of the server: it dies with it.
    Subprocess,
    /// Anywhere, over WebSocket or HTTP: it may come back.
    Remote,
}

/// Somebody wants a running job to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelRequest {
    pub at: Timestamp,
    /// The reason that the job will have if it lets itself be stopped.
    pub reason: Reason,
    /// When the lease is ended if the worker has not let go.
    pub deadline: Timestamp,
}

/// How the last run ended, and whose token proves a repeated call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndedRun {
    pub session: SessionId,
    pub worker: Arc<str>,
    pub token: TokenHash,
    pub started_at: Timestamp,
    pub cancel_requested_at: Option<Timestamp>,
    pub by: RunEnd,
}

/// What ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// Its worker completed it.
    Completed,
    /// Its worker said that it failed.
    Failed,
    /// Its worker gave it back.
    Released,
    /// Its worker or the server went away.
    Lost,
    /// Its time was up.
    TimedOut,
    /// It was ended because somebody had asked it to stop.
    Cancelled,
}

/// The end of a job: when, why, and in which place of the order of endings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    pub finished_at: Timestamp,
    pub reason: Option<Reason>,
    pub finish_ordinal: FinishOrdinal,
}

/// Why a job ended as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its last attempt failed.
    AttemptsExhausted,
    /// Its worker said that another attempt would not help.
    NotRetryable,
    /// It was lost more often than `max_lost`.
    Lost,
    /// The time of its last attempt was up.
    Timeout,
    /// Somebody cancelled it.
    CancelledByRequest,
    /// Its parent was cancelled together with its children.
    ParentCancelled,
    /// A job that it waited for did not complete.
    DependencyFailed,
    /// Its schedule had the next one take its place.
    Replaced,
}

/// How far a job has come, as its worker says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Progress {
    /// How much is done, 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    #[serde(deserialize_with = "crate::domain::json::exact_number")]
    pub percent: Option<f64>,
    /// What is being done, in a word.
    #[schemars(length(max = STAGE_BYTES_MAX))]
    pub stage: Option<Arc<str>>,
    /// What is being done, for people.
    #[schemars(length(max = MESSAGE_BYTES_MAX))]
    pub message: Option<Arc<str>>,
    /// Units that are done.
    pub done: Option<u64>,
    /// Units that there are.
    pub total: Option<u64>,
    /// The media type of the latest preview picture, which is kept in memory only.
    pub preview: Option<Arc<str>>,
}

/// What went wrong in an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobError {
    /// For programs: the worker's own word, or `exit_status`, `timeout` and the like of the server.
    #[schemars(length(max = ERROR_CODE_BYTES_MAX))]
    pub code: Arc<str>,
    /// For people.
    #[schemars(length(max = ERROR_MESSAGE_BYTES_MAX))]
    pub message: Arc<str>,
    /// Whatever else the worker said of it: any JSON.
    pub details: Option<Json>,
    /// Whether another attempt may help.
    pub retryable: bool,
    /// The attempt that met it.
    pub attempt: u32,
}

/// A file that a job left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FileInfo {
    /// Its name; it is the last part of its path under `/api/jobs/{id}/files`.
    #[schemars(length(min = 1, max = FILE_NAME_BYTES_MAX))]
    pub name: Arc<str>,
    /// Its media type.
    #[serde(rename = "type")]
    pub media_type: Arc<str>,
    /// Its size in bytes.
    pub size: u64,
}

impl Job {
    /// The events that hold what the job carries: args, result, checkpoint, and its items' args, results and errors.
    /// Some come several times.
    pub fn payload_seqs(&self) -> impl Iterator<Item = Seq> {
        let extras = self.extras.iter().flat_map(|extras| [extras.result, extras.checkpoint]);
        let items = self.items().into_iter().flat_map(|items| items.list());
        let of_items = items.flat_map(|item| [Some(item.added), item.reported]);
        std::iter::once(self.submitted).chain(extras.chain(of_items).flatten())
    }

    /// The name of the state that the job is in.
    pub fn state_name(&self) -> StateName {
        match self.state {
            JobState::Scheduled { .. } => StateName::Scheduled,
            JobState::Queued => StateName::Queued,
            JobState::Blocked { .. } => StateName::Blocked,
            JobState::Running(_) => StateName::Running,
            JobState::Retryable { .. } => StateName::Retryable,
            JobState::Completed(_) => StateName::Completed,
            JobState::Failed(_) => StateName::Failed,
            JobState::Cancelled(_) => StateName::Cancelled,
        }
    }

    /// Whether nothing but a retry by hand moves it any more.
    pub fn is_terminal(&self) -> bool {
        self.ending().is_some()
    }

    /// The run that goes on now.
    pub fn run(&self) -> Option<&Arc<Run>> {
        match &self.state {
            JobState::Running(run) => Some(run),
            _ => None,
        }
    }

    /// Its end, if it has ended.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.state {
            JobState::Completed(ending) | JobState::Failed(ending) | JobState::Cancelled(ending) => Some(ending),
            _ => None,
        }
    }

    /// When it will be queued, if that is known.
    pub fn scheduled_at(&self) -> Option<Timestamp> {
        match self.state {
            JobState::Scheduled { scheduled_at } | JobState::Retryable { scheduled_at } => Some(scheduled_at),
            JobState::Blocked { scheduled_at } => scheduled_at,
            _ => None,
        }
    }

    /// When the present or last run began; none from the moment that the job is queued for the next.
    pub fn started_at(&self) -> Option<Timestamp> {
        match &self.state {
            JobState::Running(run) => Some(run.started_at),
            JobState::Queued | JobState::Scheduled { .. } | JobState::Blocked { .. } => None,
            JobState::Retryable { .. } | JobState::Completed(_) | JobState::Failed(_) | JobState::Cancelled(_) => {
                self.last_run().map(|run| run.started_at)
            }
        }
    }

    /// When somebody asked the present or last run to stop.
    pub fn cancel_requested_at(&self) -> Option<Timestamp> {
        match &self.state {
            JobState::Running(run) => run.cancel.as_ref().map(|request| request.at),
            _ => self.last_run().and_then(|run| run.cancel_requested_at),
        }
    }

    /// The run before the present one, or the last.
    pub fn last_run(&self) -> Option<&EndedRun> {
        self.extras.as_ref().and_then(|extras| extras.last_run.as_ref())
    }

    /// The items of a batch.
    pub fn items(&self) -> Option<&Items> {
        self.extras.as_ref().and_then(|extras| extras.items.as_ref())
    }

    /// Its labels.
    pub fn tags(&self) -> &[Tag] {
        self.tags.as_ref().map_or(&[], |tags| tags.as_slice())
    }

    /// Its parent, if it is a child.
    pub fn parent(&self) -> Option<JobId> {
        self.relations.as_ref().and_then(|relations| relations.parent)
    }

    /// The top of its tree: itself, if it has no parent.
    pub fn root(&self) -> JobId {
        self.relations.as_ref().and_then(|relations| relations.root).unwrap_or(self.id)
    }

    /// The jobs it waits for, or waited for.
    pub fn depends_on(&self) -> &[JobId] {
        self.relations.as_ref().map_or(&[], |relations| relations.depends_on.as_slice())
    }

    /// The key that no second job may have.
    pub fn unique_key(&self) -> Option<&UniqueKey> {
        self.relations.as_ref().and_then(|relations| relations.unique_key.as_ref())
    }

    /// The extras, to write into.
    pub fn extras_mut(&mut self) -> &mut Extras {
        Arc::make_mut(self.extras.get_or_insert_default())
    }
}
