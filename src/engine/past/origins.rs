//! The stored states from which a past one can be made: keyframes, snapshots, the base of the log, or nothing at all
//! before the first event. Whatever cannot be read is passed over, and the next older one serves (V1); only the base
//! belongs to the log, and has to be whole.

use std::io::Read;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::id::Seq;
use crate::engine::past::frames::{FrameFile, Frames};
use crate::engine::past::{Past, PastError};
use crate::log::codec_state::SnapshotError;
use crate::log::keyframe::{Keyframe, KeyframeError, KeyframeStore, chain};
use crate::log::snapshot::SnapshotStore;
use crate::log::{LogReader, ReadError};

/// A keyframe with more bytes is not held in memory as a whole.
pub const HELD_MAX: u64 = 64 << 20;
/// The files that are kept for the next one who asks have at most so many bytes together.
const KEPT_BYTES_MAX: usize = 128 << 20;
/// A stored state from so many events before is taken, when a newer snapshot would have to be read from the disk.
const SNAPSHOT_AHEAD: u64 = 150_000;

/// Where past states begin.
pub struct Origins {
    log: Arc<dyn LogReader>,
    keyframes: Option<Arc<dyn KeyframeStore>>,
    snapshots: Option<Arc<dyn SnapshotStore>>,
    /// The largest keyframe that is held in memory.
    held_max: u64,
    /// The files that were read last, the latest at the end.
    kept: Mutex<Vec<(Keyframe, Arc<FrameFile>)>>,
}

impl Origins {
    /// The log alone: its base, or its beginning.
    pub fn of(log: Arc<dyn LogReader>) -> Origins {
        Origins { log, keyframes: None, snapshots: None, held_max: HELD_MAX, kept: Mutex::default() }
    }

    /// With keyframes.
    pub fn with_keyframes(mut self, keyframes: Arc<dyn KeyframeStore>) -> Origins {
        self.keyframes = Some(keyframes);
        self
    }

    /// With snapshots, where no keyframe is near.
    pub fn with_snapshots(mut self, snapshots: Arc<dyn SnapshotStore>) -> Origins {
        self.snapshots = Some(snapshots);
        self
    }

