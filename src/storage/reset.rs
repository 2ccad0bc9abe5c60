//! Drops everything in a data directory, or moves it aside first, as `--reset-on-startup` asks. What it began is
//! finished at the next start: a log that is half gone is never opened. What was moved aside is never dropped.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::domain::time::Timestamp;
use crate::storage::disk;
use crate::storage::open::{DirectoryLock, OpenError};

/// A note in the data directory that says: a reset is going on. Its text is the archive's path, or empty.
const NOTE: &str = "RESET";

/// What a reset leaves where it is.
const KEPT: [&str; 3] = ["LOCK", "ballast", NOTE];

/// What an archive's name begins with that lies in the data directory itself.
pub const ARCHIVE_INSIDE: &str = "archive-";

/// Empties a data directory. With `archive`, what was in it is moved to a directory beside it, named by the time; or to
/// one in it, where it is a disk of its own and nothing can be moved out.
/// Gives the archive's path, if something was moved there.
pub fn reset(data: &Path, archive: bool, now: Timestamp) -> Result<Option<PathBuf>, OpenError> {
    let _lock = DirectoryLock::take(data)?;
    finish(data)?;
    let names = entries(data).map_err(OpenError::io("list", data))?;
    if names.is_empty() {
        return Ok(None);
    }
    let target = archive.then(|| archive_of(data, now));
    let text = target.as_ref().map_or(String::new(), |target| target.to_string_lossy().into_owned());
    disk::write_bytes(&data.join(NOTE), text.as_bytes()).map_err(OpenError::io("begin the reset of", data))?;
    finish(data)?;
    Ok(target)
}

/// Finishes a reset that was begun, if one was.
pub fn finish(data: &Path) -> Result<(), OpenError> {
    let note = data.join(NOTE);
    let text = match std::fs::read_to_string(&note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => text.map_err(OpenError::io("read", &note))?,
    };
    if text.is_empty() {
        drop_entries(data).map_err(OpenError::io("empty", data))?;
    } else {
        let target = PathBuf::from(text);
        move_entries(data, &target).map_err(OpenError::io("move the old data aside to", &target))?;
    }
    let done = disk::sync_dir(data).and_then(|()| disk::remove_file(&note)).and_then(|()| disk::sync_dir(data));
    done.map_err(OpenError::io("finish the reset of", data))
}

fn entries(data: &Path) -> io::Result<Vec<String>> {
    let mut names = disk::names_in(data)?;
    names.retain(|name| !KEPT.contains(&name.as_str()) && !name.starts_with(ARCHIVE_INSIDE));
    Ok(names)
}

fn drop_entries(data: &Path) -> io::Result<()> {
    for name in entries(data)? {
        let path = data.join(name);
        if path.is_dir() { disk::remove_dir(&path)? } else { disk::remove_file(&path)? }
    }
    Ok(())
}

fn move_entries(data: &Path, target: &Path) -> io::Result<()> {
    disk::create_dir(target)?;
    for name in entries(data)? {
        std::fs::rename(data.join(&name), target.join(&name))?;
    }
    disk::sync_dir(target)
}

/// `daybook-data` becomes `daybook-data.archive-20261122T051120.123Z`.
fn archive_of(data: &Path, now: Timestamp) -> PathBuf {
    let stamp: String = now.to_string().chars().filter(|letter| !matches!(letter, '-' | ':')).collect();
    let absolute = data.canonicalize().unwrap_or_else(|_| data.to_path_buf());
    match absolute.file_name().filter(|_| !is_mounted(&absolute)) {
        Some(name) => absolute.with_file_name(format!("{}.archive-{stamp}", name.to_string_lossy())),
        None => absolute.join(format!("{ARCHIVE_INSIDE}{stamp}")),
    }
}

/// Whether a directory and the one around it lie on two disks.
fn is_mounted(path: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    path.parent().is_some_and(|parent| device(parent) != device(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::tests::mounts::Mount;

    fn filled() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        disk::create_dir(&data.join("log/1")).unwrap();
        disk::write_bytes(&data.join("log/1/db"), b"pages").unwrap();
        disk::write_bytes(&data.join("note"), b"text").unwrap();
        dir
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-22T05:11:20.123Z").unwrap()
    }

    #[test]
    fn a_reset_empties_the_directory() {
        let dir = filled();
        assert_eq!(reset(&dir.path().join("data"), false, now()).unwrap(), None);
        assert_eq!(disk::names_in(&dir.path().join("data")).unwrap(), ["LOCK"]);
    }

    #[test]
    fn an_archive_lies_beside_the_directory_and_has_everything() {
        let dir = filled();
        let archive = reset(&dir.path().join("data"), true, now()).unwrap().unwrap();
        assert_eq!(archive.file_name().unwrap(), "data.archive-20261122T051120.123Z");
        assert_eq!(std::fs::read(archive.join("log/1/db")).unwrap(), b"pages");
        assert_eq!(disk::names_in(&dir.path().join("data")).unwrap(), ["LOCK"]);
    }

    #[test]
    fn a_directory_that_is_a_disk_of_its_own_keeps_its_archives_inside() {
        let Some(mount) = Mount::memory(8 << 20) else { return };
        let data = mount.path();
        for _ in 0..2 {
            disk::write_bytes(&data.join("note"), b"text").unwrap();
            let archive = reset(&data, true, now()).unwrap().unwrap();
            assert_eq!(archive, data.canonicalize().unwrap().join("archive-20261122T051120.123Z"));
            assert_eq!(std::fs::read(archive.join("note")).unwrap(), b"text");
            assert_eq!(disk::names_in(&data).unwrap(), ["LOCK", "archive-20261122T051120.123Z"]);
        }
        assert_eq!(reset(&data, false, now()).unwrap(), None);
        assert!(data.join("archive-20261122T051120.123Z/note").exists(), "an archive is never dropped");
    }

    #[test]
    fn a_reset_that_was_interrupted_is_finished_at_the_next_start() {
        let dir = filled();
        let data = dir.path().join("data");
        disk::write_bytes(&data.join(NOTE), b"").unwrap();
        finish(&data).unwrap();
        assert_eq!(disk::names_in(&data).unwrap(), [""; 0]);
    }

    #[test]
    fn a_directory_that_is_in_use_is_not_reset() {
        let dir = filled();
        let data = dir.path().join("data");
        let _lock = DirectoryLock::take(&data).unwrap();
        assert!(matches!(reset(&data, false, now()), Err(OpenError::Locked(_))));
        assert!(data.join("log/1/db").exists());
    }
}
