//! What goes out over a worker's connection: frames that wait together go as one message; now and then a ping, whose
//! answer is looked for; at the end the reason why it is closed.

use std::time::Duration;

use futures::SinkExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::api::worker_socket::connection::Sink;
use crate::api::worker_socket::meter::Meter;
use crate::sessions::frames::ServerFrame;
use crate::sessions::outbox::{self, STALL_MAX};

/// Frames are joined until a message has about so many bytes.
const JOINED_BYTES_MAX: usize = 1024 * 1024;
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

    const fn new(code: u16, reason: &'static str) -> Close {
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

/// What goes out, and the sign to close.
pub struct Outgoing<'a> {
    pub frames: outbox::Outgoing,
    pub close: watch::Receiver<Option<Close>>,
    pub ping_every: Duration,
    pub meter: &'a Meter,
}

/// Sends until it is told to close, or cannot send any more.
pub async fn write(mut sink: Sink, mut outgoing: Outgoing<'_>) -> WriteEnd {
    let mut pings = Pings::new(outgoing.ping_every);
    // Whoever has not been welcomed is not asked whether he is there.
    let (mut has_frames, mut has_spoken) = (true, false);
    loop {
        tokio::select! {
            biased;
            frame = outgoing.frames.recv(), if has_frames => match frame {
                None => has_frames = false,
                Some(frame) => {
                    has_spoken = true;
                    let text = joined(frame, &mut outgoing.frames);
                    if let Err(end) = send(&mut sink, Message::text(text), &outgoing).await {
                        return end;
                    }
                }
            },
            close = asked(&mut outgoing.close) => {
                return close_with(&mut sink, close, &outgoing).await;
            }
            () = sleep_until(pings.next), if has_spoken => {
                let text = written(&ServerFrame::Ping);
                if let Err(end) = send(&mut sink, Message::text(text), &outgoing).await {
                    return end;
                }
                pings.sent(outgoing.meter);
            }
            () = sleep_until(pings.answer_by()), if pings.is_waiting() => {
                if !pings.was_answered(outgoing.meter) {
                    close_with(&mut sink, Some(Close::NO_PONG), &outgoing).await;
                    return WriteEnd::NoPong;
                }
            }
        }
    }
}

/// Waits until the connection shall be closed.
async fn asked(close: &mut watch::Receiver<Option<Close>>) -> Option<Close> {
    close.wait_for(Option::is_some).await.ok().and_then(|close| *close)
}

async fn close_with(sink: &mut Sink, close: Option<Close>, outgoing: &Outgoing<'_>) -> WriteEnd {
    let frame = close.map(|close| CloseFrame { code: close.code.into(), reason: close.reason.into() });
    match send(sink, Message::Close(frame), outgoing).await {
        Ok(()) => WriteEnd::Closed,
        Err(end) => end,
    }
}

/// Sends a message. Slow is not dead: as long as bytes move it is waited for, and those who wait for room are told.
async fn send(sink: &mut Sink, message: Message, outgoing: &Outgoing<'_>) -> Result<(), WriteEnd> {
    let mut sending = std::pin::pin!(sink.send(message));
    let mut moved_at = Instant::now();
    loop {
        let before = outgoing.meter.written();
        match timeout(LOOK_EVERY, &mut sending).await {
            Ok(sent) => return sent.map_err(|_| WriteEnd::Broken),
            Err(_) if outgoing.meter.written() != before => {
                moved_at = Instant::now();
                outgoing.frames.note_moving();
            }
            Err(_) if moved_at.elapsed() >= STALL_MAX => return Err(WriteEnd::Stalled),
            Err(_) => {}
        }
    }
}

/// One frame, or an array of all that wait.
fn joined(first: ServerFrame, frames: &mut outbox::Outgoing) -> String {
    let first = written(&first);
    let mut bytes = first.len();
    let mut texts = vec![first];
    while bytes < JOINED_BYTES_MAX {
        let Some(frame) = frames.try_recv() else { break };
        let text = written(&frame);
        bytes += text.len();
        texts.push(text);
    }
    match texts.len() {
        1 => texts.remove(0),
        _ => format!("[{}]", texts.join(",")),
    }
}

fn written(frame: &ServerFrame) -> String {
    serde_json::to_string(frame).expect("a frame can be written as JSON")
}

/// When the next ping is due, and whether the last was answered: by anything that came.
struct Pings {
    every: Duration,
    next: Instant,
    asked: Option<(Instant, u64)>,
}

impl Pings {
    fn new(every: Duration) -> Pings {
        Pings { every, next: Instant::now() + every, asked: None }
    }

    fn sent(&mut self, meter: &Meter) {
        let now = Instant::now();
        self.next = now + self.every;
        self.asked = self.asked.filter(|(_, read)| *read == meter.read()).or(Some((now + PONG_WITHIN, meter.read())));
    }

    fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    fn answer_by(&self) -> Instant {
        self.asked.map_or(self.next, |(by, _)| by)
    }

    /// Whether something came. While it is we who do not read, nothing can.
    fn was_answered(&mut self, meter: &Meter) -> bool {
        match self.asked {
            Some((_, read)) if read == meter.read() && !meter.is_busy() => false,
            _ => {
                self.asked = None;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_that_wait_together_go_as_one_message_and_one_alone_as_itself() {
        let (outbox, mut frames) = outbox::outbox();
        assert_eq!(joined(ServerFrame::Ping, &mut frames), r#"{"type":"ping"}"#);
        outbox.send(ServerFrame::Quiet).await.expect("there is room");
        assert_eq!(joined(ServerFrame::Ping, &mut frames), r#"[{"type":"ping"},{"type":"quiet"}]"#);
    }
}
