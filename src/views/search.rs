//! Searches jobs for a text: in the id, kind, tags and error, and in the first 4 KiB of the args, which are in the log.
//! Bounded in rows and bytes a page, never under the lock; a page that reached a bound is short and has a cursor.

use crate::domain::event::{Event, Record};
use crate::domain::id::{Ordinal, Seq};
use crate::domain::job::Job;
use crate::log::{LogReader, ReadError};
use crate::views::Views;
use crate::views::finished::{Head, ViewError};
use crate::views::query::SEARCH_ROWS_MAX;
use crate::views::row::JobRow;
use crate::views::walk::Walk;

/// The part of the args that is searched, in bytes.
const ARGS_BYTES_MAX: usize = 4 * 1024;
/// The most bytes of records that one page reads, but for its last run of jobs.
const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most bytes of records that one run of jobs reads, unless it is a single job.
const RUN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Jobs are read in runs, in the order of the log: of 16 first, then of more while they are light.
const RUN_FIRST: usize = 16;
const RUN_MAX: usize = 512;
/// Submissions that are as near to each other in the log are read with what lies between them.
const NEAR: u64 = 64;
/// What a record without a payload weighs, about, in bytes.
const RECORD_BYTES: usize = 128;

/// Where jobs stand, newest first, to be looked through.
pub(crate) trait Shelf {
    type Error: From<ViewError>;

    /// The next jobs, `limit` at most; none when there are no more, or none may be looked at for this page.
    fn take(&mut self, limit: usize) -> Result<Option<Run>, Self::Error>;

    /// Goes back, or on, to just below an ordinal.
    fn go_on_below(&mut self, ordinal: Ordinal);

    /// Whether there may be more.
    fn has_more(&mut self) -> bool;

    /// Where the next page begins when nothing more is taken for this one; none at the end.
    fn stopped_at(&self) -> Option<Ordinal> {
        None
    }

    /// Whether what the log has of a job's args may be looked at.
    fn shows_args(&self, _: &Head) -> bool {
        true
    }

    /// The row of a job that was taken.
    fn row(&self, head: &Head) -> Result<JobRow, Self::Error>;
}

/// Jobs that were taken together.
pub(crate) struct Run {
    /// The newest.
    pub first: Ordinal,
    /// The oldest.
    pub last: Ordinal,
    pub count: usize,
    /// Those of them that are still known.
    pub heads: Vec<Head>,
}

/// The rows that have the text, and where the next page begins.
type Rows = (Vec<JobRow>, Option<Ordinal>);

/// Looks at jobs down the shelf until `limit` have the text, or a bound is reached.
pub(crate) fn search<S: Shelf>(shelf: &mut S, log: &dyn LogReader, text: &str, limit: usize) -> Result<Rows, S::Error> {
    let needle = Needle::new(text);
    let mut rows = Vec::new();
    let (mut size, mut looked, mut read) = (RUN_FIRST, 0, 0);
    let mut cursor = None;
    while looked < SEARCH_ROWS_MAX && (read < PAGE_BYTES_MAX || looked == 0) {
        let Some(run) = shelf.take(size.min(SEARCH_ROWS_MAX - looked))? else { return Ok((rows, shelf.stopped_at())) };
        let mut args = ArgsReader::new(log, if run.count > 1 { RUN_BYTES_MAX } else { usize::MAX });
        let hits = needle.hits(&run.heads, &mut args, &|head| shelf.shows_args(head))?;
        read += args.read;
        let Some(hits) = hits else {
            size = run.count / 2;
            shelf.go_on_below(run.first.next());
            continue;
        };
        for (head, _) in run.heads.iter().zip(hits).filter(|(_, hit)| *hit) {
            rows.push(shelf.row(head)?);
            if rows.len() == limit {
                return Ok((rows, next_cursor(shelf, head.job.id.ordinal())));
            }
        }
        looked += run.count;
        size = (size * 2).min(RUN_MAX);
        cursor = next_cursor(shelf, run.last);
    }
    Ok((rows, cursor))
}

/// The cursor after a job, if there are more behind it.
fn next_cursor(shelf: &mut impl Shelf, last: Ordinal) -> Option<Ordinal> {
    shelf.go_on_below(last);
    shelf.has_more().then_some(last)
}

/// The jobs of the present.
struct Present<'a> {
    views: &'a Views,
    walk: Walk<'a>,
}

impl Shelf for Present<'_> {
    type Error = ViewError;

    fn take(&mut self, limit: usize) -> Result<Option<Run>, ViewError> {
        let found = self.walk.take(limit);
        let (Some(first), Some(last)) = (found.first(), found.last()) else { return Ok(None) };
        let heads = self.views.heads(&found)?;
        Ok(Some(Run { first: first.ordinal, last: last.ordinal, count: found.len(), heads }))
    }

    fn go_on_below(&mut self, ordinal: Ordinal) {
        self.walk.go_on_below(ordinal);
    }

    fn has_more(&mut self) -> bool {
        let next = self.walk.take(1);
        next.first().inspect(|next| self.walk.go_on_below(next.ordinal.next())).is_some()
    }

    fn row(&self, head: &Head) -> Result<JobRow, ViewError> {
        Ok(self.views.row_of(head))
    }
}

