//! Random lives under the sharpest retention: jobs run, fail, are retried, purged and forgotten, segments are dropped, the
//! server is killed, and what is disposable is taken away. Whatever is still known of a job is what was said of it, and
//! what was forgotten never comes back. `DAYBOOK_LIVES=seed:rounds` leads one life of choice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::dice::Dice;
use crate::support::remote::{Caller, Lease};
use crate::support::server::{daybook, verify};

/// What was said of a job.
#[derive(Default)]
struct Told {
    kind: &'static str,
    args: Value,
    result: Value,
    items: Vec<Value>,
    /// The state in which it was seen to end; none while it is active as far as we know.
    ended: Option<&'static str>,
    is_purged: bool,
}

struct Life {
    dice: Dice,
    jobs: BTreeMap<String, Told>,
    forgotten: BTreeSet<String>,
    session: Option<String>,
}

impl Life {
    fn new(seed: u64) -> Life {
        Life { dice: Dice::new(seed), jobs: BTreeMap::new(), forgotten: BTreeSet::new(), session: None }
    }

    fn config(&mut self) -> String {
        let count = [0, 5, 30][self.dice.below(3) as usize];
        let age_s = ["0.3", "2", "3600"][self.dice.below(3) as usize];
        let bytes = [1, 20_000_000][self.dice.below(2) as usize];
        format!(
            "segment_bytes = 4194304\n[retention]\nfinished_count = {count}\nlog_bytes = {bytes}\nlog_age_s = {age_s}\n\
             every_s = 0.2\n[retention.kinds.keep]\nfinished_count = 100000\n"
        )
    }

    /// A text of any size: inline, at the edge, or a payload of its own.
    fn text(&mut self) -> String {
        let times = [1, 4, 600, 2000][self.dice.below(4) as usize];
        format!("m{:016x}", self.dice.below(u64::MAX)).repeat(times)
    }

    /// One of the jobs that may be known and fit.
    fn pick(&mut self, fits: impl Fn(&Told) -> bool) -> Option<String> {
        let known = self.jobs.iter().filter(|(id, told)| !self.forgotten.contains(*id) && fits(told));
        let ids: Vec<&String> = known.map(|(id, _)| id).collect();
        let count = ids.len() as u64;
        (count > 0).then(|| ids[self.dice.below(count) as usize].clone())
    }

    /// A job is known no more.
    fn forget(&mut self, id: &str) {
        assert_eq!(self.jobs[id].kind, "drop", "{id} is kept, and gone");
        self.forgotten.insert(id.to_owned());
    }

    fn step(&mut self, server: &TestServer) {
        match self.dice.below(30) {
            0..=11 => self.submit(server),
            12..=24 => self.work(server),
            25 | 26 => self.purge(server),
            27 | 28 => self.retry(server),
            _ => self.cancel(server),
        }
    }

    fn submit(&mut self, server: &TestServer) {
        let kind = if self.dice.one_in(3) { "keep" } else { "drop" };
        let mut body = json!({"kind": kind, "args": {"text": self.text()}});
        let items = if self.dice.one_in(5) { self.dice.below(5) } else { 0 };
        let items: Vec<Value> =
            (0..items).map(|key| json!({"key": key.to_string(), "args": {"text": self.text()}})).collect();
        if !items.is_empty() {
            body["items"] = json!(items);
        }
        if self.dice.one_in(5) {
            body["depends_on"] = self.pick(|_| true).into_iter().collect();
        }
        let answer = server.post("/api/jobs", &body);
        if answer.status == 422 && !body["depends_on"].is_null() {
            return; // It waits for one that has failed, or that nobody knows any more.
        }
        let id = answer.ok(201)["id"].as_str().expect("an id").to_owned();
        self.jobs.insert(id, Told { kind, args: body["args"].take(), items, ..Told::default() });
    }

