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
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first > last => Ok(None),
        (Ok(first), _) if first >= size => Err(Unsatisfiable),
        (Ok(first), Ok(last)) => Ok(Some((first, last.min(size - 1)))),
        (Ok(first), Err(_)) if last.trim().is_empty() => Ok(Some((first, size - 1))),
        (Err(_), Ok(0)) if first.trim().is_empty() => Err(Unsatisfiable),
        (Err(_), Ok(_)) if first.trim().is_empty() && size == 0 => Err(Unsatisfiable),
        (Err(_), Ok(length)) if first.trim().is_empty() => Ok(Some((size.saturating_sub(length), size - 1))),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) | (Err(_), Err(_)) => Ok(None),
    }
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
    }

    #[test]
    fn what_lies_outside_is_unsatisfiable_and_what_makes_no_sense_is_passed_over() {
        for outside in ["bytes=1000-", "bytes=1000-1001", "bytes=-0"] {
            assert_eq!(parse(outside, 1000), Err(Unsatisfiable), "{outside}");
        }
        assert_eq!(parse("bytes=0-", 0), Err(Unsatisfiable));
        assert_eq!(parse("bytes=-1", 0), Err(Unsatisfiable));
        for odd in ["bytes=5-1", "bytes=0-1,5-6", "bytes=a-b", "bytes=-", "items=0-1", "bytes=1", "bytes=1-x"] {
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
