//! Runs workers as child processes of the server: starts them, restarts them with growing waits, stops them, and never
//! leaves one behind. What their frames mean is decided in `sessions`, for every transport alike.
//!
//! The only place that starts processes and sends signals. Never lets anything reach a shell, and never lets go of a
//! job before the process group that ran it is dead.

pub mod lines;
pub mod orphans;
pub mod proc_table;
pub mod process;
pub mod restart;
pub mod unix;
