//! Exports that are well formed and tell what cannot have happened, as somebody writes them who knows how a line is
//! sealed: every tool answers with an error and the next step, and nothing that was begun with one passes for a log.

use std::path::Path;

use serde_json::{Value, json};

use crate::export::{json_of, live, run, start};
use crate::server::Said;
use crate::support::dice::Dice;
use crate::support::server::{Server, Start, echo_kind, verify};

/// How many exports are forged, and how many of them are imported.
const FORGED: u64 = 240;
const IMPORTED_EVERY: u64 = 12;

/// The lines of an export whose log has most sorts of events.
fn rich_history(dir: &Path) -> Vec<Value> {
    std::fs::write(dir.join("daybook.toml"), echo_kind(1)).expect("written");
    let server = start(dir, "data");
    live(&server, 100);
    work(&server);
    assert!(server.stop().success());
    run(dir, "export --data data --out log.jsonl").data();
    let text = std::fs::read_to_string(dir.join("log.jsonl")).expect("the export");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What a worker does with jobs: progress, items, a checkpoint, ends of every sort, and what comes behind an end.
fn work(server: &Server) {
    let worker = json!({ "name": "w", "kinds": ["later", "lasting"], "concurrency": 50 });
    let session = server.post("/api/workers", &worker).json()["session"].clone();
    let items = json!([{ "key": "a" }, { "key": "b" }]);
    for _ in 0..4 {
        server.post("/api/jobs", &json!({ "kind": "lasting", "args": {}, "items": items, "priority": 9 })).ok(201);
    }
    let claimed = server.post("/api/claim", &json!({ "session": session, "max": 6, "wait_s": 0 })).ok(200);
    for (place, held) in claimed["jobs"].as_array().expect("a list").iter().enumerate() {
        let (job, token) = (held["job"]["id"].as_str().unwrap(), held["lease"]["token"].as_str().unwrap());
        let tell = |what: &str, body: Value| {
            let headers = [("Lease-Token", token), ("Content-Type", "application/json")];
            let bytes = serde_json::to_vec(&body).unwrap();
            let answer = server.ask("POST", &format!("/api/jobs/{job}/{what}"), &headers, &bytes);
            assert!(answer.status < 300, "{what}: {}", answer.problem());
        };
        tell("progress", json!({ "percent": 7, "stage": "s" }));
        tell("checkpoint", json!({ "data": { "c": place } }));
        if held["job"]["kind"] == "lasting" {
            tell("items", json!({ "items": [{ "key": "a", "state": "completed", "result": 1 }] }));
        }
        match place {
            0 => tell("release", json!({})),
            1 => tell("fail", json!({ "error": { "code": "c", "message": "m", "retryable": true } })),
            2 | 3 => {
                tell("fail", json!({ "error": { "code": "c", "message": "m", "retryable": false } }));
                let next = if place == 2 { "retry" } else { "purge" };
                server.post(&format!("/api/jobs/{job}/{next}"), &json!({})).ok(200);
            }
            4 => drop(server.post(&format!("/api/jobs/{job}/cancel"), &json!({})).ok(200)),
            _ => tell("complete", json!({ "result": { "r": 1 } })),
        }
    }
}

/// The text of lines, each with the hash that it has to have.
fn sealed(lines: &[Value]) -> String {
    let seal = |line: &Value| {
        let mut line = line.clone();
        line.as_object_mut().unwrap().remove("daybookhash");
        let text = line.to_string();
        let hash = blake3::hash(text.as_bytes()).to_hex()[..32].to_owned();
        format!("{},\"daybookhash\":\"{hash}\"}}\n", &text[..text.len() - 1])
    };
    lines.iter().map(seal).collect()
}

/// Numbers the events anew, and has the last line say no fold.
fn renumber(lines: &mut [Value]) {
    let last = lines.len() - 2;
    for (seq, line) in lines.iter_mut().enumerate().skip(1).take(last) {
        line["sequence"] = json!(format!("{seq:020}"));
    }
    lines[0]["data"]["last"] = json!(last);
    lines[last + 1]["data"] = json!({ "last": last, "fold": null });
}

/// The same lines with one thing, or a few, that are otherwise.
fn forged(whole: &[Value], dice: &mut Dice) -> Vec<Value> {
    let mut lines = whole.to_vec();
    for _ in 0..=dice.below(3) {
        let count = lines.len() as u64 - 2;
        let mut one = || 1 + dice.below(count) as usize;
        let (a, b) = (one(), one());
        match dice.below(6) {
            0 => drop(lines.remove(a)),
            1 => {
                let (moved, at) = (lines.remove(a), lines[b.min(lines.len() - 2)]["time"].clone());
                lines.insert(b.min(lines.len() - 1), moved);
                lines[b]["time"] = at;
            }
            2 => lines[a]["subject"] = lines[b]["subject"].clone(),
            3 => {
                for name in ["type", "data", "subject"] {
                    lines[a][name] = lines[b][name].clone();
                }
            }
            4 => lines[a]["type"] = lines[b]["type"].clone(),
            _ => {
                let (id, other) = (lines[a]["subject"].to_string(), "\"01a203e5-43f9-7437-9c1b-a19755442000\"");
                for line in &mut lines[a..] {
                    *line = serde_json::from_str(&line.to_string().replace(&id, other)).expect("still JSON");
                }
            }
        }
        if lines.iter().any(|line| line["subject"].is_null()) {
            lines.iter_mut().filter(|line| line["subject"].is_null()).for_each(|line| {
                line.as_object_mut().unwrap().remove("subject");
            });
        }
    }
    renumber(&mut lines);
    lines
}

#[track_caller]
fn is_told(said: &Said, what: &str) {
    assert!(!said.err.contains("panicked"), "{what}: {said:?}");
    let is_error = said.code == Some(1) && said.err.contains("error: ");
    assert!(said.code == Some(0) || is_error, "{what}: {said:?}");
}

/// Imports a forged file: a server takes up what came of it, or nobody takes it for a log.
fn import(dir: &Path, name: &str) {
    let said = run(dir, &format!("import --data of-{name} {name}"));
    is_told(&said, name);
    let data = format!("of-{name}");
    if said.code == Some(0) {
        let server = Start::in_directory(dir, &dir.join(&data)).ready();
        server.read("/api/jobs?limit=500");
        assert!(server.stop().success(), "{name}");
        let (code, words) = verify(&dir.join(&data));
        assert_eq!(code, Some(0), "{name}: {words}");
    } else if dir.join(&data).exists() {
        for command in ["replay", "replay --verify", "export", "verify"] {
            let said = run(dir, &format!("{command} --data {data}"));
            assert!(said.code == Some(1) && said.err.contains("has not come to its end"), "{command}: {said:?}");
        }
        assert!(Start::in_directory(dir, &dir.join(&data)).run().is_err(), "{name}");
    }
}

#[test]
fn an_export_that_tells_what_cannot_have_happened_is_refused_and_never_a_panic() {
    let home = tempfile::tempdir().expect("a place");
    let dir = home.path();
    let whole = rich_history(dir);
    std::fs::write(dir.join("same.jsonl"), sealed(&whole)).unwrap();
    run(dir, "replay --from same.jsonl").data();
    let cannot = std::sync::atomic::AtomicU64::new(0);
    let try_from = |first: u64, step: u64| {
        for seed in (first..FORGED).step_by(step as usize) {
            let name = format!("{seed}.jsonl");
            std::fs::write(dir.join(&name), sealed(&forged(&whole, &mut Dice::new(seed)))).unwrap();
            let said = run(dir, &format!("replay --from {name}"));
            is_told(&said, &name);
            if said.err.contains("cannot have happened") {
                assert!(said.err.contains(&format!("{name}, line ")) && said.err.contains("--force"), "{said:?}");
                cannot.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            if seed % IMPORTED_EVERY == 0 {
                import(dir, &name);
            }
        }
    };
    std::thread::scope(|scope| {
        (0..3).for_each(|first| drop(scope.spawn(move || try_from(first, 3))));
    });
    let cannot = cannot.into_inner();
    assert!(cannot > FORGED / 4, "only {cannot} of {FORGED} told what cannot have happened");
}

#[test]
fn an_event_that_cannot_have_happened_is_named_with_its_line_by_every_tool() {
    let home = tempfile::tempdir().expect("a place");
    let dir = home.path();
    let mut lines = rich_history(dir);
    let at = lines.iter().position(|line| line["type"] == "daybook.job.completed").expect("one completes");
    lines[at]["subject"] = json!("01a203e5-43f9-7437-9c1b-a19755442000");
    std::fs::write(dir.join("forged.jsonl"), sealed(&lines)).unwrap();
    let words = format!("forged.jsonl, line {}: event {at}, job.completed: it cannot have happened", at + 1);
    for line in [
        "replay --from forged.jsonl",
        "replay --from forged.jsonl --json",
        "replay --from forged.jsonl --diff 1..9999",
        "replay --from forged.jsonl --speed 1000000",
        "import --data copy forged.jsonl",
        "import --data copy forged.jsonl",
        "export --data data --out forged.jsonl",
    ] {
        let said = run(dir, line);
        let is_refused = said.code == Some(1) && (said.err.contains(&words) || line.contains("--diff"));
        assert!(is_refused && said.err.contains("error: ") && !said.err.contains("panicked"), "{line}: {said:?}");
    }
    let said = run(dir, "verify --data copy");
    assert!(said.code == Some(1) && said.err.contains("has not come to its end"), "{said:?}");
    // With the true file in its place the import goes on where it was left.
    run(dir, "export --data data --out forged.jsonl --force").data();
    let fold = json_of(dir, "import --data copy forged.jsonl --json")["fold"].clone();
    assert_eq!(fold, json_of(dir, "replay --data data --json")["fold"]);
}
