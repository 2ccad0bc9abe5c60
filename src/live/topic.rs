//! What a subscriber follows: a topic and its filter, read from JSON, and the question whether a job fits it. Pure.

use std::str::FromStr;

use serde_json::value::RawValue;

use crate::domain::id::{JobId, KindName, QueueName, Tag};
use crate::domain::job::Job;
use crate::domain::limits::TAG_BYTES_MAX;
use crate::domain::state::Stub;
use crate::feed::Before;
use crate::kinds::fields::Fields;
use crate::kinds::problem::Problems;
use crate::kinds::states::read_states;
use crate::live::traits::Traits;
use crate::views::query::JobFilter;

/// The most rows of a snapshot.
pub const SNAPSHOT_ROWS_MAX: usize = 10_000;
/// The rows of a snapshot when nothing else is asked.
pub const SNAPSHOT_ROWS_DEFAULT: usize = 1_000;
/// The last line number that JSON carries exactly.
const LINE_MAX: i64 = 1 << 53;

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// A mirror of jobs: a snapshot of the newest `limit`, and every change of all that match.
    Jobs {
        which: Selection,
        limit: usize,
    },
    /// Every event, once.
    Events(Selection),
    /// The lines of a job after a number; those from now on if there is none.
    Logs {
        job: JobId,
        after: Option<u64>,
    },
    Queues,
    Workers,
}

/// The names of the topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TopicName {
    Jobs,
    Events,
    Logs,
    Queues,
    Workers,
}

/// Which jobs are meant: every part that is there must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Selection {
    pub id: Option<JobId>,
    /// Without a text.
    pub filter: JobFilter,
}

/// The part of a selection by which the fewest jobs are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Facet {
    Id(JobId),
    Parent(JobId),
    Tag(Tag),
    Queue(QueueName),
    Kind(KindName),
    All,
}

impl FromStr for TopicName {
    type Err = String;

    fn from_str(text: &str) -> Result<TopicName, String> {
        let known = TopicName::ALL.into_iter().find(|topic| topic.as_str() == text);
        let names = TopicName::ALL.map(TopicName::as_str).join(", ");
        known.ok_or_else(|| format!("{text:?} is no topic; the topics are {names}"))
    }
}

impl TopicName {
    /// All of them.
    pub const ALL: [TopicName; 5] =
        [TopicName::Jobs, TopicName::Events, TopicName::Logs, TopicName::Queues, TopicName::Workers];

    /// The word as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            TopicName::Jobs => "jobs",
            TopicName::Events => "events",
            TopicName::Logs => "logs",
            TopicName::Queues => "queues",
            TopicName::Workers => "workers",
        }
    }

    /// Reads the filter of this topic, which stands at `base`. None when something is missing or wrong: `problems` say
    /// what.
    pub fn read(self, filter: Option<&RawValue>, base: &str, problems: &mut Problems) -> Option<Topic> {
        let empty = RawValue::from_string("{}".to_owned()).expect("an empty object is JSON");
        let mut fields = Fields::open(filter.unwrap_or(&empty), base, problems)?;
        let topic = match self {
            TopicName::Jobs => {
                let limit = fields.integer("limit", 1..=SNAPSHOT_ROWS_MAX as i64);
                let limit = limit.map_or(SNAPSHOT_ROWS_DEFAULT, |limit| limit as usize);
                let states = read_states(&mut fields);
                Some(Topic::Jobs { which: Selection::read(&mut fields, states), limit })
            }
            TopicName::Events => {
                if fields.raw("state").is_some() {
                    fields.problem("state", "is nothing that an event has; follow topic jobs for that");
                }
                Some(Topic::Events(Selection::read(&mut fields, Vec::new())))
            }
            TopicName::Logs => {
                let after = fields.integer("after", 0..=LINE_MAX).map(|after| after as u64);
                if !fields.has("id") {
                    fields.problem("id", "is missing: whose log?");
                }
                fields.parsed("id").map(|job| Topic::Logs { job, after })
            }
            TopicName::Queues => Some(Topic::Queues),
            TopicName::Workers => Some(Topic::Workers),
        };
        fields.finish();
        topic.filter(|_| problems.is_empty())
    }
}

