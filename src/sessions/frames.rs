//! The frames that workers and the server exchange: their shapes, their limits, and the errors of those that are wrong.
//!
//! The same on every transport. What a frame does is not decided here.

use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::id::{Epoch, JobId, KindName, LeaseToken, QueueName, SessionId};
use crate::domain::job::JobError;
use crate::domain::json::Json;
use crate::domain::limits::ITEM_KEY_BYTES_MAX;
use crate::kinds::Problem;
use crate::sessions::calls::{Call, too_large_result};
use crate::sessions::fields::{Fields, read_beginning, read_frames};
use crate::sessions::ports::LogLine;
use crate::views::row::JobBody;

/// The most bytes of one frame or of an array of them.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most jobs that a session may want to hold at once.
pub const SLOTS_MAX: u32 = 1000;
/// The most leases that a worker names at once: those of a full session, and those of the one before it.
pub const LEASES_NAMED_MAX: usize = 2 * SLOTS_MAX as usize;
/// The most bytes of a worker's name.
pub const NAME_BYTES_MAX: usize = 128;
/// The most kinds or queues that a worker may name.
pub const NAMES_MAX: usize = 1000;
/// The most items that a job frame hands over; the rest is asked for.
pub const ITEMS_HANDED_MAX: usize = 1000;

/// What a worker says.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerFrame {
    /// Who it is. The first frame, and only the first.
    Hello(Hello),
    /// How many jobs it wants to hold at once, until it says so again.
    Ready { slots: u32 },
    /// It is still there.
    Pong,
    /// Something about a job that it holds.
    Job(JobCall),
}

/// A worker introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// A label for people, at most 128 bytes; it need not be unique.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub name: Option<Arc<str>>,
    /// The kinds that it runs. Empty or absent: every kind; for a child process, the kind that it was started for.
    #[serde(default, deserialize_with = "names")]
    #[schemars(length(max = NAMES_MAX))]
    pub kinds: Option<Vec<KindName>>,
    /// The queues that it takes jobs from; null or absent: every queue.
    #[serde(default, deserialize_with = "names")]
    #[schemars(length(max = NAMES_MAX))]
    pub queues: Option<Vec<QueueName>>,
    /// The session that it had before its connection broke.
    pub resume: Option<Resume>,
}

/// What a worker still holds of a former session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Resume {
    /// The session that it had.
    pub session: SessionId,
    /// The leases that it held and still works on.
    #[schemars(length(max = LEASES_NAMED_MAX))]
    pub leases: Vec<LeaseRef>,
}

/// A job and the secret that proves its lease.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LeaseRef {
    /// The job.
    pub job_id: JobId,
    /// The token of its lease, as it came with the job.
    #[serde(deserialize_with = "token")]
    #[schemars(with = "String")]
    pub token: LeaseToken,
}

/// A frame about a job, with the proof of its lease.
#[derive(Debug, Clone, PartialEq)]
pub struct JobCall {
    pub lease: LeaseRef,
    pub call: Call,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to `hello`.
    Welcome {
        /// The session that the worker has from now on.
        session: SessionId,
        /// The run of the server.
        epoch: Epoch,
        /// Seconds after which a lease ends when nothing is heard from the worker.
        #[schemars(range(min = 0))]
        lease_s: f64,
        /// Seconds between two pings.
        #[schemars(range(min = 0))]
        ping_s: f64,
    },
    /// A job to run.
    Job(Box<JobFrame>),
    /// A job shall stop. Its lease ends after `grace_s` at the latest.
    Cancel {
        /// The job that shall stop.
        job_id: JobId,
        /// Why.
        reason: CancelReason,
        /// Seconds that are left to stop in order.
        #[schemars(range(min = 0))]
        grace_s: f64,
    },
    /// The lease of a job is gone: whatever is still said about it changes nothing.
    Lost {
        /// The job whose lease is gone.
        job_id: JobId,
    },
    /// No more jobs will come.
    Quiet,
    /// The worker shall go.
    Terminate,
    /// Is it still there? Any frame is an answer.
    Ping,
    /// A child was taken, or had been taken before.
    Submitted {
        /// The `ref` of the `submit` that this answers.
        #[serde(rename = "ref")]
        reference: Option<Arc<str>>,
        /// The child.
        id: JobId,
    },
    /// A frame changed nothing.
    Error(ErrorFrame),
}

