//! An exported log as a source of events, from a file or from a running server: reads line by line, and takes nothing that
//! is not the next event of one and the same log. What is wrong is told with the line and what to do.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use uuid::Uuid;

use crate::app::base_lines::LineBase;
use crate::app::source::{BaseParts, EventSource, Extent, SourceError};
use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::engine::foreign::{Misfit, guarded};
use crate::feed::cloudevents::{Begun, Ended, Line};

/// The longest line: a job with all that it may have, written as JSON.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Where the last line of a whole file lies.
const LAST_LINE_BYTES_MAX: u64 = 4096;
/// How many events are given at once.
const PIECE_EVENTS: usize = 256;
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// What a blank line has: some programs leave such at the end of a file.
const BLANK: [u8; 2] = *b"\r\n";

const FOREIGN: &str = "name a file that `daybook export` wrote";
const CUT_FILE: &str = "make it whole with `daybook export --out`, which goes on behind its last whole line";
const CUT_STREAM: &str = "the server ended, or retention dropped what was still to come: see with `daybook status` how it is, \
    and run the same again; an export with --out goes on behind its last whole line";
const SERVER: &str = "stop the server and look at its data with `daybook verify`";
const WHOLE: &str = "no daybook has written it so: write the file anew with `daybook export --out FILE --force`, from data that \
    `daybook verify` finds whole";
const ANEW: &str = "write the file anew with `daybook export --out FILE --force`";

/// Lines that are read one after the other.
pub struct LineSource {
    name: String,
    input: Box<dyn BufRead>,
    /// What to do when it breaks off.
    cut: &'static str,
    /// How many lines were read.
    lines: u64,
    /// How many bytes the lines have that were taken.
    bytes: u64,
    begun: Begun,
    /// What stands for the events before, once it was read.
    base: Option<LineBase>,
    /// How many carried events are still to come, and the last one that was read.
    carried: (u64, Seq),
    last: Seq,
    /// The last event that was read: its number, its moment, and whether its group goes on.
    read: (Seq, Timestamp, bool),
    /// The line on which it stood.
    read_line: u64,
    ended: Option<Ended>,
}

impl LineSource {
    /// Opens a file, which has to be whole; a dash is stdin.
    pub fn of_file(path: &Path) -> Result<LineSource, SourceError> {
        let is_stdin = path.as_os_str() == "-";
        let name = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
        let failed = |source| SourceError::Unreadable { name: name.clone(), source };
        let mut file = if is_stdin { spooled(&mut io::stdin().lock()) } else { open(path) }.map_err(failed)?;
        let end = last_line(&mut file).map_err(failed)?;
        let mut source = LineSource::open(name, Box::new(BufReader::new(file)), CUT_FILE)?;
        let Some(Ended { last, .. }) = end else { return Err(source.cut_at_its_end()) };
        source.last = last;
        Ok(source)
    }

