//! What the lines of a child mean: a frame, a result, or a log line. Pure.

use crate::domain::json::Json;
use crate::sessions::calls::Call;
use crate::sessions::drive::Heard;
use crate::sessions::frames::{ErrorFrame, FRAME_BYTES_MAX, FrameError, looks_like_frames, parse_calls};
use crate::sessions::frames::{WorkerFrame, parse_worker_frames};
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
    let Ok(text) = std::str::from_utf8(&line.bytes) else { return CommandLine::Text };
    let text = text.trim();
    if text.is_empty() {
        return CommandLine::Blank;
    }
    if line.is_cut() {
        return CommandLine::Text;
    }
    match text.starts_with(['{', '[']).then(|| parse_calls(text, &COMMAND_FRAMES)).flatten() {
        Some(calls) => CommandLine::Calls(calls),
        None => Json::parse(text).map_or(CommandLine::Text, CommandLine::Json),
    }
}

/// Sorts a line of standard output of a child in session mode.
pub fn sort_session_line(line: &Line) -> SessionLine {
    let Ok(text) = std::str::from_utf8(&line.bytes) else { return SessionLine::Text };
    if !text.trim_start().starts_with(['{', '[']) {
        return SessionLine::Text;
    }
    if line.is_cut() && line.bytes.len() >= FRAME_BYTES_MAX {
        let detail = format!("a frame has at most {FRAME_BYTES_MAX} bytes; this one has {}", line.length);
        let error = FrameError::new("frame_too_large", detail);
        return SessionLine::Frames { heard: vec![Err(Box::new(error.into()))], is_text_too: true };
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
        let cut = Line { length: 90, ..line("42") };
        assert_eq!(sort_command_line(&cut), CommandLine::Text);
        assert_eq!(sort_command_line(&Line { bytes: vec![b'"', 0xff, b'"'], length: 3 }), CommandLine::Text);
        assert_eq!(sort_session_line(&Line { bytes: vec![b'{', 0xff, b'}'], length: 3 }), SessionLine::Text);
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
