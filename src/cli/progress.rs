//! Shows how a job gets on: a bar where stderr is a terminal, else a line for each change of state or stage.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::console::{Console, printable};
use crate::cli::document::Document;
use crate::cli::words::short;

const BAR: &str = "{spinner} {prefix} [{bar:30}] {percent:>3}% {wide_msg} {elapsed}";
const SPINNER: &str = "{spinner} {prefix} {wide_msg} {elapsed}";
const TICK: Duration = Duration::from_millis(120);
const MESSAGE_CHARS_MAX: usize = 120;

/// The way in which progress is shown.
pub enum Display {
    /// Drawn again and again in its place.
    Bar(ProgressBar),
    /// Lines; the last one is not said twice.
    Lines(String),
}

impl Display {
    /// The way that fits the console.
    pub fn new(console: &Console) -> Display {
        if !console.draws {
            return Display::Lines(String::new());
        }
        let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
        bar.set_style(style(SPINNER));
        bar.enable_steady_tick(TICK);
        Display::Bar(bar)
    }

    /// Shows a job that has not ended.
    pub fn show(&mut self, job: &Document, console: &mut Console) {
        match self {
            Display::Bar(bar) => {
                let share = share_of(job);
                bar.set_style(style(if share.is_some() { BAR } else { SPINNER }));
                bar.set_position((share.unwrap_or(0.0) * 1000.0) as u64);
                bar.set_prefix(state_of(job));
                bar.set_message(message_of(job));
            }
            Display::Lines(last) => {
                let stage = job.text("progress.stage").map(|stage| format!(": {}", printable(stage)));
                let line = format!("{}{}", state_of(job), stage.unwrap_or_default());
                if *last != line {
                    console.say(&line);
                    *last = line;
                }
            }
        }
    }

    /// Takes the bar away while something else is written.
    pub fn hide<R>(&mut self, write: impl FnOnce() -> R) -> R {
        match self {
            Display::Bar(bar) => bar.suspend(write),
            Display::Lines(_) => write(),
        }
    }

    /// Takes the bar away for good.
    pub fn end(&mut self) {
        match self {
            Display::Bar(bar) => bar.finish_and_clear(),
            Display::Lines(_) => {}
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.end();
    }
}

/// How far something has come that has a known length: a bar where stderr is a terminal, else nothing.
pub struct Bar(Option<ProgressBar>);

const EVENTS_BAR: &str = "[{bar:40}] {percent:>3}%  {human_pos} of {human_len} events  {per_sec}  {eta}";
const FILES_BAR: &str = "[{bar:40}] {percent:>3}%  {human_pos} of {human_len} files  {eta}";

impl Bar {
    /// For so many events.
    pub fn of_events(console: &Console, events: u64) -> Bar {
        Bar::new(console, events, EVENTS_BAR)
    }

    /// For files that are not counted yet.
    pub fn of_files(console: &Console) -> Bar {
        Bar::new(console, 1, FILES_BAR)
    }

    fn new(console: &Console, length: u64, template: &str) -> Bar {
        let bar = console.draws.then(|| {
            let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
            bar.set_style(style(template));
            bar
        });
        Bar(bar)
    }

    /// So many are done.
    pub fn show(&self, done: u64) {
        self.0.iter().for_each(|bar| bar.set_position(done));
    }

    /// So many of so many are done.
    pub fn show_of(&self, done: u64, of: u64) {
        self.0.iter().for_each(|bar| {
            bar.set_length(of);
            bar.set_position(done);
        });
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well formed").progress_chars("=> ")
}

fn state_of(job: &Document) -> String {
    let state = job.text("state").unwrap_or("unknown");
    match (state, job.count("attempt"), job.count("max_attempts")) {
        ("running" | "retryable", Some(attempt), Some(most)) if attempt > 1 => {
            format!("{state}, attempt {attempt} of {most}")
        }
        _ if job.at("cancel_requested_at").is_some() => format!("{state}, cancel requested"),
        _ => state.to_owned(),
    }
}

/// How much is done, 0 to 1: as the worker says, else by its count, else by the items.
fn share_of(job: &Document) -> Option<f64> {
    let of = |done: Option<u64>, total: Option<u64>| match (done, total) {
        (Some(done), Some(total)) if total > 0 => Some(done as f64 / total as f64),
        _ => None,
    };
    let by_items = || {
        let left = job.count("items.pending")?;
        let total = job.count("items.total")?;
        of(Some(total.saturating_sub(left)), Some(total))
    };
    let percent = job.number("progress.percent").map(|percent| percent / 100.0);
    let share = percent.or_else(|| of(job.count("progress.done"), job.count("progress.total"))).or_else(by_items);
    share.map(|share| share.clamp(0.0, 1.0))
}

fn message_of(job: &Document) -> String {
    let parts = [job.text("progress.stage"), job.text("progress.message")];
    let text = parts.into_iter().flatten().map(printable).collect::<Vec<_>>().join(": ");
    short(&text, MESSAGE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(fields: &str) -> Document {
        Document::read(format!("{{{fields}}}")).expect("reads")
    }

    #[test]
    fn the_share_comes_from_percent_else_from_counts_else_from_items() {
        assert_eq!(share_of(&job(r#""progress":{"percent":40,"done":1,"total":2}"#)), Some(0.4));
        assert_eq!(share_of(&job(r#""progress":{"percent":null,"done":1,"total":2}"#)), Some(0.5));
        assert_eq!(share_of(&job(r#""progress":null,"items":{"total":4,"pending":1}"#)), Some(0.75));
        assert_eq!(share_of(&job(r#""items":{"total":0,"pending":0}"#)), None);
        assert_eq!(share_of(&job(r#""progress":{"percent":140}"#)), Some(1.0));
    }

    #[test]
    fn a_later_attempt_and_a_wish_to_cancel_are_said() {
        assert_eq!(state_of(&job(r#""state":"running","attempt":1,"max_attempts":2"#)), "running");
        assert_eq!(state_of(&job(r#""state":"running","attempt":2,"max_attempts":2"#)), "running, attempt 2 of 2");
        let cancelled = r#""state":"running","attempt":1,"cancel_requested_at":"2026-11-22T05:00:00.000Z""#;
        assert_eq!(state_of(&job(cancelled)), "running, cancel requested");
    }

    #[test]
    fn stage_and_message_share_a_line() {
        let both = job(r#""progress":{"stage":"upscale","message":"tile 3\u001b[2J"}"#);
        assert_eq!(message_of(&both), "upscale: tile 3\u{fffd}[2J");
    }
}
