//! Moments and spans as numbers. There is no clock here: time comes in as an argument (D1).

use std::fmt;
use std::num::NonZeroI64;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment: milliseconds since 1970 UTC. In JSON an RFC 3339 text with milliseconds and `Z`.
///
/// The very moment 0 does not exist (it becomes 1 ms), so that an absent time costs no room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroI64);

/// The last moment that can be written as RFC 3339 in every time zone: a day before the end of the year 9999.
const LAST_MS: i64 = 253_402_207_199_999;

impl Timestamp {
    /// The last moment that there is.
    pub const LAST: Timestamp = Timestamp(NonZeroI64::new(LAST_MS).expect("it is above zero"));

    /// Takes milliseconds since 1970, held between 1970 and the last day but one of the year 9999.
    pub fn from_ms(ms: i64) -> Timestamp {
        Timestamp(NonZeroI64::new(ms.clamp(1, LAST_MS)).expect("a clamped moment is above zero"))
    }

    /// Milliseconds since 1970.
    pub fn as_ms(self) -> i64 {
        self.0.get()
    }

    /// The moment `span` later; never past the last one that can be written.
    pub fn plus(self, span: Millis) -> Timestamp {
        Timestamp::from_ms(self.as_ms().saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is before.
    pub fn since(self, earlier: Timestamp) -> Millis {
        Millis(self.as_ms().saturating_sub(earlier.as_ms()).max(0) as u64)
    }

    /// Reads an RFC 3339 text with any offset.
    pub fn parse(text: &str) -> Result<Timestamp, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(|moment| Timestamp::from_ms(moment.as_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.as_ms()).expect("a moment lies between 1970 and 9999");
        write!(f, "{moment:.3}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.as_ms())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.as_ms().serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Timestamp::parse(&text).map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Timestamp::from_ms)
        }
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        if generator.contract().is_deserialize() {
            return schemars::json_schema!({
                "type": "string",
                "format": "date-time",
                "description": "A moment: RFC 3339 with any offset; kept to the millisecond."
            });
        }
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$",
            "description": "A moment: RFC 3339, always UTC with milliseconds and `Z`."
        })
    }
}

/// A span of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// A span of whole seconds.
    pub const fn from_secs(secs: u64) -> Millis {
        Millis(secs * 1000)
    }

    /// The span in seconds, as the `…_s` fields show it.
    pub fn as_secs(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_utc_with_milliseconds_and_read_with_any_offset() {
        let moment = Timestamp::parse("2026-11-22T06:00:00.5+01:00").expect("RFC 3339");
        assert_eq!(moment.to_string(), "2026-11-22T05:00:00.500Z");
        assert_eq!(serde_json::to_string(&moment).expect("writes"), "\"2026-11-22T05:00:00.500Z\"");
        assert_eq!(size_of::<Option<Timestamp>>(), 8);
    }

    #[test]
    fn moments_never_leave_what_can_be_written() {
        let late = Timestamp::from_ms(i64::MAX).plus(Millis(u64::MAX));
        assert_eq!((late, late.to_string().as_str()), (Timestamp::LAST, "9999-12-30T21:59:59.999Z"));
        assert_eq!(Timestamp::from_ms(0).as_ms(), 1);
    }
}
