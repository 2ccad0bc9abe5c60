//! The log on sled as a whole: the port's suite, and what is this log's own. The rules of the log on disk, and where each
//! is proved:
//!
//! | rule | proof |
//! |---|---|
//! | sled's flush is a real sync, and checked to be one | `every_submission_is_really_synced…` |
//! | payloads are durable before their pages, and pages before the answer | `syncs`, `crash` |
//! | new files and directories are synced, and then their entries | `syncs` |
//! | no value spills into sled's unsynced files | `sled_makes_no_files…`, `places::a_log_beside_which…` |
//! | HEAD is written at each commit, synced at each roll and every few seconds | `syncs` |
//! | one damaged slot of HEAD is told of and healed; two are refused | `places::one_damaged_slot…`, `head` |
//! | a log that is cut, older than HEAD, or of another lineage is refused and left as it is | `damage`, `places` |
//! | also a full segment that was not yet sealed | `places::a_cut_segment…` |
//! | damage never panics and never opens as less than there was | `damage` |
//! | what sled left half written does not hinder a start | `what_sled_left_half_written…` |
//! | a group without its end is dropped, whole ones stay (L2) | `torn` |
//! | segments roll, are sealed with a hash, and at most two sealed ones are open | `the_log_rolls…`, `segments` |
//! | dropped segments go behind a base that is whole, whatever crash comes between | `trim` |
//! | a full disk halts, gives up the ballast, and takes it again later (L3) | `full_disk` |
//! | readers stop at the durable end; nothing is taken after an error | `log::conformance` |
//! | one server a directory; none on one that cannot be written or is of a newer format | `places`, `a_second_server…` |
//! | a log is read offline as a server reads it, and not changed | `offline` |
//! | one flipped byte in any file is found by `verify` | `storage::check`, `tests/disk` |

mod child;
mod crash;
mod damage;
mod full_disk;
pub mod mounts;
mod offline;
mod places;
mod syncs;
mod torn;
pub mod trim;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::conformance::{Subject, append, conforms, read_all, record, records};
use crate::log::{EventLog, ReadError};
use crate::storage::segment::file_of;
use crate::storage::{DirectoryLock, OpenError, Opened, Options, disk, open, sync};

/// No ballast and a small cache.
pub fn options() -> Options {
    Options { ballast_bytes: 0, cache_bytes: 8 * 1024 * 1024, ..Options::default() }
}

/// The same, with a new segment after each half megabyte or so.
pub fn small_segments() -> Options {
    Options { segment_bytes: 512 * 1024, ..options() }
}

/// The names of the segments in a data directory.
pub fn segments(data: &Path) -> Vec<String> {
    let mut names = disk::names_in(&data.join("log")).unwrap();
    names.retain(|name| name.len() == 20);
    names
}

/// The directory of the last segment.
pub fn active(data: &Path) -> PathBuf {
    data.join("log").join(segments(data).pop().unwrap())
}

/// Submissions of 20 to 80 records, some of them with a big body, up to a number of records.
pub fn fill(log: &mut dyn EventLog, count: u64) {
    let mut next = log.last().0 + 1;
    while next <= count {
        let end = (next + 20 + next % 61).min(count);
        let size = |seq: u64| if seq.is_multiple_of(97) { 20_000 } else { 100 + (seq as usize * 37) % 700 };
        let batch: Arc<[Record]> = (next..=end).map(|seq| record(seq, size(seq), seq % 3 == 0 && seq < end)).collect();
        append(log, batch);
        next = end + 1;
    }
}

/// All that the log has, from its start.
pub fn everything(opened: &Opened) -> Vec<Record> {
    read_all(opened.log.reader().as_ref(), Seq::ZERO)
}

struct Sled {
    dir: tempfile::TempDir,
    options: Options,
}

impl Subject for Sled {
    fn open(&mut self) -> Box<dyn EventLog> {
        open(self.dir.path(), &self.options).unwrap().log
    }

    fn break_writes(&mut self) {
        // A file stands where the log's directory was: open files go on, new ones cannot be made.
        let log_dir = self.dir.path().join("log");
        std::fs::rename(&log_dir, self.dir.path().join("gone")).unwrap();
        std::fs::write(&log_dir, b"").unwrap();
    }
}

#[test]
fn the_log_on_sled_keeps_the_promises_of_the_port() {
    conforms(|| Box::new(Sled { dir: tempfile::tempdir().unwrap(), options: options() }));
}

#[test]
fn the_log_on_sled_keeps_them_with_a_new_segment_after_each_submission() {
    conforms(|| {
        let options = Options { segment_bytes: 1, ..options() };
        Box::new(Sled { dir: tempfile::tempdir().unwrap(), options })
    });
}

#[test]
fn every_submission_is_really_synced_before_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), &options()).unwrap().log;
    for seq in 1..=20 {
        let before = sync::count();
        append(log.as_mut(), records(seq..=seq));
        assert!(sync::count() > before, "sled's sync went through ours");
    }
}

#[test]
fn a_lock_that_is_let_go_of_in_a_moment_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let lock = DirectoryLock::take(dir.path()).unwrap();
    let (trying, tries) = std::sync::mpsc::channel();
    let data = dir.path().to_path_buf();
    let next = std::thread::spawn(move || {
        trying.send(()).unwrap();
        DirectoryLock::take(&data).map(drop)
    });
    tries.recv().unwrap();
    drop(lock);
    next.join().unwrap().unwrap();
}

