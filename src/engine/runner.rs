//! The writer's thread: takes what was submitted, a batch at a time, reads the clock once for each, lets the sequencer
//! decide, and hands the batch to the committer. While one batch is being made durable the next is decided.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::domain::command::{Command, LeaseProof, Submit};
use crate::domain::decide::Chance;
use crate::domain::event::{Actor, QueuedCause};
use crate::domain::id::JobId;
use crate::domain::job::Job;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::engine::batch::Batch;
use crate::engine::committer::{Commit, Reply};
use crate::engine::handle::{Condition, Due, Message, RollReply, Shared, StandingClaim};
use crate::engine::receipt::{Granted, SubmitError};
use crate::engine::sequencer::{FinishedJobs, NotTaken, Sequencer};
use crate::views::Views;

/// A batch is handed on when it has this many records.
pub const BATCH_RECORDS_MAX: usize = 256;
/// A batch is handed on when its records carry about this many bytes.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// A batch is handed on when it answers this many messages, whether or not they made records.
pub const BATCH_MESSAGES_MAX: usize = 1024;

/// What the writer's thread owns.
pub(crate) struct Runner {
    pub(crate) sequencer: Sequencer,
    pub(crate) messages: mpsc::UnboundedReceiver<Message>,
    pub(crate) commits: std::sync::mpsc::SyncSender<Commit>,
    pub(crate) shared: std::sync::Weak<Shared>,
    pub(crate) views: Arc<Views>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Chance,
    pub(crate) claims: VecDeque<StandingClaim>,
    /// How many more batches the committer takes at once.
    pub(crate) credits: usize,
    /// Messages that came while a full batch waited for the committer.
    pub(crate) backlog: VecDeque<Message>,
    pub(crate) due: watch::Sender<Due>,
    pub(crate) condition: Arc<watch::Sender<Condition>>,
}

/// What a batch has gathered besides its records.
#[derive(Default)]
struct Gathered {
    batch: Batch,
    replies: Vec<Reply>,
    rolls: Vec<RollReply>,
    messages: usize,
    /// The one moment of the batch, read when its first command came.
    now: Option<Timestamp>,
}

enum Next {
    Message(Message),
    Cut,
    End,
}

impl Runner {
    /// Works until every handle is gone.
    ///
    /// A batch grows as long as the committer is busy, so that its size follows the load: one command at a time when
    /// all is quiet, many when many wait.
    pub fn run(mut self) {
        let mut gathered = Gathered::default();
        loop {
            match self.next(&gathered) {
                Next::Message(Message::Close) | Next::End => {
                    self.cut(gathered);
                    return;
                }
                Next::Message(message) => self.handle(&mut gathered, message),
                Next::Cut => gathered = self.cut(gathered),
            }
        }
    }

    /// What to do now: take a message, or cut the batch because nothing waits or it is full.
    fn next(&mut self, gathered: &Gathered) -> Next {
        if gathered.is_full() {
            return self.wait_for_committer();
        }
        if let Some(message) = self.backlog.pop_front() {
            return Next::Message(message);
        }
        if gathered.is_empty() || self.credits == 0 {
            return self.messages.blocking_recv().map_or(Next::End, Next::Message);
        }
        match self.messages.try_recv() {
            Ok(message) => Next::Message(message),
            Err(mpsc::error::TryRecvError::Empty) => Next::Cut,
            Err(mpsc::error::TryRecvError::Disconnected) => Next::End,
        }
    }

    fn wait_for_committer(&mut self) -> Next {
        while self.credits == 0 {
            match self.messages.blocking_recv() {
                Some(Message::Committed) => self.credits += 1,
                Some(message) => self.backlog.push_back(message),
                None => break,
            }
        }
        Next::Cut
    }

    /// Adds what follows from the batch, hands it on, and begins the next.
    fn cut(&mut self, mut gathered: Gathered) -> Gathered {
        let now = gathered.now(&self.sequencer, &*self.clock);
        self.sequencer.shown(self.views.position());
        let unsettled = self.sequencer.settle(&mut gathered.batch, now);
        self.deal(&mut gathered, now);
        self.publish_due(now);
        if gathered.has_work() {
            self.credits = self.credits.saturating_sub(1);
            let Gathered { batch, replies, rolls, .. } = gathered;
            // The committer outlives the runner: it ends when this channel does.
            let _ = self.commits.send(Commit { batch, replies, rolls });
        }
        Gathered { messages: usize::from(unsettled), ..Gathered::default() }
    }

    fn handle(&mut self, gathered: &mut Gathered, message: Message) {
        gathered.messages += 1;
        match message {
            Message::Submit { command, actor, reply } => {
                self.count_down();
                let now = gathered.now(&self.sequencer, &*self.clock);
                let outcome = self.take(gathered, command, &actor, now);
                gathered.replies.push(Reply::Receipt { reply, outcome });
            }
            Message::Claim(claim) => self.claims.push_back(claim),
            Message::LetGo(job) => self.sequencer.let_go(job),
            Message::Return(granted) => {
                let now = gathered.now(&self.sequencer, &*self.clock);
                self.take_back(gathered, granted, now);
            }
            Message::SetLimits(limits) => self.sequencer.set_limits(limits),
            Message::Roll(reply) => gathered.rolls.push(reply),
            Message::Close => unreachable!("the loop ends with it"),
            Message::Committed => {
                self.credits += 1;
                gathered.messages -= 1;
            }
        }
    }

