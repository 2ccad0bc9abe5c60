//! Workers over plain HTTP, one job at a time: what a worker says of a job, with the token of its lease as a header.
//!
//! The bodies are the fields of the worker's frames, understood and carried out where all transports have it done. The
//! calls that end a run answer the job; the very call that ended it gets its answer again.

use std::sync::Arc;

use warp::http::Method;
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::reply;
use crate::api::request::Request;
use crate::api::route::{Content, Route};
use crate::domain::event::QueuedCause;
use crate::domain::id::LeaseToken;
use crate::sessions::End;
use crate::sessions::calls::{
    Call, CheckpointFields, CompleteFields, FailFields, ItemsFields, LogFields, ProgressFields, ReleaseFields,
};
use crate::sessions::fields::Fields;
use crate::sessions::frames::{ErrorFrame, FrameError, JobCall, LeaseRef, ServerFrame};
use crate::sessions::polling::to_the_end;
use crate::views::row::JobBody;

const LEASE_HEADER: &[(&str, &str)] = &[("Lease-Token", "The token of the lease, as it came with the job.")];
const ERRORS: &[&str] = &[
    "invalid_json",
    "forbidden_origin",
    "job_not_found",
    "lease_lost",
    "body_too_large",
    "unsupported_media_type",
    "invalid_request",
    "overloaded",
    "storage_low",
    "storage_failed",
];

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        said("/api/jobs/{id}/progress", "progress", "progress_job", "Says how far a job has come")
            .explained(
                "What is left out stays as it was. The latest value is shown; it is recorded once a second at most.",
            )
            .body::<ProgressFields>(true),
        said("/api/jobs/{id}/logs", "log", "log_job", "Adds lines to the log of a job")
            .explained("Lines longer than 64 KiB are cut and marked.")
            .body::<LogFields>(true),
        said("/api/jobs/{id}/items", "items", "report_items", "Says what became of items, or that there are more")
            .explained(
                "Items that the job does not have are named in the error, and the others are taken all the same.",
            )
            .body::<ItemsFields>(true),
        said("/api/jobs/{id}/checkpoint", "checkpoint", "checkpoint_job", "Leaves a note for the next run of a job")
            .explained("At most 64 KiB: it comes with the job if this run does not reach its end.")
            .body::<CheckpointFields>(true),
        ended("/api/jobs/{id}/complete", "complete", "complete_job", "Completes a job")
            .explained("Also over a cancel that was asked for. Asked again, the same answer comes again.")
            .body::<CompleteFields>(false),
        ended("/api/jobs/{id}/fail", "fail", "fail_job", "Fails the attempt of a job")
            .explained("Another attempt follows while some are left and the error is retryable.")
            .body::<FailFields>(true),
        ended("/api/jobs/{id}/release", "release", "release_job", "Gives a job back")
            .explained("It is queued at once, and that uses up no attempt.")
            .body::<ReleaseFields>(false),
    ]
}

/// A call after which the run goes on.
fn said(path: &'static str, call: &'static str, name: &'static str, summary: &'static str) -> Route {
    Route::new(Method::POST, path, move |ctx, request| say(ctx, request, call))
        .named(name, summary)
        .reads(LEASE_HEADER)
        .answer(204, "It is done.", Content::Nothing)
        .fails(ERRORS)
}

/// A call that ends the run.
fn ended(path: &'static str, call: &'static str, name: &'static str, summary: &'static str) -> Route {
    Route::new(Method::POST, path, move |ctx, request| end(ctx, request, call))
        .named(name, summary)
        .reads(LEASE_HEADER)
        .answers::<JobBody>(200, "The job as it is now.")
        .fails(ERRORS)
}

