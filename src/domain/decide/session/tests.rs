//! Workers' sessions, rule by rule.

use uuid::Uuid;

use crate::domain::command::{Answer, Command, Grant, JoinWorker, LeaseProof, NewJob};
use crate::domain::event::{
    Event, JobAdopted, JobAttemptLost, JobCancelled, JobQueued, LossCause, QueuedCause, WorkerJoined, WorkerLeft,
    WorkerLeftCause,
};
use crate::domain::id::SessionId;
use crate::domain::job::{Reason, RunEnd, StateName, WorkerPlace};
use crate::domain::refusal::Refusal;
use crate::domain::retry::Policy;
use crate::domain::testing::*;
use crate::domain::time::Millis;

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

fn adopt(session: SessionId, proofs: &[LeaseProof]) -> Command {
    Command::Adopt { session, proofs: proofs.to_vec() }
}

fn adopted(proof: LeaseProof, session: SessionId) -> Event {
    JobAdopted { job: proof.job, session, worker: "worker".into() }.into()
}

fn grant(proof: LeaseProof) -> Grant {
    Grant { job: proof.job, attempt: 1 }
}

#[test]
fn a_worker_that_comes_back_with_its_token_goes_on_with_the_same_run() {
    let mut world = World::new();
    let policy = Policy { timeout: Some(Millis(60_000)), ..Policy::default() };
    let (before, proof) = held(&mut world, NewJob { policy, ..a_job() });
    let (started_at, timeout_at) = (world.now, world.now.plus(Millis(60_000)));
    world.passed(Millis(10_000));
    let now = world.joined();
    let then = world.when(adopt(now, &[proof])).then([adopted(proof, now)]);
    then.and_answered(Answer::Adopted(vec![grant(proof)])).and_job(proof.job, |job| {
        let run = job.run().expect("it runs");
        assert_eq!((run.lease.session, run.started_at, run.timeout_at), (now, started_at, Some(timeout_at)));
        assert_eq!((job.attempt, job.failures, job.lost_count), (1, 0, 0));
    });
    world.given(leave(before, WorkerLeftCause::ServerRestarted));
    world.when(complete(proof)).and_state(proof.job, StateName::Completed);
}

#[test]
fn adopting_again_is_no_news_and_what_is_named_twice_moves_once() {
    let mut world = World::new();
    let (_, proof) = held(&mut world, a_job());
    let session = world.joined();
    world.when(adopt(session, &[proof, proof])).then([adopted(proof, session)]);
    world.when(adopt(session, &[proof])).then_nothing().and_answered(Answer::Adopted(vec![grant(proof)]));
}

#[test]
fn a_token_that_does_not_hold_adopts_nothing_and_the_others_do() {
    let mut world = World::new();
    let (_, good) = held(&mut world, a_job());
    let (_, lost) = held(&mut world, a_job());
    world.given(lose(lost.job, world.holder(lost.job), LossCause::LeaseExpired));
    let wrong = LeaseProof { token: world.token(), ..good };
    let session = world.joined();
    let then = world.when(adopt(session, &[wrong, lost])).then_nothing();
    then.and_answered(Answer::Adopted(Vec::new()));
    world.when(adopt(session, &[wrong, lost, good])).then([adopted(good, session)]);
}

#[test]
fn a_session_that_is_not_live_adopts_nothing() {
    let mut world = World::new();
    let (session, proof) = held(&mut world, a_job());
    world.given(leave(session, WorkerLeftCause::ConnectionLost));
    world.when(adopt(session, &[proof])).then_refused(Refusal::SessionNotFound { session });
}

#[test]
fn the_lease_of_a_child_process_cannot_be_adopted() {
    let mut world = World::new();
    let id = world.submitted(a_job());
    let child = SessionId(Uuid::from_u128(9));
    let place = WorkerPlace::Subprocess;
    world.given(Command::JoinWorker(JoinWorker {
        session: child,
        name: "c".into(),
        kinds: vec![],
        queues: None,
        place,
    }));
    let proof = world.dealt(child, 1)[0];
    assert_eq!(proof.job, id);
    let remote = world.joined();
    world.when(adopt(remote, &[proof])).then_nothing().and_answered(Answer::Adopted(Vec::new()));
}

#[test]
fn a_cancel_that_was_asked_for_meanwhile_stays_asked_for() {
    let mut world = World::new();
    let (before, proof) = held(&mut world, a_job());
    world.given(cancel(proof.job));
    let session = world.joined();
    world.given(adopt(session, &[proof]));
    world.given(leave(before, WorkerLeftCause::ServerRestarted));
    world.when(release(proof)).and_state(proof.job, StateName::Cancelled);
}

#[test]
fn what_was_adopted_is_not_lost_with_the_session_before() {
    let mut world = World::new();
    for (cause, loss, _) in LOSSES {
        let (before, proof) = held(&mut world, a_job());
        let session = world.joined();
        world.given(adopt(session, &[proof]));
        world.when(lose(proof.job, before, loss)).then_nothing();
        world.when(leave(before, cause)).then([left(before, cause)]).and_state(proof.job, StateName::Running);
        world.given(complete(proof));
    }
}

#[test]
fn two_causes_at_once_count_once() {
    let mut world = World::new();
    for (first, ..) in LOSSES {
        for (second, loss, _) in LOSSES {
            let (session, proof) = held(&mut world, a_job());
            world.given(leave(session, first));
            let count = world.job(proof.job).lost_count;
            world.when(leave(session, second)).then_refused(Refusal::SessionNotFound { session });
            world.when(lose(proof.job, session, loss)).then_nothing();
            assert_eq!(
                (world.job(proof.job).lost_count, count),
                (count, u32::from(first != WorkerLeftCause::ServerRestarted))
            );
            world.given(cancel(proof.job));
        }
        for (_, loss, counted) in LOSSES {
            let (session, proof) = held(&mut world, a_job());
            world.given(lose(proof.job, session, loss));
            world.when(leave(session, first)).then([left(session, first)]);
            assert_eq!(world.job(proof.job).lost_count, u32::from(counted));
            world.given(cancel(proof.job));
        }
    }
}

#[test]
fn a_completion_and_a_loss_at_once_count_once() {
    let mut world = World::new();
    for (cause, ..) in LOSSES {
        let (session, proof) = held(&mut world, a_job());
        world.given(complete(proof));
        world.when(leave(session, cause)).then([left(session, cause)]).and_state(proof.job, StateName::Completed);
        let (session, proof) = held(&mut world, a_job());
        world.given(leave(session, cause));
        world.when(complete(proof)).then_refused_as_late(proof.job, crate::domain::event::LateCall::Complete);
        world.given(cancel(proof.job));
    }
}
