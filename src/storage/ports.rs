//! The jobs' log lines and files as workers and readers ask for them: the ports of `sessions` on the stores here.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crate::domain::id::JobId;
use crate::domain::job::FileInfo;
use crate::domain::time::Timestamp;
use crate::sessions::line_news::LineWatch;
use crate::sessions::ports::{JobFiles as JobFilesPort, JobLogs as JobLogsPort, LogLine, LogStream};
use crate::sessions::reading::{JobFileStore, JobLogReader, KeptLine, NewJobFile};
use crate::sessions::traces::JobTraces;
use crate::storage::files::{JobFiles, NewFile};
use crate::storage::joblogs::{JobLogs, NewLine};

/// How many lines are read in one piece, so that long lines do not add up before they are counted.
const PIECE_LINES: usize = 64;

impl JobLogsPort for JobLogs {
    fn append(&self, job: JobId, at: Timestamp, lines: &[LogLine]) -> io::Result<()> {
        let lines: Vec<NewLine> = lines.iter().map(|line| new_line(at, line)).collect();
        let newest = JobLogs::append(self, job, &lines).map_err(io::Error::other)?;
        self.news.announce(job, newest);
        Ok(())
    }

    fn needs_sync(&self, job: JobId) -> bool {
        JobLogs::needs_sync(self, job)
    }

    fn sync(&self, job: JobId) -> io::Result<()> {
        self.sync_job(job).map_err(io::Error::other)
    }
}

impl JobLogReader for JobLogs {
    fn lines_after(&self, job: JobId, after: u64, lines_max: usize, bytes_max: usize) -> io::Result<Vec<KeptLine>> {
        let (mut lines, mut bytes): (Vec<KeptLine>, usize) = (Vec::new(), 0);
        while lines.len() < lines_max && bytes < bytes_max {
            let after = lines.last().map_or(after, |line| line.n);
            let piece = self.read(job, after, PIECE_LINES.min(lines_max - lines.len())).map_err(io::Error::other)?;
            if piece.is_empty() {
                break;
            }
            for line in piece.into_iter().take_while(|line| within(&mut bytes, line.text.len(), bytes_max)) {
                let stream = stream_of(&line.stream);
                lines.push(KeptLine { n: line.n, at: line.at, stream, text: line.text });
            }
        }
        Ok(lines)
    }

    fn newest_line(&self, job: JobId) -> io::Result<u64> {
        self.newest(job).map_err(io::Error::other)
    }

    fn watch(&self, job: JobId) -> LineWatch {
        self.news.watch(job)
    }
}

impl JobFilesPort for JobFiles {
    fn adopt(&self, job: JobId, name: &str, from: &Path) -> io::Result<FileInfo> {
        let size = self.take_over(job, name, from).map_err(io::Error::other)?;
        Ok(file_info(name, size))
    }
}

impl JobFileStore for JobFiles {
    fn open(&self, job: JobId, name: &str) -> io::Result<Option<File>> {
        self.read(job, name).map(|found| found.map(|(file, _)| file)).map_err(io::Error::other)
    }

    fn create(&self, job: JobId, name: &str) -> io::Result<Box<dyn NewJobFile>> {
        let file = JobFiles::create(self, job, name).map_err(io::Error::other)?;
        Ok(Box::new(Incoming { file, name: name.to_owned() }))
    }
}

impl JobTraces for JobLogs {
    fn forget(&self, job: JobId) -> io::Result<()> {
        self.remove(job).map_err(io::Error::other)
    }

    fn purge(&self, job: JobId) -> io::Result<()> {
        self.unlink(job).map_err(io::Error::other)
    }

    fn jobs(&self) -> io::Result<Vec<JobId>> {
        JobLogs::jobs(self)
    }
}

impl JobTraces for JobFiles {
    fn forget(&self, job: JobId) -> io::Result<()> {
        self.discard(job).map_err(io::Error::other)
    }

    fn purge(&self, job: JobId) -> io::Result<()> {
        self.remove(job).map_err(io::Error::other)
    }

    fn jobs(&self) -> io::Result<Vec<JobId>> {
        JobFiles::jobs(self)
    }
}

