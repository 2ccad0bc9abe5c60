//! The published form of an event: what everybody outside sees of a record, over HTTP, live, and in exports.
//!
//! It never shows the hash of a token or of a request, and durations are seconds. A field that was published stays.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::domain::batch::{ItemReport, NewItem};
use crate::domain::event::{Actor, Event, FirstState, JobRetried, JobStarted, JobSubmitted, Record, ScheduleChanged};
use crate::domain::id::{JobId, KindName, QueueName, Seq, SessionId, Tag};
use crate::domain::job::{StateName, WorkerPlace};
use crate::domain::json::Json;
use crate::domain::limits::{
    ATTEMPTS_MAX, DEPENDENCIES_MAX, ITEMS_MAX, PRIORITY_MAX, TAG_BYTES_MAX, TAGS_MAX, UNIQUE_KEY_BYTES_MAX,
};
use crate::domain::time::Timestamp;

/// One event as it is published.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PublishedEvent {
    /// Its number in the log.
    #[schemars(extend("type" = "integer", "minimum" = 1))]
    pub seq: Seq,
    /// When it happened; never before the event with the number before.
    pub at: Timestamp,
    /// What happened: one of the names that `schemas/events` describes. Pass over those that you do not know.
    #[serde(rename = "type")]
    #[schemars(extend("pattern" = "^[a-z]+(\\.[a-z_]+)+$"))]
    pub event_type: &'static str,
    /// The job that the event is about; `null` for an event about a queue, a worker or the server, and for
    /// `jobs.forgotten`, which names several.
    pub job_id: Option<JobId>,
    /// Who caused it.
    pub actor: Actor,
    /// What belongs to this type of event: `schemas/events` has a file for each.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub data: Data,
}

/// What belongs to one type of event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Data {
    Submitted(Box<Submitted>),
    Started(Started),
    Retried(Retried),
    ItemsAdded {
        items: Vec<NewItem>,
    },
    ItemsReported {
        reports: Vec<ItemReport>,
    },
    Checkpointed {
        data: Json,
    },
    Completed {
        result: Option<Json>,
    },
    ScheduleChanged(Box<ScheduleChanged>),
    /// Small ones, as they are kept.
    AsKept(Value),
}

/// The data of `job.submitted`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Submitted {
    /// Which program runs it.
    pub kind: KindName,
    /// Where it waits.
    pub queue: QueueName,
    /// The state in which it begins: `queued`, `scheduled` or `blocked`.
    pub state: StateName,
    /// When it will be queued; `null`: as soon as nothing else stands in the way.
    pub scheduled_at: Option<Timestamp>,
    /// Higher is sooner.
    #[schemars(range(min = -PRIORITY_MAX, max = PRIORITY_MAX))]
    pub priority: i8,
    /// The JSON object that its worker gets, defaults filled in; `null` when the job was purged.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    pub args: Json,
    /// Its labels.
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_BYTES_MAX)))]
    pub tags: Vec<Tag>,
    /// Attempts that may fail before the job does.
    #[schemars(range(min = 1, max = ATTEMPTS_MAX))]
    pub max_attempts: u32,
    /// Losses that are borne; one more fails the job.
    #[schemars(range(max = ATTEMPTS_MAX))]
    pub max_lost: u32,
    /// The most seconds that an attempt may run; `null`: no limit.
    #[schemars(range(min = 0.1))]
    pub timeout_s: Option<f64>,
    /// Seconds before the attempt after the first failure; doubled after each further one, give or take a fifth.
    #[schemars(range(min = 0))]
    pub backoff_s: f64,
    /// The most seconds before an attempt.
    #[schemars(range(min = 0))]
    pub backoff_max_s: f64,
    /// The job that it is a child of.
    pub parent_id: Option<JobId>,
    /// The top of its tree: the job itself, if it has no parent.
    pub root_id: JobId,
    /// The jobs that must complete first.
    #[schemars(length(max = DEPENDENCIES_MAX))]
    pub depends_on: Vec<JobId>,
    /// The key that no second active job of the kind may have.
    #[schemars(length(min = 1, max = UNIQUE_KEY_BYTES_MAX))]
    pub unique_key: Option<Arc<str>>,
    /// The units of a batch; empty for a job that is none.
    #[schemars(length(max = ITEMS_MAX))]
    pub items: Vec<NewItem>,
}

