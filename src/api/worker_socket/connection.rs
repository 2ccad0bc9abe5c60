//! The life of one worker's connection: hello, the talk, the close. Three things go on at once, reading, writing and the
//! talk between them; whichever ends, ends the others in order.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::{SemaphorePermit, mpsc, watch};
use tokio::time::timeout;

use crate::api::context::ApiContext;
use crate::api::websocket::meter::{Meter, Metered};
use crate::api::websocket::sending::{Close, WriteEnd};
use crate::api::websocket::{self, Line};
use crate::api::worker_socket::incoming::{Ended, Inbox, ReadEnd, read};
use crate::api::worker_socket::outgoing::{Outgoing, write};
use crate::domain::event::WorkerLeftCause;
use crate::engine::SubmitError;
use crate::sessions::Session;
use crate::sessions::drive::{DriveEnd, Heard, drive, take_in};
use crate::sessions::frames::{FRAME_BYTES_MAX, FrameError, Hello, ServerFrame, WorkerFrame};
use crate::sessions::outbox::{Outbox, outbox};
use crate::sessions::resume::Connected;

/// How long a worker may take to say who it is.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// How long what was read last may take to be carried out when the talk shall end.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// How long the other side may take to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// The buffer of what is read: frames are small, and there may be thousands of workers.
const READ_BUFFER_BYTES: usize = 8 * 1024;
/// Longer messages than a frame may be are still read, to learn whose result is lost with them.
const MESSAGE_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// Serves a connection until it is closed. Without a place there are too many.
pub async fn serve(ctx: Arc<ApiContext>, io: TokioIo<Upgraded>, place: Option<SemaphorePermit<'static>>) {
    let meter = Arc::new(Meter::default());
    let config = websocket::config(READ_BUFFER_BYTES, MESSAGE_BYTES_MAX);
    let line = Line::new(Metered::new(io, meter.clone()), config).await;
    let (said, heard) = mpsc::channel(1);
    let (outbox, frames) = outbox();
    let (closing, close) = watch::channel(None);
    let (over, is_over) = watch::channel(false);
    let ended = Ended::default();
    let ping_every = Duration::from_millis(ctx.sessions.settings().ping.0);
    let mut reading = std::pin::pin!(read(line.messages(), said, ended.clone(), &meter));
    let mut writing = std::pin::pin!(write(&line, Outgoing { frames, close, ping_every, meter: &meter }));
    let talk = Talk { ctx, over, is_over, ended, meter: meter.clone() };
    let (mut has_read, mut written) = (false, None);
    let close = {
        let talking = async {
            match place.is_some() {
                true => talk.hold(heard, outbox).await,
                false => Some(Close::TOO_MANY),
            }
        };
        let mut talking = std::pin::pin!(talking);
        loop {
            tokio::select! {
                close = &mut talking => break close,
                () = &mut reading, if !has_read => has_read = true,
                end = &mut writing, if written.is_none() => {
                    written = Some(end);
                    talk.over.send_replace(true);
                }
            }
        }
    };
    if let Some(end @ (WriteEnd::Stalled | WriteEnd::NoPong)) = written {
        tracing::info!(?end, "the connection of a worker was given up");
    }
    closing.send_replace(close.filter(|_| written.is_none()));
    let finish = async {
        if written.is_none() && close.is_some() {
            writing.await;
        }
        if !has_read {
            reading.await;
        }
    };
    // Whoever takes longer finds the connection closed.
    let _ = timeout(CLOSE_WITHIN, finish).await;
}

/// What is said between hello and close.
struct Talk {
    ctx: Arc<ApiContext>,
    /// Ends the talk, when what was read last is carried out.
    over: watch::Sender<bool>,
    is_over: watch::Receiver<bool>,
    ended: Ended,
    meter: Arc<Meter>,
}

impl Talk {
    /// Talks with a worker to the end. Gives the reason to close, if it is ours.
    async fn hold(&self, heard: mpsc::Receiver<Vec<Heard>>, outbox: Outbox) -> Option<Close> {
        let mut inbox = Inbox { heard, over: self.is_over.clone() };
        let (hello, rest) = match timeout(HELLO_WITHIN, introduce(&mut inbox, &outbox)).await {
            Ok(Some(introduced)) => introduced,
            Ok(None) => return self.close_of_reading(),
            Err(_) => return Some(Close::NO_HELLO),
        };
        match self.ctx.sessions.connect(hello).await {
            Ok(connected) => self.attend(connected, inbox, outbox, rest).await,
            Err(error) => Some(close_of(&error)),
        }
    }

