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
use crate::kinds::{Kind, RunMode};

/// A kind.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct KindBody {
    name: KindName,
    /// The JSON Schema of its args; `null`: any object will do.
    schema: Option<Value>,
    /// The args that follow from the schema's defaults alone.
    defaults: Value,
    settings: Settings,
    /// How the server runs it; `null`: remote workers do.
    run: Option<Run>,
}

/// What holds for its jobs unless they say otherwise.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct Settings {
    queue: QueueName,
    max_attempts: u32,
    max_lost: u32,
    timeout_s: Option<f64>,
    backoff_s: f64,
    backoff_max_s: f64,
    grace_s: f64,
    /// The most jobs that run at once; `null`: no limit.
    concurrency: Option<u32>,
}

/// How the server runs a kind.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct Run {
    mode: RunMode,
    /// Child processes at most.
    processes: usize,
}

/// The kinds.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct KindList {
    kinds: Vec<KindBody>,
    next_cursor: Option<String>,
    seq: Seq,
    epoch: Epoch,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/kinds", list)
            .named("list_kinds", "Lists the kinds with schema, defaults and settings")
            .takes(&[paging::LIMIT, paging::CURSOR])
            .answers::<KindList>(200, "A page of kinds by name.")
            .fails(&["invalid_query"]),
        Route::new(Method::GET, "/api/kinds/{kind}", show)
            .named("get_kind", "Shows a kind")
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
