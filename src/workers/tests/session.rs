//! Mode `session`.

use serde_json::json;

use crate::domain::event::Event;
use crate::domain::job::{Reason, StateName};

use crate::views::row::WorkerState;

use super::*;

const ECHO: &str = r#"
say({"type": "hello", "name": "echo"}, {"type": "ready", "slots": 1})
while True:
    frame = next_job()
    say(about(frame, "complete", result=frame["job"]["args"]))
"#;

#[tokio::test]
async fn a_child_that_is_started_once_runs_one_job_after_the_other() {
    let works = Works::session(ECHO).await;
    for number in 0..20 {
        let id = works.submit(json!({"number": number})).await;
        works.world.until_ended(id).await;
        assert_eq!(works.world.result_of(id), json!({"number": number}));
    }
    assert_eq!(works.launches(), 1);
}

#[tokio::test]
async fn a_child_says_how_many_jobs_it_runs_at_once_and_answers_in_any_order() {
    let script = r#"
say({"type": "hello"}); say({"type": "ready", "slots": 3})
frames = [next_job() for _ in range(3)]
say(*[about(frame, "complete", result={"of": frame["job"]["args"]["number"]}) for frame in reversed(frames)])
next_frame()
"#;
    let works = Works::session(script).await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(works.submit(json!({"number": number})).await);
    }
    for (number, id) in ids.into_iter().enumerate() {
        works.world.until_ended(id).await;
        assert_eq!(works.world.result_of(id), json!({"of": number}));
    }
}

#[tokio::test]
async fn other_lines_go_into_the_log_of_every_job_that_is_held_then() {
    let script = r#"
print("before any job", flush=True)
say({"type": "hello"}); say({"type": "ready", "slots": 2})
frames = [next_job(), next_job()]
print("for both", flush=True)
print("a problem", file=sys.stderr, flush=True)
say(about(frames[0], "log", lines=[{"text": "for the first"}]))
say(about(frames[0], "complete")); 
print('{"level": "info"}', flush=True)
time.sleep(0.2)
say(about(frames[1], "complete"))
next_frame()
"#;
    let works = Works::session(script).await;
    let (first, second) = (works.submit(json!({})).await, works.submit(json!({})).await);
    works.world.until_ended(first).await;
    works.world.until_ended(second).await;
    let sorted = |id| {
        let mut lines = works.logged(id);
        lines.sort();
        lines
    };
    let first = sorted(first);
    assert!(first.contains(&"for both".to_owned()) && first.contains(&"for the first".to_owned()), "{first:?}");
    let second = sorted(second);
    assert!(second.contains(&"for both".to_owned()) && second.contains(&"a problem".to_owned()), "{second:?}");
    assert!(!second.contains(&"for the first".to_owned()) && !second.contains(&"before any job".to_owned()));
    assert!(second.contains(&"{\"level\": \"info\"}".to_owned()), "{second:?}");
}

#[tokio::test]
async fn what_is_written_to_standard_error_before_the_end_of_a_job_is_in_its_log() {
    let script = r#"
say({"type": "hello"}); say({"type": "ready", "slots": 1})
while True:
    frame = next_job()
    for number in range(3): os.write(2, b"%d of %d\n" % (number, frame["job"]["args"]["number"]))
    say(about(frame, "complete"))
"#;
    let works = Works::session(script).await;
    let mut ids = Vec::new();
    for number in 0..40 {
        ids.push(works.submit(json!({"number": number})).await);
    }
    for (number, id) in ids.into_iter().enumerate() {
        works.world.until_ended(id).await;
        let expected: Vec<String> = (0..3).map(|line| format!("{line} of {number}")).collect();
        assert_eq!(works.logged(id), expected);
    }
}

#[tokio::test]
async fn a_line_after_the_end_of_a_job_is_none_of_its_business() {
    let script = r#"
say({"type": "hello"}); say({"type": "ready", "slots": 1})
frame = next_job()
os.write(1, b"before\n" + json.dumps(about(frame, "complete")).encode() + b"\nafter\n")
next_frame()
"#;
    let works = Works::session(script).await;
    let id = works.submit(json!({})).await;
    works.world.until_ended(id).await;
    let next = works.submit(json!({})).await;
    works.world.until_state(next, StateName::Running).await;
    assert_eq!(works.logged(id), ["before"]);
    assert!(!works.world.types_of(id).contains(&"job.late_result"), "{:?}", works.world.types_of(id));
}

