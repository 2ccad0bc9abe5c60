//! The JSON that asks for a job, from text to a `NewJob` with every default filled in: in two steps, `read` (what it
//! says) and `resolve` (what it means for the kinds there are). All problems of a request are named at once.
//!
//! It is the body of `POST /api/jobs`, an entry of a bulk, and the `job` of a worker's `submit`. Rules that need the
//! state (does that dependency exist, is the key free) are decided in `domain`, not here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::domain::batch::NewItem;
use crate::domain::command::{Dependency, NewJob, Start};
use crate::domain::id::{JobId, KindName, QueueName, Tag};
use crate::domain::json::Json;
pub use crate::domain::limits::{
    ATTEMPTS_MAX, DEPENDENCIES_MAX, ITEM_KEY_BYTES_MAX, ITEMS_MAX, PRIORITY_MAX, TAG_BYTES_MAX, TAGS_MAX,
    UNIQUE_KEY_BYTES_MAX,
};
use crate::domain::retry::Policy;
use crate::domain::time::{Millis, Timestamp};
use crate::kinds::catalog::{Catalog, Kind, KindSettings};
use crate::kinds::fields::{Fields, SECONDS_MAX, SECONDS_MIN, Zero, nearest};
use crate::kinds::problem::{Problem, Problems, below};
use crate::kinds::schema::ArgsSchema;

/// The most jobs that one bulk submits.
pub const BULK_JOBS_MAX: usize = 1000;
/// The most bytes that args may have.
pub const ARGS_BYTES_MAX: usize = 12 * 1024 * 1024;
/// The most bytes of a `ref` in a bulk.
const REF_BYTES_MAX: usize = 128;

/// A job as a client asks for it. What is absent follows from the kind, or from the defaults of the server.
#[derive(Debug, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct JobRequest {
    /// Which program runs it.
    pub kind: KindName,
    /// The JSON object that the worker gets; checked against the schema of the kind.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub args: Json,
    /// Where it waits; the kind's queue unless told.
    pub queue: Option<QueueName>,
    /// Higher is sooner; 0 unless told.
    #[schemars(range(min = -PRIORITY_MAX, max = PRIORITY_MAX))]
    pub priority: Option<i8>,
    /// Attempts that may fail before the job does; what the kind says unless told, and that is 2 unless configured.
    #[schemars(range(min = 1, max = ATTEMPTS_MAX))]
    pub max_attempts: Option<u32>,
    /// Not before this moment. Excludes `delay_s`.
    pub scheduled_at: Option<Timestamp>,
    /// Not before so many seconds from now: 0, or 0.1 and more. Excludes `scheduled_at`.
    #[schemars(rename = "delay_s", with = "Option<f64>", range(min = 0, max = SECONDS_MAX))]
    pub delay: Option<Millis>,
    /// Running time of one attempt, in seconds; what the kind says unless told, and that is no limit unless configured.
    #[schemars(rename = "timeout_s", with = "Option<f64>", range(min = SECONDS_MIN, max = SECONDS_MAX))]
    pub timeout: Option<Millis>,
    /// Labels to find it by.
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_BYTES_MAX)))]
    pub tags: Option<Vec<Tag>>,
    /// Unique per kind among active jobs; free again when its holder has ended.
    #[schemars(length(min = 1, max = UNIQUE_KEY_BYTES_MAX))]
    pub unique_key: Option<Arc<str>>,
    /// The job that it is a child of. It does not wait for its children.
    pub parent_id: Option<JobId>,
    /// Ids of jobs that must complete first; in a bulk also `#ref` of another entry.
    #[schemars(with = "Option<Vec<String>>", length(max = DEPENDENCIES_MAX))]
    pub depends_on: Vec<DependsOn>,
    /// The units of a batch; no two have the same key.
    #[schemars(with = "Option<Vec<NewItem>>", length(max = ITEMS_MAX))]
    pub items: Vec<NewItem>,
    /// In a bulk: the name by which other entries refer to this one, as `#name`.
    #[schemars(rename = "ref", length(min = 1, max = REF_BYTES_MAX))]
    pub reference: Option<String>,
}

/// What a job waits for, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DependsOn {
    Id(JobId),
    Ref(String),
}

/// Jobs to submit at once.
#[derive(Debug, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BulkRequest {
    /// The jobs, all or none of them.
    #[schemars(length(min = 1, max = BULK_JOBS_MAX))]
    pub jobs: Vec<JobRequest>,
}

/// Why a request for jobs was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error("the request has fields that are wrong, missing or unknown")]
    Invalid(Vec<Problem>),
    #[error("the kind is not one of those that this server takes")]
    UnknownKind(Vec<Problem>),
    #[error("the args do not fit the schema of the kind")]
    InvalidArgs(Vec<Problem>),
    #[error("the args at {pointer} have {bytes} bytes; at most {ARGS_BYTES_MAX} are allowed")]
    ArgsTooLarge { pointer: String, bytes: usize },
}

