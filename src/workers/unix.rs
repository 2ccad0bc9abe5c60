//! Real processes, on Unix: each child leads a session and process group of its own and is watched by a thread of its
//! own.
//!
//! The thread starts the child, waits for its end without reaping it, and reaps it only after the rest of the group was
//! killed. So the number of the group cannot be taken by a stranger while signals may still be sent to it; and because
//! the kernel ties the parent-death signal to the starting *thread*, that thread has to live as long as the child.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::unix::pipe;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::{oneshot, watch};

use crate::workers::file_limit;
use crate::workers::proc_table;
use crate::workers::process::{Exit, Group, LaunchError, Launched, Launcher, Program, Readable, StopSignal, Writable};

/// The stack of a watching thread: it does next to nothing.
const STACK_BYTES: usize = 128 * 1024;
/// How long a killed group may take to vanish before the server stops waiting for it: what is left then hangs in the
/// kernel and runs no more code of its own.
const VANISH_MAX: Duration = Duration::from_secs(5);
/// How often a vanishing group is looked at.
const VANISH_LOOK: Duration = Duration::from_millis(2);

/// Starts real processes.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnixLauncher;

impl Launcher for UnixLauncher {
    fn launch(&self, program: Program) -> BoxFuture<'static, Result<Launched, LaunchError>> {
        launch(program).boxed()
    }
}

async fn launch(program: Program) -> Result<Launched, LaunchError> {
    let name = program.argv.first().cloned().ok_or(LaunchError::Empty)?;
    let system = |source| LaunchError::System { program: name.clone(), source };
    let (started, starting) = oneshot::channel();
    let builder = thread::Builder::new().name("daybook-child".into()).stack_size(STACK_BYTES);
    builder.spawn(move || keep(&program, started)).map_err(system)?;
    let started = starting.await.expect("the watching thread answers before it ends")?;
    Ok(Launched {
        stdin: Box::pin(pipe::Sender::from_owned_fd(started.stdin.into()).map_err(system)?),
        stdout: Box::pin(PipeEnd(ChildStdout::from_std(started.stdout).map_err(system)?)),
        stderr: Box::pin(PipeEnd(ChildStderr::from_std(started.stderr).map_err(system)?)),
        group: Box::new(started.group),
    })
}

impl Writable for pipe::Sender {
    fn broken(&self) -> BoxFuture<'_, ()> {
        // The kernel reports an error on a pipe whose last reader is gone; that it cannot be watched is as good as that.
        async { drop(self.ready(Interest::ERROR).await) }.boxed()
    }
}

/// Our end of a pipe. It does not block: that is asked of the kernel when it becomes one of the runtime's.
struct PipeEnd<R>(R);

impl<R: AsyncRead + Unpin> AsyncRead for PipeEnd<R> {
    fn poll_read(self: Pin<&mut Self>, ctx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(ctx, buffer)
    }
}

impl<R: AsyncRead + AsFd + Send + Unpin> Readable for PipeEnd<R> {
    fn read_now(self: Pin<&mut Self>, buffer: &mut [u8]) -> io::Result<usize> {
        // The runtime reads only what it was told of by the kernel, which may be a moment behind the pipe itself.
        nix::unistd::read(&self.0, buffer).map_err(raw)
    }
}

struct Started {
    stdin: std::process::ChildStdin,
    stdout: std::process::ChildStdout,
    stderr: std::process::ChildStderr,
    group: UnixGroup,
}

/// Whether the leader's number still belongs to it. Signals are sent and the leader is reaped under this lock.
type Unreaped = Arc<Mutex<bool>>;

struct UnixGroup {
    id: u32,
    unreaped: Unreaped,
    ended: watch::Receiver<bool>,
    /// Dropped or used, it lets the watching thread kill and reap.
    burial: mpsc::Sender<oneshot::Sender<Exit>>,
}

impl Group for UnixGroup {
    fn id(&self) -> u32 {
        self.id
    }

    fn signal(&self, signal: StopSignal) {
        let signal = match signal {
            StopSignal::Terminate => Signal::SIGTERM,
            StopSignal::Kill => Signal::SIGKILL,
        };
        signal_group(self.id, &self.unreaped, signal);
    }

    fn exited(&mut self) -> BoxFuture<'_, ()> {
        async {
            // The sender is the watching thread, which cannot end before it has said so.
            let _ = self.ended.wait_for(|ended| *ended).await;
        }
        .boxed()
    }

    fn bury(self: Box<Self>) -> BoxFuture<'static, Exit> {
        let (buried, burying) = oneshot::channel();
        signal_group(self.id, &self.unreaped, Signal::SIGKILL);
        let _ = self.burial.send(buried);
        async move { burying.await.expect("the watching thread buries before it ends") }.boxed()
    }
}

