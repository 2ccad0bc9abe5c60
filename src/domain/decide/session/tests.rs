//! Workers' sessions, rule by rule.

use uuid::Uuid;

use crate::domain::command::{Answer, Command, JoinWorker, LeaseProof, NewJob};
use crate::domain::event::{
    Event, JobAttemptLost, JobCancelled, JobQueued, LossCause, QueuedCause, WorkerJoined, WorkerLeft, WorkerLeftCause,
};
use crate::domain::id::SessionId;
use crate::domain::job::{Reason, RunEnd, StateName, WorkerPlace};
use crate::domain::refusal::Refusal;
use crate::domain::retry::Policy;
use crate::domain::testing::*;

const LOSSES: [(WorkerLeftCause, LossCause, bool); 4] = [
    (WorkerLeftCause::ConnectionLost, LossCause::ConnectionLost, true),
    (WorkerLeftCause::LeaseExpired, LossCause::LeaseExpired, true),
    (WorkerLeftCause::ProcessDied, LossCause::ProcessDied, true),
    (WorkerLeftCause::ServerRestarted, LossCause::ServerRestarted, false),
];

const RETURNS: [(WorkerLeftCause, QueuedCause); 2] =
    [(WorkerLeftCause::Closed, QueuedCause::WorkerLeft), (WorkerLeftCause::Shutdown, QueuedCause::Shutdown)];

fn leave(session: SessionId, cause: WorkerLeftCause) -> Command {
    Command::LeaveWorker { session, cause }
}

fn left(session: SessionId, cause: WorkerLeftCause) -> Event {
    WorkerLeft { session, cause }.into()
}

fn held(world: &mut World, job: NewJob) -> (SessionId, LeaseProof) {
    let proof = world.running(job);
    (world.holder(proof.job), proof)
}

#[test]
fn a_session_begins_with_what_it_takes() {
    let mut world = World::new();
    let session = SessionId(Uuid::from_u128(9));
    let join = JoinWorker {
        session,
        name: "north".into(),
        kinds: vec![kind("a")],
        queues: Some(vec![queue("q")]),
        place: WorkerPlace::Subprocess,
    };
    let joined = WorkerJoined {
        session,
        name: "north".into(),
        kinds: vec![kind("a")],
        queues: Some(vec![queue("q")]),
        place: WorkerPlace::Subprocess,
    };
    world.when(Command::JoinWorker(join)).then([joined.clone().into()]).and_answered(Answer::Done);
    assert_eq!(
        world.state.worker(session).map(|worker| (&worker.joined, worker.joined_at)),
        Some((&joined, world.now))
    );
}

#[test]
fn a_session_that_is_not_known_cannot_leave() {
    let mut world = World::new();
    let session = SessionId(Uuid::from_u128(9));
    world.when(leave(session, WorkerLeftCause::Closed)).then_refused(Refusal::SessionNotFound { session });
    let session = world.joined();
    world.given(leave(session, WorkerLeftCause::Closed));
    world.when(leave(session, WorkerLeftCause::LeaseExpired)).then_refused(Refusal::SessionNotFound { session });
}

#[test]
fn a_session_without_jobs_just_leaves() {
    let mut world = World::new();
    let session = world.joined();
    world.when(leave(session, WorkerLeftCause::LeaseExpired)).then([left(session, WorkerLeftCause::LeaseExpired)]);
    assert_eq!(world.state.workers().count(), 0);
}

#[test]
fn a_session_that_leaves_in_order_gives_its_jobs_back_without_a_loss() {
    let mut world = World::new();
    for (cause, queued) in RETURNS {
        let policy = Policy { max_lost: 0, max_attempts: 1, ..Policy::default() };
        let (session, proof) = held(&mut world, NewJob { policy, ..a_job() });
        let queued = JobQueued { job: proof.job, cause: queued }.into();
        let then = world.when(leave(session, cause)).then([queued, left(session, cause)]);
        then.and_state(proof.job, StateName::Queued).and_job(proof.job, |job| {
            assert_eq!((job.lost_count, job.failures, job.started_at()), (0, 0, None));
        });
    }
}

#[test]
fn a_session_that_is_lost_loses_its_jobs() {
    let mut world = World::new();
    for (cause, loss, counted) in LOSSES {
        let (session, proof) = held(&mut world, a_job());
        let lost = JobAttemptLost { job: proof.job, attempt: 1, cause: loss, counted }.into();
        let then = world.when(leave(session, cause)).then([lost, left(session, cause)]);
        then.and_state(proof.job, StateName::Queued).and_job(proof.job, |job| {
            assert_eq!(job.lost_count, u32::from(counted), "{cause:?}");
        });
    }
}

#[test]
fn a_lost_session_fails_a_job_that_bears_no_more_losses() {
    let mut world = World::new();
    for (cause, _, counted) in LOSSES {
        let policy = Policy { max_lost: 0, ..Policy::default() };
        let (session, proof) = held(&mut world, NewJob { policy, ..a_job() });
        let state = if counted { StateName::Failed } else { StateName::Queued };
        world.when(leave(session, cause)).and_state(proof.job, state);
    }
}

#[test]
fn a_session_that_leaves_lets_go_of_jobs_that_were_to_be_cancelled() {
    let mut world = World::new();
    for (cause, _) in RETURNS {
        let (session, proof) = held(&mut world, a_job());
        world.given(cancel(proof.job));
        let (reason, run_ended) = (Reason::CancelledByRequest, Some(RunEnd::Released));
        let cancelled = JobCancelled { job: proof.job, reason, error: None, run_ended }.into();
        world.when(leave(session, cause)).then([cancelled, left(session, cause)]);
    }
    for (cause, ..) in LOSSES {
        let (session, proof) = held(&mut world, a_job());
        world.given(cancel(proof.job));
        let types = ["job.attempt_lost", "job.cancelled", "worker.left"];
        world.when(leave(session, cause)).then_types(&types).and_state(proof.job, StateName::Cancelled);
    }
}

#[test]
fn all_jobs_of_a_session_end_together_and_those_of_others_go_on() {
    let mut world = World::new();
    world.submitted_all([a_job(), a_job(), a_job()]);
    let (leaving, staying) = (world.joined(), world.joined());
    let gone = world.dealt(leaving, 2);
    let kept = world.dealt(staying, 1);
    let types = ["job.attempt_lost", "job.attempt_lost", "worker.left"];
    world.when(leave(leaving, WorkerLeftCause::ConnectionLost)).then_types(&types);
    let states = [gone[0], gone[1], kept[0]].map(|proof| world.state_of(proof.job));
    assert_eq!(states, [StateName::Queued, StateName::Queued, StateName::Running]);
    let last_three = &world.records[world.records.len() - 3..];
    assert_eq!(last_three.iter().map(|record| record.continues).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn a_loss_that_was_noted_before_the_session_left_counts_once() {
    let mut world = World::new();
    let (session, proof) = held(&mut world, a_job());
    world.given(lose(proof.job, session, LossCause::ProcessDied));
    let cause = WorkerLeftCause::ProcessDied;
    world.when(leave(session, cause)).then([left(session, cause)]);
    assert_eq!(world.job(proof.job).lost_count, 1);
}

#[test]
fn a_token_of_a_session_that_left_holds_no_longer() {
    let mut world = World::new();
    let (session, proof) = held(&mut world, a_job());
    world.given(leave(session, WorkerLeftCause::ConnectionLost));
    world.when(complete(proof)).then_refused_as_late(proof.job, crate::domain::event::LateCall::Complete);
}
