//! Feeds one subscription from the views and the log, a piece at a time, until it stands where the board stands and joins.
//! Blocks on reads: it runs where that holds nobody up, and only as fast as its reader reads.
//!
//! The last piece is read after joining, so that no commit falls between: what is told meanwhile waits in the outbox.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use crate::domain::event::Record;
use crate::domain::id::{JobId, Ordinal, Seq};
use crate::feed::published::PublishedEvent;
use crate::live::Live;
use crate::live::board::{Following, Member};
use crate::live::frames::{ErrorFrame, Mode, ServerFrame};
use crate::live::lines::LineFollower;
use crate::live::outbox::Outbox;
use crate::live::position::{Lost, Position};
use crate::live::table::TableKind;
use crate::live::topic::{Selection, Topic};
use crate::live::traits::Traits;
use crate::log::ReadError;
use crate::views::query::JobQuery;
use crate::views::{Head, ViewError};

/// The most events that one piece looks at.
const PIECE_EVENTS_MAX: u64 = 512;
/// About the most bytes of events in one piece: at least one event goes, however large.
const PIECE_BYTES_MAX: usize = 256 * 1024;
/// The most rows of a page of a snapshot.
const SNAPSHOT_PAGE_ROWS: usize = 250;
/// The most lines of a log in one frame.
const LINES_MAX: usize = 500;
/// Of so many jobs it is remembered what they were; of others it is read again.
const JOBS_REMEMBERED_MAX: usize = 4096;
/// About the most bytes of records that are held to find what matches.
const READ_BYTES_MAX: usize = 4 * PIECE_BYTES_MAX;

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("the views could not be read")]
    Views(#[from] ViewError),
    #[error("the log could not be read")]
    Log(#[source] ReadError),
    #[error("the lines of a job could not be read")]
    Lines(#[from] io::Error),
    #[error("what is durable was not published in time")]
    Unpublished,
}

/// One subscription of a connection.
#[derive(Debug)]
pub struct Subscription {
    /// No other subscription of this server ever has it.
    pub number: u64,
    pub id: Arc<str>,
    pub topic: Topic,
    pub stage: Stage,
    /// On topic events, while it is fed from the log: what jobs were after the last of their events that was looked at.
    pub jobs: HashMap<JobId, Traits>,
    /// On topic logs, once it was answered.
    pub lines: Option<LineFollower>,
    /// The position that its reader was told last.
    pub sent: Seq,
}

/// How far a subscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was answered yet.
    Begin { since: Option<Position> },
    /// Rows are sent, the newest first; changes after `from` follow.
    Snapshot { before: Option<Ordinal>, rows_left: usize, from: Seq },
    /// What was missed after `read` is sent.
    Missed { read: Seq, says_caught_up: bool },
    /// It is in a group.
    Live,
    /// Its reader was too slow for rows that are not numbered one by one.
    Again,
    /// The lines of a job are followed.
    Lines { says_caught_up: bool },
    /// It is over.
    Ended,
}

/// Feeds one subscription.
pub struct Feeder<'a> {
    pub live: &'a Live,
    pub outbox: &'a Arc<Outbox>,
    pub subscription: &'a mut Subscription,
    /// Frames as they go over the line.
    pub line: Vec<u8>,
}

