//! Writes a snapshot of the state now and then, so that a start folds a short tail instead of the whole log.
//!
//! A snapshot is merged from the one before and the records since, beside the writer and never in its way.

use std::io::{self, Read};
use std::sync::Arc;

use crate::domain::id::Seq;
use crate::engine::snapshot::Merge;
use crate::log::LogReader;
use crate::log::snapshot::SnapshotStore;

/// A snapshot is written when so many events are not in one: they are folded in well under a second.
pub const EVENTS_BETWEEN: u64 = 500_000;
/// A server that stops writes a snapshot when so many events are not in one.
pub const EVENTS_AT_STOP: u64 = 20_000;
/// The most events that one merge takes: it holds the jobs that they touched in memory.
const EVENTS_A_MERGE: u64 = 100_000;

/// Writes snapshots.
pub struct Snapshotter {
    log: Arc<dyn LogReader>,
    store: Arc<dyn SnapshotStore>,
    /// Where the newest snapshot stands.
    newest: Seq,
}

impl Snapshotter {
    /// Goes on from the snapshot that recovery began with.
    pub fn new(log: Arc<dyn LogReader>, store: Arc<dyn SnapshotStore>, newest: Seq) -> Snapshotter {
        Snapshotter { log, store, newest }
    }

    /// Writes what is due when at least `least` events are not in a snapshot. Blocks for the length of the writing.
    pub fn catch_up(&mut self, least: u64) -> io::Result<()> {
        while self.log.last().0 - self.newest.0 >= least.max(1) {
            self.write_one()?;
        }
        Ok(())
    }

    fn write_one(&mut self) -> io::Result<()> {
        let kept = self.log.base();
        if let Some(kept) = &kept {
            // What came before it is in the log no more.
            self.newest = self.newest.max(kept.seq());
        }
        let merge = Merge::plan(&*self.log, self.newest, EVENTS_A_MERGE, self.log.last()).map_err(io::Error::other)?;
        let base = || -> io::Result<Option<Box<dyn Read + Send>>> {
            if self.newest == Seq::ZERO {
                return Ok(None);
            }
            if let Some(kept) = kept.as_ref().filter(|kept| kept.seq() == self.newest) {
                return kept.state().map(Some);
            }
            let found = self.store.newest(self.newest).map_err(io::Error::other)?;
            let base = found.snapshot.filter(|snapshot| snapshot.seq == self.newest);
            let lost = || io::Error::other(format!("the snapshot at {} is gone", self.newest));
            base.map(|snapshot| Some(snapshot.content)).ok_or_else(lost)
        };
        let mut write =
            |out: &mut dyn io::Write| merge.write(&*self.log, base, out, &mut |_| Ok(())).map_err(io::Error::other);
        self.store.save(merge.target(), &mut write).map_err(io::Error::other)?;
        tracing::info!(seq = merge.target().0, "a snapshot was written");
        self.newest = merge.target();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Cursor, Write};

    use parking_lot::Mutex;

    use super::*;
    use crate::domain::event::Record;
    use crate::domain::evolve::evolve;
    use crate::domain::state::State;
    use crate::domain::testing::history;
    use crate::engine::base::{Kept, fold};
    use crate::engine::snapshot;
    use crate::engine::snapshot::fold_hash;
    use crate::engine::verify::verify;
    use crate::log::EventLog;
    use crate::log::memory::MemoryLog;
    use crate::log::snapshot::{Found, Snapshot, SnapshotError};

    #[derive(Default)]
    struct MemorySnapshots(Mutex<BTreeMap<Seq, Vec<u8>>>);

    impl SnapshotStore for MemorySnapshots {
        fn save(&self, seq: Seq, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<(), SnapshotError> {
            let mut bytes = Vec::new();
            write(&mut bytes).unwrap();
            self.0.lock().insert(seq, bytes);
            Ok(())
        }

        fn newest(&self, at_most: Seq) -> Result<Found, SnapshotError> {
            let found = self.0.lock().range(..=at_most).next_back().map(|(&seq, bytes)| (seq, bytes.clone()));
            let snapshot = found.map(|(seq, bytes)| Snapshot { seq, content: Box::new(Cursor::new(bytes)) });
            Ok(Found { snapshot, damaged: Vec::new() })
        }
    }

