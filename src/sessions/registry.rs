//! All live sessions: who joined, who holds which job, and the one watcher that hears what becomes of held jobs.
//!
//! Soft state of the server: it is gone with it, and nothing in the log depends on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use crate::clock::Clock;
use crate::domain::event::Event;
use crate::domain::id::{Epoch, JobId, SessionId};
use crate::domain::job::{Job, WorkerPlace};
use crate::domain::time::{Millis, Timestamp};
use crate::engine::{Handle, SubmitError};
use crate::feed::Page;
use crate::kinds::Catalog;
use crate::sessions::ports::JobLogs;
use crate::sessions::presence::Presence;
use crate::sessions::previews::Previews;
use crate::sessions::reaper::{Alarm, Orphans, watch_silence};
use crate::sessions::session::{Joining, Leaving, Session, now};
use crate::sessions::troubles::Troubles;

/// How often pictures of ended jobs are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The most sessions at a time; a worker from elsewhere that comes on top is asked for patience.
pub const SESSIONS_MAX: usize = 20_000;

/// What every worker is told about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a lease lives without a word from its worker.
    pub lease: Millis,
    /// How often the server asks whether a worker is still there.
    pub ping: Millis,
    /// How long a worker whose connection broke may take to come back.
    pub grace: Millis,
}

/// What sessions are made of.
pub struct Parts {
    pub engine: Handle,
    pub logs: Arc<dyn JobLogs>,
    pub clock: Arc<dyn Clock>,
    /// The kinds, also after a reload.
    pub catalog: watch::Receiver<Arc<Catalog>>,
    pub epoch: Epoch,
    pub settings: Settings,
}

/// The live sessions of this server.
pub struct Sessions {
    pub(crate) parts: Parts,
    pub(crate) previews: Previews,
    troubles: Troubles,
    pub(crate) live: Mutex<BTreeMap<SessionId, Arc<Session>>>,
    holders: Mutex<HashMap<JobId, SessionId>>,
    /// When silence is looked for next.
    pub(crate) alarm: Arc<Alarm>,
    /// Sessions of the server before whose workers may come back.
    pub(crate) orphans: Mutex<Orphans>,
    /// Whether the server stops.
    pub(crate) parting: watch::Sender<bool>,
    /// How many connections there are.
    pub(crate) connections: watch::Sender<usize>,
}

impl Sessions {
    /// Makes the registry and starts its watcher, which ends when the registry is dropped or the engine has ended.
    pub fn start(parts: Parts) -> Arc<Sessions> {
        let pages = parts.engine.feed().subscribe();
        let sessions = Arc::new(Sessions {
            parts,
            previews: Previews::default(),
            troubles: Troubles::default(),
            live: Mutex::default(),
            holders: Mutex::default(),
            alarm: Arc::default(),
            orphans: Mutex::default(),
            parting: watch::Sender::new(false),
            connections: watch::Sender::new(0),
        });
        tokio::spawn(watch_pages(Arc::downgrade(&sessions), pages));
        tokio::spawn(watch_silence(Arc::downgrade(&sessions), sessions.alarm.clone(), sessions.parting.subscribe()));
        sessions
    }

    /// Begins a session. The log has it when this returns.
    pub async fn join(self: &Arc<Sessions>, joining: Joining) -> Result<Arc<Session>, SubmitError> {
        let presence = match joining.place {
            WorkerPlace::Subprocess => Presence::Child,
            WorkerPlace::Remote => Presence::calls(now()),
        };
        self.join_as(joining, presence).await
    }

    pub(crate) async fn join_as(
        self: &Arc<Sessions>,
        joining: Joining,
        presence: Presence,
    ) -> Result<Arc<Session>, SubmitError> {
        if joining.place == WorkerPlace::Remote && self.live.lock().len() >= SESSIONS_MAX {
            return Err(SubmitError::Overloaded);
        }
        let session = Arc::new(Session::new(self, joining, presence));
        // It is listed first, so that it is looked for from the moment on at which it is in the log.
        self.live.lock().insert(session.id(), session.clone());
        if let Err(error) = session.join().await {
            self.forget(session.id());
            return Err(error);
        }
        session.desk.lock().leaving = Leaving::No;
        session.beat();
        session.set_alarm(&session.desk.lock());
        Ok(session)
    }

