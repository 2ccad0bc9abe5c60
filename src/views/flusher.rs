//! Takes finished jobs to the store, behind the log, in the background: a page's worth within half a second, a single one
//! after a while, many at once. What is stored is never ahead of what is durable, since only durable pages are shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::views::Views;
use crate::views::finished::ViewError;

/// How often it is looked whether a page's worth of finished jobs is there.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A page's worth: fewer would be written again with the next.
const JOBS_WORTH_A_WRITE: usize = 64;
/// After so many looks even a single job is stored. Nothing is lost until then: the log has it.
const LOOKS_MAX: u32 = 20;
/// How many events the store's position may lag behind when no job ends: what a start folds again.
const POSITION_LAG_MAX: u64 = 50_000;
/// The most stored jobs that are dropped from memory under one lock.
const JOBS_A_SLICE: usize = 512;

/// The thread that stores finished jobs.
pub struct Flusher {
    views: Arc<Views>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flusher {
    /// Starts the thread.
    pub fn start(views: Arc<Views>) -> std::io::Result<Flusher> {
        let stop = Arc::new(AtomicBool::new(false));
        let (flushed, stopped) = (views.clone(), stop.clone());
        let thread = std::thread::Builder::new().name("views-flusher".into()).spawn(move || {
            let mut looks = 0;
            while !stopped.load(Ordering::Acquire) {
                flushed.await_due(LOOK_EVERY);
                looks += 1;
                if !flushed.is_worth_a_write(looks >= LOOKS_MAX) {
                    continue;
                }
                looks = 0;
                if let Err(error) = flushed.flush().and_then(|()| flushed.finished.tidy()) {
                    // The jobs stay where they are. Should it go on, `apply` fails when their bound is reached.
                    tracing::error!(%error, source = ?error.source, "finished jobs could not be stored; trying again");
                }
            }
        })?;
        Ok(Flusher { views, stop, thread })
    }

    /// Ends the thread and stores what is left.
    pub fn stop(self) -> Result<(), ViewError> {
        self.stop.store(true, Ordering::Release);
        self.views.wake_flusher();
        self.thread.join().expect("the flusher does not panic");
        self.views.flush()
    }
}

impl Views {
    /// Stores all finished jobs that wait for it, and the position.
    pub fn flush(&self) -> Result<(), ViewError> {
        let _one_at_a_time = self.storing.lock();
        let index = self.index.read();
        let (jobs, gone, position) = (index.pending.all(), index.pending.gone(), index.seq);
        drop(index);
        if jobs.is_empty() && gone.is_empty() && position <= self.finished.position() {
            return Ok(());
        }
        self.finished.put(&jobs, &gone, position)?;
        for emptied in gone.chunks(JOBS_A_SLICE) {
            self.index.write().pending.forget_emptied(emptied);
        }
        for stored in jobs.chunks(JOBS_A_SLICE) {
            let mut index = self.index.write();
            stored.iter().for_each(|job| index.pending.forget_stored(job));
        }
        Ok(())
    }

    pub(super) fn wake_flusher(&self) {
        *self.due.0.lock() = true;
        self.due.1.notify_one();
    }

    fn await_due(&self, at_most: Duration) {
        let mut is_due = self.due.0.lock();
        if !*is_due {
            self.due.1.wait_for(&mut is_due, at_most);
        }
        *is_due = false;
    }

