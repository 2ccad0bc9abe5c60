//! `backup` of a server that runs and works: consistent, incremental, and never at the cost of an earlier one. What comes of
//! it is asked by restoring it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::export::{fold_of, json_of, run, start};
use crate::server::{BINARY, Said};
use crate::support::server::{Server, echo_kind, verify};

/// The texts of these jobs stay in pages, and fill segments fast.
const FAT_BYTES: usize = 7_000;

/// A directory with a configuration: small segments, a worker, and a kind that leaves a file and lines.
pub fn home(more: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a place");
    let script = "echo a line; echo another >&2; echo made > \"$DAYBOOK_OUTPUT_DIR/out 1.txt\"";
    let files = format!("[kinds.files.run]\nmode = \"command\"\ncommand = [\"sh\", \"-c\", {script:?}]\n");
    let config = format!("segment_bytes = 4194304\n{}{files}{more}", echo_kind(1));
    std::fs::write(home.path().join("daybook.toml"), config).expect("written");
    home
}

/// Submits so many fat jobs.
pub fn fill(server: &Server, bulks: usize) {
    for bulk in 0..bulks {
        let text = format!("{bulk}{}", "x".repeat(FAT_BYTES));
        let jobs: Vec<Value> = (0..100).map(|n| json!({ "kind": "later", "args": { "n": n, "text": text } })).collect();
        assert_eq!(server.post("/api/jobs/bulk", &json!({ "jobs": jobs })).status, 201);
    }
}

/// Fills the log until parts of it are finished; sealing takes a moment.
pub fn until_sealed(server: &Server, parts: usize) {
    while server.read("/api/backup")["parts"].as_array().unwrap().len() < parts {
        fill(server, 1);
    }
}

/// Fills the log until its beginning is dropped up to an event. To ask for a backup would hold it.
pub fn until_dropped(server: &Server, seq: u64) -> u64 {
    loop {
        let earliest = server.read("/api/events?limit=1")["earliest"].as_u64().unwrap();
        if earliest > seq {
            return earliest;
        }
        fill(server, 1);
    }
}

pub fn seq_of(server: &Server) -> u64 {
    server.read("/health")["seq"].as_u64().unwrap()
}

pub fn backup(directory: &Path, server: &Server, more: &str) -> Value {
    json_of(directory, &format!("backup --to backups --server http://{} --json {more}", server.address()))
}

/// Begins a backup, and does not wait for it.
fn begin(directory: &Path, server: &Server) -> Child {
    let mut command = Command::new(BINARY);
    command.args(["backup", "--to", "backups", "--json", "--server"]).arg(format!("http://{}", server.address()));
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the binary runs")
}

pub fn fold_at(directory: &Path, data: &str, seq: &Value) -> Value {
    json_of(directory, &format!("replay --json --data {data} --until {seq}"))["fold"].take()
}

/// Restores the newest backup and looks whether the directory is in order; gives what the command says.
pub fn restored(directory: &Path, data: &str, more: &str) -> Value {
    let said = json_of(directory, &format!("restore --from backups --data {data} --json {more}"));
    assert_eq!(fold_of(directory, data), said["fold"]);
    let (code, found) = verify(&directory.join(data));
    // The part of the log that the next start goes on with may be empty.
    let left_over = found.lines().filter(|line| line.starts_with("left over") && !line.contains("has no events yet"));
    assert!(code == Some(0) && left_over.count() == 0, "{found}");
    said
}

fn files_below(path: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(path).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
    let entries: Vec<std::path::PathBuf> = entries.unwrap_or_default();
    entries.into_iter().flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_backup_under_load_is_restored_as_the_server_was_at_that_moment() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    let made = server.submit("files", json!({}));
    assert_eq!(server.finished(&made)["state"], "completed");
    server.submit("later", json!({ "big": "y".repeat(30_000) }));
    until_sealed(&server, 1);
    let running = begin(dir, &server);
    fill(&server, 8);
    let first: Value = serde_json::from_str(&Said::of(running.wait_with_output().expect("ends")).data()).unwrap();
    until_sealed(&server, 2);
    let second = backup(dir, &server, "");
    let (lines, file) = (format!("/api/jobs/{made}/logs"), format!("/api/jobs/{made}/files/out%201.txt"));
    let (lines_before, file_before) = (server.read(&lines)["lines"].take(), server.get(&file).bytes);
    assert!(server.stop().success());

    let whole = restored(dir, "whole", "");
    assert_eq!((&whole["seq"], &whole["fold"]), (&second["seq"], &fold_at(dir, "data", &second["seq"])));
    assert_eq!((&whole["files"], &whole["left_out"]), (&json!(2), &json!(0)));
    let name = first["backup"].as_str().unwrap();
    let named = restored(dir, "named", &format!("--backup {name}"));
    assert_eq!((&named["seq"], &named["fold"]), (&first["seq"], &fold_at(dir, "data", &first["seq"])));

    let server = start(dir, "whole");
    assert_eq!((server.read(&lines)["lines"].take(), server.get(&file).bytes), (lines_before, file_before));
    server.submit("later", json!({}));
    assert!(server.stop().success());
    assert_eq!(verify(&dir.join("whole")).0, Some(0));
}

