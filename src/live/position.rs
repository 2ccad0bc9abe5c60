//! Where a subscriber stands, judged against what the log knows: it goes on from there, or is told why it cannot. Pure:
//! reads no log and no clock.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::id::{Epoch, Seq};
use crate::domain::state::EpochSpan;

/// The last event that a subscriber has seen, and the run of the server that told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The run of the server.
    pub epoch: Epoch,
    /// The number of the event; 0: none yet.
    pub seq: Seq,
}

/// Why a subscriber cannot go on from its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// The log does not know this run: it was reset or restored since.
    UnknownEpoch,
    /// Events after the position are no longer in the log.
    Trimmed,
    /// That run never made an event with this number durable.
    Ahead,
    /// So much has happened since that a fresh look is cheaper.
    TooFar,
}

impl Lost {
    /// The word as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Lost::UnknownEpoch => "unknown_epoch",
            Lost::Trimmed => "trimmed",
            Lost::Ahead => "ahead",
            Lost::TooFar => "too_far",
        }
    }
}

/// The runs of the server that the log knows.
#[derive(Debug, Clone)]
pub struct Epochs {
    /// Those before, each with the last seq that it made durable.
    past: Vec<(Epoch, Seq)>,
    current: Epoch,
}

/// What the log can give at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub earliest: Seq,
    pub head: Seq,
}

impl Epochs {
    /// The runs of a state that ends at `last`, and the one that begins after it.
    pub fn new(past: &[EpochSpan], last: Seq, current: Epoch) -> Epochs {
        let ended = past.iter().map(|span| (span.epoch, span.last.unwrap_or(last)));
        Epochs { past: ended.collect(), current }
    }

    /// This run of the server.
    pub fn current(&self) -> Epoch {
        self.current
    }

    /// The seq after which a subscriber goes on.
    ///
    /// # Errors
    /// Why it cannot: then what it holds is worth nothing.
    pub fn judge(&self, position: Position, extent: Extent, behind_max: u64) -> Result<Seq, Lost> {
        let seq = self.knows(position, extent.head)?;
        if seq.next() < extent.earliest {
            return Err(Lost::Trimmed);
        }
        let is_too_far = extent.head.0 - seq.0 > behind_max;
        if is_too_far { Err(Lost::TooFar) } else { Ok(seq) }
    }

    /// Whether a subscriber was told of this very log: enough for what has numbers of its own, as lines have.
    ///
    /// # Errors
    /// The log does not know the run, or the run never came so far.
    pub fn knows(&self, position: Position, head: Seq) -> Result<Seq, Lost> {
        let Position { epoch, seq } = position;
        let past = self.past.iter().find(|(known, _)| *known == epoch).map(|&(_, last)| last);
        let last = past.or((epoch == self.current).then_some(head)).ok_or(Lost::UnknownEpoch)?;
        if seq > last { Err(Lost::Ahead) } else { Ok(seq) }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::time::Timestamp;

    use super::*;

    fn epoch(number: u128) -> Epoch {
        Epoch(uuid::Uuid::from_u128(number))
    }

    /// Two runs before: up to 10, and up to 20. The third began at 21.
    fn epochs() -> Epochs {
        let span = |number, first, last| EpochSpan {
            epoch: epoch(number),
            first: Seq(first),
            last,
            started_at: Timestamp::from_ms(0),
        };
        Epochs::new(&[span(1, 1, Some(Seq(10))), span(2, 11, None)], Seq(20), epoch(3))
    }

    #[track_caller]
    fn judged(of: u128, seq: u64, expected: Result<u64, Lost>) {
        let extent = Extent { earliest: Seq(5), head: Seq(40) };
        let position = Position { epoch: epoch(of), seq: Seq(seq) };
        assert_eq!(epochs().judge(position, extent, 33), expected.map(Seq), "{of}:{seq}");
    }

    #[test]
    fn a_position_of_this_run_or_of_one_that_the_log_knows_goes_on() {
        judged(3, 40, Ok(40));
        judged(3, 21, Ok(21));
        judged(1, 10, Ok(10));
        judged(2, 20, Ok(20));
    }

    #[test]
    fn a_client_that_saw_nothing_of_a_new_run_keeps_the_seq_of_the_one_before() {
        judged(3, 9, Ok(9));
        judged(2, 10, Ok(10));
    }

    #[test]
    fn what_a_run_never_made_durable_is_ahead_of_it() {
        judged(3, 41, Err(Lost::Ahead));
        judged(1, 11, Err(Lost::Ahead));
        judged(2, 21, Err(Lost::Ahead));
    }

    #[test]
    fn a_log_is_known_however_far_back_the_position_is() {
        let known = |of, seq| epochs().knows(Position { epoch: epoch(of), seq: Seq(seq) }, Seq(40));
        assert_eq!((known(1, 0), known(1, 10), known(3, 40)), (Ok(Seq(0)), Ok(Seq(10)), Ok(Seq(40))));
        assert_eq!(
            (known(1, 11), known(3, 41), known(4, 1)),
            (Err(Lost::Ahead), Err(Lost::Ahead), Err(Lost::UnknownEpoch))
        );
    }

    #[test]
    fn an_unknown_run_what_was_trimmed_and_what_is_far_behind_are_lost() {
        judged(4, 40, Err(Lost::UnknownEpoch));
        judged(1, 3, Err(Lost::Trimmed));
        judged(1, 4, Err(Lost::TooFar));
        judged(1, 7, Ok(7));
        judged(1, 6, Err(Lost::TooFar));
    }
}
