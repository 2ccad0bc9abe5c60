//! The event log on sled: the writing half. Encodes in the caller's thread, so that the next submission is encoded
//! while the one before is being synced by the writer's thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::chain::ChainEnd;
use crate::log::commit::commits_of;
use crate::log::{AppendError, EventLog, LogReader};
use crate::storage::reader::Shared;
use crate::storage::writer::{Submission, Task, Writer};

/// How many submissions may be in flight: one is being synced, one waits encoded.
const IN_FLIGHT_MAX: usize = 2;

/// The log of a data directory.
pub struct SledLog {
    shared: Arc<Shared>,
    end: ChainEnd,
    in_flight: usize,
    failed: bool,
    tasks: Option<SyncSender<Task>>,
    answers: Receiver<Result<Seq, AppendError>>,
    thread: Option<JoinHandle<()>>,
}

impl SledLog {
    /// Starts the writer's thread.
    pub fn start(writer: Writer) -> std::io::Result<SledLog> {
        let (tasks, incoming) = sync_channel(IN_FLIGHT_MAX);
        // Room for one more than there are submissions: the error that ends the thread must never wait.
        let (outgoing, answers) = sync_channel(IN_FLIGHT_MAX + 1);
        let (shared, end) = (writer.shared.clone(), writer.end);
        let thread =
            std::thread::Builder::new().name("log-writer".into()).spawn(move || writer.run(&incoming, &outgoing))?;
        let (tasks, thread) = (Some(tasks), Some(thread));
        Ok(SledLog { shared, end, in_flight: 0, failed: false, tasks, answers, thread })
    }

    fn send(&self, task: Task) {
        let _ = self.tasks.as_ref().expect("the way to the writer is open until the log is closed").send(task);
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
        let commits = commits_of(&records, &mut self.end)
            .map_err(|error| self.halted(AppendError::Failed { step: "encode an event", source: error.into() }))?;
        self.in_flight += 1;
        // When the writer has ended already, its error waits among the answers.
        self.send(Task::Store(Submission { records, commits, end: self.end }));
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
            Ok(Ok(last)) => {
                self.in_flight -= 1;
                Ok(last)
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
        drop(self.tasks.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.segments.close();
    }
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
