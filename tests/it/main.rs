//! Black-box tests: the built binary, asked over real HTTP. Every answer is held against the server's own description.

mod batches;
mod edges;
mod jobs;
mod restart;
mod schedules;
mod shapes;
mod streams;
#[allow(dead_code, reason = "the attacks of tests/attack use this support too")]
mod support;
mod truth;
