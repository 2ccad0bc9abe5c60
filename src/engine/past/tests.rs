//! What is answered about a past moment is what the views answered then, at every event of wild histories, whatever became
//! of the jobs since; and where the oldest events are gone, nothing else is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::PastStates;
use super::rows::PastViews;
use crate::domain::event::{Event, Record};
use crate::domain::evolve::evolve;
use crate::domain::id::{JobId, Seq};
use crate::domain::job::{Job, StateName};
use crate::domain::properties::a_life;
use crate::domain::state::{Slot, State, Stub};
use crate::domain::testing::{World, history, kind, queue};
use crate::engine::base::{Kept, fold};
use crate::feed::Page;
use crate::log::EventLog;
use crate::log::memory::MemoryLog;
use crate::views::query::{JobFilter, JobQuery, LIMIT_MAX};
use crate::views::row::{JobRow, QueueRow, WorkerRow};
use crate::views::{Head, MemoryFinished, Parts, Views};

/// What the views showed after an event.
struct Shown {
    rows: Vec<JobRow>,
    filtered: Vec<Vec<JobId>>,
    trees: BTreeMap<JobId, Vec<JobId>>,
    /// Each job in full, its events apart.
    jobs: BTreeMap<JobId, (Arc<Job>, Seq)>,
    queues: Vec<QueueRow>,
    workers: Vec<WorkerRow>,
}

fn filters(jobs: &[JobId]) -> Vec<JobFilter> {
    let all = JobFilter::default;
    let text = |text: &str| JobFilter { text: Some(text.to_owned()), ..all() };
    let states = [StateName::Queued, StateName::Running, StateName::Failed, StateName::Completed];
    let mut filters: Vec<_> = states.map(|state| JobFilter { states: vec![state], ..all() }).into();
    filters.push(JobFilter { states: states.into(), kind: Some(kind("a")), ..all() });
    filters.push(JobFilter { queue: Some(queue("y")), ..all() });
    filters.extend(["t1", "late", "x"].map(|tag| JobFilter { tag: Some(tag.into()), ..all() }));
    filters.extend(jobs.iter().step_by(3).map(|&job| JobFilter { parent: Some(job), ..all() }));
    filters.extend([text("a"), text("boom"), text("{")]);
    filters
}

/// All pages of a list, a few rows a page.
fn pages(filter: &JobFilter, mut list: impl FnMut(&JobQuery) -> crate::views::query::JobPage) -> Vec<JobRow> {
    let (mut rows, mut before) = (Vec::new(), None);
    loop {
        let page = list(&JobQuery { filter: filter.clone(), before, limit: 7 });
        rows.extend(page.jobs);
        before = page.next;
        if before.is_none() {
            return rows;
        }
    }
}

fn ids(rows: &[JobRow]) -> Vec<JobId> {
    rows.iter().map(|row| row.id).collect()
}

/// The page of one record, as the engine publishes it.
fn page_of(state: &mut State, record: &Record, finished: &mut BTreeMap<JobId, Arc<Job>>) -> Page {
    let forgotten: Vec<Arc<Stub>> = match &record.event {
        Event::JobsForgotten(data) => data.jobs.iter().filter_map(|&id| stub(state, id)).collect(),
        _ => Vec::new(),
    };
    let mut job = evolve(state, record);
    if let Event::JobPurged(data) = &record.event {
        job = finished.get(&data.job).cloned();
    }
    if let Some(ended) = job.as_ref().filter(|job| job.is_terminal()) {
        finished.insert(ended.id, ended.clone());
    }
    let jobs: Vec<_> = job.into_iter().collect();
    Page { records: [record.clone()].into(), before: vec![None; jobs.len()], jobs, forgotten }
}

fn stub(state: &State, id: JobId) -> Option<Arc<Stub>> {
    match state.slot(id) {
        Some(Slot::Finished(stub)) => Some(stub.clone()),
        Some(Slot::Active(_)) | None => None,
    }
}

/// A log, and the views after all of it with what they showed on the way.
struct Present {
    log: MemoryLog,
    views: Arc<Views>,
    shown: Vec<Shown>,
    filters: Vec<JobFilter>,
    /// Who was purged some day, and is perhaps forgotten.
    purged: BTreeSet<JobId>,
}

