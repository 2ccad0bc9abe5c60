//! Attacks on the real binary that once succeeded: a second server, a stale worker, readers that do not read.

#[allow(dead_code, reason = "the support of tests/it has more than these tests need")]
#[path = "../it/support/mod.rs"]
mod support;

mod files;
mod sessions;
mod two_servers;
mod waiting;
