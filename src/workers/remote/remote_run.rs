//! The run of a job of a remote server: whom it reports to is the [`Board`], and its output files go over HTTP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::domain::event::LossCause;
use crate::domain::id::{JobId, KindName};
use crate::engine::Granted;
use crate::sessions::End;
use crate::sessions::calls::{Call, too_large_result};
use crate::sessions::frames::{CancelReason, JobFrame, LeaseRef, ServerFrame};
use crate::sessions::ports::LogLine;
use crate::workers::remote::board::{Board, Starting};
use crate::workers::remote::news::{News, Outcome};
use crate::workers::remote::posting::Status;
use crate::workers::remote::upload::{NotKept, Upload, Uploads};
use crate::workers::run::error;
use crate::workers::superior::Superior;

/// One run.
pub(crate) struct RemoteRun {
    board: Arc<Board>,
    uploads: Uploads,
    lease: LeaseRef,
    attempt: u32,
    /// Until it is handed over: args may be large.
    frame: Mutex<Option<JobFrame>>,
    news: Arc<Notify>,
    status: watch::Receiver<Status>,
    begun: Instant,
    outcome: Mutex<Option<(Outcome, Option<String>)>>,
}

const BOARD_LIVES: &str = "a job that runs is on the board";

impl RemoteRun {
    pub fn new(board: Arc<Board>, uploads: Uploads, starting: Starting) -> RemoteRun {
        let Starting { frame, lease, news, status, .. } = starting;
        let (attempt, begun, outcome) = (frame.attempt, Instant::now(), Mutex::default());
        let frame = Mutex::new(Some(frame));
        RemoteRun { board, uploads, lease, attempt, frame, news, status, begun, outcome }
    }

    pub fn grant(&self) -> Granted {
        Granted { job: self.job(), attempt: self.attempt, token: self.lease.token.clone() }
    }

    fn job(&self) -> JobId {
        self.lease.job_id
    }

    /// Waits until the run must not go on: its lease is gone, or its time to stop is over.
    async fn must_end(&self) -> &'static str {
        let mut status = self.status.clone();
        let is_over = async {
            let gone = status.wait_for(|status| status.is_over).await.is_ok();
            if gone { "the lease of the job is lost" } else { BOARD_LIVES }
        };
        tokio::select! {
            why = is_over => why,
            () = self.overdue() => "the job was told to stop before its files were sent",
        }
    }

    /// The last word of a run. A worker at the other end of a line has no word for a loss: a program that died under its
    /// job costs an attempt, so that a job that kills its programs comes to an end; one that this machine could not
    /// start is given back.
    fn last_word(&self, end: End) -> (Call, Outcome, Option<String>) {
        let stopped = self.board.stop_reason(self.job());
        match end {
            End::Complete(Some(result)) => match too_large_result(result.as_str().len()) {
                Some(unfit) => self.last_word(End::Fail(unfit)),
                None => (Call::Complete(Some(result)), Outcome::Completed, None),
            },
            End::Complete(None) => (Call::Complete(None), Outcome::Completed, None),
            End::Fail(failure) if &*failure.code == "output_failed" && stopped == Some(CancelReason::Shutdown) => {
                (Call::Release, Outcome::Released, Some(failure.message.to_string()))
            }
            End::Fail(failure) => {
                let detail = format!("{}: {}", failure.code, failure.message);
                (Call::Fail(failure), Outcome::Failed, Some(detail))
            }
            End::Lost(LossCause::ProcessDied) if stopped.is_none() => {
                let message = "a signal that Daybook did not send ended the process".to_owned();
                self.last_word(End::Fail(error("process_died", message)))
            }
            End::Release(_) | End::Lost(_) => (Call::Release, Outcome::Released, None),
        }
    }
}

/// The kind of a job, as its frame says.
pub(crate) fn kind_of(frame: &JobFrame) -> Option<KindName> {
    #[derive(serde::Deserialize)]
    struct WithKind {
        kind: KindName,
    }
    serde_json::from_str::<WithKind>(frame.job.as_str()).ok().map(|job| job.kind)
}

impl Superior for RemoteRun {
    async fn job_frame(&self) -> Result<JobFrame, String> {
        self.frame.lock().take().ok_or_else(|| "the job was handed over before".to_owned())
    }

    fn holds(&self) -> bool {
        !self.status.borrow().is_over
    }

    async fn news(&self) {
        self.news.notified().await;
    }

    fn notices(&self) -> Vec<ServerFrame> {
        self.board.notices(self.job())
    }

    async fn overdue(&self) {
        let mut status = self.status.clone();
        let by =
            status.wait_for(|status| status.must_end_by.is_some()).await.ok().and_then(|status| status.must_end_by);
        match by {
            // It is set once.
            Some(by) => tokio::time::sleep_until(by.into()).await,
            None => std::future::pending().await,
        }
    }

    fn stop_reason(&self) -> Option<CancelReason> {
        self.board.stop_reason(self.job())
    }

    async fn room(&self) {
        // Without a posting nobody keeps what is said, and there is room for all of it.
        let _ = self.status.clone().wait_for(|status| status.has_room).await;
    }

    async fn receive(&self, calls: Vec<Call>) -> Vec<ServerFrame> {
        self.board.say(self.job(), calls);
        Vec::new()
    }

    async fn note(&self, lines: Vec<LogLine>) {
        self.board.say(self.job(), vec![Call::Log(lines)]);
    }

    async fn keep_file(&self, name: String, path: PathBuf) -> Result<(), String> {
        let shown = name.clone();
        let upload = Upload { job: self.job(), token: self.lease.token.clone(), name, path };
        tokio::select! {
            why = self.must_end() => Err(why.to_owned()),
            sent = self.uploads.send(upload) => sent.map_err(|why| match why {
                NotKept::LeaseLost => {
                    self.board.lose(self.job(), "the server takes no files of it any more");
                    "the lease of the job is lost".to_owned()
                }
                NotKept::Refused(why) => format!("the output file {shown:?} could not be kept: {why}"),
            }),
        }
    }

    async fn end(&self, end: End, was_started: bool) {
        let (call, outcome, detail) = self.last_word(end);
        *self.outcome.lock() = Some((outcome, detail));
        self.board.end(self.job(), call, was_started);
    }

    fn let_go(&self) {
        let said = self.outcome.lock().take().filter(|_| self.holds());
        let (outcome, detail) = said.unwrap_or((Outcome::Lost, None));
        let took_s = (self.begun.elapsed().as_millis() as f64) / 1000.0;
        self.board.teller.tell(News::Ended { job_id: self.job(), outcome, took_s, detail });
        self.board.let_go(self.job());
    }
}
