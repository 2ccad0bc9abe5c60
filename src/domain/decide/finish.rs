//! How a run ends: completed, failed, given back, lost. Two causes at the same time count once, because the first ends
//! the lease and the second finds none.

use crate::domain::command::{Answer, LeaseProof, Lose};
use crate::domain::decide::proof::{late, leased};
use crate::domain::decide::{Context, Decision};
use crate::domain::event::{
    Event, JobAttemptFailed, JobAttemptLost, JobCancelled, JobCompleted, JobFailed, JobQueued, LateCall, LossCause,
    QueuedCause,
};
use crate::domain::job::{Job, JobError, Reason, Run, RunEnd};
use crate::domain::json::Json;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;

/// A completion that still arrives wins, also over a requested cancel.
pub fn complete(state: &State, proof: LeaseProof, result: Option<Json>) -> Decision {
    match leased(state, proof) {
        Ok((job, _)) => Decision::done(Answer::Job(job.id), vec![JobCompleted { job: job.id, result }.into()]),
        Err(refusal) => late(state, proof, LateCall::Complete, refusal),
    }
}

pub fn fail(state: &State, ctx: &mut Context<'_>, proof: LeaseProof, error: JobError) -> Decision {
    match leased(state, proof) {
        Ok((job, run)) => Decision::done(Answer::Job(job.id), vec![failed(ctx, job, run, error, Cause::Worker)]),
        Err(refusal) => late(state, proof, LateCall::Fail, refusal),
    }
}

pub fn release(state: &State, proof: LeaseProof, cause: QueuedCause) -> Decision {
    match leased(state, proof) {
        Ok((job, run)) => Decision::done(Answer::Job(job.id), vec![released(job, run, cause)]),
        Err(refusal) => late(state, proof, LateCall::Release, refusal),
    }
}

pub fn lose(state: &State, lose: &Lose) -> Decision {
    let Some(slot) = state.slot(lose.job) else {
        return Decision::refused(Refusal::JobNotFound { job: lose.job });
    };
    let held = state.active(slot.id()).and_then(|job| job.run().map(|run| (job, run)));
    let events = match held {
        Some((job, run)) if run.lease.session == lose.session => lost(job, run, lose.cause),
        _ => Vec::new(),
    };
    Decision::done(Answer::Done, events)
}

/// Whether the worker says so, or the time is up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Worker,
    Timeout,
}

/// What a failed attempt leads to.
pub fn failed(ctx: &mut Context<'_>, job: &Job, run: &Run, mut error: JobError, cause: Cause) -> Event {
    error.attempt = job.attempt;
    if let Some(request) = &run.cancel {
        let run_ended = Some(RunEnd::Failed);
        return JobCancelled { job: job.id, reason: request.reason, error: Some(error), run_ended }.into();
    }
    let failures = job.failures + 1;
    if error.retryable && failures < job.policy.max_attempts {
        let retry_at = job.policy.retry_at(failures, ctx.now, ctx.chance.draw());
        return JobAttemptFailed { job: job.id, error, retry_at, timed_out: cause == Cause::Timeout }.into();
    }
    let reason = match cause {
        Cause::Timeout => Reason::Timeout,
        Cause::Worker if error.retryable => Reason::AttemptsExhausted,
        Cause::Worker => Reason::NotRetryable,
    };
    JobFailed { job: job.id, reason, error: Some(error) }.into()
}

/// What an orderly return leads to.
pub fn released(job: &Job, run: &Run, cause: QueuedCause) -> Event {
    match &run.cancel {
        Some(request) => {
            let run_ended = Some(RunEnd::Released);
            JobCancelled { job: job.id, reason: request.reason, error: None, run_ended }.into()
        }
        None => JobQueued { job: job.id, cause }.into(),
    }
}

/// What the loss of a worker leads to.
pub fn lost(job: &Job, run: &Run, cause: LossCause) -> Vec<Event> {
    let counted = cause != LossCause::ServerRestarted;
    let mut events: Vec<Event> = vec![JobAttemptLost { job: job.id, attempt: job.attempt, cause, counted }.into()];
    if let Some(request) = &run.cancel {
        events.push(JobCancelled { job: job.id, reason: request.reason, error: None, run_ended: None }.into());
    } else if counted && job.lost_count + 1 > job.policy.max_lost {
        events.push(JobFailed { job: job.id, reason: Reason::Lost, error: None }.into());
    }
    events
}

#[cfg(test)]
mod tests;
