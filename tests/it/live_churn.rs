//! Pages that are cut off, stop reading, sleep, and come back, while jobs change at a held rate and the server is killed
//! and stopped under them. At the end each mirror is what the server shows, each follower of events has every event once,
//! and no frame ever left a hole (the mirror looks).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::live::{Mirror, Page};
use crate::support::server::linger;

/// More pages and a longer time when this is set.
const MORE: &str = "DAYBOOK_LIVE_CHURN";
/// How fast jobs change.
const EVENTS_A_SECOND: u64 = 1_000;
/// After so many events a page that stopped reading goes on: more than its buffers hold, where it follows events.
const STALL_EVENTS: u64 = 4_000;
/// How many commits the feed keeps for whoever is late; who sleeps sleeps longer.
const RING_COMMITS: u64 = 1_024;
const SLEEP_COMMITS: u64 = RING_COMMITS + 200;
/// So many there are at least.
const COMMITS_MIN: u64 = SLEEP_COMMITS + 300;
/// So many jobs there are at most: then they only change, so that a snapshot has them all.
const JOBS_MAX: usize = 8_000;
/// The name of the last queue and of the last worker: whoever has heard of it has heard all.
const FINAL: &str = "final";

/// A program that prints until it is killed; with the server it begins again.
const TALK: &str = r#"
[kinds.talk.run]
mode = "command"
command = ["sh", "-c", "while :; do echo one; echo two; sleep 0.02; done"]
processes = 1
grace_s = 1
"#;

/// How much there is to bear.
struct Plan {
    pages: u64,
    seconds: u64,
    /// Every how many pages one is held against the schemas.
    checked_one_in: u64,
}

/// How far the server has come.
#[derive(Clone, Default)]
struct Progress {
    address: String,
    seq: u64,
    /// Changes that were answered for, each durable by itself.
    commits: u64,
    has_ended: bool,
    /// How many lines the log has that some follow, once nothing is added any more.
    lines: Option<usize>,
}

/// What pages and the driver share.
#[derive(Default)]
struct Shared {
    now: Mutex<Progress>,
    moved: Condvar,
}

impl Shared {
    fn now(&self) -> Progress {
        self.now.lock().unwrap().clone()
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.now.lock().unwrap());
        self.moved.notify_all();
    }

    /// Waits until something has come about, or everything has ended.
    fn wait(&self, until: impl Fn(&Progress) -> bool) {
        drop(self.moved.wait_while(self.now.lock().unwrap(), |now| !now.has_ended && !until(now)).unwrap());
    }
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % count
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// One page: what it follows, and what it has of it.
struct Viewer {
    topic: &'static str,
    filter: Value,
    mirror: Mirror,
    is_checked: bool,
    cuts: usize,
    /// Whether it will sleep yet, and how many commits it missed at once.
    is_tired: bool,
    slept: u64,
}

impl Viewer {
    fn new(number: u64, plan: &Plan, talker: &str, dice: &mut Dice) -> Viewer {
        let topic = match number % 10 {
            4 => "queues",
            7 => "workers",
            5 => "logs",
            1 | 2 | 8 => "events",
            _ => "jobs",
        };
        let mut filter = json!({});
        if topic == "logs" {
            filter["id"] = json!(talker);
        }
        if topic == "jobs" {
            filter["limit"] = json!(10_000);
            let states = [json!("queued"), json!("active"), json!(["cancelled", "queued"]), Value::Null, Value::Null];
            filter["state"] = states[dice.below(5) as usize].clone();
            for (name, values) in [("kind", ["a", "b", "c"]), ("queue", ["x", "y", "x"]), ("tag", ["t", "u", "t"])] {
                if dice.below(2) == 0 {
                    filter[name] = json!(dice.pick(&values));
                }
            }
        }
        let (is_checked, is_tired) = (number.is_multiple_of(plan.checked_one_in), number.is_multiple_of(4));
        Viewer { topic, filter, mirror: Mirror::default(), is_checked, cuts: 0, is_tired, slept: 0 }
    }

    /// Queues and workers: all is there when the last one is. Lines have numbers of their own.
    fn ends_by_itself(&self) -> bool {
        self.topic == "queues" || self.topic == "workers" || self.topic == "logs"
    }

    /// Follows to the end: the job of kind `final`, and everything before it.
    fn follow(mut self, shared: &Shared, mut dice: Dice) -> Viewer {
        let mut end = None;
        loop {
            let before = shared.now();
            match Page::open(&before.address, self.is_checked) {
                Some(page) => self.watch(page, shared, &mut dice, &mut end),
                None => shared.wait(|now| now.address != before.address),
            }
            if self.has_all(end, shared) {
                return self;
            }
            if self.is_tired && self.mirror.at.is_some() && !shared.now().has_ended {
                let asleep = shared.now().commits;
                shared.wait(|now| now.commits >= asleep + SLEEP_COMMITS);
                (self.is_tired, self.slept) = (false, shared.now().commits - asleep);
            }
        }
    }

