//! The bodies of events: which number stands for which type, and the struct of each version.
//!
//! A number is never given twice, not even after its type is gone.

use crate::domain::event::*;
use crate::log::codec::{BODY_BYTES_MAX, DecodeError};

/// The version in which all types are written at present.
pub const VERSION: u16 = 1;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<BODY_BYTES_MAX>,
> = bincode::config::standard().with_limit::<BODY_BYTES_MAX>();

macro_rules! types {
    ($($code:literal = $name:ident,)*) => {
        /// The number of the event's type.
        pub fn code_of(event: &Event) -> u16 {
            match event {
                $(Event::$name(_) => $code,)*
            }
        }

        /// Reads a body. All bytes must be consumed.
        pub fn decode(type_code: u16, version: u16, bytes: &[u8]) -> Result<Event, DecodeError> {
            match (type_code, version) {
                $(($code, 1) => read::<$name>(type_code, bytes).map(Event::$name),)*
                _ => Err(DecodeError::UnknownType { type_code, version }),
            }
        }
    };
}

types! {
    1 = EpochStarted,
    2 = JobSubmitted,
    3 = JobQueued,
    4 = JobStarted,
    5 = JobProgressed,
    6 = JobItemsAdded,
    7 = JobItemsReported,
    8 = JobCheckpointed,
    9 = JobFileStored,
    10 = JobAttemptFailed,
    11 = JobAttemptLost,
    12 = JobCancelRequested,
    13 = JobCompleted,
    14 = JobFailed,
    15 = JobCancelled,
    16 = JobRetried,
    17 = JobAmended,
    18 = JobLateResult,
    19 = QueuePaused,
    20 = QueueResumed,
    21 = WorkerJoined,
    22 = WorkerLeft,
    23 = JobScheduled,
    24 = QueueDraining,
    25 = QueueRateSpent,
    26 = ScheduleChanged,
    27 = ScheduleFired,
    28 = JobAdopted,
    29 = JobsForgotten,
    30 = JobPurged,
}

/// Appends an event's body to `out`.
pub fn encode(event: &Event, out: &mut Vec<u8>) -> Result<(), bincode::error::EncodeError> {
    bincode::serde::encode_into_writer(event, Appender(out), CONFIG)
}

fn read<T: serde::de::DeserializeOwned>(type_code: u16, bytes: &[u8]) -> Result<T, DecodeError> {
    let (data, consumed) =
        bincode::serde::decode_from_slice(bytes, CONFIG).map_err(|source| DecodeError::Body { type_code, source })?;
    match bytes.len() - consumed {
        0 => Ok(data),
        extra => Err(DecodeError::Rest { type_code, extra }),
    }
}

struct Appender<'a>(&'a mut Vec<u8>);

impl bincode::enc::write::Writer for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
