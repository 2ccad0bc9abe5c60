//! `daybook.toml`, table by table. Paths in it are relative to its directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::auth::Origin;
use crate::config::schedules;
use crate::config::schedules::ScheduleSettings;
use crate::config::section::{ConfigProblem, Findings, Section};
use crate::config::settings::Settings;
use crate::config::{ConfigError, LiveLimits, Retention, read_text};
use crate::domain::id::{KindName, QueueName};
use crate::domain::job::StateName;
use crate::domain::queue::Limits;
use crate::domain::rate::RateLimit;
use crate::domain::retention::{Keep, Rules};
use crate::domain::retry::Policy;
use crate::kinds::fields::Zero;
use crate::kinds::request::ATTEMPTS_MAX;
use crate::kinds::schema::ArgsSchema;
use crate::kinds::{Catalog, Kind, KindSettings, RunMode, RunSettings};

/// The most child processes of one kind.
const PROCESSES_MAX: i64 = 1000;

/// What a file says.
#[derive(Default)]
pub(super) struct Contents {
    pub settings: Settings,
    pub catalog: Catalog,
    pub limits: Limits,
    pub schedules: Vec<ScheduleSettings>,
    pub retention: Retention,
    pub live: LiveLimits,
    pub allowed_origins: Vec<Origin>,
    pub tokens_file: Option<PathBuf>,
    pub not_in_effect: Vec<&'static str>,
}

impl Contents {
    /// No kinds, no limits.
    pub fn without_file(strict_kinds: Option<bool>) -> Contents {
        Contents { catalog: Catalog::new([], strict_kinds.unwrap_or(false)), ..Contents::default() }
    }
}

/// Reads a file; `strict_kinds` is what flags and environment say of it.
pub(super) fn read(path: &Path, strict_kinds: Option<bool>) -> Result<Contents, ConfigError> {
    let text = read_text(path)?;
    let invalid = |problems| ConfigError::Invalid { file: path.display().to_string(), problems };
    let mut findings = Findings::new(&text);
    let table = match DeTable::parse(&text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            findings.add(at, "is not TOML:".to_owned(), error.message());
            return Err(invalid(findings.problems));
        }
    };
    let directory = path.parent().unwrap_or(Path::new("."));
    let contents = read_top(Section::top(&table, &mut findings), directory, strict_kinds);
    if findings.problems.is_empty() { Ok(contents) } else { Err(invalid(sorted(findings.problems))) }
}

fn sorted(mut problems: Vec<ConfigProblem>) -> Vec<ConfigProblem> {
    problems.sort_by_key(|problem| problem.line);
    problems
}

fn read_top(mut top: Section, directory: &Path, strict_kinds: Option<bool>) -> Contents {
    let settings = Settings::of_section(&mut top, directory);
    let kinds = top.named_tables("kinds", |name, section| read_kind(name, section, directory));
    let kinds: Vec<Kind> = kinds.into_iter().flatten().collect();
    let queues: Vec<QueueSettings> = top.named_tables("queues", read_queue).into_iter().flatten().collect();
    let limits = Limits {
        kinds: kinds.iter().filter_map(|kind| Some((kind.name.clone(), kind.settings.concurrency?))).collect(),
        queues: queues.iter().filter_map(|queue| Some((queue.name.clone(), queue.concurrency?))).collect(),
        rates: queues.iter().filter_map(|queue| Some((queue.name.clone(), queue.rate?))).collect(),
    };
    let catalog = Catalog::new(kinds, strict_kinds.or(settings.strict_kinds).unwrap_or(false));
    let schedules = top.listed_tables("schedules", |section| schedules::read(section, &catalog));
    let schedules = each_name_once(&mut top, schedules.into_iter().flatten().collect());
    let retention = top.table("retention", read_retention);
    let live = top.table("live", read_live).unwrap_or_default();
    let auth = top.table("auth", |section| read_auth(section, directory)).unwrap_or_default();
    top.finish();
    let retention = retention.unwrap_or_default();
    let later = [(auth.tokens_file.is_some(), "auth.tokens_file")];
    Contents {
        settings,
        catalog,
        limits,
        schedules,
        retention,
        live,
        allowed_origins: auth.allowed_origins,
        tokens_file: auth.tokens_file,
        not_in_effect: later.into_iter().filter_map(|(asked, what)| asked.then_some(what)).collect(),
    }
}

