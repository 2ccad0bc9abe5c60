//! Sessions over the real engine: credit, claims, calls, notices, ends.

use std::sync::Arc;

use futures::FutureExt;
use serde_json::json;

use crate::domain::batch::ITEMS_MAX;
use crate::domain::command::NewJob;
use crate::domain::event::{Event, QueuedCause, WorkerLeftCause};
use crate::domain::id::JobId;
use crate::domain::job::{Reason, StateName, WorkerPlace};
use crate::domain::time::Millis;
use crate::engine::Granted;
use crate::sessions::calls::RESULT_BYTES_MAX;
use crate::sessions::drive::take_in;
use crate::sessions::frames::{CancelReason, JobCall, LeaseRef, ServerFrame, parse_calls, parse_worker_frames};
use crate::sessions::items::UNKNOWN_ITEMS_ANSWERED_MAX;
use crate::sessions::ports::LogLine;
use crate::sessions::session::{Joining, Session};
use crate::sessions::testing::World;
use crate::sessions::{End, calls::Call};

mod flow;
mod remote;

async fn join(world: &World, place: WorkerPlace) -> Arc<Session> {
    world.sessions.join(Joining { name: "ann".into(), kinds: Vec::new(), queues: None, place }).await.unwrap()
}

async fn remote(world: &World, slots: usize) -> Arc<Session> {
    let session = join(world, WorkerPlace::Remote).await;
    session.set_slots(slots);
    session
}

fn job() -> serde_json::Value {
    json!({"kind": "resize", "args": {"width": 7}})
}

fn unchanged(_: &mut NewJob) {}

fn lease(granted: &Granted) -> LeaseRef {
    LeaseRef { job_id: granted.job, token: granted.token.clone() }
}

async fn say(session: &Session, granted: &Granted, frames: serde_json::Value) -> Vec<ServerFrame> {
    let calls = parse_calls(&frames.to_string(), &Call::TYPES).expect("frames");
    let calls = calls.into_iter().map(|call| JobCall { lease: lease(granted), call: call.expect("a right frame") });
    session.receive(calls.collect()).await
}

fn codes(answers: &[ServerFrame]) -> Vec<&str> {
    answers.iter().map(code).collect()
}

fn code(answer: &ServerFrame) -> &str {
    match answer {
        ServerFrame::Error(error) => &error.code,
        other => panic!("{other:?}"),
    }
}

async fn one(session: &Session) -> Granted {
    let mut granted = session.next_jobs().await.unwrap();
    assert_eq!(granted.len(), 1);
    granted.remove(0)
}

#[tokio::test]
async fn a_session_takes_as_many_jobs_as_it_has_slots_and_more_when_some_have_ended() {
    let world = World::start().await;
    let session = remote(&world, 2).await;
    for _ in 0..4 {
        world.submit(job(), unchanged).await;
    }
    let mut held = Vec::new();
    while held.len() < 2 {
        held.extend(session.next_jobs().await.unwrap());
    }
    assert!(session.next_jobs().now_or_never().is_none(), "no slot is free");
    session.end_run(&lease(&held[0]), End::Complete(None)).await.unwrap();
    let next = one(&session).await;
    assert!(next.job > held[1].job);
}

#[tokio::test]
async fn a_session_that_is_quiet_takes_nothing_and_is_told_so() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    session.set_mode(crate::views::row::WorkerState::Quiet);
    session.news().await;
    assert_eq!(session.notices(), [ServerFrame::Quiet]);
    let id = world.submit(job(), unchanged).await;
    assert!(session.next_jobs().now_or_never().is_none());
    assert_eq!(world.job(id).state_name(), StateName::Queued);
    session.set_mode(crate::views::row::WorkerState::Run);
    assert_eq!(one(&session).await.job, id);
}

#[tokio::test]
async fn the_job_frame_has_all_that_a_worker_needs() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let items: Vec<_> = (0..1200).map(|number| json!({"key": format!("k{number}"), "args": number})).collect();
    let request = json!({"kind": "resize", "args": {"width": 7}, "tags": ["x"], "items": items});
    let id = world.submit(request, unchanged).await;
    let granted = one(&session).await;
    say(
        &session,
        &granted,
        json!([{"type": "item", "key": "k0", "state": "completed"},
        {"type": "add_items", "items": [{"key": "more"}]}, {"type": "checkpoint", "data": {"at": 3}}]),
    )
    .await;
    let frame = serde_json::to_value(session.job_frame(&granted).await.unwrap()).unwrap();
    assert_eq!(frame["job"]["id"], json!(id.to_string()));
    assert_eq!((&frame["job"]["args"], &frame["job"]["state"]), (&json!({"width": 7}), &json!("running")));
    assert_eq!(frame["attempt"], 1);
    assert_eq!(frame["checkpoint"], json!({"at": 3}));
    assert_eq!(frame["lease"], json!({"token": granted.token.reveal(), "expires_in_s": 30.0}));
    let handed = frame["items"].as_array().unwrap();
    assert_eq!((handed.len(), &handed[0]), (1000, &json!({"key": "k1", "args": 1})));
}

