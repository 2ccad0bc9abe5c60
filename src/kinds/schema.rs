//! The schema of a kind's args: JSON Schema 2020-12, its defaults, and our keyword for base64.
//!
//! References stay within the schema's own document: nothing is fetched from a network or a file while it is compiled or
//! while args are checked.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::Value;

use crate::kinds::base64::{Base64Limit, Base64LimitError};
use crate::kinds::problem::{Problems, below};

/// How many steps of properties, items and references defaults are followed.
const DEFAULTS_DEPTH_MAX: usize = 32;

/// A compiled schema of args.
#[derive(Debug)]
pub struct ArgsSchema {
    document: Value,
    validator: Validator,
    base64: Option<Base64Limit>,
}

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("it is for {0}; JSON Schema 2020-12 is understood")]
    Draft(String),
    #[error("at {pointer}: {message}")]
    Malformed { pointer: String, message: String },
    #[error(transparent)]
    Base64(#[from] Base64LimitError),
}

impl ArgsSchema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// When it is of another draft, breaks the rules of its own, or refers to another document.
    pub fn compile(document: Value) -> Result<ArgsSchema, SchemaError> {
        let draft = document.get("$schema").and_then(Value::as_str);
        if let Some(draft) = draft.filter(|_| Draft::Draft202012.detect(&document) != Draft::Draft202012) {
            return Err(SchemaError::Draft(draft.to_owned()));
        }
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true).offline();
        let validator = options.build(&document).map_err(|error| SchemaError::Malformed {
            pointer: error.instance_path().to_string(),
            message: error.masked_with("the schema").to_string(),
        })?;
        let base64 = Base64Limit::of_schema(&document)?;
        Ok(ArgsSchema { document, validator, base64 })
    }

    /// The schema as it was given.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Fills in what the schema has a default for and the args lack. Says whether anything was filled in.
    pub fn fill_defaults(&self, args: &mut Value) -> bool {
        self.fill(&self.document, args, DEFAULTS_DEPTH_MAX)
    }

    /// What an empty object becomes: the defaults of the top level, for a form to start with.
    pub fn defaults(&self) -> Value {
        let mut args = Value::Object(serde_json::Map::new());
        self.fill_defaults(&mut args);
        args
    }

    /// Notes everything that is wrong with the args, which stand at `base` in the request.
    pub fn check(&self, args: &Value, base: &str, problems: &mut Problems) {
        for error in self.validator.iter_errors(args) {
            if problems.is_full() {
                return;
            }
            note(&error, base, problems);
        }
        if let Some(limit) = &self.base64 {
            limit.check(args, base, problems);
        }
    }

    fn fill(&self, schema: &Value, value: &mut Value, depth: usize) -> bool {
        depth > 0 && self.apply(schema, value, depth, &mut Vec::new())
    }

    /// Fills one value in. `applied` has the schemas that it met before: none is applied twice, or a schema that refers
    /// to itself would be followed along every path there is.
    fn apply<'a>(&'a self, schema: &'a Value, value: &mut Value, depth: usize, applied: &mut Vec<&'a Value>) -> bool {
        if !(value.is_object() || value.is_array()) || applied.iter().any(|other| std::ptr::eq(*other, schema)) {
            return false;
        }
        applied.push(schema);
        let mut filled = false;
        if let Some(referred) = self.referred(schema) {
            filled |= self.apply(referred, value, depth, applied);
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            filled |= self.apply(part, value, depth, applied);
        }
        match value {
            Value::Object(members) => filled | self.fill_members(schema, members, depth - 1),
            Value::Array(elements) => filled | self.fill_elements(schema, elements, depth - 1),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => filled,
        }
    }

    fn fill_members(&self, schema: &Value, members: &mut serde_json::Map<String, Value>, depth: usize) -> bool {
        let mut filled = false;
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if !members.contains_key(name) {
                let Some(default) = self.default_of(property, DEFAULTS_DEPTH_MAX) else { continue };
                members.insert(name.clone(), default.clone());
                filled = true;
            }
            let member = members.get_mut(name).expect("the member was there, or it was filled in");
            filled |= self.fill(property, member, depth);
        }
        filled
    }

    fn fill_elements(&self, schema: &Value, elements: &mut [Value], depth: usize) -> bool {
        let first: &[Value] = schema.get("prefixItems").and_then(Value::as_array).map_or(&[], Vec::as_slice);
        let rest = schema.get("items");
        let schemas = first.iter().map(Some).chain(std::iter::repeat(rest));
        let pairs = elements.iter_mut().zip(schemas).filter_map(|(element, schema)| Some((element, schema?)));
        pairs.fold(false, |filled, (element, schema)| self.fill(schema, element, depth) | filled)
    }

    fn default_of<'a>(&'a self, schema: &'a Value, depth: usize) -> Option<&'a Value> {
        let beyond = || self.referred(schema).filter(|_| depth > 0).and_then(|next| self.default_of(next, depth - 1));
        schema.get("default").or_else(beyond)
    }

    /// The schema in the same document that a plain `$ref` names.
    fn referred(&self, schema: &Value) -> Option<&Value> {
        let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.document.pointer(pointer)
    }
}

