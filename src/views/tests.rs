//! What the views promise, tried: lists against a naive oracle over random histories, and each promise by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use crate::domain::event::{
    Actor, FirstState, JobCompleted, QueueDraining, QueuePaused, QueueRateSpent, QueueResumed, Record, WorkerLeft,
    WorkerLeftCause,
};
use crate::domain::id::{FinishOrdinal, JobId, Ordinal, Seq, Tag, TokenHash};
use crate::domain::job::{Ending, Job, JobState, Progress, StateName};
use crate::domain::queue::Limits;
use crate::domain::time::{Millis, Timestamp};
use crate::feed::Page;
use crate::views::Views;
use crate::views::query::{JobFilter, JobQuery, LIMIT_MAX};
use crate::views::row::{Depth, JobRow, StateCounts, WorkerState};
use crate::views::testing::{New, World, kind, queue, session};

const KINDS: [&str; 3] = ["k", "resize", "Crawl"];
const QUEUES: [&str; 3] = ["default", "images", "slow"];
const TAGS: [&str; 3] = ["red", "blue", "rare"];

#[derive(Debug, Clone)]
pub(super) enum Step {
    Submit { kind: usize, queue: usize, tags: u8, parent: Option<usize>, state: u8 },
    Start { job: usize, session: u128 },
    Finish { job: usize, state: usize },
    Requeue { job: usize },
    Forget { job: usize },
    Amend { job: usize, queue: usize, tags: u8 },
    Pass { ms: u64 },
    Commit,
    Flush,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let job = 0..10_000_usize;
    prop_oneof![
        6 => (0..3_usize, 0..3_usize, 0..8_u8, proptest::option::weighted(0.3, job.clone()), 0..3_u8)
            .prop_map(|(kind, queue, tags, parent, state)| Step::Submit { kind, queue, tags, parent, state }),
        3 => (job.clone(), 1..4_u128).prop_map(|(job, session)| Step::Start { job, session }),
        3 => (job.clone(), 5..8_usize).prop_map(|(job, state)| Step::Finish { job, state }),
        2 => job.clone().prop_map(|job| Step::Requeue { job }),
        2 => job.clone().prop_map(|job| Step::Forget { job }),
        1 => (job, 0..3_usize, 0..8_u8).prop_map(|(job, queue, tags)| Step::Amend { job, queue, tags }),
        1 => (1..5000_u64).prop_map(|ms| Step::Pass { ms }),
        2 => Just(Step::Commit),
        1 => Just(Step::Flush),
    ]
}

fn tags(bits: u8) -> Vec<Tag> {
    TAGS.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, tag)| Tag::from(*tag)).collect()
}

/// The job that a step means, if it fits.
fn pick(world: &World, number: usize, fits: impl Fn(&Job) -> bool) -> Option<JobId> {
    let job = world.jobs.get(number % world.jobs.len().max(1))?;
    (world.knows(job.id) && fits(job)).then_some(job.id)
}

pub(super) fn take(world: &mut World, step: &Step) {
    let is_waiting = |job: &Job| !job.is_terminal() && job.run().is_none();
    match step {
        Step::Submit { kind, queue, tags: bits, parent, state } => {
            let parent = parent.and_then(|parent| pick(world, parent, |_| true));
            let scheduled_at = Timestamp::from_ms(crate::views::testing::BEGIN_MS + 60_000);
            let states = [
                FirstState::Queued,
                FirstState::Scheduled { scheduled_at },
                FirstState::Blocked { scheduled_at: None },
            ];
            let (kind, queue, state) = (KINDS[*kind], QUEUES[*queue], states[usize::from(*state)]);
            world.submit(New { kind, queue, tags: tags(*bits), parent, state, ..New::default() });
        }
        Step::Start { job, session: number } => {
            if let Some(id) = pick(world, *job, |job| job.state_name() == StateName::Queued) {
                world.start(id, session(*number));
            }
        }
        Step::Finish { job, state } => {
            if let Some(id) = pick(world, *job, |job| !job.is_terminal()) {
                world.finish(id, StateName::ALL[*state]);
            }
        }
        Step::Requeue { job } => {
            if let Some(id) = pick(world, *job, |job| job.is_terminal() || job.run().is_some()) {
                world.requeue(id);
            }
        }
        Step::Forget { job } => {
            if let Some(id) = pick(world, *job, Job::is_terminal) {
                world.forget(id);
            }
        }
        Step::Amend { job, queue, tags: bits } => {
            if let Some(id) = pick(world, *job, is_waiting) {
                world.amend(id, QUEUES[*queue], tags(*bits));
            }
        }
        Step::Pass { ms } => world.pass(Millis(*ms)),
        Step::Commit => world.commit(),
        Step::Flush => world.views.flush().expect("the store takes finished jobs"),
    }
}

