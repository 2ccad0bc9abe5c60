//! Damaged data directories of a stopped server. Whatever is flipped, cut, emptied or removed: the server starts with
//! everything right, or it says what is damaged and what to do, and leaves the directory as it found it. Never a loss
//! without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::{Value, json};

use crate::mounts::Mount;
use crate::support::server::{Refusal, Server, Start, daybook, verify, write_config};

/// The texts of these jobs stay in pages, and fill segments fast.
const FAT_BYTES: usize = 7_000;
/// The texts of these are put into payload files.
const HUGE_BYTES: usize = 20_000;

/// What was in the directory when the server was stopped.
struct Truth {
    home: tempfile::TempDir,
    /// Answers that must be the same again, by path.
    answers: BTreeMap<String, Value>,
    /// The same for what is read from the log.
    from_log: BTreeMap<String, Value>,
    file: (String, Vec<u8>),
    log_lines: (String, Value),
    jobs: usize,
}

/// What became of a damaged directory.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Fate {
    /// Everything is there.
    Right,
    /// The jobs are there, and what cannot be read from the log says so.
    Told,
    Refused,
}

/// Made once for all tests that run at a time; the last of them removes it, which a plain static would not.
fn truth() -> Arc<Truth> {
    static TRUTH: Mutex<Weak<Truth>> = Mutex::new(Weak::new());
    let mut kept = TRUTH.lock().unwrap_or_else(PoisonError::into_inner);
    kept.upgrade().unwrap_or_else(|| {
        let made = Arc::new(Truth::new());
        *kept = Arc::downgrade(&made);
        made
    })
}

