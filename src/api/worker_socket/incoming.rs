//! What comes over a worker's connection: messages become frames, one message at a time. Nothing more is read while the
//! last is carried out, so a worker that says too much waits in its own socket.

use std::sync::Arc;

use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::api::websocket::Stream;
use crate::api::websocket::meter::Meter;
use crate::sessions::Session;
use crate::sessions::drive::{Heard, Source};
use crate::sessions::frames::{FRAME_BYTES_MAX, WorkerFrame, parse_worker_frames, read_cut_frame};

/// How much of a message that is too long is looked at, to learn whose result is lost with it.
const BEGINNING_BYTES: usize = 64 * 1024;

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadEnd {
    /// The worker closed in order.
    Closed,
    /// The connection broke, or the worker closed it for a reason that is none.
    Broken,
    /// What came is no JSON object and no array.
    NotJson,
    /// A message is longer than we would hold.
    TooLarge,
}

/// Why a connection's reading ended, once it has.
pub type Ended = Arc<Mutex<Option<ReadEnd>>>;

/// Reads until nothing more comes. When nobody wants it any more, what still comes is thrown away, so that the other side
/// gets to read why.
pub async fn read(mut stream: Stream, heard: mpsc::Sender<Vec<Heard>>, ended: Ended, meter: &Meter) {
    let end = loop {
        meter.set_busy(true);
        let reserved = heard.reserve().await;
        meter.set_busy(false);
        let Ok(place) = reserved else { break None };
        match understand(stream.next().await) {
            Ok(frames) => place.send(frames),
            Err(end) => break Some(end),
        }
    };
    *ended.lock() = end;
    drop(heard);
    // To the end, because the answer to a close goes out while the rest is read.
    while let Some(Ok(_)) = stream.next().await {}
}

fn understand(came: Option<Result<Message, Error>>) -> Result<Vec<Heard>, ReadEnd> {
    match came {
        Some(Ok(Message::Text(text))) => frames(&text),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(vec![Ok(WorkerFrame::Pong)]),
        Some(Ok(Message::Binary(_))) => Err(ReadEnd::NotJson),
        Some(Ok(Message::Close(frame))) => {
            let in_order = frame.is_none_or(|frame| matches!(frame.code, CloseCode::Normal | CloseCode::Away));
            Err(if in_order { ReadEnd::Closed } else { ReadEnd::Broken })
        }
        Some(Err(Error::Capacity(_))) => Err(ReadEnd::TooLarge),
        Some(Err(_)) | None => Err(ReadEnd::Broken),
    }
}

fn frames(text: &str) -> Result<Vec<Heard>, ReadEnd> {
    if text.len() > FRAME_BYTES_MAX {
        let beginning = &text[..text.floor_char_boundary(BEGINNING_BYTES)];
        return Ok(read_cut_frame(beginning, text.len() as u64));
    }
    let frames = parse_worker_frames(text);
    match &frames[..] {
        [Err(error)] if &*error.code == "invalid_json" => Err(ReadEnd::NotJson),
        _ => Ok(frames),
    }
}

/// What was read, as the source of a session's frames: it ends with the connection, or when its talk shall end.
pub struct Inbox {
    pub heard: mpsc::Receiver<Vec<Heard>>,
    pub over: watch::Receiver<bool>,
}

impl Inbox {
    /// The next frames; none when nothing more comes.
    pub async fn next_frames(&mut self) -> Option<Vec<Heard>> {
        tokio::select! {
            biased;
            _ = self.over.wait_for(|over| *over) => None,
            heard = self.heard.recv() => heard,
        }
    }
}

impl Source for Inbox {
    async fn next(&mut self, _: &Session) -> Option<Vec<Heard>> {
        self.next_frames().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_ends_the_connection_and_other_mistakes_do_not() {
        for wrong in ["", "{", "7", "\"hello\"", "null"] {
            assert_eq!(frames(wrong).expect_err(wrong), ReadEnd::NotJson);
        }
        for mistake in ["{}", "[7, {\"type\": \"pong\"}]", "{\"type\": \"nonsense\"}"] {
            assert!(frames(mistake).expect(mistake)[0].is_err(), "{mistake}");
        }
    }

    #[test]
    fn a_result_that_is_too_long_for_a_frame_fails_its_run() {
        let job = "01997f5a-6e00-7000-8000-001523456789";
        let head = format!(r#"{{"type":"complete","job_id":"{job}","token":"t","result":""#);
        let text = head + &"x".repeat(FRAME_BYTES_MAX) + "\"}";
        let heard = frames(&text).expect("it is a frame");
        assert!(matches!(&heard[..], [Err(_), Ok(WorkerFrame::Job(_))]));
    }

    #[test]
    fn only_a_close_without_a_fault_is_in_order() {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        let close = |code| Message::Close(Some(CloseFrame { code, reason: "".into() }));
        for (message, end) in [
            (Message::Close(None), ReadEnd::Closed),
            (close(CloseCode::Normal), ReadEnd::Closed),
            (close(CloseCode::Away), ReadEnd::Closed),
            (close(CloseCode::Error), ReadEnd::Broken),
            (close(CloseCode::Library(4000)), ReadEnd::Broken),
        ] {
            assert_eq!(understand(Some(Ok(message))).expect_err("ends"), end);
        }
        assert_eq!(understand(None).expect_err("ends"), ReadEnd::Broken);
    }
}
