//! Every metric: its name, its labels and what it counts, in one place. Counting happens at the shell, never in the core.

use std::fmt::Write;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::domain::job::StateName;
use crate::domain::time::Timestamp;
use crate::views::row::{QueueRow, Stats};

/// Answered requests, by method, route and status.
pub const REQUESTS: &str = "daybook_http_requests_total";
/// How long requests took, by method and route.
pub const REQUEST_SECONDS: &str = "daybook_http_request_duration_seconds";

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
    describe_histogram!(REQUEST_SECONDS, "How long HTTP requests took.");
    Ok(handle)
}

/// Counts an answered request; `route` is its path with names in the place of parts that vary.
pub fn note_request(method: &str, route: &'static str, status: u16, took: Duration) {
    let method = method.to_owned();
    counter!(REQUESTS, "method" => method.clone(), "route" => route, "status" => status.to_string()).increment(1);
    histogram!(REQUEST_SECONDS, "method" => method, "route" => route).record(took);
}

/// What stands at the moment of asking: it is read from the views, not counted.
pub struct Standing<'a> {
    pub stats: &'a Stats,
    pub queues: &'a [QueueRow],
    pub seq: u64,
    pub started_at: Timestamp,
    pub is_halted: bool,
}

/// Writes the gauges in the text format of Prometheus.
pub fn render_standing(standing: &Standing) -> String {
    let mut text = String::new();
    gauge(&mut text, "daybook_jobs", "Jobs that are kept, by state.");
    for state in StateName::ALL {
        let count = standing.stats.jobs.get(state);
        line(&mut text, "daybook_jobs", &[("state", state.as_str())], count as f64);
    }
    gauge(&mut text, "daybook_queue_jobs", "Active jobs of a queue, by state.");
    for queue in standing.queues {
        let depth = queue.depth;
        let counts = [
            ("queued", depth.queued),
            ("scheduled", depth.scheduled),
            ("blocked", depth.blocked),
            ("running", depth.running),
            ("retryable", depth.retryable),
        ];
        for (state, count) in counts {
            line(&mut text, "daybook_queue_jobs", &[("queue", queue.name.as_str()), ("state", state)], count as f64);
        }
    }
    gauge(&mut text, "daybook_queue_oldest_seconds", "How long the job that has waited longest in a queue has waited.");
    for queue in standing.queues {
        let age = queue.oldest_age_s.unwrap_or(0.0);
        line(&mut text, "daybook_queue_oldest_seconds", &[("queue", queue.name.as_str())], age);
    }
    gauge(&mut text, "daybook_workers", "Live sessions of workers.");
    line(&mut text, "daybook_workers", &[], standing.stats.workers as f64);
    gauge(&mut text, "daybook_seq", "The number of the last event.");
    line(&mut text, "daybook_seq", &[], standing.seq as f64);
    gauge(&mut text, "daybook_started_at_seconds", "When the server started, in seconds since 1970.");
    line(&mut text, "daybook_started_at_seconds", &[], standing.started_at.as_ms() as f64 / 1000.0);
    gauge(&mut text, "daybook_halted", "1 when the log could not be written and nothing is taken any more.");
    line(&mut text, "daybook_halted", &[], f64::from(u8::from(standing.is_halted)));
    text
}

fn gauge(text: &mut String, name: &str, help: &str) {
    write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n").expect("a string takes every text");
}

/// Writes one sample. Label values are names of ours, which need no escapes.
fn line(text: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    writeln!(text, "{name}{labels} {value}").expect("a string takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_name_its_labels_and_a_value() {
        let mut text = String::new();
        line(&mut text, "daybook_queue_jobs", &[("queue", "images"), ("state", "queued")], 3.0);
        line(&mut text, "daybook_seq", &[], 9.0);
        assert_eq!(text, "daybook_queue_jobs{queue=\"images\",state=\"queued\"} 3\ndaybook_seq 9\n");
    }
}
