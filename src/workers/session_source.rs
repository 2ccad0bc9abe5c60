//! What a child in session mode prints, as frames: its own, and a log frame for each stray line and each job that it
//! holds at that point of its talk.

use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::id::{JobId, LeaseToken};
use crate::sessions::Session;
use crate::sessions::calls::Call;
use crate::sessions::drive::{Heard, Source};
use crate::sessions::frames::{JobCall, LeaseRef, WorkerFrame};
use crate::sessions::ports::{LogLine, LogStream};
use crate::workers::output::{SessionLine, sort_session_line};
use crate::workers::stdio::{Pipes, Printed};

/// The pipes of a child as a source of frames.
pub(crate) struct ChildSource {
    pipes: Pipes,
    ended: watch::Receiver<Option<Instant>>,
    /// Since when it can say nothing more, because it has closed its standard output.
    mute_since: Option<Instant>,
    worker: String,
}

impl Source for ChildSource {
    async fn next(&mut self, session: &Session) -> Option<Vec<Heard>> {
        let printed = self.printed().await;
        if printed.is_empty() {
            return None;
        }
        let mut heard = Vec::new();
        let mut held = session.live_leases();
        for one in &printed {
            let (frames, line) = sort(one);
            held.retain(|(job, token)| !frames.iter().any(|frame| ends(frame, *job, token)));
            heard.extend(frames);
            if let Some(line) = line {
                heard.extend(self.to_every_job(&held, line));
            }
        }
        Some(heard)
    }
}

/// Whether a frame ends the run that this token proves.
fn ends(frame: &Heard, job: JobId, token: &LeaseToken) -> bool {
    match frame {
        Ok(WorkerFrame::Job(JobCall { lease, call: Call::Complete(_) | Call::Fail(_) | Call::Release })) => {
            lease.job_id == job && lease.token == *token
        }
        _ => false,
    }
}

impl ChildSource {
    /// Reads the pipes of a child. `ended` tells when the child has ended; `worker` is a label for the server's log.
    pub fn new(pipes: Pipes, ended: watch::Receiver<Option<Instant>>, worker: String) -> ChildSource {
        ChildSource { pipes, ended, mute_since: None, worker }
    }

    /// The next lines; none when the child has ended or can say nothing more, and nothing more is expected.
    async fn printed(&mut self) -> Vec<Printed> {
        let ended = *self.ended.borrow();
        if let Some(ended) = ended.or(self.mute_since) {
            return self.pipes.next_after_end(ended).await;
        }
        tokio::select! {
            printed = self.pipes.next_while_speaking() => {
                if !printed.is_empty() {
                    return printed;
                }
                // Without frames no job of it could ever end. Its last words may still be on their way in the other pipe.
                self.mute_since = Some(Instant::now());
            }
            _ = self.ended.wait_for(Option::is_some) => {}
        }
        let ended = self.ended.borrow().or(self.mute_since).unwrap_or_else(Instant::now);
        self.pipes.next_after_end(ended).await
    }

    fn to_every_job(&self, held: &[(JobId, LeaseToken)], line: LogLine) -> Vec<Heard> {
        if held.is_empty() {
            tell_server(&self.worker, &line);
        }
        let lease = |&(job_id, ref token): &(JobId, LeaseToken)| LeaseRef { job_id, token: token.clone() };
        let call = |lease| JobCall { lease, call: Call::Log(vec![line.clone()]) };
        held.iter().map(|held| Ok(WorkerFrame::Job(call(lease(held))))).collect()
    }
}

/// What a printed line is: frames, a log line, or both.
pub(crate) fn sort(printed: &Printed) -> (Vec<Heard>, Option<LogLine>) {
    if printed.stream != LogStream::Stdout {
        return (Vec::new(), Some(printed.log_line()));
    }
    match sort_session_line(&printed.line) {
        SessionLine::Frames { heard, is_text_too } => (heard, is_text_too.then(|| printed.log_line())),
        SessionLine::Text => (Vec::new(), Some(printed.log_line())),
    }
}

/// Puts a line that belongs to no job into the server's own log.
pub(crate) fn tell_server(worker: &str, line: &LogLine) {
    tracing::info!(worker, stream = ?line.stream, "{}", line.text);
}
