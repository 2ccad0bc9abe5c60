//! Drops the oldest segments of the log when they are old enough, or when the log takes too much room.
//!
//! It chooses which segments go and has the engine work out what has to stand for them; the log does the rest. It never
//! decides anything about a job: what is kept of the jobs is what is still known.

use std::io;
use std::sync::Arc;

use crate::clock::Clock;
use crate::domain::id::{JobId, Seq};
use crate::domain::time::{Millis, Timestamp};
use crate::engine::SubmitError;
use crate::engine::base::{self, FoldError, Kept};
use crate::log::base::{Extent, LogTrimmer, TrimError};
use crate::log::hold::Hold;
use crate::log::{LogReader, ReadError};
use crate::metrics;
use crate::views::Views;

/// How old a segment gets, unless the configuration says otherwise.
pub const AGE_DEFAULT: Millis = Millis::from_secs(30 * 24 * 60 * 60);
/// How much room the segments may take, unless the configuration says otherwise.
pub const BYTES_DEFAULT: u64 = 10 * 1024 * 1024 * 1024;
/// How often is looked, unless the configuration says otherwise.
pub const EVERY_DEFAULT: Millis = Millis::from_secs(300);

/// A log that takes too much is brought down by one part in so many below its bound: a base is not written for little.
const BELOW: u64 = 8;
/// What a new base is reckoned to carry of what is dropped: one byte in so many.
const CARRIED: u64 = 4;

/// When segments go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A segment goes when its last event is older. One that takes events is ended when its first event is older.
    pub age: Millis,
    /// The oldest segments go when all take more.
    pub bytes: u64,
}

/// Free room: how many bytes there are.
pub type Free = Box<dyn Fn() -> io::Result<u64> + Send>;

/// Ends the segment that takes events, and waits until that is done.
pub type Roll = Box<dyn Fn() -> Result<Seq, SubmitError> + Send>;

/// Drops segments.
pub struct Trimmer {
    pub log: Arc<dyn LogReader>,
    pub trimmer: Arc<dyn LogTrimmer>,
    /// Of those who copy the log.
    pub hold: Arc<Hold>,
    pub views: Arc<Views>,
    pub clock: Arc<dyn Clock>,
    pub rules: Rules,
    pub free: Free,
    pub roll: Roll,
    /// The least free room that is left to the writer.
    pub min_free_bytes: u64,
}

