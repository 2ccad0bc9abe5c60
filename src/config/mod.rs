//! The configuration: flags over environment over `daybook.toml` over defaults, resolved once and never changed.
//!
//! Every value is checked here, and every problem is named with its key and line before the server touches its data.
//! A reload reads everything again; the caller takes kinds, queues and schedules from the new one. Must never start anything or
//! write anything.

mod file;
mod schedules;
mod section;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::auth::Origin;
use crate::domain::id::KindName;
use crate::domain::job::StateName;
use crate::domain::queue::Limits;
use crate::domain::time::Millis;
use crate::kinds::Catalog;

pub use schedules::ScheduleSettings;
pub use section::ConfigProblem;
pub use settings::Flags;

use settings::Settings;

/// The file that is read when no other is named and it is there.
pub const FILE_DEFAULT: &str = "daybook.toml";
/// The most bytes that a configuration file or a schema may have.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Everything that can be configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from; none when there was none.
    pub file: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The directory of everything that is kept.
    pub data: PathBuf,
    pub reset_on_startup: ResetOnStartup,
    /// Go on with what is left of a damaged log, after a copy of it was made. A flag only: it is asked for once.
    pub accept_data_loss: bool,
    /// Listen beyond loopback without tokens.
    pub insecure: bool,
    /// How long a worker may be silent before its leases are lost.
    pub lease: Millis,
    /// How long a broken connection may be resumed; 0: not at all.
    pub reconnect_grace: Millis,
    /// Free disk, in bytes, below which no new work is taken; 0: off.
    pub min_free_bytes: u64,
    /// A segment of the log whose file has so many bytes takes no more; only whole segments give disk back.
    pub segment_bytes: u64,
    /// The kinds, with their schemas and settings.
    pub catalog: Arc<Catalog>,
    /// How many jobs of a kind, and from a queue, may run at once, and how fast they start.
    pub limits: Limits,
    pub schedules: Vec<ScheduleSettings>,
    pub retention: Retention,
    pub live: LiveLimits,
    /// Other origins that may change something: those of dashboards served elsewhere.
    pub allowed_origins: Vec<Origin>,
    /// Where the hashes of the tokens are.
    pub tokens_file: Option<PathBuf>,
    /// What the file asks for and this version does not do yet; to be said at the start.
    pub not_in_effect: Vec<&'static str>,
}

/// What becomes of the data of the run before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetOnStartup {
    /// It is kept.
    #[default]
    No,
    /// It is deleted.
    Delete,
    /// It is moved aside.
    Archive,
}

/// What is kept of finished jobs and of the log, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    pub finished: Keep,
    /// Exceptions for jobs that ended in a state.
    pub states: Vec<(StateName, Keep)>,
    /// Exceptions for jobs of a kind.
    pub kinds: Vec<(KindName, Keep)>,
    pub log_age: Option<Millis>,
    pub log_bytes: Option<u64>,
    /// How often is looked.
    pub every: Option<Millis>,
}

impl Retention {
    /// Whether it says anything of finished jobs.
    pub fn limits_jobs(&self) -> bool {
        self.finished != Keep::default() || !self.states.is_empty() || !self.kinds.is_empty()
    }
}

/// How many finished jobs are kept, and for how long; what is none is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    pub age: Option<Millis>,
    pub count: Option<u64>,
}

/// How far behind a live subscription may come back and still be given what it missed; what is none is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveLimits {
    /// Events, for a subscription of jobs.
    pub jobs_behind_max: Option<u64>,
    /// Events, for a subscription of events.
    pub events_behind_max: Option<u64>,
}

/// Why the server cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{} could not be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} has {bytes} bytes; at most {FILE_BYTES_MAX} are read", path.display())]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("{}", ProblemList { file, problems })]
    Invalid { file: String, problems: Vec<ConfigProblem> },
    #[error(
        "{listen} can be reached from other machines, and tokens are not in effect yet; listen on 127.0.0.1, or pass --insecure if everybody who reaches it may do everything"
    )]
    Exposed { listen: SocketAddr },
}

/// Resolves the configuration.
///
/// `environment` gives the value of a variable, `current` is the directory in which the command was given.
///
/// # Errors
/// With all problems of the file at once, each with its line and key.
pub fn load(
    flags: &Flags,
    environment: &dyn Fn(&str) -> Option<String>,
    current: &Path,
) -> Result<Config, ConfigError> {
    let from_flags = Settings::of_flags(flags, current)?;
    let from_environment = Settings::of_environment(environment, current)?;
    let named = flags.config.clone().or_else(|| environment("DAYBOOK_CONFIG").map(PathBuf::from));
    let path =
        named.map(|path| current.join(path)).or_else(|| Some(current.join(FILE_DEFAULT)).filter(|it| it.exists()));
    let over_file = from_flags.or(from_environment);
    let contents = match &path {
        Some(path) => file::read(path, over_file.strict_kinds)?,
        None => file::Contents::without_file(over_file.strict_kinds),
    };
    let mut config = resolve(path, over_file, contents, current);
    config.accept_data_loss = flags.accept_data_loss;
    if !config.listen.ip().is_loopback() && !config.insecure {
        return Err(ConfigError::Exposed { listen: config.listen });
    }
    Ok(config)
}

fn resolve(file: Option<PathBuf>, over_file: Settings, contents: file::Contents, current: &Path) -> Config {
    let settings = over_file.or(contents.settings);
    let home = file.as_deref().and_then(Path::parent).unwrap_or(current).to_owned();
    Config {
        file,
        listen: settings.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7878))),
        data: settings.data.unwrap_or_else(|| home.join("daybook-data")),
        reset_on_startup: settings.reset_on_startup.unwrap_or_default(),
        accept_data_loss: false,
        insecure: settings.insecure.unwrap_or(false),
        lease: settings.lease.unwrap_or(Millis::from_secs(30)),
        reconnect_grace: settings.reconnect_grace.unwrap_or(Millis::from_secs(10)),
        min_free_bytes: settings.min_free_bytes.unwrap_or(64 * 1024 * 1024),
        segment_bytes: settings.segment_bytes.unwrap_or(64 * 1024 * 1024),
        catalog: Arc::new(contents.catalog),
        limits: contents.limits,
        schedules: contents.schedules,
        retention: contents.retention,
        live: contents.live,
        allowed_origins: contents.allowed_origins,
        tokens_file: contents.tokens_file,
        not_in_effect: contents.not_in_effect,
    }
}

/// Reads a text file of bounded size.
fn read_text(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes });
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

struct ProblemList<'a> {
    file: &'a str,
    problems: &'a [ConfigProblem],
}

impl fmt::Display for ProblemList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
            let end = if place == 0 { "" } else { "\n" };
            write!(f, "{end}{}{line}: {} {}", self.file, problem.key, problem.message)?;
        }
        Ok(())
    }
}
