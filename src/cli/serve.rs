//! `serve`: starts the server and runs it until it is told to stop.

use std::io::ErrorKind;

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
        ServeError::Listen { source, .. } => Failure::of_asker(text).hint(where_to_listen(source.kind())),
        ServeError::Data(error) if error.is_of_operator() => {
            Failure { hint: error.next_step().map(str::to_owned), ..Failure::of_asker(text) }
        }
        _ => Failure::ours(text),
    };
    failure.into()
}

fn where_to_listen(trouble: ErrorKind) -> &'static str {
    match trouble {
        ErrorKind::AddrInUse => "another program listens there; choose a port with --listen 127.0.0.1:0",
        ErrorKind::AddrNotAvailable => "this machine has no such address; listen on 127.0.0.1, or on one that it has",
        ErrorKind::PermissionDenied => "ports below 1024 are for the system; choose another with --listen",
        _ => "choose another address with --listen, such as 127.0.0.1:0",
    }
}
