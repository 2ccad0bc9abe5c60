//! `verify`: checks the data of a server that is not running.

use std::path::Path;

use serde_json::json;

use crate::app::verify::{CheckError, Compared, Findings, Report, WholePart, check};
use crate::cli::console::Console;
use crate::cli::failure::{Failure, Stop};

/// Checks and reports; damage ends with 1.
pub fn run(data: &Path, as_json: bool, console: &mut Console) -> Result<(), Stop> {
    let report = check(data).map_err(failure)?;
    if as_json {
        console.data(&document(&report).to_string())?;
    } else {
        print(&report, console)?;
    }
    outcome(&report.findings, data)
}

/// Tells of every damaged place; with one it ends with 1.
pub fn outcome(findings: &Findings, data: &Path) -> Result<(), Stop> {
    let (damaged, unlisted) = (&findings.damaged, findings.unlisted);
    if damaged.is_empty() {
        return Ok(());
    }
    let places = if damaged.len() == 1 { "1 place is".to_owned() } else { format!("{} places are", damaged.len()) };
    let mut details: Vec<String> = Vec::new();
    for damage in damaged {
        details.push(format!("{}: {}", place_of(&damage.file, damage.place.as_deref()), damage.detail));
        details.push(format!("  next: {}", damage.next_step));
    }
    if unlisted > 0 {
        details.push(format!("and {unlisted} more"));
    }
    details.extend(saved(findings));
    Err(Failure { details, ..Failure::of_asker(format!("{places} damaged in {}", data.display())) }.into())
}

/// What can be saved of a damaged log, and how.
fn saved(findings: &Findings) -> Vec<String> {
    let Some(WholePart { earliest, last, of, .. }) = findings.whole else { return Vec::new() };
    if last >= of && !findings.keeps_from_starting() {
        return Vec::new();
    }
    if last >= of {
        let all = format!("all events, {earliest} to {last}, are whole");
        return vec![format!("{all}: a start with --accept-data-loss goes on with all of them")];
    }
    let later = match findings.ended_later {
        None => String::new(),
        Some(1) => "; 1 job ended later".to_owned(),
        Some(count) => format!("; {count} jobs ended later"),
    };
    let whole = format!("events {earliest} to {last} of {of} are whole{later}");
    let more = format!("with a backup `daybook restore` may bring back more than event {last}");
    vec![whole, format!("  they are what --accept-data-loss keeps; {more}")]
}

fn print(report: &Report, console: &mut Console) -> Result<(), Stop> {
    if let Some(verdict) = &report.verdict {
        console.data(&format!("events    {}", verdict.seq))?;
        console.data(&format!("jobs      {}, of which {} have ended", verdict.jobs, verdict.finished))?;
        console.data(&format!("fold      {}", verdict.fold))?;
    }
    let counts = report.findings.counts;
    console.data(&format!(
        "checked   segments {}, payload files {}, snapshots {}, keyframes {}, logs of jobs {}, files of jobs {}",
        counts.segments, counts.payload_files, counts.snapshots, counts.keyframes, counts.job_logs, counts.files
    ))?;
    for leftover in &report.findings.leftovers {
        console.data(&format!("left over {}: {}", leftover.file.display(), leftover.detail))?;
    }
    Ok(())
}

fn document(report: &Report) -> serde_json::Value {
    let (verdict, findings) = (report.verdict.as_ref(), &report.findings);
    let damaged = findings.damaged.iter().map(|damage| {
        json!({
            "file": damage.file, "place": damage.place, "detail": damage.detail, "next_step": damage.next_step,
        })
    });
    let leftovers = findings.leftovers.iter().map(|it| json!({ "file": it.file, "detail": it.detail }));
    json!({
        "seq": verdict.map(|verdict| verdict.seq),
        "fold": verdict.map(|verdict| &verdict.fold),
        "jobs": verdict.map(|verdict| verdict.jobs),
        "finished": verdict.map(|verdict| verdict.finished),
        "compared": verdict.map(|verdict| compared(verdict.compared)),
        "checked": {
            "segments": findings.counts.segments,
            "payload_files": findings.counts.payload_files,
            "snapshots": findings.counts.snapshots,
            "keyframes": findings.counts.keyframes,
            "job_logs": findings.counts.job_logs,
            "files": findings.counts.files,
        },
        "whole": findings.whole.map(|whole| {
            json!({
                "earliest": whole.earliest, "last": whole.last, "of": whole.of, "ended_later": findings.ended_later,
            })
        }),
        "damaged": damaged.collect::<Vec<_>>(),
        "leftovers": leftovers.collect::<Vec<_>>(),
        "unlisted": findings.unlisted,
    })
}

/// With what the fold was compared.
pub fn compared(Compared { views, snapshots }: Compared) -> serde_json::Value {
    json!({ "views": views, "snapshots": snapshots })
}

fn place_of(file: &Path, place: Option<&str>) -> String {
    let file = file.display();
    place.map_or_else(|| file.to_string(), |place| format!("{file}, {place}"))
}

/// What went wrong, with its causes.
pub fn failure(error: CheckError) -> Stop {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Failure::of_asker(text).into()
}