impl RequestError {
    /// The stable code that programs may compare.
    pub fn code(&self) -> &'static str {
        match self {
            RequestError::NotJson(_) => "invalid_json",
            RequestError::Invalid(_) => "invalid_request",
            RequestError::UnknownKind(_) => "unknown_kind",
            RequestError::InvalidArgs(_) => "invalid_args",
            RequestError::ArgsTooLarge { .. } => "body_too_large",
        }
    }

    /// What is wrong, pointer by pointer.
    pub fn into_problems(self) -> Vec<Problem> {
        match self {
            RequestError::NotJson(_) | RequestError::ArgsTooLarge { .. } => Vec::new(),
            RequestError::Invalid(list) | RequestError::UnknownKind(list) | RequestError::InvalidArgs(list) => list,
        }
    }
}

/// Turns the JSON of one job into a `NewJob`.
///
/// # Errors
/// With every problem that can be seen without the state.
pub fn parse_job(text: &str, catalog: &Catalog) -> Result<NewJob, RequestError> {
    parse_job_at(raw_json(text)?, "", catalog)
}

/// Turns the JSON of one job, which stands at `base` in a request, into a `NewJob`.
///
/// # Errors
/// With every problem that can be seen without the state, at pointers below `base`.
pub fn parse_job_at(raw: &RawValue, base: &str, catalog: &Catalog) -> Result<NewJob, RequestError> {
    let mut found = Found::default();
    let request = JobRequest::read(raw, base, &mut found, Place::Alone);
    let job = request.and_then(|request| request.resolve(base, catalog, &BTreeMap::new(), &mut found));
    found.into_result()?;
    Ok(job.expect("a request without a problem makes a job"))
}

/// Turns the JSON of a bulk, `{"jobs": […]}`, into its jobs in order.
///
/// # Errors
/// With every problem that can be seen without the state, at pointers like `/jobs/17/args/steps`.
pub fn parse_bulk(text: &str, catalog: &Catalog) -> Result<Vec<NewJob>, RequestError> {
    let raw = raw_json(text)?;
    let mut found = Found::default();
    let entries = read_entries(raw, &mut found.request);
    let pointers: Vec<String> = (0..entries.len()).map(|place| below("/jobs", place)).collect();
    let pairs = entries.iter().zip(&pointers);
    let requests: Vec<Option<JobRequest>> =
        pairs.map(|(entry, pointer)| JobRequest::read(entry, pointer, &mut found, Place::InBulk)).collect();
    let refs = collect_refs(&requests, &mut found.request);
    let pairs = requests.into_iter().zip(&pointers);
    let jobs: Vec<Option<NewJob>> =
        pairs.map(|(request, pointer)| request?.resolve(pointer, catalog, &refs, &mut found)).collect();
    found.into_result()?;
    Ok(jobs.into_iter().map(|job| job.expect("a request without a problem makes a job")).collect())
}

/// Borrows a text as one JSON value.
///
/// # Errors
/// With the place at which it stops being JSON.
pub fn raw_json(text: &str) -> Result<&RawValue, RequestError> {
    if text.trim().is_empty() {
        return Err(RequestError::NotJson("it is empty".to_owned()));
    }
    serde_json::from_str(text).map_err(|error| RequestError::NotJson(error.to_string()))
}

/// Whether a job is asked for alone or in a bulk, where entries may name each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    InBulk,
}

/// What was found wrong, by the code that it is answered with.
#[derive(Default)]
struct Found {
    request: Problems,
    kind: Problems,
    args: Problems,
    too_large: Option<RequestError>,
}

impl Found {
    fn into_result(self) -> Result<(), RequestError> {
        if let Some(error) = self.too_large {
            return Err(error);
        }
        let error = match (self.request.is_empty(), self.kind.is_empty(), self.args.is_empty()) {
            (true, true, true) => return Ok(()),
            (true, true, false) => RequestError::InvalidArgs,
            (true, false, _) => RequestError::UnknownKind,
            (false, _, _) => RequestError::Invalid,
        };
        Err(error([self.request, self.kind, self.args].into_iter().flat_map(Problems::into_list).collect()))
    }
}

fn read_entries<'a>(raw: &'a RawValue, problems: &mut Problems) -> Vec<&'a RawValue> {
    let Some(mut fields) = Fields::open(raw, "", problems) else { return Vec::new() };
    let hint = ": an array of the jobs to submit";
    let entries = fields.required("jobs", hint).and_then(|list| fields.elements("jobs", list, BULK_JOBS_MAX));
    if entries.as_ref().is_some_and(Vec::is_empty) {
        fields.problem("jobs", "is empty; name at least one job");
    }
    fields.finish();
    entries.unwrap_or_default()
}

