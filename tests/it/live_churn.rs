//! Pages that are cut off, stop reading, and come back, while jobs change and the server is killed and stopped under them.
//! At the end each mirror is what the server shows, each follower of events has every event once, and no frame ever left a
//! hole (the mirror looks).

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::live::{Mirror, Page};

/// How many pages there are, and how many events they live through; more of both when this is set.
const MORE: &str = "DAYBOOK_LIVE_CHURN";
/// After so many changes a page that stopped reading goes on.
const STALL_EVENTS: u64 = 200;

/// What pages and the driver share: where the server is, and how far it has come.
#[derive(Default)]
struct Shared {
    now: Mutex<(String, u64)>,
    moved: Condvar,
}

impl Shared {
    fn address(&self) -> String {
        self.now.lock().unwrap().0.clone()
    }

    fn move_to(&self, server: &TestServer) {
        self.now.lock().unwrap().0 = server.address().to_owned();
        self.moved.notify_all();
    }

    fn come_to(&self, seq: u64) {
        self.now.lock().unwrap().1 = seq;
        self.moved.notify_all();
    }

    /// Waits until so much has happened.
    fn stall(&self) {
        let now = self.now.lock().unwrap();
        let until = now.1.saturating_add(STALL_EVENTS);
        drop(self.moved.wait_while(now, |now| now.1 < until).unwrap());
    }

