//! What a job was right after an event, as far as a filter of events asks. Topic `events` is exact: whether an event
//! matches must depend on nothing that happened later, however late it is told. Kind and parent never change; queue and
//! tags do, by events of their own, so they are taken from the job's trail.

use crate::domain::event::{Event, Record};
use crate::domain::id::{JobId, KindName, QueueName, Tag};
use crate::domain::job::{Job, Relations};
use crate::feed::Before;
use crate::log::{LogReader, ReadError};

/// What a filter of events looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    pub id: JobId,
    pub kind: KindName,
    pub queue: QueueName,
    pub tags: Vec<Tag>,
    pub parent: Option<JobId>,
}

impl Traits {
    /// Of a job, as it is, or as it was before something happened to it.
    pub fn of(job: &Job, before: Option<&Before>) -> Traits {
        Traits {
            id: job.id,
            kind: job.kind.clone(),
            queue: before.map_or(&job.queue, |before| &before.queue).clone(),
            tags: before.map_or(job.tags(), Before::tags).to_vec(),
            parent: job.parent(),
        }
    }

    /// The job after its next event.
    pub fn follow(&mut self, event: &Event) {
        if let Some(begun) = Traits::begun(event) {
            *self = begun;
        } else if let Event::JobAmended(data) = event {
            self.queue = data.queue.clone().unwrap_or_else(|| self.queue.clone());
            self.tags = data.tags.clone().unwrap_or_else(|| std::mem::take(&mut self.tags));
        }
    }

    /// The job after an event of it: its trail is walked back as far as need be. None if the log does not reach so far.
    pub fn after(record: &Record, log: &dyn LogReader) -> Result<Option<Traits>, ReadError> {
        // The latest word on each counts, and the walk meets that first.
        let (mut queue, mut tags) = (None, None);
        let mut record = record.clone();
        loop {
            if let Some(begun) = Traits::begun(&record.event) {
                let (queue, tags) = (queue.unwrap_or(begun.queue), tags.unwrap_or(begun.tags));
                return Ok(Some(Traits { queue, tags, ..begun }));
            }
            if let Event::JobAmended(data) = &record.event {
                queue = queue.or_else(|| data.queue.clone());
                tags = tags.or_else(|| data.tags.clone());
            }
            let Some(previous) = record.previous else { return Ok(None) };
            record = match log.record(previous) {
                Ok(record) => record,
                Err(ReadError::Trimmed { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
    }

    /// Of an event with which a job begins, anew or at all.
    fn begun(event: &Event) -> Option<Traits> {
        let parent = |relations: &Option<Relations>| relations.as_ref().and_then(|relations| relations.parent);
        match event {
            Event::JobSubmitted(data) => Some(Traits {
                id: data.job,
                kind: data.kind.clone(),
                queue: data.queue.clone(),
                tags: data.tags.clone(),
                parent: parent(&data.relations),
            }),
            Event::JobRetried(data) => Some(Traits {
                id: data.job,
                kind: data.revived.kind.clone(),
                queue: data.revived.queue.clone(),
                tags: data.revived.tags.clone(),
                parent: parent(&data.revived.relations),
            }),
            _ => None,
        }
    }
}
