//! The built server as a child process, and a client that fails a test instead of hanging.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::HeaderMap;

/// How long an answer or a start may take. Waits of the server itself end after 50 s.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// What the server says when it has begun.
const READY: &str = "the server is ready";

/// How a server is to be started.
pub struct Start {
    command: Command,
    listen: String,
}

/// A server that has said that it is ready.
pub struct Server {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    address: String,
    agent: Agent,
    /// What it had said on stderr when it was ready.
    pub said: String,
    all_said: Arc<Mutex<String>>,
}

/// A server that ended instead.
#[derive(Debug)]
pub struct Refusal {
    pub status: ExitStatus,
    pub said: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    asked: String,
}

/// The binary, without what the machine's environment says to it.
pub fn daybook() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DAYBOOK_")) {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs `daybook verify`: its exit code and all that it said.
pub fn verify(data: &Path) -> (Option<i32>, String) {
    let output = daybook().arg("verify").arg("--data").arg(data).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The table of a kind whose worker gives its args back.
pub fn echo_kind(processes: usize) -> String {
    let worker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/echo_worker.py");
    format!("[kinds.echo.run]\nmode = \"session\"\ncommand = [\"python3\", {worker:?}]\nprocesses = {processes}\n")
}

/// Writes a configuration with the echo kind and gives its path. `top` goes above it, `more` below.
pub fn write_config(dir: &Path, top: &str, more: &str) -> PathBuf {
    let path = dir.join("daybook.toml");
    std::fs::write(&path, format!("{top}\n{}\n{more}\n", echo_kind(1))).unwrap();
    path
}

/// Lets things go on for a while; for what goes on by itself, never for what a test could wait for.
pub fn linger(span: Duration) {
    let (_keep, never) = channel::<()>();
    assert_eq!(never.recv_timeout(span), Err(RecvTimeoutError::Timeout));
}

/// An address that stays free while nobody listens there: no connection begins at such a port by itself.
pub fn quiet_address() -> String {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Others may look for one at the same time, in this process and in the next.
    let ports = || 20_000 + (std::process::id() * 16 + GIVEN.fetch_add(1, Ordering::Relaxed)) % 12_000;
    let mut addresses = std::iter::repeat_with(|| format!("127.0.0.1:{}", ports()));
    addresses.find(|address| TcpListener::bind(address).is_ok()).expect("a free port")
}

impl Start {
    /// On the data in a directory, without a configuration.
    pub fn on(data: &Path) -> Start {
        // No configuration is found there.
        Start::in_directory(Path::new("/"), data)
    }

    /// In a directory that may have a `daybook.toml`.
    pub fn in_directory(directory: &Path, data: &Path) -> Start {
        let mut command = daybook();
        command.args(["serve", "--data"]).arg(data).current_dir(directory);
        Start { command, listen: "127.0.0.1:0".to_owned() }
    }

    /// Where it listens; a free port by default.
    pub fn listen(mut self, address: &str) -> Start {
        self.listen = address.to_owned();
        self
    }

    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Start {
        self.command.arg(argument);
        self
    }

    pub fn config(self, path: &Path) -> Start {
        self.arg("--config").arg(path)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Start {
        self.command.env(name, value);
        self
    }

    /// Starts it and waits until it is ready or has ended.
    pub fn run(mut self) -> Result<Server, Refusal> {
        self.command.args(["--listen", &self.listen]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let all_said = Arc::new(Mutex::new(String::new()));
        let (tell, lines) = channel();
        let kept = all_said.clone();
        std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                kept.lock().unwrap().extend([line.as_str(), "\n"]);
                // Nobody listens when it has become ready; it must be read all the same.
                let _ = tell.send(line);
            }
        });
        let mut said = String::new();
        while !said.contains(READY) {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => said.extend([line.as_str(), "\n"]),
                Err(RecvTimeoutError::Disconnected) => return Err(Refusal { status: child.wait().unwrap(), said }),
                Err(error) => panic!("the server neither starts nor ends ({error}): {said}"),
            }
        }
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("the first line says the address, not {first:?}")).to_owned();
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        Ok(Server { child, _stdout: stdout, address, agent: agent.new_agent(), said, all_said })
    }

    /// Starts it; it must become ready.
    pub fn ready(self) -> Server {
        self.run().unwrap_or_else(|refusal| panic!("the server starts: {refusal:?}"))
    }
}

impl Server {
    /// What it has said on stderr until now.
    pub fn said_so_far(&self) -> String {
        self.all_said.lock().unwrap().clone()
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address of a path.
    pub fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Asks, whatever the answer; none if the server ends meanwhile.
    pub fn try_ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        let mut request = ureq::http::Request::builder().method(method).uri(self.at(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = match body {
            b"" => self.agent.run(request.body(()).expect("a request")),
            body => self.agent.run(request.body(body).expect("a request")),
        };
        let (parts, body) = sent.ok()?.into_parts();
        let bytes = body.into_with_config().limit(u64::MAX).read_to_vec().ok()?;
        Some(Answer { status: parts.status.as_u16(), headers: parts.headers, bytes, asked: format!("{method} {path}") })
    }

    /// Asks; there must be an answer.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_ask(method, path, headers, body).unwrap_or_else(|| panic!("{method} {path} is answered"))
    }

    pub fn try_get(&self, path: &str) -> Option<Answer> {
        self.try_ask("GET", path, &[], b"")
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    /// The JSON of an answer that must be 200.
    #[track_caller]
    pub fn read(&self, path: &str) -> Value {
        self.get(path).ok(200)
    }

    pub fn try_post(&self, path: &str, body: &Value) -> Option<Answer> {
        self.try_ask("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).unwrap_or_else(|| panic!("POST {path} is answered"))
    }

    /// Submits a job and gives its id.
    pub fn submit(&self, kind: &str, args: Value) -> String {
        let job = self.post("/api/jobs", &json!({ "kind": kind, "args": args })).ok(201);
        job["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a job has ended, and gives it.
    pub fn finished(&self, id: &str) -> Value {
        loop {
            let job = self.read(&format!("/api/jobs/{id}?wait_s=20"));
            if !job["finished_at"].is_null() {
                return job;
            }
        }
    }

    /// A counter or gauge without labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(self.get("/metrics").bytes).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} is shown: {text}")).parse().unwrap()
    }

    /// A line of `/proc/<pid>/status`, in bytes.
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it runs");
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.child.wait().unwrap()
    }

    /// Kills it without a word.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server had said:\n{}", self.all_said.lock().unwrap());
        }
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

    /// The code of a problem, which must be a well-formed one.
    #[track_caller]
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        problem["code"].as_str().unwrap().to_owned()
    }
}
