//! The published schemas are those of this server: made from its types, compared with what stands in `schemas`.
//!
//! `DAYBOOK_WRITE_SCHEMAS=1 cargo test --lib api::` writes them instead. Never edit one by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::api::route::Table;
use crate::api::{openapi, routes};

mod events;
mod frames;
mod live;
mod rules;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Files by name.
type Files = BTreeMap<String, Value>;

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name)
}

/// Compares a directory with what it should hold, or makes it so when that is asked for.
#[track_caller]
fn assert_published(directory: &Path, files: &Files) {
    let texts: BTreeMap<&String, String> =
        files.iter().map(|(name, file)| (name, serde_json::to_string_pretty(file).expect("writes") + "\n")).collect();
    if std::env::var_os("DAYBOOK_WRITE_SCHEMAS").is_some() {
        std::fs::create_dir_all(directory).expect("makes");
        for name in names_in(directory).iter().filter(|name| !files.contains_key(*name)) {
            std::fs::remove_file(directory.join(name)).expect("removes");
        }
        texts.iter().for_each(|(name, text)| std::fs::write(directory.join(name), text).expect("writes"));
    }
    let found = names_in(directory);
    let old =
        texts.iter().filter(|(name, text)| std::fs::read_to_string(directory.join(name)).ok().as_ref() != Some(*text));
    let old: Vec<&String> =
        old.map(|(name, _)| *name).chain(found.iter().filter(|it| !files.contains_key(*it))).collect();
    let cure = "make them again: DAYBOOK_WRITE_SCHEMAS=1 cargo test --lib api::";
    assert!(old.is_empty(), "{} is old: {old:?}; {cure}", directory.display());
}

fn names_in(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let names = entries.map(|entry| entry.expect("reads").file_name().into_string().expect("a plain name"));
    names.filter(|name| name.ends_with(".json")).collect()
}

/// Takes out what only our own types mean: the sizes of numbers, for which a schema has bounds.
fn plain(value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        let format = members.get("format").and_then(Value::as_str).map(str::to_owned);
        if format.as_deref().is_some_and(|format| format.contains("int") || format == "double") {
            members.remove("format");
        }
        if format.as_deref() == Some("uint32") {
            members.entry("maximum").or_insert(json!(u32::MAX));
        }
        members.values_mut().for_each(plain);
    }
    value.as_array_mut().into_iter().flatten().for_each(plain);
}

/// Every `$ref` below a value.
fn references(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(elements) => elements.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => BTreeSet::new(),
    }
}

/// Those of the definitions that are used by a value, or by one of them.
fn used(definitions: &Map<String, Value>, by: &Value) -> Map<String, Value> {
    let mut kept = Map::new();
    let mut open: Vec<String> = references(by).into_iter().collect();
    while let Some(reference) = open.pop() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        if let Some(definition) = definitions.get(name).filter(|_| !kept.contains_key(name)) {
            kept.insert(name.to_owned(), definition.clone());
            open.extend(references(definition));
        }
    }
    kept
}

#[test]
fn the_published_description_is_that_of_this_server() {
    let document = openapi::describe(&Table::new(routes()), env!("CARGO_PKG_VERSION"));
    assert_published(&directory("http"), &Files::from([("openapi.json".to_owned(), document)]));
}

#[test]
fn the_published_events_are_those_of_this_server() {
    assert_published(&directory("events"), &events::files());
}

#[test]
fn the_published_frames_are_those_of_this_server() {
    assert_published(&directory("worker"), &frames::files());
}

#[test]
fn the_published_live_frames_are_those_of_this_server() {
    assert_published(&directory("live"), &live::files());
}

#[test]
fn the_readme_has_a_row_for_each_event_and_frame() {
    let readme = std::fs::read_to_string(directory("README.md")).expect("reads");
    for row in events::table().into_iter().chain(frames::table()).chain(live::table()) {
        assert!(readme.contains(&row), "schemas/README.md lacks this row:\n{row}");
    }
}
