//! Mode `session`: a child that is started once and speaks the frames of a worker on its pipes, for as many jobs at once
//! as it says it is ready for.
//!
//! What it prints besides frames goes into the log of every job that it holds at that moment, because nobody can tell
//! which of them meant it; while it holds none, into the server's own log. Whatever the reason: a child that ends while
//! it holds jobs has lost them, unless the server stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::event::WorkerLeftCause;
use crate::domain::time::Millis;
use crate::sessions::Session;
use crate::sessions::calls::Call;
use crate::sessions::drive::{DriveEnd, Heard, Outbox, Source, drive, take_in};
use crate::sessions::frames::{Hello, JobCall, LeaseRef, WorkerFrame};
use crate::sessions::ports::{LogLine, LogStream};
use crate::sessions::session::Joining;
use crate::views::row::WorkerState;
use crate::workers::output::{SessionLine, sort_session_line, take_hello};
use crate::workers::process::{Exit, Group, StopSignal};
use crate::workers::restart::{Ending, Restarts};
use crate::workers::slot::Slot;
use crate::workers::stdio::{Pipes, Printed, Stdin, write_frames};

/// How long a child may take to introduce itself. Programs that load much before they speak are common, so this is
/// more than the five seconds that a connection has.
const HELLO_WITHIN: Duration = Duration::from_secs(30);
/// How long a child that has closed its pipes may take to end.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Starts a child and starts it again whenever it ends, until the slot shall end.
pub(crate) async fn run_slot(slot: Slot) {
    let mut restarts = Restarts::default();
    while !slot.is_over() {
        let ending = run_child(&slot).await;
        if slot.is_over() {
            return;
        }
        let wait = restarts.wait_after(ending, uuid::Uuid::new_v4().as_u64_pair().0);
        tracing::warn!(worker = slot.name(), wait_s = wait.as_secs(), "a worker process is started again");
        slot.pause(wait).await;
    }
}

/// The life of one child.
async fn run_child(slot: &Slot) -> Ending {
    let started = Instant::now();
    let launched = match slot.workshop.launcher.launch(slot.program(Vec::new())).await {
        Ok(launched) => launched,
        Err(error) => {
            tracing::error!(worker = slot.name(), %error, "a worker process was not started");
            return Ending::Fault { lived: Millis(0) };
        }
    };
    let mut group = launched.group;
    let record = slot.record(group.id()).await;
    let stdin = write_frames(launched.stdin);
    let mut pipes = Pipes::new(launched.stdout, launched.stderr);
    let introduced = introduce(slot, &mut group, &mut pipes).await;
    let renewal = match introduced {
        Some((hello, heard)) => attend(slot, group, pipes, stdin, hello, heard).await,
        None => {
            group.bury().await;
            false
        }
    };
    drop(record);
    let lived = Millis(started.elapsed().as_millis() as u64);
    if renewal { Ending::Renewal } else { Ending::Fault { lived } }
}

/// Waits for the child's `hello`. None when it will not come.
async fn introduce(slot: &Slot, group: &mut Box<dyn Group>, pipes: &mut Pipes) -> Option<(Hello, Vec<Heard>)> {
    let worker = slot.name();
    let until = Instant::now() + HELLO_WITHIN;
    loop {
        let printed = tokio::select! {
            printed = pipes.next(), if !pipes.have_ended() => printed,
            () = group.exited() => {
                let rest = pipes.next_after_end(Instant::now()).await;
                rest.iter().for_each(|one| tell_server(&worker, &one.log_line()));
                tracing::warn!(worker, "a worker process ended before it said hello");
                return None;
            }
            () = tokio::time::sleep_until(until) => {
                tracing::warn!(worker, "a worker process said no hello in {} s: it is ended", HELLO_WITHIN.as_secs());
                return None;
            }
            () = slot.over() => return None,
        };
        let mut heard = Vec::new();
        for one in &printed {
            let (frames, line) = sort(one);
            heard.extend(frames);
            line.iter().for_each(|line| tell_server(&worker, line));
        }
        match take_hello(&mut heard) {
            Some(Ok(hello)) => return Some((hello, heard)),
            Some(Err(error)) => {
                tracing::warn!(worker, %error, "a worker process spoke before it said hello: it is ended");
                return None;
            }
            None => {}
        }
    }
}

