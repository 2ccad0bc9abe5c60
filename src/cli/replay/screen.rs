//! Shows a log while it is played: on a terminal a picture that is drawn anew in its place, else a line now and then.
//! It looks at the state and never keeps the play waiting.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::app::replay::counts;
use crate::cli::console::{Console, printable};
use crate::cli::words::short;
use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::domain::job::StateName;
use crate::domain::state::State;

const DRAW_EVERY: Duration = Duration::from_millis(100);
const SAY_EVERY: Duration = Duration::from_secs(1);
/// Jobs are counted anew only when that took no more than this part of the time.
const COUNTING_SHARE_MAX: u32 = 20;
const LATEST_MAX: usize = 5;
const LINE_CHARS_MAX: usize = 110;

/// The way in which a play is shown.
pub struct Screen {
    picture: Option<Picture>,
    begun: Instant,
    first: Seq,
    /// When the next look is due.
    next: Instant,
    every: Duration,
    latest: VecDeque<String>,
}

/// The lines on a terminal.
struct Picture {
    all: MultiProgress,
    bar: ProgressBar,
    states: BTreeMap<&'static str, ProgressBar>,
    latest: Vec<ProgressBar>,
}

impl Screen {
    /// Shows what lies between two events.
    pub fn new(console: &Console, first: Seq, last: Seq) -> Screen {
        let picture = console.draws.then(|| Picture::new(last.0.saturating_sub(first.0)));
        let every = if picture.is_some() { DRAW_EVERY } else { SAY_EVERY };
        let begun = Instant::now();
        Screen { picture, begun, first, next: begun + every, every, latest: VecDeque::new() }
    }

    /// Notes an event that was folded.
    pub fn note(&mut self, record: &Record) {
        if self.picture.is_some() && self.next.saturating_duration_since(Instant::now()) < DRAW_EVERY / 10 {
            self.remember(record);
        }
    }

    /// Notes an event that is followed by a wait: all of these can be read.
    pub fn remember(&mut self, record: &Record) {
        let job = record.event.job().map(|job| job.to_string()).unwrap_or_default();
        self.latest.push_front(format!("{:>12}  {}  {:<22} {job}", record.seq.0, record.at, record.event.type_name()));
        self.latest.truncate(LATEST_MAX);
    }

    /// Whether it is time to look.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.next
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
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let add = |length: u64, template: &str| {
            let bar = all.add(ProgressBar::new(length));
            bar.set_style(style(template));
            bar
        };
        let bar = add(events, "[{bar:40}] {percent:>3}%  {human_pos} of {human_len} events  {msg}  {elapsed}");
        let states = StateName::ALL.map(|state| (state.as_str(), add(1, "{prefix:>10} [{bar:40}] {msg}")));
        let latest = (0..LATEST_MAX).map(|_| add(0, "{msg}")).collect();
        Picture { bar, states: states.into_iter().collect(), latest, all }
    }

    fn show(&self, state: &State, rate: f64, first: Seq, latest: &VecDeque<String>) {
        self.bar.set_position(state.seq().0.saturating_sub(first.0));
        self.bar.set_message(format!("{rate:.0}/s  {}", state.at()));
        let counts = counts(state);
        let most = counts.values().max().copied().unwrap_or_default().max(1);
        for (name, bar) in &self.states {
            bar.set_prefix(*name);
            bar.set_length(most);
            bar.set_position(counts[name]);
            bar.set_message(counts[name].to_string());
        }
        for (bar, line) in self.latest.iter().zip(latest) {
            bar.set_message(short(&printable(line), LINE_CHARS_MAX));
        }
    }

    fn clear(&self) {
        // A terminal that is gone needs no clearing.
        let _ = self.all.clear();
        self.all.set_draw_target(ProgressDrawTarget::hidden());
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well formed").progress_chars("=> ")
}
