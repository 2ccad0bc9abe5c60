//! Accepting jobs: all of a request or none, each key once, every dependency known, no circles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::batch::ITEMS_MAX;
use crate::domain::command::{Answer, DEPENDENCIES_MAX, Dependency, NewJob, Start, Submit};
use crate::domain::decide::proof::{late, leased};
use crate::domain::decide::{Context, Decision};
use crate::domain::event::{FirstState, JobSubmitted, LateCall};
use crate::domain::id::{JobId, KindName, Ordinal};
use crate::domain::job::{Idempotency, Relations, StateName, UniqueKey, UniqueScope};
use crate::domain::refusal::Refusal;
use crate::domain::state::{Slot, State};
use crate::domain::time::Timestamp;

pub fn submit(state: &State, ctx: &mut Context<'_>, submit: Submit) -> Result<Decision, Refusal> {
    submit_beside(state, ctx, submit, None)
}

/// Accepts jobs while one ends in the same group of events: its key is free already.
pub fn submit_beside(
    state: &State,
    ctx: &mut Context<'_>,
    submit: Submit,
    ending: Option<JobId>,
) -> Result<Decision, Refusal> {
    if let Some(answer) = repeated(state, &submit)? {
        return Ok(Decision::done(answer, Vec::new()));
    }
    let parent = match submit.parent.map(|proof| (proof, leased(state, proof))) {
        None => None,
        Some((_, Ok((job, _)))) => Some(job.id),
        Some((proof, Err(refusal))) => return Ok(late(state, proof, LateCall::Submit, refusal)),
    };
    let mut plan = Plan::new(state, ctx, parent, &submit.jobs, ending)?;
    plan.check_circles(&submit.jobs)?;
    if let Some(idempotency) = submit.idempotency {
        let jobs = plan.fresh_count();
        plan.idempotency = Some(Idempotency { key: idempotency.key, request_hash: idempotency.request_hash, jobs });
    }
    let mut events = Vec::with_capacity(submit.jobs.len());
    for (entry, job) in submit.jobs.into_iter().enumerate() {
        if plan.is_fresh(entry) {
            events.push(plan.submitted(state, ctx.now, entry, job)?.into());
        }
    }
    let replayed = events.is_empty();
    Ok(Decision::done(Answer::Submitted { jobs: plan.ids, replayed }, events))
}

/// The answer to a request that came before, with the same key and the same JSON.
fn repeated(state: &State, submit: &Submit) -> Result<Option<Answer>, Refusal> {
    let Some(wanted) = &submit.idempotency else { return Ok(None) };
    let Some(first) = state.indexes().submitted_with(&wanted.key) else { return Ok(None) };
    let slot = state.slots.get(first).expect("an indexed job is there");
    let known = slot.relations().and_then(|relations| relations.idempotency.as_ref());
    let known = known.expect("the job that an idempotency key leads to has it");
    if known.request_hash != wanted.request_hash {
        return Err(Refusal::IdempotencyMismatch { job: slot.id() });
    }
    Ok(Some(Answer::Submitted { jobs: jobs_of(state, submit, first, known.jobs), replayed: true }))
}

/// The jobs that a request led to when it came first: those that it made, whose ordinals follow each other, and the
/// children that were there already, which their keys lead to.
fn jobs_of(state: &State, submit: &Submit, first: Ordinal, made: u32) -> Vec<JobId> {
    let mut made = (first.0..first.0 + u64::from(made)).map(Ordinal).peekable();
    let with_key = |job: &NewJob| {
        let (proof, key) = (submit.parent?, job.unique_key.as_ref()?);
        state.indexes().child_with_key(proof.job, key)
    };
    let ordinals = submit.jobs.iter().filter_map(|job| match with_key(job) {
        Some(child) => Some(made.next_if_eq(&child).unwrap_or(child)),
        None => made.next(),
    });
    ordinals.filter_map(|ordinal| state.slots.get(ordinal)).map(Slot::id).collect()
}

/// The ids of a request's jobs and what was checked before any event is made.
struct Plan {
    ids: Vec<JobId>,
    fresh: Vec<bool>,
    parent: Option<JobId>,
    idempotency: Option<Idempotency>,
}