/// Joins for the child and stays with it until it has ended. Says whether it ended of its own accord, after work.
async fn attend(
    slot: &Slot,
    group: Box<dyn Group>,
    pipes: Pipes,
    stdin: Stdin,
    hello: Hello,
    heard: Vec<Heard>,
) -> bool {
    let joined = slot.join(joining(slot, hello)).await;
    let session = match joined {
        Ok(session) => session,
        Err(error) => {
            tracing::warn!(worker = slot.name(), %error, "a worker process could not join: it is ended");
            group.bury().await;
            return false;
        }
    };
    let _ = stdin.outbox.try_send(session.welcome());
    let (ended, ends) = watch::channel(None);
    let mut source = ChildSource { pipes, ended: ends, mute_since: None, worker: slot.name() };
    let mut attending =
        Attending { slot, session: session.clone(), group, is_broken: stdin.is_broken, ended, state: State::default() };
    let end = attending.stay(&mut source, &stdin.outbox, heard).await;
    let exit = attending.group.bury().await;
    leave(slot, &session, exit, &end).await
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
            () = deaf, if !is_deaf => {
                self.state.is_deaf = true;
                self.stop_within(END_WITHIN);
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
    let leases = session.live_leases();
    let left_well = exit == Exit::Status(0) && session.held_jobs().is_empty();
    let cause = match slot.leaving_cause() {
        WorkerLeftCause::Shutdown => WorkerLeftCause::Shutdown,
        _ if left_well => WorkerLeftCause::Closed,
        _ => WorkerLeftCause::ProcessDied,
    };
    if cause == WorkerLeftCause::ProcessDied {
        tracing::warn!(worker = slot.name(), %exit, lost = leases.len(), "a worker process ended: {end}");
        for (job, _) in leases {
            let text = format!("the worker process ended ({exit}) while it held this job: the run is lost");
            session.note(job, vec![LogLine::system(&text)]).await;
        }
    }
    if let Err(error) = session.leave(cause).await {
        tracing::warn!(worker = slot.name(), %error, "a worker did not leave in order");
    }
    left_well && session.runs_ended() > 0
}

/// The pipes of a child as a source of frames.
struct ChildSource {
    pipes: Pipes,
    ended: watch::Receiver<Option<Instant>>,
    /// Since when it can say nothing more, because it has closed its standard output.
    mute_since: Option<Instant>,
    worker: String,
}

impl Source for ChildSource {
    async fn next(&mut self, session: &Session) -> Option<Vec<Heard>> {
        let printed = self.printed().await;
        if printed.is_empty() {
            return None;
        }
        let mut heard = Vec::new();
        for one in &printed {
            let (frames, line) = sort(one);
            // The line first: a frame may end the job that it belongs to.
            if let Some(line) = line {
                heard.extend(self.to_every_job(session, line));
            }
            heard.extend(frames);
        }
        Some(heard)
    }
}

impl ChildSource {
    /// The next lines; none when the child has ended or can say nothing more, and nothing more is expected.
    async fn printed(&mut self) -> Vec<Printed> {
        let ended = *self.ended.borrow();
        if let Some(ended) = ended.or(self.mute_since) {
            return self.pipes.next_after_end(ended).await;
        }
        tokio::select! {
            printed = self.pipes.next_while_speaking() => {
                if !printed.is_empty() {
                    return printed;
                }
                // Without frames no job of it could ever end. Its last words may still be on their way in the other pipe.
                self.mute_since = Some(Instant::now());
            }
            _ = self.ended.wait_for(Option::is_some) => {}
        }
        let ended = self.ended.borrow().or(self.mute_since).unwrap_or_else(Instant::now);
        self.pipes.next_after_end(ended).await
    }

    fn to_every_job(&self, session: &Session, line: LogLine) -> Vec<Heard> {
        let leases = session.live_leases();
        if leases.is_empty() {
            tell_server(&self.worker, &line);
        }
        let call = |(job_id, token)| JobCall { lease: LeaseRef { job_id, token }, call: Call::Log(vec![line.clone()]) };
        leases.into_iter().map(|lease| Ok(WorkerFrame::Job(call(lease)))).collect()
    }
}

fn sort(printed: &Printed) -> (Vec<Heard>, Option<LogLine>) {
    if printed.stream != LogStream::Stdout {
        return (Vec::new(), Some(printed.log_line()));
    }
    match sort_session_line(&printed.line) {
        SessionLine::Frames { heard, is_text_too } => (heard, is_text_too.then(|| printed.log_line())),
        SessionLine::Text => (Vec::new(), Some(printed.log_line())),
    }
}

fn tell_server(worker: &str, line: &LogLine) {
    tracing::info!(worker, stream = ?line.stream, "{}", line.text);
}
