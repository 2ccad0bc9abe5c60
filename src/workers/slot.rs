//! One place for one child at a time: what it needs to start children, and how it hears that it shall end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::event::WorkerLeftCause;
use crate::domain::id::KindName;
use crate::domain::job::WorkerPlace;
use crate::domain::time::Millis;
use crate::engine::SubmitError;
use crate::kinds::RunSettings;
use crate::sessions::ports::JobFiles;
use crate::sessions::session::Joining;
use crate::sessions::troubles::Trouble;
use crate::sessions::{Session, Sessions};
use crate::workers::orphans::{EPOCH_VARIABLE, LiveGroups, RecordedGroup};
use crate::workers::process::{Launcher, Program};
use crate::workers::run::Bench;

/// How one kind is run by child processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSpec {
    pub kind: KindName,
    pub run: RunSettings,
}

/// What children are started with, and where what they leave goes.
#[derive(Clone)]
pub struct Workshop {
    pub sessions: Arc<Sessions>,
    pub files: Arc<dyn JobFiles>,
    pub launcher: Arc<dyn Launcher>,
    pub groups: LiveGroups,
    /// The directory for what runs leave, on the same disk as the jobs' files. Nothing else may be in it.
    pub scratch: PathBuf,
    /// Where children reach this server: `http://127.0.0.1:7878`.
    pub server_url: String,
}

/// What a slot shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Run children.
    Work,
    /// Bring to its end what runs, and then end.
    Retire,
    /// The server stops: end at once what runs, but give it at most so long.
    Drain { within: Duration },
}

/// One place for one child at a time.
#[derive(Clone)]
pub(crate) struct Slot {
    pub spec: Arc<RunSpec>,
    /// From 1; only a label.
    pub number: usize,
    pub workshop: Workshop,
    pub order: watch::Receiver<Order>,
}

impl Slot {
    /// The name under which its worker is listed.
    pub fn name(&self) -> String {
        format!("{}/{}", self.spec.kind, self.number)
    }

    /// Whether it shall end, now or when what runs has ended.
    pub fn is_over(&self) -> bool {
        *self.order.borrow() != Order::Work
    }

    /// Waits until it shall end.
    pub async fn over(&self) {
        // Without a supervisor nobody runs anything.
        let _ = self.order.clone().wait_for(|order| *order != Order::Work).await;
    }

    /// Waits until it shall bring to its end what runs.
    pub async fn retire(&self) {
        if self.order.clone().wait_for(|order| *order == Order::Retire).await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits until the server stops; gives the time that is left to what runs.
    pub async fn drain(&self) -> Millis {
        let mut orders = self.order.clone();
        let order = orders.wait_for(|order| matches!(order, Order::Drain { .. })).await.map(|order| *order);
        match order {
            Ok(Order::Drain { within }) => self.spec.run.grace.min(Millis(within.as_millis() as u64)),
            Ok(Order::Work | Order::Retire) | Err(_) => Millis(0),
        }
    }

    /// Why its worker leaves when the slot ends in order.
    pub fn leaving_cause(&self) -> WorkerLeftCause {
        match *self.order.borrow() {
            Order::Work | Order::Retire => WorkerLeftCause::Closed,
            Order::Drain { .. } => WorkerLeftCause::Shutdown,
        }
    }

    /// Waits for `span`, but not when the slot shall end. Says whether it goes on.
    pub async fn pause(&self, span: Millis) -> bool {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(span.0)) => true,
            () = self.over() => false,
        }
    }

    /// Tells those who ask why nothing runs that a child is started again after `wait`, and why there is none now.
    pub fn note_trouble(&self, detail: String, faults: u32, wait: Millis) {
        let next_start_at = self.workshop.sessions.now().plus(wait);
        let (name, kind) = (self.name().into(), self.spec.kind.clone());
        self.workshop.sessions.troubles().note(Trouble { name, kind, detail, faults, next_start_at });
    }

    /// A child runs, or none is wanted any more.
    pub fn trouble_is_over(&self) {
        self.workshop.sessions.troubles().are_over(&self.name());
    }

    /// Joins as a worker of its kind.
    pub async fn join(&self, joining: Joining) -> Result<Arc<Session>, SubmitError> {
        self.workshop.sessions.join(joining).await
    }

    /// What a worker of this slot is, if it says nothing else of itself.
    pub fn joining(&self) -> Joining {
        Joining {
            name: self.name().into(),
            kinds: vec![self.spec.kind.clone()],
            queues: None,
            place: WorkerPlace::Subprocess,
        }
    }

    /// The program with its environment: that of the configuration, and on top of it what every child is told.
    pub fn program(&self, more: Vec<(String, String)>) -> Program {
        let run = &self.spec.run;
        let mut env: Vec<(String, String)> = run.env.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        env.push(("DAYBOOK_KIND".into(), self.spec.kind.to_string()));
        env.push((EPOCH_VARIABLE.into(), self.workshop.sessions.epoch().to_string()));
        env.push(("DAYBOOK_SERVER".into(), self.workshop.server_url.clone()));
        env.extend(more);
        Program { argv: run.command.clone(), dir: run.directory.clone(), env }
    }

    /// What its runs are started with.
    pub fn bench(&self) -> Bench {
        Bench {
            launcher: self.workshop.launcher.clone(),
            groups: self.workshop.groups.clone(),
            scratch: self.workshop.scratch.clone(),
            kind: self.spec.kind.clone(),
            program: self.program(Vec::new()),
        }
    }

    /// Writes down that a group lives.
    pub async fn record(&self, group: u32) -> Option<RecordedGroup> {
        self.workshop.groups.record_or_warn(group, &self.spec.kind).await
    }
}
