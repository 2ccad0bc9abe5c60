//! Runs workers as child processes of the server: starts them, restarts them with growing waits, stops them, and never
//! leaves one behind. What their frames mean is decided in `sessions`, for every transport alike.
//!
//! The only place that starts processes and sends signals. Never lets anything reach a shell, and never lets go of a
//! job before the process group that ran it is dead. Start reading at [`supervisor`].

mod command;
pub mod file_limit;
pub mod files;
pub mod lines;
mod listener;
pub mod orphans;
pub mod output;
pub mod proc_table;
pub mod process;
pub mod remote;
pub mod restart;
mod run;
mod session_mode;
mod session_source;
pub mod slot;
pub mod stdio;
mod superior;
pub mod supervisor;
#[cfg(test)]
mod tests;
pub mod unix;

pub use slot::{RunSpec, Workshop};
pub use supervisor::{Drained, Supervisor};
