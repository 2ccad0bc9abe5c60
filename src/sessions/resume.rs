//! Workers that come over a connection: how one takes its place in a session, loses its connection, comes back, and
//! takes over what it held before.
//!
//! A session has one connection at a time; the latest wins, because a broken one may look alive for long. What it means
//! that a worker names a lease, or does not name one, is decided here and nowhere else.

use std::sync::Arc;

use tokio::sync::{OwnedMutexGuard, watch};

use crate::domain::command::{Answer, Command};
use crate::domain::event::LossCause;
use crate::domain::id::JobId;
use crate::domain::job::WorkerPlace;
use crate::engine::{Granted, SubmitError};
use crate::sessions::carry::proof;
use crate::sessions::frames::{Hello, LeaseRef, Resume};
use crate::sessions::presence::Presence;
use crate::sessions::registry::Sessions;
use crate::sessions::session::{Joining, Leaving, Session, now};
use crate::views::row::WorkerState;

/// The name of a worker that gave none.
pub const NAMELESS: &str = "worker";

/// A worker that has said hello over a connection.
pub struct Connected {
    pub session: Arc<Session>,
    /// As long as it is there, so is the worker.
    pub attachment: Attachment,
    /// The leases that it named and that do not hold.
    pub lost: Vec<JobId>,
}

/// The place of a connection in its session. Dropped, the worker has a grace to come back.
pub struct Attachment {
    counted: Counted,
    latest: watch::Receiver<u64>,
    _line: OwnedMutexGuard<()>,
}

impl Attachment {
    /// Takes the place of the connection before, and waits until that has let go.
    async fn take(session: &Arc<Session>) -> Attachment {
        let number = {
            let mut desk = session.desk.lock();
            let mut number = 0;
            session.connection.send_modify(|latest| {
                *latest += 1;
                number = *latest;
            });
            desk.presence = Presence::Socket { connection: number, detached_at: None, heard_at: now() };
            session.end_silence(&mut desk);
            session.set_alarm(&desk);
            number
        };
        session.sessions.connections.send_modify(|count| *count += 1);
        // Should the wait be given up, this detaches again.
        let counted = Counted { session: session.clone(), number };
        let line = session.line.clone().lock_owned().await;
        Attachment { counted, latest: session.connection.subscribe(), _line: line }
    }

    /// Waits until another connection has taken the place.
    pub async fn replaced(&mut self) {
        let number = self.counted.number;
        if self.latest.wait_for(|latest| *latest != number).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Counts a connection until it is gone; then its session is detached, unless another has taken its place.
struct Counted {
    session: Arc<Session>,
    number: u64,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut desk = self.session.desk.lock();
        if let Presence::Socket { connection, detached_at, .. } = &mut desk.presence
            && *connection == self.number
        {
            *detached_at = Some(now());
            self.session.set_alarm(&desk);
        }
        self.session.sessions.connections.send_modify(|count| *count -= 1);
    }
}

impl Sessions {
    /// A worker says hello over a connection: it gets a new session, or the one that it had.
    pub async fn connect(self: &Arc<Sessions>, hello: Hello) -> Result<Connected, SubmitError> {
        let Hello { name, kinds, queues, resume } = hello;
        let name = name.unwrap_or_else(|| NAMELESS.into());
        let joining = Joining { name, kinds: kinds.unwrap_or_default(), queues, place: WorkerPlace::Remote };
        if let Some(resume) = &resume
            && let Some(session) = self.resumable(resume, &joining)
        {
            let attachment = Attachment::take(&session).await;
            // It may have ended while the connection before let go.
            if self.get(session.id()).is_some() {
                let lost = session.go_on(&resume.leases).await?;
                return Ok(Connected { session, attachment, lost });
            }
        }
        let session = self.join_as(joining, Presence::socket(now())).await?;
        let attachment = Attachment::take(&session).await;
        let leases = resume.map(|resume| resume.leases).unwrap_or_default();
        let lost = session.adopt(&leases).await?;
        Ok(Connected { session, attachment, lost })
    }

