//! Jobs as bytes, for snapshots and stored views: a head, and the items of a batch apart from it, so that a row can be
//! read without a hundred thousand items.
//!
//! ```text
//!   job:    version u8 │ length of the head u32 │ head │ items
//!   head:   bincode of `HeadV1`; has the items' counts, not the items
//!   items:  bincode of each item, one after the other
//! ```
//!
//! Numbers are little endian. A shipped version is frozen, as everywhere in the codec: a change is a new version beside
//! the old one and a total function from the old struct. A golden file guards the bytes. This module must never guess:
//! every byte is consumed, or the job is damaged.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::batch::{Item, ItemCounts, Items};
use crate::domain::id::{JobId, KindName, QueueName, Seq, Tag};
use crate::domain::job::{EndedRun, Extras, FileInfo, Job, JobError, JobState, Progress, Relations};
use crate::domain::retry::Policy;
use crate::domain::time::Timestamp;

/// The version of the bytes of a job.
pub const JOB_VERSION: u8 = 1;

/// The most bytes of one encoded part: what a damaged length may make us reserve.
const PART_BYTES_MAX: usize = 64 * 1024 * 1024;

const HEAD_AT: usize = 5;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<PART_BYTES_MAX>,
> = bincode::config::standard().with_limit::<PART_BYTES_MAX>();

