//! Snapshots as files: `snapshots/<seq>`, with a trailer that proves them whole. Their content is opaque here.
//!
//! ```text
//!   content … │ magic 8 │ lineage 16 │ seq u64 │ length of the content u64 │ blake3 of all before it 32
//! ```

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::snapshot::{DamagedSnapshot, Found, KEPT_MAX, Snapshot, SnapshotError, SnapshotStore};
use crate::storage::disk;

const MAGIC: [u8; 8] = *b"DBSNAP\x01\x00";
const TRAILER_BYTES: u64 = 72;
const BUFFER_BYTES: usize = 256 * 1024;

/// The snapshots of one log in a data directory.
#[derive(Debug)]
pub struct SnapshotFiles {
    dir: PathBuf,
    lineage: Uuid,
}

impl SnapshotFiles {
    /// Those of the log with this lineage: snapshots of another log are damaged in its eyes.
    pub fn open(data: &Path, lineage: Uuid) -> Result<SnapshotFiles, SnapshotError> {
        let dir = data.join("snapshots");
        disk::create_dir(&dir).map_err(failed("make", &dir))?;
        disk::remove_temporaries(&dir).map_err(failed("clear", &dir))?;
        Ok(SnapshotFiles { dir, lineage })
    }

    /// The same without making or clearing anything: for who only reads.
    pub fn open_as_is(data: &Path, lineage: Uuid) -> SnapshotFiles {
        SnapshotFiles { dir: data.join("snapshots"), lineage }
    }

    /// Removes snapshots of what the log does not have any more: they would be wrong as soon as it goes on.
    pub fn forget_after(&self, last: Seq) -> Result<(), SnapshotError> {
        for seq in self.seqs()?.into_iter().filter(|seq| *seq > last) {
            let path = self.path(seq);
            disk::remove_file(&path).and_then(|()| disk::sync_dir(&self.dir)).map_err(failed("remove", &path))?;
        }
        Ok(())
    }

    /// Where the snapshot as of a seq is.
    pub fn path(&self, seq: Seq) -> PathBuf {
        self.dir.join(format!("{:020}", seq.0))
    }

    /// The seqs of the stored snapshots, the newest first.
    fn seqs(&self) -> Result<Vec<Seq>, SnapshotError> {
        let names = disk::names_in(&self.dir).map_err(failed("list", &self.dir))?;
        let is_snapshot = |name: &&String| name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
        let seqs = names.iter().filter(is_snapshot).filter_map(|name| name.parse().ok().map(Seq));
        Ok(seqs.rev().collect())
    }

    fn remove_old(&self) -> Result<(), SnapshotError> {
        for seq in self.seqs()?.into_iter().skip(KEPT_MAX) {
            let path = self.path(seq);
            disk::remove_file(&path).map_err(failed("remove", &path))?;
        }
        Ok(())
    }
}

