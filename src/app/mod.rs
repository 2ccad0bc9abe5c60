//! The composition root: from a configuration to a running server and back to an empty process. The only place that
//! knows every adapter; it wires and decides nothing about jobs.
//!
//! The order of a start matters: the door opens first and says `starting`; what a killed server left running is ended;
//! the log is opened, and only when it was found sound stdout says where the server listens; the log is folded; the
//! epoch begins; jobs of dead workers are queued again; only then anything is granted.

pub mod backup;
mod chores;
pub mod data;
pub mod export;
pub mod import;
pub mod lines;
mod reload;
pub mod replay;
pub mod restore;
pub mod source;
pub mod verify;
pub mod work;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::api;
use crate::api::context::{ApiContext, Identity};
use crate::api::door::Door;
use crate::api::listener::{CONNECTIONS_MAX, serve as serve_http};
use crate::api::past::Pasts;
use crate::api::websocket::shared_line::write_text;
use crate::app::chores::Chores;
use crate::app::data::{Data, DataError, OpenLog};
use crate::auth::Gate;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::domain::command::{Command, StartEpoch};
use crate::domain::event::{Actor, WorkerLeftCause};
use crate::domain::id::{Epoch, SessionId};
use crate::domain::job::WorkerPlace;
use crate::domain::state::State;
use crate::domain::time::{Millis, Timestamp};
use crate::engine::past::PastStates;
use crate::engine::{self, Engine, Handle, SubmitError};
use crate::live::position::Epochs;
use crate::live::{self, Live};
use crate::log::AppendError;
use crate::maintenance::scheduler;
use crate::metrics;
use crate::sessions::{self, Sessions, Settings};
use crate::shutdown::{self, Request, Signals};
use crate::storage::{BackupFiles, DirectoryLock};
use crate::workers::file_limit;
use crate::workers::orphans::{LiveGroups, end_orphans};
use crate::workers::unix::UnixLauncher;
use crate::workers::{RunSpec, Supervisor, Workshop};

/// How long the connections of workers may take to be closed.
const PART_WITHIN: Duration = Duration::from_secs(5);
/// How long children may take to end when the server is told to stop.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);
/// How long an address that is taken is waited for.
const BIND_WAIT_MAX: Duration = Duration::from_secs(1);
const BIND_RETRY: Duration = Duration::from_millis(20);
/// Files that connections leave alone: the log, the views and children have them.
const FILES_RESERVED: u64 = 256;
/// One connection for so many of the others.
const FILES_A_CONNECTION: u64 = 3;
/// How long open connections may take to end after that.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Why the server could not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("could not listen on {listen}")]
    Listen { listen: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("could not {step}")]
    Step { step: &'static str, source: std::io::Error },
    #[error("metrics could not be set up")]
    Metrics(#[source] metrics_exporter_prometheus::BuildError),
    #[error("the server could not begin its work")]
    Begin(#[source] SubmitError),
    #[error("the log could not be closed in order")]
    Close(#[source] AppendError),
}

impl ServeError {
    fn step(step: &'static str) -> impl FnOnce(std::io::Error) -> ServeError {
        move |source| ServeError::Step { step, source }
    }
}

/// Runs the server until a signal ends it. The first line on stdout says where it listens: once the port is taken, the
/// directory is locked and the log is found sound. Whoever has read it may submit, and waits while the log is folded.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    let signals = Signals::listen().map_err(ServeError::step("listen to signals"))?;
    let connections_max = match file_limit::raise() {
        Ok(files) => connections_for(files),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it is");
            CONNECTIONS_MAX
        }
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let identity =
        Identity { epoch: Epoch(uuid::Uuid::now_v7()), started_at: clock.now(), version: env!("CARGO_PKG_VERSION") };
    let (door, address, closing) = open_door(&config, identity, connections_max).await?;
    let log = open_log(&config, clock.now()).await?;
    say_where(address)?;
    let data = open_data(&config, log, &door).await?;
    let running = Running::begin(config, identity, clock, data, address, &door).await?;
    tracing::info!(epoch = %identity.epoch, %address, "the server is ready");
    running.until_stopped(signals).await?;
    closing.close().await;
    Ok(())
}

/// The listening server, apart from what is behind the door.
struct Closing {
    trigger: shutdown::Trigger,
    listener: tokio::task::JoinHandle<()>,
}

impl Closing {
    async fn close(self) {
        self.trigger.stop();
        // Whoever still holds a connection open after that is cut off by the end of the process.
        let _ = tokio::time::timeout(CLOSE_WITHIN, self.listener).await;
    }
}

/// Takes the address. One that is taken is waited for a moment: a child that a killed server was just starting holds a
/// copy of its socket until it has become another program.
async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    let until = Instant::now() + BIND_WAIT_MAX;
    loop {
        match TcpListener::bind(listen).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < until => {
                tokio::time::sleep(BIND_RETRY).await;
            }
            bound => return bound,
        }
    }
}

