//! Why a job is not running yet, or why it ended as it did: the facts, and a sentence that follows from them alone.

use std::cmp::Reverse;
use std::fmt::Write;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::payload;
use crate::domain::event::ActorKind;
use crate::domain::id::{JobId, KindName, QueueName, ScheduleName};
use crate::domain::job::{Job, JobError, Reason, StateName};
use crate::domain::rate::{RateLimit, RateUnit};
use crate::domain::time::Timestamp;
use crate::engine::Condition;
use crate::sessions::troubles::Trouble;
use crate::views::query::{JobFilter, JobQuery, LIMIT_MAX};
use crate::views::row::{JobRow, PauseRow, WorkerName, WorkerRow, WorkerState};

/// The most waiting jobs that are counted to say how many come before one.
const COUNTED_MAX: usize = 5_000;
/// The most jobs that are named as waited for.
const NAMED_MAX: usize = 20;

/// The answer.
#[derive(Debug, Clone, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct Why {
    /// For people.
    pub sentence: String,
    /// What the sentence follows from.
    pub facts: Facts,
}

/// What bears on whether a job runs.
#[derive(Debug, Clone, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct Facts {
    /// Where it is in its life.
    pub state: StateName,
    /// Why it ended as it did.
    pub reason: Option<Reason>,
    /// Which program runs it.
    pub kind: KindName,
    /// Where it waits.
    pub queue: QueueName,
    /// The number of the present or last run, 0 before the first.
    pub attempt: u32,
    /// Attempts that may fail before the job does.
    pub max_attempts: u32,
    /// Runs that ended because a worker went away.
    pub lost_count: u32,
    /// Losses that are borne; one more fails the job.
    pub max_lost: u32,
    /// The most seconds that an attempt may run; `null`: no limit.
    pub timeout_s: Option<f64>,
    /// When it or its next attempt will be queued.
    pub scheduled_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When somebody asked the present or last run to stop.
    pub cancel_requested_at: Option<Timestamp>,
    /// What the last failed attempt met.
    pub error: Option<JobError>,
    /// Who runs it, or ran it last.
    pub worker: Option<WorkerName>,
    /// Jobs that it waits for, or waited for in vain, and that are not completed: at most 20 of them.
    #[schemars(length(max = NAMED_MAX))]
    pub waits_for: Vec<JobId>,
    /// Jobs of its queue that are handed out before it; `null` when they are too many to count.
    pub ahead: Option<u64>,
    /// Whether its queue hands out nothing.
    pub queue_is_paused: bool,
    /// Since when its queue hands out nothing, and by whom.
    pub queue_paused: Option<PauseRow>,
    /// How fast jobs of its queue start; `null`: no limit.
    pub queue_rate: Option<RateLimit>,
    /// When that lets the next job of its queue start; `null`: at once.
    pub next_start_at: Option<Timestamp>,
    /// Live workers that take this kind from this queue, without those whose program is to be started again.
    pub workers: u64,
    /// Processes of this kind that are not there although they should be: at most 20 of them.
    pub restarting: Vec<Trouble>,
    /// Jobs of its kind that run now.
    pub running_of_kind: u64,
    /// The most jobs of the kind that may run at once; `null`: no limit.
    pub kind_concurrency: Option<u32>,
    /// Jobs from its queue that run now.
    pub running_in_queue: u64,
    /// The most jobs from the queue that may run at once; `null`: no limit.
    pub queue_concurrency: Option<u32>,
    /// Whether the log could not be written, so that nothing moves.
    pub server_is_halted: bool,
    /// The schedule that made it; `null`: none did.
    pub schedule: Option<ScheduleName>,
}

/// Explains a job. Reads, and may block.
///
/// # Errors
/// `job_not_found`, or what could not be read.
pub fn of_job(ctx: &ApiContext, id: JobId) -> Result<Why, ApiError> {
    let views = ctx.handle.views();
    let row = views.row(id)?.ok_or_else(|| ApiError::job_not_found(id))?;
    let job = views.job(id)?.ok_or_else(|| ApiError::job_not_found(id))?;
    let facts = gather(ctx, row, &job)?;
    let mut sentence = sentence(&facts);
    if let Some(schedule) = &facts.schedule {
        write!(sentence, " The schedule {schedule} made it.").expect("a string takes every text");
    }
    Ok(Why { sentence, facts })
}

