//! Schedules, rule by rule.

use crate::domain::command::{Answer, Command, Fire, FireSchedule, NewJob, SetSchedule};
use crate::domain::event::{JobCancelRequested, JobCancelled, ScheduleChanged, ScheduleFired};
use crate::domain::id::{JobId, ScheduleName, Seq};
use crate::domain::job::{Reason, StateName};
use crate::domain::refusal::Refusal;
use crate::domain::schedule::{FireError, FireOutcome, Missed, Origin, Overlap, SCHEDULES_MAX, ScheduleSpec};
use crate::domain::testing::*;
use crate::domain::time::{Millis, Timestamp};

fn name() -> ScheduleName {
    schedule_name("nightly")
}

fn in_hours(world: &World, hours: u64) -> Timestamp {
    world.now.plus(Millis::from_secs(hours * 3600))
}

fn set(world: &World, spec: ScheduleSpec) -> Command {
    let next_at = Some(in_hours(world, 1));
    Command::SetSchedule(SetSchedule { name: name(), spec, next_at, must_be_new: false })
}

fn dropped(by: Origin) -> Command {
    Command::DropSchedule { name: name(), by }
}

fn overlapping(overlap: Overlap) -> ScheduleSpec {
    ScheduleSpec { overlap, ..a_schedule() }
}

/// The command for the schedule's next time, as whoever watches the clock would make it now.
fn fire_with(world: &World, what: Fire) -> Command {
    let schedule = world.state.schedules().get(&name()).expect("it was set");
    let due_at = schedule.next_at.expect("it has a next time");
    Command::FireSchedule(Box::new(FireSchedule {
        name: name(),
        changed: schedule.changed,
        expected: due_at,
        due_at,
        next_at: Some(due_at.plus(Millis::from_secs(3600))),
        passed: 0,
        what,
    }))
}

fn fire(world: &World) -> Command {
    fire_with(world, Fire::Submit(Box::new(a_job())))
}

fn fired(answer: Answer) -> ScheduleFired {
    match answer {
        Answer::Fired(fired) => *fired,
        other => panic!("a fired schedule answers with what came of it, not {other:?}"),
    }
}

fn given_fired(world: &mut World) -> ScheduleFired {
    let command = fire(world);
    fired(world.given(command))
}

/// A world with a schedule whose first job is there.
fn with_one_job(overlap: Overlap) -> (World, JobId) {
    let mut world = World::new();
    world.given(set(&world, overlapping(overlap)));
    let job = given_fired(&mut world).job_id.expect("a job was made");
    (world, job)
}

#[test]
fn a_schedule_is_set_once_and_setting_it_again_changes_nothing() {
    let mut world = World::new();
    let next_at = Some(in_hours(&world, 1));
    let changed = ScheduleChanged { name: name(), schedule: Some(a_schedule()), next_at };
    let command = set(&world, a_schedule());
    world.when(command.clone()).then([changed.into()]).and_answered(Answer::ScheduleSet { is_new: true });
    world.passed(Millis(1000));
    let again = set(&world, a_schedule());
    world.when(again).then_nothing().and_answered(Answer::ScheduleSet { is_new: false });
}

#[test]
fn a_name_that_is_taken_is_refused_to_who_wants_a_new_schedule() {
    let mut world = World::new();
    let new = |world: &World| {
        let next_at = Some(in_hours(world, 1));
        Command::SetSchedule(SetSchedule { name: name(), spec: a_schedule(), next_at, must_be_new: true })
    };
    world.given(new(&world));
    let again = new(&world);
    world.when(again).then_refused(Refusal::ScheduleExists { name: name() });
}

#[test]
fn a_change_of_the_job_keeps_the_next_time_and_a_change_of_the_cron_does_not() {
    let mut world = World::new();
    let first = Some(in_hours(&world, 1));
    world.given(set(&world, a_schedule()));
    world.passed(Millis::from_secs(60));
    let spec = ScheduleSpec { missed: Missed::All, ..a_schedule() };
    let changed = ScheduleChanged { name: name(), schedule: Some(spec.clone()), next_at: first };
    let command = set(&world, spec.clone());
    world.when(command).then([changed.into()]);
    let spec = ScheduleSpec { cron: "@hourly".into(), ..spec };
    let changed = ScheduleChanged { name: name(), schedule: Some(spec.clone()), next_at: Some(in_hours(&world, 1)) };
    let command = set(&world, spec);
    world.when(command).then([changed.into()]);
}

