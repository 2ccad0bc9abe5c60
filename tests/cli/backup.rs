//! `backup` of a server that runs and works, and `restore` to any moment: the same fold, the same files, and clients that
//! saw more are told so.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::export::{fold_of, json_of, run, start};
use crate::server::{BINARY, Said};
use crate::support::server::{Server, echo_kind, verify};

/// The texts of these jobs stay in pages, and fill segments fast.
const FAT_BYTES: usize = 7_000;

/// A directory with a configuration: small segments, a worker, and a kind that leaves a file and lines.
fn home() -> TempDir {
    let home = tempfile::tempdir().expect("a place");
    let script = "echo a line; echo another >&2; echo made > \"$DAYBOOK_OUTPUT_DIR/out 1.txt\"";
    let files = format!("[kinds.files.run]\nmode = \"command\"\ncommand = [\"sh\", \"-c\", {script:?}]\n");
    let config = format!("segment_bytes = 4194304\n{}{files}", echo_kind(1));
    std::fs::write(home.path().join("daybook.toml"), config).expect("written");
    home
}

/// Submits so many fat jobs.
fn fill(server: &Server, bulks: usize) {
    for bulk in 0..bulks {
        let text = format!("{bulk}{}", "x".repeat(FAT_BYTES));
        let jobs: Vec<Value> = (0..100).map(|n| json!({ "kind": "later", "args": { "n": n, "text": text } })).collect();
        assert_eq!(server.post("/api/jobs/bulk", &json!({ "jobs": jobs })).status, 201);
    }
}

/// Fills the log until a part of it is finished; sealing takes a moment.
fn until_sealed(server: &Server, parts: usize) {
    while server.read("/api/backup")["parts"].as_array().unwrap().len() < parts {
        fill(server, 1);
    }
}

fn seq_of(server: &Server) -> u64 {
    server.read("/health")["seq"].as_u64().unwrap()
}

fn backup(directory: &Path, server: &Server) -> Value {
    json_of(directory, &format!("backup --to backups --server http://{} --json", server.address()))
}

fn fold_at(directory: &Path, data: &str, seq: &Value) -> Value {
    json_of(directory, &format!("replay --json --data {data} --until {seq}"))["fold"].take()
}

#[test]
fn a_backup_under_load_is_restored_as_the_server_was_at_that_moment() {
    let home = home();
    let dir = home.path();
    let server = start(dir, "data");
    let made = server.submit("files", json!({}));
    assert_eq!(server.finished(&made)["state"], "completed");
    server.submit("later", json!({ "big": "y".repeat(30_000) }));
    until_sealed(&server, 1);
    let early = seq_of(&server) / 2;
    let mut command = std::process::Command::new(BINARY);
    command.args(["backup", "--to", "backups", "--json", "--server"]).arg(format!("http://{}", server.address()));
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn().expect("the binary runs");
    fill(&server, 8);
    let first: Value = serde_json::from_str(&Said::of(running.wait_with_output().expect("ends")).data()).unwrap();
    // What is there is not copied again.
    until_sealed(&server, 2);
    let second = backup(dir, &server);
    assert!(second["parts"][1].as_u64() >= first["parts"][0].as_u64() && second["files"] == json!([0, 2]), "{second}");
    let (lines, file) = (format!("/api/jobs/{made}/logs"), format!("/api/jobs/{made}/files/out%201.txt"));
    let (lines_before, file_before) = (server.read(&lines)["lines"].take(), server.get(&file).bytes);
    assert!(server.stop().success());

    let whole = json_of(dir, "restore --from backups --data whole --json");
    assert_eq!((&whole["seq"], &whole["fold"]), (&second["seq"], &fold_at(dir, "data", &second["seq"])));
    assert_eq!(fold_of(dir, "whole"), whole["fold"]);
    let (code, said) = verify(&dir.join("whole"));
    assert_eq!(code, Some(0), "{said}");
    let name = first["backup"].as_str().unwrap();
    let named = json_of(dir, &format!("restore --from backups --data named --backup {name} --json"));
    assert_eq!((&named["seq"], &named["fold"]), (&first["seq"], &fold_at(dir, "data", &first["seq"])));

    // Any event before, also in the middle of a part; a step that is cut in two never was.
    let late = second["seq"].as_u64().unwrap() - 50;
    for (data, until) in [("early", early), ("late", late)] {
        let cut = json_of(dir, &format!("restore --from backups --data {data} --until {until} --json"));
        let seq = cut["seq"].as_u64().unwrap();
        assert!(seq <= until && seq + 100 > until, "{cut}");
        assert_eq!((&cut["fold"], fold_of(dir, data)), (&fold_at(dir, "data", &cut["seq"]), cut["fold"].clone()));
        assert_eq!(verify(&dir.join(data)).0, Some(0));
    }
    let time = json_of(dir, &format!("replay --json --data data --until {early}"))["at"].as_str().unwrap().to_owned();
    let timed = json_of(dir, &format!("restore --from backups --data timed --until {time} --json"));
    assert_eq!(timed["fold"], json_of(dir, &format!("replay --json --data data --until {time}"))["fold"]);

    let server = start(dir, "whole");
    assert_eq!((server.read(&lines)["lines"].take(), server.get(&file).bytes), (lines_before, file_before));
    server.submit("later", json!({}));
    assert!(server.stop().success());
    assert_eq!(verify(&dir.join("whole")).0, Some(0));
    let there = run(dir, "restore --from backups --data whole");
    assert!(there.code == Some(1) && there.err.contains("is there already"), "{there:?}");
}

