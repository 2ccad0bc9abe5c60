//! The output directory of one run in command mode: made empty before it, read after it, and gone in the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::domain::id::JobId;
use crate::sessions::ports::{FILE_NAME_BYTES_MAX, is_file_name};

/// The most files that one run may leave.
pub const FILES_MAX: usize = 1000;

/// A directory for what one run leaves.
#[derive(Debug)]
pub struct OutputDir {
    dir: TempDir,
}

/// What a run left.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Plain files, by name.
    pub files: Vec<(String, PathBuf)>,
    /// What is not kept, and why.
    pub passed_over: Vec<String>,
}

impl OutputDir {
    /// Makes an empty directory in `scratch`.
    pub fn create(scratch: &Path, job: JobId) -> io::Result<OutputDir> {
        fs::create_dir_all(scratch)?;
        tempfile::Builder::new().prefix(&format!("{job}-")).tempdir_in(scratch).map(|dir| OutputDir { dir })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What is in it. Only plain files are kept: a link could lead anywhere, and a file's name has no directory in it.
    pub fn list(&self) -> io::Result<Left> {
        let mut left = Left::default();
        let mut entries = fs::read_dir(self.path())?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            match refusal(&entry, &name, left.files.len())? {
                Some(reason) => left.passed_over.push(format!("{name:?} is not kept: {reason}")),
                None => left.files.push((name, entry.path())),
            }
        }
        Ok(left)
    }
}

fn refusal(entry: &fs::DirEntry, name: &str, kept: usize) -> io::Result<Option<String>> {
    if !entry.file_type()?.is_file() {
        return Ok(Some("only plain files are".to_owned()));
    }
    if entry.file_name().to_str().is_none() || !is_file_name(name) {
        let rule = "its name is hidden, too long, or has characters that cannot be shown";
        return Ok(Some(format!("{rule}; use up to {FILE_NAME_BYTES_MAX} bytes of plain UTF-8 text")));
    }
    Ok((kept >= FILES_MAX).then(|| format!("a run leaves at most {FILES_MAX} files")))
}

/// Removes what runs of a former server left. Only when none of them is alive any more.
pub fn clear_scratch(scratch: &Path) -> io::Result<()> {
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(scratch),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    const JOB: uuid::Uuid = uuid::Uuid::from_u128(7);

    #[test]
    fn plain_files_are_kept_and_nothing_else() {
        let scratch = tempfile::tempdir().expect("a directory");
        let output = OutputDir::create(&scratch.path().join("new"), JobId::from(JOB)).expect("makes");
        fs::write(output.path().join("b.png"), "b").expect("writes");
        fs::write(output.path().join("a.txt"), "a").expect("writes");
        fs::create_dir(output.path().join("folder")).expect("makes");
        std::os::unix::fs::symlink("/etc/passwd", output.path().join("link")).expect("links");
        fs::write(output.path().join("bad\nname"), "c").expect("writes");
        fs::write(output.path().join(".hidden"), "c").expect("writes");
        fs::write(output.path().join("pic\u{202e}gpj.exe"), "c").expect("writes");
        fs::write(output.path().join(std::ffi::OsStr::from_bytes(b"bytes\xff")), "c").expect("writes");
        let left = output.list().expect("lists");
        let names: Vec<&str> = left.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.txt", "b.png"]);
        assert_eq!(left.passed_over.len(), 6);
        assert!(left.passed_over.iter().any(|line| line.starts_with("\"pic\\u{202e}gpj.exe\" is not kept")));
        assert!(left.passed_over[1].starts_with("\"bad\\nname\" is not kept"), "{:?}", left.passed_over);
    }

    #[test]
    fn of_more_files_than_a_run_may_leave_the_last_are_passed_over_and_named() {
        let scratch = tempfile::tempdir().expect("a directory");
        let output = OutputDir::create(scratch.path(), JobId::from(JOB)).expect("makes");
        for number in 0..=FILES_MAX {
            fs::write(output.path().join(format!("{number:04}")), "").expect("writes");
        }
        let left = output.list().expect("lists");
        assert_eq!(left.files.len(), 1000);
        assert_eq!(left.passed_over, ["\"1000\" is not kept: a run leaves at most 1000 files"]);
    }

    #[test]
    fn two_runs_of_a_job_never_share_a_directory_and_each_is_gone_in_the_end() {
        let scratch = tempfile::tempdir().expect("a directory");
        let first = OutputDir::create(scratch.path(), JobId::from(JOB)).expect("makes");
        let second = OutputDir::create(scratch.path(), JobId::from(JOB)).expect("makes");
        assert_ne!(first.path(), second.path());
        drop((first, second));
        assert_eq!(fs::read_dir(scratch.path()).expect("lists").count(), 0);
    }

    #[test]
    fn a_start_clears_what_a_killed_server_left() {
        let data = tempfile::tempdir().expect("a directory");
        let scratch = data.path().join("scratch");
        clear_scratch(&scratch).expect("makes");
        fs::create_dir(scratch.join("old")).expect("makes");
        clear_scratch(&scratch).expect("clears");
        assert_eq!(fs::read_dir(&scratch).expect("lists").count(), 0);
    }
}
