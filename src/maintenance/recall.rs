//! Reads the log once after a start, for what the views keep of its whole length: how much happened when, and how long it
//! took. Beside the writer and in no hurry; what is not there yet is said to be missing. Writes nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::id::Seq;
use crate::log::{LogReader, ReadError};
use crate::views::Views;
use crate::views::history::Earlier;

/// Reads what happened before the server started, and gives it to the views. Ends early when it is told to stop.
///
/// # Errors
/// The log could not be read; the views say that something is missing.
pub fn recall(log: &dyn LogReader, views: &Views, is_stopped: &AtomicBool) -> Result<(), ReadError> {
    let Some(until) = views.history_missing_until() else { return Ok(()) };
    let mut earlier = Earlier::default();
    let mut read = Seq(log.earliest().0 - 1);
    while read < until && !is_stopped.load(Ordering::Relaxed) {
        match log.page_after(read) {
            Ok(records) => {
                for record in records.iter().filter(|record| record.seq <= until) {
                    earlier.tell(record);
                }
                read = records.last().expect("what is durable can be read").seq;
            }
            // It was dropped from the log meanwhile, and is no part of what is asked for.
            Err(ReadError::Trimmed { earliest, .. }) => read = Seq(earliest.0 - 1),
            Err(error) => return Err(error),
        }
    }
    if read >= until {
        views.recall(earlier);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
