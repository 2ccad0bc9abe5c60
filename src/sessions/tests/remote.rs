//! Workers elsewhere, over the real engine: silence, broken connections, coming back, and what two of them mean at once.
//! Spans are fractions of a second, and long where nothing may happen; a test waits for what must come.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::event::{Event, LossCause, WorkerLeftCause};
use crate::domain::id::{JobId, LeaseToken, SessionId};
use crate::domain::job::{Job, StateName};
use crate::domain::time::Millis;
use crate::engine::{Granted, SubmitError};
use crate::sessions::frames::{Hello, LeaseRef, Resume, ServerFrame};
use crate::sessions::registry::Settings;
use crate::sessions::resume::Connected;
use crate::sessions::testing::World;
use crate::sessions::tests::{job, lease, one, unchanged};
use crate::sessions::{End, Joining, Session};
use crate::views::row::WorkerState;

const LONG: Millis = Millis(600_000);
const SHORT: Millis = Millis(150);

async fn world(lease: Millis, grace: Millis) -> World {
    World::with(Settings { lease, ping: Millis(lease.0 / 3), grace }).await
}

fn hello(resume: Option<Resume>) -> Hello {
    Hello { name: Some("ann".into()), kinds: None, queues: None, resume }
}

fn resume(session: SessionId, leases: &[&Granted]) -> Option<Resume> {
    Some(Resume { session, leases: leases.iter().map(|granted| lease(granted)).collect() })
}

async fn connect(world: &World, resume: Option<Resume>) -> Connected {
    world.sessions.connect(hello(resume)).await.expect("the engine runs")
}

/// A connected worker that holds so many jobs.
async fn holding(world: &World, count: usize) -> (Connected, Vec<Granted>) {
    for _ in 0..count {
        world.submit(job(), unchanged).await;
    }
    let connected = connect(world, None).await;
    connected.session.set_slots(count);
    let mut held = Vec::new();
    while held.len() < count {
        held.extend(connected.session.next_jobs().await.unwrap());
    }
    (connected, held)
}

/// A worker that calls and holds so many jobs.
async fn calling(world: &World, count: usize) -> (Arc<Session>, Vec<Granted>) {
    for _ in 0..count {
        world.submit(job(), unchanged).await;
    }
    let place = crate::domain::job::WorkerPlace::Remote;
    let joining = Joining { name: "bob".into(), kinds: Vec::new(), queues: None, place };
    let session = world.sessions.join(joining).await.unwrap();
    session.set_slots(count);
    let mut held = Vec::new();
    while held.len() < count {
        let claimed = session.claim(count, Duration::from_secs(50)).await.unwrap().expect("jobs wait");
        held.extend_from_slice(claimed.granted());
        claimed.hand_over();
    }
    (session, held)
}

async fn until_lost(world: &World, id: JobId, cause: LossCause) -> Arc<Job> {
    let job = world.until(id, "a loss", |job| job.lost_count == 1 && job.state_name() == StateName::Queued).await;
    let losses: Vec<_> = world.records_of(id).into_iter().filter_map(|record| loss(&record.event)).collect();
    assert_eq!(losses, [cause]);
    assert_eq!((job.attempt, job.failures, job.started_at()), (1, 0, None));
    job
}

fn loss(event: &Event) -> Option<LossCause> {
    match event {
        Event::JobAttemptLost(lost) => Some(lost.cause),
        _ => None,
    }
}

fn is_running(world: &World, granted: &Granted) -> bool {
    world.job(granted.job).run().is_some_and(|run| run.lease.token == granted.token.hash())
}

#[tokio::test]
async fn a_connection_that_breaks_loses_its_jobs_after_the_grace() {
    let world = world(LONG, SHORT).await;
    let (connected, held) = holding(&world, 2).await;
    let session = connected.session.id();
    drop(connected);
    for granted in held {
        until_lost(&world, granted.job, LossCause::ConnectionLost).await;
    }
    assert!(world.sessions.get(session).is_none() && world.handle.views().worker(session).is_none());
}

#[tokio::test]
async fn without_a_grace_they_are_lost_at_once() {
    let world = world(LONG, Millis(0)).await;
    let (connected, held) = holding(&world, 1).await;
    drop(connected);
    until_lost(&world, held[0].job, LossCause::ConnectionLost).await;
}

