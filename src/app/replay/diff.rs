//! What changed between two states of the same log: jobs that came, moved, ended and were forgotten, in all and by queue
//! and kind. The earlier state is never looked at as one that still holds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::app::replay::{counts, moment_of};
use crate::domain::id::{JobId, Seq};
use crate::domain::state::{Slot, State};
use crate::domain::time::Timestamp;

/// How many jobs are named of each sort; all are counted.
pub const IDS_MAX: usize = 1000;

/// What changed.
#[derive(Debug, Default, Serialize)]
pub struct Diff {
    pub from: Point,
    pub to: Point,
    /// Jobs that were submitted between the two.
    pub created: Named,
    /// Jobs that ended between the two, by the state in which they are.
    pub finished: BTreeMap<&'static str, Named>,
    /// Jobs that are there at both and in another state, like `queued → running`.
    pub moved: BTreeMap<String, Named>,
    /// Jobs to which something happened, and which are in the state in which they were.
    pub touched: Named,
    /// Jobs that are not there any more.
    pub forgotten: Named,
    /// How many jobs are in each state, before and after.
    pub states: BTreeMap<&'static str, (u64, u64)>,
    pub queues: BTreeMap<String, Part>,
    pub kinds: BTreeMap<String, Part>,
}

/// One of the two moments.
#[derive(Debug, Default, Serialize)]
pub struct Point {
    pub seq: Seq,
    pub at: Option<Timestamp>,
}

/// Jobs of one sort.
#[derive(Debug, Default, Serialize)]
pub struct Named {
    pub jobs: u64,
    /// The first of them, at most [`IDS_MAX`].
    pub ids: Vec<JobId>,
}

/// What changed in a queue, or in the jobs of a kind.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    pub created: u64,
    pub finished: BTreeMap<&'static str, u64>,
    pub moved: u64,
    pub forgotten: u64,
}

impl Named {
    fn add(&mut self, id: JobId) {
        self.jobs += 1;
        if self.ids.len() < IDS_MAX {
            self.ids.push(id);
        }
    }
}

/// Compares two states of one log, of which `before` is the earlier.
pub fn diff(before: &State, after: &State) -> Diff {
    let point = |state: &State| Point { seq: state.seq(), at: moment_of(state) };
    let after_counts = counts(after);
    let states = counts(before).into_iter().map(|(state, count)| (state, (count, after_counts[state])));
    let mut diff = Diff { from: point(before), to: point(after), states: states.collect(), ..Diff::default() };
    for slot in after.slots() {
        diff.compare(before.slot(slot.id()), slot);
    }
    for slot in before.slots().filter(|slot| after.slot(slot.id()).is_none()) {
        diff.forgotten.add(slot.id());
        diff.parts(slot, |part| part.forgotten += 1);
    }
    diff
}

impl Diff {
    fn compare(&mut self, before: Option<&Slot>, now: &Slot) {
        let (id, state) = (now.id(), now.state_name());
        if before.is_none() {
            self.created.add(id);
            self.parts(now, |part| part.created += 1);
        }
        if before.is_some_and(|before| before == now) {
            return;
        }
        let was = before.map(Slot::state_name);
        if has_ended_since(before, now) {
            self.finished.entry(state.as_str()).or_default().add(id);
            self.parts(now, |part| *part.finished.entry(state.as_str()).or_default() += 1);
        }
        match was {
            Some(was) if was != state => {
                self.moved.entry(format!("{} → {}", was.as_str(), state.as_str())).or_default().add(id);
                self.parts(now, |part| part.moved += 1);
            }
            Some(_) => self.touched.add(id),
            None => {}
        }
    }

    fn parts(&mut self, slot: &Slot, count: impl Fn(&mut Part)) {
        let (queue, kind) = match slot {
            Slot::Active(job) => (&job.queue, &job.kind),
            Slot::Finished(stub) => (&stub.queue, &stub.kind),
        };
        count(self.queues.entry(queue.to_string()).or_default());
        count(self.kinds.entry(kind.to_string()).or_default());
    }
}

/// Whether a job has an end that it did not have before: also one that was run again and ended again.
fn has_ended_since(before: Option<&Slot>, now: &Slot) -> bool {
    match (before, now) {
        (_, Slot::Active(_)) => false,
        (Some(Slot::Finished(before)), Slot::Finished(now)) => before.finish_ordinal != now.finish_ordinal,
        (Some(Slot::Active(_)) | None, Slot::Finished(_)) => true,
    }
}
