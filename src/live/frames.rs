//! The frames of live connections: what subscribers say, what the server says, and how both are written. Carries no
//! state and decides nothing.

use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::id::{Epoch, JobId, Seq, SessionId};
use crate::domain::time::Timestamp;
use crate::feed::published::PublishedEvent;
use crate::kinds::fields::Fields;
use crate::kinds::problem::{Problem, Problems};
use crate::live::position::{Lost, Position};
use crate::live::topic::{Topic, TopicName};
use crate::sessions::reading::KeptLine;
use crate::views::row::{JobRow, ProgressRow, QueueRow, WorkerRow};

/// The most bytes of a frame of a subscriber.
pub const CLIENT_FRAME_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of the name that a subscriber gives a subscription.
pub const SUBSCRIPTION_ID_BYTES_MAX: usize = 128;

/// What a subscriber says.
#[derive(Debug)]
pub enum ClientFrame {
    /// Follow a topic from now on, or from where it was left. A subscription of the same id ends.
    Subscribe {
        id: Arc<str>,
        topic: Topic,
        since: Option<Position>,
    },
    /// Another filter for the topic of a subscription, which is known to whoever holds it.
    Update {
        id: Arc<str>,
        filter: Option<Box<RawValue>>,
    },
    Unsubscribe {
        id: Arc<str>,
    },
    Pong,
    /// Who it is; without auth there is nothing to say.
    Hello,
}

/// Why a frame was not taken.
#[derive(Debug)]
pub enum Mistake {
    /// It is no JSON object: the connection is closed.
    NotJson,
    /// Anything else: it is told, and the connection stays.
    Told(Box<ErrorFrame>),
}

/// What was wrong with a frame, and with which subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErrorFrame {
    /// The subscription that the frame was about, if it named one.
    pub id: Option<Arc<str>>,
    /// Stable: programs may compare it.
    pub code: &'static str,
    /// What happened, for people.
    pub detail: String,
    /// What is wrong with each field, if it is about fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Problem>,
}

/// How a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// With exactly what was missed.
    Resume,
    /// With a snapshot of what there is.
    Snapshot,
    /// With what comes from now on.
    Live,
}

/// Why a connection ends in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoodbyeReason {
    /// The server stops, or is started again.
    Shutdown,
}

/// What the server says.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The first frame of a connection.
    Status {
        /// This run of the server.
        epoch: Epoch,
        /// When it began.
        started_at: Timestamp,
        /// The last durable seq.
        seq: Seq,
        /// The first seq that the log still has.
        #[schemars(extend("type" = "integer", "minimum" = 1))]
        earliest: Seq,
        /// The id of this connection, for `GET /api/session/status`.
        session: SessionId,
        /// Seconds between two pings.
        #[schemars(range(min = 0))]
        ping_s: f64,
        /// The version of the server.
        version: &'static str,
    },
    /// The first answer to `subscribe` and `update`.
    Subscribed {
        /// The subscription.
        id: Arc<str>,
        /// Whether it goes on where it was left.
        recovered: bool,
        /// How it begins.
        mode: Mode,
        /// The last durable seq.
        seq: Seq,
    },
    /// It cannot go on where it was left: what was held is worth nothing.
    Reset {
        /// The subscription.
        id: Arc<str>,
        /// Why.
        reason: Lost,
        /// The last durable seq.
        seq: Seq,
    },
    /// What there is, as of `seq` or newer.
    Snapshot {
        /// The subscription.
        id: Arc<str>,
        /// The position after it.
        seq: Seq,
        /// On topic jobs: keep the one with the higher `seq`.
        #[serde(skip_serializing_if = "Option::is_none")]
        jobs: Option<Vec<JobRow>>,
        /// On topic queues.
        #[serde(skip_serializing_if = "Option::is_none")]
        queues: Option<Vec<QueueRow>>,
        /// On topic workers.
        #[serde(skip_serializing_if = "Option::is_none")]
        workers: Option<Vec<WorkerRow>>,
        /// Whether another page follows.
        more: bool,
    },
    /// What has changed.
    Changes {
        /// The subscription.
        id: Arc<str>,
        /// The position before.
        prev: Seq,
        /// The position after.
        seq: Seq,
        /// On topic jobs: keep the one with the higher `seq`.
        #[serde(skip_serializing_if = "Option::is_none")]
        jobs: Option<Vec<JobRow>>,
        /// On topic queues.
        #[serde(skip_serializing_if = "Option::is_none")]
        queues: Option<Vec<QueueRow>>,
        /// On topic workers.
        #[serde(skip_serializing_if = "Option::is_none")]
        workers: Option<Vec<WorkerRow>>,
        /// What no longer matches, or is gone: ids of jobs, names of queues, sessions of workers.
        left: Vec<Arc<str>>,
    },
    /// What has happened.
    Events {
        /// The subscription.
        id: Arc<str>,
        /// The position before.
        prev: Seq,
        /// The position after.
        seq: Seq,
        /// In order of seq.
        events: Vec<PublishedEvent>,
    },
    /// How far running jobs are: the latest, which is on no record yet.
    Progress {
        /// The subscription.
        id: Arc<str>,
        /// Each job once.
        jobs: Vec<Moved>,
    },
    /// Lines of a job's log, in order of their numbers, by which they are resumed.
    Logs {
        /// The subscription.
        id: Arc<str>,
        /// Whose log.
        job_id: JobId,
        /// The lines.
        lines: Vec<KeptLine>,
    },
    /// Everything up to `seq` was sent: from now on changes come as they happen.
    CaughtUp {
        /// The subscription.
        id: Arc<str>,
        /// The position.
        seq: Seq,
    },
    /// The reader was too slow: from here on it is fed at its own pace.
    FellBehind {
        /// The subscription.
        id: Arc<str>,
        /// The position that was delivered last: the next frame's `prev`.
        seq: Seq,
    },
    /// Nothing that matches has happened between `prev` and `seq`.
    Bookmark {
        /// The subscription.
        id: Arc<str>,
        /// The position before.
        prev: Seq,
        /// The position after.
        seq: Seq,
    },
    /// A frame changed nothing.
    Error(ErrorFrame),
    /// Is somebody there? `pong`, or any frame, is an answer.
    Ping,
    /// The connection is about to be closed.
    Goodbye {
        /// Why.
        reason: GoodbyeReason,
        /// How long to wait before coming back, in milliseconds: another time for each, so that not all come at once.
        retry_after_ms: u64,
    },
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Moved {
    /// The job.
    pub id: JobId,
    /// How far it is.
    pub progress: ProgressRow,
}

