//! Taking what a finished job carried out of every answer, and what it left off the disk.

use std::sync::Arc;

use warp::http::Method;
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::reply;
use crate::api::request::Request;
use crate::api::route::Route;
use crate::domain::command::Command;
use crate::domain::event::Actor;
use crate::views::row::JobBody;

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/api/jobs/{id}/purge", purge)
            .named("purge_job", "Takes what a finished job carried out of every answer")
            .explained(
                "Its args, result, checkpoints, output files and log lines, and what its items carried. When this \
                 answers, no answer shows them any more, also none about its former events, and its files and log \
                 lines are gone from the disk; from the pages of the log they go with their segment. What it was and \
                 how it ended stays. It cannot be retried. Purging a purged job changes nothing.",
            )
            .answers::<JobBody>(200, "The job as it is now.")
            .fails(&["forbidden_origin", "job_not_found", "job_is_active", "overloaded", "storage_failed", "internal"]),
    ]
}

async fn purge(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let job = request.job_id()?;
    let receipt = ctx.handle.submit(Command::Purge { job }, Actor::CLIENT).await?;
    ctx.sessions.previews().forget(job);
    ctx.blocking(move |ctx| {
        let removed = ctx.traces.purge(job);
        removed.map_err(|error| {
            let detail = format!("it is purged, but its files are still on the disk: {error}; purge it again");
            ApiError::new("internal", detail)
        })
    })
    .await?;
    let body = ctx.job_body(job).await?;
    Ok(reply::read(receipt.seq, &body))
}
