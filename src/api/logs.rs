//! The log lines of a job: a page of them, or all that come until the job has ended, as server-sent events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::sync::broadcast;
use tokio::time::Instant;
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
use crate::engine::Condition;
use crate::feed::Page;
use crate::sessions::reading::KeptLine;

/// The most lines of a page.
const LINES_MAX: u64 = 1000;
/// About the most bytes of the text of a page.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often a follower looks for new lines: they are no events, and nobody announces them.
const LOOK_EVERY: Duration = Duration::from_millis(100);
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
        return Ok(stream_reply(ctx, id, after));
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

fn stream_reply(ctx: Arc<ApiContext>, id: JobId, after: u64) -> Response {
    let keep_alive = warp::sse::keep_alive().interval(KEEP_ALIVE_EVERY);
    let mut response = warp::sse::reply(keep_alive.stream(follow(ctx, id, after))).into_response();
    // A proxy that collects the stream would keep the lines back.
    response.headers_mut().insert("x-accel-buffering", warp::http::HeaderValue::from_static("no"));
    response
}

/// One follower of a log.
struct Follower {
    ctx: Arc<ApiContext>,
    id: JobId,
    after: u64,
    ready: VecDeque<KeptLine>,
    pages: broadcast::Receiver<Arc<Page>>,
    /// Nothing is published any more: one more look, and that was all.
    feed_ended: bool,
    closed: bool,
}

fn follow(ctx: Arc<ApiContext>, id: JobId, after: u64) -> impl Stream<Item = Result<Event, ApiFailure>> + Send {
    let pages = ctx.handle.feed().subscribe();
    let follower = Follower { ctx, id, after, ready: VecDeque::new(), pages, feed_ended: false, closed: false };
    stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((event, follower))
    })
}

/// Why a stream breaks off.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ApiFailure(String);

impl Follower {
    async fn next(&mut self) -> Option<Result<Event, ApiFailure>> {
        while !self.closed {
            if let Some(line) = self.ready.pop_front() {
                self.after = line.n;
                return Some(Ok(line_event(&line)));
            }
            let ended = self.has_ended();
            let broken_off = self.feed_ended || matches!(*self.ctx.handle.condition().borrow(), Condition::Stopping);
            match read(&self.ctx, self.id, self.after, LINES_MAX as usize).await {
                Err(error) => {
                    self.closed = true;
                    return Some(Err(ApiFailure(error.detail().to_owned())));
                }
                Ok(lines) if !lines.is_empty() => self.ready.extend(lines),
                Ok(_) if ended => {
                    self.closed = true;
                    return Some(Ok(Event::default().event("end").data("{}")));
                }
                Ok(_) if broken_off => self.closed = true,
                Ok(_) => self.wait().await,
            }
        }
        None
    }

    /// Whether no more lines will come: the job has ended or is gone.
    fn has_ended(&self) -> bool {
        let job = self.ctx.handle.views().job(self.id);
        job.is_ok_and(|job| job.is_none_or(|job| job.is_terminal()))
    }

    /// Waits until it is time to look again, or until something happened to the job.
    async fn wait(&mut self) {
        let until = Instant::now() + LOOK_EVERY;
        while let Ok(received) = tokio::time::timeout_at(until, self.pages.recv()).await {
            match received {
                Ok(page) if page.jobs.iter().any(|job| job.id == self.id) => return,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => {
                    self.feed_ended = true;
                    return;
                }
            }
        }
    }
}

fn line_event(line: &KeptLine) -> Event {
    let event = Event::default().id(line.n.to_string());
    event.json_data(line).expect("a log line can be written as JSON")
}
