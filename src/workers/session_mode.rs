//! Mode `session`: a child that is started once and speaks the frames of a worker on its pipes, for as many jobs at once
//! as it says it is ready for.
//!
//! What it prints besides frames goes into the log of every job that it holds at that moment, because nobody can tell
//! which of them meant it; while it holds none, into the server's own log. It holds a job until the frame that ends it
//! is read: what it wrote to standard error before that frame still belongs to the job. Whatever the reason: a child
//! that ends while it holds jobs has lost them, unless they were told to stop.
//!
//! A child that lives and is silent is not lost, however long: its process and its pipes are watched, which is more than
//! a beat could say. Against one that hangs there is the job's timeout.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::event::WorkerLeftCause;
use crate::domain::time::Millis;
use crate::sessions::Session;
use crate::sessions::drive::{DriveEnd, Heard, drive, take_in};
use crate::sessions::frames::{CancelReason, Hello};
use crate::sessions::outbox::Outbox;
use crate::sessions::ports::LogLine;
use crate::sessions::session::Joining;
use crate::views::row::WorkerState;
use crate::workers::output::take_hello;
use crate::workers::process::{Exit, Group, StopSignal};
use crate::workers::restart::{Ending, Restarts};
use crate::workers::session_source::{ChildSource, sort, tell_server};
use crate::workers::slot::Slot;
use crate::workers::stdio::{Pipes, Printed, Stdin, write_frames};

/// How long a child may take to introduce itself, as long as a connection has. A program that loads much says hello
/// first, and is ready when it has loaded.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// How much of a child's last line stands in a sentence about it, in bytes.
const LAST_WORDS_BYTES_MAX: usize = 256;
/// How long a child that has closed its pipes may take to end.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Starts a child and starts it again whenever it ends, until the slot shall end.
pub(crate) async fn run_slot(slot: Slot) {
    let mut restarts = Restarts::default();
    while !slot.is_over() {
        let Life { ending, detail } = run_child(&slot).await;
        if slot.is_over() {
            break;
        }
        let wait = restarts.wait_after(ending, uuid::Uuid::new_v4().as_u64_pair().0);
        tracing::warn!(worker = slot.name(), wait_s = wait.as_secs(), "a worker process {detail}; it is started again");
        if restarts.faults() > 0 {
            slot.note_trouble(detail, restarts.faults(), wait);
        }
        slot.pause(wait).await;
    }
    slot.trouble_is_over();
}

/// How the life of a child went.
struct Life {
    ending: Ending,
    /// What happened to it, for people.
    detail: String,
}

/// The life of one child.
async fn run_child(slot: &Slot) -> Life {
    let started = Instant::now();
    let fault = |detail| {
        let lived = Millis(started.elapsed().as_millis() as u64);
        Life { ending: Ending::Fault { lived }, detail }
    };
    let launched = match slot.workshop.launcher.launch(slot.program(Vec::new())).await {
        Ok(launched) => launched,
        Err(error) => return fault(format!("was not started: {error}")),
    };
    let mut group = launched.group;
    let _record = slot.record(group.id()).await;
    let stdin = write_frames(launched.stdin);
    let mut pipes = Pipes::new(launched.stdout, launched.stderr);
    let (hello, heard) = match introduce(slot, &mut group, &mut pipes).await {
        Ok(introduced) => introduced,
        Err(detail) => {
            let exit = group.bury().await;
            return fault(format!("{detail} ({exit})"));
        }
    };
    match attend(slot, group, pipes, stdin, hello, heard).await {
        (true, detail) => Life { ending: Ending::Renewal, detail },
        (false, detail) => fault(detail),
    }
}

