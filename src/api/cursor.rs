//! Cursors: opaque texts that say where the next page begins. A cursor fits only the list, and the filter, that gave it,
//! and only unchanged: the text carries a checksum of all three.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::api::error::ApiError;
use crate::api::query::{Query, invalid};

/// How many bytes the checksum has: it guards against mistakes, not against forgers.
const CHECKSUM_BYTES: usize = 6;

/// The text of a cursor to `place` in the list that `scope` describes: its path and its filter.
pub fn write(scope: &str, place: u128) -> String {
    let place: Vec<u8> = place.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect();
    let mut bytes = checksum(scope, &place).to_vec();
    bytes.extend(place);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place of the cursor in a query; none without a cursor.
///
/// # Errors
/// `invalid_query` when it is damaged or of another list or filter.
pub fn read(query: &Query, scope: &str) -> Result<Option<u128>, ApiError> {
    query.text("cursor").map(|text| place(text, scope).ok_or_else(foreign)).transpose()
}

fn place(text: &str, scope: &str) -> Option<u128> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (given, place) = bytes.split_at_checked(CHECKSUM_BYTES)?;
    if given != checksum(scope, place) || place.len() > size_of::<u128>() {
        return None;
    }
    Some(place.iter().fold(0, |number, &byte| number << 8 | u128::from(byte)))
}

fn foreign() -> ApiError {
    invalid("cursor", "is damaged, or not one of this list with this filter; begin again without it")
}

fn checksum(scope: &str, place: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new();
    // The length of the one keeps it apart from the other.
    hasher.update(&(place.len() as u64).to_le_bytes()).update(place).update(scope.as_bytes());
    *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place_in_its_own_list_only() {
        for number in [0, 1, 255, 256, u128::from(u64::MAX), u128::MAX] {
            let text = write("jobs queued", number);
            assert_eq!(place(&text, "jobs queued"), Some(number));
            assert_eq!(place(&text, "jobs running"), None);
        }
        let text = write("jobs queued", 1_234_567);
        for at in 0..text.len() {
            for other in "AB9_-z".chars().filter(|&other| !text[at..].starts_with(other)) {
                let damaged = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert_eq!(place(&damaged, "jobs queued"), None, "{damaged} for {text}");
            }
        }
        for bad in ["", "x", "!!!!", &"A".repeat(50)] {
            assert_eq!(place(bad, "jobs queued"), None, "{bad:?}");
        }
    }
}
