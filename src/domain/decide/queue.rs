//! Pausing queues, and changing jobs that wait.

use crate::domain::command::{Amend, Answer};
use crate::domain::decide::{Context, Decision};
use crate::domain::event::{Event, JobAmended, JobQueued, QueuePaused, QueueResumed, QueuedCause};
use crate::domain::id::QueueName;
use crate::domain::job::{Job, JobState};
use crate::domain::refusal::Refusal;
use crate::domain::state::{Slot, State};

/// Pausing a paused queue changes nothing.
pub fn pause(state: &State, queue: QueueName) -> Decision {
    let is_paused = matches!(state.queues.get(&queue), Some(Some(_)));
    let events = if is_paused { Vec::new() } else { vec![QueuePaused { queue }.into()] };
    Decision::done(Answer::Done, events)
}

/// Resuming a queue that is not paused changes nothing.
pub fn resume(state: &State, queue: QueueName) -> Decision {
    let is_paused = matches!(state.queues.get(&queue), Some(Some(_)));
    let events = if is_paused { vec![QueueResumed { queue }.into()] } else { Vec::new() };
    Decision::done(Answer::Done, events)
}

pub fn amend(state: &State, ctx: &Context<'_>, amend: Amend) -> Result<Decision, Refusal> {
    let job = match state.slot(amend.job).ok_or(Refusal::JobNotFound { job: amend.job })? {
        Slot::Active(job) => job,
        Slot::Finished(stub) => return Err(Refusal::JobIsTerminal { job: stub.id, state: stub.state }),
    };
    if job.run().is_some() {
        return Err(Refusal::JobIsRunning { job: job.id });
    }
    let is_due = amend.scheduled_at.is_some_and(|at| at <= ctx.now);
    let amended = JobAmended {
        job: job.id,
        priority: amend.priority,
        queue: amend.queue,
        scheduled_at: amend.scheduled_at.filter(|_| !is_due || is_blocked(job)),
        tags: amend.tags,
    };
    let mut events: Vec<Event> = vec![amended.into()];
    if is_due && waits_for_time(job) {
        events.push(JobQueued { job: job.id, cause: QueuedCause::Amended }.into());
    }
    Ok(Decision::done(Answer::Job(job.id), events))
}

fn is_blocked(job: &Job) -> bool {
    matches!(job.state, JobState::Blocked { .. })
}

fn waits_for_time(job: &Job) -> bool {
    matches!(job.state, JobState::Scheduled { .. } | JobState::Retryable { .. })
}
