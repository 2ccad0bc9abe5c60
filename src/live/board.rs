//! Who follows what: groups of subscribers with one filter, found by what a change concerns. What a commit means for a
//! group is written once, whoever many watch; a group that no change concerns costs nothing.
//!
//! Whoever joins is told every commit after the seq at which the board stands. A hole between two pages (the publisher
//! itself was too slow) sends everybody back to the log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::domain::id::{JobId, Seq};
use crate::domain::job::Job;
use crate::domain::state::Stub;
use crate::domain::time::Timestamp;
use crate::feed::{Before, Page};
use crate::live::Wire;
use crate::live::draft::{Drafts, Tail};
use crate::live::frames::{Moved, ServerFrame, head};
use crate::live::outbox::{Outbox, Waiting};
use crate::live::table::{Table, TableKind};
use crate::live::topic::{Facet, Selection};
use crate::live::traits::Traits;
use crate::views::{Head, Views};

/// After so long without a frame a bookmark moves the position, if it moved.
pub const BOOKMARK_AFTER: Duration = Duration::from_secs(5);

/// What a group follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Following {
    Jobs(Selection),
    Events(Selection),
    Rows(TableKind),
}

/// One subscription in a group.
#[derive(Debug, Clone)]
pub struct Member {
    /// The number of the subscription: no other ever has it.
    pub number: u64,
    /// The name that the subscriber gave it.
    pub id: Arc<str>,
    pub outbox: Arc<Outbox>,
}

/// All groups, and the seq up to which they were told.
#[derive(Debug)]
pub struct Board {
    pub(crate) seq: Seq,
    wire: Wire,
    numbers: HashMap<Following, usize>,
    pub(crate) groups: HashMap<usize, Group>,
    facets: HashMap<Facet, Vec<usize>>,
    /// Which group a subscription is in.
    places: HashMap<u64, usize>,
    next_group: usize,
}

/// Those who follow the same.
#[derive(Debug)]
pub(crate) struct Group {
    pub following: Following,
    members: BTreeMap<u64, Placed>,
    told_at: Instant,
    table: Table,
}

#[derive(Debug)]
struct Placed {
    member: Member,
    prev: Seq,
}

impl Board {
    /// A board without groups that stands at a seq.
    pub fn new(seq: Seq, wire: Wire) -> Board {
        Board {
            seq,
            wire,
            numbers: HashMap::new(),
            groups: HashMap::new(),
            facets: HashMap::new(),
            places: HashMap::new(),
            next_group: 0,
        }
    }

