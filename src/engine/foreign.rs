//! Folds events that this process did not decide: from a file, from another server, from a disk. One that cannot have
//! happened behind those before it is an error here. Must never fold what was decided in this process: there it is a bug
//! of ours, and we stop.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use crate::domain::event::Record;
use crate::domain::evolve::evolve;
use crate::domain::job::Job;
use crate::domain::state::State;
use crate::log::ReadError;

/// What to do about an event in the log itself that cannot have happened.
const NEXT_STEP: &str = "bring back a backup with `daybook restore`";

/// Why an event cannot have happened: what would be broken with it. The state is not to be used any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it cannot have happened behind the events before it: {0}")]
pub struct Misfit(String);

/// Applies a record, as [`evolve`] does.
pub fn fold(state: &mut State, record: &Record) -> Result<Option<Arc<Job>>, Misfit> {
    guarded(|| evolve(state, record))
}

/// The same, of a log that lies on this disk.
pub fn fold_own(state: &mut State, record: &Record) -> Result<Option<Arc<Job>>, ReadError> {
    fold(state, record).map_err(|misfit| damaged(record, &misfit))
}

/// That a log on this disk has an event that cannot have happened.
pub fn damaged(record: &Record, misfit: &Misfit) -> ReadError {
    let place = format!("event {}, {}", record.seq, record.event.type_name());
    ReadError::Damaged { place, detail: format!("{misfit}; {NEXT_STEP}") }
}

/// Makes something of what somebody else wrote; an invariant that it breaks is an error.
pub fn guarded<T>(make: impl FnOnce() -> T) -> Result<T, Misfit> {
    hush();
    let was_inside = IS_INSIDE.replace(true);
    let made = catch_unwind(AssertUnwindSafe(make));
    IS_INSIDE.set(was_inside);
    made.map_err(|panic| Misfit(invariant_of(&*panic)))
}

thread_local! {
    /// Whether a panic of this thread is about to become an error.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// What becomes an error is told as one, and not on stderr too.
fn hush() {
    static HUSHED: Once = Once::new();
    HUSHED.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_INSIDE.get() {
                loud(panic);
            }
        }));
    });
}

/// The invariant that a panic names, without the words around it.
fn invariant_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let first = text.and_then(|text| text.lines().next()).unwrap_or("an invariant is broken");
    let around = ["internal error: entered unreachable code: ", "assertion `left == right` failed: "];
    around.iter().find_map(|words| first.strip_prefix(words)).unwrap_or(first).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::codec::samples;

    #[test]
    fn an_event_that_cannot_have_happened_is_an_error_that_names_the_invariant() {
        for record in samples::one_of_each() {
            let said = fold(&mut State::default(), &Record { seq: crate::domain::id::Seq(9), ..record.clone() });
            assert_eq!(said.expect_err("event 9 is not the first").0, "the log is dense (L2)");
            let first = Record { seq: crate::domain::id::Seq(1), ..record };
            if let Err(ReadError::Damaged { place, detail }) = fold_own(&mut State::default(), &first) {
                assert!(place.starts_with("event 1, ") && detail.contains("behind the events before it"), "{detail}");
                assert!(!detail.contains("unreachable") && detail.ends_with(NEXT_STEP), "{detail}");
            }
        }
        assert_eq!(guarded(|| 7), Ok(7));
    }
}
