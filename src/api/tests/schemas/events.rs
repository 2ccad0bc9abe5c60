//! The files of `schemas/events`: one for each type of event, `event.json` for all of them, `cloudevent.json` for the
//! lines of an export, `common.json` for what they share.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use uuid::Uuid;

use super::*;
use crate::domain::event::{
    Actor, EpochStarted, Event, JobAdopted, JobAmended, JobAttemptFailed, JobAttemptLost, JobCancelRequested,
    JobCancelled, JobCheckpointed, JobCompleted, JobFailed, JobFileStored, JobItemsAdded, JobItemsReported,
    JobLateResult, JobProgressed, JobPurged, JobQueued, JobScheduled, JobsForgotten, QueueDraining, QueuePaused,
    QueueRateSpent, QueueResumed, Record, ScheduleChanged, ScheduleFired, WorkerJoined, WorkerLeft,
};
use crate::domain::id::Seq;
use crate::feed::cloudevents::{BasePart, Begun, CloudEvent, Ended, FORMAT, PartName};
use crate::feed::published::{PublishedEvent, Retried, Started, Submitted};
use crate::log::codec::samples;

/// The session of the samples.
const SESSION: &str = "01990000-0000-7000-8000-000000000001";

/// One type of event.
struct Shape {
    event_type: &'static str,
    happened: &'static str,
    next: &'static str,
    data: fn(&mut SchemaGenerator) -> Value,
}

const fn shape<T: JsonSchema>(event_type: &'static str, happened: &'static str, next: &'static str) -> Shape {
    Shape { event_type, happened, next, data: data::<T> }
}

/// The shape of an event's data. The job stands beside the data and not in it.
fn data<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    let mut schema = T::json_schema(generator).to_value();
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.remove("job");
    }
    if let Some(required) = schema["required"].as_array_mut() {
        required.retain(|name| name != "job");
    }
    schema["description"] = json!("What belongs to this type of event.");
    schema
}

/// All of them, in the order in which a job may meet them.
const SHAPES: &[Shape] = &[
    shape::<Submitted>(
        "job.submitted",
        "A job was accepted; `state` says where it begins.",
        "`job.started` if it is `queued`; `job.queued` at its time if it is `scheduled`; `job.queued`, `job.scheduled` \
         or `job.cancelled` once the jobs that it waits for have ended if it is `blocked`.",
    ),
    shape::<JobAmended>(
        "job.amended",
        "Somebody changed a job that waits; what is `null` stayed as it was.",
        "What came next before; a new time moves a queued job back to `scheduled`, and one that has come is followed by \
         `job.queued` at once.",
    ),
    shape::<JobScheduled>(
        "job.scheduled",
        "All jobs that a job waited for are completed, and its time has not come.",
        "`job.queued` at `scheduled_at`.",
    ),
    shape::<JobQueued>(
        "job.queued",
        "A job waits for a worker, again or at last; `cause` says why.",
        "`job.started` as soon as a worker has room for it.",
    ),
    shape::<Started>(
        "job.started",
        "A worker got the lease of a job and runs it.",
        "One of `job.completed`, `job.failed`, `job.attempt_failed`, `job.attempt_lost`, `job.cancelled` and \
         `job.queued` ends the run.",
    ),
    shape::<JobAdopted>(
        "job.adopted",
        "A worker came back with the token of a job that it runs, after its session or the server had ended: the same \
         run goes on in its present session.",
        "The run goes on.",
    ),
    shape::<JobProgressed>(
        "job.progressed",
        "A worker said how far it is; recorded at most once a second, and before each change of state.",
        "The run goes on.",
    ),
    shape::<JobItemsAdded>("job.items_added", "A batch got more items.", "The run goes on."),
    shape::<JobItemsReported>("job.items_reported", "Items of a batch ended.", "The run goes on."),
    shape::<JobCheckpointed>(
        "job.checkpointed",
        "A worker left a note for the next run, in case this one does not come to its end.",
        "The run goes on.",
    ),
    shape::<JobFileStored>("job.file_stored", "A run left a file.", "The run goes on."),
    shape::<JobAttemptFailed>(
        "job.attempt_failed",
        "An attempt failed or its time was up, and another will follow: the job is `retryable`.",
        "`job.queued` with cause `retry_due` at `retry_at`, unless somebody cancels it before.",
    ),
    shape::<JobAttemptLost>(
        "job.attempt_lost",
        "A run ended because its worker or the server went away: the job is `queued` and keeps its attempt.",
        "`job.started` with the same attempt; `job.failed` at once if it was one loss too many; `job.cancelled` at once \
         if somebody had asked it to stop.",
    ),
    shape::<JobCancelRequested>(
        "job.cancel_requested",
        "Somebody asked a running job to stop, and its worker is told.",
        "`job.cancelled` when it lets go, at `deadline` at the latest; `job.completed` if it was done before.",
    ),
    shape::<JobCompleted>(
        "job.completed",
        "A job ended well; of a batch, items that nobody reported are `skipped`.",
        "Nothing, but `job.retried` of a batch with failed or skipped items. Jobs that waited for it go on.",
    ),
    shape::<JobFailed>(
        "job.failed",
        "A job ended badly; `reason` says why.",
        "Nothing, but `job.retried` by hand. Jobs that waited for it are cancelled.",
    ),
    shape::<JobCancelled>(
        "job.cancelled",
        "A job was stopped, or never ran; `reason` says why.",
        "Nothing, but `job.retried` by hand. Jobs that waited for it are cancelled.",
    ),
    shape::<Retried>(
        "job.retried",
        "A job that had ended is run again by hand, with fresh counters.",
        "As after `job.submitted`.",
    ),
    shape::<JobLateResult>(
        "job.late_result",
        "A call came with a token that no longer holds; it changed nothing. At most 16 a job are noted.",
        "What came next before.",
    ),
    shape::<JobPurged>(
        "job.purged",
        "The args, results, output files and log lines of a job that had ended are gone from every answer, those of its \
         former events too.",
        "Nothing, but `jobs.forgotten`.",
    ),
    shape::<JobsForgotten>(
        "jobs.forgotten",
        "Jobs that had ended long ago, or that were more than are kept, are not known any more.",
        "Nothing: no event names them again.",
    ),
    shape::<QueuePaused>(
        "queue.paused",
        "A queue hands out no more jobs; what runs goes on.",
        "`queue.resumed` by hand.",
    ),
    shape::<QueueDraining>(
        "queue.draining",
        "A queue takes no new jobs, but children of what runs; what is in it is worked off.",
        "`queue.resumed` by hand.",
    ),
    shape::<QueueResumed>(
        "queue.resumed",
        "A queue hands out jobs again if it was paused, and takes new ones if it was draining.",
        "`job.started` of what waits in it.",
    ),
    shape::<QueueRateSpent>(
        "queue.rate_spent",
        "Jobs were started from a queue that has a rate, by the events just before.",
        "The next `job.started` from this queue comes when the rate lets it.",
    ),
    shape::<WorkerJoined>("worker.joined", "A worker's session began.", "`job.started` of jobs that it takes."),
    shape::<WorkerLeft>(
        "worker.left",
        "A worker's session ended; `cause` says how.",
        "`job.attempt_lost` or `job.queued` of the jobs that it held; they may stand before it.",
    ),
    shape::<ScheduleChanged>(
        "schedule.changed",
        "A schedule was made, changed, or dropped if `schedule` is `null`.",
        "`schedule.fired` at `next_at`.",
    ),
    shape::<ScheduleFired>(
        "schedule.fired",
        "A time of a schedule has come; `outcome` says what came of it.",
        "`job.cancelled` or `job.cancel_requested` of the job that is replaced, then `job.submitted` of the new one, if it \
         is `submitted`; `schedule.fired` at `next_at`.",
    ),
    shape::<EpochStarted>(
        "epoch.started",
        "The server started, and all that follows belongs to this epoch.",
        "`job.attempt_lost` of jobs whose worker ended with the server before, unless it ended in order.",
    ),
];

