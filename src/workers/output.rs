//! What the lines of a child mean: a frame, a result, or a log line. Pure.

use serde_json::value::RawValue;

use crate::domain::job::JobError;
use crate::domain::json::{Json, JsonError};
use crate::sessions::calls::Call;
use crate::sessions::calls::too_large_result;
use crate::sessions::drive::Heard;
use crate::sessions::frames::{ErrorFrame, FRAME_BYTES_MAX, FrameError, looks_like_frames, parse_calls};
use crate::sessions::frames::{WorkerFrame, parse_worker_frames, read_cut_frame};
use crate::workers::lines::Line;

/// The frames that a child in command mode may print. It has no other words: its exit status says how it ended.
pub const COMMAND_FRAMES: [&str; 5] = ["progress", "item", "add_items", "submit", "checkpoint"];

/// What a line of a child in command mode is.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandLine {
    /// One frame or several, each right or wrong.
    Calls(Vec<Result<Call, Box<ErrorFrame>>>),
    /// JSON that is no frame: the result, if nothing follows.
    Json(Json),
    /// JSON that cannot be kept: if nothing follows, the result is lost, and the attempt has failed with this error.
    Unfit(JobError),
    /// Nothing but blanks.
    Blank,
    /// Anything else.
    Text,
}

/// What a line of a child in session mode is.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionLine {
    /// Frames, each right or wrong. Of an unknown type, the line is a log line as well.
    Frames { heard: Vec<Heard>, is_text_too: bool },
    /// Anything else.
    Text,
}

/// Sorts a line of standard output of a child in command mode.
pub fn sort_command_line(line: &Line) -> CommandLine {
    let Some(text) = text_of(line) else { return CommandLine::Text };
    let text = text.trim();
    if text.is_empty() {
        return CommandLine::Blank;
    }
    if line.is_cut() {
        let error = too_large_result(usize::try_from(line.length).unwrap_or(usize::MAX));
        return error.filter(|_| begins_like_json(text)).map_or(CommandLine::Text, CommandLine::Unfit);
    }
    match text.starts_with(['{', '[']).then(|| parse_calls(text, &COMMAND_FRAMES)).flatten() {
        Some(calls) => CommandLine::Calls(calls),
        None => match Json::parse(text) {
            Ok(json) => CommandLine::Json(json),
            Err(error) if serde_json::from_str::<&RawValue>(text).is_ok() => CommandLine::Unfit(unreadable(&error)),
            Err(_) => CommandLine::Text,
        },
    }
}

/// Whether a text that is only there in part may be JSON: `[INFO] …` is not.
fn begins_like_json(text: &str) -> bool {
    let mut rest = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    match (rest.next(), rest.next()) {
        (Some(b'{'), Some(second)) => second == b'"',
        (Some(b'['), Some(second)) => b"{[\"-0123456789tfn".contains(&second),
        (first, _) => first == Some(b'"'),
    }
}

/// The error of a result that is JSON and that not every reader could read. Another attempt would make the same.
fn unreadable(error: &JsonError) -> JobError {
    let message = format!("the result {error}").into();
    JobError { code: "result_unreadable".into(), message, details: None, retryable: false, attempt: 0 }
}

