//! A real server and fifty real workers of all three transports, and everything that can happen to them: workers killed
//! and stopped, connections cut in the middle of frames, the server killed and started again.
//!
//! Goal: every job completes exactly once on record, no lease is held twice, nothing is left running, and each further run
//! has its reason in the timeline. A seed that failed is replayed with `CHAOS_SEED`; what processes do in between is theirs.

mod fleet;
mod monkey;
mod outages;
#[allow(dead_code, reason = "each test program uses a part of what they share")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::fleet::{Fleet, KINDS, Sort};
use crate::monkey::{Monkey, start};
use crate::support::dice::Dice;
use crate::support::life::Life;
use crate::support::proxy::{Odds, Proxy};
use crate::support::server::{Server, linger, quiet_address, verify};

/// How often things are looked at while jobs run.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// How long a round waits for its jobs: some of them wait for whoever stands still.
const ROUND: Duration = Duration::from_millis(900);
/// The longest that it waits until what is left of it and those before is not too much.
const ROUND_MAX: Duration = Duration::from_secs(10);
/// How many rounds' jobs may be left.
const LEFT_MAX: usize = 4;

/// How much there is to do, and to bear.
struct Plan {
    rounds: usize,
    jobs_a_round: usize,
    deeds_a_round: usize,
    /// How often the server is killed, stands still, or ends in order: one after the other.
    server_ends: usize,
    /// How long it may take until nothing is left, when nothing breaks any more.
    calm: Duration,
}

#[test]
fn whatever_breaks_fifty_real_workers_complete_each_job_once_and_each_run_has_its_reason() {
    chaos(&Plan { rounds: 20, jobs_a_round: 15, deeds_a_round: 3, server_ends: 3, calm: Duration::from_secs(60) });
}

#[test]
#[ignore = "takes six minutes: cargo test --release --test chaos -- --ignored --nocapture"]
fn whatever_breaks_for_long_fifty_real_workers_complete_twenty_thousand_jobs_once() {
    chaos(&Plan { rounds: 200, jobs_a_round: 100, deeds_a_round: 4, server_ends: 12, calm: Duration::from_secs(180) });
}

fn chaos(plan: &Plan) {
    let seed = seed();
    // First of all, so that it is known also of a run that hangs.
    eprintln!("CHAOS_SEED={seed}");
    let mut dice = Dice::new(seed);
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("daybook.toml"), fleet::config(directory.path())).expect("writes");
    let address = quiet_address();
    let server = start(directory.path(), &address);
    let sockets = Proxy::to(&address, Some(Odds { one_in: 1, within_bytes: 40_000 }), dice.fork());
    let calls = Proxy::to(&address, Some(Odds { one_in: 25, within_bytes: 1_200 }), dice.fork());
    let fleet = Fleet::start(directory.path(), &sockets, &calls);
    let mut monkey = Monkey::new(directory.path(), server, fleet, [&sockets, &calls], dice.fork());
    let begun = Instant::now();
    let ids = break_things(&mut monkey, plan, &mut dice);
    let broken = begun.elapsed();
    monkey.leave_off();
    finish(&mut monkey, plan.calm, ids.len());
    let ended = std::mem::take(&mut monkey.fleet.ended);
    let deeds = std::mem::take(&mut monkey.deeds);
    let server = monkey.into_server();
    let lives = check_record(&server, &ids);
    assert!(server.stop().success(), "SIGTERM ends in order");
    check_notes(&fleet::notes(directory.path()));
    let (code, said) = verify(&directory.path().join("data"));
    assert_eq!(code, Some(0), "the fold equals the views: {said}");
    let cuts = sockets.cuts() + calls.cuts();
    println!("seed {seed}: {} jobs, {lives}; {cuts} cuts, {deeds:?}; ended by themselves: {ended:?}", ids.len());
    println!("{:.1} s of chaos, {:.1} s in all", broken.as_secs_f64(), begun.elapsed().as_secs_f64());
    assert_eq!(ended.get(&Sort::Work), None, "`daybook work` ends when it is told to, and never by itself");
    assert!(cuts > 10 && deeds["server killed"] > 0, "things broke");
}

fn seed() -> u64 {
    match std::env::var("CHAOS_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64,
    }
}

