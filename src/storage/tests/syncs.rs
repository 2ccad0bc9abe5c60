//! What is synced, and in which order: this test program takes the C library's `fsync` and `fdatasync` over and notes
//! which file or directory each call is about. So it can be shown without a power cut that nothing is answered for before
//! all that it stands on is durable, the entries in directories included.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::domain::id::{JobId, Ordinal, Seq};
use crate::domain::time::Timestamp;
use crate::log::conformance::{append, record, records};
use crate::log::snapshot::SnapshotStore;
use crate::storage::files::JobFiles;
use crate::storage::joblogs::{JobLogs, NewLine};
use crate::storage::tests::{fill, options, segments, small_segments};
use crate::storage::views::SledFinished;
use crate::storage::writer::HEAD_SYNC_EVERY;
use crate::storage::{SnapshotFiles, open};

/// The directories that are watched, and what was synced below them.
static WATCHED: Mutex<Vec<(PathBuf, Vec<PathBuf>)>> = Mutex::new(Vec::new());
/// Tells of each call.
static NEWS: Condvar = Condvar::new();

/// # Safety
/// Any descriptor may be passed, as to the function that it stands for.
#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(descriptor: libc::c_int) -> libc::c_int {
    // SAFETY: a plain system call that touches no memory of ours.
    note(descriptor, unsafe { libc::syscall(libc::SYS_fsync, descriptor) })
}

/// # Safety
/// Any descriptor may be passed, as to the function that it stands for.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(descriptor: libc::c_int) -> libc::c_int {
    // SAFETY: a plain system call that touches no memory of ours.
    note(descriptor, unsafe { libc::syscall(libc::SYS_fdatasync, descriptor) })
}

fn note(descriptor: libc::c_int, answer: libc::c_long) -> libc::c_int {
    if let Ok(mut watched) = WATCHED.lock()
        && !watched.is_empty()
        && let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{descriptor}"))
    {
        for (dir, synced) in watched.iter_mut() {
            synced.extend(path.strip_prefix(dir).map(Path::to_path_buf));
        }
        NEWS.notify_all();
    }
    answer as libc::c_int
}

/// Watches a directory until it is dropped.
struct Watch {
    dir: PathBuf,
}

impl Watch {
    fn over(dir: &Path) -> Watch {
        let dir = dir.canonicalize().unwrap();
        WATCHED.lock().unwrap().push((dir.clone(), Vec::new()));
        Watch { dir }
    }

    /// What was synced since it was asked last, in order; the directory itself is the empty path.
    fn synced(&self) -> Vec<String> {
        let mut watched = WATCHED.lock().unwrap();
        let (_, synced) = watched.iter_mut().find(|(dir, _)| *dir == self.dir).unwrap();
        std::mem::take(synced).into_iter().map(|path| path.to_string_lossy().into_owned()).collect()
    }
}

impl Watch {
    /// Waits until a path is synced.
    fn wait_for(&self, wanted: &str) {
        let is_missing = |watched: &mut Vec<(PathBuf, Vec<PathBuf>)>| {
            let (_, synced) = watched.iter().find(|(dir, _)| *dir == self.dir).unwrap();
            !synced.contains(&wanted.into())
        };
        let watched = WATCHED.lock().unwrap();
        let waited = NEWS.wait_timeout_while(watched, HEAD_SYNC_EVERY * 10, is_missing).unwrap();
        assert!(!waited.1.timed_out(), "{wanted} is synced");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.lock().unwrap().retain(|(dir, _)| *dir != self.dir);
    }
}

/// Where the one that is asked for was synced first; it must have been.
#[track_caller]
fn place(synced: &[String], wanted: &str) -> usize {
    let found = synced.iter().position(|path| path == wanted);
    found.unwrap_or_else(|| panic!("{wanted:?} is synced: {synced:?}"))
}

const FIRST: &str = "log/00000000000000000001";

/// Commits of all sorts: each is synced, payloads first, before it is answered.
pub fn every_promise_is_kept(commits: usize) {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::over(dir.path());
    let mut log = open(dir.path(), &options()).unwrap().log;
    watch.synced();
    for number in 0..commits as u64 {
        let bytes = if number % 3 == 0 { 30_000 } else { 300 };
        append(log.as_mut(), [record(number + 1, bytes, false)].into());
        let synced = watch.synced();
        let database = synced.iter().rposition(|path| *path == format!("{FIRST}/db"));
        let database = database.unwrap_or_else(|| panic!("commit {number} was answered without a sync: {synced:?}"));
        if bytes > 8192 {
            let pack = synced.iter().position(|path| path.starts_with(&format!("{FIRST}/payloads/"))).unwrap();
            let entry = place(&synced, &format!("{FIRST}/payloads"));
            assert!(pack < entry && entry < database, "payloads, their entry, then the pages: {synced:?}");
        }
    }
}

#[test]
fn a_commit_is_synced_before_it_is_answered_and_its_payloads_before_its_pages() {
    every_promise_is_kept(30);
}

