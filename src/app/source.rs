//! Where events of the past come from, each with what it knows of itself: the data of a stopped server, an exported
//! file, a server that runs. Reads only, in the order of the log; folding is left to whoever asks.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::domain::event::{Event, Record};
use crate::domain::id::{Epoch, Seq};
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::engine::foreign::{self, Misfit};
use crate::engine::past::{Origins, PastError};
use crate::engine::{fold, snapshot};
use crate::log::codec_state::SnapshotError;
use crate::log::redact::Purged;
use crate::log::snapshot::{Found, SnapshotStore};
use crate::log::{LogReader, ReadError};
use crate::storage::imported::{self, HalfDone};
use crate::storage::open::explain;
use crate::storage::{KeyframeFiles, OfflineLog, OpenError, SnapshotFiles};

/// What a source says of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub lineage: Uuid,
    /// The first event that it can give.
    pub earliest: Seq,
    /// The last one.
    pub last: Seq,
    /// The run of the server that had the log last, if that is known.
    pub epoch: Option<Epoch>,
}

/// What stands for the events before the earliest, as bytes.
pub struct BaseParts {
    pub state: Box<dyn Read + Send>,
    pub jobs: Box<dyn Read + Send>,
    /// How many carried events [`EventSource::next_carried`] gives.
    pub carried: u64,
}

/// Events in their order.
pub trait EventSource {
    /// What there is.
    fn extent(&self) -> Extent;

    /// The state from which the events that follow are folded: of the beginning, or, where something later is stored, the
    /// last one that is not after `at_most`. To be asked before anything else.
    fn begin(&mut self, at_most: Seq) -> Result<State, SourceError>;

    /// What stands for the events before the earliest, if they were dropped; to be asked behind [`EventSource::begin`].
    fn base(&mut self) -> Result<Option<BaseParts>, SourceError>;

    /// The next event from before the earliest that a kept job points to; none behind the last. To be asked before
    /// [`EventSource::next`], which passes over those that are left.
    fn next_carried(&mut self) -> Result<Option<Record>, SourceError>;

    /// Has the events that follow begin behind this one, whose state is known.
    fn go_on(&mut self, after: Seq) -> Result<(), SourceError>;

    /// Leaves out what purged jobs carried, from now on: a copy is not to have it again. Who shows none of it does nothing.
    fn hide_purged(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    /// Events in a piece, behind those that were given; none at the end.
    fn next(&mut self) -> Result<Vec<Record>, SourceError>;

    /// The last event that happened up to a moment, if that can be told without reading what is before it.
    fn last_until(&self, moment: Timestamp) -> Result<Option<Seq>, SourceError>;

    /// That an event which was given cannot have happened behind those before it.
    fn misfit(&self, record: &Record, misfit: &Misfit) -> SourceError;

    /// The fold of all events, as the source itself says, once all were read.
    fn said_fold(&self) -> Option<&str> {
        None
    }
}

/// Folds the next event of a source, and says where it stands if it cannot have happened.
pub fn fold_next(source: &dyn EventSource, state: &mut State, record: &Record) -> Result<(), SourceError> {
    foreign::fold(state, record).map(drop).map_err(|misfit| source.misfit(record, &misfit))
}

/// Why there are no events, or no more.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("there is no log in {}; name the data directory of a server with --data", .0.display())]
    NoLog(PathBuf),
    #[error(transparent)]
    HalfDone(#[from] HalfDone),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("it begins with event {earliest}, and nothing in it stands for what came before; make a whole export")]
    BeginningDropped { earliest: Seq },
    #[error(
        "what happened up to {asked} was dropped by retention: the log begins with event {earliest}, and the last event \
         before it is of {before}"
    )]
    MomentDropped { asked: Timestamp, earliest: Seq, before: Timestamp },
    #[error("{name}, line {line}: {detail}")]
    Line { name: String, line: u64, detail: String },
    #[error("{name} breaks off behind line {lines}, with event {last}, and is not complete; {next_step}")]
    BrokenOff { name: String, lines: u64, last: Seq, next_step: &'static str },
    #[error(
        "{name}: its events fold to {found}, and it says {said}; it was changed since it was written, or by another version"
    )]
    OtherFold { name: String, found: String, said: String },
    #[error("{name} cannot be read")]
    Unreadable { name: String, source: io::Error },
    #[error("a file for the state that it begins with could not be used")]
    Scratch(#[source] io::Error),
}

impl SourceError {
    /// The error with its causes, in one line.
    pub fn explain(&self) -> String {
        explain(self)
    }
}

/// The log of a stopped server.
pub struct DataSource {
    data: PathBuf,
    log: Arc<OfflineLog>,
    purged: Purged,
    /// The carried events that were not yet given.
    carried: RoaringTreemap,
    /// The last event that was given.
    read: Seq,
}

