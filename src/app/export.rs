//! Writes a log as lines: into a file, which may be gone on with where it broke off, or to any other end. Folds what it
//! writes, so that the last line says to what it comes. Must never append to a file of another log.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use uuid::Uuid;

use crate::app::lines::LineSource;
use crate::app::source::{EventSource, Extent, SourceError, fold_next};
use crate::domain::id::Seq;
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::engine::snapshot::fold_hash;
use crate::feed::cloudevents::{BaseSaid, Begun, CloudEvent, Ended, FORMAT, PartLines, PartName};
use crate::log::ReadError;

/// Why a log was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{file} is an export of another log; name another file, or write it anew with --force")]
    OtherLog { file: String },
    #[error(
        "{file} goes up to event {has}, and the log to {last}: the log was restored or reset since; write it anew with --force"
    )]
    Ahead { file: String, has: Seq, last: Seq },
    #[error(
        "{file} goes up to event {has}, and the log begins with event {earliest}: what is between was dropped by retention; \
         write it anew with --force"
    )]
    Dropped { file: String, has: Seq, earliest: Seq },
    #[error("another export writes to {file}; wait until it has ended, or name another file")]
    InUse { file: String },
    #[error("could not write {file}")]
    Write { file: String, source: io::Error },
}

/// What an earlier export left in a file.
pub struct Part {
    lineage: Uuid,
    /// What it comes to, and the bytes up to the last whole line of an event; none if it broke off before all was there
    /// that stands for dropped events.
    folded: Option<(State, u64)>,
}

