//! One worker's session: how many jobs it wants, which it holds, and what its worker has to be told. The transports
//! call it; it asks the engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::domain::command::{Command, JoinWorker};
use crate::domain::event::{Actor, WorkerLeftCause};
use crate::domain::id::{JobId, KindName, LeaseToken, QueueName, Seq, SessionId};
use crate::domain::job::{Job, WorkerPlace};
use crate::domain::time::{Millis, Timestamp};
use crate::engine::{Granted, Receipt, SubmitError};
use crate::sessions::frames::{CancelReason, LeaseRef, ServerFrame};
use crate::sessions::holdings::{Holdings, Notice};
use crate::sessions::presence::Presence;
use crate::sessions::registry::Sessions;
use crate::views::row::WorkerState;

/// How long a call waits for an engine that has too much to do, before its worker is told so.
const PATIENCE: Duration = Duration::from_secs(30);
const ASK_AGAIN_MIN: Duration = Duration::from_millis(10);
const ASK_AGAIN_MAX: Duration = Duration::from_millis(500);
/// How long after its end was not taken a session is ended again.
const LEAVE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A worker that wants to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joining {
    pub name: Arc<str>,
    /// Empty: every kind.
    pub kinds: Vec<KindName>,
    /// None: every queue.
    pub queues: Option<Vec<QueueName>>,
    pub place: WorkerPlace,
}

/// A live session.
pub struct Session {
    pub(crate) sessions: Arc<Sessions>,
    id: SessionId,
    pub(crate) joining: Joining,
    /// Who asks the core.
    actor: Actor,
    pub(crate) desk: Mutex<Desk>,
    status: watch::Sender<Status>,
    pub(crate) news: Notify,
    /// Held by whoever talks with the worker: one connection, or one claim, at a time.
    pub(crate) line: Arc<tokio::sync::Mutex<()>>,
    /// The number of the latest connection: the one before hears that it is replaced.
    pub(crate) connection: watch::Sender<u64>,
}

/// What waiters wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Status {
    /// How many more jobs it wants now.
    free: usize,
    /// How many jobs it holds.
    held: usize,
    /// When a worker that was told to stop, and did not, may be ended.
    must_end_by: Option<Instant>,
    /// Whether it shall go.
    goes: bool,
}

/// What changes while a session lives.
pub(crate) struct Desk {
    pub(crate) holdings: Holdings,
    pub(crate) presence: Presence,
    pub(crate) leaving: Leaving,
    /// Whether nothing was heard of a standing connection for a lease: until something is, nothing is granted.
    pub(crate) is_silent: bool,
    slots: usize,
    mode: WorkerState,
    pub(crate) told_mode: WorkerState,
    runs_ended: u64,
    heard_at: Timestamp,
}

/// Whether a session is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    No,
    /// Its end is on its way to the core, or its beginning is: nobody may speak for it.
    Yes,
    /// The core did not take its end, for this cause: it is to be asked again.
    Again(WorkerLeftCause),
}

/// The present moment, by the clock that the timers go by.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

const ALIVE: &str = "the sender lives in the session";

impl Session {
    /// A session that is known to nobody yet.
    pub(crate) fn new(sessions: &Arc<Sessions>, joining: Joining, presence: Presence) -> Session {
        let id = SessionId(uuid::Uuid::now_v7());
        Session::with(sessions, id, Actor::worker(id), joining, presence)
    }

    pub(crate) fn with(
        sessions: &Arc<Sessions>,
        id: SessionId,
        actor: Actor,
        joining: Joining,
        presence: Presence,
    ) -> Session {
        let desk = Desk {
            holdings: Holdings::new(id, matches!(presence, Presence::Calls { .. })),
            presence,
            leaving: Leaving::Yes,
            is_silent: false,
            slots: 0,
            mode: WorkerState::Run,
            told_mode: WorkerState::Run,
            runs_ended: 0,
            heard_at: sessions.now(),
        };
        Session {
            sessions: sessions.clone(),
            id,
            joining,
            actor,
            desk: Mutex::new(desk),
            status: watch::Sender::new(Status::default()),
            news: Notify::new(),
            line: Arc::default(),
            connection: watch::Sender::new(0),
        }
    }

