//! Kills and power cuts: what was answered is there, and nothing but whole groups behind it.

use std::path::Path;

use crate::domain::id::Seq;
use crate::storage::check::check_stores;
use crate::storage::open;
use crate::storage::tests::child::{Writer, check, child_options};
use crate::storage::tests::mounts::{Mount, make_image, shows_instead};
use crate::storage::tests::syncs;

const IMAGE_BYTES: u64 = 160 * 1024 * 1024;

/// Numbers that look random and are the same in every run.
fn chance(round: usize) -> usize {
    (round * 2_654_435_761 % 4_294_967_296) >> 8
}

#[test]
fn what_was_committed_survives_a_kill() {
    survive_kills(5, Writer::start);
}

#[test]
fn what_was_committed_survives_a_kill_while_segments_are_dropped() {
    assert!(survive_kills(5, Writer::start_trimming), "some were");
}

#[test]
#[ignore = "takes minutes"]
fn what_was_committed_survives_a_hundred_kills() {
    survive_kills(100, Writer::start);
    survive_kills(100, Writer::start_trimming);
}

/// When a log has this many events the next round begins a new one: every round reads all of it.
const EVENTS_MAX: u64 = 30_000;

/// Says whether the log began behind its first event once.
fn survive_kills(rounds: usize, start: fn(&Path) -> Writer) -> bool {
    let mut was_trimmed = false;
    let mut dir = tempfile::tempdir().unwrap();
    for round in 0..rounds {
        let mut writer = start(dir.path());
        writer.wait_for(1 + chance(round) % 60);
        let committed = writer.kill();
        assert_eq!(check_stores(dir.path()).damaged, [], "kill {round} damages nothing");
        let opened = open(dir.path(), &child_options()).unwrap();
        let written = check(&opened, committed, &format!("kill {round}"));
        was_trimmed |= opened.log.reader().earliest() > Seq(1);
        if round % 2 == 0 {
            opened.log.close().unwrap();
        }
        if written > EVENTS_MAX {
            dir = tempfile::tempdir().unwrap();
        }
    }
    was_trimmed
}

#[test]
fn what_was_committed_survives_a_power_cut() {
    survive_power_cuts(3, Writer::start);
}

#[test]
fn what_was_committed_survives_a_power_cut_while_segments_are_dropped() {
    survive_power_cuts(3, Writer::start_trimming);
}

#[test]
#[ignore = "takes minutes"]
fn what_was_committed_survives_forty_power_cuts() {
    survive_power_cuts(40, Writer::start);
    survive_power_cuts(40, Writer::start_trimming);
}

/// A child writes to a file system in an image; it is frozen, and the image is copied as a disk would be found after
/// the power was cut: with all that was synced, and little else. The copy is the next round's disk. Where nothing can be
/// mounted, it is shown at least that all was synced before it was answered.
fn survive_power_cuts(rounds: usize, start: fn(&Path) -> Writer) {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, mut next) = (dir.path().join("disk"), dir.path().join("next"));
    if !make_image(&disk, IMAGE_BYTES) {
        return fall_back(rounds);
    }
    let mut written = 0;
    for round in 0..rounds {
        let Some(mount) = Mount::image(&disk) else { return fall_back(rounds) };
        let mut writer = start(&mount.path().join("data"));
        writer.wait_for(5 + chance(round) % 70);
        writer.freeze();
        copy_sparse(&disk, &next);
        let committed = writer.kill();
        drop(mount);

        let mount = Mount::image(&next).expect("what could be mounted once can be mounted again");
        assert_eq!(check_stores(&mount.path().join("data")).damaged, [], "power cut {round} damages nothing");
        let opened = open(&mount.path().join("data"), &child_options()).unwrap();
        written = check(&opened, committed.max(written), &format!("power cut {round}"));
        drop(opened);
        drop(mount);
        std::mem::swap(&mut disk, &mut next);
        if written > EVENTS_MAX {
            assert!(make_image(&disk, IMAGE_BYTES));
            written = 0;
        }
    }
}

/// Where nothing can be mounted.
fn fall_back(rounds: usize) {
    shows_instead("each commit is synced before it is answered, payloads first");
    syncs::every_promise_is_kept(rounds * 20);
}

fn copy_sparse(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("--sparse=always").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}
