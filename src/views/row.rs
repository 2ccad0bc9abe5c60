//! What users see of jobs, queues and workers. The view is the response: these types are its published shape, with the
//! fields in the order of the contract. A field that does not apply is `null`, never absent. No rule about jobs lives
//! here.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::batch::{ItemCounts, ItemState};
use crate::domain::event::Actor;
use crate::domain::id::{JobId, KindName, QueueName, ScheduleName, Seq, SessionId, Tag};
use crate::domain::job::{FileInfo, Job, JobError, JobState, Progress, Reason, StateName, WorkerPlace};
use crate::domain::json::Json;
use crate::domain::limits::{
    ATTEMPTS_MAX, CRON_BYTES_MAX, DEPENDENCIES_MAX, ITEM_KEY_BYTES_MAX, MESSAGE_BYTES_MAX, PRIORITY_MAX,
    STAGE_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX, TIME_ZONE_BYTES_MAX, UNIQUE_KEY_BYTES_MAX,
};
use crate::domain::rate::RateLimit;
use crate::domain::schedule::{FireError, FireOutcome, Missed, Origin, Overlap};
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
        /// Its id; ids sort in the order of submission.
        id: JobId,
        /// Which program runs it.
        kind: KindName,
        /// Where it waits.
        queue: QueueName,
        /// Where it is in its life.
        state: StateName,
        /// Why the job ended as it did; `null` while it is active, and when it completed.
        reason: Option<Reason>,
        /// −100 to 100; higher is sooner. Like the other numbers `null` only in a look back, when no more is kept of the job.
        #[schemars(range(min = -PRIORITY_MAX, max = PRIORITY_MAX))]
        priority: Option<i8>,
    }
    before_result {
        /// Labels to find it by.
        #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_BYTES_MAX)))]
        tags: Vec<Tag>,
        /// The number of the present or last run, 0 before the first.
        attempt: Option<u32>,
        /// Attempts that may fail before the job does.
        #[schemars(range(min = 1, max = ATTEMPTS_MAX))]
        max_attempts: Option<u32>,
        /// Runs that ended because a worker went away; they use up no attempt.
        lost_count: Option<u32>,
        /// Losses that are borne; one more fails the job.
        #[schemars(range(max = ATTEMPTS_MAX))]
        max_lost: Option<u32>,
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
        /// The job that it is a child of.
        parent_id: Option<JobId>,
        /// The top of its tree: the job itself, if it has no parent.
        root_id: JobId,
        /// The jobs that it waits for, or waited for.
        #[schemars(length(max = DEPENDENCIES_MAX))]
        depends_on: Vec<JobId>,
        /// The key that no second active job of its kind may have.
        #[schemars(length(min = 1, max = UNIQUE_KEY_BYTES_MAX))]
        unique_key: Option<Arc<str>>,
        /// Who runs the job, or ran it last.
        worker: Option<WorkerName>,
        /// When somebody asked the present or last run to stop.
        cancel_requested_at: Option<Timestamp>,
        /// When it was submitted.
        created_at: Timestamp,
        /// When the job or its next attempt will be queued.
        scheduled_at: Option<Timestamp>,
        /// When it last became `queued`.
        queued_at: Option<Timestamp>,
        /// When the present or last run began; `null` while the job waits in its queue for the next.
        started_at: Option<Timestamp>,
        /// When it ended.
        finished_at: Option<Timestamp>,
        /// When its last event happened.
        updated_at: Timestamp,
        /// When its args, result, files and logs were removed.
        purged_at: Option<Timestamp>,
        /// The most seconds an attempt may run; `null`: no limit.
        #[schemars(range(min = 0.1))]
        timeout_s: Option<f64>,
        /// The number of the job's last event.
        seq: Seq,
    }
}

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressRow {
    /// How much is done, 0 to 100.
    #[schemars(range(min = 0, max = 100))]
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
    /// The latest preview picture; `null` when there was none.
    pub preview: Option<Preview>,
}

/// Where the latest preview picture is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// Where to read it: a path on this server.
    pub url: String,
    /// Its media type.
    #[serde(rename = "type")]
    pub media_type: Arc<str>,
}

/// The worker of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerName {
    /// Its session.
    pub session: SessionId,
    /// A label only: names need not be unique.
    pub name: Arc<str>,
}

/// One item of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ItemRow {
    /// What names the item within its job.
    #[schemars(length(min = 1, max = ITEM_KEY_BYTES_MAX))]
    pub key: Arc<str>,
    /// What is needed to do it: any JSON.
    pub args: Option<Json>,
    /// What became of it.
    pub state: ItemState,
    /// What it gave: any JSON.
    pub result: Option<Json>,
    /// What went wrong.
    pub error: Option<JobError>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueueRow {
    /// Its name.
    pub name: QueueName,
    /// Its active jobs by state.
    pub depth: Depth,
    /// Since when the job that has waited longest is queued.
    pub oldest_queued_at: Option<Timestamp>,
    /// How many seconds that is.
    #[schemars(range(min = 0))]
    pub oldest_age_s: Option<f64>,
    /// Since when it hands out nothing, and by whom; `null`: it does.
    pub paused: Option<PauseRow>,
    /// Since when it takes no new jobs, and by whom; `null`: it does. What is in it is worked off.
    pub draining: Option<PauseRow>,
    /// The most jobs from this queue that may run at once; `null`: no limit.
    pub concurrency: Option<u32>,
    /// How fast its jobs start, as configured; `null`: no limit. One second's worth may start at once, and always one.
    pub rate: Option<RateLimit>,
    /// When the rate lets the next job start; `null`: at once.
    pub next_start_at: Option<Timestamp>,
}