    /// Opens a file that may break off, to go on with it.
    pub fn of_part(path: &Path) -> Result<LineSource, SourceError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|source| SourceError::Unreadable { name: name.clone(), source })?;
        LineSource::open(name, Box::new(BufReader::new(file)), CUT_FILE)
    }

    /// Reads what a server sends.
    pub fn of_stream(name: &str, input: Box<dyn BufRead>) -> Result<LineSource, SourceError> {
        LineSource::open(name.to_owned(), input, CUT_STREAM)
    }

    fn open(name: String, input: Box<dyn BufRead>, cut: &'static str) -> Result<LineSource, SourceError> {
        let (lineage, earliest, last) = (Uuid::nil(), Seq(1), Seq::ZERO);
        let begun = Begun { format: 0, lineage, earliest, last, epoch: None, base: None };
        let (base, carried, read) = (None, (0, Seq::ZERO), (Seq::ZERO, Timestamp::from_ms(0), false));
        let mut source = LineSource {
            name,
            input,
            cut,
            lines: 0,
            bytes: 0,
            begun,
            base,
            carried,
            last,
            read,
            read_line: 0,
            ended: None,
        };
        let Some(text) = source.next_text()? else { return Err(source.cut_off()) };
        let refused = |detail: String| source.foreign(detail);
        match Line::read(&text).map_err(|error| refused(error.to_string()))? {
            (Line::Begun(begun), lineage) if begun.lineage == lineage && begun.earliest > Seq::ZERO => {
                source.begun = begun;
                source.last = begun.last;
                source.read.0 = Seq(begun.earliest.0 - 1);
                source.carried.0 = begun.base.map_or(0, |base| base.carried);
                Ok(source)
            }
            _ => Err(refused("it is not the first line of an export".into())),
        }
    }

    /// What the first line says.
    pub fn begun(&self) -> Begun {
        self.begun
    }

    /// What the last line says, once it was read.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Whether not all that stands for dropped events was read.
    pub fn misses_carried(&self) -> bool {
        self.carried.0 > 0 || (self.begun.base.is_some() && self.base.is_none())
    }

    /// How many bytes the lines have that were taken so far, without a last line.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next event; none behind the last line.
    pub fn next_record(&mut self) -> Result<Option<Record>, SourceError> {
        if self.ended.is_some() {
            return Ok(None);
        }
        while self.take_carried()?.is_some() {}
        let taken = self.bytes;
        match self.next_line()? {
            Line::Event(record) => {
                self.check(&record)?;
                self.read = (record.seq, record.at, record.continues);
                self.read_line = self.lines;
                Ok(Some(*record))
            }
            // A server may be asked for a part that ends within a group; a file never does.
            Line::Ended(ended) if ended.last == self.read.0 && (!self.read.2 || self.cut == CUT_STREAM) => {
                if self.has_more() {
                    return Err(self.refused("it is the last line of an export, and something stands behind it".into()));
                }
                self.bytes = taken;
                self.ended = Some(ended);
                Ok(None)
            }
            Line::Ended(ended) => {
                Err(self
                    .refused(format!("it says that event {} is the last, behind event {}", ended.last, self.read.0)))
            }
            Line::Begun(_) => Err(self.refused("it is the first line of an export, in the middle of one".into())),
            Line::BasePart(_) | Line::Carried(_) => {
                Err(self.refused(format!("it belongs before event {}, and stands behind it", self.begun.earliest)))
            }
        }
    }

    /// Whether something is left that is no blank line.
    fn has_more(&mut self) -> bool {
        loop {
            match self.input.fill_buf() {
                Ok([]) => return false,
                Ok(more) if more.iter().all(|byte| BLANK.contains(byte)) => {
                    let length = more.len();
                    self.input.consume(length);
                }
                Ok(_) => return true,
                Err(_) => return false,
            }
        }
    }

    /// The next line, if it is one of this log.
    fn next_line(&mut self) -> Result<Line, SourceError> {
        let Some(text) = self.next_text()? else { return Err(self.cut_off()) };
        let (line, lineage) = Line::read(&text).map_err(|error| self.refused(error.to_string()))?;
        if lineage == self.begun.lineage { Ok(line) } else { Err(self.refused("it is of another log".into())) }
    }

    /// What stands for the events before the first that follows, if the first line says that there is such.
    fn read_base(&mut self) -> Result<(), SourceError> {
        if self.base.is_some() || self.begun.base.is_none() {
            return Ok(());
        }
        let mut base = LineBase::begin().map_err(SourceError::Scratch)?;
        while let Some((expected, number)) = base.expected() {
            let Line::BasePart(piece) = self.next_line()? else {
                let missing = format!("piece {number} of the {} before its events is missing", expected.as_str());
                return Err(self.refused(missing));
            };
            base.take(&piece).map_err(SourceError::Scratch)?.map_err(|detail| self.refused(detail))?;
        }
        self.base = Some(base);
        Ok(())
    }

    /// The next carried event, if one is still to come.
    fn take_carried(&mut self) -> Result<Option<Record>, SourceError> {
        self.read_base()?;
        let (left, last) = self.carried;
        if left == 0 {
            return Ok(None);
        }
        match self.next_line()? {
            Line::Carried(record) if last < record.seq && record.seq < self.begun.earliest => {
                self.carried = (left - 1, record.seq);
                Ok(Some(*record))
            }
            _ => Err(self.refused(format!("{left} carried events are missing before event {}", self.read.0.next()))),
        }
    }

    /// The rules of the log: dense, and never back in time (L2).
    fn check(&self, record: &Record) -> Result<(), SourceError> {
        let (last, at, _) = self.read;
        if record.seq != last.next() {
            return Err(self.refused(format!("event {} is missing; it has event {}", last.next(), record.seq)));
        }
        if record.at < at {
            return Err(self.refused(format!("event {} happened before event {last}", record.seq)));
        }
        Ok(())
    }

    /// The next line that has its end.
    fn next_text(&mut self) -> Result<Option<String>, SourceError> {
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
        match read {
            Ok(_) => {}
            // A server that ends, or a connection that breaks, is what a file is that was cut.
            Err(_) if self.cut == CUT_STREAM => return Ok(None),
            Err(source) => return Err(SourceError::Unreadable { name: self.name.clone(), source }),
        }
        if bytes.last() != Some(&b'\n') {
            return Ok(None);
        }
        self.lines += 1;
        self.bytes += bytes.len() as u64;
        String::from_utf8(bytes).map(Some).map_err(|_| self.foreign("it is no text".into()))
    }

    /// The line on which an event stands that was given: each has one of its own.
    fn line_of(&self, seq: Seq) -> u64 {
        self.read_line.saturating_sub(self.read.0.0.saturating_sub(seq.0))
    }

    /// The line is not the one that has to be there.
    fn refused(&self, detail: String) -> SourceError {
        let next_step = if self.cut == CUT_STREAM { CUT_STREAM } else { ANEW };
        SourceError::Line { name: self.name.clone(), line: self.lines.max(1), detail: format!("{detail}; {next_step}") }
    }

    /// It is none of our lines.
    fn foreign(&self, detail: String) -> SourceError {
        SourceError::Line { name: self.name.clone(), line: self.lines.max(1), detail: format!("{detail}; {FOREIGN}") }
    }

    fn cut_off(&self) -> SourceError {
        let (name, next_step) = (self.name.clone(), self.cut);
        SourceError::BrokenOff { name, lines: self.lines, last: self.read.0, next_step }
    }

    /// The same, or what else is wrong before.
    fn cut_at_its_end(&mut self) -> SourceError {
        loop {
            match self.next_record() {
                Ok(Some(_)) => {}
                Ok(None) => return self.refused("its last line is not where a file ends".into()),
                Err(error) => return error,
            }
        }
    }
}

