//! The `[[schedules]]` of the configuration, checked. They are not in effect yet: firing them is for `workers`' release.

use crate::config::section::{Section, to_json};
use crate::domain::command::NewJob;
use crate::kinds::Catalog;
use crate::kinds::request::parse_job;

/// The most fields of a cron expression, and the least.
const CRON_FIELDS: usize = 5;

/// One schedule as it is configured.
#[derive(Debug, Clone)]
pub struct ScheduleSettings {
    pub name: String,
    pub cron: String,
    /// An IANA name.
    pub time_zone: String,
    pub job: NewJob,
    pub missed: Missed,
    pub overlap: Overlap,
}

/// What becomes of the times that passed while the server was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missed {
    Skip,
    #[default]
    Once,
    All,
}

/// What happens when the job before is still active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    Skip,
    #[default]
    Queue,
    Replace,
}

/// Reads one schedule.
pub(super) fn read(mut section: Section, catalog: &Catalog) -> Option<ScheduleSettings> {
    let name = required(&mut section, "name").filter(|name| !name.is_empty());
    let cron = required(&mut section, "cron");
    if let Some(Err(message)) = cron.map(check_cron) {
        section.problem("cron", message);
    }
    let time_zone = section.text("time_zone").unwrap_or("UTC");
    if jiff::tz::TimeZone::get(time_zone).is_err() {
        section.problem("time_zone", format!("{time_zone:?} is no time zone; name one like \"Europe/Berlin\""));
    }
    let job = read_job(&mut section, catalog);
    let missed = choice(&mut section, "missed", [("skip", Missed::Skip), ("once", Missed::Once), ("all", Missed::All)]);
    let overlaps = [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("replace", Overlap::Replace)];
    let overlap = choice(&mut section, "overlap", overlaps);
    section.finish();
    Some(ScheduleSettings {
        name: name?.to_owned(),
        cron: cron?.to_owned(),
        time_zone: time_zone.to_owned(),
        job: job?,
        missed: missed.unwrap_or_default(),
        overlap: overlap.unwrap_or_default(),
    })
}

fn required<'a>(section: &mut Section<'a, '_, '_>, key: &'static str) -> Option<&'a str> {
    if section.value(key).is_none() {
        section.problem(key, "is missing");
    }
    section.text(key)
}

fn read_job(section: &mut Section, catalog: &Catalog) -> Option<NewJob> {
    let Some(value) = section.value("job") else {
        section.problem("job", "is missing");
        return None;
    };
    match parse_job(&to_json(value.get_ref()).to_string(), catalog) {
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

fn check_cron(cron: &str) -> Result<(), &'static str> {
    let fits = |field: &str| field.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*/,-".contains(&byte));
    let fields: Vec<&str> = cron.split_ascii_whitespace().collect();
    if fields.len() == CRON_FIELDS && fields.into_iter().all(fits) {
        return Ok(());
    }
    Err("must have five fields: minute, hour, day of the month, month, day of the week")
}
