//! The life of one live connection: what is heard is taken one frame at a time, what is to be said is sent in bursts, at
//! the pace of the reader. One task, no channel to the outside, and small buffers: most connections are idle.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::api::websocket::meter::{Meter, Metered};
use crate::api::websocket::sending::{Close, Pings, WriteEnd, close_with, while_bytes_move};
use crate::api::websocket::shared_line::write_text;
use crate::api::websocket::{self, Line, LineMessages};
use crate::live::frames::{
    CLIENT_FRAME_BYTES_MAX, ClientFrame, ErrorFrame, GoodbyeReason, Mistake, ServerFrame, parse,
};
use crate::live::subscriber::{Subscriber, TooMany};
use crate::live::{Live, SUBSCRIPTIONS_MAX};

/// The buffer of what is read: subscribers say little, and there may be thousands of them.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// How long the other side may take to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// A write that takes so long waits for its reader.
const SLOW_WRITE: Duration = Duration::from_millis(100);

const SHUTDOWN: Close = Close::new(4001, "shutdown: come back with the same positions");
const NOT_JSON: Close = Close::new(4500, "a message is one JSON object");
const FOREIGN: Close = Close::new(4503, "forbidden origin: add it to allowed_origins under [auth] in daybook.toml");
const TOO_MANY_SUBSCRIPTIONS: Close = Close::new(4505, "too many subscriptions: at most 256 on one connection");
const TOO_LARGE: Close = Close::new(1009, "a message has at most 64 KiB");
const _: () = assert!(SUBSCRIPTIONS_MAX == 256 && CLIENT_FRAME_BYTES_MAX == 64 * 1024, "they are named above");

/// What was heard.
enum Heard {
    Frame(Box<ClientFrame>),
    Mistake(Box<ErrorFrame>),
    /// Something after which there is nothing more to say.
    Fault(Close),
}

/// Serves a connection until it is closed.
pub async fn serve(live: Arc<Live>, io: TokioIo<Upgraded>, is_foreign: bool) {
    let meter = Arc::new(Meter::with_patience(live.settings().stall_max));
    let config = websocket::config(READ_BUFFER_BYTES, CLIENT_FRAME_BYTES_MAX);
    let line = Line::new(Metered::new(io, meter.clone()), config).await;
    let (said, heard) = mpsc::channel(1);
    let mut reading = std::pin::pin!(read(line.messages(), said, &meter));
    let mut has_read = false;
    let close = {
        let mut talking = std::pin::pin!(talk(&live, &line, heard, is_foreign, &meter));
        loop {
            tokio::select! {
                close = &mut talking => break close,
                () = &mut reading, if !has_read => has_read = true,
            }
        }
    };
    let finish = async {
        if close.is_some() {
            close_with(&mut line.messages(), close, &meter).await;
        }
        if !has_read {
            reading.await;
        }
    };
    // Whoever takes longer finds the connection closed.
    let _ = timeout(CLOSE_WITHIN, finish).await;
}

/// Reads until nothing more comes. When nobody wants it any more, what still comes is thrown away, so that the other side
/// gets to read why.
async fn read(mut stream: LineMessages<'_>, said: mpsc::Sender<Heard>, meter: &Meter) {
    loop {
        meter.set_busy(true);
        let reserved = said.reserve().await;
        meter.set_busy(false);
        let Ok(place) = reserved else { break };
        match stream.next().await.map(understand) {
            Some(Some(heard)) => place.send(heard),
            Some(None) => {}
            None => return,
        }
    }
    // To the end, because the answer to a close goes out while the rest is read.
    while let Some(Ok(_)) = stream.next().await {}
}

fn understand(came: Result<Message, Error>) -> Option<Heard> {
    match came {
        Ok(Message::Text(text)) => Some(match parse(&text) {
            Ok(frame) => Heard::Frame(Box::new(frame)),
            Err(Mistake::Told(error)) => Heard::Mistake(error),
            Err(Mistake::NotJson) => Heard::Fault(NOT_JSON),
        }),
        Ok(Message::Binary(_)) => Some(Heard::Fault(NOT_JSON)),
        Err(Error::Capacity(_)) => Some(Heard::Fault(TOO_LARGE)),
        Err(Error::Utf8(_)) => Some(Heard::Fault(NOT_JSON)),
        Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => None,
        Err(Error::Protocol(_)) => Some(Heard::Fault(Close::PROTOCOL)),
        // After these the stream ends by itself.
        Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_) | Message::Close(_)) | Err(_) => None,
    }
}

