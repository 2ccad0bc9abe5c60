//! A past state is that of the fold, whatever it was made of, and it is made once however many ask.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::domain::event::Record;
use crate::domain::testing::{World, history};
use crate::engine::snapshot::fold_hash;
use crate::log::EventLog;
use crate::log::keyframe::{KeyframeStore, MemoryKeyframes};
use crate::log::memory::MemoryLog;

fn log_of(records: &[Record]) -> Arc<dyn LogReader> {
    let mut log = MemoryLog::new();
    for group in records.split_inclusive(|record| !record.continues) {
        log.submit(group.into()).unwrap();
        log.committed().unwrap();
    }
    log.reader()
}

fn fold_to(world: &World, seq: Seq) -> State {
    let mut state = State::default();
    world.records.iter().take_while(|record| record.seq <= seq).for_each(|record| drop(evolve(&mut state, record)));
    state
}

/// Everything that a past state answers is as the fold has it.
fn check(past: &Past, folded: &State) {
    assert_eq!((past.seq(), past.at(), past.globals()), (folded.seq(), folded.at(), folded.globals()));
    assert_eq!(past.hash().unwrap(), fold_hash(folded));
    assert_eq!(fold_hash(&past.to_state().unwrap()), fold_hash(folded));
    for ordinal in (0..=folded.last_ordinal().0 + 1).map(Ordinal) {
        assert_eq!(past.slot_at(ordinal).unwrap().as_ref(), folded.slot_at(ordinal));
    }
    for slot in folded.slots() {
        assert_eq!(past.slot(slot.id()).unwrap().as_ref(), Some(slot));
    }
    let labels = |end: Option<Ordinal>| {
        let below = folded.slots().rev().map(|slot| (slot.id().ordinal(), Label::of(slot)));
        below.filter(|(ordinal, _)| end.is_none_or(|end| *ordinal < end)).collect::<Vec<_>>()
    };
    for end in [None, Some(Ordinal(folded.last_ordinal().0 / 2)), Some(Ordinal(0))] {
        assert_eq!(past.labels_below(end).collect::<Vec<_>>(), labels(end));
    }
}

/// Keyframes of a history at these events, each on the one before, but for every fourth one.
fn keyframes(log: &Arc<dyn LogReader>, seqs: &[u64]) -> Arc<MemoryKeyframes> {
    let store = Arc::new(MemoryKeyframes::default());
    let origins = Origins::of(log.clone()).with_keyframes(store.clone());
    for (place, seq) in seqs.iter().map(|seq| Seq(*seq)).enumerate() {
        let mut past = origins.nearest(seq).unwrap();
        let parent = Some(past.seq()).filter(|parent| *parent > Seq::ZERO && place % 4 != 0);
        past.advance(&**log, seq).unwrap();
        let write = &mut |out: &mut dyn Write| if parent.is_some() { past.write_changes(out) } else { past.write(out) };
        store.save(seq, parent, write).unwrap();
    }
    store
}

