//! What is left of jobs that are forgotten or purged. The structs are frozen, as [`crate::domain::event`] says.

use serde::{Deserialize, Serialize};

use crate::domain::id::JobId;
use crate::domain::limits::FORGOTTEN_MAX;

/// The one event that names several jobs (D3): forgetting a hundred thousand is a few hundred events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobsForgotten {
    /// They had ended, and are not known any more.
    #[schemars(length(min = 1, max = FORGOTTEN_MAX))]
    pub jobs: Vec<JobId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobPurged {
    /// The job that the event is about.
    pub job: JobId,
}
