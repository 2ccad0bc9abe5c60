//! Pages: their length, and those of lists that are small enough to be made whole (queues, workers, kinds).

use crate::api::cursor;
use crate::api::error::ApiError;
use crate::api::query::{Parameter, Query};
use crate::views::query::LIMIT_MAX;

/// How many elements a page has.
pub const LIMIT: Parameter =
    Parameter::integer("limit", "Elements of a page.").within(1, LIMIT_MAX as u64).or(LIMIT_MAX as u64);
/// Where a page begins.
pub const CURSOR: Parameter = Parameter::text("cursor", "The next_cursor of the page before.");

/// One page.
pub struct Page<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
}

/// How many elements are asked for: 1 to [`LIMIT_MAX`], and as many unless told.
pub fn limit(query: &Query) -> Result<usize, ApiError> {
    Ok(query.integer("limit", 1..=LIMIT_MAX as u64)?.map_or(LIMIT_MAX, |limit| limit as usize))
}

/// Cuts the page that a query asks for out of a whole list.
pub fn cut<T>(query: &Query, scope: &str, rows: Vec<T>) -> Result<Page<T>, ApiError> {
    let limit = limit(query)?;
    let from = cursor::read(query, scope)?.unwrap_or(0) as usize;
    let end = from.saturating_add(limit);
    let next = (rows.len() > end).then(|| cursor::write(scope, end as u128));
    Ok(Page { rows: rows.into_iter().skip(from).take(limit).collect(), next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_a_list_are_the_list() {
        let mut seen: Vec<u32> = Vec::new();
        let mut text = "limit=3".to_owned();
        loop {
            let query = Query::parse(&text, &[LIMIT, CURSOR]).expect("known");
            let page = cut(&query, "numbers", (0..8).collect()).expect("fits");
            seen.extend(page.rows);
            let Some(next) = page.next else { break };
            text = format!("limit=3&cursor={next}");
        }
        assert_eq!(seen, (0..8).collect::<Vec<u32>>());
    }
}