    fn work(&mut self, server: &TestServer) {
        let session = self.session.take().unwrap_or_else(|| {
            let worker = json!({"name": "any", "kinds": ["keep", "drop"], "queues": null, "concurrency": 50});
            server.post("/api/workers", &worker).ok(201)["session"].as_str().expect("an id").to_owned()
        });
        let caller = Caller { server, session };
        let claimed = caller.claim(10, 0.0);
        match claimed.status {
            404 => return,
            204 => {}
            _ => {
                let claimed = claimed.ok(200);
                claimed["jobs"]
                    .as_array()
                    .expect("frames")
                    .iter()
                    .for_each(|frame| self.run(server, &Lease::of(frame)));
            }
        }
        self.session = Some(caller.session);
    }

    fn run(&mut self, server: &TestServer, lease: &Lease) {
        let (text, chance) = (self.text(), self.dice.below(20));
        let told = self.jobs.get_mut(&lease.job).expect("only what was submitted is handed over");
        assert_eq!(lease.frame["job"]["args"], told.args, "{}", lease.job);
        let handed = lease.frame["items"].as_array().cloned().unwrap_or_default();
        for item in &handed {
            assert!(told.items.iter().any(|known| known["key"] == item["key"] && known["args"] == item["args"]));
        }
        let report = |item: &Value| json!({"key": item["key"], "state": "completed", "result": {"of": item["key"]}});
        if !handed.is_empty() && chance % 2 == 0 {
            let items: Vec<Value> = handed.iter().map(report).collect();
            assert!(lease.call(server, "items", &json!({ "items": items })).status < 300);
        }
        if chance % 5 == 0 {
            assert!(lease.call(server, "checkpoint", &json!({"data": {"text": text}})).status < 300);
        }
        match chance {
            0..=11 => {
                let result = json!({ "text": text });
                lease.call(server, "complete", &json!({ "result": result })).ok(200);
                (told.ended, told.result) = (Some("completed"), result);
            }
            12..=15 => {
                let error = json!({"code": "broken", "message": "it broke", "retryable": false});
                lease.call(server, "fail", &json!({ "error": error })).ok(200);
                told.ended = Some("failed");
            }
            16..=18 => assert_eq!(lease.call(server, "release", &json!({})).status, 200),
            _ => {} // It is held, until the server is another.
        }
    }

    fn purge(&mut self, server: &TestServer) {
        let Some(id) = self.pick(|told| told.ended.is_some()) else { return };
        match server.post(&format!("/api/jobs/{id}/purge"), &json!({})).status {
            200 => self.jobs.get_mut(&id).expect("it was picked").is_purged = true,
            404 => self.forget(&id),
            status => panic!("{id} was not purged: {status}"),
        }
    }

    fn retry(&mut self, server: &TestServer) {
        let Some(id) = self.pick(|told| told.ended == Some("failed") && !told.is_purged) else { return };
        match server.post(&format!("/api/jobs/{id}/retry"), &json!({})).status {
            200 => self.jobs.get_mut(&id).expect("it was picked").ended = None,
            404 => self.forget(&id),
            409 => {} // What it waited for has not completed.
            status => panic!("{id} was not retried: {status}"),
        }
    }

    fn cancel(&mut self, server: &TestServer) {
        let Some(id) = self.pick(|told| told.ended.is_none()) else { return };
        match server.post(&format!("/api/jobs/{id}/cancel"), &json!({"children": true})) {
            answer if answer.status == 200 && answer.json()["state"] == "cancelled" => {
                self.jobs.get_mut(&id).expect("it was picked").ended = Some("cancelled");
            }
            // It was cancelled with what it waited for, and may be forgotten by now.
            answer if answer.status == 404 => self.forget(&id),
            answer => assert!([200, 409].contains(&answer.status), "{answer:?}"),
        }
    }

    /// Every job is as it was said, or forgotten for good.
    fn check(&mut self, server: &TestServer, when: &str) {
        let listed = listed(server);
        let back: Vec<_> = listed.intersection(&self.forgotten).collect();
        assert!(back.is_empty(), "{when}: they were forgotten: {back:?}");
        let ids: Vec<String> = self.jobs.keys().filter(|id| !self.forgotten.contains(*id)).cloned().collect();
        for id in ids {
            match server.get(&format!("/api/jobs/{id}")) {
                answer if answer.status == 404 => self.forget(&id),
                answer => {
                    assert!(listed.contains(&id), "{when}: {id} is in no list");
                    self.check_job(server, &id, &answer.ok(200), when);
                }
            }
        }
    }

