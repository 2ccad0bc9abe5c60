//! Listens to a child in command mode: its frames are carried out and answered, its lines go into the job's log, and
//! the last of its JSON lines is kept back, because it may be the result.

use std::sync::Arc;

use crate::domain::job::JobError;
use crate::domain::json::Json;
use crate::sessions::calls::Call;
use crate::sessions::frames::{ErrorFrame, ServerFrame};
use crate::sessions::outbox::Outbox;
use crate::sessions::ports::{LogLine, LogStream};
use crate::workers::output::{CommandLine, sort_command_line};
use crate::workers::stdio::Printed;
use crate::workers::superior::Superior;

/// How much of a last line stands in an error's message, in bytes.
const LAST_WORDS_BYTES_MAX: usize = 1024;

/// What listens to one child.
pub(crate) struct Listener<'a, S> {
    superior: &'a S,
    outbox: Outbox,
    /// JSON that is the result if no other line follows, or why it cannot be, with the line that it was.
    candidate: Option<(Result<Json, JobError>, LogLine)>,
    last_words: Option<Arc<str>>,
}

impl<'a, S: Superior> Listener<'a, S> {
    pub fn new(superior: &'a S, outbox: Outbox) -> Listener<'a, S> {
        Listener { superior, outbox, candidate: None, last_words: None }
    }

    /// Carries out what was printed, and answers.
    pub async fn hear(&mut self, printed: Vec<Printed>) {
        let mut said = Said::default();
        for one in printed {
            match one.stream {
                LogStream::Stdout => self.sort(&one, &mut said),
                LogStream::Stderr | LogStream::System => {
                    let line = one.log_line();
                    self.last_words = last_words(&line).or(self.last_words.take());
                    said.lines.push(line);
                }
            }
        }
        let Said { lines, mut calls, errors } = said;
        // What a child prints after its lease has gone is of no interest, and each line would be evidence of it.
        if self.superior.holds() {
            calls.insert(0, Call::Log(lines));
        }
        let mut answers: Vec<ServerFrame> = errors.into_iter().map(ServerFrame::Error).collect();
        answers.extend(self.superior.receive(calls).await);
        self.answer(answers);
    }

    /// The last line on standard error that was not blank.
    pub fn last_words(&self) -> Option<Arc<str>> {
        self.last_words.clone()
    }

    /// The result, if there is one; JSON that is none after all is a log line.
    ///
    /// # Errors
    /// When there is one and it cannot be kept.
    pub async fn finish(self, has_ended_well: bool) -> Result<Option<Json>, JobError> {
        let Some((result, line)) = self.candidate else { return Ok(None) };
        if has_ended_well && result.is_ok() {
            return result.map(Some);
        }
        if self.superior.holds() {
            self.superior.note(vec![line]).await;
        }
        if has_ended_well { result.map(Some) } else { Ok(None) }
    }

    fn sort(&mut self, printed: &Printed, said: &mut Said) {
        let line = printed.log_line();
        match sort_command_line(&printed.line) {
            CommandLine::Blank => said.lines.push(line),
            CommandLine::Text => {
                said.lines.extend(self.candidate.take().map(|(_, earlier)| earlier));
                said.lines.push(line);
            }
            CommandLine::Json(json) => self.note_candidate(Ok(json), line, said),
            CommandLine::Unfit(error) => self.note_candidate(Err(error), line, said),
            CommandLine::Calls(calls) => {
                said.lines.extend(self.candidate.take().map(|(_, earlier)| earlier));
                for call in calls {
                    match call {
                        Ok(call) => said.calls.push(call),
                        Err(error) => {
                            said.lines.push(error.log_line());
                            said.errors.push(*error);
                        }
                    }
                }
            }
        }
    }

    fn note_candidate(&mut self, result: Result<Json, JobError>, line: LogLine, said: &mut Said) {
        let earlier = self.candidate.replace((result, line));
        said.lines.extend(earlier.map(|(_, earlier)| earlier));
    }

    /// Sends answers. A program that does not read its standard input loses them and nothing else.
    pub fn answer(&self, answers: Vec<ServerFrame>) {
        for answer in answers {
            let _ = self.outbox.try_send(answer);
        }
    }
}

/// What a burst of lines says.
#[derive(Default)]
struct Said {
    lines: Vec<LogLine>,
    calls: Vec<Call>,
    errors: Vec<ErrorFrame>,
}

fn last_words(line: &LogLine) -> Option<Arc<str>> {
    let text = line.text.trim();
    let end = text.floor_char_boundary(LAST_WORDS_BYTES_MAX);
    (!text.is_empty()).then(|| text[..end].into())
}
