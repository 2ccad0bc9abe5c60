//! The port to the operating system's processes: what the supervisor asks of them. [`unix`](crate::workers::unix) is
//! the real implementation. Nothing here knows of jobs.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

/// What to run. The first argument names the program; none of them ever reaches a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub argv: Vec<String>,
    /// The working directory; a relative program is looked for from here.
    pub dir: PathBuf,
    /// Added to the environment of the server, of which every `DAYBOOK_…` variable is left out.
    pub env: Vec<(String, String)>,
}

/// The end of a pipe that the child reads from.
pub type Input = Pin<Box<dyn Writable>>;
/// The end of a pipe that the child writes to.
pub type Output = Pin<Box<dyn Readable>>;

/// A pipe that can be written, and tells when that is in vain.
pub trait Writable: AsyncWrite + Send + Sync {
    /// Waits until nobody can read from the pipe any more.
    fn broken(&self) -> BoxFuture<'_, ()>;
}

/// A pipe that can be read with waiting and without.
pub trait Readable: AsyncRead + Send {
    /// Reads what is in the pipe at this moment: 0 at its end, [`io::ErrorKind::WouldBlock`] when it is empty.
    fn read_now(self: Pin<&mut Self>, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A child that runs in a process group of its own.
pub struct Launched {
    pub stdin: Input,
    pub stdout: Output,
    pub stderr: Output,
    pub group: Box<dyn Group>,
}

/// Starts children.
pub trait Launcher: Send + Sync {
    /// Starts a program in a new process group.
    fn launch(&self, program: Program) -> BoxFuture<'static, Result<Launched, LaunchError>>;
}

/// A child and everything that it started without leaving its group. Dropping it kills the group.
pub trait Group: Send + Sync {
    /// The number of the group, which is the process number of its leader.
    fn id(&self) -> u32;

    /// Sends a signal to every process of the group; does nothing when there is none any more.
    fn signal(&self, signal: StopSignal);

    /// Waits until the leader has ended. Its number stays taken until [`Group::bury`], so that no signal can ever
    /// reach a stranger. It may be dropped and asked again.
    fn exited(&mut self) -> BoxFuture<'_, ()>;

    /// Kills what is left of the group and waits until nothing of it runs any more.
    fn bury(self: Box<Self>) -> BoxFuture<'static, Exit>;
}

/// How a group is asked or made to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM: it may still finish what it does.
    Terminate,
    /// SIGKILL: it ends now.
    Kill,
}

/// How a leader ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It left with this status.
    Status(i32),
    /// This signal ended it.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Status(status) => write!(f, "exit status {status}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Why a program was not started. The text says what to correct.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("the working directory {dir} is not there; create it, or correct where daybook.toml stands")]
    NoDirectory { dir: PathBuf },
    #[error("the program {program:?} was not found; correct `command`, or install it where PATH leads")]
    NotFound { program: String },
    #[error("the program {program:?} may not be run; make it executable (chmod +x)")]
    NotAllowed { program: String },
    #[error("the command is empty; `command` needs at least the name of a program")]
    Empty,
    #[error("the operating system did not start {program:?}: {source}")]
    System { program: String, source: std::io::Error },
}

impl LaunchError {
    /// Whether the configuration is wrong, so that another try will meet the same.
    pub fn is_configuration(&self) -> bool {
        match self {
            LaunchError::NoDirectory { .. } | LaunchError::NotFound { .. } => true,
            LaunchError::NotAllowed { .. } | LaunchError::Empty => true,
            LaunchError::System { .. } => false,
        }
    }
}