#[tokio::test]
async fn what_a_worker_says_of_its_job_is_carried_out_in_order() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(json!({"kind": "resize", "args": {}, "items": [{"key": "a"}]}), unchanged).await;
    let granted = one(&session).await;
    let answers = say(
        &session,
        &granted,
        json!([
            {"type": "log", "lines": [{"text": "begin"}]},
            {"type": "add_items", "items": [{"key": "b"}]},
            {"type": "item", "key": "a", "state": "completed", "result": 1},
            {"type": "item", "key": "b", "state": "failed", "error": {"code": "bad", "message": "no"}},
            {"type": "progress", "percent": 50, "stage": "half"},
            {"type": "complete", "result": {"ok": true}},
        ]),
    )
    .await;
    assert_eq!(answers, []);
    let ended = world.until_ended(id).await;
    assert_eq!(ended.state_name(), StateName::Completed);
    let counts = ended.items().unwrap().counts();
    assert_eq!((counts.completed, counts.failed), (1, 1));
    assert_eq!(world.result_of(id), json!({"ok": true}));
    assert_eq!(world.logs.texts(id), ["begin"]);
    assert!(world.logs.is_synced(id), "lines are durable before the job's last event");
    let progress = ended.extras.as_ref().unwrap().progress.clone().unwrap();
    assert_eq!((progress.percent, progress.stage.as_deref()), (Some(50.0), Some("half")));
}

#[tokio::test]
async fn progress_keeps_what_a_later_one_leaves_out_and_shows_the_picture() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), unchanged).await;
    let granted = one(&session).await;
    say(&session, &granted, json!({"type": "progress", "stage": "draw", "preview": "data:image/png;base64,AAEC"}))
        .await;
    say(&session, &granted, json!({"type": "progress", "percent": 10})).await;
    let row = serde_json::to_value(world.handle.views().row(id).unwrap().unwrap()).unwrap();
    assert_eq!((&row["progress"]["stage"], &row["progress"]["percent"]), (&json!("draw"), &json!(10.0)));
    assert_eq!(row["progress"]["preview"]["type"], "image/png");
    assert_eq!(&*world.sessions.previews().get(id).unwrap().bytes, [0, 1, 2]);
}

#[tokio::test]
async fn one_unknown_item_does_not_take_the_others_with_it() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id =
        world.submit(json!({"kind": "resize", "args": {}, "items": [{"key": "a"}, {"key": "b"}]}), unchanged).await;
    let granted = one(&session).await;
    let answers = say(
        &session,
        &granted,
        json!([{"type": "item", "key": "a", "state": "completed"},
        {"type": "item", "key": "nobody", "state": "completed"}, {"type": "item", "key": "b", "state": "skipped"}]),
    )
    .await;
    let [ServerFrame::Error(error)] = &answers[..] else { panic!("{answers:?}") };
    assert!(error.detail.contains("nobody") && error.job_id == Some(id), "{error:?}");
    let logged = world.logs.texts(id);
    assert!(logged.len() == 1 && logged[0].contains("has no item \"nobody\""), "{logged:?}");
    let counts = world.job(id).items().unwrap().counts();
    assert_eq!((counts.completed, counts.skipped, counts.pending), (1, 1, 0));
}

#[tokio::test]
async fn every_unknown_item_is_answered_and_those_beyond_a_limit_are_counted() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(json!({"kind": "resize", "args": {}, "items": [{"key": "a"}]}), unchanged).await;
    let granted = one(&session).await;
    let report = |key: String| json!({"type": "item", "key": key, "state": "completed"});
    let strange = |count: usize| (0..count).map(|number| report(format!("z{number}"))).chain([report("a".into())]);
    let answers = say(&session, &granted, strange(3).collect()).await;
    assert_eq!(codes(&answers), ["invalid_request"; 3]);
    assert_eq!(world.job(id).items().unwrap().counts().completed, 1);
    let answers = say(&session, &granted, strange(UNKNOWN_ITEMS_ANSWERED_MAX + 7).collect()).await;
    assert_eq!(answers.len(), UNKNOWN_ITEMS_ANSWERED_MAX + 1);
    let Some(ServerFrame::Error(last)) = answers.last() else { panic!("{answers:?}") };
    assert!(last.detail.contains("7 more"), "{last:?}");
}

