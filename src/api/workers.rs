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
    /// In the order in which they joined.
    workers: Vec<WorkerRow>,
    /// Worker processes that are not there although they should be, and when each is started again; on every page.
    restarting: Vec<Trouble>,
    /// Where the next page begins; `null` on the last.
    next_cursor: Option<String>,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/workers", list)
            .named("list_workers", "Lists the live sessions of workers")
            .explained("What each takes, which jobs it holds, when it was last heard of, and what it is asked to do.")
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
