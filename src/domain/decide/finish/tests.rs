//! How a run ends, rule by rule.

use crate::domain::batch::ItemState;
use crate::domain::command::{Answer, Command, LeaseProof, NewJob};
use crate::domain::event::{
    Event, JobAttemptFailed, JobAttemptLost, JobCancelled, JobCompleted, JobFailed, JobQueued, LossCause, QueuedCause,
};
use crate::domain::id::{SessionId, TokenHash};
use crate::domain::job::{Job, JobError, Reason, RunEnd, StateName};
use crate::domain::json::Json;
use crate::domain::refusal::Refusal;
use crate::domain::retry::Policy;
use crate::domain::testing::*;
use crate::domain::time::Millis;

fn with(policy: Policy) -> NewJob {
    NewJob { policy, ..a_job() }
}

fn attempts(max_attempts: u32) -> NewJob {
    with(Policy { max_attempts, ..Policy::default() })
}

fn losses(max_lost: u32) -> NewJob {
    with(Policy { max_lost, ..Policy::default() })
}

fn error_of(job: &Job) -> Option<&JobError> {
    job.extras.as_ref().and_then(|extras| extras.error.as_deref())
}

/// The job runs again as soon as its time has come.
fn run_again(world: &mut World, proof: LeaseProof) -> LeaseProof {
    world.passed(Millis::from_secs(7200));
    world.given(Command::Tick);
    world.run(proof.job)
}

fn lost(world: &mut World, proof: LeaseProof, cause: LossCause) -> Vec<Event> {
    let session = world.holder(proof.job);
    world.when(lose(proof.job, session, cause)).events
}

#[test]
fn a_completed_job_has_its_result_and_its_end() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let started_at = world.now;
    world.passed(Millis(40));
    let result = Some(Json::from_checked("42"));
    let completed = JobCompleted { job: proof.job, result: result.clone() }.into();
    let (now, seq) = (world.now, world.state.seq().next());
    let then = world.when(Command::Complete { proof, result }).then([completed]);
    then.and_answered(Answer::Job(proof.job)).and_job(proof.job, |job| {
        assert_eq!(job.state_name(), StateName::Completed);
        assert_eq!(job.ending().map(|ending| (ending.finished_at, ending.reason)), Some((now, None)));
        assert_eq!(job.extras.as_ref().and_then(|extras| extras.result), Some(seq));
        assert_eq!(job.started_at(), Some(started_at));
        assert_eq!(job.last_run().map(|run| run.by), Some(RunEnd::Completed));
    });
}

#[test]
fn a_completion_without_a_result_has_none() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.when(complete(proof)).and_job(proof.job, |job| {
        assert_eq!(job.extras.as_ref().and_then(|extras| extras.result), None);
    });
}

#[test]
fn completing_skips_the_items_that_nobody_reported_whatever_the_others_are() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a", "b", "c"]));
    let reports = vec![report("a", ItemState::Completed), report("b", ItemState::Failed)];
    world.given(Command::ReportItems { proof, reports });
    world.when(complete(proof)).and_state(proof.job, StateName::Completed).and_job(proof.job, |job| {
        let counts = job.items().expect("a batch has items").counts();
        assert_eq!((counts.completed, counts.failed, counts.skipped, counts.pending), (1, 1, 1, 0));
    });
}

#[test]
fn a_completion_forgets_the_errors_of_earlier_attempts() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(fail(proof, true));
    assert!(error_of(&world.job(proof.job)).is_some());
    let rerun = run_again(&mut world, proof);
    world.when(complete(rerun)).and_job(proof.job, |job| assert_eq!(error_of(job), None));
}

#[test]
fn completing_with_a_token_that_never_was_is_refused() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let stale = LeaseProof { token: TokenHash([1; 16]), ..proof };
    let late = crate::domain::event::LateCall::Complete;
    world.when(complete(stale)).then_refused_as_late(proof.job, late).and_state(proof.job, StateName::Running);
}

#[test]
fn a_job_that_is_not_known_is_not_found() {
    let mut world = World::new();
    let job = crate::domain::id::JobId::from(uuid::Uuid::from_u128(5));
    let proof = LeaseProof { job, token: TokenHash([1; 16]) };
    for command in [
        complete(proof),
        fail(proof, true),
        release(proof),
        Command::CheckLease { proof, call: crate::domain::event::LateCall::Log },
    ] {
        world.when(command).then_refused(Refusal::JobNotFound { job });
    }
    let session = SessionId(uuid::Uuid::from_u128(6));
    world.when(lose(job, session, LossCause::ProcessDied)).then_refused(Refusal::JobNotFound { job });
}

