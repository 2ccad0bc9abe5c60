//! `jobs`: lists jobs, looks at them, follows them, and changes them.

mod change;
mod get;
mod ls;

use crate::cli::Asked;
use crate::cli::args::JobsCommand;
use crate::cli::failure::Stop;
use crate::cli::patience::Patience;
use crate::cli::wait;

/// Does what a subcommand of `jobs` asks for.
pub fn run(asked: &mut Asked<'_>, command: JobsCommand) -> Result<(), Stop> {
    match command {
        JobsCommand::Ls(arguments) => ls::run(asked, &arguments),
        JobsCommand::Get { id } => get::run(asked, id),
        JobsCommand::Watch { id } => {
            let prints_changes = asked.json;
            let job = wait::until_terminal(asked, id, Patience::default(), prints_changes)?;
            wait::verdict(asked, &job)
        }
        JobsCommand::Cancel { ids, children } => change::cancel(asked, &ids, children),
        JobsCommand::Retry { ids, only_failed_items, dependents } => {
            change::retry(asked, &ids, only_failed_items, dependents)
        }
        JobsCommand::Purge { ids } => change::purge(asked, &ids),
    }
}
