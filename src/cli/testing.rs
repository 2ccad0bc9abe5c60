//! For tests: a server on a free port that answers what it was told to, and a command line run against it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::cli::console::Console;
use crate::cli::run_line;

/// What the server does with one request.
pub enum Reply {
    /// Answers with a status, more header lines, and a body.
    Answer(u16, &'static str, String),
    /// Closes the connection without a word.
    Hang,
}

/// Answers with a body of JSON, as the server whose epoch is `e1` does.
pub fn json(status: u16, body: &str) -> Reply {
    Reply::Answer(status, "Daybook-Epoch: e1\r\nContent-Type: application/json\r\n", body.to_owned())
}

/// A server with one answer for each request.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port and answers in this order.
    pub fn answering(replies: impl IntoIterator<Item = Reply>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let mut replies: VecDeque<Reply> = replies.into_iter().collect();
        let thread = std::thread::spawn(move || {
            while let Some(reply) = replies.pop_front() {
                let (stream, _) = listener.accept().expect("a connection");
                seen.lock().expect("no panic").push(serve(stream, reply));
            }
        });
        Server { address, requests, thread }
    }

    /// Runs a command line against this server: its exit code, its stdout and its stderr.
    pub fn run(&self, line: &str) -> (u8, String, String) {
        run_at(&format!("http://{}", self.address), line)
    }

    /// Runs a command line that uses up all answers; gives the requests too.
    pub fn run_all(self, line: &str) -> (u8, String, String, Vec<String>) {
        let (code, out, err) = self.run(line);
        self.thread.join().expect("all answers were asked for");
        let requests = std::mem::take(&mut *self.requests.lock().expect("no panic"));
        (code, out, err, requests)
    }
}

/// Runs a command line against the server at an address.
pub fn run_at(server: &str, line: &str) -> (u8, String, String) {
    let (out, err) = (Shared::default(), Shared::default());
    let mut console = Console::plain(out.clone(), err.clone());
    let words = ["daybook", "--server", server].into_iter().chain(line.split_whitespace());
    let code = run_line(words.map(Into::into), &mut console);
    (code, out.text(), err.text())
}

/// Reads one request, gives its first line and its body, and replies.
fn serve(stream: TcpStream, reply: Reply) -> String {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).expect("a request");
    let mut length = 0;
    let mut key = String::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let lower = line.to_ascii_lowercase();
        if let Some(number) = lower.strip_prefix("content-length:") {
            length = number.trim().parse().expect("a length");
        }
        if lower.starts_with("idempotency-key:") || lower.starts_with("authorization:") {
            key = format!(" [{}]", line.trim());
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    if let Reply::Answer(status, headers, text) = reply {
        let head =
            format!("HTTP/1.1 {status} Said\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", text.len());
        let _ = reader.get_mut().write_all(format!("{head}{text}").as_bytes());
    }
    format!("{}{key} {}", first.trim().trim_end_matches(" HTTP/1.1"), String::from_utf8_lossy(&body))
        .trim_end()
        .to_owned()
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
