//! One suite for every event log: what the port promises, as tests. An implementation gives a [`Subject`] and calls
//! [`conforms`].

use std::io::Read;
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::domain::event::{Actor, Event, JobCheckpointed, Record};
use crate::domain::id::Seq;
use crate::domain::json::Json;
use crate::domain::time::Timestamp;
use crate::log::base::NewBase;
use crate::log::codec::{BODY_INLINE_BYTES_MAX, samples};
use crate::log::{AppendError, EventLog, LogReader, ReadError};

/// A place where a log can be opened, closed and opened again.
pub trait Subject {
    /// Opens the log. The one before was closed or dropped.
    fn open(&mut self) -> Box<dyn EventLog>;

    /// From now on records with a big body cannot be written.
    fn break_writes(&mut self);
}

/// Runs the suite; `subject` makes an empty log for each part of it.
pub fn conforms(mut subject: impl FnMut() -> Box<dyn Subject>) {
    for part in [
        an_empty_log_has_nothing_to_read,
        what_was_committed_is_read_as_it_was_written,
        submissions_become_durable_in_order,
        a_group_of_several_commits_is_seen_as_a_whole,
        reading_beyond_the_ends_is_an_error_that_names_them,
        what_was_written_is_there_after_closing_and_opening,
        what_was_committed_is_there_after_it_was_dropped,
        big_and_small_records_are_read_alike,
        after_an_error_the_log_takes_nothing_more,
        readers_on_other_threads_see_only_whole_groups,
        what_was_dropped_is_trimmed_and_what_is_carried_can_be_read,
        bases_follow_each_other,
        the_log_goes_on_while_it_is_trimmed,
        a_log_that_was_rolled_can_be_dropped_up_to_its_end,
    ] {
        part(subject().as_mut());
    }
}

/// A record with a body of about `bytes`.
pub fn record(seq: u64, bytes: usize, continues: bool) -> Record {
    let data = Json::from_checked(format!("\"{}\"", "x".repeat(bytes)));
    Record {
        seq: Seq(seq),
        at: Timestamp::from_ms(1_790_000_000_000 + seq as i64),
        previous: (seq > 1).then(|| Seq(seq - 1)),
        actor: Actor::SERVER,
        continues,
        event: Event::from(JobCheckpointed { job: samples::job(seq), data }),
    }
}

/// Small records, each a group of its own.
pub fn records(seqs: std::ops::RangeInclusive<u64>) -> Arc<[Record]> {
    seqs.map(|seq| record(seq, 100 + seq as usize % 200, false)).collect()
}

/// Small records that are one group.
pub fn group(seqs: std::ops::RangeInclusive<u64>) -> Arc<[Record]> {
    let last = *seqs.end();
    seqs.map(|seq| record(seq, 200, seq < last)).collect()
}

/// Submits and waits until it is durable.
pub fn append(log: &mut dyn EventLog, records: Arc<[Record]>) {
    let last = records[records.len() - 1].seq;
    log.submit(records).unwrap();
    assert_eq!(log.committed().unwrap(), last);
}

/// All records after a seq, piece by piece.
pub fn read_all(reader: &dyn LogReader, mut after: Seq) -> Vec<Record> {
    let mut all = Vec::new();
    loop {
        let piece = reader.page_after(after).unwrap();
        let Some(last) = piece.last() else { return all };
        after = last.seq;
        all.extend(piece);
    }
}

fn an_empty_log_has_nothing_to_read(subject: &mut dyn Subject) {
    let mut log = subject.open();
    let reader = log.reader();
    assert_eq!((log.last(), reader.last(), reader.earliest()), (Seq::ZERO, Seq::ZERO, Seq(1)));
    assert_eq!(log.committed().unwrap(), Seq::ZERO, "nothing is in flight");
    assert!(log.in_flight_max() >= 1);
    assert!(reader.page_after(Seq::ZERO).unwrap().is_empty());
    assert!(matches!(reader.record(Seq(1)), Err(ReadError::PastHead { seq: Seq(1), last: Seq::ZERO })));
    log.close().unwrap();
}

fn what_was_committed_is_read_as_it_was_written(subject: &mut dyn Subject) {
    let mut log = subject.open();
    let written = samples::one_of_each();
    let whole = written.iter().rposition(|record| !record.continues).unwrap() + 1;
    append(log.as_mut(), written[..whole].into());
    let reader = log.reader();
    assert_eq!(read_all(reader.as_ref(), Seq::ZERO), written[..whole]);
    for record in &written[..whole] {
        assert_eq!(reader.record(record.seq).unwrap(), *record);
    }
    log.close().unwrap();
}

