//! The life of one connection: introduces the worker, then carries what the board has to say and what the server says,
//! each way for itself, until one of them ends it.

use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::domain::time::Millis;
use crate::sessions::frames::{FrameError, Hello, ServerFrame};
use crate::sessions::worker_side::{read_server_frames, write_hello};
use crate::workers::remote::board::{Board, Next};
use crate::workers::remote::line::{Line, LineError, Refused, closed};

/// How long the server may take for its welcome.
const WELCOME_MAX: Duration = Duration::from_secs(10);
/// How long the server may take to close its side.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// How long a message may take to be written.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// How often it is found out what the server has certainly heard, when nobody waits to know. Log lines of about twice
/// that time may stand twice in a job's log when the connection is cut.
const PING_EVERY: Duration = Duration::from_millis(200);
/// The connection is given up when nothing was heard for so many of the server's pings.
const SILENCE_PINGS: f64 = 2.5;
/// The shortest silence that is too long.
const SILENCE_MIN: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The worker has nothing more to do, and has left in order.
    InOrder,
    /// Otherwise. `was_welcome`: the server had taken the worker.
    Cut { was_welcome: bool, why: LineError },
}

/// Speaks over an open connection until it ends.
pub(crate) async fn talk(line: Line, hello: &Hello, board: &Board) -> Ended {
    let (mut sink, mut stream) = line.split();
    let silence = match timeout(WELCOME_MAX, introduce(&mut sink, &mut stream, hello, board)).await {
        Ok(Ok(silence)) => silence,
        Ok(Err(why)) => return Ended::Cut { was_welcome: false, why },
        Err(_) => {
            let why = LineError::Passing(format!("the server gave no welcome within {} s", WELCOME_MAX.as_secs()));
            return Ended::Cut { was_welcome: false, why };
        }
    };
    let why = tokio::select! {
        why = listen(&mut stream, board, silence) => why,
        why = speak(&mut sink, board) => why,
    };
    let Some(why) = why else { return leave(sink, stream).await };
    Ended::Cut { was_welcome: true, why }
}

/// Says `hello` and hears until the welcome; gives the silence that is too long.
async fn introduce(
    sink: &mut SplitSink<Line, Message>,
    stream: &mut SplitStream<Line>,
    hello: &Hello,
    board: &Board,
) -> Result<Duration, LineError> {
    sink.send(Message::text(write_hello(hello))).await.map_err(broken)?;
    let mut before = Vec::new();
    let mut welcome = None;
    while welcome.is_none() {
        for frame in hear(stream).await? {
            match frame {
                Ok(ServerFrame::Welcome { session, epoch, lease_s, ping_s }) => {
                    welcome = Some((session, epoch, lease_s, ping_s));
                }
                Ok(ServerFrame::Error(error)) if welcome.is_none() && error.job_id.is_none() => {
                    return Err(refused_hello(&error.code, &error.detail));
                }
                other => before.push(other),
            }
        }
    }
    let (session, epoch, lease_s, ping_s) = welcome.expect("the loop ends with a welcome");
    board.came_up(session, epoch, Millis((lease_s.max(0.0) * 1000.0) as u64));
    take_in(before, board)?;
    Ok(Duration::try_from_secs_f64(ping_s * SILENCE_PINGS).unwrap_or(Duration::MAX).max(SILENCE_MIN))
}

fn refused_hello(code: &str, detail: &str) -> LineError {
    match code {
        "overloaded" | "shutting_down" | "starting" | "storage_low" | "storage_failed" | "too_many_connections" => {
            LineError::Passing(format!("the server does not take workers now: {detail}"))
        }
        _ => LineError::Refused(Refused::Hello { detail: format!("{code}: {detail}") }),
    }
}

