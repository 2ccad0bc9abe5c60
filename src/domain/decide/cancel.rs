//! Stopping jobs: at once while they wait, by request while they run.

use std::collections::VecDeque;

use crate::domain::command::Answer;
use crate::domain::decide::{Context, Decision};
use crate::domain::event::{Event, JobCancelRequested, JobCancelled};
use crate::domain::id::{JobId, Ordinal};
use crate::domain::job::{Job, Reason};
use crate::domain::refusal::Refusal;
use crate::domain::state::{Slot, State};

/// The most jobs of a tree that one command stops, those nearest to its top first. The same command stops the next
/// ones of a larger tree.
pub const CANCELLED_MAX: usize = 10_000;

pub fn cancel(state: &State, ctx: &Context<'_>, id: JobId, children: bool) -> Result<Decision, Refusal> {
    let slot = state.slot(id).ok_or(Refusal::JobNotFound { job: id })?;
    let mut events: Vec<Event> = Vec::new();
    match slot {
        Slot::Active(job) => events.extend(stop(ctx, job, Reason::CancelledByRequest)),
        // An ended parent may still have children that go on.
        Slot::Finished(stub) if !children || !has_active_below(state, id.ordinal()) => {
            return Err(Refusal::JobIsTerminal { job: id, state: stub.state });
        }
        Slot::Finished(_) => {}
    }
    if children {
        let below = active_below(state, id.ordinal()).filter_map(|job| stop(ctx, job, Reason::ParentCancelled));
        events.extend(below.take(CANCELLED_MAX - events.len()));
    }
    Ok(Decision::done(Answer::Job(id), events))
}

/// The event that stops a job; none if it was asked to stop already.
pub fn stop(ctx: &Context<'_>, job: &Job, reason: Reason) -> Option<Event> {
    match job.run() {
        None => Some(JobCancelled { job: job.id, reason, error: None, run_ended: None }.into()),
        Some(run) if run.cancel.is_some() => None,
        Some(_) => Some(JobCancelRequested { job: job.id, reason, deadline: ctx.now.plus(job.policy.grace) }.into()),
    }
}

fn has_active_below(state: &State, top: Ordinal) -> bool {
    active_below(state, top).next().is_some()
}

/// The jobs below another in its tree that have not ended, level by level.
fn active_below(state: &State, top: Ordinal) -> impl Iterator<Item = &Job> {
    let mut open = VecDeque::from_iter(state.indexes().children_of(top));
    let below = std::iter::from_fn(move || {
        let child = open.pop_front()?;
        open.extend(state.indexes().children_of(child));
        Some(child)
    });
    below.filter_map(|child| match state.slots.get(child) {
        Some(Slot::Active(job)) => Some(&**job),
        Some(Slot::Finished(_)) | None => None,
    })
}

#[cfg(test)]
mod tests;
