//! Live pages over WebSocket: the upgrade of `GET /api/live`. What is sent and when is decided in `live`; the connection is
//! in [`connection`]. The frames are described in `schemas/live`.

mod connection;

use std::sync::Arc;

use warp::http::Method;
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::request::Request;
use crate::api::route::Route;
use crate::api::websocket;

/// The name of what is spoken.
pub const SUBPROTOCOL: &str = "daybook.v1";

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![Route::new(Method::GET, "/api/live", upgrade).judging_origins()]
}

async fn upgrade(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let is_foreign = request.is_foreign;
    websocket::upgrade(&mut request, SUBPROTOCOL, move |io| connection::serve(ctx.live.clone(), io, is_foreign))
}
