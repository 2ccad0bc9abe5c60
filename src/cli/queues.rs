//! `queues`: lists the queues and what waits in each; pauses, drains and resumes them.

use serde_json::json;

use crate::cli::Asked;
use crate::cli::args::{QueuesArguments, QueuesCommand};
use crate::cli::document::Document;
use crate::cli::failure::Stop;
use crate::cli::table::table;
use crate::cli::words;

/// Lists the queues, or changes one.
pub fn run(asked: &mut Asked<'_>, arguments: QueuesArguments) -> Result<(), Stop> {
    let (queue, action, done) = match arguments.command {
        None => return list(asked),
        Some(QueuesCommand::Pause { queue }) => (queue, "pause", "is paused"),
        Some(QueuesCommand::Resume { queue }) => (queue, "resume", "goes on"),
        Some(QueuesCommand::Drain { queue }) => (queue, "drain", "takes no new jobs"),
    };
    let answer = asked.client.post(&format!("/api/queues/{queue}/{action}"), &[], &json!({}))?;
    if asked.json {
        asked.console.data(&answer.document.line())
    } else {
        asked.console.data(&format!("queue {queue} {done}"))
    }
}

fn list(asked: &mut Asked<'_>) -> Result<(), Stop> {
    let (queues, _) = asked.client.get_list("/api/queues", "queues")?;
    if asked.json {
        return queues.iter().try_for_each(|queue| asked.console.data(&queue.line()));
    }
    if queues.is_empty() {
        asked.console.say("no queues: a queue is there once a job is");
        return Ok(());
    }
    let rows: Vec<[String; 10]> = queues.iter().map(row_of).collect();
    let headings =
        ["QUEUE", "QUEUED", "RUNNING", "LIMIT", "RATE", "SCHEDULED", "BLOCKED", "RETRYABLE", "OLDEST", "STATE"];
    table(headings, &rows, |cell, _, _| cell).iter().try_for_each(|line| asked.console.data(line))
}

fn row_of(queue: &Document) -> [String; 10] {
    let depth = |state: &str| queue.count(&format!("depth.{state}")).unwrap_or_default().to_string();
    let oldest = queue.number("oldest_age_s").map(|age_s| words::span((age_s * 1000.0) as u64));
    let state: Vec<String> = ["paused", "draining"].into_iter().filter_map(|state| done_to(queue, state)).collect();
    [
        queue.text("name").unwrap_or_default().to_owned(),
        depth("queued"),
        depth("running"),
        queue.count("concurrency").map(|limit| limit.to_string()).unwrap_or_default(),
        queue.text("rate").unwrap_or_default().to_owned(),
        depth("scheduled"),
        depth("blocked"),
        depth("retryable"),
        oldest.unwrap_or_default(),
        state.join(", "),
    ]
}

/// What somebody did to a queue, who and since when.
fn done_to(queue: &Document, state: &str) -> Option<String> {
    queue.at(state)?;
    let by = match (queue.text(&format!("{state}.by.id")), queue.text(&format!("{state}.by.type"))) {
        (Some(name), _) => format!(" by {name}"),
        (None, Some(kind)) => format!(" by a {kind}"),
        (None, None) => String::new(),
    };
    let since = queue.text(&format!("{state}.at")).map(|at| format!(" since {at}")).unwrap_or_default();
    Some(format!("{state}{by}{since}"))
}
