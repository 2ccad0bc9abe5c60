//! Where events of the past come from, each with what it knows of itself: the data of a stopped server, an exported
//! file, a server that runs. Reads only, in the order of the log; folding is left to whoever asks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::event::Record;
use crate::domain::evolve::evolve;
use crate::domain::id::{Epoch, Seq};
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::engine::snapshot;
use crate::log::redact::{Purged, Redacting};
use crate::log::snapshot::{Found, SnapshotStore};
use crate::log::{LogReader, ReadError};
use crate::storage::open::explain;
use crate::storage::{OfflineLog, OpenError, SnapshotFiles};

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

/// Events in their order.
pub trait EventSource {
    /// What there is.
    fn extent(&self) -> Extent;

    /// The state from which the events that follow are folded: of the beginning, or, where something later is stored, the
    /// last one that is not after `at_most`. To be asked before anything else.
    fn begin(&mut self, at_most: Seq) -> Result<State, SourceError>;

    /// Has the events that follow begin behind this one, whose state is known.
    fn go_on(&mut self, after: Seq) -> Result<(), SourceError>;

    /// Events in a piece, behind those that were given; none at the end.
    fn next(&mut self) -> Result<Vec<Record>, SourceError>;

    /// The last event that happened up to a moment, if that can be told without reading what is before it.
    fn last_until(&self, moment: Timestamp) -> Result<Option<Seq>, SourceError>;

    /// Has what purged jobs carried left out of the events that follow; what they fold to stays the same. To be asked
    /// first by whoever shows or hands on what is in events. A source that others wrote has done so already.
    fn hide_purged(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    /// The fold of all events, as the source itself says, once all were read.
    fn said_fold(&self) -> Option<&str> {
        None
    }
}

/// Why there are no events, or no more.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("there is no log in {}; name the data directory of a server with --data", .0.display())]
    NoLog(PathBuf),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(
        "the log begins with event {earliest}: what came before it was dropped by retention; name an event or a time \
         that is not before a stored snapshot"
    )]
    BeginningDropped { earliest: Seq },
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
    /// The same as it is given on.
    shown: Arc<dyn LogReader>,
    /// The last event that was given.
    read: Seq,
}

impl DataSource {
    /// Opens the log in a data directory. No server may use it meanwhile.
    pub fn open(data: &Path) -> Result<DataSource, SourceError> {
        if !data.join("log").is_dir() {
            return Err(SourceError::NoLog(data.to_path_buf()));
        }
        let log = Arc::new(OfflineLog::open(data)?);
        Ok(DataSource { data: data.to_path_buf(), shown: log.clone(), log, read: Seq::ZERO })
    }

    /// The newest snapshot that can be used, as a state. One that cannot is passed over: it is disposable (V1).
    fn snapshot(&self, at_most: Seq) -> Option<State> {
        let at_most = at_most.min(self.log.last());
        let files = SnapshotFiles::open_as_is(&self.data, self.log.lineage());
        let Ok(Found { snapshot: Some(found), .. }) = files.newest(at_most) else { return None };
        snapshot::read(found.content).ok()
    }

    /// The state before the first event that is kept.
    fn beginning(&self) -> Result<State, SourceError> {
        match self.log.earliest() {
            Seq(1) => Ok(State::default()),
            earliest => Err(SourceError::BeginningDropped { earliest }),
        }
    }
}

impl EventSource for DataSource {
    fn extent(&self) -> Extent {
        Extent { lineage: self.log.lineage(), earliest: self.log.earliest(), last: self.log.last(), epoch: None }
    }

    fn begin(&mut self, at_most: Seq) -> Result<State, SourceError> {
        let usable = self.snapshot(at_most).filter(|state| state.seq().next() >= self.log.earliest());
        let state = usable.map_or_else(|| self.beginning(), Ok)?.without_indexes();
        self.read = state.seq();
        Ok(state)
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

    fn next(&mut self) -> Result<Vec<Record>, SourceError> {
        let records = self.shown.page_after(self.read)?;
        self.read = records.last().map_or(self.read, |last| last.seq);
        Ok(records)
    }

    fn hide_purged(&mut self) -> Result<(), SourceError> {
        let mut state = self.begin(self.log.last())?;
        loop {
            let records = self.log.page_after(state.seq())?;
            if records.is_empty() {
                break;
            }
            records.iter().for_each(|record| drop(evolve(&mut state, record)));
        }
        let purged = Purged::default();
        state.stubs().filter(|stub| stub.purged().is_some()).for_each(|stub| purged.insert(stub.id));
        self.shown = Arc::new(Redacting::new(self.log.clone(), Arc::new(purged)));
        Ok(())
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
