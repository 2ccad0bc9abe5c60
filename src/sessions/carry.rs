//! Carries out what workers say of their jobs: each call becomes a command, and its outcome an answer. The same for
//! every transport.

use std::sync::Arc;

use futures::future::join_all;

use crate::domain::batch::{ItemReport, NewItem};
use crate::domain::command::{Answer, Command, LeaseProof, Lose, Submit};
use crate::domain::event::{LossCause, QueuedCause};
use crate::domain::id::JobId;
use crate::domain::job::{FileInfo, JobError};
use crate::domain::json::Json;
use crate::domain::refusal::Refusal;
use crate::engine::{Receipt, SubmitError};
use crate::kinds::request::parse_job;
use crate::sessions::bursts::{Burst, gather};
use crate::sessions::calls::{Call, ProgressCall, merge_progress, too_large_result};
use crate::sessions::frames::{ErrorFrame, FrameError, JobCall, LeaseRef, ServerFrame};
use crate::sessions::ports::LogLine;
use crate::sessions::session::Session;

/// A request for a child that is larger than this is understood on a thread of its own.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// How a worker ends a run.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Complete(Option<Json>),
    Fail(JobError),
    Release(QueuedCause),
    /// The worker went away without a word.
    Lost(LossCause),
}

impl Session {
    /// Carries out what a worker said of its jobs, those of one job in order. Answers come only for what needs one.
    pub async fn receive(&self, calls: Vec<JobCall>) -> Vec<ServerFrame> {
        let answers = join_all(gather(calls).into_iter().map(|burst| self.carry_out(burst))).await;
        answers.into_iter().flatten().collect()
    }

    /// Ends a run. What its worker left in the job's log is durable before (the end is the job's last event). A result
    /// that is too large to be kept fails the attempt: dropped in silence it would be missed, and refused it would leave
    /// the job with a worker that believes it is done.
    pub async fn end_run(&self, lease: &LeaseRef, end: End) -> Result<Receipt, SubmitError> {
        let proof = proof(lease);
        let was_held = self.desk.lock().holdings.is_ending(lease.job_id, &lease.token);
        let end = self.keep_within_limits(lease.job_id, was_held, end).await;
        self.sync_logs(lease.job_id).await;
        let command = match end {
            End::Complete(result) => Command::Complete { proof, result },
            End::Fail(error) => Command::Fail { proof, error },
            End::Release(cause) => Command::Release { proof, cause },
            End::Lost(cause) => Command::Lose(Lose { job: lease.job_id, session: self.id(), cause }),
        };
        let answer = self.ask(command).await;
        if was_held {
            self.after_end(lease.job_id, &answer);
        }
        answer
    }

    async fn keep_within_limits(&self, job: JobId, is_held: bool, end: End) -> End {
        let End::Complete(Some(result)) = end else { return end };
        let Some(error) = too_large_result(result.as_str().len()) else { return End::Complete(Some(result)) };
        if is_held {
            self.note(job, vec![LogLine::system(&error.message)]).await;
        }
        End::Fail(error)
    }

    /// Records a file that a run left, after it was stored.
    pub async fn store_file(&self, lease: &LeaseRef, file: FileInfo) -> Result<Receipt, SubmitError> {
        self.ask(Command::StoreFile { proof: proof(lease), file }).await
    }

    /// Adds lines to the log of a job that is held, without asking whether its lease still holds.
    pub async fn note(&self, job: JobId, lines: Vec<LogLine>) {
        if let Err(error) = self.append(job, lines).await {
            tracing::warn!(%job, %error, "log lines were not kept");
        }
    }

    fn after_end(&self, job: JobId, answer: &Result<Receipt, SubmitError>) {
        match answer {
            Ok(_) | Err(SubmitError::Refused(_)) => {
                self.note_ended_run();
                self.let_go(job);
            }
            Err(
                SubmitError::Overloaded
                | SubmitError::StorageLow { .. }
                | SubmitError::Halted { .. }
                | SubmitError::Unreadable { .. }
                | SubmitError::Stopping,
            ) => {
                self.desk.lock().holdings.is_held_on(job);
                self.look_at(job);
            }
        }
    }

    async fn carry_out(&self, burst: Burst) -> Vec<ServerFrame> {
        let mut answers = Vec::new();
        for call in burst.calls {
            match self.make_call(&burst.lease, call).await {
                Ok(answer) => answers.extend(answer),
                Err(error) => {
                    answers.push(ServerFrame::Error(ErrorFrame { job_id: Some(burst.lease.job_id), ..error }))
                }
            }
        }
        answers
    }

    async fn make_call(&self, lease: &LeaseRef, call: Call) -> Result<Option<ServerFrame>, ErrorFrame> {
        let ended = match call {
            Call::Progress(progress) => return self.progress(lease, progress).await,
            Call::Log(lines) => return self.log(lease, lines).await,
            Call::Checkpoint(data) => self.ask(Command::Checkpoint { proof: proof(lease), data }).await,
            Call::Items(reports) => return self.report(lease, reports).await,
            Call::AddItems(items) => self.add(lease, items).await,
            Call::Submit { reference, request } => return self.submit_child(lease, reference, request).await,
            Call::Complete(result) => {
                let error = result.as_ref().and_then(|result| too_large_result(result.as_str().len()));
                let ended = self.end_run(lease, End::Complete(result)).await;
                // The attempt has failed with it, and the worker is told as well.
                if let (Ok(_), Some(error)) = (&ended, error) {
                    return Err(FrameError::new(error.code, error.message).into());
                }
                ended
            }
            Call::Release => self.end_run(lease, End::Release(QueuedCause::Released)).await,
            Call::Fail(error) => self.end_run(lease, End::Fail(error)).await,
        };
        ended.map(|_| None).map_err(explain)
    }