#[test]
fn clients_that_saw_what_a_restore_took_back_are_told_and_others_go_on() {
    let home = home();
    let dir = home.path();
    let epoch_of = |server: &Server| server.read("/health")["epoch"].as_str().unwrap().to_owned();
    let server = start(dir, "data");
    let first = epoch_of(&server);
    server.submit("later", json!({}));
    let cut = seq_of(&server);
    server.submit("later", json!({}));
    let ahead = seq_of(&server);
    assert!(server.stop().success());
    let server = start(dir, "data");
    let second = epoch_of(&server);
    server.submit("later", json!({}));
    let last = seq_of(&server);
    backup(dir, &server);
    assert!(server.stop().success());

    json_of(dir, &format!("restore --from backups --data new --until {cut} --json"));
    let server = start(dir, "new");
    let asked = |epoch: &str, after: u64| server.get(&format!("/api/events?epoch={epoch}&after={after}"));
    asked(&first, ahead).refused(410, "position_lost");
    assert!(asked(&first, ahead).json()["detail"].as_str().unwrap().starts_with("ahead"));
    assert!(asked(&second, last).refused(410, "position_lost")["detail"].to_string().contains("unknown_epoch"));
    let events = asked(&first, cut - 1).ok(200);
    assert_eq!(events["events"][0]["seq"], cut, "{events}");
    assert_eq!(events["events"][1]["type"], "epoch.started", "a new run goes on behind the cut");
    assert!(server.stop().success());
}

#[test]
fn a_damaged_backup_and_one_of_another_log_are_told_of() {
    let home = home();
    let dir = home.path();
    let server = start(dir, "data");
    until_sealed(&server, 1);
    backup(dir, &server);
    let said = run(dir, "restore --from nothing --data new");
    assert!(said.code == Some(1) && said.err.contains("there is no backup in nothing"), "{said:?}");
    let said = run(dir, "restore --from backups --data new --until 99999999");
    assert!(said.code == Some(1) && said.err.contains("no backup goes up to event"), "{said:?}");
    let said = run(dir, "restore --from backups --data new --backup x");
    assert!(said.code == Some(1) && said.err.contains("there is no backup x"), "{said:?}");

    let other = start(dir, "other");
    let said = run(dir, &format!("backup --to backups --server http://{}", other.address()));
    assert!(said.code == Some(1) && said.err.contains("backups of another log"), "{said:?}");
    assert!(other.stop().success() && server.stop().success());

    let part: PathBuf = std::fs::read_dir(dir.join("backups/log")).unwrap().next().unwrap().unwrap().path();
    let database = part.join("db");
    let mut bytes = std::fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&database, bytes).unwrap();
    let said = run(dir, "restore --from backups --data new");
    assert!(said.code == Some(1) && said.err.contains("not as it was sealed"), "{said:?}");
    assert!(!dir.join("new").exists(), "nothing stands under the name before all is there");
    // Another try, with what is before the damage, or after it was cured.
    let manifest = std::fs::read_dir(dir.join("backups/backups")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&manifest, "{").unwrap();
    let said = run(dir, "restore --from backups --data new");
    assert!(said.code == Some(1) && said.err.contains("is no manifest of a backup"), "{said:?}");
}

#[test]
fn a_log_whose_beginning_was_dropped_is_replayed_backed_up_and_restored() {
    let home = home();
    let dir = home.path();
    let config = std::fs::read_to_string(dir.join("daybook.toml")).unwrap();
    let trims = format!("segment_bytes = 4194304\n[retention]\nlog_bytes = 1\nevery_s = 0.2\n{}", echo_kind(1));
    std::fs::write(dir.join("daybook.toml"), trims).unwrap();
    let server = start(dir, "data");
    let text = json!({ "deep": { "n": 7 }, "large": "y".repeat(20_000) });
    let ended = server.submit("echo", text.clone());
    assert_eq!(server.finished(&ended)["state"], "completed");
    let waiting = server.submit("later", text.clone());
    let before = seq_of(&server);
    while server.read("/api/backup")["earliest"].as_u64().unwrap() <= before {
        fill(&server, 1);
    }
    let done = backup(dir, &server);
    let again = backup(dir, &server);
    assert!(again["seq"].as_u64() >= done["seq"].as_u64(), "{again}");
    assert!(server.stop().success());

    let there = json_of(dir, "replay --json --data data");
    assert_eq!(run(dir, "replay --verify --data data").code, Some(0));
    let early = run(dir, "replay --data data --until 1");
    assert!(early.code == Some(1) && early.err.contains("no longer in the log"), "{early:?}");
    let export = run(dir, "export --data data --out log.jsonl");
    assert!(export.code == Some(1) && export.err.contains("dropped what came before"), "{export:?}");

    let restored = json_of(dir, "restore --from backups --data new --json");
    assert_eq!((&restored["seq"], &restored["fold"]), (&again["seq"], &fold_at(dir, "data", &again["seq"])), "{there}");
    let (code, said) = verify(&dir.join("new"));
    assert_eq!(code, Some(0), "{said}");
    let early = run(dir, "restore --from backups --data other --until 1");
    assert!(early.code == Some(1) && early.err.contains("the backup begins with event"), "{early:?}");
    std::fs::write(dir.join("daybook.toml"), config).unwrap();
    let server = start(dir, "new");
    for id in [ended, waiting] {
        assert_eq!(server.read(&format!("/api/jobs/{id}"))["args"], text, "what a kept job points to is there");
    }
    assert!(server.stop().success());
}
