//! A real server in a directory of its own, and a client that checks each answer against `/api/openapi.json`.

mod description;
pub mod shapes;
pub mod worker;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use ureq::Agent;
use ureq::http::HeaderMap;

use description::Description;

/// How long an answer may take before a test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(70);

/// The built binary, running.
pub struct TestServer {
    directory: PathBuf,
    /// Removed at the end, if it is this server's own.
    own: Option<tempfile::TempDir>,
    child: Child,
    _stdout: BufReader<ChildStdout>,
    address: String,
    agent: Agent,
    description: OnceLock<Description>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    asked: String,
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
        let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DAYBOOK_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--data", "data"]).current_dir(directory);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("reads");
        let address =
            line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("the first line is {line:?}"));
        let address = address.to_owned();
        let agent =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().new_agent();
        let directory = directory.to_owned();
        let server =
            TestServer { directory, own: None, child, _stdout: stdout, address, agent, description: OnceLock::new() };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&self) {
        let began = std::time::Instant::now();
        while self.raw("GET", "/health", &[], b"").status == 503 {
            assert!(began.elapsed() < PATIENCE, "the server is ready");
            std::thread::yield_now();
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where it was started.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Kills it without a word, and starts it again on the same data.
    pub fn kill_and_restart(mut self) -> TestServer {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.again()
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).expect("it runs");
    }

    /// Asks it to end, waits until it has, and starts it again on the same data.
    pub fn stop_and_restart(mut self) -> TestServer {
        self.terminate();
        assert!(self.child.wait().expect("it ends").success());
        self.again()
    }

    fn again(mut self) -> TestServer {
        let own = self.own.take();
        let mut server = TestServer::in_directory(&self.directory);
        server.own = own;
        server
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
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = match body {
            b"" => self.agent.run(request.body(()).expect("a request")),
            body => self.agent.run(request.body(body).expect("a request")),
        };
        let response = sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let (parts, body) = response.into_parts();
        let bytes = body.into_with_config().limit(u64::MAX).read_to_vec().expect("a body");
        let asked = format!("{method} {path}");
        Answer { status: parts.status.as_u16(), headers: parts.headers, bytes, asked }
    }

    /// The server's description of itself.
    pub fn description(&self) -> &Description {
        self.description.get_or_init(|| Description::of(self.raw("GET", "/api/openapi.json", &[], b"").json()))
    }

    /// Sends bytes over a connection of their own, and reads until the server closes it.
    pub fn send_bytes(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        // A server that has heard enough may close before it has read everything.
        let _ = stream.write_all(bytes);
        TestServer::rest(stream)
    }

    /// Begins a GET over a connection of its own.
    pub fn send(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
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

impl Drop for TestServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("{}: JSON, not {:?}", self.asked, String::from_utf8_lossy(&self.bytes)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    #[track_caller]
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status, body["code"].as_str()), (status, Some(code)), "{}: {body}", self.asked);
        body
    }
}
