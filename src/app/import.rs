//! Makes the data of a server from an exported log: the same events in a log of its own, and so the same state, views and
//! everything that follows from them. Goes on where it was broken off; must never write into data that is there.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::app::source::{EventSource, Extent, SourceError, fold_next};
use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::engine::snapshot::fold_hash;
use crate::log::{AppendError, EventLog};
use crate::storage::beginning::{self, Beginning};
use crate::storage::{self, OpenError, Options, disk, imported};

/// A submission is handed over when it has so many events, or about so many bytes; one group more goes, however large.
const SUBMIT_EVENTS: usize = 1024;
const SUBMIT_BYTES: usize = 4 * 1024 * 1024;
/// What may lie in a directory that counts as empty.
const NOTHING: [&str; 3] = ["LOCK", "ballast", imported::UNDER_WAY];

/// Why a log was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{} is not empty; name another directory with --data, or one that is not there yet", .0.display())]
    NotEmpty(PathBuf),
    #[error("an import of another log into {} has not come to its end; go on with that one, or empty the directory", .0.display())]
    OtherLog(PathBuf),
    #[error("event {seq} is another in the file than in {}, where an import was begun: the file was changed; empty the directory and begin anew", data.display())]
    OtherEvent { data: PathBuf, seq: Seq },
    #[error("in {} an import of another export of this log was begun; go on with that file, or empty the directory", .0.display())]
    OtherBeginning(PathBuf),
    #[error("the log could not be written")]
    Append(#[from] AppendError),
    #[error("could not {step} {}", path.display())]
    Io { step: &'static str, path: PathBuf, source: io::Error },
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    pub seq: Seq,
    pub jobs: u64,
    /// The new log's own UUID.
    pub lineage: Uuid,
    pub fold: String,
}

/// Imports all events of a source. `watch` hears the last event that was taken, now and then.
pub fn import(source: &mut dyn EventSource, data: &Path, watch: &mut dyn FnMut(Seq)) -> Result<Imported, ImportError> {
    let io = |step| move |source| ImportError::Io { step, path: data.to_path_buf(), source };
    let mut state = source.begin(Seq::ZERO)?;
    let Extent { lineage, earliest, .. } = source.extent();
    begin(data, lineage)?;
    begin_with_base(source, data)?;
    let opened = storage::open(data, &Options::default())?;
    if opened.log.reader().earliest() != earliest {
        return Err(ImportError::OtherBeginning(data.to_path_buf()));
    }
    let mut writer = Writer { log: opened.log, waiting: Vec::new(), bytes: 0, in_flight: 0 };
    let there = writer.log.last();
    let reader = writer.log.reader();
    loop {
        let records = source.next()?;
        let Some(last) = records.last().map(|record| record.seq) else { break };
        for record in records {
            fold_next(source, &mut state, &record)?;
            if record.seq > there {
                writer.take(record)?;
            } else if record.seq == there && reader.record(there).map_err(SourceError::Read)? != record {
                return Err(ImportError::OtherEvent { data: data.to_path_buf(), seq: there });
            }
        }
        watch(last);
    }
    let fold = fold_hash(&state);
    if let Some(said) = source.said_fold().filter(|said| *said != fold) {
        let (name, said) = ("the file".to_owned(), said.to_owned());
        return Err(SourceError::OtherFold { name, found: fold, said }.into());
    }
    writer.close()?;
    imported::finish(data, state.last_ordinal()).map_err(io("finish the import into"))?;
    let jobs = state.slots().count() as u64;
    Ok(Imported { seq: state.seq(), jobs, lineage: opened.lineage, fold })
}

/// Writes what stands for the events before the first, if they were dropped and it is not there yet.
fn begin_with_base(source: &mut dyn EventSource, data: &Path) -> Result<(), ImportError> {
    let earliest = source.extent().earliest;
    let Some(mut base) = source.base()? else { return Ok(()) };
    let Some(mut beginning) = Beginning::of_empty(data)? else {
        // It was begun before, and is durable: it has to be the same.
        let io =
            |source| ImportError::Io { step: "read what is to be imported into", path: data.to_path_buf(), source };
        let hashes = [hash_of(&mut base.state).map_err(io)?, hash_of(&mut base.jobs).map_err(io)?];
        let is_same = beginning::hashes_of(data, earliest) == Some(hashes);
        return if is_same { Ok(()) } else { Err(ImportError::OtherBeginning(data.to_path_buf())) };
    };
    while let Some(record) = source.next_carried()? {
        beginning.carry(&record)?;
    }
    Ok(beginning.finish(earliest, &mut base.state, &mut base.jobs)?)
}

fn hash_of(input: &mut dyn io::Read) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    io::copy(input, &mut hasher)?;
    Ok(hasher.finalize().into())
}

/// Takes an empty directory, or one in which the same import was begun.
fn begin(data: &Path, source: Uuid) -> Result<(), ImportError> {
    let io = |step| move |source| ImportError::Io { step, path: data.to_path_buf(), source };
    disk::create_dir(data).map_err(io("make"))?;
    match imported::under_way(data).map_err(io("read the note of the import in"))? {
        Some(begun) if begun == source => return Ok(()),
        Some(_) => return Err(ImportError::OtherLog(data.to_path_buf())),
        None => {}
    }
    let names = disk::names_in(data).map_err(io("look into"))?;
    if names.iter().any(|name| !NOTHING.contains(&name.as_str())) {
        return Err(ImportError::NotEmpty(data.to_path_buf()));
    }
    imported::begin(data, source).map_err(io("begin the import into"))
}

/// Gathers whole groups and hands them to the log.
struct Writer {
    log: Box<dyn EventLog>,
    waiting: Vec<Record>,
    bytes: usize,
    in_flight: usize,
}

impl Writer {
    fn take(&mut self, record: Record) -> Result<(), AppendError> {
        let ends_group = !record.continues;
        self.bytes += record.event.weight();
        self.waiting.push(record);
        let is_enough = self.waiting.len() >= SUBMIT_EVENTS || self.bytes >= SUBMIT_BYTES;
        if ends_group && is_enough { self.submit() } else { Ok(()) }
    }

    fn submit(&mut self) -> Result<(), AppendError> {
        let records = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if records.is_empty() {
            return Ok(());
        }
        if self.in_flight == self.log.in_flight_max() {
            self.log.committed()?;
            self.in_flight -= 1;
        }
        self.log.submit(records.into())?;
        self.in_flight += 1;
        Ok(())
    }

    fn close(mut self) -> Result<(), AppendError> {
        self.submit()?;
        self.log.close()
    }
}
