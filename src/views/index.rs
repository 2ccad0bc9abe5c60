//! What the views keep in memory: where each job is, who belongs to what, and counts. Changed by durable pages only,
//! one job at a time, each in O(log n); never folds events and never reads the disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::domain::event::{Event, Record, Revived, WorkerJoined};
use crate::domain::id::{JobId, KindName, Ordinal, QueueName, Seq, SessionId, Tag, TokenHash};
use crate::domain::job::{Job, StateName};
use crate::domain::queue::{Pause, Queue};
use crate::domain::rate::Spent;
use crate::domain::schedule::Schedules;
use crate::domain::state::Stub;
use crate::domain::time::Timestamp;
use crate::feed::Page;
use crate::views::Parts;
use crate::views::block::{Block, Facet, Slot, locate};
use crate::views::pending::Pending;
use crate::views::rates::{Counted, Rates};
use crate::views::row::StateCounts;

/// All indexes, and the seq at which they stand.
#[derive(Debug, Default)]
pub struct Index {
    pub seq: Seq,
    pub blocks: BTreeMap<u64, Block>,
    pub jobs: StateCounts,
    pub kinds: BTreeMap<KindName, StateCounts>,
    pub queues: BTreeMap<QueueName, QueueEntry>,
    pub workers: BTreeMap<SessionId, WorkerEntry>,
    pub schedules: Schedules,
    /// The jobs that each session runs.
    pub held: BTreeMap<SessionId, BTreeSet<JobId>>,
    /// The running jobs by the tokens of their leases: as many as there are slots of workers.
    pub leases: HashMap<TokenHash, JobId>,
    /// The members of each tree but its root, by the root. A job without children has no tree.
    pub trees: HashMap<JobId, RoaringTreemap>,
    /// Finished jobs that are not stored yet.
    pub pending: Pending,
    pub rates: Rates,
    /// The last event of finished jobs that were purged, or for which a call came too late: all others ended with theirs.
    pub late: HashMap<JobId, Seq>,
    /// The finished jobs whose payloads are not shown any more, and since when.
    pub purged: HashMap<JobId, Timestamp>,
    /// The highest number that a job ever had.
    pub newest: Ordinal,
}

/// What is known of a queue.
#[derive(Debug, Default)]
pub struct QueueEntry {
    pub known: Queue,
    pub jobs: StateCounts,
    /// The queued jobs, those that have waited longest first.
    pub waiting: BTreeSet<(Timestamp, Ordinal)>,
}

/// What is known of a live session.
#[derive(Debug, Clone)]
pub struct WorkerEntry {
    pub joined: WorkerJoined,
    pub joined_at: Timestamp,
}

/// What decides where a job is counted and found.
struct Entry<'a> {
    id: JobId,
    state: StateName,
    kind: &'a KindName,
    queue: &'a QueueName,
    tags: &'a [Tag],
    parent: Option<JobId>,
    root: JobId,
}

impl Index {
    /// Builds the indexes of a recovered state.
    pub fn of(parts: Parts<'_>) -> Index {
        let mut index = Index { seq: parts.seq, schedules: parts.schedules, newest: parts.newest, ..Index::default() };
        for (name, known) in parts.queues {
            index.queue(name).clone_from(known);
        }
        for (joined, joined_at) in parts.workers {
            index.workers.insert(joined.session, WorkerEntry { joined: joined.clone(), joined_at });
        }
        parts.jobs.for_each(|job| index.put(job, None));
        parts.stubs.for_each(|stub| index.put_stub(stub));
        index
    }

    /// Notes a durable record: what is not a matter of one job.
    fn note(&mut self, record: &Record) {
        self.seq = record.seq;
        if let Some(counted) = Counted::of(&record.event) {
            self.rates.note(counted, record.at);
        }
        match &record.event {
            Event::QueuePaused(data) => self.queue(&data.queue).pause = Some(pause(record)),
            Event::QueueResumed(data) => {
                let queue = self.queue(&data.queue);
                (queue.pause, queue.drain) = (None, None);
            }
            Event::QueueDraining(data) => self.queue(&data.queue).drain = Some(pause(record)),
            Event::QueueRateSpent(data) => {
                let spent = Spent { at: record.at, used_millionths: data.used_millionths };
                self.queue(&data.queue).spent = Some(spent);
            }
            Event::WorkerJoined(data) => {
                self.workers.insert(data.session, WorkerEntry { joined: data.clone(), joined_at: record.at });
            }
            Event::WorkerLeft(data) => {
                self.workers.remove(&data.session);
            }
            Event::ScheduleChanged(data) => self.schedules.change(record.seq, data),
            Event::ScheduleFired(data) => self.schedules.fire(record.at, data),
            Event::EpochStarted(_)
            | Event::JobSubmitted(_)
            | Event::JobQueued(_)
            | Event::JobStarted(_)
            | Event::JobScheduled(_)
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
            | Event::JobRetried(_)
            | Event::JobAmended(_)
            | Event::JobAdopted(_)
            | Event::JobsForgotten(_) => {}
            Event::JobLateResult(data) => {
                self.late.insert(data.job, record.seq);
            }
            Event::JobPurged(data) => {
                self.late.insert(data.job, record.seq);
                self.purged.insert(data.job, record.at);
            }
        }
    }

