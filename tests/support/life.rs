//! The life of a job as its events tell it, held against what no failure may change: one run after the other, each ended
//! for a reason that is on record, and one end.

use std::collections::BTreeMap;

use serde_json::Value;

/// How a job came to its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Life {
    pub runs: usize,
    /// Why runs ended before the last, and how often.
    pub causes: BTreeMap<String, usize>,
    pub adopted: usize,
    /// What was said too late, and changed nothing.
    pub late: usize,
}

impl Life {
    /// How many runs were lost or given back.
    pub fn again(&self) -> usize {
        self.causes.values().sum()
    }

    /// Reads the events of a job that must have completed.
    #[track_caller]
    pub fn of_completed(events: &Value) -> Life {
        let events = events["events"].as_array().expect("a list");
        let mut life = Life::default();
        let mut holder: Option<&Value> = None;
        let mut completed = 0;
        for event in events {
            let data = &event["data"];
            match event["type"].as_str().expect("a type") {
                "job.submitted" => assert_eq!(life.runs, 0, "it begins once: {events:#?}"),
                "job.started" => {
                    assert!(holder.is_none() && completed == 0, "a lease is never held twice: {events:#?}");
                    assert_eq!(data["attempt"], 1, "a loss uses up no attempt: {events:#?}");
                    holder = Some(&data["session"]);
                    life.runs += 1;
                }
                "job.adopted" => {
                    assert!(holder.is_some(), "only what runs is adopted: {events:#?}");
                    holder = Some(&data["session"]);
                    life.adopted += 1;
                }
                "job.attempt_lost" | "job.queued" => {
                    let cause = data["cause"].as_str().expect("a run ends for a reason");
                    assert!(holder.take().is_some(), "what ends was running: {events:#?}");
                    *life.causes.entry(cause.to_owned()).or_default() += 1;
                }
                "job.completed" => {
                    assert_eq!(holder.take(), Some(&event["actor"]["id"]), "its holder completes it: {events:#?}");
                    completed += 1;
                }
                "job.progressed" => assert!(holder.is_some(), "only what runs comes further: {events:#?}"),
                "job.late_result" => life.late += 1,
                other => panic!("no {other} here: {events:#?}"),
            }
        }
        assert_eq!((holder, completed), (None, 1), "it completes once: {events:#?}");
        assert_eq!(life.runs, life.again() + 1, "each further run has its reason: {events:#?}");
        life
    }
}