#[tokio::test]
async fn a_grace_that_is_longer_than_a_lease_is_borne_to_its_end() {
    let world = world(SHORT, LONG).await;
    let (connected, held) = holding(&world, 1).await;
    let session = connected.session.id();
    drop(connected);
    let (calling, others) = calling(&world, 1).await;
    // By now a lease that nobody bore would have ended.
    until_lost(&world, others[0].job, LossCause::LeaseExpired).await;
    drop(calling);
    let back = connect(&world, resume(session, &[&held[0]])).await;
    assert_eq!((back.session.id(), back.lost), (session, vec![]));
    // With a connection its silence counts again.
    until_lost(&world, held[0].job, LossCause::LeaseExpired).await;
}

#[tokio::test]
async fn a_worker_that_comes_back_in_time_goes_on_in_its_session() {
    let world = world(LONG, LONG).await;
    let (connected, held) = holding(&world, 2).await;
    let session = connected.session.id();
    drop(connected);
    let back = connect(&world, resume(session, &[&held[0], &held[1]])).await;
    assert_eq!((back.session.id(), back.lost), (session, vec![]));
    for granted in &held {
        back.session.end_run(&lease(granted), End::Complete(None)).await.unwrap();
        let job = world.until_ended(granted.job).await;
        assert_eq!((job.attempt, job.lost_count), (1, 0));
    }
}

#[tokio::test]
async fn what_a_worker_that_is_back_does_not_name_is_lost() {
    let world = world(LONG, LONG).await;
    let (connected, held) = holding(&world, 2).await;
    let session = connected.session.id();
    drop(connected);
    let back = connect(&world, resume(session, &[&held[0]])).await;
    assert_eq!((back.session.id(), back.session.held_jobs()), (session, vec![held[0].job]));
    until_lost(&world, held[1].job, LossCause::ConnectionLost).await;
    assert!(is_running(&world, &held[0]));
}

#[tokio::test]
async fn a_worker_that_comes_back_too_late_gets_a_new_session_and_hears_what_it_lost() {
    let world = world(LONG, SHORT).await;
    let (connected, held) = holding(&world, 1).await;
    let session = connected.session.id();
    drop(connected);
    until_lost(&world, held[0].job, LossCause::ConnectionLost).await;
    let back = connect(&world, resume(session, &[&held[0]])).await;
    assert_ne!(back.session.id(), session);
    assert_eq!(back.lost, [held[0].job]);
    let late = back.session.end_run(&lease(&held[0]), End::Complete(None)).await;
    assert!(matches!(late, Err(SubmitError::Refused(refusal)) if refusal.code() == "lease_lost"));
    assert_eq!(world.types_of(held[0].job).last(), Some(&"job.late_result"));
}

#[tokio::test]
async fn a_worker_that_takes_other_kinds_now_gets_a_new_session_and_keeps_its_leases() {
    let world = world(LONG, LONG).await;
    let (connected, held) = holding(&world, 1).await;
    let session = connected.session.id();
    drop(connected);
    let kinds = Some(vec!["other".parse().unwrap()]);
    let hello = Hello { kinds, ..hello(resume(session, &[&held[0]])) };
    let back = world.sessions.connect(hello).await.unwrap();
    assert_ne!(back.session.id(), session);
    assert_eq!((back.lost, back.session.held_jobs()), (vec![], vec![held[0].job]));
    back.session.end_run(&lease(&held[0]), End::Complete(None)).await.unwrap();
    assert_eq!(world.until_ended(held[0].job).await.lost_count, 0);
}

#[tokio::test]
async fn a_stranger_without_a_token_resumes_nothing() {
    let world = world(LONG, LONG).await;
    let (connected, held) = holding(&world, 1).await;
    let session = connected.session.id();
    let wrong = Granted { token: LeaseToken::new("guessed"), ..held[0].clone() };
    for named in [&[][..], &[&wrong][..]] {
        let stranger = connect(&world, resume(session, named)).await;
        assert_ne!(stranger.session.id(), session);
        assert_eq!(stranger.lost.len(), named.len());
    }
    assert_eq!(connected.session.held_jobs(), [held[0].job]);
    assert!(is_running(&world, &held[0]));
}

