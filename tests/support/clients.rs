//! The clients of README as processes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Over plain HTTP, and over WebSocket.
pub const CLIENTS: [&str; 2] = ["http_worker.py", "websocket_worker.py"];

/// Where a client's source is.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clients").join(name)
}

/// A client that serves a kind of jobs.
pub fn client(python: &str, name: &str, address: &str, kind: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(source(name)).arg(address).arg(kind).stdin(Stdio::null()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A Python that has the package `websockets`. A package of the system belongs to the Python of the system, which need
/// not be the first that is found.
pub fn python_with_websockets() -> Option<&'static str> {
    let has_package = |python: &&str| {
        let asked = Command::new(python).args(["-c", "import websockets"]).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"].into_iter().find(has_package)
}
