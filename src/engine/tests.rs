//! The engine as its callers see it: real threads, a log and a store in memory, a clock that stands.

use std::sync::Arc;

use futures::FutureExt;

use crate::clock::{Clock, ManualClock};
use crate::domain::command::{Answer, Command, JoinWorker, LeaseProof, Retry, StartEpoch, Submit};
use crate::domain::event::{Actor, Event, Record};
use crate::domain::id::{Epoch, JobId, LeaseToken, Seq, SessionId};
use crate::domain::job::{JobError, Progress, StateName, WorkerPlace};
use crate::domain::json::Json;
use crate::domain::queue::Limits;
use crate::domain::refusal::Refusal;
use crate::domain::testing::a_job;
use crate::domain::time::{Millis, Timestamp};
use crate::engine::recovery::recover;
use crate::engine::{Condition, Engine, Granted, Handle, Parts, SubmitError};
use crate::log::base::LogTrimmer;
use crate::log::memory::{MemoryLog, MemoryStore};
use crate::views::{FinishedStore, MemoryFinished};

const SESSION: SessionId = SessionId(uuid::Uuid::from_u128(7));

/// A server without a network: what is stored outlives a restart.
struct World {
    store: Arc<MemoryStore>,
    finished: Arc<MemoryFinished>,
    clock: Arc<ManualClock>,
    engine: Option<Engine>,
    handle: Option<Handle>,
}

impl World {
    fn new() -> World {
        let mut world = World {
            store: Arc::default(),
            finished: Arc::default(),
            clock: Arc::new(ManualClock::new(Timestamp::from_ms(1_790_000_000_000))),
            engine: None,
            handle: None,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let log = Box::new(MemoryLog::open(self.store.clone()));
        let reader = crate::log::EventLog::reader(&*log);
        let recovered = recover(&reader, |_| None, self.finished.clone(), &|_| ()).unwrap();
        let parts = Parts {
            log,
            state: recovered.state,
            views: recovered.views,
            limits: Limits::default(),
            clock: self.clock.clone(),
            seed: 1,
        };
        let (engine, handle) = Engine::start(parts);
        self.engine = Some(engine);
        self.handle = Some(handle);
    }

    fn restart(&mut self) {
        self.handle = None;
        self.engine.take().unwrap().join().unwrap();
        self.start();
    }

    fn handle(&self) -> &Handle {
        self.handle.as_ref().unwrap()
    }

    async fn submit(&self) -> JobId {
        let submit = Submit { jobs: vec![a_job()], idempotency: None, parent: None };
        let receipt = self.handle().submit(Command::Submit(submit), Actor::CLIENT).await.unwrap();
        match receipt.answer {
            Answer::Submitted { jobs, .. } => jobs[0],
            other => panic!("a submit answers with jobs, not {other:?}"),
        }
    }

    async fn join(&self, place: WorkerPlace) {
        let join = JoinWorker { session: SESSION, name: "ann".into(), kinds: Vec::new(), queues: None, place };
        self.handle().submit(Command::JoinWorker(join), Actor::SERVER).await.unwrap();
    }

    async fn claim(&self) -> Granted {
        self.handle().claim(SESSION, 1).await.unwrap().take().remove(0)
    }

    async fn complete(&self, granted: &Granted) -> Result<(), SubmitError> {
        let command = Command::Complete { proof: proof(granted), result: Some(Json::from_checked("{}")) };
        self.handle().submit(command, Actor::worker(SESSION)).await.map(drop)
    }

    fn state(&self, job: JobId) -> StateName {
        self.handle().views().job(job).unwrap().unwrap().state_name()
    }

    fn records(&self) -> Vec<Record> {
        let log = self.handle().log();
        let mut records: Vec<Record> = Vec::new();
        loop {
            let page = log.page_after(records.last().map_or(Seq::ZERO, |record| record.seq)).unwrap();
            if page.is_empty() {
                return records;
            }
            records.extend(page);
        }
    }

    fn types(&self) -> Vec<&'static str> {
        self.records().iter().map(|record| record.event.type_name()).collect()
    }
}

