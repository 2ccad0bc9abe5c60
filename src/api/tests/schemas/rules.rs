//! What every published schema keeps: it is one, its references lead somewhere, its examples fit it, and every property
//! says what it is.

use jsonschema::{Draft, Registry, Validator};

use super::*;
use crate::api::examples;

/// Where a schema with a relative `$id` stands when nobody says where it came from.
const NOWHERE: &str = "json-schema:///";

fn all() -> [Files; 3] {
    [events::files(), frames::files(), super::live::files()]
}

fn validator(file: &Value, beside: &Files) -> Validator {
    let named = beside.iter().map(|(name, file)| (format!("{NOWHERE}{name}"), file.clone()));
    let registry =
        Registry::new().extend(named).expect("the names are URIs").prepare().expect("references lead somewhere");
    let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
    options.with_registry(&registry).build(file).unwrap_or_else(|error| panic!("{}: {error}", file["$id"]))
}

#[test]
fn each_file_is_a_schema_with_a_relative_id_and_its_examples_fit_it() {
    for files in all() {
        for (name, file) in &files {
            assert!(jsonschema::meta::is_valid(file), "{name}");
            assert_eq!(file["$id"], json!(name));
            assert!(file["title"].is_string() && file["description"].is_string(), "{name}");
            let validator = validator(file, &files);
            let examples = examples_in(file);
            assert!(!examples.is_empty() || name == "common.json", "{name} has an example");
            for example in examples {
                let problems: Vec<String> = validator.iter_errors(&example).map(|error| error.to_string()).collect();
                assert!(problems.is_empty(), "{name}: {problems:?} in {example}");
            }
        }
    }
}

/// The examples of a file, and of the frames in it.
fn examples_in(file: &Value) -> Vec<Value> {
    let frames = file["oneOf"].as_array().into_iter().flatten();
    let names = frames.filter_map(|frame| frame["$ref"].as_str()?.strip_prefix("#/$defs/"));
    let within = names.flat_map(|name| file["$defs"][name]["examples"].as_array().expect("a frame has an example"));
    file["examples"].as_array().into_iter().flatten().chain(within).cloned().collect()
}

#[test]
fn every_property_says_what_it_is() {
    let document = openapi::describe(&Table::new(routes()), "0.0.0");
    let mut silent = Vec::new();
    silent_properties(&document, "openapi.json", &mut silent);
    for (name, file) in all().iter().flatten() {
        silent_properties(file, name, &mut silent);
    }
    assert!(silent.is_empty(), "{} properties have no description: {silent:#?}", silent.len());
}

#[test]
fn every_definition_says_what_it_is() {
    let document = openapi::describe(&Table::new(routes()), "0.0.0");
    let files = all();
    let definitions = files.iter().flatten().flat_map(|(_, file)| file["$defs"].as_object().into_iter().flatten());
    let of_interface = document["components"]["schemas"].as_object().expect("schemas").iter();
    let silent = definitions.chain(of_interface).filter(|(_, definition)| !definition["description"].is_string());
    let silent: Vec<&String> = silent.map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

fn silent_properties(value: &Value, place: &str, silent: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, property) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
                // A condition on a property that is described elsewhere, or nothing but a reference to what is described.
                let is_elsewhere = place.contains("/allOf") || property["$ref"].is_string();
                if !property["description"].is_string() && !is_elsewhere {
                    silent.push(format!("{place}/{name}"));
                }
            }
            for (name, member) in members.iter().filter(|(name, _)| !matches!(name.as_str(), "examples" | "example")) {
                silent_properties(member, &format!("{place}/{name}"), silent);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| silent_properties(element, place, silent)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_operation_has_its_area_and_says_what_it_does() {
    let document = openapi::describe(&Table::new(routes()), "0.0.0");
    let areas: Vec<&Value> = document["tags"].as_array().expect("tags").iter().map(|tag| &tag["name"]).collect();
    let operations = document["paths"].as_object().expect("paths").values().filter_map(Value::as_object);
    for operation in operations.flat_map(|methods| methods.values()) {
        let name = &operation["operationId"];
        assert!(areas.contains(&&operation["tags"][0]), "{name} is in an area of AREAS");
        let says = |part: &str| operation[part].as_str().is_some_and(|text| !text.is_empty());
        assert!(says("summary") && says("description"), "{name} has a summary, and `explained` says the rest");
        let answers = operation["responses"].as_object().expect("answers");
        assert!(answers.values().all(|answer| answer["headers"]["Daybook-Epoch"].is_object()), "{name}");
    }
}

#[test]
fn no_description_speaks_of_the_inside() {
    let document = openapi::describe(&Table::new(routes()), "0.0.0");
    for text in [document.to_string()].into_iter().chain(all().iter().flatten().map(|(_, file)| file.to_string())) {
        assert!(!text.contains("[`"), "a link of the source: {:?}", text.split("[`").nth(1).map(|rest| &rest[..40]));
    }
}

#[test]
fn each_example_of_the_interface_fits_what_it_is_an_example_of() {
    let document = openapi::describe(&Table::new(routes()), "0.0.0");
    let fits = |schema: &Value, example: &Value, place: &str| {
        let whole = json!({"components": document["components"], "allOf": [schema]});
        let validator = validator(&whole, &Files::new());
        let problems: Vec<String> = validator.iter_errors(example).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{place}: {problems:?} in {example}");
    };
    for (name, example) in examples::all() {
        assert!(
            document["components"]["schemas"][name].is_object(),
            "there is an example of {name}, which is no schema"
        );
        fits(&json!({"$ref": format!("#/components/schemas/{name}")}), &example, name);
    }
    let operations = document["paths"].as_object().expect("paths").values().filter_map(Value::as_object);
    for operation in operations.flat_map(|methods| methods.values()) {
        for (status, response) in operation["responses"].as_object().expect("answers") {
            let problem = &response["content"]["application/problem+json"];
            for (code, example) in problem["examples"].as_object().into_iter().flatten() {
                fits(&problem["schema"], &example["value"], &format!("{} {status} {code}", operation["operationId"]));
            }
        }
    }
}

#[test]
fn a_request_may_leave_out_whatever_has_a_default() {
    let document = openapi::describe(&Table::new(routes()), "0.0.0");
    let required = |name: &str| document["components"]["schemas"][name]["required"].clone();
    assert_eq!(required("JobRequest"), json!(["kind", "args"]));
    assert_eq!(required("ActionRequest"), json!(["action", "filter"]));
    for name in ["AmendRequest", "CancelRequest", "RetryRequest", "FilterShape"] {
        assert!(required(name).is_null(), "{name}: {}", required(name));
    }
}
