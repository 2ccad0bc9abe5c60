//! Looks at the files that sled wrote, as bytes: its log of messages, its settings, its own snapshot.

use std::io;
use std::path::Path;

use crate::storage::check::{Look, REBUILD};
use crate::storage::disk;
use crate::storage::inspect::first_tear;

/// sled takes settings of up to so many bytes for not yet written, and writes them.
const UNWRITTEN_BYTES_MAX: u64 = 8;

/// Whether a name is that of a snapshot of sled's.
pub fn is_snapshot(name: &str) -> bool {
    name.strip_prefix("snap.").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Looks at a database that sled may open again. `is_closed`: whether nothing may be half written at its end.
pub fn check_database(look: &mut Look<'_>, dir: &Path, is_closed: bool, next_step: &'static str) {
    let database = dir.join("db");
    match first_tear(&look.data.join(&database), is_closed) {
        Ok(None) => {}
        Ok(Some(tear)) => look.damaged(&database, Some(format!("byte {}", tear.at)), tear.detail, next_step),
        Err(error) => look.unreadable(&database, &error, next_step),
    }
    check_summed(look, &dir.join("conf"), next_step, settings_fit);
    let names = disk::names_in(&look.data.join(dir)).unwrap_or_default();
    for name in names.iter().filter(|name| is_snapshot(name)) {
        check_summed(look, &dir.join(name), next_step, snapshot_fits);
    }
    look.each(dir.join("blobs"), |look, _, path| {
        look.damaged(&path, None, "sled spilled a value into a file of its own, which is never synced", next_step);
    });
}

/// Looks at the stored views, which are sled's too.
pub fn check_views(look: &mut Look<'_>, is_closed: bool) {
    look.each("views", |look, name, path| match name {
        "DAMAGED" => look.damaged(&path, None, "the stored views were found damaged", REBUILD),
        _ if name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_digit()) => {
            let settings = look.data.join(&path).join("conf").metadata().map_or(0, |metadata| metadata.len());
            if settings <= UNWRITTEN_BYTES_MAX {
                return look
                    .leftover(&path, "they were being made when the server ended; the next start makes them anew");
            }
            check_database(look, &path, is_closed, REBUILD);
        }
        _ => look.stray(&path, name),
    });
}

fn check_summed(look: &mut Look<'_>, file: &Path, next_step: &'static str, fits: fn(&[u8]) -> bool) {
    match read(&look.data.join(file)) {
        Ok(bytes) if fits(&bytes) => {}
        Ok(_) => look.damaged(file, None, "its checksum is wrong", next_step),
        Err(error) => look.unreadable(file, &error, next_step),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}

/// `text │ crc32 u32`
fn settings_fit(bytes: &[u8]) -> bool {
    bytes.split_last_chunk::<4>().is_some_and(|(text, sum)| crc32fast::hash(text).to_le_bytes() == *sum)
}

/// `content │ its length u64 │ crc32 of the content u32`
fn snapshot_fits(bytes: &[u8]) -> bool {
    let Some((rest, sum)) = bytes.split_last_chunk::<4>() else { return false };
    let Some((content, length)) = rest.split_last_chunk::<8>() else { return false };
    crc32fast::hash(content).to_le_bytes() == *sum && content.len() as u64 == u64::from_le_bytes(*length)
}
