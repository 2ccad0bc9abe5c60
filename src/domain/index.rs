//! The indexes over the jobs: who is next, what is due, who holds which key, who waits for whom.
//!
//! They follow from the jobs alone. [`Indexes::change`] is told what a job was and what it is; nothing else writes here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::id::{FinishOrdinal, JobId, KindName, Ordinal, QueueName, SessionId};
use crate::domain::job::{Job, JobState, Relations, StateName, UniqueScope};
use crate::domain::queue::{Rank, Ready};
use crate::domain::slots::Slots;
use crate::domain::state::{Slot, Stub};
use crate::domain::time::Timestamp;

/// All indexes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Indexes {
    /// Nothing is kept while events are only folded: nobody decides on such a state.
    are_left_out: bool,
    ready: Ready,
    /// Scheduled and retryable jobs, by the time at which they are queued.
    due: BTreeSet<(Timestamp, Ordinal)>,
    /// Running jobs with a timeout or a requested cancel, by the first of the two moments.
    deadlines: BTreeSet<(Timestamp, Ordinal)>,
    leases: BTreeMap<SessionId, BTreeSet<Ordinal>>,
    running_kinds: BTreeMap<KindName, u32>,
    running_queues: BTreeMap<QueueName, u32>,
    unique: BTreeMap<(KindName, Arc<str>), Ordinal>,
    child_keys: BTreeMap<(Ordinal, Arc<str>), Ordinal>,
    idempotency: BTreeMap<Arc<str>, Ordinal>,
    /// By the job that is waited for, also when it is forgotten: the known jobs that name it.
    dependents: BTreeMap<Ordinal, Ordinals>,
    /// By the parent, also when it is forgotten: the known children.
    children: BTreeMap<Ordinal, Ordinals>,
    /// Blocked jobs whose fate is sealed: all they wait for is completed, or something ended otherwise.
    unsettled: BTreeSet<Ordinal>,
    /// What has ended, in the order in which it did.
    finished: BTreeMap<FinishOrdinal, Ordinal>,
    /// How many jobs of a kind have ended in a state.
    ended: BTreeMap<(KindName, StateName), u64>,
}

/// A few jobs or many. Most parents have one child or few; taking one of a hundred thousand out must cost no more.
#[derive(Debug, Clone, PartialEq)]
enum Ordinals {
    One(Ordinal),
    Many(BTreeSet<Ordinal>),
}

impl Ordinals {
    fn iter(&self) -> impl Iterator<Item = Ordinal> {
        let (one, many) = match self {
            Ordinals::One(one) => (Some(*one), None),
            Ordinals::Many(many) => (None, Some(many)),
        };
        one.into_iter().chain(many.into_iter().flatten().copied())
    }
}

impl Indexes {
    /// Builds the indexes over jobs that were read back.
    pub fn build(slots: &Slots) -> Indexes {
        let mut indexes = Indexes::default();
        for slot in slots.iter() {
            indexes.change(None, slot, slots);
        }
        indexes
    }

    /// Indexes that stay empty, of a state that is only folded.
    pub fn left_out() -> Indexes {
        Indexes { are_left_out: true, ..Indexes::default() }
    }

    /// Whether this stays empty.
    pub fn are_left_out(&self) -> bool {
        self.are_left_out
    }

    /// Takes note that a job, which was `before`, is `after` now. `slots` has the new value already.
    pub fn change(&mut self, before: Option<&Slot>, after: &Slot, slots: &Slots) {
        if self.are_left_out {
            return;
        }
        let ordinal = after.id().ordinal();
        self.change_waiting(before.and_then(active), active(after));
        self.change_running(before.and_then(active), active(after));
        self.change_keys(before, after);
        self.change_ended(before, after);
        if before.is_none() {
            self.add_relations(ordinal, after.relations());
        }
        self.change_unsettled(ordinal, before, after, slots);
    }

