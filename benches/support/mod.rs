//! What the benchmarks of the running server share: the server as a child process, as little HTTP as will do, the
//! spread of figures. Each benchmark takes it in as a module of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How often everything is measured.
pub const ROUNDS: usize = 3;

/// What both sides of a benchmark run on.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A directory on the disk of the build: the temporary one may be memory.
pub fn directory() -> tempfile::TempDir {
    let program = std::env::current_exe().expect("this program has a path");
    let place = program.parent().expect("it lies in a directory");
    tempfile::Builder::new().prefix("daybook-bench-").tempdir_in(place).expect("a directory")
}

/// Prints what this runs on and how.
pub fn print_machine(settings: &str) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
    println!("machine: {cores} × {model}, Linux {}, load {load}", read("/proc/sys/kernel/osrelease").trim());
    println!("settings: {settings}; {ROUNDS} rounds, median [least..most]; payload 200 B; the server's defaults");
}

/// A job of a kind, with 200 B of args.
pub fn job(kind: &str) -> serde_json::Value {
    serde_json::json!({ "kind": kind, "args": { "text": "x".repeat(190) } })
}

/// A child of this program that serves; it ends with this value.
pub struct Process {
    pub child: Child,
    pub address: String,
}

impl Process {
    /// Starts a program whose first line says where it listens.
    pub fn start(command: &mut Command) -> Process {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its first line");
        let address = line.trim().rsplit("http://").next().expect("an address").to_owned();
        Process { child, address }
    }

    /// Its processor time so far, in microseconds; none where there is no such account.
    pub fn cpu_us(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let ticks: f64 = [fields.get(11)?, fields.get(12)?].iter().filter_map(|field| field.parse::<f64>().ok()).sum();
        // Linux counts in hundredths of a second.
        Some(ticks * 10_000.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ends");
    }
}

/// The server under test; it ends with this value.
pub struct Server {
    pub process: Process,
    pub address: String,
}

impl Server {
    /// Starts the built server with this configuration and fresh data in a directory, on a free loopback port.
    pub fn start(directory: &Path, config: &str) -> Server {
        std::fs::write(directory.join("daybook.toml"), config).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(directory.join("daybook.toml"));
        let process = Process::start(command.arg("--data").arg(directory.join("data")));
        let address = process.address.clone();
        let server = Server { process, address };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&self) {
        let begun = Instant::now();
        let url = format!("http://{}/health", self.address);
        while ureq::get(&url).call().is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the server becomes ready");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// As little HTTP as will do: one connection, one request at a time.
pub struct Client {
    stream: tokio::io::BufReader<TcpStream>,
    address: String,
}

impl Client {
    pub async fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        Client { stream: tokio::io::BufReader::new(stream), address: address.to_owned() }
    }

    /// Asks and waits for the answer: its status and its body. `headers` are whole lines.
    pub async fn request(&mut self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.get_mut().write_all(head.as_bytes()).await.expect("the server reads");
        let mut line = String::new();
        self.stream.read_line(&mut line).await.expect("an answer");
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).await.expect("a header");
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text).await.expect("a body");
        (status, String::from_utf8(text).expect("UTF-8"))
    }
}

/// The middle and the ends of some figures.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// None of none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        Some(Spread { median: figures[figures.len() / 2], least, most })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Spread { median, least, most } = self;
        let digits = formatter.precision().unwrap_or(1);
        let text = format!("{median:.digits$} [{least:.digits$}..{most:.digits$}]");
        formatter.pad_integral(true, "", &text)
    }
}
