//! Many subscribers in one thread: each counts the frames with changes that it gets, and one of them, the witness, also
//! keeps them. They read as fast as they can and look into nothing, so that what is measured is the server.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio::time::{interval, timeout};

/// A frame that counts begins so.
const COUNTED: &[u8] = br#"{"type":"changes""#;
/// How each job begins in a frame.
const ROW: &[u8] = br#"{"id":""#;
const READ_BYTES: usize = 256 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long the crowd may take for one thing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Subscribers over WebSocket to one server.
pub struct Crowd {
    runtime: Runtime,
    tasks: LocalSet,
    members: Rc<Members>,
}

/// How far everybody is.
struct Members {
    /// How many frames each has had.
    counts: Vec<Cell<usize>>,
    kept: RefCell<Vec<Vec<u8>>>,
    delays: RefCell<Vec<Duration>>,
    /// The number of the first frame whose delay is taken, and when each was sent off.
    timed: RefCell<Option<(usize, SentAt)>>,
}

/// When frames were sent off, in order.
pub type SentAt = Arc<Mutex<Vec<Instant>>>;

/// A number of jobs that several look at.
#[derive(Clone, Default)]
pub struct Told(Arc<AtomicUsize>);

impl Told {
    pub fn jobs(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub fn add(&self, jobs: usize) {
        self.0.fetch_add(jobs, Ordering::Relaxed);
    }
}

impl Crowd {
    /// Connects so many, lets each say something, and waits until each has heard the words that end the answer.
    pub fn gather(address: &str, path: &str, says: &str, hears: &str, count: usize) -> Crowd {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let members = Rc::new(Members {
            counts: vec![Cell::new(0); count],
            kept: RefCell::default(),
            delays: RefCell::default(),
            timed: RefCell::default(),
        });
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, async {
            for number in 0..count {
                let stream = connect(address, path, says, hears).await;
                let members = members.clone();
                tokio::task::spawn_local(async move { members.read(number, stream).await });
            }
        });
        Crowd { runtime, tasks, members }
    }

    /// Reads until everybody has been told of so many jobs in all, or has had so many frames, and says meanwhile how far
    /// the slowest is. Gives the frames of this time.
    pub fn read(&mut self, told: &Told, is_done: impl Fn(usize, usize) -> bool) -> Vec<Vec<u8>> {
        let (members, first) = (self.members.clone(), self.members.kept.borrow().len());
        let reading = async {
            let (mut looks, mut frames, mut jobs) = (interval(LOOK_EVERY), first, 0);
            loop {
                looks.tick().await;
                let slowest = members.counts.iter().map(Cell::get).min().expect("a crowd");
                let kept = members.kept.borrow();
                while frames < slowest.min(kept.len()) {
                    jobs += rows(&kept[frames]);
                    frames += 1;
                }
                told.0.store(jobs, Ordering::Relaxed);
                if is_done(jobs, frames - first) {
                    return;
                }
            }
        };
        let reading = async { timeout(PATIENCE, reading).await.expect("everybody is told") };
        self.tasks.block_on(&self.runtime, reading);
        self.members.kept.borrow()[first..].to_vec()
    }

    /// Takes the delay of each frame from now on: from when it was sent off until a subscriber has read it.
    pub fn time(&mut self, sent_at: SentAt) {
        let next = self.members.kept.borrow().len();
        assert!(self.members.counts.iter().all(|count| count.get() == next), "nothing is on its way");
        *self.members.timed.borrow_mut() = Some((next, sent_at));
    }

    /// The delays, as far as they were taken.
    pub fn delays(&self) -> Vec<Duration> {
        self.members.delays.take()
    }
}

/// How many jobs a frame tells of.
fn rows(frame: &[u8]) -> usize {
    memchr::memmem::find_iter(frame, ROW).count()
}

async fn connect(address: &str, path: &str, says: &str, hears: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    hear(&mut stream, "\r\n\r\n").await;
    stream.write_all(&masked(says.as_bytes())).await.expect("the server reads");
    hear(&mut stream, hears).await;
    stream
}

/// Reads byte by byte, so that nothing after the words is taken away.
async fn hear(stream: &mut TcpStream, words: &str) {
    let mut heard = Vec::new();
    while !heard.ends_with(words.as_bytes()) {
        heard.push(stream.read_u8().await.expect("the server answers"));
    }
}

/// A short text as a client sends it.
fn masked(text: &[u8]) -> Vec<u8> {
    assert!(text.len() < 126, "its length is one byte");
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text);
    frame
}

impl Members {
    async fn read(&self, number: usize, stream: TcpStream) {
        thread_local!(static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]));
        let mut cutter = Cutter::default();
        loop {
            stream.readable().await.expect("a socket");
            BUFFER.with_borrow_mut(|buffer| match stream.try_read(buffer) {
                Ok(0) => panic!("the server closed the connection"),
                Ok(length) => cutter.cut(&buffer[..length], number == 0, |frame| self.note(number, frame)),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}"),
            });
        }
    }

    fn note(&self, number: usize, frame: Option<Vec<u8>>) {
        let place = self.counts[number].replace(self.counts[number].get() + 1);
        self.kept.borrow_mut().extend(frame);
        if let Some((first, sent_at)) = &*self.timed.borrow() {
            let delay = sent_at.lock()[place - first].elapsed();
            self.delays.borrow_mut().push(delay);
        }
    }
}

/// Cuts what is read into frames, across reads. Looks at no more of them than their heads.
#[derive(Default)]
struct Cutter {
    /// The head of the frame and the first bytes of what it carries, as far as they are there.
    head: Vec<u8>,
    /// What is still to come of it, once the head is whole.
    left: usize,
    is_counted: bool,
    kept: Vec<u8>,
}

impl Cutter {
    fn cut(&mut self, mut bytes: &[u8], keeps: bool, mut take: impl FnMut(Option<Vec<u8>>)) {
        while !bytes.is_empty() {
            if self.left == 0 {
                self.head.push(bytes[0]);
                bytes = &bytes[1..];
                self.begin(keeps);
                continue;
            }
            let (now, later) = bytes.split_at(self.left.min(bytes.len()));
            if keeps && self.is_counted {
                self.kept.extend_from_slice(now);
            }
            self.left -= now.len();
            bytes = later;
            if self.left == 0 {
                if self.is_counted {
                    take(keeps.then(|| std::mem::take(&mut self.kept)));
                }
                self.head.clear();
            }
        }
    }

    /// Looks whether enough of the head is there.
    fn begin(&mut self, keeps: bool) {
        let Some(&short) = self.head.get(1) else { return };
        let head_length = match short {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        if self.head.len() < head_length {
            return;
        }
        let length = match short {
            126 => usize::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            127 => u64::from_be_bytes(self.head[2..10].try_into().expect("eight bytes")) as usize,
            length => usize::from(length),
        };
        // Short frames are no changes: pings and the like.
        let looked_at = if length < COUNTED.len() { length } else { COUNTED.len() };
        if self.head.len() < head_length + looked_at {
            return;
        }
        let said = &self.head[head_length..];
        self.is_counted = said == COUNTED;
        if keeps && self.is_counted {
            self.kept.extend_from_slice(said);
        }
        self.left = length - looked_at;
        if self.left == 0 {
            self.head.clear();
        }
    }
}
