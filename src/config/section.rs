//! Reads one table of `daybook.toml` key by key, and notes every problem with its line. Knows TOML, not what a key means.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::time::Millis;
use crate::kinds::fields::{Zero, span, unknown};

/// One thing that is wrong in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The line in the file, from 1; none for what is not in a file.
    pub line: Option<usize>,
    /// The key with its table, as in `kinds.resize.queue`.
    pub key: String,
    pub message: String,
}

/// The text of a file, and the problems found in it.
pub struct Findings<'t> {
    text: &'t str,
    pub problems: Vec<ConfigProblem>,
}

impl<'t> Findings<'t> {
    /// Begins with a text in which nothing is wrong yet.
    pub fn new(text: &'t str) -> Findings<'t> {
        Findings { text, problems: Vec::new() }
    }

    /// Notes a problem at a byte of the text.
    pub fn add(&mut self, at: usize, key: String, message: impl Display) {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        self.problems.push(ConfigProblem { line: Some(line), key, message: message.to_string() });
    }
}

/// One table.
pub struct Section<'a, 'f, 't> {
    table: &'a DeTable<'a>,
    path: String,
    at: usize,
    asked: Vec<&'static str>,
    findings: &'f mut Findings<'t>,
}

impl<'a, 'f, 't> Section<'a, 'f, 't> {
    /// Opens the table of a whole file.
    pub fn top(table: &'a Spanned<DeTable<'a>>, findings: &'f mut Findings<'t>) -> Section<'a, 'f, 't> {
        Section { table: table.get_ref(), path: String::new(), at: table.span().start, asked: Vec::new(), findings }
    }

    /// Opens a value that must be a table.
    pub fn open(
        value: &'a Spanned<DeValue<'a>>,
        path: String,
        findings: &'f mut Findings<'t>,
    ) -> Option<Section<'a, 'f, 't>> {
        let at = value.span().start;
        match value.get_ref() {
            DeValue::Table(table) => Some(Section { table, path, at, asked: Vec::new(), findings }),
            other => {
                findings.add(at, path, format!("must be a table, and is {}", other.type_str()));
                None
            }
        }
    }

    /// Notes a problem with one of the keys.
    pub fn problem(&mut self, key: &str, message: impl Display) {
        let at = self.table.get(key).map_or(self.at, |value| value.span().start);
        let key = self.path_of(key);
        self.findings.add(at, key, message);
    }

    /// The whole name of a key.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Reads a table below this one with `read`.
    pub fn table<T>(&mut self, key: &'static str, read: impl FnOnce(Section<'a, '_, 't>) -> T) -> Option<T> {
        let value = self.value(key)?;
        let path = self.path_of(key);
        Section::open(value, path, self.findings).map(read)
    }

    /// Reads each of the tables below a key: those that users name.
    pub fn named_tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&str, Section<'a, '_, 't>) -> T,
    ) -> Vec<T> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let path = self.path_of(key);
        let Some(parent) = Section::open(value, path, self.findings) else { return Vec::new() };
        let children = parent.table.iter().filter_map(|(name, value)| {
            let path = format!("{}.{}", parent.path, name.get_ref());
            Section::open(value, path, parent.findings).map(|section| read(name.get_ref(), section))
        });
        children.collect()
    }

    /// Reads each table of an array of tables.
    pub fn listed_tables<T>(&mut self, key: &'static str, mut read: impl FnMut(Section<'a, '_, 't>) -> T) -> Vec<T> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let DeValue::Array(elements) = value.get_ref() else {
            self.problem(key, "must be an array of tables");
            return Vec::new();
        };
        let path = self.path_of(key);
        let sections = elements.iter().enumerate().filter_map(|(place, element)| {
            Section::open(element, format!("{path}.{place}"), self.findings).map(&mut read)
        });
        sections.collect()
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Option<&'a str> {
        let value = self.value(key)?;
        value.get_ref().as_str().or_else(|| self.wrong(key, "a string", value))
    }

    /// A text that stands for something.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        let text = self.text(key)?;
        text.parse().map_err(|error| self.problem(key, error)).ok()
    }

    /// A yes or no.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        value.get_ref().as_bool().or_else(|| self.wrong(key, "true or false", value))
    }

    /// A whole number within a range.
    pub fn integer(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(key)?;
        let Some(integer) = value.get_ref().as_integer() else { return self.wrong(key, "a whole number", value) };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let fits = number.filter(|number| range.contains(number));
        if fits.is_none() {
            self.problem(key, format!("must be from {} to {}, and is {integer}", range.start(), range.end()));
        }
        fits
    }

    /// A span in seconds.
    pub fn seconds(&mut self, key: &'static str, zero: Zero) -> Option<Millis> {
        let value = self.value(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(integer) => integer.as_str().parse().ok(),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        let Some(seconds) = number else { return self.wrong(key, "a number of seconds", value) };
        span(seconds, zero).map_err(|message| self.problem(key, message)).ok()
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<&'a str>> {
        let value = self.value(key)?;
        let Some(elements) = value.get_ref().as_array() else { return self.wrong(key, "an array of strings", value) };
        let named = elements.iter().enumerate().map(|(place, element)| (place.to_string(), element));
        Some(self.each_text(key, named)?.into_iter().map(|(_, text)| text).collect())
    }

    /// A table of texts.
    pub fn text_pairs(&mut self, key: &'static str) -> Option<Vec<(String, &'a str)>> {
        let value = self.value(key)?;
        let Some(table) = value.get_ref().as_table() else { return self.wrong(key, "a table of strings", value) };
        self.each_text(key, table.iter().map(|(name, value)| (name.get_ref().to_string(), value)))
    }

    /// Values below a key that must be texts. Those that are none are named one by one.
    fn each_text(
        &mut self,
        key: &str,
        values: impl Iterator<Item = (String, &'a Spanned<DeValue<'a>>)>,
    ) -> Option<Vec<(String, &'a str)>> {
        let path = self.path_of(key);
        let mut texts = Some(Vec::new());
        for (name, value) in values {
            let problem = match value.get_ref().as_str() {
                Some(text) if text.contains('\0') => "has a NUL character, which no program can be given; leave it out",
                Some(text) => {
                    texts.iter_mut().for_each(|texts| texts.push((name.clone(), text)));
                    continue;
                }
                None => "must be a string; put it in quotes",
            };
            self.findings.add(value.span().start, format!("{path}.{name}"), problem);
            texts = None;
        }
        texts
    }

    /// A value of any type.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Ends the reading: keys that nobody asked for are not known.
    pub fn finish(self) {
        for (key, _) in self.table.iter().filter(|(key, _)| !self.asked.contains(&key.get_ref().as_ref())) {
            let message = unknown("key", key.get_ref(), self.asked.iter().copied());
            let path = self.path_of(key.get_ref());
            self.findings.add(key.span().start, path, message);
        }
    }

    fn wrong<T>(&mut self, key: &str, wanted: &str, value: &Spanned<DeValue>) -> Option<T> {
        self.problem(key, format!("must be {wanted}, and is {}", value.get_ref().type_str()));
        None
    }
}

/// A TOML value as JSON: for what is JSON everywhere else.
pub fn to_json(value: &DeValue) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => {
            let number = i64::from_str_radix(integer.as_str(), integer.radix());
            number.map_or(Value::Null, Value::from)
        }
        DeValue::Float(float) => float.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(yes) => Value::Bool(*yes),
        DeValue::Datetime(moment) => Value::String(moment.to_string()),
        DeValue::Array(elements) => elements.iter().map(|element| to_json(element.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(name, value)| (name.get_ref().to_string(), to_json(value.get_ref()))).collect()
        }
    }
}
