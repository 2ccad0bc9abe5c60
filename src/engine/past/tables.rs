//! Queues, sessions and counts of a past moment: what the log tells of them. Limits are configured, and beats are heard: of
//! both the log knows nothing, and so the past does not.

use std::collections::BTreeMap;

use crate::domain::id::{JobId, Ordinal, QueueName, SessionId};
use crate::domain::job::StateName;
use crate::domain::state::Slot;
use crate::domain::time::Timestamp;
use crate::engine::past::rows::{LookBackError, PastViews};
use crate::views::row::{QueueRow, StateCounts, WorkerRow};

/// The jobs of a queue.
#[derive(Default)]
struct Jobs {
    counts: StateCounts,
    /// Those that are queued, the newest first.
    queued: Vec<Ordinal>,
}

impl PastViews {
    /// Every queue that was known, by name. Ages are those of that moment.
    pub fn queues(&self) -> Result<Vec<QueueRow>, LookBackError> {
        let mut jobs: BTreeMap<QueueName, Jobs> = BTreeMap::new();
        for (ordinal, label) in self.past.labels_below(None) {
            let entry = match jobs.get_mut(&label.queue) {
                Some(entry) => entry,
                None => jobs.entry(label.queue).or_default(),
            };
            *entry.counts.of(label.state) += 1;
            if label.state == StateName::Queued {
                entry.queued.push(ordinal);
            }
        }
        let now = self.past.at();
        let rows = self.past.globals().queues.into_iter().map(|(name, known)| {
            let jobs = jobs.remove(&name).unwrap_or_default();
            let oldest = self.oldest(&jobs.queued)?;
            Ok(QueueRow::on_record(&name, &known, jobs.counts, oldest, now))
        });
        rows.collect()
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

    /// Since when the job that has waited longest is queued. The oldest jobs are looked at first, and no more once one was
    /// submitted later than the longest wait began: nobody is queued before he is submitted.
    fn oldest(&self, queued: &[Ordinal]) -> Result<Option<Timestamp>, LookBackError> {
        let mut oldest = None;
        for &ordinal in queued.iter().rev() {
            let Some(Slot::Active(job)) = self.past.slot_at(ordinal)? else { continue };
            if oldest.is_some_and(|oldest| job.created_at >= oldest) {
                break;
            }
            let since = job.queued_at.unwrap_or(job.created_at);
            oldest = Some(oldest.map_or(since, |oldest: Timestamp| oldest.min(since)));
        }
        Ok(oldest)
    }
}
