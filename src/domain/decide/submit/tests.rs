//! Accepting jobs, rule by rule.

use uuid::Uuid;

use crate::domain::batch::ITEMS_MAX;
use crate::domain::command::{
    Answer, Command, DEPENDENCIES_MAX, Dependency, IdempotencyKey, LeaseProof, NewJob, Start, Submit,
};
use crate::domain::event::{
    Event, FirstState, JobCancelled, JobQueued, JobScheduled, JobSubmitted, LateCall, QueuedCause,
};
use crate::domain::id::{JobId, Ordinal, TokenHash};
use crate::domain::job::{Reason, StateName, UniqueKey, UniqueScope};
use crate::domain::json::Json;
use crate::domain::refusal::Refusal;
use crate::domain::retry::Policy;
use crate::domain::testing::*;
use crate::domain::time::{Millis, Timestamp};

fn keyed(key: &str) -> NewJob {
    NewJob { unique_key: Some(key.into()), ..a_job() }
}

fn after_entries(entries: &[usize]) -> NewJob {
    NewJob { depends_on: entries.iter().copied().map(Dependency::Entry).collect(), ..a_job() }
}

fn first_state(events: &[Event]) -> FirstState {
    match events {
        [Event::JobSubmitted(data)] => data.state,
        other => panic!("one submitted job, not {other:?}"),
    }
}

