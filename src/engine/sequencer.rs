//! Decides the order in which commands take effect, and turns each into records.
//!
//! Upholds E1 and the order of L2. It starts no thread, opens no channel and reads no clock: the runner does, and tests
//! drive it directly. Start reading at [`Sequencer::take`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::domain::command::{Answer, Claim, Command};
use crate::domain::decide::deal::next_start_at;
use crate::domain::decide::retry::to_revive;
use crate::domain::decide::{Chance, Context, Decision, decide};
use crate::domain::event::{Actor, ActorKind, Event, Record};
use crate::domain::evolve::evolve;
use crate::domain::id::{JobId, Ordinal, Seq, SessionId};
use crate::domain::job::{Job, WorkerPlace};
use crate::domain::queue::Limits;
use crate::domain::refusal::Refusal;
use crate::domain::state::{Slot, State};
use crate::domain::time::Timestamp;
use crate::engine::batch::{Batch, Change};
use crate::engine::handle::Due;
use crate::engine::overlay::Overlay;
use crate::feed::Before;

/// The state that runs ahead of the log, and what only the engine knows.
pub struct Sequencer {
    state: State,
    limits: Limits,
    held: BTreeSet<Ordinal>,
    overlay: Overlay,
    /// Jobs that ended in batches which the views do not show yet.
    ended: VecDeque<Arc<Job>>,
}

/// Finds finished jobs, which the state keeps as stubs only.
pub trait FinishedJobs {
    /// A finished job in full; an error text when the views cannot be read.
    fn finished(&self, id: JobId) -> Result<Option<Arc<Job>>, String>;
}

/// Why a command was not carried out.
#[derive(Debug)]
pub enum NotTaken {
    Refused(Refusal),
    /// The views could not be read.
    Unreadable(String),
}

impl Sequencer {
    /// Begins with a recovered state.
    pub fn new(state: State, limits: Limits) -> Sequencer {
        Sequencer { state, limits, held: BTreeSet::new(), overlay: Overlay::default(), ended: VecDeque::new() }
    }

    /// The state, as far as it was decided.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Replaces the limits of kinds and queues.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Lets a job be granted again.
    pub fn let_go(&mut self, job: JobId) {
        self.held.remove(&job.ordinal());
    }

    /// The earliest moment at which time alone makes something happen.
    pub fn next_due(&self) -> Due {
        let due = Due::of(&self.state);
        Due { first: due.first.into_iter().chain(self.overlay.next_due()).min(), ..due }
    }

    /// The first moment after `now` at which a queue's rate lets a job start for one of the sessions that wait.
    pub fn next_start_at(&self, now: Timestamp, waiting: impl Iterator<Item = SessionId> + Clone) -> Option<Timestamp> {
        next_start_at(&self.state, &self.limits, now, waiting)
    }

    /// Forgets ended jobs that the views show.
    pub fn shown(&mut self, seq: Seq) {
        while self.ended.front().is_some_and(|job| job.seq <= seq) {
            self.ended.pop_front();
        }
    }

    /// Carries a command out at the moment `now`: its records join the batch, or it is refused.
    pub fn take(
        &mut self,
        batch: &mut Batch,
        finished: &dyn FinishedJobs,
        mut command: Command,
        actor: &Actor,
        now: Timestamp,
        chance: Chance,
    ) -> Result<Answer, NotTaken> {
        self.complete_command(finished, &mut command).map_err(NotTaken::Unreadable)?;
        let purged = self.to_purge(finished, &command).map_err(NotTaken::Unreadable)?;
        let is_tick = matches!(command, Command::Tick);
        let actor = &self.speaker(&command, actor);
        let mut ctx = Context { now, limits: &self.limits, held: &self.held, chance };
        let Decision { events, outcome } = decide(&self.state, &mut ctx, command);
        self.append(batch, events, actor, now);
        if let Some(job) = purged {
            self.show_again(batch, job);
        }
        if is_tick {
            let due = self.overlay.take_due(now);
            self.append(batch, due, &Actor::SERVER, now);
        }
        outcome.map_err(NotTaken::Refused)
    }

    /// Does the follow-ups of what was decided before: a bounded number. Says whether some are left.
    pub fn settle(&mut self, batch: &mut Batch, now: Timestamp) -> bool {
        if !self.state.indexes().unsettled().is_empty() {
            let mut ctx = Context { now, limits: &self.limits, held: &self.held, chance: Chance::new(0) };
            let decision = decide(&self.state, &mut ctx, Command::Settle);
            self.append(batch, decision.events, &Actor::SERVER, now);
        }
        !self.state.indexes().unsettled().is_empty()
    }

