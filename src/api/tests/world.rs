//! A whole server but for its disk and its workers: the engine over a log in memory, behind the real door.

use std::collections::BTreeMap;
use std::io;
use std::io::{Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower_service::Service;
use warp::http::{Request as HttpRequest, Response as HttpResponse};

use crate::api::assets::Assets;
use crate::api::context::{ApiContext, Identity};
use crate::api::door::Door;
use crate::api::door_with;
use crate::api::past::Pasts;
use crate::auth::Gate;
use crate::clock::{ManualClock, SystemClock};
use crate::domain::command::{Command, JoinWorker, LeaseProof, StartEpoch};
use crate::domain::event::Actor;
use crate::domain::id::{Epoch, JobId, Seq, SessionId};
use crate::domain::job::{FileInfo, WorkerPlace};
use crate::domain::queue::Limits;
use crate::domain::retry::Policy;
use crate::domain::state::State;
use crate::domain::time::{Millis, Timestamp};
use crate::engine::past::PastStates;
use crate::engine::{Engine, Granted, Handle, Parts};
use crate::kinds::schema::ArgsSchema;
use crate::kinds::{Catalog, Kind, KindSettings};
use crate::live::Live;
use crate::live::position::Epochs;
use crate::log::EventLog;
use crate::log::memory::{MemoryLog, MemoryStore};
use crate::sessions::line_news::{LineNews, LineWatch};
use crate::sessions::ports::{JobLogs, LogLine, LogStream};
use crate::sessions::reading::{JobFileStore, JobLogReader, KeptLine, NewJobFile};
use crate::sessions::traces::Traces;
use crate::sessions::{Sessions, Settings};
use crate::views::{MemoryFinished, Parts as ViewParts, Views};

pub const LISTEN: &str = "127.0.0.1:7878";

/// The server.
pub struct World {
    pub door: Arc<Door>,
    pub handle: Handle,
    pub store: Arc<MemoryStore>,
    pub lines: Arc<Lines>,
    pub live: Arc<Live>,
    _engine: Engine,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: warp::http::HeaderMap,
    pub bytes: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("JSON, not {:?}", self.bytes))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    #[track_caller]
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:?}", self.bytes);
        assert!(!self.header("daybook-epoch").is_empty());
        self.json()
    }

    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status, body["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        body
    }
}

impl World {
    pub async fn start() -> World {
        World::start_with(crate::live::Settings::default()).await
    }

    /// With these settings for live connections.
    pub async fn start_with(settings: crate::live::Settings) -> World {
        let store = Arc::new(MemoryStore::default());
        let log: Box<dyn EventLog> = Box::new(MemoryLog::open(store.clone()));
        let state = State::default();
        let finished = Arc::new(MemoryFinished::default());
        let views = Arc::new(Views::from_parts(ViewParts::of(&state), finished, log.reader()));
        let clock = Arc::new(ManualClock::new(Timestamp::from_ms(1_790_000_000_000)));
        let parts = Parts { log, state, views, limits: Limits::default(), clock: Arc::new(SystemClock), seed: 7 };
        let (engine, handle) = Engine::start(parts);
        let epoch = Epoch(uuid::Uuid::from_u128(7));
        let start = StartEpoch { epoch, reset: false, clean_shutdown: true };
        handle.submit(Command::StartEpoch(start), Actor::SERVER).await.expect("starts");
        let lines = Arc::new(Lines::default());
        let (_, catalog) = watch::channel(Arc::new(catalog()));
        let (_, limits) = watch::channel(Limits::default());
        let sessions = Sessions::start(crate::sessions::Parts {
            engine: handle.clone(),
            logs: lines.clone(),
            clock: clock.clone(),
            catalog: catalog.clone(),
            epoch,
            settings: Settings {
                lease: Millis::from_secs(30),
                ping: Millis::from_secs(10),
                grace: Millis::from_secs(10),
            },
        });
        let live = Live::start(crate::live::Parts {
            engine: handle.clone(),
            logs: lines.clone(),
            clock: clock.clone(),
            epochs: Epochs::new(&[], Seq::ZERO, epoch),
            started_at: Timestamp::from_ms(1_000),
            version: "0.0.0",
            wire: crate::api::websocket::shared_line::write_text,
            settings,
        });
        let identity = Identity { epoch, started_at: Timestamp::from_ms(1_000), version: "0.0.0" };
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let context = ApiContext {
            identity,
            lineage: uuid::Uuid::from_u128(7),
            handle: handle.clone(),
            sessions,
            live: live.clone(),
            clock,
            logs: lines.clone(),
            files: Arc::new(Files::default()),
            traces: Arc::new(Traces::new([])),
            data: Arc::new(crate::storage::BackupFiles::of(std::path::Path::new("/nowhere"))),
            hold: Arc::default(),
            pasts: Pasts::new(Arc::new(PastStates::new(handle.log().clone()))),
            metrics: recorder.handle(),
            catalog,
            limits,
        };
        let gate = Gate::new(LISTEN.parse().expect("an address"), Vec::new());
        let door = Arc::new(door_with(identity, gate, Assets::absent("a test left it out")));
        door.open(Arc::new(context));
        World { door, handle, store, lines, live, _engine: engine }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, &[("content-type", "application/json")], body.to_string().into()).await
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        let mut request = HttpRequest::builder().method(method).uri(path).header("host", LISTEN);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("a request");
        let response = warp::service(self.door.clone().filter()).call(request).await.expect("always answers");
        let (parts, body) = HttpResponse::into_parts(response);
        let bytes = body.collect().await.expect("a body").to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    /// Submits a job of a kind that is not listed.
    pub async fn submit(&self) -> JobId {
        let job = self.post("/api/jobs", json!({"kind": "any", "args": {"n": 1}})).await.ok(201);
        job["id"].as_str().expect("an id").parse().expect("an id")
    }