    /// Lets the log know of it.
    pub(crate) async fn join(&self) -> Result<(), SubmitError> {
        let Joining { name, kinds, queues, place } = self.joining.clone();
        self.ask(Command::JoinWorker(JoinWorker { session: self.id, name, kinds, queues, place })).await.map(drop)
    }

    /// Its id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Where its worker lives.
    pub fn place(&self) -> WorkerPlace {
        self.joining.place
    }

    /// The answer to `hello`.
    pub fn welcome(&self) -> ServerFrame {
        let settings = self.sessions.parts.settings;
        ServerFrame::Welcome {
            session: self.id,
            epoch: self.sessions.parts.epoch,
            lease_s: settings.lease.as_secs(),
            ping_s: settings.ping.as_secs(),
        }
    }

    /// Something was heard of the worker.
    pub fn beat(&self) {
        let (parts, now) = (&self.sessions.parts, now());
        let mut desk = self.desk.lock();
        desk.presence.heard(now);
        if desk.presence.renews_all() {
            desk.holdings.renew_all(now);
        }
        if desk.is_silent {
            self.end_silence(&mut desk);
            self.set_alarm(&desk);
        }
        desk.heard_at = parts.clock.now();
        parts.engine.views().note_beat(self.id, desk.heard_at, desk.mode);
    }

    /// The worker wants to hold this many jobs at once.
    pub fn set_slots(&self, slots: usize) {
        let mut desk = self.desk.lock();
        desk.slots = slots;
        self.publish(&desk);
    }

    /// Lets the worker run, rest or go. One that was told to go goes.
    pub fn set_mode(&self, mode: WorkerState) {
        let mut desk = self.desk.lock();
        if desk.mode != WorkerState::Terminate {
            desk.mode = mode;
        }
        self.publish(&desk);
        self.news.notify_one();
        self.sessions.parts.engine.views().note_beat(self.id, desk.heard_at, desk.mode);
    }

    /// What the worker may do.
    pub fn mode(&self) -> WorkerState {
        self.desk.lock().mode
    }

    /// Waits until there are jobs for the worker and it has room for them, and takes them over: it holds them now.
    /// Dropping the future is safe at any moment. Ends with an error when there will never be any.
    pub async fn next_jobs(&self) -> Result<Vec<Granted>, SubmitError> {
        self.next_jobs_up_to(usize::MAX).await
    }

    /// The same, at most so many.
    pub(crate) async fn next_jobs_up_to(&self, max: usize) -> Result<Vec<Granted>, SubmitError> {
        let mut status = self.status.subscribe();
        loop {
            let free = status.wait_for(|status| status.free > 0).await.expect(ALIVE).free;
            let wanted = free.min(max);
            tokio::select! {
                biased;
                // More room waits for the next claim, so that this one keeps its turn.
                less = status.wait_for(|status| status.free < wanted) => drop(less.expect(ALIVE)),
                grants = self.sessions.parts.engine.claim(self.id, wanted) => {
                    let granted = grants?.take();
                    self.hold(&granted);
                    return Ok(granted);
                }
            }
        }
    }

    /// Waits until the worker has to be told something; then ask [`Session::notices`]. For one waiter.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// What the worker has to be told, each once.
    pub fn notices(&self) -> Vec<ServerFrame> {
        let mut desk = self.desk.lock();
        let mut frames = Vec::new();
        if desk.told_mode != desk.mode {
            desk.told_mode = desk.mode;
            frames.extend(match desk.mode {
                WorkerState::Run => None,
                WorkerState::Quiet => Some(ServerFrame::Quiet),
                WorkerState::Terminate => Some(ServerFrame::Terminate),
            });
        }
        let notices = desk.holdings.take_notices();
        self.set_alarm(&desk);
        frames.extend(notices.into_iter().map(|(job_id, notice)| match notice {
            Notice::Cancel { reason, grace } => ServerFrame::Cancel { job_id, reason, grace_s: grace.as_secs() },
            Notice::Lost => ServerFrame::Lost { job_id },
        }));
        frames
    }