    /// Takes note that a job which had ended is not known any more. Who waits for it goes on as if it had completed: it
    /// is forgotten only when nobody does.
    pub fn forget(&mut self, stub: &Stub) {
        if self.are_left_out {
            return;
        }
        self.remove_ending(stub);
        let ordinal = stub.id.ordinal();
        let Some(relations) = &stub.relations else { return };
        for dependency in &relations.depends_on {
            remove_from(&mut self.dependents, dependency.ordinal(), ordinal);
        }
        if let Some(idempotency) = &relations.idempotency {
            self.idempotency.remove(&idempotency.key);
        }
        let Some(parent) = relations.parent else { return };
        remove_from(&mut self.children, parent.ordinal(), ordinal);
        if let Some(key) = relations.unique_key.as_ref().filter(|key| key.scope == UniqueScope::Parent) {
            self.child_keys.remove(&(parent.ordinal(), key.key.clone()));
        }
    }

    fn change_ended(&mut self, before: Option<&Slot>, after: &Slot) {
        if let Some(Slot::Finished(stub)) = before {
            self.remove_ending(stub);
        }
        if let Slot::Finished(stub) = after {
            self.finished.insert(stub.finish_ordinal, stub.id.ordinal());
            *self.ended.entry((stub.kind.clone(), stub.state)).or_default() += 1;
        }
    }

    fn remove_ending(&mut self, stub: &Stub) {
        self.finished.remove(&stub.finish_ordinal);
        count_down(&mut self.ended, &(stub.kind.clone(), stub.state));
    }

    fn change_waiting(&mut self, before: Option<&Job>, after: Option<&Job>) {
        if before.map(place) != after.map(place) {
            if let Some((job, rank)) = before.and_then(|job| rank(job).map(|rank| (job, rank))) {
                self.ready.remove(&job.queue, &job.kind, rank);
            }
            if let Some((job, rank)) = after.and_then(|job| rank(job).map(|rank| (job, rank))) {
                self.ready.insert(&job.queue, &job.kind, rank);
            }
        }
        replace(&mut self.due, before.and_then(due), after.and_then(due));
    }

    fn change_running(&mut self, before: Option<&Job>, after: Option<&Job>) {
        replace(&mut self.deadlines, before.and_then(deadline), after.and_then(deadline));
        let (held_before, held_after) = (before.and_then(holder), after.and_then(holder));
        if held_before == held_after {
            return;
        }
        if let (Some(job), Some(session)) = (before, held_before) {
            let leases = self.leases.get_mut(&session).expect("a running job is among its session's leases");
            leases.remove(&job.id.ordinal());
            if leases.is_empty() {
                self.leases.remove(&session);
            }
            count_down(&mut self.running_kinds, &job.kind);
            count_down(&mut self.running_queues, &job.queue);
        }
        if let (Some(job), Some(session)) = (after, held_after) {
            self.leases.entry(session).or_default().insert(job.id.ordinal());
            *self.running_kinds.entry(job.kind.clone()).or_default() += 1;
            *self.running_queues.entry(job.queue.clone()).or_default() += 1;
        }
    }

    fn change_keys(&mut self, before: Option<&Slot>, after: &Slot) {
        let was_active = before.is_some_and(|slot| active(slot).is_some());
        let is_active = active(after).is_some();
        let Some(key) = after.relations().and_then(|relations| relations.unique_key.as_ref()) else { return };
        if key.scope != UniqueScope::Kind || was_active == is_active {
            return;
        }
        let kind = match after {
            Slot::Active(job) => job.kind.clone(),
            Slot::Finished(stub) => stub.kind.clone(),
        };
        if is_active {
            self.unique.insert((kind, key.key.clone()), after.id().ordinal());
        } else {
            self.unique.remove(&(kind, key.key.clone()));
        }
    }

    fn add_relations(&mut self, ordinal: Ordinal, relations: Option<&Arc<Relations>>) {
        let Some(relations) = relations else { return };
        for dependency in &relations.depends_on {
            insert_into(&mut self.dependents, dependency.ordinal(), ordinal);
        }
        if let Some(idempotency) = &relations.idempotency {
            self.idempotency.insert(idempotency.key.clone(), ordinal);
        }
        let Some(parent) = relations.parent else { return };
        insert_into(&mut self.children, parent.ordinal(), ordinal);
        if let Some(key) = relations.unique_key.as_ref().filter(|key| key.scope == UniqueScope::Parent) {
            self.child_keys.insert((parent.ordinal(), key.key.clone()), ordinal);
        }
    }

