//! A small world for the tests of views and stores: jobs that live through plausible histories, and the pages that tell
//! of them. It makes the jobs itself, so that the tests need neither `decide` nor `evolve`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::domain::event::{
    Actor, Event, FirstState, JobAmended, JobAttemptLost, JobCancelled, JobCompleted, JobFailed, JobProgressed,
    JobRetried, JobStarted, JobSubmitted, JobsForgotten, LossCause, Record, Revived, WorkerJoined,
};
use crate::domain::id::{
    FinishOrdinal, JobId, KindName, Ordinal as JobOrdinal, QueueName, Seq, SessionId, Tag, TokenHash,
};
use crate::domain::job::{
    EndedRun, Ending, Job, JobError, JobState, Lease, Progress, Reason, Relations, Run, RunEnd, StateName, WorkerPlace,
};
use crate::domain::json::Json;
use crate::domain::retry::Policy;
use crate::domain::state::Stub;
use crate::domain::time::{Millis, Timestamp};
use crate::feed::Page;
use crate::log::{LogReader, ReadError};
use crate::views::{FinishedStore, MemoryFinished, Parts, Views};

/// The moment at which every world begins.
pub const BEGIN_MS: i64 = 1_790_000_000_000;

/// Records in memory, in pages of a fixed length.
#[derive(Debug, Default)]
pub struct TestLog {
    pub records: Mutex<Vec<Record>>,
    pub reads: Mutex<usize>,
}

const RECORDS_A_PAGE: u64 = 100;

impl LogReader for TestLog {
    fn earliest(&self) -> Seq {
        Seq(1)
    }

    fn last(&self) -> Seq {
        Seq(self.records.lock().len() as u64)
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        *self.reads.lock() += 1;
        Ok(self.records.lock()[seq.0 as usize - 1].clone())
    }

    fn is_at_hand(&self, seq: Seq) -> bool {
        (self.earliest()..=self.last()).contains(&seq)
    }

    fn page_after(&self, after: Seq) -> Result<Vec<Record>, ReadError> {
        *self.reads.lock() += 1;
        let records = self.records.lock();
        let end = ((after.0 / RECORDS_A_PAGE + 1) * RECORDS_A_PAGE).min(records.len() as u64);
        Ok(records[after.0 as usize..end as usize].to_vec())
    }
}

/// What a test submits.
#[derive(Debug, Clone)]
pub struct New {
    pub kind: &'static str,
    pub queue: &'static str,
    pub tags: Vec<Tag>,
    pub parent: Option<JobId>,
    pub state: FirstState,
    pub args: String,
}

impl Default for New {
    fn default() -> New {
        New {
            kind: "k",
            queue: "default",
            tags: Vec::new(),
            parent: None,
            state: FirstState::Queued,
            args: "{}".into(),
        }
    }
}

/// Jobs, their log and their views.
pub struct World {
    pub jobs: Vec<Arc<Job>>,
    pub log: Arc<TestLog>,
    pub store: Arc<dyn FinishedStore>,
    pub views: Views,
    clock: AtomicI64,
    policy: Arc<Policy>,
    seq: Seq,
    last_finish: FinishOrdinal,
    records: Vec<Record>,
    changed: BTreeMap<JobId, Arc<Job>>,
    gone: BTreeSet<JobId>,
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

impl World {
    pub fn new() -> World {
        World::on(Arc::new(MemoryFinished::default()))
    }

    pub fn on(store: Arc<dyn FinishedStore>) -> World {
        let log = Arc::new(TestLog::default());
        let clock = AtomicI64::new(BEGIN_MS);
        let views = Views::from_parts(no_parts(), store.clone(), log.clone());
        World {
            jobs: Vec::new(),
            log,
            store,
            views,
            clock,
            policy: Arc::default(),
            seq: Seq::ZERO,
            last_finish: FinishOrdinal(0),
            records: Vec::new(),
            changed: BTreeMap::new(),
            gone: BTreeSet::new(),
        }
    }

    /// The views as a restart builds them.
    pub fn rebuilt(&self) -> Views {
        let stubs: Vec<_> = self.known().filter(|job| job.is_terminal()).map(|job| Arc::new(stub_of(job))).collect();
        let parts = Parts {
            seq: self.seq,
            jobs: Box::new(self.known().filter(|job| !job.is_terminal())),
            stubs: Box::new(stubs.iter()),
            ..no_parts()
        };
        Views::from_parts(parts, self.store.clone(), self.log.clone())
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.clock.load(Ordering::Relaxed))
    }

    pub fn pass(&self, span: Millis) {
        self.clock.fetch_add(span.0 as i64, Ordering::Relaxed);
    }

