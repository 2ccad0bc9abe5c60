//! Holds the stored views, the base and a recovered state against a fresh fold of the log (E3).
//!
//! Reads only, and folds the log once. Memory grows with what is kept and not with what happened: of an ending that does
//! not count in the end, a bit is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use roaring::RoaringTreemap;

use crate::domain::event::{Event, Record};
use crate::domain::id::{JobId, Seq};
use crate::domain::job::{FileInfo, Job};
use crate::domain::state::{Slot, State};
use crate::engine::snapshot::fold_hash;
use crate::engine::{fold, foreign};
use crate::log::{LogReader, ReadError};
use crate::views::FinishedStore;

/// How many endings are described at most; of more it is known that something is wrong with them.
const DETAILS_MAX: usize = 1000;

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
    /// With what the fold was compared.
    pub compared: Compared,
    /// The folded state.
    pub state: State,
    /// The files that jobs stored, by job; no job without files.
    pub files: BTreeMap<JobId, Vec<FileInfo>>,
    /// A job that is not purged, and whose args the log shows as those of a purged one: it was read after a purge that is
    /// not part of it.
    pub hollow: Option<JobId>,
}

/// What was there to be compared with a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// The event up to which the stored views go; none if there are none.
    pub views: Option<Seq>,
    pub snapshots: u64,
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

/// Folds the whole log on top of its base, once, and compares on the way: every finished job with the store (as far as the
/// store goes), `snapshots` with the state at their events, and what kept jobs carry with what can be read. Snapshots from
/// before the base cannot be compared, and are passed over.
pub fn verify(
    log: &dyn LogReader,
    store: Option<&dyn FinishedStore>,
    mut snapshots: Vec<State>,
) -> Result<Verdict, ReadError> {
    let begin = Seq(log.earliest().0 - 1);
    snapshots.retain(|state| state.seq() >= begin);
    snapshots.sort_by_key(|state| std::cmp::Reverse(state.seq()));
    let mut look = Look {
        log,
        store,
        snapshots,
        differences: Vec::new(),
        compared: Compared { views: store.map(|store| store.position()).filter(|seq| *seq > Seq::ZERO), snapshots: 0 },
        files: BTreeMap::new(),
        hollow: BTreeSet::new(),
        endings: Endings::default(),
    };
    fold::finished_before(log, |job| {
        look.take_ended(&job);
        Ok::<_, ReadError>(())
    })?;
    let mut folded = fold::begin(log)?.without_indexes();
    look.take_snapshots(&folded);
    loop {
        let records = log.page_after(folded.seq())?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            look.take_submitted(record);
            if let Some(job) = foreign::fold_own(&mut folded, record)?.filter(|job| job.is_terminal()) {
                look.take_ended(&job);
            }
            look.take_snapshots(&folded);
        }
    }
    Ok(look.verdict(folded))
}

fn note_files(files: &mut BTreeMap<JobId, Vec<FileInfo>>, job: &Job) {
    match job.extras.as_ref().map(|extras| &extras.files).filter(|files| !files.is_empty()) {
        Some(stored) => drop(files.insert(job.id, stored.clone())),
        None => drop(files.remove(&job.id)),
    }
}

/// What was seen of the jobs that ended, by the numbers of their endings: whether it matters is known at the end, when it
/// is known who is kept.
#[derive(Default)]
struct Endings {
    /// Those that were there in full.
    seen: RoaringTreemap,
    /// Those that the store has otherwise, or not.
    other: RoaringTreemap,
    /// Those of which something cannot be read.
    lacking: RoaringTreemap,
    /// What is wrong with some of both.
    details: BTreeMap<u64, String>,
}

impl Endings {
    fn note(&mut self, ending: u64, detail: String) {
        if self.details.len() < DETAILS_MAX {
            self.details.entry(ending).or_insert(detail);
        }
    }
}

/// A fold that is under way, with what it is compared with.
struct Look<'a> {
    log: &'a dyn LogReader,
    store: Option<&'a dyn FinishedStore>,
    /// Those that were not yet reached, the oldest last.
    snapshots: Vec<State>,
    differences: Vec<Difference>,
    compared: Compared,
    files: BTreeMap<JobId, Vec<FileInfo>>,
    /// Jobs that were submitted with args that are none.
    hollow: BTreeSet<JobId>,
    endings: Endings,
}

