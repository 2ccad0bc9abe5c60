//! A worker on any machine that runs a program for each job of a server at the other end of a WebSocket: mode `command`,
//! with [`crate::workers::run`] as it is for the server's own children.
//!
//! The parts: the [`board`] holds the jobs and their words, [`talk`] carries them over one connection, and here is what
//! keeps a connection: it reconnects until the worker is done, and starts programs for the jobs that come. A cut line
//! stops no program. Must never decide what happens to a job: that is the server's.

mod backoff;
mod board;
mod line;
pub mod news;
mod outbox;
mod places;
mod posting;
mod remote_run;
mod talk;
mod upload;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use board::Order;
pub use line::Refused;
pub use places::default_base;

use crate::domain::id::{Epoch, KindName, QueueName};
use crate::domain::time::Millis;
use crate::sessions::frames::Hello;
use crate::workers::orphans::{EPOCH_VARIABLE, LiveGroups};
use crate::workers::process::{Launcher, Program};
use crate::workers::remote::backoff::Backoff;
use crate::workers::remote::board::{Board, Standing, Starting};
use crate::workers::remote::line::LineError;
use crate::workers::remote::news::{News, Teller};
use crate::workers::remote::places::Place;
use crate::workers::remote::remote_run::{RemoteRun, kind_of};
use crate::workers::remote::talk::Ended;
use crate::workers::remote::upload::Uploads;
use crate::workers::restart::{Ending, Restarts};
use crate::workers::run::{Bench, Run, Started};

/// How long a worker that was stopped tries to tell a server that is away.
const FAREWELL_MAX: Duration = Duration::from_secs(10);
/// How often it is told that the server is still away.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// What a worker is, and what it runs.
#[derive(Debug, Clone)]
pub struct WorkSpec {
    /// `http://host:port`, without a slash at its end.
    pub server: String,
    pub token: Option<String>,
    pub name: String,
    /// At least one.
    pub kinds: Vec<KindName>,
    /// None: every queue.
    pub queues: Option<Vec<QueueName>>,
    /// Jobs at once; 1 and up.
    pub concurrency: usize,
    /// From the request to stop until SIGKILL, when the worker itself is stopped.
    pub grace: Millis,
    /// How long a drain may take before what runs is stopped; none: as long as it takes.
    pub drain_timeout: Option<Duration>,
    /// Program and arguments; no shell ever sees them.
    pub command: Vec<String>,
    /// Where the program runs.
    pub directory: PathBuf,
    /// Under it the worker keeps what runs leave; see [`default_base`].
    pub base: PathBuf,
}

/// Why a worker ended otherwise than in order.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the server is away, and could not be told of {jobs} jobs: it finds out when their leases end")]
    Untold { jobs: usize },
    #[error("{jobs} jobs were left in the middle: the server finds out when their leases end")]
    Abandoned { jobs: usize },
    #[error("there is no place for what runs leave: {0}")]
    Place(io::Error),
    #[error("signals could not be listened to: {0}")]
    Signals(io::Error),
}

impl WorkError {
    /// What a person can do, where it is known.
    pub fn next_step(&self) -> Option<&'static str> {
        match self {
            WorkError::Refused(refused) => Some(refused.next_step()),
            WorkError::Untold { .. } | WorkError::Abandoned { .. } => {
                Some("`daybook jobs ls --state active` shows what became of them")
            }
            WorkError::Place(_) => Some("name a directory of your own with --scratch DIR"),
            WorkError::Signals(_) => None,
        }
    }
}

/// A worker that is not connected yet.
pub struct RemoteWorker {
    shop: Arc<Shop>,
    hello: Hello,
    starting: mpsc::Receiver<Starting>,
}

/// Tells a worker what to do.
#[derive(Clone)]
pub struct Orders {
    board: Arc<Board>,
}

/// What all runs of a worker share.
struct Shop {
    board: Arc<Board>,
    spec: WorkSpec,
    launcher: Arc<dyn Launcher>,
    uploads: Uploads,
    place: Place,
    groups: LiveGroups,
    restarts: Mutex<Restarts>,
}

impl Orders {
    /// Drains at the first signal, stops at the second, and gives up at the third: then it says so.
    pub fn signal(&self) -> Option<WorkError> {
        let Standing { order, jobs, .. } = *self.board.standing().borrow();
        match order {
            Order::Work => self.board.order(Order::Drain, "a signal asked for it"),
            Order::Drain => self.board.order(Order::Stop, "a second signal asked for it"),
            Order::Stop => return Some(WorkError::Abandoned { jobs }),
        }
        None
    }
}

impl RemoteWorker {
    /// Prepares a worker: ends what killed workers before it had left running, and takes a place for what runs leave.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn open(spec: WorkSpec, launcher: Arc<dyn Launcher>, teller: Teller) -> Result<RemoteWorker, WorkError> {
        let place = Place::take(&spec.base).map_err(WorkError::Place)?;
        let groups = place.groups(Epoch(uuid::Uuid::nil())).map_err(WorkError::Place)?;
        let hello = Hello {
            name: Some(spec.name.as_str().into()),
            kinds: Some(spec.kinds.clone()),
            queues: spec.queues.clone(),
            resume: None,
        };
        let uploads = Uploads::new(&spec.server, spec.token.as_deref());
        let (board, starting) = Board::new(spec.concurrency, spec.grace, teller);
        let shop = Shop { board, spec, launcher, uploads, place, groups, restarts: Mutex::default() };
        Ok(RemoteWorker { shop: Arc::new(shop), hello, starting })
    }

    /// The way to tell it what to do.
    pub fn orders(&self) -> Orders {
        Orders { board: self.shop.board.clone() }
    }

    /// Works until it is told to go. Dropping the future kills what runs.
    ///
    /// # Errors
    /// When the server does not want it, or could not be told of everything.
    pub async fn run(self) -> Result<(), WorkError> {
        let RemoteWorker { shop, hello, mut starting } = self;
        let mut runs = JoinSet::new();
        let mut connecting = std::pin::pin!(stay_connected(&shop, hello));
        let mut patience = std::pin::pin!(lose_patience(&shop.board, shop.spec.drain_timeout));
        let ended = loop {
            tokio::select! {
                ended = &mut connecting => break ended,
                error = &mut patience => break Err(error),
                Some(starting) = starting.recv() => drop(runs.spawn(work(shop.clone(), starting))),
                Some(_) = runs.join_next(), if !runs.is_empty() => {}
            }
        };
        runs.shutdown().await;
        if ended.is_ok() {
            shop.board.teller.tell(News::Closed);
        }
        ended
    }
}

