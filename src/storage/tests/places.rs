//! Where the data lies: directories that cannot be written, that are of another time, or that hold what is not ours.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use crate::log::conformance::{append, records};
use crate::storage::head::HeadFile;
use crate::storage::tests::damage::contents;
use crate::storage::tests::mounts::{Mount, could_not_run};
use crate::storage::tests::{active, everything, fill, options, segments, small_segments};
use crate::storage::{DirectoryLock, OpenError, disk, open};

/// A directory in which nothing can be written: calls `check` with it, if there is a way to make one.
fn with_a_directory_that_cannot_be_written(check: impl Fn(&Path)) {
    let plain = tempfile::tempdir().unwrap();
    let data = plain.path().join("data");
    drop(open(&data, &options()).unwrap());
    std::fs::set_permissions(data.join("LOCK"), PermissionsExt::from_mode(0o400)).unwrap();
    if disk::open_file(&data.join("LOCK")).is_err() {
        return check(&data);
    }
    // Root may write everywhere but on a disk that takes no writes.
    let Some(mount) = Mount::memory(64 << 20) else {
        return could_not_run("there is no directory that root cannot write");
    };
    let data = mount.path().join("data");
    drop(open(&data, &options()).unwrap());
    mount.forbid_writes();
    check(&data);
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_with_the_next_step_and_can_still_be_looked_at() {
    with_a_directory_that_cannot_be_written(|data| {
        let error = open(data, &options()).unwrap_err();
        assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("mounted") && text.contains("--data") && text.contains("LOCK"), "{text}");
        assert!(!error.is_damage(), "there is nothing to accept a loss of");
        assert!(DirectoryLock::take_to_read(data).unwrap().is_some());
    });
}

#[test]
fn a_directory_of_a_newer_format_is_refused_and_its_data_is_not_called_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &options()).unwrap();
    append(opened.log.as_mut(), records(1..=3));
    drop(opened);
    let head = dir.path().join("log/HEAD");
    let file = disk::open_file(&head).unwrap();
    let mut slot = [0; 128];
    file.read_exact_at(&mut slot, 0).unwrap();
    slot[6] = 3;
    let checksum = crc32fast::hash(&slot[..124]);
    slot[124..].copy_from_slice(&checksum.to_le_bytes());
    file.write_all_at(&slot, 0).unwrap();
    for accept_data_loss in [false, true] {
        let options = crate::storage::Options { accept_data_loss, ..options() };
        let error = open(dir.path(), &options).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, OpenError::Newer { format: 3, .. }), "{error:?}");
        assert!(text.contains("newer daybook") && !text.contains("accept-data-loss"), "{text}");
    }
}

#[test]
fn one_damaged_slot_of_head_is_told_of_and_written_anew_by_the_first_commit() {
    let dir = tempfile::tempdir().unwrap();
    for slot in [0, 1] {
        let mut opened = open(dir.path(), &options()).unwrap();
        let next = opened.log.last().0 + 1;
        append(opened.log.as_mut(), records(next..=next + 2));
        drop(opened);
        let file = disk::open_file(&dir.path().join("log/HEAD")).unwrap();
        file.write_all_at(b"?", slot * 4096 + 60).unwrap();
        let mut opened = open(dir.path(), &options()).unwrap();
        assert_eq!(opened.damaged_slot, Some(slot));
        let next = opened.log.last().0 + 1;
        assert_eq!(next % 3, 1, "nothing is missing");
        append(opened.log.as_mut(), records(next..=next + 2));
        drop(opened);
        assert_eq!(HeadFile::open(&dir.path().join("log/HEAD")).unwrap().unwrap().0.damaged_slot(), None);
    }
}

/// A log with some events, closed or killed, in a directory of this name.
fn log_in(data: &Path, events: u64) {
    let mut opened = open(data, &options()).unwrap();
    fill(opened.log.as_mut(), events);
}

