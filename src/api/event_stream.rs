//! Every event of the log in order, over plain HTTP: a page, a page as soon as there is one, or a stream of server-sent
//! events. A position that the log cannot go on from is refused, never passed over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use warp::http::Method;
use warp::reply::{Reply, Response};
use warp::sse::Event;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::query::{Parameter, invalid};
use crate::api::request::Request;
use crate::api::route::{Content, Route};
use crate::api::{paging, reply};
use crate::domain::event::Record;
use crate::domain::id::{Epoch, Seq};
use crate::feed::published::PublishedEvent;
use crate::live::position::{Lost, Position};
use crate::log::{LogReader, ReadError};

/// About the most bytes of a page: at least one event goes, however large.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest that somebody waits for an event, in seconds.
const WAIT_S_MAX: f64 = 50.0;
/// How often a silent stream says that it is alive.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// The last seq that JSON carries exactly.
const SEQ_MAX: u64 = (1 << 53) - 1;

const AFTER: Parameter =
    Parameter::integer("after", "Events after this one; without it, from the earliest that the log has.");
const EPOCH: Parameter =
    Parameter::text("epoch", "The run of the server that told you `after`; without it, the present one.").like("uuid");
const WAIT: Parameter =
    Parameter::seconds("wait", "If there are none yet: answer when there are, at the latest after so many seconds.");
const RESUME_HEADER: &[(&str, &str)] = &[(
    "Last-Event-ID",
    "Where a stream was left, as a browser sends it: the id of the last event that was seen. It wins over `after`.",
)];

/// A page of the log.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct EventPage {
    /// In order of seq, without holes. Go on with `after` the last of them, and the `epoch` of this answer.
    events: Vec<PublishedEvent>,
    /// The last durable seq.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
    /// The first seq that the log still has.
    #[schemars(extend("type" = "integer", "minimum" = 1))]
    earliest: Seq,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/events", events)
            .named("list_events", "Lists or follows everything that happened")
            .explained(
                "A page of the log; with `wait` as soon as there is one; with `Accept: text/event-stream` server-sent \
                 events without end. A position is a run of the server and a seq: it is good after a restart too, as long \
                 as the log has what came after it. Else the answer is 410, and what was built from events is to be built \
                 anew.",
            )
            .reads(RESUME_HEADER)
            .takes(&[AFTER, EPOCH, WAIT, paging::LIMIT])
            .answers::<EventPage>(200, "A page of events in order.")
            .answer(
                200,
                "Server-sent events: an event each, with `epoch:seq` as its id.",
                Content::Bytes("text/event-stream"),
            )
            .fails(&["invalid_query", "position_lost"])
            .streams(),
    ]
}

async fn events(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let wants_stream = request.header("accept").is_some_and(|types| types.contains("text/event-stream"));
    let limit = paging::limit(&request.query)?;
    let wait = request.query.seconds("wait", WAIT_S_MAX)?;
    let after = position(&ctx, &request)?;
    if wants_stream {
        return Ok(stream_reply(ctx, after));
    }
    if let Some(wait) = wait {
        let mut head = ctx.handle.feed().head();
        let seen = after.unwrap_or_else(|| before_all(&ctx));
        let came = head.wait_for(|&head| head > seen);
        let stops = ctx.live.parts_with_all();
        // Whatever ends the wait, there is an answer.
        let _ = tokio::time::timeout(Duration::from_millis(wait.0), async {
            tokio::select! {
                _ = came => {}
                () = stops => {}
            }
        })
        .await;
    }
    let (seq, earliest) = (ctx.seq(), ctx.handle.log().earliest());
    let records = read(&ctx, after, limit).await?;
    let events = records.into_iter().map(PublishedEvent::of).collect();
    Ok(reply::read(seq, &EventPage { events, seq, epoch: ctx.identity.epoch, earliest }))
}

/// The seq after which somebody wants events; none: from the earliest that there is.
fn position(ctx: &ApiContext, request: &Request) -> Result<Option<Seq>, ApiError> {
    let after = request.query.integer("after", 0..=SEQ_MAX)?;
    let epoch: Option<Epoch> = request.query.parsed("epoch")?;
    let resumed = request.header("last-event-id").map(read_id).transpose()?;
    let named = after.map(|seq| Position { epoch: epoch.unwrap_or(ctx.identity.epoch), seq: Seq(seq) });
    let judged = |position| ctx.live.judge(position, u64::MAX).map_err(|reason| lost(reason, position));
    resumed.or(named).map(judged).transpose()
}

/// The seq before the earliest event of now, which may be dropped a moment later.
fn before_all(ctx: &ApiContext) -> Seq {
    Seq(ctx.handle.log().earliest().0 - 1)
}

