//! A request as handlers see it: its path's parts, its query, its headers, and a body that is read within limits.

use std::fmt::Display;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use warp::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap};

use crate::api::error::ApiError;
use crate::api::query::Query;
use crate::domain::id::{JobId, LeaseToken, TokenHash};

/// The most bytes of a JSON body.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much of a body that is too large is read and thrown away, so that its sender gets to read the answer.
const DISCARD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long that may take.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(20);

/// How much of a body that no handler wanted is read away, so that the connection can be used on.
const UNREAD_BYTES_MAX: usize = BODY_BYTES_MAX;
/// How long that may take.
const UNREAD_TIME_MAX: Duration = Duration::from_secs(5);

/// A body on its way.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>;

/// One request.
pub struct Request {
    pub params: Vec<(&'static str, String)>,
    pub query: Query,
    pub headers: HeaderMap,
    /// The connection itself, for who makes another of it.
    pub upgrade: Option<OnUpgrade>,
    /// Whether a page of another origin asks, which may see nothing but what everybody may.
    pub is_foreign: bool,
    pub(in crate::api) body: Body,
}

/// A body until somebody begins to read it. The door keeps a share, to see whether anybody has.
#[derive(Clone)]
pub struct Body(Arc<Mutex<Option<BodyStream>>>);

impl Body {
    /// A body that nobody has begun to read.
    pub fn new(stream: BodyStream) -> Body {
        Body(Arc::new(Mutex::new(Some(stream))))
    }

