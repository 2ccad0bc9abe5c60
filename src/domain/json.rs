//! JSON that passes through: args, results, checkpoints, details. The domain carries it and never looks inside.

use std::fmt;
use std::sync::Arc;

use memchr::{memchr, memchr2};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// How deep JSON that passes through may be nested. Parsers stop at 128, and what wraps a value (a job, a list, a frame)
/// needs room too.
pub const JSON_DEPTH_MAX: usize = 100;

/// One JSON value as text, without blanks between its parts, so that it fits into one line. In JSON it stands as itself;
/// in the log it is a string.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Arc<str>);

impl Json {
    /// Takes a text that is known to be one JSON value.
    pub fn from_checked(text: impl Into<Arc<str>>) -> Json {
        Json(text.into())
    }

    /// Takes a text from outside: checks that every reader can parse it, and leaves out the blanks. Numbers and the
    /// order of members stay as they were written.
    pub fn parse(text: &str) -> Result<Json, JsonError> {
        serde_json::from_str::<Seen>(text).map_err(JsonError::of)?;
        if depth(text) > JSON_DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        Ok(Json(compact(text)))
    }

    /// Writes a value as JSON text.
    pub fn of(value: &serde_json::Value) -> Json {
        Json(value.to_string().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value that the text stands for.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).expect("a Json holds one JSON value")
    }
}

/// Why a text was not taken as JSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("is not JSON that can be read: {0}")]
    Unreadable(serde_json::Error),
    #[error("is nested deeper than {JSON_DEPTH_MAX} levels")]
    TooDeep,
    #[error("has a number at column {column} that many readers cannot hold; send it as a string")]
    NumberTooLarge { column: usize },
    #[error("has a string with half a character at column {column}; write `\\ud83d` only together with its other half")]
    HalfCharacter { column: usize },
}

impl JsonError {
    /// Tells the errors of texts that have the outline of JSON from the others. The parser has no kinds for them, only
    /// words.
    fn of(error: serde_json::Error) -> JsonError {
        let (words, column) = (error.to_string(), error.column());
        match words {
            words if words.contains("recursion limit") => JsonError::TooDeep,
            words if words.contains("number out of range") => JsonError::NumberTooLarge { column },
            words if words.contains("surrogate") || words.contains("hex escape") => JsonError::HalfCharacter { column },
            _ => JsonError::Unreadable(error),
        }
    }
}

/// A value that is looked at and not kept.
struct Seen;

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(Seen)
    }
}

impl<'de> Visitor<'de> for Seen {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Seen, E> {
        Ok(Seen)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Seen, E> {
        Ok(Seen)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen)
    }

    fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
        Ok(Seen)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Seen, A::Error> {
        while elements.next_element::<Seen>()?.is_some() {}
        Ok(Seen)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Seen, A::Error> {
        while members.next_entry::<Seen, Seen>()?.is_some() {}
        Ok(Seen)
    }
}

/// Cuts a JSON text into pairs: what stands before a string, and the string with its quotes.
fn around_strings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (outside, from_quote) = rest.split_at(memchr(b'"', rest.as_bytes()).unwrap_or(rest.len()));
        let (string, after) = from_quote.split_at(string_end(from_quote.as_bytes()));
        rest = after;
        Some((outside, string))
    })
}

/// Where the string ends that a text begins with.
fn string_end(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if text[at + found] == b'"' {
            return at + found + 1;
        }
        at += found + 2;
    }
    text.len()
}

fn depth(text: &str) -> usize {
    let (mut level, mut deepest) = (0usize, 0);
    for byte in around_strings(text).flat_map(|(outside, _)| outside.bytes()) {
        match byte {
            b'{' | b'[' => level += 1,
            b'}' | b']' => level -= 1,
            _ => {}
        }
        deepest = deepest.max(level);
    }
    deepest
}

fn compact(text: &str) -> Arc<str> {
    let is_blank = |character: char| character.is_ascii_whitespace();
    if !around_strings(text).any(|(outside, _)| outside.contains(is_blank)) {
        return text.into();
    }
    let mut kept = String::with_capacity(text.len());
    for (outside, string) in around_strings(text) {
        kept.extend(outside.split(is_blank));
        kept.push_str(string);
    }
    kept.into()
}

/// Reads a number that may be absent, and gives exactly the one that was written: the parser of JSON may be off by a last
/// bit, which would make another fold.
pub fn exact_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    if !deserializer.is_human_readable() {
        return Option::deserialize(deserializer);
    }
    let raw = Option::<Box<RawValue>>::deserialize(deserializer)?;
    raw.map(|raw| raw.get().parse::<f64>().map_err(D::Error::custom)).transpose()
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
            raw.serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        if deserializer.is_human_readable() {
            let raw = Box::<RawValue>::deserialize(deserializer)?;
            Json::parse(raw.get()).map_err(D::Error::custom)
        } else {
            let text = Arc::<str>::deserialize(deserializer)?;
            serde_json::from_str::<&RawValue>(&text).map_err(D::Error::custom)?;
            Ok(Json(text))
        }
    }
}

impl schemars::JsonSchema for Json {
    // Any value at all: a name of its own would say nothing.
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_from_outside_keeps_its_numbers_and_order_and_loses_its_blanks() {
        let text = "{ \"b\" : [1.50, 18446744073709551617],\n\t\"a \\\" {\": \" x \" }";
        let kept = Json::parse(text).expect("is JSON");
        assert_eq!(kept.as_str(), "{\"b\":[1.50,18446744073709551617],\"a \\\" {\":\" x \"}");
    }

    #[test]
    fn what_is_wrong_with_json_is_told_with_the_next_step() {
        let refused = |text: &str| Json::parse(text).expect_err(text).to_string();
        assert_eq!(refused(&"[".repeat(5000)), "is nested deeper than 100 levels");
        assert!(refused("[1, 1e400]").contains("send it as a string"));
        for half in [r#"["\ud800"]"#, r#"["\ud800x"]"#, r#"["\udc00"]"#, r#"["\ud800\u0041"]"#] {
            assert!(refused(half).contains("only together with its other half"), "{half}: {}", refused(half));
        }
        assert!(refused("{").contains("is not JSON that can be read"));
    }

    #[test]
    fn json_that_some_reader_could_not_parse_is_refused() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Json::parse(&deep(JSON_DEPTH_MAX)).is_ok());
        for bad in [deep(JSON_DEPTH_MAX + 1), deep(5000), "1e999".into(), "{".into(), String::new()] {
            assert!(Json::parse(&bad).is_err(), "{:?}", &bad[..bad.len().min(20)]);
            assert!(serde_json::from_str::<Json>(&bad).is_err());
        }
    }
}
