//! The times of a cron expression in a time zone.
//!
//! Where clocks are moved, this does what cron has always done (Vixie's cron, and the Open Cron Pattern Specification):
//!
//! | | a time that does not exist | a time that comes twice |
//! |---|---|---|
//! | minute and hour are named: `30 2 * * *` | at the first moment after the gap | once, the first time |
//! | one has `*` or `*/n`: `*/15 * * * *` | it is not made up for | both times |
//!
//! So a nightly job runs exactly once a night, and an hourly one once each hour that passes. When both the day of the
//! month and the day of the week are named, one of them is enough.

use std::fmt::Display;
use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::domain::limits::{CRON_BYTES_MAX, TIME_ZONE_BYTES_MAX};
use crate::domain::time::Timestamp;

/// The words that stand for an expression.
pub const WORDS: [&str; 6] = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually"];
/// How many fields an expression has.
const FIELDS: usize = 5;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Calendar {
    cron: Cron,
    zone: TimeZone,
    /// The expression as it is kept, with one blank between its fields.
    pub text: Arc<str>,
    /// The name of the time zone as its registry writes it.
    pub zone_name: Arc<str>,
}

/// Why there is no calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    #[error("has {count} fields and must have five: minute, hour, day of the month, month, day of the week")]
    Fields { count: usize },
    #[error("must have 1 to {CRON_BYTES_MAX} bytes, and has {bytes}")]
    TooLong { bytes: usize },
    #[error("{word:?} is no known word; there are {}", WORDS.join(", "))]
    Word { word: String },
    #[error("cannot be read: {reason}")]
    Cron { reason: String },
    #[error("{name:?} is no time zone; name one like \"Europe/Berlin\"")]
    TimeZone { name: String },
}

impl CalendarError {
    /// Whether the time zone is at fault, and not the expression.
    pub fn is_of_time_zone(&self) -> bool {
        matches!(self, CalendarError::TimeZone { .. })
    }
}

impl Calendar {
    /// Reads an expression and the name of a time zone.
    ///
    /// # Errors
    /// When one of them means nothing.
    pub fn read(cron: &str, time_zone: &str) -> Result<Calendar, CalendarError> {
        let (cron, text) = read_cron(cron)?;
        let zone = read_zone(time_zone)?;
        let zone_name = zone.iana_name().unwrap_or(time_zone).into();
        Ok(Calendar { cron, zone, text, zone_name })
    }

    /// The first time after a moment; none when there is none for thousands of years.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        self.cron.find_next_occurrence(&self.zoned(moment), false).ok().map(|found| moment_of(&found))
    }

    /// The times at or before a moment, the latest first.
    pub fn back_from(&self, moment: Timestamp) -> impl Iterator<Item = Timestamp> {
        let mut from = Some((self.zoned(moment), true));
        std::iter::from_fn(move || {
            let (start, inclusive) = from.take()?;
            let found = self.cron.find_previous_occurrence(&start, inclusive).ok()?;
            let moment = moment_of(&found);
            from = Some((found, false));
            Some(moment)
        })
    }

    /// The moment on the clocks of the zone, without its fraction of a second: cron knows none.
    fn zoned(&self, moment: Timestamp) -> Zoned {
        let whole = jiff::Timestamp::from_second(moment.as_ms().div_euclid(1000));
        whole.expect("a moment lies between 1970 and 9999").to_zoned(self.zone.clone())
    }
}

/// Reads the name of a time zone.
pub fn read_zone(name: &str) -> Result<TimeZone, CalendarError> {
    let unknown = || CalendarError::TimeZone { name: name.chars().take(TIME_ZONE_BYTES_MAX).collect() };
    if name.is_empty() || name.len() > TIME_ZONE_BYTES_MAX {
        return Err(unknown());
    }
    TimeZone::get(name).map_err(|_| unknown())
}

/// Reads an expression, and gives the text that is kept of it.
pub fn read_cron(text: &str) -> Result<(Cron, Arc<str>), CalendarError> {
    if text.len() > CRON_BYTES_MAX {
        return Err(CalendarError::TooLong { bytes: text.len() });
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    match fields[..] {
        [word] if word.starts_with('@') => {
            if !WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
                return Err(CalendarError::Word { word: word.to_owned() });
            }
        }
        _ if fields.len() == FIELDS => {}
        _ => return Err(CalendarError::Fields { count: fields.len() }),
    }
    let kept = fields.join(" ");
    let cron = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build().parse(&kept);
    Ok((cron.map_err(|error| CalendarError::Cron { reason: in_our_words(&error) })?, kept.into()))
}

