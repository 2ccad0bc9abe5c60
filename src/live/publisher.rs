//! The one task that tells the board: pages as they become durable, and now and then what is no event.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::domain::id::Seq;
use crate::feed::Page;
use crate::live::Live;

/// How often progress, queues, workers and bookmarks are looked at, while somebody follows anything.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Publishes until the engine has ended, or nobody has the subscriptions any more.
pub async fn publish(live: Weak<Live>, joined: Arc<Notify>, mut pages: broadcast::Receiver<Arc<Page>>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = Seq::ZERO;
    loop {
        let Some(is_idle) = live.upgrade().map(|live| live.is_idle()) else { return };
        tokio::select! {
            received = pages.recv() => match received {
                Ok(page) => match live.upgrade() {
                    Some(live) => live.tell(&page),
                    None => return,
                },
                // The hole is seen with the next page.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            _ = looks.tick(), if !is_idle => match live.upgrade() {
                Some(live) => live.look(&mut shown),
                None => return,
            },
            () = joined.notified(), if is_idle => {}
        }
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

    fn tell(&self, page: &Page) {
        let mut board = self.board.lock();
        board.publish(page, self.parts.engine.views(), Instant::now());
        drop(board);
        self.published.notify_all();
    }

    fn look(&self, shown: &mut Seq) {
        let (views, feed) = (self.parts.engine.views(), self.parts.engine.feed());
        let mut board = self.board.lock();
        let wants_progress = board.follows_jobs();
        feed.want_progress(wants_progress);
        if wants_progress {
            let moved = feed.take_progressed();
            board.tell_progress(moved, views);
        }
        if board.seq() != *shown {
            *shown = board.seq();
            board.tell_tables(views, self.parts.clock.now());
        }
        board.tell_bookmarks(Instant::now());
    }
}
