//! The OpenAPI 3.1 description, made from the route table and the types that are really sent: it cannot lag behind.
//!
//! What is sent to the server and what comes back are described by two generators, because they differ: a field that an
//! answer always has may be left out of a request. Where a type has two forms, that of requests is called `…Input`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::api::error::{ApiError, ProblemBody, meaning};
use crate::api::examples;
use crate::api::headers;
use crate::api::query::Parameter;
use crate::api::route::{AnswerDoc, Content, Handler, Route, Table};
use crate::domain::limits::{FILE_NAME_BYTES_MAX, NAME_BYTES_MAX};

/// Errors that every route may answer with, whatever it is for.
const COMMON_ERRORS: &[&str] = &["invalid_query", "internal", "unreadable", "starting", "stopping", "request_timeout"];
/// Errors of the routes that are answered at any time.
const ALWAYS_ERRORS: &[&str] = &["invalid_query"];

const ABOUT: &str = "A durable job service: every transition of every job is written down first, and nothing gets lost.

Every answer carries `Daybook-Epoch`, the run of the server; every read also `Daybook-Seq`, the number of an event up to \
which the answer shows everything. Times are RFC 3339 in UTC with milliseconds, durations are numbers of seconds, ids \
are UUIDv7. A field that does not apply is `null`. Errors are RFC 9457 problem details with a stable `code`.

What is published stays: new fields, codes and types of events may come, and a client passes over what it does not know.";

/// The areas, for people.
const AREAS: &[(&str, &str)] = &[
    ("jobs", "Jobs one by one: submit, list, show, change, cancel, run again, explain."),
    ("batches", "Many at once: bulks, the items of a batch, trees, one action on all jobs that fit a filter."),
    ("events", "What happened."),
    ("logs", "The log lines of jobs."),
    ("files", "What jobs leave for people to look at: output files and preview pictures."),
    ("queues", "What waits, pausing and resuming."),
    ("workers", "Who runs jobs."),
    ("schedules", "Jobs that are submitted again and again."),
    ("kinds", "Which kinds of jobs there are."),
    ("system", "The server about itself."),
];

/// Describes the interface.
pub fn describe(table: &Table, version: &str) -> Value {
    let mut shapes = Shapes::new();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in table.routes().iter().filter(|route| route.name.is_some()) {
        let operation = operation(route, &mut shapes);
        paths.entry(route.path).or_default().insert(route.method.as_str().to_ascii_lowercase(), operation);
    }
    let mut paths = json!(paths);
    let schemas = shapes.into_schemas(&mut paths);
    let tags = AREAS.iter().map(|(name, description)| json!({"name": name, "description": description}));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Daybook",
            "summary": "A durable job service in one binary",
            "version": version,
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"}
        },
        "servers": [{"url": "/", "description": "The server itself; http://127.0.0.1:7878 unless told."}],
        "security": [],
        "tags": tags.collect::<Vec<Value>>(),
        "paths": paths,
        "components": {"schemas": schemas, "headers": headers::components()}
    })
}

/// The schemas of what is sent and of what comes back.
struct Shapes {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
    problem: Value,
}

impl Shapes {
    fn new() -> Shapes {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        let requests = settings.clone().for_deserialize().into_generator();
        let mut answers = settings.for_serialize().into_generator();
        let problem = answers.subschema_for::<ProblemBody>().to_value();
        Shapes { requests, answers, problem }
    }

    /// All definitions. Those of requests that differ from the answers' are renamed, also where `paths` refers to them.
    fn into_schemas(mut self, paths: &mut Value) -> Map<String, Value> {
        let mut schemas = self.answers.take_definitions(true);
        let requests = self.requests.take_definitions(true);
        let differing = differing(&requests, &schemas);
        for (name, mut schema) in requests {
            rename(&mut schema, &differing);
            schemas.insert(if differing.contains(&name) { input(&name) } else { name }, schema);
        }
        let operations = paths.as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
        for operation in operations.filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut()) {
            if let Some(body) = operation.get_mut("requestBody") {
                rename(body, &differing);
            }
        }
        for (name, example) in examples::all() {
            if let Some(schema) = schemas.get_mut(name) {
                schema["examples"] = json!([example]);
            }
        }
        schemas
    }
}

fn input(name: &str) -> String {
    format!("{name}Input")
}

/// The names that mean something else in requests than in answers: themselves, or something that they refer to.
fn differing(requests: &Map<String, Value>, answers: &Map<String, Value>) -> BTreeSet<String> {
    let mut differing = BTreeSet::new();
    loop {
        let more = requests.iter().filter(|(name, schema)| {
            let shared = answers.get(*name);
            shared.is_some_and(|other| other != *schema || refers_to(schema, &differing)) && !differing.contains(*name)
        });
        let more: Vec<String> = more.map(|(name, _)| name.clone()).collect();
        if more.is_empty() {
            return differing;
        }
        differing.extend(more);
    }
}

