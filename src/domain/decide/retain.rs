//! Which finished jobs are forgotten: those that are too old and those that are too many, the oldest first, but none that
//! something still hangs on. In chunks: a round is not atomic.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::command::{Answer, Forget};
use crate::domain::decide::{Context, Decision};
use crate::domain::event::JobsForgotten;
use crate::domain::id::{Ordinal, Seq};
use crate::domain::job::{StateName, UniqueScope};
use crate::domain::limits::FORGOTTEN_MAX;
use crate::domain::retention::{Class, Round, Rules};
use crate::domain::state::{Slot, State, Stub};

/// The most finished jobs that one command looks at.
const LOOKED_AT_MAX: usize = 2_048;

pub fn forget(state: &State, ctx: &Context<'_>, forget: Forget) -> Decision {
    let Forget { rules, mut round, earliest } = forget;
    let (mut surplus, youngest) = (surplus(state, &rules, &round), rules.youngest());
    let mut going = Going { state, ctx, earliest, ordinals: BTreeSet::new() };
    let mut jobs = Vec::new();
    let mut next = None;
    for (place, (finish, ordinal)) in state.indexes().finished_from(round.from).enumerate() {
        if jobs.len() == FORGOTTEN_MAX || place == LOOKED_AT_MAX {
            next = Some(finish);
            break;
        }
        let stub = finished(state, ordinal);
        let age = ctx.now.since(stub.finished_at);
        // Who ended later is younger.
        if age < rules.least_age || (age < youngest && surplus.is_empty()) {
            break;
        }
        let (class, keep) = rules.class_of(&stub.kind, stub.state);
        let is_surplus = take_one(&mut surplus, &class);
        if !is_surplus && age < keep.age {
            continue;
        }
        if going.must_stay(stub) {
            *round.passed.entry(class).or_default() += u64::from(is_surplus);
            round.stayed += 1;
        } else {
            going.ordinals.insert(ordinal);
            jobs.push(stub.id);
        }
    }
    let next = next.map(|from| Round { from, ..round.clone() });
    let events = if jobs.is_empty() { Vec::new() } else { vec![JobsForgotten { jobs: jobs.clone() }.into()] };
    Decision::done(Answer::Forgotten { jobs, stayed: round.stayed, next }, events)
}

/// How many of each class are more than are kept; no class that has no more.
fn surplus(state: &State, rules: &Rules, round: &Round) -> BTreeMap<Class, u64> {
    let mut counts: BTreeMap<Class, (u64, u64)> = BTreeMap::new();
    for (kind, state, count) in state.indexes().ended() {
        let (class, keep) = rules.class_of(kind, state);
        counts.entry(class).or_insert((0, keep.count)).0 += count;
    }
    let more = counts.into_iter().map(|(class, (count, kept))| {
        let passed = round.passed.get(&class).copied().unwrap_or(0);
        (class, count.saturating_sub(kept).saturating_sub(passed))
    });
    more.filter(|(_, more)| *more > 0).collect()
}

fn take_one(surplus: &mut BTreeMap<Class, u64>, class: &Class) -> bool {
    let Some(more) = surplus.get_mut(class) else { return false };
    *more -= 1;
    if *more == 0 {
        surplus.remove(class);
    }
    true
}

fn finished(state: &State, ordinal: Ordinal) -> &Stub {
    match state.slots.get(ordinal) {
        Some(Slot::Finished(stub)) => stub,
        _ => panic!("an index over finished jobs names finished jobs"),
    }
}

/// What goes with this command.
struct Going<'a> {
    state: &'a State,
    ctx: &'a Context<'a>,
    /// The first event that the log still has.
    earliest: Seq,
    ordinals: BTreeSet<Ordinal>,
}

impl Going<'_> {
    /// Whether something still hangs on a job whose time is up. It is looked at again in the next round.
    fn must_stay(&self, stub: &Stub) -> bool {
        self.is_waited_for(stub)
            || self.keeps_a_rerun_from_submitting_again(stub)
            || self.leads_to_others(stub)
            // Its last processes may be alive.
            || self.ctx.held.contains(&stub.id.ordinal())
            // The log has what it carried, and events would show it again.
            || stub.purged().is_some() && stub.seq >= self.earliest
    }

    /// A blocked job is to learn how it ended.
    fn is_waited_for(&self, stub: &Stub) -> bool {
        let dependents = self.state.indexes().dependents_of(stub.id.ordinal());
        dependents
            .filter_map(|ordinal| self.state.slots.get(ordinal))
            .any(|slot| slot.state_name() == StateName::Blocked)
    }

    /// A child's key counts as long as its parent is known, and could be run again.
    fn keeps_a_rerun_from_submitting_again(&self, stub: &Stub) -> bool {
        let Some(relations) = &stub.relations else { return false };
        let is_keyed = relations.unique_key.as_ref().is_some_and(|key| key.scope == UniqueScope::Parent);
        is_keyed && relations.parent.is_some_and(|parent| self.is_known(parent.ordinal()))
    }

    /// The first job of a request holds the request's key for all of them.
    fn leads_to_others(&self, stub: &Stub) -> bool {
        let Some(idempotency) = stub.relations.as_ref().and_then(|relations| relations.idempotency.as_ref()) else {
            return false;
        };
        let first = stub.id.ordinal().0;
        (first + 1..first + u64::from(idempotency.jobs)).any(|ordinal| self.is_known(Ordinal(ordinal)))
    }

    fn is_known(&self, ordinal: Ordinal) -> bool {
        self.state.slots.get(ordinal).is_some() && !self.ordinals.contains(&ordinal)
    }
}

#[cfg(test)]
mod tests;
