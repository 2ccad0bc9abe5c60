//! What the build does about the dashboard, decided from what is there. It starts nothing and reads nothing, so that
//! `tests/dashboard_build.rs` can hold it.

use std::fmt;
use std::path::PathBuf;

/// The oldest Node.js that builds the dashboard.
pub const NODE_OLDEST: Version = Version { major: 20, minor: 19 };

/// What of `frontend/` is built: its folders, one by one, because `frontend/` itself holds what npm has installed.
pub const FOLDERS: [&str; 3] = ["src", "public", "scripts"];
/// And its files.
pub const FILES: [&str; 6] =
    ["index.html", "package.json", "package-lock.json", ".npmrc", "tsconfig.json", "vite.config.ts"];
/// What the check of the frontend's types reads beside it.
pub const SCHEMA: &str = "schemas/http/openapi.json";

/// So many lines of what npm said are shown when it failed.
const LAST_LINES: usize = 30;

/// What is asked for by `DAYBOOK_UI`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The dashboard, if there is a Node.js to build it.
    Auto,
    /// The dashboard or no binary.
    Require,
    /// No dashboard.
    Skip,
}

/// A version of Node.js, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

/// What was found on this machine.
#[derive(Debug, Clone)]
pub struct Found {
    /// What `node --version` says.
    pub node: Option<String>,
    pub npm: bool,
}

/// Why there is no dashboard in the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    Skipped,
    NoNode,
    OldNode(Version),
    NoNpm,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Build it with npm.
    Build,
    /// Take it from this folder, where it was built already.
    Take(PathBuf),
    /// Do without it.
    LeaveOut(Absence),
}

/// Reads `DAYBOOK_UI`. What docs.rs builds is never run, and it has no network.
pub fn wish(value: Option<&str>, is_docs_rs: bool) -> Result<Wish, String> {
    match value {
        _ if is_docs_rs => Ok(Wish::Skip),
        None | Some("" | "auto") => Ok(Wish::Auto),
        Some("require") => Ok(Wish::Require),
        Some("skip") => Ok(Wish::Skip),
        Some(other) => Err(format!("DAYBOOK_UI is {other:?}; it can be auto, require or skip")),
    }
}

/// Decides what to do. Whoever asked for a dashboard gets it or an error; whoever asked for nothing gets it if it can be
/// built here. A build that was begun and fails is an error for both, which is not decided here.
pub fn plan(wish: Wish, built: Option<PathBuf>, look: impl FnOnce() -> Found) -> Result<Plan, String> {
    if wish == Wish::Skip {
        return Ok(Plan::LeaveOut(Absence::Skipped));
    }
    if let Some(folder) = built {
        return Ok(Plan::Take(folder));
    }
    match obstacle(&look()) {
        None => Ok(Plan::Build),
        Some(absence) if wish == Wish::Require => Err(format!(
            "DAYBOOK_UI=require, and the dashboard cannot be built: {absence}\nhint: Node.js {NODE_OLDEST} or newer with \
             npm is needed; DAYBOOK_UI=skip builds without the dashboard"
        )),
        Some(absence) => Ok(Plan::LeaveOut(absence)),
    }
}

fn obstacle(found: &Found) -> Option<Absence> {
    let Some(said) = &found.node else { return Some(Absence::NoNode) };
    match node_version(said) {
        None => Some(Absence::NoNode),
        Some(version) if version < NODE_OLDEST => Some(Absence::OldNode(version)),
        Some(_) if !found.npm => Some(Absence::NoNpm),
        Some(_) => None,
    }
}

/// Reads what `node --version` says, such as `v20.19.4`.
pub fn node_version(said: &str) -> Option<Version> {
    let mut parts = said.trim().strip_prefix('v')?.split(['.', '-']);
    let mut next = || parts.next()?.parse().ok();
    Some(Version { major: next()?, minor: next()? })
}

/// The end of what a program said, where the cause of a failure stands.
pub fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absence::Skipped => f.write_str("it was left out with DAYBOOK_UI=skip"),
            Absence::NoNode => f.write_str("there was no Node.js when it was built"),
            Absence::OldNode(version) => {
                write!(f, "the Node.js that it was built beside is {version}, which is too old")
            }
            Absence::NoNpm => f.write_str("there was a Node.js when it was built, but no npm"),
        }
    }
}
