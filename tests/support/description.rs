//! Holds answers against the server's own OpenAPI description: status, media type, headers and body.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::Answer;
use super::shapes::Shapes;

/// The description, and which of its operations were seen to be true.
pub struct Description {
    document: Value,
    seen: Mutex<BTreeSet<String>>,
}

impl Description {
    pub fn of(document: Value) -> Description {
        assert_eq!(document["openapi"], "3.1.0");
        Description { document, seen: Mutex::default() }
    }

    /// The names of all operations.
    pub fn operations(&self) -> BTreeSet<String> {
        let paths = self.document["paths"].as_object().expect("paths").values();
        let operations = paths.flat_map(|methods| methods.as_object().expect("methods").values());
        operations.map(|operation| operation["operationId"].as_str().expect("a name").to_owned()).collect()
    }

    /// The names of the operations that answered well at least once.
    pub fn seen(&self) -> BTreeSet<String> {
        self.seen.lock().expect("nobody panicked").clone()
    }

    #[track_caller]
    pub fn check(&self, method: &str, path: &str, answer: &Answer) {
        let asked = format!("{method} {path}");
        assert!(!answer.header("daybook-epoch").is_empty(), "{asked}: every answer carries the epoch");
        if method == "GET" {
            assert!(!answer.header("daybook-seq").is_empty(), "{asked}: every read carries the seq");
        }
        let Some(operation) = self.operation(method, path.split('?').next().unwrap_or(path)) else {
            assert!(matches!(answer.status, 404 | 405), "{asked}: what is not described is refused");
            return;
        };
        let response = &operation["responses"][answer.status.to_string()];
        assert!(response.is_object(), "{asked}: the status {} is described", answer.status);
        if answer.status < 300 {
            let name = operation["operationId"].as_str().expect("a name").to_owned();
            self.seen.lock().expect("nobody panicked").insert(name);
        }
        self.check_headers(&asked, response, answer);
        self.check_content(&asked, response, answer);
    }

    fn check_headers(&self, asked: &str, response: &Value, answer: &Answer) {
        for name in response["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
            let header = &self.document["components"]["headers"][name];
            let given = answer.header(name);
            assert!(
                !given.is_empty() || header["required"] == false,
                "{asked}: the header {name} is there as described"
            );
        }
    }

    fn check_content(&self, asked: &str, response: &Value, answer: &Answer) {
        let essence = answer.header("content-type").split(';').next().unwrap_or_default();
        let Some(described) = response["content"].as_object().filter(|content| !content.is_empty()) else {
            assert!(answer.bytes.is_empty(), "{asked}: a body is described when there is one");
            return;
        };
        let fits = |range: &str| range == "*/*" || range == essence || essence.starts_with(range.trim_end_matches('*'));
        let exact = described.get(essence);
        let shape = exact.or_else(|| described.iter().find(|(range, _)| fits(range)).map(|(_, shape)| shape));
        let shape = shape.unwrap_or_else(|| panic!("{asked}: the media type {essence:?} is described"));
        if essence == "application/x-ndjson" {
            let text = std::str::from_utf8(&answer.bytes).expect("lines are text");
            let lines = text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON"));
            lines.for_each(|line: Value| Shapes::of_events().check("cloudevent.json", &line));
        } else if essence.ends_with("json") {
            let body = answer.json();
            self.check_shape(asked, &shape["schema"], &body);
            let events = body["events"].as_array().into_iter().flatten();
            events.for_each(|event| Shapes::of_events().check_event(event));
        }
    }

    fn check_shape(&self, asked: &str, schema: &Value, body: &Value) {
        let whole = json!({"components": self.document["components"], "allOf": [schema]});
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).should_validate_formats(true);
        let validator = options.build(&whole).unwrap_or_else(|error| panic!("{asked}: the schema is one: {error}"));
        let problems: Vec<String> = validator
            .iter_errors(body)
            .map(|error| format!("{} at {}", error.masked(), error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{asked}: the body is as described: {problems:#?} in {body}");
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let method = if method == "HEAD" { "get".to_owned() } else { method.to_ascii_lowercase() };
        let paths = self.document["paths"].as_object().expect("paths");
        let fitting = paths.iter().filter(|(template, _)| fits_template(template, path));
        fitting.filter_map(|(_, methods)| methods.get(&method)).next()
    }
}

fn fits_template(template: &str, path: &str) -> bool {
    let (wanted, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    wanted.len() == given.len()
        && wanted.iter().zip(&given).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
}
