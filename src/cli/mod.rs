//! The command line: reads what was typed, does it, and ends with 0 when all is well, 1 for the asker's mistake (or a
//! job that did not complete) and 2 when the fault is ours. Data goes to stdout, words for people to stderr.
//!
//! One file a subcommand. All but `serve` and the tools for the
//! log (`verify`, `replay`, `export`, `import`, `restore`) speak to a server over HTTP, and know nothing of its inside.

pub mod args;
mod backup;
mod client;
mod completions;
mod console;
mod document;
mod events;
mod export;
mod failure;
mod import;
mod jobs;
mod logs;
mod patience;
mod progress;
mod queues;
mod replay;
mod restore;
mod schedules;
mod serve;
mod status;
mod submit;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod typed;
mod verify;
mod wait;
mod why;
mod words;
mod work;
mod workers;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::args::{Arguments, Command};
use crate::cli::client::Client;
use crate::cli::console::Console;
use crate::cli::failure::{Failure, Stop};

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    ExitCode::from(run_line(std::env::args_os(), &mut Console::of_process()))
}

/// Runs one command line and gives its exit code.
fn run_line(line: impl IntoIterator<Item = OsString>, console: &mut Console) -> u8 {
    let line: Vec<OsString> = line.into_iter().collect();
    let outcome = match args::read(&line) {
        Ok(arguments) => dispatch(arguments, console),
        Err(error) => not_understood(&error, &line, console),
    };
    match outcome {
        Ok(()) | Err(Stop::ReaderGone) => 0,
        Err(Stop::Failed(failure)) => {
            console.fail(&failure);
            failure.exit_code()
        }
    }
}

fn dispatch(arguments: Arguments, console: &mut Console) -> Result<(), Stop> {
    let Arguments { connection, command } = arguments;
    match command {
        Command::Serve(serve) => return serve::run(serve),
        Command::Completions { shell } => return completions::run(shell, console),
        Command::Verify { data } => return verify::run(&data, connection.json, console),
        Command::Export(arguments) => return export::run(&arguments, &connection, console),
        Command::Import(arguments) => return import::run(&arguments, connection.json, console),
        Command::Restore(arguments) => return restore::run(&arguments, connection.json, console),
        Command::Replay(arguments) => return replay::run(*arguments, &connection, console),
        _ => {}
    }
    let mut asked = Asked { client: Client::new(&connection)?, json: connection.json, console };
    match command {
        Command::Serve(_) | Command::Completions { .. } | Command::Verify { .. } | Command::Restore(_) => {
            unreachable!("these need no server and were done above")
        }
        Command::Replay(_) | Command::Export(_) | Command::Import(_) => {
            unreachable!("these look for their server themselves and were done above")
        }
        Command::Submit(arguments) => submit::run(&mut asked, *arguments),
        Command::Jobs(command) => jobs::run(&mut asked, command),
        Command::Logs(arguments) => logs::run(&mut asked, &arguments),
        Command::Why { id } => why::run(&mut asked, id),
        Command::Queues(arguments) => queues::run(&mut asked, arguments),
        Command::Schedules(arguments) => schedules::run(&mut asked, arguments),
        Command::Workers(arguments) => workers::run(&mut asked, arguments),
        Command::Work(arguments) => work::run(&mut asked, *arguments, connection.token),
        Command::Backup { to, keep } => backup::run(&mut asked, &to, keep),
        Command::Status => status::run(&mut asked),
    }
}

/// What every client command works with.
struct Asked<'a> {
    client: Client,
    /// Programs read the output.
    json: bool,
    console: &'a mut Console,
}

/// Says what was wrong with a command line; help and version are no mistakes.
fn not_understood(error: &clap::Error, line: &[OsString], console: &mut Console) -> Result<(), Stop> {
    let text = error.render().to_string();
    if !error.use_stderr() {
        return console.bytes(text.as_bytes());
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        console.say(text.trim_end());
        return Err(Failure::of_asker("a subcommand is missing").hint("`daybook help` says what there is").into());
    }
    let (said, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let message = said.trim().trim_start_matches("error: ").replace("\n  ", " ");
    let tip = rest.lines().find_map(|line| line.trim_start().strip_prefix("tip: "));
    let hint = tip.map_or_else(|| format!("`{} --help` says what it takes", named(line)), str::to_owned);
    Err(Failure::of_asker(message).hint(hint).into())
}

/// The subcommand that a line names, as far as it is known: what to ask for help.
fn named(line: &[OsString]) -> String {
    let mut command = Arguments::command();
    let mut name = command.get_name().to_owned();
    for word in line.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(inner) = command.find_subcommand(word).cloned() {
            name = format!("{name} {word}");
            command = inner;
        }
    }
    name
}
