//! Schedules: jobs that are submitted again and again, and what is known of each. There is no calendar here: every
//! time was computed outside and comes in with a command (D1).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::event::{ScheduleChanged, ScheduleFired};
use crate::domain::id::{JobId, ScheduleName, Seq};
use crate::domain::json::Json;
use crate::domain::limits::{CRON_BYTES_MAX, TIME_ZONE_BYTES_MAX};
use crate::domain::time::Timestamp;

/// The most schedules that there may be: each is held in memory with the request for its jobs.
pub const SCHEDULES_MAX: usize = 1_000;
/// The most bytes of the request for the jobs of a schedule. All schedules together fit into one frame of a snapshot.
pub const SCHEDULE_JOB_BYTES_MAX: usize = 32 * 1024;

/// What a schedule asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScheduleSpec {
    /// When: five fields (minute, hour, day of the month, month, day of the week), or a word like `@daily`.
    #[schemars(length(min = 1, max = CRON_BYTES_MAX))]
    pub cron: Arc<str>,
    /// The time zone in which the fields are read: an IANA name.
    #[schemars(length(min = 1, max = TIME_ZONE_BYTES_MAX))]
    pub time_zone: Arc<str>,
    /// What is submitted each time: the same that `POST /api/jobs` takes.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub job: Json,
    /// What becomes of times that have passed.
    pub missed: Missed,
    /// What happens when its job before has not ended.
    pub overlap: Overlap,
    /// Who owns it.
    pub origin: Origin,
}

/// What becomes of times that are more than a minute past when they are noticed, because the server was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// None of them makes a job.
    Skip,
    /// One job is made for all of them.
    #[default]
    Once,
    /// Each makes a job, the latest 1,000 at most.
    All,
}

/// What happens when a schedule is due and its job before has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// No job is made.
    Skip,
    /// Another job is made all the same.
    #[default]
    Queue,
    /// The job before is cancelled, and another is made.
    Replace,
}

/// Who owns a schedule, and so may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It stands in the configuration.
    Config,
    /// It was made over HTTP.
    Api,
}

/// What came of a time of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FireOutcome {
    /// A job was submitted.
    Submitted,
    /// The job before had not ended, and the schedule skips then.
    SkippedOverlap,
    /// The time had passed, and the schedule skips such times.
    Missed,
    /// The job was refused; the schedule goes on.
    Failed,
}

impl FireOutcome {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            FireOutcome::Submitted => "submitted",
            FireOutcome::SkippedOverlap => "skipped_overlap",
            FireOutcome::Missed => "missed",
            FireOutcome::Failed => "failed",
        }
    }
}

/// Why a schedule could not submit its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FireError {
    /// For programs: a code that `POST /api/jobs` answers with too.
    pub code: Arc<str>,
    /// For people.
    pub message: Arc<str>,
}

/// One schedule, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub spec: Arc<ScheduleSpec>,
    /// The seq of the event that made it what it is.
    pub changed: Seq,
    /// The next time; none: there is none any more.
    pub next_at: Option<Timestamp>,
    /// The job that it submitted last.
    pub last_job: Option<JobId>,
    /// What came of its last time.
    pub last: Option<Arc<Fired>>,
}

/// What came of a time, and when that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    pub at: Timestamp,
    pub due_at: Timestamp,
    pub outcome: FireOutcome,
    pub error: Option<FireError>,
}

/// All schedules by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedules(BTreeMap<ScheduleName, Arc<Schedule>>);

impl Schedules {
    /// One of them.
    pub fn get(&self, name: &ScheduleName) -> Option<&Arc<Schedule>> {
        self.0.get(name)
    }

    /// All of them in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&ScheduleName, &Arc<Schedule>)> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The earliest next time of all.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|schedule| schedule.next_at).min()
    }

    /// A schedule was made, changed or dropped.
    pub fn change(&mut self, seq: Seq, data: &ScheduleChanged) {
        let Some(spec) = &data.schedule else {
            self.0.remove(&data.name);
            return;
        };
        let before = self.0.get(&data.name);
        let schedule = Schedule {
            spec: Arc::new(spec.clone()),
            changed: seq,
            next_at: data.next_at,
            last_job: before.and_then(|schedule| schedule.last_job),
            last: before.and_then(|schedule| schedule.last.clone()),
        };
        self.0.insert(data.name.clone(), Arc::new(schedule));
    }

    /// A time of a schedule has come.
    pub fn fire(&mut self, at: Timestamp, data: &ScheduleFired) {
        let schedule = self.0.get_mut(&data.name).expect("a schedule that is fired is there");
        let schedule = Arc::make_mut(schedule);
        schedule.next_at = data.next_at;
        schedule.last_job = data.job_id.or(schedule.last_job);
        let fired = Fired { at, due_at: data.due_at, outcome: data.outcome, error: data.error.clone() };
        schedule.last = Some(Arc::new(fired));
    }
}
