//! What happens to schedules. The structs are frozen, as [`crate::domain::event`] says.

use serde::{Deserialize, Serialize};

use crate::domain::id::{JobId, ScheduleName};
use crate::domain::schedule::{FireError, FireOutcome, ScheduleSpec};
use crate::domain::time::Timestamp;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScheduleChanged {
    /// The schedule that the event is about.
    pub name: ScheduleName,
    /// What it asks for from now on; `null`: it is dropped.
    pub schedule: Option<ScheduleSpec>,
    /// Its next time; `null`: there is none.
    pub next_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScheduleFired {
    /// The schedule that the event is about.
    pub name: ScheduleName,
    /// The time that had come.
    pub due_at: Timestamp,
    /// The time that comes next; `null`: there is none.
    pub next_at: Option<Timestamp>,
    /// How many missed times before `due_at` this stands for as well: they are passed over. At most 10,000 are counted.
    pub passed: u32,
    /// What came of it.
    pub outcome: FireOutcome,
    /// The job that was submitted; `null`: none was.
    pub job_id: Option<JobId>,
    /// The job before, which was cancelled to make room; `null`: none was.
    pub replaced_job_id: Option<JobId>,
    /// Why no job could be submitted; `null` unless that `failed`.
    pub error: Option<FireError>,
}
