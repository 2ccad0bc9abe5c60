//! The OpenAPI 3.1 description, made from the route table and the types that are really sent: it cannot lag behind.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::api::error::{ProblemBody, meaning};
use crate::api::query::Parameter;
use crate::api::route::{Content, Route, Table};

/// Errors that every route may answer with, whatever it is for.
const COMMON_ERRORS: &[&str] = &["invalid_query", "internal", "unreadable", "starting", "stopping", "request_timeout"];

/// Describes the interface.
pub fn describe(table: &Table, version: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.for_serialize().into_generator();
    let problem = generator.subschema_for::<ProblemBody>().to_value();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in table.routes().iter().filter(|route| route.name.is_some()) {
        let operation = operation(route, &problem, &mut generator);
        paths.entry(route.path).or_default().insert(route.method.as_str().to_ascii_lowercase(), operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Daybook",
            "version": version,
            "description": "A durable job service. Every answer carries Daybook-Epoch; every read also Daybook-Seq.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"}
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "headers": {
                "Daybook-Epoch": header("The UUID that the server made at its start: its instance.", "string"),
                "Daybook-Seq": header("The number of an event: the answer shows at least everything up to it.", "integer")
            }
        }
    })
}

fn header(description: &str, schema_type: &str) -> Value {
    json!({"description": description, "schema": {"type": schema_type}})
}

fn operation(route: &Route, problem: &Value, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": responses(route, problem, generator),
    });
    if let Some(body) = &route.body {
        let content = content(body.content, generator);
        operation["requestBody"] = json!({"required": body.required, "content": content});
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let in_query = route.parameters.iter().map(query_parameter);
    let in_header = route.headers.iter().map(|(name, description)| {
        json!({"name": name, "in": "header", "description": description, "schema": {"type": "string"}})
    });
    in_path.chain(in_query).chain(in_header).collect()
}

fn query_parameter(parameter: &Parameter) -> Value {
    let one = json!({"type": parameter.schema_type});
    let schema = if parameter.repeats { json!({"type": "array", "items": one}) } else { one };
    json!({"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema})
}

fn responses(route: &Route, problem: &Value, generator: &mut SchemaGenerator) -> Value {
    let mut responses: BTreeMap<String, Value> = BTreeMap::new();
    for answer in &route.answers {
        let content = content(answer.content, generator);
        let headers = json!({
            "Daybook-Epoch": {"$ref": "#/components/headers/Daybook-Epoch"},
            "Daybook-Seq": {"$ref": "#/components/headers/Daybook-Seq"}
        });
        let described = json!({"description": answer.description, "headers": headers, "content": content});
        match responses.get_mut(&answer.status.to_string()) {
            // Two forms of one status differ in their media type.
            Some(other) => merge_content(other, &described),
            None => drop(responses.insert(answer.status.to_string(), described)),
        }
    }
    for (status, codes) in error_codes(route) {
        let described = json!({
            "description": format!("{}.", codes.join(", ")),
            "content": {"application/problem+json": {"schema": problem}}
        });
        match responses.get_mut(&status.to_string()) {
            Some(other) => merge_content(other, &described),
            None => drop(responses.insert(status.to_string(), described)),
        }
    }
    json!(responses)
}

fn merge_content(into: &mut Value, from: &Value) {
    let description =
        format!("{} {}", into["description"].as_str().unwrap_or(""), from["description"].as_str().unwrap_or(""));
    into["description"] = json!(description);
    for (media_type, shape) in from["content"].as_object().into_iter().flatten() {
        into["content"][media_type] = shape.clone();
    }
}

fn error_codes(route: &Route) -> BTreeMap<u16, Vec<&'static str>> {
    let mut by_status: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for code in route.errors.iter().chain(COMMON_ERRORS) {
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
