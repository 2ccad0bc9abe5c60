//! The port between running a program for one job and whom it reports to: the session of a child of this server
//! ([`crate::workers::command`]), or a server at the other end of a line ([`crate::workers::remote`]).
//!
//! Nothing here knows how a word travels, and whoever stands behind it knows nothing of processes.

use std::future::Future;
use std::path::PathBuf;

use crate::sessions::End;
use crate::sessions::calls::Call;
use crate::sessions::frames::{CancelReason, JobFrame, ServerFrame};
use crate::sessions::ports::LogLine;

/// Whom the run of one job reports to. One for each run, and nobody else asks it.
pub(crate) trait Superior: Send + Sync {
    /// The frame with which the job goes to its program.
    ///
    /// # Errors
    /// Why there is none, in words: the attempt fails with them.
    fn job_frame(&self) -> impl Future<Output = Result<JobFrame, String>> + Send;

    /// Whether the lease of the job still holds, as far as is known here.
    fn holds(&self) -> bool;

    /// Waits until the run has to be told something; then ask [`Superior::notices`]. Dropping the future loses nothing.
    fn news(&self) -> impl Future<Output = ()> + Send;

    /// What the run has to be told, each once: `cancel`, `lost`, and late answers for the program.
    fn notices(&self) -> Vec<ServerFrame>;

    /// Waits until a run that was told to stop has not ended in time, so that it may be killed.
    fn overdue(&self) -> impl Future<Output = ()> + Send;

    /// Why the job was told to stop, if it was.
    fn stop_reason(&self) -> Option<CancelReason>;

    /// Waits until there is room for what the program says: until then it waits in its own pipe. Dropping the future
    /// loses nothing.
    fn room(&self) -> impl Future<Output = ()> + Send;

    /// Carries out what the program said, in order, and gives the answers that are there at once.
    fn receive(&self, calls: Vec<Call>) -> impl Future<Output = Vec<ServerFrame>> + Send;

    /// Adds lines to the log of the job, without asking whether its lease still holds.
    fn note(&self, lines: Vec<LogLine>) -> impl Future<Output = ()> + Send;

    /// Keeps a file that the run left. The name is one by [`crate::sessions::ports::is_file_name`].
    ///
    /// # Errors
    /// Why it is not kept, in words: the attempt fails with them.
    fn keep_file(&self, name: String, path: PathBuf) -> impl Future<Output = Result<(), String>> + Send;

    /// Ends the run. `was_started` tells whether there was a program at all.
    fn end(&self, end: End, was_started: bool) -> impl Future<Output = ()> + Send;

    /// Nothing of the run goes on: its job may be granted again.
    fn let_go(&self);
}
