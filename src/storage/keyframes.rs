//! Keyframes as files: `keyframes/<seq>`, each with a trailer that proves it whole and says on which one it hangs. Their
//! content is opaque here.
//!
//! ```text
//!   content … │ magic 8 │ lineage 16 │ seq u64 │ parent u64, 0 for none │ length of the content u64 │ blake3 of all before 32
//! ```
//!
//! A file is read through and its hash looked at when it is opened first; after that its trailer is believed, and the
//! frames in it have checksums of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::keyframe::{Fill, Keyframe, KeyframeError, KeyframeStore, Stored};
use crate::storage::disk;

const MAGIC: [u8; 8] = *b"DBKEYF\x01\x00";
const TRAILER_BYTES: u64 = 80;
const HASH_AT: usize = 48;
const BUFFER_BYTES: usize = 256 * 1024;

/// The keyframes of one log in a data directory.
pub struct KeyframeFiles {
    dir: PathBuf,
    lineage: Uuid,
    may_write: bool,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    listed: BTreeMap<Seq, Keyframe>,
    /// Those whose hash was found right.
    proven: BTreeSet<Seq>,
}

impl KeyframeFiles {
    /// Those of the log with this lineage, as far as they are of events up to `last`: others are removed.
    pub fn open(data: &Path, lineage: Uuid, last: Seq) -> Result<KeyframeFiles, KeyframeError> {
        let files = KeyframeFiles { may_write: true, ..KeyframeFiles::open_as_is(data, lineage) };
        disk::create_dir(&files.dir).map_err(failed("make", &files.dir))?;
        disk::remove_temporaries(&files.dir).map_err(failed("clear", &files.dir))?;
        let names = disk::names_in(&files.dir).map_err(failed("list", &files.dir))?;
        let lost = names.iter().filter_map(|name| seq_of(name));
        let lost = lost.filter(|seq| *seq > last || !files.known.lock().listed.contains_key(seq));
        lost.collect::<Vec<_>>().into_iter().try_for_each(|seq| files.remove(seq))?;
        Ok(files)
    }

    /// The same without making or removing anything: for who only reads.
    pub fn open_as_is(data: &Path, lineage: Uuid) -> KeyframeFiles {
        let dir = data.join("keyframes");
        let seqs = disk::names_in(&dir).unwrap_or_default();
        let seqs = seqs.iter().filter_map(|name| seq_of(name));
        let found = seqs.filter_map(|seq| {
            let (_, trailer) = trailer_of(&path_in(&dir, seq)).ok()??;
            trailer.keyframe(lineage, seq).map(|keyframe| (seq, keyframe)).ok()
        });
        let known = Known { listed: found.collect(), proven: BTreeSet::new() };
        KeyframeFiles { dir, lineage, may_write: false, known: Mutex::new(known) }
    }

    /// Where the keyframe of a seq is.
    pub fn path(&self, seq: Seq) -> PathBuf {
        path_in(&self.dir, seq)
    }

    /// Opens a file that was found whole once, or looks at all of it now.
    fn prove(&self, seq: Seq) -> Result<(File, u64), KeyframeError> {
        let path = self.path(seq);
        let damaged = |detail| KeyframeError::Damaged { path: path.clone(), detail };
        let found = match trailer_of(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged("it is missing")),
            found => found.map_err(failed("read", &path))?,
        };
        let (file, trailer) = found.ok_or_else(|| damaged("it is cut off"))?;
        trailer.keyframe(self.lineage, seq).map_err(damaged)?;
        if !self.known.lock().proven.contains(&seq) {
            let hash = hash_of(&file, trailer.content).map_err(failed("read", &path))?;
            if hash.as_bytes() != &trailer.bytes[HASH_AT..] {
                return Err(damaged("its checksum is wrong"));
            }
            self.known.lock().proven.insert(seq);
        }
        Ok((file, trailer.content))
    }
}