    /// Deals queued jobs out to sessions that wait. A job that goes to a subprocess is held until it is let go.
    pub fn deal(
        &mut self,
        batch: &mut Batch,
        claims: Vec<Claim>,
        now: Timestamp,
    ) -> Vec<Vec<crate::domain::command::Grant>> {
        let mut ctx = Context { now, limits: &self.limits, held: &self.held, chance: Chance::new(0) };
        let Decision { events, outcome } = decide(&self.state, &mut ctx, Command::Deal { claims });
        for event in &events {
            if let Event::JobStarted(started) = event
                && started.place == WorkerPlace::Subprocess
            {
                self.held.insert(started.job.ordinal());
            }
        }
        self.append(batch, events, &Actor::SERVER, now);
        match outcome {
            Ok(Answer::Granted(grants)) => grants,
            other => unreachable!("a deal answers with grants, not {other:?}"),
        }
    }

    /// How many jobs wait for a worker.
    pub fn ready(&self) -> usize {
        self.state.indexes().ready().len() as usize
    }

    /// Who says it: of a worker, the session that holds the lease at this moment. It may have moved to another one since the
    /// call came.
    fn speaker(&self, command: &Command, said: &Actor) -> Actor {
        let proof = command.proof().filter(|_| said.kind == ActorKind::Worker);
        let run = proof.and_then(|proof| Some((proof, self.state.active(proof.job)?.run()?)));
        let holder = run.filter(|(proof, run)| run.lease.token == proof.token);
        holder.map_or_else(|| said.clone(), |(_, run)| Actor::worker(run.lease.session))
    }

    fn complete_command(&self, finished: &dyn FinishedJobs, command: &mut Command) -> Result<(), String> {
        let Command::Retry(retry) = command else { return Ok(()) };
        if !matches!(self.state.slot(retry.job), Some(Slot::Finished(_))) {
            return Ok(());
        }
        for id in to_revive(&self.state, retry.job, retry.dependents) {
            retry.finished.push(self.ended_job(finished, id)?);
        }
        Ok(())
    }

    /// The job that a command takes the payloads of: whoever watches it is told how it looks now.
    fn to_purge(&self, finished: &dyn FinishedJobs, command: &Command) -> Result<Option<Arc<Job>>, String> {
        match *command {
            Command::Purge { job } if matches!(self.state.slot(job), Some(Slot::Finished(_))) => {
                self.ended_job(finished, job).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn ended_job(&self, finished: &dyn FinishedJobs, id: JobId) -> Result<Arc<Job>, String> {
        if let Some(recent) = self.ended.iter().rev().find(|job| job.id == id) {
            return Ok(recent.clone());
        }
        finished.finished(id)?.ok_or_else(|| format!("the finished job {id} is not in the views"))
    }

    fn show_again(&self, batch: &mut Batch, job: Arc<Job>) {
        let before = self.state.slot(job.id).map(Before::of);
        batch.jobs.entry(job.id).or_insert(Change { before, job });
    }

    /// Keeps what was known of jobs that an event forgets.
    fn note_forgotten(&self, batch: &mut Batch, event: &Event) {
        let Event::JobsForgotten(data) = event else { return };
        for &id in &data.jobs {
            if let Some(Slot::Finished(stub)) = self.state.slot(id) {
                batch.forgotten.push(stub.clone());
                batch.jobs.remove(&id);
            }
        }
    }

    /// Gives the events of one command their places in the log, as one group, and applies them.
    fn append(&mut self, batch: &mut Batch, events: Vec<Event>, actor: &Actor, now: Timestamp) {
        let events = self.overlay.weave(batch, &self.state, events, now);
        let count = events.len();
        for (place, event) in events.into_iter().enumerate() {
            let continues = place + 1 < count;
            self.append_one(batch, event, actor, now, continues);
        }
    }

    fn append_one(&mut self, batch: &mut Batch, event: Event, actor: &Actor, now: Timestamp, continues: bool) {
        let slot = event.job().and_then(|id| self.state.slot(id));
        let previous = slot.map(Slot::last_seq);
        // What a job was before the batch is what it is when the batch first touches it.
        let before = slot.filter(|slot| !batch.jobs.contains_key(&slot.id())).map(Before::of);
        let actor = event.own_actor().unwrap_or_else(|| actor.clone());
        self.note_forgotten(batch, &event);
        batch.bytes += event.weight();
        let record = Record { seq: self.state.seq().next(), at: now, previous, actor, continues, event };
        if let Some(job) = evolve(&mut self.state, &record) {
            if job.is_terminal() {
                self.overlay.forget(job.id);
                self.ended.push_back(job.clone());
            }
            match batch.jobs.entry(job.id) {
                Entry::Vacant(place) => drop(place.insert(Change { before, job })),
                Entry::Occupied(mut place) => place.get_mut().job = job,
            }
        }
        batch.records.push(record);
    }
}
