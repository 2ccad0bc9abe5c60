//! `restore`: makes the data of a server from a backup.

use serde_json::json;

use crate::app::restore::{RestoreError, Restored, restore};
use crate::cli::args::RestoreArguments;
use crate::cli::console::Console;
use crate::cli::failure::{Failure, Stop};
use crate::cli::replay::print;

/// Restores.
pub fn run(arguments: &RestoreArguments, as_json: bool, console: &mut Console) -> Result<(), Stop> {
    let RestoreArguments { from, data, until, backup } = arguments;
    let restored = restore(from, data, *until, backup.as_deref()).map_err(failed)?;
    let Restored { backup, summary, files } = restored;
    if as_json {
        let mut document = serde_json::to_value(&summary).expect("our own types can be written as JSON");
        document["backup"] = json!(backup);
        document["files"] = json!(files);
        return console.data(&document.to_string());
    }
    print(&summary, console)?;
    console.say(&format!("restored from {backup}, with {files} files of jobs, into {}", data.display()));
    console.say("what ran at that moment is run again; clients that saw later events are told to begin anew");
    Ok(())
}

fn failed(error: RestoreError) -> Stop {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Failure::of_asker(text).into()
}
