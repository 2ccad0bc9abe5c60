//! Workers: the sessions that are live, what each runs, and how a worker over plain HTTP comes, claims, beats and goes.
//! The log knows who came and who holds what; when a worker was last heard of, only its session knows.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::request::Request;
use crate::api::route::{Content, Route};
use crate::api::worker_requests::{ClaimRequest, HeartbeatRequest, RegisterRequest};
use crate::api::{paging, past, reply, worker_requests};
use crate::domain::event::WorkerLeftCause;
use crate::domain::id::{Epoch, JobId, Seq, SessionId};
use crate::sessions::Session;
use crate::sessions::drive::frame_of;
use crate::sessions::frames::{JobFrame, ServerFrame};
use crate::sessions::polling::to_the_end;
use crate::sessions::troubles::Trouble;
use crate::views::row::{WorkerRow, WorkerState};

/// The workers.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct WorkerList {
    /// In the order in which they joined.
    workers: Vec<WorkerRow>,
    /// Worker processes that are not there although they should be, and when each is started again; on every page.
    /// Empty with `at`.
    restarting: Vec<Trouble>,
    /// Seconds between two beats of a worker in order. After some that did not come it is lost.
    #[schemars(range(min = 0))]
    beat_s: f64,
    /// Where the next page begins; `null` on the last.
    next_cursor: Option<String>,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// What a worker that registered has to know.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct Registered {
    /// Its session: it names it in every claim and heartbeat.
    session: SessionId,
    /// This run of the server.
    epoch: Epoch,
    /// Seconds after which a lease ends that no heartbeat names.
    #[schemars(range(min = 0))]
    lease_s: f64,
    /// Seconds between two heartbeats.
    #[schemars(range(min = 0))]
    beat_s: f64,
}

/// The jobs that a claim was granted.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct ClaimAnswer {
    /// At least one.
    #[schemars(with = "Vec<HandedJob>")]
    jobs: Vec<Box<RawValue>>,
}

/// A job to run, as over every transport.
#[derive(schemars::JsonSchema)]
#[schemars(rename = "HandedJob")]
#[expect(dead_code, reason = "it describes what another type writes")]
struct HandedJob {
    /// Always `job`.
    r#type: String,
    #[schemars(flatten)]
    frame: JobFrame,
}

/// What has become of what the worker holds, and what it shall do.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct Beaten {
    /// The named leases that hold, for another lease's length.
    extended: Vec<JobId>,
    /// The named jobs that shall stop: release or fail them. Those whose time was over are in `lost` as well.
    cancel: Vec<JobId>,
    /// The named leases that do not hold: whatever is still said about them changes nothing.
    lost: Vec<JobId>,
    /// What the worker shall do: run, take no more jobs, or go.
    worker: WorkerState,
    /// This run of the server.
    epoch: Epoch,
}

/// The most bytes of jobs in one answer to a claim, unless it is one job: args have up to 12 MiB each, and a claim may
/// name a thousand jobs.
const CLAIM_BYTES_MAX: usize = 16 * 1024 * 1024;

const SESSION_ERRORS: &[&str] = &[
    "invalid_json",
    "forbidden_origin",
    "session_not_found",
    "body_too_large",
    "unsupported_media_type",
    "invalid_request",
    "overloaded",
    "storage_failed",
];

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/workers", list)
            .named("list_workers", "Lists the live sessions of workers")
            .explained(
                "What each takes, which jobs it holds, when it was last heard of, and what it is asked to do. With `at` the \
                 last two are not known: a worker is shown as heard of when it joined.",
            )
            .takes(&[paging::LIMIT, paging::CURSOR, past::AT])
            .answers::<WorkerList>(200, "A page of sessions.")
            .fails(&["invalid_query", "position_lost"]),
        Route::new(Method::POST, "/api/workers", register)
            .named("register_worker", "Begins the session of a worker that calls")
            .explained("The session lives for `lease_s` after each call, and as long as a claim is open.")
            .body::<RegisterRequest>(false)
            .answers::<Registered>(201, "The session.")
            .fails(SESSION_ERRORS),
        Route::new(Method::DELETE, "/api/workers/{session}", close)
            .named("close_worker", "Ends the session of a worker that calls, in order")
            .explained("What it still holds is queued again at once; that uses up no attempt and is no loss.")
            .answer(204, "It has ended.", Content::Nothing)
            .fails(SESSION_ERRORS),
        Route::new(Method::POST, "/api/workers/{session}/quiet", quiet)
            .named("quiet_worker", "Lets a worker finish what it holds and take no more")
            .explained("It is told at once over a connection, and with its next heartbeat otherwise.")
            .answers::<WorkerRow>(200, "The worker as it is now.")
            .fails(SESSION_ERRORS),
        Route::new(Method::POST, "/api/workers/{session}/terminate", terminate)
            .named("terminate_worker", "Tells a worker to stop")
            .explained(
                "It gets no more jobs and is told to give back what it holds, and to go. A child process that stays is ended \
                 after the `grace_s` of its kind, and started again.",
            )
            .answers::<WorkerRow>(200, "The worker as it is now.")
            .fails(SESSION_ERRORS),
        Route::new(Method::POST, "/api/claim", claim)
            .named("claim_jobs", "Takes jobs")
            .explained(
                "Answered as soon as there is one; jobs go round-robin to those that wait. Who hangs up before the answer \
                 gives back what was on its way. Jobs that would make the answer larger than 16 MiB are given back too.",
            )
            .body::<ClaimRequest>(true)
            .answers::<ClaimAnswer>(200, "Jobs, each with the token of its lease.")
            .answer(204, "None came in time.", Content::Nothing)
            .fails(SESSION_ERRORS),
        Route::new(Method::POST, "/api/heartbeat", heartbeat)
            .named("beat", "Says that a worker lives, and what it holds")
            .explained(
                "One call for all leases of a session. Name every job that you work on: a lease that is not named ends. \
                 Leases of a former session, also of a former run of the server, come over to this one.",
            )
            .body::<HeartbeatRequest>(true)
            .answers::<Beaten>(200, "What has become of them.")
            .fails(SESSION_ERRORS),
    ]
}

