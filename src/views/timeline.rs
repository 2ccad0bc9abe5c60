//! How much happened when: events by type in cells of equal length, from the first that is kept to the last. A cell more
//! for each stretch of time in which something happened, up to a named number; then pairs of them become one, and all are
//! twice as long. So it has one size whatever happens, and an event costs an addition. Knows nothing of jobs.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::event::Event;
use crate::domain::id::Seq;
use crate::domain::time::Timestamp;

/// The most cells.
pub const CELLS_MAX: usize = 4096;
/// The most buckets of an answer.
pub const BUCKETS_MAX: usize = 1000;
/// The length of a cell at first.
const WIDTH_MS_MIN: i64 = 1000;

/// What happened, and when.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// The length of a cell: a second, doubled as often as it had to be. Cells begin at its multiples.
    width_ms: i64,
    /// Those in which something happened, in order.
    cells: VecDeque<Cell>,
}

/// The events of a stretch of time. At least one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    /// When it begins, in cells since 1970.
    number: i64,
    first: (Seq, Timestamp),
    last: (Seq, Timestamp),
    /// By the place of the type's name among all names.
    counts: Vec<(u8, u32)>,
}

/// The events of a part of the whole.
#[derive(Debug, Clone, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct Bucket {
    /// When it begins.
    pub from: Timestamp,
    /// The number of its first event; `null` if nothing happened.
    pub first_seq: Option<Seq>,
    /// The number of its last event; `null` if nothing happened.
    pub last_seq: Option<Seq>,
    /// When its first event happened; `null` if nothing did.
    pub first_at: Option<Timestamp>,
    /// When its last event happened; `null` if nothing did.
    pub last_at: Option<Timestamp>,
    /// How many events there are of each type, those that there are none of left out.
    pub counts: BTreeMap<&'static str, u64>,
}

/// All that happened, in so many parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    pub width_ms: i64,
    /// In order, without a hole between them.
    pub buckets: Vec<Bucket>,
}

impl Default for Timeline {
    fn default() -> Timeline {
        Timeline { width_ms: WIDTH_MS_MIN, cells: VecDeque::new() }
    }
}

impl Timeline {
    /// Takes the next event in. Events come in order.
    pub fn note(&mut self, seq: Seq, at: Timestamp, event: &Event) {
        let number = at.as_ms().div_euclid(self.width_ms);
        let event_type = type_of(event);
        match self.cells.back_mut().filter(|cell| cell.number >= number) {
            Some(cell) => {
                cell.last = (seq, at);
                cell.count(event_type, 1);
            }
            None => {
                let counts = vec![(event_type, 1)];
                self.cells.push_back(Cell { number, first: (seq, at), last: (seq, at), counts });
                self.shrink();
            }
        }
    }

    /// Puts what happened before in front: everything in `earlier` is older than all that is here.
    pub fn put_before(&mut self, mut earlier: Timeline) {
        while earlier.width_ms < self.width_ms {
            earlier.double();
        }
        while self.width_ms < earlier.width_ms {
            self.double();
        }
        for cell in std::mem::take(&mut self.cells) {
            earlier.push(cell);
        }
        self.cells = earlier.cells;
        self.shrink();
    }

    /// Forgets what is no longer in the log: events before `earliest`. Of a stretch that has some of them and some later
    /// ones nobody knows any more how many of which type are left: it goes as a whole, and its last event is given. What
    /// is in the log up to that one has to be counted again, and put before what is here.
    #[must_use]
    pub fn forget_before(&mut self, earliest: Seq) -> Option<Seq> {
        while self.cells.front().is_some_and(|cell| cell.first.0 < earliest) {
            let last = self.cells.pop_front()?.last.0;
            if last >= earliest {
                return Some(last);
            }
        }
        None
    }

