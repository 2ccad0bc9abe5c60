//! A log whose oldest events were dropped goes out as lines and comes back: what stands for the dropped ones goes with it,
//! and is refused if a byte of it is missing or another.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::export::{fold_of, json_of, run, start};
use crate::support::server::{Server, echo_kind, verify};

const AGE: &str = "\n[retention]\nlog_age_s = 0.3\nevery_s = 0.1\n";

/// A directory whose `data` has dropped what happened at its beginning: a job that ended, a batch, one with large args,
/// a purged one and some that nobody knows any more.
struct Trimmed {
    home: TempDir,
    ended: String,
    batch: String,
    large: String,
    purged: String,
    last: String,
}

impl Trimmed {
    fn path(&self) -> &Path {
        self.home.path()
    }
}

fn trimmed(large_bytes: usize) -> Trimmed {
    let home = tempfile::tempdir().expect("a place");
    let dir = home.path();
    let forget = "[retention.kinds.brief]\nfinished_count = 0\n";
    std::fs::write(dir.join("daybook.toml"), echo_kind(1) + AGE + forget).expect("written");
    let server = start(dir, "data");
    let ended = server.submit("echo", json!({ "text": "x".repeat(9_000), "word": "Cembalo" }));
    assert_eq!(server.finished(&ended)["state"], "completed");
    let purged = server.submit("echo", json!({ "word": "Xylophonquartett" }));
    assert_eq!(server.finished(&purged)["state"], "completed");
    let items = json!([{ "key": "a", "args": { "n": 1 } }, { "key": "b" }]);
    let batch = json!({ "kind": "later", "args": {}, "items": items, "tags": ["ü", "b"] });
    let batch = id_of(&server.post("/api/jobs", &batch).ok(201));
    let large = server.submit("later", json!({ "text": "y".repeat(large_bytes) }));
    let brief = server.submit("brief", json!({ "word": "Ophikleide" }));
    server.post(&format!("/api/jobs/{brief}/cancel"), &json!({})).ok(200);
    dropped(&server);
    // Purged when its submission is carried already: then its bytes leave the disk soon.
    assert!(holds(&dir.join("data"), "Xylophonquartett"));
    server.post(&format!("/api/jobs/{purged}/purge"), &json!({})).ok(200);
    while holds(&dir.join("data"), "Xylophonquartett") {
        std::thread::yield_now();
    }
    assert!(server.stop().success());
    // Nothing more is dropped.
    std::fs::write(dir.join("daybook.toml"), echo_kind(1)).expect("written");
    let server = start(dir, "data");
    let last = server.submit("later", json!({ "word": "last" }));
    assert!(server.stop().success());
    Trimmed { home, ended, batch, large, purged, last }
}

/// Whether a word is in any file below a directory.
fn holds(directory: &Path, word: &str) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => holds(&path, word),
        // A file may be removed just now.
        false => std::fs::read(&path).unwrap_or_default().windows(word.len()).any(|part| part == word.as_bytes()),
    })
}

fn id_of(job: &Value) -> String {
    job["id"].as_str().expect("an id").to_owned()
}

/// Waits until all that happened so far is dropped.
fn dropped(server: &Server) {
    let seq = server.read("/health")["seq"].as_u64();
    while server.read("/api/events?limit=1")["earliest"].as_u64() <= seq {
        std::thread::yield_now();
    }
}

fn lines_of(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).expect("reads").lines().map(str::to_owned).collect()
}

fn count(lines: &[String], marked: &str) -> usize {
    lines.iter().filter(|line| line.contains(marked)).count()
}

const PART: &str = "\"type\":\"daybook.base.part\"";
const CARRIED: &str = "\"daybookcarried\":true";