#[tokio::test]
async fn completions_that_a_child_writes_in_one_burst_share_commits() {
    let script = r#"
say({"type": "hello"}); say({"type": "ready", "slots": 100})
frames = [next_job() for _ in range(100)]
while not os.path.exists("go"): time.sleep(0.01)
os.write(1, b"".join(json.dumps(about(frame, "complete")).encode() + b"\n" for frame in frames))
next_frame()
"#;
    let works = Works::session(script).await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(works.submit(json!({})).await);
    }
    for id in ids {
        works.world.until_state(id, StateName::Running).await;
    }
    let mut pages = works.world.handle.feed().subscribe();
    works.world.gate.shut();
    std::fs::write(works.path("go"), "").expect("writes");
    works.world.gate.reached().await;
    works.world.gate.open();
    let (mut completed, mut commits) = (0, 0);
    while completed < 100 {
        let page = tokio::time::timeout(PATIENCE, pages.recv()).await.expect("in time").expect("the engine runs");
        let ended = page.jobs.iter().filter(|job| job.is_terminal()).count();
        completed += ended;
        commits += usize::from(ended > 0);
    }
    assert!(commits <= 20, "{commits} commits for 100 completions");
}

#[tokio::test]
async fn a_child_that_closes_its_standard_input_or_output_but_lives_on_has_lost_its_jobs_and_is_killed() {
    for stream in [0, 1] {
        let script = r#"
import subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say({"type": "hello"}); say({"type": "ready", "slots": 1})
frame = next_job()
if os.path.exists("pids"): say(about(frame, "complete")); next_frame()
forked = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
open("pids", "w").write(f"{os.getpid()} {forked.pid}")
os.close(STREAM)
while True: time.sleep(1000)
"#;
        let works = Works::session(&script.replace("STREAM", &stream.to_string())).await;
        let id = works.submit(json!({})).await;
        let ended = works.world.until_ended(id).await;
        assert_eq!((ended.state_name(), ended.lost_count), (StateName::Completed, 1), "{stream}");
        let pids = std::fs::read_to_string(works.path("pids")).expect("reads");
        assert!(pids.split(' ').all(|pid| !is_alive(pid.parse().expect("a number"))), "{stream}: {pids}");
        assert!(works.logged(id)[0].ends_with("(signal 9) while it held this job: the run is lost"));
    }
}

#[tokio::test]
async fn the_log_says_what_became_of_a_job_whose_worker_was_ended() {
    let script = r#"
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say({"type": "hello"}); say({"type": "ready", "slots": 1})
while True:
    frame = next_job()
    say(about(frame, "log", lines=[{"text": "ready"}]))
"#;
    let mut works = Works::session(script).await;
    let cancelled = works.submit(json!({})).await;
    works.world.until_logged(cancelled, "ready").await;
    works.world.cancel(cancelled).await;
    works.world.until_ended(cancelled).await;
    works.world.until_logged(cancelled, "it was told to stop, and is cancelled").await;
    let overdue = works.submit_with(json!({}), |job| {
        job.policy.timeout = Some(Millis(300));
        job.policy.max_attempts = 1;
    });
    let overdue = overdue.await;
    works.world.until_ended(overdue).await;
    works.world.until_logged(overdue, "its time was over, and the attempt had failed").await;
    let drained = works.submit(json!({})).await;
    works.world.until_logged(drained, "ready").await;
    works.drain().await;
    let lines = [works.logged(cancelled), works.logged(overdue), works.logged(drained)];
    for (lines, reason) in lines.iter().zip(["requested", "timeout", "shutdown"]) {
        assert!(lines.iter().any(|line| line.starts_with(&format!("told to stop ({reason})"))), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("is lost")), "{lines:?}");
    }
    assert!(lines[2].iter().any(|line| line.ends_with("the server stops, and the job is queued again")), "{lines:?}");
}

#[tokio::test]
async fn what_is_wrong_is_answered_with_an_error_and_the_session_lives_on() {
    let script = r#"
say({"type": "hello"}); say({"type": "ready", "slots": 1})
frame = next_job()
say({"type": "dance"})
first = next_frame()
say(about(frame, "progress", percent=400))
second = next_frame()
say({"type": "hello"})
third = next_frame()
say(about(frame, "complete", result=[e["code"] for e in (first, second, third)]))
next_frame()
"#;
    let works = Works::session(script).await;
    let id = works.submit(json!({})).await;
    works.world.until_ended(id).await;
    assert_eq!(works.world.result_of(id), json!(["unknown_frame", "invalid_frame", "invalid_frame"]));
    let told = |line: &String| line.starts_with("a frame was not carried out: invalid_frame: progress: /percent");
    assert!(works.logged(id).iter().any(told), "{:?}", works.logged(id));
}