/// How many connections there may be when so many files may be open: those who only connect must not take the last file
/// that the log needs. A request opens a file or two beside its connection.
fn connections_for(files: u64) -> u32 {
    let files = files.saturating_sub(FILES_RESERVED);
    u32::try_from(files / FILES_A_CONNECTION).unwrap_or(u32::MAX).clamp(1, CONNECTIONS_MAX)
}

async fn open_door(
    config: &Config,
    identity: Identity,
    connections_max: u32,
) -> Result<(Arc<Door>, SocketAddr, Closing), ServeError> {
    let listen = config.listen;
    let failed = |source| ServeError::Listen { listen, source };
    let listener = bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let door = Arc::new(api::door(identity, Gate::new(address, config.allowed_origins.clone())));
    let (trigger, stop) = shutdown::channel();
    let listener = tokio::spawn(serve_http(listener, connections_max, door.clone().filter(), stop.wait()));
    Ok((door, address, Closing { trigger, listener }))
}

fn say_where(address: SocketAddr) -> Result<(), ServeError> {
    let mut stdout = std::io::stdout().lock();
    let said = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
    said.map_err(ServeError::step("say on stdout where it listens"))
}

async fn open_log(config: &Config, now: Timestamp) -> Result<OpenLog, ServeError> {
    let config = config.clone();
    blocking(move || {
        end_what_was_left(&config.data)?;
        Ok(data::open_log(&config, now)?)
    })
    .await
}