/// Hears until the connection ends, and tells why. None is never given.
async fn listen(stream: &mut SplitStream<Line>, board: &Board, silence: Duration) -> Option<LineError> {
    loop {
        let heard = match timeout(silence, hear_any(stream, board)).await {
            Ok(heard) => heard.and_then(|frames| take_in(frames, board)),
            Err(_) => {
                let words = format!("nothing was heard of the server for {:.1} s", silence.as_secs_f64());
                Err(LineError::Passing(words))
            }
        };
        if let Err(why) = heard {
            return Some(why);
        }
    }
}

type Frames = Vec<Result<ServerFrame, FrameError>>;

/// The frames of the next message; none if it was one of the protocol.
async fn hear_any(stream: &mut SplitStream<Line>, board: &Board) -> Result<Frames, LineError> {
    match stream.next().await {
        Some(Ok(Message::Text(text))) => Ok(read_server_frames(&text)),
        Some(Ok(Message::Pong(payload))) => {
            let number = std::str::from_utf8(&payload).ok().and_then(|text| text.parse().ok());
            number.into_iter().for_each(|number| board.heard_pong(number));
            Ok(Vec::new())
        }
        Some(Ok(Message::Close(frame))) => Err(closed(frame)),
        Some(Ok(Message::Ping(_) | Message::Binary(_) | Message::Frame(_))) => Ok(Vec::new()),
        Some(Err(error)) => Err(broken(error)),
        None => Err(LineError::Passing("the connection has ended".to_owned())),
    }
}

async fn hear(stream: &mut SplitStream<Line>) -> Result<Frames, LineError> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => return Ok(read_server_frames(&text)),
            Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(broken(error)),
            None => return Err(LineError::Passing("the connection has ended".to_owned())),
        }
    }
}

/// Puts frames on the board. A job that cannot be read ends the connection: kept alive by it, the job would never run;
/// without it the server takes it back.
fn take_in(frames: Frames, board: &Board) -> Result<(), LineError> {
    for frame in frames {
        match frame {
            Ok(frame) => board.hear(frame),
            Err(error) if &*error.code == "unknown_frame" => tracing::debug!("passed over: {}", error.detail),
            Err(error) => return Err(LineError::Passing(format!("the server said what cannot be read: {error}"))),
        }
    }
    Ok(())
}

/// Sends what the board has to say. Ends with nothing when the worker is done.
async fn speak(sink: &mut SplitSink<Line, Message>, board: &Board) -> Option<LineError> {
    let mut pings = tokio::time::interval(PING_EVERY);
    pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let message = match board.next() {
            Some(Next::Text(text)) => Message::text(text),
            Some(Next::Ping(number)) => Message::Ping(number.to_string().into()),
            Some(Next::Close) => return None,
            None => {
                tokio::select! {
                    () = board.woken() => {}
                    _ = pings.tick() => board.ping_is_due(),
                }
                continue;
            }
        };
        match timeout(WRITE_MAX, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Some(broken(error)),
            Err(_) => {
                let words = format!("the server has read nothing for {} s", WRITE_MAX.as_secs());
                return Some(LineError::Passing(words));
            }
        }
    }
}

/// Closes in order: nothing is held any more.
async fn leave(mut sink: SplitSink<Line, Message>, mut stream: SplitStream<Line>) -> Ended {
    let goodbye = CloseFrame { code: CloseCode::Normal, reason: "the worker is done".into() };
    let closing = async {
        // A server that is gone has nothing to be told.
        let _ = sink.send(Message::Close(Some(goodbye))).await;
        // When it has answered, it has taken note.
        while let Some(Ok(message)) = stream.next().await
            && !message.is_close()
        {}
    };
    let _ = timeout(CLOSE_MAX, closing).await;
    Ended::InOrder
}

fn broken(error: tungstenite::Error) -> LineError {
    LineError::Passing(match error {
        tungstenite::Error::Io(error) => format!("the connection broke: {error}"),
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => "the connection broke".to_owned(),
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            "the server closed the connection".to_owned()
        }
        error => format!("the connection is unusable: {error}"),
    })
}