#[tokio::test]
async fn an_exit_while_jobs_are_held_loses_each_and_the_child_is_started_again() {
    let script = r#"
say({"type": "hello"}); say({"type": "ready", "slots": 2})
frames = [next_job(), next_job()]
if os.path.exists("once"):
    say(*[about(frame, "complete") for frame in frames]); next_frame()
open("once", "w").close()
print("Traceback: no memory", file=sys.stderr, flush=True)
sys.exit(0)
"#;
    let works = Works::session(script).await;
    let ids = [works.submit(json!({})).await, works.submit(json!({})).await];
    for id in ids {
        let ended = works.world.until_ended(id).await;
        assert_eq!((ended.state_name(), ended.attempt, ended.lost_count), (StateName::Completed, 1, 1));
        let lines = works.logged(id);
        assert!(lines.contains(&"Traceback: no memory".to_owned()), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("the run is lost")), "{lines:?}");
    }
    assert_eq!(works.launches(), 2);
}

#[tokio::test]
async fn what_a_child_said_before_it_ended_counts() {
    let script = r#"
say({"type": "hello"}); say({"type": "ready", "slots": 1})
frame = next_job()
say(about(frame, "progress", percent=90), about(frame, "complete", result="said"))
os._exit(1)
"#;
    let works = Works::session(script).await;
    let id = works.submit(json!({})).await;
    let ended = works.world.until_ended(id).await;
    assert_eq!((ended.state_name(), ended.lost_count), (StateName::Completed, 0));
}

#[tokio::test]
async fn a_child_that_exits_at_once_is_started_again_after_a_wait() {
    let started = std::time::Instant::now();
    let works = Works::start(RunMode::Session, 1, "run.sh", "exit 1", &["/bin/sh", "run.sh"]).await;
    works.until_launched(2).await;
    assert!(started.elapsed() >= Duration::from_secs(1), "no hot loop");
}

#[tokio::test]
async fn a_cancel_is_about_one_job_and_the_others_go_on() {
    let script = r#"
say({"type": "hello"}); say({"type": "ready", "slots": 2})
frames = {}
while len(frames) < 2:
    frame = next_job(); frames[frame["job"]["id"]] = frame
    say(about(frame, "log", lines=[{"text": "ready"}]))
told = next_frame()
assert told["type"] == "cancel" and told["reason"] == "requested" and told["grace_s"] == 0.4, told
frame = frames.pop(told["job_id"])
say(about(frame, "release"))
(other,) = frames.values()
say(about(other, "complete"))
next_frame()
"#;
    let works = Works::session(script).await;
    let (first, second) = (works.submit(json!({})).await, works.submit(json!({})).await);
    works.world.until_logged(first, "ready").await;
    works.world.until_logged(second, "ready").await;
    works.world.cancel(first).await;
    let ended = works.world.until_ended(first).await;
    assert_eq!(ended.ending().expect("ended").reason, Some(Reason::CancelledByRequest));
    assert_eq!(works.world.until_ended(second).await.state_name(), StateName::Completed);
    assert_eq!(works.launches(), 1);
}

#[tokio::test]
async fn a_child_that_does_not_let_go_of_a_cancelled_job_is_killed_and_loses_the_others() {
    let script = r#"
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say({"type": "hello"}); say({"type": "ready", "slots": 2})
while True:
    frame = next_job()
    if os.path.exists("again"): say(about(frame, "complete"))
    elif frame["job"]["args"].get("last"): open("again", "w").close(); say(about(frame, "log", lines=[{"text": "ready"}]))
"#;
    let works = Works::session(script).await;
    let first = works.submit(json!({})).await;
    let second = works.submit(json!({"last": true})).await;
    works.world.until_logged(second, "ready").await;
    works.world.cancel(first).await;
    assert_eq!(works.world.until_ended(first).await.state_name(), StateName::Cancelled);
    let ended = works.world.until_ended(second).await;
    assert_eq!((ended.state_name(), ended.lost_count), (StateName::Completed, 1));
}

#[tokio::test]
async fn after_a_timeout_the_child_may_keep_its_other_jobs_if_it_lets_go() {
    let script = r#"
say({"type": "hello"}); say({"type": "ready", "slots": 1})
first = next_job()
told = next_frame()
say(about(first, "release"))
late = next_frame()
again = next_job()
say(about(again, "complete", result=[told["reason"], late["code"], again["attempt"]]))
next_frame()
"#;
    let works = Works::session(script).await;
    let id = works.submit_with(json!({}), |job| job.policy.timeout = Some(Millis(300))).await;
    let ended = works.world.until_ended(id).await;
    assert_eq!(ended.state_name(), StateName::Completed);
    assert_eq!(works.world.result_of(id), json!(["timeout", "lease_lost", 2]));
    assert_eq!(works.launches(), 1);
}

