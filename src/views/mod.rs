//! Answers questions about what is durable: one job, lists of jobs, trees, queues, workers, counts.
//!
//! Active jobs are read from memory; finished ones from a [`FinishedStore`], to which they go about once, when they
//! end, in batches behind the log. A reader never blocks the writer for longer than one bounded slice of work. Views
//! are disposable (V1): what is lost is built again from the log. Only `apply` writes here, with pages that are durable.

mod block;
#[cfg(test)]
pub mod conformance;
mod counts;
mod finished;
pub mod flusher;
#[cfg(test)]
mod forgetting;
pub mod history;
mod index;
mod pending;
pub mod performance;
mod present;
pub mod query;
mod rates;
pub mod row;
mod schedules;
pub(crate) mod search;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod timeline;
mod walk;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::watch;

use crate::domain::event::{Event, WorkerJoined};
use crate::domain::id::{FinishOrdinal, JobId, Ordinal, QueueName, Seq, SessionId, TokenHash};
use crate::domain::job::{Job, Progress};
use crate::domain::queue::{Limits, Queue};
use crate::domain::schedule::Schedules;
use crate::domain::state::{State, Stub};
use crate::domain::time::Timestamp;
use crate::feed::Page;
use crate::log::LogReader;
use crate::log::redact::{Purged, Redacting};
use crate::views::block::Slot;
use crate::views::counts::Beat;
use crate::views::history::{Earlier, History, Since};
use crate::views::index::Index;
use crate::views::performance::{HistoryBucket, Span};
use crate::views::query::{JobPage, JobQuery, LIMIT_MAX};
use crate::views::row::JobRow;
use crate::views::timeline::Histogram;
use crate::views::walk::{Found, Place, Walk};

pub use crate::views::finished::{FinishedStore, Head, MemoryFinished, ViewError, finish_ordinal};
pub use crate::views::pending::{PENDING_ITEMS_MAX, PENDING_JOBS_MAX};

/// All views, and the seq at which they stand.
pub struct Views {
    index: RwLock<Index>,
    finished: Arc<dyn FinishedStore>,
    /// The log as answers may show it.
    log: Arc<dyn LogReader>,
    purged: Arc<Purged>,
    limits: RwLock<Limits>,
    /// The latest progress of running jobs, with the token of the run that told it.
    overlay: Mutex<HashMap<JobId, (TokenHash, Arc<Progress>)>>,
    beats: Mutex<HashMap<SessionId, Beat>>,
    history: Mutex<History>,
    /// The seq of the last event about a schedule that is shown.
    schedules_changed: watch::Sender<Seq>,
    /// Held while finished jobs are stored: one at a time.
    storing: Mutex<()>,
    due: (Mutex<bool>, Condvar),
}

/// What a recovered state tells the views. Jobs and stubs may come in any order; that of submission is the fastest.
pub struct Parts<'a> {
    pub seq: Seq,
    pub jobs: Box<dyn Iterator<Item = &'a Arc<Job>> + 'a>,
    pub stubs: Box<dyn Iterator<Item = &'a Arc<Stub>> + 'a>,
    pub queues: Box<dyn Iterator<Item = (&'a QueueName, &'a Queue)> + 'a>,
    pub workers: Box<dyn Iterator<Item = (&'a WorkerJoined, Timestamp)> + 'a>,
    pub schedules: Schedules,
    /// The highest number that a job ever had.
    pub newest: Ordinal,
}

