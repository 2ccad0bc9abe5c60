//! The state as a whole: epochs, being read back, and what a job costs in memory.

use crate::domain::command::{Command, NewJob, StartEpoch};
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::id::{Epoch, Seq};
use crate::domain::job::Job;
use crate::domain::json::Json;
use crate::domain::state::Stub;
use crate::domain::testing::*;

#[test]
fn a_start_names_the_epoch_before_and_closes_it() {
    let mut world = World::new();
    let first = world.state.epochs()[0];
    world.submitted(a_job());
    let last = world.state.seq();
    let epoch = Epoch(uuid::Uuid::from_u128(99));
    let start = Command::StartEpoch(StartEpoch { epoch, reset: false, clean_shutdown: false });
    let events = world.when(start).events;
    let [Event::EpochStarted(data)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((data.epoch, data.previous_epoch, data.clean_shutdown), (epoch, Some(first.epoch), false));
    let spans: Vec<_> = world.state.epochs().iter().map(|span| (span.first, span.last)).collect();
    assert_eq!(spans, [(Seq(1), Some(last)), (last.next(), None)]);
}

#[test]
fn the_first_start_has_no_epoch_before_it() {
    let world = World::new();
    let Event::EpochStarted(data) = &world.records[0].event else { panic!("{:?}", world.records[0]) };
    assert_eq!(data.previous_epoch, None);
}

#[test]
fn a_state_that_is_read_back_from_its_parts_is_the_same() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a"]));
    world.submitted(a_job_after(&[proof.job]));
    world.given(fail(proof, true));
    let before = world.state.clone();
    world.reread();
    assert!(before == world.state);
}

#[test]
#[should_panic(expected = "the log is dense (L2)")]
fn a_record_that_does_not_follow_stops_us() {
    let mut world = World::new();
    let record = world.records[0].clone();
    evolve(&mut world.state, &record);
}

#[test]
fn jobs_and_stubs_stay_small() {
    assert!(size_of::<Job>() <= 168, "a job has {} bytes", size_of::<Job>());
    assert!(size_of::<Stub>() <= 136, "a stub has {} bytes", size_of::<Stub>());
}

/// Resident memory in bytes, as Linux tells it.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells about its processes");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages as a number") * 4096
}

#[test]
#[ignore = "needs 300 MB, and to run alone; prints what a waiting job costs in memory"]
fn a_million_queued_jobs_fit_into_memory() {
    const JOBS: usize = 1_000_000;
    let mut world = World::new();
    let before = resident();
    for _ in 0..JOBS / 1000 {
        let args = Json::from_checked(format!("{{\"text\":\"{}\"}}", "x".repeat(189)));
        world.submitted_all(vec![NewJob { args, ..a_job() }; 1000]);
        world.records.clear();
    }
    let per_job = (resident() - before) / JOBS;
    println!("{per_job} bytes of resident memory a queued job");
    assert!(per_job <= 230, "{per_job} bytes a queued job");
    assert_eq!(world.state.jobs().count(), JOBS);
}
