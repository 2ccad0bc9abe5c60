//! What follows from an event. The only writer of the state; it cannot refuse (D2).
//!
//! An event that does not fit means corruption or a bug of ours, and we stop. An event changes the jobs that it names and
//! no other (D3), and only `jobs.forgotten` names several, so the whole of a job's life is [`change`], one event after the other.

use std::sync::Arc;

use crate::domain::batch::{Item, ItemState, Items};
use crate::domain::event::{
    Event, FirstState, JobAdopted, JobAmended, JobQueued, JobRetried, JobStarted, JobSubmitted, QueuedCause, Record,
};
use crate::domain::id::{FinishOrdinal, JobId, QueueName, Seq};
use crate::domain::job::{
    CancelRequest, EndedRun, Ending, Extras, Job, JobError, JobState, Lease, Reason, Run, RunEnd,
};
use crate::domain::queue::{Pause, Queue};
use crate::domain::rate::Spent;
use crate::domain::state::{After, EpochSpan, Slot, State, Stub, Worker};
use crate::domain::time::Timestamp;

/// Applies one record. Gives the job that it changed, as it is now; a finished one in full, for the last time.
pub fn evolve(state: &mut State, record: &Record) -> Option<Arc<Job>> {
    assert_eq!(record.seq, state.seq.next(), "the log is dense (L2)");
    assert!(record.at >= state.at, "time in the log never goes back (L2)");
    state.seq = record.seq;
    state.at = record.at;
    match &record.event {
        Event::EpochStarted(data) => {
            if let Some(span) = state.epochs.last_mut() {
                span.last = Some(Seq(record.seq.0 - 1));
            }
            state.epochs.push(EpochSpan { epoch: data.epoch, first: record.seq, last: None, started_at: record.at });
            None
        }
        Event::QueuePaused(_) | Event::QueueResumed(_) | Event::QueueDraining(_) | Event::QueueRateSpent(_) => {
            change_queue(state, record);
            None
        }
        Event::WorkerJoined(data) => {
            state.workers.insert(data.session, Worker { joined: data.clone(), joined_at: record.at });
            None
        }
        Event::WorkerLeft(data) => {
            state.workers.remove(&data.session);
            None
        }
        Event::ScheduleChanged(data) => {
            state.schedules.change(record.seq, data);
            None
        }
        Event::ScheduleFired(data) => {
            state.schedules.fire(record.at, data);
            None
        }
        Event::JobSubmitted(data) => Some(submit(state, record, data)),
        Event::JobRetried(data) => Some(put_active(state, retried(record, data))),
        Event::JobLateResult(data) => note_late(state, record, data.job),
        Event::JobsForgotten(data) => {
            data.jobs.iter().for_each(|&id| forget(state, id));
            None
        }
        Event::JobPurged(data) => {
            purge(state, record, data.job);
            None
        }
        Event::JobQueued(_)
        | Event::JobScheduled(_)
        | Event::JobStarted(_)
        | Event::JobProgressed(_)
        | Event::JobItemsAdded(_)
        | Event::JobItemsReported(_)
        | Event::JobCheckpointed(_)
        | Event::JobFileStored(_)
        | Event::JobAttemptFailed(_)
        | Event::JobAttemptLost(_)
        | Event::JobCancelRequested(_)
        | Event::JobCompleted(_)
        | Event::JobFailed(_)
        | Event::JobCancelled(_)
        | Event::JobAmended(_)
        | Event::JobAdopted(_) => Some(change_job(state, record)),
    }
}

/// Follows one job alone through its own records, in order: from its `job.submitted` or `job.retried` on, or on top of what
/// it was before. `finish` is the place that its end has among all endings, if it ends.
pub fn follow(job: Option<Job>, record: &Record, finish: FinishOrdinal) -> Option<Job> {
    match &record.event {
        Event::JobSubmitted(data) => Some(submitted(record, data)),
        Event::JobRetried(data) => Some(retried(record, data)),
        _ => job.map(|mut job| {
            change_with(&mut job, record, finish);
            job
        }),
    }
}

fn change_queue(state: &mut State, record: &Record) {
    match &record.event {
        Event::QueuePaused(data) => queue_of(state, &data.queue).pause = Some(pause(record)),
        Event::QueueResumed(data) => {
            let queue = queue_of(state, &data.queue);
            (queue.pause, queue.drain) = (None, None);
        }
        Event::QueueDraining(data) => queue_of(state, &data.queue).drain = Some(pause(record)),
        Event::QueueRateSpent(data) => {
            let spent = Spent { at: record.at, used_millionths: data.used_millionths };
            queue_of(state, &data.queue).spent = Some(spent);
        }
        _ => unreachable!("these are about no queue"),
    }
}

