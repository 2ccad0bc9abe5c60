//! The JSON that asks for a schedule, from text to what the domain keeps. All problems are named at once.
//!
//! The job in it is checked against the kinds there are, and kept as it was sent: each time it is read again, so that
//! it gets the defaults of its kind at that time.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::domain::id::ScheduleName;
use crate::domain::json::Json;
use crate::domain::limits::{CRON_BYTES_MAX, TIME_ZONE_BYTES_MAX};
use crate::domain::schedule::{Missed, Origin, Overlap, SCHEDULE_JOB_BYTES_MAX, ScheduleSpec};
use crate::kinds::Catalog;
use crate::kinds::fields::Fields;
use crate::kinds::problem::Problems;
use crate::kinds::request::{JobRequest, RequestError, parse_job_at, raw_json};
use crate::schedules::Calendar;
use crate::schedules::expression::{Expression, read_zone};

/// The time zone of a schedule that names none.
pub const TIME_ZONE_DEFAULT: &str = "UTC";

/// A schedule as a client asks for it.
#[derive(Debug, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ScheduleRequest {
    /// Its name, which no other schedule has. Where the path names it, it may be left out here.
    pub name: Option<ScheduleName>,
    /// When: five fields (minute, hour, day of the month, month, day of the week) with names, lists, ranges and steps,
    /// or one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    #[schemars(length(min = 1, max = CRON_BYTES_MAX))]
    pub cron: Arc<str>,
    /// The time zone in which the fields are read: an IANA name; `UTC` unless told.
    #[schemars(length(min = 1, max = TIME_ZONE_BYTES_MAX))]
    pub time_zone: Option<Arc<str>>,
    /// What is submitted each time, without `scheduled_at`; at most 32 KiB.
    pub job: JobRequest,
    /// What becomes of times that are more than a minute past when they are noticed; `once` unless told.
    pub missed: Option<Missed>,
    /// What happens when its job before has not ended; `queue` unless told.
    pub overlap: Option<Overlap>,
}

/// A schedule that was asked for, checked.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    pub name: ScheduleName,
    pub spec: ScheduleSpec,
    pub calendar: Calendar,
}

/// Reads the schedule that a client asks for; `named` is the name in the path, if there is one.
///
/// # Errors
/// With every problem that can be seen without the state.
pub fn read(text: &str, named: Option<&ScheduleName>, catalog: &Catalog) -> Result<NewSchedule, RequestError> {
    let raw = raw_json(text)?;
    let mut problems = Problems::default();
    let mut of_job = None;
    let read = Fields::open(raw, "", &mut problems).and_then(|mut fields| {
        let name = read_name(&mut fields, named);
        let calendar = read_calendar(&mut fields);
        let missed = read_choice(&mut fields, "missed", "\"skip\", \"once\" or \"all\"");
        let overlap = read_choice(&mut fields, "overlap", "\"skip\", \"queue\" or \"replace\"");
        let job = fields.required("job", "; send what POST /api/jobs takes");
        let job = job.and_then(|job| check_job(job, "/job", catalog).map_err(|error| of_job = Some(error)).ok());
        fields.finish();
        let calendar = calendar?;
        let spec = spec_of(&calendar, job?, missed.unwrap_or_default(), overlap.unwrap_or_default(), Origin::Api);
        Some(NewSchedule { name: name?, spec, calendar })
    });
    match (of_job, problems.is_empty()) {
        (None, true) => Ok(read.expect("a request without a problem makes a schedule")),
        // What is wrong with the job alone has the code that it has everywhere.
        (Some(error), true) => Err(error),
        (of_job, false) => {
            for problem in of_job.map(RequestError::into_problems).unwrap_or_default() {
                problems.add(problem.pointer, problem.message);
            }
            Err(RequestError::Invalid(problems.into_list()))
        }
    }
}

/// What the domain keeps of a schedule.
pub fn spec_of(calendar: &Calendar, job: Json, missed: Missed, overlap: Overlap, origin: Origin) -> ScheduleSpec {
    let (cron, time_zone) = (calendar.text.clone(), calendar.zone_name.clone());
    ScheduleSpec { cron, time_zone, job, missed, overlap, origin }
}

/// Checks the request for the jobs of a schedule, which stands at `base`.
///
/// # Errors
/// With what `POST /api/jobs` would say of it, and when it is too large or has a time of its own.
pub fn check_job(raw: &RawValue, base: &str, catalog: &Catalog) -> Result<Json, RequestError> {
    let mut problems = Problems::default();
    let job = Json::parse(raw.get()).map_err(|error| problems.add(base, error)).ok();
    let bytes = job.as_ref().map_or(0, |job| job.as_str().len());
    if bytes > SCHEDULE_JOB_BYTES_MAX {
        problems.add(base, format!("has {bytes} bytes; the job of a schedule has at most {SCHEDULE_JOB_BYTES_MAX}"));
    }
    let at = format!("{base}/scheduled_at");
    if raw_has(raw, "scheduled_at") {
        problems.add(at, "is for one job; the schedule says when its jobs are made");
    }
    if !problems.is_empty() {
        return Err(RequestError::Invalid(problems.into_list()));
    }
    parse_job_at(raw, base, catalog)?;
    Ok(job.expect("a job without a problem is JSON"))
}