#[test]
fn a_change_keeps_what_the_schedule_has_done() {
    let (mut world, job) = with_one_job(Overlap::Queue);
    let spec = ScheduleSpec { cron: "@hourly".into(), ..a_schedule() };
    world.given(set(&world, spec));
    let schedule = world.state.schedules().get(&name()).expect("it is there").clone();
    assert_eq!((schedule.last_job, schedule.last.is_some()), (Some(job), true));
}

#[test]
fn what_belongs_to_the_configuration_is_not_changed_by_clients() {
    let mut world = World::new();
    world.given(set(&world, ScheduleSpec { origin: Origin::Config, ..a_schedule() }));
    let refusal = Refusal::ScheduleIsConfigured { name: name() };
    let command = set(&world, a_schedule());
    world.when(command).then_refused(refusal.clone());
    world.when(dropped(Origin::Api)).then_refused(refusal);
    world.when(dropped(Origin::Config)).then_types(&["schedule.changed"]);
}

#[test]
fn the_configuration_takes_over_what_a_client_made() {
    let mut world = World::new();
    world.given(set(&world, a_schedule()));
    let command = set(&world, ScheduleSpec { origin: Origin::Config, ..a_schedule() });
    world.when(command).then_types(&["schedule.changed"]);
    let schedule = world.state.schedules().get(&name()).expect("it is there");
    assert_eq!(schedule.spec.origin, Origin::Config);
}

#[test]
fn a_dropped_schedule_is_gone_and_its_jobs_go_on() {
    let (mut world, job) = with_one_job(Overlap::Queue);
    let changed = ScheduleChanged { name: name(), schedule: None, next_at: None };
    world.when(dropped(Origin::Api)).then([changed.into()]).and_state(job, StateName::Queued);
    assert!(world.state.schedules().is_empty());
    world.when(dropped(Origin::Api)).then_refused(Refusal::ScheduleNotFound { name: name() });
}

#[test]
fn there_are_only_so_many_schedules() {
    let mut world = World::new();
    let one = |number: usize| {
        let name = schedule_name(&format!("s{number}"));
        Command::SetSchedule(SetSchedule { name, spec: a_schedule(), next_at: None, must_be_new: true })
    };
    for number in 0..SCHEDULES_MAX {
        assert!(world.take(one(number)).outcome.is_ok());
    }
    world.when(one(SCHEDULES_MAX)).then_refused(Refusal::TooManySchedules);
}

#[test]
fn a_time_that_has_come_submits_the_job_in_the_same_group_and_moves_on() {
    let mut world = World::new();
    world.given(set(&world, a_schedule()));
    let due_at = in_hours(&world, 1);
    let command = fire(&world);
    let then = world.when(command).then_types(&["schedule.fired", "job.submitted"]);
    let fired = fired(then.outcome.clone().expect("it is fired"));
    assert_eq!((fired.due_at, fired.outcome), (due_at, FireOutcome::Submitted));
    let job = fired.job_id.expect("a job was made");
    assert_eq!(world.state_of(job), StateName::Queued);
    let schedule = world.state.schedules().get(&name()).expect("it is there");
    assert_eq!((schedule.next_at, schedule.last_job), (Some(in_hours(&world, 2)), Some(job)));
    let [.., fired, submitted] = &world.records[..] else { panic!("two records") };
    assert!(fired.continues && !submitted.continues, "they stand or fall together (L2)");
}

#[test]
fn a_time_counts_once_however_often_it_is_fired() {
    let mut world = World::new();
    world.given(set(&world, a_schedule()));
    let command = fire(&world);
    world.given(command.clone());
    world.when(command).then_refused(Refusal::ScheduleMovedOn { name: name() });
}

#[test]
fn what_was_computed_before_a_change_is_refused() {
    let mut world = World::new();
    world.given(set(&world, a_schedule()));
    let command = fire(&world);
    world.given(set(&world, ScheduleSpec { missed: Missed::Skip, ..a_schedule() }));
    world.when(command.clone()).then_refused(Refusal::ScheduleMovedOn { name: name() });
    world.given(dropped(Origin::Api));
    world.when(command).then_refused(Refusal::ScheduleNotFound { name: name() });
}

#[test]
fn a_schedule_that_skips_makes_no_job_while_its_last_is_active() {
    let (mut world, job) = with_one_job(Overlap::Skip);
    let command = fire(&world);
    let then = world.when(command).then_types(&["schedule.fired"]);
    assert_eq!(fired(then.outcome.expect("it is fired")).outcome, FireOutcome::SkippedOverlap);
    let schedule = world.state.schedules().get(&name()).expect("it is there");
    assert_eq!((schedule.next_at, schedule.last_job), (Some(in_hours(&world, 3)), Some(job)));
    world.given(cancel(job));
    assert_eq!(given_fired(&mut world).outcome, FireOutcome::Submitted);
}

