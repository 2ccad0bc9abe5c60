//! What each version wrote can be read, and what is written is read the same.

use super::mirrors::{GlobalsV1, StubV2, StubV3, encode};
use super::*;
use std::path::PathBuf;

use crate::domain::event::Actor;
use crate::domain::id::{FinishOrdinal, JobId, Seq};
use crate::domain::job::{Job, JobState, Reason};
use crate::domain::queue::{Pause, Queue};
use crate::domain::state::{State, Stub};
use crate::log::job_samples::{plain_job, rich_job};

/// A writer as it was before version 4, behind the head.
fn old_writer<W: Write>(out: W) -> FrameWriter<W> {
    FrameWriter::bare(out)
}

#[test]
fn a_snapshot_of_version_1_is_read_with_its_pauses() {
    let pause = Pause { at: Timestamp::from_ms(5), by: Actor::CLIENT };
    let queue = |name: &str| name.parse::<QueueName>().expect("a name");
    let old = GlobalsV1 {
        seq: Seq(7),
        at: Timestamp::from_ms(9),
        epochs: Vec::new(),
        last_ordinal: Ordinal(3),
        last_finish: FinishOrdinal(2),
        queues: [(queue("open"), None), (queue("shut"), Some(pause.clone()))].into(),
        workers: BTreeMap::new(),
    };
    let mut bytes = [MAGIC.as_slice(), &1_u16.to_le_bytes()].concat();
    let body = encode(&old).expect("writes");
    old_writer(&mut bytes).frame(Tag::Globals, Ordinal(0), None, &body).expect("writes");
    let (_, globals) = FrameReader::new(&bytes[..]).expect("reads");
    assert_eq!((globals.seq, globals.last_ordinal), (Seq(7), Ordinal(3)));
    assert_eq!(globals.queues[&queue("open")], Queue::default());
    assert_eq!(globals.queues[&queue("shut")], Queue { pause: Some(pause), ..Queue::default() });
}

#[test]
fn a_stub_of_version_2_is_read_and_copied_as_one_that_was_not_purged() {
    let name = |text: &str| text.parse().expect("a name");
    let old = StubV2 {
        id: JobId::new(Timestamp::from_ms(1), Ordinal(7), 3),
        seq: Seq(20),
        after: Some((Seq(22), 2)),
        state: StateName::Failed,
        reason: Some(Reason::Timeout),
        kind: "resize".parse().expect("a name"),
        queue: name("default"),
        tags: None,
        relations: None,
        finished_at: Timestamp::from_ms(9),
        finish_ordinal: FinishOrdinal(4),
        last_run: None,
        items_to_redo: true,
    };
    let mut bytes = [MAGIC.as_slice(), &2_u16.to_le_bytes()].concat();
    let globals = encode(&State::default().globals()).expect("writes");
    let body = encode(&old).expect("writes");
    let mut frames = old_writer(&mut bytes);
    frames.frame(Tag::Globals, Ordinal(0), None, &globals).expect("writes");
    frames.frame(Tag::Stub, Ordinal(7), None, &body).expect("writes");
    frames.finish().expect("writes");
    let (mut reader, _) = FrameReader::new(&bytes[..]).expect("reads");
    let frame = reader.next_frame().expect("reads").expect("a stub");
    let Slot::Finished(stub) = decode_slot(&frame).expect("reads") else { panic!("a stub") };
    assert_eq!((stub.seq, stub.last_seq(), stub.late(), stub.purged()), (Seq(20), Seq(22), 2, None));
    assert_eq!(frame.body, encode(&StubV3::of(&stub)).expect("writes"));
    assert_eq!(frame.label, Some(Label::of(&Slot::Finished(stub))));
    assert!(reader.next_frame().expect("reads").is_none());
}

#[test]
fn a_snapshot_of_a_newer_version_is_refused() {
    let mut bytes = FrameWriter::new(Vec::new()).expect("writes");
    let state = State::default();
    bytes.globals(&state.globals()).expect("writes");
    let mut bytes = bytes.finish().expect("writes");
    bytes[13] = 5;
    let Err(SnapshotError::Form(detail)) = FrameReader::new(&bytes[..]) else { panic!("it was read") };
    assert!(detail.contains("version 5"), "{detail}");
}

fn slots() -> [Slot; 3] {
    let waiting = Job { state: JobState::Queued, ..plain_job(1, 1) };
    let elsewhere = Job { state: JobState::Queued, queue: "elsewhere".parse().expect("a name"), ..plain_job(4, 4) };
    let ended = Stub::of(&rich_job(2, 2, 3));
    [Slot::Active(Arc::new(waiting)), Slot::Finished(Arc::new(ended)), Slot::Active(Arc::new(elsewhere))]
}

/// All that a keyframe can hold.
fn written() -> Vec<u8> {
    let mut frames = FrameWriter::new(Vec::new()).expect("writes");
    frames.globals(&State::default().globals()).expect("writes");
    slots().iter().for_each(|slot| frames.slot(slot).expect("writes"));
    frames.gone(Ordinal(3)).expect("writes");
    frames.finish().expect("writes")
}

/// What the bytes say, or that they are not as they were written.
fn read(bytes: &[u8]) -> Result<(Globals, Vec<Frame>), SnapshotError> {
    let (mut reader, globals) = FrameReader::new(bytes)?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        frames.push(frame);
    }
    Ok((globals, frames))
}

#[test]
fn a_frame_says_what_a_list_asks_for_and_who_is_gone() {
    let (_, frames) = read(&written()).expect("reads");
    let (jobs, gone) = frames.split_at(3);
    for (frame, slot) in jobs.iter().zip(slots()) {
        assert_eq!(decode_slot(frame).expect("a job"), slot);
        assert_eq!(frame.label, Some(Label::of(&slot)));
    }
    assert_eq!((gone[0].tag, gone[0].ordinal, &gone[0].label, gone.len()), (Tag::Gone, Ordinal(3), &None, 1));
}

#[test]
fn frames_of_version_3_have_no_labels_and_get_them_when_they_are_read() {
    let mut bytes = [MAGIC.as_slice(), &3_u16.to_le_bytes()].concat();
    let mut frames = old_writer(&mut bytes);
    frames.globals(&State::default().globals()).expect("writes");
    slots().iter().for_each(|slot| frames.slot(slot).expect("writes"));
    frames.finish().expect("writes");
    let (_, frames) = read(&bytes).expect("reads");
    let labels: Vec<_> = frames.into_iter().map(|frame| frame.label).collect();
    assert_eq!(labels, slots().iter().map(|slot| Some(Label::of(slot))).collect::<Vec<_>>());
}

#[test]
fn a_frame_that_was_changed_or_cut_is_not_read() {
    let whole = written();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(read(&damaged).is_err(), "byte {at}");
        assert!(read(&whole[..at]).is_err(), "cut to {at}");
    }
}

#[test]
fn version_4_is_read_and_written_as_it_was_first() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/states/v4.bin");
    let golden = std::fs::read(path).expect("written once with `cargo test golden -- --ignored`, then never again");
    let (globals, frames) = read(&golden).expect("reads");
    assert_eq!(globals, State::default().globals());
    let jobs = frames.iter().filter(|frame| frame.tag != Tag::Gone);
    assert!(jobs.map(|frame| decode_slot(frame).expect("a job")).eq(slots()));
    assert_eq!(written(), golden);
}

#[test]
#[ignore = "writes the golden file if there is none yet"]
fn write_the_golden_state_if_it_is_missing() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/states/v4.bin");
    if !path.exists() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, written()).expect("written");
    }
}