impl EventSource for LineSource {
    fn extent(&self) -> Extent {
        Extent { lineage: self.begun.lineage, earliest: self.begun.earliest, last: self.last, epoch: self.begun.epoch }
    }

    fn begin(&mut self, _: Seq) -> Result<State, SourceError> {
        let earliest = self.begun.earliest;
        if earliest == Seq(1) {
            return Ok(State::default().without_indexes());
        }
        self.read_base()?;
        let Some(base) = &self.base else { return Err(SourceError::BeginningDropped { earliest }) };
        let unreadable = |error: String| self.refused(format!("the state of the base cannot be read: {error}"));
        let state = guarded(|| base.folded()).map_err(|misfit| unreadable(misfit.to_string()))?;
        let state = state.map_err(|error| unreadable(error.to_string()))?;
        if state.seq().next() != earliest {
            return Err(self.refused(format!("the state of the base is of event {}", state.seq())));
        }
        self.read.1 = state.at();
        Ok(state)
    }

    fn base(&mut self) -> Result<Option<BaseParts>, SourceError> {
        self.read_base()?;
        let carried = self.carried.0;
        let parts = self.base.as_ref().map(|base| base.parts(carried)).transpose();
        parts.map_err(SourceError::Scratch)
    }

    fn next_carried(&mut self) -> Result<Option<Record>, SourceError> {
        self.take_carried()
    }

    fn go_on(&mut self, after: Seq) -> Result<(), SourceError> {
        if self.read.0 == after { Ok(()) } else { Err(self.refused(format!("it does not go on behind event {after}"))) }
    }

    fn next(&mut self) -> Result<Vec<Record>, SourceError> {
        let mut records = Vec::new();
        let from = self.bytes;
        while records.len() < PIECE_EVENTS && self.bytes - from < PIECE_BYTES as u64 {
            match self.next_record()? {
                Some(record) => records.push(record),
                None => break,
            }
        }
        Ok(records)
    }

    fn misfit(&self, record: &Record, misfit: &Misfit) -> SourceError {
        let next_step = if self.cut == CUT_STREAM { SERVER } else { WHOLE };
        let detail = format!("event {}, {}: {misfit}; {next_step}", record.seq, record.event.type_name());
        SourceError::Line { name: self.name.clone(), line: self.line_of(record.seq), detail }
    }

    fn last_until(&self, _: Timestamp) -> Result<Option<Seq>, SourceError> {
        Ok(None)
    }

    fn said_fold(&self) -> Option<&str> {
        self.ended.as_ref()?.fold.as_deref()
    }
}

/// Opens what can be read more than once. What comes through a pipe is kept in a file without a name until the end.
fn open(path: &Path) -> io::Result<File> {
    let mut file = File::open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_dir() { Ok(file) } else { spooled(&mut file) }
}

fn spooled(input: &mut dyn Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(input, &mut file)?;
    Ok(file)
}

/// The last line of a file, if it is that of a whole export. The file is read from its beginning after that.
fn last_line(file: &mut File) -> io::Result<Option<Ended>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_LINE_BYTES_MAX)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    file.seek(SeekFrom::Start(0))?;
    let lines = &end[..end.iter().rposition(|byte| !BLANK.contains(byte)).map_or(0, |last| last + 1)];
    if end.get(lines.len()..).is_none_or(|blank| !blank.contains(&b'\n')) {
        return Ok(None);
    }
    let last = lines.rsplit(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
    Ok(match last.map(Line::read) {
        Some(Ok((Line::Ended(ended), _))) => Some(ended),
        _ => None,
    })
}
