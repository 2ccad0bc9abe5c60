//! What jobs leave for people to look at: output files and preview pictures. Served so that no browser runs them.

use std::fs::File;
use std::io;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use warp::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH,
    IF_RANGE, LAST_MODIFIED, RANGE,
};
use warp::http::{Method, StatusCode};
use warp::reply::{Reply, Response};

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::request::{BodyStream, Request, too_large};
use crate::api::route::{Content, Route};
use crate::api::{lease, range, reply};
use crate::domain::command::{Command, LeaseProof};
use crate::domain::event::{Actor, LateCall};
use crate::domain::id::JobId;
use crate::domain::job::FileInfo;
use crate::sessions::ports::{FILE_NAME_BYTES_MAX, is_file_name};
use crate::sessions::reading::NewJobFile;

/// The most bytes of an output file that comes over HTTP.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024 * 1024;
/// The longest media type that is kept, in bytes; a longer one is guessed from the name instead.
const MEDIA_TYPE_BYTES_MAX: usize = 255;
/// How long an upload may pause before it is given up. As a whole it may take as long as its lease is held.
const UPLOAD_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How much of a file is read at a time.
const PIECE_BYTES: usize = 64 * 1024;

const LEASE_HEADER: &[(&str, &str)] = &[("Lease-Token", "The token of the worker that holds the job.")];
const RANGE_HEADERS: &[(&str, &str)] = &[
    ("Range", "One range of bytes, such as bytes=0-499."),
    ("If-Range", "The ETag of the file of which a range is wanted; another file is sent whole."),
    ("If-None-Match", "The ETag that is there already."),
];

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/jobs/{id}/preview", preview)
            .named("get_preview", "Shows the latest preview picture of a job")
            .explained(
                "The latest `preview` that its worker sent with its progress: kept in memory, and gone some time \
                 after the job has ended.",
            )
            .answer(200, "The picture.", Content::Bytes("image/*"))
            .fails(&["job_not_found", "preview_not_found"]),
        Route::new(Method::GET, "/api/jobs/{id}/files/{name}", download)
            .named("get_file", "Reads an output file")
            .explained("Whole or in part. It is served so that no browser runs what is in it.")
            .reads(RANGE_HEADERS)
            .answer(200, "The file.", Content::Bytes("*/*"))
            .with_headers(&["ETag", "Accept-Ranges", "Content-Disposition"])
            .answer(206, "The range of the file.", Content::Bytes("*/*"))
            .with_headers(&["ETag", "Accept-Ranges", "Content-Disposition", "Content-Range"])
            .answer(304, "The file that is there already.", Content::Nothing)
            .with_headers(&["ETag"])
            .fails(&["job_not_found", "file_not_found", "range_not_satisfiable"]),
        Route::new(Method::PUT, "/api/jobs/{id}/files/{name}", upload)
            .named("put_file", "Stores an output file of a running job")
            .explained(
                "For the worker that holds the job. A file of the same name is replaced as soon as the new one is \
                 there as a whole; the media type is that of the request.",
            )
            .reads(LEASE_HEADER)
            .body_of_bytes()
            .answers::<FileInfo>(201, "The file as it is kept.")
            .fails(&[
                "forbidden_origin",
                "job_not_found",
                "lease_lost",
                "body_too_large",
                "invalid_request",
                "overloaded",
                "storage_low",
                "storage_failed",
            ])
            .streams(),
    ]
}

async fn preview(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    known(&ctx, id)?;
    let preview = ctx.sessions.previews().get(id);
    let preview =
        preview.ok_or_else(|| ApiError::new("preview_not_found", format!("job {id} shows no picture now")))?;
    Ok(reply::as_of(ctx.seq(), reply::sandboxed(&preview.media_type, preview.bytes)))
}

fn known(ctx: &ApiContext, id: JobId) -> Result<(), ApiError> {
    ctx.handle.views().row(id)?.map(drop).ok_or_else(|| ApiError::job_not_found(id))
}

