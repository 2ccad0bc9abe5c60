//! JSON that the server answered: its text as it came, for `--json`, and its fields by path, for people. Lenient: what
//! is absent or `null` is none, so that an older client reads a newer server.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::failure::Failure;
use crate::domain::time::Timestamp;

/// A JSON document.
#[derive(Debug, Clone)]
pub struct Document {
    text: String,
    value: Value,
}

impl Document {
    /// Reads an answer.
    pub fn read(text: String) -> Result<Document, Failure> {
        match serde_json::from_str(&text) {
            Ok(value) => Ok(Document { text, value }),
            Err(_) => Err(Failure::ours("the answer is not JSON").hint("is --server the address of a Daybook server?")),
        }
    }

    /// The document as it came, on one line.
    pub fn line(&self) -> String {
        // A line end can only stand between tokens: inside a text it is escaped.
        self.text.trim().replace(['\n', '\r'], " ")
    }

    /// What stands at a path, like `progress.stage`; none if it is absent or `null`.
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.value, |value, key| value.get(key)).filter(|value| !value.is_null())
    }

    /// A text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path).and_then(Value::as_str)
    }

    /// A number that is not negative.
    pub fn count(&self, path: &str) -> Option<u64> {
        self.at(path).and_then(Value::as_u64)
    }

    /// Any number.
    pub fn number(&self, path: &str) -> Option<f64> {
        self.at(path).and_then(Value::as_f64)
    }

    /// A moment.
    pub fn time(&self, path: &str) -> Option<Timestamp> {
        self.text(path).and_then(|text| Timestamp::parse(text).ok())
    }

    /// The elements of an array at the top, each a document of its own with its text as it came.
    pub fn list(&self, key: &str) -> Vec<Document> {
        let Some(array) = self.raw(key) else { return Vec::new() };
        let elements: Vec<&RawValue> = serde_json::from_str(array).unwrap_or_default();
        elements.into_iter().filter_map(|element| Document::read(element.get().to_owned()).ok()).collect()
    }

    /// The text of a field at the top, as it came; none if it is absent or `null`.
    pub fn raw(&self, key: &str) -> Option<&str> {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(&self.text).ok()?;
        fields.get(key).map(|value| value.get()).filter(|text| *text != "null")
    }

    /// The texts of an array.
    pub fn texts(&self, path: &str) -> Vec<&str> {
        let elements = self.at(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        elements.iter().filter_map(Value::as_str).collect()
    }
}

/// Spreads JSON over lines, two spaces a level, its fields in the order in which they came.
pub fn pretty(json: &str) -> String {
    let mut spread = String::new();
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut ones = json.chars().peekable();
    while let Some(one) = ones.next() {
        if in_text {
            spread.push(one);
            in_text = one != '"' || escaped;
            escaped = one == '\\' && !escaped;
            continue;
        }
        match one {
            '{' | '[' => {
                spread.push(one);
                while ones.next_if(|one| one.is_whitespace()).is_some() {}
                if let Some(close) = ones.next_if(|&one| one == '}' || one == ']') {
                    spread.push(close);
                } else {
                    depth += 1;
                    new_line(&mut spread, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut spread, depth);
                spread.push(one);
            }
            ',' => {
                spread.push(one);
                new_line(&mut spread, depth);
            }
            ':' => spread.push_str(": "),
            one if one.is_whitespace() => {}
            one => {
                spread.push(one);
                in_text = one == '"';
            }
        }
    }
    spread
}

fn new_line(spread: &mut String, depth: usize) {
    spread.push('\n');
    spread.push_str(&"  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_text_and_the_order_of_their_fields() {
        let document =
            Document::read(r#"{"jobs":[{"z":1,"a":null}],"n":null,"o":{"p":{"q":2}}}"#.into()).expect("reads");
        assert_eq!(document.list("jobs")[0].line(), r#"{"z":1,"a":null}"#);
        assert_eq!((document.count("o.p.q"), document.raw("n"), document.list("none").len()), (Some(2), None, 0));
        assert!(Document::read("<html>".into()).is_err());
    }

    #[test]
    fn json_is_spread_over_lines_without_touching_its_texts() {
        let spread = pretty(r#"{"b": "x,{\"y\\", "a":[1, 2], "e":{}, "f":[ ]}"#);
        assert_eq!(
            spread,
            "{\n  \"b\": \"x,{\\\"y\\\\\",\n  \"a\": [\n    1,\n    2\n  ],\n  \"e\": {},\n  \"f\": []\n}"
        );
    }
}
