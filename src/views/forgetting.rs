//! What the views promise of jobs that are forgotten, tried: they leave nothing behind, and who reads meanwhile meets no
//! damage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::domain::event::{Actor, JobsForgotten, Record};
use crate::domain::id::{FinishOrdinal, JobId, Seq};
use crate::domain::job::{Job, StateName};
use crate::feed::Page;
use crate::views::query::{JobFilter, JobQuery};
use crate::views::testing::{New, World, stub_of};
use crate::views::{FinishedStore, Head, MemoryFinished, ViewError};

#[test]
fn forgotten_jobs_leave_no_trace_in_memory() {
    let mut world = World::new();
    let root = world.submit(New { tags: vec!["red".into()], ..New::default() });
    let children: Vec<_> = (0..200)
        .map(|_| world.submit(New { parent: Some(root), tags: vec!["rare".into()], ..New::default() }))
        .collect();
    for &id in children.iter().chain([&root]) {
        world.finish(id, StateName::Completed);
    }
    world.commit();
    world.views.flush().expect("stores");
    for &id in [root].iter().chain(&children) {
        world.forget(id);
    }
    let index = world.views.index.read();
    assert!(index.blocks.is_empty() && index.trees.is_empty() && index.pending.all().is_empty());
    assert!(index.kinds.is_empty() && index.queues.is_empty(), "names may be made up for ever");
    drop(index);
    world.views.flush().expect("stores");
    let places: Vec<_> = (1..=201).map(FinishOrdinal).collect();
    assert!(world.store.heads(&places).expect("reads").iter().all(Option::is_none));
}

/// A store in which the n-th reading of heads is overtaken: somebody else takes them out in between.
struct Overtaken {
    inner: MemoryFinished,
    forget: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    is_condemned: AtomicBool,
}

impl FinishedStore for Overtaken {
    fn position(&self) -> Seq {
        self.inner.position()
    }

    fn put(&self, jobs: &[Arc<Job>], gone: &[FinishOrdinal], position: Seq) -> Result<(), ViewError> {
        self.inner.put(jobs, gone, position)
    }

    fn clear(&self) -> Result<(), ViewError> {
        self.inner.clear()
    }

    fn get(&self, place: FinishOrdinal) -> Result<Option<Arc<Job>>, ViewError> {
        let overtake = self.forget.lock().take();
        overtake.into_iter().for_each(|forget| forget());
        self.inner.get(place)
    }

    fn heads(&self, places: &[FinishOrdinal]) -> Result<Vec<Option<Head>>, ViewError> {
        let overtake = self.forget.lock().take();
        overtake.into_iter().for_each(|forget| forget());
        self.inner.heads(places)
    }

    fn condemn(&self) {
        self.is_condemned.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_reader_that_is_overtaken_by_a_forgetting_leaves_the_job_out_and_condemns_nothing() {
    let store = Arc::new(Overtaken {
        inner: MemoryFinished::default(),
        forget: Mutex::default(),
        is_condemned: Default::default(),
    });
    let mut world = World::on(store.clone());
    let ids: Vec<_> = (0..3).map(|_| world.submit(New::default())).collect();
    ids.iter().for_each(|&id| world.finish(id, StateName::Completed));
    world.commit();
    world.views.flush().expect("stores");
    let world = Arc::new(Mutex::new(world));
    let page = |id: JobId| {
        let world = world.lock();
        let stub = Arc::new(stub_of(world.job(id)));
        let event = JobsForgotten { jobs: vec![id] };
        let seq = Seq(world.views.position().0 + 1);
        let (at, actor) = (world.now(), Actor::SERVER);
        let record = Record { seq, at, previous: None, actor, continues: false, event: event.into() };
        Page { records: Arc::new([record]), jobs: Vec::new(), before: Vec::new(), forgotten: vec![stub] }
    };
    let views = Arc::new(world.lock().rebuilt());
    let overtaken = |page: Page| {
        let views = views.clone();
        *store.forget.lock() = Some(Box::new(move || {
            views.apply(&page).expect("shows it");
            views.flush().expect("stores");
        }));
    };
    overtaken(page(ids[0]));
    let list = views.list(&JobQuery { filter: JobFilter::default(), before: None, limit: 9 }).expect("reads");
    assert_eq!(list.jobs.iter().map(|row| row.id).collect::<Vec<_>>(), [ids[2], ids[1]]);
    overtaken(page(ids[1]));
    assert_eq!(views.job(ids[1]).expect("reads"), None);
    assert!(!store.is_condemned.load(Ordering::Relaxed));
}