fn collect_refs(requests: &[Option<JobRequest>], problems: &mut Problems) -> BTreeMap<String, usize> {
    let mut refs = BTreeMap::new();
    for (place, request) in requests.iter().enumerate() {
        let Some(reference) = request.as_ref().and_then(|request| request.reference.clone()) else { continue };
        if let Some(first) = refs.insert(reference, place) {
            problems.add(below(&below("/jobs", place), "ref"), format!("is the ref of /jobs/{first} already"));
        }
    }
    refs
}

impl JobRequest {
    /// Reads what a request says. None when it does not even name a kind and args.
    fn read(raw: &RawValue, base: &str, found: &mut Found, place: Place) -> Option<JobRequest> {
        let mut fields = Fields::open(raw, base, &mut found.request)?;
        let kind = fields.required("kind", "").and_then(|kind| fields.parse_value("kind", kind));
        let args = fields.required("args", "; send {} for a kind that takes none");
        let args = args.and_then(|args| read_args(args, &mut fields));
        let (scheduled_at, delay) = (fields.moment("scheduled_at"), fields.seconds("delay_s", Zero::Allowed));
        if scheduled_at.is_some() && delay.is_some() {
            fields.problem("delay_s", "excludes scheduled_at; send one of them");
        }
        let queue = fields.parsed("queue");
        let priority = read_priority(&mut fields);
        let max_attempts = fields.integer("max_attempts", 1..=ATTEMPTS_MAX).map(|number| number as u32);
        let timeout = fields.seconds("timeout_s", Zero::Refused);
        let tags = read_tags(&mut fields);
        let unique_key = fields.short_text("unique_key", UNIQUE_KEY_BYTES_MAX).map(Arc::from);
        let parent_id = fields.parsed("parent_id");
        let depends_on = read_dependencies(&mut fields, place);
        let items = read_items(&mut fields, "items");
        let reference = match place {
            Place::Alone => None,
            Place::InBulk => fields.short_text("ref", REF_BYTES_MAX),
        };
        fields.finish();
        Some(JobRequest {
            kind: kind?,
            args: args?,
            queue,
            priority,
            max_attempts,
            scheduled_at,
            delay,
            timeout,
            tags,
            unique_key,
            parent_id,
            depends_on,
            items,
            reference,
        })
    }

    /// Says what the request means: defaults of the kind, args against its schema.
    fn resolve(
        self,
        base: &str,
        catalog: &Catalog,
        refs: &BTreeMap<String, usize>,
        found: &mut Found,
    ) -> Option<NewJob> {
        if !catalog.takes(&self.kind) {
            let near = nearest(self.kind.as_str(), catalog.kinds().map(|kind| kind.name.as_str()));
            let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            found.kind.add(below(base, "kind"), format!("{:?} is not a kind of this server{hint}", self.kind.as_str()));
            return None;
        }
        let kind = catalog.get(&self.kind);
        let args_base = below(base, "args");
        let args = match kind.and_then(|kind| kind.schema.as_ref()) {
            Some(schema) => fit(schema, self.args.clone(), &args_base, &mut found.args),
            None => self.args.clone(),
        };
        if args.as_str().len() > ARGS_BYTES_MAX {
            let bytes = args.as_str().len();
            found.too_large = Some(RequestError::ArgsTooLarge { pointer: args_base, bytes });
            return None;
        }
        let depends_on = self.resolve_dependencies(base, refs, &mut found.request)?;
        Some(self.into_job(kind, args, depends_on))
    }

    fn resolve_dependencies(
        &self,
        base: &str,
        refs: &BTreeMap<String, usize>,
        problems: &mut Problems,
    ) -> Option<Vec<Dependency>> {
        let mut resolved = Vec::with_capacity(self.depends_on.len());
        for (place, dependency) in self.depends_on.iter().enumerate() {
            match dependency {
                DependsOn::Id(id) => resolved.push(Dependency::Job(*id)),
                DependsOn::Ref(name) => match refs.get(name) {
                    Some(&entry) => resolved.push(Dependency::Entry(entry)),
                    None => {
                        let pointer = below(&below(base, "depends_on"), place);
                        problems.add(pointer, format!("no entry of this bulk has the ref {name:?}"));
                    }
                },
            }
        }
        (resolved.len() == self.depends_on.len()).then_some(resolved)
    }

