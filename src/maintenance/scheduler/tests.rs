//! The scheduler over a real engine in memory, with a clock that stands until it is turned.

use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::domain::command::StartEpoch;
use crate::domain::event::{ActorKind, Event, Record};
use crate::domain::id::{Epoch, Seq};
use crate::domain::json::Json;
use crate::domain::queue::Limits;
use crate::domain::schedule::{Missed, Overlap, ScheduleSpec};
use crate::domain::time::Millis;
use crate::engine::recovery::recover;
use crate::engine::{Engine, Parts};
use crate::kinds::schema::ArgsSchema;
use crate::kinds::{Kind, KindSettings};
use crate::log::memory::{MemoryLog, MemoryStore};
use crate::views::MemoryFinished;

const MINUTE: Millis = Millis::from_secs(60);

/// A server without a network: what is stored outlives a restart.
struct World {
    store: Arc<MemoryStore>,
    finished: Arc<MemoryFinished>,
    clock: Arc<ManualClock>,
    catalog: watch::Sender<Arc<Catalog>>,
    running: Option<(Engine, Handle)>,
}

fn moment(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a moment")
}

fn catalog(steps_max: u64) -> Arc<Catalog> {
    let schema = json!({"properties": {"steps": {"type": "integer", "maximum": steps_max, "default": 1}}});
    let schema = Some(ArgsSchema::compile(schema).expect("a schema"));
    let kind = Kind { name: "draw".parse().expect("a name"), schema, settings: KindSettings::default(), run: None };
    Arc::new(Catalog::new([kind], false))
}