impl Truth {
    fn new() -> Truth {
        let home = scratch().unwrap();
        let script = "echo a line; echo another >&2; cp /bin/sh \"$DAYBOOK_OUTPUT_DIR/out.bin\"";
        let script = format!("[kinds.files.run]\nmode = \"command\"\ncommand = [\"sh\", \"-c\", {script:?}]\n");
        let config = write_config(home.path(), "segment_bytes = 4194304", &script);
        let data = home.path().join("data");
        let server = Start::on(&data).config(&config).ready();
        let mut kept = vec![server.submit("files", json!({}))];
        let file_job = kept[0].clone();
        assert_eq!(server.finished(&file_job)["state"], "completed");
        let mut jobs = 1;
        for part in 0..3 {
            for huge in 0..2 {
                kept.push(server.submit("later", json!({ "text": text(part * 10 + huge, HUGE_BYTES) })));
                kept.push(server.submit("echo", json!({ "text": text(part * 10 + huge + 5, HUGE_BYTES) })));
                server.finished(kept.last().unwrap());
            }
            kept.push(server.submit("echo", json!({ "small": part })));
            server.finished(kept.last().unwrap());
            jobs += 5;
            // The last segment stays nearly empty.
            for bulk in 0..if part < 2 { 4 } else { 1 } {
                let jobs_of_bulk: Vec<Value> = (0..if part < 2 { 190 } else { 20 })
                    .map(|number| json!({ "kind": "later", "args": { "text": text(bulk * 1000 + number, FAT_BYTES) } }))
                    .collect();
                jobs += jobs_of_bulk.len();
                let answer = server.post("/api/jobs/bulk", &json!({ "jobs": jobs_of_bulk }));
                assert_eq!(answer.status, 201, "{answer:?}");
                let answer = answer.json();
                kept.extend([0, 10].map(|place| answer["jobs"][place]["id"].as_str().unwrap().to_owned()));
            }
        }
        let file = format!("/api/jobs/{file_job}/files/out.bin");
        let bytes = server.get(&file);
        assert_eq!(bytes.status, 200, "{:?}", server.read(&format!("/api/jobs/{file_job}")));
        let logs = format!("/api/jobs/{file_job}/logs");
        let log_lines = (logs.clone(), server.read(&logs)["lines"].take());
        assert_eq!(log_lines.1.as_array().unwrap().len(), 2, "{}", log_lines.1);
        let answers: BTreeMap<String, Value> =
            kept.iter().map(|id| format!("/api/jobs/{id}")).map(|path| (path.clone(), server.read(&path))).collect();
        let events = kept.iter().map(|id| format!("/api/jobs/{id}/events"));
        let from_log = events.map(|path| (path.clone(), server.read(&path)["events"].take())).collect();
        assert!(server.stop().success());
        let truth = Truth { answers, from_log, file: (file, bytes.bytes), log_lines, jobs, home };
        let segments = names(&data.join("log")).into_iter().filter(|name| name.len() == 20).count();
        assert!(segments >= 3, "there are sealed segments and an active one: {:?}", names(&data.join("log")));
        truth
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn copy(&self) -> tempfile::TempDir {
        let dir = scratch().unwrap();
        copy(&self.data(), &dir.path().join("data"));
        dir
    }

    fn start(&self, data: &Path) -> Start {
        // Without workers: nothing but the damage changes the jobs.
        Start::on(data)
    }

    /// Starts on a damaged copy and judges.
    fn judge(&self, data: &Path, what: &str) -> Fate {
        let before = contents(data);
        let verdict = verify(data);
        assert_eq!(changed(&before, data), None, "{what}: verify changes nothing");
        let fate = match self.start(data).run() {
            Ok(server) => self.check(&server, what),
            Err(refusal) => {
                check_refusal(&refusal, what);
                self.check_untouched(&before, data, &refusal, what);
                Fate::Refused
            }
        };
        if fate != Fate::Right {
            assert_eq!(verdict.0, Some(1), "{what}: verify finds what makes a server {fate:?}: {}", verdict.1);
            assert!(names_place(&verdict.1), "{what}: {}", verdict.1);
        }
        fate
    }

    /// A refusal changes nothing. Only damage that shows itself when sled has opened the last segment, sound as that
    /// is, finds sled's own tidying there: then no event may be missing.
    fn check_untouched(&self, before: &BTreeMap<PathBuf, Vec<u8>>, data: &Path, refusal: &Refusal, what: &str) {
        let said = &refusal.said;
        let Some(path) = changed(before, data) else { return };
        let is_late = said.contains("the log could not be read") || said.contains("the payload file");
        let relative = path.strip_prefix(data).unwrap();
        let is_tidied = relative.starts_with(Path::new("log").join(last_segment(data))) && relative.ends_with("db");
        assert!(is_late && is_tidied, "{what}: a refusal changes nothing, and {relative:?} has changed: {said}");
        for (path, own) in contents(&self.data()) {
            let path = data.join(path.strip_prefix(self.data()).unwrap());
            if before.get(&path) != Some(&own) {
                // Undo the damage: what was not damaged is still sound.
                std::fs::write(path, own).unwrap();
            }
        }
        let (code, verdict) = verify(data);
        assert_eq!(code, Some(0), "{what}: nothing but the damaged file has changed: {verdict}");
    }

    /// Either everything is right, or what is not says so.
    fn check(&self, server: &Server, what: &str) -> Fate {
        for (path, expected) in &self.answers {
            assert_eq!(&server.read(path), expected, "{what}: {path}");
        }
        assert_eq!(server.read(&self.log_lines.0)["lines"], self.log_lines.1, "{what}");
        let (path, bytes) = &self.file;
        assert!(&server.get(path).bytes == bytes, "{what}: {path}");
        assert_eq!(self.count(server), self.jobs, "{what}");
        let mut fate = Fate::Right;
        for (path, expected) in &self.from_log {
            let answer = server.get(path);
            if answer.status == 200 {
                assert_eq!(&answer.json()["events"], expected, "{what}: {path}");
            } else {
                assert_eq!((answer.status, answer.problem().as_str()), (500, "unreadable"), "{what}: {path}");
                fate = Fate::Told;
            }
        }
        fate
    }

    fn count(&self, server: &Server) -> usize {
        let mut count = 0;
        let mut cursor = String::new();
        loop {
            let page = server.read(&format!("/api/jobs?limit=500{cursor}"));
            count += page["jobs"].as_array().unwrap().len();
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return count,
            }
        }
    }
}

