//! Makes the args of a job from what was typed: a JSON object, a file with one, stdin, or key=value pairs.

use std::io::Read;

use serde_json::map::Entry;
use serde_json::{Map, Value};

use crate::cli::failure::Failure;

const HINT: &str = "write a JSON object, @file, @- for stdin, or key=value pairs";
/// A little more than the 12 MiB that args may have, so that the server says what is too large.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads all that was given; what comes later wins over what came before.
pub fn args_of(typed: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut args = Map::new();
    for text in typed {
        if let Some(path) = text.strip_prefix('@') {
            args.extend(object_of(&read(path)?, text)?);
        } else if text.trim_start().starts_with('{') {
            args.extend(object_of(text, "--args")?);
        } else {
            set_pair(&mut args, text)?;
        }
    }
    Ok(args)
}

fn object_of(text: &str, place: &str) -> Result<Map<String, Value>, Failure> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Failure::of_asker(format!("{place} is JSON, but no object")).hint(HINT)),
        Err(error) => Err(Failure::of_asker(format!("{place} is not JSON: {error}")).hint(HINT)),
    }
}

fn read(path: &str) -> Result<String, Failure> {
    let read = |source: &mut dyn Read| {
        let mut text = String::new();
        source.take(FILE_BYTES_MAX).read_to_string(&mut text).map(|_| text)
    };
    let text = if path == "-" {
        read(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(|mut file| read(&mut file))
    };
    text.map_err(|error| {
        let name = if path == "-" { "stdin" } else { path };
        Failure::of_asker(format!("{name} could not be read: {error}")).hint(HINT)
    })
}

fn set_pair(args: &mut Map<String, Value>, text: &str) -> Result<(), Failure> {
    let Some((path, value)) = text.split_once('=').filter(|(path, _)| path.split('.').all(|key| !key.is_empty()))
    else {
        return Err(Failure::of_asker(format!("{text:?} is no key=value pair")).hint(HINT));
    };
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    let mut keys: Vec<&str> = path.split('.').collect();
    let last = keys.pop().expect("a split gives at least one part");
    let mut object = args;
    for key in keys {
        let inner = match object.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Value::Object(Map::new())),
        };
        object = inner.as_object_mut().ok_or_else(|| {
            let message = format!("{text:?} sets a key of {key}, which is no object");
            Failure::of_asker(message).hint("set its keys before, or give the whole as JSON")
        })?;
    }
    object.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(typed: &[&str]) -> Result<String, String> {
        let typed: Vec<String> = typed.iter().map(|text| (*text).to_owned()).collect();
        args_of(&typed).map(|args| Value::Object(args).to_string()).map_err(|failure| failure.message)
    }

    #[test]
    fn a_value_that_is_json_is_taken_as_such_and_all_else_is_text() {
        let pairs = [
            "n=3",
            "f=0.5",
            "yes=true",
            "list=[1,2]",
            "text=a lighthouse",
            "quoted=\"7\"",
            "url=http://h/?a=b",
            "empty=",
        ];
        assert_eq!(
            made(&pairs).as_deref(),
            Ok(
                r#"{"empty":"","f":0.5,"list":[1,2],"n":3,"quoted":"7","text":"a lighthouse","url":"http://h/?a=b","yes":true}"#
            )
        );
    }

    #[test]
    fn a_dot_sets_a_key_of_an_inner_object() {
        assert_eq!(made(&["a.b=1", "a.c.d=2"]).as_deref(), Ok(r#"{"a":{"b":1,"c":{"d":2}}}"#));
        assert_eq!(made(&["a=1", "a.b=2"]), Err("\"a.b=2\" sets a key of a, which is no object".into()));
    }

    #[test]
    fn objects_and_files_are_laid_over_each_other_in_the_order_given() {
        let file = tempfile::NamedTempFile::new().expect("a place for a file");
        std::fs::write(file.path(), r#"{"a": 1, "b": 1}"#).expect("written");
        let file = format!("@{}", file.path().display());
        assert_eq!(made(&[&file, r#"{"b": 2}"#, "c=3"]).as_deref(), Ok(r#"{"a":1,"b":2,"c":3}"#));
    }

    #[test]
    fn what_is_no_object_is_refused_in_words() {
        assert_eq!(made(&["lonely"]), Err("\"lonely\" is no key=value pair".into()));
        assert_eq!(made(&["a..b=1"]), Err("\"a..b=1\" is no key=value pair".into()));
        assert!(made(&["{\"a\": }"]).is_err_and(|message| message.starts_with("--args is not JSON")));
        assert!(
            made(&["@/nowhere/at/all"]).is_err_and(|message| message.starts_with("/nowhere/at/all could not be read"))
        );
    }
}