    async fn progress(&self, lease: &LeaseRef, call: ProgressCall) -> Result<Option<ServerFrame>, ErrorFrame> {
        let ProgressCall { progress: later, preview } = call;
        let (job, token) = (lease.job_id, &lease.token);
        let (progress, is_live) = {
            let mut desk = self.desk.lock();
            let whole = desk.holdings.progressed(job, token, |progress| merge_progress(progress, later));
            (whole, desk.holdings.is_live(job, token))
        };
        // The picture is there before anybody hears of it.
        if let Some(preview) = preview.filter(|_| is_live) {
            self.sessions.previews.put(job, preview);
        }
        self.ask(Command::Progress { proof: proof(lease), progress }).await.map(|_| None).map_err(explain)
    }

    async fn log(&self, lease: &LeaseRef, lines: Vec<LogLine>) -> Result<Option<ServerFrame>, ErrorFrame> {
        let is_live = self.desk.lock().holdings.is_live(lease.job_id, &lease.token);
        if !is_live {
            self.ask(Command::CheckLease { proof: proof(lease) }).await.map_err(explain)?;
        }
        let appended = self.append(lease.job_id, lines).await;
        appended.map(|()| None).map_err(|error| FrameError::new("log_not_kept", error.to_string()).into())
    }

    async fn add(&self, lease: &LeaseRef, items: Vec<NewItem>) -> Result<Receipt, SubmitError> {
        self.ask(Command::AddItems { proof: proof(lease), items }).await
    }

    /// One bad report among many must not take the others with it.
    async fn report(&self, lease: &LeaseRef, mut reports: Vec<ItemReport>) -> Result<Option<ServerFrame>, ErrorFrame> {
        let proof = proof(lease);
        let attempt = self.desk.lock().holdings.attempt(lease.job_id, &lease.token).unwrap_or(0);
        reports.iter_mut().filter_map(|report| report.error.as_mut()).for_each(|error| error.attempt = attempt);
        let one_by_one = reports.clone();
        match self.ask(Command::ReportItems { proof, reports }).await {
            Err(SubmitError::Refused(Refusal::UnknownItem { .. })) if one_by_one.len() > 1 => {
                let commands = one_by_one
                    .into_iter()
                    .map(|report| self.ask(Command::ReportItems { proof, reports: vec![report] }));
                let answers = join_all(commands).await;
                answers.into_iter().collect::<Result<Vec<_>, _>>().map(|_| None).map_err(explain)
            }
            answer => answer.map(|_| None).map_err(explain),
        }
    }

    async fn submit_child(
        &self,
        lease: &LeaseRef,
        reference: Option<Arc<str>>,
        request: Json,
    ) -> Result<Option<ServerFrame>, ErrorFrame> {
        let with_reference = |error: ErrorFrame| ErrorFrame { reference: reference.clone(), ..error };
        let catalog = self.sessions.parts.catalog.borrow().clone();
        let understood = if request.as_str().len() <= INLINE_BYTES_MAX {
            parse_job(request.as_str(), &catalog)
        } else {
            let parse = move || parse_job(request.as_str(), &catalog);
            tokio::task::spawn_blocking(parse).await.expect("understanding a request does not panic")
        };
        let job = understood.map_err(|error| {
            let frame = FrameError::new(error.code(), error.to_string());
            with_reference(FrameError { errors: error.into_problems(), ..frame }.into())
        })?;
        let command = Submit { jobs: vec![job], idempotency: None, parent: Some(proof(lease)) };
        let receipt = self.ask(Command::Submit(command)).await.map_err(|error| with_reference(explain(error)))?;
        let Answer::Submitted { jobs, .. } = receipt.answer else { unreachable!("a submission answers with its jobs") };
        Ok(Some(ServerFrame::Submitted { reference, id: jobs[0] }))
    }

    async fn append(&self, job: JobId, lines: Vec<LogLine>) -> std::io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let (logs, at) = (self.sessions.parts.logs.clone(), self.sessions.parts.clock.now());
        let append = move || logs.append(job, at, &lines);
        tokio::task::spawn_blocking(append).await.expect("adding log lines does not panic")
    }

    pub(crate) async fn sync_logs(&self, job: JobId) {
        let logs = self.sessions.parts.logs.clone();
        let synced = tokio::task::spawn_blocking(move || logs.sync(job)).await.expect("a sync does not panic");
        if let Err(error) = synced {
            // The job's end counts more than its last lines.
            tracing::warn!(%job, %error, "the log lines of a job that ends may not be durable");
        }
    }
}

fn proof(lease: &LeaseRef) -> LeaseProof {
    LeaseProof { job: lease.job_id, token: lease.token.hash() }
}

/// What a worker is told when its call was not carried out.
fn explain(error: SubmitError) -> ErrorFrame {
    let code = match &error {
        SubmitError::Refused(refusal) => refusal.code(),
        SubmitError::Overloaded => "overloaded",
        SubmitError::StorageLow { .. } => "storage_low",
        SubmitError::Halted { .. } => "storage_failed",
        SubmitError::Unreadable { .. } => "views_unreadable",
        SubmitError::Stopping => "shutting_down",
    };
    FrameError::new(code, error.to_string()).into()
}
