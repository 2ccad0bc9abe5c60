//! Mode `command`: a child for each job. The job's frame is the first line of its standard input, its exit status is
//! how the attempt ended, its last line, if it is JSON, is the result.
//!
//! A child that was told to stop has completed its job only if it says so with a result; after the server's own stop it
//! has not, because a program that ends in order is no sign that its work is done.

use std::sync::Arc;

use crate::domain::event::{LossCause, QueuedCause};
use crate::domain::job::{FileInfo, JobError};
use crate::domain::json::Json;
use crate::domain::time::Millis;
use crate::engine::{Granted, SubmitError};
use crate::sessions::frames::{CancelReason, JobFrame, LeaseRef, ServerFrame};
use crate::sessions::ports::LogLine;
use crate::sessions::{End, HandoverError, Session};
use crate::views::row::WorkerState;
use crate::workers::files::{Left, OutputDir};
use crate::workers::listener::Listener;
use crate::workers::orphans::RecordedGroup;
use crate::workers::process::{Exit, Group, LaunchError, StopSignal};
use crate::workers::restart::{Ending, Restarts};
use crate::workers::slot::Slot;
use crate::workers::stdio::{Pipes, write_frames};

/// Args up to this size are in the environment too; the kernel takes 128 KiB for one variable.
const ARGS_VARIABLE_BYTES_MAX: usize = 64 * 1024;
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
            let ran = Run::new(slot, session, &grant).run().await;
            if let Started::No { detail } = ran {
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

/// Whether a child was started at all.
enum Started {
    Yes,
    No { detail: String },
}

/// One job and its child.
struct Run<'a> {
    slot: &'a Slot,
    session: &'a Session,
    lease: LeaseRef,
    grant: &'a Granted,
}

/// A child at work.
struct Child<'a> {
    group: Box<dyn Group>,
    pipes: Pipes,
    listener: Listener<'a>,
    output: OutputDir,
    _record: Option<RecordedGroup>,
    /// Why it was told to stop, while it was alive.
    told: Option<CancelReason>,
}

/// Why no child was started.
enum Trouble {
    /// The configuration, or what the job says: seen as a failed attempt.
    Fault { code: &'static str, message: String },
    /// The machine: not the job's fault.
    Machine { message: String },
}

impl<'a> Run<'a> {
    fn new(slot: &'a Slot, session: &'a Session, grant: &'a Granted) -> Run<'a> {
        let lease = LeaseRef { job_id: grant.job, token: grant.token.clone() };
        Run { slot, session, lease, grant }
    }

    /// Runs the job to its end. When this returns nothing of the child is alive.
    async fn run(self) -> Started {
        let (started, end) = match self.start().await {
            Ok(mut child) => {
                self.attend(&mut child).await;
                let end = self.finish(child).await;
                (Started::Yes, end)
            }
            Err(trouble) => {
                let (detail, end) = self.explain(trouble).await;
                (Started::No { detail }, Some(end))
            }
        };
        if let Some(end) = end.filter(|_| self.session.holds(self.grant.job)) {
            let ended = self.session.end_run(&self.lease, end).await;
            if let Err(error) = ended {
                tracing::debug!(job = %self.grant.job, %error, "the end of a run changed nothing");
            }
        }
        self.session.let_go(self.grant.job);
        started
    }

    async fn start(&self) -> Result<Child<'a>, Trouble> {
        let unreadable = |error: HandoverError| Trouble::Fault { code: "job_unreadable", message: error.to_string() };
        let frame = self.session.job_frame(self.grant).await.map_err(unreadable)?;
        let (scratch, job) = (self.slot.workshop.scratch.clone(), self.grant.job);
        let output = tokio::task::spawn_blocking(move || OutputDir::create(&scratch, job)).await;
        let no_output = |error| Trouble::Machine { message: format!("there is no place for output files: {error}") };
        let output = output.expect("making a directory does not panic").map_err(no_output)?;
        let program = self.slot.program(self.variables(&frame, &output));
        let launched = self.slot.workshop.launcher.launch(program).await.map_err(Trouble::of)?;
        let record = self.slot.record(launched.group.id()).await;
        let stdin = write_frames(launched.stdin);
        // The outbox is empty: there is room.
        let _ = stdin.outbox.try_send(ServerFrame::Job(Box::new(frame)));
        Ok(Child {
            group: launched.group,
            pipes: Pipes::new(launched.stdout, launched.stderr),
            listener: Listener::new(self.session, self.lease.clone(), stdin.outbox),
            output,
            _record: record,
            told: None,
        })
    }

