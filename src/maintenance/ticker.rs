//! Submits a tick when something is due. Which jobs are due, the core decides.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::command::Command;
use crate::domain::event::Actor;
use crate::domain::time::Timestamp;
use crate::engine::Handle;

/// The longest sleep: a clock that jumps forward is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// The least time between two ticks that found nothing to do yet, and after a refused one.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// Ticks until it is dropped or the engine stops.
pub async fn run(handle: Handle, clock: Arc<dyn Clock>) {
    let mut due = handle.next_due();
    loop {
        let next = *due.borrow_and_update();
        match next.map(|at| wait(at, clock.now())) {
            Some(Duration::ZERO) => {
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
    use super::*;
    use crate::domain::time::Millis;

    #[test]
    fn what_is_due_does_not_wait_and_what_is_far_is_looked_at_again_each_second() {
        let now = Timestamp::from_ms(1_000_000);
        assert_eq!(wait(now, now), Duration::ZERO);
        assert_eq!(wait(now.plus(Millis(20)), now), Duration::from_millis(20));
        assert_eq!(wait(now.plus(Millis(90_000)), now), SLEEP_MAX);
    }
}