/// What is wrong with a keyframe's file, if something is; of which log it is, is not asked.
pub fn flaw(path: &Path) -> io::Result<Option<&'static str>> {
    let Some((file, trailer)) = trailer_of(path)? else { return Ok(Some("it is cut off")) };
    let lineage = Uuid::from_slice(&trailer.bytes[8..24]).expect("sixteen bytes");
    let seq = path.file_name().and_then(|name| seq_of(&name.to_string_lossy())).unwrap_or(Seq::ZERO);
    if let Err(flaw) = trailer.keyframe(lineage, seq) {
        return Ok(Some(flaw));
    }
    let is_whole = hash_of(&file, trailer.content)?.as_bytes() == &trailer.bytes[HASH_AT..];
    Ok((!is_whole).then_some("its checksum is wrong"))
}

impl KeyframeStore for KeyframeFiles {
    fn list(&self) -> Vec<Keyframe> {
        self.known.lock().listed.values().copied().collect()
    }

    fn save(&self, seq: Seq, parent: Option<Seq>, write: &mut Fill<'_>) -> Result<(), KeyframeError> {
        let path = self.path(seq);
        disk::create_dir(&self.dir).map_err(failed("make", &self.dir))?;
        let mut content = 0;
        let written = disk::write_file(&path, |file| {
            let mut out = BufWriter::with_capacity(BUFFER_BYTES, Hashing::new(file));
            write(&mut out)?;
            out.flush()?;
            content = out.get_ref().bytes;
            out.write_all(&MAGIC)?;
            out.write_all(self.lineage.as_bytes())?;
            out.write_all(&seq.0.to_le_bytes())?;
            out.write_all(&parent.unwrap_or(Seq::ZERO).0.to_le_bytes())?;
            out.write_all(&content.to_le_bytes())?;
            out.flush()?;
            let hash = out.get_ref().hasher.finalize();
            out.get_mut().inner.write_all(hash.as_bytes())
        });
        written.map_err(failed("write", &path))?;
        let mut known = self.known.lock();
        known.proven.remove(&seq);
        known.listed.insert(seq, Keyframe { seq, parent, bytes: content + TRAILER_BYTES });
        Ok(())
    }

    fn open(&self, seq: Seq) -> Result<Arc<dyn Stored>, KeyframeError> {
        let (file, content) = self.prove(seq)?;
        Ok(Arc::new(Content { file, content }))
    }

    fn remove(&self, seq: Seq) -> Result<(), KeyframeError> {
        let mut known = self.known.lock();
        known.listed.remove(&seq);
        known.proven.remove(&seq);
        drop(known);
        let path = self.path(seq);
        if self.may_write { disk::remove_file(&path).map_err(failed("remove", &path)) } else { Ok(()) }
    }
}

/// An open file without its trailer.
struct Content {
    file: File,
    content: u64,
}

impl Stored for Content {
    fn len(&self) -> u64 {
        self.content
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        if at + bytes.len() as u64 > self.content {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(bytes, at)
    }
}

struct Trailer {
    bytes: [u8; TRAILER_BYTES as usize],
    /// How many bytes are before it.
    content: u64,
}

impl Trailer {
    /// What it says, if it is of this log and this place in it.
    fn keyframe(&self, lineage: Uuid, seq: Seq) -> Result<Keyframe, &'static str> {
        let number = |at: usize| u64::from_le_bytes(self.bytes[at..at + 8].try_into().expect("eight bytes"));
        if self.bytes[..8] != MAGIC || number(40) != self.content {
            return Err("its trailer is damaged");
        }
        if &self.bytes[8..24] != lineage.as_bytes() || number(24) != seq.0 {
            return Err("it belongs to another log or another place in it");
        }
        let parent = Some(Seq(number(32))).filter(|parent| *parent > Seq::ZERO);
        Ok(Keyframe { seq, parent, bytes: self.content + TRAILER_BYTES })
    }
}

/// The file and its trailer; none if it is too short to have one.
fn trailer_of(path: &Path) -> io::Result<Option<(File, Trailer)>> {
    let file = File::open(path)?;
    let Some(content) = file.metadata()?.len().checked_sub(TRAILER_BYTES) else { return Ok(None) };
    let mut bytes = [0; TRAILER_BYTES as usize];
    file.read_exact_at(&mut bytes, content)?;
    Ok(Some((file, Trailer { bytes, content })))
}

