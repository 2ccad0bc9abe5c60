//! Reads frames out of JSON text: their type first, then the fields that belong to it, and nothing else. What is wrong
//! with a field is told at its place. Values that pass through (args, results) are never parsed into trees and written
//! again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};

use crate::kinds::problem::below;
use crate::sessions::frames::FrameError;

/// One JSON object with a `type`, before its other fields are understood.
#[derive(Debug)]
pub struct Fields<'a> {
    type_name: Cow<'a, str>,
    members: Members<'a>,
}

/// The members of a JSON object.
#[derive(Debug, Default)]
struct Members<'a> {
    fields: BTreeMap<String, &'a RawValue>,
    /// The first that stands there twice: nobody can tell which was meant.
    repeated: Option<String>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'a>, D::Error> {
        deserializer.deserialize_map(Members::default())
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
    type Value = Members<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Members<'a>, A::Error> {
        while let Some((name, value)) = members.next_entry::<String, &'de RawValue>()? {
            if self.fields.contains_key(&name) {
                self.repeated.get_or_insert_with(|| name.clone());
            }
            self.fields.insert(name, value);
        }
        Ok(self)
    }
}

/// The most frames of one array.
pub const ARRAY_FRAMES_MAX: usize = 100_000;
/// The most elements of one array that are no frames: more, and it is no array of frames.
const STRANGE_ELEMENTS_MAX: usize = 100;

/// Reads one frame or an array of them, each for itself.
pub fn read_frames(text: &str) -> Result<Vec<Result<Fields<'_>, FrameError>>, FrameError> {
    if !text.trim_start().starts_with('[') {
        return read_frame(text).map(|frame| vec![Ok(frame)]);
    }
    let list: Vec<&RawValue> = serde_json::from_str(text).map_err(FrameError::not_json)?;
    if list.len() > ARRAY_FRAMES_MAX {
        return Err(FrameError::invalid(format!("an array has at most {ARRAY_FRAMES_MAX} frames; send several")));
    }
    let (mut frames, mut strange) = (Vec::with_capacity(list.len()), 0);
    for one in list {
        let frame = read_frame(one.get());
        strange += usize::from(frame.is_err());
        match frame {
            Err(error) if strange > STRANGE_ELEMENTS_MAX => return Err(error),
            frame => frames.push(frame),
        }
    }
    Ok(frames)
}

fn read_frame(text: &str) -> Result<Fields<'_>, FrameError> {
    let mut members: Members<'_> = serde_json::from_str(text).map_err(FrameError::not_json)?;
    let type_name = members.fields.remove("type").and_then(|raw| serde_json::from_str(raw.get()).ok());
    let type_name = type_name.ok_or_else(|| FrameError::invalid("a frame is a JSON object with a text `type`"))?;
    Ok(Fields { type_name, members })
}

/// What a frame that was cut off says in full before the cut: its members that are texts.
pub fn read_beginning(text: &str) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    // That it ends in the middle is known.
    let _ = Beginning(&mut texts).deserialize(&mut serde_json::Deserializer::from_str(text));
    texts
}

struct Beginning<'t>(&'t mut BTreeMap<String, String>);

impl<'de> DeserializeSeed<'de> for Beginning<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Beginning<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a frame")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some((name, value)) = members.next_entry::<String, &'de RawValue>()? {
            if let Ok(text) = serde_json::from_str(value.get()) {
                self.0.insert(name, text);
            }
        }
        Ok(())
    }
}

impl<'a> Fields<'a> {
    /// The fields of a frame whose type is known from elsewhere.
    pub fn of(type_name: &'static str, body: &'a str) -> Result<Fields<'a>, FrameError> {
        let members = serde_json::from_str(body).map_err(FrameError::not_json)?;
        Ok(Fields { type_name: Cow::Borrowed(type_name), members })
    }

    /// What sort of frame it is.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Takes one field out, if it is there and not null.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, FrameError> {
        let Some(raw) = self.members.fields.remove(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map_err(|error| FrameError::at(&self.type_name, below("", name), plain(&error)))
    }

    /// Looks at one field; none if it is not there or not of this sort.
    pub fn peek<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.members.fields.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// Understands all fields that are left; one too many is an error.
    pub fn into<T: DeserializeOwned>(self) -> Result<T, FrameError> {
        let Members { fields, repeated } = &self.members;
        if let Some(name) = repeated {
            return Err(FrameError::at(&self.type_name, below("", name), "is given twice; send it once"));
        }
        let fields = fields.iter().map(|(name, raw)| (name.as_str(), *raw));
        serde_path_to_error::deserialize(MapDeserializer::<_, serde_json::Error>::new(fields)).map_err(|error| {
            let text = plain(error.inner());
            FrameError::at(&self.type_name, pointer_to(error.path(), &text), text)
        })
    }
}

/// The pointer to the field that an error is about. One that is missing has no place, and is named by the text.
fn pointer_to(path: &Path, text: &str) -> String {
    let mut pointer = path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => below(&pointer, index),
        Segment::Map { key } => below(&pointer, key),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    });
    let named = ["missing field `", "unknown field `"].into_iter().find_map(|sort| text.strip_prefix(sort));
    if let Some(named) = named.and_then(|rest| rest.split('`').next())
        && pointer.rsplit('/').next() != Some(named)
    {
        pointer = below(&pointer, named);
    }
    pointer
}

/// The text of an error without a place: the places are those of single fields, which mean nothing to the worker.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
