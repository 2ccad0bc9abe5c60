//! What happens to queues. The structs are frozen, as [`crate::domain::event`] says.

use serde::{Deserialize, Serialize};

use crate::domain::id::QueueName;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QueuePaused {
    /// The queue that hands out nothing.
    pub queue: QueueName,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QueueResumed {
    /// The queue that hands out jobs again.
    pub queue: QueueName,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QueueDraining {
    /// The queue that takes no new jobs.
    pub queue: QueueName,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QueueRateSpent {
    /// The queue that has a rate.
    pub queue: QueueName,
    /// How many of its jobs were started at this moment.
    pub jobs: u32,
    /// How much of what may start at once is used up with them, in millionths of a job; it runs out at the
    /// queue's rate.
    pub used_millionths: u64,
}