fn settings(name: &str, cron: &str, missed: Missed, overlap: Overlap) -> ScheduleSettings {
    let calendar = Calendar::read(cron, "UTC").expect("reads");
    let job = Json::from_checked(r#"{"kind":"draw","args":{"steps":5}}"#);
    let (cron, time_zone) = (calendar.text.clone(), calendar.zone_name.clone());
    let spec = ScheduleSpec { cron, time_zone, job, missed, overlap, origin: Origin::Config };
    ScheduleSettings { name: name.parse().expect("a name"), spec, calendar }
}

fn every_minute(missed: Missed) -> ScheduleSettings {
    settings("minutely", "* * * * *", missed, Overlap::Queue)
}

impl World {
    async fn start() -> World {
        let mut world = World {
            store: Arc::default(),
            finished: Arc::default(),
            clock: Arc::new(ManualClock::new(moment("2026-11-22T10:00:30Z"))),
            catalog: watch::Sender::new(catalog(9)),
            running: None,
        };
        world.restart().await;
        world
    }

    /// Ends the engine, if there is one, and starts another on what is stored.
    async fn restart(&mut self) {
        if let Some((engine, handle)) = self.running.take() {
            drop(handle);
            engine.join().expect("the log is closed");
        }
        let log = Box::new(MemoryLog::open(self.store.clone()));
        let reader = crate::log::EventLog::reader(&*log);
        let recovered = recover(&reader, |_| None, self.finished.clone(), &|_| ()).expect("the log can be read");
        let (state, views, clock) = (recovered.state, recovered.views, self.clock.clone());
        let (engine, handle) = Engine::start(Parts { log, state, views, limits: Limits::default(), clock, seed: 1 });
        let start = StartEpoch { epoch: Epoch(uuid::Uuid::from_u128(7)), reset: false, clean_shutdown: true };
        handle.submit(Command::StartEpoch(start), Actor::SERVER).await.expect("starts");
        self.running = Some((engine, handle));
    }

    fn handle(&self) -> &Handle {
        &self.running.as_ref().expect("it runs").1
    }

    fn scheduler(&self) -> Scheduler {
        Scheduler::new(self.handle().clone(), self.clock.clone(), self.catalog.subscribe())
    }

    async fn configured(&self, settings: &[ScheduleSettings]) {
        set_configured(self.handle(), &*self.clock, settings).await.expect("the engine takes it");
    }

    /// Time passes, and then the scheduler looks.
    async fn passes(&self, span: Millis) {
        self.clock.advance(span);
        self.scheduler().fire_due().await.expect("the engine takes it");
    }

    fn records(&self) -> Vec<Record> {
        let log = self.handle().log();
        let mut records: Vec<Record> = Vec::new();
        loop {
            let page = log.page_after(records.last().map_or(Seq::ZERO, |last| last.seq)).expect("reads");
            if page.is_empty() {
                return records;
            }
            records.extend(page);
        }
    }

    fn fired(&self) -> Vec<ScheduleFired> {
        let events = self.records().into_iter().map(|record| record.event);
        let fired = events.filter_map(|event| if let Event::ScheduleFired(data) = event { Some(data) } else { None });
        fired.collect()
    }

    fn outcomes(&self) -> Vec<(String, FireOutcome)> {
        self.fired().into_iter().map(|fired| (fired.due_at.to_string()[11..16].to_owned(), fired.outcome)).collect()
    }

    fn submitted(&self) -> usize {
        self.records().iter().filter(|record| matches!(record.event, Event::JobSubmitted(_))).count()
    }

    fn next_at(&self, name: &str) -> Option<Timestamp> {
        self.handle().views().schedule(&name.parse().expect("a name")).and_then(|schedule| schedule.next_at)
    }
}

fn at(time: &str, outcome: FireOutcome) -> (String, FireOutcome) {
    (time.to_owned(), outcome)
}

#[tokio::test]
async fn a_job_is_made_when_its_time_has_come_and_says_who_made_it() {
    let world = World::start().await;
    world.configured(&[every_minute(Missed::Once)]).await;
    world.passes(Millis(29_999)).await;
    assert_eq!(world.outcomes(), []);
    world.passes(Millis(1)).await;
    assert_eq!(world.outcomes(), [at("10:01", FireOutcome::Submitted)]);
    let records = world.records();
    let submitted = records.iter().find(|record| matches!(record.event, Event::JobSubmitted(_))).expect("a job");
    assert_eq!((submitted.actor.kind, submitted.actor.id.as_deref()), (ActorKind::Schedule, Some("minutely")));
    world.scheduler().fire_due().await.expect("the engine takes it");
    assert_eq!(world.outcomes().len(), 1);
    assert_eq!(world.next_at("minutely"), Some(moment("2026-11-22T10:02:00Z")));
}

#[tokio::test]
async fn two_schedulers_fire_a_time_once() {
    let world = World::start().await;
    world.configured(&[every_minute(Missed::Once)]).await;
    world.clock.advance(MINUTE);
    let (one, other) = (world.scheduler(), world.scheduler());
    let (one, other) = tokio::join!(one.fire_due(), other.fire_due());
    assert!(one.is_ok() && other.is_ok());
    assert_eq!((world.outcomes().len(), world.submitted()), (1, 1));
}

#[tokio::test]
async fn a_restart_keeps_the_next_time_and_fires_nothing_twice() {
    let mut world = World::start().await;
    let configured = [every_minute(Missed::All), settings("daily", "@daily", Missed::Once, Overlap::Skip)];
    world.configured(&configured).await;
    world.passes(MINUTE).await;
    let next_at = world.next_at("minutely");
    world.clock.advance(Millis(200));
    world.restart().await;
    let before = world.records().len();
    world.configured(&configured).await;
    assert_eq!(world.records().len(), before, "what is so already makes no event");
    world.scheduler().fire_due().await.expect("the engine takes it");
    assert_eq!((world.next_at("minutely"), world.outcomes().len()), (next_at, 1));
    assert_eq!(world.next_at("daily"), Some(moment("2026-11-23T00:00:00Z")));
}

#[tokio::test]
async fn missed_times_are_made_up_for_as_the_schedule_says() {
    let submitted = FireOutcome::Submitted;
    for (missed, wanted) in [
        (Missed::Skip, vec![at("10:03", FireOutcome::Missed)]),
        (Missed::Once, vec![at("10:03", submitted)]),
        (Missed::All, vec![at("10:01", submitted), at("10:02", submitted), at("10:03", submitted)]),
    ] {
        let mut world = World::start().await;
        let every = settings("minutely", "1-3 10 * * *", missed, Overlap::Queue);
        world.configured(std::slice::from_ref(&every)).await;
        world.clock.advance(Millis::from_secs(600));
        world.restart().await;
        world.configured(&[every]).await;
        world.scheduler().fire_due().await.expect("the engine takes it");
        assert_eq!(world.outcomes(), wanted, "{missed:?}");
        assert_eq!(world.next_at("minutely"), Some(moment("2026-11-23T10:01:00Z")), "{missed:?}");
        let passed: u32 = world.fired().iter().map(|fired| fired.passed).sum();
        assert_eq!(passed, 3 - wanted.len() as u32, "{missed:?}");
    }
}

#[tokio::test]
async fn a_restart_of_some_seconds_misses_nothing_even_for_a_schedule_that_skips() {
    let mut world = World::start().await;
    world.configured(&[every_minute(Missed::Skip)]).await;
    world.clock.advance(Millis(33_000));
    world.restart().await;
    world.scheduler().fire_due().await.expect("the engine takes it");
    assert_eq!(world.outcomes(), [at("10:01", FireOutcome::Submitted)]);
}

#[tokio::test]
async fn a_kind_that_has_changed_makes_the_time_fail_and_the_schedule_goes_on() {
    let world = World::start().await;
    world.configured(&[every_minute(Missed::Once)]).await;
    world.catalog.send_replace(catalog(4));
    world.passes(MINUTE).await;
    let fired = world.fired().remove(0);
    let error = fired.error.expect("it says why");
    assert_eq!((fired.outcome, &*error.code), (FireOutcome::Failed, "invalid_args"));
    assert!(error.message.contains("/args/steps"), "{}", error.message);
    world.catalog.send_replace(catalog(5));
    world.passes(MINUTE).await;
    assert_eq!(world.outcomes()[1], at("10:02", FireOutcome::Submitted));
}

#[tokio::test]
async fn a_schedule_that_skips_overlaps_waits_for_its_job_to_end() {
    let world = World::start().await;
    world.configured(&[settings("minutely", "* * * * *", Missed::Once, Overlap::Skip)]).await;
    world.passes(MINUTE).await;
    world.passes(MINUTE).await;
    let wanted = [at("10:01", FireOutcome::Submitted), at("10:02", FireOutcome::SkippedOverlap)];
    assert_eq!(world.outcomes(), wanted);
    let job = world.fired()[0].job_id.expect("a job was made");
    world.handle().submit(Command::Cancel { job, children: false }, Actor::CLIENT).await.expect("it is active");
    world.passes(MINUTE).await;
    assert_eq!(world.outcomes()[2], at("10:03", FireOutcome::Submitted));
}

#[tokio::test]
async fn what_vanishes_from_the_configuration_is_dropped_and_what_clients_made_stays() {
    let world = World::start().await;
    let two = [every_minute(Missed::Once), settings("daily", "@daily", Missed::Once, Overlap::Queue)];
    world.configured(&two).await;
    let ScheduleSettings { mut spec, .. } = every_minute(Missed::Once);
    spec.origin = Origin::Api;
    let name = "mine".parse().expect("a name");
    let set = SetSchedule { name, spec, next_at: None, must_be_new: true };
    world.handle().submit(Command::SetSchedule(set), Actor::CLIENT).await.expect("it is new");
    world.configured(&two[1..]).await;
    let names: Vec<String> = world.handle().views().schedules().iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["daily", "mine"]);
}

