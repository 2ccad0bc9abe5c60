//! The frames of the contract, word for word, and the errors of those that are wrong.

use serde_json::json;

use crate::domain::batch::{ItemState, NewItem};
use crate::sessions::calls::ProgressCall;
use crate::sessions::ports::{LogLine, LogStream};

use super::*;

const JOB: &str = "01900000-0000-7000-8000-000400000000";

fn understood(value: serde_json::Value) -> WorkerFrame {
    let mut frames = parse_worker_frames(&value.to_string());
    assert_eq!(frames.len(), 1);
    frames.remove(0).unwrap_or_else(|error| panic!("{value} is refused: {error:?}"))
}

fn refused(text: &str) -> ErrorFrame {
    let mut frames = parse_worker_frames(text);
    *frames.remove(0).expect_err(text)
}

fn parse_call(text: &str) -> Result<Call, Box<ErrorFrame>> {
    parse_calls(text, &["progress", "checkpoint", "submit", "release"]).expect(text).remove(0)
}

fn call(mut value: serde_json::Value) -> Call {
    value["job_id"] = json!(JOB);
    value["token"] = json!("secret");
    match understood(value) {
        WorkerFrame::Job(JobCall { lease, call }) => {
            assert_eq!((lease.job_id.to_string().as_str(), lease.token.reveal()), (JOB, "secret"));
            call
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_worker_introduces_itself_and_says_how_much_it_wants() {
    let hello = understood(json!({"type": "hello", "name": "gpu-1", "kinds": ["i2v", "svi"], "queues": null, "resume":
        {"session": JOB, "leases": [{"job_id": JOB, "token": "secret"}]}}));
    let WorkerFrame::Hello(hello) = hello else { panic!("{hello:?}") };
    assert_eq!(hello.kinds.expect("named").len(), 2);
    assert_eq!(hello.queues, None);
    assert_eq!(hello.resume.expect("resumes").leases[0].token.reveal(), "secret");
    let short = understood(json!({"type": "hello"}));
    assert_eq!(short, WorkerFrame::Hello(Hello { name: None, kinds: None, queues: None, resume: None }));
    assert_eq!(understood(json!({"type": "ready", "slots": 4})), WorkerFrame::Ready { slots: 4 });
    assert_eq!(understood(json!({"type": "pong"})), WorkerFrame::Pong);
}

#[test]
fn progress_carries_a_picture_and_what_it_leaves_out_stays() {
    let first = call(json!({"type": "progress", "percent": 40, "stage": "upscale", "message": "step 4", "done": 4,
        "total": 10, "preview": "data:image/png;base64,AAEC"}));
    let Call::Progress(mut progress) = first else { panic!("{first:?}") };
    assert_eq!(progress.progress.percent, Some(40.0));
    assert_eq!(&*progress.preview.as_ref().expect("a picture").bytes, [0, 1, 2]);
    assert_eq!(progress.progress.preview.as_deref(), Some("image/png"));

    let Call::Progress(later) = call(json!({"type": "progress", "percent": 50.5, "stage": null})) else { panic!() };
    progress.merge(later);
    assert_eq!((progress.progress.percent, progress.progress.stage.as_deref()), (Some(50.5), Some("upscale")));
    assert!(progress.preview.is_some());
    let Call::Progress(empty) = call(json!({"type": "progress"})) else { panic!() };
    assert_eq!(empty, ProgressCall::default());
}

#[test]
fn what_is_said_of_a_job_is_understood() {
    let lines = call(json!({"type": "log", "lines": [{"stream": "stderr", "text": "a"}, {"text": "b"}]}));
    let line = |stream, text: &str| LogLine { stream, text: text.into() };
    assert_eq!(lines, Call::Log(vec![line(LogStream::Stderr, "a"), line(LogStream::Stdout, "b")]));

    let data = json!({"frames": 3});
    assert_eq!(call(json!({"type": "checkpoint", "data": data})), Call::Checkpoint(Json::of(&data)));

    let added = call(json!({"type": "add_items", "items": [{"key": "a"}, {"key": "b", "args": [1]}]}));
    let item = |key: &str, args| NewItem { key: key.into(), args };
    assert_eq!(added, Call::AddItems(vec![vec![item("a", None), item("b", Some(Json::of(&json!([1]))))]]));

    let reported = call(json!({"type": "item", "key": "a", "state": "failed", "result": null,
        "error": {"code": "bad_zip", "message": "no archive"}}));
    let Call::Items(reports) = reported else { panic!("{reported:?}") };
    assert_eq!((&*reports[0].key, reports[0].state, &reports[0].result), ("a", ItemState::Failed, &None));
    assert_eq!(&*reports[0].error.as_ref().expect("an error").code, "bad_zip");

    let submitted = call(json!({"type": "submit", "ref": "p1", "job": {"kind": "page", "args": {}}}));
    let request = Json::of(&json!({"args": {}, "kind": "page"}));
    let Call::Submit { reference, request: asked } = submitted else { panic!("{submitted:?}") };
    assert_eq!((reference.as_deref(), asked.to_value()), (Some("p1"), request.to_value()));
}

#[test]
fn the_ways_in_which_a_worker_ends_a_job_are_understood() {
    assert_eq!(call(json!({"type": "complete", "result": 42})), Call::Complete(Some(Json::of(&json!(42)))));
    assert_eq!(call(json!({"type": "complete", "result": null})), Call::Complete(None));
    assert_eq!(call(json!({"type": "complete"})), Call::Complete(None));
    assert_eq!(call(json!({"type": "release"})), Call::Release);
    let failed = call(json!({"type": "fail", "error": {"message": "no memory", "retryable": false, "details": [1]}}));
    let Call::Fail(error) = failed else { panic!("{failed:?}") };
    assert_eq!((&*error.code, &*error.message, error.retryable), ("failed", "no memory", false));
}

#[test]
fn numbers_that_pass_through_are_not_changed() {
    let text = format!(r#"{{"type":"complete","job_id":"{JOB}","token":"t","result":[1.50,18446744073709551617]}}"#);
    let frame = parse_worker_frames(&text).remove(0).expect("is understood");
    let WorkerFrame::Job(JobCall { call: Call::Complete(Some(result)), .. }) = frame else { panic!("{frame:?}") };
    assert_eq!(result.as_str(), "[1.50,18446744073709551617]");
}

#[test]
fn an_array_holds_several_frames_and_each_stands_for_itself() {
    let frames = parse_worker_frames(r#" [{"type":"pong"}, {"type":"nonsense"}, {"type":"ready","slots":1}]"#);
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0], Ok(WorkerFrame::Pong));
    assert_eq!(frames[2], Ok(WorkerFrame::Ready { slots: 1 }));
    assert!(parse_worker_frames("[]").is_empty());
}

#[test]
fn what_is_no_frame_in_an_array_takes_nothing_with_it() {
    let frames = parse_worker_frames(r#"[7, {"type":"pong"}, "x", {"type":"ready","slots":1}]"#);
    assert!(frames[0].is_err() && frames[2].is_err() && frames[1].is_ok() && frames[3].is_ok(), "{frames:?}");
    assert!(looks_like_frames(r#"[7, {"type":"pong"}]"#) && !looks_like_frames("[1, 2]"));
    let numbers = format!("[{{\"type\":\"pong\"}},{}]", vec!["7"; 1000].join(","));
    assert_eq!(parse_worker_frames(&numbers).len(), 1, "an array of something else is refused as a whole");
}

#[test]
fn a_frame_that_is_wrong_is_answered_with_what_is_wrong() {
    let about = |rest: &str| format!(r#"{{"job_id":"{JOB}","token":"t",{rest}}}"#);
    let cases = [
        ("rubbish".to_owned(), "invalid_json", "JSON object"),
        ("17".to_owned(), "invalid_json", "JSON object"),
        (r#"{"slots":1}"#.to_owned(), "invalid_frame", "`type`"),
        (r#"{"type":"ready"}"#.to_owned(), "invalid_frame", "ready: /slots: missing field `slots`"),
        (r#"{"type":"ready","slots":1001}"#.to_owned(), "invalid_frame", "at most 1000"),
        (r#"{"type":"hello","kinds":["a/b"]}"#.to_owned(), "invalid_frame", "\"a/b\" is no name"),
        (r#"{"type":"release","job_id":"x","token":"t"}"#.to_owned(), "invalid_frame", "job_id"),
        (r#"{"type":"release","token":"t"}"#.to_owned(), "invalid_frame", "needs its `job_id`"),
        (about(r#""type":"dance""#), "unknown_frame", "\"dance\""),
        (about(r#""type":"progress","percnt":4"#), "invalid_frame", "unknown field `percnt`, expected one of"),
        (about(r#""type":"progress","percent":101"#), "invalid_frame", "between 0 and 100"),
        (about(r#""type":"progress","preview":"http://x""#), "invalid_preview", "data:image/"),
        (about(r#""type":"progress","preview":"data:text/html;base64,AA==""#), "invalid_preview", "data:image/"),
        (about(r#""type":"item","key":"a","state":"pending""#), "invalid_frame", "unknown variant `pending`"),
        (about(r#""type":"release","now":true"#), "invalid_frame", "unknown field `now`"),
    ];
    for (text, code, part) in cases {
        let error = refused(&text);
        assert!(&*error.code == code && error.detail.contains(part), "{text} gives {error:?}");
    }
}

#[test]
fn what_is_wrong_with_a_field_is_told_at_its_place() {
    for (call, pointer) in [
        (r#""type":"progress","percent":"x""#, "/percent"),
        (r#""type":"progress","stage":"a","stage":"b""#, "/stage"),
        (r#""type":"log","lines":[{"text":"a"},{"stream":"foo","text":"b"}]"#, "/lines/1/stream"),
        (r#""type":"log","lines":[7]"#, "/lines/0"),
        (r#""type":"add_items","items":[{"key":"a"},{"key":""}]"#, "/items/1/key"),
        (r#""type":"item","key":"a","state":"failed","error":{"massage":"m"}"#, "/error/massage"),
        (r#""type":"complete","results":1"#, "/results"),
        (r#""type":"complete","result":1,"result":2"#, "/result"),
        (r#""type":"fail","error":"x""#, "/error"),
        (r#""type":"fail","error":{}"#, "/error/message"),
        (r#""type":"fail","error":{"message":"m","retryable":"no"}"#, "/error/retryable"),
    ] {
        let heard = parse_worker_frames(&format!(r#"{{"job_id":"{JOB}","token":"t",{call}}}"#));
        let error = heard[0].as_ref().expect_err(call);
        let pointers: Vec<&str> = error.errors.iter().map(|problem| problem.pointer.as_str()).collect();
        assert_eq!((&*error.code, pointers), ("invalid_frame", vec![pointer]), "{error:?}");
        assert!(!error.detail.contains("struct"), "{}", error.detail);
    }
}

#[test]
fn an_error_names_the_job_and_the_ref_that_it_is_about() {
    let error = refused(&format!(r#"{{"type":"submit","job_id":"{JOB}","token":"t","ref":"p1"}}"#));
    assert_eq!((error.job_id.map(|id| id.to_string()).as_deref(), error.reference.as_deref()), (Some(JOB), Some("p1")));
    let error = parse_call(r#"{"type":"submit","ref":"p2","job":{},"extra":1}"#).expect_err("one field too many");
    assert_eq!(error.reference.as_deref(), Some("p2"));
}

#[test]
fn pictures_and_checkpoints_have_limits() {
    let preview = |bytes: usize| {
        let data = "AAAA".repeat(bytes / 3);
        parse_call(&format!(r#"{{"type":"progress","preview":"data:image/png;base64,{data}"}}"#))
    };
    assert!(preview(512 * 1024).is_ok());
    assert_eq!(&*preview(512 * 1024 + 6).expect_err("too large").code, "preview_too_large");
    assert_eq!(&*preview(2 << 20).expect_err("too large").code, "preview_too_large");
    let checkpoint =
        |bytes: usize| parse_call(&format!(r#"{{"type":"checkpoint","data":"{}"}}"#, "x".repeat(bytes - 2)));
    assert!(checkpoint(64 * 1024).is_ok());
    assert_eq!(&*checkpoint(64 * 1024 + 1).expect_err("too large").code, "checkpoint_too_large");
}

#[test]
fn an_items_result_has_a_limit_and_an_error_is_cut_to_its_own() {
    let item = |bytes: usize| {
        let text = format!(r#"{{"type":"item","key":"k","state":"completed","result":"{}"}}"#, "x".repeat(bytes - 2));
        parse_calls(&text, &["item"]).expect("a frame").remove(0)
    };
    assert!(item(1024 * 1024).is_ok());
    let error = item(1024 * 1024 + 1).expect_err("too large");
    assert!(&*error.code == "result_too_large" && error.detail.contains("item \"k\""), "{error:?}");

    let fail = |code: usize, message: usize, details: usize| {
        let call = call(json!({"type": "fail", "error": {"code": "c".repeat(code), "message": "m".repeat(message),
            "details": "d".repeat(details - 2)}}));
        let Call::Fail(error) = call else { panic!("{call:?}") };
        (error.code.len(), error.message, error.details.map_or(0, |details| details.as_str().len()))
    };
    assert_eq!(fail(128, 65536, 65536), (128, "m".repeat(65536).into(), 65536));
    let (code, message, details) = fail(129, 10, 65537);
    assert_eq!((code, &*message, details), (128, "mmmmmmmmmm [left out: 65537 bytes of details]", 0));
    let (_, message, _) = fail(1, 70000, 65537);
    let end = "m … [cut: the message had 70000 bytes] [left out: 65537 bytes of details]";
    assert!(message.len() <= 65536 && message.ends_with(end), "{}", &message[message.len() - 90..]);
}

#[test]
fn what_the_server_says_looks_as_the_contract_shows_it() {
    let id: JobId = JOB.parse().expect("an id");
    let session: SessionId = JOB.parse().expect("an id");
    let welcome = ServerFrame::Welcome { session, epoch: Epoch(session.0), lease_s: 30.0, ping_s: 10.0 };
    let job = ServerFrame::Job(Box::new(JobFrame {
        job: Json::of(&json!({"id": JOB})),
        attempt: 1,
        items: vec![HandedItem { key: "a".into(), args: None }],
        lease: HandedLease { token: "secret".into(), expires_in_s: 30.0 },
        checkpoint: None,
    }));
    let error = ErrorFrame { job_id: Some(id), ..FrameError::new("lease_lost", "it is gone").into() };
    let cases = [
        (welcome, json!({"type": "welcome", "session": JOB, "epoch": JOB, "lease_s": 30.0, "ping_s": 10.0})),
        (
            job,
            json!({"type": "job", "job": {"id": JOB}, "attempt": 1, "items": [{"key": "a", "args": null}],
            "lease": {"token": "secret", "expires_in_s": 30.0}, "checkpoint": null}),
        ),
        (
            ServerFrame::Cancel { job_id: id, reason: CancelReason::Timeout, grace_s: 10.0 },
            json!({"type": "cancel", "job_id": JOB, "reason": "timeout", "grace_s": 10.0}),
        ),
        (ServerFrame::Lost { job_id: id }, json!({"type": "lost", "job_id": JOB})),
        (ServerFrame::Quiet, json!({"type": "quiet"})),
        (ServerFrame::Terminate, json!({"type": "terminate"})),
        (ServerFrame::Ping, json!({"type": "ping"})),
        (
            ServerFrame::Submitted { reference: Some("p1".into()), id },
            json!({"type": "submitted", "ref": "p1", "id": JOB}),
        ),
        (
            ServerFrame::Error(error),
            json!({"type": "error", "code": "lease_lost", "detail": "it is gone", "job_id": JOB}),
        ),
    ];
    for (frame, expected) in cases {
        assert_eq!(serde_json::to_value(&frame).expect("writes"), expected);
    }
}

#[test]
fn a_child_that_runs_one_job_need_not_name_it() {
    assert_eq!(parse_call(r#"{"type":"release"}"#), Ok(Call::Release));
    assert_eq!(parse_call(&format!(r#"{{"type":"release","job_id":"{JOB}","token":"t"}}"#)), Ok(Call::Release));
    let both = parse_calls(r#"[{"type":"release"},{"type":"submit"}]"#, &["release", "submit"]).expect("frames");
    assert!(both[0].is_ok() && both[1].is_err());
}

#[test]
fn json_that_is_no_frame_is_left_to_be_a_result() {
    for text in ["17", "{}", "[]", r#"{"type":7}"#, r#"{"type":"other"}"#, r#"[{"type":"release"}, 1]"#, "text"] {
        assert_eq!(parse_calls(text, &["release"]), None, "{text}");
    }
}
