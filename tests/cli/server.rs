//! A server of its own for each test, and command lines that are run against it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::server as process;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_daybook");

/// A running server, or one that was killed.
pub struct Server {
    running: Option<process::Server>,
    address: String,
}

impl Server {
    /// Starts a server with the `daybook.toml` of a directory.
    pub fn start(directory: &Path, data: &Path, listen: &str) -> Server {
        let running = process::Start::in_directory(directory, data).listen(listen).ready();
        Server { address: running.address().to_owned(), running: Some(running) }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A command line against this server, words split at blanks, not yet started.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(BINARY);
        command.args(line.split_whitespace()).env("DAYBOOK_SERVER", format!("http://{}", self.address));
        command.env_remove("DAYBOOK_TOKEN").stdin(Stdio::null());
        command
    }

    /// Runs a command line to its end.
    pub fn run(&self, line: &str) -> Said {
        Said::of(self.command(line).output().expect("the binary runs"))
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.running.take().expect("it runs").kill();
    }

    /// Ends it in order, so that its children end too.
    pub fn end(mut self) {
        assert!(self.running.take().expect("it runs").stop().success(), "SIGTERM ends the server well");
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Its stdout, if it ended well.
    #[track_caller]
    pub fn data(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out.trim_end().to_owned()
    }
}