    fn variables(&self, frame: &JobFrame, output: &OutputDir) -> Vec<(String, String)> {
        let mut variables = vec![
            ("DAYBOOK_JOB_ID".to_owned(), self.grant.job.to_string()),
            ("DAYBOOK_ATTEMPT".to_owned(), self.grant.attempt.to_string()),
            ("DAYBOOK_LEASE_TOKEN".to_owned(), self.grant.token.reveal().to_owned()),
            ("DAYBOOK_OUTPUT_DIR".to_owned(), output.path().display().to_string()),
        ];
        let args = args_of(frame).filter(|args| args.as_str().len() <= ARGS_VARIABLE_BYTES_MAX);
        variables.extend(args.map(|args| ("DAYBOOK_ARGS".to_owned(), args.as_str().to_owned())));
        variables
    }

    /// Stays with the child until it has ended: hears what it says, and tells it to stop when it shall.
    async fn attend(&self, child: &mut Child<'_>) {
        let mut killed = false;
        let mut draining = false;
        loop {
            tokio::select! {
                biased;
                () = child.group.exited() => break,
                () = self.session.news() => child.heed(self.session, self.slot).await,
                grace = self.slot.drain(), if !draining => {
                    draining = true;
                    self.session.shut_down(grace);
                }
                () = self.session.overdue(), if !killed => {
                    killed = true;
                    child.group.signal(StopSignal::Kill);
                }
                printed = child.pipes.next(), if !child.pipes.have_ended() => child.listener.hear(printed).await,
            }
        }
        let ended = tokio::time::Instant::now();
        loop {
            let printed = child.pipes.next_after_end(ended).await;
            if printed.is_empty() {
                break;
            }
            child.listener.hear(printed).await;
        }
    }

    /// Buries the child and says what became of the job; nothing if that was decided elsewhere.
    async fn finish(&self, child: Child<'_>) -> Option<End> {
        let Child { group, listener, output, told, .. } = child;
        let exit = group.bury().await;
        let last_words = listener.last_words();
        let result = listener.finish(exit == Exit::Status(0)).await;
        if !self.session.holds(self.grant.job) {
            return None;
        }
        let end = match (told, exit) {
            (None, Exit::Status(0)) => self.complete(&output, result).await,
            (Some(CancelReason::Requested), Exit::Status(0)) if !matches!(result, Ok(None)) => {
                self.complete(&output, result).await
            }
            (Some(CancelReason::Shutdown), _) => End::Release(QueuedCause::Shutdown),
            (Some(CancelReason::Requested | CancelReason::Timeout), _) => End::Release(QueuedCause::Released),
            (None, Exit::Status(status)) => End::Fail(failed(status, last_words)),
            (None, Exit::Signal(signal)) => {
                let consequence = match self.session.stop_reason(self.grant.job) {
                    None => ", and Daybook did not send it: the run is lost",
                    Some(_) => " after its job was told to stop",
                };
                let text = format!("signal {signal} ended the process{consequence}");
                self.session.note(self.grant.job, vec![LogLine::system(&text)]).await;
                End::Lost(LossCause::ProcessDied)
            }
        };
        let _ = tokio::task::spawn_blocking(move || drop(output)).await;
        Some(end)
    }

