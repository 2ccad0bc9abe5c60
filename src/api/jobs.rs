//! Jobs one by one: submit, list, show, change, cancel, run again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use warp::http::header::{HeaderValue, LOCATION};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::filter;
use crate::api::filter::FilterParts;
use crate::api::query::{Parameter, Query, invalid};
use crate::api::request::Request;
use crate::api::requests::{AmendRequest, CancelRequest, RetryRequest};
use crate::api::route::Route;
use crate::api::{cursor, lease, past, payload, reply, requests, why};
use crate::domain::command::{Answer, Command};
use crate::domain::event::Actor;
use crate::domain::id::{Epoch, JobId, Ordinal, Seq};
use crate::domain::json::Json;
use crate::engine::Condition;
use crate::kinds::Catalog;
use crate::kinds::request::{JobRequest, RequestError, parse_job};
use crate::views::Head;
use crate::views::query::{JobPage, JobQuery, LIMIT_DEFAULT, LIMIT_MAX};
use crate::views::row::{JobBody, JobRow};

/// The longest that a reader may wait for a job to end, in seconds.
const WAIT_S_MAX: f64 = 50.0;

const LIMIT: Parameter =
    Parameter::integer("limit", "Rows of a page.").within(1, LIMIT_MAX as u64).or(LIMIT_DEFAULT as u64);
/// A submission of more bytes is understood on a thread of its own.
const INLINE_BYTES_MAX: usize = 64 * 1024;

const CURSOR: Parameter = Parameter::text("cursor", "The next_cursor of the page before.");
const WAIT_S: Parameter =
    Parameter::seconds("wait_s", "Answer when the job has ended, at the latest after so long: 0.1 to 50; more is 50.");
const LIST: &[Parameter] = &[
    filter::STATE,
    filter::KIND,
    filter::QUEUE,
    filter::TAG,
    filter::PARENT_ID,
    filter::SEARCH,
    LIMIT,
    CURSOR,
    past::AT,
];

/// The headers of a submission.
pub const SUBMIT_HEADERS: &[(&str, &str)] = &[
    ("Idempotency-Key", "The same key with equal JSON gives the same answer, and submits once."),
    ("Lease-Token", "A worker's token: the job becomes a child of the one that it holds."),
];
/// The errors of a submission.
pub const SUBMIT_ERRORS: &[&str] = &[
    "invalid_json",
    "forbidden_origin",
    "lease_lost",
    "unique_conflict",
    "queue_draining",
    "body_too_large",
    "unsupported_media_type",
    "invalid_request",
    "invalid_args",
    "unknown_kind",
    "dependency_cycle",
    "idempotency_mismatch",
    "overloaded",
    "storage_low",
    "storage_failed",
];

/// The errors of a change to one job.
const CHANGE_ERRORS: &[&str] = &[
    "invalid_json",
    "forbidden_origin",
    "job_not_found",
    "job_is_terminal",
    "job_is_running",
    "job_not_retryable",
    "unique_conflict",
    "queue_draining",
    "body_too_large",
    "unsupported_media_type",
    "invalid_request",
    "overloaded",
    "storage_low",
    "storage_failed",
];

