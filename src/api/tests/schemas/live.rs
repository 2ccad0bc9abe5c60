//! The files of `schemas/live`: what subscribers say, and what the server says to them.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};

use super::frames::{Frames, file, heard, type_of};
use super::*;
use crate::api::examples;
use crate::api::filter::FilterShape;
use crate::domain::event::{Actor, Event, JobQueued, QueuedCause, Record};
use crate::domain::id::{JobId, Seq};
use crate::domain::limits::TAG_BYTES_MAX;
use crate::domain::time::Timestamp;
use crate::feed::published::PublishedEvent;
use crate::kinds::Problem;
use crate::live::frames::{
    ClientFrame, ErrorFrame, GoodbyeReason, Mode, Moved, SUBSCRIPTION_ID_BYTES_MAX, ServerFrame, parse,
};
use crate::live::position::{Lost, Position};
use crate::live::topic::{SNAPSHOT_ROWS_DEFAULT, SNAPSHOT_ROWS_MAX, TopicName};
use crate::sessions::ports::LogStream;
use crate::sessions::reading::KeptLine;
use crate::views::row::{JobRow, ProgressRow};

const EPOCH: &str = "01990000-0000-7000-8000-0000000000ee";
const JOB: &str = "01997f5a-6e00-7000-8000-001523456789";

/// What is followed, and which part of it: as in `GET /api/jobs`, without `q`, and more for some topics.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "a shape is described, and never made")]
struct LiveFilter {
    /// On topics jobs and events: this job. On topic logs: whose lines; it must be there.
    id: Option<JobId>,
    /// On topic jobs: in this state, or in one of these; `active` stands for all that are not terminal.
    state: Option<crate::kinds::states::OneOrMore>,
    /// On topics jobs and events: of this kind.
    kind: Option<crate::domain::id::KindName>,
    /// On topics jobs and events: in this queue.
    queue: Option<crate::domain::id::QueueName>,
    /// On topics jobs and events: with this tag.
    #[schemars(length(min = 1, max = TAG_BYTES_MAX))]
    tag: Option<String>,
    /// On topics jobs and events: children of this job.
    parent_id: Option<JobId>,
    /// On topic jobs: the snapshot has the newest so many; changes come for all that match.
    #[schemars(range(min = 1, max = SNAPSHOT_ROWS_MAX), extend("default" = SNAPSHOT_ROWS_DEFAULT))]
    limit: Option<u32>,
    /// On topic logs: lines after the one with this number; 0: from the first, as after a `reset` whatever stands here. Without
    /// it the lines from now on.
    after: Option<u64>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "a shape is described, and never made")]
struct Subscribe {
    /// A name of your own for the subscription; one that has it already ends.
    #[schemars(length(min = 1, max = SUBSCRIPTION_ID_BYTES_MAX))]
    id: String,
    /// What to follow.
    topic: TopicName,
    /// Which part of it; all, if it is left out.
    filter: Option<LiveFilter>,
    /// Where it was left: the epoch and the seq of the last frame that was seen. On topic logs it says which log the line
    /// `after` is of; on topics queues and workers nothing.
    since: Option<Position>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "a shape is described, and never made")]
struct Update {
    /// The subscription.
    #[schemars(length(min = 1, max = SUBSCRIPTION_ID_BYTES_MAX))]
    id: String,
    /// What it follows from now on, of the same topic.
    filter: Option<LiveFilter>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "a shape is described, and never made")]
struct Unsubscribe {
    /// The subscription.
    #[schemars(length(min = 1, max = SUBSCRIPTION_ID_BYTES_MAX))]
    id: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Pong {}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "a shape is described, and never made")]
struct Hello {
    /// A token, where one is needed.
    token: Option<String>,
}

/// What a filter may say on each topic, and what it must.
const TOPICS: &[(&str, &[&str], &[&str])] = &[
    ("jobs", &["id", "state", "kind", "queue", "tag", "parent_id", "limit"], &[]),
    ("events", &["id", "kind", "queue", "tag", "parent_id"], &[]),
    ("logs", &["id", "after"], &["id"]),
    ("queues", &[], &[]),
    ("workers", &[], &[]),
];

