//! A log whose oldest segments are dropped: a crash after any step leaves the old log or the new one, whole; and what
//! cannot be trusted any more is refused.

use std::io::Read;
use std::path::{Path, PathBuf};

use roaring::RoaringTreemap;

use super::{everything, fill, segments, small_segments};
use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::base::NewBase;
use crate::log::conformance::read_all;
use crate::log::{EventLog, LogReader, ReadError};
use crate::storage::base::{bases_of, carried_of, dir_of};
use crate::storage::check::check_stores;
use crate::storage::disk::{copy_dir, names_in};
use crate::storage::salvage::whole_part;
use crate::storage::{OfflineLog, OpenError, Opened, Options, open};

const EVENTS: u64 = 4000;

/// Drops all full segments but the last `kept`; carries each 50th event before. Gives the new earliest.
pub fn trim(log: &dyn EventLog, kept: usize) -> Seq {
    let trimmer = log.trimmer();
    let full = trimmer.extent().unwrap().full;
    let earliest = full[full.len() - 1 - kept].last.next();
    let carried: RoaringTreemap = (1..earliest.0).filter(|seq| seq % 50 == 0).collect();
    let state = &mut |out: &mut dyn std::io::Write| out.write_all(&vec![7; 300_000]);
    let jobs = &mut |out: &mut dyn std::io::Write| out.write_all(b"jobs");
    trimmer.trim(NewBase { earliest, carried: &carried, state, jobs }).unwrap();
    earliest
}

/// A closed log of many segments in a directory, and all its records.
fn closed(data: &Path) -> Vec<Record> {
    let mut opened = open(data, &small_segments()).unwrap();
    fill(opened.log.as_mut(), EVENTS);
    let written = everything(&opened);
    opened.log.close().unwrap();
    written
}

fn copy(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_dir(from, &copy.path().join("data")).unwrap();
    copy
}

/// That the log begins with `earliest` and is whole, with all that is carried, and nothing is left over.
fn is_whole(data: &Path, opened: &Opened, earliest: Seq, written: &[Record]) {
    let reader = opened.log.reader();
    assert_eq!(reader.earliest(), earliest);
    assert!(read_all(reader.as_ref(), Seq(earliest.0 - 1)) == written[earliest.0 as usize - 1..]);
    for seq in (50..earliest.0).step_by(50) {
        assert!(reader.carried(Seq(seq)).unwrap() == written[seq as usize - 1], "event {seq}");
    }
    let firsts: Vec<u64> = segments(data).iter().map(|name| name.parse().unwrap()).collect();
    assert_eq!(firsts[0], earliest.0, "{firsts:?}");
    let bases = names_in(&bases_of(&data.join("log"))).unwrap();
    assert_eq!(bases.len(), usize::from(earliest > Seq(1)), "{bases:?}");
    let carried = names_in(&carried_of(&data.join("log"))).unwrap();
    let listed = if earliest > Seq(1) { 1 } else { 0 };
    assert_eq!(carried.len(), listed, "{carried:?}");
}

