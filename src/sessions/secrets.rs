//! Takes lease tokens out of what is written down: a program that prints its environment or the frames that it was sent
//! must not publish the right to speak for its job, be it in its log, its progress, its error or its result. Pure.

use std::sync::Arc;

use memchr::memmem;

use crate::domain::job::JobError;
use crate::domain::json::Json;
use crate::sessions::calls::Call;

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

/// The tokens that must not be written down.
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Knows these tokens.
    pub fn new(tokens: Vec<String>) -> Secrets {
        Secrets(tokens)
    }

    /// Takes them out of all that a call carries. Keys stay: they name what is meant.
    pub fn take_out_of_call(&self, call: &mut Call) {
        match call {
            Call::Progress(call) => {
                let texts = [&mut call.progress.stage, &mut call.progress.message];
                texts.into_iter().flatten().for_each(|text| self.take_out_of_text(text));
            }
            Call::Checkpoint(data) => self.take_out_of_json(data),
            Call::Items(reports) => {
                for report in reports {
                    report.result.iter_mut().for_each(|result| self.take_out_of_json(result));
                    report.error.iter_mut().for_each(|error| self.take_out_of_error(error));
                }
            }
            Call::AddItems(frames) => {
                let args = frames.iter_mut().flatten().filter_map(|item| item.args.as_mut());
                args.for_each(|args| self.take_out_of_json(args));
            }
            Call::Submit { request, .. } => self.take_out_of_json(request),
            Call::Complete(result) => result.iter_mut().for_each(|result| self.take_out_of_json(result)),
            Call::Fail(error) => self.take_out_of_error(error),
            // Lines are looked at where they are added to the log.
            Call::Log(_) | Call::Release => {}
        }
    }

    /// Takes them out of an error.
    pub fn take_out_of_error(&self, error: &mut JobError) {
        self.take_out_of_text(&mut error.code);
        self.take_out_of_text(&mut error.message);
        error.details.iter_mut().for_each(|details| self.take_out_of_json(details));
    }

    /// Takes them out of JSON. A token that stands there as a number stays: the rest would be no JSON.
    pub fn take_out_of_json(&self, json: &mut Json) {
        if let Some(hidden) = self.hidden(json.as_str()).and_then(|text| Json::parse(&text).ok()) {
            *json = hidden;
        }
    }

    fn take_out_of_text(&self, text: &mut Arc<str>) {
        if let Some(hidden) = self.hidden(text) {
            *text = hidden.into();
        }
    }

    fn hidden(&self, text: &str) -> Option<String> {
        if text.len() < TOKEN_CHARS
            || !self.0.iter().any(|token| memmem::find(text.as_bytes(), token.as_bytes()).is_some())
        {
            return None;
        }
        hide(text, |word| self.0.iter().any(|token| token == word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_without_its_secrets_is_json() {
        let secrets = Secrets::new(vec![TOKEN.to_owned(), "1".repeat(32)]);
        let mut json = Json::from_checked(format!(r#"{{"a":["x{TOKEN}"],"b":1}}"#));
        secrets.take_out_of_json(&mut json);
        assert_eq!(json.as_str(), format!(r#"{{"a":["x{HIDDEN}"],"b":1}}"#));
        let number = Json::from_checked("1".repeat(32));
        let mut same = number.clone();
        secrets.take_out_of_json(&mut same);
        assert_eq!(same, number);
    }

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
