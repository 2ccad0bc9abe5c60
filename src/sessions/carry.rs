//! Carries out what workers say of their jobs: each call becomes a command, and its outcome an answer. The same for
//! every transport.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use crate::domain::command::{Answer, Command, LeaseProof, Lose, Submit};
use crate::domain::event::{LateCall, LossCause, QueuedCause};
use crate::domain::id::JobId;
use crate::domain::job::{FileInfo, JobError};
use crate::domain::json::Json;
use crate::engine::{Receipt, SubmitError};
use crate::kinds::request::parse_job;
use crate::sessions::bursts::{Burst, gather};
use crate::sessions::calls::{Call, ProgressCall, merge_progress, too_large_result};
use crate::sessions::frames::{ErrorFrame, FrameError, JobCall, LeaseRef, ServerFrame};
use crate::sessions::ports::LogLine;
use crate::sessions::secrets::{Secrets, hide};
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
    ///
    /// Runs that end together are ended together, when everything else that was said of them is done: their ends reach
    /// the core as one batch and share a commit, instead of waiting for each other.
    pub async fn receive(&self, calls: Vec<JobCall>) -> Vec<ServerFrame> {
        let (mut talk, mut ends, mut late) = (Vec::new(), Vec::new(), Vec::new());
        for Burst { lease, calls, end, late: after } in gather(calls) {
            ends.extend(end.and_then(End::of).map(|end| (lease.clone(), end)));
            late.push((lease.clone(), after));
            talk.push((lease, calls));
        }
        let mut answers = self.carry_out(talk).await;
        self.note_errors(&answers).await;
        let leases: Vec<LeaseRef> = ends.iter().map(|(lease, _)| lease.clone()).collect();
        let too_large: Vec<Option<JobError>> = ends.iter().map(|(_, end)| end.too_large()).collect();
        let ended = self.end_runs(ends).await;
        for ((lease, ended), too_large) in leases.iter().zip(ended).zip(too_large) {
            // An attempt that failed with its result: the worker is told as well.
            let error = match ended {
                Err(error) => Some(explain(error)),
                Ok(_) => too_large.map(|error| FrameError::new(error.code, error.message).into()),
            };
            answers.extend(error.map(|error| about(lease, error)));
        }
        answers.extend(self.carry_out(late).await);
        answers
    }

    /// Ends a run. What its worker left in the job's log is durable before (the end is the job's last event). A result
    /// that is too large to be kept fails the attempt: dropped in silence it would be missed, and refused it would leave
    /// the job with a worker that believes it is done.
    pub async fn end_run(&self, lease: &LeaseRef, end: End) -> Result<Receipt, SubmitError> {
        let mut ended = self.end_runs(vec![(lease.clone(), end)]).await;
        ended.pop().expect("each end has its answer")
    }

    async fn end_runs(&self, ends: Vec<(LeaseRef, End)>) -> Vec<Result<Receipt, SubmitError>> {
        if ends.is_empty() {
            return Vec::new();
        }
        let leases: Vec<LeaseRef> = ends.iter().map(|(lease, _)| lease.clone()).collect();
        let were_held: Vec<bool> = {
            let mut desk = self.desk.lock();
            ends.iter().map(|(lease, _)| desk.holdings.is_ending(lease.job_id, &lease.token)).collect()
        };
        let (secrets, mut commands) = (self.secrets(), Vec::with_capacity(ends.len()));
        for ((lease, mut end), &was_held) in ends.into_iter().zip(&were_held) {
            end.hide(&secrets);
            let end = self.keep_within_limits(lease.job_id, was_held, end).await;
            commands.push(self.ending(&lease, end));
        }
        self.sync_logs(leases.iter().map(|lease| lease.job_id).collect()).await;
        // The worker has room from now on: its next jobs start in the commit that ends these.
        self.make_room();
        let answers = join_all(commands.into_iter().map(|command| self.ask(command))).await;
        for ((lease, was_held), answer) in leases.iter().zip(were_held).zip(&answers) {
            if was_held {
                self.after_end(lease, answer);
            }
        }
        answers
    }

    fn ending(&self, lease: &LeaseRef, end: End) -> Command {
        let proof = proof(lease);
        match end {
            End::Complete(result) => Command::Complete { proof, result },
            End::Fail(error) => Command::Fail { proof, error },
            End::Release(cause) => Command::Release { proof, cause },
            End::Lost(cause) => Command::Lose(Lose { job: lease.job_id, session: self.id(), cause }),
        }
    }

    async fn keep_within_limits(&self, job: JobId, is_held: bool, end: End) -> End {
        let Some(error) = end.too_large() else { return end };
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

    /// What is wrong with what a worker says of a job that it holds stands in the job's log too: few programs tell what
    /// they were answered.
    pub(crate) async fn note_errors(&self, answers: &[ServerFrame]) {
        let mut lines: BTreeMap<JobId, Vec<LogLine>> = BTreeMap::new();
        for answer in answers {
            if let ServerFrame::Error(error) = answer
                && let Some(job) = error.job_id.filter(|&job| self.holds(job))
            {
                lines.entry(job).or_default().push(error.log_line());
            }
        }
        for (job, lines) in lines {
            self.note(job, lines).await;
        }
    }

    fn after_end(&self, lease: &LeaseRef, answer: &Result<Receipt, SubmitError>) {
        match answer {
            Ok(_) | Err(SubmitError::Refused(_)) => {
                self.note_ended_run();
                self.let_go_of(lease);
            }
            Err(
                SubmitError::Overloaded
                | SubmitError::StorageLow { .. }
                | SubmitError::Halted { .. }
                | SubmitError::Unreadable { .. }
                | SubmitError::Stopping,
            ) => {
                self.hold_on(lease);
                self.look_at(lease.job_id);
            }
        }
    }

    /// Carries out calls that end nothing, those of each lease in order and different leases side by side.
    async fn carry_out(&self, leases: Vec<(LeaseRef, Vec<Call>)>) -> Vec<ServerFrame> {
        let of_one = |(lease, calls): (LeaseRef, Vec<Call>)| async move {
            let mut answers = Vec::new();
            for call in calls {
                answers.extend(self.make_call(&lease, call).await);
            }
            answers
        };
        join_all(leases.into_iter().map(of_one)).await.into_iter().flatten().collect()
    }

    async fn make_call(&self, lease: &LeaseRef, mut call: Call) -> Vec<ServerFrame> {
        self.secrets().take_out_of_call(&mut call);
        let done = match call {
            Call::Items(reports) => return self.report(lease, reports).await,
            Call::AddItems(frames) => return self.add(lease, frames).await,
            Call::Submit { reference, request } => match self.submit_child(lease, reference, request).await {
                Ok(submitted) => return vec![submitted],
                Err(error) => Err(error),
            },
            Call::Progress(progress) => self.progress(lease, progress).await,
            Call::Log(lines) => self.log(lease, lines).await,
            Call::Checkpoint(data) => {
                self.ask(Command::Checkpoint { proof: proof(lease), data }).await.map(drop).map_err(explain)
            }
            Call::Complete(result) => self.end_run(lease, End::Complete(result)).await.map(drop).map_err(explain),
            Call::Release => self.end_run(lease, End::Release(QueuedCause::Released)).await.map(drop).map_err(explain),
            Call::Fail(error) => self.end_run(lease, End::Fail(error)).await.map(drop).map_err(explain),
        };
        done.err().map(|error| about(lease, error)).into_iter().collect()
    }

    async fn progress(&self, lease: &LeaseRef, call: ProgressCall) -> Result<(), ErrorFrame> {
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
        self.ask(Command::Progress { proof: proof(lease), progress }).await.map(drop).map_err(explain)
    }

    async fn log(&self, lease: &LeaseRef, mut lines: Vec<LogLine>) -> Result<(), ErrorFrame> {
        let is_live = self.desk.lock().holdings.is_live(lease.job_id, &lease.token);
        if !is_live {
            for line in &mut lines {
                if let Some(text) = hide(&line.text, |word| word == lease.token.reveal()) {
                    line.text = text.into();
                }
            }
            self.ask(Command::CheckLease { proof: proof(lease), call: LateCall::Log }).await.map_err(explain)?;
        }
        let appended = self.append(lease.job_id, lines).await;
        appended.map_err(|error| FrameError::new("log_not_kept", error.to_string()).into())
    }

    async fn submit_child(
        &self,
        lease: &LeaseRef,
        reference: Option<Arc<str>>,
        request: Json,
    ) -> Result<ServerFrame, ErrorFrame> {
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
        Ok(ServerFrame::Submitted { reference, id: jobs[0] })
    }

    fn secrets(&self) -> Secrets {
        Secrets::new(self.desk.lock().holdings.tokens())
    }

    async fn append(&self, job: JobId, mut lines: Vec<LogLine>) -> std::io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        for line in &mut lines {
            if let Some(text) = hide(&line.text, |word| self.desk.lock().holdings.has_token(word)) {
                line.text = text.into();
            }
        }
        let (logs, at) = (self.sessions.parts.logs.clone(), self.sessions.parts.clock.now());
        let append = move || logs.append(job, at, &lines);
        tokio::task::spawn_blocking(append).await.expect("adding log lines does not panic")
    }

    /// Makes the log lines of jobs durable.
    pub(crate) async fn sync_logs(&self, jobs: Vec<JobId>) {
        let logs = self.sessions.parts.logs.clone();
        let jobs: Vec<JobId> = jobs.into_iter().filter(|job| logs.needs_sync(*job)).collect();
        if jobs.is_empty() {
            return;
        }
        let sync = move || {
            for job in jobs {
                if let Err(error) = logs.sync(job) {
                    // The job's end counts more than its last lines.
                    tracing::warn!(%job, %error, "the log lines of a job that ends may not be durable");
                }
            }
        };
        tokio::task::spawn_blocking(sync).await.expect("a sync does not panic");
    }
}