impl DataSource {
    /// Opens the log in a data directory. No server may use it meanwhile.
    pub fn open(data: &Path) -> Result<DataSource, SourceError> {
        imported::refuse_half_done(data)?;
        if !data.join("log").is_dir() {
            return Err(SourceError::NoLog(data.to_path_buf()));
        }
        let log = Arc::new(OfflineLog::open(data)?);
        let carried = log.base().map(|base| base.carried()).unwrap_or_default();
        Ok(DataSource { data: data.to_path_buf(), log, purged: Purged::default(), carried, read: Seq::ZERO })
    }

    /// The nearest stored state before a moment: of a keyframe, a snapshot, or the log's base.
    fn stored(&self, at_most: Seq) -> Result<State, SourceError> {
        let keyframes = KeyframeFiles::open_as_is(&self.data, self.log.lineage());
        let snapshots = SnapshotFiles::open_as_is(&self.data, self.log.lineage());
        let origins = Origins::of(self.log.clone()).with_keyframes(Arc::new(keyframes));
        let nearest = origins.with_snapshots(Arc::new(snapshots)).nearest(at_most);
        let state = nearest.and_then(|past| past.to_state()).map_err(|PastError::Read(error)| error)?;
        Ok(state)
    }

    /// The newest snapshot that can be used, as a state. One that cannot is passed over: it is disposable (V1).
    fn snapshot(&self, at_most: Seq) -> Option<State> {
        let at_most = at_most.min(self.log.last());
        let files = SnapshotFiles::open_as_is(&self.data, self.log.lineage());
        let Ok(Found { snapshot: Some(found), .. }) = files.newest(at_most) else { return None };
        snapshot::read(found.content).ok()
    }
}

impl EventSource for DataSource {
    fn extent(&self) -> Extent {
        Extent { lineage: self.log.lineage(), earliest: self.log.earliest(), last: self.log.last(), epoch: None }
    }

    fn begin(&mut self, at_most: Seq) -> Result<State, SourceError> {
        let state = match at_most.min(self.log.last()) {
            Seq::ZERO => fold::begin(&*self.log)?.without_indexes(),
            at_most => self.stored(at_most)?,
        };
        self.read = state.seq();
        Ok(state)
    }

    fn base(&mut self) -> Result<Option<BaseParts>, SourceError> {
        let Some(base) = self.log.base() else { return Ok(None) };
        let damaged = |part: &'static str| {
            let seq = base.seq();
            move |error| SourceError::Read(fold::damaged(seq, part, &SnapshotError::Io(error)))
        };
        let state = base.state().map_err(damaged("state"))?;
        let jobs = base.jobs().map_err(damaged("finished jobs"))?;
        Ok(Some(BaseParts { state, jobs, carried: self.carried.len() }))
    }

    fn next_carried(&mut self) -> Result<Option<Record>, SourceError> {
        let Some(seq) = self.carried.min() else { return Ok(None) };
        self.carried.remove(seq);
        let mut record = self.log.carried(Seq(seq))?;
        self.purged.redact(&mut record);
        Ok(Some(record))
    }

    fn go_on(&mut self, after: Seq) -> Result<(), SourceError> {
        if after.next() < self.log.earliest() {
            return Err(ReadError::Trimmed { seq: after.next(), earliest: self.log.earliest() }.into());
        }
        if after > self.log.last() {
            return Err(ReadError::PastHead { seq: after, last: self.log.last() }.into());
        }
        self.read = after;
        Ok(())
    }

    fn hide_purged(&mut self) -> Result<(), SourceError> {
        let state = self.snapshot(self.log.last());
        let stubs = state.iter().flat_map(State::stubs);
        stubs.filter(|stub| stub.purged().is_some()).for_each(|stub| self.purged.insert(stub.id));
        let mut read = state.map_or(Seq(self.log.earliest().0 - 1), |state| state.seq());
        loop {
            let records = self.log.page_after(read)?;
            let Some(last) = records.last() else { return Ok(()) };
            read = last.seq;
            for record in &records {
                if let Event::JobPurged(data) = &record.event {
                    self.purged.insert(data.job);
                }
            }
        }
    }

    fn next(&mut self) -> Result<Vec<Record>, SourceError> {
        let mut records = self.log.page_after(self.read)?;
        records.iter_mut().for_each(|record| self.purged.redact(record));
        self.read = records.last().map_or(self.read, |last| last.seq);
        Ok(records)
    }

    fn misfit(&self, record: &Record, misfit: &Misfit) -> SourceError {
        foreign::damaged(record, misfit).into()
    }

    fn last_until(&self, moment: Timestamp) -> Result<Option<Seq>, SourceError> {
        // `at` never goes back (L2).
        let (mut from, mut to) = (self.log.earliest().0, self.log.last().0 + 1);
        while from < to {
            let middle = from + (to - from) / 2;
            if self.log.record(Seq(middle))?.at <= moment { from = middle + 1 } else { to = middle }
        }
        Ok(Some(Seq(from - 1)))
    }
}
