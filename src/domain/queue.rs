//! Queues: what somebody did to them, their limits, and which job comes next.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

use crate::domain::event::Actor;
use crate::domain::id::{KindName, Ordinal, QueueName};
use crate::domain::rate::{RateLimit, Spent};
use crate::domain::time::Timestamp;

/// What is known of a queue beside its jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// It hands out nothing.
    pub pause: Option<Pause>,
    /// It takes no new jobs; what is in it is worked off.
    pub drain: Option<Pause>,
    /// What was started from it last, while it had a rate.
    pub spent: Option<Spent>,
}

/// Since when a queue hands out nothing, or takes nothing, and who wanted it so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Pause {
    pub at: Timestamp,
    pub by: Actor,
}

/// How many jobs may run at once and how fast they start, as configuration says. Not part of the state: a limit decides which events happen,
/// and the events say what was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Running jobs of a kind, over all workers.
    pub kinds: BTreeMap<KindName, u32>,
    /// Running jobs from a queue, over all workers.
    pub queues: BTreeMap<QueueName, u32>,
    /// Starts from a queue. A start that was lost or given back counts nevertheless.
    pub rates: BTreeMap<QueueName, RateLimit>,
}

/// Where a queued job stands: higher priority first, then the order of submission.
pub type Rank = (Reverse<i8>, Ordinal);

/// The queued jobs, by queue and kind, each in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ready {
    lines: BTreeMap<(QueueName, KindName), Line>,
}

impl Ready {
    /// Puts a job in its place.
    pub fn insert(&mut self, queue: &QueueName, kind: &KindName, rank: Rank) {
        self.lines.entry((queue.clone(), kind.clone())).or_default().insert(rank);
    }

    /// Takes a job out of its place.
    pub fn remove(&mut self, queue: &QueueName, kind: &KindName, rank: Rank) {
        let key = (queue.clone(), kind.clone());
        if let Some(line) = self.lines.get_mut(&key) {
            line.remove(rank);
            if line.is_empty() {
                self.lines.remove(&key);
            }
        }
    }

    /// The lines in which something waits: queue, kind, and the jobs in order.
    pub fn lines(&self) -> impl Iterator<Item = (&QueueName, &KindName, &Line)> {
        self.lines.iter().map(|((queue, kind), line)| (queue, kind, line))
    }

    /// How many wait.
    pub fn len(&self) -> u64 {
        self.lines.values().map(Line::len).sum()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// The jobs of one kind that wait in one queue. Ordinals lie close together, so a set of bits a priority holds a million
/// of them in less than a megabyte.
#[derive(Debug, Clone, Default)]
pub struct Line {
    priorities: BTreeMap<Reverse<i8>, RoaringTreemap>,
}

/// How a set of bits is laid out in memory says nothing.
impl PartialEq for Line {
    fn eq(&self, other: &Line) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Line {
    /// The jobs in the order in which they are to be started.
    pub fn iter(&self) -> impl Iterator<Item = Rank> {
        let ranks = |(&priority, jobs)| RoaringTreemap::iter(jobs).map(move |job| (priority, Ordinal(job)));
        self.priorities.iter().flat_map(ranks)
    }

    /// How many wait.
    pub fn len(&self) -> u64 {
        self.priorities.values().map(RoaringTreemap::len).sum()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.priorities.is_empty()
    }

    fn insert(&mut self, (priority, job): Rank) {
        self.priorities.entry(priority).or_default().insert(job.0);
    }

    fn remove(&mut self, (priority, job): Rank) {
        if let Some(jobs) = self.priorities.get_mut(&priority) {
            jobs.remove(job.0);
            if jobs.is_empty() {
                self.priorities.remove(&priority);
            }
        }
    }
}