#[test]
fn a_log_whose_beginning_was_dropped_is_exported_and_imported_as_the_same_log() {
    let trimmed = trimmed(10 * 1024 * 1024);
    let dir = trimmed.path();
    let fold = fold_of(dir, "data");
    let said = json_of(dir, "export --data data --out log.jsonl --json");
    assert_eq!(said["fold"], fold);
    let lines = lines_of(&dir.join("log.jsonl"));
    assert!(count(&lines, PART) >= 2 && count(&lines, CARRIED) >= 4, "{}", lines[0]);
    for (word, is_there) in [("Cembalo", true), ("Xylophonquartett", false), ("Ophikleide", false), ("last", true)] {
        assert_eq!(count(&lines, word) > 0, is_there, "{word}");
    }
    assert_eq!(json_of(dir, "replay --json --from log.jsonl")["fold"], fold);
    let imported = json_of(dir, "import --data copy log.jsonl --json");
    assert_eq!((&imported["fold"], &imported["seq"]), (&fold, &said["seq"]));
    assert_eq!(fold_of(dir, "copy"), fold);
    let (code, words) = verify(&dir.join("copy"));
    assert_eq!(code, Some(0), "{words}");
    run(dir, "export --data copy --out again.jsonl").data();
    let again = lines_of(&dir.join("again.jsonl"));
    assert_eq!(again.len(), lines.len());
    let earliest = |lines: &[String]| serde_json::from_str::<Value>(&lines[0]).unwrap()["data"]["earliest"].take();
    assert_eq!(earliest(&again), earliest(&lines));
    // A server that has nothing but the imported log shows all that was carried.
    let (old, new) = (shown(&trimmed, "data"), shown(&trimmed, "copy"));
    assert_eq!(new, old);
    assert_eq!(new[0]["result"]["echo"]["word"].as_str().or(new[0]["args"]["word"].as_str()), Some("Cembalo"));
    assert_eq!((&new[3]["args"], new[3]["purged_at"].is_string()), (&Value::Null, true));
    let (code, words) = verify(&dir.join("copy"));
    assert_eq!(code, Some(0), "{words}");
}

/// What a server shows of the jobs, of each with what it carries.
fn shown(trimmed: &Trimmed, data: &str) -> Vec<Value> {
    let server = start(trimmed.path(), data);
    let ids = [&trimmed.ended, &trimmed.batch, &trimmed.large, &trimmed.purged];
    let mut shown: Vec<Value> = ids.map(|id| server.read(&format!("/api/jobs/{id}"))).into();
    shown.push(server.read(&format!("/api/jobs/{}/items", trimmed.batch))["items"].take());
    assert!(server.stop().success());
    shown
}

#[test]
fn a_file_that_is_cut_in_what_stands_for_dropped_events_is_refused_and_made_whole() {
    let trimmed = trimmed(10);
    let dir = trimmed.path();
    run(dir, "export --data data --out whole.jsonl").data();
    let whole = std::fs::read(dir.join("whole.jsonl")).unwrap();
    let ends = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let cuts: Vec<usize> = ends.flat_map(|at| [at - 7, at - 1, at]).filter(|cut| *cut < whole.len()).collect();
    for cut in cuts {
        std::fs::write(dir.join("cut.jsonl"), &whole[..cut]).unwrap();
        let said = run(dir, "replay --from cut.jsonl");
        assert!(said.code == Some(1) && said.err.contains("cut.jsonl breaks off behind line"), "{cut}: {said:?}");
        run(dir, "export --data data --out cut.jsonl").data();
        assert!(std::fs::read(dir.join("cut.jsonl")).unwrap() == whole, "cut at {cut}");
    }
    let said = run(dir, "import --data copy missing.jsonl");
    assert_eq!(said.code, Some(1), "{said:?}");
    // Another log's file is left alone, also if it broke off before its first event.
    std::fs::write(dir.join("cut.jsonl"), &whole[..whole.len() / 4]).unwrap();
    let server = start(dir, "other");
    server.submit("later", json!({}));
    assert!(server.stop().success());
    let said = run(dir, "export --data other --out cut.jsonl");
    assert!(said.code == Some(1) && said.err.contains("of another log"), "{said:?}");
}