fn world_of(steps: &[Step]) -> World {
    let mut world = World::new();
    steps.iter().for_each(|step| take(&mut world, step));
    world.commit();
    world
}

/// All rows that fit, read page by page.
fn read_all(views: &Views, filter: &JobFilter, limit: usize) -> Vec<JobRow> {
    let mut rows = Vec::new();
    let mut before = None;
    loop {
        let page = views.list(&JobQuery { filter: filter.clone(), before, limit }).expect("the views can be read");
        assert!(page.jobs.len() <= limit);
        assert!(page.next.is_none() || page.jobs.len() == limit, "a page that is not the last is full");
        rows.extend(page.jobs);
        before = page.next;
        if before.is_none() {
            return rows;
        }
    }
}

fn expected(world: &World, filter: &JobFilter) -> Vec<JobRow> {
    world.known().rev().filter(|job| filter.matches(job)).map(|job| JobRow::of(job)).collect()
}

fn filters(world: &World) -> Vec<JobFilter> {
    let mut states = vec![vec![]];
    states.extend(StateName::ALL.map(|state| vec![state]));
    states.push(StateName::ALL.into_iter().filter(|state| !state.is_terminal()).collect());
    states.push(vec![StateName::Failed, StateName::Queued]);
    let parents = world.jobs.iter().step_by(7).map(|job| Some(job.id)).take(4);
    let parents: Vec<_> = std::iter::once(None).chain(parents).collect();
    let mut filters = Vec::new();
    for (number, states) in states.iter().enumerate() {
        for kind_name in [None, Some(KINDS[number % 3])] {
            for queue_name in [None, Some(QUEUES[number % 3])] {
                for tag in [None, Some("rare"), Some("nobody")] {
                    filters.push(JobFilter {
                        states: states.clone(),
                        kind: kind_name.map(kind),
                        queue: queue_name.map(queue),
                        tag: tag.map(Tag::from),
                        parent: parents[number % parents.len()],
                        text: None,
                    });
                }
            }
        }
        filters.push(JobFilter { states: states.clone(), ..JobFilter::default() });
    }
    filters
}

fn check_lists(world: &World, views: &Views) {
    for filter in filters(world) {
        let expected = expected(world, &filter);
        assert_eq!(read_all(views, &filter, 7), expected, "{filter:?}");
        assert_eq!(read_all(views, &filter, LIMIT_MAX), expected, "{filter:?}");
    }
}

fn check_tables(world: &World, views: &Views) {
    let mut counts = StateCounts::default();
    world.known().for_each(|job| *counts.of(job.state_name()) += 1);
    let stats = views.stats(world.now());
    assert_eq!(stats.jobs, counts);
    for row in views.queues(world.now()) {
        let of_queue: Vec<_> = world.known().filter(|job| job.queue == row.name).collect();
        let count = |state| of_queue.iter().filter(|job| job.state_name() == state).count() as u64;
        let depth = Depth {
            queued: count(StateName::Queued),
            scheduled: count(StateName::Scheduled),
            blocked: count(StateName::Blocked),
            running: count(StateName::Running),
            retryable: count(StateName::Retryable),
        };
        assert_eq!(row.depth, depth);
        let queued = of_queue.iter().filter(|job| job.state_name() == StateName::Queued);
        assert_eq!(row.oldest_queued_at, queued.filter_map(|job| job.queued_at).min());
        let total = stats.queues.iter().find(|queue| queue.queue == row.name).map(|queue| queue.jobs.total());
        assert_eq!(total.unwrap_or(0), of_queue.len() as u64);
    }
    for row in &stats.kinds {
        let count = |state| world.known().filter(|job| job.kind == row.kind && job.state_name() == state).count();
        StateName::ALL.into_iter().for_each(|state| assert_eq!(row.jobs.get(state), count(state) as u64));
    }
}

