//! Worker sessions: the frames that workers and the server exchange, what each means, which jobs a session holds, and
//! how much more it wants.
//!
//! One vocabulary and one implementation of its meaning; the transports (pipes of a child, WebSocket, HTTP) only carry
//! it. Must never know how a frame travelled, and never decide what happens to a job: that is asked of the engine.

pub mod calls;
pub mod fields;
pub mod frames;
pub mod ports;
pub mod previews;
