//! `logs`: prints the log lines of a job; with `-f` goes on until the job has ended, also across a restart of the server.

use std::time::Duration;

use crate::cli::Asked;
use crate::cli::args::LogsArguments;
use crate::cli::client::{Client, Trouble};
use crate::cli::console::{Console, printable};
use crate::cli::document::Document;
use crate::cli::events::Events;
use crate::cli::failure::{Failure, Stop};
use crate::cli::patience::Patience;
use crate::cli::wait::is_terminal;

/// How long until a stream that ended before its job is asked for again.
const AGAIN_PAUSE: Duration = Duration::from_millis(250);

/// Prints the log of a job.
pub fn run(asked: &mut Asked<'_>, arguments: &LogsArguments) -> Result<(), Stop> {
    let mut reader = Reader {
        path: format!("/api/jobs/{}", arguments.id),
        last: arguments.after,
        json: asked.json,
        patience: Patience::default(),
    };
    if !arguments.follow {
        reader.rest(&asked.client, asked.console)?;
        if reader.last == arguments.after && !asked.json {
            asked.console.say("no lines");
        }
        return Ok(());
    }
    loop {
        match reader.follow(&asked.client, asked.console) {
            Ok(true) => return Ok(()),
            Ok(false) => std::thread::sleep(AGAIN_PAUSE),
            Err(Interruption::Stop(stop)) => return Err(stop),
            Err(Interruption::Trouble(trouble)) => reader.patience.bear(trouble, |words| asked.console.say(words))?,
        }
    }
}

/// Prints lines and remembers how far it came.
struct Reader {
    path: String,
    last: u64,
    json: bool,
    patience: Patience,
}

/// What ends reading early.
enum Interruption {
    /// It may pass.
    Trouble(Trouble),
    /// It does not.
    Stop(Stop),
}

impl From<Stop> for Interruption {
    fn from(stop: Stop) -> Interruption {
        Interruption::Stop(stop)
    }
}

impl From<Trouble> for Interruption {
    fn from(trouble: Trouble) -> Interruption {
        Interruption::Trouble(trouble)
    }
}

impl From<Interruption> for Stop {
    fn from(interruption: Interruption) -> Stop {
        match interruption {
            Interruption::Trouble(trouble) => trouble.into(),
            Interruption::Stop(stop) => stop,
        }
    }
}

impl Reader {
    /// Prints what is there, page by page.
    fn rest(&mut self, client: &Client, console: &mut Console) -> Result<(), Interruption> {
        loop {
            let page = client.get(&format!("{}/logs", self.path), &[("after", self.last.to_string())])?.document;
            let lines = page.list("lines");
            if lines.is_empty() {
                return Ok(());
            }
            let before = self.last;
            lines.iter().try_for_each(|line| self.print(line, console))?;
            if self.last == before {
                return Err(Stop::from(Failure::ours("the server repeats the same lines")).into());
            }
        }
    }

    /// Prints what comes until the stream ends; true if the job has ended too and nothing is missing.
    fn follow(&mut self, client: &Client, console: &mut Console) -> Result<bool, Interruption> {
        if !self.patience.has_seen() {
            self.patience.answered(&client.get(&self.path, &[])?);
        }
        let query = [("follow", "true".to_owned()), ("after", self.last.to_string())];
        let stream = client.stream(&format!("{}/logs", self.path), &query)?;
        for event in Events::of(stream) {
            // A stream that breaks is asked for again, after the last line that came.
            let Ok(event) = event else { break };
            let Ok(data) = Document::read(event.data) else { continue };
            let lines = data.list("lines");
            let lines = if data.at("n").is_some() { vec![data] } else { lines };
            lines.iter().try_for_each(|line| self.print(line, console))?;
        }
        let answer = client.get(&self.path, &[])?;
        if let Some(news) = self.patience.answered(&answer) {
            console.say(news);
        }
        let job = answer.document;
        if is_terminal(&job) {
            self.rest(client, console)?;
        }
        Ok(is_terminal(&job))
    }

    fn print(&mut self, line: &Document, console: &mut Console) -> Result<(), Stop> {
        let number = line.count("n").unwrap_or_default();
        if number <= self.last {
            return Ok(());
        }
        self.last = number;
        let text = if self.json { line.line() } else { printable(line.text("text").unwrap_or_default()) };
        console.data(&text)
    }
}
