//! Puts the dashboard into `$OUT_DIR/ui`, from where `api/assets/embedded.rs` takes it into the binary.
//!
//! `DAYBOOK_UI` says what is wanted: `auto` (without Node.js the binary shows a notice instead), `require` or `skip`;
//! `DAYBOOK_UI_DIST` names a folder where the dashboard was built already. With Node.js at hand a build that fails is an
//! error and never a notice: nobody looks at a warning. Writes below `$OUT_DIR` only.

#[path = "build/decide.rs"]
mod decide;
#[path = "build/npm.rs"]
mod npm;
#[path = "build/tree.rs"]
mod tree;

use std::env;
use std::path::{Path, PathBuf};

use decide::{Absence, FILES, FOLDERS, Plan, SCHEMA};

fn main() {
    if let Err(reason) = run() {
        eprintln!("{reason}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    let ui = out.join("ui");
    ["build.rs", "build"].iter().for_each(|path| watch(Path::new(path)));
    ["DAYBOOK_UI", "DAYBOOK_UI_DIST", "DOCS_RS"].iter().for_each(|name| watch_variable(name));

    let wish = decide::wish(env::var("DAYBOOK_UI").ok().as_deref(), env::var_os("DOCS_RS").is_some())?;
    let built = env::var_os("DAYBOOK_UI_DIST").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let plan = decide::plan(wish, built, npm::look)?;
    tree::empty(&ui)?;
    let absence = match plan {
        Plan::Build => {
            watch_sources();
            take(&npm::build(&root, &out)?, &ui)?;
            None
        }
        Plan::Take(folder) => {
            watch(&folder);
            take(&folder, &ui)?;
            None
        }
        Plan::LeaveOut(absence) => {
            announce(absence);
            Some(absence)
        }
    };
    println!("cargo::rustc-env=DAYBOOK_UI_ABSENCE={}", absence.map_or_else(String::new, |it| it.to_string()));
    Ok(())
}

fn take(built: &Path, ui: &Path) -> Result<(), String> {
    if !built.join("index.html").is_file() {
        return Err(format!("there is no index.html in {}, so this is no dashboard", built.display()));
    }
    tree::copy(built, ui, &[])
}

/// Says that the dashboard is left out, unless that was asked for, and has cargo notice when it need not be any more.
fn announce(absence: Absence) {
    let cure = match absence {
        Absence::Skipped => return,
        Absence::NoNode | Absence::OldNode(_) | Absence::NoNpm => {
            watch_for_node();
            format!("install Node.js {} or newer with npm, and build again", decide::NODE_OLDEST)
        }
    };
    println!("cargo::warning=the dashboard is not in the binary: {absence}; {cure}");
}

/// What the dashboard is made from. Never `frontend/` as a whole: what npm installs there would build it anew.
fn watch_sources() {
    let paths = FOLDERS.iter().chain(&FILES).map(|name| Path::new("frontend").join(name));
    // One that is not there would have cargo compile everything at each call.
    paths.chain([PathBuf::from(SCHEMA)]).filter(|path| path.exists()).for_each(|path| watch(&path));
}

/// The folders of the search path, which change when Node.js comes into one of them. A path that is not there would do as
/// well, but it has cargo compile everything of ours at each call. A folder with folders in it would be walked as a whole.
fn watch_for_node() {
    watch_variable("PATH");
    let folders = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    folders.iter().filter(|folder| folder.is_absolute() && tree::is_flat(folder)).for_each(|folder| watch(folder));
}

fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

fn watch_variable(name: &str) {
    println!("cargo::rerun-if-env-changed={name}");
}
