//! Wires a remote worker: real processes, real signals. It decides nothing about jobs.

use std::sync::Arc;

use crate::shutdown::{Request, Signals};
use crate::workers::remote::RemoteWorker;
use crate::workers::unix::UnixLauncher;

pub use crate::workers::remote::news::{News, Outcome, Teller, channel};
pub use crate::workers::remote::{WorkError, WorkSpec, default_base};

/// Works for a server until a signal, or the server, ends it.
///
/// # Errors
/// When the server does not want the worker, or could not be told of everything.
pub async fn work(spec: WorkSpec, teller: Teller) -> Result<(), WorkError> {
    let mut signals = Signals::listen().map_err(WorkError::Signals)?;
    let worker = RemoteWorker::open(spec, Arc::new(UnixLauncher), teller)?;
    let orders = worker.orders();
    let mut working = std::pin::pin!(worker.run());
    loop {
        tokio::select! {
            ended = &mut working => return ended,
            request = signals.request() => match request {
                Request::Stop => {
                    if let Some(given_up) = orders.signal() {
                        return Err(given_up);
                    }
                }
                // There is no configuration to be read again.
                Request::Reload => {}
            },
        }
    }
}