/// The hash of the content and of the trailer in front of it.
fn hash_of(file: &File, content: u64) -> io::Result<blake3::Hash> {
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; BUFFER_BYTES]);
    let (mut at, end) = (0, content + HASH_AT as u64);
    while at < end {
        let part = &mut buffer[..(end - at).min(BUFFER_BYTES as u64) as usize];
        file.read_exact_at(part, at)?;
        hasher.update(part);
        at += part.len() as u64;
    }
    Ok(hasher.finalize())
}

/// Counts and hashes what is written through it.
struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Hashing<W> {
        Hashing { inner, hasher: blake3::Hasher::new(), bytes: 0 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn path_in(dir: &Path, seq: Seq) -> PathBuf {
    dir.join(format!("{:020}", seq.0))
}

fn seq_of(name: &str) -> Option<Seq> {
    let is_seq = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    is_seq.then(|| name.parse().ok().map(Seq)).flatten()
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyframeError {
    let path = path.to_path_buf();
    move |source| KeyframeError::Io { step, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::keyframe::conformance;

    const LINEAGE: Uuid = Uuid::from_u128(1);

    fn put(files: &KeyframeFiles, seq: u64, parent: Option<u64>) {
        files.save(Seq(seq), parent.map(Seq), &mut |out| out.write_all(b"a state")).unwrap();
    }

    fn seqs(files: &KeyframeFiles) -> Vec<u64> {
        files.list().iter().map(|keyframe| keyframe.seq.0).collect()
    }

    #[test]
    fn files_do_what_every_store_does() {
        let dir = tempfile::tempdir().unwrap();
        conformance::all(&KeyframeFiles::open(dir.path(), LINEAGE, Seq(99)).unwrap());
    }

    #[test]
    fn keyframes_outlive_the_server_but_not_their_events() {
        let dir = tempfile::tempdir().unwrap();
        let files = KeyframeFiles::open(dir.path(), LINEAGE, Seq(99)).unwrap();
        put(&files, 10, None);
        put(&files, 20, Some(10));
        std::fs::write(files.dir.join("00000000000000000030.tmp"), "half of").unwrap();
        let again = KeyframeFiles::open(dir.path(), LINEAGE, Seq(99)).unwrap();
        assert_eq!(again.list(), files.list());
        assert_eq!(disk::names_in(&files.dir).unwrap().len(), 2, "what a crash left is gone");
        let shorter = KeyframeFiles::open(dir.path(), LINEAGE, Seq(19)).unwrap();
        assert_eq!(seqs(&shorter), [10]);
        let other = KeyframeFiles::open_as_is(dir.path(), Uuid::from_u128(2));
        assert!(seqs(&other).is_empty(), "another log has nothing of it");
    }

    #[test]
    fn a_keyframe_with_any_byte_changed_or_cut_off_is_passed_over_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let files = KeyframeFiles::open(dir.path(), LINEAGE, Seq(99)).unwrap();
        put(&files, 10, Some(5));
        let path = files.path(Seq(10));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            for bytes in [damaged.as_slice(), &whole[..at]] {
                std::fs::write(&path, bytes).unwrap();
                assert!(KeyframeFiles::open_as_is(dir.path(), LINEAGE).open(Seq(10)).is_err(), "byte {at}");
                assert!(flaw(&path).unwrap().is_some(), "byte {at}");
            }
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(flaw(&path).unwrap(), None);
    }

    #[test]
    fn who_only_reads_removes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        put(&KeyframeFiles::open(dir.path(), LINEAGE, Seq(99)).unwrap(), 10, None);
        let reader = KeyframeFiles::open_as_is(dir.path(), LINEAGE);
        reader.remove(Seq(10)).unwrap();
        assert!(reader.list().is_empty());
        assert!(reader.path(Seq(10)).exists());
    }
}
