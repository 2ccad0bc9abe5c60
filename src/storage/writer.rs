//! The thread that makes submissions durable, one after the other: sled's buffer, HEAD, and only then the answer.
//!
//! The first error ends it (L3): nothing is retried, what is still on its way is refused, and the ballast is given up
//! so that the next start has room.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::AppendError;
use crate::log::chain::{ChainEnd, PageHash};
use crate::storage::ballast::Ballast;
use crate::storage::cache::Outdated;
use crate::storage::guard::SegmentError;
use crate::storage::head::{Head, HeadFile};
use crate::storage::reader::Shared;
use crate::storage::seal::Sealable;
use crate::storage::sealer::Sealer;
use crate::storage::segment::{Segment, name_of};
use crate::storage::segments::Slot;

/// How long HEAD may stay unsynced after a commit.
pub const HEAD_SYNC_EVERY: Duration = Duration::from_secs(2);

/// Records that are in sled's buffer and wait to be made durable.
pub struct Submission {
    pub records: Arc<[Record]>,
    /// How much they take encoded, with their payloads.
    pub bytes: usize,
    pub last_page: LastPage,
    /// Where the chain ends behind them.
    pub end: ChainEnd,
    /// How many real syncs there had been before they were inserted.
    pub syncs_before: u64,
}

/// The page at the end of a submission.
pub struct LastPage {
    pub first: Seq,
    pub hash: PageHash,
}

/// A submission is durable.
pub struct Stored {
    pub last: Seq,
    /// What readers need no more. To drop that takes a while, and the next submission waits for the writer: the one who
    /// is answered does it.
    pub _outdated: Vec<Outdated>,
}

/// What the writer is asked to do.
pub enum Task {
    /// Make records durable that are in the buffer of the active segment.
    Store(Submission),
    /// Begin a new segment, and say so when it has begun.
    Roll { first: Seq, begun: SyncSender<Arc<Slot>> },
    /// Say durably that the log begins with this event, whose base is there in full.
    Trim { earliest: Seq, done: SyncSender<()> },
    /// End, because an insert failed.
    GiveUp,
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
    /// Whether HEAD says already that the log is open. It does from the first submission on: a start that gives up
    /// before it has left everything as it was.
    pub is_marked: bool,
    pub ballast: Ballast,
    pub sealer: Sealer,
    pub cache_bytes: u64,
    /// When HEAD was written first since it was synced last.
    pub unsynced_since: Option<Instant>,
}

impl Writer {
    /// Works until it is asked to close, or the submitting half is dropped, or something fails.
    pub fn run(mut self, tasks: &Receiver<Task>, answers: &SyncSender<Result<Stored, AppendError>>) {
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
        answers: &SyncSender<Result<Stored, AppendError>>,
    ) -> Result<(), AppendError> {
        loop {
            match self.next_task(tasks) {
                Ok(Task::Store(submission)) => {
                    let stored = self.store(submission)?;
                    // Whoever dropped the log does not want to hear the answer.
                    let _ = answers.send(Ok(stored));
                }
                Ok(Task::Roll { first, begun }) => {
                    let slot = self.roll(first)?;
                    let _ = begun.send(slot);
                }
                Ok(Task::Trim { earliest, done }) => {
                    self.trim(earliest)?;
                    let _ = done.send(());
                }
                Ok(Task::GiveUp) => {
                    // The disk may be full: whether the ballast could be removed changes nothing about the error.
                    let _ = self.ballast.give_up();
                    return Ok(());
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

    /// Makes a submission durable.
    fn store(&mut self, submission: Submission) -> Result<Stored, AppendError> {
        let Submission { records, bytes, last_page, end, syncs_before } = submission;
        self.mark_open()?;
        let flushed = self.active.active(|segment| segment.flush(syncs_before));
        flushed.map_err(|error| segment_failed("append to a segment", error))?;
        let last = Seq(end.next.0 - 1);
        self.end = end;
        let LastPage { first: last_page, hash } = last_page;
        self.head = Head { last, last_page, hash, segment: self.active.first, ..self.head };
        self.write_head()?;
        Ok(Stored { last, _outdated: self.shared.publish(records, bytes, last) })
    }

    /// Begins a new segment, and has the old one sealed.
    fn roll(&mut self, first: Seq) -> Result<Arc<Slot>, AppendError> {
        self.sync_head()?;
        let dir = self.log_dir.join(name_of(first));
        let segment = create(&dir, self.cache_bytes).map_err(|error| segment_failed("begin a segment", error))?;
        let slot = self.shared.segments.push_open(first, &dir, segment);
        let sealable = Sealable { start: self.active_start, end: self.end, last_page: self.head.last_page };
        self.sealer.seal(std::mem::replace(&mut self.active, slot.clone()), sealable);
        self.active_start = self.end;
        Ok(slot)
    }

    /// Both slots of HEAD name the new beginning before anything of the old one goes.
    fn trim(&mut self, earliest: Seq) -> Result<(), AppendError> {
        self.head.earliest = earliest;
        self.is_marked = false;
        self.mark_open()
    }

    /// Writes both slots of HEAD, so that none says any more that the log was closed in order.
    fn mark_open(&mut self) -> Result<(), AppendError> {
        if self.is_marked {
            return Ok(());
        }
        let head = self.head;
        let written = self.head_file.write(&head).and_then(|()| self.head_file.write(&head));
        written.and_then(|()| self.head_file.sync()).map_err(|error| failed("write HEAD", error))?;
        self.is_marked = true;
        Ok(())
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

/// A failed operation on a file.
pub fn failed(step: &'static str, error: std::io::Error) -> AppendError {
    segment_failed(step, SegmentError::Io(error))
}

/// A failed operation on a segment.
pub fn segment_failed(step: &'static str, error: SegmentError) -> AppendError {
    match error {
        SegmentError::Io(error) if crate::storage::disk::is_full(&error) => AppendError::StorageFull(error),
        error if error.is_full() => {
            AppendError::StorageFull(std::io::Error::new(std::io::ErrorKind::StorageFull, error))
        }
        error => AppendError::Failed { step, source: error.into() },
    }
}
