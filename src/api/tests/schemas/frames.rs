//! The files of `schemas/worker`: what workers say, what the server says, and what a command says on its stdout.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};

use super::*;
use crate::api::examples;
use crate::domain::id::{JobId, SessionId};
use crate::domain::json::Json;
use crate::kinds::Problem;
use crate::sessions::calls::{
    AddItemsFields, Call, CheckpointFields, CompleteFields, FailFields, ItemFields, LogFields, ProgressFields,
    REF_BYTES_MAX, ReleaseFields, SubmitFields,
};
use crate::sessions::frames::{
    CancelReason, ErrorFrame, HandedItem, HandedLease, Hello, JobFrame, LeaseRef, ServerFrame, Slots,
    parse_worker_frames,
};
use crate::workers::output::COMMAND_FRAMES;

const JOB: &str = "01997f5a-6e00-7000-8000-001523456789";
const SESSION: &str = "01990000-0000-7000-8000-000000000001";
const EPOCH: &str = "01990000-0000-7000-8000-0000000000ee";

/// One frame of a worker.
struct Shape {
    frame: &'static str,
    means: &'static str,
    fields: fn(&mut SchemaGenerator) -> Value,
    example: &'static str,
}

const fn shape<T: JsonSchema>(frame: &'static str, means: &'static str, example: &'static str) -> Shape {
    Shape { frame, means, fields: fields::<T>, example }
}

fn fields<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    T::json_schema(generator).to_value()
}

/// A frame without fields.
#[derive(JsonSchema)]
struct Nothing {}