    fn is_worth_a_write(&self, is_late: bool) -> bool {
        let index = self.index.read();
        let (waiting, position) = (index.pending.len(), index.seq);
        drop(index);
        let lag = position.0.saturating_sub(self.finished.position().0);
        waiting >= if is_late { 1 } else { JOBS_WORTH_A_WRITE } || lag >= POSITION_LAG_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{FinishOrdinal, Seq};
    use crate::domain::job::{Job, StateName};
    use crate::views::flusher::Flusher;
    use crate::views::query::{JobFilter, JobQuery};
    use crate::views::testing::no_parts;
    use crate::views::testing::{New, World};
    use crate::views::{FinishedStore, Head, MemoryFinished, PENDING_JOBS_MAX, ViewError, finish_ordinal};

    #[test]
    fn with_too_many_waiting_the_writer_stores_them_itself() {
        let mut world = World::new();
        for _ in 0..PENDING_JOBS_MAX {
            let id = world.submit(New::default());
            world.finish(id, StateName::Completed);
        }
        assert_eq!(world.store.position(), Seq::ZERO);
        world.commit();
        assert_eq!(world.store.position(), world.views.position());
        assert_eq!(world.views.index.read().pending.len(), 0);
    }

    #[test]
    fn a_retried_job_does_not_come_back_as_finished() {
        let mut world = World::new();
        let id = world.submit(New::default());
        for state in [StateName::Failed, StateName::Cancelled, StateName::Completed] {
            world.finish(id, state);
            world.commit();
            world.requeue(id);
            world.commit();
            assert!(world.views.index.read().pending.all().is_empty());
            assert_eq!(world.views.row(id).expect("reads").map(|row| row.state), Some(StateName::Queued));
            world.finish(id, state);
            world.commit();
            world.views.flush().expect("stores");
            let place = finish_ordinal(world.job(id));
            assert!(world.store.get(place).expect("reads").is_some());
            world.requeue(id);
            world.commit();
            world.views.flush().expect("stores");
            assert_eq!(world.views.row(id).expect("reads").map(|row| row.state), Some(StateName::Queued));
            assert!(world.store.get(place).expect("reads").is_none(), "its former life takes no room");
            assert_eq!(world.views.index.read().pending.len(), 0);
        }
    }

    #[test]
    fn the_flusher_stores_what_is_left_when_it_stops() {
        let mut world = World::new();
        let id = world.submit(New::default());
        world.finish(id, StateName::Completed);
        world.commit();
        let World { views, store, jobs, .. } = world;
        let views = Arc::new(views);
        Flusher::start(views.clone()).expect("a thread").stop().expect("stores");
        assert_eq!(store.position(), views.position());
        assert_eq!(store.get(FinishOrdinal(1)).expect("reads").as_ref(), jobs.first());
    }

    /// A store whose disk is full.
    struct FullStore;

    impl FinishedStore for FullStore {
        fn position(&self) -> Seq {
            Seq::ZERO
        }

        fn put(&self, _: &[Arc<Job>], _: &[FinishOrdinal], _: Seq) -> Result<(), ViewError> {
            Err(ViewError::new("written", "the disk is full"))
        }

        fn clear(&self) -> Result<(), ViewError> {
            Ok(())
        }

        fn get(&self, _: FinishOrdinal) -> Result<Option<Arc<Job>>, ViewError> {
            Ok(None)
        }

        fn heads(&self, places: &[FinishOrdinal]) -> Result<Vec<Option<Head>>, ViewError> {
            Ok(vec![None; places.len()])
        }

        fn condemn(&self) {}
    }

    #[test]
    fn a_store_that_takes_nothing_is_an_error_only_when_the_bound_is_reached_and_all_is_shown_still() {
        let mut world = World::on(Arc::new(FullStore));
        let id = world.submit(New::default());
        world.finish(id, StateName::Completed);
        world.commit();
        assert!(world.views.flush().is_err());
        assert_eq!(world.views.row(id).expect("reads").map(|row| row.state), Some(StateName::Completed));
    }

    #[test]
    fn a_finished_job_that_the_store_lacks_is_an_error_and_not_a_gap() {
        let mut world = World::new();
        let id = world.submit(New::default());
        world.finish(id, StateName::Completed);
        world.commit();
        world.views.flush().expect("stores");
        let jobs: Vec<_> = world.jobs.iter().map(|job| Arc::new(crate::views::testing::stub_of(job))).collect();
        let parts = crate::views::Parts { stubs: Box::new(jobs.iter()), ..no_parts() };
        let views = Views::from_parts(parts, Arc::new(MemoryFinished::default()), world.log.clone());
        let query = JobQuery { filter: JobFilter::default(), before: None, limit: 9 };
        assert!(views.list(&query).is_err());
    }
}
