//! `restore`: makes the data of a server from a backup.

use serde_json::json;

use crate::app::restore::{Restored, restore};
use crate::cli::args::RestoreArguments;
use crate::cli::console::Console;
use crate::cli::failure::{Failure, Stop};
use crate::cli::import::explain;
use crate::cli::replay::print;

/// Restores.
pub fn run(arguments: &RestoreArguments, as_json: bool, console: &mut Console) -> Result<(), Stop> {
    let RestoreArguments { from, data, until, backup } = arguments;
    let restored =
        restore(from, data, *until, backup.as_deref()).map_err(|error| Failure::of_asker(explain(&error)))?;
    let Restored { backup, summary, files, left_out } = restored;
    if as_json {
        let mut document = serde_json::to_value(&summary).expect("our own types can be written as JSON");
        document["backup"] = json!(backup);
        document["files"] = json!(files);
        document["left_out"] = json!(left_out);
        return console.data(&document.to_string());
    }
    print(&summary, console)?;
    console.say(&format!("restored from {backup}, with {files} files of jobs, into {}", data.display()));
    if left_out > 0 {
        console.say(&format!(
            "{left_out} files that jobs had then are not in the backup: they were gone when it was taken"
        ));
    }
    console.say("what ran at that moment is run again; clients that saw later events are told to begin anew");
    Ok(())
}