    /// Waits until a worker that was told to stop has not let go in time, so that it may be ended.
    pub async fn overdue(&self) {
        let mut status = self.status.subscribe();
        loop {
            let by = status.wait_for(|status| status.must_end_by.is_some()).await.expect(ALIVE).must_end_by;
            let Some(by) = by else { continue };
            tokio::select! {
                () = tokio::time::sleep_until(by.into()) => return,
                changed = status.wait_for(|status| status.must_end_by != Some(by)) => drop(changed.expect(ALIVE)),
            }
        }
    }

    /// Waits until the worker holds no job.
    pub async fn emptied(&self) {
        self.status.subscribe().wait_for(|status| status.held == 0).await.expect(ALIVE);
    }

    /// Waits until the worker shall go.
    pub async fn told_to_go(&self) {
        self.status.subscribe().wait_for(|status| status.goes).await.expect(ALIVE);
    }

    /// How many runs the worker has brought to their end.
    pub fn runs_ended(&self) -> u64 {
        self.desk.lock().runs_ended
    }

    /// Why a held job was told to stop, if it was.
    pub fn stop_reason(&self, job: JobId) -> Option<CancelReason> {
        self.desk.lock().holdings.is_told_to_stop(job)
    }

    /// The jobs that the worker holds.
    pub fn held_jobs(&self) -> Vec<JobId> {
        self.desk.lock().holdings.jobs().collect()
    }

    /// The jobs whose leases it holds, with their tokens.
    pub fn live_leases(&self) -> Vec<(JobId, LeaseToken)> {
        self.desk.lock().holdings.live().map(|(job, token)| (job, token.clone())).collect()
    }

    /// Whether the lease of a job still holds, as far as is known here.
    pub fn holds(&self, job: JobId) -> bool {
        self.desk.lock().holdings.live().any(|(held, _)| held == job)
    }

    /// The server stops, or the worker is to be replaced: no more jobs, and those that it holds shall stop.
    pub fn shut_down(&self, grace: Millis) {
        let mut desk = self.desk.lock();
        desk.mode = WorkerState::Terminate;
        desk.told_mode = WorkerState::Terminate;
        desk.holdings.shut_down(grace, now());
        self.publish(&desk);
        self.news.notify_one();
    }

    /// The worker has let go of a job: nothing of its run goes on. It may be granted again.
    pub fn let_go(&self, job: JobId) {
        self.let_go_if(job, |_| true);
    }

    /// The same, of one run: the job may have been granted to the same worker again.
    pub(crate) fn let_go_of(&self, lease: &LeaseRef) {
        self.let_go_if(lease.job_id, |holdings| holdings.attempt(lease.job_id, &lease.token).is_some());
    }

    /// The end of a run is on its way to the core: whoever waits for room need not wait for the answer.
    pub(crate) fn make_room(&self) {
        self.publish(&self.desk.lock());
    }

    /// The end of a run did not reach the core: the job is held as before.
    pub(crate) fn hold_on(&self, lease: &LeaseRef) {
        let mut desk = self.desk.lock();
        desk.holdings.is_held_on(lease.job_id, &lease.token);
        self.publish(&desk);
    }

    fn let_go_if(&self, job: JobId, is_meant: impl FnOnce(&Holdings) -> bool) {
        let mut desk = self.desk.lock();
        if !is_meant(&desk.holdings) || !desk.holdings.remove(job) {
            return;
        }
        self.publish(&desk);
        self.sessions.forget_holder(job, self.id);
        if self.place() == WorkerPlace::Subprocess {
            self.sessions.parts.engine.let_go(job);
        }
    }

