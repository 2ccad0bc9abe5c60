//! `replay`: folds a log again, plays it, and says what came of it or what changed in between.

mod pace;
mod resubmit;
mod screen;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::app::lines::LineSource;
use crate::app::replay::{Diff, JobStep, Moment, Named, Player, Summary, diff};
use crate::app::source::{DataSource, EventSource, Extent, SourceError};
use crate::app::verify::{Compared, Report, compare};
use crate::cli::args::{Connection, ReplayArguments, Speed};
use crate::cli::client::Client;
use crate::cli::console::{Console, printable};
use crate::cli::failure::{Failure, Stop};
use crate::cli::replay::pace::Pace;
use crate::cli::replay::screen::Screen;
use crate::cli::verify;
use crate::domain::id::JobId;

/// Where the data is unless it is said.
const DATA_DEFAULT: &str = "daybook-data";

/// Replays.
pub fn run(arguments: ReplayArguments, connection: &Connection, console: &mut Console) -> Result<(), Stop> {
    if arguments.resubmit {
        return resubmit::run(&arguments, connection, console);
    }
    if let (true, Some(data)) = (arguments.verify, data_of(&arguments, connection)) {
        return check(&data, connection.json, console);
    }
    let mut source = source_of(&arguments, connection)?;
    let source = &mut *source;
    match (arguments.diff, arguments.job) {
        (Some((from, to)), _) => compare_moments(source, from, to, connection.json, console),
        (None, Some(job)) => tell_job(source, job, &arguments, connection.json, console),
        (None, None) => play(source, &arguments, connection.json, console),
    }
}

/// The directory that is read; none if it is something else.
fn data_of(arguments: &ReplayArguments, connection: &Connection) -> Option<PathBuf> {
    // The server that jobs are submitted to is another one.
    let by_itself = || (connection.server.is_none() || arguments.resubmit).then(|| PathBuf::from(DATA_DEFAULT));
    let data = arguments.data.clone().or_else(by_itself);
    data.filter(|_| arguments.from.is_none())
}

fn source_of(arguments: &ReplayArguments, connection: &Connection) -> Result<Box<dyn EventSource>, Stop> {
    if let Some(file) = &arguments.from {
        return Ok(Box::new(LineSource::of_file(file).map_err(failure)?));
    }
    if let Some(data) = data_of(arguments, connection) {
        return Ok(Box::new(DataSource::open(&data).map_err(failure)?));
    }
    let until = match arguments.until {
        Some(Moment::Event(seq)) => vec![("until", seq.to_string())],
        Some(Moment::Time(_)) | None => Vec::new(),
    };
    Ok(Box::new(source_of_server(&Client::new(connection)?, &until)?))
}

/// What a running server sends of its log.
pub fn source_of_server(client: &Client, query: &[(&str, String)]) -> Result<LineSource, Stop> {
    let lines = client.lines("/api/export", query)?;
    LineSource::of_stream(client.server(), lines).map_err(failure)
}

/// The last moment that is asked for.
fn until_of(source: &dyn EventSource, arguments: &ReplayArguments) -> Moment {
    arguments.until.unwrap_or(Moment::Event(source.extent().last))
}

fn play(
    source: &mut dyn EventSource,
    arguments: &ReplayArguments,
    as_json: bool,
    console: &mut Console,
) -> Result<(), Stop> {
    let until = until_of(source, arguments);
    let last = source.extent().last;
    // Who wants to see it, or all of it folded, sees all of it.
    let may_skip = arguments.until.is_some() && arguments.speed == Speed::Max;
    let mut player = Player::begin(source, until, may_skip).map_err(failure)?;
    let target = if let Moment::Event(seq) = until { seq } else { last };
    let mut screen = (!as_json).then(|| Screen::new(console, player.state().seq(), target));
    let (mut pace, begun) = (Pace::new(arguments.speed), Instant::now());
    while let Some(at) = player.peek(until).map_err(failure)?.map(|record| record.at) {
        let wait = pace.wait(at, begun.elapsed());
        if let Some(screen) = &mut screen
            && screen.is_due(wait)
        {
            screen.show(player.state(), console);
        }
        // The distances between the events are what was asked for.
        std::thread::sleep(wait);
        let Some(step) = player.step(until).map_err(failure)? else { break };
        if let Some(screen) = &mut screen {
            screen.note(&step.record);
        }
    }
    drop(screen);
    let summary = player.summary().map_err(failure)?;
    if as_json {
        return console.data(&text_of(&summary));
    }
    print(&summary, console)
}

/// Prints what a fold comes to.
pub fn print(summary: &Summary, console: &mut Console) -> Result<(), Stop> {
    console.data(&format!("events    {}", summary.seq))?;
    if let Some(at) = summary.at {
        console.data(&format!("at        {at}"))?;
    }
    if let Some(epoch) = summary.epoch {
        console.data(&format!("epoch     {epoch}"))?;
    }
    let counts = summary.counts.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<String> = counts.map(|(state, count)| format!("{count} {state}")).collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    console.data(&format!("jobs      {}: {counts}", summary.jobs))?;
    console.data(&format!("fold      {}", summary.fold))
}

