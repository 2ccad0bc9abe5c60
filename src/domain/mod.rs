//! The core: commands in, events or refusals out. PURE.
//!
//! `decide` looks at the state and says what happens; `evolve` applies what happened. Neither reads a clock, draws a
//! random number, looks at the environment or does I/O (D1): time and chance come in as arguments. `evolve` cannot
//! refuse (D2). An event changes the jobs that it names and no other (D3). Imports nothing of ours from outside.

pub mod batch;
pub mod command;
pub mod decide;
pub mod event;
pub mod evolve;
pub mod id;
pub mod index;
pub mod invariants;
pub mod job;
pub mod json;
pub mod limits;
pub mod pool;
#[cfg(test)]
pub mod properties;
pub mod queue;
pub mod rate;
pub mod refusal;
pub mod retention;
pub mod retry;
pub mod schedule;
pub mod slots;
pub mod state;
#[cfg(test)]
pub mod testing;
pub mod time;