async fn open_data(config: &Config, log: OpenLog, door: &Arc<Door>) -> Result<Data, ServeError> {
    let (config, door) = (config.clone(), door.clone());
    blocking(move || Ok(data::open(&config, log, &|fraction| door.set_progress(fraction))?)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServeError> + Send + 'static,
) -> Result<T, ServeError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Ends what a killed server left running. Only under the directory's lock: while a server lives, what runs is its own.
fn end_what_was_left(data: &Path) -> Result<(), ServeError> {
    let _lock = DirectoryLock::take(data).map_err(DataError::Open)?;
    let swept = end_orphans(&data.join("groups")).map_err(ServeError::step("end what was left running"))?;
    if swept.ended > 0 {
        tracing::warn!(groups = swept.ended, "ended what a killed server had left running");
    }
    Ok(())
}

/// Everything that runs behind the door.
struct Running {
    config: Config,
    clock: Arc<dyn Clock>,
    handle: Handle,
    engine: Engine,
    supervisor: Supervisor,
    sessions: Arc<Sessions>,
    live: Arc<Live>,
    chores: Chores,
    rules: reload::Rules,
}

impl Running {
    async fn begin(
        config: Config,
        identity: Identity,
        clock: Arc<dyn Clock>,
        data: Data,
        address: SocketAddr,
        door: &Door,
    ) -> Result<Running, ServeError> {
        let metrics = metrics::install().map_err(ServeError::Metrics)?;
        let before = Before::of(&data.state);
        let epochs = Epochs::new(data.state.epochs(), data.state.seq(), identity.epoch);
        let pasts = Pasts::new(PastStates::new(data.log.reader()));
        let parts = engine::Parts {
            log: data.log,
            state: data.state,
            views: data.views.clone(),
            limits: config.limits.clone(),
            clock: clock.clone(),
            seed: uuid::Uuid::new_v4().as_u128() as u64,
        };
        let (engine, handle) = Engine::start(parts);
        handle.views().set_limits(config.limits.clone());
        let start = StartEpoch { epoch: identity.epoch, reset: data.was_reset, clean_shutdown: data.clean_shutdown };
        begin_epoch(&handle, start, before.gone).await.map_err(ServeError::Begin)?;
        scheduler::set_configured(&handle, &*clock, &config.schedules).await.map_err(ServeError::Begin)?;
        let (rules, following) = reload::Rules::new(&config);
        let ping = Millis(config.lease.0 / 3);
        let live = Live::start(live::Parts {
            engine: handle.clone(),
            logs: data.job_logs.clone(),
            clock: clock.clone(),
            epochs,
            started_at: identity.started_at,
            version: identity.version,
            wire: write_text,
            settings: live_settings(&config, ping),
        });
        let sessions = Sessions::start(sessions::Parts {
            engine: handle.clone(),
            logs: data.job_logs.clone(),
            clock: clock.clone(),
            catalog: following.catalog.clone(),
            epoch: identity.epoch,
            settings: Settings { lease: config.lease, ping, grace: config.reconnect_grace },
        });
        sessions.expect_back(before.may_come_back);
        let (traces, hold) = (data.chores.traces.clone(), data.chores.hold.clone());
        let chores = Chores::start(&config, &handle, &clock, &data.views, &following, metrics.clone(), data.chores)?;
        let groups = LiveGroups::open(&config.data.join("groups"), identity.epoch)
            .map_err(ServeError::step("keep a record of children"))?;
        let workshop = Workshop {
            sessions: sessions.clone(),
            files: data.job_files.clone(),
            launcher: Arc::new(UnixLauncher),
            groups,
            scratch: config.data.join("scratch"),
            server_url: format!("http://{address}"),
        };
        let supervisor = Supervisor::start(run_specs(&config), workshop);
        door.open(Arc::new(ApiContext {
            identity,
            lineage: data.lineage,
            handle: handle.clone(),
            sessions: sessions.clone(),
            live: live.clone(),
            clock: clock.clone(),
            logs: data.job_logs,
            files: data.job_files,
            traces,
            data: Arc::new(BackupFiles::of(&config.data)),
            hold,
            pasts,
            metrics,
            catalog: following.catalog,
            limits: following.limits,
        }));
        Ok(Running { config, clock, handle, engine, supervisor, sessions, live, chores, rules })
    }

    async fn until_stopped(mut self, mut signals: Signals) -> Result<(), ServeError> {
        let mut condition = self.handle.condition();
        loop {
            match signals.request().await {
                Request::Stop => break,
                Request::Reload => self.reload().await,
            }
        }
        tracing::info!("stopping: children are told to end");
        self.handle.begin_stopping();
        // Workers elsewhere keep their leases and come back; first, because nothing may count as silence from now on.
        let parted = async { tokio::join!(self.sessions.part(), self.live.part()) };
        if tokio::time::timeout(PART_WITHIN, parted).await.is_err() {
            tracing::warn!("some connections of workers and pages were not closed in order");
        }
        let drained = self.supervisor.drain(DRAIN_WITHIN).await;
        if drained.late > 0 {
            tracing::warn!(children = drained.late, "some children did not end in time");
        }
        self.sessions.close();
        let is_halted = matches!(*condition.borrow_and_update(), engine::Condition::Halted { .. });
        self.chores.stop(is_halted).await;
        let Running { handle, engine, .. } = self;
        handle.close();
        drop(handle);
        let joined = tokio::task::spawn_blocking(move || engine.join()).await;
        let closed = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        if is_halted { Ok(()) } else { closed.map_err(ServeError::Close) }
    }

    /// Reads kinds, queues, schedules and retention again. A configuration that is wrong changes nothing.
    async fn reload(&mut self) {
        match self.rules.read_again(&self.config) {
            Ok(config) => {
                self.supervisor.apply(run_specs(&config));
                // An engine that has ended needs no limits.
                let _ = self.handle.set_limits(config.limits.clone());
                self.handle.views().set_limits(config.limits.clone());
                match scheduler::set_configured(&self.handle, &*self.clock, &config.schedules).await {
                    Ok(()) => tracing::info!("kinds, queues, schedules and retention were read again"),
                    Err(error) => tracing::error!(%error, "not all schedules were taken over; send SIGHUP again"),
                }
                self.config = config;
            }
            Err(error) => tracing::error!(%error, "the configuration was not read again; nothing has changed"),
        }
    }
}

fn run_specs(config: &Config) -> Vec<RunSpec> {
    let run = config.catalog.kinds().filter_map(|kind| kind.run.clone().map(|run| (kind.name.clone(), run)));
    run.map(|(kind, run)| RunSpec { kind, run }).collect()
}

fn live_settings(config: &Config, ping: Millis) -> live::Settings {
    let defaults = live::Settings::default();
    live::Settings {
        ping,
        jobs_behind_max: config.live.jobs_behind_max.unwrap_or(defaults.jobs_behind_max),
        events_behind_max: config.live.events_behind_max.unwrap_or(defaults.events_behind_max),
        ..defaults
    }
}

/// The sessions that the server before did not end.
struct Before {
    /// Child processes, which are dead, and workers elsewhere that hold nothing.
    gone: Vec<SessionId>,
    /// Workers elsewhere that hold jobs: they keep one fresh lease.
    may_come_back: Vec<SessionId>,
}

impl Before {
    fn of(state: &State) -> Before {
        let holds = |session| state.indexes().leases_of(session).next().is_some();
        let sessions = state.workers().map(|(&session, worker)| (session, worker.joined.place));
        let may = |&(session, place): &(SessionId, WorkerPlace)| place == WorkerPlace::Remote && holds(session);
        let (may_come_back, gone): (Vec<_>, Vec<_>) = sessions.partition(may);
        let ids = |sessions: Vec<(SessionId, WorkerPlace)>| sessions.into_iter().map(|(session, _)| session).collect();
        Before { gone: ids(gone), may_come_back: ids(may_come_back) }
    }
}

/// Appends the epoch, and ends the sessions that the server before did not end: their jobs are queued again.
async fn begin_epoch(handle: &Handle, start: StartEpoch, before: Vec<SessionId>) -> Result<(), SubmitError> {
    handle.submit(Command::StartEpoch(start), Actor::SERVER).await?;
    let mut seq = handle.views().position();
    for session in before {
        let leave = Command::LeaveWorker { session, cause: WorkerLeftCause::ServerRestarted };
        seq = handle.submit(leave, Actor::SERVER).await?.seq.max(seq);
    }
    tracing::debug!(seq = seq.0, "the epoch has begun");
    Ok(())
}

/// A value that others follow.
pub(crate) type Followed<T> = watch::Receiver<T>;
