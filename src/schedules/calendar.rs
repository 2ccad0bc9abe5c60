//! The times of a cron expression in a time zone.
//!
//! Where clocks are moved, this does what Vixie's cron has always done:
//!
//! | | a time that does not exist | a time that comes twice |
//! |---|---|---|
//! | minute and hour are named: `15,45 2 * * *` | at the first moment after the gap | once, the first time |
//! | one of them has a `*`: `*/15 * * * *` | it is left out | both times |
//!
//! So a nightly job runs once a night, and an hourly one once for each hour that passes. A whole day that a zone leaves
//! out has no times.

use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::domain::time::Timestamp;
use crate::schedules::expression::{CalendarError, Expression, read_zone};

/// How far a time is looked for: 29 February on a given day of the week comes again within forty years.
const DAYS_LOOKED_AT_MAX: i64 = 50 * 366;
/// The most days that are looked at in one go.
const DAYS_A_CHUNK_MAX: i64 = 366;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Calendar {
    expression: Expression,
    zone: TimeZone,
    /// The expression as it is kept, with one blank between its fields.
    pub text: Arc<str>,
    /// The name of the time zone as its registry writes it.
    pub zone_name: Arc<str>,
}

impl Calendar {
    /// Reads an expression and the name of a time zone.
    ///
    /// # Errors
    /// When one of them means nothing.
    pub fn read(cron: &str, time_zone: &str) -> Result<Calendar, CalendarError> {
        let expression = Expression::read(cron)?;
        let zone = read_zone(time_zone)?;
        let (text, zone_name) = (expression.text.clone(), zone.iana_name().unwrap_or(time_zone).into());
        Ok(Calendar { expression, zone, text, zone_name })
    }

    /// The first time after a moment; none when there is none within fifty years.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        // A day early, because clocks may go back over midnight.
        let mut first = self.date_of(moment)?.yesterday().ok()?;
        let (mut days, mut looked_at) = (3, 0);
        while looked_at < DAYS_LOOKED_AT_MAX {
            let last = plus(first, days)?;
            // Times of later days are all after the start of the last day.
            let sure_until = self.start_of(last)?;
            let times = self.times_of(first, last);
            if let Some(&found) = times.iter().find(|&&time| time > moment && time < sure_until) {
                return Some(found);
            }
            first = last.yesterday().ok()?;
            looked_at += days;
            days = (days * 2).min(DAYS_A_CHUNK_MAX);
        }
        None
    }

    /// The times at or before a moment, the latest first, as far back as fifty years.
    pub fn back_from(&self, moment: Timestamp) -> impl Iterator<Item = Timestamp> {
        let mut last = self.date_of(moment).and_then(|date| date.tomorrow().ok());
        let mut until = Timestamp::from_ms(moment.as_ms() + 1);
        let (mut days, mut looked_at) = (3, 0);
        let chunks = std::iter::from_fn(move || {
            if looked_at >= DAYS_LOOKED_AT_MAX {
                return None;
            }
            let end = last?;
            let first = plus(end, -days)?;
            // Times of earlier days are all before the start of the second day.
            let second = plus(first, 1)?;
            let sure_from = self.start_of(second)?;
            let mut times = self.times_of(first, end);
            times.retain(|&time| time >= sure_from && time < until);
            times.reverse();
            (last, until) = (Some(second), sure_from.min(until));
            looked_at += days;
            days = (days * 2).min(DAYS_A_CHUNK_MAX);
            Some(times)
        });
        chunks.flatten()
    }

    /// The times of some days in the order in which they come, each once.
    fn times_of(&self, first: Date, last: Date) -> Vec<Timestamp> {
        let days = first.series(jiff::Span::new().days(1)).take_while(|&date| date <= last);
        let mut times: Vec<Timestamp> =
            days.filter(|&date| self.expression.fits(date)).flat_map(|date| self.times_on(date)).collect();
        times.sort_unstable();
        times.dedup();
        times
    }

    fn times_on(&self, date: Date) -> Vec<Timestamp> {
        let mut times = Vec::new();
        for &hour in &self.expression.hours {
            for &minute in &self.expression.minutes {
                let time = Time::new(hour, minute, 0, 0).expect("an expression has hours and minutes of a day");
                self.add_moments(date, time, &mut times);
            }
        }
        times
    }

    /// Adds the moments at which clocks show a time: one, or by the rules above none or two.
    fn add_moments(&self, date: Date, time: Time, times: &mut Vec<Timestamp>) {
        let shown = date.to_datetime(time);
        let moment = |offset: jiff::tz::Offset| offset.to_timestamp(shown).ok();
        let found = match (self.zone.to_ambiguous_timestamp(shown).offset(), self.expression.has_star) {
            (AmbiguousOffset::Unambiguous { offset }, _) => [moment(offset), None],
            (AmbiguousOffset::Fold { before, .. }, false) => [moment(before), None],
            (AmbiguousOffset::Fold { before, after }, true) => [moment(before), moment(after)],
            (AmbiguousOffset::Gap { after, .. }, false) => [moment(after).and_then(|it| self.gap_end(it, date)), None],
            (AmbiguousOffset::Gap { .. }, true) => [None, None],
        };
        times.extend(found.into_iter().flatten().map(moment_of));
    }

    /// The first moment after a gap, if it is on the day of the time that fell into it. `before` is that time by the
    /// clock that holds after the gap: it lies before it.
    fn gap_end(&self, before: jiff::Timestamp, date: Date) -> Option<jiff::Timestamp> {
        let end = self.zone.following(before).next()?.timestamp();
        let is_this_day = end.to_zoned(self.zone.clone()).date() == date;
        let is_near = end.duration_since(before) <= SignedDuration::from_hours(24);
        (is_this_day && is_near).then_some(end)
    }

    fn date_of(&self, moment: Timestamp) -> Option<Date> {
        let moment = jiff::Timestamp::from_millisecond(moment.as_ms()).ok()?;
        Some(moment.to_zoned(self.zone.clone()).date())
    }

    /// When a day begins; where midnight is left out, what would be midnight.
    fn start_of(&self, date: Date) -> Option<Timestamp> {
        let midnight = date.to_datetime(Time::midnight());
        self.zone.to_ambiguous_timestamp(midnight).compatible().ok().map(moment_of)
    }
}