fn gather(ctx: &ApiContext, row: JobRow, job: &Job) -> Result<Facts, ApiError> {
    let views = ctx.handle.views();
    let (now, limits) = (ctx.now(), ctx.limits.borrow().clone());
    let queue = views.queues(now).into_iter().find(|queue| queue.name == row.queue);
    let takes = |kinds: &[KindName]| kinds.is_empty() || kinds.contains(&row.kind);
    let mut restarting = ctx.sessions.troubles().list();
    restarting.retain(|trouble| trouble.kind == row.kind);
    let is_able = |worker: &WorkerRow| {
        let takes_queue = worker.queues.as_ref().is_none_or(|queues| queues.contains(&row.queue));
        let is_there =
            worker.state == WorkerState::Run && !restarting.iter().any(|trouble| trouble.name == worker.name);
        is_there && takes(&worker.kinds) && takes_queue
    };
    let workers = views.workers().iter().filter(|worker| is_able(worker)).count() as u64;
    let running_of_kind =
        views.stats(now).kinds.into_iter().find(|it| it.kind == row.kind).map_or(0, |it| it.jobs.running);
    let ahead = if row.state == StateName::Queued { count_ahead(ctx, &row)? } else { None };
    Ok(Facts {
        waits_for: open_dependencies(ctx, job, row.reason)?,
        ahead,
        queue_is_paused: queue.as_ref().is_some_and(|queue| queue.paused.is_some()),
        queue_paused: queue.as_ref().and_then(|queue| queue.paused.clone()),
        queue_rate: queue.as_ref().and_then(|queue| queue.rate),
        next_start_at: queue.as_ref().and_then(|queue| queue.next_start_at),
        workers,
        restarting: restarting.into_iter().take(NAMED_MAX).collect(),
        running_of_kind,
        kind_concurrency: limits.kinds.get(&row.kind).copied(),
        running_in_queue: queue.map_or(0, |queue| queue.depth.running),
        queue_concurrency: limits.queues.get(&row.queue).copied(),
        schedule: payload::schedule_of(&ctx.handle, job.submitted)?,
        server_is_halted: matches!(*ctx.handle.condition().borrow(), Condition::Halted { .. }),
        state: row.state,
        reason: row.reason,
        kind: row.kind,
        queue: row.queue,
        attempt: row.attempt.unwrap_or_default(),
        max_attempts: row.max_attempts.unwrap_or_default(),
        lost_count: row.lost_count.unwrap_or_default(),
        max_lost: row.max_lost.unwrap_or_default(),
        timeout_s: row.timeout_s,
        scheduled_at: row.scheduled_at,
        finished_at: row.finished_at,
        cancel_requested_at: row.cancel_requested_at,
        error: row.error,
        worker: row.worker,
    })
}

fn open_dependencies(ctx: &ApiContext, job: &Job, reason: Option<Reason>) -> Result<Vec<JobId>, ApiError> {
    let is_broken = reason == Some(Reason::DependencyFailed);
    if job.state_name() != StateName::Blocked && !is_broken {
        return Ok(Vec::new());
    }
    let mut open = Vec::new();
    for &id in job.depends_on() {
        let dependency = ctx.handle.views().row(id)?;
        let is_named = |state: StateName| state != StateName::Completed && (!is_broken || state.is_terminal());
        if dependency.is_some_and(|row| is_named(row.state)) {
            open.push(id);
        }
        if open.len() == NAMED_MAX {
            break;
        }
    }
    Ok(open)
}

/// How many queued jobs of the same queue are handed out before a job: of a higher priority, or as high and earlier.
fn count_ahead(ctx: &ApiContext, row: &JobRow) -> Result<Option<u64>, ApiError> {
    let filter = JobFilter { states: vec![StateName::Queued], queue: Some(row.queue.clone()), ..JobFilter::default() };
    let mut query = JobQuery { filter, before: None, limit: LIMIT_MAX };
    let (mut ahead, mut counted) = (0, 0);
    let rank = (Reverse(row.priority), row.id.ordinal());
    loop {
        let page = ctx.handle.views().list(&query)?;
        ahead += page.jobs.iter().filter(|other| (Reverse(other.priority), other.id.ordinal()) < rank).count() as u64;
        counted += page.jobs.len();
        query.before = page.next;
        if page.next.is_none() {
            return Ok(Some(ahead));
        }
        if counted >= COUNTED_MAX {
            return Ok(None);
        }
    }
}

