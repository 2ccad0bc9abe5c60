//! The log of a stopped server, read without sled and without a copy: the same records, and not a byte changed.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

use super::*;
use crate::log::LogReader;
use crate::log::chain::PAGE_MAGIC;
use crate::storage::OfflineLog;
use crate::storage::beginning::Beginning;
use crate::storage::open::explain;

const EVENTS: u64 = 1700;

/// A closed log with sealed segments and an active one, and what it holds.
fn filled() -> (tempfile::TempDir, Vec<Record>) {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &small_segments()).unwrap();
    fill(opened.log.as_mut(), EVENTS);
    let all = everything(&opened);
    opened.log.close().unwrap();
    assert!(segments(dir.path()).len() >= 2);
    (dir, all)
}

/// Every file below a directory, with its bytes.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = disk::names_in(dir).unwrap().into_iter().map(|name| dir.join(name));
    let files = paths.flat_map(|path| match path.is_dir() {
        true => contents(&path).into_iter().collect(),
        false => vec![(path.clone(), std::fs::read(&path).unwrap())],
    });
    files.collect()
}

fn all_of(data: &Path) -> Vec<Record> {
    read_all(&OfflineLog::open(data).unwrap(), Seq::ZERO)
}

fn flip(path: &Path, at: u64) {
    let file = disk::open_file(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn a_log_is_read_as_the_server_read_it_and_nothing_is_changed() {
    let (dir, all) = filled();
    let before = contents(dir.path());
    let log = OfflineLog::open(dir.path()).unwrap();
    assert_eq!((log.earliest(), log.last()), (Seq(1), Seq(EVENTS)));
    assert_eq!(read_all(&log, Seq::ZERO), all);
    for seq in [1, 97, 800, EVENTS] {
        assert_eq!(log.record(Seq(seq)).unwrap(), all[seq as usize - 1]);
    }
    assert!(matches!(log.record(Seq(EVENTS + 1)), Err(ReadError::PastHead { last: Seq(EVENTS), .. })));
    assert!(log.page_after(Seq(EVENTS)).unwrap().is_empty());
    drop(log);
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn a_log_whose_server_was_killed_is_read_up_to_its_last_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), &small_segments()).unwrap();
    fill(opened.log.as_mut(), 700);
    let all = everything(&opened);
    drop(opened);
    assert_eq!(all_of(dir.path()), all);
    // The same with segments that the sealer did not get to.
    for segment in segments(dir.path()) {
        let _ = std::fs::remove_file(dir.path().join("log").join(segment).join("SEALED"));
    }
    assert_eq!(all_of(dir.path()), all);
}

#[test]
fn an_empty_log_has_nothing_to_read() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), &options()).unwrap().log.close().unwrap();
    assert!(all_of(dir.path()).is_empty());
}

#[test]
fn a_directory_that_a_server_has_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _opened = open(dir.path(), &options()).unwrap();
    let Err(error) = OfflineLog::open(dir.path()) else { panic!("it was opened") };
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
}

#[test]
fn damage_is_told_with_its_place_and_the_next_step() {
    let (dir, _) = filled();
    let log_dir = dir.path().join("log");
    let first = log_dir.join(&segments(dir.path())[0]);
    // A byte of a page in a sealed segment.
    let database = file_of(&first);
    let whole = std::fs::read(&database).unwrap();
    std::fs::write(&database, &whole[..whole.len() - 1]).unwrap();
    let Err(error) = OfflineLog::open(dir.path()) else { panic!("it was opened") };
    assert!(error.is_damage() && error.to_string().contains("daybook verify"), "{error}");
    std::fs::write(&database, &whole).unwrap();
    for at in memchr::memmem::find_iter(&whole, &PAGE_MAGIC) {
        flip(&database, at as u64 + 200);
    }
    let log = OfflineLog::open(dir.path()).unwrap();
    let damaged = log.page_after(Seq::ZERO).unwrap_err();
    assert!(log.record(Seq(1)).is_err() && log.record(Seq(EVENTS)).is_ok());
    drop(log);
    std::fs::write(&database, &whole).unwrap();
    let damaged = explain(&damaged);
    assert!(
        damaged.contains("segment") && damaged.contains("event") && damaged.contains("daybook verify"),
        "{damaged}"
    );

    // What HEAD promises is not there.
    let last = file_of(&active(dir.path()));
    let whole = std::fs::read(&last).unwrap();
    std::fs::write(&last, vec![0; whole.len()]).unwrap();
    let Err(error) = OfflineLog::open(dir.path()) else { panic!("it was opened") };
    assert!(error.is_damage() && error.to_string().contains("event"), "{error}");
    std::fs::write(&last, whole).unwrap();

    std::fs::write(log_dir.join("HEAD"), b"").unwrap();
    let Err(error) = OfflineLog::open(dir.path()) else { panic!("it was opened") };
    assert!(matches!(error, OpenError::HeadDamaged { .. }), "{error}");
}

#[test]
fn a_log_that_has_a_base_and_no_event_yet_is_opened_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let beginning = Beginning::of_empty(dir.path()).unwrap().expect("there is no log");
    beginning.finish(Seq(5), &mut &b"a state"[..], &mut &b"jobs"[..]).unwrap();
    for _ in 0..3 {
        let opened = open(dir.path(), &Options::default()).unwrap();
        assert_eq!((opened.log.reader().earliest(), opened.log.last()), (Seq(5), Seq(4)));
        opened.log.close().unwrap();
        drop(opened.lock);
        let log = OfflineLog::open(dir.path()).unwrap();
        assert_eq!((log.earliest(), log.last()), (Seq(5), Seq(4)));
        assert_eq!(crate::storage::check::check_stores(dir.path()).damaged, []);
    }
}