fn each_name_once(top: &mut Section, schedules: Vec<ScheduleSettings>) -> Vec<ScheduleSettings> {
    for (place, schedule) in schedules.iter().enumerate() {
        if schedules[..place].iter().any(|earlier| earlier.name == schedule.name) {
            top.problem("schedules", format!("two of them have the name {:?}", schedule.name.as_str()));
        }
    }
    schedules
}

fn read_kind(name: &str, mut section: Section, directory: &Path) -> Option<Kind> {
    let schema = section.text("schema").and_then(|path| read_schema(&mut section, &directory.join(path)));
    let defaults = KindSettings::default();
    let queue = section.parsed("queue").unwrap_or(defaults.queue);
    let concurrency = section.integer("concurrency", 1..=i64::from(u32::MAX)).map(|number| number as u32);
    let policy = read_policy(&mut section);
    let run = section.table("run", |section| read_run(section, directory)).flatten();
    let name = name.parse::<KindName>().map_err(|error| section.problem("", error)).ok();
    section.finish();
    let policy = Policy { grace: run.as_ref().map_or(policy.grace, |run| run.grace), ..policy };
    Some(Kind { name: name?, schema, settings: KindSettings { queue, policy, concurrency }, run })
}

fn read_policy(section: &mut Section) -> Policy {
    let defaults = Policy::default();
    let attempts = section.integer("max_attempts", 1..=ATTEMPTS_MAX);
    let losses = section.integer("max_lost", 0..=ATTEMPTS_MAX);
    let policy = Policy {
        max_attempts: attempts.map_or(defaults.max_attempts, |number| number as u32),
        max_lost: losses.map_or(defaults.max_lost, |number| number as u32),
        timeout: section.seconds("timeout_s", Zero::Refused),
        backoff: section.seconds("backoff_s", Zero::Allowed).unwrap_or(defaults.backoff),
        backoff_max: section.seconds("backoff_max_s", Zero::Allowed).unwrap_or(defaults.backoff_max),
        grace: defaults.grace,
    };
    if policy.backoff_max < policy.backoff && section.value("backoff_max_s").is_some() {
        section.problem("backoff_max_s", "must not be below backoff_s");
    }
    policy
}

fn read_schema(section: &mut Section, path: &Path) -> Option<ArgsSchema> {
    let text = read_text(path).map_err(|error| section.problem("schema", error)).ok()?;
    let document = serde_json::from_str(&text);
    let document =
        document.map_err(|error| section.problem("schema", format!("{} is not JSON: {error}", path.display())));
    let schema = ArgsSchema::compile(document.ok()?);
    schema.map_err(|error| section.problem("schema", format!("{} cannot be used: {error}", path.display()))).ok()
}

fn read_run(mut section: Section, directory: &Path) -> Option<RunSettings> {
    let mode = match section.text("mode") {
        None | Some("command") => RunMode::Command,
        Some("session") => RunMode::Session,
        Some(other) => {
            section.problem("mode", format!("must be \"command\" or \"session\", and is {other:?}"));
            RunMode::Command
        }
    };
    let command = section.texts("command");
    // One that could not be read was told already.
    let is_nameless = command.as_ref().is_some_and(|words| words.first().is_none_or(|program| program.is_empty()));
    if is_nameless || !section.has("command") {
        section.problem("command", "must name a program and its arguments, as in [\"python3\", \"resize.py\"]");
    }
    let env: BTreeMap<String, String> = read_env(&mut section);
    let run = RunSettings {
        mode,
        command: command.unwrap_or_default().into_iter().map(str::to_owned).collect(),
        processes: section.integer("processes", 1..=PROCESSES_MAX).unwrap_or(1) as usize,
        grace: section.seconds("grace_s", Zero::Allowed).unwrap_or(Policy::default().grace),
        env,
        directory: directory.to_owned(),
    };
    section.finish();
    Some(run)
}