    /// A live session.
    pub fn get(&self, id: SessionId) -> Option<Arc<Session>> {
        let session = self.live.lock().get(&id).cloned()?;
        let is_leaving = session.desk.lock().leaving != Leaving::No;
        (!is_leaving).then_some(session)
    }

    /// The session that holds a job.
    pub(crate) fn holder(&self, job: JobId) -> Option<Arc<Session>> {
        let session = *self.holders.lock().get(&job)?;
        self.get(session)
    }

    /// The latest preview pictures of running jobs.
    pub fn previews(&self) -> &Previews {
        &self.previews
    }

    /// The worker processes that are not there although they should be.
    pub fn troubles(&self) -> &Troubles {
        &self.troubles
    }

    /// What workers are told about time.
    pub fn settings(&self) -> Settings {
        self.parts.settings
    }

    /// The instance id of this server.
    pub fn epoch(&self) -> Epoch {
        self.parts.epoch
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Notes that the workers which are child processes live: they do, as long as they have not ended.
    pub fn beat_children(&self) {
        let sessions: Vec<Arc<Session>> = self.live.lock().values().cloned().collect();
        sessions.iter().filter(|session| session.place() == WorkerPlace::Subprocess).for_each(|session| session.beat());
    }

    /// Forgets every session. The server ends: whoever still has one can only end it.
    pub fn close(&self) {
        let gone = std::mem::take(&mut *self.live.lock());
        drop(gone);
    }

    pub(crate) fn forget(&self, session: SessionId) {
        self.live.lock().remove(&session);
    }

    pub(crate) fn note_holder(&self, job: JobId, session: SessionId) {
        self.holders.lock().insert(job, session);
    }

    pub(crate) fn forget_holder(&self, job: JobId, session: SessionId) {
        let mut holders = self.holders.lock();
        if holders.get(&job) == Some(&session) {
            holders.remove(&job);
        }
    }

    fn hear(&self, page: &Page) {
        let now = Instant::now();
        for record in page.records.iter() {
            match &record.event {
                Event::JobRetried(retried) => self.previews.forget(retried.job),
                Event::JobPurged(purged) => self.previews.forget(purged.job),
                _ => {}
            }
        }
        page.forgotten.iter().for_each(|stub| self.previews.forget(stub.id));
        page.jobs.iter().filter(|job| job.is_terminal()).for_each(|job| self.previews.job_ended(job.id, now));
        let holders = self.holders.lock();
        let held = page.jobs.iter().filter_map(|job| Some((job, *holders.get(&job.id)?)));
        let held: Vec<(&Arc<Job>, SessionId)> = held.collect();
        drop(holders);
        for (job, session) in held {
            let session = self.live.lock().get(&session).cloned();
            if let Some(session) = session {
                session.observe(job);
            }
        }
    }

    /// Looks at every held job itself, because some of what happened was missed.
    fn look_again(&self) {
        let sessions: Vec<Arc<Session>> = self.live.lock().values().cloned().collect();
        sessions.iter().for_each(|session| session.look_again());
    }
}

async fn watch_pages(sessions: Weak<Sessions>, mut pages: broadcast::Receiver<Arc<Page>>) {
    let mut swept_at = Instant::now();
    loop {
        let heard = pages.recv().await;
        let Some(sessions) = sessions.upgrade() else { return };
        if swept_at.elapsed() >= SWEEP_EVERY {
            swept_at = Instant::now();
            sessions.previews.sweep(swept_at);
        }
        match heard {
            Ok(page) => sessions.hear(&page),
            Err(broadcast::error::RecvError::Lagged(_)) => sessions.look_again(),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