impl Views {
    pub(super) fn search(&self, walk: Walk<'_>, text: &str, limit: usize) -> Result<Rows, ViewError> {
        search(&mut Present { views: self, walk }, &*self.log, text, limit)
    }
}

/// The text that is looked for, in lower case.
struct Needle {
    text: String,
}

impl Needle {
    fn new(text: &str) -> Needle {
        Needle { text: text.to_lowercase() }
    }

    /// Which of the jobs have the text; none when the reader has read its fill.
    fn hits(
        &self,
        heads: &[Head],
        args: &mut ArgsReader<'_>,
        shows_args: &dyn Fn(&Head) -> bool,
    ) -> Result<Option<Vec<bool>>, ViewError> {
        let mut hits: Vec<bool> = heads.iter().map(|head| self.is_in_job(&head.job)).collect();
        // Of a job of which no more is known than its stub, nobody knows when it was submitted.
        let open = (0..heads.len())
            .filter(|&place| !hits[place] && heads[place].job.submitted > Seq::ZERO && shows_args(&heads[place]));
        let mut wanted: Vec<(Seq, usize)> = open.map(|place| (heads[place].job.submitted, place)).collect();
        wanted.sort_unstable();
        for (number, &(seq, place)) in wanted.iter().enumerate() {
            let next = wanted.get(number + 1).map(|(next, _)| *next);
            hits[place] = args.of(seq, next)?.is_some_and(|text| self.is_in(beginning(text)));
            if args.is_full() {
                return Ok(None);
            }
        }
        Ok(Some(hits))
    }

    fn is_in_job(&self, job: &Job) -> bool {
        let error = job.extras.as_ref().and_then(|extras| extras.error.as_ref());
        self.is_in(job.id.to_string().as_bytes())
            || self.is_in(job.kind.as_str().as_bytes())
            || job.tags().iter().any(|tag| self.is_in(tag.as_bytes()))
            || error.is_some_and(|error| self.is_in(error.code.as_bytes()) || self.is_in(error.message.as_bytes()))
    }

    /// A text of ASCII is found byte by byte, without a copy; another needs both sides in lower case.
    fn is_in(&self, text: &[u8]) -> bool {
        let needle = self.text.as_bytes();
        if !needle.is_ascii() {
            return String::from_utf8_lossy(text).to_lowercase().contains(&self.text);
        }
        let Some((first, rest)) = needle.split_first() else { return true };
        let starts = text.iter().enumerate().filter(|(_, byte)| byte.eq_ignore_ascii_case(first));
        starts
            .map(|(place, _)| &text[place + 1..])
            .any(|after| after.get(..rest.len()).is_some_and(|after| after.eq_ignore_ascii_case(rest)))
    }
}

fn beginning(text: &str) -> &[u8] {
    &text.as_bytes()[..text.len().min(ARGS_BYTES_MAX)]
}

/// Reads args from the log in the order of the log, and keeps what was decoded last.
struct ArgsReader<'a> {
    log: &'a dyn LogReader,
    /// Dense records.
    decoded: Vec<Record>,
    /// How many bytes were read, about.
    read: usize,
    bytes_max: usize,
}

