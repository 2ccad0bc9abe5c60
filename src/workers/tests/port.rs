//! The port between a run and whom it reports to: real programs that report to a superior of the test.

use std::collections::VecDeque;
use std::path::PathBuf;

use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use crate::domain::event::{LossCause, QueuedCause};
use crate::domain::id::{LeaseToken, Ordinal};
use crate::domain::json::Json;
use crate::domain::time::Timestamp;
use crate::engine::Granted;
use crate::sessions::End;
use crate::sessions::calls::Call;
use crate::sessions::frames::{CancelReason, FrameError, HandedLease, JobFrame, ServerFrame};
use crate::sessions::ports::LogLine;
use crate::workers::run::{Bench, Run, Started};
use crate::workers::superior::Superior;

use super::*;

/// Hears everything, and tells what the test wants to be told.
#[derive(Default)]
struct Fake {
    desk: Mutex<Desk>,
    news: Notify,
    heard: Notify,
    killed: Notify,
    room: watch::Sender<bool>,
}

#[derive(Default)]
struct Desk {
    calls: Vec<Call>,
    lines: Vec<String>,
    files: Vec<(String, String)>,
    end: Option<(End, bool)>,
    notices: VecDeque<ServerFrame>,
    is_lost: bool,
    refuses_files: bool,
    was_let_go: bool,
}

impl Fake {
    fn tell(&self, frame: ServerFrame) {
        self.desk.lock().notices.push_back(frame);
        self.news.notify_one();
    }

    fn cancel(&self, reason: CancelReason) {
        self.tell(ServerFrame::Cancel { job_id: job(), reason, grace_s: 10.0 });
    }

    async fn until_logged(&self, text: &str) {
        let logged = async {
            while !self.desk.lock().lines.iter().any(|line| line.contains(text)) {
                self.heard.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, logged).await.expect("in time");
    }

    fn end(&self) -> Option<(End, bool)> {
        self.desk.lock().end.clone()
    }
}

fn job() -> JobId {
    JobId::new(Timestamp::from_ms(1), Ordinal(1), 0)
}

impl Superior for Fake {
    async fn job_frame(&self) -> Result<JobFrame, String> {
        let lease = HandedLease { token: "secret".into(), expires_in_s: 30.0 };
        let job = Json::of(&json!({"id": job().to_string(), "kind": "work", "args": {"a": 1}}));
        Ok(JobFrame { job, attempt: 1, items: Vec::new(), lease, checkpoint: None })
    }

    fn holds(&self) -> bool {
        !self.desk.lock().is_lost
    }

    async fn news(&self) {
        self.news.notified().await;
    }

    fn notices(&self) -> Vec<ServerFrame> {
        self.desk.lock().notices.drain(..).collect()
    }

    async fn overdue(&self) {
        self.killed.notified().await;
    }

    fn stop_reason(&self) -> Option<CancelReason> {
        None
    }

    async fn room(&self) {
        let _ = self.room.subscribe().wait_for(|is_full| !is_full).await;
    }

    async fn receive(&self, calls: Vec<Call>) -> Vec<ServerFrame> {
        let mut answers = Vec::new();
        for call in calls {
            match call {
                Call::Log(lines) => self.note(lines).await,
                Call::Submit { reference, .. } => answers.push(ServerFrame::Submitted { reference, id: job() }),
                call => self.desk.lock().calls.push(call),
            }
        }
        answers
    }

    async fn note(&self, lines: Vec<LogLine>) {
        self.desk.lock().lines.extend(lines.iter().map(|line| line.text.to_string()));
        self.heard.notify_one();
    }

    async fn keep_file(&self, name: String, path: PathBuf) -> Result<(), String> {
        let mut desk = self.desk.lock();
        if desk.refuses_files {
            return Err("there is no room".to_owned());
        }
        desk.files.push((name, std::fs::read_to_string(path).expect("it is there")));
        Ok(())
    }

    async fn end(&self, end: End, was_started: bool) {
        self.desk.lock().end = Some((end, was_started));
    }

