//! The log as a file: every event of a range in order, as CloudEvents, in a stream that waits for its reader. Must never
//! leave an event out: what cannot be given any more breaks the stream off. What stands for dropped events is that of one
//! moment, also when more are dropped meanwhile.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, stream};
use parking_lot::Mutex;
use roaring::RoaringTreemap;
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
use crate::feed::cloudevents::{BaseSaid, Begun, CloudEvent, Ended, FORMAT, PartLines, PartName};
use crate::log::base::Base;

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
                 without it the stream broke off, and may be gone on with from the last whole line by `after`. Of a log \
                 whose oldest events were dropped, lines with what stands for them come first, unless `after` is given. \
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
    let head = ctx.seq();
    let asked = request.query.integer("after", 0..=SEQ_MAX)?.map(Seq);
    let base = ctx.handle.log().base();
    let earliest = base.as_ref().map_or(Seq(1), |base| base.seq().next());
    let after = asked.unwrap_or(Seq(earliest.0 - 1));
    let until = request.query.integer("until", 0..=SEQ_MAX)?.map_or(head, Seq);
    if until > head {
        return Err(invalid("until", format!("event {until} has not happened; the last is {head}")));
    }
    if after.next() < earliest || until.next() < earliest {
        let asked = after.min(until);
        let said = format!("trimmed: events after {asked} are no longer in the log; the earliest is {earliest}");
        return Err(ApiError::new("position_lost", said));
    }
    if after > until {
        return Err(invalid("after", format!("is behind event {until}, the last that is to be given")));
    }
    let base = base.filter(|_| asked.is_none());
    let next = Arc::new(Mutex::new(Part::Begin { base, after }));
    let lines = Lines { lineage: ctx.lineage, at: ctx.now(), until, next, ctx: ctx.clone() };
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
    next: Arc<Mutex<Part>>,
}

type Carried = <RoaringTreemap as IntoIterator>::IntoIter;

enum Part {
    Begin {
        base: Option<Arc<dyn Base>>,
        after: Seq,
    },
    /// The parts of a base, one after the other.
    Base(Arc<dyn Base>, VecDeque<PartLines>),
    /// The carried events that are left.
    Carried(Arc<dyn Base>, Box<Carried>),
    /// The events after this one.
    Events(Seq),
    Nothing,
}

impl Lines {
    fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
        stream::try_unfold(self, |lines| async move {
            let writer = Writer { lineage: lines.lineage, at: lines.at, until: lines.until };
            let next = lines.next.clone();
            let made = lines.ctx.blocking(move |ctx| {
                let mut next = next.lock();
                let part = std::mem::replace(&mut *next, Part::Nothing);
                let (piece, following) = writer.piece(ctx, part)?;
                *next = following;
                Ok(piece)
            });
            let piece = made.await.map_err(|error| io::Error::other(error.detail().to_owned()))?;
            Ok(piece.map(|piece| (Bytes::from(piece), lines)))
        })
    }
}

/// What is the same on all lines.
#[derive(Clone, Copy)]
struct Writer {
    lineage: Uuid,
    at: Timestamp,
    until: Seq,
}

impl Writer {
    /// Lines of a part, and what follows them; none at the end.
    fn piece(self, ctx: &ApiContext, part: Part) -> Result<(Option<String>, Part), ApiError> {
        let (text, next) = match part {
            Part::Begin { base, after } => self.first(ctx, base, after)?,
            Part::Base(base, parts) => self.parts(base, parts)?,
            Part::Carried(base, seqs) => self.carried(base, seqs)?,
            Part::Events(after) if after >= self.until => {
                let ended = Ended { last: self.until, fold: None };
                (CloudEvent::ended(ended, self.lineage, self.at).line(), Part::Nothing)
            }
            Part::Events(after) => self.events(ctx, after)?,
            Part::Nothing => return Ok((None, Part::Nothing)),
        };
        Ok((Some(text), next))
    }

    fn first(self, ctx: &ApiContext, base: Option<Arc<dyn Base>>, after: Seq) -> Result<(String, Part), ApiError> {
        let epoch = Some(ctx.identity.epoch);
        let (lineage, earliest, last) = (self.lineage, after.next(), self.until);
        let said = base.as_ref().map(|base| BaseSaid { carried: base.carried().len() });
        let begun = Begun { format: FORMAT, lineage, earliest, last, epoch, base: said };
        let next = match base {
            Some(base) => {
                let state = PartLines::new(PartName::State, base.state().map_err(unreadable)?);
                let jobs = PartLines::new(PartName::Jobs, base.jobs().map_err(unreadable)?);
                Part::Base(base, [state, jobs].into())
            }
            None => Part::Events(after),
        };
        Ok((CloudEvent::begun(begun, self.at).line(), next))
    }