    fn has_all(&self, end: Option<u64>, shared: &Shared) -> bool {
        match self.topic {
            "queues" | "workers" => return self.mirror.rows.values().any(|row| row["name"] == FINAL),
            "logs" => return shared.now().lines.is_some_and(|lines| self.mirror.lines.len() == lines),
            _ => {}
        }
        end.is_some_and(|end| self.mirror.is_live && self.mirror.at.as_ref().is_some_and(|(_, at)| *at >= end))
    }

    /// Follows over one connection, until it breaks or is cut.
    fn watch(&mut self, mut page: Page, shared: &Shared, dice: &mut Dice, end: &mut Option<u64>) {
        let is_last = end.is_some();
        self.mirror.is_live = false;
        let since = self.mirror.since();
        if self.topic == "logs" {
            self.filter["after"] = json!(self.mirror.lines.len());
        }
        if page.try_subscribe("end", "jobs", json!({"kind": FINAL}), Value::Null).is_err()
            || page.try_subscribe("m", self.topic, self.filter.clone(), since).is_err()
        {
            return;
        }
        let epoch = page.epoch().clone();
        while let Ok(frame) = page.receive() {
            if frame["id"] == "end" {
                *end = end.or(frame["jobs"][0]["seq"].as_u64());
                // The others come back once more, from where they are; what the rest are comes here.
                if end.is_some() && !is_last && !self.ends_by_itself() || self.has_all(*end, shared) {
                    return;
                }
                continue;
            }
            if frame["type"] == "goodbye" {
                continue;
            }
            self.mirror.take(&epoch, &frame);
            if self.has_all(*end, shared) {
                return;
            }
            if self.is_tired && self.mirror.is_live && self.mirror.at.is_some() {
                return;
            }
            let is_over = is_last || shared.now().has_ended;
            if !is_over && dice.below(if self.ends_by_itself() { 10 } else { 100 }) == 0 {
                self.cuts += 1;
                return;
            }
            if !is_over && dice.below(if self.topic == "events" { 100 } else { 400 }) == 0 {
                let seq = shared.now().seq;
                shared.wait(|now| now.seq >= seq + STALL_EVENTS);
            }
        }
    }
}

/// Changes jobs at the rate.
struct Driver {
    dice: Dice,
    begun: Instant,
    ids: Vec<String>,
    workers: VecDeque<String>,
    rounds: u64,
}

impl Driver {
    /// Says something to the server, and notes if something came of it. What can no longer be done is refused.
    fn ask(&self, server: &TestServer, shared: &Shared, method: &str, path: &str, body: &Value) -> Value {
        let headers = [("content-type", "application/json")];
        let answer = server.raw(method, path, &headers, body.to_string().as_bytes());
        if answer.status < 300 {
            shared.change(|now| now.commits += 1);
        }
        if answer.bytes.is_empty() { Value::Null } else { answer.json() }
    }

    /// Goes on until so many seconds have passed and so much has happened, and never faster than the rate.
    fn drive(&mut self, server: &TestServer, shared: &Shared, seconds: u64, commits: u64) {
        while self.begun.elapsed() < Duration::from_secs(seconds) || shared.now().commits < commits {
            self.round(server, shared);
            self.note_seq(server, shared);
            let due = Duration::from_micros(shared.now().seq * 1_000_000 / EVENTS_A_SECOND);
            linger(due.saturating_sub(self.begun.elapsed()));
        }
    }

    fn note_seq(&self, server: &TestServer, shared: &Shared) {
        let seq = server.raw("GET", "/health", &[], b"").ok(200)["seq"].as_u64().expect("a number");
        shared.change(|now| now.seq = seq);
    }

    /// Whether more should have happened by now.
    fn is_late(&self, seq: u64) -> bool {
        u128::from(seq) < self.begun.elapsed().as_millis() * u128::from(EVENTS_A_SECOND) / 1_000
    }

