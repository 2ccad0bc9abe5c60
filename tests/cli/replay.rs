//! `replay` on the data of a real server that was stopped: the state at any moment, the fold, what changed, one job, and
//! what is said of data that cannot be read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{BINARY, Said};
use crate::support::server::{Server, Start, echo_kind, verify};

/// Data of a server that was stopped, with jobs in several states.
struct Past {
    home: TempDir,
    ended: String,
    waiting: String,
    last: u64,
}

impl Past {
    fn new() -> Past {
        let home = tempfile::tempdir().expect("a place");
        let config = home.path().join("daybook.toml");
        std::fs::write(&config, echo_kind(1)).expect("written");
        let server = Start::on(&home.path().join("data")).config(&config).ready();
        let ended = server.submit("echo", json!({ "text": "x".repeat(20_000) }));
        assert_eq!(server.finished(&ended)["state"], "completed");
        let waiting = server.submit("later", json!({}));
        let bulk: Vec<Value> = (0..300).map(|n| json!({ "kind": "later", "args": { "n": n } })).collect();
        assert_eq!(server.post("/api/jobs/bulk", &json!({ "jobs": bulk })).status, 201);
        server.post(&format!("/api/jobs/{waiting}/cancel"), &json!({})).ok(200);
        let last = server.read("/health")["seq"].as_u64().expect("a number");
        assert!(server.stop().success());
        Past { home, ended, waiting, last }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn replay(&self, line: &str) -> Said {
        replay(&self.data(), line)
    }

    fn json(&self, line: &str) -> Value {
        let said = self.replay(&format!("--json {line}"));
        serde_json::from_str(&said.data()).expect("JSON")
    }
}

/// Runs `daybook replay` on a data directory, words split at blanks.
fn replay(data: &Path, line: &str) -> Said {
    let mut command = Command::new(BINARY);
    command.arg("replay").arg("--data").arg(data).args(line.split_whitespace());
    for name in ["DAYBOOK_DATA", "DAYBOOK_SERVER", "DAYBOOK_TOKEN"] {
        command.env_remove(name);
    }
    Said::of(command.stdin(Stdio::null()).output().expect("the binary runs"))
}

#[test]
fn a_log_is_folded_to_its_end_and_to_any_event_or_time_before() {
    let past = Past::new();
    let whole = past.json("");
    let (code, said) = verify(&past.data());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(whole["fold"].as_str().unwrap()), "the same fold as verify: {said}");
    assert_eq!((whole["jobs"].as_u64(), whole["counts"]["queued"].as_u64()), (Some(302), Some(300)), "{whole}");
    assert_eq!((&whole["counts"]["completed"], &whole["counts"]["cancelled"]), (&json!(1), &json!(1)));
    assert!(whole["seq"].as_u64() >= Some(past.last) && whole["epoch"].is_string() && whole["at"].is_string());

    let seq = past.last - 1;
    let before = past.json(&format!("--until {seq}"));
    assert_eq!((before["seq"].as_u64(), before["counts"]["queued"].as_u64()), (Some(seq), Some(301)), "{before}");
    let at = before["at"].as_str().unwrap();
    assert!(past.json(&format!("--until {at}"))["seq"].as_u64() >= Some(seq));
    assert_eq!(past.json("--until 2020-01-01T00:00:00Z")["seq"], 0);
    assert_eq!(past.json("--until 0")["at"], Value::Null);
    // The same with a speed: nothing is passed over, and long waits are cut.
    assert_eq!(past.json(&format!("--until {seq} --speed 1000"))["fold"], before["fold"]);

    let text = past.replay("").data();
    assert!(text.contains("302: ") && text.contains("300 queued"), "{text}");
    let past_head = past.replay("--until 99999");
    assert_eq!(past_head.code, Some(1));
    assert!(past_head.err.contains("has not happened; the last is"), "{past_head:?}");
}

