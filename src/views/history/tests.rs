//! Numbers are the same whether they were counted as it happened or read from the log after a restart; and what they count.

use proptest::prelude::*;

use super::*;
use crate::domain::event::{JobQueued, QueuedCause};
use crate::domain::job::StateName;
use crate::domain::time::Millis;
use crate::views::Views;
use crate::views::block::Slot;
use crate::views::performance::{Counts, Percentiles};
use crate::views::testing::{New, World, session};
use crate::views::tests::{Step, step, take};

fn told(views: &Views, now: Timestamp) -> Vec<(Vec<HistoryBucket>, bool)> {
    Span::ALL.map(|span| views.performance(span, now)).into()
}

/// The sum of all that is counted, and the times of the only bucket that has some.
fn of_month(world: &World) -> (Counts, Option<Percentiles>, Option<Percentiles>) {
    let (buckets, is_complete) = world.views.performance(Span::Month, world.now());
    assert!(is_complete, "nothing happened before");
    let last = &buckets[29];
    (last.counts, last.wait_s, last.run_s)
}

/// Whether all of the percentiles are this time, as exact as they are.
#[track_caller]
fn assert_all(percentiles: Option<Percentiles>, seconds: f64) {
    let Percentiles { p50, p95, p99 } = percentiles.expect("something took time");
    assert!([p50, p95, p99].iter().all(|told| (told - seconds).abs() <= seconds * 0.021), "{percentiles:?}");
}

/// The server stops and starts: the views are new, and the log is read for what was before.
fn restart(world: &mut World) {
    world.commit();
    world.views.flush().expect("the store takes finished jobs");
    world.views = world.rebuilt();
}

fn recall(world: &World) {
    let Some(until) = world.views.history_missing_until() else { return };
    let mut earlier = Earlier::default();
    world.log.records.lock().iter().filter(|record| record.seq <= until).for_each(|record| earlier.tell(record));
    world.views.recall(until, earlier);
}

