//! Folds a log again: event by event for whoever looks on, up to any moment. What is shown of a state, and what changed
//! between two, is computed here; nothing is written, and nothing here knows of terminals.

mod diff;
pub mod resubmit;

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::app::source::{EventSource, Extent, SourceError, fold_next};
use crate::domain::event::Record;
use crate::domain::id::{Epoch, JobId, Seq};
use crate::domain::job::StateName;
use crate::domain::state::{Slot, State};
use crate::domain::time::Timestamp;
use crate::engine::snapshot::fold_hash;
use crate::feed::published::PublishedEvent;
use crate::log::ReadError;

pub use diff::{Diff, Named, Part, diff};

/// A moment of the log: an event, or the last one up to a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Event(Seq),
    Time(Timestamp),
}

impl Moment {
    /// Whether an event belongs to what happened up to the moment.
    pub fn includes(self, record: &Record) -> bool {
        match self {
            Moment::Event(seq) => record.seq <= seq,
            Moment::Time(time) => record.at <= time,
        }
    }
}

/// One event that was folded.
pub struct Step {
    pub record: Record,
}

/// A fold that is under way.
pub struct Player<'a> {
    source: &'a mut dyn EventSource,
    state: State,
    ready: VecDeque<Record>,
}

impl<'a> Player<'a> {
    /// Begins a fold that shall come to `until`, without what is before the last stored state where `may_skip` says so.
    pub fn begin(source: &'a mut dyn EventSource, until: Moment, may_skip: bool) -> Result<Player<'a>, SourceError> {
        let extent = source.extent();
        let at_most = match until {
            Moment::Event(seq) if seq > extent.last => {
                return Err(ReadError::PastHead { seq, last: extent.last }.into());
            }
            Moment::Event(seq) => Some(seq),
            Moment::Time(time) => source.last_until(time)?,
        };
        let state = source.begin(at_most.filter(|_| may_skip).unwrap_or(Seq::ZERO))?;
        if let Some(seq) = at_most.filter(|seq| *seq < state.seq()) {
            return Err(ReadError::Trimmed { seq, earliest: extent.earliest }.into());
        }
        if let Moment::Time(asked) = until
            && state.seq() > Seq::ZERO
            && asked < state.at()
        {
            let (earliest, before) = (extent.earliest, state.at());
            return Err(SourceError::MomentDropped { asked, earliest, before });
        }
        Ok(Player { source, state, ready: VecDeque::new() })
    }

    /// The next event from before the earliest that a kept job points to. They are not folded: the state has them.
    pub fn next_carried(&mut self) -> Result<Option<Record>, SourceError> {
        self.source.next_carried()
    }

    /// What the source has.
    pub fn extent(&self) -> Extent {
        self.source.extent()
    }

    /// The state behind the last event that was folded.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The next event, not yet folded, if it belongs to what happened up to `until`.
    pub fn peek(&mut self, until: Moment) -> Result<Option<&Record>, SourceError> {
        if self.ready.is_empty() {
            self.ready = self.source.next()?.into();
        }
        Ok(self.ready.front().filter(|record| until.includes(record)))
    }

    /// Folds the next event.
    pub fn step(&mut self, until: Moment) -> Result<Option<Step>, SourceError> {
        if self.peek(until)?.is_none() {
            return Ok(None);
        }
        let Some(record) = self.ready.pop_front() else { return Ok(None) };
        fold_next(self.source, &mut self.state, &record)?;
        Ok(Some(Step { record }))
    }

    /// What the fold comes to. If it is that of all events, it must be as the source says.
    pub fn summary(&self) -> Result<Summary, SourceError> {
        let summary = Summary::of(&self.state);
        match self.source.said_fold() {
            Some(said) if self.ready.is_empty() && said != summary.fold => {
                Err(SourceError::OtherFold { name: "the export".into(), found: summary.fold, said: said.to_owned() })
            }
            _ => Ok(summary),
        }
    }

    /// Folds all events up to a moment.
    pub fn run(&mut self, until: Moment) -> Result<(), SourceError> {
        while self.step(until)?.is_some() {}
        Ok(())
    }
}

/// What is told of a folded state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The last event.
    pub seq: Seq,
    /// When it happened; none if nothing has.
    pub at: Option<Timestamp>,
    /// The run of the server to which it belongs.
    pub epoch: Option<Epoch>,
    /// How many jobs are in each state.
    pub counts: BTreeMap<&'static str, u64>,
    /// The hash of the state: equal folds, equal states.
    pub fold: String,
    /// How many jobs are known.
    pub jobs: u64,
}

impl Summary {
    /// Of a state.
    pub fn of(state: &State) -> Summary {
        let counts = counts(state);
        Summary {
            seq: state.seq(),
            at: moment_of(state),
            epoch: state.epochs().last().map(|span| span.epoch),
            jobs: counts.values().sum(),
            counts,
            fold: fold_hash(state),
        }
    }
}

/// How many jobs are in each state.
pub fn counts(state: &State) -> BTreeMap<&'static str, u64> {
    let mut counts: BTreeMap<&'static str, u64> = StateName::ALL.into_iter().map(|name| (name.as_str(), 0)).collect();
    for slot in state.slots() {
        *counts.entry(slot.state_name().as_str()).or_default() += 1;
    }
    counts
}

fn moment_of(state: &State) -> Option<Timestamp> {
    (state.seq() > Seq::ZERO).then(|| state.at())
}

/// One event of a job, and the state in which it left the job.
#[derive(Debug, Serialize)]
pub struct JobStep {
    #[serde(flatten)]
    pub event: PublishedEvent,
    /// None if the job is not known any more.
    pub state: Option<StateName>,
}

impl JobStep {
    /// Of an event that came to a state, if it is about this job.
    pub fn of(step: Step, job: JobId, state: &State) -> Option<JobStep> {
        let is_named = step.record.event.jobs().any(|named| named == job);
        let state = state.slot(job).map(Slot::state_name);
        is_named.then(|| JobStep { event: PublishedEvent::of(step.record), state })
    }
}