/// A page of the list of jobs.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct JobList {
    /// Newest first.
    jobs: Vec<JobRow>,
    /// Where the next page begins; `null` on the last.
    next_cursor: Option<String>,
    /// The seq as of which the page was read, or earlier.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/api/jobs", submit)
            .named("submit_job", "Submits a job")
            .explained(
                "It is durable when this answers. With an `Idempotency-Key` a request may be repeated without fear: \
                 equal JSON is answered with the same job as it is now.",
            )
            .reads(SUBMIT_HEADERS)
            .body::<JobRequest>(true)
            .answers::<JobBody>(201, "The job, and its Location.")
            .with_headers(&["Location"])
            .answers::<JobBody>(200, "The job that an earlier request with this key made, as it is now.")
            .with_headers(&["Location", "Idempotency-Replayed"])
            .fails(SUBMIT_ERRORS),
        Route::new(Method::GET, "/api/jobs", list)
            .named("list_jobs", "Lists jobs, newest first")
            .explained(
                "Filters stand together: a job must fit them all. A cursor stays good while jobs arrive, and after a \
                 restart. With `at` a page may be short and have a next, when few jobs have the tag or the parent.",
            )
            .takes(LIST)
            .answers::<JobList>(
                200,
                "A page of rows. A search looks at so many rows a page at most that a short page may have a next.",
            )
            .fails(&["invalid_query", "position_lost"]),
        Route::new(Method::GET, "/api/jobs/{id}", show)
            .named("get_job", "Shows a job")
            .explained(
                "With `wait_s` it is answered as soon as the job has ended: no need to poll. With `at` it is shown as it was: \
                 progress as it is on record, and nothing that was purged since.",
            )
            .takes(&[WAIT_S, past::AT])
            .answers::<JobBody>(200, "The whole job.")
            .fails(&["invalid_query", "job_not_found", "position_lost"]),
        Route::new(Method::PATCH, "/api/jobs/{id}", amend)
            .named("amend_job", "Changes a job that waits")
            .explained("What is left out stays as it is. A job that runs or has ended cannot be changed.")
            .body::<AmendRequest>(true)
            .answers::<JobBody>(200, "The job as it is now.")
            .fails(CHANGE_ERRORS),
        Route::new(Method::POST, "/api/jobs/{id}/cancel", cancel)
            .named("cancel_job", "Cancels a job; a running one is asked to stop")
            .explained(
                "A job that waits is `cancelled` at once. A running one gets `cancel_requested_at`: a completion that \
                 still arrives wins, anything else makes it `cancelled`, and after the kind's `grace_s` its lease is \
                 ended. Asking again changes nothing, but with `children` it stops the next 10,000 of a larger tree.",
            )
            .body::<CancelRequest>(false)
            .answers::<JobBody>(200, "The job as it is now.")
            .fails(CHANGE_ERRORS),
        Route::new(Method::POST, "/api/jobs/{id}/retry", retry)
            .named("retry_job", "Queues a failed or cancelled job again, with fresh counters")
            .explained(
                "With `only_failed_items` also a completed batch, if it has failed or skipped items. Without it the \
                 items of a batch stay as they are, and the run is handed those that are pending. A job that waited \
                 for one that did not complete is retried after that one, or with it, by `dependents`: 10,000 at most, the \
                 others by `/api/jobs/actions`.",
            )
            .body::<RetryRequest>(false)
            .answers::<JobBody>(200, "The job as it is now.")
            .fails(CHANGE_ERRORS),
        Route::new(Method::GET, "/api/jobs/{id}/why", why)
            .named("explain_job", "Says why a job is not running yet, or why it ended as it did")
            .explained("A sentence for people, and the facts that it follows from for programs.")
            .answers::<why::Why>(200, "A sentence, and the facts behind it.")
            .fails(&["job_not_found"]),
    ]
}

async fn submit(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let (job, text) = understood(&ctx, request.json().await?, parse_job).await?;
    let args = job.args.clone();
    let (parent, actor) = parent(&ctx, &request)?;
    let args = parent.is_none().then_some(vec![args]);
    let command = requests::submit(&request, &text, vec![job], parent)?;
    let receipt = ctx.handle.submit(command, actor).await?;
    let Answer::Submitted { jobs, replayed } = receipt.answer else { unreachable!("a submit answers with its jobs") };
    let [id] = jobs[..] else { unreachable!("one job was submitted") };
    let mut bodies = bodies(&ctx, vec![id], args.filter(|_| !replayed)).await?;
    let body = bodies.pop().expect("one job was submitted");
    Ok(submitted(&request, replayed, receipt.seq, &body, Some(id)))
}

/// Understands a submission; a large one where that holds nobody up. Gives the text back.
pub async fn understood<T: Send + 'static>(
    ctx: &Arc<ApiContext>,
    text: String,
    parse: fn(&str, &Catalog) -> Result<T, RequestError>,
) -> Result<(T, String), ApiError> {
    if text.len() <= INLINE_BYTES_MAX {
        let parsed = parse(&text, &ctx.kinds())?;
        return Ok((parsed, text));
    }
    ctx.blocking(move |ctx| Ok((parse(&text, &ctx.kinds())?, text))).await
}

/// The lease that a submission is made under, and who makes it.
pub fn parent(
    ctx: &ApiContext,
    request: &Request,
) -> Result<(Option<crate::domain::command::LeaseProof>, Actor), ApiError> {
    let Some(token) = request.lease_token() else { return Ok((None, Actor::CLIENT)) };
    let (proof, actor) = lease::find(ctx, token)?;
    Ok((Some(proof), actor))
}

