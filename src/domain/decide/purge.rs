//! Taking what a finished job carried out of every answer. What it was and how it ended stays.

use crate::domain::command::Answer;
use crate::domain::decide::Decision;
use crate::domain::event::JobPurged;
use crate::domain::id::JobId;
use crate::domain::refusal::Refusal;
use crate::domain::state::{Slot, State};

pub fn purge(state: &State, job: JobId) -> Result<Decision, Refusal> {
    match state.slot(job).ok_or(Refusal::JobNotFound { job })? {
        Slot::Active(_) => Err(Refusal::JobIsActive { job }),
        Slot::Finished(stub) if stub.purged().is_some() => Ok(Decision::done(Answer::Job(job), Vec::new())),
        Slot::Finished(_) => Ok(Decision::done(Answer::Job(job), vec![JobPurged { job }.into()])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::Command;
    use crate::domain::testing::*;
    use crate::domain::time::Millis;

    #[test]
    fn a_job_that_has_ended_is_purged_once() {
        let mut world = World::new();
        let proof = world.running(a_job());
        world.given(complete(proof));
        world.passed(Millis(5));
        let job = proof.job;
        world.when(Command::Purge { job }).then([JobPurged { job }.into()]).and_answered(Answer::Job(job));
        let Some(Slot::Finished(stub)) = world.state.slot(job) else { panic!("it has ended") };
        assert_eq!((stub.purged(), stub.last_seq(), stub.late()), (Some(world.now), world.state.seq(), 0));
        world.when(Command::Purge { job }).then_nothing().and_answered(Answer::Job(job));
    }

    #[test]
    fn what_is_active_or_unknown_is_not_purged() {
        let mut world = World::new();
        let job = world.submitted(a_job());
        world.when(Command::Purge { job }).then_refused(Refusal::JobIsActive { job });
        let unknown = JobId::from(uuid::Uuid::nil());
        world.when(Command::Purge { job: unknown }).then_refused(Refusal::JobNotFound { job: unknown });
    }

    #[test]
    fn a_purged_job_does_not_run_again_and_its_late_results_are_still_counted() {
        let mut world = World::new();
        let proof = world.running(a_job());
        world.given(fail(proof, false));
        let job = proof.job;
        world.given_late(complete(proof));
        world.given(Command::Purge { job });
        let Some(Slot::Finished(stub)) = world.state.slot(job) else { panic!("it has ended") };
        assert_eq!(stub.late(), 1);
        let retry = world.retry(job, false, false);
        world.when(retry).then_refused(Refusal::JobWasPurged { job });
    }
}
