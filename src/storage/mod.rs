//! Everything that is kept on disk: the event log on sled, snapshots, log lines and files of jobs. The only place
//! that knows sled.
//!
//! ```text
//!   data/LOCK  ballast
//!   data/log/HEAD                      how far the log has come, noted a second time
//!   data/log/00000000000000000001/     a segment: a sled database (db, conf, snap.…, blobs/ which stays empty),
//!                                      payloads/ with big bodies, SEALED when it is full
//! ```
//!
//! Nothing here decides anything about jobs. A damaged log is never opened for writing.

mod ballast;
mod cache;
pub mod disk;
pub mod files;
mod head;
mod inspect;
pub mod joblogs;
mod log;
mod logfile;
pub mod open;
mod payloads;
mod ports;
mod reader;
mod recovery;
pub mod reset;
mod salvage;
mod seal;
mod sealer;
mod segment;
mod segments;
mod snapshots;
pub mod sync;
#[cfg(test)]
mod tests;
mod trial;
mod verify;
pub mod views;
mod writer;

pub use disk::free as disk_free;
pub use files::JobFiles;
pub use joblogs::JobLogs;
pub use open::{DirectoryLock, OpenError, Opened, Options, open};
pub use reset::reset;
pub use snapshots::SnapshotFiles;
