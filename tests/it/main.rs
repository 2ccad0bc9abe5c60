//! Black-box tests: the built binary, asked over real HTTP. Every answer is held against the server's own description.

mod batches;
mod edges;
mod jobs;
mod restart;
mod streams;
mod support;
mod truth;
