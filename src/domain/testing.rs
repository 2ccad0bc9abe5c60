//! A small world for tests of the core: commands in, records out, on a clock that stands still until it is moved.
//!
//! A test reads given / when / then: the methods of [`World`] named in the past tense give, [`World::when`] asks for one
//! thing, and [`Then`] says what must have come of it. After every record all invariants are checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::batch::{ItemReport, ItemState, NewItem};
use crate::domain::command::{
    Answer, Claim, Command, Dependency, Forget, Grant, IdempotencyKey, JoinWorker, LeaseProof, Lose, NewJob, Retry,
    StartEpoch, Submit,
};
use crate::domain::decide::retry::to_revive;
use crate::domain::decide::{Chance, Context, Decision, decide};
use crate::domain::event::{Actor, Event, JobLateResult, LateCall, LossCause, QueuedCause, Record};
use crate::domain::evolve::evolve;
use crate::domain::id::{Epoch, JobId, KindName, Ordinal, QueueName, ScheduleName, SessionId, TokenHash};
use crate::domain::invariants::{check, check_step};
use crate::domain::job::{Job, JobError, StateName, WorkerPlace};
use crate::domain::json::Json;
use crate::domain::queue::Limits;
use crate::domain::refusal::Refusal;
use crate::domain::retention::{Keep, Round, Rules};
use crate::domain::schedule::{Missed, Origin, Overlap, ScheduleSpec};
use crate::domain::state::{Slot, State};
use crate::domain::time::{Millis, Timestamp};

/// A larger world is not checked after each record, because a check looks at all jobs.
const CHECKED_JOBS_MAX: u64 = 256;

/// A state, the log that led to it, and everything else that a decision may look at.
pub struct World {
    pub state: State,
    pub now: Timestamp,
    pub limits: Limits,
    pub held: BTreeSet<Ordinal>,
    pub records: Vec<Record>,
    /// Finished jobs in full, as the views would have them.
    pub finished: BTreeMap<JobId, Arc<Job>>,
    numbers: u64,
}

/// What came of a command.
pub struct Then<'a> {
    pub world: &'a mut World,
    pub events: Vec<Event>,
    pub outcome: Result<Answer, Refusal>,
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

impl World {
    /// A server that has just started for the first time.
    pub fn new() -> World {
        let mut world = World {
            state: State::default(),
            now: Timestamp::from_ms(1_790_000_000_000),
            limits: Limits::default(),
            held: BTreeSet::new(),
            records: Vec::new(),
            finished: BTreeMap::new(),
            numbers: 0,
        };
        world.restarted();
        world
    }

