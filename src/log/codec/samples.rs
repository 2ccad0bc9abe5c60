//! One record of each type, with every field filled, for tests and golden files. They never change: golden files
//! were written from them.

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::batch::{ItemReport, ItemState, NewItem};
use crate::domain::event::*;
use crate::domain::id::{Epoch, JobId, KindName, Ordinal, QueueName, ScheduleName, Seq, SessionId, TokenHash};
use crate::domain::job::*;
use crate::domain::json::Json;
use crate::domain::retry::Policy;
use crate::domain::schedule::{FireError, FireOutcome, Missed, Origin, Overlap, ScheduleSpec};
use crate::domain::time::{Millis, Timestamp};

/// The job number `ordinal` of the samples.
pub fn job(ordinal: u64) -> JobId {
    JobId::new(Timestamp::from_ms(1_790_000_000_000), Ordinal(ordinal), 0x1_2345_6789)
}

/// A record of each type, in the order of [`Event::TYPE_NAMES`], dense from 1; every third continues its group.
pub fn one_of_each() -> Vec<Record> {
    let records: Vec<Record> = events().into_iter().zip(1..).map(|(event, number)| record(number, event)).collect();
    let names: Vec<_> = records.iter().map(|record| record.event.type_name()).collect();
    assert_eq!(names, Event::TYPE_NAMES, "there is a sample of each type");
    records
}

fn record(number: u64, event: Event) -> Record {
    let actors = [Actor::SERVER, Actor::CLIENT, Actor::worker(session())];
    Record {
        seq: Seq(number),
        at: Timestamp::from_ms(1_790_000_000_000 + number as i64),
        previous: (number > 2).then(|| Seq(number - 2)),
        actor: actors[number as usize % 3].clone(),
        continues: number % 3 == 1,
        event,
    }
}

fn session() -> SessionId {
    SessionId(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001))
}

fn kind() -> KindName {
    "img.resize".parse().expect("a name")
}

fn queue() -> QueueName {
    "images".parse().expect("a name")
}

fn json(text: &str) -> Json {
    Json::from_checked(text)
}

