//! What handlers may use: the engine, the rules of kinds and queues, and the stores of what is not in the log.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use uuid::Uuid;

use crate::api::error::ApiError;
use crate::api::past::Pasts;
use crate::api::payload;
use crate::clock::Clock;
use crate::domain::id::{Epoch, JobId, Seq};
use crate::domain::queue::Limits;
use crate::domain::time::Timestamp;
use crate::engine::Handle;
use crate::kinds::Catalog;
use crate::live::Live;
use crate::log::hold::Hold;
use crate::sessions::Sessions;
use crate::sessions::reading::{DataFiles, JobFileStore, JobLogReader};
use crate::sessions::traces::Traces;
use crate::views::row::JobBody;

/// Which run of which version this is.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    pub epoch: Epoch,
    pub started_at: Timestamp,
    pub version: &'static str,
}

/// Everything that a handler needs.
pub struct ApiContext {
    pub identity: Identity,
    /// The log's own UUID.
    pub lineage: Uuid,
    pub handle: Handle,
    pub sessions: Arc<Sessions>,
    pub live: Arc<Live>,
    pub clock: Arc<dyn Clock>,
    pub logs: Arc<dyn JobLogReader>,
    pub files: Arc<dyn JobFileStore>,
    /// What jobs leave on the disk, to remove it.
    pub traces: Arc<Traces>,
    /// What may be copied of the data, and the hold on it while it is.
    pub data: Arc<dyn DataFiles>,
    pub hold: Arc<Hold>,
    /// What was, for reads with `at`.
    pub pasts: Pasts,
    pub metrics: PrometheusHandle,
    /// The kinds, also after a reload.
    pub catalog: watch::Receiver<Arc<Catalog>>,
    /// The limits of kinds and queues, also after a reload.
    pub limits: watch::Receiver<Limits>,
}

impl ApiContext {
    /// The kinds of now.
    pub fn kinds(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The seq at or after which everything is read from now on.
    pub fn seq(&self) -> Seq {
        self.handle.views().position()
    }

    /// Does something that may read from the disk, where that holds nobody up.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&ApiContext) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let ctx = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&ctx)).await;
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// The whole job, with what the log holds of it.
    pub async fn job_body(self: &Arc<Self>, id: JobId) -> Result<JobBody, ApiError> {
        self.blocking(move |ctx| payload::job_body(&ctx.handle, id)).await
    }
}
