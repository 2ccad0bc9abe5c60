//! Schedules: making, changing and dropping them, and what a time that has come leads to.

use std::sync::Arc;

use crate::domain::command::{Answer, Fire, FireSchedule, NewJob, SetSchedule, Submit};
use crate::domain::decide::cancel::stop;
use crate::domain::decide::submit::submit_beside;
use crate::domain::decide::{Context, Decision};
use crate::domain::event::{Event, ScheduleChanged, ScheduleFired};
use crate::domain::id::{JobId, ScheduleName};
use crate::domain::job::{Job, Reason};
use crate::domain::refusal::Refusal;
use crate::domain::schedule::{FireError, FireOutcome, Origin, Overlap, SCHEDULES_MAX, Schedule};
use crate::domain::state::State;

/// Makes or changes a schedule. One that is so already makes no event. A name that stands in the configuration is
/// the configuration's, also when clients had it first.
pub fn set(state: &State, set: SetSchedule) -> Result<Decision, Refusal> {
    let SetSchedule { name, spec, next_at, must_be_new } = set;
    let known = state.schedules().get(&name);
    match known {
        Some(known) => may_change(&name, known, spec.origin)?,
        None if state.schedules().len() >= SCHEDULES_MAX => return Err(Refusal::TooManySchedules),
        None => {}
    }
    if must_be_new && known.is_some() {
        return Err(Refusal::ScheduleExists { name });
    }
    let answer = Answer::ScheduleSet { is_new: known.is_none() };
    // A time that is due already is not lost when only the job changes.
    let same = known.filter(|known| known.spec.cron == spec.cron && known.spec.time_zone == spec.time_zone);
    let next_at = same.and_then(|known| known.next_at).or(next_at);
    if known.is_some_and(|known| *known.spec == spec && known.next_at == next_at) {
        return Ok(Decision::done(answer, Vec::new()));
    }
    Ok(Decision::done(answer, vec![ScheduleChanged { name, schedule: Some(spec), next_at }.into()]))
}

/// Drops a schedule; the jobs that it made go on.
pub fn drop_one(state: &State, name: ScheduleName, by: Origin) -> Result<Decision, Refusal> {
    let Some(known) = state.schedules().get(&name) else { return Err(Refusal::ScheduleNotFound { name }) };
    may_change(&name, known, by)?;
    Ok(Decision::done(Answer::Done, vec![ScheduleChanged { name, schedule: None, next_at: None }.into()]))
}

fn may_change(name: &ScheduleName, known: &Schedule, by: Origin) -> Result<(), Refusal> {
    match (known.spec.origin, by) {
        (Origin::Config, Origin::Api) => Err(Refusal::ScheduleIsConfigured { name: name.clone() }),
        (Origin::Config | Origin::Api, Origin::Config) | (Origin::Api, Origin::Api) => Ok(()),
    }
}

/// A time has come: the schedule moves on, whatever comes of it. What was computed from another state of the schedule
/// is refused, so that a time is never counted twice.
pub fn fire(state: &State, ctx: &mut Context<'_>, fire: FireSchedule) -> Result<Decision, Refusal> {
    let FireSchedule { name, changed, expected, due_at, next_at, passed, what } = fire;
    let schedule = state.schedules().get(&name);
    let schedule = schedule.ok_or_else(|| Refusal::ScheduleNotFound { name: name.clone() })?;
    if schedule.changed != changed || schedule.next_at != Some(expected) {
        return Err(Refusal::ScheduleMovedOn { name });
    }
    let Came { outcome, job_id, replaced_job_id, error, events } = come(state, ctx, schedule, what);
    let fired = ScheduleFired { name, due_at, next_at, passed, outcome, job_id, replaced_job_id, error };
    let answer = Answer::Fired(Box::new(fired.clone()));
    Ok(Decision::done(answer, std::iter::once(fired.into()).chain(events).collect()))
}

/// What comes of a time.
struct Came {
    outcome: FireOutcome,
    job_id: Option<JobId>,
    replaced_job_id: Option<JobId>,
    error: Option<FireError>,
    events: Vec<Event>,
}

impl Came {
    fn without_job(outcome: FireOutcome, error: Option<FireError>) -> Came {
        Came { outcome, job_id: None, replaced_job_id: None, error, events: Vec::new() }
    }
}

fn come(state: &State, ctx: &mut Context<'_>, schedule: &Schedule, what: Fire) -> Came {
    let job = match what {
        Fire::Submit(job) => *job,
        Fire::Fail(error) => return Came::without_job(FireOutcome::Failed, Some(error)),
        Fire::Miss => return Came::without_job(FireOutcome::Missed, None),
    };
    let before = schedule.last_job.and_then(|job| state.active(job));
    match (schedule.spec.overlap, before) {
        (Overlap::Skip, Some(_)) => Came::without_job(FireOutcome::SkippedOverlap, None),
        (Overlap::Replace, Some(before)) => submitted(state, ctx, job, Some(before)),
        (Overlap::Queue, _) | (Overlap::Skip | Overlap::Replace, None) => submitted(state, ctx, job, None),
    }
}

/// Submits a job, and stops the one before if there is one to replace. A job that is refused replaces nothing.
fn submitted(state: &State, ctx: &mut Context<'_>, job: NewJob, replaced: Option<&Arc<Job>>) -> Came {
    // A job that waits ends at once and gives its key free; one that runs keeps it until it has stopped.
    let ending = replaced.filter(|before| before.run().is_none()).map(|before| before.id);
    let submit = Submit { jobs: vec![job], idempotency: None, parent: None };
    let decided = submit_beside(state, ctx, submit, ending);
    let (made, job_id) = match decided.map(|decision| (decision.events, decision.outcome)) {
        Ok((events, Ok(Answer::Submitted { jobs, .. }))) => (events, jobs.first().copied()),
        Ok((_, Err(refusal))) | Err(refusal) => {
            let error = FireError { code: refusal.code().into(), message: refusal.to_string().into() };
            return Came::without_job(FireOutcome::Failed, Some(error));
        }
        Ok((_, Ok(other))) => unreachable!("a submission answers with its jobs, not {other:?}"),
    };
    let stopped = replaced.and_then(|before| stop(ctx, before, Reason::Replaced));
    let replaced_job_id = stopped.as_ref().and_then(Event::job);
    let events = stopped.into_iter().chain(made).collect();
    Came { outcome: FireOutcome::Submitted, job_id, replaced_job_id, error: None, events }
}

#[cfg(test)]
mod tests;
