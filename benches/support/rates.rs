//! Rates of the running server beside the disk's own speed: submits and full cycles, and a table of them.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Client, Server, Spread, job};

/// How many clients submit at once.
pub const IN_FLIGHT: usize = 64;
/// How long the disk's own speed is taken, before and after each figure.
const YARDSTICK: Duration = Duration::from_millis(500);
/// How long jobs that are under way may take to end.
const CYCLE_MAX: Duration = Duration::from_secs(60);

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

impl Server {
    /// Does something with `jobs` jobs, and sees how fast it goes, what it costs the server, and what the disk gives
    /// before and after.
    pub async fn measure(&self, directory: &Path, jobs: usize, work: impl Future<Output = ()>) -> Measured {
        let disk = yardstick(directory);
        let (before, begun) = (self.process.cpu_us(), Instant::now());
        work.await;
        let per_second = jobs as f64 / begun.elapsed().as_secs_f64();
        let cpu_us = self.process.cpu_us().zip(before).map(|(after, before)| (after - before) / jobs as f64);
        Measured { per_second, cpu_us, disk: (disk + yardstick(directory)) / 2.0 }
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