impl Present {
    fn of(world: &World) -> Present {
        let mut log = MemoryLog::new();
        for group in world.records.split_inclusive(|record| !record.continues) {
            log.submit(group.into()).expect("takes them");
            log.committed().expect("keeps them");
        }
        let mut state = State::default();
        let views = Views::from_parts(Parts::of(&state), Arc::new(MemoryFinished::default()), log.reader());
        let submitted: Vec<JobId> = world.records.iter().filter_map(|record| submitted(&record.event)).collect();
        let filters = filters(&submitted);
        let mut finished = BTreeMap::new();
        let mut shown = Vec::new();
        for record in &world.records {
            views.apply(&page_of(&mut state, record, &mut finished)).expect("the store takes them");
            if record.seq.0 % 7 == 0 {
                views.flush().expect("the store takes them");
            }
            shown.push(show(&views, &filters, record));
        }
        let purged = world.records.iter().filter_map(|record| purged(&record.event)).collect();
        Present { log, views: Arc::new(views), shown, filters, purged }
    }

    /// Drops the events up to `end`, when `state` says what is kept.
    fn trim(&self, end: Seq, state: &State) {
        let (reader, trimmer) = (self.log.reader(), self.log.trimmer());
        let folded = fold(&*reader, &*trimmer, end, &|job| kept(state, job), &|| false).expect("folds");
        folded.replace_events(&*trimmer).expect("takes their place");
    }

    fn past(&self) -> (Arc<PastStates>, Seq) {
        (Arc::new(PastStates::new(self.log.reader())), self.log.reader().earliest())
    }
}

fn submitted(event: &Event) -> Option<JobId> {
    match event {
        Event::JobSubmitted(data) => Some(data.job),
        _ => None,
    }
}

fn purged(event: &Event) -> Option<JobId> {
    match event {
        Event::JobPurged(data) => Some(data.job),
        _ => None,
    }
}

fn show(views: &Views, filters: &[JobFilter], record: &Record) -> Shown {
    let list = |query: &JobQuery| views.list(query).expect("reads");
    let rows = pages(&JobFilter::default(), list);
    let job = |row: &JobRow| {
        let job = views.job(row.id).expect("reads").expect("is known");
        let last = views.last_seq(&job);
        (row.id, (job, last))
    };
    let tree = |row: &JobRow| (row.id, ids(&views.tree(row.id, None, LIMIT_MAX).expect("reads").expect("is known")));
    Shown {
        filtered: filters.iter().map(|filter| ids(&pages(filter, list))).collect(),
        trees: rows.iter().step_by(4).map(tree).collect(),
        jobs: rows.iter().map(job).collect(),
        rows,
        queues: views.queues(record.at),
        workers: views.workers(),
    }
}

/// Compares every answer about a moment; `outlines` says of which jobs no more may be known than that they ended.
fn compare(present: &Present, past: &PastViews, outlines: &dyn Fn(JobId) -> bool) {
    let (seq, shown) = (past.seq(), &present.shown[past.seq().0 as usize - 1]);
    let list = |query: &JobQuery| past.list(query).expect("reads");
    let rows = pages(&JobFilter::default(), list);
    assert_eq!(ids(&rows), ids(&shown.rows), "at {seq}");
    for (row, then) in rows.iter().zip(&shown.rows) {
        if row.attempt.is_none() {
            assert!(outlines(row.id), "at {seq}: {row:?}");
            assert_eq!((row.state, row.seq, &row.tags), (then.state, then.seq, &then.tags), "at {seq}");
            assert_eq!((row.created_at, row.updated_at), (then.created_at, then.updated_at), "at {seq}");
            assert_eq!((row.finished_at, row.purged_at), (then.finished_at, then.purged_at), "at {seq}");
            assert_eq!((&row.depends_on, row.root_id), (&then.depends_on, then.root_id), "at {seq}");
            continue;
        }
        let is_hidden = present.purged.contains(&row.id) || outlines(row.id);
        let then = if is_hidden { then.clone().without_traces() } else { then.clone() };
        let row = if is_hidden { row.clone().without_traces() } else { row.clone() };
        assert_eq!(row, then, "at {seq}");
    }
    assert_eq!(past.queues().expect("reads"), shown.queues, "at {seq}");
    assert_eq!(past.workers().expect("reads"), shown.workers, "at {seq}");
    for (filter, then) in present.filters.iter().zip(&shown.filtered) {
        let found = ids(&pages(filter, list));
        // What stands in the args or the error of a job is shown for as long as the job is known and not purged.
        let is_hidden = |id: JobId| outlines(id) || present.purged.contains(&id);
        let same = |id: &&JobId| filter.text.is_none() || !is_hidden(**id);
        assert!(found.iter().filter(same).eq(then.iter().filter(same)), "at {seq}: {filter:?} {found:?} {then:?}");
    }
    for (id, then) in &shown.trees {
        let (_, tree) = past.tree(*id, None, LIMIT_MAX).expect("reads").expect("was known");
        assert_eq!(ids(&tree), *then, "at {seq}");
        let (_, rest) = past.tree(*id, Some(then[0]), 2).expect("reads").expect("was known");
        assert_eq!(ids(&rest), then[1..].iter().copied().take(2).collect::<Vec<_>>(), "at {seq}");
    }
    for (id, (then, last)) in &shown.jobs {
        let job = past.job(*id).expect("reads").expect("was known");
        assert_eq!(past.last_seq(*id).expect("reads"), Some(*last), "at {seq}");
        assert!(job == *then || (outlines(*id) && job.submitted == Seq::ZERO), "at {seq}: {job:?} {then:?}");
        let row = past.row_of(&Head::of(job)).expect("reads");
        assert_eq!(Some(&row), rows.iter().find(|row| row.id == *id), "at {seq}");
    }
    let unknown = present.shown.last().expect("something happened").rows.iter().map(|row| row.id);
    for id in unknown.filter(|id| !shown.jobs.contains_key(id)) {
        assert!(past.job(id).expect("reads").is_none() && past.tree(id, None, 9).expect("reads").is_none());
    }
}