#[test]
fn what_stands_for_dropped_events_is_refused_with_its_line_when_it_was_changed() {
    let trimmed = trimmed(10);
    let dir = trimmed.path();
    run(dir, "export --data data --out log.jsonl").data();
    let lines = lines_of(&dir.join("log.jsonl"));
    let (parts, carried) = (count(&lines, PART), count(&lines, CARRIED));
    let without = |line: usize| [&lines[..line], &lines[line + 1..]].concat().join("\n") + "\n";
    let with =
        |line: usize, text: &str| [&lines[..line], &[text.to_owned()], &lines[line + 1..]].concat().join("\n") + "\n";
    let other_byte = lines[1].replacen("\"bytes\":\"", "\"bytes\":\"AAAA", 1);
    let no_base64 = lines[1].replacen("\"bytes\":\"", "\"bytes\":\"!", 1);
    let first_event = &lines[1 + parts + carried];
    for (text, words) in [
        (with(1, &other_byte), "line 2: it was changed since it was written"),
        (with(1, &no_base64), "line 2: it was changed since it was written"),
        (without(1), "line 2: piece 1 of the jobs before its events stands in a wrong place"),
        (without(parts), &format!("line {}: piece 1 of the jobs before its events is missing", parts + 1)),
        (without(parts + 1), "carried events are missing"),
        (with(parts + 1, first_event), &format!("line {}: {carried} carried events are missing", parts + 2)),
        (with(1 + parts + carried, &lines[1]), "belongs before event"),
    ] {
        std::fs::write(dir.join("changed.jsonl"), text).unwrap();
        for command in ["replay --from changed.jsonl", "import --data copy changed.jsonl"] {
            let said = run(dir, command);
            assert!(said.code == Some(1) && said.err.contains(words), "{words}: {said:?}");
            assert!(said.err.contains("--force"), "{said:?}");
        }
        let _ = std::fs::remove_dir_all(dir.join("copy"));
    }
}

#[test]
fn an_import_that_ended_in_what_stands_for_dropped_events_is_gone_on_with() {
    let trimmed = trimmed(10);
    let dir = trimmed.path();
    run(dir, "export --data data --out log.jsonl").data();
    let lines = lines_of(&dir.join("log.jsonl"));
    let fold = fold_of(dir, "data");
    for line in [2, 1 + count(&lines, PART), 2 + count(&lines, PART), lines.len() - 2] {
        let broken = [&lines[..line], &["{}".to_owned()], &lines[line + 1..]].concat().join("\n") + "\n";
        std::fs::write(dir.join("broken.jsonl"), broken).unwrap();
        let said = run(dir, "import --data copy broken.jsonl");
        assert!(said.code == Some(1) && said.err.contains(&format!("line {}", line + 1)), "{said:?}");
        // A file that was being written when the import was killed.
        if dir.join("copy/IMPORTING").exists() {
            std::fs::create_dir_all(dir.join("copy/log/carried")).unwrap();
            std::fs::write(dir.join("copy/log/carried/carried.tmp"), "half").unwrap();
        }
        let imported = json_of(dir, "import --data copy log.jsonl --json");
        assert_eq!(imported["fold"], fold);
        assert_eq!(fold_of(dir, "copy"), fold);
        let (code, words) = verify(&dir.join("copy"));
        assert_eq!(code, Some(0), "{words}");
        std::fs::remove_dir_all(dir.join("copy")).unwrap();
    }
}