fn error() -> JobError {
    JobError {
        code: "exit_status".into(),
        message: "it ended with 3: größer".into(),
        details: Some(json(r#"{"status":3}"#)),
        retryable: true,
        attempt: 2,
    }
}

fn policy() -> Policy {
    Policy {
        max_attempts: 3,
        max_lost: 4,
        timeout: Some(Millis(600_000)),
        backoff: Millis(1_500),
        backoff_max: Millis(60_000),
        grace: Millis(10_000),
    }
}

fn relations() -> Option<Relations> {
    Some(Relations {
        parent: Some(job(1)),
        root: Some(job(0)),
        depends_on: vec![job(2), job(3)],
        unique_key: Some(UniqueKey { key: "one".into(), scope: UniqueScope::Parent }),
        idempotency: Some(Idempotency { key: "again".into(), request_hash: [7; 16], jobs: 2 }),
    })
}

fn files() -> Vec<FileInfo> {
    vec![FileInfo { name: "out.png".into(), media_type: "image/png".into(), size: 70_000 }]
}

fn items() -> Vec<NewItem> {
    vec![NewItem { key: "a".into(), args: Some(json(r#"{"w":2}"#)) }, NewItem { key: "b".into(), args: None }]
}

fn reports() -> Vec<ItemReport> {
    vec![
        ItemReport { key: "a".into(), state: ItemState::Completed, result: Some(json("[1]")), error: None },
        ItemReport { key: "b".into(), state: ItemState::Failed, result: None, error: Some(error()) },
    ]
}

fn progress() -> Progress {
    Progress {
        percent: Some(12.5),
        stage: Some("upscale".into()),
        message: Some("4 of 10".into()),
        done: Some(4),
        total: Some(10),
        preview: Some("image/png".into()),
    }
}

fn submitted() -> JobSubmitted {
    JobSubmitted {
        job: job(5),
        kind: kind(),
        queue: queue(),
        priority: -3,
        args: json(r#"{"width":640,"name":"größe"}"#),
        tags: vec!["red".into(), "blue".into()],
        policy: policy(),
        state: FirstState::Scheduled { scheduled_at: Timestamp::from_ms(1_790_000_100_000) },
        relations: relations(),
        items: items(),
    }
}

fn started() -> JobStarted {
    JobStarted {
        job: job(5),
        attempt: 2,
        session: session(),
        worker: Arc::from("crane-1"),
        token: TokenHash([9; 16]),
        place: WorkerPlace::Remote,
        timeout_at: Some(Timestamp::from_ms(1_790_000_600_000)),
    }
}

fn retried() -> JobRetried {
    let revived = Revived {
        submitted: Seq(2),
        kind: kind(),
        queue: queue(),
        priority: 7,
        tags: vec!["red".into()],
        policy: policy(),
        relations: relations(),
        created_at: Timestamp::from_ms(1_790_000_000_001),
        items: Some(vec![RevivedItem {
            key: "a".into(),
            state: ItemState::Pending,
            added: Seq(2),
            reported: Some(Seq(7)),
        }]),
        checkpoint: Some(Seq(8)),
        files: files(),
    };
    let state = FirstState::Blocked { scheduled_at: None };
    JobRetried { job: job(5), only_failed_items: true, state, revived: Box::new(revived) }
}

fn amended() -> JobAmended {
    JobAmended {
        job: job(5),
        priority: Some(100),
        queue: Some(queue()),
        scheduled_at: Some(Timestamp::from_ms(1_790_000_200_000)),
        tags: Some(vec!["green".into()]),
    }
}

fn joined() -> WorkerJoined {
    WorkerJoined {
        session: session(),
        name: "crane-1".into(),
        kinds: vec![kind()],
        queues: Some(vec![queue()]),
        place: WorkerPlace::Subprocess,
    }
}

fn nightly() -> ScheduleName {
    "nightly".parse().expect("a name")
}

fn schedule_changed() -> ScheduleChanged {
    let spec = ScheduleSpec {
        cron: "30 2 * * MON-FRI".into(),
        time_zone: "Europe/Berlin".into(),
        job: json(r#"{"kind":"img.resize","args":{"width":640}}"#),
        missed: Missed::All,
        overlap: Overlap::Replace,
        origin: Origin::Api,
    };
    let next_at = Some(Timestamp::from_ms(1_790_000_400_000));
    ScheduleChanged { name: nightly(), schedule: Some(spec), next_at }
}

fn schedule_fired() -> ScheduleFired {
    ScheduleFired {
        name: nightly(),
        due_at: Timestamp::from_ms(1_790_000_400_000),
        next_at: Some(Timestamp::from_ms(1_790_000_500_000)),
        passed: 3,
        outcome: FireOutcome::Failed,
        job_id: Some(job(6)),
        replaced_job_id: Some(job(5)),
        error: Some(FireError { code: "invalid_args".into(), message: "/args/width is too large".into() }),
    }
}

fn epoch() -> EpochStarted {
    EpochStarted {
        epoch: Epoch(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_00ee)),
        previous_epoch: Some(Epoch(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_00dd))),
        reset: true,
        clean_shutdown: false,
    }
}

fn events() -> Vec<Event> {
    let (job, later) = (job(5), Timestamp::from_ms(1_790_000_300_000));
    vec![
        epoch().into(),
        submitted().into(),
        JobQueued { job, cause: QueuedCause::RetryDue }.into(),
        started().into(),
        JobProgressed { job, progress: progress() }.into(),
        JobItemsAdded { job, items: items() }.into(),
        JobItemsReported { job, reports: reports() }.into(),
        JobCheckpointed { job, data: json(r#"{"page":17}"#) }.into(),
        JobFileStored { job, file: files().remove(0) }.into(),
        JobAttemptFailed { job, error: error(), retry_at: later, timed_out: true }.into(),
        JobAttemptLost { job, attempt: 2, cause: LossCause::ProcessDied, counted: true }.into(),
        JobCancelRequested { job, deadline: later, reason: Reason::CancelledByRequest }.into(),
        JobCompleted { job, result: Some(json(r#"{"bytes":123456}"#)) }.into(),
        JobFailed { job, reason: Reason::AttemptsExhausted, error: Some(error()) }.into(),
        JobCancelled { job, reason: Reason::DependencyFailed, error: Some(error()), run_ended: Some(RunEnd::Failed) }
            .into(),
        retried().into(),
        amended().into(),
        JobLateResult { job, call: LateCall::Complete }.into(),
        QueuePaused { queue: queue() }.into(),
        QueueResumed { queue: queue() }.into(),
        joined().into(),
        WorkerLeft { session: session(), cause: WorkerLeftCause::ConnectionLost }.into(),
        JobScheduled { job, scheduled_at: later }.into(),
        QueueDraining { queue: queue() }.into(),
        QueueRateSpent { queue: queue(), jobs: 3, used_millionths: 7_500_000 }.into(),
        schedule_changed().into(),
        schedule_fired().into(),
        JobAdopted { job, session: session(), worker: "crane-1".into() }.into(),
        JobsForgotten { jobs: vec![job, crate::log::codec::samples::job(6)] }.into(),
        JobPurged { job }.into(),
    ]
}
