//! Our own schema keyword `x-daybook-base64`: how much base64 several properties of the args hold together.
//!
//! `schemas/kinds/README.md` is its specification. It stands at the top level of a kind's schema only, and its numbers
//! are bytes as they were sent. Must never decode into memory what only has to be counted and checked.

use serde_json::Value;

use crate::kinds::problem::{Problems, below};

/// The keyword's name.
pub const KEYWORD: &str = "x-daybook-base64";

/// A total that strings of base64 may not go above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base64Limit {
    properties: Vec<String>,
    bytes_max: u64,
}

/// Why the keyword in a schema was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Base64LimitError {
    #[error("{KEYWORD} stands at the top level of a schema only, not at {pointer}")]
    TooDeep { pointer: String },
    #[error("{KEYWORD} has exactly the members \"properties\" and \"max_total_bytes\"")]
    Members,
    #[error("{KEYWORD}: \"properties\" names at least one property, none of them twice")]
    Properties,
    #[error("{KEYWORD}: \"max_total_bytes\" is a whole number, 0 or more")]
    BytesMax,
}

impl Base64Limit {
    /// Reads the keyword of a schema, if it has one.
    ///
    /// # Errors
    /// When it is malformed or stands deeper than at the top level.
    pub fn of_schema(schema: &Value) -> Result<Option<Base64Limit>, Base64LimitError> {
        let Some(top) = schema.as_object() else { return Ok(None) };
        for (name, value) in top {
            if name != KEYWORD && !is_data(name) {
                refuse_below(value, &below("", name))?;
            }
        }
        top.get(KEYWORD).map(Base64Limit::read).transpose()
    }

    fn read(value: &Value) -> Result<Base64Limit, Base64LimitError> {
        let members = value.as_object().filter(|members| members.len() == 2).ok_or(Base64LimitError::Members)?;
        let names = members.get("properties").ok_or(Base64LimitError::Members)?;
        let bytes_max = members.get("max_total_bytes").ok_or(Base64LimitError::Members)?;
        let mut properties: Vec<String> = Vec::new();
        for name in names.as_array().ok_or(Base64LimitError::Properties)? {
            let name = name.as_str().ok_or(Base64LimitError::Properties)?;
            if properties.iter().any(|known| known == name) {
                return Err(Base64LimitError::Properties);
            }
            properties.push(name.to_owned());
        }
        if properties.is_empty() {
            return Err(Base64LimitError::Properties);
        }
        Ok(Base64Limit { properties, bytes_max: bytes_max.as_u64().ok_or(Base64LimitError::BytesMax)? })
    }

    /// Notes each string that is not base64, and the property with which the total goes above the limit.
    pub fn check(&self, args: &Value, base: &str, problems: &mut Problems) {
        let mut total = 0;
        let mut crossed = None;
        for name in &self.properties {
            let pointer = below(base, name);
            total += args.get(name).map_or(0, |value| check_strings(value, &pointer, problems));
            if total > self.bytes_max && crossed.is_none() {
                crossed = Some(pointer);
            }
        }
        if let Some(pointer) = crossed {
            problems.add(pointer, self.total_message(total));
        }
    }

    fn total_message(&self, total: u64) -> String {
        let names = self.properties.join(" and ");
        let together = if self.properties.len() > 1 { " together" } else { "" };
        let have = if self.properties.len() > 1 { "have" } else { "has" };
        let max = self.bytes_max;
        format!("{names}{together} {have} {total} bytes of base64; at most {max} are allowed")
    }
}

