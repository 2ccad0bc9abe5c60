//! The command line as its users meet it: the built binary, a server of its own on a free port, child processes as
//! workers. Knows nothing of the inside.

mod backup;
mod commands;
mod export;
mod forged;
mod replay;
mod restore;
mod server;
mod sources;
#[allow(dead_code, reason = "each test program uses a part of what they share")]
#[path = "../support/mod.rs"]
mod support;
mod tour;
mod trimmed_export;
