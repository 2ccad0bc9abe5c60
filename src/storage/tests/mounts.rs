//! File systems of our own, for what cannot be tried on a real one. They need root; without it the test says on stderr
//! that it could not run, and why.

use std::io::Write;
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

    /// Makes it so that nothing can be written there any more.
    pub fn forbid_writes(&self) {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(self.place.path()).status();
        assert!(done.unwrap().success(), "what was mounted can be mounted otherwise");
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.place.path().to_path_buf()
    }

    fn new(arguments: &[&str]) -> Option<Mount> {
        let place = tempfile::tempdir().unwrap();
        let done = Command::new("mount").args(arguments).arg(place.path()).output();
        match done {
            Ok(output) if output.status.success() => return Some(Mount { place }),
            Ok(output) => could_not_run(&format!("nothing is mounted: {}", String::from_utf8_lossy(&output.stderr))),
            Err(error) => could_not_run(&format!("nothing is mounted: {error}")),
        }
        None
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

/// Makes an image file with an empty ext4; says so if it cannot.
pub fn make_image(path: &Path, bytes: u64) -> bool {
    std::fs::File::create(path).unwrap().set_len(bytes).unwrap();
    match Command::new("mkfs.ext4").arg("-q").arg("-F").arg(path).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => could_not_run(&format!("no ext4 is made: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => could_not_run(&format!("no ext4 is made: mkfs.ext4: {error}")),
    }
    false
}

/// Says on stderr that the present test could not try what it is for, and why.
pub fn could_not_run(why: &str) {
    say(&format!("COULD NOT RUN {}: {}", test(), why.lines().next().unwrap_or_default().trim()));
}

/// Says on stderr what the present test shows instead.
pub fn shows_instead(what: &str) {
    say(&format!("{} shows instead: {what}", test()));
}

fn test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

/// Past the test harness, which keeps to itself what a test says that passes.
fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}
