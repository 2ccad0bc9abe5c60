//! THE table: every code that the HTTP interface answers with, its status, its title, and what to do about it.
//!
//! Whatever went wrong becomes an [`ApiError`] here and nowhere else, and is shown as RFC 9457 problem details. Codes are
//! stable: one that was shipped is never renamed. Must never show what is not meant for people outside (paths, tokens).

use serde::Serialize;
use warp::http::StatusCode;
use warp::http::header::{ACCEPT, ALLOW, CONTENT_RANGE, HeaderName, HeaderValue};

use crate::domain::id::JobId;
use crate::domain::refusal::Refusal;
use crate::engine::SubmitError;
use crate::kinds::problem::{PROBLEMS_MAX, Problem, Problems, below};
use crate::kinds::request::RequestError;
use crate::log::ReadError;
use crate::views::ViewError;

/// One code and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    pub code: &'static str,
    pub status: u16,
    pub title: &'static str,
    /// The next step, where there is one that always helps.
    pub hint: Option<&'static str>,
}

const fn plain(code: &'static str, status: u16, title: &'static str) -> Meaning {
    Meaning { code, status, title, hint: None }
}

const fn hinted(code: &'static str, status: u16, title: &'static str, hint: &'static str) -> Meaning {
    Meaning { code, status, title, hint: Some(hint) }
}

/// All codes.
pub const TABLE: &[Meaning] = &[
    hinted("invalid_json", 400, "the body is not JSON", "send a JSON object as the body"),
    plain("unknown_subprotocol", 400, "the WebSocket offers only subprotocols that are not spoken here"),
    plain("invalid_query", 400, "a query parameter is wrong or unknown"),
    hinted(
        "forbidden_origin",
        403,
        "this origin may not change anything",
        "add it to allowed_origins under [auth] in daybook.toml",
    ),
    hinted("not_found", 404, "there is nothing here", "GET /api/openapi.json lists what there is"),
    plain("job_not_found", 404, "there is no such job"),
    plain("kind_not_found", 404, "there is no such kind in the configuration"),
    plain("queue_not_found", 404, "there is no such queue"),
    hinted("schedule_not_found", 404, "there is no such schedule", "GET /api/schedules lists the schedules"),
    hinted(
        "session_not_found",
        404,
        "there is no such session",
        "GET /api/workers lists the sessions; a worker registers again and names its old tokens in a heartbeat",
    ),
    plain("file_not_found", 404, "the job has no such file"),
    plain("preview_not_found", 404, "the job has no preview picture"),
    plain("method_not_allowed", 405, "this method is not for this path"),
    plain("unique_conflict", 409, "an active job has this unique_key"),
    plain("lease_lost", 409, "the lease is not held any more"),
    plain("job_is_terminal", 409, "the job has ended"),
    plain("job_is_running", 409, "the job is running"),
    plain("job_is_active", 409, "the job has not ended"),
    plain("job_not_retryable", 409, "the job cannot be run again"),
    hinted(
        "queue_draining",
        409,
        "the queue takes no new jobs",
        "use another queue, or end the drain with `daybook queues resume` (POST /api/queues/{queue}/resume)",
    ),
    hinted("schedule_exists", 409, "there is a schedule of this name", "PUT /api/schedules/{name} changes it"),
    hinted(
        "schedule_is_configured",
        409,
        "the schedule belongs to the configuration",
        "change it in daybook.toml, then send SIGHUP to the server",
    ),
    plain("schedule_moved_on", 409, "the schedule has another next time by now"),
    hinted("too_many_schedules", 409, "there are as many schedules as there may be", "drop one that is not needed"),
    hinted(
        "position_lost",
        410,
        "the log cannot go on from this position",
        "drop what you hold, read it anew, and go on from the seq of that answer",
    ),
    plain("body_too_large", 413, "the body is too large"),
    hinted(
        "unsupported_media_type",
        415,
        "the body has the wrong media type",
        "send the header Content-Type: application/json",
    ),
    plain("range_not_satisfiable", 416, "the file does not have this range"),
    hinted(
        "upgrade_required",
        426,
        "this path speaks WebSocket",
        "connect with the scheme ws and a WebSocket client: /api/live, or /api/worker",
    ),
    plain("invalid_request", 422, "a field is wrong, missing or unknown"),
    plain("invalid_args", 422, "the args do not fit the schema of the kind"),
    hinted("unknown_kind", 422, "this server does not take this kind", "GET /api/kinds lists the kinds"),
    plain("dependency_cycle", 422, "jobs of the bulk wait for each other in a circle"),
    hinted(
        "idempotency_mismatch",
        422,
        "the Idempotency-Key was used for another request",
        "use a new key for a new request",
    ),
    plain("internal", 500, "the server made a mistake"),
    hinted("unreadable", 500, "what is stored could not be read", "daybook verify checks the data directory"),
    hinted("starting", 503, "the server is starting", "try again; GET /health says how far it is"),
    plain("stopping", 503, "the server is stopping"),
    hinted("overloaded", 503, "too much is waiting", "try again after Retry-After"),
    hinted(
        "request_timeout",
        503,
        "the request took too long",
        "it was done wholly or not at all: repeat a submit with the same Idempotency-Key to learn which. Only \
         /api/jobs/actions works job by job: call it again, and it does the rest",
    ),
    hinted("storage_low", 507, "the disk has too little room for new work", "free some space on the data disk"),
    hinted(
        "storage_failed",
        507,
        "the log could not be written and the server is halted",
        "free some space on the data disk, then start the server again",
    ),
];

