//! Stopping jobs, rule by rule.

use uuid::Uuid;

use crate::domain::command::{Answer, Command, NewJob, Start};
use crate::domain::decide::cancel::CANCELLED_MAX;
use crate::domain::event::{Event, JobCancelRequested, JobCancelled};
use crate::domain::id::JobId;
use crate::domain::job::{Reason, RunEnd, StateName};
use crate::domain::refusal::Refusal;
use crate::domain::retry::Policy;
use crate::domain::testing::*;
use crate::domain::time::Millis;

fn child_of(parent: JobId) -> NewJob {
    NewJob { parent_id: Some(parent), ..a_job() }
}

fn cancel_tree(job: JobId) -> Command {
    Command::Cancel { job, children: true }
}

fn cancelled(job: JobId, reason: Reason) -> Event {
    JobCancelled { job, reason, error: None, run_ended: None }.into()
}

#[test]
fn a_job_that_is_not_known_cannot_be_cancelled() {
    let job = JobId::from(Uuid::from_u128(3));
    World::new().when(cancel(job)).then_refused(Refusal::JobNotFound { job });
}

#[test]
fn a_job_that_waits_is_cancelled_at_once_in_every_state() {
    let mut world = World::new();
    let queued = world.submitted(a_job());
    let scheduled = world.submitted(NewJob { start: Start::After(Millis(5)), ..a_job() });
    let blocked = world.submitted(a_job_after(&[scheduled]));
    let retryable = world.running(a_job());
    world.given(fail(retryable, true));
    for job in [queued, blocked, scheduled, retryable.job] {
        let reason = Reason::CancelledByRequest;
        let answer = Answer::Job(job);
        world.when(cancel(job)).then([cancelled(job, reason)]).and_answered(answer).and_job(job, |job| {
            assert_eq!(job.state_name(), StateName::Cancelled);
            assert_eq!(job.ending().and_then(|ending| ending.reason), Some(reason));
            assert_eq!(job.cancel_requested_at(), None, "nothing ran that could be asked");
        });
    }
    assert_eq!(world.state.next_due(), None);
}

#[test]
fn a_job_that_has_ended_cannot_be_cancelled() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    world.given(cancel(job));
    let refusal = Refusal::JobIsTerminal { job, state: StateName::Cancelled };
    world.when(cancel(job)).then_refused(refusal);
}

#[test]
fn a_running_job_is_asked_to_stop_and_has_its_grace() {
    let mut world = World::new();
    let proof = world.running(NewJob { policy: Policy { grace: Millis(300), ..Policy::default() }, ..a_job() });
    let (now, deadline) = (world.now, world.now.plus(Millis(300)));
    let reason = Reason::CancelledByRequest;
    let asked = JobCancelRequested { job: proof.job, reason, deadline }.into();
    world.when(cancel(proof.job)).then([asked]).and_job(proof.job, |job| {
        assert_eq!(job.state_name(), StateName::Running);
        assert_eq!(job.cancel_requested_at(), Some(now));
    });
    assert_eq!(world.state.next_due(), Some(deadline));
}

#[test]
fn asking_a_running_job_again_changes_nothing() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(cancel(proof.job));
    let deadline = world.state.next_due();
    world.passed(Millis(1));
    world.when(cancel(proof.job)).then_nothing().and_answered(Answer::Job(proof.job));
    assert_eq!(world.state.next_due(), deadline, "the grace does not begin again");
}

#[test]
fn when_the_grace_is_over_the_lease_is_ended_and_the_job_cancelled() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(cancel(proof.job));
    world.passed(Policy::default().grace);
    let reason = Reason::CancelledByRequest;
    let run_ended = Some(RunEnd::Cancelled);
    let cancelled = JobCancelled { job: proof.job, reason, error: None, run_ended }.into();
    world.when(Command::Tick).then([cancelled]).and_state(proof.job, StateName::Cancelled);
    let late = crate::domain::event::LateCall::Complete;
    world.when(complete(proof)).then_refused_as_late(proof.job, late);
}

