//! Live progress: the latest value of each running job, finer than what is recorded.
//!
//! A value is recorded at most once a second a job, and before each change of the job's state; in between it is shown
//! and not written. It is no part of the fold (E3).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::event::{Event, JobProgressed};
use crate::domain::id::JobId;
use crate::domain::job::Progress;
use crate::domain::state::State;
use crate::domain::time::{Millis, Timestamp};
use crate::engine::batch::Batch;

/// The least time between two recorded values of one job.
pub const RECORD_EVERY: Millis = Millis(1000);

/// Values that are shown and not yet recorded.
#[derive(Debug, Default)]
pub struct Overlay {
    waiting: BTreeMap<JobId, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    progress: Arc<Progress>,
    due: Timestamp,
}

impl Overlay {
    /// When the next waiting value is to be recorded.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// Takes progress that came too soon after the last out of the events, and puts waiting progress before the
    /// events that change a job's state.
    pub fn weave(&mut self, batch: &mut Batch, state: &State, events: Vec<Event>, now: Timestamp) -> Vec<Event> {
        let is_plain = |event: &Event| !matches!(event, Event::JobProgressed(_)) && !changes_state(event);
        if events.iter().all(is_plain) {
            return events;
        }
        let mut woven = Vec::with_capacity(events.len() + 1);
        for event in events {
            match event {
                Event::JobProgressed(data) => woven.extend(self.progressed(batch, state, data, now)),
                event => {
                    let job = event.job().filter(|_| changes_state(&event));
                    let waiting = job.and_then(|job| self.waiting.remove(&job).map(|waiting| (job, waiting)));
                    woven.extend(waiting.map(|(job, waiting)| record(job, &waiting)));
                    woven.push(event);
                }
            }
        }
        woven
    }

    /// The events that record values which have waited long enough.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<Event> {
        let is_due = |waiting: &Waiting| waiting.due <= now;
        let due: Vec<JobId> = self.waiting.iter().filter(|(_, waiting)| is_due(waiting)).map(|(&id, _)| id).collect();
        due.into_iter().filter_map(|id| self.waiting.remove(&id).map(|waiting| record(id, &waiting))).collect()
    }

    /// Drops what waits of a job.
    pub fn forget(&mut self, job: JobId) {
        self.waiting.remove(&job);
    }

    fn progressed(&mut self, batch: &mut Batch, state: &State, data: JobProgressed, now: Timestamp) -> Option<Event> {
        let job = state.active(data.job);
        let recorded_at = job.and_then(|job| job.extras.as_ref()?.progress_at);
        let due = recorded_at.map_or(now, |at| at.plus(RECORD_EVERY));
        let progress = Arc::new(data.progress.clone());
        let run = job.and_then(|job| job.run());
        batch.overlays.extend(run.map(|run| (data.job, run.lease.token, progress.clone())));
        if due <= now {
            self.waiting.remove(&data.job);
            return Some(data.into());
        }
        self.waiting.insert(data.job, Waiting { progress, due });
        None
    }
}

fn record(job: JobId, waiting: &Waiting) -> Event {
    JobProgressed { job, progress: (*waiting.progress).clone() }.into()
}

fn changes_state(event: &Event) -> bool {
    matches!(
        event,
        Event::JobQueued(_)
            | Event::JobAttemptFailed(_)
            | Event::JobAttemptLost(_)
            | Event::JobCompleted(_)
            | Event::JobFailed(_)
            | Event::JobCancelled(_)
    )
}
