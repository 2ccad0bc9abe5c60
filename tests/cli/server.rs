//! A server of its own for each test, and command lines that are run against it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_daybook");

/// How long a server may read its log.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts a server with the `daybook.toml` of a directory.
    pub fn start(directory: &Path, data: &Path, listen: &str) -> Server {
        let mut child = Command::new(BINARY)
            .args(["serve", "--listen", listen, "--data"])
            .arg(data)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut out = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut first = String::new();
        out.read_line(&mut first).expect("the server speaks");
        let address = first.trim().strip_prefix("listening on http://").map(str::to_owned);
        // Whatever else it prints must not fill the pipe.
        std::thread::spawn(move || out.lines().for_each(drop));
        let address = address.unwrap_or_else(|| panic!("the first line says the address, not {first:?}"));
        let health = format!("http://{address}/health");
        let begun = Instant::now();
        while ureq::get(&health).call().is_err() {
            assert!(begun.elapsed() < READY_WITHIN, "the server becomes ready");
        }
        Server { child, address }
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
        self.child.kill().expect("it runs");
        self.child.wait().expect("it can be waited for");
    }

    /// Ends it in order, so that its children end too.
    pub fn end(mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().expect("kill is there");
        assert!(asked.success());
        assert!(self.child.wait().expect("it can be waited for").success(), "SIGTERM ends the server well");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `kill` and `end` there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
