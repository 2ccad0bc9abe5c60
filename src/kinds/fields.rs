//! Reads a JSON object field by field and notes every problem on the way, instead of stopping at the first.
//!
//! A field that is `null` counts as absent. A field that nobody asked for is a problem that names the nearest known one;
//! one that is there twice is a problem too, because nobody can tell which was meant.
//! Values that pass through (args) keep the very text in which they were written.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::time::{Millis, Timestamp};
use crate::kinds::problem::{Problems, below};

/// The shortest span that a `…_s` field may name, other than 0.
pub const SECONDS_MIN: f64 = 0.1;
/// The longest span that a `…_s` field may name: a hundred years.
pub const SECONDS_MAX: f64 = 100.0 * 365.25 * 86_400.0;

/// Whether 0 is a span too: at once, off, or no wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zero {
    Allowed,
    Refused,
}

/// The fields of one JSON object.
pub struct Fields<'a, 'p> {
    values: BTreeMap<String, &'a RawValue>,
    asked: Vec<&'static str>,
    base: String,
    problems: &'p mut Problems,
}

impl<'a, 'p> Fields<'a, 'p> {
    /// Opens an object that stands at `base`. Anything but an object is a problem.
    pub fn open(text: &'a RawValue, base: &str, problems: &'p mut Problems) -> Option<Fields<'a, 'p>> {
        match serde_json::from_str::<Members>(text.get()) {
            Ok(Members { values, repeated }) => {
                repeated.iter().for_each(|name| problems.add(below(base, name), "is given twice; send it once"));
                Some(Fields { values, asked: Vec::new(), base: base.to_owned(), problems })
            }
            Err(_) => {
                problems.add(base, unfit("an object", text));
                None
            }
        }
    }

    /// The pointer of a field.
    pub fn pointer(&self, name: &str) -> String {
        below(&self.base, name)
    }

    /// Notes a problem with a field.
    pub fn problem(&mut self, name: &str, message: impl Display) {
        let pointer = self.pointer(name);
        self.problems.add(pointer, message);
    }

    /// The problems, to read something below a field.
    pub fn problems(&mut self) -> &mut Problems {
        self.problems
    }

    /// Whether a field is there, without taking it.
    pub fn has(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| value.get() != "null")
    }

    /// A field as it was written.
    pub fn raw(&mut self, name: &'static str) -> Option<&'a RawValue> {
        self.asked.push(name);
        self.values.remove(name).filter(|value| value.get() != "null")
    }

    /// A field that must be there.
    pub fn required(&mut self, name: &'static str, hint: &str) -> Option<&'a RawValue> {
        let value = self.raw(name);
        if value.is_none() {
            self.problem(name, format!("is missing{hint}"));
        }
        value
    }

    /// A text.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        let value = self.raw(name)?;
        self.as_type(name, value, "a string")
    }

    /// A text of 1 to `bytes_max` bytes.
    pub fn short_text(&mut self, name: &'static str, bytes_max: usize) -> Option<String> {
        let value = self.raw(name)?;
        self.value_text(name, value, bytes_max)
    }

    /// A value that was taken before, as a text of 1 to `bytes_max` bytes.
    pub fn value_text(&mut self, name: &str, value: &'a RawValue, bytes_max: usize) -> Option<String> {
        let text: String = self.as_type(name, value, "a string")?;
        if text.is_empty() || text.len() > bytes_max {
            self.problem(name, format!("must have 1 to {bytes_max} bytes, and has {}", text.len()));
            return None;
        }
        Some(text)
    }

    /// A text that stands for something: a name, an id.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        let value = self.raw(name)?;
        self.parse_value(name, value)
    }

    /// A value that was taken before, as a text that stands for something.
    pub fn parse_value<T: FromStr<Err: Display>>(&mut self, name: &str, value: &'a RawValue) -> Option<T> {
        let text: String = self.as_type(name, value, "a string")?;
        text.parse().map_err(|error| self.problem(name, error)).ok()
    }

    /// A yes or no.
    pub fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.raw(name)?;
        self.as_type(name, value, "true or false")
    }

    /// A whole number within a range.
    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.raw(name)?;
        let (least, most) = (*range.start(), *range.end());
        let number: f64 = self.as_type(name, value, &format!("a whole number from {least} to {most}"))?;
        if number.fract() != 0.0 || number < least as f64 || number > most as f64 {
            self.problem(name, format!("must be a whole number from {least} to {most}, and is {}", value.get()));
            return None;
        }
        Some(number as i64)
    }

    /// A span in seconds, fractions allowed.
    pub fn seconds(&mut self, name: &'static str, zero: Zero) -> Option<Millis> {
        let value = self.raw(name)?;
        let seconds: f64 = self.as_type(name, value, "a number of seconds")?;
        span(seconds, zero).map_err(|message| self.problem(name, message)).ok()
    }

    /// A moment: RFC 3339 with any offset.
    pub fn moment(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.text(name)?;
        let moment = Timestamp::parse(&text);
        let wanted = "must be an RFC 3339 time such as 2026-11-22T06:00:00.000Z";
        moment.map_err(|_| self.problem(name, format!("{wanted}, and at the latest {}", Timestamp::LAST))).ok()
    }

    /// A list of at most `count_max` elements, each as it was written.
    pub fn list(&mut self, name: &'static str, count_max: usize) -> Option<Vec<&'a RawValue>> {
        let value = self.raw(name)?;
        self.elements(name, value, count_max)
    }

    /// The elements of a value that was taken before: at most `count_max`.
    pub fn elements(&mut self, name: &str, value: &'a RawValue, count_max: usize) -> Option<Vec<&'a RawValue>> {
        let elements: Vec<&RawValue> = self.as_type(name, value, "an array")?;
        if elements.len() > count_max {
            self.problem(name, format!("has {} elements; at most {count_max} are allowed", elements.len()));
            return None;
        }
        Some(elements)
    }

    /// Ends the reading: what is left is known to nobody.
    pub fn finish(self) {
        for name in self.values.keys() {
            // Looking for what is alike takes time, and a body may hold a million names.
            if self.problems.is_full() {
                return;
            }
            let pointer = below(&self.base, name);
            self.problems.add(pointer, unknown("field", name, self.asked.iter().copied()));
        }
    }

    fn as_type<T: FromText<'a>>(&mut self, name: &str, value: &'a RawValue, wanted: &str) -> Option<T> {
        let parsed = T::from_text(value.get());
        if parsed.is_none() {
            self.problem(name, unfit(wanted, value));
        }
        parsed
    }
}

