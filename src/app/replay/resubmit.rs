//! The jobs of a log as submissions for another server: which are meant, and what would make each of them again. Nothing
//! is sent here, and what only the old server had (ids, tokens, runs) never gets into a request.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::api::filter::{FilterParts, KIND, PARENT_ID, QUEUE, STATE, TAG};
use crate::api::query::{Parameter, Query};
use crate::domain::batch::NewItem;
use crate::domain::event::{Event, Record};
use crate::domain::id::{JobId, KindName, Ordinal, QueueName, Tag};
use crate::domain::json::Json;
use crate::domain::state::{Slot, State};
use crate::views::query::JobFilter;

/// What a filter may say: the same as the list of jobs, but for a search in texts.
const KNOWN: &[Parameter] = &[STATE, KIND, QUEUE, TAG, PARENT_ID];

/// Reads a filter that is written as in the query of `GET /api/jobs`.
pub fn filter_of(text: &str) -> Result<JobFilter, String> {
    let query = Query::parse(text.trim_start_matches('?'), KNOWN).and_then(|query| FilterParts::of_query(&query));
    query.map_err(|error| error.detail().to_owned())
}

/// Jobs that are to be submitted again.
pub struct Chosen {
    jobs: BTreeSet<Ordinal>,
    purged: usize,
}

impl Chosen {
    /// Those that fit, as they are in a state.
    pub fn of(state: &State, filter: &JobFilter) -> Chosen {
        let (purged, chosen): (Vec<_>, Vec<_>) = state.slots().filter(|slot| fits(filter, slot)).partition(is_purged);
        Chosen { jobs: chosen.into_iter().map(|slot| slot.id().ordinal()).collect(), purged: purged.len() }
    }

    /// How many more fit that were purged: of them there is nothing to submit.
    pub fn purged(&self) -> usize {
        self.purged
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.jobs.len()
    }

    /// Whether a job is one of them.
    pub fn has(&self, job: JobId) -> bool {
        self.jobs.contains(&job.ordinal())
    }
}

fn is_purged(slot: &&Slot) -> bool {
    matches!(slot, Slot::Finished(stub) if stub.purged().is_some())
}

fn fits(filter: &JobFilter, slot: &Slot) -> bool {
    let (kind, queue, tags) = match slot {
        Slot::Active(job) => return filter.matches(job),
        Slot::Finished(stub) => (&stub.kind, &stub.queue, stub.tags.as_ref()),
    };
    let parent = slot.relations().and_then(|relations| relations.parent);
    (filter.states.is_empty() || filter.states.contains(&slot.state_name()))
        && filter.kind.as_ref().is_none_or(|wanted| wanted == kind)
        && filter.queue.as_ref().is_none_or(|wanted| wanted == queue)
        && filter.tag.as_ref().is_none_or(|wanted| tags.is_some_and(|tags| tags.contains(wanted)))
        && filter.parent.is_none_or(|wanted| parent == Some(wanted))
}

/// A submission that was read from the log.
#[derive(Debug, Serialize)]
pub struct Submission {
    /// The job in the old log.
    #[serde(skip)]
    pub job: JobId,
    kind: KindName,
    queue: QueueName,
    priority: i8,
    args: Json,
    tags: Vec<Tag>,
    max_attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<JobId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<JobId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<NewItem>,
}

impl Submission {
    /// The submission that an event tells of, if it is one of a chosen job.
    pub fn of(record: Record, chosen: &Chosen, keep_keys: bool) -> Option<Submission> {
        let Event::JobSubmitted(data) = record.event else { return None };
        // Of a purged job there is nothing to submit.
        if !chosen.has(data.job) || data.args.as_str() == "null" {
            return None;
        }
        let relations = data.relations.unwrap_or_default();
        Some(Submission {
            job: data.job,
            kind: data.kind,
            queue: data.queue,
            priority: data.priority,
            args: data.args,
            tags: data.tags,
            max_attempts: data.policy.max_attempts,
            timeout_s: data.policy.timeout.map(|span| span.as_secs()),
            unique_key: relations.unique_key.filter(|_| keep_keys).map(|unique| unique.key.to_string()),
            parent_id: relations.parent,
            depends_on: relations.depends_on,
            items: data.items,
        })
    }

    /// The jobs that it names.
    pub fn names(&self) -> impl Iterator<Item = JobId> {
        self.parent_id.into_iter().chain(self.depends_on.iter().copied())
    }

    /// Has it name the new jobs in the place of the old ones. What has no new job is named no more; says how many.
    pub fn rename(&mut self, new: &BTreeMap<JobId, JobId>) -> u64 {
        let before = self.names().count();
        self.parent_id = self.parent_id.and_then(|old| new.get(&old).copied());
        self.depends_on = self.depends_on.iter().filter_map(|old| new.get(old).copied()).collect();
        (before - self.names().count()) as u64
    }

    /// The body of the request.
    pub fn body(&self) -> String {
        serde_json::to_string(self).expect("our own types can be written as JSON")
    }
}