    /// Without the bytes of any keyframe in memory: slower, for who has time.
    pub fn frugal(mut self) -> Origins {
        self.held_max = 0;
        self
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn LogReader> {
        &self.log
    }

    /// Where the nearest stored state up to `seq` stands, as far as can be told without reading one.
    pub fn nearest_seq(&self, seq: Seq) -> Seq {
        let listed = self.keyframes.as_ref().and_then(|keyframes| chain(&keyframes.list(), seq));
        let newest = listed.and_then(|chain| Some(chain.last()?.seq)).unwrap_or(Seq::ZERO);
        newest.max(self.begin())
    }

    /// The nearest stored state up to `seq`, which is not before the base.
    pub fn nearest(&self, seq: Seq) -> Result<Past, PastError> {
        let keyframe = self.keyframe(seq);
        let at = keyframe.as_ref().map_or(self.begin(), Frames::seq);
        if let Some(frames) = self.snapshot(seq, at) {
            return Ok(Past::of(Arc::new(frames)));
        }
        let frames = keyframe.map_or_else(|| self.beginning(), Ok)?;
        Ok(Past::of(Arc::new(frames)))
    }

    /// The seq of the base, or zero.
    fn begin(&self) -> Seq {
        Seq(self.log.earliest().0.saturating_sub(1)).min(self.log.last())
    }

    /// The newest state up to `seq` that keyframes make, if it is not before the base.
    fn keyframe(&self, seq: Seq) -> Option<Frames> {
        let store = self.keyframes.as_ref()?;
        let mut listed = store.list();
        loop {
            let found = chain(&listed, seq)?;
            if found.last()?.seq < self.begin() {
                return None;
            }
            let files: Result<Vec<_>, Seq> =
                found.iter().map(|keyframe| self.file(&**store, keyframe).ok_or(keyframe.seq)).collect();
            match files {
                Ok(files) => return Some(Frames::of(files)),
                Err(unusable) => listed.retain(|keyframe| keyframe.seq != unusable),
            }
        }
    }

    fn file(&self, store: &dyn KeyframeStore, keyframe: &Keyframe) -> Option<Arc<FrameFile>> {
        if let Some(kept) = self.kept(keyframe) {
            return Some(kept);
        }
        match read(store, keyframe.seq, self.held_max) {
            Ok(file) => {
                let file = Arc::new(file);
                self.keep(keyframe, &file);
                Some(file)
            }
            Err(error) => {
                let seq = keyframe.seq.0;
                tracing::warn!(seq, %error, "a keyframe that cannot be read is passed over");
                if matches!(error, Unusable::Damaged(_) | Unusable::Form(_)) {
                    // It is disposable, and made again in time.
                    if let Err(error) = store.remove(keyframe.seq) {
                        tracing::warn!(seq, %error, "it could not be removed");
                    }
                }
                None
            }
        }
    }

    fn kept(&self, keyframe: &Keyframe) -> Option<Arc<FrameFile>> {
        let mut kept = self.kept.lock();
        let place = kept.iter().position(|(known, _)| known == keyframe)?;
        let found = kept.remove(place);
        kept.push(found.clone());
        Some(found.1)
    }

    fn keep(&self, keyframe: &Keyframe, file: &Arc<FrameFile>) {
        if self.held_max == 0 {
            return;
        }
        let mut kept = self.kept.lock();
        kept.retain(|(known, _)| known.seq != keyframe.seq);
        kept.push((*keyframe, file.clone()));
        let mut bytes: usize = kept.iter().map(|(_, file)| file.bytes()).sum();
        while bytes > KEPT_BYTES_MAX {
            bytes -= kept.remove(0).1.bytes();
        }
    }

    /// A snapshot up to `seq`, if it is much nearer than what stands at `at`.
    fn snapshot(&self, seq: Seq, at: Seq) -> Option<Frames> {
        if seq.0 - at.0.min(seq.0) <= SNAPSHOT_AHEAD {
            return None;
        }
        let found = self.snapshots.as_ref()?.newest(seq).ok()?.snapshot?;
        if found.seq.0 <= at.0 + SNAPSHOT_AHEAD {
            return None;
        }
        let file = FrameFile::in_memory(found.content).ok().filter(|file| file.globals.seq == found.seq)?;
        Some(Frames::of(vec![Arc::new(file)]))
    }

    fn beginning(&self) -> Result<Frames, PastError> {
        let Some(base) = self.log.base() else { return Ok(Frames::none()) };
        let read = base.state().map_err(SnapshotError::Io).and_then(|state: Box<dyn Read + Send>| {
            let file = FrameFile::in_memory(state)?;
            let is_it = file.globals.seq == base.seq();
            is_it.then_some(file).ok_or_else(|| SnapshotError::Form("it is of another event".to_owned()))
        });
        let file = read.map_err(|error| ReadError::Damaged {
            place: format!("the state of the base at event {}", base.seq()),
            detail: format!("{error}; {}", crate::engine::fold::NEXT_STEP),
        })?;
        Ok(Frames::of(vec![Arc::new(file)]))
    }
}

/// Why a keyframe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It may be there all the same.
    #[error(transparent)]
    Io(KeyframeError),
    #[error(transparent)]
    Damaged(KeyframeError),
    #[error(transparent)]
    Form(SnapshotError),
}

/// Reads a keyframe; one with more bytes is not held in memory.
pub fn read(store: &dyn KeyframeStore, seq: Seq, held_max: u64) -> Result<FrameFile, Unusable> {
    let stored = store.open(seq).map_err(|error| match &error {
        KeyframeError::Io { .. } => Unusable::Io(error),
        KeyframeError::Damaged { .. } => Unusable::Damaged(error),
    })?;
    let file = FrameFile::of(stored, held_max).map_err(Unusable::Form)?;
    let is_it = file.globals.seq == seq;
    is_it.then_some(file).ok_or_else(|| Unusable::Form(SnapshotError::Form("it is of another event".to_owned())))
}
