//! Workers: the sessions that are live, and what each runs. The log knows who came and who holds what; when a worker was
//! last heard of, only its session knows.

use std::sync::Arc;

use warp::http::Method;
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::request::Request;
use crate::api::route::Route;
use crate::api::{paging, reply};
use crate::domain::id::{Epoch, Seq};
use crate::sessions::troubles::Trouble;
use crate::views::row::WorkerRow;

/// The workers.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct WorkerList {
    workers: Vec<WorkerRow>,
    /// Worker processes that are not there although they should be, and when each is started again; on every page.
    restarting: Vec<Trouble>,
    next_cursor: Option<String>,
    seq: Seq,
    epoch: Epoch,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/workers", list)
            .named("list_workers", "Lists the live sessions of workers: what each runs, its last beat, its state")
            .takes(&[paging::LIMIT, paging::CURSOR])
            .answers::<WorkerList>(200, "A page of sessions.")
            .fails(&["invalid_query"]),
    ]
}

async fn list(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let seq = ctx.seq();
    let page = paging::cut(&request.query, "workers", ctx.handle.views().workers())?;
    let (restarting, epoch) = (ctx.sessions.troubles().list(), ctx.identity.epoch);
    Ok(reply::read(seq, &WorkerList { workers: page.rows, restarting, next_cursor: page.next, seq, epoch }))
}