/// Says it in plain English.
pub fn sentence(facts: &Facts) -> String {
    match facts.state {
        StateName::Scheduled => format!("It waits for its time: {}.", moment(facts.scheduled_at)),
        StateName::Blocked => blocked(facts),
        StateName::Queued => queued(facts),
        StateName::Running => running(facts),
        StateName::Retryable => retryable(facts),
        StateName::Completed => format!("It completed in attempt {}.", facts.attempt),
        StateName::Failed => failed(facts),
        StateName::Cancelled => cancelled(facts),
    }
}

fn blocked(facts: &Facts) -> String {
    let shown: Vec<String> = facts.waits_for.iter().take(3).map(JobId::to_string).collect();
    let others = facts.waits_for.len().saturating_sub(shown.len());
    match (shown.len(), others) {
        (0, _) => "It waits for other jobs, and all of them are completed: it will be queued at once.".to_owned(),
        (1, _) => format!("It waits until job {} is completed.", shown[0]),
        (_, 0) => format!("It waits until the jobs {} are completed.", shown.join(", ")),
        (_, others) => {
            format!("It waits until the jobs {} and at least {others} more are completed.", shown.join(", "))
        }
    }
}

/// The first thing that stands in the way is what is said; the facts name the others.
fn queued(facts: &Facts) -> String {
    let Facts { kind, queue, .. } = facts;
    if facts.server_is_halted {
        return "The server is halted because its log could not be written: nothing moves until it is started again."
            .into();
    }
    if facts.queue_is_paused {
        let since = facts.queue_paused.as_ref().map(paused_by).unwrap_or_default();
        return format!("The queue {queue} is paused{since}: nothing is handed out from it until somebody resumes it.");
    }
    if let Some(trouble) = facts.restarting.first().filter(|_| facts.workers == 0) {
        return stuck(kind, trouble);
    }
    if facts.workers == 0 {
        return format!("No worker that takes the kind {kind} from the queue {queue} is there now.");
    }
    let is_full = |limit: Option<u32>, running: u64| limit.is_some_and(|limit| running >= u64::from(limit));
    if is_full(facts.kind_concurrency, facts.running_of_kind) {
        return format!("{} of the kind {kind}, and no more may run at once.", run_now(facts.running_of_kind));
    }
    if is_full(facts.queue_concurrency, facts.running_in_queue) {
        return format!("{} from the queue {queue}, and no more may run at once.", run_now(facts.running_in_queue));
    }
    if let (Some(rate), Some(at)) = (facts.queue_rate, facts.next_start_at) {
        return waits_for_rate(facts, rate, at);
    }
    let workers = match facts.workers {
        1 => "the one worker that takes it is busy".to_owned(),
        many => format!("the {many} workers that take it are busy"),
    };
    match facts.ahead {
        Some(0) => format!("It is the next of the queue {queue}; {workers}."),
        Some(ahead) => format!("{} of the queue {queue} come before it, and {workers}.", jobs(ahead)),
        None => format!("Many jobs of the queue {queue} wait with it, and {workers}."),
    }
}

fn stuck(kind: &KindName, trouble: &Trouble) -> String {
    let Trouble { name, detail, faults, next_start_at, .. } = trouble;
    let times = if *faults > 1 { format!(", {faults} times in a row") } else { String::new() };
    format!("No worker runs the kind {kind} now: {name} {detail}{times}. It is started again at {next_start_at}.")
}

fn waits_for_rate(facts: &Facts, rate: RateLimit, at: Timestamp) -> String {
    let unit = match rate.per {
        RateUnit::Second => "second",
        RateUnit::Minute => "minute",
        RateUnit::Hour => "hour",
    };
    let before = match facts.ahead {
        Some(0) => ", and it is this one".to_owned(),
        Some(1) => ", and 1 job comes before this one".to_owned(),
        Some(ahead) => format!(", and {} come before this one", jobs(ahead)),
        None => ", and many jobs come before this one or with it".to_owned(),
    };
    let most = jobs(u64::from(rate.jobs.get()));
    format!("The queue {} starts at most {most} a {unit}: the next may start at {at}{before}.", facts.queue)
}

