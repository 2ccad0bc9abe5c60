//! What decisions need to know: active jobs, stubs of finished ones, queues, workers, epochs, and the indexes over them.
//!
//! The only writer is `evolve`. The indexes follow from the jobs alone, so that a state that was read back from its
//! parts is equal to the one that was folded.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::event::WorkerJoined;
use crate::domain::id::{Epoch, FinishOrdinal, JobId, KindName, Ordinal, QueueName, Seq, SessionId, Tag, TokenHash};
use crate::domain::index::Indexes;
use crate::domain::job::{Job, Reason, Relations, RunEnd, StateName};
use crate::domain::pool::Pool;
use crate::domain::queue::Queue;
use crate::domain::rate::Spent;
use crate::domain::retry::Policy;
use crate::domain::schedule::Schedules;
use crate::domain::slots::Slots;
use crate::domain::time::Timestamp;

/// The whole state, as of [`State::seq`].
#[derive(Debug, Clone)]
pub struct State {
    pub(in crate::domain) seq: Seq,
    pub(in crate::domain) at: Timestamp,
    pub(in crate::domain) epochs: Vec<EpochSpan>,
    pub(in crate::domain) slots: Slots,
    pub(in crate::domain) last_ordinal: Ordinal,
    pub(in crate::domain) last_finish: FinishOrdinal,
    pub(in crate::domain) queues: BTreeMap<QueueName, Queue>,
    pub(in crate::domain) workers: BTreeMap<SessionId, Worker>,
    pub(in crate::domain) schedules: Schedules,
    names: Pool<str>,
    policies: Pool<Policy>,
    pub(in crate::domain) indexes: Indexes,
}

/// Equal states decide equally. What jobs share in memory is no part of it.
impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.globals() == other.globals() && self.slots().eq(other.slots()) && self.indexes == other.indexes
    }
}

/// One run of the server, as the log tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochSpan {
    pub epoch: Epoch,
    /// The seq of its `epoch.started`.
    pub first: Seq,
    /// Its last durable seq; none for the present one.
    pub last: Option<Seq>,
    pub started_at: Timestamp,
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    pub joined: WorkerJoined,
    pub joined_at: Timestamp,
}

/// What is kept in memory of a finished job: enough to find it, to refuse, and to repeat an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Stub {
    pub id: JobId,
    /// The seq of the event that ended the job.
    pub seq: Seq,
    /// What happened after the end; for most jobs nothing.
    pub after: Option<Box<After>>,
    pub state: StateName,
    pub reason: Option<Reason>,
    pub kind: KindName,
    pub queue: QueueName,
    pub tags: Option<Arc<Vec<Tag>>>,
    pub relations: Option<Arc<Relations>>,
    pub finished_at: Timestamp,
    pub finish_ordinal: FinishOrdinal,
    /// The token of the last run and what ended it: proves a repeated call.
    pub last_run: Option<(TokenHash, RunEnd)>,
    /// Whether a batch has failed or skipped items, which a retry could do again.
    pub items_to_redo: bool,
}

/// What happened to a job after its end.
#[derive(Debug, Clone, PartialEq)]
pub struct After {
    /// The job's last event.
    pub seq: Seq,
    /// How many late results were noted.
    pub late: u8,
    /// When its payloads were taken out of every answer.
    pub purged: Option<Timestamp>,
}

impl Stub {
    /// What is kept of a job that has just ended.
    pub fn of(job: &Job) -> Stub {
        let ending = job.ending().expect("a stub is made of a job that has ended");
        let items = job.items().map(|items| items.counts()).unwrap_or_default();
        let late = job.extras.as_ref().map(|extras| extras.late).filter(|&late| late > 0);
        Stub {
            id: job.id,
            seq: job.seq,
            after: late.map(|late| Box::new(After { seq: job.seq, late, purged: None })),
            state: job.state_name(),
            reason: ending.reason,
            kind: job.kind.clone(),
            queue: job.queue.clone(),
            tags: job.tags.clone(),
            relations: job.relations.clone(),
            finished_at: ending.finished_at,
            finish_ordinal: ending.finish_ordinal,
            last_run: job.last_run().map(|run| (run.token, run.by)),
            items_to_redo: items.failed + items.skipped > 0,
        }
    }

