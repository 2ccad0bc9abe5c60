//! What belongs to a backup, and how it is kept: a manifest names everything of it by its hash, and says itself when it was
//! changed. Older backups are removed here, with what none of the others names.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::id::{Epoch, Seq};
use crate::domain::time::Timestamp;
use crate::storage::disk;

/// The format of manifests; a later one is refused.
const FORMAT: u32 = 1;

/// The directories in a directory of backups.
pub const LOG: &str = "log";
pub const OBJECTS: &str = "objects";
pub const BACKUPS: &str = "backups";

/// What belongs to a backup.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    pub lineage: Uuid,
    pub epoch: Epoch,
    pub at: Timestamp,
    /// The first event that is in it.
    pub earliest: Seq,
    /// The last event that is in it.
    pub last: Seq,
    /// What stands for the events before the first.
    pub base: Vec<FileEntry>,
    pub parts: Vec<PartEntry>,
    /// The events behind the parts.
    pub tails: Vec<TailEntry>,
    pub files: Vec<FileEntry>,
    /// The hash of all of the above.
    check: String,
}

/// A part of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartEntry {
    pub first: Seq,
    pub last: Seq,
    pub name: String,
}

/// Some events, as an export has them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TailEntry {
    /// The last of them.
    pub last: Seq,
    pub object: String,
}

/// A file of a job, or of the base.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileEntry {
    /// Below the data directory.
    pub path: String,
    pub bytes: u64,
    pub modified_ms: u64,
    /// The hash of what is in it.
    pub object: String,
}

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{} cannot be read", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no manifest of a backup: {detail}; take another one with --backup", path.display())]
    Form { path: PathBuf, detail: String },
}

/// Which server was copied, and when.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub lineage: Uuid,
    pub epoch: Epoch,
    pub at: Timestamp,
    pub earliest: Seq,
    pub last: Seq,
}

impl Manifest {
    /// Of what was copied.
    pub fn of(
        taken: Taken,
        base: Vec<FileEntry>,
        parts: Vec<PartEntry>,
        tails: Vec<TailEntry>,
        files: Vec<FileEntry>,
    ) -> Manifest {
        let Taken { lineage, epoch, at, earliest, last } = taken;
        let check = String::new();
        let mut manifest =
            Manifest { format: FORMAT, lineage, epoch, at, earliest, last, base, parts, tails, files, check };
        manifest.check = manifest.hash();
        manifest
    }

    /// Reads the manifest of a backup.
    pub fn read(dir: &Path, name: &str) -> Result<Manifest, ManifestError> {
        let path = path_of(dir, name);
        let text = std::fs::read(&path).map_err(|source| ManifestError::Io { path: path.clone(), source })?;
        let failed = |detail: String| ManifestError::Form { path: path.clone(), detail };
        let mut manifest: Manifest = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
        if manifest.format > FORMAT {
            return Err(failed("a newer daybook wrote it".into()));
        }
        let said = std::mem::take(&mut manifest.check);
        if said != manifest.hash() {
            return Err(failed("it is damaged: it is not as it was written".into()));
        }
        manifest.check = said;
        Ok(manifest)
    }

    /// Writes it: now the backup is there.
    pub fn write(&self, dir: &Path, name: &str) -> io::Result<()> {
        disk::write_bytes(&path_of(dir, name), &serde_json::to_vec_pretty(self).expect(WRITTEN))
    }

    /// The last event of its parts, or of what stands before them.
    pub fn sealed(&self) -> Seq {
        self.parts.last().map_or(Seq(self.earliest.0 - 1), |part| part.last)
    }

    /// Where its parts of the log lie, in order.
    pub fn part_dirs(&self, dir: &Path) -> Vec<PathBuf> {
        self.parts.iter().map(|part| dir.join(LOG).join(&part.name)).collect()
    }

    /// To be asked while there is no `check` in it.
    fn hash(&self) -> String {
        blake3::hash(&serde_json::to_vec(self).expect(WRITTEN)).to_hex().to_string()
    }

    fn objects(&self) -> impl Iterator<Item = &str> {
        let files = self.base.iter().chain(&self.files).map(|file| &*file.object);
        files.chain(self.tails.iter().map(|tail| &*tail.object))
    }
}

const WRITTEN: &str = "our own types can be written as JSON";

/// The names of all backups in a directory, the oldest first.
pub fn names(dir: &Path) -> Result<Vec<String>, ManifestError> {
    let backups = dir.join(BACKUPS);
    let names = disk::names_in(&backups).map_err(|source| ManifestError::Io { path: backups.clone(), source })?;
    Ok(names.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect())
}

fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(BACKUPS).join(format!("{name}.json"))
}

