//! The files that jobs leave: `data/files/<job>/<name>`, there in full or not at all. What is in them is never looked
//! at, and a name never leads out of the job's directory.
//!
//! Beside each lies `.<name>.blake3` with its hash and length, so that damage can be found. It is written first: when a
//! file replaces another, it has a line for each of the two, and whichever a crash leaves there is as it should be.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::id::JobId;
use crate::sessions::ports::{FILE_NAME_BYTES_MAX, is_file_name};
use crate::storage::disk;

/// The directory of files that are still being written.
pub const INCOMING: &str = ".incoming";

/// Why a file could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error(
        "a file's name has 1 to {FILE_NAME_BYTES_MAX} bytes, no slashes, control characters or marks of direction, and \
         does not begin with a dot"
    )]
    Name,
    #[error("could not {step} {}", path.display())]
    Io { step: &'static str, path: PathBuf, source: io::Error },
}

/// The files of all jobs in a data directory.
#[derive(Debug)]
pub struct JobFiles {
    dir: PathBuf,
    temporaries: AtomicU64,
}

/// A file that is being written. Dropped before [`NewFile::finish`], it never was.
#[derive(Debug)]
pub struct NewFile {
    file: Option<File>,
    temporary: PathBuf,
    target: PathBuf,
    hasher: blake3::Hasher,
    bytes: u64,
}

/// The hash and the length of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    pub hash: blake3::Hash,
    pub bytes: u64,
}

impl JobFiles {
    /// The files below `data/files`.
    pub fn open(data: &Path) -> Result<JobFiles, FileError> {
        let dir = data.join("files");
        let incoming = dir.join(INCOMING);
        disk::remove_dir(&incoming).map_err(failed("clear", &incoming))?;
        disk::create_dir(&incoming).map_err(failed("make", &incoming))?;
        Ok(JobFiles { dir, temporaries: AtomicU64::new(0) })
    }

    /// Begins to write a job's file. One of the same name is replaced when it is finished.
    pub fn create(&self, job: JobId, name: &str) -> Result<NewFile, FileError> {
        check_name(name)?;
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let temporary = self.dir.join(INCOMING).join(number.to_string());
        let file = File::create(&temporary).map_err(failed("make", &temporary))?;
        let target = self.dir_of(job).join(name);
        Ok(NewFile { file: Some(file), temporary, target, hasher: blake3::Hasher::new(), bytes: 0 })
    }

    /// A job's file with its size in bytes; none if there is none.
    pub fn read(&self, job: JobId, name: &str) -> Result<Option<(File, u64)>, FileError> {
        check_name(name)?;
        let path = self.dir_of(job).join(name);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed("open", &path))?,
        };
        let bytes = file.metadata().map_err(failed("measure", &path))?.len();
        Ok(Some((file, bytes)))
    }

    /// Removes all files of a job; a power cut may bring them back.
    pub fn discard(&self, job: JobId) -> Result<(), FileError> {
        let path = self.dir_of(job);
        disk::remove_dir(&path).map_err(failed("remove", &path))
    }

    /// The jobs that have a directory.
    pub fn jobs(&self) -> io::Result<Vec<JobId>> {
        let names = disk::names_in(&self.dir)?;
        Ok(names.iter().filter_map(|name| name.parse().ok().filter(|&job| dir_name(job) == *name)).collect())
    }

    /// Removes all files of a job; a power cut does not bring them back.
    pub fn remove(&self, job: JobId) -> Result<(), FileError> {
        let path = self.dir_of(job);
        let removed = disk::remove_dir(&path).and_then(|()| disk::sync_dir(&self.dir));
        removed.map_err(failed("remove", &path))
    }

    fn dir_of(&self, job: JobId) -> PathBuf {
        self.dir.join(dir_name(job))
    }
}

/// The name of a job's directory.
pub fn dir_name(job: JobId) -> String {
    job.to_string()
}

/// Whether a name in a job's directory is that of a checksum, which no file of a job can have.
pub fn is_checksum(name: &str) -> bool {
    name.starts_with('.')
}

fn checksum_of(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.blake3"))
}

impl Sum {
    /// Reads a whole file.
    pub fn of_file(path: &Path) -> io::Result<Sum> {
        let mut hasher = blake3::Hasher::new();
        let bytes = io::copy(&mut File::open(path)?, &mut hasher)?;
        Ok(Sum { hash: hasher.finalize(), bytes })
    }

    /// What was noted when the file was stored; two when it replaced another, none if it is older than checksums are.
    /// A line that cannot be read fits no file.
    pub fn kept(file: &Path) -> io::Result<Vec<Option<Sum>>> {
        match fs::read(checksum_of(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            bytes => Ok(String::from_utf8_lossy(&bytes?).lines().map(Sum::parse).collect()),
        }
    }

    fn parse(line: &str) -> Option<Sum> {
        let (hash, bytes) = line.split_once(' ')?;
        Some(Sum { hash: blake3::Hash::from_hex(hash).ok()?, bytes: bytes.parse().ok()? })
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.hash.to_hex(), self.bytes)
    }
}

