//! What a run has said and its server has not certainly heard. Pure: what is sent and what was answered comes in as
//! calls, nothing waits here.
//!
//! A word stays until it is known that the server has carried it out, and is said again on the next connection if it is
//! not: everything is heard at least once. What comes twice changes nothing (the end of a run, a checkpoint, items, a
//! child with a `unique_key`) but for log lines, of which a few may stand twice at a cut.
//!
//! While words wait, the latest progress and the latest checkpoint win, and of log lines only the last
//! [`LOG_BYTES_MAX`] are kept, with a mark of what was left out. Nothing else is ever dropped: a program that says more
//! than [`WORDS_BYTES_MAX`] waits.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::batch::ItemReport;
use crate::domain::job::JobError;
use crate::sessions::calls::Call;
use crate::sessions::ports::LogLine;

/// The most bytes of log lines that wait for one job.
pub const LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// When this much else waits for one job, its program waits too. In bytes.
pub const WORDS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Log lines are joined into frames of about this size, in bytes.
const LOG_FRAME_BYTES_MAX: usize = 256 * 1024;
/// Reports of items are joined up to this size, in bytes.
const ITEMS_BYTES_MAX: usize = 1024 * 1024;
/// How far back a word looks for one that it can be joined with.
const JOIN_DEPTH: usize = 6;
/// What a word takes besides its texts, about, in bytes.
const WORD_BYTES: usize = 64;

/// The words of one run, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: VecDeque<Entry>,
    log_bytes: usize,
    words_bytes: usize,
    left_out: LeftOut,
}

#[derive(Debug)]
struct Entry {
    call: Call,
    bytes: usize,
    /// Sent, and carried out for certain when this ping is answered. None: it waits.
    certain_by: Option<u64>,
}

/// Log lines that were dropped before the oldest that waits.
#[derive(Debug, Default, Clone, Copy)]
struct LeftOut {
    lines: usize,
    bytes: usize,
}

impl Outbox {
    /// Takes a word. `is_cut`: there is no connection, so that log lines beyond the limit are dropped.
    pub fn push(&mut self, call: Call, is_cut: bool) {
        match call {
            Call::Log(lines) => self.push_lines(lines),
            Call::Checkpoint(_) => {
                self.drop_waiting(|call| matches!(call, Call::Checkpoint(_)));
                self.append(call);
            }
            Call::Items(_) | Call::AddItems(_) | Call::Progress(_) => self.join_or_append(call),
            Call::Submit { .. } | Call::Complete(_) | Call::Release | Call::Fail(_) => self.append(call),
        }
        if is_cut {
            self.drop_old_lines();
        }
    }

    /// The next word to send, which counts as sent: certain when ping number `certain_by` is answered.
    pub fn next(&mut self, certain_by: u64) -> Option<Call> {
        let mark = std::mem::take(&mut self.left_out);
        let place = self.entries.iter().position(|entry| entry.certain_by.is_none());
        let entry = place.map(|place| &mut self.entries[place]);
        let Some(entry) = entry else {
            self.left_out = mark;
            return None;
        };
        entry.certain_by = Some(certain_by);
        match &mut entry.call {
            Call::Log(lines) if mark.lines > 0 => lines.insert(0, mark.line()),
            _ => self.left_out = mark,
        }
        Some(entry.call.clone())
    }

    /// Ping number `ping` was answered: forgets what is certain now.
    pub fn answered(&mut self, ping: u64) {
        self.retain(|entry| entry.certain_by.is_none_or(|by| by > ping));
    }

    /// A `submit` was answered: it need not be said again.
    pub fn submitted(&mut self, reference: &str) {
        self.retain(|entry| !matches!(&entry.call, Call::Submit { reference: Some(own), .. } if **own == *reference));
    }

    /// The connection is cut: what is not certain waits again. Gives the `ref`s of the children of which nobody knows
    /// whether the server has taken them, and which must not be submitted twice.
    pub fn cut(&mut self) -> Vec<Arc<str>> {
        let mut doubtful = Vec::new();
        self.retain(|entry| match &entry.call {
            Call::Submit { reference, request } if entry.certain_by.is_some() && !has_unique_key(request.as_str()) => {
                doubtful.extend(reference.clone());
                false
            }
            _ => true,
        });
        self.entries.iter_mut().for_each(|entry| entry.certain_by = None);
        self.drop_old_lines();
        doubtful
    }