#[test]
fn a_submit_is_one_event_that_carries_the_whole_job() {
    let mut world = World::new();
    let job = NewJob {
        args: Json::from_checked(r#"{"width":40}"#),
        priority: -7,
        tags: vec!["night".into()],
        policy: Policy { max_attempts: 9, ..Policy::default() },
        items: items(&["a"]),
        ..a_job()
    };
    let then = world.when(submit(job.clone()));
    let [Event::JobSubmitted(data)] = &then.events[..] else { panic!("one event, not {:?}", then.events) };
    let expected = JobSubmitted {
        job: data.job,
        kind: job.kind,
        queue: job.queue,
        priority: -7,
        args: job.args,
        tags: job.tags,
        policy: job.policy,
        state: FirstState::Queued,
        relations: None,
        items: job.items,
    };
    let id = data.job;
    then.then([expected.into()]).and_answered(Answer::Submitted { jobs: vec![id], replayed: false });
}

#[test]
fn a_new_job_has_not_been_tried_and_knows_where_its_args_are() {
    let mut world = World::new();
    let id = world.submitted(a_job());
    let job = world.job(id);
    assert_eq!((job.attempt, job.failures, job.lost_count), (0, 0, 0));
    assert_eq!((job.submitted, job.seq), (world.state.seq(), world.state.seq()));
    assert_eq!((job.created_at, job.queued_at, job.started_at()), (world.now, Some(world.now), None));
    assert_eq!((job.root(), job.parent()), (id, None));
}

#[test]
fn ids_carry_the_number_of_the_job_and_sort_in_the_order_of_submission() {
    let mut world = World::new();
    let first = world.submitted(a_job());
    world.passed(Millis(1));
    let more = world.submitted_all([a_job(), a_job()]);
    assert_eq!([first, more[0], more[1]].map(JobId::ordinal), [Ordinal(1), Ordinal(2), Ordinal(3)]);
    assert!(first < more[0] && more[0] < more[1]);
}

#[test]
fn a_job_without_a_time_is_queued_at_once() {
    let mut world = World::new();
    assert_eq!(first_state(&world.when(submit(a_job())).events), FirstState::Queued);
}

#[test]
fn a_job_whose_time_lies_ahead_is_scheduled() {
    let mut world = World::new();
    let scheduled_at = world.now.plus(Millis(1));
    let at = NewJob { start: Start::At(scheduled_at), ..a_job() };
    assert_eq!(first_state(&world.when(submit(at)).events), FirstState::Scheduled { scheduled_at });
}

#[test]
fn a_delay_is_counted_from_the_moment_of_submission() {
    let mut world = World::new();
    let scheduled_at = world.now.plus(Millis(2500));
    let later = NewJob { start: Start::After(Millis(2500)), ..a_job() };
    assert_eq!(first_state(&world.when(submit(later)).events), FirstState::Scheduled { scheduled_at });
}

#[test]
fn a_time_that_has_passed_and_a_delay_of_zero_mean_at_once() {
    let mut world = World::new();
    for start in [Start::At(world.now), Start::At(Timestamp::from_ms(1)), Start::After(Millis(0))] {
        assert_eq!(first_state(&world.when(submit(NewJob { start, ..a_job() })).events), FirstState::Queued);
    }
}

#[test]
fn a_dependency_that_is_not_known_is_refused_at_its_place() {
    let mut world = World::new();
    let known = world.submitted(a_job());
    let unknown = JobId::from(Uuid::from_u128(77));
    let refusal = Refusal::UnknownDependency { job: unknown, entry: 1, dependency: 1 };
    world.when(submit_all([a_job(), a_job_after(&[known, unknown])])).then_refused(refusal);
}

#[test]
fn an_id_that_only_looks_like_a_known_one_is_unknown() {
    let mut world = World::new();
    let known = world.submitted(a_job());
    let lookalike = JobId::new(Timestamp::from_ms(5), known.ordinal(), 5);
    let refusal = Refusal::UnknownDependency { job: lookalike, entry: 0, dependency: 0 };
    world.when(submit(a_job_after(&[lookalike]))).then_refused(refusal);
}

#[test]
fn a_parent_that_is_not_known_is_refused() {
    let mut world = World::new();
    let unknown = JobId::from(Uuid::from_u128(77));
    let child = NewJob { parent_id: Some(unknown), ..a_job() };
    world.when(submit_all([a_job(), child])).then_refused(Refusal::UnknownParent { job: unknown, entry: 1 });
}

#[test]
fn a_job_is_blocked_until_all_that_it_waits_for_is_completed() {
    let mut world = World::new();
    let (first, second) = (world.running(a_job()), world.running(a_job()));
    let job = world.submitted(a_job_after(&[first.job, second.job]));
    assert_eq!(world.state_of(job), StateName::Blocked);
    world.when(complete(first)).and_settled([]).and_state(job, StateName::Blocked);
    let queued = JobQueued { job, cause: QueuedCause::DependenciesCompleted }.into();
    world.when(complete(second)).and_settled([queued]).and_state(job, StateName::Queued);
}

#[test]
fn a_job_whose_dependencies_are_completed_already_is_not_blocked() {
    let mut world = World::new();
    let done = world.running(a_job());
    world.given(complete(done));
    assert_eq!(first_state(&world.when(submit(a_job_after(&[done.job]))).events), FirstState::Queued);
    let scheduled_at = world.now.plus(Millis(10));
    let later = NewJob { start: Start::At(scheduled_at), ..a_job_after(&[done.job]) };
    assert_eq!(first_state(&world.when(submit(later)).events), FirstState::Scheduled { scheduled_at });
}

#[test]
fn a_blocked_job_keeps_its_time_and_waits_for_it_afterwards() {
    let mut world = World::new();
    let first = world.running(a_job());
    let at = world.now.plus(Millis(1000));
    let job = world.submitted(NewJob { start: Start::At(at), ..a_job_after(&[first.job]) });
    assert_eq!(world.job(job).scheduled_at(), Some(at));
    let scheduled = JobScheduled { job, scheduled_at: at }.into();
    world.when(complete(first)).and_settled([scheduled]).and_state(job, StateName::Scheduled);
}

#[test]
fn a_blocked_job_whose_time_came_meanwhile_is_queued() {
    let mut world = World::new();
    let first = world.running(a_job());
    let job = world.submitted(NewJob { start: Start::After(Millis(1000)), ..a_job_after(&[first.job]) });
    world.passed(Millis(1000));
    let queued = JobQueued { job, cause: QueuedCause::DependenciesCompleted }.into();
    world.when(complete(first)).and_settled([queued]);
}

#[test]
fn a_dependency_that_has_failed_already_cancels_the_job() {
    let mut world = World::new();
    let failed = world.running(a_job());
    world.given(fail(failed, false));
    let then = world.when(submit(a_job_after(&[failed.job]))).then_types(&["job.submitted"]);
    let Ok(Answer::Submitted { jobs, .. }) = &then.outcome else { panic!("{:?}", then.outcome) };
    let job = jobs[0];
    let reason = Reason::DependencyFailed;
    let cancelled = JobCancelled { job, reason, error: None, run_ended: None }.into();
    then.and_state(job, StateName::Blocked).and_settled([cancelled]).and_state(job, StateName::Cancelled);
}

#[test]
fn a_dependency_named_twice_counts_once() {
    let mut world = World::new();
    let first = world.submitted(a_job());
    let job = world.submitted(a_job_after(&[first, first]));
    assert_eq!(world.job(job).depends_on(), [first]);
}

#[test]
fn entries_may_wait_for_entries_before_and_after_them() {
    let mut world = World::new();
    let jobs = world.submitted_all([after_entries(&[2]), after_entries(&[0]), a_job()]);
    let states = jobs.iter().map(|&job| world.state_of(job)).collect::<Vec<_>>();
    assert_eq!(states, [StateName::Blocked, StateName::Blocked, StateName::Queued]);
    assert_eq!(world.job(jobs[0]).depends_on(), [jobs[2]]);
    let last = world.run(jobs[2]);
    world.given(complete(last));
    assert_eq!([world.state_of(jobs[0]), world.state_of(jobs[1])], [StateName::Queued, StateName::Blocked]);
}

#[test]
fn entries_that_wait_for_each_other_in_a_circle_are_refused() {
    let mut world = World::new();
    world.when(submit(after_entries(&[0]))).then_refused(Refusal::DependencyCycle { entry: 0, dependency: 0 });
    let three = [after_entries(&[1]), after_entries(&[2]), after_entries(&[0])];
    let outcome = world.when(submit_all(three)).outcome;
    assert!(matches!(outcome, Err(Refusal::DependencyCycle { dependency: 0, .. })), "{outcome:?}");
}

#[test]
fn a_circle_is_shown_at_an_entry_that_is_in_it() {
    let mut world = World::new();
    let known = world.submitted(a_job());
    let mut in_circle = after_entries(&[1]);
    in_circle.depends_on.insert(0, Dependency::Job(known));
    let jobs = [after_entries(&[2]), after_entries(&[2]), in_circle];
    let outcome = world.when(submit_all(jobs)).outcome;
    let (at_one, at_two) = (
        Err(Refusal::DependencyCycle { entry: 1, dependency: 0 }),
        Err(Refusal::DependencyCycle { entry: 2, dependency: 1 }),
    );
    assert!(outcome == at_one || outcome == at_two, "{outcome:?}");
}

#[test]
fn more_dependencies_than_a_job_may_have_are_refused() {
    let mut world = World::new();
    let first = world.submitted(a_job());
    let job = a_job_after(&vec![first; DEPENDENCIES_MAX + 1]);
    world.when(submit(job)).then_refused(Refusal::TooManyDependencies { entry: 0 });
}

#[test]
fn a_bulk_is_taken_as_a_whole_or_not_at_all() {
    let mut world = World::new();
    let unknown = JobId::from(Uuid::from_u128(77));
    world.when(submit_all([a_job(), a_job_after(&[unknown])])).outcome.expect_err("refused");
    assert_eq!(world.state.last_ordinal(), Ordinal(0));
    assert_eq!(world.submitted(a_job()).ordinal(), Ordinal(1));
}

#[test]
fn the_events_of_a_bulk_are_one_group() {
    let mut world = World::new();
    world.submitted_all([a_job(), a_job(), a_job()]);
    let last_three = &world.records[world.records.len() - 3..];
    assert_eq!(last_three.iter().map(|record| record.continues).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn a_child_knows_its_parent_and_the_top_of_its_tree() {
    let mut world = World::new();
    let top = world.submitted(a_job());
    let child = world.submitted(NewJob { parent_id: Some(top), ..a_job() });
    let grandchild = world.submitted(NewJob { parent_id: Some(child), ..a_job() });
    assert_eq!((world.job(child).parent(), world.job(child).root()), (Some(top), top));
    assert_eq!((world.job(grandchild).parent(), world.job(grandchild).root()), (Some(child), top));
}

#[test]
fn a_parent_does_not_wait_for_its_children() {
    let mut world = World::new();
    let parent = world.running(a_job());
    world.given(submit_children(parent, [a_job()]));
    world.when(complete(parent)).and_state(parent.job, StateName::Completed);
}

#[test]
fn an_ended_parent_may_still_get_children() {
    let mut world = World::new();
    let parent = world.running(a_job());
    world.given(complete(parent));
    let child = world.submitted(NewJob { parent_id: Some(parent.job), ..a_job() });
    assert_eq!(world.job(child).parent(), Some(parent.job));
}

#[test]
fn a_job_that_a_worker_submits_is_a_child_of_the_leased_one_whatever_it_names() {
    let mut world = World::new();
    let other = world.submitted(a_job());
    let parent = world.running(a_job());
    world.given(submit_children(parent, [NewJob { parent_id: Some(other), ..a_job() }]));
    let child = world.state.jobs().last().expect("the child");
    assert_eq!(child.parent(), Some(parent.job));
}

#[test]
fn a_worker_with_a_stale_token_submits_nothing() {
    let mut world = World::new();
    let parent = world.running(a_job());
    let stale = LeaseProof { job: parent.job, token: TokenHash([9; 16]) };
    world.when(submit_children(stale, [a_job()])).then_refused_as_late(parent.job, LateCall::Submit);
    world.given(complete(parent));
    world.when(submit_children(parent, [a_job()])).then_refused_as_late(parent.job, LateCall::Submit);
}

#[test]
fn a_unique_key_that_an_active_job_holds_is_refused_with_its_holder() {
    let mut world = World::new();
    let holder = world.submitted(keyed("one"));
    world.when(submit(keyed("one"))).then_refused(Refusal::UniqueConflict { holder, entry: 0 });
    world.when(submit_all([keyed("two"), keyed("one")])).then_refused(Refusal::UniqueConflict { holder, entry: 1 });
}

#[test]
fn a_unique_key_is_held_in_every_state_that_is_active() {
    let mut world = World::new();
    let first = world.submitted(a_job());
    let scheduled = world.submitted(NewJob { start: Start::After(Millis(9)), ..keyed("scheduled") });
    let blocked = world.submitted(NewJob { depends_on: vec![Dependency::Job(first)], ..keyed("blocked") });
    let running = world.running(keyed("running"));
    let retryable = world.running(keyed("retryable"));
    world.given(fail(retryable, true));
    let held = [("scheduled", scheduled), ("blocked", blocked), ("running", running.job), ("retryable", retryable.job)];
    for (key, holder) in held {
        world.when(submit(keyed(key))).then_refused(Refusal::UniqueConflict { holder, entry: 0 });
    }
}

#[test]
fn a_unique_key_is_unique_per_kind() {
    let mut world = World::new();
    world.submitted(keyed("one"));
    world.when(submit(NewJob { kind: kind("other"), ..keyed("one") })).then_types(&["job.submitted"]);
}

#[test]
fn a_unique_key_is_free_again_when_its_holder_has_ended() {
    let mut world = World::new();
    let completed = world.running(keyed("one"));
    world.given(complete(completed));
    let failed = world.running(keyed("one"));
    world.given(fail(failed, false));
    let cancelled = world.submitted(keyed("one"));
    world.given(cancel(cancelled));
    world.when(submit(keyed("one"))).then_types(&["job.submitted"]);
}

#[test]
fn a_unique_key_twice_in_a_bulk_is_refused_at_the_second() {
    let mut world = World::new();
    let outcome = world.when(submit_all([keyed("one"), a_job(), keyed("one")])).outcome;
    assert!(matches!(outcome, Err(Refusal::UniqueConflict { entry: 2, .. })), "{outcome:?}");
}

#[test]
fn a_child_with_a_key_is_submitted_once_by_all_runs_of_its_parent() {
    let mut world = World::new();
    let parent = world.running(a_job());
    world.given(submit_children(parent, [keyed("page")]));
    let child = world.state.jobs().last().expect("the child").id;
    let answer = Answer::Submitted { jobs: vec![child], replayed: true };
    world.when(submit_children(parent, [keyed("page")])).then_nothing().and_answered(answer.clone());
    world.given(release(parent));
    let rerun = world.run(parent.job);
    world.when(submit_children(rerun, [keyed("page")])).then_nothing().and_answered(answer.clone());
    let ended = world.run(child);
    world.given(complete(ended));
    world.when(submit_children(rerun, [keyed("page")])).then_nothing().and_answered(answer.clone());
    world.reread();
    world.when(submit_children(rerun, [keyed("page")])).then_nothing().and_answered(answer);
}

#[test]
fn the_keys_of_children_belong_to_their_parent_alone() {
    let mut world = World::new();
    world.submitted(keyed("page"));
    let (one, two) = (world.running(a_job()), world.running(a_job()));
    world.when(submit_children(one, [keyed("page")])).then_types(&["job.submitted"]);
    world.when(submit_children(two, [keyed("page")])).then_types(&["job.submitted"]);
    let child = world.state.jobs().last().expect("the child");
    assert_eq!(child.unique_key(), Some(&UniqueKey { key: "page".into(), scope: UniqueScope::Parent }));
}

#[test]
fn a_request_of_new_and_known_children_answers_with_all_in_order() {
    let mut world = World::new();
    let parent = world.running(a_job());
    world.given(submit_children(parent, [keyed("b")]));
    let known = world.state.last_ordinal();
    let then = world.when(submit_children(parent, [keyed("a"), keyed("b"), keyed("a"), a_job()]));
    let Ok(Answer::Submitted { jobs, replayed: false }) = then.outcome else { panic!("{:?}", then.outcome) };
    let ordinals: Vec<u64> = jobs.iter().map(|id| id.ordinal().0).collect();
    assert_eq!(ordinals, [known.0 + 1, known.0, known.0 + 1, known.0 + 2]);
}

#[test]
fn the_same_request_again_is_answered_with_the_same_jobs() {
    let mut world = World::new();
    let first = world.when(submit_once("k", 1, [a_job(), a_job()])).outcome.expect("accepted");
    let Answer::Submitted { jobs, replayed: false } = first else { panic!("{first:?}") };
    world.submitted(a_job());
    let again = Answer::Submitted { jobs: jobs.clone(), replayed: true };
    world.when(submit_once("k", 1, [a_job(), a_job()])).then_nothing().and_answered(again.clone());
    let running = world.run(jobs[0]);
    world.given(complete(running));
    world.when(submit_once("k", 1, [a_job(), a_job()])).then_nothing().and_answered(again.clone());
    world.reread();
    world.when(submit_once("k", 1, [a_job(), a_job()])).then_nothing().and_answered(again);
}

#[test]
fn an_idempotency_key_with_another_request_is_refused() {
    let mut world = World::new();
    world.given(submit_once("k", 1, [a_job()]));
    let job = world.state.jobs().last().expect("the job").id;
    world.when(submit_once("k", 2, [a_job()])).then_refused(Refusal::IdempotencyMismatch { job });
}

#[test]
fn a_refused_request_does_not_use_its_idempotency_key_up() {
    let mut world = World::new();
    world.when(submit_once("k", 1, [after_entries(&[0])])).outcome.expect_err("refused");
    world.when(submit_once("k", 2, [a_job()])).then_types(&["job.submitted"]);
}

#[test]
fn a_repeated_request_comes_before_its_own_unique_key() {
    let mut world = World::new();
    world.given(submit_once("k", 1, [keyed("one")]));
    world.when(submit_once("k", 1, [keyed("one")])).then_nothing();
}

#[test]
fn a_repeated_request_with_known_children_answers_with_all_in_order() {
    let mut world = World::new();
    let parent = world.running(a_job());
    world.given(submit_children(parent, [keyed("b")]));
    let request = || {
        let idempotency = Some(IdempotencyKey { key: "k".into(), request_hash: [1; 16] });
        let jobs = vec![keyed("a"), keyed("b"), a_job(), keyed("a"), keyed("c")];
        Command::Submit(Submit { jobs, idempotency, parent: Some(parent) })
    };
    let Answer::Submitted { jobs, .. } = world.given(request()) else { unreachable!("a submission answers with jobs") };
    world.when(request()).then_nothing().and_answered(Answer::Submitted { jobs, replayed: true });
}

#[test]
fn a_batch_keeps_its_items_in_order_and_all_are_pending() {
    let mut world = World::new();
    let id = world.submitted(a_batch(&["b", "a"]));
    let job = world.job(id);
    let items = job.items().expect("a batch has items");
    assert_eq!(items.list().iter().map(|item| &*item.key).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!((items.counts().total, items.counts().pending), (2, 2));
    assert_eq!(items.get("a").map(|item| item.added), Some(job.submitted));
}

#[test]
fn two_items_with_the_same_key_are_refused() {
    let mut world = World::new();
    let refusal = Refusal::DuplicateItem { entry: 1, item: 2, key: "a".into() };
    world.when(submit_all([a_job(), a_batch(&["a", "b", "a"])])).then_refused(refusal);
}

#[test]
fn a_batch_has_at_most_a_hundred_thousand_items() {
    let mut world = World::new();
    let keys: Vec<String> = (0..=ITEMS_MAX).map(|number| number.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    world.when(submit(a_batch(&keys))).then_refused(Refusal::TooManyItems { entry: 0 });
    world.when(submit(a_batch(&keys[1..]))).then_types(&["job.submitted"]);
}

#[test]
fn entries_with_the_same_key_are_one_child_and_do_not_wait_for_each_other() {
    let mut world = World::new();
    let parent = world.running(a_job());
    let waiting = NewJob { unique_key: Some("page".into()), ..after_entries(&[1]) };
    let refusal = Refusal::DependencyCycle { entry: 0, dependency: 0 };
    world.when(submit_children(parent, [waiting.clone(), keyed("page")])).then_refused(refusal);
    world.given(submit_children(parent, [keyed("page")]));
    world.when(submit_children(parent, [waiting, keyed("page")])).then_nothing();
}
