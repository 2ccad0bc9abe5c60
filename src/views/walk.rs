//! Walks down the jobs that fit, newest first, in short slices under the lock. Holds no lock between slices, so a job
//! may change while a page is read; the ordinals do not, so none is met twice and none that fits throughout is left out.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::domain::id::{FinishOrdinal, JobId, Ordinal};
use crate::domain::job::Job;
use crate::views::block::{BLOCK_SPAN, Criteria, Slot, locate};
use crate::views::index::Index;

/// The most blocks that one slice looks at: some ten microseconds each at the worst.
const BLOCKS_A_SLICE: usize = 8;

/// A job that was met.
#[derive(Debug, Clone)]
pub struct Found {
    pub ordinal: Ordinal,
    pub place: Place,
}

/// Where the job can be read.
#[derive(Debug, Clone)]
pub enum Place {
    Here(Arc<Job>),
    Stored(FinishOrdinal),
}

impl Place {
    /// The place in the store, if it is there that the job is.
    pub fn stored(&self) -> Option<FinishOrdinal> {
        match self {
            Place::Here(_) => None,
            Place::Stored(place) => Some(*place),
        }
    }
}

/// A walk that goes on where it stopped.
pub struct Walk<'a> {
    index: &'a RwLock<Index>,
    criteria: Criteria,
    /// Only ordinals below are left; none at the end.
    end: Option<u64>,
}

impl<'a> Walk<'a> {
    /// Begins below `before`, or at the newest job.
    pub fn new(index: &'a RwLock<Index>, criteria: Criteria, before: Option<Ordinal>) -> Walk<'a> {
        let end = before.map_or(Ordinal::MAX.0 + 1, |before| before.0.min(Ordinal::MAX.0 + 1));
        Walk { index, criteria, end: Some(end) }
    }

    /// The next jobs that fit: fewer than `limit` at the end only.
    pub fn take(&mut self, limit: usize) -> Vec<Found> {
        let mut found = Vec::new();
        while let Some(end) = self.end.filter(|_| found.len() < limit) {
            self.end = self.index.read().slice(&self.criteria, end, limit, &mut found);
        }
        found
    }

    /// Goes back, or on, to just below an ordinal.
    pub fn go_on_below(&mut self, ordinal: Ordinal) {
        self.end = Some(ordinal.0);
    }
}

impl Index {
    /// Adds jobs that fit until there are `limit`, looking at a few blocks below `end`. Gives where to go on.
    fn slice(&self, criteria: &Criteria, end: u64, limit: usize, found: &mut Vec<Found>) -> Option<u64> {
        let mut blocks = self.blocks.range(..end.div_ceil(BLOCK_SPAN)).rev();
        for (&number, block) in blocks.by_ref().take(BLOCKS_A_SLICE) {
            let first = number * BLOCK_SPAN;
            let below = (end - first).min(BLOCK_SPAN) as u32;
            for place in block.places(criteria, below, limit - found.len()) {
                found.extend(self.found(Ordinal(first + u64::from(place)), block.slot(place)));
            }
            if found.len() >= limit {
                return found.last().map(|last| last.ordinal.0);
            }
        }
        blocks.next().map(|(number, _)| (number + 1) * BLOCK_SPAN)
    }

    /// The job of an ordinal as it can be read once the lock is given back.
    pub fn find(&self, ordinal: Ordinal) -> Option<Found> {
        let (number, place) = locate(ordinal);
        self.found(ordinal, self.blocks.get(&number)?.slot(place))
    }

    /// A tree in order of submission, its root first: at most `limit` after `after`.
    pub fn tree(&self, root: JobId, after: Option<JobId>, limit: usize) -> Vec<Found> {
        let first = after.map_or(0, |after| after.ordinal().next().0);
        let root_ordinal = Some(root.ordinal()).filter(|root| root.0 >= first);
        let mut members = self.trees.get(&root).map(|members| members.iter());
        members.iter_mut().for_each(|members| members.advance_to(first));
        let members = members.into_iter().flatten().map(Ordinal);
        root_ordinal.into_iter().chain(members).take(limit).filter_map(|ordinal| self.find(ordinal)).collect()
    }

    fn found(&self, ordinal: Ordinal, slot: &Slot) -> Option<Found> {
        let place = match slot {
            Slot::Empty => return None,
            Slot::Active(job) => Place::Here(job.clone()),
            Slot::Finished(finish) => match self.pending.get(*finish) {
                Some(job) => Place::Here(job.clone()),
                None => Place::Stored(*finish),
            },
        };
        Some(Found { ordinal, place })
    }
}