#[tokio::test]
async fn a_worker_takes_over_from_its_connection_that_only_looks_alive() {
    let world = world(LONG, LONG).await;
    let (mut half_open, held) = holding(&world, 1).await;
    let session = half_open.session.id();
    let (back, ()) = tokio::join!(connect(&world, resume(session, &[&held[0]])), async {
        half_open.attachment.replaced().await;
        drop(half_open);
    });
    assert_eq!((back.session.id(), back.lost), (session, vec![]));
    back.session.end_run(&lease(&held[0]), End::Complete(None)).await.unwrap();
    assert_eq!(world.until_ended(held[0].job).await.lost_count, 0);
    assert!(world.sessions.get(session).is_some(), "the end of the old connection is no end of the session");
}

#[tokio::test]
async fn a_worker_that_is_back_is_told_again_what_it_may_have_missed() {
    let world = world(LONG, LONG).await;
    let (connected, held) = holding(&world, 1).await;
    let session = connected.session.id();
    world.cancel(held[0].job).await;
    connected.session.news().await;
    assert!(matches!(connected.session.notices()[..], [ServerFrame::Cancel { .. }]));
    connected.session.set_mode(WorkerState::Quiet);
    connected.session.notices();
    drop(connected);
    let back = connect(&world, resume(session, &[&held[0]])).await;
    back.session.news().await;
    let told = back.session.notices();
    assert!(matches!(told[..], [ServerFrame::Quiet, ServerFrame::Cancel { .. }]), "{told:?}");
}

#[tokio::test]
async fn a_lease_that_heartbeats_do_not_name_ends_and_the_others_go_on() {
    let world = world(Millis(400), LONG).await;
    let (session, held) = calling(&world, 2).await;
    let mut beats = tokio::time::interval(Duration::from_millis(50));
    while world.job(held[1].job).lost_count == 0 {
        beats.tick().await;
        let beat = session.heartbeat(&[lease(&held[0])]).await.unwrap();
        assert_eq!((beat.extended, beat.lost, beat.mode), (vec![held[0].job], vec![], WorkerState::Run));
    }
    until_lost(&world, held[1].job, LossCause::LeaseExpired).await;
    assert!(is_running(&world, &held[0]));
    let beat = session.heartbeat(&[lease(&held[0]), lease(&held[1])]).await.unwrap();
    assert_eq!((beat.extended, beat.lost), (vec![held[0].job], vec![held[1].job]));
}

#[tokio::test]
async fn a_worker_that_calls_no_more_is_lost_with_its_session() {
    let world = world(SHORT, LONG).await;
    let (session, held) = calling(&world, 1).await;
    until_lost(&world, held[0].job, LossCause::LeaseExpired).await;
    let mut head = world.handle.feed().head();
    while world.handle.views().worker(session.id()).is_some() {
        head.changed().await.unwrap();
    }
    assert!(world.sessions.get(session.id()).is_none());
}

#[tokio::test]
async fn a_worker_that_was_silent_for_a_lease_is_granted_nothing_until_it_is_heard_again() {
    let world = world(Millis(400), LONG).await;
    // Its connection stands, and nothing comes over it: it hangs, or was stopped.
    let (Connected { session: silent, attachment: _stands, .. }, held) = holding(&world, 1).await;
    until_lost(&world, held[0].job, LossCause::LeaseExpired).await;
    silent.news().await;
    assert_eq!(silent.notices(), [ServerFrame::Lost { job_id: held[0].job }]);
    silent.emptied().await;
    let other = world.sessions.join(Joining { name: "bob".into(), ..silent.joining.clone() }).await.unwrap();
    other.set_slots(1);
    let mut claim = std::pin::pin!(silent.next_jobs());
    // The silent one was the first to ask.
    let taken = tokio::select! {
        biased;
        granted = &mut claim => panic!("it would be lost again: {granted:?}"),
        claimed = other.claim(1, Duration::from_secs(50)) => claimed.unwrap().expect("a job waits"),
    };
    assert_eq!(taken.granted()[0].job, held[0].job);
    let next = world.submit(job(), unchanged).await;
    silent.beat();
    assert_eq!(claim.await.unwrap()[0].job, next);
}

