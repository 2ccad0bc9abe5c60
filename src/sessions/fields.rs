//! Reads frames out of JSON text: their type first, then the fields that belong to it, and nothing else. Values that
//! pass through (args, results) are never parsed into trees and written again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::sessions::frames::FrameError;

/// One JSON object with a `type`, before its other fields are understood.
#[derive(Debug)]
pub struct Fields<'a> {
    type_name: Cow<'a, str>,
    fields: BTreeMap<Cow<'a, str>, &'a RawValue>,
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
    let mut fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).map_err(FrameError::not_json)?;
    let type_name = fields.remove("type").and_then(|raw| serde_json::from_str(raw.get()).ok());
    let type_name = type_name.ok_or_else(|| FrameError::invalid("a frame is a JSON object with a text `type`"))?;
    Ok(Fields { type_name, fields })
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
        let fields = serde_json::from_str(body).map_err(FrameError::not_json)?;
        Ok(Fields { type_name: Cow::Borrowed(type_name), fields })
    }

    /// What sort of frame it is.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Takes one field out, if it is there and not null.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, FrameError> {
        let Some(raw) = self.fields.remove(name) else { return Ok(None) };
        serde_json::from_str(raw.get())
            .map_err(|error| FrameError::invalid(format!("{}: {name}: {}", self.type_name, plain(error))))
    }

    /// Looks at one field; none if it is not there or not of this sort.
    pub fn peek<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.fields.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// Understands all fields that are left; one too many is an error.
    pub fn into<T: DeserializeOwned>(self) -> Result<T, FrameError> {
        let fields = self.fields.iter().map(|(name, raw)| (name.as_ref(), *raw));
        T::deserialize(MapDeserializer::<_, serde_json::Error>::new(fields))
            .map_err(|error| FrameError::invalid(format!("{}: {}", self.type_name, plain(error))))
    }
}

/// The text of an error without a place: the places are those of single fields, which mean nothing to the worker.
fn plain(error: serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