    /// A number that was not given before.
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Asks for one thing, after everything from before is settled. What follows from it is not settled yet.
    pub fn when(&mut self, command: Command) -> Then<'_> {
        self.settle_all();
        self.take(command)
    }

    /// Does what must not be refused, and settles what follows from it.
    pub fn given(&mut self, command: Command) -> Answer {
        let answer = self.when(command).outcome.expect("what is given is not refused");
        self.settle_all();
        answer
    }

    /// A call came too late and was refused.
    pub fn given_late(&mut self, command: Command) {
        self.when(command).outcome.expect_err("a late call is refused");
    }

    fn settle_all(&mut self) {
        while !self.state.indexes().unsettled().is_empty() {
            let settled = self.take(Command::Settle);
            assert!(!settled.events.is_empty(), "settling makes progress");
        }
    }

    /// Asks for one thing, whether or not what came before is settled.
    pub fn take(&mut self, command: Command) -> Then<'_> {
        let seed = self.number();
        let Decision { events, outcome } = self.decided(command.clone(), seed);
        let again = self.decided(command, seed);
        assert_eq!((&events, &outcome), (&again.events, &again.outcome), "a decision follows from its inputs (D1)");
        self.append(&events);
        Then { world: self, events, outcome }
    }

    fn decided(&self, command: Command, seed: u64) -> Decision {
        let chance = Chance::new(seed);
        let mut ctx = Context { now: self.now, limits: &self.limits, held: &self.held, chance };
        decide(&self.state, &mut ctx, command)
    }

    /// Gives events their places in the log and applies them.
    pub fn append(&mut self, events: &[Event]) {
        let is_checked = self.state.last_ordinal().0 + events.len() as u64 <= CHECKED_JOBS_MAX;
        for (place, event) in events.iter().enumerate() {
            let record = Record {
                seq: self.state.seq().next(),
                at: self.now,
                previous: event.job().and_then(|id| self.state.slot(id)).map(Slot::last_seq),
                actor: Actor::CLIENT,
                continues: place + 1 < events.len(),
                event: event.clone(),
            };
            let before = is_checked.then(|| self.state.clone());
            let job = evolve(&mut self.state, &record);
            if let Some(before) = before {
                check_step(&before, &record, &self.state).unwrap_or_else(|broken| panic!("{broken}"));
                check(&self.state).unwrap_or_else(|broken| panic!("after {record:?}: {broken}"));
            }
            if let Some(job) = job.filter(|job| job.is_terminal()) {
                self.finished.insert(job.id, job);
            }
            self.records.push(record);
        }
    }

    /// Moves the clock; nothing happens by that alone.
    pub fn passed(&mut self, span: Millis) {
        self.now = self.now.plus(span);
    }

    /// The server is started; nothing else is done for it.
    pub fn restarted(&mut self) {
        let epoch = Epoch(Uuid::from_u128(u128::from(self.number())));
        self.given(Command::StartEpoch(StartEpoch { epoch, reset: false, clean_shutdown: true }));
    }

    /// The state is written down in parts and read back.
    pub fn reread(&mut self) {
        let slots: Vec<Slot> = self.state.slots().cloned().collect();
        self.state = State::from_parts(self.state.globals(), slots.into_iter().rev());
    }

    /// A job was accepted.
    pub fn submitted(&mut self, job: NewJob) -> JobId {
        self.submitted_all([job])[0]
    }

    /// Jobs were accepted in one request.
    pub fn submitted_all(&mut self, jobs: impl IntoIterator<Item = NewJob>) -> Vec<JobId> {
        match self.given(submit_all(jobs)) {
            Answer::Submitted { jobs, .. } => jobs,
            other => panic!("a submission answers with its jobs, not {other:?}"),
        }
    }

    /// A worker joined that runs every kind from every queue.
    pub fn joined(&mut self) -> SessionId {
        self.joined_for(&[], None)
    }

    /// A worker joined that runs these kinds (none: all) from these queues.
    pub fn joined_for(&mut self, kinds: &[&str], queues: Option<&[&str]>) -> SessionId {
        let session = SessionId(Uuid::from_u128(u128::from(self.number())));
        self.given(Command::JoinWorker(JoinWorker {
            session,
            name: "worker".into(),
            kinds: kinds.iter().map(|name| kind(name)).collect(),
            queues: queues.map(|queues| queues.iter().map(|name| queue(name)).collect()),
            place: WorkerPlace::Remote,
        }));
        session
    }

    /// The session is offered up to `most` jobs and holds what it was granted.
    pub fn dealt(&mut self, session: SessionId, most: usize) -> Vec<LeaseProof> {
        let tokens: Vec<TokenHash> = (0..most).map(|_| self.token()).collect();
        let claim = Claim { session, tokens: tokens.clone() };
        match self.given(Command::Deal { claims: vec![claim] }) {
            Answer::Granted(grants) => grants[0].iter().zip(tokens).map(proof_of).collect(),
            other => panic!("a deal answers with grants, not {other:?}"),
        }
    }

    /// A job runs on a worker of its own.
    pub fn running(&mut self, job: NewJob) -> LeaseProof {
        let id = self.submitted(job);
        self.run(id)
    }

    /// A queued job is given to a new worker.
    pub fn run(&mut self, id: JobId) -> LeaseProof {
        let job = self.job(id);
        let session = self.joined_for(&[job.kind.as_str()], Some(&[job.queue.as_str()]));
        let others: BTreeSet<Ordinal> = self.state.jobs().map(|job| job.id.ordinal()).collect();
        let held = std::mem::replace(&mut self.held, &others - &BTreeSet::from([id.ordinal()]));
        let proof = self.dealt(session, 1).pop().expect("a queued job is granted");
        self.held = held;
        proof
    }

    /// A secret that was not given before.
    pub fn token(&mut self) -> TokenHash {
        TokenHash(u128::from(self.number()).to_be_bytes())
    }

    /// A job, whether it has ended or not.
    pub fn job(&self, id: JobId) -> Arc<Job> {
        self.state.active(id).or_else(|| self.finished.get(&id)).expect("the job is known").clone()
    }

    /// The state that a job is in.
    pub fn state_of(&self, id: JobId) -> StateName {
        self.state.slot(id).expect("the job is known").state_name()
    }

    /// The session that holds the lease of a job.
    pub fn holder(&self, job: JobId) -> SessionId {
        self.state.active(job).and_then(|job| job.run()).expect("the job runs").lease.session
    }

    /// The command to run a job again, with what the engine adds to it.
    pub fn retry(&self, job: JobId, only_failed_items: bool, dependents: bool) -> Command {
        let ids = match self.state.slot(job) {
            Some(Slot::Finished(_)) => to_revive(&self.state, job, dependents),
            Some(Slot::Active(_)) | None => Vec::new(),
        };
        let finished = ids.iter().map(|id| self.finished[id].clone()).collect();
        Command::Retry(Retry { job, only_failed_items, dependents, finished })
    }
}

