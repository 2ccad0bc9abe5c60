//! Mode `command`.

use serde_json::json;

use crate::domain::event::Event;
use crate::domain::event::QueuedCause;
use crate::domain::job::{Job, Reason, StateName};
use crate::domain::time::Millis;
use crate::sessions::ports::{LOG_LINE_BYTES_MAX, LogStream};

use super::*;

#[tokio::test]
async fn the_last_line_is_the_result_and_the_others_are_log_lines() {
    let works =
        Works::command("echo begin; echo problem >&2; echo '{\"a\": 1}'; echo '{\"ok\": true}'; echo; exit 0").await;
    let id = works.submit(json!({})).await;
    assert_eq!(works.world.until_ended(id).await.state_name(), StateName::Completed);
    assert_eq!(works.world.result_of(id), json!({"ok": true}));
    let lines = works.world.logs.of(id);
    let of = |stream| lines.iter().filter(|line| line.stream == stream).map(|line| &*line.text).collect::<Vec<_>>();
    assert_eq!(of(LogStream::Stdout), ["begin", "{\"a\": 1}", ""]);
    assert_eq!(of(LogStream::Stderr), ["problem"]);
    assert!(works.world.logs.is_synced(id));
}

#[tokio::test]
async fn without_json_in_the_last_line_there_is_no_result() {
    let works = Works::command("echo '{\"a\": 1}'; echo done").await;
    let id = works.submit(json!({})).await;
    works.world.until_ended(id).await;
    assert_eq!(works.world.result_of(id), json!(null));
    assert_eq!(works.logged(id), ["{\"a\": 1}", "done"]);
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_the_job_and_is_not_dropped_in_silence() {
    for bytes in ["13000000", "17000000"] {
        let works = Works::command(&format!("printf '\"'; head -c {bytes} /dev/zero | tr '\\0' x; echo '\"'")).await;
        let id = works.submit(json!({})).await;
        let ended = works.world.until_ended(id).await;
        assert_eq!(ended.ending().expect("ended").reason, Some(Reason::NotRetryable));
        let error = ended.extras.as_ref().expect("extras").error.clone().expect("an error");
        assert_eq!(&*error.code, "result_too_large", "{bytes}");
        let lines = works.logged(id);
        assert!(lines.last().is_some_and(|line| line.contains("output files")), "{bytes}");
    }
}

#[tokio::test]
async fn the_job_comes_on_standard_input_and_in_the_environment() {
    let script = r#"
        read -r frame; printf '%s\n' "$frame" > frame.json
        echo "$DAYBOOK_JOB_ID $DAYBOOK_KIND $DAYBOOK_ATTEMPT $DAYBOOK_EPOCH $DAYBOOK_SERVER $GREETING"
        printf '%s\n' "$DAYBOOK_ARGS"; echo "$DAYBOOK_LEASE_TOKEN" > token; ls "$DAYBOOK_OUTPUT_DIR" | wc -l"#;
    let works = Works::command(script).await;
    let id = works.submit(json!({"text": "a 'quoted' \"line\"\n$HOME"})).await;
    works.world.until_ended(id).await;
    let frame: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(works.path("frame.json")).expect("reads")).expect("JSON");
    assert_eq!(frame["type"], "job");
    assert_eq!(frame["job"]["args"], json!({"text": "a 'quoted' \"line\"\n$HOME"}));
    let token = std::fs::read_to_string(works.path("token")).expect("reads");
    assert_eq!(frame["lease"]["token"], token.trim());
    let lines = works.logged(id);
    assert_eq!(lines[0], format!("{id} work 1 {EPOCH} http://127.0.0.1:7878 moin"));
    assert_eq!(lines[1], r#"{"text":"a 'quoted' \"line\"\n$HOME"}"#);
    assert_eq!(works.world.result_of(id), json!(0), "the output directory is empty at first");
}

#[tokio::test]
async fn frames_are_carried_out_and_answered_and_a_checkpoint_reaches_the_next_attempt() {
    let script = r#"
        read -r frame
        case "$frame" in *'"checkpoint":{"at":3}'*) echo '{"again": true}'; exit 0;; esac
        echo '{"type":"add_items","items":[{"key":"a"},{"key":"b"}]}'
        echo '{"type":"item","key":"a","state":"completed"}'
        echo '{"type":"progress","percent":40,"stage":"half"}'
        echo '{"type":"checkpoint","data":{"at":3}}'
        echo '{"type":"submit","ref":"p1","job":{"kind":"page","args":{}}}'
        read -r answer; echo "$answer"
        echo '{"type":"submit","ref":"p2","job":{"knd":"page"}}'
        read -r answer; echo "$answer"
        exit 3"#;
    let works = Works::command(script).await;
    let id = works.submit(json!({})).await;
    let ended = works.world.until_ended(id).await;
    assert_eq!((ended.state_name(), ended.attempt), (StateName::Completed, 2));
    assert_eq!(works.world.result_of(id), json!({"again": true}));
    let counts = ended.items().expect("a batch").counts();
    assert_eq!((counts.completed, counts.skipped), (1, 1));
    let lines = works.logged(id);
    assert!(lines.iter().any(|line| line.contains(r#""type":"submitted","ref":"p1""#)), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains(r#""ref":"p2""#) && line.contains("knd")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("a frame was not carried out: invalid_request")), "{lines:#?}");
}

#[tokio::test]
async fn a_frame_that_is_wrong_is_told_in_the_log_and_stops_nothing() {
    let works = Works::command(r#"echo '{"type":"progress","percnt":4}'; echo '{"ok":1}'"#).await;
    let id = works.submit(json!({})).await;
    works.world.until_ended(id).await;
    assert_eq!(works.world.result_of(id), json!({"ok": 1}));
    assert!(works.logged(id)[0].contains("unknown field `percnt`"), "{:?}", works.logged(id));
}

#[tokio::test]
async fn another_status_fails_the_attempt_with_the_last_words() {
    let works = Works::command("echo '{\"half\": 1}'; echo 'first' >&2; echo 'no such archive' >&2; exit 3").await;
    let id = works.submit_with(json!({}), |job| job.policy.max_attempts = 2).await;
    let ended = works.world.until_ended(id).await;
    assert_eq!((ended.state_name(), ended.failures, ended.lost_count), (StateName::Failed, 2, 0));
    assert_eq!(ended.ending().expect("ended").reason, Some(Reason::AttemptsExhausted));
    let error = ended.extras.as_ref().expect("extras").error.clone().expect("an error");
    assert_eq!(&*error.code, "exit_status");
    assert_eq!(&*error.message, "the program ended with exit status 3: no such archive");
    assert!(works.logged(id).contains(&"{\"half\": 1}".to_owned()));
}

#[tokio::test]
async fn death_by_a_foreign_signal_is_a_loss_and_no_attempt() {
    let works = Works::command("if [ -e once ]; then echo '{}'; else touch once; kill -KILL $$; fi").await;
    let id = works.submit(json!({})).await;
    let ended = works.world.until_ended(id).await;
    assert_eq!((ended.state_name(), ended.attempt, ended.lost_count), (StateName::Completed, 1, 1));
    assert!(works.logged(id)[0].contains("signal 9"), "{:?}", works.logged(id));
}

#[tokio::test]
async fn what_a_run_leaves_in_its_directory_becomes_the_files_of_the_job() {
    let script =
        r#"cd "$DAYBOOK_OUTPUT_DIR"; printf one > a.txt; printf three > b.txt; mkdir sub; ln -s /etc/passwd link"#;
    let works = Works::command(script).await;
    let id = works.submit(json!({})).await;
    let ended = works.world.until_ended(id).await;
    assert_eq!(ended.state_name(), StateName::Completed);
    let files: Vec<(&str, u64)> =
        ended.extras.as_ref().expect("extras").files.iter().map(|file| (&*file.name, file.size)).collect();
    assert_eq!(files, [("a.txt", 3), ("b.txt", 5)]);
    assert_eq!(works.files.files.lock().len(), 2);
    assert_eq!(works.logged(id).iter().filter(|line| line.contains("is not kept")).count(), 2);
    assert_eq!(files_in(&works.path("scratch")), 0);
}

#[tokio::test]
async fn a_cancelled_child_that_ignores_the_request_is_killed_after_its_grace_with_all_that_it_forked() {
    let script = "trap '' TERM; sleep 1000 & echo $! > forked; echo $$ > own; echo ready; while :; do sleep 1000; done";
    let works = Works::command(script).await;
    let id = works.submit(json!({})).await;
    works.world.until_logged(id, "ready").await;
    works.world.cancel(id).await;
    let ended = works.world.until_ended(id).await;
    assert_eq!(ended.ending().expect("ended").reason, Some(Reason::CancelledByRequest));
    // The slot takes the next job only when the group is dead.
    let next = works.submit(json!({})).await;
    works.world.until(next, "a start", |job| job.run().is_some()).await;
    works.world.until_logged(next, "ready").await;
    works.world.cancel(next).await;
    works.world.until_ended(next).await;
    assert!(works.logged(id).iter().any(|line| line.contains("told to stop (requested)")));
}

#[tokio::test]
async fn no_process_of_a_cancelled_job_is_alive_when_its_slot_is_free_again() {
    let works = Works::command(
        "if [ -e forked ]; then echo '{}'; exit; fi
         trap '' TERM; (trap '' TERM; sleep 1000) & echo $! > forked; echo ready; while :; do sleep 1000; done",
    )
    .await;
    let id = works.submit(json!({})).await;
    works.world.until_logged(id, "ready").await;
    let forked = works.number_in("forked");
    assert!(is_alive(forked));
    works.world.cancel(id).await;
    let next = works.submit(json!({})).await;
    works.world.until_ended(next).await;
    assert!(!is_alive(forked));
}

#[tokio::test]
async fn after_a_cancel_a_result_still_counts_and_an_orderly_exit_does_not() {
    let script = r#"trap 'echo "$DAYBOOK_ARGS" | grep -q result && echo "{\"done\": 1}"; exit 0' TERM
        echo ready; while :; do sleep 0.01; done"#;
    let works = Works::command(script).await;
    let with_result = works.submit(json!({"say": "result"})).await;
    works.world.until_logged(with_result, "ready").await;
    works.world.cancel(with_result).await;
    assert_eq!(works.world.until_ended(with_result).await.state_name(), StateName::Completed);
    let without = works.submit(json!({"say": "nothing"})).await;
    works.world.until_logged(without, "ready").await;
    works.world.cancel(without).await;
    assert_eq!(works.world.until_ended(without).await.state_name(), StateName::Cancelled);
}

#[tokio::test]
async fn a_run_that_takes_too_long_fails_with_timeout_and_its_child_is_dead_before_the_next() {
    let script = "if [ -e own ]; then kill -0 $(cat own) 2>/dev/null && echo '{\"alive\": true}' || echo '{}'; exit; fi
        trap '' TERM; echo $$ > own; while :; do sleep 1000; done";
    let works = Works::command(script).await;
    // On a busy machine more than one attempt may end before its child has begun.
    let change = |job: &mut NewJob| {
        job.policy.timeout = Some(Millis(300));
        job.policy.max_attempts = 50;
    };
    let id = works.submit_with(json!({}), change).await;
    let ended = works.world.until_ended(id).await;
    assert_eq!(ended.state_name(), StateName::Completed);
    assert_eq!(works.world.result_of(id), json!({}), "the child before is dead");
    assert!(works.logged(id).iter().any(|line| line.contains("told to stop (timeout)")), "{:?}", works.logged(id));
    let failed = works.world.records_of(id).into_iter().find_map(|record| match record.event {
        Event::JobAttemptFailed(failed) => Some(failed),
        _ => None,
    });
    assert_eq!(&*failed.expect("an attempt failed").error.code, "timeout");
}

#[tokio::test]
async fn a_job_ends_with_its_child_and_not_with_a_grandchild_that_holds_its_pipes() {
    let works = Works::command("sleep 1000 & echo $! > forked; echo '{\"ok\": 1}'; exit 0").await;
    let id = works.submit(json!({})).await;
    works.world.until_ended(id).await;
    assert_eq!(works.world.result_of(id), json!({"ok": 1}));
    assert!(!is_alive(works.number_in("forked")), "the rest of the group is killed");
}

#[tokio::test]
async fn what_is_left_in_the_pipe_when_a_child_ends_is_not_lost() {
    let works = Works::command("seq 1 20000; echo '{\"last\": 1}'").await;
    let id = works.submit(json!({})).await;
    works.world.until_ended(id).await;
    let lines = works.logged(id);
    assert_eq!((lines.len(), lines[0].as_str(), lines[19_999].as_str()), (20_000, "1", "20000"));
    assert_eq!(works.world.result_of(id), json!({"last": 1}));
}

#[tokio::test]
async fn garbage_and_endless_lines_become_cut_log_lines() {
    let script = r#"head -c 2000000 /dev/zero | tr '\0' x; echo
        head -c 2000000 /dev/zero | tr '\0' '{'; echo
        printf 'not \377 utf8\n\0\n'; echo '{"ok": 1}'"#;
    let works = Works::command(script).await;
    let id = works.submit(json!({})).await;
    works.world.until_ended(id).await;
    assert_eq!(works.world.result_of(id), json!({"ok": 1}));
    let lines = works.logged(id);
    assert_eq!(lines.len(), 4);
    assert!(lines[..2].iter().all(|line| line.ends_with("[cut: the line had 2000000 bytes]")));
    assert!(lines.iter().all(|line| line.len() <= LOG_LINE_BYTES_MAX));
    assert_eq!(lines[2], "not \u{fffd} utf8");
}

#[tokio::test]
async fn a_program_that_is_not_there_fails_its_attempts_and_says_what_to_correct() {
    let works = Works::start(RunMode::Command, 1, "x", "", &["no-such-program-at-all"]).await;
    let id = works.submit_with(json!({}), |job| job.policy.max_attempts = 1).await;
    let ended = works.world.until_ended(id).await;
    let error = ended.extras.as_ref().expect("extras").error.clone().expect("an error");
    assert_eq!((ended.state_name(), &*error.code), (StateName::Failed, "spawn_failed"));
    assert!(error.message.contains("no-such-program-at-all") && error.message.contains("PATH"), "{error:?}");
    assert!(works.logged(id)[0].contains("no child was started"));
    // The slot waits before it takes the next job, so that a queue is not burnt through.
    let next = works.submit(json!({})).await;
    assert_eq!(works.world.job(next).state_name(), StateName::Queued);
}

#[tokio::test]
async fn a_server_that_stops_gives_its_jobs_back_without_an_attempt_or_a_loss() {
    let mut works = Works::command("trap '' TERM; echo ready; while :; do sleep 1000; done").await;
    let id = works.submit(json!({})).await;
    works.world.until_logged(id, "ready").await;
    assert_eq!(works.drain().await, Drained { late: 0 });
    let job = works.world.job(id);
    assert_eq!((job.state_name(), job.failures, job.lost_count), (StateName::Queued, 0, 0));
    let cause = works.world.records_of(id).into_iter().find_map(|record| match record.event {
        Event::JobQueued(queued) => Some(queued.cause),
        _ => None,
    });
    assert_eq!(cause, Some(QueuedCause::Shutdown));
    assert!(works.has_no_groups());
}

#[tokio::test]
async fn a_program_that_ends_in_order_because_the_server_stops_has_not_completed_its_job() {
    let mut works = Works::command("trap 'echo \"{}\"; exit 0' TERM; echo ready; while :; do sleep 0.01; done").await;
    let id = works.submit(json!({})).await;
    works.world.until_logged(id, "ready").await;
    works.drain().await;
    assert_eq!(works.world.job(id).state_name(), StateName::Queued);
}

#[tokio::test]
async fn each_process_of_a_kind_runs_a_job_of_its_own() {
    let script = "touch \"$DAYBOOK_JOB_ID.here\"; while [ $(ls *.here | wc -l) -lt 3 ]; do sleep 0.01; done; echo 1";
    let works = Works::start(RunMode::Command, 3, "run.sh", script, &["/bin/sh", "run.sh"]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(works.submit(json!({})).await);
    }
    for id in ids {
        works.world.until(id, "an end in company", Job::is_terminal).await;
    }
}

#[tokio::test]
async fn a_child_that_never_reads_its_input_is_no_obstacle() {
    let works = Works::command("echo '{\"ok\": 1}'").await;
    let id = works.submit(json!({"text": "x".repeat(1 << 20)})).await;
    works.world.until_ended(id).await;
    assert_eq!(works.world.result_of(id), json!({"ok": 1}));
}

#[tokio::test]
async fn a_kind_that_is_taken_out_of_the_configuration_brings_its_job_to_an_end_first() {
    let works = Works::command("echo ready; while [ ! -e go ]; do sleep 0.01; done; echo '{}'").await;
    let id = works.submit(json!({})).await;
    works.world.until_logged(id, "ready").await;
    works.supervisor.as_ref().expect("it runs").apply(Vec::new());
    let next = works.submit(json!({})).await;
    std::fs::write(works.path("go"), "").expect("writes");
    assert_eq!(works.world.until_ended(id).await.state_name(), StateName::Completed);
    let mut works = works;
    works.drain().await;
    assert_eq!(works.world.job(next).state_name(), StateName::Queued);
    assert_eq!(works.launches(), 1);
}