fn submissions_become_durable_in_order(subject: &mut dyn Subject) {
    let mut log = subject.open();
    let mut next = 1;
    for _ in 0..20 {
        let mut lasts = Vec::new();
        for _ in 0..log.in_flight_max() {
            log.submit(records(next..=next + 2)).unwrap();
            next += 3;
            lasts.push(Seq(next - 1));
        }
        for last in lasts {
            assert_eq!(log.committed().unwrap(), last);
            assert!(log.last() >= last, "what is committed is durable");
        }
    }
    assert_eq!(log.committed().unwrap(), Seq(next - 1), "nothing is in flight");
    assert_eq!(read_all(log.reader().as_ref(), Seq::ZERO).len() as u64, next - 1);
    log.close().unwrap();
}

fn a_group_of_several_commits_is_seen_as_a_whole(subject: &mut dyn Subject) {
    let mut log = subject.open();
    append(log.as_mut(), group(1..=3));
    append(log.as_mut(), group(4..=1500));
    append(log.as_mut(), records(1501..=1502));
    let all = read_all(log.reader().as_ref(), Seq::ZERO);
    assert_eq!(all, [group(1..=3), group(4..=1500), records(1501..=1502)].concat());
    log.close().unwrap();
}

fn reading_beyond_the_ends_is_an_error_that_names_them(subject: &mut dyn Subject) {
    let mut log = subject.open();
    append(log.as_mut(), records(1..=5));
    let reader = log.reader();
    assert!(matches!(reader.record(Seq(6)), Err(ReadError::PastHead { seq: Seq(6), last: Seq(5) })));
    assert!(matches!(reader.record(Seq::ZERO), Err(ReadError::Trimmed { seq: Seq::ZERO, earliest: Seq(1) })));
    assert!(reader.page_after(Seq(5)).unwrap().is_empty());
    assert!(reader.page_after(Seq(99)).unwrap().is_empty());
    assert_eq!(reader.page_after(Seq(4)).unwrap()[0].seq, Seq(5));
    log.close().unwrap();
}

fn what_was_written_is_there_after_closing_and_opening(subject: &mut dyn Subject) {
    let mut next = 1;
    for round in 1..=4 {
        let mut log = subject.open();
        assert_eq!(log.last(), Seq(next - 1));
        append(log.as_mut(), records(next..=next + 10 * round));
        next += 10 * round + 1;
        // What is still in flight is made durable by closing.
        log.submit(records(next..=next)).unwrap();
        next += 1;
        log.close().unwrap();
    }
    let log = subject.open();
    assert_eq!(read_all(log.reader().as_ref(), Seq::ZERO), *records(1..=next - 1));
    log.close().unwrap();
}

fn what_was_committed_is_there_after_it_was_dropped(subject: &mut dyn Subject) {
    let mut log = subject.open();
    append(log.as_mut(), records(1..=7));
    drop(log);
    let mut log = subject.open();
    assert_eq!(read_all(log.reader().as_ref(), Seq(3)), *records(4..=7));
    append(log.as_mut(), records(8..=9));
    assert_eq!(read_all(log.reader().as_ref(), Seq(3)), *records(4..=9));
    log.close().unwrap();
}

fn big_and_small_records_are_read_alike(subject: &mut dyn Subject) {
    let sizes = [10, BODY_INLINE_BYTES_MAX + 1, 300, 3_000_000, 3_000_000, BODY_INLINE_BYTES_MAX - 100, 20];
    let written: Vec<Record> = sizes.iter().zip(1..).map(|(bytes, seq)| record(seq, *bytes, seq % 3 == 1)).collect();
    let written: Arc<[Record]> = written[..6].into();
    let mut log = subject.open();
    append(log.as_mut(), written.clone());
    assert_eq!(read_all(log.reader().as_ref(), Seq::ZERO), *written);
    log.close().unwrap();
    let log = subject.open();
    let reader = log.reader();
    assert_eq!(read_all(reader.as_ref(), Seq::ZERO), *written);
    assert_eq!(reader.record(Seq(4)).unwrap(), written[3]);
    assert!(!reader.page_after(Seq(3)).unwrap().is_empty(), "there is always one, however big");
    log.close().unwrap();
}