/// The answer to a submission: 201, or 200 when it was there already.
pub fn submitted(
    request: &Request,
    replayed: bool,
    seq: Seq,
    body: &impl serde::Serialize,
    location: Option<JobId>,
) -> Response {
    let status = if replayed { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = reply::as_of(seq, reply::json(status, body));
    let headers = response.headers_mut();
    if let Some(id) = location {
        let location = HeaderValue::from_str(&format!("/api/jobs/{id}")).expect("an id can be a header");
        headers.insert(LOCATION, location);
    }
    if replayed && request.header("idempotency-key").is_some() {
        headers.insert(reply::IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Jobs that were submitted. With `args`, those of new jobs, neither log nor disk need be read; without, and when one
/// has ended meanwhile, they are.
pub async fn bodies(
    ctx: &Arc<ApiContext>,
    jobs: Vec<JobId>,
    args: Option<Vec<Json>>,
) -> Result<Vec<JobBody>, ApiError> {
    if let Some(args) = args {
        let rows = jobs.iter().map(|&id| ctx.handle.views().row(id)).collect::<Result<Vec<_>, _>>()?;
        let fresh = |(row, args): (Option<JobRow>, Json)| {
            row.filter(|row| !row.state.is_terminal()).map(|row| row.with_payload(Some(args), None))
        };
        if let Some(bodies) = rows.into_iter().zip(args).map(fresh).collect() {
            return Ok(bodies);
        }
    }
    ctx.blocking(move |ctx| jobs.into_iter().map(|id| payload::job_body(&ctx.handle, id)).collect()).await
}

async fn list(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let at = past::at(&ctx, &request.query)?;
    let query = job_query(&request.query, at)?;
    let scope = scope(&query, at);
    let page: JobPage = match at {
        Some(at) => past::looking_back(&ctx, at, move |past| Ok(past.list(&query)?)).await?,
        None => ctx.blocking(move |ctx| Ok(ctx.handle.views().list(&query)?)).await?,
    };
    let next_cursor = page.next.map(|next| cursor::write(&scope, next.0.into()));
    let list = JobList { jobs: page.jobs, next_cursor, seq: page.seq, epoch: ctx.identity.epoch };
    Ok(reply::read(page.seq, &list))
}

fn job_query(query: &Query, at: Option<Seq>) -> Result<JobQuery, ApiError> {
    let filter = FilterParts::of_query(query)?;
    let limit = query.integer("limit", 1..=LIMIT_MAX as u64)?.map_or(LIMIT_DEFAULT, |limit| limit as usize);
    let asked = JobQuery { filter, before: None, limit };
    let place = cursor::read(query, &scope(&asked, at))?;
    Ok(JobQuery { before: place.map(|place| Ordinal(place as u64)), ..asked })
}

fn scope(query: &JobQuery, at: Option<Seq>) -> String {
    past::scope(format!("jobs {:?}", query.filter), at)
}

async fn show(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    let wait = request.query.seconds("wait_s", WAIT_S_MAX)?;
    if let Some(at) = past::at(&ctx, &request.query)? {
        return match wait {
            Some(_) => Err(invalid("wait_s", "does not go with at: what was does not change")),
            None => show_past(&ctx, id, at).await,
        };
    }
    if let Some(wait) = wait {
        wait_for_end(&ctx, id, Duration::from_millis(wait.0)).await?;
    }
    let seq = ctx.seq();
    let body = ctx.job_body(id).await?;
    Ok(reply::read(seq, &body))
}

async fn show_past(ctx: &Arc<ApiContext>, id: JobId, at: Seq) -> Result<Response, ApiError> {
    let body = past::looking_back(ctx, at, move |past| {
        let job = past.job(id)?.ok_or_else(|| ApiError::job_not_found(id))?;
        let row = past.row_of(&Head::of(job.clone()))?;
        payload::body_of(row, &job, &*past.log_of(id))
    });
    Ok(reply::read(at, &body.await?))
}

/// Waits until a job is terminal, or for `time_max`, or until the server stops.
async fn wait_for_end(ctx: &ApiContext, id: JobId, time_max: Duration) -> Result<(), ApiError> {
    let deadline = Instant::now() + time_max;
    let mut pages = ctx.handle.feed().subscribe();
    let mut condition = ctx.handle.condition();
    loop {
        let job = ctx.handle.views().job(id)?.ok_or_else(|| ApiError::job_not_found(id))?;
        if job.is_terminal() {
            return Ok(());
        }
        loop {
            let received = tokio::select! {
                received = pages.recv() => received,
                () = tokio::time::sleep_until(deadline) => return Ok(()),
                // Whoever still waits while the server stops would be cut off without an answer.
                _ = condition.wait_for(|condition| matches!(condition, Condition::Stopping)) => return Ok(()),
            };
            match received {
                Ok(page) if page.jobs.iter().any(|job| job.id == id) => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }
}

async fn amend(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    let command = requests::amend(id, &request.json().await?)?;
    change(&ctx, id, command).await
}

async fn cancel(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    let command = requests::cancel(id, &request.json_or_empty().await?)?;
    change(&ctx, id, command).await
}

async fn retry(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    let command = requests::retry(id, &request.json_or_empty().await?)?;
    change(&ctx, id, command).await
}

async fn change(ctx: &Arc<ApiContext>, id: JobId, command: Command) -> Result<Response, ApiError> {
    let receipt = ctx.handle.submit(command, Actor::CLIENT).await?;
    let body = ctx.job_body(id).await?;
    Ok(reply::read(receipt.seq, &body))
}

async fn why(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    let seq = ctx.seq();
    let why = ctx.blocking(move |ctx| why::of_job(ctx, id)).await?;
    Ok(reply::read(seq, &why))
}
