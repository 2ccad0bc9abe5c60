//! `restore` to any moment: the same fold, the same files, and clients that saw more are told so. Damage is found and named.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::backup::{backup, fill, fold_at, home, restored, seq_of, until_dropped, until_sealed};
use crate::export::{fold_of, json_of, run, start};
use crate::server::{BINARY, Said};
use crate::support::live::Page;
use crate::support::server::{Server, verify};

fn epoch_of(server: &Server) -> String {
    server.read("/health")["epoch"].as_str().unwrap().to_owned()
}

#[test]
fn any_event_or_time_before_is_restored_as_it_was() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    until_sealed(&server, 1);
    let early = seq_of(&server) / 2;
    fill(&server, 2);
    let last = backup(dir, &server, "")["seq"].as_u64().unwrap();
    assert!(server.stop().success());

    // A bulk is a group of 100: of one that is cut in two there is nothing.
    for (data, until) in [("early", early), ("late", last - 50)] {
        let cut = restored(dir, data, &format!("--until {until}"));
        let seq = cut["seq"].as_u64().unwrap();
        assert!(seq < until && seq + 100 > until, "{cut}");
        assert_eq!(cut["fold"], fold_at(dir, "data", &cut["seq"]));
        let jobs: u64 = cut["counts"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(jobs % 100, 0, "{cut}");
    }
    let time = json_of(dir, &format!("replay --json --data data --until {early}"))["at"].as_str().unwrap().to_owned();
    let timed = restored(dir, "timed", &format!("--until {time}"));
    assert_eq!(timed["fold"], json_of(dir, &format!("replay --json --data data --until {time}"))["fold"]);
    assert_eq!(restored(dir, "empty", "--until 0")["seq"], 0);
    std::fs::create_dir(dir.join("here")).unwrap();
    let here = json_of(&dir.join("here"), "restore --from ../backups --data . --json");
    assert_eq!((&here["seq"], fold_of(dir, "here")), (&json!(last), here["fold"].clone()));

    for (until, says) in
        [("99999999", "no backup goes up to event"), ("2199-01-01T00:00:00Z", "no backup was taken at")]
    {
        let said = run(dir, &format!("restore --from backups --data none --until {until}"));
        assert!(said.code == Some(1) && said.err.contains(says), "{said:?}");
    }
    let there = run(dir, "restore --from backups --data timed");
    assert!(there.code == Some(1) && there.err.contains("name another directory with --data"), "{there:?}");
    let none = run(dir, "restore --from nothing --data none");
    assert!(none.code == Some(1) && none.err.contains("there is no backup in nothing"), "{none:?}");
    let none = run(dir, "restore --from backups --data none --backup x");
    assert!(none.code == Some(1) && none.err.contains("there is no backup x"), "{none:?}");
    assert!(!dir.join("none").exists() && !dir.join("none.restoring").exists());
}

/// Subscribes from a position, and gives what comes of it.
fn resumed(server: &Server, topic: &str, epoch: &str, seq: u64) -> (bool, Value) {
    let mut page = Page::at(server.address());
    page.subscribe("a", topic, json!({}), json!({ "epoch": epoch, "seq": seq }));
    let subscribed = page.hear("subscribed");
    let is_resumed = subscribed["recovered"] == true;
    (is_resumed, if is_resumed { subscribed["mode"].clone() } else { page.hear("reset")["reason"].clone() })
}

