//! The binary: hands its arguments to `cli` and ends with the exit code that it is given.

use std::process::ExitCode;

fn main() -> ExitCode {
    daybook::cli::run()
}