    fn queue(&mut self, name: &QueueName) -> &mut Queue {
        &mut entry_of(&mut self.queues, name).known
    }

    /// Shows a durable page.
    pub fn apply(&mut self, page: &Page) {
        let mut revived = HashMap::new();
        for record in page.records.iter() {
            self.note(record);
            if let Event::JobRetried(data) = &record.event {
                revived.entry(data.job).or_insert(&*data.revived);
            }
        }
        for job in &page.jobs {
            self.put(job, revived.get(&job.id).copied());
            if self.late.get(&job.id).is_some_and(|&late| late <= job.seq) {
                self.late.remove(&job.id);
            }
        }
        page.forgotten.iter().for_each(|stub| self.forget(stub));
    }

    /// Shows a job as it is now. What it was before is known here while it is active; of a finished one that was
    /// `revived`, and perhaps changed since, its event tells.
    fn put(&mut self, job: &Arc<Job>, revived: Option<&Revived>) {
        let (number, place) = locate(job.id.ordinal());
        let slot = match job.ending() {
            Some(ending) => Slot::Finished(ending.finish_ordinal),
            None => Slot::Active(job.clone()),
        };
        let block = self.blocks.entry(number).or_default();
        let before = block.set_slot(place, slot);
        let entry = Entry::of(job);
        match &before {
            Slot::Empty => self.enter(&entry),
            Slot::Active(old) => {
                self.forget_activity(old);
                self.change(&Entry::of(old), &entry);
            }
            // It was purged: what is stored of it stays as it is.
            Slot::Finished(finish) if job.ending().is_some_and(|ending| ending.finish_ordinal == *finish) => return,
            Slot::Finished(finish) => {
                let state = block.state(place).expect("a job that is in its slot is in the set of its state");
                self.pending.leave(*finish);
                self.change(&entry.before(state, revived), &entry);
            }
        }
        self.note_activity(job);
    }

    /// Shows a finished job that is stored already.
    pub fn put_stub(&mut self, stub: &Stub) {
        let (number, place) = locate(stub.id.ordinal());
        self.blocks.entry(number).or_default().set_slot(place, Slot::Finished(stub.finish_ordinal));
        self.enter(&Entry::of_stub(stub));
        if let Some(after) = &stub.after {
            self.late.insert(stub.id, after.seq);
            self.purged.extend(after.purged.map(|at| (stub.id, at)));
        }
    }

    /// Shows a job no more.
    fn forget(&mut self, stub: &Stub) {
        let (number, place) = locate(stub.id.ordinal());
        let Some(block) = self.blocks.get_mut(&number) else { return };
        let entry = Entry::of_stub(stub);
        block.set_slot(place, Slot::Empty);
        block.clear_state(place, entry.state);
        block.leave(place, &Facet::Kind(entry.kind.clone()));
        block.leave(place, &Facet::Queue(entry.queue.clone()));
        entry.tags.iter().for_each(|tag| block.leave(place, &Facet::Tag(tag.clone())));
        if let Some(parent) = entry.parent {
            block.leave(place, &Facet::Parent(parent));
        }
        if block.is_empty() {
            self.blocks.remove(&number);
        }
        self.pending.leave(stub.finish_ordinal);
        self.leave_tree(&entry);
        self.late.remove(&stub.id);
        self.purged.remove(&stub.id);
        self.uncount(entry.kind, entry.queue, entry.state);
    }

    fn leave_tree(&mut self, entry: &Entry<'_>) {
        let Some(members) = self.trees.get_mut(&entry.root) else { return };
        members.remove(entry.id.ordinal().0);
        if members.is_empty() {
            self.trees.remove(&entry.root);
        }
    }

    /// Where a job is. The id itself is not compared: a finished job's is known to the store only.
    pub fn slot(&self, id: JobId) -> &Slot {
        let (number, place) = locate(id.ordinal());
        self.blocks.get(&number).map_or(&Slot::Empty, |block| block.slot(place))
    }

    fn enter(&mut self, entry: &Entry<'_>) {
        let (number, place) = locate(entry.id.ordinal());
        let block = self.blocks.entry(number).or_default();
        block.set_state(place, None, entry.state);
        block.join(place, Facet::Kind(entry.kind.clone()));
        block.join(place, Facet::Queue(entry.queue.clone()));
        entry.tags.iter().for_each(|tag| block.join(place, Facet::Tag(tag.clone())));
        if let Some(parent) = entry.parent {
            block.join(place, Facet::Parent(parent));
        }
        if entry.root != entry.id {
            self.trees.entry(entry.root).or_default().insert(entry.id.ordinal().0);
        }
        self.newest = self.newest.max(entry.id.ordinal());
        self.count(entry.kind, entry.queue, entry.state);
    }