#[tokio::test]
async fn of_frames_that_add_too_many_items_together_only_those_are_refused_that_exceed_the_limit() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), unchanged).await;
    let granted = one(&session).await;
    let add = |prefix: &str, count: usize| {
        let items: Vec<_> = (0..count).map(|number| json!({"key": format!("{prefix}{number}")})).collect();
        json!({"type": "add_items", "items": items})
    };
    assert_eq!(say(&session, &granted, add("first", ITEMS_MAX - 10)).await, []);
    let answers = say(&session, &granted, json!([add("a", 6), add("b", 6), add("c", 4)])).await;
    assert_eq!(codes(&answers), ["invalid_request"]);
    let items = world.job(id);
    let items = items.items().unwrap();
    assert_eq!(items.counts().total as usize, ITEMS_MAX);
    assert!(items.get("a5").is_some() && items.get("b0").is_none() && items.get("c3").is_some());
}

#[tokio::test]
async fn runs_that_end_together_share_commits() {
    const RUNS: usize = 200;
    let world = World::start().await;
    let session = remote(&world, RUNS).await;
    for _ in 0..RUNS {
        world.submit(job(), unchanged).await;
    }
    let mut held = Vec::new();
    while held.len() < RUNS {
        held.extend(session.next_jobs().await.unwrap());
    }
    let mut pages = world.handle.feed().subscribe();
    world.gate.shut();
    let call = |granted: &Granted, call| JobCall { lease: lease(granted), call };
    let line = || Call::Log(vec![LogLine::system("the last")]);
    let calls = held.iter().flat_map(|granted| [call(granted, line()), call(granted, Call::Complete(None))]);
    let mut received = std::pin::pin!(session.receive(calls.collect()));
    // On this one thread the first end is seen at the gate only after all that is asked for without waiting was.
    tokio::select! {
        answers = &mut received => panic!("nothing is durable: {answers:?}"),
        () = world.gate.reached() => world.gate.open(),
    }
    assert_eq!(received.await, []);
    let (mut completed, mut commits) = (0, 0);
    while completed < RUNS {
        let page = pages.recv().await.unwrap();
        let ended = page.records.iter().filter(|record| matches!(record.event, Event::JobCompleted(_))).count();
        completed += ended;
        commits += usize::from(ended > 0);
    }
    assert!(commits <= 10, "{commits} commits for {RUNS} ends");
    assert!(held.iter().all(|granted| world.logs.is_synced(granted.job)));
}

#[tokio::test]
async fn each_late_frame_is_refused_and_kept_as_evidence_up_to_a_limit() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let request = json!({"kind": "resize", "args": {}, "items": [{"key": "a"}]});
    let id = world.submit(request, |job| job.policy.timeout = Some(Millis(50))).await;
    let granted = one(&session).await;
    session.news().await;
    assert!(!session.holds(id));
    let frames = [
        ("progress", json!({"type": "progress", "percent": 90})),
        ("log", json!({"type": "log", "lines": [{"text": "late"}]})),
        ("items", json!({"type": "item", "key": "a", "state": "completed"})),
        ("items", json!({"type": "add_items", "items": [{"key": "b"}]})),
        ("checkpoint", json!({"type": "checkpoint", "data": 1})),
        ("submit", json!({"type": "submit", "ref": "r", "job": {"kind": "page", "args": {}}})),
        ("fail", json!({"type": "fail", "error": {"message": "no"}})),
        ("release", json!({"type": "release"})),
        ("complete", json!({"type": "complete"})),
    ];
    for (call, frame) in &frames {
        let answers = say(&session, &granted, frame.clone()).await;
        let [ServerFrame::Error(error)] = &answers[..] else { panic!("{call}: {answers:?}") };
        assert_eq!((&*error.code, error.job_id), ("lease_lost", Some(id)), "{call}");
    }
    let evidence = |world: &World| {
        let late = world.records_of(id).into_iter().filter_map(|record| match record.event {
            Event::JobLateResult(late) => Some(serde_json::to_value(late.call).unwrap()),
            _ => None,
        });
        late.collect::<Vec<_>>()
    };
    assert_eq!(evidence(&world), frames.clone().map(|(call, _)| json!(call)));
    for _ in 0..10 {
        assert_eq!(codes(&say(&session, &granted, json!({"type": "complete"})).await), ["lease_lost"]);
    }
    assert_eq!(evidence(&world).len(), 16, "a worker in a loop does not fill the log");
    let job = world.job(id);
    assert_eq!((job.items().unwrap().counts().pending, world.logs.texts(id)), (1, Vec::new()));
}