#[test]
fn a_second_server_on_the_same_directory_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), &options()).unwrap();
    let error = open(dir.path(), &options()).unwrap_err();
    assert!(matches!(error, OpenError::Locked(_)));
    assert!(error.to_string().contains("stop the other daybook"), "{error}");
    drop(first);
    open(dir.path(), &options()).unwrap();
}

#[test]
fn a_log_knows_whether_it_was_closed_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &options()).unwrap();
    assert!(opened.clean_shutdown, "nothing was before");
    append(opened.log.as_mut(), records(1..=3));
    let lineage = opened.lineage;
    drop(opened);
    let opened = open(dir.path(), &options()).unwrap();
    assert!(!opened.clean_shutdown);
    opened.log.close().unwrap();
    drop(opened.lock);
    let opened = open(dir.path(), &options()).unwrap();
    assert!(opened.clean_shutdown);
    assert_eq!(opened.lineage, lineage);
}

#[test]
fn the_log_rolls_over_many_segments_and_is_read_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &small_segments()).unwrap();
    fill(opened.log.as_mut(), 4000);
    let written = everything(&opened);
    assert_eq!(written.len(), 4000);
    opened.log.close().unwrap();
    drop(opened.lock);
    let names = segments(dir.path());
    assert!(names.len() > 3, "{names:?}");
    for round in 0..2 {
        let opened = open(dir.path(), &small_segments()).unwrap();
        assert!(everything(&opened) == written, "round {round}");
        let open_files = open_databases(dir.path());
        assert!(open_files <= 3, "two sealed segments and the active one, not {open_files}");
    }
    for name in names.split_last().unwrap().1 {
        assert!(dir.path().join("log").join(name).join("SEALED").exists(), "{name}");
    }
}

/// How many of the segments' databases this process has open.
fn open_databases(data: &Path) -> usize {
    let mut open: Vec<PathBuf> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|path| path.starts_with(data) && path.ends_with("db"))
        .collect();
    open.sort();
    open.dedup();
    open.len()
}

#[test]
fn a_segment_that_was_not_sealed_before_a_kill_is_sealed_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &small_segments()).unwrap();
    fill(opened.log.as_mut(), 2500);
    let written = everything(&opened);
    drop(opened);
    for name in segments(dir.path()) {
        disk::remove_file(&dir.path().join("log").join(name).join("SEALED")).unwrap();
    }
    let opened = open(dir.path(), &small_segments()).unwrap();
    assert!(everything(&opened) == written);
    opened.log.close().unwrap();
    let names = segments(dir.path());
    assert!(dir.path().join("log").join(&names[0]).join("SEALED").exists());
}

#[test]
fn a_reader_after_the_end_gets_an_error_and_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &options()).unwrap();
    fill(opened.log.as_mut(), 300);
    drop(opened);
    let opened = open(dir.path(), &options()).unwrap();
    let reader = opened.log.reader();
    opened.log.close().unwrap();
    assert!(matches!(reader.record(Seq(7)), Err(ReadError::Failed { .. })));
}

#[test]
fn sled_makes_no_files_of_its_own_for_big_values() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &options()).unwrap();
    let sizes = [8000, 8100, 9000, 100];
    for seq in 1..=600 {
        append(opened.log.as_mut(), [record(seq, sizes[seq as usize % 4], false)].into());
    }
    assert!(disk::names_in(&active(dir.path()).join("blobs")).unwrap().is_empty());
    std::fs::write(active(dir.path()).join("blobs/17"), b"x").unwrap();
    let error = opened.log.close().unwrap_err();
    assert!(format!("{error:?}").contains("Blobs"), "{error:?}");
}

#[test]
fn what_sled_left_half_written_does_not_hinder_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &options()).unwrap();
    fill(opened.log.as_mut(), 300);
    let written = everything(&opened);
    drop(opened);
    std::fs::write(active(dir.path()).join("snap.0000000000FFFFFF.generating"), b"half").unwrap();
    let opened = open(dir.path(), &options()).unwrap();
    assert!(everything(&opened) == written);
}

#[test]
fn a_segment_that_was_being_made_when_the_server_died_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &small_segments()).unwrap();
    fill(opened.log.as_mut(), 1500);
    let last = opened.log.last();
    let written = everything(&opened);
    opened.log.close().unwrap();
    drop(opened.lock);
    // The active segment becomes the one before an unborn one.
    let unborn = dir.path().join("log").join(format!("{:020}", last.0 + 1));
    std::fs::create_dir(&unborn).unwrap();
    std::fs::write(file_of(&unborn), b"").unwrap();
    let mut opened = open(dir.path(), &small_segments()).unwrap();
    fill(opened.log.as_mut(), 1700);
    assert!(everything(&opened)[..written.len()] == written);
}

#[test]
fn payload_files_whose_commit_never_came_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &options()).unwrap();
    append(opened.log.as_mut(), [record(1, 50_000, false)].into());
    drop(opened);
    let payloads = active(dir.path()).join("payloads");
    let before = disk::names_in(&payloads).unwrap();
    std::fs::write(payloads.join("0".repeat(64)), b"orphan").unwrap();
    let opened = open(dir.path(), &options()).unwrap();
    assert_eq!(disk::names_in(&payloads).unwrap(), before);
    assert_eq!(everything(&opened), [record(1, 50_000, false)]);
}
