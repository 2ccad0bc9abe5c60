//! The jobs that a session holds, and what its worker has to be told about them. No I/O: what happened to a job comes in
//! as the job, moments come in as arguments.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::id::{JobId, LeaseToken, Seq, SessionId, TokenHash};
use crate::domain::job::{Job, Progress, RunEnd};
use crate::domain::time::Millis;
use crate::engine::Granted;
use crate::sessions::frames::CancelReason;

/// What a worker has to be told about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It shall stop, within the grace.
    Cancel { reason: CancelReason, grace: Millis },
    /// Its lease is gone.
    Lost,
}

/// How a held job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its lease holds.
    Live,
    /// Its worker has just ended it; the answer is on its way.
    Ending,
    /// Its lease is gone, but its worker has not let go.
    Over,
}

/// One held job.
#[derive(Debug, Clone)]
struct Holding {
    token: LeaseToken,
    attempt: u32,
    /// The seq of the latest state of the job that was looked at: pages may come late.
    seen: Seq,
    standing: Standing,
    cancel: Option<CancelReason>,
    notice: Option<Notice>,
    /// When a worker that was told to stop may be ended.
    must_end_by: Option<Instant>,
    /// When its worker last named it, or got it.
    renewed_at: Instant,
    /// The latest progress, on top of which the next is put.
    progress: Progress,
}

/// All jobs that a session holds.
#[derive(Debug)]
pub struct Holdings {
    session: SessionId,
    jobs: BTreeMap<JobId, Holding>,
    /// When the worker was last heard of in a way that renews all its leases.
    all_renewed_at: Option<Instant>,
    /// Whether the worker asks what has become of its jobs, instead of being told.
    asks: bool,
}

impl Holdings {
    /// Holds nothing yet.
    pub fn new(session: SessionId, asks: bool) -> Holdings {
        Holdings { session, jobs: BTreeMap::new(), all_renewed_at: None, asks }
    }

    /// Takes a granted job over. What is older than `since`, the job's seq after the grant, is no news.
    pub fn insert(&mut self, granted: &Granted, since: Seq, now: Instant) {
        let holding = Holding {
            seen: since,
            token: granted.token.clone(),
            attempt: granted.attempt,
            standing: Standing::Live,
            cancel: None,
            notice: None,
            must_end_by: None,
            renewed_at: now,
            progress: Progress::default(),
        };
        self.jobs.insert(granted.job, holding);
    }

    /// Lets go of a job. Says whether it was held.
    pub fn remove(&mut self, job: JobId) -> bool {
        self.jobs.remove(&job).is_some()
    }

    /// How many jobs are held.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// How many of its slots the worker does not have for other jobs: it has done with those whose ends are on their way.
    pub fn occupied(&self) -> usize {
        self.jobs.values().filter(|held| held.standing != Standing::Ending).count()
    }

