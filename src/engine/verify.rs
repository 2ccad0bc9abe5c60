//! Holds the stored views and a recovered state against a fresh fold of the log (E3).
//!
//! Reads only. The log is folded twice, so that memory grows with what is kept and not with what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::domain::evolve::evolve;
use crate::domain::id::{JobId, Seq};
use crate::domain::job::{FileInfo, Job};
use crate::domain::state::{Slot, State};
use crate::engine::snapshot::fold_hash;
use crate::log::{LogReader, ReadError};
use crate::views::FinishedStore;

/// What the fold of a log comes to.
#[derive(Debug)]
pub struct Verdict {
    pub seq: Seq,
    /// A hash of the folded state: equal folds, equal states.
    pub fold: String,
    pub jobs: u64,
    pub finished: u64,
    /// What differs, the first of each sort; empty when all is well.
    pub differences: Vec<Difference>,
    /// The folded state.
    pub state: State,
    /// The files that jobs stored, by job; no job without files.
    pub files: BTreeMap<JobId, Vec<FileInfo>>,
}

/// What is not as the fold has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    Snapshot { at: Seq, detail: String },
    Views { detail: String },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Snapshot { at, detail } => write!(f, "the snapshot at {at}: {detail}"),
            Difference::Views { detail } => write!(f, "the stored views: {detail}"),
        }
    }
}

/// Folds the whole log and compares: every finished job with the store (as far as the store goes), and `snapshots`,
/// each continued to the end of the log, with the fold.
pub fn verify(
    log: &dyn LogReader,
    store: Option<&dyn FinishedStore>,
    snapshots: Vec<State>,
) -> Result<Verdict, ReadError> {
    let mut folded = State::default().without_indexes();
    let mut files = BTreeMap::new();
    fold(log, &mut folded, &mut |job| note_files(&mut files, &job))?;
    let whole = fold_hash(&folded);
    let mut differences = Vec::new();
    for mut state in snapshots {
        let at = state.seq();
        fold(log, &mut state, &mut |_| {})?;
        if fold_hash(&state) != whole {
            differences.push(Difference::Snapshot { at, detail: first_difference(&folded, &state) });
        }
    }
    if let Some(store) = store {
        let difference = compare_store(log, &folded, store)?;
        differences.extend(difference.map(|detail| Difference::Views { detail }));
    }
    // A job that was dropped or purged has no files any more.
    let keeps_files = |slot: &Slot| !matches!(slot, Slot::Finished(stub) if stub.purged().is_some());
    files.retain(|id, _| folded.slot(*id).is_some_and(keeps_files));
    folded.jobs().for_each(|job| note_files(&mut files, job));
    Ok(Verdict {
        seq: folded.seq(),
        fold: whole,
        jobs: folded.slots().count() as u64,
        finished: folded.stubs().count() as u64,
        differences,
        files,
        state: folded,
    })
}

fn note_files(files: &mut BTreeMap<JobId, Vec<FileInfo>>, job: &Job) {
    match job.extras.as_ref().map(|extras| &extras.files).filter(|files| !files.is_empty()) {
        Some(stored) => drop(files.insert(job.id, stored.clone())),
        None => drop(files.remove(&job.id)),
    }
}

fn fold(log: &dyn LogReader, state: &mut State, ended: &mut dyn FnMut(Arc<Job>)) -> Result<(), ReadError> {
    loop {
        let records = log.page_after(state.seq())?;
        if records.is_empty() {
            return Ok(());
        }
        for record in &records {
            if let Some(job) = evolve(state, record).filter(|job| job.is_terminal()) {
                ended(job);
            }
        }
    }
}

/// The first finished job that the store has otherwise than the fold, or cannot give, if there is one.
fn compare_store(log: &dyn LogReader, folded: &State, store: &dyn FinishedStore) -> Result<Option<String>, ReadError> {
    let mut difference = None;
    let mut state = State::default().without_indexes();
    fold(log, &mut state, &mut |job| {
        let is_kept = matches!(folded.slot(job.id), Some(Slot::Finished(stub)) if stub.seq == job.seq);
        if difference.is_some() || !is_kept || job.seq > store.position() {
            return;
        }
        let place = job.ending().expect("an ended job has an ending").finish_ordinal;
        match store.get(place) {
            Ok(stored) if stored.as_deref() == Some(&*job) => {}
            Ok(Some(stored)) => {
                let field = field_that_differs(&stored, &job);
                difference = Some(format!("job {}, which ended at event {}: its {field} differs", job.id, job.seq));
            }
            Ok(None) => difference = Some(format!("job {} is missing", job.id)),
            Err(error) => difference = Some(format!("job {} cannot be read: {error}", job.id)),
        }
    })?;
    Ok(difference)
}

fn first_difference(one: &State, other: &State) -> String {
    if one.globals() != other.globals() {
        return "epochs, queues, workers, schedules or counters differ".to_owned();
    }
    let mut pairs = one.slots().zip(other.slots());
    match pairs.find(|(one, other)| one != other) {
        Some((Slot::Active(one), Slot::Active(other))) => {
            format!("job {}: its {} differs", one.id, field_that_differs(one, other))
        }
        Some((one, other)) if one.id() == other.id() && one.state_name() != other.state_name() => {
            format!("job {}: its state differs", one.id())
        }
        Some((one, _)) => format!("job {} differs", one.id()),
        None => "one has jobs that the other has not".to_owned(),
    }
}

/// The first field in which two jobs differ.
fn field_that_differs(one: &Job, other: &Job) -> &'static str {
    macro_rules! first_of {
        ($($field:ident),*) => {
            $(if one.$field != other.$field { return stringify!($field); })*
        };
    }
    first_of!(id, state, seq, submitted, kind, queue, priority, tags, policy, relations, attempt, failures, lost_count);
    first_of!(created_at, updated_at, queued_at, extras);
    "form"
}