    /// Ends the session; what it still holds is released or lost, as `cause` says. Nothing of its runs may go on.
    pub async fn leave(&self, cause: WorkerLeftCause) -> Result<(), SubmitError> {
        self.desk.lock().leaving = Leaving::Yes;
        self.set_slots(0);
        self.sync_logs(self.live_leases().into_iter().map(|(job, _)| job).collect()).await;
        let result = self.ask(Command::LeaveWorker { session: self.id, cause }).await;
        if result.as_ref().is_err_and(|error| !matches!(error, SubmitError::Refused(_))) && self.is_elsewhere() {
            // Until it is known to have left, its leases hold: whoever watches for the silent tries again.
            self.desk.lock().leaving = Leaving::Again(cause);
            self.sessions.alarm.set_for(now() + LEAVE_AGAIN_AFTER);
            return result.map(drop);
        }
        self.held_jobs().into_iter().for_each(|job| self.let_go(job));
        self.sessions.forget(self.id);
        result.map(drop)
    }

    /// Asks the core as this worker, with patience for an engine that has too much to do.
    pub(crate) async fn ask(&self, command: Command) -> Result<Receipt, SubmitError> {
        let until = Instant::now() + PATIENCE;
        let mut wait = ASK_AGAIN_MIN;
        loop {
            match self.sessions.parts.engine.submit(command.clone(), self.actor.clone()).await {
                Err(SubmitError::Overloaded) if Instant::now() < until => tokio::time::sleep(wait).await,
                answer => return answer,
            }
            wait = (wait * 2).min(ASK_AGAIN_MAX);
        }
    }

    pub(crate) fn observe(&self, job: &Job) {
        let mut desk = self.desk.lock();
        if desk.holdings.observe(job, now()) {
            self.publish(&desk);
            self.news.notify_one();
            self.set_alarm(&desk);
        }
    }

    /// Compares every held job with what the views show.
    pub(crate) fn look_again(&self) {
        self.held_jobs().into_iter().for_each(|job| self.look_at(job));
    }

    pub(crate) fn look_at(&self, job: JobId) {
        if let Some(job) = self.find(job) {
            self.observe(&job);
        }
    }

    /// A held job as the views show it. That it is not found is no news: the lease itself is guarded by the core.
    fn find(&self, job: JobId) -> Option<Arc<Job>> {
        self.sessions.parts.engine.views().job(job).unwrap_or_else(|error| {
            tracing::warn!(%job, error = &error as &dyn std::error::Error, "a held job could not be looked at");
            None
        })
    }

    pub(crate) fn hold(&self, granted: &[Granted]) {
        for grant in granted {
            let since = self.find(grant.job).map_or(Seq::ZERO, |job| job.seq);
            self.sessions.note_holder(grant.job, self.id);
            let mut desk = self.desk.lock();
            desk.holdings.insert(grant, since, now());
            self.publish(&desk);
            self.set_alarm(&desk);
            drop(desk);
            // A cancel may have been published before anybody knew who holds the job.
            self.look_at(grant.job);
        }
    }

    pub(crate) fn note_ended_run(&self) {
        self.desk.lock().runs_ended += 1;
    }

    /// Nothing was heard of the worker for so long that it is granted nothing more.
    pub(crate) fn begin_silence(&self, desk: &mut Desk) {
        desk.is_silent = true;
        self.publish(desk);
    }

    /// The worker was heard: it may be granted jobs again.
    pub(crate) fn end_silence(&self, desk: &mut Desk) {
        desk.is_silent = false;
        self.publish(desk);
    }

    fn publish(&self, desk: &Desk) {
        let held = desk.holdings.len();
        let free = match desk.mode {
            WorkerState::Run if desk.is_silent => 0,
            WorkerState::Run => desk.slots.saturating_sub(desk.holdings.occupied()),
            WorkerState::Quiet | WorkerState::Terminate => 0,
        };
        let goes = desk.mode == WorkerState::Terminate;
        let status = Status { free, held, must_end_by: desk.holdings.must_end_by(), goes };
        self.status.send_if_modified(|published| std::mem::replace(published, status) != status);
    }
}