    /// The seq of the job's last event.
    pub fn last_seq(&self) -> Seq {
        self.after.as_ref().map_or(self.seq, |after| after.seq)
    }

    /// How many late results were noted.
    pub fn late(&self) -> u8 {
        self.after.as_ref().map_or(0, |after| after.late)
    }

    /// When its payloads were taken out of every answer, if they were.
    pub fn purged(&self) -> Option<Timestamp> {
        self.after.as_ref()?.purged
    }

    /// The jobs it waited for.
    pub fn depends_on(&self) -> &[JobId] {
        self.relations.as_ref().map_or(&[], |relations| relations.depends_on.as_slice())
    }
}

/// What the state knows of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Slot {
    Active(Arc<Job>),
    Finished(Arc<Stub>),
}

impl Slot {
    /// The job's id.
    pub fn id(&self) -> JobId {
        match self {
            Slot::Active(job) => job.id,
            Slot::Finished(stub) => stub.id,
        }
    }

    /// The name of the state that the job is in.
    pub fn state_name(&self) -> StateName {
        match self {
            Slot::Active(job) => job.state_name(),
            Slot::Finished(stub) => stub.state,
        }
    }

    /// The seq of the job's last event.
    pub fn last_seq(&self) -> Seq {
        match self {
            Slot::Active(job) => job.seq,
            Slot::Finished(stub) => stub.last_seq(),
        }
    }

    /// How the job stands to others.
    pub fn relations(&self) -> Option<&Arc<Relations>> {
        match self {
            Slot::Active(job) => job.relations.as_ref(),
            Slot::Finished(stub) => stub.relations.as_ref(),
        }
    }
}

impl Default for State {
    fn default() -> State {
        State {
            seq: Seq::ZERO,
            at: Timestamp::from_ms(0),
            epochs: Vec::new(),
            slots: Slots::default(),
            last_ordinal: Ordinal::default(),
            last_finish: FinishOrdinal::default(),
            queues: BTreeMap::new(),
            workers: BTreeMap::new(),
            schedules: Schedules::default(),
            names: Pool::default(),
            policies: Pool::default(),
            indexes: Indexes::default(),
        }
    }
}

/// The parts of a state that are not jobs: with the jobs and stubs they make the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Globals {
    pub seq: Seq,
    pub at: Timestamp,
    pub epochs: Vec<EpochSpan>,
    pub last_ordinal: Ordinal,
    pub last_finish: FinishOrdinal,
    pub queues: BTreeMap<QueueName, Queue>,
    pub workers: BTreeMap<SessionId, Worker>,
    pub schedules: Schedules,
}

impl State {
    /// Puts a state together again from its parts. Slots may come in any order.
    pub fn from_parts(globals: Globals, slots: impl IntoIterator<Item = Slot>) -> State {
        State::from_parts_without_indexes(globals, slots).with_indexes()
    }

    /// The same, without indexes.
    pub fn from_parts_without_indexes(globals: Globals, slots: impl IntoIterator<Item = Slot>) -> State {
        let mut state = State {
            seq: globals.seq,
            at: globals.at,
            epochs: globals.epochs,
            last_ordinal: globals.last_ordinal,
            last_finish: globals.last_finish,
            // Older snapshots have a row for every name that a job ever had.
            queues: globals.queues.into_iter().filter(|(_, queue)| *queue != Queue::default()).collect(),
            workers: globals.workers,
            schedules: globals.schedules,
            ..State::default().without_indexes()
        };
        for slot in slots {
            let slot = state.intern_slot(slot);
            state.slots.set(slot.id().ordinal(), Some(slot));
        }
        state
    }

    /// Leaves the indexes out: events are folded faster, and nothing can be decided until [`State::with_indexes`].
    pub fn without_indexes(mut self) -> State {
        self.indexes = Indexes::left_out();
        self
    }

    /// Builds the indexes, if they were left out.
    pub fn with_indexes(mut self) -> State {
        if self.indexes.are_left_out() {
            self.indexes = Indexes::build(&self.slots);
        }
        self
    }

    /// The parts that are not jobs.
    pub fn globals(&self) -> Globals {
        Globals {
            seq: self.seq,
            at: self.at,
            epochs: self.epochs.clone(),
            last_ordinal: self.last_ordinal,
            last_finish: self.last_finish,
            queues: self.queues.clone(),
            workers: self.workers.clone(),
            schedules: self.schedules.clone(),
        }
    }