impl SnapshotStore for SnapshotFiles {
    fn save(&self, seq: Seq, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<(), SnapshotError> {
        let path = self.path(seq);
        let written = disk::write_file(&path, |file| {
            let mut out = BufWriter::with_capacity(BUFFER_BYTES, Hashing::new(file));
            write(&mut out)?;
            out.flush()?;
            let length = out.get_ref().bytes;
            out.write_all(&MAGIC)?;
            out.write_all(self.lineage.as_bytes())?;
            out.write_all(&seq.0.to_le_bytes())?;
            out.write_all(&length.to_le_bytes())?;
            out.flush()?;
            let hash = out.get_ref().hasher.finalize();
            out.get_mut().inner.write_all(hash.as_bytes())
        });
        written.map_err(failed("write", &path))?;
        self.remove_old()
    }

    fn newest(&self, at_most: Seq) -> Result<Found, SnapshotError> {
        let mut found = Found::default();
        for seq in self.seqs()?.into_iter().filter(|seq| *seq <= at_most) {
            let path = self.path(seq);
            match check(&path, seq, self.lineage).map_err(failed("read", &path))? {
                Ok(content) => {
                    found.snapshot = Some(Snapshot { seq, content });
                    return Ok(found);
                }
                Err(detail) => found.damaged.push(DamagedSnapshot { path, detail: detail.into() }),
            }
        }
        Ok(found)
    }
}

/// Reads a whole file and compares its trailer; then gives a reader of its content, or what is wrong.
#[allow(clippy::type_complexity, reason = "an outcome inside an outcome: the file could be read, and is it whole?")]
fn check(path: &Path, seq: Seq, lineage: Uuid) -> io::Result<Result<Box<dyn Read + Send>, &'static str>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let Some(content) = length.checked_sub(TRAILER_BYTES) else { return Ok(Err("it is cut off")) };
    let mut hashed = Hashing::new(io::sink());
    io::copy(&mut (&mut file).take(content), &mut hashed)?;
    let mut trailer = [0; TRAILER_BYTES as usize];
    file.read_exact(&mut trailer)?;
    hashed.write_all(&trailer[..40])?;
    let number = |at: usize| u64::from_le_bytes(trailer[at..at + 8].try_into().expect("eight bytes"));
    if trailer[..8] != MAGIC || number(32) != content || hashed.hasher.finalize().as_bytes() != &trailer[40..] {
        return Ok(Err("its checksum is wrong"));
    }
    if &trailer[8..24] != lineage.as_bytes() || number(24) != seq.0 {
        return Ok(Err("it belongs to another log or another place in it"));
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, file).take(content))))
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

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.to_path_buf();
    move |source| SnapshotError { step, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(store: &SnapshotFiles, seq: u64, content: &[u8]) {
        store.save(Seq(seq), &mut |out| content.chunks(7).try_for_each(|chunk| out.write_all(chunk))).unwrap();
    }

    fn read(found: Found) -> Option<(u64, Vec<u8>)> {
        found.snapshot.map(|mut snapshot| {
            let mut content = Vec::new();
            snapshot.content.read_to_end(&mut content).unwrap();
            (snapshot.seq.0, content)
        })
    }

    fn store(dir: &tempfile::TempDir) -> SnapshotFiles {
        SnapshotFiles::open(dir.path(), Uuid::from_u128(1)).unwrap()
    }

    #[test]
    fn the_newest_snapshot_is_found_and_two_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        assert!(store.newest(Seq(99)).unwrap().snapshot.is_none());
        for seq in [5, 10, 200] {
            save(&store, seq, format!("the state as of {seq}").as_bytes());
        }
        assert_eq!(read(store.newest(Seq(999)).unwrap()), Some((200, b"the state as of 200".to_vec())));
        assert_eq!(read(store.newest(Seq(199)).unwrap()), Some((10, b"the state as of 10".to_vec())));
        assert!(store.newest(Seq(9)).unwrap().snapshot.is_none(), "the third was removed");
    }

    #[test]
    fn a_damaged_snapshot_is_passed_over_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        save(&store, 1, b"old");
        save(&store, 2, b"new");
        let path = store.path(Seq(2));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            std::fs::write(&path, &damaged).unwrap();
            let found = store.newest(Seq(9)).unwrap();
            assert_eq!(found.damaged.len(), 1, "byte {at}");
            assert_eq!(read(found), Some((1, b"old".to_vec())));
        }
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let found = store.newest(Seq(9)).unwrap();
            assert_eq!((found.damaged.len(), &found.damaged[0].path), (1, &path), "cut to {length}");
        }
    }

    #[test]
    fn snapshots_of_what_was_lost_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        save(&store, 5, b"kept");
        save(&store, 9, b"of events that are lost");
        store.forget_after(Seq(7)).unwrap();
        assert_eq!(read(store.newest(Seq(99)).unwrap()), Some((5, b"kept".to_vec())));
    }

    #[test]
    fn a_snapshot_of_another_log_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        save(&store(&dir), 1, b"mine");
        let other = SnapshotFiles::open(dir.path(), Uuid::from_u128(2)).unwrap();
        let found = other.newest(Seq(9)).unwrap();
        assert!(found.snapshot.is_none() && found.damaged.len() == 1);
    }

    #[test]
    fn a_snapshot_that_could_not_be_written_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        save(&store, 1, b"old");
        let error = store.save(Seq(2), &mut |out| {
            out.write_all(b"half of")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(error.unwrap_err().to_string().contains("could not write"));
        assert_eq!(disk::names_in(&store.dir).unwrap(), ["00000000000000000001"]);
    }
}
