//! `export` and `import`: a log goes out as lines and comes back as the same log, also when either was broken off; what
//! is no export is refused with its line.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{BINARY, Said};
use crate::support::server::{Server, Start, echo_kind, verify};

/// Runs a command line, words split at blanks, in a directory.
pub fn run(directory: &Path, line: &str) -> Said {
    let mut command = Command::new(BINARY);
    command.args(line.split_whitespace()).current_dir(directory);
    for name in ["DAYBOOK_DATA", "DAYBOOK_SERVER", "DAYBOOK_TOKEN"] {
        command.env_remove(name);
    }
    Said::of(command.stdin(Stdio::null()).output().expect("the binary runs"))
}

pub fn json_of(directory: &Path, line: &str) -> Value {
    serde_json::from_str(&run(directory, line).data()).expect("JSON")
}

pub fn fold_of(directory: &Path, data: &str) -> Value {
    json_of(directory, &format!("replay --json --data {data}"))["fold"].take()
}

/// A directory with a configuration whose kind `echo` has a worker.
fn home() -> TempDir {
    let home = tempfile::tempdir().expect("a place");
    std::fs::write(home.path().join("daybook.toml"), echo_kind(1)).expect("written");
    home
}

pub fn start(home: &Path, data: &str) -> Server {
    Start::in_directory(home, &home.join(data)).ready()
}

/// Jobs of many sorts: a batch, a schedule, children, a big one, ended ones, one that was run again, a paused queue.
pub fn live(server: &Server, big_bytes: usize) {
    let ended = server.submit("echo", json!({ "text": "x".repeat(20_000) }));
    assert_eq!(server.finished(&ended)["state"], "completed");
    let items: Vec<Value> = (0..40).map(|n| json!({ "key": format!("k{n}"), "args": { "n": n } })).collect();
    let batch = json!({ "kind": "later", "args": {}, "items": items, "tags": ["ü", "b"] });
    server.post("/api/jobs", &batch).ok(201);
    server.post("/api/jobs", &json!({ "kind": "later", "args": { "text": "y".repeat(big_bytes) } })).ok(201);
    let keyed = json!({ "kind": "later", "args": { "n": 1.50 }, "unique_key": "u", "delay_s": 3600, "priority": -7 });
    let keyed = server.post("/api/jobs", &keyed).ok(201)["id"].as_str().unwrap().to_owned();
    server.post("/api/jobs", &json!({ "kind": "later", "args": {}, "depends_on": [keyed] })).ok(201);
    server.post(&format!("/api/jobs/{keyed}/cancel"), &json!({})).ok(200);
    server.post(&format!("/api/jobs/{keyed}/retry"), &json!({})).ok(200);
    assert_eq!(server.post("/api/queues/other/pause", &json!({})).status, 200);
}

/// A server that lives and ends, and leaves its log in `data`.
fn live_and_end(home: &Path, big_bytes: usize) {
    let server = start(home, "data");
    live(&server, big_bytes);
    assert!(server.stop().success());
}

#[test]
fn a_log_that_was_exported_and_imported_is_the_same_log() {
    let home = home();
    let dir = home.path();
    let server = start(dir, "data");
    live(&server, 10 * 1024 * 1024);
    assert!(server.stop().success());
    let said = json_of(dir, "export --data data --out log.jsonl --json");
    let fold = fold_of(dir, "data");
    assert_eq!(said["fold"], fold);
    assert_eq!(json_of(dir, "replay --json --from log.jsonl")["fold"], fold);
    let imported = json_of(dir, "import --data copy log.jsonl --json");
    assert_eq!((&imported["fold"], &imported["seq"]), (&fold, &said["seq"]));
    assert_eq!(fold_of(dir, "copy"), fold);
    let (code, words) = verify(&dir.join("copy"));
    assert_eq!(code, Some(0), "{words}");
    // The same lines again, but for the log's own UUID.
    run(dir, "export --data copy --out again.jsonl").data();
    let lines = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        let read = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let without = |mut line: Value| {
            for name in ["id", "source", "daybookhash"] {
                line[name].take();
            }
            line["data"].as_object_mut().unwrap().remove("lineage");
            line
        };
        read.map(without).collect()
    };
    assert_eq!(lines("again.jsonl"), lines("log.jsonl"));
    // A server takes it up: what ran and waited goes on.
    let server = start(dir, "copy");
    let jobs = server.read("/api/jobs?limit=100");
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 5, "{jobs}");
    assert!(server.stop().success());
}

