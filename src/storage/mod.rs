//! Everything that is kept on disk: the event log on sled, snapshots, log lines and files of jobs. The only place
//! that knows sled.
//!
//! ```text
//!   data/LOCK  ballast                 held while a server runs; room for the restart after a full disk
//!   data/log/HEAD                      how far the log has come, noted a second time
//!   data/log/00000000000000000001/     a segment, named by its first seq: a sled database (db, conf, snap.…, and blobs/
//!                                      which stays empty), payloads/ with big bodies, SEALED when it is full
//!   data/log/base/00000000000000812341/ what stands for the events before the oldest segment, once some were dropped
//!   data/log/carried/<hash>            of these events, those that a kept job points to
//!   data/snapshots/00000000000000004711
//!   data/logs/7f/<job>                 log lines
//!   data/files/<job>/<name>            what jobs leave
//! ```
//!
//! A write goes `log` (encodes) → `segment` → `chapters` (sled's buffer) → `writer` (a thread of its own) → `sync`; a
//! read goes `reader` → `cache` → `segments` → `segment` or `seal`. A start goes `open` → `recovery` → `trial` →
//! `inspect`, `verify`. `check` looks at every file of a server that does not run, and `offline` reads its log. `trimmer`
//! drops the oldest segments behind a `base`.
//!
//! Nothing here decides anything about jobs. A damaged log is never opened for writing.

pub mod backup;
mod ballast;
mod base;
mod cache;
mod carried;
mod chapters;
pub mod check;
pub mod disk;
pub mod files;
mod guard;
mod head;
pub mod imported;
mod inspect;
pub mod joblogs;
mod log;
mod logfile;
pub mod offline;
pub mod open;
mod payloads;
mod ports;
mod reader;
mod recovery;
pub mod reset;
pub mod restored;
mod salvage;
mod scan;
mod seal;
mod sealer;
mod segment;
mod segments;
mod snapshots;
pub mod sync;
#[cfg(test)]
mod tests;
mod trial;
mod trimmer;
mod verify;
pub mod views;
mod writer;

pub use backup::BackupFiles;
pub use disk::free as disk_free;
pub use files::JobFiles;
pub use joblogs::JobLogs;
pub use offline::OfflineLog;
pub use open::{DirectoryLock, OpenError, Opened, Options, open};
pub use reset::reset;
pub use snapshots::SnapshotFiles;
