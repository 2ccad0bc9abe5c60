//! States as requests name them: one, several, or `active` for all that are not terminal. The same in a query, in JSON and
//! in the filter of a subscription.

use crate::domain::job::StateName;
use crate::kinds::fields::Fields;

/// The states of which a job may still be moved.
const ACTIVE: &str = "active";
/// What `state` may be.
pub const STATES: &[&str] =
    &["active", "scheduled", "queued", "blocked", "running", "retryable", "completed", "failed", "cancelled"];

/// A state, or several of them; `active` stands for all that are not terminal.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore {
    One(#[schemars(extend("enum" = STATES))] String),
    More(#[schemars(extend("items" = { "enum": STATES, "type": "string" }))] Vec<String>),
}

/// The states in which a job may still be moved by others than a retry by hand.
pub fn active_states() -> impl Iterator<Item = StateName> {
    StateName::ALL.into_iter().filter(|state| !state.is_terminal())
}

/// The states in the field `state`; none: all.
pub fn read_states(fields: &mut Fields) -> Vec<StateName> {
    let Some(raw) = fields.raw("state") else { return Vec::new() };
    let texts = match serde_json::from_str(raw.get()) {
        Ok(OneOrMore::One(text)) => vec![text],
        Ok(OneOrMore::More(texts)) => texts,
        Err(_) => {
            fields.problem("state", "must be a state or an array of states");
            return Vec::new();
        }
    };
    let mut states = Vec::new();
    for text in texts {
        match parse_states(&text) {
            Ok(named) => join(&mut states, named),
            Err(message) => fields.problem("state", message),
        }
    }
    states
}

/// Adds what is not there yet: a list of states is never longer than there are states, however often they are named.
pub fn join(states: &mut Vec<StateName>, named: Vec<StateName>) {
    for state in named {
        if !states.contains(&state) {
            states.push(state);
        }
    }
}

/// The states that a word stands for.
///
/// # Errors
/// What is wrong with the word, for people.
pub fn parse_states(text: &str) -> Result<Vec<StateName>, String> {
    if text == ACTIVE {
        return Ok(active_states().collect());
    }
    let known = StateName::ALL.into_iter().find(|state| state.as_str() == text);
    known.map(|state| vec![state]).ok_or_else(|| {
        let names = StateName::ALL.map(StateName::as_str).join(", ");
        format!("{text:?} is no state; the states are {names}, and {ACTIVE} for all that are not terminal")
    })
}
