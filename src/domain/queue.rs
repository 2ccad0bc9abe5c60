//! Queues: their pauses, their limits, and which job comes next.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::event::Actor;
use crate::domain::id::{KindName, Ordinal, QueueName};
use crate::domain::time::Timestamp;

/// A queue that hands out nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Pause {
    pub at: Timestamp,
    pub by: Actor,
}

/// How many jobs may run at once, as configuration says. Not part of the state: a limit decides which events happen,
/// and the events say what was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Running jobs of a kind, over all workers.
    pub kinds: BTreeMap<KindName, u32>,
    /// Running jobs from a queue, over all workers.
    pub queues: BTreeMap<QueueName, u32>,
}

/// Where a queued job stands: higher priority first, then the order of submission.
pub type Rank = (std::cmp::Reverse<i8>, Ordinal);

/// The queued jobs, by queue and kind, each in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ready {
    lines: BTreeMap<(QueueName, KindName), BTreeSet<Rank>>,
}

impl Ready {
    /// Puts a job in its place.
    pub fn insert(&mut self, queue: &QueueName, kind: &KindName, rank: Rank) {
        self.lines.entry((queue.clone(), kind.clone())).or_default().insert(rank);
    }

    /// Takes a job out of its place.
    pub fn remove(&mut self, queue: &QueueName, kind: &KindName, rank: Rank) {
        let line = (queue.clone(), kind.clone());
        if let Some(ranks) = self.lines.get_mut(&line) {
            ranks.remove(&rank);
            if ranks.is_empty() {
                self.lines.remove(&line);
            }
        }
    }

    /// The lines in which something waits: queue, kind, and the jobs in order.
    pub fn lines(&self) -> impl Iterator<Item = (&QueueName, &KindName, &BTreeSet<Rank>)> {
        self.lines.iter().map(|((queue, kind), ranks)| (queue, kind, ranks))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}