async fn download(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    let name = request.param("name").to_owned();
    let seq = ctx.seq();
    let found = ctx.blocking(move |ctx| open(ctx, id, &name)).await?;
    let etag = found.etag();
    if request.header(IF_NONE_MATCH.as_str()).is_some_and(|given| range::etag_fits(given, &etag)) {
        let mut response = reply::with_type(StatusCode::NOT_MODIFIED, "text/plain", "");
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().insert(ETAG, header(&etag));
        return Ok(response);
    }
    let same = request.header(IF_RANGE.as_str()).is_none_or(|given| given == etag);
    let asked = request.header(RANGE.as_str()).filter(|_| same);
    let part = asked
        .map_or(Ok(None), |text| range::parse(text, found.size))
        .map_err(|_| ApiError::range_not_satisfiable(found.size))?;
    Ok(reply::as_of(seq, found.into_response(part, &etag)))
}

/// A file that is open to be sent.
struct Found {
    info: FileInfo,
    file: File,
    size: u64,
    modified_ns: u128,
}

fn open(ctx: &ApiContext, id: JobId, name: &str) -> Result<Found, ApiError> {
    let row = ctx.handle.views().row(id)?.ok_or_else(|| ApiError::job_not_found(id))?;
    let absent = || ApiError::new("file_not_found", format!("job {id} has no file {name:?}"));
    // Only what the log knows is a file of the job: a name never becomes a path before it was found there.
    let info = row.files.into_iter().find(|file| &*file.name == name).ok_or_else(absent)?;
    let file = ctx.files.open(id, name).map_err(unreadable)?.ok_or_else(absent)?;
    let meta = file.metadata().map_err(unreadable)?;
    let modified = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    Ok(Found { info, file, size: meta.len(), modified_ns: modified.unwrap_or_default().as_nanos() })
}

fn unreadable(error: io::Error) -> ApiError {
    ApiError::new("unreadable", format!("the file could not be read: {error}"))
}

impl Found {
    fn etag(&self) -> String {
        format!("\"{:x}-{:x}\"", self.size, self.modified_ns)
    }

    fn into_response(self, part: Option<(u64, u64)>, etag: &str) -> Response {
        let (first, last) = part.unwrap_or((0, self.size.saturating_sub(1)));
        let length = if self.size == 0 { 0 } else { last - first + 1 };
        let mut response = warp::reply::stream(pieces(self.file, first, length)).into_response();
        reply::sandbox(&mut response);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, header(&self.info.media_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(ETAG, header(etag));
        headers.insert(CONTENT_DISPOSITION, disposition(&self.info.name));
        headers.remove(LAST_MODIFIED);
        if part.is_some() {
            headers.insert(CONTENT_RANGE, header(&format!("bytes {first}-{last}/{}", self.size)));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    }
}

/// Reads a part of a file piece by piece, where blocking is allowed. No thread waits for the reader: there are fewer
/// threads than there may be readers, and a slow one would keep its own from everybody else.
pub fn pieces(file: File, first: u64, length: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    stream::try_unfold((file, first, length), |(file, at, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let reading = tokio::task::spawn_blocking(move || read_piece(file, at, left));
        // It ends before its time only with the server.
        let (file, piece) = reading.await.map_err(io::Error::other)??;
        let length = piece.len() as u64;
        Ok(Some((piece, (file, at + length, left - length))))
    })
}

fn read_piece(mut file: File, at: u64, left: u64) -> io::Result<(File, Bytes)> {
    file.seek(SeekFrom::Start(at))?;
    let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES))];
    file.read_exact(&mut piece)?;
    Ok((file, piece.into()))
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// The name under which a browser would save the file: in ASCII for all, and in full for those who understand it.
fn disposition(name: &str) -> HeaderValue {
    let plain: String =
        name.chars().map(|it| if it.is_ascii_graphic() && !"\"\\%".contains(it) { it } else { '_' }).collect();
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => (byte as char).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let full: String = name.bytes().map(escape).collect();
    header(&format!("inline; filename=\"{plain}\"; filename*=UTF-8''{full}"))
}

