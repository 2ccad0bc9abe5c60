//! Stopping jobs: at once while they wait, by request while they run.

use crate::domain::command::Answer;
use crate::domain::decide::{Context, Decision};
use crate::domain::event::{Event, JobCancelRequested, JobCancelled};
use crate::domain::id::{JobId, Ordinal};
use crate::domain::job::{Job, Reason};
use crate::domain::refusal::Refusal;
use crate::domain::state::{Slot, State};

pub fn cancel(state: &State, ctx: &Context<'_>, id: JobId, children: bool) -> Result<Decision, Refusal> {
    let slot = state.slot(id).ok_or(Refusal::JobNotFound { job: id })?;
    let mut events: Vec<Event> = Vec::new();
    match slot {
        Slot::Active(job) => events.extend(stop(ctx, job, Reason::CancelledByRequest)),
        // An ended parent may still have children that go on.
        Slot::Finished(_) if children => {}
        Slot::Finished(stub) => return Err(Refusal::JobIsTerminal { job: id, state: stub.state }),
    }
    if children {
        let below = active_below(state, id.ordinal());
        if below.is_empty() && matches!(slot, Slot::Finished(_)) {
            return Err(Refusal::JobIsTerminal { job: id, state: slot.state_name() });
        }
        events.extend(below.into_iter().filter_map(|job| stop(ctx, job, Reason::ParentCancelled)));
    }
    Ok(Decision::done(Answer::Job(id), events))
}

/// The event that stops a job; none if it was asked to stop already.
fn stop(ctx: &Context<'_>, job: &Job, reason: Reason) -> Option<Event> {
    match job.run() {
        None => Some(JobCancelled { job: job.id, reason, error: None }.into()),
        Some(run) if run.cancel.is_some() => None,
        Some(_) => Some(JobCancelRequested { job: job.id, deadline: ctx.now.plus(job.policy.grace) }.into()),
    }
}

fn active_below(state: &State, top: Ordinal) -> Vec<&Job> {
    let mut found = Vec::new();
    let mut open = vec![top];
    while let Some(parent) = open.pop() {
        for &child in state.indexes().children_of(parent) {
            open.push(child);
            if let Some(Slot::Active(job)) = state.slots.get(child) {
                found.push(&**job);
            }
        }
    }
    found
}
