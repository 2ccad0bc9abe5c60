//! `--reset-on-startup`, with and without an archive.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::server::{Server, Start};

fn fill(data: &Path, jobs: usize) -> Vec<String> {
    let server = Start::on(data).ready();
    let ids = (0..jobs).map(|number| server.submit("later", json!({ "number": number }))).collect();
    assert!(server.stop().success());
    ids
}

fn check_empty(server: &Server, gone: &[String]) {
    assert_eq!(server.read("/api/jobs")["jobs"], json!([]));
    for id in gone {
        assert_eq!(server.get(&format!("/api/jobs/{id}")).status, 404);
    }
    assert_eq!(server.read("/health")["seq"], 1, "the epoch is the first event again");
    let job = server.submit("later", json!({}));
    assert_eq!(server.read(&format!("/api/jobs/{job}"))["seq"], 2);
}

fn check_said(server: &Server, jobs: usize) {
    let lines: Vec<&str> = server.said.lines().filter(|line| line.contains("reset on startup")).collect();
    assert_eq!(lines.len(), 1, "one line: {}", server.said);
    assert!(lines[0].contains("INFO") && lines[0].contains(&format!("{jobs} jobs")), "{}", lines[0]);
}

#[test]
fn a_reset_on_startup_begins_at_event_one_and_says_how_many_jobs_are_gone() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let gone = fill(&data, 7);
    let server = Start::on(&data).arg("--reset-on-startup").ready();
    check_said(&server, 7);
    check_empty(&server, &gone);
    assert!(server.stop().success());
    assert_eq!(archives(home.path()).len(), 0);
    // Without the flag what came after the reset stays.
    let server = Start::on(&data).ready();
    assert_eq!(server.read("/api/jobs")["jobs"].as_array().unwrap().len(), 1);
}

#[test]
fn an_archive_has_the_old_data_and_can_be_served_again() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let gone = fill(&data, 5);
    let server = Start::on(&data).arg("--reset-on-startup=archive").ready();
    check_said(&server, 5);
    check_empty(&server, &gone);
    let [archive] = archives(home.path()).try_into().expect("one archive lies beside the data");
    assert!(server.said.contains(archive.file_name().unwrap().to_str().unwrap()), "{}", server.said);
    // Both at once: they have nothing in common.
    let old = Start::on(&archive).ready();
    for id in &gone {
        assert_eq!(old.read(&format!("/api/jobs/{id}"))["state"], "queued");
    }
    assert!(old.stop().success());
    assert!(server.stop().success());
}

fn archives(home: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_string_lossy().contains("data.archive-")).collect()
}