fn paused_by(pause: &PauseRow) -> String {
    let who = match (pause.by.kind, pause.by.id.as_deref()) {
        (ActorKind::Client, Some(name)) => format!("the client {name}"),
        (ActorKind::Client, None) => "a client".to_owned(),
        (ActorKind::Worker, Some(session)) => format!("the worker {session}"),
        (ActorKind::Worker, None) => "a worker".to_owned(),
        (ActorKind::Schedule, name) => format!("the schedule {}", name.unwrap_or_default()),
        (ActorKind::Server, _) => "the server".to_owned(),
    };
    format!(" by {who} since {}", pause.at)
}

fn running(facts: &Facts) -> String {
    let worker = facts.worker.as_ref().map_or_else(|| "a worker".to_owned(), |worker| worker.name.to_string());
    let mut text = format!("It is running: attempt {} of {}, by {worker}", facts.attempt, facts.max_attempts);
    if facts.cancel_requested_at.is_some() {
        text.push_str("; it was asked to stop");
    }
    text + "."
}

fn retryable(facts: &Facts) -> String {
    let mut text = format!("Attempt {} of {} failed", facts.attempt, facts.max_attempts);
    add_error(&mut text, facts);
    write!(text, "; the next begins {}.", moment(facts.scheduled_at)).expect("a string takes every text");
    text
}

fn failed(facts: &Facts) -> String {
    let mut text = match facts.reason {
        Some(Reason::Lost) => {
            let (lost, max) = (facts.lost_count, facts.max_lost);
            let times = if lost == 1 { "once".to_owned() } else { format!("{lost} times") };
            return format!("It failed: its worker or the server went away {times}, more often than max_lost = {max}.");
        }
        Some(Reason::NotRetryable) => {
            format!("It failed in attempt {}, and the worker said that another would fail too", facts.attempt)
        }
        Some(Reason::Timeout) => {
            let limit = facts.timeout_s.map(|seconds| format!(" of {seconds} s")).unwrap_or_default();
            format!("It failed: attempt {} of {} ran longer than its limit{limit}", facts.attempt, facts.max_attempts)
        }
        Some(Reason::AttemptsExhausted) => match facts.attempt {
            1 => "It failed in its only attempt".to_owned(),
            _ => format!("It failed: attempt {} of {} was the last", facts.attempt, facts.max_attempts),
        },
        Some(Reason::CancelledByRequest | Reason::ParentCancelled | Reason::DependencyFailed | Reason::Replaced)
        | None => {
            format!("It failed in attempt {}", facts.attempt)
        }
    };
    add_error(&mut text, facts);
    text + "."
}

fn cancelled(facts: &Facts) -> String {
    let why = match facts.reason {
        Some(Reason::ParentCancelled) => "because its parent was".to_owned(),
        Some(Reason::DependencyFailed) => match facts.waits_for.first() {
            Some(job) => format!("because job {job}, which it waited for, did not complete"),
            None => "because a job that it waited for did not complete".to_owned(),
        },
        Some(Reason::Replaced) => "because its schedule made the next one".to_owned(),
        Some(
            Reason::CancelledByRequest
            | Reason::AttemptsExhausted
            | Reason::NotRetryable
            | Reason::Lost
            | Reason::Timeout,
        )
        | None => "by request".to_owned(),
    };
    match facts.attempt {
        0 => format!("It was cancelled {why}, before it ran."),
        attempt => format!("It was cancelled {why}, in attempt {attempt}."),
    }
}

fn add_error(text: &mut String, facts: &Facts) {
    if let Some(error) = &facts.error {
        write!(text, " ({}: {})", error.code, error.message).expect("a string takes every text");
    }
}

fn run_now(count: u64) -> String {
    if count == 1 { "1 job runs now".to_owned() } else { format!("{count} jobs run now") }
}

fn jobs(count: u64) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") }
}

