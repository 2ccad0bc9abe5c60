//! How everybody else speaks to the engine: commands in, receipts out. Cheap to clone; hides the channel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::{mpsc, oneshot, watch};

use crate::domain::command::{Claim, Command};
use crate::domain::event::Actor;
use crate::domain::id::{JobId, LeaseToken, Seq, SessionId, TokenHash};
use crate::domain::queue::Limits;
use crate::domain::state::State;
use crate::domain::time::Timestamp;
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
    pub(crate) messages: mpsc::UnboundedSender<Message>,
    /// Commands that wait for the runner.
    pub(crate) waiting: AtomicUsize,
    pub(crate) views: Arc<Views>,
    pub(crate) feed: Arc<Hub>,
    pub(crate) log: Arc<dyn LogReader>,
    pub(crate) condition: Arc<watch::Sender<Condition>>,
    pub(crate) due: watch::Receiver<Due>,
}

/// The most commands that may wait for the writer; one more is answered [`SubmitError::Overloaded`].
pub const WAITING_MAX: usize = 8192;

/// When time alone makes something happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due {
    /// The earliest moment of all.
    pub first: Option<Timestamp>,
    /// The earliest moment at which a run is ended: its timeout, or the end of a requested cancel's grace.
    pub run_ends: Option<Timestamp>,
}

impl Due {
    pub(crate) fn of(state: &State) -> Due {
        Due { first: state.next_due(), run_ends: state.next_deadline() }
    }
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

/// Who waits for the log to be rolled; none is told of an error but by the end of waiting.
pub(crate) type RollReply = oneshot::Sender<Seq>;

pub(crate) enum Message {
    Submit {
        command: Command,
        actor: Actor,
        reply: oneshot::Sender<Result<Receipt, SubmitError>>,
    },
    Claim(StandingClaim),
    LetGo(JobId),
    /// Leases that were granted and that nobody took.
    Return(Vec<Granted>),
    SetLimits(Limits),
    /// End the part of the log that takes events, behind all that was asked for before.
    Roll(RollReply),
    /// Nobody asks for anything any more.
    Close,
    /// The committer has made a batch durable and takes another.
    Committed,
}

/// A session that waits for jobs. When the receiver is gone it waits no more.
pub(crate) struct StandingClaim {
    pub(crate) session: SessionId,
    pub(crate) max: usize,
    /// Tokens for what it may be granted, kept from one deal to the next: they are made when there are jobs for them.
    pub(crate) tokens: Vec<(LeaseToken, TokenHash)>,
    pub(crate) reply: oneshot::Sender<Result<Grants, SubmitError>>,
}

impl StandingClaim {
    /// The claim as the core understands it, for so many jobs that wait: a worker that wants hundreds costs a token a
    /// job and not a token a slot.
    pub(crate) fn for_ready(&mut self, ready: usize) -> Claim {
        let wanted = self.max.min(ready);
        while self.tokens.len() < wanted {
            let token = LeaseToken::new(uuid::Uuid::new_v4().simple().to_string());
            let hash = token.hash();
            self.tokens.push((token, hash));
        }
        Claim { session: self.session, tokens: self.tokens[..wanted].iter().map(|(_, hash)| *hash).collect() }
    }
}

impl Handle {
    /// Asks the core for something and waits until the answer is durable (E2).
    pub async fn submit(&self, command: Command, actor: Actor) -> Result<Receipt, SubmitError> {
        if self.inner.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.inner.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(SubmitError::Overloaded);
        }
        let (reply, answer) = oneshot::channel();
        self.send(Message::Submit { command, actor, reply })?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Waits until there are jobs for the session: at least one, at most `max`. It is first come, first served, so
    /// jobs go round-robin to the sessions that wait. Dropping the future is safe at any moment: what was granted
    /// and not taken is given back.
    pub async fn claim(&self, session: SessionId, max: usize) -> Result<Grants, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Claim(StandingClaim { session, max, tokens: Vec::new(), reply }))?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Says that nothing of a job's last run by a subprocess is alive any more. A job that was granted to a
    /// subprocess is granted to nobody else before (its group of processes may outlive its lease).
    pub fn let_go(&self, job: JobId) {
        // Without a runner there is nothing to grant either.
        let _ = self.send(Message::LetGo(job));
    }

