//! Which jobs are meant: the same filter in a query and in JSON.

use serde_json::value::RawValue;

use crate::api::error::ApiError;
use crate::api::query::{Parameter, Query, invalid};
use crate::domain::id::{JobId, KindName, QueueName};
use crate::domain::limits::NAME_BYTES_MAX;
use crate::kinds::fields::Fields;
use crate::kinds::problem::Problems;
use crate::kinds::request::TAG_BYTES_MAX;
use crate::kinds::states::{OneOrMore, STATES, join, parse_states, read_states};
use crate::views::query::JobFilter;

/// The most bytes of a search text.
const SEARCH_BYTES_MAX: usize = 1024;
/// The parameters of a filter.
pub const STATE: Parameter =
    Parameter::text("state", "A state, or `active` for all that are not terminal. May be repeated.")
        .one_of(STATES)
        .repeated();
pub const KIND: Parameter = Parameter::text("kind", "Jobs of this kind.").at_most(NAME_BYTES_MAX);
pub const QUEUE: Parameter = Parameter::text("queue", "Jobs in this queue.").at_most(NAME_BYTES_MAX);
pub const TAG: Parameter = Parameter::text("tag", "Jobs with this tag.").at_most(TAG_BYTES_MAX);
pub const PARENT_ID: Parameter = Parameter::text("parent_id", "Children of this job.").like("uuid");
pub const SEARCH: Parameter =
    Parameter::text("q", "A text in id, kind, tags, error or the first 4 KiB of the args; case does not matter.")
        .at_most(SEARCH_BYTES_MAX);

/// Which jobs are meant: those that fit all that is said. Without a word of it, all.
#[derive(Debug, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FilterShape {
    /// Jobs in this state, or in one of these.
    pub state: Option<OneOrMore>,
    /// Jobs of this kind.
    pub kind: Option<KindName>,
    /// Jobs in this queue.
    pub queue: Option<QueueName>,
    /// Jobs with this tag.
    #[schemars(length(min = 1, max = TAG_BYTES_MAX))]
    pub tag: Option<String>,
    /// Children of this job.
    pub parent_id: Option<JobId>,
    /// A text in id, kind, tags, error or the first 4 KiB of the args; case does not matter.
    #[schemars(length(min = 1, max = SEARCH_BYTES_MAX))]
    pub q: Option<String>,
}

/// Reads filters.
pub struct FilterParts;

impl FilterParts {
    /// The filter of a query.
    pub fn of_query(query: &Query) -> Result<JobFilter, ApiError> {
        let mut states = Vec::new();
        for text in query.all("state") {
            join(&mut states, parse_states(text).map_err(|message| invalid("state", message))?);
        }
        Ok(JobFilter {
            states,
            kind: query.parsed("kind")?,
            queue: query.parsed("queue")?,
            tag: bounded(query, "tag", TAG_BYTES_MAX)?.map(Into::into),
            parent: query.parsed("parent_id")?,
            text: bounded(query, "q", SEARCH_BYTES_MAX)?.filter(|text| !text.is_empty()).map(str::to_owned),
        })
    }

    /// The filter in a JSON object that stands at `base`.
    pub fn of_json(raw: &RawValue, base: &str, problems: &mut Problems) -> JobFilter {
        let Some(mut fields) = Fields::open(raw, base, problems) else { return JobFilter::default() };
        let filter = JobFilter {
            states: read_states(&mut fields),
            kind: fields.parsed("kind"),
            queue: fields.parsed("queue"),
            tag: fields.short_text("tag", TAG_BYTES_MAX).map(Into::into),
            parent: fields.parsed("parent_id"),
            text: fields.short_text("q", SEARCH_BYTES_MAX),
        };
        fields.finish();
        filter
    }
}

fn bounded<'q>(query: &'q Query, name: &str, bytes_max: usize) -> Result<Option<&'q str>, ApiError> {
    let text = query.text(name);
    if text.is_some_and(|text| text.len() > bytes_max) {
        return Err(invalid(name, format!("has more than {bytes_max} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Parameter] = &[STATE, KIND, QUEUE, TAG, PARENT_ID, SEARCH];

    fn of_query(text: &str) -> Result<JobFilter, ApiError> {
        FilterParts::of_query(&Query::parse(text, KNOWN).expect("known"))
    }

    #[test]
    fn a_query_and_json_give_the_same_filter() {
        let json = r#"{"state": ["active", "failed"], "kind": "k", "queue": "q", "tag": "a b", "q": "x"}"#;
        let raw = serde_json::from_str(json).expect("JSON");
        let mut problems = Problems::default();
        let from_json = FilterParts::of_json(raw, "/filter", &mut problems);
        assert!(problems.is_empty());
        assert_eq!(of_query("state=active&state=failed&kind=k&queue=q&tag=a+b&q=x"), Ok(from_json.clone()));
        assert_eq!(from_json.states.len(), 6);
        assert_eq!(of_query("state=queued&state=active&state=queued").expect("fits").states.len(), 5);
    }

    #[test]
    fn an_unknown_state_is_refused_and_the_states_are_named() {
        let error = of_query("state=done").expect_err("is none");
        assert!(
            error.detail().contains("\"done\" is no state; the states are scheduled, queued"),
            "{}",
            error.detail()
        );
        for bad in ["kind=a/b", "parent_id=7", &format!("tag={}", "x".repeat(129))] {
            assert!(of_query(bad).is_err(), "{bad}");
        }
    }
}
