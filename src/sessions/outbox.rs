//! The frames on their way to one worker. They are bounded in number and in bytes: a worker that does not read costs no
//! more than that, and is given up when nothing has moved for a while. A slow one is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use crate::sessions::frames::ServerFrame;

/// How many frames may wait for a worker that does not read.
pub const OUTBOX_FRAMES_MAX: usize = 1024;
/// How many bytes they may have together. One that is larger waits alone.
pub const OUTBOX_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a worker with a full outbox may go on without reading.
pub const STALL_MAX: Duration = Duration::from_secs(30);

/// What a small frame counts.
const FRAME_BYTES: usize = 512;

/// The end at which frames are put in.
#[derive(Clone)]
pub struct Outbox {
    frames: mpsc::Sender<Waiting>,
    /// A permit for each kibibyte.
    room: Arc<Semaphore>,
    moved: Arc<AtomicU64>,
    /// How long nothing may move.
    patience: Duration,
}

/// The end at which they are taken out.
pub struct Outgoing {
    frames: mpsc::Receiver<Waiting>,
    room: Arc<Semaphore>,
    moved: Arc<AtomicU64>,
}

struct Waiting {
    frame: ServerFrame,
    _room: OwnedSemaphorePermit,
}

/// Why a frame does not reach its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// There is no room, and nothing has moved for [`STALL_MAX`].
    Stalled,
    /// Nobody takes frames out any more.
    Deaf,
}

/// Makes an empty outbox.
pub fn outbox() -> (Outbox, Outgoing) {
    with_patience(STALL_MAX)
}

fn with_patience(patience: Duration) -> (Outbox, Outgoing) {
    let (sender, receiver) = mpsc::channel(OUTBOX_FRAMES_MAX);
    let room = Arc::new(Semaphore::new(OUTBOX_BYTES_MAX / KIBI));
    let moved = Arc::new(AtomicU64::new(0));
    let outbox = Outbox { frames: sender, room: room.clone(), moved: moved.clone(), patience };
    (outbox, Outgoing { frames: receiver, room, moved })
}

const KIBI: usize = 1024;

impl Outbox {
    /// Puts a frame in as soon as there is room.
    pub async fn send(&self, frame: ServerFrame) -> Result<(), Unsent> {
        let mut sending = std::pin::pin!(self.put(frame));
        loop {
            let before = self.moved.load(Ordering::Relaxed);
            match timeout(self.patience, &mut sending).await {
                Ok(sent) => return sent,
                Err(_) if self.moved.load(Ordering::Relaxed) == before => return Err(Unsent::Stalled),
                Err(_) => {}
            }
        }
    }

    /// Puts a frame in if there is room for it.
    pub fn try_send(&self, frame: ServerFrame) -> Result<(), Unsent> {
        let room = self.room.clone().try_acquire_many_owned(room_for(&frame)).map_err(|_| Unsent::Stalled)?;
        self.frames.try_send(Waiting { frame, _room: room }).map_err(|_| Unsent::Deaf)
    }

    async fn put(&self, frame: ServerFrame) -> Result<(), Unsent> {
        let room = self.room.clone().acquire_many_owned(room_for(&frame)).await.map_err(|_| Unsent::Deaf)?;
        self.frames.send(Waiting { frame, _room: room }).await.map_err(|_| Unsent::Deaf)
    }
}

impl Outgoing {
    /// The next frame; none when no more will come.
    pub async fn recv(&mut self) -> Option<ServerFrame> {
        let waiting = self.frames.recv().await?;
        self.note_moving();
        Some(waiting.frame)
    }

    /// The next frame, if one waits.
    pub fn try_recv(&mut self) -> Option<ServerFrame> {
        let waiting = self.frames.try_recv().ok()?;
        self.note_moving();
        Some(waiting.frame)
    }

    /// Says that the worker reads, though no frame has gone out whole since: a large one may take long.
    pub fn note_moving(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.room.close();
    }
}

fn room_for(frame: &ServerFrame) -> u32 {
    let bytes = weight(frame).min(OUTBOX_BYTES_MAX);
    u32::try_from(bytes.div_ceil(KIBI)).expect("the bound is small")
}

/// About how many bytes a frame has.
fn weight(frame: &ServerFrame) -> usize {
    let ServerFrame::Job(job) = frame else { return FRAME_BYTES };
    let items = job.items.iter().map(|item| item.key.len() + item.args.as_ref().map_or(0, |args| args.as_str().len()));
    let checkpoint = job.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.as_str().len());
    FRAME_BYTES + job.job.as_str().len() + checkpoint + items.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::json::Json;
    use crate::sessions::frames::{HandedLease, JobFrame};

    fn job(bytes: usize) -> ServerFrame {
        let job = Json::from_checked(format!("\"{}\"", "x".repeat(bytes)));
        let lease = HandedLease { token: "t".into(), expires_in_s: 30.0 };
        ServerFrame::Job(Box::new(JobFrame { job, attempt: 1, items: Vec::new(), lease, checkpoint: None }))
    }

    #[tokio::test]
    async fn large_frames_wait_for_room_and_small_ones_for_a_place() {
        let (outbox, mut outgoing) = outbox();
        let third = OUTBOX_BYTES_MAX / 3;
        outbox.try_send(job(third)).expect("there is room");
        outbox.try_send(job(third)).expect("there is room");
        assert_eq!(outbox.try_send(job(third)), Err(Unsent::Stalled));
        outgoing.recv().await.expect("waits");
        outbox.try_send(job(third)).expect("there is room again");
        for _ in 2..OUTBOX_FRAMES_MAX {
            outbox.try_send(ServerFrame::Ping).expect("small ones fit beside");
        }
        assert!(outbox.try_send(ServerFrame::Ping).is_err());
    }

    #[tokio::test]
    async fn a_frame_larger_than_all_the_room_goes_alone() {
        let (outbox, mut outgoing) = outbox();
        outbox.send(job(2 * OUTBOX_BYTES_MAX)).await.expect("it is taken");
        assert_eq!(outbox.try_send(ServerFrame::Ping), Err(Unsent::Stalled));
        outgoing.recv().await.expect("waits");
        outbox.send(ServerFrame::Ping).await.expect("there is room again");
    }

    #[tokio::test]
    async fn a_worker_that_reads_nothing_is_given_up_and_one_that_reads_slowly_is_not() {
        let patience = Duration::from_millis(20);
        let (outbox, outgoing) = with_patience(patience);
        outbox.send(job(OUTBOX_BYTES_MAX)).await.expect("there is room");
        let slowly = async {
            loop {
                outgoing.note_moving();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            sent = timeout(patience * 5, outbox.send(ServerFrame::Ping)) => assert!(sent.is_err(), "it waits"),
            () = slowly => {}
        }
        assert_eq!(outbox.send(ServerFrame::Ping).await, Err(Unsent::Stalled));
    }

    #[tokio::test]
    async fn when_nobody_takes_frames_out_that_is_said_at_once() {
        let (outbox, outgoing) = outbox();
        outbox.send(job(OUTBOX_BYTES_MAX)).await.expect("there is room");
        drop(outgoing);
        assert_eq!(outbox.send(ServerFrame::Ping).await, Err(Unsent::Deaf));
    }
}