fn read_env(section: &mut Section) -> BTreeMap<String, String> {
    let pairs = section.text_pairs("env").unwrap_or_default();
    for (name, _) in pairs.iter().filter(|(name, _)| name.is_empty() || name.contains(['=', '\0'])) {
        section.problem("env", format!("{name:?} cannot be the name of a variable; use one without `=` and NUL"));
    }
    pairs.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

struct QueueSettings {
    name: QueueName,
    concurrency: Option<u32>,
    rate: Option<RateLimit>,
}

fn read_queue(name: &str, mut section: Section) -> Option<QueueSettings> {
    let concurrency = section.integer("concurrency", 1..=i64::from(u32::MAX)).map(|number| number as u32);
    let rate = section.text("rate").and_then(|text| {
        let rate = text.parse::<RateLimit>();
        rate.map_err(|error| section.problem("rate", format!("{error}, and is {text:?}"))).ok()
    });
    let name = name.parse::<QueueName>().map_err(|error| section.problem("", error)).ok();
    section.finish();
    Some(QueueSettings { name: name?, concurrency, rate })
}

fn read_retention(mut section: Section) -> Retention {
    let terminal =
        [("completed", StateName::Completed), ("failed", StateName::Failed), ("cancelled", StateName::Cancelled)];
    let general = read_keep(&mut section, Keep::default());
    let mut states = BTreeMap::new();
    for (key, state) in terminal {
        states.extend(section.table(key, |section| (state, read_exception(section, general))));
    }
    let kinds = section.named_tables("kinds", |name, mut section| {
        let name = name.parse::<KindName>().map_err(|error| section.problem("", error)).ok();
        let keep = read_exception(section, general);
        name.map(|name| (name, keep))
    });
    let rules = Rules { general, states, kinds: kinds.into_iter().flatten().collect(), ..Rules::default() };
    let retention = Retention {
        log_age: section.seconds("log_age_s", Zero::Refused),
        log_bytes: section.integer("log_bytes", 1..=i64::MAX).map(|number| number as u64),
        ..Retention::new(rules, section.seconds("every_s", Zero::Refused))
    };
    section.finish();
    retention
}

fn read_exception(mut section: Section, general: Keep) -> Keep {
    let keep = read_keep(&mut section, general);
    section.finish();
    keep
}

/// Reads what is kept; what is left out is as `otherwise` says.
fn read_keep(section: &mut Section, otherwise: Keep) -> Keep {
    let count = section.integer("finished_count", 0..=i64::MAX).map(|number| number as u64);
    Keep {
        age: section.seconds("finished_age_s", Zero::Allowed).unwrap_or(otherwise.age),
        count: count.unwrap_or(otherwise.count),
    }
}

fn read_live(mut section: Section) -> LiveLimits {
    let mut events = |key| section.integer(key, 0..=i64::MAX).map(|number| number as u64);
    let limits =
        LiveLimits { jobs_behind_max: events("jobs_behind_max"), events_behind_max: events("events_behind_max") };
    section.finish();
    limits
}

#[derive(Default)]
struct Auth {
    allowed_origins: Vec<Origin>,
    tokens_file: Option<PathBuf>,
}

fn read_auth(mut section: Section, directory: &Path) -> Auth {
    let mut allowed_origins = Vec::new();
    for text in section.texts("allowed_origins").unwrap_or_default() {
        match text.parse::<Origin>() {
            Ok(origin) => allowed_origins.push(origin),
            Err(error) => section.problem("allowed_origins", format!("{text:?}: {error}")),
        }
    }
    let tokens_file = section.text("tokens_file").map(|path| directory.join(path));
    section.finish();
    Auth { allowed_origins, tokens_file }
}