/// A job with everything that a worker needs to run it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobFrame {
    /// The whole job, as `GET /api/jobs/{id}` shows it.
    #[schemars(with = "JobBody")]
    pub job: Json,
    /// The number of this run, from 1.
    #[schemars(range(min = 1))]
    pub attempt: u32,
    /// Items that are still pending, up to 1,000; the rest with `GET /api/jobs/{id}/items?state=pending`.
    #[schemars(length(max = ITEMS_HANDED_MAX))]
    pub items: Vec<HandedItem>,
    /// The right to run this attempt.
    pub lease: HandedLease,
    /// What an earlier run left for this one: any JSON; `null` if none did.
    pub checkpoint: Option<Json>,
}

/// One item to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HandedItem {
    /// What names the item within its job.
    #[schemars(length(min = 1, max = ITEM_KEY_BYTES_MAX))]
    pub key: Arc<str>,
    /// What is needed to do it: any JSON.
    pub args: Option<Json>,
}

/// The lease that comes with a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HandedLease {
    /// The secret that proves it; send it with every frame about the job.
    pub token: Arc<str>,
    /// Seconds after which it ends, unless something is heard from the worker.
    #[schemars(range(min = 0))]
    pub expires_in_s: f64,
}

/// Why a job shall stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// Somebody asked for it.
    Requested,
    /// Its running time is over.
    Timeout,
    /// The server stops.
    Shutdown,
}

impl CancelReason {
    /// The word as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            CancelReason::Requested => "requested",
            CancelReason::Timeout => "timeout",
            CancelReason::Shutdown => "shutdown",
        }
    }
}

/// What was wrong with a frame, and with which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ErrorFrame {
    /// Stable: programs may compare it.
    pub code: Arc<str>,
    /// What happened, for people.
    pub detail: Arc<str>,
    /// The job that the frame was about, if it was about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// The `ref` of the `submit` that was refused.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<Arc<str>>,
    /// What is wrong with each field, if it is about fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Problem>,
}

/// Why a frame was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct FrameError {
    pub code: Arc<str>,
    pub detail: Arc<str>,
    pub errors: Vec<Problem>,
}

impl FrameError {
    /// An error with a stable code.
    pub fn new(code: impl Into<Arc<str>>, detail: impl Into<Arc<str>>) -> FrameError {
        FrameError { code: code.into(), detail: detail.into(), errors: Vec::new() }
    }

    /// A frame whose fields are wrong.
    pub fn invalid(detail: impl Into<Arc<str>>) -> FrameError {
        FrameError::new("invalid_frame", detail)
    }

    /// A frame with a field that is wrong, at this pointer.
    pub(crate) fn at(frame: &str, pointer: String, message: impl Into<String>) -> FrameError {
        let message = message.into();
        let place = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
        let detail = format!("{frame}: {place}{message}");
        FrameError { errors: vec![Problem { pointer, message }], ..FrameError::invalid(detail) }
    }

    /// A frame of a type that there is not.
    pub(crate) fn unknown(type_name: &str) -> FrameError {
        let types = Call::TYPES.join(", ");
        FrameError::new(
            "unknown_frame",
            format!("there is no frame of type {type_name:?}; a worker says hello, ready, pong, {types}"),
        )
    }

    pub(crate) fn not_json(error: serde_json::Error) -> FrameError {
        FrameError::new("invalid_json", format!("a frame is a JSON object or an array of them: {error}"))
    }
}

impl ErrorFrame {
    /// What stands in the log of the job: few programs read their answers.
    pub fn log_line(&self) -> LogLine {
        let mut text = format!("a frame was not carried out: {}: {}", self.code, self.detail);
        for problem in self.errors.iter().filter(|problem| !self.detail.contains(&problem.message)) {
            text.push_str(&format!("; {}: {}", problem.pointer, problem.message));
        }
        LogLine::system(&text)
    }
}

