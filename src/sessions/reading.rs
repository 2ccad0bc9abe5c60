//! What readers ask of the jobs' log lines and files, and of all that may be copied of a data directory. Writing is asked
//! for in [`crate::sessions::ports`].

use std::fs::File;
use std::io;
use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::id::{JobId, Seq};
use crate::domain::job::FileInfo;
use crate::domain::time::Timestamp;
use crate::sessions::line_news::LineWatch;
use crate::sessions::ports::{LOG_LINE_BYTES_MAX, LogStream};

/// One line of a job's log, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeptLine {
    /// Its number in the job's log, from 1, without holes.
    #[schemars(range(min = 1))]
    pub n: u64,
    /// When the server got it.
    pub at: Timestamp,
    /// Where it came from.
    pub stream: LogStream,
    /// The line, without its end; longer ones than 64 KiB are cut and marked.
    #[schemars(length(max = LOG_LINE_BYTES_MAX))]
    pub text: Arc<str>,
}

/// The port to read the jobs' log lines. Calls may block for the length of a read.
pub trait JobLogReader: Send + Sync {
    /// The lines of a job after line number `after` (0: from the first), in order: at most `lines_max`, and no more than
    /// about `bytes_max` of text, but at least one if there is one. Empty at the end, and for a job without lines.
    fn lines_after(&self, job: JobId, after: u64, lines_max: usize, bytes_max: usize) -> io::Result<Vec<KeptLine>>;

    /// The number of the last line of a job; 0 if it has none.
    fn newest_line(&self, job: JobId) -> io::Result<u64>;

    /// Hears of the lines that are added to a job's log from now on. Does not block.
    fn watch(&self, job: JobId) -> LineWatch;
}

/// The port to the jobs' output files, for those who read them or bring them over the network.
pub trait JobFileStore: Send + Sync {
    /// Opens a file of a job to read it; none if there is no such file.
    fn open(&self, job: JobId, name: &str) -> io::Result<Option<File>>;

    /// Begins to write a file. The name is one by [`crate::sessions::ports::is_file_name`].
    fn create(&self, job: JobId, name: &str) -> io::Result<Box<dyn NewJobFile>>;
}

/// A file that is being written. Dropped before it is finished, it never was.
pub trait NewJobFile: Write + Send {
    /// Makes the file durable under its name, in the place of one of the same name, and tells what it is.
    fn finish(self: Box<Self>) -> io::Result<FileInfo>;
}

/// A file that may be copied while the server runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DataFile {
    /// Its path below the data directory.
    #[schemars(length(min = 1))]
    pub path: String,
    /// How many bytes it has now.
    pub bytes: u64,
    /// When it was changed last, in milliseconds since 1970: with the same length and time it is the same file.
    pub modified_ms: u64,
}

/// A part of the log that nothing changes any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SealedPart {
    /// Its first event.
    #[schemars(extend("type" = "integer", "minimum" = 1))]
    pub first: Seq,
    /// Its last event.
    pub last: Seq,
    /// All files of the part.
    pub files: Vec<DataFile>,
}

/// The port to the files of a data directory, for those who copy them while the server runs. Calls may block.
pub trait DataFiles: Send + Sync {
    /// The sealed parts of the log in their order, without a hole, from the one that begins with an event on.
    fn sealed(&self, from: Seq) -> io::Result<Vec<SealedPart>>;

    /// What stands for the events before the earliest; nothing if the log begins with the first.
    fn base(&self, earliest: Seq) -> io::Result<Vec<DataFile>>;

    /// Log lines and output files of jobs. Lines are only ever added, and an output file is replaced as a whole.
    fn of_jobs(&self) -> io::Result<Vec<DataFile>>;

    /// Opens one of all these; none if none of them has this path.
    fn open(&self, path: &str) -> io::Result<Option<File>>;
}
