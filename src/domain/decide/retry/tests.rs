//! Running finished jobs again by hand, rule by rule.

use uuid::Uuid;

use crate::domain::batch::ItemState;
use crate::domain::command::{Answer, Command, NewJob, Start};
use crate::domain::decide::retry::{REVIVED_MAX, to_revive};
use crate::domain::event::{Event, FirstState, LateCall, LossCause};
use crate::domain::id::JobId;
use crate::domain::job::{FileInfo, StateName};
use crate::domain::json::Json;
use crate::domain::refusal::Refusal;
use crate::domain::retry::Policy;
use crate::domain::testing::*;
use crate::domain::time::Millis;

fn keyed(key: &str) -> NewJob {
    NewJob { unique_key: Some(key.into()), ..a_job() }
}

fn failed(world: &mut World, job: NewJob) -> JobId {
    let proof = world.running(job);
    world.given(fail(proof, false));
    proof.job
}

/// A batch of three that ended with one item of each sort.
fn ended_batch(world: &mut World, end: fn(crate::domain::command::LeaseProof) -> Command) -> JobId {
    let proof = world.running(a_batch(&["a", "b", "c"]));
    let reports = vec![report("a", ItemState::Completed), report("b", ItemState::Failed)];
    world.given(Command::ReportItems { proof, reports });
    world.given(end(proof));
    proof.job
}

fn states_of_items(world: &World, job: JobId) -> Vec<ItemState> {
    world.job(job).items().expect("a batch has items").list().iter().map(|item| item.state).collect()
}

fn ids_of(events: &[Event]) -> Vec<JobId> {
    events.iter().filter_map(Event::job).collect()
}

#[test]
fn a_failed_job_is_queued_again_with_fresh_counters() {
    let mut world = World::new();
    let proof = world.running(NewJob { policy: Policy { max_lost: 1, ..Policy::default() }, ..a_job() });
    let session = world.holder(proof.job);
    world.given(lose(proof.job, session, LossCause::ProcessDied));
    let proof = world.run(proof.job);
    world.given(fail(proof, false));
    world.passed(Millis(50));
    let now = world.now;
    let retry = world.retry(proof.job, false, false);
    let then = world.when(retry).then_types(&["job.retried"]).and_answered(Answer::Job(proof.job));
    then.and_state(proof.job, StateName::Queued).and_job(proof.job, |job| {
        assert_eq!((job.attempt, job.failures, job.lost_count), (0, 0, 0));
        assert_eq!((job.queued_at, job.started_at(), job.ending()), (Some(now), None, None));
        assert_eq!(job.extras, None, "error, progress and the last run are forgotten");
    });
}

#[test]
fn a_cancelled_job_may_be_retried() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    world.given(cancel(job));
    let retry = world.retry(job, false, false);
    world.when(retry).and_state(job, StateName::Queued);
}

#[test]
fn a_retried_job_keeps_what_was_asked_for_and_what_it_left() {
    let mut world = World::new();
    let parent = world.submitted(a_job());
    let wanted = NewJob {
        priority: 3,
        tags: vec!["night".into()],
        parent_id: Some(parent),
        policy: Policy { max_attempts: 7, ..Policy::default() },
        ..keyed("one")
    };
    let proof = world.running(NewJob { kind: kind("keep"), queue: queue("side"), ..wanted });
    let file = FileInfo { name: "a".into(), media_type: "b".into(), size: 1 };
    world.given(Command::StoreFile { proof, file: file.clone() });
    world.given(Command::Checkpoint { proof, data: Json::from_checked("1") });
    let checkpoint = Some(world.state.seq());
    world.given(fail(proof, false));
    let before = world.job(proof.job);
    let retry = world.retry(proof.job, false, false);
    world.when(retry).and_job(proof.job, |job| {
        assert_eq!((job.id, job.submitted, job.created_at), (before.id, before.submitted, before.created_at));
        assert_eq!((&job.kind, &job.queue, job.priority), (&before.kind, &before.queue, 3));
        assert_eq!((&job.tags, &job.policy, &job.relations), (&before.tags, &before.policy, &before.relations));
        let extras = job.extras.as_ref().expect("it left something");
        assert_eq!((extras.checkpoint, &extras.files[..]), (checkpoint, &[file][..]));
    });
    assert_eq!(world.run(proof.job).job, proof.job);
}

#[test]
fn a_completed_job_cannot_be_retried() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(complete(proof));
    for only_failed_items in [false, true] {
        let retry = world.retry(proof.job, only_failed_items, false);
        let refusal = Refusal::JobNotRetryable { job: proof.job, state: StateName::Completed };
        world.when(retry).then_refused(refusal);
    }
}

#[test]
fn an_active_job_cannot_be_retried() {
    let mut world = World::new();
    let running = world.running(a_job());
    let queued = world.submitted(a_job());
    let scheduled = world.submitted(NewJob { start: Start::After(Millis(1)), ..a_job() });
    let blocked = world.submitted(a_job_after(&[queued]));
    for job in [running.job, queued, scheduled, blocked] {
        let state = world.state_of(job);
        let retry = world.retry(job, false, false);
        world.when(retry).then_refused(Refusal::JobNotRetryable { job, state });
    }
}