    fn round(&mut self, server: &TestServer, shared: &Shared) {
        self.rounds += 1;
        let (kind, queue, tag) =
            (self.dice.pick(&["a", "b", "c"]), self.dice.pick(&["x", "y"]), self.dice.pick(&["t", "u"]));
        if self.ids.len() < JOBS_MAX {
            let length = if self.rounds.is_multiple_of(8) { 65_536 } else { 2_048 };
            let args = json!({"text": "x".repeat(self.dice.below(length) as usize)});
            let job = json!({"kind": kind, "queue": queue, "tags": [tag], "args": args});
            let jobs = self.ask(server, shared, "POST", "/api/jobs/bulk", &json!({"jobs": vec![job; 25]}));
            let made = jobs["jobs"].as_array().expect("jobs").iter();
            self.ids.extend(made.map(|job| job["id"].as_str().expect("an id").to_owned()));
        }
        for _ in 0..5 {
            let id = self.ids[self.dice.below(self.ids.len() as u64) as usize].clone();
            let other = json!({"queue": self.dice.pick(&["x", "y"]), "tags": [self.dice.pick(&["t", "u"])]});
            self.ask(server, shared, "PATCH", &format!("/api/jobs/{id}"), &other);
            let id = self.ids[self.dice.below(self.ids.len() as u64) as usize].clone();
            let action = self.dice.pick(&["cancel", "retry"]);
            self.ask(server, shared, "POST", &format!("/api/jobs/{id}/{action}"), &json!({}));
        }
        // Many jobs of one commit: what single changes are too few for.
        for _ in 0..4 {
            self.note_seq(server, shared);
            if !self.is_late(shared.now().seq) {
                break;
            }
            let (kind, tag) = (self.dice.pick(&["a", "b", "c"]), self.dice.pick(&["t", "u"]));
            let (action, state) = self.dice.pick(&[("cancel", "queued"), ("retry", "cancelled")]);
            let filter = json!({"kind": kind, "queue": queue, "tag": tag, "state": state});
            self.ask(server, shared, "POST", "/api/jobs/actions", &json!({"action": action, "filter": filter}));
        }
        if self.dice.below(10) == 0 {
            self.hire(server, shared, "passing");
        }
    }

    /// A worker comes, and the one that is longest there goes.
    fn hire(&mut self, server: &TestServer, shared: &Shared, name: &str) {
        let worker = json!({"name": name, "kinds": ["nothing"], "queues": null, "concurrency": 1});
        let registered = self.ask(server, shared, "POST", "/api/workers", &worker);
        self.workers.push_back(registered["session"].as_str().expect("an id").to_owned());
        if self.workers.len() > 3 {
            let oldest = self.workers.pop_front().expect("there are some");
            // After a restart it may be gone by itself.
            self.ask(server, shared, "DELETE", &format!("/api/workers/{oldest}"), &Value::Null);
        }
    }
}

/// All rows of a list of the server, by name.
fn listed(server: &TestServer, path: &str, query: &str, rows: &str, name: &str) -> BTreeMap<String, Value> {
    let (mut all, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let page = server.raw("GET", &format!("{path}?limit=500{query}{cursor}"), &[], b"").ok(200);
        let listed = page[rows].as_array().expect("rows");
        all.extend(listed.iter().map(|row| (row[name].as_str().expect("a name").to_owned(), row.clone())));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// What the server shows of a filter.
fn shown(server: &TestServer, filter: &Value) -> BTreeMap<String, Value> {
    let mut query = String::new();
    for name in ["kind", "queue", "tag"] {
        if let Some(value) = filter[name].as_str() {
            query.push_str(&format!("&{name}={value}"));
        }
    }
    for state in filter["state"].as_array().unwrap_or(&vec![filter["state"].clone()]) {
        if let Some(state) = state.as_str() {
            query.push_str(&format!("&state={state}"));
        }
    }
    listed(server, "/api/jobs", &query, "jobs", "id")
}

/// All lines of a job.
fn lines(server: &TestServer, id: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let page = server.raw("GET", &format!("/api/jobs/{id}/logs?after={}", all.len()), &[], b"").ok(200);
        let lines = page["lines"].as_array().expect("lines");
        if lines.is_empty() {
            return all;
        }
        all.extend(lines.iter().map(|line| line["text"].as_str().expect("a text").to_owned()));
    }
}

/// A row without what goes on by itself.
fn still(mut row: Value) -> Value {
    for moving in ["oldest_age_s", "last_beat_at"] {
        row.as_object_mut().expect("a row").remove(moving);
    }
    row
}

fn check(server: &TestServer, viewer: &Viewer) {
    let Viewer { topic, filter, mirror, .. } = viewer;
    assert_eq!(mirror.resets, 0, "{filter}: the log knows every position");
    let shown = match *topic {
        "events" => {
            let (first, last) = (mirror.seqs[0], mirror.seqs[mirror.seqs.len() - 1]);
            assert_eq!(mirror.seqs, (first..=last).collect::<Vec<u64>>(), "every event once, in order");
            return;
        }
        "logs" => {
            let id = filter["id"].as_str().expect("an id");
            assert!(lines(server, id) == mirror.lines, "every line once, in order");
            assert!(mirror.lines.len() > 100, "there was something to follow: {}", mirror.lines.len());
            return;
        }
        "queues" => listed(server, "/api/queues", "", "queues", "name"),
        "workers" => listed(server, "/api/workers", "", "workers", "session"),
        _ => shown(server, filter),
    };
    let row = |rows: &BTreeMap<String, Value>, id: &String| rows.get(id).cloned().map(still);
    let differing: Vec<(Option<Value>, Option<Value>)> = shown
        .keys()
        .chain(mirror.rows.keys().filter(|id| !shown.contains_key(*id)))
        .map(|id| (row(&shown, id), row(&mirror.rows, id)))
        .filter(|(shown, held)| shown != held)
        .collect();
    assert!(differing.is_empty(), "{topic} {filter}: {} of {} differ: {differing:?}", differing.len(), shown.len());
}

/// Says what it took: for who runs the long form.
fn report(server: &TestServer, driver: &Driver, viewers: &[Viewer], events: u64, took: Duration) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", server.process())).unwrap_or_default();
    let status = read("status");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default().trim().to_owned();
    let stat = read("stat");
    let ticks: u64 = stat.split(' ').skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    let sum = |count: fn(&Viewer) -> usize| viewers.iter().map(count).sum::<usize>();
    println!(
        "{} pages, {events} events of {} jobs in {:.1} s: {:.0} a second; {} cuts, {} fell behind, {} slept",
        viewers.len(),
        driver.ids.len(),
        took.as_secs_f64(),
        events as f64 / took.as_secs_f64(),
        sum(|viewer| viewer.cuts),
        sum(|viewer| viewer.mirror.fell_behind),
        sum(|viewer| usize::from(viewer.slept > RING_COMMITS)),
    );
    println!("the last server: {memory}, {:.1} s of processor since its start", ticks as f64 / 100.0);
}