impl ServerFrame {
    /// The bytes of the frame.
    pub fn bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("a frame can be written as JSON").into()
    }
}

impl ErrorFrame {
    /// An error about a subscription, or about none.
    pub fn new(id: Option<Arc<str>>, code: &'static str, detail: impl Into<String>) -> ErrorFrame {
        ErrorFrame { id, code, detail: detail.into(), errors: Vec::new() }
    }

    /// A frame, or a filter in it, whose fields are wrong.
    pub fn invalid(id: Option<Arc<str>>, problems: Problems) -> ErrorFrame {
        let errors = problems.into_list();
        ErrorFrame { errors, ..ErrorFrame::new(id, "invalid_frame", "a field is wrong, missing or unknown") }
    }
}

/// The beginning of a numbered frame: whose it is, and its place.
pub fn head(frame_type: &str, id: &str, prev: Seq) -> String {
    let id = serde_json::to_string(id).expect("a text can be written as JSON");
    format!("{{\"type\":\"{frame_type}\",\"id\":{id},\"prev\":{},", prev.0)
}

/// Reads what a subscriber sent.
///
/// # Errors
/// What is wrong with it, and whether the connection can go on.
pub fn parse(text: &str) -> Result<ClientFrame, Mistake> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| Mistake::NotJson)?;
    if !raw.get().starts_with('{') {
        return Err(Mistake::NotJson);
    }
    let mut problems = Problems::default();
    let mut id = None;
    let frame = match Fields::open(raw, "", &mut problems) {
        Some(fields) => read(fields, &mut id)?,
        None => None,
    };
    match frame {
        Some(frame) if problems.is_empty() => Ok(frame),
        _ => Err(Mistake::Told(Box::new(ErrorFrame::invalid(id, problems)))),
    }
}

fn read(mut fields: Fields, named: &mut Option<Arc<str>>) -> Result<Option<ClientFrame>, Mistake> {
    if !fields.has("type") {
        fields.problem("type", "is missing");
    }
    let frame_type = fields.text("type");
    let id = fields.short_text("id", SUBSCRIPTION_ID_BYTES_MAX).map(Arc::<str>::from);
    named.clone_from(&id);
    let frame = match frame_type.as_deref() {
        Some("subscribe") => subscribe(&mut fields, id),
        Some("update") => {
            let filter = fields.raw("filter").map(ToOwned::to_owned);
            needed(&mut fields, id).map(|id| ClientFrame::Update { id, filter })
        }
        Some("unsubscribe") => needed(&mut fields, id).map(|id| ClientFrame::Unsubscribe { id }),
        Some("pong") => Some(ClientFrame::Pong),
        Some("hello") => {
            fields.raw("token");
            Some(ClientFrame::Hello)
        }
        Some(other) => {
            let detail = format!(
                "there is no frame of type {other:?}; a subscriber says subscribe, update, unsubscribe, pong and hello"
            );
            return Err(Mistake::Told(Box::new(ErrorFrame::new(id, "unknown_frame", detail))));
        }
        None => None,
    };
    fields.finish();
    Ok(frame)
}

