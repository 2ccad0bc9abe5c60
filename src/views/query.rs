//! Filters, pages and cursors of the list of jobs.

use crate::domain::id::{JobId, KindName, Ordinal, QueueName, Seq, Tag};
use crate::domain::job::StateName;
use crate::views::row::JobRow;

/// The most rows a page may have.
pub const LIMIT_MAX: usize = 500;
/// The rows of a page when nothing else is asked.
pub const LIMIT_DEFAULT: usize = 50;
/// The most rows that one page looks at when it searches.
pub const SEARCH_ROWS_MAX: usize = 10_000;

/// Which jobs; every part that is there must fit.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// 1 to [`LIMIT_MAX`].
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
