//! Where a remote worker keeps what its runs leave, and the record of what it runs. Each worker has a directory of its
//! own under a common one, locked while it lives: a later worker finds those that were killed, ends what they left
//! running, and clears up.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::getuid;

use crate::domain::id::Epoch;
use crate::workers::orphans::{LiveGroups, end_orphans};

/// The file that is locked while a worker lives.
const LOCK: &str = "lock";

/// The directory of one worker. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    /// Held for as long as the worker lives.
    lock: Option<Flock<File>>,
}

/// Where workers keep things unless they are told otherwise: a directory for this user alone.
pub fn default_base() -> PathBuf {
    std::env::temp_dir().join(format!("daybook-work-{}", getuid()))
}

impl Place {
    /// Takes a directory of its own under `base`, after it has cleared up after workers that were killed.
    pub fn take(base: &Path) -> io::Result<Place> {
        own(base)?;
        clear_up(base)?;
        let directory = base.join(uuid::Uuid::now_v7().to_string());
        // The lock is there before anybody may take the directory for one that was left behind.
        let draft = base.join(format!(".{}", uuid::Uuid::new_v4()));
        DirBuilder::new().mode(0o700).create(&draft)?;
        let lock = lock(&draft)?.ok_or_else(|| io::Error::other("a new file is locked by somebody else"))?;
        fs::rename(&draft, &directory)?;
        fs::create_dir(directory.join("scratch"))?;
        Ok(Place { directory, lock: Some(lock) })
    }

    /// For what runs leave.
    pub fn scratch(&self) -> PathBuf {
        self.directory.join("scratch")
    }

    /// The record of what runs.
    pub fn groups(&self, epoch: Epoch) -> io::Result<LiveGroups> {
        LiveGroups::open(&self.directory.join("groups"), epoch)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What stays is cleared up by the next worker.
        let _ = fs::remove_dir_all(&self.directory);
        drop(self.lock.take());
    }
}

/// Makes the common directory, or refuses one of somebody else: it says what is to be killed.
fn own(base: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(base)?;
    let meta = fs::symlink_metadata(base)?;
    if !meta.is_dir() || meta.uid() != getuid().as_raw() || meta.mode() & 0o022 != 0 {
        let words = format!("{} is not a directory that only you can write to; name another", base.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
    }
    Ok(())
}

fn clear_up(base: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base)? {
        let directory = entry?.path();
        let is_workers = directory.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'));
        if !is_workers || !directory.join(LOCK).is_file() {
            continue;
        }
        let Some(_lock) = lock(&directory)? else { continue };
        let swept = end_orphans(&directory.join("groups"))?;
        if swept.ended > 0 {
            tracing::warn!(groups = swept.ended, "ended what a killed worker had left running");
        }
        if swept.hanging.is_empty() {
            // Another worker may be as quick.
            let _ = fs::remove_dir_all(&directory);
        }
    }
    Ok(())
}

/// Locks the directory of a worker; none if that worker lives.
fn lock(directory: &Path) -> io::Result<Option<Flock<File>>> {
    let file = match File::options().create(true).truncate(false).write(true).open(directory.join(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(io::Error::from_raw_os_error(error as i32)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_worker_clears_up_after_those_that_were_killed_and_leaves_the_living_alone() {
        let base = tempfile::tempdir().expect("a directory");
        let living = Place::take(base.path()).expect("takes");
        let mut killed = Place::take(base.path()).expect("takes");
        let epoch = Epoch(uuid::Uuid::from_u128(7));
        let mut child = Command::new("sleep").arg("1000").process_group(0).spawn().expect("starts");
        let groups = killed.groups(epoch).expect("opens");
        std::mem::forget(groups.record(child.id(), &"work".parse().expect("a name")).expect("records"));
        let left = killed.directory.clone();
        // A kill -9 leaves the directory and drops the lock.
        drop(killed.lock.take());
        std::mem::forget(killed);
        let _third = Place::take(base.path()).expect("takes");
        assert!(!left.exists() && living.scratch().is_dir());
        assert!(!child.wait().expect("it is ours").success(), "it was killed");
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let base = tempfile::tempdir().expect("a directory");
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o777)).expect("sets");
        assert!(Place::take(base.path()).expect_err("it is refused").to_string().contains("only you can write"));
    }
}
