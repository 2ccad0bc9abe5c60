//! A thread that seals segments behind the writer's back: to hash a segment takes a while, and no commit waits for it.
//! What it does not finish is done at the next start.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use crate::storage::seal::Sealable;
use crate::storage::segments::Slot;

/// The way to the thread.
pub struct Sealer {
    work: Option<Work>,
}

/// A full segment, and what its seal has to say.
type Full = (Arc<Slot>, Sealable);

struct Work {
    segments: Sender<Full>,
    thread: JoinHandle<()>,
}

impl Sealer {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Sealer> {
        let (segments, incoming) = channel::<Full>();
        let thread = std::thread::Builder::new().name("log-sealer".into()).spawn(move || {
            for (slot, sealable) in incoming {
                if let Err(error) = slot.seal(&sealable) {
                    tracing::warn!(segment = %slot.first, %error, "a segment was not sealed; the next start does it");
                }
            }
        })?;
        Ok(Sealer { work: Some(Work { segments, thread }) })
    }

    /// Has a segment sealed that takes no more pages.
    pub fn seal(&self, slot: Arc<Slot>, sealable: Sealable) {
        if let Some(work) = &self.work {
            // The thread ends with its sender only, unless it panicked: then the next start seals the segment.
            let _ = work.segments.send((slot, sealable));
        }
    }

    /// Waits until everything is sealed.
    pub fn finish(&mut self) {
        if let Some(Work { segments, thread }) = self.work.take() {
            drop(segments);
            let _ = thread.join();
        }
    }
}