#[tokio::test]
async fn a_child_is_submitted_once_also_by_a_rerun() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), unchanged).await;
    let child = json!({"type": "submit", "ref": "p", "job": {"kind": "page", "args": {}, "unique_key": "/a"}});
    let granted = one(&session).await;
    let first = say(&session, &granted, child.clone()).await;
    say(&session, &granted, json!({"type": "release"})).await;
    let granted = one(&session).await;
    assert_eq!(granted.job, id);
    assert_eq!(say(&session, &granted, child).await, first);
    let [ServerFrame::Submitted { reference, id: child }] = &first[..] else { panic!("{first:?}") };
    assert_eq!((reference.as_deref(), world.job(*child).parent()), (Some("p"), Some(id)));
}

#[tokio::test]
async fn a_child_that_is_wrong_is_answered_with_every_problem() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    world.submit(job(), unchanged).await;
    let granted = one(&session).await;
    let answers = say(&session, &granted, json!({"type": "submit", "ref": "p", "job": {"args": 3, "x": 1}})).await;
    let [ServerFrame::Error(error)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((&*error.code, error.reference.as_deref(), error.errors.len()), ("invalid_request", Some("p"), 3));
}

#[tokio::test]
async fn a_cancel_reaches_the_worker_and_its_complete_still_wins() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), |job| job.policy.grace = Millis(7000)).await;
    let granted = one(&session).await;
    world.cancel(id).await;
    session.news().await;
    let told = ServerFrame::Cancel { job_id: id, reason: CancelReason::Requested, grace_s: 7.0 };
    assert_eq!(session.notices(), [told]);
    say(&session, &granted, json!({"type": "complete"})).await;
    assert_eq!(world.job(id).state_name(), StateName::Completed);
}

#[tokio::test]
async fn a_cancel_that_comes_with_the_grant_is_not_missed() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), unchanged).await;
    let mut claim = Box::pin(session.next_jobs());
    let at_once = (&mut claim).now_or_never();
    // The grant is durable and, but for a very quick engine, the session has not looked at it yet.
    world.until_state(id, StateName::Running).await;
    world.cancel(id).await;
    if at_once.is_none() {
        claim.await.unwrap();
    }
    session.news().await;
    assert!(matches!(session.notices()[..], [ServerFrame::Cancel { reason: CancelReason::Requested, .. }]));
}

#[tokio::test]
async fn the_token_of_a_lease_never_comes_into_a_log() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), unchanged).await;
    let granted = one(&session).await;
    let text = format!("DAYBOOK_LEASE_TOKEN={}", granted.token.reveal());
    say(&session, &granted, json!({"type": "log", "lines": [{"text": text}]})).await;
    assert_eq!(world.logs.texts(id), ["DAYBOOK_LEASE_TOKEN=[lease token]"]);
}

#[tokio::test]
async fn the_token_of_a_lease_comes_into_no_event_whatever_the_worker_says() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), |job| job.policy.backoff = Millis(1)).await;
    let fails = json!({"code": "TOKEN", "message": "env: TOKEN", "details": {"env": ["TOKEN"]}});
    let ends = [json!({"type": "fail", "error": fails}), json!({"type": "complete", "result": {"a": "TOKEN"}})];
    for end in ends {
        let granted = one(&session).await;
        let token = granted.token.reveal().to_owned();
        let spoken = json!([
            {"type": "progress", "stage": "TOKEN", "message": "my TOKEN", "percent": 3},
            {"type": "checkpoint", "data": ["TOKEN"]},
            {"type": "add_items", "items": [{"key": "a", "args": "TOKEN"}]},
            {"type": "item", "key": "a", "state": "failed", "result": "TOKEN", "error": {"message": "TOKEN"}},
            {"type": "submit", "ref": "r", "job": {"kind": "other", "args": {"a": "TOKEN"}, "delay_s": 3600}},
            end
        ]);
        let frames: serde_json::Value = serde_json::from_str(&spoken.to_string().replace("TOKEN", &token)).unwrap();
        let answers = say(&session, &granted, frames).await;
        assert!(!answers.iter().any(|answer| matches!(answer, ServerFrame::Error(_))), "{answers:?}");
        let log = world.handle.log();
        for record in log.page_after(crate::domain::id::Seq::ZERO).unwrap() {
            assert!(!format!("{record:?}").contains(&token), "{record:?}");
        }
        world.until(id, "another run or an end", |job| job.run().is_none()).await;
    }
    assert_eq!(world.result_of(id), json!({"a": "[lease token]"}));
}