#[test]
fn clients_that_saw_what_a_restore_took_back_are_told_and_others_go_on() {
    let home = home("");
    let dir = home.path();
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
    backup(dir, &server, "");
    assert!(server.stop().success());

    restored(dir, "new", &format!("--until {cut}"));
    let server = start(dir, "new");
    // The new log is as long as the old one was: numbers alone would not tell.
    while seq_of(&server) <= last {
        server.submit("later", json!({}));
    }
    let asked = |epoch: &str, after: u64| server.get(&format!("/api/events?epoch={epoch}&after={after}"));
    assert!(asked(&first, ahead).refused(410, "position_lost")["detail"].as_str().unwrap().starts_with("ahead"));
    assert!(asked(&second, last).refused(410, "position_lost")["detail"].to_string().contains("unknown_epoch"));
    let events = asked(&first, cut - 1).ok(200);
    assert_eq!(events["events"][0]["seq"], cut, "{events}");
    let began = &asked(&first, cut).ok(200)["events"][0];
    assert_eq!((&began["type"], &began["data"]["previous_epoch"]), (&json!("epoch.started"), &json!(first)));
    for topic in ["jobs", "events"] {
        assert_eq!(resumed(&server, topic, &first, cut), (true, json!("resume")));
        assert_eq!(resumed(&server, topic, &first, ahead), (false, json!("ahead")));
        assert_eq!(resumed(&server, topic, &second, last), (false, json!("unknown_epoch")));
    }
    assert!(server.stop().success());
}

#[test]
fn a_server_that_was_restored_is_backed_up_beside_what_never_was() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    server.submit("later", json!({}));
    let cut = seq_of(&server);
    fill(&server, 1);
    let old = backup(dir, &server, "");
    assert!(server.stop().success());
    restored(dir, "new", &format!("--until {cut}"));
    let server = start(dir, "new");
    fill(&server, 3);
    let new = backup(dir, &server, "");
    assert!(server.stop().success());
    assert_eq!(new["events"][1], 0, "what has the same numbers is not the same: {new}");
    assert_eq!(restored(dir, "newest", "")["fold"], fold_at(dir, "new", &new["seq"]));
    let name = old["backup"].as_str().unwrap();
    assert_eq!(restored(dir, "older", &format!("--backup {name}"))["fold"], fold_at(dir, "data", &old["seq"]));
}

#[test]
fn a_flipped_byte_anywhere_in_a_backup_is_found_and_named_or_does_not_matter() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    let made = server.submit("files", json!({}));
    assert_eq!(server.finished(&made)["state"], "completed");
    server.submit("later", json!({ "big": "y".repeat(30_000) }));
    until_sealed(&server, 1);
    backup(dir, &server, "");
    assert!(server.stop().success());
    let whole = restored(dir, "whole", "");
    let mut named = 0;
    for path in files_of(&dir.join("backups")) {
        let bytes = std::fs::read(&path).unwrap();
        for place in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1;
            std::fs::write(&path, flipped).unwrap();
            let said = run(dir, "restore --from backups --data new --json");
            let file = path.strip_prefix(dir).unwrap().display().to_string();
            if said.code == Some(0) {
                let document: Value = serde_json::from_str(&said.data()).unwrap();
                assert_eq!(document, whole, "{file} at {place}");
                assert_eq!(verify(&dir.join("new")).0, Some(0), "{file} at {place}");
                std::fs::remove_dir_all(dir.join("new")).unwrap();
            } else {
                // Of a part its directory is named.
                let part = path.parent().unwrap().strip_prefix(dir).unwrap().display().to_string();
                let is_named = said.err.contains(&file) || file.contains("/log/") && said.err.contains(&part);
                assert!(said.code == Some(1) && (is_named || file.contains("payloads")), "{file} at {place}: {said:?}");
                assert!(!dir.join("new").exists(), "nothing stands under the name before all is there");
                named += 1;
            }
        }
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(named > 12, "{named}");
}

