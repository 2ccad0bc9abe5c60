//! `daybook work` as its users meet it: the built binary, real programs, and a server that does what a test says, also
//! what no good server does.

mod fake;

use nix::sys::signal::Signal;
use serde_json::json;

use fake::{Fake, JOBS, Worker};

/// A program that says that it runs, and goes on when the pipe `go` is written to.
const GATE: &str = "echo at the gate $$; read line < go; echo '{\"through\": true}'";

struct Scene {
    fake: Fake,
    directory: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Scene {
        let directory = tempfile::tempdir().expect("a directory");
        nix::unistd::mkfifo(&directory.path().join("go"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        Scene { fake: Fake::start().await, directory }
    }

    fn worker(&self, options: &str, script: &str) -> Worker {
        Worker::start(&self.fake.address, self.directory.path(), options, script)
    }

    /// Lets a program through the gate.
    async fn open_gate(&self) {
        let gate = self.directory.path().join("go");
        let open = tokio::task::spawn_blocking(move || std::fs::write(gate, "go\n"));
        fake::patiently("a program at the gate", open).await.expect("no panic").expect("writes");
    }
}

fn is_alive(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with(['Z', 'X']))
}

#[tokio::test]
async fn a_program_runs_for_each_job_and_what_it_says_reaches_the_server() {
    let scene = Scene::set().await;
    let script = r#"read -r frame
        case "$frame" in *'"number":1'*) echo "no such thing" >&2; exit 3;; esac
        echo "$DAYBOOK_JOB_ID $DAYBOOK_KIND $DAYBOOK_ATTEMPT $DAYBOOK_EPOCH $DAYBOOK_LEASE_TOKEN $DAYBOOK_ARGS"
        echo '{"type":"progress","percent":40,"stage":"half"}'
        echo '{"type":"add_items","items":[{"key":"a"}]}'
        echo '{"type":"item","key":"a","state":"completed"}'
        echo '{"type":"checkpoint","data":{"at":3}}'
        echo '{"type":"submit","ref":"mine","job":{"kind":"page","args":{}}}'
        read -r answer; echo "answered: $answer"
        echo '{"ok": 1.50}'"#;
    let worker = scene.worker("--name gpu-1 --queue images --concurrency 2 --json", script);
    let mut line = scene.fake.welcomed(1).await;
    let hello = json!({"type":"hello","name":"gpu-1","kinds":["work"],"queues":["images"]});
    assert_eq!(line.hello, hello);
    assert_eq!(line.expect("ready").await["slots"], 2);
    line.give(0).await;
    let first = line.expect("log").await;
    let epoch = "01900000-0000-7000-a000-000000000001";
    let said = format!("{} work 1 {epoch} token-0 {{\"number\":0}}", JOBS[0]);
    assert_eq!((first["job_id"].as_str(), first["token"].as_str()), (Some(JOBS[0]), Some("token-0")));
    assert_eq!(first["lines"], json!([{"stream":"stdout","text":said}]));
    let submit = line.expect("submit").await;
    assert_eq!(submit["job"], json!({"kind":"page","args":{}}));
    line.say(json!({"type":"submitted","ref":submit["ref"],"id":JOBS[2]})).await;
    line.logged(&format!(r#"answered: {{"type":"submitted","ref":"mine","id":"{}"}}"#, JOBS[2])).await;
    assert_eq!(line.expect("complete").await["result"].to_string(), "{\"ok\":1.5}");
    line.give(1).await;
    let failed = line.expect("fail").await;
    assert_eq!((failed["job_id"].as_str(), failed["error"]["code"].as_str()), (Some(JOBS[1]), Some("exit_status")));
    assert_eq!(failed["error"]["message"], "the program ended with exit status 3: no such thing");
    worker.signal(Signal::SIGTERM);
    assert_eq!(line.expect("ready").await["slots"], 0);
    assert_eq!(line.expect("close").await["code"], 1000);
    let (status, said, printed) = worker.ended().await;
    assert!(status.success(), "{said}");
    let types: Vec<String> = printed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["type"].to_string())
        .collect();
    assert_eq!(types.first().map(String::as_str), Some("\"connected\""));
    assert_eq!(types.last().map(String::as_str), Some("\"closed\""));
    assert!(printed.contains(r#""outcome":"failed""#) && said.contains("completed after"), "{printed}{said}");
}

#[tokio::test]
async fn a_program_does_not_know_the_token_of_its_worker_and_one_that_a_signal_ends_has_died() {
    let scene = Scene::set().await;
    let script = format!("echo found $(env | grep -c {}); kill -9 $$", fake::TOKEN);
    let _worker = scene.worker("", &script);
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    line.logged("found 0").await;
    let failed = line.expect("fail").await;
    assert_eq!(failed["error"]["code"], "process_died", "{failed}");
}

#[tokio::test]
async fn items_checkpoints_and_progress_keep_their_order() {
    let scene = Scene::set().await;
    let script = r#"echo '{"type":"add_items","items":[{"key":"a"}]}'; echo '{"type":"item","key":"a","state":"skipped"}'
        echo '{"type":"checkpoint","data":1}'; echo '{"type":"progress","percent":99}'; echo '{"type":"item","key":7}'"#;
    let _worker = scene.worker("", script);
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    for name in ["add_items", "item", "checkpoint"] {
        line.expect(name).await;
    }
    assert_eq!(line.expect("complete").await["result"], json!(null));
}

#[tokio::test]
async fn what_a_run_leaves_is_sent_with_its_token_before_it_completes() {
    let scene = Scene::set().await;
    let _worker = scene.worker("", "cd $DAYBOOK_OUTPUT_DIR; printf made > 'a b.txt'; mkdir sub; echo '{}'");
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    // A server that is overloaded is asked again.
    scene.fake.answer("503 Service Unavailable").await;
    let put = scene.fake.answer("201 Created").await;
    let head = put.head.to_ascii_lowercase();
    assert!(head.starts_with(&format!("put /api/jobs/{}/files/a%20b.txt ", JOBS[0])), "{head}");
    assert!(head.contains("lease-token: token-0") && head.contains("content-type: text/plain"), "{head}");
    assert_eq!(put.body, "made");
    line.logged("\"sub\" is not kept").await;
    line.expect("complete").await;
}

#[tokio::test]
async fn a_run_whose_file_comes_too_late_is_lost_and_has_not_failed() {
    let scene = Scene::set().await;
    let mut worker = scene.worker("", "printf made > $DAYBOOK_OUTPUT_DIR/a.txt");
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    scene.fake.answer("409 Conflict").await;
    worker.said("ended for nothing").await;
    worker.signal(Signal::SIGTERM);
    while let Some(frame) = line.next().await {
        assert!(frame["type"] != "fail" && frame["type"] != "complete", "{frame}");
    }
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_frame_costs_no_work() {
    let scene = Scene::set().await;
    let mut worker = scene.worker("", GATE);
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    line.logged("at the gate").await;
    line.cut_in_mid_frame().await;
    worker.said("not connected").await;
    // The program ends while nobody listens.
    scene.open_gate().await;
    let mut line = scene.fake.greeted().await;
    let lease = json!([{"job_id":JOBS[0],"token":"token-0"}]);
    let session = "01900000-0000-7000-9000-000000000001";
    assert_eq!(line.hello["resume"], json!({"session":session,"leases":lease}));
    line.welcome(1).await;
    assert_eq!(line.expect("ready").await["slots"], 1);
    assert_eq!(line.expect("complete").await["result"], json!({"through":true}));
    worker.said("connected again").await;
    worker.said("completed").await;
}

#[tokio::test]
async fn an_end_is_said_again_until_it_was_certainly_heard_and_then_no_more() {
    let scene = Scene::set().await;
    let _worker = scene.worker("", "echo '{\"ok\":1}'");
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    line.expect("complete").await;
    // It was read, but who knows whether it was carried out.
    line.cut_in_mid_frame().await;
    let mut line = scene.fake.welcomed(1).await;
    assert_eq!(line.hello["resume"]["leases"][0]["job_id"], JOBS[0]);
    assert_eq!(line.expect("complete").await["result"], json!({"ok":1}));
    line.until_quiet(2).await;
    line.give(1).await;
    line.expect("complete").await;
    line.close(4001).await;
    let line = scene.fake.greeted().await;
    assert_eq!(line.hello["resume"]["leases"], json!([{"job_id":JOBS[1],"token":"token-1"}]));
}

#[tokio::test]
async fn a_lease_that_was_lost_meanwhile_ends_the_program_and_nothing_more_is_said_of_it() {
    let scene = Scene::set().await;
    let mut worker = scene.worker("--concurrency 2", &format!("trap '' TERM; echo $$ > pid; {GATE}"));
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    line.logged("at the gate").await;
    let process = std::fs::read_to_string(scene.directory.path().join("pid")).expect("written");
    line.cut_in_mid_frame().await;
    let mut line = scene.fake.welcomed(2).await;
    line.say(json!({"type":"lost","job_id":JOBS[0]})).await;
    worker.said("the lease of a job is lost").await;
    worker.said("ended for nothing").await;
    assert!(!is_alive(process.trim()));
    line.give(1).await;
    line.logged("at the gate").await;
    scene.open_gate().await;
    let end = line.expect("complete").await;
    assert_eq!(end["job_id"], JOBS[1]);
    worker.signal(Signal::SIGTERM);
    while let Some(frame) = line.next().await {
        assert!(frame["job_id"] != JOBS[0], "{frame}");
    }
}

#[tokio::test]
async fn a_cancel_reaches_the_program_and_one_that_ignores_it_is_killed_after_its_grace() {
    let scene = Scene::set().await;
    let _worker = scene.worker("--concurrency 2", &format!("trap '' TERM; {GATE}"));
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    line.logged("at the gate").await;
    line.say(json!({"type":"cancel","job_id":JOBS[0],"reason":"requested","grace_s":0.2})).await;
    line.logged("told to stop (requested)").await;
    assert_eq!(line.expect("release").await["job_id"], JOBS[0]);
}

#[tokio::test]
async fn a_worker_that_is_asked_to_go_brings_to_its_end_what_runs_also_over_a_new_connection() {
    let scene = Scene::set().await;
    let mut worker = scene.worker("", GATE);
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    line.logged("at the gate").await;
    worker.signal(Signal::SIGTERM);
    worker.said("no more jobs are taken").await;
    line.cut_in_mid_frame().await;
    let mut line = scene.fake.welcomed(1).await;
    assert_eq!(line.expect("ready").await["slots"], 0);
    // What was on its way is given back.
    line.give(1).await;
    assert_eq!(line.expect("release").await["job_id"], JOBS[1]);
    scene.open_gate().await;
    assert_eq!(line.expect("complete").await["job_id"], JOBS[0]);
    assert_eq!(line.expect("close").await["code"], 1000);
    let (status, said, _) = worker.ended().await;
    assert!(status.success() && said.ends_with("done\n"), "{said}");
}

#[tokio::test]
async fn a_second_signal_stops_what_runs_and_gives_it_back() {
    let scene = Scene::set().await;
    let mut worker = scene.worker("--grace 0.2", &format!("trap '' TERM; {GATE}"));
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    line.logged("at the gate").await;
    worker.signal(Signal::SIGINT);
    worker.said("no more jobs are taken").await;
    worker.signal(Signal::SIGTERM);
    line.logged("told to stop (shutdown)").await;
    assert_eq!(line.expect("release").await["job_id"], JOBS[0]);
    assert_eq!(line.expect("close").await["code"], 1000);
    assert!(worker.ended().await.0.success());
}

#[tokio::test]
async fn a_drain_that_takes_too_long_stops_what_runs() {
    let scene = Scene::set().await;
    let mut worker = scene.worker("--drain-timeout 0.2 --grace 0.2", &format!("trap '' TERM; {GATE}"));
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    line.logged("at the gate").await;
    worker.signal(Signal::SIGTERM);
    worker.said("told 1 jobs to stop (the drain took too long)").await;
    assert_eq!(line.expect("release").await["job_id"], JOBS[0]);
    assert_eq!(line.expect("close").await["code"], 1000);
    assert!(worker.ended().await.0.success());
}

#[tokio::test]
async fn the_server_may_ask_a_worker_to_finish_or_to_stop_at_once() {
    let scene = Scene::set().await;
    let worker = scene.worker("", GATE);
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    line.logged("at the gate").await;
    line.say(json!({"type":"quiet"})).await;
    while line.expect("ready").await["slots"] != 0 {}
    line.say(json!({"type":"terminate"})).await;
    assert_eq!(line.expect("release").await["job_id"], JOBS[0]);
    assert_eq!(line.expect("close").await["code"], 1000);
    assert!(worker.ended().await.0.success());
}

#[tokio::test]
async fn a_server_that_does_not_want_the_worker_ends_it_with_the_next_step() {
    for (response, error, hint) in [
        ("401 Unauthorized", "status 401", "--token"),
        ("403 Forbidden", "status 403", "role worker"),
        ("404 Not Found", "status 404", "daybook status"),
    ] {
        let scene = Scene::set().await;
        let worker = scene.worker("", "true");
        scene.fake.answer(response).await;
        let (status, said, _) = worker.ended().await;
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(error) && said.contains("hint: ") && said.contains(hint), "{said}");
    }
    let scene = Scene::set().await;
    let worker = scene.worker("", "true");
    scene.fake.welcomed(1).await.close(4501).await;
    let (status, said, _) = worker.ended().await;
    assert!(status.code() == Some(1) && said.contains("4501 (as the test says)") && said.contains("--token"), "{said}");
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for_and_that_is_said_once() {
    let scene = Scene::set().await;
    let mut worker = scene.worker("", "true");
    scene.fake.answer("503 Service Unavailable").await;
    scene.fake.answer("503 Service Unavailable").await;
    let mut line = scene.fake.welcomed(1).await;
    line.expect("ready").await;
    worker.said("connected as").await;
    worker.signal(Signal::SIGTERM);
    line.expect("close").await;
    let (status, said, _) = worker.ended().await;
    assert!(status.success(), "{said}");
    assert_eq!(said.matches("not connected").count(), 1, "{said}");
}

#[tokio::test]
async fn a_program_that_is_killed_costs_an_attempt() {
    let scene = Scene::set().await;
    let _worker = scene.worker("", "kill -KILL $$");
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    let error = line.expect("fail").await["error"].clone();
    assert_eq!((&error["code"], &error["retryable"]), (&json!("process_died"), &json!(true)));
}

#[tokio::test]
async fn a_program_that_cannot_be_started_pauses_the_worker() {
    let scene = Scene::set().await;
    let _worker = Worker::running(&scene.fake.address, scene.directory.path(), "", &["no-such-program-at-all"]);
    let mut line = scene.fake.welcomed(1).await;
    assert_eq!(line.expect("ready").await["slots"], 1);
    line.give(0).await;
    assert_eq!(line.expect("ready").await["slots"], 0, "before the job has failed");
    assert_eq!(line.expect("fail").await["error"]["code"], "spawn_failed");
    assert_eq!(line.expect("ready").await["slots"], 1, "after a while it tries again");
}

#[tokio::test]
async fn what_a_killed_worker_left_running_is_found_and_ended_by_the_next() {
    let scene = Scene::set().await;
    let script = "sleep 1000 & echo $! > forked; echo $$ > own; echo at work; wait";
    let worker = scene.worker("", script);
    let mut line = scene.fake.welcomed(1).await;
    line.give(0).await;
    line.logged("at work").await;
    let number = |name: &str| std::fs::read_to_string(scene.directory.path().join(name)).expect("written");
    let (own, forked) = (number("own"), number("forked"));
    worker.signal(Signal::SIGKILL);
    assert!(!worker.ended().await.0.success());
    let mut next = scene.worker("", "true");
    scene.fake.welcomed(2).await.expect("ready").await;
    next.said("ended what a killed worker had left running").await;
    assert!(!is_alive(own.trim()) && !is_alive(forked.trim()));
}
