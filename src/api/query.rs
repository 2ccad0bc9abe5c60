//! The query of a request: its parameters, declared once for reading them, for refusing others, and for OpenAPI.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::api::error::ApiError;
use crate::domain::time::Millis;
use crate::kinds::fields::{Zero, nearest, span};

/// A query parameter that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    pub name: &'static str,
    /// Its JSON Schema type, for OpenAPI.
    pub schema_type: &'static str,
    /// Whether it may be given more than once.
    pub repeats: bool,
    pub description: &'static str,
    /// The least and the most that a number may be.
    pub range: Option<(u64, u64)>,
    /// What holds when it is not given.
    pub default: Option<u64>,
    /// The texts that it may be; empty: any.
    pub choices: &'static [&'static str],
    /// The format of its text.
    pub format: Option<&'static str>,
    /// The most bytes of its text.
    pub bytes_max: Option<usize>,
}

impl Parameter {
    /// A parameter that is a text.
    pub const fn text(name: &'static str, description: &'static str) -> Parameter {
        Parameter::new(name, "string", description)
    }

    /// A parameter that is a yes or no.
    pub const fn flag(name: &'static str, description: &'static str) -> Parameter {
        Parameter::new(name, "boolean", description)
    }

    /// A parameter that is a whole number.
    pub const fn integer(name: &'static str, description: &'static str) -> Parameter {
        Parameter::new(name, "integer", description)
    }

    /// A parameter that is a number of seconds.
    pub const fn seconds(name: &'static str, description: &'static str) -> Parameter {
        Parameter::new(name, "number", description)
    }

    const fn new(name: &'static str, schema_type: &'static str, description: &'static str) -> Parameter {
        Parameter {
            name,
            schema_type,
            repeats: false,
            description,
            range: None,
            default: None,
            choices: &[],
            format: None,
            bytes_max: None,
        }
    }

    /// The same parameter, as a number from `min` to `max`.
    pub const fn within(self, min: u64, max: u64) -> Parameter {
        Parameter { range: Some((min, max)), ..self }
    }

    /// The same parameter, which is `default` when it is not given.
    pub const fn or(self, default: u64) -> Parameter {
        Parameter { default: Some(default), ..self }
    }

    /// The same parameter, as one of these texts.
    pub const fn one_of(self, choices: &'static [&'static str]) -> Parameter {
        Parameter { choices, ..self }
    }

    /// The same parameter, as a text of this format.
    pub const fn like(self, format: &'static str) -> Parameter {
        Parameter { format: Some(format), ..self }
    }

    /// The same parameter, as a text of at most so many bytes.
    pub const fn at_most(self, bytes_max: usize) -> Parameter {
        Parameter { bytes_max: Some(bytes_max), ..self }
    }

    /// The same parameter, which may be given more than once.
    pub const fn repeated(self) -> Parameter {
        Parameter { repeats: true, ..self }
    }
}

/// The parameters of one request.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Takes a query apart; parameters that the route does not know are refused by name.
    pub fn parse(text: &str, known: &[Parameter]) -> Result<Query, ApiError> {
        let mut query = Query::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
                return Err(unknown_parameter(&name, known));
            };
            if !parameter.repeats && query.pairs.iter().any(|(other, _)| *other == name) {
                return Err(invalid(&name, "is given twice; send it once"));
            }
            query.pairs.push((name, value));
        }
        Ok(query)
    }

    /// A parameter as it was given. An empty one counts as given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that stands for something.
    pub fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.text(name).map(|text| text.parse().map_err(|error| invalid(name, error))).transpose()
    }

    /// A whole number within a range.
    pub fn integer(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let message = || format!("must be a whole number from {} to {}", range.start(), range.end());
        number.map(Some).ok_or_else(|| invalid(name, message()))
    }

    /// How long to wait, in seconds, 0 allowed. A longer wait than `seconds_max` is that long: who waits asks again
    /// anyway.
    pub fn seconds(&self, name: &str, seconds_max: f64) -> Result<Option<Millis>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // Rust would also read `inf` and `nan`.
        let number = text.parse::<f64>().ok().filter(|_| text.bytes().all(|byte| b"0123456789+-.eE".contains(&byte)));
        let span = number.and_then(|number| span(number.min(seconds_max), Zero::Allowed).ok());
        span.map(Some).ok_or_else(|| {
            invalid(
                name,
                format!("must be a number of seconds: 0, or 0.1 and more; more than {seconds_max} waits that long"),
            )
        })
    }

    /// Whether a parameter without a value, or with `true`, is given.
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(_) => Err(invalid(name, "must be true or false")),
        }
    }
}

