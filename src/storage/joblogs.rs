//! The log lines of jobs: one append-only file a job, outside of the event log. Lines are written at once and synced
//! when the caller says so: every second, and before a job's last event.
//!
//! ```text
//!   frame: length u32 │ crc32 u32 │ at i64 │ length of the stream's name u8 │ name │ text …
//! ```
//!
//! The number of a line is its place. What a power cut left of the last lines is cut off when the file is opened; a
//! line that was damaged in the middle keeps its number and says so. If even its length is damaged, the next sound frame
//! is looked for, and what lies between counts as one line.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::id::JobId;
use crate::domain::time::Timestamp;
use crate::sessions::line_news::LineNews;
use crate::storage::disk;
use crate::storage::logfile::LogFile;

/// How many files are open at once.
pub const OPEN_MAX: usize = 64;

/// The longest text of a line, in bytes. Callers cut and mark what is longer.
pub const LINE_BYTES_MAX: usize = 128 * 1024;

/// The most bytes of one job's log. Then a last line says so, and what comes later is dropped.
pub const JOB_LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A line that is not yet in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLine {
    pub at: Timestamp,
    /// Where it came from: `stdout`, `stderr`, or what the worker calls it; at most 255 bytes.
    pub stream: Arc<str>,
    pub text: Arc<str>,
}

/// A line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Its number, from 1.
    pub n: u64,
    pub at: Timestamp,
    pub stream: Arc<str>,
    pub text: Arc<str>,
}

/// Why log lines could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("could not {step} the log of job {job}")]
pub struct JobLogError {
    pub step: &'static str,
    pub job: JobId,
    pub source: io::Error,
}

/// The logs of all jobs in a data directory.
#[derive(Debug)]
pub struct JobLogs {
    dir: PathBuf,
    open: Mutex<Open>,
    /// Told of new lines by who adds them through the port.
    pub(super) news: LineNews,
}

#[derive(Debug, Default)]
struct Open {
    files: BTreeMap<JobId, Arc<Mutex<LogFile>>>,
    last_uses: BTreeMap<JobId, u64>,
    uses: u64,
}

impl JobLogs {
    /// The logs below `data/logs`.
    pub fn open(data: &Path) -> io::Result<JobLogs> {
        let dir = data.join("logs");
        disk::create_dir(&dir)?;
        Ok(JobLogs { dir, open: Mutex::default(), news: LineNews::default() })
    }

    /// Appends lines and gives the number of the last line of the log. They are durable after the next sync only.
    pub fn append(&self, job: JobId, lines: &[NewLine]) -> Result<u64, JobLogError> {
        let file = self.file(job)?;
        let last = file.lock().append(lines).map_err(failed("write to", job))?;
        Ok(last)
    }

