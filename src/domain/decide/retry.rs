//! Running finished jobs again by hand, with fresh counters; with them, if wished, those that were cancelled because
//! of them.

use std::collections::BTreeSet;

use crate::domain::batch::ItemState;
use crate::domain::command::{Answer, Retry};
use crate::domain::decide::{Context, Decision};
use crate::domain::event::{FirstState, JobRetried, Revived, RevivedItem};
use crate::domain::id::JobId;
use crate::domain::job::{Job, Reason, StateName, UniqueScope};
use crate::domain::refusal::Refusal;
use crate::domain::state::{Slot, State, Stub};

/// The most dependents that one retry revives.
pub const REVIVED_MAX: usize = 1000;

pub fn retry(state: &State, _ctx: &Context<'_>, retry: &Retry) -> Result<Decision, Refusal> {
    let stub = finished(state, retry.job)?;
    let may = match stub.state {
        StateName::Failed | StateName::Cancelled if !retry.only_failed_items => true,
        _ => retry.only_failed_items && stub.items_to_redo,
    };
    if !may {
        return Err(Refusal::JobNotRetryable { job: retry.job, state: stub.state });
    }
    let reviving: BTreeSet<JobId> = retry.finished.iter().map(|job| job.id).collect();
    let mut events = Vec::new();
    for job in &retry.finished {
        let stub = finished(state, job.id)?;
        check_key(state, stub)?;
        let only_failed_items = retry.only_failed_items && job.id == retry.job;
        events.push(retried(state, job, only_failed_items, &reviving).into());
    }
    assert!(!events.is_empty(), "the engine reads a finished job before it is retried");
    Ok(Decision::done(Answer::Job(retry.job), events))
}

/// The jobs to read from the views for a retry: the job, and with `dependents` those that were cancelled because of it,
/// and because of them, at most [`REVIVED_MAX`].
pub fn to_revive(state: &State, job: JobId, dependents: bool) -> Vec<JobId> {
    let mut found = vec![job];
    let mut known: BTreeSet<JobId> = found.iter().copied().collect();
    let mut next = 0;
    while dependents && next < found.len() && found.len() <= REVIVED_MAX {
        for &ordinal in state.indexes().dependents_of(found[next].ordinal()) {
            if let Some(Slot::Finished(stub)) = state.slots.get(ordinal)
                && stub.reason == Some(Reason::DependencyFailed)
                && known.insert(stub.id)
            {
                found.push(stub.id);
            }
        }
        next += 1;
    }
    found
}

fn finished(state: &State, job: JobId) -> Result<&Stub, Refusal> {
    match state.slot(job).ok_or(Refusal::JobNotFound { job })? {
        Slot::Finished(stub) => Ok(stub),
        Slot::Active(active) => Err(Refusal::JobNotRetryable { job, state: active.state_name() }),
    }
}

fn check_key(state: &State, stub: &Stub) -> Result<(), Refusal> {
    let key = stub.relations.as_ref().and_then(|relations| relations.unique_key.as_ref());
    let Some(key) = key.filter(|key| key.scope == UniqueScope::Kind) else { return Ok(()) };
    match state.indexes().unique_holder(&stub.kind, &key.key).and_then(|ordinal| state.slots.get(ordinal)) {
        Some(holder) => Err(Refusal::UniqueConflict { holder: holder.id(), entry: 0 }),
        None => Ok(()),
    }
}

fn retried(state: &State, job: &Job, only_failed_items: bool, reviving: &BTreeSet<JobId>) -> JobRetried {
    let is_open = |id: &JobId| {
        reviving.contains(id) || state.slot(*id).is_none_or(|slot| slot.state_name() != StateName::Completed)
    };
    let blocked = job.depends_on().iter().any(is_open);
    let items = job.items().map(|items| {
        let mut items = items.clone();
        if only_failed_items {
            items.turn(&[ItemState::Failed, ItemState::Skipped], ItemState::Pending);
        }
        items
            .list()
            .iter()
            .map(|item| RevivedItem {
                key: item.key.clone(),
                state: item.state,
                added: item.added,
                reported: item.reported,
            })
            .collect()
    });
    let extras = job.extras.as_ref();
    JobRetried {
        job: job.id,
        only_failed_items,
        state: if blocked { FirstState::Blocked { scheduled_at: None } } else { FirstState::Queued },
        revived: Box::new(Revived {
            submitted: job.submitted,
            kind: job.kind.clone(),
            queue: job.queue.clone(),
            priority: job.priority,
            tags: job.tags().to_vec(),
            policy: (*job.policy).clone(),
            relations: job.relations.as_deref().cloned(),
            created_at: job.created_at,
            items,
            checkpoint: extras.and_then(|extras| extras.checkpoint),
            files: extras.map(|extras| extras.files.clone()).unwrap_or_default(),
        }),
    }
}
