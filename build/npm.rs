//! Runs npm on a copy of `frontend/` below the build's output folder, so that nothing is written beside the sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::decide::{FILES, FOLDERS, Found, SCHEMA, last_lines};
use crate::tree;

const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };
/// Folders among the sources that are made from them.
const MADE: [&str; 2] = ["node_modules", "dist"];
/// Installs what the lock names. What the machine's settings say of production is not about this build.
const INSTALL: &[&str] = &["ci", "--include=dev", "--prefer-offline", "--no-audit", "--no-fund"];
const BUILD: &[&str] = &["run", "build"];

/// Looks what is there to build with.
pub fn look() -> Found {
    Found { node: version("node"), npm: version(NPM).is_some() }
}

/// What a program says about its version.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Builds the dashboard and says where it is.
pub fn build(root: &Path, out: &Path) -> Result<PathBuf, String> {
    let stage = out.join("stage");
    let frontend = stage.join("frontend");
    for folder in FOLDERS {
        // What is gone from the sources must not stay here.
        tree::empty(&frontend.join(folder))?;
        tree::copy(&root.join("frontend").join(folder), &frontend.join(folder), &MADE)?;
    }
    for file in FILES {
        tree::copy(&root.join("frontend").join(file), &frontend.join(file), &[])?;
    }
    tree::copy(&root.join(SCHEMA), &stage.join(SCHEMA), &[])?;
    install(&stage, &frontend)?;
    let dist = frontend.join("dist");
    tree::empty(&dist)?;
    npm(&frontend, BUILD)?;
    Ok(dist)
}

/// Installs the packages, once for each lock.
fn install(stage: &Path, frontend: &Path) -> Result<(), String> {
    let stamp = stage.join("installed-lock.json");
    let lock = fs::read(frontend.join("package-lock.json")).map_err(tree::failed("read", frontend))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    // An install that was broken off must not look like one that was done.
    let _ = fs::remove_file(&stamp);
    npm(frontend, INSTALL)?;
    fs::write(&stamp, lock).map_err(tree::failed("write", &stamp))
}

fn npm(directory: &Path, arguments: &[&str]) -> Result<(), String> {
    let command = format!("npm {}", arguments.join(" "));
    let output = Command::new(NPM)
        .args(arguments)
        .current_dir(directory)
        // A build that npm itself has started would hand on the folder of its own package.
        .env_remove("npm_config_prefix")
        .env_remove("npm_config_local_prefix")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command} could not be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].map(|bytes| last_lines(&String::from_utf8_lossy(&bytes)));
    let said = said.join("\n");
    Err(format!(
        "{said}\n\nthe dashboard could not be built: {command} failed, and above is what it said last\n\
         hint: `npm ci && npm run build` in frontend/ shows all of it; DAYBOOK_UI=skip builds without the dashboard"
    ))
}