/// The files by name.
pub fn files() -> Files {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut envelope = PublishedEvent::json_schema(&mut generator).to_value();
    // A reference alone: with a description beside it, generators of types make one actor for each event.
    envelope["properties"]["actor"] = generator.subschema_for::<Actor>().to_value();
    let mut files: Files = SHAPES
        .iter()
        .map(|shape| (format!("{}.json", shape.event_type), of_type(shape, &envelope, &mut generator)))
        .collect();
    files.insert("event.json".to_owned(), of_all(&envelope));
    files.insert("cloudevent.json".to_owned(), of_lines(&mut generator));
    let definitions = generator.take_definitions(true);
    let everything = Value::Object(files.clone().into_iter().collect());
    let shared = json!({
        "$schema": DIALECT,
        "$id": "common.json",
        "title": "Common",
        "description": "What the events share.",
        "$defs": used(&definitions, &everything)
    });
    files.values_mut().for_each(refer_to_common);
    files.insert("common.json".to_owned(), shared);
    files.values_mut().for_each(plain);
    files
}

fn of_type(shape: &Shape, envelope: &Value, generator: &mut SchemaGenerator) -> Value {
    let examples: Vec<Value> = examples_of(shape.event_type);
    let mut file = head(&format!("{}.json", shape.event_type), &format!("{} {}", shape.happened, after(shape.next)));
    file["title"] = json!(title(shape.event_type));
    file["type"] = json!("object");
    file["required"] = envelope["required"].clone();
    file["properties"] = envelope["properties"].clone();
    file["properties"]["data"] = (shape.data)(generator);
    file["properties"]["type"] = json!({"const": shape.event_type, "description": "What happened."});
    let is_about_a_job = shape.event_type.starts_with("job.");
    let about = if is_about_a_job { "The job that the event is about." } else { "It is about no job." };
    file["properties"]["job_id"] =
        if is_about_a_job { json!({"$ref": "#/$defs/JobId"}) } else { json!({"type": "null"}) };
    file["properties"]["job_id"]["description"] = json!(about);
    file["examples"] = json!(examples);
    file
}

