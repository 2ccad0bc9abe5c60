//! The items of a batch: what there is to do, and how each ended. Cheap to clone, whatever their number.

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use crate::domain::id::Seq;
use crate::domain::job::JobError;
use crate::domain::json::Json;
use crate::domain::limits::ITEM_KEY_BYTES_MAX;

pub use crate::domain::limits::ITEMS_MAX;

/// The most keys that the text of a refusal names, when items are reported that a job does not have.
pub const UNKNOWN_ITEMS_NAMED_MAX: usize = 10;

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// To be done, or to be done again.
    Pending,
    /// Done.
    Completed,
    /// Done in vain.
    Failed,
    /// Left out by its worker, or never reported when the batch completed.
    Skipped,
}

/// An item as it is submitted or added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NewItem {
    /// What names the item within its job.
    #[schemars(length(min = 1, max = ITEM_KEY_BYTES_MAX))]
    pub key: Arc<str>,
    /// What the worker needs to do it: any JSON.
    #[serde(default)]
    pub args: Option<Json>,
}

/// What a worker says of one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ItemReport {
    /// What names the item within its job.
    #[schemars(length(min = 1, max = ITEM_KEY_BYTES_MAX))]
    pub key: Arc<str>,
    /// What became of it; never `pending`.
    pub state: ItemState,
    /// What it gave, if its worker said so.
    pub result: Option<Json>,
    /// What went wrong, if its worker said so.
    pub error: Option<JobError>,
}

/// One item as the state keeps it: its args, result and error stay in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub key: Arc<str>,
    pub state: ItemState,
    /// The event that brought the item: `job.submitted` or `job.items_added`.
    pub added: Seq,
    /// The `job.items_reported` event that gave the present state; none for what was never reported.
    pub reported: Option<Seq>,
}

/// How many items are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ItemCounts {
    /// All of them.
    #[schemars(range(max = ITEMS_MAX))]
    pub total: u32,
    /// Those that are done.
    #[schemars(range(max = ITEMS_MAX))]
    pub completed: u32,
    /// Those that were done in vain.
    #[schemars(range(max = ITEMS_MAX))]
    pub failed: u32,
    /// Those that were left out.
    #[schemars(range(max = ITEMS_MAX))]
    pub skipped: u32,
    /// Those that are still to be done.
    #[schemars(range(max = ITEMS_MAX))]
    pub pending: u32,
}

impl ItemCounts {
    fn of(&mut self, state: ItemState) -> &mut u32 {
        match state {
            ItemState::Pending => &mut self.pending,
            ItemState::Completed => &mut self.completed,
            ItemState::Failed => &mut self.failed,
            ItemState::Skipped => &mut self.skipped,
        }
    }
}

/// The items of one job, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Items {
    list: Vector<Item>,
    places: OrdMap<Arc<str>, u32>,
    counts: ItemCounts,
}

impl Items {
    /// Rebuilds the items from their stored form.
    pub fn from_list(list: impl IntoIterator<Item = Item>) -> Items {
        let mut items = Items::default();
        list.into_iter().for_each(|item| items.push(item));
        items
    }

    /// Adds the items whose keys are not known yet; the others are passed over.
    pub fn add(&mut self, new: &[NewItem], added: Seq) {
        for item in new {
            if !self.places.contains_key(&item.key) {
                self.push(Item { key: item.key.clone(), state: ItemState::Pending, added, reported: None });
            }
        }
    }

    /// Notes what became of an item. The last report of a key wins.
    pub fn report(&mut self, key: &str, state: ItemState, reported: Seq) {
        if let Some(&place) = self.places.get(key) {
            self.set(place as usize, state, Some(reported));
        }
    }

    /// Turns every item in one of the states `from` into `to`, as the end of a batch or a retry does.
    pub fn turn(&mut self, from: &[ItemState], to: ItemState) {
        let places: Vec<usize> = (0..self.list.len()).filter(|&place| from.contains(&self.list[place].state)).collect();
        for place in places {
            let reported = self.list[place].reported.filter(|_| to != ItemState::Pending);
            self.set(place, to, reported);
        }
    }

    /// How many items are in each state.
    pub fn counts(&self) -> ItemCounts {
        self.counts
    }

    /// The item with this key.
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.places.get(key).map(|&place| &self.list[place as usize])
    }

    /// All items in order; the number of an item is its place.
    pub fn list(&self) -> &Vector<Item> {
        &self.list
    }

    fn push(&mut self, item: Item) {
        let place = u32::try_from(self.list.len()).expect("a batch has at most 100,000 items");
        self.places.insert(item.key.clone(), place);
        self.counts.total += 1;
        *self.counts.of(item.state) += 1;
        self.list.push_back(item);
    }

    fn set(&mut self, place: usize, state: ItemState, reported: Option<Seq>) {
        let item = &mut self.list[place];
        *self.counts.of(item.state) -= 1;
        *self.counts.of(state) += 1;
        item.state = state;
        item.reported = reported;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(keys: &[&str]) -> Items {
        let new: Vec<NewItem> = keys.iter().map(|&key| NewItem { key: key.into(), args: None }).collect();
        let mut items = Items::default();
        items.add(&new, Seq(7));
        items
    }

    #[test]
    fn known_keys_are_passed_over() {
        let mut batch = items(&["a", "b"]);
        batch.report("a", ItemState::Completed, Seq(8));
        batch.add(&[NewItem { key: "a".into(), args: None }, NewItem { key: "c".into(), args: None }], Seq(9));
        assert_eq!(batch.counts(), ItemCounts { total: 3, completed: 1, failed: 0, skipped: 0, pending: 2 });
        assert_eq!(batch.get("a").map(|item| item.added), Some(Seq(7)));
    }

    #[test]
    fn the_last_report_of_an_item_wins() {
        let mut batch = items(&["a"]);
        batch.report("a", ItemState::Failed, Seq(8));
        batch.report("a", ItemState::Completed, Seq(9));
        batch.report("unknown", ItemState::Completed, Seq(9));
        assert_eq!(batch.counts(), ItemCounts { total: 1, completed: 1, failed: 0, skipped: 0, pending: 0 });
    }

    #[test]
    fn turning_items_back_to_pending_forgets_their_reports() {
        let mut batch = items(&["a", "b", "c"]);
        batch.report("a", ItemState::Failed, Seq(8));
        batch.report("b", ItemState::Completed, Seq(8));
        batch.turn(&[ItemState::Failed, ItemState::Skipped], ItemState::Pending);
        assert_eq!(batch.get("a").map(|item| (item.state, item.reported)), Some((ItemState::Pending, None)));
        assert_eq!(batch.counts().pending, 2);
    }

    #[test]
    fn a_clone_of_a_hundred_thousand_items_shares_them() {
        let keys: Vec<String> = (0..ITEMS_MAX).map(|number| number.to_string()).collect();
        let batch = items(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        let mut copy = batch.clone();
        copy.report("77", ItemState::Completed, Seq(8));
        assert_eq!(batch.counts().completed, 0);
        assert_eq!(copy.counts().completed, 1);
    }
}
