//! The log in memory: for tests and simulations. It keeps the port's promises and nothing after the process ends;
//! tests may close it and open it again from what it held.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::domain::event::Record;
use crate::domain::id::Seq;
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

/// What a [`MemoryLog`] keeps: all durable records, from seq 1.
#[derive(Default)]
pub struct MemoryStore {
    records: RwLock<Vec<Record>>,
    broken: RwLock<bool>,
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
        self.store.records.write().extend_from_slice(&records);
        Ok(records[records.len() - 1].seq)
    }

    fn in_flight_max(&self) -> usize {
        IN_FLIGHT_MAX
    }

    fn reader(&self) -> Arc<dyn LogReader> {
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
        Seq(1)
    }

    fn last(&self) -> Seq {
        Seq(self.records.read().len() as u64)
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        let records = self.records.read();
        let last = Seq(records.len() as u64);
        if seq == Seq::ZERO {
            return Err(ReadError::Trimmed { seq, earliest: Seq(1) });
        }
        records.get(seq.0 as usize - 1).cloned().ok_or(ReadError::PastHead { seq, last })
    }

    fn is_at_hand(&self, seq: Seq) -> bool {
        (self.earliest()..=self.last()).contains(&seq)
    }

    fn page_after(&self, after: Seq) -> Result<Vec<Record>, ReadError> {
        let records = self.records.read();
        let rest = records.get(after.0 as usize..).unwrap_or_default();
        Ok(rest.iter().take(PIECE_RECORDS_MAX).cloned().collect())
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