/// The error for a parameter that is there and wrong.
pub fn invalid(name: &str, message: impl Display) -> ApiError {
    ApiError::new("invalid_query", format!("the query parameter {name:?} {message}"))
}

fn unknown_parameter(name: &str, known: &[Parameter]) -> ApiError {
    let names: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
    let near = nearest(name, names.iter().copied()).map(|near| format!("; did you mean {near:?}?"));
    let valid = if names.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", names.join(", ")) };
    let detail = format!("this path has no query parameter {name:?}{}; {valid}", near.unwrap_or_default());
    ApiError::new("invalid_query", detail)
}

/// Undoes the escapes of a query: `%xx`, and `+` for a blank. A percent sign that begins no escape stays as it is.
fn decode(text: &str) -> Result<String, ApiError> {
    let detail = || format!("{text:?} in the query stands for bytes that are no UTF-8; escape text as UTF-8");
    unescape(&text.replace('+', " ")).ok_or_else(|| ApiError::new("invalid_query", detail()))
}

/// Whether a text has a percent sign that begins no escape.
pub fn has_broken_escape(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.any(|part| !part.get(..2).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit())))
}

/// Undoes the escapes `%xx`. What is no escape stays as it is; none when the bytes are no UTF-8.
pub fn unescape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let escaped = (bytes[place] == b'%').then(|| text.get(place + 1..place + 3)).flatten();
        let digits = escaped.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                place += 3;
            }
            None => {
                plain.push(bytes[place]);
                place += 1;
            }
        }
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Parameter] = &[
        Parameter::text("state", "").repeated(),
        Parameter::text("kind", ""),
        Parameter::integer("limit", ""),
        Parameter::seconds("wait_s", ""),
    ];

    fn query(text: &str) -> Query {
        Query::parse(text, KNOWN).expect("fits")
    }

    fn refused(text: &str) -> String {
        let error = Query::parse(text, KNOWN).expect_err("does not fit");
        assert_eq!((error.code(), error.status().as_u16()), ("invalid_query", 400));
        error.detail().to_owned()
    }

    #[test]
    fn parameters_are_unescaped_and_may_repeat_where_it_is_said() {
        let query = query("state=queued&state=running&kind=a%20b%2Bc+d&&limit=5");
        assert_eq!(query.all("state").collect::<Vec<_>>(), ["queued", "running"]);
        assert_eq!(query.text("kind"), Some("a b+c d"));
        assert_eq!(query.integer("limit", 1..=500), Ok(Some(5)));
        assert_eq!(query.text("absent"), None);
    }

    #[test]
    fn an_unknown_parameter_is_refused_and_the_valid_ones_are_named() {
        let expected = "this path has no query parameter \"sttae\"; did you mean \"state\"?; \
                        it takes state, kind, limit, wait_s";
        assert_eq!(refused("sttae=queued"), expected);
        assert!(refused("kind=a&kind=b").contains("given twice"));
    }

    #[test]
    fn numbers_are_held_to_their_range() {
        for bad in ["limit=0", "limit=501", "limit=-1", "limit=1.5", "limit=", "limit=x"] {
            assert!(query(bad).integer("limit", 1..=500).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wait_is_cut_to_the_longest_and_must_be_a_number() {
        let wait = |text: &str| query(text).seconds("wait_s", 50.0);
        assert_eq!((wait("wait_s=0.5"), wait("wait_s=0")), (Ok(Some(Millis(500))), Ok(Some(Millis(0)))));
        for long in ["wait_s=50", "wait_s=51", "wait_s=50.1", "wait_s=1e9", "wait_s=1e400"] {
            assert_eq!(wait(long), Ok(Some(Millis(50_000))), "{long}");
        }
        for bad in ["wait_s=-1", "wait_s=NaN", "wait_s=inf", "wait_s=0.01", "wait_s=", "wait_s=1s", "wait_s=-1e400"] {
            assert_eq!(wait(bad).expect_err(bad).code(), "invalid_query", "{bad}");
        }
    }

    #[test]
    fn broken_escapes_stay_as_they_are_and_bytes_that_are_no_text_are_refused() {
        for (text, plain) in [("100%", "100%"), ("%zz%4", "%zz%4"), ("%C3%BC%+1", "ü%+1"), ("%00", "\0")] {
            assert_eq!(unescape(text).as_deref(), Some(plain), "{text}");
            assert_eq!(has_broken_escape(text), text != "%00", "{text}");
        }
        assert!(!has_broken_escape("a%20b%C3%BC"));
        for bad in ["%ff", "%C3", "a%80b", "%ED%A0%80"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
        assert!(refused("kind=%ff").contains("no UTF-8"));
    }
}
