//! Granting leases, rule by rule.

use uuid::Uuid;

use crate::domain::command::{Answer, Claim, Command, Grant, NewJob};
use crate::domain::decide::deal::next_start_at;
use crate::domain::event::{JobStarted, QueueRateSpent};
use crate::domain::id::{JobId, SessionId, TokenHash};
use crate::domain::job::{StateName, WorkerPlace};
use crate::domain::retry::Policy;
use crate::domain::testing::*;
use crate::domain::time::Millis;

fn of_priority(priority: i8) -> NewJob {
    NewJob { priority, ..a_job() }
}

fn of_kind(name: &str) -> NewJob {
    NewJob { kind: kind(name), ..a_job() }
}

fn in_queue(name: &str) -> NewJob {
    NewJob { queue: queue(name), ..a_job() }
}

/// Deals to several sessions at once and gives the jobs that each was granted.
fn deal(world: &mut World, claims: &[(SessionId, usize)]) -> Vec<Vec<JobId>> {
    let claims =
        claims.iter().map(|&(session, most)| Claim { session, tokens: (0..most).map(|_| world.token()).collect() });
    let claims = claims.collect();
    match world.given(Command::Deal { claims }) {
        Answer::Granted(grants) => grants.iter().map(|grants| grants.iter().map(|grant| grant.job).collect()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_names_the_worker_its_token_and_when_the_time_is_up() {
    let mut world = World::new();
    let policy = Policy { timeout: Some(Millis(700)), ..Policy::default() };
    let job = world.submitted(NewJob { policy, ..a_job() });
    let session = world.joined();
    let token = TokenHash([3; 16]);
    let timeout_at = Some(world.now.plus(Millis(700)));
    let (worker, place) = ("worker".into(), WorkerPlace::Remote);
    let started = JobStarted { job, attempt: 1, session, worker, token, place, timeout_at }.into();
    let claims = vec![Claim { session, tokens: vec![token, TokenHash([4; 16])] }];
    let granted = Answer::Granted(vec![vec![Grant { job, attempt: 1 }]]);
    world.when(Command::Deal { claims }).then([started]).and_answered(granted).and_job(job, |job| {
        assert_eq!(job.state_name(), StateName::Running);
        assert_eq!((job.attempt, job.started_at()), (1, Some(job.updated_at)));
        assert_eq!(job.run().map(|run| run.lease.token), Some(token));
    });
}

#[test]
fn without_a_timeout_nothing_ends_a_run_but_its_worker() {
    let mut world = World::new();
    world.running(a_job());
    assert_eq!(world.state.next_due(), None);
}

#[test]
fn equal_priorities_go_in_the_order_of_submission() {
    let mut world = World::new();
    let jobs = world.submitted_all([a_job(), a_job(), a_job()]);
    let session = world.joined();
    assert_eq!(deal(&mut world, &[(session, 3)]), [jobs]);
}

#[test]
fn a_higher_priority_goes_first_over_kinds_and_queues() {
    let mut world = World::new();
    let jobs = world.submitted_all([
        of_priority(0),
        of_priority(-100),
        NewJob { priority: 100, ..of_kind("other") },
        NewJob { priority: 7, ..in_queue("other") },
    ]);
    let session = world.joined();
    assert_eq!(deal(&mut world, &[(session, 9)]), [[jobs[2], jobs[3], jobs[0], jobs[1]]]);
}

#[test]
fn a_job_that_comes_back_has_its_old_place() {
    let mut world = World::new();
    let jobs = world.submitted_all([a_job(), a_job()]);
    let session = world.joined();
    let first = world.dealt(session, 1)[0];
    world.given(release(first));
    assert_eq!(deal(&mut world, &[(session, 2)]), [jobs]);
}

#[test]
fn jobs_go_in_turn_to_the_sessions_that_wait() {
    let mut world = World::new();
    let jobs = world.submitted_all([a_job(), a_job(), a_job(), a_job(), a_job()]);
    let (one, two) = (world.joined(), world.joined());
    assert_eq!(deal(&mut world, &[(one, 2), (two, 9)]), [vec![jobs[0], jobs[2]], vec![jobs[1], jobs[3], jobs[4]]]);
}

#[test]
fn a_session_gets_no_more_jobs_than_it_has_slots() {
    let mut world = World::new();
    let jobs = world.submitted_all([a_job(), a_job(), a_job()]);
    let session = world.joined();
    assert_eq!(deal(&mut world, &[(session, 2)]), [&jobs[..2]]);
    assert_eq!(world.state_of(jobs[2]), StateName::Queued);
    assert_eq!(deal(&mut world, &[(session, 0)]), [[]]);
}

#[test]
fn a_session_gets_only_the_kinds_that_it_takes() {
    let mut world = World::new();
    let jobs = world.submitted_all([of_kind("a"), of_kind("b"), of_kind("c")]);
    let session = world.joined_for(&["c", "b"], None);
    assert_eq!(deal(&mut world, &[(session, 9)]), [&jobs[1..]]);
}

#[test]
fn a_session_gets_only_jobs_from_its_queues() {
    let mut world = World::new();
    let jobs = world.submitted_all([in_queue("a"), in_queue("b")]);
    let of_b = world.joined_for(&[], Some(&["b"]));
    let of_none = world.joined_for(&[], Some(&[]));
    assert_eq!(deal(&mut world, &[(of_none, 9), (of_b, 9)]), [vec![], vec![jobs[1]]]);
}

#[test]
fn a_session_that_takes_nothing_of_what_waits_does_not_keep_others_waiting() {
    let mut world = World::new();
    let job = world.submitted(of_kind("a"));
    let (other, fitting) = (world.joined_for(&["b"], None), world.joined_for(&["a"], None));
    assert_eq!(deal(&mut world, &[(other, 1), (fitting, 1)]), [vec![], vec![job]]);
}

#[test]
fn a_paused_queue_hands_out_nothing_until_it_is_resumed() {
    let mut world = World::new();
    let jobs = world.submitted_all([in_queue("paused"), in_queue("open")]);
    let session = world.joined();
    world.given(Command::PauseQueue { queue: queue("paused") });
    assert_eq!(deal(&mut world, &[(session, 9)]), [[jobs[1]]]);
    world.given(Command::ResumeQueue { queue: queue("paused") });
    assert_eq!(deal(&mut world, &[(session, 9)]), [[jobs[0]]]);
}

#[test]
fn jobs_that_run_go_on_when_their_queue_is_paused() {
    let mut world = World::new();
    let proof = world.running(in_queue("paused"));
    world.given(Command::PauseQueue { queue: queue("paused") });
    world.when(complete(proof)).and_state(proof.job, StateName::Completed);
}

#[test]
fn the_limit_of_a_kind_counts_over_all_workers_and_within_one_deal() {
    let mut world = World::new();
    world.limits.kinds.insert(kind("resize"), 2);
    world.submitted_all([a_job(), a_job(), a_job(), of_kind("free")]);
    let (one, two) = (world.joined(), world.joined());
    let granted = deal(&mut world, &[(one, 3), (two, 3)]);
    assert_eq!(granted.concat().len(), 3, "two of the kind with a limit, one of the other");
    assert_eq!(world.state.indexes().running_of_kind(&kind("resize")), 2);
    assert_eq!(deal(&mut world, &[(one, 3), (two, 3)]).concat(), []);
}

#[test]
fn room_under_a_limit_is_free_again_when_a_run_has_ended() {
    let mut world = World::new();
    world.limits.kinds.insert(kind("resize"), 1);
    let jobs = world.submitted_all([a_job(), a_job()]);
    let session = world.joined();
    let first = world.dealt(session, 2);
    assert_eq!(first.len(), 1);
    world.given(complete(first[0]));
    assert_eq!(deal(&mut world, &[(session, 2)]), [[jobs[1]]]);
}

#[test]
fn the_limit_of_a_queue_counts_over_its_kinds_and_within_one_deal() {
    let mut world = World::new();
    world.limits.queues.insert(queue("default"), 2);
    world.submitted_all([of_kind("a"), of_kind("b"), of_kind("c")]);
    let elsewhere = world.submitted(in_queue("other"));
    let session = world.joined();
    let granted = deal(&mut world, &[(session, 9)]);
    assert_eq!(granted[0].len(), 3);
    assert!(granted[0].contains(&elsewhere));
    assert_eq!(world.state.indexes().running_of_queue(&queue("default")), 2);
}

#[test]
fn a_limit_of_zero_lets_nothing_run() {
    let mut world = World::new();
    world.limits.kinds.insert(kind("resize"), 0);
    world.submitted(a_job());
    let session = world.joined();
    assert_eq!(deal(&mut world, &[(session, 1)]), [[]]);
}

#[test]
fn a_limit_that_was_lowered_below_what_runs_lets_nothing_new_run() {
    let mut world = World::new();
    world.submitted_all([a_job(), a_job(), a_job()]);
    let session = world.joined();
    world.dealt(session, 2);
    world.limits.kinds.insert(kind("resize"), 1);
    assert_eq!(deal(&mut world, &[(session, 1)]), [[]]);
}

#[test]
fn a_job_whose_last_processes_may_be_alive_is_granted_to_nobody() {
    let mut world = World::new();
    let jobs = world.submitted_all([of_priority(9), a_job()]);
    world.held.insert(jobs[0].ordinal());
    let session = world.joined();
    assert_eq!(deal(&mut world, &[(session, 9)]), [[jobs[1]]]);
    world.held.clear();
    assert_eq!(deal(&mut world, &[(session, 9)]), [[jobs[0]]]);
}

#[test]
fn a_session_that_is_not_known_gets_nothing() {
    let mut world = World::new();
    world.submitted(a_job());
    let gone = SessionId(Uuid::from_u128(1234));
    assert_eq!(deal(&mut world, &[(gone, 1)]), [[]]);
}

#[test]
fn only_queued_jobs_are_dealt() {
    let mut world = World::new();
    let first = world.running(a_job());
    world.submitted(a_job_after(&[first.job]));
    world.submitted(NewJob { start: crate::domain::command::Start::After(Millis(1)), ..a_job() });
    let failed = world.running(a_job());
    world.given(fail(failed, true));
    let session = world.joined();
    assert_eq!(deal(&mut world, &[(session, 9)]), [[]]);
}

fn rated(rate: &str) -> World {
    let mut world = World::new();
    world.limits.rates.insert(queue("default"), rate.parse().expect("a rate"));
    world
}

fn next_start(world: &World, sessions: &[SessionId]) -> Option<Millis> {
    let at = next_start_at(&world.state, &world.limits, world.now, sessions.iter().copied());
    at.map(|at| at.since(world.now))
}

#[test]
fn a_queue_with_a_rate_starts_a_seconds_worth_at_once_and_then_one_by_one() {
    let mut world = rated("2/s");
    let jobs = world.submitted_all([a_job(), a_job(), a_job(), a_job()]);
    let session = world.joined();
    assert_eq!(deal(&mut world, &[(session, 9)]), [&jobs[..2]]);
    world.passed(Millis(499));
    assert_eq!(deal(&mut world, &[(session, 9)]), [[]]);
    world.passed(Millis(1));
    assert_eq!(deal(&mut world, &[(session, 9)]), [&jobs[2..3]]);
}

#[test]
fn starts_under_a_rate_say_in_the_same_group_what_they_used_up() {
    let mut world = rated("2/s");
    world.submitted_all([a_job(), a_job(), in_queue("free")]);
    let session = world.joined();
    let claims = vec![Claim { session, tokens: (0..3).map(|_| world.token()).collect() }];
    let types = ["job.started", "job.started", "job.started", "queue.rate_spent"];
    let then = world.when(Command::Deal { claims }).then_types(&types);
    let spent = QueueRateSpent { queue: queue("default"), jobs: 2, used_millionths: 2_000_000 };
    assert_eq!(then.events[3], spent.into());
    let last: Vec<bool> = world.records.iter().rev().take(4).map(|record| record.continues).collect();
    assert_eq!(last, [false, true, true, true]);
}

#[test]
fn a_start_that_is_given_back_has_used_up_the_rate_nevertheless() {
    let mut world = rated("1/s");
    let jobs = world.submitted_all([a_job(), a_job()]);
    let session = world.joined();
    let proof = world.dealt(session, 1)[0];
    world.given(release(proof));
    assert_eq!(deal(&mut world, &[(session, 9)]), [[]]);
    world.passed(Millis(1000));
    assert_eq!(deal(&mut world, &[(session, 9)]), [&jobs[..1]]);
}

#[test]
fn under_a_rate_a_higher_priority_goes_first_and_other_queues_go_on() {
    let mut world = rated("1/s");
    let jobs = world.submitted_all([a_job(), of_priority(5), in_queue("free")]);
    let session = world.joined();
    assert_eq!(deal(&mut world, &[(session, 9)]), [[jobs[1], jobs[2]]]);
}

#[test]
fn limits_of_kind_and_queue_and_a_rate_hold_together() {
    let mut world = rated("3/s");
    world.limits.queues.insert(queue("default"), 2);
    world.limits.kinds.insert(kind("other"), 1);
    world.submitted_all([of_kind("other"), of_kind("other"), a_job(), a_job(), a_job()]);
    let session = world.joined();
    let first = world.dealt(session, 9);
    assert_eq!(first.len(), 2, "two may run, and one of the kind");
    first.into_iter().for_each(|proof| drop(world.given(complete(proof))));
    let second = world.dealt(session, 9);
    assert_eq!(second.len(), 1, "three a second");
}

#[test]
fn a_rate_that_was_changed_or_taken_away_is_in_effect_at_once() {
    let mut world = rated("1/h");
    let jobs = world.submitted_all([a_job(), a_job(), a_job()]);
    let session = world.joined();
    assert_eq!(deal(&mut world, &[(session, 9)]), [&jobs[..1]]);
    assert_eq!(next_start(&world, &[session]), Some(Millis::from_secs(3600)));
    world.limits.rates.insert(queue("default"), "1/s".parse().expect("a rate"));
    assert_eq!(next_start(&world, &[session]), Some(Millis(1000)));
    world.passed(Millis(1000));
    assert_eq!(deal(&mut world, &[(session, 9)]), [&jobs[1..2]]);
    world.limits.rates.clear();
    assert_eq!(deal(&mut world, &[(session, 9)]), [&jobs[2..]]);
}

#[test]
fn there_is_a_next_start_only_while_a_rate_holds_something_back_that_somebody_waits_for() {
    let mut world = rated("4/s");
    let (fitting, other) = (world.joined(), world.joined_for(&["other"], None));
    let jobs: Vec<NewJob> = std::iter::repeat_with(a_job).take(5).collect();
    world.submitted_all(jobs);
    assert_eq!(next_start(&world, &[fitting]), None, "what is free needs no waking");
    world.dealt(fitting, 9);
    assert_eq!(next_start(&world, &[other, fitting]), Some(Millis(250)));
    assert_eq!(next_start(&world, &[other]), None, "nobody who takes it waits");
    assert_eq!(next_start(&world, &[]), None);
    world.given(Command::PauseQueue { queue: queue("default") });
    assert_eq!(next_start(&world, &[fitting]), None, "a paused queue starts nothing");
}

#[test]
fn a_bucket_outlives_being_read_back() {
    let mut world = rated("1/s");
    world.submitted_all([a_job(), a_job()]);
    let session = world.joined();
    world.dealt(session, 1);
    world.reread();
    assert_eq!(deal(&mut world, &[(session, 9)]), [[]]);
    assert_eq!(next_start(&world, &[session]), Some(Millis(1000)));
}
