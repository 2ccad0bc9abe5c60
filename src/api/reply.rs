//! Answers: JSON with the headers that belong to it, problems, bytes for browsers that must not run them.

use bytes::Bytes;
use serde::Serialize;
use warp::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use warp::http::{Response as HttpResponse, StatusCode};
use warp::reply::Response;

use crate::api::error::ApiError;
use crate::domain::id::Seq;

/// The header with the instance of the server, on every answer.
pub const DAYBOOK_EPOCH: HeaderName = HeaderName::from_static("daybook-epoch");
/// The header with the seq as of which something was read.
pub const DAYBOOK_SEQ: HeaderName = HeaderName::from_static("daybook-seq");
/// The header that says that an answer repeats an earlier one.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a browser may do with bytes that a job made: show them, alone and without any right.
pub const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'",
);

/// An answer in JSON.
///
/// # Panics
/// When the value cannot be written as JSON, which no type of ours can.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("our own types can be written as JSON");
    with_type(status, "application/json", body)
}

/// What was read, as of a seq.
pub fn read(seq: Seq, value: &impl Serialize) -> Response {
    as_of(seq, json(StatusCode::OK, value))
}

/// It is done, and there is nothing to tell.
pub fn nothing() -> Response {
    let mut response = with_type(StatusCode::NO_CONTENT, "text/plain", "");
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// Says as of which seq an answer was read.
pub fn as_of(seq: Seq, mut response: Response) -> Response {
    response.headers_mut().insert(DAYBOOK_SEQ, HeaderValue::from(seq.0));
    response
}

/// A problem.
pub fn problem(error: &ApiError) -> Response {
    let body = serde_json::to_vec(&error.body()).expect("a problem can be written as JSON");
    let mut response = with_type(error.status(), "application/problem+json", body);
    let headers = response.headers_mut();
    headers.extend(error.headers().iter().cloned());
    if let Some(seconds) = error.retry_after_s() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Bytes that a job made, for a browser to show and never to run.
pub fn sandboxed(media_type: &str, bytes: Bytes) -> Response {
    let mut response = with_type(StatusCode::OK, media_type, bytes);
    sandbox(&mut response);
    response
}

/// Takes every right from what a browser would make of an answer.
pub fn sandbox(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, SANDBOX);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

/// An answer with a media type; one that is no header becomes plain bytes.
pub fn with_type(status: StatusCode, media_type: &str, body: impl Into<Bytes>) -> Response {
    let body: Bytes = body.into();
    let mut response: Response = HttpResponse::new(body.into());
    *response.status_mut() = status;
    let fallback = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_str(media_type).unwrap_or(fallback));
    response
}
