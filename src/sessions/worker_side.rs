//! The worker's side of the frames: what a worker says as JSON text, and what the server says read back. The shapes are
//! those of [`crate::sessions::frames`]; what this side writes, that side reads.
//!
//! A reader of the server's frames passes over what it does not know, so that a newer server can say more.

use std::fmt::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::domain::batch::{ItemReport, NewItem};
use crate::domain::id::{Epoch, JobId, SessionId};
use crate::domain::job::JobError;
use crate::kinds::Problem;
use crate::sessions::calls::{Call, ProgressCall};
use crate::sessions::fields::{Fields, read_frames};
use crate::sessions::frames::{CancelReason, ErrorFrame, FrameError, Hello, JobFrame, LeaseRef, ServerFrame};
use crate::sessions::ports::LogLine;

/// A worker is still there.
pub const PONG: &str = r#"{"type":"pong"}"#;
/// How many bytes of new items go into one frame, about: what a program said in one line and what is put around it here
/// must not be more than a frame may have.
const ADDED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The first frame of a connection.
pub fn write_hello(hello: &Hello) -> String {
    let Hello { name, kinds, queues, resume } = hello;
    let mut text = Text::new("hello");
    text.some("name", name).some("kinds", kinds).some("queues", queues);
    if let Some(resume) = resume {
        let leases: Vec<LeaseText<'_>> = resume.leases.iter().map(LeaseText::of).collect();
        text.field("resume", &ResumeText { session: resume.session, leases });
    }
    text.end()
}

/// How many jobs the worker wants to hold at once.
pub fn write_ready(slots: usize) -> String {
    let mut text = Text::new("ready");
    text.field("slots", &slots);
    text.end()
}

/// A call as the frames that make it, in order: mostly one.
pub fn write_call(lease: &LeaseRef, call: &Call) -> Vec<String> {
    let about = |name| Text::about(name, lease);
    match call {
        Call::Progress(progress) => vec![write_progress(about("progress"), progress)],
        Call::Log(lines) => {
            let lines: Vec<LineText<'_>> = lines.iter().map(LineText::of).collect();
            vec![about("log").field("lines", &lines).take()]
        }
        Call::Checkpoint(data) => vec![about("checkpoint").field("data", data).take()],
        Call::Items(reports) => reports.iter().map(|report| write_item(about("item"), report)).collect(),
        Call::AddItems(frames) => {
            let write = |items: &[NewItem]| about("add_items").field("items", &items).take();
            frames.iter().flat_map(|items| in_parts(items)).map(write).collect()
        }
        Call::Submit { reference, request } => {
            vec![about("submit").some("ref", reference).field("job", request).take()]
        }
        Call::Complete(result) => vec![about("complete").some("result", result).take()],
        Call::Release => vec![about("release").take()],
        Call::Fail(error) => vec![about("fail").field("error", &ErrorText::of(error)).take()],
    }
}

fn write_progress(mut text: Text, call: &ProgressCall) -> String {
    let ProgressCall { progress, preview } = call;
    text.some("percent", &progress.percent).some("stage", &progress.stage).some("message", &progress.message);
    text.some("done", &progress.done).some("total", &progress.total);
    if let Some(preview) = preview {
        text.field("preview", &format!("data:{};base64,{}", preview.media_type, STANDARD.encode(&preview.bytes)));
    }
    text.end()
}

fn write_item(mut text: Text, report: &ItemReport) -> String {
    let ItemReport { key, state, result, error } = report;
    text.field("key", key).field("state", state).some("result", result);
    text.some("error", &error.as_ref().map(ErrorText::of)).take()
}

/// Splits items so that no part has much more than [`ADDED_BYTES_MAX`].
fn in_parts(items: &[NewItem]) -> Vec<&[NewItem]> {
    let (mut parts, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (place, item) in items.iter().enumerate() {
        let more = item.key.len() + item.args.as_ref().map_or(0, |args| args.as_str().len());
        if bytes + more > ADDED_BYTES_MAX && place > begin {
            parts.push(&items[begin..place]);
            (begin, bytes) = (place, 0);
        }
        bytes += more;
    }
    parts.push(&items[begin..]);
    parts
}

/// A frame while it is written. Values that pass through (args, results) are written as they are.
#[derive(Default)]
struct Text(String);

impl Text {
    fn new(name: &str) -> Text {
        Text(format!("{{\"type\":\"{name}\""))
    }

    fn about(name: &str, lease: &LeaseRef) -> Text {
        let mut text = Text::new(name);
        text.field("job_id", &lease.job_id).field("token", lease.token.reveal());
        text
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> &mut Text {
        let value = serde_json::to_string(value).expect("what a frame holds can be written as JSON");
        write!(self.0, ",\"{name}\":{value}").expect("a string takes all");
        self
    }

    fn some<T: Serialize>(&mut self, name: &str, value: &Option<T>) -> &mut Text {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    fn take(&mut self) -> String {
        std::mem::take(self).end()
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[derive(Serialize)]
struct ResumeText<'a> {
    session: SessionId,
    leases: Vec<LeaseText<'a>>,
}

#[derive(Serialize)]
struct LeaseText<'a> {
    job_id: JobId,
    token: &'a str,
}

impl LeaseText<'_> {
    fn of(lease: &LeaseRef) -> LeaseText<'_> {
        LeaseText { job_id: lease.job_id, token: lease.token.reveal() }
    }
}

#[derive(Serialize)]
struct LineText<'a> {
    stream: crate::sessions::ports::LogStream,
    text: &'a str,
}

