//! What jobs leave on the disk beside the log: output files and log lines. Removes it for jobs that are forgotten or
//! purged; who that is, others decide.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::domain::id::JobId;

/// The port to one sort of traces.
pub trait JobTraces: Send + Sync {
    /// Removes what a job left, if it left something. A power cut may bring it back: the next sweep takes it.
    fn forget(&self, job: JobId) -> io::Result<()>;

    /// Removes what a job left, if it left something. A power cut does not bring it back.
    fn purge(&self, job: JobId) -> io::Result<()>;

    /// The jobs that have left something.
    fn jobs(&self) -> io::Result<Vec<JobId>>;
}

/// All sorts together.
pub struct Traces(Vec<Arc<dyn JobTraces>>);

impl Traces {
    /// The traces of these sorts.
    pub fn new(sorts: impl IntoIterator<Item = Arc<dyn JobTraces>>) -> Traces {
        Traces(sorts.into_iter().collect())
    }

    /// Removes what a job left; a power cut may bring it back.
    ///
    /// # Errors
    /// With the first that could not be removed; all others were tried nevertheless.
    pub fn forget(&self, job: JobId) -> io::Result<()> {
        let done: Vec<_> = self.0.iter().map(|sort| sort.forget(job)).collect();
        done.into_iter().collect()
    }

    /// Removes what a job left, so that nothing brings it back.
    ///
    /// # Errors
    /// With the first that could not be removed; all others were tried nevertheless.
    pub fn purge(&self, job: JobId) -> io::Result<()> {
        let done: Vec<_> = self.0.iter().map(|sort| sort.purge(job)).collect();
        done.into_iter().collect()
    }

    /// The jobs that have left something.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn jobs(&self) -> io::Result<BTreeSet<JobId>> {
        let mut all = BTreeSet::new();
        for sort in &self.0 {
            all.extend(sort.jobs()?);
        }
        Ok(all)
    }
}
