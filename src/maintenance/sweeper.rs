//! Removes what forgotten and purged jobs left on the disk, after the events that say so are durable. What a crash left
//! in between is found at the next start. Decides about no job: the views say whose traces are to stay.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::domain::event::Event;
use crate::domain::id::JobId;
use crate::engine::Handle;
use crate::feed::Page;
use crate::sessions::traces::Traces;
use crate::views::Views;

/// Hears who is forgotten or purged.
pub struct Sweeper {
    views: Arc<Views>,
    traces: Arc<Traces>,
    pages: Receiver<Arc<Page>>,
}

impl Sweeper {
    /// Listens from now on: to be made before anybody can ask for anything.
    pub fn new(handle: &Handle, traces: Arc<Traces>) -> Sweeper {
        Sweeper { views: handle.views().clone(), traces, pages: handle.feed().subscribe() }
    }

    /// Sweeps once through everything, then removes what is announced, until it is dropped or the engine stops.
    pub async fn run(mut self) {
        self.sweep().await;
        loop {
            match self.pages.recv().await {
                Ok(page) => {
                    let jobs = gone(&page);
                    if !jobs.is_empty() {
                        self.remove(jobs).await;
                    }
                }
                // Some announcements were missed.
                Err(RecvError::Lagged(_)) => self.sweep().await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn sweep(&self) {
        let (views, traces) = (self.views.clone(), self.traces.clone());
        self.blocking(move || match traces.jobs() {
            Ok(jobs) => remove_all(&traces, jobs.into_iter().filter(|&job| !views.keeps_traces_of(job))),
            Err(error) => tracing::warn!(%error, "could not look for what forgotten jobs left; the next start does"),
        })
        .await;
    }

    async fn remove(&self, jobs: Vec<JobId>) {
        let traces = self.traces.clone();
        self.blocking(move || remove_all(&traces, jobs.into_iter())).await;
    }

    async fn blocking(&self, work: impl FnOnce() + Send + 'static) {
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

fn gone(page: &Page) -> Vec<JobId> {
    let purged = page.records.iter().filter_map(|record| match &record.event {
        Event::JobPurged(data) => Some(data.job),
        _ => None,
    });
    purged.chain(page.forgotten.iter().map(|stub| stub.id)).collect()
}

fn remove_all(traces: &Traces, jobs: impl Iterator<Item = JobId>) {
    for job in jobs {
        if let Err(error) = traces.forget(job) {
            tracing::warn!(%job, %error, "what the job left could not be removed; the next start tries again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;

    use parking_lot::Mutex;
    use tokio::sync::watch;

    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::command::{Answer, Command, NewJob, Submit};
    use crate::domain::event::Actor;
    use crate::domain::id::Ordinal;
    use crate::domain::json::Json;
    use crate::domain::queue::Limits;
    use crate::domain::time::Timestamp;
    use crate::engine::recovery::recover;
    use crate::engine::{Engine, Parts};
    use crate::log::EventLog;
    use crate::log::memory::MemoryLog;
    use crate::sessions::traces::JobTraces;
    use crate::views::MemoryFinished;

    struct Shelf {
        jobs: Mutex<BTreeSet<JobId>>,
        left: watch::Sender<usize>,
    }

    impl JobTraces for Shelf {
        fn forget(&self, job: JobId) -> io::Result<()> {
            let mut jobs = self.jobs.lock();
            jobs.remove(&job);
            self.left.send_replace(jobs.len());
            Ok(())
        }

        fn purge(&self, job: JobId) -> io::Result<()> {
            self.forget(job)
        }

        fn jobs(&self) -> io::Result<Vec<JobId>> {
            Ok(self.jobs.lock().iter().copied().collect())
        }
    }

    #[tokio::test]
    async fn what_a_crash_left_is_swept_at_the_start_and_a_purged_job_leaves_nothing() {
        let log = Box::new(MemoryLog::new());
        let recovered = recover(&log.reader(), |_| None, Arc::new(MemoryFinished::default()), &|_| ()).unwrap();
        let (state, views, clock) = (recovered.state, recovered.views, Arc::new(SystemClock));
        let (_, handle) = Engine::start(Parts { log, state, views, limits: Limits::default(), clock, seed: 1 });
        let (kind, queue) = ("resize".parse().unwrap(), "default".parse().unwrap());
        let job = NewJob::plain(kind, queue, Json::from_checked("{}"));
        let submit = Command::Submit(Submit { jobs: vec![job; 2], idempotency: None, parent: None });
        let receipt = handle.submit(submit, Actor::CLIENT).await.unwrap();
        let Answer::Submitted { jobs: known, .. } = receipt.answer else { panic!("they are submitted") };
        let at = Timestamp::from_ms(1_790_000_000_000);
        let (forgotten, lost) = (JobId::new(at, Ordinal(0), 0), JobId::new(at, Ordinal(7), 0));
        let jobs = Mutex::new(BTreeSet::from([known[0], known[1], forgotten, lost]));
        let shelf = Arc::new(Shelf { jobs, left: watch::Sender::new(4) });
        let mut left = shelf.left.subscribe();
        let sweeper = Sweeper::new(&handle, Arc::new(Traces::new([shelf.clone() as Arc<dyn JobTraces>])));
        tokio::spawn(sweeper.run());
        left.wait_for(|left| *left == 3).await.unwrap();
        assert!(!shelf.jobs.lock().contains(&forgotten));
        assert!(shelf.jobs.lock().contains(&lost), "the log may have lost a job whose files are all that is left");
        handle.submit(Command::Cancel { job: known[0], children: false }, Actor::CLIENT).await.unwrap();
        handle.submit(Command::Purge { job: known[0] }, Actor::CLIENT).await.unwrap();
        left.wait_for(|left| *left == 2).await.unwrap();
        assert_eq!(*shelf.jobs.lock(), BTreeSet::from([known[1], lost]));
    }
}