async fn list(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let at = past::at(&ctx, &request.query)?;
    let seq = at.unwrap_or(ctx.seq());
    let (workers, restarting) = match at {
        Some(at) => (past::looking_back(&ctx, at, |past| Ok(past.workers()?)).await?, Vec::new()),
        None => (ctx.handle.views().workers(), ctx.sessions.troubles().list()),
    };
    let page = paging::cut(&request.query, &past::scope("workers".to_owned(), at), workers)?;
    let epoch = ctx.identity.epoch;
    let beat_s = ctx.sessions.settings().ping.as_secs();
    Ok(reply::read(seq, &WorkerList { workers: page.rows, restarting, beat_s, next_cursor: page.next, seq, epoch }))
}

async fn register(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let (joining, concurrency) = worker_requests::register(&request.json_or_empty().await?)?;
    let sessions = ctx.sessions.clone();
    let session = to_the_end(async move { sessions.join(joining).await }).await?;
    session.set_slots(concurrency);
    let settings = ctx.sessions.settings();
    let registered = Registered {
        session: session.id(),
        epoch: ctx.identity.epoch,
        lease_s: settings.lease.as_secs(),
        beat_s: settings.ping.as_secs(),
    };
    Ok(reply::as_of(ctx.seq(), reply::json(StatusCode::CREATED, &registered)))
}

/// A live session of a worker that calls.
fn caller(ctx: &ApiContext, id: SessionId) -> Result<Arc<Session>, ApiError> {
    let session = ctx.sessions.get(id).filter(|session| session.claims_by_calls());
    session.ok_or_else(|| ApiError::new("session_not_found", format!("{id} is no live session of a worker that calls")))
}

fn session_id(request: &Request) -> Result<SessionId, ApiError> {
    request.parsed_param("session", "session_not_found")
}

async fn close(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let session = caller(&ctx, session_id(&request)?)?;
    to_the_end(async move { session.leave(WorkerLeftCause::Closed).await }).await?;
    Ok(reply::as_of(ctx.seq(), reply::nothing()))
}

async fn quiet(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    set_mode(&ctx, session_id(&request)?, WorkerState::Quiet)
}

async fn terminate(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    set_mode(&ctx, session_id(&request)?, WorkerState::Terminate)
}

fn set_mode(ctx: &ApiContext, id: SessionId, mode: WorkerState) -> Result<Response, ApiError> {
    let unknown = || ApiError::new("session_not_found", format!("there is no session {id}"));
    ctx.sessions.get(id).ok_or_else(unknown)?.set_mode(mode);
    let seq = ctx.seq();
    let row = ctx.handle.views().worker(id).ok_or_else(unknown)?;
    Ok(reply::read(seq, &row))
}

async fn claim(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let (id, max, wait) = worker_requests::claim(&request.json().await?)?;
    let session = caller(&ctx, id)?;
    let claimed = tokio::select! {
        claimed = session.claim(max, Duration::from_millis(wait.0)) => claimed?,
        () = ctx.sessions.parts_with_workers() => {
            return Err(ApiError::new("stopping", "no more jobs are granted; claim again when the server is back"));
        }
    };
    let Some(claimed) = claimed else { return Ok(reply::as_of(ctx.seq(), reply::nothing())) };
    let (mut jobs, mut handed, mut bytes) = (Vec::new(), 0, 0);
    for grant in claimed.granted() {
        let frame = frame_of(&session, grant).await?.as_ref().map(written);
        bytes += frame.as_ref().map_or(0, |frame| frame.get().len());
        if bytes > CLAIM_BYTES_MAX && !jobs.is_empty() {
            break;
        }
        jobs.extend(frame);
        handed += 1;
    }
    claimed.hand_over_first(handed);
    if jobs.is_empty() {
        return Ok(reply::as_of(ctx.seq(), reply::nothing()));
    }
    Ok(reply::read(ctx.seq(), &ClaimAnswer { jobs }))
}

fn written(frame: &ServerFrame) -> Box<RawValue> {
    serde_json::value::to_raw_value(frame).expect("a frame can be written as JSON")
}

async fn heartbeat(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let (id, leases) = worker_requests::heartbeat(&request.json().await?)?;
    let unknown = || ApiError::new("session_not_found", format!("there is no session {id}"));
    let session = ctx.sessions.get(id).filter(|session| session.is_elsewhere()).ok_or_else(unknown)?;
    let beat = to_the_end(async move { session.heartbeat(&leases).await }).await?;
    let (extended, cancel, lost, worker) = (beat.extended, beat.cancel, beat.lost, beat.mode);
    Ok(reply::read(ctx.seq(), &Beaten { extended, cancel, lost, worker, epoch: ctx.identity.epoch }))
}
