//! Workers' sessions: how they begin, and what their end means for the leases that they hold.

use crate::domain::command::{Answer, JoinWorker};
use crate::domain::decide::Decision;
use crate::domain::decide::finish::{lost, released};
use crate::domain::event::{Event, LossCause, QueuedCause, WorkerJoined, WorkerLeft, WorkerLeftCause};
use crate::domain::id::SessionId;
use crate::domain::job::{Job, Run};
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