impl Then<'_> {
    /// It was done, and exactly these events say so.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = Event>) -> Self {
        assert!(self.outcome.is_ok(), "refused: {:?}", self.outcome);
        assert_eq!(self.events, events.into_iter().collect::<Vec<Event>>());
        self
    }

    /// It was done, and events of these types say so.
    #[track_caller]
    pub fn then_types(self, types: &[&str]) -> Self {
        assert!(self.outcome.is_ok(), "refused: {:?}", self.outcome);
        assert_eq!(self.events.iter().map(Event::type_name).collect::<Vec<_>>(), types);
        self
    }

    /// It was answered, and nothing happened.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then([])
    }

    /// It was refused, and nothing happened.
    #[track_caller]
    pub fn then_refused(self, refusal: Refusal) -> Self {
        assert_eq!((&self.outcome, &self.events), (&Err(refusal), &Vec::new()));
        self
    }

    /// It was refused for a stale token, and all that remains is evidence.
    #[track_caller]
    pub fn then_refused_as_late(self, job: JobId, call: LateCall) -> Self {
        let evidence: Event = JobLateResult { job, call }.into();
        assert_eq!((&self.outcome, &self.events), (&Err(Refusal::LeaseLost { job }), &vec![evidence]));
        self
    }

    /// What was answered.
    #[track_caller]
    pub fn and_answered(self, answer: Answer) -> Self {
        assert_eq!(self.outcome, Ok(answer));
        self
    }

    /// The job that the state has now.
    pub fn and_job(self, id: JobId, look: impl FnOnce(&Job)) -> Self {
        look(&self.world.job(id));
        self
    }

    /// The state that a job is in now.
    #[track_caller]
    pub fn and_state(self, id: JobId, state: StateName) -> Self {
        assert_eq!(self.world.state_of(id), state);
        self
    }

    /// What followed when it was settled.
    #[track_caller]
    pub fn and_settled(self, events: impl IntoIterator<Item = Event>) -> Self {
        let settled = self.world.take(Command::Settle);
        assert_eq!(settled.events, events.into_iter().collect::<Vec<Event>>());
        self
    }
}

fn proof_of((grant, token): (&Grant, TokenHash)) -> LeaseProof {
    LeaseProof { job: grant.job, token }
}

/// A plain job of the kind `resize`.
pub fn a_job() -> NewJob {
    NewJob::plain(kind("resize"), queue("default"), Json::from_checked("{}"))
}

/// A job that waits for others.
pub fn a_job_after(jobs: &[JobId]) -> NewJob {
    NewJob { depends_on: jobs.iter().copied().map(Dependency::Job).collect(), ..a_job() }
}

/// A job with items.
pub fn a_batch(keys: &[&str]) -> NewJob {
    NewJob { items: items(keys), ..a_job() }
}