    /// Whether the program may say more.
    pub fn has_room(&self, is_cut: bool) -> bool {
        self.words_bytes < WORDS_BYTES_MAX && (is_cut || self.log_bytes < LOG_BYTES_MAX)
    }

    /// Whether all that was said is certain.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets everything: the lease is gone.
    pub fn clear(&mut self) {
        *self = Outbox::default();
    }

    fn push_lines(&mut self, lines: Vec<LogLine>) {
        let mut frame: Vec<LogLine> = Vec::new();
        let mut bytes = 0;
        for line in lines {
            let more = line.text.len() + WORD_BYTES;
            if bytes + more > LOG_FRAME_BYTES_MAX && !frame.is_empty() {
                self.join_or_append(Call::Log(std::mem::take(&mut frame)));
                bytes = 0;
            }
            bytes += more;
            frame.push(line);
        }
        if !frame.is_empty() {
            self.join_or_append(Call::Log(frame));
        }
    }

    fn append(&mut self, call: Call) {
        let bytes = bytes_of(&call);
        let count = if matches!(call, Call::Log(_)) { &mut self.log_bytes } else { &mut self.words_bytes };
        *count += bytes;
        self.entries.push_back(Entry { call, bytes, certain_by: None });
    }

    /// Log lines, items and progress may pass each other, as [`crate::sessions::bursts`] says; nothing else is passed.
    fn join_or_append(&mut self, call: Call) {
        let Some(place) = self.place_to_join(&call) else { return self.append(call) };
        let entry = &mut self.entries[place];
        match (&mut entry.call, call) {
            (Call::Log(earlier), Call::Log(mut later)) => earlier.append(&mut later),
            (Call::Items(earlier), Call::Items(mut later)) => earlier.append(&mut later),
            (Call::AddItems(earlier), Call::AddItems(mut later)) => earlier.append(&mut later),
            (Call::Progress(earlier), Call::Progress(later)) => earlier.merge(later),
            _ => unreachable!("only words of the same sort have a place to join"),
        }
        let (before, after) = (entry.bytes, bytes_of(&entry.call));
        entry.bytes = after;
        let count = if entry.is_waiting_log() { &mut self.log_bytes } else { &mut self.words_bytes };
        *count = *count + after - before;
    }

    fn place_to_join(&self, call: &Call) -> Option<usize> {
        let more = bytes_of(call);
        for (place, entry) in self.entries.iter().enumerate().rev().take(JOIN_DEPTH) {
            if entry.certain_by.is_some() {
                return None;
            }
            match (&entry.call, call) {
                (Call::Progress(_), Call::Progress(_)) => return Some(place),
                (Call::Log(_), Call::Log(_)) => return (entry.bytes + more <= LOG_FRAME_BYTES_MAX).then_some(place),
                (Call::Items(_), Call::Items(_)) | (Call::AddItems(_), Call::AddItems(_)) => {
                    return (entry.bytes + more <= ITEMS_BYTES_MAX).then_some(place);
                }
                (Call::Items(_), Call::AddItems(_)) | (Call::AddItems(_), Call::Items(_)) => return None,
                (Call::Log(_) | Call::Items(_) | Call::AddItems(_) | Call::Progress(_), _) => {}
                (Call::Checkpoint(_) | Call::Submit { .. }, _) => return None,
                (Call::Complete(_) | Call::Release | Call::Fail(_), _) => return None,
            }
        }
        None
    }

    fn drop_waiting(&mut self, is_one: impl Fn(&Call) -> bool) {
        self.retain(|entry| entry.certain_by.is_some() || !is_one(&entry.call));
    }

    /// Drops the oldest lines that wait until the others are within the limit. The last frame stays.
    fn drop_old_lines(&mut self) {
        while self.log_bytes > LOG_BYTES_MAX {
            let mut waiting = self.entries.iter().enumerate().filter(|(_, entry)| entry.is_waiting_log());
            let (Some((place, _)), Some(_)) = (waiting.next(), waiting.next()) else { return };
            let Some(entry) = self.entries.remove(place) else { return };
            self.log_bytes -= entry.bytes;
            if let Call::Log(lines) = &entry.call {
                self.left_out.lines += lines.len();
                self.left_out.bytes += lines.iter().map(|line| line.text.len()).sum::<usize>();
            }
        }
    }