#[test]
fn a_running_server_gives_what_stands_for_dropped_events_and_says_when_a_file_cannot_be_gone_on_with() {
    let trimmed = trimmed(10);
    let dir = trimmed.path();
    let server = start(dir, "data");
    let at = format!("--server http://{}", server.address());
    let said = json_of(dir, &format!("export {at} --out log.jsonl --json"));
    let played = json_of(dir, &format!("replay --json {at}"));
    assert_eq!(played["fold"], said["fold"]);
    let lines = lines_of(&dir.join("log.jsonl"));
    assert_eq!(count(&lines, "Xylophonquartett"), 0);
    assert!(count(&lines, "Cembalo") > 0);
    let earliest = server.read("/api/events?limit=1")["earliest"].as_u64().unwrap();
    let refusal = run(dir, &format!("replay {at} --until {}", earliest - 2));
    assert!(refusal.code == Some(1) && refusal.err.contains("no longer in the log"), "{refusal:?}");
    // A whole file is gone on with; one that ends before what is still there is not, and says why.
    server.submit("later", json!({}));
    let more = json_of(dir, &format!("export {at} --out log.jsonl --json"));
    assert_eq!(more["seq"].as_u64().unwrap(), said["seq"].as_u64().unwrap() + more["events"].as_u64().unwrap());
    assert!(server.stop().success());
    assert_eq!(fold_at(dir, "data", &more["seq"]), more["fold"]);
    std::fs::write(dir.join("daybook.toml"), echo_kind(1) + AGE).expect("written");
    let server = start(dir, "data");
    dropped(&server);
    let at = format!("--server http://{}", server.address());
    let refusal = run(dir, &format!("export {at} --out log.jsonl"));
    assert!(refusal.code == Some(1) && refusal.err.contains("anew with --force"), "{refusal:?}");
    assert!(server.stop().success());
    let refusal = run(dir, "export --data data --out log.jsonl");
    assert!(refusal.code == Some(1) && refusal.err.contains("anew with --force"), "{refusal:?}");
    run(dir, "export --data data --out log.jsonl --force").data();
    assert_eq!(json_of(dir, "replay --json --from log.jsonl")["fold"], fold_of(dir, "data"));
}

fn fold_at(directory: &Path, data: &str, seq: &Value) -> Value {
    json_of(directory, &format!("replay --json --data {data} --until {seq}"))["fold"].take()
}

#[test]
fn a_file_with_dropped_events_is_played_compared_and_submitted_again() {
    let trimmed = trimmed(10);
    let dir = trimmed.path();
    run(dir, "export --data data --out log.jsonl").data();
    let first: Value = serde_json::from_str(&lines_of(&dir.join("log.jsonl"))[0]).unwrap();
    let (earliest, last) = (first["data"]["earliest"].as_u64().unwrap(), first["data"]["last"].as_u64().unwrap());
    for source in ["--from log.jsonl", "--data data"] {
        assert_eq!(json_of(dir, &format!("replay --json {source} --until {}", earliest - 1))["seq"], earliest - 1);
        for moment in [(earliest - 2).to_string(), "2001-01-01T00:00:00Z".to_owned()] {
            let said = run(dir, &format!("replay --json {source} --until {moment}"));
            assert!(said.code == Some(1) && said.err.contains(&earliest.to_string()), "{source} {moment}: {said:?}");
        }
        let changed = json_of(dir, &format!("replay --json {source} --diff {}..{last}", earliest - 1));
        assert_eq!(changed["created"]["jobs"], 1, "{changed}");
        let told = json_of(dir, &format!("replay --json {source} --job {}", trimmed.last));
        assert_eq!(told["job"]["events"][0]["type"], "job.submitted", "{told}");
        let said = run(dir, &format!("replay {source} --job {}", trimmed.ended));
        assert!(said.code == Some(1) && said.err.contains("were dropped"), "{said:?}");
        let other = start(dir, "other");
        let at = format!("{source} --server http://{}", other.address());
        let said = json_of(dir, &format!("replay --resubmit --filter kind=later {at} --json"));
        assert_eq!((&said["chosen"], &said["submitted"]), (&json!(3), &json!(3)), "{said}");
        let jobs = other.read("/api/jobs?tag=b");
        assert_eq!(jobs["jobs"][0]["items"]["total"], 2, "{jobs}");
        assert!(other.stop().success());
        std::fs::remove_dir_all(dir.join("other")).unwrap();
    }
}