/// Submits jobs round by round, and breaks things while they run. Gives their ids.
fn break_things(monkey: &mut Monkey<'_>, plan: &Plan, dice: &mut Dice) -> Vec<String> {
    let mut ids = Vec::new();
    for round in 0..plan.rounds {
        ids.extend(submit(monkey.server(), plan.jobs_a_round, dice));
        for _ in 0..plan.deeds_a_round {
            monkey.act();
        }
        let ends = |round: usize| round * plan.server_ends / plan.rounds;
        if ends(round + 1) > ends(round) {
            match ends(round + 1) % 3 {
                0 => monkey.end_server(true),
                1 => monkey.end_server(false),
                _ => monkey.hold_server(),
            }
        }
        wait_for_most(monkey, plan.jobs_a_round);
    }
    ids
}

fn wait_for_most(monkey: &mut Monkey<'_>, jobs_a_round: usize) {
    let begun = Instant::now();
    loop {
        let elapsed = begun.elapsed();
        let left = if elapsed < ROUND { jobs_a_round / 3 } else { jobs_a_round * LEFT_MAX };
        if elapsed > ROUND_MAX || active(monkey.server()) <= left as u64 {
            return;
        }
        monkey.look_after(Instant::now());
        linger(LOOK_EVERY);
    }
}

fn submit(server: &Server, count: usize, dice: &mut Dice) -> Vec<String> {
    let mut job = || {
        // Most for those elsewhere, who have the most to bear.
        let kind = KINDS[[0, 1, 2, 2, 2, 2][dice.below(6) as usize]];
        let pace = ["slow", "steady", "quick"][dice.below(3) as usize];
        json!({"kind": kind, "args": {"pace": pace}})
    };
    let jobs: Vec<Value> = (0..count).map(|_| job()).collect();
    let made = server.post("/api/jobs/bulk", &json!({"jobs": jobs})).ok(201);
    made["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
}

/// How many jobs have not come to their end.
fn active(server: &Server) -> u64 {
    let counts = server.read("/api/stats")["jobs"].clone();
    let count = |state: &str| counts[state].as_u64().unwrap_or_else(|| panic!("{state} in {counts}"));
    ["scheduled", "queued", "blocked", "running", "retryable"].into_iter().map(count).sum()
}

/// Waits until nothing is left.
fn finish(monkey: &mut Monkey<'_>, within: Duration, jobs: usize) {
    let begun = Instant::now();
    while active(monkey.server()) > 0 {
        if begun.elapsed() > within {
            let left = monkey.server().read("/api/jobs?state=active&limit=20")["jobs"].clone();
            let workers = monkey.server().read("/api/workers");
            panic!("nothing is stuck, and yet, of {jobs} jobs, there are {left:#}\nand workers {workers:#}");
        }
        monkey.look_after(Instant::now());
        linger(LOOK_EVERY);
    }
}

/// Holds the life of every job against its promises, and says what it was like.
fn check_record(server: &Server, ids: &[String]) -> String {
    assert_eq!(server.read("/api/jobs?state=active")["jobs"], json!([]), "nothing is left running");
    let (mut causes, mut adopted, mut late) = (BTreeMap::<String, usize>::new(), 0, 0);
    for id in ids {
        let job = server.read(&format!("/api/jobs/{id}"));
        assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(1)), "{job}");
        let events = server.read(&format!("/api/jobs/{id}/events?limit=500"));
        assert_eq!(events["next_cursor"], Value::Null, "all of them are here");
        let life = Life::of_completed(&events);
        let counted = events["events"].as_array().expect("events").iter();
        let counted = counted.filter(|event| event["data"]["counted"] == json!(true)).count();
        assert_eq!(job["lost_count"], json!(counted), "what counts as a loss is on record: {events:#}");
        life.causes.iter().for_each(|(cause, count)| *causes.entry(cause.clone()).or_default() += count);
        (adopted, late) = (adopted + life.adopted, late + life.late);
    }
    let stats = server.read("/api/stats")["jobs"].clone();
    assert_eq!(stats["completed"], json!(ids.len()), "and there are no others: {stats}");
    format!("further runs {causes:?}, {adopted} adoptions, {late} late words")
}

/// No lease was worked on by two programs.
fn check_notes(path: &Path) {
    let notes = std::fs::read_to_string(path).expect("programs ran");
    let tokens: Vec<&str> = notes.lines().collect();
    let different: BTreeSet<&str> = tokens.iter().copied().collect();
    assert_eq!(tokens.len(), different.len(), "each lease is handed out once");
}
