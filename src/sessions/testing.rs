//! A server without a network and without a disk, for the tests of sessions and workers: the real engine on a log in
//! memory, the machine's clock, ticks, and ports that remember.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, watch};

use crate::clock::{Clock, SystemClock};
use crate::domain::command::{Answer, Command, NewJob, StartEpoch, Submit};
use crate::domain::event::{Actor, Event, Record};
use crate::domain::id::{Epoch, JobId, Seq};
use crate::domain::job::{FileInfo, Job, StateName};
use crate::domain::queue::Limits;
use crate::domain::time::{Millis, Timestamp};
use crate::engine::recovery::recover;
use crate::engine::{Engine, Handle, Parts as EngineParts};
use crate::kinds::Catalog;
use crate::kinds::request::parse_job;
use crate::log::base::LogTrimmer;
use crate::log::memory::MemoryLog;
use crate::log::{AppendError, EventLog, LogReader};
use crate::sessions::ports::{JobFiles, JobLogs, LogLine};
use crate::sessions::registry::{Parts, Sessions, Settings};
use crate::views::MemoryFinished;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often time passes.
const TICK_EVERY: Duration = Duration::from_millis(10);

/// The epoch of every such server.
pub(crate) const EPOCH: Epoch = Epoch(uuid::Uuid::from_u128(0x00e0));

/// A server without a network.
pub(crate) struct World {
    pub handle: Handle,
    pub sessions: Arc<Sessions>,
    pub logs: Arc<MemoryLogs>,
    pub gate: Arc<Gate>,
    _engine: Engine,
    _catalog: watch::Sender<Arc<Catalog>>,
}

/// What stands before the log in memory: while it is shut, nothing becomes durable.
#[derive(Default)]
pub(crate) struct Gate {
    is_shut: Mutex<bool>,
    opened: Condvar,
    reached: Notify,
}

impl Gate {
    pub fn shut(&self) {
        *self.is_shut.lock() = true;
    }

    pub fn open(&self) {
        *self.is_shut.lock() = false;
        self.opened.notify_all();
    }

    /// Waits until a commit stands before the gate.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    fn pass(&self) {
        let mut is_shut = self.is_shut.lock();
        while *is_shut {
            self.reached.notify_one();
            self.opened.wait(&mut is_shut);
        }
    }
}

/// The log in memory, behind its gate.
struct GatedLog {
    log: MemoryLog,
    gate: Arc<Gate>,
}

impl EventLog for GatedLog {
    fn last(&self) -> Seq {
        self.log.last()
    }

    fn submit(&mut self, records: Arc<[Record]>) -> Result<(), AppendError> {
        self.log.submit(records)
    }

    fn committed(&mut self) -> Result<Seq, AppendError> {
        self.gate.pass();
        self.log.committed()
    }

    fn in_flight_max(&self) -> usize {
        self.log.in_flight_max()
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.log.reader()
    }

    fn roll(&mut self) -> Result<Seq, AppendError> {
        self.log.roll()
    }

    fn trimmer(&self) -> Arc<dyn LogTrimmer> {
        self.log.trimmer()
    }

    fn close(self: Box<Self>) -> Result<(), AppendError> {
        Box::new(self.log).close()
    }
}

/// Log lines in memory.
#[derive(Default)]
pub(crate) struct MemoryLogs {
    lines: Mutex<HashMap<JobId, Vec<LogLine>>>,
    synced: Mutex<HashMap<JobId, usize>>,
    appended: Notify,
}

/// Files in memory.
#[derive(Default)]
pub(crate) struct MemoryFiles {
    pub files: Mutex<HashMap<(JobId, String), Vec<u8>>>,
}

/// Lets time pass in the core.
async fn tick(handle: Handle) {
    let mut beats = tokio::time::interval(TICK_EVERY);
    while handle.submit(Command::Tick, Actor::SERVER).await.is_ok() {
        beats.tick().await;
    }
}

impl World {
    pub async fn start() -> World {
        let (lease, ping) = (Millis::from_secs(30), Millis::from_secs(10));
        World::with(Settings { lease, ping, grace: ping }).await
    }

    /// A server with these spans.
    pub async fn with(settings: Settings) -> World {
        let gate = Arc::new(Gate::default());
        let log = Box::new(GatedLog { log: MemoryLog::new(), gate: gate.clone() });
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let finished = Arc::new(MemoryFinished::default());
        let recovered = recover(&log.reader(), |_| None, finished, &|_| ()).expect("an empty log is recovered");
        let parts = EngineParts {
            log,
            state: recovered.state,
            views: recovered.views,
            limits: Limits::default(),
            clock: clock.clone(),
            seed: 1,
        };
        let (engine, handle) = Engine::start(parts);
        let start = StartEpoch { epoch: EPOCH, reset: false, clean_shutdown: true };
        handle.submit(Command::StartEpoch(start), Actor::SERVER).await.expect("the epoch begins");
        tokio::spawn(tick(handle.clone()));
        let logs = Arc::new(MemoryLogs::default());
        let (catalog, catalogs) = watch::channel(Arc::new(Catalog::default()));
        let sessions = Sessions::start(Parts {
            engine: handle.clone(),
            logs: logs.clone(),
            clock,
            catalog: catalogs,
            epoch: EPOCH,
            settings,
        });
        World { handle, sessions, logs, gate, _engine: engine, _catalog: catalog }
    }

