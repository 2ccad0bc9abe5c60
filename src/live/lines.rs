//! Follows the lines of a job: woken when lines were written, and reading at most now and then however many come. The one
//! follower of every transport. A job's lines can be read before its last event is durable: who has seen the end of the
//! job and reads once more has seen every line. Must never look at a log of which nothing was announced.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};

use crate::domain::id::JobId;
use crate::engine::{Condition, Handle};
use crate::feed::Page;
use crate::sessions::line_news::LineWatch;
use crate::sessions::reading::{JobLogReader, KeptLine};

/// After a read that came to the end the next one is at least so much later: a job that prints without end costs a few
/// reads a second, and not one a line.
const READ_EVERY: Duration = Duration::from_millis(50);

/// A place in the lines of a job, and whether there are more.
#[derive(Debug)]
pub struct LineFollower {
    job: JobId,
    /// The number of the last line that was read.
    after: u64,
    watch: LineWatch,
    /// Nothing is known yet of the lines before it was watched.
    is_new: bool,
    /// Up to this number nothing more is to be read.
    seen: u64,
    look_at: Instant,
}

impl LineFollower {
    /// Follows what comes after a line number.
    pub fn new(logs: &dyn JobLogReader, job: JobId, after: u64) -> LineFollower {
        LineFollower { job, after, watch: logs.watch(job), is_new: true, seen: 0, look_at: Instant::now() }
    }

    /// Whether there may be lines that were not read.
    pub fn may_have_more(&self) -> bool {
        self.is_new || self.watch.newest() > self.seen
    }

    /// Whether it is time to read.
    pub fn is_due(&self, now: Instant) -> bool {
        self.may_have_more() && now >= self.look_at
    }

    /// Waits until it is time to read. Dropping the future loses nothing.
    pub async fn due(&self) {
        if !self.is_new {
            self.watch.beyond(self.seen).await;
        }
        sleep_until(self.look_at).await;
    }

    /// Reads the next lines, at most so many; none if there are none now.
    pub fn read(&mut self, logs: &dyn JobLogReader, lines_max: usize, bytes_max: usize) -> io::Result<Vec<KeptLine>> {
        let announced = self.watch.newest();
        let lines = logs.lines_after(self.job, self.after, lines_max, bytes_max)?;
        self.note(announced, &lines);
        Ok(lines)
    }

    /// Notes what was read: `announced` was the newest line before.
    fn note(&mut self, announced: u64, lines: &[KeptLine]) {
        let last = lines.last().map(|line| line.n);
        self.after = last.unwrap_or(self.after);
        let is_at_end = last.is_none() || (announced > 0 && self.after >= announced);
        if is_at_end {
            self.is_new = false;
            self.seen = self.after.max(announced);
        }
        self.look_at = if is_at_end { Instant::now() + READ_EVERY } else { Instant::now() };
    }
}

/// What came of following a job's lines.
#[derive(Debug)]
pub enum Followed {
    Lines(Vec<KeptLine>),
    /// The job has ended or is gone, and these were all its lines.
    Ended,
    /// The server stops: there may be more.
    BrokenOff,
}

/// Follows the lines of a job to its end.
pub struct FollowerToTheEnd {
    lines: LineFollower,
    logs: Arc<dyn JobLogReader>,
    engine: Handle,
    pages: broadcast::Receiver<Arc<Page>>,
    condition: watch::Receiver<Condition>,
    /// Nothing is published any more.
    has_feed_ended: bool,
}

impl FollowerToTheEnd {
    /// Follows what comes after a line number.
    pub fn new(engine: &Handle, logs: &Arc<dyn JobLogReader>, job: JobId, after: u64) -> FollowerToTheEnd {
        FollowerToTheEnd {
            lines: LineFollower::new(&**logs, job, after),
            logs: logs.clone(),
            pages: engine.feed().subscribe(),
            condition: engine.condition(),
            engine: engine.clone(),
            has_feed_ended: false,
        }
    }

    /// The next lines, at most so many, or the end.
    ///
    /// # Errors
    /// The lines could not be read.
    pub async fn next(&mut self, lines_max: usize, bytes_max: usize) -> io::Result<Followed> {
        loop {
            // Looked at before the lines are: what is read after the end is all there will be.
            let has_ended = self.has_ended();
            let breaks_off = self.has_feed_ended || matches!(*self.condition.borrow(), Condition::Stopping);
            if self.lines.may_have_more() {
                if !has_ended && !breaks_off {
                    sleep_until(self.lines.look_at).await;
                }
                let lines = self.read(lines_max, bytes_max).await?;
                if !lines.is_empty() {
                    return Ok(Followed::Lines(lines));
                }
            } else if has_ended {
                return Ok(Followed::Ended);
            } else if breaks_off {
                return Ok(Followed::BrokenOff);
            } else {
                self.wait().await;
            }
        }
    }

    async fn read(&mut self, lines_max: usize, bytes_max: usize) -> io::Result<Vec<KeptLine>> {
        let (logs, job, after) = (self.logs.clone(), self.lines.job, self.lines.after);
        let announced = self.lines.watch.newest();
        let read = tokio::task::spawn_blocking(move || logs.lines_after(job, after, lines_max, bytes_max)).await;
        let lines = read.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        self.lines.note(announced, &lines);
        Ok(lines)
    }

    /// Whether no more lines will come.
    fn has_ended(&self) -> bool {
        let job = self.engine.views().job(self.lines.job);
        job.is_ok_and(|job| job.is_none_or(|job| job.is_terminal()))
    }

    /// Waits for lines, for something that happens to the job, and for the server to stop.
    async fn wait(&mut self) {
        tokio::select! {
            () = self.lines.due() => {}
            has_ended = something_happens(&mut self.pages, self.lines.job) => self.has_feed_ended = has_ended,
            changed = self.condition.changed() => self.has_feed_ended = changed.is_err(),
        }
    }
}

/// Waits until a page is about a job, or may have been. Says whether there will be no more pages.
async fn something_happens(pages: &mut broadcast::Receiver<Arc<Page>>, job: JobId) -> bool {
    loop {
        match pages.recv().await {
            Ok(page) if page.jobs.iter().any(|changed| changed.id == job) => return false,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return false,
            Err(broadcast::error::RecvError::Closed) => return true,
        }
    }
}
