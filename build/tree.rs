//! Copies folders and empties them. Below the build's own output folder only: the sources are never changed.

use std::path::Path;
use std::{fs, io};

/// Makes an empty folder, whatever was there.
pub fn empty(folder: &Path) -> Result<(), String> {
    let cleared = match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        cleared => cleared,
    };
    cleared.and_then(|()| fs::create_dir_all(folder)).map_err(failed("empty", folder))
}

/// Copies a file or a folder with all that is in it, but for folders of these names.
pub fn copy(from: &Path, to: &Path, left_out: &[&str]) -> Result<(), String> {
    if !from.is_dir() {
        let parent = to.parent().expect("a copy lies in a folder");
        let copied = fs::create_dir_all(parent).and_then(|()| fs::copy(from, to));
        return copied.map(drop).map_err(failed("copy", from));
    }
    fs::create_dir_all(to).map_err(failed("make", to))?;
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        if !left_out.iter().any(|name| entry.file_name() == *name) {
            copy(&entry.path(), &to.join(entry.file_name()), left_out)?;
        }
    }
    Ok(())
}

/// Whether a folder has no folders in it.
pub fn is_flat(folder: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(folder) else { return false };
    entries.all(|entry| entry.and_then(|entry| entry.file_type()).is_ok_and(|kind| !kind.is_dir()))
}

/// Words for what went wrong.
pub fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("could not {what} {path}: {error}")
}