fn plus(date: Date, days: i64) -> Option<Date> {
    date.checked_add(jiff::Span::new().days(days)).ok()
}

fn moment_of(moment: jiff::Timestamp) -> Timestamp {
    Timestamp::from_ms(moment.as_millisecond())
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
    fn several_named_times_come_once_a_night_each() {
        let twice = berlin("15,45 2 * * *");
        let times = ["10-25T00:15", "10-25T00:45", "10-26T01:15"];
        assert_eq!(next(&twice, "2026-10-24T12:00:00Z", 3), times);
        let range = berlin("30 1-3 * * *");
        let times = ["03-29T00:30", "03-29T01:00", "03-29T01:30", "03-29T23:30"];
        assert_eq!(next(&range, "2026-03-28T12:00:00Z", 4), times);
    }

    #[test]
    fn clocks_that_go_back_over_midnight_keep_the_order_of_times() {
        // Newfoundland put its clocks from 00:01 back to 23:01 on 2009-11-01 (02:31 UTC).
        let often = Calendar::read("*/20 * * * *", "America/St_Johns").expect("reads");
        let times = ["11-01T02:10", "11-01T02:30", "11-01T02:50", "11-01T03:10", "11-01T03:30"];
        assert_eq!(next(&often, "2009-11-01T02:00:00Z", 5), times);
        let back: Vec<String> = often.back_from(at("2009-11-01T03:30:00Z")).take(5).map(|it| it.to_string()).collect();
        let back: Vec<&str> = back.iter().rev().map(|time| &time[5..16]).collect();
        assert_eq!(back, times);
    }

    #[test]
    fn the_last_days_and_weekdays_of_a_month_have_names() {
        let last = Calendar::read("0 0 L * *", "UTC").expect("reads");
        assert_eq!(next(&last, "2028-02-10T00:00:00Z", 2), ["02-29T00:00", "03-31T00:00"]);
        let second_tuesday = Calendar::read("0 0 * * TUE#2", "UTC").expect("reads");
        assert_eq!(next(&second_tuesday, "2026-11-01T00:00:00Z", 2), ["11-10T00:00", "12-08T00:00"]);
        let leap = Calendar::read("0 0 29 2 *", "UTC").expect("reads");
        assert_eq!(leap.after(at("2096-03-01T00:00:00Z")), Some(at("2104-02-29T00:00:00Z")));
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
        assert_eq!(
            next(&hourly, "2026-10-24T23:30:00Z", 4),
            ["10-25T00:00", "10-25T01:00", "10-25T02:00", "10-25T03:00"]
        );
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
        let at_night = Calendar::read("30 0 * * *", "Pacific/Apia").expect("reads");
        assert_eq!(next(&at_night, "2011-12-29T00:00:00Z", 2), ["12-29T10:30", "12-30T10:30"]);
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
                ("America/St_Johns", "2009-10-30T00:00:00Z", "2009-11-12T00:00:00Z"),
                ("Pacific/Apia", "2011-12-20T00:00:00Z", "2012-01-08T00:00:00Z"),
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
    fn a_time_that_never_comes_is_none() {
        assert_eq!(berlin("0 0 30 2 *").after(at("2026-11-20T00:00:00Z")), None);
    }

    #[test]
    fn names_are_kept_as_their_registry_writes_them_and_fields_with_one_blank() {
        let calendar = Calendar::read("  0   3 * * *", "europe/berlin").expect("reads");
        assert_eq!((&*calendar.text, &*calendar.zone_name), ("0 3 * * *", "Europe/Berlin"));
    }

    const ZONES: [&str; 6] = [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "America/Santiago",
        "Atlantic/Azores",
    ];

    #[test]
    fn a_named_time_comes_once_on_each_day_of_a_year_in_every_zone() {
        for zone in ZONES {
            for hour in 0..24 {
                let calendar = Calendar::read(&format!("30 {hour} * * *"), zone).expect("reads");
                let days = |time: &Timestamp| calendar.date_of(*time).expect("a date");
                let mut times: Vec<Timestamp> = calendar.back_from(at("2027-06-01T12:00:00Z")).take(365).collect();
                times.reverse();
                let dates: Vec<Date> = times.iter().map(days).collect();
                let in_a_row = dates.windows(2).all(|pair| pair[0].tomorrow().expect("a date") == pair[1]);
                assert!(in_a_row, "{hour} in {zone}");
                assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{hour} in {zone}");
            }
        }
    }

    #[test]
    fn an_expression_with_a_star_has_the_minutes_at_which_clocks_show_a_time_of_it() {
        for zone in ZONES {
            for cron in ["* * * * *", "*/15 * * * *", "5 * * * *", "*/7 0-3 * * *", "30 */2 * * SUN"] {
                let calendar = Calendar::read(cron, zone).expect("reads");
                let transitions = calendar.zone.following(jiff::Timestamp::from_second(1_767_225_600).expect("2026"));
                for transition in transitions.take(2).map(|transition| transition.timestamp().as_millisecond()) {
                    let (from, to) = (transition - 30 * 3_600_000, transition + 30 * 3_600_000);
                    let shown = |ms: &i64| {
                        let clock = jiff::Timestamp::from_millisecond(*ms).expect("a moment");
                        let clock = clock.to_zoned(calendar.zone.clone());
                        let expression = &calendar.expression;
                        let fits =
                            expression.hours.contains(&clock.hour()) && expression.minutes.contains(&clock.minute());
                        fits && expression.fits(clock.date())
                    };
                    let wanted = (from / 60_000 + 1..=to / 60_000).map(|minute| minute * 60_000).filter(shown);
                    let wanted: Vec<Timestamp> = wanted.map(Timestamp::from_ms).collect();
                    let mut found: Vec<Timestamp> =
                        calendar.back_from(Timestamp::from_ms(to)).take_while(|time| time.as_ms() > from).collect();
                    found.reverse();
                    assert_eq!(found, wanted, "{cron} in {zone}");
                }
            }
        }
    }
}