impl Drop for UnixGroup {
    fn drop(&mut self) {
        signal_group(self.id, &self.unreaped, Signal::SIGKILL);
    }
}

fn signal_group(group: u32, unreaped: &Unreaped, signal: Signal) {
    if *unreaped.lock() {
        // The group exists as long as its leader is not reaped; nobody in it may refuse us but a changed user.
        let _ = killpg(Pid::from_raw(group as i32), signal);
    }
}

/// The life of a watching thread.
fn keep(program: &Program, started: oneshot::Sender<Result<Started, LaunchError>>) {
    let mut child = match spawn(program) {
        Ok(child) => child,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let id = child.id();
    let unreaped = Arc::new(Mutex::new(true));
    let (ended, ends) = watch::channel(false);
    let (burial, burials) = mpsc::channel();
    let group = UnixGroup { id, unreaped: unreaped.clone(), ended: ends, burial };
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let pipe = "every standard stream was asked for as a pipe";
    let all = Started { stdin: stdin.expect(pipe), stdout: stdout.expect(pipe), stderr: stderr.expect(pipe), group };
    // When nobody waits for the child any more, the group is dropped here and thereby killed.
    drop(started.send(Ok(all)));

    wait_without_reaping(id);
    ended.send_replace(true);
    let asked = burials.recv().ok();
    let exit = reap(&mut child, &unreaped);
    wait_until_vanished(id);
    if let Some(buried) = asked {
        let _ = buried.send(exit);
    }
}

fn spawn(program: &Program) -> Result<Child, LaunchError> {
    let (name, arguments) = program.argv.split_first().ok_or(LaunchError::Empty)?;
    if !program.dir.is_dir() {
        return Err(LaunchError::NoDirectory { dir: program.dir.clone() });
    }
    let mut command = Command::new(name);
    command.args(arguments).current_dir(&program.dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("DAYBOOK_")) {
        command.env_remove(key);
    }
    command.envs(program.env.iter().map(|(key, value)| (key, value)));
    let server = std::process::id();
    let files = file_limit::of_children();
    // SAFETY: between fork and exec only async-signal-safe calls are made (setsid, prctl, getppid, setrlimit), and
    // nothing is allocated: errors are made from the plain error number.
    unsafe { command.pre_exec(move || prepare(server, files)) };
    command.spawn().map_err(|source| explain(name, source))
}

/// Runs in the child before the program: a session of its own, death with the server, and a limit of open files as
/// programs expect it.
fn prepare(server: u32, files: Option<libc::rlimit>) -> io::Result<()> {
    if let Some(files) = files {
        file_limit::set(&files)?;
    }
    nix::unistd::setsid().map_err(raw)?;
    #[cfg(target_os = "linux")]
    {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(raw)?;
        // The server may have died before the line above.
        if nix::unistd::getppid().as_raw() as u32 != server {
            return Err(io::Error::from_raw_os_error(nix::errno::Errno::ESRCH as i32));
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = server;
    Ok(())
}

fn raw(errno: nix::errno::Errno) -> io::Error {
    io::Error::from_raw_os_error(errno as i32)
}

fn explain(program: &str, source: io::Error) -> LaunchError {
    let program = program.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => LaunchError::NotFound { program },
        io::ErrorKind::PermissionDenied => LaunchError::NotAllowed { program },
        _ => LaunchError::System { program, source },
    }
}

/// Waits for the end of a child that stays a zombie, so that its number stays taken.
fn wait_without_reaping(id: u32) {
    loop {
        // SAFETY: waitid only writes into `info`, which is a plain C struct for which all zeros are valid.
        let result = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, id as libc::id_t, &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        if result == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

fn reap(child: &mut Child, unreaped: &Unreaped) -> Exit {
    let mut unreaped = unreaped.lock();
    let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
    let status = child.wait();
    *unreaped = false;
    match status {
        Ok(status) => status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or(0)), Exit::Status),
        // Only possible if somebody else reaped our child: how it ended is not known, so nothing is claimed.
        Err(_) => Exit::Signal(0),
    }
}

/// Waits until no process of a killed group runs any more. Zombies do not run.
fn wait_until_vanished(group: u32) {
    let until = Instant::now() + VANISH_MAX;
    while proc_table::group_is_alive(group) && Instant::now() < until {
        thread::sleep(VANISH_LOOK);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

    use crate::workers::process::Output;

    use super::*;

    fn shell(script: &str) -> Program {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        Program { argv, dir: std::env::temp_dir(), env: Vec::new() }
    }

    async fn start(program: Program) -> Launched {
        UnixLauncher.launch(program).await.expect("the program starts")
    }

    async fn first_line(output: Output) -> String {
        BufReader::new(output).lines().next_line().await.expect("reads").expect("there is a line")
    }

    fn launch_error(argv: &[&str], dir: &Path) -> String {
        let argv = argv.iter().map(|&argument| argument.to_owned()).collect();
        let program = Program { argv, dir: dir.to_owned(), env: Vec::new() };
        spawn(&program).expect_err("it does not start").to_string()
    }

    #[tokio::test]
    async fn a_child_speaks_through_its_pipes_and_its_status_is_told() {
        let mut child = start(shell("read line; echo \"$line $GREETING\"; exit 7")).await;
        child.stdin.write_all(b"good\n").await.expect("writes");
        assert_eq!(first_line(child.stdout).await, "good ");
        child.group.exited().await;
        assert_eq!(child.group.bury().await, Exit::Status(7));
    }

    #[tokio::test]
    async fn a_child_gets_its_directory_and_environment() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir_path = dir.path().canonicalize().expect("it is there");
        let env = vec![("GREETING".to_owned(), "moin; $(exit 3)".to_owned())];
        let program = Program { dir: dir_path.clone(), env, ..shell("echo $GREETING in $(pwd)") };
        let line = first_line(start(program).await.stdout).await;
        assert_eq!(line, format!("moin; $(exit 3) in {}", dir_path.display()));
    }

    #[tokio::test]
    async fn arguments_reach_no_shell() {
        let argv = ["/bin/echo", "$(id)", "a b", "*"].map(str::to_owned).to_vec();
        let child = start(Program { argv, dir: std::env::temp_dir(), env: Vec::new() }).await;
        assert_eq!(first_line(child.stdout).await, "$(id) a b *");
    }

    #[tokio::test]
    async fn a_child_leads_a_group_and_a_session_of_its_own() {
        let child = start(shell("read line")).await;
        let entry = proc_table::entry(child.group.id()).expect("it runs");
        assert_eq!(entry.group, child.group.id());
        assert_ne!(entry.group, proc_table::entry(std::process::id()).expect("we run").group);
    }

    #[tokio::test]
    async fn a_child_that_ignores_the_request_to_stop_is_killed() {
        let mut child = start(shell("trap '' TERM; echo ready; while :; do sleep 1000; done")).await;
        assert_eq!(first_line(child.stdout).await, "ready");
        child.group.signal(StopSignal::Terminate);
        assert!(child.group.exited().now_or_never().is_none());
        child.group.signal(StopSignal::Kill);
        child.group.exited().await;
        assert_eq!(child.group.bury().await, Exit::Signal(9));
    }

    #[tokio::test]
    async fn burying_a_child_ends_what_it_forked_too() {
        let mut child = start(shell("sleep 1000 & echo $!")).await;
        let forked: u32 = first_line(child.stdout).await.parse().expect("a process number");
        child.group.exited().await;
        assert!(proc_table::entry(forked).is_some_and(|entry| entry.runs), "it outlives its parent");
        assert_eq!(child.group.bury().await, Exit::Status(0));
        assert!(!proc_table::entry(forked).is_some_and(|entry| entry.runs));
    }

    #[tokio::test]
    async fn the_number_of_an_ended_child_stays_taken_until_it_is_buried() {
        let mut child = start(shell("exit 0")).await;
        let id = child.group.id();
        child.group.exited().await;
        assert_eq!(proc_table::entry(id).map(|entry| entry.runs), Some(false));
        child.group.signal(StopSignal::Terminate);
        child.group.bury().await;
        assert_eq!(proc_table::entry(id), None);
    }

    #[tokio::test]
    async fn a_child_that_nobody_holds_any_more_is_killed() {
        let Launched { group, mut stdout, .. } = start(shell("echo; read line")).await;
        stdout.read_u8().await.expect("it runs");
        drop(group);
        assert_eq!(stdout.read(&mut [0; 8]).await.expect("reads"), 0, "its pipe is closed by its death");
    }

    #[test]
    fn a_program_that_cannot_start_says_what_to_correct() {
        let dir = tempfile::tempdir().expect("a directory");
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "no program").expect("writes");
        let plain = plain.to_str().expect("text");
        assert!(launch_error(&["no-such-program-at-all"], dir.path()).contains("was not found"));
        assert!(launch_error(&[plain], dir.path()).contains("chmod +x"));
        assert!(launch_error(&["true"], &dir.path().join("gone")).contains("working directory"));
        assert!(launch_error(&[], dir.path()).contains("empty"));
    }
}