    /// Whether no job is held.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The held jobs.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.jobs.keys().copied()
    }

    /// The jobs whose leases still hold, with their tokens.
    pub fn live(&self) -> impl Iterator<Item = (JobId, &LeaseToken)> {
        self.jobs.iter().filter(|(_, held)| held.standing == Standing::Live).map(|(&job, held)| (job, &held.token))
    }

    /// The tokens of all held jobs.
    pub fn tokens(&self) -> Vec<String> {
        self.jobs.values().map(|held| held.token.reveal().to_owned()).collect()
    }

    /// Whether a text is the token of a held job.
    pub fn has_token(&self, text: &str) -> bool {
        self.jobs.values().any(|held| held.token.reveal() == text)
    }

    /// The attempt of a held job, if this is its token.
    pub fn attempt(&self, job: JobId, token: &LeaseToken) -> Option<u32> {
        self.jobs.get(&job).filter(|held| held.token == *token).map(|held| held.attempt)
    }

    /// Whether this token holds the job's lease, as far as is known here.
    pub fn is_live(&self, job: JobId, token: &LeaseToken) -> bool {
        self.jobs.get(&job).is_some_and(|held| held.token == *token && held.standing == Standing::Live)
    }

    /// Whether anything but the worker's own word has ended the run, or asked for its end.
    pub fn is_told_to_stop(&self, job: JobId) -> Option<CancelReason> {
        self.jobs.get(&job).and_then(|held| held.cancel)
    }

    /// Puts new progress on top of what is known of a held job, and gives the whole.
    pub fn progressed(&mut self, job: JobId, token: &LeaseToken, merge: impl FnOnce(&mut Progress)) -> Progress {
        match self.jobs.get_mut(&job).filter(|held| held.token == *token) {
            Some(held) => {
                merge(&mut held.progress);
                held.progress.clone()
            }
            None => {
                let mut progress = Progress::default();
                merge(&mut progress);
                progress
            }
        }
    }

    /// The worker ends a job: what the feed says of it from now on is no news. Says whether it was held.
    pub fn is_ending(&mut self, job: JobId, token: &LeaseToken) -> bool {
        let held = self.jobs.get_mut(&job).filter(|held| held.token == *token);
        held.map(|held| held.standing = Standing::Ending).is_some()
    }

    /// The attempt to end a job did not reach the core: the job is held as before.
    pub fn is_held_on(&mut self, job: JobId, token: &LeaseToken) {
        if let Some(held) = self.jobs.get_mut(&job).filter(|held| held.token == *token) {
            held.standing = Standing::Live;
        }
    }

    /// Compares a held job with what has become of it. Says whether its worker has to be told something.
    pub fn observe(&mut self, job: &Job, now: Instant) -> bool {
        let Some(held) = self.jobs.get_mut(&job.id).filter(|held| held.seen <= job.seq) else { return false };
        held.seen = job.seq;
        let ours = held.token.hash();
        match job.run().filter(|run| run.lease.token == ours && run.lease.session == self.session) {
            Some(run) => match &run.cancel {
                Some(request) if held.cancel.is_none() => {
                    held.stop(CancelReason::Requested, request.deadline.since(request.at), now)
                }
                _ => false,
            },
            None if held.standing != Standing::Live => false,
            None => {
                held.standing = Standing::Over;
                let timed_out = job.last_run().is_some_and(|run| run.token == ours && run.by == RunEnd::TimedOut);
                if timed_out && held.cancel.is_none() {
                    held.stop(CancelReason::Timeout, job.policy.grace, now)
                } else {
                    held.lose(now)
                }
            }
        }
    }

    /// The worker named a job that it holds. Says whether it does.
    pub fn renew(&mut self, job: JobId, token: &LeaseToken, now: Instant) -> bool {
        self.renew_proved(job, token.hash(), now)
    }

    /// The same, of a token that is known by its hash.
    pub fn renew_proved(&mut self, job: JobId, token: TokenHash, now: Instant) -> bool {
        let held = self.jobs.get_mut(&job).filter(|held| held.standing == Standing::Live && held.token.hash() == token);
        held.map(|held| held.renewed_at = now).is_some()
    }

    /// The worker was heard of in a way that renews all its leases.
    pub fn renew_all(&mut self, now: Instant) {
        self.all_renewed_at = Some(now);
    }

    /// The jobs whose leases were not renewed for the length of a lease; none if they are borne without one.
    pub fn expired(&self, lease: Option<Duration>, now: Instant) -> Vec<JobId> {
        let Some(lease) = lease else { return Vec::new() };
        let live = self.jobs.iter().filter(|(_, held)| held.standing == Standing::Live);
        live.filter(|(_, held)| self.renewed_at(held) + lease <= now).map(|(&job, _)| job).collect()
    }

    /// The jobs whose leases are gone and whose worker has had its time to let go.
    pub fn outstayed(&self, now: Instant) -> Vec<JobId> {
        let over = self.jobs.iter().filter(|(_, held)| held.standing == Standing::Over && self.knows(held));
        over.filter(|(_, held)| held.must_end_by.is_some_and(|by| by <= now)).map(|(&job, _)| job).collect()
    }

    /// The first moment at which a lease expires or a job is outstayed, if nothing is heard until then.
    pub fn next_deadline(&self, lease: Option<Duration>) -> Option<Instant> {
        let deadline = |held: &Holding| match held.standing {
            Standing::Live => lease.map(|lease| self.renewed_at(held) + lease),
            Standing::Over if self.knows(held) => held.must_end_by,
            Standing::Over | Standing::Ending => None,
        };
        self.jobs.values().filter_map(deadline).min()
    }

    /// Whether the worker knows what has become of a job, as far as it is for us to tell.
    fn knows(&self, held: &Holding) -> bool {
        self.asks || held.notice.is_none()
    }

    fn renewed_at(&self, held: &Holding) -> Instant {
        self.all_renewed_at.map_or(held.renewed_at, |all| all.max(held.renewed_at))
    }

    /// The worker has a new connection: what it was told over the one before may not have come through.
    pub fn tell_again(&mut self, now: Instant) {
        for held in self.jobs.values_mut() {
            let Some(reason) = held.cancel.filter(|_| held.notice.is_none()) else { continue };
            let left = held.must_end_by.map_or(Duration::ZERO, |by| by.saturating_duration_since(now));
            held.notice = Some(Notice::Cancel { reason, grace: Millis(left.as_millis() as u64) });
        }
    }

    /// The server stops: every job that was not told to stop yet is.
    pub fn shut_down(&mut self, grace: Millis, now: Instant) {
        for held in self.jobs.values_mut().filter(|held| held.cancel.is_none() && held.standing == Standing::Live) {
            held.stop(CancelReason::Shutdown, grace, now);
        }
    }

    /// What the worker has not been told yet.
    pub fn take_notices(&mut self) -> Vec<(JobId, Notice)> {
        let told = |(&job, held): (&JobId, &mut Holding)| held.notice.take().map(|notice| (job, notice));
        self.jobs.iter_mut().filter_map(told).collect()
    }

    /// The earliest moment at which a worker that was told to stop may be ended.
    pub fn must_end_by(&self) -> Option<Instant> {
        self.jobs.values().filter_map(|held| held.must_end_by).min()
    }
}

