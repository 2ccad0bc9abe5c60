//! Black-box tests: the built binary, asked over real HTTP. Every answer is held against the server's own description.

mod at;
mod batches;
mod churn;
mod clients;
mod edges;
mod history;
mod jobs;
mod live;
mod live_churn;
mod live_edges;
mod lives;
mod page;
mod purge;
mod queues;
mod remote;
mod restart;
mod retention;
mod schedules;
mod shapes;
mod streams;
#[allow(dead_code, reason = "each test program uses a part of what they share")]
#[path = "../support/mod.rs"]
mod support;
mod timeline;
mod trimmed;
mod truth;
mod workers;
