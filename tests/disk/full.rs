//! Full disks: new work is refused before anything breaks, and when a write fails all the same, nothing that was
//! acknowledged is lost.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::mounts::Mount;
use crate::support::server::{Server, Start, write_config};

const MEBI: u64 = 1024 * 1024;
const DISK: u64 = 160 * MEBI;

/// Takes room on a disk.
fn take_room(path: &Path, bytes: u64) {
    nix::fcntl::posix_fallocate(File::create(path).unwrap(), 0, bytes as i64).unwrap();
}

/// A text of so many bytes that is another one for each number.
fn text(number: usize, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 32);
    while text.len() < bytes {
        text += &format!("{:016x}", (number + text.len()).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
    text
}

/// Submits bulks until one is refused; gives what was acknowledged, and the refusal.
fn fill(server: &Server, a_bulk: usize, bytes: usize) -> (BTreeMap<String, String>, Value) {
    let mut acknowledged = BTreeMap::new();
    for bulk in 0.. {
        let texts: Vec<String> = (0..a_bulk).map(|place| text(bulk * a_bulk + place, bytes)).collect();
        let jobs: Vec<Value> = texts.iter().map(|text| json!({ "kind": "later", "args": { "text": text } })).collect();
        let answer = server.post("/api/jobs/bulk", &json!({ "jobs": jobs }));
        if answer.status == 507 {
            assert_eq!(answer.problem(), "storage_failed");
            return (acknowledged, answer.json());
        }
        assert!(answer.status < 300, "{answer:?}");
        let answer = answer.json();
        let ids = answer["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned());
        acknowledged.extend(ids.zip(texts));
    }
    unreachable!("the disk is full at some time")
}

/// The server has halted: it says so, takes nothing, and reads go on or say why they do not.
fn check_halted(server: &Server, acknowledged: &BTreeMap<String, String>) {
    let health = server.get("/health");
    assert_eq!(health.status, 503, "{health:?}");
    let health = health.json();
    assert_eq!(health["status"], "halted", "{health}");
    assert!(
        health["detail"].as_str().is_some_and(|detail| detail.contains("full") || detail.contains("space")),
        "{health}"
    );
    for _ in 0..3 {
        let answer = server.post("/api/jobs", &json!({ "kind": "later", "args": {} }));
        assert_eq!((answer.status, answer.problem().as_str()), (507, "storage_failed"));
    }
    let page = server.read("/api/jobs?limit=5");
    assert_eq!(page["jobs"].as_array().unwrap().len(), 5, "lists are read from memory: {page}");
    for path in ["/api/queues", "/api/kinds", "/api/workers"] {
        server.read(path);
    }
    let (id, text) = acknowledged.first_key_value().unwrap();
    let job = server.get(&format!("/api/jobs/{id}"));
    if job.status == 200 {
        assert_eq!(job.json()["args"]["text"], text.as_str());
    } else {
        job.problem();
    }
    let events = server.get(&format!("/api/jobs/{id}/events"));
    if events.status != 200 {
        events.problem();
    }
}

fn check_acknowledged(server: &Server, acknowledged: &BTreeMap<String, String>) {
    for (id, text) in acknowledged {
        let job = server.read(&format!("/api/jobs/{id}"));
        assert_eq!(job["args"]["text"], text.as_str(), "{id}");
        assert_eq!(job["state"], "queued", "{id}");
    }
}

fn check_new_work(server: &Server) {
    let id = server.submit("echo", json!({ "new": true }));
    assert_eq!(server.finished(&id)["state"], "completed");
}

#[test]
fn after_a_failed_write_and_freed_space_everything_acknowledged_is_there() {
    let Some(mount) = Mount::memory(DISK) else { return };
    let (data, filler) = (mount.path().join("data"), mount.path().join("filler"));
    let home = tempfile::tempdir().unwrap();
    let config = write_config(home.path(), "min_free_bytes = 0", "");
    let server = Start::on(&data).config(&config).ready();
    assert_eq!(data.join("ballast").metadata().unwrap().len(), 64 * MEBI);
    take_room(&filler, 60 * MEBI);
    // Payload files: the args are too big for a page.
    let (acknowledged, problem) = fill(&server, 4, 200_000);
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    assert!(problem["hint"].as_str().unwrap().contains("free some space"), "{problem}");
    check_halted(&server, &acknowledged);
    assert!(!data.join("ballast").exists(), "the ballast was given up");
    server.stop();
    std::fs::remove_file(&filler).unwrap();
    let server = Start::on(&data).config(&config).ready();
    check_acknowledged(&server, &acknowledged);
    check_new_work(&server);
    assert!(server.stop().success());
}

#[test]
fn after_a_failed_write_the_ballast_alone_is_room_enough_to_go_on() {
    let Some(mount) = Mount::memory(DISK) else { return };
    let (data, filler) = (mount.path().join("data"), mount.path().join("filler"));
    let home = tempfile::tempdir().unwrap();
    let config = write_config(home.path(), "min_free_bytes = 0", "");
    let server = Start::on(&data).config(&config).ready();
    take_room(&filler, 70 * MEBI);
    // Pages: it is sled's own write that fails.
    let (acknowledged, _) = fill(&server, 200, 7_000);
    assert!(acknowledged.len() > 500, "{}", acknowledged.len());
    check_halted(&server, &acknowledged);
    server.kill();
    let server = Start::on(&data).config(&config).ready();
    assert!(!data.join("ballast").exists(), "the disk is too full to take it again");
    check_acknowledged(&server, &acknowledged);
    check_new_work(&server);
    assert!(server.stop().success());
}

#[test]
fn below_min_free_bytes_new_work_is_refused_running_jobs_end_and_freed_space_heals_it() {
    let Some(mount) = Mount::memory(DISK) else { return };
    let (data, filler) = (mount.path().join("data"), mount.path().join("filler"));
    let home = tempfile::tempdir().unwrap();
    let gate = home.path().join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let wait = format!("cat {} > /dev/null", gate.display());
    let gated = format!("[kinds.gated.run]\nmode = \"command\"\ncommand = [\"sh\", \"-c\", {wait:?}]\nprocesses = 1\n");
    let config = write_config(home.path(), &format!("min_free_bytes = {}", 40 * MEBI), &gated);
    let server = Start::on(&data).config(&config).ready();
    let running = server.submit("gated", json!({}));
    // Opens when the job has opened it too: it runs.
    let mut open_gate = File::options().write(true).open(&gate).unwrap();
    take_room(&filler, 75 * MEBI);

    let refused = until(|| Some(server.post("/api/jobs", &later())).filter(|answer| answer.status != 201));
    assert_eq!((refused.status, refused.problem().as_str()), (507, "storage_low"));
    assert_eq!(server.read("/health")["status"], "ok");
    open_gate.write_all(b"go on").unwrap();
    drop(open_gate);
    assert_eq!(server.finished(&running)["state"], "completed");
    let bulk = server.post("/api/jobs/bulk", &json!({ "jobs": [later(), later()] }));
    assert_eq!((bulk.status, bulk.problem().as_str()), (507, "storage_low"));
    let cancelled = server.post(&format!("/api/jobs/{}/cancel", any_queued(&server)), &json!({}));
    assert!(cancelled.status < 300, "to cancel takes no room to speak of: {cancelled:?}");

    std::fs::remove_file(&filler).unwrap();
    until(|| Some(server.post("/api/jobs", &later())).filter(|answer| answer.status == 201));
    check_new_work(&server);
    assert!(server.stop().success());
}

fn later() -> Value {
    json!({ "kind": "later", "args": {} })
}

fn any_queued(server: &Server) -> String {
    let page = server.read("/api/jobs?state=queued&limit=1");
    page["jobs"][0]["id"].as_str().unwrap().to_owned()
}

/// Asks again and again: the server looks at its disk once a second.
fn until<T>(ask: impl Fn() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        assert!(begun.elapsed() < crate::support::server::PATIENCE, "it happens in time");
        if let Some(value) = ask() {
            return value;
        }
    }
}
