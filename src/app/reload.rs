//! The part of the configuration that can be read again while the server runs: kinds, limits, schedules and what is kept.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use crate::app::Followed;
use crate::config::{self, Config, ConfigError, Flags};
use crate::domain::queue::Limits;
use crate::kinds::Catalog;
use crate::maintenance::retention::Plan;

/// Kinds, limits and what is kept, and who follows them.
pub struct Rules {
    catalog: watch::Sender<Arc<Catalog>>,
    limits: watch::Sender<Limits>,
    retention: watch::Sender<Plan>,
}

/// Where those who need the rules follow them.
pub struct Following {
    pub catalog: Followed<Arc<Catalog>>,
    pub limits: Followed<Limits>,
    pub retention: Followed<Plan>,
}

impl Rules {
    /// The rules of a configuration, and the ways to follow them.
    pub fn new(config: &Config) -> (Rules, Following) {
        let (catalog, catalog_followed) = watch::channel(config.catalog.clone());
        let (limits, limits_followed) = watch::channel(config.limits.clone());
        let (retention, retention_followed) = watch::channel(plan(config));
        let following = Following { catalog: catalog_followed, limits: limits_followed, retention: retention_followed };
        (Rules { catalog, limits, retention }, following)
    }

    /// Reads the file of `present` again. Only kinds, limits, schedules and what is kept are
    /// taken over; all else needs a restart.
    pub fn read_again(&self, present: &Config) -> Result<Config, ConfigError> {
        let flags = Flags { config: present.file.clone(), insecure: true, ..Flags::default() };
        let read = config::load(&flags, &|name| std::env::var(name).ok(), Path::new("."))?;
        self.catalog.send_replace(read.catalog.clone());
        self.limits.send_replace(read.limits.clone());
        self.retention.send_replace(plan(&read));
        let Config { catalog, limits, schedules, retention, .. } = read;
        Ok(Config { catalog, limits, schedules, retention, ..present.clone() })
    }
}

fn plan(config: &Config) -> Plan {
    Plan { rules: config.retention.rules.clone(), every: config.retention.every }
}
