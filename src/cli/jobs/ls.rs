//! `jobs ls`: lists jobs, newest first: a table for people, a JSON line for each job for programs.

use crate::cli::Asked;
use crate::cli::args::ListArguments;
use crate::cli::console::printable;
use crate::cli::document::Document;
use crate::cli::failure::Stop;
use crate::cli::table::table;
use crate::cli::words::{seen_from, short};
use crate::clock::{Clock, SystemClock};
use crate::domain::time::Timestamp;

/// The most rows that the server gives in one page.
const PAGE_ROWS_MAX: u32 = 500;
const NOTE_CHARS_MAX: usize = 60;
const STATE_COLUMN: usize = 1;

/// Prints the jobs that fit.
pub fn run(asked: &mut Asked<'_>, arguments: &ListArguments) -> Result<(), Stop> {
    let (jobs, cursor) = fetch(asked, arguments)?;
    if asked.json {
        for job in &jobs {
            asked.console.data(&job.line())?;
        }
    } else if jobs.is_empty() {
        asked.console.say("no jobs");
    } else {
        let now = SystemClock.now();
        let rows: Vec<[String; 7]> = jobs.iter().map(|job| row_of(job, now)).collect();
        let state = |row: usize| jobs[row].text("state").unwrap_or_default();
        let paint = |cell: String, row: usize, column: usize| match column {
            STATE_COLUMN => asked.console.coloured(&cell, state(row)),
            _ => cell,
        };
        let lines = table(["ID", "STATE", "KIND", "QUEUE", "ATTEMPT", "CREATED", "NOTE"], &rows, paint);
        for line in lines {
            asked.console.data(&line)?;
        }
    }
    if let Some(cursor) = cursor {
        asked.console.say(&format!("there are more: add --cursor {cursor}"));
    }
    Ok(())
}

/// Reads pages until there are as many jobs as asked for; the cursor says where it could go on.
fn fetch(asked: &Asked<'_>, arguments: &ListArguments) -> Result<(Vec<Document>, Option<String>), Stop> {
    let filter = filter_of(arguments);
    let mut jobs = Vec::new();
    let mut cursor = arguments.cursor.clone();
    loop {
        let missing = arguments.limit - jobs.len() as u32;
        let mut query = filter.clone();
        query.push(("limit", missing.min(PAGE_ROWS_MAX).to_string()));
        query.extend(cursor.iter().map(|cursor| ("cursor", cursor.clone())));
        let page = asked.client.get("/api/jobs", &query)?.document;
        // A search may give fewer rows than asked for, even none, and yet go on.
        jobs.extend(page.list("jobs"));
        jobs.truncate(arguments.limit as usize);
        cursor = page.text("next_cursor").map(str::to_owned);
        if cursor.is_none() || jobs.len() as u32 == arguments.limit {
            return Ok((jobs, cursor));
        }
    }
}

fn filter_of(arguments: &ListArguments) -> Vec<(&'static str, String)> {
    let mut filter: Vec<(&str, String)> = arguments.states.iter().map(|state| ("state", state.clone())).collect();
    let single = [
        ("kind", arguments.kind.as_ref().map(ToString::to_string)),
        ("queue", arguments.queue.as_ref().map(ToString::to_string)),
        ("tag", arguments.tag.clone()),
        ("parent_id", arguments.parent.map(|parent| parent.to_string())),
        ("q", arguments.search.clone()),
    ];
    filter.extend(single.into_iter().filter_map(|(name, value)| Some((name, value?))));
    filter
}

fn row_of(job: &Document, now: Timestamp) -> [String; 7] {
    let text = |path: &str| job.text(path).map(printable).unwrap_or_default();
    let attempt =
        format!("{}/{}", job.count("attempt").unwrap_or_default(), job.count("max_attempts").unwrap_or_default());
    let created = job.time("created_at").map(|created| seen_from(now, created)).unwrap_or_default();
    [
        text("id"),
        text("state"),
        text("kind"),
        text("queue"),
        attempt,
        created,
        short(&note_of(job, now), NOTE_CHARS_MAX),
    ]
}

/// The one thing worth knowing about a job in its state.
fn note_of(job: &Document, now: Timestamp) -> String {
    let error = job.text("error.message").map(printable);
    match job.text("state").unwrap_or_default() {
        "running" => {
            let percent = job.number("progress.percent").map(|percent| format!("{percent:.0}%"));
            let stage = job.text("progress.stage").map(printable);
            [percent, stage].into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        "scheduled" => job.time("scheduled_at").map(|at| seen_from(now, at)).unwrap_or_default(),
        "retryable" => {
            let next = job.time("scheduled_at").map(|at| format!("again {}", seen_from(now, at)));
            [next, error].into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
        "failed" | "cancelled" => {
            let reason = job.text("reason").map(str::to_owned);
            [reason, error].into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
        _ => match (job.count("items.total"), job.count("items.failed")) {
            (Some(total), Some(failed)) if failed > 0 => format!("{failed} of {total} items failed"),
            _ => String::new(),
        },
    }
}
