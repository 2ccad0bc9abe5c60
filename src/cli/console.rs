//! Where words go: data to stdout, words for people to stderr. The only place of the command line that knows of
//! terminals and colours. Progress bars are drawn by `progress`.

use std::io::{IsTerminal, Write};

use crate::cli::failure::{Failure, Stop};
use crate::domain::job::StateName;

/// The two streams, and how to write on them.
pub struct Console {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// stdout takes colours.
    colours: bool,
    /// stderr is a terminal, so that a bar may be drawn there.
    pub draws: bool,
}

impl Console {
    /// The process's own streams. `NO_COLOR` (any text) and `TERM=dumb` switch colours off.
    pub fn of_process() -> Console {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Console {
            colours: std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb,
            draws: std::io::stderr().is_terminal() && !is_dumb,
            out: Box::new(std::io::stdout()),
            err: Box::new(std::io::stderr()),
        }
    }

    /// Streams of a test: plain text.
    #[cfg(test)]
    pub fn plain(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Console {
        Console { out: Box::new(out), err: Box::new(err), colours: false, draws: false }
    }

    /// Writes one line of data, at once.
    pub fn data(&mut self, line: &str) -> Result<(), Stop> {
        writeln!(self.out, "{line}")?;
        Ok(self.out.flush()?)
    }

    /// Writes bytes of data as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.out.write_all(bytes)?;
        Ok(self.out.flush()?)
    }

    /// Gives the stream of data itself, for what is written in pieces.
    pub fn output(&mut self) -> &mut dyn Write {
        &mut *self.out
    }

    /// Says something to people. If nobody can be told, nothing is lost.
    pub fn say(&mut self, words: &str) {
        let _ = writeln!(self.err, "{words}").and_then(|()| self.err.flush());
    }

    /// Tells people what went wrong and what to do next.
    pub fn fail(&mut self, failure: &Failure) {
        self.say(&format!("error: {}", failure.message));
        failure.details.iter().for_each(|detail| self.say(&format!("  {detail}")));
        if let Some(hint) = &failure.hint {
            self.say(&format!("hint: {hint}"));
        }
    }

    /// A text in the colour of a state, if there are colours; other words stay as they are.
    pub fn coloured(&self, text: &str, state: &str) -> String {
        let state = StateName::ALL.into_iter().find(|name| name.as_str() == state);
        match state.filter(|_| self.colours).map(colour_of) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }
}

fn colour_of(state: StateName) -> u8 {
    match state {
        StateName::Scheduled | StateName::Blocked => 35,
        StateName::Queued => 34,
        StateName::Running => 36,
        StateName::Retryable => 33,
        StateName::Completed => 32,
        StateName::Failed => 31,
        StateName::Cancelled => 90,
    }
}

/// Makes text that came from outside safe for a terminal: control characters but tab become visible.
pub fn printable(text: &str) -> String {
    text.chars().map(|one| if one.is_control() && one != '\t' { '\u{fffd}' } else { one }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let mut console = Console::plain(Gone, Gone);
        console.say("nobody hears this");
        assert!(matches!(console.data("line"), Err(Stop::ReaderGone)));
    }

    #[test]
    fn a_log_line_cannot_steer_the_terminal() {
        assert_eq!(printable("a\tb\x1b[2Jc\u{9b}"), "a\tb\u{fffd}[2Jc\u{fffd}");
    }
}