/// Tells what happened to one job, and in which state it was after each event.
fn tell_job(
    source: &mut dyn EventSource,
    job: JobId,
    arguments: &ReplayArguments,
    as_json: bool,
    console: &mut Console,
) -> Result<(), Stop> {
    let until = until_of(source, arguments);
    source.hide_purged().map_err(failure)?;
    let mut player = Player::begin(source, until, false).map_err(failure)?;
    let mut events = Vec::new();
    let (mut pace, begun, mut told) = (Pace::new(arguments.speed), Instant::now(), 0_u64);
    while let Some(step) = player.step(until).map_err(failure)? {
        let wait = pace.wait(step.record.at, begun.elapsed());
        // The distances between the events are what was asked for.
        std::thread::sleep(wait);
        let Some(step) = JobStep::of(step, job, player.state()) else { continue };
        told += 1;
        if as_json {
            events.push(document(&step));
        } else {
            let JobStep { event, state } = &step;
            let state = state.map_or("forgotten", |state| state.as_str());
            let state = console.coloured(state, state);
            console.data(&format!("{:>10}  {}  {:<22} {state}", event.seq.0, event.at, event.event_type))?;
        }
    }
    if told == 0 {
        let Extent { earliest, .. } = player.extent();
        if player.state().slot(job).is_some() {
            let said =
                format!("all events of job {job} were dropped by retention: the log begins with event {earliest}");
            return Err(Failure::of_asker(said).hint("`daybook jobs get` shows the job of a running server").into());
        }
        let failure = Failure::of_asker(format!("up to event {} the log knows no job {job}", player.state().seq()));
        return Err(failure.hint("`daybook jobs ls` lists the jobs of a running server").into());
    }
    let summary = Summary::of(player.state());
    if as_json {
        let mut whole = document(&summary);
        whole["job"] = json!({ "id": job, "events": events });
        return console.data(&whole.to_string());
    }
    Ok(())
}

/// Says what changed between two moments.
fn compare_moments(
    source: &mut dyn EventSource,
    from: Moment,
    to: Moment,
    as_json: bool,
    console: &mut Console,
) -> Result<(), Stop> {
    let mut player = Player::begin(source, from, true).map_err(failure)?;
    player.run(from).map_err(failure)?;
    let before = player.state().clone();
    let last = player.extent().last;
    if let Moment::Event(seq) = to
        && seq > last
    {
        return Err(Failure::of_asker(format!("event {seq} has not happened; the last is {last}")).into());
    }
    player.run(to).map_err(failure)?;
    let changed = diff(&before, player.state());
    if as_json {
        return console.data(&text_of(&changed));
    }
    print_diff(&changed, console)
}

fn print_diff(diff: &Diff, console: &mut Console) -> Result<(), Stop> {
    let events = diff.to.seq.0.saturating_sub(diff.from.seq.0);
    console.data(&format!("from      event {}", diff.from.seq))?;
    console.data(&format!("to        event {}, {events} later", diff.to.seq))?;
    console.data(&format!("created   {}", diff.created.jobs))?;
    for (state, named) in &diff.finished {
        console.data(&format!("finished  {} {state}", named.jobs))?;
    }
    for (step, named) in &diff.moved {
        console.data(&format!("moved     {} {step}", named.jobs))?;
    }
    for (what, Named { jobs, .. }) in [("touched", &diff.touched), ("forgotten", &diff.forgotten)] {
        if *jobs > 0 {
            console.data(&format!("{what:<9} {jobs}"))?;
        }
    }
    for (state, (before, after)) in diff.states.iter().filter(|(_, (before, after))| before != after) {
        console.data(&format!("{state:<9} {before} → {after}"))?;
    }
    for (what, parts) in [("queue", &diff.queues), ("kind", &diff.kinds)] {
        for (name, part) in parts {
            let finished: Vec<String> =
                part.finished.iter().map(|(state, count)| format!(", {count} {state}")).collect();
            let words = format!("{} created, {} moved{}", part.created, part.moved, finished.concat());
            console.data(&format!("{what:<9} {}: {words}", printable(name)))?;
        }
    }
    Ok(())
}

/// Whether the stored views and snapshots equal the fold.
fn check(data: &Path, as_json: bool, console: &mut Console) -> Result<(), Stop> {
    let report = compare(data).map_err(verify::failure)?;
    let Report { verdict: Some(verdict), findings } = &report else {
        return Err(Failure::ours("the log was not folded").into());
    };
    let summary = Summary::of(&verdict.state);
    if as_json {
        let differences = findings.damaged.iter().map(|it| json!({ "file": it.file, "detail": it.detail }));
        let mut whole = document(&summary);
        whole["differences"] = differences.collect();
        whole["compared"] = verify::compared(verdict.compared);
        console.data(&whole.to_string())?;
    } else {
        print(&summary, console)?;
        if findings.damaged.is_empty() {
            console.data(&format!("verified  {}", verified(verdict.compared)))?;
        }
    }
    verify::outcome(findings, data)
}

/// What equals the fold, and what was not there to be compared with it.
fn verified(Compared { views, snapshots }: Compared) -> String {
    let views = views.map(|seq| format!("the stored views, up to event {seq},"));
    let snapshots = match snapshots {
        0 => None,
        1 => Some("1 snapshot".to_owned()),
        count => Some(format!("{count} snapshots")),
    };
    match (views, snapshots) {
        (Some(views), Some(snapshots)) => format!("{views} and {snapshots} equal the fold"),
        (Some(views), None) => format!("{views} equal the fold; no snapshots: nothing of them to compare with"),
        (None, Some(snapshots)) => {
            format!("{snapshots}: equal to the fold; no stored views: nothing of them to compare with")
        }
        (None, None) => "no stored views and no snapshots: nothing to compare the fold with".to_owned(),
    }
}

fn document(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("our own types can be written as JSON")
}

fn text_of(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("our own types can be written as JSON")
}

/// A source that cannot be read is the asker's to cure: it is damaged, in use, or not there.
pub fn failure(error: SourceError) -> Stop {
    Failure::of_asker(error.explain()).into()
}