/// The members of an object: the last of each name, and the names that stood there more than once.
struct Members<'a> {
    values: BTreeMap<String, &'a RawValue>,
    repeated: Vec<String>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'a>, D::Error> {
        deserializer.deserialize_map(Members { values: BTreeMap::new(), repeated: Vec::new() })
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
    type Value = Members<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Members<'a>, A::Error> {
        while let Some((name, value)) = members.next_entry::<String, &'de RawValue>()? {
            match self.values.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(mut place) => {
                    self.repeated.push(place.key().clone());
                    place.insert(value);
                }
            }
        }
        Ok(self)
    }
}

/// What can be read from a piece of JSON text.
trait FromText<'a>: Sized {
    fn from_text(text: &'a str) -> Option<Self>;
}

impl<'a, T: serde::Deserialize<'a>> FromText<'a> for T {
    fn from_text(text: &'a str) -> Option<T> {
        serde_json::from_str(text).ok()
    }
}

/// Reads a span in seconds.
///
/// # Errors
/// What is wrong with the number, for people.
pub fn span(seconds: f64, zero: Zero) -> Result<Millis, String> {
    let fits = (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) || (seconds == 0.0 && zero == Zero::Allowed);
    if fits {
        return Ok(Millis((seconds * 1000.0).round() as u64));
    }
    // Nobody counts three hundred digits.
    let seconds = if seconds.abs() < 1e15 { seconds.to_string() } else { format!("{seconds:e}") };
    Err(match zero {
        Zero::Allowed => format!("must be 0, or {SECONDS_MIN} to {SECONDS_MAX} seconds, and is {seconds}"),
        Zero::Refused => format!("must be {SECONDS_MIN} to {SECONDS_MAX} seconds, or be left out, and is {seconds}"),
    })
}

/// Says that a name is not known, and which one may be meant.
pub fn unknown<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("is no known {what}; did you mean {near:?}?"),
        None => format!("is no known {what}"),
    }
}

/// The known name that is most like the given one, if any is alike at all.
pub fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    const ALIKE_MIN: f64 = 0.7;
    const NAME_BYTES_MAX: usize = 100;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let scored = known.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    scored.filter(|&(score, _)| score >= ALIKE_MIN).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

/// Says why a value is not what was wanted. One of the right sort can still be unfit: JSON has numbers that are too
/// large to be read, and texts with half a character in them.
fn unfit(wanted: &str, value: &RawValue) -> String {
    const LONE: &str = "half a character; write `\\ud83d` only together with its other half";
    let is = match type_of(value) {
        "a string" if wanted.starts_with("a string") => format!("holds {LONE}"),
        "an object" if wanted == "an object" => format!("has a name with {LONE}"),
        "a number" if wanted.contains("number") => "is a number that is too large".to_owned(),
        other => format!("is {other}"),
    };
    format!("must be {wanted}, and {is}")
}

