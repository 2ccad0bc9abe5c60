//! Mode `command`: a slot of the server that takes one job after the other and runs a child for each. What a run is
//! stands in [`crate::workers::run`]; here is the session that it reports to.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::time::Millis;
use crate::engine::{Granted, SubmitError};
use crate::sessions::calls::Call;
use crate::sessions::frames::{CancelReason, JobCall, JobFrame, LeaseRef, ServerFrame};
use crate::sessions::ports::LogLine;
use crate::sessions::{End, Session};
use crate::views::row::WorkerState;
use crate::workers::restart::{Ending, Restarts};
use crate::workers::run::{Run, Started};
use crate::workers::slot::Slot;
use crate::workers::superior::Superior;

/// How long a slot waits before it joins again when the engine had no time for it.
const JOIN_AGAIN: Millis = Millis::from_secs(1);

/// Runs jobs, one child after the other, until the slot shall end.
pub(crate) async fn run_slot(slot: Slot) {
    while !slot.is_over() {
        match slot.join(slot.joining()).await {
            Ok(session) => {
                serve(&slot, &session).await;
                if let Err(error) = session.leave(slot.leaving_cause()).await {
                    tracing::warn!(worker = slot.name(), %error, "a worker did not leave in order");
                }
            }
            Err(SubmitError::Halted { .. } | SubmitError::Stopping) => return,
            Err(error) => {
                tracing::warn!(worker = slot.name(), %error, "a worker could not join; it tries again");
                slot.pause(JOIN_AGAIN).await;
            }
        }
    }
}

/// Takes one job after the other, until the slot shall end or somebody ends its worker.
async fn serve(slot: &Slot, session: &Session) {
    let mut restarts = Restarts::default();
    let bench = slot.bench();
    session.set_slots(1);
    while session.mode() != WorkerState::Terminate {
        let granted = tokio::select! {
            biased;
            () = slot.over() => return,
            granted = session.next_jobs() => granted,
            () = session.news() => {
                session.notices();
                continue;
            }
        };
        let Ok(granted) = granted else { return };
        for grant in granted {
            let superior = Local::new(slot, session, &grant);
            if let Started::No { detail } = Run::new(&bench, &superior, &grant).run().await {
                let wait =
                    restarts.wait_after(Ending::Fault { lived: Millis(0) }, uuid::Uuid::new_v4().as_u64_pair().0);
                slot.note_trouble(detail, restarts.faults(), wait);
                slot.pause(wait).await;
                // Whether the program can be started now only the next job will show.
                slot.trouble_is_over();
            } else {
                restarts = Restarts::default();
            }
        }
    }
}

/// The session of a slot as the one that a run reports to: it holds this one job.
struct Local<'a> {
    slot: &'a Slot,
    session: &'a Session,
    grant: &'a Granted,
    lease: LeaseRef,
    is_draining: AtomicBool,
}

impl<'a> Local<'a> {
    fn new(slot: &'a Slot, session: &'a Session, grant: &'a Granted) -> Local<'a> {
        let lease = LeaseRef { job_id: grant.job, token: grant.token.clone() };
        Local { slot, session, grant, lease, is_draining: AtomicBool::new(false) }
    }
}

impl Superior for Local<'_> {
    async fn job_frame(&self) -> Result<JobFrame, String> {
        self.session.job_frame(self.grant).await.map_err(|error| error.to_string())
    }

    fn holds(&self) -> bool {
        self.session.holds(self.lease.job_id)
    }

    async fn news(&self) {
        tokio::select! {
            () = self.session.news() => {}
            grace = self.slot.drain(), if !self.is_draining.load(Ordering::Relaxed) => {
                self.is_draining.store(true, Ordering::Relaxed);
                self.session.shut_down(grace);
            }
        }
    }

    fn notices(&self) -> Vec<ServerFrame> {
        let mut notices = self.session.notices();
        if notices.contains(&ServerFrame::Terminate) {
            self.session.shut_down(self.slot.spec.run.grace);
            notices.extend(self.session.notices());
        }
        notices
    }

    async fn overdue(&self) {
        self.session.overdue().await;
    }

    fn stop_reason(&self) -> Option<CancelReason> {
        self.session.stop_reason(self.lease.job_id)
    }

    /// What a child says is carried out before more is read.
    async fn room(&self) {}

    async fn receive(&self, calls: Vec<Call>) -> Vec<ServerFrame> {
        let of_job = |call| JobCall { lease: self.lease.clone(), call };
        self.session.receive(calls.into_iter().map(of_job).collect()).await
    }

    async fn note(&self, lines: Vec<LogLine>) {
        self.session.note(self.lease.job_id, lines).await;
    }

    async fn keep_file(&self, name: String, path: PathBuf) -> Result<(), String> {
        let (files, job) = (self.slot.workshop.files.clone(), self.lease.job_id);
        let adopted = tokio::task::spawn_blocking(move || files.adopt(job, &name, &path)).await;
        let adopted = adopted.expect("keeping a file does not panic");
        let info = adopted.map_err(|error| format!("an output file could not be kept: {error}"))?;
        let stored = self.session.store_file(&self.lease, info).await;
        stored.map(drop).map_err(|error| format!("an output file could not be recorded: {error}"))
    }

    async fn end(&self, end: End, _was_started: bool) {
        if let Err(error) = self.session.end_run(&self.lease, end).await {
            tracing::debug!(job = %self.lease.job_id, %error, "the end of a run changed nothing");
        }
    }

    fn let_go(&self) {
        self.session.let_go(self.lease.job_id);
    }
}
