//! What happened: the persisted contract. One struct an event, in the past tense, with every value that policy, time
//! or chance produced (D1).
//!
//! A struct that was shipped is frozen (version 1 of its type): a change is a new struct and a total function from the
//! old one, in `log::codec`. Golden files guard the bytes. The order of fields is the byte order; no field may be
//! skipped or flattened.

mod job;
mod queue;
mod retention;
mod schedule;
mod worker;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::batch::NewItem;
pub use crate::domain::event::job::{
    FirstState, JobAdopted, JobAmended, JobAttemptFailed, JobAttemptLost, JobCancelRequested, JobCancelled,
    JobCheckpointed, JobCompleted, JobFailed, JobFileStored, JobItemsAdded, JobItemsReported, JobLateResult,
    JobProgressed, JobQueued, JobRetried, JobScheduled, JobStarted, JobSubmitted, LateCall, LossCause, QueuedCause,
    Revived, RevivedItem,
};
pub use crate::domain::event::queue::{QueueDraining, QueuePaused, QueueRateSpent, QueueResumed};
pub use crate::domain::event::retention::{JobPurged, JobsForgotten};
pub use crate::domain::event::schedule::{ScheduleChanged, ScheduleFired};
pub use crate::domain::event::worker::{WorkerJoined, WorkerLeft, WorkerLeftCause};
use crate::domain::id::{Epoch, JobId, ScheduleName, Seq, SessionId};
use crate::domain::json::Json;
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
    /// Who among them: a worker's session, a schedule's name; `null` for a client without a name, and for the server.
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
    /// A schedule whose time had come; `id` is its name.
    Schedule,
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

    /// A schedule whose time has come.
    pub fn schedule(name: &ScheduleName) -> Actor {
        Actor { kind: ActorKind::Schedule, id: Some(name.shared().clone()) }
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

            /// Reads an event's data from its JSON form, as it is written here; none if no type has this name.
            pub fn from_json(type_name: &str, data: &str) -> Option<serde_json::Result<Event>> {
                match type_name {
                    $($type_name => Some(serde_json::from_str(data).map(Event::$name)),)*
                    _ => None,
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
    /// A queue takes no new jobs.
    QueueDraining = "queue.draining",
    /// Jobs were started from a queue that has a rate.
    QueueRateSpent = "queue.rate_spent",
    /// A schedule was made, changed or dropped.
    ScheduleChanged = "schedule.changed",
    /// A time of a schedule has come.
    ScheduleFired = "schedule.fired",
    /// A worker came back with the token of a running job: another session holds its lease.
    JobAdopted = "job.adopted",
    /// Jobs that had ended are not known any more.
    JobsForgotten = "jobs.forgotten",
    /// A job's args, results, files and log lines are gone from every answer.
    JobPurged = "job.purged",
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
impl Event {
    /// Whether it tells all that is known of its job, so that nobody need look further back.
    pub fn begins_a_life(&self) -> bool {
        matches!(self, Event::JobSubmitted(_) | Event::JobRetried(_))
    }

    /// The job that the event is about. But for `jobs.forgotten`, an event changes no other job (D3).
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
            Event::JobPurged(data) => Some(data.job),
            // It is about several: see [`Event::jobs`].
            Event::JobsForgotten(_) => None,
            Event::EpochStarted(_) | Event::QueuePaused(_) | Event::QueueResumed(_) => None,
            Event::QueueDraining(_) | Event::QueueRateSpent(_) => None,
            Event::WorkerJoined(_) | Event::WorkerLeft(_) => None,
            // The job that a schedule submits has an event of its own.
            Event::ScheduleChanged(_) | Event::ScheduleFired(_) => None,
        }
    }

    /// All jobs that the event names: it changes these and no other (D3).
    pub fn jobs(&self) -> impl Iterator<Item = JobId> {
        let forgotten = match self {
            Event::JobsForgotten(data) => data.jobs.as_slice(),
            _ => &[],
        };
        self.job().into_iter().chain(forgotten.iter().copied())
    }

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
            Event::ScheduleChanged(data) => data.schedule.as_ref().map_or(0, |spec| spec.job.as_str().len()),
            Event::JobsForgotten(data) => data.jobs.len() * size_of::<JobId>(),
            Event::JobRetried(data) => data.revived.items.as_ref().map_or(0, |items| items.len() * 64),
            _ => 0,
        }
    }
}
