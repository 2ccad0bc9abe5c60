//! How fast a queue starts jobs: what was started fills a bucket, and the bucket runs out at the queue's rate.
//!
//! The level is kept in millionths of a job, rounded so that never too many start. It is read against the rate that is
//! configured now: a rate that was changed is in effect at once, and what was used up under another one never holds a
//! queue back for longer than one job of the new rate takes. Reads no clock (D1).

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::time::{Millis, Timestamp};

/// One job, in the unit in which the level of a bucket is kept.
const JOB: u128 = 1_000_000;

/// So many jobs in so much time, as configuration says. One second's worth may start at once, and always one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub jobs: NonZeroU32,
    pub per: RateUnit,
}

/// The time in which a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateUnit {
    Second,
    Minute,
    Hour,
}

/// How full a queue's bucket was when jobs were started from it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    pub at: Timestamp,
    /// In millionths of a job.
    pub used_millionths: u64,
}

/// Why a text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be like \"10/s\", \"100/m\" or \"1000/h\"")]
pub struct NotARate;

impl RateLimit {
    /// How many jobs may start at `now`, after what was started before.
    pub fn free(self, spent: Option<Spent>, now: Timestamp) -> u32 {
        let free = (self.burst() - self.level(spent, now)) / JOB;
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// The first moment at which a job may start; none when it was free from the beginning.
    pub fn next_start_at(self, spent: Option<Spent>) -> Option<Timestamp> {
        let spent = spent?;
        let surplus = (self.level(Some(spent), spent.at) + JOB).saturating_sub(self.burst());
        let span = (surplus * self.span()).div_ceil(self.per_span());
        (span > 0).then(|| spent.at.plus(Millis(u64::try_from(span).unwrap_or(u64::MAX))))
    }

    /// The level of the bucket once `jobs` more are started at `now`, in millionths of a job.
    pub fn spend(self, spent: Option<Spent>, now: Timestamp, jobs: u32) -> u64 {
        let level = self.level(spent, now) + u128::from(jobs) * JOB;
        u64::try_from(level).expect("a bucket holds no more jobs than a rate can name")
    }

    fn level(self, spent: Option<Spent>, now: Timestamp) -> u128 {
        let Some(spent) = spent else { return 0 };
        let run_out = u128::from(now.since(spent.at).0) * self.per_span() / self.span();
        u128::from(spent.used_millionths).min(self.burst()).saturating_sub(run_out)
    }

    /// What may start at once: the worth of a second, and always one job.
    fn burst(self) -> u128 {
        (self.per_span() * 1000 / self.span()).max(JOB)
    }

    fn per_span(self) -> u128 {
        u128::from(self.jobs.get()) * JOB
    }

    /// The time of the rate in milliseconds.
    fn span(self) -> u128 {
        match self.per {
            RateUnit::Second => 1000,
            RateUnit::Minute => 60_000,
            RateUnit::Hour => 3_600_000,
        }
    }
}

impl FromStr for RateLimit {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<RateLimit, NotARate> {
        let (jobs, unit) = text.split_once('/').ok_or(NotARate)?;
        let per = match unit {
            "s" => RateUnit::Second,
            "m" => RateUnit::Minute,
            "h" => RateUnit::Hour,
            _ => return Err(NotARate),
        };
        Ok(RateLimit { jobs: jobs.parse().map_err(|_| NotARate)?, per })
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per {
            RateUnit::Second => 's',
            RateUnit::Minute => 'm',
            RateUnit::Hour => 'h',
        };
        write!(f, "{}/{unit}", self.jobs)
    }
}

impl Serialize for RateLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RateLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RateLimit, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for RateLimit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RateLimit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[1-9][0-9]*/[smh]$",
            "description": "So many jobs a second, a minute or an hour, as the configuration says it."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> RateLimit {
        text.parse().expect("a rate")
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(1_000_000 + ms)
    }

    fn spent(ms: i64, jobs: f64) -> Option<Spent> {
        Some(Spent { at: at(ms), used_millionths: (jobs * 1e6) as u64 })
    }