    pub fn job(&self, id: JobId) -> &Arc<Job> {
        &self.jobs[id.ordinal().0 as usize - 1]
    }

    /// The jobs that are not forgotten.
    pub fn known(&self) -> impl DoubleEndedIterator<Item = &Arc<Job>> {
        self.jobs.iter().filter(|job| self.knows(job.id))
    }

    pub fn knows(&self, id: JobId) -> bool {
        !self.gone.contains(&id)
    }

    /// A job that has ended is forgotten, in a commit of its own.
    pub fn forget(&mut self, id: JobId) {
        self.commit();
        self.record(JobsForgotten { jobs: vec![id] });
        self.gone.insert(id);
        self.show(vec![Arc::new(stub_of(self.job(id)))]);
    }

    /// Shows what happened since the last commit.
    pub fn commit(&mut self) {
        if !self.records.is_empty() {
            self.show(Vec::new());
        }
    }

    fn show(&mut self, forgotten: Vec<Arc<Stub>>) {
        self.log.records.lock().extend(self.records.iter().cloned());
        let jobs = std::mem::take(&mut self.changed).into_values().collect();
        let records = std::mem::take(&mut self.records).into();
        let page = Page { records, jobs, before: Vec::new(), forgotten };
        self.views.apply(&page).expect("the store takes finished jobs");
    }

    pub fn record(&mut self, event: impl Into<Event>) -> Seq {
        self.seq = self.seq.next();
        self.records.push(Record {
            seq: self.seq,
            at: self.now(),
            previous: None,
            actor: Actor::CLIENT,
            continues: false,
            event: event.into(),
        });
        self.seq
    }

    pub fn submit(&mut self, new: New) -> JobId {
        let ordinal = JobOrdinal(self.jobs.len() as u64 + 1);
        let id = JobId::new(self.now(), ordinal, ordinal.0 * 7919);
        let root = new.parent.map(|parent| self.job(parent).root());
        let relations = Relations { parent: new.parent, root, ..Relations::default() };
        let relations = new.parent.is_some().then_some(relations);
        let event = JobSubmitted {
            job: id,
            kind: kind(new.kind),
            queue: queue(new.queue),
            priority: 0,
            args: Json::from_checked(new.args),
            tags: new.tags.clone(),
            policy: Policy::clone(&self.policy),
            state: new.state,
            relations: relations.clone(),
            items: Vec::new(),
        };
        let seq = self.record(event);
        let job = Job {
            id,
            seq,
            submitted: seq,
            kind: kind(new.kind),
            queue: queue(new.queue),
            tags: (!new.tags.is_empty()).then(|| Arc::new(new.tags)),
            policy: self.policy.clone(),
            relations: relations.map(Arc::new),
            state: first_state(new.state),
            created_at: self.now(),
            updated_at: self.now(),
            queued_at: (new.state == FirstState::Queued).then(|| self.now()),
            attempt: 0,
            failures: 0,
            lost_count: 0,
            priority: 0,
            extras: None,
        };
        self.jobs.push(Arc::new(job));
        self.touch(id);
        id
    }

    pub fn join(&mut self, session: SessionId, name: &str) {
        self.record(WorkerJoined {
            session,
            name: name.into(),
            kinds: vec![kind("k")],
            queues: None,
            place: WorkerPlace::Remote,
        });
    }

    pub fn start(&mut self, id: JobId, session: SessionId) {
        let attempt = self.job(id).attempt + 1;
        let token = TokenHash([attempt as u8; 16]);
        let event = JobStarted {
            job: id,
            attempt,
            session,
            worker: "w".into(),
            token,
            place: WorkerPlace::Remote,
            timeout_at: None,
        };
        let lease = Lease { session, worker: "w".into(), token, place: WorkerPlace::Remote };
        let run = Run { lease, started_at: self.now(), timeout_at: None, cancel: None };
        self.change(id, event, |job| {
            job.attempt = attempt;
            job.state = JobState::Running(Arc::new(run));
        });
    }

    pub fn progress(&mut self, id: JobId, percent: f64) {
        let progress = Progress { percent: Some(percent), ..Progress::default() };
        let event = JobProgressed { job: id, progress: progress.clone() };
        self.change(id, event, |job| job.extras_mut().progress = Some(Arc::new(progress)));
    }

