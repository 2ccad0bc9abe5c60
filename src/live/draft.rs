//! What one commit means for each group, written once: every row and every event at most once a page, whoever many groups
//! show it. Reads the views; sends nothing.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::domain::id::{JobId, Seq};
use crate::domain::job::Job;
use crate::domain::state::Stub;
use crate::feed::published::PublishedEvent;
use crate::feed::{Before, Page};
use crate::live::board::{Board, Following};
use crate::live::traits::Traits;
use crate::views::{Head, Views};

/// What a page means for the groups that it concerns.
pub struct Drafts<'a> {
    page: &'a Page,
    views: &'a Views,
    subjects: Vec<Subject<'a>>,
    groups: BTreeMap<usize, Draft>,
    events: Vec<OnceCell<String>>,
}

/// A frame of a group but for its beginning, which differs by who gets it.
pub struct Tail {
    pub frame_type: &'static str,
    pub seq: Seq,
    /// All that comes after `prev`.
    pub text: String,
}

/// A job that something happened to.
struct Subject<'a> {
    before: Option<&'a Before>,
    job: Arc<Job>,
    row: OnceCell<String>,
}

/// What one group is told: places in the page.
enum Draft {
    Jobs { rows: Vec<usize>, left: Vec<JobId> },
    Events(Vec<usize>),
}

impl<'a> Drafts<'a> {
    /// Finds out whom a page concerns.
    pub fn of(page: &'a Page, views: &'a Views, board: &Board) -> Drafts<'a> {
        let mut drafts = Drafts {
            page,
            views,
            subjects: subjects(page, views),
            groups: BTreeMap::new(),
            events: page.records.iter().map(|_| OnceCell::new()).collect(),
        };
        for place in 0..drafts.subjects.len() {
            drafts.note_subject(place, board);
        }
        page.forgotten.iter().for_each(|stub| drafts.note_forgotten(stub, board));
        let of_all: Vec<usize> = board.concerned_by_all().collect();
        // What each job was after its last event that was looked at: it may change in the middle of a page.
        let mut jobs: HashMap<JobId, Traits> = HashMap::new();
        if board.looks_closer() {
            let traits = |subject: &Subject<'_>| (subject.job.id, Traits::of(&subject.job, subject.before));
            jobs.extend(drafts.subjects.iter().map(traits));
        }
        for (place, record) in page.records.iter().enumerate() {
            of_all.iter().for_each(|&group| drafts.note_event(group, place));
            let Some(job) = record.event.job().and_then(|id| jobs.get_mut(&id)) else { continue };
            job.follow(&record.event);
            board.following_events_of(job).into_iter().for_each(|group| drafts.note_event(group, place));
        }
        drafts
    }

    /// Notes what the groups of jobs are told of a job.
    fn note_subject(&mut self, place: usize, board: &Board) {
        let subject = &self.subjects[place];
        for group in board.concerned(subject.before, &subject.job) {
            let Following::Jobs(which) = &board.groups[&group].following else { continue };
            let is_in = which.matches(&subject.job);
            let was_in = || subject.before.is_some_and(|before| which.did_match(before, &subject.job));
            if !is_in && !was_in() {
                continue;
            }
            let empty = || Draft::Jobs { rows: Vec::new(), left: Vec::new() };
            if let Draft::Jobs { rows, left } = self.groups.entry(group).or_insert_with(empty) {
                if is_in { rows.push(place) } else { left.push(subject.job.id) }
            }
        }
    }

    /// Notes who is told that a job is not known any more.
    fn note_forgotten(&mut self, stub: &Stub, board: &Board) {
        for group in board.concerned_by_end(stub) {
            let Following::Jobs(which) = &board.groups[&group].following else { continue };
            if !which.matches_stub(stub) {
                continue;
            }
            let empty = || Draft::Jobs { rows: Vec::new(), left: Vec::new() };
            if let Draft::Jobs { left, .. } = self.groups.entry(group).or_insert_with(empty) {
                left.push(stub.id);
            }
        }
    }

    fn note_event(&mut self, group: usize, place: usize) {
        if let Draft::Events(places) = self.groups.entry(group).or_insert_with(|| Draft::Events(Vec::new())) {
            places.push(place);
        }
    }

    /// What each group is told, by its number.
    pub fn tails(&self, seq: Seq) -> impl Iterator<Item = (usize, Tail)> {
        self.groups.iter().map(move |(&group, draft)| match draft {
            Draft::Jobs { rows, left } => {
                (group, Tail { frame_type: "changes", seq, text: self.changes(seq, rows, left) })
            }
            Draft::Events(places) => (group, Tail { frame_type: "events", seq, text: self.events(seq, places) }),
        })
    }

    fn changes(&self, seq: Seq, rows: &[usize], left: &[JobId]) -> String {
        let rows = rows.iter().map(|&place| {
            let Subject { job, row, .. } = &self.subjects[place];
            row.get_or_init(|| written(&self.views.row_of(&Head::of(job.clone())))).as_str()
        });
        format!("\"seq\":{},\"jobs\":[{}],\"left\":{}}}", seq.0, joined(rows), written(&left))
    }

    fn events(&self, seq: Seq, places: &[usize]) -> String {
        let events = places.iter().map(|&place| {
            let record = &self.page.records[place];
            self.events[place].get_or_init(|| written(&PublishedEvent::of(record.clone()))).as_str()
        });
        format!("\"seq\":{},\"events\":[{}]}}", seq.0, joined(events))
    }
}

/// The jobs that the page changed, and the finished ones that it only has something to say of: calls that came too late.
fn subjects<'a>(page: &'a Page, views: &Views) -> Vec<Subject<'a>> {
    let subject = |before, job: Arc<Job>| Subject { before, job, row: OnceCell::new() };
    let mut subjects: Vec<Subject<'a>> = page.changes().map(|(before, job)| subject(before, job.clone())).collect();
    let is_changed = |id: JobId, subjects: &[Subject<'_>]| subjects.iter().any(|subject| subject.job.id == id);
    for record in page.records.iter() {
        let crate::domain::event::Event::JobLateResult(late) = &record.event else { continue };
        if is_changed(late.job, &subjects) {
            continue;
        }
        // One that cannot be read now is as it was, but for the seq of its last event.
        if let Ok(Some(job)) = views.job(late.job) {
            subjects.push(subject(None, job));
        }
    }
    subjects
}

fn joined<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let mut all = String::new();
    for text in texts {
        if !all.is_empty() {
            all.push(',');
        }
        all.push_str(text);
    }
    all
}

fn written(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("what is published can be written as JSON")
}
