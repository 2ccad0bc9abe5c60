//! How often things happened lately: one-second buckets over five minutes, from the moments of the records. Knows
//! nothing of jobs.

use crate::domain::event::Event;
use crate::domain::time::Timestamp;
use crate::views::row::{Rate, RateTable};

/// The longest span over which rates are told, in seconds.
const SPAN_S: i64 = 300;
const SHORT_SPAN_S: i64 = 60;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    Submitted,
    Started,
    Completed,
    Failed,
}

impl Counted {
    /// What an event counts as, if it counts.
    pub fn of(event: &Event) -> Option<Counted> {
        match event {
            Event::JobSubmitted(_) => Some(Counted::Submitted),
            Event::JobStarted(_) => Some(Counted::Started),
            Event::JobCompleted(_) => Some(Counted::Completed),
            Event::JobFailed(_) => Some(Counted::Failed),
            Event::EpochStarted(_)
            | Event::JobQueued(_)
            | Event::JobScheduled(_)
            | Event::JobProgressed(_)
            | Event::JobItemsAdded(_)
            | Event::JobItemsReported(_)
            | Event::JobCheckpointed(_)
            | Event::JobFileStored(_)
            | Event::JobAttemptFailed(_)
            | Event::JobAttemptLost(_)
            | Event::JobCancelRequested(_)
            | Event::JobCancelled(_)
            | Event::JobRetried(_)
            | Event::JobAmended(_)
            | Event::JobLateResult(_)
            | Event::JobAdopted(_)
            | Event::JobsForgotten(_)
            | Event::JobPurged(_)
            | Event::QueuePaused(_)
            | Event::QueueResumed(_)
            | Event::QueueDraining(_)
            | Event::QueueRateSpent(_)
            | Event::WorkerJoined(_)
            | Event::WorkerLeft(_)
            | Event::ScheduleChanged(_)
            | Event::ScheduleFired(_) => None,
        }
    }
}

/// The counts of the last five minutes.
#[derive(Debug, Clone)]
pub struct Rates {
    buckets: Box<[[u32; 4]]>,
    /// The second of the newest bucket, since 1970.
    newest_s: i64,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates { buckets: vec![[0; 4]; SPAN_S as usize].into_boxed_slice(), newest_s: 0 }
    }
}

impl Rates {
    /// Counts one event. Moments come in order; one that is older than the span is not counted.
    pub fn note(&mut self, counted: Counted, at: Timestamp) {
        let second = second_of(at);
        let stale = (second - self.newest_s).clamp(0, SPAN_S);
        for step in 0..stale {
            self.buckets[place_of(second - step)] = [0; 4];
        }
        self.newest_s = self.newest_s.max(second);
        if second > self.newest_s - SPAN_S {
            self.buckets[place_of(second)][counted as usize] += 1;
        }
    }

    /// The rates as of `now`.
    pub fn table(&self, now: Timestamp) -> RateTable {
        let short = self.sums(now, SHORT_SPAN_S);
        let long = self.sums(now, SPAN_S);
        let rate = |counted: Counted| Rate {
            per_second_1m: short[counted as usize] as f64 / SHORT_SPAN_S as f64,
            per_second_5m: long[counted as usize] as f64 / SPAN_S as f64,
        };
        RateTable {
            submitted: rate(Counted::Submitted),
            started: rate(Counted::Started),
            completed: rate(Counted::Completed),
            failed: rate(Counted::Failed),
        }
    }

    /// The sums over the `span_s` seconds that end with the second of `now`.
    fn sums(&self, now: Timestamp, span_s: i64) -> [u64; 4] {
        let last = second_of(now).min(self.newest_s);
        let first = (second_of(now) - span_s + 1).max(self.newest_s - SPAN_S + 1);
        let mut sums = [0; 4];
        for second in first..=last {
            let bucket = &self.buckets[place_of(second)];
            sums.iter_mut().zip(bucket).for_each(|(sum, count)| *sum += u64::from(*count));
        }
        sums
    }
}

fn second_of(at: Timestamp) -> i64 {
    at.as_ms().div_euclid(1000)
}

fn place_of(second: i64) -> usize {
    second.rem_euclid(SPAN_S) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_ms(1_790_000_000_000 + second * 1000)
    }

    #[test]
    fn rates_are_averages_over_one_and_five_minutes() {
        let mut rates = Rates::default();
        (0..600).for_each(|second| rates.note(Counted::Submitted, at(second)));
        let table = rates.table(at(599));
        assert_eq!(table.submitted, Rate { per_second_1m: 1.0, per_second_5m: 1.0 });
        assert_eq!(table.started, Rate::default());
    }

    #[test]
    fn rates_fade_while_nothing_happens() {
        let mut rates = Rates::default();
        (0..60).for_each(|_| rates.note(Counted::Failed, at(0)));
        assert_eq!(rates.table(at(59)).failed, Rate { per_second_1m: 1.0, per_second_5m: 0.2 });
        assert_eq!(rates.table(at(60)).failed, Rate { per_second_1m: 0.0, per_second_5m: 0.2 });
        assert_eq!(rates.table(at(300)).failed, Rate::default());
    }

    #[test]
    fn a_bucket_that_is_used_again_forgets_what_was_in_it() {
        let mut rates = Rates::default();
        rates.note(Counted::Started, at(0));
        rates.note(Counted::Started, at(300));
        rates.note(Counted::Started, at(100_000));
        assert_eq!(rates.table(at(100_000)).started.per_second_5m, 1.0 / 300.0);
    }
}