/// Keeps a connection until the worker is done, or the server does not want it.
async fn stay_connected(shop: &Shop, mut hello: Hello) -> Result<(), WorkError> {
    let (board, spec) = (&shop.board, &shop.spec);
    let mut backoff = Backoff::default();
    let mut told_at: Option<Instant> = None;
    loop {
        if is_done(&board.standing().borrow()) {
            return Ok(());
        }
        hello.resume = board.resume();
        let opened = tokio::select! {
            opened = line::open(&spec.server, spec.token.as_deref()) => opened,
            () = until(board, |standing| is_done(&standing)) => return Ok(()),
        };
        let ended = match opened {
            Ok(line) => talk::talk(line, &hello, board).await,
            Err(why) => Ended::Cut { was_welcome: false, why },
        };
        board.went_down();
        let why = match ended {
            Ended::InOrder => return Ok(()),
            Ended::Cut { why: LineError::Refused(refused), .. } => return Err(refused.into()),
            Ended::Cut { was_welcome, why: LineError::Passing(why) } => {
                if was_welcome {
                    backoff.reached();
                    told_at = None;
                }
                why
            }
        };
        let wait = backoff.wait(uuid::Uuid::new_v4().as_u64_pair().0, board.may_be_away());
        if told_at.is_none_or(|told_at| told_at.elapsed() >= TELL_EVERY) {
            told_at = Some(Instant::now());
            board.teller.tell(News::Reconnecting { reason: why, in_s: wait.as_secs() });
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait.0)) => {}
            () = until(board, |standing| is_done(&standing)) => return Ok(()),
        }
    }
}

fn is_done(standing: &Standing) -> bool {
    standing.order != Order::Work && standing.jobs == 0
}

async fn until(board: &Board, is_so: impl Fn(Standing) -> bool) {
    let mut standing: watch::Receiver<Standing> = board.standing();
    // The sender is the board, which outlives its readers.
    let _ = standing.wait_for(|standing| is_so(*standing)).await;
}

/// Stops what runs when a drain takes too long; gives up when everything has stopped and the server is not there to be
/// told.
async fn lose_patience(board: &Board, drain_timeout: Option<Duration>) -> WorkError {
    until(board, |standing| standing.order != Order::Work).await;
    let stopped = until(board, |standing| standing.order == Order::Stop);
    match drain_timeout {
        Some(within) => {
            if tokio::time::timeout(within, stopped).await.is_err() {
                board.order(Order::Stop, "the drain took too long");
            }
        }
        None => stopped.await,
    }
    until(board, |standing| standing.running == 0).await;
    let all_told = until(board, |standing| standing.jobs == 0);
    if tokio::time::timeout(FAREWELL_MAX, all_told).await.is_ok() {
        // The connection is closed in order, which has its own time.
        std::future::pending::<()>().await;
    }
    let jobs = board.standing().borrow().jobs;
    WorkError::Untold { jobs }
}

/// Runs the program for one job.
async fn work(shop: Arc<Shop>, starting: Starting) {
    let kind = kind_of(&starting.frame);
    // A job without a kind that can be read is no reason to stop: the program sees the whole frame.
    let kind = kind.unwrap_or_else(|| shop.spec.kinds[0].clone());
    let epoch = starting.epoch;
    let run = RemoteRun::new(shop.board.clone(), shop.uploads.clone(), starting);
    let grant = run.grant();
    shop.board.teller.tell(News::Started { job_id: grant.job, kind: kind.clone(), attempt: grant.attempt });
    let bench = shop.bench(kind, epoch);
    let started = Run::new(&bench, &run, &grant).run().await;
    let wait = match started {
        Started::Yes => {
            *shop.restarts.lock() = Restarts::default();
            return;
        }
        Started::No { .. } => {
            let fault = Ending::Fault { lived: Millis(0) };
            shop.restarts.lock().wait_after(fault, uuid::Uuid::new_v4().as_u64_pair().0)
        }
    };
    tokio::time::sleep(Duration::from_millis(wait.0)).await;
    shop.board.unpause();
}

impl Shop {
    fn bench(&self, kind: KindName, epoch: Epoch) -> Bench {
        let env = vec![
            ("DAYBOOK_KIND".to_owned(), kind.to_string()),
            (EPOCH_VARIABLE.to_owned(), epoch.to_string()),
            ("DAYBOOK_SERVER".to_owned(), self.spec.server.clone()),
        ];
        Bench {
            launcher: self.launcher.clone(),
            groups: self.groups.with_epoch(epoch),
            scratch: self.place.scratch(),
            kind,
            program: Program { argv: self.spec.command.clone(), dir: self.spec.directory.clone(), env },
        }
    }
}