/// Moves on from one directory to the next as a trim does, step by step; calls `crashed` with each that a crash may
/// leave, and says whether the new log counts there.
fn each_step(before: &Path, after: &Path, earliest: Seq, mut crashed: impl FnMut(&Path, &str, bool)) {
    let work = copy(before);
    let (data, log) = (work.path().join("data"), work.path().join("data/log"));
    let source = after.join("log");
    std::fs::create_dir_all(carried_of(&log)).unwrap();
    std::fs::write(carried_of(&log).join("carried.tmp"), b"half of a file").unwrap();
    crashed(&data, "while events are carried", false);
    std::fs::remove_file(carried_of(&log).join("carried.tmp")).unwrap();
    for name in names_in(&carried_of(&source)).unwrap() {
        std::fs::copy(carried_of(&source).join(&name), carried_of(&log).join(&name)).unwrap();
    }
    crashed(&data, "when all is carried", false);
    let half = bases_of(&log).join(format!("{:020}.tmp", earliest.0));
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("state"), b"half").unwrap();
    crashed(&data, "while the base is written", false);
    std::fs::remove_dir_all(&half).unwrap();
    copy_dir(&dir_of(&source, earliest), &dir_of(&log, earliest)).unwrap();
    crashed(&data, "when the base is there", false);
    let (old, new) = (std::fs::read(log.join("HEAD")).unwrap(), std::fs::read(source.join("HEAD")).unwrap());
    for slot in [0, 4096] {
        let mut half = old.clone();
        half[slot..slot + 128].copy_from_slice(&new[slot..slot + 128]);
        std::fs::write(log.join("HEAD"), half).unwrap();
        crashed(&data, "when one slot of HEAD names it", true);
    }
    std::fs::write(log.join("HEAD"), new).unwrap();
    crashed(&data, "when HEAD names it", true);
    let dropped: Vec<PathBuf> = segments(&data).iter().map(|name| log.join(name)).collect();
    for dir in dropped.iter().filter(|dir| !source.join(dir.file_name().unwrap()).exists()) {
        std::fs::remove_file(dir.join("db")).unwrap();
        crashed(&data, "while a segment is removed", true);
        std::fs::remove_dir_all(dir).unwrap();
        crashed(&data, "when a segment is gone", true);
    }
}

#[test]
fn a_crash_after_any_step_of_a_trim_leaves_the_old_log_or_the_new_one() {
    let before = tempfile::tempdir().unwrap();
    let written = closed(before.path());
    let after = copy(before.path());
    let after = after.path().join("data");
    let opened = open(&after, &small_segments()).unwrap();
    let earliest = trim(opened.log.as_ref(), 1);
    is_whole(&after, &opened, earliest, &written);
    drop(opened);
    let mut steps = 0;
    each_step(before.path(), &after, earliest, |crashed, step, is_new| {
        steps += 1;
        assert_eq!(check_stores(crashed).damaged, [], "{step}");
        let found = copy(crashed);
        let data = found.path().join("data");
        let mut opened = open(&data, &small_segments()).unwrap_or_else(|error| panic!("{step}: {error}"));
        is_whole(&data, &opened, if is_new { earliest } else { Seq(1) }, &written);
        assert_eq!(check_stores(&data).leftovers.len(), 0, "{step}");
        fill(opened.log.as_mut(), EVENTS + 50);
        opened.log.close().unwrap();
    });
    assert!(steps > 9, "{steps}");
}

#[test]
fn a_crash_while_less_is_carried_leaves_all_or_the_rest_and_never_a_part() {
    let before = tempfile::tempdir().unwrap();
    let written = closed(before.path());
    let opened = open(before.path(), &small_segments()).unwrap();
    let earliest = trim(opened.log.as_ref(), 1);
    opened.log.close().unwrap();
    drop(opened.lock);
    let after = copy(before.path());
    let after = after.path().join("data");
    let opened = open(&after, &small_segments()).unwrap();
    let unwanted: RoaringTreemap = [50, 150].into_iter().collect();
    opened.log.trimmer().drop_carried(&unwanted).unwrap();
    opened.log.trimmer().drop_carried(&unwanted).unwrap();
    let is_as_it_should = |opened: &Opened, is_less: bool, step: &str| {
        let reader = opened.log.reader();
        for seq in (50..earliest.0).step_by(50) {
            match reader.carried(Seq(seq)) {
                Ok(record) => {
                    assert!(record == written[seq as usize - 1] && !(is_less && unwanted.contains(seq)), "{step}")
                }
                Err(ReadError::Trimmed { .. }) => assert!(is_less && unwanted.contains(seq), "{step}: event {seq}"),
                Err(error) => panic!("{step}: {error}"),
            }
        }
    };
    is_as_it_should(&opened, true, "while it is open");
    opened.log.close().unwrap();
    drop(opened.lock);
    let (old, new) = (carried_of(&before.path().join("log")), carried_of(&after.join("log")));
    let (old_name, new_name) = (names_in(&old).unwrap().remove(0), names_in(&new).unwrap().remove(0));
    let manifest = |data: &Path| dir_of(&data.join("log"), earliest).join("MANIFEST");
    for step in 0..4 {
        let crashed = copy(before.path());
        let data = crashed.path().join("data");
        let carried = carried_of(&data.join("log"));
        match step {
            0 => std::fs::write(carried.join("carried.tmp"), b"half").unwrap(),
            _ => drop(std::fs::copy(new.join(&new_name), carried.join(&new_name)).unwrap()),
        }
        if step == 2 {
            std::fs::write(manifest(&data).with_file_name("MANIFEST.tmp"), b"half").unwrap();
        }
        if step == 3 {
            std::fs::copy(manifest(&after), manifest(&data)).unwrap();
        }
        let step = format!("step {step}");
        assert_eq!(check_stores(&data).damaged, [], "{step}");
        let opened = open(&data, &small_segments()).unwrap_or_else(|error| panic!("{step}: {error}"));
        is_as_it_should(&opened, step == "step 3", &step);
        let found = check_stores(&data);
        assert!(found.damaged.is_empty() && found.leftovers.is_empty(), "{step}: {found:?}");
        let kept = if step == "step 3" { &new_name } else { &old_name };
        assert_eq!(&names_in(&carried).unwrap(), std::slice::from_ref(kept), "{step}");
    }
}