#[test]
fn a_schedule_that_queues_makes_a_job_beside_its_last() {
    let (mut world, job) = with_one_job(Overlap::Queue);
    let fired = given_fired(&mut world);
    assert_eq!((fired.outcome, fired.replaced_job_id), (FireOutcome::Submitted, None));
    assert_eq!(world.state_of(job), StateName::Queued);
}

#[test]
fn a_schedule_that_replaces_cancels_a_waiting_job_first() {
    let (mut world, job) = with_one_job(Overlap::Replace);
    let command = fire(&world);
    let then = world.when(command).then_types(&["schedule.fired", "job.cancelled", "job.submitted"]);
    let cancelled = JobCancelled { job, reason: Reason::Replaced, error: None, run_ended: None };
    assert_eq!(then.events[1], cancelled.into());
    assert_eq!(fired(then.outcome.expect("it is fired")).replaced_job_id, Some(job));
    assert_eq!(world.state_of(job), StateName::Cancelled);
}

#[test]
fn a_schedule_that_replaces_asks_a_running_job_to_stop() {
    let (mut world, job) = with_one_job(Overlap::Replace);
    world.run(job);
    let deadline = world.now.plus(world.job(job).policy.grace);
    let command = fire(&world);
    let then = world.when(command).then_types(&["schedule.fired", "job.cancel_requested", "job.submitted"]);
    assert_eq!(then.events[1], JobCancelRequested { job, reason: Reason::Replaced, deadline }.into());
    assert_eq!(world.state_of(job), StateName::Running);
}

fn with_key() -> NewJob {
    NewJob { unique_key: Some("one".into()), ..a_job() }
}

#[test]
fn a_replaced_job_that_waits_hands_its_key_on() {
    let mut world = World::new();
    world.given(set(&world, overlapping(Overlap::Replace)));
    let command = fire_with(&world, Fire::Submit(Box::new(with_key())));
    let first = fired(world.given(command)).job_id.expect("a job was made");
    let command = fire_with(&world, Fire::Submit(Box::new(with_key())));
    let second = fired(world.given(command));
    assert_eq!((second.outcome, second.replaced_job_id), (FireOutcome::Submitted, Some(first)));
}

#[test]
fn a_job_that_is_refused_replaces_nothing_and_the_schedule_goes_on() {
    let mut world = World::new();
    world.given(set(&world, overlapping(Overlap::Replace)));
    let command = fire_with(&world, Fire::Submit(Box::new(with_key())));
    let first = fired(world.given(command)).job_id.expect("a job was made");
    world.run(first);
    let command = fire_with(&world, Fire::Submit(Box::new(with_key())));
    let then = world.when(command).then_types(&["schedule.fired"]);
    let fired = fired(then.outcome.expect("it is fired"));
    assert_eq!(fired.outcome, FireOutcome::Failed);
    assert_eq!(fired.error.map(|error| error.code.to_string()), Some("unique_conflict".to_owned()));
    assert_eq!(world.state_of(first), StateName::Running);
    let schedule = world.state.schedules().get(&name()).expect("it is there");
    assert_eq!((schedule.next_at, schedule.last_job), (Some(in_hours(&world, 3)), Some(first)));
}

#[test]
fn a_job_that_does_not_fit_and_a_missed_time_make_no_job_and_are_recorded() {
    let (mut world, job) = with_one_job(Overlap::Queue);
    let error = FireError { code: "invalid_args".into(), message: "/args/steps is too large".into() };
    for (what, outcome, kept) in
        [(Fire::Fail(error.clone()), FireOutcome::Failed, Some(error)), (Fire::Miss, FireOutcome::Missed, None)]
    {
        let command = fire_with(&world, what);
        world.when(command).then_types(&["schedule.fired"]);
        let schedule = world.state.schedules().get(&name()).expect("it is there");
        let last = schedule.last.as_ref().expect("it was fired");
        assert_eq!((last.outcome, &last.error, schedule.last_job), (outcome, &kept, Some(job)));
    }
}

#[test]
fn a_schedule_without_a_next_time_gets_one_when_it_is_set_again() {
    let mut world = World::new();
    let rests = SetSchedule { name: name(), spec: a_schedule(), next_at: None, must_be_new: false };
    world.given(Command::SetSchedule(rests));
    assert_eq!(world.state.schedules().get(&name()).map(|schedule| schedule.changed), Some(Seq(2)));
    let command = set(&world, a_schedule());
    world.when(command).then_types(&["schedule.changed"]);
    assert_eq!(world.state.schedules().next_at(), Some(in_hours(&world, 1)));
}