impl End {
    fn hide(&mut self, secrets: &Secrets) {
        match self {
            End::Complete(Some(result)) => secrets.take_out_of_json(result),
            End::Fail(error) => secrets.take_out_of_error(error),
            End::Complete(None) | End::Release(_) | End::Lost(_) => {}
        }
    }

    /// Why it is a failure instead, if its result is too large to be kept.
    fn too_large(&self) -> Option<JobError> {
        match self {
            End::Complete(Some(result)) => too_large_result(result.as_str().len()),
            End::Complete(None) | End::Fail(_) | End::Release(_) | End::Lost(_) => None,
        }
    }

    /// How a call ends the run; none if it does not.
    fn of(call: Call) -> Option<End> {
        match call {
            Call::Complete(result) => Some(End::Complete(result)),
            Call::Fail(error) => Some(End::Fail(error)),
            Call::Release => Some(End::Release(QueuedCause::Released)),
            Call::Progress(_) | Call::Log(_) | Call::Checkpoint(_) => None,
            Call::Items(_) | Call::AddItems(_) | Call::Submit { .. } => None,
        }
    }
}

pub(crate) fn proof(lease: &LeaseRef) -> LeaseProof {
    LeaseProof { job: lease.job_id, token: lease.token.hash() }
}

/// An error about a job.
pub(crate) fn about(lease: &LeaseRef, error: ErrorFrame) -> ServerFrame {
    ServerFrame::Error(ErrorFrame { job_id: Some(lease.job_id), ..error })
}

/// What a worker is told when its call was not carried out.
pub(crate) fn explain(error: SubmitError) -> ErrorFrame {
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
