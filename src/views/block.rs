//! 65,536 consecutive ordinals: where each job is, and who is a member of what. All work on one block is small and
//! bounded, so a block is the unit in which lists are read under the lock. Keeps no counts and decides nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::domain::id::{FinishOrdinal, JobId, KindName, Ordinal, QueueName, Tag};
use crate::domain::job::{Job, StateName};

/// How many ordinals a block spans: those of one roaring container.
pub const BLOCK_SPAN: u64 = 1 << 16;

/// Slots come in leaves, so that a block with few jobs left in it is small.
const LEAF_SPAN: usize = 64;

/// Where a job is.
#[derive(Debug, Clone, Default)]
pub enum Slot {
    /// No job has this ordinal, or it is forgotten.
    #[default]
    Empty,
    /// The job itself, shared with the state.
    Active(Arc<Job>),
    /// In the stored views, or on its way there.
    Finished(FinishOrdinal),
}

/// Something that jobs have in common, other than their state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Facet {
    Kind(KindName),
    Queue(QueueName),
    Tag(Tag),
    Parent(JobId),
}

/// What a list asks of its jobs.
#[derive(Debug, Clone, Default)]
pub struct Criteria {
    /// Any of these; empty: all.
    pub states: Vec<StateName>,
    /// All of these.
    pub facets: Vec<Facet>,
}

/// The jobs of one block.
#[derive(Debug)]
pub struct Block {
    leaves: Box<[Option<Box<Leaf>>]>,
    /// How many slots are not empty.
    filled: u32,
    states: [RoaringBitmap; StateName::ALL.len()],
    facets: HashMap<Facet, Members>,
}

/// A leaf without jobs is not kept.
#[derive(Debug)]
struct Leaf {
    slots: [Slot; LEAF_SPAN],
    filled: u8,
}

impl Leaf {
    fn empty() -> Box<Leaf> {
        Box::new(Leaf { slots: std::array::from_fn(|_| Slot::Empty), filled: 0 })
    }
}

/// The members of a facet. Most tags and parents have a single one.
#[derive(Debug)]
enum Members {
    One(u16),
    Many(RoaringBitmap),
}

impl Default for Block {
    fn default() -> Block {
        let leaves = std::iter::repeat_with(|| None).take(BLOCK_SPAN as usize / LEAF_SPAN).collect();
        Block { leaves, filled: 0, states: Default::default(), facets: HashMap::new() }
    }
}

impl Block {
    /// Where the job at this place is.
    pub fn slot(&self, place: u16) -> &Slot {
        match &self.leaves[usize::from(place) / LEAF_SPAN] {
            Some(leaf) => &leaf.slots[usize::from(place) % LEAF_SPAN],
            None => &Slot::Empty,
        }
    }

    /// Says where the job at this place is from now on, and gives where it was.
    pub fn set_slot(&mut self, place: u16, slot: Slot) -> Slot {
        let is_filled = !matches!(slot, Slot::Empty);
        let kept = &mut self.leaves[usize::from(place) / LEAF_SPAN];
        let leaf = kept.get_or_insert_with(Leaf::empty);
        let before = std::mem::replace(&mut leaf.slots[usize::from(place) % LEAF_SPAN], slot);
        let was_filled = !matches!(before, Slot::Empty);
        leaf.filled = leaf.filled + u8::from(is_filled) - u8::from(was_filled);
        self.filled = self.filled + u32::from(is_filled) - u32::from(was_filled);
        if leaf.filled == 0 {
            *kept = None;
        }
        before
    }

    /// Whether it has no job at all.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The state that the job at this place is shown in.
    pub fn state(&self, place: u16) -> Option<StateName> {
        StateName::ALL.into_iter().find(|&state| self.states[state as usize].contains(place.into()))
    }

    /// Shows a job in another state.
    pub fn set_state(&mut self, place: u16, before: Option<StateName>, after: StateName) {
        if before == Some(after) {
            return;
        }
        if let Some(before) = before {
            self.states[before as usize].remove(place.into());
        }
        self.states[after as usize].insert(place.into());
    }

    /// Shows a job in no state any more.
    pub fn clear_state(&mut self, place: u16, before: StateName) {
        self.states[before as usize].remove(place.into());
    }

    /// Makes the job at this place a member.
    pub fn join(&mut self, place: u16, facet: Facet) {
        self.facets.entry(facet).and_modify(|members| members.insert(place)).or_insert(Members::One(place));
    }

    /// Ends a membership.
    pub fn leave(&mut self, place: u16, facet: &Facet) {
        if self.facets.get_mut(facet).is_some_and(|members| members.remove(place)) {
            self.facets.remove(facet);
        }
    }

    /// The places that fit, newest first, below `end` (up to [`BLOCK_SPAN`]); at most `limit`.
    pub fn places(&self, criteria: &Criteria, end: u32, limit: usize) -> Vec<u16> {
        let Some(fitting) = self.fitting(criteria) else { return Vec::new() };
        fitting.range(..end).rev().take(limit).map(|place| place as u16).collect()
    }

