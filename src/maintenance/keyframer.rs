//! Writes keyframes now and then, so that any past moment costs one stored state and a bounded fold.
//!
//! A keyframe is made like any past state: of the one before and the events since. So it makes no difference whether
//! the events have just happened, or lie in a log that was imported or brought back: it walks from the oldest gap to the
//! head in steps, beside the writer and never in its way. What it has not come to yet only takes longer to fold.

use std::cell::Cell;
use std::io;
use std::sync::Arc;

use crate::domain::id::Seq;
use crate::engine::past::{self, Origins};
use crate::log::LogReader;
use crate::log::codec_state::SnapshotError;
use crate::log::keyframe::{Keyframe, KeyframeStore, ancestors, useless};

/// A keyframe is written when so many events are not in one: they are folded in about 25 ms.
pub const EVENTS_BETWEEN: u64 = 25_000;
/// So many changes hang on one full keyframe at most, and they have no more bytes than it.
const CHAINED_MAX: usize = 32;
/// When keyframes take too much, they are brought down by one part in so many.
const BELOW: u64 = 8;

/// Whether the disk has room for what nobody needs.
pub type HasRoom = Box<dyn Fn() -> bool + Send>;

/// Writes keyframes.
pub struct Keyframer {
    log: Arc<dyn LogReader>,
    store: Arc<dyn KeyframeStore>,
    origins: Origins,
    /// What all keyframes may take.
    bytes_max: u64,
    events_between: u64,
    has_room: HasRoom,
    is_thinning: Cell<bool>,
}

impl Keyframer {
    /// Goes on with those that are there.
    pub fn new(log: Arc<dyn LogReader>, store: Arc<dyn KeyframeStore>, bytes_max: u64, has_room: HasRoom) -> Keyframer {
        let origins = Origins::of(log.clone()).with_keyframes(store.clone()).frugal();
        Keyframer {
            log,
            store,
            origins,
            bytes_max,
            events_between: EVENTS_BETWEEN,
            has_room,
            is_thinning: Cell::new(false),
        }
    }

    /// The same with another distance between keyframes.
    pub fn every(mut self, events: u64) -> Keyframer {
        self.events_between = events;
        self
    }

    /// Writes one keyframe, if one is due, or takes one out; says whether it did. Blocks for the length of a short fold.
    pub fn step(&self) -> io::Result<bool> {
        let begin = Seq(self.log.earliest().0.saturating_sub(1));
        for seq in useless(&self.store.list(), begin) {
            self.store.remove(seq).map_err(io::Error::other)?;
        }
        if self.thin_out()? {
            return Ok(true);
        }
        let Some(from) = self.gap(begin).filter(|_| (self.has_room)()) else { return Ok(false) };
        let mut past = self.origins.nearest(from).map_err(io::Error::other)?;
        if past.seq() != from {
            // Something could not be read, and may be gone by now: the next look begins anew.
            return Err(io::Error::other(format!("the keyframe at {from} cannot be read")));
        }
        let target = Seq(from.0 + self.events_between).min(self.log.last());
        past.advance(&*self.log, target).map_err(io::Error::other)?;
        let saved = match self.parent(from) {
            Some(parent) => self.store.save(target, Some(parent), &mut |out| past.write_changes(out)),
            None => self.store.save(target, None, &mut |out| past.write(out)),
        };
        saved.map_err(io::Error::other)?;
        tracing::debug!(seq = target.0, "a keyframe was written");
        Ok(true)
    }

    /// The oldest place behind which keyframes are missing. Those between others are made again only while there is much
    /// room: they may have been thinned out.
    fn gap(&self, begin: Seq) -> Option<Seq> {
        let listed = self.store.list();
        let mut from = begin;
        let fills = total(&listed) <= self.bytes_max / 2;
        for keyframe in listed {
            if fills && keyframe.seq.0.saturating_sub(from.0) > self.events_between {
                return Some(from);
            }
            from = from.max(keyframe.seq);
        }
        (self.log.last().0.saturating_sub(from.0) >= self.events_between).then_some(from)
    }