/// Talks with a subscriber to the end. Gives the reason to close, if it is ours.
async fn talk(
    live: &Arc<Live>,
    line: &Line,
    heard: mpsc::Receiver<Heard>,
    is_foreign: bool,
    meter: &Meter,
) -> Option<Close> {
    if is_foreign {
        return Some(FOREIGN);
    }
    let Some(subscriber) = Subscriber::new(live) else { return Some(Close::TOO_MANY) };
    let mut talk = Talk { live, line, subscriber, meter, waited_at: None };
    match talk.hold(heard).await {
        Ok(close) => close,
        Err(end @ (WriteEnd::Stalled | WriteEnd::NoPong)) => {
            tracing::info!(?end, "a live connection was given up");
            Some(if end == WriteEnd::NoPong { Close::NO_PONG } else { Close::STALLED })
        }
        Err(WriteEnd::Broken | WriteEnd::Closed) => None,
    }
}

struct Talk<'a> {
    live: &'a Arc<Live>,
    line: &'a Line,
    subscriber: Subscriber,
    meter: &'a Meter,
    /// When it was waited for the reader last.
    waited_at: Option<Instant>,
}

impl Talk<'_> {
    async fn hold(&mut self, mut heard: mpsc::Receiver<Heard>) -> Result<Option<Close>, WriteEnd> {
        let live = self.live.clone();
        let mut parting = std::pin::pin!(live.parts_with_all());
        let mut pings = Pings::new(Duration::from_millis(live.settings().ping.0.max(1)));
        let mut alarm = std::pin::pin!(sleep_until(pings.alarm()));
        self.send(vec![self.subscriber.status()]).await?;
        loop {
            if alarm.deadline() != pings.alarm() {
                alarm.as_mut().reset(pings.alarm());
            }
            tokio::select! {
                biased;
                () = &mut parting => return self.part().await.map(Some),
                said = heard.recv() => match said {
                    None => return Ok(None),
                    Some(said) => if let Some(close) = self.take(said).await? {
                        return Ok(Some(close));
                    },
                },
                () = &mut alarm => self.ask(&mut pings).await?,
                () = self.subscriber.stirred() => match self.subscriber.burst().await {
                    Ok(pieces) => self.send(pieces).await?,
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "a live connection could not be fed");
                        return Ok(Some(Close::INTERNAL));
                    }
                },
            }
        }
    }

    /// Asks whether somebody is there, or looks for the answer.
    async fn ask(&mut self, pings: &mut Pings) -> Result<(), WriteEnd> {
        if pings.is_overdue() && !pings.was_answered(self.meter) {
            if !self.is_slow() {
                return Err(WriteEnd::NoPong);
            }
            pings.forgive();
        }
        if pings.is_due() {
            self.say(&ServerFrame::Ping).await?;
            pings.sent(self.meter);
        }
        Ok(())
    }

    async fn take(&mut self, said: Heard) -> Result<Option<Close>, WriteEnd> {
        let answer = match said {
            Heard::Fault(close) => return Ok(Some(close)),
            Heard::Mistake(error) => {
                self.say(&ServerFrame::Error(*error)).await?;
                return Ok(None);
            }
            Heard::Frame(frame) => match self.subscriber.take(*frame) {
                Ok(answer) => answer,
                Err(TooMany) => return Ok(Some(TOO_MANY_SUBSCRIPTIONS)),
            },
        };
        if let Some(answer) = answer {
            self.send(vec![answer]).await?;
        }
        Ok(None)
    }

    /// The server stops: says when to come back.
    async fn part(&mut self) -> Result<Close, WriteEnd> {
        let retry_after_ms = self.live.retry_after_ms(self.subscriber.session());
        let goodbye = ServerFrame::Goodbye { reason: GoodbyeReason::Shutdown, retry_after_ms };
        self.say(&goodbye).await?;
        Ok(SHUTDOWN)
    }

    async fn say(&mut self, frame: &ServerFrame) -> Result<(), WriteEnd> {
        let mut line = Vec::new();
        write_text(&frame.bytes(), &mut line);
        self.send(vec![line.into()]).await
    }

    /// Sends frames that were written already.
    async fn send(&mut self, pieces: Vec<Bytes>) -> Result<(), WriteEnd> {
        let began = Instant::now();
        let sent = while_bytes_move(self.line.send(pieces), self.meter, || {}).await;
        let now = Instant::now();
        if now.duration_since(began) >= SLOW_WRITE {
            self.waited_at = Some(now);
        }
        sent
    }

    /// Whether the reader is one who has much to read: then a ping stands behind all of it, and its answer may take long.
    fn is_slow(&self) -> bool {
        self.waited_at.is_some_and(|at| at.elapsed() < self.meter.stall_max())
    }
}
