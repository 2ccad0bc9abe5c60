//! Pausing and draining queues, and changing jobs that wait.

use crate::domain::command::{Amend, Answer};
use crate::domain::decide::{Context, Decision};
use crate::domain::event::{Event, JobAmended, JobQueued, QueueDraining, QueuePaused, QueueResumed, QueuedCause};
use crate::domain::id::QueueName;
use crate::domain::job::{Job, JobState};
use crate::domain::refusal::Refusal;
use crate::domain::state::{Slot, State};
use crate::domain::time::Timestamp;

/// Pausing a paused queue changes nothing.
pub fn pause(state: &State, queue: QueueName) -> Decision {
    let events = if state.is_paused(&queue) { Vec::new() } else { vec![QueuePaused { queue }.into()] };
    Decision::done(Answer::Done, events)
}

/// Ends a pause and a drain. Resuming a queue that is as usual changes nothing.
pub fn resume(state: &State, queue: QueueName) -> Decision {
    let is_as_usual = !state.is_paused(&queue) && !state.is_draining(&queue);
    let events = if is_as_usual { Vec::new() } else { vec![QueueResumed { queue }.into()] };
    Decision::done(Answer::Done, events)
}

/// Draining a queue that drains changes nothing; a pause stays as it is.
pub fn drain(state: &State, queue: QueueName) -> Decision {
    let events = if state.is_draining(&queue) { Vec::new() } else { vec![QueueDraining { queue }.into()] };
    Decision::done(Answer::Done, events)
}

/// Changes a job that waits. What is asked for already is so makes no event.
pub fn amend(state: &State, ctx: &Context<'_>, amend: Amend) -> Result<Decision, Refusal> {
    let job = match state.slot(amend.job).ok_or(Refusal::JobNotFound { job: amend.job })? {
        Slot::Active(job) => job,
        Slot::Finished(stub) => return Err(Refusal::JobIsTerminal { job: stub.id, state: stub.state }),
    };
    if job.run().is_some() {
        return Err(Refusal::JobIsRunning { job: job.id });
    }
    if let Some(queue) = amend.queue.as_ref().filter(|queue| **queue != job.queue && state.is_draining(queue)) {
        return Err(Refusal::QueueDraining { queue: queue.clone(), entry: Some(0) });
    }
    let amended = JobAmended {
        job: job.id,
        priority: amend.priority.filter(|&priority| priority != job.priority),
        queue: amend.queue.filter(|queue| *queue != job.queue),
        scheduled_at: amend.scheduled_at.filter(|&at| moves(job, ctx.now, at)),
        tags: amend.tags.filter(|tags| tags != job.tags()),
    };
    let mut events: Vec<Event> = Vec::new();
    if amended.priority.is_some() || amended.queue.is_some() || amended.scheduled_at.is_some() || amended.tags.is_some()
    {
        events.push(amended.into());
    }
    if amend.scheduled_at.is_some_and(|at| at <= ctx.now) && waits_for_time(job) {
        events.push(JobQueued { job: job.id, cause: QueuedCause::Amended }.into());
    }
    Ok(Decision::done(Answer::Job(job.id), events))
}

/// Whether a new time is one to remember: it lies ahead, or it replaces one that would hold a blocked job back.
fn moves(job: &Job, now: Timestamp, at: Timestamp) -> bool {
    let is_held_back = matches!(job.state, JobState::Blocked { scheduled_at: Some(_) });
    job.scheduled_at() != Some(at) && (at > now || is_held_back)
}

fn waits_for_time(job: &Job) -> bool {
    matches!(job.state, JobState::Scheduled { .. } | JobState::Retryable { .. })
}

#[cfg(test)]
mod tests;
