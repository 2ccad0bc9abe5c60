//! Publishes what has become durable, in order, to whoever listens inside the server.
//!
//! Nothing is published before it is durable and the views show it (E2, F1). A slow listener never holds up the
//! writer: it is told how much it missed, and reads that from the log or the views.

pub mod published;

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::domain::job::Job;

/// What became durable together.
#[derive(Debug)]
pub struct Page {
    /// The records, dense and in order.
    pub records: Arc<[Record]>,
    /// The jobs that they changed, as they are after the last of them; each once. A finished job is here in full.
    pub jobs: Vec<Arc<Job>>,
}

/// How many pages a listener may be behind before it has to catch up by itself.
pub const PAGES_BEHIND_MAX: usize = 1024;

/// The place where durable pages are published.
#[derive(Debug)]
pub struct Hub {
    pages: broadcast::Sender<Arc<Page>>,
    head: watch::Sender<Seq>,
}

impl Hub {
    /// Makes a hub for a log whose last durable seq is `head`.
    pub fn new(head: Seq) -> Hub {
        Hub { pages: broadcast::Sender::new(PAGES_BEHIND_MAX), head: watch::Sender::new(head) }
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

    /// Follows the last published seq.
    pub fn head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }
}
