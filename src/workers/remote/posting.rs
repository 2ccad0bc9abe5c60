//! One job that a remote worker holds: what its run has said, and what it has to be told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::domain::time::Millis;
use crate::sessions::frames::{CancelReason, ErrorFrame, FrameError, JobFrame, LeaseRef, ServerFrame};
use crate::workers::remote::outbox::Outbox;

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// The lease is gone.
    pub is_over: bool,
    /// The program may say more.
    pub has_room: bool,
    /// When a program that was told to stop, and did not, is killed.
    pub must_end_by: Option<Instant>,
}

/// One job.
pub(crate) struct Posting {
    pub lease: LeaseRef,
    pub outbox: Outbox,
    pub is_running: bool,
    pub is_over: bool,
    pub stopped: Option<CancelReason>,
    pub notices: Vec<ServerFrame>,
    pub news: Arc<Notify>,
    /// The same job again, while its earlier run is not dead yet.
    pub next: Option<Box<JobFrame>>,
    must_end_by: Option<Instant>,
    status: watch::Sender<Status>,
}

impl Posting {
    /// A job that runs.
    pub fn new(lease: LeaseRef) -> (Posting, watch::Receiver<Status>) {
        let (status, seen) = watch::channel(Status { is_over: false, has_room: true, must_end_by: None });
        let posting = Posting {
            lease,
            outbox: Outbox::default(),
            is_running: true,
            is_over: false,
            stopped: None,
            notices: Vec::new(),
            news: Arc::new(Notify::new()),
            next: None,
            must_end_by: None,
            status,
        };
        (posting, seen)
    }

    /// Tells the run something.
    pub fn tell(&mut self, frame: ServerFrame) {
        if self.is_running {
            self.notices.push(frame);
            self.news.notify_one();
        }
    }

    /// The run shall stop within its grace. Once.
    pub fn stop(&mut self, reason: CancelReason, grace: Millis) {
        if self.is_running && self.stopped.is_none() {
            self.stopped = Some(reason);
            self.must_end_by = Some(Instant::now() + Duration::from_millis(grace.0));
            self.tell(ServerFrame::Cancel { job_id: self.lease.job_id, reason, grace_s: grace.as_secs() });
        }
    }

    /// The lease is gone.
    pub fn lose(&mut self) {
        self.is_over = true;
        self.outbox.clear();
        self.tell(ServerFrame::Lost { job_id: self.lease.job_id });
    }

    /// The connection was cut while a child was on its way: whether it was taken, nobody can tell.
    pub fn answer_doubtful(&mut self, reference: Option<Arc<str>>) {
        let detail = "the connection to the server was cut before it answered, so that it is not known whether it has \
                      taken this child; with a unique_key it would have been submitted again";
        let error = ErrorFrame {
            job_id: Some(self.lease.job_id),
            reference,
            ..FrameError::new("connection_lost", detail).into()
        };
        let line = error.log_line();
        self.outbox.push(crate::sessions::calls::Call::Log(vec![line]), true);
        self.tell(ServerFrame::Error(error));
    }

    /// Shows the run how it stands.
    pub fn publish(&self, is_cut: bool) {
        let has_room = self.is_over || self.outbox.has_room(is_cut);
        let status = Status { is_over: self.is_over, has_room, must_end_by: self.must_end_by };
        self.status.send_if_modified(|before| std::mem::replace(before, status) != status);
    }
}
