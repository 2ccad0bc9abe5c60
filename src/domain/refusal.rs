//! The domain's no: stable, expected, safe to show. Status codes are given in `api::error`, not here.

use crate::domain::batch::{ITEMS_MAX, UNKNOWN_ITEMS_NAMED_MAX};
use crate::domain::command::DEPENDENCIES_MAX;
use crate::domain::id::{JobId, QueueName, ScheduleName, SessionId};
use crate::domain::job::StateName;
use crate::domain::schedule::SCHEDULES_MAX;

/// Why a command was refused. [`Refusal::code`] never changes once it was shipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no job {job}")]
    JobNotFound { job: JobId },
    #[error("job {job} has ended: it is {}", state.as_str())]
    JobIsTerminal { job: JobId, state: StateName },
    #[error("job {job} is running")]
    JobIsRunning { job: JobId },
    #[error("job {job} is active; cancel it first, or wait until it has ended")]
    JobIsActive { job: JobId },
    #[error("job {job} cannot be run again: it was purged")]
    JobWasPurged { job: JobId },
    #[error("job {job} cannot be run again: it is {}", state.as_str())]
    JobNotRetryable { job: JobId, state: StateName },
    #[error("job {job} cannot be run again: it waits for {dependency}, which did not complete; retry that one first")]
    DependencyNotRetried { job: JobId, dependency: JobId },
    #[error("the token does not hold the lease of job {job} any more")]
    LeaseLost { job: JobId },
    #[error("job {holder} has this unique_key already")]
    UniqueConflict { holder: JobId, entry: usize },
    #[error("the Idempotency-Key was used for another request")]
    IdempotencyMismatch { job: JobId },
    #[error("the entries of the bulk wait for each other in a circle")]
    DependencyCycle { entry: usize, dependency: usize },
    #[error("there is no job {job} to wait for")]
    UnknownDependency { job: JobId, entry: usize, dependency: usize },
    #[error("a job waits for at most {DEPENDENCIES_MAX} jobs; let it wait for one that waits for the others")]
    TooManyDependencies { entry: usize },
    #[error("there is no job {job} to be the parent")]
    UnknownParent { job: JobId, entry: usize },
    #[error("a job has at most {ITEMS_MAX} items; spread them over several jobs")]
    TooManyItems { entry: usize },
    #[error("two items have the key {key:?}")]
    DuplicateItem { entry: usize, item: usize, key: String },
    /// All reported keys that are not known, each once.
    #[error("job {job} has no item {}", listed(keys))]
    UnknownItems { job: JobId, keys: Vec<String> },
    #[error("there is no session {session}")]
    SessionNotFound { session: SessionId },
    #[error("there is no queue {queue}")]
    QueueNotFound { queue: QueueName },
    /// `entry` names the job of a request that puts one there; none when the request names a job that was there before.
    #[error("queue {queue} is draining and takes no new jobs")]
    QueueDraining { queue: QueueName, entry: Option<usize> },
    #[error("there is no schedule {name}")]
    ScheduleNotFound { name: ScheduleName },
    #[error("there is a schedule {name} already")]
    ScheduleExists { name: ScheduleName },
    #[error("the schedule {name} belongs to the configuration")]
    ScheduleIsConfigured { name: ScheduleName },
    #[error("there are {SCHEDULES_MAX} schedules already")]
    TooManySchedules,
    #[error("the schedule {name} has another next time by now")]
    ScheduleMovedOn { name: ScheduleName },
}

impl Refusal {
    /// The stable code that programs may compare.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::JobNotFound { .. } => "job_not_found",
            Refusal::JobIsTerminal { .. } => "job_is_terminal",
            Refusal::JobIsRunning { .. } => "job_is_running",
            Refusal::JobIsActive { .. } => "job_is_active",
            Refusal::JobNotRetryable { .. } | Refusal::DependencyNotRetried { .. } | Refusal::JobWasPurged { .. } => {
                "job_not_retryable"
            }
            Refusal::LeaseLost { .. } => "lease_lost",
            Refusal::UniqueConflict { .. } => "unique_conflict",
            Refusal::IdempotencyMismatch { .. } => "idempotency_mismatch",
            Refusal::DependencyCycle { .. } => "dependency_cycle",
            Refusal::UnknownDependency { .. } => "invalid_request",
            Refusal::TooManyDependencies { .. } => "invalid_request",
            Refusal::UnknownParent { .. } => "invalid_request",
            Refusal::TooManyItems { .. } => "invalid_request",
            Refusal::DuplicateItem { .. } => "invalid_request",
            Refusal::UnknownItems { .. } => "invalid_request",
            Refusal::SessionNotFound { .. } => "session_not_found",
            Refusal::QueueNotFound { .. } => "queue_not_found",
            Refusal::QueueDraining { .. } => "queue_draining",
            Refusal::ScheduleNotFound { .. } => "schedule_not_found",
            Refusal::ScheduleExists { .. } => "schedule_exists",
            Refusal::ScheduleIsConfigured { .. } => "schedule_is_configured",
            Refusal::TooManySchedules => "too_many_schedules",
            Refusal::ScheduleMovedOn { .. } => "schedule_moved_on",
        }
    }
}

fn listed(keys: &[String]) -> String {
    let named: Vec<String> = keys.iter().take(UNKNOWN_ITEMS_NAMED_MAX).map(|key| format!("{key:?}")).collect();
    match keys.len() - named.len() {
        0 => named.join(", "),
        more => format!("{}, nor {more} more that were reported", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_items_are_named_up_to_a_limit_and_the_others_counted() {
        let text = |count: usize| {
            let keys = (0..count).map(|number| number.to_string()).collect();
            Refusal::UnknownItems { job: JobId::from(uuid::Uuid::nil()), keys }.to_string()
        };
        assert!(text(1).ends_with("has no item \"0\""), "{}", text(1));
        assert!(text(25).ends_with("\"9\", nor 15 more that were reported"), "{}", text(25));
    }

    #[test]
    fn a_state_is_named_as_users_see_it() {
        let job = JobId::from(uuid::Uuid::nil());
        for refusal in [
            Refusal::JobIsTerminal { job, state: StateName::Completed },
            Refusal::JobNotRetryable { job, state: StateName::Completed },
        ] {
            assert!(refusal.to_string().ends_with("it is completed"), "{refusal}");
        }
    }
}