    fn take(
        &mut self,
        gathered: &mut Gathered,
        command: Command,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<crate::domain::command::Answer, SubmitError> {
        self.check_condition(&command)?;
        let chance = Chance::new(self.chance.draw());
        let finished = FromViews(&self.views);
        self.sequencer.take(&mut gathered.batch, &finished, command, actor, now, chance).map_err(|error| match error {
            NotTaken::Refused(refusal) => SubmitError::Refused(refusal),
            NotTaken::Unreadable(detail) => SubmitError::Unreadable { detail },
        })
    }

    fn check_condition(&self, command: &Command) -> Result<(), SubmitError> {
        match &*self.condition.borrow() {
            Condition::Running | Condition::Stopping => Ok(()),
            Condition::Halted { detail } => Err(SubmitError::Halted { detail: detail.clone() }),
            Condition::StorageLow { free, min } => match command {
                Command::Submit(submit) if self.was_made_before(submit) => Ok(()),
                Command::Submit(_)
                | Command::Retry(_)
                | Command::StoreFile { .. }
                | Command::AddItems { .. }
                | Command::FireSchedule(_) => Err(SubmitError::StorageLow { free: *free, min: *min }),
                _ => Ok(()),
            },
        }
    }

    /// Whether a submission only asks again for what is there: that takes no room.
    fn was_made_before(&self, submit: &Submit) -> bool {
        let state = self.sequencer.state();
        submit.idempotency.as_ref().is_some_and(|key| state.indexes().submitted_with(&key.key).is_some())
    }

    /// Grants that nobody took are given back, as if the worker had done it.
    fn take_back(&mut self, gathered: &mut Gathered, granted: Vec<Granted>, now: Timestamp) {
        for grant in granted {
            let proof = LeaseProof { job: grant.job, token: grant.token.hash() };
            let release = Command::Release { proof, cause: QueuedCause::Released };
            // Refused when the lease ended meanwhile: then there is nothing to give back.
            let _ = self.take(gathered, release, &Actor::SERVER, now);
            self.sequencer.let_go(grant.job);
        }
    }

    fn deal(&mut self, gathered: &mut Gathered, now: Timestamp) {
        self.claims.retain(|claim| !claim.reply.is_closed());
        self.refuse_unknown_sessions(gathered);
        if self.claims.is_empty() || self.sequencer.ready() == 0 || self.is_closed() {
            return;
        }
        let ready = self.sequencer.ready();
        let claims = self.claims.iter_mut().map(|claim| claim.for_ready(ready)).collect();
        let grants = self.sequencer.deal(&mut gathered.batch, claims, now);
        let waiting = std::mem::take(&mut self.claims);
        for (claim, grants) in waiting.into_iter().zip(grants) {
            if grants.is_empty() {
                self.claims.push_back(claim);
                continue;
            }
            let granted = grants.into_iter().zip(claim.tokens);
            let granted = granted.map(|(grant, (token, _))| Granted { job: grant.job, attempt: grant.attempt, token });
            let granted = granted.collect();
            gathered.replies.push(Reply::Grants { reply: claim.reply, granted, shared: self.shared.clone() });
        }
    }

    fn refuse_unknown_sessions(&mut self, gathered: &mut Gathered) {
        let state = self.sequencer.state();
        let (known, unknown): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.claims).into_iter().partition(|claim| state.worker(claim.session).is_some());
        self.claims = known;
        for claim in unknown {
            let error = SubmitError::Refused(Refusal::SessionNotFound { session: claim.session });
            gathered.replies.push(Reply::NoGrants { reply: claim.reply, error });
        }
    }

    fn is_closed(&self) -> bool {
        matches!(&*self.condition.borrow(), Condition::Halted { .. } | Condition::Stopping)
    }

    /// Tells when to wake: also when a rate lets the next job start, while somebody waits for it.
    fn publish_due(&self, now: Timestamp) {
        let waiting = self.claims.iter().map(|claim| claim.session);
        let start = self.sequencer.next_start_at(now, waiting).filter(|_| !self.is_closed());
        let due = self.sequencer.next_due();
        let due = Due { first: due.first.into_iter().chain(start).min(), ..due };
        self.due.send_if_modified(|published| std::mem::replace(published, due) != due);
    }

    fn count_down(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.waiting.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

impl Gathered {
    fn now(&mut self, sequencer: &Sequencer, clock: &dyn Clock) -> Timestamp {
        // A clock that went back does not take the log with it (L2).
        *self.now.get_or_insert_with(|| clock.now().max(sequencer.state().at()))
    }

    /// Whether the committer has something to do with it.
    fn has_work(&self) -> bool {
        let has_batch = !self.batch.records.is_empty() || !self.batch.overlays.is_empty();
        has_batch || !self.replies.is_empty() || !self.rolls.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.messages == 0 && self.batch.records.is_empty()
    }

    fn is_full(&self) -> bool {
        self.batch.records.len() >= BATCH_RECORDS_MAX
            || self.batch.bytes >= BATCH_BYTES_MAX
            || self.messages >= BATCH_MESSAGES_MAX
    }
}

struct FromViews<'a>(&'a Views);

impl FinishedJobs for FromViews<'_> {
    fn finished(&self, id: JobId) -> Result<Option<Arc<Job>>, String> {
        self.0.job(id).map_err(|error| error.to_string())
    }
}
