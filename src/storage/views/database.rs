//! The databases of the stored views: one directory each, numbered; how they are opened, checked, made and copied. What
//! cannot be used is removed: nothing here repairs.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::domain::id::Seq;
use crate::log::codec_job::JobDecodeError;
use crate::storage::disk;
use crate::storage::views::page::PageError;
use crate::storage::views::writer::Writer;

/// The size of sled's own segments; with it goes the most bytes of a value.
const SLED_SEGMENT_BYTES: usize = 2 * 1024 * 1024;
const CACHE_BYTES: u64 = 24 * 1024 * 1024;
/// How long we wait for sled's threads to let go of a database that was closed just now.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(2);

/// The file that says that the next start must begin with an empty store.
pub const DAMAGED: &str = "DAMAGED";
/// Where the meta entry is.
pub const META_KEY: &[u8] = b"m";
const META_VERSION: u8 = 1;
const META_BYTES: usize = 33;

/// What went wrong in the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("sled failed")]
    Sled(#[from] sled::Error),
    #[error("sled panicked: {0}")]
    Panicked(String),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("a finished job cannot be read")]
    Job(#[from] JobDecodeError),
    #[error("the views have no sound meta entry")]
    Meta,
    #[error("the views belong to another log")]
    OtherLog,
    #[error("a file operation failed")]
    Io(#[from] io::Error),
}

/// How far a store has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Meta {
    pub lineage: Uuid,
    pub position: Seq,
    /// The bytes of all keys and values.
    pub live_bytes: u64,
}

impl Meta {
    /// The bytes of the entry.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![META_VERSION];
        bytes.extend_from_slice(self.lineage.as_bytes());
        bytes.extend_from_slice(&self.position.0.to_le_bytes());
        bytes.extend_from_slice(&self.live_bytes.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Meta> {
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        let (&version, content) = content.split_first()?;
        let (lineage, content) = content.split_first_chunk::<16>()?;
        let (position, content) = content.split_first_chunk::<8>()?;
        let live_bytes: &[u8; 8] = content.try_into().ok()?;
        let is_sound = version == META_VERSION && crc32fast::hash(&bytes[..META_BYTES]).to_le_bytes() == *checksum;
        is_sound.then_some(Meta {
            lineage: Uuid::from_bytes(*lineage),
            position: Seq(u64::from_le_bytes(*position)),
            live_bytes: u64::from_le_bytes(*live_bytes),
        })
    }
}

/// The newest database that can be used; the others are removed.
pub fn newest(dir: &Path, lineage: Uuid) -> io::Result<Option<(u64, sled::Db, Meta)>> {
    if dir.join(DAMAGED).exists() {
        tracing::warn!("the stored views were found damaged; they are built again from the log");
        remove_all_but(dir, 0)?;
        std::fs::remove_file(dir.join(DAMAGED))?;
    }
    for number in numbers(dir)?.into_iter().rev() {
        match open_database(&path_of(dir, number)).and_then(|db| Ok((read_meta(&db)?, db))) {
            Ok((meta, db)) if meta.lineage == lineage => {
                remove_all_but(dir, number)?;
                return Ok(Some((number, db, meta)));
            }
            Ok(_) => tracing::warn!("the stored views belong to another log; they are built again"),
            Err(error) => tracing::warn!(?error, "stored views could not be opened; they are built again from the log"),
        }
    }
    remove_all_but(dir, 0)?;
    Ok(None)
}

/// Makes an empty database.
pub fn create(dir: &Path, number: u64, lineage: Uuid) -> io::Result<(u64, sled::Db, Meta)> {
    let meta = Meta { lineage, position: Seq::ZERO, live_bytes: 0 };
    let db = open_database(&path_of(dir, number)).map_err(io::Error::other)?;
    guarded(|| Writer::new(&db, 0).finish(&meta)).map_err(io::Error::other)?;
    // sled syncs neither its settings nor the entries of its files.
    let path = path_of(dir, number);
    File::open(path.join("conf"))?.sync_all()?;
    disk::sync_dir(&path)?;
    disk::sync_dir(dir)?;
    Ok((number, db, meta))
}

/// Copies all entries but meta, and meta last: without it a database is not complete.
pub fn copy(from: &sled::Db, to: &sled::Db, meta: &Meta) -> Result<Meta, StoreError> {
    guarded(|| {
        to.remove(META_KEY)?;
        to.flush()?;
        let mut writer = Writer::new(to, 0);
        for entry in from.iter() {
            let (key, value) = entry?;
            if key != META_KEY {
                writer.insert(key.to_vec(), value.to_vec())?;
            }
        }
        let copied = Meta { live_bytes: writer.live_bytes, ..*meta };
        writer.finish(&copied)?;
        Ok(copied)
    })
}

/// The newest database that can be opened and belongs to the log; none if there is none at all. Removes nothing.
pub fn newest_as_is(dir: &Path, lineage: Uuid) -> Result<Option<(sled::Db, Meta)>, StoreError> {
    let mut trouble = None;
    for number in if dir.exists() { numbers(dir)? } else { Vec::new() }.into_iter().rev() {
        let opened = open_database(&path_of(dir, number));
        if opened.as_ref().is_ok_and(|db| db.is_empty()) {
            // It was being made when the server ended.
            continue;
        }
        match opened.and_then(|db| Ok((read_meta(&db)?, db))) {
            Ok((meta, db)) if meta.lineage == lineage => return Ok(Some((db, meta))),
            Ok(_) => trouble = trouble.or(Some(StoreError::OtherLog)),
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    trouble.map_or(Ok(None), Err)
}

fn open_database(path: &Path) -> Result<sled::Db, StoreError> {
    if let Ok(entries) = std::fs::read_dir(path) {
        // What a crash while opening leaves behind blocks every later open.
        for entry in entries.flatten().filter(|entry| entry.path().extension() == Some("generating".as_ref())) {
            std::fs::remove_file(entry.path())?;
        }
    }
    let config = sled::Config::new()
        .path(path)
        .segment_size(SLED_SEGMENT_BYTES)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    let deadline = Instant::now() + LOCK_WAIT_MAX;
    loop {
        match guarded(|| Ok(config.open()?)) {
            Err(StoreError::Sled(sled::Error::Io(error)))
                if error.to_string().contains("acquire lock") && Instant::now() < deadline =>
            {
                std::thread::sleep(LOCK_RETRY);
            }
            result => return result,
        }
    }
}

fn read_meta(db: &sled::Db) -> Result<Meta, StoreError> {
    let bytes = guarded(|| Ok(db.get(META_KEY)?))?.ok_or(StoreError::Meta)?;
    Meta::decode(&bytes).ok_or(StoreError::Meta)
}

/// Calls sled, and turns its panics into errors.
pub fn guarded<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(StoreError::Panicked(text.unwrap_or("without a message").to_string()))
    })
}

/// The directory of a database.
pub fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}"))
}

/// The numbers of the databases in `dir`, in order.
pub fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes all databases but one.
pub fn remove_all_but(dir: &Path, kept: u64) -> io::Result<()> {
    for number in numbers(dir)?.into_iter().filter(|number| *number != kept) {
        std::fs::remove_dir_all(path_of(dir, number))?;
    }
    Ok(())
}
