//! Pausing queues and changing jobs that wait, rule by rule.

use uuid::Uuid;

use crate::domain::command::{Amend, Answer, Command, NewJob, Start};
use crate::domain::event::{Actor, JobAmended, JobQueued, QueuePaused, QueueResumed, QueuedCause};
use crate::domain::id::JobId;
use crate::domain::job::StateName;
use crate::domain::queue::Pause;
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
    let pause = Pause { at: world.now, by: Actor::CLIENT };
    assert_eq!(world.state.queues().collect::<Vec<_>>(), [(&name, &Some(pause))]);
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
fn a_queue_is_known_once_a_job_has_named_it() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    world.given(Command::Amend(Amend { queue: Some(queue("side")), ..nothing(job) }));
    assert_eq!(world.state.queues().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["default", "side"]);
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
