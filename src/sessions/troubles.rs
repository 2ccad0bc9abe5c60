//! Worker processes that are not there although they should be: what happened, how often in a row, and when the next try
//! is. Soft state for people who ask why nothing runs; nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::id::KindName;
use crate::domain::time::Timestamp;

/// A worker process that is to be started again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Trouble {
    /// The name of its place: the kind and a number.
    pub name: Arc<str>,
    pub kind: KindName,
    /// What happened to the last one: "was not started: …", "ended …".
    pub detail: String,
    /// How often in a row it did not live long.
    pub faults: u32,
    /// When the next one is started.
    pub next_start_at: Timestamp,
}

/// All of them, by name: at most one for each place of a worker process.
#[derive(Debug, Default)]
pub struct Troubles {
    by_name: Mutex<BTreeMap<Arc<str>, Trouble>>,
}

impl Troubles {
    /// Notes what happened at a place, instead of what was noted before.
    pub fn note(&self, trouble: Trouble) {
        self.by_name.lock().insert(trouble.name.clone(), trouble);
    }

    /// A process is there again, or none is wanted any more.
    pub fn are_over(&self, name: &str) {
        self.by_name.lock().remove(name);
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Trouble> {
        self.by_name.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(name: &str, faults: u32) -> Trouble {
        let kind = "resize".parse().expect("a name");
        let next_start_at = Timestamp::from_ms(1_000);
        Trouble { name: name.into(), kind, detail: "ended (exit status 1)".into(), faults, next_start_at }
    }

    #[test]
    fn the_last_trouble_of_each_place_is_kept_until_it_is_over() {
        let troubles = Troubles::default();
        troubles.note(trouble("resize/2", 1));
        troubles.note(trouble("resize/1", 1));
        troubles.note(trouble("resize/2", 2));
        assert_eq!(troubles.list(), [trouble("resize/1", 1), trouble("resize/2", 2)]);
        troubles.are_over("resize/2");
        assert_eq!(troubles.list(), [trouble("resize/1", 1)]);
    }
}