fn raw_has(raw: &RawValue, name: &str) -> bool {
    let mut unheard = Problems::default();
    Fields::open(raw, "", &mut unheard).is_some_and(|fields| fields.has(name))
}

fn read_name(fields: &mut Fields, named: Option<&ScheduleName>) -> Option<ScheduleName> {
    let Some(named) = named else {
        let name = fields.required("name", "")?;
        return fields.parse_value("name", name);
    };
    if fields.parsed::<ScheduleName>("name").is_some_and(|name| name != *named) {
        fields.problem("name", format!("must be {named:?} as in the path, or be left out", named = named.as_str()));
    }
    Some(named.clone())
}

fn read_calendar(fields: &mut Fields) -> Option<Calendar> {
    let cron = fields.required("cron", "").and_then(|cron| fields.value_text("cron", cron, CRON_BYTES_MAX));
    let zone = fields.text("time_zone").unwrap_or_else(|| TIME_ZONE_DEFAULT.to_owned());
    // Each is looked at by itself, so that both are named when both are wrong.
    if let Err(error) = read_zone(&zone) {
        fields.problem("time_zone", error);
    }
    let cron = cron?;
    if let Err(error) = Expression::read(&cron) {
        fields.problem("cron", error);
    }
    Calendar::read(&cron, &zone).ok()
}

fn read_choice<T: serde::de::DeserializeOwned>(fields: &mut Fields, name: &'static str, choices: &str) -> Option<T> {
    let raw = fields.raw(name)?;
    serde_json::from_str(raw.get()).map_err(|_| fields.problem(name, format!("must be {choices}"))).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::schema::ArgsSchema;
    use crate::kinds::{Kind, KindSettings};

    fn catalog() -> Catalog {
        let schema = json!({"properties": {"steps": {"type": "integer", "maximum": 9}}, "additionalProperties": false});
        let schema = Some(ArgsSchema::compile(schema).expect("a schema"));
        let kind = Kind { name: "draw".parse().expect("a name"), schema, settings: KindSettings::default(), run: None };
        Catalog::new([kind], false)
    }

    fn asked(body: Value) -> Result<NewSchedule, (&'static str, Vec<String>)> {
        read(&body.to_string(), None, &catalog()).map_err(|error| {
            let code = error.code();
            (code, error.into_problems().into_iter().map(|problem| problem.pointer).collect())
        })
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let schedule =
            asked(json!({"name": "n", "cron": "@daily", "job": {"kind": "draw", "args": {}}})).expect("fits");
        let ScheduleSpec { time_zone, missed, overlap, origin, job, .. } = schedule.spec;
        assert_eq!((&*time_zone, missed, overlap, origin), ("UTC", Missed::Once, Overlap::Queue, Origin::Api));
        assert_eq!(job.to_value(), json!({"kind": "draw", "args": {}}));
    }

    #[test]
    fn every_problem_is_named_with_its_pointer() {
        let job = json!({"kind": "draw", "args": {"steps": 10}, "prioritty": 1});
        let body = json!({"cron": "* *", "time_zone": "Atlantis", "missed": "never", "overlap": 1, "job": job, "x": 1});
        let (code, mut pointers) = asked(body).expect_err("is wrong");
        pointers.sort();
        assert_eq!(code, "invalid_request");
        let wanted = ["/cron", "/job/prioritty", "/missed", "/name", "/overlap", "/time_zone", "/x"].map(str::to_owned);
        assert!(wanted.iter().all(|pointer| pointers.contains(pointer)), "{pointers:?}");
    }

    #[test]
    fn args_that_do_not_fit_have_their_own_code() {
        let body = json!({"name": "n", "cron": "@daily", "job": {"kind": "draw", "args": {"steps": 10}}});
        assert_eq!(asked(body).expect_err("is wrong"), ("invalid_args", vec!["/job/args/steps".to_owned()]));
    }

    #[test]
    fn a_job_with_a_time_of_its_own_or_of_too_many_bytes_is_refused() {
        let job = json!({"kind": "draw", "args": {}, "scheduled_at": "2026-11-22T08:00:00Z"});
        let timed = asked(json!({"name": "n", "cron": "@daily", "job": job}));
        assert_eq!(timed.expect_err("is wrong"), ("invalid_request", vec!["/job/scheduled_at".to_owned()]));
        let job = json!({"kind": "any", "args": {"text": "x".repeat(SCHEDULE_JOB_BYTES_MAX)}});
        let large = asked(json!({"name": "n", "cron": "@daily", "job": job}));
        assert_eq!(large.expect_err("is wrong"), ("invalid_request", vec!["/job".to_owned()]));
    }

    #[test]
    fn the_name_in_the_body_is_that_of_the_path_or_is_left_out() {
        let name = "nightly".parse().expect("a name");
        let body = |name: Value| json!({"name": name, "cron": "@daily", "job": {"kind": "any", "args": {}}});
        for fits in [Value::Null, json!("nightly")] {
            assert_eq!(read(&body(fits).to_string(), Some(&name), &catalog()).expect("fits").name, name);
        }
        let other = read(&body(json!("daily")).to_string(), Some(&name), &catalog()).expect_err("is another");
        assert_eq!(other.into_problems()[0].pointer, "/name");
    }
}
