//! The log lines of a job: a page of them, or all that come until the job has ended, as server-sent events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use warp::http::Method;
use warp::reply::{Reply, Response};
use warp::sse::Event;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::query::Parameter;
use crate::api::reply;
use crate::api::request::Request;
use crate::api::route::{Content, Route};
use crate::domain::id::{Epoch, JobId, Seq};
use crate::live::lines::{Followed, FollowerToTheEnd};
use crate::sessions::reading::KeptLine;

/// The most lines of a page.
const LINES_MAX: u64 = 1000;
/// About the most bytes of the text of a page.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often a silent stream says that it is alive.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

const AFTER: Parameter = Parameter::integer("after", "Lines after the one with this number; 0: from the first.").or(0);
const FOLLOW: Parameter = Parameter::flag("follow", "Stream lines until the job has ended.");
const LIMIT: Parameter = Parameter::integer("limit", "Lines of a page.").within(1, LINES_MAX).or(LINES_MAX);
const RESUME_HEADER: &[(&str, &str)] =
    &[("Last-Event-ID", "The number of the last line that was seen, as a browser sends it. It wins over `after`.")];

/// A page of log lines.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct LogPage {
    /// In order.
    #[schemars(length(max = LINES_MAX))]
    lines: Vec<KeptLine>,
    /// What to ask for with `after` to go on: the number of the last line.
    next_after: u64,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/jobs/{id}/logs", logs)
            .named("get_logs", "Shows or follows the log lines of a job")
            .explained("A page, or with `follow` server-sent events until the job has ended.")
            .reads(RESUME_HEADER)
            .takes(&[AFTER, LIMIT, FOLLOW])
            .answers::<LogPage>(200, "A page of lines in order.")
            .answer(
                200,
                "With follow: a line an event, its number as id, then an event `end` when the job has ended. A stream that \
                 ends without it was broken off: ask again with Last-Event-ID.",
                Content::Bytes("text/event-stream"),
            )
            .fails(&["invalid_query", "job_not_found"])
            .streams(),
    ]
}

async fn logs(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    let resumed = request.header("last-event-id").and_then(|text| text.parse().ok());
    let after = request.query.integer("after", 0..=u64::MAX)?;
    // A browser repeats the address with which it began, and says beside it how far it came.
    let after = resumed.or(after).unwrap_or(0);
    let limit = request.query.integer("limit", 1..=LINES_MAX)?.unwrap_or(LINES_MAX) as usize;
    let follow = request.query.flag("follow")?;
    ctx.handle.views().job(id)?.ok_or_else(|| ApiError::job_not_found(id))?;
    if follow {
        return Ok(stream_reply(&ctx, id, after));
    }
    let seq = ctx.seq();
    let lines = read(&ctx, id, after, limit).await?;
    let next_after = lines.last().map_or(after, |line| line.n);
    Ok(reply::read(seq, &LogPage { lines, next_after, seq, epoch: ctx.identity.epoch }))
}

async fn read(ctx: &Arc<ApiContext>, id: JobId, after: u64, limit: usize) -> Result<Vec<KeptLine>, ApiError> {
    let unreadable = |error| ApiError::new("unreadable", format!("the log lines could not be read: {error}"));
    ctx.blocking(move |ctx| ctx.logs.lines_after(id, after, limit, PAGE_BYTES_MAX).map_err(unreadable)).await
}

fn stream_reply(ctx: &ApiContext, id: JobId, after: u64) -> Response {
    let keep_alive = warp::sse::keep_alive().interval(KEEP_ALIVE_EVERY);
    let mut response = warp::sse::reply(keep_alive.stream(follow(ctx, id, after))).into_response();
    // A proxy that collects the stream would keep the lines back.
    response.headers_mut().insert("x-accel-buffering", warp::http::HeaderValue::from_static("no"));
    response
}

/// A stream on its way.
struct Following {
    follower: FollowerToTheEnd,
    ready: VecDeque<KeptLine>,
    closed: bool,
}

fn follow(ctx: &ApiContext, id: JobId, after: u64) -> impl Stream<Item = Result<Event, ApiFailure>> + Send + use<> {
    let follower = FollowerToTheEnd::new(&ctx.handle, &ctx.logs, id, after);
    let following = Following { follower, ready: VecDeque::new(), closed: false };
    stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((event, following))
    })
}

/// Why a stream breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the log lines could not be read: {0}")]
struct ApiFailure(std::io::Error);

impl Following {
    async fn next(&mut self) -> Option<Result<Event, ApiFailure>> {
        while !self.closed {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line_event(&line)));
            }
            match self.follower.next(LINES_MAX as usize, PAGE_BYTES_MAX).await {
                Ok(Followed::Lines(lines)) => self.ready.extend(lines),
                Ok(Followed::Ended) => {
                    self.closed = true;
                    return Some(Ok(Event::default().event("end").data("{}")));
                }
                Ok(Followed::BrokenOff) => self.closed = true,
                Err(error) => {
                    self.closed = true;
                    return Some(Err(ApiFailure(error)));
                }
            }
        }
        None
    }
}

fn line_event(line: &KeptLine) -> Event {
    let event = Event::default().id(line.n.to_string());
    event.json_data(line).expect("a log line can be written as JSON")
}
