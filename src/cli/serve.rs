//! `serve`: starts the server and runs it until it is told to stop.

use crate::app::data::DataError;
use crate::app::{self, ServeError};
use crate::cli::args::ServeArguments;
use crate::cli::failure::{Failure, Stop};
use crate::config::{self, Flags};
use crate::telemetry::{self, LogFormat};

/// Runs the server.
pub fn run(arguments: ServeArguments) -> Result<(), Stop> {
    let flags = Flags {
        config: arguments.config,
        data: arguments.data,
        listen: arguments.listen,
        reset_on_startup: arguments.reset_on_startup,
        insecure: arguments.insecure,
        accept_data_loss: arguments.accept_data_loss,
    };
    let variable = |name: &str| std::env::var(name).ok();
    let format = match variable("DAYBOOK_LOG_FORMAT").as_deref() {
        Some("json") => LogFormat::Json,
        _ => LogFormat::Text,
    };
    telemetry::begin(variable("DAYBOOK_LOG").as_deref(), format)
        .map_err(|error| Failure::of_asker(error.to_string()))?;
    let current = std::env::current_dir()
        .map_err(|error| Failure::of_asker(format!("the current directory cannot be used: {error}")))?;
    let config = config::load(&flags, &variable, &current).map_err(|error| Failure::of_asker(error.to_string()))?;
    for section in &config.not_in_effect {
        tracing::warn!(section, "this part of the configuration is not in effect yet in this version");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::ours(format!("the runtime could not be started: {error}")))?;
    let served = runtime.block_on(app::serve(config));
    runtime.shutdown_background();
    served.map_err(failure)
}

fn failure(error: ServeError) -> Stop {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    let failure = match &error {
        ServeError::Listen { .. } => {
            Failure::of_asker(text).hint("another program may listen there; choose a port with --listen 127.0.0.1:0")
        }
        ServeError::Data(DataError::Open(_)) => Failure::of_asker(text),
        _ => Failure::ours(text),
    };
    failure.into()
}
