//! Waits until a job has ended and shows how it gets on. A server that goes away and comes back is waited for: the job
//! is still there, and so is the wait.

use std::time::{Duration, Instant};

use crate::cli::Asked;
use crate::cli::client::Answer;
use crate::cli::console::printable;
use crate::cli::document::Document;
use crate::cli::failure::{Failure, Stop};
use crate::cli::patience::Patience;
use crate::cli::progress::Display;
use crate::cli::words;
use crate::domain::id::JobId;

/// How long one request waits for the end: as often is the progress seen.
const LOOK_EVERY_S: &str = "0.5";
/// The least time between two looks, should a server not wait.
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(100);
/// After so many looks at a job that does not run it is said why: nobody asks that of a short wait.
const LOOKS_BEFORE_WHY: u32 = 4;

/// Waits until the job is terminal and gives it. With `prints_changes` each change is printed as a line of JSON.
pub fn until_terminal(
    asked: &mut Asked<'_>,
    id: JobId,
    mut patience: Patience,
    prints_changes: bool,
) -> Result<Document, Stop> {
    let mut display = Display::new(asked.console);
    let mut last_line = String::new();
    let mut idle_looks = 0;
    loop {
        let looked_at = Instant::now();
        let job = look(asked, id, &mut patience, &mut display)?.document;
        let line = job.line();
        if prints_changes && line != last_line {
            display.hide(|| asked.console.data(&line))?;
            last_line = line;
        }
        if is_terminal(&job) {
            display.end();
            return Ok(job);
        }
        display.show(&job, asked.console);
        idle_looks = if job.text("state") == Some("running") { 0 } else { idle_looks + 1 };
        if idle_looks == LOOKS_BEFORE_WHY {
            say_why(asked, id, &mut display);
        }
        std::thread::sleep(LOOK_PAUSE_MIN.saturating_sub(looked_at.elapsed()));
    }
}

/// Says what stands in the job's way, if that can be learned.
fn say_why(asked: &mut Asked<'_>, id: JobId, display: &mut Display) {
    if let Ok(answer) = asked.client.get(&format!("/api/jobs/{id}/why"), &[])
        && let Some(sentence) = answer.document.text("sentence")
    {
        display.hide(|| asked.console.say(&printable(sentence)));
    }
}

/// Looks at the job as soon as it can be seen.
fn look(asked: &mut Asked<'_>, id: JobId, patience: &mut Patience, display: &mut Display) -> Result<Answer, Stop> {
    loop {
        match asked.client.get(&format!("/api/jobs/{id}"), &[("wait_s", LOOK_EVERY_S.to_owned())]) {
            Ok(answer) => {
                if let Some(news) = patience.answered(&answer) {
                    display.hide(|| asked.console.say(news));
                }
                return Ok(answer);
            }
            Err(trouble) if trouble.status() == Some(404) && patience.has_seen() => {
                let hint = "the server was started with --reset-on-startup, or retention has forgotten the job";
                return Err(Failure::of_asker(format!("job {id} is not there any more")).hint(hint).into());
            }
            Err(trouble) => patience.bear(trouble, |words| display.hide(|| asked.console.say(words)))?,
        }
    }
}

/// Whether nothing but a retry by hand moves the job any more.
pub fn is_terminal(job: &Document) -> bool {
    matches!(job.text("state"), Some("completed" | "failed" | "cancelled"))
}

/// Says how the job ended; that it did not complete is the asker's failure.
pub fn verdict(asked: &mut Asked<'_>, job: &Document) -> Result<(), Stop> {
    let id = job.text("id").unwrap_or_default();
    let state = job.text("state").unwrap_or("in an unknown state");
    if state == "completed" {
        let took = match (job.time("created_at"), job.time("finished_at")) {
            (Some(created), Some(finished)) => format!(" after {}", words::span(finished.since(created).0)),
            _ => String::new(),
        };
        asked.console.say(&format!("completed{took}{}", items_of(job)));
        if job.count("items.failed").is_some_and(|failed| failed > 0) {
            let server = asked.client.server();
            asked.console.say(&format!("what failed, and why: {server}/api/jobs/{id}/items?state=failed"));
        }
        return Ok(());
    }
    let reason = job.text("reason").map(|reason| format!(" ({reason})")).unwrap_or_default();
    let error = match (job.text("error.code"), job.text("error.message")) {
        (Some(code), Some(message)) => format!(": {code}: {}", printable(message)),
        _ => String::new(),
    };
    let failure = Failure::of_asker(format!("job {id} {state}{reason}{error}{}", items_of(job)));
    Err(failure.hint(next_step(job, id)).into())
}

/// What to do about a job that did not complete. What never ran has said nothing, and what another job stopped waits for
/// that one again.
fn next_step(job: &Document, id: &str) -> String {
    if job.text("reason") == Some("dependency_failed") {
        return "`daybook jobs retry ID --dependents` of the job that it waited for runs that one again, and then this"
            .to_owned();
    }
    match job.count("attempt") {
        Some(0) => format!("`daybook jobs retry {id}` runs it after all"),
        _ => format!("`daybook logs {id}` shows what it said, `daybook jobs retry {id}` runs it again"),
    }
}

fn items_of(job: &Document) -> String {
    match (job.count("items.total"), job.count("items.completed"), job.count("items.failed")) {
        (Some(total), Some(completed), Some(0)) => format!(", {completed} of {total} items"),
        (Some(total), Some(completed), Some(failed)) => format!(", {completed} of {total} items, {failed} failed"),
        _ => String::new(),
    }
}