    async fn attend(&self, connected: Connected, mut inbox: Inbox, outbox: Outbox, rest: Vec<Heard>) -> Option<Close> {
        let Connected { session, mut attachment, lost } = connected;
        let greeting =
            [session.welcome()].into_iter().chain(lost.into_iter().map(|job_id| ServerFrame::Lost { job_id }));
        let driven = async {
            for frame in greeting {
                if outbox.send(frame).await.is_err() {
                    return DriveEnd::Deaf;
                }
            }
            match take_in(&session, rest, &outbox).await {
                Ok(()) => drive(&session, &mut inbox, &outbox).await,
                Err(end) => end,
            }
        };
        let mut close = None;
        let end = {
            let mut driven = std::pin::pin!(driven);
            let ours = tokio::select! {
                end = &mut driven => Ok(end),
                never = self.beat_while_bytes_come(&session) => match never {},
                () = attachment.replaced() => Err(Close::REPLACED),
                () = self.ctx.sessions.parts_with_workers() => Err(Close::SHUTDOWN),
            };
            match ours {
                Ok(end) => Some(end),
                Err(reason) => {
                    close = Some(reason);
                    self.over.send_replace(true);
                    timeout(FINISH_WITHIN, driven).await.ok()
                }
            }
        };
        let has_left = close.is_none() && *self.ended.lock() == Some(ReadEnd::Closed);
        if has_left && let Err(error) = session.leave(WorkerLeftCause::Closed).await {
            tracing::warn!(session = %session.id(), %error, "a worker did not leave in order");
        }
        drop(attachment);
        close.or_else(|| match end {
            Some(DriveEnd::Stalled) => Some(Close::STALLED),
            Some(DriveEnd::Engine(error)) => Some(close_of(&error)),
            Some(DriveEnd::Silent | DriveEnd::Deaf) | None => self.close_of_reading(),
        })
    }

    /// A worker whose message takes long to come is there, and so is one whom we do not read because it said much.
    async fn beat_while_bytes_come(&self, session: &Session) -> Infallible {
        let every = Duration::from_millis(self.ctx.sessions.settings().ping.0.max(1));
        let mut looks = tokio::time::interval(every);
        let mut before = self.meter.read();
        loop {
            looks.tick().await;
            let read = self.meter.read();
            if read != before || self.meter.is_busy() {
                session.beat();
            }
            before = read;
        }
    }

    fn close_of_reading(&self) -> Option<Close> {
        match (*self.ended.lock())? {
            ReadEnd::NotJson => Some(Close::NOT_JSON),
            ReadEnd::TooLarge => Some(Close::TOO_LARGE),
            ReadEnd::Closed | ReadEnd::Broken => None,
        }
    }
}

fn close_of(error: &SubmitError) -> Close {
    match error {
        SubmitError::Stopping => Close::SHUTDOWN,
        SubmitError::Refused(_)
        | SubmitError::Overloaded
        | SubmitError::StorageLow { .. }
        | SubmitError::Halted { .. }
        | SubmitError::Unreadable { .. } => Close::INTERNAL,
    }
}

/// Waits for the worker's hello, and gives what came with it. Whatever is said before gets an error.
async fn introduce(inbox: &mut Inbox, outbox: &Outbox) -> Option<(Hello, Vec<Heard>)> {
    loop {
        let mut heard = inbox.next_frames().await?.into_iter();
        while let Some(frame) = heard.next() {
            let error = match frame {
                Ok(WorkerFrame::Hello(hello)) => return Some((hello, heard.collect())),
                Ok(WorkerFrame::Pong) => continue,
                Ok(WorkerFrame::Ready { .. } | WorkerFrame::Job(_)) => {
                    FrameError::invalid("say hello first: who you are, and what you run").into()
                }
                Err(error) => *error,
            };
            outbox.send(ServerFrame::Error(error)).await.ok()?;
        }
    }
}
