//! The transport of child processes: frames as JSON lines on their pipes, and everything else that they print.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::sessions::frames::{FRAME_BYTES_MAX, ServerFrame};
use crate::sessions::outbox::{Outbox, outbox};
use crate::sessions::ports::{LOG_LINE_BYTES_MAX, LogLine, LogStream};
use crate::workers::lines::{Line, LineLimits, LineReader};
use crate::workers::process::{Input, Output};

/// How long the pipes of an ended child are read in all, as long as somebody else holds them open.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// How long they may be silent before nothing more is expected.
const DRAIN_SILENCE: Duration = Duration::from_millis(200);

/// How much of standard output is taken at once, about, when it is there: a few times what a pipe holds.
const STDOUT_AHEAD_BYTES_MAX: usize = 256 * 1024;
/// How much of standard error is taken along with it: the most that a pipe can be made to hold.
const STDERR_AHEAD_BYTES_MAX: usize = 1024 * 1024;

/// What a child printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    pub stream: LogStream,
    pub line: Line,
}

impl Printed {
    /// The line as it goes into a job's log.
    pub fn log_line(&self) -> LogLine {
        LogLine::of_bytes(self.stream, &self.line.bytes, self.line.length)
    }
}

/// The pipes that a child prints to.
pub struct Pipes {
    stdout: LineReader<Output>,
    stderr: LineReader<Output>,
}

impl Pipes {
    /// Reads what a child prints, as lines.
    pub fn new(stdout: Output, stderr: Output) -> Pipes {
        let text = LOG_LINE_BYTES_MAX;
        let stdout = LineReader::new(stdout, LineLimits { text, json: FRAME_BYTES_MAX });
        Pipes { stdout, stderr: LineReader::new(stderr, LineLimits { text, json: text }) }
    }

    /// The next lines, at least one; none when both pipes have ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Vec<Printed> {
        loop {
            match self.read().await {
                Some(printed) if printed.is_empty() => {}
                printed => return printed.unwrap_or_default(),
            }
        }
    }

    /// The same, but none as soon as nothing more can come on standard output.
    pub async fn next_while_speaking(&mut self) -> Vec<Printed> {
        while !self.stdout.has_ended() {
            match self.read().await {
                Some(printed) if printed.is_empty() => {}
                printed => return printed.unwrap_or_default(),
            }
        }
        Vec::new()
    }

    /// What the next read brings: nothing when one of the pipes has ended, none when both had before.
    ///
    /// What has been printed at once is read at once. And because a child writes first what it writes to standard error
    /// before a frame, those lines are in their pipe when the frame is read: they are taken along and stand before it.
    async fn read(&mut self) -> Option<Vec<Printed>> {
        tokio::select! {
            lines = self.stdout.next(), if !self.stdout.has_ended() => {
                let mut said = lines.unwrap_or_else(|_| {
                    // A pipe that cannot be read has ended for us.
                    self.stdout.end();
                    Vec::new()
                });
                said.extend(self.stdout.next_now(STDOUT_AHEAD_BYTES_MAX));
                let mut printed = print(LogStream::Stderr, self.stderr.next_now(STDERR_AHEAD_BYTES_MAX));
                printed.extend(print(LogStream::Stdout, said));
                Some(printed)
            }
            lines = self.stderr.next(), if !self.stderr.has_ended() => {
                let lines = lines.unwrap_or_else(|_| {
                    self.stderr.end();
                    Vec::new()
                });
                Some(print(LogStream::Stderr, lines))
            }
            else => None,
        }
    }

    /// What is left in the pipes after the child has ended. It does not wait long for others that hold them open.
    pub async fn next_after_end(&mut self, ended: Instant) -> Vec<Printed> {
        let until = (Instant::now() + DRAIN_SILENCE).min(ended + DRAIN_MAX);
        tokio::time::timeout_at(until, self.next()).await.unwrap_or_default()
    }

    /// Whether nothing more will come.
    pub fn have_ended(&self) -> bool {
        self.stdout.has_ended() && self.stderr.has_ended()
    }
}

fn print(stream: LogStream, lines: Vec<Line>) -> Vec<Printed> {
    lines.into_iter().map(|line| Printed { stream, line }).collect()
}

/// The way to a child's standard input.
pub struct Stdin {
    pub outbox: Outbox,
    /// Becomes true when the child reads no more.
    pub is_broken: watch::Receiver<bool>,
}

/// Writes frames to a child as JSON lines, on a task of its own: a child that does not read holds up nobody. Frames for
/// a child that reads no more are thrown away. The task ends, and the pipe with it, when the outbox is dropped.
pub fn write_frames(mut stdin: Input) -> Stdin {
    let (outbox, mut frames) = outbox();
    let (broken, is_broken) = watch::channel(false);
    tokio::spawn(async move {
        let mut is_broken = false;
        loop {
            let frame = tokio::select! {
                frame = frames.recv() => frame,
                () = stdin.broken(), if !is_broken => {
                    is_broken = true;
                    broken.send_replace(true);
                    continue;
                }
            };
            let Some(frame) = frame else { return };
            if !is_broken && write(&mut stdin, &frame).await.is_err() {
                is_broken = true;
                broken.send_replace(true);
            }
        }
    });
    Stdin { outbox, is_broken }
}

async fn write(stdin: &mut Input, frame: &ServerFrame) -> io::Result<()> {
    let mut line = serde_json::to_vec(frame)?;
    line.push(b'\n');
    stdin.write_all(&line).await?;
    stdin.flush().await
}