    /// The seq of the last event that was applied.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The moment of the last event.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The runs of the server, oldest first.
    pub fn epochs(&self) -> &[EpochSpan] {
        &self.epochs
    }

    /// The ordinal of the last submitted job.
    pub fn last_ordinal(&self) -> Ordinal {
        self.last_ordinal
    }

    /// What is known of a job.
    pub fn slot(&self, id: JobId) -> Option<&Slot> {
        self.slots.get(id.ordinal()).filter(|slot| slot.id() == id)
    }

    /// What is known of the job with this ordinal.
    pub fn slot_at(&self, ordinal: Ordinal) -> Option<&Slot> {
        self.slots.get(ordinal)
    }

    /// Adds what was known of a job to a state that was put together without it. Only for a state without indexes, and
    /// before an event names the job.
    pub fn recall(&mut self, slot: Slot) {
        debug_assert!(self.indexes.are_left_out(), "who decides knows every job");
        let slot = self.intern_slot(slot);
        self.slots.set(slot.id().ordinal(), Some(slot));
    }

    /// A job that has not ended.
    pub fn active(&self, id: JobId) -> Option<&Arc<Job>> {
        match self.slot(id)? {
            Slot::Active(job) => Some(job),
            Slot::Finished(_) => None,
        }
    }

    /// All jobs, by ordinal.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = &Slot> {
        self.slots.iter()
    }

    /// The jobs that have not ended, by ordinal.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Active(job) => Some(job),
            Slot::Finished(_) => None,
        })
    }

    /// The jobs that have ended, by ordinal.
    pub fn stubs(&self) -> impl Iterator<Item = &Arc<Stub>> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Active(_) => None,
            Slot::Finished(stub) => Some(stub),
        })
    }

    /// The queues to which something was done that still counts: a pause, a drain, starts at a rate.
    pub fn queues(&self) -> impl Iterator<Item = (&QueueName, &Queue)> {
        self.queues.iter()
    }

    /// Whether a queue hands out nothing.
    pub fn is_paused(&self, queue: &QueueName) -> bool {
        self.queues.get(queue).is_some_and(|queue| queue.pause.is_some())
    }

    /// Whether a queue takes no new jobs.
    pub fn is_draining(&self, queue: &QueueName) -> bool {
        self.queues.get(queue).is_some_and(|queue| queue.drain.is_some())
    }

    /// What was started last from a queue that had a rate.
    pub fn spent(&self, queue: &QueueName) -> Option<Spent> {
        self.queues.get(queue).and_then(|queue| queue.spent)
    }

    /// The live sessions.
    pub fn workers(&self) -> impl Iterator<Item = (&SessionId, &Worker)> {
        self.workers.iter()
    }

    /// The session, if it is live.
    pub fn worker(&self, session: SessionId) -> Option<&Worker> {
        self.workers.get(&session)
    }

    /// The schedules.
    pub fn schedules(&self) -> &Schedules {
        &self.schedules
    }

    /// The indexes over the jobs.
    pub fn indexes(&self) -> &Indexes {
        &self.indexes
    }

    /// The earliest moment at which time alone makes something happen.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.indexes.next_due()
    }

    /// The first moment at which time ends a run.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.indexes.next_deadline()
    }

    fn intern_slot(&mut self, slot: Slot) -> Slot {
        match slot {
            Slot::Active(mut job) => {
                self.intern_job(Arc::make_mut(&mut job));
                Slot::Active(job)
            }
            Slot::Finished(mut stub) => {
                let inner = Arc::make_mut(&mut stub);
                inner.kind = KindName::from_checked(self.names.share(inner.kind.shared()));
                inner.queue = QueueName::from_checked(self.names.share(inner.queue.shared()));
                Slot::Finished(stub)
            }
        }
    }

    /// Lets a job share the texts and settings that other jobs have too.
    pub(in crate::domain) fn intern_job(&mut self, job: &mut Job) {
        job.kind = KindName::from_checked(self.names.share(job.kind.shared()));
        job.queue = QueueName::from_checked(self.names.share(job.queue.shared()));
        job.policy = self.policies.share(&job.policy);
    }
}

#[cfg(test)]
mod tests;
