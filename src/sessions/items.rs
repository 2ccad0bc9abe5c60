//! Carries out what workers say of the items of a batch. Frames that came together go to the core together; when it
//! refuses them, each frame gets what it would have got alone.

use std::collections::HashSet;

use futures::{StreamExt, stream};

use crate::domain::batch::{ItemReport, NewItem};
use crate::domain::command::Command;
use crate::domain::refusal::Refusal;
use crate::engine::SubmitError;
use crate::sessions::carry::{about, explain, proof};
use crate::sessions::frames::{FrameError, LeaseRef, ServerFrame};
use crate::sessions::session::Session;

/// The most unknown keys that are answered one by one to reports that came together; the others are only counted.
pub const UNKNOWN_ITEMS_ANSWERED_MAX: usize = 100;
/// How many frames that were refused together are on their way to the core at once.
const FRAMES_AT_ONCE_MAX: usize = 256;

impl Session {
    /// Adds items. Of frames that are too much together, those are refused that would be alone.
    pub(crate) async fn add(&self, lease: &LeaseRef, frames: Vec<Vec<NewItem>>) -> Vec<ServerFrame> {
        let proof = proof(lease);
        let refused = match self.ask(Command::AddItems { proof, items: frames.concat() }).await {
            Ok(_) => return Vec::new(),
            Err(SubmitError::Refused(Refusal::TooManyItems { .. })) if frames.len() > 1 => {
                let ask = |items| self.ask(Command::AddItems { proof, items });
                stream::iter(frames).map(ask).buffered(FRAMES_AT_ONCE_MAX).collect::<Vec<_>>().await
            }
            Err(error) => vec![Err(error)],
        };
        refused.into_iter().filter_map(|answer| Some(about(lease, explain(answer.err()?)))).collect()
    }

    /// Reports items. Those that the job does not have do not take the others with them, and each is answered.
    pub(crate) async fn report(&self, lease: &LeaseRef, mut reports: Vec<ItemReport>) -> Vec<ServerFrame> {
        let proof = proof(lease);
        let attempt = self.desk.lock().holdings.attempt(lease.job_id, &lease.token).unwrap_or(0);
        reports.iter_mut().filter_map(|report| report.error.as_mut()).for_each(|error| error.attempt = attempt);
        let mut unknown = Vec::new();
        let mut answers = Vec::new();
        while !reports.is_empty() {
            match self.ask(Command::ReportItems { proof, reports: reports.clone() }).await {
                Ok(_) => break,
                Err(SubmitError::Refused(Refusal::UnknownItems { keys, .. })) => {
                    let strange: HashSet<&str> = keys.iter().map(String::as_str).collect();
                    reports.retain(|report| !strange.contains(&*report.key));
                    unknown.extend(keys);
                }
                Err(error) => {
                    answers.push(about(lease, explain(error)));
                    break;
                }
            }
        }
        answers.extend(unknown_items(lease, unknown));
        answers
    }
}

fn unknown_items(lease: &LeaseRef, mut keys: Vec<String>) -> Vec<ServerFrame> {
    let more = keys.len().saturating_sub(UNKNOWN_ITEMS_ANSWERED_MAX);
    keys.truncate(UNKNOWN_ITEMS_ANSWERED_MAX);
    let refused = |key| SubmitError::Refused(Refusal::UnknownItems { job: lease.job_id, keys: vec![key] });
    let mut answers: Vec<ServerFrame> = keys.into_iter().map(|key| about(lease, explain(refused(key)))).collect();
    if more > 0 {
        let detail = format!("job {} does not have {more} more of the items that were reported together", lease.job_id);
        answers.push(about(lease, FrameError::new("invalid_request", detail).into()));
    }
    answers
}