/// Sums the strings of one property and notes those that are not base64.
fn check_strings(value: &Value, pointer: &str, problems: &mut Problems) -> u64 {
    match value {
        Value::String(text) => check_string(text, || pointer.to_owned(), problems),
        Value::Array(elements) => {
            let strings = elements.iter().enumerate().filter_map(|(place, element)| Some((place, element.as_str()?)));
            strings.map(|(place, text)| check_string(text, || below(pointer, place), problems)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => 0,
    }
}

fn check_string(text: &str, pointer: impl Fn() -> String, problems: &mut Problems) -> u64 {
    if !is_base64(text) {
        let message = "is not base64: RFC 4648 section 4, padded, without line breaks and without a data: prefix";
        problems.add(pointer(), message);
    }
    text.len() as u64
}

/// Whether a text is base64 of RFC 4648 section 4, with padding and with its unused bits zero.
fn is_base64(text: &str) -> bool {
    let bytes = text.as_bytes();
    let padding = bytes.iter().rev().take(2).take_while(|&&byte| byte == b'=').count();
    let (digits, _) = bytes.split_at(bytes.len() - padding);
    let unused_bits = match padding {
        0 => 0,
        1 => 0b11,
        _ => 0b1111,
    };
    let last = digits.last().and_then(|&byte| value_of(byte)).unwrap_or(0);
    bytes.len().is_multiple_of(4) && digits.iter().all(|&byte| value_of(byte).is_some()) && last & unused_bits == 0
}

fn value_of(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// The keywords whose values are data and not schemas: what stands in them is nobody's keyword.
fn is_data(keyword: &str) -> bool {
    matches!(keyword, "default" | "const" | "enum" | "examples")
}

fn refuse_below(value: &Value, pointer: &str) -> Result<(), Base64LimitError> {
    match value {
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            // A property may have any name, also this one; a keyword's value is what makes it the keyword.
            let names_a_property = pointer.ends_with("/properties") || pointer.ends_with("/$defs");
            if name == KEYWORD && !names_a_property {
                return Err(Base64LimitError::TooDeep { pointer: below(pointer, name) });
            }
            if is_data(name) && !names_a_property { Ok(()) } else { refuse_below(member, &below(pointer, name)) }
        }),
        Value::Array(elements) => {
            elements.iter().enumerate().try_for_each(|(place, element)| refuse_below(element, &below(pointer, place)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn limit(bytes_max: u64) -> Base64Limit {
        let schema = json!({KEYWORD: {"properties": ["image", "images"], "max_total_bytes": bytes_max}});
        Base64Limit::of_schema(&schema).expect("well formed").expect("is there")
    }

    fn problems_of(limit: &Base64Limit, args: Value) -> Vec<(String, String)> {
        let mut problems = Problems::default();
        limit.check(&args, "/args", &mut problems);
        problems.into_list().into_iter().map(|problem| (problem.pointer, problem.message)).collect()
    }

    #[test]
    fn the_total_is_named_at_the_property_that_goes_above_it() {
        let found = problems_of(&limit(8), json!({"image": "QUJD", "images": ["QUJD", "QQ==", 7]}));
        let message = "image and images together have 12 bytes of base64; at most 8 are allowed";
        assert_eq!(found, [("/args/images".to_owned(), message.to_owned())]);
        assert!(problems_of(&limit(12), json!({"image": "QUJD", "images": ["QUJD", "QQ=="]})).is_empty());
    }

    #[test]
    fn each_string_that_is_not_base64_is_named_at_its_place() {
        let found = problems_of(&limit(1000), json!({"image": "data:image/png;base64,QUJD", "images": ["QUJD", "Q"]}));
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/args/image", "/args/images/1"]);
    }

    #[test]
    fn base64_is_padded_canonical_and_without_blanks() {
        for good in ["", "QQ==", "QUI=", "QUJD", "+/+/"] {
            assert!(is_base64(good), "{good:?}");
        }
        for bad in ["Q", "QQ", "QQ=", "Q===", "QR==", "QUJ=", "QUJD\n", "QU-_", "====", "QQ==QQ=="] {
            assert!(!is_base64(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_malformed_or_misplaced_keyword_is_refused_when_the_schema_is_loaded() {
        let refused = |schema: Value| Base64Limit::of_schema(&schema).expect_err("is malformed");
        assert_eq!(refused(json!({KEYWORD: {"properties": ["a"]}})), Base64LimitError::Members);
        let with = |properties: Value, max: Value| json!({KEYWORD: {"properties": properties, "max_total_bytes": max}});
        assert_eq!(refused(with(json!([]), json!(1))), Base64LimitError::Properties);
        assert_eq!(refused(with(json!(["a", "a"]), json!(1))), Base64LimitError::Properties);
        assert_eq!(refused(with(json!(["a"]), json!(-1))), Base64LimitError::BytesMax);
        let deep = json!({"properties": {"image": {KEYWORD: {"properties": ["a"], "max_total_bytes": 1}}}});
        assert!(matches!(refused(deep), Base64LimitError::TooDeep { .. }));
        let named = json!({"properties": {KEYWORD: {"type": "string"}}, "default": {KEYWORD: 1}});
        assert_eq!(Base64Limit::of_schema(&named), Ok(None));
    }
}