impl Topic {
    /// Its name.
    pub fn name(&self) -> TopicName {
        match self {
            Topic::Jobs { .. } => TopicName::Jobs,
            Topic::Events(_) => TopicName::Events,
            Topic::Logs { .. } => TopicName::Logs,
            Topic::Queues => TopicName::Queues,
            Topic::Workers => TopicName::Workers,
        }
    }
}

impl Selection {
    fn read(fields: &mut Fields, mut states: Vec<crate::domain::job::StateName>) -> Selection {
        // Equal filters are one group, in whatever order they name the states.
        states.sort_unstable();
        let id = fields.parsed("id");
        let filter = JobFilter {
            states,
            kind: fields.parsed("kind"),
            queue: fields.parsed("queue"),
            tag: fields.short_text("tag", TAG_BYTES_MAX).map(Into::into),
            parent: fields.parsed("parent_id"),
            text: None,
        };
        Selection { id, filter }
    }

    /// Whether everything is meant, also what is about no job.
    pub fn is_everything(&self) -> bool {
        *self == Selection::default()
    }

    /// Whether a job fits as it is now.
    pub fn matches(&self, job: &Job) -> bool {
        self.id.is_none_or(|id| id == job.id) && self.filter.matches(job)
    }

    /// Whether events of a job fit, which was like this right after them. States are nothing that an event has.
    pub fn matches_events_of(&self, job: &Traits) -> bool {
        let filter = &self.filter;
        self.id.is_none_or(|id| id == job.id)
            && filter.kind.as_ref().is_none_or(|kind| *kind == job.kind)
            && filter.queue.as_ref().is_none_or(|queue| *queue == job.queue)
            && filter.tag.as_ref().is_none_or(|tag| job.tags.contains(tag))
            && filter.parent.is_none_or(|parent| job.parent == Some(parent))
    }

    /// Whether only an id is asked for.
    pub fn is_of_one_job(&self) -> bool {
        self.id.is_some() && self.filter == JobFilter::default()
    }

    /// Whether a job did fit before something happened to it.
    pub fn did_match(&self, before: &Before, job: &Job) -> bool {
        let filter = &self.filter;
        self.can_match(job)
            && (filter.states.is_empty() || filter.states.contains(&before.state))
            && filter.queue.as_ref().is_none_or(|queue| *queue == before.queue)
            && filter.tag.as_ref().is_none_or(|tag| before.tags().contains(tag))
    }

    /// Whether a job that is forgotten did fit until then.
    pub fn matches_stub(&self, stub: &Stub) -> bool {
        let filter = &self.filter;
        let parent = stub.relations.as_ref().and_then(|relations| relations.parent);
        self.id.is_none_or(|id| id == stub.id)
            && (filter.states.is_empty() || filter.states.contains(&stub.state))
            && filter.kind.as_ref().is_none_or(|kind| *kind == stub.kind)
            && filter.queue.as_ref().is_none_or(|queue| *queue == stub.queue)
            && filter.tag.as_ref().is_none_or(|tag| stub.tags.as_ref().is_some_and(|tags| tags.contains(tag)))
            && filter.parent.is_none_or(|wanted| parent == Some(wanted))
    }

    /// Whether a job may ever fit, by what never changes of it.
    pub fn can_match(&self, job: &Job) -> bool {
        self.id.is_none_or(|id| id == job.id)
            && self.filter.kind.as_ref().is_none_or(|kind| *kind == job.kind)
            && self.filter.parent.is_none_or(|parent| job.parent() == Some(parent))
    }

