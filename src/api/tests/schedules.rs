//! What the routes of schedules do, seen from outside, over an engine in memory.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::tests::world::{Answer as HttpAnswer, World};
use crate::domain::command::{Answer, Command, Fire, FireSchedule, SetSchedule};
use crate::domain::event::Actor;
use crate::domain::schedule::{Origin, ScheduleSpec};
use crate::domain::testing::{a_job, a_schedule, schedule_name};
use crate::domain::time::Timestamp;

const JSON: (&str, &str) = ("content-type", "application/json");

fn nightly() -> Value {
    let job = json!({"kind": "i2v", "args": {"steps": 9}});
    json!({"name": "nightly", "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "job": job})
}

impl World {
    async fn put(&self, path: &str, body: Value) -> HttpAnswer {
        self.ask("PUT", path, &[JSON], body.to_string().into()).await
    }
}

#[tokio::test]
async fn a_schedule_is_made_listed_changed_and_dropped() {
    let world = World::start().await;
    let made = world.post("/api/schedules", nightly()).await;
    let schedule = made.ok(201);
    assert_eq!(made.header("location"), "/api/schedules/nightly");
    let defaults = ["missed", "overlap", "origin"].map(|field| schedule[field].as_str().expect("a word").to_owned());
    assert_eq!(defaults, ["once", "queue", "api"]);
    assert_eq!(schedule["job"], nightly()["job"]);
    assert!(schedule["next_at"].is_string() && schedule["last_fired_at"].is_null());
    assert_eq!(world.get(made.header("location")).await.ok(200), schedule);
    world.get("/api/schedules/none").await.refused(404, "schedule_not_found");
    world.post("/api/schedules", nightly()).await.refused(409, "schedule_exists");

    let change = json!({"cron": "@hourly", "job": {"kind": "any", "args": {}}, "missed": "all", "overlap": "replace"});
    assert_eq!(world.put("/api/schedules/nightly", change.clone()).await.ok(200)["time_zone"], "UTC");
    assert_eq!(world.put("/api/schedules/daily", change).await.ok(201)["name"], "daily");
    let page = world.get("/api/schedules?limit=1").await.ok(200);
    assert_eq!(page["schedules"][0]["name"], "daily");
    let cursor = page["next_cursor"].as_str().expect("a next page");
    let rest = world.get(&format!("/api/schedules?limit=1&cursor={cursor}")).await.ok(200);
    assert_eq!((rest["schedules"][0]["name"].as_str(), rest["next_cursor"].is_null()), (Some("nightly"), true));

    let dropped = world.ask("DELETE", "/api/schedules/nightly", &[], Bytes::new()).await;
    assert_eq!((dropped.status, dropped.bytes.len()), (204, 0));
    world.ask("DELETE", "/api/schedules/nightly", &[], Bytes::new()).await.refused(404, "schedule_not_found");
    world.ask("DELETE", "/api/schedules/a%20b", &[], Bytes::new()).await.refused(404, "schedule_not_found");
}

#[tokio::test]
async fn a_schedule_that_is_wrong_is_refused_with_pointers() {
    let world = World::start().await;
    let pointers = |problem: Value| {
        let errors = problem["errors"].as_array().expect("a list").clone();
        errors.iter().map(|error| error["pointer"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    let with = |field: &str, value: Value| {
        let mut body = nightly();
        body[field] = value;
        world.post("/api/schedules", body)
    };
    assert_eq!(pointers(with("cron", json!("61 * * * *")).await.refused(422, "invalid_request")), ["/cron"]);
    assert_eq!(pointers(with("cron", json!("0 0 30 2 *")).await.refused(422, "invalid_request")), ["/cron"]);
    assert_eq!(pointers(with("time_zone", json!("Atlantis")).await.refused(422, "invalid_request")), ["/time_zone"]);
    let job = json!({"kind": "i2v", "args": {"steps": 500}});
    assert_eq!(pointers(with("job", job).await.refused(422, "invalid_args")), ["/job/args/steps"]);
    world.post("/api/schedules", json!([])).await.refused(422, "invalid_request");
    world.ask("POST", "/api/schedules", &[JSON], "{".into()).await.refused(400, "invalid_json");
    assert_eq!(world.get("/api/schedules").await.ok(200)["schedules"], json!([]));
}

#[tokio::test]
async fn a_schedule_of_the_configuration_is_changed_there() {
    let world = World::start().await;
    let spec = ScheduleSpec { origin: Origin::Config, ..a_schedule() };
    let set = SetSchedule { name: schedule_name("nightly"), spec, next_at: None, must_be_new: false };
    world.handle.submit(Command::SetSchedule(set), Actor::SERVER).await.expect("it is new");
    let problem = world.put("/api/schedules/nightly", nightly()).await.refused(409, "schedule_is_configured");
    assert!(problem["hint"].as_str().expect("a hint").contains("SIGHUP"));
    world.ask("DELETE", "/api/schedules/nightly", &[], Bytes::new()).await.refused(409, "schedule_is_configured");
}

#[tokio::test]
async fn a_job_that_a_schedule_made_says_so() {
    let world = World::start().await;
    let now = Timestamp::from_ms(1_790_000_000_000);
    let (name, next_at) = (schedule_name("nightly"), Some(now));
    let set = SetSchedule { name: name.clone(), spec: a_schedule(), next_at, must_be_new: false };
    world.handle.submit(Command::SetSchedule(set), Actor::CLIENT).await.expect("it is new");
    let changed = world.handle.views().schedule(&name).expect("it is there").changed;
    let what = Fire::Submit(Box::new(a_job()));
    let fire = FireSchedule { name: name.clone(), changed, expected: now, due_at: now, next_at: None, passed: 0, what };
    let fired = world.handle.submit(Command::FireSchedule(Box::new(fire)), Actor::schedule(&name)).await;
    let Answer::Fired(fired) = fired.expect("it is due").answer else { panic!("it says what came of it") };
    let why = world.get(&format!("/api/jobs/{}/why", fired.job_id.expect("a job"))).await.ok(200);
    assert_eq!(why["facts"]["schedule"], "nightly");
    assert!(why["sentence"].as_str().expect("a text").ends_with("The schedule nightly made it."));
    let schedule = world.get("/api/schedules").await.ok(200)["schedules"][0].clone();
    assert_eq!((schedule["last_outcome"].as_str(), schedule["next_at"].is_null()), (Some("submitted"), true));
}
