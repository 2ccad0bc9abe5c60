//! A file that holds room: given up when the disk is full, so that the next start can write what it must.
//! It contains nothing.

use std::io;
use std::path::{Path, PathBuf};

use crate::storage::disk;

/// The room that is held.
#[derive(Debug)]
pub struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    /// The ballast of a data directory; 0 bytes for none.
    pub fn of(data: &Path, bytes: u64) -> Ballast {
        Ballast { path: data.join("ballast"), bytes }
    }

    /// Gives up what is held if the disk is so full that a start may need it. Takes nothing.
    pub fn make_room(&self) -> io::Result<()> {
        if self.is_affordable()? { Ok(()) } else { self.give_up() }
    }

    /// Takes room, if afterwards at least as much is still free. Otherwise gives up what was held.
    pub fn settle(&self) -> io::Result<()> {
        if !self.is_affordable()? {
            return self.give_up();
        }
        if self.held() == self.bytes || self.bytes == 0 {
            return Ok(());
        }
        match self.take() {
            Err(error) if disk::is_full(&error) => self.give_up(),
            result => result,
        }
    }

    /// Gives the room back.
    pub fn give_up(&self) -> io::Result<()> {
        disk::remove_file(&self.path)
    }

    fn held(&self) -> u64 {
        self.path.metadata().map_or(0, |metadata| metadata.len())
    }

    fn is_affordable(&self) -> io::Result<bool> {
        let free = disk::free(self.path.parent().expect("the ballast lies in the data directory"))?;
        Ok(free + self.held() >= 2 * self.bytes)
    }

    fn take(&self) -> io::Result<()> {
        let file = disk::open_file(&self.path)?;
        let bytes = i64::try_from(self.bytes).expect("the ballast is smaller than any disk");
        nix::fcntl::posix_fallocate(&file, 0, bytes)?;
        file.set_len(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn room_is_really_taken_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::of(dir.path(), 1024 * 1024);
        ballast.settle().unwrap();
        ballast.settle().unwrap();
        assert!(dir.path().join("ballast").metadata().unwrap().blocks() * 512 >= 1024 * 1024);
        ballast.give_up().unwrap();
        ballast.give_up().unwrap();
        assert!(!dir.path().join("ballast").exists());
    }

    #[test]
    fn no_room_is_held_when_too_little_would_be_left() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = disk::free(dir.path()).unwrap();
        Ballast::of(dir.path(), bytes).settle().unwrap();
        assert!(!dir.path().join("ballast").exists());
    }
}
