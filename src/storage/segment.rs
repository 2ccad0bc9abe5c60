//! One segment of the log: a sled database in a directory of its own, with pages under their first seqs in chapters,
//! and beside it the payload files of its pages. Nothing but pages may ever be put into the database.
//!
//! sled panics on damage and destroys what it does not understand. So every call into it is guarded, and `inspect`
//! looks at the file before sled may.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::domain::id::Seq;
use crate::log::commit::SealedPage;
use crate::metrics;
use crate::storage::chapters::Chapters;
use crate::storage::disk;
use crate::storage::guard::{SegmentError, guarded};
use crate::storage::payloads::Payloads;
use crate::storage::sync;

/// The size of sled's own segments, in bytes. It is fixed when a database is made, and bounds what a page may have:
/// values above a 72nd part of it could spill into files that sled never syncs.
pub const SLED_SEGMENT_BYTES: usize = 2 * 1024 * 1024;

/// How long we wait for sled's threads to let go of a database that was closed just now.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(2);

/// An open segment.
pub struct Segment {
    db: sled::Db,
    chapters: Chapters,
    /// The database's file, to know its length.
    file: File,
    dir: PathBuf,
    payloads: Payloads,
}

/// The name of a segment's directory.
pub fn name_of(first: Seq) -> String {
    format!("{:020}", first.0)
}

/// The first seq of the segment in a directory of this name, if it is one.
pub fn first_of(name: &str) -> Option<Seq> {
    let fits = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| name.parse().ok()).flatten().map(Seq)
}

/// The database's file in a segment's directory.
pub fn file_of(dir: &Path) -> PathBuf {
    dir.join("db")
}

impl Segment {
    /// Makes a new, empty segment. Its directory must not exist.
    pub fn create(dir: &Path, cache_bytes: u64) -> Result<Segment, SegmentError> {
        disk::create_dir(dir)?;
        let syncs = sync::count();
        let segment = Segment::open(dir, cache_bytes)?;
        segment.flush(syncs)?;
        segment.file.sync_all()?;
        File::open(dir.join("conf"))?.sync_all()?;
        disk::sync_dir(&dir.join("blobs"))?;
        disk::sync_dir(dir)?;
        disk::sync_parent(dir)?;
        Ok(segment)
    }

    /// Opens a segment. Only after `inspect` found it sound, or on a copy: sled may destroy what is damaged.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Segment, SegmentError> {
        remove_half_snapshots(dir)?;
        let config = sled::Config::new()
            .path(dir)
            .segment_size(SLED_SEGMENT_BYTES)
            .flush_every_ms(None)
            .cache_capacity(cache_bytes);
        let db = open_when_free(&config)?;
        let file = File::open(file_of(dir))?;
        let chapters = Chapters::of(db.clone())?;
        let segment = Segment { db, chapters, file, dir: dir.to_path_buf(), payloads: Payloads::in_segment(dir) };
        segment.check_blobs()?;
        Ok(segment)
    }

    /// Adds pages behind all others. They are durable after the next [`Segment::flush`], not before. A crash until then
    /// leaves some of the first of them.
    pub fn insert(&self, pages: &[SealedPage]) -> Result<(), SegmentError> {
        pages.iter().try_for_each(|page| self.chapters.insert(page))
    }

    /// Makes durable what was inserted since there had been `syncs_before` real syncs, and makes sure that there was
    /// one.
    pub fn flush(&self, syncs_before: u64) -> Result<(), SegmentError> {
        guarded(|| self.db.flush())?;
        let syncs = sync::count();
        metrics::note_log_syncs(syncs);
        if sync::INTERPOSED && syncs == syncs_before { Err(SegmentError::NotSynced) } else { Ok(()) }
    }

    /// Adds pages and makes them durable.
    pub fn append(&self, pages: &[SealedPage]) -> Result<(), SegmentError> {
        let syncs = sync::count();
        self.insert(pages)?;
        self.flush(syncs)
    }

    /// Puts one page in the place of all from it on, durably. Without one, all from `from` on are removed.
    pub fn replace_tail(&self, from: Seq, page: Option<&SealedPage>) -> Result<(), SegmentError> {
        let syncs = sync::count();
        self.chapters.replace_tail(from, page)?;
        self.flush(syncs)
    }

    /// The page with the greatest first seq up to `seq`.
    pub fn page_with(&self, seq: Seq) -> Result<Option<(Seq, sled::IVec)>, SegmentError> {
        self.chapters.page_with(seq)
    }

    /// All pages in order, from the one whose first seq is at least `from`.
    pub fn pages_from(&self, from: Seq) -> impl Iterator<Item = Result<(Seq, sled::IVec), SegmentError>> {
        self.chapters.pages_from(from)
    }

    /// The length of the database's file, in bytes.
    pub fn file_bytes(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    /// The payload files of the segment's pages.
    pub fn payloads(&self) -> &Payloads {
        &self.payloads
    }

    /// Fails if sled spilled a value into a file of its own: such files are never synced. When no more files may be
    /// open it does not look: it will the next time, and that is no reason to halt.
    pub fn check_blobs(&self) -> Result<(), SegmentError> {
        let blobs = self.dir.join("blobs");
        match disk::names_in(&blobs) {
            Err(error) if disk::is_out_of_files(&error) => Ok(()),
            names => names?.is_empty().then_some(()).ok_or(SegmentError::Blobs(blobs)),
        }
    }
}

/// sled leaves a half-written snapshot behind when it is killed while opening, and then takes it for a damaged one at
/// every start.
fn remove_half_snapshots(dir: &Path) -> io::Result<()> {
    for name in disk::names_in(dir)? {
        if name.starts_with("snap.") && name.ends_with(".generating") {
            disk::remove_file(&dir.join(name))?;
        }
    }
    Ok(())
}

/// A database that was closed just now may be locked by a thread of sled's that is not done yet.
fn open_when_free(config: &sled::Config) -> Result<sled::Db, SegmentError> {
    let deadline = Instant::now() + LOCK_WAIT_MAX;
    loop {
        match guarded(|| config.open()) {
            Err(SegmentError::Sled(sled::Error::Io(error)))
                if error.to_string().contains("acquire lock") && Instant::now() < deadline =>
            {
                std::thread::sleep(LOCK_RETRY);
            }
            result => return result,
        }
    }
}