fn after_an_error_the_log_takes_nothing_more(subject: &mut dyn Subject) {
    let mut log = subject.open();
    append(log.as_mut(), records(1..=3));
    subject.break_writes();
    let big = record(4, BODY_INLINE_BYTES_MAX + 1, false);
    let outcome = log.submit([big].into()).and_then(|()| log.committed());
    assert!(matches!(outcome, Err(AppendError::Failed { .. })));
    assert!(matches!(log.submit(records(4..=4)), Err(AppendError::Halted)));
    assert!(matches!(log.committed(), Err(AppendError::Halted)));
    assert_eq!(log.last(), Seq(3));
    assert_eq!(read_all(log.reader().as_ref(), Seq::ZERO), *records(1..=3), "what is durable can still be read");
    assert!(matches!(log.close(), Err(AppendError::Halted)));
}

fn readers_on_other_threads_see_only_whole_groups(subject: &mut dyn Subject) {
    const GROUP: u64 = 40;
    const GROUPS: u64 = 60;
    let mut log = subject.open();
    let reader = log.reader();
    let follower = std::thread::spawn(move || {
        let mut seen = 0;
        while seen < GROUP * GROUPS {
            let last = reader.last().0;
            assert_eq!(last % GROUP, 0, "the durable end is the end of a group");
            let piece = reader.page_after(Seq(seen)).unwrap();
            assert!(piece.iter().zip(seen + 1..).all(|(record, seq)| record.seq.0 == seq));
            seen += piece.len() as u64;
            std::thread::yield_now();
        }
    });
    for number in 0..GROUPS {
        append(log.as_mut(), group(number * GROUP + 1..=(number + 1) * GROUP));
    }
    follower.join().unwrap();
    log.close().unwrap();
}

/// Opens the log with many submissions in it, some of them big; all but the last are full when it can be opened anew.
fn with_many_segments(subject: &mut dyn Subject, lasts: std::ops::RangeInclusive<u64>) -> Box<dyn EventLog> {
    let mut log = subject.open();
    for seq in lasts {
        let bytes = if seq.is_multiple_of(5) { BODY_INLINE_BYTES_MAX + 100 } else { 200 };
        append(log.as_mut(), [record(seq, bytes, false)].into());
    }
    log.close().unwrap();
    subject.open()
}

/// Drops everything before `earliest`; says whether it could, because segments are as big as a log likes.
fn trim(log: &dyn EventLog, earliest: u64, carried: &[u64]) -> bool {
    let trimmer = log.trimmer();
    let extent = trimmer.extent().unwrap();
    if !extent.full.iter().any(|segment| segment.last.0 + 1 == earliest) {
        return false;
    }
    assert_eq!(extent.full[0].first, log.reader().earliest(), "the full segments begin with the oldest");
    assert!(extent.full.windows(2).all(|pair| pair[0].last.next() == pair[1].first), "and leave no hole");
    assert!(extent.bytes >= extent.full.iter().map(|segment| segment.bytes).sum());
    let carried: RoaringTreemap = carried.iter().copied().collect();
    let state = &mut |out: &mut dyn std::io::Write| write!(out, "the state before {earliest}");
    let jobs = &mut |out: &mut dyn std::io::Write| write!(out, "the jobs before {earliest}");
    trimmer.trim(NewBase { earliest: Seq(earliest), carried: &carried, state, jobs }).unwrap();
    true
}

fn has_base(reader: &dyn LogReader, earliest: u64) {
    let base = reader.base().unwrap();
    let text = |part: std::io::Result<Box<dyn Read + Send>>| std::io::read_to_string(part.unwrap()).unwrap();
    assert_eq!((reader.earliest(), base.seq()), (Seq(earliest), Seq(earliest - 1)));
    assert_eq!(text(base.state()), format!("the state before {earliest}"));
    assert_eq!(text(base.jobs()), format!("the jobs before {earliest}"));
}

fn expected(seq: u64) -> Record {
    record(seq, if seq.is_multiple_of(5) { BODY_INLINE_BYTES_MAX + 100 } else { 200 }, false)
}

fn is_trimmed(outcome: Result<impl Sized, ReadError>, seq: u64, earliest: u64) {
    let as_expected = |error: &ReadError| matches!(error, ReadError::Trimmed { seq: at, earliest: first } if (at.0, first.0) == (seq, earliest));
    assert!(outcome.is_err_and(|error| as_expected(&error)), "event {seq} is trimmed");
}