#[test]
fn content_that_is_gone_from_a_backup_is_named_with_the_next_step() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    let made = server.submit("files", json!({}));
    assert_eq!(server.finished(&made)["state"], "completed");
    backup(dir, &server, "");
    assert!(server.stop().success());
    for path in files_of(&dir.join("backups/objects")) {
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let said = run(dir, "restore --from backups --data new");
        let file = path.strip_prefix(dir).unwrap().display().to_string();
        assert!(said.code == Some(1) && said.err.contains(&file), "{said:?}");
        assert!(
            said.err.contains("cannot be read") && said.err.contains("take another backup with --backup"),
            "{said:?}"
        );
        assert!(!dir.join("new").exists() && !dir.join("new.restoring").exists());
        std::fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn of_two_restores_into_one_directory_one_is_done_and_the_other_says_what_to_do() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    fill(&server, 3);
    backup(dir, &server, "");
    // Backups of another place, so that the two have nothing in common but where they go.
    let there = json_of(dir, &format!("backup --to others --server http://{} --json", server.address()));
    assert!(server.stop().success());
    assert!(there["seq"].is_u64(), "{there}");
    for (round, second) in ["others", "backups", "others", "others"].into_iter().enumerate() {
        let data = format!("new{round}");
        let begin = |from: &str| {
            let mut command = Command::new(BINARY);
            command.args(["restore", "--from", from, "--data", &data]).current_dir(dir).stdin(Stdio::null());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
        };
        let both = [begin("backups"), begin(second)].map(|child| Said::of(child.wait_with_output().unwrap()));
        let (done, not): (Vec<&Said>, Vec<&Said>) = both.iter().partition(|said| said.code == Some(0));
        assert_eq!((done.len(), not.len()), (1, 1), "{both:?}");
        let steps = ["wait until it has ended", "name another directory with --data"];
        let is_told = not[0].code == Some(1) && steps.iter().any(|step| not[0].err.contains(step));
        assert!(is_told && !not[0].err.contains("os error"), "{both:?}");
        assert_eq!(verify(&dir.join(&data)).0, Some(0));
        assert!(!dir.join(format!("{data}.restoring")).exists());
    }
}

/// All files in which something is.
fn files_of(path: &std::path::Path) -> Vec<PathBuf> {
    let entries: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut files: Vec<PathBuf> =
        entries.into_iter().flat_map(|path| if path.is_dir() { files_of(&path) } else { vec![path] }).collect();
    files.retain(|path| path.metadata().unwrap().len() > 0);
    files
}

#[test]
fn backups_made_before_a_purge_keep_what_it_took_and_later_ones_do_not_show_it() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    let job = server.submit("files", json!({ "secret": "marker" }));
    assert_eq!(server.finished(&job)["state"], "completed");
    let before = backup(dir, &server, "");
    assert_eq!(server.post(&format!("/api/jobs/{job}/purge"), &json!({})).status, 200);
    let after = backup(dir, &server, "");
    assert!(server.stop().success());
    let name = before["backup"].as_str().unwrap();
    assert_eq!(restored(dir, "old", &format!("--backup {name}"))["files"], 2);
    assert_eq!(restored(dir, "new", "")["fold"], fold_at(dir, "data", &after["seq"]));
    // A moment before the purge, of a backup after it: what the job had left was gone already.
    let back = format!("--until {} --backup {}", before["seq"], after["backup"].as_str().unwrap());
    assert_eq!(restored(dir, "back", &back)["left_out"], 1);
    let file = format!("/api/jobs/{job}/files/out%201.txt");
    let (old, new) = (start(dir, "old"), start(dir, "new"));
    let args = |server: &Server| server.read(&format!("/api/jobs/{job}"))["args"].take();
    assert_eq!((args(&old), args(&new)), (json!({ "secret": "marker" }), Value::Null));
    assert_eq!((old.get(&file).status, new.get(&file).status), (200, 404));
    assert!(old.stop().success() && new.stop().success());
}

#[test]
fn a_moment_of_which_retention_dropped_too_much_is_restored_from_an_older_backup_or_refused() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    let job = server.submit("echo", json!({ "text": "kept in no base" }));
    assert_eq!(server.finished(&job)["state"], "completed");
    until_sealed(&server, 1);
    let base = server.read("/api/backup")["parts"][0]["last"].as_u64().unwrap();
    fill(&server, 1);
    let older = backup(dir, &server, "");
    assert_eq!(server.post(&format!("/api/jobs/{job}/purge"), &json!({})).status, 200);
    let purged = seq_of(&server);
    assert!(server.stop().success());
    // Later the log may begin behind it.
    let at_purge = fold_at(dir, "data", &json!(purged));
    let path = dir.join("daybook.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{config}[retention]\nlog_bytes = 1\nevery_s = 0.1\n")).unwrap();
    let server = start(dir, "data");
    assert_eq!(until_dropped(&server, base), base + 1);
    let newer = backup(dir, &server, "");
    assert!(server.stop().success());

    let name = |backup: &Value| backup["backup"].as_str().unwrap().to_owned();
    let until = base + 1;
    let said = run(dir, &format!("restore --from backups --data none --until {until} --backup {}", name(&newer)));
    assert!(said.code == Some(1) && said.err.contains("cannot go back to event"), "{said:?}");
    assert!(!dir.join("none").exists() && !dir.join("none.restoring").exists());
    assert_eq!(restored(dir, "early", &format!("--until {until}"))["backup"], older["backup"]);
    let later = restored(dir, "later", &format!("--until {purged}"));
    assert_eq!((&later["backup"], &later["fold"]), (&newer["backup"], &at_purge));
}