#[test]
fn a_grace_of_zero_ends_the_lease_with_the_next_tick() {
    let mut world = World::new();
    let proof = world.running(NewJob { policy: Policy { grace: Millis(0), ..Policy::default() }, ..a_job() });
    world.given(cancel(proof.job));
    world.when(Command::Tick).then_types(&["job.cancelled"]);
}

#[test]
fn jobs_that_wait_for_a_cancelled_one_are_cancelled_too() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    let waiting = world.submitted(a_job_after(&[job]));
    let then = world.when(cancel(job));
    then.and_settled([cancelled(waiting, Reason::DependencyFailed)]).and_state(waiting, StateName::Cancelled);
}

#[test]
fn cancelling_a_parent_alone_leaves_its_children() {
    let mut world = World::new();
    let parent = world.submitted(a_job());
    let child = world.submitted(child_of(parent));
    world.when(cancel(parent)).and_state(child, StateName::Queued);
}

#[test]
fn cancelling_a_tree_stops_all_below_from_the_top_down() {
    let mut world = World::new();
    let top = world.submitted(a_job());
    let (one, two) = (world.submitted(child_of(top)), world.submitted(child_of(top)));
    let below_one = world.submitted(child_of(one));
    let expected = [
        cancelled(top, Reason::CancelledByRequest),
        cancelled(one, Reason::ParentCancelled),
        cancelled(two, Reason::ParentCancelled),
        cancelled(below_one, Reason::ParentCancelled),
    ];
    world.when(cancel_tree(top)).then(expected);
}

#[test]
fn a_running_child_is_asked_to_stop_and_knows_why_it_ended() {
    let mut world = World::new();
    let parent = world.submitted(a_job());
    let proof = world.running(NewJob { kind: kind("page"), ..child_of(parent) });
    world.when(cancel_tree(parent)).then_types(&["job.cancelled", "job.cancel_requested"]);
    world.when(release(proof)).and_job(proof.job, |job| {
        assert_eq!(job.ending().and_then(|ending| ending.reason), Some(Reason::ParentCancelled));
    });
}

#[test]
fn children_below_an_ended_child_are_found() {
    let mut world = World::new();
    let top = world.submitted(a_job());
    let middle = world.submitted(child_of(top));
    let bottom = world.submitted(child_of(middle));
    world.given(cancel(middle));
    world.when(cancel_tree(top)).and_state(bottom, StateName::Cancelled);
}

#[test]
fn the_children_of_an_ended_parent_can_still_be_cancelled() {
    let mut world = World::new();
    let parent = world.submitted(a_job());
    let child = world.submitted(child_of(parent));
    world.given(cancel(parent));
    world.when(cancel_tree(parent)).then([cancelled(child, Reason::ParentCancelled)]);
    let refusal = Refusal::JobIsTerminal { job: parent, state: StateName::Cancelled };
    world.when(cancel_tree(parent)).then_refused(refusal);
}

#[test]
fn an_ended_parent_whose_children_were_asked_already_answers_again() {
    let mut world = World::new();
    let parent = world.submitted(a_job());
    world.running(NewJob { kind: kind("page"), ..child_of(parent) });
    world.given(cancel_tree(parent));
    world.when(cancel_tree(parent)).then_nothing();
}

#[test]
fn a_large_tree_is_stopped_a_bounded_number_at_a_time_nearest_first() {
    let mut world = World::new();
    let top = world.submitted(a_job());
    world.submitted_all(vec![child_of(top); CANCELLED_MAX + 5]);
    assert_eq!(world.when(cancel_tree(top)).events.len(), CANCELLED_MAX);
    assert_eq!(world.state_of(top), StateName::Cancelled);
    assert_eq!(world.when(cancel_tree(top)).events.len(), 6);
    assert_eq!(world.state.jobs().count(), 0);
}

#[test]
fn the_grace_ends_the_lease_also_when_the_timeout_lies_further_ahead() {
    let mut world = World::new();
    let policy = Policy { timeout: Some(Millis::from_secs(600)), grace: Millis(300), ..Policy::default() };
    let proof = world.running(NewJob { policy, ..a_job() });
    world.given(cancel(proof.job));
    world.passed(Millis(300));
    world.when(Command::Tick).then_types(&["job.cancelled"]);
    assert_eq!(world.state.next_due(), None);
}
