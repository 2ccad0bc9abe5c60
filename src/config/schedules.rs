//! The `[[schedules]]` of the configuration, checked.

use crate::config::section::{Section, to_json};
use crate::domain::id::ScheduleName;
use crate::domain::json::Json;
use crate::domain::schedule::{Missed, Origin, Overlap, ScheduleSpec};
use crate::kinds::Catalog;
use crate::kinds::request::raw_json;
use crate::schedules::Calendar;
use crate::schedules::expression::{Expression, read_zone};
use crate::schedules::request::{TIME_ZONE_DEFAULT, check_job, spec_of};

/// One schedule as it is configured.
#[derive(Debug, Clone)]
pub struct ScheduleSettings {
    pub name: ScheduleName,
    pub spec: ScheduleSpec,
    pub calendar: Calendar,
}

/// Reads one schedule.
pub(super) fn read(mut section: Section, catalog: &Catalog) -> Option<ScheduleSettings> {
    let name = required(&mut section, "name").map(str::to_owned);
    let name = name.and_then(|name| name.parse().map_err(|error| section.problem("name", error)).ok());
    let calendar = read_calendar(&mut section);
    let job = read_job(&mut section, catalog);
    let missed = choice(&mut section, "missed", [("skip", Missed::Skip), ("once", Missed::Once), ("all", Missed::All)]);
    let overlaps = [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("replace", Overlap::Replace)];
    let overlap = choice(&mut section, "overlap", overlaps);
    section.finish();
    let (missed, overlap) = (missed.unwrap_or_default(), overlap.unwrap_or_default());
    let calendar = calendar?;
    let spec = spec_of(&calendar, job?, missed, overlap, Origin::Config);
    Some(ScheduleSettings { name: name?, spec, calendar })
}

fn required<'a>(section: &mut Section<'a, '_, '_>, key: &'static str) -> Option<&'a str> {
    if section.value(key).is_none() {
        section.problem(key, "is missing");
    }
    section.text(key)
}

fn read_calendar(section: &mut Section) -> Option<Calendar> {
    let cron = required(section, "cron");
    let time_zone = section.text("time_zone").unwrap_or(TIME_ZONE_DEFAULT);
    if let Err(error) = read_zone(time_zone) {
        section.problem("time_zone", error);
    }
    let cron = cron?;
    if let Err(error) = Expression::read(cron) {
        section.problem("cron", error);
    }
    Calendar::read(cron, time_zone).ok()
}

fn read_job(section: &mut Section, catalog: &Catalog) -> Option<Json> {
    let Some(value) = section.value("job") else {
        section.problem("job", "is missing");
        return None;
    };
    let text = to_json(value.get_ref()).to_string();
    match raw_json(&text).and_then(|raw| check_job(raw, "", catalog)) {
        Ok(job) => Some(job),
        Err(error) => {
            section.problem("job", &error);
            for problem in error.into_problems() {
                section.problem("job", format!("{} {}", problem.pointer, problem.message));
            }
            None
        }
    }
}

fn choice<T: Copy, const N: usize>(section: &mut Section, key: &'static str, choices: [(&str, T); N]) -> Option<T> {
    let text = section.text(key)?;
    let chosen = choices.iter().find(|(name, _)| *name == text).map(|&(_, choice)| choice);
    if chosen.is_none() {
        section.problem(key, format!("must be one of {}", choices.map(|(name, _)| name).join(", ")));
    }
    chosen
}