#[test]
fn what_changed_between_two_events_is_told_and_one_job_is_followed() {
    let past = Past::new();
    let changed = past.json(&format!("--diff {}..{}", past.last - 1, past.last));
    assert_eq!(changed["finished"]["cancelled"]["ids"], json!([past.waiting]), "{changed}");
    assert_eq!(changed["moved"]["queued → cancelled"]["jobs"], 1);
    assert_eq!((&changed["states"]["queued"], &changed["created"]["jobs"]), (&json!([301, 300]), &json!(0)));
    assert_eq!(changed["queues"]["default"]["finished"]["cancelled"], 1);
    let all = past.json(&format!("--diff 0..{}", past.last));
    assert_eq!((&all["created"]["jobs"], &all["kinds"]["later"]["created"]), (&json!(302), &json!(301)));
    let text = past.replay(&format!("--diff 0..{}", past.last)).data();
    assert!(text.contains("created   302") && text.contains("finished  1 completed"), "{text}");
    assert_eq!(past.replay("--diff 0..99999").code, Some(1));

    let followed = past.json(&format!("--job {}", past.ended));
    let events = followed["job"]["events"].as_array().unwrap();
    let steps: Vec<_> = events.iter().map(|it| (it["type"].as_str().unwrap(), it["state"].as_str().unwrap())).collect();
    assert_eq!(steps.first(), Some(&("job.submitted", "queued")));
    assert_eq!(steps.last(), Some(&("job.completed", "completed")));
    let unknown = past.replay("--job 0197a000-0000-7000-8000-000000000000");
    assert!(unknown.code == Some(1) && unknown.err.contains("knows no job"), "{unknown:?}");
}

#[test]
fn the_fold_is_held_against_the_stored_views_and_snapshots() {
    let past = Past::new();
    let said = past.replay("--verify").data();
    assert!(said.contains("equal the fold"), "{said}");
    let snapshots = past.data().join("snapshots");
    std::fs::create_dir_all(&snapshots).unwrap();
    std::fs::write(snapshots.join("00000000000000000005"), "another program's").unwrap();
    let said = past.replay("--verify --json");
    assert!(said.code == Some(1) && said.err.contains("snapshots"), "{said:?}");
    let said: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said["differences"].as_array().unwrap().len(), 1, "{said}");
}

#[test]
fn data_that_cannot_be_read_is_told_with_its_place_and_the_next_step() {
    let past = Past::new();
    let nowhere = replay(&past.home.path().join("nowhere"), "");
    assert!(nowhere.code == Some(1) && nowhere.err.contains("there is no log in"), "{nowhere:?}");

    let segment = past.data().join("log/00000000000000000001");
    let pack = std::fs::read_dir(segment.join("payloads")).unwrap().next().expect("a big body").unwrap().path();
    let whole = std::fs::read(&pack).unwrap();
    std::fs::write(&pack, &whole[1..]).unwrap();
    let said = past.replay("");
    assert!(said.code == Some(1) && said.err.contains("event ") && said.err.contains("daybook verify"), "{said:?}");
    std::fs::write(&pack, whole).unwrap();

    // Another program's database in its place.
    let database = segment.join("db");
    let whole = std::fs::read(&database).unwrap();
    std::fs::write(&database, vec![7; whole.len()]).unwrap();
    let said = past.replay("");
    assert!(said.code == Some(1) && said.err.contains("00000000000000000001"), "{said:?}");
    assert!(said.err.contains("is not in it") && said.err.contains("daybook verify"), "{said:?}");
    std::fs::write(&database, whole).unwrap();
    past.replay("").data();
}

#[test]
fn data_that_a_server_uses_is_not_read() {
    let past = Past::new();
    let server: Server = Start::on(&past.data()).ready();
    let said = past.replay("");
    assert!(said.code == Some(1) && said.err.contains("is in use"), "{said:?}");
    server.kill();
    // What a killed server left is read as far as it was written.
    assert!(past.json("")["seq"].as_u64() > Some(past.last));
}

#[test]
fn a_running_server_is_folded_to_any_event_also_one_within_a_step() {
    let past = Past::new();
    let within: Vec<u64> = vec![3, past.last / 2, past.last / 2 + 1, past.last - 1];
    let stopped: Vec<Value> = within.iter().map(|seq| past.json(&format!("--until {seq}"))["fold"].clone()).collect();
    let server = Start::on(&past.data()).ready();
    for (seq, fold) in within.iter().zip(stopped) {
        let mut command = Command::new(BINARY);
        command.args(["replay", "--json", "--until", &seq.to_string(), "--server", &server.at("")]);
        let said = Said::of(command.env_remove("DAYBOOK_DATA").stdin(Stdio::null()).output().expect("it runs"));
        let told: Value = serde_json::from_str(&said.data()).expect("JSON");
        assert_eq!((&told["seq"], &told["fold"]), (&json!(seq), &fold));
    }
}
