//! What the engine owes its callers when it has more to do than it can, or cannot write: tests on real threads.

use std::pin::pin;
use std::sync::Arc;

use futures::future::join_all;

use crate::clock::SystemClock;
use crate::domain::command::{Command, NewJob, Submit};
use crate::domain::event::Actor;
use crate::domain::queue::Limits;
use crate::domain::testing::a_job;
use crate::engine::handle::WAITING_MAX;
use crate::engine::recovery::recover;
use crate::engine::{Engine, Handle, Parts, Receipt, SubmitError};
use crate::log::EventLog;
use crate::log::memory::{MemoryLog, MemoryStore};
use crate::sessions::testing;
use crate::views::MemoryFinished;

async fn submit(handle: &Handle, job: NewJob) -> Result<Receipt, SubmitError> {
    let submit = Submit { jobs: vec![job], idempotency: None, parent: None };
    handle.submit(Command::Submit(submit), Actor::CLIENT).await
}

/// An engine on a log in memory that can be broken.
fn engine(store: &Arc<MemoryStore>) -> (Engine, Handle) {
    let log = Box::new(MemoryLog::open(store.clone()));
    let recovered = recover(&log.reader(), |_| None, Arc::new(MemoryFinished::default()), &|_| ()).unwrap();
    Engine::start(Parts {
        log,
        state: recovered.state,
        views: recovered.views,
        limits: Limits::default(),
        clock: Arc::new(SystemClock),
        seed: 1,
    })
}

#[tokio::test]
async fn when_too_many_commands_wait_one_more_is_refused_at_once_and_those_that_wait_are_done() {
    /// More than the engine takes in hand before it waits for the log.
    const SURPLUS: usize = WAITING_MAX / 2;
    let world = testing::World::start().await;
    world.gate.shut();
    let asked = join_all((0..WAITING_MAX + SURPLUS).map(|_| submit(&world.handle, a_job())));
    let mut asked = pin!(asked);
    // All of them are asked for, on this one thread, before the gate is looked at.
    tokio::select! {
        biased;
        _ = &mut asked => panic!("nothing is durable"),
        () = world.gate.reached() => world.gate.open(),
    }
    let outcomes = asked.await;
    let (done, refused): (Vec<_>, Vec<_>) = outcomes.iter().partition(|outcome| outcome.is_ok());
    assert!(refused.iter().all(|outcome| matches!(outcome, Err(SubmitError::Overloaded))));
    assert!(!refused.is_empty(), "the queue of commands has a limit");
    // Ticks of the test's own clock wait there too.
    assert!(done.len() >= WAITING_MAX - 100, "only {} of {WAITING_MAX} that may wait were done", done.len());
    assert!(submit(&world.handle, a_job()).await.is_ok(), "there is room again");
}

#[tokio::test]
async fn a_refusal_that_rests_on_what_never_became_durable_is_not_given() {
    let store = Arc::new(MemoryStore::default());
    let (_engine, handle) = engine(&store);
    store.break_writes();
    // The first holds the key, and all others are refused because of it; but the first is never written (E2).
    let with_key = || NewJob { unique_key: Some("k".into()), ..a_job() };
    for outcome in join_all((0..200).map(|_| submit(&handle, with_key()))).await {
        assert!(matches!(outcome, Err(SubmitError::Halted { .. })), "{outcome:?}");
    }
}
