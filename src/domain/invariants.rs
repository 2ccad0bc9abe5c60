//! What is true of every state, by name, and of every step from one state to the next.
//!
//! Property tests check all of it after each record; the engine checks the job that it has just changed, in debug
//! builds. Nothing here changes anything or decides anything: a broken invariant is a bug of ours.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::event::{Event, Record};
use crate::domain::id::{JobId, SessionId};
use crate::domain::job::{Job, JobState, StateName, UniqueScope};
use crate::domain::schedule::SCHEDULES_MAX;
use crate::domain::state::{Slot, State};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant} does not hold: {detail}")]
pub struct Broken {
    /// Its name, as ARCHITECTURE lists it.
    pub invariant: &'static str,
    pub detail: String,
}

type Check = Result<(), Broken>;

fn hold(invariant: &'static str, holds: bool, detail: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Broken { invariant, detail: detail() }) }
}

/// Checks everything that is true of a state. The cost grows with the number of jobs.
pub fn check(state: &State) -> Check {
    for slot in state.slots() {
        check_slot(state, slot)?;
    }
    let in_order = state.slots().map(|slot| slot.id().ordinal()).is_sorted_by(|one, next| one < next);
    hold("J4", in_order, || "the jobs do not stand in the order of their ordinals".into())?;
    leases_are_the_running_jobs(state)?;
    keys_are_unique(state)?;
    endings_are_numbered(state)?;
    counts_are_true(state)?;
    schedules_are_bounded(state)?;
    indexes_follow_from_the_jobs(state)
}

/// Checks what is true of one job. The cost does not grow with the number of jobs.
pub fn check_job(state: &State, job: JobId) -> Check {
    state.slot(job).map_or(Ok(()), |slot| check_slot(state, slot))
}

/// Checks what is true of the step that one record makes.
pub fn check_step(before: &State, record: &Record, after: &State) -> Check {
    the_log_is_dense(before, record, after)?;
    other_jobs_are_untouched(before, record, after)?;
    schedules_move_forward(before, record)?;
    what_is_forgotten_had_ended(before, record, after)?;
    let Some(id) = record.event.job() else { return Ok(()) };
    let known = before.slot(id);
    hold("L2", record.previous == known.map(Slot::last_seq), || format!("{record:?} breaks the trail of its job"))?;
    match known {
        Some(slot) => the_move_is_legal(slot, record, after),
        None => {
            let next = before.last_ordinal().next();
            let is_new = matches!(record.event, Event::JobSubmitted(_)) && id.ordinal() == next;
            hold("J4", is_new, || format!("{record:?} should submit the job number {}", next.0))
        }
    }
}

fn check_slot(state: &State, slot: &Slot) -> Check {
    ids_carry_ordinals(state, slot)?;
    let Slot::Active(job) = slot else { return Ok(()) };
    an_active_job_has_not_ended(job)?;
    attempts_and_losses_are_bounded(job)?;
    a_lease_has_a_live_session(state, job)?;
    nobody_waits_for_itself(job)?;
    blocked_jobs_wait_for_something(state, job)
}

/// J4: the id of a job carries its ordinal, and none is past the last that was given.
pub fn ids_carry_ordinals(state: &State, slot: &Slot) -> Check {
    let ordinal = slot.id().ordinal();
    let found = state.slots.get(ordinal).map(Slot::id);
    hold("J4", found == Some(slot.id()) && ordinal <= state.last_ordinal(), || format!("{:?} is misplaced", slot.id()))
}

/// J2: what has ended is a stub.
fn an_active_job_has_not_ended(job: &Job) -> Check {
    hold("J2", !job.is_terminal(), || format!("{:?} has ended and is held as active", job.id))
}

/// J3: attempts and losses are counted apart, and each is bounded.
pub fn attempts_and_losses_are_bounded(job: &Job) -> Check {
    let attempts = job.failures <= job.policy.max_attempts && job.attempt <= job.policy.max_attempts;
    let in_step = match job.state {
        JobState::Running(_) => job.attempt == job.failures + 1,
        _ => job.attempt == job.failures || job.attempt == job.failures + 1,
    };
    let losses = job.lost_count <= job.policy.max_lost.saturating_add(1);
    hold("J3", attempts && in_step && losses, || {
        format!("{:?}: attempt {}, failures {}, losses {}", job.id, job.attempt, job.failures, job.lost_count)
    })
}

