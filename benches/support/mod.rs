//! What the benchmarks of the running server share: the server as a child process, as little HTTP as will do, the disk's
//! own speed, and a table of rates beside it. Each benchmark takes it in as a module of its own.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How often everything is measured.
pub const ROUNDS: usize = 3;
/// How many clients submit at once.
pub const IN_FLIGHT: usize = 64;
/// How long the disk's own speed is taken, before and after each figure.
const YARDSTICK: Duration = Duration::from_millis(500);
/// How long jobs that are under way may take to end.
const CYCLE_MAX: Duration = Duration::from_secs(60);

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

/// Appends 300 B and syncs, one after the other: how often a second the disk does it.
pub fn yardstick(directory: &Path) -> f64 {
    let mut file = File::create(directory.join("yardstick")).expect("a file");
    let record = [7u8; 300];
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < YARDSTICK {
        file.write_all(&record).expect("room");
        file.sync_data().expect("a disk");
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}

/// A job of a kind, with 200 B of args.
pub fn job(kind: &str) -> serde_json::Value {
    serde_json::json!({ "kind": kind, "args": { "text": "x".repeat(190) } })
}

/// Submits jobs one a request, so many at a time.
pub async fn submits(server: &Server, in_flight: usize, count: usize, kind: &str) {
    posts(server, in_flight, count, 1, "/api/jobs", job(kind).to_string()).await;
}

/// Posts the same body until `count` jobs are submitted, `step` with each request.
pub async fn posts(server: &Server, in_flight: usize, count: usize, step: usize, path: &'static str, body: String) {
    let (body, next) = (Arc::new(body), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..in_flight)
        .map(|_| {
            let (address, body, next) = (server.address.clone(), body.clone(), next.clone());
            tokio::spawn(async move {
                let mut client = Client::connect(&address).await;
                while next.fetch_add(step, Ordering::Relaxed) < count {
                    assert_eq!(client.request("POST", path, "", &body).await.0, 201);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("a client");
    }
}

/// From the first submit to the last completion on record.
pub async fn cycle(server: &Server, count: usize, kind: &str) {
    submits(server, IN_FLIGHT, count, kind).await;
    let begun = Instant::now();
    let mut client = Client::connect(&server.address).await;
    let active = format!("/api/jobs?kind={kind}&state=active&limit=1");
    loop {
        let (status, text) = client.request("GET", &active, "", "").await;
        assert_eq!(status, 200, "{text}");
        let page: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if page["jobs"].as_array().is_some_and(Vec::is_empty) {
            return;
        }
        assert!(begun.elapsed() < CYCLE_MAX, "every job ends");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The server under test; it ends with this value.
pub struct Server {
    child: Child,
    directory: PathBuf,
    pub address: String,
}

impl Server {
    /// Starts the built server with this configuration and fresh data in a directory, on a free loopback port.
    pub fn start(directory: &Path, config: &str) -> Server {
        std::fs::write(directory.join("daybook.toml"), config).expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_daybook"))
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(directory.join("daybook.toml"))
            .arg("--data")
            .arg(directory.join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its first line");
        let address = line.trim().rsplit("http://").next().expect("an address").to_owned();
        let server = Server { child, directory: directory.to_owned(), address };
        server.wait_until_ready();
        server
    }

    /// Does something with `jobs` jobs, and sees how fast it goes, what it costs the server, and what the disk gives
    /// before and after.
    pub async fn measure(&self, jobs: usize, work: impl Future<Output = ()>) -> Measured {
        let disk = yardstick(&self.directory);
        let (before, begun) = (self.cpu_us(), Instant::now());
        work.await;
        let per_second = jobs as f64 / begun.elapsed().as_secs_f64();
        let cpu_us = self.cpu_us().zip(before).map(|(after, before)| (after - before) / jobs as f64);
        Measured { per_second, cpu_us, disk: (disk + yardstick(&self.directory)) / 2.0 }
    }

    /// The processor time of the server's process so far, in microseconds; none where there is no such account.
    fn cpu_us(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let ticks: f64 = [fields.get(11)?, fields.get(12)?].iter().filter_map(|field| field.parse::<f64>().ok()).sum();
        // Linux counts in hundredths of a second.
        Some(ticks * 10_000.0)
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

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ends");
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

/// What one round found.
pub struct Measured {
    per_second: f64,
    /// What a job cost the server's processor, its workers' own not included, in microseconds.
    cpu_us: Option<f64>,
    /// What the disk gave beside it.
    disk: f64,
}

/// Rates by name.
#[derive(Default)]
pub struct Table {
    rows: Vec<(&'static str, Vec<Measured>)>,
}

impl Table {
    /// Adds what a round found.
    pub fn add(&mut self, name: &'static str, measured: Measured) {
        match self.rows.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(measured),
            None => self.rows.push((name, vec![measured])),
        }
    }

    /// Prints each rate, and its ratio to what the disk gave beside it.
    pub fn print(&self) {
        for (name, rounds) in &self.rows {
            let rate = Spread::of(rounds.iter().map(|round| round.per_second));
            let ratio = Spread::of(rounds.iter().map(|round| round.per_second / round.disk));
            let cpu_us = Spread::of(rounds.iter().filter_map(|round| round.cpu_us));
            let cost = cpu_us.map_or(String::new(), |cpu_us| format!("  {:>5.0} µs of CPU", cpu_us.median));
            let (rate, ratio) = rate.zip(ratio).expect("a round");
            println!("{name:<44} {rate:>22.0}/s  {ratio:>18.2} of the disk{cost}");
        }
        let disk = Spread::of(self.rows.iter().flat_map(|(_, rounds)| rounds).map(|round| round.disk));
        let disk = disk.expect("a round");
        println!("{:<44} {disk:>22.0}/s", "the disk: append 300 B + fdatasync");
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