#[tokio::test]
async fn a_claim_that_is_open_keeps_its_session_alive() {
    let world = world(SHORT, LONG).await;
    let (session, _) = calling(&world, 0).await;
    session.set_slots(1);
    let claiming = session.claim(1, Duration::from_secs(50));
    let other = world.sessions.join(Joining { name: "x".into(), ..session.joining.clone() }).await.unwrap();
    let (claimed, id) = tokio::join!(claiming, async {
        // By now a session that said nothing has ended.
        let mut head = world.handle.feed().head();
        while world.sessions.get(other.id()).is_some() {
            head.changed().await.unwrap();
        }
        world.submit(job(), unchanged).await
    });
    let claimed = claimed.unwrap().expect("a job came");
    assert_eq!(claimed.granted()[0].job, id);
    claimed.hand_over();
}

#[tokio::test]
async fn a_claim_whose_worker_hung_up_gives_its_jobs_back_without_a_loss() {
    let world = world(LONG, LONG).await;
    let (session, _) = calling(&world, 0).await;
    session.set_slots(1);
    let id = world.submit(job(), unchanged).await;
    let claimed = session.claim(1, Duration::from_secs(50)).await.unwrap().expect("a job waits");
    drop(claimed);
    let job = world.until_state(id, StateName::Queued).await;
    assert_eq!((job.lost_count, job.failures), (0, 0));
    assert_eq!(one(&session).await.job, id);
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_ends_with_its_lease_although_the_worker_beats() {
    let world = world(Millis(400), LONG).await;
    let (session, held) = calling(&world, 1).await;
    let mut beats = tokio::time::interval(Duration::from_millis(50));
    while world.job(held[0].job).lost_count == 0 {
        beats.tick().await;
        session.heartbeat(&[]).await.unwrap();
    }
    until_lost(&world, held[0].job, LossCause::LeaseExpired).await;
    // There is room for it again.
    let again = session.claim(1, Duration::from_secs(50)).await.unwrap().expect("it waits again");
    assert_eq!(again.granted()[0].job, held[0].job);
    again.hand_over();
}

#[tokio::test]
async fn a_claim_waits_no_longer_than_it_says() {
    let world = world(LONG, LONG).await;
    let (session, _) = calling(&world, 0).await;
    session.set_slots(1);
    assert!(session.claim(1, Duration::ZERO).await.unwrap().is_none());
}

#[tokio::test]
async fn a_heartbeat_tells_what_shall_stop_and_what_the_worker_shall_do() {
    let world = world(LONG, LONG).await;
    let (session, held) = calling(&world, 1).await;
    world.cancel(held[0].job).await;
    session.set_mode(WorkerState::Terminate);
    for _ in 0..2 {
        let beat = session.heartbeat(&[lease(&held[0])]).await.unwrap();
        let expected = (vec![held[0].job], vec![held[0].job], WorkerState::Terminate);
        assert_eq!((beat.extended, beat.cancel, beat.mode), expected);
    }
}

#[tokio::test]
async fn a_worker_that_was_told_to_go_is_not_asked_for_less() {
    let world = world(LONG, LONG).await;
    let connected = connect(&world, None).await;
    connected.session.set_mode(WorkerState::Terminate);
    connected.session.set_mode(WorkerState::Quiet);
    assert_eq!(connected.session.notices(), [ServerFrame::Terminate]);
    assert_eq!(connected.session.mode(), WorkerState::Terminate);
}

#[tokio::test]
async fn a_worker_that_registers_again_takes_its_leases_with_it() {
    let world = world(LONG, LONG).await;
    let (before, held) = calling(&world, 1).await;
    let now = world.sessions.join(before.joining.clone()).await.unwrap();
    now.set_slots(1);
    let unknown = LeaseRef { token: LeaseToken::new("guessed"), ..lease(&held[0]) };
    assert_eq!(now.heartbeat(&[unknown]).await.unwrap().lost, [held[0].job]);
    let beat = now.heartbeat(&[lease(&held[0])]).await.unwrap();
    assert_eq!((beat.extended, beat.lost), (vec![held[0].job], vec![]));
    assert_eq!(world.job(held[0].job).run().unwrap().lease.session, now.id());
    assert_eq!(before.heartbeat(&[]).await.unwrap().lost, []);
    assert!(!before.holds(held[0].job), "whoever had it holds it no more");
    before.leave(WorkerLeftCause::Closed).await.unwrap();
    assert!(is_running(&world, &held[0]));
    assert_eq!(world.types_of(held[0].job), ["job.submitted", "job.started", "job.adopted"]);
}

#[tokio::test]
async fn workers_of_the_server_before_come_back_within_a_lease_or_lose_their_jobs_uncounted() {
    let world = world(Millis(500), LONG).await;
    let (former, held) = calling(&world, 2).await;
    // The sessions of the server before are in the log, and nobody else knows them.
    world.sessions.forget(former.id());
    world.sessions.expect_back(vec![former.id()]);
    let back = connect(&world, resume(former.id(), &[&held[0]])).await;
    assert_ne!(back.session.id(), former.id());
    assert_eq!((back.lost, back.session.held_jobs()), (vec![], vec![held[0].job]));
    let keep_alive = async {
        let mut beats = tokio::time::interval(Duration::from_millis(50));
        loop {
            beats.tick().await;
            back.session.beat();
        }
    };
    let lost = tokio::select! {
        lost = world.until_state(held[1].job, StateName::Queued) => lost,
        () = keep_alive => unreachable!("it never ends"),
    };
    assert_eq!((lost.lost_count, lost.attempt), (0, 1));
    assert!(world.handle.views().worker(former.id()).is_none());
    assert!(is_running(&world, &held[0]));
}

#[tokio::test]
async fn a_session_of_the_server_before_ends_as_soon_as_all_its_leases_were_taken() {
    let world = world(LONG, LONG).await;
    let (former, held) = calling(&world, 1).await;
    world.sessions.forget(former.id());
    world.sessions.expect_back(vec![former.id()]);
    let back = connect(&world, resume(former.id(), &[&held[0]])).await;
    assert!(world.handle.views().worker(former.id()).is_none());
    back.session.end_run(&lease(&held[0]), End::Complete(None)).await.unwrap();
    assert_eq!(world.until_ended(held[0].job).await.lost_count, 0);
}

#[tokio::test]
async fn what_a_server_that_stood_still_did_not_hear_is_held_against_nobody() {
    let world = world(Millis(400), Millis(400)).await;
    let (cut, cut_held) = holding(&world, 1).await;
    let (connected, held) = holding(&world, 1).await;
    let (caller, called) = calling(&world, 1).await;
    let session = cut.session.id();
    drop(cut);
    // Nothing of the server goes on in here but what has threads of its own.
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    let _ = never.recv_timeout(Duration::from_millis(1200));
    // Whoever looks for silence comes first, and what it asks of the core is done before the next job is taken.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    world.submit(job(), unchanged).await;
    connected.session.end_run(&lease(&held[0]), End::Complete(None)).await.unwrap();
    caller.end_run(&lease(&called[0]), End::Complete(None)).await.unwrap();
    let back = connect(&world, resume(session, &[&cut_held[0]])).await;
    assert_eq!((back.session.id(), back.lost), (session, vec![]));
    // From then on silence counts as ever.
    until_lost(&world, cut_held[0].job, LossCause::LeaseExpired).await;
}

#[tokio::test]
async fn a_broken_connection_and_a_silent_lease_at_once_count_once() {
    let world = world(SHORT, SHORT).await;
    let (connected, held) = holding(&world, 1).await;
    drop(connected);
    let job = world.until(held[0].job, "a loss", |job| job.lost_count > 0).await;
    assert_eq!((job.lost_count, job.state_name()), (1, StateName::Queued));
    let losses = world.records_of(held[0].job).iter().filter(|record| loss(&record.event).is_some()).count();
    assert_eq!(losses, 1);
}

#[tokio::test]
async fn when_the_server_stops_nothing_is_lost_by_silence() {
    let world = world(SHORT, Millis(0)).await;
    let (connected, held) = holding(&world, 1).await;
    let sessions = world.sessions.clone();
    tokio::join!(sessions.part(), async {
        sessions.parts_with_workers().await;
        drop(connected);
    });
    let mut beats = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..4 {
        beats.tick().await;
    }
    assert!(is_running(&world, &held[0]));
}
