//! What is read from the log equals what would have been counted without a restart, over whole lives of jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::domain::event::{Event, LossCause, Record};
use crate::domain::evolve::evolve;
use crate::domain::id::JobId;
use crate::domain::job::Job;
use crate::domain::state::{Slot, State, Stub};
use crate::domain::testing::{a_job, complete, fail, history, lose};
use crate::domain::time::Millis;
use crate::feed::Page;
use crate::views::performance::{Counts, Span};
use crate::views::testing::TestLog;
use crate::views::{MemoryFinished, Parts};

/// The log of a world, with its time made longer, so that its buckets are many.
fn stretched(records: &[Record], ms_an_event: u64) -> Vec<Record> {
    let stretch = |record: &Record| Record { at: record.at.plus(Millis(record.seq.0 * ms_an_event)), ..record.clone() };
    records.iter().map(stretch).collect()
}

/// The page that a commit of these records is.
fn page(state: &mut State, records: &[Record]) -> Page {
    let mut jobs: BTreeMap<JobId, Arc<Job>> = BTreeMap::new();
    let mut forgotten: Vec<Arc<Stub>> = Vec::new();
    for record in records {
        if let Event::JobsForgotten(data) = &record.event {
            forgotten.extend(data.jobs.iter().filter_map(|id| match state.slot(*id) {
                Some(Slot::Finished(stub)) => Some(stub.clone()),
                Some(Slot::Active(_)) | None => None,
            }));
        }
        jobs.extend(evolve(state, record).map(|job| (job.id, job)));
    }
    Page { records: records.into(), jobs: jobs.into_values().collect(), before: Vec::new(), forgotten }
}

/// Views that were there for all of these records but the first `before`, and read those from the log.
fn views_since(before: usize, records: &[Record], commit: usize) -> Views {
    let log = Arc::new(TestLog::default());
    log.records.lock().extend(records.iter().cloned());
    let mut state = State::default();
    records[..before].iter().for_each(|record| drop(evolve(&mut state, record)));
    let views = Views::from_parts(Parts::of(&state), Arc::new(MemoryFinished::default()), log.clone());
    for records in records[before..].chunks(commit) {
        views.apply(&page(&mut state, records)).expect("the store takes finished jobs");
    }
    recall(&*log, &views, &AtomicBool::new(false)).expect("the log can be read");
    views
}

#[test]
fn live_and_recalled_views_tell_the_same_of_a_history_with_purged_and_forgotten_jobs() {
    let world = history(40);
    for ms_an_event in [10, 4_000, 3_000_000] {
        let records = stretched(&world.records, ms_an_event);
        let now = records.last().expect("something happened").at;
        let told = |views: Views| Span::ALL.map(|span| views.performance(span, now));
        let lasting = told(views_since(0, &records, 1));
        for (before, commit) in [(0, 50), (1, 7), (records.len() / 2, 3), (records.len() - 1, 1), (records.len(), 1)] {
            assert_eq!(told(views_since(before, &records, commit)), lasting, "{before} of {}", records.len());
        }
        assert!(lasting.iter().all(|(_, is_complete)| *is_complete));
    }
}

#[test]
fn every_submission_start_and_end_is_counted_also_of_jobs_that_are_forgotten() {
    let world = history(40);
    let count = |name: &str| world.records.iter().filter(|record| record.event.type_name() == name).count() as u64;
    let now = world.records.last().expect("something happened").at;
    let (buckets, _) = views_since(world.records.len(), &world.records, 1).performance(Span::Month, now);
    let counts = buckets[29].counts;
    assert_eq!(counts.submitted, count("job.submitted"));
    assert_eq!(counts.started, count("job.started"));
    assert_eq!(counts.completed, count("job.completed"));
    assert_eq!((counts.failed, counts.attempts_failed), (count("job.failed"), count("job.failed")));
    assert_eq!(counts.cancelled, count("job.cancelled"));
    assert!(counts.submitted > world.state.jobs().count() as u64);
}

#[test]
fn a_loss_is_no_failed_attempt_and_a_failed_attempt_counts_also_when_another_follows() {
    let mut world = crate::domain::testing::World::new();
    let retried = world.running(a_job());
    world.given(fail(retried, true));
    let lost = world.running(a_job());
    world.given(lose(lost.job, world.holder(lost.job), LossCause::ProcessDied));
    let done = world.running(a_job());
    world.given(complete(done));
    let now = world.now;
    let (buckets, _) = views_since(world.records.len(), &world.records, 1).performance(Span::Month, now);
    let expected = Counts { submitted: 3, started: 3, completed: 1, attempts_failed: 1, lost: 1, ..Counts::default() };
    assert_eq!(buckets[29].counts, expected);
}