fn proof(granted: &Granted) -> LeaseProof {
    LeaseProof { job: granted.job, token: granted.token.hash() }
}

fn progress(percent: f64) -> Progress {
    Progress { percent: Some(percent), ..Progress::default() }
}

#[tokio::test]
async fn an_answered_submit_is_in_the_log_and_in_the_views() {
    let world = World::new();
    let job = world.submit().await;
    assert_eq!(world.state(job), StateName::Queued);
    assert_eq!(world.types(), ["job.submitted"]);
    assert_eq!(world.handle().views().position(), Seq(1));
}

#[tokio::test]
async fn what_is_published_is_visible_in_the_views_first() {
    let world = World::new();
    let mut pages = world.handle().feed().subscribe();
    let job = world.submit().await;
    let page = pages.recv().await.unwrap();
    assert_eq!(page.records.len(), 1);
    assert_eq!(page.jobs[0].id, job);
    assert!(world.handle().views().position() >= page.records[0].seq);
}

#[tokio::test]
async fn many_commands_at_once_share_commits_and_each_gets_its_own_answer() {
    let world = World::new();
    let mut jobs = futures::future::join_all((0..500).map(|_| world.submit())).await;
    jobs.sort();
    jobs.dedup();
    assert_eq!(jobs.len(), 500);
    let seqs: Vec<u64> = world.records().iter().map(|record| record.seq.0).collect();
    assert_eq!(seqs, (1..=500).collect::<Vec<u64>>(), "the log is dense (L2)");
}

#[tokio::test]
async fn a_claim_waits_until_there_is_a_job_and_starts_it_in_the_batch_of_its_submit() {
    let world = World::new();
    world.join(WorkerPlace::Remote).await;
    let waiting = world.handle().claim(SESSION, 4);
    let (grants, job) = futures::join!(waiting, world.submit());
    let granted = grants.unwrap().take();
    assert_eq!(granted.len(), 1);
    assert_eq!((granted[0].job, granted[0].attempt), (job, 1));
    assert_eq!(world.state(job), StateName::Running);
    assert_eq!(world.types(), ["worker.joined", "job.submitted", "job.started"]);
}

#[tokio::test]
async fn a_claim_of_an_unknown_session_is_refused() {
    let world = World::new();
    let error = world.handle().claim(SESSION, 1).await.err().unwrap();
    assert!(matches!(error, SubmitError::Refused(Refusal::SessionNotFound { session }) if session == SESSION));
}

#[tokio::test]
async fn leases_that_nobody_takes_are_given_back() {
    let world = World::new();
    world.join(WorkerPlace::Subprocess).await;
    let job = world.submit().await;
    drop(world.handle().claim(SESSION, 1).await.unwrap());
    let granted = world.claim().await;
    assert_eq!((granted.job, granted.attempt), (job, 1), "no attempt was used up");
    assert_eq!(world.types()[2..], ["job.started", "job.queued", "job.started"]);
}

#[tokio::test]
async fn a_claim_that_is_dropped_gets_nothing() {
    let world = World::new();
    world.join(WorkerPlace::Remote).await;
    let mut claim = Box::pin(world.handle().claim(SESSION, 1));
    assert!(claim.as_mut().now_or_never().is_none());
    drop(claim);
    let job = world.submit().await;
    assert_eq!(world.claim().await.job, job);
}

#[tokio::test]
async fn a_job_of_a_subprocess_is_granted_again_only_when_its_last_processes_are_dead() {
    let world = World::new();
    world.join(WorkerPlace::Subprocess).await;
    world.submit().await;
    let first = world.claim().await;
    let release = Command::Release { proof: proof(&first), cause: crate::domain::event::QueuedCause::Released };
    world.handle().submit(release, Actor::worker(SESSION)).await.unwrap();
    let other = world.submit().await;
    assert_eq!(world.claim().await.job, other, "the released job is held");
    world.handle().let_go(first.job);
    assert_eq!(world.claim().await.job, first.job);
}