#[test]
fn what_purged_jobs_carried_is_in_no_export_and_the_log_is_the_same_nevertheless() {
    let home = home();
    let dir = home.path();
    let server = start(dir, "data");
    for bytes in [10, 20_000] {
        let secret = server.submit("echo", json!({ "text": "x".repeat(bytes), "word": "Xylophonquartett" }));
        assert_eq!(server.finished(&secret)["state"], "completed");
        server.post(&format!("/api/jobs/{secret}/purge"), &json!({})).ok(200);
    }
    server.submit("later", json!({ "word": "kept" }));
    run(dir, &format!("export --server http://{} --out first.jsonl", server.address())).data();
    assert!(server.stop().success());
    let said = json_of(dir, "export --data data --out log.jsonl --json");
    for name in ["first.jsonl", "log.jsonl"] {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        assert!(!text.contains("Xylophonquartett") && text.contains("kept"), "{name}");
    }
    let imported = json_of(dir, "import --data copy log.jsonl --json");
    assert_eq!((&imported["fold"], &fold_of(dir, "data")), (&said["fold"], &said["fold"]));
    let server = start(dir, "copy");
    let jobs = server.read("/api/jobs");
    assert_eq!(jobs["jobs"].as_array().unwrap().iter().filter(|row| row["purged_at"].is_string()).count(), 2, "{jobs}");
    assert!(server.stop().success());
}

#[test]
fn a_running_server_is_exported_and_the_file_gone_on_with() {
    let home = home();
    let dir = home.path();
    let server = start(dir, "data");
    live(&server, 100);
    let at = format!("--server http://{}", server.address());
    run(dir, &format!("export {at} --out log.jsonl")).data();
    let first = std::fs::read_to_string(dir.join("log.jsonl")).unwrap();
    let played = json_of(dir, &format!("replay --json {at}"));
    assert_eq!(played["fold"], json_of(dir, "replay --json --from log.jsonl")["fold"]);
    server.submit("later", json!({}));
    // A torn line is cut off, and what came since is added.
    let torn = &first[..first.len() - 700];
    std::fs::write(dir.join("log.jsonl"), torn).unwrap();
    let said = run(dir, "import --data copy log.jsonl");
    assert!(said.code == Some(1) && said.err.contains("breaks off") && said.err.contains("export --out"), "{said:?}");
    assert!(!dir.join("copy").exists(), "nothing is begun with a file that is not whole");
    let held = std::fs::File::open(dir.join("log.jsonl")).unwrap();
    held.lock().unwrap();
    let said = run(dir, &format!("export {at} --out log.jsonl"));
    assert!(said.code == Some(1) && said.err.contains("another export writes to log.jsonl"), "{said:?}");
    assert_eq!(std::fs::read_to_string(dir.join("log.jsonl")).unwrap(), torn);
    drop(held);
    run(dir, &format!("export {at} --out log.jsonl")).data();
    let seq = server.read("/health")["seq"].clone();
    assert!(server.stop().success());
    let whole = json_of(dir, "replay --json --from log.jsonl");
    assert_eq!(whole["seq"], seq);
    let until = seq.as_u64().unwrap();
    let there = json_of(dir, &format!("replay --json --data data --until {until}"));
    assert_eq!(whole["fold"], there["fold"]);
    // Another log's file is left alone.
    let other = start(dir, "other");
    let said = run(dir, &format!("export --server http://{} --out log.jsonl", other.address()));
    assert!(said.code == Some(1), "{said:?}");
    assert_eq!(json_of(dir, "replay --json --from log.jsonl"), whole);
    assert!(other.stop().success());
    let said = run(dir, "export --data other --out log.jsonl");
    assert!(said.code == Some(1) && said.err.contains("of another log"), "{said:?}");
    run(dir, "export --data other --out log.jsonl --force").data();
}