/// Seconds after which a server that had no time, or is starting, may be asked again.
pub const RETRY_AFTER_S: u32 = 1;

/// What went wrong, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    meaning: &'static Meaning,
    detail: String,
    job_id: Option<JobId>,
    errors: Vec<Problem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of an error: RFC 9457 problem details.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct ProblemBody<'a> {
    /// A name for the sort of problem: `urn:daybook:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// What sort of problem it is, for people.
    title: &'a str,
    /// The status of the answer.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What happened in this case.
    detail: &'a str,
    /// What sort of problem it is, for programs: a code is never renamed, and more may come.
    code: &'a str,
    /// The next step, where there is one that always helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    /// The job that stands in the way, or that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<JobId>,
    /// What is wrong with the request, pointer by pointer.
    #[serde(skip_serializing_if = "<[Problem]>::is_empty")]
    errors: &'a [Problem],
}

impl ApiError {
    /// An error with one of the codes of the table.
    ///
    /// # Panics
    /// When the table lacks the code.
    pub fn new(code: &str, detail: impl ToString) -> ApiError {
        let meaning = meaning(code).unwrap_or_else(|| panic!("the table of errors has the code {code}"));
        ApiError { meaning, detail: detail.to_string(), job_id: None, errors: Vec::new(), headers: Vec::new() }
    }

    /// There is no such job.
    pub fn job_not_found(job: JobId) -> ApiError {
        ApiError::from(Refusal::JobNotFound { job })
    }

    /// The path is there, but not for this method.
    pub fn method_not_allowed(method: &str, allow: String) -> ApiError {
        let error = ApiError::new("method_not_allowed", format!("{method} is not for this path; {allow} are"));
        error.with_header(ALLOW, &allow)
    }

    /// The body is of the wrong sort.
    pub fn unsupported_media_type(detail: impl ToString) -> ApiError {
        ApiError::new("unsupported_media_type", detail).with_header(ACCEPT, "application/json")
    }

    /// The range lies outside of a file with so many bytes.
    pub fn range_not_satisfiable(size: u64) -> ApiError {
        let detail = format!("the file has {size} bytes; ask for a range within them");
        ApiError::new("range_not_satisfiable", detail).with_header(CONTENT_RANGE, &format!("bytes */{size}"))
    }

    /// Fields are wrong.
    pub fn invalid_request(problems: Problems) -> ApiError {
        ApiError::from(RequestError::Invalid(problems.into_list()))
    }

    /// Names the entry of a bulk that was refused.
    pub fn in_bulk(refusal: Refusal) -> ApiError {
        ApiError::of_refusal(refusal, |entry| below("/jobs", entry))
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.meaning.code
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.meaning.status).expect("the table of errors has valid status codes")
    }

    /// Headers that belong to this error, such as `Allow`.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The value of the `Retry-After` header, in seconds: on each 503, for it says that only time is missing.
    pub fn retry_after_s(&self) -> Option<u32> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S)
    }

    /// What happened in this case, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The body of the answer.
    pub fn body(&self) -> ProblemBody<'_> {
        ProblemBody {
            kind: format!("urn:daybook:problem:{}", self.meaning.code),
            title: self.meaning.title,
            status: self.meaning.status,
            detail: &self.detail,
            code: self.meaning.code,
            hint: self.meaning.hint,
            job_id: self.job_id,
            errors: &self.errors,
        }
    }

    /// Names what is wrong with the request, pointer by pointer.
    pub fn about(mut self, problems: impl IntoIterator<Item = (String, impl ToString)>) -> ApiError {
        let problem = |(pointer, message): (String, _)| Problem { pointer, message: ToString::to_string(&message) };
        self.errors.extend(problems.into_iter().take(PROBLEMS_MAX).map(problem));
        self
    }

    fn with_header(mut self, name: HeaderName, value: &str) -> ApiError {
        let value = HeaderValue::from_str(value).expect("names of methods and numbers can be a header");
        self.headers.push((name, value));
        self
    }

    fn of_refusal(refusal: Refusal, base: impl Fn(usize) -> String) -> ApiError {
        let mut error = ApiError::new(refusal.code(), &refusal);
        error.job_id = job_of(&refusal);
        if let Some(pointer) = pointer_of(&refusal, base) {
            error.errors.push(Problem { pointer, message: refusal.to_string() });
        }
        error
    }
}

