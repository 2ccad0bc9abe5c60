//! Finds the job whose lease a `Lease-Token` holds.

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::domain::command::LeaseProof;
use crate::domain::event::Actor;
use crate::domain::id::TokenHash;
use crate::domain::job::StateName;
use crate::views::query::{JobFilter, JobQuery, LIMIT_MAX};

/// The lease that a token holds, and the worker that holds it.
///
/// Looks at the running jobs one after the other: they are as many as there are slots of workers.
///
/// # Errors
/// `lease_lost` when no running job has this token.
pub fn find(ctx: &ApiContext, token: TokenHash) -> Result<(LeaseProof, Actor), ApiError> {
    let views = ctx.handle.views();
    let filter = JobFilter { states: vec![StateName::Running], ..JobFilter::default() };
    let mut query = JobQuery { filter, before: None, limit: LIMIT_MAX };
    loop {
        let page = views.list(&query)?;
        for row in &page.jobs {
            let Some(job) = views.job(row.id)? else { continue };
            if let Some(run) = job.run().filter(|run| run.lease.token == token) {
                return Ok((LeaseProof { job: row.id, token }, Actor::worker(run.lease.session)));
            }
        }
        query.before = page.next;
        if page.next.is_none() {
            return Err(ApiError::new("lease_lost", "the Lease-Token does not hold the lease of any job"));
        }
    }
}