/// A file that comes in piece by piece.
struct Incoming {
    file: NewFile,
    name: String,
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewJobFile for Incoming {
    fn finish(self: Box<Self>) -> io::Result<FileInfo> {
        let size = self.file.finish().map_err(io::Error::other)?;
        Ok(file_info(&self.name, size))
    }
}

fn file_info(name: &str, size: u64) -> FileInfo {
    let media_type = mime_guess::from_path(name).first_or_octet_stream();
    FileInfo { name: name.into(), media_type: media_type.essence_str().into(), size }
}

/// Takes a length into account; says no when the bound was reached before it.
fn within(bytes: &mut usize, length: usize, bytes_max: usize) -> bool {
    let fits = *bytes < bytes_max;
    *bytes += length;
    fits
}

fn new_line(at: Timestamp, line: &LogLine) -> NewLine {
    let stream = match line.stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
        LogStream::System => "system",
    };
    NewLine { at, stream: stream.into(), text: line.text.clone() }
}

fn stream_of(stream: &Arc<str>) -> LogStream {
    match &**stream {
        "stderr" => LogStream::Stderr,
        "system" => LogStream::System,
        _ => LogStream::Stdout,
    }
}

impl JobFiles {
    /// Makes a file that was written elsewhere a job's own: moved where that is possible, copied where it is not.
    fn take_over(&self, job: JobId, name: &str, from: &Path) -> io::Result<u64> {
        let mut new = self.create(job, name).map_err(io::Error::other)?;
        if std::fs::rename(from, new.temporary()).is_ok() {
            new.moved_in()?;
        } else {
            io::copy(&mut File::open(from)?, &mut new)?;
            new.flush()?;
        }
        new.finish().map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Ordinal;

    fn job() -> JobId {
        JobId::new(at(), Ordinal(1), 1)
    }

    fn at() -> Timestamp {
        Timestamp::from_ms(1_790_000_000_000)
    }

    #[test]
    fn a_file_is_taken_over_with_its_size_and_the_type_of_its_name() {
        let data = tempfile::tempdir().unwrap();
        let files = JobFiles::open(data.path()).unwrap();
        let from = data.path().join("picture");
        std::fs::write(&from, b"a picture").unwrap();
        let info = files.adopt(job(), "frame.png", &from).unwrap();
        assert_eq!((&*info.media_type, info.size), ("image/png", 9));
        assert!(!from.exists());
        let kept = std::io::read_to_string(JobFileStore::open(&files, job(), "frame.png").unwrap().unwrap()).unwrap();
        assert_eq!(kept, "a picture");
    }

    #[test]
    fn what_a_job_left_is_listed_and_removed_and_what_is_not_there_is_no_error() {
        let data = tempfile::tempdir().unwrap();
        let files = JobFiles::open(data.path()).unwrap();
        let logs = JobLogs::open(data.path()).unwrap();
        let from = data.path().join("picture");
        std::fs::write(&from, b"a picture").unwrap();
        files.adopt(job(), "frame.png", &from).unwrap();
        JobLogsPort::append(&logs, job(), at(), &[LogLine::system("a line")]).unwrap();
        let sorts: [&dyn JobTraces; 2] = [&files, &logs];
        for sort in sorts {
            assert_eq!(sort.jobs().unwrap(), [job()]);
            sort.forget(job()).unwrap();
            sort.purge(job()).unwrap();
            assert_eq!(sort.jobs().unwrap(), []);
        }
        assert!(JobFileStore::open(&files, job(), "frame.png").unwrap().is_none());
        assert_eq!(logs.lines_after(job(), 0, 9, 9).unwrap().len(), 0);
    }

    #[test]
    fn lines_are_read_in_pieces_up_to_the_bounds_of_number_and_bytes() {
        let data = tempfile::tempdir().unwrap();
        let logs = JobLogs::open(data.path()).unwrap();
        let lines: Vec<LogLine> = (0..200).map(|n| LogLine::system(&format!("line {n}"))).collect();
        JobLogsPort::append(&logs, job(), at(), &lines).unwrap();
        let some = logs.lines_after(job(), 10, 150, 1 << 20).unwrap();
        assert_eq!((some.len(), some[0].n, some[149].n), (150, 11, 160));
        assert_eq!(some[0].stream, LogStream::System);
        assert_eq!(logs.lines_after(job(), 0, 150, 1).unwrap().len(), 1, "at least one, if there is one");
        assert_eq!(logs.lines_after(job(), 200, 150, 1 << 20).unwrap().len(), 0);
    }
}
