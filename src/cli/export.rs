//! `export`: writes the log of a stopped or a running server as lines.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::app::export::{ExportError, Exported, Part, to_file, write};
use crate::app::lines::LineSource;
use crate::app::source::{DataSource, EventSource};
use crate::cli::args::{Connection, ExportArguments};
use crate::cli::client::{Client, Trouble};
use crate::cli::console::Console;
use crate::cli::failure::{Failure, Stop};
use crate::cli::progress::Bar;
use crate::cli::replay::failure;

/// Exports.
pub fn run(arguments: &ExportArguments, connection: &Connection, console: &mut Console) -> Result<(), Stop> {
    let Some(out) = &arguments.out else {
        let mut source = source_of(arguments.data.as_deref(), None, connection)?;
        let bar = Bar::of_events(console, source.extent().last.0);
        let mut lines = BufWriter::with_capacity(64 * 1024, console.output());
        let exported = write(&mut *source, None, &mut lines, &mut |seq| bar.show(seq.0)).map_err(failed);
        let flushed = lines.flush();
        drop(bar);
        return exported.and_then(|_| Ok(flushed?));
    };
    let part = if arguments.force { None } else { Part::of_file(out).map_err(failure)? };
    let mut source = source_of(arguments.data.as_deref(), part.as_ref(), connection)?;
    let bar = Bar::of_events(console, source.extent().last.0);
    let exported = to_file(&mut *source, out, part, &mut |seq| bar.show(seq.0)).map_err(failed)?;
    drop(bar);
    if connection.json {
        return console.data(&serde_json::to_string(&exported).expect("our own types can be written as JSON"));
    }
    let Exported { events, seq, fold } = exported;
    console.say(&format!("{events} events were written to {}, which now goes up to event {seq}", out.display()));
    console.say(&format!("their fold is {fold}"));
    Ok(())
}

fn source_of(data: Option<&Path>, part: Option<&Part>, connection: &Connection) -> Result<Box<dyn EventSource>, Stop> {
    match data {
        Some(data) => Ok(Box::new(DataSource::open(data).map_err(failure)?)),
        None => {
            let after = part.and_then(Part::last).map(|last| ("after", last.to_string()));
            let client = Client::new(connection)?;
            let lines = client.lines("/api/export", after.as_slice()).map_err(|trouble| match trouble {
                Trouble::Refused(problem) if problem.document.text("code") == Some("position_lost") => {
                    Failure::from(problem).hint("the file cannot be gone on with; write it anew with --force").into()
                }
                trouble => Stop::from(trouble),
            })?;
            Ok(Box::new(LineSource::of_stream(client.server(), lines).map_err(failure)?))
        }
    }
}

fn failed(error: ExportError) -> Stop {
    match error {
        ExportError::Source(error) => failure(error),
        ExportError::Write { file, source } if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Failure::of_asker(format!("could not write {file}: {source}")).into()
        }
        ExportError::Write { source, .. } => source.into(),
        other => Failure::of_asker(other.to_string()).into(),
    }
}