impl<'a> Parts<'a> {
    /// What a state tells.
    pub fn of(state: &'a State) -> Parts<'a> {
        Parts {
            seq: state.seq(),
            jobs: Box::new(state.jobs()),
            stubs: Box::new(state.stubs()),
            queues: Box::new(state.queues()),
            workers: Box::new(state.workers().map(|(_, worker)| (&worker.joined, worker.joined_at))),
            schedules: state.schedules().clone(),
            newest: state.last_ordinal(),
        }
    }
}

impl Views {
    /// Builds the views of a recovered state. The store must hold every finished job of it: what the store lacked,
    /// recovery has put there, by folding the log from the store's position.
    pub fn from_parts(parts: Parts<'_>, finished: Arc<dyn FinishedStore>, log: Arc<dyn LogReader>) -> Views {
        let missing_until = Some(parts.seq).filter(|seq| *seq > Seq::ZERO);
        let index = Index::of(parts);
        let purged = Arc::new(Purged::default());
        index.purged.keys().for_each(|&job| purged.insert(job));
        Views {
            index: RwLock::new(index),
            finished,
            log: Arc::new(Redacting::new(log, purged.clone())),
            purged,
            limits: RwLock::default(),
            overlay: Mutex::default(),
            beats: Mutex::default(),
            history: Mutex::new(History::new(missing_until)),
            schedules_changed: watch::Sender::new(Seq::ZERO),
            storing: Mutex::default(),
            due: Default::default(),
        }
    }

    /// Shows a durable page. The only writer is the engine, in order.
    ///
    /// When [`PENDING_JOBS_MAX`] finished jobs wait to be stored, it stores them before it returns. An error says that
    /// they could not be stored; the page is shown nevertheless, and later pages would be too, at the price of
    /// memory without a bound: the engine must halt.
    pub fn apply(&self, page: &Page) -> Result<(), ViewError> {
        self.hide_payloads(page);
        self.note_history(page);
        let mut index = self.index.write();
        index.apply(page);
        let (is_full, is_due) = (index.pending.is_full(), index.pending.is_due());
        drop(index);
        self.tell_of_schedules(page);
        self.forget_overlays(page);
        if is_full {
            return self.flush();
        }
        if is_due {
            self.wake_flusher();
        }
        Ok(())
    }

    /// The log as answers may show it: of purged jobs without what they carried.
    pub fn log(&self) -> &Arc<dyn LogReader> {
        &self.log
    }

    /// Whether what a job leaves on the disk is to stay. It is to go when the job was purged, or is not known and was
    /// known once. A job that is newer than all known ones may be one that the log has lost: it stays.
    pub fn keeps_traces_of(&self, job: JobId) -> bool {
        let index = self.index.read();
        let is_forgotten = matches!(index.slot(job), Slot::Empty) && job.ordinal() <= index.newest;
        !is_forgotten && !index.purged.contains_key(&job)
    }

    /// When a job was purged, if it was.
    pub fn purged_at(&self, job: JobId) -> Option<Timestamp> {
        self.index.read().purged.get(&job).copied()
    }

    /// How many of the known jobs were purged, and when the last of them was: it differs when one more was.
    pub fn purges(&self) -> (usize, Option<Timestamp>) {
        let index = self.index.read();
        (index.purged.len(), index.purged.values().max().copied())
    }

    /// The seq up to which the views show everything.
    pub fn position(&self) -> Seq {
        self.index.read().seq
    }

    /// How many events of each type happened when, in at most `count` equal parts; the first event that is in the log;
    /// and whether that is all of it: after a start, and when events were dropped, what is missing is read from the log.
    pub fn histogram(&self, count: usize) -> (Histogram, Seq, bool) {
        let mut history = self.history.lock();
        let earliest = self.log.earliest();
        history.forget_before(earliest);
        (history.histogram(count), earliest, history.missing_until().is_none())
    }

    /// What was done in a span that ends `now`, and how long it took; and whether that is all of it, as above.
    pub fn performance(&self, span: Span, now: Timestamp) -> (Vec<HistoryBucket>, bool) {
        let mut history = self.history.lock();
        history.forget_before(self.log.earliest());
        (history.buckets(span, now), history.knows_how_long())
    }

    /// Up to where the log has still to be read for what happened before the start.
    pub fn history_missing_until(&self) -> Option<Seq> {
        let mut history = self.history.lock();
        history.forget_before(self.log.earliest());
        history.missing_until()
    }