#[tokio::test]
async fn a_timeout_reaches_the_worker_and_what_it_says_then_is_refused() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), |job| job.policy.timeout = Some(Millis(50))).await;
    let granted = one(&session).await;
    session.news().await;
    assert!(matches!(session.notices()[..], [ServerFrame::Cancel { reason: CancelReason::Timeout, .. }]));
    assert!(!session.holds(id));
    let answers =
        say(&session, &granted, json!([{"type": "log", "lines": [{"text": "late"}]}, {"type": "complete"}])).await;
    assert_eq!(codes(&answers), ["lease_lost", "lease_lost"]);
    assert_eq!(world.logs.texts(id), Vec::<String>::new());
    let types = world.types_of(id);
    assert!(types.contains(&"job.attempt_failed") && types.contains(&"job.late_result"), "{types:?}");
}

#[tokio::test]
async fn a_job_of_a_subprocess_waits_until_it_is_let_go() {
    let world = World::start().await;
    let session = join(&world, WorkerPlace::Subprocess).await;
    session.set_slots(1);
    let id = world
        .submit(job(), |job| {
            job.policy.timeout = Some(Millis(50));
            job.policy.backoff = Millis(1);
        })
        .await;
    one(&session).await;
    let other = remote(&world, 1).await;
    let mut claim = Box::pin(other.next_jobs());
    assert!((&mut claim).now_or_never().is_none());
    session.news().await;
    world.until_state(id, StateName::Queued).await;
    // Another job is granted meanwhile: the claim works, and passes the held one over.
    let free = world.submit(job(), unchanged).await;
    assert_eq!(claim.await.unwrap()[0].job, free);
    session.let_go(id);
    other.set_slots(2);
    assert_eq!(one(&other).await.job, id);
}

#[tokio::test]
async fn leaving_gives_back_or_loses_what_is_held_as_its_cause_says() {
    for (cause, lost) in
        [(WorkerLeftCause::Closed, 0), (WorkerLeftCause::Shutdown, 0), (WorkerLeftCause::ProcessDied, 1)]
    {
        let world = World::start().await;
        let session = join(&world, WorkerPlace::Subprocess).await;
        session.set_slots(1);
        let id = world.submit(job(), unchanged).await;
        one(&session).await;
        session.leave(cause).await.unwrap();
        let job = world.until_state(id, StateName::Queued).await;
        assert_eq!((job.lost_count, job.failures), (lost, 0), "{cause:?}");
        assert!(world.sessions.get(session.id()).is_none());
        let next = remote(&world, 1).await;
        assert_eq!(one(&next).await.job, id, "it is let go of");
    }
}

#[tokio::test]
async fn a_release_after_a_cancel_makes_the_job_cancelled() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), unchanged).await;
    let granted = one(&session).await;
    world.cancel(id).await;
    session.end_run(&lease(&granted), End::Release(QueuedCause::Released)).await.unwrap();
    let ended = world.until_ended(id).await;
    assert_eq!(ended.ending().unwrap().reason, Some(Reason::CancelledByRequest));
}

#[tokio::test]
async fn a_lease_that_ends_by_itself_is_told_as_lost_and_the_worker_may_be_ended() {
    let world = World::start().await;
    let session = join(&world, WorkerPlace::Subprocess).await;
    session.set_slots(1);
    let id: JobId = world.submit(job(), |job| job.policy.grace = Millis(20)).await;
    one(&session).await;
    world.cancel(id).await;
    session.overdue().await;
    world.until_ended(id).await;
    let mut told = Vec::new();
    while told.last() != Some(&ServerFrame::Lost { job_id: id }) {
        session.news().await;
        told.extend(session.notices());
    }
    session.let_go(id);
    session.emptied().await;
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_the_attempt_for_good_and_is_told() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), unchanged).await;
    let granted = one(&session).await;
    let answers = say(&session, &granted, json!({"type": "complete", "result": "x".repeat(RESULT_BYTES_MAX)})).await;
    let [ServerFrame::Error(error)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((&*error.code, error.job_id), ("result_too_large", Some(id)));
    let ended = world.until_ended(id).await;
    assert_eq!(ended.ending().unwrap().reason, Some(Reason::NotRetryable));
    assert_eq!(&*ended.extras.as_ref().unwrap().error.as_ref().unwrap().code, "result_too_large");
    assert!(world.logs.texts(id)[0].contains("output files"), "{:?}", world.logs.texts(id));
    assert!(session.held_jobs().is_empty(), "the worker may take the next");
}

