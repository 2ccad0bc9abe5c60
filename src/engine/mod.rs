//! Sequences commands: the single writer (L1), group commit, receipts after durability (E2), halt on failure (L3).
//!
//! ```text
//!  Handle ──messages──▶ runner (thread) ──commits──▶ committer (thread)
//!                       sequencer: decide, evolve     log.append ▶ views ▶ answers ▶ feed
//! ```

pub mod base;
pub mod batch;
mod committer;
pub mod fold;
pub mod foreign;
pub mod handle;
pub mod overlay;
pub mod past;
#[cfg(test)]
mod promises;
pub mod receipt;
pub mod recovery;
mod runner;
pub mod sequencer;
pub mod snapshot;
#[cfg(test)]
mod tests;
pub mod verify;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

pub use handle::{Condition, Due, Grants, Handle};
pub use receipt::{Granted, Receipt, SubmitError};

use crate::clock::Clock;
use crate::domain::decide::Chance;
use crate::domain::queue::Limits;
use crate::domain::state::State;
use crate::engine::committer::Committer;
use crate::engine::handle::Shared;
use crate::engine::runner::Runner;
use crate::engine::sequencer::Sequencer;
use crate::feed::Hub;
use crate::log::{AppendError, EventLog};
use crate::views::Views;

/// What an engine is made of. The state and the views stand at the log's last seq.
pub struct Parts {
    pub log: Box<dyn EventLog>,
    pub state: State,
    pub views: Arc<Views>,
    pub limits: Limits,
    pub clock: Arc<dyn Clock>,
    /// What chance begins with: drawn anew at each start.
    pub seed: u64,
}

/// The running engine. It ends when the last [`Handle`] is dropped.
pub struct Engine {
    runner: JoinHandle<()>,
    committer: JoinHandle<Result<(), AppendError>>,
}

impl Engine {
    /// Starts the two threads of the writer.
    pub fn start(parts: Parts) -> (Engine, Handle) {
        assert_eq!(parts.state.seq(), parts.log.last(), "the engine starts at the end of the log");
        let (messages, received) = mpsc::unbounded_channel();
        let (commits, committed) = std::sync::mpsc::sync_channel(parts.log.in_flight_max() + 1);
        let condition = Arc::new(watch::Sender::new(Condition::Running));
        let (due_sender, due) = watch::channel(Due::of(&parts.state));
        let feed = Arc::new(Hub::new(parts.state.seq()));
        let weak = messages.downgrade();
        let shared = Arc::new(Shared {
            messages,
            waiting: AtomicUsize::new(0),
            views: parts.views.clone(),
            feed: feed.clone(),
            log: parts.views.log().clone(),
            condition: condition.clone(),
            due,
        });
        let runner = Runner {
            sequencer: Sequencer::new(parts.state, parts.limits),
            messages: received,
            commits,
            shared: Arc::downgrade(&shared),
            views: parts.views.clone(),
            clock: parts.clock,
            chance: Chance::new(parts.seed),
            claims: VecDeque::new(),
            credits: parts.log.in_flight_max(),
            backlog: VecDeque::new(),
            due: due_sender,
            condition: condition.clone(),
        };
        let committer =
            Committer { log: parts.log, commits: committed, views: parts.views, feed, condition, runner: weak };
        let runner = spawn("daybook-writer", move || runner.run());
        let committer = spawn("daybook-committer", move || committer.run());
        (Engine { runner, committer }, Handle { inner: shared })
    }

    /// Waits until all that was submitted is durable and the log is closed. Drop every [`Handle`] first.
    pub fn join(self) -> Result<(), AppendError> {
        self.runner.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.committer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system has room for two more threads")
}