#[test]
fn a_segment_that_was_dropped_gives_its_room_back_while_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let written = closed(dir.path());
    let mut opened = open(dir.path(), &small_segments()).unwrap();
    let before = opened.log.trimmer().extent().unwrap();
    let reader = opened.log.reader();
    reader.record(Seq(7)).unwrap();
    let earliest = trim(opened.log.as_ref(), 0);
    let after = opened.log.trimmer().extent().unwrap();
    assert!(after.bytes < before.bytes / 2 && after.full.is_empty(), "{before:?} {after:?}");
    assert!(after.base_bytes > 300_000);
    assert!(matches!(reader.record(Seq(7)), Err(ReadError::Trimmed { .. })), "also of a page that was read just now");
    fill(opened.log.as_mut(), EVENTS + 3000);
    let next = opened.log.reader();
    assert!(read_all(next.as_ref(), Seq(earliest.0 - 1))[..100] == written[earliest.0 as usize - 1..][..100]);
    opened.log.close().unwrap();
    drop(opened.lock);
    // And once more, on top of the first base.
    let opened = open(dir.path(), &small_segments()).unwrap();
    let second = trim(opened.log.as_ref(), 0);
    assert!(second > earliest);
    assert!(opened.log.reader().carried(Seq(50)).unwrap() == written[49]);
    assert_eq!(names_in(&bases_of(&dir.path().join("log"))).unwrap().len(), 1);
    assert_eq!(check_stores(dir.path()).damaged, []);
}

#[test]
fn readers_go_on_while_segments_are_dropped_under_them() {
    let dir = tempfile::tempdir().unwrap();
    let written = closed(dir.path());
    let opened = open(dir.path(), &small_segments()).unwrap();
    let reader = opened.log.reader();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let follower = std::thread::spawn(move || {
        let mut seq = 1;
        begun.send(()).unwrap();
        while seq <= EVENTS {
            match reader.record(Seq(seq)) {
                Ok(record) => assert!(record == written[seq as usize - 1]),
                Err(ReadError::Trimmed { earliest, .. }) => assert!(Seq(seq) < earliest),
                Err(error) => panic!("event {seq}: {error}"),
            }
            if seq.is_multiple_of(50) {
                assert!(reader.carried(Seq(seq)).unwrap() == written[seq as usize - 1]);
            }
            seq += 1;
        }
    });
    has_begun.recv().unwrap();
    for kept in [2, 1, 0] {
        trim(opened.log.as_ref(), kept);
    }
    follower.join().unwrap();
}