#[tokio::test]
async fn a_server_that_stops_tells_its_children_and_gives_their_jobs_back() {
    let script = r#"
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say({"type": "hello"}); say({"type": "ready", "slots": 2})
frames = [next_job(), next_job()]
for frame in frames: say(about(frame, "log", lines=[{"text": "ready"}]))
told = [next_frame(), next_frame()]
open("told", "w").write(" ".join(frame["reason"] for frame in told))
say(about(frames[0], "complete"))
time.sleep(1000)
"#;
    let mut works = Works::session(script).await;
    let (first, second) = (works.submit(json!({})).await, works.submit(json!({})).await);
    works.world.until_logged(first, "ready").await;
    works.world.until_logged(second, "ready").await;
    assert_eq!(works.drain().await, Drained { late: 0 });
    assert_eq!(std::fs::read_to_string(works.path("told")).expect("reads"), "shutdown shutdown");
    assert_eq!(works.world.job(first).state_name(), StateName::Completed, "a word that still comes counts");
    let job = works.world.job(second);
    assert_eq!((job.state_name(), job.lost_count, job.failures), (StateName::Queued, 0, 0));
    assert!(works.has_no_groups());
}

#[tokio::test]
async fn a_child_that_reads_nothing_and_says_much_is_no_obstacle() {
    let script = r#"
say({"type": "hello"}); say({"type": "ready", "slots": 1})
frame = next_job()
for number in range(20000): say(about(frame, "progress", done=number, total=20000, percent=number // 200))
say(about(frame, "complete", result="done"))
next_frame()
"#;
    let works = Works::session(script).await;
    let id = works.submit(json!({})).await;
    let ended = works.world.until_ended(id).await;
    assert_eq!(works.world.result_of(id), json!("done"));
    let recorded = works.world.types_of(id).iter().filter(|name| **name == "job.progressed").count();
    assert!(recorded < 200, "{recorded} values of progress are on record");
    let progress = ended.extras.as_ref().expect("extras").progress.clone().expect("progress");
    assert_eq!(progress.done, Some(19_999));
}

#[tokio::test]
async fn a_worker_that_was_told_to_go_ends_and_another_takes_its_place() {
    let script = r#"
say({"type": "hello"}); say({"type": "ready", "slots": 1})
while True:
    frame = next_frame()
    if frame["type"] == "terminate": sys.exit(0)
    if frame["type"] == "job": say(about(frame, "complete", result=os.getpid()))
"#;
    let works = Works::session(script).await;
    let first = works.submit(json!({})).await;
    let session = works.world.until_ended(first).await.last_run().expect("it ran").session;
    works.world.sessions.get(session).expect("it lives").set_mode(WorkerState::Terminate);
    let second = works.submit(json!({})).await;
    let ended = works.world.until_ended(second).await;
    assert_ne!(works.world.result_of(second), works.world.result_of(first));
    assert_eq!((ended.lost_count, works.launches()), (0, 2));
}

#[tokio::test]
async fn the_worker_is_in_the_log_with_its_name_and_its_kind() {
    let works = Works::session(ECHO).await;
    let id = works.submit(json!({})).await;
    works.world.until_ended(id).await;
    let page = works.world.handle.log().page_after(crate::domain::id::Seq::ZERO).expect("reads");
    let joined = page.into_iter().find_map(|record| match record.event {
        Event::WorkerJoined(joined) => Some(joined),
        _ => None,
    });
    let joined = joined.expect("a worker joined");
    assert_eq!((&*joined.name, joined.kinds[0].as_str(), joined.kinds.len()), ("echo", "work", 1));
}

#[tokio::test]
async fn a_child_that_cannot_live_is_told_to_those_who_ask_until_it_does() {
    let script =
        "if [ -e fixed ]; then echo '{\"type\":\"hello\"}'; read line; else echo 'no such model' >&2; exit 3; fi";
    let works = Works::start(RunMode::Session, 1, "run.sh", script, &["/bin/sh", "run.sh"]).await;
    works.until_launched(2).await;
    let [trouble] = &works.world.sessions.troubles().list()[..] else { panic!("one place, one trouble") };
    let expected = "ended before it said hello: no such model (exit status 3)";
    assert_eq!((&*trouble.name, trouble.detail.as_str()), ("work/1", expected));
    std::fs::write(works.path("fixed"), "").expect("writes");
    works.world.until_joined().await;
    assert_eq!(works.world.sessions.troubles().list(), []);
}

#[tokio::test]
async fn a_child_that_says_no_hello_in_5_s_is_ended_and_told_of() {
    let begun = std::time::Instant::now();
    let works = Works::start(RunMode::Session, 1, "run.sh", "read line", &["/bin/sh", "run.sh"]).await;
    works.until_launched(2).await;
    assert!(begun.elapsed() >= std::time::Duration::from_secs(5), "it had its time");
    let [trouble] = &works.world.sessions.troubles().list()[..] else { panic!("one place, one trouble") };
    assert!(trouble.detail.starts_with("said no hello in 5 s and was ended"), "{}", trouble.detail);
}
