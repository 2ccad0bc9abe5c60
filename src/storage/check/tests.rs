//! A data directory with a file of every kind, and one flipped byte in each of them in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use super::*;
use crate::domain::id::{Ordinal, Seq};
use crate::domain::time::Timestamp;
use crate::log::job_samples::{plain_job, rich_job};
use crate::log::keyframe::KeyframeStore;
use crate::log::snapshot::SnapshotStore;
use crate::storage::files::{JobFiles, dir_name};
use crate::storage::joblogs::{JobLogs, NewLine};
use crate::storage::keyframes::KeyframeFiles;
use crate::storage::open::open;
use crate::storage::snapshots::SnapshotFiles;
use crate::storage::tests::trim::trim;
use crate::storage::tests::{active, fill, segments, small_segments};
use crate::storage::views::SledFinished;
use crate::views::FinishedStore;

/// What the log says in these tests: job 1 has ended and left a file, job 2 runs, others never were.
struct Said {
    files: BTreeMap<JobId, Vec<FileInfo>>,
}

impl Books for Said {
    fn has_ended(&self, job: JobId) -> Option<bool> {
        [(job_of(1), true), (job_of(2), false)].into_iter().find(|(known, _)| *known == job).map(|(_, ended)| ended)
    }

    fn files(&self) -> &BTreeMap<JobId, Vec<FileInfo>> {
        &self.files
    }
}

/// Enough for a segment that is dropped, a sealed one and an active one, each with payloads.
const EVENTS: u64 = 3000;

fn job_of(number: u64) -> JobId {
    JobId::new(Timestamp::from_ms(1_790_000_000_000), Ordinal(number), number)
}

fn said() -> Said {
    let file = FileInfo { name: "out.txt".into(), media_type: "text/plain".into(), size: 9 };
    Said { files: BTreeMap::from([(job_of(1), vec![file])]) }
}

/// A data directory as a server leaves it that was closed in order.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    // sled writes its snapshots when it opens what there is.
    for events in [EVENTS / 2, EVENTS] {
        let mut opened = open(data, &small_segments()).unwrap();
        fill(opened.log.as_mut(), events);
        opened.log.close().unwrap();
    }
    let opened = open(data, &small_segments()).unwrap();
    let full = opened.log.trimmer().extent().unwrap().full.len();
    trim(opened.log.as_ref(), full - 2);
    let snapshots = SnapshotFiles::open(data, opened.lineage).unwrap();
    snapshots.save(Seq(5), &mut |out| out.write_all(b"an old state")).unwrap();
    snapshots.save(Seq(9), &mut |out| out.write_all(b"a state")).unwrap();
    let keyframes = KeyframeFiles::open(data, opened.lineage, Seq(EVENTS)).unwrap();
    keyframes.save(Seq(9), None, &mut |out| out.write_all(b"a past state")).unwrap();
    let views = SledFinished::open(&data.join("views"), opened.lineage).unwrap();
    let jobs: Vec<_> =
        (1..200).map(|n| Arc::new(if n % 9 == 0 { rich_job(n, n, 30) } else { plain_job(n, n) })).collect();
    views.put(&jobs, &[], Seq(EVENTS)).unwrap();
    drop(views);
    let logs = JobLogs::open(data).unwrap();
    let line = |text: &str| NewLine { at: Timestamp::from_ms(7), stream: "stderr".into(), text: text.into() };
    logs.append(job_of(1), &[line("one"), line("two"), line("three")]).unwrap();
    store(&JobFiles::open(data).unwrap(), 1, "out.txt", "some text");
    opened.log.close().unwrap();
    drop(opened.lock);
    let opened = open(data, &small_segments()).unwrap();
    drop(SledFinished::open(&data.join("views"), opened.lineage).unwrap());
    opened.log.close().unwrap();
    dir
}

fn store(files: &JobFiles, job: u64, name: &str, text: &str) {
    let mut file = files.create(job_of(job), name).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.finish().unwrap();
}

