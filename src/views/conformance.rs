//! What every [`FinishedStore`] promises, as tests: an implementation calls [`conformance`] with a way to make an empty
//! one, and passes all of them.

use std::sync::Arc;

use crate::domain::batch::ITEMS_MAX;
use crate::domain::id::{FinishOrdinal, Seq};
use crate::domain::job::{Job, JobError};
use crate::log::job_samples::{plain_job, rich_job};
use crate::views::{FinishedStore, Head, finish_ordinal};

/// Runs the whole suite, each part on an empty store of its own.
pub fn conformance<S: FinishedStore>(mut empty: impl FnMut() -> S) {
    an_empty_store_stands_at_zero(&empty());
    jobs_come_back_as_they_were(&empty());
    heads_are_answered_in_the_order_of_the_question(&empty());
    a_job_that_is_put_again_is_replaced(&empty());
    the_position_never_goes_back(&empty());
    a_page_may_be_filled_in_any_order(&empty());
    large_jobs_come_back_as_they_were(&empty());
    a_cleared_store_is_empty_and_can_be_filled_again(&empty());
    places_that_are_emptied_are_empty_and_their_neighbours_stay(&empty());
}

/// Whether a store holds exactly these jobs of the places up to `last`.
pub fn check_holds(store: &impl FinishedStore, jobs: &[Arc<Job>], last: u64) {
    let places: Vec<_> = (0..=last).map(FinishOrdinal).collect();
    let heads = store.heads(&places).unwrap();
    for (place, head) in places.iter().zip(heads) {
        let expected = jobs.iter().find(|job| finish_ordinal(job) == *place);
        assert_eq!(store.get(*place).unwrap().as_ref(), expected, "{place:?}");
        check_head(head, expected);
    }
}

/// A head may lack the items, but not their counts.
fn check_head(head: Option<Head>, expected: Option<&Arc<Job>>) {
    assert_eq!(head.is_some(), expected.is_some());
    let (Some(head), Some(expected)) = (head, expected) else { return };
    assert_eq!(head.items, expected.items().map(|items| items.counts()));
    let without_items = |job: &Job| {
        let mut job = job.clone();
        if job.items().is_some() {
            job.extras_mut().items = None;
        }
        job
    };
    assert_eq!(without_items(&head.job), without_items(expected));
}

fn an_empty_store_stands_at_zero(store: &impl FinishedStore) {
    assert_eq!(store.position(), Seq::ZERO);
    check_holds(store, &[], 3);
    assert_eq!(store.heads(&[]).unwrap(), []);
}

fn jobs_come_back_as_they_were(store: &impl FinishedStore) {
    let jobs: Vec<_> =
        (1..200).map(|n| Arc::new(if n % 3 == 0 { rich_job(n * 7, n, 5) } else { plain_job(n * 7, n) })).collect();
    store.put(&jobs[..10], &[], Seq(100)).unwrap();
    store.put(&jobs[10..], &[], Seq(5000)).unwrap();
    assert_eq!(store.position(), Seq(5000));
    check_holds(store, &jobs, 300);
}

fn heads_are_answered_in_the_order_of_the_question(store: &impl FinishedStore) {
    let jobs: Vec<_> = (1..200).map(|n| Arc::new(plain_job(n, n))).collect();
    store.put(&jobs, &[], Seq(1)).unwrap();
    let places = [150, 3, 999, 64, 3, 63].map(FinishOrdinal);
    let heads = store.heads(&places).unwrap();
    let found: Vec<_> = heads.into_iter().map(|head| head.map(|head| finish_ordinal(&head.job).0)).collect();
    assert_eq!(found, [Some(150), Some(3), None, Some(64), Some(3), Some(63)]);
}

fn a_job_that_is_put_again_is_replaced(store: &impl FinishedStore) {
    let others: Vec<_> = (1..5).map(|n| Arc::new(plain_job(n, n))).collect();
    store.put(&others, &[], Seq(1)).unwrap();
    for again in [rich_job(9, 3, 3000), rich_job(9, 3, 2), plain_job(9, 3)] {
        let again = Arc::new(again);
        store.put(std::slice::from_ref(&again), &[], Seq(2)).unwrap();
        let jobs = [others[0].clone(), others[1].clone(), again, others[3].clone()];
        check_holds(store, &jobs, 6);
    }
}

fn the_position_never_goes_back(store: &impl FinishedStore) {
    store.put(&[], &[], Seq(7)).unwrap();
    store.put(&[Arc::new(plain_job(1, 1))], &[], Seq(5)).unwrap();
    assert_eq!(store.position(), Seq(7));
}

fn a_page_may_be_filled_in_any_order(store: &impl FinishedStore) {
    let jobs: Vec<_> = (0..150).map(|n| Arc::new(rich_job(n + 1, (n * 77) % 150, 1))).collect();
    for some in jobs.chunks(7) {
        store.put(some, &[], Seq(1)).unwrap();
    }
    check_holds(store, &jobs, 200);
}

fn large_jobs_come_back_as_they_were(store: &impl FinishedStore) {
    let with_message = |n: u64, length: usize| {
        let mut job = rich_job(n, n, 1);
        let message = "x".repeat(length).into();
        let error = JobError { code: "big".into(), message, details: None, retryable: true, attempt: 1 };
        job.extras_mut().error = Some(Arc::new(error));
        Arc::new(job)
    };
    let mut jobs: Vec<_> = (1..100).map(|n| with_message(n, if n % 10 == 0 { 100_000 } else { 2_000 })).collect();
    jobs.push(Arc::new(rich_job(100, 100, ITEMS_MAX)));
    store.put(&jobs[..50], &[], Seq(1)).unwrap();
    store.put(&jobs[50..], &[], Seq(2)).unwrap();
    store.put(&jobs[20..60], &[], Seq(3)).unwrap();
    check_holds(store, &jobs, 110);
}

fn a_cleared_store_is_empty_and_can_be_filled_again(store: &impl FinishedStore) {
    let jobs: Vec<_> = (1..70).map(|n| Arc::new(plain_job(n, n))).collect();
    store.put(&jobs, &[], Seq(9)).unwrap();
    store.clear().unwrap();
    assert_eq!(store.position(), Seq::ZERO);
    check_holds(store, &[], 80);
    store.put(&jobs[..3], &[], Seq(4)).unwrap();
    assert_eq!(store.position(), Seq(4));
    check_holds(store, &jobs[..3], 80);
}

fn places_that_are_emptied_are_empty_and_their_neighbours_stay(store: &impl FinishedStore) {
    let jobs: Vec<_> = (1..200).map(|n| Arc::new(rich_job(n, n, if n == 70 { 3000 } else { 1 }))).collect();
    store.put(&jobs, &[], Seq(9)).unwrap();
    let gone: Vec<_> = (64..128).chain([3, 199, 300]).map(FinishOrdinal).collect();
    store.put(&[], &gone, Seq(10)).unwrap();
    let left: Vec<_> = jobs.iter().filter(|job| !gone.contains(&finish_ordinal(job))).cloned().collect();
    check_holds(store, &left, 210);
    let more = Arc::new(plain_job(200, 200));
    store.put(std::slice::from_ref(&more), &[FinishOrdinal(1)], Seq(11)).unwrap();
    let left: Vec<_> = left[1..].iter().cloned().chain([more]).collect();
    check_holds(store, &left, 210);
    assert_eq!(store.position(), Seq(11));
}

#[test]
fn finished_jobs_in_memory_keep_every_promise() {
    conformance(crate::views::MemoryFinished::default);
}
