//! What goes out over a worker's connection: frames that wait together go as one message; now and then a ping, whose
//! answer is looked for; at the end the reason why it is closed.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::api::websocket::Line;
use crate::api::websocket::meter::Meter;
use crate::api::websocket::sending::{Close, Pings, WriteEnd, close_with, while_bytes_move};
use crate::api::websocket::shared_line::text_pieces;
use crate::sessions::frames::ServerFrame;
use crate::sessions::outbox;

/// Frames are joined until a message has about so many bytes.
const JOINED_BYTES_MAX: usize = 1024 * 1024;

/// What goes out, and the sign to close.
pub struct Outgoing<'a> {
    pub frames: outbox::Outgoing,
    pub close: watch::Receiver<Option<Close>>,
    pub ping_every: Duration,
    pub meter: &'a Meter,
}

/// Sends until it is told to close, or cannot send any more.
pub async fn write(line: &Line, mut outgoing: Outgoing<'_>) -> WriteEnd {
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
                    if let Err(end) = say(line, text, &outgoing).await {
                        return end;
                    }
                }
            },
            close = asked(&mut outgoing.close) => {
                return close_with(&mut line.messages(), close, outgoing.meter).await;
            }
            () = sleep_until(pings.alarm()), if has_spoken => {
                if pings.is_overdue() && !pings.was_answered(outgoing.meter) {
                    close_with(&mut line.messages(), Some(Close::NO_PONG), outgoing.meter).await;
                    return WriteEnd::NoPong;
                }
                if pings.is_due() {
                    let text = written(&ServerFrame::Ping);
                    if let Err(end) = say(line, text, &outgoing).await {
                        return end;
                    }
                    pings.sent(outgoing.meter);
                }
            }
        }
    }
}

/// Waits until the connection shall be closed.
async fn asked(close: &mut watch::Receiver<Option<Close>>) -> Option<Close> {
    close.wait_for(Option::is_some).await.ok().and_then(|close| *close)
}

/// Sends a message. Those who wait for room in the outbox are told that it moves.
async fn say(line: &Line, text: String, outgoing: &Outgoing<'_>) -> Result<(), WriteEnd> {
    let pieces = text_pieces(text.into());
    while_bytes_move(line.send(pieces), outgoing.meter, || outgoing.frames.note_moving()).await
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