/// Why bytes are no job.
#[derive(Debug, thiserror::Error)]
pub enum JobDecodeError {
    #[error("a job has the unknown version {0}; a newer daybook may have written it")]
    UnknownVersion(u8),
    #[error("the bytes of a job end early")]
    Cut,
    #[error("the {part} of a job cannot be read")]
    Part { part: &'static str, source: bincode::error::DecodeError },
    #[error("the {part} of a job has {extra} bytes too many")]
    Rest { part: &'static str, extra: usize },
    #[error("the items of a job are not those that were counted")]
    Items,
}

/// A frozen mirror of a domain struct, with `of` and `back` between the two. The fields are in the order of the bytes;
/// each has the name and the type that it has there, or says with which two functions it goes over and back. A field
/// that is missing here does not compile.
macro_rules! mirror {
    ($(#[$doc:meta])* $Mirror:ident of $Source:ident { $($field:ident: $type:ty $([$over:path, $back:path])?,)* }) => {
        $(#[$doc])*
        #[derive(Serialize, Deserialize)]
        struct $Mirror {
            $($field: $type,)*
        }

        impl $Mirror {
            fn of(source: &$Source) -> $Mirror {
                let $Source { $($field,)* } = source.clone();
                $Mirror { $($field: mirror!(@convert $field $($over)?),)* }
            }

            fn back(self) -> $Source {
                let $Mirror { $($field,)* } = self;
                $Source { $($field: mirror!(@convert $field $($back)?),)* }
            }
        }
    };
    (@convert $value:ident) => { $value };
    (@convert $value:ident $convert:path) => { $convert($value) };
}

mirror! {
    /// A job in version 1, without its items.
    HeadV1 of Job {
        id: JobId,
        seq: Seq,
        submitted: Seq,
        kind: KindName,
        queue: QueueName,
        tags: Option<Arc<Vec<Tag>>>,
        policy: Arc<Policy>,
        relations: Option<Arc<Relations>>,
        state: JobState,
        created_at: Timestamp,
        updated_at: Timestamp,
        queued_at: Option<Timestamp>,
        attempt: u32,
        failures: u32,
        lost_count: u32,
        priority: i8,
        extras: Option<ExtrasV1> [extras_over, extras_back],
    }
}

mirror! {
    /// What most jobs have only once they run; of the items only their counts.
    ExtrasV1 of Extras {
        last_run: Option<EndedRun>,
        progress: Option<Arc<Progress>>,
        progress_at: Option<Timestamp>,
        items: Option<ItemCounts> [counts_of, without_items],
        error: Option<Arc<JobError>>,
        checkpoint: Option<Seq>,
        result: Option<Seq>,
        files: Vec<FileInfo>,
        late: u8,
    }
}

fn extras_over(extras: Option<Arc<Extras>>) -> Option<ExtrasV1> {
    extras.map(|extras| ExtrasV1::of(&extras))
}

fn extras_back(extras: Option<ExtrasV1>) -> Option<Arc<Extras>> {
    extras.map(|extras| Arc::new(extras.back()))
}

fn counts_of(items: Option<Items>) -> Option<ItemCounts> {
    items.map(|items| items.counts())
}

/// The items themselves come later, see [`with_items`].
fn without_items(_: Option<ItemCounts>) -> Option<Items> {
    None
}

impl HeadV1 {
    fn into_job(self) -> (Job, Option<ItemCounts>) {
        let counts = self.extras.as_ref().and_then(|extras| extras.items);
        (self.back(), counts)
    }
}

/// A job in one piece.
pub fn encode_job(job: &Job) -> Vec<u8> {
    let mut bytes = vec![JOB_VERSION, 0, 0, 0, 0];
    append(&mut bytes, &HeadV1::of(job));
    let length = u32::try_from(bytes.len() - HEAD_AT).expect("a head is far smaller than 4 GiB");
    bytes[1..HEAD_AT].copy_from_slice(&length.to_le_bytes());
    for item in job.items().into_iter().flat_map(|items| items.list()) {
        append(&mut bytes, item);
    }
    bytes
}

/// Reads a job in one piece.
pub fn decode_job(bytes: &[u8]) -> Result<Job, JobDecodeError> {
    let (&version, rest) = bytes.split_first().ok_or(JobDecodeError::Cut)?;
    check_version(version)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(JobDecodeError::Cut)?;
    let (head, items) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(JobDecodeError::Cut)?;
    let (job, counts) = read::<HeadV1>("head", head)?.into_job();
    with_items(job, counts, decode_items(items)?)
}

/// A job without its items, but for their counts.
pub fn encode_head(job: &Job) -> Vec<u8> {
    let mut bytes = vec![JOB_VERSION];
    append(&mut bytes, &HeadV1::of(job));
    bytes
}

/// Reads a job without its items, and their counts if it is a batch.
pub fn decode_head(bytes: &[u8]) -> Result<(Job, Option<ItemCounts>), JobDecodeError> {
    let (&version, head) = bytes.split_first().ok_or(JobDecodeError::Cut)?;
    check_version(version)?;
    Ok(read::<HeadV1>("head", head)?.into_job())
}

/// The items of a job in pieces of about `piece_bytes` bytes, in order; a longer piece holds a single item.
pub fn encode_items(job: &Job, piece_bytes: usize) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for item in job.items().into_iter().flat_map(|items| items.list()) {
        let mut bytes = Vec::new();
        append(&mut bytes, item);
        match pieces.last_mut() {
            Some(piece) if piece.len() + bytes.len() <= piece_bytes => piece.extend(bytes),
            _ => pieces.push(bytes),
        }
    }
    pieces
}

/// Reads one piece of a job's items.
pub fn decode_items(mut bytes: &[u8]) -> Result<Vec<Item>, JobDecodeError> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let (item, length) = bincode::serde::decode_from_slice(bytes, CONFIG)
            .map_err(|source| JobDecodeError::Part { part: "items", source })?;
        items.push(item);
        bytes = &bytes[length..];
    }
    Ok(items)
}

/// Gives a job the items that its head counted.
pub fn with_items(mut job: Job, counts: Option<ItemCounts>, items: Vec<Item>) -> Result<Job, JobDecodeError> {
    let items = Items::from_list(items);
    if items.counts() != counts.unwrap_or_default() {
        return Err(JobDecodeError::Items);
    }
    if counts.is_some() {
        job.extras_mut().items = Some(items);
    }
    Ok(job)
}

fn check_version(version: u8) -> Result<(), JobDecodeError> {
    if version == JOB_VERSION { Ok(()) } else { Err(JobDecodeError::UnknownVersion(version)) }
}

fn append(bytes: &mut Vec<u8>, part: &impl Serialize) {
    bincode::serde::encode_into_std_write(part, bytes, CONFIG).expect("a job has a binary form, and memory takes it");
}

fn read<T: DeserializeOwned>(part: &'static str, bytes: &[u8]) -> Result<T, JobDecodeError> {
    let (value, length) =
        bincode::serde::decode_from_slice(bytes, CONFIG).map_err(|source| JobDecodeError::Part { part, source })?;
    if length == bytes.len() { Ok(value) } else { Err(JobDecodeError::Rest { part, extra: bytes.len() - length }) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::domain::batch::ITEMS_MAX;
    use crate::log::job_samples::{in_every_state, plain_job, rich_job};

    #[test]
    fn a_job_in_any_state_comes_back_as_it_was() {
        for job in in_every_state() {
            assert_eq!(decode_job(&encode_job(&job)).unwrap(), job);
        }
        let plain = plain_job(1, 1);
        assert_eq!(decode_job(&encode_job(&plain)).unwrap(), plain);
    }

    #[test]
    fn a_head_has_the_counts_of_the_items_and_not_the_items() {
        let job = rich_job(1, 2, 10);
        let (head, counts) = decode_head(&encode_head(&job)).unwrap();
        assert_eq!(counts, job.items().map(|items| items.counts()));
        assert_eq!(head.items(), None);
        let pieces = encode_items(&job, 40);
        assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.len() <= 40));
        let items = pieces.iter().flat_map(|piece| decode_items(piece).unwrap()).collect();
        assert_eq!(with_items(head, counts, items).unwrap(), job);
    }

