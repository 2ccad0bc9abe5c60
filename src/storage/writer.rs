//! The thread that makes submissions durable, one after the other: payloads, pages, HEAD, and only then the answer.
//!
//! The first error ends it (L3): nothing is retried, what is still on its way is refused, and the ballast is given up
//! so that the next start has room. It rolls to a new segment between submissions, never inside one: a torn group is
//! always in the last segment.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::AppendError;
use crate::log::chain::ChainEnd;
use crate::log::commit::Commit;
use crate::storage::ballast::Ballast;
use crate::storage::head::{Head, HeadFile};
use crate::storage::reader::Shared;
use crate::storage::seal::Sealable;
use crate::storage::sealer::Sealer;
use crate::storage::segment::{Segment, SegmentError, name_of};
use crate::storage::segments::Slot;

/// How long HEAD may stay unsynced after a commit.
pub const HEAD_SYNC_EVERY: Duration = Duration::from_secs(2);

/// Records that are encoded and wait to be made durable.
pub struct Submission {
    pub records: Arc<[Record]>,
    pub commits: Vec<Commit>,
    /// Where the chain ends behind them.
    pub end: ChainEnd,
}

/// What the writer is asked to do.
pub enum Task {
    Store(Submission),
    /// End in order.
    Close,
}

/// Everything that writes.
pub struct Writer {
    pub shared: Arc<Shared>,
    pub log_dir: PathBuf,
    pub active: Arc<Slot>,
    /// Where the chain stood before the active segment.
    pub active_start: ChainEnd,
    pub end: ChainEnd,
    pub head: Head,
    pub head_file: HeadFile,
    pub ballast: Ballast,
    pub sealer: Sealer,
    pub segment_bytes: u64,
    pub cache_bytes: u64,
    /// When HEAD was written first since it was synced last.
    pub unsynced_since: Option<Instant>,
}

impl Writer {
    /// Works until it is asked to close, or the submitting half is dropped, or something fails.
    pub fn run(mut self, tasks: &Receiver<Task>, answers: &SyncSender<Result<Seq, AppendError>>) {
        if let Err(error) = self.work(tasks, answers) {
            // The disk may be full: whether the ballast could be removed changes nothing about the answer.
            let _ = self.ballast.give_up();
            let _ = answers.send(Err(error));
        }
        self.sealer.finish();
    }

    fn work(
        &mut self,
        tasks: &Receiver<Task>,
        answers: &SyncSender<Result<Seq, AppendError>>,
    ) -> Result<(), AppendError> {
        loop {
            match self.next_task(tasks) {
                Ok(Task::Store(submission)) => {
                    let last = self.store(submission)?;
                    // Whoever dropped the log does not want to hear the answer.
                    let _ = answers.send(Ok(last));
                    self.roll_if_full()?;
                }
                Ok(Task::Close) => return self.close(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if self.unsynced_since.is_some_and(|since| since.elapsed() >= HEAD_SYNC_EVERY) {
                self.sync_head()?;
            }
        }
    }

    /// Waits for a task, but not longer than HEAD may stay unsynced.
    fn next_task(&self, tasks: &Receiver<Task>) -> Result<Task, RecvTimeoutError> {
        match self.unsynced_since {
            None => tasks.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(since) => tasks.recv_timeout(HEAD_SYNC_EVERY.saturating_sub(since.elapsed())),
        }
    }

    fn store(&mut self, submission: Submission) -> Result<Seq, AppendError> {
        let Submission { records, commits, end } = submission;
        let mut bytes = 0;
        for commit in &commits {
            bytes += commit.pages.iter().map(|page| page.bytes.len()).sum::<usize>();
            bytes += commit.pack.as_ref().map_or(0, |pack| pack.bytes.len());
            self.active.active(|segment| append(segment, commit))?;
        }
        let last = Seq(end.next.0 - 1);
        if let Some(page) = commits.last().and_then(|commit| commit.pages.last()) {
            self.end = end;
            self.head = Head { last, last_page: page.first, hash: page.hash, segment: self.active.first, ..self.head };
            self.write_head()?;
            self.shared.publish(records, bytes, last);
        }
        Ok(last)
    }

    fn write_head(&mut self) -> Result<(), AppendError> {
        self.head.file_bytes =
            self.active.active(Segment::file_bytes).map_err(|error| failed("measure a segment", error))?;
        self.head_file.write(&self.head).map_err(|error| failed("write HEAD", error))?;
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn sync_head(&mut self) -> Result<(), AppendError> {
        self.active.active(Segment::check_blobs).map_err(|error| segment_failed("check a segment", error))?;
        self.head_file.sync().map_err(|error| failed("sync HEAD", error))?;
        self.unsynced_since = None;
        Ok(())
    }

    /// Begins a new segment if the active one is big enough, and has the old one sealed.
    fn roll_if_full(&mut self) -> Result<(), AppendError> {
        if self.head.segment != self.active.first || self.head.file_bytes < self.segment_bytes {
            return Ok(());
        }
        self.sync_head()?;
        let first = self.end.next;
        let dir = self.log_dir.join(name_of(first));
        let segment = create(&dir, self.cache_bytes).map_err(|error| segment_failed("begin a segment", error))?;
        let next = self.shared.segments.push_open(first, &dir, segment);
        let sealable = Sealable { start: self.active_start, end: self.end, last_page: self.head.last_page };
        self.sealer.seal(std::mem::replace(&mut self.active, next), sealable);
        self.active_start = self.end;
        Ok(())
    }

    fn close(&mut self) -> Result<(), AppendError> {
        self.sealer.finish();
        self.active.active(Segment::check_blobs).map_err(|error| segment_failed("check a segment", error))?;
        self.shared.segments.close();
        self.head.clean = true;
        self.head_file.write(&self.head).map_err(|error| failed("write HEAD", error))?;
        self.head_file.sync().map_err(|error| failed("sync HEAD", error))
    }
}

/// Makes a new segment with a place for its payloads.
pub fn create(dir: &std::path::Path, cache_bytes: u64) -> Result<Segment, SegmentError> {
    let segment = Segment::create(dir, cache_bytes)?;
    segment.payloads().prepare()?;
    Ok(segment)
}

fn append(segment: &Segment, commit: &Commit) -> Result<(), AppendError> {
    if let Some(pack) = &commit.pack {
        segment.payloads().store(pack).map_err(|error| failed("write a payload file", error))?;
    }
    segment.append(&commit.pages).map_err(|error| segment_failed("append to a segment", error))
}

fn failed(step: &'static str, error: std::io::Error) -> AppendError {
    segment_failed(step, SegmentError::Io(error))
}

fn segment_failed(step: &'static str, error: SegmentError) -> AppendError {
    match error {
        SegmentError::Io(error) if crate::storage::disk::is_full(&error) => AppendError::StorageFull(error),
        error if error.is_full() => {
            AppendError::StorageFull(std::io::Error::new(std::io::ErrorKind::StorageFull, error))
        }
        error => AppendError::Failed { step, source: error.into() },
    }
}
