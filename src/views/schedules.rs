//! The schedules, and whoever follows them.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::event::Event;
use crate::domain::id::{ScheduleName, Seq};
use crate::domain::schedule::Schedule;
use crate::domain::time::Timestamp;
use crate::feed::Page;
use crate::views::Views;
use crate::views::row::ScheduleRow;

impl Views {
    /// Every schedule, by name.
    pub fn schedules(&self) -> Vec<(ScheduleName, Arc<Schedule>)> {
        self.index.read().schedules.iter().map(|(name, schedule)| (name.clone(), schedule.clone())).collect()
    }

    /// One schedule.
    pub fn schedule(&self, name: &ScheduleName) -> Option<Arc<Schedule>> {
        self.index.read().schedules.get(name).cloned()
    }

    /// When the first of all schedules is due.
    pub fn next_schedule_at(&self) -> Option<Timestamp> {
        self.index.read().schedules.next_at()
    }

    /// Follows the changes of schedules: the seq of the last that is shown.
    pub fn follow_schedules(&self) -> watch::Receiver<Seq> {
        self.schedules_changed.subscribe()
    }

    pub(super) fn tell_of_schedules(&self, page: &Page) {
        let is_of_schedule = |event: &Event| matches!(event, Event::ScheduleChanged(_) | Event::ScheduleFired(_));
        let last = page.records.iter().rev().find(|record| is_of_schedule(&record.event));
        if let Some(record) = last {
            self.schedules_changed.send_replace(record.seq);
        }
    }
}

impl ScheduleRow {
    /// A schedule as users see it.
    pub fn of(name: ScheduleName, schedule: &Schedule) -> ScheduleRow {
        let spec = &schedule.spec;
        let last = schedule.last.as_deref();
        ScheduleRow {
            name,
            cron: spec.cron.clone(),
            time_zone: spec.time_zone.clone(),
            job: spec.job.clone(),
            missed: spec.missed,
            overlap: spec.overlap,
            origin: spec.origin,
            next_at: schedule.next_at,
            last_fired_at: last.map(|fired| fired.at),
            last_due_at: last.map(|fired| fired.due_at),
            last_outcome: last.map(|fired| fired.outcome),
            last_error: last.and_then(|fired| fired.error.clone()),
            last_job_id: schedule.last_job,
        }
    }
}
