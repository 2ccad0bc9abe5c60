//! A wall clock that jumps between two starts.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::server::{PATIENCE, Server, Start, write_config};

/// Shifts the wall clock of a process, and no other clock.
const SHIFTED: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    long result = syscall(SYS_clock_gettime, clock, at);
    const char *shift = getenv("CLOCK_SHIFT_S");
    if (result == 0 && clock == CLOCK_REALTIME && shift) at->tv_sec += atol(shift);
    return (int)result;
}
"#;

fn shifting_library(dir: &Path) -> Option<PathBuf> {
    let (source, library) = (dir.join("shift.c"), dir.join("shift.so"));
    std::fs::write(&source, SHIFTED).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
    let is_built = cfg!(target_os = "linux") && built.is_ok_and(|output| output.status.success());
    is_built.then_some(library)
}

/// The events of jobs in the order of the log.
fn events_of(server: &Server, jobs: &[&String]) -> Vec<Value> {
    let read = |id: &&String| server.read(&format!("/api/jobs/{id}/events"))["events"].as_array().unwrap().clone();
    let mut events: Vec<Value> = jobs.iter().flat_map(read).collect();
    events.sort_by_key(|event| event["seq"].as_u64().unwrap());
    events
}

fn state(server: &Server, id: &str) -> String {
    server.read(&format!("/api/jobs/{id}"))["state"].as_str().unwrap().to_owned()
}

fn submit_later(server: &Server, delay_s: u64) -> String {
    let answer = server.post("/api/jobs", &json!({ "kind": "later", "args": {}, "delay_s": delay_s }));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_clock_that_went_back_an_hour_takes_neither_the_log_nor_the_schedule_with_it() {
    let home = tempfile::tempdir().unwrap();
    let Some(library) = shifting_library(home.path()) else {
        crate::mounts::could_not_run("no library is built that shifts the clock: it needs `cc` on Linux");
        return;
    };
    let data = home.path().join("data");
    let config = write_config(home.path(), "", "");
    let at = |shift_s: &str| {
        let start = Start::on(&data).config(&config).env("LD_PRELOAD", &library).env("CLOCK_SHIFT_S", shift_s);
        start.ready()
    };
    let server = at("0");
    let before = server.submit("echo", json!({}));
    assert_eq!(server.finished(&before)["state"], "completed");
    let scheduled = submit_later(&server, 1800);
    server.kill();

    let server = at("-3600");
    let meanwhile = server.submit("echo", json!({}));
    assert_eq!(server.finished(&meanwhile)["state"], "completed", "work goes on while the clock is behind");
    assert_eq!(state(&server, &scheduled), "scheduled");
    let behind = submit_later(&server, 1);
    assert!(server.stop().success());

    let server = at("7200");
    let begun = std::time::Instant::now();
    while [&scheduled, &behind].iter().any(|id| state(&server, id) == "scheduled") {
        assert!(begun.elapsed() < PATIENCE, "what is due is queued");
    }
    let after = server.submit("echo", json!({}));
    assert_eq!(server.finished(&after)["state"], "completed");
    let events = events_of(&server, &[&before, &scheduled, &meanwhile, &behind, &after]);
    let times: Vec<&str> = events.iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "the log's time never goes back: {times:?}");
    assert!(times.last() > times.first());
    assert!(server.stop().success());
}
