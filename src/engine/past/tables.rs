//! Queues, sessions and counts of a past moment: what the log tells of them. Limits are configured, and beats are heard: of
//! both the log knows nothing, and so the past does not.

use std::collections::BTreeMap;

use crate::domain::id::{JobId, QueueName, SessionId};
use crate::domain::job::StateName;
use crate::domain::state::Slot;
use crate::domain::time::Timestamp;
use crate::engine::past::rows::{LookBackError, PastViews};
use crate::views::row::{QueueRow, StateCounts, WorkerRow};

/// The jobs of a queue.
#[derive(Default)]
struct Jobs {
    counts: StateCounts,
    /// Since when the one that has waited longest is queued.
    oldest: Option<Timestamp>,
}

impl PastViews {
    /// Every queue that was known, by name: by its jobs, or by what was done to it. Ages are those of that moment.
    pub fn queues(&self) -> Vec<QueueRow> {
        let mut jobs: BTreeMap<QueueName, Jobs> = BTreeMap::new();
        for (_, label) in self.past.labels_below(None) {
            let entry = match jobs.get_mut(&label.queue) {
                Some(entry) => entry,
                None => jobs.entry(label.queue).or_default(),
            };
            *entry.counts.of(label.state) += 1;
            if let Some(since) = label.queued_at.filter(|_| label.state == StateName::Queued) {
                entry.oldest = Some(entry.oldest.map_or(since, |oldest| oldest.min(since)));
            }
        }
        let now = self.past.at();
        let known = self.past.globals().queues;
        for name in known.keys() {
            jobs.entry(name.clone()).or_default();
        }
        let row = |(name, jobs): (QueueName, Jobs)| {
            let known = known.get(&name).cloned().unwrap_or_default();
            QueueRow::on_record(&name, &known, jobs.counts, jobs.oldest, now)
        };
        jobs.into_iter().map(row).collect()
    }

    /// Every session that was live, and what it ran.
    pub fn workers(&self) -> Result<Vec<WorkerRow>, LookBackError> {
        let mut held: BTreeMap<SessionId, Vec<JobId>> = BTreeMap::new();
        for (ordinal, _) in self.past.labels_below(None).filter(|(_, label)| label.state == StateName::Running) {
            let Some(Slot::Active(job)) = self.past.slot_at(ordinal)? else { continue };
            if let Some(run) = job.run() {
                held.entry(run.lease.session).or_default().push(job.id);
            }
        }
        let rows = self.past.globals().workers.into_iter().map(|(session, worker)| {
            let mut jobs = held.remove(&session).unwrap_or_default();
            jobs.reverse();
            WorkerRow::on_record(&worker.joined, worker.joined_at, jobs)
        });
        Ok(rows.collect())
    }
}
