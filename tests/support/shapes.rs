//! Holds events and worker frames against the published schemas, and is stricter than they are: a field that is not
//! described is an error here, while clients pass over it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use jsonschema::{Draft, Registry, Validator};
use serde_json::{Value, json};

/// Where a schema with a relative `$id` stands when nobody says where it came from.
const NOWHERE: &str = "json-schema:///";

/// The schemas of a directory below `schemas`.
pub struct Shapes {
    validators: BTreeMap<String, Validator>,
}

impl Shapes {
    /// The schemas of events.
    pub fn of_events() -> &'static Shapes {
        static EVENTS: OnceLock<Shapes> = OnceLock::new();
        EVENTS.get_or_init(|| Shapes::read("events"))
    }

    /// The schemas of worker frames.
    pub fn of_frames() -> &'static Shapes {
        static FRAMES: OnceLock<Shapes> = OnceLock::new();
        FRAMES.get_or_init(|| Shapes::read("worker"))
    }

    /// The schemas of live frames.
    pub fn of_live() -> &'static Shapes {
        static LIVE: OnceLock<Shapes> = OnceLock::new();
        LIVE.get_or_init(|| Shapes::read("live"))
    }

    fn read(name: &str) -> Shapes {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
        let mut files: BTreeMap<String, Value> = BTreeMap::new();
        for entry in std::fs::read_dir(directory).expect("reads") {
            let path = entry.expect("reads").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
            let mut file = serde_json::from_slice(&std::fs::read(&path).expect("reads")).expect("is JSON");
            close(&mut file);
            files.insert(name, file);
        }
        let named = files.iter().map(|(name, file)| (format!("{NOWHERE}{name}"), file.clone()));
        let registry = Registry::new().extend(named).expect("names").prepare().expect("references lead somewhere");
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        let options = options.with_registry(&registry);
        let validators = files.iter().map(|(name, file)| {
            let validator = options.build(file).unwrap_or_else(|error| panic!("{name} is a schema: {error}"));
            (name.clone(), validator)
        });
        Shapes { validators: validators.collect() }
    }

    /// The names of the files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.validators.keys().map(String::as_str)
    }

    /// Holds an event against the schema of its type, and against that of all events.
    #[track_caller]
    pub fn check_event(&self, event: &Value) {
        let event_type = event["type"].as_str().expect("an event has a type");
        self.check(&format!("{event_type}.json"), event);
        self.check("event.json", event);
    }

    /// Holds a value against one file.
    #[track_caller]
    pub fn check(&self, name: &str, value: &Value) {
        let validator = self.validators.get(name).unwrap_or_else(|| panic!("there is no {name} for {value}"));
        let problems: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(problems.is_empty(), "{name}: {problems:#?} in {value}");
    }
}

/// Forbids whatever is not described.
fn close(schema: &mut Value) {
    if let Some(members) = schema.as_object_mut() {
        if members.get("properties").is_some_and(Value::is_object) && members.get("type") == Some(&json!("object")) {
            members.entry("additionalProperties").or_insert(json!(false));
        }
        members.iter_mut().filter(|(name, _)| *name != "examples").for_each(|(_, member)| close(member));
    }
    schema.as_array_mut().into_iter().flatten().for_each(close);
}
