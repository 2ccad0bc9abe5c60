//! What users see of jobs, queues and workers. The view is the response: these types are its published shape, with the
//! fields in the order of the contract. A field that does not apply is `null`, never absent. No rule about jobs lives
//! here.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::batch::{ItemCounts, ItemState};
use crate::domain::event::Actor;
use crate::domain::id::{JobId, KindName, QueueName, Seq, SessionId, Tag};
use crate::domain::job::{FileInfo, Job, JobError, JobState, Progress, Reason, StateName, WorkerPlace};
use crate::domain::json::Json;
use crate::domain::time::Timestamp;

/// Writes the two forms of a job, the row and the whole, from one list of fields, so that they cannot drift apart.
macro_rules! job_shapes {
    (
        before_args { $($(#[$doc_a:meta])* $field_a:ident: $type_a:ty,)* }
        before_result { $($(#[$doc_b:meta])* $field_b:ident: $type_b:ty,)* }
        after_result { $($(#[$doc_c:meta])* $field_c:ident: $type_c:ty,)* }
    ) => {
        /// A job without its args and result, as lists show it.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub struct JobRow {
            $($(#[$doc_a])* pub $field_a: $type_a,)*
            $($(#[$doc_b])* pub $field_b: $type_b,)*
            $($(#[$doc_c])* pub $field_c: $type_c,)*
        }

        /// The whole job.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub struct JobBody {
            $($(#[$doc_a])* pub $field_a: $type_a,)*
            /// What the job was submitted with, defaults filled in; `null` once it was purged.
            pub args: Option<Json>,
            $($(#[$doc_b])* pub $field_b: $type_b,)*
            /// What the job gave when it completed.
            pub result: Option<Json>,
            $($(#[$doc_c])* pub $field_c: $type_c,)*
        }

        impl JobRow {
            /// Adds what is not in a row and so makes the whole job.
            pub fn with_payload(self, args: Option<Json>, result: Option<Json>) -> JobBody {
                JobBody {
                    $($field_a: self.$field_a,)*
                    args,
                    $($field_b: self.$field_b,)*
                    result,
                    $($field_c: self.$field_c,)*
                }
            }
        }
    };
}

job_shapes! {
    before_args {
        id: JobId,
        kind: KindName,
        queue: QueueName,
        state: StateName,
        /// Why the job ended as it did.
        reason: Option<Reason>,
        /// −100 to 100; higher is sooner.
        priority: i8,
    }
    before_result {
        tags: Vec<Tag>,
        /// The number of the present or last run, 0 before the first.
        attempt: u32,
        max_attempts: u32,
        lost_count: u32,
        max_lost: u32,
        /// The latest progress of the present or last run.
        progress: Option<ProgressRow>,
        /// The files that the job left.
        files: Vec<FileInfo>,
        /// How many items of a batch are in each state; `null` for a job that is no batch.
        items: Option<ItemCounts>,
    }
    after_result {
        /// What the last failed attempt met.
        error: Option<JobError>,
        parent_id: Option<JobId>,
        /// The top of its tree: the job itself, if it has no parent.
        root_id: JobId,
        depends_on: Vec<JobId>,
        unique_key: Option<Arc<str>>,
        /// Who runs the job, or ran it last.
        worker: Option<WorkerName>,
        cancel_requested_at: Option<Timestamp>,
        created_at: Timestamp,
        /// When the job or its next attempt will be queued.
        scheduled_at: Option<Timestamp>,
        /// When it last became `queued`.
        queued_at: Option<Timestamp>,
        /// When the present or last run began; `null` while the job waits in its queue for the next.
        started_at: Option<Timestamp>,
        finished_at: Option<Timestamp>,
        updated_at: Timestamp,
        purged_at: Option<Timestamp>,
        /// The most seconds an attempt may run.
        timeout_s: Option<f64>,
        /// The number of the job's last event.
        seq: Seq,
    }
}

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressRow {
    /// 0 to 100.
    pub percent: Option<f64>,
    pub stage: Option<Arc<str>>,
    pub message: Option<Arc<str>>,
    pub done: Option<u64>,
    pub total: Option<u64>,
    pub preview: Option<Preview>,
}

/// Where the latest preview picture is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    pub url: String,
    /// Its media type.
    #[serde(rename = "type")]
    pub media_type: Arc<str>,
}

/// The worker of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerName {
    pub session: SessionId,
    /// A label only: names need not be unique.
    pub name: Arc<str>,
}

/// One item of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ItemRow {
    pub key: Arc<str>,
    pub args: Option<Json>,
    pub state: ItemState,
    pub result: Option<Json>,
    pub error: Option<JobError>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueueRow {
    pub name: QueueName,
    pub depth: Depth,
    /// Since when the job that has waited longest is queued.
    pub oldest_queued_at: Option<Timestamp>,
    /// How many seconds that is.
    pub oldest_age_s: Option<f64>,
    pub paused: Option<PauseRow>,
    /// The most jobs from this queue that may run at once.
    pub concurrency: Option<u32>,
}

/// How many active jobs of a queue are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Depth {
    pub queued: u64,
    pub scheduled: u64,
    pub blocked: u64,
    pub running: u64,
    pub retryable: u64,
}

/// A pause: since when, and by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PauseRow {
    pub at: Timestamp,
    pub by: Actor,
}

/// A worker's session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerRow {
    pub session: SessionId,
    /// A label only: names need not be unique.
    pub name: Arc<str>,
    /// What it runs; empty: every kind.
    pub kinds: Vec<KindName>,
    /// From where; `null`: every queue.
    pub queues: Option<Vec<QueueName>>,
    pub place: WorkerPlace,
    pub state: WorkerState,
    /// The jobs whose lease it holds, in order of submission.
    pub jobs: Vec<JobId>,
    pub joined_at: Timestamp,
    /// When it was last heard of.
    pub last_beat_at: Timestamp,
}

/// What a worker is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Take jobs and run them.
    #[default]
    Run,
    /// Finish what it holds and take no more.
    Quiet,
    /// Stop.
    Terminate,
}

/// Counts and rates for the dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// All jobs that are kept, by state.
    pub jobs: StateCounts,
    pub kinds: Vec<KindStats>,
    pub queues: Vec<QueueStats>,
    /// Live sessions.
    pub workers: u64,
    pub rates: RateTable,
}

/// How many jobs are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct StateCounts {
    pub scheduled: u64,
    pub queued: u64,
    pub blocked: u64,
    pub running: u64,
    pub retryable: u64,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
}

/// The jobs of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KindStats {
    pub kind: KindName,
    pub jobs: StateCounts,
}

/// The jobs of one queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueueStats {
    pub queue: QueueName,
    pub jobs: StateCounts,
}

/// What happened per second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RateTable {
    pub submitted: Rate,
    pub started: Rate,
    pub completed: Rate,
    pub failed: Rate,
}

/// How often something happened a second, on average.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Over the last minute.
    pub per_second_1m: f64,
    /// Over the last five minutes.
    pub per_second_5m: f64,
}

impl StateCounts {
    /// The count of one state.
    pub fn get(mut self, state: StateName) -> u64 {
        *self.of(state)
    }

    /// The count of one state, to write into.
    pub fn of(&mut self, state: StateName) -> &mut u64 {
        match state {
            StateName::Scheduled => &mut self.scheduled,
            StateName::Queued => &mut self.queued,
            StateName::Blocked => &mut self.blocked,
            StateName::Running => &mut self.running,
            StateName::Retryable => &mut self.retryable,
            StateName::Completed => &mut self.completed,
            StateName::Failed => &mut self.failed,
            StateName::Cancelled => &mut self.cancelled,
        }
    }

    /// All jobs together.
    pub fn total(self) -> u64 {
        StateName::ALL.into_iter().map(|state| self.get(state)).sum()
    }

    /// The part of the counts that a queue shows.
    pub fn depth(self) -> Depth {
        Depth {
            queued: self.queued,
            scheduled: self.scheduled,
            blocked: self.blocked,
            running: self.running,
            retryable: self.retryable,
        }
    }
}

impl JobRow {
    /// The row of a job that is here in full, with the progress that is on record.
    pub fn of(job: &Job) -> JobRow {
        let items = job.items().map(|items| items.counts());
        JobRow::with(job, items, None)
    }

    /// The row of a job whose items may be elsewhere, with the live progress where there is one.
    pub fn with(job: &Job, items: Option<ItemCounts>, live: Option<&Progress>) -> JobRow {
        let extras = job.extras.as_deref();
        let recorded = extras.and_then(|extras| extras.progress.as_deref());
        JobRow {
            id: job.id,
            kind: job.kind.clone(),
            queue: job.queue.clone(),
            state: job.state_name(),
            reason: job.ending().and_then(|ending| ending.reason),
            priority: job.priority,
            tags: job.tags().to_vec(),
            attempt: job.attempt,
            max_attempts: job.policy.max_attempts,
            lost_count: job.lost_count,
            max_lost: job.policy.max_lost,
            progress: live.or(recorded).map(|progress| ProgressRow::of(job.id, progress)),
            files: extras.map(|extras| extras.files.clone()).unwrap_or_default(),
            items,
            error: extras.and_then(|extras| extras.error.as_deref().cloned()),
            parent_id: job.parent(),
            root_id: job.root(),
            depends_on: job.depends_on().to_vec(),
            unique_key: job.unique_key().map(|unique| unique.key.clone()),
            worker: WorkerName::of(job),
            cancel_requested_at: job.cancel_requested_at(),
            created_at: job.created_at,
            scheduled_at: job.scheduled_at(),
            queued_at: job.queued_at,
            started_at: job.started_at(),
            finished_at: job.ending().map(|ending| ending.finished_at),
            updated_at: job.updated_at,
            purged_at: None,
            timeout_s: job.policy.timeout.map(|timeout| timeout.as_secs()),
            seq: job.seq,
        }
    }
}

impl ProgressRow {
    /// The progress of a job as users see it.
    pub fn of(job: JobId, progress: &Progress) -> ProgressRow {
        let preview =
            |media_type: &Arc<str>| Preview { url: format!("/api/jobs/{job}/preview"), media_type: media_type.clone() };
        ProgressRow {
            percent: progress.percent,
            stage: progress.stage.clone(),
            message: progress.message.clone(),
            done: progress.done,
            total: progress.total,
            preview: progress.preview.as_ref().map(preview),
        }
    }
}

impl WorkerName {
    /// The worker of the present or last run. Like `started_at` it is gone while the job is queued for the next.
    fn of(job: &Job) -> Option<WorkerName> {
        match &job.state {
            JobState::Running(run) => Some(WorkerName { session: run.lease.session, name: run.lease.worker.clone() }),
            JobState::Queued | JobState::Scheduled { .. } | JobState::Blocked { .. } => None,
            JobState::Retryable { .. } | JobState::Completed(_) | JobState::Failed(_) | JobState::Cancelled(_) => {
                job.last_run().map(|run| WorkerName { session: run.session, name: run.worker.clone() })
            }
        }
    }
}
