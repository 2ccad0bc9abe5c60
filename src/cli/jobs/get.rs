//! `jobs get`: shows one job: what it is, how it stands, what it was given and what it gave.

use crate::cli::Asked;
use crate::cli::console::printable;
use crate::cli::document::{Document, pretty};
use crate::cli::failure::Stop;
use crate::cli::words;
use crate::domain::id::JobId;

/// Prints a job.
pub fn run(asked: &mut Asked<'_>, id: JobId) -> Result<(), Stop> {
    let job = asked.client.get(&format!("/api/jobs/{id}"), &[])?.document;
    if asked.json {
        return asked.console.data(&job.line());
    }
    for (name, value) in facts_of(&job) {
        let value =
            if name == "state" { asked.console.coloured(&value, job.text("state").unwrap_or_default()) } else { value };
        asked.console.data(&format!("{name:<10} {value}"))?;
    }
    for field in ["args", "result"] {
        if let Some(payload) = job.raw(field) {
            asked.console.data(&format!("{field}:\n{}", pretty(payload)))?;
        }
    }
    Ok(())
}

/// What there is to say, one fact a line; what does not apply is left out.
fn facts_of(job: &Document) -> Vec<(&'static str, String)> {
    let text = |path: &str| job.text(path).map(printable);
    let with = |path: &str, more: &dyn Fn(String) -> String| text(path).map(more);
    let facts = [
        ("id", text("id")),
        ("kind", text("kind")),
        ("state", with("state", &|state| with_reason(state, job))),
        ("queue", with("queue", &|queue| format!("{queue}, priority {}", job.number("priority").unwrap_or(0.0)))),
        ("tags", list(&job.texts("tags"))),
        ("attempt", attempt(job)),
        ("progress", progress(job)),
        ("items", items(job)),
        ("worker", text("worker.name")),
        ("parent", text("parent_id")),
        ("depends on", list(&job.texts("depends_on"))),
        ("unique key", text("unique_key")),
        ("created", text("created_at")),
        ("scheduled", text("scheduled_at")),
        ("started", text("started_at")),
        ("finished", with("finished_at", &|finished| with_span(finished, job))),
        ("error", error(job)),
        ("files", files(job)),
        ("purged", text("purged_at")),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn with_reason(state: String, job: &Document) -> String {
    let wish = if job.at("cancel_requested_at").is_some() && state == "running" { ", cancel requested" } else { "" };
    match job.text("reason") {
        Some(reason) => format!("{state} ({reason})"),
        None => format!("{state}{wish}"),
    }
}

fn with_span(finished: String, job: &Document) -> String {
    match (job.time("started_at"), job.time("finished_at")) {
        (Some(from), Some(to)) => format!("{finished}, ran {}", words::span(to.since(from).0)),
        _ => finished,
    }
}

fn attempt(job: &Document) -> Option<String> {
    let most = job.count("max_attempts").unwrap_or_default();
    let losses = job.count("lost_count").filter(|&losses| losses > 0);
    let lost = losses.map(|losses| format!(", lost {losses} of {}", job.count("max_lost").unwrap_or_default()));
    job.count("attempt").map(|attempt| format!("{attempt} of {most}{}", lost.unwrap_or_default()))
}

fn progress(job: &Document) -> Option<String> {
    let percent = job.number("progress.percent").map(|percent| format!("{percent}%"));
    let count = match (job.count("progress.done"), job.count("progress.total")) {
        (Some(done), Some(total)) => Some(format!("{done} of {total}")),
        _ => None,
    };
    let said = ["progress.stage", "progress.message"].map(|path| job.text(path).map(printable));
    let parts: Vec<String> = [percent, count].into_iter().chain(said).flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn items(job: &Document) -> Option<String> {
    let total = job.count("items.total")?;
    let states = ["completed", "failed", "skipped", "pending"];
    let counts = states.map(|state| job.count(&format!("items.{state}")).map(|count| format!("{count} {state}")));
    Some(format!("{total}: {}", counts.into_iter().flatten().collect::<Vec<_>>().join(", ")))
}

fn error(job: &Document) -> Option<String> {
    let message = printable(job.text("error.message")?);
    let attempt = job.count("error.attempt").map(|attempt| format!(" (attempt {attempt})")).unwrap_or_default();
    Some(format!("{}: {message}{attempt}", job.text("error.code").unwrap_or("error")))
}

fn files(job: &Document) -> Option<String> {
    let one = |file: &Document| {
        let name = printable(file.text("name").unwrap_or_default());
        format!("{name} ({})", file.count("size").map(words::size).unwrap_or_default())
    };
    let files: Vec<String> = job.list("files").iter().map(one).collect();
    (!files.is_empty()).then(|| files.join(", "))
}

fn list(texts: &[&str]) -> Option<String> {
    (!texts.is_empty()).then(|| printable(&texts.join(", ")))
}