impl Plan {
    fn new(
        state: &State,
        ctx: &mut Context<'_>,
        parent: Option<JobId>,
        jobs: &[NewJob],
        ending: Option<JobId>,
    ) -> Result<Plan, Refusal> {
        let mut plan = Plan { ids: Vec::new(), fresh: Vec::new(), parent, idempotency: None };
        let mut ordinal = state.last_ordinal();
        let mut keys = Keys { ending, ..Keys::default() };
        for (entry, job) in jobs.iter().enumerate() {
            check_items(entry, job)?;
            if job.depends_on.len() > DEPENDENCIES_MAX {
                return Err(Refusal::TooManyDependencies { entry });
            }
            if let Some(known) = keys.check(state, parent, entry, job, &plan.ids)? {
                plan.ids.push(known);
                plan.fresh.push(false);
                continue;
            }
            // What runs comes to its end, with the children that it needs for it.
            if parent.is_none() && state.is_draining(&job.queue) {
                return Err(Refusal::QueueDraining { queue: job.queue.clone(), entry: Some(entry) });
            }
            ordinal = ordinal.next();
            plan.ids.push(JobId::new(ctx.now, ordinal, ctx.chance.draw()));
            plan.fresh.push(true);
        }
        Ok(plan)
    }

    fn is_fresh(&self, entry: usize) -> bool {
        self.fresh[entry]
    }

    fn fresh_count(&self) -> u32 {
        self.fresh.iter().filter(|&&fresh| fresh).count() as u32
    }