#[test]
fn all_that_a_new_log_consists_of_is_synced_with_its_entries_before_the_first_commit() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::over(dir.path());
    let opened = open(&dir.path().join("a/data"), &options()).unwrap();
    let synced = watch.synced();
    for path in ["", "a", "a/data", "a/data/log", "a/data/log/HEAD.tmp"] {
        place(&synced, path);
    }
    for path in ["", "/db", "/conf", "/blobs", "/payloads"] {
        place(&synced, &format!("a/data/{FIRST}{path}"));
    }
    let own_entry = place(&synced, &format!("a/data/{FIRST}"));
    assert!(synced[own_entry..].contains(&"a/data/log".to_owned()), "its entry after it: {synced:?}");
    drop(opened);
}

#[test]
fn a_new_segment_and_a_seal_are_synced_with_their_entries() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::over(dir.path());
    let mut opened = open(dir.path(), &small_segments()).unwrap();
    fill(opened.log.as_mut(), 1500);
    opened.log.close().unwrap();
    let synced = watch.synced();
    let names = segments(dir.path());
    assert!(names.len() > 1);
    for name in &names[1..] {
        let made = place(&synced, &format!("log/{name}"));
        let before = &synced[..made];
        assert!(before.contains(&"log/HEAD".to_owned()), "HEAD knows the old one's end: {before:?}");
        assert!(synced[made..].contains(&"log".to_owned()));
    }
    for name in &names[..names.len() - 1] {
        let seal = place(&synced, &format!("log/{name}/SEALED.tmp"));
        assert!(synced[seal..].contains(&format!("log/{name}")), "its entry after it");
    }
    assert_eq!(synced.last().map(String::as_str), Some("log/HEAD"), "that it was closed is noted last");
}

#[test]
fn head_is_marked_open_and_synced_before_the_first_commit_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::over(dir.path());
    let mut log = open(dir.path(), &options()).unwrap().log;
    watch.synced();
    append(log.as_mut(), records(1..=1));
    let synced = watch.synced();
    assert!(place(&synced, "log/HEAD") < place(&synced, &format!("{FIRST}/db")), "{synced:?}");
}

#[test]
fn new_views_are_synced_with_their_entries() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::over(dir.path());
    drop(SledFinished::open(&dir.path().join("views"), uuid::Uuid::nil()).unwrap());
    let synced = watch.synced();
    for path in ["views", "views/00000001", "views/00000001/db", "views/00000001/conf"] {
        place(&synced, path);
    }
}

#[test]
fn head_is_synced_some_seconds_after_a_commit_though_nobody_writes_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::over(dir.path());
    let mut log = open(dir.path(), &options()).unwrap().log;
    append(log.as_mut(), records(1..=1));
    watch.synced();
    watch.wait_for("log/HEAD");
    assert!(HEAD_SYNC_EVERY <= Duration::from_secs(5));
}

#[test]
fn snapshots_log_lines_and_files_are_synced_with_their_entries() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::over(dir.path());
    let data = dir.path();
    let job = JobId::new(Timestamp::from_ms(1_790_000_000_000), Ordinal(1), 1);

    let snapshots = SnapshotFiles::open(data, uuid::Uuid::nil()).unwrap();
    snapshots.save(Seq(7), &mut |out| out.write_all(b"a state")).unwrap();
    let synced = watch.synced();
    let file = place(&synced, "snapshots/00000000000000000007.tmp");
    assert_eq!(&synced[file + 1..], ["snapshots"]);

    let mut file = JobFiles::open(data).unwrap().create(job, "out.txt").unwrap();
    file.write_all(b"text").unwrap();
    file.finish().unwrap();
    let synced = watch.synced();
    place(&synced, "files/.incoming/0");
    assert_eq!(synced.last(), Some(&format!("files/{job}")));

    let logs = JobLogs::open(data).unwrap();
    let line = NewLine { at: Timestamp::from_ms(7), stream: "stdout".into(), text: "line".into() };
    logs.append(job, std::slice::from_ref(&line)).unwrap();
    watch.synced();
    logs.sync_job(job).unwrap();
    let name = job.to_string();
    let shard = format!("logs/{}", &name[name.len() - 2..]);
    assert_eq!(watch.synced(), [format!("{shard}/{name}"), shard.clone()], "its entry once, when it is new");
    logs.append(job, &[line]).unwrap();
    logs.sync().unwrap();
    assert_eq!(watch.synced(), [format!("{shard}/{name}")]);
    logs.sync().unwrap();
    assert_eq!(watch.synced(), Vec::<String>::new(), "nothing new, nothing to do");
}

#[test]
fn log_lines_and_files_that_were_removed_do_not_come_back_after_a_power_cut() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::over(dir.path());
    let job = JobId::new(Timestamp::from_ms(1_790_000_000_000), Ordinal(1), 1);
    let (files, logs) = (JobFiles::open(dir.path()).unwrap(), JobLogs::open(dir.path()).unwrap());
    files.create(job, "out.txt").unwrap().finish().unwrap();
    let line = NewLine { at: Timestamp::from_ms(7), stream: "stdout".into(), text: "line".into() };
    logs.append(job, &[line]).unwrap();
    watch.synced();
    files.remove(job).unwrap();
    assert_eq!(watch.synced(), ["files"]);
    logs.unlink(job).unwrap();
    let name = job.to_string();
    assert_eq!(watch.synced(), [format!("logs/{}", &name[name.len() - 2..])]);
}
