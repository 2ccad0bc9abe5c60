//! What a backup copies from a running server: a list of the files that may be copied, and the files themselves. Events
//! that are in no finished part of the log are read from the export. Nothing is changed, and nothing else can be read; while
//! it is read, retention drops nothing of the log, until the reader says that it has all.

use std::io;
use std::sync::Arc;

use uuid::Uuid;
use warp::http::Method;
use warp::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use warp::reply::{Reply, Response};

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::files::pieces;
use crate::api::query::{Parameter, invalid};
use crate::api::reply;
use crate::api::request::Request;
use crate::api::route::{Content, Route};
use crate::domain::id::{Epoch, Seq};
use crate::domain::time::Timestamp;
use crate::sessions::reading::{DataFile, SealedPart};

const BYTES: &str = "application/octet-stream";
const PATH_BYTES_MAX: usize = 1024;
const PATH: Parameter = Parameter::text("path", "The path of a file, as the list has it.").at_most(PATH_BYTES_MAX);

/// What may be copied.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct BackupList {
    /// The log's own UUID.
    lineage: Uuid,
    /// The run of the server that answers.
    epoch: Epoch,
    /// When this was so.
    at: Timestamp,
    /// The first seq that the log still has.
    #[schemars(extend("type" = "integer", "minimum" = 1))]
    earliest: Seq,
    /// The last durable seq.
    seq: Seq,
    /// What stands for the events before the earliest; empty if the log begins with the first.
    base: Vec<DataFile>,
    /// The parts of the log that nothing changes any more, from the earliest on. What is behind them is read by
    /// `GET /api/export`.
    parts: Vec<SealedPart>,
    /// The log lines and the output files of jobs.
    files: Vec<DataFile>,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/backup", list)
            .named("list_backup_files", "Lists what a backup of this server copies")
            .explained(
                "Used by `daybook backup`. Everything up to `seq` is in the base, the parts and the export together, secrets of \
                 jobs too. Nothing of the log is dropped until `DELETE /api/backup`, or two minutes after the last such request, and at \
                 most for an hour.",
            )
            .answers::<BackupList>(200, "The files."),
        Route::new(Method::DELETE, "/api/backup", end)
            .named("end_backup", "Says that a backup has all that it copies, or is given up")
            .explained("What retention has to drop of the log is dropped again. The same again changes nothing.")
            .answer(204, "Nothing is held.", Content::Nothing)
            .fails(&["forbidden_origin"]),
        Route::new(Method::GET, "/api/backup/file", file)
            .named("get_backup_file", "Reads a file that a backup copies")
            .explained("One of the list, as it is now: log lines may have been added since. Others are not found.")
            .takes(&[PATH])
            .answer(200, "The file as it is now.", Content::Bytes(BYTES))
            .fails(&["invalid_query", "file_not_found"])
            .streams(),
    ]
}

async fn list(ctx: Arc<ApiContext>, _: Request) -> Result<Response, ApiError> {
    let at = ctx.now();
    ctx.hold.renew(at);
    let (lineage, epoch) = (ctx.lineage, ctx.identity.epoch);
    let Listed { earliest, seq, base, parts, files } = ctx.blocking(listed).await?;
    Ok(reply::read(seq, &BackupList { lineage, epoch, at, earliest, seq, base, parts, files }))
}

struct Listed {
    earliest: Seq,
    seq: Seq,
    base: Vec<DataFile>,
    parts: Vec<SealedPart>,
    files: Vec<DataFile>,
}

/// Lists what there is. When parts of the log are dropped meanwhile, it is listed anew.
///
/// The seq comes behind the base, which has nothing of jobs that were forgotten before it was written: an earlier state
/// would know them. The files come behind the seq: whatever a job of these events has left is there.
fn listed(ctx: &ApiContext) -> Result<Listed, ApiError> {
    let log = ctx.handle.log();
    let failed = |error: io::Error| ApiError::new("unreadable", format!("the files could not be listed: {error}"));
    loop {
        let earliest = log.earliest();
        let (base, parts) = (ctx.data.base(earliest), ctx.data.sealed(earliest));
        let seq = ctx.seq();
        if log.earliest() == earliest {
            let (base, mut parts) = (base.map_err(failed)?, parts.map_err(failed)?);
            parts.retain(|part| part.last <= seq);
            return Ok(Listed { earliest, seq, base, parts, files: ctx.data.of_jobs().map_err(failed)? });
        }
    }
}

async fn end(ctx: Arc<ApiContext>, _: Request) -> Result<Response, ApiError> {
    ctx.hold.end();
    Ok(reply::as_of(ctx.seq(), reply::nothing()))
}

async fn file(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let path = request.query.text("path").ok_or_else(|| invalid("path", "is missing"))?.to_owned();
    ctx.hold.renew(ctx.now());
    let seq = ctx.seq();
    let (file, bytes) = ctx
        .blocking(move |ctx| {
            let opened = ctx.data.open(&path).and_then(|file| match file {
                Some(file) => Ok(Some((file.metadata()?.len(), file))),
                None => Ok(None),
            });
            let failed = |error| ApiError::new("unreadable", format!("the file could not be read: {error}"));
            let missing =
                || ApiError::new("file_not_found", format!("{path:?} is no file that may be copied, or it is gone"));
            opened.map_err(failed)?.map(|(bytes, file)| (file, bytes)).ok_or_else(missing)
        })
        .await?;
    let mut response = warp::reply::stream(pieces(file, 0, bytes)).into_response();
    reply::sandbox(&mut response);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(BYTES));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    Ok(reply::as_of(seq, response))
}