    fn into_job(self, kind: Option<&Kind>, args: Json, depends_on: Vec<Dependency>) -> NewJob {
        let KindSettings { queue, policy, .. } = kind.map(|kind| kind.settings.clone()).unwrap_or_default();
        let start = match (self.scheduled_at, self.delay) {
            (Some(moment), _) => Start::At(moment),
            (None, Some(delay)) if delay.0 > 0 => Start::After(delay),
            (None, _) => Start::Now,
        };
        NewJob {
            kind: self.kind,
            args,
            queue: self.queue.unwrap_or(queue),
            priority: self.priority.unwrap_or(0),
            policy: Policy {
                max_attempts: self.max_attempts.unwrap_or(policy.max_attempts),
                timeout: self.timeout.or(policy.timeout),
                ..policy
            },
            start,
            tags: self.tags.unwrap_or_default(),
            unique_key: self.unique_key,
            parent_id: self.parent_id,
            depends_on,
            items: self.items,
        }
    }
}

/// Reads a priority: a submission's or a change's.
pub fn read_priority(fields: &mut Fields) -> Option<i8> {
    fields.integer("priority", -PRIORITY_MAX..=PRIORITY_MAX).map(|number| number as i8)
}

fn read_args(raw: &RawValue, fields: &mut Fields) -> Option<Json> {
    if !raw.get().starts_with('{') {
        fields.problem("args", "must be an object");
        return None;
    }
    Json::parse(raw.get()).map_err(|error| fields.problem("args", error)).ok()
}

/// Fills in the defaults of the schema, then checks. Args that lack nothing keep the text in which they were sent.
fn fit(schema: &ArgsSchema, args: Json, base: &str, problems: &mut Problems) -> Json {
    let mut value = args.to_value();
    let filled = schema.fill_defaults(&mut value);
    schema.check(&value, base, problems);
    if filled { Json::of(&value) } else { args }
}

/// Reads the labels of a job: a submission's or a change's.
pub fn read_tags(fields: &mut Fields) -> Option<Vec<Tag>> {
    let elements = fields.list("tags", TAGS_MAX)?;
    let mut tags = Vec::with_capacity(elements.len());
    for (place, element) in elements.iter().enumerate() {
        match serde_json::from_str::<String>(element.get()) {
            Ok(tag) if (1..=TAG_BYTES_MAX).contains(&tag.len()) => tags.push(Tag::from(tag)),
            _ => {
                let pointer = below(&fields.pointer("tags"), place);
                fields.problems().add(pointer, format!("must be a string of 1 to {TAG_BYTES_MAX} bytes"));
            }
        }
    }
    Some(tags)
}

fn read_dependencies(fields: &mut Fields, place: Place) -> Vec<DependsOn> {
    let elements = fields.list("depends_on", DEPENDENCIES_MAX).unwrap_or_default();
    let base = fields.pointer("depends_on");
    let mut known = BTreeSet::new();
    let mut dependencies = Vec::with_capacity(elements.len());
    for (number, element) in elements.iter().enumerate() {
        let pointer = below(&base, number);
        match read_dependency(element, place) {
            Ok(dependency) if known.insert(dependency.clone()) => dependencies.push(dependency),
            Ok(_) => fields.problems().add(pointer, "is named twice"),
            Err(message) => fields.problems().add(pointer, message),
        }
    }
    dependencies
}

fn read_dependency(element: &RawValue, place: Place) -> Result<DependsOn, &'static str> {
    let text: String = serde_json::from_str(element.get()).map_err(|_| "must be the id of a job")?;
    match (text.strip_prefix('#'), place) {
        (Some(name), Place::InBulk) => Ok(DependsOn::Ref(name.to_owned())),
        (Some(_), Place::Alone) => Err("a #ref names an entry of the same bulk; here ids only"),
        (None, _) => {
            text.parse().map(DependsOn::Id).map_err(|_| "must be the id of a job: a UUID with its four hyphens")
        }
    }
}

/// Reads a list of new items: a submission's or a worker's `add_items`. Keys are unique among them.
pub fn read_items(fields: &mut Fields, name: &'static str) -> Vec<NewItem> {
    let elements = fields.list(name, ITEMS_MAX).unwrap_or_default();
    let base = fields.pointer(name);
    let mut known = BTreeSet::new();
    let mut items = Vec::with_capacity(elements.len());
    for (place, element) in elements.iter().enumerate() {
        let pointer = below(&base, place);
        let Some(item) = read_item(element, &pointer, fields.problems()) else { continue };
        if known.insert(item.key.clone()) {
            items.push(item);
        } else {
            fields.problems().add(below(&pointer, "key"), format!("two items have the key {:?}", item.key));
        }
    }
    items
}

fn read_item(element: &RawValue, pointer: &str, problems: &mut Problems) -> Option<NewItem> {
    let mut fields = Fields::open(element, pointer, problems)?;
    let key = fields.required("key", "").and_then(|key| fields.value_text("key", key, ITEM_KEY_BYTES_MAX));
    let args = fields.raw("args").and_then(|args| {
        let args = Json::parse(args.get());
        args.map_err(|error| fields.problem("args", error)).ok()
    });
    fields.finish();
    Some(NewItem { key: key?.into(), args })
}

#[cfg(test)]
mod tests;