    /// The whole in at most `count` equal parts: fewer if the cells are longer than that.
    pub fn histogram(&self, count: usize) -> Histogram {
        let (Some(first), Some(last)) = (self.cells.front(), self.cells.back()) else {
            return Histogram { width_ms: self.width_ms, buckets: Vec::new() };
        };
        let cells = last.number - first.number + 1;
        let a_bucket = cells.div_euclid(count as i64) + i64::from(cells.rem_euclid(count as i64) > 0);
        let width_ms = a_bucket * self.width_ms;
        let buckets = (cells + a_bucket - 1) / a_bucket;
        let from = |place: i64| Timestamp::from_ms((first.number + place * a_bucket) * self.width_ms);
        let mut buckets: Vec<Bucket> = (0..buckets).map(|place| Bucket::empty(from(place))).collect();
        for cell in &self.cells {
            buckets[((cell.number - first.number) / a_bucket) as usize].add(cell);
        }
        Histogram { width_ms, buckets }
    }

    fn push(&mut self, cell: Cell) {
        match self.cells.back_mut().filter(|last| last.number >= cell.number) {
            Some(last) => last.join(cell),
            None => self.cells.push_back(cell),
        }
    }

    fn shrink(&mut self) {
        while self.cells.len() > CELLS_MAX {
            self.double();
        }
    }

    fn double(&mut self) {
        self.width_ms *= 2;
        for mut cell in std::mem::take(&mut self.cells) {
            cell.number = cell.number.div_euclid(2);
            self.push(cell);
        }
    }
}

impl Cell {
    fn count(&mut self, event_type: u8, more: u32) {
        match self.counts.iter_mut().find(|(known, _)| *known == event_type) {
            Some((_, count)) => *count = count.saturating_add(more),
            None => self.counts.push((event_type, more)),
        }
    }

    fn join(&mut self, later: Cell) {
        self.last = later.last;
        later.counts.into_iter().for_each(|(event_type, count)| self.count(event_type, count));
    }
}

impl Bucket {
    fn empty(from: Timestamp) -> Bucket {
        Bucket { from, first_seq: None, last_seq: None, first_at: None, last_at: None, counts: BTreeMap::new() }
    }

    fn add(&mut self, cell: &Cell) {
        self.first_seq.get_or_insert(cell.first.0);
        self.first_at.get_or_insert(cell.first.1);
        (self.last_seq, self.last_at) = (Some(cell.last.0), Some(cell.last.1));
        for &(event_type, count) in &cell.counts {
            *self.counts.entry(Event::TYPE_NAMES[usize::from(event_type)]).or_default() += u64::from(count);
        }
    }
}