    /// Refuses entries that wait for each other in a circle: takes away, again and again, what waits for nothing.
    fn check_circles(&self, jobs: &[NewJob]) -> Result<(), Refusal> {
        let fresh = (0..jobs.len()).filter(|&entry| self.is_fresh(entry));
        let places: BTreeMap<JobId, usize> = fresh.map(|entry| (self.ids[entry], entry)).collect();
        let mut waits: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); jobs.len()];
        for &entry in places.values() {
            waits[entry] = jobs[entry].depends_on.iter().filter_map(|wanted| self.place_of(&places, wanted)).collect();
        }
        let mut waited_by: Vec<Vec<usize>> = vec![Vec::new(); jobs.len()];
        for (entry, waited) in waits.iter().enumerate() {
            waited.iter().for_each(|&other| waited_by[other].push(entry));
        }
        let mut free: Vec<usize> = (0..jobs.len()).filter(|&entry| waits[entry].is_empty()).collect();
        while let Some(entry) = free.pop() {
            for &other in &waited_by[entry] {
                waits[other].remove(&entry);
                if waits[other].is_empty() {
                    free.push(other);
                }
            }
        }
        let Some(mut entry) = (0..jobs.len()).find(|&entry| !waits[entry].is_empty()) else { return Ok(()) };
        // What is left is in a circle or waits for one: so many steps from one to the next lead into it.
        for _ in 0..jobs.len() {
            entry = *waits[entry].first().expect("an entry that is left waits for one that is left");
        }
        let in_circle =
            |wanted: &Dependency| self.place_of(&places, wanted).is_some_and(|at| waits[entry].contains(&at));
        let dependency = jobs[entry].depends_on.iter().position(in_circle);
        Err(Refusal::DependencyCycle { entry, dependency: dependency.expect("it waits for an entry in the circle") })
    }

    /// The fresh entry that a dependency leads to: entries with the same key are the same job.
    fn place_of(&self, places: &BTreeMap<JobId, usize>, wanted: &Dependency) -> Option<usize> {
        match *wanted {
            Dependency::Entry(other) => places.get(&self.ids[other]).copied(),
            Dependency::Job(_) => None,
        }
    }

    fn submitted(&mut self, state: &State, now: Timestamp, entry: usize, job: NewJob) -> Result<JobSubmitted, Refusal> {
        let depends_on = self.dependencies(state, entry, &job)?;
        let scheduled_at = match job.start {
            Start::Now => None,
            Start::At(at) => Some(at),
            Start::After(span) => Some(now.plus(span)),
        };
        let open =
            depends_on.iter().any(|&id| state.slot(id).is_none_or(|slot| slot.state_name() != StateName::Completed));
        let first = match scheduled_at.filter(|&at| at > now) {
            later if open => FirstState::Blocked { scheduled_at: later },
            Some(scheduled_at) => FirstState::Scheduled { scheduled_at },
            None => FirstState::Queued,
        };
        let relations = self.relations(state, entry, &job, depends_on)?;
        Ok(JobSubmitted {
            job: self.ids[entry],
            kind: job.kind,
            queue: job.queue,
            priority: job.priority,
            args: job.args,
            tags: job.tags,
            policy: job.policy,
            state: first,
            relations: (relations != Relations::default()).then_some(relations),
            items: job.items,
        })
    }

    fn dependencies(&self, state: &State, entry: usize, job: &NewJob) -> Result<Vec<JobId>, Refusal> {
        let mut ids = Vec::with_capacity(job.depends_on.len());
        for (dependency, wanted) in job.depends_on.iter().enumerate() {
            let id = match *wanted {
                Dependency::Entry(other) => self.ids[other],
                Dependency::Job(id) if state.slot(id).is_some() => id,
                Dependency::Job(job) => return Err(Refusal::UnknownDependency { job, entry, dependency }),
            };
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    fn relations(
        &mut self,
        state: &State,
        entry: usize,
        job: &NewJob,
        depends_on: Vec<JobId>,
    ) -> Result<Relations, Refusal> {
        let parent = self.parent.or(job.parent_id);
        let root = match parent {
            Some(id) => {
                let slot = state.slot(id).ok_or(Refusal::UnknownParent { job: id, entry })?;
                Some(slot.relations().and_then(|relations| relations.root).unwrap_or(id))
            }
            None => None,
        };
        let scope = if self.parent.is_some() { UniqueScope::Parent } else { UniqueScope::Kind };
        let unique_key = job.unique_key.clone().map(|key| UniqueKey { key, scope });
        // Only the first fresh job carries the key of the request.
        Ok(Relations { parent, root, depends_on, unique_key, idempotency: self.idempotency.take() })
    }
}

fn check_items(entry: usize, job: &NewJob) -> Result<(), Refusal> {
    if job.items.len() > ITEMS_MAX {
        return Err(Refusal::TooManyItems { entry });
    }
    let mut keys = BTreeSet::new();
    for (item, new) in job.items.iter().enumerate() {
        if !keys.insert(&new.key) {
            return Err(Refusal::DuplicateItem { entry, item, key: new.key.to_string() });
        }
    }
    Ok(())
}

/// The unique keys that entries of the same request have taken.
#[derive(Default)]
struct Keys {
    /// A job whose key does not count any more.
    ending: Option<JobId>,
    taken: BTreeMap<(Option<KindName>, Arc<str>), usize>,
}

impl Keys {
    /// Gives the child that has the key already, if the request comes from a parent's worker. A key that another
    /// active job holds is refused.
    fn check(
        &mut self,
        state: &State,
        parent: Option<JobId>,
        entry: usize,
        job: &NewJob,
        ids: &[JobId],
    ) -> Result<Option<JobId>, Refusal> {
        let Some(key) = &job.unique_key else { return Ok(None) };
        let scope = if parent.is_some() { None } else { Some(job.kind.clone()) };
        let earlier = self.taken.insert((scope, key.clone()), entry).map(|earlier| ids[earlier]);
        let holder = match parent {
            Some(parent) => state.indexes().child_with_key(parent, key),
            None => state.indexes().unique_holder(&job.kind, key),
        };
        let holder = holder.and_then(|ordinal| state.slots.get(ordinal)).map(Slot::id);
        let holder = holder.filter(|&holder| Some(holder) != self.ending).or(earlier);
        match (holder, parent) {
            (Some(child), Some(_)) => Ok(Some(child)),
            (Some(holder), None) => Err(Refusal::UniqueConflict { holder, entry }),
            (None, _) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
