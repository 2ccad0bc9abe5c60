//! `backup`: copies a running server into a directory of backups.

use std::io::Read;
use std::path::Path;

use crate::app::backup::{BackedUp, BackupError, BackupServer, Offer, back_up};
use crate::app::lines::LineSource;
use crate::cli::Asked;
use crate::cli::client::Client;
use crate::cli::failure::{Failure, Stop};
use crate::cli::import::explain;
use crate::cli::progress::Bar;
use crate::cli::replay::failure;
use crate::domain::id::Seq;

/// Backs the server up.
pub fn run(asked: &mut Asked<'_>, to: &Path, keep: Option<u32>) -> Result<(), Stop> {
    let bar = Bar::of_files(asked.console);
    let keep = keep.map(|keep| keep as usize);
    let done = back_up(&Server(&asked.client), to, keep, &mut |done, of| bar.show_of(done, of)).map_err(failed)?;
    drop(bar);
    if asked.json {
        return asked.console.data(&serde_json::to_string(&done).expect("our own types can be written as JSON"));
    }
    let BackedUp { backup, seq, parts, events, files, bytes, gone, removed, .. } = done;
    asked.console.data(&backup)?;
    let mut say = |text: String| asked.console.say(&text);
    say(format!("up to event {seq}: {} parts of the log were copied, {} were there", parts.0, parts.1));
    say(format!("behind them {} events were copied, {} were there", events.0, events.1));
    say(format!("{} files of jobs were copied, {} were there; {bytes} bytes in all", files.0, files.1));
    if gone > 0 {
        say(format!("{gone} files were gone before they were copied: their jobs were forgotten meanwhile"));
    }
    if removed > 0 {
        say(format!("{removed} older backups were removed"));
    }
    Ok(())
}

struct Server<'a>(&'a Client);

impl BackupServer for Server<'_> {
    type Error = Stop;

    fn offer(&self) -> Result<Offer, Stop> {
        let answer = self.0.get("/api/backup", &[])?;
        serde_json::from_str(&answer.document.line())
            .map_err(|error| Failure::ours(format!("the server's list is of another form: {error}")).into())
    }

    fn file(&self, path: &str) -> Result<Option<Box<dyn Read>>, Stop> {
        match self.0.lines("/api/backup/file", &[("path", path.to_owned())]) {
            Ok(lines) => Ok(Some(Box::new(lines))),
            Err(trouble) if trouble.status() == Some(404) => Ok(None),
            Err(trouble) => Err(trouble.into()),
        }
    }

    fn events(&self, after: Seq, until: Seq) -> Result<Option<LineSource>, Stop> {
        match self.0.lines("/api/export", &[("after", after.to_string()), ("until", until.to_string())]) {
            Ok(lines) => LineSource::of_stream(self.0.server(), lines).map(Some).map_err(failure),
            Err(trouble) if trouble.status() == Some(410) => Ok(None),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// An older server does not know how, and one that is gone holds nothing.
    fn release(&self) {
        self.0.delete("/api/backup").map(drop).unwrap_or_default();
    }
}

fn failed(error: BackupError<Stop>) -> Stop {
    match error {
        BackupError::Server(stop) => stop,
        BackupError::Source(error) => failure(error),
        BackupError::Io { step, path, source } => {
            Failure::of_asker(format!("could not {step} {}: {source}", path.display())).into()
        }
        BackupError::Lock(error) => Failure::of_asker(explain(&error)).into(),
        other @ (BackupError::OtherLog(_)
        | BackupError::NotBackups(_)
        | BackupError::InUse(_)
        | BackupError::Gone(_)
        | BackupError::Part(_)
        | BackupError::Manifest(_)) => Failure::of_asker(other.to_string()).into(),
    }
}
