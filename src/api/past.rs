//! `at`: what a read would have answered after an event of the past. Checks the moment and hands it on; it bounds how many
//! past states are worked on at once, and knows nothing about jobs.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::query::{Parameter, Query, invalid};
use crate::domain::id::Seq;
use crate::engine::past::rows::{LookBackError, PastViews};
use crate::engine::past::{PastError, PastStates};
use crate::log::ReadError;

/// How many who look back are answered at once; others wait for their turn.
const AT_ONCE_MAX: usize = 2;

/// The moment of a read.
pub const AT: Parameter = Parameter::integer(
    "at",
    "As it was right after the event with this number: any that the log still has, the one before the earliest, or 0 \
     for the empty beginning. The answer's `seq` is this number.",
);

/// The past, for those who ask for it.
pub struct Pasts {
    states: Arc<PastStates>,
    turns: Arc<Semaphore>,
}

impl Pasts {
    /// The past that these states tell of.
    pub fn new(states: PastStates) -> Pasts {
        Pasts { states: Arc::new(states), turns: Arc::new(Semaphore::new(AT_ONCE_MAX)) }
    }
}

/// The moment that a query asks for; none: the present.
///
/// # Errors
/// `invalid_query` when it is no number or has not happened.
pub fn at(ctx: &ApiContext, query: &Query) -> Result<Option<Seq>, ApiError> {
    let Some(at) = query.integer("at", 0..=u64::MAX)?.map(Seq) else { return Ok(None) };
    let last = ctx.seq();
    if at > last {
        return Err(invalid("at", format!("is later than the last event, {last}")));
    }
    Ok(Some(at))
}

/// The scope of a list's cursors, which lead on in the same moment only.
pub fn scope(scope: String, at: Option<Seq>) -> String {
    match at {
        Some(at) => format!("{scope} at {at}"),
        None => scope,
    }
}

/// Answers from the past, where that holds nobody up.
pub async fn looking_back<T: Send + 'static>(
    ctx: &Arc<ApiContext>,
    at: Seq,
    work: impl FnOnce(&PastViews) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let turn = ctx.pasts.turns.clone().acquire_owned().await.expect("nobody closes it");
    ctx.blocking(move |ctx| {
        // Whoever hangs up is worked for to the end, and has his turn until then.
        let _turn = turn;
        work(&PastViews::at(&ctx.pasts.states, ctx.handle.views(), at)?)
    })
    .await
}

impl From<PastError> for ApiError {
    fn from(error: PastError) -> ApiError {
        match error {
            PastError::Read(ReadError::Trimmed { seq, earliest }) => {
                let first = earliest.0.saturating_sub(1);
                let said = format!("event {seq} is no longer in the log; ask for at={first} or later");
                ApiError::new("position_lost", said)
            }
            PastError::Read(ReadError::PastHead { last, .. }) => {
                invalid("at", format!("is later than the last event, {last}"))
            }
            PastError::Read(error) => error.into(),
        }
    }
}

impl From<LookBackError> for ApiError {
    fn from(error: LookBackError) -> ApiError {
        match error {
            LookBackError::Past(error) => error.into(),
            LookBackError::Views(error) => error.into(),
        }
    }
}
