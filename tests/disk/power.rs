//! Simulated power cuts of the whole server: its data lies on a file system in an image; the image is copied, without
//! a sync, while the server works, as a disk would be found after the power was cut. What was acknowledged is there.
//!
//! Where nothing can be mounted, it is shown at least that each answer comes after a sync of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::mounts::{Mount, make_image, shows_instead};
use crate::support::server::{Server, Start, verify, write_config};

const IMAGE_BYTES: u64 = 192 * 1024 * 1024;
const SUBMITTERS: usize = 3;
/// Each submitter stops after so many jobs a round, so that the checks stay short.
const SUBMITS_MAX: usize = 200;

#[test]
fn nothing_acknowledged_is_lost_in_three_power_cuts() {
    cut_power(3);
}

#[test]
#[ignore = "a soak of several minutes: cargo test --release --test disk -- --ignored"]
fn nothing_acknowledged_is_lost_in_forty_power_cuts() {
    cut_power(40);
}

fn cut_power(rounds: usize) {
    let dir = tempfile::tempdir().unwrap();
    // A name is never used twice: a killed server's children may hold a file system a moment longer.
    let image = |round: usize| dir.path().join(format!("disk-{round}"));
    let config = write_config(dir.path(), "min_free_bytes = 0\nsegment_bytes = 4194304", "");
    let mut known = Known::default();
    let mut checked = 0;
    for round in 0..rounds {
        let (disk, next) = (image(2 * round), image(2 * round + 2));
        // A fresh disk now and then, before the old one is full.
        if round % 8 == 0 {
            if !make_image(&disk, IMAGE_BYTES) {
                return fall_back(rounds);
            }
            known = Known::default();
        }
        let Some(mount) = Mount::image(&disk) else { return fall_back(rounds) };
        let server = Start::on(&mount.path().join("data")).config(&config).ready();
        work_until_cut(&server, &known, 20 + round * 37 % 90, || copy_sparse(&disk, &next));
        server.kill();
        drop(mount);
        std::fs::remove_file(&disk).unwrap();

        let mount = Mount::image(&next).expect("what could be mounted once can be mounted again");
        let (code, said) = verify(&mount.path().join("data"));
        assert_eq!(code, Some(0), "power cut {round} damages nothing: {said}");
        let server = Start::on(&mount.path().join("data")).config(&config).ready();
        checked += known.check(&server, round);
        assert!(server.stop().success());
    }
    assert!(checked >= rounds * 20, "the load was real: {checked}");
}

#[test]
fn each_answered_change_comes_after_a_sync_of_its_own_and_reads_need_none() {
    answer_only_after_syncs(50);
}

/// Where nothing can be mounted.
fn fall_back(rounds: usize) {
    shows_instead("each answered change comes after a sync of its own");
    answer_only_after_syncs(50 * rounds);
}

/// The server counts the syncs that sled's own calls came to.
fn answer_only_after_syncs(changes: usize) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Start::on(&data).ready();
    let syncs = || server.metric("daybook_log_syncs_total");
    let mut jobs = Vec::new();
    for number in 0..changes {
        let before = syncs();
        // Nobody works here: nothing ends, so no view is stored, and what is synced is the log.
        let text = if number % 9 == 0 { "payload ".repeat(2_000) } else { String::new() };
        jobs.push(server.submit("later", json!({ "number": number, "text": text })));
        assert!(syncs() > before, "change {number} was answered without a sync");
    }
    let before = syncs();
    for job in &jobs {
        server.read(&format!("/api/jobs/{job}"));
    }
    assert!(syncs() <= before, "a read writes nothing");
    server.kill();
    let server = Start::on(&data).ready();
    for (number, job) in jobs.iter().enumerate() {
        assert_eq!(server.read(&format!("/api/jobs/{job}"))["args"]["number"], number);
    }
}

/// What clients were told.
#[derive(Default)]
struct Known {
    submitted: Mutex<BTreeSet<String>>,
    /// With the seqs of their last events, which nothing may follow.
    completed: Mutex<BTreeMap<String, u64>>,
}

/// Lets clients work until they were told so much, stops the server in the middle of whatever it does, and cuts.
fn work_until_cut(server: &Server, known: &Known, acknowledged: usize, cut: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let target = known.submitted.lock().unwrap().len() + acknowledged;
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..SUBMITTERS {
            let tell = tell.clone();
            let stop = &stop;
            scope.spawn(move || submit_until_stopped(server, known, stop, &|| tell.send(()).unwrap_or_default()));
        }
        drop(tell);
        while known.submitted.lock().unwrap().len() < target {
            told.recv_timeout(crate::support::server::PATIENCE).expect("the server answers");
        }
        server.signal(Signal::SIGSTOP);
        // Answers that are on their way to a client are no promise: it has not heard them yet. What it has is.
        cut();
        stop.store(true, Ordering::SeqCst);
        server.signal(Signal::SIGKILL);
    });
}

fn submit_until_stopped(server: &Server, known: &Known, stop: &AtomicBool, tell: &dyn Fn()) {
    for number in 0..SUBMITS_MAX {
        // Some have args that go into payload files.
        let text = if number % 9 == 0 { "payload ".repeat(2_000) } else { String::new() };
        let body = json!({ "kind": "echo", "args": { "number": number, "text": text } });
        let Some(answer) = server.try_post("/api/jobs", &body) else { return };
        if stop.load(Ordering::SeqCst) {
            return;
        }
        assert_eq!(answer.status, 201, "{answer:?}");
        known.submitted.lock().unwrap().insert(answer.json()["id"].as_str().unwrap().to_owned());
        tell();
        if number % 5 == 4 && !note_completed(server, known, stop) {
            return;
        }
    }
}

fn note_completed(server: &Server, known: &Known, stop: &AtomicBool) -> bool {
    let Some(answer) = server.try_get("/api/jobs?state=completed&limit=50") else { return false };
    if stop.load(Ordering::SeqCst) {
        return false;
    }
    let page = answer.json();
    let ended = |job: &Value| (job["id"].as_str().unwrap().to_owned(), job["seq"].as_u64().unwrap());
    known.completed.lock().unwrap().extend(page["jobs"].as_array().unwrap().iter().map(ended));
    true
}

impl Known {
    /// Everything is there; gives how much that is. Jobs that were not done are done now.
    fn check(&self, server: &Server, round: usize) -> usize {
        let completed = self.completed.lock().unwrap();
        let submitted = self.submitted.lock().unwrap();
        for id in submitted.iter() {
            let events = server.get(&format!("/api/jobs/{id}/events"));
            assert_eq!(events.status, 200, "power cut {round}: {id} is there: {events:?}");
            let job = server.finished(id);
            assert_eq!((&job["state"], &job["result"]), (&json!("completed"), &job["args"]), "power cut {round}");
            let events = server.read(&format!("/api/jobs/{id}/events"));
            let count =
                |name: &str| events["events"].as_array().unwrap().iter().filter(|event| event["type"] == name).count();
            assert_eq!((count("job.submitted"), count("job.completed")), (1, 1), "power cut {round}: {events}");
            if let Some(seq) = completed.get(id) {
                assert_eq!(job["seq"], *seq, "power cut {round}: what was seen completed had ended: {events}");
            }
        }
        submitted.len()
    }
}

fn copy_sparse(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("--sparse=always").arg(from).arg(to).status().unwrap().success());
}
