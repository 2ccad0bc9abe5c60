//! When an event is due while a log is played with its own timing. Pure: the time that has passed comes in as a number.

use std::time::Duration;

use crate::cli::args::Speed;
use crate::domain::time::Timestamp;

/// The longest that nothing moves: a night in which nothing happened is not sat through.
const GAP_MAX: Duration = Duration::from_secs(5);

/// Keeps the distances between events, as far as they are not too long.
pub struct Pace {
    speed: Speed,
    last: Option<Timestamp>,
    /// When the last event was due, from the beginning.
    due: Duration,
}

impl Pace {
    /// Of a speed.
    pub fn new(speed: Speed) -> Pace {
        Pace { speed, last: None, due: Duration::ZERO }
    }

    /// How long is to be waited for the event that happened at `at`, when so much time has passed since the beginning.
    pub fn wait(&mut self, at: Timestamp, passed: Duration) -> Duration {
        let Speed::Times(times) = self.speed else { return Duration::ZERO };
        let gap = self.last.map_or(0, |last| at.since(last).0);
        self.last = Some(at);
        // Who is late stays late: what is shown keeps its distances.
        self.due = self.due.max(passed.saturating_sub(GAP_MAX));
        self.due += Duration::from_secs_f64(gap as f64 / 1000.0 / times).min(GAP_MAX);
        self.due.saturating_sub(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_kept_at_the_speed_and_long_ones_are_cut() {
        let at = |second: i64| Timestamp::from_ms(1_790_000_000_000 + second * 1000);
        let mut pace = Pace::new(Speed::Times(10.0));
        assert_eq!(pace.wait(at(0), Duration::ZERO), Duration::ZERO);
        assert_eq!(pace.wait(at(20), Duration::ZERO), Duration::from_secs(2));
        assert_eq!(pace.wait(at(30), Duration::from_secs(2)), Duration::from_secs(1));
        assert_eq!(pace.wait(at(90_000), Duration::from_secs(3)), GAP_MAX);
        assert_eq!(Pace::new(Speed::Max).wait(at(9), Duration::ZERO), Duration::ZERO);
    }
}