fn queue_of<'a>(state: &'a mut State, name: &QueueName) -> &'a mut Queue {
    state.queues.entry(name.clone()).or_default()
}

fn pause(record: &Record) -> Pause {
    Pause { at: record.at, by: record.actor.clone() }
}

fn submit(state: &mut State, record: &Record, data: &JobSubmitted) -> Arc<Job> {
    assert_eq!(data.job.ordinal(), state.last_ordinal.next(), "a job's id carries its ordinal (J4)");
    state.last_ordinal = data.job.ordinal();
    put_active(state, submitted(record, data))
}

fn submitted(record: &Record, data: &JobSubmitted) -> Job {
    let mut job = Job {
        id: data.job,
        seq: record.seq,
        submitted: record.seq,
        kind: data.kind.clone(),
        queue: data.queue.clone(),
        tags: (!data.tags.is_empty()).then(|| Arc::new(data.tags.clone())),
        policy: Arc::new(data.policy.clone()),
        relations: data.relations.clone().map(Arc::new),
        state: first_state(data.state),
        created_at: record.at,
        updated_at: record.at,
        queued_at: queued_at(data.state, record.at),
        attempt: 0,
        failures: 0,
        lost_count: 0,
        priority: data.priority,
        extras: None,
    };
    if !data.items.is_empty() {
        let mut items = Items::default();
        items.add(&data.items, record.seq);
        job.extras_mut().items = Some(items);
    }
    job
}

fn retried(record: &Record, data: &JobRetried) -> Job {
    let revived = &*data.revived;
    let items = revived.items.as_ref().map(|items| {
        Items::from_list(items.iter().map(|item| Item {
            key: item.key.clone(),
            state: item.state,
            added: item.added,
            reported: item.reported,
        }))
    });
    let extras = Extras { items, checkpoint: revived.checkpoint, files: revived.files.clone(), ..Extras::default() };
    Job {
        id: data.job,
        seq: record.seq,
        submitted: revived.submitted,
        kind: revived.kind.clone(),
        queue: revived.queue.clone(),
        tags: (!revived.tags.is_empty()).then(|| Arc::new(revived.tags.clone())),
        policy: Arc::new(revived.policy.clone()),
        relations: revived.relations.clone().map(Arc::new),
        state: first_state(data.state),
        created_at: revived.created_at,
        updated_at: record.at,
        queued_at: queued_at(data.state, record.at),
        attempt: 0,
        failures: 0,
        lost_count: 0,
        priority: revived.priority,
        extras: (extras != Extras::default()).then(|| Arc::new(extras)),
    }
}

fn first_state(first: FirstState) -> JobState {
    match first {
        FirstState::Queued => JobState::Queued,
        FirstState::Scheduled { scheduled_at } => JobState::Scheduled { scheduled_at },
        FirstState::Blocked { scheduled_at } => JobState::Blocked { scheduled_at },
    }
}

fn queued_at(first: FirstState, at: Timestamp) -> Option<Timestamp> {
    matches!(first, FirstState::Queued).then_some(at)
}

fn note_late(state: &mut State, record: &Record, id: JobId) -> Option<Arc<Job>> {
    let slot = state.slot(id).expect("a late result names a known job").clone();
    match slot {
        Slot::Active(_) => Some(change_job(state, record)),
        Slot::Finished(mut stub) => {
            let stub_now = Arc::make_mut(&mut stub);
            let (late, purged) = (stub_now.late().saturating_add(1), stub_now.purged());
            stub_now.after = Some(Box::new(After { seq: record.seq, late, purged }));
            put(state, Slot::Finished(stub));
            None
        }
    }
}

/// What was known of an ended job goes, with everything by which it was found.
fn forget(state: &mut State, id: JobId) {
    assert!(state.slot(id).is_some(), "only a known job is forgotten");
    match state.slots.set(id.ordinal(), None) {
        Some(Slot::Finished(stub)) => state.indexes.forget(&stub),
        Some(Slot::Active(_)) | None => unreachable!("only what has ended is forgotten (J2)"),
    }
}

fn purge(state: &mut State, record: &Record, id: JobId) {
    let Some(Slot::Finished(mut stub)) = state.slot(id).cloned() else {
        unreachable!("only what has ended is purged (J2)")
    };
    let purged = Arc::make_mut(&mut stub);
    purged.after = Some(Box::new(After { seq: record.seq, late: purged.late(), purged: Some(record.at) }));
    put(state, Slot::Finished(stub));
}