    fn let_go(&self) {
        self.desk.lock().was_let_go = true;
    }
}

/// Runs a shell script for the job, beside what the test does meanwhile.
async fn run_with(superior: &Fake, program: &[&str], meanwhile: impl Future<Output = ()>) -> Started {
    let dir = tempfile::tempdir().expect("a directory");
    let argv = program.iter().map(|&argument| argument.to_owned()).collect();
    let bench = Bench {
        launcher: Arc::new(UnixLauncher),
        groups: LiveGroups::open(&dir.path().join("groups"), EPOCH).expect("opens"),
        scratch: dir.path().join("scratch"),
        kind: "work".parse().expect("a name"),
        program: Program { argv, dir: dir.path().to_owned(), env: Vec::new() },
    };
    let grant = Granted { job: job(), attempt: 1, token: LeaseToken::new("secret") };
    let (started, ()) = tokio::join!(Run::new(&bench, superior, &grant).run(), meanwhile);
    assert!(superior.desk.lock().was_let_go, "whatever happens, it lets go of the job");
    assert_eq!(files_in(&dir.path().join("groups")), 0, "and nothing of it lives");
    started
}

async fn run(superior: &Fake, script: &str) -> Started {
    run_with(superior, &["/bin/sh", "-c", script], async {}).await
}

#[tokio::test]
async fn what_a_program_says_is_reported_and_its_end_comes_last() {
    let superior = Fake::default();
    let script = r#"echo '{"type":"submit","ref":"r","job":{}}'; read frame; read answer; echo "$answer"
        echo '{"type":"checkpoint","data":1}'; printf made > $DAYBOOK_OUTPUT_DIR/a.txt; echo '{"ok": 1}'"#;
    assert!(matches!(run(&superior, script).await, Started::Yes));
    let desk = superior.desk.lock();
    assert!(desk.lines[0].starts_with(r#"{"type":"submitted","ref":"r""#), "{:?}", desk.lines);
    assert_eq!(desk.calls, [Call::Checkpoint(Json::of(&json!(1)))]);
    assert_eq!(desk.files, [("a.txt".to_owned(), "made".to_owned())]);
    assert_eq!(desk.end, Some((End::Complete(Some(Json::of(&json!({"ok": 1})))), true)));
}

#[tokio::test]
async fn an_answer_that_comes_late_reaches_the_program_all_the_same() {
    let superior = Fake::default();
    let script = "read frame; echo ready; read answer; echo \"got $answer\"";
    let answer = async {
        superior.until_logged("ready").await;
        superior.tell(ServerFrame::Error(FrameError::new("invalid_request", "no such kind").into()));
    };
    run_with(&superior, &["/bin/sh", "-c", script], answer).await;
    assert!(superior.desk.lock().lines.iter().any(|line| line.starts_with("got") && line.contains("no such kind")));
}

#[tokio::test]
async fn how_a_program_ends_is_how_its_run_ends() {
    for (script, expected) in [
        ("exit 0", "Complete(None)"),
        ("echo why >&2; exit 4", "exit status 4: why"),
        ("kill -KILL $$", "Lost(ProcessDied)"),
    ] {
        let superior = Fake::default();
        run(&superior, script).await;
        let end = format!("{:?}", superior.end());
        assert!(end.contains(expected), "{script}: {end}");
    }
    let superior = Fake::default();
    let started = run_with(&superior, &["no-such-program-at-all"], async {}).await;
    assert!(matches!(started, Started::No { .. }));
    let end = superior.end();
    assert!(matches!(&end, Some((End::Fail(error), false)) if &*error.code == "spawn_failed"), "{end:?}");
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_gives_its_job_back_unless_it_has_a_result() {
    let released = |cause| Some((End::Release(cause), true));
    for (reason, last, expected) in [
        (CancelReason::Requested, "", released(QueuedCause::Released)),
        (CancelReason::Requested, "echo 7;", Some((End::Complete(Some(Json::of(&json!(7)))), true))),
        (CancelReason::Shutdown, "echo 7;", released(QueuedCause::Shutdown)),
        (CancelReason::Timeout, "echo 7;", released(QueuedCause::Released)),
    ] {
        let superior = Fake::default();
        let script = format!("trap '{last} exit 0' TERM; echo ready; while :; do read line; done");
        let stop = async {
            superior.until_logged("ready").await;
            superior.cancel(reason);
        };
        run_with(&superior, &["/bin/sh", "-c", &script], stop).await;
        assert_eq!(superior.end(), expected, "{reason:?} {last}");
    }
}

#[tokio::test]
async fn a_run_whose_lease_is_lost_is_killed_and_says_nothing_more() {
    let superior = Fake::default();
    let lose = async {
        superior.until_logged("ready").await;
        superior.desk.lock().is_lost = true;
        superior.tell(ServerFrame::Lost { job_id: job() });
    };
    run_with(&superior, &["/bin/sh", "-c", "trap '' TERM; echo ready; sleep 1000"], lose).await;
    assert_eq!(superior.end(), None);
}

#[tokio::test]
async fn a_program_that_says_more_than_there_is_room_for_waits_and_can_still_be_killed() {
    let superior = Fake::default();
    superior.room.send_replace(true);
    let kill = async { superior.killed.notify_one() };
    run_with(&superior, &["/bin/sh", "-c", "trap '' TERM; while :; do echo more; done"], kill).await;
    assert_eq!(superior.end(), Some((End::Lost(LossCause::ProcessDied), true)));
}

#[tokio::test]
async fn a_file_that_cannot_be_kept_fails_the_attempt() {
    let superior = Fake::default();
    superior.desk.lock().refuses_files = true;
    run(&superior, "printf made > $DAYBOOK_OUTPUT_DIR/a.txt").await;
    let end = superior.end();
    assert!(matches!(&end, Some((End::Fail(error), true)) if &*error.code == "output_failed"), "{end:?}");
}