async fn upload(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    let name = checked_name(request.param("name"))?;
    let missing = || ApiError::new("lease_lost", "send the Lease-Token of the worker that holds the job");
    let proof = LeaseProof { job: id, token: request.lease_token().ok_or_else(missing)? };
    // Whoever holds it is heard; one who does not is refused below, and that is noted.
    drop(lease::find(&ctx, proof.token));
    ctx.handle.submit(Command::CheckLease { proof, call: LateCall::File }, Actor::CLIENT).await?;
    if request.declared_length().is_some_and(|length| length > FILE_BYTES_MAX as u64) {
        return Err(too_large(FILE_BYTES_MAX));
    }
    let media_type = request.header(CONTENT_TYPE.as_str()).filter(|text| text.len() <= MEDIA_TYPE_BYTES_MAX);
    let media_type = media_type.map(str::to_owned);
    let received = receive(&ctx, id, name, request.stream()).await?;
    // A body may take long. Whoever lost the lease meanwhile must not replace what the next one has stored.
    ctx.handle.submit(Command::CheckLease { proof, call: LateCall::File }, Actor::CLIENT).await?;
    let kept = ctx.blocking(move |_| received.finish().map_err(unwritable)).await?;
    let file = match media_type {
        Some(media_type) => FileInfo { media_type: media_type.into(), ..kept },
        None => kept,
    };
    let receipt = ctx.handle.submit(Command::StoreFile { proof, file: file.clone() }, Actor::CLIENT).await?;
    Ok(reply::as_of(receipt.seq, reply::json(StatusCode::CREATED, &file)))
}

fn unwritable(error: io::Error) -> ApiError {
    ApiError::new("storage_low", format!("the file could not be written: {error}"))
}

/// A name without a directory in it, and none that could lead out of its own.
fn checked_name(name: &str) -> Result<String, ApiError> {
    if is_file_name(name) {
        return Ok(name.to_owned());
    }
    let rule = "no dot in front, and no slashes, control characters or marks of direction in it";
    let detail = format!("{name:?} is no name for a file: one has 1 to {FILE_NAME_BYTES_MAX} bytes, {rule}");
    Err(ApiError::new("invalid_request", detail))
}

/// Writes a body into a file that is not the job's yet.
async fn receive(
    ctx: &Arc<ApiContext>,
    id: JobId,
    name: String,
    mut body: BodyStream,
) -> Result<Box<dyn NewJobFile>, ApiError> {
    let mut file = ctx.blocking(move |ctx| ctx.files.create(id, &name).map_err(unwritable)).await?;
    let mut length = 0;
    let paused = |_| ApiError::new("request_timeout", format!("nothing came for {} s", UPLOAD_PAUSE_MAX.as_secs()));
    while let Some(chunk) = tokio::time::timeout(UPLOAD_PAUSE_MAX, body.next()).await.map_err(paused)? {
        let chunk = chunk.map_err(|_| ApiError::new("invalid_request", "the body broke off"))?;
        length += chunk.len();
        if length > FILE_BYTES_MAX {
            return Err(too_large(FILE_BYTES_MAX));
        }
        file = ctx.blocking(move |_| file.write_all(&chunk).map(|()| file).map_err(unwritable)).await?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_its_directory() {
        let long = "x".repeat(FILE_NAME_BYTES_MAX + 1);
        for bad in ["", ".", "..", ".hidden", "a/b", "..\\a", "a\0", "a\nb", "a\u{202e}gpj.exe", &long] {
            assert!(checked_name(bad).is_err(), "{bad:?}");
        }
        assert!(checked_name("Größe 1.png").is_ok());
    }

    #[test]
    fn a_name_is_offered_in_ascii_and_in_full() {
        let value = disposition("Größe \"1\".png");
        let text = value.to_str().expect("is ASCII");
        assert_eq!(text, "inline; filename=\"Gr__e__1_.png\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%221%22.png");
    }
}
