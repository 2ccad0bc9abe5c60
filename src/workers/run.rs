//! Runs a program for one job, as mode `command` says: the job's frame is the first line of its standard input, its
//! exit status is how the attempt ended, its last line, if it is JSON, is the result.
//!
//! A child that was told to stop has completed its job only if it says so with a result; after a stop of its own house
//! it has not, because a program that ends in order is no sign that its work is done. Whom it reports to is behind
//! [`Superior`]: what is said here holds for the server's own children and for those of `daybook work` alike.

use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::event::{LossCause, QueuedCause};
use crate::domain::id::KindName;
use crate::domain::job::JobError;
use crate::domain::json::Json;
use crate::engine::Granted;
use crate::sessions::End;
use crate::sessions::frames::{CancelReason, JobFrame, ServerFrame};
use crate::sessions::ports::LogLine;
use crate::workers::files::{Left, OutputDir};
use crate::workers::listener::Listener;
use crate::workers::orphans::{LiveGroups, RecordedGroup};
use crate::workers::process::{Exit, Group, LaunchError, Launcher, Program, StopSignal};
use crate::workers::stdio::{Pipes, write_frames};
use crate::workers::superior::Superior;

/// Args up to this size are in the environment too; the kernel takes 128 KiB for one variable.
const ARGS_VARIABLE_BYTES_MAX: usize = 64 * 1024;

/// What a run is started with.
pub(crate) struct Bench {
    pub launcher: Arc<dyn Launcher>,
    pub groups: LiveGroups,
    /// The directory for what runs leave.
    pub scratch: PathBuf,
    pub kind: KindName,
    /// The program with the part of its environment that is the same for each job.
    pub program: Program,
}

/// Whether a child was started at all.
pub(crate) enum Started {
    Yes,
    No { detail: String },
}

/// One job and its child.
pub(crate) struct Run<'a, S> {
    bench: &'a Bench,
    superior: &'a S,
    grant: &'a Granted,
}

/// A child at work.
struct Child<'a, S> {
    group: Box<dyn Group>,
    pipes: Pipes,
    listener: Listener<'a, S>,
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

impl<'a, S: Superior> Run<'a, S> {
    pub fn new(bench: &'a Bench, superior: &'a S, grant: &'a Granted) -> Run<'a, S> {
        Run { bench, superior, grant }
    }

    /// Runs the job to its end. When this returns nothing of the child is alive.
    pub async fn run(self) -> Started {
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
        if let Some(end) = end.filter(|_| self.superior.holds()) {
            self.superior.end(end, matches!(started, Started::Yes)).await;
        }
        self.superior.let_go();
        started
    }

    async fn start(&self) -> Result<Child<'a, S>, Trouble> {
        let unreadable = |message| Trouble::Fault { code: "job_unreadable", message };
        let frame = self.superior.job_frame().await.map_err(unreadable)?;
        let (scratch, job) = (self.bench.scratch.clone(), self.grant.job);
        let output = tokio::task::spawn_blocking(move || OutputDir::create(&scratch, job)).await;
        let no_output = |error| Trouble::Machine { message: format!("there is no place for output files: {error}") };
        let output = output.expect("making a directory does not panic").map_err(no_output)?;
        let program = self.program(&frame, &output);
        let launched = self.bench.launcher.launch(program).await.map_err(Trouble::of)?;
        let record = self.bench.groups.record_or_warn(launched.group.id(), &self.bench.kind).await;
        let stdin = write_frames(launched.stdin);
        // The outbox is empty: there is room.
        let _ = stdin.outbox.try_send(ServerFrame::Job(Box::new(frame)));
        Ok(Child {
            group: launched.group,
            pipes: Pipes::new(launched.stdout, launched.stderr),
            listener: Listener::new(self.superior, stdin.outbox),
            output,
            _record: record,
            told: None,
        })
    }

