//! How much was done lately, and how long it took: throughput, failures and latency for charts.

use std::sync::Arc;

use warp::http::Method;
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::query::Parameter;
use crate::api::reply;
use crate::api::request::Request;
use crate::api::route::Route;
use crate::domain::id::{Epoch, Seq};
use crate::views::performance::{BUCKETS_MAX, HistoryBucket, Span};

const SPAN: Parameter = Parameter::text(
    "span",
    "How far back: `5m` in buckets of five seconds, `1h` (the default) in minutes, `24h` in parts of ten minutes, `30d` in \
     days, which begin at midnight UTC.",
)
.one_of(&Span::NAMES);

/// What was done in a span that ends now.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct HistoryBody {
    /// How far back the answer goes.
    span: Span,
    /// The length of a bucket. Buckets begin at its multiples since 1970 UTC.
    #[schemars(range(min = 1))]
    width_s: i64,
    /// In order and without a hole; the last is the one that is now, and still fills.
    #[schemars(length(min = 1, max = BUCKETS_MAX))]
    buckets: Vec<HistoryBucket>,
    /// Whether that is all of it. For a moment after a start what happened before it is still being read.
    complete: bool,
    /// The first event that is in the log. What happened before is not counted.
    earliest: Seq,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/history", history)
            .named("get_history", "Counts what was done over time, and how long it took")
            .explained(
                "For charts: what was submitted, started and ended in each bucket, how long runs had waited in their queue, \
                 and how long they took. Percentiles are within 2 % or half a millisecond. What happened to jobs that \
                 are purged or forgotten stays counted, as long as it is in the log; so numbers are the same after a restart. \
                 Two things are not, when the oldest part of the log was dropped and the server started again: the bucket in \
                 which the log now begins counts only what is left, and times that began before are not known.",
            )
            .takes(&[SPAN])
            .answers::<HistoryBody>(200, "The span in buckets.")
            .fails(&["invalid_query"]),
    ]
}

async fn history(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let span = request.query.parsed::<Span>("span")?.unwrap_or(Span::Hour);
    let (seq, earliest) = (ctx.seq(), ctx.handle.log().earliest());
    let (buckets, complete) = ctx.handle.views().performance(span, ctx.now());
    let width_s = span.width_ms() / 1000;
    Ok(reply::read(seq, &HistoryBody { span, width_s, buckets, complete, earliest, seq, epoch: ctx.identity.epoch }))
}
