//! Ended jobs of a past state in full: from the stored views while they still stand as they did, else from the job's own
//! trail through the log, else from the base. What nobody has any more is told from the stub. Changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::evolve::follow;
use crate::domain::id::{FinishOrdinal, Seq};
use crate::domain::job::{Ending, Extras, Job, JobState, StateName};
use crate::domain::state::{Slot, Stub};
use crate::domain::time::Timestamp;
use crate::engine::fold;
use crate::engine::past::rows::{LookBackError, PastViews};
use crate::engine::past::{Past, PastError};
use crate::log::ReadError;
use crate::views::Head;

/// The longest trail that is followed for one job.
const TRAIL_MAX: usize = 100_000;

impl PastViews {
    /// The heads of these jobs, in their order.
    pub(super) fn heads(&self, slots: &[Slot]) -> Result<Vec<Head>, LookBackError> {
        let stubs: Vec<&Stub> = slots.iter().filter_map(|slot| stub_of(slot).map(|stub| &**stub)).collect();
        let ends: Vec<_> = stubs.iter().map(|stub| (stub.id.ordinal(), stub.finish_ordinal)).collect();
        let present = self.views.heads_of_ends(&ends)?;
        let missing: Vec<&Stub> =
            stubs.into_iter().zip(&present).filter(|(_, head)| head.is_none()).map(|(stub, _)| stub).collect();
        let mut found = self.read_in_log(&missing)?;
        let mut present = present.into_iter();
        let head = |slot: &Slot| match slot {
            Slot::Active(job) => Head::of(job.clone()),
            Slot::Finished(stub) => {
                let head = present.next().flatten();
                head.unwrap_or_else(|| Head::of(found.remove(&stub.finish_ordinal).unwrap_or_else(|| outline(stub))))
            }
        };
        Ok(slots.iter().map(head).collect())
    }

    /// One ended job in full.
    pub(super) fn ended(&self, stub: &Stub) -> Result<Arc<Job>, LookBackError> {
        let stands = |job: &Arc<Job>| job.ending().is_some_and(|end| end.finish_ordinal == stub.finish_ordinal);
        if let Some(job) = self.views.job(stub.id)?.filter(stands) {
            return Ok(job);
        }
        Ok(self.read_in_log(&[stub])?.remove(&stub.finish_ordinal).unwrap_or_else(|| outline(stub)))
    }

    fn read_in_log(&self, stubs: &[&Stub]) -> Result<BTreeMap<FinishOrdinal, Arc<Job>>, LookBackError> {
        let mut found = BTreeMap::new();
        let mut older = BTreeMap::new();
        for stub in stubs {
            match self.followed(stub)? {
                Some(job) => found.insert(stub.finish_ordinal, Arc::new(job)).is_some(),
                None => older.insert(stub.finish_ordinal, stub.id).is_some(),
            };
        }
        if !older.is_empty() {
            fold::finished_before(&**self.views.log(), |job| {
                let end = job.ending().map(|ending| ending.finish_ordinal);
                if let Some(end) = end.filter(|end| older.get(end) == Some(&job.id)) {
                    found.insert(end, job);
                }
                Ok::<_, LookBackError>(())
            })?;
        }
        Ok(found)
    }

    /// Follows a job through its own records to its end: from its last beginning on, or from what the base has of it. None
    /// if it ended before the log begins, or if its trail is too long.
    fn followed(&self, stub: &Stub) -> Result<Option<Job>, LookBackError> {
        let log = self.views.log();
        if stub.seq < log.earliest() {
            return Ok(None);
        }
        let (mut trail, mut next) = (Vec::new(), Some(stub.seq));
        // Only numbers are kept on the way back: what the records carry may be large.
        while let Some(seq) = next {
            let record = match log.record(seq) {
                Ok(record) => record,
                Err(ReadError::Trimmed { .. }) => break,
                Err(error) => return Err(error.into()),
            };
            if trail.len() == TRAIL_MAX {
                return Ok(None);
            }
            trail.push(seq);
            next = record.previous.filter(|_| !record.event.begins_a_life());
        }
        let (mut job, begin) = match next {
            Some(_) => self.in_base(stub)?,
            None => (None, Seq::ZERO),
        };
        for seq in trail.into_iter().rev().filter(|seq| *seq > begin) {
            match log.record(seq) {
                Ok(record) => job = follow(job, &record, stub.finish_ordinal),
                Err(ReadError::Trimmed { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(job.filter(Job::is_terminal))
    }

    /// A job as it was when the log began, if it was active, and the event as of which it is known so.
    fn in_base(&self, stub: &Stub) -> Result<(Option<Job>, Seq), PastError> {
        let begin: Arc<Past> = self.states.at(Seq(self.views.log().earliest().0 - 1))?;
        let job = match begin.slot(stub.id)? {
            Some(Slot::Active(job)) => Some(Job::clone(&job)),
            Some(Slot::Finished(_)) | None => None,
        };
        Ok((job, begin.seq()))
    }
}

pub(super) fn stub_of(slot: &Slot) -> Option<&Arc<Stub>> {
    match slot {
        Slot::Active(_) => None,
        Slot::Finished(stub) => Some(stub),
    }
}

/// What a stub alone tells of a job. That its submission is no event says what it is.
fn outline(stub: &Stub) -> Arc<Job> {
    let ending = Ending { finished_at: stub.finished_at, reason: stub.reason, finish_ordinal: stub.finish_ordinal };
    let state = match stub.state {
        StateName::Failed => JobState::Failed(ending),
        StateName::Cancelled => JobState::Cancelled(ending),
        StateName::Completed
        | StateName::Scheduled
        | StateName::Queued
        | StateName::Blocked
        | StateName::Running
        | StateName::Retryable => JobState::Completed(ending),
    };
    let extras = Extras { late: stub.late(), ..Extras::default() };
    Arc::new(Job {
        id: stub.id,
        seq: stub.seq,
        submitted: Seq::ZERO,
        kind: stub.kind.clone(),
        queue: stub.queue.clone(),
        tags: stub.tags.clone(),
        policy: Arc::default(),
        relations: stub.relations.clone(),
        state,
        created_at: submitted_at(stub),
        updated_at: stub.finished_at,
        queued_at: None,
        attempt: 0,
        failures: 0,
        lost_count: 0,
        priority: 0,
        extras: Some(Arc::new(extras)),
    })
}

/// Whether no more is known of a job than its stub.
pub(super) fn is_outline(job: &Job) -> bool {
    job.submitted == Seq::ZERO
}

/// The moment that a job's id carries (J4).
fn submitted_at(stub: &Stub) -> Timestamp {
    Timestamp::from_ms((stub.id.uuid().as_u128() >> 80) as i64)
}