impl Part {
    /// Reads what is there; none if there is nothing to go on with. What is there must be a part of an export: nothing
    /// else is written over.
    pub fn of_file(path: &Path) -> Result<Option<Part>, SourceError> {
        // What is no file keeps nothing to go on with, and to read a pipe waits for ever.
        if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
            return Ok(None);
        }
        let mut lines = match LineSource::of_part(path) {
            // Not even the first line was written.
            Err(SourceError::BrokenOff { lines: 0, .. }) if is_begun(path) => return Ok(None),
            lines => lines?,
        };
        let lineage = lines.begun().lineage;
        let mut state = match lines.begin(Seq::ZERO) {
            Err(SourceError::BrokenOff { .. }) => return Ok(Some(Part { lineage, folded: None })),
            state => state?,
        };
        loop {
            match lines.next_record() {
                Ok(Some(record)) => fold_next(&lines, &mut state, &record)?,
                Err(SourceError::BrokenOff { .. }) if lines.misses_carried() => {
                    return Ok(Some(Part { lineage, folded: None }));
                }
                Ok(None) | Err(SourceError::BrokenOff { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Part { lineage, folded: Some((state, lines.bytes())) }))
    }

    /// The last event that is in it with all before; none if it has to be begun anew.
    pub fn last(&self) -> Option<Seq> {
        self.folded.as_ref().map(|(state, _)| state.seq())
    }
}

/// Whether a file begins as an export does.
fn is_begun(path: &Path) -> bool {
    const BEGINNING: &[u8] = b"{\"specversion\":";
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.len() < 4096 && (bytes.starts_with(BEGINNING) || BEGINNING.starts_with(&bytes))
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// How many events were written this time.
    pub events: u64,
    /// The last one.
    pub seq: Seq,
    pub fold: String,
}

/// Writes a log into a file, behind what is there of it. `watch` hears the last event that was written, now and then.
pub fn to_file(
    source: &mut dyn EventSource,
    path: &Path,
    part: Option<Part>,
    watch: &mut dyn FnMut(Seq),
) -> Result<Exported, ExportError> {
    let file = path.display().to_string();
    let failed = |source| ExportError::Write { file: file.clone(), source };
    let extent = source.extent();
    if part.as_ref().is_some_and(|part| part.lineage != extent.lineage) {
        return Err(ExportError::OtherLog { file });
    }
    if let Some(has) = part.as_ref().and_then(Part::last).filter(|has| *has > extent.last) {
        return Err(ExportError::Ahead { file, has, last: extent.last });
    }
    let folded = part.and_then(|part| part.folded);
    let has = folded.as_ref().map(|(state, _)| state.seq());
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    // Where files cannot be locked, nobody can be kept out.
    if let Err(TryLockError::WouldBlock) = opened.try_lock() {
        return Err(ExportError::InUse { file });
    }
    let mut out = BufWriter::with_capacity(256 * 1024, opened);
    keep(out.get_mut(), folded.as_ref().map_or(0, |(_, bytes)| *bytes)).map_err(failed)?;
    let state = folded.map(|(state, _)| state);
    let exported = write(source, state, &mut out, watch).map_err(|error| match error {
        ExportError::Write { source, .. } => failed(source),
        ExportError::Source(SourceError::Read(ReadError::Trimmed { earliest, .. })) if has.is_some() => {
            ExportError::Dropped { file: file.clone(), has: has.unwrap_or_default(), earliest }
        }
        other => other,
    });
    // What was written is kept also when it breaks off: the next time goes on behind it.
    let kept = out.flush().and_then(|()| sync(out.get_ref())).map_err(failed);
    exported.and_then(|exported| kept.map(|()| exported))
}

/// Leaves so much of a file, and goes on behind it; of a pipe or a device nothing is there.
fn keep(file: &mut File, bytes: u64) -> io::Result<()> {
    if !file.metadata()?.is_file() {
        return Ok(());
    }
    file.set_len(bytes)?;
    io::Seek::seek(file, io::SeekFrom::End(0)).map(drop)
}

/// Makes a file durable; there is nothing to be made durable of a pipe or a device.
fn sync(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
}

/// Writes the lines of a log to an end, all of them or those behind a state.
pub fn write(
    source: &mut dyn EventSource,
    behind: Option<State>,
    out: &mut dyn Write,
    watch: &mut dyn FnMut(Seq),
) -> Result<Exported, ExportError> {
    source.hide_purged()?;
    let extent = source.extent();
    let lineage = extent.lineage;
    let failed = |source| ExportError::Write { file: "the output".into(), source };
    let mut put = |line: String| out.write_all(line.as_bytes()).map_err(failed);
    let mut state = match behind {
        Some(state) => {
            source.go_on(state.seq())?;
            state
        }
        None => {
            let state = source.begin(Seq::ZERO)?;
            put_beginning(source, state.at(), &mut put)?;
            state
        }
    };
    let before = state.seq();
    loop {
        let records = source.next()?;
        if records.is_empty() {
            break;
        }
        for record in records {
            fold_next(source, &mut state, &record)?;
            put(CloudEvent::of(record, lineage).line())?;
        }
        watch(state.seq());
    }
    let (seq, fold) = (state.seq(), fold_hash(&state));
    put(CloudEvent::ended(Ended { last: seq, fold: Some(fold.clone()) }, lineage, state.at()).line())?;
    Ok(Exported { events: seq.0 - before.0, seq, fold })
}

/// The first line, and what stands for dropped events.
fn put_beginning(
    source: &mut dyn EventSource,
    at: Timestamp,
    put: &mut dyn FnMut(String) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let Extent { lineage, earliest, last, epoch } = source.extent();
    let base = source.base()?;
    let said = base.as_ref().map(|base| BaseSaid { carried: base.carried });
    put(CloudEvent::begun(Begun { format: FORMAT, lineage, earliest, last, epoch, base: said }, at).line())?;
    let Some(base) = base else { return Ok(()) };
    for (name, input) in PartName::ALL.into_iter().zip([base.state, base.jobs]) {
        let mut lines = PartLines::new(name, input);
        while let Some(line) = lines.next_line(lineage, at).map_err(SourceError::Scratch)? {
            put(line)?;
        }
    }
    while let Some(record) = source.next_carried()? {
        put(CloudEvent::carried(record, lineage).line())?;
    }
    Ok(())
}
