//! The part of the configuration that can be read again while the server runs: kinds, limits and schedules.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use crate::app::Followed;
use crate::config::{self, Config, ConfigError, Flags};
use crate::domain::queue::Limits;
use crate::kinds::Catalog;

/// Kinds and limits, and who follows them.
pub struct Rules {
    catalog: watch::Sender<Arc<Catalog>>,
    limits: watch::Sender<Limits>,
}

impl Rules {
    /// The rules of a configuration, and two ways to follow them.
    pub fn new(config: &Config) -> (Rules, Followed<Arc<Catalog>>, Followed<Limits>) {
        let (catalog, catalog_followed) = watch::channel(config.catalog.clone());
        let (limits, limits_followed) = watch::channel(config.limits.clone());
        (Rules { catalog, limits }, catalog_followed, limits_followed)
    }

    /// Reads the file of `present` again. Only kinds, limits and schedules are taken over; all else
    /// needs a restart.
    pub fn read_again(&self, present: &Config) -> Result<Config, ConfigError> {
        let flags = Flags { config: present.file.clone(), insecure: true, ..Flags::default() };
        let read = config::load(&flags, &|name| std::env::var(name).ok(), Path::new("."))?;
        self.catalog.send_replace(read.catalog.clone());
        self.limits.send_replace(read.limits.clone());
        Ok(Config { catalog: read.catalog, limits: read.limits, schedules: read.schedules, ..present.clone() })
    }
}
