//! What goes on side by side in a session: nothing waits for a commit that it does not depend on.

use futures::FutureExt;
use serde_json::json;
use tokio::sync::mpsc;

use crate::domain::event::QueuedCause;
use crate::domain::job::StateName;
use crate::domain::time::Millis;
use crate::sessions::calls::Call;
use crate::sessions::drive::{DriveEnd, Heard, Source, drive};
use crate::sessions::frames::{JobCall, ServerFrame, WorkerFrame};
use crate::sessions::session::Session;
use crate::sessions::testing::World;
use crate::sessions::{End, tests};
use crate::views::row::WorkerState;

/// A worker's frames, said by a test.
struct Said(mpsc::Receiver<Vec<Heard>>);

impl Source for Said {
    async fn next(&mut self, _: &Session) -> Option<Vec<Heard>> {
        self.0.recv().await
    }
}

#[tokio::test]
async fn a_worker_that_ends_a_run_keeps_its_turn_and_does_not_wait_for_the_commit_of_the_end() {
    let world = World::start().await;
    let (ours, other) = (tests::remote(&world, 1).await, tests::remote(&world, 1).await);
    world.submit(tests::job(), tests::unchanged).await;
    let first = tests::one(&ours).await;
    world.gate.shut();
    let lease = tests::lease(&first);
    let mut ending = std::pin::pin!(ours.end_run(&lease, End::Complete(None)));
    assert!((&mut ending).now_or_never().is_none(), "nothing is durable");
    // Both claims are there before the end is durable, ours first.
    let (mut our_next, mut their_next) = (std::pin::pin!(tests::one(&ours)), std::pin::pin!(tests::one(&other)));
    assert!((&mut our_next).now_or_never().is_none() && (&mut their_next).now_or_never().is_none());
    let submitting = world.submit(tests::job(), tests::unchanged);
    world.gate.open();
    let (ended, second, granted) = tokio::join!(ending, submitting, our_next);
    ended.expect("the end is taken");
    assert_eq!(granted.job, second);
    assert_eq!(ours.held_jobs(), [second]);
    assert_eq!(world.job(first.job).state_name(), StateName::Completed);
}

#[tokio::test]
async fn a_job_that_its_worker_gives_back_and_gets_again_is_held() {
    let world = World::start().await;
    let session = tests::remote(&world, 1).await;
    let job = world.submit(tests::job(), tests::unchanged).await;
    let first = tests::one(&session).await;
    let lease = tests::lease(&first);
    let release = session.end_run(&lease, End::Release(QueuedCause::Released));
    let (released, second) = tokio::join!(release, tests::one(&session));
    released.expect("the release is taken");
    assert_eq!((second.job, session.live_leases()), (job, vec![(job, second.token.clone())]));
    session.end_run(&tests::lease(&second), End::Complete(None)).await.expect("the lease holds");
    assert_eq!(session.held_jobs(), []);
}

#[tokio::test]
async fn a_worker_is_told_what_it_must_know_while_what_it_said_is_made_durable() {
    let world = World::start().await;
    let session = tests::remote(&world, 2).await;
    world.submit(tests::job(), |job| job.policy.grace = Millis(7)).await;
    let granted = tests::one(&session).await;
    let ((say, said), (outbox, mut told)) = (mpsc::channel(1), crate::sessions::outbox::outbox());
    let mut source = Said(said);
    let driven = async { drive(&session, &mut source, &outbox).await };
    let scene = async {
        world.gate.shut();
        let call = Call::Checkpoint(crate::domain::json::Json::of(&json!({"at": 1})));
        let frame = WorkerFrame::Job(JobCall { lease: tests::lease(&granted), call });
        say.send(vec![Ok(frame)]).await.expect("somebody listens");
        world.gate.reached().await;
        session.set_mode(WorkerState::Quiet);
        assert_eq!(told.recv().await, Some(ServerFrame::Quiet));
        world.gate.open();
        drop(say);
    };
    let (end, ()) = tokio::join!(driven, scene);
    assert!(matches!(end, DriveEnd::Silent), "{end:?}");
    assert!(world.types_of(granted.job).contains(&"job.checkpointed"), "what was heard is carried out");
}
