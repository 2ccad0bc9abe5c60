//! What a submit and a full cycle cost over HTTP, beside the disk's own speed in the same run.
//!
//! Starts the built server on a free loopback port with a directory of its own, and this program again as its worker
//! (a `session` subprocess with 16 slots). Every request is answered after its fsync. Bounded: about a minute.
//!
//! `cargo bench --bench http` prints ratios; figures of different runs or machines are not comparable.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ROUNDS: usize = 3;
const SLOTS: usize = 16;
const IN_FLIGHT: usize = 64;

fn main() {
    if std::env::args().any(|argument| argument == "--worker") {
        return worker();
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    println!("{} cores, {} rounds, median [least..most]; payload 200 B", cores(), ROUNDS);
    let mut table = Table::default();
    for _ in 0..ROUNDS {
        runtime.block_on(round(&mut table));
    }
    table.print();
}

async fn round(table: &mut Table) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    table.add(
        "append 300 B + fdatasync, one after the other",
        Measured { per_second: yardstick(directory.path()), cpu_us: None },
    );
    let server = Server::start(directory.path());
    let measured = server.measure(2_000, submits(&server, 1, 2_000, "idle")).await;
    table.add("submit, one in flight", measured);
    let measured = server.measure(20_000, submits(&server, IN_FLIGHT, 20_000, "idle")).await;
    table.add("submit, 64 in flight", measured);
    let measured = server.measure(50_000, bulks(&server, 4, 50_000)).await;
    table.add("submit in bulks of 100, 4 in flight", measured);
    let measured = server.measure(10_000, cycle(&server, 10_000)).await;
    table.add("full cycle, 64 in flight, 16 slots", measured);
}

/// What one round found.
struct Measured {
    per_second: f64,
    /// What a job cost the server's processor, its worker not included, in microseconds.
    cpu_us: Option<f64>,
}

/// Appends and syncs for a second: what the disk gives.
fn yardstick(directory: &Path) -> f64 {
    let mut file = File::create(directory.join("yardstick")).expect("a file");
    let record = [7u8; 300];
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_secs(1) {
        file.write_all(&record).expect("room");
        file.sync_data().expect("a disk");
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}

async fn submits(server: &Server, in_flight: usize, count: usize, kind: &str) -> f64 {
    posts(server, in_flight, count, 1, "/api/jobs", job(kind).to_string()).await
}

async fn bulks(server: &Server, in_flight: usize, count: usize) -> f64 {
    let jobs: Vec<_> = (0..100).map(|_| job("idle")).collect();
    posts(server, in_flight, count, 100, "/api/jobs/bulk", serde_json::json!({ "jobs": jobs }).to_string()).await
}

/// Posts the same body until `count` jobs are submitted, `step` with each request. Gives jobs per second.
async fn posts(server: &Server, in_flight: usize, count: usize, step: usize, path: &'static str, body: String) -> f64 {
    let (body, next) = (Arc::new(body), Arc::new(AtomicUsize::new(0)));
    let begun = Instant::now();
    let clients: Vec<_> = (0..in_flight)
        .map(|_| {
            let (address, body, next) = (server.address.clone(), body.clone(), next.clone());
            tokio::spawn(async move {
                let mut client = Client::connect(&address).await;
                while next.fetch_add(step, Ordering::Relaxed) < count {
                    assert_eq!(client.request("POST", path, &body).await.0, 201);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("a client");
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

/// From the first submit to the last completion on record.
async fn cycle(server: &Server, count: usize) -> f64 {
    let begun = Instant::now();
    submits(server, IN_FLIGHT, count, "echo").await;
    let mut client = Client::connect(&server.address).await;
    loop {
        let (status, text) = client.request("GET", "/api/jobs?kind=echo&state=active&limit=1", "").await;
        assert_eq!(status, 200, "{text}");
        let page: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if page["jobs"].as_array().is_some_and(Vec::is_empty) {
            return count as f64 / begun.elapsed().as_secs_f64();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn job(kind: &str) -> serde_json::Value {
    serde_json::json!({ "kind": kind, "args": { "text": "x".repeat(190) } })
}

/// The server under test; it ends with this value.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(directory: &Path) -> Server {
        let me = std::env::current_exe().expect("this program");
        let config = format!(
            "[kinds.idle]\n[kinds.echo]\n[kinds.echo.run]\nmode = \"session\"\ncommand = [{me:?}, \"--worker\"]\n"
        );
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
        let server = Server { child, address };
        server.wait_until_ready();
        server
    }

    /// Does something with `jobs` jobs, and sees what it costs the server.
    async fn measure(&self, jobs: usize, work: impl Future<Output = f64>) -> Measured {
        let before = self.cpu_us();
        let per_second = work.await;
        Measured { per_second, cpu_us: self.cpu_us().zip(before).map(|(after, before)| (after - before) / jobs as f64) }
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
struct Client {
    stream: tokio::io::BufReader<TcpStream>,
    address: String,
}

impl Client {
    async fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        Client { stream: tokio::io::BufReader::new(stream), address: address.to_owned() }
    }

    async fn request(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
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

/// A session worker that completes whatever it is given.
fn worker() {
    let mut out = std::io::stdout().lock();
    writeln!(out, r#"{{"type":"hello","name":"bench"}}"#).expect("a pipe");
    writeln!(out, r#"{{"type":"ready","slots":{SLOTS}}}"#).expect("a pipe");
    out.flush().expect("a pipe");
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let frames: serde_json::Value = serde_json::from_str(&line).expect("frames are JSON");
        let frames = if let serde_json::Value::Array(frames) = frames { frames } else { vec![frames] };
        for frame in frames.iter().filter(|frame| frame["type"] == "job") {
            let answer = serde_json::json!({
                "type": "complete", "job_id": frame["job"]["id"], "token": frame["lease"]["token"], "result": {}
            });
            writeln!(out, "{answer}").expect("a pipe");
        }
        out.flush().expect("a pipe");
    }
}

#[derive(Default)]
struct Table {
    rows: Vec<(&'static str, Vec<Measured>)>,
}

impl Table {
    fn add(&mut self, name: &'static str, measured: Measured) {
        match self.rows.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(measured),
            None => self.rows.push((name, vec![measured])),
        }
    }

    fn print(&mut self) {
        let mut base = 0.0;
        for (name, rounds) in &mut self.rows {
            rounds.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
            let Measured { per_second: median, cpu_us } = rounds[rounds.len() / 2];
            base = if base == 0.0 { median } else { base };
            let (least, most) = (rounds[0].per_second, rounds[rounds.len() - 1].per_second);
            let ratio = median / base;
            let cost = cpu_us.map_or(String::new(), |cpu_us| format!("  {cpu_us:>5.0} µs of CPU"));
            println!("{name:<48} {median:>9.0}/s [{least:.0}..{most:.0}]  {ratio:>6.2} of the disk{cost}");
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