/// How many active jobs of a queue are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Depth {
    /// Those that wait for a worker.
    pub queued: u64,
    /// Those whose time has not come.
    pub scheduled: u64,
    /// Those that wait for other jobs.
    pub blocked: u64,
    /// Those that a worker runs.
    pub running: u64,
    /// Those that wait for their next attempt.
    pub retryable: u64,
}

/// A pause or a drain: since when, and by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PauseRow {
    /// Since when.
    pub at: Timestamp,
    /// Who wanted it so.
    pub by: Actor,
}

/// A worker's session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerRow {
    /// Its id, as the server issued it.
    pub session: SessionId,
    /// A label only: names need not be unique.
    pub name: Arc<str>,
    /// What it runs; empty: every kind.
    pub kinds: Vec<KindName>,
    /// From where; `null`: every queue.
    pub queues: Option<Vec<QueueName>>,
    /// Where it lives.
    pub place: WorkerPlace,
    /// What it is asked to do.
    pub state: WorkerState,
    /// The jobs whose lease it holds, in order of submission.
    pub jobs: Vec<JobId>,
    /// When it began.
    pub joined_at: Timestamp,
    /// When it was last heard of.
    pub last_beat_at: Timestamp,
}

/// A schedule, and how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleRow {
    /// Its name.
    pub name: ScheduleName,
    /// When: five fields (minute, hour, day of the month, month, day of the week), or a word like `@daily`.
    #[schemars(length(min = 1, max = CRON_BYTES_MAX))]
    pub cron: Arc<str>,
    /// The time zone in which the fields are read: an IANA name.
    #[schemars(length(min = 1, max = TIME_ZONE_BYTES_MAX))]
    pub time_zone: Arc<str>,
    /// What is submitted each time: the same that `POST /api/jobs` takes.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub job: Json,
    /// What becomes of times that have passed.
    pub missed: Missed,
    /// What happens when its job before has not ended.
    pub overlap: Overlap,
    /// Who owns it: one of the configuration cannot be changed over HTTP.
    pub origin: Origin,
    /// The next time; `null`: there is none any more.
    pub next_at: Option<Timestamp>,
    /// When its last time was acted upon; `null`: none has come yet.
    pub last_fired_at: Option<Timestamp>,
    /// The time that it was.
    pub last_due_at: Option<Timestamp>,
    /// What came of it.
    pub last_outcome: Option<FireOutcome>,
    /// Why no job could be submitted then; `null` unless that failed.
    pub last_error: Option<FireError>,
    /// The job that it submitted last.
    pub last_job_id: Option<JobId>,
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
    /// The same for each kind.
    pub kinds: Vec<KindStats>,
    /// The same for each queue.
    pub queues: Vec<QueueStats>,
    /// Live sessions of workers.
    pub workers: u64,
    /// What happened per second.
    pub rates: RateTable,
}

/// How many jobs are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct StateCounts {
    /// Those whose time has not come.
    pub scheduled: u64,
    /// Those that wait for a worker.
    pub queued: u64,
    /// Those that wait for other jobs.
    pub blocked: u64,
    /// Those that a worker runs.
    pub running: u64,
    /// Those that wait for their next attempt.
    pub retryable: u64,
    /// Those that ended well.
    pub completed: u64,
    /// Those that ended badly.
    pub failed: u64,
    /// Those that were stopped.
    pub cancelled: u64,
}

/// The jobs of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KindStats {
    /// The kind.
    pub kind: KindName,
    /// How many of its jobs are in each state.
    pub jobs: StateCounts,
}

/// The jobs of one queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueueStats {
    /// The queue.
    pub queue: QueueName,
    /// How many of its jobs are in each state.
    pub jobs: StateCounts,
}

/// What happened per second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RateTable {
    /// Jobs that were submitted.
    pub submitted: Rate,
    /// Runs that began.
    pub started: Rate,
    /// Jobs that completed.
    pub completed: Rate,
    /// Jobs that failed.
    pub failed: Rate,
}

/// How often something happened a second, on average.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Over the last minute.
    #[schemars(range(min = 0))]
    pub per_second_1m: f64,
    /// Over the last five minutes.
    #[schemars(range(min = 0))]
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
    /// The row of a job whose payloads are gone.
    pub fn purged(self, at: Timestamp) -> JobRow {
        JobRow { purged_at: Some(at), ..self.without_traces() }
    }

    /// The row without what leads to files and previews, and without what else was said of an error.
    pub fn without_traces(self) -> JobRow {
        let progress = self.progress.map(|progress| ProgressRow { preview: None, ..progress });
        let error = self.error.map(|error| JobError { details: None, ..error });
        JobRow { files: Vec::new(), progress, error, ..self }
    }

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
            priority: Some(job.priority),
            tags: job.tags().to_vec(),
            attempt: Some(job.attempt),
            max_attempts: Some(job.policy.max_attempts),
            lost_count: Some(job.lost_count),
            max_lost: Some(job.policy.max_lost),
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