fn check_jobs(world: &World, views: &Views) {
    for job in &world.jobs {
        if !world.knows(job.id) {
            assert_eq!(views.job(job.id).expect("reads"), None);
            assert_eq!(views.row(job.id).expect("reads"), None);
            assert_eq!(views.tree(job.id, None, LIMIT_MAX).expect("reads"), None);
            continue;
        }
        assert_eq!(views.job(job.id).expect("reads").as_ref(), Some(job));
        assert_eq!(views.row(job.id).expect("reads"), Some(JobRow::of(job)));
        let tree = world.known().filter(|other| other.root() == job.root());
        let tree: Vec<_> = tree.map(|job| JobRow::of(job)).collect();
        assert_eq!(views.tree(job.id, None, LIMIT_MAX).expect("reads"), Some(tree.clone()));
        let rest: Vec<_> = tree.into_iter().filter(|row| row.id > job.id).take(3).collect();
        assert_eq!(views.tree(job.id, Some(job.id), 3).expect("reads"), Some(rest));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_filter_gives_what_a_look_at_every_job_gives(steps in proptest::collection::vec(step(), 0..160)) {
        let world = world_of(&steps);
        check_lists(&world, &world.views);
        check_tables(&world, &world.views);
        check_jobs(&world, &world.views);
    }

    #[test]
    fn views_that_are_built_again_answer_the_same(steps in proptest::collection::vec(step(), 0..160)) {
        let world = world_of(&steps);
        world.views.flush().expect("the store takes finished jobs");
        let rebuilt = world.rebuilt();
        check_lists(&world, &rebuilt);
        check_tables(&world, &rebuilt);
        check_jobs(&world, &rebuilt);
    }

    #[test]
    fn a_cursor_is_stable_while_jobs_arrive_and_finish(
        before in proptest::collection::vec(step(), 40..120),
        after in proptest::collection::vec(step(), 0..80),
    ) {
        let mut world = world_of(&before);
        let mut here: Vec<JobId> = world.known().rev().map(|job| job.id).collect();
        let mut seen = Vec::new();
        let mut cursor = None;
        let mut steps = after.iter();
        loop {
            let query = JobQuery { filter: JobFilter::default(), before: cursor, limit: 5 };
            let page = world.views.list(&query).expect("the views can be read");
            seen.extend(page.jobs.iter().map(|row| row.id));
            steps.by_ref().take(9).for_each(|step| take(&mut world, step));
            world.commit();
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        // Who was forgotten meanwhile was met or not.
        seen.retain(|id| world.knows(*id));
        here.retain(|id| world.knows(*id));
        prop_assert_eq!(seen, here);
    }
}

#[test]
fn a_job_that_is_retried_and_amended_in_one_page_leaves_its_old_queue_and_tags() {
    let mut world = World::new();
    let id = world.submit(New { tags: tags(1), ..New::default() });
    world.finish(id, StateName::Failed);
    world.commit();
    world.requeue(id);
    world.amend(id, "slow", tags(2));
    world.commit();
    check_lists(&world, &world.views);
    check_tables(&world, &world.views);
}

#[test]
fn a_page_has_at_least_one_row_and_at_most_the_limit() {
    let mut world = World::new();
    (0..LIMIT_MAX + 10).for_each(|_| _ = world.submit(New::default()));
    world.commit();
    let list =
        |limit| world.views.list(&JobQuery { filter: JobFilter::default(), before: None, limit }).expect("reads");
    assert_eq!(list(0).jobs.len(), 1);
    assert_eq!(list(usize::MAX).jobs.len(), LIMIT_MAX);
    assert_eq!(list(LIMIT_MAX).next, Some(Ordinal(11)));
}

#[test]
fn a_list_reaches_over_block_borders() {
    let mut world = World::new();
    for number in 0..66_000 {
        let tags = if number % 65_536 == 7 { vec!["rare".into()] } else { Vec::new() };
        world.submit(New { tags, ..New::default() });
    }
    world.commit();
    let filter = JobFilter { tag: Some("rare".into()), ..JobFilter::default() };
    let ordinals: Vec<u64> = read_all(&world.views, &filter, 1).iter().map(|row| row.id.ordinal().0).collect();
    assert_eq!(ordinals, [65_544, 8]);
    assert_eq!(read_all(&world.views, &JobFilter::default(), LIMIT_MAX).len(), 66_000);
}

#[test]
fn an_id_that_only_looks_like_a_job_is_unknown() {
    let mut world = World::new();
    let id = world.submit(New::default());
    let done = world.submit(New::default());
    world.finish(done, StateName::Completed);
    world.commit();
    world.views.flush().expect("stores");
    for id in [id, done] {
        let other = JobId::new(world.now(), id.ordinal(), 1);
        assert_eq!(world.views.row(other).expect("reads"), None);
        assert_eq!(world.views.job(other).expect("reads"), None);
        assert_eq!(world.views.tree(other, None, 9).expect("reads"), None);
    }
}

#[test]
fn a_row_has_every_field_and_null_where_one_does_not_apply() {
    let mut world = World::new();
    let id = world.submit(New::default());
    let row = serde_json::to_value(JobRow::of(world.job(id))).expect("writes");
    let names: Vec<&str> = row.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut expected = vec![
        "id",
        "kind",
        "queue",
        "state",
        "reason",
        "priority",
        "tags",
        "attempt",
        "max_attempts",
        "lost_count",
        "max_lost",
        "progress",
        "files",
        "items",
        "error",
        "parent_id",
        "root_id",
        "depends_on",
        "unique_key",
        "worker",
        "cancel_requested_at",
        "created_at",
        "scheduled_at",
        "queued_at",
        "started_at",
        "finished_at",
        "updated_at",
        "purged_at",
        "timeout_s",
        "seq",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    let nulls = row.as_object().expect("an object").values().filter(|value| value.is_null()).count();
    assert_eq!(nulls, 13);
    assert_eq!(row["root_id"], row["id"]);
    let body = JobRow::of(world.job(id)).with_payload(Some(crate::domain::json::Json::from_checked("{\"a\":1}")), None);
    let text = serde_json::to_string(&body).expect("writes");
    assert!(text.contains("\"priority\":0,\"args\":{\"a\":1},\"tags\""), "{text}");
    assert!(text.contains("\"items\":null,\"result\":null,\"error\":null"), "{text}");
    assert_eq!(serde_json::from_str::<crate::views::row::JobBody>(&text).expect("reads"), body);
}

#[test]
fn the_row_of_a_rich_job_shows_all_of_it() {
    let job = crate::log::job_samples::rich_job(9, 3, 10);
    let row = serde_json::to_value(JobRow::of(&job)).expect("writes");
    assert_eq!(row["items"], serde_json::json!({"total": 10, "completed": 3, "failed": 3, "skipped": 2, "pending": 2}));
    assert_eq!(row["progress"]["preview"]["url"], format!("/api/jobs/{}/preview", job.id));
    assert_eq!(row["progress"]["preview"]["type"], "image/png");
    assert_eq!(row["error"]["details"]["status"], 3);
    assert_eq!(row["worker"]["name"], "w");
    assert_eq!(row["timeout_s"], 1.5);
    assert_eq!(row["reason"], "attempts_exhausted");
    assert_eq!(row["files"][0]["type"], "image/png");
    assert_eq!(row["unique_key"], "u");
}

#[test]
fn live_progress_covers_what_is_on_record_until_the_run_ends() {
    let mut world = World::new();
    let id = world.submit(New::default());
    let live = |percent| Arc::new(Progress { percent: Some(percent), ..Progress::default() });
    let token = |attempt| TokenHash([attempt; 16]);
    let shown = |world: &World| {
        world.views.row(id).expect("reads").and_then(|row| row.progress).and_then(|progress| progress.percent)
    };
    world.commit();
    world.views.overlay(id, token(1), live(1.0));
    assert_eq!(shown(&world), None, "a job that does not run has no live progress");
    world.start(id, session(1));
    world.progress(id, 10.0);
    world.commit();
    world.views.overlay(id, token(1), live(12.5));
    assert_eq!(shown(&world), Some(12.5));
    assert_eq!(
        world.views.list(&JobQuery { filter: JobFilter::default(), before: None, limit: 1 }).expect("reads").jobs[0]
            .progress
            .as_ref()
            .and_then(|progress| progress.percent),
        Some(12.5)
    );
    world.requeue(id);
    world.start(id, session(1));
    world.commit();
    assert_eq!(shown(&world), Some(10.0), "the next run does not show the live progress of the one before");
    world.views.overlay(id, token(1), live(15.0));
    assert_eq!(shown(&world), Some(10.0), "nor what is told of the one before only now");
    world.views.overlay(id, token(2), live(20.0));
    world.finish(id, StateName::Completed);
    world.commit();
    assert_eq!(shown(&world), Some(10.0));
}

#[test]
fn a_running_job_is_found_by_the_token_of_its_lease() {
    let mut world = World::new();
    let id = world.submit(New::default());
    let found = |world: &World, attempt| world.views.job_by_token(TokenHash([attempt; 16])).map(|job| job.id);
    world.commit();
    assert_eq!(found(&world, 1), None);
    world.start(id, session(1));
    world.commit();
    assert_eq!(found(&world, 1), Some(id));
    world.progress(id, 10.0);
    world.commit();
    assert_eq!(found(&world, 1), Some(id));
    world.requeue(id);
    world.start(id, session(1));
    world.commit();
    assert_eq!((found(&world, 1), found(&world, 2)), (None, Some(id)));
    world.finish(id, StateName::Completed);
    world.commit();
    assert_eq!(found(&world, 2), None);
}

#[test]
fn queues_show_their_pause_and_their_limit_and_how_long_the_oldest_waits() {
    let mut world = World::new();
    let first = world.submit(New::default());
    world.pass(Millis(1500));
    world.submit(New::default());
    world.record(QueuePaused { queue: queue("default") });
    world.record(QueuePaused { queue: queue("slow") });
    world.record(QueueResumed { queue: queue("slow") });
    world.commit();
    world.pass(Millis(500));
    world.views.set_limits(Limits { queues: [(queue("images"), 4)].into(), ..Limits::default() });
    let rows = world.views.queues(world.now());
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["default", "images"], "of one that has no jobs and was resumed nothing is known");
    assert_eq!(rows[0].oldest_age_s, Some(2.0));
    assert_eq!(rows[0].paused.as_ref().map(|pause| pause.by.clone()), Some(Actor::CLIENT));
    assert_eq!((rows[1].concurrency, rows[1].oldest_age_s), (Some(4), None));
    world.start(first, session(1));
    world.commit();
    assert_eq!(world.views.queues(world.now())[0].oldest_age_s, Some(0.5));
}

#[test]
fn queues_show_their_drain_and_their_rate_and_when_the_next_job_may_start() {
    let mut world = World::new();
    world.submit(New::default());
    world.record(QueueDraining { queue: queue("default") });
    world.record(QueueRateSpent { queue: queue("default"), jobs: 2, used_millionths: 2_000_000 });
    world.commit();
    let spent_at = world.now();
    let rate = "2/s".parse().expect("a rate");
    world
        .views
        .set_limits(Limits { rates: [(queue("default"), rate), (queue("new"), rate)].into(), ..Limits::default() });
    let rows = world.views.queues(world.now());
    assert_eq!(rows[0].draining.as_ref().map(|drain| drain.by.clone()), Some(Actor::CLIENT));
    assert_eq!((rows[0].rate, rows[0].next_start_at), (Some(rate), Some(spent_at.plus(Millis(500)))));
    assert_eq!((rows[1].name.as_str(), rows[1].rate, rows[1].next_start_at), ("new", Some(rate), None));
    world.pass(Millis(500));
    assert_eq!(world.views.queues(world.now())[0].next_start_at, None, "at once");
    world.record(QueueResumed { queue: queue("default") });
    world.commit();
    assert_eq!(world.views.queues(world.now())[0].draining, None);
}

#[test]
fn a_table_longer_than_one_slice_is_read_whole() {
    let mut world = World::new();
    let names: Vec<&'static str> = (0..600).map(|number| &*format!("q{number:04}").leak()).collect();
    names.iter().for_each(|&queue| _ = world.submit(New { queue, ..New::default() }));
    world.commit();
    let rows = world.views.queues(world.now());
    assert!(rows.iter().map(|row| row.name.as_str()).eq(names.iter().copied()));
}

#[test]
fn workers_show_what_they_run_and_when_they_were_heard_of() {
    let mut world = World::new();
    let ids: Vec<JobId> = (0..3).map(|_| world.submit(New::default())).collect();
    world.join(session(1), "north");
    world.join(session(2), "south");
    ids.iter().for_each(|id| world.start(*id, session(1)));
    world.finish(ids[1], StateName::Completed);
    world.commit();
    world.pass(Millis(4000));
    world.views.note_beat(session(1), world.now(), WorkerState::Quiet);
    world.views.note_beat(session(3), world.now(), WorkerState::Quiet);
    let rows = world.views.workers();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].jobs, [ids[0], ids[2]]);
    assert_eq!((rows[0].state, rows[0].last_beat_at), (WorkerState::Quiet, world.now()));
    assert_eq!((rows[1].state, rows[1].last_beat_at), (WorkerState::Run, rows[1].joined_at));
    world.record(WorkerLeft { session: session(1), cause: WorkerLeftCause::Closed });
    world.commit();
    assert_eq!(world.views.workers().len(), 1);
    assert_eq!(world.views.stats(world.now()).workers, 1);
}

