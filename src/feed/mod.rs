//! Publishes what has become durable, in order, to whoever listens inside the server.
//!
//! Nothing is published before it is durable and the views show it (E2, F1). A slow listener never holds up the
//! writer: it is told how much it missed, and reads that from the log or the views.

pub mod cloudevents;
pub mod published;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use crate::domain::event::Record;
use crate::domain::id::{JobId, QueueName, Seq, Tag};
use crate::domain::job::{Job, StateName};
use crate::domain::state::{Slot, Stub};

/// What became durable together.
#[derive(Debug)]
pub struct Page {
    /// The records, dense and in order.
    pub records: Arc<[Record]>,
    /// The jobs that they changed, as they are after the last of them; each once. A finished job is here in full, also
    /// when it was purged.
    pub jobs: Vec<Arc<Job>>,
    /// For each of these jobs, in the same order, what it was before the first of the records; none for a new job.
    pub before: Vec<Option<Before>>,
    /// The jobs that are forgotten: what was known of each.
    pub forgotten: Vec<Arc<Stub>>,
}

/// What may have decided which lists a job was in, and can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    pub state: StateName,
    pub queue: QueueName,
    tags: Option<Arc<Vec<Tag>>>,
}

impl Before {
    /// What is known of a job before something happens to it.
    pub fn of(slot: &Slot) -> Before {
        match slot {
            Slot::Active(job) => Before { state: job.state_name(), queue: job.queue.clone(), tags: job.tags.clone() },
            Slot::Finished(stub) => Before { state: stub.state, queue: stub.queue.clone(), tags: stub.tags.clone() },
        }
    }

    /// The tags.
    pub fn tags(&self) -> &[Tag] {
        self.tags.as_ref().map_or(&[], |tags| tags.as_slice())
    }
}

impl Page {
    /// The jobs that changed: what each was before, and as it is now.
    pub fn changes(&self) -> impl Iterator<Item = (Option<&Before>, &Arc<Job>)> {
        self.before.iter().map(Option::as_ref).zip(&self.jobs)
    }
}

/// How many pages a listener may be behind before it has to catch up by itself.
pub const PAGES_BEHIND_MAX: usize = 1024;

/// The place where durable pages are published.
#[derive(Debug)]
pub struct Hub {
    pages: broadcast::Sender<Arc<Page>>,
    head: watch::Sender<Seq>,
    moved: Moved,
}

/// The jobs whose live progress has moved since somebody looked: no events, and so on no page.
#[derive(Debug, Default)]
struct Moved {
    is_wanted: AtomicBool,
    jobs: Mutex<BTreeSet<JobId>>,
}

impl Hub {
    /// Makes a hub for a log whose last durable seq is `head`.
    pub fn new(head: Seq) -> Hub {
        Hub { pages: broadcast::Sender::new(PAGES_BEHIND_MAX), head: watch::Sender::new(head), moved: Moved::default() }
    }

    /// Publishes a page that is durable and visible in the views.
    pub fn publish(&self, page: Arc<Page>) {
        let last = page.records.last().expect("a page that is published has at least one record").seq;
        // Nobody listening is no error.
        let _ = self.pages.send(page);
        self.head.send_replace(last);
    }

    /// Listens from now on. Subscribe first and read the views after, so that nothing falls between.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Page>> {
        self.pages.subscribe()
    }

    /// Says whether anybody wants to hear of live progress. While nobody does, nothing is noted.
    pub fn want_progress(&self, is_wanted: bool) {
        self.moved.is_wanted.store(is_wanted, Ordering::Relaxed);
        if !is_wanted {
            self.moved.jobs.lock().clear();
        }
    }

    /// Notes that the live progress of a running job has moved, and the views show it.
    pub fn progressed(&self, job: JobId) {
        if self.moved.is_wanted.load(Ordering::Relaxed) {
            self.moved.jobs.lock().insert(job);
        }
    }

    /// Takes the jobs whose live progress has moved since this was asked last: running ones, each once.
    pub fn take_progressed(&self) -> BTreeSet<JobId> {
        std::mem::take(&mut *self.moved.jobs.lock())
    }

    /// Follows the last published seq.
    pub fn head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }
}
