//! What a job carries and only the log holds: args, result, items' args and results. Reads, and never waits.

use crate::api::error::ApiError;
use crate::domain::event::{ActorKind, Event};
use crate::domain::id::{JobId, ScheduleName, Seq};
use crate::domain::job::Job;
use crate::domain::json::Json;
use crate::engine::Handle;
use crate::log::{LogReader, ReadError};
use crate::views::row::{JobBody, JobRow};

/// The whole job.
///
/// # Errors
/// `job_not_found`, or what could not be read.
pub fn job_body(handle: &Handle, id: JobId) -> Result<JobBody, ApiError> {
    let row = handle.views().row(id)?.ok_or_else(|| ApiError::job_not_found(id))?;
    let job = handle.views().job(id)?.ok_or_else(|| ApiError::job_not_found(id))?;
    body_of(row, &job, &**handle.log())
}

/// The whole of a job with this row, with what the log has of it.
pub fn body_of(row: JobRow, job: &Job, log: &dyn LogReader) -> Result<JobBody, ApiError> {
    let args = args(log, job.submitted)?;
    let result = job.extras.as_ref().and_then(|extras| extras.result);
    let result = result.map(|seq| result_of(log, seq)).transpose()?.flatten();
    Ok(row.with_payload(args, result))
}

/// The args in a `job.submitted`; none if the log has it no more.
fn args(log: &dyn LogReader, submitted: Seq) -> Result<Option<Json>, ApiError> {
    Ok(match event(log, submitted)? {
        Some(Event::JobSubmitted(data)) => Some(data.args),
        _ => None,
    })
}

/// The schedule that made a job, told by who caused its `job.submitted`; none if the log
/// has it no more.
pub fn schedule_of(handle: &Handle, submitted: Seq) -> Result<Option<ScheduleName>, ApiError> {
    let actor = match handle.log().carried(submitted) {
        Ok(record) => record.actor,
        Err(ReadError::Trimmed { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(actor.id.filter(|_| actor.kind == ActorKind::Schedule).map(ScheduleName::from_checked))
}

/// An event that a job points to; none if the log has it no more, which is so for forgotten jobs only.
pub fn event(log: &dyn LogReader, seq: Seq) -> Result<Option<Event>, ApiError> {
    // Of a job that is looked back at, no more may be known than that it ended.
    if seq == Seq::ZERO {
        return Ok(None);
    }
    match log.carried(seq) {
        Ok(record) => Ok(Some(record.event)),
        Err(ReadError::Trimmed { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn result_of(log: &dyn LogReader, completed: Seq) -> Result<Option<Json>, ApiError> {
    Ok(match event(log, completed)? {
        Some(Event::JobCompleted(data)) => data.result,
        _ => None,
    })
}