    fn parts(self, base: Arc<dyn Base>, mut parts: VecDeque<PartLines>) -> Result<(String, Part), ApiError> {
        let mut text = String::new();
        while let Some(part) = parts.front_mut().filter(|_| text.len() < PIECE_BYTES) {
            match part.next_line(self.lineage, self.at).map_err(unreadable)? {
                Some(line) => text.push_str(&line),
                None => drop(parts.pop_front()),
            }
        }
        if !parts.is_empty() {
            return Ok((text, Part::Base(base, parts)));
        }
        let carried = Box::new(base.carried().into_iter());
        Ok((text, Part::Carried(base, carried)))
    }

    fn carried(self, base: Arc<dyn Base>, mut seqs: Box<Carried>) -> Result<(String, Part), ApiError> {
        let mut text = String::new();
        while text.len() < PIECE_BYTES {
            let Some(seq) = seqs.next() else { return Ok((text, Part::Events(base.seq()))) };
            text.push_str(&CloudEvent::carried(base.record(Seq(seq))?, self.lineage).line());
        }
        Ok((text, Part::Carried(base, seqs)))
    }

    /// Lines of events after one.
    fn events(self, ctx: &ApiContext, after: Seq) -> Result<(String, Part), ApiError> {
        let (mut text, mut read) = (String::new(), after);
        while read < self.until && text.len() < PIECE_BYTES {
            for record in ctx.handle.log().page_after(read)?.into_iter().filter(|record| record.seq <= self.until) {
                read = record.seq;
                text.push_str(&CloudEvent::of(record, self.lineage).line());
            }
        }
        Ok((text, Part::Events(read)))
    }
}

fn unreadable(error: io::Error) -> ApiError {
    ApiError::new("unreadable", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{World, a_batch, a_job, complete};
    use crate::engine::base::{Kept, fold};
    use crate::feed::cloudevents::Line;
    use crate::log::memory::MemoryLog;
    use crate::log::{EventLog, ReadError};

    fn log() -> MemoryLog {
        let mut world = World::new();
        let session = world.joined();
        for _ in 0..20 {
            world.submitted(a_job());
            world.submitted(a_batch(&["one", "two"]));
            world.dealt(session, 1).into_iter().for_each(|proof| drop(world.given(complete(proof))));
        }
        let mut log = MemoryLog::new();
        for group in world.records.split_inclusive(|record| !record.continues) {
            log.submit(group.into()).expect("takes it");
            log.committed().expect("keeps it");
        }
        log
    }

    fn trim(log: &MemoryLog, last: u64) {
        let (reader, trimmer) = (log.reader(), log.trimmer());
        let ends = trimmer.extent().expect("measures").full;
        let last = ends.iter().map(|segment| segment.last).find(|end| end.0 >= last).expect("an end");
        let folded = fold(&*reader, &*trimmer, last, &|_| Kept::Payloads, &|| false).expect("folds");
        folded.replace_events(&*trimmer).expect("drops them");
    }

    #[test]
    fn what_stands_for_dropped_events_is_that_of_one_moment_also_when_more_are_dropped_meanwhile() {
        let log = log();
        trim(&log, 20);
        let reader = log.reader();
        let base = reader.base().expect("a base");
        let writer = Writer { lineage: Uuid::nil(), at: Timestamp::from_ms(1), until: log.last() };
        let parts = [PartLines::new(PartName::State, base.state().unwrap())].into();
        let (text, next) = writer.parts(base.clone(), parts).expect("lines");
        trim(&log, 60);
        let Part::Carried(_, seqs) = next else { panic!("all of the state is in one piece") };
        let (carried, next) = writer.carried(base.clone(), seqs).expect("lines");
        let read = |line| Line::read(line).expect("a line").0;
        assert!(text.lines().all(|line| matches!(read(line), Line::BasePart(_))));
        let seqs = carried.lines().map(|line| match read(line) {
            Line::Carried(record) => record.seq.0,
            other => panic!("{other:?}"),
        });
        assert!(seqs.eq(base.carried().iter()) && base.carried().len() > 5);
        // The events behind it are gone: they are not made up for with a later base.
        let Part::Events(after) = next else { panic!("events follow") };
        assert!(matches!(reader.page_after(after), Err(ReadError::Trimmed { .. })));
    }
}
