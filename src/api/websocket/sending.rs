//! What goes out over a WebSocket: messages while bytes move, pings whose answers are looked for, and at the end the reason
//! why it is closed.

use std::future::Future;
use std::time::Duration;

use futures::{Sink, SinkExt};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::api::websocket::meter::Meter;

/// How often a message that takes long is looked at: whether it still moves.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long after a ping something must have come.
const PONG_WITHIN: Duration = Duration::from_secs(5);

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    pub code: u16,
    pub reason: &'static str,
}

impl Close {
    pub const SHUTDOWN: Close = Close::new(4001, "shutdown: come back with your leases");
    pub const INTERNAL: Close = Close::new(4004, "internal: the server could not go on");
    pub const STALLED: Close = Close::new(4008, "stalled: nothing was read for 30 s");
    pub const NO_PONG: Close = Close::new(4012, "no pong in 5 s");
    pub const NOT_JSON: Close = Close::new(4500, "a message is a JSON object or an array of them");
    pub const NO_HELLO: Close = Close::new(4502, "no hello in 5 s");
    pub const TOO_MANY: Close = Close::new(4504, "too many connections");
    pub const REPLACED: Close = Close::new(4506, "replaced: the session was resumed over another connection");
    pub const TOO_LARGE: Close = Close::new(1009, "a message has at most 16 MiB");

    /// A code and what it means, for people.
    pub const fn new(code: u16, reason: &'static str) -> Close {
        Close { code, reason }
    }
}

/// Why nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteEnd {
    /// It was closed as asked.
    Closed,
    /// The worker gave no sign of life.
    NoPong,
    /// The worker does not read.
    Stalled,
    /// The connection broke.
    Broken,
}

/// Says why the connection is closed.
pub async fn close_with(
    sink: &mut (impl Sink<Message, Error = Error> + Unpin),
    close: Option<Close>,
    meter: &Meter,
) -> WriteEnd {
    let frame = close.map(|close| CloseFrame { code: close.code.into(), reason: close.reason.into() });
    match send(sink, Message::Close(frame), meter).await {
        Ok(()) => WriteEnd::Closed,
        Err(end) => end,
    }
}

/// Sends a message. Bytes must move: a reader may be slow, but not dead.
///
/// # Errors
/// Nothing more can be sent.
pub async fn send(
    sink: &mut (impl Sink<Message, Error = Error> + Unpin),
    message: Message,
    meter: &Meter,
) -> Result<(), WriteEnd> {
    send_noting(sink, message, meter, || {}).await
}

/// Sends a message, and says while it takes long that bytes move.
///
/// # Errors
/// Nothing more can be sent.
pub async fn send_noting(
    sink: &mut (impl Sink<Message, Error = Error> + Unpin),
    message: Message,
    meter: &Meter,
    note_moving: impl Fn(),
) -> Result<(), WriteEnd> {
    while_bytes_move(sink.send(message), meter, note_moving).await
}

/// Waits until something is sent. Bytes must move.
///
/// # Errors
/// Nothing more can be sent.
pub async fn while_bytes_move<E>(
    sending: impl Future<Output = Result<(), E>>,
    meter: &Meter,
    note_moving: impl Fn(),
) -> Result<(), WriteEnd> {
    let mut sending = std::pin::pin!(sending);
    let mut moved_at = Instant::now();
    loop {
        let before = meter.written();
        match timeout(LOOK_EVERY.min(meter.stall_max()), &mut sending).await {
            Ok(sent) => return sent.map_err(|_| WriteEnd::Broken),
            Err(_) if meter.written() != before => {
                moved_at = Instant::now();
                note_moving();
            }
            Err(_) if moved_at.elapsed() >= meter.stall_max() => return Err(WriteEnd::Stalled),
            Err(_) => {}
        }
    }
}

/// When the next ping is due, and whether the last was answered: by anything that came.
pub struct Pings {
    every: Duration,
    next: Instant,
    asked: Option<(Instant, u64)>,
}

impl Pings {
    pub fn new(every: Duration) -> Pings {
        Pings { every, next: Instant::now() + every, asked: None }
    }

    pub fn sent(&mut self, meter: &Meter) {
        let now = Instant::now();
        self.next = now + self.every;
        self.asked = self.asked.filter(|(_, read)| *read == meter.read()).or(Some((now + PONG_WITHIN, meter.read())));
    }

    /// When there is something to do next: to ask, or to look for an answer.
    pub fn alarm(&self) -> Instant {
        self.asked.map_or(self.next, |(by, _)| by.min(self.next))
    }

    /// Whether it is time to ask.
    pub fn is_due(&self) -> bool {
        self.next <= Instant::now()
    }

    /// Whether an answer should be here by now.
    pub fn is_overdue(&self) -> bool {
        self.asked.is_some_and(|(by, _)| by <= Instant::now())
    }

    /// Whether something came. While it is we who do not read, nothing can.
    pub fn was_answered(&mut self, meter: &Meter) -> bool {
        match self.asked {
            Some((_, read)) if read == meter.read() && !meter.is_busy() => false,
            _ => {
                self.asked = None;
                true
            }
        }
    }

    /// Asks no more for the answer that is missing: it may come, but nothing can be made of its absence.
    pub fn forgive(&mut self) {
        self.asked = None;
    }
}
