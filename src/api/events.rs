//! The events of one job: its trail, walked back through the log and shown from the beginning.

use std::sync::Arc;

use warp::http::Method;
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::request::Request;
use crate::api::route::Route;
use crate::api::{cursor, paging, past, reply};
use crate::domain::event::Record;
use crate::domain::id::{Epoch, Seq};
use crate::engine::Handle;
use crate::feed::published::PublishedEvent;
use crate::log::ReadError;

/// How far a trail is walked back; what is earlier cannot be reached by it.
const TRAIL_MAX: usize = 1_000_000;

/// A page of events.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct EventList {
    /// In order of seq.
    events: Vec<PublishedEvent>,
    /// Where the next page begins; `null` on the last.
    next_cursor: Option<String>,
    /// The oldest event that is still in the log: what happened to the job before it is not listed any more.
    earliest: Seq,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/jobs/{id}/events", of_job)
            .named("list_job_events", "Lists what happened to a job, from its submission on")
            .explained(
                "Each type of event has its schema in `schemas/events` of the sources; pass over types that you do \
                 not know.",
            )
            .takes(&[paging::LIMIT, paging::CURSOR, past::AT])
            .answers::<EventList>(200, "A page of events in order. Without next_cursor it was the last.")
            .fails(&["invalid_query", "job_not_found", "position_lost"]),
    ]
}

async fn of_job(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    let at = past::at(&ctx, &request.query)?;
    let scope = past::scope(format!("events {id}"), at);
    let limit = paging::limit(&request.query)?;
    let after = Seq(cursor::read(&request.query, &scope)?.unwrap_or(0) as u64);
    let seq = at.unwrap_or(ctx.seq());
    let not_found = move || ApiError::job_not_found(id);
    let last = match at {
        Some(at) => past::looking_back(&ctx, at, move |past| past.last_seq(id)?.ok_or_else(not_found)).await?,
        None => {
            let last = move |ctx: &ApiContext| {
                let views = ctx.handle.views();
                Ok(views.last_seq(&*views.job(id)?.ok_or_else(not_found)?))
            };
            ctx.blocking(last).await?
        }
    };
    let (events, more) = ctx.blocking(move |ctx| trail(&ctx.handle, last, after, limit)).await?;
    let next_cursor = events.last().filter(|_| more).map(|last| cursor::write(&scope, last.seq.0.into()));
    let earliest = ctx.handle.log().earliest();
    Ok(reply::read(seq, &EventList { events, next_cursor, earliest, seq, epoch: ctx.identity.epoch }))
}

/// The first `limit` events of a job after a seq and up to its event `last`, and whether there are more.
fn trail(handle: &Handle, last: Seq, after: Seq, limit: usize) -> Result<(Vec<PublishedEvent>, bool), ApiError> {
    let mut walked = 0;
    let mut kept: Vec<Record> = Vec::new();
    let mut next = Some(last).filter(|&seq| seq > after);
    while let Some(seq) = next.filter(|_| walked < TRAIL_MAX) {
        let Some(record) = read(handle, seq)? else { break };
        next = record.previous.filter(|&previous| previous > after);
        walked += 1;
        kept.push(record);
        // The walk goes from the end to the beginning, and the page is at the beginning: what lies behind is dropped.
        if kept.len() > limit * 2 {
            kept.drain(..limit);
        }
    }
    let more = walked > limit;
    let events = kept.into_iter().rev().take(limit).map(PublishedEvent::of).collect();
    Ok((events, more))
}

fn read(handle: &Handle, seq: Seq) -> Result<Option<Record>, ApiError> {
    match handle.log().record(seq) {
        Ok(record) => Ok(Some(record)),
        Err(ReadError::Trimmed { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
