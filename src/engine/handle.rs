//! How everybody else speaks to the engine: commands in, receipts out. Cheap to clone; hides the channel.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::domain::command::Command;
use crate::domain::event::Actor;
use crate::domain::id::{JobId, SessionId};
use crate::domain::queue::Limits;
use crate::engine::receipt::{Granted, Receipt, SubmitError};
use crate::feed::Hub;
use crate::log::LogReader;
use crate::views::Views;

/// The way into the engine.
#[derive(Clone)]
pub struct Handle {
    pub(crate) inner: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) views: Arc<Views>,
    pub(crate) feed: Arc<Hub>,
    pub(crate) log: Arc<dyn LogReader>,
    pub(crate) condition: watch::Receiver<Condition>,
}

/// Whether the engine takes commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Running,
    /// New work is refused until there is room on the disk again.
    StorageLow {
        free: u64,
        min: u64,
    },
    /// The log could not be written; only a restart helps (L3).
    Halted {
        detail: String,
    },
    /// The server is stopping.
    Stopping,
}

pub(crate) enum Message {
    Submit { command: Command, actor: Actor, reply: oneshot::Sender<Result<Receipt, SubmitError>> },
    Claim(StandingClaim),
    LetGo(JobId),
    SetLimits(Limits),
}

/// A session that waits for jobs. When the receiver is gone it waits no more.
pub(crate) struct StandingClaim {
    pub(crate) session: SessionId,
    pub(crate) max: usize,
    pub(crate) reply: oneshot::Sender<Result<Grants, SubmitError>>,
}

impl Handle {
    /// Asks the core for something and waits until the answer is durable (E2).
    pub async fn submit(&self, command: Command, actor: Actor) -> Result<Receipt, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Submit { command, actor, reply })?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Waits until there are jobs for the session: at least one, at most `max`. It is first come, first served, so
    /// jobs go round-robin to the sessions that wait. Dropping the future is safe at any moment: what was granted
    /// and not taken is released.
    pub async fn claim(&self, session: SessionId, max: usize) -> Result<Grants, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Claim(StandingClaim { session, max, reply }))?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Says that nothing of a job's last run by a subprocess is alive any more. A job that was granted to a
    /// subprocess is granted to nobody else before (its group of processes may outlive its lease).
    pub fn let_go(&self, job: JobId) {
        // A full queue must not keep a job back for ever, and this is no new work: wait for room elsewhere.
        if let Err(mpsc::error::TrySendError::Full(message)) = self.inner.messages.try_send(Message::LetGo(job)) {
            let messages = self.inner.messages.clone();
            tokio::spawn(async move { messages.send(message).await });
        }
    }

    /// Replaces the limits of kinds and queues, as configuration says.
    pub async fn set_limits(&self, limits: Limits) -> Result<(), SubmitError> {
        self.inner.messages.send(Message::SetLimits(limits)).await.map_err(|_| self.gone())
    }

    /// What is durable, as lists and rows.
    pub fn views(&self) -> &Arc<Views> {
        &self.inner.views
    }

    /// What becomes durable, as it happens.
    pub fn feed(&self) -> &Arc<Hub> {
        &self.inner.feed
    }

    /// The log's durable records.
    pub fn log(&self) -> &Arc<dyn LogReader> {
        &self.inner.log
    }

    /// Whether the engine takes commands; changes can be awaited.
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.inner.condition.clone()
    }

    fn send(&self, message: Message) -> Result<(), SubmitError> {
        self.inner.messages.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => self.gone(),
        })
    }

    fn gone(&self) -> SubmitError {
        match &*self.inner.condition.borrow() {
            Condition::Halted { detail } => SubmitError::Halted { detail: detail.clone() },
            Condition::Running | Condition::StorageLow { .. } | Condition::Stopping => SubmitError::Stopping,
        }
    }
}

/// Granted leases on their way to a worker. Dropped before [`Grants::take`], they are released.
pub struct Grants {
    pub(crate) granted: Vec<Granted>,
    pub(crate) messages: mpsc::WeakSender<Message>,
}

impl Grants {
    /// Takes the leases over: from now on it is the taker's duty to end each.
    pub fn take(mut self) -> Vec<Granted> {
        std::mem::take(&mut self.granted)
    }
}
