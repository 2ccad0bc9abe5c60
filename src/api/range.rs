//! Ranges of bytes and entity tags, as RFC 9110 has them: one range, strong tags.

/// The range lies outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsatisfiable;

/// The first and the last byte that a `Range` header asks for; none when all is to be sent: for another unit, several
/// ranges, or a header that makes no sense.
pub fn parse(text: &str, size: u64) -> Result<Option<(u64, u64)>, Unsatisfiable> {
    let Some(spec) = text.trim().strip_prefix("bytes=") else { return Ok(None) };
    let Some((first, last)) = spec.split_once('-') else { return Ok(None) };
    if spec.contains(',') {
        return Ok(None);
    }
    let (first, last) = (first.trim(), last.trim());
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Ok(None),
        (Some(first), last_number) if last_number.is_some() || last.is_empty() => match first >= size {
            true => Err(Unsatisfiable),
            false => Ok(Some((first, last_number.unwrap_or(u64::MAX).min(size - 1)))),
        },
        (None, Some(length)) if first.is_empty() => match length == 0 || size == 0 {
            true => Err(Unsatisfiable),
            false => Ok(Some((size.saturating_sub(length), size - 1))),
        },
        (Some(_), _) | (None, _) => Ok(None),
    }
}

/// A number of bytes. One that is too large to be counted lies beyond any file.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Whether an `If-None-Match` header names a tag.
pub fn etag_fits(given: &str, etag: &str) -> bool {
    given.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood_in_its_three_forms() {
        assert_eq!(parse("bytes=0-499", 1000), Ok(Some((0, 499))));
        assert_eq!(parse("bytes=500-", 1000), Ok(Some((500, 999))));
        assert_eq!(parse("bytes=-100", 1000), Ok(Some((900, 999))));
        assert_eq!(parse("bytes=-5000", 1000), Ok(Some((0, 999))));
        assert_eq!(parse("bytes=990-2000", 1000), Ok(Some((990, 999))));
        assert_eq!(parse("bytes=990-18446744073709551616", 1000), Ok(Some((990, 999))));
    }

    #[test]
    fn what_lies_outside_is_unsatisfiable_and_what_makes_no_sense_is_passed_over() {
        for outside in ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=18446744073709551616-"] {
            assert_eq!(parse(outside, 1000), Err(Unsatisfiable), "{outside}");
        }
        assert_eq!(parse("bytes=0-", 0), Err(Unsatisfiable));
        assert_eq!(parse("bytes=-1", 0), Err(Unsatisfiable));
        for odd in
            ["bytes=5-1", "bytes=0-1,5-6", "bytes=a-b", "bytes=-", "items=0-1", "bytes=1", "bytes=1-x", "bytes=+1-2"]
        {
            assert_eq!(parse(odd, 1000), Ok(None), "{odd}");
        }
    }

    #[test]
    fn a_tag_fits_itself_also_among_others() {
        assert!(etag_fits("\"a\", W/\"b\"", "\"b\""));
        assert!(etag_fits("*", "\"b\""));
        assert!(!etag_fits("\"a\"", "\"b\""));
    }
}
