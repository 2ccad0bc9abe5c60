//! Whether a token holds (J1), and what becomes of a call whose token does not.

use std::sync::Arc;

use crate::domain::command::{Answer, LeaseProof};
use crate::domain::decide::Decision;
use crate::domain::event::{JobLateResult, LateCall};
use crate::domain::id::TokenHash;
use crate::domain::job::{Job, Run, RunEnd};
use crate::domain::refusal::Refusal;
use crate::domain::state::{Slot, State};

/// How many late results of one job are kept as evidence; a worker in a loop must not fill the log.
const LATE_MAX: u8 = 16;

/// The job and its run, if the token holds its lease.
pub fn leased(state: &State, proof: LeaseProof) -> Result<(&Arc<Job>, &Arc<Run>), Refusal> {
    let slot = state.slot(proof.job).ok_or(Refusal::JobNotFound { job: proof.job })?;
    let lost = Refusal::LeaseLost { job: proof.job };
    let Slot::Active(job) = slot else { return Err(lost) };
    match job.run() {
        Some(run) if run.lease.token == proof.token => Ok((job, run)),
        _ => Err(lost),
    }
}

/// Answers a call whose token does not hold: the very call that ended the lease gets its answer again; any other is
/// refused, changes nothing, and is kept as evidence.
pub fn late(state: &State, proof: LeaseProof, call: LateCall, refusal: Refusal) -> Decision {
    let Some(slot) = state.slot(proof.job) else { return Decision::refused(refusal) };
    if end_of(call).is_some_and(|end| ended_by(slot) == Some((proof.token, end))) {
        return Decision::done(Answer::Job(proof.job), Vec::new());
    }
    let noted = match slot {
        Slot::Active(job) => job.extras.as_ref().map_or(0, |extras| extras.late),
        Slot::Finished(stub) => stub.late(),
    };
    let evidence = JobLateResult { job: proof.job, call };
    let events = if noted < LATE_MAX { vec![evidence.into()] } else { Vec::new() };
    Decision { events, outcome: Err(refusal) }
}

fn ended_by(slot: &Slot) -> Option<(TokenHash, RunEnd)> {
    match slot {
        Slot::Active(job) => job.last_run().map(|run| (run.token, run.by)),
        Slot::Finished(stub) => stub.last_run,
    }
}

/// The end of a run that a call makes, if it makes one.
fn end_of(call: LateCall) -> Option<RunEnd> {
    match call {
        LateCall::Complete => Some(RunEnd::Completed),
        LateCall::Fail => Some(RunEnd::Failed),
        LateCall::Release => Some(RunEnd::Released),
        LateCall::Progress
        | LateCall::Log
        | LateCall::Items
        | LateCall::Checkpoint
        | LateCall::File
        | LateCall::Submit => None,
    }
}

#[cfg(test)]
mod tests;