    pub fn finish(&mut self, id: JobId, state: StateName) {
        let error = JobError {
            code: "boom".into(),
            message: "The Engine broke".into(),
            details: None,
            retryable: false,
            attempt: 1,
        };
        let event = match state {
            StateName::Completed => Event::from(JobCompleted { job: id, result: None }),
            StateName::Failed => JobFailed { job: id, reason: Reason::NotRetryable, error: Some(error.clone()) }.into(),
            StateName::Cancelled => {
                JobCancelled { job: id, reason: Reason::CancelledByRequest, error: None, run_ended: None }.into()
            }
            other => panic!("{other:?} is no end"),
        };
        self.last_finish = FinishOrdinal(self.last_finish.0 + 1);
        let (at, finish_ordinal) = (self.now(), self.last_finish);
        self.change(id, event, |job| {
            end_run(job);
            let ending = |reason| Ending { finished_at: at, reason, finish_ordinal };
            job.state = match state {
                StateName::Failed => {
                    job.extras_mut().error = Some(Arc::new(error));
                    JobState::Failed(ending(Some(Reason::NotRetryable)))
                }
                StateName::Cancelled => JobState::Cancelled(ending(Some(Reason::CancelledByRequest))),
                _ => JobState::Completed(ending(None)),
            };
        });
    }

    /// Queues a job again: a finished one by hand, a running one because it was lost.
    pub fn requeue(&mut self, id: JobId) {
        let at = self.now();
        let job = self.job(id);
        let event = if job.is_terminal() {
            Event::from(retried(job))
        } else {
            JobAttemptLost { job: id, attempt: job.attempt, cause: LossCause::ConnectionLost, counted: true }.into()
        };
        self.change(id, event, |job| {
            end_run(job);
            job.state = JobState::Queued;
            job.queued_at = Some(at);
        });
    }

    pub fn amend(&mut self, id: JobId, to: &'static str, tags: Vec<Tag>) {
        let event = JobAmended {
            job: id,
            priority: None,
            queue: Some(queue(to)),
            scheduled_at: None,
            tags: Some(tags.clone()),
        };
        self.change(id, event, |job| {
            job.queue = queue(to);
            job.tags = (!tags.is_empty()).then(|| Arc::new(tags));
        });
    }

    fn change(&mut self, id: JobId, event: impl Into<Event>, change: impl FnOnce(&mut Job)) {
        let seq = self.record(event);
        let now = self.now();
        let job = Arc::make_mut(&mut self.jobs[id.ordinal().0 as usize - 1]);
        job.seq = seq;
        job.updated_at = now;
        change(job);
        self.touch(id);
    }

    fn touch(&mut self, id: JobId) {
        self.changed.insert(id, self.job(id).clone());
    }
}

pub fn no_parts<'a>() -> Parts<'a> {
    Parts {
        seq: Seq::ZERO,
        jobs: Box::new(std::iter::empty()),
        stubs: Box::new(std::iter::empty()),
        queues: Box::new(std::iter::empty()),
        workers: Box::new(std::iter::empty()),
        schedules: Default::default(),
        newest: JobOrdinal::default(),
    }
}

pub fn kind(name: &str) -> KindName {
    name.parse().expect("a name")
}

pub fn queue(name: &str) -> QueueName {
    name.parse().expect("a name")
}

pub fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

pub fn stub_of(job: &Job) -> Stub {
    let ending = job.ending().expect("only finished jobs have stubs");
    Stub {
        after: None,
        id: job.id,
        seq: job.seq,
        state: job.state_name(),
        reason: ending.reason,
        kind: job.kind.clone(),
        queue: job.queue.clone(),
        tags: job.tags.clone(),
        relations: job.relations.clone(),
        finished_at: ending.finished_at,
        finish_ordinal: ending.finish_ordinal,
        last_run: None,
        items_to_redo: false,
    }
}

fn retried(job: &Job) -> JobRetried {
    let revived = Revived {
        submitted: job.submitted,
        kind: job.kind.clone(),
        queue: job.queue.clone(),
        priority: job.priority,
        tags: job.tags().to_vec(),
        policy: Policy::clone(&job.policy),
        relations: job.relations.as_deref().cloned(),
        created_at: job.created_at,
        items: None,
        checkpoint: None,
        files: Vec::new(),
    };
    JobRetried { job: job.id, only_failed_items: false, state: FirstState::Queued, revived: Box::new(revived) }
}

fn first_state(first: FirstState) -> JobState {
    match first {
        FirstState::Queued => JobState::Queued,
        FirstState::Scheduled { scheduled_at } => JobState::Scheduled { scheduled_at },
        FirstState::Blocked { scheduled_at } => JobState::Blocked { scheduled_at },
    }
}

fn end_run(job: &mut Job) {
    let Some(run) = job.run().cloned() else { return };
    job.extras_mut().last_run = Some(EndedRun {
        session: run.lease.session,
        worker: run.lease.worker.clone(),
        token: run.lease.token,
        started_at: run.started_at,
        cancel_requested_at: None,
        by: RunEnd::Lost,
    });
}