#[test]
fn a_failed_attempt_waits_for_the_next_with_backoff_and_jitter() {
    let mut world = World::new();
    let backoff = Millis(10_000);
    let proof = world.running(with(Policy { backoff, max_attempts: 4, ..Policy::default() }));
    let mut proof = proof;
    for base in [10_000, 20_000, 40_000] {
        let now = world.now;
        world.when(fail(proof, true)).and_state(proof.job, StateName::Retryable);
        let wait = world.job(proof.job).scheduled_at().expect("a retryable job has a time").since(now).0;
        assert!((base * 8 / 10..=base * 12 / 10).contains(&wait), "{wait} ms after {base} ms");
        proof = run_again(&mut world, proof);
    }
}

#[test]
fn the_wait_before_a_retry_differs_by_chance_and_is_in_the_event() {
    let mut world = World::new();
    let mut waits = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let proof = world.running(a_job());
        let now = world.now;
        let events = world.when(fail(proof, true)).events;
        let [Event::JobAttemptFailed(data)] = &events[..] else { panic!("{events:?}") };
        waits.insert(data.retry_at.since(now));
    }
    assert!(waits.len() > 5, "{waits:?}");
}

#[test]
fn a_backoff_of_zero_makes_the_next_attempt_due_at_once() {
    let mut world = World::new();
    let proof = world.running(with(Policy { backoff: Millis(0), ..Policy::default() }));
    world.given(fail(proof, true));
    let queued = JobQueued { job: proof.job, cause: QueuedCause::RetryDue }.into();
    world.when(Command::Tick).then([queued]);
}

#[test]
fn a_failed_attempt_keeps_its_error_with_the_number_of_the_attempt() {
    let mut world = World::new();
    let proof = world.running(attempts(3));
    let events = world.when(fail(proof, true)).events;
    let [Event::JobAttemptFailed(JobAttemptFailed { error, timed_out: false, .. })] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(error.attempt, 1);
    let rerun = run_again(&mut world, proof);
    world.given(fail(rerun, true));
    let job = world.job(proof.job);
    assert_eq!(error_of(&job), Some(&JobError { attempt: 2, ..an_error(true) }));
    assert_eq!(job.last_run().map(|run| run.by), Some(RunEnd::Failed));
}

#[test]
fn attempts_are_numbered_from_one() {
    let mut world = World::new();
    let first = world.running(attempts(3));
    assert_eq!(world.job(first.job).attempt, 1);
    world.given(fail(first, true));
    assert_eq!(world.job(first.job).attempt, 1, "the last attempt is still the first");
    run_again(&mut world, first);
    assert_eq!(world.job(first.job).attempt, 2);
}

#[test]
fn a_job_whose_attempts_are_used_up_has_failed() {
    let mut world = World::new();
    let first = world.running(a_job());
    world.given(fail(first, true));
    let second = run_again(&mut world, first);
    let error = Some(JobError { attempt: 2, ..an_error(true) });
    let failed = JobFailed { job: first.job, reason: Reason::AttemptsExhausted, error }.into();
    world.when(fail(second, true)).then([failed]).and_state(first.job, StateName::Failed).and_job(first.job, |job| {
        assert_eq!(job.ending().and_then(|ending| ending.reason), Some(Reason::AttemptsExhausted));
        assert_eq!((job.attempt, job.failures), (2, 2));
    });
}

#[test]
fn one_attempt_means_no_retry() {
    let mut world = World::new();
    let proof = world.running(attempts(1));
    world.when(fail(proof, true)).then_types(&["job.failed"]);
}

#[test]
fn an_error_that_is_not_retryable_ends_the_job_at_once() {
    let mut world = World::new();
    let proof = world.running(attempts(9));
    let error = Some(JobError { attempt: 1, ..an_error(false) });
    let failed = JobFailed { job: proof.job, reason: Reason::NotRetryable, error }.into();
    world.when(fail(proof, false)).then([failed]);
}

