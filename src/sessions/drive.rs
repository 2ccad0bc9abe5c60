//! The life of a session on a transport that carries frames both ways all the time: pipes of a child, a WebSocket.
//!
//! Takes what the worker says a burst at a time, gives it jobs while it has room, and tells it what it has to know. It
//! reads only when what was read before is carried out: a worker that says too much waits in its own pipe.

use std::future::Future;

use futures::FutureExt;
use futures::future::{Fuse, FusedFuture};

use crate::domain::job::JobError;
use crate::engine::{Granted, SubmitError};
use crate::sessions::carry::End;
use crate::sessions::frames::{ErrorFrame, FrameError, JobCall, LeaseRef, ServerFrame, WorkerFrame};
use crate::sessions::outbox::{Outbox, STALL_MAX, Unsent};
use crate::sessions::ports::LogLine;
use crate::sessions::session::Session;

/// Where a worker's frames come from.
pub trait Source: Send {
    /// The next frames, at least one; none when nothing more will come. Dropping the future loses nothing.
    fn next(&mut self, session: &Session) -> impl Future<Output = Option<Vec<Heard>>> + Send;
}

/// What was heard: a frame, or what is wrong with it.
pub type Heard = Result<WorkerFrame, Box<ErrorFrame>>;

/// Why a session's drive ended.
#[derive(Debug, thiserror::Error)]
pub enum DriveEnd {
    #[error("the worker says nothing more")]
    Silent,
    #[error("the worker has not read its frames for {} s", STALL_MAX.as_secs())]
    Stalled,
    #[error("the worker takes no more frames")]
    Deaf,
    #[error("{0}")]
    Engine(SubmitError),
}

/// Drives a session until its worker says nothing more, or takes nothing any more. Dropping the future is safe but for
/// the answers to what was just carried out.
///
/// What was heard is carried out, and made durable, while jobs are handed over and news are told: a worker with free
/// slots does not wait for the commit of what it said of another job.
pub async fn drive(session: &Session, source: &mut impl Source, outbox: &Outbox) -> DriveEnd {
    // The claim stands while other things happen, so that the session keeps its turn.
    let mut claim = std::pin::pin!(session.next_jobs());
    let mut carrying = std::pin::pin!(Fuse::terminated());
    let end = loop {
        let done = tokio::select! {
            // Nothing more is read meanwhile, so that what a worker says is carried out in order.
            heard = source.next(session), if carrying.is_terminated() => match heard {
                Some(heard) => {
                    carrying.set(take_in(session, heard, outbox).fuse());
                    Ok(())
                }
                None => Err(DriveEnd::Silent),
            },
            carried = &mut carrying, if !carrying.is_terminated() => carried,
            () = session.news() => tell(session, outbox).await,
            granted = &mut claim => {
                claim.set(session.next_jobs());
                match granted {
                    Ok(granted) => hand_over(session, granted, outbox).await,
                    Err(error) => Err(DriveEnd::Engine(error)),
                }
            }
        };
        if let Err(end) = done {
            break end;
        }
    };
    if !carrying.is_terminated() {
        // What the worker said was heard, however the talk ends.
        let _ = carrying.await;
    }
    end
}

/// Carries out what was heard and sends the answers.
pub async fn take_in(session: &Session, heard: Vec<Heard>, outbox: &Outbox) -> Result<(), DriveEnd> {
    session.beat();
    let mut answers = Vec::new();
    let mut calls: Vec<JobCall> = Vec::new();
    for frame in heard {
        match frame {
            Ok(WorkerFrame::Job(call)) => calls.push(call),
            Ok(WorkerFrame::Ready { slots }) => session.set_slots(slots as usize),
            Ok(WorkerFrame::Pong) => {}
            Ok(WorkerFrame::Hello(_)) => {
                let error = FrameError::invalid("hello: it is the first frame and comes once");
                answers.push(ServerFrame::Error(error.into()));
            }
            Err(error) => answers.push(ServerFrame::Error(*error)),
        }
    }
    session.note_errors(&answers).await;
    answers.extend(session.receive(calls).await);
    send(outbox, answers).await
}

/// Hands granted jobs to the worker. One that cannot be read fails its attempt, so that it is seen and not dealt out
/// again and again.
pub async fn hand_over(session: &Session, granted: Vec<Granted>, outbox: &Outbox) -> Result<(), DriveEnd> {
    for grant in granted {
        if let Some(frame) = frame_of(session, &grant).await.map_err(DriveEnd::Engine)? {
            send(outbox, vec![frame]).await?;
        }
    }
    Ok(())
}

/// The frame with which a granted job goes to its worker; none if it cannot be read, and then its attempt has failed.
pub async fn frame_of(session: &Session, grant: &Granted) -> Result<Option<ServerFrame>, SubmitError> {
    let error = match session.job_frame(grant).await {
        Ok(frame) => return Ok(Some(ServerFrame::Job(Box::new(frame)))),
        Err(error) => error,
    };
    let lease = LeaseRef { job_id: grant.job, token: grant.token.clone() };
    let error = JobError {
        code: "job_unreadable".into(),
        message: error.to_string().into(),
        details: None,
        retryable: true,
        attempt: grant.attempt,
    };
    session.end_run(&lease, End::Fail(error)).await.map(|_| None)
}

/// Tells the worker what it has to know; that a job shall stop is in the job's log as well.
async fn tell(session: &Session, outbox: &Outbox) -> Result<(), DriveEnd> {
    let notices = session.notices();
    for notice in &notices {
        if let ServerFrame::Cancel { job_id, reason, grace_s } = notice {
            let text = format!("told to stop ({}); its worker has {grace_s} s to let go of it", reason.as_str());
            session.note(*job_id, vec![LogLine::system(&text)]).await;
        }
    }
    send(outbox, notices).await
}

async fn send(outbox: &Outbox, frames: Vec<ServerFrame>) -> Result<(), DriveEnd> {
    for frame in frames {
        outbox.send(frame).await.map_err(|unsent| match unsent {
            Unsent::Stalled => DriveEnd::Stalled,
            Unsent::Deaf => DriveEnd::Deaf,
        })?;
    }
    Ok(())
}
