//! Fifty real workers: child processes of the server, and processes elsewhere over WebSocket and plain HTTP, which reach
//! it through proxies that break.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::clients::{CLIENTS, client, python_with_websockets};
use crate::support::proxy::Proxy;
use crate::support::server::{daybook, echo_kind};

/// Session workers and command places of the server's own, and workers elsewhere of each sort.
const SESSIONS: usize = 6;
const COMMANDS: usize = 6;
const WORKS: usize = 14;
const SOCKETS: usize = 12;
const CALLERS: usize = 12;
const _: () = assert!(SESSIONS + COMMANDS + WORKS + SOCKETS + CALLERS == 50);

/// A program that notes the token of its lease, takes a while, and gives a result.
const PROGRAM: &str = r#"read -r frame; echo "$DAYBOOK_LEASE_TOKEN" >> "$1"
case $frame in *'"pace":"slow"'*) sleep 0.8;; *'"pace":"steady"'*) sleep 0.1;; esac
echo '{"by": "a program"}'"#;

/// The kinds of jobs: by session workers of the server, by commands of the server, by workers elsewhere.
pub const KINDS: [&str; 3] = ["echo", "near", "far"];

/// What a server has to be told of all this.
pub fn config(directory: &Path) -> String {
    let top = "lease_s = 2\nreconnect_grace_s = 1\n";
    let limits = "max_attempts = 1\nmax_lost = 1000000\n";
    let kinds: String = KINDS.iter().map(|kind| format!("[kinds.{kind}]\n{limits}")).collect();
    let program = serde_json::json!(["/bin/sh", "-c", PROGRAM, "sh", notes(directory)]);
    let near = format!("[kinds.near.run]\ncommand = {program}\nprocesses = {COMMANDS}\ngrace_s = 1\n");
    format!("{top}{kinds}{}grace_s = 1\n{near}", echo_kind(SESSIONS))
}

/// Where programs note the tokens of the leases that they run under.
pub fn notes(directory: &Path) -> PathBuf {
    directory.join("tokens.txt")
}

/// A sort of worker elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// `daybook work`.
    Work,
    /// The client with the package `websockets`.
    Socket,
    /// The client with the standard library.
    Caller,
}

struct Place {
    sort: Sort,
    number: usize,
    child: Child,
}

/// The workers elsewhere. They end with this value.
pub struct Fleet<'a> {
    directory: &'a Path,
    sockets: &'a Proxy,
    calls: &'a Proxy,
    /// The Python that has the package.
    python: Option<&'static str>,
    places: Vec<Place>,
    /// How many ended although nobody had killed them.
    pub ended: BTreeMap<Sort, usize>,
}

impl<'a> Fleet<'a> {
    pub fn start(directory: &'a Path, sockets: &'a Proxy, calls: &'a Proxy) -> Fleet<'a> {
        let python = python_with_websockets();
        if python.is_none() {
            eprintln!("COULD NOT RUN: python3 lacks the package websockets; `daybook work` stands in for its client");
        }
        let mut fleet = Fleet { directory, sockets, calls, python, places: Vec::new(), ended: BTreeMap::new() };
        for (sort, count) in [(Sort::Work, WORKS), (Sort::Socket, SOCKETS), (Sort::Caller, CALLERS)] {
            for _ in 0..count {
                let number = fleet.places.len();
                let child = fleet.spawn(sort, number);
                fleet.places.push(Place { sort, number, child });
            }
        }
        fleet
    }

    fn spawn(&self, sort: Sort, number: usize) -> Child {
        let mut command = match (sort, self.python) {
            (Sort::Work, _) | (Sort::Socket, None) => self.work(number),
            (Sort::Socket, Some(python)) => {
                client(python, CLIENTS[1], &format!("ws://{}", self.sockets.address), "far")
            }
            (Sort::Caller, _) => client("python3", CLIENTS[0], &format!("http://{}", self.calls.address), "far"),
        };
        let said = self.directory.join(format!("worker-{number}.log"));
        let said = File::options().create(true).append(true).open(said).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().expect("it starts")
    }

    fn work(&self, number: usize) -> Command {
        let mut command = daybook();
        command.args(["work", "--kind", "far", "--concurrency", "2", "--grace", "1"]);
        command.args(["--server", &format!("http://{}", self.sockets.address), "--name", &format!("work-{number}")]);
        command.arg("--scratch").arg(self.directory.join(format!("scratch-{number}")));
        command.args(["--", "/bin/sh", "-c", PROGRAM, "sh"]).arg(notes(self.directory)).current_dir(self.directory);
        command
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn signal(&self, place: usize, signal: Signal) {
        // It is not waited for elsewhere: its number is its own also when it has ended.
        let _ = kill(Pid::from_raw(self.places[place].child.id() as i32), signal);
    }

    /// Ends a worker without a word, and starts another in its place.
    pub fn replace(&mut self, place: usize) {
        let Place { sort, number, child } = &mut self.places[place];
        let _ = child.kill();
        child.wait().expect("it was started here");
        let (sort, number) = (*sort, *number);
        self.places[place].child = self.spawn(sort, number);
    }

    /// Starts again whichever ended by itself, as a supervisor would.
    pub fn look_after(&mut self) {
        for place in 0..self.places.len() {
            if self.places[place].child.try_wait().expect("it was started here").is_some() {
                *self.ended.entry(self.places[place].sort).or_default() += 1;
                self.replace(place);
            }
        }
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for Place { sort, number, child } in &mut self.places {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                let said = std::fs::read_to_string(self.directory.join(format!("worker-{number}.log")));
                eprintln!("worker {number} ({sort:?}) had said:\n{}", said.unwrap_or_default());
            }
        }
    }
}