    /// Takes in what the log has up to `until`, if just that is what is missing. Events may have been dropped meanwhile:
    /// whether something is missing now has to be asked again.
    pub fn recall(&self, until: Seq, earlier: Earlier) {
        self.history.lock().recall(until, earlier);
    }

    /// One job, as of its last durable event, without the live overlay.
    pub fn job(&self, id: JobId) -> Result<Option<Arc<Job>>, ViewError> {
        let job = loop {
            let found = self.index.read().find(id.ordinal());
            match found.map(|found| found.place) {
                None => break None,
                Some(Place::Here(job)) => break Some(job),
                Some(Place::Stored(place)) => match self.finished.get(place)? {
                    Some(job) => break Some(job),
                    None if self.is_stored_at(id.ordinal(), place) => return Err(self.missing(place)),
                    // It was forgotten or revived in between.
                    None => {}
                },
            }
        };
        Ok(job.filter(|job| job.id == id))
    }

    /// The running job whose lease this token holds.
    pub fn job_by_token(&self, token: TokenHash) -> Option<Arc<Job>> {
        let index = self.index.read();
        let id = *index.leases.get(&token)?;
        match index.slot(id) {
            Slot::Active(job) => Some(job.clone()),
            Slot::Finished(_) | Slot::Empty => None,
        }
    }

    /// Whether the job is known: it was submitted and is not forgotten.
    pub fn is_known(&self, id: JobId) -> bool {
        !matches!(self.index.read().slot(id), Slot::Empty)
    }

    /// One job as users see it, but for args and result, which are in the log.
    pub fn row(&self, id: JobId) -> Result<Option<JobRow>, ViewError> {
        Ok(self.head(id)?.map(|head| self.row_of(&head)))
    }

    /// A page of the list of jobs, newest first.
    pub fn list(&self, query: &JobQuery) -> Result<JobPage, ViewError> {
        let limit = query.limit.clamp(1, LIMIT_MAX);
        let seq = self.position();
        let mut walk = Walk::new(&self.index, query.filter.criteria(), query.before);
        if let Some(text) = query.filter.text.as_deref().filter(|text| !text.is_empty()) {
            let (jobs, next) = self.search(walk, text, limit)?;
            return Ok(JobPage { jobs, next, seq });
        }
        let mut found = walk.take(limit + 1);
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let next = found.last().map(|last| last.ordinal).filter(|_| !is_last);
        Ok(JobPage { jobs: self.rows(&found)?, next, seq })
    }

    /// All jobs of the tree to which a job belongs, in order of submission: at most `limit` after `after`.
    pub fn tree(&self, id: JobId, after: Option<JobId>, limit: usize) -> Result<Option<Vec<JobRow>>, ViewError> {
        let Some(head) = self.head(id)? else { return Ok(None) };
        let found = self.index.read().tree(head.job.root(), after, limit.clamp(1, LIMIT_MAX));
        self.rows(&found).map(Some)
    }

    /// Sets the live progress of a job's run, named by its token, finer than what is on record; the latest wins. It is
    /// dropped when the job changes its state, and is none when another run has begun since.
    pub fn overlay(&self, id: JobId, token: TokenHash, progress: Arc<Progress>) {
        // The index stays locked meanwhile: `apply` changes it first and drops overlays after, so none is left over.
        let index = self.index.read();
        let Slot::Active(job) = index.slot(id) else { return };
        if job.id == id && job.run().is_some_and(|run| run.lease.token == token) {
            self.overlay.lock().insert(id, (token, progress));
        }
    }

    /// The row of a job, with its live progress while it runs.
    pub fn row_of(&self, head: &Head) -> JobRow {
        let mut row = JobRow::with(&head.job, head.items, self.live(&head.job).as_deref());
        row.seq = self.last_seq(&head.job);
        match self.purged_at(head.job.id) {
            Some(at) => row.purged(at),
            None => row,
        }
    }

