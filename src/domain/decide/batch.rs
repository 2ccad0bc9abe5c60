//! What a worker says while it runs: progress, items, checkpoints, files. Each needs a token that holds (J1).

use crate::domain::batch::{ITEMS_MAX, ItemReport, NewItem};
use crate::domain::command::{Answer, LeaseProof};
use crate::domain::decide::Decision;
use crate::domain::decide::proof::{late, leased};
use crate::domain::event::{JobCheckpointed, JobFileStored, JobItemsAdded, JobItemsReported, JobProgressed, LateCall};
use crate::domain::job::{FileInfo, Progress};
use crate::domain::json::Json;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;

/// Records a progress. Which of the many values are recorded is the engine's choice.
pub fn progress(state: &State, proof: LeaseProof, progress: Progress) -> Decision {
    match leased(state, proof) {
        Ok((job, _)) => Decision::done(Answer::Job(job.id), vec![JobProgressed { job: job.id, progress }.into()]),
        Err(refusal) => late(state, proof, LateCall::Progress, refusal),
    }
}

pub fn add_items(state: &State, proof: LeaseProof, items: Vec<NewItem>) -> Decision {
    let job = match leased(state, proof) {
        Ok((job, _)) => job,
        Err(refusal) => return late(state, proof, LateCall::Items, refusal),
    };
    let mut keys = std::collections::BTreeSet::new();
    let known = |key: &str| job.items().is_some_and(|items| items.get(key).is_some());
    let items: Vec<NewItem> =
        items.into_iter().filter(|item| !known(&item.key) && keys.insert(item.key.clone())).collect();
    let held = job.items().map_or(0, |items| items.list().len());
    if held + items.len() > ITEMS_MAX {
        return Decision::refused(Refusal::TooManyItems { entry: 0 });
    }
    let events = if items.is_empty() { Vec::new() } else { vec![JobItemsAdded { job: job.id, items }.into()] };
    Decision::done(Answer::Job(job.id), events)
}

pub fn report_items(state: &State, proof: LeaseProof, reports: Vec<ItemReport>) -> Decision {
    let job = match leased(state, proof) {
        Ok((job, _)) => job,
        Err(refusal) => return late(state, proof, LateCall::Items, refusal),
    };
    let is_unknown = |key: &str| job.items().is_none_or(|items| items.get(key).is_none());
    let mut seen = std::collections::BTreeSet::new();
    let unknown = reports.iter().map(|report| &*report.key).filter(|key| is_unknown(key) && seen.insert(*key));
    let keys: Vec<String> = unknown.map(str::to_owned).collect();
    if !keys.is_empty() {
        return Decision::refused(Refusal::UnknownItems { job: job.id, keys });
    }
    let events = if reports.is_empty() { Vec::new() } else { vec![JobItemsReported { job: job.id, reports }.into()] };
    Decision::done(Answer::Job(job.id), events)
}

pub fn checkpoint(state: &State, proof: LeaseProof, data: Json) -> Decision {
    match leased(state, proof) {
        Ok((job, _)) => Decision::done(Answer::Job(job.id), vec![JobCheckpointed { job: job.id, data }.into()]),
        Err(refusal) => late(state, proof, LateCall::Checkpoint, refusal),
    }
}

pub fn store_file(state: &State, proof: LeaseProof, file: FileInfo) -> Decision {
    match leased(state, proof) {
        Ok((job, _)) => Decision::done(Answer::Job(job.id), vec![JobFileStored { job: job.id, file }.into()]),
        Err(refusal) => late(state, proof, LateCall::File, refusal),
    }
}

/// Says whether a token holds, for what is not history: log lines, the bytes of a file.
pub fn check_lease(state: &State, proof: LeaseProof, call: LateCall) -> Decision {
    match leased(state, proof) {
        Ok((job, _)) => Decision::done(Answer::Job(job.id), Vec::new()),
        Err(refusal) => late(state, proof, call, refusal),
    }
}

#[cfg(test)]
mod tests;