/// The same step, with time that passes `times` as fast.
fn faster(step: Step, times: u64) -> Step {
    match step {
        Step::Pass { ms } => Step::Pass { ms: ms * times },
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_makes_no_difference_whether_something_was_counted_live_or_from_the_log(
        steps in proptest::collection::vec(step(), 0..160),
        restarts in proptest::collection::btree_set(0..160_usize, 0..4),
        times in proptest::sample::select(vec![1, 30, 1_000, 100_000]),
    ) {
        let (mut lasting, mut restarted) = (World::new(), World::new());
        for (number, step) in steps.into_iter().map(|step| faster(step, times)).enumerate() {
            take(&mut lasting, &step);
            if restarts.contains(&number) {
                restart(&mut restarted);
            }
            take(&mut restarted, &step);
        }
        lasting.commit();
        restarted.commit();
        recall(&restarted);
        prop_assert_eq!(told(&restarted.views, restarted.now()), told(&lasting.views, lasting.now()));
    }
}

#[test]
fn waits_end_with_a_start_and_runs_with_whatever_ends_them() {
    let mut world = World::new();
    let id = world.submit(New::default());
    world.commit();
    world.pass(Millis(2_000));
    world.start(id, session(1));
    world.commit();
    world.pass(Millis(10_000));
    world.finish(id, StateName::Failed);
    world.commit();
    let counts = Counts { submitted: 1, started: 1, failed: 1, attempts_failed: 1, ..Counts::default() };
    let (told, wait_s, run_s) = of_month(&world);
    assert_eq!(told, counts);
    assert_all(wait_s, 2.0);
    assert_all(run_s, 10.0);
    let other = world.submit(New::default());
    world.finish(other, StateName::Cancelled);
    world.commit();
    let counts = Counts { submitted: 2, cancelled: 1, ..counts };
    assert_eq!(of_month(&world), (counts, wait_s, run_s), "what never ran took no time");
}

#[test]
fn a_whole_life_in_one_page_counts_like_one_in_many() {
    let live = |commit: fn(&mut World)| {
        let mut world = World::new();
        let id = world.submit(New::default());
        for (wait_ms, run_ms) in [(100, 5_000), (200, 6_000), (300, 7_000)] {
            commit(&mut world);
            world.pass(Millis(wait_ms));
            world.start(id, session(1));
            commit(&mut world);
            world.pass(Millis(run_ms));
            world.requeue(id);
        }
        commit(&mut world);
        world.pass(Millis(400));
        world.start(id, session(1));
        commit(&mut world);
        world.pass(Millis(8_000));
        world.finish(id, StateName::Completed);
        commit(&mut world);
        world.requeue(id);
        world.start(id, session(1));
        world.commit();
        (of_month(&world), told(&world.views, world.now()))
    };
    let (in_one, in_many) = (live(|_| ()), live(World::commit));
    assert_eq!(in_one, in_many);
    let (counts, wait_s, run_s) = in_one.0;
    assert_eq!(counts, Counts { submitted: 1, started: 5, completed: 1, lost: 3, ..Counts::default() });
    let (wait, run) = (wait_s.expect("runs began"), run_s.expect("runs ended"));
    // Waits of 0, 100, 200, 300 and 400 ms, runs of 5 to 8 s; the 95th of 100 is the last but one of so few.
    assert_all(Some(Percentiles { p95: wait.p50, p99: wait.p50, ..wait }), 0.2);
    assert_all(Some(Percentiles { p50: run.p95, ..run }), 7.0);
}

#[test]
fn until_the_log_was_read_it_is_said_that_something_is_missing() {
    let mut world = World::new();
    let id = world.submit(New::default());
    restart(&mut world);
    world.start(id, session(1));
    world.commit();
    let of = |world: &World| {
        let (buckets, is_complete) = world.views.performance(Span::Hour, world.now());
        (buckets[59].counts.submitted, buckets[59].counts.started, is_complete)
    };
    assert_eq!(of(&world), (0, 1, false));
    recall(&world);
    assert_eq!(of(&world), (1, 1, true));
}

#[test]
fn what_is_left_of_a_cut_stretch_is_counted_again_and_how_long_things_took_is_not() {
    let mut world = World::new();
    world.submit(New::default());
    let id = world.submit(New::default());
    world.start(id, session(1));
    world.finish(id, StateName::Completed);
    world.commit();
    let records = world.log.records.lock().clone();
    let mut history = History::new(Some(Seq(1)));
    history.show(&records[1..], |_| None);
    history.forget_before(Seq(3));
    assert_eq!((history.missing_until(), history.knows_how_long()), (Some(records[records.len() - 1].seq), true));
    let mut earlier = Earlier::default();
    records[2..].iter().for_each(|record| earlier.tell(record));
    history.recall(records[records.len() - 1].seq, earlier);
    assert_eq!(history.missing_until(), None);
    let counted: u64 = history.histogram(9).buckets.iter().flat_map(|bucket| bucket.counts.values()).sum();
    let completed: u64 = history.buckets(Span::Month, world.now()).iter().map(|bucket| bucket.counts.completed).sum();
    assert_eq!((counted, completed), (records.len() as u64 - 2, 1));
}

#[test]
fn a_time_whose_begin_is_not_in_the_log_is_not_known() {
    let mut world = World::new();
    let id = world.submit(New::default());
    world.start(id, session(1));
    world.finish(id, StateName::Completed);
    world.commit();
    let mut earlier = Earlier::default();
    world.log.records.lock().iter().skip(1).for_each(|record| earlier.tell(record));
    let last = earlier.told.performance.buckets(Span::Month, world.now()).pop().expect("there are buckets");
    assert_eq!((last.counts.submitted, last.counts.started, last.counts.completed), (0, 1, 1));
    assert_eq!(last.wait_s, None);
    assert_all(last.run_s, 0.0);
}

#[test]
fn only_jobs_that_wait_or_run_are_remembered_while_the_log_is_read() {
    let mut jobs = Standings::default();
    let at = Timestamp::from_ms(7);
    (0..1_000).for_each(|job| jobs.set(Ordinal(job), Some(Since::Queued(at))));
    jobs.set(Ordinal(70), Some(Since::Running(at)));
    assert_eq!(jobs.get(Ordinal(70)), Some(Since::Running(at)));
    (0..1_000).filter(|job| *job != 70).for_each(|job| jobs.set(Ordinal(job), None));
    jobs.set(Ordinal(u64::MAX), None);
    assert_eq!((jobs.get(Ordinal(69)), jobs.pieces.len()), (None, 1));
    let event = JobQueued { job: JobId::new(at, Ordinal(1), 1), cause: QueuedCause::Released };
    assert_eq!(moved_to(&event.into(), at), Some(Some(Since::Queued(at))));
}

/// What an event costs the writer: `cargo test --release --lib -- --ignored --nocapture what_the_history_costs`
#[test]
#[ignore = "measures; what comes out is for people"]
fn what_the_history_costs_the_writer() {
    const JOBS: usize = 100_000;
    let mut world = World::new();
    let ids: Vec<JobId> = (0..JOBS).map(|_| world.submit(New::default())).collect();
    world.commit();
    let waiting = world.rebuilt();
    let first = world.log.records.lock().len();
    for ids in ids.chunks(128) {
        ids.iter().for_each(|&id| world.start(id, session(1)));
        world.pass(Millis(37));
        ids.iter().for_each(|&id| world.finish(id, StateName::Completed));
    }
    world.commit();
    let records = world.log.records.lock()[first..].to_vec();
    let index = waiting.index.read();
    let before = |job| match index.slot(job) {
        Slot::Active(job) => Since::of(job),
        Slot::Finished(_) | Slot::Empty => None,
    };
    let cost_ns = |took: std::time::Duration| took.as_nanos() / records.len() as u128;
    let began = std::time::Instant::now();
    let mut timeline = Timeline::default();
    records.iter().for_each(|record| timeline.note(record.seq, record.at, &record.event));
    let timeline_ns = cost_ns(began.elapsed());
    let mut history = History::new(None);
    let began = std::time::Instant::now();
    records.chunks(256).for_each(|records| history.show(records, before));
    let all_ns = cost_ns(began.elapsed());
    println!("an event: {all_ns} ns, of which the timeline {timeline_ns} ns");
}