    #[test]
    fn a_batch_of_a_hundred_thousand_items_comes_back_as_it_was() {
        let job = rich_job(1, 2, ITEMS_MAX);
        let bytes = encode_job(&job);
        assert!(bytes.len() < ITEMS_MAX * 20, "{} bytes", bytes.len());
        assert_eq!(decode_job(&bytes).unwrap(), job);
    }

    #[test]
    fn a_batch_without_items_yet_stays_a_batch() {
        let job = rich_job(1, 2, 0);
        assert_eq!(decode_job(&encode_job(&job)).unwrap().items().map(|items| items.counts().total), Some(0));
    }

    #[test]
    fn bytes_that_were_cut_or_lengthened_are_no_job() {
        let bytes = encode_job(&rich_job(1, 2, 3));
        for length in 0..bytes.len() {
            assert!(decode_job(&bytes[..length]).is_err(), "cut to {length}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(decode_job(&longer).is_err());
        let mut other = bytes;
        other[0] = 2;
        assert!(matches!(decode_job(&other), Err(JobDecodeError::UnknownVersion(2))));
        assert!(matches!(decode_head(&[]), Err(JobDecodeError::Cut)));
    }

    fn golden(job: &Job) -> PathBuf {
        let name = format!("tests/golden/jobs/v1/{}.bin", job.state_name().as_str());
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    #[test]
    fn jobs_are_read_and_written_as_they_were_first() {
        for job in in_every_state() {
            let Ok(golden) = std::fs::read(golden(&job)) else {
                panic!(
                    "{:?} has no golden file: write it once with `cargo test golden -- --ignored`",
                    job.state_name()
                );
            };
            assert_eq!(decode_job(&golden).unwrap(), job, "{:?} means what it meant", job.state_name());
            assert_eq!(encode_job(&job), golden, "{:?} is written as it was", job.state_name());
        }
    }

    #[test]
    #[ignore = "writes the golden files of states that have none yet"]
    fn write_the_golden_jobs_that_are_missing() {
        for job in in_every_state() {
            let path = golden(&job);
            if !path.exists() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, encode_job(&job)).unwrap();
            }
        }
    }
}
