//! Makes the frame with which a job goes to its worker: the job itself, its pending items, the lease, the checkpoint.
//! What the state does not hold is read from the log, each event once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::batch::{Item, ItemState, NewItem};
use crate::domain::event::Event;
use crate::domain::id::{JobId, Seq};
use crate::domain::job::Job;
use crate::domain::json::Json;
use crate::engine::{Granted, Handle};
use crate::log::{LogReader, ReadError};
use crate::sessions::frames::{HandedItem, HandedLease, ITEMS_HANDED_MAX, JobFrame};
use crate::sessions::session::Session;
use crate::views::ViewError;

/// Why a job could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    #[error("its events could not be read: {0}")]
    Log(#[from] ReadError),
    #[error("{0}")]
    Views(#[from] ViewError),
    #[error("job {0} is not there any more")]
    Gone(JobId),
    #[error("event {0} is not what the job says it is")]
    WrongEvent(Seq),
}

impl Session {
    /// The frame with which a granted job goes to its worker.
    pub async fn job_frame(&self, granted: &Granted) -> Result<JobFrame, HandoverError> {
        let (engine, granted) = (self.sessions.parts.engine.clone(), granted.clone());
        let expires_in_s = self.sessions.parts.settings.lease.as_secs();
        let is_at_hand = is_at_hand(&engine, granted.job);
        let make = move || make(&engine, &granted, expires_in_s);
        if is_at_hand {
            return make();
        }
        tokio::task::spawn_blocking(make).await.expect("making a job frame does not panic")
    }
}

/// Whether all that a job's frame takes is in memory, as it is when a job goes to a worker soon after it came.
fn is_at_hand(engine: &Handle, job: JobId) -> bool {
    engine.views().job(job).ok().flatten().is_some_and(|job| {
        let needs_more = job.items().is_some() || job.extras.as_ref().is_some_and(|extras| extras.checkpoint.is_some());
        !needs_more && engine.log().is_at_hand(job.submitted)
    })
}

fn make(engine: &Handle, granted: &Granted, expires_in_s: f64) -> Result<JobFrame, HandoverError> {
    let log = &**engine.log();
    let job = engine.views().job(granted.job)?.ok_or(HandoverError::Gone(granted.job))?;
    let row = engine.views().row(granted.job)?.ok_or(HandoverError::Gone(granted.job))?;
    let mut events = Events { log, items: HashMap::new() };
    let args = events.args(&job)?;
    let body = serde_json::to_string(&row.with_payload(Some(args), None)).expect("a job can be written as JSON");
    Ok(JobFrame {
        job: Json::from_checked(body),
        attempt: granted.attempt,
        items: events.pending_items(&job)?,
        lease: HandedLease { token: granted.token.reveal().into(), expires_in_s },
        checkpoint: events.checkpoint(&job)?,
    })
}

/// Reads what events carry.
struct Events<'a> {
    log: &'a dyn LogReader,
    /// The args of the items that an event brought.
    items: HashMap<Seq, HashMap<Arc<str>, Option<Json>>>,
}

impl Events<'_> {
    fn args(&mut self, job: &Job) -> Result<Json, HandoverError> {
        match self.log.carried(job.submitted)?.event {
            Event::JobSubmitted(submitted) => {
                self.keep(job.submitted, submitted.items);
                Ok(submitted.args)
            }
            _ => Err(HandoverError::WrongEvent(job.submitted)),
        }
    }

    fn checkpoint(&self, job: &Job) -> Result<Option<Json>, HandoverError> {
        let Some(seq) = job.extras.as_ref().and_then(|extras| extras.checkpoint) else { return Ok(None) };
        match self.log.carried(seq)?.event {
            Event::JobCheckpointed(checkpointed) => Ok(Some(checkpointed.data)),
            _ => Err(HandoverError::WrongEvent(seq)),
        }
    }

    fn pending_items(&mut self, job: &Job) -> Result<Vec<HandedItem>, HandoverError> {
        let Some(items) = job.items() else { return Ok(Vec::new()) };
        let pending = items.list().iter().filter(|item| item.state == ItemState::Pending).take(ITEMS_HANDED_MAX);
        pending.map(|item| self.hand(item)).collect()
    }

    fn hand(&mut self, item: &Item) -> Result<HandedItem, HandoverError> {
        if !self.items.contains_key(&item.added) {
            let items = match self.log.carried(item.added)?.event {
                Event::JobSubmitted(submitted) => submitted.items,
                Event::JobItemsAdded(added) => added.items,
                _ => return Err(HandoverError::WrongEvent(item.added)),
            };
            self.keep(item.added, items);
        }
        let args = self.items[&item.added].get(&item.key).ok_or(HandoverError::WrongEvent(item.added))?;
        Ok(HandedItem { key: item.key.clone(), args: args.clone() })
    }

    fn keep(&mut self, seq: Seq, items: Vec<NewItem>) {
        self.items.insert(seq, items.into_iter().map(|item| (item.key, item.args)).collect());
    }
}