    /// Replaces the limits of kinds and queues, as configuration says.
    pub fn set_limits(&self, limits: Limits) -> Result<(), SubmitError> {
        self.send(Message::SetLimits(limits))
    }

    /// Says whether the disk has room for new work: `low` has the free bytes and the least.
    pub fn set_storage_low(&self, low: Option<(u64, u64)>) {
        self.inner.condition.send_if_modified(|condition| match (&*condition, low) {
            (Condition::Halted { .. } | Condition::Stopping, _) => false,
            (Condition::Running, None) => false,
            (_, Some((free, min))) => {
                *condition = Condition::StorageLow { free, min };
                true
            }
            (Condition::StorageLow { .. }, None) => {
                *condition = Condition::Running;
                true
            }
        });
    }

    /// Grants nothing any more; all else goes on until the last handle is dropped.
    pub fn begin_stopping(&self) {
        self.inner.condition.send_if_modified(|condition| {
            let halted = matches!(condition, Condition::Halted { .. });
            if !halted {
                *condition = Condition::Stopping;
            }
            !halted
        });
    }

    /// Ends the engine when everything that was submitted before is done: whoever still has a handle is told that it
    /// is gone.
    pub fn close(&self) {
        // An engine that has ended already is closed.
        let _ = self.send(Message::Close);
    }

    /// Ends the part of the log that takes events, behind all that was submitted before: it is never written again. Gives
    /// the seq with which the next part begins.
    pub async fn roll(&self) -> Result<Seq, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Roll(reply))?;
        answer.await.map_err(|_| self.gone())
    }

    /// Follows when time alone makes something happen.
    pub fn next_due(&self) -> watch::Receiver<Due> {
        self.inner.due.clone()
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
        self.inner.condition.subscribe()
    }

    fn send(&self, message: Message) -> Result<(), SubmitError> {
        self.inner.messages.send(message).map_err(|_| self.gone())
    }

    fn gone(&self) -> SubmitError {
        match &*self.inner.condition.borrow() {
            Condition::Halted { detail } => SubmitError::Halted { detail: detail.clone() },
            Condition::Running | Condition::StorageLow { .. } | Condition::Stopping => SubmitError::Stopping,
        }
    }
}

/// Granted leases on their way to a worker. Dropped before [`Grants::take`], they are given back.
pub struct Grants {
    pub(crate) granted: Vec<Granted>,
    pub(crate) shared: Weak<Shared>,
}

impl Grants {
    /// Takes the leases over: from now on it is the taker's duty to end each.
    pub fn take(mut self) -> Vec<Granted> {
        std::mem::take(&mut self.granted)
    }
}

impl Drop for Grants {
    fn drop(&mut self) {
        let granted = std::mem::take(&mut self.granted);
        if let Some(shared) = self.shared.upgrade().filter(|_| !granted.is_empty()) {
            // Without a runner nobody holds anything.
            let _ = shared.messages.send(Message::Return(granted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_for_hundreds_takes_a_token_a_job_and_keeps_those_that_were_not_used() {
        let session = SessionId(uuid::Uuid::nil());
        let mut claim = StandingClaim { session, max: 300, tokens: Vec::new(), reply: oneshot::channel().0 };
        let (one, more) = (claim.for_ready(1).tokens, claim.for_ready(2).tokens);
        assert_eq!((one.len(), more.len(), claim.tokens.len()), (1, 2, 2));
        assert_eq!(one[0], more[0]);
        assert_eq!(claim.tokens[1].0.hash(), more[1]);
        assert_eq!(claim.for_ready(1000).tokens.len(), 300);
    }
}