fn check_all(data: &Path) -> Findings {
    let mut findings = check_stores(data);
    findings.extend(check_jobs(data, Some(&said())));
    findings
}

/// All files below a directory.
fn paths_below(dir: &Path) -> Vec<PathBuf> {
    let names = disk::names_in(dir).unwrap();
    let paths = names.iter().map(|name| dir.join(name));
    paths.flat_map(|path| if path.is_dir() { paths_below(&path) } else { vec![path] }).collect()
}

/// The kind of a file: numbers and hashes in its path say nothing.
fn kind_of(data: &Path, path: &Path) -> String {
    let last = segments(data).pop().unwrap();
    let parts = path.strip_prefix(data).unwrap().iter().map(|part| match part.to_str().unwrap() {
        part if part == last => "<active>",
        part if is_number(part) => "<number>",
        part if sled_files::is_snapshot(part) => "snap",
        part if part.len() == 64 => "<hash>",
        part if part.parse::<JobId>().is_ok() => "<job>",
        part if part != "db" && part.len() == 2 || part.len() == 8 && part.starts_with('0') => "<part>",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Who finds a flipped byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finder {
    /// This look at the files.
    Here,
    /// Whoever reads it to compare it with the fold; `SnapshotFiles` has its own test of every byte.
    Fold,
    /// Nobody: what is in it does not matter. The module's doc says why.
    Nobody,
}

/// The next step for a kind of file: which word is in it, and which is not.
fn next_step_of(kind: &str) -> (&'static str, &'static str) {
    match kind.split('/').collect::<Vec<_>>()[..] {
        ["log", "HEAD"] => ("the other slot serves", "restore"),
        // Nothing makes a base anew, so no loss can be accepted instead.
        ["log", "base" | "carried", ..] => ("daybook restore", "--accept-data-loss"),
        ["log", ..] => ("--accept-data-loss", "disposable"),
        ["views" | "snapshots", ..] => ("remove it", "restore"),
        ["logs", ..] => ("the job itself lost nothing", "--accept-data-loss"),
        ["files", ..] => ("daybook jobs retry", "--accept-data-loss"),
        _ => ("", "nobody looks at it"),
    }
}

/// In how many places of each file.
const FLIPS: usize = 10;

/// Each kind of file that a data directory has.
const KINDS: [(&str, Finder); 24] = [
    ("LOCK", Finder::Nobody),
    ("ballast", Finder::Nobody),
    ("files/<job>/.out.txt.blake3", Finder::Here),
    ("files/<job>/out.txt", Finder::Here),
    ("keyframes/<number>", Finder::Here),
    ("log/<active>/conf", Finder::Here),
    ("log/<active>/db", Finder::Here),
    ("log/<active>/payloads/<hash>", Finder::Here),
    ("log/<active>/snap", Finder::Here),
    ("log/<number>/SEALED", Finder::Here),
    ("log/<number>/conf", Finder::Nobody),
    ("log/<number>/db", Finder::Here),
    ("log/<number>/payloads/<hash>", Finder::Here),
    ("log/<number>/snap", Finder::Nobody),
    ("log/HEAD", Finder::Here),
    ("log/base/<number>/MANIFEST", Finder::Here),
    ("log/base/<number>/jobs", Finder::Here),
    ("log/base/<number>/state", Finder::Here),
    ("log/carried/<hash>", Finder::Here),
    ("logs/<part>/<job>", Finder::Here),
    ("snapshots/<number>", Finder::Fold),
    ("views/<part>/conf", Finder::Here),
    ("views/<part>/db", Finder::Here),
    ("views/<part>/snap", Finder::Here),
];

#[test]
fn one_flipped_byte_in_any_file_whose_content_matters_is_found() {
    let dir = filled();
    let data = dir.path();
    assert_eq!(check_all(data).damaged, [], "as it was written");
    let mut seen = BTreeSet::new();
    for path in paths_below(data) {
        let kind = kind_of(data, &path);
        let (_, finder) = *KINDS.iter().find(|(known, _)| *known == kind).unwrap_or_else(|| panic!("{kind} is new"));
        if !seen.insert(kind.clone()) {
            continue;
        }
        let whole = std::fs::read(&path).unwrap();
        for part in 0..if finder == Finder::Here { FLIPS } else { 0 } {
            let at = (whole.len() * part / FLIPS + part * 31 % 40).min(whole.len() - 1);
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            let found = check_all(data).damaged;
            let names_it = found.iter().any(|damage| {
                let file = data.join(&damage.file);
                file == path || kind.ends_with(".blake3") && file.parent() == path.parent()
            });
            assert!(names_it, "byte {at} of the {} of {kind}: {found:?}", whole.len());
            let (has, has_not) = next_step_of(&kind);
            let fits = |damage: &Damage| damage.next_step.contains(has) && !damage.next_step.contains(has_not);
            assert!(found.iter().all(fits), "{kind}: {found:?}");
        }
        std::fs::write(&path, &whole).unwrap();
    }
    let missed: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).filter(|kind| !seen.contains(*kind)).collect();
    assert_eq!(missed, ["ballast"], "the others were there");
    assert_eq!(check_all(data).damaged, []);
}

#[test]
fn files_that_are_missing_or_have_another_size_are_named() {
    let dir = filled();
    let path = dir.path().join("files").join(dir_name(job_of(1))).join("out.txt");
    std::fs::write(&path, "some tex").unwrap();
    let found = check_all(dir.path()).damaged;
    assert!(found.len() == 1 && found[0].detail.contains("8 bytes") && found[0].detail.contains('9'), "{found:?}");
    std::fs::remove_file(&path).unwrap();
    let found = check_all(dir.path()).damaged;
    assert!(found.len() == 1 && found[0].detail.contains("missing"), "{found:?}");
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    assert_eq!(check_all(dir.path()).damaged, found);
}

#[test]
fn a_replaced_file_of_a_job_that_runs_and_one_without_a_checksum_are_listed_and_no_damage() {
    let dir = filled();
    let data = dir.path();
    store(&JobFiles::open(data).unwrap(), 2, "out.txt", "its replacement, whose event never came");
    let mut said = said();
    let of_first = said.files[&job_of(1)].clone();
    said.files.insert(job_of(2), of_first);
    let findings = check_jobs(data, Some(&said));
    assert_eq!(findings.damaged, []);
    assert!(findings.leftovers.len() == 1 && findings.leftovers[0].detail.contains("replacement"), "{findings:?}");
    let path = data.join("files").join(dir_name(job_of(2)));
    std::fs::write(path.join("out.txt"), "torn").unwrap();
    assert_eq!(check_jobs(data, Some(&said)).damaged.len(), 1, "half a replacement is damage");

    disk::remove_dir(&path).unwrap();
    said.files.remove(&job_of(2));
    disk::remove_file(&data.join("files").join(dir_name(job_of(1))).join(".out.txt.blake3")).unwrap();
    let findings = check_jobs(data, Some(&said));
    assert_eq!(findings.damaged, []);
    assert!(findings.leftovers[0].detail.contains("no checksum"), "{findings:?}");
}

#[test]
fn what_a_crash_or_a_stranger_left_is_listed_and_is_no_damage() {
    let dir = filled();
    let data = dir.path();
    let active = active(data).strip_prefix(data).unwrap().to_path_buf();
    let files = JobFiles::open(data).unwrap();
    // A file whose event never came, and one of a job that nobody knows.
    store(&files, 1, "later.txt", "unrecorded");
    store(&files, 7, "out.txt", "of a stranger");
    JobLogs::open(data).unwrap().append(job_of(7), &[]).unwrap();
    let mut expected = vec![
        Path::new("files").join(dir_name(job_of(1))).join("later.txt"),
        Path::new("files").join(dir_name(job_of(7))),
        Path::new("logs").join(crate::storage::joblogs::shard_of(&dir_name(job_of(7)))).join(dir_name(job_of(7))),
    ];
    for name in ["notes.txt", "log/notes.txt", "snapshots/x.tmp", "views/x", "logs/notes.txt", "files/notes.txt"] {
        std::fs::write(data.join(name), b"whatever").unwrap_or_else(|error| panic!("{name}: {error}"));
        expected.push(name.into());
    }
    for name in ["stranger", "snap.00ff.generating", "payloads/x.tmp"] {
        std::fs::write(data.join(&active).join(name), b"half").unwrap();
        expected.push(active.join(name));
    }
    let findings = check_all(data);
    assert_eq!(findings.damaged, []);
    let listed: BTreeSet<PathBuf> = findings.leftovers.into_iter().map(|leftover| leftover.file).collect();
    assert_eq!(listed, expected.into_iter().collect());
}

#[test]
fn a_job_that_runs_may_have_lost_its_last_lines_and_one_that_ended_may_not() {
    let dir = filled();
    let line = NewLine { at: Timestamp::from_ms(7), stream: "stdout".into(), text: "line".into() };
    JobLogs::open(dir.path()).unwrap().append(job_of(2), &[line.clone(), line]).unwrap();
    let path = |job| {
        let name = dir_name(job_of(job));
        dir.path().join("logs").join(crate::storage::joblogs::shard_of(&name)).join(name)
    };
    for job in [1, 2] {
        let length = path(job).metadata().unwrap().len();
        disk::open_file(&path(job)).unwrap().set_len(length - 2).unwrap();
    }
    let findings = check_all(dir.path());
    let named = |file: &Path, job| dir.path().join(file) == path(job);
    assert!(findings.damaged.len() == 1 && named(&findings.damaged[0].file, 1), "{findings:?}");
    assert!(findings.leftovers.len() == 1 && named(&findings.leftovers[0].file, 2), "{findings:?}");
}

#[test]
fn a_segment_that_was_being_made_when_the_power_was_cut_is_no_damage_and_one_without_its_pages_is() {
    let dir = filled();
    let data = dir.path();
    let unborn = data.join("log").join(format!("{:020}", EVENTS + 1));
    std::fs::create_dir(&unborn).unwrap();
    for (name, bytes) in [("", 0), ("db", 0), ("conf", 0), ("db", 20)] {
        if !name.is_empty() {
            std::fs::write(unborn.join(name), vec![0; bytes]).unwrap();
        }
        let findings = check_all(data);
        assert_eq!(findings.damaged, [], "{name} of {bytes} bytes");
        assert_eq!(findings.leftovers.len(), 1, "{findings:?}");
        // And the log opens.
        let copy = tempfile::tempdir().unwrap();
        disk::copy_dir(data, &copy.path().join("data")).unwrap();
        open(&copy.path().join("data"), &small_segments()).unwrap();
    }
    disk::remove_dir(&unborn).unwrap();
    disk::remove_file(&active(data).join("db")).unwrap();
    assert!(!check_all(data).damaged.is_empty(), "HEAD promises its pages");
}

#[test]
fn a_file_that_sled_made_beside_its_log_is_damage() {
    let dir = filled();
    std::fs::write(active(dir.path()).join("blobs/17"), b"x").unwrap();
    let found = check_all(dir.path()).damaged;
    assert!(found.len() == 1 && found[0].detail.contains("never synced"), "{found:?}");
}

#[test]
fn no_more_places_are_listed_than_can_be_read() {
    let mut findings = Findings::default();
    for number in 0..LISTED_MAX + 5 {
        findings.damage(Damage::of_views(number.to_string()));
    }
    assert_eq!((findings.damaged.len(), findings.unlisted), (LISTED_MAX, 5));
}
