//! What was shown at a past moment: one job, lists, a tree. It answers as the views of that moment did, and decodes no
//! more jobs than it shows, or a bounded number. What was purged since is not shown, and nothing is decided here.

use std::iter::Peekable;
use std::sync::Arc;

use crate::domain::event::Record;
use crate::domain::id::{JobId, Ordinal, Seq};
use crate::domain::job::Job;
use crate::domain::state::{Slot, Stub};
use crate::engine::past::ended::{is_outline, stub_of};
use crate::engine::past::{Label, Past, PastError, PastStates};
use crate::log::{LogReader, ReadError};
use crate::views::query::{JobFilter, JobPage, JobQuery, LIMIT_MAX};
use crate::views::row::JobRow;
use crate::views::search::{Run, Shelf, search};
use crate::views::{Head, ViewError, Views};

/// The most jobs that one page decodes to see whether they fit; after so many it is short and has a cursor.
const DECODED_MAX: usize = 10_000;
/// How many jobs are asked about at once.
const ASKED_AT_ONCE: usize = 256;

/// Why nothing can be said about the past.
#[derive(Debug, thiserror::Error)]
pub enum LookBackError {
    #[error(transparent)]
    Past(#[from] PastError),
    #[error(transparent)]
    Views(#[from] ViewError),
}

impl From<ReadError> for LookBackError {
    fn from(error: ReadError) -> LookBackError {
        LookBackError::Past(error.into())
    }
}

/// Answers about one past moment.
pub struct PastViews {
    pub(super) past: Arc<Past>,
    pub(super) states: Arc<PastStates>,
    pub(super) views: Arc<Views>,
}

impl PastViews {
    /// What was shown after the event `seq`. `views` are those of the present.
    pub fn at(states: &Arc<PastStates>, views: &Arc<Views>, seq: Seq) -> Result<PastViews, PastError> {
        Ok(PastViews { past: states.at(seq)?, states: states.clone(), views: views.clone() })
    }

    /// The event after which it was so.
    pub fn seq(&self) -> Seq {
        self.past.seq()
    }

    /// A job in full; none if it was not known then.
    pub fn job(&self, id: JobId) -> Result<Option<Arc<Job>>, LookBackError> {
        Ok(match self.past.slot(id)? {
            None => None,
            Some(Slot::Active(job)) => Some(job),
            Some(Slot::Finished(stub)) => Some(self.ended(&stub)?),
        })
    }

    /// The seq of a job's last event by then.
    pub fn last_seq(&self, id: JobId) -> Result<Option<Seq>, LookBackError> {
        Ok(self.past.slot(id)?.map(|slot| slot.last_seq()))
    }

    /// The log from which to tell what a job carried. Of a job that is forgotten by now nobody knows whether it was purged,
    /// once its end is no event any more: only events are shown then, and nothing that is carried.
    pub fn log_of(&self, id: JobId) -> Arc<dyn LogReader> {
        let log = self.views.log().clone();
        if self.views.is_known(id) { log } else { Arc::new(EventsOnly(log)) }
    }

    /// The row of a job that was known then.
    pub fn row_of(&self, head: &Head) -> Result<JobRow, LookBackError> {
        let id = head.job.id;
        let slot = self.past.slot(id)?;
        let stub = slot.as_ref().and_then(stub_of);
        let mut row = JobRow::with(&head.job, head.items, None);
        if is_outline(&head.job) {
            (row.priority, row.attempt, row.max_attempts) = (None, None, None);
            (row.lost_count, row.max_lost, row.timeout_s) = (None, None, None);
        }
        if let Some(stub) = stub {
            (row.seq, row.purged_at) = (stub.last_seq(), stub.purged());
        }
        let is_hidden = self.views.purged_at(id).is_some() || stub.is_some_and(|stub| self.may_be_purged(stub));
        Ok(if is_hidden { row.without_traces() } else { row })
    }

    /// A page of the list of jobs, newest first.
    pub fn list(&self, query: &JobQuery) -> Result<JobPage, LookBackError> {
        let (seq, limit) = (self.seq(), query.limit.clamp(1, LIMIT_MAX));
        let mut walk = Walk::new(self, &query.filter, query.before);
        if let Some(text) = query.filter.text.as_deref().filter(|text| !text.is_empty()) {
            let (jobs, next) = search(&mut walk, &**self.views.log(), text, limit)?;
            return Ok(JobPage { jobs, next, seq });
        }
        let mut slots = walk.slots(limit + 1)?;
        let next = match slots.len() > limit {
            true => slots.get(limit - 1).map(|last| last.id().ordinal()),
            false => walk.stopped_at(),
        };
        slots.truncate(limit);
        Ok(JobPage { jobs: self.rows(&slots)?, next, seq })
    }

    /// The root of the tree to which a job belonged, and the tree in order of submission: at most `limit` after `after`.
    pub fn tree(
        &self,
        id: JobId,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Option<(JobId, Vec<JobRow>)>, LookBackError> {
        let Some(slot) = self.past.slot(id)? else { return Ok(None) };
        let root = root_of(&slot);
        let first = after.map_or(root.ordinal(), |after| after.ordinal().next());
        let labels = self.past.labels_below(None).map(|(ordinal, _)| ordinal);
        let mut ordinals: Vec<Ordinal> = labels.take_while(|ordinal| *ordinal >= first).collect();
        ordinals.reverse();
        let mut members = Vec::new();
        for some in ordinals.chunks(ASKED_AT_ONCE) {
            // Who belongs to whom never changes: of those who are still known the views tell, and nothing is decoded.
            for (&ordinal, known) in some.iter().zip(self.views.kinship(root, some)) {
                if known == Some(false) {
                    continue;
                }
                members.extend(self.past.slot_at(ordinal)?.filter(|slot| root_of(slot) == root));
                if members.len() == limit {
                    return Ok(Some((root, self.rows(&members)?)));
                }
            }
        }
        Ok(Some((root, self.rows(&members)?)))
    }

    fn rows(&self, slots: &[Slot]) -> Result<Vec<JobRow>, LookBackError> {
        self.heads(slots)?.iter().map(|head| self.row_of(head)).collect()
    }

    /// Whether nobody knows if a job was purged since: it is forgotten, and its end is no event any more.
    fn may_be_purged(&self, stub: &Stub) -> bool {
        stub.purged().is_some() || (stub.seq < self.views.log().earliest() && !self.views.is_known(stub.id))
    }
}

/// The top of a job's tree.
fn root_of(slot: &Slot) -> JobId {
    slot.relations().and_then(|relations| relations.root).unwrap_or(slot.id())
}

/// Goes down the jobs of a past state that fit, newest first.
struct Walk<'a> {
    views: &'a PastViews,
    filter: &'a JobFilter,
    labels: Peekable<Box<dyn Iterator<Item = (Ordinal, Label)> + 'a>>,
    /// The last job that was looked at.
    last: Option<Ordinal>,
    /// How many may still be decoded to see whether they fit.
    left: usize,
}

impl<'a> Walk<'a> {
    fn new(views: &'a PastViews, filter: &'a JobFilter, before: Option<Ordinal>) -> Walk<'a> {
        Walk { views, filter, labels: labels(&views.past, before), last: None, left: DECODED_MAX }
    }

    /// The next jobs that fit.
    fn slots(&mut self, limit: usize) -> Result<Vec<Slot>, LookBackError> {
        let mut slots = Vec::new();
        let has_details = self.filter.tag.is_some() || self.filter.parent.is_some();
        while slots.len() < limit && !(has_details && self.left == 0) && self.skip_to_fitting() {
            let Some((ordinal, _)) = self.labels.next() else { break };
            self.last = Some(ordinal);
            self.left = self.left.saturating_sub(usize::from(has_details));
            slots.extend(self.views.past.slot_at(ordinal)?.filter(|slot| match slot {
                Slot::Active(job) => self.filter.matches(job),
                Slot::Finished(stub) => self.filter.matches_stub(stub),
            }));
        }
        Ok(slots)
    }

    /// Passes over the jobs whose label alone says that they do not fit, and says whether one is left.
    fn skip_to_fitting(&mut self) -> bool {
        while let Some((ordinal, label)) = self.labels.peek() {
            // A child is younger than its parent.
            if self.filter.parent.is_some_and(|parent| *ordinal <= parent.ordinal()) {
                return false;
            }
            if fits(self.filter, label) {
                return true;
            }
            self.labels.next();
        }
        false
    }
}

impl Shelf for Walk<'_> {
    type Error = LookBackError;