#[test]
fn every_page_comes_to_what_the_server_shows_whatever_happens_on_the_way() {
    let plan = match std::env::var_os(MORE) {
        Some(_) => Plan { pages: 200, seconds: 60, checked_one_in: 10 },
        None => Plan { pages: 20, seconds: 10, checked_one_in: 4 },
    };
    let shared = Shared::default();
    let mut server = TestServer::with_config(TALK);
    let talker = server.submit(&json!({"kind": "talk", "queue": "talk", "args": {}}));
    let move_to = |server: &TestServer| shared.change(|now| now.address = server.address().to_owned());
    move_to(&server);
    let dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut driver = Driver { dice, begun: Instant::now(), ids: Vec::new(), workers: VecDeque::new(), rounds: 0 };
    let (server, viewers) = std::thread::scope(|scope| {
        let mut dice = Dice(0x2545_f491_4f6c_dd1d);
        let following: Vec<_> = (0..plan.pages)
            .map(|number| {
                let (viewer, shared) = (Viewer::new(number, &plan, &talker, &mut dice), &shared);
                scope.spawn(move || viewer.follow(shared, Dice(number * 7919 + 13)))
            })
            .collect();
        for part in 1..=4 {
            // On a machine that is too busy for the rate it takes longer, or nobody could sleep long enough.
            driver.drive(&server, &shared, part * plan.seconds / 4, part * COMMITS_MIN / 4);
            server = match part {
                1 | 3 => server.kill_and_restart(),
                2 => server.stop_and_restart(),
                _ => server,
            };
            move_to(&server);
        }
        let took = driver.begun.elapsed();
        shared.change(|now| now.has_ended = true);
        server.post(&format!("/api/jobs/{talker}/cancel"), &json!({})).ok(200);
        server.finished(&talker);
        shared.change(|now| now.lines = Some(lines(&server, &talker).len()));
        driver.hire(&server, &shared, FINAL);
        server.submit(&json!({"kind": FINAL, "queue": FINAL, "args": {}}));
        let viewers: Vec<Viewer> = following.into_iter().map(|viewer| viewer.join().expect("no hole")).collect();
        report(&server, &driver, &viewers, shared.now().seq, took);
        (server, viewers)
    });
    viewers.iter().for_each(|viewer| check(&server, viewer));
    assert!(viewers.iter().map(|viewer| viewer.cuts).sum::<usize>() > plan.pages as usize, "they were cut");
    assert!(viewers.iter().any(|viewer| viewer.slept > RING_COMMITS), "some slept longer than the feed remembers");
}