#[test]
fn a_job_that_is_not_known_cannot_be_retried() {
    let mut world = World::new();
    let job = JobId::from(Uuid::from_u128(3));
    let retry = world.retry(job, false, false);
    world.when(retry).then_refused(Refusal::JobNotFound { job });
}

#[test]
fn a_completed_batch_is_retried_only_for_what_failed_or_was_skipped() {
    let mut world = World::new();
    let job = ended_batch(&mut world, complete);
    assert_eq!(states_of_items(&world, job), [ItemState::Completed, ItemState::Failed, ItemState::Skipped]);
    let plain = world.retry(job, false, false);
    let refusal = Refusal::JobNotRetryable { job, state: StateName::Completed };
    world.when(plain).then_refused(refusal);
    let retry = world.retry(job, true, false);
    world.when(retry).and_state(job, StateName::Queued);
    assert_eq!(states_of_items(&world, job), [ItemState::Completed, ItemState::Pending, ItemState::Pending]);
}

#[test]
fn a_failed_batch_may_be_retried_for_its_failed_items_too() {
    let mut world = World::new();
    let job = ended_batch(&mut world, |proof| fail(proof, false));
    let retry = world.retry(job, true, false);
    world.when(retry).and_state(job, StateName::Queued);
    assert_eq!(states_of_items(&world, job), [ItemState::Completed, ItemState::Pending, ItemState::Pending]);
}

#[test]
fn a_plain_retry_leaves_the_items_as_they_are() {
    let mut world = World::new();
    let job = ended_batch(&mut world, |proof| fail(proof, false));
    let retry = world.retry(job, false, false);
    world.given(retry);
    assert_eq!(states_of_items(&world, job), [ItemState::Completed, ItemState::Failed, ItemState::Pending]);
}

#[test]
fn a_batch_in_which_nothing_failed_has_nothing_to_do_again() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a"]));
    world.given(Command::ReportItems { proof, reports: vec![report("a", ItemState::Completed)] });
    world.given(complete(proof));
    let retry = world.retry(proof.job, true, false);
    let refusal = Refusal::JobNotRetryable { job: proof.job, state: StateName::Completed };
    world.when(retry).then_refused(refusal);
}

#[test]
fn items_can_be_redone_again_after_a_restart() {
    let mut world = World::new();
    let job = ended_batch(&mut world, complete);
    world.reread();
    let retry = world.retry(job, true, false);
    world.when(retry).and_state(job, StateName::Queued);
}

#[test]
fn a_retry_is_refused_while_another_job_holds_the_unique_key() {
    let mut world = World::new();
    let job = failed(&mut world, keyed("one"));
    let holder = world.submitted(keyed("one"));
    let retry = world.retry(job, false, false);
    world.when(retry).then_refused(Refusal::UniqueConflict { holder, entry: 0 });
    world.given(cancel(holder));
    let retry = world.retry(job, false, false);
    world.when(retry).and_state(job, StateName::Queued);
    world.when(submit(keyed("one"))).then_refused(Refusal::UniqueConflict { holder: job, entry: 0 });
}

#[test]
fn the_token_of_the_life_before_proves_nothing_any_more() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(fail(proof, false));
    let retry = world.retry(proof.job, false, false);
    world.given(retry);
    world.when(fail(proof, false)).then_refused_as_late(proof.job, LateCall::Fail);
}

#[test]
fn without_dependents_only_the_job_itself_is_revived() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let waiting = world.submitted(a_job_after(&[proof.job]));
    world.given(fail(proof, false));
    let retry = world.retry(proof.job, false, false);
    world.when(retry).then_types(&["job.retried"]).and_state(waiting, StateName::Cancelled);
}

#[test]
fn dependents_that_were_cancelled_because_of_it_are_revived_and_blocked() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let waiting = world.submitted(a_job_after(&[proof.job]));
    let far = world.submitted(a_job_after(&[waiting]));
    world.given(fail(proof, false));
    assert_eq!(world.state_of(far), StateName::Cancelled);
    let retry = world.retry(proof.job, false, true);
    let events = world.when(retry).then_types(&["job.retried"; 3]).events;
    assert_eq!(ids_of(&events), [proof.job, waiting, far]);
    assert_eq!([world.state_of(waiting), world.state_of(far)], [StateName::Blocked, StateName::Blocked]);
    let rerun = world.run(proof.job);
    world.given(complete(rerun));
    assert_eq!([world.state_of(waiting), world.state_of(far)], [StateName::Queued, StateName::Blocked]);
}

#[test]
fn a_diamond_of_dependents_is_revived_once_each() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let left = world.submitted(a_job_after(&[proof.job]));
    let right = world.submitted(a_job_after(&[proof.job]));
    let bottom = world.submitted(a_job_after(&[left, right]));
    world.given(fail(proof, false));
    let retry = world.retry(proof.job, false, true);
    let events = world.when(retry).events;
    assert_eq!(ids_of(&events), [proof.job, left, right, bottom]);
    world.when(Command::Settle).then_nothing();
}