#[tokio::test]
async fn a_schedule_whose_time_zone_is_gone_fails_once_and_rests_until_it_is_set_again() {
    let world = World::start().await;
    let ScheduleSettings { name, mut spec, .. } = every_minute(Missed::Once);
    spec.time_zone = "Lost/Atlantis".into();
    let set = SetSchedule { name, spec, next_at: Some(moment("2026-11-22T10:01:00Z")), must_be_new: true };
    world.handle().submit(Command::SetSchedule(set), Actor::SERVER).await.expect("it is new");
    world.passes(MINUTE).await;
    world.passes(MINUTE).await;
    assert_eq!(world.outcomes(), [at("10:01", FireOutcome::Failed)]);
    assert_eq!(world.next_at("minutely"), None);
    world.configured(&[every_minute(Missed::Once)]).await;
    world.passes(MINUTE).await;
    assert_eq!(world.outcomes()[1], at("10:03", FireOutcome::Submitted));
}

#[tokio::test]
async fn while_the_disk_is_low_nothing_is_fired_and_nothing_is_lost() {
    let world = World::start().await;
    world.configured(&[every_minute(Missed::Once)]).await;
    world.handle().set_storage_low(Some((1, 2)));
    world.clock.advance(MINUTE);
    let refused = world.scheduler().fire_due().await.expect_err("the disk is low");
    assert!(matches!(refused, SubmitError::StorageLow { .. }));
    world.handle().set_storage_low(None);
    world.scheduler().fire_due().await.expect("the engine takes it");
    assert_eq!(world.submitted(), 1);
}

#[tokio::test]
async fn the_running_scheduler_is_woken_by_a_schedule_that_is_due_at_once() {
    let world = World::start().await;
    let running = tokio::spawn(world.scheduler().run());
    let mut changes = world.handle().views().follow_schedules();
    let ScheduleSettings { name, spec, .. } = every_minute(Missed::Once);
    let set = SetSchedule { name, spec, next_at: Some(world.clock.now()), must_be_new: true };
    world.handle().submit(Command::SetSchedule(set), Actor::SERVER).await.expect("it is new");
    while world.submitted() == 0 {
        changes.changed().await.expect("the views are there");
    }
    running.abort();
}

#[test]
fn what_is_far_is_looked_at_again_after_a_while_in_case_the_clock_jumps() {
    let now = moment("2026-11-22T10:00:30Z");
    assert_eq!(pause_before(now.plus(Millis(20)), now), Duration::from_millis(20));
    assert_eq!(pause_before(now.plus(Millis::from_secs(3600)), now), SLEEP_MAX);
    assert_eq!(pause_before(now, now), SLEEP_MIN);
}
