//! The rows of queues and workers as they were told last, and what differs now. Ages and beats alone are no difference: they
//! move all the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::id::Seq;
use crate::domain::time::Timestamp;
use crate::views::Views;
use crate::views::row::{QueueRow, WorkerRow};

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableKind {
    Queues,
    Workers,
}

/// Rows by name, as they are sent.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: BTreeMap<Arc<str>, Row>,
}

#[derive(Debug, Clone)]
struct Row {
    /// All of it.
    text: String,
    /// What counts as a difference.
    essence: String,
}

impl TableKind {
    /// Both.
    pub const ALL: [TableKind; 2] = [TableKind::Queues, TableKind::Workers];

    /// The name of the list in frames.
    pub fn as_str(self) -> &'static str {
        match self {
            TableKind::Queues => "queues",
            TableKind::Workers => "workers",
        }
    }
}

impl Table {
    /// The table of now.
    pub fn read(kind: TableKind, views: &Views, now: Timestamp) -> Table {
        let rows = match kind {
            TableKind::Queues => views.queues(now).iter().map(queue).collect(),
            TableKind::Workers => views.workers().iter().map(worker).collect(),
        };
        Table { rows }
    }

    /// All rows, as JSON.
    pub fn text(&self) -> String {
        joined(self.rows.values())
    }

    /// The end of a frame that turns `before` into this; none when nothing differs.
    pub fn difference(&self, before: &Table, kind: TableKind, seq: Seq) -> Option<String> {
        let is_other = |name: &Arc<str>, row: &Row| before.rows.get(name).is_none_or(|old| old.essence != row.essence);
        let changed = self.rows.iter().filter(|(name, row)| is_other(name, row)).map(|(_, row)| row);
        let changed = joined(changed);
        let left: Vec<&Arc<str>> = before.rows.keys().filter(|name| !self.rows.contains_key(*name)).collect();
        let differs = !changed.is_empty() || !left.is_empty();
        differs.then(|| format!("\"seq\":{},\"{}\":[{changed}],\"left\":{}}}", seq.0, kind.as_str(), written(&left)))
    }
}

fn queue(row: &QueueRow) -> (Arc<str>, Row) {
    let essence = written(&QueueRow { oldest_age_s: None, ..row.clone() });
    (row.name.to_string().into(), Row { text: written(row), essence })
}

fn worker(row: &WorkerRow) -> (Arc<str>, Row) {
    let essence = written(&WorkerRow { last_beat_at: row.joined_at, ..row.clone() });
    (row.session.to_string().into(), Row { text: written(row), essence })
}

fn joined<'r>(rows: impl Iterator<Item = &'r Row>) -> String {
    rows.map(|row| row.text.as_str()).collect::<Vec<&str>>().join(",")
}

fn written(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("what is published can be written as JSON")
}
