//! What time alone causes, and what settling does, rule by rule.

use crate::domain::command::{Command, LeaseProof, NewJob, Start};
use crate::domain::decide::CHUNK;
use crate::domain::event::{Event, JobCancelled, JobFailed, JobQueued, LateCall, QueuedCause};
use crate::domain::id::JobId;
use crate::domain::job::{JobError, Reason, RunEnd, StateName};
use crate::domain::retry::Policy;
use crate::domain::testing::*;
use crate::domain::time::Millis;

fn delayed(ms: u64) -> NewJob {
    NewJob { start: Start::After(Millis(ms)), ..a_job() }
}

fn timed(policy: Policy) -> NewJob {
    NewJob { policy: Policy { timeout: Some(Millis(500)), ..policy }, ..a_job() }
}

fn timeout_error(attempt: u32) -> JobError {
    let message = "the attempt ran longer than its timeout of 0.5 s".into();
    JobError { code: "timeout".into(), message, details: None, retryable: true, attempt }
}

fn jobs_of(events: &[Event]) -> Vec<JobId> {
    events.iter().filter_map(Event::job).collect()
}

/// Settles once and gives what happened.
fn settle(world: &mut World) -> Vec<Event> {
    world.take(Command::Settle).events
}

/// Ends a job and leaves what follows unsettled.
fn completed(world: &mut World, proof: LeaseProof) {
    world.when(complete(proof)).then_types(&["job.completed"]);
}

#[test]
fn a_tick_without_anything_due_does_nothing() {
    let mut world = World::new();
    world.submitted_all([a_job(), delayed(1000)]);
    world.when(Command::Tick).then_nothing();
}

#[test]
fn scheduled_jobs_are_queued_when_their_time_has_come_the_earliest_first() {
    let mut world = World::new();
    let (late, early, never) =
        (world.submitted(delayed(100)), world.submitted(delayed(50)), world.submitted(delayed(101)));
    assert_eq!(world.state.next_due(), Some(world.now.plus(Millis(50))));
    world.passed(Millis(100));
    let queued = [early, late].map(|job| Event::from(JobQueued { job, cause: QueuedCause::Due }));
    let now = world.now;
    let then = world.when(Command::Tick).then(queued).and_state(never, StateName::Scheduled);
    then.and_job(late, |job| assert_eq!(job.queued_at, Some(now)));
}

#[test]
fn a_retryable_job_is_queued_when_its_wait_is_over() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(fail(proof, true));
    let at = world.job(proof.job).scheduled_at().expect("it has a time");
    world.now = at;
    let queued = JobQueued { job: proof.job, cause: QueuedCause::RetryDue }.into();
    world.when(Command::Tick).then([queued]).and_job(proof.job, |job| assert_eq!(job.started_at(), None));
}

#[test]
fn a_run_that_takes_too_long_has_failed_and_is_tried_again() {
    let mut world = World::new();
    let proof = world.running(timed(Policy::default()));
    world.passed(Millis(499));
    world.when(Command::Tick).then_nothing();
    world.passed(Millis(1));
    let events = world.when(Command::Tick).events;
    let [Event::JobAttemptFailed(data)] = &events[..] else { panic!("{events:?}") };
    assert!(data.timed_out);
    assert_eq!(data.error, timeout_error(1));
    let job = world.job(proof.job);
    assert_eq!((job.state_name(), job.failures), (StateName::Retryable, 1));
    assert_eq!(job.last_run().map(|run| run.by), Some(RunEnd::TimedOut));
}

#[test]
fn a_job_whose_last_attempt_takes_too_long_has_failed_with_the_reason_timeout() {
    let mut world = World::new();
    let proof = world.running(timed(Policy { max_attempts: 1, ..Policy::default() }));
    world.passed(Millis(500));
    let failed = JobFailed { job: proof.job, reason: Reason::Timeout, error: Some(timeout_error(1)) }.into();
    world.when(Command::Tick).then([failed]).and_job(proof.job, |job| {
        assert_eq!(job.last_run().map(|run| run.by), Some(RunEnd::TimedOut));
    });
}

