//! What a client may ask for, and what it is told when it asks wrongly.

use serde_json::{Value, json};

use super::*;

fn catalog(strict: bool) -> Catalog {
    let schema = ArgsSchema::compile(json!({
        "properties": {"steps": {"type": "integer", "maximum": 100, "default": 8}, "cfg": {"type": "number"}},
        "additionalProperties": false
    }));
    let settings = KindSettings {
        queue: "images".parse().expect("a name"),
        policy: Policy { timeout: Some(Millis(600_000)), ..Policy::default() },
        concurrency: None,
    };
    let name = "i2v".parse().expect("a name");
    Catalog::new([Kind { name, schema: Some(schema.expect("a schema")), settings, run: None }], strict)
}

fn job(body: Value) -> Result<NewJob, RequestError> {
    parse_job(&body.to_string(), &catalog(false))
}

fn bulk(jobs: Value) -> Result<Vec<NewJob>, RequestError> {
    parse_bulk(&json!({"jobs": jobs}).to_string(), &catalog(true))
}

fn pointers<T: std::fmt::Debug>(answer: Result<T, RequestError>, code: &str) -> Vec<String> {
    let error = answer.expect_err("has problems");
    assert_eq!(error.code(), code, "{error:?}");
    error.into_problems().into_iter().map(|problem| problem.pointer).collect()
}

