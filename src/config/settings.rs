//! The settings that flags, environment and file may all give: read from each, then laid over each other.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::config::section::{ConfigProblem, Section};
use crate::config::{ConfigError, ResetOnStartup};
use crate::domain::time::Millis;
use crate::kinds::fields::{Zero, span};

/// What the command line may say, as it was typed.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub listen: Option<String>,
    /// `true`, `false` or `archive`; without a value `true`.
    pub reset_on_startup: Option<String>,
    pub insecure: bool,
    pub accept_data_loss: bool,
}

/// One layer of settings; what is none is left to the layer below.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub listen: Option<SocketAddr>,
    pub data: Option<PathBuf>,
    pub reset_on_startup: Option<ResetOnStartup>,
    pub strict_kinds: Option<bool>,
    pub lease: Option<Millis>,
    pub reconnect_grace: Option<Millis>,
    pub min_free_bytes: Option<u64>,
    pub insecure: Option<bool>,
}

impl Settings {
    pub fn of_flags(flags: &Flags, current: &Path) -> Result<Settings, ConfigError> {
        let text = |key: &str| match key {
            "listen" => flags.listen.clone(),
            "reset_on_startup" => flags.reset_on_startup.clone(),
            _ => None,
        };
        let name = |key: &str| format!("--{}", key.replace('_', "-"));
        let settings = Settings::of_texts("the command line", &text, &name)?;
        let data = flags.data.as_ref().map(|data| current.join(data));
        Ok(Settings { data, insecure: flags.insecure.then_some(true), ..settings })
    }

    pub fn of_environment(variable: &dyn Fn(&str) -> Option<String>, current: &Path) -> Result<Settings, ConfigError> {
        let name = |key: &str| format!("DAYBOOK_{}", key.to_ascii_uppercase());
        let text = |key: &str| variable(&name(key)).filter(|text| !text.is_empty());
        let settings = Settings::of_texts("the environment", &text, &name)?;
        Ok(Settings { data: text("data").map(|data| current.join(data)), ..settings })
    }

    /// Reads the keys of the file's top level.
    pub fn of_section(section: &mut Section, directory: &Path) -> Settings {
        Settings {
            listen: section.text("listen").and_then(|text| in_section(section, "listen", parse_listen(text))),
            data: section.text("data").map(|data| directory.join(data)),
            reset_on_startup: reset_of_section(section),
            strict_kinds: section.boolean("strict_kinds"),
            lease: section.seconds("lease_s", Zero::Refused),
            reconnect_grace: section.seconds("reconnect_grace_s", Zero::Allowed),
            min_free_bytes: section.integer("min_free_bytes", 0..=i64::MAX).map(|number| number as u64),
            insecure: None,
        }
    }

    /// Lays this layer over another.
    pub fn or(self, below: Settings) -> Settings {
        Settings {
            listen: self.listen.or(below.listen),
            data: self.data.or(below.data),
            reset_on_startup: self.reset_on_startup.or(below.reset_on_startup),
            strict_kinds: self.strict_kinds.or(below.strict_kinds),
            lease: self.lease.or(below.lease),
            reconnect_grace: self.reconnect_grace.or(below.reconnect_grace),
            min_free_bytes: self.min_free_bytes.or(below.min_free_bytes),
            insecure: self.insecure.or(below.insecure),
        }
    }

    fn of_texts(
        from: &str,
        text: &dyn Fn(&str) -> Option<String>,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Settings, ConfigError> {
        let mut problems = Vec::new();
        let mut texts = Texts { text, name, problems: &mut problems };
        let settings = Settings {
            listen: texts.read("listen", parse_listen),
            data: None,
            reset_on_startup: texts.read("reset_on_startup", parse_reset),
            strict_kinds: texts.read("strict_kinds", parse_yes_or_no),
            lease: texts.read("lease_s", |text| parse_seconds(text, Zero::Refused)),
            reconnect_grace: texts.read("reconnect_grace_s", |text| parse_seconds(text, Zero::Allowed)),
            min_free_bytes: texts.read("min_free_bytes", |text| text.parse().map_err(|_| "must be a number of bytes")),
            insecure: texts.read("insecure", parse_yes_or_no),
        };
        if problems.is_empty() { Ok(settings) } else { Err(ConfigError::Invalid { file: from.to_owned(), problems }) }
    }
}

/// Settings that come as plain texts.
struct Texts<'a> {
    text: &'a dyn Fn(&str) -> Option<String>,
    name: &'a dyn Fn(&str) -> String,
    problems: &'a mut Vec<ConfigProblem>,
}

impl Texts<'_> {
    fn read<T, E: Display>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let text = (self.text)(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                let key = (self.name)(key);
                self.problems.push(ConfigProblem { line: None, key, message: message.to_string() });
                None
            }
        }
    }
}

fn in_section<T>(section: &mut Section, key: &str, value: Result<T, impl Display>) -> Option<T> {
    value.map_err(|message| section.problem(key, message)).ok()
}

fn reset_of_section(section: &mut Section) -> Option<ResetOnStartup> {
    let value = section.value("reset_on_startup")?.get_ref();
    let text = value.as_bool().map(|yes| yes.to_string()).or_else(|| value.as_str().map(str::to_owned));
    in_section(section, "reset_on_startup", parse_reset(text.as_deref().unwrap_or("neither")))
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        .ok_or_else(|| format!("must be an address and a port, such as 127.0.0.1:7878, and is {text:?}"))
}

fn parse_reset(text: &str) -> Result<ResetOnStartup, &'static str> {
    match text {
        "false" => Ok(ResetOnStartup::No),
        "true" | "" => Ok(ResetOnStartup::Delete),
        "archive" => Ok(ResetOnStartup::Archive),
        _ => Err("must be true, false or \"archive\""),
    }
}

fn parse_yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false"),
    }
}

fn parse_seconds(text: &str, zero: Zero) -> Result<Millis, String> {
    let seconds = text.parse().map_err(|_| format!("must be a number of seconds, and is {text:?}"))?;
    span(seconds, zero)
}