    #[test]
    fn a_rate_reads_and_writes_as_in_the_configuration() {
        for text in ["10/s", "100/m", "1000/h", "4294967295/s"] {
            assert_eq!(rate(text).to_string(), text);
        }
        for text in ["", "10", "0/s", "10/d", "-1/s", "ten/s", "1.5/s", "4294967296/s"] {
            assert_eq!(text.parse::<RateLimit>(), Err(NotARate), "{text}");
        }
    }

    #[test]
    fn what_a_second_brings_may_start_at_once_and_always_one_job() {
        assert_eq!(rate("10/s").free(None, at(0)), 10);
        assert_eq!(rate("120/m").free(None, at(0)), 2);
        assert_eq!(rate("7/h").free(None, at(0)), 1);
        assert_eq!(rate("4294967295/s").free(None, at(0)), u32::MAX);
    }

    #[test]
    fn a_bucket_runs_out_at_its_rate_and_never_below_empty() {
        let rate = rate("10/s");
        assert_eq!(rate.free(spent(0, 10.0), at(99)), 0);
        assert_eq!(rate.free(spent(0, 10.0), at(100)), 1);
        assert_eq!(rate.free(spent(0, 10.0), at(550)), 5);
        assert_eq!(rate.free(spent(0, 10.0), at(3_600_000)), 10);
    }

    #[test]
    fn the_next_start_is_the_very_first_moment_at_which_one_is_free() {
        for text in ["1/s", "3/s", "7/s", "999/s", "1000000/s", "7/m", "100/m", "7/h", "3600/h"] {
            let rate = rate(text);
            let full = Some(Spent { at: at(0), used_millionths: rate.spend(None, at(0), rate.free(None, at(0))) });
            let next = rate.next_start_at(full).expect("a full bucket lets nothing start");
            let before = Timestamp::from_ms(next.as_ms() - 1);
            assert_eq!(rate.free(full, before), 0, "{text}");
            assert!(rate.free(full, next) > 0, "{text}");
        }
        assert_eq!(rate("10/s").next_start_at(None), None);
        assert_eq!(rate("10/s").next_start_at(spent(0, 9.0)), None);
    }

    #[test]
    fn over_any_window_no_more_start_than_a_burst_and_what_the_rate_brings() {
        for (text, step) in [("3/s", 1), ("7/s", 37), ("999/s", 3), ("100/m", 611), ("7/h", 104_729)] {
            let rate = rate(text);
            let (mut now, mut state, mut started) = (0, None, 0_u128);
            for _ in 0..5000 {
                let jobs = rate.free(state, at(now));
                state = Some(Spent { at: at(now), used_millionths: rate.spend(state, at(now), jobs) });
                started += u128::from(jobs);
                let brought = now as u128 * rate.per_span() / rate.span();
                assert!(started * JOB <= rate.burst() + brought, "{text}: {started} by {now} ms");
                now += step;
            }
        }
    }

    #[test]
    fn who_starts_a_job_at_each_moment_that_is_told_gets_what_the_rate_brings() {
        for text in ["3/s", "7/s", "999/s", "100/m", "7/h"] {
            let rate = rate(text);
            let (mut now, mut state, mut started) = (at(0), None, 0_u128);
            while started < 5000 {
                let jobs = rate.free(state, now);
                state = Some(Spent { at: now, used_millionths: rate.spend(state, now, jobs) });
                started += u128::from(jobs);
                now = rate.next_start_at(state).expect("a full bucket lets nothing start");
            }
            let brought = u128::from(now.since(at(0)).0) * rate.per_span() / rate.span();
            assert!((started + 1) * JOB >= brought, "{text}: only {started}");
        }
    }

    #[test]
    fn a_changed_rate_is_in_effect_at_once_and_holds_nothing_back_for_longer_than_its_own_next_job() {
        let hourly = spent(0, 1.0);
        assert_eq!(rate("1/h").next_start_at(hourly), Some(at(3_600_000)));
        assert_eq!(rate("10/s").next_start_at(hourly), None, "one of ten is used");
        let thousand = spent(0, 1000.0);
        assert_eq!(rate("1000/s").next_start_at(thousand), Some(at(1)));
        assert_eq!(rate("1/m").next_start_at(thousand), Some(at(60_000)));
        assert_eq!(rate("2/s").next_start_at(thousand), Some(at(500)));
    }
}