/// A line as text; of one that was cut, what is left of its last character does not count.
fn text_of(line: &Line) -> Option<&str> {
    match std::str::from_utf8(&line.bytes) {
        Ok(text) => Some(text),
        Err(error) if line.is_cut() && error.error_len().is_none() => {
            std::str::from_utf8(&line.bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// Sorts a line of standard output of a child in session mode.
pub fn sort_session_line(line: &Line) -> SessionLine {
    let Some(text) = text_of(line) else { return SessionLine::Text };
    if !text.trim_start().starts_with(['{', '[']) {
        return SessionLine::Text;
    }
    if line.is_cut() && line.bytes.len() >= FRAME_BYTES_MAX {
        return SessionLine::Frames { heard: read_cut_frame(text, line.length), is_text_too: true };
    }
    if !looks_like_frames(text) {
        return SessionLine::Text;
    }
    let heard = parse_worker_frames(text);
    let is_unknown = |frame: &Heard| frame.as_ref().is_err_and(|error| &*error.code == "unknown_frame");
    let is_text_too = heard.iter().any(is_unknown);
    SessionLine::Frames { heard, is_text_too }
}

/// Takes the introduction out of what was heard first; the rest stays for the session.
pub fn take_hello(heard: &mut Vec<Heard>) -> Option<Result<crate::sessions::frames::Hello, FrameError>> {
    if heard.is_empty() {
        return None;
    }
    Some(match heard.remove(0) {
        Ok(WorkerFrame::Hello(hello)) => Ok(hello),
        Ok(_) => Err(FrameError::new("hello_first", "the first frame of a worker is `hello`")),
        Err(error) => Err(FrameError::new(error.code, error.detail)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line { bytes: text.as_bytes().to_vec(), length: text.len() as u64 }
    }

    fn sorted(text: &str) -> &'static str {
        match sort_command_line(&line(text)) {
            CommandLine::Calls(calls) if calls.iter().all(Result::is_ok) => "calls",
            CommandLine::Calls(_) => "wrong calls",
            CommandLine::Json(_) => "json",
            CommandLine::Unfit(_) => "unfit",
            CommandLine::Blank => "blank",
            CommandLine::Text => "text",
        }
    }

    #[test]
    fn a_child_in_command_mode_says_five_sorts_of_frames() {
        for text in [
            r#"{"type":"progress","percent":4}"#,
            r#" {"type":"item","key":"a","state":"completed"} "#,
            r#"{"type":"add_items","items":[]}"#,
            r#"{"type":"submit","job":{}}"#,
            r#"[{"type":"checkpoint","data":1},{"type":"progress"}]"#,
        ] {
            assert_eq!(sorted(text), "calls", "{text}");
        }
        assert_eq!(sorted(r#"{"type":"progress","percent":"many"}"#), "wrong calls");
    }

    #[test]
    fn other_json_may_be_the_result_and_all_else_is_text() {
        for text in ["{}", r#"{"type":"complete"}"#, r#"{"type":"log","lines":[]}"#, "42", "\"x\"", "null", "[1]"] {
            assert_eq!(sorted(text), "json", "{text}");
        }
        for text in ["done", "{\"a\":", "1 2", "nullify", "[INFO] started"] {
            assert_eq!(sorted(text), "text", "{text}");
        }
        assert_eq!(sorted(" \t"), "blank");
    }

    #[test]
    fn what_was_cut_or_is_no_utf8_is_text() {
        let cut = |text: &str, length: u64| sort_command_line(&Line { length, ..line(text) });
        assert_eq!(cut("42", 90), CommandLine::Text);
        for text in ["plain", "[INFO] begun", "{x", "[", ""] {
            let sorted = cut(text, 90 << 20);
            assert!(matches!(sorted, CommandLine::Text | CommandLine::Blank), "{text}: {sorted:?}");
        }
        assert_eq!(sort_command_line(&Line { bytes: vec![b'"', 0xff, b'"'], length: 3 }), CommandLine::Text);
        assert_eq!(sort_session_line(&Line { bytes: vec![b'{', 0xff, b'}'], length: 3 }), SessionLine::Text);
    }

    #[test]
    fn json_that_cannot_be_kept_is_no_result_and_no_mere_text() {
        let code = |line: &Line| match sort_command_line(line) {
            CommandLine::Unfit(error) => error.code.to_string(),
            other => panic!("{other:?}"),
        };
        for text in ["{\"a\": \"x", " [1, 2", "\"\u{fc}"] {
            assert_eq!(code(&Line { length: 17 << 20, ..line(text) }), "result_too_large", "{text}");
        }
        let mid_character = Line { bytes: b"\"\xc3".to_vec(), length: 17 << 20 };
        assert_eq!(code(&mid_character), "result_too_large");
        let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
        assert_eq!(
            (code(&line(&deep)), code(&line("[1e999]"))),
            ("result_unreadable".into(), "result_unreadable".into())
        );
    }

    #[test]
    fn a_frame_that_was_cut_ends_the_run_that_it_was_the_end_of() {
        let id = uuid::Uuid::nil();
        let cut = |text: String| {
            let bytes = [text.as_bytes(), &vec![b'x'; FRAME_BYTES_MAX - text.len()]].concat();
            sort_session_line(&Line { bytes, length: FRAME_BYTES_MAX as u64 + 9 })
        };
        let complete = cut(format!(r#"{{"type":"complete","job_id":"{id}","token":"t","result":""#));
        let SessionLine::Frames { heard, is_text_too: true } = complete else { panic!() };
        assert_eq!(heard[0].as_ref().expect_err("too large").job_id.map(|job| job.uuid()), Some(id));
        let Ok(WorkerFrame::Job(call)) = &heard[1] else { panic!("{heard:?}") };
        assert!(matches!(&call.call, Call::Fail(error) if &*error.code == "result_too_large"));
        for text in [format!(r#"{{"type":"log","job_id":"{id}","token":"t","lines":[""#), "{\"result\":\"".into()] {
            let SessionLine::Frames { heard, is_text_too: true } = cut(text) else { panic!() };
            assert!(heard.len() == 1 && heard[0].as_ref().is_err_and(|error| &*error.code == "frame_too_large"));
        }
    }

    #[test]
    fn a_child_in_session_mode_may_print_anything_between_its_frames() {
        for text in ["loading", "", "{\"level\":\"info\"}", "[1, 2]", "[INFO] x", "{", "17"] {
            assert_eq!(sort_session_line(&line(text)), SessionLine::Text, "{text}");
        }
        let SessionLine::Frames { heard, is_text_too } = sort_session_line(&line(r#"{"type":"ready","slots":2}"#))
        else {
            panic!()
        };
        assert_eq!((heard, is_text_too), (vec![Ok(WorkerFrame::Ready { slots: 2 })], false));
    }

    #[test]
    fn json_with_a_type_that_no_frame_has_is_an_error_and_a_log_line() {
        let unknown = line(&format!(r#"{{"type":"request","job_id":"{}","token":"t"}}"#, uuid::Uuid::nil()));
        for line in [unknown, line(r#"{"type":"request","path":"/"}"#)] {
            let SessionLine::Frames { heard, is_text_too } = sort_session_line(&line) else { panic!() };
            assert!(heard[0].is_err() && is_text_too, "{heard:?}");
        }
    }
}
