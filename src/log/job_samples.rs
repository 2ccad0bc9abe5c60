//! Jobs for the tests of codecs and stores. Made by hand: what they say need not be possible, only different in every
//! field.

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::batch::{ItemState, Items, NewItem};
use crate::domain::id::{FinishOrdinal, JobId, Ordinal, Seq, SessionId, TokenHash};
use crate::domain::job::{
    EndedRun, Ending, FileInfo, Idempotency, Job, JobError, JobState, Lease, Progress, Reason, Relations, Run, RunEnd,
    UniqueKey, UniqueScope, WorkerPlace,
};
use crate::domain::json::Json;
use crate::domain::retry::Policy;
use crate::domain::time::{Millis, Timestamp};

const BEGIN_MS: i64 = 1_790_000_000_000;

/// A failed job that has everything a job can have: number `ordinal` in the order of submission, `finish` in that of
/// endings.
pub fn rich_job(ordinal: u64, finish: u64, items: usize) -> Job {
    let at = |after: i64| Timestamp::from_ms(BEGIN_MS + ordinal as i64 * 100 + after);
    let id = |ordinal| JobId::new(at(0), Ordinal(ordinal), 5);
    let ending =
        Ending { finished_at: at(4), reason: Some(Reason::AttemptsExhausted), finish_ordinal: FinishOrdinal(finish) };
    let mut job = Job {
        id: id(ordinal),
        seq: Seq(ordinal * 10),
        submitted: Seq(ordinal * 3),
        kind: "resize".parse().unwrap(),
        queue: "images".parse().unwrap(),
        tags: Some(Arc::new(vec!["a".into(), "ü b".into()])),
        policy: Arc::new(Policy {
            max_attempts: 3,
            max_lost: 4,
            timeout: Some(Millis(1500)),
            backoff: Millis(70),
            backoff_max: Millis(80),
            grace: Millis(90),
        }),
        relations: Some(Arc::new(Relations {
            parent: Some(id(1)),
            root: Some(id(2)),
            depends_on: vec![id(3), id(4)],
            unique_key: Some(UniqueKey { key: "u".into(), scope: UniqueScope::Parent }),
            idempotency: Some(Idempotency { key: "i".into(), request_hash: [9; 16], jobs: 5 }),
        })),
        state: JobState::Failed(ending),
        created_at: at(1),
        updated_at: at(2),
        queued_at: Some(at(3)),
        attempt: 6,
        failures: 7,
        lost_count: 8,
        priority: -9,
        extras: None,
    };
    let extras = job.extras_mut();
    extras.last_run = Some(EndedRun {
        session: SessionId(Uuid::from_u128(77)),
        worker: "w".into(),
        token: TokenHash([3; 16]),
        started_at: at(5),
        cancel_requested_at: Some(at(6)),
        by: RunEnd::TimedOut,
    });
    extras.progress = Some(Arc::new(Progress {
        percent: Some(33.25),
        stage: Some("upscale".into()),
        message: Some("tile 4".into()),
        done: Some(4),
        total: Some(10),
        preview: Some("image/png".into()),
    }));
    extras.progress_at = Some(at(7));
    extras.items = Some(batch(items));
    extras.error = Some(Arc::new(JobError {
        code: "exit_status".into(),
        message: "status 3".into(),
        details: Some(Json::from_checked("{\"status\":3}")),
        retryable: true,
        attempt: 2,
    }));
    extras.checkpoint = Some(Seq(11));
    extras.result = Some(Seq(12));
    extras.files = vec![FileInfo { name: "out.png".into(), media_type: "image/png".into(), size: 1 << 40 }];
    extras.late = 13;
    job
}

/// A finished job like most are.
pub fn plain_job(ordinal: u64, finish: u64) -> Job {
    let mut job = rich_job(ordinal, finish, 0);
    let ended = job.ending().unwrap().clone();
    job.state = JobState::Completed(Ending { reason: None, ..ended });
    job.tags = None;
    job.relations = None;
    let last_run = job.extras_mut().last_run.take();
    job.extras = None;
    job.extras_mut().last_run = last_run;
    job.extras_mut().result = Some(Seq(12));
    job
}

/// A job in every state, by the name of the state.
pub fn in_every_state() -> Vec<Job> {
    let rich = rich_job(0xabcd, 0xef01, 4);
    let scheduled_at = rich.created_at.plus(Millis(1000));
    let ending = rich.ending().unwrap().clone();
    let run = Run {
        lease: Lease {
            session: SessionId(Uuid::from_u128(88)),
            worker: "now".into(),
            token: TokenHash([4; 16]),
            place: WorkerPlace::Remote,
        },
        started_at: rich.created_at,
        timeout_at: Some(scheduled_at),
        cancel: None,
    };
    let states = [
        JobState::Scheduled { scheduled_at },
        JobState::Queued,
        JobState::Blocked { scheduled_at: Some(scheduled_at) },
        JobState::Running(Arc::new(run)),
        JobState::Retryable { scheduled_at },
        JobState::Completed(ending.clone()),
        JobState::Failed(ending.clone()),
        JobState::Cancelled(ending),
    ];
    states.into_iter().map(|state| Job { state, ..rich.clone() }).collect()
}

fn batch(items: usize) -> Items {
    let new = |number| NewItem { key: format!("item {number}").into(), args: None };
    let new: Vec<NewItem> = (0..items).map(new).collect();
    let mut batch = Items::default();
    batch.add(&new, Seq(7));
    for (number, item) in new.iter().enumerate() {
        match number % 4 {
            0 => batch.report(&item.key, ItemState::Completed, Seq(8)),
            1 => batch.report(&item.key, ItemState::Failed, Seq(9)),
            2 => batch.report(&item.key, ItemState::Skipped, Seq(10)),
            _ => {}
        }
    }
    batch
}
