//! The server about itself: health, sessions, numbers, and the description of this interface.

use std::sync::Arc;

use warp::http::header::{HeaderValue, RETRY_AFTER};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use crate::api::context::{ApiContext, Identity};
use crate::api::door::Door;
use crate::api::error::{ApiError, RETRY_AFTER_S};
use crate::api::gauges::Standing;
use crate::api::request::Request;
use crate::api::route::{Content, Route};
use crate::api::{asyncapi, gauges, openapi, reply};
use crate::domain::id::{Epoch, Seq, SessionId};
use crate::domain::time::Timestamp;
use crate::engine::Condition;
use crate::views::row::Stats;

/// How the server is.
#[derive(serde::Serialize, schemars::JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
#[schemars(transform = describe_status)]
enum Health {
    /// It takes requests.
    Ok {
        /// This run of the server.
        epoch: Epoch,
        /// When it began.
        started_at: Timestamp,
        /// The last durable seq.
        seq: Seq,
        /// The version of the server.
        version: &'static str,
    },
    /// The log is replayed.
    Starting {
        /// How much of it was: 0 to 1.
        #[schemars(range(min = 0, max = 1))]
        progress: f64,
    },
    /// The log could not be written.
    Halted {
        /// What happened, and what to do about it.
        detail: String,
    },
}

fn describe_status(schema: &mut schemars::Schema) {
    let variants = schema.get_mut("oneOf").and_then(serde_json::Value::as_array_mut);
    for variant in variants.into_iter().flatten() {
        variant["properties"]["status"]["description"] = "How the server is.".into();
    }
}

/// Whether a session is live.
#[derive(Default, serde::Serialize, schemars::JsonSchema)]
struct SessionStatus {
    /// Whether it is live, or may well be.
    valid: bool,
    /// This run of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<Epoch>,
    /// What sort of session it is: `live` or `worker`.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// Why it is not: `NO_SESSION_ID`, `SESSION_NOT_FOUND`; or why that is not known yet: `starting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

/// Numbers for the dashboard.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct StatsBody {
    #[serde(flatten)]
    stats: Stats,
    /// When the server started.
    started_at: Timestamp,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// This run of the server.
    epoch: Epoch,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    const SESSION_HEADER: &[(&str, &str)] = &[("X-Session-Id", "The session, as the server issued it.")];
    vec![
        Route::always("/health", health)
            .named("get_health", "Says how the server is")
            .explained("Answered at any time, also while the log is replayed.")
            .answers::<Health>(200, "It takes requests.")
            .answers::<Health>(503, "It is starting, or it is halted."),
        Route::always("/api/session/status", session_status)
            .named("get_session_status", "Says whether a session is live")
            .explained(
                "For a worker that has lost its connection: whether its session, and so its leases, are still there. A \
                 live session is there as long as its connection.",
            )
            .reads(SESSION_HEADER)
            .answers::<SessionStatus>(200, "The session is live.")
            .answers::<SessionStatus>(401, "There is no such session.")
            .answers::<SessionStatus>(503, "The server is starting; the session may well be live."),
        Route::new(Method::GET, "/api/stats", stats)
            .named("get_stats", "Counts and rates")
            .explained(
                "How many jobs are in each state, over all, by kind and by queue, and how many a second come and go.",
            )
            .answers::<StatsBody>(200, "The numbers of now."),
        Route::new(Method::GET, "/metrics", prometheus)
            .named("get_metrics", "Metrics in the text format of Prometheus")
            .explained("For a scraper.")
            .answer(200, "The metrics of now.", Content::Bytes("text/plain")),
        Route::always("/api/openapi.json", description)
            .named("get_openapi", "Describes this interface: OpenAPI 3.1")
            .explained("This very document, true to this very server.")
            .answers::<serde_json::Map<String, serde_json::Value>>(200, "The description."),
        Route::always("/api/asyncapi.json", socket_description)
            .named("get_asyncapi", "Describes the WebSockets: AsyncAPI 3.0")
            .explained("Live pages at `/api/live` and workers at `/api/worker`: every frame that is said or heard.")
            .answers::<serde_json::Map<String, serde_json::Value>>(200, "The description."),
    ]
}

fn health(door: &Door, _: &Request) -> Response {
    let Identity { epoch, started_at, version } = *door.identity();
    let Some(ctx) = door.context() else {
        return starting(&Health::Starting { progress: door.progress() });
    };
    match &*ctx.handle.condition().borrow() {
        Condition::Halted { detail } => {
            reply::json(StatusCode::SERVICE_UNAVAILABLE, &Health::Halted { detail: detail.clone() })
        }
        Condition::Running | Condition::StorageLow { .. } | Condition::Stopping => {
            let seq = ctx.seq();
            reply::read(seq, &Health::Ok { epoch, started_at, seq, version })
        }
    }
}

/// What is said while the log is replayed, and when to ask again.
fn starting(body: &impl serde::Serialize) -> Response {
    let mut response = reply::json(StatusCode::SERVICE_UNAVAILABLE, body);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    response
}

fn session_status(door: &Door, request: &Request) -> Response {
    let Some(ctx) = door.context() else {
        let status = SessionStatus { valid: true, reason: Some("starting"), ..SessionStatus::default() };
        return starting(&status);
    };
    let invalid = |reason, message| {
        let status = SessionStatus { reason: Some(reason), message: Some(message), ..SessionStatus::default() };
        reply::json(StatusCode::UNAUTHORIZED, &status)
    };
    let Some(given) = request.header("x-session-id") else {
        return invalid("NO_SESSION_ID", "send the session in the header X-Session-Id");
    };
    let session = given.parse::<SessionId>().ok();
    let kind = session.and_then(|session| match ctx.sessions.get(session) {
        Some(_) => Some("worker"),
        None => ctx.live.knows(session).then_some("live"),
    });
    if kind.is_none() {
        return invalid("SESSION_NOT_FOUND", "the server does not know this session; it may have been restarted");
    }
    let epoch = Some(door.identity().epoch);
    let status = SessionStatus { valid: true, epoch, kind, ..SessionStatus::default() };
    reply::read(ctx.seq(), &status)
}

async fn stats(ctx: Arc<ApiContext>, _: Request) -> Result<Response, ApiError> {
    let seq = ctx.seq();
    let Identity { epoch, started_at, .. } = ctx.identity;
    Ok(reply::read(seq, &StatsBody { stats: ctx.handle.views().stats(ctx.now()), started_at, seq, epoch }))
}

async fn prometheus(ctx: Arc<ApiContext>, _: Request) -> Result<Response, ApiError> {
    let (views, now) = (ctx.handle.views(), ctx.now());
    let seq = ctx.seq();
    let standing = gauges::render(&Standing {
        stats: &views.stats(now),
        queues: &views.queues(now),
        seq: seq.0,
        earliest: ctx.handle.log().earliest().0,
        started_at: ctx.identity.started_at,
        is_halted: matches!(*ctx.handle.condition().borrow(), Condition::Halted { .. }),
    });
    ctx.metrics.run_upkeep();
    let text = ctx.metrics.render() + &standing;
    Ok(reply::as_of(seq, reply::with_type(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)))
}

fn description(door: &Door, _: &Request) -> Response {
    let document = openapi::describe(door.table(), door.identity().version);
    reply::json(StatusCode::OK, &document)
}

fn socket_description(door: &Door, _: &Request) -> Response {
    reply::json(StatusCode::OK, &asyncapi::describe(door.identity().version))
}