/// A log whose files are sound but not those that HEAD saw is refused, says what and what to do, and stays as it is.
#[track_caller]
fn check_refused(data: &Path, detail: &str) {
    let before = contents(&data.join("log"));
    let error = open(data, &options()).unwrap_err();
    let text = error.to_string();
    assert!(error.is_damage() && text.contains(detail) && text.contains("daybook verify"), "{text}");
    assert!(contents(&data.join("log")) == before, "{text}: nothing was changed");
}

#[test]
fn a_sound_log_that_is_older_than_head_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    log_in(&data, 300);
    let old = dir.path().join("old");
    disk::copy_dir(&active(&data), &old).unwrap();
    log_in(&data, 600);
    let segment = active(&data);
    disk::remove_dir(&segment).unwrap();
    disk::copy_dir(&old, &segment).unwrap();
    check_refused(&data, "event 600");
}

#[test]
fn a_head_that_is_older_than_the_log_is_brought_up_to_it() {
    let dir = tempfile::tempdir().unwrap();
    log_in(dir.path(), 300);
    let head = dir.path().join("log/HEAD");
    let old = std::fs::read(&head).unwrap();
    log_in(dir.path(), 600);
    std::fs::write(&head, old).unwrap();
    let opened = open(dir.path(), &options()).unwrap();
    assert_eq!(everything(&opened).len(), 600, "after a power cut HEAD may be some seconds behind");
}

#[test]
fn the_segment_or_the_head_of_another_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mine, other) = (dir.path().join("mine"), dir.path().join("other"));
    log_in(&mine, 300);
    log_in(&other, 300);
    let head = mine.join("log/HEAD");
    let own = std::fs::read(&head).unwrap();
    std::fs::copy(other.join("log/HEAD"), &head).unwrap();
    check_refused(&mine, "event 300");
    std::fs::write(&head, own).unwrap();
    let segment = active(&mine);
    disk::remove_dir(&segment).unwrap();
    disk::copy_dir(&active(&other), &segment).unwrap();
    check_refused(&mine, "event 300");
}

#[test]
fn a_cut_segment_that_was_not_yet_sealed_is_never_given_to_sled() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &small_segments()).unwrap();
    fill(opened.log.as_mut(), 2500);
    drop(opened);
    let name = &segments(dir.path())[1];
    let second = dir.path().join("log").join(name);
    disk::remove_file(&second.join("SEALED")).unwrap();
    let database = disk::open_file(&second.join("db")).unwrap();
    let length = database.metadata().unwrap().len();
    database.set_len(length / 2).unwrap();
    check_refused(dir.path(), name);
    disk::remove_file(&second.join("db")).unwrap();
    check_refused(dir.path(), name);
}

#[test]
fn a_log_beside_which_sled_made_files_of_its_own_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    log_in(dir.path(), 300);
    std::fs::write(active(dir.path()).join("blobs/17"), b"x").unwrap();
    let text = open(dir.path(), &options()).unwrap_err().to_string();
    assert!(text.contains("never synced") && text.contains("blobs"), "{text}");
}

#[test]
fn a_file_where_the_data_directory_should_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::write(&path, b"a file").unwrap();
    let text = open(&path, &options()).unwrap_err().to_string();
    assert!(text.contains("make the data directory") && text.contains(path.to_str().unwrap()), "{text}");
}

#[test]
fn foreign_files_in_the_log_hinder_nobody_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &small_segments()).unwrap();
    fill(opened.log.as_mut(), 1500);
    let written = everything(&opened);
    opened.log.close().unwrap();
    drop(opened.lock);
    let first = dir.path().join("log/00000000000000000001");
    let foreign = [dir.path().join("log/notes"), first.join("notes"), active(dir.path()).join("notes")];
    foreign.iter().for_each(|path| std::fs::write(path, b"mine").unwrap());
    std::fs::create_dir(dir.path().join("log/old")).unwrap();
    let opened = open(dir.path(), &small_segments()).unwrap();
    assert!(everything(&opened) == written);
    assert!(foreign.iter().all(|path| std::fs::read(path).unwrap() == b"mine"));
    assert!(dir.path().join("log/old").is_dir());
}
