//! What every WebSocket of this server shares: the upgrade, and how bytes are counted and sent. Knows no frame.

pub mod meter;
pub mod sending;
pub mod shared_line;

use std::future::Future;

use futures::stream::{SplitSink, SplitStream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use warp::http::{Response as HttpResponse, StatusCode};
use warp::reply::Response;

use crate::api::error::ApiError;
use crate::api::request::Request;
use crate::api::websocket::meter::Metered;

/// A connection.
pub type Socket = WebSocketStream<Metered<TokioIo<Upgraded>>>;
/// What comes over it.
pub type Stream = SplitStream<Socket>;
/// What goes over it.
pub type Sink = SplitSink<Socket, Message>;

/// Makes a WebSocket of a request; `talk` holds it from then on. Gives the answer to the request.
///
/// # Errors
/// It asks for no WebSocket, or for another subprotocol.
pub fn upgrade<T: Future<Output = ()> + Send + 'static>(
    request: &mut Request,
    protocol: &'static str,
    talk: impl FnOnce(TokioIo<Upgraded>) -> T + Send + 'static,
) -> Result<Response, ApiError> {
    let wants = request.header(UPGRADE.as_str()).is_some_and(|name| name.eq_ignore_ascii_case("websocket"));
    let speaks = request.header(SEC_WEBSOCKET_VERSION.as_str()) == Some("13");
    let key = request.header("sec-websocket-key").filter(|_| wants && speaks).map(str::to_owned);
    let Some((key, upgraded)) = key.zip(request.upgrade.take()) else {
        return Err(ApiError::new("upgrade_required", "this path speaks WebSocket, version 13, and nothing else"));
    };
    let protocol = subprotocol(request, protocol)?;
    tokio::spawn(async move {
        match upgraded.await {
            Ok(upgraded) => talk(TokioIo::new(upgraded)).await,
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
fn subprotocol(request: &Request, spoken: &'static str) -> Result<Option<&'static str>, ApiError> {
    let values = request.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offered = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).peekable();
    if offered.peek().is_none() {
        return Ok(None);
    }
    let found = offered.any(|name| name.trim() == spoken);
    let detail = || format!("offer the subprotocol {spoken}, or none");
    found.then_some(Some(spoken)).ok_or_else(|| ApiError::new("unknown_subprotocol", detail()))
}