#[tokio::test]
async fn a_repeated_completion_is_answered_and_a_foreign_one_refused_and_noted() {
    let world = World::new();
    world.join(WorkerPlace::Remote).await;
    world.submit().await;
    let granted = world.claim().await;
    world.complete(&granted).await.unwrap();
    world.complete(&granted).await.unwrap();
    let foreign = Granted { token: LeaseToken::new("foreign"), ..granted.clone() };
    let error = world.complete(&foreign).await.unwrap_err();
    assert!(matches!(error, SubmitError::Refused(Refusal::LeaseLost { .. })), "{error}");
    assert_eq!(world.types()[3..], ["job.completed", "job.late_result"]);
}

#[tokio::test]
async fn progress_is_shown_at_once_and_recorded_once_a_second_and_before_the_end() {
    let world = World::new();
    world.join(WorkerPlace::Remote).await;
    let job = world.submit().await;
    let granted = world.claim().await;
    for percent in [10.0, 20.0, 30.0] {
        let command = Command::Progress { proof: proof(&granted), progress: progress(percent) };
        world.handle().submit(command, Actor::worker(SESSION)).await.unwrap();
    }
    let shown = world.handle().views().row(job).unwrap().unwrap();
    assert_eq!(serde_json::to_value(shown).unwrap()["progress"]["percent"], 30.0);
    assert_eq!(world.types()[3..], ["job.progressed"]);
    world.clock.advance(Millis(1000));
    world.handle().submit(Command::Tick, Actor::SERVER).await.unwrap();
    assert_eq!(world.types()[4..], ["job.progressed"]);
    let command = Command::Progress { proof: proof(&granted), progress: progress(40.0) };
    world.handle().submit(command, Actor::worker(SESSION)).await.unwrap();
    world.complete(&granted).await.unwrap();
    assert_eq!(world.types()[5..], ["job.progressed", "job.completed"]);
    let last = world.handle().views().job(job).unwrap().unwrap();
    assert_eq!(last.extras.as_ref().unwrap().progress.as_ref().unwrap().percent, Some(40.0));
}

#[tokio::test]
async fn a_finished_job_is_retried_with_what_the_views_know_of_it() {
    let world = World::new();
    world.join(WorkerPlace::Remote).await;
    let job = world.submit().await;
    let granted = world.claim().await;
    let error = JobError { code: "x".into(), message: "no".into(), details: None, retryable: false, attempt: 0 };
    world.handle().submit(Command::Fail { proof: proof(&granted), error }, Actor::worker(SESSION)).await.unwrap();
    assert_eq!(world.state(job), StateName::Failed);
    let retry = Retry { job, only_failed_items: false, dependents: false, finished: Vec::new() };
    world.handle().submit(Command::Retry(retry), Actor::CLIENT).await.unwrap();
    assert_eq!(world.state(job), StateName::Queued);
    assert_eq!(world.claim().await.attempt, 1, "with fresh counters");
}

#[tokio::test]
async fn each_record_leads_back_to_the_one_before_of_the_same_job() {
    let world = World::new();
    world.join(WorkerPlace::Remote).await;
    let job = world.submit().await;
    world.submit().await;
    let granted = world.claim().await;
    world.complete(&granted).await.unwrap();
    let mut trail = Vec::new();
    let mut next = Some(world.handle().views().job(job).unwrap().unwrap().seq);
    while let Some(seq) = next {
        let record = world.handle().log().record(seq).unwrap();
        trail.push(record.event.type_name());
        next = record.previous;
    }
    assert_eq!(trail, ["job.completed", "job.started", "job.submitted"]);
}

#[tokio::test]
async fn after_a_failed_append_nothing_is_done_and_everybody_is_told() {
    let world = World::new();
    world.submit().await;
    world.store.break_writes();
    let submit = Submit { jobs: vec![a_job()], idempotency: None, parent: None };
    for _ in 0..3 {
        let outcome = world.handle().submit(Command::Submit(submit.clone()), Actor::CLIENT).await;
        assert!(matches!(outcome, Err(SubmitError::Halted { .. })), "{outcome:?}");
    }
    assert!(matches!(&*world.handle().condition().borrow(), Condition::Halted { .. }));
    assert_eq!(world.types(), ["job.submitted"], "reads go on");
}

