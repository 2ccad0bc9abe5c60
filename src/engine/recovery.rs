//! From what is stored to what is known: a snapshot, the log's tail on top of it, and views that show all of it.
//!
//! Snapshots and stored views are disposable (V1): without them the whole log is folded on top of its base, and nothing
//! but time is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::event::{Event, Record};
use crate::domain::id::{FinishOrdinal, JobId, Seq};
use crate::domain::job::Job;
use crate::domain::state::{Slot, State};
use crate::engine::{fold, foreign};
use crate::log::{LogReader, ReadError};
use crate::views::{FinishedStore, Parts, ViewError, Views, finish_ordinal};

/// How many finished jobs are gathered before they are stored.
const STORE_AT: usize = 4096;

/// What recovery gives to the engine.
pub struct Recovered {
    pub state: State,
    pub views: Arc<Views>,
    /// How many events were folded.
    pub folded: u64,
}

/// Why nothing could be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error("the log could not be read")]
    Read(#[from] ReadError),
    #[error("the views could not be built")]
    Views(#[from] ViewError),
}

/// Folds the log on top of `snapshot`, as far as the log goes, and builds the views.
///
/// A snapshot that is newer than the stored finished jobs, or than the log, is of no use and is passed over.
/// `report` hears the seq that was folded last, now and then.
pub fn recover(
    log: &Arc<dyn LogReader>,
    snapshot: impl FnOnce(Seq) -> Option<State>,
    finished: Arc<dyn FinishedStore>,
    report: &dyn Fn(Seq),
) -> Result<Recovered, RecoverError> {
    let begin = Seq(log.earliest().0 - 1);
    if !(begin..=log.last()).contains(&finished.position()) {
        store_base(&**log, &*finished, begin)?;
    }
    let usable = finished.position();
    let state = match snapshot(usable).filter(|state| (begin..=usable).contains(&state.seq())) {
        Some(state) => state,
        None => fold::begin(&**log)?,
    };
    let mut state = state.without_indexes();
    let start = state.seq();
    let mut endings = Endings { store: &*finished, waiting: BTreeMap::new(), gone: BTreeSet::new() };
    loop {
        let records = log.page_after(state.seq())?;
        let Some(last) = records.last().map(|record| record.seq) else { break };
        for record in &records {
            endings.note_gone(&state, record);
            let changed = foreign::fold_own(&mut state, record)?;
            endings.note(changed, record.seq)?;
        }
        report(last);
    }
    endings.flush(state.seq())?;
    let state = state.with_indexes();
    let folded = state.seq().0 - start.0;
    let views = Arc::new(Views::from_parts(Parts::of(&state), finished, log.clone()));
    Ok(Recovered { state, views, folded })
}

/// Begins the store with the finished jobs that the log has no events of any more.
fn store_base(log: &dyn LogReader, finished: &dyn FinishedStore, begin: Seq) -> Result<(), RecoverError> {
    finished.clear()?;
    let mut waiting = Vec::new();
    fold::finished_before(log, |job| {
        waiting.push(job);
        if waiting.len() >= STORE_AT {
            // Until the last of them is there, the store is as good as empty.
            finished.put(&std::mem::take(&mut waiting), &[], Seq::ZERO)?;
        }
        Ok::<_, RecoverError>(())
    })?;
    if begin > Seq::ZERO { Ok(finished.put(&waiting, &[], begin)?) } else { Ok(()) }
}

/// Finished jobs on their way into the store, and out of it.
struct Endings<'a> {
    store: &'a dyn FinishedStore,
    waiting: BTreeMap<FinishOrdinal, Arc<Job>>,
    /// The places of jobs that were forgotten or live again.
    gone: BTreeSet<FinishOrdinal>,
}

impl Endings<'_> {
    fn note(&mut self, changed: Option<Arc<Job>>, seq: Seq) -> Result<(), ViewError> {
        let ended = changed.filter(|job| job.is_terminal() && seq > self.store.position());
        self.waiting.extend(ended.map(|job| (finish_ordinal(&job), job)));
        if self.waiting.len() + self.gone.len() >= STORE_AT { self.flush(seq) } else { Ok(()) }
    }

    fn flush(&mut self, seq: Seq) -> Result<(), ViewError> {
        if seq > self.store.position() {
            let jobs: Vec<_> = std::mem::take(&mut self.waiting).into_values().collect();
            let gone: Vec<_> = std::mem::take(&mut self.gone).into_iter().collect();
            self.store.put(&jobs, &gone, seq)?;
        }
        Ok(())
    }

    /// To be asked before the record is folded: afterwards nobody knows where its jobs were.
    fn note_gone(&mut self, state: &State, record: &Record) {
        if record.seq <= self.store.position() {
            return;
        }
        let mut leave = |id: JobId| {
            if let Some(Slot::Finished(stub)) = state.slot(id) {
                self.waiting.remove(&stub.finish_ordinal);
                self.gone.insert(stub.finish_ordinal);
            }
        };
        match &record.event {
            Event::JobsForgotten(data) => data.jobs.iter().copied().for_each(leave),
            Event::JobRetried(data) => leave(data.job),
            _ => {}
        }
    }
}
