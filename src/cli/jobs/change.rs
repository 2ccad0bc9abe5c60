//! `jobs cancel`, `jobs retry` and `jobs purge`: the same for each job, one after the other. One that cannot be changed
//! does not stop the rest, but the exit code tells.

use serde_json::{Value, json};

use crate::cli::Asked;
use crate::cli::failure::{Failure, Stop, Whose};
use crate::domain::id::JobId;

/// Stops jobs.
pub fn cancel(asked: &mut Asked<'_>, ids: &[JobId], children: bool) -> Result<(), Stop> {
    let body = if children { json!({"children": true}) } else { json!({}) };
    for_each(asked, ids, "cancel", &body)
}

/// Runs ended jobs again.
pub fn retry(asked: &mut Asked<'_>, ids: &[JobId], only_failed_items: bool, dependents: bool) -> Result<(), Stop> {
    let mut body = json!({});
    if only_failed_items {
        body["only_failed_items"] = true.into();
    }
    if dependents {
        body["dependents"] = true.into();
    }
    for_each(asked, ids, "retry", &body)
}

/// Takes what ended jobs carried out of every answer.
pub fn purge(asked: &mut Asked<'_>, ids: &[JobId]) -> Result<(), Stop> {
    for_each(asked, ids, "purge", &json!({}))
}

fn for_each(asked: &mut Asked<'_>, ids: &[JobId], action: &str, body: &Value) -> Result<(), Stop> {
    let mut failures = Vec::new();
    for id in ids {
        match asked.client.post(&format!("/api/jobs/{id}/{action}"), &[], body) {
            Ok(answer) if asked.json => asked.console.data(&answer.document.line())?,
            Ok(answer) => {
                let job = answer.document;
                let wish = if job.at("cancel_requested_at").is_some() && job.text("state") == Some("running") {
                    ", cancel requested"
                } else if job.at("purged_at").is_some() {
                    ", purged"
                } else {
                    ""
                };
                asked.console.data(&format!("{id} {}{wish}", job.text("state").unwrap_or("unknown")))?;
            }
            Err(trouble) if trouble.status().is_some() => failures.push((id, Failure::from(trouble))),
            Err(trouble) => return Err(trouble.into()),
        }
    }
    together(failures, ids.len(), action)
}

/// One failure is told as it is; several become one with a line for each.
fn together(mut failures: Vec<(&JobId, Failure)>, asked_for: usize, action: &str) -> Result<(), Stop> {
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.remove(0).1.into()),
        count => {
            let is_ours = failures.iter().any(|(_, failure)| failure.whose == Whose::Ours);
            let message = format!("{count} of {asked_for} jobs: {action} was refused");
            let failure = if is_ours { Failure::ours(message) } else { Failure::of_asker(message) };
            let details = failures.iter().map(|(id, failure)| format!("{id}: {}", failure.message)).collect();
            Err(Failure { details, ..failure }.into())
        }
    }
}