impl Holding {
    fn stop(&mut self, reason: CancelReason, grace: Millis, now: Instant) -> bool {
        self.cancel = Some(reason);
        self.notice = Some(Notice::Cancel { reason, grace });
        self.must_end_by = Some(now + Duration::from_millis(grace.0));
        true
    }

    fn lose(&mut self, now: Instant) -> bool {
        self.notice = Some(Notice::Lost);
        self.must_end_by = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::domain::id::Ordinal;
    use crate::domain::job::{CancelRequest, EndedRun, JobState, Lease, Reason, Run, WorkerPlace};
    use crate::domain::retry::Policy;
    use crate::domain::time::Timestamp;

    use super::*;

    const SESSION: SessionId = SessionId(uuid::Uuid::from_u128(5));

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn granted() -> Granted {
        Granted { job: JobId::new(at(1), Ordinal(1), 0), attempt: 1, token: LeaseToken::new("ours") }
    }

    fn job(state: JobState) -> Job {
        Job {
            id: granted().job,
            seq: Seq(2),
            submitted: Seq(1),
            kind: "resize".parse().expect("a name"),
            queue: "default".parse().expect("a name"),
            tags: None,
            policy: Arc::new(Policy { grace: Millis(3000), ..Policy::default() }),
            relations: None,
            state,
            created_at: at(1),
            updated_at: at(2),
            queued_at: None,
            attempt: 1,
            failures: 0,
            lost_count: 0,
            priority: 0,
            extras: None,
        }
    }

    fn running(token: &str, cancel: Option<CancelRequest>) -> Job {
        let token = LeaseToken::new(token).hash();
        let lease = Lease { session: SESSION, worker: "w".into(), token, place: WorkerPlace::Subprocess };
        job(JobState::Running(Arc::new(Run { lease, started_at: at(2), timeout_at: None, cancel })))
    }

    fn ended(by: RunEnd) -> Job {
        let mut job = job(JobState::Queued);
        let token = LeaseToken::new("ours").hash();
        let run =
            EndedRun { session: SESSION, worker: "w".into(), token, started_at: at(2), cancel_requested_at: None, by };
        job.extras_mut().last_run = Some(run);
        job
    }

    fn told(observe: &[Job]) -> Vec<Notice> {
        let now = Instant::now();
        let mut holdings = Holdings::new(SESSION, false);
        holdings.insert(&granted(), Seq(2), Instant::now());
        for job in observe {
            holdings.observe(job, now);
        }
        holdings.take_notices().into_iter().map(|(_, notice)| notice).collect()
    }

    fn requested() -> Option<CancelRequest> {
        Some(CancelRequest { at: at(10), deadline: at(2010), reason: Reason::CancelledByRequest })
    }

    #[test]
    fn a_job_that_goes_on_is_no_news() {
        assert_eq!(told(&[running("ours", None)]), []);
    }

    #[test]
    fn what_was_before_the_grant_is_no_news_however_late_it_is_heard() {
        let before = Job { seq: Seq(1), ..job(JobState::Queued) };
        assert_eq!(told(&[before.clone(), running("ours", None), before]), []);
    }

    #[test]
    fn a_cancel_is_told_once_with_its_grace() {
        let grace = Millis(2000);
        let expected = [Notice::Cancel { reason: CancelReason::Requested, grace }];
        assert_eq!(told(&[running("ours", requested()), running("ours", requested())]), expected);
        let mut holdings = Holdings::new(SESSION, false);
        holdings.insert(&granted(), Seq(2), Instant::now());
        assert!(holdings.observe(&running("ours", requested()), Instant::now()));
        assert_eq!(holdings.take_notices().len(), 1);
        assert!(!holdings.observe(&running("ours", requested()), Instant::now()));
        assert_eq!(holdings.take_notices(), []);
    }

    #[test]
    fn a_timeout_is_told_as_a_cancel_with_the_grace_of_the_job() {
        let expected = [Notice::Cancel { reason: CancelReason::Timeout, grace: Millis(3000) }];
        assert_eq!(told(&[ended(RunEnd::TimedOut)]), expected);
    }

    #[test]
    fn a_lease_that_somebody_else_ended_or_has_now_is_lost() {
        assert_eq!(told(&[ended(RunEnd::Lost)]), [Notice::Lost]);
        assert_eq!(told(&[running("theirs", None)]), [Notice::Lost]);
        assert_eq!(told(&[running("ours", requested()), ended(RunEnd::Cancelled)]), [Notice::Lost]);
    }

    #[test]
    fn what_the_worker_ended_itself_is_no_news() {
        let mut holdings = Holdings::new(SESSION, false);
        holdings.insert(&granted(), Seq(2), Instant::now());
        assert_eq!(holdings.occupied(), 1);
        assert!(holdings.is_ending(granted().job, &granted().token));
        assert_eq!((holdings.len(), holdings.occupied()), (1, 0), "its worker has room for another");
        assert!(!holdings.observe(&ended(RunEnd::Completed), Instant::now()));
        assert_eq!(holdings.take_notices(), []);
        holdings.is_held_on(granted().job, &LeaseToken::new("theirs"));
        assert_eq!(holdings.occupied(), 0);
        holdings.is_held_on(granted().job, &granted().token);
        assert_eq!(holdings.occupied(), 1);
    }

    #[test]
    fn a_worker_may_be_ended_when_the_grace_is_over_or_the_lease_is_lost() {
        let now = Instant::now();
        let mut holdings = Holdings::new(SESSION, false);
        holdings.insert(&granted(), Seq(2), Instant::now());
        assert_eq!(holdings.must_end_by(), None);
        holdings.observe(&running("ours", requested()), now);
        assert_eq!(holdings.must_end_by(), Some(now + Duration::from_secs(2)));
        holdings.observe(&ended(RunEnd::Cancelled), now);
        assert_eq!(holdings.must_end_by(), Some(now));
        holdings.remove(granted().job);
        assert_eq!(holdings.must_end_by(), None);
    }

    #[test]
    fn a_shutdown_tells_only_those_that_were_not_told_to_stop_before() {
        let mut holdings = Holdings::new(SESSION, false);
        holdings.insert(&granted(), Seq(2), Instant::now());
        holdings.shut_down(Millis(500), Instant::now());
        let told = Notice::Cancel { reason: CancelReason::Shutdown, grace: Millis(500) };
        assert_eq!(holdings.take_notices(), [(granted().job, told)]);
        holdings.shut_down(Millis(500), Instant::now());
        assert_eq!(holdings.take_notices(), []);
    }

    #[test]
    fn only_the_token_of_the_lease_counts() {
        let mut holdings = Holdings::new(SESSION, false);
        holdings.insert(&granted(), Seq(2), Instant::now());
        let (job, other) = (granted().job, LeaseToken::new("theirs"));
        assert!(holdings.is_live(job, &granted().token) && !holdings.is_live(job, &other));
        assert_eq!((holdings.attempt(job, &granted().token), holdings.attempt(job, &other)), (Some(1), None));
        assert!(!holdings.is_ending(job, &other));
    }

    #[test]
    fn a_lease_that_is_not_named_expires_and_one_that_is_does_not() {
        let (now, lease) = (Instant::now(), Duration::from_secs(30));
        let mut holdings = Holdings::new(SESSION, false);
        let other = Granted { job: JobId::new(at(1), Ordinal(2), 0), ..granted() };
        holdings.insert(&granted(), Seq(2), now);
        holdings.insert(&other, Seq(2), now);
        let later = now + Duration::from_secs(20);
        assert!(holdings.renew(other.job, &other.token, later));
        assert!(!holdings.renew(other.job, &LeaseToken::new("theirs"), later));
        assert_eq!(holdings.next_deadline(Some(lease)), Some(now + lease));
        assert_eq!(holdings.expired(Some(lease), now + lease), [granted().job]);
        assert_eq!((holdings.next_deadline(None), holdings.expired(None, now + lease)), (None, vec![]));
        holdings.renew_all(later);
        assert_eq!(holdings.expired(Some(lease), now + lease), []);
        assert_eq!(holdings.next_deadline(Some(lease)), Some(later + lease));
    }

    #[test]
    fn a_lease_that_another_session_has_taken_over_is_lost() {
        let mut moved = running("ours", None);
        if let JobState::Running(run) = &mut moved.state {
            Arc::make_mut(run).lease.session = SessionId(uuid::Uuid::from_u128(6));
        }
        assert_eq!(told(&[moved]), [Notice::Lost]);
    }

    #[test]
    fn a_cancel_is_told_again_over_a_new_connection_with_what_is_left_of_its_grace() {
        let now = Instant::now();
        let mut holdings = Holdings::new(SESSION, false);
        holdings.insert(&granted(), Seq(2), now);
        holdings.observe(&running("ours", requested()), now);
        holdings.take_notices();
        holdings.tell_again(now + Duration::from_millis(500));
        let notice = Notice::Cancel { reason: CancelReason::Requested, grace: Millis(1500) };
        assert_eq!(holdings.take_notices(), [(granted().job, notice)]);
    }

    #[test]
    fn a_job_whose_lease_is_over_takes_up_its_place_until_its_grace_is_over() {
        let now = Instant::now();
        let mut holdings = Holdings::new(SESSION, false);
        holdings.insert(&granted(), Seq(2), now);
        holdings.observe(&ended(RunEnd::TimedOut), now);
        assert_eq!(holdings.outstayed(now + Duration::from_secs(3)), [], "its worker was not told yet");
        holdings.take_notices();
        let by = now + Duration::from_secs(3);
        assert_eq!(holdings.next_deadline(Some(Duration::from_secs(30))), Some(by));
        assert_eq!((holdings.outstayed(now), holdings.outstayed(by)), (vec![], vec![granted().job]));
    }
}
