//! Schedules as users meet them: what restarts keep, what a reload changes, and what is made up for after the server was
//! down. The past is made by an engine of the library with a clock of its own; the server that goes on is the real one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daybook::clock::{Clock, ManualClock, SystemClock};
use daybook::domain::command::{Command, SetSchedule, StartEpoch};
use daybook::domain::event::Actor;
use daybook::domain::id::Epoch;
use daybook::domain::json::Json;
use daybook::domain::queue::Limits;
use daybook::domain::schedule::{Missed, Origin, Overlap, ScheduleSpec};
use daybook::domain::time::{Millis, Timestamp};
use daybook::engine::recovery::recover;
use daybook::engine::{Engine, Parts};
use daybook::schedules::Calendar;
use daybook::storage;
use daybook::views::MemoryFinished;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::TestServer;

/// How long a server may take for what it does at once.
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
[[schedules]]
name = "backup"
cron = "30 2 * * *"
time_zone = "Europe/Berlin"
job = { kind = "dump", args = { to = "/backup" } }

[[schedules]]
name = "tidy"
cron = "@weekly"
overlap = "skip"
job = { kind = "tidy", args = {} }
"#;

fn schedules(server: &TestServer) -> Vec<Value> {
    server.get("/api/schedules").ok(200)["schedules"].as_array().expect("a list").clone()
}

fn named(server: &TestServer, name: &str) -> Value {
    let found = schedules(server).into_iter().find(|schedule| schedule["name"] == name);
    found.unwrap_or_else(|| panic!("there is a schedule {name}"))
}

fn names(server: &TestServer) -> Vec<String> {
    schedules(server).iter().map(|schedule| schedule["name"].as_str().expect("a name").to_owned()).collect()
}

/// How many jobs of a kind there are.
fn jobs_of(server: &TestServer, kind: &str) -> usize {
    let page = server.get(&format!("/api/jobs?kind={kind}&limit=500")).ok(200);
    page["jobs"].as_array().expect("rows").len()
}

/// Asks until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_a_client_and_the_configuration_made_outlives_a_kill() {
    let server = TestServer::with_config(CONFIG);
    let mine = json!({"name": "mine", "cron": "@yearly", "job": {"kind": "x", "args": {}}, "missed": "all"});
    server.post("/api/schedules", &mine).ok(201);
    let before = schedules(&server);
    assert_eq!(names(&server), ["backup", "mine", "tidy"]);
    let server = server.kill_and_restart();
    assert_eq!(schedules(&server), before);
    // The three, and an epoch before and after them: what is so already makes no event.
    assert_eq!(server.get("/health").ok(200)["seq"], 5);
    let refused = server.ask("DELETE", "/api/schedules/backup", &[], b"");
    refused.refused(409, "schedule_is_configured");
}

#[test]
fn a_reload_sets_what_is_new_drops_what_has_vanished_and_leaves_the_rest() {
    let server = TestServer::with_config(CONFIG);
    server
        .post("/api/schedules", &json!({"name": "mine", "cron": "@yearly", "job": {"kind": "x", "args": {}}}))
        .ok(201);
    let untouched = named(&server, "backup");
    let changed = CONFIG.replace("name = \"tidy\"", "name = \"sweep\"");
    std::fs::write(server.directory().join("daybook.toml"), changed).expect("writes");
    kill(Pid::from_raw(server.process() as i32), Signal::SIGHUP).expect("it runs");
    until("the schedules are read again", || names(&server) == ["backup", "mine", "sweep"]);
    assert_eq!(named(&server, "backup"), untouched);
    std::fs::write(server.directory().join("daybook.toml"), "").expect("writes");
    let server = server.stop_and_restart();
    assert_eq!(names(&server), ["mine"]);
}

/// Makes a data directory as a server leaves it that was killed at a moment of the past, with a schedule for each name.
fn leave_data(data: &Path, at: Timestamp, wanted: &[(&str, Missed, Overlap)]) {
    let opened = storage::open(data, &storage::Options::default()).expect("a new log");
    let reader = opened.log.reader();
    let recovered = recover(&reader, |_| None, Arc::new(MemoryFinished::default()), &|_| ()).expect("it is empty");
    let clock = Arc::new(ManualClock::new(at));
    let parts = Parts {
        log: opened.log,
        state: recovered.state,
        views: recovered.views,
        limits: Limits::default(),
        clock,
        seed: 1,
    };
    let (engine, handle) = Engine::start(parts);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let start = StartEpoch { epoch: Epoch(uuid::Uuid::now_v7()), reset: false, clean_shutdown: true };
        handle.submit(Command::StartEpoch(start), Actor::SERVER).await.expect("starts");
        for (name, missed, overlap) in wanted {
            let calendar = Calendar::read("*/10 * * * *", "UTC").expect("reads");
            let spec = ScheduleSpec {
                cron: calendar.text.clone(),
                time_zone: calendar.zone_name.clone(),
                job: Json::from_checked(format!(r#"{{"kind":"{name}","args":{{}}}}"#)),
                missed: *missed,
                overlap: *overlap,
                origin: Origin::Api,
            };
            let (name, next_at) = (name.parse().expect("a name"), calendar.after(at));
            let set = SetSchedule { name, spec, next_at, must_be_new: true };
            handle.submit(Command::SetSchedule(set), Actor::CLIENT).await.expect("it is new");
        }
    });
    drop(handle);
    engine.join().expect("the log is closed");
    drop(opened.lock);
}

#[test]
fn after_hours_without_a_server_missed_times_are_made_up_for_once_even_over_a_kill() {
    let own = tempfile::tempdir().expect("a directory");
    std::fs::write(own.path().join("daybook.toml"), "").expect("writes");
    let five_hours_ago = Timestamp::from_ms(SystemClock.now().as_ms() - Millis::from_secs(5 * 3600).0 as i64);
    let wanted = [
        ("all", Missed::All, Overlap::Queue),
        ("never", Missed::Skip, Overlap::Queue),
        ("once", Missed::Once, Overlap::Replace),
    ];
    leave_data(&own.path().join("data"), five_hours_ago, &wanted);
    let server = TestServer::owning(own);
    // They are fired in the order of their names.
    until("the last is fired", || named(&server, "once")["last_fired_at"].is_string());
    // In five hours there are thirty times; one more may come while the test runs.
    let all = jobs_of(&server, "all");
    assert!((29..=31).contains(&all), "{all}");
    assert!(jobs_of(&server, "never") <= 1, "only a time that has just come makes a job");
    assert!((1..=2).contains(&jobs_of(&server, "once")));
    let once = named(&server, "once");
    assert_eq!(once["last_outcome"], "submitted");
    let before = (named(&server, "all")["next_at"].clone(), all);
    let server = server.kill_and_restart();
    let now = (named(&server, "all")["next_at"].clone(), jobs_of(&server, "all"));
    assert!(now == before || now.1 == before.1 + 1, "{before:?} became {now:?}");
    let why = server.get(&format!("/api/jobs/{}/why", once["last_job_id"].as_str().expect("an id"))).ok(200);
    assert_eq!(why["facts"]["schedule"], "once");
}
