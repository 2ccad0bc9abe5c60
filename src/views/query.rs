//! Filters, pages and cursors of the list of jobs.

use crate::domain::id::{JobId, KindName, Ordinal, QueueName, Seq, Tag};
use crate::domain::job::{Job, StateName};
use crate::domain::state::Stub;
use crate::views::block::{Criteria, Facet};
use crate::views::row::JobRow;

/// The most rows a page may have.
pub const LIMIT_MAX: usize = 500;
/// The rows of a page when nothing else is asked.
pub const LIMIT_DEFAULT: usize = 50;
/// The most rows that one page looks at when it searches; published as at most 10,000. So many are read from a cold log in
/// under 20 ms.
pub const SEARCH_ROWS_MAX: usize = 2_500;

/// Which jobs; every part that is there must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct JobFilter {
    /// Any of these; empty: all.
    pub states: Vec<StateName>,
    pub kind: Option<KindName>,
    pub queue: Option<QueueName>,
    pub tag: Option<Tag>,
    pub parent: Option<JobId>,
    /// A text in the id, kind, tags, error or the first 4 KiB of the args; upper and lower case are the same.
    pub text: Option<String>,
}

/// One page of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct JobQuery {
    pub filter: JobFilter,
    /// Only jobs submitted before this one: the cursor. Stable while jobs arrive.
    pub before: Option<Ordinal>,
    /// 1 to [`LIMIT_MAX`]; what lies outside is held to it.
    pub limit: usize,
}

/// The answer: rows newest first, and where the next page begins.
#[derive(Debug, Clone)]
pub struct JobPage {
    pub jobs: Vec<JobRow>,
    /// None on the last page. With a search a short, even an empty page may have a next one.
    pub next: Option<Ordinal>,
    /// The seq as of which the page was read, or earlier.
    pub seq: Seq,
}

impl JobFilter {
    /// Whether a job fits. The text is not looked at: it takes the log to know.
    pub fn matches(&self, job: &Job) -> bool {
        (self.states.is_empty() || self.states.contains(&job.state_name()))
            && self.kind.as_ref().is_none_or(|kind| *kind == job.kind)
            && self.queue.as_ref().is_none_or(|queue| *queue == job.queue)
            && self.tag.as_ref().is_none_or(|tag| job.tags().contains(tag))
            && self.parent.is_none_or(|parent| job.parent() == Some(parent))
    }

    /// Whether an ended job fits, of which no more is at hand than its stub.
    pub fn matches_stub(&self, stub: &Stub) -> bool {
        let tags = stub.tags.as_ref().map_or(&[][..], |tags| tags.as_slice());
        (self.states.is_empty() || self.states.contains(&stub.state))
            && self.kind.as_ref().is_none_or(|kind| *kind == stub.kind)
            && self.queue.as_ref().is_none_or(|queue| *queue == stub.queue)
            && self.tag.as_ref().is_none_or(|tag| tags.contains(tag))
            && self.parent.is_none_or(|parent| stub.relations.as_ref().and_then(|all| all.parent) == Some(parent))
    }

    pub(crate) fn criteria(&self) -> Criteria {
        let kind = self.kind.clone().map(Facet::Kind);
        let queue = self.queue.clone().map(Facet::Queue);
        let tag = self.tag.clone().map(Facet::Tag);
        let parent = self.parent.map(Facet::Parent);
        Criteria { states: self.states.clone(), facets: [kind, queue, tag, parent].into_iter().flatten().collect() }
    }
}
