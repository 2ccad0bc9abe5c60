//! Holds the stored views, the base and a recovered state against a fresh fold of the log (E3).
//!
//! Reads only. The log is folded twice, so that memory grows with what is kept and not with what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::domain::evolve::evolve;
use crate::domain::id::{JobId, Seq};
use crate::domain::job::{FileInfo, Job};
use crate::domain::state::{Slot, State};
use crate::engine::fold;
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
    Snapshot {
        at: Seq,
        detail: String,
    },
    Views {
        detail: String,
    },
    /// What stands for the events that are gone lacks something (B1).
    Base {
        detail: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Snapshot { at, detail } => write!(f, "the snapshot at {at}: {detail}"),
            Difference::Views { detail } => write!(f, "the stored views: {detail}"),
            Difference::Base { detail } => write!(f, "the base: {detail}"),
        }
    }
}

/// Folds the whole log on top of its base and compares: every finished job with the store (as far as the store goes),
/// `snapshots`, each continued to the end of the log, with the fold, and what kept jobs carry with what can be read.
/// Snapshots from before the base cannot be continued, and are passed over.
pub fn verify(
    log: &dyn LogReader,
    store: Option<&dyn FinishedStore>,
    snapshots: Vec<State>,
) -> Result<Verdict, ReadError> {
    let begin = Seq(log.earliest().0 - 1);
    let mut files = BTreeMap::new();
    let folded = fold(log, &mut |job| note_files(&mut files, &job))?;
    let whole = fold_hash(&folded);
    let mut differences = Vec::new();
    for mut state in snapshots.into_iter().filter(|state| state.seq() >= begin) {
        let at = state.seq();
        go_on(log, &mut state, &mut |_| {})?;
        if fold_hash(&state) != whole {
            differences.push(Difference::Snapshot { at, detail: first_difference(&folded, &state) });
        }
    }
    let mut kept = Kept { log, folded: &folded, store, finished: 0, views: None, base: None };
    fold(log, &mut |job| kept.take(&job))?;
    folded.jobs().for_each(|job| kept.take_payloads(job));
    kept.count();
    differences.extend(kept.views.map(|detail| Difference::Views { detail }));
    differences.extend(kept.base.map(|detail| Difference::Base { detail }));
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

/// Folds the whole log, and calls `ended` with each job that ended, those of the base first.
fn fold(log: &dyn LogReader, ended: &mut dyn FnMut(Arc<Job>)) -> Result<State, ReadError> {
    fold::finished_before(log, |job| {
        ended(job);
        Ok::<_, ReadError>(())
    })?;
    let mut state = fold::begin(log)?.without_indexes();
    go_on(log, &mut state, ended)?;
    Ok(state)
}

fn go_on(log: &dyn LogReader, state: &mut State, ended: &mut dyn FnMut(Arc<Job>)) -> Result<(), ReadError> {
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

/// The jobs that are kept, and the first thing that the store or the base has otherwise or cannot give.
struct Kept<'a> {
    log: &'a dyn LogReader,
    folded: &'a State,
    store: Option<&'a dyn FinishedStore>,
    finished: usize,
    views: Option<String>,
    base: Option<String>,
}

impl Kept<'_> {
    /// A job that ended once.
    fn take(&mut self, job: &Job) {
        if !matches!(self.folded.slot(job.id), Some(Slot::Finished(stub)) if stub.seq == job.seq) {
            return;
        }
        self.finished += 1;
        self.take_payloads(job);
        let Some(store) = self.store.filter(|store| self.views.is_none() && job.seq <= store.position()) else {
            return;
        };
        let place = job.ending().expect("an ended job has an ending").finish_ordinal;
        self.views = match store.get(place) {
            Ok(stored) if stored.as_deref() == Some(job) => None,
            Ok(Some(stored)) => {
                let field = field_that_differs(&stored, job);
                Some(format!("job {}, which ended at event {}: its {field} differs", job.id, job.seq))
            }
            Ok(None) => Some(format!("job {} is missing", job.id)),
            Err(error) => Some(format!("job {} cannot be read: {error}", job.id)),
        };
    }

    /// What is in the log is read by the fold; here it is what the base carries.
    fn take_payloads(&mut self, job: &Job) {
        if matches!(self.folded.slot(job.id), Some(Slot::Finished(stub)) if stub.purged().is_some()) {
            return;
        }
        let earliest = self.log.earliest();
        let carried = job.payload_seqs().filter(|seq| *seq < earliest);
        for seq in carried {
            if let (None, Err(error)) = (&self.base, self.log.carried(seq)) {
                self.base = Some(format!("event {seq}, which job {} points to, cannot be read: {error}", job.id));
            }
        }
    }

    fn count(&mut self) {
        let expected = self.folded.stubs().count();
        if self.finished < expected && self.base.is_none() {
            let missing = expected - self.finished;
            self.base = Some(format!("{missing} finished jobs are in its state and nowhere in full"));
        }
    }
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
