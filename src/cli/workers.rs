//! `workers`: lists the sessions of workers and what each runs; lets one rest or go.

use serde_json::json;

use crate::cli::Asked;
use crate::cli::args::{WorkersArguments, WorkersCommand};
use crate::cli::console::printable;
use crate::cli::document::Document;
use crate::cli::failure::Stop;
use crate::cli::table::table;
use crate::cli::words::{seen_from, short};
use crate::clock::{Clock, SystemClock};
use crate::domain::time::Timestamp;

const KINDS_CHARS_MAX: usize = 40;

/// Lists the workers, or changes one.
pub fn run(asked: &mut Asked<'_>, arguments: WorkersArguments) -> Result<(), Stop> {
    let (session, action, done) = match arguments.command {
        None | Some(WorkersCommand::Ls) => return list(asked),
        Some(WorkersCommand::Quiet { session }) => (session, "quiet", "takes no more jobs"),
        Some(WorkersCommand::Terminate { session }) => (session, "terminate", "was told to go"),
    };
    let answer = asked.client.post(&format!("/api/workers/{session}/{action}"), &[], &json!({}))?;
    if asked.json {
        return asked.console.data(&answer.document.line());
    }
    let name = answer.document.text("name").map(printable).unwrap_or_default();
    asked.console.data(&format!("worker {name} ({session}) {done}"))
}

fn list(asked: &mut Asked<'_>) -> Result<(), Stop> {
    let (workers, first) = asked.client.get_list("/api/workers", "workers")?;
    let restarting = first.list("restarting");
    restarting.iter().for_each(|trouble| asked.console.say(&trouble_of(trouble)));
    if asked.json {
        return workers.iter().try_for_each(|worker| asked.console.data(&worker.line()));
    }
    if workers.is_empty() && !restarting.is_empty() {
        return Ok(());
    }
    if workers.is_empty() {
        asked.console.say("no workers: a kind with a [kinds.NAME.run] section in daybook.toml starts some, and any program may be one");
        return Ok(());
    }
    let now = SystemClock.now();
    let rows: Vec<[String; 7]> = workers.iter().map(|worker| row_of(worker, now)).collect();
    let headings = ["SESSION", "NAME", "PLACE", "STATE", "KINDS", "LAST BEAT", "JOBS"];
    table(headings, &rows, |cell, _, _| cell).iter().try_for_each(|line| asked.console.data(line))
}

/// A worker that is not in the list: why, and until when.
fn trouble_of(trouble: &Document) -> String {
    let text = |path: &str| trouble.text(path).map(printable).unwrap_or_default();
    let times = match trouble.count("faults") {
        Some(faults) if faults > 1 => format!(", {faults} times in a row"),
        _ => String::new(),
    };
    format!("{} {}{times}; it is started again at {}", text("name"), text("detail"), text("next_start_at"))
}

fn row_of(worker: &Document, now: Timestamp) -> [String; 7] {
    let text = |path: &str| worker.text(path).map(printable).unwrap_or_default();
    let kinds = worker.texts("kinds");
    let kinds = if kinds.is_empty() { "all".to_owned() } else { short(&kinds.join(","), KINDS_CHARS_MAX) };
    let beat = worker.time("last_beat_at").map(|beat| seen_from(now, beat)).unwrap_or_default();
    [text("session"), text("name"), text("place"), text("state"), kinds, beat, worker.texts("jobs").join(" ")]
}