#[test]
fn dependents_that_were_cancelled_for_another_reason_stay_as_they_are() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let by_hand = world.submitted(a_job_after(&[proof.job]));
    world.given(cancel(by_hand));
    world.given(fail(proof, false));
    let retry = world.retry(proof.job, false, true);
    world.when(retry).and_state(by_hand, StateName::Cancelled);
}

#[test]
fn a_dependent_that_also_waits_for_something_that_failed_is_cancelled_again() {
    let mut world = World::new();
    let (one, two) = (world.running(a_job()), world.running(a_job()));
    let both = world.submitted(a_job_after(&[one.job, two.job]));
    world.given(fail(one, false));
    world.given(fail(two, false));
    let retry = world.retry(one.job, false, true);
    world.given(retry);
    assert_eq!(world.state_of(both), StateName::Cancelled);
    let retry = world.retry(two.job, false, true);
    world.given(retry);
    assert_eq!(world.state_of(both), StateName::Blocked, "now everything that it waits for is active again");
}

#[test]
fn a_job_whose_dependency_failed_is_retried_after_that_was_and_not_before() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let waiting = world.submitted(a_job_after(&[proof.job]));
    world.given(fail(proof, false));
    let retry = world.retry(waiting, false, false);
    let refusal = Refusal::DependencyNotRetried { job: waiting, dependency: proof.job };
    assert_eq!(refusal.code(), "job_not_retryable");
    world.when(retry).then_refused(refusal);
    let retry = world.retry(proof.job, false, false);
    world.given(retry);
    let retry = world.retry(waiting, false, false);
    world.when(retry).and_state(waiting, StateName::Blocked);
}

#[test]
fn a_dependent_whose_key_was_taken_meanwhile_stays_cancelled() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let keyed_dependent = || NewJob { unique_key: Some("one".into()), ..a_job_after(&[proof.job]) };
    let first = world.submitted(keyed_dependent());
    world.given(fail(proof, false));
    let second = world.submitted(keyed_dependent());
    assert_eq!([world.state_of(first), world.state_of(second)], [StateName::Cancelled; 2]);
    let retry = world.retry(proof.job, false, true);
    let events = world.when(retry).events;
    assert_eq!(ids_of(&events), [proof.job, first], "the first of two with the same key");
    assert_eq!([world.state_of(first), world.state_of(second)], [StateName::Blocked, StateName::Cancelled]);
}

#[test]
fn a_job_that_was_cancelled_while_it_waited_for_others_waits_for_them_again() {
    let mut world = World::new();
    let open = world.submitted(a_job());
    let job = world.submitted(a_job_after(&[open]));
    world.given(cancel(job));
    let retry = world.retry(job, false, false);
    let events = world.when(retry).events;
    let [Event::JobRetried(data)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(data.state, FirstState::Blocked { scheduled_at: None });
}

#[test]
fn a_retried_job_whose_dependencies_are_completed_is_queued() {
    let mut world = World::new();
    let first = world.running(a_job());
    let job = world.submitted(a_job_after(&[first.job]));
    world.given(complete(first));
    world.given(cancel(job));
    let retry = world.retry(job, false, false);
    world.when(retry).and_state(job, StateName::Queued);
}

#[test]
fn a_job_blocked_by_a_retried_batch_waits_until_it_is_completed_again() {
    let mut world = World::new();
    let batch = ended_batch(&mut world, complete);
    let other = world.running(a_job());
    let job = world.submitted(a_job_after(&[batch, other.job]));
    let retry = world.retry(batch, true, false);
    world.given(retry);
    world.when(complete(other)).and_settled([]).and_state(job, StateName::Blocked);
    let rerun = world.run(batch);
    world.given(complete(rerun));
    assert_eq!(world.state_of(job), StateName::Queued);
}

#[test]
fn a_job_whose_fate_was_not_settled_yet_goes_on_waiting_when_the_failed_one_is_retried() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let job = world.submitted(a_job_after(&[proof.job]));
    world.when(fail(proof, false)).and_state(job, StateName::Blocked);
    let retry = world.retry(proof.job, false, false);
    world.take(retry).and_settled([]).and_state(job, StateName::Blocked);
}

#[test]
fn one_retry_revives_a_bounded_number_of_dependents() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.submitted_all(vec![a_job_after(&[proof.job]); REVIVED_MAX + 7]);
    world.given(fail(proof, false));
    world.given(Command::Tick);
    assert_eq!(to_revive(&world.state, proof.job, true).len(), REVIVED_MAX + 1);
}

#[test]
fn a_dependent_waits_for_the_batch_that_is_retried_with_it_though_that_was_completed() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a"]));
    let waiting = world.submitted(a_job_after(&[proof.job]));
    world.given(fail(proof, false));
    let retry = world.retry(proof.job, false, false);
    world.given(retry);
    let rerun = world.run(proof.job);
    world.given(complete(rerun));
    assert_eq!(world.state_of(waiting), StateName::Cancelled);
    let retry = world.retry(proof.job, true, true);
    world.when(retry).and_state(proof.job, StateName::Queued).and_state(waiting, StateName::Blocked);
}