impl<'a> ArgsReader<'a> {
    fn new(log: &'a dyn LogReader, bytes_max: usize) -> ArgsReader<'a> {
        ArgsReader { log, decoded: Vec::new(), read: 0, bytes_max }
    }

    fn is_full(&self) -> bool {
        self.read > self.bytes_max
    }

    /// The args of the job submitted at `seq`; none if the log has them no more. `next` is the one wanted after it.
    fn of(&mut self, seq: Seq, next: Option<Seq>) -> Result<Option<&str>, ViewError> {
        if self.decoded_at(seq).is_none() {
            let is_near = next.is_some_and(|next| next.0 - seq.0 <= NEAR);
            self.decoded = self.load(seq, is_near)?;
            self.read += self.decoded.iter().map(weight).sum::<usize>();
        }
        let Some(Event::JobSubmitted(data)) = self.decoded_at(seq).map(|record| &record.event) else { return Ok(None) };
        Ok(Some(data.args.as_str()))
    }

    fn decoded_at(&self, seq: Seq) -> Option<&Record> {
        let first = self.decoded.first()?.seq;
        self.decoded.get(usize::try_from(seq.0.checked_sub(first.0)?).ok()?)
    }

    fn load(&self, seq: Seq, with_neighbours: bool) -> Result<Vec<Record>, ViewError> {
        let near = with_neighbours.then(|| self.log.page_after(Seq(seq.0 - 1)));
        let records = match near {
            None | Some(Err(ReadError::Trimmed { .. })) => self.log.carried(seq).map(|record| vec![record]),
            Some(records) => records,
        };
        match records {
            Ok(records) => Ok(records),
            Err(ReadError::Trimmed { .. }) => Ok(Vec::new()),
            Err(error) => Err(ViewError::new("searched", error)),
        }
    }
}

fn weight(record: &Record) -> usize {
    RECORD_BYTES + if let Event::JobSubmitted(data) = &record.event { data.args.as_str().len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::StateName;
    use crate::views::query::SEARCH_ROWS_MAX;
    use crate::views::query::{JobFilter, JobQuery};
    use crate::views::testing::{New, World, queue};

    fn find(world: &World, text: &str) -> Vec<u64> {
        let filter = JobFilter { text: Some(text.into()), ..JobFilter::default() };
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = world.views.list(&JobQuery { filter: filter.clone(), before, limit: 2 }).expect("reads");
            found.extend(page.jobs.iter().map(|row| row.id.ordinal().0));
            before = page.next;
            if before.is_none() {
                return found;
            }
        }
    }

    #[test]
    fn a_text_is_found_wherever_it_may_stand_whatever_its_case() {
        let mut world = World::new();
        let first = world.submit(New { args: "{\"prompt\":\"A Cat in Ätna\"}".into(), ..New::default() });
        world.submit(New { tags: vec!["Catalog".into()], ..New::default() });
        world.submit(New { kind: "concatenate", ..New::default() });
        let failed = world.submit(New::default());
        world.finish(failed, StateName::Failed);
        world.commit();
        assert_eq!(find(&world, "CAT"), [3, 2, 1]);
        assert_eq!(find(&world, "ätNA"), [1]);
        assert_eq!(find(&world, "engine BROKE"), [4]);
        assert_eq!(find(&world, "BOOM"), [4]);
        assert_eq!(find(&world, &first.to_string().to_uppercase()), [1]);
        assert_eq!(find(&world, "nowhere"), [0; 0]);
        assert_eq!(find(&world, ""), [4, 3, 2, 1]);
        world.views.flush().expect("stores");
        assert_eq!(find(&world, "engine broke"), [4]);
    }

    #[test]
    fn only_the_beginning_of_the_args_is_searched() {
        let mut world = World::new();
        let args = |pad: usize| format!("{{\"a\":\"{}needle\"}}", " ".repeat(pad));
        world.submit(New { args: args(4096 - 6 - 6), ..New::default() });
        world.submit(New { args: args(4096 - 6 - 5), ..New::default() });
        world.commit();
        assert_eq!(find(&world, "needle"), [1]);
    }

    #[test]
    fn a_search_fits_the_other_filters_too() {
        let mut world = World::new();
        for queue in ["default", "images", "slow"] {
            world.submit(New { queue, args: "{\"a\":\"needle\"}".into(), ..New::default() });
        }
        world.commit();
        let filter = JobFilter { text: Some("needle".into()), queue: Some(queue("slow")), ..JobFilter::default() };
        let rows = world.views.list(&JobQuery { filter, before: None, limit: 9 }).expect("reads").jobs;
        assert_eq!(rows.len(), 1);
    }

    #[test]
    fn a_page_looks_at_a_bounded_number_of_rows_and_its_cursor_goes_on() {
        let mut world = World::new();
        world.submit(New { args: "{\"a\":\"needle\"}".into(), ..New::default() });
        (0..SEARCH_ROWS_MAX + 5).for_each(|_| _ = world.submit(New::default()));
        world.commit();
        let filter = JobFilter { text: Some("needle".into()), ..JobFilter::default() };
        let list = |before| world.views.list(&JobQuery { filter: filter.clone(), before, limit: 9 }).expect("reads");
        let first = list(None);
        assert_eq!((first.jobs.len(), first.next), (0, Some(Ordinal(7))));
        let reads = *world.log.reads.lock();
        assert!(reads < 250, "neighbours in the log are read together, not in {reads} reads");
        let second = list(first.next);
        assert_eq!((second.jobs.len(), second.next), (1, None));
    }

    #[test]
    fn a_page_reads_a_bounded_number_of_bytes_and_its_cursor_goes_on() {
        let mut world = World::new();
        let heavy = format!("{{\"a\":\"{}\"}}", "x".repeat(10 * 1024 * 1024));
        (0..12).for_each(|_| _ = world.submit(New { args: heavy.clone(), ..New::default() }));
        world.commit();
        let filter = JobFilter { text: Some("needle".into()), ..JobFilter::default() };
        let (mut pages, mut before) = (0, None);
        loop {
            let page = world.views.list(&JobQuery { filter: filter.clone(), before, limit: 9 }).expect("reads");
            pages += 1;
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert!((2..=12).contains(&pages), "{pages} pages");
    }
}