impl LineText<'_> {
    fn of(line: &LogLine) -> LineText<'_> {
        LineText { stream: line.stream, text: &line.text }
    }
}

#[derive(Serialize)]
struct ErrorText<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: &'a Option<crate::domain::json::Json>,
    retryable: bool,
}

impl ErrorText<'_> {
    fn of(error: &JobError) -> ErrorText<'_> {
        ErrorText { code: &error.code, message: &error.message, details: &error.details, retryable: error.retryable }
    }
}

/// Reads what the server sent: one frame or an array of them, each for itself, in order.
pub fn read_server_frames(text: &str) -> Vec<Result<ServerFrame, FrameError>> {
    match read_frames(text) {
        Ok(frames) => frames.into_iter().map(|frame| frame.and_then(understand)).collect(),
        Err(error) => vec![Err(error)],
    }
}

fn understand(fields: Fields<'_>) -> Result<ServerFrame, FrameError> {
    match fields.type_name() {
        "welcome" => fields.into().map(|WelcomeFields { session, epoch, lease_s, ping_s }| ServerFrame::Welcome {
            session,
            epoch,
            lease_s,
            ping_s,
        }),
        "job" => fields.into::<JobFrame>().map(|frame| ServerFrame::Job(Box::new(frame))),
        "cancel" => fields.into().map(|CancelFields { job_id, reason, grace_s }| {
            // Why matters to people only: a reason that is not known here is somebody's wish like others.
            let reason = serde_json::from_value(reason).unwrap_or(CancelReason::Requested);
            ServerFrame::Cancel { job_id, reason, grace_s }
        }),
        "lost" => fields.into().map(|LostFields { job_id }| ServerFrame::Lost { job_id }),
        "quiet" => Ok(ServerFrame::Quiet),
        "terminate" => Ok(ServerFrame::Terminate),
        "ping" => Ok(ServerFrame::Ping),
        "submitted" => fields.into().map(|SubmittedFields { reference, id }| ServerFrame::Submitted { reference, id }),
        "error" => fields.into::<ErrorFields>().map(|error| ServerFrame::Error(error.frame())),
        unknown => Err(FrameError::new("unknown_frame", format!("the server said a frame of type {unknown:?}"))),
    }
}

#[derive(Deserialize)]
struct WelcomeFields {
    session: SessionId,
    epoch: Epoch,
    lease_s: f64,
    ping_s: f64,
}

#[derive(Deserialize)]
struct CancelFields {
    job_id: JobId,
    #[serde(default)]
    reason: serde_json::Value,
    grace_s: f64,
}

#[derive(Deserialize)]
struct LostFields {
    job_id: JobId,
}

#[derive(Deserialize)]
struct SubmittedFields {
    #[serde(rename = "ref")]
    reference: Option<Arc<str>>,
    id: JobId,
}

#[derive(Deserialize)]
struct ErrorFields {
    code: Arc<str>,
    detail: Arc<str>,
    job_id: Option<JobId>,
    #[serde(rename = "ref")]
    reference: Option<Arc<str>>,
    #[serde(default)]
    errors: Vec<Problem>,
}