impl Feeder<'_> {
    /// Takes one step, and leaves what is to be sent in `line`.
    pub fn step(&mut self) -> Result<(), FeedError> {
        match self.subscription.stage {
            Stage::Begin { since } => self.begin(since),
            Stage::Snapshot { before, rows_left, from } => self.snapshot(before, rows_left, from),
            Stage::Missed { read, says_caught_up } => self.missed(read, says_caught_up),
            Stage::Again => {
                let kind = self.table_kind();
                let seq = self.send_table(kind);
                self.send(&ServerFrame::CaughtUp { id: self.id(), seq });
                Ok(())
            }
            Stage::Lines { says_caught_up } => self.lines(says_caught_up),
            Stage::Live | Stage::Ended => Ok(()),
        }
    }

    fn begin(&mut self, since: Option<Position>) -> Result<(), FeedError> {
        // What was answered for before is no news to whoever subscribes after.
        if !self.live.wait_until_published(self.live.extent().head) {
            return Err(FeedError::Unpublished);
        }
        let settings = self.live.settings();
        let behind_max = match &self.subscription.topic {
            Topic::Jobs { .. } => settings.jobs_behind_max,
            Topic::Events(_) => settings.events_behind_max,
            Topic::Queues | Topic::Workers => {
                let kind = self.table_kind();
                self.subscribed(Mode::Snapshot, self.live.extent().head);
                self.send_table(kind);
                return Ok(());
            }
            Topic::Logs { job, after } => return self.begin_lines(*job, *after, since),
        };
        match since.map(|position| self.live.judge(position, behind_max)) {
            Some(Ok(seq)) => {
                self.subscribed(Mode::Resume, self.live.extent().head);
                self.subscription.sent = seq;
                self.subscription.stage = Stage::Missed { read: seq, says_caught_up: true };
            }
            Some(Err(lost)) => self.anew(Some(lost), true),
            None => self.anew(None, true),
        }
        Ok(())
    }

    /// Begins without a past: `lost` says that there was one. `is_first` if nothing was answered yet.
    fn anew(&mut self, lost: Option<Lost>, is_first: bool) {
        let (seq, mode) = match self.subscription.topic {
            Topic::Jobs { limit, .. } => {
                let from = self.live.board.lock().seq();
                self.subscription.stage = Stage::Snapshot { before: None, rows_left: limit, from };
                (from, Mode::Snapshot)
            }
            Topic::Events(_) | Topic::Logs { .. } | Topic::Queues | Topic::Workers => {
                let seq = self.join();
                self.subscription.stage = Stage::Live;
                (seq, Mode::Live)
            }
        };
        self.subscription.sent = seq;
        if is_first {
            self.subscribed(mode, seq);
        }
        if let Some(reason) = lost {
            self.send(&ServerFrame::Reset { id: self.id(), reason, seq });
        }
    }

    fn subscribed(&mut self, mode: Mode, seq: Seq) {
        self.send(&ServerFrame::Subscribed { id: self.id(), recovered: mode == Mode::Resume, mode, seq });
    }

    fn snapshot(&mut self, before: Option<Ordinal>, rows_left: usize, from: Seq) -> Result<(), FeedError> {
        let views = self.live.parts.engine.views();
        let which = self.which();
        let limit = rows_left.min(SNAPSHOT_PAGE_ROWS);
        let (jobs, next) = match which.id {
            Some(id) => {
                let job = views.job(id)?.filter(|job| which.matches(job));
                (job.map(|job| views.row_of(&Head::of(job))).into_iter().collect(), None)
            }
            None => {
                let page = views.list(&JobQuery { filter: which.filter.clone(), before, limit })?;
                (page.jobs, page.next)
            }
        };
        let rows_left = rows_left - jobs.len().min(rows_left);
        let next = next.filter(|_| rows_left > 0);
        self.subscription.stage = match next {
            Some(_) => Stage::Snapshot { before: next, rows_left, from },
            None => Stage::Missed { read: from, says_caught_up: false },
        };
        self.send(&ServerFrame::Snapshot {
            id: self.id(),
            seq: from,
            jobs: Some(jobs),
            queues: None,
            workers: None,
            more: next.is_some(),
        });
        Ok(())
    }

    fn missed(&mut self, mut read: Seq, says_caught_up: bool) -> Result<(), FeedError> {
        if !self.live.wait_until_published(read) {
            return Err(FeedError::Unpublished);
        }
        let behind_max = match self.subscription.topic {
            Topic::Jobs { .. } => self.live.settings().jobs_behind_max,
            Topic::Events(_) | Topic::Logs { .. } | Topic::Queues | Topic::Workers => {
                self.live.settings().events_behind_max
            }
        };
        let told = self.live.board.lock().seq();
        // After a snapshot it goes on as long as the log reaches: another snapshot would not be nearer.
        if says_caught_up && told.0 - read.0 > behind_max {
            self.anew(Some(Lost::TooFar), false);
            return Ok(());
        }
        if told.0 - read.0 > PIECE_EVENTS_MAX {
            return match self.piece(read, told) {
                Ok(read) => {
                    self.subscription.stage = Stage::Missed { read, says_caught_up };
                    Ok(())
                }
                Err(error) => self.lost(error),
            };
        }
        let joined = self.join();
        while read < joined {
            match self.piece(read, joined) {
                Ok(next) => read = next,
                Err(error) => return self.lost(error),
            }
        }
        let (id, prev) = (self.id(), self.subscription.sent);
        if says_caught_up {
            self.send(&ServerFrame::CaughtUp { id, seq: joined });
        } else if prev < joined {
            self.send(&ServerFrame::Bookmark { id, prev, seq: joined });
        }
        self.subscription.sent = joined;
        self.subscription.stage = Stage::Live;
        self.subscription.jobs = HashMap::new();
        Ok(())
    }

    /// What is no longer in the log is said aloud; any other error ends the connection.
    fn lost(&mut self, error: FeedError) -> Result<(), FeedError> {
        self.live.board.lock().leave(self.subscription.number);
        match error {
            FeedError::Log(ReadError::Trimmed { .. }) => {
                self.anew(Some(Lost::Trimmed), false);
                Ok(())
            }
            other => Err(other),
        }
    }

    /// Sends what matches of the events after `after`, up to `until` at most. Gives how far it came.
    fn piece(&mut self, after: Seq, until: Seq) -> Result<Seq, FeedError> {
        let log = self.live.parts.engine.log();
        let mut records: Vec<Record> = Vec::new();
        let (mut read, mut bytes) = (after, 0);
        while read < until && read.0 - after.0 < PIECE_EVENTS_MAX && bytes < READ_BYTES_MAX {
            let page = log.page_after(read).map_err(FeedError::Log)?;
            let before = read;
            for record in page.into_iter().filter(|record| record.seq <= until) {
                read = record.seq;
                bytes += record.event.weight();
                records.push(record);
            }
            if read == before {
                return Err(FeedError::Unpublished);
            }
        }
        match &self.subscription.topic {
            Topic::Events(which) => {
                let which = which.clone();
                self.events(&which, records)
            }
            Topic::Jobs { which, .. } => {
                let which = which.clone();
                self.changes(&which, &records, read)?;
                Ok(read)
            }
            Topic::Logs { .. } | Topic::Queues | Topic::Workers => Ok(read),
        }
    }

    fn changes(&mut self, which: &Selection, records: &[Record], seq: Seq) -> Result<(), FeedError> {
        let views = self.live.parts.engine.views();
        let touched: BTreeSet<JobId> = records.iter().flat_map(|record| record.event.jobs()).collect();
        let (mut rows, mut left) = (Vec::new(), Vec::new());
        for id in touched.into_iter().filter(|id| which.id.is_none_or(|wanted| wanted == *id)) {
            match views.job(id)? {
                Some(job) if which.matches(&job) => rows.push(views.row_of(&Head::of(job))),
                Some(job) if !which.can_match(&job) => {}
                // It did not fit any more, or is gone: whoever held it drops it, and nobody else minds.
                Some(_) | None => left.push(id.to_string().into()),
            }
        }
        if !rows.is_empty() || !left.is_empty() {
            let prev = self.subscription.sent;
            self.send(&ServerFrame::Changes {
                id: self.id(),
                prev,
                seq,
                jobs: Some(rows),
                queues: None,
                workers: None,
                left,
            });
            self.subscription.sent = seq;
        }
        Ok(())
    }

    fn events(&mut self, which: &Selection, records: Vec<Record>) -> Result<Seq, FeedError> {
        let mut events = Vec::new();
        let mut bytes = 0;
        let mut read = Seq::ZERO;
        for record in records {
            read = record.seq;
            if self.fits(which, &record)? {
                bytes += record.event.weight();
                events.push(PublishedEvent::of(record));
            }
            if bytes >= PIECE_BYTES_MAX {
                break;
            }
        }
        if !events.is_empty() {
            let prev = self.subscription.sent;
            self.send(&ServerFrame::Events { id: self.id(), prev, seq: read, events });
            self.subscription.sent = read;
        }
        Ok(read)
    }

    /// Whether an event matches, by what its job was right after it.
    fn fits(&mut self, which: &Selection, record: &Record) -> Result<bool, FeedError> {
        if which.is_everything() {
            return Ok(true);
        }
        let Some(id) = record.event.job().filter(|id| which.id.is_none_or(|wanted| wanted == *id)) else {
            return Ok(false);
        };
        if which.is_of_one_job() {
            return Ok(true);
        }
        let jobs = &mut self.subscription.jobs;
        if jobs.len() >= JOBS_REMEMBERED_MAX {
            jobs.clear();
        }
        let traits = match jobs.entry(id) {
            Entry::Occupied(place) => {
                let traits = place.into_mut();
                traits.follow(&record.event);
                traits
            }
            Entry::Vacant(place) => {
                let engine = &self.live.parts.engine;
                let traits = match Traits::after(record, &**engine.log()).map_err(FeedError::Log)? {
                    Some(traits) => traits,
                    // The log does not reach back to what would say it; what the job is now is the best that is known.
                    None => match engine.views().job(id)? {
                        Some(job) => Traits::of(&job, None),
                        None => return Ok(false),
                    },
                };
                place.insert(traits)
            }
        };
        Ok(which.matches_events_of(traits))
    }

    /// Lines have numbers of their own: of a position only matters whether it was told by this log.
    fn begin_lines(&mut self, job: JobId, after: Option<u64>, since: Option<Position>) -> Result<(), FeedError> {
        let head = self.live.extent().head;
        if self.live.parts.engine.views().job(job)?.is_none() {
            let detail = format!("there is no job {job}");
            self.send(&ServerFrame::Error(ErrorFrame::new(Some(self.id()), "job_not_found", detail)));
            self.subscription.stage = Stage::Ended;
            return Ok(());
        }
        let known = since.map(|position| self.live.parts.epochs.knows(position, head));
        let resumes = matches!(known, Some(Ok(_)));
        self.subscribed(if resumes { Mode::Resume } else { Mode::Live }, head);
        let after = match known {
            None | Some(Ok(_)) => match after {
                Some(after) => after,
                None => self.live.parts.logs.newest_line(job)?,
            },
            Some(Err(reason)) => {
                self.send(&ServerFrame::Reset { id: self.id(), reason, seq: head });
                0
            }
        };
        self.subscription.lines = Some(LineFollower::new(&*self.live.parts.logs, job, after));
        self.subscription.stage = Stage::Lines { says_caught_up: resumes };
        Ok(())
    }

    fn lines(&mut self, says_caught_up: bool) -> Result<(), FeedError> {
        let (Topic::Logs { job: job_id, .. }, Some(follower)) =
            (&self.subscription.topic, &mut self.subscription.lines)
        else {
            return Ok(());
        };
        let job_id = *job_id;
        let lines = follower.read(&*self.live.parts.logs, LINES_MAX, PIECE_BYTES_MAX)?;
        let has_more = follower.may_have_more();
        if !lines.is_empty() {
            self.send(&ServerFrame::Logs { id: self.id(), job_id, lines });
        }
        if says_caught_up && !has_more {
            self.send(&ServerFrame::CaughtUp { id: self.id(), seq: self.live.extent().head });
            self.subscription.stage = Stage::Lines { says_caught_up: false };
        }
        Ok(())
    }

    fn send_table(&mut self, kind: TableKind) -> Seq {
        let live = self.live;
        let (views, now) = (live.parts.engine.views(), live.parts.clock.now());
        let (seq, table) = live.board.lock().join_table(kind, self.member(), views, now);
        live.note_joined();
        let id = serde_json::to_string(&self.subscription.id).expect("a text can be written as JSON");
        let rows = table.text();
        let name = kind.as_str();
        let text =
            format!("{{\"type\":\"snapshot\",\"id\":{id},\"seq\":{},\"{name}\":[{rows}],\"more\":false}}", seq.0);
        (self.live.parts.wire)(text.as_bytes(), &mut self.line);
        self.subscription.sent = seq;
        self.subscription.stage = Stage::Live;
        seq
    }

    /// Joins its group, and gives the seq after which it is told.
    fn join(&mut self) -> Seq {
        let following = match &self.subscription.topic {
            Topic::Jobs { which, .. } => Following::Jobs(which.clone()),
            Topic::Events(which) => Following::Events(which.clone()),
            Topic::Logs { .. } => unreachable!("lines are told by nobody"),
            Topic::Queues => Following::Rows(TableKind::Queues),
            Topic::Workers => Following::Rows(TableKind::Workers),
        };
        let seq = self.live.board.lock().join(following, self.member());
        self.live.note_joined();
        seq
    }

    fn member(&self) -> Member {
        Member { number: self.subscription.number, id: self.id(), outbox: self.outbox.clone() }
    }

    fn which(&self) -> Selection {
        match &self.subscription.topic {
            Topic::Jobs { which, .. } | Topic::Events(which) => which.clone(),
            Topic::Logs { .. } | Topic::Queues | Topic::Workers => Selection::default(),
        }
    }

    fn table_kind(&self) -> TableKind {
        match self.subscription.topic {
            Topic::Workers => TableKind::Workers,
            Topic::Jobs { .. } | Topic::Events(_) | Topic::Logs { .. } | Topic::Queues => TableKind::Queues,
        }
    }

    fn id(&self) -> Arc<str> {
        self.subscription.id.clone()
    }

    fn send(&mut self, frame: &ServerFrame) {
        (self.live.parts.wire)(&frame.bytes(), &mut self.line);
    }
}
