//! `schedules`: lists the schedules and when each is due; sets and drops them.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::cli::Asked;
use crate::cli::args::{SchedulesArguments, SchedulesCommand, SetArguments};
use crate::cli::document::Document;
use crate::cli::failure::{Failure, Stop};
use crate::cli::table::table;
use crate::cli::typed::args_of;
use crate::cli::words::{seen_from, short};
use crate::clock::{Clock, SystemClock};
use crate::domain::id::ScheduleName;
use crate::domain::time::Timestamp;

const CRON_CHARS_MAX: usize = 40;

/// Lists the schedules, or changes some.
pub fn run(asked: &mut Asked<'_>, arguments: SchedulesArguments) -> Result<(), Stop> {
    match arguments.command {
        None | Some(SchedulesCommand::Ls) => list(asked),
        Some(SchedulesCommand::Set(set)) => set_one(asked, &set),
        Some(SchedulesCommand::Rm { names }) => names.iter().try_for_each(|name| drop_one(asked, name)),
    }
}

fn list(asked: &mut Asked<'_>) -> Result<(), Stop> {
    let mut schedules = Vec::new();
    let mut query: Vec<(&str, String)> = Vec::new();
    loop {
        let page = asked.client.get("/api/schedules", &query)?.document;
        schedules.extend(page.list("schedules"));
        let Some(next) = page.text("next_cursor") else { break };
        query = vec![("cursor", next.to_owned())];
    }
    if asked.json {
        return schedules.iter().try_for_each(|schedule| asked.console.data(&schedule.line()));
    }
    if schedules.is_empty() {
        asked.console.say("no schedules: `daybook schedules set` makes one, and [[schedules]] in daybook.toml");
        return Ok(());
    }
    let now = SystemClock.now();
    let rows: Vec<[String; 8]> = schedules.iter().map(|schedule| row_of(schedule, now)).collect();
    let headings = ["NAME", "CRON", "TIME ZONE", "KIND", "NEXT", "LAST", "OUTCOME", "FROM"];
    table(headings, &rows, |cell, _, _| cell).iter().try_for_each(|line| asked.console.data(line))
}

fn row_of(schedule: &Document, now: Timestamp) -> [String; 8] {
    let text = |path: &str| schedule.text(path).unwrap_or_default().to_owned();
    let moment = |path: &str| schedule.time(path).map(|at| seen_from(now, at));
    [
        text("name"),
        short(&text("cron"), CRON_CHARS_MAX),
        text("time_zone"),
        text("job.kind"),
        moment("next_at").unwrap_or_else(|| "never".to_owned()),
        moment("last_fired_at").unwrap_or_default(),
        schedule.text("last_error.code").map_or_else(|| text("last_outcome"), |code| format!("failed: {code}")),
        text("origin"),
    ]
}

fn set_one(asked: &mut Asked<'_>, arguments: &SetArguments) -> Result<(), Stop> {
    let name = &arguments.name;
    let body = body_of(arguments)?;
    let schedule = asked.client.put(&format!("/api/schedules/{name}"), &body)?.document;
    if asked.json {
        return asked.console.data(&schedule.line());
    }
    let next = schedule.text("next_at").unwrap_or("never");
    asked.console.data(&format!("schedule {name} is set; next: {next}"))
}

fn body_of(arguments: &SetArguments) -> Result<Value, Failure> {
    let optional = [
        ("queue", arguments.queue.as_ref().map(|queue| json!(queue))),
        ("priority", arguments.priority.map(|priority| json!(priority))),
        ("tags", (!arguments.tags.is_empty()).then(|| json!(arguments.tags))),
        ("max_attempts", arguments.max_attempts.map(|count| json!(count))),
        ("timeout_s", arguments.timeout.map(|timeout| json!(timeout))),
    ];
    let mut job = Map::new();
    job.insert("kind".into(), json!(arguments.kind));
    job.insert("args".into(), Value::Object(args_of(&arguments.args)?));
    job.extend(optional.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))));
    let mut body = json!({
        "cron": arguments.cron, "job": job, "missed": word_of(arguments.missed), "overlap": word_of(arguments.overlap)
    });
    if let Some(zone) = &arguments.time_zone {
        body["time_zone"] = json!(zone);
    }
    Ok(body)
}

fn word_of(choice: impl ValueEnum) -> String {
    let value = choice.to_possible_value().expect("every choice can be typed");
    value.get_name().to_owned()
}

fn drop_one(asked: &mut Asked<'_>, name: &ScheduleName) -> Result<(), Stop> {
    asked.client.delete(&format!("/api/schedules/{name}"))?;
    if asked.json {
        asked.console.data(&json!({"dropped": name}).to_string())
    } else {
        asked.console.data(&format!("schedule {name} is dropped"))
    }
}
