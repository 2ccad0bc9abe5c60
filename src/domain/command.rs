//! What is asked of the core, in the imperative. Everything untrusted was parsed before it became a command.

use std::sync::Arc;

use crate::domain::batch::{ItemReport, NewItem};
use crate::domain::event::{LateCall, LossCause, QueuedCause, ScheduleFired, WorkerLeftCause};
use crate::domain::id::{Epoch, JobId, KindName, QueueName, ScheduleName, Seq, SessionId, Tag, TokenHash};
use crate::domain::job::{FileInfo, Job, JobError, Progress, WorkerPlace};
use crate::domain::json::Json;
use crate::domain::retention::{Round, Rules};
use crate::domain::retry::Policy;
use crate::domain::schedule::{FireError, Origin, ScheduleSpec};
use crate::domain::time::Timestamp;

/// Everything that can be asked.
#[derive(Debug, Clone)]
pub enum Command {
    StartEpoch(StartEpoch),
    Submit(Submit),
    /// Deals out queued jobs to sessions that wait, one each in turn.
    Deal {
        claims: Vec<Claim>,
    },
    Progress {
        proof: LeaseProof,
        progress: Progress,
    },
    AddItems {
        proof: LeaseProof,
        items: Vec<NewItem>,
    },
    ReportItems {
        proof: LeaseProof,
        reports: Vec<ItemReport>,
    },
    Checkpoint {
        proof: LeaseProof,
        data: Json,
    },
    StoreFile {
        proof: LeaseProof,
        file: FileInfo,
    },
    /// Asks whether a token still holds; for what is not history, such as log lines.
    CheckLease {
        proof: LeaseProof,
        /// What it is asked for: the evidence, if it does not.
        call: LateCall,
    },
    Complete {
        proof: LeaseProof,
        result: Option<Json>,
    },
    Fail {
        proof: LeaseProof,
        error: JobError,
    },
    Release {
        proof: LeaseProof,
        cause: QueuedCause,
    },
    Lose(Lose),
    Cancel {
        job: JobId,
        children: bool,
    },
    Retry(Retry),
    /// Finished jobs that are too old or too many are forgotten, a bounded number at a time.
    Forget(Forget),
    /// What a finished job carried is taken out of every answer.
    Purge {
        job: JobId,
    },
    Amend(Amend),
    PauseQueue {
        queue: QueueName,
    },
    ResumeQueue {
        queue: QueueName,
    },
    /// The queue takes no new jobs; what is in it is worked off.
    DrainQueue {
        queue: QueueName,
    },
    JoinWorker(JoinWorker),
    /// Ends a session; the leases that it still holds are released or lost, as `cause` says.
    LeaveWorker {
        session: SessionId,
        cause: WorkerLeftCause,
    },
    SetSchedule(SetSchedule),
    /// Drops a schedule; `by` says who asks for it.
    DropSchedule {
        name: ScheduleName,
        by: Origin,
    },
    FireSchedule(Box<FireSchedule>),
    /// A worker came back: the leases that its tokens prove move to its present session.
    Adopt {
        session: SessionId,
        proofs: Vec<LeaseProof>,
    },
    /// Time passed: whatever is due happens now, a bounded number of jobs at a time.
    Tick,
    /// Follow-ups of what happened before: dependents and children, a bounded number at a time.
    Settle,
}

impl Command {
    /// What proves the lease of the one run that the command is about, if it is about one.
    pub fn proof(&self) -> Option<LeaseProof> {
        match self {
            Command::Progress { proof, .. }
            | Command::AddItems { proof, .. }
            | Command::ReportItems { proof, .. }
            | Command::Checkpoint { proof, .. }
            | Command::StoreFile { proof, .. }
            | Command::CheckLease { proof, .. }
            | Command::Complete { proof, .. }
            | Command::Fail { proof, .. }
            | Command::Release { proof, .. } => Some(*proof),
            Command::StartEpoch(_)
            | Command::Submit(_)
            | Command::Deal { .. }
            | Command::Lose(_)
            | Command::Cancel { .. }
            | Command::Retry(_)
            | Command::Forget(_)
            | Command::Purge { .. }
            | Command::Amend(_)
            | Command::PauseQueue { .. }
            | Command::ResumeQueue { .. }
            | Command::DrainQueue { .. }
            | Command::JoinWorker(_)
            | Command::LeaveWorker { .. }
            | Command::SetSchedule(_)
            | Command::DropSchedule { .. }
            | Command::FireSchedule(_)
            | Command::Adopt { .. }
            | Command::Tick
            | Command::Settle => None,
        }
    }
}

/// The server starts.
#[derive(Debug, Clone)]
pub struct StartEpoch {
    pub epoch: Epoch,
    pub reset: bool,
    pub clean_shutdown: bool,
}

/// One or more jobs, all or nothing.
#[derive(Debug, Clone)]
pub struct Submit {
    pub jobs: Vec<NewJob>,
    pub idempotency: Option<IdempotencyKey>,
    /// Makes the jobs children of the leased one.
    pub parent: Option<LeaseProof>,
}

/// An `Idempotency-Key` and the hash of the request's JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub key: Arc<str>,
    pub request_hash: [u8; 16],
}

