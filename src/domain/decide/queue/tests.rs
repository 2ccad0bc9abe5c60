//! Pausing and draining queues, and changing jobs that wait, rule by rule.

use uuid::Uuid;

use crate::domain::command::{Amend, Answer, Command, NewJob, Start};
use crate::domain::event::{Actor, JobAmended, JobQueued, QueueDraining, QueuePaused, QueueResumed, QueuedCause};
use crate::domain::id::JobId;
use crate::domain::job::StateName;
use crate::domain::queue::{Pause, Queue};
use crate::domain::refusal::Refusal;
use crate::domain::testing::*;
use crate::domain::time::{Millis, Timestamp};

fn nothing(job: JobId) -> Amend {
    Amend { job, priority: None, queue: None, scheduled_at: None, tags: None }
}

fn moved(job: JobId, at: Timestamp) -> Command {
    Command::Amend(Amend { scheduled_at: Some(at), ..nothing(job) })
}

fn amended(job: JobId, at: Timestamp) -> JobAmended {
    JobAmended { job, priority: None, queue: None, scheduled_at: Some(at), tags: None }
}

fn in_an_hour(world: &World) -> Timestamp {
    world.now.plus(Millis::from_secs(3600))
}

fn scheduled(world: &mut World) -> JobId {
    world.submitted(NewJob { start: Start::After(Millis(1000)), ..a_job() })
}

#[test]
fn a_pause_says_when_and_by_whom() {
    let mut world = World::new();
    let name = queue("default");
    let paused = QueuePaused { queue: name.clone() }.into();
    world.when(Command::PauseQueue { queue: name.clone() }).then([paused]);
    let paused = Queue { pause: Some(Pause { at: world.now, by: Actor::CLIENT }), ..Queue::default() };
    assert_eq!(world.state.queues().collect::<Vec<_>>(), [(&name, &paused)]);
}

#[test]
fn pausing_a_paused_queue_changes_nothing() {
    let mut world = World::new();
    world.given(Command::PauseQueue { queue: queue("default") });
    world.when(Command::PauseQueue { queue: queue("default") }).then_nothing();
}

#[test]
fn resuming_a_queue_that_is_not_paused_changes_nothing() {
    let mut world = World::new();
    world.when(Command::ResumeQueue { queue: queue("default") }).then_nothing();
    world.given(Command::PauseQueue { queue: queue("default") });
    let resumed = QueueResumed { queue: queue("default") }.into();
    world.when(Command::ResumeQueue { queue: queue("default") }).then([resumed]);
    world.when(Command::ResumeQueue { queue: queue("default") }).then_nothing();
}

#[test]
fn a_paused_queue_takes_jobs() {
    let mut world = World::new();
    world.given(Command::PauseQueue { queue: queue("default") });
    world.when(submit(a_job())).then_types(&["job.submitted"]);
    assert!(world.state.is_paused(&queue("default")));
}

#[test]
fn a_drain_says_when_and_by_whom_and_draining_again_changes_nothing() {
    let mut world = World::new();
    let name = queue("default");
    let draining = QueueDraining { queue: name.clone() }.into();
    world.when(Command::DrainQueue { queue: name.clone() }).then([draining]);
    let drained = Queue { drain: Some(Pause { at: world.now, by: Actor::CLIENT }), ..Queue::default() };
    assert_eq!(world.state.queues().collect::<Vec<_>>(), [(&name, &drained)]);
    world.when(Command::DrainQueue { queue: name }).then_nothing();
}

#[test]
fn a_draining_queue_takes_no_submits_and_no_moves_into_it() {
    let mut world = World::new();
    let outside = world.submitted(NewJob { queue: queue("side"), ..a_job() });
    world.given(Command::DrainQueue { queue: queue("default") });
    let refusal = |entry| Refusal::QueueDraining { queue: queue("default"), entry: Some(entry) };
    world.when(submit(a_job())).then_refused(refusal(0));
    let bulk = submit_all([NewJob { queue: queue("side"), ..a_job() }, a_job()]);
    world.when(bulk).then_refused(refusal(1));
    let child = NewJob { parent_id: Some(outside), ..a_job() };
    world.when(submit(child)).then_refused(refusal(0));
    let amend = Amend { queue: Some(queue("default")), ..nothing(outside) };
    world.when(Command::Amend(amend)).then_refused(refusal(0));
}