    fn take(&mut self, limit: usize) -> Result<Option<Run>, LookBackError> {
        let slots = self.slots(limit)?;
        let (Some(first), Some(last)) = (slots.first(), slots.last()) else { return Ok(None) };
        let (first, last) = (first.id().ordinal(), last.id().ordinal());
        Ok(Some(Run { first, last, count: slots.len(), heads: self.views.heads(&slots)? }))
    }

    fn go_on_below(&mut self, ordinal: Ordinal) {
        if self.last.is_some_and(|last| ordinal > last) {
            // What is taken again is not counted twice, or a page might never come further than it began.
            self.left = DECODED_MAX;
        }
        (self.labels, self.last) = (labels(&self.views.past, Some(ordinal)), Some(ordinal));
    }

    fn has_more(&mut self) -> bool {
        self.skip_to_fitting()
    }

    fn stopped_at(&self) -> Option<Ordinal> {
        self.last.filter(|_| self.left == 0)
    }

    fn shows_args(&self, head: &Head) -> bool {
        let job = &head.job;
        job.submitted >= self.views.views.log().earliest() || self.views.views.is_known(job.id)
    }

    fn row(&self, head: &Head) -> Result<JobRow, LookBackError> {
        self.views.row_of(head)
    }
}

fn labels(past: &Past, before: Option<Ordinal>) -> Peekable<Box<dyn Iterator<Item = (Ordinal, Label)> + '_>> {
    let labels: Box<dyn Iterator<Item = _>> = Box::new(past.labels_below(before));
    labels.peekable()
}

fn fits(filter: &JobFilter, label: &Label) -> bool {
    (filter.states.is_empty() || filter.states.contains(&label.state))
        && filter.kind.as_ref().is_none_or(|kind| *kind == label.kind)
        && filter.queue.as_ref().is_none_or(|queue| *queue == label.queue)
}

/// A log without what is carried from before its beginning.
struct EventsOnly(Arc<dyn LogReader>);

impl LogReader for EventsOnly {
    fn earliest(&self) -> Seq {
        self.0.earliest()
    }

    fn last(&self) -> Seq {
        self.0.last()
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        self.0.record(seq)
    }

    fn is_at_hand(&self, seq: Seq) -> bool {
        self.0.is_at_hand(seq)
    }

    fn page_after(&self, after: Seq) -> Result<Vec<Record>, ReadError> {
        self.0.page_after(after)
    }
}
