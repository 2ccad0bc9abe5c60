//! Tells whether two JSON texts are equal as values: blanks, the order of members and the way a number is written do not
//! matter. Used for `Idempotency-Key`.

use serde_json::Value;

/// A hash that is the same for equal values.
///
/// # Errors
/// When the text is not JSON.
pub fn hash(text: &str) -> Result<[u8; 16], serde_json::Error> {
    let mut hasher = blake3::Hasher::new();
    feed(&serde_json::from_str(text)?, &mut hasher);
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Ok(short)
}

/// Feeds a value with its type and, where it varies, its length first, so that no two values feed the same bytes.
fn feed(value: &Value, hasher: &mut blake3::Hasher) {
    match value {
        Value::Null => drop(hasher.update(b"n")),
        Value::Bool(yes) => drop(hasher.update(if *yes { b"t" } else { b"f" })),
        Value::Number(number) => feed_text(b'd', &plain(number), hasher),
        Value::String(text) => feed_text(b's', text, hasher),
        Value::Array(elements) => {
            feed_length(b'a', elements.len(), hasher);
            elements.iter().for_each(|element| feed(element, hasher));
        }
        Value::Object(members) => {
            feed_length(b'o', members.len(), hasher);
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            for (name, member) in sorted {
                feed_text(b's', name, hasher);
                feed(member, hasher);
            }
        }
    }
}

fn feed_text(sort: u8, text: &str, hasher: &mut blake3::Hasher) {
    feed_length(sort, text.len(), hasher);
    hasher.update(text.as_bytes());
}

fn feed_length(sort: u8, length: usize, hasher: &mut blake3::Hasher) {
    hasher.update(&[sort]).update(&(length as u64).to_le_bytes());
}

/// A number in one way of writing: 1.0 and 1e0 are 1.
fn plain(number: &serde_json::Number) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => (float as i64).to_string(),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(one: &str, other: &str) -> bool {
        hash(one).expect("JSON") == hash(other).expect("JSON")
    }

    #[test]
    fn equal_values_are_equal_however_they_are_written() {
        assert!(equal(r#"{"a": 1, "b": [1.0, "ü"]}"#, "{\"b\":[1e0,\"\\u00fc\"],\n\"a\":1}"));
        assert!(equal("18446744073709551615", "18446744073709551615"));
    }

    #[test]
    fn different_values_differ() {
        for (one, other) in [
            (r#"{"a": 1}"#, r#"{"a": 2}"#),
            (r#"{"a": 1}"#, r#"{"a": "1"}"#),
            ("[1, 2]", "[2, 1]"),
            (r#"["ab", "c"]"#, r#"["a", "bc"]"#),
            ("[[], []]", "[[[]]]"),
            ("0.1", "0.2"),
            ("null", "false"),
        ] {
            assert!(!equal(one, other), "{one} {other}");
        }
    }
}