#[test]
fn a_second_backup_copies_only_what_is_new() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    // Both kinds: a worker that joins later would be an event more.
    for kind in ["files", "echo"] {
        assert_eq!(server.finished(&server.submit(kind, json!({})))["state"], "completed");
    }
    until_sealed(&server, 1);
    fill(&server, 1);
    let first = backup(dir, &server, "");
    let (parts, events) = (first["parts"][0].as_u64().unwrap(), first["events"][0].as_u64().unwrap());
    assert!(parts >= 1 && events >= 100 && first["bytes"].as_u64().unwrap() > 4_000_000, "{first}");
    let files = files_below(&dir.join("backups")).len();

    let same = backup(dir, &server, "");
    assert_eq!((&same["parts"], &same["files"]), (&json!([0, parts]), &json!([0, 2])));
    assert_eq!((&same["events"], &same["bytes"]), (&json!([0, events]), &json!(0)));
    assert_eq!(files_below(&dir.join("backups")).len(), files + 1, "a manifest and nothing else");

    let again = server.submit("files", json!({}));
    assert_eq!(server.finished(&again)["state"], "completed");
    let more = backup(dir, &server, "");
    assert_eq!((&more["parts"], &more["files"]), (&json!([0, parts]), &json!([2, 2])));
    let behind = more["seq"].as_u64().unwrap() - first["seq"].as_u64().unwrap();
    assert_eq!(more["events"], json!([behind, events]));
    assert!(more["bytes"].as_u64().unwrap() < 20_000, "{more}");
    assert!(server.stop().success());

    // Where the events behind the last part came in pieces, they are put together.
    assert_eq!(restored(dir, "new", "")["fold"], fold_at(dir, "data", &more["seq"]));
    let name = first["backup"].as_str().unwrap();
    assert_eq!(restored(dir, "old", &format!("--backup {name}"))["fold"], fold_at(dir, "data", &first["seq"]));
}

#[test]
fn a_backup_that_is_killed_leaves_the_earlier_one_and_the_next_goes_on() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    server.submit("echo", json!({ "first": true }));
    let first = backup(dir, &server, "");
    until_sealed(&server, 2);
    let manifests = || std::fs::read_dir(dir.join("backups/backups")).unwrap().count();
    for least in 1..4 {
        let there = files_below(&dir.join("backups")).len();
        let mut running = begin(dir, &server);
        // At different moments of it; if it was faster, it is one backup more.
        while running.try_wait().expect("is a child").is_none()
            && files_below(&dir.join("backups")).len() < there + least
        {
            std::thread::yield_now();
        }
        running.kill().expect("is a child");
        running.wait().expect("is a child");
        let name = first["backup"].as_str().unwrap();
        assert!(manifests() >= 1);
        let said = json_of(dir, &format!("restore --from backups --data old-{least} --backup {name} --json"));
        assert_eq!(said["seq"], first["seq"]);
        assert_eq!(said["fold"], fold_of(dir, &format!("old-{least}")));
    }
    let last = backup(dir, &server, "");
    assert!(server.stop().success());
    assert_eq!(restored(dir, "new", "")["fold"], fold_at(dir, "data", &last["seq"]));
}

#[test]
fn older_backups_are_removed_with_all_that_nothing_else_needs() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    let mut taken = Vec::new();
    for _ in 0..3 {
        let made = server.submit("files", json!({}));
        assert_eq!(server.finished(&made)["state"], "completed");
        fill(&server, 1);
        taken.push(backup(dir, &server, ""));
    }
    // The log lines of each differ in their times.
    let purged = server.read("/api/jobs?kind=files&limit=1")["jobs"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(server.post(&format!("/api/jobs/{purged}/purge"), &json!({})).status, 200);
    let before = files_below(&dir.join("backups")).len();
    let last = backup(dir, &server, "--keep 1");
    assert!(server.stop().success());
    assert_eq!(last["removed"], 3, "{last}");
    // Three manifests and what the purged job had left went; a manifest and the events since came.
    assert_eq!(files_below(&dir.join("backups")).len(), before - 4 + 2);
    let gone = run(dir, &format!("restore --from backups --data x --backup {}", taken[0]["backup"].as_str().unwrap()));
    assert!(gone.code == Some(1) && gone.err.contains("there is no backup"), "{gone:?}");
    assert_eq!(restored(dir, "new", "")["fold"], fold_at(dir, "data", &last["seq"]));
    let none = run(dir, "backup --to backups --keep 0");
    assert!(none.code == Some(1) && none.err.contains("--keep"), "{none:?}");
}