fn change_job(state: &mut State, record: &Record) -> Arc<Job> {
    let id = record.event.job().expect("an event that changes a job names it");
    let finish = FinishOrdinal(state.last_finish.0 + 1);
    // Where the indexes are kept they want to see the job as it was; else it is changed where it is.
    if !state.indexes.are_left_out() {
        let mut job = Job::clone(state.active(id).expect("an event changes an active job only (J2)"));
        change_with(&mut job, record, finish);
        return put_changed(state, record, Arc::new(job));
    }
    let slot = state.slots.get_mut(id.ordinal()).expect("an event changes a job that is known");
    let Slot::Active(job) = slot else { unreachable!("an event changes an active job only (J2)") };
    change_with(Arc::make_mut(job), record, finish);
    let job = job.clone();
    if job.ending().is_some() || matches!(record.event, Event::JobAmended(_)) {
        return put_changed(state, record, job);
    }
    job
}

fn change_with(job: &mut Job, record: &Record, finish: FinishOrdinal) {
    job.seq = record.seq;
    job.updated_at = record.at;
    change(job, record, finish);
}

fn put_changed(state: &mut State, record: &Record, mut job: Arc<Job>) -> Arc<Job> {
    if let Some(ending) = job.ending() {
        state.last_finish = ending.finish_ordinal;
        put(state, Slot::Finished(Arc::new(Stub::of(&job))));
        return job;
    }
    // Only then it may have names that others have too.
    if matches!(record.event, Event::JobAmended(_)) {
        state.intern_job(Arc::make_mut(&mut job));
        note_queue(state, &job);
    }
    put(state, Slot::Active(job.clone()));
    job
}

fn put_active(state: &mut State, mut job: Job) -> Arc<Job> {
    state.intern_job(&mut job);
    note_queue(state, &job);
    let job = Arc::new(job);
    put(state, Slot::Active(job.clone()));
    job
}

fn note_queue(state: &mut State, job: &Job) {
    if !state.queues.contains_key(&job.queue) {
        state.queues.insert(job.queue.clone(), Queue::default());
    }
}

fn put(state: &mut State, slot: Slot) {
    let ordinal = slot.id().ordinal();
    let before = state.slots.set(ordinal, Some(slot));
    let after = state.slots.get(ordinal).expect("it was put there just now");
    state.indexes.change(before.as_ref(), after, &state.slots);
}

fn change(job: &mut Job, record: &Record, finish: FinishOrdinal) {
    let at = record.at;
    match &record.event {
        Event::JobQueued(data) => queue(job, at, data),
        Event::JobScheduled(data) => job.state = JobState::Scheduled { scheduled_at: data.scheduled_at },
        Event::JobStarted(data) => start(job, at, data),
        Event::JobProgressed(data) => {
            let extras = job.extras_mut();
            extras.progress = Some(Arc::new(data.progress.clone()));
            extras.progress_at = Some(at);
        }
        Event::JobItemsAdded(data) => job.extras_mut().items.get_or_insert_default().add(&data.items, record.seq),
        Event::JobItemsReported(data) => {
            let items = job.extras_mut().items.get_or_insert_default();
            data.reports.iter().for_each(|report| items.report(&report.key, report.state, record.seq));
        }
        Event::JobCheckpointed(_) => job.extras_mut().checkpoint = Some(record.seq),
        Event::JobFileStored(data) => {
            let files = &mut job.extras_mut().files;
            files.retain(|file| file.name != data.file.name);
            files.push(data.file.clone());
        }
        Event::JobAttemptFailed(data) => {
            end_run(job, if data.timed_out { RunEnd::TimedOut } else { RunEnd::Failed });
            job.failures += 1;
            set_error(job, Some(&data.error));
            job.state = JobState::Retryable { scheduled_at: data.retry_at };
        }
        Event::JobAttemptLost(data) => {
            end_run(job, RunEnd::Lost);
            job.lost_count += u32::from(data.counted);
            job.state = JobState::Queued;
            job.queued_at = Some(at);
        }
        Event::JobCancelRequested(data) => {
            let JobState::Running(run) = &mut job.state else { unreachable!("only a running job is asked to stop") };
            Arc::make_mut(run).cancel = Some(CancelRequest { at, reason: data.reason, deadline: data.deadline });
        }
        Event::JobCompleted(data) => complete(job, record.seq, ending(at, None, finish), data.result.is_some()),
        Event::JobFailed(data) => {
            end_run(job, if data.reason == Reason::Timeout { RunEnd::TimedOut } else { RunEnd::Failed });
            job.failures += u32::from(data.error.is_some());
            set_error(job, data.error.as_ref());
            job.state = JobState::Failed(ending(at, Some(data.reason), finish));
        }
        Event::JobCancelled(data) => {
            end_run(job, data.run_ended.unwrap_or(RunEnd::Cancelled));
            set_error(job, data.error.as_ref());
            job.state = JobState::Cancelled(ending(at, Some(data.reason), finish));
        }
        Event::JobAmended(data) => amend(job, data),
        Event::JobAdopted(data) => adopt(job, data),
        Event::JobLateResult(_) => {
            let extras = job.extras_mut();
            extras.late = extras.late.saturating_add(1);
        }
        Event::JobSubmitted(_) | Event::JobRetried(_) => unreachable!("these make a job anew"),
        Event::EpochStarted(_)
        | Event::QueuePaused(_)
        | Event::QueueResumed(_)
        | Event::QueueDraining(_)
        | Event::QueueRateSpent(_)
        | Event::WorkerJoined(_)
        | Event::WorkerLeft(_)
        | Event::ScheduleChanged(_)
        | Event::ScheduleFired(_) => unreachable!("these are about no job"),
        Event::JobsForgotten(_) | Event::JobPurged(_) => unreachable!("these are about jobs that have ended"),
    }
}

