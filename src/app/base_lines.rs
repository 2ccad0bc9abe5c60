//! What an exported log has in the place of dropped events, put together from its lines: kept in files without a name
//! until it was used. Must never give a part that is not as it was written.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use crate::app::source::BaseParts;
use crate::domain::state::State;
use crate::engine::snapshot;
use crate::feed::cloudevents::{BasePart, PartName};
use crate::log::codec_state::SnapshotError;

/// A base that is read from lines.
pub struct LineBase {
    /// Of [`PartName::ALL`], in their order.
    files: [File; 2],
    /// How many parts are complete.
    done: usize,
    /// How many pieces of the next one were taken.
    pieces: u64,
    hasher: blake3::Hasher,
}

impl LineBase {
    /// Nothing was read yet.
    pub fn begin() -> io::Result<LineBase> {
        let files = [tempfile::tempfile()?, tempfile::tempfile()?];
        Ok(LineBase { files, done: 0, pieces: 0, hasher: blake3::Hasher::new() })
    }

    /// Of which part the next piece has to be, and its number; none if all is there.
    pub fn expected(&self) -> Option<(PartName, u64)> {
        PartName::ALL.get(self.done).map(|name| (*name, self.pieces + 1))
    }

    /// Takes the next piece, or says why it cannot be the next.
    pub fn take(&mut self, piece: &BasePart) -> io::Result<Result<(), String>> {
        let found = (piece.part, piece.number);
        let Some(expected) = self.expected().filter(|expected| *expected == found) else {
            let (name, number) = (piece.part.as_str(), piece.number);
            return Ok(Err(format!("piece {number} of the {name} before its events stands in a wrong place")));
        };
        let name = expected.0.as_str();
        let Some(bytes) = piece.piece() else { return Ok(Err(format!("this piece of the {name} is no base64"))) };
        self.files[self.done].write_all(&bytes)?;
        self.hasher.update(&bytes);
        self.pieces += 1;
        let Some(said) = &piece.hash else { return Ok(Ok(())) };
        if *said != self.hasher.finalize().to_hex().to_string() {
            return Ok(Err(format!("the {name} before its events is not as it was written: its hash differs")));
        }
        self.hasher.reset();
        (self.done, self.pieces) = (self.done + 1, 0);
        Ok(Ok(()))
    }

    /// The state from which the events are folded.
    pub fn folded(&self) -> Result<State, SnapshotError> {
        Ok(snapshot::read(self.reader(PartName::State)?)?.without_indexes())
    }

    /// All of it, with which so many events are carried.
    pub fn parts(&self, carried: u64) -> io::Result<BaseParts> {
        Ok(BaseParts { state: self.reader(PartName::State)?, jobs: self.reader(PartName::Jobs)?, carried })
    }

    fn reader(&self, name: PartName) -> io::Result<Box<dyn Read + Send>> {
        let place = usize::from(name == PartName::Jobs);
        let mut file = self.files[place].try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Box::new(BufReader::with_capacity(256 * 1024, file)))
    }
}
