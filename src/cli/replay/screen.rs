//! Shows a log while it is played: on a terminal a picture that is drawn anew in its place, else a line now and then.
//! It looks at the state and never keeps the play waiting.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::app::replay::counts;
use crate::cli::console::{Console, printable};
use crate::cli::words::short;
use crate::domain::event::Record;
use crate::domain::id::{JobId, Seq};
use crate::domain::job::StateName;
use crate::domain::state::State;
use crate::domain::time::Timestamp;

const DRAW_EVERY: Duration = Duration::from_millis(100);
const SAY_EVERY: Duration = Duration::from_secs(1);
/// Jobs are counted anew only when that took no more than this part of the time.
const COUNTING_SHARE_MAX: u32 = 20;
const LATEST_MAX: usize = 5;
const LINE_CHARS_MAX: usize = 110;
/// How long the bar of the most frequent state is.
const STATE_CHARS: u64 = 40;

/// The way in which a play is shown.
pub struct Screen {
    picture: Option<Picture>,
    begun: Instant,
    first: Seq,
    /// When the next look is due.
    next: Instant,
    every: Duration,
    latest: VecDeque<Noted>,
}

/// What is shown of an event.
struct Noted {
    seq: Seq,
    at: Timestamp,
    event_type: &'static str,
    job: Option<JobId>,
}

/// What is drawn on a terminal: one bar with all the lines as its message, so that no two of them are of two moments.
struct Picture {
    bar: ProgressBar,
}

impl Screen {
    /// Shows what lies between two events.
    pub fn new(console: &Console, first: Seq, last: Seq) -> Screen {
        let picture = console.draws.then(|| Picture::new(last.0.saturating_sub(first.0)));
        Screen::of(picture, first)
    }

    fn of(picture: Option<Picture>, first: Seq) -> Screen {
        let every = if picture.is_some() { DRAW_EVERY } else { SAY_EVERY };
        let begun = Instant::now();
        Screen { picture, begun, first, next: begun + every, every, latest: VecDeque::new() }
    }

    /// Notes an event that was folded. It becomes words when it is drawn, which few of a million are.
    pub fn note(&mut self, record: &Record) {
        let (event_type, job) = (record.event.type_name(), record.event.job());
        self.latest.push_front(Noted { seq: record.seq, at: record.at, event_type, job });
        self.latest.truncate(LATEST_MAX);
    }

    /// Whether it is time to look: a while has passed, or nothing will move for so long.
    pub fn is_due(&self, wait: Duration) -> bool {
        wait >= self.every || Instant::now() >= self.next
    }

    /// Shows the state.
    pub fn show(&mut self, state: &State, console: &mut Console) {
        let began = Instant::now();
        let rate = (state.seq().0 - self.first.0) as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        match &self.picture {
            Some(picture) => picture.show(state, rate, self.first, &self.latest),
            None => console.say(&format!("event {} of {}, {rate:.0} events/s", state.seq(), state.at())),
        }
        let took = began.elapsed();
        self.next = Instant::now() + self.every.max(took * COUNTING_SHARE_MAX);
    }

    /// Takes the picture away.
    pub fn end(&mut self) {
        if let Some(picture) = self.picture.take() {
            picture.clear();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.end();
    }
}

impl Picture {
    fn new(events: u64) -> Picture {
        let bar = ProgressBar::with_draw_target(Some(events), ProgressDrawTarget::stderr());
        bar.set_style(style("[{bar:40}] {percent:>3}%  {human_pos} of {human_len} events  {elapsed}\n{msg}"));
        Picture { bar }
    }

    fn show(&self, state: &State, rate: f64, first: Seq, latest: &VecDeque<Noted>) {
        self.bar.set_position(state.seq().0.saturating_sub(first.0));
        self.bar.set_message(lines(state, rate, latest).join("\n"));
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// What is drawn below the bar.
fn lines(state: &State, rate: f64, latest: &VecDeque<Noted>) -> Vec<String> {
    let counts = counts(state);
    let most = counts.values().max().copied().unwrap_or_default().max(1);
    let mut lines = vec![format!("{:>12}  {}  {rate:.0} events/s", state.seq().0, state.at())];
    for name in StateName::ALL.map(StateName::as_str) {
        let filled = "=".repeat((counts[name] * STATE_CHARS / most) as usize);
        lines.push(format!("{name:>12}  [{filled:<width$}] {}", counts[name], width = STATE_CHARS as usize));
    }
    lines.extend(latest.iter().map(Noted::line));
    lines
}

impl Noted {
    fn line(&self) -> String {
        let Noted { seq, at, event_type, job } = self;
        let job = job.map(|job| job.to_string()).unwrap_or_default();
        short(&printable(&format!("{:>12}  {at}  {event_type:<22} {job}", seq.0)), LINE_CHARS_MAX)
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well formed").progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::history;

    #[test]
    fn what_is_drawn_is_of_one_moment_and_ends_with_the_latest_events_in_turn() {
        let world = history(20);
        let mut screen = Screen::of(None, Seq::ZERO);
        for record in &world.records {
            screen.note(record);
        }
        let lines = lines(&world.state, 12.4, &screen.latest);
        let last = world.records.len();
        assert!(lines[0].trim_start().starts_with(&format!("{last}  ")) && lines[0].ends_with(" 12 events/s"));
        assert_eq!(lines.len(), 1 + StateName::ALL.len() + LATEST_MAX);
        for (line, record) in lines.iter().rev().take(LATEST_MAX).rev().zip(world.records.iter().rev()) {
            assert!(
                line.contains(&format!(" {}  ", record.seq.0)) && line.contains(record.event.type_name()),
                "{line}"
            );
        }
        let counted = lines[1..=StateName::ALL.len()].iter().map(|line| line.rsplit(' ').next().unwrap());
        assert_eq!(counted.map(|count| count.parse::<u64>().unwrap()).sum::<u64>(), world.state.slots().count() as u64);
    }
}
