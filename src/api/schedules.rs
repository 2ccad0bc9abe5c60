//! Schedules: jobs that are submitted again and again, by cron expressions.

use std::sync::Arc;

use warp::http::header::{HeaderValue, LOCATION};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::request::Request;
use crate::api::route::{Content, Route};
use crate::api::{paging, reply};
use crate::domain::command::{Answer, Command, SetSchedule};
use crate::domain::event::Actor;
use crate::domain::id::{Epoch, ScheduleName, Seq};
use crate::domain::refusal::Refusal;
use crate::domain::schedule::Origin;
use crate::kinds::problem::Problems;
use crate::schedules::request::{NewSchedule, ScheduleRequest, read};
use crate::views::row::ScheduleRow;

/// The schedules.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct ScheduleList {
    /// By name.
    schedules: Vec<ScheduleRow>,
    /// Where the next page begins; `null` on the last.
    next_cursor: Option<String>,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// What both ways to set a schedule may answer.
macro_rules! set_errors {
    ($($more:literal),*) => {
        &[
            "invalid_json",
            "forbidden_origin",
            "schedule_is_configured",
            "too_many_schedules",
            "body_too_large",
            "unsupported_media_type",
            "invalid_request",
            "invalid_args",
            "unknown_kind",
            "overloaded",
            "storage_failed",
            $($more),*
        ]
    };
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/api/schedules", list)
            .named("list_schedules", "Lists the schedules, and when each is due next")
            .explained("Those of the configuration and those that were made here.")
            .takes(&[paging::LIMIT, paging::CURSOR])
            .answers::<ScheduleList>(200, "A page of schedules by name.")
            .fails(&["invalid_query"]),
        Route::new(Method::POST, "/api/schedules", create)
            .named("create_schedule", "Makes a schedule")
            .explained(
                "Each time its job is submitted with the defaults that its kind has then. Where clocks are moved, a named \
                 time that does not exist comes at the first moment after the gap, and one that comes twice counts once; \
                 expressions with `*` in the minute or the hour follow the time that passes.",
            )
            .body::<ScheduleRequest>(true)
            .answers::<ScheduleRow>(201, "The schedule, and its Location.")
            .with_headers(&["Location"])
            .fails(set_errors!("schedule_exists", "schedule_not_found")),
        Route::new(Method::GET, "/api/schedules/{name}", show)
            .named("get_schedule", "Shows a schedule")
            .explained("When it is due next, and what came of its last time.")
            .answers::<ScheduleRow>(200, "The schedule.")
            .fails(&["schedule_not_found"]),
        Route::new(Method::PUT, "/api/schedules/{name}", put)
            .named("put_schedule", "Makes a schedule, or changes it to this")
            .explained(
                "What is left out gets its default. While cron and time zone stay, the next time stays too. A schedule \
                 of the configuration is changed there.",
            )
            .body::<ScheduleRequest>(true)
            .answers::<ScheduleRow>(200, "The schedule as it is now.")
            .answers::<ScheduleRow>(201, "The schedule, which is new, and its Location.")
            .with_headers(&["Location"])
            .fails(set_errors!("schedule_not_found")),
        Route::new(Method::DELETE, "/api/schedules/{name}", drop_one)
            .named("delete_schedule", "Drops a schedule")
            .explained("The jobs that it made go on.")
            .answer(204, "It is dropped.", Content::Nothing)
            .fails(&["forbidden_origin", "schedule_not_found", "schedule_is_configured", "overloaded", "storage_failed"]),
    ]
}

async fn list(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let seq = ctx.seq();
    let schedules = ctx.handle.views().schedules();
    let page = paging::cut(&request.query, "schedules", schedules)?;
    let schedules = page.rows.into_iter().map(|(name, schedule)| ScheduleRow::of(name, &schedule)).collect();
    Ok(reply::read(seq, &ScheduleList { schedules, next_cursor: page.next, seq, epoch: ctx.identity.epoch }))
}

async fn show(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let name: ScheduleName = request.parsed_param("name", "schedule_not_found")?;
    let seq = ctx.seq();
    Ok(reply::read(seq, &row_of(&ctx, name)?))
}

fn row_of(ctx: &ApiContext, name: ScheduleName) -> Result<ScheduleRow, ApiError> {
    let schedule = ctx.handle.views().schedule(&name);
    let schedule = schedule.ok_or_else(|| Refusal::ScheduleNotFound { name: name.clone() })?;
    Ok(ScheduleRow::of(name, &schedule))
}

async fn create(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let asked = read(&request.json().await?, None, &ctx.kinds())?;
    set(&ctx, asked, true).await
}

async fn put(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let name: ScheduleName = request.parsed_param("name", "schedule_not_found")?;
    let asked = read(&request.json().await?, Some(&name), &ctx.kinds())?;
    set(&ctx, asked, false).await
}

async fn set(ctx: &ApiContext, asked: NewSchedule, must_be_new: bool) -> Result<Response, ApiError> {
    let NewSchedule { name, spec, calendar } = asked;
    let next_at = calendar.after(ctx.now());
    if next_at.is_none() {
        let mut problems = Problems::default();
        problems.add("/cron", "never comes: there is no such day");
        return Err(ApiError::invalid_request(problems));
    }
    let command = Command::SetSchedule(SetSchedule { name: name.clone(), spec, next_at, must_be_new });
    let receipt = ctx.handle.submit(command, Actor::CLIENT).await?;
    let Answer::ScheduleSet { is_new } = receipt.answer else { unreachable!("a schedule that was set says so") };
    let location = format!("/api/schedules/{name}");
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    // Who drops it at the very same moment makes it unknown here too.
    let mut response = reply::as_of(receipt.seq, reply::json(status, &row_of(ctx, name)?));
    if is_new {
        let location = HeaderValue::from_str(&location).expect("a name can be a header");
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

async fn drop_one(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let name: ScheduleName = request.parsed_param("name", "schedule_not_found")?;
    let receipt = ctx.handle.submit(Command::DropSchedule { name, by: Origin::Api }, Actor::CLIENT).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(reply::as_of(receipt.seq, response))
}
