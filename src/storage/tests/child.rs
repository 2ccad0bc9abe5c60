//! A process of its own that appends to a log until it is killed, and says what was committed. It is this test
//! program again, asked for one test only.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::base::NewBase;
use crate::log::conformance::{read_all, record};
use crate::storage::tests::options;
use crate::storage::{Opened, Options, open};

const DIRECTORY: &str = "DAYBOOK_TEST_LOG";

/// One record in so many is carried when its segment is dropped.
const CARRIED: u64 = 50;

/// How many records a group has.
const GROUP: u64 = 5;

/// Small segments, so that a run meets rolls and seals.
pub fn child_options() -> Options {
    Options { segment_bytes: 3 * 1024 * 1024, ..options() }
}

/// The record with this number: every run writes the same.
fn expected(seq: u64) -> Record {
    let bytes = if seq.is_multiple_of(301) { 30_000 } else { 50 + (seq as usize * 131) % 600 };
    record(seq, bytes, !seq.is_multiple_of(GROUP))
}

/// Checks that a log has what was committed, and nothing but whole groups behind it; and of what was dropped, all that
/// is carried. Gives its last seq.
pub fn check(opened: &Opened, committed: u64, what: &str) -> u64 {
    let reader = opened.log.reader();
    let dropped = reader.earliest().0 - 1;
    let all = read_all(reader.as_ref(), Seq(dropped));
    let last = dropped + all.len() as u64;
    assert!(last >= committed, "{what}: {committed} were committed and {last} are there");
    assert_eq!(last % GROUP, 0, "{what}: only whole groups");
    assert!(
        all.iter().zip(dropped + 1..).all(|(record, seq)| *record == expected(seq)),
        "{what}: as they were written"
    );
    for seq in (CARRIED..=dropped).step_by(CARRIED as usize) {
        assert!(reader.carried(Seq(seq)).unwrap() == expected(seq), "{what}: event {seq} is carried");
    }
    last
}

/// A child at work.
pub struct Writer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub committed: u64,
}

impl Writer {
    /// Starts a child on the log in a data directory.
    pub fn start(data: &Path) -> Writer {
        Writer::with(data, "append_until_killed")
    }

    /// Starts one that also drops segments as soon as they are full.
    pub fn start_trimming(data: &Path) -> Writer {
        Writer::with(data, "append_and_trim_until_killed")
    }

    fn with(data: &Path, work: &str) -> Writer {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("storage::tests::child::{work}"), "--ignored", "--nocapture"])
            .env(DIRECTORY, data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Writer { child, lines, committed: 0 }
    }

    /// Waits until a number of commits were answered.
    pub fn wait_for(&mut self, commits: usize) {
        for _ in 0..commits {
            assert!(self.next_commit(), "the child works until it is killed");
        }
    }

    /// Stops the child in the middle of whatever it does.
    pub fn freeze(&self) {
        kill(self.pid(), Signal::SIGSTOP).unwrap();
    }

    /// Kills the child, and gives the last seq that it had been answered for.
    pub fn kill(mut self) -> u64 {
        kill(self.pid(), Signal::SIGKILL).unwrap();
        self.child.wait().unwrap();
        while self.next_commit() {}
        self.committed
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    fn next_commit(&mut self) -> bool {
        for line in self.lines.by_ref() {
            // The last line may be torn.
            let whole = line.unwrap();
            if let Some(seq) = whole.strip_prefix("committed ").and_then(|rest| rest.strip_suffix('.')) {
                self.committed = seq.parse().unwrap();
                return true;
            }
        }
        false
    }
}

#[test]
#[ignore = "only as a child of other tests"]
fn append_until_killed() {
    let Some(data) = std::env::var_os(DIRECTORY) else { return };
    append(open(Path::new(&data), &child_options()).unwrap(), || ());
}

#[test]
#[ignore = "only as a child of other tests"]
fn append_and_trim_until_killed() {
    let Some(data) = std::env::var_os(DIRECTORY) else { return };
    let opened = open(Path::new(&data), &child_options()).unwrap();
    let trimmer = opened.log.trimmer();
    let (look, looks) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for () in looks {
            let Some(last) = trimmer.extent().unwrap().full.last().map(|segment| segment.last) else { continue };
            let carried = (CARRIED..=last.0).step_by(CARRIED as usize).collect();
            let state = &mut |out: &mut dyn Write| out.write_all(&[7; 100_000]);
            let jobs = &mut |out: &mut dyn Write| out.write_all(b"jobs");
            trimmer.trim(NewBase { earliest: last.next(), carried: &carried, state, jobs }).unwrap();
        }
    });
    append(opened, || {
        // One look at a time is enough.
        let _ = look.try_send(());
    });
}

fn append(opened: Opened, committed: impl Fn()) {
    let mut log = opened.log;
    let mut next = log.last().0 + 1;
    let mut out = std::io::stdout();
    writeln!(out).unwrap();
    loop {
        let groups = [1, 1, 1, 4, 13, 60, 200][next as usize / 7 % 7];
        let batch: Arc<[Record]> = (next..next + groups * GROUP).map(expected).collect();
        next += batch.len() as u64;
        log.submit(batch).unwrap();
        let last = log.committed().unwrap();
        writeln!(out, "committed {last}.").unwrap();
        committed();
    }
}