    /// Submits a job as `POST /api/jobs` would; `change` has the last word.
    pub async fn submit(&self, request: serde_json::Value, change: impl FnOnce(&mut NewJob)) -> JobId {
        let mut job = parse_job(&request.to_string(), &Catalog::default()).expect("the request is right");
        change(&mut job);
        let submit = Submit { jobs: vec![job], idempotency: None, parent: None };
        match self.handle.submit(Command::Submit(submit), Actor::CLIENT).await.expect("the job is taken").answer {
            Answer::Submitted { jobs, .. } => jobs[0],
            other => panic!("a submission answers with its jobs, not {other:?}"),
        }
    }

    pub async fn cancel(&self, job: JobId) {
        self.handle.submit(Command::Cancel { job, children: false }, Actor::CLIENT).await.expect("the job is active");
    }

    pub fn job(&self, id: JobId) -> Arc<Job> {
        self.handle.views().job(id).expect("the views can be read").expect("the job is there")
    }

    /// Waits until something holds of a job.
    pub async fn until(&self, id: JobId, what: &str, holds: impl Fn(&Job) -> bool) -> Arc<Job> {
        let mut head = self.handle.feed().head();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                head.borrow_and_update();
                let job = self.job(id);
                if holds(&job) {
                    return job;
                }
                head.changed().await.expect("the engine runs");
            }
        });
        waited.await.unwrap_or_else(|_| {
            panic!(
                "job {id} never came to: {what}\n{:#?}\n{:?}\n{:#?}",
                self.job(id),
                self.types_of(id),
                self.logs.of(id)
            )
        })
    }

    /// Waits until a worker is there.
    pub async fn until_joined(&self) {
        let mut head = self.handle.feed().head();
        let joined = async {
            while self.handle.views().workers().is_empty() {
                head.changed().await.expect("the engine runs");
            }
        };
        tokio::time::timeout(PATIENCE, joined).await.expect("a worker joins in time");
    }

    pub async fn until_ended(&self, id: JobId) -> Arc<Job> {
        self.until(id, "an end", Job::is_terminal).await
    }

    pub async fn until_state(&self, id: JobId, state: StateName) -> Arc<Job> {
        self.until(id, state.as_str(), |job| job.state_name() == state).await
    }

    /// Waits until a line with this text is in the log of a job.
    pub async fn until_logged(&self, id: JobId, text: &str) {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let appended = self.logs.appended.notified();
                if self.logs.texts(id).iter().any(|line| line.contains(text)) {
                    return;
                }
                appended.await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{text:?} was never logged: {:?}", self.logs.texts(id)))
    }

    pub fn records_of(&self, id: JobId) -> Vec<Record> {
        let log = self.handle.log();
        let mut records: Vec<Record> = Vec::new();
        let mut after = Seq::ZERO;
        loop {
            let page = log.page_after(after).expect("the log can be read");
            let Some(last) = page.last() else { return records };
            after = last.seq;
            records.extend(page.into_iter().filter(|record| record.event.job() == Some(id)));
        }
    }

    pub fn types_of(&self, id: JobId) -> Vec<&'static str> {
        self.records_of(id).iter().map(|record| record.event.type_name()).collect()
    }

    /// The result of a completed job.
    pub fn result_of(&self, id: JobId) -> serde_json::Value {
        let completed = self.records_of(id).into_iter().find_map(|record| match record.event {
            Event::JobCompleted(completed) => Some(completed.result),
            _ => None,
        });
        completed.expect("the job is completed").map_or(serde_json::Value::Null, |result| result.to_value())
    }
}

impl MemoryLogs {
    pub fn of(&self, job: JobId) -> Vec<LogLine> {
        self.lines.lock().get(&job).cloned().unwrap_or_default()
    }

    pub fn texts(&self, job: JobId) -> Vec<String> {
        self.of(job).into_iter().map(|line| line.text.to_string()).collect()
    }

    /// Whether every line of a job was made durable.
    pub fn is_synced(&self, job: JobId) -> bool {
        self.synced.lock().get(&job).copied().unwrap_or(0) == self.of(job).len()
    }
}

impl JobLogs for MemoryLogs {
    fn append(&self, job: JobId, _at: Timestamp, lines: &[LogLine]) -> io::Result<()> {
        self.lines.lock().entry(job).or_default().extend_from_slice(lines);
        self.appended.notify_waiters();
        Ok(())
    }

    fn needs_sync(&self, job: JobId) -> bool {
        self.synced.lock().get(&job).copied().unwrap_or(0) < self.of(job).len()
    }

    fn sync(&self, job: JobId) -> io::Result<()> {
        self.synced.lock().insert(job, self.of(job).len());
        Ok(())
    }
}

impl JobFiles for MemoryFiles {
    fn adopt(&self, job: JobId, name: &str, from: &Path) -> io::Result<FileInfo> {
        let bytes = std::fs::read(from)?;
        let info = FileInfo { name: name.into(), media_type: "text/plain".into(), size: bytes.len() as u64 };
        self.files.lock().insert((job, name.to_owned()), bytes);
        Ok(info)
    }
}
