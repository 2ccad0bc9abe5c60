//! Starts and stops what the server does by itself: ticks, schedules, retention, the disk watch, synced log lines, stored
//! views, snapshots, keyframes, dropped segments.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinSet;

use crate::app::ServeError;
use crate::app::data::ForChores;
use crate::app::reload::Following;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Handle;
use crate::log::LogReader;
use crate::maintenance::keyframer::Keyframer;
use crate::maintenance::scheduler::Scheduler;
use crate::maintenance::snapshotter::{EVENTS_AT_STOP, EVENTS_BETWEEN, Snapshotter};
use crate::maintenance::sweeper::Sweeper;
use crate::maintenance::trimmer::{Roll, Rules, Trimmer};
use crate::maintenance::{disk, recall, retention, ticker, trimmer};
use crate::storage::{self, DirectoryLock};
use crate::views::Views;
use crate::views::flusher::Flusher;

/// How often log lines are made durable.
const SYNC_LOGS_EVERY: Duration = Duration::from_secs(1);
/// How often measured spans are put into their buckets.
const TIDY_METRICS_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether a snapshot is due.
const SNAPSHOT_LOOK: Duration = Duration::from_secs(5);

/// How often it is looked whether a keyframe is due.
const KEYFRAME_LOOK: Duration = Duration::from_secs(5);
/// Keyframes may take one part in so many of what the log may.
const KEYFRAMES_OF_LOG: u64 = 4;

/// What runs beside the engine.
pub struct Chores {
    tasks: JoinSet<()>,
    flusher: Flusher,
    snapshots: Snapshots,
    keyframes: Keyframes,
    recalling: Recalling,
    trims: Trims,
    /// Other servers stay out until everything is written.
    lock: DirectoryLock,
}

impl Chores {
    /// Starts all of them.
    pub fn start(
        config: &Config,
        handle: &Handle,
        clock: &Arc<dyn Clock>,
        views: &Arc<Views>,
        following: &Following,
        metrics: PrometheusHandle,
        data: ForChores,
    ) -> Result<Chores, ServeError> {
        let flusher = Flusher::start(views.clone()).map_err(ServeError::step("start the views' thread"))?;
        let recalling = Recalling::start(data.log.clone(), views.clone());
        let recalling = recalling.map_err(ServeError::step("start the thread that reads the log's past"))?;
        let keyframes = Keyframes::start(keyframer(config, &data));
        let keyframes = keyframes.map_err(ServeError::step("start the keyframes' thread"))?;
        let snapshotter = Snapshotter::new(data.log.clone(), data.snapshots, data.newest_snapshot);
        let snapshots = Snapshots::start(snapshotter).map_err(ServeError::step("start the snapshots' thread"))?;
        let directory = config.data.clone();
        let trims = Trims::start(
            Trimmer {
                log: data.log,
                trimmer: data.trimmer,
                hold: data.hold,
                views: views.clone(),
                clock: clock.clone(),
                rules: Rules {
                    age: config.retention.log_age.unwrap_or(trimmer::AGE_DEFAULT),
                    bytes: config.retention.log_bytes.unwrap_or(trimmer::BYTES_DEFAULT),
                },
                free: Box::new(move || storage::disk_free(&directory)),
                roll: roll_of(handle.clone()),
                min_free_bytes: config.min_free_bytes,
                purges: Default::default(),
            },
            Duration::from_millis(config.retention.every.0),
            recalling.thread.thread().clone(),
        );
        let trims = trims.map_err(ServeError::step("start the thread that drops segments"))?;
        let mut tasks = JoinSet::new();
        let logs = data.job_logs.clone();
        tasks.spawn(ticker::run(handle.clone(), clock.clone(), move || sync_logs_now(logs.clone())));
        // Before retention begins, so that it hears of everybody whom that forgets.
        tasks.spawn(Sweeper::new(handle, data.traces).run());
        tasks.spawn(retention::run(handle.clone(), following.retention.clone()));
        tasks.spawn(Scheduler::new(handle.clone(), clock.clone(), following.catalog.clone()).run());
        let directory = config.data.clone();
        tasks.spawn(disk::run(handle.clone(), config.min_free_bytes, move || storage::disk_free(&directory)));
        tasks.spawn(sync_logs(data.job_logs));
        tasks.spawn(tidy_metrics(metrics));
        Ok(Chores { tasks, flusher, snapshots, keyframes, recalling, trims, lock: data.lock })
    }

    /// Ends all of them; what is still to be written is written, unless the log cannot be written any more.
    pub async fn stop(mut self, is_halted: bool) {
        self.tasks.shutdown().await;
        let stopped = tokio::task::spawn_blocking(move || {
            self.trims.stop();
            if let Err(error) = self.flusher.stop() {
                tracing::warn!(%error, "the views were not stored; the next start builds them again");
            }
            self.recalling.stop();
            self.keyframes.stop();
            self.snapshots.stop(!is_halted);
            self.lock
        });
        let lock = stopped.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        // The log is closed after this, and the process ends: the lock may go with it.
        std::mem::forget(lock);
    }
}

