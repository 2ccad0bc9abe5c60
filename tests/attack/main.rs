//! Attacks on the real binary that once succeeded: a second server, a stale worker, readers that do not read.

#[allow(dead_code, reason = "each test program uses a part of what they share")]
#[path = "../support/mod.rs"]
mod support;

mod descriptors;
mod files;
mod sessions;
mod two_servers;
mod waiting;