/// What a code means.
pub fn meaning(code: &str) -> Option<&'static Meaning> {
    TABLE.iter().find(|meaning| meaning.code == code)
}

/// The job that an answer names.
fn job_of(refusal: &Refusal) -> Option<JobId> {
    match *refusal {
        Refusal::UniqueConflict { holder, .. } => Some(holder),
        Refusal::JobNotFound { job }
        | Refusal::JobIsTerminal { job, .. }
        | Refusal::JobIsRunning { job }
        | Refusal::JobIsActive { job }
        | Refusal::JobWasPurged { job }
        | Refusal::JobNotRetryable { job, .. }
        | Refusal::DependencyNotRetried { job, .. }
        | Refusal::LeaseLost { job }
        | Refusal::IdempotencyMismatch { job }
        | Refusal::UnknownDependency { job, .. }
        | Refusal::UnknownParent { job, .. }
        | Refusal::UnknownItems { job, .. } => Some(job),
        Refusal::DependencyCycle { .. }
        | Refusal::TooManyDependencies { .. }
        | Refusal::TooManyItems { .. }
        | Refusal::DuplicateItem { .. }
        | Refusal::SessionNotFound { .. }
        | Refusal::QueueNotFound { .. }
        | Refusal::QueueDraining { .. }
        | Refusal::ScheduleNotFound { .. }
        | Refusal::ScheduleExists { .. }
        | Refusal::ScheduleIsConfigured { .. }
        | Refusal::TooManySchedules
        | Refusal::ScheduleMovedOn { .. } => None,
    }
}

