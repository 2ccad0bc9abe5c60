//! The log as answers may show it: of purged jobs without what they carried. Who they are is known before the answer to
//! the purge leaves; on the disk the bytes may be a while longer. Changes nothing, and never leaves an event out.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use roaring::RoaringTreemap;

use crate::domain::event::{Event, Record};
use crate::domain::id::{JobId, Seq};
use crate::domain::job::JobError;
use crate::domain::json::Json;
use crate::log::base::Base;
use crate::log::{LogReader, ReadError};

/// The jobs whose payloads are not shown any more. As a rule there are none, and to ask costs next to nothing.
#[derive(Debug, Default)]
pub struct Purged {
    count: AtomicUsize,
    jobs: RwLock<HashSet<JobId>>,
}

impl Purged {
    /// Hides what a job carried, from now on.
    pub fn insert(&self, job: JobId) {
        let mut jobs = self.jobs.write();
        jobs.insert(job);
        self.count.store(jobs.len(), Ordering::Release);
    }

    /// The job is forgotten, and the log has nothing of it.
    pub fn remove(&self, job: JobId) {
        let mut jobs = self.jobs.write();
        jobs.remove(&job);
        self.count.store(jobs.len(), Ordering::Release);
    }

    /// Takes what its job carried out of a record, if the job was purged.
    pub fn redact(&self, record: &mut Record) {
        if record.event.job().is_some_and(|job| self.contains(job)) {
            redact(&mut record.event);
        }
    }

    fn contains(&self, job: JobId) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.jobs.read().contains(&job)
    }
}

/// A log without what purged jobs carried.
pub struct Redacting {
    inner: Arc<dyn LogReader>,
    purged: Arc<Purged>,
}

impl Redacting {
    /// Stands before a log.
    pub fn new(inner: Arc<dyn LogReader>, purged: Arc<Purged>) -> Redacting {
        Redacting { inner, purged }
    }
}

impl LogReader for Redacting {
    fn earliest(&self) -> Seq {
        self.inner.earliest()
    }

    fn last(&self) -> Seq {
        self.inner.last()
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        let mut record = self.inner.record(seq)?;
        self.purged.redact(&mut record);
        Ok(record)
    }

    fn carried(&self, seq: Seq) -> Result<Record, ReadError> {
        let mut record = self.inner.carried(seq)?;
        self.purged.redact(&mut record);
        Ok(record)
    }

    fn base(&self) -> Option<Arc<dyn Base>> {
        let base = RedactingBase { inner: self.inner.base()?, purged: self.purged.clone() };
        Some(Arc::new(base))
    }

    fn is_at_hand(&self, seq: Seq) -> bool {
        self.inner.is_at_hand(seq)
    }

    fn page_after(&self, after: Seq) -> Result<Vec<Record>, ReadError> {
        let mut records = self.inner.page_after(after)?;
        records.iter_mut().for_each(|record| self.purged.redact(record));
        Ok(records)
    }
}

/// A base without what purged jobs carried. Its state and its finished jobs say only where that would be; the details of
/// errors are in them, and whoever shows a job leaves these out.
struct RedactingBase {
    inner: Arc<dyn Base>,
    purged: Arc<Purged>,
}

impl Base for RedactingBase {
    fn seq(&self) -> Seq {
        self.inner.seq()
    }

    fn state(&self) -> io::Result<Box<dyn Read + Send>> {
        self.inner.state()
    }

    fn jobs(&self) -> io::Result<Box<dyn Read + Send>> {
        self.inner.jobs()
    }

    fn carried(&self) -> RoaringTreemap {
        self.inner.carried()
    }

    fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        let mut record = self.inner.record(seq)?;
        self.purged.redact(&mut record);
        Ok(record)
    }
}

