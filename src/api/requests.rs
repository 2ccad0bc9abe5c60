//! The bodies that clients send, but for jobs (those are in [`crate::kinds::request`]), turned into commands.

use crate::api::canonical;
use crate::api::error::ApiError;
use crate::api::filter::{FilterParts, FilterShape};
use crate::api::request::Request;
use crate::domain::command::{Amend, Command, IdempotencyKey, LeaseProof, NewJob, Retry, Submit};
use crate::domain::id::{JobId, QueueName, Tag};
use crate::domain::time::Timestamp;
use crate::kinds::fields::Fields;
use crate::kinds::problem::{Problems, below};
use crate::kinds::request::{PRIORITY_MAX, TAG_BYTES_MAX, TAGS_MAX, raw_json, read_priority, read_tags};
use crate::views::query::JobFilter;

/// The most bytes of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// The body of `PATCH /api/jobs/{id}`; what is absent stays.
#[derive(Debug, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AmendRequest {
    /// Higher is sooner.
    #[schemars(range(min = -PRIORITY_MAX, max = PRIORITY_MAX))]
    pub priority: Option<i8>,
    /// Where it waits from now on.
    pub queue: Option<QueueName>,
    /// Not before this moment; one that has come queues it at once.
    pub scheduled_at: Option<Timestamp>,
    /// All its labels from now on.
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_BYTES_MAX)))]
    pub tags: Option<Vec<Tag>>,
}

/// The body of `POST /api/jobs/{id}/cancel`.
#[derive(Debug, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CancelRequest {
    /// Cancel the children too, and theirs.
    pub children: Option<bool>,
}

/// The body of `POST /api/jobs/{id}/retry`.
#[derive(Debug, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RetryRequest {
    /// Of a batch: run the items again that failed or were skipped, besides those that are still pending.
    pub only_failed_items: Option<bool>,
    /// Also revive the jobs that were cancelled because this one did not complete.
    pub dependents: Option<bool>,
}

/// The most jobs that one call of an action looks at.
pub const ACTION_JOBS_MAX: usize = 10_000;

/// The body of `POST /api/jobs/actions`.
#[derive(Debug, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ActionRequest {
    /// What to do with each.
    pub action: Action,
    /// Which jobs. Without `state`, those that the action is for.
    #[schemars(with = "FilterShape")]
    pub filter: JobFilter,
    /// These very jobs, in whatever state they are by now; the filter is `{}` then.
    #[schemars(length(max = ACTION_JOBS_MAX))]
    pub ids: Option<Vec<JobId>>,
    /// Only say what would happen.
    #[schemars(with = "Option<bool>")]
    pub dry_run: bool,
}

/// What can be done to many jobs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Cancel it; without `state` in the filter all active jobs are meant.
    Cancel,
    /// Queue it again; without `state` in the filter all failed and cancelled jobs are meant.
    Retry,
}

/// The command that submits jobs.
///
/// # Errors
/// When the `Idempotency-Key` is malformed.
pub fn submit(
    request: &Request,
    text: &str,
    jobs: Vec<NewJob>,
    parent: Option<LeaseProof>,
) -> Result<Command, ApiError> {
    Ok(Command::Submit(Submit { jobs, idempotency: idempotency(request, text)?, parent }))
}

fn idempotency(request: &Request, text: &str) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = request.headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()));
    let key = key.filter(|key| values.next().is_none() && key.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    let detail = || format!("send one Idempotency-Key of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters");
    let key = key.ok_or_else(|| ApiError::new("invalid_request", detail()))?;
    let request_hash = canonical::hash(text).map_err(|error| ApiError::new("invalid_json", error))?;
    Ok(Some(IdempotencyKey { key: key.into(), request_hash }))
}

/// Reads the changes of a `PATCH`.
pub fn amend(job: JobId, text: &str) -> Result<Command, ApiError> {
    let request = read(text, |fields| AmendRequest {
        priority: read_priority(fields),
        queue: fields.parsed("queue"),
        scheduled_at: fields.moment("scheduled_at"),
        tags: read_tags(fields),
    })?;
    let AmendRequest { priority, queue, scheduled_at, tags } = request;
    Ok(Command::Amend(Amend { job, priority, queue, scheduled_at, tags }))
}

/// Reads how to cancel.
pub fn cancel(job: JobId, text: &str) -> Result<Command, ApiError> {
    let request = read(text, |fields| CancelRequest { children: fields.boolean("children") })?;
    Ok(Command::Cancel { job, children: request.children.unwrap_or(false) })
}

/// Reads how to run again.
pub fn retry(job: JobId, text: &str) -> Result<Command, ApiError> {
    let request = read(text, |fields| RetryRequest {
        only_failed_items: fields.boolean("only_failed_items"),
        dependents: fields.boolean("dependents"),
    })?;
    Ok(Command::Retry(Retry {
        job,
        only_failed_items: request.only_failed_items.unwrap_or(false),
        dependents: request.dependents.unwrap_or(false),
        finished: Vec::new(),
    }))
}

/// Reads what to do to many jobs.
pub fn action(text: &str) -> Result<ActionRequest, ApiError> {
    read(text, |fields| {
        let action = fields.required("action", ": cancel or retry");
        let action = action.and_then(|value| {
            let parsed = serde_json::from_str(value.get());
            parsed.map_err(|_| fields.problem("action", "must be \"cancel\" or \"retry\"")).ok()
        });
        let filter = fields.required("filter", "; send {} for all jobs that the action is for");
        let base = fields.pointer("filter");
        let filter = filter.map(|filter| FilterParts::of_json(filter, &base, fields.problems()));
        let filter = filter.unwrap_or_default();
        let ids = read_ids(fields);
        if ids.is_some() && filter != JobFilter::default() {
            fields.problem("ids", "names the jobs, so the filter must be {}");
        }
        let dry_run = fields.boolean("dry_run").unwrap_or(false);
        // A problem was noted for each that is missing, so that what stands in for it is never used.
        ActionRequest { action: action.unwrap_or(Action::Cancel), filter, ids, dry_run }
    })
}

fn read_ids(fields: &mut Fields) -> Option<Vec<JobId>> {
    let values = fields.list("ids", ACTION_JOBS_MAX)?;
    let mut ids = Vec::with_capacity(values.len());
    for (place, value) in values.iter().enumerate() {
        match serde_json::from_str::<String>(value.get()).ok().and_then(|text| text.parse().ok()) {
            Some(id) => ids.push(id),
            None => {
                let pointer = below(&fields.pointer("ids"), place);
                fields.problems().add(pointer, "must be the id of a job: a UUID with its four hyphens");
            }
        }
    }
    Some(ids)
}

/// Reads an object with `read`; any problem makes it an error.
pub fn read<T>(text: &str, read: impl FnOnce(&mut Fields) -> T) -> Result<T, ApiError> {
    let raw = raw_json(text)?;
    let mut problems = Problems::default();
    let value = Fields::open(raw, "", &mut problems).map(|mut fields| {
        let value = read(&mut fields);
        fields.finish();
        value
    });
    match value.filter(|_| problems.is_empty()) {
        Some(value) => Ok(value),
        None => Err(ApiError::invalid_request(problems)),
    }
}
