//! One job's log lines in one file. The layout is described in `joblogs`.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::domain::time::Timestamp;
use crate::storage::disk;
use crate::storage::joblogs::{JOB_LOG_BYTES_MAX, LINE_BYTES_MAX, LogLine, NewLine};

const FRAME_HEADER_BYTES: usize = 8;
const CONTENT_BYTES_MAX: usize = LINE_BYTES_MAX + 8 + 1 + 255;

/// The place of every so-manieth line is remembered.
const INDEX_EVERY: u64 = 256;

/// An open log file.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    bytes: u64,
    lines: u64,
    /// Where lines 1, 257, 513 … begin.
    index: Vec<u64>,
    /// Whether the file is new, and its entry in the directory not yet durable.
    is_new: bool,
    is_dirty: bool,
    is_full: bool,
    /// How many bytes were cut off its end when it was opened.
    cut_bytes: u64,
    path: std::path::PathBuf,
}

impl LogFile {
    /// Opens a file or makes it, and cuts off what is torn at its end.
    pub fn open(path: &Path) -> io::Result<LogFile> {
        let is_new = !path.exists();
        if let Some(parent) = path.parent() {
            disk::create_dir(parent)?;
        }
        let file = disk::open_file(path)?;
        let mut log = LogFile {
            file,
            bytes: 0,
            lines: 0,
            index: Vec::new(),
            is_new,
            is_dirty: is_new,
            is_full: false,
            cut_bytes: 0,
            path: path.to_path_buf(),
        };
        log.scan()?;
        Ok(log)
    }

    /// The number of the last line; 0 if there is none.
    pub fn newest(&self) -> u64 {
        self.lines
    }

    /// How many bytes were torn at its end, and are cut off.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// Appends lines and gives the number of the last line.
    pub fn append(&mut self, lines: &[NewLine]) -> io::Result<u64> {
        let mut buffer = Vec::new();
        let mut lengths = Vec::with_capacity(lines.len());
        for line in lines {
            if self.is_full {
                break;
            }
            let start = buffer.len();
            if self.bytes + buffer.len() as u64 >= JOB_LOG_BYTES_MAX {
                self.is_full = true;
                encode(&NewLine { text: full_notice(), ..line.clone() }, &mut buffer)?;
            } else {
                encode(line, &mut buffer)?;
            }
            lengths.push(buffer.len() - start);
        }
        self.file.write_all_at(&buffer, self.bytes)?;
        lengths.into_iter().for_each(|length| self.count(length as u64));
        self.is_dirty = true;
        Ok(self.lines)
    }

    /// The lines after number `after`, at most `limit`.
    pub fn read(&self, after: u64, limit: usize) -> io::Result<Vec<LogLine>> {
        if after >= self.lines {
            return Ok(Vec::new());
        }
        let known = after / INDEX_EVERY;
        let mut frames = self.frames_from(self.index[known as usize]);
        for _ in known * INDEX_EVERY..after {
            frames.next_frame()?;
        }
        let mut lines = Vec::new();
        for n in after + 1..=self.lines.min(after.saturating_add(limit as u64)) {
            let frame = frames.next_frame()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            lines.push(frame.line(n));
        }
        Ok(lines)
    }

    /// Whether something was appended that is not durable.
    pub fn needs_sync(&self) -> bool {
        self.is_dirty || self.is_new
    }

    /// Makes what was appended durable.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty {
            self.file.sync_data()?;
            self.is_dirty = false;
        }
        if self.is_new {
            disk::sync_parent(&self.path)?;
            self.is_new = false;
        }
        Ok(())
    }

    /// Counts the lines, and cuts the file behind the last that is whole.
    fn scan(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let mut whole = Vec::new();
        scan_frames(&self.file, length, &mut |bytes, _| whole.push(bytes))?;
        whole.into_iter().for_each(|bytes| self.count(bytes));
        if self.bytes < length {
            self.file.set_len(self.bytes)?;
            self.cut_bytes = length - self.bytes;
            self.is_dirty = true;
        }
        self.is_full = self.bytes >= JOB_LOG_BYTES_MAX;
        Ok(())
    }

    fn count(&mut self, bytes: u64) {
        if self.lines.is_multiple_of(INDEX_EVERY) {
            self.index.push(self.bytes);
        }
        self.lines += 1;
        self.bytes += bytes;
    }

    fn frames_from(&self, offset: u64) -> Frames<'_> {
        Frames::new(&self.file, offset, self.bytes)
    }
}

/// What a look at a log file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The numbers of damaged lines.
    pub damaged: Vec<u64>,
    /// Where the last whole line ends, if something stands behind it.
    pub torn_at: Option<u64>,
}

/// Looks at every frame of a file, and changes nothing.
pub fn examine(path: &Path) -> io::Result<Examined> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let (mut damaged, mut lines, mut end) = (Vec::new(), 0, 0);
    scan_frames(&file, length, &mut |bytes, is_good| {
        lines += 1;
        end += bytes;
        if !is_good {
            damaged.push(lines);
        }
    })?;
    Ok(Examined { damaged, torn_at: (end < length).then_some(end) })
}