/// Takes out what clients and workers gave the job to carry. How it went stays.
fn redact(event: &mut Event) {
    match event {
        Event::JobSubmitted(data) => {
            data.args = Json::from_checked("null");
            data.items.iter_mut().for_each(|item| item.args = None);
        }
        Event::JobItemsAdded(data) => data.items.iter_mut().for_each(|item| item.args = None),
        Event::JobItemsReported(data) => data.reports.iter_mut().for_each(|report| {
            report.result = None;
            forget_details(report.error.as_mut());
        }),
        Event::JobAttemptFailed(data) => forget_details(Some(&mut data.error)),
        Event::JobFailed(data) => forget_details(data.error.as_mut()),
        Event::JobCancelled(data) => forget_details(data.error.as_mut()),
        Event::JobCheckpointed(data) => data.data = Json::from_checked("null"),
        Event::JobCompleted(data) => data.result = None,
        Event::JobFileStored(_)
        | Event::JobQueued(_)
        | Event::JobScheduled(_)
        | Event::JobStarted(_)
        | Event::JobProgressed(_)
        | Event::JobAttemptLost(_)
        | Event::JobCancelRequested(_)
        | Event::JobRetried(_)
        | Event::JobAmended(_)
        | Event::JobLateResult(_)
        | Event::JobAdopted(_)
        | Event::JobPurged(_)
        | Event::JobsForgotten(_)
        | Event::EpochStarted(_)
        | Event::QueuePaused(_)
        | Event::QueueResumed(_)
        | Event::QueueDraining(_)
        | Event::QueueRateSpent(_)
        | Event::WorkerJoined(_)
        | Event::WorkerLeft(_)
        | Event::ScheduleChanged(_)
        | Event::ScheduleFired(_) => {}
    }
}

/// What a worker says of an error beside its code and message is JSON of any sort: often the very args that it met.
fn forget_details(error: Option<&mut JobError>) {
    error.into_iter().for_each(|error| error.details = None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::EventLog;
    use crate::log::codec::samples;
    use crate::log::memory::MemoryLog;

    /// A log with one record of each type, all of one job.
    fn log() -> (Arc<dyn LogReader>, JobId) {
        let mut log = MemoryLog::new();
        let records = samples::one_of_each().into_iter().zip(1..);
        let records: Vec<Record> =
            records.map(|(record, seq)| Record { seq: Seq(seq), continues: false, ..record }).collect();
        let job = records.iter().find_map(|record| record.event.job()).expect("some are about a job");
        log.submit(records.into()).expect("takes them");
        log.committed().expect("keeps them");
        (log.reader(), job)
    }

    fn texts(log: &dyn LogReader) -> Vec<String> {
        let record = |seq| serde_json::to_string(&log.record(Seq(seq)).expect("reads").event).expect("writes");
        (1..=log.last().0).map(record).collect()
    }

    #[test]
    fn what_a_purged_job_carried_is_in_no_record_and_nothing_else_is_missing() {
        let (inner, job) = log();
        let purged = Arc::new(Purged::default());
        let redacting = Redacting::new(inner.clone(), purged.clone());
        assert_eq!(texts(&redacting), texts(&*inner));
        purged.insert(job);
        let (shown, kept) = (texts(&redacting), texts(&*inner));
        for (shown, kept) in shown.iter().zip(&kept) {
            for carried in ["\"page\":17", "\"bytes\":123456", "\"status\":3"] {
                assert!(!shown.contains(carried), "{shown}");
            }
            let names = |text: &str| -> Vec<String> {
                let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
                value.as_object().expect("an object").keys().cloned().collect()
            };
            assert_eq!(names(shown), names(kept));
        }
        assert!(kept.iter().any(|text| text.contains("\"bytes\":123456")), "the result is in the log");
        assert!(kept.iter().any(|text| text.contains("\"status\":3")), "so is what was said of an error");
        let pages = redacting.page_after(Seq::ZERO).expect("reads");
        let first = serde_json::to_string(&pages[0].event).expect("writes");
        assert_eq!(first, shown[0]);
        purged.remove(job);
        assert_eq!(texts(&redacting), kept);
    }
}
