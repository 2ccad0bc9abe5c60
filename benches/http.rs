//! What a submit and a full cycle cost over HTTP, beside the disk's own speed in the same run.
//!
//! Starts the built server on a free loopback port with a directory of its own, and this program again as its worker
//! (a `session` subprocess with 16 slots). Every request is answered after its fsync. Bounded: about a minute.
//!
//! `cargo bench --bench http` prints ratios; figures of different runs or machines are not comparable.

#[path = "support/rates.rs"]
mod rates;
mod support;

use std::io::{BufRead, Write};

use rates::{IN_FLIGHT, Table, cycle, posts, submits};
use support::{ROUNDS, Server, directory, job};

const SLOTS: usize = 16;

fn main() {
    if std::env::args().any(|argument| argument == "--worker") {
        return worker();
    }
    support::print_machine("one session subprocess with 16 slots");
    let (runtime, mut table) = (support::runtime(), Table::default());
    for _ in 0..ROUNDS {
        runtime.block_on(round(&mut table));
    }
    table.print();
}

async fn round(table: &mut Table) {
    let directory = directory();
    let me = std::env::current_exe().expect("this program");
    let config =
        format!("[kinds.idle]\n[kinds.echo]\n[kinds.echo.run]\nmode = \"session\"\ncommand = [{me:?}, \"--worker\"]\n");
    let server = Server::start(directory.path(), &config);
    let measured = server.measure(directory.path(), 2_000, submits(&server, 1, 2_000, "idle")).await;
    table.add("submit, one in flight", measured);
    let measured = server.measure(directory.path(), 20_000, submits(&server, IN_FLIGHT, 20_000, "idle")).await;
    table.add("submit, 64 in flight", measured);
    let measured = server.measure(directory.path(), 50_000, bulks(&server, 4, 50_000)).await;
    table.add("submit in bulks of 100, 4 in flight", measured);
    let measured = server.measure(directory.path(), 10_000, cycle(&server, 10_000, "echo")).await;
    table.add("full cycle, 64 in flight, 16 slots", measured);
}

async fn bulks(server: &Server, in_flight: usize, count: usize) {
    let jobs: Vec<_> = (0..100).map(|_| job("idle")).collect();
    posts(server, in_flight, count, 100, "/api/jobs/bulk", serde_json::json!({ "jobs": jobs }).to_string()).await;
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