    /// The session that a worker may go on with: it is live, it is of the same worker, and whoever names it knows one of
    /// its secrets, if it has any.
    fn resumable(&self, resume: &Resume, joining: &Joining) -> Option<Arc<Session>> {
        let session = self.get(resume.session).filter(|session| session.joining == *joining)?;
        let desk = session.desk.lock();
        let is_proved = |lease: &LeaseRef| desk.holdings.is_live(lease.job_id, &lease.token);
        let may = desk.holdings.live().next().is_none() || resume.leases.iter().any(is_proved);
        let may = may && matches!(desk.presence, Presence::Socket { .. });
        drop(desk);
        may.then_some(session)
    }

    /// Closes every connection, because the server stops, and waits until they are closed. Nothing is lost by silence any
    /// more: what remote workers hold they go on with after the restart.
    pub async fn part(&self) {
        self.parting.send_replace(true);
        let mut connections = self.connections.subscribe();
        // The registry has the sender.
        let _ = connections.wait_for(|count| *count == 0).await;
    }

    /// Waits until the server stops.
    pub async fn parts_with_workers(&self) {
        let mut parting = self.parting.subscribe();
        if parting.wait_for(|parting| *parting).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Session {
    /// The worker is back and names what it still works on. What it does not name is lost: nobody knows how far that came.
    /// Gives the named leases that do not hold.
    async fn go_on(&self, leases: &[LeaseRef]) -> Result<Vec<JobId>, SubmitError> {
        let unnamed: Vec<JobId> = {
            let mut desk = self.desk.lock();
            desk.holdings.renew_all(now());
            let is_named =
                |job: JobId| leases.iter().any(|lease| lease.job_id == job && desk.holdings.is_live(job, &lease.token));
            desk.holdings.jobs().filter(|&job| !is_named(job)).collect()
        };
        let live = unnamed.iter().copied().filter(|&job| self.holds(job)).collect();
        self.lose(live, LossCause::ConnectionLost).await?;
        unnamed.into_iter().for_each(|job| self.let_go(job));
        let lost = self.adopt(leases).await?;
        let mut desk = self.desk.lock();
        desk.holdings.tell_again(now());
        desk.told_mode = WorkerState::Run;
        self.set_alarm(&desk);
        self.news.notify_one();
        Ok(lost)
    }

    /// Takes over the leases that these tokens prove, whichever session had them. Gives the jobs whose leases do not hold.
    pub(crate) async fn adopt(&self, leases: &[LeaseRef]) -> Result<Vec<JobId>, SubmitError> {
        let is_here = |lease: &LeaseRef| self.desk.lock().holdings.is_live(lease.job_id, &lease.token);
        let foreign: Vec<&LeaseRef> = leases.iter().filter(|lease| !is_here(lease)).collect();
        let views = self.sessions.parts.engine.views();
        let runs = |lease: &LeaseRef| views.job_by_token(lease.token.hash()).is_some_and(|job| job.id == lease.job_id);
        let proofs: Vec<_> = foreign.iter().filter(|lease| runs(lease)).map(|lease| proof(lease)).collect();
        if proofs.is_empty() {
            return Ok(foreign.iter().map(|lease| lease.job_id).collect());
        }
        let receipt = self.ask(Command::Adopt { session: self.id(), proofs }).await?;
        let Answer::Adopted(grants) = receipt.answer else { unreachable!("an adoption answers with leases") };
        let token_of = |job| foreign.iter().find(|lease| lease.job_id == job && runs(lease)).map(|lease| &lease.token);
        let granted = grants.iter().filter_map(|grant| {
            Some(Granted { job: grant.job, attempt: grant.attempt, token: token_of(grant.job)?.clone() })
        });
        let granted: Vec<Granted> = granted.collect();
        for grant in &granted {
            // Whoever held it is told that it does no more.
            if let Some(before) = self.sessions.holder(grant.job).filter(|before| before.id() != self.id()) {
                before.look_at(grant.job);
            }
        }
        self.hold(&granted);
        self.sessions.part_with_emptied_orphans().await;
        Ok(foreign.iter().map(|lease| lease.job_id).filter(|job| !granted.iter().any(|it| it.job == *job)).collect())
    }

    /// Whether the session is on its way out.
    pub fn is_leaving(&self) -> bool {
        self.desk.lock().leaving != Leaving::No
    }
}
