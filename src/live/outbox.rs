//! The frames that wait for one connection: shared bytes, at most a named number of them. When a reader is too slow they
//! are dropped at once, and its subscriptions go back to the log: nobody else waits, and nothing is lost.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::id::Seq;

/// When more bytes than these wait for one connection its reader is too slow. One piece more waits.
pub const OUTBOX_BYTES_MAX: usize = 1024 * 1024;
/// No piece counts for more: that one commit brings much tells nothing of a reader, and its bytes are shared.
const PIECE_BYTES_COUNTED_MAX: usize = OUTBOX_BYTES_MAX / 2;
/// What a waiting frame costs beside its bytes.
const FRAME_OVERHEAD_BYTES: usize = 64;

/// Frames of one subscription on their way, one behind the other.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// As they go over the line.
    pub bytes: Bytes,
    /// The number of the subscription that it belongs to.
    pub subscription: u64,
    /// The position after them; none for a frame that is not numbered.
    pub seq: Option<Seq>,
}

impl Waiting {
    fn counted(&self) -> usize {
        self.bytes.len().min(PIECE_BYTES_COUNTED_MAX) + FRAME_OVERHEAD_BYTES
    }
}

/// What there is to send.
#[derive(Debug)]
pub enum Taken {
    Frames(Vec<Waiting>),
    /// The reader was too slow: everything that waited is gone, and nothing comes until [`Outbox::reopen`].
    Overflowed,
}

/// The queue of one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Waiting>,
    bytes: usize,
    has_overflowed: bool,
    is_closed: bool,
}

impl Outbox {
    /// Puts a frame at the end. Says whether it was taken: if not, whoever asked should not ask again.
    pub fn push(&self, frame: Waiting) -> bool {
        let mut queue = self.queue.lock();
        if queue.has_overflowed {
            return false;
        }
        if queue.bytes > OUTBOX_BYTES_MAX {
            queue.overflow();
        } else {
            queue.bytes += frame.counted();
            queue.frames.push_back(frame);
        }
        let is_taken = !queue.has_overflowed;
        let is_first = queue.frames.len() <= 1;
        drop(queue);
        if is_first {
            self.wake.notify_one();
        }
        is_taken
    }

    /// Drops what waits, as if it were too much.
    pub fn overflow(&self) {
        self.queue.lock().overflow();
        self.wake.notify_one();
    }

    /// Takes frames from the beginning until they have `bytes_max` bytes: at least one, if there is one.
    pub fn take(&self, bytes_max: usize) -> Taken {
        let mut queue = self.queue.lock();
        if queue.has_overflowed {
            return Taken::Overflowed;
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some(frame) = queue.frames.pop_front() else { break };
            bytes += frame.bytes.len();
            queue.bytes -= frame.counted();
            taken.push(frame);
        }
        if queue.frames.is_empty() {
            // Thousands of connections are idle; none keeps the room that it needed once.
            queue.frames = VecDeque::new();
        }
        Taken::Frames(taken)
    }

    /// Takes frames again. Whatever would put frames in for subscriptions that fell behind must have been told before.
    pub fn reopen(&self) {
        *self.queue.lock() = Queue::default();
    }

    /// Takes nothing any more: the connection is gone.
    pub fn close(&self) {
        let mut queue = self.queue.lock();
        queue.overflow();
        queue.is_closed = true;
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.queue.lock().is_closed
    }

    /// Whether there is something to take.
    pub fn has_news(&self) -> bool {
        let queue = self.queue.lock();
        queue.has_overflowed || !queue.frames.is_empty()
    }

    /// Waits until there may be something to take.
    pub async fn stirred(&self) {
        self.wake.notified().await;
    }
}

impl Queue {
    fn overflow(&mut self) {
        *self = Queue { has_overflowed: true, ..Queue::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Waiting {
        Waiting { bytes: vec![b'x'; length].into(), subscription: 1, seq: None }
    }

    fn lengths(taken: Taken) -> Vec<usize> {
        match taken {
            Taken::Frames(frames) => frames.iter().map(|frame| frame.bytes.len()).collect(),
            Taken::Overflowed => panic!("it has not overflowed"),
        }
    }

    #[test]
    fn frames_go_out_in_order_and_about_so_many_bytes_at_once() {
        let outbox = Outbox::default();
        for length in [10, 20, 30] {
            assert!(outbox.push(frame(length)));
        }
        assert_eq!(lengths(outbox.take(25)), [10, 20]);
        assert_eq!(lengths(outbox.take(1)), [30]);
        assert!(lengths(outbox.take(1)).is_empty() && !outbox.has_news());
    }

    #[test]
    fn behind_a_byte_too_many_nothing_waits_until_it_is_opened_again() {
        let outbox = Outbox::default();
        assert!(outbox.push(frame(PIECE_BYTES_COUNTED_MAX - FRAME_OVERHEAD_BYTES)));
        assert!(outbox.push(frame(PIECE_BYTES_COUNTED_MAX - FRAME_OVERHEAD_BYTES)), "as much as may wait");
        assert!(outbox.push(frame(0)), "one more");
        assert!(!outbox.push(frame(0)));
        assert!(!outbox.push(frame(0)));
        assert!(matches!(outbox.take(1), Taken::Overflowed));
        outbox.reopen();
        assert!(outbox.push(frame(5)));
        assert_eq!(lengths(outbox.take(100)), [5]);
    }

    #[test]
    fn a_large_piece_is_taken_and_leaves_room_for_what_comes_with_it() {
        let outbox = Outbox::default();
        assert!(outbox.push(frame(12 * OUTBOX_BYTES_MAX)) && outbox.push(frame(1)));
        assert_eq!(lengths(outbox.take(usize::MAX)), [12 * OUTBOX_BYTES_MAX, 1]);
    }

    #[test]
    fn room_that_was_taken_is_there_again() {
        let outbox = Outbox::default();
        for _ in 0..100 {
            assert!(outbox.push(frame(OUTBOX_BYTES_MAX / 2)));
            assert_eq!(lengths(outbox.take(1)).len(), 1);
        }
    }
}
