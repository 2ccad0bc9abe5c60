//! When a worker process that ended is started again. Pure: time and chance come in as numbers, nothing sleeps here.

use crate::domain::time::Millis;

/// The shortest wait before a restart.
pub const WAIT_MIN: Millis = Millis::from_secs(1);
/// The longest wait before a restart.
pub const WAIT_MAX: Millis = Millis::from_secs(60);
/// A process that lived this long was healthy: what happened before it is forgotten.
pub const HEALTHY_AFTER: Millis = Millis::from_secs(60);

/// How a process ended, as far as its restart is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It left of its own accord after it had done work, as workers do that renew themselves after some jobs.
    Renewal,
    /// Anything else: a crash, a kill, a program that could not be started.
    Fault { lived: Millis },
}

/// The memory of one process slot: how often it failed in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restarts {
    faults: u32,
}

impl Restarts {
    /// The wait before the next start: 1 s, doubled with each fault in a row, with a jitter of ±20 %, at most 60 s.
    pub fn wait_after(&mut self, ending: Ending, chance: u64) -> Millis {
        match ending {
            Ending::Renewal => self.faults = 0,
            Ending::Fault { lived } if lived >= HEALTHY_AFTER => self.faults = 1,
            Ending::Fault { .. } => self.faults = self.faults.saturating_add(1),
        }
        let doublings = self.faults.saturating_sub(1).min(10);
        let wait = WAIT_MIN.0.saturating_mul(1 << doublings).min(WAIT_MAX.0);
        let per_mille = 800 + chance % 401;
        Millis((wait * per_mille / 1000).clamp(WAIT_MIN.0, WAIT_MAX.0))
    }

    /// How many faults there were in a row.
    pub fn faults(&self) -> u32 {
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Ending = Ending::Fault { lived: Millis(3) };

    #[test]
    fn the_wait_doubles_with_each_fault_in_a_row_from_one_second_to_a_minute() {
        let mut restarts = Restarts::default();
        let waits: Vec<u64> = (0..9).map(|_| restarts.wait_after(AT_ONCE, 200).0 / 1000).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn the_jitter_stays_within_a_fifth_and_within_the_limits() {
        for faults in 0..40 {
            for chance in [0, 200, 400] {
                let wait = Restarts { faults }.wait_after(AT_ONCE, chance);
                let base = 1000_u64.saturating_mul(1 << faults.min(10)).min(60_000);
                assert!(wait.0 >= (base * 8 / 10).max(1000) && wait.0 <= (base * 12 / 10).min(60_000), "{wait:?}");
            }
        }
    }

    #[test]
    fn after_a_healthy_minute_the_waits_begin_again() {
        let mut restarts = Restarts { faults: 9 };
        assert_eq!(restarts.wait_after(Ending::Fault { lived: HEALTHY_AFTER }, 200), WAIT_MIN);
        assert_eq!(restarts.wait_after(AT_ONCE, 200), Millis(2000));
    }

    #[test]
    fn a_worker_that_renews_itself_after_its_work_does_not_wait_longer_and_longer() {
        let mut restarts = Restarts::default();
        for _ in 0..9 {
            assert_eq!(restarts.wait_after(Ending::Renewal, 0), WAIT_MIN);
        }
    }
}