#[test]
fn each_attempt_has_its_own_time() {
    let mut world = World::new();
    let proof = world.running(timed(Policy::default()));
    world.passed(Millis(400));
    world.given(release(proof));
    world.run(proof.job);
    world.passed(Millis(400));
    world.when(Command::Tick).then_nothing();
    world.passed(Millis(100));
    world.when(Command::Tick).then_types(&["job.attempt_failed"]);
}

#[test]
fn a_worker_that_reports_after_its_time_was_up_is_too_late() {
    for call in [LateCall::Complete, LateCall::Fail] {
        let mut world = World::new();
        let proof = world.running(timed(Policy::default()));
        world.passed(Millis(500));
        world.given(Command::Tick);
        let command = if call == LateCall::Complete { complete(proof) } else { fail(proof, true) };
        world.when(command).then_refused_as_late(proof.job, call).and_state(proof.job, StateName::Retryable);
    }
}

#[test]
fn a_timeout_after_a_cancel_request_cancels_the_job() {
    let mut world = World::new();
    let proof = world.running(timed(Policy { grace: Millis(9000), ..Policy::default() }));
    world.passed(Millis(400));
    world.given(cancel(proof.job));
    world.passed(Millis(100));
    let (reason, run_ended) = (Reason::CancelledByRequest, Some(RunEnd::Cancelled));
    let cancelled = JobCancelled { job: proof.job, reason, error: None, run_ended }.into();
    world.when(Command::Tick).then([cancelled]);
}

#[test]
fn a_completion_before_the_tick_wins_over_a_timeout() {
    let mut world = World::new();
    let proof = world.running(timed(Policy::default()));
    world.passed(Millis(900));
    world.when(complete(proof)).and_state(proof.job, StateName::Completed);
    world.when(Command::Tick).then_nothing();
}

#[test]
fn a_tick_moves_a_bounded_number_of_jobs_and_the_next_goes_on() {
    let mut world = World::new();
    world.submitted_all(vec![delayed(10); CHUNK * 2 + 3]);
    world.passed(Millis(10));
    let counts = [(); 4].map(|()| world.when(Command::Tick).events.len());
    assert_eq!(counts, [CHUNK, CHUNK, 3, 0]);
}

#[test]
fn runs_whose_time_is_up_come_before_jobs_that_are_due() {
    let mut world = World::new();
    world.submitted_all(vec![delayed(10); CHUNK]);
    let proof = world.running(timed(Policy::default()));
    world.passed(Millis(500));
    let events = world.when(Command::Tick).events;
    assert_eq!((events.len(), events[0].job()), (CHUNK, Some(proof.job)));
}

#[test]
fn dependents_are_settled_a_bounded_number_at_a_time() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.submitted_all(vec![a_job_after(&[proof.job]); CHUNK + 9]);
    completed(&mut world, proof);
    let counts = [(); 3].map(|()| settle(&mut world).len());
    assert_eq!(counts, [CHUNK, 9, 0]);
    assert_eq!(world.state.indexes().ready().lines().map(|(_, _, line)| line.len()).sum::<u64>(), CHUNK as u64 + 9);
}

#[test]
fn settling_when_nothing_is_to_settle_does_nothing() {
    World::new().when(Command::Settle).then_nothing();
}

#[test]
fn the_end_of_a_job_moves_through_a_chain_step_by_step() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let second = world.submitted(a_job_after(&[proof.job]));
    let third = world.submitted(a_job_after(&[second]));
    world.when(fail(proof, false)).then_types(&["job.failed"]);
    assert_eq!(jobs_of(&settle(&mut world)), [second]);
    assert_eq!(jobs_of(&settle(&mut world)), [third]);
    assert_eq!(settle(&mut world), []);
    let reason = |job| world.job(job).ending().and_then(|ending| ending.reason);
    assert_eq!([reason(second), reason(third)], [Some(Reason::DependencyFailed); 2]);
}