/// J1: who holds a lease is a live session.
fn a_lease_has_a_live_session(state: &State, job: &Job) -> Check {
    let Some(run) = job.run() else { return Ok(()) };
    let session = run.lease.session;
    let listed = state.indexes().leases_of(session).any(|ordinal| ordinal == job.id.ordinal());
    hold("J1", state.worker(session).is_some() && listed, || format!("{:?} is held by the gone {session}", job.id))
}

/// J1: a job has at most one lease, and the leases of the sessions are exactly the running jobs.
pub fn leases_are_the_running_jobs(state: &State) -> Check {
    let running = state.jobs().filter_map(|job| job.run().map(|run| (run.lease.session, job.id.ordinal())));
    let running: BTreeSet<_> = running.collect();
    let sessions: BTreeSet<SessionId> = state.workers().map(|(&session, _)| session).collect();
    let leased = sessions.iter().flat_map(|&session| {
        let leases = state.indexes().leases_of(session);
        leases.map(move |ordinal| (session, ordinal))
    });
    let leased: BTreeSet<_> = leased.collect();
    hold("J1", running == leased, || format!("running {running:?}, leased {leased:?}"))
}

/// A job does not wait for itself.
fn nobody_waits_for_itself(job: &Job) -> Check {
    hold("no circles", !job.depends_on().contains(&job.id), || format!("{:?} waits for itself", job.id))
}

/// A job is blocked only while something that it waits for has not ended, or until its fate is settled; and nothing
/// else is to be settled.
pub fn blocked_jobs_wait_for_something(state: &State, job: &Job) -> Check {
    let unsettled = state.indexes().unsettled().contains(&job.id.ordinal());
    let is_open = |id: &JobId| state.active(*id).is_some();
    let fits = match job.state {
        JobState::Blocked { .. } => unsettled || job.depends_on().iter().any(is_open),
        _ => !unsettled,
    };
    hold("blocked jobs wait", fits, || format!("{:?} is {:?}, unsettled: {unsettled}", job.id, job.state_name()))
}

/// A unique key is held once among the active jobs of a kind, and once among the children of a parent for good.
pub fn keys_are_unique(state: &State) -> Check {
    let mut kinds = BTreeMap::new();
    let mut parents = BTreeMap::new();
    for slot in state.slots() {
        let Some(relations) = slot.relations() else { continue };
        let Some(unique) = &relations.unique_key else { continue };
        let earlier = match (unique.scope, slot) {
            (UniqueScope::Kind, Slot::Active(job)) => kinds.insert((job.kind.clone(), unique.key.clone()), job.id),
            (UniqueScope::Kind, Slot::Finished(_)) => None,
            (UniqueScope::Parent, _) => parents.insert((relations.parent, unique.key.clone()), slot.id()),
        };
        let key = &unique.key;
        hold("unique keys", earlier.is_none(), || format!("{:?} and {earlier:?} have the key {key}", slot.id()))?;
    }
    Ok(())
}

/// Every ending has a number of its own, not past the last that was given.
pub fn endings_are_numbered(state: &State) -> Check {
    let mut numbers = BTreeSet::new();
    for stub in state.stubs() {
        let is_new = numbers.insert(stub.finish_ordinal) && stub.finish_ordinal <= state.last_finish;
        hold("finish ordinals", is_new, || format!("{:?} has {:?}", stub.id, stub.finish_ordinal))?;
    }
    Ok(())
}

/// What is counted is what is there: queued jobs in their lines, items in their states.
pub fn counts_are_true(state: &State) -> Check {
    let in_lines: u64 = state.indexes().ready().lines().map(|(_, _, line)| line.len()).sum();
    let queued = state.jobs().filter(|job| job.state_name() == StateName::Queued).count() as u64;
    hold("counts", in_lines == queued, || format!("{queued} jobs are queued, {in_lines} stand in lines"))?;
    for job in state.jobs() {
        let Some(items) = job.items() else { continue };
        let again = crate::domain::batch::Items::from_list(items.list().iter().cloned());
        hold("counts", again == *items, || format!("{:?} has miscounted its items", job.id))?;
    }
    Ok(())
}

/// There are only so many schedules: each is held in memory.
pub fn schedules_are_bounded(state: &State) -> Check {
    let count = state.schedules().len();
    hold("schedules are bounded", count <= SCHEDULES_MAX, || format!("there are {count} schedules"))
}