fn moment(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "at once".to_owned(), |at| format!("at {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Actor;

    fn facts(state: StateName) -> Facts {
        Facts {
            state,
            reason: None,
            kind: "resize".parse().expect("a name"),
            queue: "images".parse().expect("a name"),
            attempt: 2,
            max_attempts: 2,
            lost_count: 0,
            max_lost: 5,
            timeout_s: Some(600.0),
            scheduled_at: Some(Timestamp::from_ms(1_000)),
            finished_at: None,
            cancel_requested_at: None,
            error: None,
            worker: None,
            waits_for: Vec::new(),
            ahead: Some(3),
            queue_is_paused: false,
            queue_paused: None,
            queue_rate: None,
            next_start_at: None,
            workers: 2,
            restarting: Vec::new(),
            running_of_kind: 0,
            kind_concurrency: None,
            running_in_queue: 0,
            queue_concurrency: None,
            server_is_halted: false,
            schedule: None,
        }
    }

    #[test]
    fn a_queued_job_names_the_first_thing_that_stands_in_its_way() {
        let queued = facts(StateName::Queued);
        let pause = PauseRow { at: Timestamp::from_ms(2_000), by: Actor::CLIENT };
        let said = |facts: Facts| sentence(&facts);
        assert_eq!(
            said(queued.clone()),
            "3 jobs of the queue images come before it, and the 2 workers that take it are busy."
        );
        assert_eq!(
            said(Facts { running_of_kind: 2, kind_concurrency: Some(2), ..queued.clone() }),
            "2 jobs run now of the kind resize, and no more may run at once."
        );
        assert_eq!(
            said(Facts { workers: 0, ..queued.clone() }),
            "No worker that takes the kind resize from the queue images is there now."
        );
        let trouble = Trouble {
            name: "resize/1".into(),
            kind: "resize".parse().expect("a name"),
            detail: "ended before it said hello (exit status 1)".to_owned(),
            faults: 3,
            next_start_at: Timestamp::from_ms(1_000),
        };
        assert_eq!(
            said(Facts { workers: 0, restarting: vec![trouble], ..queued.clone() }),
            "No worker runs the kind resize now: resize/1 ended before it said hello (exit status 1), 3 times in a row. \
             It is started again at 1970-01-01T00:00:01.000Z."
        );
        assert_eq!(
            said(Facts { workers: 0, queue_is_paused: true, queue_paused: Some(pause), ..queued }),
            "The queue images is paused by a client since 1970-01-01T00:00:02.000Z: nothing is handed out from it until \
             somebody resumes it."
        );
    }

    #[test]
    fn a_job_that_waits_for_the_rate_of_its_queue_says_when_the_next_may_start() {
        let held = Facts {
            queue_rate: Some("5/s".parse().expect("a rate")),
            next_start_at: Some(Timestamp::from_ms(1_200)),
            ..facts(StateName::Queued)
        };
        let next = "The queue images starts at most 5 jobs a second: the next may start at 1970-01-01T00:00:01.200Z";
        assert_eq!(sentence(&held), format!("{next}, and 3 jobs come before this one."));
        assert_eq!(sentence(&Facts { ahead: Some(0), ..held.clone() }), format!("{next}, and it is this one."));
        let full = Facts { running_in_queue: 1, queue_concurrency: Some(1), ..held };
        assert_eq!(sentence(&full), "1 job runs now from the queue images, and no more may run at once.");
    }

    #[test]
    fn an_ended_job_says_how_it_ended_and_what_it_met() {
        let error = JobError {
            code: "exit_status".into(),
            message: "exit 3".into(),
            details: None,
            retryable: true,
            attempt: 2,
        };
        let failed = Facts { reason: Some(Reason::AttemptsExhausted), error: Some(error), ..facts(StateName::Failed) };
        assert_eq!(sentence(&failed), "It failed: attempt 2 of 2 was the last (exit_status: exit 3).");
        let lost = Facts { reason: Some(Reason::Lost), lost_count: 6, error: None, ..failed };
        assert_eq!(
            sentence(&lost),
            "It failed: its worker or the server went away 6 times, more often than max_lost = 5."
        );
        let cancelled = Facts { reason: Some(Reason::DependencyFailed), attempt: 0, ..facts(StateName::Cancelled) };
        let expected = "It was cancelled because a job that it waited for did not complete, before it ran.";
        assert_eq!(sentence(&cancelled), expected);
    }

    #[test]
    fn a_job_that_waits_says_for_what_or_until_when() {
        assert_eq!(sentence(&facts(StateName::Scheduled)), "It waits for its time: at 1970-01-01T00:00:01.000Z.");
        let id = JobId::from(uuid::Uuid::nil());
        let blocked = Facts { waits_for: vec![id; 5], ..facts(StateName::Blocked) };
        assert!(sentence(&blocked).ends_with("and at least 2 more are completed."), "{}", sentence(&blocked));
    }
}