    /// Up to where everybody was told.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// How many subscriptions are told of what happens.
    pub fn members(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody follows anything.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether somebody follows jobs, and so their progress.
    pub fn follows_jobs(&self) -> bool {
        self.groups.values().any(|group| matches!(group.following, Following::Jobs(_)))
    }

    /// Tells a subscription everything after the seq that is given back, which is its position from now on.
    pub fn join(&mut self, following: Following, member: Member) -> Seq {
        let number = self.group(following);
        self.places.insert(member.number, number);
        let group = self.groups.get_mut(&number).expect("it was found or made just now");
        group.members.insert(member.number, Placed { member, prev: self.seq });
        self.seq
    }

    /// Like [`Board::join`], of a topic whose rows are given too: those that the group knows.
    pub fn join_table(&mut self, kind: TableKind, member: Member, views: &Views, now: Timestamp) -> (Seq, Table) {
        let number = self.group(Following::Rows(kind));
        let table = self.tell_table(number, kind, views, now);
        let seq = self.join(Following::Rows(kind), member);
        // Its group may be a new one, if the others of the old one had no room for what they were told.
        let place = self.numbers[&Following::Rows(kind)];
        self.groups.get_mut(&place).expect("somebody joined it just now").table = table.clone();
        (seq, table)
    }

    /// Tells a subscription nothing any more. One that is in no group is none the worse for it.
    pub fn leave(&mut self, subscription: u64) {
        let Some(number) = self.places.remove(&subscription) else { return };
        let Some(group) = self.groups.get_mut(&number) else { return };
        group.members.remove(&subscription);
        if group.members.is_empty() {
            self.drop_group(number);
        }
    }

    /// Tells everybody whom it concerns what has become durable: a frame for each page, and all of them in one piece.
    pub fn publish(&mut self, pages: &[Arc<Page>], views: &Views, now: Instant) {
        let mut told: BTreeMap<usize, Vec<Tail>> = BTreeMap::new();
        for page in pages {
            let (Some(first), Some(last)) = (page.records.first(), page.records.last()) else { continue };
            if last.seq <= self.seq {
                continue;
            }
            if first.seq > self.seq.next() {
                told.clear();
                self.expel_everybody();
            }
            self.seq = last.seq;
            if !self.groups.is_empty() {
                let drafts = Drafts::of(page, views, self);
                drafts.tails(self.seq).for_each(|(number, tail)| told.entry(number).or_default().push(tail));
            }
        }
        told.into_iter().for_each(|(number, tails)| self.send(number, &tails, now));
    }

    /// The groups that a change of a job may concern, each once.
    pub(crate) fn concerned(&self, before: Option<&Before>, job: &Job) -> Vec<usize> {
        self.following(|| {
            let own = [Facet::Id(job.id), Facet::Kind(job.kind.clone()), Facet::Queue(job.queue.clone())];
            let tags = job.tags().iter().chain(before.into_iter().flat_map(Before::tags));
            let queue = before.map(|before| Facet::Queue(before.queue.clone()));
            let parent = job.parent().map(Facet::Parent);
            own.into_iter().chain(parent).chain(queue).chain(tags.cloned().map(Facet::Tag))
        })
    }

    /// The groups that it may concern that a job is forgotten, each once.
    pub(crate) fn concerned_by_end(&self, stub: &Stub) -> Vec<usize> {
        self.following(|| {
            let own = [Facet::Id(stub.id), Facet::Kind(stub.kind.clone()), Facet::Queue(stub.queue.clone())];
            let parent = stub.relations.as_ref().and_then(|relations| relations.parent).map(Facet::Parent);
            let tags = stub.tags.iter().flat_map(|tags| tags.iter());
            own.into_iter().chain(parent).chain(tags.cloned().map(Facet::Tag))
        })
    }

    /// The groups that follow everything or one of the parts, each once. While all follow everything, nobody asks for the
    /// parts.
    fn following<I: Iterator<Item = Facet>>(&self, parts: impl FnOnce() -> I) -> Vec<usize> {
        let mut found = Vec::new();
        let mut look = |facet: Facet| {
            for group in self.facets.get(&facet).into_iter().flatten() {
                if !found.contains(group) {
                    found.push(*group);
                }
            }
        };
        look(Facet::All);
        if self.facets.len() > 1 || !self.facets.contains_key(&Facet::All) {
            parts().for_each(look);
        }
        found
    }

    /// Whether anybody follows a part of what happens.
    pub(crate) fn looks_closer(&self) -> bool {
        self.facets.keys().any(|facet| *facet != Facet::All)
    }

    /// The groups that follow the events of a job which is like this, but not all events.
    pub(crate) fn following_events_of(&self, job: &Traits) -> Vec<usize> {
        let mut found = self.following(|| {
            let own = [Facet::Id(job.id), Facet::Kind(job.kind.clone()), Facet::Queue(job.queue.clone())];
            let parent = job.parent.map(Facet::Parent);
            own.into_iter().chain(parent).chain(job.tags.iter().cloned().map(Facet::Tag))
        });
        found.retain(|number| match &self.groups[number].following {
            Following::Events(which) => !which.is_everything() && which.matches_events_of(job),
            Following::Jobs(_) | Following::Rows(_) => false,
        });
        found
    }

    /// The groups that follow all events.
    pub(crate) fn concerned_by_all(&self) -> impl Iterator<Item = usize> {
        let groups = self.facets.get(&Facet::All).into_iter().flatten().copied();
        groups.filter(|number| match &self.groups[number].following {
            Following::Events(which) => which.is_everything(),
            Following::Jobs(_) | Following::Rows(_) => false,
        })
    }

    /// Tells how far running jobs are.
    pub fn tell_progress(&mut self, jobs: impl IntoIterator<Item = JobId>, views: &Views) {
        let mut moved: BTreeMap<usize, Vec<Moved>> = BTreeMap::new();
        for id in jobs {
            // A job that cannot be read now is told with its next change.
            let Ok(Some(job)) = views.job(id) else { continue };
            let Some(progress) = job.run().and_then(|_| views.row_of(&Head::of(job.clone())).progress) else {
                continue;
            };
            for number in self.concerned(None, &job) {
                if matches!(&self.groups[&number].following, Following::Jobs(which) if which.matches(&job)) {
                    moved.entry(number).or_default().push(Moved { id, progress: progress.clone() });
                }
            }
        }
        for (number, jobs) in moved {
            self.send_unnumbered(number, |id| ServerFrame::Progress { id, jobs: jobs.clone() });
        }
    }

    /// Moves the position of those who have heard nothing for a while.
    pub fn tell_bookmarks(&mut self, now: Instant) {
        let is_due = |group: &Group| {
            let is_numbered = !matches!(group.following, Following::Rows(_));
            let is_behind = group.members.values().any(|placed| placed.prev < self.seq);
            is_numbered && is_behind && now.duration_since(group.told_at) >= BOOKMARK_AFTER
        };
        let due: Vec<usize> =
            self.groups.iter().filter(|(_, group)| is_due(group)).map(|(&number, _)| number).collect();
        let tail = Tail { frame_type: "bookmark", seq: self.seq, text: format!("\"seq\":{}}}", self.seq.0) };
        due.into_iter().for_each(|number| self.send(number, std::slice::from_ref(&tail), now));
    }

    /// Tells the rows of queues and workers that differ from what was told last.
    pub fn tell_tables(&mut self, views: &Views, now: Timestamp) {
        for kind in TableKind::ALL {
            if let Some(&number) = self.numbers.get(&Following::Rows(kind)) {
                self.tell_table(number, kind, views, now);
            }
        }
    }

    fn tell_table(&mut self, number: usize, kind: TableKind, views: &Views, now: Timestamp) -> Table {
        let table = Table::read(kind, views, now);
        let group = self.groups.get_mut(&number).expect("the number of a group that is there");
        let tail = table.difference(&group.table, kind, self.seq);
        group.table = table.clone();
        if let Some(text) = tail {
            self.send(number, &[Tail { frame_type: "changes", seq: self.seq, text }], Instant::now());
        }
        table
    }

    /// Sends numbered frames to a group: one piece for all whose subscription has the same name and stands at the same
    /// place.
    fn send(&mut self, number: usize, tails: &[Tail], now: Instant) {
        let Some(last) = tails.last() else { return };
        let wire = self.wire;
        let group = self.groups.get_mut(&number).expect("the number of a group that is there");
        group.told_at = now;
        let mut written: HashMap<(Arc<str>, Seq), Bytes> = HashMap::new();
        let mut gone = Vec::new();
        for placed in group.members.values_mut() {
            let Member { number, id, outbox } = &placed.member;
            let piece = written.entry((id.clone(), placed.prev)).or_insert_with(|| piece(wire, id, placed.prev, tails));
            placed.prev = last.seq;
            if !outbox.push(Waiting { bytes: piece.clone(), subscription: *number, seq: Some(last.seq) }) {
                gone.push(*number);
            }
        }
        gone.into_iter().for_each(|subscription| self.leave(subscription));
    }

    fn send_unnumbered(&mut self, number: usize, frame: impl Fn(Arc<str>) -> ServerFrame) {
        let write = |id| {
            let mut line = Vec::new();
            (self.wire)(&frame(id).bytes(), &mut line);
            Bytes::from(line)
        };
        let mut written: HashMap<Arc<str>, Bytes> = HashMap::new();
        for placed in self.groups[&number].members.values() {
            let Member { number, id, outbox } = &placed.member;
            let bytes = written.entry(id.clone()).or_insert_with(|| write(id.clone())).clone();
            // One that has no room learns of it with its next numbered frame.
            outbox.push(Waiting { bytes, subscription: *number, seq: None });
        }
    }

    fn expel_everybody(&mut self) {
        for group in self.groups.values() {
            group.members.values().for_each(|placed| placed.member.outbox.overflow());
        }
        *self = Board { next_group: self.next_group, ..Board::new(self.seq, self.wire) };
    }

    fn group(&mut self, following: Following) -> usize {
        if let Some(&number) = self.numbers.get(&following) {
            return number;
        }
        let number = self.next_group;
        self.next_group += 1;
        match &following {
            Following::Jobs(which) | Following::Events(which) => {
                self.facets.entry(which.facet()).or_default().push(number);
            }
            Following::Rows(_) => {}
        }
        self.numbers.insert(following.clone(), number);
        let group = Group { following, members: BTreeMap::new(), told_at: Instant::now(), table: Table::default() };
        self.groups.insert(number, group);
        number
    }

    fn drop_group(&mut self, number: usize) {
        let Some(group) = self.groups.remove(&number) else { return };
        match &group.following {
            Following::Jobs(which) | Following::Events(which) => {
                let facet = which.facet();
                if let Some(groups) = self.facets.get_mut(&facet) {
                    groups.retain(|other| *other != number);
                    if groups.is_empty() {
                        self.facets.remove(&facet);
                    }
                }
            }
            Following::Rows(_) => {}
        }
        self.numbers.remove(&group.following);
    }
}

/// Frames one behind the other, as they go over the line: each says where the one before it ended.
fn piece(wire: Wire, id: &str, mut prev: Seq, tails: &[Tail]) -> Bytes {
    let mut line = Vec::new();
    for Tail { frame_type, seq, text } in tails {
        let mut frame = head(frame_type, id, prev);
        frame.push_str(text);
        wire(frame.as_bytes(), &mut line);
        prev = *seq;
    }
    line.into()
}