    fn change(&mut self, old: &Entry<'_>, new: &Entry<'_>) {
        let (number, place) = locate(new.id.ordinal());
        let block = self.blocks.entry(number).or_default();
        block.set_state(place, Some(old.state), new.state);
        if old.queue != new.queue {
            block.leave(place, &Facet::Queue(old.queue.clone()));
            block.join(place, Facet::Queue(new.queue.clone()));
        }
        if old.tags != new.tags {
            old.tags.iter().for_each(|tag| block.leave(place, &Facet::Tag(tag.clone())));
            new.tags.iter().for_each(|tag| block.join(place, Facet::Tag(tag.clone())));
        }
        if old.state != new.state || old.queue != new.queue {
            // First the new: a name with one job would go, and come again.
            self.count(new.kind, new.queue, new.state);
            self.uncount(old.kind, old.queue, old.state);
        }
    }

    fn count(&mut self, kind: &KindName, queue: &QueueName, state: StateName) {
        *self.jobs.of(state) += 1;
        *entry_of(&mut self.kinds, kind).of(state) += 1;
        *entry_of(&mut self.queues, queue).jobs.of(state) += 1;
    }

    /// A name goes with the last that is known of it: clients may make up new ones for ever.
    fn uncount(&mut self, kind: &KindName, queue: &QueueName, state: StateName) {
        *self.jobs.of(state) -= 1;
        let jobs = entry_of(&mut self.kinds, kind);
        *jobs.of(state) -= 1;
        if *jobs == StateCounts::default() {
            self.kinds.remove(kind);
        }
        let entry = entry_of(&mut self.queues, queue);
        *entry.jobs.of(state) -= 1;
        if entry.jobs == StateCounts::default() && entry.known == Queue::default() {
            self.queues.remove(queue);
        }
    }

    fn note_activity(&mut self, job: &Arc<Job>) {
        if job.is_terminal() {
            self.pending.insert(job.clone());
        }
        if job.state_name() == StateName::Queued {
            entry_of(&mut self.queues, &job.queue).waiting.insert(waiting_since(job));
        }
        if let Some(run) = job.run() {
            self.leases.insert(run.lease.token, job.id);
            self.held.entry(run.lease.session).or_default().insert(job.id);
        }
    }

    fn forget_activity(&mut self, job: &Job) {
        if job.state_name() == StateName::Queued {
            entry_of(&mut self.queues, &job.queue).waiting.remove(&waiting_since(job));
        }
        let Some(run) = job.run() else { return };
        if self.leases.get(&run.lease.token) == Some(&job.id) {
            self.leases.remove(&run.lease.token);
        }
        if let Some(jobs) = self.held.get_mut(&run.lease.session) {
            jobs.remove(&job.id);
            if jobs.is_empty() {
                self.held.remove(&run.lease.session);
            }
        }
    }
}

impl<'a> Entry<'a> {
    fn of(job: &'a Job) -> Entry<'a> {
        Entry {
            id: job.id,
            state: job.state_name(),
            kind: &job.kind,
            queue: &job.queue,
            tags: job.tags(),
            parent: job.parent(),
            root: job.root(),
        }
    }

    /// The job as it was when it ended in `state`.
    fn before(&self, state: StateName, revived: Option<&'a Revived>) -> Entry<'a> {
        let queue = revived.map_or(self.queue, |revived| &revived.queue);
        let tags = revived.map_or(self.tags, |revived| &revived.tags);
        Entry { state, queue, tags, ..*self }
    }

    fn of_stub(stub: &'a Stub) -> Entry<'a> {
        let relations = stub.relations.as_deref();
        Entry {
            id: stub.id,
            state: stub.state,
            kind: &stub.kind,
            queue: &stub.queue,
            tags: stub.tags.as_ref().map_or(&[], |tags| tags.as_slice()),
            parent: relations.and_then(|relations| relations.parent),
            root: relations.and_then(|relations| relations.root).unwrap_or(stub.id),
        }
    }
}

/// The entry of a name; the name is cloned for a new entry only.
fn entry_of<'a, K: Clone + Ord, V: Default>(map: &'a mut BTreeMap<K, V>, name: &K) -> &'a mut V {
    if !map.contains_key(name) {
        map.insert(name.clone(), V::default());
    }
    map.get_mut(name).expect("it was inserted just now")
}

fn pause(record: &Record) -> Pause {
    Pause { at: record.at, by: record.actor.clone() }
}

fn waiting_since(job: &Job) -> (Timestamp, Ordinal) {
    (job.queued_at.unwrap_or(job.created_at), job.id.ordinal())
}