impl From<FrameError> for ErrorFrame {
    fn from(error: FrameError) -> ErrorFrame {
        ErrorFrame { code: error.code, detail: error.detail, job_id: None, reference: None, errors: error.errors }
    }
}

/// Reads what a worker sent: one frame or an array of them, each for itself, in order.
pub fn parse_worker_frames(text: &str) -> Vec<Result<WorkerFrame, Box<ErrorFrame>>> {
    if text.len() > FRAME_BYTES_MAX {
        let detail = format!("a frame has at most {FRAME_BYTES_MAX} bytes; this one has {}", text.len());
        return vec![Err(Box::new(FrameError::new("frame_too_large", detail).into()))];
    }
    match read_frames(text) {
        Ok(frames) => frames
            .into_iter()
            .flat_map(|frame| frame.map_or_else(|error| vec![Err(boxed(error))], understand_or_end))
            .collect(),
        Err(error) => vec![Err(Box::new(error.into()))],
    }
}

/// What can be told of a frame that was longer than [`FRAME_BYTES_MAX`] and of which only the beginning was kept. A
/// `complete` that says whose it is before it comes to its result ends that run: with an error, because the result is
/// lost, but it does not leave the job with a worker that believes it is done.
pub fn read_cut_frame(beginning: &str, length: u64) -> Vec<Result<WorkerFrame, Box<ErrorFrame>>> {
    let detail = format!("a frame has at most {FRAME_BYTES_MAX} bytes; this one has {length}");
    let mut texts = read_beginning(beginning);
    let job_id = texts.get("job_id").and_then(|text| text.parse::<JobId>().ok());
    let lease = job_id.zip(texts.remove("token").map(LeaseToken::new));
    let is_end = texts.get("type").is_some_and(|name| name == "complete");
    let end = lease.filter(|_| is_end).zip(too_large_result(usize::try_from(length).unwrap_or(usize::MAX)));
    let end = end.map(|((job_id, token), error)| {
        WorkerFrame::Job(JobCall { lease: LeaseRef { job_id, token }, call: Call::Fail(error) })
    });
    let told = Err(Box::new(ErrorFrame { job_id, ..FrameError::new("frame_too_large", detail).into() }));
    [Some(told), end.map(Ok)].into_iter().flatten().collect()
}

/// Reads frames about a job whose lease is known from elsewhere: a child that runs one job need not name it. None if
/// the text is anything else than frames of these types.
pub fn parse_calls(text: &str, types: &[&str]) -> Option<Vec<Result<Call, Box<ErrorFrame>>>> {
    let frames: Vec<Fields<'_>> = read_frames(text).ok()?.into_iter().collect::<Result<_, _>>().ok()?;
    let are_calls = !frames.is_empty() && frames.iter().all(|frame| types.contains(&frame.type_name()));
    are_calls.then(|| frames.into_iter().map(understand_call).collect())
}

/// Whether a text is a frame or an array with at least one, be they right or wrong.
pub fn looks_like_frames(text: &str) -> bool {
    read_frames(text).is_ok_and(|frames| frames.iter().any(Result::is_ok))
}

fn understand_call(mut fields: Fields<'_>) -> Result<Call, Box<ErrorFrame>> {
    let named = fields.take::<JobId>("job_id").and_then(|_| fields.take::<String>("token").map(drop));
    let reference = reference_of(&mut fields);
    named
        .and_then(|()| Call::read(fields, reference.clone()))
        .map_err(|error| Box::new(ErrorFrame { reference, ..error.into() }))
}

/// A frame that is wrong is told; if it would have ended a run whose lease it names, the attempt fails with it. To refuse
/// it and nothing else would leave the job, for ever, with a worker that believes it is done.
fn understand_or_end(fields: Fields<'_>) -> Vec<Result<WorkerFrame, Box<ErrorFrame>>> {
    let lease = fields.peek("job_id").zip(fields.peek::<String>("token"));
    let lease = lease.filter(|_| Call::ENDS.contains(&fields.type_name()));
    let understood = understand(fields);
    let end = understood.as_ref().err().zip(lease).map(|(error, (job_id, token))| {
        let error = JobError {
            code: error.code.clone(),
            message: format!("the frame that should end the job is wrong: {}", error.detail).into(),
            details: None,
            retryable: true,
            attempt: 0,
        };
        let lease = LeaseRef { job_id, token: LeaseToken::new(token) };
        Ok(WorkerFrame::Job(JobCall { lease, call: Call::Fail(error) }))
    });
    std::iter::once(understood).chain(end).collect()
}

