//! One connection: its subscriptions, what it said, and what it is to be sent next. Whatever carries the frames asks for a
//! burst, sends it, and asks again: so everything moves at the pace of the reader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::domain::id::{Seq, SessionId};
use crate::kinds::problem::Problems;
use crate::live::catch_up::{FeedError, Feeder, Stage, Subscription};
use crate::live::frames::{ClientFrame, ErrorFrame, ServerFrame};
use crate::live::lines::LineFollower;
use crate::live::outbox::{Outbox, Taken};
use crate::live::topic::Topic;
use crate::live::{Live, SUBSCRIPTIONS_MAX};

/// About the most bytes that are sent before the connection is looked after again.
const BURST_BYTES: usize = 64 * 1024;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// A connection wants more subscriptions than there may be.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

/// The subscriptions of one connection.
pub struct Subscriber {
    live: Arc<Live>,
    session: SessionId,
    outbox: Arc<Outbox>,
    /// By number, which is the order in which they were made.
    subscriptions: BTreeMap<u64, Subscription>,
    names: BTreeMap<Arc<str>, u64>,
    /// Which subscription was fed last: each has its turn.
    fed: u64,
}

impl Subscriber {
    /// A connection without subscriptions; none if there are too many connections.
    pub fn new(live: &Arc<Live>) -> Option<Subscriber> {
        let session = SessionId(uuid::Uuid::new_v4());
        live.open(session).then(|| Subscriber {
            live: live.clone(),
            session,
            outbox: Arc::default(),
            subscriptions: BTreeMap::new(),
            names: BTreeMap::new(),
            fed: 0,
        })
    }

    /// The id of the connection.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The first frame: where the server is.
    pub fn status(&self) -> Bytes {
        let (parts, extent) = (&self.live.parts, self.live.extent());
        let status = ServerFrame::Status {
            epoch: parts.epochs.current(),
            started_at: parts.started_at,
            seq: extent.head,
            earliest: extent.earliest,
            session: self.session,
            ping_s: parts.settings.ping.as_secs(),
            version: parts.version,
        };
        self.line([status.bytes()])
    }

    /// Frames as they go over the line, in one piece.
    fn line(&self, frames: impl IntoIterator<Item = Bytes>) -> Bytes {
        let mut line = Vec::new();
        frames.into_iter().for_each(|frame| (self.live.parts.wire)(&frame, &mut line));
        line.into()
    }

    /// Does what the other side said. Gives the answer that it gets at once, if there is one.
    ///
    /// # Errors
    /// It is one subscription too many, and the connection shall end.
    pub fn take(&mut self, frame: ClientFrame) -> Result<Option<Bytes>, TooMany> {
        Ok(self.answer(frame)?.map(|answer| self.line([answer])))
    }

    fn answer(&mut self, frame: ClientFrame) -> Result<Option<Bytes>, TooMany> {
        match frame {
            ClientFrame::Subscribe { id, topic, since } => {
                self.drop_named(&id);
                self.add(id, topic, Stage::Begin { since })?;
            }
            ClientFrame::Update { id, filter } => return self.update(id, filter.as_deref()),
            ClientFrame::Unsubscribe { id } => {
                if !self.drop_named(&id) {
                    return Ok(Some(unknown(id)));
                }
            }
            ClientFrame::Pong | ClientFrame::Hello => {}
        }
        Ok(None)
    }

    fn update(&mut self, id: Arc<str>, filter: Option<&serde_json::value::RawValue>) -> Result<Option<Bytes>, TooMany> {
        let Some(topic) = self.names.get(&id).map(|number| self.subscriptions[number].topic.name()) else {
            return Ok(Some(unknown(id)));
        };
        let mut problems = Problems::default();
        let Some(topic) = topic.read(filter, "/filter", &mut problems) else {
            return Ok(Some(ServerFrame::Error(ErrorFrame::invalid(Some(id), problems)).bytes()));
        };
        self.drop_named(&id);
        self.add(id, topic, Stage::Begin { since: None })?;
        Ok(None)
    }

