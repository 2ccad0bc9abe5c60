//! Every metric that is counted: its name, its labels and what it counts, in one place. Counting happens at the shell,
//! never in the core. What stands at a moment is not counted but read: `api::gauges` shows it.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Answered requests, by method, route and status.
pub const REQUESTS: &str = "daybook_http_requests_total";
/// How long requests took, by method and route.
pub const REQUEST_SECONDS: &str = "daybook_http_request_duration_seconds";
/// How many times what sled wrote was really synced. No answer leaves before its own commit was.
pub const LOG_SYNCS: &str = "daybook_log_syncs_total";
/// Times of schedules that have come, by what came of them.
pub const SCHEDULES_FIRED: &str = "daybook_schedules_fired_total";
/// Bytes of the log's segments that were dropped, because they were old or the log took too much.
pub const LOG_DROPPED_BYTES: &str = "daybook_log_dropped_bytes_total";

/// Finished jobs that retention has forgotten.
pub const FORGOTTEN_JOBS: &str = "daybook_forgotten_jobs_total";

/// The upper ends of the buckets for spans, in seconds.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// Begins to count. Once in a process.
///
/// # Errors
/// When something else counts already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Full(REQUEST_SECONDS.to_owned()), SECONDS)?;
    let handle = builder.install_recorder()?;
    describe_counter!(REQUESTS, "Answered HTTP requests.");
    describe_counter!(LOG_SYNCS, "Real syncs of the log and the stored views; each answered change waited for one.");
    describe_counter!(SCHEDULES_FIRED, "Times of schedules that have come.");
    describe_counter!(FORGOTTEN_JOBS, "Finished jobs that were forgotten, as [retention] says.");
    describe_counter!(LOG_DROPPED_BYTES, "Bytes of the oldest segments of the log that were dropped.");
    describe_histogram!(REQUEST_SECONDS, "How long HTTP requests took.");
    Ok(handle)
}

/// Counts an answered request; `route` is its path with names in the place of parts that vary.
pub fn note_request(method: &str, route: &'static str, status: u16, took: Duration) {
    let method = method.to_owned();
    counter!(REQUESTS, "method" => method.clone(), "route" => route, "status" => status.to_string()).increment(1);
    histogram!(REQUEST_SECONDS, "method" => method, "route" => route).record(took);
}

/// Notes how many real syncs there were in this process so far.
pub fn note_log_syncs(total: u64) {
    counter!(LOG_SYNCS).absolute(total);
}

/// Counts jobs that were forgotten.
pub fn note_forgotten(jobs: u64) {
    counter!(FORGOTTEN_JOBS).increment(jobs);
}

/// Counts a time of a schedule; `outcome` is the word of its event.
pub fn note_fired(outcome: &'static str) {
    counter!(SCHEDULES_FIRED, "outcome" => outcome).increment(1);
}

/// Counts dropped segments.
pub fn note_dropped(bytes: u64) {
    counter!(LOG_DROPPED_BYTES).increment(bytes);
}
