//! The event log on sled: the writing half. Encodes and inserts in the caller's thread, so that the next submission is
//! ready in sled's buffer while the one before is being synced by the writer's thread.
//!
//! It rolls to a new segment between submissions, never inside one: a torn group is always in the last segment.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::base::LogTrimmer;
use crate::log::chain::ChainEnd;
use crate::log::commit::{Commit, commits_of};
use crate::log::{AppendError, EventLog, LogReader};
use crate::storage::reader::Shared;
use crate::storage::segment::Segment;
use crate::storage::segments::Slot;
use crate::storage::sync;
use crate::storage::trimmer::Trimmer;
use crate::storage::writer::{LastPage, Stored, Submission, Task, Writer, failed, segment_failed};

/// How many submissions may be in flight: one is being synced, one waits in sled's buffer.
const IN_FLIGHT_MAX: usize = 2;

/// The log of a data directory.
pub struct SledLog {
    shared: Arc<Shared>,
    /// The segment that takes the pages.
    active: Arc<Slot>,
    /// The length of its file from which on another one begins.
    segment_bytes: u64,
    end: ChainEnd,
    in_flight: usize,
    failed: bool,
    tasks: Option<SyncSender<Task>>,
    trimmer: Arc<Trimmer>,
    answers: Receiver<Result<Stored, AppendError>>,
    thread: Option<JoinHandle<()>>,
}

impl SledLog {
    /// Starts the writer's thread.
    pub fn start(writer: Writer, segment_bytes: u64) -> std::io::Result<SledLog> {
        let (tasks, incoming) = sync_channel(IN_FLIGHT_MAX);
        // Room for one more than there are submissions: the error that ends the thread must never wait.
        let (outgoing, answers) = sync_channel(IN_FLIGHT_MAX + 1);
        let (shared, active, end) = (writer.shared.clone(), writer.active.clone(), writer.end);
        let trimmer = Arc::new(Trimmer {
            shared: shared.clone(),
            log_dir: writer.log_dir.clone(),
            lineage: end.lineage,
            way: Arc::new(Mutex::new(Some(tasks.clone()))),
            at_work: Mutex::default(),
        });
        let thread =
            std::thread::Builder::new().name("log-writer".into()).spawn(move || writer.run(&incoming, &outgoing))?;
        let (tasks, thread) = (Some(tasks), Some(thread));
        Ok(SledLog { shared, active, segment_bytes, end, in_flight: 0, failed: false, tasks, trimmer, answers, thread })
    }

    fn send(&self, task: Task) {
        let _ = self.tasks.as_ref().expect("the way to the writer is open until the log is closed").send(task);
    }

    /// Encodes records and puts them into sled's buffer: they are not durable before the writer has flushed it. None if
    /// the writer has ended.
    fn insert(&mut self, records: Arc<[Record]>) -> Result<Option<Submission>, AppendError> {
        let commits = commits_of(&records, &mut self.end)
            .map_err(|error| AppendError::Failed { step: "encode an event", source: error.into() })?;
        let Some(slot) = self.slot_for(records[0].seq)? else { return Ok(None) };
        let syncs_before = sync::count();
        slot.active(|segment| commits.iter().try_for_each(|commit| insert(segment, commit)))?;
        let bytes = commits.iter().map(bytes_of).sum();
        let page = commits.last().and_then(|commit| commit.pages.last()).expect("a submission has a page");
        let last_page = LastPage { first: page.first, hash: page.hash };
        Ok(Some(Submission { records, bytes, last_page, end: self.end, syncs_before }))
    }

    /// The segment that takes a submission; a new one if the active one is big enough. All that is in flight has to be
    /// durable before it may begin: no segment follows a torn group.
    fn slot_for(&mut self, first: Seq) -> Result<Option<Arc<Slot>>, AppendError> {
        let file_bytes = self.active.active(Segment::file_bytes).map_err(|error| failed("measure a segment", error))?;
        if self.active.first != first && file_bytes >= self.segment_bytes && !self.begin_segment(first) {
            return Ok(None);
        }
        Ok(Some(self.active.clone()))
    }

