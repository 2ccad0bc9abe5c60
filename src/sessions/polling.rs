//! Workers that call: they claim jobs, say now and then what they hold, and speak for one job at a time.
//!
//! Nothing is pushed to them. A call renews the session; a heartbeat renews the leases that it names and a call about a
//! job renews that one: a lease whose token never reached its worker ends by itself.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::command::LeaseProof;
use crate::domain::event::{Actor, QueuedCause};
use crate::domain::id::{JobId, SessionId};
use crate::domain::job::WorkerPlace;
use crate::engine::{Granted, SubmitError};
use crate::sessions::carry::{End, proof};
use crate::sessions::frames::LeaseRef;
use crate::sessions::presence::Presence;
use crate::sessions::registry::Sessions;
use crate::sessions::resume::NAMELESS;
use crate::sessions::session::{Joining, Session, now};
use crate::views::row::WorkerState;

/// How long a claim that does not wait takes to find out what is there.
const MOMENT: Duration = Duration::from_millis(100);

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The named leases that hold, for another lease's length.
    pub extended: Vec<JobId>,
    /// Those of them, and those whose time was over, that shall stop.
    pub cancel: Vec<JobId>,
    /// The named leases that do not hold.
    pub lost: Vec<JobId>,
    pub mode: WorkerState,
}

/// Jobs on their way to a worker that claimed them. Dropped before they are handed over, they are given back.
pub struct Claimed {
    session: Arc<Session>,
    granted: Vec<Granted>,
}

impl Claimed {
    /// The jobs.
    pub fn granted(&self) -> &[Granted] {
        &self.granted
    }

    /// The worker has them, as far as anybody can know.
    #[cfg(test)]
    pub(crate) fn hand_over(self) {
        let all = self.granted.len();
        self.hand_over_first(all);
    }

    /// The worker has the first so many, as far as anybody can know. The others are given back.
    pub fn hand_over_first(mut self, count: usize) {
        self.granted.drain(..count);
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let (session, granted) = (self.session.clone(), std::mem::take(&mut self.granted));
        if granted.is_empty() {
            return;
        }
        tokio::spawn(async move {
            for grant in granted {
                let lease = LeaseRef { job_id: grant.job, token: grant.token };
                if let Err(error) = session.end_run(&lease, End::Release(QueuedCause::Released)).await {
                    // Its lease is never named, and ends by itself.
                    tracing::warn!(job = %lease.job_id, %error, "a job whose claim was given up was not given back");
                }
            }
        });
    }
}

/// Brings to its end what a worker asked for, also when it hangs up before the answer: left half done, a session or a
/// lease would be on its way out for ever, and its job with it.
pub async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    tokio::spawn(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// A call that waits for its answer.
struct OpenCall<'a>(&'a Session);

impl<'a> OpenCall<'a> {
    fn begin(session: &'a Session) -> OpenCall<'a> {
        if let Presence::Calls { open, .. } = &mut session.desk.lock().presence {
            *open += 1;
        }
        OpenCall(session)
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        let mut desk = self.0.desk.lock();
        if let Presence::Calls { open, heard_at } = &mut desk.presence {
            *open -= 1;
            *heard_at = now();
        }
        self.0.set_alarm(&desk);
    }
}

impl Session {
    /// Whether its worker claims jobs by calls.
    pub fn claims_by_calls(&self) -> bool {
        matches!(self.desk.lock().presence, Presence::Calls { .. })
    }

    /// Waits for jobs, for so long at most: none come if there are none.
    pub async fn claim(self: &Arc<Session>, max: usize, wait: Duration) -> Result<Option<Claimed>, SubmitError> {
        self.beat();
        let _open = OpenCall::begin(self);
        let claiming = async {
            let _line = self.line.lock().await;
            self.next_jobs_up_to(max).await
        };
        match tokio::time::timeout(wait.max(MOMENT), claiming).await {
            Ok(granted) => Ok(Some(Claimed { session: self.clone(), granted: granted? })),
            Err(_) => Ok(None),
        }
    }

    /// The worker says what it holds: those leases go on. What another session of it had comes over to this one.
    pub async fn heartbeat(&self, leases: &[LeaseRef]) -> Result<Heartbeat, SubmitError> {
        self.beat();
        // Whatever was answered to others before is known here.
        leases.iter().for_each(|lease| self.look_at(lease.job_id));
        let lost = self.adopt(leases).await?;
        let mut desk = self.desk.lock();
        let (mut extended, mut cancel) = (Vec::new(), Vec::new());
        for LeaseRef { job_id, token } in leases {
            let is_ours = desk.holdings.attempt(*job_id, token).is_some();
            if desk.holdings.renew(*job_id, token, now()) && !extended.contains(job_id) {
                extended.push(*job_id);
            }
            if is_ours && desk.holdings.is_told_to_stop(*job_id).is_some() && !cancel.contains(job_id) {
                cancel.push(*job_id);
            }
        }
        let mut lost: Vec<JobId> = lost.into_iter().filter(|job| !extended.contains(job)).collect();
        lost.dedup();
        drop(desk);
        Ok(Heartbeat { extended, cancel, lost, mode: self.mode() })
    }
}

impl Sessions {
    /// A worker elsewhere was heard: it proved one of its leases, which goes on. Gives its session, if it is live.
    pub fn hear_from(&self, session: SessionId, proof: LeaseProof) -> Option<Arc<Session>> {
        let session = self.get(session).filter(|session| session.is_elsewhere())?;
        session.beat();
        session.desk.lock().holdings.renew_proved(proof.job, proof.token, now());
        Some(session)
    }

    /// Who speaks with the token of a lease: the session that holds it, which is heard by that; or somebody whom only the
    /// token proves, because the session is of the server before, watches a child process, or has ended.
    pub fn speaker(self: &Arc<Sessions>, lease: &LeaseRef) -> Arc<Session> {
        let job = self.parts.engine.views().job(lease.job_id).ok().flatten();
        let ours = lease.token.hash();
        let holder = job.as_ref().and_then(|job| {
            let run = job.run().filter(|run| run.lease.token == ours).map(|run| run.lease.session);
            run.or_else(|| job.last_run().filter(|run| run.token == ours).map(|run| run.session))
        });
        if let Some(session) = holder.and_then(|id| self.hear_from(id, proof(lease))) {
            return session;
        }
        let id = holder.unwrap_or(SessionId(uuid::Uuid::nil()));
        let actor = holder.map_or(Actor::CLIENT, Actor::worker);
        let joining = Joining { name: NAMELESS.into(), kinds: Vec::new(), queues: None, place: WorkerPlace::Remote };
        Arc::new(Session::with(self, id, actor, joining, Presence::Child))
    }
}