    fn change_unsettled(&mut self, ordinal: Ordinal, before: Option<&Slot>, after: &Slot, slots: &Slots) {
        mark(&mut self.unsettled, ordinal, is_sealed(after, slots));
        let ended = after.state_name().is_terminal();
        if before.is_some_and(|slot| slot.state_name().is_terminal() == ended) {
            return;
        }
        // The job ended, was revived, or is new: in a bulk an entry may wait for one that comes after it.
        let broke = ended && after.state_name() != StateName::Completed;
        for dependent in self.dependents.get(&ordinal).into_iter().flat_map(Ordinals::iter) {
            let Some(slot) = slots.get(dependent).filter(|slot| slot.state_name() == StateName::Blocked) else {
                continue;
            };
            let sealed = if ended {
                // While dependencies only end, a fate that is sealed stays so.
                broke || self.unsettled.contains(&dependent) || all_completed(slot, slots)
            } else {
                is_sealed(slot, slots)
            };
            mark(&mut self.unsettled, dependent, sealed);
        }
    }

    /// The queued jobs.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Scheduled and retryable jobs whose time has come at `now`, the earliest first.
    pub fn due_at(&self, now: Timestamp) -> impl Iterator<Item = Ordinal> {
        self.due.range(..=(now, Ordinal(u64::MAX))).map(|&(_, ordinal)| ordinal)
    }

    /// Running jobs whose timeout or cancel deadline has passed at `now`, the earliest first.
    pub fn overdue_at(&self, now: Timestamp) -> impl Iterator<Item = Ordinal> {
        self.deadlines.range(..=(now, Ordinal(u64::MAX))).map(|&(_, ordinal)| ordinal)
    }

    /// The first moment at which time alone makes something happen.
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = self.due.first().map(|&(at, _)| at);
        due.into_iter().chain(self.next_deadline()).min()
    }

    /// The first moment at which time ends a run: a timeout, or the end of a requested cancel's grace.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// The jobs whose leases a session holds.
    pub fn leases_of(&self, session: SessionId) -> impl Iterator<Item = Ordinal> {
        self.leases.get(&session).into_iter().flatten().copied()
    }

    /// How many jobs of a kind run.
    pub fn running_of_kind(&self, kind: &KindName) -> u32 {
        self.running_kinds.get(kind).copied().unwrap_or(0)
    }

    /// How many jobs from a queue run.
    pub fn running_of_queue(&self, queue: &QueueName) -> u32 {
        self.running_queues.get(queue).copied().unwrap_or(0)
    }

    /// The active job of a kind that holds a unique key.
    pub fn unique_holder(&self, kind: &KindName, key: &Arc<str>) -> Option<Ordinal> {
        self.unique.get(&(kind.clone(), key.clone())).copied()
    }

    /// The child of a parent with a unique key, whatever became of it.
    pub fn child_with_key(&self, parent: JobId, key: &Arc<str>) -> Option<Ordinal> {
        self.child_keys.get(&(parent.ordinal(), key.clone())).copied()
    }

    /// The first job of the submission with an idempotency key.
    pub fn submitted_with(&self, key: &Arc<str>) -> Option<Ordinal> {
        self.idempotency.get(key).copied()
    }

    /// The jobs that wait or waited for a job.
    pub fn dependents_of(&self, job: Ordinal) -> impl Iterator<Item = Ordinal> {
        self.dependents.get(&job).into_iter().flat_map(Ordinals::iter)
    }

    /// The children of a job.
    pub fn children_of(&self, job: Ordinal) -> impl Iterator<Item = Ordinal> {
        self.children.get(&job).into_iter().flat_map(Ordinals::iter)
    }

    /// The jobs that have ended, in the order in which they did, from an ending on.
    pub fn finished_from(&self, first: FinishOrdinal) -> impl Iterator<Item = (FinishOrdinal, Ordinal)> {
        self.finished.range(first..).map(|(&finish, &ordinal)| (finish, ordinal))
    }

    /// How many jobs of each kind have ended in each state.
    pub fn ended(&self) -> impl Iterator<Item = (&KindName, StateName, u64)> {
        self.ended.iter().map(|((kind, state), &count)| (kind, *state, count))
    }

    /// Blocked jobs whose fate is sealed.
    pub fn unsettled(&self) -> &BTreeSet<Ordinal> {
        &self.unsettled
    }
}

