//! Finished jobs in a sled database of their own, behind the log and disposable (V1): what does not open, belongs to
//! another log or was found damaged is thrown away, and recovery fills it again. Never holds anything that is not in the
//! log.
//!
//! ```text
//!   views/00000001/   a sled database:  m → meta   p page → 64 heads   h ordinal piece → a big head   i … → items
//!   views/DAMAGED     says that the next start must begin with an empty store
//! ```
//!
//! sled never gives room back. When the dead bytes outgrow the living ones threefold, the living ones are copied to a new
//! database and the old one is removed: at a start, and while the server runs, where readers go on with the old one until
//! they are done. A database without meta is one that was not copied to its end.

mod database;
mod page;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use crate::domain::id::{FinishOrdinal, Seq};
use crate::domain::job::Job;
use crate::log::codec_job::{decode_head, decode_items, with_items};
use crate::storage::views::database::{
    DAMAGED, Meta, StoreError, copy, create, guarded, newest, newest_as_is, numbers, remove_all_but,
};
use crate::storage::views::page::{Place, locate, ordinals_of};
use crate::storage::views::writer::{PAGES, Writer, number_of, page_key, pieces_of};
use crate::views::{FinishedStore, Head, ViewError, finish_ordinal};

/// How many times the living bytes a database may take before it is copied.
const BLOAT_MAX: u64 = 4;
/// A database that is not larger is not worth copying, unless a test says otherwise.
const BLOAT_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// How long is waited before it is looked again whether a reader is done.
const READER_WAIT: Duration = Duration::from_millis(1);

/// Why the directory of the views cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("the directory {} cannot be used for stored views: check its owner and the space on its disk", .dir.display())]
pub struct OpenViewsError {
    pub dir: PathBuf,
    pub source: io::Error,
}

/// The stored finished jobs.
pub struct SledFinished {
    dir: PathBuf,
    lineage: Uuid,
    /// A database that is not larger is not worth copying.
    bloat_bytes_min: u64,
    db: RwLock<Arc<sled::Db>>,
    /// Held while something is written.
    meta: Mutex<Meta>,
}

impl SledFinished {
    /// Opens the stored views in `dir`, or makes them. What cannot be used is removed: then the position is
    /// [`Seq::ZERO`], and recovery fills the store again. `lineage` is the id of the log that they are views of.
    pub fn open(dir: &Path, lineage: Uuid) -> Result<SledFinished, OpenViewsError> {
        SledFinished::open_and_compact(dir, lineage, BLOAT_BYTES_MIN)
    }

    /// Opens the stored views to look at them, and reads every entry: nothing is repaired or removed. None if there are
    /// none.
    pub fn open_as_is(dir: &Path, lineage: Uuid) -> Result<Option<SledFinished>, ViewError> {
        let opened = || {
            let Some((db, meta)) = newest_as_is(dir, lineage)? else { return Ok(None) };
            db.iter().try_for_each(|entry| entry.map(drop))?;
            Ok(Some(SledFinished::of(dir, lineage, db, meta, BLOAT_BYTES_MIN)))
        };
        guarded(opened).map_err(|error| ViewError::new("opened", error))
    }

    /// How many of the jobs ended behind an event. They are stored in the order of their endings.
    pub fn ended_after(&self, seq: Seq) -> Result<u64, ViewError> {
        let counted = || {
            let db = self.db.read().clone();
            let mut count = 0;
            for entry in db.scan_prefix(PAGES).rev() {
                let (key, bytes) = entry?;
                page::check(&bytes)?;
                let number = number_of(&key).ok_or(StoreError::Meta)?;
                let mut is_older = false;
                for (place, ordinal) in ordinals_of(number).enumerate() {
                    match read_head(&db, &bytes, place, ordinal)? {
                        Some(head) if head.job.seq > seq => count += 1,
                        Some(_) => is_older = true,
                        None => {}
                    }
                }
                if is_older {
                    break;
                }
            }
            Ok(count)
        };
        guarded(counted).map_err(|error| ViewError::new("counted", error))
    }

    fn open_and_compact(dir: &Path, lineage: Uuid, bloat_bytes_min: u64) -> Result<SledFinished, OpenViewsError> {
        let opened = || -> io::Result<SledFinished> {
            std::fs::create_dir_all(dir)?;
            let (_, db, meta) = match newest(dir, lineage)? {
                Some(found) => found,
                None => create(dir, 1, lineage)?,
            };
            let store = SledFinished::of(dir, lineage, db, meta, bloat_bytes_min);
            store.compact()?;
            Ok(store)
        };
        opened().map_err(|source| OpenViewsError { dir: dir.to_path_buf(), source })
    }

    fn of(dir: &Path, lineage: Uuid, db: sled::Db, meta: Meta, bloat_bytes_min: u64) -> SledFinished {
        let (dir, db) = (dir.to_path_buf(), RwLock::new(Arc::new(db)));
        SledFinished { dir, lineage, bloat_bytes_min, db, meta: Mutex::new(meta) }
    }

    /// Copies what lives to a new database, if too much is dead. Nothing is written meanwhile, and readers go on.
    fn compact(&self) -> io::Result<()> {
        let mut meta = self.meta.lock();
        let db = self.db.read().clone();
        let bytes = db.size_on_disk().map_err(io::Error::other)?;
        if bytes < self.bloat_bytes_min || bytes / BLOAT_MAX < meta.live_bytes {
            return Ok(());
        }
        let number = numbers(&self.dir)?.pop().unwrap_or(0);
        let (_, fresh, _) = create(&self.dir, number + 1, self.lineage)?;
        match copy(&db, &fresh, &meta) {
            Ok(copied) => {
                *meta = copied;
                *self.db.write() = Arc::new(fresh);
                drop(meta);
                close(db);
                remove_all_but(&self.dir, number + 1)
            }
            Err(error) => {
                tracing::warn!(?error, "the stored views could not be made smaller; they stay as they are");
                drop(fresh);
                remove_all_but(&self.dir, number)
            }
        }
    }