    /// The part under which its changes are looked for.
    pub fn facet(&self) -> Facet {
        let filter = &self.filter;
        let by_id = self.id.map(Facet::Id).or(filter.parent.map(Facet::Parent));
        let by_tag = by_id.or_else(|| filter.tag.clone().map(Facet::Tag));
        let by_queue = by_tag.or_else(|| filter.queue.clone().map(Facet::Queue));
        by_queue.or_else(|| filter.kind.clone().map(Facet::Kind)).unwrap_or(Facet::All)
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::job::StateName;

    use super::*;

    fn read(topic: TopicName, filter: &str) -> Result<Topic, Vec<(String, String)>> {
        let raw: &RawValue = serde_json::from_str(filter).expect("JSON");
        let mut problems = Problems::default();
        let topic = topic.read(Some(raw), "/filter", &mut problems);
        let list = problems.into_list().into_iter().map(|problem| (problem.pointer, problem.message)).collect();
        topic.ok_or(list)
    }

    fn selection(filter: &str) -> Selection {
        match read(TopicName::Jobs, filter) {
            Ok(Topic::Jobs { which, .. }) => which,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_filter_is_that_of_the_list_of_jobs_with_an_id_and_a_limit() {
        let Ok(Topic::Jobs { which, limit }) = read(TopicName::Jobs, r#"{"state": ["running", "queued"], "limit": 7}"#)
        else {
            panic!("it fits")
        };
        assert_eq!((which.filter.states, limit), (vec![StateName::Queued, StateName::Running], 7));
        assert_eq!(selection(r#"{"state": "active"}"#).filter.states.len(), 5);
        assert_eq!(selection(r#"{"kind": null}"#), Selection::default());
        assert!(selection("{}").is_everything());
    }

    #[test]
    fn equal_filters_are_equal_in_whatever_order_they_were_written() {
        let one = selection(r#"{"state": ["failed", "queued"], "kind": "k"}"#);
        assert_eq!(one, selection(r#"{"kind": "k", "state": ["queued", "failed", "queued"]}"#));
    }

    #[test]
    fn every_mistake_is_told_with_its_pointer() {
        for (topic, filter, pointer, part) in [
            (TopicName::Jobs, r#"{"stat": "queued"}"#, "/filter/stat", "did you mean \"state\""),
            (TopicName::Jobs, r#"{"state": "done"}"#, "/filter/state", "is no state"),
            (TopicName::Jobs, r#"{"limit": 10001}"#, "/filter/limit", "1 to 10000"),
            (TopicName::Jobs, r#"{"q": "x"}"#, "/filter/q", "no known field"),
            (TopicName::Jobs, "[]", "/filter", "must be an object"),
            (TopicName::Events, r#"{"state": "failed"}"#, "/filter/state", "nothing that an event has"),
            (TopicName::Logs, "{}", "/filter/id", "is missing"),
            (TopicName::Logs, r#"{"id": "7"}"#, "/filter/id", "UUID"),
            (TopicName::Queues, r#"{"queue": "q"}"#, "/filter/queue", "no known field"),
        ] {
            let problems = read(topic, filter).expect_err(filter);
            assert_eq!(problems[0].0, pointer, "{filter}");
            assert!(problems[0].1.contains(part), "{problems:?}");
        }
    }

    #[test]
    fn changes_are_looked_for_under_the_part_that_fits_the_fewest_jobs() {
        let id = "01997f5a-6e00-7000-8000-001523456789";
        let facet = |filter: &str| selection(filter).facet();
        assert!(matches!(facet(&format!(r#"{{"id": "{id}", "tag": "t"}}"#)), Facet::Id(_)));
        assert!(matches!(facet(&format!(r#"{{"parent_id": "{id}", "queue": "q"}}"#)), Facet::Parent(_)));
        assert!(matches!(facet(r#"{"tag": "t", "kind": "k"}"#), Facet::Tag(_)));
        assert!(matches!(facet(r#"{"queue": "q", "kind": "k"}"#), Facet::Queue(_)));
        assert!(matches!(facet(r#"{"kind": "k", "state": "queued"}"#), Facet::Kind(_)));
        assert_eq!(facet(r#"{"state": "queued"}"#), Facet::All);
    }

    #[test]
    fn a_topic_that_there_is_not_names_those_that_there_are() {
        let error = "job".parse::<TopicName>().expect_err("is none");
        assert_eq!(error, "\"job\" is no topic; the topics are jobs, events, logs, queues, workers");
    }
}