/// Waits for the child's `hello`. When it will not come, tells why.
async fn introduce(slot: &Slot, group: &mut Box<dyn Group>, pipes: &mut Pipes) -> Result<(Hello, Vec<Heard>), String> {
    let worker = slot.name();
    let until = Instant::now() + HELLO_WITHIN;
    let mut last_words = None;
    loop {
        let printed = tokio::select! {
            printed = pipes.next(), if !pipes.have_ended() => printed,
            () = group.exited() => {
                let rest = pipes.next_after_end(Instant::now()).await;
                for line in rest.iter().map(Printed::log_line) {
                    tell_server(&worker, &line);
                    last_words = words_of(&line).or(last_words);
                }
                let words = last_words.map(|words| format!(": {words}")).unwrap_or_default();
                return Err(format!("ended before it said hello{words}"));
            }
            () = tokio::time::sleep_until(until) => {
                return Err(format!("said no hello in {} s and was ended", HELLO_WITHIN.as_secs()));
            }
            () = slot.over() => return Err("was not wanted any more".to_owned()),
        };
        let mut heard = Vec::new();
        for one in &printed {
            let (frames, line) = sort(one);
            heard.extend(frames);
            line.iter().for_each(|line| tell_server(&worker, line));
            last_words = line.as_ref().and_then(words_of).or(last_words);
        }
        match take_hello(&mut heard) {
            Some(Ok(hello)) => return Ok((hello, heard)),
            Some(Err(error)) => return Err(format!("spoke before it said hello and was ended: {error}")),
            None => {}
        }
    }
}

/// The words of a line that is not blank, cut to what fits into a sentence.
fn words_of(line: &LogLine) -> Option<String> {
    let text = line.text.trim();
    let end = text.floor_char_boundary(LAST_WORDS_BYTES_MAX);
    (!text.is_empty()).then(|| text[..end].to_owned())
}

/// Joins for the child and stays with it until it has ended. Says whether it ended of its own accord, after work, and
/// how it ended.
async fn attend(
    slot: &Slot,
    group: Box<dyn Group>,
    pipes: Pipes,
    stdin: Stdin,
    hello: Hello,
    heard: Vec<Heard>,
) -> (bool, String) {
    slot.trouble_is_over();
    let joined = slot.join(joining(slot, hello)).await;
    let session = match joined {
        Ok(session) => session,
        Err(error) => {
            group.bury().await;
            return (false, format!("could not join and was ended: {error}"));
        }
    };
    let _ = stdin.outbox.try_send(session.welcome());
    let (ended, ends) = watch::channel(None);
    let mut source = ChildSource::new(pipes, ends, slot.name());
    let mut attending =
        Attending { slot, session: session.clone(), group, is_broken: stdin.is_broken, ended, state: State::default() };
    let end = attending.stay(&mut source, &stdin.outbox, heard).await;
    let exit = attending.group.bury().await;
    let detail = match &end {
        DriveEnd::Silent => format!("ended ({exit})"),
        other => format!("was ended ({exit}): {other}"),
    };
    (leave(slot, &session, exit, &end).await, detail)
}

fn joining(slot: &Slot, hello: Hello) -> Joining {
    let own = slot.joining();
    Joining {
        name: hello.name.unwrap_or(own.name),
        kinds: hello.kinds.filter(|kinds| !kinds.is_empty()).unwrap_or(own.kinds),
        queues: hello.queues,
        place: own.place,
    }
}

/// A child that has joined.
struct Attending<'a> {
    slot: &'a Slot,
    session: Arc<Session>,
    group: Box<dyn Group>,
    is_broken: watch::Receiver<bool>,
    /// Tells the source that the child has ended, and when.
    ended: watch::Sender<Option<Instant>>,
    state: State,
}

/// How far the end of a child has come.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    is_retiring: bool,
    is_draining: bool,
    is_deaf: bool,
    /// When it is killed, if it has not ended by then.
    kill_at: Option<Instant>,
    is_killed: bool,
    has_ended: bool,
}