    /// The lines after number `after`, at most `limit`; none if the job has no log.
    pub fn read(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LogLine>, JobLogError> {
        if !self.is_open(job) && !self.path(job).exists() {
            return Ok(Vec::new());
        }
        let file = self.file(job)?;
        let lines = file.lock().read(after, limit).map_err(failed("read", job))?;
        Ok(lines)
    }

    /// The number of the last line; 0 if the job has no log.
    pub fn newest(&self, job: JobId) -> Result<u64, JobLogError> {
        if !self.is_open(job) && !self.path(job).exists() {
            return Ok(0);
        }
        let newest = self.file(job)?.lock().newest();
        Ok(newest)
    }

    /// Makes everything durable that was appended to any log.
    pub fn sync(&self) -> Result<(), JobLogError> {
        let files: Vec<_> = self.open.lock().files.iter().map(|(job, file)| (*job, file.clone())).collect();
        files.into_iter().try_for_each(|(job, file)| file.lock().sync().map_err(failed("sync", job)))
    }

    /// Whether lines of a job wait for a sync. A log that is being written at this moment counts.
    pub fn needs_sync(&self, job: JobId) -> bool {
        let open = self.open.lock();
        open.files.get(&job).is_some_and(|file| file.try_lock().is_none_or(|file| file.needs_sync()))
    }

    /// Makes everything durable that was appended to a job's log.
    pub fn sync_job(&self, job: JobId) -> Result<(), JobLogError> {
        let file = self.open.lock().files.get(&job).cloned();
        file.map_or(Ok(()), |file| file.lock().sync().map_err(failed("sync", job)))
    }

    /// Removes a job's log; a power cut may bring it back.
    pub fn remove(&self, job: JobId) -> Result<(), JobLogError> {
        let mut open = self.open.lock();
        open.files.remove(&job);
        open.last_uses.remove(&job);
        // Not before the file is gone may anybody open it again.
        disk::remove_file(&self.path(job)).map_err(failed("remove", job))
    }

    /// Removes a job's log; a power cut does not bring it back.
    pub fn unlink(&self, job: JobId) -> Result<(), JobLogError> {
        self.remove(job)?;
        let path = self.path(job);
        let exists = path.parent().is_some_and(Path::is_dir);
        let synced = if exists { disk::sync_parent(&path) } else { Ok(()) };
        synced.map_err(failed("remove", job))
    }

    /// The jobs that have a log.
    pub fn jobs(&self) -> io::Result<Vec<JobId>> {
        let mut jobs = Vec::new();
        for shard in disk::names_in(&self.dir)? {
            let shard = self.dir.join(shard);
            if shard.is_dir() {
                jobs.extend(disk::names_in(&shard)?.iter().filter_map(|name| name.parse::<JobId>().ok()));
            }
        }
        Ok(jobs)
    }

    fn is_open(&self, job: JobId) -> bool {
        self.open.lock().files.contains_key(&job)
    }

    fn file(&self, job: JobId) -> Result<Arc<Mutex<LogFile>>, JobLogError> {
        let mut open = self.open.lock();
        if !open.files.contains_key(&job) {
            if open.files.len() >= OPEN_MAX {
                open.close_oldest()?;
            }
            let file = LogFile::open(&self.path(job)).map_err(failed("open", job))?;
            if file.cut_bytes() > 0 {
                tracing::warn!(%job, bytes = file.cut_bytes(), "the torn end of the job's log lines was cut off");
            }
            open.files.insert(job, Arc::new(Mutex::new(file)));
        }
        // Only of a log that is open: nobody would take the note of another one away.
        open.uses += 1;
        let now = open.uses;
        open.last_uses.insert(job, now);
        Ok(open.files[&job].clone())
    }

    fn path(&self, job: JobId) -> PathBuf {
        let name = job.to_string();
        self.dir.join(shard_of(&name)).join(name)
    }
}

/// The directory of the log with this name: each holds a 256th of them, for they may be many.
pub fn shard_of(name: &str) -> &str {
    name.get(name.len().saturating_sub(2)..).unwrap_or_default()
}

impl Open {
    fn close_oldest(&mut self) -> Result<(), JobLogError> {
        let used = |job: &JobId| self.last_uses.get(job).copied().unwrap_or_default();
        let Some(oldest) = self.files.keys().copied().min_by_key(used) else { return Ok(()) };
        if let Some(file) = self.files.remove(&oldest) {
            self.last_uses.remove(&oldest);
            file.lock().sync().map_err(failed("sync", oldest))?;
        }
        Ok(())
    }
}

fn failed(step: &'static str, job: JobId) -> impl FnOnce(io::Error) -> JobLogError {
    move |source| JobLogError { step, job, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Ordinal;

    fn job(number: u64) -> JobId {
        JobId::new(Timestamp::from_ms(1_790_000_000_000), Ordinal(number), number)
    }

    fn line(text: &str) -> NewLine {
        NewLine { at: Timestamp::from_ms(7), stream: "stderr".into(), text: text.into() }
    }

    fn texts(logs: &JobLogs, job: JobId, after: u64) -> Vec<(u64, String)> {
        let lines = logs.read(job, after, 10_000).unwrap();
        lines.into_iter().map(|line| (line.n, line.text.to_string())).collect()
    }

    #[test]
    fn lines_are_numbered_from_1_and_read_after_a_number() {
        let dir = tempfile::tempdir().unwrap();
        let logs = JobLogs::open(dir.path()).unwrap();
        assert!(texts(&logs, job(1), 0).is_empty());
        assert_eq!(logs.append(job(1), &[line("one"), line("größer")]).unwrap(), 2);
        assert_eq!(logs.append(job(1), &[line("")]).unwrap(), 3);
        assert_eq!(texts(&logs, job(1), 1), [(2, "größer".into()), (3, String::new())]);
        let first = logs.read(job(1), 0, 1).unwrap();
        let expected = LogLine { n: 1, at: Timestamp::from_ms(7), stream: "stderr".into(), text: "one".into() };
        assert_eq!(first, [expected]);
        assert!(texts(&logs, job(1), 3).is_empty());
    }

    #[test]
    fn the_lines_of_many_jobs_are_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let logs = JobLogs::open(dir.path()).unwrap();
        let jobs = OPEN_MAX as u64 + 10;
        for round in 0..3 {
            for number in 0..jobs {
                let text = format!("{number} {round}");
                assert_eq!(logs.append(job(number), &[line(&text)]).unwrap(), round + 1);
            }
        }
        assert!(logs.open.lock().files.len() <= OPEN_MAX);
        logs.sync().unwrap();
        let logs = JobLogs::open(dir.path()).unwrap();
        for number in 0..jobs {
            assert_eq!(texts(&logs, job(number), 2), [(3, format!("{number} 2"))]);
        }
    }

    #[test]
    fn a_long_log_is_read_from_the_middle() {
        let dir = tempfile::tempdir().unwrap();
        let logs = JobLogs::open(dir.path()).unwrap();
        let lines: Vec<NewLine> = (1..=5000).map(|number| line(&format!("line {number}"))).collect();
        logs.append(job(1), &lines).unwrap();
        for logs in [logs, JobLogs::open(dir.path()).unwrap()] {
            for after in [0, 1, 255, 256, 4000, 4999] {
                assert_eq!(logs.read(job(1), after, 1).unwrap()[0].n, after + 1);
            }
            assert_eq!(texts(&logs, job(1), 4998), [(4999, "line 4999".into()), (5000, "line 5000".into())]);
        }
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_the_next_line_takes_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let logs = JobLogs::open(dir.path()).unwrap();
        logs.append(job(1), &[line("first"), line("second")]).unwrap();
        let whole = std::fs::read(logs.path(job(1))).unwrap();
        for length in whole.len() / 2 + 1..whole.len() {
            std::fs::write(logs.path(job(1)), &whole[..length]).unwrap();
            let logs = JobLogs::open(dir.path()).unwrap();
            assert_eq!(texts(&logs, job(1), 0), [(1, "first".into())], "cut to {length}");
            assert_eq!(logs.append(job(1), &[line("again")]).unwrap(), 2);
            assert_eq!(texts(&logs, job(1), 1), [(2, "again".into())]);
        }
    }

    #[test]
    fn a_line_that_was_damaged_in_the_middle_keeps_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let logs = JobLogs::open(dir.path()).unwrap();
        logs.append(job(1), &[line("first"), line("second"), line("third")]).unwrap();
        let path = logs.path(job(1));
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(6).position(|window| window == b"second").unwrap();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let lines = texts(&JobLogs::open(dir.path()).unwrap(), job(1), 0);
        assert_eq!(lines[2], (3, "third".into()));
        assert!(lines[1].1.contains("damaged"), "{lines:?}");
    }

