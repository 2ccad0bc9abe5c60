//! The one task that tells the board: pages as they become durable, and now and then what is no event.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::feed::Page;
use crate::live::Live;

/// How often progress, queues, workers and bookmarks are looked at, while somebody follows anything.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long telling one subscription takes, about. Whatever becomes durable while all are being told is told together
/// then: else each would be written to for each commit, and a server that is busy would only be busier.
const TELLING: Duration = Duration::from_micros(4);
/// The longest that a commit waits to be told with the next ones.
const REST_MAX: Duration = Duration::from_millis(25);
/// So many events are told at once, however little time has passed: but for what a connection takes to write the last round.
const ROUND_EVENTS_MAX: usize = 256;
const REST_AFTER_FULL: Duration = Duration::from_millis(1);

/// What is told together.
struct Round {
    pages: Vec<Arc<Page>>,
    events: usize,
    /// Before this everybody is still being told of what came before.
    rests_until: Instant,
    told_at: Instant,
}

/// Publishes until the engine has ended, or nobody has the subscriptions any more.
pub async fn publish(live: Weak<Live>, joined: Arc<Notify>, mut pages: broadcast::Receiver<Arc<Page>>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let now = Instant::now();
    let mut round = Round { pages: Vec::new(), events: 0, rests_until: now, told_at: now };
    loop {
        let Some(is_idle) = live.upgrade().map(|live| live.is_idle()) else { return };
        tokio::select! {
            received = pages.recv(), if !round.is_full() => match received {
                Ok(page) => round.add(page),
                // The hole is seen with the next page.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            () = sleep_until(round.rests_until), if !round.pages.is_empty() => match live.upgrade() {
                Some(live) => round.tell(&live),
                None => return,
            },
            _ = looks.tick(), if !is_idle => match live.upgrade() {
                Some(live) => live.look(),
                None => return,
            },
            () = joined.notified(), if is_idle => {}
        }
    }
}

impl Round {
    fn is_full(&self) -> bool {
        self.events >= ROUND_EVENTS_MAX
    }

    fn add(&mut self, page: Arc<Page>) {
        self.events += page.records.len();
        self.pages.push(page);
        if self.is_full() {
            self.rests_until = self.told_at + REST_AFTER_FULL;
        }
    }

    fn tell(&mut self, live: &Live) {
        let members = live.tell(&self.pages);
        self.pages.clear();
        self.events = 0;
        self.told_at = Instant::now();
        self.rests_until = self.told_at + (TELLING * members as u32).min(REST_MAX);
    }
}

impl Live {
    /// Whether nobody follows anything; then nothing is noted for them either.
    fn is_idle(&self) -> bool {
        let is_idle = self.board.lock().is_empty();
        if is_idle {
            self.parts.engine.feed().want_progress(false);
        }
        is_idle
    }

    /// Tells everybody, and gives how many there are.
    fn tell(&self, pages: &[Arc<Page>]) -> usize {
        let mut board = self.board.lock();
        board.publish(pages, self.parts.engine.views(), Instant::now());
        let members = board.members();
        drop(board);
        self.published.notify_all();
        members
    }

    fn look(&self) {
        let (views, feed) = (self.parts.engine.views(), self.parts.engine.feed());
        let mut board = self.board.lock();
        let wants_progress = board.follows_jobs();
        feed.want_progress(wants_progress);
        if wants_progress {
            let moved = feed.take_progressed();
            board.tell_progress(moved, views);
        }
        // They may differ without an event: a worker was told to be quiet, a limit was read anew.
        board.tell_tables(views, self.parts.clock.now());
        board.tell_bookmarks(Instant::now());
    }
}