fn refers_to(value: &Value, names: &BTreeSet<String>) -> bool {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            own.is_some_and(|name| names.contains(name)) || members.values().any(|member| refers_to(member, names))
        }
        Value::Array(elements) => elements.iter().any(|element| refers_to(element, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn rename(value: &mut Value, names: &BTreeSet<String>) {
    if let Some(members) = value.as_object_mut() {
        if let Some(Value::String(path)) = members.get_mut("$ref")
            && path.rsplit('/').next().is_some_and(|name| names.contains(name))
        {
            *path = input(path);
        }
        members.values_mut().for_each(|member| rename(member, names));
    }
    value.as_array_mut().into_iter().flatten().for_each(|element| rename(element, names));
}

fn operation(route: &Route, shapes: &mut Shapes) -> Value {
    let mut operation = json!({
        "operationId": route.name,
        "tags": [route.area],
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": responses(route, shapes),
    });
    if !route.explanation.is_empty() {
        operation["description"] = json!(route.explanation);
    }
    if let Some(body) = &route.body {
        let content = content(body.content, &mut shapes.requests);
        operation["requestBody"] = json!({"required": body.required, "content": content});
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(|name| {
        let (description, schema) = path_parameter(name);
        json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema})
    });
    let in_query = route.parameters.iter().map(query_parameter);
    let in_header = route.headers.iter().map(|(name, description)| {
        json!({"name": name, "in": "header", "description": description, "schema": headers::of_request(name)})
    });
    in_path.chain(in_query).chain(in_header).collect()
}

fn path_parameter(name: &str) -> (&'static str, Value) {
    let text = |bytes_max: usize| json!({"type": "string", "minLength": 1, "maxLength": bytes_max});
    match name {
        "id" => ("The job's id.", json!({"type": "string", "format": "uuid"})),
        "queue" => ("The queue's name.", text(NAME_BYTES_MAX)),
        "kind" => ("The kind's name.", text(NAME_BYTES_MAX)),
        "name" => ("The file's name.", text(FILE_NAME_BYTES_MAX)),
        "session" => ("The worker's session.", json!({"type": "string", "format": "uuid"})),
        _ => ("What is meant.", json!({"type": "string", "minLength": 1})),
    }
}

fn query_parameter(parameter: &Parameter) -> Value {
    let mut one = json!({"type": parameter.schema_type});
    if let Some((min, max)) = parameter.range {
        one["minimum"] = json!(min);
        one["maximum"] = json!(max);
    }
    if let Some(default) = parameter.default {
        one["default"] = json!(default);
    }
    if let Some(bytes_max) = parameter.bytes_max {
        one["maxLength"] = json!(bytes_max);
    }
    if !parameter.choices.is_empty() {
        one["enum"] = json!(parameter.choices);
    }
    if let Some(format) = parameter.format {
        one["format"] = json!(format);
    }
    let schema = if parameter.repeats { json!({"type": "array", "items": one}) } else { one };
    json!({"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema})
}

fn responses(route: &Route, shapes: &mut Shapes) -> Value {
    let mut responses: BTreeMap<String, Value> = BTreeMap::new();
    let is_read = matches!(route.handler, Handler::Ready(_));
    let described = route.answers.iter().map(|answer| (answer.status, response(answer, is_read, &mut shapes.answers)));
    let mut all: Vec<(u16, Value)> = described.collect();
    all.extend(error_codes(route).into_iter().map(|(status, codes)| (status, problem(&codes, &shapes.problem))));
    for (status, response) in all {
        match responses.get_mut(&status.to_string()) {
            // Two forms of one status differ in their media type.
            Some(other) => merge(other, &response),
            None => drop(responses.insert(status.to_string(), response)),
        }
    }
    json!(responses)
}

fn response(answer: &AnswerDoc, is_read: bool, generator: &mut SchemaGenerator) -> Value {
    let names = headers::ALWAYS.iter().chain(answer.headers);
    let reads = is_read.then_some(&headers::DAYBOOK_SEQ);
    json!({
        "description": answer.description,
        "headers": headers::references(names.chain(reads)),
        "content": content(answer.content, generator)
    })
}

/// An answer with one of several codes, each with its example.
fn problem(codes: &[&'static str], body: &Value) -> Value {
    let lines = codes.iter().map(|code| {
        let meaning = meaning(code).expect("it was looked up before");
        format!("`{code}`: {}.", meaning.title)
    });
    let examples = codes.iter().map(|code| {
        let title = meaning(code).map(|meaning| meaning.title);
        let error = ApiError::new(code, "what happened in this case");
        ((*code).to_owned(), json!({"summary": title, "value": error.body()}))
    });
    let waits = codes.iter().any(|code| ApiError::new(code, "").retry_after_s().is_some());
    let names = headers::ALWAYS.iter().chain(waits.then_some(&headers::RETRY_AFTER));
    let of_these = json!({"type": "object", "properties": {"code": {"enum": codes}}});
    json!({
        "description": lines.collect::<Vec<String>>().join(" "),
        "headers": headers::references(names),
        "content": {"application/problem+json": {
            "schema": {"allOf": [body, of_these]},
            "examples": examples.collect::<Map<String, Value>>()
        }}
    })
}

fn merge(into: &mut Value, from: &Value) {
    let description =
        format!("{} {}", into["description"].as_str().unwrap_or(""), from["description"].as_str().unwrap_or(""));
    into["description"] = json!(description);
    for part in ["content", "headers"] {
        for (name, one) in from[part].as_object().into_iter().flatten() {
            into[part][name] = one.clone();
        }
    }
}

fn error_codes(route: &Route) -> BTreeMap<u16, Vec<&'static str>> {
    let common = match route.handler {
        Handler::Ready(_) => COMMON_ERRORS,
        Handler::Always(_) | Handler::Page => ALWAYS_ERRORS,
    };
    let mut by_status: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for code in route.errors.iter().chain(common) {
        let meaning = meaning(code).unwrap_or_else(|| panic!("the table of errors has the code {code}"));
        let codes = by_status.entry(meaning.status).or_default();
        if !codes.contains(&meaning.code) {
            codes.push(meaning.code);
        }
    }
    by_status
}

fn content(content: Content, generator: &mut SchemaGenerator) -> Value {
    match content {
        Content::Nothing => json!({}),
        Content::Json(schema_of) => json!({"application/json": {"schema": schema_of(generator)}}),
        Content::Bytes(media_type) => json!({(media_type): {"schema": {}}}),
    }
}
