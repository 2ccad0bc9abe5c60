//! The kinds that configuration lists: schema, settings, and how to run them. Immutable; a reload makes a new one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::domain::id::{KindName, QueueName};
use crate::domain::retry::Policy;
use crate::domain::time::Millis;
use crate::kinds::schema::ArgsSchema;

/// The queue of jobs that name none.
pub const QUEUE_DEFAULT: &str = "default";

/// All listed kinds. Without `strict` every other kind is taken too, for remote workers.
#[derive(Debug, Default)]
pub struct Catalog {
    kinds: BTreeMap<KindName, Kind>,
    strict: bool,
}

/// One kind.
#[derive(Debug)]
pub struct Kind {
    pub name: KindName,
    /// None: any object will do.
    pub schema: Option<ArgsSchema>,
    pub settings: KindSettings,
    /// None: remote workers run it.
    pub run: Option<RunSettings>,
}

/// What holds for the jobs of a kind unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindSettings {
    pub queue: QueueName,
    pub policy: Policy,
    /// Jobs that run at once over all workers; none: no limit.
    pub concurrency: Option<u32>,
}

impl Default for KindSettings {
    fn default() -> KindSettings {
        let queue = QueueName::from_checked(QUEUE_DEFAULT.into());
        KindSettings { queue, policy: Policy::default(), concurrency: None }
    }
}

/// How the server runs a kind by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSettings {
    pub mode: RunMode,
    /// Program and arguments; no shell ever sees them. At least one element.
    pub command: Vec<String>,
    /// Child processes at most; 1 and up.
    pub processes: usize,
    /// From the polite request to stop until SIGKILL.
    pub grace: Millis,
    /// Added to the server's own environment.
    pub env: BTreeMap<String, String>,
    /// The working directory: that of the configuration file.
    pub directory: PathBuf,
}

/// Whether a child serves one job or many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunMode {
    /// Started for each job.
    Command,
    /// Started once; speaks the worker frames as JSON lines.
    Session,
}

impl Catalog {
    /// Makes the catalog; `strict` refuses the kinds that are not in it.
    pub fn new(kinds: impl IntoIterator<Item = Kind>, strict: bool) -> Catalog {
        Catalog { kinds: kinds.into_iter().map(|kind| (kind.name.clone(), kind)).collect(), strict }
    }

    /// A listed kind.
    pub fn get(&self, name: &KindName) -> Option<&Kind> {
        self.kinds.get(name)
    }

    /// Whether jobs of this kind are taken.
    pub fn takes(&self, name: &KindName) -> bool {
        !self.strict || self.kinds.contains_key(name)
    }

    /// All listed kinds by name.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values()
    }
}