/// A schedule is fired for its next time or a later one, and its next time after that lies further ahead: no time
/// counts twice.
fn schedules_move_forward(before: &State, record: &Record) -> Check {
    let Event::ScheduleFired(data) = &record.event else { return Ok(()) };
    let next_at = before.schedules().get(&data.name).and_then(|schedule| schedule.next_at);
    let is_due = next_at.is_some_and(|next_at| next_at <= data.due_at);
    let is_ahead = data.next_at.is_none_or(|next_at| next_at > data.due_at);
    hold("schedules move forward", is_due && is_ahead, || format!("{record:?} follows {next_at:?}"))
}

/// The indexes follow from the jobs alone: read back from its parts, the state is the same.
pub fn indexes_follow_from_the_jobs(state: &State) -> Check {
    let again = State::from_parts(state.globals(), state.slots().cloned());
    hold("indexes", again == *state, || format!("folded {:?}\nread back {:?}", state.indexes(), again.indexes()))
}

/// L2: record n+1 follows n, and time does not go back.
fn the_log_is_dense(before: &State, record: &Record, after: &State) -> Check {
    let dense = record.seq == before.seq().next() && record.at >= before.at();
    hold("L2", dense && after.seq() == record.seq && after.at() == record.at, || format!("{record:?} does not follow"))
}

/// D3: an event changes the jobs that it names and no other.
pub fn other_jobs_are_untouched(before: &State, record: &Record, after: &State) -> Check {
    let named: BTreeSet<JobId> = record.event.jobs().collect();
    let others = |state: &State| state.slots().filter(|slot| !named.contains(&slot.id())).cloned().collect::<Vec<_>>();
    hold("D3", others(before) == others(after), || format!("{record:?} changed a job that it does not name"))
}

/// Only what has ended is forgotten, and then nothing is known of it; a child with a key of its own stays as long as its
/// parent, and what has not completed as long as somebody waits for it.
fn what_is_forgotten_had_ended(before: &State, record: &Record, after: &State) -> Check {
    let Event::JobsForgotten(data) = &record.event else { return Ok(()) };
    for &id in &data.jobs {
        let gone = match before.slot(id) {
            Some(Slot::Finished(stub)) => Some(stub),
            Some(Slot::Active(_)) | None => None,
        };
        let had_ended = gone.is_some() && after.slot(id).is_none();
        hold("what is forgotten had ended", had_ended, || format!("{record:?} forgets {id}"))?;
        let relations = gone.and_then(|stub| stub.relations.as_ref());
        let is_keyed =
            relations.and_then(|it| it.unique_key.as_ref()).is_some_and(|it| it.scope == UniqueScope::Parent);
        let parent = relations.and_then(|relations| relations.parent).filter(|_| is_keyed);
        let is_orphan = parent.is_none_or(|parent| after.slot(parent).is_none());
        hold("unique keys", is_orphan, || format!("{record:?} frees the key of {id}, and its parent is there"))?;
        let waits = |job: &&std::sync::Arc<Job>| {
            matches!(job.state, JobState::Blocked { .. }) && job.depends_on().contains(&id)
        };
        let nobody_waits = after.jobs().find(waits).is_none();
        hold("blocked jobs wait", nobody_waits, || format!("{record:?} forgets {id}, and somebody waits for it"))?;
    }
    Ok(())
}

/// J2 and the table of moves: which state may follow which.
fn the_move_is_legal(before: &Slot, record: &Record, after: &State) -> Check {
    use StateName::{Blocked, Cancelled, Completed, Failed, Queued, Retryable, Running, Scheduled};
    let now = after.slot(before.id()).map(Slot::state_name);
    let now = now.ok_or_else(|| Broken { invariant: "D3", detail: format!("{record:?} lost its job") })?;
    let from = before.state_name();
    let fits = match (from, now) {
        (Completed | Failed | Cancelled, Queued | Blocked) => matches!(record.event, Event::JobRetried(_)),
        (Completed | Failed | Cancelled, _) => {
            from == now && matches!(record.event, Event::JobLateResult(_) | Event::JobPurged(_))
        }
        (Scheduled, Scheduled | Queued | Cancelled) => true,
        // A lost run is queued, and fails or is cancelled in the same group when it was one loss too many.
        (Queued, Queued | Running | Scheduled | Cancelled | Failed) => true,
        (Blocked, Blocked | Queued | Scheduled | Cancelled) => true,
        (Running, Running | Queued | Retryable | Completed | Failed | Cancelled) => true,
        (Retryable, Retryable | Queued | Cancelled) => true,
        (Scheduled | Queued | Blocked | Running | Retryable, _) => false,
    };
    hold("J2", fits, || format!("{record:?} moved its job from {from:?} to {now:?}"))
}

#[cfg(test)]
mod tests;