#[test]
fn a_failed_job_keeps_its_items_as_they_are() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a", "b"]));
    world.given(Command::ReportItems { proof, reports: vec![report("a", ItemState::Completed)] });
    world.when(fail(proof, false)).and_job(proof.job, |job| {
        let counts = job.items().expect("a batch has items").counts();
        assert_eq!((counts.completed, counts.pending), (1, 1));
    });
}

#[test]
fn a_released_job_is_queued_at_once_and_uses_up_neither_an_attempt_nor_a_loss() {
    let mut world = World::new();
    let proof = world.running(attempts(1));
    let queued = JobQueued { job: proof.job, cause: QueuedCause::Released }.into();
    let now = world.now;
    world.when(release(proof)).then([queued]).and_job(proof.job, |job| {
        assert_eq!(job.state_name(), StateName::Queued);
        assert_eq!((job.failures, job.lost_count), (0, 0));
        assert_eq!((job.started_at(), job.queued_at), (None, Some(now)));
    });
    world.run(proof.job);
    assert_eq!(world.job(proof.job).attempt, 1, "the rerun has the same number");
}

#[test]
fn a_job_may_be_released_any_number_of_times() {
    let mut world = World::new();
    let mut proof = world.running(with(Policy { max_attempts: 1, max_lost: 0, ..Policy::default() }));
    for _ in 0..20 {
        world.when(release(proof)).and_state(proof.job, StateName::Queued);
        proof = world.run(proof.job);
    }
}

#[test]
fn a_lost_run_is_counted_and_queued_again_with_the_same_number() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let session = world.holder(proof.job);
    let cause = LossCause::ConnectionLost;
    let lost = JobAttemptLost { job: proof.job, attempt: 1, cause, counted: true }.into();
    world.when(lose(proof.job, session, cause)).then([lost]).and_job(proof.job, |job| {
        assert_eq!(job.state_name(), StateName::Queued);
        assert_eq!((job.attempt, job.failures, job.lost_count), (1, 0, 1));
        assert_eq!(job.started_at(), None);
        assert_eq!(job.last_run().map(|run| run.by), Some(RunEnd::Lost));
    });
    world.run(proof.job);
    assert_eq!(world.job(proof.job).attempt, 1);
}

#[test]
fn every_cause_of_a_loss_counts_but_the_servers_own_restart() {
    let mut world = World::new();
    let counted = [LossCause::ConnectionLost, LossCause::LeaseExpired, LossCause::ProcessDied, LossCause::SpawnFailed];
    for (cause, count) in counted.map(|cause| (cause, 1)).into_iter().chain([(LossCause::ServerRestarted, 0)]) {
        let proof = world.running(a_job());
        lost(&mut world, proof, cause);
        assert_eq!(world.job(proof.job).lost_count, count, "{cause:?}");
    }
}

#[test]
fn more_losses_than_are_borne_fail_the_job() {
    let mut world = World::new();
    let mut proof = world.running(losses(2));
    for count in 1..=2 {
        lost(&mut world, proof, LossCause::LeaseExpired);
        assert_eq!(world.job(proof.job).lost_count, count);
        proof = world.run(proof.job);
    }
    let events = lost(&mut world, proof, LossCause::LeaseExpired);
    let cause = LossCause::LeaseExpired;
    let one_more = JobAttemptLost { job: proof.job, attempt: 1, cause, counted: true }.into();
    let failed = JobFailed { job: proof.job, reason: Reason::Lost, error: None }.into();
    assert_eq!(events, [one_more, failed]);
    let job = world.job(proof.job);
    assert_eq!((job.lost_count, job.failures), (3, 0));
    assert_eq!(job.last_run().map(|run| run.by), Some(RunEnd::Lost));
}

#[test]
fn when_no_loss_is_borne_the_first_fails_the_job() {
    let mut world = World::new();
    let proof = world.running(losses(0));
    lost(&mut world, proof, LossCause::ProcessDied);
    assert_eq!(world.state_of(proof.job), StateName::Failed);
}

#[test]
fn the_servers_restart_never_fails_a_job() {
    let mut world = World::new();
    let mut proof = world.running(losses(0));
    for _ in 0..10 {
        lost(&mut world, proof, LossCause::ServerRestarted);
        assert_eq!(world.state_of(proof.job), StateName::Queued);
        proof = world.run(proof.job);
    }
}

