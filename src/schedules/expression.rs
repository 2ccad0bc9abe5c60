//! A cron expression, read: which minutes, hours and days it names. A library reads it; when its times are is our
//! business, because where clocks are moved it takes lists of named times for intervals.

use std::fmt::Display;
use std::sync::Arc;

use croner::parser::{CronParser, Seconds, Year};
use croner::{CronPattern, Weekday};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::limits::{CRON_BYTES_MAX, TIME_ZONE_BYTES_MAX};

/// The words that stand for an expression, and the expressions.
const WORDS: [(&str, &str); 6] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];
/// How many fields an expression has.
const FIELDS: usize = 5;

/// Five fields: minute, hour, day of the month, month, day of the week. When both sorts of days are named, one of them
/// is enough.
#[derive(Debug, Clone)]
pub struct Expression {
    pattern: CronPattern,
    /// In order.
    pub hours: Vec<i8>,
    /// In order.
    pub minutes: Vec<i8>,
    /// Whether the minute or the hour has a star, so that times follow the time that passes.
    pub has_star: bool,
    /// The text as it is kept: with one blank between fields.
    pub text: Arc<str>,
}

/// Why there is no calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    #[error("has {count} fields and must have five: minute, hour, day of the month, month, day of the week")]
    Fields { count: usize },
    #[error("must have 1 to {CRON_BYTES_MAX} bytes, and has {bytes}")]
    TooLong { bytes: usize },
    #[error("{word:?} is no known word; there are {}", WORDS.map(|(word, _)| word).join(", "))]
    Word { word: String },
    #[error("cannot be read: {reason}")]
    Cron { reason: String },
    #[error("{name:?} is no time zone; name one like \"Europe/Berlin\"")]
    TimeZone { name: String },
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it means nothing; whether its times ever come is not looked at.
    pub fn read(text: &str) -> Result<Expression, CalendarError> {
        if text.len() > CRON_BYTES_MAX {
            return Err(CalendarError::TooLong { bytes: text.len() });
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let spelled_out = match fields[..] {
            [word] if word.starts_with('@') => spelled_out(word)?.split(' ').collect(),
            _ if fields.len() == FIELDS => fields.clone(),
            _ => return Err(CalendarError::Fields { count: fields.len() }),
        };
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let read = parser.parse(&spelled_out.join(" "));
        let pattern = read.map_err(|error| CalendarError::Cron { reason: in_our_words(&error) })?.pattern;
        let has_star = spelled_out[..2].iter().any(|field| field.contains(['*', '?']));
        let numbers = |values: Vec<u16>| values.into_iter().map(|value| value as i8).collect();
        let (hours, minutes) = (numbers(pattern.hours.values()), numbers(pattern.minutes.values()));
        Ok(Expression { pattern, hours, minutes, has_star, text: fields.join(" ").into() })
    }

    /// Whether it has times on a day.
    pub fn fits(&self, date: Date) -> bool {
        let (year, month, day) = (i32::from(date.year()), date.month() as u32, date.day() as u32);
        let weekday = Weekday::from_days_from_sunday(date.weekday().to_sunday_zero_offset() as u32);
        let in_month = self.pattern.month_match(month).unwrap_or(false);
        in_month && self.pattern.day_match(year, month, day, weekday).unwrap_or(false)
    }
}

/// Reads the name of a time zone.
///
/// # Errors
/// When no time zone has it.
pub fn read_zone(name: &str) -> Result<TimeZone, CalendarError> {
    let unknown = || CalendarError::TimeZone { name: name.chars().take(TIME_ZONE_BYTES_MAX).collect() };
    if name.is_empty() || name.len() > TIME_ZONE_BYTES_MAX {
        return Err(unknown());
    }
    TimeZone::get(name).map_err(|_| unknown())
}

fn spelled_out(word: &str) -> Result<&'static str, CalendarError> {
    let known = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
    known.map(|(_, expression)| *expression).ok_or_else(|| CalendarError::Word { word: word.to_owned() })
}

fn in_our_words(error: &impl Display) -> String {
    let text = error.to_string();
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_nothing_is_refused_in_words() {
        let refused = |cron: &str| Expression::read(cron).expect_err(cron).to_string();
        assert!(refused("0 3 * *").starts_with("has 4 fields and must have five"));
        assert!(refused("0 0 3 * * *").starts_with("has 6 fields"));
        assert!(refused("").starts_with("has 0 fields"));
        assert!(refused("@reboot").contains("there are @hourly"));
        assert!(refused(&"1,".repeat(200)).contains("1 to 256 bytes"));
        for bad in
            ["61 * * * *", "* 24 * * *", "0 0 * * FUNDAY", "5-1/0 * * * *", "0/0 * * * *", "@ a b c d", "- - - - -"]
        {
            assert!(refused(bad).starts_with("cannot be read: "), "{bad}");
        }
    }

    #[test]
    fn a_star_in_the_minute_or_the_hour_counts_and_elsewhere_it_does_not() {
        let has_star = |cron: &str| Expression::read(cron).expect("reads").has_star;
        assert!(has_star("*/5 3 * * *") && has_star("0 * * * *") && has_star("@hourly"));
        assert!(!has_star("0,30 3-5 * * *") && !has_star("@daily"));
    }

    #[test]
    fn a_name_that_no_time_zone_has_is_refused() {
        for zone in ["Atlantis", "", "../etc/passwd", &"x".repeat(65)] {
            assert!(matches!(read_zone(zone), Err(CalendarError::TimeZone { .. })), "{zone}");
        }
    }
}
