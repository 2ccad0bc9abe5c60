//! The kinds of the configuration, as clients and forms see them. How a kind is run stays here but for its mode.

use std::sync::Arc;

use serde_json::Value;
use warp::http::Method;
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::request::Request;
use crate::api::route::Route;
use crate::api::{paging, reply};
use crate::domain::id::{Epoch, KindName, QueueName, Seq};
use crate::domain::limits::ATTEMPTS_MAX;
use crate::kinds::{Kind, RunMode};

/// A kind.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct KindBody {
    /// Its name: the `kind` of its jobs.
    name: KindName,
    /// The JSON Schema of its args; `null`: any object will do.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    schema: Option<Value>,
    /// The args that follow from the schema's defaults alone.
    #[schemars(with = "serde_json::Map<String, Value>")]
    defaults: Value,
    /// What holds for its jobs unless they say otherwise.
    settings: Settings,
    /// How the server runs it; `null`: remote workers do.
    run: Option<Run>,
}

/// What holds for its jobs unless they say otherwise.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct Settings {
    /// Where they wait.
    queue: QueueName,
    /// Attempts that may fail before the job does.
    #[schemars(range(min = 1, max = ATTEMPTS_MAX))]
    max_attempts: u32,
    /// Losses that are borne; one more fails the job.
    #[schemars(range(max = ATTEMPTS_MAX))]
    max_lost: u32,
    /// The most seconds that an attempt may run; `null`: no limit.
    #[schemars(range(min = 0.1))]
    timeout_s: Option<f64>,
    /// Seconds before the attempt after the first failure; doubled after each further one, give or take a fifth.
    #[schemars(range(min = 0))]
    backoff_s: f64,
    /// The most seconds before an attempt.
    #[schemars(range(min = 0))]
    backoff_max_s: f64,
    /// Seconds that a run may take to stop after a cancel or a timeout.
    #[schemars(range(min = 0))]
    grace_s: f64,
    /// The most jobs that run at once, over all workers; `null`: no limit.
    #[schemars(range(min = 1))]
    concurrency: Option<u32>,
}

/// How the server runs a kind.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct Run {
    /// Whether a child serves one job or many.
    mode: RunMode,
    /// Child processes at most.
    #[schemars(range(min = 1))]
    processes: usize,
}

/// The kinds.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct KindList {
    /// By name.
    kinds: Vec<KindBody>,
    /// Where the next page begins; `null` on the last.
    next_cursor: Option<String>,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/kinds", list)
            .named("list_kinds", "Lists the kinds with schema, defaults and settings")
            .explained(
                "Those of the configuration. Without `strict_kinds` jobs of other kinds are taken too, for remote \
                 workers.",
            )
            .takes(&[paging::LIMIT, paging::CURSOR])
            .answers::<KindList>(200, "A page of kinds by name.")
            .fails(&["invalid_query"]),
        Route::new(Method::GET, "/api/kinds/{kind}", show)
            .named("get_kind", "Shows a kind")
            .explained("Enough to draw a form for its args and to check them before they are sent.")
            .answers::<KindBody>(200, "The kind.")
            .fails(&["kind_not_found"]),
    ]
}

async fn list(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let seq = ctx.seq();
    let catalog = ctx.kinds();
    let page = paging::cut(&request.query, "kinds", catalog.kinds().collect())?;
    let kinds = page.rows.into_iter().map(KindBody::of).collect();
    Ok(reply::read(seq, &KindList { kinds, next_cursor: page.next, seq, epoch: ctx.identity.epoch }))
}

async fn show(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let name: KindName = request.parsed_param("kind", "kind_not_found")?;
    let catalog = ctx.kinds();
    let kind = catalog.get(&name);
    let absent = || ApiError::new("kind_not_found", format!("{name} is not listed in the configuration"));
    Ok(reply::read(ctx.seq(), &KindBody::of(kind.ok_or_else(absent)?)))
}

impl KindBody {
    fn of(kind: &Kind) -> KindBody {
        let policy = &kind.settings.policy;
        let empty = || Value::Object(serde_json::Map::new());
        KindBody {
            name: kind.name.clone(),
            schema: kind.schema.as_ref().map(|schema| schema.document().clone()),
            defaults: kind.schema.as_ref().map_or_else(empty, |schema| schema.defaults()),
            settings: Settings {
                queue: kind.settings.queue.clone(),
                max_attempts: policy.max_attempts,
                max_lost: policy.max_lost,
                timeout_s: policy.timeout.map(|span| span.as_secs()),
                backoff_s: policy.backoff.as_secs(),
                backoff_max_s: policy.backoff_max.as_secs(),
                grace_s: policy.grace.as_secs(),
                concurrency: kind.settings.concurrency,
            },
            run: kind.run.as_ref().map(|run| Run { mode: run.mode, processes: run.processes }),
        }
    }
}