    impl MemorySnapshots {
        fn read(&self, at_most: Seq) -> State {
            snapshot::read(self.newest(at_most).unwrap().snapshot.unwrap().content).unwrap()
        }
    }

    fn log_of(records: &[Record]) -> Arc<dyn LogReader> {
        let mut log = MemoryLog::new();
        let mut group = Vec::new();
        for record in records {
            group.push(record.clone());
            if !record.continues {
                log.submit(std::mem::take(&mut group).into()).unwrap();
                log.committed().unwrap();
            }
        }
        log.reader()
    }

    #[test]
    fn merged_snapshots_equal_the_fold_wherever_they_stand() {
        let world = history(40);
        let store = Arc::new(MemorySnapshots::default());
        let (mut folded, mut newest) = (State::default(), Seq::ZERO);
        for (place, record) in world.records.iter().enumerate() {
            evolve(&mut folded, record);
            if place % 37 == 0 && !record.continues {
                let log = log_of(&world.records[..=place]);
                let mut snapshotter = Snapshotter::new(log, store.clone(), newest);
                snapshotter.catch_up(1).unwrap();
                newest = snapshotter.newest;
                assert_eq!(newest, record.seq);
                assert_eq!(fold_hash(&store.read(newest)), fold_hash(&folded), "at {newest}");
            }
        }
        assert!(store.0.lock().len() > 5, "the history is long enough to be merged again and again");
    }

    #[test]
    fn a_snapshot_continued_to_the_end_equals_the_fold_and_a_forged_one_does_not() {
        let world = history(40);
        let middle = world.records.iter().position(|record| record.seq.0 > 100 && !record.continues).unwrap();
        let store = Arc::new(MemorySnapshots::default());
        Snapshotter::new(log_of(&world.records[..=middle]), store.clone(), Seq::ZERO).catch_up(1).unwrap();
        let snapshot = store.read(Seq(u64::MAX));
        let log = log_of(&world.records);
        let verdict = verify(&*log, None, vec![snapshot.clone()]).unwrap();
        assert_eq!((verdict.differences, verdict.fold), (Vec::new(), fold_hash(&world.state)));
        let mut globals = snapshot.globals();
        globals.workers.clear();
        let forged = State::from_parts(globals, snapshot.slots().cloned());
        assert_eq!(verify(&*log, None, vec![forged]).unwrap().differences.len(), 1);
    }

    #[test]
    fn what_the_log_has_no_more_is_taken_from_its_base() {
        let world = history(40);
        let middle = world.records.iter().rfind(|record| record.seq.0 < 200 && !record.continues).unwrap().seq;
        let mut log = MemoryLog::new();
        for group in world.records.split_inclusive(|record| !record.continues) {
            log.submit(group.into()).unwrap();
            log.committed().unwrap();
        }
        let (reader, trimmer) = (log.reader(), log.trimmer());
        let folded = fold(&*reader, &*trimmer, middle, &|_| Kept::Payloads, &|| false).unwrap();
        folded.replace_events(&*trimmer).unwrap();
        let store = Arc::new(MemorySnapshots::default());
        for newest in [Seq::ZERO, middle] {
            Snapshotter::new(reader.clone(), store.clone(), newest).catch_up(1).unwrap();
            assert_eq!(fold_hash(&store.read(Seq(u64::MAX))), fold_hash(&world.state), "from {newest}");
            store.0.lock().clear();
        }
    }

    #[test]
    fn little_news_is_not_worth_a_snapshot() {
        let world = history(40);
        let store = Arc::new(MemorySnapshots::default());
        Snapshotter::new(log_of(&world.records), store.clone(), Seq::ZERO).catch_up(EVENTS_BETWEEN).unwrap();
        assert!(store.0.lock().is_empty());
    }
}
