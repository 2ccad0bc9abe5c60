//! A broken state is found, by the name of what it breaks: otherwise the checks of all other tests would mean nothing.

use std::sync::Arc;

use crate::domain::evolve::evolve;
use crate::domain::id::{JobId, Ordinal};
use crate::domain::invariants::{check, check_job, check_step};
use crate::domain::job::{Job, JobState};
use crate::domain::state::{Slot, State};
use crate::domain::testing::*;

/// Changes a job behind the back of `evolve`.
fn tamper(world: &mut World, job: JobId, change: impl FnOnce(&mut Job)) {
    let mut job = Job::clone(&world.job(job));
    change(&mut job);
    world.state.slots.set(job.id.ordinal(), Some(Slot::Active(Arc::new(job))));
}

#[track_caller]
fn breaks(state: &State, invariant: &str) {
    assert_eq!(check(state).expect_err("the state is broken").invariant, invariant);
}

#[test]
fn a_running_job_without_a_lease_on_the_books_is_found() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let other = world.submitted(a_job());
    let running = world.job(proof.job).state.clone();
    tamper(&mut world, other, |job| {
        job.state = running;
        job.attempt = 1;
    });
    breaks(&world.state, "J1");
}

#[test]
fn an_ended_job_that_is_held_as_active_is_found() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(complete(proof));
    tamper(&mut world, proof.job, |_| {});
    breaks(&world.state, "J2");
}

#[test]
fn too_many_losses_and_attempts_are_found() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    tamper(&mut world, job, |job| job.lost_count = 7);
    assert_eq!(check_job(&world.state, job).expect_err("broken").invariant, "J3");
    tamper(&mut world, job, |job| (job.lost_count, job.failures, job.attempt) = (0, 3, 3));
    breaks(&world.state, "J3");
}

#[test]
fn a_job_in_the_place_of_another_is_found() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    let slot = world.state.slot(job).cloned();
    world.state.slots.set(Ordinal(9), slot);
    breaks(&world.state, "J4");
}

#[test]
fn a_blocked_job_that_waits_for_nothing_is_found() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    tamper(&mut world, job, |job| job.state = JobState::Blocked { scheduled_at: None });
    breaks(&world.state, "blocked jobs wait");
}

#[test]
fn an_index_that_does_not_follow_from_the_jobs_is_found() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    tamper(&mut world, job, |job| job.priority = 9);
    breaks(&world.state, "indexes");
}

#[test]
fn a_change_of_a_job_that_the_event_does_not_name_is_found() {
    let mut world = World::new();
    let (named, other) = (world.running(a_job()), world.submitted(a_job()));
    let before = world.state.clone();
    world.given(complete(named));
    let record = world.records.last().expect("the completion").clone();
    tamper(&mut world, other, |job| job.priority = 9);
    assert_eq!(check_step(&before, &record, &world.state).expect_err("broken").invariant, "D3");
}

#[test]
fn a_move_that_no_rule_knows_is_found() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let mut before = world.state.clone();
    world.given(complete(proof));
    let record = world.records.last().expect("the completion").clone();
    let mut waiting = Job::clone(before.active(proof.job).expect("it runs"));
    waiting.state = JobState::Retryable { scheduled_at: world.now };
    before.slots.set(proof.job.ordinal(), Some(Slot::Active(Arc::new(waiting))));
    assert_eq!(check_step(&before, &record, &world.state).expect_err("broken").invariant, "J2");
}

#[test]
#[should_panic(expected = "an event changes an active job only (J2)")]
fn an_event_for_a_job_that_has_ended_stops_us() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(complete(proof));
    let mut record = world.records.last().expect("the completion").clone();
    record.seq = record.seq.next();
    evolve(&mut world.state, &record);
}