/// One frame of a subscriber: its type, what it means, its fields, an example.
type Shape = (&'static str, &'static str, fn(&mut SchemaGenerator) -> Value, &'static str);

const CLIENT: &[Shape] = &[
    (
        "subscribe",
        "Follow a topic: from now on, or from where it was left.",
        fields::<Subscribe>,
        r#"{"id": "a", "topic": "jobs", "filter": {"state": ["queued", "running"], "limit": 100}, "since": null}"#,
    ),
    (
        "update",
        "Another filter for a subscription. It begins anew.",
        fields::<Update>,
        r#"{"id": "a", "filter": {"kind": "resize"}}"#,
    ),
    ("unsubscribe", "Follow it no more.", fields::<Unsubscribe>, r#"{"id": "a"}"#),
    ("pong", "The answer to `ping`; any other frame is one too.", fields::<Pong>, "{}"),
    ("hello", "Who it is, where a token is needed.", fields::<Hello>, r#"{"token": null}"#),
];

const SERVER: &[(&str, &str)] = &[
    ("status", "The first frame: which run of the server this is, and how far its log goes."),
    ("subscribed", "The first answer to `subscribe` and `update`: how the subscription begins."),
    (
        "reset",
        "It cannot go on where it was left: drop what you hold. On topic jobs a snapshot follows, on topic logs all lines.",
    ),
    ("snapshot", "What there is, in pages, newest first; `more` is false on the last. Changes after `seq` follow."),
    ("changes", "What has changed, as it is now, and what no longer matches. After a commit there is one."),
    ("events", "What has happened: every event that matches, once, in order."),
    ("progress", "How far running jobs are: the latest, at most 4 a second a job; it is not numbered."),
    ("logs", "Lines of a job's log, in order."),
    ("caught_up", "Everything up to `seq` was sent: from now on it comes as it happens."),
    ("fell_behind", "The reader was too slow: from `seq` on it is fed at its own pace, and misses nothing."),
    ("bookmark", "Nothing that matches has happened up to `seq`: go on from there."),
    ("error", "A frame changed nothing; `code` says why."),
    ("ping", "Is somebody there? Any frame is an answer, within 5 s."),
    ("goodbye", "The connection is about to be closed: come back after `retry_after_ms` with the same positions."),
];

fn fields<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    T::json_schema(generator).to_value()
}

/// The files by name.
pub fn files() -> Files {
    let client = "What a subscriber says: one JSON object a message. An unknown field is an error.";
    let server = "What the server says to a subscriber: one JSON object a message. Pass over fields and types that you do \
                  not know.";
    [
        file("client-to-server.json", "LiveClientFrame", client, said()),
        file("server-to-client.json", "LiveServerFrame", server, heard(SERVER, &server_frames())),
    ]
    .into()
}

/// The rows of the tables for people.
pub fn table() -> Vec<String> {
    let client = CLIENT.iter().map(|(frame, means, ..)| format!("| `{frame}` | {means} |"));
    client.chain(SERVER.iter().map(|(frame, means)| format!("| `{frame}` | {means} |"))).collect()
}

fn said() -> Frames {
    let mut generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let frames = CLIENT.iter().map(|(name, means, fields, example)| {
        let mut frame = fields(&mut generator);
        frame["type"] = json!("object");
        frame["properties"]["type"] = type_of(name);
        let own = frame["required"].as_array().cloned().unwrap_or_default();
        frame["required"] = std::iter::once(json!("type")).chain(own).collect();
        frame["description"] = json!(means);
        if *name == "subscribe" {
            frame["allOf"] = TOPICS.iter().map(|(topic, fields, needed)| rule_of(topic, fields, needed)).collect();
        }
        frame["examples"] = json!([with_type(name, example)]);
        (name.to_string(), frame)
    });
    (frames.collect(), generator.take_definitions(true))
}

/// On this topic the filter has these fields only, and all that are needed.
fn rule_of(topic: &str, fields: &[&str], needed: &[&str]) -> Value {
    let mut filter = json!({"propertyNames": {"enum": fields}});
    let mut then = json!({});
    if !needed.is_empty() {
        let there = needed.iter().map(|name| (name.to_string(), json!({"not": {"type": "null"}})));
        (filter["not"], filter["required"]) = (json!({"type": "null"}), json!(needed));
        filter["properties"] = there.collect::<Map<_, _>>().into();
        then["required"] = json!(["filter"]);
    }
    then["properties"] = json!({"filter": filter});
    json!({"if": {"properties": {"topic": {"const": topic}}}, "then": then})
}

fn with_type(name: &str, example: &str) -> Value {
    let mut example: Value = serde_json::from_str(example).expect("an example is JSON");
    example["type"] = json!(name);
    example
}

fn server_frames() -> Vec<ServerFrame> {
    let job_id: JobId = JOB.parse().expect("an id");
    let (_, body) = examples::all().into_iter().find(|(name, _)| *name == "JobRow").expect("there is one");
    let row: JobRow = serde_json::from_value(body).expect("a row");
    let id = || "a".into();
    let at = Timestamp::from_ms(1_790_000_000_000);
    let event: Event = JobQueued { job: job_id, cause: QueuedCause::Due }.into();
    let record = Record { seq: Seq(1042), at, previous: None, actor: Actor::SERVER, continues: false, event };
    let progress = ProgressRow {
        percent: Some(40.0),
        stage: Some("upscale".into()),
        message: None,
        done: Some(4),
        total: Some(10),
        preview: None,
    };
    let problem =
        Problem { pointer: "/filter/kin".into(), message: "is no known field; did you mean \"kind\"?".into() };
    let error = ErrorFrame {
        errors: vec![problem],
        ..ErrorFrame::new(Some(id()), "invalid_frame", "a field is wrong, missing or unknown")
    };
    let (prev, seq) = (Seq(1040), Seq(1042));
    vec![
        ServerFrame::Status {
            epoch: EPOCH.parse().expect("an id"),
            started_at: at,
            seq,
            earliest: Seq(1),
            session: "01990000-0000-7000-8000-000000000001".parse().expect("an id"),
            ping_s: 10.0,
            version: "0.1.0",
        },
        ServerFrame::Subscribed { id: id(), recovered: true, mode: Mode::Resume, seq },
        ServerFrame::Reset { id: id(), reason: Lost::UnknownEpoch, seq },
        ServerFrame::Snapshot {
            id: id(),
            seq,
            jobs: Some(vec![row.clone()]),
            queues: None,
            workers: None,
            more: false,
        },
        ServerFrame::Changes {
            id: id(),
            prev,
            seq,
            jobs: Some(vec![row]),
            queues: None,
            workers: None,
            left: vec![JOB.into()],
        },
        ServerFrame::Events { id: id(), prev, seq, events: vec![PublishedEvent::of(record)] },
        ServerFrame::Progress { id: id(), jobs: vec![Moved { id: job_id, progress }] },
        ServerFrame::Logs {
            id: id(),
            job_id,
            lines: vec![KeptLine { n: 7, at, stream: LogStream::Stdout, text: "warming up".into() }],
        },
        ServerFrame::CaughtUp { id: id(), seq },
        ServerFrame::FellBehind { id: id(), seq: prev },
        ServerFrame::Bookmark { id: id(), prev, seq },
        ServerFrame::Error(error),
        ServerFrame::Ping,
        ServerFrame::Goodbye { reason: GoodbyeReason::Shutdown, retry_after_ms: 730 },
    ]
}

#[test]
fn the_examples_of_subscribers_are_understood_and_unknown_fields_are_not() {
    for (name, _, _, example) in CLIENT {
        let mut example = with_type(name, example);
        assert!(parse(&example.to_string()).is_ok(), "{example}");
        example["colour"] = json!("red");
        assert!(parse(&example.to_string()).is_err(), "{example}");
    }
    let hello = parse(r#"{"type": "hello", "token": "t"}"#);
    assert!(matches!(hello, Ok(ClientFrame::Hello)));
}

#[test]
fn the_published_frames_of_subscribers_are_those_that_are_taken() {
    let file = &files()["client-to-server.json"];
    let schema = jsonschema::validator_for(file).expect("it is a schema");
    for (is_taken, topic, filter) in [
        (true, "jobs", json!(null)),
        (true, "jobs", json!({"state": "active", "limit": 5, "tag": null})),
        (false, "jobs", json!({"after": 5})),
        (true, "events", json!({"kind": "resize", "id": JOB})),
        (false, "events", json!({"state": "failed"})),
        (false, "events", json!({"limit": 5})),
        (true, "logs", json!({"id": JOB, "after": 0})),
        (false, "logs", json!({"id": JOB, "kind": "resize"})),
        (false, "logs", json!({"after": 7})),
        (false, "logs", json!({"id": null})),
        (false, "logs", json!(null)),
        (true, "queues", json!({})),
        (false, "queues", json!({"queue": "images"})),
        (false, "workers", json!({"id": JOB})),
    ] {
        let frame = json!({"type": "subscribe", "id": "a", "topic": topic, "filter": filter});
        assert_eq!(parse(&frame.to_string()).is_ok(), is_taken, "the server: {frame}");
        assert_eq!(schema.is_valid(&frame), is_taken, "the schema: {frame}");
    }
}

#[test]
fn the_filter_has_what_the_list_of_jobs_has() {
    let mut generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let (list, live) = (fields::<FilterShape>(&mut generator), fields::<LiveFilter>(&mut generator));
    let names = list["properties"].as_object().expect("fields").keys();
    let missing: Vec<&String> =
        names.filter(|name| *name != "q" && live["properties"].get(name.as_str()).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
