//! The log in memory: for tests and simulations. It keeps the port's promises and nothing after the process ends;
//! tests may close it and open it again from what it held.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use parking_lot::RwLock;
use roaring::RoaringTreemap;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::base::{Base, Extent, LogTrimmer, NewBase, SegmentInfo, TrimError};
use crate::log::{AppendError, EventLog, LogReader, ReadError};

/// How many submissions may be in flight.
const IN_FLIGHT_MAX: usize = 4;

/// The most records that are given in one piece.
const PIECE_RECORDS_MAX: usize = 256;

/// The log in memory.
pub struct MemoryLog {
    store: Arc<MemoryStore>,
    in_flight: VecDeque<Arc<[Record]>>,
    tail: Seq,
    halted: bool,
}

/// What a [`MemoryLog`] keeps: all durable records that were not dropped. Each submission is a segment.
#[derive(Default)]
pub struct MemoryStore {
    kept: RwLock<Kept>,
    broken: RwLock<bool>,
}

#[derive(Default)]
struct Kept {
    base: Option<Arc<MemoryBase>>,
    segments: VecDeque<SegmentInfo>,
    /// Whether also the last of them takes no more events.
    is_rolled: bool,
    records: Vec<Record>,
}

/// A base in memory.
struct MemoryBase {
    seq: Seq,
    state: Vec<u8>,
    jobs: Vec<u8>,
    carried: BTreeMap<Seq, Record>,
}

/// What a record counts for in the bytes of a segment.
const RECORD_BYTES: u64 = 300;

impl Kept {
    fn earliest(&self) -> Seq {
        self.base.as_ref().map_or(Seq(1), |base| base.seq.next())
    }

    fn last(&self) -> Seq {
        Seq(self.earliest().0 - 1 + self.records.len() as u64)
    }

    fn take(&mut self, records: &[Record]) {
        let (first, last) = (records[0].seq, records[records.len() - 1].seq);
        self.segments.push_back(SegmentInfo { first, last, bytes: RECORD_BYTES * records.len() as u64 });
        self.records.extend_from_slice(records);
        self.is_rolled = false;
    }

    /// Where the records from `seq` on are.
    fn place(&self, seq: Seq) -> Result<usize, ReadError> {
        let earliest = self.earliest();
        let place = seq.0.checked_sub(earliest.0).ok_or(ReadError::Trimmed { seq, earliest })?;
        Ok(usize::try_from(place).expect("records in memory can be counted"))
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        let found = self.records.get(self.place(seq)?);
        found.cloned().ok_or(ReadError::PastHead { seq, last: self.last() })
    }

    fn carried(&self, seq: Seq) -> Result<Record, ReadError> {
        match self.base.as_ref().and_then(|base| base.carried.get(&seq)) {
            Some(record) => Ok(record.clone()),
            None => self.record(seq),
        }
    }
}

impl MemoryStore {
    /// From now on nothing can be written any more.
    pub fn break_writes(&self) {
        *self.broken.write() = true;
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> MemoryLog {
        MemoryLog::open(Arc::default())
    }

    /// The log that goes on behind what the store holds. Another log on the same store must be closed or dropped.
    pub fn open(store: Arc<MemoryStore>) -> MemoryLog {
        let tail = store.last().next();
        MemoryLog { store, in_flight: VecDeque::new(), tail, halted: false }
    }
}

impl Default for MemoryLog {
    fn default() -> MemoryLog {
        MemoryLog::new()
    }
}

impl EventLog for MemoryLog {
    fn last(&self) -> Seq {
        self.store.last()
    }

    fn submit(&mut self, records: Arc<[Record]>) -> Result<(), AppendError> {
        if self.halted {
            return Err(AppendError::Halted);
        }
        assert!(self.in_flight.len() < IN_FLIGHT_MAX, "at most {IN_FLIGHT_MAX} submissions are in flight");
        let last = records.last().expect("a submission has at least one record");
        assert!(!last.continues, "a submission ends with the end of a group");
        assert!(records[0].seq == self.tail, "record {} follows the tail {} (L2)", records[0].seq, self.tail);
        assert!(records.windows(2).all(|pair| pair[0].seq.next() == pair[1].seq), "records are dense (L2)");
        self.tail = last.seq.next();
        self.in_flight.push_back(records);
        Ok(())
    }

    fn committed(&mut self) -> Result<Seq, AppendError> {
        if self.halted {
            return Err(AppendError::Halted);
        }
        let Some(records) = self.in_flight.pop_front() else { return Ok(self.last()) };
        if *self.store.broken.read() {
            self.halted = true;
            return Err(AppendError::Failed { step: "append in memory", source: "the memory log was broken".into() });
        }
        self.store.kept.write().take(&records);
        Ok(records[records.len() - 1].seq)
    }

    fn in_flight_max(&self) -> usize {
        IN_FLIGHT_MAX
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.store.clone()
    }