    fn write(&self, jobs: &[Arc<Job>], gone: &[FinishOrdinal], position: Seq) -> Result<(), StoreError> {
        // First the lock: the database may be about to be replaced.
        let mut meta = self.meta.lock();
        let db = self.db.read().clone();
        let mut writer = Writer::new(&db, meta.live_bytes);
        let mut pages: BTreeMap<u64, (Vec<&Arc<Job>>, Vec<FinishOrdinal>)> = BTreeMap::new();
        for job in jobs {
            pages.entry(locate(finish_ordinal(job)).0).or_default().0.push(job);
        }
        for &place in gone {
            pages.entry(locate(place).0).or_default().1.push(place);
        }
        for (number, (jobs, gone)) in pages {
            writer.put_page(number, &jobs, &gone)?;
        }
        let after = Meta { position: position.max(meta.position), live_bytes: writer.live_bytes, ..*meta };
        writer.finish(&after)?;
        *meta = after;
        Ok(())
    }

    fn read_heads(&self, places: &[FinishOrdinal]) -> Result<Vec<Option<Head>>, StoreError> {
        let db = self.db.read().clone();
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_unstable_by_key(|&number| places[number]);
        let mut heads = vec![None; places.len()];
        let mut read: Option<(u64, Option<sled::IVec>)> = None;
        for number in order {
            let (page, place) = locate(places[number]);
            if read.as_ref().is_none_or(|(held, _)| *held != page) {
                read = Some((page, read_page(&db, page)?));
            }
            if let Some((_, Some(bytes))) = &read {
                heads[number] = read_head(&db, bytes, place, places[number])?;
            }
        }
        Ok(heads)
    }

    fn read_job(&self, place: FinishOrdinal) -> Result<Option<Arc<Job>>, StoreError> {
        let Some(Head { job, items: counts }) = self.read_heads(&[place])?.pop().flatten() else { return Ok(None) };
        let Some(counts) = counts else { return Ok(Some(job)) };
        let db = self.db.read().clone();
        let mut items = Vec::new();
        for entry in db.scan_prefix(pieces_of(b'i', place)) {
            items.extend(decode_items(&entry?.1)?);
        }
        Ok(Some(Arc::new(with_items(Arc::unwrap_or_clone(job), Some(counts), items)?)))
    }

    /// Answers from the database. One that gives errors is not trusted after the next start.
    fn guarded<T>(&self, step: &'static str, call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, ViewError> {
        guarded(call).map_err(|error| {
            if !matches!(&error, StoreError::Sled(sled::Error::Io(_)) | StoreError::Io(_)) {
                self.condemn();
            }
            ViewError::new(step, error)
        })
    }
}

impl FinishedStore for SledFinished {
    fn position(&self) -> Seq {
        self.meta.lock().position
    }

    fn put(&self, jobs: &[Arc<Job>], gone: &[FinishOrdinal], position: Seq) -> Result<(), ViewError> {
        self.guarded("written", || self.write(jobs, gone, position))
    }

    fn clear(&self) -> Result<(), ViewError> {
        let cleared = || -> Result<(), StoreError> {
            let mut meta = self.meta.lock();
            let mut db = self.db.write();
            let number = numbers(&self.dir)?.pop().unwrap_or(0) + 1;
            let (_, fresh, fresh_meta) = create(&self.dir, number, self.lineage)?;
            (*db, *meta) = (Arc::new(fresh), fresh_meta);
            Ok(remove_all_but(&self.dir, number)?)
        };
        self.guarded("cleared", cleared)
    }

    fn get(&self, place: FinishOrdinal) -> Result<Option<Arc<Job>>, ViewError> {
        self.guarded("read", || self.read_job(place))
    }

    fn heads(&self, places: &[FinishOrdinal]) -> Result<Vec<Option<Head>>, ViewError> {
        self.guarded("read", || self.read_heads(places))
    }

    fn tidy(&self) -> Result<(), ViewError> {
        self.guarded("made smaller", || Ok(self.compact()?))
    }

    fn condemn(&self) {
        if let Err(error) = std::fs::write(self.dir.join(DAMAGED), b"") {
            tracing::warn!(%error, "damaged views could not be marked; remove {} before the next start", self.dir.display());
        }
    }
}

/// Waits until the last reader of a database that was replaced is done, so that nobody but us closes it: a reader reads one
/// page of a list.
fn close(mut db: Arc<sled::Db>) {
    while Arc::get_mut(&mut db).is_none() {
        std::thread::sleep(READER_WAIT);
    }
}

/// The bytes of a page, checked.
fn read_page(db: &sled::Db, number: u64) -> Result<Option<sled::IVec>, StoreError> {
    let bytes = db.get(page_key(number))?;
    bytes.iter().try_for_each(|bytes| page::check(bytes))?;
    Ok(bytes)
}

fn read_head(db: &sled::Db, page: &[u8], place: usize, ordinal: FinishOrdinal) -> Result<Option<Head>, StoreError> {
    let (job, items) = match page::read_place(page, place) {
        Place::Empty => return Ok(None),
        Place::Inline(head) => decode_head(head)?,
        Place::Apart => {
            let mut head = Vec::new();
            for entry in db.scan_prefix(pieces_of(b'h', ordinal)) {
                head.extend_from_slice(&entry?.1);
            }
            decode_head(&head)?
        }
    };
    Ok(Some(Head { job: Arc::new(job), items }))
}
