//! What comes over a worker's connection: messages become frames. What comes while the last is carried out is gathered
//! and carried out together, so that it shares a commit; beyond a limit a worker that says too much waits in its own
//! socket.

use std::sync::Arc;

use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::api::websocket::LineMessages;
use crate::api::websocket::meter::Meter;
use crate::sessions::Session;
use crate::sessions::drive::{Heard, Source};
use crate::sessions::frames::{FRAME_BYTES_MAX, WorkerFrame, parse_worker_frames, read_cut_frame};

/// How much of a message that is too long is looked at, to learn whose result is lost with it.
const BEGINNING_BYTES: usize = 64 * 1024;

/// Nothing more is read when about so many bytes wait to be carried out.
const GATHERED_BYTES_MAX: usize = 256 * 1024;
/// What a message counts for beside its text: an empty one takes room too.
const MESSAGE_BYTES: usize = 64;

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
pub async fn read(mut stream: LineMessages<'_>, heard: mpsc::Sender<Vec<Heard>>, ended: Ended, meter: &Meter) {
    let end = gather(&mut stream, &heard, meter).await;
    meter.set_busy(false);
    *ended.lock() = end;
    drop(heard);
    // To the end, because the answer to a close goes out while the rest is read.
    while let Some(Ok(_)) = stream.next().await {}
}

/// Hands on what comes, as much at once as came while the last was carried out. Ends with the reason why nothing more
/// comes, when all that came before is handed on; with none when nobody wants it.
async fn gather<S>(stream: &mut S, heard: &mpsc::Sender<Vec<Heard>>, meter: &Meter) -> Option<ReadEnd>
where
    S: futures::Stream<Item = Result<Message, Error>> + Unpin,
{
    let (mut gathered, mut bytes, mut end) = (Vec::new(), 0, None);
    loop {
        let reads = end.is_none() && bytes < GATHERED_BYTES_MAX;
        meter.set_busy(!reads);
        tokio::select! {
            biased;
            place = heard.reserve(), if !gathered.is_empty() => match place {
                Ok(place) => {
                    place.send(std::mem::take(&mut gathered));
                    bytes = 0;
                    if end.is_some() {
                        return end;
                    }
                }
                Err(_) => return None,
            },
            came = stream.next(), if reads => {
                bytes += length(&came) + MESSAGE_BYTES;
                match understand(came) {
                    Ok(frames) => gathered.extend(frames),
                    Err(_) if heard.is_closed() => return None,
                    Err(why) if gathered.is_empty() => return Some(why),
                    Err(why) => end = Some(why),
                }
            }
        }
    }
}

fn length(came: &Option<Result<Message, Error>>) -> usize {
    came.as_ref().and_then(|came| came.as_ref().ok()).map_or(0, Message::len)
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

    fn pong() -> Result<Message, Error> {
        Ok(Message::text(r#"{"type":"pong"}"#))
    }

    #[tokio::test]
    async fn what_comes_while_the_last_is_carried_out_is_carried_out_together_and_before_the_end() {
        let (heard, mut inbox) = mpsc::channel(1);
        heard.send(Vec::new()).await.expect("there is room");
        let mut stream = futures::stream::iter([pong(), pong(), pong(), Ok(Message::Close(None)), pong()]);
        let (meter, mut sizes) = (Meter::default(), Vec::new());
        let reading = async { gather(&mut stream, &heard, &meter).await };
        let carrying = async {
            // The first is being carried out until everything else came.
            tokio::task::yield_now().await;
            while sizes.len() < 2 {
                sizes.push(inbox.recv().await.expect("more comes").len());
            }
        };
        let (end, ()) = tokio::join!(reading, carrying);
        assert_eq!((end, sizes), (Some(ReadEnd::Closed), vec![0, 3]));
    }

    #[tokio::test]
    async fn a_worker_that_says_too_much_waits_in_its_socket() {
        let (heard, mut inbox) = mpsc::channel(1);
        heard.send(Vec::new()).await.expect("there is room");
        let fit = GATHERED_BYTES_MAX / MESSAGE_BYTES;
        let empty = || Ok(Message::Ping(bytes::Bytes::new()));
        let mut stream = futures::stream::iter(std::iter::repeat_with(empty).take(fit + 1));
        let meter = Meter::default();
        let mut reading = std::pin::pin!(gather(&mut stream, &heard, &meter));
        assert!(futures::poll!(&mut reading).is_pending() && meter.is_busy());
        let carrying = async {
            [inbox.recv().await, inbox.recv().await, inbox.recv().await].map(|came| came.map(|came| came.len()))
        };
        let (end, sizes) = tokio::join!(reading, carrying);
        assert_eq!((end, sizes), (Some(ReadEnd::Broken), [Some(0), Some(fit), Some(1)]));
    }

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
