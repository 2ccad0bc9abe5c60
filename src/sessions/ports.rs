//! What sessions and workers need of the house outside: a place for log lines and a place for files. Storage stands
//! behind these ports; nothing here knows how.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::id::JobId;
use crate::domain::job::FileInfo;
use crate::domain::time::Timestamp;

/// The most bytes that one log line keeps, its mark included.
pub const LOG_LINE_BYTES_MAX: usize = 64 * 1024;

pub use crate::domain::limits::FILE_NAME_BYTES_MAX;

/// Where a log line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// What the worker prints.
    #[default]
    Stdout,
    /// What the worker prints on its error stream.
    Stderr,
    /// Daybook itself says something about the run.
    System,
}

/// One line of a job's log, at most [`LOG_LINE_BYTES_MAX`] long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub stream: LogStream,
    pub text: Arc<str>,
}

impl LogLine {
    /// Makes a line of any text. What is too long is cut and marked; `length` is how long it was before anybody cut.
    pub fn new(stream: LogStream, text: &str, length: u64) -> LogLine {
        if text.len() <= LOG_LINE_BYTES_MAX && length <= text.len() as u64 {
            return LogLine { stream, text: text.into() };
        }
        let mark = format!(" … [cut: the line had {length} bytes]");
        let kept = &text[..text.floor_char_boundary(LOG_LINE_BYTES_MAX - mark.len())];
        LogLine { stream, text: format!("{kept}{mark}").into() }
    }

    /// Makes a line of bytes that need not be UTF-8.
    pub fn of_bytes(stream: LogStream, bytes: &[u8], length: u64) -> LogLine {
        let text = String::from_utf8_lossy(bytes);
        let grown = text.len().saturating_sub(bytes.len()) as u64;
        LogLine::new(stream, &text, length + grown)
    }

    /// Makes a line in which Daybook itself speaks.
    pub fn system(text: &str) -> LogLine {
        LogLine::new(LogStream::System, text, text.len() as u64)
    }
}

/// The port to the jobs' log lines. Calls may block for the length of a write; they are made where that is allowed.
pub trait JobLogs: Send + Sync {
    /// Adds lines to the log of a job, in order. They are readable at once and durable after the next sync.
    fn append(&self, job: JobId, at: Timestamp, lines: &[LogLine]) -> io::Result<()>;

    /// Whether lines of a job wait for a sync. Does not block.
    fn needs_sync(&self, job: JobId) -> bool;

    /// Makes every line of a job durable. Without lines it does nothing.
    fn sync(&self, job: JobId) -> io::Result<()>;
}

/// Whether a job's file may have this name: it is no path, not hidden, not too long, and looks like what it is.
pub fn is_file_name(name: &str) -> bool {
    let fits = (1..=FILE_NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.');
    fits && !name.chars().any(|letter| matches!(letter, '/' | '\\') || letter.is_control() || turns_text(letter))
}

/// Whether a character turns the direction or the line of what follows, so that `x\u{202e}gpj.exe` is shown as a picture.
fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The port to the jobs' output files.
pub trait JobFiles: Send + Sync {
    /// Takes a file over, by moving it if that is possible, and replaces one of the same name. The name is one by
    /// [`is_file_name`]. Durable when this returns.
    fn adopt(&self, job: JobId, name: &str, from: &Path) -> io::Result<FileInfo>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_cut_and_says_how_long_it_was() {
        let text = "ü".repeat(LOG_LINE_BYTES_MAX);
        let line = LogLine::new(LogStream::Stdout, &text, text.len() as u64);
        assert!(line.text.len() <= LOG_LINE_BYTES_MAX);
        assert!(line.text.ends_with("ü … [cut: the line had 131072 bytes]"), "{}", &line.text[line.text.len() - 60..]);
    }

    #[test]
    fn a_name_that_shows_itself_as_another_is_none() {
        for bad in
            ["a\u{202e}gpj.exe", "\u{2066}a", "a\u{200f}", "a\u{61c}b", "a\u{2028}b", "a\tb", "a\u{9b}b", "a\u{7f}"]
        {
            assert!(!is_file_name(bad), "{bad:?}");
        }
        for good in ["Größe 1.png", "図.png", "\u{5e9}\u{5dc}.txt", "a%ff", "-rf", "x\u{200d}y"] {
            assert!(is_file_name(good), "{good:?}");
        }
    }

    #[test]
    fn a_line_that_fits_stays_as_it_is() {
        let text = "x".repeat(LOG_LINE_BYTES_MAX);
        assert_eq!(&*LogLine::new(LogStream::Stderr, &text, text.len() as u64).text, text);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(&*LogLine::of_bytes(LogStream::Stdout, b"a\xff\xfeb", 4).text, "a\u{fffd}\u{fffd}b");
        let garbage = vec![0xff; LOG_LINE_BYTES_MAX];
        assert!(LogLine::of_bytes(LogStream::Stdout, &garbage, garbage.len() as u64).text.len() <= LOG_LINE_BYTES_MAX);
    }
}
