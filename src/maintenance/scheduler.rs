//! Fires schedules when their time has come: computes which times those are, builds each job with the kinds of that
//! moment, and submits the command. What comes of it (overlaps, refusals) the core decides.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::ScheduleSettings;
use crate::domain::command::{Answer, Command, Fire, FireSchedule, SetSchedule};
use crate::domain::event::{Actor, ScheduleFired};
use crate::domain::id::ScheduleName;
use crate::domain::refusal::Refusal;
use crate::domain::schedule::{FireError, FireOutcome, Origin, Schedule, ScheduleSpec};
use crate::domain::time::Timestamp;
use crate::engine::{Handle, SubmitError};
use crate::kinds::Catalog;
use crate::kinds::request::{RequestError, parse_job};
use crate::metrics;
use crate::schedules::expression::CalendarError;
use crate::schedules::{Calendar, Firing, plan};

/// The longest sleep: a clock that jumps forward is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// The least sleep before a time that has not come.
const SLEEP_MIN: Duration = Duration::from_millis(1);
/// How long it waits before it tries again what the engine could not take, because the disk is full or too much waits.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The most problems of a request that its error names.
const PROBLEMS_NAMED_MAX: usize = 5;

/// Fires schedules.
pub struct Scheduler {
    handle: Handle,
    clock: Arc<dyn Clock>,
    catalog: watch::Receiver<Arc<Catalog>>,
}

