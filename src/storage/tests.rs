//! The log on sled as a whole: the port's suite, and what is this log's own.

use std::path::{Path, PathBuf};

use crate::domain::id::Seq;
use crate::log::EventLog;
use crate::log::conformance::{Subject, append, conforms, group, read_all, records};
use crate::storage::segments::SEALED_OPEN_MAX;
use crate::storage::{OpenError, Opened, Options, disk, open, sync};

/// Small segments and no ballast.
pub fn options() -> Options {
    Options { ballast_bytes: 0, cache_bytes: 8 * 1024 * 1024, ..Options::default() }
}

struct Sled {
    dir: tempfile::TempDir,
    options: Options,
}

impl Subject for Sled {
    fn open(&mut self) -> Box<dyn EventLog> {
        open(self.dir.path(), &self.options).unwrap().log
    }

    fn break_writes(&mut self) {
        // A file stands where the log's directory was: open files go on, new ones cannot be made.
        let log_dir = self.dir.path().join("log");
        std::fs::rename(&log_dir, self.dir.path().join("gone")).unwrap();
        std::fs::write(&log_dir, b"").unwrap();
    }
}

/// The names of the segments in a data directory.
pub fn segments(data: &Path) -> Vec<String> {
    let mut names = disk::names_in(&data.join("log")).unwrap();
    names.retain(|name| name.len() == 20);
    names
}

fn opened(data: &Path) -> Opened {
    open(data, &options()).unwrap()
}

#[test]
fn the_log_on_sled_keeps_the_promises_of_the_port() {
    conforms(|| Box::new(Sled { dir: tempfile::tempdir().unwrap(), options: options() }));
}

#[test]
fn the_log_on_sled_keeps_them_with_a_new_segment_after_each_submission() {
    conforms(|| {
        let options = Options { segment_bytes: 1, ..options() };
        Box::new(Sled { dir: tempfile::tempdir().unwrap(), options })
    });
}
