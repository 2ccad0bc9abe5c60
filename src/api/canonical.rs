//! Tells whether two JSON texts are equal as values: blanks, escapes, the order of members and the way a number is
//! written do not matter. Used for `Idempotency-Key`.
//!
//! Numbers are compared exactly, by their decimal digits: 1, 1.0 and 10e-1 are equal, and two integers that differ in
//! their thirtieth digit are not, though many readers of JSON could not tell them apart. Must never turn a number into a
//! float.

use std::ops::Range;

/// How deep values may be nested: what gets here was read before, within tighter limits.
const DEPTH_MAX: usize = 1000;

/// A hash that is the same for equal values.
///
/// # Errors
/// When the text is not JSON, or nested too deep.
pub fn hash(text: &str) -> Result<[u8; 16], serde_json::Error> {
    // What follows relies on this having said yes.
    let checked: &serde_json::value::RawValue = serde_json::from_str(text)?;
    let mut reader = Reader { text: checked.get(), at: 0, plain: Vec::with_capacity(text.len()) };
    reader.value(DEPTH_MAX)?;
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(&reader.plain).as_bytes()[..16]);
    Ok(short)
}

/// Goes once through a text that is known to be JSON, and writes each value in the one way it has here: with its type
/// and, where it varies, its length first, so that no two values are written alike.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    plain: Vec<u8>,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<(), serde_json::Error> {
        let too_deep = || serde::de::Error::custom("it is nested too deep");
        let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
        match self.skip_blanks() {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(|text| self.put(b's', text.as_bytes())),
            b'-' | b'0'..=b'9' => {
                let number = plain_number(self.word());
                self.put(b'd', number.as_bytes());
                Ok(())
            }
            _ => {
                let first = self.word().as_bytes()[0];
                self.plain.push(first);
                Ok(())
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), serde_json::Error> {
        let head = self.open(b'a');
        let mut count = 0;
        while !self.ends_with(b']') {
            self.value(depth)?;
            count += 1;
        }
        self.close(head, count);
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), serde_json::Error> {
        let head = self.open(b'o');
        let mut members: Vec<(String, Range<usize>)> = Vec::new();
        while !self.ends_with(b'}') {
            let name = self.string()?;
            let begin = self.plain.len();
            self.put(b's', name.as_bytes());
            self.skip_blanks();
            self.at += 1;
            self.value(depth)?;
            members.push((name, begin..self.plain.len()));
        }
        let count = self.sort_members(members);
        self.close(head, count);
        Ok(())
    }

    /// Brings members into the order of their names. Of several with the same name the last counts, as for most readers.
    fn sort_members(&mut self, mut members: Vec<(String, Range<usize>)>) -> usize {
        if members.is_sorted_by(|one, next| one.0 < next.0) {
            return members.len();
        }
        let start = members[0].1.start;
        members.reverse();
        members.sort_by(|one, other| one.0.cmp(&other.0));
        members.dedup_by(|earlier, last| earlier.0 == last.0);
        let unsorted = self.plain.split_off(start);
        members.iter().for_each(|(_, place)| self.plain.extend(&unsorted[place.start - start..place.end - start]));
        members.len()
    }

    /// Whether a list ends here; else the next element begins here.
    fn ends_with(&mut self, end: u8) -> bool {
        if self.skip_blanks() == b',' {
            self.at += 1;
            self.skip_blanks();
        }
        let ends = self.text.as_bytes()[self.at] == end;
        self.at += usize::from(ends);
        ends
    }

    fn skip_blanks(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while bytes[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
        bytes[self.at]
    }

    fn string(&mut self) -> Result<String, serde_json::Error> {
        let bytes = &self.text.as_bytes()[self.at..];
        let mut end = 1;
        while bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let quoted = &self.text[self.at..self.at + end + 1];
        self.at += end + 1;
        serde_json::from_str(quoted)
    }

    /// A number or one of the three words.
    fn word(&mut self) -> &str {
        let rest = &self.text[self.at..];
        let end = rest.find(|it: char| !(it.is_ascii_alphanumeric() || "+-.".contains(it))).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn put(&mut self, sort: u8, bytes: &[u8]) {
        self.plain.push(sort);
        self.plain.extend((bytes.len() as u64).to_le_bytes());
        self.plain.extend(bytes);
    }

    /// Begins a list or an object; its count is written when it is known.
    fn open(&mut self, sort: u8) -> usize {
        self.at += 1;
        self.plain.push(sort);
        self.plain.extend([0; 8]);
        self.plain.len() - 8
    }

    fn close(&mut self, head: usize, count: usize) {
        self.plain[head..head + 8].copy_from_slice(&(count as u64).to_le_bytes());
    }
}

/// A number as its digits without zeros at either end, and the power of ten of the last one: `-12e3` is -12000.0.
fn plain_number(text: &str) -> String {
    let (sign, unsigned) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return "0".to_owned();
    }
    let moved = (digits.len() - kept.len()) as i64 - fraction.len() as i64;
    match exponent.parse::<i64>().ok().and_then(|exponent| exponent.checked_add(moved)) {
        Some(exponent) => format!("{sign}{kept}e{exponent}"),
        // Nobody counts so far: such a number equals only itself.
        None => text.to_owned(),
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
        assert!(equal(r#"{"b": {"y": [], "x": {}}, "a": " \" "}"#, r#"{"a":" \u0022 ","b":{"x":{ },"y":[ ]}}"#));
        assert!(equal(r#"{"a": 1, "b": 2, "a": 3}"#, r#"{"b": 2, "a": 3}"#));
        for (one, other) in [
            ("18446744073709551616", "18446744073709551616.0"),
            ("1", "10e-1"),
            ("1200", "1.2E+3"),
            ("-0.50", "-5e-1"),
            ("0", "-0.00e7"),
            (" true ", "true"),
        ] {
            assert!(equal(one, other), "{one} {other}");
        }
    }

    #[test]
    fn different_values_differ() {
        for (one, other) in [
            (r#"{"a": 1}"#, r#"{"a": 2}"#),
            (r#"{"a": 1}"#, r#"{"a": "1"}"#),
            ("[1, 2]", "[2, 1]"),
            (r#"["ab", "c"]"#, r#"["a", "bc"]"#),
            ("[[], []]", "[[[]]]"),
            ("[[1], 2]", "[[1, 2]]"),
            ("{}", "[]"),
            (r#"{"a": {"b": 1}}"#, r#"{"a": {}, "b": 1}"#),
            (r#"["a", "b"]"#, r#"{"a": "b"}"#),
            ("0.1", "0.2"),
            ("1", "-1"),
            ("1", "10"),
            ("null", "false"),
            ("true", "false"),
            ("18446744073709551616", "18446744073709551617"),
            ("100000000000000000000000000000", "100000000000000000000000000001"),
            ("0.1", "0.10000000000000000000000000001"),
            ("1e99999999999999999999", "1e99999999999999999998"),
        ] {
            assert!(!equal(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_refused() {
        for bad in ["", "{", "[1,]", "1 2", "\"\\ud800\""] {
            assert!(hash(bad).is_err(), "{bad:?}");
        }
        assert!(hash(&format!("{}{}", "[".repeat(5000), "]".repeat(5000))).is_err());
    }
}