/// The data of `job.started`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Started {
    /// The number of the run, from 1; a run after a loss or a release has the number of the one before.
    #[schemars(range(min = 1))]
    pub attempt: u32,
    /// The worker's session.
    pub session: SessionId,
    /// The worker's name: a label only.
    pub worker: Arc<str>,
    /// Where the worker lives.
    pub place: WorkerPlace,
    /// When its running time is up; `null`: never.
    pub timeout_at: Option<Timestamp>,
}

/// The data of `job.retried`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Retried {
    /// Whether only the items are run again that failed or were skipped.
    pub only_failed_items: bool,
    /// The state in which it begins again: `queued`, or `blocked` when it waits for revived dependencies.
    pub state: StateName,
    /// When it will be queued; `null`: as soon as nothing else stands in the way.
    pub scheduled_at: Option<Timestamp>,
}

impl PublishedEvent {
    /// Publishes a record.
    pub fn of(record: Record) -> PublishedEvent {
        PublishedEvent {
            seq: record.seq,
            at: record.at,
            event_type: record.event.type_name(),
            job_id: record.event.job(),
            actor: record.actor,
            data: Data::of(record.event),
        }
    }
}

impl Data {
    /// What is published of an event.
    pub fn of(event: Event) -> Data {
        match event {
            Event::JobSubmitted(data) => Data::Submitted(Box::new(Submitted::of(data))),
            Event::JobStarted(data) => Data::Started(Started::of(data)),
            Event::JobRetried(data) => Data::Retried(Retried::of(&data)),
            Event::JobItemsAdded(data) => Data::ItemsAdded { items: data.items },
            Event::JobItemsReported(data) => Data::ItemsReported { reports: data.reports },
            Event::JobCheckpointed(data) => Data::Checkpointed { data: data.data },
            Event::JobCompleted(data) => Data::Completed { result: data.result },
            Event::ScheduleChanged(data) => Data::ScheduleChanged(Box::new(data)),
            event @ (Event::EpochStarted(_)
            | Event::JobQueued(_)
            | Event::JobScheduled(_)
            | Event::JobProgressed(_)
            | Event::JobFileStored(_)
            | Event::JobAttemptFailed(_)
            | Event::JobAttemptLost(_)
            | Event::JobCancelRequested(_)
            | Event::JobFailed(_)
            | Event::JobCancelled(_)
            | Event::JobAmended(_)
            | Event::JobLateResult(_)
            | Event::JobAdopted(_)
            | Event::JobsForgotten(_)
            | Event::JobPurged(_)
            | Event::QueuePaused(_)
            | Event::QueueResumed(_)
            | Event::QueueDraining(_)
            | Event::QueueRateSpent(_)
            | Event::WorkerJoined(_)
            | Event::WorkerLeft(_)
            | Event::ScheduleFired(_)) => Data::AsKept(as_kept(&event)),
        }
    }
}

impl Submitted {
    fn of(data: JobSubmitted) -> Submitted {
        let (state, scheduled_at) = first_state(data.state);
        let relations = data.relations.unwrap_or_default();
        Submitted {
            kind: data.kind,
            queue: data.queue,
            state,
            scheduled_at,
            priority: data.priority,
            args: data.args,
            tags: data.tags,
            max_attempts: data.policy.max_attempts,
            max_lost: data.policy.max_lost,
            timeout_s: data.policy.timeout.map(|span| span.as_secs()),
            backoff_s: data.policy.backoff.as_secs(),
            backoff_max_s: data.policy.backoff_max.as_secs(),
            parent_id: relations.parent,
            root_id: relations.root.unwrap_or(data.job),
            depends_on: relations.depends_on,
            unique_key: relations.unique_key.map(|unique| unique.key),
            items: data.items,
        }
    }
}