/// A job as it is asked for, with every default filled in.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub kind: KindName,
    pub args: Json,
    pub queue: QueueName,
    pub priority: i8,
    pub policy: Policy,
    pub start: Start,
    pub tags: Vec<Tag>,
    pub unique_key: Option<Arc<str>>,
    pub parent_id: Option<JobId>,
    pub depends_on: Vec<Dependency>,
    pub items: Vec<NewItem>,
}

impl NewJob {
    /// A job with nothing but args, which may start at once.
    pub fn plain(kind: KindName, queue: QueueName, args: Json) -> NewJob {
        NewJob {
            kind,
            args,
            queue,
            priority: 0,
            policy: Policy::default(),
            start: Start::Now,
            tags: Vec::new(),
            unique_key: None,
            parent_id: None,
            depends_on: Vec::new(),
            items: Vec::new(),
        }
    }
}

/// When a job may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Now,
    At(Timestamp),
    After(crate::domain::time::Millis),
}

/// The most jobs that one may wait for.
pub use crate::domain::limits::DEPENDENCIES_MAX;

/// A job to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// A job that is there already.
    Job(JobId),
    /// The entry of the same bulk with this index.
    Entry(usize),
}

/// What a worker shows to prove that a job is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseProof {
    pub job: JobId,
    pub token: TokenHash,
}

/// A session wants jobs.
#[derive(Debug, Clone)]
pub struct Claim {
    pub session: SessionId,
    /// A token for each job that may be granted: its length is the most to grant.
    pub tokens: Vec<TokenHash>,
}

/// A run ended without its worker's word. It names the session, so that two causes count once.
#[derive(Debug, Clone)]
pub struct Lose {
    pub job: JobId,
    pub session: SessionId,
    pub cause: LossCause,
}

/// A finished job shall run again.
#[derive(Debug, Clone)]
pub struct Retry {
    pub job: JobId,
    pub only_failed_items: bool,
    /// Also revive the jobs that were cancelled because this one did not complete.
    pub dependents: bool,
    /// The finished job and the dependents to revive with it, which the engine reads from the views before the core
    /// decides; the job itself is the first.
    pub finished: Vec<Arc<Job>>,
}

/// A step of a round of forgetting.
#[derive(Debug, Clone)]
pub struct Forget {
    pub rules: Arc<Rules>,
    pub round: Round,
    /// The first event that the log still has.
    pub earliest: Seq,
}

/// Changes to a waiting job; what is `None` stays.
#[derive(Debug, Clone)]
pub struct Amend {
    pub job: JobId,
    pub priority: Option<i8>,
    pub queue: Option<QueueName>,
    pub scheduled_at: Option<Timestamp>,
    pub tags: Option<Vec<Tag>>,
}

/// A worker's session begins.
#[derive(Debug, Clone)]
pub struct JoinWorker {
    pub session: SessionId,
    pub name: Arc<str>,
    /// Empty: every kind.
    pub kinds: Vec<KindName>,
    /// None: every queue.
    pub queues: Option<Vec<QueueName>>,
    pub place: WorkerPlace,
}

/// Makes a schedule, or changes one.
#[derive(Debug, Clone)]
pub struct SetSchedule {
    pub name: ScheduleName,
    pub spec: ScheduleSpec,
    /// Its first time from now on. A schedule whose cron and time zone stay keeps the one that it has.
    pub next_at: Option<Timestamp>,
    /// Refuse it when the name is taken.
    pub must_be_new: bool,
}

/// A time of a schedule has come. It names what it was computed from, so that no time counts twice.
#[derive(Debug, Clone)]
pub struct FireSchedule {
    pub name: ScheduleName,
    /// The schedule's `changed`.
    pub changed: Seq,
    /// The schedule's `next_at`.
    pub expected: Timestamp,
    /// The time that it is fired for: `expected`, or a later one when times were missed.
    pub due_at: Timestamp,
    /// The first time after `due_at`.
    pub next_at: Option<Timestamp>,
    /// How many missed times are passed over.
    pub passed: u32,
    pub what: Fire,
}

/// What to do at a time of a schedule.
#[derive(Debug, Clone)]
pub enum Fire {
    Submit(Box<NewJob>),
    /// The request for the job does not fit its kind any more.
    Fail(FireError),
    /// Times that have passed are skipped.
    Miss,
}

/// What the core answers when it does what it was asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The jobs of a submission; `replayed` when they were there already.
    Submitted { jobs: Vec<JobId>, replayed: bool },
    /// The jobs that each claim was granted; the n-th job of a claim has its n-th token.
    Granted(Vec<Vec<Grant>>),
    /// The leases that the session holds, of those that it has proved.
    Adopted(Vec<Grant>),
    /// The job that was changed.
    Job(JobId),
    /// The jobs that were forgotten, how many of the round had to stay, and where it goes on; none: it is at its end.
    Forgotten { jobs: Vec<JobId>, stayed: u64, next: Option<Round> },
    /// A schedule was set; whether it is new.
    ScheduleSet { is_new: bool },
    /// A schedule was fired: what came of it.
    Fired(Box<ScheduleFired>),
    /// Done; nothing to tell.
    Done,
}

/// One granted lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    pub job: JobId,
    pub attempt: u32,
}
