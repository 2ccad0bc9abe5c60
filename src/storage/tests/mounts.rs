//! File systems of our own, for what cannot be tried on a real one. They need root; without it the test says so and is
//! passed over.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system, until it is dropped.
pub struct Mount {
    place: tempfile::TempDir,
}

impl Mount {
    /// A file system in memory of so many bytes.
    pub fn memory(bytes: u64) -> Option<Mount> {
        Mount::new(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
    }

    /// The ext4 in an image file. What was written and not synced is not in the file.
    pub fn image(path: &Path) -> Option<Mount> {
        Mount::new(&["-t", "ext4", "-o", "loop", &path.to_string_lossy()])
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.place.path().to_path_buf()
    }

    fn new(arguments: &[&str]) -> Option<Mount> {
        let place = tempfile::tempdir().unwrap();
        let done = Command::new("mount").args(arguments).arg(place.path()).output();
        match done {
            Ok(output) if output.status.success() => Some(Mount { place }),
            Ok(output) => skip(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => skip(&error.to_string()),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(self.place.path()).output().unwrap();
        if !done.status.success() {
            // Somebody still reads there: let go of it as soon as possible.
            let _ = Command::new("umount").arg("-l").arg(self.place.path()).output();
        }
    }
}

/// Makes an image file with an empty ext4.
pub fn make_image(path: &Path, bytes: u64) -> bool {
    std::fs::File::create(path).unwrap().set_len(bytes).unwrap();
    Command::new("mkfs.ext4").arg("-q").arg("-F").arg(path).output().is_ok_and(|output| output.status.success())
}

fn skip(reason: &str) -> Option<Mount> {
    eprintln!("passed over: nothing can be mounted here: {}", reason.trim());
    None
}