/// What sort of JSON a text is, for people.
fn type_of(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, read: impl FnOnce(&mut Fields)) -> Vec<(String, String)> {
        let raw: &RawValue = serde_json::from_str(text).expect("JSON");
        let mut problems = Problems::default();
        if let Some(mut fields) = Fields::open(raw, "/jobs/3", &mut problems) {
            read(&mut fields);
            fields.finish();
        }
        problems.into_list().into_iter().map(|problem| (problem.pointer, problem.message)).collect()
    }

    #[test]
    fn every_problem_is_noted_with_its_pointer() {
        let found = read(r#"{"kind": 5, "priority": 1.5, "delay_s": -1, "tags": {}, "queu": "a"}"#, |fields| {
            assert_eq!(fields.text("kind"), None);
            assert_eq!(fields.integer("priority", -100..=100), None);
            assert_eq!(fields.seconds("delay_s", Zero::Allowed), None);
            assert!(fields.list("tags", 3).is_none());
            assert_eq!(fields.text("queue"), None);
        });
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/jobs/3/kind", "/jobs/3/priority", "/jobs/3/delay_s", "/jobs/3/tags", "/jobs/3/queu"]);
        assert_eq!(found[0].1, "must be a string, and is a number");
        assert_eq!(found[4].1, "is no known field; did you mean \"queue\"?");
    }

    #[test]
    fn a_field_that_is_given_twice_is_a_problem() {
        let found = read(r#"{"queue": "a", "tag": 1, "queue": "b"}"#, |fields| {
            fields.text("queue");
            fields.raw("tag");
        });
        assert_eq!(found, [("/jobs/3/queue".to_owned(), "is given twice; send it once".to_owned())]);
    }

    #[test]
    fn a_million_unknown_names_or_a_very_long_one_cost_little() {
        let names: Vec<String> = (0..200_000).map(|number| format!("\"unknown{number}\":1")).collect();
        let found = read(&format!("{{{}}}", names.join(",")), |fields| assert!(fields.raw("queue").is_none()));
        assert_eq!(found.len(), crate::kinds::problem::PROBLEMS_MAX);
        let found =
            read(&format!("{{\"{}\":1}}", "queue".repeat(1_000_000)), |fields| assert!(fields.raw("queue").is_none()));
        assert!(found[0].0.len() < 600 && found[0].1 == "is no known field");
    }

    #[test]
    fn a_value_of_the_right_sort_that_cannot_be_read_is_told_so() {
        let found =
            read(r#"{"kind": "\ud800", "priority": 1e400, "delay_s": 1e400, "at": "9999-12-31T00:00:00Z"}"#, |it| {
                it.text("kind");
                it.integer("priority", -100..=100);
                it.seconds("delay_s", Zero::Allowed);
                it.moment("at");
            });
        let wanted = [
            ("/jobs/3/kind", "must be a string, and holds half a character"),
            ("/jobs/3/priority", "must be a whole number from -100 to 100, and is a number that is too large"),
            ("/jobs/3/delay_s", "must be a number of seconds, and is a number that is too large"),
            ("/jobs/3/at", "at the latest 9999-12-30T21:59:59.999Z"),
        ];
        for ((pointer, message), (expected, part)) in found.iter().zip(wanted) {
            assert!(pointer == expected && message.contains(part), "{pointer} {message}");
        }
        assert_eq!(found.len(), wanted.len());
        let name = read(r#"{"\ud800": 1}"#, |_| ());
        assert!(name[0].1.contains("has a name with half a character"), "{name:?}");
    }

    #[test]
    fn null_counts_as_absent_and_an_object_is_needed() {
        assert!(read(r#"{"queue": null}"#, |fields| assert_eq!(fields.text("queue"), None)).is_empty());
        assert_eq!(read("[]", |_| ()), [("/jobs/3".to_owned(), "must be an object, and is an array".to_owned())]);
    }

    #[test]
    fn spans_are_a_tenth_of_a_second_and_up_or_zero_where_it_is_allowed() {
        assert_eq!(span(0.1, Zero::Refused), Ok(Millis(100)));
        assert_eq!(span(0.0, Zero::Allowed), Ok(Millis(0)));
        for bad in [0.0, 0.05, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(span(bad, Zero::Refused).is_err(), "{bad}");
        }
    }
}