/// A kind's name.
pub fn kind(name: &str) -> KindName {
    name.parse().expect("a good name")
}

/// The name of a schedule.
pub fn schedule_name(name: &str) -> ScheduleName {
    name.parse().expect("a name")
}

/// A schedule of a client, which queues its jobs.
pub fn a_schedule() -> ScheduleSpec {
    ScheduleSpec {
        cron: "@daily".into(),
        time_zone: "UTC".into(),
        job: Json::from_checked(r#"{"kind":"k","args":{}}"#),
        missed: Missed::Once,
        overlap: Overlap::Queue,
        origin: Origin::Api,
    }
}

/// A queue's name.
pub fn queue(name: &str) -> QueueName {
    name.parse().expect("a good name")
}

/// Items without args.
pub fn items(keys: &[&str]) -> Vec<NewItem> {
    keys.iter().map(|&key| NewItem { key: key.into(), args: None }).collect()
}

/// A report of one item.
pub fn report(key: &str, state: ItemState) -> ItemReport {
    ItemReport { key: key.into(), state, result: None, error: None }
}

/// An error that a worker reports.
pub fn an_error(retryable: bool) -> JobError {
    JobError { code: "broken".into(), message: "it broke".into(), details: None, retryable, attempt: 0 }
}

pub fn submit(job: NewJob) -> Command {
    submit_all([job])
}

pub fn submit_all(jobs: impl IntoIterator<Item = NewJob>) -> Command {
    Command::Submit(Submit { jobs: jobs.into_iter().collect(), idempotency: None, parent: None })
}

/// A submission by the worker that runs the parent.
pub fn submit_children(parent: LeaseProof, jobs: impl IntoIterator<Item = NewJob>) -> Command {
    Command::Submit(Submit { jobs: jobs.into_iter().collect(), idempotency: None, parent: Some(parent) })
}

/// A submission with an idempotency key; `request` stands for the request's JSON.
pub fn submit_once(key: &str, request: u8, jobs: impl IntoIterator<Item = NewJob>) -> Command {
    let idempotency = Some(IdempotencyKey { key: key.into(), request_hash: [request; 16] });
    Command::Submit(Submit { jobs: jobs.into_iter().collect(), idempotency, parent: None })
}

pub fn complete(proof: LeaseProof) -> Command {
    Command::Complete { proof, result: None }
}

pub fn fail(proof: LeaseProof, retryable: bool) -> Command {
    Command::Fail { proof, error: an_error(retryable) }
}

pub fn release(proof: LeaseProof) -> Command {
    Command::Release { proof, cause: QueuedCause::Released }
}

pub fn cancel(job: JobId) -> Command {
    Command::Cancel { job, children: false }
}

pub fn lose(job: JobId, session: SessionId, cause: LossCause) -> Command {
    Command::Lose(Lose { job, session, cause })
}

/// A history in which jobs wait, run, end, are retried, wait for each other, are batches, are purged and forgotten.
pub fn history(rounds: usize) -> World {
    let mut world = World::new();
    let session = world.joined();
    for round in 0..rounds {
        let first = world.submitted(a_job());
        world.submitted(a_job_after(&[first]));
        world.submitted(a_batch(&["one", "two"]));
        for (place, proof) in world.dealt(session, 2).into_iter().enumerate() {
            match (place + round) % 3 {
                0 => world.given(complete(proof)),
                1 => world.given(fail(proof, false)),
                _ => world.given(Command::Release { proof, cause: QueuedCause::Released }),
            };
            if round % 7 == 0 && world.state_of(proof.job) == StateName::Failed {
                let retry = world.retry(proof.job, false, true);
                world.given(retry);
            }
            if round % 5 == 0 && world.state_of(proof.job).is_terminal() {
                world.given(Command::Purge { job: proof.job });
            }
        }
        if round % 10 == 9 {
            let rules = Arc::new(Rules { general: Keep { age: Millis(u64::MAX), count: 9 }, ..Rules::default() });
            let earliest = world.state.seq();
            world.given(Command::Forget(Forget { rules, round: Round::default(), earliest }));
        }
    }
    assert!(world.records.iter().any(|record| matches!(record.event, Event::JobsForgotten(_))));
    world
}