fn check_refusal(refusal: &Refusal, what: &str) {
    let said = &refusal.said;
    assert_eq!(refusal.status.code(), Some(1), "{what}: {said}");
    assert!(names_place(said), "{what}: the damage is named: {said}");
    assert!(said.contains("daybook verify") && said.contains("--accept-data-loss"), "{what}: the next step: {said}");
    assert!(!said.contains("RUST_BACKTRACE"), "{what}: no panic is shown: {said}");
}

fn names_place(said: &str) -> bool {
    ["segment 0000", "log/0000", "HEAD", "snapshot", "views"].iter().any(|place| said.contains(place))
}

/// A text of so many bytes that is another one for each number and cannot be made smaller.
fn text(number: usize, bytes: usize) -> String {
    let words = (0..bytes / 16).map(|place| (number * 100_003 + place).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    words.map(|word| format!("{word:016x}")).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A copy without the ballast, which holds nothing and is taken again.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for name in names(from) {
        let (source, target) = (from.join(&name), to.join(&name));
        match source.is_dir() {
            true => copy(&source, &target),
            false if name == "ballast" => {}
            false => drop(std::fs::copy(&source, &target).unwrap()),
        }
    }
}

/// All files below a directory with what is in them; the lock and the ballast hold nothing.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in names(dir).into_iter().filter(|name| name != "LOCK" && name != "ballast") {
        let path = dir.join(name);
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    files
}

/// A directory in memory where there is one: these servers sync a lot, and nobody cuts their power.
fn scratch() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

fn last_segment(data: &Path) -> String {
    names(&data.join("log")).into_iter().rfind(|name| name.len() == 20).unwrap()
}

/// The first file that is not as it was.
fn changed(before: &BTreeMap<PathBuf, Vec<u8>>, dir: &Path) -> Option<PathBuf> {
    let after = contents(dir);
    let paths: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    paths.into_iter().find(|path| before.get(*path) != after.get(*path)).cloned()
}

/// The files of a directory, one for each kind: numbers and hashes in names say nothing, but the last segment is not
/// like the ones before it.
fn kinds_of_files(data: &Path) -> BTreeMap<String, PathBuf> {
    let last = last_segment(data);
    let mut kinds = BTreeMap::new();
    for path in contents(data).into_keys() {
        let relative = path.strip_prefix(data).unwrap().to_owned();
        let parts = relative.iter().map(|part| part.to_str().unwrap()).map(|part| match part {
            part if part == last => "the last segment",
            part if part.len() == 20 && part.bytes().all(|byte| byte.is_ascii_digit()) => "a segment",
            part if part.starts_with("snap.") => "snap",
            part if part.len() > 7 && part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') => "…",
            part => part,
        });
        kinds.insert(parts.collect::<Vec<_>>().join("/"), relative);
    }
    kinds
}