    fn program(&self, frame: &JobFrame, output: &OutputDir) -> Program {
        let mut program = self.bench.program.clone();
        program.env.extend([
            ("DAYBOOK_JOB_ID".to_owned(), self.grant.job.to_string()),
            ("DAYBOOK_ATTEMPT".to_owned(), self.grant.attempt.to_string()),
            ("DAYBOOK_LEASE_TOKEN".to_owned(), self.grant.token.reveal().to_owned()),
            ("DAYBOOK_OUTPUT_DIR".to_owned(), output.path().display().to_string()),
        ]);
        let args = args_of(frame).filter(|args| args.as_str().len() <= ARGS_VARIABLE_BYTES_MAX);
        program.env.extend(args.map(|args| ("DAYBOOK_ARGS".to_owned(), args.as_str().to_owned())));
        program
    }

    /// Stays with the child until it has ended: hears what it says, and tells it to stop when it shall.
    async fn attend(&self, child: &mut Child<'_, S>) {
        let mut killed = false;
        loop {
            tokio::select! {
                biased;
                () = child.group.exited() => break,
                () = self.superior.news() => child.heed(self.superior).await,
                () = self.superior.overdue(), if !killed => {
                    killed = true;
                    child.group.signal(StopSignal::Kill);
                }
                printed = next_with_room(self.superior, &mut child.pipes), if !child.pipes.have_ended() => {
                    child.listener.hear(printed).await;
                }
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
    async fn finish(&self, child: Child<'_, S>) -> Option<End> {
        let Child { group, listener, output, told, .. } = child;
        let exit = group.bury().await;
        let last_words = listener.last_words();
        let result = listener.finish(exit == Exit::Status(0)).await;
        if !self.superior.holds() {
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
                let consequence = match self.superior.stop_reason() {
                    None => ", and Daybook did not send it: the run is lost",
                    Some(_) => " after its job was told to stop",
                };
                let text = format!("signal {signal} ended the process{consequence}");
                self.superior.note(vec![LogLine::system(&text)]).await;
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
                self.superior.note(vec![LogLine::system(&unfit.message)]).await;
                End::Fail(unfit)
            }
            (Err(message), Ok(_)) => End::Fail(error("output_failed", message)),
        }
    }

    async fn keep_files(&self, output: &OutputDir) -> Result<(), String> {
        let Left { files, passed_over } =
            output.list().map_err(|error| format!("the output files could not be listed: {error}"))?;
        if !passed_over.is_empty() {
            let lines = passed_over.iter().map(|text| LogLine::system(text)).collect();
            self.superior.note(lines).await;
        }
        for (name, path) in files {
            self.superior.keep_file(name, path).await?;
        }
        Ok(())
    }

    async fn explain(&self, trouble: Trouble) -> (String, End) {
        let (text, end) = match trouble {
            Trouble::Fault { code, message } => (message.clone(), End::Fail(error(code, message))),
            Trouble::Machine { message } => (message, End::Lost(LossCause::SpawnFailed)),
        };
        tracing::warn!(job = %self.grant.job, kind = %self.bench.kind, "no child was started: {text}");
        self.superior.note(vec![LogLine::system(&format!("no child was started: {text}"))]).await;
        (format!("was not started: {text}"), end)
    }
}

/// What a child prints next, once there is room for it. Dropping the future loses nothing.
async fn next_with_room<S: Superior>(superior: &S, pipes: &mut Pipes) -> Vec<crate::workers::stdio::Printed> {
    superior.room().await;
    pipes.next().await
}

impl<S: Superior> Child<'_, S> {
    /// Tells the child what it has to know.
    async fn heed(&mut self, superior: &S) {
        for frame in superior.notices() {
            match frame {
                ServerFrame::Cancel { reason, grace_s, .. } => {
                    self.told = Some(reason);
                    self.group.signal(StopSignal::Terminate);
                    let reason = reason.as_str();
                    let text = format!("told to stop ({reason}); it is killed if it has not ended after {grace_s} s");
                    superior.note(vec![LogLine::system(&text)]).await;
                }
                // Its grace is over at once.
                ServerFrame::Lost { .. } => self.group.signal(StopSignal::Kill),
                answer @ (ServerFrame::Submitted { .. } | ServerFrame::Error(_)) => self.listener.answer(vec![answer]),
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

/// The error of an attempt that may be tried again.
pub(crate) fn error(code: &str, message: String) -> JobError {
    JobError { code: code.into(), message: message.into(), details: None, retryable: true, attempt: 0 }
}
