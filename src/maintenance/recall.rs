//! Reads the log for what the views keep of its whole length, how much happened when and how long it took: all of it after a
//! start, and after events were dropped what is left of the stretch that they belonged to. Beside the writer and in no
//! hurry; what is not there yet is said to be missing. Writes nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::id::Seq;
use crate::log::{LogReader, ReadError};
use crate::views::Views;
use crate::views::history::Earlier;

/// Reads what is missing, and gives it to the views, until nothing is. Ends early when it is told to stop.
///
/// # Errors
/// The log could not be read; the views say that something is missing.
pub fn recall(log: &dyn LogReader, views: &Views, is_stopped: &AtomicBool) -> Result<(), ReadError> {
    while let Some(until) = views.history_missing_until() {
        let Some(earlier) = read_until(log, until, is_stopped)? else { return Ok(()) };
        views.recall(until, earlier);
    }
    Ok(())
}

/// What the log has up to an event; none if it was told to stop.
fn read_until(log: &dyn LogReader, until: Seq, is_stopped: &AtomicBool) -> Result<Option<Earlier>, ReadError> {
    let mut earlier = Earlier::default();
    let mut read = Seq(log.earliest().0 - 1);
    while read < until {
        if is_stopped.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match log.page_after(read) {
            Ok(records) => {
                for record in records.iter().filter(|record| record.seq <= until) {
                    earlier.tell(record);
                }
                read = records.last().expect("what is durable can be read").seq;
            }
            // What was read was dropped from the log meanwhile, with more, and is no part of what is asked for.
            Err(ReadError::Trimmed { earliest, .. }) => {
                earlier = Earlier::default();
                read = Seq(earliest.0 - 1);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(earlier))
}

#[cfg(test)]
mod tests;
