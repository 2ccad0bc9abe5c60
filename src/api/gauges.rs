//! What stands at the moment of asking, as Prometheus gauges: it is read from the views, not counted.

use std::fmt::Write;

use crate::domain::job::StateName;
use crate::domain::time::Timestamp;
use crate::views::row::{QueueRow, Stats};

/// What there is to show.
pub struct Standing<'a> {
    pub stats: &'a Stats,
    pub queues: &'a [QueueRow],
    pub seq: u64,
    pub earliest: u64,
    pub started_at: Timestamp,
    pub is_halted: bool,
}

/// Writes the gauges in the text format of Prometheus.
pub fn render(standing: &Standing) -> String {
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
    gauge(&mut text, "daybook_earliest_seq", "The number of the oldest event that is still in the log.");
    line(&mut text, "daybook_earliest_seq", &[], standing.earliest as f64);
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
