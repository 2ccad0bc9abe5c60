//! `completions`: prints what a shell needs to complete command lines.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::args::Arguments;
use crate::cli::console::Console;
use crate::cli::failure::Stop;

/// Prints the completions for a shell.
pub fn run(shell: Shell, console: &mut Console) -> Result<(), Stop> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "daybook", &mut script);
    console.bytes(&script)
}
