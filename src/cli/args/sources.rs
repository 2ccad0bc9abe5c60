//! From where a tool for the log reads, when the command line and the environment name several places: what was typed
//! goes before what the environment says, and two that were typed are refused. Never takes one of two in silence.

use clap::error::{Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::cli::args::{Arguments, Command, Speed};

/// The subcommands that ask no server: `--server`, which stands everywhere, says nothing to them.
const SERVERLESS: [&str; 4] = ["serve", "verify", "import", "restore"];

/// Reads a command line.
pub fn read<T>(line: impl IntoIterator<Item = T>) -> Result<Arguments, Error>
where
    T: Into<std::ffi::OsString> + Clone,
{
    let matches = Arguments::command().try_get_matches_from(line)?;
    refuse_two(&matches)?;
    let mut arguments =
        Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut Arguments::command()))?;
    if let Command::Replay(replay) = &mut arguments.command
        && !replay.resubmit
    {
        // The environment names no place beside one that was typed, and verify reads no server.
        if is_typed(&matches, "server") || replay.from.is_some() {
            replay.data = replay.data.take().filter(|_| is_typed(&matches, "data"));
        }
        if is_typed(&matches, "data") || replay.from.is_some() || replay.verify {
            arguments.connection.server = None;
        }
    }
    Ok(arguments)
}

/// Whether it stands on the line itself; for arguments that the subcommand has.
fn is_typed(matches: &ArgMatches, id: &str) -> bool {
    matches.subcommand().is_some_and(|(_, of)| of.value_source(id) == Some(ValueSource::CommandLine))
}

fn refuse_two(matches: &ArgMatches) -> Result<(), Error> {
    let Some((name, of)) = matches.subcommand() else { return Ok(()) };
    let typed = |id: &str| is_typed(matches, id);
    let refused = |one: &str, other: &str| {
        let text = format!("the argument '{one}' cannot be used with '{other}'");
        Err(Arguments::command().error(ErrorKind::ArgumentConflict, text))
    };
    if SERVERLESS.contains(&name) && typed("server") {
        let text = format!("`daybook {name}` asks no server: --server cannot be used with it");
        return Err(Arguments::command().error(ErrorKind::ArgumentConflict, text));
    }
    let (reads_data, reads_file, reads_server) = match name {
        // The server that jobs are submitted to is no source.
        "replay" => (typed("data"), typed("from"), typed("server") && !of.get_flag("resubmit")),
        "export" => (typed("data"), false, typed("server")),
        _ => return Ok(()),
    };
    if reads_data && reads_file {
        return refused("--data <DIR>", "--from <FILE>");
    }
    if reads_data && reads_server {
        return refused("--data <DIR>", "--server <URL>");
    }
    if reads_file && reads_server {
        return refused("--from <FILE>", "--server <URL>");
    }
    if name != "replay" {
        return Ok(());
    }
    if of.get_flag("verify") && reads_server {
        return refused("--verify", "--server <URL>");
    }
    // Both go through the log as fast as they can, which is what `max` says.
    let is_slowed = matches!(of.get_one("speed"), Some(Speed::Times(_)));
    match (of.get_flag("verify"), of.contains_id("diff")) {
        (true, _) if is_slowed => refused("--verify", "--speed <N>"),
        (_, true) if is_slowed => refused("--diff <SEQ..SEQ>", "--speed <N>"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        read(line.split_whitespace()).expect_err(line).to_string()
    }

    #[test]
    fn two_sources_on_a_line_are_refused_and_named() {
        for (line, one, other) in [
            ("daybook replay --data d --from f", "--data", "--from"),
            ("daybook replay --data d --server http://h:1", "--data", "--server"),
            ("daybook --server http://h:1 replay --data d", "--data", "--server"),
            ("daybook replay --from f --server http://h:1", "--from", "--server"),
            ("daybook replay --verify --server http://h:1", "--verify", "--server"),
            ("daybook replay --verify --from f", "--verify", "--from"),
            ("daybook replay --verify --speed 5", "--verify", "--speed"),
            ("daybook replay --diff 1..2 --speed 5", "--diff", "--speed"),
            ("daybook replay --resubmit --data d --from f --server http://h:1", "--data", "--from"),
            ("daybook export --data d --server http://h:1", "--data", "--server"),
            ("daybook verify --data d --server http://h:1", "verify", "--server"),
            ("daybook import --data d f --server http://h:1", "import", "--server"),
            ("daybook restore --from b --data d --server http://h:1", "restore", "--server"),
        ] {
            let said = refused(line);
            assert!(
                said.contains(one) && said.contains(other) && said.contains("cannot be used with"),
                "{line}: {said}"
            );
        }
    }

    #[test]
    fn one_source_is_taken_and_a_resubmission_has_a_server_beside_it() {
        for line in [
            "daybook replay --data d",
            "daybook replay --from f --speed 5",
            "daybook replay --server http://h:1 --until 5",
            "daybook replay --resubmit --data d --server http://h:1",
            "daybook replay --resubmit --from f --server http://h:1 --speed 5",
            "daybook replay --data d --verify --speed max",
            "daybook replay --data d --diff 1..2 --speed max",
            "daybook export --server http://h:1 --out f",
            "daybook jobs ls --server http://h:1",
        ] {
            read(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}