fn read_id(text: &str) -> Result<Position, ApiError> {
    let parts = text.split_once(':').and_then(|(epoch, seq)| Some((epoch.parse().ok()?, seq.parse().ok()?)));
    let (epoch, seq) = parts.ok_or_else(|| invalid("Last-Event-ID", "must be the id of an event: `epoch:seq`"))?;
    Ok(Position { epoch, seq: Seq(seq) })
}

fn lost(reason: Lost, Position { epoch, seq }: Position) -> ApiError {
    let said = match reason {
        Lost::UnknownEpoch => format!("the log knows no run {epoch} of the server: it was reset or restored since"),
        Lost::Trimmed => format!("events after {} are no longer in the log", seq.0),
        Lost::Ahead => format!("run {epoch} of the server never made event {} durable", seq.0),
        Lost::TooFar => format!("too much has happened since event {}", seq.0),
    };
    ApiError::new("position_lost", format!("{}: {said}", reason.as_str()))
}

/// The records after a seq, or from the earliest: at most `limit`, and about so many bytes.
async fn read(ctx: &Arc<ApiContext>, after: Option<Seq>, limit: usize) -> Result<Vec<Record>, ApiError> {
    ctx.blocking(move |ctx| {
        loop {
            let begin = after.unwrap_or_else(|| before_all(ctx));
            return match records_after(&**ctx.handle.log(), begin, limit) {
                // Whoever named no event cannot have lost one: the earliest is another by now.
                Err(ReadError::Trimmed { .. }) if after.is_none() => continue,
                Err(ReadError::Trimmed { .. }) => {
                    Err(lost(Lost::Trimmed, Position { epoch: ctx.identity.epoch, seq: begin }))
                }
                records => Ok(records?),
            };
        }
    })
    .await
}

fn records_after(log: &dyn LogReader, after: Seq, limit: usize) -> Result<Vec<Record>, ReadError> {
    let (mut records, mut read, mut bytes) = (Vec::new(), after, 0);
    while records.len() < limit && bytes < PAGE_BYTES_MAX {
        let page = match log.page_after(read) {
            // What was read was there, and comes right after what was asked for.
            Err(ReadError::Trimmed { .. }) if !records.is_empty() => break,
            page => page?,
        };
        let Some(last) = page.last() else { break };
        read = last.seq;
        let room = limit - records.len();
        let taken = page.into_iter().take(room).take_while(|record| {
            let fits = bytes < PAGE_BYTES_MAX;
            bytes += record.event.weight();
            fits
        });
        records.extend(taken);
    }
    Ok(records)
}

fn stream_reply(ctx: Arc<ApiContext>, after: Option<Seq>) -> Response {
    let keep_alive = warp::sse::keep_alive().interval(KEEP_ALIVE_EVERY);
    let mut response = warp::sse::reply(keep_alive.stream(follow(ctx, after))).into_response();
    // A proxy that collects the stream would keep the events back.
    response.headers_mut().insert("x-accel-buffering", warp::http::HeaderValue::from_static("no"));
    response
}

/// Why a stream breaks off: whoever asks again is told.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BrokenOff(String);

/// One reader of the stream.
struct Follower {
    ctx: Arc<ApiContext>,
    /// The last event that was handed on, or the one that was asked for; none: from the earliest.
    after: Option<Seq>,
    ready: VecDeque<Record>,
    is_over: bool,
}

fn follow(ctx: Arc<ApiContext>, after: Option<Seq>) -> impl Stream<Item = Result<Event, BrokenOff>> + Send {
    let follower = Follower { ctx, after, ready: VecDeque::new(), is_over: false };
    stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((event, follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<Result<Event, BrokenOff>> {
        while !self.is_over {
            if let Some(record) = self.ready.pop_front() {
                self.after = Some(record.seq);
                return Some(Ok(self.event(record)));
            }
            match read(&self.ctx, self.after, crate::views::query::LIMIT_MAX).await {
                Ok(records) if records.is_empty() => self.wait().await,
                Ok(records) => self.ready = records.into(),
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(BrokenOff(error.detail().to_owned())));
                }
            }
        }
        None
    }

    fn event(&self, record: Record) -> Event {
        let id = format!("{}:{}", self.ctx.identity.epoch, record.seq.0);
        let text = serde_json::to_string(&PublishedEvent::of(record)).expect("an event can be written as JSON");
        Event::default().id(id).data(text)
    }

    /// Waits until there is more, or nothing will come any more.
    async fn wait(&mut self) {
        let mut head = self.ctx.handle.feed().head();
        let after = self.after.unwrap_or_else(|| before_all(&self.ctx));
        let is_over = tokio::select! {
            came = head.wait_for(|&head| head > after) => came.is_err(),
            () = self.ctx.live.parts_with_all() => true,
        };
        self.is_over = is_over;
    }
}