fn after(next: &str) -> String {
    format!("Next: {}{}", next[..1].to_lowercase(), &next[1..])
}

fn of_all(envelope: &Value) -> Value {
    let mut file = head(
        "event.json",
        "Something that happened, as it stands in the log: one of the types that this version knows. A newer server may \
         publish others, and more fields in these; pass over what you do not know.",
    );
    file["title"] = json!("Event");
    file["type"] = json!("object");
    file["required"] = envelope["required"].clone();
    file["properties"] = envelope["properties"].clone();
    file["oneOf"] = SHAPES.iter().map(|shape| json!({"$ref": format!("{}.json", shape.event_type)})).collect();
    file["examples"] = json!(examples_of("job.started"));
    file
}

/// A line of an export.
fn of_lines(generator: &mut SchemaGenerator) -> Value {
    let mut file = head(
        "cloudevent.json",
        "A line of an exported log: a CloudEvent 1.0 in JSON. The first is `daybook.export.begun` and the last \
         `daybook.export.ended`; between them stands every event in order. If the oldest events were dropped, what stands \
         for them comes behind the first line, which says so by `data.base`: `daybook.base.part` lines (`data.part` is \
         `state`, then `jobs`; `data.number` counts from 1 in each; `data.bytes` is a piece in base64, and `data.hash` on \
         the last piece the BLAKE3 hash of the part), then as many events with `daybookcarried` as `data.base.carried` \
         says. A newer server may write other types, and more \
         attributes; an import takes only what it knows.",
    );
    let envelope = CloudEvent::json_schema(generator).to_value();
    for part in ["type", "required", "properties"] {
        file[part] = envelope[part].clone();
    }
    file["title"] = json!("CloudEvent");
    let lineage = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0007);
    let at = crate::domain::time::Timestamp::from_ms(1_790_000_000_000);
    let begun = Begun { format: FORMAT, lineage, earliest: Seq(1), last: Seq(4711), epoch: None, base: None };
    let ended = Ended { last: Seq(4711), fold: None };
    let samples = samples::one_of_each().into_iter().filter(|record| record.event.type_name() == "job.queued");
    let events = samples.map(|record| CloudEvent::of(Record { actor: Actor::SERVER, ..record }, lineage));
    let (bytes, hash) = ("REJFTkRFRAE=".to_owned(), Some(blake3::hash(b"DBENDED\x01").to_hex().to_string()));
    let part = BasePart { part: PartName::Jobs, number: 1, bytes, hash };
    let lines = [CloudEvent::begun(begun, at), CloudEvent::base_part(part, lineage, at)].into_iter().chain(events);
    let lines = lines.chain([CloudEvent::ended(ended, lineage, at)]);
    file["examples"] = lines.map(|line| serde_json::to_value(line).expect("writes")).collect();
    file
}

fn head(id: &str, description: &str) -> Value {
    json!({"$schema": DIALECT, "$id": id, "description": description})
}

/// `job.items_added` becomes `JobItemsAdded`.
fn title(event_type: &str) -> String {
    let words = event_type.split(['.', '_']);
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn refer_to_common(value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        if let Some(Value::String(reference)) = members.get_mut("$ref")
            && reference.starts_with('#')
        {
            reference.insert_str(0, "common.json");
        }
        members.values_mut().for_each(refer_to_common);
    }
    value.as_array_mut().into_iter().flatten().for_each(refer_to_common);
}

/// What a server really publishes of the samples that the golden files hold too, by whom it usually is.
fn examples_of(event_type: &str) -> Vec<Value> {
    let samples = samples::one_of_each().into_iter().filter(|record| record.event.type_name() == event_type);
    let published = samples.map(|record| PublishedEvent::of(Record { actor: actor_of(event_type), ..record }));
    published.map(|event| serde_json::to_value(event).expect("writes")).collect()
}

fn actor_of(event_type: &str) -> Actor {
    match event_type {
        "job.submitted"
        | "job.amended"
        | "job.cancel_requested"
        | "job.retried"
        | "job.purged"
        | "queue.paused"
        | "queue.resumed"
        | "queue.draining" => Actor::CLIENT,
        "epoch.started" | "job.queued" | "job.scheduled" | "job.attempt_lost" | "job.cancelled" | "worker.left"
        | "queue.rate_spent" | "jobs.forgotten" => Actor::SERVER,
        "schedule.changed" => Actor::CLIENT,
        "schedule.fired" => Actor::schedule(&"nightly".parse().expect("a name")),
        _ => Actor::worker(SESSION.parse().expect("an id")),
    }
}

/// The rows of the table for people.
pub fn table() -> Vec<String> {
    let row = |shape: &Shape| format!("| `{}` | {} | {} |", shape.event_type, shape.happened, shape.next);
    SHAPES.iter().map(row).collect()
}

#[test]
fn every_type_of_event_has_a_shape() {
    let described: BTreeSet<&str> = SHAPES.iter().map(|shape| shape.event_type).collect();
    let known: BTreeSet<&str> = Event::TYPE_NAMES.iter().copied().collect();
    assert_eq!(described, known);
}