    fn roll(&mut self) -> Result<Seq, AppendError> {
        assert!(self.in_flight.is_empty(), "nothing is in flight");
        if self.halted {
            return Err(AppendError::Halted);
        }
        self.store.kept.write().is_rolled = true;
        Ok(self.tail)
    }

    fn trimmer(&self) -> Arc<dyn LogTrimmer> {
        self.store.clone()
    }

    fn close(mut self: Box<Self>) -> Result<(), AppendError> {
        while !self.in_flight.is_empty() {
            self.committed()?;
        }
        if self.halted { Err(AppendError::Halted) } else { Ok(()) }
    }
}

impl LogReader for MemoryStore {
    fn earliest(&self) -> Seq {
        self.kept.read().earliest()
    }

    fn last(&self) -> Seq {
        self.kept.read().last()
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        self.kept.read().record(seq)
    }

    fn carried(&self, seq: Seq) -> Result<Record, ReadError> {
        self.kept.read().carried(seq)
    }

    fn base(&self) -> Option<Arc<dyn Base>> {
        let base = self.kept.read().base.clone()?;
        Some(base)
    }

    fn is_at_hand(&self, seq: Seq) -> bool {
        (self.earliest()..=self.last()).contains(&seq)
    }

    fn page_after(&self, after: Seq) -> Result<Vec<Record>, ReadError> {
        let kept = self.kept.read();
        if after >= kept.last() {
            return Ok(Vec::new());
        }
        let rest = &kept.records[kept.place(after.next())?..];
        Ok(rest.iter().take(PIECE_RECORDS_MAX).cloned().collect())
    }
}

impl Base for MemoryBase {
    fn seq(&self) -> Seq {
        self.seq
    }

    fn state(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.state.clone())))
    }

    fn jobs(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.jobs.clone())))
    }

    fn carried(&self) -> RoaringTreemap {
        self.carried.keys().map(|seq| seq.0).collect()
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        let trimmed = ReadError::Trimmed { seq, earliest: self.seq.next() };
        self.carried.get(&seq).cloned().ok_or(trimmed)
    }
}

impl LogTrimmer for MemoryStore {
    fn extent(&self) -> io::Result<Extent> {
        let kept = self.kept.read();
        let base_bytes = kept.base.as_ref().map_or(0, |base| (base.state.len() + base.jobs.len()) as u64);
        let bytes = kept.segments.iter().map(|segment| segment.bytes).sum();
        let (full, open) = match kept.segments.back() {
            Some(last) if !kept.is_rolled => (kept.segments.len() - 1, last.first),
            _ => (kept.segments.len(), kept.last().next()),
        };
        Ok(Extent { full: kept.segments.iter().take(full).copied().collect(), open, bytes, base_bytes })
    }

    fn scratch(&self) -> io::Result<File> {
        tempfile::tempfile()
    }

    fn trim(&self, new: NewBase<'_>) -> Result<(), TrimError> {
        let mut base =
            MemoryBase { seq: Seq(new.earliest.0 - 1), state: Vec::new(), jobs: Vec::new(), carried: BTreeMap::new() };
        (new.state)(&mut base.state).map_err(TrimError::io("write the state"))?;
        (new.jobs)(&mut base.jobs).map_err(TrimError::io("write the finished jobs"))?;
        let mut kept = self.kept.write();
        for seq in new.carried.iter().map(Seq) {
            base.carried.insert(seq, kept.carried(seq)?);
        }
        let behind = kept.segments.partition_point(|segment| segment.first < new.earliest);
        let next = kept.segments.get(behind).map_or(kept.last().next(), |segment| segment.first);
        assert_eq!(next, new.earliest, "a segment begins with the new earliest");
        let dropped = kept.place(new.earliest)?;
        kept.segments.drain(..behind);
        kept.records.drain(..dropped);
        kept.base = Some(Arc::new(base));
        Ok(())
    }

    fn drop_carried(&self, unwanted: &RoaringTreemap) -> Result<(), TrimError> {
        let mut kept = self.kept.write();
        let Some(base) = &kept.base else { return Ok(()) };
        let (seq, state, jobs, mut carried) = (base.seq, base.state.clone(), base.jobs.clone(), base.carried.clone());
        carried.retain(|seq, _| !unwanted.contains(seq.0));
        kept.base = Some(Arc::new(MemoryBase { seq, state, jobs, carried }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::conformance::{Subject, conforms};

    #[derive(Default)]
    struct Memory(Arc<MemoryStore>);

    impl Subject for Memory {
        fn open(&mut self) -> Box<dyn EventLog> {
            Box::new(MemoryLog::open(self.0.clone()))
        }

        fn break_writes(&mut self) {
            self.0.break_writes();
        }
    }

    #[test]
    fn the_log_in_memory_keeps_the_promises_of_the_port() {
        conforms(|| Box::new(Memory::default()));
    }
}
