//! Ends what is silent for too long: leases that nobody names, sessions whose worker does not come back, and those of the
//! server before.
//!
//! One task for all of them. It looks at the sessions when the nearest deadline has come, and sleeps until then: a beat
//! only moves a deadline away, so it wakes nobody. Each end is asked of the core and told in one line of the server's
//! log that counts the jobs it touched.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures::future::join_all;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

use crate::domain::command::{Command, Lose};
use crate::domain::event::{Actor, LossCause, WorkerLeftCause};
use crate::domain::id::{JobId, SessionId};
use crate::domain::job::WorkerPlace;
use crate::engine::SubmitError;
use crate::sessions::presence::Terms;
use crate::sessions::registry::Sessions;
use crate::sessions::session::{Desk, Leaving, Session, now};

/// How long after the core could not be asked it is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A look that comes too late by this part of a lease tells that the server itself stood still: stopped, or starved.
const STOOD_STILL_PART: u32 = 4;

/// The nearest moment at which silence may be too long.
#[derive(Default)]
pub(crate) struct Alarm {
    at: Mutex<Option<Instant>>,
    moved: Notify,
}

impl Alarm {
    /// Rings at this moment, or before.
    pub fn set_for(&self, at: Instant) {
        // What was due before it was known does not make the look late.
        let at = at.max(now());
        let mut set = self.at.lock();
        if set.is_none_or(|set| at < set) {
            *set = Some(at);
            self.moved.notify_one();
        }
    }

    /// Waits until it rings, and says by how much that was too late. It is not set then.
    async fn rings(&self) -> Duration {
        loop {
            let at = *self.at.lock();
            let rung = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = rung => {
                    let set_for = self.at.lock().take();
                    return set_for.map_or(Duration::ZERO, |at| now().saturating_duration_since(at));
                }
                () = self.moved.notified() => {}
            }
        }
    }
}

/// Sessions of the server before: their workers may come back and take their leases with them.
#[derive(Default)]
pub(crate) struct Orphans {
    sessions: Vec<SessionId>,
    until: Option<Instant>,
}

/// What silence has brought to its end in one session.
struct Due {
    leave: Option<WorkerLeftCause>,
    expired: Vec<JobId>,
    outstayed: Vec<JobId>,
}

/// Watches until the registry is gone or the server stops: then silence is no sign any more.
pub(crate) async fn watch_silence(sessions: Weak<Sessions>, alarm: Arc<Alarm>, mut parting: watch::Receiver<bool>) {
    loop {
        let late = tokio::select! {
            // A connection that the server's own stop has ended rings at the same moment.
            biased;
            _ = parting.wait_for(|parting| *parting) => return,
            late = alarm.rings() => late,
        };
        let Some(sessions) = sessions.upgrade() else { return };
        if late >= sessions.terms().lease / STOOD_STILL_PART {
            sessions.forgive_silence(late);
        }
        sessions.end_the_silent().await;
    }
}

impl Sessions {
    /// Begins to wait for the workers of sessions that the server before had: for the length of a lease.
    pub fn expect_back(&self, sessions: Vec<SessionId>) {
        if sessions.is_empty() {
            return;
        }
        let until = now() + self.terms().lease;
        *self.orphans.lock() = Orphans { sessions, until: Some(until) };
        self.alarm.set_for(until);
    }

    pub(crate) fn terms(&self) -> Terms {
        let millis = |millis: crate::domain::time::Millis| Duration::from_millis(millis.0);
        Terms { lease: millis(self.parts.settings.lease), grace: millis(self.parts.settings.grace) }
    }

    /// The server stood still, and what its workers said meanwhile may wait to be read: silence counts from now on.
    fn forgive_silence(&self, late: Duration) {
        let now = now();
        let stood_still_s = late.as_secs_f64();
        tracing::warn!(stood_still_s, "the server stood still: no worker is given up for what was not heard meanwhile");
        let all: Vec<Arc<Session>> = self.live.lock().values().cloned().collect();
        for session in all.iter().filter(|session| session.is_elsewhere()) {
            let mut desk = session.desk.lock();
            desk.presence.count_from(now);
            desk.holdings.renew_all(now);
        }
        let mut orphans = self.orphans.lock();
        orphans.until = orphans.until.map(|_| now + self.terms().lease);
    }