    /// A worker comes and takes one job.
    pub async fn take(&self) -> Granted {
        let session = SessionId(uuid::Uuid::now_v7());
        let (name, place) = ("ann".into(), WorkerPlace::Remote);
        let join = JoinWorker { session, name, kinds: Vec::new(), queues: None, place };
        self.handle.submit(Command::JoinWorker(join), Actor::SERVER).await.expect("joins");
        self.handle.claim(session, 1).await.expect("a job waits").take().remove(0)
    }

    pub async fn complete(&self, granted: &Granted) {
        let proof = LeaseProof { job: granted.job, token: granted.token.hash() };
        let result = Some(crate::domain::json::Json::from_checked("{\"done\":true}"));
        self.handle.submit(Command::Complete { proof, result }, Actor::SERVER).await.expect("completes");
    }
}

fn catalog() -> Catalog {
    let schema = json!({
        "properties": {"steps": {"type": "integer", "maximum": 100, "default": 8}}, "additionalProperties": false
    });
    let schema = Some(ArgsSchema::compile(schema).expect("a schema"));
    let settings = KindSettings { policy: Policy::default(), ..KindSettings::default() };
    Catalog::new([Kind { name: "i2v".parse().expect("a name"), schema, settings, run: None }], false)
}

/// Log lines in memory.
#[derive(Default)]
pub struct Lines {
    kept: Mutex<BTreeMap<JobId, Vec<KeptLine>>>,
    news: LineNews,
    /// Whether no line can be read.
    pub fails: AtomicBool,
}

impl JobLogs for Lines {
    fn append(&self, job: JobId, at: Timestamp, lines: &[LogLine]) -> io::Result<()> {
        let mut all = self.kept.lock();
        let kept = all.entry(job).or_default();
        for line in lines {
            kept.push(KeptLine { n: kept.len() as u64 + 1, at, stream: line.stream, text: line.text.clone() });
        }
        self.news.announce(job, kept.len() as u64);
        Ok(())
    }

    fn needs_sync(&self, _: JobId) -> bool {
        false
    }

    fn sync(&self, _: JobId) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    pub fn say(&self, job: JobId, text: &str) {
        let line = LogLine::new(LogStream::Stdout, text, text.len() as u64);
        self.append(job, Timestamp::from_ms(1_000), &[line]).expect("memory takes it");
    }
}

impl JobLogReader for Lines {
    fn lines_after(&self, job: JobId, after: u64, lines_max: usize, _: usize) -> io::Result<Vec<KeptLine>> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is gone"));
        }
        let all = self.kept.lock();
        let kept = all.get(&job).map_or(&[][..], Vec::as_slice);
        Ok(kept.iter().skip(after as usize).take(lines_max).cloned().collect())
    }

    fn newest_line(&self, job: JobId) -> io::Result<u64> {
        Ok(self.kept.lock().get(&job).map_or(0, |lines| lines.len() as u64))
    }

    fn watch(&self, job: JobId) -> LineWatch {
        self.news.watch(job)
    }
}

/// The bytes of files, by job and name.
type Shelf = Arc<Mutex<BTreeMap<(JobId, String), Vec<u8>>>>;

/// Files in memory.
#[derive(Default)]
struct Files(Shelf);

struct NewFile {
    files: Shelf,
    place: (JobId, String),
    bytes: Vec<u8>,
}

impl JobFileStore for Files {
    fn open(&self, job: JobId, name: &str) -> io::Result<Option<std::fs::File>> {
        let Some(bytes) = self.0.lock().get(&(job, name.to_owned())).cloned() else { return Ok(None) };
        let mut file = tempfile::tempfile()?;
        file.write_all(&bytes)?;
        file.rewind()?;
        Ok(Some(file))
    }

    fn create(&self, job: JobId, name: &str) -> io::Result<Box<dyn NewJobFile>> {
        Ok(Box::new(NewFile { files: self.0.clone(), place: (job, name.to_owned()), bytes: Vec::new() }))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewJobFile for NewFile {
    fn finish(self: Box<Self>) -> io::Result<FileInfo> {
        let name = self.place.1.as_str().into();
        let file = FileInfo { name, media_type: "application/octet-stream".into(), size: self.bytes.len() as u64 };
        self.files.lock().insert(self.place, self.bytes);
        Ok(file)
    }
}