fn damage(store: &MemoryKeyframes, seq: Seq, at: usize) {
    let stored = store.open(seq).unwrap();
    let mut bytes = vec![0; stored.len() as usize];
    stored.read_at(&mut bytes, 0).unwrap();
    let place = at % bytes.len();
    bytes[place] ^= 0x10;
    let parent = store.list().iter().find(|keyframe| keyframe.seq == seq).unwrap().parent;
    store.save(seq, parent, &mut |out| out.write_all(&bytes)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_past_state_equals_the_fold_whatever_became_of_the_keyframes(
        rounds in 10_usize..30,
        mut steps in prop::collection::vec(1_u64..40, 1..12),
        losses in prop::collection::vec((any::<prop::sample::Index>(), any::<usize>(), any::<bool>()), 0..3),
        asked in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        is_held in any::<bool>(),
    ) {
        let world = history(rounds);
        let log = log_of(&world.records);
        let mut seq = 0;
        steps.iter_mut().for_each(|step| { seq += *step; *step = seq });
        steps.retain(|seq| *seq <= log.last().0);
        let store = keyframes(&log, &steps);
        for (which, at, is_removed) in losses {
            let listed = store.list();
            if listed.is_empty() { continue }
            let lost = listed[which.index(listed.len())].seq;
            if is_removed { store.remove(lost).unwrap() } else { damage(&store, lost, at) }
        }
        let origins = Origins::of(log.clone()).with_keyframes(store);
        let states = PastStates::from(if is_held { origins } else { origins.frugal() });
        for asked in asked {
            let seq = Seq(asked.index(log.last().0 as usize + 1) as u64);
            check(&states.at(seq).unwrap(), &fold_to(&world, seq));
        }
    }
}

#[test]
fn every_moment_of_a_history_can_be_asked_for_with_and_without_keyframes() {
    let world = history(25);
    let log = log_of(&world.records);
    let plain = PastStates::new(log.clone());
    let quick = PastStates::from(Origins::of(log.clone()).with_keyframes(keyframes(&log, &[30, 60, 90, 120, 150])));
    let mut folded = State::default();
    check(&plain.at(Seq::ZERO).unwrap(), &folded);
    for record in &world.records {
        evolve(&mut folded, record);
        check(&plain.at(record.seq).unwrap(), &folded);
        check(&quick.at(record.seq).unwrap(), &folded);
    }
    let error = plain.at(log.last().next()).err().unwrap();
    assert!(matches!(error, PastError::Read(ReadError::PastHead { .. })));
}

#[test]
fn a_snapshot_of_an_older_version_is_as_good_as_a_keyframe() {
    let world = history(20);
    let folded = fold_to(&world, Seq(100));
    let mut whole = Vec::new();
    crate::engine::snapshot::write(&folded, &mut whole).unwrap();
    let file = FrameFile::in_memory(&whole[..]).unwrap();
    let mut past = Past::of(Arc::new(Frames::of(vec![Arc::new(file)])));
    check(&past, &folded);
    past.advance(&*log_of(&world.records), world.state.seq()).unwrap();
    check(&past, &world.state);
}

/// A log whose pages are handed out only while nobody holds the gate, and are counted.
struct Gated {
    log: Arc<dyn LogReader>,
    gate: Mutex<()>,
    begun: std::sync::mpsc::SyncSender<()>,
}

impl LogReader for Gated {
    fn earliest(&self) -> Seq {
        self.log.earliest()
    }

    fn last(&self) -> Seq {
        self.log.last()
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        self.log.record(seq)
    }

    fn is_at_hand(&self, seq: Seq) -> bool {
        self.log.is_at_hand(seq)
    }

    fn page_after(&self, after: Seq) -> Result<Vec<Record>, ReadError> {
        // Whoever does not look has seen enough.
        let _ = self.begun.try_send(());
        let _open = self.gate.lock();
        self.log.page_after(after)
    }
}

#[test]
fn two_who_ask_for_the_same_moment_at_once_have_it_made_once() {
    let (begun, has_begun) = std::sync::mpsc::sync_channel(1);
    let log = Arc::new(Gated { log: log_of(&history(20).records), gate: Mutex::new(()), begun });
    let states = PastStates::new(log.clone());
    std::thread::scope(|scope| {
        let gate = log.gate.lock();
        let ask = || states.at(Seq(90)).unwrap();
        let first = scope.spawn(ask);
        has_begun.recv().unwrap();
        let second = scope.spawn(ask);
        drop(gate);
        assert!(Arc::ptr_eq(&first.join().unwrap(), &second.join().unwrap()));
    });
    assert_eq!(states.load().0, 1);
}

#[test]
fn what_is_kept_is_bounded_and_a_moment_nearby_goes_on_from_it() {
    let log = log_of(&history(30).records);
    let states = PastStates::new(log.clone());
    (1..=log.last().0).for_each(|seq| drop(states.at(Seq(seq)).unwrap()));
    let (made, bytes) = states.load();
    assert!(made == log.last().0 && bytes > 0);
    let small = PastStates::new(log.clone()).keeping(bytes / 4);
    for seq in (1..=log.last().0).rev() {
        small.at(Seq(seq)).unwrap();
        assert!(small.load().1 <= bytes / 4);
    }
}