/// Where a file's content lies.
pub fn object_in(dir: &Path, object: &str) -> PathBuf {
    dir.join(OBJECTS).join(object.get(..2).unwrap_or_default()).join(object)
}

/// Removes all backups but the newest `keep`, and then what none of those names. Gives how many backups went.
pub fn prune(dir: &Path, keep: usize) -> Result<u64, ManifestError> {
    let mut older = names(dir)?;
    let kept = older.split_off(older.len().saturating_sub(keep));
    // All that stay have to be read before anything goes.
    let kept: Vec<Manifest> = kept.iter().map(|name| Manifest::read(dir, name)).collect::<Result<_, _>>()?;
    let failed = |source| ManifestError::Io { path: dir.to_path_buf(), source };
    older.iter().try_for_each(|name| disk::remove_file(&path_of(dir, name))).map_err(failed)?;
    disk::sync_dir(&dir.join(BACKUPS)).map_err(failed)?;
    let parts: BTreeSet<&str> = kept.iter().flat_map(|manifest| &manifest.parts).map(|part| &*part.name).collect();
    remove_others(&dir.join(LOG), &parts).map_err(failed)?;
    let objects: BTreeSet<&str> = kept.iter().flat_map(Manifest::objects).collect();
    for shard in disk::names_in(&dir.join(OBJECTS)).map_err(failed)? {
        remove_others(&dir.join(OBJECTS).join(shard), &objects).map_err(failed)?;
    }
    Ok(older.len() as u64)
}

fn remove_others(dir: &Path, named: &BTreeSet<&str>) -> io::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for name in disk::names_in(dir)?.iter().filter(|name| !named.contains(name.as_str())) {
        let path = dir.join(name);
        if path.is_dir() { disk::remove_dir(&path)? } else { disk::remove_file(&path)? }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(object: &str) -> Manifest {
        let taken = Taken {
            lineage: Uuid::from_u128(7),
            epoch: Epoch(Uuid::from_u128(8)),
            at: Timestamp::from_ms(9),
            earliest: Seq(1),
            last: Seq(10),
        };
        let parts = vec![PartEntry { first: Seq(1), last: Seq(5), name: format!("part-of-{object}") }];
        let file = FileEntry { path: "logs/00/x".into(), bytes: 1, modified_ms: 2, object: object.into() };
        Manifest::of(taken, Vec::new(), parts, vec![TailEntry { last: Seq(10), object: "common".into() }], vec![file])
    }

    #[test]
    fn a_manifest_that_was_changed_anywhere_is_not_taken_for_another() {
        let dir = tempfile::tempdir().unwrap();
        disk::create_dir(&dir.path().join(BACKUPS)).unwrap();
        manifest("aabb").write(dir.path(), "one").unwrap();
        let path = path_of(dir.path(), "one");
        let whole = std::fs::read(&path).unwrap();
        let shown = serde_json::to_string(&Manifest::read(dir.path(), "one").unwrap()).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            if let Ok(read) = Manifest::read(dir.path(), "one") {
                assert_eq!(serde_json::to_string(&read).unwrap(), shown, "byte {place}");
            }
        }
    }

    #[test]
    fn pruning_keeps_the_newest_and_all_that_they_name() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        disk::create_dir(&dir.join(BACKUPS)).unwrap();
        for (name, object) in [("1", "aa01"), ("2", "aa02"), ("3", "bb03")] {
            manifest(object).write(dir, name).unwrap();
            disk::create_dir(&dir.join(LOG).join(format!("part-of-{object}"))).unwrap();
        }
        for object in ["aa01", "aa02", "bb03", "common", "aa99", "half.tmp"] {
            let path = object_in(dir, object);
            disk::create_dir(path.parent().unwrap()).unwrap();
            std::fs::write(path, object).unwrap();
        }
        assert_eq!(prune(dir, 5).unwrap(), 0);
        assert!(!object_in(dir, "aa99").exists() && object_in(dir, "aa01").exists());
        assert_eq!(prune(dir, 2).unwrap(), 1);
        assert_eq!(names(dir).unwrap(), ["2", "3"]);
        assert_eq!(disk::names_in(&dir.join(LOG)).unwrap(), ["part-of-aa02", "part-of-bb03"]);
        assert!(!object_in(dir, "aa01").exists());
        assert!(["aa02", "bb03", "common"].iter().all(|object| object_in(dir, object).exists()));
        // What is not understood may name anything.
        std::fs::write(path_of(dir, "3"), "{").unwrap();
        assert!(matches!(prune(dir, 1), Err(ManifestError::Form { .. })));
        assert_eq!(names(dir).unwrap(), ["2", "3"]);
    }
}
