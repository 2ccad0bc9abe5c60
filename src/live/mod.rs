//! Live subscriptions: what a subscriber is sent, and when. One meaning for every transport.
//!
//! ```text
//!  feed ──pages──▶ publisher ──▶ board: groups of one filter ──shared frames──▶ outbox of each connection ──▶ subscriber
//!                                                                                    log, views ──catch_up──▶ ▲
//! ```
//! A subscription is fed from the log and the views until it stands where the board stands; then it joins a group, and is
//! told with everybody else. One whose reader is too slow goes back to the log. So there is never a silent gap (F1).
//! Must never know how a frame travels, and never holds up the writer.

pub mod board;
pub mod catch_up;
mod draft;
pub mod frames;
pub mod lines;
pub mod outbox;
pub mod position;
mod publisher;
pub mod subscriber;
pub mod table;
#[cfg(test)]
mod tests;
pub mod topic;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::domain::id::{Seq, SessionId};
use crate::domain::time::{Millis, Timestamp};
use crate::engine::Handle;
use crate::live::board::Board;
use crate::live::position::{Epochs, Extent, Lost, Position};
use crate::sessions::outbox::STALL_MAX;
use crate::sessions::reading::JobLogReader;

/// The most live connections at a time.
pub const CONNECTIONS_MAX: usize = 10_000;
/// The most subscriptions of one connection.
pub const SUBSCRIPTIONS_MAX: usize = 256;
/// Over so many milliseconds those who come back after a restart are spread, however few they are.
const RETURN_SPREAD_MS_MIN: u64 = 500;
/// The same, however many they are.
const RETURN_SPREAD_MS_MAX: u64 = 5_000;
/// So many of them may come back in a millisecond.
const RETURNS_A_MS: u64 = 1;
/// How long the publisher may take to tell what is durable, before somebody who waits for it gives up.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(10);

/// Writes a frame down as it goes over a line, behind those that go before it. Who sends to thousands does it once.
pub type Wire = fn(frame: &[u8], line: &mut Vec<u8>);

/// Spans and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How often a connection is asked whether somebody is there.
    pub ping: Millis,
    /// So many events behind, a subscription of jobs gets a snapshot instead.
    pub jobs_behind_max: u64,
    /// So many events behind, a subscription of events begins anew.
    pub events_behind_max: u64,
    /// How long a reader may take nothing at all of what waits for it.
    pub stall_max: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            ping: Millis::from_secs(10),
            jobs_behind_max: 50_000,
            events_behind_max: 1_000_000,
            stall_max: STALL_MAX,
        }
    }
}

/// What live subscriptions are made of.
pub struct Parts {
    pub engine: Handle,
    pub logs: Arc<dyn JobLogReader>,
    pub clock: Arc<dyn Clock>,
    pub epochs: Epochs,
    pub started_at: Timestamp,
    pub version: &'static str,
    pub wire: Wire,
    pub settings: Settings,
}

/// The live subscriptions of this server.
pub struct Live {
    pub(crate) parts: Parts,
    pub(crate) board: Mutex<Board>,
    /// Somebody joined, so that there is something to look at now and then.
    joined: Arc<Notify>,
    published: Condvar,
    sessions: Mutex<HashSet<SessionId>>,
    connections: watch::Sender<usize>,
    parting: watch::Sender<bool>,
}

impl Live {
    /// Begins to publish, until the engine ends or this is dropped.
    pub fn start(parts: Parts) -> Arc<Live> {
        let feed = parts.engine.feed().clone();
        let pages = feed.subscribe();
        let head = *feed.head().borrow();
        let live = Arc::new(Live {
            board: Mutex::new(Board::new(head, parts.wire)),
            parts,
            joined: Arc::default(),
            published: Condvar::new(),
            sessions: Mutex::default(),
            connections: watch::Sender::new(0),
            parting: watch::Sender::new(false),
        });
        tokio::spawn(publisher::publish(Arc::downgrade(&live), live.joined.clone(), pages));
        live
    }

    /// What the log can give now.
    pub fn extent(&self) -> Extent {
        let head = self.parts.engine.views().position();
        Extent { earliest: self.parts.engine.log().earliest(), head }
    }

    /// Where somebody goes on who was at this position.
    ///
    /// # Errors
    /// Why he cannot.
    pub fn judge(&self, position: Position, behind_max: u64) -> Result<Seq, Lost> {
        self.parts.epochs.judge(position, self.extent(), behind_max)
    }

    /// Spans and limits.
    pub fn settings(&self) -> Settings {
        self.parts.settings
    }

    /// Whether a live connection has this id.
    pub fn knows(&self, session: SessionId) -> bool {
        self.sessions.lock().contains(&session)
    }

    /// Closes every connection in order: each is told when to come back. Returns when all are closed.
    pub async fn part(&self) {
        self.parting.send_replace(true);
        // The sender lives as long as this does.
        let _ = self.connections.subscribe().wait_for(|&count| count == 0).await;
    }

    /// Returns when the connections shall be closed.
    pub async fn parts_with_all(&self) {
        // Nobody is left who could say so: then it is time too.
        let _ = self.parting.subscribe().wait_for(|&parting| parting).await;
    }

    /// When a connection that is closed now should come back, in milliseconds.
    pub fn retry_after_ms(&self, session: SessionId) -> u64 {
        let count = *self.connections.borrow() as u64;
        let spread = (count / RETURNS_A_MS).clamp(RETURN_SPREAD_MS_MIN, RETURN_SPREAD_MS_MAX);
        // The end of a random id is as good as a die.
        (session.0.as_u128() % u128::from(spread)) as u64
    }

    /// Waits until everybody was told up to a seq that is durable. Blocks its thread. Says whether it came to that.
    pub(crate) fn wait_until_published(&self, seq: Seq) -> bool {
        let until = Instant::now() + PUBLISHED_WITHIN;
        let mut board = self.board.lock();
        while board.seq() < seq {
            if self.published.wait_until(&mut board, until).timed_out() {
                return board.seq() >= seq;
            }
        }
        true
    }

    /// Tells the publisher that somebody joined.
    pub(crate) fn note_joined(&self) {
        self.joined.notify_one();
    }

    /// Notes a connection; none if there are too many.
    fn open(&self, session: SessionId) -> bool {
        let mut sessions = self.sessions.lock();
        let has_room = sessions.len() < CONNECTIONS_MAX;
        if has_room {
            sessions.insert(session);
            self.connections.send_replace(sessions.len());
        }
        has_room
    }

    fn close(&self, session: SessionId) {
        let mut sessions = self.sessions.lock();
        sessions.remove(&session);
        self.connections.send_replace(sessions.len());
    }
}
