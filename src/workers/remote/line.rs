//! Opens the WebSocket to a server, and tells what a failure means: whether it may pass, and what a person can do.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Uri};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// What the two sides speak.
pub const SUBPROTOCOL: &str = "daybook.worker.v1";
/// How long it may take to reach a server and to agree on a WebSocket.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Small: frames are mostly short, and there may be many workers on a machine.
const BUFFER_BYTES: usize = 8 * 1024;
/// The most bytes that a server may send in one message: a job with the largest args and a thousand large items.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An open connection.
pub(crate) type Line = WebSocketStream<TcpStream>;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineError {
    /// It may go better in a while.
    Passing(String),
    /// The server does not want this worker.
    Refused(Refused),
}

/// Why a server does not want this worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the server at {server} refuses the worker: status {status}{detail}")]
    Upgrade { server: String, status: u16, detail: String },
    #[error("the server has closed the connection for good: {code}{reason}")]
    Closed { code: u16, reason: String },
    #[error("the server does not take the worker's introduction: {detail}")]
    Hello { detail: String },
    #[error("the server at {server} speaks no WebSocket for workers: {detail}")]
    Strange { server: String, detail: String },
    #[error("{server:?} cannot be used: workers speak plain http only")]
    Scheme { server: String },
}

impl Refused {
    /// What a person can do.
    pub fn next_step(&self) -> &'static str {
        match self {
            Refused::Upgrade { status: 401, .. } | Refused::Closed { code: 4501, .. } => {
                "give a token of the role worker with --token or DAYBOOK_TOKEN; `daybook token` makes one"
            }
            Refused::Upgrade { status: 403, .. } | Refused::Closed { code: 4503, .. } => {
                "the token needs the role worker, and a proxy in between must not add an Origin that is not allowed"
            }
            Refused::Upgrade { status: 404, .. } => {
                "is that a Daybook, and new enough to have remote workers? `daybook status` tells its version"
            }
            Refused::Closed { code: 4504, .. } => "the server has too many connections; end some workers first",
            Refused::Closed { code: 4506, .. } => {
                "another connection has taken the session over: is this worker running twice?"
            }
            Refused::Upgrade { .. } | Refused::Strange { .. } => {
                "is --server the address of a Daybook, or of something in between that does not pass WebSockets on?"
            }
            Refused::Closed { .. } | Refused::Hello { .. } => {
                "worker and server do not understand each other: use the same version of both"
            }
            Refused::Scheme { .. } => {
                "write it like http://127.0.0.1:7878; for https put a tunnel in between (ssh -L, stunnel, a VPN)"
            }
        }
    }
}

/// What a close frame means.
pub(crate) fn closed(frame: Option<CloseFrame>) -> LineError {
    let Some(frame) = frame else { return LineError::Passing("the server closed the connection".to_owned()) };
    let code = u16::from(frame.code);
    let reason = if frame.reason.is_empty() { String::new() } else { format!(" ({})", frame.reason) };
    match code {
        4500..=4999 => LineError::Refused(Refused::Closed { code, reason }),
        _ => LineError::Passing(format!("the server closed the connection: {code}{reason}")),
    }
}

/// Opens a connection to `server`, which is like `http://host:port`.
pub(crate) async fn open(server: &str, token: Option<&str>) -> Result<Line, LineError> {
    let opening = tokio::time::timeout(CONNECT_MAX, try_open(server, token)).await;
    opening.unwrap_or_else(|_| Err(LineError::Passing(format!("no answer within {} s", CONNECT_MAX.as_secs()))))
}

async fn try_open(server: &str, token: Option<&str>) -> Result<Line, LineError> {
    let strange = |detail: String| Refused::Strange { server: server.to_owned(), detail };
    let request = request(server, token)?;
    let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = request.uri().port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.as_str(), port)).await;
    let stream = stream.map_err(|error| LineError::Passing(format!("{server} is not reached: {error}")))?;
    // Frames are short and somebody waits for each.
    stream.set_nodelay(true).map_err(|error| LineError::Passing(error.to_string()))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((line, _)) => Ok(line),
        Err(tungstenite::Error::Http(response)) => {
            let (status, body) = (response.status().as_u16(), response.body().as_deref().unwrap_or_default());
            let detail = detail_of(body);
            match status {
                429 | 500..=599 => Err(LineError::Passing(format!("the server answers {status}{detail}"))),
                _ => Err(LineError::Refused(Refused::Upgrade { server: server.to_owned(), status, detail })),
            }
        }
        Err(tungstenite::Error::Protocol(ProtocolError::HandshakeIncomplete)) => {
            Err(LineError::Passing("the connection broke before it was open".to_owned()))
        }
        Err(error @ (tungstenite::Error::Protocol(_) | tungstenite::Error::HttpFormat(_))) => {
            Err(LineError::Refused(strange(error.to_string())))
        }
        Err(error) => Err(LineError::Passing(error.to_string())),
    }
}

fn request(server: &str, token: Option<&str>) -> Result<Request<()>, LineError> {
    let refused = |error: Refused| LineError::Refused(error);
    let rest = server.strip_prefix("http://");
    let rest = rest.ok_or_else(|| refused(Refused::Scheme { server: server.to_owned() }))?;
    let strange = |detail: String| refused(Refused::Strange { server: server.to_owned(), detail });
    let uri: Uri = format!("ws://{rest}/api/worker").parse().map_err(|error| strange(format!("{error}")))?;
    let mut request = uri.into_client_request().map_err(|error| strange(error.to_string()))?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("daybook/", env!("CARGO_PKG_VERSION"))));
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| strange("the token has characters that no header may have".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn detail_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Problem {
        detail: String,
    }
    serde_json::from_slice::<Problem>(body).map_or_else(|_| String::new(), |problem| format!(": {}", problem.detail))
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

    use super::*;

    #[test]
    fn codes_up_to_4499_pass_and_the_others_are_for_good() {
        let close = |code: u16| closed(Some(CloseFrame { code: CloseCode::from(code), reason: "why".into() }));
        for code in [1000, 1001, 1011, 4001, 4499] {
            assert!(matches!(close(code), LineError::Passing(_)), "{code}");
        }
        for code in [4500, 4501, 4506, 4999] {
            let LineError::Refused(refused) = close(code) else { panic!("{code}") };
            assert!(refused.to_string().contains(&format!("{code} (why)")) && !refused.next_step().is_empty());
        }
    }

    #[test]
    fn a_server_is_named_by_an_http_address() {
        let to = |server: &str| request(server, Some("secret"));
        let request = to("http://[::1]:7878/prefix").expect("a request");
        assert_eq!(request.uri().to_string(), "ws://[::1]:7878/prefix/api/worker");
        assert_eq!(request.headers()["authorization"], "Bearer secret");
        let Err(LineError::Refused(https)) = to("https://daybook.example") else { panic!() };
        assert!(https.next_step().contains("tunnel"));
    }
}