/// What a worker says. The examples leave out `type`, `job_id` and `token`.
const SHAPES: &[Shape] = &[
    shape::<Hello>(
        "hello",
        "Who it is: the first frame, and only the first. Answered by `welcome`.",
        r#"{"name": "gpu-1", "kinds": ["img.resize"], "queues": null, "resume": null}"#,
    ),
    shape::<Slots>("ready", "How many jobs it wants to hold at once, until it says so again.", r#"{"slots": 4}"#),
    shape::<Nothing>("pong", "It is still there. Any other frame says so too.", "{}"),
    shape::<ProgressFields>(
        "progress",
        "How far a job has come; what is left out stays as it was.",
        r#"{"percent": 40, "stage": "upscale", "message": "4 of 10", "done": 4, "total": 10}"#,
    ),
    shape::<LogFields>(
        "log",
        "Lines for the log of a job.",
        r#"{"lines": [{"stream": "stderr", "text": "warming up"}]}"#,
    ),
    shape::<CheckpointFields>(
        "checkpoint",
        "A note for the next run of a job, in case this one does not come to its end.",
        r#"{"data": {"page": 17}}"#,
    ),
    shape::<ItemFields>(
        "item",
        "What became of one item of a batch.",
        r#"{"key": "a.png", "state": "completed", "result": {"bytes": 1234}}"#,
    ),
    shape::<AddItemsFields>(
        "add_items",
        "More items of a batch; known keys are passed over.",
        r#"{"items": [{"key": "b.png", "args": {"width": 640}}]}"#,
    ),
    shape::<SubmitFields>(
        "submit",
        "A child of a job. Answered by `submitted`, or by `error` with the same `ref`.",
        r#"{"ref": "page-18", "job": {"kind": "page", "args": {"page": 18}, "unique_key": "page-18"}}"#,
    ),
    shape::<CompleteFields>("complete", "A job is done.", r#"{"result": {"bytes": 123456}}"#),
    shape::<FailFields>(
        "fail",
        "An attempt failed; another follows while some are left and the error is retryable.",
        r#"{"error": {"code": "no_memory", "message": "the card is full", "details": {"free": 12}, "retryable": true}}"#,
    ),
    shape::<ReleaseFields>("release", "The worker gives a job back; that uses up no attempt.", "{}"),
];

/// What the server says, and what it means.
const SERVER: &[(&str, &str)] = &[
    ("welcome", "The answer to `hello`: the session has begun."),
    ("job", "A job to run, with its lease."),
    ("cancel", "A job shall stop; its lease ends after `grace_s` at the latest."),
    ("lost", "The lease of a job is gone: whatever is still said about it changes nothing."),
    ("quiet", "No more jobs will come; what is held may be finished."),
    ("terminate", "The worker shall end; it is ended if it takes too long."),
    ("ping", "Is it still there? Any frame is an answer."),
    ("submitted", "The answer to `submit`: the child was taken, or had been taken before."),
    ("error", "A frame changed nothing; `code` says why."),
];

/// The files by name.
pub fn files() -> Files {
    let on_wire =
        "One frame. Over a WebSocket each message, and over pipes each line, is a frame or an array of frames.";
    let all: Vec<&Shape> = SHAPES.iter().collect();
    let of_a_command: Vec<&Shape> = SHAPES.iter().filter(|shape| COMMAND_FRAMES.contains(&shape.frame)).collect();
    let to_server = said(&all, &["job_id", "token"]);
    let by_command = said(&of_a_command, &[]);
    let command_means = "A line that a child in mode `command` prints about the job that it runs, so that it need name \
                         neither job nor token. The last line, if it is any other JSON, is the result; all else are log \
                         lines.";
    let server_means =
        format!("What the server says to a worker. {on_wire} Pass over fields and types that you do not know.");
    let worker_means = format!("What a worker says to the server. {on_wire} An unknown field is an error.");
    [
        file("worker-to-server.json", "WorkerFrame", &worker_means, to_server),
        file("command-to-server.json", "CommandFrame", command_means, by_command),
        file("server-to-worker.json", "ServerFrame", &server_means, heard(SERVER, &server_frames())),
    ]
    .into()
}

/// Frames by name, and what they refer to.
pub type Frames = (Map<String, Value>, Map<String, Value>);

pub fn file(name: &str, title: &str, description: &str, (frames, definitions): Frames) -> (String, Value) {
    let variants: Vec<Value> = frames.keys().map(|frame| json!({"$ref": format!("#/$defs/{frame}")})).collect();
    let mut all = used(&definitions, &Value::Object(frames.clone()));
    all.extend(frames);
    let mut file = json!({
        "$schema": DIALECT,
        "$id": name,
        "title": title,
        "description": description,
        "oneOf": variants,
        "$defs": all
    });
    plain(&mut file);
    (name.to_owned(), file)
}

/// The frames of a worker. Those about a job need the fields of `proof`.
fn said(shapes: &[&Shape], proof: &[&str]) -> Frames {
    let mut generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let lease = LeaseRef::json_schema(&mut generator).to_value();
    let frames = shapes.iter().map(|shape| {
        let mut frame = (shape.fields)(&mut generator);
        let is_call = Call::TYPES.contains(&shape.frame);
        let mut needed = vec!["type"];
        frame["properties"]["type"] = type_of(shape.frame);
        if is_call {
            needed.extend(proof);
            for name in ["job_id", "token"] {
                frame["properties"][name] = lease["properties"][name].clone();
            }
        }
        if shape.frame == "submit" {
            frame["properties"]["ref"] = json!({
                "type": ["string", "null"],
                "maxLength": REF_BYTES_MAX,
                "description": "A word of the worker's own, to tell answers apart."
            });
        }
        let own = frame["required"].as_array().cloned().unwrap_or_default();
        frame["required"] = needed.into_iter().map(Value::from).chain(own).collect();
        frame["description"] = json!(shape.means);
        frame["examples"] = json!([example(shape, is_call && !proof.is_empty())]);
        (shape.frame.to_owned(), frame)
    });
    (frames.collect(), generator.take_definitions(true))
}

pub fn type_of(frame: &str) -> Value {
    json!({"const": frame, "description": "The type of the frame."})
}

fn example(shape: &Shape, with_lease: bool) -> Value {
    let mut example: Value = serde_json::from_str(shape.example).expect("an example is JSON");
    example["type"] = json!(shape.frame);
    if with_lease {
        example["job_id"] = json!(JOB);
        example["token"] = json!("4e9cf1d2a0b84c3f");
    }
    example
}

/// The frames of a server: each variant of `F` with its meaning, and with what is like it in `sent` as its examples.
pub fn heard<F: JsonSchema + serde::Serialize>(meanings: &[(&str, &str)], sent: &[F]) -> Frames {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let union = F::json_schema(&mut generator).to_value();
    let definitions = generator.take_definitions(true);
    let sent = serde_json::to_value(sent).expect("frames can be written as JSON");
    let variants = union["oneOf"].as_array().expect("frames are told apart by their type");
    let frames = variants.iter().map(|variant| {
        let mut frame = variant.clone();
        if let Some(inner) = frame.as_object_mut().and_then(|members| members.remove("$ref")) {
            let name = inner.as_str().and_then(|path| path.rsplit('/').next()).expect("a reference has a name");
            take_in(&mut frame, &definitions[name]);
        }
        let name = frame["properties"]["type"]["const"].as_str().expect("a frame has a type").to_owned();
        let (_, means) = meanings.iter().find(|(known, _)| *known == name).expect("every frame has its meaning");
        frame["properties"]["type"] = type_of(&name);
        frame["description"] = json!(means);
        let alike = sent.as_array().into_iter().flatten().filter(|example| example["type"] == name);
        frame["examples"] = alike.cloned().collect();
        (name, frame)
    });
    (frames.collect(), definitions)
}

pub fn take_in(frame: &mut Value, inner: &Value) {
    for (name, property) in inner["properties"].as_object().into_iter().flatten() {
        frame["properties"][name] = property.clone();
    }
    let more = inner["required"].as_array().cloned().unwrap_or_default();
    frame["required"].as_array_mut().expect("a frame needs its type").extend(more);
}

/// What a server really sends.
fn server_frames() -> Vec<ServerFrame> {
    let job_id: JobId = JOB.parse().expect("an id");
    let session: SessionId = SESSION.parse().expect("an id");
    let problem = Problem { pointer: "/args/page".into(), message: "must be a number, and is a string".into() };
    let job = JobFrame {
        job: Json::of(&job_that_runs()),
        attempt: 1,
        items: vec![HandedItem { key: "a.png".into(), args: None }],
        lease: HandedLease { token: "4e9cf1d2a0b84c3f".into(), expires_in_s: 30.0 },
        checkpoint: None,
    };
    let error = ErrorFrame {
        code: "invalid_args".into(),
        detail: "the args do not fit the schema of the kind".into(),
        job_id: Some(job_id),
        reference: Some("page-18".into()),
        errors: vec![problem],
    };
    vec![
        ServerFrame::Welcome { session, epoch: EPOCH.parse().expect("an id"), lease_s: 30.0, ping_s: 10.0 },
        ServerFrame::Job(Box::new(job)),
        ServerFrame::Cancel { job_id, reason: CancelReason::Requested, grace_s: 10.0 },
        ServerFrame::Lost { job_id },
        ServerFrame::Quiet,
        ServerFrame::Terminate,
        ServerFrame::Ping,
        ServerFrame::Submitted { reference: Some("page-18".into()), id: job_id },
        ServerFrame::Error(error),
    ]
}

fn job_that_runs() -> Value {
    let (_, mut job) = examples::all().into_iter().find(|(name, _)| *name == "JobBody").expect("there is one");
    job["state"] = json!("running");
    job["files"] = json!([]);
    for name in ["result", "finished_at"] {
        job[name] = json!(null);
    }
    job
}

/// The rows of the tables for people.
pub fn table() -> Vec<String> {
    let worker = SHAPES.iter().map(|shape| format!("| `{}` | {} |", shape.frame, shape.means));
    worker.chain(SERVER.iter().map(|(frame, means)| format!("| `{frame}` | {means} |"))).collect()
}

#[test]
fn every_frame_of_a_worker_has_a_shape() {
    let described: Vec<&str> = SHAPES.iter().map(|shape| shape.frame).filter(|it| Call::TYPES.contains(it)).collect();
    let missing: Vec<&&str> = Call::TYPES.iter().filter(|it| !described.contains(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_examples_are_understood() {
    for shape in SHAPES {
        let example = example(shape, Call::TYPES.contains(&shape.frame));
        let understood = parse_worker_frames(&example.to_string()).remove(0);
        assert!(understood.is_ok(), "{example}: {understood:?}");
    }
}

#[test]
fn a_field_that_is_not_described_is_not_understood() {
    for shape in SHAPES.iter().filter(|shape| shape.frame != "pong") {
        let mut example = example(shape, Call::TYPES.contains(&shape.frame));
        example["colour"] = json!("red");
        let refused = parse_worker_frames(&example.to_string()).remove(0);
        assert!(refused.is_err(), "{example}");
    }
}