/// The place in the request that a refusal is about; `base` gives the pointer of an entry.
fn pointer_of(refusal: &Refusal, base: impl Fn(usize) -> String) -> Option<String> {
    let within = |entry: usize, steps: &[&str]| steps.iter().fold(base(entry), |pointer, step| below(&pointer, step));
    match refusal {
        Refusal::UniqueConflict { entry, .. } => Some(within(*entry, &["unique_key"])),
        Refusal::QueueDraining { entry, .. } => entry.map(|entry| within(entry, &["queue"])),
        Refusal::DependencyCycle { entry, dependency } | Refusal::UnknownDependency { entry, dependency, .. } => {
            Some(within(*entry, &["depends_on", &dependency.to_string()]))
        }
        Refusal::UnknownParent { entry, .. } => Some(within(*entry, &["parent_id"])),
        Refusal::TooManyDependencies { entry } => Some(within(*entry, &["depends_on"])),
        Refusal::TooManyItems { entry } => Some(within(*entry, &["items"])),
        Refusal::DuplicateItem { entry, item, .. } => Some(within(*entry, &["items", &item.to_string(), "key"])),
        Refusal::JobNotFound { .. }
        | Refusal::JobIsTerminal { .. }
        | Refusal::JobIsRunning { .. }
        | Refusal::JobIsActive { .. }
        | Refusal::JobWasPurged { .. }
        | Refusal::JobNotRetryable { .. }
        | Refusal::DependencyNotRetried { .. }
        | Refusal::LeaseLost { .. }
        | Refusal::IdempotencyMismatch { .. }
        | Refusal::UnknownItems { .. }
        | Refusal::SessionNotFound { .. }
        | Refusal::QueueNotFound { .. }
        | Refusal::ScheduleNotFound { .. }
        | Refusal::ScheduleExists { .. }
        | Refusal::ScheduleIsConfigured { .. }
        | Refusal::TooManySchedules
        | Refusal::ScheduleMovedOn { .. } => None,
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        ApiError::of_refusal(refusal, |_| String::new())
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> ApiError {
        let code = match &error {
            SubmitError::Refused(_) => "internal",
            SubmitError::Overloaded => "overloaded",
            SubmitError::StorageLow { .. } => "storage_low",
            SubmitError::Halted { .. } => "storage_failed",
            SubmitError::Unreadable { .. } => "unreadable",
            SubmitError::Stopping => "stopping",
        };
        match error {
            SubmitError::Refused(refusal) => refusal.into(),
            other => ApiError::new(code, other),
        }
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> ApiError {
        let shown = ApiError::new(error.code(), &error);
        ApiError { errors: error.into_problems(), ..shown }
    }
}

impl From<ViewError> for ApiError {
    fn from(error: ViewError) -> ApiError {
        ApiError::new("unreadable", error)
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> ApiError {
        ApiError::new("unreadable", error)
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::job::StateName;

    use super::*;

    fn refusals() -> Vec<Refusal> {
        let job = JobId::from(uuid::Uuid::nil());
        let state = StateName::Completed;
        let name: crate::domain::id::ScheduleName = "nightly".parse().expect("a name");
        vec![
            Refusal::JobNotFound { job },
            Refusal::JobIsTerminal { job, state },
            Refusal::JobIsRunning { job },
            Refusal::JobIsActive { job },
            Refusal::JobWasPurged { job },
            Refusal::JobNotRetryable { job, state },
            Refusal::LeaseLost { job },
            Refusal::UniqueConflict { holder: job, entry: 3 },
            Refusal::IdempotencyMismatch { job },
            Refusal::DependencyCycle { entry: 1, dependency: 2 },
            Refusal::UnknownDependency { job, entry: 0, dependency: 1 },
            Refusal::UnknownParent { job, entry: 0 },
            Refusal::TooManyDependencies { entry: 0 },
            Refusal::TooManyItems { entry: 0 },
            Refusal::DuplicateItem { entry: 0, item: 5, key: "k".into() },
            Refusal::UnknownItems { job, keys: vec!["k".into()] },
            Refusal::SessionNotFound { session: crate::domain::id::SessionId(uuid::Uuid::nil()) },
            Refusal::QueueNotFound { queue: "q".parse().expect("a name") },
            Refusal::QueueDraining { queue: "q".parse().expect("a name"), entry: Some(2) },
            Refusal::ScheduleNotFound { name: name.clone() },
            Refusal::ScheduleExists { name: name.clone() },
            Refusal::ScheduleIsConfigured { name: name.clone() },
            Refusal::TooManySchedules,
            Refusal::ScheduleMovedOn { name },
        ]
    }

    #[test]
    fn every_refusal_has_its_place_in_the_table() {
        for refusal in refusals() {
            assert_eq!(ApiError::from(refusal.clone()).code(), refusal.code());
        }
    }

    #[test]
    fn no_code_stands_in_the_table_twice() {
        for (place, entry) in TABLE.iter().enumerate() {
            assert!(TABLE[..place].iter().all(|other| other.code != entry.code), "{}", entry.code);
        }
    }

    #[test]
    fn a_refused_entry_of_a_bulk_is_named_by_its_pointer() {
        let holder = JobId::from(uuid::Uuid::nil());
        let alone = ApiError::from(Refusal::UniqueConflict { holder, entry: 0 });
        assert_eq!(alone.errors[0].pointer, "/unique_key");
        let bulk = ApiError::in_bulk(Refusal::DependencyCycle { entry: 1, dependency: 2 });
        assert_eq!(bulk.errors[0].pointer, "/jobs/1/depends_on/2");
        let body = serde_json::to_value(alone.body()).expect("writes");
        assert_eq!(body["job_id"], holder.to_string());
        assert_eq!((body["status"].as_u64(), body["code"].as_str()), (Some(409), Some("unique_conflict")));
        assert_eq!(body["type"], "urn:daybook:problem:unique_conflict");
    }

    #[test]
    fn what_is_not_the_requests_fault_gets_its_own_status() {
        let status = |error: SubmitError| ApiError::from(error).status().as_u16();
        assert_eq!(status(SubmitError::Overloaded), 503);
        assert_eq!(status(SubmitError::StorageLow { free: 1, min: 2 }), 507);
        assert_eq!(status(SubmitError::Halted { detail: "disk".into() }), 507);
        assert_eq!(ApiError::from(SubmitError::Overloaded).retry_after_s(), Some(1));
        assert_eq!(ApiError::from(SubmitError::Stopping).retry_after_s(), Some(1));
        assert_eq!(ApiError::from(SubmitError::StorageLow { free: 1, min: 2 }).retry_after_s(), None);
    }
}