    /// The keyframe of which the next one says the changes; none if the next one is to say all.
    fn parent(&self, from: Seq) -> Option<Seq> {
        let listed = self.store.list();
        let newest = listed.iter().find(|keyframe| keyframe.seq == from)?;
        let chain = ancestors(&listed, *newest)?;
        let (full, changes) = chain.split_first()?;
        (changes.len() < CHAINED_MAX && total(changes) <= full.bytes).then_some(from)
    }

    /// Takes every second one out, the oldest first, one a call, until they take little enough; says whether it did. What
    /// it said goes into the one that hangs on it.
    fn thin_out(&self) -> io::Result<bool> {
        let listed = self.store.list();
        let bytes = total(&listed);
        let is_enough =
            bytes <= if self.is_thinning.get() { self.bytes_max / BELOW * (BELOW - 1) } else { self.bytes_max };
        let spare = spare(&listed, self.events_between).filter(|_| !is_enough);
        self.is_thinning.set(spare.is_some());
        let Some(spared) = spare.map(|place| listed[place]) else { return Ok(false) };
        if let Some(child) = listed.iter().find(|keyframe| keyframe.parent == Some(spared.seq)) {
            self.merge(spared, *child)?;
        }
        self.store.remove(spared.seq).map_err(io::Error::other)?;
        Ok(true)
    }

    fn merge(&self, spared: Keyframe, child: Keyframe) -> io::Result<()> {
        let read = |seq| past::read(&*self.store, seq, 0).map_err(io::Error::other);
        let (older, newer) = (read(spared.seq)?, read(child.seq)?);
        let mut write = |out: &mut dyn io::Write| {
            let merged = newer.write_merged(&older, spared.parent.is_none(), out);
            merged.map_err(|error: SnapshotError| io::Error::other(error))
        };
        self.store.save(child.seq, spared.parent, &mut write).map_err(io::Error::other)
    }
}

fn total(keyframes: &[Keyframe]) -> u64 {
    keyframes.iter().map(|keyframe| keyframe.bytes).sum()
}

