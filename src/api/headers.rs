//! The headers that mean something to clients, as the description of the interface names them. It describes; the answers
//! get theirs in `reply` and `door`.

use serde_json::{Map, Value, json};

use crate::api::requests::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::domain::limits::SEQ_MAX;

/// On every answer.
pub const ALWAYS: [&str; 1] = ["Daybook-Epoch"];
/// On whatever was read or written.
pub const DAYBOOK_SEQ: &str = "Daybook-Seq";
/// On answers that ask for patience.
pub const RETRY_AFTER: &str = "Retry-After";

/// The headers of answers: which they are, what they mean, whether they are there whenever they are described.
fn table() -> [(&'static str, &'static str, bool, Value); 9] {
    let text = || json!({"type": "string"});
    [
        (
            "Daybook-Epoch",
            "The UUID that the server made at its start: its instance.",
            true,
            json!({"type": "string", "format": "uuid"}),
        ),
        (
            DAYBOOK_SEQ,
            "The number of an event: the answer shows at least everything up to it.",
            true,
            json!({"type": "integer", "minimum": 0, "maximum": SEQ_MAX}),
        ),
        (RETRY_AFTER, "Seconds after which to ask again.", false, json!({"type": "integer", "minimum": 1})),
        ("Location", "Where the job is.", false, json!({"type": "string", "format": "uri-reference"})),
        (
            "Idempotency-Replayed",
            "`true`: an earlier request with this key was answered, and this is the same answer.",
            false,
            json!({"const": "true"}),
        ),
        ("ETag", "What tells this file from another of the same name.", true, text()),
        ("Accept-Ranges", "The file can be read in part.", true, json!({"const": "bytes"})),
        ("Content-Disposition", "The name under which to save the file.", true, text()),
        ("Content-Range", "Which bytes of the file these are, and how many it has.", true, text()),
    ]
}

/// All of them, to be referred to.
pub fn components() -> Map<String, Value> {
    let described = table().into_iter().map(|(name, description, required, schema)| {
        (name.to_owned(), json!({"description": description, "required": required, "schema": schema}))
    });
    described.collect()
}

/// References to some of them.
pub fn references<'a>(names: impl Iterator<Item = &'a &'static str>) -> Map<String, Value> {
    names.map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}))).collect()
}

/// The schema of a header that clients send.
pub fn of_request(name: &str) -> Value {
    match name {
        "Idempotency-Key" => json!({"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX}),
        "Last-Event-ID" => json!({"type": "string", "pattern": "^([0-9a-fA-F-]{36}:)?[0-9]+$"}),
        _ => json!({"type": "string"}),
    }
}
