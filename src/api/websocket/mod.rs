//! What every WebSocket of this server shares: the upgrade, and how bytes are counted and sent. Knows no frame.

pub mod meter;
pub mod sending;
pub mod shared_line;

use std::future::Future;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use warp::http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use warp::http::{Response as HttpResponse, StatusCode};
use warp::reply::Response;

use crate::api::error::ApiError;
use crate::api::request::Request;
use crate::api::websocket::meter::Metered;
use crate::api::websocket::shared_line::{Messages, SharedLine};

/// A connection whose bytes are counted.
pub type Line = SharedLine<Metered<TokioIo<Upgraded>>>;
/// What comes and goes over it by the library's hand.
pub type LineMessages<'a> = Messages<'a, Metered<TokioIo<Upgraded>>>;

/// What the library has to say itself (pongs, the close) waits in its buffer up to so many bytes, while the other side does
/// not read. The latest pong stands for those that there is no room for.
const OWN_WORDS_BYTES_MAX: usize = 4 * 1024;

/// How a connection is read: buffers of so many bytes, messages of at most so many.
pub fn config(read_buffer_bytes: usize, message_bytes_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(read_buffer_bytes)
        .write_buffer_size(0)
        .max_write_buffer_size(OWN_WORDS_BYTES_MAX)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
}

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
    let connection = request.header(CONNECTION.as_str()).unwrap_or_default();
    let agrees = connection.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    let speaks = request.header(SEC_WEBSOCKET_VERSION.as_str()) == Some("13");
    // Sixteen bytes in base64.
    let key = request.header("sec-websocket-key").filter(|key| wants && agrees && speaks && key.len() == 24);
    let key = key.map(str::to_owned);
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
