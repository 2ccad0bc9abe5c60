//! When the next attempt may start. Pure: chance comes in as a number, the answer goes into the event.

use serde::{Deserialize, Serialize};

use crate::domain::time::{Millis, Timestamp};

/// The settings of a job that decide its failures; resolved at submission, so that replay needs no configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Policy {
    /// Attempts that may fail before the job does, 1 and up.
    pub max_attempts: u32,
    /// Losses that are borne; one more fails the job.
    pub max_lost: u32,
    /// Running time of one attempt, none without a limit.
    pub timeout: Option<Millis>,
    /// The wait after the first failed attempt; doubled after each further one.
    pub backoff: Millis,
    /// The longest wait.
    pub backoff_max: Millis,
    /// How long a worker may take to stop after a cancel or a timeout.
    pub grace: Millis,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            max_attempts: 2,
            max_lost: 5,
            timeout: None,
            backoff: Millis::from_secs(5),
            backoff_max: Millis::from_secs(3600),
            grace: Millis::from_secs(10),
        }
    }
}

impl Policy {
    /// The moment of the next attempt after `failures` failed ones: exponential, with a jitter of ±20 %, and never
    /// later than the longest wait.
    pub fn retry_at(&self, failures: u32, now: Timestamp, chance: u64) -> Timestamp {
        let doublings = failures.saturating_sub(1).min(40);
        let wait = self.backoff.0.saturating_mul(1 << doublings).min(self.backoff_max.0);
        let per_mille = 800 + chance % 401;
        let jittered = (u128::from(wait) * u128::from(per_mille) / 1000) as u64;
        now.plus(Millis(jittered.min(self.backoff_max.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_each_failure_up_to_its_limit_within_the_jitter() {
        let policy = Policy { backoff: Millis(1000), backoff_max: Millis(6000), ..Policy::default() };
        let now = Timestamp::from_ms(1_000_000);
        for (failures, base) in [(1, 1000), (2, 2000), (3, 4000), (4, 6000), (90, 6000)] {
            let least = policy.retry_at(failures, now, 0).since(now).0;
            let most = policy.retry_at(failures, now, 400).since(now).0;
            assert_eq!((least, most), (base * 8 / 10, (base * 12 / 10).min(6000)), "after {failures} failures");
        }
    }
}