#[test]
fn what_a_request_leaves_out_follows_from_its_kind() {
    let job = job(json!({"kind": "i2v", "args": {"cfg": 2}, "max_attempts": 7})).expect("fits");
    assert_eq!(job.args.as_str(), r#"{"cfg":2,"steps":8}"#);
    assert_eq!(job.queue.as_str(), "images");
    assert_eq!((job.policy.max_attempts, job.policy.timeout), (7, Some(Millis(600_000))));
    assert_eq!((job.priority, job.start), (0, Start::Now));
}

#[test]
fn a_kind_that_is_not_listed_is_taken_as_it_is_unless_kinds_are_strict() {
    let text = r#"{"kind": "other", "args": {"z": 1.0, "a": 18446744073709551617}, "delay_s": 0}"#;
    let job = parse_job(text, &catalog(false)).expect("fits");
    assert_eq!(job.args.as_str(), r#"{"z":1.0,"a":18446744073709551617}"#);
    assert_eq!((job.queue.as_str(), job.start), ("default", Start::Now));
    assert_eq!(pointers(parse_job(text, &catalog(true)), "unknown_kind"), ["/kind"]);
}

#[test]
fn every_problem_of_a_request_is_named_at_once() {
    let bad = json!({
        "kind": "i2v", "args": {"steps": 500}, "queue": "a b", "priority": 101, "max_attempts": 0, "delay_s": -1,
        "timeout_s": 0, "tags": ["", 5], "unique_key": "", "parent_id": "x", "depends_on": ["y", "#a"],
        "items": [{"key": "k"}, {"key": "k"}, {"kee": 1}], "shape": 1
    });
    let mut found = pointers(job(bad), "invalid_request");
    found.sort();
    let expected = [
        "/args/steps",
        "/delay_s",
        "/depends_on/0",
        "/depends_on/1",
        "/items/1/key",
        "/items/2/kee",
        "/items/2/key",
        "/max_attempts",
        "/parent_id",
        "/priority",
        "/queue",
        "/shape",
        "/tags/0",
        "/tags/1",
        "/timeout_s",
        "/unique_key",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_more_or_longer_than_a_job_may_have_is_refused_at_its_place() {
    let asked = |more: usize| {
        let text = |bytes: usize| "x".repeat(bytes + more);
        let ids = (0..).map(|number| format!("0197a000-0000-7000-8000-{number:012x}"));
        let many = |count: usize| ids.clone().take(count + more).collect::<Vec<_>>();
        job(json!({
            "kind": "x", "args": {}, "priority": 100 + more, "unique_key": text(512), "tags": many(32),
            "depends_on": many(1000), "items": [{"key": text(ITEM_KEY_BYTES_MAX)}]
        }))
    };
    assert!(asked(0).is_ok(), "just as much is taken: {:?}", asked(0));
    let mut found = pointers(asked(1), "invalid_request");
    found.sort();
    assert_eq!(found, ["/depends_on", "/items/0/key", "/priority", "/tags", "/unique_key"]);
    let tag = |bytes: usize| job(json!({"kind": "x", "args": {}, "tags": ["x".repeat(bytes)]}));
    assert!(tag(128).is_ok());
    assert_eq!(pointers(tag(129), "invalid_request"), ["/tags/0"]);
}

#[test]
fn a_request_that_is_not_json_or_no_object_or_lacks_its_fields_is_refused() {
    assert_eq!(parse_job("{", &catalog(false)).expect_err("no JSON").code(), "invalid_json");
    assert_eq!(pointers(job(json!([])), "invalid_request"), [""]);
    assert_eq!(pointers(job(json!({})), "invalid_request"), ["/kind", "/args"]);
    assert_eq!(pointers(job(json!({"kind": "x", "args": []})), "invalid_request"), ["/args"]);
    let both = json!({"kind": "x", "args": {}, "delay_s": 1, "scheduled_at": "2026-11-22T06:00:00Z"});
    assert_eq!(pointers(job(both), "invalid_request"), ["/delay_s"]);
    assert_eq!(pointers(job(json!({"kind": "x", "args": {}, "ref": "a"})), "invalid_request"), ["/ref"]);
}

#[test]
fn args_have_a_limit_of_their_own() {
    let args = json!({"image": "x".repeat(ARGS_BYTES_MAX)});
    assert_eq!(job(json!({"kind": "x", "args": args})).expect_err("too large").code(), "body_too_large");
}

#[test]
fn entries_of_a_bulk_refer_to_each_other() {
    let jobs = bulk(json!([
        {"kind": "i2v", "args": {}, "ref": "a", "depends_on": ["#b"]},
        {"kind": "i2v", "args": {}, "ref": "b", "depends_on": ["0197a000-0000-7000-8000-000000000000"]}
    ]));
    let jobs = jobs.expect("fits");
    assert_eq!(jobs[0].depends_on, [Dependency::Entry(1)]);
    assert!(matches!(jobs[1].depends_on[..], [Dependency::Job(_)]));
}

#[test]
fn problems_of_a_bulk_name_their_entry() {
    let jobs = json!([
        {"kind": "i2v", "args": {"steps": "many"}},
        {"kind": "i2w", "args": {}},
        {"kind": "i2v", "args": {}, "ref": "a"},
        {"kind": "i2v", "args": {}, "ref": "a", "depends_on": ["#c"]}
    ]);
    let found = pointers(bulk(jobs), "invalid_request");
    assert_eq!(found, ["/jobs/3/ref", "/jobs/3/depends_on/0", "/jobs/1/kind", "/jobs/0/args/steps"]);
    let args_only = bulk(json!([{"kind": "i2v", "args": {"steps": "many"}}]));
    assert_eq!(pointers(args_only, "invalid_args"), ["/jobs/0/args/steps"]);
}

#[test]
fn a_bulk_has_one_to_a_thousand_jobs() {
    assert_eq!(pointers(bulk(json!([])), "invalid_request"), ["/jobs"]);
    let many = vec![json!({"kind": "i2v", "args": {}}); BULK_JOBS_MAX + 1];
    assert_eq!(pointers(bulk(json!(many)), "invalid_request"), ["/jobs"]);
}

#[test]
fn every_published_field_is_read() {
    let shape = schemars::schema_for!(JobRequest);
    for name in shape.get("properties").and_then(Value::as_object).expect("an object").keys() {
        let entry = json!([{"kind": "i2v", "args": {}, (name.as_str()): true}]);
        let error = bulk(entry).expect_err("no field takes true");
        let message = error.into_problems().remove(0).message;
        assert!(!message.contains("no known field"), "{name} is published and not read");
    }
}