#[test]
fn what_is_in_a_draining_queue_is_worked_off_with_its_retries() {
    let mut world = World::new();
    let jobs = world.submitted_all([a_job(), NewJob { start: Start::After(Millis(500)), ..a_job() }]);
    world.given(Command::DrainQueue { queue: queue("default") });
    let session = world.joined();
    let first = world.dealt(session, 1)[0];
    world.given(fail(first, true));
    world.passed(Millis::from_secs(60));
    world.given(Command::Tick);
    let rest = world.dealt(session, 5);
    assert_eq!(rest.iter().map(|proof| proof.job).collect::<Vec<_>>(), jobs);
    let same = Amend { queue: Some(queue("default")), priority: Some(3), ..nothing(jobs[0]) };
    world.given(release(rest[0]));
    world.when(Command::Amend(same)).then_types(&["job.amended"]);
}

#[test]
fn children_of_what_runs_are_taken_by_a_draining_queue() {
    let mut world = World::new();
    let parent = world.running(a_job());
    world.given(Command::DrainQueue { queue: queue("default") });
    world.when(submit_children(parent, [a_job()])).then_types(&["job.submitted"]);
}

#[test]
fn a_submit_that_came_before_the_drain_is_answered_again() {
    let mut world = World::new();
    world.given(submit_once("key", 1, [a_job()]));
    world.given(Command::DrainQueue { queue: queue("default") });
    world.when(submit_once("key", 1, [a_job()])).then_nothing();
}

#[test]
fn a_retry_by_hand_into_a_draining_queue_is_refused_and_dependents_there_stay_as_they_are() {
    let mut world = World::new();
    let first = world.running(NewJob { queue: queue("side"), ..a_job() });
    let dependent = world.submitted(a_job_after(&[first.job]));
    let failed = world.running(a_job());
    world.given(fail(failed, false));
    world.given(fail(first, false));
    assert_eq!(world.state_of(dependent), StateName::Cancelled);
    world.given(Command::DrainQueue { queue: queue("default") });
    let refusal = Refusal::QueueDraining { queue: queue("default"), entry: None };
    let retry = world.retry(failed.job, false, false);
    world.when(retry).then_refused(refusal);
    let retry = world.retry(first.job, false, true);
    world.when(retry).then_types(&["job.retried"]).and_state(dependent, StateName::Cancelled);
}

#[test]
fn resuming_ends_a_pause_and_a_drain_and_keeps_what_was_spent() {
    let mut world = World::new();
    let name = queue("default");
    world.limits.rates.insert(name.clone(), "1/s".parse().expect("a rate"));
    world.running(a_job());
    let spent = world.state.spent(&name);
    assert!(spent.is_some());
    world.given(Command::PauseQueue { queue: name.clone() });
    world.given(Command::DrainQueue { queue: name.clone() });
    assert!(world.state.is_paused(&name) && world.state.is_draining(&name), "a drain does not end a pause");
    let resumed = QueueResumed { queue: name.clone() }.into();
    world.when(Command::ResumeQueue { queue: name.clone() }).then([resumed]);
    assert!(!world.state.is_paused(&name) && !world.state.is_draining(&name));
    assert_eq!(world.state.spent(&name), spent);
}

#[test]
fn of_a_queue_nothing_is_kept_but_what_was_done_to_it() {
    let mut world = World::new();
    let name = queue("side");
    let job = world.submitted(a_job());
    world.given(Command::Amend(Amend { queue: Some(name.clone()), ..nothing(job) }));
    assert_eq!(world.state.queues().count(), 0, "clients may make up names for ever");
    world.given(Command::PauseQueue { queue: name.clone() });
    assert_eq!(world.state.queues().map(|(name, _)| name).collect::<Vec<_>>(), [&name]);
    world.given(Command::ResumeQueue { queue: name });
    assert_eq!(world.state.queues().count(), 0);
}