impl Attending<'_> {
    /// Drives the session until the child has ended and everything that it said is carried out.
    async fn stay(&mut self, source: &mut ChildSource, outbox: &Outbox, heard: Vec<Heard>) -> DriveEnd {
        let session = self.session.clone();
        let driven = async {
            match take_in(&session, heard, outbox).await {
                Ok(()) => drive(&session, source, outbox).await,
                Err(end) => end,
            }
        };
        let mut driven = std::pin::pin!(driven);
        let end = loop {
            tokio::select! {
                end = &mut driven => break end,
                () = self.turn() => {}
            }
        };
        self.stop_within(END_WITHIN);
        while !self.state.has_ended {
            self.turn().await;
        }
        end
    }

    /// One thing that happens to the child beside its talk. It may be dropped and asked again.
    async fn turn(&mut self) {
        let State { is_retiring, is_draining, is_deaf, kill_at, is_killed, has_ended } = self.state;
        let mut is_broken = self.is_broken.clone();
        let deaf = async move { drop(is_broken.wait_for(|broken| *broken).await) };
        tokio::select! {
            () = self.group.exited(), if !has_ended => {
                self.state.has_ended = true;
                self.session.set_mode(WorkerState::Terminate);
                self.ended.send_replace(Some(Instant::now()));
            }
            grace = self.slot.drain(), if !is_draining => {
                self.state.is_draining = true;
                self.session.shut_down(grace);
                self.stop_within(Duration::from_millis(grace.0));
            }
            () = self.slot.retire(), if !is_retiring => {
                self.state.is_retiring = true;
                self.session.set_mode(WorkerState::Quiet);
            }
            () = self.session.emptied(), if is_retiring && kill_at.is_none() => {
                self.session.set_mode(WorkerState::Terminate);
                self.stop_within(Duration::from_millis(self.slot.spec.run.grace.0));
            }
            // It hears of it by a frame, and may take as long as if its jobs were cancelled.
            () = self.session.told_to_go(), if kill_at.is_none() && !has_ended => {
                self.kill_after(Duration::from_millis(self.slot.spec.run.grace.0));
            }
            () = deaf, if !is_deaf => {
                // It may be on its way out, so it is not disturbed at once. Nothing could be said to it any more: neither
                // a job nor that one shall stop.
                self.state.is_deaf = true;
                self.session.set_mode(WorkerState::Quiet);
                self.kill_after(END_WITHIN);
            }
            () = self.session.overdue(), if !is_killed => self.kill(),
            () = tokio::time::sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() && !is_killed => {
                self.kill();
            }
            else => std::future::pending().await,
        }
    }

    /// Asks the child to end, and kills it if it has not ended in time.
    fn stop_within(&mut self, within: Duration) {
        self.group.signal(StopSignal::Terminate);
        self.kill_after(within);
    }

    fn kill_after(&mut self, within: Duration) {
        let kill_at = Instant::now() + within;
        self.state.kill_at = Some(self.state.kill_at.map_or(kill_at, |earlier| earlier.min(kill_at)));
    }

    fn kill(&mut self) {
        self.state.is_killed = true;
        self.group.signal(StopSignal::Kill);
    }
}

/// Ends the session of a child that has ended. Says whether the child had done its work and left of its own accord.
async fn leave(slot: &Slot, session: &Session, exit: Exit, end: &DriveEnd) -> bool {
    let lost = session.live_leases().len();
    let left_well = exit == Exit::Status(0) && session.held_jobs().is_empty();
    let cause = match slot.leaving_cause() {
        WorkerLeftCause::Shutdown => WorkerLeftCause::Shutdown,
        _ if left_well => WorkerLeftCause::Closed,
        _ => WorkerLeftCause::ProcessDied,
    };
    if cause == WorkerLeftCause::ProcessDied {
        tracing::warn!(worker = slot.name(), %exit, lost, "a worker process ended: {end}");
    }
    for job in session.held_jobs() {
        let consequence = consequence(session.stop_reason(job), session.holds(job), cause);
        let text = format!("the worker process ended ({exit}) while it held this job: {consequence}");
        session.note(job, vec![LogLine::system(&text)]).await;
    }
    if let Err(error) = session.leave(cause).await {
        tracing::warn!(worker = slot.name(), %error, "a worker did not leave in order");
    }
    left_well && session.runs_ended() > 0
}

/// What the end of its worker process means for a job that it held.
fn consequence(told: Option<CancelReason>, is_live: bool, cause: WorkerLeftCause) -> &'static str {
    match told {
        Some(CancelReason::Requested) => "it was told to stop, and is cancelled",
        Some(CancelReason::Timeout) => "its time was over, and the attempt had failed",
        Some(CancelReason::Shutdown) => "the server stops, and the job is queued again",
        None if !is_live => "its lease had ended before",
        None if cause == WorkerLeftCause::Shutdown => "the server stops, and the job is queued again",
        None => "the run is lost",
    }
}
