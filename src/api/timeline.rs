//! How much happened when: the histogram over the log by which one finds a moment of the past.

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
use crate::views::timeline::{BUCKETS_MAX, Bucket};

/// How many buckets there are if nothing else is asked.
const BUCKETS_DEFAULT: u64 = 400;

const BUCKETS: Parameter =
    Parameter::integer("buckets", "Buckets at most.").within(1, BUCKETS_MAX as u64).or(BUCKETS_DEFAULT);

/// What happened, in parts of equal length.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct TimelineBody {
    /// The length of a bucket.
    #[schemars(range(min = 1))]
    width_s: i64,
    /// In order and without a hole, from the first event that is in the log to the last.
    #[schemars(length(max = BUCKETS_MAX))]
    buckets: Vec<Bucket>,
    /// Whether that is all of it. For a moment after a start what happened before it is still being read, and for a
    /// moment after the oldest events were dropped what is left beside them: until then it is left out.
    complete: bool,
    /// The first event that is in the log.
    earliest: Seq,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/timeline", timeline)
            .named("get_timeline", "Counts events by type over time")
            .explained(
                "For a scrubber: each bucket says which events it has, so that a place in it is a seq. Buckets are a whole \
                 number of seconds long, and longer the more time there is to show, so there may be fewer than asked for.",
            )
            .takes(&[BUCKETS])
            .answers::<TimelineBody>(200, "The whole log in buckets.")
            .fails(&["invalid_query"]),
    ]
}

async fn timeline(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let count = request.query.integer("buckets", 1..=BUCKETS_MAX as u64)?.unwrap_or(BUCKETS_DEFAULT);
    let seq = ctx.seq();
    let (histogram, earliest, complete) = ctx.handle.views().histogram(count as usize);
    let body = TimelineBody {
        width_s: histogram.width_ms / 1000,
        buckets: histogram.buckets,
        complete,
        earliest,
        seq,
        epoch: ctx.identity.epoch,
    };
    Ok(reply::read(seq, &body))
}