fn active(slot: &Slot) -> Option<&Job> {
    match slot {
        Slot::Active(job) => Some(job),
        Slot::Finished(_) => None,
    }
}

fn rank(job: &Job) -> Option<Rank> {
    matches!(job.state, JobState::Queued).then(|| (Reverse(job.priority), job.id.ordinal()))
}

fn place(job: &Job) -> (&QueueName, Option<Rank>) {
    (&job.queue, rank(job))
}

fn due(job: &Job) -> Option<(Timestamp, Ordinal)> {
    match job.state {
        JobState::Scheduled { scheduled_at } | JobState::Retryable { scheduled_at } => {
            Some((scheduled_at, job.id.ordinal()))
        }
        _ => None,
    }
}

fn deadline(job: &Job) -> Option<(Timestamp, Ordinal)> {
    let run = job.run()?;
    let cancel = run.cancel.as_ref().map(|request| request.deadline);
    let first = run.timeout_at.into_iter().chain(cancel).min()?;
    Some((first, job.id.ordinal()))
}

fn holder(job: &Job) -> Option<SessionId> {
    job.run().map(|run| run.lease.session)
}

/// Whether a blocked job can be decided: everything it waits for is completed, or something ended otherwise. What is not
/// known was known once, when the job was accepted, and is forgotten: nothing is as long as its end matters to a blocked
/// job, unless it has completed.
fn is_sealed(slot: &Slot, slots: &Slots) -> bool {
    if slot.state_name() != StateName::Blocked {
        return false;
    }
    let broken = |id: &JobId| match slots.get(id.ordinal()).map(Slot::state_name) {
        Some(state) => state.is_terminal() && state != StateName::Completed,
        None => false,
    };
    all_completed(slot, slots) || depends_on(slot).iter().any(broken)
}

fn all_completed(slot: &Slot, slots: &Slots) -> bool {
    let completed = |id: &JobId| slots.get(id.ordinal()).is_none_or(|slot| slot.state_name() == StateName::Completed);
    // The last of them ends last, as a rule: looking there first answers soon.
    depends_on(slot).iter().rev().all(completed)
}

fn depends_on(slot: &Slot) -> &[JobId] {
    slot.relations().map_or(&[], |relations| relations.depends_on.as_slice())
}

fn mark(set: &mut BTreeSet<Ordinal>, ordinal: Ordinal, is_in: bool) {
    if is_in {
        set.insert(ordinal);
    } else {
        set.remove(&ordinal);
    }
}

fn replace<T: Ord>(set: &mut BTreeSet<T>, before: Option<T>, after: Option<T>) {
    if before == after {
        return;
    }
    if let Some(key) = before {
        set.remove(&key);
    }
    if let Some(key) = after {
        set.insert(key);
    }
}

fn insert_into(map: &mut BTreeMap<Ordinal, Ordinals>, of: Ordinal, ordinal: Ordinal) {
    match map.get_mut(&of) {
        None => drop(map.insert(of, Ordinals::One(ordinal))),
        Some(Ordinals::One(one)) if *one == ordinal => {}
        Some(few @ Ordinals::One(_)) => *few = Ordinals::Many(few.iter().chain([ordinal]).collect()),
        Some(Ordinals::Many(many)) => {
            many.insert(ordinal);
        }
    }
}

fn remove_from(map: &mut BTreeMap<Ordinal, Ordinals>, of: Ordinal, ordinal: Ordinal) {
    let left = match map.get_mut(&of) {
        Some(Ordinals::Many(many)) => {
            many.remove(&ordinal);
            (many.len() == 1).then(|| many.first().copied()).flatten()
        }
        Some(Ordinals::One(_)) => None,
        None => return,
    };
    match (left, map.get(&of)) {
        // However it came about, one is one: indexes that were built anew are the same.
        (Some(last), _) => drop(map.insert(of, Ordinals::One(last))),
        (None, Some(Ordinals::One(one))) if *one == ordinal => drop(map.remove(&of)),
        (None, _) => {}
    }
}

fn count_down<K: Ord, N: std::ops::SubAssign + From<u8> + PartialEq>(counts: &mut BTreeMap<K, N>, key: &K) {
    let count = counts.get_mut(key).expect("what there is was counted");
    *count -= N::from(1);
    if *count == N::from(0) {
        counts.remove(key);
    }
}