async fn say(ctx: Arc<ApiContext>, mut request: Request, call: &'static str) -> Result<Response, ApiError> {
    let lease = lease(&request)?;
    let text = request.json_or_empty().await?;
    let calls = if call == "items" {
        Fields::of(call, &text).and_then(|fields| fields.into::<ItemsFields>()).and_then(ItemsFields::understand)
    } else {
        Fields::of(call, &text).and_then(|fields| Call::read(fields, None)).map(|call| vec![call])
    };
    let calls = calls.map_err(wrong_body)?;
    let speaker = ctx.sessions.speaker(&lease);
    let calls = calls.into_iter().map(|call| JobCall { lease: lease.clone(), call }).collect();
    let errors: Vec<ErrorFrame> = speaker.receive(calls).await.into_iter().filter_map(error_in).collect();
    if !errors.is_empty() {
        return Err(of_frames(errors));
    }
    Ok(reply::as_of(ctx.seq(), reply::nothing()))
}

async fn end(ctx: Arc<ApiContext>, mut request: Request, call: &'static str) -> Result<Response, ApiError> {
    let lease = lease(&request)?;
    let text = request.json_or_empty().await?;
    let call = Fields::of(call, &text).and_then(|fields| Call::read(fields, None)).map_err(wrong_body)?;
    let end = match call {
        Call::Complete(result) => End::Complete(result),
        Call::Fail(error) => End::Fail(error),
        _ => End::Release(QueuedCause::Released),
    };
    let (speaker, job) = (ctx.sessions.speaker(&lease), lease.job_id);
    let receipt = to_the_end(async move { speaker.end_run(&lease, end).await }).await?;
    let body = ctx.job_body(job).await?;
    Ok(reply::read(receipt.seq, &body))
}

fn lease(request: &Request) -> Result<LeaseRef, ApiError> {
    let job_id = request.job_id()?;
    let token = request.header("lease-token");
    let token = token.ok_or_else(|| ApiError::new("lease_lost", "send the token of the lease as Lease-Token"))?;
    Ok(LeaseRef { job_id, token: LeaseToken::new(token) })
}

fn error_in(frame: ServerFrame) -> Option<ErrorFrame> {
    match frame {
        ServerFrame::Error(error) => Some(error),
        _ => None,
    }
}

/// A body that is not what it should be, with the field that is meant, as far as the text of the error tells.
pub fn wrong_body(error: FrameError) -> ApiError {
    of_frames(vec![error.into()])
}

/// The first error decides what is answered, and all of them are named.
fn of_frames(errors: Vec<ErrorFrame>) -> ApiError {
    let first = &errors[0];
    let code = match &*first.code {
        "invalid_frame" | "invalid_preview" => "invalid_request",
        "preview_too_large" | "checkpoint_too_large" | "result_too_large" => "body_too_large",
        "log_not_kept" => "storage_low",
        "views_unreadable" => "unreadable",
        "shutting_down" => "stopping",
        other => other,
    }
    .to_owned();
    let detail = first.detail.to_string();
    // What the core refuses has no place in the body.
    let at = |error: ErrorFrame| match error.errors.is_empty() {
        true => vec![(String::new(), error.detail.to_string())],
        false => error.errors.into_iter().map(|problem| (problem.pointer, problem.message)).collect(),
    };
    let problems: Vec<(String, String)> =
        if code == "invalid_request" { errors.into_iter().flat_map(at).collect() } else { Vec::new() };
    ApiError::new(&code, detail).about(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_that_is_wrong_is_pointed_at() {
        for (call, body, pointer) in [
            ("progress", r#"{"percent": 101}"#, "/percent"),
            ("progress", r#"{"colour": "red"}"#, "/colour"),
            ("log", r#"{}"#, "/lines"),
            ("log", r#"{"lines": [{"stream": "foo", "text": "x"}]}"#, "/lines/0/stream"),
            ("fail", r#"{"error": {}}"#, "/error/message"),
            ("checkpoint", r#"{"data": 1, "more": 2}"#, "/more"),
        ] {
            let error = Fields::of(call, body).and_then(|fields| Call::read(fields, None)).expect_err(body);
            let shown = serde_json::to_value(wrong_body(error).body()).expect("writes");
            assert_eq!(
                (shown["code"].as_str(), shown["errors"][0]["pointer"].as_str()),
                (Some("invalid_request"), Some(pointer)),
                "{shown}"
            );
        }
    }
}
