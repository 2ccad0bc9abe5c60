//! Takes lease tokens out of what is written down: a program that prints its environment or the frames that it was sent
//! must not publish the right to speak for its job. Pure.

/// How many characters a token has, all of them hexadecimal digits in lower case.
const TOKEN_CHARS: usize = 32;
/// What stands in its place.
const HIDDEN: &str = "[lease token]";

/// The text without its secrets; none if it has none. `is_secret` is asked only about what looks like a token.
pub fn hide(text: &str, is_secret: impl Fn(&str) -> bool) -> Option<String> {
    let mut hidden: Option<String> = None;
    let (mut copied, mut digits) = (0, 0);
    for (place, byte) in text.bytes().enumerate() {
        digits = if matches!(byte, b'0'..=b'9' | b'a'..=b'f') { digits + 1 } else { 0 };
        if digits < TOKEN_CHARS {
            continue;
        }
        let (from, to) = (place + 1 - TOKEN_CHARS, place + 1);
        if is_secret(&text[from..to]) {
            let kept = hidden.get_or_insert_default();
            kept.push_str(&text[copied..from]);
            kept.push_str(HIDDEN);
            (copied, digits) = (to, 0);
        }
    }
    hidden.map(|kept| kept + &text[copied..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn hidden(text: &str) -> Option<String> {
        hide(text, |word| word == TOKEN)
    }

    #[test]
    fn a_token_is_hidden_wherever_it_stands() {
        assert_eq!(hidden(TOKEN).as_deref(), Some(HIDDEN));
        let text = format!("ü={TOKEN}, ff{TOKEN}ff {TOKEN}{TOKEN}.");
        let expected = format!("ü={HIDDEN}, ff{HIDDEN}ff {HIDDEN}{HIDDEN}.");
        assert_eq!(hidden(&text), Some(expected));
    }

    #[test]
    fn what_is_no_token_stays() {
        for text in ["", "plain", &TOKEN[1..], &TOKEN.to_uppercase(), &TOKEN.replace('1', "2")] {
            assert_eq!(hidden(text), None, "{text}");
        }
    }
}