fn what_was_dropped_is_trimmed_and_what_is_carried_can_be_read(subject: &mut dyn Subject) {
    let log = with_many_segments(subject, 1..=12);
    assert!(log.reader().base().is_none());
    if !trim(log.as_ref(), 8, &[2, 5, 7]) {
        return log.close().unwrap();
    }
    let check = |log: &dyn EventLog| {
        let reader = log.reader();
        has_base(reader.as_ref(), 8);
        is_trimmed(reader.record(Seq(7)), 7, 8);
        is_trimmed(reader.page_after(Seq::ZERO), 1, 8);
        is_trimmed(reader.page_after(Seq(6)), 7, 8);
        is_trimmed(reader.carried(Seq(3)), 3, 8);
        [2, 5, 7, 8, 10].into_iter().for_each(|seq| assert_eq!(reader.carried(Seq(seq)).unwrap(), expected(seq)));
        assert_eq!(read_all(reader.as_ref(), Seq(7)), (8..=12).map(expected).collect::<Vec<_>>());
        assert_eq!(log.last(), Seq(12));
    };
    check(log.as_ref());
    log.close().unwrap();
    let log = subject.open();
    check(log.as_ref());
    drop(log);
    let mut log = subject.open();
    check(log.as_ref());
    append(log.as_mut(), [expected(13)].into());
    assert_eq!(read_all(log.reader().as_ref(), Seq(11)), [expected(12), expected(13)]);
    log.close().unwrap();
}

fn bases_follow_each_other(subject: &mut dyn Subject) {
    let mut log = with_many_segments(subject, 1..=20);
    let before = log.reader();
    let held = trim(log.as_ref(), 6, &[1, 3, 5]).then(|| before.base().unwrap());
    let Some(held) = held else { return log.close().unwrap() };
    assert!(trim(log.as_ref(), 11, &[1, 5, 9, 10]));
    assert_eq!(std::io::read_to_string(held.state().unwrap()).unwrap(), "the state before 6", "who holds it has it");
    for round in 0..2 {
        let reader = log.reader();
        has_base(reader.as_ref(), 11);
        [1, 5, 9, 10].into_iter().for_each(|seq| assert_eq!(reader.carried(Seq(seq)).unwrap(), expected(seq)));
        [2, 3, 6].into_iter().for_each(|seq| is_trimmed(reader.carried(Seq(seq)), seq, 11));
        log.close().unwrap();
        log = subject.open();
        assert!(round > 0 || trim(log.as_ref(), 11, &[]) || log.reader().earliest() == Seq(11));
    }
    assert!(trim(log.as_ref(), 19, &[]));
    has_base(log.reader().as_ref(), 19);
    is_trimmed(log.reader().carried(Seq(1)), 1, 19);
    log.close().unwrap();
}

fn the_log_goes_on_while_it_is_trimmed(subject: &mut dyn Subject) {
    let mut log = with_many_segments(subject, 1..=10);
    append(log.as_mut(), [expected(11)].into());
    log.submit([expected(12)].into()).unwrap();
    trim(log.as_ref(), 5, &[4]);
    assert_eq!(log.committed().unwrap(), Seq(12));
    append(log.as_mut(), [expected(13)].into());
    trim(log.as_ref(), 9, &[]);
    let earliest = log.reader().earliest();
    log.close().unwrap();
    let log = subject.open();
    assert_eq!((log.reader().earliest(), log.last()), (earliest, Seq(13)));
    log.close().unwrap();
}

fn a_log_that_was_rolled_can_be_dropped_up_to_its_end(subject: &mut dyn Subject) {
    let mut log = subject.open();
    assert_eq!(log.roll().unwrap(), Seq(1), "there is nothing to end");
    append(log.as_mut(), (1..=7).map(expected).collect());
    assert_eq!(log.trimmer().extent().unwrap().open, Seq(1));
    assert_eq!(log.roll().unwrap(), Seq(8));
    assert_eq!(log.roll().unwrap(), Seq(8), "once is enough");
    assert_eq!(log.trimmer().extent().unwrap().open, Seq(8));
    log.close().unwrap();
    let log = subject.open();
    assert_eq!(log.trimmer().extent().unwrap().full.last().map(|segment| segment.last), Some(Seq(7)));
    assert!(trim(log.as_ref(), 8, &[3]));
    assert_eq!((log.reader().earliest(), log.last()), (Seq(8), Seq(7)));
    assert!(log.reader().page_after(Seq(7)).unwrap().is_empty());
    drop(log);
    let mut log = subject.open();
    has_base(log.reader().as_ref(), 8);
    assert_eq!(log.last(), Seq(7));
    append(log.as_mut(), [expected(8)].into());
    assert_eq!(read_all(log.reader().as_ref(), Seq(7)), [expected(8)]);
    assert_eq!(log.roll().unwrap(), Seq(9));
    append(log.as_mut(), [expected(9)].into());
    assert_eq!(log.reader().carried(Seq(3)).unwrap(), expected(3));
    log.close().unwrap();
}