impl ErrorFields {
    fn frame(self) -> ErrorFrame {
        let ErrorFields { code, detail, job_id, reference, errors } = self;
        ErrorFrame { code, detail, job_id, reference, errors }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::id::LeaseToken;
    use crate::domain::json::Json;
    use crate::sessions::frames::{JobCall, WorkerFrame, parse_worker_frames};

    use super::*;

    const JOB: &str = "01900000-0000-7000-8000-000400000000";

    fn lease() -> LeaseRef {
        LeaseRef { job_id: JOB.parse().expect("an id"), token: LeaseToken::new("se\"cret") }
    }

    fn read_back(text: &str) -> WorkerFrame {
        parse_worker_frames(text).remove(0).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    #[test]
    fn what_a_worker_writes_the_server_reads_as_the_same() {
        for frame in [
            json!({"type":"progress","percent":40.5,"stage":"up","message":"half","done":4,"total":10,
                "preview":"data:image/png;base64,AAEC"}),
            json!({"type":"log","lines":[{"stream":"stderr","text":"a \"b\"\n"},{"stream":"system","text":"c"}]}),
            json!({"type":"checkpoint","data":{"at":[1, 2.50]}}),
            json!({"type":"item","key":"a","state":"failed","result":1,"error":{"code":"x","message":"y","details":{"z":1},
                "retryable":false}}),
            json!({"type":"add_items","items":[{"key":"a"},{"key":"b","args":{"c":1}}]}),
            json!({"type":"submit","ref":"r","job":{"kind":"page","args":{}}}),
            json!({"type":"complete","result":[1]}),
            json!({"type":"complete"}),
            json!({"type":"fail","error":{"message":"no"}}),
            json!({"type":"release"}),
        ] {
            let mut said = frame.clone();
            said["job_id"] = json!(JOB);
            said["token"] = json!("se\"cret");
            let WorkerFrame::Job(JobCall { call, .. }) = read_back(&said.to_string()) else { panic!() };
            let texts = write_call(&lease(), &call);
            assert_eq!(texts.len(), 1);
            assert_eq!(read_back(&texts[0]), WorkerFrame::Job(JobCall { lease: lease(), call }), "{frame}");
        }
        let resume = crate::sessions::frames::Resume { session: SessionId(uuid::Uuid::nil()), leases: vec![lease()] };
        let kinds = Some(vec!["a".parse().expect("a name")]);
        let hello = Hello { name: Some("n".into()), kinds, queues: None, resume: Some(resume) };
        assert_eq!(read_back(&write_hello(&hello)), WorkerFrame::Hello(hello));
        assert_eq!(read_back(&write_ready(3)), WorkerFrame::Ready { slots: 3 });
        assert_eq!(read_back(PONG), WorkerFrame::Pong);
    }

    #[test]
    fn items_that_are_too_many_for_a_frame_go_in_several() {
        let args = Json::of(&json!("x".repeat(ADDED_BYTES_MAX / 2)));
        let items = (0..5).map(|n| NewItem { key: n.to_string().into(), args: Some(args.clone()) }).collect();
        let texts = write_call(&lease(), &Call::AddItems(vec![items]));
        assert_eq!(texts.len(), 5);
        assert!(texts.iter().all(|text| text.len() <= ADDED_BYTES_MAX * 2));
    }

    #[test]
    fn what_the_server_writes_a_worker_reads_as_the_same() {
        let error = ErrorFrame { reference: Some("r".into()), ..FrameError::new("invalid_request", "no").into() };
        let epoch = Epoch(uuid::Uuid::nil());
        let job = json!({"type":"job","job":{"id":JOB,"args":{"a":1.50}},"attempt":2,"items":[{"key":"k","args":[1]}],
            "lease":{"token":"t","expires_in_s":30.0},"checkpoint":{"at":3},"news":"of a later version"});
        let ServerFrame::Job(frame) = read_server_frames(&job.to_string()).remove(0).expect("a job") else { panic!() };
        assert_eq!((frame.job.as_str(), frame.attempt), (json!({"id":JOB,"args":{"a":1.5}}).to_string().as_str(), 2));
        for frame in [
            ServerFrame::Welcome { session: SessionId(uuid::Uuid::nil()), epoch, lease_s: 30.0, ping_s: 0.5 },
            ServerFrame::Job(frame),
            ServerFrame::Cancel { job_id: lease().job_id, reason: CancelReason::Timeout, grace_s: 1.0 },
            ServerFrame::Lost { job_id: lease().job_id },
            ServerFrame::Quiet,
            ServerFrame::Terminate,
            ServerFrame::Ping,
            ServerFrame::Submitted { reference: None, id: lease().job_id },
            ServerFrame::Error(error),
        ] {
            let text = serde_json::to_string(&frame).expect("writes");
            assert_eq!(read_server_frames(&text), [Ok(frame)], "{text}");
        }
        let several = read_server_frames(r#"[{"type":"ping"},{"type":"fanfare"},{"type":"quiet"}]"#);
        assert_eq!((several.len(), &several[2]), (3, &Ok(ServerFrame::Quiet)));
        assert_eq!(&*several[1].as_ref().expect_err("it is not known").code, "unknown_frame");
    }
}
