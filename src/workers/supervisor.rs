//! Keeps as many children of each kind running as configuration says, and brings them to their end when the server
//! stops.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::domain::id::KindName;
use crate::kinds::RunMode;
use crate::sessions::Sessions;
use crate::workers::files::clear_scratch;
use crate::workers::slot::{Order, RunSpec, Slot, Workshop};
use crate::workers::{command, session_mode};

/// What is kept back of the time to drain, so that the ends of killed runs can still be recorded.
const RECORDING_TIME: Duration = Duration::from_secs(1);

/// How often it is noted that children live.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// Runs the children of this server. Dropped without a drain, it kills them.
pub struct Supervisor {
    workshop: Workshop,
    crews: Mutex<BTreeMap<KindName, Crew>>,
    /// The orders of slots that retire.
    retiring: Mutex<Vec<watch::Sender<Order>>>,
    slots: Mutex<JoinSet<()>>,
}

/// The slots of one kind.
struct Crew {
    spec: Arc<RunSpec>,
    order: watch::Sender<Order>,
}

/// How a drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Slots that had not ended in time. Their children die with this process.
    pub late: usize,
}

impl Supervisor {
    /// Starts the children that `specs` ask for. What a former server left running was ended before, so that what its
    /// runs left behind can go.
    pub fn start(specs: Vec<RunSpec>, workshop: Workshop) -> Supervisor {
        if let Err(error) = clear_scratch(&workshop.scratch) {
            // Every run makes a directory of its own: what is left only takes room.
            tracing::warn!(%error, "what runs of a former server left could not be removed");
        }
        let slots = Mutex::new(JoinSet::new());
        let supervisor = Supervisor { workshop, crews: Mutex::default(), retiring: Mutex::default(), slots };
        supervisor.apply(specs);
        tokio::spawn(beat(Arc::downgrade(&supervisor.workshop.sessions)));
        supervisor
    }

    /// Makes what runs what `specs` ask for. Kinds that did not change are not touched; what is replaced or gone brings
    /// the jobs that it holds to their end first.
    pub fn apply(&self, specs: Vec<RunSpec>) {
        let mut crews = self.crews.lock();
        let mut wanted: BTreeMap<KindName, RunSpec> = specs.into_iter().map(|spec| (spec.kind.clone(), spec)).collect();
        let mut retiring = self.retiring.lock();
        retiring.retain(|order| !order.is_closed());
        for (kind, crew) in std::mem::take(&mut *crews) {
            if wanted.get(&kind) == Some(&*crew.spec) {
                wanted.remove(&kind);
                crews.insert(kind, crew);
            } else {
                crew.order.send_replace(Order::Retire);
                retiring.push(crew.order);
            }
        }
        for (kind, spec) in wanted {
            crews.insert(kind, self.hire(spec));
        }
    }

    /// Ends everything: children are told to stop, killed when their grace or `deadline` is over, and their jobs are
    /// queued again. Returns when that is recorded.
    pub async fn drain(self, deadline: Duration) -> Drained {
        let within = deadline.saturating_sub(RECORDING_TIME);
        let retiring = std::mem::take(&mut *self.retiring.lock());
        let crews = std::mem::take(&mut *self.crews.lock());
        let orders: Vec<_> = crews.into_values().map(|crew| crew.order).chain(retiring).collect();
        for order in &orders {
            order.send_replace(Order::Drain { within });
        }
        let mut slots = std::mem::take(&mut *self.slots.lock());
        let all_ended = async { while slots.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(deadline, all_ended).await;
        let late = slots.len();
        slots.shutdown().await;
        self.workshop.sessions.close();
        Drained { late }
    }

    fn hire(&self, spec: RunSpec) -> Crew {
        let spec = Arc::new(spec);
        let (order, orders) = watch::channel(Order::Work);
        let mut slots = self.slots.lock();
        // The ends of slots that retired are nobody's news.
        while slots.try_join_next().is_some() {}
        for number in 1..=spec.run.processes {
            let (spec, workshop, order) = (spec.clone(), self.workshop.clone(), orders.clone());
            let slot = Slot { spec, number, workshop, order };
            match slot.spec.run.mode {
                RunMode::Command => drop(slots.spawn(command::run_slot(slot))),
                RunMode::Session => drop(slots.spawn(session_mode::run_slot(slot))),
            }
        }
        Crew { spec, order }
    }
}

/// Notes now and then that the children live, as long as there are sessions.
async fn beat(sessions: Weak<Sessions>) {
    let mut beats = tokio::time::interval(BEAT_EVERY);
    loop {
        beats.tick().await;
        let Some(sessions) = sessions.upgrade() else { return };
        sessions.beat_children();
    }
}