    /// Whether nobody has begun to read it.
    pub fn is_unread(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Reads a body that nobody has begun to read, if it is not too long and comes at once: the next request on the connection
    /// stands behind it. Says whether the connection can be used on.
    pub async fn read_away(self) -> bool {
        let unread = self.0.lock().take();
        match unread {
            Some(stream) => is_drained(stream, UNREAD_BYTES_MAX, UNREAD_TIME_MAX).await,
            None => true,
        }
    }
}

impl Request {
    /// Puts a request together.
    pub fn new(params: Vec<(&'static str, String)>, query: Query, headers: HeaderMap, body: Body) -> Request {
        Request { params, query, headers, upgrade: None, is_foreign: false, body }
    }

    /// A part of the path.
    ///
    /// # Panics
    /// When the route has no such part.
    pub fn param(&self, name: &str) -> &str {
        let param = self.params.iter().find(|(other, _)| *other == name);
        param.map(|(_, value)| value.as_str()).expect("a handler asks for the parts of its own path")
    }

    /// A part of the path that stands for something; one that does not is as good as unknown.
    pub fn parsed_param<T: FromStr<Err: Display>>(&self, name: &str, not_found: &str) -> Result<T, ApiError> {
        let text = self.param(name);
        text.parse().map_err(|error| ApiError::new(not_found, format!("{text:?} cannot be one: {error}")))
    }

    /// The job that the path names.
    pub fn job_id(&self) -> Result<JobId, ApiError> {
        self.parsed_param("id", "job_not_found")
    }

    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The hash of the lease's token that came with the request.
    pub fn lease_token(&self) -> Option<TokenHash> {
        self.header("lease-token").map(|text| LeaseToken::new(text).hash())
    }

    /// The text of a JSON body.
    ///
    /// # Errors
    /// 413 above [`BODY_BYTES_MAX`], whether the length was declared or not; 415 for another media type; 400 when it
    /// is no text.
    pub async fn json(&mut self) -> Result<String, ApiError> {
        let bytes = self.bytes(BODY_BYTES_MAX).await?;
        if !bytes.is_empty() {
            self.check_media_type()?;
        }
        String::from_utf8(bytes).map_err(|_| ApiError::new("invalid_json", "the body is not UTF-8"))
    }

    /// The text of a JSON body; without one, an empty object.
    pub async fn json_or_empty(&mut self) -> Result<String, ApiError> {
        let text = self.json().await?;
        Ok(if text.trim().is_empty() { "{}".to_owned() } else { text })
    }

    /// The body as it comes.
    pub fn stream(&mut self) -> BodyStream {
        self.body.0.lock().take().expect("a body is read once")
    }

    /// The length that the sender declared.
    pub fn declared_length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    async fn bytes(&mut self, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
        let mut body = self.stream();
        let declared = self.declared_length().unwrap_or(0);
        if declared > bytes_max as u64 {
            // Who waits for 100-continue has sent nothing yet and is told at once.
            if !self.headers.contains_key(EXPECT) {
                discard(body).await;
            }
            return Err(too_large(bytes_max));
        }
        let mut bytes = Vec::with_capacity(declared as usize);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|_| ApiError::new("invalid_json", "the body broke off"))?;
            if bytes.len() + chunk.len() > bytes_max {
                drop(bytes);
                discard(body).await;
                return Err(too_large(bytes_max));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn check_media_type(&self) -> Result<(), ApiError> {
        let coding = self.headers.get(CONTENT_ENCODING);
        if let Some(coding) = coding.filter(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let detail = format!("the body is packed ({coding:?}); send it as plain text, without Content-Encoding");
            return Err(ApiError::unsupported_media_type(detail));
        }
        let Some(given) = self.headers.get(CONTENT_TYPE) else { return Ok(()) };
        let given = String::from_utf8_lossy(given.as_bytes()).to_ascii_lowercase();
        let essence = given.split(';').next().unwrap_or_default().trim();
        if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
            return Ok(());
        }
        Err(ApiError::unsupported_media_type(format!("the body is {essence:?} and must be application/json")))
    }
}

/// The error of a body that is too large.
pub fn too_large(bytes_max: usize) -> ApiError {
    ApiError::new("body_too_large", format!("the body has more than {bytes_max} bytes"))
}

/// Turns what warp gives into plain bytes.
pub fn body_stream<S, B>(stream: S) -> BodyStream
where
    S: Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
    B: Buf,
{
    Box::pin(stream.map(|chunk| chunk.map(|mut chunk| chunk.copy_to_bytes(chunk.remaining()))))
}

/// Reads a body and keeps nothing of it. Whoever sends more, or is slower, finds the connection closed.
pub async fn discard(body: BodyStream) {
    is_drained(body, DISCARD_BYTES_MAX, DISCARD_TIME_MAX).await;
}

/// Reads a body to its end and keeps nothing of it. Says whether the end came within the limits.
async fn is_drained(mut body: BodyStream, bytes_max: usize, time_max: Duration) -> bool {
    let reading = async {
        let mut left = bytes_max;
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) if chunk.len() < left => left -= chunk.len(),
                Ok(_) | Err(_) => return false,
            }
        }
        true
    };
    tokio::time::timeout(time_max, reading).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn request(headers: &[(&'static str, &str)], chunks: Vec<Vec<u8>>) -> Request {
        let headers = headers.iter().map(|&(name, value)| {
            let name = warp::http::HeaderName::from_static(name);
            (name, value.parse().expect("a header"))
        });
        let body = Box::pin(stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk)))));
        Request::new(Vec::new(), Query::default(), headers.collect(), Body::new(body))
    }

    fn code(answer: Result<String, ApiError>) -> &'static str {
        answer.expect_err("is refused").code()
    }

    #[tokio::test]
    async fn a_body_is_read_as_text_in_any_number_of_chunks() {
        let mut request =
            request(&[("content-type", "application/json; charset=utf-8")], vec![b"{\"a\"".into(), b":1}".into()]);
        assert_eq!(request.json().await.expect("is text"), "{\"a\":1}");
    }

    #[tokio::test]
    async fn a_body_above_the_limit_is_refused_whether_its_length_was_declared_or_not() {
        let chunk = vec![b' '; 1024 * 1024];
        let chunks = vec![chunk; 17];
        assert_eq!(code(request(&[], chunks.clone()).json().await), "body_too_large");
        assert_eq!(code(request(&[("content-length", "17825792")], chunks).json().await), "body_too_large");
        let expecting = [("content-length", "17825792"), ("expect", "100-continue")];
        assert_eq!(code(request(&expecting, vec![]).json().await), "body_too_large");
    }

    #[tokio::test]
    async fn a_form_or_bytes_that_are_no_text_are_refused() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        assert_eq!(code(request(&[form], vec![b"{}".into()]).json().await), "unsupported_media_type");
        let packed = [("content-type", "application/json"), ("content-encoding", "gzip")];
        assert_eq!(code(request(&packed, vec![b"{}".into()]).json().await), "unsupported_media_type");
        assert_eq!(code(request(&[], vec![vec![0xff]]).json().await), "invalid_json");
        assert_eq!(request(&[form], vec![]).json_or_empty().await.expect("is empty"), "{}");
    }
}