fn in_our_words(error: &impl Display) -> String {
    let text = error.to_string();
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn moment_of(zoned: &Zoned) -> Timestamp {
    Timestamp::from_ms(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a moment")
    }

    fn berlin(cron: &str) -> Calendar {
        Calendar::read(cron, "Europe/Berlin").expect("means something")
    }

    /// The next times after a moment, as hours and minutes of UTC.
    fn next(calendar: &Calendar, from: &str, count: usize) -> Vec<String> {
        let mut moment = at(from);
        let mut times = Vec::new();
        for _ in 0..count {
            moment = calendar.after(moment).expect("there is a next time");
            times.push(moment.to_string()[5..16].to_owned());
        }
        times
    }

    #[test]
    fn fields_take_names_ranges_lists_and_steps() {
        let weekdays = Calendar::read("*/20 9-10 * * MON-fri", "UTC").expect("reads");
        // A Friday.
        assert_eq!(next(&weekdays, "2026-11-20T10:30:00Z", 3), ["11-20T10:40", "11-23T09:00", "11-23T09:20"]);
        let months = Calendar::read("0 0 1 jan,JUL *", "UTC").expect("reads");
        assert_eq!(next(&months, "2026-11-20T10:30:00Z", 3), ["01-01T00:00", "07-01T00:00", "01-01T00:00"]);
        let sunday = Calendar::read("0 12 * * 7", "UTC").expect("reads");
        assert_eq!(next(&sunday, "2026-11-20T10:30:00Z", 1), ["11-22T12:00"]);
    }

    #[test]
    fn a_named_day_of_the_month_and_a_named_day_of_the_week_are_each_enough() {
        let either = Calendar::read("0 0 13 * FRI", "UTC").expect("reads");
        let times = next(&either, "2026-12-01T00:00:00Z", 4);
        assert_eq!(times, ["12-04T00:00", "12-11T00:00", "12-13T00:00", "12-18T00:00"]);
    }

    #[test]
    fn words_stand_for_expressions() {
        for (word, first) in [
            ("@hourly", "11-20T11:00"),
            ("@daily", "11-21T00:00"),
            ("@weekly", "11-22T00:00"),
            ("@monthly", "12-01T00:00"),
            ("@Yearly", "01-01T00:00"),
        ] {
            let calendar = Calendar::read(word, "UTC").expect("reads");
            assert_eq!(next(&calendar, "2026-11-20T10:30:00Z", 1), [first], "{word}");
        }
    }

    #[test]
    fn a_time_is_found_from_within_its_own_minute_only_when_it_lies_ahead() {
        let every = Calendar::read("* * * * *", "UTC").expect("reads");
        assert_eq!(every.after(at("2026-11-20T10:30:00Z")), Some(at("2026-11-20T10:31:00Z")));
        assert_eq!(every.after(at("2026-11-20T10:30:59.999Z")), Some(at("2026-11-20T10:31:00Z")));
        let back: Vec<Timestamp> = every.back_from(at("2026-11-20T10:30:00.500Z")).take(2).collect();
        assert_eq!(back, [at("2026-11-20T10:30:00Z"), at("2026-11-20T10:29:00Z")]);
    }

    // Berlin puts its clocks from 02:00 to 03:00 on 2026-03-29 (01:00 UTC), and from 03:00 to 02:00 on 2026-10-25.

    #[test]
    fn a_named_time_that_does_not_exist_comes_at_the_first_moment_after_the_gap() {
        let nightly = berlin("30 2 * * *");
        assert_eq!(next(&nightly, "2026-03-28T00:00:00Z", 3), ["03-28T01:30", "03-29T01:00", "03-30T00:30"]);
    }

    #[test]
    fn two_named_times_that_do_not_exist_come_once() {
        let twice = berlin("15,45 2 * * *");
        assert_eq!(next(&twice, "2026-03-28T12:00:00Z", 3), ["03-29T01:00", "03-30T00:15", "03-30T00:45"]);
    }

    #[test]
    fn a_named_time_that_comes_twice_counts_once_and_the_first_time() {
        let nightly = berlin("30 2 * * *");
        assert_eq!(next(&nightly, "2026-10-24T12:00:00Z", 2), ["10-25T00:30", "10-26T01:30"]);
    }

    #[test]
    fn an_expression_with_a_star_follows_the_time_that_passes() {
        let hourly = berlin("0 * * * *");
        assert_eq!(next(&hourly, "2026-03-28T23:30:00Z", 3), ["03-29T00:00", "03-29T01:00", "03-29T02:00"]);
        assert_eq!(next(&hourly, "2026-10-24T23:30:00Z", 4), ["10-25T00:00", "10-25T01:00", "10-25T02:00", "10-25T03:00"]);
        let often = berlin("*/30 * * * *");
        let times = ["10-25T00:00", "10-25T00:30", "10-25T01:00", "10-25T01:30", "10-25T02:00"];
        assert_eq!(next(&often, "2026-10-24T23:45:00Z", 5), times);
        let inside_the_gap = berlin("*/30 2 * * *");
        assert_eq!(next(&inside_the_gap, "2026-03-28T12:00:00Z", 1), ["03-30T00:00"]);
    }

    #[test]
    fn a_day_that_a_zone_left_out_is_left_out() {
        // Samoa had no 30 December 2011: it crossed the date line.
        let daily = Calendar::read("0 12 * * *", "Pacific/Apia").expect("reads");
        assert_eq!(next(&daily, "2011-12-29T00:00:00Z", 2), ["12-29T22:00", "12-30T22:00"]);
    }

    #[test]
    fn a_half_hour_zone_and_a_half_hour_shift_are_kept_to() {
        // Lord Howe Island moves by half an hour: 02:00 to 02:30 on 2026-10-04.
        let named = Calendar::read("15 2 * * *", "Australia/Lord_Howe").expect("reads");
        assert_eq!(next(&named, "2026-10-03T00:00:00Z", 2), ["10-03T15:30", "10-04T15:15"]);
        let india = Calendar::read("0 0 * * *", "Asia/Kolkata").expect("reads");
        assert_eq!(next(&india, "2026-11-20T00:00:00Z", 1), ["11-20T18:30"]);
    }

    #[test]
    fn backwards_the_times_are_the_same_as_forwards() {
        for cron in ["30 2 * * *", "15,45 2 * * *", "0 * * * *", "*/17 1-3 * * *", "0 0 29 2 *"] {
            for (zone, from, to) in [
                ("Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z"),
                ("Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z"),
                ("Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-06T00:00:00Z"),
            ] {
                let calendar = Calendar::read(cron, zone).expect("reads");
                let (from, to) = (at(from), at(to));
                let ahead = std::iter::successors(calendar.after(from), |&time| calendar.after(time));
                let ahead: Vec<Timestamp> = ahead.take_while(|&time| time <= to).collect();
                let mut back: Vec<Timestamp> = calendar.back_from(to).take_while(|&time| time > from).collect();
                back.reverse();
                assert_eq!(ahead, back, "{cron} in {zone}");
            }
        }
    }

    #[test]
    fn what_means_nothing_is_refused_in_words() {
        let refused = |cron: &str| Calendar::read(cron, "UTC").expect_err(cron).to_string();
        assert!(refused("0 3 * *").starts_with("has 4 fields and must have five"));
        assert!(refused("0 0 3 * * *").starts_with("has 6 fields"));
        assert!(refused("").starts_with("has 0 fields"));
        assert!(refused("@reboot").contains("there are @hourly"));
        assert!(refused("61 * * * *").starts_with("cannot be read: "));
        assert!(refused("0 0 * * FUNDAY").starts_with("cannot be read: "));
        assert!(refused(&"1,".repeat(200)).contains("1 to 256 bytes"));
        for zone in ["Atlantis", "", "../etc/passwd"] {
            assert!(Calendar::read("@daily", zone).expect_err(zone).is_of_time_zone(), "{zone}");
        }
    }

    #[test]
    fn a_time_that_never_comes_is_none() {
        assert_eq!(berlin("0 0 30 2 *").after(at("2026-11-20T00:00:00Z")), None);
    }

    #[test]
    fn names_are_kept_as_their_registry_writes_them_and_fields_with_one_blank() {
        let calendar = Calendar::read("  0   3 * * *", "europe/berlin").expect("reads");
        assert_eq!((&*calendar.text, &*calendar.zone_name), ("0 3 * * *", "Europe/Berlin"));
    }
}