    #[test]
    fn a_damaged_length_costs_its_own_line_and_none_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let logs = JobLogs::open(dir.path()).unwrap();
        let lines: Vec<NewLine> = (1..=600).map(|number| line(&format!("line {number}"))).collect();
        logs.append(job(1), &lines).unwrap();
        let path = logs.path(job(1));
        let whole = std::fs::read(&path).unwrap();
        let second = 8 + u32::from_le_bytes(whole[..4].try_into().unwrap()) as usize;
        for at in second..second + 8 {
            for bit in [0, 3, 7] {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                std::fs::write(&path, &bytes).unwrap();
                let examined = crate::storage::logfile::examine(&path).unwrap();
                assert_eq!((examined.damaged, examined.torn_at), (vec![2], None), "bit {bit} of byte {at}");
                let logs = JobLogs::open(dir.path()).unwrap();
                assert_eq!(texts(&logs, job(1), 599), [(600, "line 600".into())], "bit {bit} of byte {at}");
                assert_eq!(texts(&logs, job(1), 2)[0], (3, "line 3".into()));
                assert!(texts(&logs, job(1), 1)[0].1.contains("damaged"));
                assert_eq!(logs.append(job(1), &[line("more")]).unwrap(), 601);
            }
        }
    }

    #[test]
    fn a_look_at_a_torn_log_says_where_and_leaves_it_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let logs = JobLogs::open(dir.path()).unwrap();
        logs.append(job(1), &[line("first"), line("second")]).unwrap();
        let path = logs.path(job(1));
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(crate::storage::logfile::examine(&path).unwrap().torn_at, None);
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let examined = crate::storage::logfile::examine(&path).unwrap();
        let first = 8 + u64::from(u32::from_le_bytes(whole[..4].try_into().unwrap()));
        assert_eq!((examined.damaged, examined.torn_at), (vec![], Some(first)));
        assert_eq!(std::fs::read(&path).unwrap().len(), whole.len() - 3);
    }

    #[test]
    fn a_log_that_was_unlinked_begins_again() {
        let dir = tempfile::tempdir().unwrap();
        let logs = JobLogs::open(dir.path()).unwrap();
        logs.append(job(1), &[line("old")]).unwrap();
        logs.unlink(job(1)).unwrap();
        logs.unlink(job(1)).unwrap();
        assert!(texts(&logs, job(1), 0).is_empty());
        assert_eq!(logs.append(job(1), &[line("new")]).unwrap(), 1);
    }

    #[test]
    fn a_log_that_does_not_open_leaves_nothing_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let logs = JobLogs::open(dir.path()).unwrap();
        std::fs::create_dir_all(logs.path(job(1))).unwrap();
        assert!(logs.append(job(1), &[line("nowhere to go")]).is_err());
        let open = logs.open.lock();
        assert!(open.files.is_empty() && open.last_uses.is_empty());
    }

    #[test]
    fn a_log_that_is_full_says_so_once_and_takes_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let logs = JobLogs::open(dir.path()).unwrap();
        let big = line(&"x".repeat(LINE_BYTES_MAX));
        let lines = vec![big; (JOB_LOG_BYTES_MAX / LINE_BYTES_MAX as u64) as usize + 3];
        let last = logs.append(job(1), &lines).unwrap();
        assert_eq!(logs.append(job(1), &[line("late")]).unwrap(), last);
        let text = texts(&logs, job(1), last - 1).remove(0).1;
        assert!(text.contains("full"), "{text}");
    }
}
