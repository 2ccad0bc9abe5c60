//! `import`: makes the data of a server from an exported log.

use crate::app::import::{ImportError, Imported, import};
use crate::app::lines::LineSource;
use crate::app::source::EventSource;
use crate::cli::args::ImportArguments;
use crate::cli::console::Console;
use crate::cli::failure::{Failure, Stop};
use crate::cli::progress::Bar;
use crate::cli::replay::failure;

/// Imports.
pub fn run(arguments: &ImportArguments, as_json: bool, console: &mut Console) -> Result<(), Stop> {
    let mut source = LineSource::of_file(&arguments.file).map_err(failure)?;
    let bar = Bar::of_events(console, source.extent().last.0);
    let imported = import(&mut source, &arguments.data, &mut |seq| bar.show(seq.0)).map_err(failed)?;
    drop(bar);
    if as_json {
        return console.data(&serde_json::to_string(&imported).expect("our own types can be written as JSON"));
    }
    let Imported { seq, jobs, fold, .. } = imported;
    console.say(&format!("{seq} events with {jobs} jobs are in {}", arguments.data.display()));
    console.say(&format!("their fold is {fold}"));
    console.say("log lines and output files of jobs are no part of an export; what ran when it was made is run again");
    Ok(())
}

fn failed(error: ImportError) -> Stop {
    match error {
        ImportError::Source(error) => failure(error),
        other => Failure::of_asker(explain(&other)).into(),
    }
}

/// An error with its causes, in one line.
pub fn explain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", explain(cause)),
        None => error.to_string(),
    }
}