/// Puts an error where a form would show it: at the member that is missing or that nobody knows.
fn note(error: &ValidationError<'_>, base: &str, problems: &mut Problems) {
    let pointer = format!("{base}{}", error.instance_path());
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            problems.add(below(&pointer, property.as_str().unwrap_or_default()), "is missing");
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            unexpected.iter().for_each(|name| problems.add(below(&pointer, name), "is not known"));
        }
        _ => problems.add(pointer, error.masked_with("the value")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(document: Value) -> ArgsSchema {
        ArgsSchema::compile(document).expect("a schema")
    }

    fn filled(document: Value, mut args: Value) -> Value {
        schema(document).fill_defaults(&mut args);
        args
    }

    fn pointers(document: Value, args: Value) -> Vec<String> {
        let mut problems = Problems::default();
        schema(document).check(&args, "/args", &mut problems);
        problems.into_list().into_iter().map(|problem| problem.pointer).collect()
    }

    #[test]
    fn defaults_are_filled_in_also_within_objects_lists_and_through_references() {
        let document = json!({
            "$defs": {"size": {"type": "object", "default": {}, "properties": {"width": {"default": 640}}}},
            "properties": {
                "steps": {"default": 8},
                "size": {"$ref": "#/$defs/size"},
                "parts": {"items": {"properties": {"weight": {"default": 1}}}}
            }
        });
        let args = filled(document, json!({"steps": 3, "parts": [{}, {"weight": 2}, 5]}));
        let expected = json!({"steps": 3, "size": {"width": 640}, "parts": [{"weight": 1}, {"weight": 2}, 5]});
        assert_eq!(args, expected);
    }

    #[test]
    fn a_schema_that_refers_to_itself_has_an_end() {
        let document = json!({"$ref": "#", "properties": {"next": {"$ref": "#", "default": {}}}});
        let nested = filled(document, json!({})).to_string();
        assert!(nested.contains("next"));
        assert!(nested.matches("next").count() <= DEFAULTS_DEPTH_MAX, "{nested}");
    }

    #[test]
    fn every_error_stands_at_its_own_pointer() {
        let document = json!({
            "properties": {"steps": {"type": "integer", "maximum": 100}, "cfg": {"type": "number"}},
            "required": ["prompt"], "additionalProperties": false
        });
        let mut found = pointers(document, json!({"steps": 500, "cfg": "high", "setps": 1}));
        found.sort();
        assert_eq!(found, ["/args/cfg", "/args/prompt", "/args/setps", "/args/steps"]);
    }

    #[test]
    fn an_error_never_repeats_the_value() {
        let mut problems = Problems::default();
        schema(json!({"properties": {"image": {"type": "integer"}}})).check(
            &json!({"image": "SECRET"}),
            "/args",
            &mut problems,
        );
        assert_eq!(problems.into_list()[0].message, "the value is not of type \"integer\"");
    }

    #[test]
    fn a_broken_foreign_or_remote_schema_is_refused() {
        let refused = |document: Value| ArgsSchema::compile(document).expect_err("cannot be used").to_string();
        assert!(refused(json!({"type": "nonsense"})).contains("/type"));
        assert!(refused(json!({"$schema": "http://json-schema.org/draft-07/schema#"})).contains("2020-12"));
        refused(json!({"$ref": "https://example.invalid/other.json"}));
    }
}