fn understand(mut fields: Fields<'_>) -> Result<WorkerFrame, Box<ErrorFrame>> {
    match fields.type_name() {
        "hello" => fields.into().and_then(Hello::check).map(WorkerFrame::Hello).map_err(boxed),
        "ready" => fields.into().and_then(Slots::check).map(|slots| WorkerFrame::Ready { slots }).map_err(boxed),
        "pong" => Ok(WorkerFrame::Pong),
        unknown if !Call::TYPES.contains(&unknown) => Err(boxed(FrameError::unknown(unknown))),
        _ => {
            let job_id = fields.take::<JobId>("job_id").map_err(boxed)?;
            let reference = reference_of(&mut fields);
            let token = fields.take::<String>("token");
            let named = token.and_then(|token| name_lease(job_id, token));
            let called = named.and_then(|lease| {
                Call::read(fields, reference.clone()).map(|call| WorkerFrame::Job(JobCall { lease, call }))
            });
            called.map_err(|error| Box::new(ErrorFrame { job_id, reference, ..error.into() }))
        }
    }
}

fn boxed(error: FrameError) -> Box<ErrorFrame> {
    Box::new(error.into())
}

/// A `ref` that is not a text is left in place, where it is an unknown or wrong field.
fn reference_of(fields: &mut Fields<'_>) -> Option<Arc<str>> {
    (fields.type_name() == "submit").then(|| fields.take("ref").ok().flatten()).flatten()
}

fn name_lease(job: Option<JobId>, token: Option<String>) -> Result<LeaseRef, FrameError> {
    match (job, token) {
        (Some(job_id), Some(token)) => Ok(LeaseRef { job_id, token: LeaseToken::new(token) }),
        _ => Err(FrameError::invalid("a frame about a job needs its `job_id` and the `token` of its lease")),
    }
}

/// How many jobs a worker wants to hold at once.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slots {
    /// How many jobs it wants to hold at once, until it says so again; 0: no more.
    #[schemars(range(max = SLOTS_MAX))]
    slots: u32,
}

impl Slots {
    fn check(self) -> Result<u32, FrameError> {
        let fits = self.slots <= SLOTS_MAX;
        fits.then_some(self.slots)
            .ok_or_else(|| FrameError::invalid(format!("ready: slots: at most {SLOTS_MAX} jobs can be held at once")))
    }
}

impl Hello {
    /// Checks what the types do not say.
    pub fn check(self) -> Result<Hello, FrameError> {
        let name_fits = self.name.as_ref().is_none_or(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX);
        if !name_fits {
            return Err(FrameError::invalid(format!("hello: name: it has 1 to {NAME_BYTES_MAX} bytes")));
        }
        if self.resume.as_ref().is_some_and(|resume| resume.leases.len() > LEASES_NAMED_MAX) {
            return Err(FrameError::invalid(format!("hello: resume: at most {LEASES_NAMED_MAX} leases are named")));
        }
        let kinds = self.kinds.as_ref().map_or(0, Vec::len);
        let queues = self.queues.as_ref().map_or(0, Vec::len);
        if kinds > NAMES_MAX || queues > NAMES_MAX {
            return Err(FrameError::invalid(format!("hello: a worker names at most {NAMES_MAX} kinds and queues")));
        }
        Ok(self)
    }
}

fn names<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(deserializer)?;
    let parse = |text: String| {
        text.parse().map_err(|error| serde::de::Error::custom(format_args!("{text:?} is no name: {error}")))
    };
    texts.map(|texts| texts.into_iter().map(parse).collect()).transpose()
}

fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LeaseToken, D::Error> {
    String::deserialize(deserializer).map(LeaseToken::new)
}

#[cfg(test)]
mod tests;