    fn retain(&mut self, mut keeps: impl FnMut(&Entry) -> bool) {
        let (mut log_bytes, mut words_bytes) = (0, 0);
        self.entries.retain(|entry| {
            let stays = keeps(entry);
            if stays {
                let count = if matches!(entry.call, Call::Log(_)) { &mut log_bytes } else { &mut words_bytes };
                *count += entry.bytes;
            }
            stays
        });
        (self.log_bytes, self.words_bytes) = (log_bytes, words_bytes);
    }
}

impl Entry {
    fn is_waiting_log(&self) -> bool {
        self.certain_by.is_none() && matches!(self.call, Call::Log(_))
    }
}

impl LeftOut {
    fn line(self) -> LogLine {
        let LeftOut { lines, bytes } = self;
        LogLine::system(&format!(
            "{lines} lines ({bytes} bytes) are left out here: the connection to the server was cut, and the worker keeps \
             the last {LOG_BYTES_MAX} bytes"
        ))
    }
}

fn has_unique_key(request: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Keyed {
        unique_key: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Keyed>(request).is_ok_and(|request| request.unique_key.is_some())
}

/// How much room a word takes, about.
fn bytes_of(call: &Call) -> usize {
    let json = |json: &Option<crate::domain::json::Json>| json.as_ref().map_or(0, |json| json.as_str().len());
    let error = |error: &JobError| error.message.len() + json(&error.details) + WORD_BYTES;
    let report = |report: &ItemReport| {
        report.key.len() + json(&report.result) + report.error.as_ref().map_or(0, error) + WORD_BYTES
    };
    match call {
        Call::Log(lines) => lines.iter().map(|line| line.text.len() + WORD_BYTES).sum(),
        Call::Items(reports) => reports.iter().map(report).sum(),
        Call::AddItems(frames) => {
            frames.iter().flatten().map(|item| item.key.len() + json(&item.args) + WORD_BYTES).sum()
        }
        Call::Progress(progress) => progress.preview.as_ref().map_or(0, |preview| preview.bytes.len()) + WORD_BYTES,
        Call::Checkpoint(data) => data.as_str().len(),
        Call::Submit { request, .. } => request.as_str().len(),
        Call::Complete(result) => json(result),
        Call::Release => WORD_BYTES,
        Call::Fail(failure) => error(failure),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::batch::{ItemState, NewItem};
    use crate::domain::job::Progress;
    use crate::domain::json::Json;
    use crate::sessions::calls::ProgressCall;

    use super::*;

    fn line(text: &str) -> Call {
        Call::Log(vec![LogLine::system(text)])
    }

    fn percent(percent: f64) -> Call {
        let progress = Progress { percent: Some(percent), ..Progress::default() };
        Call::Progress(ProgressCall { progress, preview: None })
    }

    fn item(key: &str) -> Call {
        Call::Items(vec![ItemReport { key: key.into(), state: ItemState::Completed, result: None, error: None }])
    }

    fn more(key: &str) -> Call {
        Call::AddItems(vec![vec![NewItem { key: key.into(), args: None }]])
    }

    fn checkpoint(at: u64) -> Call {
        Call::Checkpoint(Json::of(&json!(at)))
    }

    fn child(reference: &str, request: serde_json::Value) -> Call {
        Call::Submit { reference: Some(reference.into()), request: Json::of(&request) }
    }

    fn with(calls: impl IntoIterator<Item = Call>) -> Outbox {
        let mut outbox = Outbox::default();
        calls.into_iter().for_each(|call| outbox.push(call, true));
        outbox
    }

    fn all(outbox: &mut Outbox, certain_by: u64) -> Vec<Call> {
        std::iter::from_fn(|| outbox.next(certain_by)).collect()
    }

    fn texts(calls: &[Call]) -> Vec<String> {
        let lines = calls.iter().filter_map(|call| if let Call::Log(lines) = call { Some(lines) } else { None });
        lines.flatten().map(|line| line.text.to_string()).collect()
    }

    #[test]
    fn the_latest_progress_wins_and_lines_and_items_are_joined() {
        let mut outbox = with([percent(1.0), line("a"), item("x"), percent(2.0), line("b"), item("y"), percent(3.0)]);
        let calls = all(&mut outbox, 1);
        assert_eq!(calls.len(), 3, "{calls:?}");
        assert_eq!((&calls[0], texts(&calls)), (&percent(3.0), vec!["a".to_owned(), "b".to_owned()]));
        let Call::Items(reports) = &calls[2] else { panic!() };
        assert_eq!(reports.len(), 2);
    }

    #[test]
    fn the_latest_checkpoint_wins_and_comes_after_what_it_covers() {
        let mut outbox = with([checkpoint(1), item("a"), checkpoint(2), item("b"), checkpoint(3)]);
        assert_eq!(all(&mut outbox, 1).last(), Some(&checkpoint(3)));
        let mut outbox = with([item("a"), checkpoint(1), item("b")]);
        assert_eq!(all(&mut outbox, 1), [item("a"), checkpoint(1), item("b")], "nothing passes a checkpoint");
    }

    #[test]
    fn items_are_added_before_they_are_reported() {
        let mut outbox = with([more("a"), item("a"), more("b"), item("b")]);
        let calls = all(&mut outbox, 1);
        assert_eq!(calls, [more("a"), item("a"), more("b"), item("b")]);
    }

    #[test]
    fn a_word_stays_until_it_is_certain_and_is_said_again_after_a_cut() {
        let mut outbox = with([item("a"), Call::Complete(None)]);
        assert_eq!(all(&mut outbox, 4).len(), 2);
        assert!(!outbox.is_empty());
        outbox.answered(3);
        assert!(outbox.cut().is_empty());
        assert_eq!(all(&mut outbox, 9), [item("a"), Call::Complete(None)]);
        outbox.answered(9);
        assert!(outbox.is_empty() && outbox.cut().is_empty());
    }

    #[test]
    fn of_log_lines_the_last_are_kept_with_a_mark_of_what_was_left_out() {
        let text = "x".repeat(64 * 1024);
        let lines = (0..200).map(|number| line(&format!("{number:03}{}", &text[3..])));
        let mut outbox = with(lines.chain([Call::Fail(crate::workers::run::error("e", "m".into()))]));
        assert!(outbox.log_bytes <= LOG_BYTES_MAX);
        let calls = all(&mut outbox, 1);
        let kept = texts(&calls);
        assert!(kept[0].contains("lines (") && kept[0].contains("are left out here"), "{}", kept[0]);
        assert!(kept.last().is_some_and(|last| last.starts_with("199")));
        assert!(kept[0].starts_with(&format!("{} lines", 200 - (kept.len() - 1))), "{}", kept[0]);
        assert!(matches!(calls.last(), Some(Call::Fail(_))), "the end is never dropped");
        outbox.cut();
        assert_eq!(texts(&all(&mut outbox, 2))[0], kept[0], "the mark is said again with its lines");
    }

    #[test]
    fn with_a_connection_nothing_is_dropped_and_the_program_waits() {
        let text = "x".repeat(64 * 1024);
        let mut outbox = Outbox::default();
        (0..200).for_each(|_| outbox.push(line(&text), false));
        assert!(!outbox.has_room(false) && outbox.has_room(true));
        assert_eq!(texts(&all(&mut outbox, 1)).len(), 200);
        outbox.answered(1);
        assert!(outbox.has_room(false));
        let result = Json::of(&json!("x".repeat(1024 * 1024)));
        for number in 0..40 {
            let report = ItemReport {
                key: number.to_string().into(),
                state: ItemState::Completed,
                result: Some(result.clone()),
                error: None,
            };
            outbox.push(Call::Items(vec![report]), true);
        }
        assert!(!outbox.has_room(true), "items are not dropped, connection or not");
        assert_eq!(all(&mut outbox, 1).len(), 40);
    }

    #[test]
    fn a_child_is_submitted_again_only_if_that_makes_no_second_one() {
        let keyed = child("1", json!({"kind": "page", "args": {}, "unique_key": "u"}));
        let plain = child("2", json!({"kind": "page", "args": {}}));
        let mut outbox = with([keyed.clone(), plain.clone()]);
        assert_eq!(outbox.cut(), [] as [Arc<str>; 0], "what was never sent is in no doubt");
        assert_eq!(all(&mut outbox, 1), [keyed.clone(), plain]);
        assert_eq!(outbox.cut(), ["2".into()]);
        assert_eq!(all(&mut outbox, 2), [keyed]);
        outbox.submitted("1");
        assert!(outbox.is_empty());
    }
}
