//! Makes batches durable, in order, and only then lets anybody know: the views, the callers, the listeners (E2).
//!
//! Owns the log (L1). After the first error of an append nothing is written any more (L3): whoever waits is told so.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Weak};

use tokio::sync::{mpsc, oneshot, watch};

use crate::domain::command::Answer;
use crate::engine::batch::{Batch, LiveProgress};
use crate::engine::handle::{Condition, Grants, Message, RollReply, Shared};
use crate::engine::receipt::{Granted, Receipt, ReceiptReply, SubmitError};
use crate::feed::{Hub, Page};
use crate::log::{AppendError, EventLog};
use crate::views::{ViewError, Views};

/// A batch on its way to the log, and who waits for it.
pub(crate) struct Commit {
    pub batch: Batch,
    pub replies: Vec<Reply>,
    /// Who waits for the log to be rolled behind the batch.
    pub rolls: Vec<RollReply>,
}

/// Somebody who waits, and what to say once the batch is durable.
pub(crate) enum Reply {
    Receipt { reply: ReceiptReply, outcome: Result<Answer, SubmitError> },
    Grants { reply: oneshot::Sender<Result<Grants, SubmitError>>, granted: Vec<Granted>, shared: Weak<Shared> },
    NoGrants { reply: oneshot::Sender<Result<Grants, SubmitError>>, error: SubmitError },
}

/// What the committing thread owns.
pub(crate) struct Committer {
    pub(crate) log: Box<dyn EventLog>,
    pub(crate) commits: Receiver<Commit>,
    pub(crate) views: Arc<Views>,
    pub(crate) feed: Arc<Hub>,
    pub(crate) condition: Arc<watch::Sender<Condition>>,
    pub(crate) runner: mpsc::WeakUnboundedSender<Message>,
}

impl Committer {
    /// Works until the runner is gone, then closes the log. Gives the error that halted the engine, if one did.
    pub fn run(mut self) -> Result<(), AppendError> {
        let mut in_flight: VecDeque<InFlight> = VecDeque::new();
        let mut rolls = Vec::new();
        loop {
            // Nothing may be in flight when the log is rolled.
            while rolls.is_empty() && in_flight.len() < self.log.in_flight_max() {
                let next = if in_flight.is_empty() {
                    self.commits.recv().map_err(|_| TryRecvError::Disconnected)
                } else {
                    self.commits.try_recv()
                };
                match next {
                    Ok(mut commit) => {
                        rolls.append(&mut commit.rolls);
                        match self.submit(commit) {
                            Ok(submitted) => in_flight.push_back(submitted),
                            Err((error, replies)) => return self.halt(error, in_flight, replies),
                        }
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) if in_flight.is_empty() => return self.log.close(),
                    Err(TryRecvError::Disconnected) => break,
                }
            }
            let oldest = in_flight.pop_front().expect("at least one commit is in flight here");
            if oldest.page.is_some()
                && let Err(error) = self.log.committed()
            {
                return self.halt(error, in_flight, oldest.replies);
            }
            if let Err(error) = self.tell(oldest) {
                let failed = AppendError::Failed { step: "show the events in the views", source: Box::new(error) };
                return self.halt(failed, in_flight, Vec::new());
            }
            if in_flight.is_empty()
                && let Err(error) = self.roll(&mut rolls)
            {
                return self.halt(error, in_flight, Vec::new());
            }
            self.ask_for_more();
        }
    }

    fn roll(&mut self, waiting: &mut Vec<RollReply>) -> Result<(), AppendError> {
        if waiting.is_empty() {
            return Ok(());
        }
        let first = self.log.roll()?;
        for reply in waiting.drain(..) {
            // Whoever does not wait any more is no error.
            let _ = reply.send(first);
        }
        Ok(())
    }

    fn submit(&mut self, commit: Commit) -> Result<InFlight, (AppendError, Vec<Reply>)> {
        let Commit { batch, replies, .. } = commit;
        let overlays = batch.overlays;
        if batch.records.is_empty() {
            return Ok(InFlight { page: None, overlays, replies });
        }
        let records: Arc<[_]> = batch.records.into();
        let changes = batch.jobs.into_values().map(|change| (change.before, change.job));
        let (before, jobs) = changes.unzip();
        let page = Arc::new(Page { records: records.clone(), jobs, before, forgotten: batch.forgotten });
        match self.log.submit(records) {
            Ok(()) => Ok(InFlight { page: Some(page), overlays, replies }),
            Err(error) => Err((error, replies)),
        }
    }

    /// Lets everybody know. The views may run out of room for ended jobs: then this page is told, and no other.
    fn tell(&self, durable: InFlight) -> Result<(), ViewError> {
        let shown = durable.page.as_ref().map_or(Ok(()), |page| self.views.apply(page));
        for (job, token, progress) in durable.overlays {
            self.views.overlay(job, token, progress);
            self.feed.progressed(job);
        }
        let seq = self.views.position();
        durable.replies.into_iter().for_each(|reply| reply.send(seq));
        if let Some(page) = durable.page {
            self.feed.publish(page);
        }
        shown
    }

    fn ask_for_more(&self) {
        if let Some(runner) = self.runner.upgrade() {
            // A runner that has ended needs no telling.
            let _ = runner.send(Message::Committed);
        }
    }

    fn halt(&self, error: AppendError, in_flight: VecDeque<InFlight>, replies: Vec<Reply>) -> Result<(), AppendError> {
        let detail = describe(&error);
        tracing::error!(%detail, "the log could not be written: the server is halted and answers nothing but this");
        self.condition.send_replace(Condition::Halted { detail: detail.clone() });
        let waiting = in_flight.into_iter().flat_map(|commit| commit.replies);
        replies.into_iter().chain(waiting).for_each(|reply| reply.fail(&detail));
        (0..self.log.in_flight_max()).for_each(|_| self.ask_for_more());
        // The engine goes on refusing until the last handle is gone.
        for commit in self.commits.iter() {
            commit.replies.into_iter().for_each(|reply| reply.fail(&detail));
            self.ask_for_more();
        }
        Err(error)
    }
}

struct InFlight {
    page: Option<Arc<Page>>,
    overlays: Vec<LiveProgress>,
    replies: Vec<Reply>,
}

impl Reply {
    /// Answers. Whoever does not wait any more is no error; grants that nobody takes come back by themselves.
    fn send(self, seq: crate::domain::id::Seq) {
        match self {
            Reply::Receipt { reply, outcome } => {
                let _ = reply.send(outcome.map(|answer| Receipt { seq, answer }));
            }
            Reply::Grants { reply, granted, shared } => {
                let _ = reply.send(Ok(Grants { granted, shared }));
            }
            Reply::NoGrants { reply, error } => {
                let _ = reply.send(Err(error));
            }
        }
    }

    fn fail(self, detail: &str) {
        let halted = || SubmitError::Halted { detail: detail.to_owned() };
        match self {
            Reply::Receipt { reply, .. } => drop(reply.send(Err(halted()))),
            Reply::Grants { reply, .. } | Reply::NoGrants { reply, .. } => drop(reply.send(Err(halted()))),
        }
    }
}

fn describe(error: &AppendError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
