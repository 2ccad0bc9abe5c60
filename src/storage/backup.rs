//! What of a data directory may be copied while a server runs: sealed segments and the base, which nothing changes any
//! more, and the log lines and output files of jobs. Nothing else can be read by these paths, and nothing is changed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::domain::id::{JobId, Seq};
use crate::sessions::ports::is_file_name;
use crate::sessions::reading::{DataFile, DataFiles, SealedPart};
use crate::storage::base::{Manifest, PARTS};
use crate::storage::disk;
use crate::storage::files::dir_name;
use crate::storage::joblogs::shard_of;
use crate::storage::open::explain;
use crate::storage::payloads::hash_of_name;
use crate::storage::seal::Seal;
use crate::storage::segment::{first_of, name_of};

/// The files of sealed segments, beside their payloads.
const OF_SEGMENT: [&str; 3] = ["SEALED", "db", "conf"];
/// The files of a base.
const OF_BASE: [&str; 3] = ["MANIFEST", PARTS[0], PARTS[1]];

/// The files of a data directory.
pub struct BackupFiles {
    data: PathBuf,
}

impl BackupFiles {
    /// Of a data directory.
    pub fn of(data: &Path) -> BackupFiles {
        BackupFiles { data: data.to_path_buf() }
    }

    /// A file with its size; none if it is gone meanwhile.
    fn look(&self, path: String) -> io::Result<Option<DataFile>> {
        let metadata = match self.data.join(&path).metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?,
        };
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Some(DataFile { path, bytes: metadata.len(), modified_ms: modified.as_millis() as u64 }))
    }

    /// The names in a directory; none if it is not there.
    fn names(&self, dir: &str) -> io::Result<Vec<String>> {
        match disk::names_in(&self.data.join(dir)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Vec::new())
            }
            names => names,
        }
    }

    fn add(&self, files: &mut Vec<DataFile>, path: String) -> io::Result<()> {
        files.extend(self.look(path)?);
        Ok(())
    }
}

impl DataFiles for BackupFiles {
    fn sealed(&self, from: Seq) -> io::Result<Vec<SealedPart>> {
        let mut parts = Vec::new();
        let mut first = from;
        loop {
            let dir = format!("log/{}", name_of(first));
            let seal = Seal::read(&self.data.join(&dir)).map_err(|error| io::Error::other(explain(&error)))?;
            let Some(seal) = seal else { return Ok(parts) };
            let mut files = Vec::new();
            for name in OF_SEGMENT {
                self.add(&mut files, format!("{dir}/{name}"))?;
            }
            for name in self.names(&format!("{dir}/payloads"))? {
                self.add(&mut files, format!("{dir}/payloads/{name}"))?;
            }
            parts.push(SealedPart { first, last: seal.last(), files });
            first = seal.end.next;
        }
    }

    fn base(&self, earliest: Seq) -> io::Result<Vec<DataFile>> {
        if earliest == Seq(1) {
            return Ok(Vec::new());
        }
        let dir = format!("log/base/{}", name_of(earliest));
        let manifest = Manifest::read(&self.data.join(&dir)).map_err(|error| io::Error::other(explain(&error)))?;
        let mut files = Vec::new();
        for name in OF_BASE {
            self.add(&mut files, format!("{dir}/{name}"))?;
        }
        for name in manifest.carried {
            self.add(&mut files, format!("log/carried/{}", name.file_name()))?;
        }
        Ok(files)
    }

    fn of_jobs(&self) -> io::Result<Vec<DataFile>> {
        let mut files = Vec::new();
        for job in self.names("files")? {
            for name in self.names(&format!("files/{job}"))? {
                let path = format!("files/{job}/{name}");
                if is_of_jobs(&path) {
                    self.add(&mut files, path)?;
                }
            }
        }
        for shard in self.names("logs")? {
            for job in self.names(&format!("logs/{shard}"))? {
                let path = format!("logs/{shard}/{job}");
                if is_of_jobs(&path) {
                    self.add(&mut files, path)?;
                }
            }
        }
        Ok(files)
    }

    fn open(&self, path: &str) -> io::Result<Option<File>> {
        if !is_of_jobs(path) && !is_of_base(path) && !self.is_of_sealed(path) {
            return Ok(None);
        }
        match File::open(self.data.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }
}

impl BackupFiles {
    fn is_of_sealed(&self, path: &str) -> bool {
        let (segment, fits) = match path.split('/').collect::<Vec<_>>()[..] {
            ["log", segment, name] => (segment, OF_SEGMENT.contains(&name)),
            ["log", segment, "payloads", name] => (segment, hash_of_name(name).is_some()),
            _ => return false,
        };
        fits && first_of(segment).is_some() && self.data.join("log").join(segment).join("SEALED").exists()
    }
}

/// Whether a path is one of a base, or of what it carries. Neither is ever changed.
pub fn is_of_base(path: &str) -> bool {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["log", "base", earliest, name] => first_of(earliest).is_some() && OF_BASE.contains(&name),
        ["log", "carried", name] => {
            is_file_name(name) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        }
        _ => false,
    }
}

/// Whether a path is one of a job's log: only such a file grows.
pub fn is_of_jobs_log(path: &str) -> bool {
    path.starts_with("logs/") && is_of_jobs(path)
}

/// Whether a path is one of a job's log or of one of its output files.
pub fn is_of_jobs(path: &str) -> bool {
    let is_job = |name: &str| name.parse::<JobId>().is_ok_and(|job| dir_name(job) == name);
    match path.split('/').collect::<Vec<_>>()[..] {
        ["files", job, name] => is_job(job) && is_file_name(name),
        ["logs", shard, job] => is_job(job) && shard_of(job) == shard,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_copied_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let job = "0197a000-0000-7000-8000-000000000000";
        let segment = name_of(Seq(1));
        let open = name_of(Seq(9));
        for path in [
            format!("files/{job}/a b.txt"),
            format!("files/{job}/.a.blake3"),
            format!("logs/00/{job}"),
            format!("log/{segment}/SEALED"),
            format!("log/{segment}/db"),
            format!("log/{open}/db"),
            format!("log/base/{segment}/state"),
            format!("log/base/{segment}/other"),
            "log/carried/0a1b".to_owned(),
            "log/HEAD".to_owned(),
            "LOCK".to_owned(),
        ] {
            disk::create_dir(dir.path().join(&path).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(path), "x").unwrap();
        }
        let files = BackupFiles::of(dir.path());
        let opens = |path: &str| files.open(path).unwrap().is_some();
        for path in [
            format!("files/{job}/a b.txt"),
            format!("logs/00/{job}"),
            format!("log/{segment}/SEALED"),
            format!("log/{segment}/db"),
            format!("log/base/{segment}/state"),
            "log/carried/0a1b".to_owned(),
        ] {
            assert!(opens(&path), "{path}");
        }
        for path in [
            format!("files/{job}/.a.blake3"),
            format!("files/{job}/../{job}/a b.txt"),
            format!("files/{job}/none"),
            format!("log/{open}/db"),
            format!("log/{segment}/../HEAD"),
            format!("log/base/{segment}/other"),
            "log/HEAD".to_owned(),
            "LOCK".to_owned(),
            "/etc/passwd".to_owned(),
            String::new(),
        ] {
            assert!(!opens(&path), "{path}");
        }
        assert_eq!(files.of_jobs().unwrap().len(), 2);
    }
}
