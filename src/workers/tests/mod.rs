//! Workers over the real engine with real children: shell and Python scripts in a directory of their own.

mod command;
mod port;
mod session;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::domain::command::NewJob;
use crate::domain::id::JobId;
use crate::domain::time::Millis;
use crate::kinds::{RunMode, RunSettings};
use crate::sessions::testing::{EPOCH, MemoryFiles, PATIENCE, World};
use crate::workers::orphans::LiveGroups;
use crate::workers::proc_table;
use crate::workers::process::{LaunchError, Launched, Launcher, Program};
use crate::workers::unix::UnixLauncher;
use crate::workers::{Drained, RunSpec, Supervisor, Workshop};

/// A server that runs one kind, `work`, with a script.
struct Works {
    world: World,
    dir: TempDir,
    files: Arc<MemoryFiles>,
    launcher: Arc<CountingLauncher>,
    supervisor: Option<Supervisor>,
}

/// Starts real processes and counts them.
#[derive(Default)]
struct CountingLauncher {
    launches: watch::Sender<usize>,
}

impl Launcher for CountingLauncher {
    fn launch(&self, program: Program) -> BoxFuture<'static, Result<Launched, LaunchError>> {
        self.launches.send_modify(|launches| *launches += 1);
        UnixLauncher.launch(program)
    }
}

impl Works {
    /// A command-mode worker in shell.
    async fn command(script: &str) -> Works {
        Works::start(RunMode::Command, 1, "run.sh", script, &["/bin/sh", "run.sh"]).await
    }

    /// A session-mode worker in Python; `script` has `say(frame)`, `next_frame()` and `job(frame)` at hand.
    async fn session(script: &str) -> Works {
        let script = format!("{PRELUDE}\n{script}");
        Works::start(RunMode::Session, 1, "run.py", &script, &["python3", "run.py"]).await
    }

    async fn start(mode: RunMode, processes: usize, file: &str, script: &str, command: &[&str]) -> Works {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(file), script).expect("writes");
        let run = RunSettings {
            mode,
            command: command.iter().map(|&argument| argument.to_owned()).collect(),
            processes,
            grace: Millis(400),
            env: BTreeMap::from([("GREETING".to_owned(), "moin".to_owned())]),
            directory: dir.path().to_owned(),
        };
        let world = World::start().await;
        let (files, launcher) = (Arc::new(MemoryFiles::default()), Arc::new(CountingLauncher::default()));
        let workshop = Workshop {
            sessions: world.sessions.clone(),
            files: files.clone(),
            launcher: launcher.clone(),
            groups: LiveGroups::open(&dir.path().join("children"), EPOCH).expect("opens"),
            scratch: dir.path().join("scratch"),
            server_url: "http://127.0.0.1:7878".to_owned(),
        };
        let spec = RunSpec { kind: "work".parse().expect("a name"), run };
        let supervisor = Some(Supervisor::start(vec![spec], workshop));
        Works { world, dir, files, launcher, supervisor }
    }

    async fn submit(&self, args: serde_json::Value) -> JobId {
        self.submit_with(args, |_| ()).await
    }

    /// Submits a job with short waits and the grace of the kind.
    async fn submit_with(&self, args: serde_json::Value, change: impl FnOnce(&mut NewJob)) -> JobId {
        let request = serde_json::json!({"kind": "work", "args": args});
        let change = |job: &mut NewJob| {
            job.policy.grace = Millis(400);
            job.policy.backoff = Millis(1);
            change(job);
        };
        self.world.submit(request, change).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn logged(&self, job: JobId) -> Vec<String> {
        self.world.logs.texts(job)
    }

    fn launches(&self) -> usize {
        *self.launcher.launches.borrow()
    }

    async fn until_launched(&self, times: usize) {
        let mut launches = self.launcher.launches.subscribe();
        let launched = tokio::time::timeout(PATIENCE, launches.wait_for(|&launches| launches >= times)).await;
        launched.expect("in time").expect("the launcher is there");
    }

    /// The number that a script has written into a file.
    fn number_in(&self, name: &str) -> u32 {
        let text = std::fs::read_to_string(self.path(name)).expect("the script has written it");
        text.trim().parse().expect("a process number")
    }

    async fn drain(&mut self) -> Drained {
        self.supervisor.take().expect("it runs").drain(Duration::from_secs(10)).await
    }

    /// No group is on record, so that none lives.
    fn has_no_groups(&self) -> bool {
        files_in(&self.path("children")) == 0
    }
}

fn files_in(dir: &Path) -> usize {
    std::fs::read_dir(dir).expect("lists").count()
}

fn is_alive(process: u32) -> bool {
    proc_table::entry(process).is_some_and(|entry| entry.runs)
}

/// What every session-mode script of these tests begins with.
const PRELUDE: &str = r#"
import json, os, signal, sys, time
def say(*frames):
    sys.stdout.write(json.dumps(frames[0] if len(frames) == 1 else list(frames)) + "\n")
    sys.stdout.flush()
def next_frame():
    line = sys.stdin.readline()
    if not line: sys.exit(0)
    return json.loads(line)
def about(frame, type, **fields):
    return {"type": type, "job_id": frame["job"]["id"], "token": frame["lease"]["token"], **fields}
def next_job():
    while True:
        frame = next_frame()
        if frame["type"] == "job": return frame
"#;