/// The place of the one that is missed least: the oldest of those that leave the smallest hole. The newest stays, and so
/// does one on which several hang.
fn spare(listed: &[Keyframe], events_between: u64) -> Option<usize> {
    let children = |seq| listed.iter().filter(|keyframe| keyframe.parent == Some(seq)).count();
    let hole = |place: usize| {
        let before = place.checked_sub(1).map_or(0, |before| listed[before].seq.0);
        (listed[place + 1].seq.0 - before).div_ceil(events_between)
    };
    let places = (0..listed.len().saturating_sub(1)).filter(|place| children(listed[*place].seq) <= 1);
    places.min_by_key(|place| hole(*place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::evolve::evolve;
    use crate::domain::state::State;
    use crate::domain::testing::{World, history};
    use crate::engine::base::{Kept, fold};
    use crate::engine::past::PastStates;
    use crate::engine::snapshot::fold_hash;
    use crate::log::EventLog;
    use crate::log::keyframe::MemoryKeyframes;
    use crate::log::memory::MemoryLog;

    fn log_of(world: &World) -> MemoryLog {
        let mut log = MemoryLog::new();
        for group in world.records.split_inclusive(|record| !record.continues) {
            log.submit(group.into()).unwrap();
            log.committed().unwrap();
        }
        log
    }

    fn keyframer(log: &MemoryLog, store: &Arc<MemoryKeyframes>, bytes_max: u64) -> Keyframer {
        Keyframer::new(log.reader(), store.clone(), bytes_max, Box::new(|| true)).every(10)
    }

    fn write_all(keyframer: &Keyframer) -> usize {
        std::iter::repeat_with(|| keyframer.step().unwrap()).take_while(|wrote| *wrote).count()
    }

    /// Every past state that can be asked for is that of the fold.
    fn check(world: &World, log: &MemoryLog, store: &Arc<MemoryKeyframes>) {
        let mut state = State::default();
        for record in &world.records {
            evolve(&mut state, record);
            if record.seq.next() >= log.reader().earliest() && record.seq.0 % 7 == 0 {
                let states = PastStates::from(Origins::of(log.reader()).with_keyframes(store.clone()));
                assert_eq!(states.at(record.seq).unwrap().hash().unwrap(), fold_hash(&state), "at {}", record.seq);
            }
        }
    }

    fn holes(store: &MemoryKeyframes) -> Vec<u64> {
        let seqs: Vec<u64> = store.list().iter().map(|keyframe| keyframe.seq.0).collect();
        seqs.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn a_log_of_any_length_gets_keyframes_at_equal_distances_most_of_them_changes() {
        let (world, store) = (history(40), Arc::new(MemoryKeyframes::default()));
        let log = log_of(&world);
        let written = write_all(&keyframer(&log, &store, u64::MAX));
        assert_eq!(written as u64, log.last().0 / 10);
        assert!(holes(&store).iter().all(|hole| *hole == 10));
        let full = store.list().iter().filter(|keyframe| keyframe.parent.is_none()).count();
        assert!(full > 1 && full < written / 2, "{full} of {written}");
        check(&world, &log, &store);
    }

    #[test]
    fn what_was_lost_is_made_again_with_all_that_hung_on_it() {
        let (world, store) = (history(40), Arc::new(MemoryKeyframes::default()));
        let log = log_of(&world);
        let keyframer = keyframer(&log, &store, u64::MAX);
        write_all(&keyframer);
        let whole = store.list().len();
        let lost = store.list().iter().find_map(|keyframe| keyframe.parent).unwrap();
        store.remove(lost).unwrap();
        check(&world, &log, &store);
        assert!(write_all(&keyframer) > 1);
        assert_eq!((store.list().len(), holes(&store).iter().max()), (whole, Some(&10)));
        check(&world, &log, &store);
    }

    #[test]
    fn keyframes_that_take_too_much_are_thinned_out_and_say_the_same() {
        let (world, store) = (history(40), Arc::new(MemoryKeyframes::default()));
        let log = log_of(&world);
        write_all(&keyframer(&log, &store, u64::MAX));
        let bytes_max = total(&store.list()) / 2;
        let store = Arc::new(MemoryKeyframes::default());
        let keyframer = keyframer(&log, &store, bytes_max);
        assert!(write_all(&keyframer) > 10);
        assert!(total(&store.list()) <= bytes_max);
        assert!(holes(&store).iter().max() > Some(&10), "{:?}", holes(&store));
        assert!(useless(&store.list(), Seq::ZERO).is_empty(), "each can be put together");
        check(&world, &log, &store);
    }

    #[test]
    fn nothing_is_kept_of_before_the_base_but_what_later_ones_hang_on() {
        let (world, store) = (history(40), Arc::new(MemoryKeyframes::default()));
        let log = log_of(&world);
        let keyframer = keyframer(&log, &store, u64::MAX);
        write_all(&keyframer);
        let middle = world.records.iter().rfind(|record| record.seq.0 < 200 && !record.continues).unwrap().seq;
        let (reader, trimmer) = (log.reader(), log.trimmer());
        let folded = fold(&*reader, &*trimmer, middle, &|_| Kept::Payloads, &|| false).unwrap();
        folded.replace_events(&*trimmer).unwrap();
        check(&world, &log, &store);
        write_all(&keyframer);
        assert!(useless(&store.list(), middle).is_empty());
        check(&world, &log, &store);
        let store = Arc::new(MemoryKeyframes::default());
        write_all(&self::keyframer(&log, &store, u64::MAX));
        assert!(store.list()[0].seq > middle, "they begin behind the base");
        check(&world, &log, &store);
    }

    #[test]
    fn whoever_starts_anew_goes_on_with_what_is_there_wherever_the_one_before_was_ended() {
        let (world, store) = (history(40), Arc::new(MemoryKeyframes::default()));
        let log = log_of(&world);
        let whole = Arc::new(MemoryKeyframes::default());
        write_all(&keyframer(&log, &whole, u64::MAX));
        // A full one ends each row of changes, so that this ends before and behind each of them.
        while keyframer(&log, &store, u64::MAX).step().unwrap() {
            let behind = store.list().len();
            assert_eq!(store.list(), whole.list()[..behind], "as if nobody had been ended");
        }
        assert_eq!(store.list(), whole.list());
    }

    #[test]
    fn without_room_on_the_disk_there_is_none() {
        let (world, store) = (history(40), Arc::new(MemoryKeyframes::default()));
        let keyframer = Keyframer::new(log_of(&world).reader(), store.clone(), u64::MAX, Box::new(|| false)).every(10);
        assert!(!keyframer.step().unwrap() && store.list().is_empty());
    }
}