    async fn end_the_silent(&self) {
        let (terms, now) = (self.terms(), now());
        let all: Vec<Arc<Session>> = self.live.lock().values().cloned().collect();
        let remote = all.iter().filter(|session| session.is_elsewhere());
        let due = remote.clone().filter_map(|session| session.due(terms, now).map(|due| session.end(due)));
        let went_well = join_all(due).await.into_iter().all(|ended| ended);
        let orphans_went = self.end_orphans(now).await;
        for session in remote {
            session.set_alarm(&session.desk.lock());
        }
        if !(went_well && orphans_went) {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// Ends the sessions of the server before whose workers have taken everything with them.
    pub(crate) async fn part_with_emptied_orphans(&self) {
        let holds_nothing = |session: &SessionId| self.orphan_jobs(*session) == 0;
        let empty: Vec<SessionId> = {
            let mut orphans = self.orphans.lock();
            let (empty, rest) = std::mem::take(&mut orphans.sessions).into_iter().partition(holds_nothing);
            orphans.sessions = rest;
            empty
        };
        self.end_former(empty).await;
    }

    async fn end_orphans(&self, now: Instant) -> bool {
        let over: Vec<SessionId> = {
            let mut orphans = self.orphans.lock();
            match orphans.until {
                Some(until) if until <= now => {
                    orphans.until = None;
                    std::mem::take(&mut orphans.sessions)
                }
                Some(until) => {
                    self.alarm.set_for(until);
                    return true;
                }
                None => return true,
            }
        };
        let jobs: usize = over.iter().map(|&session| self.orphan_jobs(session)).sum();
        if jobs > 0 {
            let workers = over.len();
            tracing::warn!(
                workers,
                jobs,
                "workers of the server before did not come back: their jobs are queued again"
            );
        }
        self.end_former(over).await
    }

    async fn end_former(&self, sessions: Vec<SessionId>) -> bool {
        for (place, &session) in sessions.iter().enumerate() {
            let leave = Command::LeaveWorker { session, cause: WorkerLeftCause::ServerRestarted };
            match self.parts.engine.submit(leave, Actor::SERVER).await {
                Ok(_) | Err(SubmitError::Refused(_)) => {}
                Err(_) => {
                    let mut orphans = self.orphans.lock();
                    orphans.sessions.extend(&sessions[place..]);
                    let again = now() + AGAIN_AFTER;
                    orphans.until = Some(orphans.until.map_or(again, |until| until.min(again)));
                    self.alarm.set_for(again);
                    return false;
                }
            }
        }
        true
    }

    fn orphan_jobs(&self, session: SessionId) -> usize {
        self.parts.engine.views().worker(session).map_or(0, |row| row.jobs.len())
    }
}

impl Session {
    /// Whether its worker is no child process of the server.
    pub fn is_elsewhere(&self) -> bool {
        self.place() == WorkerPlace::Remote
    }

    /// Sees to it that silence is noticed in time.
    pub(crate) fn set_alarm(&self, desk: &MutexGuard<'_, Desk>) {
        let terms = self.sessions.terms();
        if !self.is_elsewhere() || desk.leaving != Leaving::No {
            return;
        }
        let ends_at = desk.presence.ends_at(terms).map(|(at, _)| at);
        let falls_silent_at = desk.presence.falls_silent_at(terms).filter(|_| !desk.is_silent);
        let deadline = desk.holdings.next_deadline(desk.presence.bears_leases_for(terms));
        if let Some(at) = ends_at.into_iter().chain(falls_silent_at).chain(deadline).min() {
            self.sessions.alarm.set_for(at);
        }
    }

    /// What silence has brought to its end, if anything. A session that ends is on its way out from now on: nobody can
    /// resume it.
    fn due(&self, terms: Terms, now: Instant) -> Option<Due> {
        let mut desk = self.desk.lock();
        let leave = match desk.leaving {
            Leaving::No => desk.presence.ends_at(terms).filter(|(at, _)| *at <= now).map(|(_, cause)| cause),
            Leaving::Again(cause) => Some(cause),
            Leaving::Yes => return None,
        };
        if leave.is_some() {
            desk.leaving = Leaving::Yes;
            return Some(Due { leave, expired: Vec::new(), outstayed: Vec::new() });
        }
        if desk.presence.falls_silent_at(terms).is_some_and(|at| at <= now) {
            self.begin_silence(&mut desk);
        }
        let expired = desk.holdings.expired(desk.presence.bears_leases_for(terms), now);
        let outstayed = desk.holdings.outstayed(now);
        (!expired.is_empty() || !outstayed.is_empty()).then_some(Due { leave, expired, outstayed })
    }

    /// Carries out what is due. Says whether the core could be asked.
    async fn end(&self, due: Due) -> bool {
        due.outstayed.into_iter().for_each(|job| self.let_go(job));
        let Some(cause) = due.leave else {
            return self.lose(due.expired, LossCause::LeaseExpired).await.is_ok();
        };
        let jobs = self.live_leases().len();
        let left = self.leave(cause).await;
        if left.is_ok() {
            self.warn(cause_of(cause), jobs);
        }
        left.is_ok() || matches!(left, Err(SubmitError::Refused(_)))
    }

    /// Ends leases without a word of the worker, and tells of it in one line.
    pub(crate) async fn lose(&self, jobs: Vec<JobId>, cause: LossCause) -> Result<(), SubmitError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let count = jobs.len();
        self.sync_logs(jobs.clone()).await;
        let asked = jobs.iter().map(|&job| self.ask(Command::Lose(Lose { job, session: self.id(), cause })));
        let answers = join_all(asked).await;
        // The answer came after the views: whatever becomes of the job is known there.
        jobs.into_iter().for_each(|job| self.look_at(job));
        answers.into_iter().try_for_each(|answer| answer.map(drop))?;
        self.warn(cause_of_loss(cause), count);
        Ok(())
    }

    fn warn(&self, cause: &str, jobs: usize) {
        let (session, worker) = (self.id(), &*self.joining.name);
        tracing::warn!(%session, worker, jobs, cause, "a worker was lost: its jobs are queued again");
    }
}

fn cause_of(cause: WorkerLeftCause) -> &'static str {
    match cause {
        WorkerLeftCause::Closed => "closed",
        WorkerLeftCause::ConnectionLost => "connection_lost",
        WorkerLeftCause::LeaseExpired => "lease_expired",
        WorkerLeftCause::ProcessDied => "process_died",
        WorkerLeftCause::Shutdown => "shutdown",
        WorkerLeftCause::ServerRestarted => "server_restarted",
    }
}

fn cause_of_loss(cause: LossCause) -> &'static str {
    match cause {
        LossCause::ConnectionLost => "connection_lost",
        LossCause::LeaseExpired => "lease_expired",
        LossCause::ProcessDied => "process_died",
        LossCause::ServerRestarted => "server_restarted",
        LossCause::SpawnFailed => "spawn_failed",
    }
}
