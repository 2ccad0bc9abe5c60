//! What those who look back ask of the present: which of the jobs that they meet still stand as they did. Never says
//! anything about the past itself.

use crate::domain::id::{FinishOrdinal, JobId, Ordinal};
use crate::views::Views;
use crate::views::block::{Slot, locate};
use crate::views::finished::{Head, ViewError};
use crate::views::walk::Place;

impl Views {
    /// The heads of jobs that ended in these places of the order of endings; none for one that is forgotten or was
    /// revived since.
    pub(crate) fn heads_of_ends(&self, ends: &[(Ordinal, FinishOrdinal)]) -> Result<Vec<Option<Head>>, ViewError> {
        let (mut heads, mut stored) = (vec![None; ends.len()], Vec::new());
        for (number, &(ordinal, end)) in ends.iter().enumerate() {
            let found = self.index.read().find(ordinal);
            match found.map(|found| found.place) {
                Some(Place::Stored(place)) if place == end => stored.push((number, end)),
                Some(Place::Here(job)) if job.ending().is_some_and(|ending| ending.finish_ordinal == end) => {
                    heads[number] = Some(Head::of(job));
                }
                Some(Place::Stored(_) | Place::Here(_)) | None => {}
            }
        }
        let places: Vec<FinishOrdinal> = stored.iter().map(|&(_, place)| place).collect();
        for ((number, place), head) in stored.into_iter().zip(self.finished.heads(&places)?) {
            if head.is_none() && self.is_stored_at(ends[number].0, place) {
                return Err(self.missing(place));
            }
            heads[number] = head;
        }
        Ok(heads)
    }

    /// For each of these jobs whether it belongs to the tree of `root`; none for one that is not known.
    pub(crate) fn kinship(&self, root: JobId, ordinals: &[Ordinal]) -> Vec<Option<bool>> {
        let index = self.index.read();
        let members = index.trees.get(&root);
        let is_member =
            |ordinal: Ordinal| ordinal == root.ordinal() || members.is_some_and(|members| members.contains(ordinal.0));
        let is_known = |ordinal: Ordinal| {
            let (number, place) = locate(ordinal);
            index.blocks.get(&number).is_some_and(|block| !matches!(block.slot(place), Slot::Empty))
        };
        ordinals.iter().map(|&ordinal| is_known(ordinal).then(|| is_member(ordinal))).collect()
    }
}
