//! The life of a session on a transport that carries frames both ways all the time: pipes of a child, a WebSocket.
//!
//! Takes what the worker says a burst at a time, gives it jobs while it has room, and tells it what it has to know. It
//! reads only when what was read before is carried out: a worker that says too much waits in its own pipe.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::domain::job::JobError;
use crate::engine::{Granted, SubmitError};
use crate::sessions::carry::End;
use crate::sessions::frames::{ErrorFrame, FrameError, JobCall, LeaseRef, ServerFrame, WorkerFrame};
use crate::sessions::session::Session;

/// How many frames may wait for a worker that does not read.
pub const OUTBOX_FRAMES_MAX: usize = 1024;
/// How long a worker with a full outbox may go on without reading.
pub const STALL_MAX: Duration = Duration::from_secs(30);

/// Where a worker's frames come from.
pub trait Source: Send {
    /// The next frames, at least one; none when nothing more will come. Dropping the future loses nothing.
    fn next(&mut self, session: &Session) -> impl Future<Output = Option<Vec<Heard>>> + Send;
}

/// What was heard: a frame, or what is wrong with it.
pub type Heard = Result<WorkerFrame, Box<ErrorFrame>>;

/// The frames on their way to a worker.
pub type Outbox = mpsc::Sender<ServerFrame>;

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
pub async fn drive(session: &Session, source: &mut impl Source, outbox: &Outbox) -> DriveEnd {
    // The claim stands while other things happen, so that the session keeps its turn.
    let mut claim = std::pin::pin!(session.next_jobs());
    loop {
        let end = tokio::select! {
            heard = source.next(session) => match heard {
                Some(heard) => take_in(session, heard, outbox).await,
                None => Err(DriveEnd::Silent),
            },
            () = session.news() => send(outbox, session.notices()).await,
            granted = &mut claim => {
                claim.set(session.next_jobs());
                match granted {
                    Ok(granted) => hand_over(session, granted, outbox).await,
                    Err(error) => Err(DriveEnd::Engine(error)),
                }
            }
        };
        if let Err(end) = end {
            return end;
        }
    }
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
    // Before anything is carried out: a job may end with the same burst, and nothing is written after its end.
    tell_jobs(session, &answers).await;
    let answered = session.receive(calls).await;
    tell_jobs(session, &answered).await;
    answers.extend(answered);
    send(outbox, answers).await
}

/// Writes what was wrong with a frame into the log of the job that it was about, if this worker holds it.
async fn tell_jobs(session: &Session, answers: &[ServerFrame]) {
    for answer in answers {
        let ServerFrame::Error(error) = answer else { continue };
        if let Some(job) = error.job_id.filter(|&job| session.holds(job)) {
            session.note(job, vec![error.log_line()]).await;
        }
    }
}

/// Hands granted jobs to the worker. One that cannot be read fails its attempt, so that it is seen and not dealt out
/// again and again.
pub async fn hand_over(session: &Session, granted: Vec<Granted>, outbox: &Outbox) -> Result<(), DriveEnd> {
    for grant in granted {
        match session.job_frame(&grant).await {
            Ok(frame) => send(outbox, vec![ServerFrame::Job(Box::new(frame))]).await?,
            Err(error) => {
                let lease = LeaseRef { job_id: grant.job, token: grant.token };
                let error = JobError {
                    code: "job_unreadable".into(),
                    message: error.to_string().into(),
                    details: None,
                    retryable: true,
                    attempt: grant.attempt,
                };
                session.end_run(&lease, End::Fail(error)).await.map_err(DriveEnd::Engine)?;
            }
        }
    }
    Ok(())
}

async fn send(outbox: &Outbox, frames: Vec<ServerFrame>) -> Result<(), DriveEnd> {
    for frame in frames {
        match outbox.send_timeout(frame, STALL_MAX).await {
            Ok(()) => {}
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => return Err(DriveEnd::Stalled),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => return Err(DriveEnd::Deaf),
        }
    }
    Ok(())
}
