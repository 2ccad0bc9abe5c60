//! Queues: what waits in each, pausing, draining and resuming.

use std::sync::Arc;

use warp::http::Method;
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::paging;
use crate::api::past;
use crate::api::reply;
use crate::api::request::Request;
use crate::api::route::Route;
use crate::domain::command::Command;
use crate::domain::event::Actor;
use crate::domain::id::{Epoch, QueueName, Seq};
use crate::views::row::QueueRow;

/// The queues.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct QueueList {
    /// By name.
    queues: Vec<QueueRow>,
    /// Where the next page begins; `null` on the last.
    next_cursor: Option<String>,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    const ERRORS: &[&str] = &["forbidden_origin", "queue_not_found", "overloaded", "storage_failed"];
    vec![
        Route::new(Method::GET, "/api/queues", list)
            .named(
                "list_queues",
                "Lists the queues: depth by state, age of the oldest, limits, paused and draining by whom",
            )
            .explained(
                "A queue is there from the first job that names it, or because it is configured. With `at` there are no \
                 limits: what was configured is not on record.",
            )
            .takes(&[paging::LIMIT, paging::CURSOR, past::AT])
            .answers::<QueueList>(200, "A page of queues by name.")
            .fails(&["invalid_query", "position_lost"]),
        Route::new(Method::POST, "/api/queues/{queue}/pause", pause)
            .named("pause_queue", "Pauses a queue")
            .explained(
                "It hands out no more jobs until it is resumed, also after a restart; what runs goes on. Pausing a \
                 paused queue changes nothing.",
            )
            .answers::<QueueRow>(200, "The queue as it is now.")
            .fails(ERRORS),
        Route::new(Method::POST, "/api/queues/{queue}/resume", resume)
            .named("resume_queue", "Resumes a queue")
            .explained(
                "It hands out jobs and takes new ones again: a pause and a drain end. Resuming a queue that is neither \
                 paused nor draining changes nothing.",
            )
            .answers::<QueueRow>(200, "The queue as it is now.")
            .fails(ERRORS),
        Route::new(Method::POST, "/api/queues/{queue}/drain", drain)
            .named("drain_queue", "Drains a queue")
            .explained(
                "It takes no new jobs until it is resumed, also after a restart: submits, moves into it and retries by \
                 hand are refused with `queue_draining`. What is in it is worked off, with the retries that follow \
                 from it, and the children that running jobs submit with their token are taken, so that no batch \
                 breaks in the middle. Draining a queue that drains changes nothing; a paused one stays paused.",
            )
            .answers::<QueueRow>(200, "The queue as it is now.")
            .fails(ERRORS),
    ]
}

async fn list(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let at = past::at(&ctx, &request.query)?;
    let seq = at.unwrap_or(ctx.seq());
    let queues = match at {
        Some(at) => past::looking_back(&ctx, at, |past| Ok(past.queues()?)).await?,
        None => ctx.handle.views().queues(ctx.now()),
    };
    let page = paging::cut(&request.query, &past::scope("queues".to_owned(), at), queues)?;
    Ok(reply::read(seq, &QueueList { queues: page.rows, next_cursor: page.next, seq, epoch: ctx.identity.epoch }))
}

async fn pause(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let queue: QueueName = request.parsed_param("queue", "queue_not_found")?;
    change(&ctx, queue.clone(), Command::PauseQueue { queue }).await
}

async fn resume(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let queue: QueueName = request.parsed_param("queue", "queue_not_found")?;
    change(&ctx, queue.clone(), Command::ResumeQueue { queue }).await
}

async fn drain(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let queue: QueueName = request.parsed_param("queue", "queue_not_found")?;
    change(&ctx, queue.clone(), Command::DrainQueue { queue }).await
}

async fn change(ctx: &ApiContext, queue: QueueName, command: Command) -> Result<Response, ApiError> {
    let receipt = ctx.handle.submit(command, Actor::CLIENT).await?;
    let row = ctx.handle.views().queues(ctx.now()).into_iter().find(|row| row.name == queue);
    let row = row.ok_or_else(|| ApiError::new("queue_not_found", format!("there is no queue {queue}")))?;
    Ok(reply::read(receipt.seq, &row))
}
