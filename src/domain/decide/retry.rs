//! Running finished jobs again by hand, with fresh counters; with them, if wished, those that were cancelled because
//! of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::batch::ItemState;
use crate::domain::command::{Answer, Retry};
use crate::domain::decide::Decision;
use crate::domain::event::{FirstState, JobRetried, Revived, RevivedItem};
use crate::domain::id::{JobId, KindName};
use crate::domain::job::{Job, Reason, StateName, UniqueScope};
use crate::domain::refusal::Refusal;
use crate::domain::state::{Slot, State, Stub};

/// The most dependents that one retry revives, as many as one cancel stops. The writer reads each of them.
pub const REVIVED_MAX: usize = 10_000;

pub fn retry(state: &State, retry: &Retry) -> Result<Decision, Refusal> {
    let stub = finished(state, retry.job)?;
    let may = match stub.state {
        StateName::Failed | StateName::Cancelled if !retry.only_failed_items => true,
        _ => retry.only_failed_items && stub.items_to_redo,
    };
    if !may {
        return Err(Refusal::JobNotRetryable { job: retry.job, state: stub.state });
    }
    let first = retry.finished.first().expect("the engine reads a finished job before it is retried");
    assert_eq!(first.id, retry.job, "the job itself is the first of those that are revived");
    if let Some(dependency) = broken_dependency(state, first) {
        return Err(Refusal::DependencyNotRetried { job: retry.job, dependency });
    }
    let mut reviving = Reviving::default();
    if let Some(holder) = reviving.holder_of_key(state, first) {
        return Err(Refusal::UniqueConflict { holder, entry: 0 });
    }
    if state.is_draining(&first.queue) {
        return Err(Refusal::QueueDraining { queue: first.queue.clone(), entry: None });
    }
    let mut events = vec![reviving.retried(state, first, retry.only_failed_items).into()];
    for dependent in &retry.finished[1..] {
        // A dependent whose key was taken meanwhile, whose queue takes nothing now, or of which nobody knows what became
        // of what it waited for, stays as it is.
        let is_free = reviving.holder_of_key(state, dependent).is_none()
            && !state.is_draining(&dependent.queue)
            && !waits_for_the_forgotten(state, dependent);
        if finished(state, dependent.id).is_ok() && is_free {
            events.push(reviving.retried(state, dependent, false).into());
        }
    }
    Ok(Decision::done(Answer::Job(retry.job), events))
}

/// The jobs to read from the views for a retry: the job, and with `dependents` those that were cancelled because of it,
/// and because of them, at most [`REVIVED_MAX`].
pub fn to_revive(state: &State, job: JobId, dependents: bool) -> Vec<JobId> {
    let mut found = vec![job];
    let mut known: BTreeSet<JobId> = found.iter().copied().collect();
    let mut next = 0;
    while dependents && next < found.len() {
        for ordinal in state.indexes().dependents_of(found[next].ordinal()) {
            if let Some(Slot::Finished(stub)) = state.slots.get(ordinal)
                && stub.reason == Some(Reason::DependencyFailed)
                && found.len() <= REVIVED_MAX
                && known.insert(stub.id)
            {
                found.push(stub.id);
            }
        }
        next += 1;
    }
    found
}

/// What a job waits for and waits for in vain: the job would be cancelled again at once.
fn broken_dependency(state: &State, job: &Job) -> Option<JobId> {
    let ended_otherwise = |id: &JobId| match state.slot(*id).map(Slot::state_name) {
        Some(state) => state.is_terminal() && state != StateName::Completed,
        None => has_waited_in_vain(job),
    };
    job.depends_on().iter().copied().find(ended_otherwise)
}

/// Whether a job was never queued: then of what it waited for, and what is forgotten by now, something had not completed,
/// or nobody knows any more.
fn has_waited_in_vain(job: &Job) -> bool {
    job.queued_at.is_none()
}

/// Whether a job waits for one that is forgotten, and that may have ended otherwise than by completing.
fn waits_for_the_forgotten(state: &State, job: &Job) -> bool {
    has_waited_in_vain(job) && job.depends_on().iter().any(|id| state.slot(*id).is_none())
}

fn finished(state: &State, job: JobId) -> Result<&Stub, Refusal> {
    match state.slot(job).ok_or(Refusal::JobNotFound { job })? {
        // What it would be run with is gone.
        Slot::Finished(stub) if stub.purged().is_some() => Err(Refusal::JobWasPurged { job }),
        Slot::Finished(stub) => Ok(stub),
        Slot::Active(active) => Err(Refusal::JobNotRetryable { job, state: active.state_name() }),
    }
}

/// What one retry has revived so far.
#[derive(Default)]
struct Reviving<'a> {
    jobs: BTreeSet<JobId>,
    keys: BTreeMap<(&'a KindName, &'a Arc<str>), JobId>,
}

impl<'a> Reviving<'a> {
    /// The active job that holds the unique key which this one needs.
    fn holder_of_key(&self, state: &State, job: &'a Job) -> Option<JobId> {
        let key = job.unique_key().filter(|key| key.scope == UniqueScope::Kind)?;
        let holder = state.indexes().unique_holder(&job.kind, &key.key).and_then(|ordinal| state.slots.get(ordinal));
        holder.map(Slot::id).or_else(|| self.keys.get(&(&job.kind, &key.key)).copied())
    }

    fn retried(&mut self, state: &State, job: &'a Job, only_failed_items: bool) -> JobRetried {
        self.jobs.insert(job.id);
        if let Some(key) = job.unique_key().filter(|key| key.scope == UniqueScope::Kind) {
            self.keys.insert((&job.kind, &key.key), job.id);
        }
        // What is forgotten by now stands in nobody's way: whether it may was looked at before.
        let is_completed = |id: JobId| state.slot(id).is_none_or(|slot| slot.state_name() == StateName::Completed);
        let is_open = |&id: &JobId| self.jobs.contains(&id) || !is_completed(id);
        let blocked = job.depends_on().iter().any(is_open);
        JobRetried {
            job: job.id,
            only_failed_items,
            state: if blocked { FirstState::Blocked { scheduled_at: None } } else { FirstState::Queued },
            revived: Box::new(revived(job, only_failed_items)),
        }
    }
}

/// What a job keeps of its former life: args, relations, items that are done, its files and its checkpoint.
fn revived(job: &Job, only_failed_items: bool) -> Revived {
    let items = job.items().map(|items| {
        let mut items = items.clone();
        if only_failed_items {
            items.turn(&[ItemState::Failed, ItemState::Skipped], ItemState::Pending);
        }
        let list = items.list().iter().map(|item| RevivedItem {
            key: item.key.clone(),
            state: item.state,
            added: item.added,
            reported: item.reported,
        });
        list.collect()
    });
    let extras = job.extras.as_ref();
    Revived {
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
    }
}

#[cfg(test)]
mod tests;