    /// Whether the writer could do it: if not, it has ended.
    fn begin_segment(&mut self, first: Seq) -> bool {
        let (begun, new) = sync_channel(1);
        self.send(Task::Roll { first, begun });
        let Ok(slot) = new.recv() else { return false };
        self.active = slot;
        true
    }

    fn halted(&mut self, error: AppendError) -> AppendError {
        self.failed = true;
        self.in_flight = 0;
        error
    }
}

impl EventLog for SledLog {
    fn last(&self) -> Seq {
        self.shared.last()
    }

    fn submit(&mut self, records: Arc<[Record]>) -> Result<(), AppendError> {
        if self.failed {
            return Err(AppendError::Halted);
        }
        assert!(self.in_flight < IN_FLIGHT_MAX, "at most {IN_FLIGHT_MAX} submissions are in flight");
        check_group(&records, self.end.next);
        let inserted = self.insert(records).map_err(|error| {
            self.send(Task::GiveUp);
            self.halted(error)
        })?;
        self.in_flight += 1;
        // When the writer has ended already, its error waits among the answers.
        if let Some(submission) = inserted {
            self.send(Task::Store(submission));
        }
        Ok(())
    }

    fn committed(&mut self) -> Result<Seq, AppendError> {
        if self.failed {
            return Err(AppendError::Halted);
        }
        if self.in_flight == 0 {
            return match self.answers.try_recv() {
                Ok(Err(error)) => Err(self.halted(error)),
                _ => Ok(self.last()),
            };
        }
        match self.answers.recv() {
            Ok(Ok(stored)) => {
                self.in_flight -= 1;
                Ok(stored.last)
            }
            Ok(Err(error)) => Err(self.halted(error)),
            Err(_) => Err(self.halted(AppendError::Halted)),
        }
    }

    fn in_flight_max(&self) -> usize {
        IN_FLIGHT_MAX
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.shared.clone()
    }

    fn roll(&mut self) -> Result<Seq, AppendError> {
        assert_eq!(self.in_flight, 0, "nothing is in flight");
        if self.failed {
            return Err(AppendError::Halted);
        }
        let first = self.end.next;
        if self.active.first == first || self.begin_segment(first) {
            return Ok(first);
        }
        match self.answers.recv() {
            Ok(Err(error)) => Err(self.halted(error)),
            _ => Err(self.halted(AppendError::Halted)),
        }
    }

    fn trimmer(&self) -> Arc<dyn LogTrimmer> {
        self.trimmer.clone()
    }

    fn close(mut self: Box<Self>) -> Result<(), AppendError> {
        while self.in_flight > 0 && !self.failed {
            self.committed()?;
        }
        self.send(Task::Close);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(!matches!(ended, Some(Err(_))), "the log's writer does not panic");
        match self.answers.try_recv() {
            Ok(Err(error)) => Err(error),
            _ if self.failed => Err(AppendError::Halted),
            _ => Ok(()),
        }
    }
}

impl Drop for SledLog {
    /// Without [`EventLog::close`] the end is not in order, but the files are let go of.
    fn drop(&mut self) {
        self.trimmer.way.lock().take();
        drop(self.tasks.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.segments.close();
    }
}

/// The payloads are durable before the first page that names them is.
fn insert(segment: &Segment, commit: &Commit) -> Result<(), AppendError> {
    if let Some(pack) = &commit.pack {
        segment.payloads().store(pack).map_err(|error| failed("write a payload file", error))?;
    }
    segment.insert(&commit.pages).map_err(|error| segment_failed("append to a segment", error))
}

fn bytes_of(commit: &Commit) -> usize {
    let pages: usize = commit.pages.iter().map(|page| page.bytes.len()).sum();
    pages + commit.pack.as_ref().map_or(0, |pack| pack.bytes.len())
}

/// The promises of the caller (L2): a bug of ours if one is broken.
fn check_group(records: &[Record], next: Seq) {
    let last = records.last().expect("a submission has at least one record");
    assert!(!last.continues, "a submission ends with the end of a group");
    for (record, seq) in records.iter().zip(next.0..) {
        assert!(record.seq.0 == seq, "record {} follows {} (L2)", record.seq, seq - 1);
    }
    for pair in records.windows(2) {
        assert!(pair[0].at <= pair[1].at, "`at` of record {} goes back (L2)", pair[1].seq);
    }
}
