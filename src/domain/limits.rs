//! How much a job may carry. Each limit has one place: requests are held to it, and the published schemas name it.
//!
//! Must never hold what depends on configuration. Lengths are bytes of UTF-8; a schema counts characters, of which there
//! are never more.

/// The last seq of a log: every number below 2^53 is exact in every language's JSON.
pub const SEQ_MAX: u64 = (1 << 53) - 1;
/// The most bytes of the name of a kind or a queue.
pub const NAME_BYTES_MAX: usize = 128;
/// Priorities go from minus this to this.
pub const PRIORITY_MAX: i64 = 100;
/// The most labels of a job.
pub const TAGS_MAX: usize = 32;
/// The most bytes of a label.
pub const TAG_BYTES_MAX: usize = 128;
/// The most bytes of a unique key.
pub const UNIQUE_KEY_BYTES_MAX: usize = 512;
/// The most jobs that a job may wait for.
pub const DEPENDENCIES_MAX: usize = 1000;
/// The most attempts that may be asked for.
pub const ATTEMPTS_MAX: i64 = 1_000_000;
/// The most items a job may have.
pub const ITEMS_MAX: usize = 100_000;
/// The most bytes of an item's key.
pub const ITEM_KEY_BYTES_MAX: usize = 4096;
/// The most bytes of the name of a job's file.
pub const FILE_NAME_BYTES_MAX: usize = 200;
/// The most bytes of a stage.
pub const STAGE_BYTES_MAX: usize = 256;
/// The most bytes of a progress message.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// The most bytes of an error's code.
pub const ERROR_CODE_BYTES_MAX: usize = 128;
/// The most bytes of an error's message.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of a cron expression.
pub const CRON_BYTES_MAX: usize = 256;
/// The most bytes of the name of a time zone.
pub const TIME_ZONE_BYTES_MAX: usize = 64;
/// The most jobs that one event forgets: its body stays below what a frame in the log holds itself.
pub const FORGOTTEN_MAX: usize = 256;
