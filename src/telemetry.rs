//! Logging of the server itself: to stderr, for people or as JSON, filtered by `DAYBOOK_LOG`. Stdout is not touched.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the filter {filter:?} is not understood: {source}; write it like info or daybook=debug")]
    Filter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("logging began already")]
    Twice,
}

/// Begins to log. `filter` is like `info` or `daybook::engine=debug`; none: `info`. Once in a process.
///
/// # Errors
/// When the filter is malformed, or logging began already.
pub fn begin(filter: Option<&str>, format: LogFormat) -> Result<(), TelemetryError> {
    let text = filter.unwrap_or_default();
    let directives = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let filter = directives.parse(text).map_err(|source| TelemetryError::Filter { filter: text.to_owned(), source })?;
    // Colours are for people: in a file or a pipe they are garbage between the words.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let begun = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    begun.map_err(|_| TelemetryError::Twice)
}