fn worlds() -> impl Iterator<Item = World> {
    std::iter::once(history(30)).chain((0..12).map(|seed| a_life(seed, 120)))
}

#[test]
fn at_every_event_of_a_history_the_answers_are_those_that_were_given_then() {
    for world in worlds() {
        let present = Present::of(&world);
        let (states, _) = present.past();
        for seq in 1..=present.shown.len() as u64 {
            let past = PastViews::at(&states, &present.views, Seq(seq)).expect("is there");
            compare(&present, &past, &|_| false);
        }
        let empty = PastViews::at(&states, &present.views, Seq::ZERO).expect("is there");
        assert!(
            empty.list(&JobQuery { filter: JobFilter::default(), before: None, limit: 9 }).unwrap().jobs.is_empty()
        );
        assert!(empty.queues().unwrap().is_empty() && empty.workers().unwrap().is_empty());
    }
}

#[test]
fn where_the_oldest_events_are_gone_only_what_was_forgotten_by_then_is_an_outline() {
    for (number, world) in worlds().enumerate() {
        let present = Present::of(&world);
        let ends: Vec<Seq> = world.records.iter().filter(|record| !record.continues).map(|record| record.seq).collect();
        for end in [ends[ends.len() / 4], ends[ends.len() / 2], ends[ends.len() * 3 / 4]] {
            present.trim(end, &world.state);
            let (states, earliest) = present.past();
            assert_eq!(earliest, end.next(), "{number}");
            let forgotten = |job| world.state.slot(job).is_none();
            for seq in (end.0..=present.shown.len() as u64).step_by(5) {
                let past = PastViews::at(&states, &present.views, Seq(seq)).expect("is there");
                compare(&present, &past, &forgotten);
            }
            assert!(PastViews::at(&states, &present.views, Seq(end.0 - 1)).is_err());
        }
    }
}

#[test]
fn what_a_base_still_carries_of_a_purged_job_is_not_shown_once_the_job_is_forgotten() {
    let world = history(30);
    let present = Present::of(&world);
    let gone: Vec<JobId> = present.purged.iter().copied().filter(|&job| world.state.slot(job).is_none()).collect();
    let purge = |record: &&Record| purged(&record.event).is_some_and(|job| gone.contains(&job));
    let end = Seq(world.records.iter().filter(purge).nth(1).expect("some are purged").seq.0 - 1);
    // When the base was made, nobody knew of what came later.
    let mut state = State::default();
    world.records.iter().take(end.0 as usize).for_each(|record| drop(evolve(&mut state, record)));
    present.trim(end, &state);
    let (states, _) = present.past();
    let (log, mut carried) = (present.log.reader(), 0);
    for seq in end.0..(end.0 + 40).min(present.shown.len() as u64) {
        let past = PastViews::at(&states, &present.views, Seq(seq)).expect("is there");
        let filter = JobFilter { text: Some("{".to_owned()), ..JobFilter::default() };
        let found = ids(&pages(&filter, |query| past.list(query).expect("reads")));
        for &id in &gone {
            let Some(job) = past.job(id).expect("reads").filter(|job| job.seq <= end && job.is_terminal()) else {
                continue;
            };
            let mut payloads = job.payload_seqs().filter(|seq| *seq > Seq::ZERO);
            carried += u32::from(log.carried(job.submitted).is_ok());
            assert!(payloads.all(|seq| past.log_of(id).carried(seq).is_err()), "{id} at {seq}");
            assert!(!found.contains(&id), "{id} at {seq}");
        }
    }
    assert!(carried > 0, "there is something to hide");
}

/// What is kept of a job when so much is known.
fn kept(state: &State, job: JobId) -> Kept {
    match state.slot(job) {
        None => Kept::Nothing,
        Some(Slot::Finished(stub)) if stub.purged().is_some() => Kept::Job,
        Some(Slot::Finished(_) | Slot::Active(_)) => Kept::Payloads,
    }
}