#[tokio::test]
async fn too_little_disk_refuses_new_work_and_lets_running_work_end() {
    let world = World::new();
    world.join(WorkerPlace::Remote).await;
    world.submit().await;
    let granted = world.claim().await;
    world.handle().set_storage_low(Some((10, 20)));
    let submit = Submit { jobs: vec![a_job()], idempotency: None, parent: None };
    let outcome = world.handle().submit(Command::Submit(submit), Actor::CLIENT).await;
    assert!(matches!(outcome, Err(SubmitError::StorageLow { free: 10, min: 20 })), "{outcome:?}");
    world.complete(&granted).await.unwrap();
    world.handle().set_storage_low(None);
    world.submit().await;
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_take_the_log_with_it() {
    let world = World::new();
    world.submit().await;
    world.clock.set(Timestamp::from_ms(1_000));
    world.submit().await;
    let records = world.records();
    assert_eq!(records[0].at, records[1].at);
}

#[tokio::test]
async fn a_restart_finds_everything_again() {
    let mut world = World::new();
    world.join(WorkerPlace::Remote).await;
    let done = world.submit().await;
    let granted = world.claim().await;
    world.complete(&granted).await.unwrap();
    let waiting = world.submit().await;
    world.restart();
    assert_eq!(world.state(done), StateName::Completed);
    assert_eq!(world.state(waiting), StateName::Queued);
    assert_eq!(world.finished.position(), Seq(5));
    let start = StartEpoch { epoch: Epoch(uuid::Uuid::from_u128(1)), reset: false, clean_shutdown: true };
    world.handle().submit(Command::StartEpoch(start), Actor::SERVER).await.unwrap();
    assert!(matches!(world.records().last().unwrap().event, Event::EpochStarted(_)));
}

#[tokio::test]
async fn stored_views_that_are_ahead_of_the_log_are_built_again() {
    let mut world = World::new();
    world.submit().await;
    world.finished.put(&[], &[], Seq(1_000)).unwrap();
    world.restart();
    assert_eq!(world.finished.position(), Seq(1));
}

fn a_rate(text: &str) -> Limits {
    Limits { rates: [("default".parse().unwrap(), text.parse().unwrap())].into(), ..Limits::default() }
}

#[tokio::test]
async fn the_engine_wakes_for_the_next_start_of_a_rate_only_while_somebody_waits_for_it() {
    let world = World::new();
    world.handle().set_limits(a_rate("1/s")).unwrap();
    world.join(WorkerPlace::Remote).await;
    world.submit().await;
    let next = world.submit().await;
    let mut due = world.handle().next_due();
    world.claim().await;
    assert_eq!(due.borrow_and_update().first, None, "nobody waits");
    let mut claim = Box::pin(world.handle().claim(SESSION, 1));
    let began = world.clock.now();
    let woken = tokio::select! {
        changed = due.changed() => changed.map(|()| *due.borrow_and_update()),
        _ = claim.as_mut() => panic!("the rate was not kept"),
    };
    assert_eq!(woken.unwrap().first, Some(began.plus(Millis(1000))));
    world.clock.advance(Millis(1000));
    world.handle().submit(Command::Tick, Actor::SERVER).await.unwrap();
    assert_eq!(claim.await.unwrap().take()[0].job, next);
    assert_eq!(world.handle().next_due().borrow().first, None);
    assert_eq!(world.types()[3..], ["job.started", "queue.rate_spent", "job.started", "queue.rate_spent"]);
}

#[tokio::test]
async fn a_rate_that_is_taken_away_lets_those_go_on_who_wait() {
    let world = World::new();
    world.handle().set_limits(a_rate("1/h")).unwrap();
    world.join(WorkerPlace::Remote).await;
    world.submit().await;
    let next = world.submit().await;
    world.claim().await;
    let mut claim = Box::pin(world.handle().claim(SESSION, 1));
    assert!(claim.as_mut().now_or_never().is_none());
    world.handle().set_limits(Limits::default()).unwrap();
    assert_eq!(claim.await.unwrap().take()[0].job, next);
}

#[tokio::test]
async fn a_page_tells_what_each_job_was_before_it() {
    let world = World::new();
    let mut pages = world.handle().feed().subscribe();
    let job = world.submit().await;
    let page = pages.recv().await.unwrap();
    assert_eq!((page.jobs[0].id, page.before[0].as_ref()), (job, None), "a new job was nothing before");
    world.handle().submit(Command::Cancel { job, children: false }, Actor::CLIENT).await.unwrap();
    let page = pages.recv().await.unwrap();
    let (before, now) = page.changes().next().unwrap();
    assert_eq!(before.unwrap().state, StateName::Queued);
    assert_eq!((now.state_name(), &before.unwrap().queue), (StateName::Cancelled, &now.queue));
    let retry =
        crate::domain::command::Retry { job, only_failed_items: false, dependents: false, finished: Vec::new() };
    world.handle().submit(Command::Retry(retry), Actor::CLIENT).await.unwrap();
    let page = pages.recv().await.unwrap();
    let (before, now) = page.changes().next().unwrap();
    assert_eq!((before.unwrap().state, now.state_name()), (StateName::Cancelled, StateName::Queued));
}

#[tokio::test]
async fn progress_that_is_on_no_record_is_noted_only_while_somebody_wants_it() {
    let world = World::new();
    let job = world.submit().await;
    let feed = world.handle().feed();
    feed.progressed(job);
    assert!(feed.take_progressed().is_empty());
    feed.want_progress(true);
    (0..3).for_each(|_| feed.progressed(job));
    assert_eq!(feed.take_progressed().into_iter().collect::<Vec<_>>(), [job]);
    feed.progressed(job);
    feed.want_progress(false);
    assert!(feed.take_progressed().is_empty());
}

#[tokio::test]
async fn a_roll_ends_a_part_of_the_log_behind_all_that_was_submitted_before_it() {
    let world = World::new();
    let (before, rolled, after) =
        tokio::join!(world.submit(), async { world.handle().roll().await.unwrap() }, world.submit());
    assert_eq!((world.state(before), world.state(after)), (StateName::Queued, StateName::Queued));
    let records = world.records();
    let place = |job| records.iter().find(|record| record.event.job() == Some(job)).unwrap().seq;
    assert!(place(before) < rolled, "{rolled}");
    world.submit().await;
    let again = world.handle().roll().await.unwrap();
    assert!(again > rolled && again == world.handle().log().last().next());
    let extent = world.store.extent().unwrap();
    assert_eq!((extent.open, extent.full.last().unwrap().last.next()), (again, again));
    world.store.break_writes();
    let refused = world.handle().submit(Command::Tick, Actor::SERVER);
    let (_, failed) = tokio::join!(refused, async {
        let submit = Submit { jobs: vec![a_job()], idempotency: None, parent: None };
        world.handle().submit(Command::Submit(submit), Actor::CLIENT).await
    });
    assert!(matches!(failed, Err(SubmitError::Halted { .. })));
    assert!(matches!(world.handle().roll().await, Err(SubmitError::Halted { .. })));
}

#[tokio::test]
async fn what_a_worker_says_is_said_by_the_session_that_holds_its_lease_by_then() {
    let world = World::new();
    world.join(WorkerPlace::Remote).await;
    world.submit().await;
    let granted = world.claim().await;
    let other = SessionId(uuid::Uuid::from_u128(8));
    let kinds = Vec::new();
    let join = JoinWorker { session: other, name: "ann".into(), kinds, queues: None, place: WorkerPlace::Remote };
    world.handle().submit(Command::JoinWorker(join), Actor::SERVER).await.unwrap();
    let adopt = Command::Adopt { session: other, proofs: vec![proof(&granted)] };
    world.handle().submit(adopt, Actor::worker(other)).await.unwrap();
    // The call was made when the session before still had it.
    world.complete(&granted).await.unwrap();
    let last = world.records().pop().unwrap();
    assert_eq!((last.event.type_name(), last.actor), ("job.completed", Actor::worker(other)));
}