#[test]
fn a_job_that_is_not_known_cannot_be_amended() {
    let job = JobId::from(Uuid::from_u128(3));
    World::new().when(Command::Amend(nothing(job))).then_refused(Refusal::JobNotFound { job });
}

#[test]
fn a_running_job_cannot_be_amended() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let amend = Command::Amend(Amend { priority: Some(1), ..nothing(proof.job) });
    world.when(amend).then_refused(Refusal::JobIsRunning { job: proof.job });
}

#[test]
fn a_job_that_has_ended_cannot_be_amended() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    world.given(cancel(job));
    let refusal = Refusal::JobIsTerminal { job, state: StateName::Cancelled };
    world.when(Command::Amend(Amend { priority: Some(1), ..nothing(job) })).then_refused(refusal);
}

#[test]
fn every_job_that_waits_can_be_amended() {
    let mut world = World::new();
    let queued = world.submitted(a_job());
    let scheduled = scheduled(&mut world);
    let blocked = world.submitted(a_job_after(&[queued]));
    let retryable = world.running(NewJob { priority: 50, ..a_job() });
    world.given(fail(retryable, true));
    for job in [queued, scheduled, blocked, retryable.job] {
        let state = world.state_of(job);
        let change =
            Amend { priority: Some(7), queue: Some(queue("side")), tags: Some(vec!["night".into()]), ..nothing(job) };
        let amended = JobAmended {
            job,
            priority: Some(7),
            queue: Some(queue("side")),
            scheduled_at: None,
            tags: Some(vec!["night".into()]),
        };
        let then = world.when(Command::Amend(change)).then([amended.into()]).and_answered(Answer::Job(job));
        then.and_state(job, state).and_job(job, |job| {
            assert_eq!((job.priority, &job.queue, job.tags()), (7, &queue("side"), &["night".into()][..]));
        });
    }
}

#[test]
fn what_is_so_already_makes_no_event() {
    let mut world = World::new();
    let job = world.submitted(NewJob { priority: 4, tags: vec!["night".into()], ..a_job() });
    let same = Amend {
        job,
        priority: Some(4),
        queue: Some(queue("default")),
        scheduled_at: Some(world.now),
        tags: Some(vec!["night".into()]),
    };
    world.when(Command::Amend(same)).then_nothing().and_answered(Answer::Job(job));
    world.when(Command::Amend(nothing(job))).then_nothing();
}

#[test]
fn only_what_differs_is_in_the_event() {
    let mut world = World::new();
    let job = world.submitted(NewJob { priority: 4, ..a_job() });
    let change = Amend { priority: Some(4), tags: Some(vec!["new".into()]), ..nothing(job) };
    let tags = Some(vec!["new".into()]);
    let amended = JobAmended { job, priority: None, queue: None, scheduled_at: None, tags }.into();
    world.when(Command::Amend(change)).then([amended]);
}

#[test]
fn tags_can_be_taken_away() {
    let mut world = World::new();
    let job = world.submitted(NewJob { tags: vec!["night".into()], ..a_job() });
    world.when(Command::Amend(Amend { tags: Some(vec![]), ..nothing(job) })).and_job(job, |job| {
        assert_eq!(job.tags, None);
    });
}

#[test]
fn a_new_priority_moves_a_queued_job_in_its_line() {
    let mut world = World::new();
    let jobs = world.submitted_all([a_job(), a_job(), a_job()]);
    world.given(Command::Amend(Amend { priority: Some(5), ..nothing(jobs[2]) }));
    world.given(Command::Amend(Amend { priority: Some(-5), ..nothing(jobs[0]) }));
    let session = world.joined();
    let dealt: Vec<JobId> = world.dealt(session, 3).iter().map(|proof| proof.job).collect();
    assert_eq!(dealt, [jobs[2], jobs[1], jobs[0]]);
}

#[test]
fn a_job_that_is_moved_to_another_queue_waits_there_only() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    world.given(Command::Amend(Amend { queue: Some(queue("side")), ..nothing(job) }));
    let (here, there) = (world.joined_for(&[], Some(&["default"])), world.joined_for(&[], Some(&["side"])));
    assert_eq!(world.dealt(here, 1), []);
    assert_eq!(world.dealt(there, 1).len(), 1);
}

