//! The log as a file: every event of a range in order, as CloudEvents, in a stream that waits for its reader. Must never
//! leave an event out: what cannot be given any more breaks the stream off.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, stream};
use uuid::Uuid;
use warp::http::Method;
use warp::http::header::{CONTENT_TYPE, HeaderValue};
use warp::reply::{Reply, Response};

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::query::{Parameter, invalid};
use crate::api::reply;
use crate::api::request::Request;
use crate::api::route::{Content, Route};
use crate::domain::id::Seq;
use crate::domain::time::Timestamp;
use crate::feed::cloudevents::{Begun, CloudEvent, Ended, FORMAT};

/// About how many bytes are made at once; one event more goes, however large.
const PIECE_BYTES: usize = 128 * 1024;
/// The last seq that JSON carries exactly.
const SEQ_MAX: u64 = (1 << 53) - 1;
const LINES: &str = "application/x-ndjson";

const AFTER: Parameter =
    Parameter::integer("after", "Events after this one; without it, from the earliest that the log has.");
const UNTIL: Parameter = Parameter::integer("until", "Up to this event; without it, up to the last one of now.");

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/export", export)
            .named("export_log", "Gives the log as CloudEvents, one a line")
            .explained(
                "A line `daybook.export.begun`, a line for each event in order, and a line `daybook.export.ended`: \
                 without it the stream broke off, and may be gone on with from the last whole line by `after`. \
                 `schemas/events/cloudevent.json` of the sources describes the lines. With them goes what an import needs \
                 and no other answer shows, under `kept`; log lines and output files are not among them.",
            )
            .takes(&[AFTER, UNTIL])
            .answer(200, "A line each, in JSON.", Content::Bytes(LINES))
            .fails(&["invalid_query", "position_lost"])
            .streams(),
    ]
}

async fn export(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let (head, earliest) = (ctx.seq(), ctx.handle.log().earliest());
    let after = request.query.integer("after", 0..=SEQ_MAX)?.map_or(Seq(earliest.0 - 1), Seq);
    let until = request.query.integer("until", 0..=SEQ_MAX)?.map_or(head, Seq);
    if until > head {
        return Err(invalid("until", format!("event {until} has not happened; the last is {head}")));
    }
    if after > until {
        return Err(invalid("after", format!("is behind event {until}, the last that is to be given")));
    }
    if after.next() < earliest {
        let said = format!("trimmed: events after {after} are no longer in the log; the earliest is {earliest}");
        return Err(ApiError::new("position_lost", said));
    }
    let lines = Lines { lineage: ctx.lineage, at: ctx.now(), until, next: Part::Begin(after), ctx: ctx.clone() };
    let mut response = warp::reply::stream(lines.pieces()).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    // A proxy that collects the stream would keep it back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(reply::as_of(head, response))
}

/// The lines that are still to be given.
struct Lines {
    ctx: Arc<ApiContext>,
    lineage: Uuid,
    at: Timestamp,
    until: Seq,
    next: Part,
}

#[derive(Clone, Copy)]
enum Part {
    Begin(Seq),
    /// The events after this one.
    Events(Seq),
    Nothing,
}

impl Lines {
    fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
        stream::try_unfold(self, |mut lines| async move {
            let (piece, next) = match lines.next {
                Part::Begin(after) => (lines.first(after), Part::Events(after)),
                Part::Events(after) if after >= lines.until => (lines.last(), Part::Nothing),
                Part::Events(after) => {
                    let (lineage, until) = (lines.lineage, lines.until);
                    let read = lines.ctx.blocking(move |ctx| piece(ctx, lineage, after, until)).await;
                    let (piece, last) = read.map_err(|error| io::Error::other(error.detail().to_owned()))?;
                    (piece, Part::Events(last))
                }
                Part::Nothing => return Ok(None),
            };
            lines.next = next;
            Ok(Some((Bytes::from(piece), lines)))
        })
    }

    fn first(&self, after: Seq) -> String {
        let epoch = Some(self.ctx.identity.epoch);
        let (earliest, last) = (after.next(), self.until);
        CloudEvent::begun(Begun { format: FORMAT, lineage: self.lineage, earliest, last, epoch }, self.at).line()
    }

    fn last(&self) -> String {
        CloudEvent::ended(Ended { last: self.until, fold: None }, self.lineage, self.at).line()
    }
}

/// Lines of events after one, and the last of them.
fn piece(ctx: &ApiContext, lineage: Uuid, after: Seq, until: Seq) -> Result<(String, Seq), ApiError> {
    let (mut text, mut read) = (String::new(), after);
    while read < until && text.len() < PIECE_BYTES {
        for record in ctx.handle.log().page_after(read)?.into_iter().filter(|record| record.seq <= until) {
            read = record.seq;
            text.push_str(&CloudEvent::of(record, lineage).line());
        }
    }
    Ok((text, read))
}