#[test]
fn a_directory_of_anything_else_is_refused_with_the_next_step() {
    let home = home("");
    let dir = home.path();
    let (server, other) = (start(dir, "data"), start(dir, "other"));
    backup(dir, &server, "");
    let at = format!("--server http://{}", other.address());
    let said = run(dir, &format!("backup --to backups {at}"));
    assert!(
        said.code == Some(1) && said.err.contains("backups of another log; name another directory with --to"),
        "{said:?}"
    );
    // A data directory has a `log` too.
    let said = run(dir, &format!("backup --to data {at}"));
    assert!(said.code == Some(1) && said.err.contains("has no backups; name another directory"), "{said:?}");
    let lock = std::fs::File::open(dir.join("backups/LOCK")).unwrap();
    lock.lock().unwrap();
    let said = run(dir, &format!("backup --to backups --server http://{}", server.address()));
    assert!(said.code == Some(1) && said.err.contains("wait until it has ended"), "{said:?}");
    drop(lock);
    let before = files_below(&dir.join("backups"));
    for command in ["serve", "verify", "replay", "replay --verify", "export"] {
        let said = run(dir, &format!("{command} --data backups"));
        assert_eq!(said.code, Some(1), "{command}: {said:?}");
        assert!(said.err.contains("`daybook restore --from` it into a new"), "{command}: {said:?}");
    }
    assert_eq!(files_below(&dir.join("backups")), before);
    assert!(other.stop().success() && server.stop().success());
}

#[test]
fn a_server_that_was_backed_up_drops_what_is_due_at_once() {
    let home = home("[retention]\nlog_bytes = 1\nevery_s = 0.1\n");
    let dir = home.path();
    let server = start(dir, "data");
    until_sealed(&server, 1);
    let earliest = || server.read("/api/events?limit=1")["earliest"].as_u64().unwrap();
    let held = earliest();
    backup(dir, &server, "");
    // By itself the hold would last two minutes.
    let begun = Instant::now();
    while earliest() == held {
        assert!(begun.elapsed() < Duration::from_secs(60), "the log is still held");
        std::thread::yield_now();
    }
    assert!(server.stop().success());
}

#[test]
fn backups_under_load_and_fast_retention_are_consistent_each_and_come_to_an_end() {
    let home = home("[retention]\nlog_bytes = 1\nevery_s = 0.1\nfinished_count = 3\n");
    let dir = home.path();
    let mut server = start(dir, "data");
    let text = json!({ "deep": { "n": 7 }, "large": "y".repeat(20_000) });
    let waiting = server.submit("later", text.clone());
    until_dropped(&server, seq_of(&server));
    let mut names = Vec::new();
    for _ in 0..3 {
        let running = begin(dir, &server);
        for _ in 0..4 {
            server.submit("files", json!({}));
            fill(&server, 2);
        }
        let done: Value = serde_json::from_str(&Said::of(running.wait_with_output().expect("ends")).data()).unwrap();
        names.push((done["backup"].as_str().unwrap().to_owned(), done["seq"].clone()));
        // The hold of this backup is gone with the run, and what was held is dropped before the next.
        let earliest = server.read("/api/events?limit=1")["earliest"].as_u64().unwrap();
        assert!(server.stop().success());
        server = start(dir, "data");
        if names.len() < 3 {
            until_dropped(&server, earliest);
        }
    }
    assert!(server.stop().success());
    let (_, last) = names.last().unwrap();
    assert!(last.as_u64() > names[0].1.as_u64());
    for (place, (name, seq)) in names.iter().enumerate() {
        let said = restored(dir, &format!("new-{place}"), &format!("--backup {name}"));
        assert_eq!(&said["seq"], seq);
    }
    let early = run(dir, "restore --from backups --data other --until 1");
    assert!(early.code == Some(1) && early.err.contains("the backup begins with event"), "{early:?}");
    let early = run(dir, "restore --from backups --data other --until 2020-01-01T00:00:00Z");
    assert!(early.code == Some(1) && early.err.contains("the backup begins with event"), "{early:?}");
    let server = start(dir, "new-2");
    assert_eq!(server.read(&format!("/api/jobs/{waiting}"))["args"], text, "what a kept job points to is there");
    assert!(server.stop().success());
}