async fn sync_logs(logs: Arc<storage::joblogs::JobLogs>) {
    let mut turns = tokio::time::interval(SYNC_LOGS_EVERY);
    loop {
        turns.tick().await;
        sync_logs_now(logs.clone()).await;
    }
}

async fn sync_logs_now(logs: Arc<storage::joblogs::JobLogs>) {
    let synced = tokio::task::spawn_blocking(move || logs.sync()).await;
    if let Ok(Err(error)) = synced {
        tracing::warn!(%error, source = ?error.source, "log lines are not durable yet; trying again");
    }
}

/// Puts measured spans into their buckets: until then each is kept by itself, and memory would grow with the requests.
async fn tidy_metrics(metrics: PrometheusHandle) {
    let mut turns = tokio::time::interval(TIDY_METRICS_EVERY);
    loop {
        turns.tick().await;
        metrics.run_upkeep();
    }
}

/// The thread that writes snapshots.
struct Snapshots {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Snapshotter>,
}

impl Snapshots {
    fn start(mut snapshotter: Snapshotter) -> std::io::Result<Snapshots> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("snapshots".into()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                write(&mut snapshotter, EVENTS_BETWEEN);
                std::thread::park_timeout(SNAPSHOT_LOOK);
            }
            snapshotter
        })?;
        Ok(Snapshots { stop, thread })
    }

    fn stop(self, write_last: bool) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let mut snapshotter = self.thread.join().expect("the snapshots' thread does not panic");
        if write_last {
            write(&mut snapshotter, EVENTS_AT_STOP);
        }
    }
}

fn keyframer(config: &Config, data: &ForChores) -> Keyframer {
    let bytes_max = config.retention.log_bytes.unwrap_or(trimmer::BYTES_DEFAULT) / KEYFRAMES_OF_LOG;
    let (directory, reserved) = (config.data.clone(), config.min_free_bytes.saturating_mul(2));
    // Where it cannot be told, a full disk will say it.
    let has_room = move || storage::disk_free(&directory).map_or(true, |free| free >= reserved);
    Keyframer::new(data.log.clone(), data.keyframes.clone(), bytes_max, Box::new(has_room))
}

/// The thread that writes keyframes.
struct Keyframes {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Keyframes {
    fn start(keyframer: Keyframer) -> std::io::Result<Keyframes> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("keyframes".into()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                let begun = Instant::now();
                let pause = match keyframer.step() {
                    // Many may be due after an import: half of the time is left to others.
                    Ok(true) => begun.elapsed(),
                    Ok(false) => KEYFRAME_LOOK,
                    Err(error) => {
                        tracing::warn!(%error, "no keyframe was written; past states take longer");
                        KEYFRAME_LOOK
                    }
                };
                std::thread::park_timeout(pause);
            }
        })?;
        Ok(Keyframes { stop, thread })
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().expect("the keyframes' thread does not panic");
    }
}

/// The thread that reads what the timeline lacks: after the start, and whenever it is woken.
struct Recalling {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Recalling {
    fn start(log: Arc<dyn LogReader>, views: Arc<Views>) -> std::io::Result<Recalling> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("recall".into()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Err(error) = recall::recall(&*log, &views, &stopped) {
                    tracing::warn!(%error, "the timeline and the history lack what happened first");
                }
                std::thread::park();
            }
        })?;
        Ok(Recalling { stop, thread })
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("the thread that reads the log's past does not panic");
    }
}

/// The thread that drops segments.
struct Trims {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Trims {
    /// Wakes `recalling` when something was dropped: it counts anew what is left beside that.
    fn start(trimmer: Trimmer, every: Duration, recalling: Thread) -> std::io::Result<Trims> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("trimmer".into()).spawn(move || {
            let is_stopping = || stopped.load(Ordering::Acquire);
            while !is_stopping() {
                let looked = trimmer.look(&is_stopping);
                if !matches!(looked, Ok(None)) {
                    recalling.unpark();
                }
                match looked {
                    Err(error) if !is_stopping() => {
                        let error = storage::open::explain(&error);
                        tracing::warn!(error, "no segments were dropped; it is tried again");
                    }
                    _ => {}
                }
                std::thread::park_timeout(every);
            }
        })?;
        Ok(Trims { stop, thread })
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().expect("the thread that drops segments does not panic");
    }
}

/// For a thread that may wait.
fn roll_of(handle: Handle) -> Roll {
    let runtime = tokio::runtime::Handle::current();
    Box::new(move || runtime.block_on(handle.roll()))
}

fn write(snapshotter: &mut Snapshotter, least: u64) {
    if let Err(error) = snapshotter.catch_up(least) {
        tracing::warn!(%error, "no snapshot was written; the next start folds more of the log");
    }
}