/// Why nothing was dropped.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error("the log could not be measured")]
    Measure(#[source] io::Error),
    #[error("the log could not be read")]
    Read(#[from] ReadError),
    #[error("what has to stand for the dropped events could not be worked out")]
    Fold(#[from] FoldError),
    #[error(transparent)]
    Trim(#[from] TrimError),
    #[error("the segment that takes events could not be ended")]
    Roll(#[from] SubmitError),
    #[error("{needed} bytes have to be free for it, and {free} are")]
    NoRoom { needed: u64, free: u64 },
}

impl Trimmer {
    /// Drops what is due; gives the seq with which the log begins now, if something was. Blocks for as long as it takes.
    ///
    /// # Errors
    /// The log goes on as it was; the next look tries again.
    pub fn look(&self, is_stopping: &dyn Fn() -> bool) -> Result<Option<Seq>, LookError> {
        let extent = self.trimmer.extent().map_err(LookError::Measure)?;
        let now = self.clock.now();
        let at = |seq| self.log.record(seq).map(|record| record.at);
        if extent.open <= self.log.last() && at(extent.open)?.plus(self.rules.age) <= now {
            // Once it is sealed, its age is that of its last event.
            (self.roll)()?;
        }
        let Some(last) = last_due(&extent, self.rules, now, at)?.filter(|last| *last <= self.views.position()) else {
            return Ok(None);
        };
        if self.hold.is_held(now) {
            return Ok(None);
        }
        let bytes = extent.full.iter().filter(|segment| segment.last <= last).map(|segment| segment.bytes).sum::<u64>();
        self.check_room(&extent, bytes)?;
        let folded = base::fold(&*self.log, &*self.trimmer, last, &|job| self.kept_of(job), is_stopping)?;
        folded.replace_events(&*self.trimmer)?;
        let earliest = last.next();
        metrics::note_dropped(bytes);
        tracing::info!(earliest = earliest.0, bytes, "the oldest events were dropped");
        Ok(Some(earliest))
    }

    fn kept_of(&self, job: JobId) -> Kept {
        match (self.views.is_known(job), self.views.purged_at(job)) {
            (false, _) => Kept::Nothing,
            (true, Some(_)) => Kept::Job,
            (true, None) => Kept::Payloads,
        }
    }

    fn check_room(&self, extent: &Extent, dropped: u64) -> Result<(), LookError> {
        let needed = extent.base_bytes + dropped / CARRIED + self.min_free_bytes;
        match (self.free)() {
            Ok(free) if free < needed => Err(LookError::NoRoom { needed, free }),
            // Where it cannot be told, a full disk will say it.
            _ => Ok(()),
        }
    }
}

/// The last event that goes, if one does; `at` gives the moment of an event.
fn last_due(
    extent: &Extent,
    rules: Rules,
    now: Timestamp,
    at: impl Fn(Seq) -> Result<Timestamp, ReadError>,
) -> Result<Option<Seq>, ReadError> {
    let (mut last, mut left) = (None, extent.bytes);
    let is_over = extent.bytes > rules.bytes;
    for segment in &extent.full {
        let is_over = is_over && left > rules.bytes / BELOW * (BELOW - 1);
        if !is_over && at(segment.last)?.plus(rules.age) > now {
            break;
        }
        left -= segment.bytes;
        last = Some(segment.last);
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::event::{Actor, EpochStarted, Event, Record};
    use crate::domain::id::Epoch;
    use crate::engine::fold::begin;
    use crate::engine::recovery::recover;
    use crate::log::EventLog;
    use crate::log::base::SegmentInfo;
    use crate::log::memory::MemoryLog;
    use crate::views::MemoryFinished;

    fn extent(bytes: &[u64]) -> Extent {
        let full = (0..).zip(bytes).map(|(place, &bytes)| SegmentInfo {
            first: Seq(place * 10 + 1),
            last: Seq(place * 10 + 10),
            bytes,
        });
        Extent {
            full: full.collect(),
            open: Seq(bytes.len() as u64 * 10 + 1),
            bytes: bytes.iter().sum::<u64>() + 5,
            base_bytes: 0,
        }
    }

    /// Each event happened at the moment of its number.
    fn due(extent: &Extent, age: u64, bytes: u64, now: i64) -> Option<u64> {
        let at = |seq: Seq| Ok(Timestamp::from_ms(seq.0 as i64));
        let rules = Rules { age: Millis(age), bytes };
        last_due(extent, rules, Timestamp::from_ms(now), at).unwrap().map(|seq| seq.0)
    }

    #[test]
    fn segments_go_when_their_last_event_is_old_enough() {
        let extent = extent(&[100, 100, 100]);
        assert_eq!(due(&extent, 1000, u64::MAX, 1009), None);
        assert_eq!(due(&extent, 1000, u64::MAX, 1010), Some(10));
        assert_eq!(due(&extent, 1000, u64::MAX, 1029), Some(20));
        assert_eq!(due(&extent, 1000, u64::MAX, 9999), Some(30), "what still takes events never goes");
    }

    #[test]
    fn a_log_that_takes_too_much_is_brought_down_below_its_bound_and_not_at_each_byte() {
        let extent = extent(&[100, 100, 100, 100]);
        assert_eq!(due(&extent, u64::MAX / 2, 405, 40), None);
        assert_eq!(due(&extent, u64::MAX / 2, 404, 40), Some(10));
        assert_eq!(due(&extent, u64::MAX / 2, 240, 40), Some(20));
        assert_eq!(due(&extent, u64::MAX / 2, 1, 40), Some(40));
    }

    /// A log of three segments, a moment apart, the views of it, and a trimmer for it.
    fn world(rules: Rules, free: u64) -> (MemoryLog, Trimmer, Arc<ManualClock>) {
        let mut log = MemoryLog::new();
        let epoch = |seq: u64| Record {
            seq: Seq(seq),
            at: Timestamp::from_ms(seq as i64 * 1000),
            previous: None,
            actor: Actor::SERVER,
            continues: false,
            event: Event::EpochStarted(EpochStarted {
                epoch: Epoch(uuid::Uuid::from_u128(seq.into())),
                previous_epoch: None,
                clean_shutdown: true,
                reset: false,
            }),
        };
        for seq in 1..=3 {
            log.submit([epoch(seq)].into()).unwrap();
            log.committed().unwrap();
        }
        let finished = Arc::new(MemoryFinished::default());
        let recovered = recover(&log.reader(), |_| None, finished, &|_| ()).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_ms(3500)));
        let trimmer = Trimmer {
            log: log.reader(),
            trimmer: log.trimmer(),
            hold: Arc::default(),
            views: recovered.views,
            clock: clock.clone(),
            rules,
            free: Box::new(move || Ok(free)),
            roll: Box::new(|| Err(SubmitError::Stopping)),
            min_free_bytes: 1000,
        };
        (log, trimmer, clock)
    }

    #[test]
    fn what_is_due_is_dropped_and_what_still_takes_events_is_ended_first() {
        let (mut log, mut trimmer, clock) = world(Rules { age: Millis(2000), bytes: u64::MAX }, u64::MAX);
        assert_eq!(trimmer.look(&|| false).unwrap(), Some(Seq(2)));
        assert_eq!(trimmer.look(&|| false).unwrap(), None);
        clock.set(Timestamp::from_ms(5000));
        assert!(matches!(trimmer.look(&|| false), Err(LookError::Roll(_))), "also event 3 is old now");
        assert_eq!(log.roll().unwrap(), Seq(4));
        trimmer.roll = Box::new(|| unreachable!("there is nothing to end"));
        assert_eq!(trimmer.look(&|| false).unwrap(), Some(Seq(4)));
        assert_eq!((log.reader().earliest(), log.last()), (Seq(4), Seq(3)));
        assert_eq!(begin(&*log.reader()).unwrap().epochs().len(), 3);
    }

    #[test]
    fn without_room_for_the_base_or_when_the_server_stops_nothing_is_dropped() {
        let rules = Rules { age: Millis(1000), bytes: u64::MAX };
        let (log, trimmer, _) = world(rules, 1000);
        let error = trimmer.look(&|| false).unwrap_err();
        assert!(matches!(error, LookError::NoRoom { free: 1000, .. }), "{error}");
        let (_, trimmer, _) = world(rules, u64::MAX);
        assert!(matches!(trimmer.look(&|| true), Err(LookError::Fold(FoldError::Stopped))));
        assert_eq!(log.reader().earliest(), Seq(1));
    }

    #[test]
    fn nothing_is_dropped_while_the_log_is_copied() {
        let (_log, trimmer, clock) = world(Rules { age: Millis(2000), bytes: u64::MAX }, u64::MAX);
        trimmer.hold.renew(clock.now());
        assert_eq!(trimmer.look(&|| false).unwrap(), None);
        // A clock that was set back ends a hold.
        clock.set(Timestamp::from_ms(3400));
        assert_eq!(trimmer.look(&|| false).unwrap(), Some(Seq(2)));
    }

    #[test]
    fn a_segment_that_takes_events_or_is_not_sealed_stays() {
        assert_eq!(due(&extent(&[]), 0, 0, 99), None);
    }
}