fn adopt(job: &mut Job, data: &JobAdopted) {
    let JobState::Running(run) = &mut job.state else { unreachable!("only a running job is adopted") };
    let lease = &mut Arc::make_mut(run).lease;
    (lease.session, lease.worker) = (data.session, data.worker.clone());
}

fn queue(job: &mut Job, at: Timestamp, data: &JobQueued) {
    match data.cause {
        QueuedCause::Released | QueuedCause::WorkerLeft | QueuedCause::Shutdown => end_run(job, RunEnd::Released),
        QueuedCause::Due | QueuedCause::RetryDue | QueuedCause::DependenciesCompleted | QueuedCause::Amended => {}
    }
    job.state = JobState::Queued;
    job.queued_at = Some(at);
}

fn start(job: &mut Job, at: Timestamp, data: &JobStarted) {
    job.attempt = data.attempt;
    job.state = JobState::Running(Arc::new(Run {
        lease: Lease { session: data.session, worker: data.worker.clone(), token: data.token, place: data.place },
        started_at: at,
        timeout_at: data.timeout_at,
        cancel: None,
    }));
}

fn complete(job: &mut Job, seq: Seq, ending: Ending, has_result: bool) {
    end_run(job, RunEnd::Completed);
    let extras = job.extras_mut();
    extras.result = has_result.then_some(seq);
    extras.error = None;
    if let Some(items) = &mut extras.items {
        items.turn(&[ItemState::Pending], ItemState::Skipped);
    }
    job.state = JobState::Completed(ending);
}

/// Keeps what the end of a run leaves behind. Without a run there is nothing to do.
fn end_run(job: &mut Job, by: RunEnd) {
    let Some(run) = job.run().cloned() else { return };
    let cancel_requested_at = run.cancel.as_ref().map(|request| request.at);
    job.extras_mut().last_run = Some(EndedRun {
        session: run.lease.session,
        worker: run.lease.worker.clone(),
        token: run.lease.token,
        started_at: run.started_at,
        cancel_requested_at,
        by,
    });
}

fn set_error(job: &mut Job, error: Option<&JobError>) {
    if let Some(error) = error {
        job.extras_mut().error = Some(Arc::new(error.clone()));
    }
}

fn ending(finished_at: Timestamp, reason: Option<Reason>, finish_ordinal: FinishOrdinal) -> Ending {
    Ending { finished_at, reason, finish_ordinal }
}

fn amend(job: &mut Job, data: &JobAmended) {
    if let Some(priority) = data.priority {
        job.priority = priority;
    }
    if let Some(queue) = &data.queue {
        job.queue = queue.clone();
    }
    if let Some(tags) = &data.tags {
        job.tags = (!tags.is_empty()).then(|| Arc::new(tags.clone()));
    }
    let Some(at) = data.scheduled_at else { return };
    job.state = match &job.state {
        JobState::Scheduled { .. } | JobState::Queued => JobState::Scheduled { scheduled_at: at },
        JobState::Retryable { .. } => JobState::Retryable { scheduled_at: at },
        JobState::Blocked { .. } => JobState::Blocked { scheduled_at: Some(at) },
        JobState::Running(_) | JobState::Completed(_) | JobState::Failed(_) | JobState::Cancelled(_) => {
            unreachable!("only a waiting job is amended")
        }
    };
}