impl NewFile {
    /// Where it is written until it is finished.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Goes on with a file that was moved over the one that is written.
    pub fn moved_in(&mut self) -> io::Result<()> {
        self.file = Some(File::open(&self.temporary)?);
        self.hasher = blake3::Hasher::new();
        self.bytes = io::copy(&mut File::open(&self.temporary)?, &mut self.hasher)?;
        Ok(())
    }

    /// Makes the file durable under its name and gives its size in bytes.
    pub fn finish(mut self) -> Result<u64, FileError> {
        let file = self.file.take().expect("a file is finished once");
        file.sync_all().map_err(failed("sync", &self.temporary))?;
        let dir = self.target.parent().expect("a job's file lies in the job's directory");
        disk::create_dir(dir).map_err(failed("make", dir))?;
        self.note_sum().map_err(failed("note the checksum of", &self.target))?;
        fs::rename(&self.temporary, &self.target).map_err(failed("name", &self.target))?;
        disk::sync_dir(dir).map_err(failed("sync", dir))?;
        Ok(self.bytes)
    }

    /// Notes the checksum, and keeps that of the file which is replaced.
    fn note_sum(&self) -> io::Result<()> {
        let new = Sum { hash: self.hasher.finalize(), bytes: self.bytes };
        let replaced = Sum::kept(&self.target)?.into_iter().flatten().next().filter(|old| *old != new);
        let lines: String = [Some(new), replaced].iter().flatten().map(|sum| format!("{sum}\n")).collect();
        disk::write_bytes(&checksum_of(&self.target), lines.as_bytes())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.as_mut().expect("a file that is written is not finished").write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After `finish` it is gone already; else what is left is cleared at the next start.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Checks that a name is one, and not a path.
pub fn check_name(name: &str) -> Result<(), FileError> {
    if is_file_name(name) { Ok(()) } else { Err(FileError::Name) }
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_path_buf();
    move |source| FileError::Io { step, path, source }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::domain::id::Ordinal;
    use crate::domain::time::Timestamp;

    fn job() -> JobId {
        JobId::new(Timestamp::from_ms(1_790_000_000_000), Ordinal(1), 1)
    }

    fn content(files: &JobFiles, name: &str) -> Option<String> {
        let (mut file, bytes) = files.read(job(), name).unwrap()?;
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(bytes, text.len() as u64);
        Some(text)
    }

    #[test]
    fn a_file_appears_when_it_is_finished_and_replaces_one_of_the_same_name() {
        let dir = tempfile::tempdir().unwrap();
        let files = JobFiles::open(dir.path()).unwrap();
        for text in ["first", "the second"] {
            let before = content(&files, "out.txt");
            let mut file = files.create(job(), "out.txt").unwrap();
            file.write_all(text.as_bytes()).unwrap();
            assert_eq!(content(&files, "out.txt"), before);
            assert_eq!(file.finish().unwrap(), text.len() as u64);
            assert_eq!(content(&files, "out.txt").as_deref(), Some(text));
        }
        files.remove(job()).unwrap();
        assert_eq!(content(&files, "out.txt"), None);
    }

    #[test]
    fn the_checksum_of_a_file_fits_it_and_the_one_that_it_replaced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let files = JobFiles::open(dir.path()).unwrap();
        let path = files.dir_of(job()).join("out.txt");
        let fits = || Sum::kept(&path).unwrap().contains(&Some(Sum::of_file(&path).unwrap()));
        for text in ["first", "the second", "the second", "a third"] {
            let mut file = files.create(job(), "out.txt").unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.finish().unwrap();
            assert!(fits(), "{text}");
        }
        for (text, as_stored) in [("the second", true), ("first", false), ("a thirD", false), ("", false)] {
            fs::write(&path, text).unwrap();
            assert_eq!(fits(), as_stored, "{text:?}");
        }
        fs::remove_file(checksum_of(&path)).unwrap();
        assert_eq!(Sum::kept(&path).unwrap(), []);
        assert!(is_checksum(&checksum_of(&path).file_name().unwrap().to_string_lossy()));
    }

    #[test]
    fn a_file_that_was_not_finished_never_was() {
        let dir = tempfile::tempdir().unwrap();
        let files = JobFiles::open(dir.path()).unwrap();
        let mut file = files.create(job(), "out.txt").unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(content(&files, "out.txt"), None);
        assert!(disk::names_in(&dir.path().join("files/.incoming")).unwrap().is_empty());
    }

    #[test]
    fn a_name_that_is_a_path_or_hidden_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = JobFiles::open(dir.path()).unwrap();
        for name in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a\0b", "a\nb", &"x".repeat(201)] {
            assert!(matches!(files.create(job(), name), Err(FileError::Name)), "{name:?}");
            assert!(matches!(files.read(job(), name), Err(FileError::Name)), "{name:?}");
        }
        files.create(job(), "größe 1.png").unwrap().finish().unwrap();
    }
}
