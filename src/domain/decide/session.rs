//! Workers' sessions: how they begin, what their end means for the leases that they hold, and how a worker that comes
//! back takes its leases over.

use std::collections::BTreeSet;

use crate::domain::command::{Answer, Grant, JoinWorker, LeaseProof};
use crate::domain::decide::Decision;
use crate::domain::decide::finish::{lost, released};
use crate::domain::decide::proof::leased;
use crate::domain::event::{Event, JobAdopted, LossCause, QueuedCause, WorkerJoined, WorkerLeft, WorkerLeftCause};
use crate::domain::id::SessionId;
use crate::domain::job::{Job, Run, WorkerPlace};
use crate::domain::refusal::Refusal;
use crate::domain::state::{Slot, State};

pub fn join(join: JoinWorker) -> Decision {
    let joined = WorkerJoined {
        session: join.session,
        name: join.name,
        kinds: join.kinds,
        queues: join.queues,
        place: join.place,
    };
    Decision::done(Answer::Done, vec![joined.into()])
}

pub fn leave(state: &State, session: SessionId, cause: WorkerLeftCause) -> Result<Decision, Refusal> {
    state.worker(session).ok_or(Refusal::SessionNotFound { session })?;
    let mut events: Vec<Event> = Vec::new();
    for ordinal in state.indexes().leases_of(session) {
        let Some(Slot::Active(job)) = state.slots.get(ordinal) else { continue };
        let run = job.run().expect("a job whose lease is held is running");
        events.extend(let_go(job, run, cause));
    }
    events.push(WorkerLeft { session, cause }.into());
    Ok(Decision::done(Answer::Done, events))
}

/// Moves leases to the session of the worker that proves them: the one that it had ended with its connection or with the
/// server. What is not held any more stays as it is, and what the session holds already is no news. A child process is
/// watched by the server and comes back from nowhere.
pub fn adopt(state: &State, session: SessionId, proofs: &[LeaseProof]) -> Result<Decision, Refusal> {
    let worker = &state.worker(session).ok_or(Refusal::SessionNotFound { session })?.joined;
    let (mut held, mut events) = (Vec::new(), Vec::new());
    let mut moved = BTreeSet::new();
    for proof in proofs {
        let Ok((job, run)) = leased(state, *proof) else { continue };
        let may_move = run.lease.place == WorkerPlace::Remote && worker.place == WorkerPlace::Remote;
        if run.lease.session != session && !may_move || !moved.insert(job.id) {
            continue;
        }
        held.push(Grant { job: job.id, attempt: job.attempt });
        if run.lease.session != session {
            events.push(JobAdopted { job: job.id, session, worker: worker.name.clone() }.into());
        }
    }
    Ok(Decision::done(Answer::Adopted(held), events))
}

fn let_go(job: &Job, run: &Run, cause: WorkerLeftCause) -> Vec<Event> {
    match cause {
        WorkerLeftCause::Closed => vec![released(job, run, QueuedCause::WorkerLeft)],
        WorkerLeftCause::Shutdown => vec![released(job, run, QueuedCause::Shutdown)],
        WorkerLeftCause::ConnectionLost => lost(job, run, LossCause::ConnectionLost),
        WorkerLeftCause::LeaseExpired => lost(job, run, LossCause::LeaseExpired),
        WorkerLeftCause::ProcessDied => lost(job, run, LossCause::ProcessDied),
        WorkerLeftCause::ServerRestarted => lost(job, run, LossCause::ServerRestarted),
    }
}

#[cfg(test)]
mod tests;
