//! Past states for whoever asks: made one at a time, and the latest are kept, so that the next moment nearby costs little.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::domain::id::Seq;
use crate::engine::past::{Origins, Past, PastError};
use crate::log::{LogReader, ReadError};

/// So many states are kept.
const KEPT_MAX: usize = 8;
/// What they take together.
const KEPT_BYTES_MAX: usize = 256 << 20;
/// A kept state from at most so many events before is gone on from.
const NEAR: u64 = 50_000;
/// One that has gone on for so many events from what is stored is not gone on from: it would only grow.
const GROWN: u64 = 200_000;
/// So many states are made at once: the others wait.
const AT_ONCE: usize = 2;

/// Makes past states, and keeps the latest that were asked for.
pub struct PastStates {
    origins: Origins,
    kept_bytes_max: usize,
    inner: Mutex<Inner>,
    made: Condvar,
}

#[derive(Default)]
struct Inner {
    /// The latest at the end.
    kept: Vec<Kept>,
    /// Those that are being made.
    under_way: BTreeSet<Seq>,
    /// How many were made so far.
    folds: u64,
}

/// A state that is kept, and what it takes beside what is stored.
struct Kept {
    past: Arc<Past>,
    own_bytes: usize,
}

impl PastStates {
    /// Those of a log, made of its base or its beginning.
    pub fn new(log: Arc<dyn LogReader>) -> PastStates {
        PastStates::from(Origins::of(log))
    }

    /// Those that are made of stored states.
    pub fn from(origins: Origins) -> PastStates {
        PastStates { origins, kept_bytes_max: KEPT_BYTES_MAX, inner: Mutex::default(), made: Condvar::new() }
    }

    /// The same, with less or more memory.
    pub fn keeping(mut self, bytes_max: usize) -> PastStates {
        self.kept_bytes_max = bytes_max;
        self
    }

    /// How many states were made so far, and what those that are kept take.
    pub fn load(&self) -> (u64, usize) {
        let inner = self.inner.lock();
        (inner.folds, bytes_of(&inner.kept))
    }

    /// The state after the event `seq`, which may be in the middle of a group. Fails with [`ReadError::PastHead`] for one
    /// that has not happened, and with [`ReadError::Trimmed`] for one before the log's base. Blocks while it is made.
    pub fn at(&self, seq: Seq) -> Result<Arc<Past>, PastError> {
        let (earliest, last) = (self.origins.log().earliest(), self.origins.log().last());
        if seq > last {
            return Err(ReadError::PastHead { seq, last }.into());
        }
        if seq.next() < earliest {
            return Err(ReadError::Trimmed { seq, earliest }.into());
        }
        let near = {
            let mut inner = self.inner.lock();
            loop {
                if let Some(place) = inner.kept.iter().position(|kept| kept.past.seq() == seq) {
                    let kept = inner.kept.remove(place);
                    let past = kept.past.clone();
                    inner.kept.push(kept);
                    return Ok(past);
                }
                if !inner.under_way.contains(&seq) && inner.under_way.len() < AT_ONCE {
                    break;
                }
                self.made.wait(&mut inner);
            }
            inner.under_way.insert(seq);
            inner.folds += 1;
            // What came behind them is no longer in the log: nothing goes on from them.
            inner.kept.retain(|kept| kept.past.seq().next() >= earliest);
            inner.near(seq, self.origins.nearest_seq(seq))
        };
        let _turn = Turn { states: self, seq };
        let past = Arc::new(self.make(near, seq)?);
        self.keep(past.clone());
        Ok(past)
    }

    fn make(&self, near: Option<Arc<Past>>, seq: Seq) -> Result<Past, PastError> {
        let log = &**self.origins.log();
        if let Some(mut past) = near.map(|near| Past::clone(&near)) {
            match past.advance(log, seq) {
                // The log was dropped up to behind it meanwhile: what is stored is newer.
                Err(PastError::Read(ReadError::Trimmed { .. })) => {}
                advanced => return advanced.map(|()| past),
            }
        }
        let mut past = self.origins.nearest(seq)?;
        past.advance(log, seq)?;
        Ok(past)
    }

    fn keep(&self, past: Arc<Past>) {
        let own_bytes = past.own_bytes();
        let mut inner = self.inner.lock();
        inner.kept.push(Kept { past, own_bytes });
        while inner.kept.len() > KEPT_MAX || inner.kept.len() > 1 && bytes_of(&inner.kept) > self.kept_bytes_max {
            inner.kept.remove(0);
        }
        if bytes_of(&inner.kept) > self.kept_bytes_max {
            inner.kept.clear();
        }
    }
}

impl Inner {
    /// The kept state that is gone on from with less than a stored one that stands at `stored`.
    fn near(&self, seq: Seq, stored: Seq) -> Option<Arc<Past>> {
        let before = self.kept.iter().map(|kept| &kept.past).filter(|past| past.seq() <= seq);
        let nearest = before.max_by_key(|past| past.seq())?;
        let is_near = seq.0 - nearest.seq().0 <= NEAR || nearest.seq() >= stored;
        let has_grown = nearest.seq().0 - nearest.frames.seq().0 > GROWN && nearest.frames.seq() < stored;
        (is_near && !has_grown).then(|| nearest.clone())
    }
}

/// What states take together: they share what is stored.
fn bytes_of(kept: &[Kept]) -> usize {
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    for Kept { past, own_bytes } in kept {
        bytes += own_bytes;
        if seen.insert(Arc::as_ptr(&past.frames).addr()) {
            bytes += past.frames.own_bytes();
        }
        let files = past.frames.files().iter();
        bytes += files.filter(|file| seen.insert(Arc::as_ptr(file).addr())).map(|file| file.bytes()).sum::<usize>();
    }
    bytes
}

/// The making of one state: whoever waits for it, or for a turn, is woken when it is over, however it ends.
struct Turn<'a> {
    states: &'a PastStates,
    seq: Seq,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.states.inner.lock().under_way.remove(&self.seq);
        self.states.made.notify_all();
    }
}
