//! Submits a tick when something is due. Which jobs are due, the core decides.
//!
//! A tick that ends runs (a timeout, a cancel whose grace is over) waits until the jobs' log lines are durable: they are
//! synced before a job's last event, also when nobody but the server ends it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::command::Command;
use crate::domain::event::Actor;
use crate::domain::time::{Millis, Timestamp};
use crate::engine::{Due, Handle};

/// The longest sleep: a clock that jumps forward is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// The least time between two ticks that found nothing to do yet, and after a refused one.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// A tick may see a moment that comes while the log lines are being synced for it.
const ENDS_SOON: Millis = Millis(100);

/// Ticks until it is dropped or the engine stops. `sync_logs` makes all log lines durable.
pub async fn run<F: Future<Output = ()>>(handle: Handle, clock: Arc<dyn Clock>, sync_logs: impl Fn() -> F) {
    let mut due = handle.next_due();
    loop {
        let Due { first, run_ends } = *due.borrow_and_update();
        match first.map(|at| wait(at, clock.now())) {
            Some(Duration::ZERO) => {
                if run_ends.is_some_and(|at| at <= clock.now().plus(ENDS_SOON)) {
                    sync_logs().await;
                }
                if handle.submit(Command::Tick, Actor::SERVER).await.is_err() {
                    tokio::time::sleep(SLEEP_MAX).await;
                }
            }
            Some(span) => {
                // Whatever ends first: the time, or a change of what is due.
                let _ = tokio::time::timeout(span, due.changed()).await;
            }
            None => {
                if due.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

fn wait(at: Timestamp, now: Timestamp) -> Duration {
    if at <= now {
        return Duration::ZERO;
    }
    Duration::from_millis(at.since(now).0).clamp(SLEEP_MIN, SLEEP_MAX)
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::command::{JoinWorker, NewJob, Start, Submit};
    use crate::domain::id::{Seq, SessionId};
    use crate::domain::job::WorkerPlace;
    use crate::domain::json::Json;
    use crate::domain::queue::Limits;
    use crate::domain::retry::Policy;
    use crate::engine::recovery::recover;
    use crate::engine::{Engine, Parts};
    use crate::log::EventLog;
    use crate::log::memory::MemoryLog;
    use crate::views::MemoryFinished;

    #[test]
    fn what_is_due_does_not_wait_and_what_is_far_is_looked_at_again_each_second() {
        let now = Timestamp::from_ms(1_000_000);
        assert_eq!(wait(now, now), Duration::ZERO);
        assert_eq!(wait(now.plus(Millis(20)), now), Duration::from_millis(20));
        assert_eq!(wait(now.plus(Millis(90_000)), now), SLEEP_MAX);
    }

    const SESSION: SessionId = SessionId(uuid::Uuid::from_u128(7));

    fn engine() -> Handle {
        let log = Box::new(MemoryLog::new());
        let recovered = recover(&log.reader(), |_| None, Arc::new(MemoryFinished::default()), &|_| ()).unwrap();
        let (state, views) = (recovered.state, recovered.views);
        let clock = Arc::new(SystemClock);
        Engine::start(Parts { log, state, views, limits: Limits::default(), clock, seed: 1 }).1
    }

    fn job(start: Start, timeout: Option<Millis>) -> Command {
        let (kind, queue) = ("resize".parse().unwrap(), "default".parse().unwrap());
        let policy = Policy { timeout, max_attempts: 1, ..Policy::default() };
        let job = NewJob { policy, start, ..NewJob::plain(kind, queue, Json::from_checked("{}")) };
        Command::Submit(Submit { jobs: vec![job], idempotency: None, parent: None })
    }

    async fn position_when(handle: &Handle, is_so: impl Fn(&Handle) -> bool) {
        let mut head = handle.feed().head();
        while !is_so(handle) {
            head.changed().await.unwrap();
        }
    }

    #[tokio::test]
    async fn log_lines_are_synced_before_a_run_is_ended_by_time_and_not_before_a_job_that_is_only_due() {
        let handle = engine();
        let synced_at: Arc<Mutex<Vec<Seq>>> = Arc::default();
        let sync = {
            let (handle, synced_at) = (handle.clone(), synced_at.clone());
            move || {
                synced_at.lock().push(handle.views().position());
                std::future::ready(())
            }
        };
        tokio::spawn(run(handle.clone(), Arc::new(SystemClock), sync));
        let soon = SystemClock.now().plus(Millis(20));
        handle.submit(job(Start::At(soon), None), Actor::CLIENT).await.unwrap();
        position_when(&handle, |handle| handle.views().position() == Seq(2)).await;
        assert_eq!(*synced_at.lock(), [], "the job is queued now, and nothing of it can be lost");

        let (name, place) = ("ann".into(), WorkerPlace::Subprocess);
        let join = JoinWorker { session: SESSION, name, kinds: Vec::new(), queues: None, place };
        handle.submit(Command::JoinWorker(join), Actor::SERVER).await.unwrap();
        drop(handle.claim(SESSION, 1).await.unwrap().take());
        handle.submit(job(Start::Now, Some(Millis(150))), Actor::CLIENT).await.unwrap();
        let job = handle.claim(SESSION, 1).await.unwrap().take().remove(0).job;
        let find = |handle: &Handle| handle.views().job(job).unwrap().unwrap();
        position_when(&handle, |handle| find(handle).is_terminal()).await;
        let ended = find(&handle).seq;
        assert!(matches!(synced_at.lock()[..], [at] if at < ended), "{:?} and then {ended}", synced_at.lock());
    }
}