/// Makes the schedules of the configuration what they are there: sets those that are new or changed, drops those that
/// have vanished, and leaves those of clients alone.
///
/// # Errors
/// With the first that the engine could not take. What was done before stays; doing it again does the rest.
pub async fn set_configured(
    handle: &Handle,
    clock: &dyn Clock,
    configured: &[ScheduleSettings],
) -> Result<(), SubmitError> {
    let wanted: BTreeSet<&ScheduleName> = configured.iter().map(|settings| &settings.name).collect();
    for (name, schedule) in handle.views().schedules() {
        if schedule.spec.origin == Origin::Config && !wanted.contains(&name) {
            handle.submit(Command::DropSchedule { name, by: Origin::Config }, Actor::SERVER).await?;
        }
    }
    for settings in configured {
        let next_at = settings.calendar.after(clock.now());
        if next_at.is_none() {
            tracing::warn!(schedule = %settings.name, cron = %settings.spec.cron, "this schedule has no time at all");
        }
        let (name, spec) = (settings.name.clone(), settings.spec.clone());
        let set = SetSchedule { name, spec, next_at, must_be_new: false };
        match handle.submit(Command::SetSchedule(set), Actor::SERVER).await {
            Ok(_) => {}
            // There are too many: that is no reason to do without the others, or without a server.
            Err(SubmitError::Refused(refusal)) => {
                tracing::warn!(schedule = %settings.name, %refusal, "a configured schedule is not in effect");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Scheduler {
    /// Goes on from what the views show.
    pub fn new(handle: Handle, clock: Arc<dyn Clock>, catalog: watch::Receiver<Arc<Catalog>>) -> Scheduler {
        Scheduler { handle, clock, catalog }
    }

    /// Fires until it is dropped or the engine stops.
    pub async fn run(self) {
        let mut changes = self.handle.views().follow_schedules();
        let mut was_refused = false;
        loop {
            changes.borrow_and_update();
            let fired = self.fire_due().await;
            if let Err(error) = &fired {
                if matches!(error, SubmitError::Stopping | SubmitError::Halted { .. }) {
                    return;
                }
                if !was_refused {
                    tracing::warn!(%error, "a schedule could not be fired; trying again until it can");
                }
            }
            was_refused = fired.is_err();
            let next = self.handle.views().next_schedule_at();
            match (fired, next) {
                (Err(_), _) => tokio::time::sleep(RETRY_AFTER).await,
                (Ok(()), Some(at)) => {
                    // Whatever ends first: the time, or a change of a schedule.
                    let _ = tokio::time::timeout(pause_before(at, self.clock.now()), changes.changed()).await;
                }
                (Ok(()), None) => {
                    if changes.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Fires all schedules whose time has come.
    ///
    /// # Errors
    /// When the engine cannot take it now; what is left is fired the next time.
    pub async fn fire_due(&self) -> Result<(), SubmitError> {
        let now = self.clock.now();
        for (name, schedule) in self.handle.views().schedules() {
            let Some(expected) = schedule.next_at.filter(|&at| at <= now) else { continue };
            self.fire(&name, &schedule, expected, now).await?;
        }
        Ok(())
    }

    async fn fire(
        &self,
        name: &ScheduleName,
        schedule: &Arc<Schedule>,
        expected: Timestamp,
        now: Timestamp,
    ) -> Result<(), SubmitError> {
        for step in steps(schedule.spec.clone(), expected, now).await {
            let what = step.as_ref().map_or_else(
                |error| Fire::Fail(error.clone()),
                |step| if step.is_missed { Fire::Miss } else { job_of(schedule, &self.catalog.borrow()) },
            );
            let step =
                step.unwrap_or(Firing { expected, due_at: expected, next_at: None, passed: 0, is_missed: false });
            let command = Command::FireSchedule(Box::new(FireSchedule {
                name: name.clone(),
                changed: schedule.changed,
                expected: step.expected,
                due_at: step.due_at,
                next_at: step.next_at,
                passed: step.passed,
                what,
            }));
            match self.handle.submit(command, Actor::schedule(name)).await {
                Ok(receipt) => tell(&receipt.answer),
                // Somebody changed it meanwhile. That is a change too, and it is looked at anew.
                Err(SubmitError::Refused(Refusal::ScheduleMovedOn { .. } | Refusal::ScheduleNotFound { .. })) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What a schedule has to do now. One whose times cannot be told any more, because its time zone is gone, fails once
/// and rests until it is set again.
async fn steps(spec: Arc<ScheduleSpec>, expected: Timestamp, now: Timestamp) -> Vec<Result<Firing, FireError>> {
    // After a long time many times are looked at.
    let planned = tokio::task::spawn_blocking(move || {
        let calendar = Calendar::read(&spec.cron, &spec.time_zone)?;
        Ok::<_, CalendarError>(plan(&calendar, spec.missed, expected, now))
    });
    match planned.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
        Ok(steps) => steps.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(FireError { code: "invalid_request".into(), message: error.to_string().into() })],
    }
}

fn job_of(schedule: &Schedule, catalog: &Catalog) -> Fire {
    match parse_job(schedule.spec.job.as_str(), catalog) {
        Ok(job) => Fire::Submit(Box::new(job)),
        Err(error) => Fire::Fail(error_of(error)),
    }
}

fn error_of(error: RequestError) -> FireError {
    let (code, mut message) = (error.code(), error.to_string());
    for problem in error.into_problems().into_iter().take(PROBLEMS_NAMED_MAX) {
        message = format!("{message}; {} {}", problem.pointer, problem.message);
    }
    FireError { code: code.into(), message: message.into() }
}

fn tell(answer: &Answer) {
    let Answer::Fired(fired) = answer else { unreachable!("a fired schedule answers with what came of it") };
    let ScheduleFired { name, due_at, outcome, passed, error, .. } = &**fired;
    metrics::note_fired(outcome.as_str());
    if let Some(error) = error {
        tracing::warn!(schedule = %name, %due_at, code = %error.code, "a schedule could not submit its job: {}",
            error.message);
    }
    if *passed > 0 || *outcome == FireOutcome::Missed {
        let times = passed + u32::from(*outcome == FireOutcome::Missed);
        tracing::warn!(schedule = %name, until = %due_at, times, "missed times of a schedule were passed over");
    }
}

fn pause_before(at: Timestamp, now: Timestamp) -> Duration {
    if at <= now {
        return SLEEP_MIN;
    }
    Duration::from_millis(at.since(now).0).clamp(SLEEP_MIN, SLEEP_MAX)
}

#[cfg(test)]
mod tests;