#[test]
fn a_time_is_restored_from_the_first_backup_after_it_and_not_from_a_history_that_never_had_it() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    server.submit("later", json!({}));
    let cut = seq_of(&server);
    fill(&server, 1);
    let first = backup(dir, &server, "");
    assert!(server.stop().success());
    restored(dir, "new", &format!("--until {cut}"));
    let server = start(dir, "new");
    let newest = backup(dir, &server, "");
    assert!(server.stop().success());
    assert!(newest["seq"].as_u64() < first["seq"].as_u64());

    let time =
        json_of(dir, &format!("replay --json --data data --until {}", first["seq"]))["at"].as_str().unwrap().to_owned();
    let at_first = first["at"].as_str().unwrap();
    for (data, moment) in [("then", time.as_str()), ("taken", at_first)] {
        let there = restored(dir, data, &format!("--until {moment}"));
        assert_eq!((&there["backup"], &there["seq"]), (&first["backup"], &first["seq"]), "{moment}");
    }
    let at_newest = restored(dir, "now", &format!("--until {}", newest["at"].as_str().unwrap()));
    assert_eq!(at_newest["fold"], fold_at(dir, "new", &newest["seq"]));
    let said = run(dir, "restore --from backups --data none --until 9999999");
    let furthest = format!("{} goes furthest, up to {}", first["backup"].as_str().unwrap(), first["seq"]);
    assert!(said.code == Some(1) && said.err.contains(&furthest), "{said:?}");
}

#[test]
fn a_moment_before_a_purge_is_restored_from_a_backup_that_has_it_all_or_refused() {
    let home = home("");
    let dir = home.path();
    let server = start(dir, "data");
    let job = server.submit("echo", json!({ "secret": "marker" }));
    assert_eq!(server.finished(&job)["state"], "completed");
    let cut = seq_of(&server);
    let until = format!("--until {cut}");
    server.submit("later", json!({}));
    let older = backup(dir, &server, "");
    assert!(server.stop().success());

    // Another run of the same log, so that nothing that the older backup copied is the newer one's.
    restored(dir, "new", &until);
    std::fs::rename(dir.join("backups"), dir.join("kept")).unwrap();
    let server = start(dir, "new");
    let purge = server.post(&format!("/api/jobs/{job}/purge"), &json!({}));
    assert_eq!(purge.status, 200);
    let newer = backup(dir, &server, "");
    assert!(server.stop().success());
    let said = run(dir, &format!("restore --from backups --data none {until}"));
    assert!(said.code == Some(1) && said.err.contains(&format!("job {job} was purged before")), "{said:?}");
    assert!(said.err.contains("name a later moment"), "{said:?}");
    assert!(!dir.join("none").exists() && !dir.join("none.restoring").exists());
    assert_eq!(restored(dir, "end", "")["fold"], fold_at(dir, "new", &newer["seq"]));

    std::fs::rename(dir.join("backups"), dir.join("redacted")).unwrap();
    std::fs::rename(dir.join("kept"), dir.join("backups")).unwrap();
    let server = start(dir, "new");
    let both = backup(dir, &server, "");
    assert!(server.stop().success() && both["events"][1] == 0, "{both}");
    assert_eq!(restored(dir, "early", &until)["backup"], older["backup"]);
    let server = start(dir, "early");
    assert_eq!(server.read(&format!("/api/jobs/{job}"))["args"], json!({ "secret": "marker" }));
    assert!(server.stop().success());
}
