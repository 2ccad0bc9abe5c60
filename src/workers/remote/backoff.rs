//! How long a worker waits before it tries to reach its server again. Pure: chance comes in as a number, nothing sleeps.

use crate::domain::time::Millis;

/// The longest wait after the first failure.
pub const WAIT_FIRST: Millis = Millis(500);
/// The longest wait ever.
pub const WAIT_MAX: Millis = Millis::from_secs(30);
/// The longest wait while there are jobs in hand: a fifth of the grace that servers give unless they are told otherwise.
pub const WAIT_WITH_JOBS_MAX: Millis = Millis::from_secs(2);

/// The memory of the failures in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait before the next try: anything up to a limit that doubles from 0.5 s to 30 s. The jitter is full, so that
    /// a thousand workers that lost the same server do not come back as one. It is never longer than `most`: who holds
    /// leases must be back before they end.
    pub fn wait(&mut self, chance: u64, most: Millis) -> Millis {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let limit = WAIT_FIRST.0.saturating_mul(1 << doublings).min(WAIT_MAX.0).min(most.0);
        Millis(chance % (limit + 1))
    }

    /// The server was reached.
    pub fn reached(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_the_wait_doubles_from_half_a_second_to_half_a_minute() {
        let mut backoff = Backoff::default();
        let limits: Vec<u64> = [501, 1001, 2001, 4001, 8001, 16001, 30001, 30001]
            .into_iter()
            .map(|chances| backoff.wait(chances - 1, WAIT_MAX).0)
            .collect();
        assert_eq!(limits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    }

    #[test]
    fn the_jitter_is_full() {
        assert_eq!(Backoff::default().wait(0, WAIT_MAX), Millis(0));
        for failures in 0..40 {
            for chance in [7, u64::MAX / 3, u64::MAX] {
                let wait = Backoff { failures }.wait(chance, WAIT_MAX);
                assert!(wait <= WAIT_MAX, "{wait:?}");
            }
        }
    }

    #[test]
    fn who_must_be_back_soon_waits_no_longer() {
        assert_eq!(Backoff { failures: 20 }.wait(20_000, Millis(2000)), Millis(20_000 % 2001));
    }

    #[test]
    fn a_server_that_was_reached_is_tried_again_soon() {
        let mut backoff = Backoff { failures: 20 };
        backoff.reached();
        assert_eq!(backoff, Backoff::default());
    }
}
