//! What happens to the sessions of workers. The structs are frozen, as [`crate::domain::event`] says.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::id::{KindName, QueueName, SessionId};
use crate::domain::job::WorkerPlace;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkerJoined {
    /// The session that begins.
    pub session: SessionId,
    /// A label for people; it need not be unique.
    pub name: Arc<str>,
    /// What it runs; empty: every kind.
    pub kinds: Vec<KindName>,
    /// From where; `null`: every queue.
    pub queues: Option<Vec<QueueName>>,
    /// Where it lives.
    pub place: WorkerPlace,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkerLeft {
    /// The session that has ended.
    pub session: SessionId,
    /// Why it ended.
    pub cause: WorkerLeftCause,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerLeftCause {
    /// It closed in order.
    Closed,
    /// Its connection broke and was not resumed in time.
    ConnectionLost,
    /// Nothing was heard for the length of a lease.
    LeaseExpired,
    /// Its process ended.
    ProcessDied,
    /// The server stopped in order.
    Shutdown,
    /// The server was killed and started again.
    ServerRestarted,
}
