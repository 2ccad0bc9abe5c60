//! Whoever copies the oldest events of a log holds them: nothing is dropped while they are read. A hold lasts a while after
//! the last reading, or until somebody says that all is copied, and has an end: who only asks again and again cannot keep a log
//! from ever being dropped.

use parking_lot::Mutex;

use crate::domain::time::{Millis, Timestamp};

/// How long a hold lasts after it was renewed: longer than a slow line needs for a part of the log.
pub const QUIET_MAX: Millis = Millis::from_secs(120);
/// How long the oldest events are held at most before what is due is dropped once.
pub const HELD_MAX: Millis = Millis::from_secs(3600);

/// What all who copy share.
#[derive(Debug, Default)]
pub struct Hold(Mutex<Option<Span>>);

/// From when on it is held, and when that was renewed last.
#[derive(Debug, Clone, Copy)]
struct Span {
    since: Timestamp,
    renewed: Timestamp,
}

impl Hold {
    /// Somebody reads what is to be copied.
    pub fn renew(&self, now: Timestamp) {
        let mut span = self.0.lock();
        let since = span.filter(|span| lasts(*span, now)).map_or(now, |span| span.since);
        *span = Some(Span { since, renewed: now });
    }

    /// All is copied. Whoever else still copies holds it again with what is read next.
    pub fn end(&self) {
        *self.0.lock() = None;
    }

    /// Whether what is due has to wait. Asked by who drops: when it was held for too long, the answer is no, and it is held
    /// anew from then on.
    pub fn is_held(&self, now: Timestamp) -> bool {
        let mut span = self.0.lock();
        match *span {
            Some(held) if lasts(held, now) => {
                let is_enough = now.since(held.since) >= HELD_MAX;
                *span = Some(Span { since: if is_enough { now } else { held.since }, ..held });
                !is_enough
            }
            _ => {
                *span = None;
                false
            }
        }
    }
}

/// A clock that was set back ends a hold: nobody knows then how long ago it was renewed.
fn lasts(span: Span, now: Timestamp) -> bool {
    span.renewed <= now && now.since(span.renewed) < QUIET_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_ms(1_000_000).plus(Millis::from_secs(secs))
    }

    #[test]
    fn what_is_read_is_held_until_some_time_after() {
        let hold = Hold::default();
        assert!(!hold.is_held(at(0)));
        hold.renew(at(0));
        assert!(hold.is_held(at(119)));
        hold.renew(at(119));
        assert!(hold.is_held(at(238)) && !hold.is_held(at(239)));
        hold.renew(at(500));
        assert!(!hold.is_held(at(499)), "the clock was set back");
    }

    #[test]
    fn what_is_copied_is_held_no_more_and_the_next_hold_begins_anew() {
        let hold = Hold::default();
        hold.renew(at(0));
        hold.end();
        assert!(!hold.is_held(at(1)));
        hold.renew(at(3000));
        hold.end();
        hold.renew(at(3100));
        hold.renew(at(3200));
        assert!(hold.is_held(at(3300)), "what was held before does not count");
    }

    #[test]
    fn who_asks_for_ever_holds_nothing_for_ever() {
        let hold = Hold::default();
        let mut dropped = Vec::new();
        for minute in 0..150 {
            hold.renew(at(minute * 60));
            if !hold.is_held(at(minute * 60)) {
                dropped.push(minute);
            }
        }
        assert_eq!(dropped, [60, 120]);
    }
}
