//! A full disk: the log halts, and nothing that was answered is lost.

use std::path::Path;

use crate::log::conformance::record;
use crate::log::{AppendError, EventLog};
use crate::storage::tests::mounts::Mount;
use crate::storage::tests::{everything, options};
use crate::storage::{OpenError, Options, disk, open};

const MEBI: u64 = 1024 * 1024;

/// Appends until the disk is full, and gives how many records were committed.
fn fill_up(log: &mut dyn EventLog) -> (u64, AppendError) {
    loop {
        let last = log.last().0;
        let batch = (last + 1..=last + 40).map(|seq| record(seq, 500, seq < last + 40)).collect();
        if let Err(error) = log.submit(batch).and_then(|()| log.committed()) {
            return (last, error);
        }
    }
}

fn check(data: &Path, options: &Options, committed: u64) {
    let mut opened = open(data, options).unwrap();
    let found = everything(&opened);
    assert!(found.len() as u64 >= committed, "{committed} were committed and {} are there", found.len());
    assert!(found.iter().zip(1..).all(|(found, seq)| *found == record(seq, 500, seq % 40 != 0)));
    let next = found.len() as u64 + 1;
    let batch = (next..next + 40).map(|seq| record(seq, 500, seq < next + 39)).collect();
    opened.log.submit(batch).unwrap();
    opened.log.committed().unwrap();
}

#[test]
fn on_a_full_disk_the_log_halts_and_gives_up_its_ballast_so_that_a_restart_works() {
    let Some(mount) = Mount::memory(40 * MEBI) else { return };
    let data = mount.path().join("data");
    let options = Options { ballast_bytes: 8 * MEBI, ..options() };
    let mut log = open(&data, &options).unwrap().log;
    assert_eq!(data.join("ballast").metadata().unwrap().len(), 8 * MEBI);
    let (committed, error) = fill_up(log.as_mut());
    assert!(matches!(error, AppendError::StorageFull(_)), "{error:?}");
    assert!(matches!(log.submit([record(committed + 1, 1, false)].into()), Err(AppendError::Halted)));
    assert!(!data.join("ballast").exists());
    assert!(committed > 1000);
    drop(log);
    check(&data, &options, committed);
}

#[test]
fn the_ballast_is_taken_again_as_soon_as_there_is_room() {
    let Some(mount) = Mount::memory(40 * MEBI) else { return };
    let (data, filler) = (mount.path().join("data"), mount.path().join("filler"));
    nix::fcntl::posix_fallocate(disk::open_file(&filler).unwrap(), 0, (16 * MEBI) as i64).unwrap();
    let options = Options { ballast_bytes: 8 * MEBI, ..options() };
    let mut log = open(&data, &options).unwrap().log;
    let ballast = data.join("ballast");
    assert!(ballast.exists());
    let (committed, _) = fill_up(log.as_mut());
    drop(log);
    assert!(!ballast.exists(), "given up at the halt");
    check(&data, &options, committed);
    assert!(!ballast.exists(), "there is no room yet");
    disk::remove_file(&filler).unwrap();
    drop(open(&data, &options).unwrap());
    assert_eq!(ballast.metadata().unwrap().len(), 8 * MEBI);
}

#[test]
fn without_ballast_the_log_opens_again_when_space_was_freed() {
    let Some(mount) = Mount::memory(40 * MEBI) else { return };
    let data = mount.path().join("data");
    let filler = mount.path().join("filler");
    disk::open_file(&filler).unwrap();
    nix::fcntl::posix_fallocate(disk::open_file(&filler).unwrap(), 0, (12 * MEBI) as i64).unwrap();
    let mut log = open(&data, &options()).unwrap().log;
    let (committed, error) = fill_up(log.as_mut());
    assert!(matches!(error, AppendError::StorageFull(_)), "{error:?}");
    drop(log);
    if let Err(error) = open(&data, &options()) {
        assert!(matches!(error, OpenError::StorageFull { .. }), "{error:?}");
        assert!(error.to_string().contains("free some space"), "{error}");
    }
    disk::remove_file(&filler).unwrap();
    check(&data, &options(), committed);
}
