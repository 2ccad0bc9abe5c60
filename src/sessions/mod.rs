//! Worker sessions: the frames that workers and the server exchange, what each means, which jobs a session holds, and
//! how much more it wants.
//!
//! One vocabulary and one implementation of its meaning; the transports (pipes of a child, WebSocket, HTTP) only carry
//! it. Must never know how a frame travelled, and never decide what happens to a job: that is asked of the engine.

pub mod bursts;
pub mod calls;
mod carry;
pub mod drive;
pub mod fields;
pub mod frames;
mod handover;
pub mod holdings;
mod items;
pub mod line_news;
pub mod outbox;
pub mod polling;
pub mod ports;
pub(crate) mod presence;
pub mod previews;
pub mod reading;
mod reaper;
pub mod registry;
pub mod resume;
mod secrets;
pub mod session;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod traces;
pub mod troubles;
pub mod worker_side;

pub use carry::End;
pub use handover::HandoverError;
pub use registry::{Parts, Sessions, Settings};
pub use session::{Joining, Session};
