//! Workers over WebSocket: the upgrade of `GET /api/worker`. What is said over it is the vocabulary of all workers; the
//! connection is in [`connection`], what goes out in [`outgoing`], what comes in in [`incoming`].

mod connection;
mod incoming;
mod meter;
mod outgoing;

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use warp::http::{Method, Response as HttpResponse, StatusCode};
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::request::Request;
use crate::api::route::Route;

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
    let wants = request.header(UPGRADE.as_str()).is_some_and(|name| name.eq_ignore_ascii_case("websocket"));
    let speaks = request.header(SEC_WEBSOCKET_VERSION.as_str()) == Some("13");
    let key = request.header("sec-websocket-key").filter(|_| wants && speaks).map(str::to_owned);
    let Some((key, upgraded)) = key.zip(request.upgrade.take()) else {
        return Err(ApiError::new("upgrade_required", "this path speaks WebSocket, version 13, and nothing else"));
    };
    let protocol = subprotocol(&request)?;
    let place = PLACES.try_acquire().ok();
    tokio::spawn(async move {
        match upgraded.await {
            Ok(upgraded) => connection::serve(ctx, TokioIo::new(upgraded), place).await,
            Err(error) => tracing::debug!(%error, "a connection broke before it spoke WebSocket"),
        }
    });
    let mut response: Response = HttpResponse::new(Default::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).expect("base64 can be a header");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    Ok(response)
}

/// What is spoken, if the client asked for it by name. One that names nothing gets it too.
fn subprotocol(request: &Request) -> Result<Option<&'static str>, ApiError> {
    let values = request.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offered = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).peekable();
    if offered.peek().is_none() {
        return Ok(None);
    }
    let found = offered.any(|name| name.trim() == SUBPROTOCOL);
    let detail = || format!("offer the subprotocol {SUBPROTOCOL}, or none");
    found.then_some(Some(SUBPROTOCOL)).ok_or_else(|| ApiError::new("unknown_subprotocol", detail()))
}
