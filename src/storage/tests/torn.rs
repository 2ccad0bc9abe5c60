//! Groups whose end was never written: they are gone after the next start, and their numbers are free again (L2).

use std::path::Path;
use std::sync::Arc;

use crate::domain::event::Record;
use crate::log::chain::ChainEnd;
use crate::log::commit::{Commit, commits_of};
use crate::log::conformance::{append, group, record, records};
use crate::storage::head::HeadFile;
use crate::storage::open;
use crate::storage::segment::Segment;
use crate::storage::tests::{active, everything, options};
use crate::storage::verify::verify;

/// A log with 10 events, and behind them what a killed server had made durable of one more submission.
fn torn_log(data: &Path, records: &[Record], commits: usize) {
    let mut opened = open(data, &options()).unwrap();
    append(opened.log.as_mut(), group(1..=10));
    drop(opened);
    let lineage = HeadFile::open(&data.join("log/HEAD")).unwrap().unwrap().1.lineage;
    let segment = Segment::open(&active(data), 1 << 20).unwrap();
    let mut end = verify(&segment, ChainEnd::start(lineage), None).unwrap().end;
    let written: Vec<Commit> = commits_of(records, &mut end).unwrap();
    assert!(written.len() > commits, "the submission has more commits than were written");
    written[..commits].iter().for_each(|commit| segment.append(&commit.pages).unwrap());
}

fn check(data: &Path, kept: &[Record], torn: u64) {
    let mut opened = open(data, &options()).unwrap();
    assert_eq!(opened.torn_events, torn);
    assert!(!opened.clean_shutdown);
    assert!(everything(&opened) == kept);
    let next = kept.len() as u64 + 1;
    append(opened.log.as_mut(), records(next..=next + 5));
    let written = everything(&opened);
    drop(opened);
    let opened = open(data, &options()).unwrap();
    assert_eq!(opened.torn_events, 0);
    assert!(everything(&opened) == written);
}

#[test]
fn a_group_without_its_end_is_gone_after_the_start() {
    let dir = tempfile::tempdir().unwrap();
    torn_log(dir.path(), &group(11..=900), 2);
    check(dir.path(), &group(1..=10), 512);
}

#[test]
fn whole_groups_of_the_same_submission_stay() {
    let dir = tempfile::tempdir().unwrap();
    // The torn group begins in the middle of a page.
    let submission: Arc<[Record]> = (11..=900).map(|seq| record(seq, 200, seq > 240 && seq < 900)).collect();
    torn_log(dir.path(), &submission, 2);
    let kept = [group(1..=10).to_vec(), submission[..230].to_vec()].concat();
    check(dir.path(), &kept, 512 - 230);
}

#[test]
fn a_torn_group_that_begins_a_page_takes_the_page_with_it() {
    let dir = tempfile::tempdir().unwrap();
    // 256 events are a commit: the group begins with the second.
    let submission: Arc<[Record]> = (11..=900).map(|seq| record(seq, 200, seq > 266 && seq < 900)).collect();
    torn_log(dir.path(), &submission, 3);
    let kept = [group(1..=10).to_vec(), submission[..256].to_vec()].concat();
    check(dir.path(), &kept, 512);
}
