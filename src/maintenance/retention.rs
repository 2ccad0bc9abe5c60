//! Looks now and then whether finished jobs are to be forgotten. Which of them, the core decides, a few hundred at a time:
//! other commands come in between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::command::{Answer, Command, Forget};
use crate::domain::event::Actor;
use crate::domain::retention::{Round, Rules};
use crate::domain::time::Millis;
use crate::engine::{Handle, SubmitError};
use crate::metrics;

/// How long is waited when the writer has too much to do.
const OVERLOADED_WAIT: Duration = Duration::from_secs(1);
/// It is told when more than so many stay, and more than a tenth of all, although their time is up.
const STAYED_WORTH_A_WORD: u64 = 1_000;

/// What is kept, and how often is looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub rules: Arc<Rules>,
    pub every: Millis,
}

/// Looks at once, and then every so often, until it is dropped or the engine stops. A new plan is looked at at once.
pub async fn run(handle: Handle, mut plan: watch::Receiver<Plan>) {
    loop {
        let Plan { rules, every } = plan.borrow_and_update().clone();
        if let Err(error) = round(&handle, rules).await {
            tracing::warn!(%error, "finished jobs were not forgotten; the next look tries again");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(every.0)) => {}
            Ok(()) = plan.changed() => {}
        }
    }
}

async fn round(handle: &Handle, rules: Arc<Rules>) -> Result<(), SubmitError> {
    let (mut place, mut count) = (Some(Round::default()), 0);
    while let Some(round) = place {
        let forget = Forget { rules: rules.clone(), round: round.clone(), earliest: handle.log().earliest() };
        match handle.submit(Command::Forget(forget), Actor::SERVER).await {
            Ok(receipt) => {
                let Answer::Forgotten { jobs, stayed, next } = receipt.answer else {
                    unreachable!("a round of forgetting answers with what went")
                };
                count += jobs.len() as u64;
                metrics::note_forgotten(jobs.len() as u64);
                if next.is_none() {
                    tell(handle, count, stayed);
                }
                place = next;
            }
            Err(SubmitError::Overloaded) => {
                tokio::time::sleep(OVERLOADED_WAIT).await;
                place = Some(round);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn tell(handle: &Handle, count: u64, stayed: u64) {
    if count > 0 {
        tracing::info!(jobs = count, "finished jobs were forgotten");
    }
    let counts = handle.views().job_counts();
    let finished = counts.completed + counts.failed + counts.cancelled;
    if stayed >= STAYED_WORTH_A_WORD && stayed > finished / 10 {
        tracing::warn!(
            jobs = stayed,
            "finished jobs whose time is up stay: others wait for them, their parents are kept, or the log has what they carried"
        );
    }
}
