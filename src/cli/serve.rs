//! `serve`: starts the server and runs it until it is told to stop.

use crate::cli::args::ServeArguments;
use crate::cli::failure::{Failure, Stop};

/// Runs the server.
pub fn run(_arguments: ServeArguments) -> Result<(), Stop> {
    Err(Failure::ours("this build has no server yet").into())
}