#[test]
fn rates_count_what_pages_tell() {
    let mut world = World::new();
    let ids: Vec<JobId> = (0..60).map(|_| world.submit(New::default())).collect();
    ids.iter().take(30).for_each(|id| world.start(*id, session(1)));
    ids.iter().take(12).for_each(|id| world.finish(*id, StateName::Failed));
    world.commit();
    let rates = world.views.stats(world.now()).rates;
    assert_eq!(rates.submitted.per_second_1m, 1.0);
    assert_eq!(rates.started.per_second_1m, 0.5);
    assert_eq!(rates.failed.per_second_1m, 0.2);
    world.pass(Millis(60_000));
    assert_eq!(world.views.stats(world.now()).rates.submitted.per_second_1m, 0.0);
}

#[test]
fn readers_beside_the_writer_meet_no_gap_and_no_job_twice() {
    let mut world = World::new();
    let ids: Vec<JobId> = (0..3_000).map(|_| world.submit(New::default())).collect();
    world.commit();
    let World { views, jobs, .. } = world;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for limit in [1, 7, LIMIT_MAX] {
            let (views, is_over, ids) = (&views, &is_over, &ids);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let rows = read_all(views, &JobFilter::default(), limit.max(100));
                    assert!(rows.iter().rev().map(|row| row.id).eq(ids.iter().copied()));
                    assert!(views.row(ids[limit]).expect("reads").is_some());
                }
            });
        }
        let flusher = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                views.flush().expect("stores");
            }
        });
        for (job, finish) in jobs.iter().zip(1..) {
            let page = page_of_ending(job, finish);
            views.apply(&page).expect("the store takes finished jobs");
        }
        is_over.store(true, Ordering::Relaxed);
        flusher.join().expect("no panic");
    });
    let completed = JobFilter { states: vec![StateName::Completed], ..JobFilter::default() };
    assert_eq!(read_all(&views, &completed, LIMIT_MAX).len(), ids.len());
}

/// The page that says that a job has completed, as the `finish`th.
fn page_of_ending(job: &Arc<Job>, finish: u64) -> Page {
    let mut ended = Job::clone(job);
    ended.seq = Seq(3_000 + finish);
    let ending = Ending { finished_at: job.created_at, reason: None, finish_ordinal: FinishOrdinal(finish) };
    ended.state = JobState::Completed(ending);
    let record = Record {
        seq: ended.seq,
        at: job.created_at,
        previous: None,
        actor: Actor::SERVER,
        continues: false,
        event: JobCompleted { job: job.id, result: None }.into(),
    };
    Page { records: Arc::new([record]), jobs: vec![Arc::new(ended)], before: Vec::new(), forgotten: Vec::new() }
}