#[test]
fn a_base_that_is_damaged_or_missing_is_refused_and_nothing_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    let opened = open(dir.path(), &small_segments()).unwrap();
    let earliest = trim(opened.log.as_ref(), 1);
    opened.log.close().unwrap();
    drop(opened.lock);
    let log = dir.path().join("log");
    std::fs::create_dir(log.join(format!("{:020}", 1))).unwrap();
    let carried = carried_of(&log).join(&names_in(&carried_of(&log)).unwrap()[0]);
    for path in [dir_of(&log, earliest).join("MANIFEST"), dir_of(&log, earliest).join("state"), carried] {
        let whole = std::fs::read(&path).unwrap();
        for found in [&whole[..whole.len() - 9], &[]] {
            std::fs::write(&path, found).unwrap();
            for accept_data_loss in [false, true] {
                let error = open(dir.path(), &Options { accept_data_loss, ..small_segments() }).unwrap_err();
                assert!(matches!(error, OpenError::BaseDamaged { .. }), "{error}");
                assert!(error.to_string().contains("daybook restore"), "{error}");
            }
            assert!(segments(dir.path())[0].ends_with("01"), "what a refused start found stays");
        }
        std::fs::write(&path, whole).unwrap();
    }
    open(dir.path(), &small_segments()).unwrap();
    assert!(!segments(dir.path())[0].ends_with("01"));
}

#[test]
fn a_log_with_a_base_whose_segments_are_damaged_is_rebuilt_on_top_of_its_base() {
    let dir = tempfile::tempdir().unwrap();
    let written = closed(dir.path());
    let opened = open(dir.path(), &small_segments()).unwrap();
    let earliest = trim(opened.log.as_ref(), 1);
    opened.log.close().unwrap();
    drop(opened.lock);
    let options = Options { accept_data_loss: true, ..small_segments() };
    // First the last segment is lost, then the first: nothing but the base is left.
    for (place, expected) in [(1, segments(dir.path())[1].parse().unwrap()), (0, earliest.0)] {
        std::fs::remove_dir_all(dir.path().join("log").join(&segments(dir.path())[place])).unwrap();
        open(dir.path(), &small_segments()).unwrap_err();
        let whole = whole_part(&dir.path().join("log")).unwrap().unwrap();
        assert_eq!((whole.earliest, whole.last.0), (earliest, expected - 1));
        let opened = open(dir.path(), &options).unwrap();
        assert!(opened.damaged_log.is_some());
        let reader = opened.log.reader();
        assert_eq!((reader.earliest(), reader.last()), (earliest, Seq(expected - 1)));
        assert!(reader.carried(Seq(50)).unwrap() == written[49]);
        assert!(reader.base().is_some());
        opened.log.close().unwrap();
    }
}

#[test]
fn a_stopped_servers_log_is_read_with_its_base_and_what_it_carries() {
    let dir = tempfile::tempdir().unwrap();
    let written = closed(dir.path());
    let mut opened = open(dir.path(), &small_segments()).unwrap();
    let first = trim(opened.log.as_ref(), 1);
    let rolled = opened.log.roll().unwrap();
    opened.log.close().unwrap();
    drop(opened.lock);
    for earliest in [first, rolled] {
        let log = OfflineLog::open(dir.path()).unwrap();
        assert_eq!((log.earliest(), log.last()), (earliest, Seq(EVENTS)));
        assert!(read_all(&log, Seq(earliest.0 - 1)) == written[earliest.0 as usize - 1..]);
        for seq in (50..earliest.0).step_by(50) {
            assert!(log.carried(Seq(seq)).unwrap() == written[seq as usize - 1], "event {seq}");
        }
        assert!(matches!(log.carried(Seq(7)), Err(ReadError::Trimmed { .. })));
        let mut state = Vec::new();
        log.base().unwrap().state().unwrap().read_to_end(&mut state).unwrap();
        assert_eq!(state.len(), 300_000);
        drop(log);
        let opened = open(dir.path(), &small_segments()).unwrap();
        if opened.log.reader().earliest() == first {
            trim(opened.log.as_ref(), 0);
        }
        opened.log.close().unwrap();
    }
}