/// Calls `visit` with the length of each frame, and whether its checksum is right. Damaged frames count only if a good
/// one follows: else they are the torn end.
fn scan_frames(file: &File, length: u64, visit: &mut dyn FnMut(u64, bool)) -> io::Result<()> {
    let mut frames = Frames::new(file, 0, length);
    let mut waiting = Vec::new();
    while let Some(frame) = frames.next_frame()? {
        match frame.is_good {
            false => waiting.push(frame.bytes),
            true => {
                waiting.drain(..).for_each(|bytes| visit(bytes, false));
                visit(frame.bytes, true);
            }
        }
    }
    Ok(())
}

fn full_notice() -> Arc<str> {
    format!("this log is full ({JOB_LOG_BYTES_MAX} bytes); what came later was dropped").into()
}

fn encode(line: &NewLine, out: &mut Vec<u8>) -> io::Result<()> {
    let name = u8::try_from(line.stream.len()).map_err(|_| too_long("the name of a stream"))?;
    if line.text.len() > LINE_BYTES_MAX {
        return Err(too_long("a line"));
    }
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    out.extend_from_slice(&line.at.as_ms().to_le_bytes());
    out.push(name);
    out.extend_from_slice(line.stream.as_bytes());
    out.extend_from_slice(line.text.as_bytes());
    let content = start + FRAME_HEADER_BYTES;
    let length = (out.len() - content) as u32;
    let checksum = crc32fast::hash(&out[content..]);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..content].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

fn too_long(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what} is too long"))
}

/// Reads a file from a place on without moving the file's own.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Frames one after the other.
struct Frames<'a> {
    file: &'a File,
    /// Where the next frame begins.
    offset: u64,
    end: u64,
    reader: BufReader<At<'a>>,
}

struct Frame {
    /// How long it is in the file.
    bytes: u64,
    content: Vec<u8>,
    is_good: bool,
}

impl<'a> Frames<'a> {
    fn new(file: &'a File, offset: u64, end: u64) -> Frames<'a> {
        Frames { file, offset, end, reader: BufReader::with_capacity(64 * 1024, At { file, offset }) }
    }

    /// The next frame. Where something stands that has not even the outline of one, all up to the next good frame is
    /// given as one damaged frame; none if no good frame follows.
    fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        let left = self.end.saturating_sub(self.offset);
        if left < FRAME_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut header = [0; FRAME_HEADER_BYTES];
        self.reader.read_exact(&mut header)?;
        let (length, checksum) = outline(&header);
        let bytes = (FRAME_HEADER_BYTES + length) as u64;
        let mut content = Vec::new();
        if is_possible(length) && bytes <= left {
            content.resize(length, 0);
            self.reader.read_exact(&mut content)?;
        }
        let is_good = !content.is_empty() && crc32fast::hash(&content) == checksum;
        // A damaged frame ends where its length says, if a frame begins there; else its length is what is damaged.
        if is_good || (!content.is_empty() && self.leads_to_good(self.offset + bytes)?) {
            self.offset += bytes;
            return Ok(Some(Frame { bytes, content, is_good }));
        }
        self.skip_to_good()
    }

    fn skip_to_good(&mut self) -> io::Result<Option<Frame>> {
        let mut rest = vec![0; (self.end - self.offset) as usize];
        self.file.read_exact_at(&mut rest, self.offset)?;
        let Some(bytes) = (1..rest.len()).find(|at| is_good_frame(&rest[*at..])) else { return Ok(None) };
        *self = Frames::new(self.file, self.offset + bytes as u64, self.end);
        Ok(Some(Frame { bytes: bytes as u64, content: Vec::new(), is_good: false }))
    }

    /// Whether a good frame begins there, or follows behind frames of which only the content is damaged.
    fn leads_to_good(&self, mut offset: u64) -> io::Result<bool> {
        while offset < self.end {
            let mut bytes = vec![0; (FRAME_HEADER_BYTES + CONTENT_BYTES_MAX).min((self.end - offset) as usize)];
            self.file.read_exact_at(&mut bytes, offset)?;
            if is_good_frame(&bytes) {
                return Ok(true);
            }
            match bytes.first_chunk().map(outline) {
                Some((length, _)) if is_possible(length) => offset += (FRAME_HEADER_BYTES + length) as u64,
                _ => return Ok(false),
            }
        }
        Ok(false)
    }
}

/// The length and the checksum of the content.
fn outline(header: &[u8; FRAME_HEADER_BYTES]) -> (usize, u32) {
    let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
    (length, u32::from_le_bytes(header[4..].try_into().expect("four bytes")))
}

fn is_possible(length: usize) -> bool {
    (9..=CONTENT_BYTES_MAX).contains(&length)
}

fn is_good_frame(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_first_chunk() else { return false };
    let (length, checksum) = outline(header);
    is_possible(length) && rest.get(..length).is_some_and(|content| crc32fast::hash(content) == checksum)
}

impl Frame {
    fn line(&self, n: u64) -> LogLine {
        self.parse(n).unwrap_or_else(|| LogLine {
            n,
            at: Timestamp::from_ms(0),
            stream: "daybook".into(),
            text: "this line is damaged on the disk".into(),
        })
    }

    fn parse(&self, n: u64) -> Option<LogLine> {
        let (at, rest) = self.content.split_first_chunk()?;
        let ([name], rest) = rest.split_first_chunk()?;
        let (stream, text) = rest.split_at_checked(usize::from(*name)).filter(|_| self.is_good)?;
        Some(LogLine {
            n,
            at: Timestamp::from_ms(i64::from_le_bytes(*at)),
            stream: std::str::from_utf8(stream).ok()?.into(),
            text: std::str::from_utf8(text).ok()?.into(),
        })
    }
}