fn subscribe(fields: &mut Fields, id: Option<Arc<str>>) -> Option<ClientFrame> {
    let id = needed(fields, id);
    if !fields.has("topic") {
        fields.problem("topic", "is missing");
    }
    let topic: Option<TopicName> = fields.parsed("topic");
    let filter = fields.raw("filter");
    let since = fields.raw("since");
    let topic = topic.and_then(|topic| topic.read(filter, "/filter", fields.problems()));
    let since = since.and_then(|since| position(since, fields.problems()));
    Some(ClientFrame::Subscribe { id: id?, topic: topic?, since })
}

fn position(raw: &RawValue, problems: &mut Problems) -> Option<Position> {
    let mut fields = Fields::open(raw, "/since", problems)?;
    for name in ["epoch", "seq"] {
        if !fields.has(name) {
            fields.problem(name, "is missing");
        }
    }
    let epoch = fields.parsed("epoch");
    let seq = fields.integer("seq", 0..=(1 << 53) - 1);
    fields.finish();
    Some(Position { epoch: epoch?, seq: Seq(seq? as u64) })
}

fn needed(fields: &mut Fields, id: Option<Arc<str>>) -> Option<Arc<str>> {
    if id.is_none() && fields.problems().is_empty() {
        fields.problem("id", "is missing: name the subscription, in words of your own");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: &str = "01990000-0000-7000-8000-0000000000ee";

    fn told(text: &str) -> ErrorFrame {
        match parse(text) {
            Err(Mistake::Told(error)) => *error,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_subscription_names_itself_its_topic_and_where_it_was_left() {
        let text = format!(
            r#"{{"type":"subscribe","id":"a","topic":"jobs","filter":{{"state":"running"}},"since":{{"epoch":"{EPOCH}","seq":7}}}}"#
        );
        let Ok(ClientFrame::Subscribe { id, topic, since }) = parse(&text) else { panic!("it fits") };
        assert_eq!((&*id, topic.name()), ("a", TopicName::Jobs));
        assert_eq!(since, Some(Position { epoch: EPOCH.parse().expect("an id"), seq: Seq(7) }));
        let short = parse(r#"{"type":"subscribe","id":"a","topic":"queues","since":null}"#);
        assert!(matches!(short, Ok(ClientFrame::Subscribe { topic: Topic::Queues, since: None, .. })));
    }

    #[test]
    fn what_is_no_object_ends_the_connection_and_other_mistakes_are_told() {
        for wrong in ["", "{", "7", "[]", "[{\"type\":\"pong\"}]", "null", "\"pong\"", "{\"type\":\"pong\"} x"] {
            assert!(matches!(parse(wrong), Err(Mistake::NotJson)), "{wrong}");
        }
        for (mistake, code, pointer) in [
            ("{}", "invalid_frame", "/type"),
            (r#"{"type":"subscribe","topic":"jobs"}"#, "invalid_frame", "/id"),
            (r#"{"type":"subscribe","id":"a"}"#, "invalid_frame", "/topic"),
            (r#"{"type":"subscribe","id":"a","topic":"all"}"#, "invalid_frame", "/topic"),
            (
                r#"{"type":"subscribe","id":"a","topic":"jobs","filter":{"kind":"a/b"}}"#,
                "invalid_frame",
                "/filter/kind",
            ),
            (r#"{"type":"subscribe","id":"a","topic":"jobs","since":{"seq":-1}}"#, "invalid_frame", "/since/epoch"),
            (r#"{"type":"subscribe","id":"a","topic":"jobs","sinc":null}"#, "invalid_frame", "/sinc"),
            (r#"{"type":"unsubscribe","id":7}"#, "invalid_frame", "/id"),
            (r#"{"type":"pong","id":"a","x":1}"#, "invalid_frame", "/x"),
        ] {
            let error = told(mistake);
            assert_eq!((error.code, error.errors[0].pointer.as_str()), (code, pointer), "{mistake}");
        }
        assert_eq!(told(r#"{"type":"publish"}"#).code, "unknown_frame");
        assert_eq!(told(r#"{"type":"update","id":"a","filer":{}}"#).id.as_deref(), Some("a"));
    }

    #[test]
    fn a_frame_that_is_put_together_is_the_one_that_is_written() {
        let frame = ServerFrame::Changes {
            id: "a \"b\"".into(),
            prev: Seq(3),
            seq: Seq(9),
            jobs: Some(Vec::new()),
            queues: None,
            workers: None,
            left: vec!["x".into()],
        };
        let put = head("changes", "a \"b\"", Seq(3)) + "\"seq\":9,\"jobs\":[],\"left\":[\"x\"]}";
        assert_eq!(put.as_bytes(), frame.bytes());
    }
}
