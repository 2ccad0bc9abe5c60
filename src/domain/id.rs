//! Names and numbers of things, as types: parsed once at the edge, never passed on as bare strings.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::limits::{NAME_BYTES_MAX, SEQ_MAX};
use crate::domain::time::Timestamp;

/// The number of an event in the log: from 1, without holes, below 2^53. 0 stands before the first event.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
#[schemars(extend("maximum" = SEQ_MAX))]
pub struct Seq(pub u64);

impl Seq {
    /// The place before the first event.
    pub const ZERO: Seq = Seq(0);

    /// The number after this one.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a job in the order of submission, from 1. A job's id carries it (J4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ordinal(pub u64);

impl Ordinal {
    /// The largest one that an id can carry: 40 bits.
    pub const MAX: Ordinal = Ordinal((1 << 40) - 1);

    /// The number after this one.
    pub fn next(self) -> Ordinal {
        Ordinal(self.0 + 1)
    }
}

/// The number of an ending in the order of endings, from 1: the place of a finished job in the stored views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FinishOrdinal(pub u64);

/// A job's id: a UUIDv7 whose 74 free bits are the job's [`Ordinal`] (40 bits) and chance (34 bits).
///
/// Ids therefore sort in the order of submission, and no index from id to job is needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(description = "A job's id: a UUIDv7. Ids sort in the order of submission.")]
pub struct JobId(Uuid);

const CHANCE_BITS: u32 = 34;

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is a UUID with its four hyphens, as in 0197a000-0000-7000-8000-000000000000")]
pub struct IdError;

/// Reads a UUID in its one form: 36 characters with hyphens. Upper case is taken too (RFC 9562: case does not matter);
/// braces, `urn:uuid:` and 32 bare digits are not, so that one job has one path.
fn parse_uuid(text: &str) -> Result<Uuid, IdError> {
    let has_form = text.len() == uuid::fmt::Hyphenated::LENGTH;
    has_form.then(|| Uuid::try_parse(text).ok()).flatten().ok_or(IdError)
}

impl JobId {
    /// Makes the id of the job number `ordinal`, submitted at `at`; `chance` gives the 34 free bits.
    pub fn new(at: Timestamp, ordinal: Ordinal, chance: u64) -> JobId {
        assert!(ordinal <= Ordinal::MAX, "a log holds fewer than 2^40 jobs");
        let ms = (at.as_ms() as u128) & 0xffff_ffff_ffff;
        let high = (ordinal.0 >> 28) as u128 & 0xfff;
        let low = (((ordinal.0 & 0x0fff_ffff) << CHANCE_BITS) | (chance & ((1 << CHANCE_BITS) - 1))) as u128;
        JobId(Uuid::from_u128(ms << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low))
    }

    /// The ordinal that the id carries. Of a foreign UUID it is a number without meaning: compare the whole id.
    pub fn ordinal(self) -> Ordinal {
        let bits = self.0.as_u128();
        let high = (bits >> 64) as u64 & 0xfff;
        let low = (bits as u64 & ((1 << 62) - 1)) >> CHANCE_BITS;
        Ordinal(high << 28 | low)
    }

    /// The id as a plain UUID.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for JobId {
    fn from(uuid: Uuid) -> JobId {
        JobId(uuid)
    }
}

impl FromStr for JobId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<JobId, IdError> {
        parse_uuid(text).map(JobId)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}:{}", self.ordinal().0, self.0)
    }
}

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<$name, IdError> {
                parse_uuid(text).map($name)
            }
        }
    };
}

uuid_newtype! {
    /// The UUID that the server makes at each start: its instance id.
    Epoch
}
uuid_newtype! {
    /// A worker's session, issued by the server at registration.
    SessionId
}

/// The hash of a lease's secret token; the token itself is known to its worker only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(pub [u8; 16]);

/// A lease's secret, as the worker holds it. It is shown to its worker and to nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseToken(Arc<str>);

