//! Files and directories that survive a power cut: what is created, renamed or removed here is synced with its parent.
//! Knows nothing of what is in them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Makes a directory with all its parents, and makes the entries durable.
pub fn create_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = parent_of(path) {
        create_dir(&parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if !path.is_dir() => return Err(error),
        _ => {}
    }
    sync_dir(path)?;
    sync_parent(path)
}

/// Makes a directory's entries durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the entry of a file or directory durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    parent_of(path).map_or(Ok(()), |parent| sync_dir(&parent))
}

/// Writes a whole file so that after a power cut it is there in full or not at all: `write` fills a temporary file
/// beside it, which is synced and renamed.
pub fn write_file(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let temporary = temporary_of(path);
    let result = fill(&temporary, write).and_then(|()| fs::rename(&temporary, path)).and_then(|()| sync_parent(path));
    if result.is_err() {
        // What is left over is of no use and would take room on a disk that may be full.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Writes a whole file, see [`write_file`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_file(path, |file| file.write_all(bytes))
}

/// The temporary file that [`write_file`] uses.
pub fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().expect("a file that is written has a name").to_os_string();
    name.push(".tmp");
    path.with_file_name(name)
}

/// Removes what [`write_file`] left in a directory when the server was killed.
pub fn remove_temporaries(dir: &Path) -> io::Result<()> {
    let names = names_in(dir)?;
    names.iter().filter(|name| name.ends_with(".tmp")).try_for_each(|name| remove_file(&dir.join(name)))
}

/// Removes a directory and everything in it; it is no error if it is gone already.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes everything in a directory.
pub fn clear_dir(path: &Path) -> io::Result<()> {
    names_in(path)?.iter().map(|name| path.join(name)).try_for_each(|path| match path.is_dir() {
        true => remove_dir(&path),
        false => remove_file(&path),
    })
}

/// Removes a file; it is no error if it is gone already.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The names in a directory, sorted; empty if there is no such directory.
pub fn names_in(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names: Result<Vec<String>, io::Error> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
    let mut names = names?;
    names.sort();
    Ok(names)
}

/// How many bytes the files of a directory have, without those in directories below it.
pub fn bytes_in_files(path: &Path) -> io::Result<u64> {
    let files = files_in(path)?;
    files.iter().map(|name| Ok(path.join(name).metadata()?.len())).sum()
}

/// Copies the files of a directory, without those in directories below it, to a new one.
pub fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    create_dir(to)?;
    for name in files_in(from)? {
        fs::copy(from.join(&name), to.join(&name))?;
    }
    Ok(())
}

/// Copies a directory with everything in it, and makes the copy durable.
pub fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    copy_files(from, to)?;
    for name in names_in(from)? {
        let (source, target) = (from.join(&name), to.join(&name));
        if source.is_dir() { copy_dir(&source, &target)? } else { File::open(&target)?.sync_all()? }
    }
    sync_dir(to)
}

fn files_in(path: &Path) -> io::Result<Vec<String>> {
    let mut names = names_in(path)?;
    names.retain(|name| path.join(name).is_file());
    Ok(names)
}

/// How many bytes are free for us on the disk of `path`.
pub fn free(path: &Path) -> io::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(path)?;
    #[allow(clippy::unnecessary_cast, reason = "the widths of these numbers differ between systems")]
    Ok(disk.blocks_available() as u64 * disk.fragment_size() as u64)
}

/// Whether an error means that the disk, or our share of it, is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether an error means that no more files may be open, in this process or in the whole system.
pub fn is_out_of_files(error: &io::Error) -> bool {
    let codes = [nix::errno::Errno::EMFILE as i32, nix::errno::Errno::ENFILE as i32];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Opens a file for reading and writing at any place, and creates it if it is missing.
pub fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn fill(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::create(path)?;
    write(&mut file)?;
    file.sync_all()
}

fn parent_of(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_path_buf() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_could_not_be_written_in_full_leaves_the_old_one_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note");
        write_bytes(&path, b"old").unwrap();
        let result = write_file(&path, |file| {
            file.write_all(b"new, but")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(is_full(&result.unwrap_err()));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names_in(dir.path()).unwrap(), ["note"]);
    }

    #[test]
    fn a_copy_of_a_directory_has_everything_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("a/b/to"));
        create_dir(&from.join("inner")).unwrap();
        write_bytes(&from.join("inner/file"), b"12345").unwrap();
        copy_dir(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("inner/file")).unwrap(), b"12345");
        assert_eq!(bytes_in_files(&to.join("inner")).unwrap(), 5);
        assert!(free(dir.path()).unwrap() > 0);
    }
}
