//! Chores that the server does by itself. A chore only submits commands or calls services of the engine; it decides
//! nothing about jobs.

pub mod disk;
pub mod keyframer;
pub mod recall;
pub mod retention;
pub mod scheduler;
pub mod snapshotter;
pub mod sweeper;
pub mod ticker;
pub mod trimmer;
