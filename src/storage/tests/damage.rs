//! Damaged data directories: a clear error that names the segment and the next step, or everything is there. Never a
//! silent loss, and nothing that could still be saved is overwritten.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::ReadError;
use crate::log::conformance::{append, records};
use crate::storage::head::HeadFile;
use crate::storage::segment::file_of;
use crate::storage::tests::{active, everything, fill, options, segments, small_segments};
use crate::storage::{Options, disk, open};

/// A data directory whose server was killed, and what it had written.
struct Killed {
    dir: tempfile::TempDir,
    written: Vec<Record>,
    options: Options,
}

impl Killed {
    fn new(count: u64, options: Options) -> Killed {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut opened = open(&data, &options).unwrap();
        fill(opened.log.as_mut(), count);
        let written = everything(&opened);
        drop(opened);
        Killed { dir, written, options }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A copy to damage.
    fn copy(&self) -> PathBuf {
        let copy = self.dir.path().join("copy");
        disk::remove_dir(&copy).unwrap();
        disk::copy_dir(&self.data(), &copy).unwrap();
        copy
    }

    /// Opens a damaged copy: either all is there, or the error says what and what to do, and nothing was touched.
    /// Gives whether it opened.
    fn check(&self, copy: &Path, what: &str) -> bool {
        let before = contents(&copy.join("log"));
        match open(copy, &self.options) {
            Ok(mut opened) => {
                assert!(everything(&opened) == self.written, "{what}: opened, so everything must be there");
                let next = self.written.len() as u64 + 1;
                append(opened.log.as_mut(), records(next..=next + 20));
                true
            }
            Err(error) => {
                let text = error.to_string();
                let names_place = text.contains("segment 0000") || text.contains("HEAD");
                assert!(names_place && text.contains("daybook verify"), "{what}: {text}");
                assert!(contents(&copy.join("log")) == before, "{what}: nothing was changed, but: {text}");
                false
            }
        }
    }
}

/// All files below a directory.
pub fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in disk::names_in(dir).unwrap() {
        let path = dir.join(name);
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    files
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_byte_anywhere_in_the_active_segment_is_noticed_or_harmless() {
    let killed = Killed::new(1200, options());
    let length = file_of(&active(&killed.data())).metadata().unwrap().len() as usize;
    let mut places: Vec<usize> = (0..24).map(|part| length * part / 24 + part * 7).collect();
    places.extend((1..12).map(|back| length - back * back * 40));
    let opened: Vec<bool> = places
        .iter()
        .map(|at| {
            let copy = killed.copy();
            flip(&file_of(&active(&copy)), *at);
            killed.check(&copy, &format!("byte {at} of {length}"))
        })
        .collect();
    assert!(opened.contains(&false), "at least one of {} flips hits something alive", places.len());
}

#[test]
fn an_active_segment_that_was_cut_is_not_opened() {
    let killed = Killed::new(1200, options());
    let length = file_of(&active(&killed.data())).metadata().unwrap().len();
    for cut in [1, 100, 5_000, 30_000, 200_000, length / 2, length - 10, length] {
        let copy = killed.copy();
        let file = disk::open_file(&file_of(&active(&copy))).unwrap();
        file.set_len(length - cut).unwrap();
        // The end of sled's file may be padding.
        assert!(!killed.check(&copy, &format!("{cut} bytes cut")) || cut <= length / 2, "{cut} bytes cut");
    }
}

#[test]
fn any_file_that_was_emptied_or_removed_is_noticed_or_harmless() {
    let killed = Killed::new(2500, small_segments());
    let (payloads, mut files): (Vec<PathBuf>, Vec<PathBuf>) = contents(&killed.data())
        .into_keys()
        .partition(|path| path.components().any(|part| part.as_os_str() == "payloads"));
    files.extend([payloads[0].clone(), payloads[payloads.len() - 1].clone()]);
    for file in files {
        let relative = file.strip_prefix(killed.data()).unwrap();
        let copy = killed.copy();
        std::fs::write(copy.join(relative), b"").unwrap();
        killed.check_with_reads(&copy, &format!("{} emptied", relative.display()));
        let copy = killed.copy();
        std::fs::remove_file(copy.join(relative)).unwrap();
        killed.check_with_reads(&copy, &format!("{} removed", relative.display()));
    }
}

impl Killed {
    /// Like [`Killed::check`], but a sealed segment may also show its damage when it is read.
    fn check_with_reads(&self, copy: &Path, what: &str) {
        let before = contents(&copy.join("log"));
        let opened = match open(copy, &self.options) {
            Ok(opened) => opened,
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("daybook verify"), "{what}: {text}");
                // Which payloads are needed is known when the segment was opened, and sled clears the end of its file.
                let is_payload = what.contains("payloads");
                assert!(
                    is_payload || contents(&copy.join("log")) == before,
                    "{what}: nothing was changed, but: {text}"
                );
                return;
            }
        };
        let reader = opened.log.reader();
        for record in self.written.iter().step_by(50).chain(self.written.last()) {
            match reader.record(record.seq) {
                Ok(read) => assert!(read == *record, "{what}"),
                Err(ReadError::Damaged { place, detail }) => {
                    assert!(detail.contains("daybook verify"), "{what}: {place}: {detail}");
                }
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }
}

#[test]
fn a_segment_that_is_missing_is_named() {
    let killed = Killed::new(2500, small_segments());
    for name in segments(&killed.data()) {
        let copy = killed.copy();
        disk::remove_dir(&copy.join("log").join(&name)).unwrap();
        let error = open(&copy, &killed.options).unwrap_err().to_string();
        assert!(error.contains(&name) && error.contains("missing"), "{error}");
    }
    let copy = killed.copy();
    for name in segments(&copy) {
        disk::remove_dir(&copy.join("log").join(&name)).unwrap();
    }
    assert!(open(&copy, &killed.options).unwrap_err().to_string().contains("is missing"));
}

#[test]
fn a_flipped_byte_in_a_sealed_segment_is_found_when_it_is_read_and_sled_never_opens_it() {
    let killed = Killed::new(2500, small_segments());
    let copy = killed.copy();
    // Everything is sealed after an orderly end.
    open(&copy, &killed.options).unwrap().log.close().unwrap();
    let first = copy.join("log").join(&segments(&copy)[0]);
    let length = file_of(&first).metadata().unwrap().len() as usize;
    // sled writes a page several times; the last one is the one that it reads.
    let live = memchr::memmem::rfind(&std::fs::read(file_of(&first)).unwrap(), &first_page_mark(&killed)).unwrap();
    flip(&file_of(&first), live + 300);
    let before = contents(&first);
    let opened = open(&copy, &killed.options).unwrap();
    let reader = opened.log.reader();
    let error = reader.record(Seq(5)).unwrap_err().to_string();
    assert!(error.contains("segment 00000000000000000001") && error.contains("daybook verify"), "{error}");
    assert_eq!(reader.record(Seq(2400)).unwrap(), killed.written[2399], "the others can be read");
    opened.log.close().unwrap();
    drop(opened.lock);
    assert!(contents(&first) == before, "nothing was changed");
    flip(&file_of(&first), live + 300);
    // Behind the last message there is nothing: a flip there is harmless.
    flip(&file_of(&first), length - 5);
    let opened = open(&copy, &killed.options).unwrap();
    assert!(everything(&opened) == killed.written);
}

/// What the header of the log's first page has and no other page: the lineage and its first seq.
fn first_page_mark(killed: &Killed) -> Vec<u8> {
    let lineage = HeadFile::open(&killed.data().join("log/HEAD")).unwrap().unwrap().1.lineage;
    [lineage.as_bytes().as_slice(), &1u64.to_le_bytes()].concat()
}

#[test]
fn after_a_clean_shutdown_damage_is_noticed_too() {
    let killed = Killed::new(1200, options());
    let clean = killed.dir.path().join("clean");
    disk::copy_dir(&killed.data(), &clean).unwrap();
    open(&clean, &killed.options).unwrap().log.close().unwrap();
    let length = file_of(&active(&clean)).metadata().unwrap().len() as usize;
    for part in 0..12 {
        let copy = killed.dir.path().join("copy");
        disk::remove_dir(&copy).unwrap();
        disk::copy_dir(&clean, &copy).unwrap();
        let at = length * part / 12 + 50;
        flip(&file_of(&active(&copy)), at);
        killed.check(&copy, &format!("byte {at} of {length}"));
    }
}

#[test]
fn who_accepts_a_loss_gets_all_before_the_damage_and_the_damaged_log_is_kept() {
    let killed = Killed::new(2500, small_segments());
    let names = segments(&killed.data());
    let middle = &names[names.len() / 2];
    let copy = killed.copy();
    let path = file_of(&copy.join("log").join(middle));
    let length = path.metadata().unwrap().len();
    assert!(length > 300_000);
    disk::open_file(&path).unwrap().set_len(150_000).unwrap();
    let damaged = contents(&copy.join("log"));
    assert!(!killed.check(&copy, "cut"));

    let options = Options { accept_data_loss: true, ..killed.options.clone() };
    let mut opened = open(&copy, &options).unwrap();
    let kept = opened.damaged_log.clone().unwrap();
    let moved: Vec<Vec<u8>> = contents(&kept).into_values().collect();
    assert!(moved == damaged.into_values().collect::<Vec<_>>(), "the damaged log is kept as it was");
    let left = everything(&opened);
    let first_lost: usize = middle.parse().unwrap();
    assert!(left.len() >= first_lost - 1 && left.len() < killed.written.len(), "{} are left", left.len());
    assert!(left == killed.written[..left.len()]);
    append(opened.log.as_mut(), records(left.len() as u64 + 1..=left.len() as u64 + 9));
    drop(opened);
    let opened = open(&copy, &options).unwrap();
    assert_eq!(opened.damaged_log, None, "the new log is sound");
    assert_eq!(everything(&opened).len(), left.len() + 9);
}

#[test]
fn accepting_a_loss_loses_nothing_when_all_pages_can_be_found() {
    let killed = Killed::new(2500, small_segments());
    for spoil in ["HEAD", "snap"] {
        let copy = killed.copy();
        if spoil == "HEAD" {
            std::fs::write(copy.join("log/HEAD"), b"").unwrap();
        } else {
            for name in disk::names_in(&active(&copy)).unwrap() {
                if name.starts_with("snap.") || name == "conf" {
                    std::fs::write(active(&copy).join(name), b"not what sled wrote here, at all").unwrap();
                }
            }
        }
        let opened = open(&copy, &Options { accept_data_loss: true, ..killed.options.clone() }).unwrap();
        assert!(opened.damaged_log.is_some(), "{spoil}");
        assert!(everything(&opened) == killed.written, "{spoil}");
    }
}
