//! The port to stored keyframes: past states, most of them only as what has changed since another one.
//!
//! ```text
//!   full ◀─parent─ delta ◀─parent─ delta        full ◀─parent─ delta
//!    50,000        100,000         150,000      200,000        250,000      seq
//! ```
//!
//! A keyframe is there in full or not at all, and disposable (V1): what is damaged or missing is passed over, together
//! with what hangs on it, and the fold begins earlier. What a keyframe says, only its writer knows.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::id::Seq;

/// What fills a keyframe.
pub type Fill<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

/// A keyframe, as its store lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyframe {
    /// It is the state after this event.
    pub seq: Seq,
    /// Of which keyframe it says the changes; none for one that says all.
    pub parent: Option<Seq>,
    pub bytes: u64,
}

/// Where keyframes are stored.
pub trait KeyframeStore: Send + Sync {
    /// Those that are there, by seq.
    fn list(&self) -> Vec<Keyframe>;

    /// Stores what `write` writes as the state after `seq`, in the place of what was there.
    fn save(&self, seq: Seq, parent: Option<Seq>, write: &mut Fill<'_>) -> Result<(), KeyframeError>;

    /// The content of one, if it is as it was written.
    fn open(&self, seq: Seq) -> Result<Arc<dyn Stored>, KeyframeError>;

    /// Removes one. Who only reads, leaves it where it is and does not list it again.
    fn remove(&self, seq: Seq) -> Result<(), KeyframeError>;
}

/// The bytes of a keyframe, or of another stored state.
pub trait Stored: Send + Sync {
    /// How many there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `bytes` with those from `at` on.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;
}

/// Why a keyframe could not be stored or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyframeError {
    #[error("could not {step} {}", path.display())]
    Io { step: &'static str, path: PathBuf, source: io::Error },
    #[error("the keyframe {} is damaged: {detail}", path.display())]
    Damaged { path: PathBuf, detail: &'static str },
}

/// The newest state up to `at_most` that can be put together: the keyframes that make it, the full one first.
pub fn chain(all: &[Keyframe], at_most: Seq) -> Option<Vec<Keyframe>> {
    let behind = all.partition_point(|keyframe| keyframe.seq <= at_most);
    all[..behind].iter().rev().find_map(|newest| ancestors(all, *newest))
}

/// The keyframes that make one, the full one first; none if one of them is missing.
pub fn ancestors(all: &[Keyframe], newest: Keyframe) -> Option<Vec<Keyframe>> {
    let mut found = vec![newest];
    let mut last = newest;
    while let Some(parent) = last.parent.filter(|parent| *parent < last.seq) {
        last = all[all.binary_search_by_key(&parent, |keyframe| keyframe.seq).ok()?];
        found.push(last);
    }
    found.reverse();
    last.parent.is_none().then_some(found)
}

/// Those that nobody needs: of states before `earliest`, unless a later one hangs on them, and those that hang on one that
/// is gone.
pub fn useless(all: &[Keyframe], earliest: Seq) -> Vec<Seq> {
    let kept = all.iter().filter(|keyframe| keyframe.seq >= earliest);
    let kept: std::collections::BTreeSet<Seq> =
        kept.filter_map(|keyframe| ancestors(all, *keyframe)).flatten().map(|keyframe| keyframe.seq).collect();
    all.iter().map(|keyframe| keyframe.seq).filter(|seq| !kept.contains(seq)).collect()
}

/// Reads stored bytes from the beginning.
pub struct StoredReader<'a> {
    stored: &'a dyn Stored,
    at: u64,
}

impl<'a> StoredReader<'a> {
    /// A reader of them.
    pub fn new(stored: &'a dyn Stored) -> StoredReader<'a> {
        StoredReader { stored, at: 0 }
    }
}

impl Read for StoredReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.stored.len() - self.at).unwrap_or(usize::MAX);
        let count = bytes.len().min(left);
        self.stored.read_at(&mut bytes[..count], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Keyframes in memory.
#[derive(Default)]
pub struct MemoryKeyframes(Mutex<BTreeMap<Seq, Held>>);

/// On which one it hangs, and its content.
type Held = (Option<Seq>, Arc<Vec<u8>>);

impl KeyframeStore for MemoryKeyframes {
    fn list(&self) -> Vec<Keyframe> {
        let all = self.0.lock();
        let listed =
            all.iter().map(|(&seq, (parent, bytes))| Keyframe { seq, parent: *parent, bytes: bytes.len() as u64 });
        listed.collect()
    }

    fn save(&self, seq: Seq, parent: Option<Seq>, write: &mut Fill<'_>) -> Result<(), KeyframeError> {
        let mut bytes = Vec::new();
        write(&mut bytes).map_err(|source| KeyframeError::Io { step: "write", path: PathBuf::new(), source })?;
        self.0.lock().insert(seq, (parent, Arc::new(bytes)));
        Ok(())
    }

    fn open(&self, seq: Seq) -> Result<Arc<dyn Stored>, KeyframeError> {
        let found = self.0.lock().get(&seq).map(|(_, bytes)| bytes.clone());
        let missing = || KeyframeError::Damaged { path: PathBuf::from(seq.to_string()), detail: "it is missing" };
        found.map(|bytes| bytes as Arc<dyn Stored>).ok_or_else(missing)
    }

    fn remove(&self, seq: Seq) -> Result<(), KeyframeError> {
        self.0.lock().remove(&seq);
        Ok(())
    }
}

impl Stored for Vec<u8> {
    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let found = usize::try_from(at).ok().and_then(|at| self.get(at..at.checked_add(bytes.len())?));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// What every store of keyframes does.
#[cfg(test)]
pub mod conformance {
    use super::*;

    fn put(store: &dyn KeyframeStore, seq: u64, parent: Option<u64>, content: &[u8]) {
        let write = &mut |out: &mut dyn Write| content.chunks(7).try_for_each(|chunk| out.write_all(chunk));
        store.save(Seq(seq), parent.map(Seq), write).unwrap();
    }

    fn get(store: &dyn KeyframeStore, seq: u64) -> Option<Vec<u8>> {
        let stored = store.open(Seq(seq)).ok()?;
        let mut content = Vec::new();
        StoredReader::new(&*stored).read_to_end(&mut content).unwrap();
        assert_eq!(content.len() as u64, stored.len());
        let mut part = [0; 3];
        stored.read_at(&mut part, 1).unwrap();
        assert_eq!(part, content[1..4]);
        assert!(stored.read_at(&mut part, stored.len() - 2).is_err(), "there is no more");
        Some(content)
    }

    /// Runs all of it on an empty store.
    pub fn all(store: &dyn KeyframeStore) {
        assert!(store.list().is_empty() && store.open(Seq(3)).is_err());
        put(store, 10, None, b"all of it");
        put(store, 30, Some(20), b"what came then");
        put(store, 20, Some(10), b"what came first");
        let listed: Vec<_> = store.list().iter().map(|keyframe| (keyframe.seq.0, keyframe.parent)).collect();
        assert_eq!(listed, [(10, None), (20, Some(Seq(10))), (30, Some(Seq(20)))], "by seq, with their parents");
        assert!(store.list().iter().all(|keyframe| keyframe.bytes >= 9));
        assert_eq!(get(store, 20).as_deref(), Some(&b"what came first"[..]));
        put(store, 20, None, b"written anew");
        assert_eq!(get(store, 20).as_deref(), Some(&b"written anew"[..]), "not what was there before");
        assert_eq!(store.list()[1].parent, None);
        let held = store.open(Seq(20)).unwrap();
        store.remove(Seq(20)).unwrap();
        store.remove(Seq(20)).unwrap();
        assert!(get(store, 20).is_none() && store.list().len() == 2);
        let mut part = [0; 7];
        held.read_at(&mut part, 0).unwrap();
        assert_eq!(&part, b"written", "who has it open reads on");
        let failed = store.save(Seq(40), None, &mut |_| Err(io::ErrorKind::StorageFull.into()));
        assert!(failed.is_err() && store.list().len() == 2, "what could not be written is not there");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[(u64, Option<u64>)]) -> Vec<Keyframe> {
        parts.iter().map(|(seq, parent)| Keyframe { seq: Seq(*seq), parent: parent.map(Seq), bytes: 1 }).collect()
    }

    fn seqs(chain: Option<Vec<Keyframe>>) -> Option<Vec<u64>> {
        Some(chain?.iter().map(|keyframe| keyframe.seq.0).collect())
    }

    #[test]
    fn a_store_in_memory_does_what_every_store_does() {
        conformance::all(&MemoryKeyframes::default());
    }

    #[test]
    fn the_newest_state_that_can_be_put_together_is_chosen() {
        let all = of(&[(10, None), (20, Some(10)), (30, Some(20)), (50, Some(40)), (60, None)]);
        assert_eq!(seqs(chain(&all, Seq(9))), None);
        assert_eq!(seqs(chain(&all, Seq(30))), Some(vec![10, 20, 30]));
        assert_eq!(seqs(chain(&all, Seq(59))), Some(vec![10, 20, 30]), "what 50 hangs on is gone");
        assert_eq!(seqs(chain(&all, Seq(99))), Some(vec![60]));
        assert_eq!(seqs(chain(&of(&[(10, Some(10)), (20, Some(30))]), Seq(99))), None, "one that names no earlier one");
    }

    #[test]
    fn what_is_before_the_earliest_goes_unless_a_later_one_hangs_on_it() {
        let all = of(&[(10, None), (20, Some(10)), (30, None), (40, Some(30)), (50, Some(40)), (70, Some(60))]);
        assert_eq!(useless(&all, Seq(0)), [Seq(70)]);
        assert_eq!(useless(&all, Seq(45)), [Seq(10), Seq(20), Seq(70)]);
        assert_eq!(useless(&all, Seq(51)).len(), 6);
    }
}
