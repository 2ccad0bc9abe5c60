//! Splits what a child prints into lines, and never holds more than its limits, whatever comes.
//!
//! A line that begins like JSON may be a frame or a result and is kept up to a larger limit than text. What is over the
//! limit is read and thrown away, only counted. The reader takes one chunk at a time and only when it is asked: a child
//! that prints faster than its lines are used waits in its own `write`.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::workers::process::Output;

/// How many bytes are read at once.
const CHUNK_BYTES: usize = 32 * 1024;

/// The most that is kept of one line, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineLimits {
    pub text: usize,
    /// Of a line that begins with `{`, `[` or `"`.
    pub json: usize,
}

/// One line without its end (`\n` or `\r\n`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The kept bytes; they need not be UTF-8.
    pub bytes: Vec<u8>,
    /// How many bytes the line had.
    pub length: u64,
}

impl Line {
    /// Whether some of the line was thrown away.
    pub fn is_cut(&self) -> bool {
        self.length > self.bytes.len() as u64
    }
}

/// Makes lines out of chunks.
#[derive(Debug)]
struct Splitter {
    limits: LineLimits,
    limit: usize,
    kept: Vec<u8>,
    length: u64,
}

impl Splitter {
    fn new(limits: LineLimits) -> Splitter {
        Splitter { limits, limit: limits.text, kept: Vec::new(), length: 0 }
    }

    fn push(&mut self, chunk: &[u8], lines: &mut Vec<Line>) {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.keep(&rest[..end]);
            lines.push(self.cut_off());
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    /// The last line, if it had no end.
    fn finish(&mut self) -> Option<Line> {
        (self.length > 0).then(|| self.cut_off())
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.kept.iter().all(u8::is_ascii_whitespace)
            && let Some(first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace())
        {
            self.limit = if b"{[\"".contains(first) { self.limits.json } else { self.limits.text };
        }
        self.length += bytes.len() as u64;
        let room = self.limit.saturating_sub(self.kept.len());
        let kept = &bytes[..bytes.len().min(room)];
        if self.kept.capacity() - self.kept.len() < kept.len() {
            // Doubling, but never beyond the limit.
            let more = self.kept.len().max(kept.len()).min(room);
            self.kept.reserve_exact(more);
        }
        self.kept.extend_from_slice(kept);
    }

    fn cut_off(&mut self) -> Line {
        let whole = self.length == self.kept.len() as u64;
        let mut line = Line { bytes: std::mem::take(&mut self.kept), length: self.length };
        if whole && line.bytes.last() == Some(&b'\r') {
            line.bytes.pop();
            line.length -= 1;
        }
        self.length = 0;
        self.limit = self.limits.text;
        line
    }
}

/// Reads lines from a pipe.
#[derive(Debug)]
pub struct LineReader<R> {
    source: R,
    chunk: Box<[u8]>,
    splitter: Splitter,
    ended: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads lines from `source`.
    pub fn new(source: R, limits: LineLimits) -> LineReader<R> {
        LineReader {
            source,
            chunk: vec![0; CHUNK_BYTES].into_boxed_slice(),
            splitter: Splitter::new(limits),
            ended: false,
        }
    }

    /// The next lines, as many as one read brings and at least one; none at the end. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        while lines.is_empty() && !self.ended {
            let count = self.source.read(&mut self.chunk).await?;
            if count == 0 {
                self.ended = true;
                lines.extend(self.splitter.finish());
            } else {
                self.splitter.push(&self.chunk[..count], &mut lines);
            }
        }
        Ok(lines)
    }

    /// Reads no more.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether the other side has closed the pipe and every line was given.
    pub fn has_ended(&self) -> bool {
        self.ended
    }
}

impl LineReader<Output> {
    /// The lines whose ends are in the pipe at this moment; it reads about `bytes_max` at most and never waits.
    pub fn next_now(&mut self, bytes_max: usize) -> Vec<Line> {
        let (mut lines, mut taken) = (Vec::new(), 0);
        while !self.ended && taken < bytes_max {
            match self.source.as_mut().read_now(&mut self.chunk) {
                Ok(count) if count > 0 => {
                    taken += count;
                    self.splitter.push(&self.chunk[..count], &mut lines);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A pipe that cannot be read has ended for us.
                Ok(_) | Err(_) => {
                    self.ended = true;
                    lines.extend(self.splitter.finish());
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LineLimits = LineLimits { text: 8, json: 32 };

    fn split(chunks: &[&[u8]]) -> Vec<(String, u64)> {
        let mut splitter = Splitter::new(LIMITS);
        let mut lines = Vec::new();
        chunks.iter().for_each(|chunk| splitter.push(chunk, &mut lines));
        lines.extend(splitter.finish());
        lines.into_iter().map(|line| (String::from_utf8_lossy(&line.bytes).into_owned(), line.length)).collect()
    }

    fn whole(texts: &[&str]) -> Vec<(String, u64)> {
        texts.iter().map(|text| ((*text).to_owned(), text.len() as u64)).collect()
    }

    #[test]
    fn lines_end_with_a_newline_with_or_without_a_carriage_return() {
        assert_eq!(split(&[b"a\nb\r\n\nc"]), whole(&["a", "b", "", "c"]));
        assert_eq!(split(&[b"a\r", b"\nb", b"c\n"]), whole(&["a", "bc"]));
        assert_eq!(split(&[b"a\rb\n"]), whole(&["a\rb"]));
    }

    #[test]
    fn a_line_of_text_is_cut_at_its_limit_and_its_length_is_told() {
        assert_eq!(split(&[b"0123456789abc\nx\n"]), [("01234567".to_owned(), 13), ("x".to_owned(), 1)]);
        assert_eq!(split(&[b"0123", b"4567", b"89", b"\r\nx"]), [("01234567".to_owned(), 11), ("x".to_owned(), 1)]);
    }

    #[test]
    fn a_line_that_begins_like_json_may_be_longer() {
        assert_eq!(split(&[b"  ", br#" {"a": 123456789}"#, b"\n"]), whole(&[r#"   {"a": 123456789}"#]));
        assert_eq!(split(&[br#"["0123456789"]"#]), whole(&[r#"["0123456789"]"#]));
        let long = format!("[{}]", "1".repeat(40));
        assert_eq!(split(&[long.as_bytes()]), [(long[..32].to_owned(), 42)]);
    }

    #[test]
    fn a_limit_for_json_does_not_reach_the_next_line() {
        assert_eq!(split(&[b"{}\n0123456789"]), [("{}".to_owned(), 2), ("01234567".to_owned(), 10)]);
    }

    #[tokio::test]
    async fn megabytes_without_a_newline_are_read_in_constant_memory() {
        let endless = tokio::io::repeat(b'x').take(1 << 25);
        let mut reader = LineReader::new(endless, LineLimits { text: 64 * 1024, json: 1 << 24 });
        let lines = reader.next().await.expect("reads");
        assert_eq!((lines.len(), lines[0].length), (1, 1 << 25));
        assert!(lines[0].bytes.capacity() <= 64 * 1024, "{}", lines[0].bytes.capacity());
        assert!(reader.has_ended());
    }

    #[tokio::test]
    async fn a_long_line_of_json_takes_no_more_memory_than_its_limit() {
        let limit = 1 << 20;
        let endless = tokio::io::repeat(b'[').take(10 << 20);
        let mut reader = LineReader::new(endless, LineLimits { text: 64 * 1024, json: limit });
        let lines = reader.next().await.expect("reads");
        assert!(lines[0].is_cut() && lines[0].bytes.capacity() <= limit);
    }
}