    /// The seq of a job's last event, where its trail through the log begins. A call that came too late for a finished
    /// job is later than the end.
    pub fn last_seq(&self, job: &Job) -> Seq {
        self.index.read().late.get(&job.id).map_or(job.seq, |&late| late.max(job.seq))
    }

    /// The index still shows the jobs as they were before the page.
    fn note_history(&self, page: &Page) {
        let index = self.index.read();
        let before = |job| match index.slot(job) {
            Slot::Active(job) => Since::of(job),
            Slot::Finished(_) | Slot::Empty => None,
        };
        self.history.lock().show(&page.records, before);
    }

    /// What is told of purged jobs is hidden before anybody is answered; of forgotten ones there is nothing to hide.
    fn hide_payloads(&self, page: &Page) {
        for record in page.records.iter() {
            if let Event::JobPurged(data) = &record.event {
                self.purged.insert(data.job);
            }
        }
        page.forgotten.iter().filter(|stub| stub.purged().is_some()).for_each(|stub| self.purged.remove(stub.id));
    }

    fn live(&self, job: &Job) -> Option<Arc<Progress>> {
        let run = job.run()?;
        let overlay = self.overlay.lock();
        overlay.get(&job.id).filter(|(token, _)| *token == run.lease.token).map(|(_, progress)| progress.clone())
    }

    fn forget_overlays(&self, page: &Page) {
        let ended: Vec<JobId> = page.jobs.iter().filter(|job| job.run().is_none()).map(|job| job.id).collect();
        let mut overlay = self.overlay.lock();
        if !overlay.is_empty() {
            ended.iter().for_each(|id| drop(overlay.remove(id)));
        }
        drop(overlay);
        self.forget_beats(page);
    }

    fn head(&self, id: JobId) -> Result<Option<Head>, ViewError> {
        let found = self.index.read().find(id.ordinal());
        let Some(found) = found else { return Ok(None) };
        let heads = self.heads(&[found])?;
        Ok(heads.into_iter().next().filter(|head| head.job.id == id))
    }

    fn rows(&self, found: &[Found]) -> Result<Vec<JobRow>, ViewError> {
        Ok(self.heads(found)?.iter().map(|head| self.row_of(head)).collect())
    }

    /// Reads what the rows of these jobs need; the stored ones together. Who was forgotten in between is left out.
    fn heads(&self, found: &[Found]) -> Result<Vec<Head>, ViewError> {
        let places: Vec<_> = found.iter().filter_map(|found| found.place.stored()).collect();
        let mut stored = self.finished.heads(&places)?.into_iter();
        let mut heads = Vec::with_capacity(found.len());
        for found in found {
            match &found.place {
                Place::Here(job) => heads.push(Head::of(job.clone())),
                Place::Stored(place) => match stored.next().flatten() {
                    Some(head) => heads.push(head),
                    None if self.is_stored_at(found.ordinal, *place) => return Err(self.missing(*place)),
                    None => heads.extend(self.read_again(found.ordinal)?),
                },
            }
        }
        Ok(heads)
    }

    /// A job that was elsewhere when it was looked for the first time: it lives again, or is forgotten.
    fn read_again(&self, ordinal: Ordinal) -> Result<Option<Head>, ViewError> {
        let Some(found) = self.index.read().find(ordinal) else { return Ok(None) };
        match found.place {
            Place::Here(job) => Ok(Some(Head::of(job))),
            Place::Stored(place) => Ok(self.finished.heads(&[place])?.pop().flatten()),
        }
    }

    fn is_stored_at(&self, ordinal: Ordinal, place: FinishOrdinal) -> bool {
        self.index.read().find(ordinal).and_then(|found| found.place.stored()) == Some(place)
    }

    /// A finished job that is not where the index says.
    fn missing(&self, place: FinishOrdinal) -> ViewError {
        self.finished.condemn();
        ViewError::new("read", format!("the finished job number {} is missing", place.0))
    }
}