fn flip(path: &Path, at: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

fn cut(path: &Path, length: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

type Damage = (&'static str, fn(&Path, u64));

const DAMAGES: [Damage; 5] = [FLIPPED, CUT, EMPTIED, REMOVED, FLIPPED_EARLY];
const FLIPPED: Damage = ("a byte flipped in the middle", |path, length| flip(path, length / 2));
const CUT: Damage = ("cut in half", |path, length| cut(path, length / 2));
const EMPTIED: Damage = ("emptied", |path, _| cut(path, 0));
const REMOVED: Damage = ("removed", |path, _| std::fs::remove_file(path).unwrap());
const FLIPPED_EARLY: Damage = ("a byte flipped near the beginning", |path, length| flip(path, length.min(60) - 1));
/// What every run tries; the soak tries all.
const QUICK: [Damage; 3] = [FLIPPED, CUT, EMPTIED];

/// Every file of the log, and every kind of damage: right, told or refused, and never anything else.
fn damage_every(of: &str, damages: &[Damage]) -> BTreeMap<String, Fate> {
    let truth = truth();
    let mut fates = BTreeMap::new();
    for (kind, relative) in kinds_of_files(&truth.data()).into_iter().filter(|(kind, _)| kind.starts_with(of)) {
        for (damage, apply) in damages {
            let copy = truth.copy();
            let data = copy.path().join("data");
            let path = data.join(&relative);
            let length = path.metadata().unwrap().len();
            if length == 0 && !damage.starts_with("removed") {
                continue;
            }
            apply(&path, length);
            let what = format!("{kind} {damage}");
            let fate = truth.judge(&data, &what);
            println!("{what}: {fate:?}");
            fates.insert(what, fate);
        }
    }
    fates
}

#[test]
fn damage_to_head_or_the_last_segment_is_refused_or_harmless() {
    let mut fates = damage_every("log/HEAD", &QUICK);
    fates.extend(damage_every("log/the last segment", &QUICK));
    let refused = |what: &str| assert_eq!(fates.get(what), Some(&Fate::Refused), "{what}: {fates:?}");
    refused("log/HEAD emptied");
    refused("log/the last segment/db emptied");
    refused("log/the last segment/payloads/… emptied");
}

#[test]
fn damage_to_a_sealed_segment_is_refused_told_or_harmless() {
    let fates = damage_every("log/a segment", &QUICK);
    let noticed = |what: &str| assert_ne!(fates.get(what), Some(&Fate::Right), "{what}: {fates:?}");
    noticed("log/a segment/db emptied");
    noticed("log/a segment/db cut in half");
    noticed("log/a segment/payloads/… a byte flipped in the middle");
    noticed("log/a segment/payloads/… emptied");
}

#[test]
#[ignore = "a soak of a minute: cargo test --release --test disk -- --ignored"]
fn every_kind_of_damage_to_every_kind_of_file_is_refused_told_or_harmless() {
    let fates = damage_every("log/", &DAMAGES);
    for what in ["log/HEAD removed", "log/the last segment/db removed", "log/a segment/db removed"] {
        assert_eq!(fates.get(what), Some(&Fate::Refused), "{what}: {fates:?}");
    }
    for (what, fate) in damage_every("views", &DAMAGES) {
        assert_eq!(fate, Fate::Right, "{what}");
    }
}

/// Files in which nothing matters: sled does not open a sealed segment again.
const WITHOUT_MEANING: [&str; 2] = ["log/a segment/conf", "log/a segment/snap"];

#[test]
fn one_flipped_byte_in_any_file_is_found_by_verify_with_its_place_and_the_next_step() {
    let truth = truth();
    let mut kinds = kinds_of_files(&truth.data());
    for kind in WITHOUT_MEANING {
        assert!(kinds.remove(kind).is_some(), "there is {kind}");
    }
    let copy = truth.copy();
    let data = copy.path().join("data");
    for (kind, relative) in kinds {
        let path = data.join(&relative);
        let length = path.metadata().unwrap().len();
        for (damage, apply) in [FLIPPED, FLIPPED_EARLY] {
            apply(&path, length);
            let what = format!("{kind} {damage}");
            let (code, said) = verify(&data);
            let named = if kind.ends_with(".blake3") { relative.parent().unwrap() } else { &relative };
            assert_eq!(code, Some(1), "{what}: {said}");
            assert!(said.contains(named.to_str().unwrap()) && said.contains("next: "), "{what}: {said}");
            // The same again undoes it.
            apply(&path, length);
        }
    }
    let (code, said) = verify(&data);
    assert_eq!(code, Some(0), "nothing is damaged any more: {said}");
}

#[test]
fn a_damaged_slot_of_head_is_found_by_verify_told_of_by_the_start_and_healed_by_it() {
    let truth = truth();
    for slot in [0, 1] {
        let copy = truth.copy();
        let data = copy.path().join("data");
        flip(&data.join("log/HEAD"), slot * 4096 + 70);
        let (code, said) = verify(&data);
        assert!(code == Some(1) && said.contains(&format!("log/HEAD, slot {slot}")), "{said}");
        assert!(said.contains("nothing is lost") && !said.contains("--accept-data-loss"), "{said}");
        let server = truth.start(&data).ready();
        let warned = server.said.lines().any(|line| line.contains("WARN") && line.contains(&format!("slot {slot}")));
        assert!(warned, "{}", server.said);
        assert_eq!(truth.check(&server, "a damaged slot"), Fate::Right);
        assert!(server.stop().success());
        assert_eq!(verify(&data).0, Some(0), "the start wrote both slots anew");
    }
}

#[test]
fn verify_says_in_json_which_place_of_which_file_is_damaged_and_what_to_do() {
    let truth = truth();
    let check = |data: &Path| {
        let output = daybook().args(["verify", "--json", "--data"]).arg(data).output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
        (output.status.code(), document)
    };
    let copy = truth.copy();
    let data = copy.path().join("data");
    let (code, sound) = check(&data);
    assert_eq!((code, &sound["damaged"], &sound["jobs"]), (Some(0), &json!([]), &json!(truth.jobs)));
    assert!(sound["checked"]["segments"].as_u64() >= Some(3) && sound["checked"]["files"] == 1, "{sound}");

    let file = kinds_of_files(&data).remove("files/…/out.bin").unwrap();
    cut(&data.join(&file), 9);
    std::fs::create_dir(data.join("files/stranger")).unwrap();
    let (code, document) = check(&data);
    let damage = &document["damaged"][0];
    assert_eq!((code, damage["file"].as_str()), (Some(1), file.to_str()), "{document}");
    assert!(damage["detail"].as_str().unwrap().contains("9 bytes"), "{document}");
    assert!(damage["next_step"].as_str().unwrap().contains("daybook jobs retry"), "{document}");
    assert_eq!(document["leftovers"][0]["file"], "files/stranger");
    assert_eq!(document["fold"], sound["fold"]);

    cut(&data.join("log").join(last_segment(&data)).join("db"), 0);
    let (code, document) = check(&data);
    assert_eq!((code, &document["fold"]), (Some(1), &Value::Null), "what cannot be folded is reported all the same");
    assert!(document["damaged"].as_array().unwrap().len() > 1, "{document}");
    let whole = &document["whole"];
    assert!(whole["earliest"] == 1 && whole["last"].as_u64() < whole["of"].as_u64(), "{whole}");
    assert!(whole["ended_later"].as_u64() >= Some(1), "the stored views know who ended since: {whole}");
    let (_, said) = verify(&data);
    assert!(said.contains("jobs ended later") && said.contains("they are what --accept-data-loss keeps"), "{said}");
}

#[test]
fn damage_to_what_is_disposable_costs_nothing_but_time() {
    for (what, fate) in damage_every("views", &QUICK) {
        assert_eq!(fate, Fate::Right, "{what}");
    }
    let truth = truth();
    for disposable in ["views", "snapshots", "keyframes", "LOCK", "ballast", "scratch", "groups"] {
        let copy = truth.copy();
        let data = copy.path().join("data");
        let path = data.join(disposable);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
            std::fs::write(data.join("LOCK"), b"what is in it does not matter").unwrap();
        } else {
            std::fs::write(&path, b"what is in it does not matter").unwrap();
        }
        assert_eq!(truth.judge(&data, disposable), Fate::Right, "{disposable}");
    }
}

#[test]
fn whoever_accepts_the_loss_goes_on_with_what_is_left_and_keeps_the_damaged_log() {
    let truth = truth();
    let kinds = kinds_of_files(&truth.data());
    for (kind, (damage, apply)) in [
        ("log/HEAD", EMPTIED),
        ("log/the last segment/db", EMPTIED),
        ("log/the last segment/payloads/…", EMPTIED),
        ("log/a segment/db", CUT),
        ("log/a segment/payloads/…", FLIPPED),
        ("log/a segment/SEALED", EMPTIED),
    ] {
        let what = format!("{kind} {damage}");
        let copy = truth.copy();
        let data = copy.path().join("data");
        let path = data.join(&kinds[kind]);
        apply(&path, path.metadata().unwrap().len());
        let before = contents(&data.join("log"));
        let server = truth.start(&data).arg("--accept-data-loss").ready();
        assert!(server.said.contains("log.damaged-1"), "{what}: it says where the old one is: {}", server.said);
        let left = truth.count(&server);
        assert!(left <= truth.jobs && (left > 0 || !kind.contains("last")), "{what}: {left} of {}", truth.jobs);
        let id = server.submit("later", json!({ "after": what }));
        assert!(server.stop().success());
        let kept = data.join("log.damaged-1");
        let before: BTreeMap<PathBuf, Vec<u8>> = before
            .into_iter()
            .map(|(path, bytes)| (kept.join(path.strip_prefix(data.join("log")).unwrap()), bytes))
            .collect();
        assert_eq!(changed(&before, &kept), None, "{what}: the damaged log is kept as it was");
        let (code, said) = verify(&data);
        assert_eq!(code, Some(0), "{what}: what goes on is sound: {said}");
        let server = truth.start(&data).ready();
        assert_eq!(server.read(&format!("/api/jobs/{id}"))["state"], "queued", "{what}");
        assert_eq!(truth.count(&server), left + 1, "{what}");
    }
}

#[test]
fn damage_to_a_snapshot_costs_nothing_but_time_and_verify_names_it() {
    let home = scratch().unwrap();
    let data = home.path().join("data");
    let server = Start::on(&data).ready();
    let jobs: Vec<Value> = (0..1000).map(|number| json!({ "kind": "later", "args": { "number": number } })).collect();
    let bulk = json!({ "jobs": jobs });
    let mut last = Value::Null;
    for _ in 0..20 {
        last = server.post("/api/jobs/bulk", &bulk).json()["jobs"][999].take();
    }
    let path = format!("/api/jobs/{}", last["id"].as_str().unwrap());
    let expected = server.read(&path);
    assert!(server.stop().success());
    let [snapshot] = names(&data.join("snapshots")).try_into().expect("a server that stops writes a snapshot");
    for (damage, apply) in &QUICK {
        let dir = scratch().unwrap();
        let damaged = dir.path().join("data");
        copy(&data, &damaged);
        let file = damaged.join("snapshots").join(&snapshot);
        apply(&file, file.metadata().unwrap().len());
        let (code, said) = verify(&damaged);
        assert_eq!(code, Some(1), "{damage}: {said}");
        assert!(said.contains(&snapshot) && said.contains("disposable"), "{damage}: {said}");
        let server = Start::on(&damaged).ready();
        assert!(server.said.contains("damaged snapshot"), "{damage}: {}", server.said);
        assert_eq!(server.read(&path), expected, "{damage}");
    }
}

#[test]
fn on_a_disk_that_takes_no_writes_the_server_says_so_and_verify_works() {
    let Some(mount) = Mount::memory(256 << 20) else { return };
    let truth = truth();
    let data = mount.path().join("data");
    copy(&truth.data(), &data);
    mount.forbid_writes();
    let refusal = Start::on(&data).run().err().expect("nothing can be written");
    assert_eq!(refusal.status.code(), Some(1));
    assert!(refusal.said.contains("mounted") && refusal.said.contains("--data"), "{}", refusal.said);
    let (code, said) = verify(&data);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_directory_that_is_in_use_is_left_alone_and_so_are_the_jobs_that_run_there() {
    let home = scratch().unwrap();
    let gate = home.path().join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let wait = format!("cat {} > /dev/null", gate.display());
    let gated = format!("[kinds.gated.run]\nmode = \"command\"\ncommand = [\"sh\", \"-c\", {wait:?}]\n");
    let config = write_config(home.path(), "", &gated);
    let data = home.path().join("data");
    let server = Start::on(&data).config(&config).ready();
    let id = server.submit("gated", json!({}));
    let open_gate = std::fs::File::options().write(true).open(&gate).unwrap();
    let refusal = Start::on(&data).config(&config).run().err().expect("one server a directory");
    assert_eq!(refusal.status.code(), Some(1));
    assert!(refusal.said.contains("in use"), "{}", refusal.said);
    assert_eq!(verify(&data).0, Some(1), "a server that runs is not checked");
    drop(open_gate);
    let job = server.finished(&id);
    assert_eq!((&job["state"], &job["attempt"], &job["lost_count"]), (&json!("completed"), &json!(1), &json!(0)));
}
