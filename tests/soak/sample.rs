//! What a server takes at a moment of a soak, part by part, and what it may take.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::support::server::Server;
use crate::{MIB, STEPS, Settings, known};

/// The parts of a data directory; the log is without what lies below it under other names.
const PARTS: [(&str, &str); 7] = [
    ("segments", "log"),
    ("base", "log/base"),
    ("carried", "log/carried"),
    ("views", "views"),
    ("snapshots", "snapshots"),
    ("lines", "logs"),
    ("files", "files"),
];

/// One measurement.
pub struct Sample {
    done: usize,
    jobs_a_second: f64,
    memory: u64,
    /// As in [`PARTS`].
    disk: [u64; PARTS.len()],
    all: u64,
    known: u64,
    earliest: u64,
    files_open: usize,
    threads: usize,
    p99: Duration,
}

impl Sample {
    /// Measures now. `submits` are the times of the submits since the sample before.
    pub fn of(server: &Server, data: &Path, done: usize, took: Duration, mut submits: Vec<Duration>) -> Sample {
        let process =
            |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", server.process())).expect("it runs").count();
        submits.sort();
        let mut disk = PARTS.map(|(_, path)| bytes_below(&data.join(path)));
        disk[0] -= disk[1] + disk[2];
        Sample {
            done,
            jobs_a_second: (submits.len() * 100) as f64 / took.as_secs_f64(),
            memory: server.memory("VmRSS"),
            disk,
            all: bytes_below(data),
            known: known(&server.read("/api/stats")),
            earliest: server.metric("daybook_earliest_seq") as u64,
            files_open: process("fd"),
            threads: process("task"),
            p99: submits[(submits.len() - 1) * 99 / 100],
        }
    }

    fn line(&self) -> String {
        let mb = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
        let disk: String = self.disk.iter().map(|&bytes| format!(" | {}", mb(bytes))).collect();
        format!(
            "| {} | {}{disk} | {} | {} | {} | {} | {} | {:.0}/s | {:.1?} |",
            self.done,
            mb(self.memory),
            mb(self.all),
            self.known,
            self.earliest,
            self.files_open,
            self.threads,
            self.jobs_a_second,
            self.p99
        )
    }
}

/// What files below a directory take on disk. Some may go meanwhile.
fn bytes_below(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(it) if it.is_dir() => it.blocks() * 512 + bytes_below(&entry.path()),
        Ok(it) => it.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

/// All measurements of a run.
pub struct Series {
    samples: Vec<Sample>,
    /// What the starts after kills took of the processor.
    pub starts: Vec<Duration>,
}

impl Series {
    pub fn new() -> Series {
        let parts: String = PARTS.iter().map(|(name, _)| format!(" {name} |")).collect();
        println!("| jobs | RSS |{parts} all | known | earliest | fds | threads | jobs | p99 |");
        Series { samples: Vec::new(), starts: Vec::new() }
    }

    pub fn add(&mut self, sample: Sample) {
        println!("{}", sample.line());
        self.samples.push(sample);
    }

    /// Holds the second half against the settings and against the first half.
    pub fn check(&self, settings: &Settings) {
        let (first, second) = self.samples.split_at(STEPS / 2);
        let most = |samples: &[Sample], of: &dyn Fn(&Sample) -> u64| samples.iter().map(of).max().expect("some");
        let mut broken = Vec::new();
        let mut hold = |what: &str, value: u64, bound: u64| {
            if value > bound {
                broken.push(format!("{what}: {value}, and at most {bound} are to be expected"));
            }
        };
        for (number, bound) in disk_bounds(settings).into_iter().enumerate() {
            hold(PARTS[number].0, most(&self.samples, &|it| it.disk[number]), bound);
        }
        hold("known finished jobs", most(&self.samples, &|it| it.known), settings.known_max());
        // Where memory is returned to the system depends on the allocator: a fourth more, and some.
        let memory = most(first, &|it| it.memory);
        hold("memory in the second half", most(second, &|it| it.memory), memory + memory / 4 + 16 * MIB);
        hold("open files", most(second, &|it| it.files_open as u64), most(first, &|it| it.files_open as u64) + 16);
        // The pool for calls that block grows with what happens at once, and every start has its own.
        hold("threads", most(second, &|it| it.threads as u64), most(first, &|it| it.threads as u64) + 32);
        let [middle, end] = self.starts[..] else { panic!("it was killed twice") };
        hold("ms of the processor for the last start", end.as_millis() as u64, 2 * middle.as_millis() as u64 + 500);
        assert!(broken.is_empty(), "{broken:#?}");
        let moved = second.windows(2).filter(|two| two[0].earliest < two[1].earliest).count();
        assert!(moved >= 2, "the log was dropped {moved} times in the second half");
    }
}

/// What each part may take.
fn disk_bounds(settings: &Settings) -> [u64; PARTS.len()] {
    let known = settings.known_max();
    [
        // One segment takes events, and one may have become full since the last look.
        settings.log_bytes + 3 * settings.segment_bytes,
        // 1 KB a job, of those that were known at that moment; and once more while a new one is written.
        2 * 2 * known * 1024 + MIB,
        // What kept jobs carry; as much may be dead.
        2 * known * 1024 + MIB,
        // Copied when three of four bytes are dead and it is worth it.
        (64 * MIB).max(4 * known * 1024) + known * 1024 + 16 * MIB,
        // The two newest, and one that is being written.
        3 * 2 * known * 1024 + MIB,
        // A block for every twentieth job, and directories.
        known / 20 * 2 * 4096 + 2 * MIB,
        known / 500 * 4 * 4096 + 2 * MIB,
    ]
}
