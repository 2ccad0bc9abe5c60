//! Reads a stream of server-sent events, field by field as the HTML standard has it.

use std::io::{self, BufRead, Read};

/// The longest line that is read; a log line has 64 KiB at most, and escapes.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One event: its name and its data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    pub name: String,
    pub data: String,
}

/// The events of a stream, as they come; ends with the stream.
pub struct Events<R> {
    lines: R,
}

impl<R: BufRead> Events<R> {
    /// Listens to a stream.
    pub fn of(lines: R) -> Events<R> {
        Events { lines }
    }

    fn next_event(&mut self) -> io::Result<Option<Event>> {
        let mut event = Event::default();
        let mut has_data = false;
        loop {
            let mut line = Vec::new();
            self.lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                // An event that is not ended by an empty line does not count.
                return Ok(None);
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() && has_data => return Ok(Some(event)),
                "" if line.is_empty() => event = Event::default(),
                "event" => event.name = value.to_owned(),
                "data" => {
                    if has_data {
                        event.data.push('\n');
                    }
                    event.data.push_str(value);
                    has_data = true;
                }
                // Comments keep the connection awake; ids are not needed, the lines have numbers.
                _ => {}
            }
        }
    }
}

impl<R: BufRead> Iterator for Events<R> {
    type Item = io::Result<Event>;

    fn next(&mut self) -> Option<io::Result<Event>> {
        self.next_event().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_and_comments_are_passed_over() {
        let stream =
            ": awake\n\nid: 7\nevent: log\ndata: {\"n\":1}\n\ndata:one\r\ndata: two\r\n\r\nevent: end\n\ndata: cut";
        let events: Vec<Event> = Events::of(stream.as_bytes()).map(|event| event.expect("read")).collect();
        let event = |name: &str, data: &str| Event { name: name.into(), data: data.into() };
        assert_eq!(events, [event("log", "{\"n\":1}"), event("", "one\ntwo")]);
    }
}