    /// At most a handful of operations on containers of 8 KiB; none when one criterion alone decides.
    fn fitting(&self, criteria: &Criteria) -> Option<Cow<'_, RoaringBitmap>> {
        let mut sets = Vec::with_capacity(criteria.facets.len() + 1);
        for facet in &criteria.facets {
            sets.push(self.facets.get(facet)?.set());
        }
        if sets.is_empty() || !criteria.states.is_empty() {
            sets.push(self.in_states(&criteria.states));
        }
        sets.sort_by_key(|set| set.len());
        sets.into_iter().reduce(|fitting, set| Cow::Owned(&*fitting & &*set)).filter(|fitting| !fitting.is_empty())
    }

    fn in_states(&self, states: &[StateName]) -> Cow<'_, RoaringBitmap> {
        let states = if states.is_empty() { &StateName::ALL } else { states };
        let sets = states.iter().map(|&state| &self.states[state as usize]).filter(|set| !set.is_empty());
        sets.map(Cow::Borrowed).reduce(|all, set| Cow::Owned(&*all | &*set)).unwrap_or_default()
    }
}

impl Members {
    fn insert(&mut self, place: u16) {
        match self {
            Members::One(one) if *one == place => {}
            Members::One(one) => *self = Members::Many([u32::from(*one), u32::from(place)].into_iter().collect()),
            Members::Many(set) => {
                set.insert(place.into());
            }
        }
    }

    /// Takes a member out and says whether none is left.
    fn remove(&mut self, place: u16) -> bool {
        match self {
            Members::One(one) => *one == place,
            Members::Many(set) => {
                set.remove(place.into());
                set.is_empty()
            }
        }
    }

    fn set(&self) -> Cow<'_, RoaringBitmap> {
        match self {
            Members::One(one) => Cow::Owned(std::iter::once(u32::from(*one)).collect()),
            Members::Many(set) => Cow::Borrowed(set),
        }
    }
}

/// The number of the block of an ordinal, and the place in it.
pub fn locate(ordinal: Ordinal) -> (u64, u16) {
    (ordinal.0 / BLOCK_SPAN, (ordinal.0 % BLOCK_SPAN) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Facet {
        Facet::Tag(text.into())
    }

    fn criteria(states: &[StateName], tags: &[&str]) -> Criteria {
        Criteria { states: states.to_vec(), facets: tags.iter().map(|text| tag(text)).collect() }
    }

    #[test]
    fn places_come_newest_first_below_the_cursor() {
        let mut block = Block::default();
        for place in [0, 1, 500, 65_535] {
            block.set_state(place, None, StateName::Queued);
        }
        assert_eq!(block.places(&criteria(&[], &[]), 65_536, 9), [65_535, 500, 1, 0]);
        assert_eq!(block.places(&criteria(&[], &[]), 500, 9), [1, 0]);
        assert_eq!(block.places(&criteria(&[StateName::Queued], &[]), 501, 2), [500, 1]);
        assert!(block.places(&criteria(&[StateName::Failed], &[]), 65_536, 9).is_empty());
    }

    #[test]
    fn members_leave_one_by_one() {
        let mut block = Block::default();
        for place in [3, 3, 7, 9] {
            block.set_state(place, block.state(place), StateName::Queued);
            block.join(place, tag("a"));
        }
        block.leave(7, &tag("a"));
        block.leave(8, &tag("a"));
        assert_eq!(block.places(&criteria(&[], &["a"]), 65_536, 9), [9, 3]);
        block.leave(9, &tag("a"));
        block.leave(3, &tag("a"));
        block.leave(3, &tag("a"));
        assert!(block.facets.is_empty());
    }

    #[test]
    fn what_is_emptied_takes_no_room() {
        let mut block = Block::default();
        let slot = || Slot::Finished(FinishOrdinal(1));
        for place in [0, 1, 700] {
            block.set_slot(place, slot());
        }
        block.set_slot(1, slot());
        for place in [0, 0, 9, 700] {
            block.set_slot(place, Slot::Empty);
        }
        assert!(!block.is_empty() && matches!(block.slot(1), Slot::Finished(_)));
        assert_eq!(block.leaves.iter().flatten().count(), 1);
        assert!(matches!(block.set_slot(1, Slot::Empty), Slot::Finished(_)));
        assert!(block.is_empty() && block.leaves.iter().all(Option::is_none));
    }

    #[test]
    fn a_job_must_fit_in_every_part() {
        let mut block = Block::default();
        for place in 0..1000 {
            block.set_state(place, None, if place % 2 == 0 { StateName::Queued } else { StateName::Failed });
            block.join(place, tag(if place % 2 == 0 { "even" } else { "odd" }));
            if place % 10 == 0 {
                block.join(place, tag("ten"));
            }
        }
        assert!(block.places(&criteria(&[StateName::Queued], &["odd"]), 65_536, 9).is_empty());
        assert_eq!(block.places(&criteria(&[], &["even", "ten"]), 25, 9), [20, 10, 0]);
        let both = criteria(&[StateName::Queued, StateName::Failed], &["ten"]);
        assert_eq!(block.places(&both, 65_536, 1), [990]);
    }
}