    /// Keeps the files that the child left, and completes.
    async fn complete(&self, output: &OutputDir, result: Result<Option<Json>, JobError>) -> End {
        match (self.keep_files(output).await, result) {
            (Ok(()), Ok(result)) => End::Complete(result),
            (_, Err(unfit)) => {
                self.session.note(self.grant.job, vec![LogLine::system(&unfit.message)]).await;
                End::Fail(unfit)
            }
            (Err(message), Ok(_)) => End::Fail(error("output_failed", message)),
        }
    }

    async fn keep_files(&self, output: &OutputDir) -> Result<(), String> {
        let left = output.list().map_err(|error| format!("the output files could not be listed: {error}"))?;
        if !left.passed_over.is_empty() {
            let lines = left.passed_over.iter().map(|text| LogLine::system(text)).collect();
            self.session.note(self.grant.job, lines).await;
        }
        for info in self.adopt(left).await? {
            let stored = self.session.store_file(&self.lease, info).await;
            stored.map_err(|error| format!("an output file could not be recorded: {error}"))?;
        }
        Ok(())
    }

    async fn adopt(&self, left: Left) -> Result<Vec<FileInfo>, String> {
        let (files, job) = (self.slot.workshop.files.clone(), self.grant.job);
        let adopt = move || left.files.iter().map(|(name, path)| files.adopt(job, name, path)).collect();
        let adopted: std::io::Result<Vec<FileInfo>> =
            tokio::task::spawn_blocking(adopt).await.expect("keeping a file does not panic");
        adopted.map_err(|error| format!("an output file could not be kept: {error}"))
    }

    async fn explain(&self, trouble: Trouble) -> (String, End) {
        let (text, end) = match trouble {
            Trouble::Fault { code, message } => (message.clone(), End::Fail(error(code, message))),
            Trouble::Machine { message } => (message, End::Lost(LossCause::SpawnFailed)),
        };
        tracing::warn!(job = %self.grant.job, kind = %self.slot.spec.kind, "no child was started: {text}");
        self.session.note(self.grant.job, vec![LogLine::system(&format!("no child was started: {text}"))]).await;
        (format!("was not started: {text}"), end)
    }
}

impl Child<'_> {
    /// Tells the child what its session was told.
    async fn heed(&mut self, session: &Session, slot: &Slot) {
        for frame in session.notices() {
            match frame {
                ServerFrame::Cancel { job_id, reason, grace_s } => {
                    self.told = Some(reason);
                    self.group.signal(StopSignal::Terminate);
                    let reason = reason.as_str();
                    let text = format!("told to stop ({reason}); it is killed if it has not ended after {grace_s} s");
                    session.note(job_id, vec![LogLine::system(&text)]).await;
                }
                // The session's grace is over for it at once.
                ServerFrame::Lost { .. } => self.group.signal(StopSignal::Kill),
                ServerFrame::Terminate => session.shut_down(slot.spec.run.grace),
                _ => {}
            }
        }
    }
}

impl Trouble {
    fn of(error: LaunchError) -> Trouble {
        let message = error.to_string();
        if error.is_configuration() {
            Trouble::Fault { code: "spawn_failed", message }
        } else {
            Trouble::Machine { message }
        }
    }
}

fn args_of(frame: &JobFrame) -> Option<Json> {
    #[derive(serde::Deserialize)]
    struct WithArgs {
        args: Json,
    }
    serde_json::from_str::<WithArgs>(frame.job.as_str()).ok().map(|job| job.args)
}

fn failed(status: i32, last_words: Option<Arc<str>>) -> JobError {
    let mut message = format!("the program ended with exit status {status}");
    if let Some(words) = last_words {
        message.push_str(": ");
        message.push_str(&words);
    }
    let details = Json::of(&serde_json::json!({ "exit_status": status }));
    JobError { details: Some(details), ..error("exit_status", message) }
}

fn error(code: &str, message: String) -> JobError {
    JobError { code: code.into(), message: message.into(), details: None, retryable: true, attempt: 0 }
}