    fn check_job(&mut self, server: &TestServer, id: &str, job: &Value, when: &str) {
        let told = self.jobs.get_mut(id).expect("it was submitted");
        let state = job["state"].as_str().expect("a state");
        match told.ended {
            Some(ended) => assert_eq!(state, ended, "{when}: {id}"),
            None if state == "cancelled" => told.ended = Some("cancelled"),
            None => assert!(!["completed", "failed"].contains(&state), "{when}: {id} is {state}"),
        }
        if told.is_purged {
            assert!(job["args"].is_null() && job["result"].is_null() && job["purged_at"].is_string(), "{when}: {job}");
            return;
        }
        assert_eq!(job["args"], told.args, "{when}: {id}");
        if state == "completed" {
            assert_eq!(job["result"], told.result, "{when}: {id}");
        }
        if told.items.is_empty() {
            return;
        }
        let answer = server.get(&format!("/api/jobs/{id}/items"));
        if answer.status == 404 {
            return; // Forgotten just now: the next look sees it.
        }
        for item in answer.ok(200)["items"].as_array().expect("items") {
            let known = told.items.iter().find(|known| known["key"] == item["key"]).expect("it was submitted");
            assert_eq!(item["args"], known["args"], "{when}: {id}");
            assert!(item["state"] != "completed" || item["result"]["of"] == item["key"], "{when}: {id} {item}");
        }
    }
}

fn listed(server: &TestServer) -> BTreeSet<String> {
    let (mut ids, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = server.get(&format!("/api/jobs?limit=500{cursor}")).ok(200);
        for row in page["jobs"].as_array().expect("rows") {
            assert!(ids.insert(row["id"].as_str().expect("an id").to_owned()), "twice: {row}");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

/// What lies there is whole, and gives the same log elsewhere.
fn check_data(data: &Path) {
    let (code, said) = verify(data);
    assert_eq!(code, Some(0), "{said}");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let file = elsewhere.path().join("log.jsonl");
    let run = |arguments: &[&str], paths: &[&Path]| {
        let output = daybook().args(arguments).args(paths).output().expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let fold = |data: &Path| -> Value {
        let told: Value = serde_json::from_slice(&run(&["replay", "--json", "--data"], &[data])).expect("JSON");
        told["fold"].clone()
    };
    run(&["export", "--out"], &[&file, Path::new("--data"), data]);
    let imported = elsewhere.path().join("imported");
    run(&["import", "--data"], &[&imported, &file]);
    assert_eq!(fold(&imported), fold(data));
    let (code, said) = verify(&imported);
    assert_eq!(code, Some(0), "the imported one: {said}");
}

fn lead(seed: u64, rounds: u64) {
    let mut life = Life::new(seed);
    let mut server = TestServer::with_config(&life.config());
    let data = server.directory().join("data");
    for round in 0..rounds {
        let steps = 50 + life.dice.below(150);
        (0..steps).for_each(|_| life.step(&server));
        life.check(&server, &format!("seed {seed}, round {round}"));
        // The first start is after a kill; the second after somebody has looked at what was left.
        server = server.kill_and_restart();
        life.check(&server, &format!("seed {seed}, round {round}, after a kill"));
        let gone: Vec<&str> = ["views", "snapshots"].into_iter().filter(|_| life.dice.one_in(2)).collect();
        server = server.stopped(|| {
            check_data(&data);
            gone.iter().for_each(|name| std::fs::remove_dir_all(data.join(name)).expect("it was there"));
        });
        life.check(&server, &format!("seed {seed}, round {round}, without {gone:?}"));
    }
    println!("seed {seed}: {} jobs, {} forgotten", life.jobs.len(), life.forgotten.len());
}

#[test]
fn whatever_is_known_of_a_job_is_what_was_said_and_what_was_forgotten_stays_so() {
    if let Ok(choice) = std::env::var("DAYBOOK_LIVES") {
        let (seed, rounds) = choice.split_once(':').expect("seed:rounds");
        return lead(seed.parse().expect("a number"), rounds.parse().expect("a number"));
    }
    std::thread::scope(|scope| {
        for seed in [10, 17, 30] {
            scope.spawn(move || lead(seed, 3));
        }
    });
}