impl LeaseToken {
    /// Takes the text that a worker sent, or that chance made.
    pub fn new(text: impl Into<Arc<str>>) -> LeaseToken {
        LeaseToken(text.into())
    }

    /// The text to send to the worker that holds the lease.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the log and the state keep of the token.
    pub fn hash(&self) -> TokenHash {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::hash(self.0.as_bytes()).as_bytes()[..16]);
        TokenHash(short)
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseToken(…)")
    }
}

/// Why a name was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 128 characters of a-z A-Z 0-9 . _ - : and begins with a letter or a digit")]
pub struct NameError;

fn check_name(text: &str) -> Result<(), NameError> {
    let first_fits = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let all_fit = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte));
    if first_fits && all_fit && text.len() <= NAME_BYTES_MAX { Ok(()) } else { Err(NameError) }
}

macro_rules! name_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        #[schemars(extend(
            "minLength" = 1,
            "maxLength" = NAME_BYTES_MAX,
            "pattern" = "^[A-Za-z0-9][A-Za-z0-9._:-]*$"
        ))]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The shared text, for interning.
            pub fn shared(&self) -> &Arc<str> {
                &self.0
            }

            /// Takes a text that was checked before: by [`FromStr`], or because the log holds it.
            pub fn from_checked(text: Arc<str>) -> $name {
                $name(text)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<$name, NameError> {
                check_name(text).map(|()| $name(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_newtype! {
    /// Which program runs a job.
    KindName
}
name_newtype! {
    /// Where a job waits.
    QueueName
}
name_newtype! {
    /// What makes jobs again and again.
    ScheduleName
}

/// A label of a job: at most 128 bytes of any text.
pub type Tag = Arc<str>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_carries_its_ordinal_and_is_a_version_7_uuid() {
        let at = Timestamp::from_ms(1_790_000_000_123);
        for ordinal in [0, 1, (1 << 28) - 1, 1 << 28, Ordinal::MAX.0] {
            let id = JobId::new(at, Ordinal(ordinal), u64::MAX);
            assert_eq!(id.ordinal(), Ordinal(ordinal));
            assert_eq!(id.uuid().get_version_num(), 7);
            assert_eq!(id.uuid().get_variant(), uuid::Variant::RFC4122);
            let (seconds, nanos) = id.uuid().get_timestamp().expect("version 7 has a time").to_unix();
            assert_eq!(seconds as i64 * 1000 + i64::from(nanos) / 1_000_000, at.as_ms());
        }
    }

    #[test]
    fn an_id_is_read_with_hyphens_only_and_its_case_does_not_matter() {
        let text = "0197a000-0000-7000-8abc-000000000000";
        let id: JobId = text.parse().expect("an id");
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        let bare = text.replace('-', "");
        for other in [format!("{{{text}}}"), format!("urn:uuid:{text}"), bare, format!("{text} "), String::new()] {
            assert_eq!(other.parse::<JobId>(), Err(IdError), "{other:?}");
            assert_eq!(other.parse::<SessionId>(), Err(IdError), "{other:?}");
        }
    }

    #[test]
    fn ids_sort_in_the_order_of_submission() {
        let at = Timestamp::from_ms(1_790_000_000_123);
        let earlier = JobId::new(at, Ordinal(0xfff_ffff), u64::MAX);
        let later = JobId::new(at, Ordinal(0x1000_0000), 0);
        assert!(earlier < later);
    }

    #[test]
    fn a_name_that_could_not_stand_in_a_path_is_refused() {
        for bad in ["", "a b", "a/b", ".hidden", "ü", &"x".repeat(129)] {
            assert_eq!(bad.parse::<KindName>(), Err(NameError), "{bad:?}");
        }
        assert_eq!("img.resize-2:x_y".parse::<KindName>().expect("fits").as_str(), "img.resize-2:x_y");
    }
}
