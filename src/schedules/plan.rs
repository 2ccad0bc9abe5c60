//! Which times of a schedule are to be acted upon now, and how: the policy for missed times.

use crate::domain::schedule::Missed;
use crate::domain::time::{Millis, Timestamp};
use crate::schedules::Calendar;

/// A time that is noticed so late was missed; before that it is only late, and fired as usual. A server that restarts
/// in less loses no time.
pub const MISSED_AFTER: Millis = Millis::from_secs(60);
/// The most missed times that each make a job of their own: the latest ones.
pub const MISSED_JOBS_MAX: usize = 1_000;
/// The most missed times that are counted.
pub const PASSED_COUNTED_MAX: usize = 10_000;

/// One step of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Firing {
    /// The schedule's next time before this step.
    pub expected: Timestamp,
    /// The time that is acted upon.
    pub due_at: Timestamp,
    /// The schedule's next time after this step.
    pub next_at: Option<Timestamp>,
    /// How many missed times before `due_at` are passed over.
    pub passed: u32,
    /// Whether this one was missed too, and makes no job.
    pub is_missed: bool,
}

/// The steps that a schedule, whose next time is `expected`, has to take at the moment `now`, in order. None when it
/// is not due.
pub fn plan(calendar: &Calendar, missed: Missed, expected: Timestamp, now: Timestamp) -> Vec<Firing> {
    if expected > now {
        return Vec::new();
    }
    // From the latest back: however long the server was down, only so many are looked at. The expected time itself is
    // among them even when the rules of its time zone have changed meanwhile.
    let later = calendar.back_from(now).take_while(|&time| time > expected).take(PASSED_COUNTED_MAX);
    let mut times: Vec<Timestamp> = later.collect();
    times.push(expected);
    times.reverse();
    let late = times.partition_point(|&time| now.since(time) > MISSED_AFTER);
    let first = match missed {
        // The missed ones are passed over together with the first that is not.
        Missed::Skip | Missed::Once if late < times.len() => late,
        Missed::Skip | Missed::Once => late - 1,
        Missed::All => late.saturating_sub(MISSED_JOBS_MAX),
    };
    let is_missed = |time: usize| missed == Missed::Skip && time < late;
    let steps = (first..times.len()).map(|time| Firing {
        expected: if time == first { expected } else { times[time] },
        due_at: times[time],
        next_at: times.get(time + 1).copied().or_else(|| calendar.after(times[time].max(now))),
        passed: if time == first { first as u32 } else { 0 },
        is_missed: is_missed(time),
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a moment")
    }

    fn steps(missed: Missed, expected: &str, now: &str) -> Vec<Firing> {
        plan(&Calendar::read("*/10 * * * *", "UTC").expect("reads"), missed, at(expected), at(now))
    }

    fn step(expected: &str, due_at: &str, next_at: &str, passed: u32) -> Firing {
        let next_at = Some(at(next_at));
        Firing { expected: at(expected), due_at: at(due_at), next_at, passed, is_missed: false }
    }

    const ALL: [Missed; 3] = [Missed::Skip, Missed::Once, Missed::All];

    #[test]
    fn a_time_that_has_not_come_makes_no_step() {
        assert_eq!(steps(Missed::All, "2026-11-20T10:10:00Z", "2026-11-20T10:09:59.999Z"), []);
    }

    #[test]
    fn a_time_that_is_at_most_a_minute_late_is_fired_whatever_the_policy() {
        for missed in ALL {
            let fired = step("2026-11-20T10:10:00Z", "2026-11-20T10:10:00Z", "2026-11-20T10:20:00Z", 0);
            assert_eq!(steps(missed, "2026-11-20T10:10:00Z", "2026-11-20T10:10:00Z"), [fired]);
            assert_eq!(steps(missed, "2026-11-20T10:10:00Z", "2026-11-20T10:11:00Z"), [fired]);
        }
    }

    #[test]
    fn missed_times_that_are_skipped_make_one_step_without_a_job() {
        let fired = step("2026-11-20T10:10:00Z", "2026-11-20T10:30:00Z", "2026-11-20T10:40:00Z", 2);
        let fired = Firing { is_missed: true, ..fired };
        assert_eq!(steps(Missed::Skip, "2026-11-20T10:10:00Z", "2026-11-20T10:35:00Z"), [fired]);
    }

    #[test]
    fn missed_times_that_count_once_make_one_job_for_the_latest() {
        let fired = step("2026-11-20T10:10:00Z", "2026-11-20T10:30:00Z", "2026-11-20T10:40:00Z", 2);
        assert_eq!(steps(Missed::Once, "2026-11-20T10:10:00Z", "2026-11-20T10:35:00Z"), [fired]);
    }

    #[test]
    fn a_time_that_has_just_come_stands_for_the_missed_ones_before_it() {
        for missed in [Missed::Skip, Missed::Once] {
            let fired = step("2026-11-20T10:10:00Z", "2026-11-20T10:30:00Z", "2026-11-20T10:40:00Z", 2);
            assert_eq!(steps(missed, "2026-11-20T10:10:00Z", "2026-11-20T10:30:20Z"), [fired]);
        }
    }

    #[test]
    fn missed_times_that_all_count_make_a_job_each() {
        let wanted = [
            step("2026-11-20T10:10:00Z", "2026-11-20T10:10:00Z", "2026-11-20T10:20:00Z", 0),
            step("2026-11-20T10:20:00Z", "2026-11-20T10:20:00Z", "2026-11-20T10:30:00Z", 0),
            step("2026-11-20T10:30:00Z", "2026-11-20T10:30:00Z", "2026-11-20T10:40:00Z", 0),
        ];
        assert_eq!(steps(Missed::All, "2026-11-20T10:10:00Z", "2026-11-20T10:35:00Z"), wanted);
    }

    #[test]
    fn of_too_many_missed_times_the_latest_make_jobs_and_the_others_are_counted() {
        // Ten days of every ten minutes: 1,440 times.
        let steps = steps(Missed::All, "2026-11-10T00:00:00Z", "2026-11-19T23:55:00Z");
        assert_eq!((steps.len(), steps[0].passed, steps[1].passed), (MISSED_JOBS_MAX, 440, 0));
        assert_eq!(steps[0].expected, at("2026-11-10T00:00:00Z"));
        assert_eq!(steps[0].due_at, at("2026-11-13T01:20:00Z"));
        let joined = steps.windows(2).all(|pair| pair[0].next_at == Some(pair[1].expected));
        assert!(joined, "each step expects what the one before left");
    }

    #[test]
    fn after_years_only_so_many_times_are_looked_at() {
        let every = Calendar::read("* * * * *", "UTC").expect("reads");
        let steps = plan(&every, Missed::Once, at("2020-01-01T00:00:00Z"), at("2026-11-20T10:05:30Z"));
        assert_eq!(steps.len(), 1);
        assert_eq!((steps[0].passed, steps[0].due_at), (PASSED_COUNTED_MAX as u32, at("2026-11-20T10:05:00Z")));
    }

    #[test]
    fn a_time_that_the_rules_no_longer_know_is_fired_all_the_same() {
        let fired = step("2026-11-20T10:13:00Z", "2026-11-20T10:13:00Z", "2026-11-20T10:20:00Z", 0);
        assert_eq!(steps(Missed::Once, "2026-11-20T10:13:00Z", "2026-11-20T10:13:10Z"), [fired]);
    }
}
