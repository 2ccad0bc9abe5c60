//! What happens when somebody asks for something: the one exhaustive match from commands to rules.
//!
//! A rule looks at the state, the moment and chance, and answers with events, or with a refusal (D1). It changes nothing.

mod batch;
mod cancel;
pub mod deal;
mod finish;
mod proof;
mod purge;
mod queue;
mod retain;
pub mod retry;
mod schedule;
mod session;
mod submit;
mod tick;

use std::collections::BTreeSet;

use crate::domain::command::{Answer, Command};
use crate::domain::event::{EpochStarted, Event};
use crate::domain::id::Ordinal;
use crate::domain::queue::Limits;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use crate::domain::time::Timestamp;

/// What a decision may look at beside the state and the command.
pub struct Context<'a> {
    /// The moment of the batch.
    pub now: Timestamp,
    pub limits: &'a Limits,
    /// Jobs whose last processes may still be alive: granted to nobody.
    pub held: &'a BTreeSet<Ordinal>,
    pub chance: Chance,
}

/// What was decided. A refusal may leave evidence in the log; all else that is refused leaves nothing.
#[derive(Debug)]
pub struct Decision {
    pub events: Vec<Event>,
    pub outcome: Result<Answer, Refusal>,
}

impl Decision {
    fn done(answer: Answer, events: Vec<Event>) -> Decision {
        Decision { events, outcome: Ok(answer) }
    }

    fn refused(refusal: Refusal) -> Decision {
        Decision { events: Vec::new(), outcome: Err(refusal) }
    }
}

impl From<Result<Decision, Refusal>> for Decision {
    fn from(result: Result<Decision, Refusal>) -> Decision {
        result.unwrap_or_else(Decision::refused)
    }
}

/// The most jobs that one tick or one settling moves; what is left waits for the next.
pub const CHUNK: usize = 256;

/// Numbers drawn from a seed: chance as an argument (D1).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Begins with what the caller drew.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// The next number (SplitMix64, Steele et al. 2014).
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Decides what a command does.
pub fn decide(state: &State, ctx: &mut Context<'_>, command: Command) -> Decision {
    match command {
        Command::StartEpoch(start) => {
            let previous_epoch = state.epochs().last().map(|span| span.epoch);
            let event = EpochStarted {
                epoch: start.epoch,
                previous_epoch,
                reset: start.reset,
                clean_shutdown: start.clean_shutdown,
            };
            Decision::done(Answer::Done, vec![event.into()])
        }
        Command::Submit(submit) => submit::submit(state, ctx, submit).into(),
        Command::Deal { claims } => deal::deal(state, ctx, &claims),
        Command::Progress { proof, progress } => batch::progress(state, proof, progress),
        Command::AddItems { proof, items } => batch::add_items(state, proof, items),
        Command::ReportItems { proof, reports } => batch::report_items(state, proof, reports),
        Command::Checkpoint { proof, data } => batch::checkpoint(state, proof, data),
        Command::StoreFile { proof, file } => batch::store_file(state, proof, file),
        Command::CheckLease { proof, call } => batch::check_lease(state, proof, call),
        Command::Complete { proof, result } => finish::complete(state, proof, result),
        Command::Fail { proof, error } => finish::fail(state, ctx, proof, error),
        Command::Release { proof, cause } => finish::release(state, proof, cause),
        Command::Lose(lose) => finish::lose(state, &lose),
        Command::Cancel { job, children } => cancel::cancel(state, ctx, job, children).into(),
        Command::Retry(retry) => retry::retry(state, &retry).into(),
        Command::Forget(forget) => retain::forget(state, ctx, forget),
        Command::Purge { job } => purge::purge(state, job).into(),
        Command::Amend(amend) => queue::amend(state, ctx, amend).into(),
        Command::PauseQueue { queue } => queue::pause(state, queue),
        Command::ResumeQueue { queue } => queue::resume(state, queue),
        Command::DrainQueue { queue } => queue::drain(state, queue),
        Command::JoinWorker(join) => session::join(join),
        Command::LeaveWorker { session, cause } => session::leave(state, session, cause).into(),
        Command::SetSchedule(set) => schedule::set(state, set).into(),
        Command::DropSchedule { name, by } => schedule::drop_one(state, name, by).into(),
        Command::FireSchedule(fire) => schedule::fire(state, ctx, *fire).into(),
        Command::Adopt { session, proofs } => session::adopt(state, session, &proofs).into(),
        Command::Tick => tick::tick(state, ctx),
        Command::Settle => tick::settle(state, ctx),
    }
}
