//! Finds the job whose lease a `Lease-Token` holds.

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::domain::command::LeaseProof;
use crate::domain::event::Actor;
use crate::domain::id::TokenHash;

/// The lease that a token holds, and the worker that holds it.
///
/// # Errors
/// `lease_lost` when no running job has this token.
pub fn find(ctx: &ApiContext, token: TokenHash) -> Result<(LeaseProof, Actor), ApiError> {
    let job = ctx.handle.views().job_by_token(token);
    let held = job.as_ref().and_then(|job| job.run().map(|run| (job.id, run.lease.session)));
    let (job, session) =
        held.ok_or_else(|| ApiError::new("lease_lost", "the Lease-Token does not hold the lease of any job"))?;
    let proof = LeaseProof { job, token };
    ctx.sessions.hear_from(session, proof);
    Ok((proof, Actor::worker(session)))
}
