//! Workers over WebSocket: the upgrade of `GET /api/worker`. What is said over it is the vocabulary of all workers; the
//! connection is in [`connection`], what goes out in [`outgoing`], what comes in in [`incoming`].

mod connection;
mod incoming;
mod outgoing;

use std::sync::Arc;

use tokio::sync::Semaphore;
use warp::http::Method;
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::request::Request;
use crate::api::route::Route;
use crate::api::websocket;

/// The name of what is spoken.
pub const SUBPROTOCOL: &str = "daybook.worker.v1";
/// The most connections of workers at a time.
pub const WORKERS_MAX: usize = 10_000;

static PLACES: Semaphore = Semaphore::const_new(WORKERS_MAX);

/// The routes of this area. The frames are described in `schemas/worker`.
pub fn routes() -> Vec<Route> {
    vec![Route::new(Method::GET, "/api/worker", upgrade)]
}

async fn upgrade(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    websocket::upgrade(&mut request, SUBPROTOCOL, |io| {
        let place = PLACES.try_acquire().ok();
        connection::serve(ctx, io, place)
    })
}