#[test]
fn a_range_is_streamed_over_http_and_what_there_is_not_is_refused() {
    let server = crate::support::TestServer::start();
    for _ in 0..3 {
        server.submit(&json!({ "kind": "later", "args": {} }));
    }
    let head = server.get("/health").ok(200)["seq"].as_u64().unwrap();
    let answer = server.get(&format!("/api/export?after=1&until={}", head - 1));
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let text = String::from_utf8(answer.bytes).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, head - 2 + 2, "{text}");
    assert_eq!((&lines[0]["type"], &lines[0]["data"]["earliest"]), (&json!("daybook.export.begun"), &json!(2)));
    assert_eq!(lines[1]["sequence"], "00000000000000000002");
    assert_eq!(lines.last().unwrap()["data"]["last"], head - 1);
    server.get("/api/export?until=999999").refused(400, "invalid_query");
    server.get("/api/export?after=999999").refused(400, "invalid_query");
    server.get("/api/export?since=1").refused(400, "invalid_query");
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_and_can_be_made_whole() {
    let home = home();
    let dir = home.path();
    let server = start(dir, "data");
    server.submit("later", json!({ "n": 1 }));
    assert!(server.stop().success());
    run(dir, "export --data data --out whole.jsonl").data();
    let whole = std::fs::read(dir.join("whole.jsonl")).unwrap();
    let step = whole.len() / 12;
    let ends = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let cuts = (0..whole.len()).step_by(step).chain(ends.flat_map(|at| [at - 1, at])).filter(|cut| *cut < whole.len());
    for cut in cuts {
        std::fs::write(dir.join("cut.jsonl"), &whole[..cut]).unwrap();
        let said = run(dir, "replay --from cut.jsonl");
        assert!(said.code == Some(1) && said.err.contains("cut.jsonl breaks off behind line"), "{cut}: {said:?}");
        run(dir, "export --data data --out cut.jsonl").data();
        assert_eq!(std::fs::read(dir.join("cut.jsonl")).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn what_is_no_export_is_refused_with_the_line_and_the_next_step() {
    let home = home();
    let dir = home.path();
    live_and_end(dir, 100);
    run(dir, "export --data data --out log.jsonl").data();
    let whole = std::fs::read_to_string(dir.join("log.jsonl")).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let without = |line: usize| [&lines[..line], &lines[line + 1..]].concat().join("\n") + "\n";
    let with = |line: usize, text: &str| [&lines[..line], &[text], &lines[line + 1..]].concat().join("\n") + "\n";
    let newer = lines[4].replace("daybook.job.", "daybook.moon.");
    let changed = lines[lines.len() - 1].replace("\"fold\":\"", "\"fold\":\"0");
    for (text, words) in [
        (String::from("a,b\n1,2\n"), "log.jsonl, line 1: it is no CloudEvent"),
        (String::from("\u{0}\u{1}\n"), "line 1"),
        (without(0), "line 1: it is not the first line of an export"),
        (without(3), "line 4: event 3 is missing"),
        (with(3, lines[2]), "line 4: event 3 is missing"),
        (with(4, &newer), "written by a newer daybook"),
        (with(4, "{}"), "line 5: it is no CloudEvent"),
        (with(lines.len() - 1, &changed), "it was changed since it was written"),
        (with(4, &lines[4].replacen("daybookprevious", "daybookpreviously", 1)), "line 5: it was changed"),
        (
            with(3, &lines[3].replacen("application/json", "application/jason", 1)),
            "line 4: it was changed since it was written",
        ),
        (whole.clone() + &whole, "something stands behind it"),
        (whole.clone() + "more\n", "behind it"),
    ] {
        std::fs::write(dir.join("log.jsonl"), text).unwrap();
        let said = run(dir, "replay --from log.jsonl");
        assert!(said.code == Some(1) && said.err.contains(words), "{words}: {said:?}");
        assert!(said.err.contains("daybook export"), "the next step: {said:?}");
    }
    let said = run(dir, "replay --from nothing.jsonl");
    assert!(said.code == Some(1) && said.err.contains("nothing.jsonl cannot be read"), "{said:?}");
    // And nothing that is not an export is written over.
    std::fs::write(dir.join("thesis.txt"), "twelve years\n").unwrap();
    let said = run(dir, "export --data data --out thesis.txt");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(std::fs::read_to_string(dir.join("thesis.txt")).unwrap(), "twelve years\n");
}

/// Whoever reads the half of a log in `copy` is told of the import.
fn is_not_taken_for_whole(dir: &Path) {
    let _ = std::fs::copy(dir.join("copy/IMPORTING"), dir.join("note"));
    for command in ["replay", "replay --verify", "export --out half.jsonl", "verify", "verify --json"] {
        let said = run(dir, &format!("{command} --data copy"));
        assert!(said.code == Some(1) && said.err.contains("has not come to its end"), "{command}: {said:?}");
        assert!(said.err.contains("the same `daybook import` again goes on"), "{command}: {said:?}");
        assert!(!said.err.contains("restore") && !said.err.contains("--accept-data-loss"), "{command}: {said:?}");
    }
    let said = run(dir, "replay --resubmit --data copy --server http://127.0.0.1:9");
    assert!(said.code == Some(1) && said.err.contains("has not come to its end"), "{said:?}");
    assert!(!dir.join("half.jsonl").exists());
}

#[test]
fn an_import_that_was_broken_off_keeps_servers_out_and_goes_on() {
    let home = home();
    let dir = home.path();
    live_and_end(dir, 100);
    run(dir, "export --data data --out log.jsonl").data();
    let whole = std::fs::read_to_string(dir.join("log.jsonl")).unwrap();
    // A line in the middle that cannot be read stops it.
    let lines: Vec<&str> = whole.lines().collect();
    let middle = [&lines[..9], &["{}"], &lines[10..]].concat().join("\n") + "\n";
    std::fs::write(dir.join("broken.jsonl"), middle).unwrap();
    let said = run(dir, "import --data copy broken.jsonl");
    assert!(said.code == Some(1) && said.err.contains("line 10"), "{said:?}");
    let refusal = Start::in_directory(dir, &dir.join("copy")).run().err().expect("it does not start");
    assert!(refusal.said.contains("has not come to its end"), "{refusal:?}");
    is_not_taken_for_whole(dir);
    let imported = json_of(dir, "import --data copy log.jsonl --json");
    assert_eq!(imported["fold"], fold_of(dir, "data"));
    let (code, words) = verify(&dir.join("copy"));
    assert_eq!(code, Some(0), "{words}");
    // Also when all of it is there but the note was not taken away.
    std::fs::copy(dir.join("note"), dir.join("copy/IMPORTING")).unwrap();
    is_not_taken_for_whole(dir);
    std::fs::remove_file(dir.join("copy/IMPORTING")).unwrap();
    let files: Vec<PathBuf> = std::fs::read_dir(dir.join("copy")).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(!files.iter().any(|path| path.ends_with("IMPORTING")), "{files:?}");
    let said = run(dir, "import --data copy log.jsonl");
    assert!(said.code == Some(1) && said.err.contains("is not empty"), "{said:?}");
}

#[test]
fn the_jobs_of_a_log_are_submitted_again_to_another_server_and_none_twice() {
    let home = home();
    let dir = home.path();
    let server = start(dir, "data");
    live(&server, 20_000);
    let first = server.submit("later", json!({ "big": 5 }));
    let second = json!({ "kind": "later", "args": { "text": "after" }, "depends_on": [first], "parent_id": first });
    server.post("/api/jobs", &second).ok(201);
    assert!(server.stop().success());
    let other = start(dir, "other");
    let at = format!("--data data --server http://{}", other.address());
    let said = json_of(dir, &format!("replay --resubmit --filter kind=later&state=active {at} --run one --json"));
    assert_eq!((&said["chosen"], &said["submitted"], &said["refused"]), (&json!(5), &json!(5), &json!({})), "{said}");
    let again = json_of(dir, &format!("replay --resubmit --filter kind=later&state=active {at} --run one --json"));
    assert_eq!(again["submitted"], 5);
    let jobs = other.read("/api/jobs?limit=100");
    let jobs = jobs["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 5, "a run that is repeated submits none twice");
    // Several are submitted at once, so any may be the newest.
    let whole = |row: &Value| other.read(&format!("/api/jobs/{}", row["id"].as_str().unwrap()));
    let dependent = jobs.iter().map(whole).find(|job| job["args"]["text"] == "after").expect("it was submitted");
    let waited_for = &dependent["depends_on"][0];
    assert!(jobs.iter().any(|job| job["id"] == *waited_for), "it names the new job, and not the old one: {dependent}");
    assert_eq!(&dependent["parent_id"], waited_for);
    let batch = other.read("/api/jobs?tag=b")["jobs"][0].clone();
    assert_eq!(batch["items"]["total"], 40, "{batch}");

    let said = run(dir, &format!("replay --resubmit --filter kind=none {at}"));
    assert_eq!(said.data(), "submitted 0");
    let said = run(dir, &format!("replay --resubmit --filter stat=active {at}"));
    assert!(said.code == Some(1) && said.err.contains("did you mean \"state\""), "{said:?}");
    assert!(other.stop().success());
}

#[test]
fn what_a_purge_took_is_in_no_export_and_the_fold_is_the_same() {
    let home = home();
    let dir = home.path();
    let server = start(dir, "data");
    let secret = server.submit("echo", json!({ "text": format!("marker-small-{}", "x".repeat(10)) }));
    let large = server.submit("echo", json!({ "text": format!("marker-large-{}", "x".repeat(20_000)) }));
    for job in [&secret, &large] {
        assert_eq!(server.finished(job)["state"], "completed");
        assert_eq!(server.post(&format!("/api/jobs/{job}/purge"), &json!({})).status, 200);
    }
    let at = format!("--server http://{}", server.address());
    run(dir, &format!("export {at} --out live.jsonl")).data();
    assert!(server.stop().success());
    run(dir, "export --data data --out log.jsonl").data();
    for file in ["live.jsonl", "log.jsonl"] {
        let text = std::fs::read_to_string(dir.join(file)).unwrap();
        assert!(text.contains(&secret) && !text.contains("marker-"), "{file}");
    }
    let told = run(dir, &format!("replay --data data --json --job {secret}")).data();
    assert!(told.contains("job.purged") && !told.contains("marker-"), "{told}");
    let imported = json_of(dir, "import --data copy log.jsonl --json");
    assert_eq!((&imported["fold"], fold_of(dir, "copy")), (&fold_of(dir, "data"), imported["fold"].clone()));
}