impl Started {
    fn of(data: JobStarted) -> Started {
        let JobStarted { attempt, session, worker, place, timeout_at, .. } = data;
        Started { attempt, session, worker, place, timeout_at }
    }
}

impl Retried {
    fn of(data: &JobRetried) -> Retried {
        let (state, scheduled_at) = first_state(data.state);
        Retried { only_failed_items: data.only_failed_items, state, scheduled_at }
    }
}

fn first_state(state: FirstState) -> (StateName, Option<Timestamp>) {
    match state {
        FirstState::Queued => (StateName::Queued, None),
        FirstState::Scheduled { scheduled_at } => (StateName::Scheduled, Some(scheduled_at)),
        FirstState::Blocked { scheduled_at } => (StateName::Blocked, scheduled_at),
    }
}

/// An event's own JSON, without the job, which stands beside it.
fn as_kept(event: &Event) -> Value {
    let mut value = serde_json::to_value(event).expect("an event can be written as JSON");
    if let Some(members) = value.as_object_mut() {
        members.remove("job");
    }
    value
}

#[cfg(test)]
mod tests {
    use crate::domain::event::JobQueued;
    use crate::domain::event::QueuedCause;
    use crate::domain::id::{Ordinal, TokenHash};
    use crate::domain::job::{Idempotency, Relations};
    use crate::domain::retry::Policy;
    use crate::domain::time::Millis;

    use super::*;

    fn published(event: impl Into<Event>) -> Value {
        let event = event.into();
        let at = Timestamp::from_ms(1_000);
        let record = Record { seq: Seq(7), at, previous: None, actor: Actor::CLIENT, continues: false, event };
        serde_json::to_value(PublishedEvent::of(record)).expect("writes")
    }

    fn job() -> JobId {
        JobId::new(Timestamp::from_ms(1_000), Ordinal(1), 0)
    }

    #[test]
    fn a_start_does_not_show_the_hash_of_its_token() {
        let started = JobStarted {
            job: job(),
            attempt: 1,
            session: SessionId(uuid::Uuid::nil()),
            worker: "ann".into(),
            token: TokenHash([171; 16]),
            place: WorkerPlace::Remote,
            timeout_at: None,
        };
        let event = published(started);
        assert_eq!((event["type"].as_str(), event["data"]["worker"].as_str()), (Some("job.started"), Some("ann")));
        assert!(!event.to_string().contains("171"), "{event}");
    }

    #[test]
    fn a_submission_shows_seconds_and_no_hash_of_its_request() {
        let idempotency = Idempotency { key: "k".into(), request_hash: [171; 16], jobs: 1 };
        let event = published(JobSubmitted {
            job: job(),
            kind: "k".parse().expect("a name"),
            queue: "q".parse().expect("a name"),
            priority: 0,
            args: Json::from_checked("{\"n\":18446744073709551617}"),
            tags: Vec::new(),
            policy: Policy { timeout: Some(Millis(1500)), ..Policy::default() },
            state: FirstState::Queued,
            relations: Some(Relations { idempotency: Some(idempotency), ..Relations::default() }),
            items: Vec::new(),
        });
        assert_eq!((event["data"]["timeout_s"].as_f64(), event["data"]["state"].as_str()), (Some(1.5), Some("queued")));
        assert_eq!(event["data"]["root_id"], event["job_id"]);
        assert!(!event.to_string().contains("171"), "{event}");
    }

    #[test]
    fn the_job_stands_beside_the_data_and_not_in_it() {
        let event = published(JobQueued { job: job(), cause: QueuedCause::Released });
        assert_eq!(event["job_id"], job().to_string());
        assert_eq!(event["data"], serde_json::json!({"cause": "released"}));
    }
}