impl Look<'_> {
    /// Compares the snapshots that are of the event that was folded last.
    fn take_snapshots(&mut self, folded: &State) {
        while let Some(state) = self.snapshots.pop_if(|state| state.seq() <= folded.seq()) {
            self.compared.snapshots += 1;
            if fold_hash(&state) != fold_hash(folded) {
                let detail = first_difference(folded, &state);
                self.differences.push(Difference::Snapshot { at: state.seq(), detail });
            }
        }
    }

    /// Args are always an object; only those of a purged job are shown as `null`.
    fn take_submitted(&mut self, record: &Record) {
        if let Event::JobSubmitted(data) = &record.event
            && data.args.as_str() == "null"
        {
            self.hollow.insert(data.job);
        }
    }

    /// A job that ended, be it for good or not.
    fn take_ended(&mut self, job: &Job) {
        note_files(&mut self.files, job);
        let place = job.ending().expect("an ended job has an ending").finish_ordinal;
        if !self.endings.seen.insert(place.0) {
            return;
        }
        if let Some(detail) = self.unreadable(job) {
            self.endings.lacking.insert(place.0);
            self.endings.note(place.0, detail);
        }
        let Some(store) = self.store.filter(|store| job.seq <= store.position()) else { return };
        let detail = match store.get(place) {
            Ok(stored) if stored.as_deref() == Some(job) => return,
            // As a rule it was forgotten or lives again: then nobody will ask.
            Ok(None) => None,
            Ok(Some(stored)) => {
                let field = field_that_differs(&stored, job);
                Some(format!("job {}, which ended at event {}: its {field} differs", job.id, job.seq))
            }
            Err(error) => Some(format!("job {} cannot be read: {error}", job.id)),
        };
        self.endings.other.insert(place.0);
        detail.into_iter().for_each(|detail| self.endings.note(place.0, detail));
    }

    /// What is in the log is read by the fold; here it is what the base carries.
    fn unreadable(&self, job: &Job) -> Option<String> {
        let earliest = self.log.earliest();
        let mut carried = job.payload_seqs().filter(|seq| *seq < earliest);
        carried.find_map(|seq| {
            let error = self.log.carried(seq).err()?;
            Some(format!("event {seq}, which job {} points to, cannot be read: {error}", job.id))
        })
    }

    /// What of it all matters, now that it is known who is kept.
    fn verdict(mut self, folded: State) -> Verdict {
        let (mut views, mut base) = (None, None);
        let (mut finished, mut missing) = (0, 0);
        for stub in folded.stubs() {
            let place = stub.finish_ordinal.0;
            finished += 1;
            missing += u64::from(!self.endings.seen.contains(place));
            if views.is_none() && self.endings.other.contains(place) {
                let said = self.endings.details.get(&place).cloned();
                views = Some(said.unwrap_or_else(|| format!("job {} is missing", stub.id)));
            }
            if base.is_none() && stub.purged().is_none() && self.endings.lacking.contains(place) {
                let said = self.endings.details.get(&place).cloned();
                base = Some(said.unwrap_or_else(|| format!("an event that job {} points to cannot be read", stub.id)));
            }
        }
        let base = base.or_else(|| folded.jobs().find_map(|job| self.unreadable(job)));
        let missing = (missing > 0).then(|| format!("{missing} finished jobs are in its state and nowhere in full"));
        let mut differences = std::mem::take(&mut self.differences);
        differences.extend(views.map(|detail| Difference::Views { detail }));
        differences.extend(base.or(missing).map(|detail| Difference::Base { detail }));
        // A job that was dropped or purged has no files any more.
        let is_whole = |slot: &Slot| !matches!(slot, Slot::Finished(stub) if stub.purged().is_some());
        let mut files = self.files;
        files.retain(|id, _| folded.slot(*id).is_some_and(is_whole));
        let hollow = self.hollow.into_iter().find(|id| folded.slot(*id).is_some_and(is_whole));
        folded.jobs().for_each(|job| note_files(&mut files, job));
        Verdict {
            seq: folded.seq(),
            fold: fold_hash(&folded),
            jobs: folded.slots().count() as u64,
            finished,
            differences,
            compared: self.compared,
            files,
            hollow,
            state: folded,
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
