//! What the tests of the built binary share: a server as a child process, and one whose answers are held against
//! `/api/openapi.json`. Each test program takes it in by its path.

pub mod clients;
mod description;
pub mod dice;
pub mod life;
pub mod live;
pub mod proxy;
pub mod remote;
pub mod server;
pub mod shapes;
pub mod worker;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::sys::signal::Signal;
use serde_json::Value;

use description::Description;
pub use server::Answer;
use server::{PATIENCE, Server, Start};

/// The built binary, running in a directory of its own.
pub struct TestServer {
    directory: PathBuf,
    server: Server,
    description: OnceLock<Description>,
    /// Removed at the end, if it is this server's own.
    own: Option<tempfile::TempDir>,
}

impl TestServer {
    /// Starts a server without a configuration.
    pub fn start() -> TestServer {
        TestServer::with_config("")
    }

    /// Starts a server with this `daybook.toml`.
    pub fn with_config(toml: &str) -> TestServer {
        let own = tempfile::tempdir().expect("a directory");
        std::fs::write(own.path().join("daybook.toml"), toml).expect("writes");
        TestServer::owning(own)
    }

    /// Starts a server in a directory that is removed with it.
    pub fn owning(own: tempfile::TempDir) -> TestServer {
        let mut server = TestServer::in_directory(own.path());
        server.own = Some(own);
        server
    }

    /// Starts a server in a directory that has a `daybook.toml` and may have data.
    pub fn in_directory(directory: &Path) -> TestServer {
        let server = Start::in_directory(directory, Path::new("data")).ready();
        TestServer { directory: directory.to_owned(), server, description: OnceLock::new(), own: None }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        self.server.address()
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.server.process()
    }

    /// A line of `/proc/<pid>/status`, in bytes.
    pub fn memory(&self, name: &str) -> u64 {
        self.server.memory(name)
    }

    /// Where it was started.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Kills it without a word, and starts it again on the same data.
    pub fn kill_and_restart(self) -> TestServer {
        let TestServer { directory, server, own, .. } = self;
        server.kill();
        TestServer { own, ..TestServer::in_directory(&directory) }
    }

    /// Waits until it has said something on stderr, and gives that line.
    pub fn until_said(&self, words: &str) -> String {
        loop {
            if let Some(line) = self.server.said_so_far().lines().find(|line| line.contains(words)) {
                return line.to_owned();
            }
            std::thread::yield_now();
        }
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.server.signal(Signal::SIGTERM);
    }

    /// Asks it to end, waits until it has, and starts it again on the same data.
    pub fn stop_and_restart(self) -> TestServer {
        let TestServer { directory, server, own, .. } = self;
        assert!(server.stop().success());
        TestServer { own, ..TestServer::in_directory(&directory) }
    }

    /// Asks it to end, does something to what it left, and starts it again.
    pub fn stopped(self, meanwhile: impl FnOnce()) -> TestServer {
        let TestServer { directory, server, own, .. } = self;
        assert!(server.stop().success());
        meanwhile();
        TestServer { own, ..TestServer::in_directory(&directory) }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Asks, and holds the answer against the description.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = self.raw(method, path, headers, body);
        self.description().check(method, path, &answer);
        answer
    }

    /// Asks without checking.
    pub fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.server.ask(method, path, headers, body)
    }

    /// The server's description of itself.
    pub fn description(&self) -> &Description {
        self.description.get_or_init(|| Description::of(self.raw("GET", "/api/openapi.json", &[], b"").json()))
    }

    /// Sends bytes over a connection of their own, and reads until the server closes it.
    pub fn send_bytes(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        // A server that has heard enough may close before it has read everything.
        let _ = stream.write_all(bytes);
        TestServer::rest(stream)
    }

    /// Begins a GET over a connection of its own.
    pub fn send(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").expect("it reads");
        stream
    }

    /// What a connection still has to say until the server closes it.
    pub fn rest(mut stream: TcpStream) -> String {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Submits a job and gives its id.
    pub fn submit(&self, job: &Value) -> String {
        self.post("/api/jobs", job).ok(201)["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until a job has ended and gives it.
    pub fn finished(&self, id: &str) -> Value {
        loop {
            let job = self.get(&format!("/api/jobs/{id}?wait_s=50")).ok(200);
            if !job["finished_at"].is_null() {
                return job;
            }
        }
    }
}