#[tokio::test]
async fn a_frame_that_is_wrong_stands_in_the_log_of_its_job() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), unchanged).await;
    let granted = one(&session).await;
    let text = json!({"type": "checkpoint", "job_id": id, "token": granted.token.reveal(), "data": "x".repeat(65536)});
    let (outbox, mut told) = crate::sessions::outbox::outbox();
    take_in(&session, parse_worker_frames(&text.to_string()), &outbox).await.unwrap();
    let Some(ServerFrame::Error(error)) = told.recv().await else { panic!("it is told") };
    assert_eq!((&*error.code, error.job_id), ("checkpoint_too_large", Some(id)));
    let lines = world.logs.texts(id);
    assert!(lines[0].contains("checkpoint_too_large") && lines[0].contains("at most 65536"), "{lines:?}");
    assert!(session.holds(id), "the run goes on");
}

#[tokio::test]
async fn a_frame_that_is_wrong_stands_in_the_log_also_when_the_job_ends_with_the_same_burst() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), unchanged).await;
    let granted = one(&session).await;
    let about = |frame: serde_json::Value| {
        let mut frame = frame;
        frame["job_id"] = json!(id);
        frame["token"] = json!(granted.token.reveal());
        frame
    };
    let burst = json!([about(json!({"type": "progress", "percent": 101})), about(json!({"type": "complete"}))]);
    let (outbox, _told) = crate::sessions::outbox::outbox();
    take_in(&session, parse_worker_frames(&burst.to_string()), &outbox).await.unwrap();
    assert_eq!(world.until_ended(id).await.state_name(), StateName::Completed);
    assert!(world.logs.texts(id)[0].contains("101 is not between 0 and 100"), "{:?}", world.logs.texts(id));
}

#[tokio::test]
async fn a_frame_that_should_end_a_job_and_is_wrong_fails_the_attempt_instead_of_leaving_it_to_a_worker_that_is_done() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let wrong = [
        json!({"type": "complete", "result": 1, "note": "no such field"}),
        json!({"type": "fail", "error": "a text and no object"}),
        json!({"type": "release", "why": "no such field"}),
    ];
    for mut frame in wrong {
        let id = world.submit(job(), |job| job.policy.max_attempts = 1).await;
        let granted = one(&session).await;
        frame["job_id"] = json!(id);
        frame["token"] = json!(granted.token.reveal());
        let (outbox, mut told) = crate::sessions::outbox::outbox();
        take_in(&session, parse_worker_frames(&frame.to_string()), &outbox).await.unwrap();
        let Some(ServerFrame::Error(error)) = told.recv().await else { panic!("it is told") };
        assert_eq!((&*error.code, error.job_id), ("invalid_frame", Some(id)), "{frame}");
        let ended = world.until_ended(id).await;
        let failure = ended.extras.as_ref().unwrap().error.clone().unwrap();
        assert_eq!((&*failure.code, failure.retryable), ("invalid_frame", true), "{frame}");
        assert!(world.logs.texts(id)[0].contains("invalid_frame"), "{:?}", world.logs.texts(id));
        assert!(session.held_jobs().is_empty(), "the worker may take the next");
    }
}

#[tokio::test]
async fn a_wrong_end_with_a_token_that_does_not_hold_ends_nothing() {
    let world = World::start().await;
    let session = remote(&world, 1).await;
    let id = world.submit(job(), unchanged).await;
    let granted = one(&session).await;
    let frame = json!({"type": "complete", "job_id": id, "token": "another", "note": 1});
    let (outbox, _told) = crate::sessions::outbox::outbox();
    take_in(&session, parse_worker_frames(&frame.to_string()), &outbox).await.unwrap();
    assert!(session.holds(id), "the run goes on");
    say(&session, &granted, json!({"type": "complete"})).await;
    assert_eq!(world.until_ended(id).await.state_name(), StateName::Completed);
}
