//! What time alone causes, and what one job's end means to those that wait for it. In chunks: a tick is not atomic.

use crate::domain::command::Answer;
use crate::domain::decide::finish::{Cause, failed};
use crate::domain::decide::{CHUNK, Context, Decision};
use crate::domain::event::{Event, JobCancelled, JobQueued, JobScheduled, QueuedCause};
use crate::domain::id::Ordinal;
use crate::domain::job::{Job, JobError, JobState, Reason, Run, RunEnd, StateName};
use crate::domain::state::{Slot, State};

pub fn tick(state: &State, ctx: &mut Context<'_>) -> Decision {
    let mut events: Vec<Event> = Vec::new();
    // Deadlines first: a flood of jobs that are due must not keep a worker running.
    for ordinal in state.indexes().overdue_at(ctx.now).take(CHUNK) {
        let job = active(state, ordinal);
        let run = job.run().expect("a job with a deadline is running");
        events.push(overrun(ctx, job, run));
    }
    let room = CHUNK - events.len();
    for ordinal in state.indexes().due_at(ctx.now).take(room) {
        events.push(due(active(state, ordinal)).into());
    }
    Decision::done(Answer::Done, events)
}

fn due(job: &Job) -> JobQueued {
    let cause = match job.state {
        JobState::Retryable { .. } => QueuedCause::RetryDue,
        _ => QueuedCause::Due,
    };
    JobQueued { job: job.id, cause }
}

fn overrun(ctx: &mut Context<'_>, job: &Job, run: &Run) -> Event {
    if let Some(request) = &run.cancel {
        let run_ended = Some(RunEnd::Cancelled);
        return JobCancelled { job: job.id, reason: request.reason, error: None, run_ended }.into();
    }
    let limit = job.policy.timeout.map_or(0.0, |timeout| timeout.as_secs());
    let error = JobError {
        code: "timeout".into(),
        message: format!("the attempt ran longer than its timeout of {limit} s").into(),
        details: None,
        retryable: true,
        attempt: job.attempt,
    };
    failed(ctx, job, run, error, Cause::Timeout)
}

pub fn settle(state: &State, ctx: &Context<'_>) -> Decision {
    let unsettled = state.indexes().unsettled().iter().take(CHUNK);
    let events = unsettled.map(|&ordinal| settled(state, ctx, active(state, ordinal))).collect();
    Decision::done(Answer::Done, events)
}

fn settled(state: &State, ctx: &Context<'_>, job: &Job) -> Event {
    let is_completed = |slot: &Slot| slot.state_name() == StateName::Completed;
    // What is forgotten while somebody waits for it has completed.
    if !job.depends_on().iter().all(|&id| state.slot(id).is_none_or(is_completed)) {
        let reason = Reason::DependencyFailed;
        return JobCancelled { job: job.id, reason, error: None, run_ended: None }.into();
    }
    match job.scheduled_at().filter(|&at| at > ctx.now) {
        Some(scheduled_at) => JobScheduled { job: job.id, scheduled_at }.into(),
        None => JobQueued { job: job.id, cause: QueuedCause::DependenciesCompleted }.into(),
    }
}

fn active(state: &State, ordinal: Ordinal) -> &Job {
    match state.slots.get(ordinal) {
        Some(Slot::Active(job)) => job,
        _ => panic!("an index over active jobs names active jobs"),
    }
}

#[cfg(test)]
mod tests;
