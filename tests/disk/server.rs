//! The built server as a child process, and a client that fails a test instead of hanging.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// How long an answer or a start may take.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What the server says when it has begun.
const READY: &str = "the server is ready";

/// How a server is to be started.
pub struct Start {
    command: Command,
}

/// A server that has said that it is ready.
pub struct Server {
    child: Child,
    url: String,
    agent: ureq::Agent,
    /// What it had said on stderr when it was ready.
    pub said: String,
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
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Start {
    /// On the data in a directory, without a configuration.
    pub fn on(data: &Path) -> Start {
        let mut command = daybook();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        // No configuration is found there.
        command.current_dir("/");
        Start { command }
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
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                // Nobody listens after the end of the test; the server must be read all the same.
                let _ = tell.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let mut said = String::new();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => said.extend([line.as_str(), "\n"]),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(Refusal { status: child.wait().unwrap(), said });
                }
                Err(error) => panic!("the server neither starts nor ends ({error}): {said}"),
            }
            if said.contains(READY) {
                break;
            }
        }
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        let url = first.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{first:?}")).to_owned();
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        Ok(Server { child, url, agent: agent.new_agent(), said })
    }

    /// Starts it; it must become ready.
    pub fn ready(self) -> Server {
        self.run().unwrap_or_else(|refusal| panic!("the server starts: {refusal:?}"))
    }
}

impl Server {
    pub fn get(&self, path: &str) -> Answer {
        self.try_get(path).expect("an answer")
    }

    /// Asks a server that may end meanwhile.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        self.ask(self.agent.get(format!("{}{path}", self.url)).call())
    }

    /// The JSON of an answer that must be 200.
    pub fn read(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).expect("an answer")
    }

    /// Posts to a server that may end meanwhile.
    pub fn try_post(&self, path: &str, body: &Value) -> Option<Answer> {
        self.ask(self.agent.post(format!("{}{path}", self.url)).send_json(body))
    }

    fn ask(&self, result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Option<Answer> {
        let (parts, body) = result.ok()?.into_parts();
        let media_type = parts.headers.get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
        let bytes = body.into_with_config().limit(u64::MAX).read_to_vec().ok()?;
        Some(Answer { status: parts.status.as_u16(), media_type, bytes })
    }

    /// Submits a job and gives its id.
    pub fn submit(&self, kind: &str, args: Value) -> String {
        let answer = self.post("/api/jobs", &json!({ "kind": kind, "args": args }));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
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

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
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
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("{:?}", String::from_utf8_lossy(&self.bytes)))
    }

    /// The code of a problem, which must be a well-formed one.
    pub fn problem(&self) -> String {
        assert_eq!(self.media_type, "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// The binary, without what the machine's environment says to it.
pub fn daybook() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DAYBOOK_")) {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1");
    command
}

/// Writes a configuration beside the data and gives its path. `more` goes below the echo kind.
pub fn write_config(dir: &Path, top: &str, more: &str) -> PathBuf {
    let worker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/echo_worker.py");
    let echo = format!("[kinds.echo.run]\nmode = \"session\"\ncommand = [\"python3\", {worker:?}]\nprocesses = 1\n");
    let path = dir.join("daybook.toml");
    std::fs::write(&path, format!("{top}\n{echo}\n{more}\n")).unwrap();
    path
}