/// The place of an event's type among all types.
fn type_of(event: &Event) -> u8 {
    let name = event.type_name();
    let place = Event::TYPE_NAMES.iter().position(|known| std::ptr::eq(*known, name) || *known == name);
    u8::try_from(place.expect("the name of an event's type is among all names")).expect("there are few types")
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::domain::event::{QueuePaused, QueueResumed};

    fn paused() -> Event {
        QueuePaused { queue: "q".parse().expect("a good name") }.into()
    }

    fn resumed() -> Event {
        QueueResumed { queue: "q".parse().expect("a good name") }.into()
    }

    /// One event for each of these moments, numbered from `first`.
    fn timeline(first: u64, moments_ms: impl IntoIterator<Item = i64>) -> Timeline {
        let mut timeline = Timeline::default();
        for (seq, at_ms) in (first..).zip(moments_ms) {
            timeline.note(Seq(seq), Timestamp::from_ms(at_ms), &paused());
        }
        timeline
    }

    fn counts(histogram: &Histogram) -> Vec<u64> {
        histogram.buckets.iter().map(|bucket| bucket.counts.values().sum()).collect()
    }

    #[test]
    fn events_are_counted_by_type_in_parts_of_equal_length_also_where_nothing_happened() {
        let mut timeline = timeline(1, [10_000, 10_999, 11_000]);
        timeline.note(Seq(4), Timestamp::from_ms(13_500), &resumed());
        let histogram = timeline.histogram(400);
        assert_eq!((histogram.width_ms, counts(&histogram)), (1000, vec![2, 1, 0, 1]));
        let first = &histogram.buckets[0];
        assert_eq!(
            (first.from, first.first_seq, first.last_seq),
            (Timestamp::from_ms(10_000), Some(Seq(1)), Some(Seq(2)))
        );
        assert_eq!(first.last_at, Some(Timestamp::from_ms(10_999)));
        assert_eq!(first.counts, BTreeMap::from([("queue.paused", 2)]));
        assert_eq!(histogram.buckets[2], Bucket::empty(Timestamp::from_ms(12_000)));
        assert_eq!(histogram.buckets[3].counts, BTreeMap::from([("queue.resumed", 1)]));
    }

    #[test]
    fn there_are_never_more_parts_than_were_asked_for() {
        let timeline = timeline(1, (0..100).map(|second| second * 1000));
        for count in [1, 2, 3, 7, 33, 99, 100, 101] {
            let histogram = timeline.histogram(count);
            assert!(histogram.buckets.len() <= count, "{count}: {}", histogram.buckets.len());
            assert_eq!(counts(&histogram).iter().sum::<u64>(), 100);
        }
        assert_eq!(timeline.histogram(1).buckets[0].last_seq, Some(Seq(100)));
    }

    #[test]
    fn however_long_it_goes_on_it_has_no_more_cells_and_forgets_no_event() {
        let count = 5 * CELLS_MAX as i64;
        let timeline = timeline(1, (0..count).map(|second| second * 1000));
        assert!(timeline.cells.len() <= CELLS_MAX && timeline.width_ms == 8000, "{}", timeline.width_ms);
        assert_eq!(counts(&timeline.histogram(BUCKETS_MAX)).iter().sum::<u64>(), count as u64);
    }

    #[test]
    fn a_long_silence_costs_nothing() {
        let year_ms = 365 * 86_400_000;
        let timeline = timeline(1, [0, year_ms]);
        assert_eq!((timeline.cells.len(), timeline.width_ms), (2, 1000));
        assert_eq!(counts(&timeline.histogram(2)), [1, 1]);
    }

    #[test]
    fn what_happened_before_goes_in_front_whichever_has_the_longer_cells() {
        let long = 5 * CELLS_MAX as i64;
        for (earlier, later) in [(long, 10), (10, long), (10, 10)] {
            let moment = |event: i64| event * 1000;
            let mut joined = timeline(1 + earlier as u64, (earlier..earlier + later).map(moment));
            joined.put_before(timeline(1, (0..earlier).map(moment)));
            let whole = timeline(1, (0..earlier + later).map(moment));
            assert_eq!((joined.width_ms, &joined.cells), (whole.width_ms, &whole.cells));
        }
    }

    #[test]
    fn what_is_no_longer_in_the_log_is_forgotten() {
        let mut timeline = timeline(1, [0, 1000, 1500, 2000]);
        assert_eq!(timeline.forget_before(Seq(2)), None);
        assert_eq!(timeline.histogram(9).buckets[0].first_seq, Some(Seq(2)));
        assert_eq!(timeline.forget_before(Seq(9)), None);
        assert!(timeline.histogram(9).buckets.is_empty());
    }

    #[test]
    fn a_stretch_that_is_cut_through_is_counted_again_and_loses_nothing_that_happens_in_it_meanwhile() {
        let mut cut = timeline(1, [0, 1000, 1500, 1600]);
        assert_eq!(cut.forget_before(Seq(3)), Some(Seq(4)));
        // The same second goes on, and then come so many that cells get longer.
        let later: Vec<i64> = [1700].into_iter().chain((2..2 * CELLS_MAX as i64).map(|second| second * 1000)).collect();
        for (seq, &at_ms) in (5..).zip(&later) {
            cut.note(Seq(seq), Timestamp::from_ms(at_ms), &paused());
        }
        cut.put_before(timeline(3, [1500, 1600]));
        let kept = timeline(3, [1500, 1600].into_iter().chain(later));
        assert_eq!((cut.width_ms, &cut.cells), (kept.width_ms, &kept.cells));
        let first = &cut.histogram(1).buckets[0];
        assert_eq!((first.first_seq, first.first_at), (Some(Seq(3)), Some(Timestamp::from_ms(1500))));
    }

    #[test]
    fn a_clock_that_stood_still_makes_no_second_cell() {
        assert_eq!(timeline(1, [5000, 5000, 5000]).cells.len(), 1);
    }
}
