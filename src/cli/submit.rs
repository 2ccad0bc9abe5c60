//! `submit`: hands a job in, prints its id, and with `--wait` follows it to its end and prints its result.

use serde_json::{Map, Value, json};

use crate::cli::Asked;
use crate::cli::args::SubmitArguments;
use crate::cli::client::Trouble;
use crate::cli::document::{Document, pretty};
use crate::cli::failure::{Failure, Stop};
use crate::cli::patience::Patience;
use crate::cli::typed::args_of;
use crate::cli::{wait, words};
use crate::domain::id::JobId;

/// Submits a job.
pub fn run(asked: &mut Asked<'_>, arguments: SubmitArguments) -> Result<(), Stop> {
    let body = body_of(&arguments)?;
    let key: Vec<(&str, &str)> =
        arguments.idempotency_key.iter().map(|key| ("Idempotency-Key", key.as_str())).collect();
    let answer = asked.client.post("/api/jobs", &key, &body).map_err(|trouble| not_taken(trouble, key.is_empty()))?;
    let mut patience = Patience::default();
    patience.answered(&answer);
    let job = answer.document;
    let id = job.text("id").ok_or_else(|| Failure::ours("the server gave no id"))?.to_owned();
    let known = if answer.is_replayed { ", submitted before" } else { "" };
    let state = job.text("state").unwrap_or("unknown");
    if !arguments.wait {
        asked.console.say(&format!("{state}{known}"));
        return asked.console.data(&if asked.json { job.line() } else { id });
    }
    asked.console.say(&format!("job {id}: {state}{known} (Ctrl-C ends the wait, not the job)"));
    let id = id.parse::<JobId>().map_err(|_| Failure::ours("the server gave an id that is none"))?;
    let job = wait::until_terminal(asked, id, patience, false)?;
    if asked.json {
        asked.console.data(&job.line())?;
    }
    wait::verdict(asked, &job)?;
    if asked.json { Ok(()) } else { print_result(asked, &job) }
}

fn body_of(arguments: &SubmitArguments) -> Result<Value, Failure> {
    let mut body = Map::new();
    body.insert("kind".into(), json!(arguments.kind));
    body.insert("args".into(), Value::Object(args_of(&arguments.args)?));
    let optional = [
        ("queue", arguments.queue.as_ref().map(|queue| json!(queue))),
        ("priority", arguments.priority.map(|priority| json!(priority))),
        ("delay_s", arguments.delay.map(|delay| json!(delay))),
        ("scheduled_at", arguments.at.map(|at| json!(at))),
        ("tags", (!arguments.tags.is_empty()).then(|| json!(arguments.tags))),
        ("unique_key", arguments.unique_key.as_ref().map(|key| json!(key))),
        ("depends_on", (!arguments.depends_on.is_empty()).then(|| json!(arguments.depends_on))),
        ("parent_id", arguments.parent.map(|parent| json!(parent))),
        ("max_attempts", arguments.max_attempts.map(|count| json!(count))),
        ("timeout_s", arguments.timeout.map(|timeout| json!(timeout))),
    ];
    let given = optional.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?)));
    body.extend(given);
    Ok(Value::Object(body))
}

/// After a connection that broke nobody knows whether the job was taken, unless a key can tell.
fn not_taken(trouble: Trouble, has_no_key: bool) -> Failure {
    let is_unknown = matches!(trouble, Trouble::Broken(_));
    let failure = Failure::from(trouble);
    match (is_unknown, has_no_key) {
        (false, _) => failure,
        (true, true) => {
            let hint = "it is not known whether the job was taken: see `daybook jobs ls`, and give --idempotency-key next time";
            failure.hint(hint)
        }
        (true, false) => failure.hint("run the same command again: the key makes sure that there is one job"),
    }
}

/// What the job gave goes to stdout; where its files are is said to people.
fn print_result(asked: &mut Asked<'_>, job: &Document) -> Result<(), Stop> {
    for file in job.list("files") {
        let name = file.text("name").unwrap_or_default();
        let size = file.count("size").map(words::size).unwrap_or_default();
        let place = format!("{}/api/jobs/{}/files/{name}", asked.client.server(), job.text("id").unwrap_or_default());
        asked.console.say(&format!("file {name} ({size}): {place}"));
    }
    match job.raw("result") {
        Some(result) => asked.console.data(&pretty(result)),
        None => Ok(()),
    }
}