    fn add(&mut self, id: Arc<str>, topic: Topic, stage: Stage) -> Result<(), TooMany> {
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(TooMany);
        }
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        self.names.insert(id.clone(), number);
        self.subscriptions.insert(number, Subscription { number, id, topic, stage, lines: None, sent: Seq::ZERO });
        Ok(())
    }

    /// Ends a subscription. What waits of it is not sent any more.
    fn drop_named(&mut self, id: &str) -> bool {
        let Some(number) = self.names.remove(id) else { return false };
        self.live.board.lock().leave(number);
        self.subscriptions.remove(&number);
        true
    }

    /// Waits until there is something to send, or may be. Dropping the future loses nothing.
    pub async fn stirred(&self) {
        if self.outbox.has_news() || self.next_hungry().is_some() {
            return;
        }
        let lines = self.subscriptions.values().filter_map(|subscription| subscription.lines.as_ref());
        let mut due: FuturesUnordered<_> = lines.map(LineFollower::due).collect();
        tokio::select! {
            () = self.outbox.stirred() => {}
            Some(()) = due.next() => {}
        }
    }

    /// What is to be sent now, in order and as it goes over the line; empty if there is nothing.
    ///
    /// # Errors
    /// Something could not be read: the connection should be closed, and may come back.
    pub async fn burst(&mut self) -> Result<Vec<Bytes>, FeedError> {
        let mut pieces = match self.outbox.take(BURST_BYTES) {
            Taken::Overflowed => {
                let frames = self.fall_behind();
                Vec::from_iter((!frames.is_empty()).then(|| self.line(frames)))
            }
            Taken::Frames(waiting) => {
                let mut pieces = Vec::with_capacity(waiting.len());
                for piece in waiting {
                    // What waits for a subscription that has ended goes nowhere.
                    let Some(subscription) = self.subscriptions.get_mut(&piece.subscription) else { continue };
                    subscription.sent = piece.seq.unwrap_or(subscription.sent);
                    pieces.push(piece.bytes);
                }
                pieces
            }
        };
        if let Some(number) = self.next_hungry() {
            let frames = self.feed(number).await?;
            pieces.extend((!frames.is_empty()).then(|| self.line(frames)));
        }
        Ok(pieces)
    }

    /// The reader was too slow: whoever was told with the others is fed from the log, from what was sent last.
    fn fall_behind(&mut self) -> Vec<Bytes> {
        let mut board = self.live.board.lock();
        self.subscriptions.keys().for_each(|&number| board.leave(number));
        drop(board);
        self.outbox.reopen();
        let mut frames = Vec::new();
        for subscription in self.subscriptions.values_mut().filter(|it| it.stage == Stage::Live) {
            subscription.stage = match subscription.topic {
                Topic::Queues | Topic::Workers => Stage::Again,
                Topic::Jobs { .. } | Topic::Events(_) | Topic::Logs { .. } => {
                    Stage::Missed { read: subscription.sent, says_caught_up: true }
                }
            };
            let frame = ServerFrame::FellBehind { id: subscription.id.clone(), seq: subscription.sent };
            frames.push(frame.bytes());
        }
        frames
    }

    /// The next subscription that has to be fed, the one fed last coming last.
    fn next_hungry(&self) -> Option<u64> {
        let now = Instant::now();
        let is_hungry = |subscription: &Subscription| match subscription.stage {
            Stage::Begin { .. } | Stage::Snapshot { .. } | Stage::Missed { .. } | Stage::Again => true,
            Stage::Lines { .. } => subscription.lines.as_ref().is_some_and(|lines| lines.is_due(now)),
            Stage::Live | Stage::Ended => false,
        };
        let (later, earlier) = (self.subscriptions.range(self.fed + 1..), self.subscriptions.range(..=self.fed));
        later.chain(earlier).find(|(_, subscription)| is_hungry(subscription)).map(|(&number, _)| number)
    }

    async fn feed(&mut self, number: u64) -> Result<Vec<Bytes>, FeedError> {
        self.fed = number;
        let mut subscription = self.subscriptions.remove(&number).expect("it was found just now");
        let (live, outbox) = (self.live.clone(), self.outbox.clone());
        let fed = tokio::task::spawn_blocking(move || {
            let frames = Vec::new();
            let mut feeder = Feeder { live: &live, outbox: &outbox, subscription: &mut subscription, frames };
            let fed = feeder.step().map(|()| std::mem::take(&mut feeder.frames));
            if outbox.is_closed() {
                live.board.lock().leave(number);
            }
            (subscription, fed)
        });
        let (subscription, fed) = fed.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        match subscription.stage {
            Stage::Ended => drop(self.names.remove(&subscription.id)),
            _ => drop(self.subscriptions.insert(number, subscription)),
        }
        fed
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // First, because one that is being fed may join after this.
        self.outbox.close();
        let mut board = self.live.board.lock();
        self.names.values().for_each(|&number| board.leave(number));
        drop(board);
        self.live.close(self.session);
    }
}

fn unknown(id: Arc<str>) -> Bytes {
    let detail = format!("there is no subscription {id:?} on this connection");
    ServerFrame::Error(ErrorFrame::new(Some(id), "unknown_subscription", detail)).bytes()
}