    /// Waits for another address than this one.
    fn elsewhere(&self, address: &str) {
        let now = self.now.lock().unwrap();
        drop(self.moved.wait_while(now, |now| now.0 == address && now.1 != u64::MAX).unwrap());
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

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// One page: what it follows, and what it has of it.
struct Viewer {
    topic: &'static str,
    filter: Value,
    mirror: Mirror,
    cuts: usize,
}

impl Viewer {
    fn new(dice: &mut Dice) -> Viewer {
        let topic = dice.pick(&["jobs", "jobs", "events"]);
        let mut filter = json!({});
        if topic == "jobs" {
            filter["limit"] = json!(10_000);
            let states = [json!("queued"), json!("active"), json!(["cancelled", "queued"]), Value::Null, Value::Null];
            filter["state"] = states[dice.below(5) as usize].clone();
            for (name, values) in [("kind", ["a", "b", "c"]), ("queue", ["x", "y", "x"]), ("tag", ["t", "u", "t"])] {
                if dice.below(4) == 0 {
                    filter[name] = json!(dice.pick(&values));
                }
            }
        }
        Viewer { topic, filter, mirror: Mirror::default(), cuts: 0 }
    }

    /// Follows to the end: the job of kind `final`, and everything before it.
    fn follow(mut self, shared: &Shared, mut dice: Dice) -> Viewer {
        let mut end = None;
        loop {
            let address = shared.address();
            match Page::open(&address) {
                Some(page) => self.watch(page, shared, &mut dice, &mut end),
                None => shared.elsewhere(&address),
            }
            if end.is_some_and(|end| self.mirror.is_live && self.mirror.at.as_ref().is_some_and(|(_, at)| *at >= end)) {
                return self;
            }
        }
    }

    /// Follows over one connection, until it breaks or is cut.
    fn watch(&mut self, mut page: Page, shared: &Shared, dice: &mut Dice, end: &mut Option<u64>) {
        let is_last = end.is_some();
        self.mirror.is_live = false;
        let since = self.mirror.since();
        if page.try_subscribe("end", "jobs", json!({"kind": "final"}), Value::Null).is_err()
            || page.try_subscribe("m", self.topic, self.filter.clone(), since).is_err()
        {
            return;
        }
        let epoch = page.epoch().clone();
        while let Ok(frame) = page.receive() {
            if frame["id"] == "end" {
                *end = end.or(frame["jobs"][0]["seq"].as_u64());
                if end.is_some() && !is_last {
                    return;
                }
                continue;
            }
            if frame["type"] == "goodbye" {
                continue;
            }
            self.mirror.take(&epoch, &frame);
            if is_last && self.mirror.is_live {
                return;
            }
            if !is_last && dice.below(20) == 0 {
                self.cuts += 1;
                return;
            }
            if !is_last && dice.below(40) == 0 {
                shared.stall();
            }
        }
    }
}

/// Changes jobs until the log has so many events, and gives the seq.
fn change(server: &TestServer, shared: &Shared, dice: &mut Dice, until: u64) -> u64 {
    let post = |path: &str, body: &Value| {
        let headers = [("content-type", "application/json")];
        server.raw("POST", path, &headers, body.to_string().as_bytes())
    };
    let mut ids: Vec<String> = Vec::new();
    loop {
        let (kind, queue, tag) = (dice.pick(&["a", "b", "c"]), dice.pick(&["x", "y"]), dice.pick(&["t", "u"]));
        let job = json!({"kind": kind, "queue": queue, "tags": [tag], "args": {"text": "x".repeat(dice.below(4096) as usize)}});
        let jobs = post("/api/jobs/bulk", &json!({"jobs": vec![job; 10]})).ok(201);
        let made = jobs["jobs"].as_array().expect("jobs").iter();
        ids.extend(made.map(|job| job["id"].as_str().expect("an id").to_owned()));
        for _ in 0..5 {
            let id = &ids[dice.below(ids.len() as u64) as usize];
            let body = json!({"queue": dice.pick(&["x", "y"]), "tags": [dice.pick(&["t", "u"])]}).to_string();
            // One that has ended by now cannot be moved.
            server.raw("PATCH", &format!("/api/jobs/{id}"), &[("content-type", "application/json")], body.as_bytes());
            let id = &ids[dice.below(ids.len() as u64) as usize];
            post(&format!("/api/jobs/{id}/{}", dice.pick(&["cancel", "cancel", "retry"])), &json!({}));
        }
        if dice.below(8) == 0 {
            let action = dice.pick(&["cancel", "retry"]);
            let state = if action == "retry" { "cancelled" } else { "queued" };
            post("/api/jobs/actions", &json!({"action": action, "filter": {"kind": kind, "tag": tag, "state": state}}))
                .ok(200);
        }
        let seq = server.raw("GET", "/health", &[], b"").ok(200)["seq"].as_u64().expect("a number");
        shared.come_to(seq);
        if seq >= until {
            return seq;
        }
    }
}

/// What the server shows of a filter.
fn shown(server: &TestServer, filter: &Value) -> BTreeMap<String, Value> {
    let mut query = "limit=500".to_owned();
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
    let (mut rows, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let page = server.raw("GET", &format!("/api/jobs?{query}{cursor}"), &[], b"").ok(200);
        let jobs = page["jobs"].as_array().expect("jobs");
        rows.extend(jobs.iter().map(|row| (row["id"].as_str().expect("an id").to_owned(), row.clone())));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

fn check(server: &TestServer, viewer: &Viewer) {
    let Viewer { topic, filter, mirror, .. } = viewer;
    assert_eq!(mirror.resets, 0, "{filter}: the log knows every position");
    if *topic == "events" {
        let (first, last) = (mirror.seqs[0], mirror.seqs[mirror.seqs.len() - 1]);
        assert_eq!(mirror.seqs, (first..=last).collect::<Vec<u64>>(), "every event once, in order");
        return;
    }
    let shown = shown(server, filter);
    let differing: Vec<&String> =
        shown.keys().chain(mirror.rows.keys()).filter(|id| shown.get(*id) != mirror.rows.get(*id)).collect();
    assert!(differing.is_empty(), "{filter}: {} of {} differ: {differing:?}", differing.len(), shown.len());
}

#[test]
fn every_page_comes_to_what_the_server_shows_whatever_happens_on_the_way() {
    let (pages, events) = match std::env::var_os(MORE) {
        Some(_) => (200, 60_000),
        None => (20, 4_000),
    };
    let shared = Shared::default();
    let mut server = TestServer::start();
    shared.move_to(&server);
    let (server, viewers) = std::thread::scope(|scope| {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let following: Vec<_> = (0..pages)
            .map(|number| {
                let (viewer, shared) = (Viewer::new(&mut dice), &shared);
                scope.spawn(move || viewer.follow(shared, Dice(number * 7919 + 13)))
            })
            .collect();
        for part in 1..=4 {
            change(&server, &shared, &mut dice, part * events / 4);
            server = match part {
                1 | 3 => server.kill_and_restart(),
                2 => server.stop_and_restart(),
                _ => server,
            };
            shared.move_to(&server);
        }
        server.submit(&json!({"kind": "final", "args": {}}));
        shared.come_to(u64::MAX);
        let viewers: Vec<Viewer> = following.into_iter().map(|viewer| viewer.join().expect("no hole")).collect();
        (server, viewers)
    });
    viewers.iter().for_each(|viewer| check(&server, viewer));
    assert!(viewers.iter().map(|viewer| viewer.cuts).sum::<usize>() > pages as usize, "they were cut");
}