#[test]
fn losses_and_attempts_are_counted_apart() {
    let mut world = World::new();
    let proof = world.running(a_job());
    lost(&mut world, proof, LossCause::ProcessDied);
    let proof = world.run(proof.job);
    world.given(fail(proof, true));
    let proof = run_again(&mut world, proof);
    lost(&mut world, proof, LossCause::ProcessDied);
    let job = world.job(proof.job);
    assert_eq!((job.attempt, job.failures, job.lost_count), (2, 1, 2));
}

#[test]
fn two_causes_of_a_loss_at_the_same_time_count_once() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let session = world.holder(proof.job);
    world.given(lose(proof.job, session, LossCause::ConnectionLost));
    world.when(lose(proof.job, session, LossCause::LeaseExpired)).then_nothing();
    assert_eq!(world.job(proof.job).lost_count, 1);
}

#[test]
fn a_loss_of_a_session_that_no_longer_holds_the_job_changes_nothing() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let session = world.holder(proof.job);
    world.given(release(proof));
    let rerun = world.run(proof.job);
    world.when(lose(proof.job, session, LossCause::ProcessDied)).then_nothing();
    world.given(complete(rerun));
    world.when(lose(proof.job, session, LossCause::ProcessDied)).then_nothing();
}

#[test]
fn a_completion_and_a_loss_at_the_same_time_end_the_run_once() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let session = world.holder(proof.job);
    world.given(lose(proof.job, session, LossCause::ConnectionLost));
    let late = crate::domain::event::LateCall::Complete;
    world.when(complete(proof)).then_refused_as_late(proof.job, late).and_state(proof.job, StateName::Queued);
}

#[test]
fn after_a_cancel_request_every_end_but_a_completion_cancels_the_job() {
    let mut world = World::new();
    type End = fn(LeaseProof) -> Command;
    let ends: [(End, Option<RunEnd>); 3] = [
        (|proof| fail(proof, true), Some(RunEnd::Failed)),
        (|proof| fail(proof, false), Some(RunEnd::Failed)),
        (release, Some(RunEnd::Released)),
    ];
    for (end, run_ended) in ends {
        let proof = world.running(a_job());
        world.given(cancel(proof.job));
        let asked_at = world.now;
        world.passed(Millis(5));
        let events = world.when(end(proof)).events;
        let [Event::JobCancelled(JobCancelled { reason, run_ended: ended, .. })] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!((*reason, *ended), (Reason::CancelledByRequest, run_ended));
        let job = world.job(proof.job);
        assert_eq!(job.cancel_requested_at(), Some(asked_at), "the request is still shown after the end");
    }
}

#[test]
fn a_loss_after_a_cancel_request_cancels_the_job_and_is_counted() {
    let mut world = World::new();
    let proof = world.running(losses(0));
    world.given(cancel(proof.job));
    let asked_at = world.now;
    let cause = LossCause::ProcessDied;
    let one = JobAttemptLost { job: proof.job, attempt: 1, cause, counted: true }.into();
    let reason = Reason::CancelledByRequest;
    let cancelled = JobCancelled { job: proof.job, reason, error: None, run_ended: None }.into();
    assert_eq!(lost(&mut world, proof, cause), [one, cancelled]);
    let job = world.job(proof.job);
    assert_eq!((job.lost_count, job.cancel_requested_at()), (1, Some(asked_at)));
}

#[test]
fn what_a_worker_says_when_it_lets_itself_be_stopped_is_kept() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(cancel(proof.job));
    world.when(fail(proof, true)).and_job(proof.job, |job| {
        assert_eq!(error_of(job), Some(&JobError { attempt: 1, ..an_error(true) }));
    });
}

#[test]
fn a_completion_that_still_arrives_after_a_cancel_request_wins() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(cancel(proof.job));
    world.when(complete(proof)).then_types(&["job.completed"]).and_job(proof.job, |job| {
        assert_eq!(job.ending().map(|ending| ending.reason), Some(None));
        assert!(job.cancel_requested_at().is_some());
    });
}

#[test]
fn endings_are_numbered_in_their_order() {
    let mut world = World::new();
    let (one, two, three) = (world.running(a_job()), world.running(a_job()), world.submitted(a_job()));
    world.given(cancel(three));
    world.given(complete(two));
    world.given(fail(one, false));
    let place = |job| world.job(job).ending().expect("it ended").finish_ordinal.0;
    assert_eq!([place(three), place(two.job), place(one.job)], [1, 2, 3]);
}