#[test]
fn a_chain_runs_one_after_the_other() {
    let mut world = World::new();
    let first = world.submitted(a_job());
    let second = world.submitted(a_job_after(&[first]));
    let third = world.submitted(a_job_after(&[second]));
    for (job, next) in [(first, Some(second)), (second, Some(third)), (third, None)] {
        let proof = world.run(job);
        world.given(complete(proof));
        if let Some(next) = next {
            assert_eq!(world.state_of(next), StateName::Queued);
        }
    }
}

#[test]
fn the_bottom_of_a_diamond_waits_for_both_sides() {
    let mut world = World::new();
    let top = world.running(a_job());
    let left = world.submitted(a_job_after(&[top.job]));
    let right = world.submitted(a_job_after(&[top.job]));
    let bottom = world.submitted(a_job_after(&[left, right]));
    completed(&mut world, top);
    assert_eq!(jobs_of(&settle(&mut world)), [left, right]);
    let (left, right) = (world.run(left), world.run(right));
    completed(&mut world, left);
    assert_eq!(settle(&mut world), []);
    completed(&mut world, right);
    let queued: Event = JobQueued { job: bottom, cause: QueuedCause::DependenciesCompleted }.into();
    assert_eq!(settle(&mut world), [queued]);
}

#[test]
fn one_side_of_a_diamond_that_fails_cancels_the_bottom_once() {
    let mut world = World::new();
    let (left, right) = (world.running(a_job()), world.running(a_job()));
    let bottom = world.submitted(a_job_after(&[left.job, right.job]));
    world.given(fail(left, false));
    assert_eq!(world.state_of(bottom), StateName::Cancelled);
    world.when(fail(right, false)).and_settled([]);
}

#[test]
fn a_cancelled_or_lost_dependency_counts_as_failed() {
    let mut world = World::new();
    let cancelled = world.submitted(a_job());
    let waiting = world.submitted(a_job_after(&[cancelled]));
    world.given(cancel(cancelled));
    let lost = world.running(NewJob { policy: Policy { max_lost: 0, ..Policy::default() }, ..a_job() });
    let waiting_too = world.submitted(a_job_after(&[lost.job]));
    let session = world.holder(lost.job);
    world.given(lose(lost.job, session, crate::domain::event::LossCause::ProcessDied));
    assert_eq!([world.state_of(waiting), world.state_of(waiting_too)], [StateName::Cancelled; 2]);
}

#[test]
fn a_dependency_that_is_retryable_is_still_open() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let waiting = world.submitted(a_job_after(&[proof.job]));
    world.when(fail(proof, true)).and_settled([]).and_state(waiting, StateName::Blocked);
}

#[test]
fn what_is_unsettled_is_settled_after_a_restart() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let waiting = world.submitted(a_job_after(&[proof.job]));
    completed(&mut world, proof);
    world.reread();
    assert_eq!(jobs_of(&settle(&mut world)), [waiting]);
}

#[test]
fn what_is_due_is_due_after_a_restart() {
    let mut world = World::new();
    let job = world.submitted(delayed(10));
    let proof = world.running(timed(Policy::default()));
    world.reread();
    world.passed(Millis(1000));
    assert_eq!(jobs_of(&world.when(Command::Tick).events), [proof.job, job]);
}

#[test]
fn a_fate_that_is_sealed_stays_so_when_another_dependency_completes_before_it_is_settled() {
    let mut world = World::new();
    let (left, right) = (world.running(a_job()), world.running(a_job()));
    let bottom = world.submitted(a_job_after(&[left.job, right.job]));
    world.take(fail(left, false));
    world.take(complete(right));
    assert_eq!(jobs_of(&settle(&mut world)), [bottom]);
    assert_eq!(world.state_of(bottom), StateName::Cancelled);
}