#[test]
fn a_queued_job_that_is_moved_into_the_future_is_scheduled() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    let at = in_an_hour(&world);
    world.when(moved(job, at)).then([amended(job, at).into()]).and_state(job, StateName::Scheduled);
    assert_eq!(world.state.next_due(), Some(at));
    let session = world.joined();
    assert_eq!(world.dealt(session, 1), []);
}

#[test]
fn a_scheduled_job_gets_a_new_time() {
    let mut world = World::new();
    let job = scheduled(&mut world);
    let at = in_an_hour(&world);
    world.when(moved(job, at)).then([amended(job, at).into()]).and_state(job, StateName::Scheduled);
    assert_eq!(world.state.next_due(), Some(at));
}

#[test]
fn a_scheduled_job_that_is_moved_to_now_or_before_is_queued() {
    let mut world = World::new();
    for at in [world.now, Timestamp::from_ms(1)] {
        let job = scheduled(&mut world);
        let queued = JobQueued { job, cause: QueuedCause::Amended }.into();
        world.when(moved(job, at)).then([queued]).and_state(job, StateName::Queued);
    }
    assert_eq!(world.state.next_due(), None);
}

#[test]
fn a_queued_job_that_is_moved_into_the_past_stays_where_it_is() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    world.when(moved(job, Timestamp::from_ms(1))).then_nothing().and_state(job, StateName::Queued);
}

#[test]
fn a_retryable_job_may_wait_longer_or_go_at_once() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(fail(proof, true));
    let at = in_an_hour(&world);
    world.when(moved(proof.job, at)).and_state(proof.job, StateName::Retryable);
    assert_eq!(world.state.next_due(), Some(at));
    let queued = JobQueued { job: proof.job, cause: QueuedCause::Amended }.into();
    let now = world.now;
    world.when(moved(proof.job, now)).then([queued]).and_state(proof.job, StateName::Queued);
}

#[test]
fn a_blocked_job_keeps_its_new_time_until_it_is_unblocked() {
    let mut world = World::new();
    let first = world.running(a_job());
    let job = world.submitted(a_job_after(&[first.job]));
    let at = in_an_hour(&world);
    world.when(moved(job, at)).and_state(job, StateName::Blocked);
    world.given(complete(first));
    assert_eq!((world.state_of(job), world.job(job).scheduled_at()), (StateName::Scheduled, Some(at)));
}

#[test]
fn a_blocked_job_that_is_moved_to_now_waits_for_nothing_but_its_dependencies() {
    let mut world = World::new();
    let first = world.running(a_job());
    let later = Start::At(in_an_hour(&world));
    let job = world.submitted(NewJob { start: later, ..a_job_after(&[first.job]) });
    let now = world.now;
    world.when(moved(job, now)).then([amended(job, now).into()]).and_state(job, StateName::Blocked);
    world.given(complete(first));
    assert_eq!(world.state_of(job), StateName::Queued);
}

#[test]
fn a_blocked_job_without_a_time_is_not_changed_by_one_that_has_passed() {
    let mut world = World::new();
    let first = world.submitted(a_job());
    let job = world.submitted(a_job_after(&[first]));
    let now = world.now;
    world.when(moved(job, now)).then_nothing();
}

#[test]
fn a_job_that_ran_before_shows_no_start_while_it_is_scheduled() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(release(proof));
    let at = in_an_hour(&world);
    world.when(moved(proof.job, at)).and_job(proof.job, |job| assert_eq!(job.started_at(), None));
}

#[test]
fn amending_can_do_everything_at_once() {
    let mut world = World::new();
    let job = scheduled(&mut world);
    let change = Amend {
        job,
        priority: Some(1),
        queue: Some(queue("side")),
        scheduled_at: Some(world.now),
        tags: Some(vec!["t".into()]),
    };
    let then = world.when(Command::Amend(change)).then_types(&["job.amended", "job.queued"]);
    then.and_state(job, StateName::Queued).and_job(job, |job| assert_eq!(job.queue, queue("side")));
}
