//! Values that many jobs share, each stored once. What nobody shares any more is let go now and then, so that a pool
//! grows with what is alive and not with what ever was. Equal states may have different pools: they mean nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Below this many values a pool is not looked through.
const PRUNE_AT_MIN: usize = 1024;

/// A set of shared values.
#[derive(Debug)]
pub struct Pool<T: ?Sized> {
    known: BTreeSet<Arc<T>>,
    prune_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Pool<T> {
        Pool { known: BTreeSet::new(), prune_at: PRUNE_AT_MIN }
    }
}

impl<T: ?Sized> Clone for Pool<T> {
    fn clone(&self) -> Pool<T> {
        Pool { known: self.known.clone(), prune_at: self.prune_at }
    }
}

impl<T: ?Sized + Ord> Pool<T> {
    /// The one stored copy of a value.
    pub fn share(&mut self, value: &Arc<T>) -> Arc<T> {
        if let Some(known) = self.known.get(value) {
            return known.clone();
        }
        if self.known.len() >= self.prune_at {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.prune_at = PRUNE_AT_MIN.max(self.known.len() * 2);
        }
        self.known.insert(value.clone());
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_stored_once() {
        let mut pool = Pool::<str>::default();
        let first = pool.share(&Arc::from("resize"));
        let second = pool.share(&Arc::from("resize"));
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn values_that_nobody_shares_any_more_are_let_go() {
        let mut pool = Pool::<str>::default();
        let kept = pool.share(&Arc::from("kept"));
        (0..10 * PRUNE_AT_MIN).for_each(|number| drop(pool.share(&Arc::from(number.to_string()))));
        assert!(pool.known.len() <= PRUNE_AT_MIN);
        assert!(Arc::ptr_eq(&kept, &pool.share(&Arc::from("kept"))));
    }
}
