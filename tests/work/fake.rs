//! A server that speaks the frames of the contract and does what a test tells it to, and the real worker as a process.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// How long anything may take on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The ids of the jobs that are handed out.
pub const JOBS: [&str; 3] = [
    "01900000-0000-7000-8000-000000000001",
    "01900000-0000-7000-8000-000000000002",
    "01900000-0000-7000-8000-000000000003",
];

pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

/// The port at which workers arrive.
pub struct Fake {
    listener: TcpListener,
    pub address: String,
}

/// A connection that a worker has opened.
pub struct Line {
    socket: WebSocketStream<TcpStream>,
    heard: VecDeque<Value>,
    pub hello: Value,
}

/// An HTTP request.
pub struct Put {
    pub head: String,
    pub body: String,
}

impl Fake {
    pub async fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        Fake { listener, address }
    }

    /// The next connection, which must be a worker's, after its hello.
    pub async fn greeted(&self) -> Line {
        let (stream, _) = patiently("a connection", self.listener.accept()).await.expect("a connection");
        #[expect(clippy::result_large_err, reason = "the library wants it so")]
        let agree = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            assert_eq!(request.uri().path(), "/api/worker");
            assert_eq!(request.headers()["sec-websocket-protocol"], "daybook.worker.v1");
            assert!(!request.headers().contains_key("origin"));
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("daybook.worker.v1"));
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.expect("a WebSocket");
        let mut line = Line { socket, heard: VecDeque::new(), hello: Value::Null };
        line.hello = line.expect("hello").await;
        line
    }

    /// The same, and the worker is welcome.
    pub async fn welcomed(&self, session: u8) -> Line {
        let mut line = self.greeted().await;
        line.welcome(session).await;
        line
    }

    /// The next connection, which must be an HTTP request, and is answered.
    pub async fn answer(&self, response: &str) -> Put {
        let (stream, _) = patiently("a request", self.listener.accept()).await.expect("a connection");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).await.expect("a header") > 0, "{head}");
        }
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap_or("0");
        let mut body = vec![0; length.trim().parse().expect("a length")];
        reader.read_exact(&mut body).await.expect("the body");
        let answer = format!("HTTP/1.1 {response}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        reader.get_mut().write_all(answer.as_bytes()).await.expect("it reads");
        Put { head, body: String::from_utf8(body).expect("text") }
    }
}

impl Line {
    pub async fn welcome(&mut self, session: u8) {
        let session = format!("01900000-0000-7000-9000-0000000000{session:02}");
        let epoch = "01900000-0000-7000-a000-000000000001";
        self.say(json!({"type":"welcome","session":session,"epoch":epoch,"lease_s":30,"ping_s":10})).await;
    }

    pub async fn say(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.expect("the worker reads");
    }

    /// Hands out a job of the kind `work`.
    pub async fn give(&mut self, number: usize) {
        let id = JOBS[number];
        self.say(
            json!({"type":"job","job":{"id":id,"kind":"work","args":{"number":number},"lost_count":0},"attempt":1,
            "items":[],"lease":{"token":format!("token-{number}"),"expires_in_s":30},"checkpoint":null}),
        )
        .await;
    }

    /// The next frame; none at the end of the connection.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(frame) = self.heard.pop_front() {
                return Some(frame);
            }
            match patiently("a frame", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text).expect("JSON") {
                    Value::Array(frames) => self.heard.extend(frames),
                    frame => self.heard.push_back(frame),
                },
                Some(Ok(Message::Close(frame))) => {
                    // The answer to it leaves at once.
                    let _ = self.socket.flush().await;
                    self.heard.push_back(json!({"type":"close","code":frame.map(|frame| u16::from(frame.code))}));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next frame of a type; those before it are passed over.
    pub async fn expect(&mut self, name: &str) -> Value {
        let mut before = Vec::new();
        loop {
            let frame = self.next().await;
            let frame = frame.unwrap_or_else(|| panic!("{name} comes before the end, not only {before:?}"));
            if frame["type"] == name {
                return frame;
            }
            before.push(frame);
        }
    }

    /// Waits for a line of a job's log.
    pub async fn logged(&mut self, text: &str) {
        loop {
            let frame = self.expect("log").await;
            let lines = frame["lines"].as_array().expect("lines");
            if lines.iter().any(|line| line["text"].as_str().is_some_and(|line| line.contains(text))) {
                return;
            }
        }
    }

    /// Waits until the worker knows that all it has said so far was carried out: it has nothing more to ask.
    pub async fn until_quiet(&mut self, pings: usize) {
        let mut seen = 0;
        while seen < pings {
            match patiently("a ping", self.socket.next()).await {
                Some(Ok(Message::Ping(_))) => seen += 1,
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        // The answer leaves with the next thing that is sent.
        self.socket.flush().await.expect("the worker reads");
    }

    /// Sends a part of a frame and hangs up.
    pub async fn cut_in_mid_frame(mut self) {
        // A text of 256 bytes, of which three come.
        let part = [0x81, 0x7e, 0x01, 0x00, b'{', b'"', b't'];
        self.socket.get_mut().write_all(&part).await.expect("the worker reads");
    }

    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "as the test says".into() };
        self.socket.send(Message::Close(Some(frame))).await.expect("the worker reads");
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

/// `daybook work` as a process.
pub struct Worker {
    child: Child,
    said: watch::Receiver<String>,
    printed: watch::Receiver<String>,
}

/// What each worker shows to its server, and to nobody else.
pub const TOKEN: &str = "the-token-of-the-worker";

impl Worker {
    /// Starts a worker for the kind `work` that runs a shell script.
    pub fn start(server: &str, directory: &Path, options: &str, script: &str) -> Worker {
        Worker::running(server, directory, options, &["/bin/sh", "-c", script])
    }

    /// The same with any program.
    pub fn running(server: &str, directory: &Path, options: &str, program: &[&str]) -> Worker {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DAYBOOK_")) {
            command.env_remove(name);
        }
        command.env("DAYBOOK_TOKEN", TOKEN);
        command.args(["work", "--kind", "work", "--server", &format!("http://{server}"), "--scratch"]);
        command.arg(directory.join("scratch")).args(options.split_whitespace()).arg("--").args(program);
        let pipes = command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.kill_on_drop(true).spawn().expect("the binary starts");
        let said = collect(child.stderr.take().expect("a pipe"));
        let printed = collect(child.stdout.take().expect("a pipe"));
        Worker { child, said, printed }
    }

    pub fn signal(&self, signal: Signal) {
        let number = self.child.id().expect("it runs");
        kill(Pid::from_raw(number as i32), signal).expect("it runs");
    }

    /// Waits until it has said something on stderr.
    pub async fn said(&mut self, words: &str) {
        let said = patiently(words, self.said.wait_for(|said| said.contains(words))).await.map(drop);
        said.unwrap_or_else(|_| panic!("{words:?} is said in {}", *self.said.borrow()));
    }

    /// Waits until it has ended: how, and what it said on stderr and on stdout.
    pub async fn ended(mut self) -> (ExitStatus, String, String) {
        let status = patiently("the end of the worker", self.child.wait()).await.expect("it is ours");
        let rest = |mut pipe: watch::Receiver<String>| async move {
            while pipe.changed().await.is_ok() {}
            pipe.borrow().clone()
        };
        (status, rest(self.said).await, rest(self.printed).await)
    }
}

fn collect(pipe: impl tokio::io::AsyncRead + Send + Unpin + 'static) -> watch::Receiver<String> {
    let (all, seen) = watch::channel(String::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            all.send_modify(|all| all.extend([line.as_str(), "\n"]));
        }
    });
    seen
}
